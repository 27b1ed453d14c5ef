/* SPDX-License-Identifier: MIT */
/* Zero pages, and other pages that a fault finds again. */
#ifndef HF_ZERO_H
#define HF_ZERO_H

#include "../lib/lock.h"
#include "frame.h"

#include <holdfast/phys.h>

/*
 * The zero page to map at `level` (0 or 1), made on first use. Leaves to it are not counted: it is
 * the core's for ever, so nobody has it alone, it is never freed, and no number of leaves is
 * too many. False: none to be had.
 */
HF_HOLDS(phys)
bool hf_zero_page_locked(struct hf_phys *phys, unsigned level, hf_pfn *out);

/* The frame lies in a zero page. */
HF_HOLDS(phys)
static inline bool hf_is_zero_locked(const struct hf_phys *phys, hf_pfn pfn)
{
	return pfn.v == phys->zero[0].v ||
	       (phys->zero[1].v != HF_NIL && hf_block_base(pfn, 1).v == phys->zero[1].v);
}

/*
 * The frame lies in an object's page, or in a zero page: where a private mapping leads to it, a
 * child's fault finds the same again without being given it.
 */
HF_HOLDS(phys)
bool hf_refaultable_locked(const struct hf_phys *phys, hf_pfn pfn);

#endif
