/* SPDX-License-Identifier: MIT */
/* Where new pages had best lie. */
#ifndef HF_PLACE_H
#define HF_PLACE_H
#include "../lib/lock.h"
#include "vma.h"

#include <holdfast/mm.h>

/*
 * Where a new block for `va` had best lie, so that memory which is near in the space is
 * near in RAM; and the block itself, counted as mapped once. False: no memory.
 * phys->lock held.
 */
HF_HOLDS(phys)
bool hf_place_alloc_locked(struct hf_mm *mm, const struct hf_vma *vma, hf_va va, unsigned level,
			   hf_pfn *out, bool *clean);

/* What lay in [lo, hi) lies at `to` now. mm lock held exclusively; takes phys->lock. */
HF_HOLDS(mm)
void hf_place_move(struct hf_mm *mm, hf_va lo, hf_va hi, hf_va to);

#endif
