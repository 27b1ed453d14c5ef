/* SPDX-License-Identifier: MIT */
/*
 * Ranges of addresses and the tables below them. Everything that changes a range goes down
 * the tables in the same way: the entries of a table that the range touches, each of which
 * it covers whole or in part. All under the mm's exclusive lock.
 */
#ifndef HF_RANGE_H
#define HF_RANGE_H

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../phys/reserve.h"
#include "../table/table.h"

#include <holdfast/mm.h>

struct hf_range {
	struct hf_mm *mm;
	hf_va lo, hi;
	/*
	 * An entry that the range covers whole is dealt with as one: but a branch above the
	 * one level is entered, and a leaf above the other is split.
	 */
	unsigned branches, leaves;
	/* Tables for these addresses stay, even if nothing is left in them. */
	hf_va stay_lo, stay_hi;
};

/* What is covered whole stays whole. */
static inline struct hf_range hf_range_ends(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	return (struct hf_range){
		.mm = mm, .lo = lo, .hi = hi, .branches = HF_TOP_LEVEL, .leaves = HF_TOP_LEVEL
	};
}

/* Every table is entered; leaves stay whole. */
static inline struct hf_range hf_range_deep(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	return (struct hf_range){ .mm = mm, .lo = lo, .hi = hi, .leaves = HF_TOP_LEVEL };
}

/* The indices of the entries that it touches in the table at `level` that begins at `base`. */
static inline unsigned hf_range_first(const struct hf_range *r, hf_va base, unsigned level)
{
	return hf_first_index(r->lo, base, level);
}

static inline unsigned hf_range_end(const struct hf_range *r, hf_va base, unsigned level)
{
	return hf_end_index(r->hi, base, level);
}

/* One entry of a table as a range sees it, and where the walk over the table has come to. */
struct hf_spot {
	hf_pte *entry;
	hf_pte e; /* as it was read: not empty */
	hf_va va; /* first address of the entry */
	unsigned level;
	bool whole; /* the range covers it and deals with it as one */

	hf_pfn table;
	hf_va base; /* the table's first address */
	uint64_t marks;
	unsigned index, end;
};

static inline struct hf_spot hf_spot_begin(const struct hf_range *r, hf_pfn table, hf_va base,
					   unsigned level)
{
	return (struct hf_spot){
		.level = level,
		.table = table,
		.base = base,
		.marks = hf_table_marks(r->mm->phys, table),
		.index = hf_range_first(r, base, level),
		.end = hf_range_end(r, base, level),
	};
}

/* To the next entry from s->index on that is not empty. */
static inline bool hf_spot_next(const struct hf_range *r, struct hf_spot *s)
{
	hf_pte *entries = hf_table_entries(r->mm->phys, s->table);
	const hf_va size = hf_level_size(s->level);

	do {
		s->index = hf_next_marked(s->marks, s->index, s->end);
		if (s->index == s->end)
			return false;
		s->entry = &entries[s->index];
		s->e = hf_pte_get(s->entry);
	} while (hf_pte_none(s->e) && s->index++ < s->end);
	s->va = s->base + s->index * size;
	s->whole = r->lo <= s->va && s->va + size <= r->hi &&
		   s->level <= (hf_pte_branch(s->e, s->level) ? r->branches : r->leaves);
	return true;
}

/* Every entry of a table that is not empty and that the range touches. */
#define hf_each_spot(s, r, table, base, level)                                               \
	for (struct hf_spot s = hf_spot_begin(r, table, base, level); hf_spot_next(r, &(s)); \
	     (s).index++)

/*
 * Make tables and leaves end where a range does: make every table that it enters this space's
 * own, and split every leaf that it does not deal with as one. Marks the branches it goes
 * through that need LOOK, now that the mappings have changed. hf_isolate_need
 * says how many frames that takes. mm lock held exclusively.
 * HF_ERR_OVERFLOW: some may have been done, none shows.
 */
HF_HOLDS(mm)
uint64_t hf_isolate_need(const struct hf_range *r);
HF_HOLDS(mm)
enum hf_status hf_isolate(const struct hf_range *r, struct hf_reserve *reserve);

/*
 * After hf_isolate: hide from the hardware what the range covers, and the tables of which nothing
 * stays, and make every CPU forget it. The entries keep where they lead. Same lock.
 */
HF_HOLDS(mm)
void hf_range_hide(const struct hf_range *r);

/* Some of the entry's addresses are of a mapping that fork does not share. mm lock held. */
HF_HOLDS_SHARED(mm)
bool hf_unshared_in(const struct hf_mm *mm, hf_va va, unsigned level);

/* After hf_isolate (range.h): take all pages out of [lo, hi). mm lock held exclusively. */
HF_HOLDS(mm)
void hf_zap(struct hf_mm *mm, hf_va lo, hf_va hi);
/*
 * Take write permission from every leaf in [lo, hi), a part of a shared mapping, and flush. (All
 * tables on the way are this space's own, as fork leaves them.) Same lock.
 */
HF_HOLDS(mm)
void hf_wrprotect_shared(struct hf_mm *mm, hf_va lo, hf_va hi);
/* After hf_isolate, deep: every leaf in [lo, hi) gets protection `prot`. Same lock. */
HF_HOLDS(mm)
void hf_protect(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned prot);

#endif
