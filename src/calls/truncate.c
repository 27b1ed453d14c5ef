/* SPDX-License-Identifier: MIT */
/*
 * Truncation, in phases:
 *   1. the size: from now on no fault finds a page beyond it;
 *   2. hold     every space that maps what goes;
 *   3. cut      there tables and leaves end where the object will; then the object's page does;
 *   4. zap      what leads beyond the end goes from every space, private copies too;
 *   5. drop     the object's pages beyond the end, and clear the rest of the last one.
 * 3 can fail, and then the size is as before. A space that begins to map the object later than 2
 * finds the new size.
 *
 * A fault that found a page before 1 holds its space's lock until it has mapped it, so
 * 2 waits for it: that is what keeps a page alive while it is being mapped.
 */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../object/object.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../space/range.h"
#include "../space/vma.h"
#include "rmap.h"

#include <holdfast/mm.h>
#include <holdfast/object.h>

/*
 * The size that all see from now on. What mappings wrote beyond the end, in its page, never was a
 * part of the object: before the object grows over it, it is cleared. What a pager is asked for
 * from there on is asked anew.
 */
static uint64_t set_size(struct hf_object *o, uint64_t size)
{
	uint64_t old;

	hf_object_lock(o);
	old = o->size;
	if (size > old)
		hf_pages_clear_tail(o, old);
	o->size = size;
	hf_requests_end(o, hf_min_va(old, size), UINT64_MAX, HF_OK);
	hf_object_unlock(o);
	return old;
}

enum hf_status hf_cut_part(struct hf_mm *mm, const struct hf_vma *part)
{
	struct hf_range range = hf_range_ends(mm, part->start, part->end);
	struct hf_reserve r = HF_RESERVE_GIVING;
	enum hf_status st = HF_ERR_NOMEM;

	if (hf_reserve_fill(mm->phys, &r, hf_isolate_need(&range)))
		st = hf_isolate(&range, &r);
	hf_reserve_drain(mm->phys, &r);
	return st;
}

HF_HOLDS(mm)
static enum hf_status zap(struct hf_mm *mm, const struct hf_vma *part)
{
	hf_zap(mm, part->start, part->end);
	return HF_OK;
}

/* 2 to 4: the object has shrunk to the page boundary `from`, from `to`. change held. */
static enum hf_status shrink(struct hf_object *o, uint64_t from, uint64_t to)
{
	enum hf_status st;

	hf_spaces_lock_exclusive(o->phys);
	hf_rmap_hold(o, from, to);
	st = hf_rmap_each_truncating(o, from, to, hf_cut_part);
	if (!st) {
		hf_object_lock(o);
		st = hf_pages_cut(o, from);
		hf_object_unlock(o);
	}
	if (!st)
		hf_rmap_each_truncating(o, from, to, zap);
	hf_rmap_release(o);
	hf_spaces_unlock_exclusive(o->phys);
	return st;
}

enum hf_status hf_object_truncate(struct hf_object *o, uint64_t size)
{
	enum hf_status st = HF_OK;
	uint64_t old, from, to;

	if (size > hf_object_max())
		return HF_ERR_RANGE;
	hf_object_change_lock(o);
	old = set_size(o, size);
	from = hf_page_up(size);
	to = hf_page_up(old);
	if (from < to)
		st = shrink(o, from, to);
	if (!st && from < to)
		hf_pages_drop(o, from, UINT64_MAX);
	hf_object_lock(o);
	if (st)
		o->size = old;
	else if (size < old)
		hf_pages_clear_tail(o, size);
	hf_object_unlock(o);
	hf_object_change_unlock(o);
	return st;
}
