/* SPDX-License-Identifier: MIT */
/*
 * MADV_FREE: mark pages that may be dropped. They are write-protected and clean, so a
 * write faults (see at_leaf in resolve.c), and reclaim drops those that are still marked.
 */
#include "../arch/entry.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/zero.h"
#include "../space/range.h"
#include "../table/table.h"
#include "swap.h"

#include <holdfast/mm.h>

static hf_pte mkfree(hf_pte e)
{
	return hf_leaf_mklazy(hf_leaf_mkclean(hf_leaf_wrprotect(e)));
}

/* The leaf's page is exclusive to this space and no device holds it. */
static bool may_be_dropped(struct hf_phys *phys, hf_pte e, unsigned level)
{
	bool yes;

	hf_phys_lock(phys);
	yes = hf_mapped_once_locked(phys, hf_pte_pfn(e), level) &&
	      !hf_is_zero_locked(phys, hf_pte_pfn(e)) &&
	      !hf_pinned_locked(phys, hf_pte_pfn(e), level);
	hf_phys_unlock(phys);
	return yes;
}

/* In tables of this space's own. Returns whether anything was writable. */
static bool mark(const struct hf_range *r, hf_pfn table, hf_va base, unsigned level)
{
	struct hf_phys *phys = r->mm->phys;
	bool armed = false;

	hf_each_spot(s, r, table, base, level) {
		if (hf_pte_swapped(s.e)) {
			hf_pte_set(s.entry, (hf_pte){ 0 });
			hf_target_put(phys, s.e, level);
		} else if (hf_pte_branch(s.e, level) && hf_branch_writable(s.e))
			armed |= mark(r, hf_pte_pfn(s.e), s.va, level - 1);
		else if (hf_pte_leaf(s.e, level) && s.whole && may_be_dropped(phys, s.e, level))
			armed |= hf_leaf_writable(hf_pte_update(s.entry, mkfree));
	}
	return armed;
}

void hf_mark_free(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_range r = hf_range_deep(mm, lo, hi);

	if (mark(&r, mm->root, 0, HF_TOP_LEVEL))
		hf_flush_tlb(mm, lo, hi - lo, HF_FLUSH_WRITE);
}
