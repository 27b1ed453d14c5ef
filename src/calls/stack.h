/* SPDX-License-Identifier: MIT */
/* Stacks: mappings that grow downwards. */
#ifndef HF_STACK_H
#define HF_STACK_H

#include "../lib/lock.h"

#include <holdfast/mm.h>

/* `va`, which is not mapped, lies below a stack. mm lock held. */
HF_HOLDS_SHARED(mm)
bool hf_below_stack(const struct hf_mm *mm, hf_va va);
/*
 * Make the stack above `va` reach down to it. HF_OK also if it does already. HF_ERR_UNMAPPED:
 * there is none, or something is in the way. HF_ERR_LIMIT. HF_ERR_NOMEM. HF_ERR_OVERFLOW.
 * Takes mm's lock exclusively.
 */
enum hf_status hf_stack_grow(struct hf_mm *mm, hf_va va);

#endif
