/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: mappings, page faults, copy-on-write fork.
 *
 * Rules for every function here:
 *  - it takes the locks it needs; none may be called with a Holdfast lock held, nor
 *    from a port function. hf_mm_create, hf_mm_destroy and hf_fork's child apart,
 *    any number of threads may call on one space at once;
 *  - a call that fails has changed nothing that an access or hf_vma_next could show, unless
 *    it says otherwise. (hf_translate may show a difference: pages that were made present or
 *    exclusive on the way stay so, and so do tables that no other space uses any more.)
 *  - lengths are in bytes. Where the man page rounds the length up to whole pages, so
 *    do we; where it ignores a zero length, we return HF_ERR_EMPTY;
 *  - every range is checked in this order: HF_ERR_FLAGS or HF_ERR_INVAL, HF_ERR_ALIGN,
 *    HF_ERR_EMPTY, HF_ERR_WRAP, HF_ERR_RANGE, then what is mapped there.
 */
#ifndef HOLDFAST_MM_H
#define HOLDFAST_MM_H

#include <holdfast/phys.h>
#include <holdfast/status.h>
#include <holdfast/types.h>

enum hf_map_flags {
	HF_MAP_FIXED = 1,	    /* exactly at *addr, replacing what is there */
	HF_MAP_FIXED_NOREPLACE = 2, /* exactly at *addr, HF_ERR_EXIST if something is there */
	HF_MAP_SHARED = 4,	    /* all who map it see a write, children too */
	HF_MAP_PRIVATE = 8,	    /* this space alone sees its writes; hf_mmap's default */
	HF_MAP_GROWSDOWN = 16,	    /* hf_mmap, private: a stack, see hf_fault */
};

/* madvise(2), and for WIPEONFORK, DONTFORK and POPULATE their sections there. */
enum hf_advice {
	/*
	 * Drop the pages: the next access finds zeros in private anonymous memory, and in private
	 * mappings of an object what the object has. The pages of shared mappings are the object's,
	 * which keeps them.
	 */
	HF_ADV_DONTNEED,
	HF_ADV_HUGEPAGE,       /* use 2 MiB pages where they fit */
	HF_ADV_HUGEPAGE_1G,    /* use 1 GiB pages where they fit, then 2 MiB */
	HF_ADV_NOHUGEPAGE,     /* new pages are 4 KiB; undoes the two above */
	HF_ADV_DONTFORK,       /* the mapping is absent in children */
	HF_ADV_DOFORK,	       /* undo DONTFORK */
	HF_ADV_WIPEONFORK,     /* children find zeros here */
	HF_ADV_KEEPONFORK,     /* undo WIPEONFORK */
	HF_ADV_POPULATE_READ,  /* make readable now, as a read of each page would */
	HF_ADV_POPULATE_WRITE, /* make writable now, as a write to each page would */
	HF_ADV_COLLAPSE,       /* make huge pages of what is there, now: see hf_madvise */
	/*
	 * The contents are not needed any more: until a page is written or pinned again, hf_reclaim
	 * (swap.h) may drop it, and then it reads as zeros. What is in the swap store is dropped at
	 * once. Concerns only pages that are exclusive to this space and not pinned.
	 */
	HF_ADV_FREE,
	HF_ADV_COLD,	/* hf_reclaim takes these pages first, if they are not used until then */
	HF_ADV_PAGEOUT, /* these pages go to the swap store now, if no other space has them */
	HF_ADV_REMOVE,	/* punch a hole into the objects that are mapped here (hf_object_punch) */
};

enum hf_access {
	HF_ACCESS_READ = 1,
	HF_ACCESS_WRITE = 2,
	HF_ACCESS_EXEC = 4,
};

/* What fork does with a pinned huge page. */
enum hf_fork_policy {
	/*
	 * The child gets a huge page of its own, the parent's stays as it is. If no
	 * huge page is free the child alone gets small ones. A pinned 1 GiB page is
	 * decided per 2 MiB: parts without pins are shared, parts with pins copied.
	 */
	HF_FORK_COPY,
	/*
	 * The parent's huge mapping is split (its memory stays where it is) and each
	 * 4 KiB page decided: only pages that are pinned are copied.
	 */
	HF_FORK_SPLIT,
};

/*
 * What the first write to a shared huge page copies. Measured (`make bench`,
 * cow-fault): SMALL costs less while fewer than about 40 % of the page's 512 parts are
 * written, in order; WHOLE costs less above that and keeps the huge page, so it is the
 * default. Choose SMALL where both sides of a fork write little.
 */
enum hf_huge_cow {
	HF_HUGE_COW_WHOLE, /* all of it; 4 KiB if no huge page is free */
	HF_HUGE_COW_SMALL, /* split the writer's mapping and copy 4 KiB */
};

struct hf_object;

/* What a space may have, in bytes: getrlimit(2). Children inherit it. */
struct hf_limits {
	uint64_t va;	    /* of all mappings together (RLIMIT_AS). 0: no limit */
	uint64_t lock;	    /* of all that is locked (RLIMIT_MEMLOCK). 0: no limit */
	uint64_t stack;	    /* of a mapping that grows down (RLIMIT_STACK). 0: 8 MiB */
	uint64_t stack_gap; /* what growing down leaves free below, 4 KiB aligned. 0: 1 MiB */
};

struct hf_mm_config {
	/*
	 * The addresses that mappings may have: [va_lo, va_hi), 4 KiB aligned. Zeros
	 * mean from 64 KiB to the end of the user half, which is 2^47 on x86-64 with
	 * four levels, 2^48 on AArch64, 2^38 on Sv39, 2^47 on Sv48, 2^56 with five levels.
	 */
	hf_va va_lo, va_hi;
	enum hf_huge_cow huge_cow;
	void *host; /* for the port: mm->host; the core never looks at it */
	struct hf_limits limits;
};

/* What happens to mappings that are made from now on: mlockall(2), MCL_FUTURE. */
enum hf_lock_policy {
	HF_LOCK_FUTURE_OFF,	/* nothing */
	HF_LOCK_FUTURE_ON,	/* they are locked and made present */
	HF_LOCK_FUTURE_ONFAULT, /* they are locked as hf_mlock does with HF_MLOCK_ONFAULT */
};

/* Caller-owned, at a fixed address between create and destroy; the fields are the core's. */
struct hf_mm {
	struct hf_phys *phys;
	void *host;
	hf_va va_lo, va_hi;
	enum hf_huge_cow huge_cow;
	union {
		struct hf_rwlock rwlock; /* guards the fields below and the tables' shape */
		uint32_t lock[2]; /* the same to a debugger: lock[0] is 0 if nobody holds it */
	};
	hf_pfn root;	  /* the top table */
	hf_pfn vmas;	  /* root of the tree of mappings */
	bool truncating;  /* its lock is held by one: see rmap.h */
	bool moved;	  /* a table has: a shared one may be at another address in another space */
	bool locks_stale; /* what `vmas` says of locks is true of the parent, not of this space */
	enum hf_lock_policy lock_future;
	struct hf_limits limits;
	uint64_t mapped_bytes; /* counted if there is a limit */
	uint64_t locked_bytes;
	hf_va brk_start, brk;	   /* the heap, if brk_start is not 0 */
	struct hf_mm *next, *prev; /* in phys->spaces, under phys->lock */
};

/*
 * Make an empty space in caller-owned storage: what execve(2) starts with, without a
 * program. `config` may be NULL for defaults.
 * HF_ERR_INVAL: huge_cow. HF_ERR_ALIGN: va_lo, va_hi, limits.stack_gap. HF_ERR_RANGE: va_lo,
 * va_hi (above the end, or va_lo >= va_hi). HF_ERR_NOMEM.
 */
enum hf_status hf_mm_create(struct hf_mm *mm, struct hf_phys *phys,
			    const struct hf_mm_config *config);

/*
 * Change the limits: setrlimit(2). What the space has already stays, even if it is more.
 * HF_ERR_ALIGN: stack_gap; nothing has changed.
 */
enum hf_status hf_mm_set_limits(struct hf_mm *mm, const struct hf_limits *limits);

/*
 * Unmap everything and end the space, as _exit(2) does. Pinned pages stay allocated until they are
 * unpinned. Cannot fail. No other call on this space may run or follow. The port's
 * flush is called once for the whole range before anything is freed.
 */
void hf_mm_destroy(struct hf_mm *mm);

/*
 * Map anonymous memory, zero-filled: mmap(2) with MAP_ANONYMOUS. It is private unless `flags` has
 * HF_MAP_SHARED: then it is a new object (object.h) of this length, which children of a
 * fork share and which ends with its last mapping.
 * `len` is rounded up to 4 KiB. Without HF_MAP_FIXED*, *addr is a hint, rounded down to
 * 4 KiB, taken if that range is free; 0 means no hint. The search goes from the top of
 * the space downwards; mappings of at least 2 MiB are put at a multiple of 2 MiB, of at
 * least 1 GiB at a multiple of 1 GiB, if such a gap exists. *addr is set on success.
 * Adjacent mappings that are alike become one. HF_MAP_GROWSDOWN makes a stack, see hf_fault.
 * Without FIXED, limits.stack_gap stays free between a stack and what lies below it, whichever of
 * the two is mapped, moved or grown (hf_mremap, hf_brk) last; what hf_fault says may lie nearer to
 * a stack may also be there when a hint puts one above it.
 * HF_ERR_FLAGS: unknown prot or flags, both FIXED flags, both SHARED and PRIVATE, or GROWSDOWN
 * and SHARED. HF_ERR_ALIGN: *addr, with FIXED. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE: FIXED
 * outside the space. HF_ERR_EXIST.
 * HF_ERR_NOSPACE. HF_ERR_LIMIT: limits.va, limits.lock. HF_ERR_SEALED: FIXED, over a sealed
 * mapping.
 * HF_ERR_NOMEM. HF_ERR_OVERFLOW (as for hf_munmap).
 */
enum hf_status hf_mmap(struct hf_mm *mm, hf_va *addr, uint64_t len, unsigned prot, unsigned flags);

/*
 * Unmap [va, va+len): munmap(2). Holes are allowed. Pinned pages leave the space and
 * stay with their device.
 * Giving memory back needs none that is free: where a mapping, a huge page or a table that a child
 * shares has to be split, the reserve serves (phys.h). The same holds for DONTNEED and FREE, hf_brk
 * downwards, hf_mremap to less in place, and hf_object_truncate.
 * HF_ERR_ALIGN: va. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_SEALED. HF_ERR_NOMEM: memory is
 * full, and calls like this one that freed nothing, because others have the pages, have used the
 * reserve up. HF_ERR_OVERFLOW: what stays of a shared table or page is mapped as often as a count
 * allows.
 */
enum hf_status hf_munmap(struct hf_mm *mm, hf_va va, uint64_t len);

/*
 * Change the protection of [va, va+len): mprotect(2), except that a hole in the range
 * (HF_ERR_UNMAPPED) changes nothing at all.
 * HF_ERR_FLAGS: prot. HF_ERR_ALIGN. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_SEALED.
 * HF_ERR_NOMEM. HF_ERR_OVERFLOW.
 */
enum hf_status hf_mprotect(struct hf_mm *mm, hf_va va, uint64_t len, unsigned prot);

/*
 * madvise(2) for [va, va+len); a hole (HF_ERR_UNMAPPED) changes nothing at all.
 * HF_ERR_INVAL: advice, or WIPEONFORK of what is not private anonymous memory, or DONTNEED of
 * locked memory. HF_ERR_ALIGN. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_SEALED: see
 * hf_mseal. HF_ERR_NOMEM, HF_ERR_OVERFLOW (of DONTNEED and FREE as for hf_munmap). POPULATE_READ
 * and POPULATE_WRITE need the protection (HF_ERR_ACCESS), get HF_ERR_BUS as hf_fault does, and on
 * an error may have populated a part; HF_ERR_STORE: as hf_fault.
 *
 * COLLAPSE goes over the range by parts of 2 MiB, and of 1 GiB where HUGEPAGE_1G holds. Every part
 * that both the range and the mapping cover whole becomes one huge page, whatever HUGEPAGE says:
 * its pages are copied into it, holes become zeros, and others keep the pages that they shared.
 * Where the pages lie together already, nothing is copied. Parts that are not covered whole stay
 * as they are. It tries every part, and returns the last error: HF_ERR_AGAIN, a page of the part
 * is pinned or in the swap store;
 * HF_ERR_INVAL, it has no page at all, or a mapping of the range is shared memory (then
 * nothing has changed); HF_ERR_NOMEM, there is no huge page.
 *
 * FREE, COLD and PAGEOUT: HF_ERR_INVAL for locked memory, COLD and PAGEOUT also for shared
 * mappings, FREE for what is not private anonymous memory, PAGEOUT without a store (hf_swap_on).
 * REMOVE: HF_ERR_INVAL for what is private or locked, HF_ERR_ACCESS for what may not be written to;
 * else as hf_object_punch, and what lies before a mapping that failed has been done.
 * FREE: HF_ERR_SEALED as DONTNEED. PAGEOUT: HF_ERR_STORE if a page could not go there; others
 * may have.
 */
enum hf_status hf_madvise(struct hf_mm *mm, hf_va va, uint64_t len, enum hf_advice advice);

enum hf_mremap_flags {
	HF_MREMAP_MAYMOVE = 1,	 /* move to another address if it cannot stay */
	HF_MREMAP_FIXED = 2,	 /* to *addr, replacing what is there; with MAYMOVE */
	HF_MREMAP_DONTUNMAP = 4, /* the old range stays mapped, empty; with MAYMOVE */
};

/*
 * Make [old, old+old_len) new_len bytes long: mremap(2); `flags` are HF_MREMAP_* bits. Both
 * lengths are rounded up to 4 KiB. Without FIXED and DONTUNMAP it shrinks in place, or grows in
 * place if what follows is free and no stack is near (limits.stack_gap), else moves if it may.
 * Where it moves, the pages go along as they are: same frames, pins and sharing, no copy and no
 * fault; where the two addresses are congruent modulo 2 MiB (1 GiB), whole tables go, shared ones
 * too, and huge pages stay huge, else they are split. What is added at the end reads as zeros. The
 * place is found as by hf_mmap, congruent to `old` modulo 2 MiB or 1 GiB if there is such a gap;
 * with DONTUNMAP and without FIXED, *addr is a hint. *addr is set on success.
 *
 * Unlike in mremap(2), the range may hold several mappings, of which the last one grows; a call
 * that fails has changed nothing; and an old length of 0 does not map shared memory a second time:
 * hf_mmap_object does that.
 *
 * HF_ERR_FLAGS: unknown, or FIXED or DONTUNMAP without MAYMOVE. HF_ERR_INVAL: DONTUNMAP, and
 * the lengths differ. HF_ERR_ALIGN: old, or *addr with FIXED. HF_ERR_EMPTY. HF_ERR_WRAP.
 * HF_ERR_RANGE: the old range, or with FIXED the new one; or an object's mapping would grow
 * beyond hf_object_max. HF_ERR_OVERLAP: FIXED, of the new
 * range with the old one. HF_ERR_UNMAPPED: a hole in the old range. HF_ERR_NOSPACE: it cannot grow
 * in place and may not move, or no gap is large enough. HF_ERR_LIMIT: limits.va, or limits.lock if
 * the mapping that grows is locked. HF_ERR_SEALED: anything in the old range, if it would change,
 * or in the new one. HF_ERR_NOMEM. HF_ERR_OVERFLOW.
 */
enum hf_status hf_mremap(struct hf_mm *mm, hf_va old, uint64_t old_len, uint64_t new_len,
			 unsigned flags, hf_va *addr);

enum hf_mlock_flags {
	HF_MLOCK_ONFAULT = 1, /* lock what is present, and the rest when it is first touched */
};

/*
 * Keep the pages of [va, va+len) in memory: mlock(2), mlock2(2); `flags` are HF_MLOCK_* bits or
 * 0. The range is widened to whole pages. Locked pages are never paged out, nor dropped by
 * advice. Without ONFAULT they are made present, writable ones of private mappings as a write
 * would, others as a read; what a
 * mapping does not allow to be read, what is beyond an object's end, and what its pager cannot
 * supply now, is left out.
 * Children do not inherit locks. A lock is a property of the mapping: locking twice is the same as
 * locking once.
 *
 * Unlike in mlock(2), either all of it happens or, apart from pages made present, nothing.
 *
 * HF_ERR_FLAGS. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_UNMAPPED: a hole. HF_ERR_LIMIT:
 * limits.lock. HF_ERR_NOMEM. HF_ERR_OVERFLOW. HF_ERR_STORE, as hf_fault.
 */
enum hf_status hf_mlock(struct hf_mm *mm, hf_va va, uint64_t len, unsigned flags);

/*
 * Undo hf_mlock for [va, va+len): munlock(2). The range is widened to whole pages.
 * HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_UNMAPPED: a hole. HF_ERR_NOMEM.
 * HF_ERR_OVERFLOW.
 */
enum hf_status hf_munlock(struct hf_mm *mm, hf_va va, uint64_t len);

/*
 * The same for all that is mapped, which may be nothing: mlockall(2) with MCL_CURRENT, and what
 * munlockall(2) does to present mappings. `flags` as for hf_mlock.
 * HF_ERR_FLAGS. HF_ERR_LIMIT: limits.lock. HF_ERR_NOMEM. HF_ERR_OVERFLOW. HF_ERR_STORE, as
 * hf_fault.
 */
enum hf_status hf_mlock_all(struct hf_mm *mm, unsigned flags);
enum hf_status hf_munlock_all(struct hf_mm *mm);

/*
 * Choose whether what hf_mmap, hf_mmap_object and hf_brk map from now on is locked. The call that
 * maps returns HF_ERR_LIMIT if that is too much, but succeeds even if there is no memory to
 * make all of it present. Children begin with OFF. munlockall(2) is OFF and hf_munlock_all.
 * HF_ERR_INVAL: how. HF_ERR_NOMEM.
 */
enum hf_status hf_lock_future(struct hf_mm *mm, enum hf_lock_policy how);

/*
 * Seal the mappings of [va, va+len) for as long as the space lives: mseal(2). From then on,
 * what would unmap, replace, move, resize or protect any of it returns HF_ERR_SEALED and changes
 * nothing; so does advice that would lose contents of private anonymous memory that is not
 * writable (DONTNEED, FREE), or that hides it from children (DONTFORK, WIPEONFORK). Other
 * advice, locks, pins and a stack's growth go on. Children inherit seals.
 * HF_ERR_ALIGN. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_UNMAPPED: a hole. HF_ERR_NOMEM.
 * HF_ERR_OVERFLOW.
 */
enum hf_status hf_mseal(struct hf_mm *mm, hf_va va, uint64_t len);

/*
 * Say where the heap starts, as execve(2) does for a new program: at `start`, any byte of the
 * space. Nothing is mapped yet. Until this call there is no heap. Children inherit it.
 * HF_ERR_RANGE: outside the space, or 0. HF_ERR_BUSY: the heap is not empty.
 */
enum hf_status hf_brk_start(struct hf_mm *mm, hf_va start);

/*
 * Make the heap end at `end`, any byte: brk(2). What it grows by is private anonymous memory,
 * readable and writable; what it shrinks by is unmapped. Both ends are rounded up to whole pages,
 * so what is left of the page that it starts in is not part of it. *now is where it ends
 * after the call, also if the call fails (so that a call with `end` 0 only asks).
 * HF_ERR_RANGE: below its start or outside the space, or there is no heap. HF_ERR_EXIST:
 * something else is mapped in the way, or begins less than a page (a stack: limits.stack_gap)
 * after the new end. HF_ERR_LIMIT: limits.va, or limits.lock by hf_lock_future. HF_ERR_SEALED:
 * what it would shrink by. HF_ERR_NOMEM. HF_ERR_OVERFLOW.
 */
enum hf_status hf_brk(struct hf_mm *mm, hf_va end, hf_va *now);

/* Where a virtual address leads. */
struct hf_translation {
	hf_va va;	 /* first address of the run, 4 KiB aligned */
	hf_pa pa;	 /* its physical address */
	uint64_t len;	 /* bytes of the run, physically contiguous */
	unsigned access; /* HF_ACCESS_* that the tables allow now */
	unsigned level;	 /* of the leaf that maps the address asked for */
};

/*
 * Resolve a page fault (Intel SDM vol. 3A, 4.7; AMD APM vol. 2, 8.2.15): make
 * `access` (exactly one HF_ACCESS_*) at `va` possible: allocate, copy on write, or find
 * that nothing is wrong any more. *out (may be NULL) describes the leaf: va, pa and len
 * are the leaf's own, not widened. What it says may be outdated as soon as the call
 * returns, by any other thread's call; a port that caches translations uses its `fill`
 * instead.
 * The errors in the words of sigaction(2): HF_ERR_INVAL: access.
 * HF_ERR_RANGE, HF_ERR_UNMAPPED: no mapping (SIGSEGV, SEGV_MAPERR).
 * HF_ERR_ACCESS: forbidden (SEGV_ACCERR). HF_ERR_BUS: beyond the end of the object that is
 * mapped there, or its pager failed (SIGBUS). HF_ERR_RETRY: its pager answers later, and the object
 * has `retry` (object.h). HF_ERR_NOMEM. HF_ERR_OVERFLOW.
 * HF_ERR_STORE: the page is in the swap store (swap.h) and could not be read; it stays there.
 * A fault below a mapping of HF_MAP_GROWSDOWN, with nothing mapped between, makes the mapping
 * begin at the page of `va`, if that leaves limits.stack_gap free above the mapping next below
 * (unless that is a stack or PROT_NONE; else HF_ERR_UNMAPPED), and keeps to limits.stack,
 * limits.va and, if it is locked, limits.lock (else HF_ERR_LIMIT: SIGSEGV as well). Pins and copies
 * do not make a stack grow.
 * It has grown even if there is no page then (HF_ERR_NOMEM).
 * Takes mm's lock shared; to make a stack grow, for a moment exclusively.
 */
enum hf_status hf_fault(struct hf_mm *mm, hf_va va, unsigned access, struct hf_translation *out);

/*
 * Where `va` leads now, without changing anything: /proc/self/pagemap of proc(5). *out
 * describes the leaf, as hf_fault does.
 * A page of a PROT_NONE mapping is found, with access 0.
 * HF_ERR_RANGE. HF_ERR_UNMAPPED: no mapping, or no page in memory.
 */
enum hf_status hf_translate(struct hf_mm *mm, hf_va va, struct hf_translation *out);

/*
 * Which pages of [va, va+len) are in memory: mincore(2). One byte for each into `vec`, 1 or 0.
 * Of an object's mapping also those that are in the object and that nobody has touched here.
 * The zero page counts as memory, what is in the swap store does not.
 * HF_ERR_ALIGN: va. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_UNMAPPED: a hole. On these
 * nothing is in `vec`.
 */
enum hf_status hf_mincore(struct hf_mm *mm, hf_va va, uint64_t len, unsigned char *vec);

/*
 * Make `child` (caller-owned storage, not a live space) a copy of `parent` as of one
 * instant: fork(2). Shared mappings lead to the same objects, whose pages the child's own
 * faults find again; fork neither inspects nor write-protects them. Private memory is shared
 * copy-on-write. Pinned pages are copied now, and the parent keeps them
 * at their physical addresses. DONTFORK mappings are absent from the child,
 * WIPEONFORK ones empty. The child inherits the configuration and gets `child_host`.
 *
 * The instant is the one flush of the parent's TLB: a write that completed before it is
 * in the child, one that starts after it is not, also in pinned pages, whichever thread
 * wrote. (What devices write is not held back.) Threads that write meanwhile wait in
 * hf_fault until the pinned pages are copied.
 *
 * HF_ERR_INVAL: policy. HF_ERR_NOMEM, HF_ERR_OVERFLOW: neither space has changed, and
 * `child` is not a space. Takes the parent's lock exclusively.
 */
enum hf_status hf_fork(struct hf_mm *parent, struct hf_mm *child, void *child_host,
		       enum hf_fork_policy policy);

/*
 * Copy `len` bytes between a space, from `va` on, and the caller's memory (hf_read,
 * hf_write); or from `src_va` of one space to `dst_va` of another, or of the same if the
 * two ranges do not overlap (hf_copy): obeying protections and copy-on-write, as copy_to_user and
 * process_vm_readv(2) do. All or nothing: on error no byte has been written.
 * `buf` is the caller's plain memory: touching it must not need a fault of a space (on the
 * Linux port, no pointer into a window: hf_copy copies between spaces). It may be RAM that the
 * range shows; then a byte may arrive as it was, or as this call has made it.
 * hf_copy's two ranges may show the same memory of an object, by shared mappings. Where each of
 * them shows one object without a jump in it (by one mapping or several), bytes arrive as
 * memmove(3) gives them: as they all were before the first is written. Otherwise a byte may arrive
 * as it was, or as this call has made it.
 * A range may have any alignment. Reading absent anonymous memory gives zeros and allocates
 * nothing; pages of objects are brought in.
 * HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE. HF_ERR_UNMAPPED. HF_ERR_ACCESS. HF_ERR_BUS,
 * HF_ERR_RETRY (as for hf_fault). HF_ERR_OVERLAP (hf_copy). HF_ERR_NOMEM, HF_ERR_OVERFLOW (writing, or reading what
 * was in the swap store). HF_ERR_STORE: a page could not be read from there. HF_ERR_INVAL:
 * hf_copy between different physical memories.
 * Bytes that other threads or devices write meanwhile may be seen old or new.
 */
enum hf_status hf_read(struct hf_mm *mm, hf_va va, void *buf, uint64_t len);
enum hf_status hf_write(struct hf_mm *mm, hf_va va, const void *buf, uint64_t len);
enum hf_status hf_copy(struct hf_mm *dst, hf_va dst_va, struct hf_mm *src, hf_va src_va,
		       uint64_t len);

/* One mapping, as the space has it. */
struct hf_vma_info {
	hf_va start, end; /* [start, end) */
	unsigned prot;	  /* HF_PROT_* */
	bool huge;	  /* HUGEPAGE or HUGEPAGE_1G */
	bool huge_1g;
	bool dontfork;
	bool wipeonfork;
	bool shared;		  /* HF_MAP_SHARED */
	bool locked;		  /* hf_mlock */
	bool lock_on_fault;	  /* with HF_MLOCK_ONFAULT */
	bool grows_down;	  /* HF_MAP_GROWSDOWN */
	bool sealed;		  /* hf_mseal */
	struct hf_object *object; /* what it maps, without a reference for the caller; NULL: none */
	uint64_t offset;	  /* in the object, of `start`, in bytes */
};

/*
 * The first mapping that ends above `va`: call again with its end for the next, as one reads
 * the lines of /proc/self/maps in proc(5). HF_ERR_UNMAPPED: none.
 */
enum hf_status hf_vma_next(struct hf_mm *mm, hf_va va, struct hf_vma_info *out);

#endif
