/* SPDX-License-Identifier: MIT */
#include "forget.h"

#include "../arch/entry.h"
#include "../object/object.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../table/table.h"
#include "mm.h"
#include "range.h"

#include <holdfast/mm.h>

/* The leaf leads into the page that the object has at its place, and that may lose it. */
HF_HOLDS(object)
static bool is_forgotten(const struct hf_vma *part, const struct hf_spot *s, bool idle)
{
	uint64_t offset = hf_vma_offset(part, s->va), within;
	struct hf_object_page page;

	if (!s->whole || !hf_pages_find(part->object, offset, &page))
		return false;
	within = offset & (hf_level_size(page.level) - 1);
	if (hf_pte_pfn(s->e).v != page.pfn.v + (uint32_t)(within >> HF_PAGE_SHIFT))
		return false;
	return !idle || hf_pages_idle(part->object, &page);
}

HF_HOLDS(object)
static bool forget_in_table(const struct hf_range *r, const struct hf_vma *part, hf_pfn table,
			    hf_va base, unsigned level, bool idle)
{
	struct hf_phys *phys = r->mm->phys;
	bool changed = false;

	hf_each_spot(s, r, table, base, level) {
		if (hf_pte_branch(s.e, level)) {
			if (!idle || !hf_table_shared(phys, hf_pte_pfn(s.e)))
				changed |= forget_in_table(r, part, hf_pte_pfn(s.e), s.va,
							   level - 1, idle);
		} else if (hf_pte_leaf(s.e, level) && is_forgotten(part, &s, idle)) {
			hf_pte_set(s.entry, (hf_pte){ 0 });
			hf_phys_lock(phys);
			hf_map_put_locked(phys, hf_pte_pfn(s.e), level);
			hf_phys_unlock(phys);
			changed = true;
		}
	}
	return changed;
}

void hf_forget_pages(struct hf_mm *mm, const struct hf_vma *part, bool idle)
{
	struct hf_range r = hf_range_deep(mm, part->start, part->end);
	bool changed;

	HF_ASSERT_MM_EXCLUSIVE(mm);
	hf_object_lock(part->object);
	changed = forget_in_table(&r, part, mm->root, 0, HF_TOP_LEVEL, idle);
	hf_object_unlock(part->object);
	/* What a shared table had is gone for all who share it, whoever took it out. */
	if (changed || !idle)
		hf_flush_tlb(mm, part->start, part->end - part->start, HF_FLUSH_LEAVES);
}
