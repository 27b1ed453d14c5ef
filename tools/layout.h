/* SPDX-License-Identifier: MIT */
/*
 * What lies where in a heap of `holdfast run`; the same on both sides.
 *
 *   0      the zone: what the device writes, in slots of 128 KiB. With --pinned it is
 *          pinned, all of it. Its first slot holds the first page of every ordered pair,
 *          its last slot the second, so that a pair is as far apart as can be; the slots
 *          between hold bytes of files
 *   zone   the field: pages that a writer stamps in random order
 *   heap   the end
 */
#ifndef TOOLS_LAYOUT_H
#define TOOLS_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES ((size_t)4096)
#define HUGE_BYTES ((size_t)2 << 20)
#define PAIRS ((size_t)32)
#define SLOT_BYTES (PAIRS * PAGE_BYTES)

struct layout {
	size_t heap; /* bytes, a multiple of HUGE_BYTES */
	size_t zone; /* the same, and less than heap */
};

/* The first words of a page that holds no file bytes. */
struct stamp {
	_Atomic uint64_t seq;	 /* number of the write that was here last */
	_Atomic uint64_t child;	 /* number of the fork whose child wrote here */
	_Atomic uint64_t parent; /* number of the fork after which the parent wrote here */
};

static inline struct stamp *layout_stamp(char *base, size_t page)
{
	return (struct stamp *)(base + page * PAGE_BYTES);
}

static inline size_t layout_slots(const struct layout *layout)
{
	return layout->zone / SLOT_BYTES;
}

static inline size_t layout_blocks(const struct layout *layout)
{
	return layout->zone / HUGE_BYTES;
}

static inline size_t layout_pages(const struct layout *layout)
{
	return layout->heap / PAGE_BYTES;
}

/*
 * The page that the writer of pairs stamps as its k-th of a lap: A and B of the first pair,
 * A and B of the second, and so on.
 */
static inline size_t layout_pair_page(const struct layout *layout, size_t k)
{
	size_t slot = k % 2 ? layout_slots(layout) - 1 : 0;

	return slot * PAIRS + k / 2;
}

/* The page of the field that the n-th random write goes to: splitmix64's mixing of n. */
static inline size_t layout_field_page(const struct layout *layout, uint64_t n)
{
	size_t first = layout->zone / PAGE_BYTES;
	uint64_t x = n * 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	x ^= x >> 31;
	return first + (size_t)(x % (layout_pages(layout) - first));
}

#endif
