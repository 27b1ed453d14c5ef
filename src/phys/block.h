/* SPDX-License-Identifier: MIT */
/* Blocks: the frames that one leaf maps. */
#ifndef HF_BLOCK_H
#define HF_BLOCK_H

#include "../lib/lock.h"
#include "frame.h"

#include <holdfast/phys.h>

/*
 * The block's own numbers at `level`: the descriptor that keeps them, or NULL if the block
 * is not whole in one RAM range. Level 0 has `maps` and `pins`, others `block_*`.
 */
struct hf_frame *hf_block(const struct hf_phys *phys, hf_pfn pfn, unsigned level);

/*
 * Tell the port of a block that has just been allocated for a leaf at `level`, or of so many
 * frames of such blocks at PMD level, in one range of RAM. No lock needed.
 */
void hf_block_prepare(const struct hf_phys *phys, hf_pfn pfn, unsigned level);
void hf_blocks_prepare(const struct hf_phys *phys, hf_pfn pfn, uint64_t frames);

/* Fill a block with zeros, or copy one. The block is the caller's alone. No lock needed. */
void hf_block_clear(const struct hf_phys *phys, hf_pfn pfn, unsigned order);
void hf_block_copy(const struct hf_phys *phys, hf_pfn dst, hf_pfn src, unsigned order);

/* The block becomes an object's page, or is none any more. */
HF_HOLDS(phys)
void hf_page_mark_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level, bool page);
#endif
