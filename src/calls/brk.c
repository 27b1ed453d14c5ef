/* SPDX-License-Identifier: MIT */
/* brk: the heap, private memory from a fixed start to an end that the program moves. */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../space/edit.h"
#include "../space/mm.h"
#include "../space/vma.h"

#include <holdfast/mm.h>

enum hf_status hf_brk_start(struct hf_mm *mm, hf_va start)
{
	enum hf_status st = HF_OK;

	if (!start || start < mm->va_lo || start >= mm->va_hi)
		return HF_ERR_RANGE;
	hf_mm_lock_exclusive(mm);
	if (mm->brk != mm->brk_start)
		st = HF_ERR_BUSY;
	else
		mm->brk = mm->brk_start = start;
	hf_mm_unlock_exclusive(mm);
	return st;
}

/* Map or unmap the pages between the two ends. */
HF_HOLDS(mm)
static enum hf_status resize(struct hf_edit *e, hf_va old, hf_va end)
{
	struct hf_mm *mm = e->mm;
	struct hf_vma heap = { .start = hf_page_up(old), .end = hf_page_up(end) };
	hf_va above;

	if (heap.end < heap.start)
		return hf_edit_unmap(e, heap.end, heap.start);
	if (heap.end == heap.start)
		return HF_OK;
	/* A page stays free behind it, so that running over its end faults. */
	if (hf_occupied(mm, heap.start, heap.end) ||
	    hf_near_stack(mm, heap.end, HF_PAGE_SIZE, &above))
		return HF_ERR_EXIST;
	heap.flags = HF_PROT_READ | HF_PROT_WRITE | hf_future_locks(mm);
	return hf_edit_map(e, &heap);
}

enum hf_status hf_brk(struct hf_mm *mm, hf_va end, hf_va *now)
{
	struct hf_edit e = hf_edit_begin(mm);
	enum hf_status st = HF_ERR_RANGE;

	if (mm->brk_start && end >= mm->brk_start && end <= mm->va_hi)
		st = resize(&e, mm->brk, end);
	if (!st)
		mm->brk = end;
	*now = mm->brk;
	return hf_edit_end(&e, st);
}
