/* SPDX-License-Identifier: MIT */
/*
 * Memory objects: memory with an identity. What is mapped of an object, in however many
 * spaces, is the same memory: a write through a shared mapping (HF_MAP_SHARED) is seen by all, a
 * write through a private one (HF_MAP_PRIVATE) moves the writer to a copy of its own.
 *
 * An object without a pager is shared memory (shm_overview(7), memfd_create(2)): its pages
 * begin as zeros and live as long as it does. One with a pager is a file, a disk, a remote
 * memory: the pager supplies the contents of a page when it is first touched, and takes them
 * back.
 *
 * References: hf_object_create gives the caller one, every mapping holds one, also in the
 * children of a fork. With the last one the object ends, and its pages are free, but for
 * pinned ones, which stay with their device.
 *
 * Locking: the functions take the locks they need and may be called from any thread, but not with
 * a Holdfast lock held, nor from a function of a port or pager. A call that fails has changed
 * nothing, unless it says otherwise.
 */
#ifndef HOLDFAST_OBJECT_H
#define HOLDFAST_OBJECT_H

#include <holdfast/mm.h>

/* An object: its storage is a frame of the core's own. */
struct hf_object;

/*
 * Where the contents come from and go to. What holds for the port's functions (port.h) holds for
 * these: any thread, no call back into Holdfast. They may block, and be called for several pages at
 * once. No lock of a space, of an object's pages or of the memory is held meanwhile: only those
 * wait who need the very page, and as follows, for the others' calls of the same object:
 *  - hf_object_sync and hf_msync write back one at a time, and hf_object_truncate waits for them;
 *  - whoever gives the last reference up (hf_object_put, hf_munmap, hf_mm_destroy or whatever takes
 *    the last mapping away) waits until no `get` and no write-back that others have called for is
 *    under way. What it unmaps has gone before. A host that does not want to wait there, because
 *    its pager may never return, keeps a reference of its own.
 * A truncation does not wait for `get`: what it returns for a page that has been truncated since,
 * in whole or in part, is dropped, and who wants the page looks again.
 *
 * `offset` is where in the object, in bytes, a multiple of `len`; `page` is plain memory of `len`
 * bytes: 4 KiB, or as large as the object's pages are (enum hf_object_huge).
 */
struct hf_pager {
	/*
	 * Supply the contents of a page. It reads as zeros when the call is made: what lies
	 * beyond the end of the data may be left. Any status but HF_OK means that there is
	 * no page: the accesses that wanted it get HF_ERR_BUS, and the next one asks again.
	 *
	 * HF_ERR_PENDING: the answer comes later, by hf_object_supply or hf_object_fail, perhaps
	 * from another thread before this has returned. `page` is not used after that. Who wants
	 * the page sleeps (port.h, `wait`), or gets HF_ERR_RETRY (struct hf_object_config).
	 * Required.
	 */
	enum hf_status (*get)(void *host, uint64_t offset, void *page, uint64_t len);

	/*
	 * Keep what was written: [page, page+len), of which no byte is beyond the object's
	 * end. Any status but HF_OK means that it was not kept: the page stays in the object,
	 * dirty, and hf_msync or hf_object_sync returns HF_ERR_BUS. The page may be written to
	 * meanwhile; then it is dirty again, and will be written back again. NULL: the
	 * object cannot be written back (HF_ERR_ACCESS from hf_object_sync of a dirty page).
	 */
	enum hf_status (*writeback)(void *host, uint64_t offset, const void *page, uint64_t len);

	/*
	 * A page leaves the object, because it ends, is truncated, punched or evicted, or has not
	 * become one after `get`, for the same reasons or because memory is full. `dirty`: bytes of
	 * it that are before the end were written and not kept by `writeback`, which has been tried
	 * just before: this is the last moment to save them. Optional.
	 */
	void (*put)(void *host, uint64_t offset, const void *page, uint64_t len, bool dirty);

	/*
	 * Forget [offset, offset+len): it reads as zeros from now on (hf_object_punch). Any
	 * multiple of a byte, before the end. Any status but HF_OK means that it is as it was.
	 * NULL: the object cannot be punched.
	 */
	enum hf_status (*punch)(void *host, uint64_t offset, uint64_t len);
};

/*
 * The size of an object's pages. A page is made as large as this where a naturally aligned part of
 * the object of that size is wholly before the end, none of its pages exist yet, and memory of
 * that size is free; else it is made smaller. An object without a pager also follows the advice
 * of the mapping through which a page is first touched (HF_ADV_HUGEPAGE, HF_ADV_HUGEPAGE_1G).
 *
 * A page is mapped by leaves as large as itself where address and offset are congruent and
 * the mapping covers it, else by smaller ones.
 */
enum hf_object_huge {
	HF_OBJECT_SMALL,   /* 4 KiB */
	HF_OBJECT_HUGE,	   /* 2 MiB */
	HF_OBJECT_HUGE_1G, /* 1 GiB, then 2 MiB */
};

struct hf_object_config {
	uint64_t size; /* bytes; need not be whole pages, may be 0 */
	enum hf_object_huge huge;
	const struct hf_pager *pager; /* NULL: shared memory. Must outlive the object */
	void *host;		      /* given back to the pager */
	/*
	 * For hosts that schedule by themselves: a call that needs a page of which the pager said
	 * HF_ERR_PENDING does not sleep, but returns HF_ERR_RETRY, with nothing changed. The host
	 * calls it again when it has supplied the page; it may have done so before the call has
	 * returned. If the page is not there then, `get` is called again.
	 */
	bool retry;
};

/* The largest size: what a tree of tables reaches. 2^39 at least, 2^48 with four levels. */
uint64_t hf_object_max(void);

/*
 * An object of phys's memory, with one reference, the caller's.
 * HF_ERR_INVAL: huge, or a pager without `get`. HF_ERR_RANGE: size above hf_object_max.
 * HF_ERR_NOMEM.
 */
enum hf_status hf_object_create(struct hf_phys *phys, const struct hf_object_config *config,
				struct hf_object **out);

/* One reference more. HF_ERR_OVERFLOW: the host has as many as a count may have (phys.h). */
enum hf_status hf_object_get(struct hf_object *object);

/*
 * Give a reference of hf_object_create or hf_object_get back. If it is the last, every dirty page
 * is written back and every page put (struct hf_pager), by this thread, before this returns. A
 * mapping that is the last reference does the same in hf_munmap, hf_mm_destroy or whatever else
 * takes it away. Nobody is in the pager then, and nobody will be. HF_ERR_INVAL: mappings alone
 * refer to the object, the host has no reference left to give back. (Nobody can tell what a pointer
 * leads to after the last reference.)
 */
enum hf_status hf_object_put(struct hf_object *object);

/* The size in bytes; it may change as soon as this returns. */
uint64_t hf_object_size(struct hf_object *object);

/*
 * Copy `len` bytes between the object, from `offset` on, and the caller's plain memory `buf`
 * (hf_object_read, hf_object_write), as pread(2) and pwrite(2) on a memfd do, but all or nothing,
 * and the size does not grow. Coherent with every mapping. If `buf` is RAM that is the object's, a
 * byte may arrive as it was, or as this call has made it. Reading a page that shared memory does
 * not have yet gives zeros and allocates nothing. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE: beyond
 * the end. HF_ERR_BUS: the pager failed. HF_ERR_RETRY. HF_ERR_NOMEM. On these, pages may have come
 * into the object, with the contents they have.
 */
enum hf_status hf_object_read(struct hf_object *object, uint64_t offset, void *buf, uint64_t len);
enum hf_status hf_object_write(struct hf_object *object, uint64_t offset, const void *buf,
			       uint64_t len);

/*
 * Supply [offset, offset+len): the late answer of a pager's `get` (HF_ERR_PENDING), or what will be
 * wanted next. Pages that the object does not have get the contents of `data`, which is plain
 * memory, and zeros behind its end in the last page; those that it has stay as they are. Whoever
 * waits for one of them goes on. Not from within the pager, except for `get`, of its own object.
 * HF_ERR_INVAL: no pager. HF_ERR_ALIGN: offset. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE: the range
 * reaches into pages beyond the end. HF_ERR_EXIST: all of it is there. HF_ERR_NOMEM: some may be
 * there; those who wait go on waiting, so the host makes room (hf_reclaim) and supplies again, or
 * fails it.
 */
enum hf_status hf_object_supply(struct hf_object *object, uint64_t offset, const void *data,
				uint64_t len);

/*
 * Nothing is to be had for [offset, offset+len): who waits for a page there gets HF_ERR_BUS, and
 * the next access asks again. HF_ERR_EMPTY. HF_ERR_WRAP.
 */
enum hf_status hf_object_fail(struct hf_object *object, uint64_t offset, uint64_t len);

/*
 * Make the object `size` bytes long: ftruncate(2). Pages beyond the new end go from the object and
 * from every space that maps it, private copies too (a later access there is a bus error,
 * or zeros once it has grown again); they are put to the pager, and not written back. Pinned ones
 * stay with their device. The rest of the page that holds the end reads as zeros, after a
 * shrinking and after a growing, also where mappings had written there. It is for the
 * pager to forget what its store has beyond the end.
 * HF_ERR_RANGE: size above hf_object_max. HF_ERR_NOMEM: huge pages or tables of spaces have to
 * be cut, no frame is free for it, and they are more than the reserve serves (phys.h).
 * HF_ERR_OVERFLOW: the same, at a count's limit.
 * On these nothing has changed, but accesses beyond `size` may have been bus errors meanwhile.
 * Goes through all spaces of the memory, taking each one's lock exclusively; none can begin, end
 * or fork meanwhile. `put` is called after that.
 */
enum hf_status hf_object_truncate(struct hf_object *object, uint64_t size);

/*
 * Write the dirty pages of [offset, offset+len) back, as fsync(2) and sync_file_range(2) do: whole
 * pages that the range touches. What was written before the call is given to the pager; what is
 * written while it runs may be, and makes the page dirty again. A pinned page is written back and
 * stays dirty, as its device may write to it. Nothing to do for shared memory, nor beyond the end.
 * HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_BUS: the pager did not keep some page, which stays dirty; the
 * others have been written back all the same. HF_ERR_ACCESS: the pager has no `writeback`.
 * Takes the locks that hf_object_truncate takes, those of spaces not while the pager is called:
 * another sync or truncation of the object waits for it, faults and mappings do not.
 */
enum hf_status hf_object_sync(struct hf_object *object, uint64_t offset, uint64_t len);

/*
 * Let pages of [offset, offset+len) go that the pager can supply again: pages that lie in the 4 KiB
 * pages which the range touches. Dirty ones are written back first (hf_object_sync). They are
 * unmapped from every space, and put to the pager. HF_ERR_INVAL: no pager. HF_ERR_EMPTY.
 * HF_ERR_WRAP. HF_ERR_BUS, HF_ERR_ACCESS: as hf_object_sync; what was not kept stays. HF_ERR_BUSY:
 * some stay, or have come back: pages that are pinned, locked by a mapping, or mapped privately in
 * spaces that share a table since a fork. Takes the locks that hf_object_truncate takes, for a few
 * dozen pages at a time.
 */
enum hf_status hf_object_evict(struct hf_object *object, uint64_t offset, uint64_t len);

/*
 * Punch a hole: [offset, offset+len) reads as zeros from now on, as far as it lies before the end;
 * fallocate(2), FALLOC_FL_PUNCH_HOLE. Pages that lie in it whole leave, dirty or not, also from the
 * spaces that map them; the rest is cleared. Private copies stay. Pinned pages stay with their
 * device. The pager is told (struct hf_pager, punch). HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_ACCESS: the
 * pager has no `punch`. HF_ERR_BUS: it refused. HF_ERR_NOMEM, HF_ERR_OVERFLOW: as
 * hf_object_truncate. On these nothing has changed. Takes the locks that hf_object_truncate takes,
 * for a few dozen pages at a time.
 */
enum hf_status hf_object_punch(struct hf_object *object, uint64_t offset, uint64_t len);

/* msync(2)'s flags. */
enum hf_msync_flags {
	HF_MS_ASYNC = 1, /* nothing is written now: the host calls hf_object_sync when it likes */
	HF_MS_INVALIDATE = 2, /* nothing to do, as all mappings of an object see the same pages */
	HF_MS_SYNC = 4,	      /* write back, and wait for it */
};

/*
 * msync(2): hf_object_sync of what the shared mappings in [va, va+len) show. Private ones have
 * nothing to write back. `flags`: HF_MS_*; a hole (HF_ERR_UNMAPPED) writes nothing at all.
 * HF_ERR_FLAGS: unknown, or both ASYNC and SYNC. HF_ERR_ALIGN: va. HF_ERR_EMPTY. HF_ERR_WRAP.
 * HF_ERR_RANGE. HF_ERR_BUSY: INVALIDATE of locked memory. HF_ERR_BUS, HF_ERR_ACCESS as for
 * hf_object_sync.
 */
enum hf_status hf_msync(struct hf_mm *mm, hf_va va, uint64_t len, unsigned flags);

struct hf_object_stats {
	uint64_t size;			/* bytes */
	uint64_t pages[HF_LEAF_LEVELS]; /* that it has, by level */
	uint64_t dirty_bytes;		/* in pages that `writeback` has to keep */
	/*
	 * Of hosts and mappings. Mappings that a fork shares, and those kept aside while one of
	 * them is edited, count once for each node of their tree (DESIGN.md, "Changes of ranges").
	 */
	uint64_t references;
};
/*
 * Counts over an object, by a walk of its tree. Cannot fail. The object's lock is let go after each
 * table, and what changes meanwhile may be counted as it was or as it is.
 */
void hf_object_stats(struct hf_object *object, struct hf_object_stats *out);

/*
 * Map [offset, offset+len) of an object with protection `prot` (HF_PROT_*): mmap(2) of a file.
 * `flags` has HF_MAP_SHARED or HF_MAP_PRIVATE, not both, and otherwise what hf_mmap knows.
 * `offset` is a multiple of 4 KiB. The
 * mapping may reach beyond the object's end; accesses there, in pages that are wholly
 * beyond it, are bus errors (hf_fault) until it grows. Without HF_MAP_FIXED*, an address is chosen
 * whose distance from the offset allows leaves as large as the length does.
 * HF_ERR_INVAL: the object is of another memory. HF_ERR_FLAGS. HF_ERR_ALIGN: offset, or *addr with
 * FIXED. HF_ERR_WRAP: offset + len. HF_ERR_RANGE: beyond hf_object_max. Others as hf_mmap.
 */
enum hf_status hf_mmap_object(struct hf_mm *mm, hf_va *addr, uint64_t len, unsigned prot,
			      unsigned flags, struct hf_object *object, uint64_t offset);

#endif
