/* SPDX-License-Identifier: MIT */
/*
 * Counts at their limit: references to tables, mappings of pages, pins. One more is refused,
 * nothing changes, and with one less it works again.
 */
#include "fault.h"

#define LIMITED_RAM (24 * MIB)
#define LARGEST_LIMIT 4

/* Run `body` with each small limit on a machine of its own. */
static void at_each_limit(void (*body)(struct machine *m, uint32_t limit))
{
	for (uint32_t limit = 2; limit <= LARGEST_LIMIT; limit++) {
		struct machine_config config = { .ram_bytes = LIMITED_RAM, .count_limit = limit };
		struct machine *m = machine_new(&config);

		body(m, limit);
		machine_end(m);
	}
}

#define AT_EACH_LIMIT(name)                    \
	static void name(void **state)         \
	{                                      \
		(void)state;                   \
		at_each_limit(body_of_##name); \
	}

static const enum hf_fork_policy policies[] = { HF_FORK_COPY, HF_FORK_SPLIT };

/* `limit` - 1 children are all that fork has room for; when one goes, there is room again. */
static void expect_fork_limit(struct space *s, uint32_t limit)
{
	struct space *child[LARGEST_LIMIT], *none;

	for (uint32_t i = 0; i + 1 < limit; i++)
		child[i] = fork_space(s, policies[i % 2]);
	FAILS(s->m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_COPY, &none));
	FAILS(s->m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_SPLIT, &none));
	space_end(child[0]);
	child[0] = fork_space(s, HF_FORK_COPY);
	FAILS(s->m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_COPY, &none));
}

/* Tables */

static void body_of_references_to_a_table(struct machine *m, uint32_t limit)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);

	expect_fork_limit(s, limit);
	for (size_t i = 0; i < MAX_SPACES; i++) {
		if (m->spaces[i])
			FILLED(m->spaces[i], va, 8 * PAGE, 1);
	}
}
AT_EACH_LIMIT(references_to_a_table)

/* Pages: a pin beside them makes fork share each leaf by itself. */

static void body_of_mappings_of_a_small_page(struct machine *m, uint32_t limit)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	expect_fork_limit(s, limit);
	unpin(m, &pin);
}
AT_EACH_LIMIT(mappings_of_a_small_page)

static void body_of_mappings_of_a_huge_page(struct machine *m, uint32_t limit)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	expect_fork_limit(s, limit);
	unpin(m, &pin);
}
AT_EACH_LIMIT(mappings_of_a_huge_page)

/*
 * A space may have one page of an object at several places, beside a pin. Fork takes none of them
 * along: however near the limit is, it succeeds, and the child's faults are what is refused.
 */
static void body_of_mappings_of_an_object_page(struct machine *m, uint32_t limit)
{
	const struct hf_object_config config = { .size = PAGE };
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1), at;
	struct hf_object *object;
	struct pin pin;

	OK(hf_object_create(m->phys, &config, &object));
	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	for (at = va + PAGE; at < va + limit * PAGE; at += PAGE) {
		hf_va to = at;

		OK(hf_mmap_object(s->mm, &to, PAGE, RW, HF_MAP_FIXED | HF_MAP_PRIVATE, object, 0));
		SAME(get(s, at), 0);
	}
	child = fork_space(s, HF_FORK_COPY);
	CHECK(m);
	FAILS(m, HF_ERR_OVERFLOW, hf_fault(child->mm, va + PAGE, HF_ACCESS_READ, NULL));
	OK(hf_munmap(s->mm, va + PAGE, PAGE));
	SAME(get(child, va + PAGE), 0);
	CHECK(m);
	unpin(m, &pin);
	hf_object_put(object);
}
AT_EACH_LIMIT(mappings_of_an_object_page)

/* The calls that need one entry more to a page whose last one is taken. `keeps`: what shows. */
static void expect_no_way_in(struct space *s, hf_va va, unsigned keeps)
{
	struct machine *m = s->m;
	static struct pin pin;
	uint64_t word = 1;
	hf_va at = va;

	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW, hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW,
		      hf_pin(s->mm, va, PAGE, HF_PIN_READ, pin.spans, MAX_SPANS, &pin.count));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW, hf_write(s->mm, va, &word, sizeof(word)));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW, hf_munmap(s->mm, va, PAGE));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW, hf_mmap(s->mm, &at, PAGE, RW, HF_MAP_FIXED));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW, hf_mprotect(s->mm, va, PAGE, RO));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW, hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW, hf_madvise(s->mm, va, PAGE, HF_ADV_DONTFORK));
	FAILS_KEEPING(m, keeps, HF_ERR_OVERFLOW,
		      hf_madvise(s->mm, va, PAGE, HF_ADV_POPULATE_WRITE));
	assert_false(may_store(s, va));
}

/* Each child copies the table that it shares, and so maps its pages itself, until one cannot. */
static void body_of_copying_a_shared_table(struct machine *m, uint32_t limit)
{
	struct space *s = space_new(m), *child[LARGEST_LIMIT];
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);

	for (uint32_t i = 0; i < limit; i++) {
		child[i] = fork_space(s, HF_FORK_COPY);
		if (i + 1 < limit)
			put(child[i], va, 100 + i);
	}
	/* Tables further up may have been copied on the way. */
	expect_no_way_in(child[limit - 1], va + PAGE, STATE_VISIBLE | STATE_TABLES);
	FILLED(child[limit - 1], va, 8 * PAGE, 1);
	space_end(child[0]);
	put(child[limit - 1], va + PAGE, 7);
	FILLED(s, va, 8 * PAGE, 1);
}
AT_EACH_LIMIT(copying_a_shared_table)

/* The same one level up: each child's copy of the table above leads to the pages' table as well. */
static void body_of_copying_a_shared_table_of_tables(struct machine *m, uint32_t limit)
{
	struct space *s = space_new(m), *child[LARGEST_LIMIT];
	hf_va left = map_filled(s, HF_LEVEL_PTE, 1024, 1), right = left + PMD_SIZE;

	for (uint32_t i = 0; i < limit; i++) {
		child[i] = fork_space(s, HF_FORK_COPY);
		if (i + 1 < limit)
			OK(hf_munmap(child[i]->mm, right,
				     PMD_SIZE)); /* keeps the left one's table */
	}
	expect_no_way_in(child[limit - 1], right, STATE_VISIBLE | STATE_TABLES);
	FILLED(child[limit - 1], left, 2 * PMD_SIZE, 1);
	space_end(child[0]);
	put(child[limit - 1], right, 7);
	FILLED(s, left, 2 * PMD_SIZE, 1);
}
AT_EACH_LIMIT(copying_a_shared_table_of_tables)

/* Each child splits the huge page that it shares, until its parts have no room for one more. */
static void body_of_splitting_a_shared_huge_page(struct machine *m, uint32_t limit)
{
	struct space *s = space_new_of(m, SPACE_LEN, HF_HUGE_COW_SMALL);
	struct space *child[LARGEST_LIMIT + 1];
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	struct pin pin;

	pin_range(s, va + PMD_SIZE, PAGE, HF_PIN_WRITE, &pin);
	for (uint32_t i = 0; i <= limit; i++) {
		child[i] = fork_space(s, HF_FORK_COPY);
		if (i < limit)
			OK(hf_munmap(child[i]->mm, va, PAGE));
		CHECK(m);
	}
	expect_no_way_in(child[limit], va + PAGE, STATE_ALL);
	FILLED(child[limit], va, PMD_SIZE, 1);
	space_end(child[0]);
	put(child[limit], va + PAGE, 7);
	SAME(level_of(child[limit], va + PAGE), HF_LEVEL_PTE);
	FILLED(s, va, PMD_SIZE, 1);
	unpin(m, &pin);
}
AT_EACH_LIMIT(splitting_a_shared_huge_page)

/*
 * Leaves to the zero pages are not counted: one space may have any number of them, and neither it
 * nor any other space comes to a limit by it.
 */
static void body_of_mappings_of_the_zero_pages(struct machine *m, uint32_t limit)
{
	struct space *hog = space_new(m), *s = space_new(m), *child;
	hf_va small = map_level(hog, HF_LEVEL_PTE, 16), huge = map_level(hog, HF_LEVEL_PMD, 4);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);
	struct hf_mm_stats stats;
	struct pin pin;

	(void)limit;
	OK(hf_madvise(hog->mm, small, 16 * PAGE, HF_ADV_POPULATE_READ));
	OK(hf_madvise(hog->mm, huge, 4 * PMD_SIZE, HF_ADV_POPULATE_READ));
	hf_mm_stats(hog->mm, &stats);
	SAME(stats.zero_bytes, 16 * PAGE + 4 * PMD_SIZE);
	CHECK(m);
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	OK(hf_fault(s->mm, va, HF_ACCESS_READ, NULL));
	child = fork_space(s, HF_FORK_COPY);
	put(s, va + PAGE, 7); /* copies the table, with a leaf to the zero page in it */
	FILLED(child, va + PAGE, 3 * PAGE, 1);
	ZEROS(child, va, PAGE);
	space_end(child);

	/* A huge one's parts, and one that is written to. */
	OK(hf_munmap(hog->mm, huge, PAGE));
	put(hog, huge + PAGE, 7);
	ZEROS(hog, huge + 2 * PAGE, PMD_SIZE - 2 * PAGE);
	pin_range(hog, small + 15 * PAGE, PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(hog, HF_FORK_COPY);
	CHECK(m);
	ZEROS(child, small, 15 * PAGE);
	unpin(m, &pin);
}
AT_EACH_LIMIT(mappings_of_the_zero_pages)

/* Pins */

#define MAX_LISTS (LARGEST_LIMIT + 1)

struct lists {
	struct pin pin[MAX_LISTS];
	size_t count;
};

static void pin_once_more(struct space *s, hf_va va, uint64_t len, struct lists *lists)
{
	pin_range(s, va, len, HF_PIN_WRITE, &lists->pin[lists->count++]);
}

static void expect_full(struct space *s, hf_va va, uint64_t len)
{
	static struct pin none;

	none.count = 4711;
	FAILS(s->m, HF_ERR_OVERFLOW,
	      hf_pin(s->mm, va, len, HF_PIN_READ, none.spans, MAX_SPANS, &none.count));
	SAME(none.count, 4711);
}

static void unpin_all(struct machine *m, struct lists *lists)
{
	while (lists->count)
		unpin(m, &lists->pin[--lists->count]);
}

static void body_of_pins_of_a_small_page(struct machine *m, uint32_t limit)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);
	static struct lists lists;

	for (uint32_t i = 0; i < limit; i++)
		pin_once_more(s, va + 3 * PAGE, 8, &lists);
	SAME(pins_at(m, pa_of(s, va + 3 * PAGE)), limit);
	expect_full(s, va + 3 * PAGE, 8);
	expect_full(s, va, 4 * PAGE); /* fails at the last of four */
	SAME(pins_at(m, pa_of(s, va)), 0);
	unpin(m, &lists.pin[--lists.count]);
	pin_once_more(s, va, 4 * PAGE, &lists);
	expect_full(s, va + 3 * PAGE, 8);
	unpin_all(m, &lists);
}
AT_EACH_LIMIT(pins_of_a_small_page)

/* Pins of all of a huge page and of parts of it count together, page by page. */
static void body_of_pins_of_a_huge_page(struct machine *m, uint32_t limit)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	static struct lists lists;

	for (uint32_t parts = 0; parts <= limit; parts++) {
		hf_va part = va + 5 * PAGE;

		for (uint32_t i = 0; i < limit; i++)
			pin_once_more(s, i < parts ? part : va, i < parts ? PAGE : PMD_SIZE,
				      &lists);
		SAME(pins_at(m, pa_of(s, part)), limit);
		SAME(pins_at(m, pa_of(s, va)), limit - parts);
		expect_full(s, part, PAGE);
		expect_full(s, va, PMD_SIZE);
		unpin_all(m, &lists);
	}
}
AT_EACH_LIMIT(pins_of_a_huge_page)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(references_to_a_table),
	cmocka_unit_test(mappings_of_a_small_page),
	cmocka_unit_test(mappings_of_a_huge_page),
	cmocka_unit_test(mappings_of_an_object_page),
	cmocka_unit_test(copying_a_shared_table),
	cmocka_unit_test(copying_a_shared_table_of_tables),
	cmocka_unit_test(splitting_a_shared_huge_page),
	cmocka_unit_test(mappings_of_the_zero_pages),
	cmocka_unit_test(pins_of_a_small_page),
	cmocka_unit_test(pins_of_a_huge_page),
};
SUITE(suite_limits, tests);
