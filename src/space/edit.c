/* SPDX-License-Identifier: MIT */
#include "edit.h"

#include "../lib/lock.h"
#include "../lib/math.h"
#include "../phys/reserve.h"
#include "fill.h"
#include "mm.h"
#include "populate.h"
#include "range.h"
#include "vma.h"
#include "wait.h"

#include <holdfast/mm.h>

struct hf_edit hf_edit_begin(struct hf_mm *mm)
{
	bool blocked = hf_reclaim_block(mm->phys);

	hf_mm_lock_exclusive(mm);
	hf_vmas_get(mm->phys, mm->vmas);
	return (struct hf_edit){
		.mm = mm,
		.old = mm->vmas,
		.reclaim_blocked = blocked,
		.reserve = HF_RESERVE_EMPTY,
		.mapped = mm->mapped_bytes,
		.locked = mm->locked_bytes,
		.locks_stale = mm->locks_stale,
	};
}

/* Best effort, as Linux does it: what is not present will be when it is touched. */
static void fill_range(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	enum hf_status st;
	struct hf_wait wait = HF_WAIT_NONE;
	hf_va at = lo;

	do {
		st = HF_OK;
		hf_mm_lock_shared(mm);
		if (!mm->locks_stale) {
			st = hf_lock_pages(mm, at, hi, &at, &wait);
			hf_fill_range(mm, lo, st == HF_ERR_PENDING ? lo : hi);
		}
		hf_mm_unlock_shared(mm);
	} while (hf_lock_wait(mm->phys, &wait, &at, &st));
}

enum hf_status hf_edit_end(struct hf_edit *e, enum hf_status st)
{
	struct hf_mm *mm = e->mm;
	hf_pfn drop = st ? mm->vmas : e->old;
	struct hf_object *dead = NULL;

	if (st) {
		mm->vmas = e->old;
	} else {
		mm->mapped_bytes = e->mapped;
		mm->locked_bytes = e->locked;
		mm->locks_stale = e->locks_stale;
	}
	hf_vmas_drop(mm->phys, drop, &dead);
	hf_reserve_drain(mm->phys, &e->reserve);
	hf_mm_unlock_exclusive(mm);
	hf_reclaim_unblock(mm->phys, e->reclaim_blocked);
	hf_objects_end(dead);
	if (!st && e->fill_hi)
		fill_range(mm, e->fill_lo, e->fill_hi);
	return st;
}

/* Bytes that the tree maps in [lo, hi), and how many of them are locked. */
static void count_bytes(const struct hf_phys *phys, hf_pfn vmas, hf_va lo, hf_va hi,
			uint64_t *mapped, uint64_t *locked)
{
	struct hf_vma v = { .end = lo };

	while (hf_vmas_next(phys, vmas, v.end, &v) && v.start < hi) {
		struct hf_vma part = hf_vma_part(&v, lo, hi);

		*mapped += part.end - part.start;
		if (v.flags & HF_VMA_LOCKED)
			*locked += part.end - part.start;
	}
}

enum hf_status hf_edit_count(struct hf_edit *e, hf_va lo, hf_va hi)
{
	const struct hf_mm *mm = e->mm;
	uint64_t was = 0, was_locked = 0, now = 0, now_locked = 0;

	HF_ASSERT_MM_EXCLUSIVE(e->mm);
	if (!mm->limits.va && !hf_any_with(mm, mm->va_lo, mm->va_hi, HF_VMA_LOCKED) && !e->locked)
		return HF_OK;
	count_bytes(mm->phys, e->old, lo, hi, &was, &was_locked);
	count_bytes(mm->phys, mm->vmas, lo, hi, &now, &now_locked);
	if (mm->limits.va)
		e->mapped += now - was;
	e->locked += (e->locks_stale ? 0 : now_locked) - (mm->locks_stale ? 0 : was_locked);
	if (mm->limits.va && now > was && e->mapped > mm->limits.va)
		return HF_ERR_LIMIT;
	if (mm->limits.lock && e->locked > mm->locked_bytes && e->locked > mm->limits.lock)
		return HF_ERR_LIMIT;
	return HF_OK;
}

enum hf_status hf_edit_own_locks(struct hf_edit *e)
{
	const uint32_t locks = HF_VMA_LOCKED | HF_VMA_LOCKONFAULT;
	struct hf_mm *mm = e->mm;
	struct hf_vma v = { .end = mm->va_lo };
	enum hf_status st = HF_OK;

	if (!e->locks_stale)
		return HF_OK;
	while (!st && hf_vmas_next_with(mm->phys, e->old, v.end, HF_VMA_LOCKED, &v)) {
		struct hf_vma now = v;

		now.flags = v.flags & ~locks;
		st = hf_vmas_set(mm->phys, &mm->vmas, &now);
	}
	e->locks_stale = false;
	return st;
}

enum hf_status hf_edit_cut(struct hf_edit *e, hf_va lo, hf_va hi, bool deep)
{
	struct hf_range r = deep ? hf_range_deep(e->mm, lo, hi) : hf_range_ends(e->mm, lo, hi);

	HF_ASSERT_MM_EXCLUSIVE(e->mm);
	if (!hf_reserve_fill(e->mm->phys, &e->reserve, hf_isolate_need(&r)))
		return HF_ERR_NOMEM;
	return hf_isolate(&r, &e->reserve);
}

enum hf_status hf_edit_map(struct hf_edit *e, const struct hf_vma *vma)
{
	HF_ASSERT_MM_EXCLUSIVE(e->mm);
	/* Beside a mapping that fork does not share, a new one may be a new border. */
	bool cut = hf_occupied(e->mm, vma->start, vma->end) ||
		   hf_any_with(e->mm, e->mm->va_lo, e->mm->va_hi, HF_VMA_UNSHARED);
	enum hf_status st = HF_ERR_SEALED;

	if (!hf_any_with(e->mm, vma->start, vma->end, HF_VMA_SEALED))
		st = hf_vmas_set(e->mm->phys, &e->mm->vmas, vma);
	if (!st)
		st = hf_edit_count(e, vma->start, vma->end);
	if (vma->flags & HF_VMA_LOCKED) {
		e->fill_lo = vma->start;
		e->fill_hi = vma->end;
	}
	if (!st && cut)
		st = hf_edit_cut(e, vma->start, vma->end, false);
	if (!st && cut)
		hf_zap(e->mm, vma->start, vma->end);
	return st;
}

enum hf_status hf_edit_unmap(struct hf_edit *e, hf_va lo, hf_va hi)
{
	enum hf_status st;

	HF_ASSERT_MM_EXCLUSIVE(e->mm);
	if (!hf_occupied(e->mm, lo, hi))
		return HF_OK;
	if (hf_any_with(e->mm, lo, hi, HF_VMA_SEALED))
		return HF_ERR_SEALED;
	e->reserve.gives = true;
	st = hf_vmas_clear(e->mm->phys, &e->mm->vmas, lo, hi, &e->reserve);
	if (!st)
		st = hf_edit_count(e, lo, hi);
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

	HF_ASSERT_MM_EXCLUSIVE(e->mm);
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

bool hf_near_stack(const struct hf_mm *mm, hf_va end, uint64_t gap, hf_va *start)
{
	struct hf_vma v;

	if (!hf_vmas_next(mm->phys, mm->vmas, end, &v))
		return false;
	if (v.flags & HF_VMA_GROWSDOWN)
		gap = hf_max_va(gap, mm->limits.stack_gap);
	*start = v.start;
	return v.start - end < gap;
}

/* The highest gap that is far enough below the stacks. */
HF_HOLDS_SHARED(mm)
static bool find_at(const struct hf_mm *mm, uint64_t size, uint64_t off, uint64_t len, hf_va *out)
{
	hf_va hi = mm->va_hi, stack;

	while (hf_vmas_gap(mm->phys, mm->vmas, mm->va_lo, hi, len + off, size, out)) {
		*out += off;
		if (!hf_near_stack(mm, *out + len, 0, &stack))
			return true;
		if (stack - mm->va_lo < mm->limits.stack_gap)
			return false;
		hi = stack - mm->limits.stack_gap;
	}
	return false;
}

bool hf_crowded(const struct hf_mm *mm, hf_va start)
{
	hf_va lo = start > mm->limits.stack_gap ? start - mm->limits.stack_gap : 0;
	struct hf_vma v = { .end = lo };
	bool near = false;

	while (hf_vmas_next(mm->phys, mm->vmas, v.end, &v) && v.start < start)
		near = !(v.flags & HF_VMA_GROWSDOWN) && hf_vma_prot(&v) != HF_PROT_NONE;
	return near;
}

bool hf_room_at(const struct hf_mm *mm, hf_va va, uint64_t len)
{
	hf_va above;

	return va >= mm->va_lo && va < mm->va_hi && len <= mm->va_hi - va &&
	       !hf_occupied(mm, va, va + len) && !hf_near_stack(mm, va + len, 0, &above);
}

enum hf_status hf_find_gap(const struct hf_mm *mm, hf_va hint, hf_va like, uint64_t len, bool stack,
			   hf_va *out)
{
	const uint64_t below = stack ? mm->limits.stack_gap : 0;
	hf_va va = hint & ~(HF_PAGE_SIZE - 1);
	unsigned level = HF_LEAF_LEVELS;

	if (va && hf_room_at(mm, va, len) && !(stack && hf_crowded(mm, va))) {
		*out = va;
		return HF_OK;
	}
	if (len > mm->va_hi - mm->va_lo || below > mm->va_hi - mm->va_lo - len)
		return HF_ERR_NOSPACE;
	while (level--) {
		uint64_t size = hf_level_size(level);

		if (len >= size &&
		    find_at(mm, size, (like - below) & (size - 1), below + len, out)) {
			*out += below;
			return HF_OK;
		}
	}
	return HF_ERR_NOSPACE;
}
