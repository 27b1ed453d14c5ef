/* SPDX-License-Identifier: MIT */
/*
 * Truncation, in phases:
 *   1. the size: from now on no fault finds a page beyond it;
 *   2. cut      in every space that maps it, tables and leaves end where the object does; then
 *               the object's own page does;
 *   3. zap      what leads beyond the end goes from every space, private copies too;
 *   4. drop     the object's pages beyond the end, and clear the rest of the last one.
 * 2 can fail, and then the size is as before. Between 2 and 3 nothing can undo the cut: faults
 * see the size, and no space forks while phys->spaces_lock is held.
 *
 * A fault that found a page before 1 holds its space's lock until it has mapped it, so
 * 3 waits for it there: that is what keeps a page alive while it is being mapped.
 */
#include "rmap.h"

static uint64_t set_size(struct hf_object *o, uint64_t size)
{
	uint64_t old;

	hf_lock(o->phys, &o->lock);
	old = o->size;
	o->size = size;
	hf_unlock(o->phys, &o->lock);
	return old;
}

static enum hf_status cut(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_reserve r = HF_RESERVE_EMPTY;
	enum hf_status st = HF_ERR_NOMEM;

	if (hf_reserve_fill(mm->phys, &r, hf_isolate_need(mm, lo, hi, false)))
		st = hf_isolate(mm, lo, hi, false, &r);
	hf_reserve_drain(mm->phys, &r);
	return st;
}

static enum hf_status zap(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	if (hf_isolate_need(mm, lo, hi, false))
		hf_panic(mm->phys, "truncation: the cut in a space did not last");
	hf_zap(mm, lo, hi);
	return HF_OK;
}

/* The object has shrunk to the page boundary `from`, from `to`. change held. */
static enum hf_status shrink(struct hf_object *o, uint64_t from, uint64_t to)
{
	enum hf_status st;

	hf_lock_exclusive(o->phys, o->phys->spaces_lock);
	st = hf_rmap_each(o, from, to, cut);
	if (!st) {
		hf_lock(o->phys, &o->lock);
		st = hf_pages_cut(o, from);
		hf_unlock(o->phys, &o->lock);
	}
	if (!st)
		hf_rmap_each(o, from, to, zap);
	hf_unlock_exclusive(o->phys, o->phys->spaces_lock);
	return st;
}

enum hf_status hf_object_truncate(struct hf_object *o, uint64_t size)
{
	enum hf_status st = HF_OK;
	uint64_t old, from, to;

	if (size > hf_object_max())
		return HF_ERR_RANGE;
	hf_lock(o->phys, &o->change);
	old = set_size(o, size);
	from = hf_page_up(size);
	to = hf_page_up(old);
	if (from < to)
		st = shrink(o, from, to);
	hf_lock(o->phys, &o->lock);
	if (st)
		o->size = old;
	else if (from < to)
		hf_pages_drop(o, from);
	/* What mappings wrote beyond the end, in its page, never was a part of the object. */
	if (!st)
		hf_pages_clear_tail(o, hf_min_va(old, size));
	hf_unlock(o->phys, &o->lock);
	hf_unlock(o->phys, &o->change);
	return st;
}
