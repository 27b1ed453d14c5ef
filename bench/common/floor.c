/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "floor.h"

#include "bench.h"
#include "clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct floor {
	char *from, *to;
	uint64_t at; /* of the chase */
};

static char *memory(uint64_t size)
{
	uint64_t align = 2 * MIB;
	char *p;

	size = (size + align - 1) / align * align;
	p = aligned_alloc(align, size);
	if (!p)
		bench_die("no memory for the floor");
	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 1, size);
	return p;
}

struct floor *floor_create(uint64_t size)
{
	struct floor *f = calloc(1, sizeof(*f));

	f->from = memory(size);
	f->to = memory(size);
	return f;
}

double floor_copy(struct floor *f, const struct walk *places, uint64_t unit)
{
	double start = now_ns();

	for (uint64_t i = 0; i < places->count; i++) {
		uint64_t at = walk_at(places, i);

		memcpy(f->to + at, f->from + at, unit);
		/* The copies are wanted, one by one. */
		__asm__ volatile("" : : "r"(f->to + at) : "memory");
	}
	return now_ns() - start;
}

double floor_touch(struct floor *f, const struct walk *places, bool write)
{
	double start = now_ns();

	if (write)
		walk_write(f->from, places);
	else
		walk_read(f->from, places);
	return now_ns() - start;
}

double floor_chase(struct floor *f, uint64_t count)
{
	double start = now_ns();

	f->at = walk_chase(f->from, f->at, count);
	return now_ns() - start;
}
