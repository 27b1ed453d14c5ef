/* SPDX-License-Identifier: MIT */
/* The background scan for memory to collapse. */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../space/edit.h"
#include "../space/vma.h"
#include "../table/table.h"
#include "../table/walk.h"
#include "collapse.h"

#include <holdfast/collapse.h>
#include <holdfast/mm.h>

/* The lowest entry for `va` that is not below `level`; *at is its level. mm lock held. */
static hf_pte find_entry(const struct hf_mm *mm, hf_va va, unsigned level, unsigned *at)
{
	struct hf_found found = hf_table_find(mm->phys, mm->root, HF_TOP_LEVEL, va, level);

	*at = found.level;
	return hf_pte_get(found.entry);
}

/* Every entry of the table is a leaf. */
static bool all_leaves(const struct hf_phys *phys, hf_pfn table, unsigned level)
{
	const hf_pte *entries = hf_table_entries(phys, table);
	unsigned i = 0;

	while (i < HF_TABLE_ENTRIES && hf_pte_leaf(hf_pte_get(&entries[i]), level))
		i++;
	return i == HF_TABLE_ENTRIES;
}

/* At the start of 1 GiB of huge pages that lie together: make them one. */
HF_HOLDS(mm)
static void collapse_whole(struct hf_edit *e, struct hf_scan *scan, hf_va va)
{
	const struct hf_mm *mm = e->mm;
	struct hf_part part;
	unsigned level;
	hf_pte entry;

	if (va & (hf_level_size(HF_LEVEL_PUD) - 1))
		return;
	entry = find_entry(mm, va, HF_LEVEL_PUD, &level);
	if (level != HF_LEVEL_PUD || !hf_pte_branch(entry, level) ||
	    !all_leaves(mm->phys, hf_pte_pfn(entry), HF_LEVEL_PMD))
		return;
	if (hf_part_inspect(&part, e->mm, va, HF_LEVEL_PUD) && part.in_place &&
	    (part.vma.flags & HF_VMA_HUGE_1G) && !hf_part_collapse(e, &part))
		scan->collapsed++;
}

static bool worth_it(const struct hf_scan *scan, const struct hf_part *part)
{
	return !part->huge && (part->pages || part->shared) && part->empty <= scan->max_empty &&
	       part->shared <= scan->max_shared && (part->accessed || scan->idle);
}

/* One part, whose entry is a branch. */
HF_HOLDS(mm)
static void scan_part(struct hf_edit *e, struct hf_scan *scan, hf_va va)
{
	struct hf_part part;

	if (!hf_part_inspect(&part, e->mm, va, HF_LEVEL_PMD) || !worth_it(scan, &part))
		return;
	switch (hf_part_collapse(e, &part)) {
	case HF_OK:
		scan->collapsed++;
		break;
	case HF_ERR_AGAIN:
		scan->refused++;
		break;
	default:
		scan->no_memory++;
	}
}

/* The part at `va`, or the gap that begins there. */
HF_HOLDS(mm)
static void scan_at(struct hf_edit *e, struct hf_scan *scan, hf_va va)
{
	unsigned level;
	hf_pte entry;

	collapse_whole(e, scan, va);
	entry = find_entry(e->mm, va, HF_LEVEL_PMD, &level);
	if (level == HF_LEVEL_PMD && hf_pte_branch(entry, level))
		scan_part(e, scan, va);
	scan->at = hf_level_base(va, level) + hf_level_size(level);
}

/* One step. False: the end. */
static bool step(struct hf_mm *mm, struct hf_scan *scan)
{
	const uint64_t size = hf_level_size(HF_LEVEL_PMD);
	struct hf_edit e = hf_edit_begin(mm);
	struct hf_vma v;
	bool more = hf_vmas_next_with(mm->phys, mm->vmas, scan->at, HF_VMA_HUGE, &v);

	if (more) {
		hf_va va = (hf_max_va(scan->at, v.start) + size - 1) & ~(size - 1);

		scan->inspected++;
		if (va < v.end && v.end - va >= size)
			scan_at(&e, scan, va);
		else
			scan->at = v.end; /* too little is left for a part */
	}
	hf_edit_end(&e, HF_OK);
	return more;
}

enum hf_status hf_collapse_scan(struct hf_mm *mm, struct hf_scan *scan, uint64_t budget)
{
	if (!budget)
		return HF_ERR_EMPTY;
	while (budget--) {
		if (step(mm, scan))
			continue;
		scan->at = 0;
		scan->passes++;
		break;
	}
	return HF_OK;
}
