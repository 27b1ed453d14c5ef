/* SPDX-License-Identifier: MIT */
/*
 * Swap: pages that nobody uses at the moment go to a block store of the host's, and come
 * back when they are touched.
 *
 * Nothing goes by itself. When a call gives HF_ERR_NOMEM, or when hf_phys_stats says that
 * little is free, the host calls hf_reclaim and then tries again.
 *
 * What may go: small pages of private mappings. What stays: pages that a device has pinned,
 * pages of locked mappings (mlock(2)), shared memory, zero pages. A huge page goes in small ones.
 * Fork shares swapped pages as it shares all others, by sharing tables. A page that
 * several spaces have is written once, and comes back once.
 *
 * hf_madvise has three kinds of advice for it: HF_ADV_FREE, HF_ADV_COLD, HF_ADV_PAGEOUT (mm.h).
 */
#ifndef HOLDFAST_SWAP_H
#define HOLDFAST_SWAP_H

#include <holdfast/phys.h>
#include <holdfast/status.h>
#include <holdfast/types.h>

/* A page of the store is a slot, 4 KiB, named by its number: 0 <= slot < slots. */
struct hf_store {
	/*
	 * At most 2^32 - 2. With 0 slots nothing can be written: hf_reclaim then drops
	 * what was freed with HF_ADV_FREE, and `read`, `write` and `meta` are not needed.
	 */
	uint64_t slots;
	/*
	 * Move one page between a slot and memory: `page` is a direct-map address, 4 KiB.
	 * False: it failed; what `page` or the slot then holds does not matter, for what was
	 * there before is kept elsewhere. A slot is read only after it was written.
	 * They are called without any lock of Holdfast's, and may take as long as they like: that
	 * holds up who needs the page (`read`), or who called hf_reclaim, HF_ADV_PAGEOUT or
	 * hf_swap_off, and nobody else. They may call Holdfast, but not hf_swap_off, which
	 * waits for them. Several may run at once, of different slots, and several reads of one
	 * slot (each into a page of its own); never a write to a slot beside another call for it.
	 * On the Linux port `read` runs in the handler of SIGSEGV.
	 */
	bool (*read)(void *host, uint64_t slot, void *page);
	bool (*write)(void *host, uint64_t slot, const void *page);
	void *host; /* given back to both */
	void *meta; /* hf_store_meta_size(slots) bytes, 8-aligned; need not be cleared */
};

/* Bytes of metadata that a store of so many slots needs. */
uint64_t hf_store_meta_size(uint64_t slots);

/*
 * Use the store. `store` and what it leads to must outlive its use. No other call on
 * `phys` or its spaces may run meanwhile.
 * HF_ERR_BUSY: there is one already. HF_ERR_RANGE: too many slots. Where there are any:
 * HF_ERR_INVAL: no read, write or meta; HF_ERR_ALIGN: meta.
 */
enum hf_status hf_swap_on(struct hf_phys *phys, const struct hf_store *store);

/*
 * Read everything back and stop using the store. HF_OK as well if there is none.
 * HF_ERR_NOMEM: not all of it has room in memory. HF_ERR_STORE: a page could not be read.
 * HF_ERR_OVERFLOW: a page's mapping count is at its limit. On an error the store stays in
 * use, what has been read back stays in memory, and nothing is lost.
 * From its beginning on no page goes to the store any more. All other calls go on meanwhile: it
 * takes phys->spaces_lock exclusively for moments, and each space's lock for one table at a time.
 * A second call of it waits for the first.
 */
enum hf_status hf_swap_off(struct hf_phys *phys);

struct hf_swap_stats {
	uint64_t slots;	 /* of the store */
	uint64_t used;	 /* of these, holding a page, or being written */
	uint64_t cached; /* of these, those whose page is in memory as well */
	uint64_t outs;	 /* pages written, since hf_swap_on */
	uint64_t ins;	 /* pages read */
};
/* All zeros without a store. */
void hf_swap_stats(struct hf_phys *phys, struct hf_swap_stats *out);

/*
 * Make `want` pages of 4 KiB free, if possible. A clock goes over the mappings of all
 * spaces (Corbato, A Paging Experiment with the Multics System, 1968): a page that was accessed
 * since the hand's last visit stays and is marked as not accessed, others go out. The next
 * call begins where this one ended. *done receives how many pages have become free, on
 * errors too. (Between two visits accesses are noticed as the port's hardware notices them;
 * the TLB is flushed so that it does.)
 *
 * The work of one call is bounded: it ends when all memory has been visited twice, or
 * 8192 + 64 * want entries of tables have been inspected. HF_OK, and *done < want: there may be
 * more; call again.
 *
 * HF_ERR_AGAIN: *done < want, and all memory has been visited: what remains is in use, pinned,
 * locked or shared; or hf_swap_off takes the store away. HF_ERR_STORE: a page
 * could not be written, or needed a slot and there was none; it stays in memory. Pages that
 * need none may have gone. HF_ERR_INVAL: hf_swap_on was
 * not called. HF_ERR_EMPTY: want is 0.
 *
 * Runs beside faults and pins, and beside everything while the store writes. Takes
 * phys->spaces_lock exclusively to choose a few dozen pages, and again to take those that have been
 * written: calls that change mappings, forks and copies wait that long. A page that is being
 * written stays mapped. Who reads it, reads it, and it stays; who writes to it, or pins it, gets a copy,
 * and HF_ERR_NOMEM if there is no frame for one.
 */
enum hf_status hf_reclaim(struct hf_phys *phys, uint64_t want, uint64_t *done);

#endif
