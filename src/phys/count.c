/* SPDX-License-Identifier: MIT */
/* Counting: leaves and pins per block, and freeing what nobody uses. */
#include "count.h"

#include "../lib/lock.h"
#include "../lib/panic.h"
#include "block.h"
#include "buddy.h"
#include "frame.h"
#include "slot.h"
#include "zero.h"

#include <holdfast/phys.h>

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
		b->block_inner = (uint16_t)(now ? b->block_inner + 1 : b->block_inner - 1);
		if (mapped(b, level) == before)
			return;
	}
}

void hf_map_count_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level, bool more)
{
	struct hf_frame *b = hf_block(phys, pfn, level);
	bool before = mapped(b, level);

	HF_ASSERT(phys, hf_block_aligned(pfn, level));
	if (hf_is_zero_locked(phys, pfn))
		return;
	*maps_of(b, level) += more ? 1u : -1u;
	if (mapped(b, level) != before)
		tell_above(phys, pfn, level, more);
}

bool hf_map_room_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level, uint64_t more)
{
	return hf_is_zero_locked(phys, pfn) ||
	       *maps_of(hf_block(phys, pfn, level), level) + more <= phys->count_limit;
}

bool hf_map_get_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	HF_ASSERT_PHYS(phys);
	if (!hf_map_room_locked(phys, pfn, level, 1))
		return false;
	hf_map_count_locked(phys, pfn, level, true);
	return true;
}

/* Free what nobody uses of a block that no leaf at `level` or above covers any more. */
HF_HOLDS(phys)
static void release_block(struct hf_phys *phys, hf_pfn pfn, unsigned level)
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
			release_block(phys, part, level - 1);
	}
}

void hf_map_put_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	uint32_t *maps = maps_of(hf_block(phys, pfn, level), level);

	HF_ASSERT_PHYS(phys);
	HF_ASSERT(phys, hf_block_aligned(pfn, level));
	if (hf_is_zero_locked(phys, pfn))
		return;
	if (!*maps)
		hf_panic_at(phys, "a leaf was dropped that was never counted", hf_pfn_pa(pfn).v,
			    level, 0);
	hf_map_count_locked(phys, pfn, level, false);
	if (!*maps && level == HF_LEVEL_PTE)
		hf_slot_forget_locked(phys, pfn);
	if (!*maps && !hf_covered_locked(phys, pfn, level))
		release_block(phys, pfn, level);
}

void hf_map_put(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	const struct hf_frame *b = hf_block(phys, pfn, level);
	bool parts;

	hf_phys_lock(phys);
	/* Of 1 GiB that is used in parts, each 2 MiB goes by itself. */
	parts = level == HF_LEVEL_PUD && (b->block_inner || hf_pinned_locked(phys, pfn, level)) &&
		hf_map_split_locked(phys, pfn, level);
	if (!parts)
		hf_map_put_locked(phys, pfn, level);
	hf_phys_unlock(phys);
	for (unsigned i = 0; parts && i < HF_TABLE_ENTRIES; i++)
		hf_map_put(phys, hf_block_part(pfn, level, i), level - 1);
}

bool hf_map_split_locked(struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	HF_ASSERT_PHYS(phys);
	HF_ASSERT(phys, level > HF_LEVEL_PTE && hf_block_aligned(pfn, level));
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		if (!hf_map_room_locked(phys, hf_block_part(pfn, level, i), level - 1, 1))
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

/* Pins that hold all of the 2 MiB around a frame. */
static uint32_t whole_pins(const struct hf_phys *phys, hf_pfn pfn)
{
	const struct hf_frame *b = hf_block(phys, pfn, HF_LEVEL_PMD);

	return b ? b->block_whole : 0;
}

uint32_t hf_pins_locked(const struct hf_phys *phys, hf_pfn pfn)
{
	return hf_own_pins(hf_frame_at(phys, pfn)) + whole_pins(phys, pfn);
}

bool hf_pinned_locked(const struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	const struct hf_frame *b;

	if (level == HF_LEVEL_PTE)
		return hf_pins_locked(phys, pfn);
	b = hf_block(phys, pfn, level);
	return b->block_pinned || b->block_whole;
}

uint64_t hf_pinned_frames_locked(const struct hf_phys *phys, hf_pfn pfn, unsigned level)
{
	uint64_t n = 0;

	if (!hf_pinned_locked(phys, pfn, level))
		return 0;
	if (level == HF_LEVEL_PTE || (level == HF_LEVEL_PMD && whole_pins(phys, pfn)))
		return (uint64_t)1 << hf_level_order(level);
	if (level == HF_LEVEL_PMD)
		return hf_block(phys, pfn, level)->block_pinned;
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		n += hf_pinned_frames_locked(phys, hf_block_part(pfn, level, i), level - 1);
	return n;
}

/* One more or one less in the `pinned` of the blocks from `level` up that a frame lies in. */
static void tell_pinned(struct hf_phys *phys, hf_pfn pfn, unsigned level, bool more)
{
	for (; level < HF_LEAF_LEVELS; level++) {
		struct hf_frame *b = hf_block(phys, pfn, level);

		if (b)
			b->block_pinned += more ? 1u : -1u;
	}
}

/* One pin more or less on one frame, or on all of a 2 MiB block. */
static void count_frame_pin(struct hf_phys *phys, hf_pfn pfn, bool more)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);
	bool before = f->pins;

	if (!before)
		f->claims = 0;
	f->pins += more ? 1u : -1u;
	if ((bool)f->pins != before)
		tell_pinned(phys, pfn, HF_LEVEL_PMD, more);
}

static void count_whole_pin(struct hf_phys *phys, hf_pfn pfn, bool more)
{
	struct hf_frame *b = hf_block(phys, pfn, HF_LEVEL_PMD);
	bool before = b->block_whole;

	if (!before)
		b->block_claims = 0;
	b->block_whole += more ? 1u : -1u;
	if ((bool)b->block_whole != before)
		tell_pinned(phys, pfn, HF_LEVEL_PUD, more);
}

#define BLOCK_FRAMES (1u << HF_TABLE_BITS)

/* The first frames of a range that are to be counted in one way. */
struct pin_run {
	uint32_t frames;
	struct hf_frame *block; /* a 2 MiB block that the range covers; NULL: one frame */
};

static struct pin_run pin_run(const struct hf_phys *phys, hf_pfn pfn, uint64_t count)
{
	struct pin_run run = { 1, NULL };

	if (count >= BLOCK_FRAMES && !(pfn.v & (BLOCK_FRAMES - 1)))
		run.block = hf_block(phys, pfn, HF_LEVEL_PMD);
	if (run.block)
		run.frames = BLOCK_FRAMES;
	return run;
}

/* Every frame of [pfn, pfn + count) has room for one more pin. */
HF_HOLDS(phys)
static bool pins_fit(const struct hf_phys *phys, hf_pfn pfn, uint64_t count)
{
	struct pin_run run;

	for (; count; count -= run.frames, pfn.v += run.frames) {
		run = pin_run(phys, pfn, count);
		/* Frames without pins of their own all have as many as the first. */
		if (run.block && run.block->block_pinned)
			run.frames = 1;
		if (hf_pins_locked(phys, pfn) >= phys->count_limit)
			return false;
	}
	return true;
}

bool hf_pin_get_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count)
{
	struct pin_run run;

	HF_ASSERT_PHYS(phys);
	if (!pins_fit(phys, pfn, count))
		return false;
	for (; count; count -= run.frames, pfn.v += run.frames) {
		run = pin_run(phys, pfn, count);
		if (run.block)
			count_whole_pin(phys, pfn, true);
		else
			count_frame_pin(phys, pfn, true);
	}
	return true;
}

/* One whole pin of a block becomes one pin of each of its frames. */
static void break_whole(struct hf_phys *phys, hf_pfn pfn)
{
	hf_pfn base = hf_block_base(pfn, HF_LEVEL_PMD);

	for (unsigned i = 0; i < BLOCK_FRAMES; i++)
		count_frame_pin(phys, hf_block_part(base, HF_LEVEL_PMD, i), true);
	count_whole_pin(phys, base, false);
}

uint32_t hf_pin_claim_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count, uint32_t *work)
{
	struct pin_run run = pin_run(phys, pfn, count);
	struct hf_frame *f = hf_frame_at(phys, pfn), *b = hf_block(phys, pfn, HF_LEVEL_PMD);
	bool whole = b && b->block_whole && b->block_claims < b->block_whole;

	HF_ASSERT_PHYS(phys);
	if (run.block && whole) {
		b->block_claims++;
		return run.frames;
	}
	if (!f->pins || f->claims == f->pins) {
		if (!whole)
			return 0;
		break_whole(phys, pfn);
		*work += BLOCK_FRAMES;
	}
	f->claims++;
	return 1;
}

/* The first claim that a range begins with is none any more; *run is what it was for. */
static void unclaim(struct hf_phys *phys, hf_pfn pfn, uint64_t count, struct pin_run *run)
{
	*run = pin_run(phys, pfn, count);
	if (run->block && (!run->block->block_whole || !run->block->block_claims))
		*run = (struct pin_run){ 1, NULL };
	if (run->block)
		run->block->block_claims--;
	else
		hf_frame_at(phys, pfn)->claims--;
}

uint32_t hf_pin_unclaim_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count, uint32_t *work)
{
	struct pin_run run;

	(void)work;
	HF_ASSERT_PHYS(phys);
	unclaim(phys, pfn, count, &run);
	return run.frames;
}

uint32_t hf_pin_give_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count, uint32_t *work)
{
	struct pin_run run;

	(void)work;
	HF_ASSERT_PHYS(phys);
	unclaim(phys, pfn, count, &run);
	if (run.block)
		count_whole_pin(phys, pfn, false);
	else
		count_frame_pin(phys, pfn, false);
	hf_frames_release_locked(phys, pfn, run.frames);
	return run.frames;
}

void hf_frames_release_locked(struct hf_phys *phys, hf_pfn pfn, uint64_t count)
{
	struct pin_run run;

	HF_ASSERT_PHYS(phys);
	for (; count; count -= run.frames, pfn.v += run.frames) {
		run = pin_run(phys, pfn, count);
		if (run.block && (run.block->block_maps || run.block->block_whole))
			continue;
		run.frames = 1;
		if (!hf_pins_locked(phys, pfn) && !hf_frame_at(phys, pfn)->maps &&
		    !hf_covered_locked(phys, pfn, HF_LEVEL_PTE))
			hf_block_free_locked(phys, pfn, 0);
	}
}
