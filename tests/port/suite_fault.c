/* SPDX-License-Identifier: MIT */
/* Page faults: zero page, first touch at each level, copy-on-write, reuse. */
#include "port.h"

static void read_of_untouched_memory_is_zero_and_free(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 32 * PAGE, RW);
	uint64_t before;

	SAME(get(s, va), 0);
	CHECK(m);
	before = free_bytes(m); /* the tables are there now */
	ZEROS(s, va, 32 * PAGE);
	CHECK(m);
	SAME(free_bytes(m), before);
	SAME(leaves(s, HF_LEVEL_PTE), 0);
	SAME(access_of(s, va) & HF_ACCESS_WRITE, 0);
}

static void first_write_takes_one_page(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 4 * PAGE, RW);
	uint64_t before;

	SAME(get(s, va), 0);
	before = free_bytes(m);
	put(s, va, 1); /* in place of the zero page */
	put(s, va + PAGE + 100, 2);
	CHECK(m);
	SAME(free_bytes(m), before - 2 * PAGE);
	SAME(get(s, va), 1);
	SAME(get(s, va + PAGE + 100), 2);
	SAME(get(s, va + PAGE), 0);
	ZEROS(s, va + 2 * PAGE, 2 * PAGE);
}

static void a_dirty_page_is_zero_for_its_next_owner(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);

	for (int round = 0; round < 3; round++) {
		hf_va va = map(s, 40 * MIB, RW); /* most of the RAM: frames come back */

		for (hf_va at = va; at < va + 40 * MIB; at += PAGE) {
			put(s, at + 8, 1);
			if (get(s, at) != 0 || get(s, at + 4088) != 0)
				fail_msg("round %d: page at 0x%llx not zero", round,
					 (unsigned long long)at);
			put(s, at, ~0ull);
			put(s, at + 4088, ~0ull);
		}
		OK(hf_munmap(s->mm, va, 40 * MIB));
		CHECK(m);
	}
}

static void first_touch_of_advised_memory_is_huge(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PMD, 2);

	put(s, va + 300 * PAGE, 1);
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(pa_of(s, va).v % PMD_SIZE, 0);
	SAME(get(s, va), 0);
	SAME(get(s, va + 300 * PAGE), 1);
	assert_false(present(s, va + PMD_SIZE));
}

static void huge_read_of_untouched_memory_is_free(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PMD, 4);
	uint64_t before;

	SAME(get(s, va), 0);
	before = free_bytes(m);
	ZEROS(s, va, 4 * PMD_SIZE);
	CHECK(m);
	assert_true(before - free_bytes(m) <= 4 * PAGE); /* tables at most */
	SAME(leaves(s, HF_LEVEL_PMD), 0);
	put(s, va + PMD_SIZE + 5 * PAGE, 1);
	CHECK(m);
	SAME(get(s, va + PMD_SIZE + 5 * PAGE), 1);
	ZEROS(s, va, PMD_SIZE);
	ZEROS(s, va + PMD_SIZE, 5 * PAGE);
}

static void huge_pages_only_where_they_fit(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va base = SPACE_LO + 16 * MIB;

	/* half a huge page, a whole one, half a one */
	map_at(s, base + MIB, 4 * MIB, RW);
	OK(hf_madvise(s->mm, base + MIB, 4 * MIB, HF_ADV_HUGEPAGE));
	fill(s, base + MIB, 4 * MIB, 1);
	CHECK(m);
	SAME(level_of(s, base + MIB), HF_LEVEL_PTE);
	SAME(level_of(s, base + PMD_SIZE), HF_LEVEL_PMD);
	SAME(level_of(s, base + 2 * PMD_SIZE), HF_LEVEL_PTE);
	FILLED(s, base + MIB, 4 * MIB, 1);
}

static void no_huge_page_over_small_ones(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, PMD_SIZE, RW);

	put(s, va + 7 * PAGE, 7);
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_HUGEPAGE));
	put(s, va, 1);
	CHECK(m);
	SAME(get(s, va + 7 * PAGE), 7);
	SAME(get(s, va), 1);
	ZEROS(s, va + PAGE, 6 * PAGE);
}

static void small_pages_where_no_huge_page_is_free(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PMD, 1);
	struct hoard hoard;

	fragment(m, 600, &hoard);
	fill(s, va, PMD_SIZE, 1);
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	FILLED(s, va, PMD_SIZE, 1);
	hoard_release(m, &hoard);
}

static struct machine *big_machine(void)
{
	struct machine_config config = { .ram_bytes = 4 * GIB };

	need_host_memory(3 * GIB);
	return machine_new(&config);
}

static void one_gib_pages_are_real(void **state)
{
	struct machine *m = big_machine();
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_WHOLE);
	hf_va va = map_level(s, HF_LEVEL_PUD, 1);

	(void)state;
	put(s, va + 123 * MIB, 1);
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	SAME(pa_of(s, va).v % GIB, 0);
	SAME(get(s, va), 0);
	SAME(get(s, va + GIB - 8), 0);
	SAME(get(s, va + 123 * MIB), 1);
	/* split it at both levels, keep the frames */
	OK(hf_mprotect(s->mm, va + 100 * MIB + PAGE, PAGE, RO));
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(level_of(s, va + 100 * MIB), HF_LEVEL_PTE);
	SAME(get(s, va + 123 * MIB), 1);
	SAME(pa_of(s, va + 999 * MIB).v - pa_of(s, va).v, 999 * MIB);
	assert_false(may_store(s, va + 100 * MIB + PAGE));
	put(s, va + 100 * MIB, 2);
	machine_end(m);
}

static void one_gib_falls_back_to_2_mib(void **state)
{
	struct machine *m = *state; /* too little RAM for a 1 GiB page */
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_WHOLE);
	hf_va va = map_level(s, HF_LEVEL_PUD, 1);

	put(s, va + 3 * PMD_SIZE, 1);
	CHECK(m);
	SAME(level_of(s, va + 3 * PMD_SIZE), HF_LEVEL_PMD);
	SAME(get(s, va + 3 * PMD_SIZE), 1);
}

/* hf_fault itself */

static void fault_describes_the_leaf(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 4 * PAGE, RW), huge = map_level(s, HF_LEVEL_PMD, 1);
	struct hf_translation t, again;

	OK(hf_fault(s->mm, va + PAGE + 5, HF_ACCESS_WRITE, &t));
	CHECK(m);
	SAME(t.va, va + PAGE);
	SAME(t.len, PAGE);
	SAME(t.level, HF_LEVEL_PTE);
	SAME(t.access, HF_ACCESS_READ | HF_ACCESS_WRITE);
	SAME_PA(t.pa, pa_of(s, va + PAGE));
	OK(hf_fault(s->mm, huge + 9 * PAGE, HF_ACCESS_WRITE, &t));
	CHECK(m);
	SAME(t.va, huge);
	SAME(t.len, PMD_SIZE);
	SAME(t.level, HF_LEVEL_PMD);
	/* nothing is wrong any more: the same answer, nothing changed */
	OK(hf_fault(s->mm, huge + 9 * PAGE, HF_ACCESS_WRITE, &again));
	SAME_PA(again.pa, t.pa);
	OK(hf_fault(s->mm, huge, HF_ACCESS_READ, NULL));
	SAME(access_of(s, huge), HF_ACCESS_READ | HF_ACCESS_WRITE);
}

static void fault_for_reading_gives_no_write(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, PAGE, RW);
	struct hf_translation t;

	OK(hf_fault(s->mm, va, HF_ACCESS_READ, &t));
	CHECK(m);
	SAME(t.access & HF_ACCESS_WRITE, 0);
	OK(hf_fault(s->mm, va, HF_ACCESS_WRITE, &t));
	CHECK(m);
	assert_true(t.access & HF_ACCESS_WRITE);
}

static void fault_knows_exec(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va x = map(s, PAGE, HF_PROT_READ | HF_PROT_EXEC), rw = map(s, PAGE, RW);
	struct hf_translation t;

	OK(hf_fault(s->mm, x, HF_ACCESS_EXEC, &t));
	CHECK(m);
	SAME(t.access, HF_ACCESS_READ | HF_ACCESS_EXEC);
	FAILS(m, HF_ERR_ACCESS, hf_fault(s->mm, rw, HF_ACCESS_EXEC, NULL));
	FAILS(m, HF_ERR_ACCESS, hf_fault(s->mm, x, HF_ACCESS_WRITE, NULL));
}

static void fault_errors_change_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va rw = map(s, PAGE, RW), ro = map(s, PAGE, RO), none = map(s, PAGE, HF_PROT_NONE);
	static const unsigned bad[] = { 0, 3, 5, 6, 7, 8, ~0u };
	struct hf_translation t = { .level = 9 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		FAILS(m, HF_ERR_INVAL, hf_fault(s->mm, rw, bad[i], &t));
	FAILS(m, HF_ERR_RANGE, hf_fault(s->mm, SPACE_LO - 1, HF_ACCESS_READ, &t));
	FAILS(m, HF_ERR_RANGE, hf_fault(s->mm, SPACE_LO + SPACE_LEN, HF_ACCESS_READ, &t));
	FAILS(m, HF_ERR_RANGE, hf_fault(s->mm, UINT64_MAX, HF_ACCESS_READ, &t));
	FAILS(m, HF_ERR_UNMAPPED, hf_fault(s->mm, SPACE_LO, HF_ACCESS_READ, &t));
	FAILS(m, HF_ERR_ACCESS, hf_fault(s->mm, ro, HF_ACCESS_WRITE, &t));
	FAILS(m, HF_ERR_ACCESS, hf_fault(s->mm, none, HF_ACCESS_READ, &t));
	FAILS(m, HF_ERR_ACCESS, hf_fault(s->mm, none, HF_ACCESS_WRITE, &t));
	FAILS(m, HF_ERR_ACCESS, hf_fault(s->mm, none, HF_ACCESS_EXEC, &t));
	SAME(t.level, 9); /* written only on success */
}

/* Copy-on-write and reuse */

static void write_after_fork_copies_one_page(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);
	hf_pa pa = pa_of(s, va + PAGE);
	uint64_t before;

	child = fork_space(s, HF_FORK_COPY);
	put(child, va, 1); /* tables are the child's own from here on */
	before = free_bytes(m);
	put(child, va + PAGE, 99);
	CHECK(m);
	SAME(free_bytes(m), before - PAGE);
	SAME(get(child, va + PAGE), 99);
	FILLED(s, va, 8 * PAGE, 1);
	SAME_PA(pa_of(s, va + PAGE), pa);
	assert_true(pa_of(child, va + PAGE).v != pa.v);
	SAME_PA(pa_of(child, va + 2 * PAGE), pa_of(s, va + 2 * PAGE));
}

static void the_last_mapper_reuses_in_place(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 4, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	hf_pa small_pa = pa_of(s, small), huge_pa = pa_of(s, huge);
	uint64_t before;

	child = fork_space(s, HF_FORK_COPY);
	space_end(child);
	before = free_bytes(m);
	put(s, small, 5);
	put(s, huge + 5 * PAGE, 6);
	CHECK(m);
	SAME_PA(pa_of(s, small), small_pa);
	SAME_PA(pa_of(s, huge), huge_pa);
	SAME(level_of(s, huge), HF_LEVEL_PMD);
	SAME(free_bytes(m), before);
}

static void the_other_side_reuses_after_a_copy(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1);
	hf_pa pa = pa_of(s, va);

	child = fork_space(s, HF_FORK_COPY);
	put(s, va, 2); /* the parent moves away, the child is the last */
	CHECK(m);
	assert_true(pa_of(s, va).v != pa.v);
	put(child, va, 3);
	CHECK(m);
	SAME_PA(pa_of(child, va), pa);
	SAME(get(s, va), 2);
	SAME(get(child, va), 3);
}

static void huge_write_after_fork_copies_whole(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	hf_pa pa = pa_of(s, va);

	child = fork_space(s, HF_FORK_COPY);
	put(child, va + 17 * PAGE, 5);
	CHECK(m);
	SAME(level_of(child, va), HF_LEVEL_PMD);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME_PA(pa_of(s, va), pa);
	assert_true(pa_of(child, va).v != pa.v);
	FILLED(s, va, 2 * PMD_SIZE, 1);
	FILLED(child, va, 17 * PAGE, 1);
	SAME(get(child, va + 17 * PAGE), 5);
	FILLED(child, va + 18 * PAGE, 2 * PMD_SIZE - 18 * PAGE, 1);
}

static void huge_write_after_fork_copies_small_if_asked(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new_of(m, SPACE_LEN, HF_HUGE_COW_SMALL), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);
	uint64_t before;

	child = fork_space(s, HF_FORK_COPY);
	before = free_bytes(m);
	put(child, va + 17 * PAGE, 5);
	CHECK(m);
	SAME(level_of(child, va), HF_LEVEL_PTE);
	SAME(level_of(s, va), HF_LEVEL_PMD); /* the other keeps its huge page */
	assert_true(before - free_bytes(m) < 8 * PAGE);
	for (uint64_t at = 0; at < PMD_SIZE; at += PAGE) {
		if (at != 17 * PAGE)
			SAME(pa_of(child, va + at).v, pa.v + at);
	}
	assert_true(pa_of(child, va + 17 * PAGE).v != pa.v + 17 * PAGE);
	FILLED(s, va, PMD_SIZE, 1);
	FILLED(child, va + 18 * PAGE, PMD_SIZE - 18 * PAGE, 1);
	/* the parent now writes where the child still shares, and where it does not */
	put(s, va + 17 * PAGE, 6);
	put(s, va + 18 * PAGE, 7);
	CHECK(m);
	SAME(get(child, va + 17 * PAGE), 5);
	SAME(get(child, va + 18 * PAGE), stamp(1, va + 18 * PAGE));
}

static void huge_write_without_a_free_huge_page_copies_small(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	struct hoard hoard;

	child = fork_space(s, HF_FORK_COPY);
	fragment(m, 16, &hoard);
	put(child, va + 3 * PAGE, 5);
	CHECK(m);
	SAME(level_of(child, va), HF_LEVEL_PTE);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(get(child, va + 3 * PAGE), 5);
	FILLED(s, va, PMD_SIZE, 1);
	FILLED(child, va + 4 * PAGE, PMD_SIZE - 4 * PAGE, 1);
	hoard_release(m, &hoard);
}

static void one_gib_write_after_fork(void **state)
{
	struct machine *m = big_machine();
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL), *child;
	hf_va va = map_level(s, HF_LEVEL_PUD, 1);
	hf_pa pa;

	(void)state;
	fill(s, va + 6 * MIB, PMD_SIZE, 1);
	pa = pa_of(s, va);
	child = fork_space(s, HF_FORK_COPY);
	put(child, va + 6 * MIB, 5);
	CHECK(m);
	SAME_PA(pa_of(s, va), pa);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	FILLED(s, va + 6 * MIB, PMD_SIZE, 1);
	FILLED(child, va + 6 * MIB + PAGE, PMD_SIZE - PAGE, 1);
	SAME(get(child, va + 6 * MIB), 5);
	machine_end(m);
}

static void write_to_read_only_memory_never_happens(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 1, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 1);

	OK(hf_mprotect(s->mm, small, PAGE, RO));
	OK(hf_mprotect(s->mm, huge, PMD_SIZE, RO));
	child = fork_space(s, HF_FORK_COPY);
	assert_false(may_store(s, small));
	assert_false(may_store(child, small));
	assert_false(may_store(s, huge + 99));
	assert_false(may_store(child, huge + 99));
	FILLED(s, small, PAGE, 1);
	FILLED(child, huge, PMD_SIZE, 1);
	CHECK(m);
}

static void no_memory_stops_the_program_and_nothing_else(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 4 * PAGE, RW);
	struct hoard hoard;

	put(s, va, 1);
	hoard_all(m, 0, &hoard);
	FAILS(m, HF_ERR_NOMEM, hf_fault(s->mm, va + PAGE, HF_ACCESS_WRITE, NULL));
	put(s, va, 2); /* what is there goes on working */
	hoard_release(m, &hoard);
	put(s, va + PAGE, 3);
	SAME(get(s, va), 2);
	SAME(get(s, va + PAGE), 3);
}

static const struct CMUnitTest tests[] = {
	TEST(read_of_untouched_memory_is_zero_and_free),
	TEST(first_write_takes_one_page),
	TEST(a_dirty_page_is_zero_for_its_next_owner),
	TEST(first_touch_of_advised_memory_is_huge),
	TEST(huge_read_of_untouched_memory_is_free),
	TEST(huge_pages_only_where_they_fit),
	TEST(no_huge_page_over_small_ones),
	TEST(small_pages_where_no_huge_page_is_free),
	TEST(one_gib_pages_are_real),
	TEST(one_gib_falls_back_to_2_mib),
	TEST(fault_describes_the_leaf),
	TEST(fault_for_reading_gives_no_write),
	TEST(fault_knows_exec),
	TEST(fault_errors_change_nothing),
	TEST(write_after_fork_copies_one_page),
	TEST(the_last_mapper_reuses_in_place),
	TEST(the_other_side_reuses_after_a_copy),
	TEST(huge_write_after_fork_copies_whole),
	TEST(huge_write_after_fork_copies_small_if_asked),
	TEST(huge_write_without_a_free_huge_page_copies_small),
	TEST(one_gib_write_after_fork),
	TEST(write_to_read_only_memory_never_happens),
	TEST(no_memory_stops_the_program_and_nothing_else),
};
SUITE(suite_fault, tests);
