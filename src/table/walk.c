/* SPDX-License-Identifier: MIT */
/* Walks down the tables, and what a walk finds. */
#include "walk.h"

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../phys/frame.h"
#include "table.h"

#include <holdfast/mm.h>

static void enter(struct hf_walk *w, hf_pfn table, unsigned level)
{
	w->table = table;
	w->level = level;
	w->entry = hf_table_entries(w->mm->phys, table) + hf_table_index(w->va, level);
}

/*
 * Through a branch that allows writing no lock is needed: nobody else leads to the table
 * behind it, and only an operation with the mm lock held exclusively removes it again.
 */
void hf_walk_start(struct hf_walk *w, struct hf_mm *mm, hf_va va, bool mark)
{
	struct hf_phys *phys = mm->phys;

	HF_ASSERT(phys, hf_rwlock_held(&mm->rwlock));
	HF_ASSERT(phys, va < HF_VA_END);
	*w = (struct hf_walk){ .mm = mm, .va = va, .exclusive = true, .look = true };
	enter(w, mm->root, HF_TOP_LEVEL);
	for (;;) {
		hf_pte e = hf_pte_get(w->entry);

		if (!hf_pte_branch(e, w->level) || !hf_branch_writable(e))
			break;
		if (mark && !hf_branch_look(e))
			e = hf_branch_mklook(hf_pte_update(w->entry, hf_branch_mklook));
		w->look = hf_branch_look(e);
		enter(w, hf_pte_pfn(e), w->level - 1);
	}
	hf_table_lock(phys, w->table);
}

void hf_walk_down(struct hf_walk *w)
{
	struct hf_phys *phys = w->mm->phys;
	hf_pte branch = hf_pte_get(w->entry);
	hf_pfn parent = w->table;

	w->exclusive = w->exclusive && hf_branch_writable(branch);
	w->look = hf_branch_look(branch);
	hf_table_lock(phys, hf_pte_pfn(branch));
	enter(w, hf_pte_pfn(branch), w->level - 1);
	hf_table_unlock(phys, parent);
}

void hf_walk_to(struct hf_walk *w, struct hf_mm *mm, hf_va va)
{
	hf_walk_start(w, mm, va, false);
	while (hf_pte_branch(hf_pte_get(w->entry), w->level))
		hf_walk_down(w);
}

void hf_walk_end(struct hf_walk *w)
{
	hf_table_unlock(w->mm->phys, w->table);
}

static struct hf_found found_in(const struct hf_phys *phys, hf_pfn table, unsigned level, hf_va va)
{
	hf_pte *entry = hf_table_entries(phys, table) + hf_table_index(va, level);

	return (struct hf_found){ table, level, entry };
}

struct hf_found hf_table_find(const struct hf_phys *phys, hf_pfn root, unsigned top, hf_va va,
			      unsigned level)
{
	struct hf_found at = found_in(phys, root, top, va);

	while (at.level > level && hf_pte_branch(hf_pte_get(at.entry), at.level))
		at = found_in(phys, hf_pte_pfn(hf_pte_get(at.entry)), at.level - 1, va);
	return at;
}

unsigned hf_leaf_access(hf_pte leaf, bool exclusive)
{
	unsigned access = 0;

	if (hf_pte_present(leaf))
		access = HF_ACCESS_READ;
	if (exclusive && hf_leaf_writable(leaf))
		access |= HF_ACCESS_WRITE;
	if (hf_leaf_executable(leaf))
		access |= HF_ACCESS_EXEC;
	return access;
}

struct hf_translation hf_walk_translation(const struct hf_walk *w)
{
	hf_pte e = hf_pte_get(w->entry);

	return (struct hf_translation){
		.va = hf_level_base(w->va, w->level),
		.pa = hf_pfn_pa(hf_pte_pfn(e)),
		.len = hf_level_size(w->level),
		.access = hf_leaf_access(e, w->exclusive),
		.level = w->level,
	};
}
