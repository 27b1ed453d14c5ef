/* SPDX-License-Identifier: MIT */
/*
 * The buddy allocator. Free blocks of each order hang in a doubly linked list through
 * their first frames' descriptors. A block never spans two RAM ranges.
 *
 * Single frames come and go all the time (tables, copies of small pages). A few that are
 * freed are kept loose, so that a frame freed and soon taken again is not joined and
 * cut apart eighteen times over, through descriptors that no cache holds.
 *
 * Those that may lie anywhere are taken one behind the other: the smallest free block is mostly
 * the one that the next page of somebody's mapping is to have.
 */
#include "buddy.h"

#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "frame.h"

#include <holdfast/phys.h>

/* Blocks above this order say of each 2 MiB by itself whether they read as zeros. */
#define HUGE HF_TABLE_BITS

/* `f` is the descriptor of `pfn`. phys->lock held. */
static void push(struct hf_phys *phys, hf_pfn pfn, struct hf_frame *f, unsigned order, bool clean)
{
	uint32_t next = phys->free_head[order];

	hf_frame_set_kind(f, HF_FRAME_FREE);
	f->order = order & HF_ORDER_MASK;
	if (order < HUGE)
		f->clean = clean;
	f->prev = HF_NIL;
	f->next = next;
	if (next != HF_NIL)
		hf_frame_at(phys, (hf_pfn){ next })->prev = pfn.v;
	phys->free_head[order] = pfn.v;
	phys->free_count[order]++;
}

/* phys->lock held. */
static void unlink_free(struct hf_phys *phys, struct hf_frame *f)
{
	if (f->next != HF_NIL)
		hf_frame_at(phys, (hf_pfn){ f->next })->prev = f->prev;
	if (f->prev != HF_NIL)
		hf_frame_at(phys, (hf_pfn){ f->prev })->next = f->next;
	else
		phys->free_head[f->order] = f->next;
	phys->free_count[f->order]--;
	hf_frame_set_kind(f, HF_FRAME_PLAIN);
}

/* The free block that holds all of [pfn, pfn + 2^order), or false. phys->lock held. */
static bool find_free(struct hf_phys *phys, hf_pfn pfn, unsigned order, hf_pfn *out)
{
	const struct hf_ram *ram = hf_ram_of(phys, pfn);
	const struct hf_frame *frames;
	uint32_t start;

	if (!ram)
		return false;
	frames = ram->meta;
	start = (uint32_t)(ram->base.v >> HF_PAGE_SHIFT);
	/* Mostly it is the original, mapped, that a copy would like to lie at. Or it is a table. */
	if (hf_load32(&frames[pfn.v - start].maps))
		return false;
	for (unsigned o = order; o <= HF_MAX_ORDER; o++) {
		hf_pfn base = { pfn.v & ~((1u << o) - 1) };
		const struct hf_frame *f;

		if (base.v < start)
			return false;
		f = &frames[base.v - start];
		if (hf_frame_get_kind(f) == HF_FRAME_FREE) {
			*out = base;
			return f->order >= o;
		}
	}
	return false;
}

static bool find_any(struct hf_phys *phys, unsigned order, hf_pfn *out)
{
	for (unsigned o = order; o <= HF_MAX_ORDER; o++) {
		if (phys->free_head[o] != HF_NIL) {
			out->v = phys->free_head[o];
			return true;
		}
	}
	return false;
}

/*
 * Cut the free block at `base` down until [pfn, pfn + 2^order) stands alone, and take it.
 * phys->lock held.
 */
static void carve(struct hf_phys *phys, hf_pfn base, hf_pfn pfn, unsigned order)
{
	struct hf_frame *f = hf_frame_at(phys, base);
	unsigned o = f->order;
	bool clean = f->clean;

	unlink_free(phys, f);
	while (o > order) {
		hf_pfn upper;

		if (o == HUGE)
			clean = f->clean;
		o--;
		upper.v = base.v + (1u << o);
		if (pfn.v >= upper.v) {
			push(phys, base, f, o, clean);
			base = upper;
			f += 1u << o;
		} else {
			push(phys, upper, f + (1u << o), o, clean);
		}
	}
	if (order < HUGE)
		f->clean = clean;
}

/*
 * A block of 2^order, about to be free or just taken, reads as zeros or does not. phys->lock held.
 */
HF_HOLDS(phys)
static void set_clean(struct hf_phys *phys, hf_pfn pfn, unsigned order, bool clean)
{
	for (uint32_t i = 0; i < 1u << order; i += 1u << HUGE)
		hf_frame_at(phys, (hf_pfn){ pfn.v + i })->clean = clean;
}

HF_HOLDS(phys)
static bool is_clean(const struct hf_phys *phys, hf_pfn pfn, unsigned order)
{
	bool clean = hf_frame_at(phys, pfn)->clean;

	for (uint32_t i = 1u << HUGE; i < 1u << order && clean; i += 1u << HUGE)
		clean = hf_frame_at(phys, (hf_pfn){ pfn.v + i })->clean;
	return clean;
}

/* Fault injection: whether this allocation has to fail. phys->lock held. */
static bool must_fail(struct hf_phys *phys)
{
	if (phys->fail_after == 1)
		return true;
	if (phys->fail_after > 1)
		phys->fail_after--;
	return false;
}

/* Free a block, joined with whatever of its surroundings is free. phys->lock held. */
static void join_free(struct hf_phys *phys, hf_pfn pfn, unsigned order, bool clean)
{
	const struct hf_ram *ram = hf_ram_of(phys, pfn);

	while (order < HF_MAX_ORDER) {
		hf_pfn buddy = { pfn.v ^ (1u << order) };
		struct hf_frame *f;

		if (hf_ram_of(phys, buddy) != ram)
			break;
		f = hf_frame_at(phys, buddy);
		if (hf_frame_get_kind(f) != HF_FRAME_FREE || f->order != order)
			break;
		if (order < HUGE)
			clean = clean && f->clean;
		else if (order == HUGE)
			hf_frame_at(phys, pfn)->clean = clean;
		unlink_free(phys, f);
		pfn.v &= ~(1u << order);
		order++;
	}
	if (order == HUGE)
		hf_frame_at(phys, pfn)->clean = clean;
	push(phys, pfn, hf_frame_at(phys, pfn), order, clean);
}

void hf_loose_join_locked(struct hf_phys *phys)
{
	phys->loose_used = 0;
	while (phys->loose_count) {
		hf_pfn pfn = { phys->loose[--phys->loose_count] };

		hf_frame_set_kind(hf_frame_at(phys, pfn), HF_FRAME_PLAIN);
		join_free(phys, pfn, 0, false);
	}
}

uint64_t hf_frames_free_locked(const struct hf_phys *phys, unsigned order)
{
	uint64_t n = 0;

	for (unsigned o = order; o <= HF_MAX_ORDER; o++)
		n += (uint64_t)phys->free_count[o] << o;
	return n;
}

uint64_t hf_blocks_free_locked(struct hf_phys *phys, unsigned order, uint64_t most)
{
	uint64_t n = hf_frames_free_locked(phys, order) >> order;

	if (n < most) {
		hf_loose_join_locked(phys);
		n = hf_frames_free_locked(phys, order) >> order;
	}
	return n < most ? n : most;
}

/* The loose frame `pfn` is the one at `index`. phys->lock held. */
HF_HOLDS(phys)
static void put_loose(struct hf_phys *phys, uint32_t index, uint32_t pfn)
{
	phys->loose[index] = pfn;
	hf_frame_at(phys, (hf_pfn){ pfn })->next = index;
}

/* Those that read as zeros stand behind the others, so they go first. phys->lock held. */
HF_HOLDS(phys)
static void push_loose(struct hf_phys *phys, hf_pfn pfn, struct hf_frame *f)
{
	uint32_t index = phys->loose_count++;

	hf_frame_set_kind(f, HF_FRAME_LOOSE);
	if (!f->clean) {
		if (index > phys->loose_used)
			put_loose(phys, index, phys->loose[phys->loose_used]);
		index = phys->loose_used++;
	}
	put_loose(phys, index, pfn.v);
}

/* Take a loose frame. phys->lock held. */
HF_HOLDS(phys)
static void take_loose(struct hf_phys *phys, hf_pfn pfn)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);
	uint32_t index = f->next;

	if (index < phys->loose_used) {
		put_loose(phys, index, phys->loose[--phys->loose_used]);
		index = phys->loose_used;
	}
	if (index < --phys->loose_count)
		put_loose(phys, index, phys->loose[phys->loose_count]);
	hf_frame_set_kind(f, HF_FRAME_PLAIN);
}

/* Take a frame that may lie anywhere, but not a loose one. phys->lock held. */
HF_HOLDS(phys)
static bool take_next(struct hf_phys *phys, hf_pfn *out)
{
	hf_pfn base;

	out->v = phys->next_frame;
	if (!find_free(phys, *out, 0, &base)) {
		if (!find_any(phys, 0, &base))
			return false;
		*out = base;
	}
	carve(phys, base, *out, 0);
	phys->next_frame = out->v + 1;
	return true;
}

/* Take a block out of the free lists. phys->lock held. */
HF_HOLDS(phys)
static bool take_free_block(struct hf_phys *phys, unsigned order, hf_pfn *out)
{
	if (order == 0 && phys->loose_count) {
		out->v = phys->loose[phys->loose_count - 1]; /* freed last, if all are alike */
		take_loose(phys, *out);
		return true;
	}
	if (order == 0)
		return take_next(phys, out);
	if (!find_any(phys, order, out)) {
		hf_loose_join_locked(phys);
		if (!find_any(phys, order, out))
			return false;
	}
	carve(phys, *out, *out, order);
	return true;
}

/* The block is somebody's now. phys->lock held. */
HF_HOLDS(phys)
static void count_alloc(struct hf_phys *phys, unsigned order)
{
	phys->free_frames -= (uint64_t)1 << order;
	phys->allocs++;
}

bool hf_block_alloc_locked(struct hf_phys *phys, unsigned order, hf_pfn *out, bool *clean)
{
	HF_ASSERT_PHYS(phys);
	HF_ASSERT(phys, order <= HF_MAX_ORDER);
	if (must_fail(phys) || !take_free_block(phys, order, out))
		return false;
	*clean = is_clean(phys, *out, order);
	count_alloc(phys, order);
	return true;
}

/* The block at `pfn` has been taken. phys->lock held. */
HF_HOLDS(phys)
static void took(struct hf_phys *phys, unsigned order, hf_pfn pfn, bool *clean)
{
	if (phys->fail_after)
		phys->fail_after--;
	*clean = is_clean(phys, pfn, order);
	count_alloc(phys, order);
}

bool hf_block_alloc_part_locked(struct hf_phys *phys, hf_pfn block, unsigned order, hf_pfn pfn,
				bool *clean)
{
	HF_ASSERT_PHYS(phys);
	if (phys->fail_after == 1)
		return false;
	carve(phys, block, pfn, order);
	took(phys, order, pfn, clean);
	return true;
}

bool hf_block_alloc_at_locked(struct hf_phys *phys, unsigned order, hf_pfn pfn, unsigned most,
			      bool *clean)
{
	hf_pfn base;

	HF_ASSERT_PHYS(phys);
	HF_ASSERT(phys, order <= HF_MAX_ORDER);
	if (phys->fail_after == 1)
		return false;
	if (find_free(phys, pfn, order, &base)) {
		if (hf_frame_at(phys, base)->order > most)
			return false;
		carve(phys, base, pfn, order);
	} else if (order == 0 && hf_ram_of(phys, pfn) &&
		   hf_frame_get_kind(hf_frame_at(phys, pfn)) == HF_FRAME_LOOSE) {
		take_loose(phys, pfn);
	} else {
		return false;
	}
	took(phys, order, pfn, clean);
	return true;
}

/* ---- Spare frames ---- */

/* Spare frames stay for long. Those that lie elsewhere keep what is free there from being whole. */
static bool is_astray(const struct hf_phys *phys, hf_pfn pfn)
{
	return hf_block_base(pfn, HF_LEVEL_PMD).v != phys->spare_home.v;
}

/* phys->lock held. */
HF_HOLDS(phys)
static void push_spare(struct hf_phys *phys, hf_pfn pfn)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);

	hf_frame_set_kind(f, HF_FRAME_SPARE);
	f->order = 0;
	f->next = phys->spare_head;
	phys->spare_head = pfn.v;
	phys->spares++;
	phys->spares_astray += is_astray(phys, pfn);
}

/*
 * A frame from home is free again: it becomes spare for one that is astray, which is returned.
 * phys->lock held.
 */
HF_HOLDS(phys)
static hf_pfn come_home(struct hf_phys *phys, hf_pfn pfn)
{
	uint32_t *link = &phys->spare_head;
	hf_pfn astray;

	while (astray.v = *link, !is_astray(phys, astray))
		link = &hf_frame_at(phys, astray)->next;
	*link = hf_frame_at(phys, astray)->next;
	hf_frame_set_kind(hf_frame_at(phys, astray), HF_FRAME_PLAIN);
	phys->spares--;
	phys->spares_astray--;
	push_spare(phys, pfn);
	return astray;
}

void hf_spare_fill_locked(struct hf_phys *phys)
{
	hf_pfn pfn;

	HF_ASSERT_PHYS(phys);
	while (phys->spares < phys->spare_target && take_free_block(phys, 0, &pfn)) {
		if (phys->spare_home.v == HF_NIL)
			phys->spare_home = hf_block_base(pfn, HF_LEVEL_PMD);
		phys->free_frames--;
		push_spare(phys, pfn);
	}
}

bool hf_spare_take_locked(struct hf_phys *phys, hf_pfn *out)
{
	HF_ASSERT_PHYS(phys);
	if (!phys->spares)
		return false;
	out->v = phys->spare_head;
	phys->spare_head = hf_frame_at(phys, *out)->next;
	phys->spares--;
	phys->spares_astray -= is_astray(phys, *out);
	hf_frame_set_kind(hf_frame_at(phys, *out), HF_FRAME_PLAIN);
	return true;
}

void hf_block_free_locked(struct hf_phys *phys, hf_pfn pfn, unsigned order)
{
	HF_ASSERT_PHYS(phys);
	HF_ASSERT(phys, order <= HF_MAX_ORDER && !(pfn.v & ((1u << order) - 1)));
	if (!order) {
		hf_frame_free_locked(phys, pfn, false);
		return;
	}
	phys->free_frames += (uint64_t)1 << order;
	set_clean(phys, pfn, order, false);
	join_free(phys, pfn, order, false);
	if (phys->spares < phys->spare_target)
		hf_spare_fill_locked(phys);
}

void hf_frame_free_locked(struct hf_phys *phys, hf_pfn pfn, bool clean)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);

	HF_ASSERT_PHYS(phys);
	f->clean = clean;
	if (phys->spares_astray && !is_astray(phys, pfn)) {
		pfn = come_home(phys, pfn);
		f = hf_frame_at(phys, pfn);
	}
	phys->free_frames++;
	if (phys->loose_count < HF_LOOSE_MAX) {
		push_loose(phys, pfn, f);
	} else {
		join_free(phys, pfn, 0, false);
	}
	if (phys->spares < phys->spare_target)
		hf_spare_fill_locked(phys);
}

void hf_block_add_locked(struct hf_phys *phys, hf_pfn pfn, unsigned order, bool clean)
{
	phys->free_frames += (uint64_t)1 << order;
	set_clean(phys, pfn, order, clean);
	join_free(phys, pfn, order, clean);
}

bool hf_block_take_dirty_locked(struct hf_phys *phys, hf_pfn *pfn, unsigned least, unsigned *order)
{
	hf_pfn base;
	struct hf_frame *f;

	if (!find_free(phys, *pfn, 0, &base))
		return false;
	f = hf_frame_at(phys, base);
	*order = f->order < HUGE ? f->order : HUGE;
	pfn->v = f->order > HUGE ? pfn->v & ~((1u << HUGE) - 1) : base.v;
	if (f->order < least || hf_frame_at(phys, *pfn)->clean)
		return false;
	carve(phys, base, *pfn, *order);
	phys->free_frames -= (uint64_t)1 << *order;
	return true;
}

bool hf_block_fit_locked(const struct hf_phys *phys, unsigned want, unsigned most, hf_pfn *out,
			 unsigned *order)
{
	unsigned o = want;

	while (o < most && phys->free_head[o] == HF_NIL)
		o++;
	while (o && phys->free_head[o] == HF_NIL)
		o--;
	out->v = phys->free_head[o];
	*order = o;
	return out->v != HF_NIL;
}
