/* SPDX-License-Identifier: MIT */
/*
 * Pages that leave an object which goes on without them: hf_object_evict, hf_object_punch. A batch
 * at a time:
 *   1. hold   every space that maps the batch's pages;
 *   2. forget what leads to them there;
 *   3. take   them out of the object, as far as nothing leads to them now;
 *   4. give   the locks back, and the pages to the pager.
 */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../object/object.h"
#include "../phys/frame.h"
#include "../space/forget.h"
#include "../space/mm.h"
#include "../space/vma.h"
#include "../table/table.h"
#include "rmap.h"

#include <holdfast/mm.h>
#include <holdfast/object.h>

HF_HOLDS(mm)
static enum hf_status forget_idle(struct hf_mm *mm, const struct hf_vma *part)
{
	if (!hf_vma_is_mlocked(mm, part))
		hf_forget_pages(mm, part, true);
	return HF_OK;
}

HF_HOLDS(mm)
static enum hf_status forget_all(struct hf_mm *mm, const struct hf_vma *part)
{
	hf_forget_pages(mm, part, false);
	return HF_OK;
}

/* The next pages of [offset, end) that the object has, as many as leave together. */
static bool find_batch(struct hf_object *o, uint64_t offset, uint64_t end, struct hf_leaving *l)
{
	struct hf_object_page page;
	unsigned count = 0;

	hf_object_lock(o);
	while (offset < end && count < HF_LEAVING_MAX && hf_pages_next(o, &offset, end, &page)) {
		if (!count++)
			l->from = offset;
		offset += hf_level_size(page.level);
		l->to = hf_min_va(offset, end);
	}
	hf_object_unlock(o);
	return count;
}

/* What of [from, to) may leave. */
HF_HOLDS(change)
static void leave(struct hf_object *o, uint64_t from, uint64_t to, bool idle)
{
	struct hf_leaving l = { .idle = idle };

	while (find_batch(o, from, to, &l)) {
		hf_spaces_lock_exclusive(o->phys);
		hf_rmap_hold(o, l.from, l.to);
		hf_rmap_each_truncating(o, l.from, l.to, idle ? forget_idle : forget_all);
		hf_object_lock(o);
		hf_pages_take(o, &l);
		hf_object_unlock(o);
		hf_rmap_release(o);
		hf_spaces_unlock_exclusive(o->phys);
		hf_pages_give(o, &l);
		from = l.to;
	}
}

enum hf_status hf_object_evict(struct hf_object *o, uint64_t offset, uint64_t len)
{
	const uint64_t from = offset & ~(HF_PAGE_SIZE - 1), most = hf_object_max();
	enum hf_status st = o->pager ? HF_OK : HF_ERR_INVAL;
	struct hf_object_page page;
	uint64_t to = offset + len;

	if (!st)
		st = hf_object_sync(o, offset, len);
	if (st && st != HF_ERR_BUS && st != HF_ERR_ACCESS)
		return st;
	to = hf_page_up(hf_min_va(to, most));
	hf_object_change_lock(o);
	leave(o, from, to, true);
	hf_object_change_unlock(o);
	offset = from;
	hf_object_lock(o);
	if (!st && hf_pages_next(o, &offset, to, &page))
		st = HF_ERR_BUSY;
	hf_object_unlock(o);
	return st;
}

/* hf_cut_part by its own address: a kernel's archive has no table of others' (scripts/kernel-flags). */
HF_HOLDS(mm)
static enum hf_status cut(struct hf_mm *mm, const struct hf_vma *part)
{
	return hf_cut_part(mm, part);
}

/* The pages of [from, to) begin and end there, and so do all leaves to them. */
HF_HOLDS(change)
static enum hf_status cut_out(struct hf_object *o, uint64_t from, uint64_t to)
{
	enum hf_status st;

	hf_spaces_lock_exclusive(o->phys);
	hf_rmap_hold(o, from, to);
	st = hf_rmap_each_truncating(o, from, to, cut);
	hf_object_lock(o);
	if (!st)
		st = hf_pages_cut(o, from);
	if (!st)
		st = hf_pages_cut(o, to);
	hf_object_unlock(o);
	hf_rmap_release(o);
	hf_spaces_unlock_exclusive(o->phys);
	return st;
}

/*
 * A page that has come since the cut may reach beyond [from, to), with what the pager had then. It
 * stays; of the one at `at`, clear what lies there.
 */
HF_HOLDS(object)
static void clear_larger(struct hf_object *o, uint64_t at, uint64_t from, uint64_t to)
{
	struct hf_object_page page;
	uint64_t base, end;

	if (!hf_pages_find(o, at, &page))
		return;
	base = hf_level_base(at, page.level);
	end = base + hf_level_size(page.level);
	if (base < from || end > to)
		hf_pages_clear(o, hf_max_va(base, from), hf_min_va(end, to));
}

/* [offset, end) lies before the object's end. */
HF_HOLDS(change)
static enum hf_status punch(struct hf_object *o, uint64_t offset, uint64_t end)
{
	const uint64_t from = hf_page_up(offset);
	const uint64_t to = end == o->size ? hf_page_up(end) : end & ~(HF_PAGE_SIZE - 1);
	enum hf_status st = from < to ? cut_out(o, from, to) : HF_OK;

	if (!st && o->pager && o->pager->punch(o->host, offset, end - offset))
		st = HF_ERR_BUS;
	if (st)
		return st;
	hf_object_lock(o);
	hf_requests_end(o, offset, end, HF_OK);
	hf_pages_clear(o, offset, hf_min_va(from, end));
	if (to >= from)
		hf_pages_clear(o, to, end);
	if (from < to) {
		clear_larger(o, from, from, to);
		clear_larger(o, to - 1, from, to);
	}
	hf_object_unlock(o);
	if (from < to)
		leave(o, from, to, false);
	return HF_OK;
}

enum hf_status hf_object_punch(struct hf_object *o, uint64_t offset, uint64_t len)
{
	enum hf_status st = HF_OK;
	uint64_t end = offset + len;

	if (!len)
		return HF_ERR_EMPTY;
	if (end < offset)
		return HF_ERR_WRAP;
	if (o->pager && !o->pager->punch)
		return HF_ERR_ACCESS;
	hf_object_change_lock(o);
	end = hf_min_va(end, o->size); /* which nobody else changes now */
	if (offset < end)
		st = punch(o, offset, end);
	hf_object_change_unlock(o);
	return st;
}

/* All of [lo, hi) is shared memory that may be written to, and not locked. */
static enum hf_status check_remove(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	enum hf_status st;
	struct hf_vma v;

	hf_mm_lock_shared(mm);
	st = hf_check_mapped(mm, lo, hi, 0);
	for (hf_va va = lo; !st && va < hi; va = v.end) {
		hf_vmas_next(mm->phys, mm->vmas, va, &v);
		if (hf_vma_is_cow(&v) || hf_vma_is_mlocked(mm, &v))
			st = HF_ERR_INVAL;
		else if (!(v.flags & HF_PROT_WRITE))
			st = HF_ERR_ACCESS;
	}
	hf_mm_unlock_shared(mm);
	return st;
}

enum hf_status hf_advise_remove(struct hf_mm *mm, hf_va va, uint64_t len)
{
	enum hf_status st = check_remove(mm, va, va + len);
	const hf_va end = va + len;
	struct hf_vma v;

	while (!st && hf_next_shared(mm, &va, end, &v)) {
		st = hf_object_punch(v.object, v.offset, v.end - v.start);
		hf_object_release(v.object);
	}
	return st;
}
