/* SPDX-License-Identifier: MIT */
/*
 * fork-size: how long fork takes, by how much is mapped and in how many mappings. Between two
 * forks a program writes; here it is the same amount for every size, 512 pages spread evenly,
 * so that what is compared is the size. Two variants vary that: "rewritten" writes all pages,
 * "second" writes 1 % of them. Where pages are in the swap store, those that are written come back
 * once.
 *
 * With BENCH_FORMAT this is the same for the soft port in another page-table format, which gives
 * the variants their names.
 */
#include "common/floor.h"
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef BENCH_FORMAT
#define IN_FORMAT "-" BENCH_FORMAT
#define QUESTION "how long fork takes with page tables of " BENCH_FORMAT
#define COLUMNS_HERE (COLUMN(SOFT) | COLUMN(FLOOR))
#else
#define IN_FORMAT ""
#define QUESTION "how long fork takes, by what is mapped"
#define COLUMNS_HERE (COLUMN(SOFT) | COLUMN(PORT) | COLUMN(LINUX) | COLUMN(FLOOR) | COLUMN(EMPTY))
#endif

/* One row. */
struct question {
	struct layout layout;
	uint64_t dirty; /* bytes whose pages are written between two forks; 0: 512 pages */
};

struct state {
	const struct system *system;
	struct space *space;
	struct walk dirty;
	struct floor *floor;
};

static void *begin(const struct bench_case *c, enum column column)
{
	const struct question *q = c->arg;
	struct state *s = calloc(1, sizeof(*s));
	struct layout layout = q->layout;

	if (column == FLOOR) {
		s->floor = floor_create(4 * KIB);
		return s;
	}
	if (column == EMPTY)
		layout = (struct layout){ .page = 4 * KIB, .step = 4 * KIB };
	if (column == LINUX && layout.page == GIB)
		layout.page = layout.step = 2 * MIB;
	s->system = system_of(column);
	s->space = s->system->create(&layout);
	s->dirty = layout_spread(&layout);
	/* The zero page is not written; a page in each entry of the root is. */
	if (layout.zero)
		s->dirty = walk_in_order(layout.size, 512 * GIB);
	if (q->dirty && column != EMPTY)
		s->dirty = walk_in_order(q->dirty, layout.page);
	return s;
}

/* The floor: one table copied, and the fence that a flush begins with. */
static double round_floor(struct floor *floor)
{
	const struct walk root = walk_in_order(4 * KIB, 4 * KIB);
	double ns = floor_copy(floor, &root, 4 * KIB);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ns;
}

static double one_round(void *state)
{
	struct state *s = state;
	double ns;

	if (s->floor)
		return round_floor(s->floor);
	s->system->touch(s->space, PARENT, &s->dirty, true);
	ns = s->system->fork(s->space);
	s->system->reap(s->space);
	return ns;
}

static void ask(const char *variant, const char *size, const struct question *q, unsigned without,
		const char *note)
{
	struct bench_case c = {
		.columns = COLUMNS_HERE & ~without,
		.begin = begin,
		.round = one_round,
		.arg = q,
		.note = note,
	};

	snprintf(c.name, sizeof(c.name), "%s" IN_FORMAT "/%s", variant, size);
	bench_run(&c);
}

/* Every page of the space is there. */
static void full(uint64_t page, uint64_t size)
{
	struct question q = { .layout = { .size = size, .page = page, .step = page } };
	unsigned without = size > GIB ? COLUMN(PORT) : 0;

	ask(page_name(page), size_name(size), &q, without,
	    page == GIB ? "Linux has no anonymous 1 GiB pages: it has 2 MiB pages here" : NULL);
}

/* 4,096 pages of 4 KiB, or fewer if so many do not fit, spread evenly. */
static void sparse(uint64_t size)
{
	uint64_t step = size / 4096 > 4 * KIB ? size / 4096 : 4 * KIB;
	struct question q = { .layout = { .size = size, .page = 4 * KIB, .step = step } };

	ask("sparse", size_name(size), &q, COLUMN(PORT), NULL);
}

/* So many mappings of a page each. */
static void mappings(uint64_t count)
{
	struct question q = {
		.layout = { count * 8 * KIB, 4 * KIB, 8 * KIB, .apart = true },
	};
	char size[32];

	snprintf(size, sizeof(size), "%llu", (unsigned long long)count);
	ask("vmas", size, &q, COLUMN(PORT), NULL);
}

/*
 * Full of small pages that are shared, locked, swapped out or sealed. Where shared memory borders
 * on private, fork looks at the table that leads to both, 512 entries: all of it at 1 GiB.
 */
static void kept(uint64_t size)
{
	static const struct {
		const char *variant;
		enum kind kind;
		unsigned without;
	} all[] = {
		{ "objects", HALF_SHARED, 0 },
		{ "locked", ALL_LOCKED, 0 },
		{ "swapped", HALF_SWAPPED, COLUMN(LINUX) | COLUMN(EMPTY) },
		{ "sealed", ALL_SEALED, COLUMN(LINUX) | COLUMN(EMPTY) },
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
		struct question q = {
			.layout = { size, 4 * KIB, 4 * KIB, .kind = all[i].kind },
		};
		unsigned without = COLUMN(PORT) | all[i].without;

		ask(all[i].variant, size_name(size), &q, without, NULL);
	}
}

#ifdef BENCH_FORMAT
static void measure(bool quick)
{
	full(4 * KIB, 2 * MIB);
	full(4 * KIB, GIB);
	if (!quick)
		full(2 * MIB, GIB);
	mappings(10000);
	sparse(64 * GIB);
	kept(64 * MIB);
}
#else
/* The zero page everywhere, by 2 MiB: a full space that takes no memory but for tables. */
static void zeros(uint64_t size)
{
	struct question q = {
		.layout = { .size = size, .page = 2 * MIB, .step = 2 * MIB, .zero = true },
	};
	bool large = size > 64 * GIB;

	ask("2m-zero", size_name(size), &q, COLUMN(PORT) | (large ? COLUMN(LINUX) : 0),
	    large ? "Linux sets a table aside for each huge page: 4 GiB of them here" : NULL);
}

/* Full, and `dirty` bytes are written between two forks. */
static void written(const char *what, uint64_t page, uint64_t size, uint64_t dirty)
{
	struct question q = {
		.layout = { .size = size, .page = page, .step = page },
		.dirty = dirty,
	};
	char variant[32];

	snprintf(variant, sizeof(variant), "%s-%s", page_name(page), what);
	ask(variant, size_name(size), &q, 0, NULL);
}

static void measure(bool quick)
{
	const uint64_t pages[] = { 4 * KIB, 2 * MIB };

	for (unsigned i = 0; i < 2; i++)
		for (uint64_t size = 2 * MIB; size <= 4 * GIB; size *= 2)
			if (!quick || size == 2 * MIB || size == 64 * MIB ||
			    size % (3 * GIB) == GIB)
				full(pages[i], size);
	for (uint64_t size = 64 * MIB; size <= (quick ? GIB : 4 * GIB); size *= quick ? 16 : 4)
		kept(size);
	written("second", 2 * MIB, GIB, GIB / 100);
	for (uint64_t count = 1; count <= 100000; count *= 10)
		mappings(count);
	for (uint64_t size = 2 * MIB; size <= TIB; size *= 2)
		if (!quick || size == 2 * MIB || size == GIB || size == TIB)
			sparse(size);
	for (uint64_t size = GIB; size <= TIB; size *= quick ? 32 : 4)
		zeros(size);
	for (uint64_t size = GIB; size <= (quick ? GIB : 4 * GIB); size *= 2)
		full(GIB, size);
	written("second", 4 * KIB, GIB, GIB / 100);
	written("rewritten", 4 * KIB, GIB, GIB);
}
#endif

int main(int argc, char **argv)
{
	bench_start(argc, argv, "fork-size", QUESTION, "us");
	measure(bench_quick());
	return bench_end();
}
