/* SPDX-License-Identifier: MIT */
/* hf_mremap: growing, shrinking, moving; what goes along, and what is left behind. */
#include "port.h"

#define MAYMOVE HF_MREMAP_MAYMOVE
#define FIXED (HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED)
#define DONTUNMAP (HF_MREMAP_MAYMOVE | HF_MREMAP_DONTUNMAP)

/* [to, to+len) holds what was stamped at `from`. */
#define HOLDS(s, to, from, len, seed) expect_moved((s), (to), (from), (len), (seed), __LINE__)
static void expect_moved(struct space *s, hf_va to, hf_va from, uint64_t len, uint64_t seed,
			 int line)
{
	for (uint64_t at = 0; at < len; at += PAGE) {
		uint64_t got = get(s, to + at);

		if (got == stamp(seed, from + at))
			continue;
		print_error("page %llu of what was moved is 0x%llx\n",
			    (unsigned long long)(at / PAGE), (unsigned long long)got);
		_fail(__FILE__, line);
	}
}

static hf_va remap_to(struct space *s, hf_va old, uint64_t len, hf_va to)
{
	OK(hf_mremap(s->mm, old, len, len, FIXED, &to));
	CHECK(s->m);
	return to;
}

static uint64_t allocations(struct machine *m)
{
	struct hf_phys_stats stats;

	hf_phys_stats(m->phys, &stats);
	return stats.allocs;
}

static uint64_t tables(struct space *s)
{
	struct hf_mm_stats stats;

	hf_mm_stats(s->mm, &stats);
	return stats.tables;
}

/* In place */

static void mremap_shrinks_in_place(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1), to = 0;
	hf_pa pa = pa_of(s, va);

	OK(hf_mremap(s->mm, va, PMD_SIZE, 5 * PAGE + 1, MAYMOVE, &to));
	CHECK(*state);
	SAME(to, va);
	SAME(mapping_at(s, 0).end, va + 6 * PAGE);
	SAME_PA(pa_of(s, va), pa);
	FILLED(s, va, 6 * PAGE, 1);
	assert_false(may_load(s, va + 6 * PAGE));
}

static void mremap_grows_in_place(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_at(s, SPACE_LO + MIB, 3 * PAGE, RW), to = 0;
	hf_pa pa;

	fill(s, va, 3 * PAGE, 1);
	pa = pa_of(s, va);
	OK(hf_mremap(s->mm, va + PAGE, 2 * PAGE, 9 * PAGE, 0, &to));
	CHECK(*state);
	SAME(to, va + PAGE);
	SAME(mappings(s), 1);
	SAME(mapping_at(s, 0).end, va + 10 * PAGE);
	FILLED(s, va, 3 * PAGE, 1);
	ZEROS(s, va + 3 * PAGE, 7 * PAGE);
	SAME_PA(pa_of(s, va), pa);
	/* the same length: nothing to do */
	OK(hf_mremap(s->mm, va, 10 * PAGE, 10 * PAGE - 5, 0, &to));
	SAME(to, va);
}

static void mremap_grows_only_into_free_space(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_at(s, SPACE_LO, 4 * PAGE, RW), to = 77;

	fill(s, va, 4 * PAGE, 1);
	map_at(s, va + 5 * PAGE, PAGE, RO);
	FAILS(m, HF_ERR_NOSPACE, hf_mremap(s->mm, va, 4 * PAGE, 6 * PAGE, 0, &to));
	/* in the midst of a mapping, too */
	FAILS(m, HF_ERR_NOSPACE, hf_mremap(s->mm, va, PAGE, 2 * PAGE, 0, &to));
	SAME(to, 77);
	OK(hf_mremap(s->mm, va, 4 * PAGE, 5 * PAGE, 0, &to));
	SAME(to, va);
	va = map_at(s, SPACE_LO + SPACE_LEN - PAGE, PAGE, RW);
	FAILS(m, HF_ERR_NOSPACE, hf_mremap(s->mm, va, PAGE, 2 * PAGE, 0, &to));
}

/* Moving */

static void mremap_moves_what_cannot_grow(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_at(s, SPACE_LO, 4 * PAGE, RW), to = 0;
	hf_pa pa[4];

	fill(s, va, 4 * PAGE, 1);
	map_at(s, va + 4 * PAGE, PAGE, RO);
	for (unsigned i = 0; i < 4; i++)
		pa[i] = pa_of(s, va + i * PAGE);
	OK(hf_mremap(s->mm, va, 4 * PAGE, 8 * PAGE, MAYMOVE, &to));
	CHECK(*state);
	SAME(to, SPACE_LO + SPACE_LEN - 8 * PAGE);
	for (unsigned i = 0; i < 4; i++)
		SAME_PA(pa_of(s, to + i * PAGE), pa[i]);
	HOLDS(s, to, va, 4 * PAGE, 1);
	ZEROS(s, to + 4 * PAGE, 4 * PAGE);
	assert_false(may_load(s, va));
	assert_false(may_store(s, va + 3 * PAGE));
	put(s, to, 99);
	SAME(get(s, to), 99);
	SAME_PA(pa_of(s, to), pa[0]);
}

static void mremap_moves_one_page_of_many(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1), to = SPACE_LO + 3 * PAGE;

	remap_to(s, va + 2 * PAGE, PAGE, to);
	SAME(mappings(s), 3);
	HOLDS(s, to, va + 2 * PAGE, PAGE, 1);
	FILLED(s, va, 2 * PAGE, 1);
	assert_false(may_load(s, va + 2 * PAGE));
	FILLED(s, va + 3 * PAGE, 5 * PAGE, 1);
	/* and back again */
	remap_to(s, to, PAGE, va + 2 * PAGE);
	SAME(mappings(s), 1);
	FILLED(s, va, 8 * PAGE, 1);
}

static void mremap_keeps_huge_pages_where_they_fit(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 3, 1), to = SPACE_LO + 8 * MIB;
	hf_pa pa = pa_of(s, va + PMD_SIZE);

	remap_to(s, va, 3 * PMD_SIZE, to);
	SAME(leaves(s, HF_LEVEL_PMD), 3);
	SAME_PA(pa_of(s, to + PMD_SIZE), pa);
	HOLDS(s, to, va, 3 * PMD_SIZE, 1);
	/* one small page off: the same memory, in small leaves */
	remap_to(s, to, 3 * PMD_SIZE, va + PAGE - PMD_SIZE);
	SAME(leaves(s, HF_LEVEL_PMD), 0);
	SAME_PA(pa_of(s, va + PAGE), pa);
	HOLDS(s, va + PAGE - PMD_SIZE, va, 3 * PMD_SIZE, 1);
}

static void mremap_looks_for_a_place_that_is_alike(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 3, 1), from = va + 17 * PAGE, to = 0;
	uint64_t len = 2 * PMD_SIZE;

	put(s, va + 3 * PMD_SIZE - 8, 5);
	OK(hf_mremap(s->mm, from, len, len + PMD_SIZE, MAYMOVE, &to));
	CHECK(*state);
	SAME(to % PMD_SIZE, 17 * PAGE);
	SAME(level_of(s, to + PMD_SIZE), HF_LEVEL_PMD);
	HOLDS(s, to, from, len, 1);
	SAME(get(s, va + 3 * PMD_SIZE - 8), 5);
}

static void mremap_moves_whole_tables(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_WHOLE);
	hf_va va = map_at(s, SPACE_LO + GIB, GIB, RW), to = SPACE_LO + 2 * GIB;
	uint64_t before, had;

	OK(hf_madvise(s->mm, va, GIB, HF_ADV_NOHUGEPAGE));
	for (uint64_t at = 0; at < GIB; at += PMD_SIZE)
		put(s, va + at + at / PMD_SIZE * 8, at);
	before = allocations(m);
	had = tables(s);
	remap_to(s, va, GIB, to);
	/* one table of 512 tables went by one entry; mappings and the way there are new */
	assert_true(allocations(m) - before < 16);
	SAME(tables(s), had);
	for (uint64_t at = 0; at < GIB; at += PMD_SIZE)
		SAME(get(s, to + at + at / PMD_SIZE * 8), at);
	/* by 2 MiB: 512 entries of the table above */
	before = allocations(m);
	remap_to(s, to, GIB, va - PMD_SIZE);
	assert_true(allocations(m) - before < 16);
	for (uint64_t at = 0; at < GIB; at += PMD_SIZE)
		SAME(get(s, va - PMD_SIZE + at + at / PMD_SIZE * 8), at);
}

static void mremap_fixed_replaces_what_is_there(void **state)
{
	struct space *s = space_new(*state);
	hf_va there = map_filled(s, HF_LEVEL_PMD, 2, 1), va = map_filled(s, HF_LEVEL_PTE, 8, 2);
	hf_va to = there + PMD_SIZE - 3 * PAGE;

	OK(hf_mprotect(s->mm, there, 2 * PMD_SIZE, RO));
	OK(hf_mremap(s->mm, va, 8 * PAGE, 10 * PAGE, FIXED, &to));
	CHECK(*state);
	SAME(to, there + PMD_SIZE - 3 * PAGE);
	FILLED(s, there, PMD_SIZE - 3 * PAGE, 1);
	HOLDS(s, to, va, 8 * PAGE, 2);
	ZEROS(s, to + 8 * PAGE, 2 * PAGE);
	FILLED(s, to + 10 * PAGE, PMD_SIZE - 7 * PAGE, 1);
	assert_true(may_store(s, to + 9 * PAGE));
	assert_false(may_store(s, to + 10 * PAGE));
	assert_false(may_load(s, va));
}

static void mremap_fixed_shrinks_too(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1), to = SPACE_LO + PMD_SIZE;
	uint64_t before = free_bytes(m);

	OK(hf_mremap(s->mm, va, 2 * PMD_SIZE, PMD_SIZE + 7 * PAGE, FIXED, &to));
	CHECK(m);
	HOLDS(s, to, va, PMD_SIZE + 7 * PAGE, 1);
	SAME(level_of(s, to), HF_LEVEL_PMD);
	SAME(mapping_at(s, 0).end, to + PMD_SIZE + 7 * PAGE);
	assert_false(may_load(s, va));
	assert_false(may_load(s, va + 2 * PMD_SIZE - PAGE));
	assert_true(free_bytes(m) > before + PMD_SIZE - 16 * PAGE);
}

static void mremap_takes_several_mappings_along(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 12, 1), to = SPACE_LO + MIB;

	OK(hf_mprotect(s->mm, va + 3 * PAGE, 3 * PAGE, RO));
	OK(hf_mprotect(s->mm, va + 6 * PAGE, 3 * PAGE, HF_PROT_NONE));
	OK(hf_mremap(s->mm, va, 12 * PAGE, 14 * PAGE, FIXED, &to));
	CHECK(*state);
	SAME(mappings(s), 4);
	SAME(mapping_at(s, to + 11 * PAGE).end, to + 14 * PAGE);
	HOLDS(s, to, va, 6 * PAGE, 1);
	assert_true(may_store(s, to + 9 * PAGE + 16));
	assert_false(may_store(s, to + 4 * PAGE));
	assert_false(may_load(s, to + 7 * PAGE));
	OK(hf_mprotect(s->mm, to + 6 * PAGE, 3 * PAGE, RO));
	HOLDS(s, to + 6 * PAGE, va + 6 * PAGE, 6 * PAGE, 1);
	/* not over a hole */
	OK(hf_munmap(s->mm, to + 4 * PAGE, PAGE));
	va = SPACE_LO + 2 * MIB;
	FAILS(s->m, HF_ERR_UNMAPPED, hf_mremap(s->mm, to, 14 * PAGE, 14 * PAGE, FIXED, &va));
}

static void mremap_dontunmap_leaves_an_empty_mapping(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1), to = SPACE_LO + 32 * MIB;
	hf_pa pa = pa_of(s, va);

	OK(hf_mremap(s->mm, va, 2 * PMD_SIZE, 2 * PMD_SIZE, DONTUNMAP, &to));
	CHECK(*state);
	SAME(to, SPACE_LO + 32 * MIB); /* the hint was free */
	SAME(mappings(s), 2);
	assert_false(present(s, va));
	HOLDS(s, to, va, 2 * PMD_SIZE, 1);
	SAME_PA(pa_of(s, to), pa);
	put(s, va, 7); /* no cached translation leads to the old page */
	SAME(get(s, to), stamp(1, va));
	ZEROS(s, va + PAGE, PAGE);
	va = map_filled(s, HF_LEVEL_PTE, 3, 4);
	to = map(s, 3 * PAGE, RO);
	OK(hf_mremap(s->mm, va, 3 * PAGE, 3 * PAGE, DONTUNMAP | HF_MREMAP_FIXED, &to));
	HOLDS(s, to, va, 3 * PAGE, 4);
	ZEROS(s, va, 3 * PAGE);
}

/* What a CPU has cached of the old address must not outlive the move. */
static void mremap_leaves_nothing_cached(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1), to = SPACE_LO;
	hf_va huge = map_filled(s, HF_LEVEL_PMD, 1, 2);

	put(s, va, 1);
	put(s, huge, 2);
	remap_to(s, va, 2 * PAGE, to);
	assert_false(may_load(s, va));
	assert_false(may_store(s, va));
	map_at(s, va, 2 * PAGE, RW);
	put(s, va, 3);
	SAME(get(s, to), 1);
	remap_to(s, huge, PMD_SIZE, to + PMD_SIZE);
	assert_false(may_store(s, huge));
	SAME(get(s, to + PMD_SIZE), 2);
}

static void mremap_carries_placement_along(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_level(s, HF_LEVEL_PTE, 64), to = SPACE_LO + 5 * PAGE;
	hf_pa pa;

	fill(s, va, 8 * PAGE, 1);
	pa = pa_of(s, va);
	remap_to(s, va, 64 * PAGE, to);
	put(s, to + 40 * PAGE, 1); /* far enough from what tables were taken of */
	SAME(pa_of(s, to + 40 * PAGE).v, pa.v + 40 * PAGE);
}

/* Fork */

static void mremap_of_shared_memory(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 3 * HF_TABLE_ENTRIES, 1);
	hf_va to = SPACE_LO + 16 * MIB, odd = SPACE_LO + 3 * PAGE;
	uint64_t len = 3 * PMD_SIZE;
	struct hf_mm_stats stats;

	SAME(va % PMD_SIZE, 0);
	child = fork_space(s, HF_FORK_COPY);
	remap_to(s, va, len, to);
	hf_mm_stats(s->mm, &stats);
	assert_true(stats.shared_tables >= 3); /* they are the child's as well */
	put(s, to, 5);
	HOLDS(s, to + PAGE, va + PAGE, len - PAGE, 1);
	FILLED(child, va, len, 1);
	put(child, va + PAGE, 6);
	SAME(get(s, to + PAGE), stamp(1, va + PAGE));
	CHECK(m);
	/* the child moves by an odd number of pages, so it needs tables of its own */
	remap_to(child, va, len, odd);
	HOLDS(child, odd + 2 * PAGE, va + 2 * PAGE, len - 2 * PAGE, 1);
	SAME(get(child, odd), stamp(1, va));
	SAME(get(child, odd + PAGE), 6);
	SAME(get(s, to), 5);
	space_end(child);
	HOLDS(s, to + PAGE, va + PAGE, len - PAGE, 1);
}

static void mremap_of_shared_huge_pages(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1), to = SPACE_LO + PAGE;

	child = fork_space(s, HF_FORK_COPY);
	remap_to(child, va + PAGE, 2 * PMD_SIZE - 2 * PAGE, to);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	put(child, to, 9);
	put(s, va + 2 * PAGE, 8);
	SAME(get(child, to), 9);
	SAME(get(s, va + PAGE), stamp(1, va + PAGE));
	SAME(get(child, to + PAGE), stamp(1, va + 2 * PAGE));
	HOLDS(child, to + 2 * PAGE, va + 3 * PAGE, 2 * PMD_SIZE - 4 * PAGE, 1);
	CHECK(m);
}

/* A pinned page keeps its frame, and fork finds it at its new address. */
static void mremap_of_pinned_memory(void **state)
{
	struct machine *m = *state;
	static const struct {
		unsigned level;
		size_t count;
		uint64_t from, len; /* what moves */
		hf_va to;
	} cases[] = {
		{ HF_LEVEL_PTE, 1024, 0, 2 * PMD_SIZE, SPACE_LO },	      /* tables */
		{ HF_LEVEL_PTE, 1024, 0, 2 * PMD_SIZE, SPACE_LO + 5 * PAGE }, /* pages */
		{ HF_LEVEL_PTE, 1024, PMD_SIZE, 3 * PAGE, SPACE_LO + 7 * PAGE },
		{ HF_LEVEL_PMD, 2, 0, 2 * PMD_SIZE, SPACE_LO },	       /* huge pages */
		{ HF_LEVEL_PMD, 2, 0, 2 * PMD_SIZE, SPACE_LO + PAGE }, /* split */
		{ HF_LEVEL_PMD, 2, PMD_SIZE - PAGE, 4 * PAGE, SPACE_LO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_WHOLE), *child;
		hf_va va = map_filled(s, cases[i].level, cases[i].count, i);
		hf_va page = va + PMD_SIZE + PAGE, at;
		struct pin pin;
		hf_pa pa;

		pin_range(s, page, PAGE, HF_PIN_WRITE, &pin);
		pa = pa_of(s, page);
		at = remap_to(s, va + cases[i].from, cases[i].len, cases[i].to);
		at += page - va - cases[i].from;
		SAME_PA(pa_of(s, at), pa);
		child = fork_space(s, HF_FORK_COPY);
		put(s, at, 1000);
		SAME(dma_get(m, pa), 1000); /* the writer was not moved away from the device */
		dma_put(m, pa, 2000);
		SAME(get(s, at), 2000);
		SAME(get(child, at), stamp(i, page));
		unpin(m, &pin);
		space_end(child);
		space_end(s);
	}
}

static void mremap_of_memory_that_children_do_not_get(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_WHOLE), *child;
	hf_va keep = map_filled(s, HF_LEVEL_PTE, 2 * HF_TABLE_ENTRIES, 1);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2 * HF_TABLE_ENTRIES, 2);
	hf_va to = SPACE_LO + 16 * MIB, odd = SPACE_LO + 64 * MIB + PAGE;

	map_at(s, SPACE_LO, PAGE, RW);
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_DONTFORK));
	OK(hf_madvise(s->mm, va + PMD_SIZE, PMD_SIZE, HF_ADV_WIPEONFORK));
	for (unsigned i = 0; i < 2; i++) {
		hf_va at = remap_to(s, i ? to : va, 2 * PMD_SIZE, i ? odd : to);

		put(s, SPACE_LO, 1); /* below tables that were made for what moved */
		child = fork_space(s, HF_FORK_COPY);
		assert_false(may_load(child, at));
		assert_false(may_load(child, at + PMD_SIZE - PAGE));
		ZEROS(child, at + PMD_SIZE, PMD_SIZE);
		FILLED(child, keep, 2 * PMD_SIZE, 1);
		space_end(child);
	}
	HOLDS(s, odd, va, 2 * PMD_SIZE, 2);
	/* and beside what they do get: the border runs through a table */
	remap_to(s, keep + PAGE, PAGE, odd + 5 * PAGE);
	remap_to(s, odd + PMD_SIZE, 3 * PAGE, keep + PMD_SIZE + 7 * PAGE);
	child = fork_space(s, HF_FORK_COPY);
	SAME(get(child, odd + 5 * PAGE), stamp(1, keep + PAGE));
	assert_false(may_load(child, odd + 4 * PAGE));
	ZEROS(child, keep + PMD_SIZE + 7 * PAGE, 3 * PAGE);
	FILLED(child, keep + PMD_SIZE, 7 * PAGE, 1);
}

static void mremap_of_what_was_never_touched(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 64 * MIB, RW), to = SPACE_LO + PAGE;

	remap_to(s, va, 64 * MIB, to);
	SAME(mappings(s), 1);
	ZEROS(s, to, PAGE);
	ZEROS(s, to + 64 * MIB - PAGE, PAGE);
	/* zero pages move as well, and are still nobody's */
	remap_to(s, to, 64 * MIB, to + 128 * MIB);
	ZEROS(s, to + 128 * MIB, PAGE);
	put(s, to + 128 * MIB, 1);
	SAME(get(s, to + 128 * MIB), 1);
	va = map(s, 2 * PAGE, RW);
	ZEROS(s, va, 2 * PAGE);
}

/* A mapping of an object shows the same part of it, and what follows where it grows. */
static void mremap_of_objects(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	struct hf_object_config config = { .size = 64 * PAGE };
	hf_va shared = 0, private = 0, to = 0;
	struct hf_object *object;

	OK(hf_object_create(m->phys, &config, &object));
	OK(hf_mmap_object(s->mm, &shared, 8 * PAGE, RW, HF_MAP_SHARED, object, 4 * PAGE));
	OK(hf_mmap_object(s->mm, &private, 8 * PAGE, RW, HF_MAP_PRIVATE, object, 4 * PAGE));
	for (uint64_t page = 0; page < 8; page++)
		put(s, shared + page * PAGE, 100 + page);
	put(s, private + 2 * PAGE, 202);
	map_at(s, SPACE_LO, PAGE, RW);
	/* pages 2 and 3 of it, and two that follow */
	to = SPACE_LO + 8 * PAGE;
	OK(hf_mremap(s->mm, private + 2 * PAGE, 2 * PAGE, 4 * PAGE, FIXED, &to));
	CHECK(m);
	SAME(get(s, to), 202);
	SAME(get(s, to + PAGE), 103);
	SAME(get(s, to + 2 * PAGE), 104);
	put(s, shared + 3 * PAGE, 303);
	SAME(get(s, to + PAGE), 303);
	put(s, to + PAGE, 403);
	SAME(get(s, shared + 3 * PAGE), 303);
	to = SPACE_LO + 32 * PAGE;
	OK(hf_mremap(s->mm, shared, 8 * PAGE, 10 * PAGE, FIXED, &to));
	CHECK(m);
	SAME(get(s, to + 7 * PAGE), 107);
	put(s, to + 9 * PAGE, 109);
	child = fork_space(s, HF_FORK_COPY);
	put(child, to, 500);
	SAME(get(s, to), 500);
	OK(hf_mremap(child->mm, to, 10 * PAGE, 11 * PAGE, 0, &shared));
	SAME(shared, to);
	put(child, to + 10 * PAGE, 110);
	OK(hf_mremap(s->mm, to, 10 * PAGE, 11 * PAGE, 0, &shared));
	SAME(get(s, to + 10 * PAGE), 110);
	CHECK(m);
	hf_object_put(object);
}

static void mremap_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1), to = SPACE_LO;

#define MREMAP(old, old_len, new_len, flags) hf_mremap(s->mm, old, old_len, new_len, flags, &to)
	FAILS(m, HF_ERR_FLAGS, MREMAP(va, PAGE, PAGE, 8));
	FAILS(m, HF_ERR_FLAGS, MREMAP(va + 1, PAGE, PAGE, HF_MREMAP_FIXED));
	FAILS(m, HF_ERR_FLAGS, MREMAP(va, 0, PAGE, HF_MREMAP_DONTUNMAP));
	FAILS(m, HF_ERR_INVAL, MREMAP(va + 1, PAGE, 2 * PAGE, DONTUNMAP));
	FAILS(m, HF_ERR_ALIGN, MREMAP(va + 1, 0, 0, MAYMOVE));
	FAILS(m, HF_ERR_EMPTY, MREMAP(va, 0, PAGE, MAYMOVE));
	FAILS(m, HF_ERR_EMPTY, MREMAP(va, PAGE, 0, MAYMOVE));
	FAILS(m, HF_ERR_WRAP, MREMAP(va, UINT64_MAX, PAGE, MAYMOVE));
	FAILS(m, HF_ERR_WRAP, MREMAP(va, PAGE, UINT64_MAX, MAYMOVE));
	FAILS(m, HF_ERR_RANGE, MREMAP(va, 9 * PAGE, PAGE, MAYMOVE));
	FAILS(m, HF_ERR_RANGE, MREMAP(SPACE_LO - PAGE, PAGE, PAGE, MAYMOVE));
	FAILS(m, HF_ERR_UNMAPPED, MREMAP(va - PAGE, 2 * PAGE, PAGE, 0));
	FAILS(m, HF_ERR_UNMAPPED, MREMAP(SPACE_LO, PAGE, PAGE, 0));
	FAILS(m, HF_ERR_NOSPACE, MREMAP(va, PAGE, SPACE_LEN, MAYMOVE));
	FAILS(m, HF_ERR_NOSPACE, MREMAP(va, PAGE, UINT64_MAX - PAGE, MAYMOVE));
	SAME(to, SPACE_LO);
	to = SPACE_LO + 8;
	FAILS(m, HF_ERR_ALIGN, MREMAP(va, PAGE, PAGE, FIXED));
	to = SPACE_LO - PAGE;
	FAILS(m, HF_ERR_RANGE, MREMAP(va, PAGE, PAGE, FIXED));
	to = va;
	FAILS(m, HF_ERR_OVERLAP, MREMAP(va, PAGE, PAGE, FIXED));
	to = va - PAGE;
	FAILS(m, HF_ERR_OVERLAP, MREMAP(va, 8 * PAGE, 8 * PAGE, FIXED));
	to = va + 3 * PAGE;
	FAILS(m, HF_ERR_OVERLAP, MREMAP(va, 4 * PAGE, PAGE, FIXED));
#undef MREMAP
}

static const struct CMUnitTest tests[] = {
	TEST(mremap_shrinks_in_place),
	TEST(mremap_grows_in_place),
	TEST(mremap_grows_only_into_free_space),
	TEST(mremap_moves_what_cannot_grow),
	TEST(mremap_moves_one_page_of_many),
	TEST(mremap_keeps_huge_pages_where_they_fit),
	TEST(mremap_looks_for_a_place_that_is_alike),
	TEST(mremap_moves_whole_tables),
	TEST(mremap_fixed_replaces_what_is_there),
	TEST(mremap_fixed_shrinks_too),
	TEST(mremap_takes_several_mappings_along),
	TEST(mremap_dontunmap_leaves_an_empty_mapping),
	TEST(mremap_leaves_nothing_cached),
	TEST(mremap_carries_placement_along),
	TEST(mremap_of_shared_memory),
	TEST(mremap_of_shared_huge_pages),
	TEST(mremap_of_pinned_memory),
	TEST(mremap_of_memory_that_children_do_not_get),
	TEST(mremap_of_what_was_never_touched),
	TEST(mremap_of_objects),
	TEST(mremap_errors),
};
SUITE(suite_remap, tests);
