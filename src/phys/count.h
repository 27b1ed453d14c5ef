/* SPDX-License-Identifier: MIT */
/* Counts: how many leaves and pins each block has. All under phys->lock. */
#ifndef HF_COUNT_H
#define HF_COUNT_H

#include "../lib/lock.h"

#include <holdfast/phys.h>

/*
 * Counts of leaves pass over zero pages (zero.h).
 *
 * The bare count of leaves at `level` to a block, one more or less: no limit, nothing freed.
 */
HF_HOLDS(phys)
void hf_map_count_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level, bool more);
/* A leaf above `level` leads to more than the block and so to the block. */
HF_HOLDS(phys)
bool hf_covered_locked(const struct hf_phys *phys, hf_pfn pfn, unsigned level);
/* One leaf entry at `level` more leads to the block. False, and no change, at the limit. */
HF_HOLDS(phys)
bool hf_map_get_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level);
/* One less; what nobody uses any more becomes free. */
HF_HOLDS(phys)
void hf_map_put_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level);
/* The same without phys->lock, which is never held for more than 2 MiB. */
void hf_map_put(struct hf_phys *phys, hf_pfn pfn, unsigned level);
/*
 * One leaf at `level` becomes 512 at level - 1. False, and no change, if one of the
 * sub-blocks is at its limit.
 */
HF_HOLDS(phys)
bool hf_map_split_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level);
/* Exactly one leaf entry leads to the block and none to a part of it or to more than it. */
HF_HOLDS(phys)
bool hf_mapped_once_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level);
/* `more` gets of the block would not be refused. */
HF_HOLDS(phys)
bool hf_map_room_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level, uint64_t more);

/* A pin more on each of `count` frames. False and no change at the limit. */
HF_HOLDS(phys)
bool hf_pin_get_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count);
/*
 * Of the `count` frames from `pfn` on, the first, or all of the 2 MiB that begin with it: see
 * unpin.h. Each returns how many frames it has done it to; what it did besides is added to *work.
 * Claim: 0, and no change, if all pins there are claimed. Unclaim takes the claim back; give takes
 * the pin as well, and frees what nobody holds any longer. phys->unpin_lock held.
 */
HF_HOLDS(phys)
uint32_t hf_pin_claim_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count, uint32_t *work);
HF_HOLDS(phys)
uint32_t hf_pin_unclaim_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count, uint32_t *work);
HF_HOLDS(phys)
uint32_t hf_pin_give_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count, uint32_t *work);
/* Free those of `count` frames that neither pin nor leaf holds. */
HF_HOLDS(phys)
void hf_frames_release_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count);
/* Some frame of the block holds a pin. */
HF_HOLDS(phys)
bool hf_pinned_locked(const struct hf_phys *phys, hf_pfn pfn, unsigned level);
/* How many pins hold a frame; how many frames of a block hold any. */
HF_HOLDS(phys)
uint32_t hf_pins_locked(const struct hf_phys *phys, hf_pfn pfn);
HF_HOLDS(phys)
uint64_t hf_pinned_frames_locked(const struct hf_phys *phys, hf_pfn pfn, unsigned level);

#endif
