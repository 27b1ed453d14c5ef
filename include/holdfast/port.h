/* SPDX-License-Identifier: MIT */
/*
 * The port: everything that Holdfast asks of its host. A kernel, a hypervisor,
 * an emulator or a Linux program fills in one struct hf_port and lists its RAM
 * (phys.h); that is all of the integration. The core calls nothing else but
 * memcpy, memmove, memset and memcmp.
 *
 * Preconditions that hold for every function here:
 *  - it may be called from any thread that calls into Holdfast, and from
 *    several threads at once;
 *  - it must not call back into Holdfast;
 *  - it may be called with Holdfast's locks held, so it must not wait for a
 *    thread that is itself inside Holdfast (except `wait`, whose purpose that is);
 *  - `host` is the pointer that came with the port in struct hf_phys_config.
 *
 * docs/porting.md goes through all of it step by step.
 */
#ifndef HOLDFAST_PORT_H
#define HOLDFAST_PORT_H

#include <holdfast/types.h>

struct hf_mm;
struct hf_translation;
struct hf_trace_event;

/*
 * Page-fault handlers, beside their call of hf_fault. The core flushes what an entry has
 * lost, not what it has gained: where a CPU may go on using what it had cached, its fault
 * handler forgets the faulting address on this CPU; else the fault comes again and again.
 *   x86-64   nothing: the fault itself forgets it (Intel SDM vol. 3A, 4.10.4.1).
 *   AArch64  after a permission fault TLBI VAE1 of the address, DSB. The core runs without
 *            hardware management of the access flag and of dirty state (TCR_EL1.HA and HD
 *            0), with hierarchical permissions (TCR_EL1.HPD0 0); MAIR_EL1 attribute 0 is
 *            normal write-back memory. It does break-before-make by itself.
 *   RISC-V   SFENCE.VMA with rs1 = x0: entries that were not valid may be cached, and
 *            it may have been a branch that has become valid. Svadu (menvcfg.ADUE) as the
 *            format that was built in says.
 */

/*
 * What changed in the tables, and so what a TLB may no longer use. Bits.
 *
 * HF_FLUSH_WRITE   permission to write was taken away; addresses are unchanged.
 *                  Cached read-only translations may stay, and so may branches
 *                  where they can deny writing themselves; fork asks for TABLES,
 *                  too, in formats where they cannot (RISC-V).
 * HF_FLUSH_TABLES  tables were removed, or one was replaced by a copy with the same
 *                  leaves (alone, TABLES means that: the range is what the one branch
 *                  spans). Cached leaves may stay, cached branches (paging-structure
 *                  caches: Intel SDM vol. 3A, 4.10.3; AMD APM vol. 2, 5.5) that
 *                  translate an address of the range may not.
 * HF_FLUSH_LEAVES  leaves were removed, moved or lost more than the write
 *                  permission: no leaf of the range may stay cached. Branches may:
 *                  where one changed, too, TABLES comes along, or has come before.
 *
 * Several bits ask for what each of them asks for. The core lets nobody through a new branch
 * before the flush of the old one has returned, whatever else that instruction flushes.
 */
enum hf_flush {
	HF_FLUSH_WRITE = 1,
	HF_FLUSH_TABLES = 2,
	HF_FLUSH_LEAVES = 4,
};

struct hf_port {
	/*
	 * Forget cached translations of [va, va+len) in `mm` as `what` (HF_FLUSH_*
	 * bits) says, on every CPU. `va` and `len` are multiples of 4 KiB; the range
	 * may be the whole space. On return no CPU uses a forgotten translation
	 * any more, and every access that began through one has completed: this is
	 * what makes fork's arming an instant, and what lets pages be freed.
	 *
	 * A cached translation that only overlaps the range goes as well: a huge page's, if
	 * 4 KiB of it are flushed with WRITE or LEAVES. A huge leaf that is split leaves its
	 * translation cached beside those of its parts (they say the same, so nothing was flushed
	 * then), until one of the parts changes. Write permission may have gone from branches
	 * above.
	 *
	 * Called with mm's lock held, shared or exclusive, and possibly table locks: other
	 * CPUs may spin for these, and have to take part all the same.
	 * Must not fail. Required.
	 */
	void (*flush)(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what);

	/*
	 * [va, va+len) can be accessed now: a fault at `va` has been resolved (len is 1), or
	 * the memory was asked for beforehand (HF_ADV_POPULATE_READ and _WRITE, hf_mlock,
	 * hf_lock_future). `t` is the translation that the entry of `va` gives (mm.h), widened to
	 * the longest run of leaves of the same table that lie one behind the other in one
	 * range of RAM and have the same permissions; it holds [va, va+len). A TLB may take all
	 * of it, or what of it was asked for.
	 * Called with mm's lock held (shared) and the leaf's table locked, so that a
	 * flush can only come after it; therefore a port that caches translations
	 * anywhere but in its hardware's own walk must do so here and not after
	 * the call has returned. Several calls for different tables of one mm may
	 * run at once. Optional (NULL: nothing is told, runs are not computed).
	 */
	void (*fill)(void *host, struct hf_mm *mm, hf_va va, uint64_t len,
		     const struct hf_translation *t);

	/*
	 * [pa, pa+len), one or more aligned blocks of 2 MiB that were free until now, will
	 * be written next and then mapped by a huge leaf: the moment for a host that
	 * has page tables of its own to put a huge page behind each block, before
	 * anything is in it or a device holds it. The contents must not change: they
	 * may be zeros that the core counts on. May be called with any lock held. Optional.
	 */
	void (*prepare)(void *host, hf_pa pa, uint64_t len);

	/*
	 * [pa, pa+len) is free memory whose contents nobody needs: the host may
	 * take its backing away. The range must read as zeros when it is next
	 * touched. Called from hf_phys_trim() only, with no lock held, and for 2 MiB at
	 * most; nobody uses the range meanwhile. Optional (NULL: hf_phys_trim does nothing).
	 */
	void (*discard)(void *host, hf_pa pa, uint64_t len);

	/*
	 * Copy `len` bytes (a multiple of 4 KiB) between direct-map addresses that do
	 * not overlap: page copies of fork and copy-on-write. For hosts with
	 * something better than memcpy for large blocks. Optional (NULL: memcpy).
	 */
	void (*copy)(void *host, void *dst, const void *src, size_t len);

	/* One polite spin of a lock that is held (x86 PAUSE). Optional. */
	void (*pause)(void *host);

	/*
	 * Sleep while *word == value; waking without cause is allowed (futex(2),
	 * FUTEX_WAIT). `wake` wakes every thread that sleeps on `word`. Either both or
	 * neither; without them locks spin with `pause`.
	 */
	void (*wait)(void *host, const uint32_t *word, uint32_t value);
	void (*wake)(void *host, const uint32_t *word);

	/*
	 * The calling thread holds, or is about to wait for, one more (`change` is 1) or one less
	 * (-1) of the locks under which Holdfast touches memory of its callers and calls their
	 * functions: a space's, an object's, that of all spaces. A page fault that it takes
	 * meanwhile waits for itself; where callers' memory can fault, a port that counts can say
	 * so instead. Optional.
	 */
	void (*holds)(void *host, int change);

	/*
	 * Something has happened: trace.h. `event` is valid during the call only. May be called
	 * with any lock held. Optional.
	 */
	void (*trace)(void *host, const struct hf_trace_event *event);

	/*
	 * An invariant of Holdfast is broken; `what` names it. Must not return.
	 * Required.
	 */
	void (*panic)(void *host, const char *what);
};

#endif
