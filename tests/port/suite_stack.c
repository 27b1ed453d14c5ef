/* SPDX-License-Identifier: MIT */
/* Stacks that grow down, and the heap. */
#include "port.h"

#define GAP (256 * PAGE)
#define TOP (SPACE_LO + SPACE_LEN)

static hf_va map_stack(struct space *s, hf_va va, uint64_t len)
{
	OK(hf_mmap(s->mm, &va, len, RW, HF_MAP_FIXED | HF_MAP_GROWSDOWN));
	CHECK(s->m);
	return va;
}

static enum hf_status touch(struct space *s, hf_va va)
{
	return hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL);
}

/* Stacks */

static void stack_grows_when_it_is_touched_below(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_stack(s, TOP - 4 * PAGE, 4 * PAGE);

	assert_true(mapping_at(s, va).grows_down);
	put(s, va, 1);
	put(s, va - 8, 2); /* the page below */
	CHECK(*state);
	SAME(mapping_at(s, 0).start, va - PAGE);
	put(s, va - 9 * PAGE + 16, 3); /* and further down */
	CHECK(*state);
	SAME(mapping_at(s, 0).start, va - 9 * PAGE);
	SAME(mapping_at(s, 0).end, TOP);
	SAME(get(s, va - 5 * PAGE), 0);
	SAME(get(s, va), 1);
	SAME(get(s, va - 8), 2);
	/* by a reading access as well, but not by pins and copies */
	SAME(get(s, va - 10 * PAGE), 0);
	GIVES(HF_ERR_UNMAPPED, hf_write(s->mm, va - 12 * PAGE, &va, 8));
	SAME(mapping_at(s, 0).start, va - 10 * PAGE);
	/* what is forbidden stays so, in what has grown too */
	va = map_stack(s, SPACE_LO + 64 * MIB, PAGE);
	OK(hf_mprotect(s->mm, va, PAGE, RO));
	GIVES(HF_ERR_ACCESS, touch(s, va - PAGE));
	assert_false(may_store(s, va - 8));
	assert_true(may_load(s, va - 8));
}

static void stack_of_a_child_grows_by_itself(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_stack(s, TOP - 4 * PAGE, 4 * PAGE);

	fill(s, va, 4 * PAGE, 1);
	child = fork_space(s, HF_FORK_COPY);
	put(child, va - 3 * PAGE, 5);
	CHECK(m);
	SAME(mapping_at(child, 0).start, va - 3 * PAGE);
	SAME(mapping_at(s, 0).start, va);
	put(s, va - PAGE, 6);
	SAME(get(child, va - PAGE), 0);
	FILLED(child, va, 4 * PAGE, 1);
	CHECK(m);
}

static void stack_keeps_a_gap_below(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_stack(s, SPACE_LO + 64 * MIB, PAGE), below = va - 2 * GAP;

	map_at(s, below, PAGE, RO);
	put(s, below + PAGE + GAP, 1); /* as far as it goes */
	CHECK(m);
	FAILS(m, HF_ERR_UNMAPPED, touch(s, below + GAP + PAGE - 8));
	FAILS(m, HF_ERR_UNMAPPED, touch(s, below + PAGE));
	assert_false(may_store(s, below + GAP));
	/* what nobody can access is a guard itself */
	OK(hf_mprotect(s->mm, below, PAGE, HF_PROT_NONE));
	put(s, below + PAGE, 2);
	CHECK(m);
	SAME(mapping_at(s, below + PAGE).start, below + PAGE);
	/* and another stack may be near */
	OK(hf_munmap(s->mm, below, va - below));
	map_stack(s, below, PAGE);
	put(s, below + 2 * PAGE, 3);
	SAME(mapping_at(s, below + PAGE).start, below + 2 * PAGE);
	/* there is none below the space */
	va = map_stack(s, SPACE_LO + PAGE, PAGE);
	put(s, SPACE_LO, 4);
	FAILS(m, HF_ERR_RANGE, touch(s, SPACE_LO - 8));
}

static void stack_keeps_to_the_limits(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_stack(s, SPACE_LO + 64 * MIB, PAGE);
	struct hf_limits limits = { .stack = 16 * PAGE };

	FAILS(m, HF_ERR_LIMIT, touch(s, va + PAGE - 8 * MIB - 8)); /* 8 MiB if nobody says more */
	OK(hf_mm_set_limits(s->mm, &limits));
	FAILS(m, HF_ERR_LIMIT, touch(s, va - 16 * PAGE));
	put(s, va - 15 * PAGE, 1);
	limits.stack = MIB;
	limits.va = 20 * PAGE;
	OK(hf_mm_set_limits(s->mm, &limits));
	FAILS(m, HF_ERR_LIMIT, touch(s, va - 20 * PAGE));
	put(s, va - 19 * PAGE, 1);
	limits.va = 0;
	limits.lock = 22 * PAGE;
	limits.stack_gap = 4 * PAGE;
	OK(hf_mm_set_limits(s->mm, &limits));
	OK(hf_mlock_all(s->mm, 0));
	FAILS(m, HF_ERR_LIMIT, touch(s, va - 22 * PAGE));
	put(s, va - 21 * PAGE, 1);
	CHECK(m);
	assert_true(mapping_at(s, 0).locked);
	assert_true(present(s, va - 20 * PAGE)); /* what it grew by is locked as well */
	map_at(s, va - 30 * PAGE, PAGE, RW);
	OK(hf_munlock_all(s->mm));
	FAILS(m, HF_ERR_UNMAPPED, touch(s, va - 26 * PAGE));
	put(s, va - 25 * PAGE, 1);
}

/* Its parent's locks, which it does not inherit, do not make pieces of a child's stack. */
static void stack_of_a_child_keeps_to_its_limit(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_stack(s, TOP - 4 * PAGE, 4 * PAGE);
	const struct hf_limits limits = { .stack = 16 * PAGE };

	OK(hf_mm_set_limits(s->mm, &limits));
	OK(hf_mlock(s->mm, va + PAGE, PAGE, 0));
	child = fork_space(s, HF_FORK_COPY);
	FAILS(m, HF_ERR_LIMIT, touch(child, va - 13 * PAGE));
	put(child, va - 12 * PAGE, 1);
	CHECK(m);
}

static void mmap_keeps_away_from_stacks(void **state)
{
	struct space *s = space_new(*state);
	hf_va stack = map_stack(s, TOP - PAGE, PAGE), va = stack - 2 * PAGE;

	SAME(map(s, PAGE, RW), stack - GAP - PAGE);
	OK(hf_mmap(s->mm, &va, PAGE, RW, 0)); /* a hint too near is none */
	SAME(va, stack - GAP - 2 * PAGE);
	SAME(map(s, PMD_SIZE, RW), TOP - 2 * PMD_SIZE);
	map_at(s, stack - 2 * PAGE, PAGE, RO); /* but FIXED is what it says */
	CHECK(*state);
	/* nothing below a stack at the bottom */
	map_stack(s, SPACE_LO + 5 * PAGE, PAGE);
	OK(hf_mmap(s->mm, &va, SPACE_LEN - 8 * MIB, RW, 0));
	assert_true(va > SPACE_LO + 5 * PAGE);
}

static void stack_is_placed_with_a_gap_below(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	const struct hf_limits none = { .stack_gap = PAGE }, most = { .stack_gap = -PAGE };
	hf_va low = map_at(s, SPACE_LO + 8 * MIB, PAGE, RW), va = low + PAGE, to = 0;

	OK(hf_mmap(s->mm, &va, PAGE, RW, HF_MAP_GROWSDOWN)); /* a hint too near is none */
	SAME(va, TOP - PAGE);
	OK(hf_munmap(s->mm, va, PAGE));
	va = low + GAP;
	OK(hf_mmap(s->mm, &va, PAGE, RW, HF_MAP_GROWSDOWN));
	assert_true(va != low + GAP);
	OK(hf_munmap(s->mm, va, PAGE));
	va = low + GAP + PAGE;
	OK(hf_mmap(s->mm, &va, PAGE, RW, HF_MAP_GROWSDOWN));
	SAME(va, low + GAP + PAGE);
	OK(hf_munmap(s->mm, va, PAGE));
	OK(hf_mprotect(s->mm, low, PAGE, HF_PROT_NONE)); /* a guard that it may be near */
	va = low + PAGE;
	OK(hf_mmap(s->mm, &va, PAGE, RW, HF_MAP_GROWSDOWN));
	SAME(va, low + PAGE);
	OK(hf_munmap(s->mm, va, PAGE));

	/* Of two holes, the one where the gap fits; 2 MiB stay a multiple of 2 MiB. */
	map_at(s, SPACE_LO, TOP - SPACE_LO, RW);
	OK(hf_munmap(s->mm, TOP - GAP, GAP));
	OK(hf_munmap(s->mm, SPACE_LO + 32 * MIB, GAP + PAGE));
	OK(hf_munmap(s->mm, SPACE_LO + 40 * MIB, 5 * MIB));
	va = 0;
	OK(hf_mmap(s->mm, &va, PMD_SIZE, RW, HF_MAP_GROWSDOWN));
	SAME(va, SPACE_LO + 42 * MIB);
	CHECK(m);
	map_at(s, SPACE_LO + 40 * MIB, 5 * MIB, RW);
	va = 0;
	OK(hf_mmap(s->mm, &va, PAGE, RW, HF_MAP_GROWSDOWN));
	SAME(va, SPACE_LO + 32 * MIB + GAP);
	/* where it moves likewise */
	map_at(s, SPACE_LO, TOP - SPACE_LO, RW);
	OK(hf_munmap(s->mm, TOP - 2 * GAP, 2 * GAP));
	va = map_stack(s, SPACE_LO + 64 * MIB, PAGE);
	FAILS(m, HF_ERR_NOSPACE, hf_mremap(s->mm, va, PAGE, GAP + PAGE, HF_MREMAP_MAYMOVE, &to));
	OK(hf_mremap(s->mm, va, PAGE, GAP, HF_MREMAP_MAYMOVE, &to));
	SAME(to, TOP - GAP);
	CHECK(m);
	OK(hf_munmap(s->mm, SPACE_LO, TOP - SPACE_LO));
	OK(hf_mm_set_limits(s->mm, &none));
	va = 0;
	OK(hf_mmap(s->mm, &va, TOP - SPACE_LO - PAGE, RW, HF_MAP_GROWSDOWN));
	SAME(va, SPACE_LO + PAGE);
	OK(hf_munmap(s->mm, SPACE_LO, TOP - SPACE_LO));
	OK(hf_mm_set_limits(s->mm, &most)); /* larger than the space, and any sum with it wraps */
	va = 0;
	FAILS(m, HF_ERR_NOSPACE, hf_mmap(s->mm, &va, 2 * PAGE, RW, HF_MAP_GROWSDOWN));
}

static void mremap_keeps_away_from_stacks(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va stack = map_stack(s, SPACE_LO + 64 * MIB, PAGE), va = stack - GAP - 4 * PAGE, to = 77;

	map_at(s, va, PAGE, RW);
	fill(s, va, PAGE, 1);
	FAILS(m, HF_ERR_NOSPACE, hf_mremap(s->mm, va, PAGE, 5 * PAGE, 0, &to));
	FAILS(m, HF_ERR_NOSPACE, hf_mremap(s->mm, va, PAGE, stack - va, 0, &to));
	SAME(to, 77);
	OK(hf_mremap(s->mm, va, PAGE, 4 * PAGE, 0, &to)); /* as far as it goes */
	SAME(to, va);
	OK(hf_mremap(s->mm, va, 4 * PAGE, 5 * PAGE, HF_MREMAP_MAYMOVE, &to));
	SAME(to, TOP - 5 * PAGE);
	ZEROS(s, to + PAGE, 4 * PAGE);
	CHECK(m);
	/* a stack that grows at its other end, below another one */
	va = map_stack(s, stack - GAP - PAGE, PAGE);
	FAILS(m, HF_ERR_NOSPACE, hf_mremap(s->mm, va, PAGE, 2 * PAGE, 0, &to));
	/* but FIXED is what it says */
	to = stack - PAGE;
	OK(hf_mremap(s->mm, va, PAGE, PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED, &to));
	CHECK(m);
}

static void stack_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct hf_object_config config = { .size = PAGE };
	struct hf_object *object;
	hf_va va = 0;

	OK(hf_object_create(m->phys, &config, &object));
	FAILS(m, HF_ERR_FLAGS, hf_mmap(s->mm, &va, PAGE, RW, HF_MAP_GROWSDOWN | HF_MAP_SHARED));
	FAILS(m, HF_ERR_FLAGS,
	      hf_mmap_object(s->mm, &va, PAGE, RW, HF_MAP_PRIVATE | HF_MAP_GROWSDOWN, object, 0));
	hf_object_put(object);
	va = map(s, PAGE, RW); /* no stack */
	FAILS(m, HF_ERR_UNMAPPED, touch(s, va - 8));
}

/* The heap */

static void heap_grows_and_shrinks(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va start = SPACE_LO + MIB + 100, now = 0;

	OK(hf_brk_start(s->mm, start));
	GIVES(HF_ERR_RANGE, hf_brk(s->mm, 0, &now));
	SAME(now, start);
	/* what is left of the page that it starts in is the program's: bss ends there */
	OK(hf_brk(s->mm, start + 10, &now));
	SAME(now, start + 10);
	FAILS(m, HF_ERR_BUSY, hf_brk_start(s->mm, start));
	assert_false(may_load(s, start));
	OK(hf_brk(s->mm, start + PAGE, &now));
	CHECK(m);
	SAME(mapping_at(s, 0).start, SPACE_LO + MIB + PAGE);
	SAME(mapping_at(s, 0).end, SPACE_LO + MIB + 2 * PAGE);
	OK(hf_brk(s->mm, start, &now));
	OK(hf_brk_start(s->mm, SPACE_LO + MIB)); /* it is empty: start elsewhere */
	start = SPACE_LO + MIB;
	OK(hf_brk(s->mm, start + 10, &now));
	SAME(mapping_at(s, 0).end, start + PAGE);
	put(s, start, 1);
	OK(hf_brk(s->mm, start + PAGE, &now)); /* no page more */
	SAME(mapping_at(s, 0).end, start + PAGE);
	OK(hf_brk(s->mm, start + 5 * PAGE + 1, &now));
	CHECK(m);
	SAME(mapping_at(s, 0).end, start + 6 * PAGE);
	SAME(mapping_at(s, 0).prot, RW);
	fill(s, start + PAGE, 5 * PAGE, 1);
	child = fork_space(s, HF_FORK_COPY);
	OK(hf_brk(s->mm, start + 2 * PAGE + 1, &now));
	CHECK(m);
	assert_false(may_load(s, start + 3 * PAGE));
	FILLED(s, start + PAGE, 2 * PAGE, 1);
	OK(hf_brk(s->mm, start + 4 * PAGE, &now));
	ZEROS(s, start + 3 * PAGE, PAGE);
	/* the child's is where it was */
	GIVES(HF_ERR_RANGE, hf_brk(child->mm, 0, &now));
	SAME(now, start + 5 * PAGE + 1);
	OK(hf_brk(child->mm, now + PAGE, &now));
	FILLED(child, start + PAGE, 5 * PAGE, 1);
	CHECK(m);
	OK(hf_brk(s->mm, start, &now));
	GIVES(HF_ERR_UNMAPPED, hf_vma_next(s->mm, 0, &(struct hf_vma_info){ 0 }));
}

static void heap_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va start = SPACE_LO + MIB, now = 77;
	struct hf_limits limits = { .va = 12 * PAGE };

	FAILS(m, HF_ERR_RANGE, hf_brk(s->mm, start, &now)); /* there is none */
	SAME(now, 0);
	FAILS(m, HF_ERR_RANGE, hf_brk_start(s->mm, 0));
	FAILS(m, HF_ERR_RANGE, hf_brk_start(s->mm, SPACE_LO - 1));
	FAILS(m, HF_ERR_RANGE, hf_brk_start(s->mm, TOP));
	OK(hf_brk_start(s->mm, start));
	OK(hf_brk(s->mm, start + 4 * PAGE, &now));
	fill(s, start, 4 * PAGE, 1);
	FAILS(m, HF_ERR_BUSY, hf_brk_start(s->mm, start));
	FAILS(m, HF_ERR_RANGE, hf_brk(s->mm, start - 1, &now));
	FAILS(m, HF_ERR_RANGE, hf_brk(s->mm, TOP + 1, &now));
	FAILS(m, HF_ERR_RANGE, hf_brk(s->mm, UINT64_MAX, &now));
	SAME(now, start + 4 * PAGE);
	map_at(s, start + 8 * PAGE, PAGE, RO);
	FAILS(m, HF_ERR_EXIST, hf_brk(s->mm, start + 8 * PAGE, &now)); /* no page between */
	FAILS(m, HF_ERR_EXIST, hf_brk(s->mm, start + 10 * PAGE, &now));
	OK(hf_brk(s->mm, start + 7 * PAGE, &now));
	OK(hf_munmap(s->mm, start + 8 * PAGE, PAGE));
	OK(hf_mm_set_limits(s->mm, &limits));
	FAILS(m, HF_ERR_LIMIT, hf_brk(s->mm, start + 13 * PAGE, &now));
	limits.va = 0;
	OK(hf_mm_set_limits(s->mm, &limits));
	map_stack(s, start + 20 * PAGE + GAP, PAGE);
	FAILS(m, HF_ERR_EXIST, hf_brk(s->mm, start + 21 * PAGE, &now));
	OK(hf_brk(s->mm, start + 20 * PAGE, &now));
	OK(hf_mseal(s->mm, start + 5 * PAGE, PAGE));
	FAILS(m, HF_ERR_SEALED, hf_brk(s->mm, start + 2 * PAGE, &now));
	SAME(now, start + 20 * PAGE);
	OK(hf_brk(s->mm, start + 6 * PAGE, &now));
	FILLED(s, start, 4 * PAGE, 1);
	CHECK(m);
}

static const struct CMUnitTest tests[] = {
	TEST(stack_grows_when_it_is_touched_below),
	TEST(stack_of_a_child_grows_by_itself),
	TEST(stack_keeps_a_gap_below),
	TEST(stack_keeps_to_the_limits),
	TEST(stack_of_a_child_keeps_to_its_limit),
	TEST(mmap_keeps_away_from_stacks),
	TEST(stack_is_placed_with_a_gap_below),
	TEST(mremap_keeps_away_from_stacks),
	TEST(stack_errors),
	TEST(heap_grows_and_shrinks),
	TEST(heap_errors),
};
SUITE(suite_stack, tests);
