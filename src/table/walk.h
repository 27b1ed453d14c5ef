/* SPDX-License-Identifier: MIT */
/* Walks down the tables. */
#ifndef HF_WALK_H
#define HF_WALK_H

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "table.h"

#include <holdfast/mm.h>

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
HF_HOLDS_SHARED(mm)
HF_UNCHECKED
void hf_walk_start(struct hf_walk *w, struct hf_mm *mm, hf_va va, bool mark);
/* Into the table that *entry, a branch, leads to. */
HF_HOLDS_SHARED(mm)
HF_UNCHECKED
void hf_walk_down(struct hf_walk *w);
/* Down to what is not a branch: a leaf or nothing. Begins at the root. */
HF_HOLDS_SHARED(mm)
HF_UNCHECKED
void hf_walk_to(struct hf_walk *w, struct hf_mm *mm, hf_va va);
HF_HOLDS_SHARED(mm)
HF_UNCHECKED
void hf_walk_end(struct hf_walk *w);
/* Fill its entry, which is empty. The table is this space's own. */
static inline void hf_walk_fill(const struct hf_walk *w, hf_pte e)
{
	hf_table_fill(w->mm->phys, w->table, hf_table_index(w->va, w->level), e);
}

/*
 * The entry for `va` (in an object: an offset) at `level`, or above it where there is no branch.
 * From a root at `top` down, without a table's lock: nobody else may change the way, for its mm is
 * locked exclusively, or its object is.
 */
struct hf_found {
	hf_pfn table;
	unsigned level;
	hf_pte *entry;
};
struct hf_found hf_table_find(const struct hf_phys *phys, hf_pfn root, unsigned top, hf_va va,
			      unsigned level);

/* HF_ACCESS_* that a leaf gives; `exclusive`: every branch above allows writing. */
unsigned hf_leaf_access(hf_pte leaf, bool exclusive);

/* The leaf at *w->entry as a translation, not widened. */
struct hf_translation hf_walk_translation(const struct hf_walk *w);

#endif
