/* SPDX-License-Identifier: MIT */
/* Blocks: their numbers, and what is in them. */
#include "block.h"

#include "../lib/mem.h"
#include "frame.h"

#include <holdfast/phys.h>

struct hf_frame *hf_block(const struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	const struct hf_ram *ram = hf_ram_of(phys, pfn);
	uint64_t start, frames, base;

	if (!ram)
		return NULL;
	start = ram->base.v >> HF_PAGE_SHIFT;
	frames = ram->len >> HF_PAGE_SHIFT;
	if (level == HF_LEVEL_PTE)
		return (struct hf_frame *)ram->meta + (pfn.v - start);
	base = hf_block_base(pfn, level).v;
	if (base < start || base - start + ((uint64_t)1 << hf_level_order(level)) > frames)
		return NULL;
	return (struct hf_frame *)ram->meta + (base - start + level);
}

void hf_blocks_prepare(const struct hf_phys *phys, hf_pfn pfn, uint64_t frames)
{
	if (phys->port->prepare)
		phys->port->prepare(phys->host, hf_pfn_pa(pfn), frames << HF_PAGE_SHIFT);
}

void hf_block_prepare(const struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	if (level > HF_LEVEL_PTE)
		hf_blocks_prepare(phys, pfn, 1u << hf_level_order(level));
}

void hf_block_clear(const struct hf_phys *phys, hf_pfn pfn, unsigned order)
{
	memset(hf_frame_ptr(phys, pfn), 0, HF_PAGE_SIZE << order);
}

void hf_block_copy(const struct hf_phys *phys, hf_pfn dst, hf_pfn src, unsigned order)
{
	void *to = hf_frame_ptr(phys, dst);
	const void *from = hf_frame_ptr(phys, src);
	size_t len = HF_PAGE_SIZE << order;

	if (phys->port->copy)
		phys->port->copy(phys->host, to, from, len);
	else
		memcpy(to, from, len);
}

void hf_page_mark_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level, bool page)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);

	hf_frame_set_kind(f, page ? HF_FRAME_PAGE : HF_FRAME_PLAIN);
	f->order = hf_level_order(level) & HF_ORDER_MASK;
}
