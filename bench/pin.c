/* SPDX-License-Identifier: MIT */
/*
 * pin: what it costs to pin memory for a device and to unpin it, per 4 KiB page. The floor is a
 * count up and down in a descriptor for each.
 */
#include "common/clock.h"
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (64 * MIB)
#define PAGES (SIZE / (4 * KIB))
#define DESCRIPTOR 32

struct state {
	const struct system *system;
	struct space *space;
	struct walk places;
	uint64_t len;
	char *descriptors;
};

struct question {
	uint64_t page;
	uint64_t len;  /* of a pin */
	uint64_t step; /* between pins */
};

static void *begin(const struct bench_case *c, enum column column)
{
	const struct question *q = c->arg;
	struct layout layout = { .size = SIZE, .page = q->page, .step = q->page };
	struct state *s = calloc(1, sizeof(*s));

	s->places = walk_in_order(SIZE, q->step);
	s->len = q->len;
	if (column == FLOOR) {
		s->descriptors = malloc(PAGES * DESCRIPTOR);
		memset(s->descriptors, 0, PAGES * DESCRIPTOR);
		return s;
	}
	s->system = system_of(column);
	s->space = s->system->create(&layout);
	return s;
}

static void count(const struct state *s, uint32_t by)
{
	for (uint64_t i = 0; i < s->places.count; i++) {
		uint64_t first = walk_at(&s->places, i) / (4 * KIB);

		for (uint64_t page = first; page < first + s->len / (4 * KIB); page++)
			*(volatile uint32_t *)(s->descriptors + page * DESCRIPTOR) += by;
	}
}

static double one_round(void *state)
{
	struct state *s = state;
	double ns, pages = (double)(s->places.count * s->len / (4 * KIB));

	if (s->descriptors) {
		ns = now_ns();
		count(s, 1);
		count(s, -1u);
		ns = now_ns() - ns;
	} else {
		ns = s->system->pin(s->space, &s->places, s->len);
		ns += s->system->unpin(s->space);
	}
	return ns / pages;
}

static void ask(const char *name, const struct question *q)
{
	struct bench_case c = {
		.columns = COLUMN(SOFT) | COLUMN(LINUX) | COLUMN(FLOOR),
		.begin = begin,
		.round = one_round,
		.arg = q,
	};

	snprintf(c.name, sizeof(c.name), "%s", name);
	bench_run(&c);
}

int main(int argc, char **argv)
{
	bench_start(argc, argv, "pin", "pin and unpin, per 4 KiB page", "ns");
	ask("4k/64MiB", &(struct question){ 4 * KIB, 2 * MIB, 2 * MIB });
	ask("4k/single", &(struct question){ 4 * KIB, 4 * KIB, 8 * KIB });
	ask("2m/64MiB", &(struct question){ 2 * MIB, 2 * MIB, 2 * MIB });
	ask("2m/single", &(struct question){ 2 * MIB, 4 * KIB, 2 * MIB });
	return bench_end();
}
