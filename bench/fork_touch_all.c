/* SPDX-License-Identifier: MIT */
/*
 * fork-touch-all: fork, and then a write (or a read) in every 4 KiB, so that nothing that
 * fork has put off is left out. The value is the sum.
 */
#include "common/floor.h"
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>

struct question {
	struct layout layout;
	struct walk places;
	enum who who;
	bool write;
};

struct state {
	const struct question *q;
	const struct system *system;
	struct space *space;
	struct floor *floor;
};

static void *begin(const struct bench_case *c, enum column column)
{
	const struct question *q = c->arg;
	struct state *s = calloc(1, sizeof(*s));

	s->q = q;
	if (column == FLOOR) {
		s->floor = floor_create(q->layout.size);
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

	if (s->floor)
		return q->write ? floor_copy(s->floor, &q->places, 4 * KIB)
				: floor_touch(s->floor, &q->places, false);
	s->system->touch(s->space, PARENT, &q->places, true);
	ns = s->system->fork(s->space);
	ns += s->system->touch(s->space, q->who, &q->places, q->write);
	s->system->reap(s->space);
	if (q->who == PARENT)
		s->system->renew(s->space, 0, q->layout.size);
	return ns;
}

static void ask(const char *how, uint64_t page, uint64_t size, enum who who, bool write)
{
	struct question q = {
		.layout = { .size = size,
			    .page = page,
			    .step = page,
			    .spare = size,
			    .whole = true },
		.places = walk_in_order(size, 4 * KIB),
		.who = who,
		.write = write,
	};
	struct bench_case c = {
		.columns = COLUMN(SOFT) | COLUMN(PORT) | COLUMN(LINUX) | COLUMN(FLOOR),
		.begin = begin,
		.round = one_round,
		.arg = &q,
	};

	snprintf(c.name, sizeof(c.name), "%s%s/%s", page_name(page), how, size_name(size));
	bench_run(&c);
}

int main(int argc, char **argv)
{
	const uint64_t pages[] = { 4 * KIB, 2 * MIB };
	uint64_t most;

	bench_start(argc, argv, "fork-touch-all", "fork, then touch every 4 KiB", "us");
	most = bench_quick() ? 64 * MIB : 256 * MIB;
	for (unsigned i = 0; i < 2; i++) {
		for (uint64_t size = 16 * MIB; size <= most; size *= 4)
			ask("", pages[i], size, PARENT, true);
		ask("-child", pages[i], most, CHILD, true);
		ask("-read", pages[i], most, CHILD, false);
	}
	return bench_end();
}
