/* SPDX-License-Identifier: MIT */
#include "rmap.h"

#include "../lib/math.h"
#include "../object/object.h"
#include "../space/mm.h"
#include "../space/vma.h"

#include <holdfast/mm.h>

/* mm lock held. */
static enum hf_status each_in(struct hf_mm *mm, const struct hf_object *o, uint64_t from,
			      uint64_t to, hf_rmap_fn *fn)
{
	enum hf_status st = HF_OK;
	struct hf_vma v = { 0 }, part;

	while (!st && hf_vmas_next_with(mm->phys, mm->vmas, v.end, HF_VMA_OBJECT, &v)) {
		uint64_t first = hf_max_va(from, v.offset);
		uint64_t last = hf_min_va(to, hf_vma_offset(&v, v.end));

		if (v.object != o || first >= last)
			continue;
		part = hf_vma_part(&v, v.start + (first - v.offset), v.start + (last - v.offset));
		st = fn(mm, &part);
	}
	return st;
}

enum hf_status hf_rmap_each(const struct hf_object *o, uint64_t from, uint64_t to, hf_rmap_fn *fn)
{
	enum hf_status st = HF_OK;

	for (struct hf_mm *mm = o->phys->spaces; mm && !st; mm = mm->next) {
		hf_mm_lock_exclusive(mm);
		st = each_in(mm, o, from, to, fn);
		hf_mm_unlock_exclusive(mm);
	}
	return st;
}

/* The space that comes after `last` in the order of addresses. */
static struct hf_mm *next_space(const struct hf_phys *phys, const struct hf_mm *last)
{
	struct hf_mm *best = NULL;

	for (struct hf_mm *mm = phys->spaces; mm; mm = mm->next)
		if ((uintptr_t)mm > (uintptr_t)last && (!best || (uintptr_t)mm < (uintptr_t)best))
			best = mm;
	return best;
}

static enum hf_status found(struct hf_mm *mm, const struct hf_vma *part)
{
	(void)part;
	mm->truncating = true;
	return HF_OK;
}

void hf_rmap_hold(const struct hf_object *o, uint64_t from, uint64_t to)
{
	struct hf_mm *mm = NULL;

	while ((mm = next_space(o->phys, mm))) {
		hf_mm_lock_exclusive(mm);
		each_in(mm, o, from, to, found);
		if (!mm->truncating)
			hf_mm_unlock_exclusive(mm);
	}
}

enum hf_status hf_rmap_each_truncating(const struct hf_object *o, uint64_t from, uint64_t to,
				       hf_rmap_fn *fn)
{
	enum hf_status st = HF_OK;

	for (struct hf_mm *mm = o->phys->spaces; mm && !st; mm = mm->next)
		if (mm->truncating)
			st = each_in(mm, o, from, to, fn);
	return st;
}

void hf_rmap_release(const struct hf_object *o)
{
	for (struct hf_mm *mm = o->phys->spaces; mm; mm = mm->next) {
		if (!mm->truncating)
			continue;
		mm->truncating = false;
		hf_mm_unlock_exclusive(mm);
	}
}
