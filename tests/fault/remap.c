/* SPDX-License-Identifier: MIT */
/*
 * mremap. What can fail is a node of the tree of mappings, a table that a huge leaf is split
 * into, the copy of a shared table, and a table on the way to the new place.
 */
#include "fault.h"

/* Where the middle of three parts goes: by with->count, see `goals`. */
static const struct goal {
	const char *name;
	hf_va to;
	unsigned flags;
	bool taken; /* there is a huge page there */
} goals[] = {
	{ "move, alike modulo 2 MiB", TARGET + GIB, HF_MREMAP_FIXED, false },
	{ "move by an odd number of pages", TARGET + GIB + 7 * PAGE, HF_MREMAP_FIXED, false },
	{ "move into a huge page", TARGET + GIB + 5 * PAGE, HF_MREMAP_FIXED, true },
	{ "move and leave it mapped", TARGET + GIB + 7 * PAGE,
	  HF_MREMAP_FIXED | HF_MREMAP_DONTUNMAP, false },
};

static hf_va goal_va(const struct scene *sc)
{
	const struct goal *g = &goals[sc->with->count];

	return g->to + sc->with->from;
}

static void set_move(struct scene *sc)
{
	const struct scenario *with = sc->with;
	hf_va va = with->va;

	scene_space(sc);
	scene_map(sc, va, with->level, with->len);
	scene_stamp(sc, va, with->from, STAYS, STAYS);
	scene_stamp(sc, va + with->from, with->to - with->from, with->fate, STAYS);
	scene_stamp(sc, va + with->to, with->len - with->to, STAYS, STAYS);
	if (goals[with->count].taken) {
		scene_map(sc, TARGET + GIB, HF_LEVEL_PMD, 4 * PMD_SIZE);
		put(sc->s, TARGET + GIB, 1);
	}
	share_if_told(sc);
}

static enum hf_status call_move(struct scene *sc)
{
	const struct scenario *with = sc->with;
	uint64_t len = with->to - with->from;
	hf_va to = goal_va(sc);

	return hf_mremap(sc->s->mm, with->va + with->from, len, len,
			 HF_MREMAP_MAYMOVE | goals[with->count].flags, &to);
}

/* The stamps of what moved are those of the old address. */
static void expect_there(struct scene *sc)
{
	const struct scenario *with = sc->with;

	for (size_t i = 0; i < sc->area_count; i++) {
		const struct area *a = &sc->areas[i];
		hf_va to = goal_va(sc) + (a->va - with->va - with->from);

		if (a->here == STAYS)
			continue;
		for (uint64_t at = 0; at < a->len; at += PAGE)
			SAME(get(sc->s, to + at), stamp(a->seed, a->va + at));
	}
	if (goals[with->count].taken)
		SAME(get(sc->s, TARGET + GIB), 1);
}

/* Private memory, and memory shared with a child from each level on, either side acting. */
static void moves_fail(void **state, struct scenario scenario)
{
	scenario.set = set_move;
	scenario.call = call_move;
	scenario.after = expect_there;
	scenario.keeps = STATE_ALL;
	for (scenario.count = 0; scenario.count < sizeof(goals) / sizeof(goals[0]);
	     scenario.count++) {
		scenario.name = goals[scenario.count].name;
		scenario.fate = goals[scenario.count].flags & HF_MREMAP_DONTUNMAP ? ZEROED : GONE;
		scenario.shared = false;
		at_every_allocation(state, &scenario);
		scenario.shared = true;
		for (scenario.own = 0; scenario.own <= 3 - scenario.level; scenario.own++) {
			scenario.child_acts = scenario.own & 1;
			at_every_allocation(state, &scenario);
		}
	}
}

static void mremap_of_small_memory(void **state)
{
	moves_fail(state, (struct scenario){ .va = TARGET + PMD_SIZE - 6 * PAGE,
					     .len = 12 * PAGE,
					     .from = 3 * PAGE,
					     .to = 9 * PAGE });
}

static void mremap_of_whole_tables(void **state)
{
	moves_fail(state, (struct scenario){ .va = TARGET + PMD_SIZE - 3 * PAGE,
					     .len = PMD_SIZE + 6 * PAGE,
					     .from = 2 * PAGE,
					     .to = PMD_SIZE + 4 * PAGE });
}

static void mremap_of_huge_memory(void **state)
{
	moves_fail(state, (struct scenario){ .va = TARGET,
					     .level = HF_LEVEL_PMD,
					     .len = 3 * PMD_SIZE,
					     .from = PMD_SIZE - PAGE,
					     .to = 2 * PMD_SIZE + PAGE });
}

/* The middle part gets another length, in place. */
static enum hf_status call_resize(struct scene *sc)
{
	const struct scenario *with = sc->with;
	hf_va to = 0;

	return hf_mremap(sc->s->mm, with->va, with->len, with->count * PAGE, 0, &to);
}

static void set_resize(struct scene *sc)
{
	const struct scenario *with = sc->with;
	uint64_t stays = with->count * PAGE;

	scene_space(sc);
	scene_map(sc, with->va, with->level, with->len);
	if (stays < with->len) {
		scene_stamp(sc, with->va, stays, STAYS, STAYS);
		scene_stamp(sc, with->va + stays, with->len - stays, GONE, STAYS);
	} else {
		scene_stamp(sc, with->va, with->len, STAYS, STAYS);
		scene_expect(sc, with->va + with->len, stays - with->len, ZEROED, GONE);
	}
	share_if_told(sc);
}

static void mremap_in_place(void **state)
{
	struct scenario scenario = { .set = set_resize,
				     .call = call_resize,
				     .keeps = STATE_ALL,
				     .level = HF_LEVEL_PMD,
				     .va = TARGET,
				     .len = PMD_SIZE };

	for (unsigned shared = 0; shared < 2; shared++) {
		scenario.shared = shared;
		scenario.name = "shrink";
		scenario.count = 9;
		scenario.gives = true;
		at_every_allocation(state, &scenario);
		scenario.name = "grow";
		scenario.count = HF_TABLE_ENTRIES + 9;
		scenario.gives = false;
		at_every_allocation(state, &scenario);
	}
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST(mremap_of_small_memory),
	FAULT_TEST(mremap_of_whole_tables),
	FAULT_TEST(mremap_of_huge_memory),
	FAULT_TEST(mremap_in_place),
};
SUITE(suite_fault_remap, tests);
