/* SPDX-License-Identifier: MIT */
/*
 * What the operations on a space share: argument checks, walks down the tables, page
 * faults, changes of ranges. Public functions check arguments, take the mm lock and call
 * these; each says what it wants held.
 */
#ifndef HF_SPACE_H
#define HF_SPACE_H

#include "../object/object.h"
#include "../table/table.h"
#include "vma.h"

static inline uint64_t hf_page_up(uint64_t len)
{
	return (len + HF_PAGE_SIZE - 1) & ~(HF_PAGE_SIZE - 1);
}

static inline hf_va hf_min_va(hf_va a, hf_va b)
{
	return a < b ? a : b;
}

static inline hf_va hf_max_va(hf_va a, hf_va b)
{
	return a > b ? a : b;
}

/*
 * Put a space into its memory's list of spaces. phys->spaces_lock held, shared: who goes
 * through the list, and takes the mm locks of what is in it, holds it exclusively. Takes
 * phys->lock.
 */
void hf_mm_enlist(struct hf_mm *mm);

/*
 * Keep reclaim out while what is mapped or present must not change under this call: takes
 * phys->spaces_lock shared if there is a swap store, and returns whether. Before any mm lock.
 */
static inline bool hf_reclaim_block(struct hf_phys *phys)
{
	bool hold = hf_load_relaxed32(&phys->swapping);

	if (hold)
		hf_lock_shared(phys, phys->spaces_lock);
	return hold;
}

static inline void hf_reclaim_unblock(struct hf_phys *phys, bool blocked)
{
	if (blocked)
		hf_unlock_shared(phys, phys->spaces_lock);
}

/* EMPTY, WRAP, RANGE for [va, va+len) in the space. No lock. */
enum hf_status hf_check_bytes(const struct hf_mm *mm, hf_va va, uint64_t len);
/* The same after ALIGN of va; *len is rounded up to pages. No lock. */
enum hf_status hf_check_pages(const struct hf_mm *mm, hf_va va, uint64_t *len);
/*
 * Every address of [lo, hi) is mapped (else UNMAPPED) and allows `access`, HF_ACCESS_*
 * bits or 0 (else ACCESS). mm lock held.
 */
enum hf_status hf_check_mapped(const struct hf_mm *mm, hf_va lo, hf_va hi, unsigned access);

/*
 * The mapping that is found at `va` or next above it, as the caller of hf_vma_next sees it:
 * without flags that say something of another space's locks, and joined with neighbours
 * that differ in these alone. mm lock held.
 */
bool hf_mapping_next(const struct hf_mm *mm, hf_va va, struct hf_vma *out);

/* Some mapping in [lo, hi) has any of `flags`. mm lock held. */
bool hf_any_with(const struct hf_mm *mm, hf_va lo, hf_va hi, uint32_t flags);
/* Some mapping in [lo, hi) is locked. mm lock held. */
bool hf_any_locked(const struct hf_mm *mm, hf_va lo, hf_va hi);

/* `va`, which is not mapped, lies below a stack. mm lock held. */
bool hf_below_stack(const struct hf_mm *mm, hf_va va);
/*
 * Make the stack above `va` reach down to it. HF_OK also if it does already. HF_ERR_UNMAPPED:
 * there is none, or something is in the way. HF_ERR_LIMIT. HF_ERR_NOMEM. HF_ERR_OVERFLOW.
 * Takes mm's lock exclusively.
 */
enum hf_status hf_stack_grow(struct hf_mm *mm, hf_va va);

/* The mapping is locked. mm lock held. */
bool hf_vma_is_locked(const struct hf_mm *mm, const struct hf_vma *vma);

/* Lock those of the pages in [lo, hi) that its locked mappings want present. mm lock held. */
enum hf_status hf_lock_pages(struct hf_mm *mm, hf_va lo, hf_va hi);

/* A mapping in the words of the public headers. */
struct hf_vma_info hf_vma_describe(const struct hf_vma *vma);

/* Whether the mapping allows all of `access`. */
bool hf_vma_allows(const struct hf_vma *vma, unsigned access);

/*
 * A walk: a position in the tables. The table that `entry` is in is locked; going down
 * takes the child's lock before it lets the parent's go, so nothing can come between.
 * The mm lock is held, shared or exclusive.
 */
struct hf_walk {
	struct hf_mm *mm;
	hf_va va;
	hf_pfn table;
	unsigned level; /* of `table` and `entry` */
	hf_pte *entry;	/* the one for `va` */
	bool exclusive; /* every branch above allows writing: no table on the path is shared */
	bool look;	/* the branch above has LOOK */
};

/*
 * Begin: from the root down through every branch that allows writing, to the first entry
 * that does not. `mark`: set LOOK in the branches on the way.
 */
void hf_walk_start(struct hf_walk *w, struct hf_mm *mm, hf_va va, bool mark);
/* Into the table that *entry, a branch, leads to. */
void hf_walk_down(struct hf_walk *w);
/* Down to what is not a branch: a leaf or nothing. Begins at the root. */
void hf_walk_to(struct hf_walk *w, struct hf_mm *mm, hf_va va);
void hf_walk_end(struct hf_walk *w);

/* HF_ACCESS_* that a leaf gives; `exclusive`: every branch above allows writing. */
unsigned hf_leaf_access(hf_pte leaf, bool exclusive);

/* The leaf at *w->entry as a translation, not widened. */
struct hf_translation hf_walk_translation(const struct hf_walk *w);

/*
 * Where a new block for `va` had best lie, so that memory which is near in the space is
 * near in RAM; and the block itself, counted as mapped once. False: no memory.
 * phys->lock held.
 */
bool hf_place_alloc_locked(struct hf_mm *mm, const struct hf_vma *vma, hf_va va, unsigned level,
			   hf_pfn *out, bool *clean);

/* A frame from which much memory is free, for what has no place yet. phys->lock held. */
void hf_place_block_locked(const struct hf_phys *phys, hf_pfn *out);
/* What lay in [lo, hi) lies at `to` now. mm lock held exclusively; takes phys->lock. */
void hf_place_move(struct hf_mm *mm, hf_va lo, hf_va hi, hf_va to);

/* A fault: what is wanted, and where the walk for it has come to. */
struct hf_resolution {
	struct hf_mm *mm;
	hf_va va;
	unsigned access; /* one HF_ACCESS_* */
	bool unshare;	 /* make the page exclusive, for a pin */

	struct hf_vma vma;
	struct hf_walk walk;
	bool exclusive; /* make every table on the way this space's own */
	bool reserved;	/* the reserve has been filled: nothing can fail for memory now */
	struct hf_reserve reserve;
	hf_pfn block; /* taken for the copy of a small page, else HF_NIL */
	bool block_clean;
	bool from_zero; /* the leaf leads to a zero page */
	enum hf_trace_fault did;
	struct hf_object_page page; /* what the object has here, pfn HF_NIL: not asked yet */
};

/*
 * Resolve the fault. On HF_OK the walk stands at a present leaf that allows the access
 * (and leads to an exclusive page, if `unshare`), its table locked, until hf_resolve_end.
 * On an error everything is released. mm lock held, shared or exclusive.
 */
enum hf_status hf_resolve_begin(struct hf_resolution *f);
void hf_resolve_end(struct hf_resolution *f);
/*
 * The walk stands at an entry that is AWAY: bring the page back, as a leaf there. In a shared
 * table that is for all who share it. HF_ERR_NOMEM, HF_ERR_STORE, HF_ERR_OVERFLOW: it stays there.
 */
enum hf_status hf_resolve_swapped(struct hf_resolution *f);
/* Fault in every page of [lo, hi), which is mapped and allows it. */
enum hf_status hf_resolve_range(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned access);

/* After hf_isolate (range.h): take all pages out of [lo, hi). mm lock held exclusively. */
void hf_zap(struct hf_mm *mm, hf_va lo, hf_va hi);
/*
 * Take write permission from every leaf in [lo, hi), a part of a shared mapping, and flush. (All
 * tables on the way are this space's own, as fork leaves them.) Same lock.
 */
void hf_wrprotect_shared(struct hf_mm *mm, hf_va lo, hf_va hi);
/* After hf_isolate, deep: every leaf in [lo, hi) gets protection `prot`. Same lock. */
void hf_protect(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned prot);

#endif
