/* SPDX-License-Identifier: MIT */
/* Collapse: what can fail is the huge page, and the tables on the way that are shared. */
#include "fault.h"

static void set_small(struct scene *sc)
{
	scene_space(sc);
	scene_fill(sc, TARGET, HF_LEVEL_PTE, sc->with->len);
	if (sc->with->count) /* holes, so that the pages must be copied */
		OK(hf_madvise(sc->s->mm, TARGET + PMD_SIZE - PAGE, PAGE, HF_ADV_DONTNEED));
	if (sc->with->count)
		sc->areas[0].len -= PAGE;
	share_if_told(sc);
}

static enum hf_status call_collapse(struct scene *sc)
{
	return hf_madvise(sc->s->mm, TARGET, sc->with->len, HF_ADV_COLLAPSE);
}

static void after_collapse(struct scene *sc)
{
	SAME(level_of(sc->s, TARGET), HF_LEVEL_PMD);
	if (sc->other)
		SAME(level_of(sc->other, TARGET), HF_LEVEL_PTE);
}

static void collapse_of_small_pages(void **state)
{
	struct scenario scenario = { .name = "COLLAPSE",
				     .set = set_small,
				     .call = call_collapse,
				     .after = after_collapse,
				     .keeps = STATE_ALL,
				     .count = 1,
				     .va = TARGET,
				     .len = PMD_SIZE };

	at_every_allocation(state, &scenario);
	scenario.shared = true;
	for (unsigned acts = 0; acts < 2; acts++) {
		scenario.child_acts = acts;
		for (scenario.own = 0; scenario.own < 3; scenario.own++)
			at_every_allocation(state, &scenario);
	}
}

/* Shared pages that lie together are copied as well. */
static void collapse_of_shared_pages(void **state)
{
	struct scenario scenario = { .name = "COLLAPSE of shared pages",
				     .set = set_small,
				     .call = call_collapse,
				     .after = after_collapse,
				     .keeps = STATE_ALL,
				     .shared = true,
				     .va = TARGET,
				     .len = PMD_SIZE };

	at_every_allocation(state, &scenario);
}

/* A scan goes on where memory is short: it is no error, and nothing else changes. */
static void scan_without_memory(void **state)
{
	struct scenario scenario = { .name = "scan", .shared = true, .count = 1, .len = PMD_SIZE };
	struct machine *m = *state;

	for (uint64_t n = 1; n <= 4; n++) {
		struct hf_scan scan = { .max_empty = 1, .max_shared = 512 };
		struct scene *sc = calloc(1, sizeof(*sc));

		sc->m = m;
		sc->with = &scenario;
		set_small(sc);
		OK(hf_madvise(sc->s->mm, TARGET, PMD_SIZE, HF_ADV_HUGEPAGE));
		hf_phys_fail_after(m->phys, n);
		OK(hf_collapse_scan(sc->s->mm, &scan, 10));
		hf_phys_fail_after(m->phys, 0);
		CHECK(m);
		SAME(scan.collapsed + scan.no_memory, 1);
		SAME(level_of(sc->s, TARGET), scan.collapsed ? HF_LEVEL_PMD : HF_LEVEL_PTE);
		FILLED(sc->s, TARGET, PMD_SIZE - PAGE, TARGET);
		FILLED(sc->other, TARGET, PMD_SIZE - PAGE, TARGET);
		space_end(sc->other);
		space_end(sc->s);
		free(sc);
	}
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST(collapse_of_small_pages),
	FAULT_TEST(collapse_of_shared_pages),
	TEST(scan_without_memory),
};
SUITE(suite_fault_collapse, tests);
