/* SPDX-License-Identifier: MIT */
/*
 * Changes of ranges: mmap, munmap, mprotect, madvise. What can fail is a node of the tree of
 * mappings, a table that a huge leaf is split into, and the copy of a shared table.
 */
#include "fault.h"

static hf_va range_va(const struct scene *sc)
{
	return sc->with->va + sc->with->from;
}

static uint64_t range_len(const struct scene *sc)
{
	return sc->with->to - sc->with->from;
}

static enum hf_status call_mmap(struct scene *sc)
{
	hf_va va = range_va(sc);

	return hf_mmap(sc->s->mm, &va, range_len(sc), RW, HF_MAP_FIXED);
}

static enum hf_status call_munmap(struct scene *sc)
{
	return hf_munmap(sc->s->mm, range_va(sc), range_len(sc));
}

static enum hf_status call_mprotect_ro(struct scene *sc)
{
	return hf_mprotect(sc->s->mm, range_va(sc), range_len(sc), RO);
}

static enum hf_status call_mprotect_none(struct scene *sc)
{
	return hf_mprotect(sc->s->mm, range_va(sc), range_len(sc), HF_PROT_NONE);
}

static enum hf_status call_dontneed(struct scene *sc)
{
	return hf_madvise(sc->s->mm, range_va(sc), range_len(sc), HF_ADV_DONTNEED);
}

static enum hf_status call_dontfork(struct scene *sc)
{
	return hf_madvise(sc->s->mm, range_va(sc), range_len(sc), HF_ADV_DONTFORK);
}

static enum hf_status call_wipeonfork(struct scene *sc)
{
	return hf_madvise(sc->s->mm, range_va(sc), range_len(sc), HF_ADV_WIPEONFORK);
}

/* Turned round, so that the flag changes. */
static enum hf_status call_huge(struct scene *sc)
{
	return hf_madvise(sc->s->mm, range_va(sc), range_len(sc),
			  sc->with->level ? HF_ADV_NOHUGEPAGE : HF_ADV_HUGEPAGE);
}

static enum hf_status call_mlock_onfault(struct scene *sc)
{
	return hf_mlock(sc->s->mm, range_va(sc), range_len(sc), HF_MLOCK_ONFAULT);
}

static enum hf_status call_mseal(struct scene *sc)
{
	return hf_mseal(sc->s->mm, range_va(sc), range_len(sc));
}

static const struct edit {
	const char *name;
	enum hf_status (*call)(struct scene *sc);
	enum fate fate;
} edits[] = {
	{ "mmap over a part", call_mmap, ZEROED },
	{ "munmap of a part", call_munmap, GONE },
	{ "mprotect of a part, read-only", call_mprotect_ro, STAYS },
	{ "mprotect of a part, none", call_mprotect_none, GONE },
	{ "DONTFORK for a part", call_dontfork, STAYS },
	{ "WIPEONFORK for a part", call_wipeonfork, STAYS },
	{ "HUGEPAGE or NOHUGEPAGE for a part", call_huge, STAYS },
	{ "mlock of a part, on fault", call_mlock_onfault, STAYS },
	{ "mseal of a part", call_mseal, STAYS },
};

/* Memory in three parts: the call is about the middle one. */
static void set_parts(struct scene *sc)
{
	const struct scenario *with = sc->with;
	hf_va va = with->va;

	scene_space(sc);
	scene_map(sc, va, with->level, with->len);
	if (with->from)
		scene_stamp(sc, va, with->from, STAYS, STAYS);
	scene_stamp(sc, va + with->from, range_len(sc), with->fate, STAYS);
	if (with->to < with->len)
		scene_stamp(sc, va + with->to, with->len - with->to, STAYS, STAYS);
	SAME(level_of(sc->s, va), with->level);
	share_if_told(sc);
}

/*
 * Only what was cut is in smaller leaves now: every huge leaf that the range does not touch stays.
 */
static void expect_writes_as_told(struct scene *sc)
{
	struct hf_vma_info vma;

	if (hf_vma_next(sc->s->mm, range_va(sc), &vma) != HF_OK || vma.start > range_va(sc))
		return;
	SAME(may_store(sc->s, vma.start + PAGE / 2), (vma.prot & HF_PROT_WRITE) != 0);
}

static void range_fails(void **state, struct scenario scenario)
{
	scenario.set = set_parts;
	scenario.after = expect_writes_as_told;
	scenario.keeps = STATE_ALL;
	at_every_allocation(state, &scenario);
}

/* Private memory, and memory shared with a child from each level on, either side acting. */
static void range_fails_shared(void **state, struct scenario scenario)
{
	range_fails(state, scenario);
	scenario.shared = true;
	for (unsigned own = 0; own <= 3 - scenario.level; own++) {
		scenario.own = own;
		for (unsigned child = 0; child < 2; child++) {
			scenario.child_acts = child;
			range_fails(state, scenario);
		}
	}
}

static void each_edit_fails(void **state, struct scenario scenario)
{
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		scenario.name = edits[i].name;
		scenario.call = edits[i].call;
		scenario.fate = edits[i].fate;
		scenario.gives = edits[i].call == call_munmap;
		range_fails_shared(state, scenario);
	}
}

static void parts_of_small_memory(void **state)
{
	each_edit_fails(state,
			(struct scenario){
				.va = TARGET, .len = 12 * PAGE, .from = 3 * PAGE, .to = 7 * PAGE });
}

/* The range covers the end of one table of small pages and the beginning of the next. */
static void parts_that_cross_tables(void **state)
{
	each_edit_fails(state, (struct scenario){ .va = TARGET + PMD_SIZE - 6 * PAGE,
						  .len = 12 * PAGE,
						  .from = 3 * PAGE,
						  .to = 9 * PAGE });
}

static void parts_of_a_huge_page(void **state)
{
	each_edit_fails(state, (struct scenario){ .va = TARGET,
						  .level = HF_LEVEL_PMD,
						  .len = PMD_SIZE,
						  .from = 100 * PAGE,
						  .to = 103 * PAGE });
}

/* Two huge leaves have to be split, or none of the three. */
static void parts_of_huge_memory(void **state)
{
	each_edit_fails(state, (struct scenario){ .va = TARGET,
						  .level = HF_LEVEL_PMD,
						  .len = 3 * PMD_SIZE,
						  .from = PMD_SIZE - PAGE,
						  .to = 2 * PMD_SIZE + PAGE });
	each_edit_fails(state, (struct scenario){ .va = TARGET,
						  .level = HF_LEVEL_PMD,
						  .len = 3 * PMD_SIZE,
						  .from = PMD_SIZE,
						  .to = 2 * PMD_SIZE });
}

/* The mappings stay as they are, so that only cutting can fail. */
static void dontneed_of_parts(void **state)
{
	struct scenario scenario = { .name = "DONTNEED for a part of a huge page",
				     .call = call_dontneed,
				     .gives = true,
				     .fate = ZEROED,
				     .va = TARGET,
				     .level = HF_LEVEL_PMD,
				     .len = 2 * PMD_SIZE,
				     .from = PMD_SIZE - PAGE,
				     .to = PMD_SIZE + PAGE };

	range_fails_shared(state, scenario);
	scenario.name = "DONTNEED for a part of shared small memory";
	scenario.level = HF_LEVEL_PTE;
	scenario.len = 12 * PAGE;
	scenario.from = 3 * PAGE;
	scenario.to = 7 * PAGE;
	scenario.shared = true;
	for (scenario.own = 0; scenario.own < 3; scenario.own++)
		range_fails(state, scenario);
}

/* POPULATE may have done a part. */
static enum hf_status call_populate(struct scene *sc)
{
	return hf_madvise(sc->s->mm, range_va(sc), range_len(sc),
			  sc->with->access == HF_ACCESS_READ ? HF_ADV_POPULATE_READ
							     : HF_ADV_POPULATE_WRITE);
}

static void set_to_populate(struct scene *sc)
{
	const struct scenario *with = sc->with;

	scene_space(sc);
	scene_map(sc, with->va, HF_LEVEL_PTE, with->len);
	scene_stamp(sc, with->va, with->from, STAYS, STAYS);
	share_if_told(sc);
	scene_expect(sc, with->va + with->from, with->len - with->from, ZEROED, ZEROED);
}

static void expect_populated(struct scene *sc)
{
	for (hf_va va = range_va(sc); va < range_va(sc) + range_len(sc); va += PAGE)
		assert_true(access_of(sc->s, va) & sc->with->access);
}

static void populate_of_a_range(void **state)
{
	struct scenario scenario = { .name = "POPULATE",
				     .set = set_to_populate,
				     .call = call_populate,
				     .after = expect_populated,
				     .keeps = STATE_VISIBLE,
				     .va = TARGET + PMD_SIZE - 8 * PAGE,
				     .len = 16 * PAGE,
				     .from = 4 * PAGE,
				     .to = 16 * PAGE };

	for (unsigned shared = 0; shared < 2; shared++) {
		scenario.shared = shared;
		scenario.access = HF_ACCESS_READ;
		at_every_allocation(state, &scenario);
		scenario.access = HF_ACCESS_WRITE;
		at_every_allocation(state, &scenario);
	}
}

/* Many mappings: `count` of one page each, with gaps of one; the tree has several levels. */

static void set_many(struct scene *sc)
{
	scene_space(sc);
	for (size_t i = 0; i < sc->with->count; i++)
		map_at(sc->s, TARGET + 2 * i * PAGE, PAGE, RW);
	share_if_told(sc);
}

static void expect_count(struct space *s, uint64_t count)
{
	struct hf_mm_stats stats;

	hf_mm_stats(s->mm, &stats);
	SAME(stats.vmas, count);
}

/* In the gap behind one in the middle, `unlike` its neighbours so that they do not merge. */
static enum hf_status call_map_one(struct scene *sc)
{
	hf_va va = TARGET + (sc->with->count / 2 * 2 + 1) * PAGE;

	return hf_mmap(sc->s->mm, &va, PAGE, RO, HF_MAP_FIXED_NOREPLACE);
}

static void after_map_one(struct scene *sc)
{
	expect_count(sc->s, sc->with->count + 1);
	if (sc->other)
		expect_count(sc->other, sc->with->count);
}

/* Becomes one with both of its neighbours. */
static enum hf_status call_map_between(struct scene *sc)
{
	hf_va va = TARGET + (sc->with->count / 2 * 2 + 1) * PAGE;

	return hf_mmap(sc->s->mm, &va, PAGE, RW, HF_MAP_FIXED_NOREPLACE);
}

static void after_map_between(struct scene *sc)
{
	expect_count(sc->s, sc->with->count - 1);
	if (sc->other)
		expect_count(sc->other, sc->with->count);
}

static enum hf_status call_unmap_half(struct scene *sc)
{
	return hf_munmap(sc->s->mm, TARGET + sc->with->count / 4 * 2 * PAGE,
			 sc->with->count / 2 * 2 * PAGE);
}

static void after_unmap_half(struct scene *sc)
{
	expect_count(sc->s, sc->with->count - sc->with->count / 2);
	if (sc->other)
		expect_count(sc->other, sc->with->count);
}

static void many_fail(void **state, struct scenario scenario)
{
	/* One full node; two levels, in the space alone and in a child's as well. */
	static const size_t counts[] = { 1, 127, 1000 };

	scenario.set = set_many;
	scenario.keeps = STATE_ALL;
	for (size_t i = scenario.count; i < 3; i++) {
		scenario.count = counts[i];
		scenario.shared = false;
		at_every_allocation(state, &scenario);
		scenario.shared = true;
		at_every_allocation(state, &scenario);
	}
}

static void one_mapping_more(void **state)
{
	many_fail(state, (struct scenario){ .name = "mmap beside many mappings",
					    .call = call_map_one,
					    .after = after_map_one });
}

static void one_mapping_that_joins_two(void **state)
{
	many_fail(state, (struct scenario){ .name = "mmap between two of many mappings",
					    .call = call_map_between,
					    .after = after_map_between,
					    .count = 1 });
}

static void half_of_the_mappings_less(void **state)
{
	many_fail(state, (struct scenario){ .name = "munmap of half of many mappings",
					    .call = call_unmap_half,
					    .gives = true,
					    .after = after_unmap_half,
					    .count = 1 });
}

/* The first mapping of all, where the core chooses. */
static enum hf_status call_map_anywhere(struct scene *sc)
{
	hf_va va = 0;

	return hf_mmap(sc->s->mm, &va, 5 * PAGE, RW, 0);
}

static void after_map_anywhere(struct scene *sc)
{
	expect_count(sc->s, 1);
}

static void the_first_mapping(void **state)
{
	struct scenario scenario = { .name = "the first mmap",
				     .set = scene_space,
				     .call = call_map_anywhere,
				     .after = after_map_anywhere,
				     .keeps = STATE_ALL };

	at_every_allocation(state, &scenario);
}

/* hf_mm_create, through the port */

static void set_nothing(struct scene *sc)
{
	(void)sc;
}

static enum hf_status call_create(struct scene *sc)
{
	struct space *s = calloc(1, sizeof(*s));
	enum hf_status status;

	s->m = sc->m;
	status = test_port.space_create(s, FAULT_SPACE_LEN, HF_HUGE_COW_WHOLE);
	if (status == HF_OK)
		sc->s = sc->m->spaces[0] = s;
	else
		free(s);
	return status;
}

static void after_create(struct scene *sc)
{
	put(sc->s, map(sc->s, PAGE, RW), 1);
}

static void a_new_space(void **state)
{
	struct scenario scenario = { .name = "hf_mm_create",
				     .set = set_nothing,
				     .call = call_create,
				     .after = after_create,
				     .keeps = STATE_ALL };

	at_every_allocation(state, &scenario);
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST(parts_of_small_memory),
	FAULT_TEST(parts_that_cross_tables),
	FAULT_TEST(parts_of_a_huge_page),
	FAULT_TEST(parts_of_huge_memory),
	FAULT_TEST(dontneed_of_parts),
	FAULT_TEST(populate_of_a_range),
	FAULT_TEST(one_mapping_more),
	FAULT_TEST(one_mapping_that_joins_two),
	FAULT_TEST(half_of_the_mappings_less),
	FAULT_TEST(the_first_mapping),
	FAULT_TEST(a_new_space),
};
SUITE(suite_fault_ranges, tests);
