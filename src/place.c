/* SPDX-License-Identifier: MIT */
/*
 * Placement. A space tries to keep the distance between virtual and physical addresses
 * constant: then neighbouring pages make one run in a scatter list and one mapping in a
 * host's page tables, in whatever order they are touched. The space remembers one pair of
 * addresses; where the frame that it points to is taken, any other is as good, and becomes
 * the new pair.
 */
#include "space.h"

/* The first pair for a mapping: its start at the start of the largest free block. */
static bool first_place(const struct hf_phys *phys, const struct hf_vma *vma, hf_va *va,
			hf_pfn *pfn)
{
	for (unsigned o = HF_MAX_ORDER + 1; o--;) {
		if (phys->free_head[o] == HF_NIL)
			continue;
		pfn->v = phys->free_head[o];
		*va = vma->start & ~((HF_PAGE_SIZE << o) - 1);
		return true;
	}
	return false;
}

bool hf_place_alloc_locked(struct hf_mm *mm, const struct hf_vma *vma, hf_va va, unsigned level,
			   hf_pfn *out, bool *clean)
{
	struct hf_phys *phys = mm->phys;
	hf_va base = hf_level_base(va, level);
	hf_pfn want;
	bool ok;

	if (mm->place_pfn.v == HF_NIL)
		first_place(phys, vma, &mm->place_va, &mm->place_pfn);
	/* Wraps where the pair leads out of RAM; such a frame is not free either. */
	want.v = mm->place_pfn.v + (uint32_t)((base - mm->place_va) >> HF_PAGE_SHIFT);
	if (want.v != hf_block_base(want, level).v)
		want.v = HF_NIL;
	ok = hf_block_alloc_locked(phys, hf_level_order(level), &want, out, clean);
	if (ok) {
		hf_map_get_locked(phys, *out, level);
		if (out->v != want.v) {
			mm->place_va = base;
			mm->place_pfn = *out;
		}
	}
	return ok;
}
