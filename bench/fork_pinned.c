/* SPDX-License-Identifier: MIT */
/*
 * fork-pinned: how long fork takes when a device holds a part of the memory. The pinned bytes
 * have to be copied for the child; the floor is their memcpy. Each round pins the next part,
 * so that what is copied is in no cache.
 */
#include "common/floor.h"
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAP GIB
#define FLOOR_HEAP (256 * MIB)

struct question {
	struct layout layout;
	struct walk pins;
	uint64_t len;  /* of a pin */
	uint64_t unit; /* what has to be copied for each */
};

struct state {
	const struct question *q;
	const struct system *system;
	struct space *space;
	struct walk written, pins, copies;
	uint64_t span; /* bytes that the pins lie in */
	uint64_t floor_heap;
	struct floor *floor;
};

static void *begin(const struct bench_case *c, enum column column)
{
	const struct question *q = c->arg;
	struct state *s = calloc(1, sizeof(*s));

	s->q = q;
	s->written = layout_spread(&q->layout);
	s->pins = s->copies = q->pins;
	s->span = q->pins.count * q->pins.step;
	if (column == FLOOR) {
		/* Where nothing is pinned, the root's copy is what must be. */
		if (!s->span) {
			s->copies.count = 1;
			s->span = 4 * KIB;
		}
		s->floor_heap = s->span > FLOOR_HEAP ? s->span : FLOOR_HEAP;
		s->floor = floor_create(s->floor_heap);
		return s;
	}
	s->system = system_of(column);
	s->space = s->system->create(&q->layout);
	return s;
}

static double one_round(void *state)
{
	struct state *s = state;
	const struct question *q = s->q;
	double ns;

	if (s->floor) {
		s->copies.first = (s->copies.first + s->span) % s->floor_heap;
		return floor_copy(s->floor, &s->copies, q->unit);
	}
	s->pins.first = (s->pins.first + s->span) % HEAP;
	if (s->span)
		s->system->pin(s->space, &s->pins, q->len);
	s->system->touch(s->space, PARENT, &s->written, true);
	ns = s->system->fork(s->space);
	s->system->reap(s->space);
	if (s->span) {
		s->system->unpin(s->space);
		s->system->renew(s->space, s->pins.first, s->span);
	}
	return ns;
}

static void ask(const char *variant, const struct question *q, unsigned columns)
{
	uint64_t pinned = q->pins.count * q->len;
	struct bench_case c = {
		.columns = COLUMN(SOFT) | COLUMN(LINUX) | COLUMN(FLOOR) | columns,
		.begin = begin,
		.round = one_round,
		.arg = q,
	};

	snprintf(c.name, sizeof(c.name), "%s/%s", variant, pinned ? size_name(pinned) : "0");
	bench_run(&c);
}

/* The first `pinned` bytes of 1 GiB are pinned. */
static void contiguous(uint64_t page, uint64_t pinned)
{
	struct question q = {
		.layout = {
			.size = GIB, .page = page, .step = page, .spare = pinned, .whole = true,
		},
		.pins = walk_in_order(pinned, page),
		.len = page,
		.unit = pinned ? page : 4 * KIB,
	};

	/* Three processes with the heap and its copies in memory are enough. */
	ask(page_name(page), &q, pinned < HEAP ? COLUMN(PORT) : 0);
}

/* One 4 KiB pin in each 2 MiB page: Holdfast copies the huge page, Linux splits it. */
static void scattered(uint64_t pages)
{
	struct question q = {
		.layout = {
			.size = GIB, .page = 2 * MIB, .step = 2 * MIB, .spare = pages * 2 * MIB,
			.whole = true,
		},
		.pins = walk_in_order(pages * 2 * MIB, 2 * MIB),
		.len = 4 * KIB,
		.unit = 2 * MIB,
	};

	ask("4k-in-2m", &q, 0);
}

int main(int argc, char **argv)
{
	bool quick;

	bench_start(argc, argv, "fork-pinned", "fork of 1 GiB of which a device holds a part",
		    "us");
	quick = bench_quick();
	contiguous(2 * MIB, 0);
	for (uint64_t pinned = 2 * MIB; pinned <= HEAP; pinned *= 2)
		if (!quick || pinned == 2 * MIB || pinned == 64 * MIB || pinned == 256 * MIB)
			contiguous(2 * MIB, pinned);
	for (uint64_t pinned = 4 * KIB; pinned <= 64 * MIB; pinned *= quick ? 16384 : 16)
		contiguous(4 * KIB, pinned);
	scattered(quick ? 32 : 512);
	return bench_end();
}
