/* SPDX-License-Identifier: MIT */
/* madvise. */
#include "../space/edit.h"
#include "../space/fill.h"
#include "../space/mm.h"
#include "../space/populate.h"
#include "../space/range.h"
#include "../space/vma.h"
#include "../space/wait.h"
#include "../swap/swap.h"
#include "collapse.h"
#include "rmap.h"

#include <holdfast/mm.h>

/*
 * Some of [lo, hi) is sealed, and such that who cannot write to it could clear it by advice:
 * mseal(2) counts that as a change. mm lock held.
 */
static bool sealed(const struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_vma v = { .end = lo };

	while (hf_vmas_next_with(mm->phys, mm->vmas, v.end, HF_VMA_SEALED, &v) && v.start < hi)
		if (hf_vma_is_anon(&v) && !(v.flags & HF_PROT_WRITE))
			return true;
	return false;
}

/* Give the contents up, keep the mappings: drop the pages now, or allow reclaim to (`lazy`). */
static enum hf_status give_contents_up(struct hf_mm *mm, hf_va va, uint64_t len, bool lazy)
{
	struct hf_edit e = hf_edit_begin(mm);
	enum hf_status st = hf_check_mapped(mm, va, va + len, 0);

	if (!st && lazy && hf_any_with(mm, va, va + len, HF_VMA_OBJECT))
		st = HF_ERR_INVAL;
	if (!st && hf_any_mlocked(mm, va, va + len))
		st = HF_ERR_INVAL;
	if (!st && sealed(mm, va, va + len))
		st = HF_ERR_SEALED;
	e.reserve.gives = true;
	if (!st)
		st = hf_edit_cut(&e, va, va + len, false);
	if (!st && lazy)
		hf_mark_free(mm, va, va + len);
	else if (!st)
		hf_zap(mm, va, va + len);
	return hf_edit_end(&e, st);
}

static enum hf_status populate(struct hf_mm *mm, hf_va va, uint64_t len, unsigned access)
{
	struct hf_wait wait = HF_WAIT_NONE;
	enum hf_status st;
	hf_va at = va;

	do {
		hf_mm_lock_shared(mm);
		st = hf_check_mapped(mm, va, va + len, access);
		if (!st)
			st = hf_resolve_range(mm, &at, va + len, access, &wait);
		if (!st)
			hf_fill_range(mm, va, va + len);
		hf_mm_unlock_shared(mm);
	} while (hf_wait(mm->phys, &wait, &st));
	return st;
}

/* Advice that is a flag of the mapping. */
static enum hf_status advise_flags(struct hf_mm *mm, hf_va va, uint64_t len, uint32_t clear,
				   uint32_t add)
{
	struct hf_edit e = hf_edit_begin(mm);
	enum hf_status st = hf_check_mapped(mm, va, va + len, 0);

	if (!st && (add & HF_VMA_WIPE) && hf_any_with(mm, va, va + len, HF_VMA_OBJECT))
		st = HF_ERR_INVAL;
	if (!st && (add & (HF_VMA_DONTFORK | HF_VMA_WIPE)) && sealed(mm, va, va + len))
		st = HF_ERR_SEALED;
	if (!st)
		st = hf_edit_flags(&e, va, va + len, ~clear, add);
	if (!st && hf_edit_changed(&e))
		st = hf_edit_cut(&e, va, va + len, false);
	return hf_edit_end(&e, st);
}

/* One part; *huge tells whether it is a huge page then. One that is not whole is left alone. */
static enum hf_status advise_collapse_part(struct hf_mm *mm, hf_va va, unsigned level, bool *huge)
{
	struct hf_edit e = hf_edit_begin(mm);
	enum hf_status st = HF_OK;
	struct hf_part part;

	*huge = false;
	if (hf_part_inspect(&part, mm, va, level) &&
	    (level == HF_LEVEL_PMD || (part.vma.flags & HF_VMA_HUGE_1G))) {
		st = hf_part_collapse(&e, &part);
		*huge = !st;
	}
	return hf_edit_end(&e, st);
}

/* Every mapping of [lo, hi) is one whose pages can be put together. */
static enum hf_status may_collapse(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	enum hf_status st;

	hf_mm_lock_shared(mm);
	st = hf_check_mapped(mm, lo, hi, 0);
	if (!st && hf_any_with(mm, lo, hi, HF_VMA_OBJECT))
		st = HF_ERR_INVAL;
	hf_mm_unlock_shared(mm);
	return st;
}

/* As many huge pages as can be had, each by itself. */
static enum hf_status advise_collapse(struct hf_mm *mm, hf_va va, uint64_t len)
{
	const uint64_t small = hf_level_size(HF_LEVEL_PMD), large = hf_level_size(HF_LEVEL_PUD);
	enum hf_status st = may_collapse(mm, va, va + len), now;
	hf_va end = va + len, at = (va + small - 1) & ~(small - 1);
	bool huge;

	if (st)
		return st;
	while (at < end && end - at >= small) {
		huge = false;
		if (!(at & (large - 1)) && end - at >= large)
			advise_collapse_part(mm, at, HF_LEVEL_PUD, &huge);
		if (huge) {
			at += large;
			continue;
		}
		now = advise_collapse_part(mm, at, HF_LEVEL_PMD, &huge);
		st = now ? now : st;
		at += small;
	}
	return st;
}

enum hf_status hf_madvise(struct hf_mm *mm, hf_va va, uint64_t len, enum hf_advice advice)
{
	static const struct {
		uint32_t clear, add;
	} flags[] = {
		[HF_ADV_HUGEPAGE] = { HF_VMA_HUGE_1G, HF_VMA_HUGE },
		[HF_ADV_HUGEPAGE_1G] = { 0, HF_VMA_HUGE | HF_VMA_HUGE_1G },
		[HF_ADV_NOHUGEPAGE] = { HF_VMA_HUGE | HF_VMA_HUGE_1G, 0 },
		[HF_ADV_DONTFORK] = { 0, HF_VMA_DONTFORK },
		[HF_ADV_DOFORK] = { HF_VMA_DONTFORK, 0 },
		[HF_ADV_WIPEONFORK] = { 0, HF_VMA_WIPE },
		[HF_ADV_KEEPONFORK] = { HF_VMA_WIPE, 0 },
	};
	enum hf_status st;

	if (advice < HF_ADV_DONTNEED || advice > HF_ADV_REMOVE)
		return HF_ERR_INVAL;
	st = hf_check_pages(mm, va, &len);
	if (st)
		return st;
	if (advice == HF_ADV_DONTNEED || advice == HF_ADV_FREE)
		return give_contents_up(mm, va, len, advice == HF_ADV_FREE);
	if (advice == HF_ADV_COLD || advice == HF_ADV_PAGEOUT)
		return hf_advise_unused(mm, va, len, advice == HF_ADV_PAGEOUT);
	if (advice == HF_ADV_POPULATE_READ)
		return populate(mm, va, len, HF_ACCESS_READ);
	if (advice == HF_ADV_POPULATE_WRITE)
		return populate(mm, va, len, HF_ACCESS_WRITE);
	if (advice == HF_ADV_REMOVE)
		return hf_advise_remove(mm, va, len);
	if (advice == HF_ADV_COLLAPSE)
		return advise_collapse(mm, va, len);
	return advise_flags(mm, va, len, flags[advice].clear, flags[advice].add);
}
