/* SPDX-License-Identifier: MIT */
/* Moving what is mapped in a range to other addresses of the space. */
#ifndef HF_MOVE_H
#define HF_MOVE_H

#include "../lib/lock.h"
#include "../phys/reserve.h"
#include "range.h"
#include "vma.h"

#include <holdfast/mm.h>

struct hf_move {
	struct hf_range from; /* an entry that can go as it is counts as whole, no other */
	hf_va to;	      /* where from.lo goes */
	struct hf_reserve *reserve;
	bool unshared;	   /* mappings that fork does not share are there, or further up */
	struct hf_vma vma; /* the mapping that was last looked up, where it is now */
};

/* The move of [lo, hi) to `to`, which do not overlap. */
struct hf_move hf_move_plan(struct hf_mm *mm, hf_va lo, hf_va hi, hf_va to,
			    struct hf_reserve *reserve);

/* Frames for the tables that the new addresses may need. mm lock held exclusively. */
HF_HOLDS(mm)
uint64_t hf_move_need(const struct hf_move *m);

/*
 * Move. The mappings are the new ones; both ranges have been isolated, and there is nothing in
 * the new one. The old addresses are flushed before the new ones can be used. Same lock.
 */
HF_HOLDS(mm)
void hf_move_tables(struct hf_move *m);

#endif
