/* SPDX-License-Identifier: MIT */
/* What the tables say, told to a port that keeps translations of its own: struct hf_port's fill. */
#ifndef HF_FILL_H
#define HF_FILL_H

#include "../lib/lock.h"
#include "../table/walk.h"

#include <holdfast/mm.h>

/*
 * Tell the port that [w->va, end) is wanted, as far as the longest run of leaves like the one at
 * which the walk stands; returns where that part ends. The leaf is present and accessed, its table
 * locked. Without `fill` nothing is told.
 */
HF_HOLDS_SHARED(mm)
hf_va hf_fill(const struct hf_walk *w, hf_va end);

/* The same for all that is present in [lo, hi). mm lock held; takes table locks. */
HF_HOLDS_SHARED(mm)
void hf_fill_range(struct hf_mm *mm, hf_va lo, hf_va hi);

#endif
