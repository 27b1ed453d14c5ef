/* SPDX-License-Identifier: MIT */
/*
 * tables: bytes of page tables that each of 100 children costs, all alive at once. For Holdfast
 * this is all memory that fork takes; for Linux what /proc says of a child (VmPTE).
 */
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>

#define FORKS 100

struct state {
	const struct system *system;
	struct space *space;
	double floor;
};

static void *begin(const struct bench_case *c, enum column column)
{
	struct layout layout = *(const struct layout *)c->arg;
	struct state *s = calloc(1, sizeof(*s));

	if (column == FLOOR) {
		s->floor = 4 * KIB; /* a root */
		return s;
	}
	if (column == EMPTY)
		layout = (struct layout){ .page = 4 * KIB, .step = 4 * KIB };
	s->system = system_of(column);
	s->space = s->system->create(&layout);
	return s;
}

static double one_round(void *state)
{
	struct state *s = state;

	return s->floor > 0 ? s->floor : s->system->tables(s->space, FORKS);
}

static void ask(const char *variant, const char *size, const struct layout *layout)
{
	struct bench_case c = {
		.columns = COLUMN(SOFT) | COLUMN(LINUX) | COLUMN(FLOOR) | COLUMN(EMPTY),
		.begin = begin,
		.round = one_round,
		.arg = layout,
	};

	snprintf(c.name, sizeof(c.name), "%s/%s", variant, size);
	bench_run(&c);
}

int main(int argc, char **argv)
{
	const uint64_t pages[] = { 4 * KIB, 2 * MIB };
	struct layout vmas = { 10000 * 8 * KIB, 4 * KIB, 8 * KIB, .apart = true };

	bench_start(argc, argv, "tables", "page tables that a child costs", "B");
	for (unsigned i = 0; i < 2; i++)
		for (uint64_t size = 2 * MIB; size <= GIB; size *= bench_quick() ? 512 : 8)
			ask(page_name(pages[i]), size_name(size),
			    &(struct layout){ .size = size, .page = pages[i], .step = pages[i] });
	ask("vmas", "10000", &vmas);
	return bench_end();
}
