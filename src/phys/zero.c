/* SPDX-License-Identifier: MIT */
/* Zero pages, and other pages that a fault finds again. */
#include "zero.h"

#include "block.h"
#include "buddy.h"
#include "count.h"
#include "frame.h"

#include <holdfast/phys.h>

bool hf_is_zero_locked(const struct hf_phys *phys, hf_pfn pfn)
{
	return pfn.v == phys->zero[0].v ||
	       (phys->zero[1].v != HF_NIL && hf_block_base(pfn, 1).v == phys->zero[1].v);
}

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

bool hf_zero_get_locked(struct hf_phys *phys, unsigned level, hf_pfn *out)
{
	hf_pfn *zero = &phys->zero[level];
	bool clean;

	if (zero->v == HF_NIL) {
		hf_pfn fresh;

		if (!hf_block_alloc_locked(phys, hf_level_order(level), NULL, &fresh, &clean))
			return false;
		if (!clean)
			hf_block_clear(phys, fresh, hf_level_order(level));
		hf_map_count_locked(phys, fresh, level, true);
		*zero = fresh;
	}
	*out = *zero;
	return hf_map_get_locked(phys, *zero, level);
}
