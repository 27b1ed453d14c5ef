/* SPDX-License-Identifier: MIT */
/* Counting: leaves and pins per block, and freeing what nobody uses. */
#include "frame.h"

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

/* How many leaves at exactly `level` lead to the block `b`. */
static uint32_t *maps_of(struct hf_frame *b, unsigned level)
{
	return level == HF_LEVEL_PTE ? &b->maps : &b->block_maps;
}

/* A leaf leads to the block or into it. */
static bool mapped(const struct hf_frame *b, unsigned level)
{
	return level == HF_LEVEL_PTE ? b->maps : b->block_maps || b->block_inner;
}

/* A leaf at a higher level covers the block. */
bool hf_covered_locked(const struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	while (++level < HF_LEAF_LEVELS) {
		const struct hf_frame *b = hf_block(phys, pfn, level);

		if (b && b->block_maps)
			return true;
	}
	return false;
}

/* The block at `level` has become mapped (+1) or not (-1): tell those it is a part of. */
static void tell_above(struct hf_phys *phys, hf_pfn pfn, unsigned level, bool now)
{
	while (++level < HF_LEAF_LEVELS) {
		struct hf_frame *b = hf_block(phys, pfn, level);
		bool before;

		if (!b)
			return;
		before = mapped(b, level);
		b->block_inner += now ? 1u : -1u;
		if (mapped(b, level) == before)
			return;
	}
}

void hf_map_count_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level, bool more)
{
	struct hf_frame *b = hf_block(phys, pfn, level);
	bool before = mapped(b, level);

	*maps_of(b, level) += more ? 1u : -1u;
	if (mapped(b, level) != before)
		tell_above(phys, pfn, level, more);
}

bool hf_map_full_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	return *maps_of(hf_block(phys, pfn, level), level) >= phys->count_limit;
}

bool hf_map_get_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	if (hf_map_full_locked(phys, pfn, level))
		return false;
	hf_map_count_locked(phys, pfn, level, true);
	return true;
}

/* Free what nobody uses of a block that no leaf at `level` or above covers any more. */
static void release(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	struct hf_frame *b = hf_block(phys, pfn, level);

	if (!mapped(b, level) && !hf_pinned_locked(phys, pfn, level)) {
		hf_block_free_locked(phys, pfn, hf_level_order(level));
		return;
	}
	if (level == HF_LEVEL_PTE)
		return;
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		hf_pfn part = hf_block_part(pfn, level, i);

		if (!*maps_of(hf_block(phys, part, level - 1), level - 1))
			release(phys, part, level - 1);
	}
}

void hf_map_put_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	uint32_t *maps = maps_of(hf_block(phys, pfn, level), level);

	if (!*maps)
		hf_panic(phys, "a leaf was dropped that was never counted");
	hf_map_count_locked(phys, pfn, level, false);
	if (!*maps && !hf_covered_locked(phys, pfn, level))
		release(phys, pfn, level);
}

bool hf_map_split_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		if (hf_map_full_locked(phys, hf_block_part(pfn, level, i), level - 1))
			return false;
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		hf_map_count_locked(phys, hf_block_part(pfn, level, i), level - 1, true);
	hf_map_count_locked(phys, pfn, level, false);
	return true;
}

bool hf_mapped_once_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	struct hf_frame *b = hf_block(phys, pfn, level);

	if (*maps_of(b, level) != 1 || (level > HF_LEVEL_PTE && b->block_inner))
		return false;
	return !hf_covered_locked(phys, pfn, level);
}

bool hf_pinned_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	const struct hf_frame *b = hf_block(phys, pfn, level);

	return level == HF_LEVEL_PTE ? b->pins : b->block_pinned;
}

/* One pin more or less on a frame; the blocks around it know how many frames are pinned. */
static void add_pin(struct hf_phys *phys, hf_pfn pfn, struct hf_frame *f, bool more)
{
	bool before = f->pins;

	f->pins += more ? 1u : -1u;
	if ((bool)f->pins == before)
		return;
	for (unsigned level = 1; level < HF_LEAF_LEVELS; level++) {
		struct hf_frame *b = hf_block(phys, pfn, level);

		if (b)
			b->block_pinned += more ? 1u : -1u;
	}
}

bool hf_pin_get_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count)
{
	struct hf_frame *f = hf_frame(phys, pfn);

	for (uint64_t i = 0; i < count; i++)
		if (f[i].pins >= phys->count_limit)
			return false;
	for (uint64_t i = 0; i < count; i++, pfn.v++)
		add_pin(phys, pfn, &f[i], true);
	return true;
}

bool hf_pin_put_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count)
{
	struct hf_frame *f = hf_frame(phys, pfn);

	for (uint64_t i = 0; i < count; i++)
		if (!f[i].pins)
			return false;
	for (uint64_t i = 0; i < count; i++, pfn.v++)
		add_pin(phys, pfn, &f[i], false);
	return true;
}

void hf_frames_release_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++, pfn.v++) {
		const struct hf_frame *f = hf_frame(phys, pfn);

		if (!f->pins && !f->maps && !hf_covered_locked(phys, pfn, HF_LEVEL_PTE))
			hf_block_free_locked(phys, pfn, 0);
	}
}

bool hf_block_prepare(const struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	if (level == HF_LEVEL_PTE || !phys->port->prepare)
		return false;
	return phys->port->prepare(phys->host, hf_pfn_pa(pfn), hf_level_size(level));
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

bool hf_is_zero(const struct hf_phys *phys, hf_pfn pfn)
{
	return pfn.v == phys->zero[0].v ||
	       (phys->zero[1].v != HF_NIL && hf_block_base(pfn, 1).v == phys->zero[1].v);
}

bool hf_zero_get_locked(struct hf_phys *phys, unsigned level, hf_pfn *out)
{
	hf_pfn *zero = &phys->zero[level];
	bool clean;

	if (zero->v == HF_NIL) {
		hf_pfn fresh;

		if (!hf_block_alloc_locked(phys, hf_level_order(level), NULL, &fresh, &clean))
			return false;
		if (!clean)
			hf_block_clear(phys, fresh, hf_level_order(level));
		hf_map_count_locked(phys, fresh, level, true);
		*zero = fresh;
	}
	*out = *zero;
	return hf_map_get_locked(phys, *zero, level);
}
