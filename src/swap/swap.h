/* SPDX-License-Identifier: MIT */
/* The swap store of a memory: reclaim, and what it sets aside. */
#ifndef HF_SWAP_H
#define HF_SWAP_H

#include "../lib/lock.h"

#include <holdfast/mm.h>

/*
 * HF_ADV_COLD, or HF_ADV_PAGEOUT with `out`, of a range that is checked but for what is mapped.
 */
enum hf_status hf_advise_unused(struct hf_mm *mm, hf_va va, uint64_t len, bool out);
/*
 * HF_ADV_FREE, after hf_isolate of the range, which is private anonymous memory. mm lock held
 * exclusively, and reclaim kept out.
 */
HF_HOLDS(mm)
void hf_mark_free(struct hf_mm *mm, hf_va lo, hf_va hi);

#endif
