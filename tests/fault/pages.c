/* SPDX-License-Identifier: MIT */
/*
 * Page faults, pins, and accesses by a program: to memory never touched, to zero pages, and to
 * what is shared from each level of the tables on.
 */
#include "fault.h"

static const unsigned accesses[] = { HF_ACCESS_READ, HF_ACCESS_WRITE, PINS };

static void expect_level(struct scene *sc)
{
	if (!sc->scarce)
		SAME(level_of(sc->s, sc->with->va + sc->with->from), sc->with->level);
}

static void access_fails(void **state, struct scenario scenario)
{
	scenario.call = call_access;
	if (!scenario.keeps)
		scenario.keeps = STATE_ALL;
	scenario.va = TARGET;
	at_every_allocation(state, &scenario);
}

static void each_access_fails(void **state, struct scenario scenario)
{
	for (size_t i = 0; i < 3; i++) {
		scenario.access = accesses[i];
		access_fails(state, scenario);
	}
}

/* Never touched */

static void set_untouched(struct scene *sc)
{
	scene_space(sc);
	scene_map(sc, TARGET, sc->with->level, sc->with->len);
	scene_expect(sc, TARGET, 2 * PAGE, ZEROED, ZEROED);
}

static void untouched_small_pages(void **state)
{
	each_access_fails(state, (struct scenario){ .name = "untouched small page",
						    .set = set_untouched,
						    .after = expect_level,
						    .len = 8 * PAGE });
}

static void untouched_huge_pages(void **state)
{
	each_access_fails(state, (struct scenario){ .name = "untouched 2 MiB page",
						    .set = set_untouched,
						    .after = expect_level,
						    .level = HF_LEVEL_PMD,
						    .len = PMD_SIZE });
}

/* Neighbours are there: no table is missing, and the page itself is all there is to fail. */
static void set_beside(struct scene *sc)
{
	set_untouched(sc);
	scene_stamp(sc, TARGET + 4 * PAGE, PAGE, STAYS, STAYS);
}

static void a_page_beside_others(void **state)
{
	struct scenario scenario = { .name = "a page beside others",
				     .set = set_beside,
				     .after = expect_level,
				     .len = 8 * PAGE };

	for (size_t i = 1; i < 3; i++) { /* a read finds the zero page */
		scenario.access = accesses[i];
		access_fails(state, scenario);
	}
}

static void set_no_huge_left(struct scene *sc)
{
	set_untouched(sc);
	fragment(sc->m, 1100, &sc->hoard);
}

static void after_small(struct scene *sc)
{
	SAME(level_of(sc->s, TARGET), HF_LEVEL_PTE);
}

static void huge_page_when_none_is_left(void **state)
{
	struct scenario scenario = { .name = "2 MiB page, none is left",
				     .set = set_no_huge_left,
				     .after = after_small,
				     .level = HF_LEVEL_PMD,
				     .len = PMD_SIZE };

	for (size_t i = 1; i < 3; i++) {
		scenario.access = accesses[i];
		access_fails(state, scenario);
	}
}

/* Zero pages */

static void set_zeros(struct scene *sc)
{
	set_untouched(sc);
	for (uint64_t at = 0; at < 4 * PAGE; at += PAGE)
		SAME(get(sc->s, TARGET + at), 0);
	share_if_told(sc);
}

static void zero_pages(void **state, struct scenario scenario)
{
	scenario.set = set_zeros;
	for (size_t i = 1; i < 3; i++) { /* reading them again allocates nothing */
		scenario.access = accesses[i];
		access_fails(state, scenario);
	}
}

static void small_zero_pages(void **state)
{
	zero_pages(state, (struct scenario){ .name = "zero page", .len = 8 * PAGE });
}

static void huge_zero_pages(void **state)
{
	zero_pages(state, (struct scenario){ .name = "huge zero page",
					     .level = HF_LEVEL_PMD,
					     .len = PMD_SIZE });
}

static void shared_zero_pages(void **state)
{
	for (unsigned own = 0; own <= 3; own++) {
		zero_pages(state, (struct scenario){ .name = "zero page, shared",
						     .len = 8 * PAGE,
						     .shared = true,
						     .own = own });
		if (own < 3)
			zero_pages(state, (struct scenario){ .name = "huge zero page, shared",
							     .level = HF_LEVEL_PMD,
							     .len = PMD_SIZE,
							     .shared = true,
							     .own = own });
	}
}

/* Shared, from each level on, and both sides acting */

/* Pages 0 to 7 are there, 8 to 15 are mapped and not there; a huge page is there. */
static void set_shared(struct scene *sc)
{
	const struct scenario *with = sc->with;

	scene_space(sc);
	if (with->level == HF_LEVEL_PTE) {
		scene_map(sc, TARGET, with->level, 16 * PAGE);
		scene_stamp(sc, TARGET, 8 * PAGE, STAYS, STAYS);
		scene_expect(sc, TARGET + 8 * PAGE, 8 * PAGE, ZEROED, ZEROED);
	} else {
		scene_fill(sc, TARGET, with->level, hf_level_size(with->level));
	}
	share_with_child(sc);
}

static void shared_fails(void **state, struct scenario scenario)
{
	scenario.set = set_shared;
	for (unsigned own = 0; own <= 3 - scenario.level; own++) {
		scenario.own = own;
		for (unsigned child = 0; child < 2; child++) {
			scenario.child_acts = child;
			access_fails(state, scenario);
		}
	}
}

static void writing_shared_small_pages(void **state)
{
	shared_fails(state, (struct scenario){ .name = "write to a shared small page",
					       .access = HF_ACCESS_WRITE });
}

static void pinning_shared_small_pages(void **state)
{
	shared_fails(state,
		     (struct scenario){ .name = "pin of a shared small page", .access = PINS });
}

/* The table has to become the reader's own before the zero page goes into it. */
static void reading_absent_pages_in_shared_tables(void **state)
{
	struct scenario scenario = { .name = "read of an absent page in a shared table",
				     .set = set_shared,
				     .access = HF_ACCESS_READ,
				     .from = 9 * PAGE };

	for (unsigned own = 0; own < 3; own++) {
		scenario.own = own;
		access_fails(state, scenario);
		scenario.child_acts = true;
		access_fails(state, scenario);
		scenario.child_acts = false;
	}
}

static void writing_absent_pages_in_shared_tables(void **state)
{
	shared_fails(state, (struct scenario){ .name = "write to an absent page, shared table",
					       .access = HF_ACCESS_WRITE,
					       .from = 9 * PAGE });
}

/*
 * The child is gone, and the tables are the parent's again. The fault finds that out before
 * it fails, and what it then need not ask for any more is permission to write.
 */
static void set_formerly_shared(struct scene *sc)
{
	set_shared(sc);
	space_end(sc->other);
	sc->other = NULL;
}

static void writing_absent_pages_in_formerly_shared_tables(void **state)
{
	access_fails(state, (struct scenario){ .name = "write to an absent page, once shared table",
					       .set = set_formerly_shared,
					       .keeps = STATE_VISIBLE | STATE_FREE,
					       .access = HF_ACCESS_WRITE,
					       .from = 9 * PAGE });
}

static void writing_shared_huge_pages(void **state)
{
	static const enum hf_huge_cow cow[] = { HF_HUGE_COW_WHOLE, HF_HUGE_COW_SMALL };

	for (size_t i = 0; i < 2; i++) {
		shared_fails(state, (struct scenario){ .name = "write to a shared 2 MiB page",
						       .level = HF_LEVEL_PMD,
						       .huge_cow = cow[i],
						       .from = 7 * PAGE,
						       .access = HF_ACCESS_WRITE });
		shared_fails(state, (struct scenario){ .name = "pin in a shared 2 MiB page",
						       .level = HF_LEVEL_PMD,
						       .huge_cow = cow[i],
						       .from = 7 * PAGE,
						       .access = PINS });
	}
}

static void set_shared_without_huge(struct scene *sc)
{
	set_shared(sc);
	fragment(sc->m, 1100, &sc->hoard);
}

static void writing_a_shared_huge_page_when_none_is_left(void **state)
{
	access_fails(state, (struct scenario){ .name = "write to a shared 2 MiB page, none is left",
					       .set = set_shared_without_huge,
					       .level = HF_LEVEL_PMD,
					       .own = 1,
					       .from = 7 * PAGE,
					       .access = HF_ACCESS_WRITE });
}

/* Through the port, as a program does it: refused, and later not */

static enum hf_status call_store(struct scene *sc)
{
	uint64_t value = stamp(TARGET, TARGET); /* what is there already */

	return test_port.store(sc->s, TARGET, &value, sizeof(value)) ? HF_OK : HF_ERR_NOMEM;
}

static void set_store(struct scene *sc)
{
	sc->with->shared ? set_shared(sc) : scene_space(sc);
	if (!sc->with->shared)
		scene_map(sc, TARGET, HF_LEVEL_PTE, PAGE);
}

static void stores_by_a_program(void **state)
{
	struct scenario scenario = { .name = "store to an untouched page",
				     .set = set_store,
				     .call = call_store,
				     .keeps = STATE_ALL };

	at_every_allocation(state, &scenario);
	scenario.name = "store to a shared page";
	scenario.shared = true;
	at_every_allocation(state, &scenario);
}

/* hf_pin of many pages of all kinds: absent, zero, shared, private, pinned, huge */

static void set_for_long_pin(struct scene *sc)
{
	hf_va huge = TARGET + PMD_SIZE;

	scene_space(sc);
	scene_map(sc, huge - 16 * PAGE, HF_LEVEL_PTE, 16 * PAGE);
	scene_fill(sc, huge, HF_LEVEL_PMD, PMD_SIZE);
	scene_stamp(sc, huge - 8 * PAGE, 4 * PAGE, STAYS, STAYS);
	share_if_told(sc);
	scene_pin(sc, huge - 8 * PAGE, PAGE);
	scene_expect(sc, huge - 16 * PAGE, 8 * PAGE, ZEROED, ZEROED);
	SAME(get(sc->s, huge - 12 * PAGE), 0);
}

static enum hf_status call_long_pin(struct scene *sc)
{
	hf_va va = TARGET + PMD_SIZE - 16 * PAGE;

	sc->made.s = sc->s;
	sc->made.va = va;
	return hf_pin(sc->s->mm, va, 20 * PAGE, HF_PIN_WRITE, sc->made.list.spans, MAX_SPANS,
		      &sc->made.list.count);
}

/* Every page of it holds one pin more; what had one has two. */
static void after_long_pin(struct scene *sc)
{
	hf_va va = TARGET + PMD_SIZE - 16 * PAGE;

	for (unsigned i = 0; i < 20; i++)
		SAME(pins_at(sc->m, pa_of(sc->s, va + i * PAGE)), i == 8 ? 2 : 1);
}

static void pins_of_many_pages(void **state)
{
	struct scenario scenario = { .name = "pin of many pages",
				     .set = set_for_long_pin,
				     .call = call_long_pin,
				     .after = after_long_pin,
				     .keeps = STATE_VISIBLE };

	at_every_allocation(state, &scenario);
	scenario.name = "pin of many shared pages";
	scenario.shared = true;
	at_every_allocation(state, &scenario);
	scenario.huge_cow = HF_HUGE_COW_SMALL;
	at_every_allocation(state, &scenario);
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST(untouched_small_pages),
	FAULT_TEST(untouched_huge_pages),
	FAULT_TEST(a_page_beside_others),
	FAULT_TEST(huge_page_when_none_is_left),
	FAULT_TEST(small_zero_pages),
	FAULT_TEST(huge_zero_pages),
	FAULT_TEST(shared_zero_pages),
	FAULT_TEST(writing_shared_small_pages),
	FAULT_TEST(pinning_shared_small_pages),
	FAULT_TEST(reading_absent_pages_in_shared_tables),
	FAULT_TEST(writing_absent_pages_in_shared_tables),
	FAULT_TEST(writing_absent_pages_in_formerly_shared_tables),
	FAULT_TEST(writing_shared_huge_pages),
	FAULT_TEST(writing_a_shared_huge_page_when_none_is_left),
	FAULT_TEST(stores_by_a_program),
	FAULT_TEST(pins_of_many_pages),
};
SUITE(suite_fault_pages, tests);
