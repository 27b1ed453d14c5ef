/* SPDX-License-Identifier: MIT */
/*
 * The same with 1 GiB pages: forked with pins in them, shared and written to, cut. Memory
 * that was trimmed need not be cleared, so that nearly nothing of the GiB is ever touched.
 */
#include "fault.h"

static void set_untouched(struct scene *sc)
{
	hf_phys_trim(sc->m->phys, HF_MAX_ORDER);
	scene_space(sc);
	scene_map(sc, TARGET, HF_LEVEL_PUD, GIB);
	scene_expect(sc, TARGET, 2 * PAGE, ZEROED, ZEROED);
}

static void expect_one_leaf(struct scene *sc)
{
	if (!sc->scarce)
		SAME(leaves(sc->s, HF_LEVEL_PUD), 1);
}

static void untouched(void **state)
{
	struct scenario scenario = { .name = "untouched 1 GiB page",
				     .set = set_untouched,
				     .call = call_access,
				     .after = expect_one_leaf,
				     .keeps = STATE_ALL,
				     .va = TARGET };

	scenario.access = HF_ACCESS_WRITE; /* a read would not take 1 GiB */
	at_every_allocation(state, &scenario);
	scenario.access = PINS;
	at_every_allocation(state, &scenario);
}

static void set_filled(struct scene *sc)
{
	hf_phys_trim(sc->m->phys, HF_MAX_ORDER);
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PUD, GIB);
	if (sc->with->from)
		scene_stamp(sc, TARGET + sc->with->from, sc->with->to - sc->with->from,
			    sc->with->fate, STAYS);
	share_if_told(sc);
}

static void written_when_shared(void **state)
{
	struct scenario scenario = { .name = "write to a shared 1 GiB page",
				     .set = set_filled,
				     .call = call_access,
				     .keeps = STATE_ALL,
				     .shared = true,
				     .va = TARGET };

	scenario.huge_cow = HF_HUGE_COW_SMALL;
	scenario.access = HF_ACCESS_WRITE;
	at_every_allocation(state, &scenario);
	scenario.own = 1;
	scenario.child_acts = true;
	scenario.huge_cow = HF_HUGE_COW_WHOLE;
	scenario.access = PINS;
	at_every_allocation(state, &scenario);
}

static void set_pinned(struct scene *sc)
{
	set_filled(sc);
	scene_pin(sc, TARGET + PAGE, PAGE);
	scene_pin(sc, TARGET + GIB - PAGE, PAGE);
}

/* Under COPY the parent keeps its page, and the child has 2 MiB leaves for all of it. */
static void expect_parts(struct scene *sc)
{
	if (sc->with->policy != HF_FORK_COPY)
		return;
	SAME(leaves(sc->s, HF_LEVEL_PUD), 1);
	if (!sc->scarce)
		SAME(leaves(sc->other, HF_LEVEL_PMD), HF_TABLE_ENTRIES);
}

static void forked_with_pins(void **state)
{
	struct scenario scenario = { .name = "fork with pins in a 1 GiB page",
				     .set = set_pinned,
				     .call = call_fork,
				     .after = expect_parts,
				     .keeps = STATE_ALL };

	scenario.policy = HF_FORK_COPY;
	at_every_allocation(state, &scenario);
	scenario.policy = HF_FORK_SPLIT;
	at_every_allocation(state, &scenario);
}

static enum hf_status call_munmap(struct scene *sc)
{
	const struct scenario *with = sc->with;

	return hf_munmap(sc->s->mm, TARGET + with->from, with->to - with->from);
}

/* Both ends of the range lie inside a 4 KiB table that does not exist yet. */
static void cut_twice(void **state)
{
	struct scenario scenario = { .name = "munmap of a part of a 1 GiB page",
				     .set = set_filled,
				     .call = call_munmap,
				     .gives = true,
				     .keeps = STATE_ALL,
				     .fate = GONE,
				     .from = 100 * MIB + PAGE,
				     .to = 300 * MIB + 3 * PAGE };

	at_every_allocation(state, &scenario);
	scenario.shared = true;
	at_every_allocation(state, &scenario);
}

/*
 * Each child maps the 2 MiB parts without pins by itself; SPLIT makes the parent do so, too, and
 * then needs room for two more.
 */
static void parts_at_their_limit(void **state)
{
	(void)state;
	for (uint32_t limit = 2; limit <= 4; limit++) {
		struct machine_config config = { .ram_bytes = 2 * GIB, .count_limit = limit };
		struct machine *m = machine_new(&config);
		struct space *s = space_new_of(m, FAULT_SPACE_LEN, HF_HUGE_COW_WHOLE), *none;
		hf_va va = map_level(s, HF_LEVEL_PUD, 1);
		struct pin pin;

		pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
		for (uint32_t i = 0; i + 1 < limit; i++)
			fork_space(s, HF_FORK_COPY);
		FAILS(m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_SPLIT, &none));
		fork_space(s, HF_FORK_COPY);
		FAILS(m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_COPY, &none));
		unpin(m, &pin);
		machine_end(m);
	}
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST_BIG(untouched),
	FAULT_TEST_BIG(written_when_shared),
	FAULT_TEST_BIG(forked_with_pins),
	FAULT_TEST_BIG(cut_twice),
	cmocka_unit_test(parts_at_their_limit),
};
SUITE(suite_fault_gib, tests);
