/* SPDX-License-Identifier: MIT */
/* What is resident: mincore. */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../object/object.h"
#include "../space/mm.h"
#include "../space/vma.h"
#include "../table/table.h"
#include "../table/walk.h"

#include <holdfast/mm.h>

/* The object has the page at `va` in memory. mm lock held, no table's. */
static bool in_object(const struct hf_vma *v, hf_va va)
{
	struct hf_object *o = v->object;
	struct hf_object_page page;
	bool found;

	if (hf_vma_is_anon(v))
		return false;
	hf_object_lock(o);
	found = hf_vma_offset(v, va) < hf_object_end(o) &&
		hf_pages_find(o, hf_vma_offset(v, va), &page);
	hf_object_unlock(o);
	return found;
}

/* From `va`, in the mapping `v`, on to *next the pages are alike. mm lock held. */
HF_HOLDS_SHARED(mm)
static bool resident(struct hf_mm *mm, const struct hf_vma *v, hf_va va, hf_va *next)
{
	struct hf_walk w;
	hf_pte e;

	hf_walk_to(&w, mm, va);
	e = hf_pte_get(w.entry);
	*next = hf_level_base(va, w.level) + hf_level_size(w.level);
	hf_walk_end(&w);
	if (!hf_pte_none(e) || hf_vma_is_anon(v))
		return !hf_pte_none(e) && !hf_pte_swapped(e);
	*next = va + HF_PAGE_SIZE;
	return in_object(v, va);
}

enum hf_status hf_mincore(struct hf_mm *mm, hf_va va, uint64_t len, unsigned char *vec)
{
	enum hf_status st = hf_check_pages(mm, va, &len);
	const hf_va end = va + len;
	struct hf_vma v = { .end = va };

	if (st)
		return st;
	hf_mm_lock_shared(mm);
	st = hf_check_mapped(mm, va, end, 0);
	while (!st && va < end) {
		hf_va next;
		bool in;

		if (va >= v.end)
			hf_vmas_next(mm->phys, mm->vmas, va, &v);
		in = resident(mm, &v, va, &next);
		for (next = hf_min_va(next, hf_min_va(v.end, end)); va < next; va += HF_PAGE_SIZE)
			*vec++ = in;
	}
	hf_mm_unlock_shared(mm);
	return st;
}
