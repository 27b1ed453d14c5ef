/* SPDX-License-Identifier: MIT */
/* hf_fault. */
#include "../space/fill.h"
#include "../space/mm.h"
#include "../space/resolve.h"
#include "../space/wait.h"
#include "../table/walk.h"
#include "stack.h"

#include <holdfast/mm.h>

enum hf_status hf_fault(struct hf_mm *mm, hf_va va, unsigned access, struct hf_translation *out)
{
	struct hf_wait wait = HF_WAIT_NONE;
	struct hf_resolution f = { .mm = mm, .va = va, .access = access, .wait = &wait };
	enum hf_status st;
	bool stack;

	if (access != HF_ACCESS_READ && access != HF_ACCESS_WRITE && access != HF_ACCESS_EXEC)
		return HF_ERR_INVAL;
again:
	hf_mm_lock_shared(mm);
	st = hf_resolve_begin(&f);
	if (!st) {
		if (out)
			*out = hf_walk_translation(&f.walk);
		hf_fill(&f.walk, va + 1);
		hf_resolve_end(&f);
	}
	stack = f.hole && hf_below_stack(mm, va);
	hf_mm_unlock_shared(mm);
	if (hf_wait(mm->phys, &wait, &st))
		goto again;
	if (stack) {
		st = hf_stack_grow(mm, va);
		if (!st)
			goto again;
	}
	return st;
}
