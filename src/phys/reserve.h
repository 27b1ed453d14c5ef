/* SPDX-License-Identifier: MIT */
/* Frames set aside. */
#ifndef HF_RESERVE_H
#define HF_RESERVE_H

#include "frame.h"

#include <holdfast/phys.h>

/* Frames set aside so that what follows cannot fail for want of memory. Order 0. */
struct hf_reserve {
	uint32_t head; /* HF_NIL when empty */
	uint64_t count;
};
#define HF_RESERVE_EMPTY ((struct hf_reserve){ .head = HF_NIL })

/* Add `count` frames, or fail and leave the reserve as it was. Takes phys->lock. */
bool hf_reserve_fill(struct hf_phys *phys, struct hf_reserve *r, uint64_t count);
/* One frame out of it; panics when empty, for then the reckoning was wrong. No lock. */
hf_pfn hf_reserve_take(struct hf_phys *phys, struct hf_reserve *r);
/* Give what is left back. Takes phys->lock. */
void hf_reserve_drain(struct hf_phys *phys, struct hf_reserve *r);

#endif
