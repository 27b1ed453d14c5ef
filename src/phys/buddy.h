/* SPDX-License-Identifier: MIT */
/* The allocator of blocks of 2^order frames. All under phys->lock. */
#ifndef HF_BUDDY_H
#define HF_BUDDY_H
#include "../lib/lock.h"

#include <holdfast/phys.h>

/*
 * A block of 2^order frames. `want`, if not NULL, is where it should lie; it is taken
 * from elsewhere if that is not free. *clean tells that it reads as zeros.
 */
HF_HOLDS(phys)
bool hf_block_alloc_locked(struct hf_phys *phys, unsigned order, const hf_pfn *want, hf_pfn *out,
			   bool *clean);
HF_HOLDS(phys)
void hf_block_free_locked(struct hf_phys *phys, hf_pfn pfn, unsigned order);
/* How many blocks of 2^order could be had, but no more than `most` are counted. */
HF_HOLDS(phys)
uint64_t hf_blocks_free_locked(struct hf_phys *phys, unsigned order, uint64_t most);
/* Put the few free frames that were kept loose into the free lists. */
HF_HOLDS(phys)
void hf_loose_join_locked(struct hf_phys *phys);

/*
 * The lowest of the largest free blocks, for what has no place yet, and its order. False, and
 * nothing is said: there is none.
 */
HF_HOLDS(phys)
bool hf_block_largest_locked(const struct hf_phys *phys, hf_pfn *out, unsigned *order);

#endif
