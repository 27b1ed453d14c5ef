/* SPDX-License-Identifier: MIT */
/* Small sums with addresses and lengths. */
#ifndef HF_LIB_MATH_H
#define HF_LIB_MATH_H

#include <holdfast/types.h>

static inline uint64_t hf_page_up(uint64_t len)
{
	return (len + HF_PAGE_SIZE - 1) & ~(HF_PAGE_SIZE - 1);
}

static inline hf_va hf_min_va(hf_va a, hf_va b)
{
	return a < b ? a : b;
}

static inline hf_va hf_max_va(hf_va a, hf_va b)
{
	return a > b ? a : b;
}

#endif
