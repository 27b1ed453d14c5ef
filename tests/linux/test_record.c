/* SPDX-License-Identifier: MIT */
/*
 * The record of a window (ports/linux/record.h) against an array with one word per page, in
 * which every question is answered by looking at every page. `test_record PATTERN SEED` repeats the
 * random test with one seed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../cases.h"

#include <stdlib.h>
#include <string.h>

#include "../../ports/linux/record.h"

#define R ((uint64_t)PROT_READ)
#define W ((uint64_t)PROT_WRITE)
#define X ((uint64_t)PROT_EXEC)

#define TABLE ((uint64_t)HF_TABLE_ENTRIES)
#define SEEDS 1000
#define STEPS 60

struct model {
	struct hf_linux_record record;
	void *memory;
	uint64_t *word; /* one per page */
};

static struct model *model_new(uint64_t pages)
{
	struct model *m = calloc(1, sizeof(*m));

	m->memory = mmap(NULL, hf_linux_record_size(pages), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(m->memory, MAP_FAILED);
	m->word = calloc(pages, sizeof(*m->word));
	hf_linux_record_init(&m->record, pages, m->memory);
	return m;
}

static void model_end(struct model *m)
{
	munmap(m->memory, hf_linux_record_size(m->record.pages));
	free(m->word);
	free(m);
}

static uint64_t mapped(uint64_t offset_page, uint64_t prot)
{
	return offset_page << HF_PAGE_SHIFT | RECORD_MAPPED | prot;
}

/* The word of the page after one with `word`, if both are of one run. */
static uint64_t next(uint64_t word)
{
	return word ? word + HF_PAGE_SIZE : 0;
}

static void set(struct model *m, uint64_t first, uint64_t end, uint64_t word)
{
	hf_linux_record_set(&m->record, first, end, word);
	for (uint64_t page = first; page < end; page++, word = next(word))
		m->word[page] = word;
}

static void revoke(struct model *m, uint64_t first, uint64_t end, uint64_t prot)
{
	hf_linux_record_revoke(&m->record, first, end, prot);
	for (uint64_t page = first; page < end; page++)
		m->word[page] &= ~prot;
}

static uint64_t count_runs(const struct model *m)
{
	uint64_t runs = 1;

	for (uint64_t page = 1; page < m->record.pages; page++)
		runs += m->word[page] != next(m->word[page - 1]);
	return runs;
}

/* Every page and every run reads as it should. */
static void check(const struct model *m)
{
	const struct hf_linux_record *r = &m->record;
	uint64_t page, stop;

	assert_int_equal(r->runs, count_runs(m));
	for (page = 0; page < r->pages; page++)
		assert_int_equal(hf_linux_record_at(r, page), m->word[page]);
	for (page = 0; page < r->pages; page = stop) {
		stop = page + 1;
		while (stop < r->pages && m->word[stop] == next(m->word[stop - 1]))
			stop++;
		assert_int_equal(hf_linux_record_run(r, page, r->pages), stop);
		assert_int_equal(hf_linux_record_run(r, stop - 1, r->pages), stop);
	}
}

static void check_mapped(const struct model *m, uint64_t first, uint64_t end)
{
	uint64_t lo = first, hi = end;
	bool any = hf_linux_record_mapped(&m->record, &lo, &hi);

	while (first < end && !m->word[first])
		first++;
	while (first < end && !m->word[end - 1])
		end--;
	assert_int_equal(any, first < end);
	if (any) {
		assert_int_equal(lo, first);
		assert_int_equal(hi, end);
	}
}

/* Every stretch that is offered may be made read-only at once; nothing writable lies outside. */
static void check_writable(const struct model *m, uint64_t first, uint64_t end)
{
	uint64_t page = first, stop, seen = first;

	while (hf_linux_record_writable(&m->record, &page, end, &stop)) {
		uint64_t keep = m->word[page] & RECORD_PROT & ~W;

		assert_in_range(stop, page + 1, end);
		for (; seen < page; seen++)
			assert_false(m->word[seen] & W);
		assert_true(m->word[page] & W);
		assert_true(m->word[stop - 1] & W);
		for (; seen < stop; seen++) {
			assert_true(m->word[seen] & RECORD_MAPPED);
			assert_int_equal(m->word[seen] & RECORD_PROT & ~W, keep);
		}
		page = stop;
	}
	for (; seen < end; seen++)
		assert_false(m->word[seen] & W);
}

static uint64_t below(uint64_t n)
{
	return (uint64_t)random() % n;
}

/* A range whose ends like to be those of tables. */
static void any_range(const struct model *m, uint64_t *first, uint64_t *end)
{
	uint64_t pages = m->record.pages;

	*first = below(pages);
	if (below(2))
		*first &= ~(TABLE - 1);
	*end = *first + 1 + below(below(2) ? 8 : 2 * TABLE);
	if (below(2))
		*end = (*end + TABLE - 1) & ~(TABLE - 1);
	if (*end > pages)
		*end = pages;
}

static void step(struct model *m)
{
	static const uint64_t prots[] = { R, R | W, R | W, R | X, R | W | X, W, 0 };
	uint64_t first, end;

	any_range(m, &first, &end);
	switch (below(6)) {
	case 0:
		set(m, first, end, 0);
		break;
	case 1:
		revoke(m, first, end, W);
		break;
	case 2:
		revoke(m, first, end, W);
		hf_linux_record_settle(&m->record, first, end);
		break;
	case 3:
		revoke(m, first, end, R | W | X);
		break;
	default: /* mostly where the neighbours are continued */
		set(m, first, end, mapped(first + below(2) * TABLE, prots[below(7)]));
	}
	any_range(m, &first, &end);
	check_mapped(m, first, end);
	check_writable(m, first, end);
}

static void one_seed(unsigned seed)
{
	struct model *m;

	srandom(seed);
	m = model_new(1 + below(4 * TABLE));
	for (unsigned i = 0; i < STEPS; i++) {
		step(m);
		check(m);
	}
	model_end(m);
}

/* What to say if the random test does not come to its end. */
struct seeds {
	unsigned first, last, now;
};

static void random_changes_match_the_model(void **state)
{
	struct seeds *seeds = *state;

	for (seeds->now = seeds->first; seeds->now <= seeds->last; seeds->now++)
		one_seed(seeds->now);
}

static int name_the_seed(void **state)
{
	const struct seeds *seeds = *state;

	if (seeds->now <= seeds->last)
		print_error("repeat with: test_record random_changes_match_the_model %u\n",
			    seeds->now);
	return 0;
}

/* The levels above tables: 3 GiB and a bit, changed around the borders of its GiBs. */
static void large_ranges_match_the_model(void **state)
{
	const uint64_t gib = TABLE * TABLE;
	struct model *m = model_new(3 * gib + TABLE + 7);

	(void)state;
	set(m, 0, m->record.pages, mapped(5, R | W));
	check(m);
	assert_int_equal(m->record.runs, 1);
	revoke(m, gib - 1, gib + TABLE + 1, W);
	check(m);
	assert_int_equal(m->record.runs, 3);
	set(m, gib, 2 * gib, mapped(gib + 5, R | W));
	set(m, gib - 1, gib, mapped(gib + 4, R | W));
	check(m);
	assert_int_equal(m->record.runs, 1);
	set(m, gib, 2 * gib, 0);
	check_mapped(m, gib - 1, 2 * gib);
	check_mapped(m, gib, 2 * gib);
	set(m, 2 * gib, m->record.pages, 0);
	check_mapped(m, 0, m->record.pages);
	check_writable(m, 0, m->record.pages);
	check(m);
	model_end(m);
}

/* A writable page that is left alone is found again after others were settled around it. */
static void settling_keeps_what_is_still_writable(void **state)
{
	struct model *m = model_new(4 * TABLE);
	uint64_t page = 0, stop;

	(void)state;
	set(m, 0, 4 * TABLE, mapped(0, R));
	set(m, TABLE + 3, TABLE + 4, mapped(TABLE + 3, R | W));
	set(m, TABLE + 9, TABLE + 10, mapped(TABLE + 9, R | W));
	revoke(m, TABLE + 3, TABLE + 4, W);
	hf_linux_record_settle(&m->record, 0, TABLE + 8);
	assert_true(hf_linux_record_writable(&m->record, &page, 4 * TABLE, &stop));
	assert_int_equal(page, TABLE + 9);
	assert_int_equal(stop, TABLE + 10);
	model_end(m);
}

/* Two writable pages with a little between them are one stretch; with an unmapped page, two. */
static void stretches_bridge_what_stays(void **state)
{
	struct model *m = model_new(TABLE);
	uint64_t page = 0, stop;

	(void)state;
	set(m, 0, TABLE, mapped(0, R));
	set(m, 3, 4, mapped(3, R | W));
	set(m, 9, 10, mapped(9, R | W));
	assert_true(hf_linux_record_writable(&m->record, &page, TABLE, &stop));
	assert_int_equal(page, 3);
	assert_int_equal(stop, 10);
	set(m, 6, 7, 0);
	assert_true(hf_linux_record_writable(&m->record, &page, TABLE, &stop));
	assert_int_equal(page, 3);
	assert_int_equal(stop, 4);
	model_end(m);
}

int main(int argc, char **argv)
{
	struct seeds seeds = { .first = 1, .last = SEEDS };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(random_changes_match_the_model, NULL,
							 name_the_seed, &seeds),
		cmocka_unit_test(large_ranges_match_the_model),
		cmocka_unit_test(settling_keeps_what_is_still_writable),
		cmocka_unit_test(stretches_bridge_what_stays),
	};

	if (argc > 2)
		seeds.first = seeds.last = (unsigned)strtoul(argv[2], NULL, 0);
	return run_cases("record", tests, sizeof(tests) / sizeof(tests[0]),
			 argc > 1 ? argv[1] : NULL);
}
