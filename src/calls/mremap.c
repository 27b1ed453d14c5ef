/* SPDX-License-Identifier: MIT */
/* mremap. */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../phys/reserve.h"
#include "../space/edit.h"
#include "../space/mm.h"
#include "../space/move.h"
#include "../space/range.h"
#include "../space/vma.h"

#include <holdfast/mm.h>
#include <holdfast/object.h>

/* A range that is to be another one. */
struct remap {
	hf_va old, to;
	uint64_t old_len, new_len;
	unsigned flags;
};

static enum hf_status check_remap(const struct hf_mm *mm, struct remap *r)
{
	const unsigned all = HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED | HF_MREMAP_DONTUNMAP;
	enum hf_status st;

	if ((r->flags & ~all) || (r->flags && !(r->flags & HF_MREMAP_MAYMOVE)))
		return HF_ERR_FLAGS;
	if ((r->flags & HF_MREMAP_DONTUNMAP) && hf_page_up(r->old_len) != hf_page_up(r->new_len))
		return HF_ERR_INVAL;
	if (((r->flags & HF_MREMAP_FIXED) && (r->to & (HF_PAGE_SIZE - 1))) ||
	    (r->old & (HF_PAGE_SIZE - 1)))
		return HF_ERR_ALIGN;
	if (!r->new_len)
		return HF_ERR_EMPTY;
	st = hf_check_pages(mm, r->old, &r->old_len);
	if (st)
		return st;
	r->new_len = hf_page_up(r->new_len);
	if (!r->new_len)
		return HF_ERR_WRAP;
	if (!(r->flags & HF_MREMAP_FIXED))
		return HF_OK;
	st = hf_check_bytes(mm, r->to, r->new_len);
	if (!st && r->old < r->to + r->new_len && r->to < r->old + r->old_len)
		st = HF_ERR_OVERLAP;
	return st;
}

/* The mapping at the end of the old range, as it goes on behind that. mm lock held. */
static struct hf_vma rest(const struct hf_mm *mm, const struct remap *r)
{
	hf_va end = r->old + r->old_len;
	struct hf_vma v = { 0 };

	hf_vmas_next(mm->phys, mm->vmas, end - 1, &v);
	if (v.object)
		v.offset = hf_vma_offset(&v, end);
	v.start = end;
	v.end = r->old + r->new_len;
	return v;
}

/* An object reaches as far as the mapping of it would. mm lock held. */
static bool may_go_on(const struct hf_mm *mm, const struct remap *r)
{
	struct hf_vma v = rest(mm, r);
	uint64_t max = hf_object_max();

	return !v.object || (v.offset <= max && r->new_len - r->old_len <= max - v.offset);
}

/* The new tree: what is left of the old range is mapped at the new place, the last part longer. */
HF_HOLDS(mm)
static enum hf_status move_vmas(struct hf_edit *e, const struct remap *r)
{
	struct hf_mm *mm = e->mm;
	hf_va end = r->old + r->old_len, left = r->old + hf_min_va(r->old_len, r->new_len);
	const uint32_t locks = HF_VMA_LOCKED | HF_VMA_LOCKONFAULT;
	enum hf_status st = HF_OK;
	struct hf_vma v;

	if (r->flags & HF_MREMAP_DONTUNMAP)
		st = hf_edit_flags(e, r->old, end, ~locks, 0);
	else
		st = hf_vmas_clear(mm->phys, &mm->vmas, r->old, end, NULL);
	for (hf_va va = r->old; va < left && !st; va = v.end) {
		struct hf_vma part;

		hf_vmas_next(mm->phys, e->old, va, &v);
		part = hf_vma_part(&v, va, left);
		if (part.end == left)
			part.end = r->old + r->new_len;
		part.start += r->to - r->old;
		part.end += r->to - r->old;
		st = hf_vmas_set(mm->phys, &mm->vmas, &part);
		if (part.flags & HF_VMA_LOCKED && r->new_len > r->old_len) {
			e->fill_lo = r->to + r->old_len;
			e->fill_hi = r->to + r->new_len;
		}
	}
	if (!st)
		st = hf_edit_count(e, r->old, end);
	if (!st)
		st = hf_edit_count(e, r->to, r->to + r->new_len);
	return st;
}

/* Make all that is concerned end where its range does. */
HF_HOLDS(mm)
static enum hf_status cut_remap(struct hf_edit *e, const struct hf_range *ranges, size_t count,
				uint64_t need)
{
	enum hf_status st = HF_OK;

	for (size_t i = 0; i < count; i++)
		need += hf_isolate_need(&ranges[i]);
	if (!hf_reserve_fill(e->mm->phys, &e->reserve, need))
		return HF_ERR_NOMEM;
	for (size_t i = 0; i < count && !st; i++)
		st = hf_isolate(&ranges[i], &e->reserve);
	return st;
}

/* Move to r->to, replacing what is there; what is too long goes. */
HF_HOLDS(mm)
static enum hf_status remap_move(struct hf_edit *e, const struct remap *r)
{
	struct hf_mm *mm = e->mm;
	hf_va left = r->old + hf_min_va(r->old_len, r->new_len), end = r->old + r->old_len;
	struct hf_move m = hf_move_plan(mm, r->old, left, r->to, &e->reserve);
	struct hf_range ranges[] = {
		m.from,
		hf_range_ends(mm, r->to, r->to + r->new_len),
		hf_range_ends(mm, left, end),
	};
	bool tail = left < end;
	enum hf_status st = HF_OK;

	if (hf_any_with(mm, r->to, r->to + r->new_len, HF_VMA_SEALED))
		st = HF_ERR_SEALED;
	if (!st)
		st = move_vmas(e, r);
	if (!st)
		st = cut_remap(e, ranges, tail ? 3 : 2, hf_move_need(&m));
	if (st)
		return st;
	hf_zap(mm, r->to, r->to + r->new_len);
	if (tail)
		hf_zap(mm, left, end);
	hf_move_tables(&m);
	return HF_OK;
}

/* Find out where it shall be, and do it. mm lock held exclusively. */
HF_HOLDS(mm)
static enum hf_status remap(struct hf_edit *e, struct remap *r)
{
	struct hf_mm *mm = e->mm;
	hf_va end = r->old + r->old_len;
	enum hf_status st = hf_check_mapped(mm, r->old, end, 0);
	uint64_t more = r->new_len - r->old_len;
	struct hf_vma v;

	if (!st && r->new_len > r->old_len && !may_go_on(mm, r))
		st = HF_ERR_RANGE;
	if (!st && (r->new_len != r->old_len || (r->flags & ~(unsigned)HF_MREMAP_MAYMOVE)) &&
	    hf_any_with(mm, r->old, end, HF_VMA_SEALED))
		st = HF_ERR_SEALED;
	if (st || (r->flags & HF_MREMAP_FIXED))
		return st ? st : remap_move(e, r);
	if (!(r->flags & HF_MREMAP_DONTUNMAP)) {
		r->to = r->old;
		if (r->new_len == r->old_len)
			return HF_OK;
		if (r->new_len < r->old_len)
			return hf_edit_unmap(e, r->old + r->new_len, end);
		if (hf_room_at(mm, end, more)) {
			v = rest(mm, r);
			return hf_edit_map(e, &v);
		}
		if (!(r->flags & HF_MREMAP_MAYMOVE))
			return HF_ERR_NOSPACE;
		r->to = 0;
	}
	hf_vmas_next(mm->phys, mm->vmas, r->old, &v);
	st = hf_find_gap(mm, r->to, r->old, r->new_len, v.flags & HF_VMA_GROWSDOWN, &r->to);
	return st ? st : remap_move(e, r);
}

enum hf_status hf_mremap(struct hf_mm *mm, hf_va old, uint64_t old_len, uint64_t new_len,
			 unsigned flags, hf_va *addr)
{
	struct remap r = { old, *addr, old_len, new_len, flags };
	enum hf_status st = check_remap(mm, &r);
	struct hf_edit e;

	if (st)
		return st;
	e = hf_edit_begin(mm);
	st = hf_edit_end(&e, remap(&e, &r));
	if (!st)
		*addr = r.to;
	return st;
}
