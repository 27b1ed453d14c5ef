/* SPDX-License-Identifier: MIT */
/*
 * Writing back: hf_object_sync, hf_msync. In batches of pages:
 *   1. take their dirty marks off;
 *   2. take W from whatever leads to them, in every space, and flush;
 *   3. give each to the pager; one that it does not keep is marked again.
 * Whoever gets W between 1 and 2 marks the page again before. A write that was completed
 * before the call is in the page when 3 reads it, a later one faults and marks it anew.
 *
 * A page that is pinned when all this is done is marked again: its device may write to it at any time,
 * and does not fault. Until 2 a page may be pinned through a leaf that still has W, which marks nothing.
 */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../object/object.h"
#include "../phys/frame.h"
#include "../space/mm.h"
#include "../space/range.h"
#include "../space/vma.h"
#include "rmap.h"

#include <holdfast/mm.h>
#include <holdfast/object.h>

#define SYNC_BATCH 32

struct sync_batch {
	struct {
		uint64_t offset, len;
	} pages[SYNC_BATCH];
	unsigned count;
};

HF_HOLDS(mm)
static enum hf_status sync_wrprotect(struct hf_mm *mm, const struct hf_vma *part)
{
	if (!hf_vma_is_cow(part))
		hf_wrprotect_shared(mm, part->start, part->end);
	return HF_OK;
}

/* 3, for one page: HF_ERR_BUS if the pager does not keep it. change held, so it stays there. */
static enum hf_status write_page(struct hf_object *o, uint64_t offset, uint64_t len)
{
	enum hf_status st = HF_ERR_ACCESS;
	struct hf_object_page page;

	hf_object_lock(o);
	hf_pages_find(o, offset, &page);
	if (hf_pages_pinned(o, &page))
		hf_pages_mark(o, offset);
	len = hf_min_va(len, o->size - offset);
	hf_object_unlock(o);
	if (o->pager->writeback)
		st = o->pager->writeback(o->host, offset, hf_frame_ptr(o->phys, page.pfn), len)
			     ? HF_ERR_BUS
			     : HF_OK;
	if (st) {
		hf_object_lock(o);
		hf_pages_mark(o, offset);
		hf_object_unlock(o);
	}
	return st;
}

/* The first dirty pages of [*offset, end); *offset goes on to where the next batch begins. */
static void take_batch(struct hf_object *o, uint64_t *offset, uint64_t end, struct sync_batch *b)
{
	struct hf_object_page page;

	b->count = 0;
	hf_object_lock(o);
	while (b->count < SYNC_BATCH && hf_pages_next_dirty(o, offset, end, &page)) {
		b->pages[b->count].offset = *offset;
		b->pages[b->count++].len = hf_level_size(page.level);
		*offset += hf_level_size(page.level);
		hf_pages_unmark(&page);
	}
	hf_object_unlock(o);
}

enum hf_status hf_object_sync(struct hf_object *o, uint64_t offset, uint64_t len)
{
	const uint64_t end = offset + len;
	enum hf_status st = HF_OK;
	struct sync_batch b;

	if (!len)
		return HF_ERR_EMPTY;
	if (end < offset)
		return HF_ERR_WRAP;
	hf_object_change_lock(o);
	while (o->pager && (take_batch(o, &offset, end, &b), b.count)) {
		hf_spaces_lock_exclusive(o->phys);
		hf_rmap_each(o, b.pages[0].offset, offset, sync_wrprotect);
		hf_spaces_unlock_exclusive(o->phys);
		for (unsigned i = 0; i < b.count; i++) {
			enum hf_status one = write_page(o, b.pages[i].offset, b.pages[i].len);

			st = st ? st : one;
		}
	}
	hf_object_change_unlock(o);
	return st;
}

bool hf_next_shared(struct hf_mm *mm, hf_va *va, hf_va end, struct hf_vma *out)
{
	bool found;

	hf_mm_lock_shared(mm);
	found = *va < end && hf_vmas_next_with(mm->phys, mm->vmas, *va, HF_VMA_SHARED, out) &&
		out->start < end;
	if (found) {
		*out = hf_vma_part(out, *va, end);
		*va = out->end;
		hf_object_hold(out->object);
	}
	hf_mm_unlock_shared(mm);
	return found;
}

/* Every address is mapped; with INVALIDATE, nothing of it is locked. */
static enum hf_status check_sync(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned flags)
{
	enum hf_status st;

	hf_mm_lock_shared(mm);
	st = hf_check_mapped(mm, lo, hi, 0);
	if (!st && (flags & HF_MS_INVALIDATE) && hf_any_mlocked(mm, lo, hi))
		st = HF_ERR_BUSY;
	hf_mm_unlock_shared(mm);
	return st;
}

enum hf_status hf_msync(struct hf_mm *mm, hf_va va, uint64_t len, unsigned flags)
{
	const unsigned known = HF_MS_ASYNC | HF_MS_INVALIDATE | HF_MS_SYNC;
	const unsigned both = HF_MS_ASYNC | HF_MS_SYNC;
	enum hf_status st;
	struct hf_vma v;
	hf_va end;

	if ((flags & ~known) || (flags & both) == both)
		return HF_ERR_FLAGS;
	st = hf_check_pages(mm, va, &len);
	if (!st)
		st = check_sync(mm, va, va + len, flags);
	end = va + len;
	if (st || !(flags & HF_MS_SYNC))
		return st;
	while (hf_next_shared(mm, &va, end, &v)) {
		enum hf_status one = hf_object_sync(v.object, v.offset, v.end - v.start);

		hf_object_release(v.object);
		st = st ? st : one;
	}
	return st;
}
