/* SPDX-License-Identifier: MIT */
/* Making pages present: a range of them, or what a lock wants. */
#include "populate.h"

#include "../lib/lock.h"
#include "../table/table.h"
#include "resolve.h"
#include "vma.h"

#include <holdfast/mm.h>

enum hf_status hf_resolve_range(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned access)
{
	hf_va va = lo;

	while (va < hi) {
		struct hf_resolution f = { .mm = mm, .va = va, .access = access };
		enum hf_status st = hf_resolve_begin(&f);

		if (st)
			return st;
		va = hf_level_base(va, f.walk.level) + hf_level_size(f.walk.level);
		hf_resolve_end(&f);
	}
	return HF_OK;
}

/* One page; *next is where the next one begins. */
HF_HOLDS_SHARED(mm)
static enum hf_status lock_page(struct hf_mm *mm, hf_va va, unsigned access, hf_va *next)
{
	struct hf_resolution f = { .mm = mm, .va = va, .access = access };
	enum hf_status st = hf_resolve_begin(&f);

	*next = va + HF_PAGE_SIZE;
	if (st)
		return st == HF_ERR_BUS ? HF_OK : st;
	*next = hf_level_base(va, f.walk.level) + hf_level_size(f.walk.level);
	hf_resolve_end(&f);
	return HF_OK;
}

enum hf_status hf_lock_mapping(struct hf_mm *mm, const struct hf_vma *vma)
{
	bool write = hf_vma_is_cow(vma) && (vma->flags & HF_PROT_WRITE);
	enum hf_status st = HF_OK;

	if (hf_vma_prot(vma) == HF_PROT_NONE || (vma->flags & HF_VMA_LOCKONFAULT))
		return HF_OK;
	for (hf_va va = vma->start; va < vma->end && !st;)
		st = lock_page(mm, va, write ? HF_ACCESS_WRITE : HF_ACCESS_READ, &va);
	return st;
}

enum hf_status hf_lock_pages(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_vma v = { .end = lo };
	enum hf_status st = HF_OK;

	while (!st && hf_vmas_next_with(mm->phys, mm->vmas, v.end, HF_VMA_LOCKED, &v) &&
	       v.start < hi) {
		struct hf_vma part = hf_vma_part(&v, lo, hi);

		st = hf_lock_mapping(mm, &part);
	}
	return st;
}
