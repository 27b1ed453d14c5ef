/* SPDX-License-Identifier: MIT */
/* Zero pages, and other pages that a fault finds again. */
#include "zero.h"

#include "block.h"
#include "buddy.h"
#include "frame.h"

#include <holdfast/phys.h>

bool hf_refaultable_locked(const struct hf_phys *phys, hf_pfn pfn)
{
	for (unsigned level = 0; level < HF_LEAF_LEVELS; level++) {
		hf_pfn base = hf_block_base(pfn, level);
		const struct hf_frame *f = hf_ram_of(phys, base) ? hf_frame_at(phys, base) : NULL;

		if (f && hf_frame_get_kind(f) == HF_FRAME_PAGE && f->order == hf_level_order(level))
			return true;
	}
	return hf_is_zero_locked(phys, pfn);
}

bool hf_zero_page_locked(struct hf_phys *phys, unsigned level, hf_pfn *out)
{
	const unsigned order = hf_level_order(level);
	hf_pfn *zero = &phys->zero[level];
	struct hf_frame *f;
	hf_pfn fresh;
	bool clean;

	if (zero->v == HF_NIL) {
		if (!hf_block_alloc_locked(phys, order, &fresh, &clean))
			return false;
		if (!clean)
			hf_block_clear(phys, fresh, order);
		f = hf_frame_at(phys, fresh);
		hf_frame_set_kind(f, HF_FRAME_ZERO);
		f->order = order & HF_ORDER_MASK;
		*zero = fresh;
	}
	*out = *zero;
	return true;
}
