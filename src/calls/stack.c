/* SPDX-License-Identifier: MIT */
/* Stacks: mappings that grow downwards when something below them is touched. */
#include "stack.h"

#include "../space/edit.h"
#include "../space/mm.h"
#include "../space/vma.h"

#include <holdfast/mm.h>

bool hf_below_stack(const struct hf_mm *mm, hf_va va)
{
	struct hf_vma v;

	return hf_vmas_next(mm->phys, mm->vmas, va, &v) && v.start > va &&
	       (v.flags & HF_VMA_GROWSDOWN);
}

enum hf_status hf_stack_grow(struct hf_mm *mm, hf_va va)
{
	hf_va start = va & ~(HF_PAGE_SIZE - 1);
	struct hf_edit e = hf_edit_begin(mm);
	enum hf_status st = HF_ERR_UNMAPPED;
	struct hf_vma v, whole;

	if (!hf_vmas_next(mm->phys, mm->vmas, va, &v) || !hf_mapping_next(mm, va, &whole))
		return hf_edit_end(&e, st);
	if (v.start <= va)
		return hf_edit_end(&e, HF_OK); /* somebody else has made it grow */
	if (!(v.flags & HF_VMA_GROWSDOWN) || hf_crowded(mm, start))
		return hf_edit_end(&e, st);
	if (whole.end - start > mm->limits.stack)
		return hf_edit_end(&e, HF_ERR_LIMIT);
	v.end = v.start;
	v.start = start;
	return hf_edit_end(&e, hf_edit_map(&e, &v));
}
