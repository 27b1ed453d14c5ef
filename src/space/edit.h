/* SPDX-License-Identifier: MIT */
/*
 * An edit: a change of what a space maps, that happens whole or not at all.
 *   1. begin: lock the space, keep the tree of mappings as it is;
 *   2. make the new tree beside it;
 *   3. cut: reckon and set aside what the tables at the ranges' ends will take, and cut there;
 *   4. change the tables; nothing can fail any more;
 *   5. end: let the old tree go, or, after a failure in 2 or 3, the new one.
 * Cutting can fail at a count's limit after it has begun, and does not show.
 */
#ifndef HF_EDIT_H
#define HF_EDIT_H

#include "../lib/lock.h"
#include "../phys/reserve.h"
#include "vma.h"

#include <holdfast/mm.h>

struct hf_edit {
	struct hf_mm *mm;
	hf_pfn old;		   /* the mappings as they were */
	bool reclaim_blocked;	   /* reclaim is kept out */
	struct hf_reserve reserve; /* gives: spare frames will do, for the edit only gives back */
	uint64_t mapped, locked;   /* the space's bytes when it is done */
	bool locks_stale;	   /* and whether what the tree says of locks is still another's */
	hf_va fill_lo, fill_hi;	   /* what is to be made present in the end, because it is locked */
};

/* Takes mm's lock exclusively, and keeps reclaim out, until the edit ends. */
HF_TAKES(mm)
struct hf_edit hf_edit_begin(struct hf_mm *mm);
/* Keep the new mappings if all went well (`st` is HF_OK), else the old ones. Returns `st`. */
HF_GIVES(mm)
enum hf_status hf_edit_end(struct hf_edit *e, enum hf_status st);

/* The mappings are not what they were. */
static inline bool hf_edit_changed(const struct hf_edit *e)
{
	return e->mm->vmas.v != e->old.v; /* the old root is held, so a change copies it */
}

/*
 * The mappings of [lo, hi) have become others: count them. HF_ERR_LIMIT: they are more than
 * the space may have, or more of them is locked than may be.
 */
HF_HOLDS(mm)
enum hf_status hf_edit_count(struct hf_edit *e, hf_va lo, hf_va hi);
/*
 * In a space whose tree says what was locked in the one it comes from: make it say what is
 * locked here, which is nothing.
 */
HF_HOLDS(mm)
enum hf_status hf_edit_own_locks(struct hf_edit *e);

/* Make [lo, hi) one mapping as `vma` says, without pages; what was there goes. */
HF_HOLDS(mm)
enum hf_status hf_edit_map(struct hf_edit *e, const struct hf_vma *vma);
/* Take [lo, hi) out: that gives back, so spare frames will do. For both: HF_ERR_SEALED. */
HF_HOLDS(mm)
enum hf_status hf_edit_unmap(struct hf_edit *e, hf_va lo, hf_va hi);
/*
 * Every mapping of [lo, hi), or its part in it, gets flags (flags & keep) | add. Only the
 * tree is changed. HF_ERR_UNMAPPED: there is a hole. HF_ERR_NOMEM.
 */
HF_HOLDS(mm)
enum hf_status hf_edit_flags(struct hf_edit *e, hf_va lo, hf_va hi, uint32_t keep, uint32_t add);
/* Cut tables and leaves at the ends of [lo, hi); everywhere in it with `deep`. */
HF_HOLDS(mm)
enum hf_status hf_edit_cut(struct hf_edit *e, hf_va lo, hf_va hi, bool deep);

/* The flags of what is mapped from now on, by hf_lock_future. mm lock held. */
static inline uint32_t hf_future_locks(const struct hf_mm *mm)
{
	static const uint32_t flags[] = {
		[HF_LOCK_FUTURE_OFF] = 0,
		[HF_LOCK_FUTURE_ON] = HF_VMA_LOCKED,
		[HF_LOCK_FUTURE_ONFAULT] = HF_VMA_LOCKED | HF_VMA_LOCKONFAULT,
	};

	return flags[mm->lock_future];
}

/* Something is mapped in [lo, hi). mm lock held. */
HF_HOLDS_SHARED(mm)
bool hf_occupied(const struct hf_mm *mm, hf_va lo, hf_va hi);
/*
 * What is mapped next above `end` begins, at *start, less than `gap` above it, or, if it is a
 * stack, less than it must have free below. mm lock held.
 */
HF_HOLDS_SHARED(mm)
bool hf_near_stack(const struct hf_mm *mm, hf_va end, uint64_t gap, hf_va *start);
/*
 * [va, va+len) is in the space and free, and a stack above it keeps its gap. mm lock held.
 */
HF_HOLDS_SHARED(mm)
bool hf_room_at(const struct hf_mm *mm, hf_va va, uint64_t len);
/*
 * A stack that begins at `start` has something mapped in the gap below it. Another stack may be
 * there, and what nobody can access is a guard itself. mm lock held.
 */
HF_HOLDS_SHARED(mm)
bool hf_crowded(const struct hf_mm *mm, hf_va start);
/*
 * Where to map `len` bytes: at the hint if that is free, else as high as possible, as far
 * from a multiple of the largest page size that fits as `like` is. Always as far below a stack,
 * and with `stack` (it is one itself) as far above something else, as limits.stack_gap says. mm
 * lock held.
 * HF_ERR_NOSPACE.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_find_gap(const struct hf_mm *mm, hf_va hint, hf_va like, uint64_t len, bool stack,
			   hf_va *out);

#endif
