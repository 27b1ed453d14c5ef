/* SPDX-License-Identifier: MIT */
/* Zero pages, and other pages that a fault finds again. */
#ifndef HF_ZERO_H
#define HF_ZERO_H
#include "../lib/lock.h"

#include <holdfast/phys.h>

/*
 * The zero page to map at `level` (0 or 1), made on first use. The core itself counts as
 * one mapper of it, so it is never exclusive and never freed. False: none to be had.
 */
HF_HOLDS(phys)
bool hf_zero_get_locked(struct hf_phys *phys, unsigned level, hf_pfn *out);
HF_HOLDS(phys)
bool hf_is_zero_locked(const struct hf_phys *phys, hf_pfn pfn);

/*
 * The frame lies in an object's page, or in a zero page: where a private mapping leads to it, a
 * child's fault finds the same again without being given it.
 */
HF_HOLDS(phys)
bool hf_refaultable_locked(const struct hf_phys *phys, hf_pfn pfn);

#endif
