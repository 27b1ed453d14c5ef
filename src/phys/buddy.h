/* SPDX-License-Identifier: MIT */
/* The allocator of blocks of 2^order frames. All under phys->lock. */
#ifndef HF_BUDDY_H
#define HF_BUDDY_H

#include "../lib/lock.h"

#include <holdfast/phys.h>

/*
 * A block of 2^order frames, wherever there is one. *clean tells that it reads as zeros. Single
 * frames, page tables mostly, come one behind the other as long as they can.
 */
HF_HOLDS(phys)
bool hf_block_alloc_locked(struct hf_phys *phys, unsigned order, hf_pfn *out, bool *clean);
/*
 * The one at `pfn`, which is a multiple of 2^order. False: it is not RAM, not free, or part of a
 * free block above 2^most.
 */
HF_HOLDS(phys)
bool hf_block_alloc_at_locked(struct hf_phys *phys, unsigned order, hf_pfn pfn, unsigned most,
			      bool *clean);
/*
 * The one at `pfn`, a multiple of 2^order, out of the free block that begins at `block` and holds
 * it whole. False: fault injection.
 */
HF_HOLDS(phys)
bool hf_block_alloc_part_locked(struct hf_phys *phys, hf_pfn block, unsigned order, hf_pfn pfn,
				bool *clean);
HF_HOLDS(phys)
void hf_block_free_locked(struct hf_phys *phys, hf_pfn pfn, unsigned order);
/* One frame; `clean`: it reads as zeros, and whoever has it next need not clear it. */
HF_HOLDS(phys)
void hf_frame_free_locked(struct hf_phys *phys, hf_pfn pfn, bool clean);
/* Make the spare frames (reserve.h) as many as they should be, as far as memory is free. */
HF_HOLDS(phys)
void hf_spare_fill_locked(struct hf_phys *phys);
/* One of them. False: there is none. */
HF_HOLDS(phys)
bool hf_spare_take_locked(struct hf_phys *phys, hf_pfn *out);
/* How many blocks of 2^order could be had, but no more than `most` are counted. */
HF_HOLDS(phys)
uint64_t hf_blocks_free_locked(struct hf_phys *phys, unsigned order, uint64_t most);
/* Put the few free frames that were kept loose into the free lists. */
HF_HOLDS(phys)
void hf_loose_join_locked(struct hf_phys *phys);

/* A block that was not there until now. */
HF_HOLDS(phys)
void hf_block_add_locked(struct hf_phys *phys, hf_pfn pfn, unsigned order, bool clean);
/*
 * The free block that *pfn lies in is looked at, but no more than 2 MiB of it: *pfn and *order
 * become what that is. True: it is part of one of at least 2^least frames and does not read as
 * zeros; it is the caller's now. False: *pfn is not free (*pfn and *order are unchanged), or
 * another.
 */
HF_HOLDS(phys)
bool hf_block_take_dirty_locked(struct hf_phys *phys, hf_pfn *pfn, unsigned least, unsigned *order);

/*
 * A free block that 2^want frames fit in, as small as may be but not above 2^most; else the
 * largest of those that are smaller. *order is its own. False: there is none.
 */
HF_HOLDS(phys)
bool hf_block_fit_locked(const struct hf_phys *phys, unsigned want, unsigned most, hf_pfn *out,
			 unsigned *order);
/* Frames in free blocks of at least 2^order. */
HF_HOLDS(phys)
uint64_t hf_frames_free_locked(const struct hf_phys *phys, unsigned order);

#endif
