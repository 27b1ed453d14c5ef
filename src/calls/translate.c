/* SPDX-License-Identifier: MIT */
/* hf_translate. */
#include "../arch/entry.h"
#include "../space/mm.h"
#include "../table/table.h"
#include "../table/walk.h"

#include <holdfast/mm.h>

enum hf_status hf_translate(struct hf_mm *mm, hf_va va, struct hf_translation *out)
{
	enum hf_status st = HF_ERR_UNMAPPED;
	struct hf_walk w;

	if (va < mm->va_lo || va >= mm->va_hi)
		return HF_ERR_RANGE;
	hf_mm_lock_shared(mm);
	hf_walk_to(&w, mm, va);
	if (hf_pte_leaf(hf_pte_get(w.entry), w.level)) {
		*out = hf_walk_translation(&w);
		st = HF_OK;
	}
	hf_walk_end(&w);
	hf_mm_unlock_shared(mm);
	return st;
}
