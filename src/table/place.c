/* SPDX-License-Identifier: MIT */
/*
 * Placement. The distance between virtual and physical addresses is to be the same all over a
 * mapping: then neighbouring pages make one run in a scatter list and one mapping in a host's
 * page tables, in whatever order they are touched, and huge pages fit.
 *
 * Nobody keeps that distance. The page tables have it: a leaf says where its neighbours had best
 * lie. Asked are, in this order,
 *   1. the leaves beside the new one, and those beside the one that this table got last;
 *   2. the nearest entries for the same mapping in the table above: huge leaves, and tables by the
 *      leaf that they got last;
 *   3. nobody: the page begins a new place, in a free block that all of the mapping fits in, or
 *   else
 *      in the largest.
 * A frame that is taken is passed over. Nothing is set aside: places are far from each other
 * because the blocks that they begin in are, and frames for tables keep away from both.
 *
 * A copy of a page must not go by the leaves that are shared as its original is, whose neighbours
 * are taken. It goes by those that allow writing: they are the space's own.
 */
#include "place.h"

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../phys/buddy.h"
#include "../phys/frame.h"
#include "../phys/zero.h"
#include "table.h"
#include "walk.h"

#include <holdfast/phys.h>

/*
 * A table notes which four of its entries got the last new page, in fields that it has no other use
 * for.
 */
#define GROUP 4

void hf_place_note(const struct hf_phys *phys, hf_pfn table, hf_va va)
{
	struct hf_frame *f = hf_frame_at(phys, table);

	f->order = (hf_table_index(va, HF_LEVEL_PTE) / GROUP) & HF_ORDER_MASK;
	f->clean = true;
}

/* The search for a frame: candidates are tried as they are found. */
struct search {
	struct hf_phys *phys;
	const struct hf_place *p;
	hf_pfn *out;
	bool *clean;
	bool got;
	unsigned tries; /* that are left */
	unsigned most;	/* the largest order of a free block that may be broken */
};

/* The page goes to `pfn`, if that is free and a block of its size begins there. */
HF_HOLDS(phys)
static bool take(struct search *s, uint32_t pfn)
{
	unsigned order = hf_level_order(s->p->level);

	s->tries--;
	if (!(pfn & ((1u << order) - 1)))
		s->got = hf_block_alloc_at_locked(s->phys, order, (hf_pfn){ pfn }, s->most,
						  s->clean);
	s->out->v = pfn;
	return s->got;
}

/* A leaf that the page may go by. */
HF_HOLDS(phys)
static bool guides(const struct search *s, hf_pte e, unsigned level)
{
	if (!hf_pte_leaf(e, level))
		return false;
	return hf_pte_writable(e, level) ||
	       !(s->p->copy || hf_is_zero_locked(s->phys, hf_pte_pfn(e)));
}

/* The first page of leaf `e` lies `distance` pages below this one. */
HF_HOLDS(phys)
static bool follow(struct search *s, hf_pte e, unsigned level, uint32_t distance)
{
	return guides(s, e, level) && take(s, hf_pte_pfn(e).v + distance);
}

/*
 * Of the four leaves that a table got its last new page in, the first that guides. *index is its
 * own.
 */
HF_HOLDS(phys)
static bool last_leaf(const struct search *s, hf_pfn table, hf_pte *e, unsigned *index)
{
	const struct hf_frame *f = hf_frame_at(s->phys, table);
	const hf_pte *entries = hf_table_entries(s->phys, table);
	unsigned first = f->order * GROUP;

	for (unsigned i = first; f->clean && i < first + GROUP; i++) {
		*e = hf_pte_get(&entries[i]);
		*index = i;
		if (guides(s, *e, HF_LEVEL_PTE))
			return true;
	}
	return false;
}

/* 1: in the page's own table. */
HF_HOLDS(phys)
static bool in_table(struct search *s)
{
	const hf_pte *e = hf_table_entries(s->phys, s->p->table);
	unsigned i = hf_table_index(s->p->va, HF_LEVEL_PTE), last;
	hf_pte leaf;

	if (i && follow(s, hf_pte_get(&e[i - 1]), HF_LEVEL_PTE, 1))
		return true;
	if (i + 1 < HF_TABLE_ENTRIES && follow(s, hf_pte_get(&e[i + 1]), HF_LEVEL_PTE, -1u))
		return true;
	return last_leaf(s, s->p->table, &leaf, &last) && take(s, hf_pte_pfn(leaf).v + i - last);
}

/* The entry `e` at `level`, at `base`, is what the page goes by, if it says anything. */
HF_HOLDS(phys)
static void ask_entry(struct search *s, hf_pte e, unsigned level, hf_va base)
{
	uint32_t distance =
		(uint32_t)((hf_level_base(s->p->va, s->p->level) - base) >> HF_PAGE_SHIFT);
	unsigned last;

	if (hf_pte_none(e))
		return;
	if (level == HF_LEVEL_PMD && hf_pte_branch(e, level) &&
	    (hf_pte_writable(e, level) || !s->p->copy)) {
		if (last_leaf(s, hf_pte_pfn(e), &e, &last))
			take(s, hf_pte_pfn(e).v + distance - last);
	} else {
		follow(s, e, level, distance);
	}
}

/* 2: in the table above, the nearest on each side. */
HF_HOLDS(phys)
static bool in_table_above(struct search *s)
{
	const struct hf_place *p = s->p;
	unsigned level = p->level < HF_LEVEL_PMD ? HF_LEVEL_PMD : p->level;
	hf_va start = hf_level_base(p->va, level + 1);
	unsigned first = hf_first_index(p->lo, start, level);
	unsigned end = hf_end_index(p->hi, start, level);
	unsigned at = hf_table_index(p->va, level), below = at, above = at + 1, i;
	struct hf_found found;
	uint64_t marks;

	if (p->root.v == HF_NIL || p->top < level || end - first == 1)
		return false;
	found = hf_table_find(s->phys, p->root, p->top, p->va, level);
	if (found.level != level)
		return false;
	marks = hf_table_marks(s->phys, found.table);
	for (s->tries = 2; s->tries && !s->got;) {
		below = hf_end_marked(marks, first, below);
		above = hf_next_marked(marks, above, end);
		if (below == first && above == end)
			break;
		if (above == end || (below > first && at - (below - 1) <= above - at))
			i = --below;
		else
			i = above++;
		ask_entry(s, hf_pte_get(found.entry - at + i), level,
			  start + i * hf_level_size(level));
	}
	return s->got;
}

/* A free block to begin in, for `pages` pages. */
HF_HOLDS(phys)
static bool find_block(const struct search *s, uint64_t pages, hf_pfn *block, unsigned *order)
{
	unsigned want = 0;

	while (want < s->most && (uint64_t)1 << want < pages)
		want++;
	return hf_block_fit_locked(s->phys, want, s->most, block, order);
}

/*
 * 3: a place of its own; for a mapping that is larger than the block, for as much around the page
 * as the block has, naturally aligned, so that other parts get places of their own. Multiples of a
 * huge page's size lie at multiples of it, if the block is as large.
 */
HF_HOLDS(phys)
static bool anew(struct search *s)
{
	uint32_t huge =
		1u << hf_level_order(s->p->level < HF_LEVEL_PMD ? HF_LEVEL_PMD : s->p->level);
	uint64_t page = hf_level_base(s->p->va, s->p->level) >> HF_PAGE_SHIFT, size;
	uint64_t lo = (s->p->lo >> HF_PAGE_SHIFT) & ~(uint64_t)(huge - 1);
	uint64_t hi = ((s->p->hi - 1) >> HF_PAGE_SHIFT | (huge - 1)) + 1;
	unsigned own = hf_level_order(s->p->level), order;
	hf_pfn block;

	if (!find_block(s, hi - lo, &block, &order))
		return false;
	size = (uint64_t)1 << order;
	if (hi - lo > size || size < huge)
		lo = page & ~(size - 1);
	s->out->v = block.v + (uint32_t)(page - lo);
	if (order < own || (s->out->v & ((1u << own) - 1)))
		return false;
	return hf_block_alloc_part_locked(s->phys, block, own, *s->out, s->clean);
}

/* The largest order below that of a huge page: what is broken already. */
#define BROKEN (HF_TABLE_BITS - 1)

/*
 * Outside of its neighbours' block: at least half of what is free is left in blocks that can become
 * huge pages. Pages that lie far apart, and each alone, would break them all.
 */
HF_HOLDS(phys)
static bool elsewhere(struct search *s)
{
	if (s->p->level == HF_LEVEL_PTE &&
	    2 * hf_frames_free_locked(s->phys, BROKEN + 1) < s->phys->free_frames)
		s->most = BROKEN;
	return in_table_above(s) || anew(s);
}

bool hf_place_alloc_locked(struct hf_phys *phys, const struct hf_place *p, hf_pfn *out, bool *clean)
{
	struct search s = {
		.phys = phys,
		.p = p,
		.out = out,
		.clean = clean,
		.most = HF_MAX_ORDER,
	};
	bool small = p->level == HF_LEVEL_PTE && p->table.v != HF_NIL;

	if (!(small && in_table(&s)) && !elsewhere(&s) &&
	    !hf_block_alloc_locked(phys, hf_level_order(p->level), out, clean))
		return false;
	if (small)
		hf_place_note(phys, p->table, p->va);
	return true;
}
