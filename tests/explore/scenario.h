/* SPDX-License-Identifier: MIT */
/* The words that scenarios share. */
#ifndef HFX_SCENARIO_H
#define HFX_SCENARIO_H

#include "explore.h"

extern const struct hfx_scenario hfx_reclaim[], hfx_object[], hfx_unshare[];

/* Space `i`, empty. */
static inline void hfx_space(unsigned i)
{
	OK(hf_mm_create(&w.mm[i], &w.phys, NULL));
}

/* Private memory, readable and writable, at a multiple of `align`. */
static inline hf_va hfx_map(unsigned i, uint64_t len, uint64_t align)
{
	hf_va va = (hf_va)1 << 30;

	(void)align;
	OK(hf_mmap(&w.mm[i], &va, len, RW, HF_MAP_FIXED));
	return va;
}

/* Space `to` is a child of `from`, and what was stored there is what its user code finds. */
static inline void hfx_fork(unsigned from, unsigned to)
{
	OK(hf_fork(&w.mm[from], &w.mm[to], NULL, HF_FORK_COPY));
	hfx_inherit(&w.mm[from], &w.mm[to]);
}

#endif
