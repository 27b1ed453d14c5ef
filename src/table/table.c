/* SPDX-License-Identifier: MIT */
#include "table.h"

#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../lib/trace.h"
#include "../phys/block.h"
#include "../phys/buddy.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../phys/slot.h"

#include <holdfast/mm.h>
#include <holdfast/trace.h>

hf_pfn hf_table_new(struct hf_phys *phys, struct hf_reserve *r)
{
	hf_pfn table = hf_reserve_take(phys, r);
	struct hf_frame *f = hf_frame_at(phys, table);

	hf_frame_set_kind(f, HF_FRAME_TABLE);
	f->refs = 1;
	f->lock.word = 0;
	f->clean = false; /* see place.c */
	hf_block_clear(phys, table, 0);
	return table;
}

bool hf_table_shared(struct hf_phys *phys, hf_pfn table)
{
	bool shared;

	hf_phys_lock(phys);
	shared = hf_frame_at(phys, table)->refs > 1;
	hf_phys_unlock(phys);
	return shared;
}

bool hf_table_get_locked(struct hf_phys *phys, hf_pfn table)
{
	struct hf_frame *f = hf_frame_at(phys, table);

	if (f->refs >= phys->count_limit)
		return false;
	f->refs++;
	return true;
}

/* Let go of all that a table without references leads to, and of the table. */
static void destroy(struct hf_phys *phys, hf_pfn table, unsigned level)
{
	const hf_pte *e = hf_table_entries(phys, table);

	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		if (hf_pte_branch(e[i], level))
			hf_table_put(phys, hf_pte_pfn(e[i]), level - 1);
	hf_phys_lock(phys);
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		if (hf_pte_leaf(e[i], level))
			hf_map_put_locked(phys, hf_pte_pfn(e[i]), level);
		else if (hf_pte_swapped(e[i]))
			hf_slot_put_locked(phys, hf_swapped_slot(e[i]));
	}
	hf_frame_set_kind(hf_frame_at(phys, table), HF_FRAME_PLAIN);
	hf_block_free_locked(phys, table, 0);
	hf_phys_unlock(phys);
}

void hf_table_put(struct hf_phys *phys, hf_pfn table, unsigned level)
{
	struct hf_frame *f = hf_frame_at(phys, table);
	bool last;

	hf_phys_lock(phys);
	if (!f->refs)
		hf_panic_at(phys, "a table was dropped that nothing led to", hf_pfn_pa(table).v,
			    level, 0);
	last = --f->refs == 0;
	hf_phys_unlock(phys);
	if (last)
		destroy(phys, table, level);
}

/* One entry more leads to what `e`, at `level`, leads to. phys->lock held. */
HF_HOLDS(phys)
static bool get_target(struct hf_phys *phys, hf_pte e, unsigned level)
{
	if (hf_pte_none(e))
		return true;
	if (hf_pte_leaf(e, level))
		return hf_map_get_locked(phys, hf_pte_pfn(e), level);
	if (hf_pte_swapped(e))
		return hf_slot_get_locked(phys, hf_swapped_slot(e));
	return hf_table_get_locked(phys, hf_pte_pfn(e));
}

/* The reverse, for what keeps another reference: nothing is freed. phys->lock held. */
HF_HOLDS(phys)
static void unget_target(struct hf_phys *phys, hf_pte e, unsigned level)
{
	if (hf_pte_leaf(e, level))
		hf_map_put_locked(phys, hf_pte_pfn(e), level);
	else if (hf_pte_swapped(e))
		hf_slot_put_locked(phys, hf_swapped_slot(e));
	else if (!hf_pte_none(e))
		hf_frame_at(phys, hf_pte_pfn(e))->refs--;
}

/* One more reference to everything that a table leads to, or to nothing. phys->lock held. */
HF_HOLDS(phys)
static bool get_targets(struct hf_phys *phys, const hf_pte *e, unsigned level)
{
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		if (get_target(phys, hf_pte_get(&e[i]), level))
			continue;
		while (i--)
			unget_target(phys, hf_pte_get(&e[i]), level);
		return false;
	}
	return true;
}

/*
 * Copy a shared table's entries; write permission goes from both, for what they lead to
 * now has two entries. No TLB can hold a writable translation through the old table:
 * every branch to it was write-protected when it became shared. The old table's lock is held.
 */
static void copy_entries(hf_pte *dst, hf_pte *src, unsigned level)
{
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		hf_pte e = hf_pte_get(&src[i]);

		if (hf_pte_writable(e, level))
			e = hf_pte_disarm(&src[i], level);
		dst[i] = hf_pte_wrprotect(e, level);
	}
}

void hf_table_arm(struct hf_phys *phys, hf_pte *branch, unsigned level, bool exclusive)
{
	hf_pfn table = hf_pte_pfn(hf_pte_get(branch));
	hf_pte *e = hf_table_entries(phys, table);

	if (exclusive && !hf_table_shared(phys, table)) {
		hf_pte_update(branch, hf_branch_mkwrite);
		return;
	}
	hf_table_lock(phys, table);
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		if (hf_pte_writable(hf_pte_get(&e[i]), level))
			hf_pte_disarm(&e[i], level);
	hf_table_unlock(phys, table);
	hf_pte_update(branch, hf_branch_arm);
}

enum hf_status hf_table_make_exclusive(struct hf_mm *mm, hf_pte *branch, unsigned level, hf_va va,
				       struct hf_reserve *r)
{
	struct hf_phys *phys = mm->phys;
	hf_pte before = hf_pte_get(branch);
	hf_pfn old = hf_pte_pfn(before), copy;
	bool shared, ok = true;

	HF_ASSERT(phys, hf_rwlock_held(&mm->rwlock));
	HF_ASSERT(phys, level < HF_TOP_LEVEL && hf_pte_branch(before, level + 1));
	if (hf_branch_writable(before))
		return HF_OK;
	hf_table_lock(phys, old);
	hf_phys_lock(phys);
	shared = hf_frame_at(phys, old)->refs > 1;
	if (shared)
		ok = get_targets(phys, hf_table_entries(phys, old), level);
	hf_phys_unlock(phys);
	if (!shared)
		hf_pte_update(branch, hf_branch_mkwrite);
	if (!shared || !ok) {
		hf_table_unlock(phys, old);
		return ok ? HF_OK : HF_ERR_OVERFLOW;
	}
	copy = hf_table_new(phys, r);
	copy_entries(hf_table_entries(phys, copy), hf_table_entries(phys, old), level);
	hf_table_unlock(phys, old);

	/*
	 * This space's CPUs may still walk through the old table by their branch caches. Once
	 * it is let go, its other owner may put pages of its own into it.
	 */
	hf_entry_replace(mm, branch, level + 1, va, hf_branch_make(copy), HF_FLUSH_TABLES, false);
	hf_table_put(phys, old, level);
	return HF_OK;
}

enum hf_status hf_table_split(struct hf_mm *mm, hf_pte *entry, unsigned level, hf_va va, bool look,
			      struct hf_reserve *r)
{
	struct hf_phys *phys = mm->phys;
	hf_pte leaf = hf_pte_get(entry), seen, branch;
	hf_pfn table;
	hf_pte *parts;
	bool ok;

	HF_ASSERT(phys, level > HF_LEVEL_PTE && hf_pte_leaf(leaf, level));
	hf_phys_lock(phys);
	ok = hf_map_split_locked(phys, hf_pte_pfn(leaf), level);
	hf_phys_unlock(phys);
	if (!ok)
		return HF_ERR_OVERFLOW;
	table = hf_table_new(phys, r);
	parts = hf_table_entries(phys, table);
	branch = hf_branch_make(table);
	if (look)
		branch = hf_branch_mklook(branch);
	seen = leaf;
	if (hf_format.break_first && hf_pte_present(leaf)) {
		seen = hf_pte_mkhidden(leaf);
		hf_pte_set(entry, seen);
		hf_flush(mm, hf_level_base(va, level), hf_level_size(level), HF_FLUSH_LEAVES);
	}
	/* A CPU may mark the leaf dirty until the moment that the branch is there. */
	for (;;) {
		for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
			parts[i] = hf_leaf_part(leaf, level, i);
		if (hf_cas64(&entry->v, &seen.v, branch.v))
			break;
		leaf = seen;
	}
	HF_TRACE(phys, .what = HF_TRACE_SPLIT, .level = level, .mm = mm,
		 .va = hf_level_base(va, level), .len = hf_level_size(level));
	return HF_OK;
}
