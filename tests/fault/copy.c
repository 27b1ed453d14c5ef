/* SPDX-License-Identifier: MIT */
/* hf_write and hf_copy: all or nothing, however many pages have to be made ready for them. */
#include "fault.h"

/* Three pages that were never touched, four that are shared, and then a shared huge page. */
#define HUGE (TARGET + PMD_SIZE)
#define UNTOUCHED (HUGE - 7 * PAGE)
#define SMALL (HUGE - 4 * PAGE)
/* What is written: from the middle of the first to the middle of the huge page's second. */
#define WRITTEN (UNTOUCHED + PAGE / 2)
#define WRITTEN_LEN (8 * PAGE)
#define SOURCE (TARGET + 128 * MIB)

static void set_written(struct scene *sc)
{
	scene_space(sc);
	scene_map(sc, UNTOUCHED, HF_LEVEL_PTE, 7 * PAGE);
	scene_map(sc, HUGE, HF_LEVEL_PMD, PMD_SIZE);
	scene_stamp(sc, SMALL, 4 * PAGE, OTHER, STAYS);
	scene_stamp(sc, HUGE, 2 * PAGE, OTHER, STAYS);
	scene_stamp(sc, HUGE + 2 * PAGE, 510 * PAGE, STAYS, STAYS);
	scene_expect(sc, UNTOUCHED, 3 * PAGE, OTHER, ZEROED);
	share_if_told(sc);
}

static uint64_t pattern(uint64_t i)
{
	return 0x5eed0000 + i;
}

static enum hf_status call_write(struct scene *sc)
{
	static uint64_t words[WRITTEN_LEN / sizeof(uint64_t)];

	for (uint64_t i = 0; i < WRITTEN_LEN / sizeof(uint64_t); i++)
		words[i] = pattern(i);
	return hf_write(sc->s->mm, WRITTEN, words, WRITTEN_LEN);
}

/* Every byte of it is there, and the word on either side is what it was. */
static void expect_written(struct scene *sc)
{
	for (uint64_t i = 0; i < WRITTEN_LEN / sizeof(uint64_t); i++)
		SAME(get(sc->s, WRITTEN + i * sizeof(uint64_t)), pattern(i));
	SAME(get(sc->s, WRITTEN - 8), 0);
	SAME(get(sc->s, WRITTEN + WRITTEN_LEN), 0);
	SAME(get(sc->s, HUGE + 2 * PAGE - 8), stamp(HUGE, HUGE + 2 * PAGE - 8));
}

static void written(void **state, struct scenario scenario)
{
	scenario.after = expect_written;
	scenario.keeps = STATE_VISIBLE;
	at_every_allocation(state, &scenario);
	scenario.shared = true;
	for (scenario.own = 0; scenario.own < 3; scenario.own++)
		at_every_allocation(state, &scenario);
	scenario.own = 1;
	scenario.child_acts = true;
	scenario.huge_cow = HF_HUGE_COW_SMALL;
	at_every_allocation(state, &scenario);
}

static void write_to_many_pages(void **state)
{
	written(state,
		(struct scenario){ .name = "hf_write", .set = set_written, .call = call_write });
}

static void fill_source(struct space *s)
{
	map_at(s, SOURCE, WRITTEN_LEN, RW);
	for (uint64_t i = 0; i < WRITTEN_LEN / sizeof(uint64_t); i++)
		put(s, SOURCE + i * sizeof(uint64_t), pattern(i));
}

/* The source is in the same space. */
static void set_copied(struct scene *sc)
{
	set_written(sc);
	fill_source(sc->s);
}

static enum hf_status call_copy(struct scene *sc)
{
	return hf_copy(sc->s->mm, WRITTEN, sc->s->mm, SOURCE, WRITTEN_LEN);
}

static void copy_within_a_space(void **state)
{
	written(state, (struct scenario){ .name = "hf_copy within a space",
					  .set = set_copied,
					  .call = call_copy });
}

/* The source is in a third space. */
static void set_copied_over(struct scene *sc)
{
	scene_space(sc);
	sc->elder = sc->s;
	fill_source(sc->elder);
	set_written(sc);
}

static enum hf_status call_copy_over(struct scene *sc)
{
	return hf_copy(sc->s->mm, WRITTEN, sc->elder->mm, SOURCE, WRITTEN_LEN);
}

static void copy_between_spaces(void **state)
{
	written(state, (struct scenario){ .name = "hf_copy between spaces",
					  .set = set_copied_over,
					  .call = call_copy_over });
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST(write_to_many_pages),
	FAULT_TEST(copy_within_a_space),
	FAULT_TEST(copy_between_spaces),
};
SUITE(suite_fault_copy, tests);
