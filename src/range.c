/* SPDX-License-Identifier: MIT */
/*
 * Changes of whole ranges: cut tables and leaves at the range's ends, then take pages
 * out, change their protection, or mark them for fork. All under the mm's exclusive lock.
 *
 * Everything here goes down the tables in the same way: the entries of a table that a
 * range touches, each of which it covers whole or in part.
 */
#include "space.h"

struct range {
	struct hf_mm *mm;
	hf_va lo, hi;
};

static unsigned first_index(const struct range *r, hf_va base, unsigned level)
{
	return hf_first_index(r->lo, base, level);
}

static unsigned end_index(const struct range *r, hf_va base, unsigned level)
{
	return hf_end_index(r->hi, base, level);
}

/* One entry of a table as a range sees it. */
struct spot {
	hf_pte *entry;
	hf_va va; /* first address of the entry */
	unsigned level;
	bool whole; /* the range covers all of it */
};

static struct spot spot_at(const struct range *r, hf_pfn table, hf_va base, unsigned level,
			   unsigned index)
{
	hf_va va = base + index * hf_level_size(level);

	return (struct spot){
		.entry = hf_table_entries(r->mm->phys, table) + index,
		.va = va,
		.level = level,
		.whole = r->lo <= va && va + hf_level_size(level) <= r->hi,
	};
}

/* Tables needed so that a leaf at `level` ends where the range does. */
static uint64_t need_for_leaf(const struct range *r, hf_va base, unsigned level)
{
	hf_va end = base + hf_level_size(level), first, last;
	uint64_t need = 1;

	if (r->hi <= base || r->lo >= end || (r->lo <= base && r->hi >= end))
		return 0;
	if (level - 1 == HF_LEVEL_PTE)
		return need;
	first = hf_level_base(hf_max_va(r->lo, base), level - 1);
	last = hf_level_base(hf_min_va(r->hi, end) - 1, level - 1);
	need += need_for_leaf(r, first, level - 1);
	if (last != first)
		need += need_for_leaf(r, last, level - 1);
	return need;
}

/* Below a shared table every table is shared, whatever its own count says. */
static uint64_t need_for_table(const struct range *r, hf_pfn table, hf_va base, unsigned level,
			       bool deep, bool shared)
{
	struct hf_phys *phys = r->mm->phys;
	unsigned end = end_index(r, base, level);
	uint64_t need = 0;

	for (unsigned i = first_index(r, base, level); i < end; i++) {
		struct spot s = spot_at(r, table, base, level, i);
		hf_pte e = hf_pte_get(s.entry);

		if (hf_pte_leaf(e, level) && !s.whole) {
			need += need_for_leaf(r, s.va, level);
		} else if (hf_pte_branch(e, level) && (deep || !s.whole)) {
			bool below = shared || hf_table_shared(phys, hf_pte_pfn(e));

			need += below;
			need += need_for_table(r, hf_pte_pfn(e), s.va, level - 1, deep, below);
		}
	}
	return need;
}

uint64_t hf_isolate_need(struct hf_mm *mm, hf_va lo, hf_va hi, bool deep)
{
	struct range r = { mm, lo, hi };

	return need_for_table(&r, mm->root, 0, HF_TOP_LEVEL, deep, false);
}

/* Some of the entry's addresses are of a mapping that fork does not share. */
static bool special_in(const struct hf_mm *mm, const struct spot *s)
{
	struct hf_vma v;

	return hf_vmas_next_with(mm->phys, mm->vmas, s->va, HF_VMA_LOOK, &v) &&
	       v.start < s->va + hf_level_size(s->level);
}

/*
 * A branch that lay whole in a DONTFORK or WIPEONFORK mapping may lie on its border after
 * this edit. Fork passed it over as a whole until now, and must look inside from now on.
 */
static enum hf_status isolate(const struct range *r, hf_pfn table, hf_va base, unsigned level,
			      bool deep, bool look, struct hf_reserve *reserve)
{
	unsigned end = end_index(r, base, level);
	enum hf_status st = HF_OK;

	for (unsigned i = first_index(r, base, level); i < end && !st; i++) {
		struct spot s = spot_at(r, table, base, level, i);
		hf_pte e = hf_pte_get(s.entry);

		if (hf_pte_none(e) || (s.whole && (!deep || hf_pte_leaf(e, level))))
			continue;
		if (hf_pte_leaf(e, level))
			st = hf_table_split(r->mm, s.entry, level, s.va, look, reserve);
		else
			st = hf_table_own(r->mm, s.entry, level - 1, s.va, reserve);
		if (st)
			break;
		if (special_in(r->mm, &s))
			hf_pte_update(s.entry, hf_branch_mklook);
		e = hf_pte_get(s.entry);
		st = isolate(r, hf_pte_pfn(e), s.va, level - 1, deep, hf_branch_look(e), reserve);
	}
	return st;
}

enum hf_status hf_isolate(struct hf_mm *mm, hf_va lo, hf_va hi, bool deep, struct hf_reserve *r)
{
	struct range range = { mm, lo, hi };

	return isolate(&range, mm->root, 0, HF_TOP_LEVEL, deep, true, r);
}

/*
 * First half of taking pages out: hide every entry that goes from the hardware, but keep
 * where it leads. A table of which nothing stays goes as a whole. Returns whether it does.
 */
static bool disarm(const struct range *r, hf_pfn table, hf_va base, unsigned level, bool *changed)
{
	unsigned first = first_index(r, base, level), end = end_index(r, base, level);
	bool goes = true;

	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		struct spot s = spot_at(r, table, base, level, i);
		hf_pte e = hf_pte_get(s.entry);
		bool touched = i >= first && i < end;

		if (hf_pte_none(e))
			continue;
		if (touched && (s.whole || disarm(r, hf_pte_pfn(e), s.va, level - 1, changed))) {
			*changed |= !hf_pte_held(e); /* even if unarmed: leaves may be cached */
			hf_pte_update(s.entry, hf_pte_mkheld);
		} else {
			goes = false;
		}
	}
	return goes;
}

/* Second half, after the flush: let go of what the hidden entries lead to. */
static void release(const struct range *r, hf_pfn table, hf_va base, unsigned level)
{
	struct hf_phys *phys = r->mm->phys;
	unsigned end = end_index(r, base, level);

	for (unsigned i = first_index(r, base, level); i < end; i++) {
		struct spot s = spot_at(r, table, base, level, i);
		hf_pte e = hf_pte_get(s.entry);

		if (hf_pte_none(e))
			continue;
		if (hf_pte_branch(e, level) && !hf_pte_held(e)) {
			release(r, hf_pte_pfn(e), s.va, level - 1);
			continue;
		}
		hf_pte_set(s.entry, (hf_pte){ 0 });
		if (hf_pte_branch(e, level)) {
			hf_table_put(phys, hf_pte_pfn(e), level - 1);
		} else {
			hf_phys_lock(phys);
			hf_map_put_locked(phys, hf_pte_pfn(e), level);
			hf_phys_unlock(phys);
		}
	}
}

void hf_zap(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct range r = { mm, lo, hi };
	bool changed = false;

	disarm(&r, mm->root, 0, HF_TOP_LEVEL, &changed);
	if (changed)
		hf_flush(mm, lo, hi - lo, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	release(&r, mm->root, 0, HF_TOP_LEVEL);
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

static unsigned protect(const struct range *r, hf_pfn table, hf_va base, unsigned level,
			unsigned prot)
{
	unsigned end = end_index(r, base, level), what = 0;

	for (unsigned i = first_index(r, base, level); i < end; i++) {
		struct spot s = spot_at(r, table, base, level, i);
		hf_pte old = hf_pte_get(s.entry), now;

		if (hf_pte_branch(old, level)) {
			what |= protect(r, hf_pte_pfn(old), s.va, level - 1, prot);
			continue;
		}
		if (hf_pte_none(old))
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
	struct range r = { mm, lo, hi };
	unsigned what = protect(&r, mm->root, 0, HF_TOP_LEVEL, prot);

	if (what)
		hf_flush(mm, lo, hi - lo, what);
}
