/* SPDX-License-Identifier: MIT */
#include "rmap.h"

/* mm lock held exclusively. */
static enum hf_status each_in(struct hf_mm *mm, const struct hf_object *o, uint64_t from,
			      uint64_t to,
			      enum hf_status (*fn)(struct hf_mm *mm, hf_va lo, hf_va hi))
{
	enum hf_status st = HF_OK;
	struct hf_vma v = { 0 };

	while (!st && hf_vmas_next_with(mm->phys, mm->vmas, v.end, HF_VMA_OBJECT, &v)) {
		uint64_t end = hf_vma_offset(&v, v.end);
		uint64_t first = hf_max_va(from, v.offset), last = hf_min_va(to, end);

		if (v.object == o && first < last)
			st = fn(mm, v.start + (first - v.offset), v.start + (last - v.offset));
	}
	return st;
}

enum hf_status hf_rmap_each(const struct hf_object *o, uint64_t from, uint64_t to,
			    enum hf_status (*fn)(struct hf_mm *mm, hf_va lo, hf_va hi))
{
	enum hf_status st = HF_OK;

	for (struct hf_mm *mm = o->phys->spaces; mm && !st; mm = mm->next) {
		hf_lock_exclusive(mm->phys, mm->lock);
		st = each_in(mm, o, from, to, fn);
		hf_unlock_exclusive(mm->phys, mm->lock);
	}
	return st;
}
