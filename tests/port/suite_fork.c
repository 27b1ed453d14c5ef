/* SPDX-License-Identifier: MIT */
/*
 * fork, state by state: what was mapped how, what was pinned, and what parent and child
 * have afterwards. Tests that hold for both policies run under both.
 */
#include "port.h"

static const enum hf_fork_policy policies[] = { HF_FORK_COPY, HF_FORK_SPLIT };

/* Run `body` under both policies, each in a machine state of its own. */
static void under_both(struct machine *m, void (*body)(struct machine *, enum hf_fork_policy))
{
	for (size_t i = 0; i < 2; i++) {
		body(m, policies[i]);
		for (size_t s = 0; s < MAX_SPACES; s++) {
			if (m->spaces[s])
				space_end(m->spaces[s]);
		}
		SAME(free_bytes(m), m->free_at_start);
	}
}

#define BOTH(name)                                  \
	static void name(void **state)              \
	{                                           \
		under_both(*state, body_of_##name); \
	}

/* Each side writes one word that the other must not see. */
static void expect_private(struct space *a, struct space *b, hf_va va)
{
	uint64_t before = get(b, va);

	SAME(get(a, va), before);
	put(a, va, before + 1);
	SAME(get(b, va), before);
	put(b, va, before + 2);
	SAME(get(a, va), before + 1);
	SAME(get(b, va), before + 2);
	CHECK(a->m);
}

/* The device that holds pa and the program at va see each other. */
static void expect_held(struct space *s, hf_va va, hf_pa pa)
{
	uint64_t value = get(s, va);

	SAME_PA(pa_of(s, va), pa);
	put(s, va, value + 10);
	SAME(dma_get(s->m, pa), value + 10);
	dma_put(s->m, pa, value + 20);
	SAME(get(s, va), value + 20);
	SAME_PA(pa_of(s, va), pa);
}

/* Not pinned: shared until written */

static void body_of_small_pages_are_shared(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 64, 1);
	hf_pa pa = pa_of(s, va);

	child = fork_space(s, policy);
	FILLED(child, va, 64 * PAGE, 1);
	FILLED(s, va, 64 * PAGE, 1);
	for (uint64_t at = 0; at < 64 * PAGE; at += PAGE)
		SAME_PA(pa_of(child, va + at), pa_of(s, va + at));
	SAME_PA(pa_of(s, va), pa);
	expect_private(s, child, va);
	expect_private(child, s, va + PAGE);
	FILLED(child, va + 2 * PAGE, 62 * PAGE, 1);
	FILLED(s, va + 2 * PAGE, 62 * PAGE, 1);
}
BOTH(small_pages_are_shared)

/* Where a table's marks begin, end, and where they have gaps. */
static const unsigned apart[] = { 0, 7, 8, 23, 24, 255, 256, 300, 303, 448, 503, 504, 511 };
#define APART (sizeof(apart) / sizeof(apart[0]))

static void expect_apart(struct space *s, hf_va va, uint64_t seed, unsigned from, unsigned step)
{
	for (size_t i = from; i < APART; i += step)
		FILLED(s, va + apart[i] * PAGE, PAGE, seed);
}

/*
 * Both sides have every page of a table that is hardly used, whichever copies it, again and again.
 */
static void body_of_pages_apart_are_shared(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child, *grandchild;
	hf_va va = map_level(s, HF_LEVEL_PMD, 1);

	OK(hf_madvise(s->mm, va, 2 * MIB, HF_ADV_NOHUGEPAGE));
	for (size_t i = 0; i < APART; i++)
		fill(s, va + apart[i] * PAGE, PAGE, 1);
	child = fork_space(s, policy);
	fill(s, va + 100 * PAGE, PAGE, 2); /* where there was nothing: a copy, and a page more */
	expect_apart(s, va, 1, 0, 1);
	ZEROS(child, va + 100 * PAGE, PAGE);
	expect_apart(child, va, 1, 0, 1);
	for (size_t i = 0; i < APART; i += 2) {
		OK(hf_madvise(child->mm, va + apart[i] * PAGE, PAGE, HF_ADV_DONTNEED));
		CHECK(m);
	}
	grandchild = fork_space(child, policy);
	fill(child, va + 101 * PAGE, PAGE, 3);
	expect_apart(grandchild, va, 1, 1, 2);
	expect_apart(child, va, 1, 1, 2);
	for (size_t i = 0; i < APART; i += 2)
		ZEROS(grandchild, va + apart[i] * PAGE, PAGE);
	CHECK(m);
	space_end(child);
	expect_apart(grandchild, va, 1, 1, 2);
	expect_apart(s, va, 1, 0, 1);
	FILLED(s, va + 100 * PAGE, PAGE, 2);
	CHECK(m);
}
BOTH(pages_apart_are_shared)

static void body_of_huge_pages_are_shared_huge(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 3, 1);

	child = fork_space(s, policy);
	SAME(leaves(s, HF_LEVEL_PMD), 3);
	SAME(leaves(child, HF_LEVEL_PMD), 3);
	for (uint64_t i = 0; i < 3; i++)
		SAME_PA(pa_of(child, va + i * PMD_SIZE), pa_of(s, va + i * PMD_SIZE));
	FILLED(child, va, 3 * PMD_SIZE, 1);
	expect_private(s, child, va + 7 * PAGE);
	expect_private(child, s, va + PMD_SIZE + 7 * PAGE);
	FILLED(s, va + 2 * PMD_SIZE, PMD_SIZE, 1);
	FILLED(child, va + 2 * PMD_SIZE, PMD_SIZE, 1);
	SAME(leaves(s, HF_LEVEL_PMD), 3);
}
BOTH(huge_pages_are_shared_huge)

static void body_of_fork_takes_memory_for_tables_only(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m);
	uint64_t before;

	map_filled(s, HF_LEVEL_PTE, 256, 1);
	map_filled(s, HF_LEVEL_PMD, 8, 1);
	before = free_bytes(m);
	fork_space(s, policy);
	assert_true(before - free_bytes(m) <= 16 * PAGE);
}
BOTH(fork_takes_memory_for_tables_only)

static void body_of_an_empty_space_forks(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child = fork_space(s, policy);
	struct hf_vma_info vma;
	hf_va va;

	GIVES(HF_ERR_UNMAPPED, hf_vma_next(child->mm, 0, &vma));
	va = map(child, PAGE, RW);
	put(child, va, 1);
	assert_false(may_load(s, va));
}
BOTH(an_empty_space_forks)

static void body_of_mappings_are_private_after_fork(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);

	child = fork_space(s, policy);
	OK(hf_munmap(child->mm, va, PAGE));
	OK(hf_mprotect(child->mm, va + PAGE, PAGE, RO));
	OK(hf_madvise(child->mm, va + 2 * PAGE, PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	OK(hf_munmap(s->mm, va + 4 * PAGE, PAGE));
	OK(hf_mprotect(s->mm, va + 5 * PAGE, PAGE, RO));
	OK(hf_madvise(s->mm, va + 6 * PAGE, PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	FILLED(s, va, 4 * PAGE, 1);
	put(s, va + PAGE, 1);
	FILLED(child, va + 4 * PAGE, 4 * PAGE, 1);
	put(child, va + 5 * PAGE, 1);
	assert_false(may_load(child, va));
	assert_false(may_store(child, va + PAGE));
	ZEROS(child, va + 2 * PAGE, PAGE);
	assert_false(may_load(s, va + 4 * PAGE));
	assert_false(may_store(s, va + 5 * PAGE));
	ZEROS(s, va + 6 * PAGE, PAGE);
}
BOTH(mappings_are_private_after_fork)

static void body_of_the_zero_page_is_shared(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map(s, 4 * PAGE, RW), huge = map_level(s, HF_LEVEL_PMD, 2);

	SAME(get(s, va), 0);
	SAME(get(s, huge), 0);
	child = fork_space(s, policy);
	expect_private(child, s, va);
	expect_private(child, s, huge + 3 * PAGE);
	expect_private(s, child, va + PAGE); /* never touched before fork */
	expect_private(s, child, huge + PMD_SIZE);
	ZEROS(s, huge + 4 * PAGE, PMD_SIZE - 4 * PAGE);
	ZEROS(child, huge + 4 * PAGE, PMD_SIZE - 4 * PAGE);
}
BOTH(the_zero_page_is_shared)

static void body_of_protection_is_inherited(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va ro = map_filled(s, HF_LEVEL_PTE, 1, 1), none = map_filled(s, HF_LEVEL_PTE, 1, 2);

	OK(hf_mprotect(s->mm, ro, PAGE, RO));
	OK(hf_mprotect(s->mm, none, PAGE, HF_PROT_NONE));
	child = fork_space(s, policy);
	assert_false(may_store(child, ro));
	FILLED(child, ro, PAGE, 1);
	assert_false(may_load(child, none));
	assert_false(may_store(child, none));
	OK(hf_mprotect(child->mm, none, PAGE, RW));
	OK(hf_mprotect(child->mm, ro, PAGE, RW));
	CHECK(m);
	FILLED(child, none, PAGE, 2);
	put(child, ro, 99);
	put(child, none, 98);
	FILLED(s, ro, PAGE, 1);
	assert_false(may_store(s, ro));
	assert_false(may_load(s, none));
}
BOTH(protection_is_inherited)

/* DONTFORK, WIPEONFORK */

static void body_of_dontfork_is_absent_in_the_child(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 4, 1), huge = map_filled(s, HF_LEVEL_PMD, 2, 2);
	struct pin pin;
	hf_pa pa;

	OK(hf_madvise(s->mm, small + PAGE, 2 * PAGE, HF_ADV_DONTFORK));
	OK(hf_madvise(s->mm, huge, 2 * PMD_SIZE, HF_ADV_DONTFORK));
	pin_range(s, huge, PMD_SIZE, HF_PIN_WRITE, &pin);
	pa = pa_of(s, small + PAGE);
	child = fork_space(s, policy);
	assert_false(may_load(child, small + PAGE));
	assert_false(may_load(child, small + 2 * PAGE));
	assert_false(may_load(child, huge));
	assert_false(may_store(child, huge + PMD_SIZE));
	FILLED(child, small, PAGE, 1);
	FILLED(child, small + 3 * PAGE, PAGE, 1);
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	SAME_PA(pa_of(s, huge), pin.spans[0].pa);
	/* nothing is shared here, so the parent's writes stay in place */
	put(s, small + PAGE, 5);
	SAME_PA(pa_of(s, small + PAGE), pa);
	put(s, huge + PMD_SIZE, 6);
	SAME(level_of(s, huge + PMD_SIZE), HF_LEVEL_PMD);
	unpin(m, &pin);
}
BOTH(dontfork_is_absent_in_the_child)

static void body_of_dofork_undoes_dontfork(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);

	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_DONTFORK));
	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_DOFORK));
	child = fork_space(s, policy);
	FILLED(child, va, 2 * PAGE, 1);
}
BOTH(dofork_undoes_dontfork)

static void body_of_wipeonfork_is_zero_in_the_child(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child, *grandchild;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 4, 1), huge = map_filled(s, HF_LEVEL_PMD, 2, 2);
	struct hf_vma_info vma;
	struct pin pin;

	OK(hf_madvise(s->mm, small + PAGE, 2 * PAGE, HF_ADV_WIPEONFORK));
	OK(hf_madvise(s->mm, huge, PMD_SIZE, HF_ADV_WIPEONFORK));
	pin_range(s, huge + 5 * PAGE, PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(s, policy);
	FILLED(child, small, PAGE, 1);
	ZEROS(child, small + PAGE, 2 * PAGE);
	FILLED(child, small + 3 * PAGE, PAGE, 1);
	ZEROS(child, huge, PMD_SIZE);
	FILLED(child, huge + PMD_SIZE, PMD_SIZE, 2);
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	FILLED(s, small, 4 * PAGE, 1);
	FILLED(s, huge, 2 * PMD_SIZE, 2);
	/* the advice itself is inherited */
	OK(hf_vma_next(child->mm, small + PAGE, &vma));
	assert_true(vma.wipeonfork);
	put(child, small + PAGE, 7);
	grandchild = fork_space(child, policy);
	ZEROS(grandchild, small + PAGE, 2 * PAGE);
	SAME(get(child, small + PAGE), 7);
	unpin(m, &pin);
}
BOTH(wipeonfork_is_zero_in_the_child)

static void body_of_keeponfork_undoes_wipeonfork(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);

	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_WIPEONFORK));
	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_KEEPONFORK));
	child = fork_space(s, policy);
	FILLED(child, va, 2 * PAGE, 1);
}
BOTH(keeponfork_undoes_wipeonfork)

/* One table of small pages, shared with a first child, then advised across two mappings. */
static void check_advice_over_two_mappings(struct machine *m, enum hf_fork_policy policy,
					   enum hf_advice advice)
{
	struct space *s = space_new(m), *first, *second;
	hf_va va = map(s, PMD_SIZE, RW);

	fill(s, va, 8 * PAGE, 1);
	fill(s, va + PMD_SIZE - 8 * PAGE, 8 * PAGE, 1);
	OK(hf_mprotect(s->mm, va, PMD_SIZE / 2, RO));
	first = fork_space(s, policy);
	OK(hf_madvise(s->mm, va, PMD_SIZE, advice));
	CHECK(m);
	second = fork_space(s, policy);
	FILLED(first, va, 8 * PAGE, 1);
	FILLED(s, va, 8 * PAGE, 1);
	if (advice == HF_ADV_DONTFORK) {
		assert_false(may_load(second, va));
		assert_false(may_load(second, va + PMD_SIZE - PAGE));
	} else {
		ZEROS(second, va, PMD_SIZE);
	}
}

static void body_of_wipeonfork_over_two_mappings(struct machine *m, enum hf_fork_policy policy)
{
	check_advice_over_two_mappings(m, policy, HF_ADV_WIPEONFORK);
}
BOTH(wipeonfork_over_two_mappings)

static void body_of_dontfork_over_two_mappings(struct machine *m, enum hf_fork_policy policy)
{
	check_advice_over_two_mappings(m, policy, HF_ADV_DONTFORK);
}
BOTH(dontfork_over_two_mappings)

/* Advice on a whole gigabyte, taken back for one page in the middle of a table. */
static void check_advice_cut(struct machine *m, enum hf_fork_policy policy, enum hf_advice advice,
			     enum hf_advice undo)
{
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_WHOLE), *child;
	hf_va va = map(s, GIB, RW), at = va + 300 * MIB;

	SAME(va % GIB, 0);
	fill(s, at, 8 * PAGE, 1);
	OK(hf_madvise(s->mm, va, GIB, advice));
	CHECK(m);
	OK(hf_madvise(s->mm, at + 3 * PAGE, PAGE, undo));
	CHECK(m);
	child = fork_space(s, policy);
	FILLED(child, at + 3 * PAGE, PAGE, 1);
	for (uint64_t page = 0; page < 8; page++) {
		if (page == 3)
			continue;
		if (advice == HF_ADV_DONTFORK)
			assert_false(may_load(child, at + page * PAGE));
		else
			ZEROS(child, at + page * PAGE, PAGE);
	}
	FILLED(s, at, 8 * PAGE, 1);
}

static void body_of_dontfork_taken_back_for_one_page(struct machine *m, enum hf_fork_policy policy)
{
	check_advice_cut(m, policy, HF_ADV_DONTFORK, HF_ADV_DOFORK);
}
BOTH(dontfork_taken_back_for_one_page)

static void body_of_wipeonfork_taken_back_for_one_page(struct machine *m,
						       enum hf_fork_policy policy)
{
	check_advice_cut(m, policy, HF_ADV_WIPEONFORK, HF_ADV_KEEPONFORK);
}
BOTH(wipeonfork_taken_back_for_one_page)

/* Pinned small pages */

static void check_pinned_small(struct machine *m, enum hf_fork_policy policy, unsigned flags)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);
	hf_pa held[2], child_pa;
	struct pin pin;

	held[0] = pa_of(s, va + 3 * PAGE);
	held[1] = pa_of(s, va + 4 * PAGE);
	pin_range(s, va + 3 * PAGE, 2 * PAGE, flags, &pin);
	child = fork_space(s, policy);
	FILLED(child, va, 8 * PAGE, 1);
	FILLED(s, va, 8 * PAGE, 1);
	/* the child has copies of the pinned two already, and shares the others */
	for (uint64_t i = 0; i < 8; i++) {
		bool same = pa_of(child, va + i * PAGE).v == pa_of(s, va + i * PAGE).v;

		SAME(same, i != 3 && i != 4);
	}
	child_pa = pa_of(child, va + 3 * PAGE);
	expect_held(s, va + 3 * PAGE, held[0]);
	expect_held(s, va + 4 * PAGE, held[1]);
	FILLED(child, va, 8 * PAGE, 1);
	put(child, va + 3 * PAGE, 5);
	SAME_PA(pa_of(child, va + 3 * PAGE), child_pa);
	expect_held(s, va + 3 * PAGE, held[0]);
	SAME(pins_at(m, child_pa), 0); /* the pin was not inherited */
	expect_private(s, child, va + 5 * PAGE);
	unpin(m, &pin);
}

static void body_of_pinned_small_pages_are_copied_now(struct machine *m, enum hf_fork_policy policy)
{
	check_pinned_small(m, policy, HF_PIN_WRITE);
}
BOTH(pinned_small_pages_are_copied_now)

static void body_of_read_pinned_small_pages_are_copied_too(struct machine *m,
							   enum hf_fork_policy policy)
{
	check_pinned_small(m, policy, HF_PIN_READ);
}
BOTH(read_pinned_small_pages_are_copied_too)

static void body_of_pinned_pages_stay_writable(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	fork_space(s, policy);
	assert_true(access_of(s, va) & HF_ACCESS_WRITE); /* no later fault */
	assert_false(access_of(s, va + PAGE) & HF_ACCESS_WRITE);
	unpin(m, &pin);
}
BOTH(pinned_pages_stay_writable)

static void body_of_pinned_in_a_read_only_mapping(struct machine *m, enum hf_fork_policy policy)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct space *s = space_new(m), *child;
		hf_va va = map_filled(s, level, 1, 1);
		uint64_t len = hf_level_size(level);
		struct pin pin;

		OK(hf_mprotect(s->mm, va, len, RO));
		pin_range(s, va, PAGE, HF_PIN_READ, &pin);
		child = fork_space(s, policy);
		assert_true(pa_of(child, va).v != pin.spans[0].pa.v);
		SAME_PA(pa_of(s, va), pin.spans[0].pa);
		assert_false(may_store(s, va));
		assert_false(may_store(child, va));
		FILLED(child, va, len, 1);
		OK(hf_mprotect(s->mm, va, len, RW));
		CHECK(m);
		expect_held(s, va, pin.spans[0].pa);
		FILLED(child, va, len, 1);
		unpin(m, &pin);
		space_end(child);
		space_end(s);
	}
}
BOTH(pinned_in_a_read_only_mapping)

static void body_of_pinned_and_then_protected_none(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	OK(hf_mprotect(s->mm, va, 2 * PAGE, HF_PROT_NONE));
	child = fork_space(s, policy);
	OK(hf_mprotect(s->mm, va, 2 * PAGE, RW));
	OK(hf_mprotect(child->mm, va, 2 * PAGE, RW));
	CHECK(m);
	FILLED(child, va, 2 * PAGE, 1);
	expect_held(s, va, pin.spans[0].pa);
	FILLED(child, va, 2 * PAGE, 1);
	unpin(m, &pin);
}
BOTH(pinned_and_then_protected_none)

static void body_of_unpinned_again_is_shared_again(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	struct pin small_pin, huge_pin;

	pin_range(s, va, 4 * PAGE, HF_PIN_WRITE, &small_pin);
	pin_range(s, huge, PMD_SIZE, HF_PIN_WRITE, &huge_pin);
	unpin(m, &small_pin);
	unpin(m, &huge_pin);
	child = fork_space(s, policy);
	SAME_PA(pa_of(child, va), pa_of(s, va));
	SAME_PA(pa_of(child, huge), pa_of(s, huge));
	SAME(level_of(s, huge), HF_LEVEL_PMD);
	SAME(level_of(child, huge), HF_LEVEL_PMD);
	expect_private(s, child, va);
	expect_private(s, child, huge);
}
BOTH(unpinned_again_is_shared_again)

static void body_of_unpin_after_fork_lets_the_page_be_shared(struct machine *m,
							     enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *first, *second;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	first = fork_space(s, policy);
	assert_true(pa_of(first, va).v != pa_of(s, va).v);
	unpin(m, &pin);
	second = fork_space(s, policy);
	SAME_PA(pa_of(second, va), pa_of(s, va));
	expect_private(s, second, va);
	FILLED(first, va, PAGE, 1);
}
BOTH(unpin_after_fork_lets_the_page_be_shared)

static void body_of_one_of_two_pins_gone_still_copies(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1);
	struct pin a, b;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &a);
	pin_range(s, va, PAGE, HF_PIN_READ, &b);
	unpin(m, &a);
	child = fork_space(s, policy);
	assert_true(pa_of(child, va).v != pa_of(s, va).v);
	expect_held(s, va, b.spans[0].pa);
	FILLED(child, va, PAGE, 1);
	unpin(m, &b);
}
BOTH(one_of_two_pins_gone_still_copies)

static void body_of_an_unmapped_pinned_page_is_no_business_of_fork(struct machine *m,
								   enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	put(s, va, 3);
	child = fork_space(s, policy);
	SAME_PA(pa_of(child, va), pa_of(s, va));
	dma_put(m, pin.spans[0].pa, 99);
	SAME(get(s, va), 3);
	SAME(get(child, va), 3);
	unpin(m, &pin);
}
BOTH(an_unmapped_pinned_page_is_no_business_of_fork)

/* Pinned huge pages */

static void copy_gives_the_child_a_huge_page(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 3, 1), at = va + PMD_SIZE;
	hf_pa pa = pa_of(s, at);
	struct pin pin;

	pin_range(s, at + 9 * PAGE, PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(s, HF_FORK_COPY);
	SAME(leaves(s, HF_LEVEL_PMD), 3);
	SAME(leaves(child, HF_LEVEL_PMD), 3);
	SAME(leaves(child, HF_LEVEL_PTE), 0);
	SAME_PA(pa_of(s, at), pa);
	assert_true(pa_of(child, at).v != pa.v);
	/* neighbours are shared as if there were no pin */
	SAME_PA(pa_of(child, va), pa_of(s, va));
	SAME_PA(pa_of(child, va + 2 * PMD_SIZE), pa_of(s, va + 2 * PMD_SIZE));
	FILLED(child, va, 3 * PMD_SIZE, 1);
	assert_true(access_of(s, at) & HF_ACCESS_WRITE);
	expect_held(s, at + 9 * PAGE, pin.spans[0].pa);
	put(s, at, 4);
	SAME_PA(pa_of(s, at), pa);
	SAME(leaves(s, HF_LEVEL_PMD), 3);
	FILLED(child, va, 3 * PMD_SIZE, 1);
	unpin(m, &pin);
}

static void copy_without_a_free_huge_page_gives_the_child_small_ones(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	hf_pa pa = pa_of(s, va);
	struct hoard hoard;
	struct pin pin;

	pin_range(s, va, PMD_SIZE, HF_PIN_WRITE, &pin);
	fragment(m, 600, &hoard);
	child = fork_space(s, HF_FORK_COPY);
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	SAME_PA(pa_of(s, va), pa);
	SAME(level_of(child, va), HF_LEVEL_PTE);
	SAME(level_of(child, va + PMD_SIZE), HF_LEVEL_PMD);
	FILLED(child, va, 2 * PMD_SIZE, 1);
	expect_held(s, va, pa);
	FILLED(child, va, 2 * PMD_SIZE, 1);
	unpin(m, &pin);
	hoard_release(m, &hoard);
}

static void split_copies_only_the_pinned_pages(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	hf_pa pa = pa_of(s, va);
	struct pin pin;

	pin_range(s, va + 9 * PAGE, 3 * PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(s, HF_FORK_SPLIT);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	SAME(level_of(child, va), HF_LEVEL_PTE);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PMD); /* the neighbour is unharmed */
	SAME(level_of(child, va + PMD_SIZE), HF_LEVEL_PMD);
	for (uint64_t page = 0; page < 512; page++) {
		uint64_t offset = page * PAGE;

		SAME(pa_of(s, va + offset).v, pa.v + offset); /* the memory stays */
		SAME(pa_of(child, va + offset).v == pa.v + offset, page < 9 || page > 11);
	}
	FILLED(s, va, 2 * PMD_SIZE, 1);
	FILLED(child, va, 2 * PMD_SIZE, 1);
	for (uint64_t page = 9; page < 12; page++)
		expect_held(s, va + page * PAGE, (hf_pa){ pa.v + page * PAGE });
	expect_private(s, child, va + 12 * PAGE);
	FILLED(child, va, 12 * PAGE, 1);
	unpin(m, &pin);
}

static void body_of_a_wholly_pinned_huge_page(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);
	struct pin pin;

	pin_range(s, va, PMD_SIZE, HF_PIN_WRITE, &pin);
	child = fork_space(s, policy);
	for (uint64_t at = 0; at < PMD_SIZE; at += PAGE) {
		SAME(pa_of(s, va + at).v, pa.v + at);
		assert_true(pa_of(child, va + at).v != pa.v + at);
	}
	FILLED(child, va, PMD_SIZE, 1);
	for (uint64_t at = 0; at < PMD_SIZE; at += 64 * PAGE)
		expect_held(s, va + at, (hf_pa){ pa.v + at });
	FILLED(child, va, PMD_SIZE, 1);
	unpin(m, &pin);
}
BOTH(a_wholly_pinned_huge_page)

static void body_of_a_pinned_page_of_a_split_huge_page(struct machine *m,
						       enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);
	struct pin pin;

	pin_range(s, va + 20 * PAGE, PAGE, HF_PIN_WRITE, &pin);
	OK(hf_mprotect(s->mm, va, 10 * PAGE, RO)); /* splits the mapping */
	child = fork_space(s, policy);
	for (uint64_t page = 0; page < 512; page++) {
		SAME(pa_of(s, va + page * PAGE).v, pa.v + page * PAGE);
		SAME(pa_of(child, va + page * PAGE).v == pa.v + page * PAGE, page != 20);
	}
	FILLED(child, va, PMD_SIZE, 1);
	expect_held(s, va + 20 * PAGE, pin.spans[0].pa);
	FILLED(child, va, PMD_SIZE, 1);
	unpin(m, &pin);
}
BOTH(a_pinned_page_of_a_split_huge_page)

/* 1 GiB pages. A few stamped pages stand for the whole: touching them all takes long. */

static struct machine *big_machine(void)
{
	struct machine_config config = { .ram_bytes = 6 * GIB };

	need_host_memory(4 * GIB);
	return machine_new(&config);
}

static hf_va map_1g(struct space *s)
{
	hf_va va = map_level(s, HF_LEVEL_PUD, 1);

	for (uint64_t at = 0; at < GIB; at += 64 * MIB)
		fill(s, va + at, 4 * PAGE, 1);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	return va;
}

static void expect_1g_filled(struct space *s, hf_va va)
{
	for (uint64_t at = 0; at < GIB; at += 64 * MIB)
		FILLED(s, va + at, 4 * PAGE, 1);
}

static void one_gib_unpinned_is_shared_whole(void **state)
{
	struct machine *m = big_machine();
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL), *child;
	hf_va va = map_1g(s);

	(void)state;
	child = fork_space(s, HF_FORK_COPY);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	SAME(level_of(child, va), HF_LEVEL_PUD);
	SAME_PA(pa_of(s, va), pa_of(child, va));
	expect_1g_filled(child, va);
	expect_private(child, s, va + 64 * MIB + 100);
	expect_private(s, child, va + 128 * MIB + 100);
	expect_1g_filled(child, va);
	machine_end(m);
}

static void one_gib_copy_is_decided_per_2_mib(void **state)
{
	struct machine *m = big_machine();
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL), *child;
	hf_va va = map_1g(s);
	hf_pa pa = pa_of(s, va);
	uint64_t before;
	struct pin pin;

	(void)state;
	pin_range(s, va + 128 * MIB + PAGE, PAGE, HF_PIN_WRITE, &pin);
	before = free_bytes(m);
	child = fork_space(s, HF_FORK_COPY);
	assert_true(before - free_bytes(m) < 4 * MIB); /* one part and some tables */
	for (uint64_t at = 0; at < GIB; at += PMD_SIZE) {
		SAME(pa_of(s, va + at).v, pa.v + at);
		SAME(pa_of(child, va + at).v == pa.v + at, at != 128 * MIB);
		assert_true(level_of(s, va + at) >= HF_LEVEL_PMD);
		assert_true(level_of(child, va + at) >= HF_LEVEL_PMD);
	}
	expect_1g_filled(child, va);
	expect_held(s, va + 128 * MIB + PAGE, pin.spans[0].pa);
	expect_1g_filled(child, va);
	expect_private(s, child, va + 64 * MIB + 100);
	unpin(m, &pin);
	machine_end(m);
}

static void one_gib_split_copies_only_the_pinned_pages(void **state)
{
	struct machine *m = big_machine();
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL), *child;
	hf_va va = map_1g(s);
	hf_pa pa = pa_of(s, va);
	uint64_t before;
	struct pin pin;

	(void)state;
	pin_range(s, va + 128 * MIB + PAGE, 2 * PAGE, HF_PIN_WRITE, &pin);
	before = free_bytes(m);
	child = fork_space(s, HF_FORK_SPLIT);
	assert_true(before - free_bytes(m) < 20 * PAGE);
	for (uint64_t at = 0; at < GIB; at += PMD_SIZE)
		SAME(pa_of(s, va + at).v, pa.v + at);
	for (uint64_t page = 0; page < 512; page++) {
		uint64_t offset = 128 * MIB + page * PAGE;

		SAME(pa_of(s, va + offset).v, pa.v + offset);
		SAME(pa_of(child, va + offset).v == pa.v + offset, page != 1 && page != 2);
	}
	expect_1g_filled(child, va);
	expect_held(s, va + 128 * MIB + PAGE, pin.spans[0].pa);
	expect_1g_filled(child, va);
	unpin(m, &pin);
	machine_end(m);
}

/* Families */

static void body_of_grandchildren(struct machine *m, enum hf_fork_policy policy)
{
	struct space *family[5];
	hf_va small, huge;
	struct pin pin;

	family[0] = space_new(m);
	small = map_filled(family[0], HF_LEVEL_PTE, 8, 0);
	huge = map_filled(family[0], HF_LEVEL_PMD, 1, 0);
	pin_range(family[0], small, PAGE, HF_PIN_WRITE, &pin);
	for (uint64_t i = 1; i < 5; i++) {
		family[i] = fork_space(family[i - 1], policy);
		fill(family[i], small + i * PAGE, PAGE, i);
		fill(family[i], huge + i * PAGE, PAGE, i);
	}
	CHECK(m);
	for (uint64_t i = 0; i < 5; i++) {
		for (uint64_t page = 0; page < 5; page++) {
			uint64_t seed = page && page <= i ? page : 0;

			FILLED(family[i], small + page * PAGE, PAGE, seed);
			FILLED(family[i], huge + page * PAGE, PAGE, seed);
		}
	}
	expect_held(family[0], small, pin.spans[0].pa);
	unpin(m, &pin);
	/* the middle of the family goes first */
	space_end(family[2]);
	space_end(family[0]);
	FILLED(family[4], small + 3 * PAGE, PAGE, 3);
	FILLED(family[1], small + 2 * PAGE, PAGE, 0);
	put(family[1], small + 7 * PAGE, 1);
	FILLED(family[3], small + 7 * PAGE, PAGE, 0);
}
BOTH(grandchildren)

static void body_of_the_parent_ends_before_the_child(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 4, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	struct pin pin;

	pin_range(s, small, PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(s, policy);
	space_end(s);
	FILLED(child, small, 4 * PAGE, 1);
	FILLED(child, huge, PMD_SIZE, 2);
	dma_put(m, pin.spans[0].pa, 5);
	FILLED(child, small, 4 * PAGE, 1);
	unpin(m, &pin);
	fill(child, small, 4 * PAGE, 3);
	FILLED(child, small, 4 * PAGE, 3);
	CHECK(m);
}
BOTH(the_parent_ends_before_the_child)

static void body_of_many_children_of_one_parent(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child[12];
	hf_va va = map_filled(s, HF_LEVEL_PTE, 12, 0);

	for (uint64_t i = 0; i < 12; i++) {
		child[i] = fork_space(s, policy);
		fill(child[i], va + i * PAGE, PAGE, 100 + i);
		fill(s, va + i * PAGE, PAGE, 200 + i);
	}
	CHECK(m);
	for (uint64_t i = 0; i < 12; i++) {
		for (uint64_t page = 0; page < 12; page++) {
			uint64_t seed = page == i ? 100 + i : page < i ? 200 + page : 0;

			FILLED(child[i], va + page * PAGE, PAGE, seed);
		}
	}
}
BOTH(many_children_of_one_parent)

static void body_of_a_chain_of_1000_forks(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 0), huge = map_filled(s, HF_LEVEL_PMD, 1, 0);

	for (uint64_t i = 1; i <= 1000; i++) {
		struct space *child;

		OK(try_fork(s, policy, &child));
		put(child, va + i % 4 * PAGE, i);
		SAME(get(s, va + i % 4 * PAGE), i > 4 ? i - 4 : stamp(0, va + i % 4 * PAGE));
		space_end(s);
		s = child;
	}
	for (uint64_t i = 997; i <= 1000; i++)
		SAME(get(s, va + i % 4 * PAGE), i);
	FILLED(s, huge, PMD_SIZE, 0);
	SAME(level_of(s, huge), HF_LEVEL_PMD);
}
BOTH(a_chain_of_1000_forks)

static void body_of_refork_of_a_half_copied_space(struct machine *m, enum hf_fork_policy policy)
{
	struct space *s = space_new(m), *child, *second, *third;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 6, 0);
	struct pin pin;

	child = fork_space(s, policy);
	fill(child, va, 2 * PAGE, 1);
	fill(s, va + 2 * PAGE, 2 * PAGE, 2);
	pin_range(child, va + 4 * PAGE, PAGE, HF_PIN_WRITE, &pin);
	second = fork_space(child, policy);
	third = fork_space(s, policy);
	FILLED(second, va, 2 * PAGE, 1);
	FILLED(second, va + 2 * PAGE, 4 * PAGE, 0);
	FILLED(third, va, 2 * PAGE, 0);
	FILLED(third, va + 2 * PAGE, 2 * PAGE, 2);
	FILLED(third, va + 4 * PAGE, 2 * PAGE, 0);
	expect_held(child, va + 4 * PAGE, pin.spans[0].pa);
	FILLED(second, va + 4 * PAGE, PAGE, 0);
	unpin(m, &pin);
}
BOTH(refork_of_a_half_copied_space)

static void the_child_inherits_the_configuration(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new_of(m, SPACE_LEN, HF_HUGE_COW_SMALL), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);

	child = fork_space(fork_space(s, HF_FORK_COPY), HF_FORK_COPY);
	SAME(child->mm->va_lo, s->mm->va_lo);
	SAME(child->mm->va_hi, s->mm->va_hi);
	put(child, va, 1);
	SAME(level_of(child, va), HF_LEVEL_PTE); /* HF_HUGE_COW_SMALL */
}

static void fork_errors_change_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	struct hoard hoard;
	struct pin pin;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	FAILS(m, HF_ERR_INVAL, try_fork(s, (enum hf_fork_policy)2, &child));
	FAILS(m, HF_ERR_INVAL, try_fork(s, (enum hf_fork_policy)77, &child));
	hoard_all(m, 0, &hoard);
	FAILS(m, HF_ERR_NOMEM, try_fork(s, HF_FORK_COPY, &child));
	FAILS(m, HF_ERR_NOMEM, try_fork(s, HF_FORK_SPLIT, &child));
	put(s, va, 5); /* still writable, without a new page */
	put(s, va + PAGE, 5);
	hoard_release(m, &hoard);
	unpin(m, &pin);
}

static const struct CMUnitTest tests[] = {
	TEST(small_pages_are_shared),
	TEST(pages_apart_are_shared),
	TEST(huge_pages_are_shared_huge),
	TEST(fork_takes_memory_for_tables_only),
	TEST(an_empty_space_forks),
	TEST(mappings_are_private_after_fork),
	TEST(the_zero_page_is_shared),
	TEST(protection_is_inherited),
	TEST(dontfork_is_absent_in_the_child),
	TEST(dofork_undoes_dontfork),
	TEST(wipeonfork_is_zero_in_the_child),
	TEST(keeponfork_undoes_wipeonfork),
	TEST(wipeonfork_over_two_mappings),
	TEST(dontfork_over_two_mappings),
	TEST(dontfork_taken_back_for_one_page),
	TEST(wipeonfork_taken_back_for_one_page),
	TEST(pinned_small_pages_are_copied_now),
	TEST(read_pinned_small_pages_are_copied_too),
	TEST(pinned_pages_stay_writable),
	TEST(pinned_in_a_read_only_mapping),
	TEST(pinned_and_then_protected_none),
	TEST(unpinned_again_is_shared_again),
	TEST(unpin_after_fork_lets_the_page_be_shared),
	TEST(one_of_two_pins_gone_still_copies),
	TEST(an_unmapped_pinned_page_is_no_business_of_fork),
	TEST(copy_gives_the_child_a_huge_page),
	TEST(copy_without_a_free_huge_page_gives_the_child_small_ones),
	TEST(split_copies_only_the_pinned_pages),
	TEST(a_wholly_pinned_huge_page),
	TEST(a_pinned_page_of_a_split_huge_page),
	TEST(one_gib_unpinned_is_shared_whole),
	TEST(one_gib_copy_is_decided_per_2_mib),
	TEST(one_gib_split_copies_only_the_pinned_pages),
	TEST(grandchildren),
	TEST(the_parent_ends_before_the_child),
	TEST(many_children_of_one_parent),
	TEST(a_chain_of_1000_forks),
	TEST(refork_of_a_half_copied_space),
	TEST(the_child_inherits_the_configuration),
	TEST(fork_errors_change_nothing),
};
SUITE(suite_fork, tests);
