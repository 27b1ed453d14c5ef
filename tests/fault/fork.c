/* SPDX-License-Identifier: MIT */
/* fork: reserve, arm, copy, publish. Only the first may fail, and then nothing has happened. */
#include "fault.h"

/* Under COPY no huge leaf is lost: not the parent's, nor, if there was memory, the child's. */
static void after_huge_fork(struct scene *sc)
{
	if (sc->with->policy != HF_FORK_COPY)
		return;
	SAME(leaves(sc->s, HF_LEVEL_PMD), sc->with->count);
	if (!sc->scarce)
		SAME(leaves(sc->other, HF_LEVEL_PMD), sc->with->count);
}

static void fork_fails(void **state, struct scenario scenario)
{
	scenario.call = call_fork;
	scenario.keeps = STATE_ALL;
	at_every_allocation(state, &scenario);
}

static void fork_fails_under_both(void **state, struct scenario scenario)
{
	scenario.policy = HF_FORK_COPY;
	fork_fails(state, scenario);
	scenario.policy = HF_FORK_SPLIT;
	fork_fails(state, scenario);
}

/* Nothing to look at */

static void fork_of_nothing(void **state)
{
	fork_fails_under_both(state, (struct scenario){ .name = "empty", .set = scene_space });
}

static void set_unpinned(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PTE, 32 * PAGE);
	scene_fill(sc, TARGET + 4 * MIB, HF_LEVEL_PMD, PMD_SIZE);
}

static void fork_of_unpinned(void **state)
{
	fork_fails_under_both(state, (struct scenario){ .name = "unpinned", .set = set_unpinned });
}

/* Pins */

/* In two tables, alone and in a row, once and twice. */
static void set_small_pins(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PTE, 32 * PAGE);
	scene_fill(sc, TARGET + 64 * MIB, HF_LEVEL_PTE, 8 * PAGE);
	scene_pin(sc, TARGET + 3 * PAGE, PAGE);
	scene_pin(sc, TARGET + 10 * PAGE, 3 * PAGE);
	scene_pin(sc, TARGET + 10 * PAGE, PAGE);
	scene_pin(sc, TARGET + 64 * MIB, PAGE);
}

static void fork_with_pinned_small_pages(void **state)
{
	fork_fails_under_both(state,
			      (struct scenario){ .name = "small pins", .set = set_small_pins });
}

static void set_pin_in_huge(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PMD, 3 * PMD_SIZE);
	scene_pin(sc, TARGET + 7 * PAGE, PAGE);
	scene_pin(sc, TARGET + 2 * PMD_SIZE + 100 * PAGE, 5 * PAGE);
}

static void fork_with_pins_in_huge_pages(void **state)
{
	fork_fails_under_both(state, (struct scenario){ .name = "pins in 2 MiB pages",
							.set = set_pin_in_huge,
							.after = after_huge_fork,
							.count = 3 });
}

static void set_whole_huge(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PMD, PMD_SIZE);
	scene_pin(sc, TARGET, PMD_SIZE);
}

static void fork_with_a_whole_huge_page_pinned(void **state)
{
	fork_fails_under_both(state, (struct scenario){ .name = "a whole 2 MiB page",
							.set = set_whole_huge,
							.after = after_huge_fork,
							.count = 1 });
}

/* Small and huge pages and pins on both, in one table and apart. */
static void set_mixture(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PTE, 16 * PAGE);
	scene_fill(sc, TARGET + 2 * MIB, HF_LEVEL_PMD, PMD_SIZE);
	scene_fill(sc, TARGET + GIB, HF_LEVEL_PMD, PMD_SIZE);
	scene_fill(sc, TARGET + GIB + 4 * MIB, HF_LEVEL_PTE, 16 * PAGE);
	scene_pin(sc, TARGET + PAGE, 2 * PAGE);
	scene_pin(sc, TARGET + 2 * MIB + PAGE, PAGE);
	scene_pin(sc, TARGET + GIB + 4 * MIB, PAGE);
}

static void fork_with_pins_on_both_sizes(void **state)
{
	fork_fails_under_both(state, (struct scenario){ .name = "pins on both sizes",
							.set = set_mixture,
							.after = after_huge_fork,
							.count = 2 });
}

/* Huge pages run out: the child alone gets small ones */

static void after_fork_without_huge(struct scene *sc)
{
	SAME(leaves(sc->s, HF_LEVEL_PMD), sc->with->count);
	assert_true(leaves(sc->other, HF_LEVEL_PMD) < sc->with->count);
}

/* The last one is free, then, or none. */
static void keep_huge_blocks(struct scene *sc, size_t free_blocks)
{
	hf_pa kept[4];

	for (size_t i = 0; i < free_blocks; i++)
		OK(hf_phys_alloc(sc->m->phys, 9, &kept[i]));
	fragment(sc->m, 1100, &sc->hoard);
	for (size_t i = 0; i < free_blocks; i++)
		OK(hf_phys_free(sc->m->phys, kept[i], 9));
}

static void set_no_huge_left(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PMD, PMD_SIZE);
	scene_pin(sc, TARGET + PAGE, PAGE);
	keep_huge_blocks(sc, 0);
}

static void fork_when_no_huge_page_is_left(void **state)
{
	fork_fails(state, (struct scenario){ .name = "no huge page left",
					     .set = set_no_huge_left,
					     .after = after_fork_without_huge,
					     .count = 1 });
}

static void set_one_huge_left(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PMD, 2 * PMD_SIZE);
	scene_pin(sc, TARGET + PAGE, PAGE);
	scene_pin(sc, TARGET + PMD_SIZE, PAGE);
	keep_huge_blocks(sc, 1);
}

static void fork_when_one_huge_page_is_left(void **state)
{
	fork_fails(state, (struct scenario){ .name = "one huge page left for two",
					     .set = set_one_huge_left,
					     .after = after_fork_without_huge,
					     .count = 2 });
}

/* DONTFORK and WIPEONFORK */

/* Stamp `pages` pages at va, with `advice` on the middle third of them. */
static void fill_with_advice(struct scene *sc, hf_va va, uint64_t pages, enum hf_advice advice)
{
	enum fate fate = advice == HF_ADV_DONTFORK ? GONE : ZEROED;
	uint64_t third = pages / 3 * PAGE;

	scene_map(sc, va, HF_LEVEL_PTE, pages * PAGE);
	scene_stamp(sc, va, third, STAYS, STAYS);
	scene_stamp(sc, va + third, third, STAYS, fate);
	scene_stamp(sc, va + 2 * third, third, STAYS, STAYS);
	OK(hf_madvise(sc->s->mm, va + third, third, advice));
}

static void set_advised(struct scene *sc)
{
	scene_space(sc);
	fill_with_advice(sc, TARGET, 24, HF_ADV_DONTFORK);
	fill_with_advice(sc, TARGET + 2 * MIB, 24, HF_ADV_WIPEONFORK);
	fill_with_advice(sc, TARGET + 64 * MIB, 24, HF_ADV_DONTFORK);
	scene_pin(sc, TARGET, PAGE);		/* is copied */
	scene_pin(sc, TARGET + 9 * PAGE, PAGE); /* stays behind */
	scene_pin(sc, TARGET + 2 * MIB + 9 * PAGE, PAGE);
}

static void fork_with_dontfork_and_wipeonfork(void **state)
{
	fork_fails_under_both(
		state, (struct scenario){ .name = "DONTFORK and WIPEONFORK", .set = set_advised });
}

static void set_huge_advised(struct scene *sc)
{
	scene_space(sc);
	for (unsigned i = 0; i < 3; i++)
		scene_fill(sc, TARGET + i * PMD_SIZE, HF_LEVEL_PMD, PMD_SIZE);
	OK(hf_madvise(sc->s->mm, TARGET + PMD_SIZE, PMD_SIZE, HF_ADV_DONTFORK));
	OK(hf_madvise(sc->s->mm, TARGET + 2 * PMD_SIZE, PMD_SIZE, HF_ADV_WIPEONFORK));
	sc->areas[1].there = GONE;
	sc->areas[2].there = ZEROED;
	scene_pin(sc, TARGET, PAGE);
	scene_pin(sc, TARGET + PMD_SIZE, PAGE);
}

static void fork_with_huge_pages_advised(void **state)
{
	fork_fails_under_both(
		state, (struct scenario){ .name = "huge pages advised", .set = set_huge_advised });
}

/* So many mappings to leave out that the child's tree needs several nodes of its own. */
static void set_many_dontfork(struct scene *sc)
{
	scene_space(sc);
	for (uint64_t i = 0; i < 300; i++) {
		map_at(sc->s, TARGET + 3 * i * PAGE, PAGE, RW);
		if (i % 3 == 0)
			OK(hf_madvise(sc->s->mm, TARGET + 3 * i * PAGE, PAGE, HF_ADV_DONTFORK));
	}
}

static void after_many_dontfork(struct scene *sc)
{
	struct hf_mm_stats parent, child;

	hf_mm_stats(sc->s->mm, &parent);
	hf_mm_stats(sc->other->mm, &child);
	SAME(parent.vmas, 300);
	SAME(child.vmas, 200);
}

static void fork_with_many_dontfork_mappings(void **state)
{
	fork_fails(state, (struct scenario){ .name = "100 DONTFORK mappings of 300",
					     .set = set_many_dontfork,
					     .after = after_many_dontfork });
}

/* Children of children */

/* sc->s is a child that shares much with its parent, and holds pins of its own. */
static void set_child(struct scene *sc)
{
	struct space *parent;

	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PTE, 32 * PAGE);
	scene_fill(sc, TARGET + 4 * MIB, HF_LEVEL_PMD, PMD_SIZE);
	scene_pin(sc, TARGET + PAGE, PAGE);
	parent = sc->s;
	sc->s = fork_space(parent, HF_FORK_COPY);
	scene_pin(sc, TARGET + 2 * PAGE, 2 * PAGE);
	scene_pin(sc, TARGET + 4 * MIB + PAGE, PAGE);
	sc->elder = parent;
}

static void after_grandchild(struct scene *sc)
{
	after_huge_fork(sc);
	FILLED(sc->elder, TARGET, 32 * PAGE, TARGET);
	FILLED(sc->elder, TARGET + 4 * MIB, PMD_SIZE, TARGET + 4 * MIB);
}

static void fork_of_a_child(void **state)
{
	fork_fails_under_both(state, (struct scenario){ .name = "a grandchild",
							.set = set_child,
							.after = after_grandchild,
							.count = 1 });
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST(fork_of_nothing),
	FAULT_TEST(fork_of_unpinned),
	FAULT_TEST(fork_with_pinned_small_pages),
	FAULT_TEST(fork_with_pins_in_huge_pages),
	FAULT_TEST(fork_with_a_whole_huge_page_pinned),
	FAULT_TEST(fork_with_pins_on_both_sizes),
	FAULT_TEST(fork_when_no_huge_page_is_left),
	FAULT_TEST(fork_when_one_huge_page_is_left),
	FAULT_TEST(fork_with_dontfork_and_wipeonfork),
	FAULT_TEST(fork_with_huge_pages_advised),
	FAULT_TEST(fork_with_many_dontfork_mappings),
	FAULT_TEST(fork_of_a_child),
};
SUITE(suite_fault_fork, tests);
