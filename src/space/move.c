/* SPDX-License-Identifier: MIT */
/*
 * Moving entries. Where the old and the new address are alike modulo the size of an entry,
 * and the range covers it, the entry goes as it is, with all that is below: a table does
 * not know its address, so counts stay as they are, and a table that is shared (and
 * write-protected by this very entry) is shared afterwards. Larger entries are
 * entered or split by hf_isolate first.
 *
 *   1. hide the old entries, and the tables that will be empty and are not on the way
 *      to the new ones; flush;
 *   2. take each out and put it at its new place, below tables that are made as needed.
 */
#include "move.h"

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../phys/reserve.h"
#include "../table/place.h"
#include "../table/table.h"
#include "range.h"
#include "vma.h"

#include <holdfast/mm.h>

struct hf_move hf_move_plan(struct hf_mm *mm, hf_va lo, hf_va hi, hf_va to,
			    struct hf_reserve *reserve)
{
	unsigned level = HF_TOP_LEVEL;

	while ((to - lo) & (hf_level_size(level) - 1))
		level--;
	return (struct hf_move){
		.from = {
			.mm = mm,
			.lo = lo,
			.hi = hi,
			.branches = level,
			.leaves = level,
			.stay_lo = to,
			.stay_hi = to + (hi - lo),
		},
		.to = to,
		.reserve = reserve,
	};
}

static hf_va moved(const struct hf_move *m, hf_va va)
{
	return va - m->from.lo + m->to;
}

/* ---- Reckoning ---- */

struct need {
	const struct hf_move *m;
	hf_va base[HF_LEVELS_MAX]; /* by level: of the last table that was counted */
	bool any[HF_LEVELS_MAX];
	uint64_t tables;
};

/*
 * Tables for an entry at `level` that goes to `va`: one at each level from its own up to
 * below the root, unless counted. Asked in rising order of addresses. (Some may be there.)
 */
static void need_at(struct need *n, hf_va va, unsigned level)
{
	for (; level < HF_TOP_LEVEL; level++) {
		hf_va base = hf_level_base(va, level + 1);

		if (n->any[level] && n->base[level] == base)
			return; /* and so are those above */
		n->any[level] = true;
		n->base[level] = base;
		n->tables++;
	}
}

/* What a leaf becomes when it is split as far as it must be. */
static void move_need_for_leaf(struct need *n, hf_va base, unsigned level)
{
	const struct hf_range *r = &n->m->from;
	const uint64_t size = hf_level_size(level);

	if (r->hi <= base || r->lo >= base + size)
		return;
	if (r->lo <= base && r->hi >= base + size && level <= r->leaves) {
		need_at(n, moved(n->m, base), level);
		return;
	}
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		move_need_for_leaf(n, base + i * hf_level_size(level - 1), level - 1);
}

static void move_need_for_table(struct need *n, hf_pfn table, hf_va base, unsigned level)
{
	const struct hf_range *r = &n->m->from;

	hf_each_spot(s, r, table, base, level) {
		if (s.whole)
			need_at(n, moved(n->m, s.va), level);
		else if (hf_pte_branch(s.e, level))
			move_need_for_table(n, hf_pte_pfn(s.e), s.va, level - 1);
		else
			move_need_for_leaf(n, s.va, level);
	}
}

uint64_t hf_move_need(const struct hf_move *m)
{
	struct need n = { .m = m };

	move_need_for_table(&n, m->from.mm->root, 0, HF_TOP_LEVEL);
	return n.tables;
}

/* ---- Moving ---- */

/*
 * The table at `level` for `va`, and those above, of this space's own. `look`: fork must come
 * there.
 */
static hf_pfn table_for(struct hf_move *m, hf_va va, unsigned level, bool look)
{
	struct hf_mm *mm = m->from.mm;
	hf_pfn table = mm->root;

	for (unsigned l = HF_TOP_LEVEL; l > level; l--) {
		hf_pte *entry = hf_table_entries(mm->phys, table) + hf_table_index(va, l);

		if (hf_pte_none(hf_pte_get(entry)))
			hf_table_publish(mm->phys, table, hf_table_index(va, l), l,
					 hf_branch_make(hf_table_new(mm->phys, m->reserve)));
		if (look && !hf_branch_look(hf_pte_get(entry)))
			hf_pte_update(entry, hf_branch_mklook);
		table = hf_pte_pfn(hf_pte_get(entry));
	}
	return table;
}

/* A leaf that was hidden, as its mapping wants it. */
static hf_pte leaf_shown(struct hf_move *m, hf_pte e, hf_va va)
{
	const struct hf_mm *mm = m->from.mm;

	if (va >= m->vma.end)
		hf_vmas_next(mm->phys, mm->vmas, va, &m->vma);
	return hf_vma_prot(&m->vma) == HF_PROT_NONE ? e : hf_pte_mkshown(e);
}

/* An entry that has been taken out. `look`: the branch above it had LOOK. */
HF_HOLDS_SHARED(mm)
static void put_moved(struct hf_move *m, hf_pte e, hf_va va, unsigned level, bool look)
{
	struct hf_phys *phys = m->from.mm->phys;
	hf_pfn table;

	if (hf_pte_branch(e, level)) {
		look = hf_branch_look(e);
		e = hf_pte_mkshown(e);
		m->from.mm->moved = true;
	} else if (hf_pte_leaf(e, level)) {
		e = leaf_shown(m, e, va);
	}
	look |= m->unshared && hf_unshared_in(m->from.mm, va, level);
	table = table_for(m, va, level, look);
	if (hf_pte_branch(e, level) && hf_branch_writable(e))
		hf_table_publish(phys, table, hf_table_index(va, level), level,
				 hf_branch_wrprotect(e));
	else
		hf_table_fill(phys, table, hf_table_index(va, level), e);
	if (level == HF_LEVEL_PTE && hf_pte_leaf(e, level))
		hf_place_note(phys, table, va); /* nobody else comes to the table */
}

HF_HOLDS_SHARED(mm)
static void move_table(struct hf_move *m, hf_pfn table, hf_va base, unsigned level, bool look)
{
	const struct hf_range *r = &m->from;

	hf_each_spot(s, r, table, base, level) {
		if (!s.whole)
			move_table(m, hf_pte_pfn(s.e), s.va, level - 1, hf_branch_look(s.e));
		if (s.whole || hf_pte_hidden(s.e))
			hf_pte_set(s.entry, (hf_pte){ 0 });
		if (s.whole)
			put_moved(m, s.e, moved(m, s.va), level, look);
		else if (hf_pte_hidden(s.e))
			hf_table_put(r->mm->phys, hf_pte_pfn(s.e), level - 1);
	}
}

void hf_move_tables(struct hf_move *m)
{
	struct hf_mm *mm = m->from.mm;
	struct hf_vma v;

	m->unshared = hf_vmas_next_with(mm->phys, mm->vmas, m->to, HF_VMA_UNSHARED, &v);
	hf_range_hide(&m->from);
	move_table(m, mm->root, 0, HF_TOP_LEVEL, true);
}
