/* SPDX-License-Identifier: MIT */
/*
 * Collapse. All under the mm's exclusive lock:
 *   1. inspect the pages: nothing that is pinned may move;
 *   2. take a huge block, unless they lie together in one already; own the way to the entry;
 *   3. hide the entry, and flush: no CPU uses the pages any more;
 *   4. copy them, set the huge leaf, let the tables and pages go.
 * 1 and 2 can fail.
 */
#include "collapse.h"

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/trace.h"
#include "../phys/block.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/zero.h"
#include "../space/edit.h"
#include "../space/vma.h"
#include "../table/place.h"
#include "../table/table.h"
#include "../table/visit.h"
#include "../table/walk.h"

#include <holdfast/mm.h>
#include <holdfast/trace.h>

/* ---- Looking ---- */

HF_HOLDS(phys)
static void look_at_page(struct hf_part *p, const struct hf_visited *v)
{
	struct hf_phys *phys = p->mm->phys;
	hf_pfn pfn = hf_pte_pfn(v->e);
	uint64_t pages = (uint64_t)1 << hf_level_order(v->level);
	bool once = hf_visited_exclusive_locked(phys, v);

	if (v->va == p->va)
		p->first = pfn;
	*(once ? &p->pages : &p->shared) += pages;
	p->in_place = p->in_place && once &&
		      pfn.v - p->first.v == (uint32_t)((v->va - p->va) >> HF_PAGE_SHIFT);
	p->pinned = p->pinned || hf_pinned_locked(phys, pfn, v->level);
	p->accessed = p->accessed || hf_leaf_accessed(v->e);
}

HF_HOLDS(phys)
static bool look_at_entry(void *arg, const struct hf_visited *v)
{
	struct hf_part *p = arg;

	if (v->level >= p->level) { /* no table below: huge already, or nothing */
		p->huge = hf_pte_leaf(v->e, v->level);
		p->empty = hf_pte_none(v->e) ? (uint64_t)1 << hf_level_order(p->level) : 0;
	} else if (hf_pte_swapped(v->e)) {
		p->swapped = true;
	} else if (hf_pte_none(v->e) || hf_is_zero_locked(p->mm->phys, hf_pte_pfn(v->e))) {
		p->empty += (uint64_t)1 << hf_level_order(v->level);
	} else {
		look_at_page(p, v);
	}
	return true;
}

bool hf_part_inspect(struct hf_part *part, struct hf_mm *mm, hf_va va, unsigned level)
{
	const struct hf_visitor visitor = { .entry = look_at_entry, .arg = part };
	hf_va end = va + hf_level_size(level);

	*part = (struct hf_part){ .mm = mm, .va = va, .level = level, .in_place = true };
	part->first.v = HF_NIL;
	if (!hf_vmas_next(mm->phys, mm->vmas, va, &part->vma) || part->vma.start > va ||
	    part->vma.end < end || !hf_vma_is_anon(&part->vma))
		return false;
	hf_phys_lock(mm->phys);
	hf_visit_locked(mm, va, end, &visitor);
	part->in_place = part->in_place && !part->empty && !part->swapped &&
			 part->first.v != HF_NIL &&
			 hf_block_base(part->first, level).v == part->first.v &&
			 hf_block(mm->phys, part->first, level);
	hf_phys_unlock(mm->phys);
	return true;
}

/* ---- Collapsing ---- */

/* The entry for the part. The tables on the way are there. */
static hf_pte *entry_of(const struct hf_part *p)
{
	return hf_table_find(p->mm->phys, p->mm->root, HF_TOP_LEVEL, p->va, p->level).entry;
}

/* The block that the huge leaf will lead to, counted as mapped once by it. */
static bool collapse_block(const struct hf_part *p, hf_pfn *block, bool *clean)
{
	struct hf_phys *phys = p->mm->phys;
	const struct hf_place place = {
		.root = p->mm->root,
		.top = HF_TOP_LEVEL,
		.table = { HF_NIL },
		.lo = p->vma.start,
		.hi = p->vma.end,
		.va = p->va,
		.level = p->level,
	};
	bool ok;

	hf_phys_lock(phys);
	if (p->in_place) {
		*block = p->first;
		ok = hf_map_get_locked(phys, *block, p->level);
	} else {
		ok = hf_place_alloc_locked(phys, &place, block, clean);
		if (ok)
			hf_map_count_locked(phys, *block, p->level, true);
	}
	hf_phys_unlock(phys);
	if (ok && !p->in_place)
		hf_block_prepare(phys, *block, p->level);
	return ok;
}

static void give_block(const struct hf_part *p, hf_pfn block)
{
	struct hf_phys *phys = p->mm->phys;

	hf_phys_lock(phys);
	hf_map_put_locked(phys, block, p->level);
	hf_phys_unlock(phys);
}

/* Where pages go, and what they were marked as, all together. */
struct move {
	struct hf_phys *phys;
	bool in_place, clean;
	hf_pte marks;
};

/* What entry `e` at `level` leads to goes to the block at `to`; where it has nothing, zeros. */
static void move_into(struct move *m, hf_pte e, hf_pfn to, unsigned level)
{
	const hf_pte *entries;

	if (hf_pte_branch(e, level)) {
		entries = hf_table_entries(m->phys, hf_pte_pfn(e));
		for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
			move_into(m, hf_pte_get(&entries[i]), hf_block_part(to, level, i),
				  level - 1);
	} else if (hf_pte_leaf(e, level)) {
		m->marks = hf_leaf_add_marks(m->marks, e);
		if (!m->in_place)
			hf_block_copy(m->phys, to, hf_pte_pfn(e), hf_level_order(level));
	} else if (!m->clean) {
		hf_block_clear(m->phys, to, hf_level_order(level));
	}
}

/* Phases 3 and 4. */
HF_HOLDS(mm)
static void collapse_into(const struct hf_part *p, hf_pfn block, bool clean)
{
	struct hf_mm *mm = p->mm;
	struct move m = { .phys = mm->phys, .in_place = p->in_place, .clean = clean };
	hf_pte *entry = entry_of(p), old, leaf;

	old = hf_pte_update(entry, hf_pte_mkhidden);
	hf_flush_tlb(mm, p->va, hf_level_size(p->level), HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	move_into(&m, old, block, p->level);
	leaf = hf_leaf_make(block, p->level, hf_vma_prot(&p->vma));
	if (p->vma.flags & HF_PROT_WRITE)
		leaf = hf_leaf_mkwrite(leaf);
	hf_pte_set(entry, hf_leaf_add_marks(leaf, m.marks));
	hf_table_put(mm->phys, hf_pte_pfn(old), p->level - 1);
	HF_TRACE(mm->phys, .what = HF_TRACE_COLLAPSE, .mm = mm, .va = p->va, .level = p->level,
		 .kind = p->in_place ? HF_COLLAPSE_IN_PLACE : HF_COLLAPSE_COPIED,
		 .len = hf_level_size(p->level));
}

enum hf_status hf_part_collapse(struct hf_edit *e, const struct hf_part *p)
{
	enum hf_status st;
	hf_pfn block;
	bool clean = false;

	if (p->huge)
		return HF_OK;
	if (p->pinned || p->swapped)
		return HF_ERR_AGAIN;
	if (!p->pages && !p->shared)
		return HF_ERR_INVAL;
	if (!collapse_block(p, &block, &clean))
		return HF_ERR_NOMEM;
	st = hf_edit_cut(e, p->va, p->va + hf_level_size(p->level), false);
	if (st)
		give_block(p, block);
	else
		collapse_into(p, block, clean);
	return st;
}
