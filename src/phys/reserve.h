/* SPDX-License-Identifier: MIT */
/* Frames set aside. */
#ifndef HF_RESERVE_H
#define HF_RESERVE_H

#include "frame.h"

#include <holdfast/phys.h>

/*
 * Frames set aside so that what follows cannot fail for want of memory. Order 0, kind SPARE.
 *
 * The *spare* frames of a memory are set aside from its start for calls that only give memory back:
 * when no other is free, a reserve that `gives` takes them. One call at a time: others wait until
 * it is done (hf_reserve_drain), and what has been freed meanwhile has filled the spare frames
 * first (hf_block_free_locked). A call that frees less than it used leaves fewer to the next, until
 * memory is free again.
 *
 * phys->spare_lock, held from the first spare frame to the drain: after mm locks and object->lock,
 * before table locks and phys->lock. Who holds it waits for no pager and for no space.
 */
struct hf_reserve {
	uint32_t head, tail; /* if not empty */
	uint64_t count;
	bool gives;    /* for a call that gives back: spare frames will do */
	bool has_lock; /* phys->spare_lock is held */
};
#define HF_RESERVE_EMPTY ((struct hf_reserve){ 0 })
#define HF_RESERVE_GIVING ((struct hf_reserve){ .gives = true })

/*
 * What one call may need: own tables or split leaves on the way to both ends of a range, 4 levels
 * below the root each; and two nodes for each of 5 levels of a tree of mappings, and a new root.
 */
#define HF_SPARES_EDIT (2 * 4 + 2 * 5 + 1)
/*
 * And, with a swap store, reclaim's, for splitting a huge page of 2 MiB, and one of 1 GiB before.
 */
#define HF_SPARES_RECLAIM 2

/* Have at least `count` frames, or fail and leave the reserve as it was. Takes phys->lock. */
bool hf_reserve_fill(struct hf_phys *phys, struct hf_reserve *r, uint64_t count);
/*
 * One frame out of it, which reads as zeros if its descriptor says `clean`; panics when empty, for
 * then the reckoning was wrong. No lock.
 */
hf_pfn hf_reserve_take(struct hf_phys *phys, struct hf_reserve *r);
/* Give what is left back. Takes phys->lock. */
void hf_reserve_drain(struct hf_phys *phys, struct hf_reserve *r);
/* For reclaim: a spare frame into the reserve, of those that are its own. Takes phys->lock. */
bool hf_reserve_take_spare(struct hf_phys *phys, struct hf_reserve *r);
/* There is a swap store, or none any more: have spare frames for reclaim. Takes phys->lock. */
void hf_reserve_for_reclaim(struct hf_phys *phys, bool on);

#endif
