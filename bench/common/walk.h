/* SPDX-License-Identifier: MIT */
/*
 * An order in which to visit `count` places that lie `step` bytes apart. It is reckoned, not
 * stored: a list of places in the memory of a process would be copied by its fork(2).
 */
#ifndef BENCH_WALK_H
#define BENCH_WALK_H

#include <stdint.h>

struct walk {
	uint64_t count, step;
	unsigned bits;	/* 0: in rising order; else count is 2^bits and the order is mixed */
	uint64_t first; /* offset of place 0 */
};

static inline struct walk walk_in_order(uint64_t size, uint64_t step)
{
	return (struct walk){ .count = (size + step - 1) / step, .step = step };
}

/* `size` and `step` are powers of two. */
static inline struct walk walk_mixed(uint64_t size, uint64_t step)
{
	uint64_t count = size / step;

	return (struct walk){ count, step, (unsigned)__builtin_ctzll(count), 0 };
}

/* Offset of the i-th place to visit. Each step of the mixing is a bijection of [0, 2^bits). */
static inline uint64_t walk_at(const struct walk *w, uint64_t i)
{
	if (w->bits > 1) {
		uint64_t mask = ((uint64_t)1 << w->bits) - 1;
		unsigned half = (w->bits + 1) / 2;

		i = i * 0x9e3779b97f4a7c15 & mask;
		i ^= i >> half;
		i = i * 0xbf58476d1ce4e5b9 & mask;
		i ^= i >> half;
	}
	return w->first + i * w->step;
}

/* The place after the i-th; after the last comes the first. */
static inline uint64_t walk_after(const struct walk *w, uint64_t i)
{
	return walk_at(w, i + 1 < w->count ? i + 1 : 0);
}

/*
 * What a touch of plain memory is, for the systems that have it at a pointer: loops that are
 * the same for all of them.
 */
static inline void walk_write(char *base, const struct walk *w)
{
	uint64_t at = walk_at(w, 0);

	for (uint64_t i = 0; i < w->count; i++) {
		uint64_t next = walk_after(w, i);

		*(volatile uint64_t *)(base + at) = next;
		at = next;
	}
}

static inline void walk_read(const char *base, const struct walk *w)
{
	for (uint64_t i = 0; i < w->count; i++)
		(void)*(const volatile uint64_t *)(base + walk_at(w, i));
}

/* Follow what walk_write wrote from offset `at` on; where that leads. */
static inline uint64_t walk_chase(const char *base, uint64_t at, uint64_t count)
{
	while (count--)
		at = *(const volatile uint64_t *)(base + at);
	return at;
}

#endif
