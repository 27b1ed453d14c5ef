/* SPDX-License-Identifier: MIT */
#include "edit.h"
#include "range.h"

struct hf_edit hf_edit_begin(struct hf_mm *mm)
{
	bool held = hf_reclaim_hold(mm->phys);

	hf_lock_exclusive(mm->phys, mm->lock);
	hf_vmas_get(mm->phys, mm->vmas);
	return (struct hf_edit){ mm, mm->vmas, held, HF_RESERVE_EMPTY };
}

enum hf_status hf_edit_end(struct hf_edit *e, enum hf_status st)
{
	struct hf_mm *mm = e->mm;
	hf_pfn drop = st ? mm->vmas : e->old;

	if (st)
		mm->vmas = e->old;
	hf_vmas_put(mm->phys, drop);
	hf_reserve_drain(mm->phys, &e->reserve);
	hf_unlock_exclusive(mm->phys, mm->lock);
	hf_reclaim_let(mm->phys, e->held);
	return st;
}

enum hf_status hf_edit_cut(struct hf_edit *e, hf_va lo, hf_va hi, bool deep)
{
	struct hf_range r = deep ? hf_range_deep(e->mm, lo, hi) : hf_range_ends(e->mm, lo, hi);

	if (!hf_reserve_fill(e->mm->phys, &e->reserve, hf_isolate_need(&r)))
		return HF_ERR_NOMEM;
	return hf_isolate(&r, &e->reserve);
}

/* Some mapping is one that fork does not share: a new one beside it may be a new border. */
static bool any_special(const struct hf_mm *mm)
{
	struct hf_vma v;

	return hf_vmas_next_with(mm->phys, mm->vmas, mm->va_lo, HF_VMA_LOOK, &v);
}

enum hf_status hf_edit_map(struct hf_edit *e, const struct hf_vma *vma)
{
	bool cut = hf_occupied(e->mm, vma->start, vma->end) || any_special(e->mm);
	enum hf_status st = hf_vmas_set(e->mm->phys, &e->mm->vmas, vma);

	if (!st && cut)
		st = hf_edit_cut(e, vma->start, vma->end, false);
	if (!st && cut)
		hf_zap(e->mm, vma->start, vma->end);
	return st;
}

enum hf_status hf_edit_unmap(struct hf_edit *e, hf_va lo, hf_va hi)
{
	enum hf_status st;

	if (!hf_occupied(e->mm, lo, hi))
		return HF_OK;
	st = hf_vmas_clear(e->mm->phys, &e->mm->vmas, lo, hi);
	if (!st)
		st = hf_edit_cut(e, lo, hi, false);
	if (!st)
		hf_zap(e->mm, lo, hi);
	return st;
}

enum hf_status hf_edit_flags(struct hf_edit *e, hf_va lo, hf_va hi, uint32_t keep, uint32_t add)
{
	struct hf_mm *mm = e->mm;
	enum hf_status st = hf_check_mapped(mm, lo, hi, 0);
	struct hf_vma v;

	for (hf_va va = lo; va < hi && !st; va = v.end) {
		struct hf_vma part;

		hf_vmas_next(mm->phys, e->old, va, &v);
		part = hf_vma_part(&v, lo, hi);
		part.flags = (v.flags & keep) | add;
		if (part.flags != v.flags)
			st = hf_vmas_set(mm->phys, &mm->vmas, &part);
	}
	return st;
}

bool hf_occupied(const struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_vma v;

	return hf_vmas_next(mm->phys, mm->vmas, lo, &v) && v.start < hi;
}

enum hf_status hf_find_gap(const struct hf_mm *mm, hf_va hint, hf_va like, uint64_t len, hf_va *out)
{
	hf_va va = hint & ~(HF_PAGE_SIZE - 1);
	unsigned level = HF_LEAF_LEVELS;

	if (len > mm->va_hi - mm->va_lo)
		return HF_ERR_NOSPACE;
	if (va && va >= mm->va_lo && va < mm->va_hi && len <= mm->va_hi - va &&
	    !hf_occupied(mm, va, va + len)) {
		*out = va;
		return HF_OK;
	}
	while (level--) {
		uint64_t size = hf_level_size(level), off = like & (size - 1);

		if (len >= size &&
		    hf_vmas_gap(mm->phys, mm->vmas, mm->va_lo, mm->va_hi, len + off, size, out)) {
			*out += off;
			return HF_OK;
		}
	}
	return HF_ERR_NOSPACE;
}
