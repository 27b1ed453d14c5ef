/* SPDX-License-Identifier: MIT */
/*
 * Placement. A space tries to keep the distance between virtual and physical addresses of a
 * mapping constant: then neighbouring pages make one run in a scatter list and one
 * mapping in a host's page tables, in whatever order they are touched. The space remembers
 * one pair of addresses, for the mapping it last began to fill; where the frame that the
 * pair leads to is taken, any other is as good.
 */
#include "place.h"

#include "../lib/lock.h"
#include "../phys/buddy.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../table/table.h"
#include "vma.h"

#include <holdfast/mm.h>

/*
 * The pair for a mapping: it begins in the block, at the same distance from the block's start
 * as from the multiple of the block's size below it, so that huge pages fit.
 */
HF_HOLDS(phys)
static void place_mapping(struct hf_mm *mm, const struct hf_vma *vma)
{
	unsigned order;
	hf_pfn block;

	if (!hf_block_largest_locked(mm->phys, &block, &order))
		return;
	mm->place_va = vma->start;
	mm->place_pfn.v = block.v + ((uint32_t)(vma->start >> HF_PAGE_SHIFT) & ((1u << order) - 1));
}

bool hf_place_alloc_locked(struct hf_mm *mm, const struct hf_vma *vma, hf_va va, unsigned level,
			   hf_pfn *out, bool *clean)
{
	struct hf_phys *phys = mm->phys;
	hf_va base = hf_level_base(va, level);
	hf_pfn want;
	bool ok;

	if (mm->place_pfn.v == HF_NIL || mm->place_va < vma->start || mm->place_va >= vma->end)
		place_mapping(mm, vma);
	/* Wraps where the pair leads out of RAM; such a frame is not free either. */
	want.v = mm->place_pfn.v + (uint32_t)((base - mm->place_va) >> HF_PAGE_SHIFT);
	if (want.v != hf_block_base(want, level).v)
		want.v = HF_NIL;
	ok = hf_block_alloc_locked(phys, hf_level_order(level), &want, out, clean);
	if (ok)
		hf_map_get_locked(phys, *out, level);
	return ok;
}

void hf_place_move(struct hf_mm *mm, hf_va lo, hf_va hi, hf_va to)
{
	hf_phys_lock(mm->phys);
	if (mm->place_va >= lo && mm->place_va < hi)
		mm->place_va = mm->place_va - lo + to;
	hf_phys_unlock(mm->phys);
}
