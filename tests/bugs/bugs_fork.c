/* SPDX-License-Identifier: MIT */
/* What went wrong in forks. */
#include "bugs.h"

static const enum hf_fork_policy policies[] = { HF_FORK_COPY, HF_FORK_SPLIT };

/* fork-moves-pinned: pin, fork, the parent writes and moves away from its device. */
static void check_moves(struct machine *m, unsigned level, enum hf_fork_policy policy)
{
	struct space *s =
		space_new_of(m, level == HF_LEVEL_PUD ? 4 * GIB : SPACE_LEN, HF_HUGE_COW_WHOLE);
	hf_va va = map_level(s, level, 1), at = va + hf_level_size(level) / 2;
	struct space *child;
	hf_pa pa;

	put(s, at, 1);
	put(s, va, 2);
	SAME(level_of(s, va), level);
	pa = hold(s, at, HF_PIN_WRITE);
	child = bare_fork(s, policy);
	coherent(s, at, pa);
	SAME(get(child, at), 1);
	SAME(get(child, va), 2);
	put(child, at, 3);
	coherent(s, at, pa);
	SAME(get(child, at), 3);
	CHECK(m);
	let_go(m, pa);
	space_end(child);
	space_end(s);
}

static void fork_moves_pinned(void **state)
{
	for (size_t i = 0; i < 2; i++)
		check_moves(*state, HF_LEVEL_PTE, policies[i]);
}

static void fork_moves_pinned_huge(void **state)
{
	for (size_t i = 0; i < 2; i++)
		check_moves(*state, HF_LEVEL_PMD, policies[i]);
}

static void fork_moves_pinned_huge_1g(void **state)
{
	struct machine_config config = { .ram_bytes = 3 * GIB };
	struct machine *m;

	(void)state;
	need_host_memory(3 * GIB);
	m = machine_new(&config);
	for (size_t i = 0; i < 2; i++)
		check_moves(m, HF_LEVEL_PUD, policies[i]);
	machine_end(m);
}

/* fork-splits-more-than-pinned */
static void fork_splits_more_than_pinned(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 4, 1);
	hf_pa pa;

	bare_fork(s, HF_FORK_SPLIT);
	SAME(leaves(s, HF_LEVEL_PMD), 4);
	pa = hold(s, va + PMD_SIZE + 7 * PAGE, HF_PIN_WRITE);
	bare_fork(s, HF_FORK_COPY);
	SAME(leaves(s, HF_LEVEL_PMD), 4);
	bare_fork(s, HF_FORK_SPLIT);
	SAME(leaves(s, HF_LEVEL_PMD), 3);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PTE);
	CHECK(m);
	let_go(m, pa);
}

/* The same of calls that ask for what is so already: no border arises, nothing is split. */
static void splits_for_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);

	OK(hf_mprotect(s->mm, va + PAGE, PAGE, HF_PROT_READ | HF_PROT_WRITE));
	OK(hf_madvise(s->mm, va + PMD_SIZE + PAGE, PAGE, HF_ADV_HUGEPAGE));
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	OK(hf_mprotect(s->mm, va + PAGE, PAGE, HF_PROT_READ));
	SAME(leaves(s, HF_LEVEL_PMD), 1);
	CHECK(m);
}

/* Whatever is free now belongs to someone else, who writes to it. */
static void scribble_on_free_memory(struct machine *m)
{
	struct hoard hoard;

	hoard_all(m, 0, &hoard);
	for (size_t i = 0; i < hoard.count; i++)
		memset(hf_phys_ptr(m->phys, hoard.pages[i]), 0xee, PAGE);
	hoard_release(m, &hoard);
}

static void bare_end(struct machine *m, size_t index)
{
	test_port.space_destroy(m->spaces[index]);
	free(m->spaces[index]);
	m->spaces[index] = NULL;
}

/*
 * reset-copies-wrong-page: a snapshot is a child that nobody runs. Going back to it page by page,
 * in whatever pieces and order, brings every page to its own place, and leaves the snapshot.
 */
static void reset_copies_wrong_page(void **state)
{
	const uint64_t small_len = 70 * PAGE, piece = 64 * PAGE;
	struct machine *m = *state;
	struct space *s = space_new(m), *snapshot, *again;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 70, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	hf_va pinned = huge + 3 * PAGE;
	hf_pa pa = hold(s, pinned, HF_PIN_WRITE);

	snapshot = bare_fork(s, HF_FORK_COPY);
	fill(s, small, small_len, 3);
	fill(s, huge, PMD_SIZE, 4);
	OK(hf_copy(s->mm, small, snapshot->mm, small, small_len));
	for (uint64_t at = PMD_SIZE; at; at -= piece)
		OK(hf_copy(s->mm, huge + at - piece, snapshot->mm, huge + at - piece, piece));
	FILLED(s, small, small_len, 1);
	FILLED(s, huge, PMD_SIZE, 2);
	coherent(s, pinned, pa);
	CHECK(m);

	/* Or by another child of the snapshot's. */
	fill(s, huge, PMD_SIZE, 5);
	again = bare_fork(snapshot, HF_FORK_COPY);
	FILLED(again, small, small_len, 1);
	FILLED(again, huge, PMD_SIZE, 2);
	fill(again, small, small_len, 6);
	FILLED(snapshot, small, small_len, 1);
	FILLED(snapshot, huge, PMD_SIZE, 2);
	CHECK(m);
	let_go(m, pa);
}

/* refork-kills-child: three generations share what nobody wrote; two of them end. */
static void refork_kills_child(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 8, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);

	child = bare_fork(s, HF_FORK_COPY);
	bare_fork(child, HF_FORK_COPY);
	bare_end(m, 2);
	scribble_on_free_memory(m);
	FILLED(child, small, 8 * PAGE, 1);
	FILLED(s, huge, PMD_SIZE, 2);
	bare_end(m, 0);
	scribble_on_free_memory(m);
	FILLED(child, small, 8 * PAGE, 1);
	FILLED(child, huge, PMD_SIZE, 2);
	CHECK(m);
}

/* The same where the child has copied some of it before it forks. */
static void refork_kills_child_after_a_copy(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 8, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);

	child = bare_fork(s, HF_FORK_COPY);
	put(child, small, 5);
	bare_fork(child, HF_FORK_COPY);
	bare_end(m, 2);
	scribble_on_free_memory(m);
	SAME(get(child, small), 5);
	FILLED(child, small + PAGE, 7 * PAGE, 1);
	FILLED(child, huge, PMD_SIZE, 2);
	FILLED(s, small, 8 * PAGE, 1);
	CHECK(m);
}

/* fork-grants-write: by fork, and by a copy for a reader's pin */
static void fork_grants_write(void **state)
{
	struct machine *m = *state;

	for (size_t i = 0; i < 2; i++) {
		for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
			struct space *s = space_new(m), *child;
			hf_va va = map_filled(s, level, 2, 1);
			hf_pa pa;

			OK(hf_mprotect(s->mm, va, 2 * hf_level_size(level), RO));
			pa = hold(s, va, HF_PIN_READ);
			child = bare_fork(s, policies[i]);
			for (unsigned page = 0; page < 2; page++) {
				hf_va at = va + page * hf_level_size(level);

				assert_false(may_store(s, at));
				assert_false(may_store(child, at));
				assert_true(may_load(child, at));
			}
			let_go(m, pa);
			space_end(child);
			space_end(s);
		}
	}
}

static void fork_grants_write_by_copy_on_pin(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1);
	hf_pa pa;

	OK(hf_mprotect(s->mm, va, PAGE, RO));
	child = bare_fork(s, HF_FORK_COPY);
	pa = hold(child, va, HF_PIN_READ);
	assert_false(may_store(child, va));
	assert_false(may_store(s, va));
	FILLED(s, va, PAGE, 1);
	let_go(m, pa);
}

/* What a failing fork finds: pins at both levels, DONTFORK beside them. */
static struct space *furnished(struct machine *m, hf_pa pins[2], hf_va *small)
{
	struct space *s = space_new(m);
	hf_va huge = map_filled(s, HF_LEVEL_PMD, 2, 2);

	*small = map_filled(s, HF_LEVEL_PTE, 8, 1);
	OK(hf_madvise(s->mm, *small + 6 * PAGE, PAGE, HF_ADV_DONTFORK));
	pins[0] = hold(s, *small, HF_PIN_WRITE);
	pins[1] = hold(s, huge + 9 * PAGE, HF_PIN_WRITE);
	return s;
}

/* fork-not-rolled-back: wherever it fails, no half child, no leak, no lost permission. */
static void fork_not_rolled_back(void **state)
{
	struct machine *m = *state;

	for (size_t i = 0; i < 2; i++) {
		struct space *child = NULL;
		hf_pa pins[2];
		hf_va small;
		struct space *s = furnished(m, pins, &small);

		for (uint64_t n = 1; !child; n++) {
			struct state *before = state_take(m);
			enum hf_status status;

			hf_phys_fail_after(m->phys, n);
			status = try_fork(s, policies[i], &child);
			hf_phys_fail_after(m->phys, 0);
			if (status != HF_OK) {
				expect_status(status, HF_ERR_NOMEM, "fork", __FILE__, __LINE__);
				state_same(m, before, STATE_ALL, "fork", __FILE__, __LINE__);
			}
			state_drop(before);
			CHECK(m);
		}
		FILLED(child, small, 6 * PAGE, 1);
		let_go(m, pins[0]);
		let_go(m, pins[1]);
		space_end(child);
		space_end(s);
	}
}

/* fork-hangs-on-failure: every call still works after a fork that failed, or waits for ever. */
static void fork_hangs_on_failure(void **state)
{
	struct machine *m = *state;
	struct space *child;
	hf_pa pins[2];
	hf_va small;
	struct space *s = furnished(m, pins, &small);

	for (uint64_t n = 1; n < 6; n++) {
		hf_phys_fail_after(m->phys, n);
		if (try_fork(s, HF_FORK_COPY, &child) == HF_OK)
			space_end(child);
		hf_phys_fail_after(m->phys, 0);
		put(s, small, n);
		OK(hf_mprotect(s->mm, small + PAGE, PAGE, RO));
		OK(hf_mprotect(s->mm, small + PAGE, PAGE, RW));
		let_go(m, hold(s, small + 2 * PAGE, HF_PIN_READ));
	}
	let_go(m, pins[0]);
	let_go(m, pins[1]);
}

static const struct CMUnitTest tests[] = {
	TEST(fork_moves_pinned),	 TEST(fork_moves_pinned_huge),
	TEST(fork_moves_pinned_huge_1g), TEST(fork_splits_more_than_pinned),
	TEST(splits_for_nothing),	 TEST(reset_copies_wrong_page),
	TEST(refork_kills_child),	 TEST(refork_kills_child_after_a_copy),
	TEST(fork_grants_write),	 TEST(fork_grants_write_by_copy_on_pin),
	TEST(fork_not_rolled_back),	 TEST(fork_hangs_on_failure),
};
SUITE(bugs_fork, tests);
