/* SPDX-License-Identifier: MIT */
/*
 * access: what the soft port adds to a load or store of 8 bytes. Linux is the processor's
 * own access to 4 KiB pages, the floor its access to huge ones.
 *   hit    the same 256 KiB over and over, in order: the software TLB knows them
 *   miss   a new page with each access, mixed: it does not
 *   chase  each load tells where the next one goes, a cache line each, mixed
 */
#include "common/floor.h"
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>

#define CHASE 65536 /* places in a round */

#define MISSES ((uint64_t)1 << 16)

struct question {
	uint64_t size;
	struct walk places;
	bool write, chase;
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
	struct layout layout = { q->size, 4 * KIB, 4 * KIB, .whole = true };
	struct state *s = calloc(1, sizeof(*s));

	s->q = q;
	if (column == FLOOR) {
		s->floor = floor_create(q->size);
		floor_touch(s->floor, &q->places, true);
		return s;
	}
	s->system = system_of(column);
	s->space = s->system->create(&layout);
	s->system->touch(s->space, PARENT, &q->places, true);
	return s;
}

static double one_round(void *state)
{
	struct state *s = state;
	const struct question *q = s->q;
	double ns;

	if (s->floor)
		ns = q->chase ? floor_chase(s->floor, CHASE)
			      : floor_touch(s->floor, &q->places, q->write);
	else
		ns = q->chase ? s->system->chase(s->space, CHASE)
			      : s->system->touch(s->space, PARENT, &q->places, q->write);
	return ns / (double)(q->chase ? CHASE : q->places.count);
}

static void ask(const char *name, const struct question *q)
{
	struct bench_case c = {
		.columns = COLUMN(SOFT) | COLUMN(PORT) | COLUMN(LINUX) | COLUMN(FLOOR),
		.begin = begin,
		.round = one_round,
		.arg = q,
	};

	snprintf(c.name, sizeof(c.name), "%s", name);
	bench_run(&c);
}

static void chase(uint64_t size)
{
	struct question q = { .size = size, .places = walk_mixed(size, 64), .chase = true };
	char name[32];

	snprintf(name, sizeof(name), "chase/%s", size_name(size));
	ask(name, &q);
}

int main(int argc, char **argv)
{
	struct question hit = { .size = 256 * KIB, .places = walk_in_order(256 * KIB, 8) };
	/* Not at the same place of each page: such lines would displace each other. */
	struct question miss = {
		.size = MISSES * (4 * KIB + 64),
		.places = { .count = MISSES, .step = 4 * KIB + 64, .bits = 16 },
	};

	bench_start(argc, argv, "access", "a load or store of 8 bytes", "ns");
	ask("hit/load", &hit);
	ask("miss/load", &miss);
	hit.write = miss.write = true;
	ask("hit/store", &hit);
	ask("miss/store", &miss);
	for (uint64_t size = 256 * KIB; size <= 256 * MIB; size *= bench_quick() ? 32 : 4)
		chase(size);
	return bench_end();
}
