/* SPDX-License-Identifier: MIT */
/*
 * Changes of whole ranges: cut tables and leaves at the range's ends, then take pages
 * out, change their protection, or mark them for fork.
 */
#include "range.h"

#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../phys/reserve.h"
#include "../table/table.h"
#include "mm.h"
#include "vma.h"

#include <holdfast/mm.h>

/* Tables needed so that the range can deal as one with all that it covers of a leaf. */
static uint64_t isolate_need_for_leaf(const struct hf_range *r, hf_va base, unsigned level)
{
	const uint64_t size = hf_level_size(level), part = hf_level_size(level - 1);
	uint64_t need = 1;

	if (r->hi <= base || r->lo >= base + size)
		return 0;
	if (r->lo <= base && r->hi >= base + size && level <= r->leaves)
		return 0;
	for (hf_va va = base; level - 1 > HF_LEVEL_PTE && va < base + size; va += part)
		need += isolate_need_for_leaf(r, va, level - 1);
	return need;
}

/* Below a shared table every table is shared, whatever its own count says. */
static uint64_t isolate_need_for_table(const struct hf_range *r, hf_pfn table, hf_va base,
				       unsigned level, bool shared)
{
	struct hf_phys *phys = r->mm->phys;
	uint64_t need = 0;

	hf_each_spot(s, r, table, base, level) {
		if (s.whole)
			continue;
		if (hf_pte_leaf(s.e, level)) {
			need += isolate_need_for_leaf(r, s.va, level);
		} else if (hf_pte_branch(s.e, level)) {
			bool below = shared || hf_table_shared(phys, hf_pte_pfn(s.e));

			need += below;
			need += isolate_need_for_table(r, hf_pte_pfn(s.e), s.va, level - 1, below);
		}
	}
	return need;
}

uint64_t hf_isolate_need(const struct hf_range *r)
{
	return isolate_need_for_table(r, r->mm->root, 0, HF_TOP_LEVEL, false);
}

bool hf_unshared_in(const struct hf_mm *mm, hf_va va, unsigned level)
{
	return hf_any_with(mm, va, va + hf_level_size(level), HF_VMA_UNSHARED);
}

/*
 * A branch that lay whole in a mapping that fork does not share may lie on its border after
 * this edit. Fork passed it over as a whole until now, and must look inside from now on.
 */
HF_HOLDS_SHARED(mm)
static enum hf_status isolate(const struct hf_range *r, hf_pfn table, hf_va base, unsigned level,
			      bool look, struct hf_reserve *reserve)
{
	enum hf_status st = HF_OK;

	hf_each_spot(s, r, table, base, level) {
		hf_pte e;

		if (s.whole)
			continue;
		if (hf_pte_leaf(s.e, level))
			st = hf_table_split(r->mm, s.entry, level, s.va, look, reserve);
		else
			st = hf_table_make_exclusive(r->mm, s.entry, level - 1, s.va, reserve);
		if (st)
			break;
		if (hf_unshared_in(r->mm, s.va, level))
			hf_pte_update(s.entry, hf_branch_mklook);
		e = hf_pte_get(s.entry);
		st = isolate(r, hf_pte_pfn(e), s.va, level - 1, hf_branch_look(e), reserve);
		if (st)
			break;
	}
	return st;
}

enum hf_status hf_isolate(const struct hf_range *r, struct hf_reserve *reserve)
{
	HF_ASSERT_MM_EXCLUSIVE(r->mm);
	return isolate(r, r->mm->root, 0, HF_TOP_LEVEL, true, reserve);
}

/* The entry may lead to tables that are still wanted. */
static bool stays(const struct hf_range *r, const struct hf_spot *s)
{
	return s->va < r->stay_hi && s->va + hf_level_size(s->level) > r->stay_lo;
}

/* Nothing is in a table but at [first, end). */
static bool empty_but_for(struct hf_phys *phys, hf_pfn table, unsigned first, unsigned end)
{
	const hf_pte *e = hf_table_entries(phys, table);
	const uint64_t marks = hf_table_marks(phys, table);

	hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES)
		if ((i < first || i >= end) && !hf_pte_none(hf_pte_get(&e[i])))
			return false;
	return true;
}

/*
 * Hide every entry that goes. A table of which nothing stays goes as a whole. Returns
 * whether it does.
 */
static bool hide(const struct hf_range *r, hf_pfn table, hf_va base, unsigned level, bool *changed)
{
	bool goes = true;

	hf_each_spot(s, r, table, base, level) {
		bool out = s.whole ||
			   (hide(r, hf_pte_pfn(s.e), s.va, level - 1, changed) && !stays(r, &s));

		if (out && hf_pte_swapped(s.e))
			continue;
		if (out) {
			*changed |= !hf_pte_hidden(s.e); /* even if unarmed: leaves may be cached */
			hf_pte_update(s.entry, hf_pte_mkhidden);
		} else {
			goes = false;
		}
	}
	return goes && empty_but_for(r->mm->phys, table, hf_range_first(r, base, level),
				     hf_range_end(r, base, level));
}

void hf_range_hide(const struct hf_range *r)
{
	bool changed = false;

	HF_ASSERT_MM_EXCLUSIVE(r->mm);
	hide(r, r->mm->root, 0, HF_TOP_LEVEL, &changed);
	if (changed)
		hf_flush_tlb(r->mm, r->lo, r->hi - r->lo, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
}

/* After hf_range_hide: let go of what the hidden entries lead to. */
static void release_hidden(const struct hf_range *r, hf_pfn table, hf_va base, unsigned level)
{

	hf_each_spot(s, r, table, base, level) {
		if (hf_pte_branch(s.e, level) && !hf_pte_hidden(s.e)) {
			release_hidden(r, hf_pte_pfn(s.e), s.va, level - 1);
			continue;
		}
		hf_pte_set(s.entry, (hf_pte){ 0 });
		hf_target_put(r->mm->phys, s.e, level);
	}
}

void hf_zap(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_range r = hf_range_ends(mm, lo, hi);

	HF_ASSERT_MM_EXCLUSIVE(mm);
	hf_range_hide(&r);
	release_hidden(&r, mm->root, 0, HF_TOP_LEVEL);
}

/* What a TLB must forget when leaf `old` becomes `now`. */
static unsigned lost(hf_pte old, hf_pte now)
{
	if (!hf_pte_present(old))
		return 0;
	if (!hf_pte_present(now) || (hf_leaf_executable(old) && !hf_leaf_executable(now)))
		return HF_FLUSH_LEAVES;
	return hf_leaf_writable(old) && !hf_leaf_writable(now) ? HF_FLUSH_WRITE : 0;
}

static unsigned protect(const struct hf_range *r, hf_pfn table, hf_va base, unsigned level,
			unsigned prot)
{
	unsigned what = 0;

	hf_each_spot(s, r, table, base, level) {
		hf_pte old = s.e, now;

		if (hf_pte_branch(old, level)) {
			what |= protect(r, hf_pte_pfn(old), s.va, level - 1, prot);
			continue;
		}
		if (!hf_pte_leaf(old, level))
			continue;
		do {
			now = hf_leaf_with_prot(old, level, prot);
			if (hf_leaf_writable(old) && (prot & HF_PROT_WRITE))
				now = hf_leaf_mkwrite(now);
		} while (!hf_cas64(&s.entry->v, &old.v, now.v));
		what |= lost(old, now);
	}
	return what;
}

void hf_protect(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned prot)
{
	struct hf_range r = hf_range_deep(mm, lo, hi);
	unsigned what = protect(&r, mm->root, 0, HF_TOP_LEVEL, prot);

	HF_ASSERT_MM_EXCLUSIVE(mm);
	if (what)
		hf_flush_tlb(mm, lo, hi - lo, what);
}

static bool wrprotect_table(const struct hf_range *r, hf_pfn table, hf_va base, unsigned level)
{
	bool changed = false;

	hf_each_spot(s, r, table, base, level) {
		if (hf_pte_branch(s.e, level)) {
			changed |= wrprotect_table(r, hf_pte_pfn(s.e), s.va, level - 1);
		} else if (hf_pte_leaf(s.e, level) && hf_leaf_writable(s.e)) {
			hf_pte_update(s.entry, hf_leaf_wrprotect);
			changed = true;
		}
	}
	return changed;
}

void hf_wrprotect_shared(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_range r = hf_range_deep(mm, lo, hi);

	HF_ASSERT_MM_EXCLUSIVE(mm);
	if (wrprotect_table(&r, mm->root, 0, HF_TOP_LEVEL))
		hf_flush_tlb(mm, lo, hi - lo, HF_FLUSH_WRITE);
}
