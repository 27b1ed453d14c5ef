/* SPDX-License-Identifier: MIT */
/* What went wrong when something shared was written. */
#include "bugs.h"

/*
 * huge-count-races-split: one side maps the page huge, the other its parts. Neither may
 * take its own count for the whole truth.
 */
static void split_child(struct space *child, hf_va va)
{
	OK(hf_mprotect(child->mm, va, PAGE, RO));
	OK(hf_mprotect(child->mm, va, PAGE, RW));
	SAME(level_of(child, va), HF_LEVEL_PTE);
}

static void huge_count_races_split(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);

	child = bare_fork(s, HF_FORK_COPY);
	split_child(child, va);
	put(child, va + 5 * PAGE, 1); /* mapped small once, and huge by the parent */
	SAME(get(s, va + 5 * PAGE), stamp(1, va + 5 * PAGE));
	CHECK(m);
}

static void huge_count_races_split_by_the_huge_side(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);

	child = bare_fork(s, HF_FORK_COPY);
	split_child(child, va);
	put(s, va + 5 * PAGE, 1); /* mapped huge once, and small by the child */
	SAME(get(child, va + 5 * PAGE), stamp(1, va + 5 * PAGE));
	SAME(get(child, va + 6 * PAGE), stamp(1, va + 6 * PAGE));
	CHECK(m);
}

/* write-becomes-read: a write that the mapping forbids, tried again as something else. */
static void write_becomes_read(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1), from = map_filled(s, HF_LEVEL_PTE, 1, 2);
	uint64_t word = 666;

	OK(hf_mprotect(s->mm, va, 2 * PAGE, RO));
	for (int round = 0; round < 2; round++) {
		struct hf_span span;
		size_t count;

		GIVES(HF_ERR_ACCESS, hf_write(s->mm, va, &word, sizeof(word)));
		GIVES(HF_ERR_ACCESS, hf_copy(s->mm, va, s->mm, from, 8));
		GIVES(HF_ERR_ACCESS, hf_pin(s->mm, va, 8, HF_PIN_WRITE, &span, 1, &count));
		GIVES(HF_ERR_ACCESS, hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
		assert_false(may_store(s, va));
		SAME(get(s, va), round ? 0 : stamp(1, va));
		SAME(get(s, va + PAGE), stamp(1, va + PAGE));
		OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	}
	CHECK(m);
}

/* huge-marked-dirty: a dirty entry is no proof of a finished copy. */
static void huge_marked_dirty(void **state)
{
	struct machine *m = *state;

	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct space *s = space_new(m), *child;
		hf_va va = map_filled(s, level, 1, 1); /* dirty: it was written */

		child = bare_fork(s, HF_FORK_COPY);
		put(child, va, 666);
		SAME(get(s, va), stamp(1, va));
		put(s, va, 667);
		SAME(get(child, va), 666);
		CHECK(m);
		space_end(child);
		space_end(s);
	}
}

/* mapped-page-freed: one side goes, the page stays for as long as the other maps it. */
static void mapped_page_freed(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	struct hoard hoard;

	child = bare_fork(s, HF_FORK_COPY);
	put(child, va, 1); /* its own tables now, the same pages */
	put(child, huge + PMD_SIZE - PAGE, 1);
	OK(hf_munmap(child->mm, va, 8 * PAGE));
	OK(hf_munmap(child->mm, huge, PMD_SIZE));
	hoard_all(m, 0, &hoard);
	for (size_t i = 0; i < hoard.count; i++)
		memset(hf_phys_ptr(m->phys, hoard.pages[i]), 0xee, PAGE);
	FILLED(s, va, 8 * PAGE, 1);
	FILLED(s, huge, PMD_SIZE, 2);
	CHECK(m);
	hoard_release(m, &hoard);
}

/* bulk-write-bypasses-cow: hf_write and hf_copy go through copy-on-write like a program. */
static void bulk_write_bypasses_cow(void **state)
{
	struct machine *m = *state;
	uint64_t word = 666;

	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct space *s = space_new(m), *child;
		hf_va va = map_filled(s, level, 1, 1), zero = map_level(s, level, 1);
		hf_va from = map_filled(s, HF_LEVEL_PTE, 1, 2);

		SAME(get(s, zero), 0);
		child = bare_fork(s, HF_FORK_COPY);
		OK(hf_write(child->mm, va, &word, sizeof(word)));
		OK(hf_copy(child->mm, va + 8, child->mm, from, 8));
		OK(hf_write(child->mm, zero, &word, sizeof(word)));
		SAME(get(child, va), 666);
		SAME(get(child, va + 8), stamp(2, from));
		SAME(get(s, va), stamp(1, va));
		SAME(get(s, va + 8), 0);
		SAME(get(s, zero), 0);
		SAME(get(s, map(s, PAGE, RO)), 0); /* the zero page itself is whole */
		CHECK(m);
		space_end(child);
		space_end(s);
	}
}

/* split-loses-dirty-or-prot: every part of a split mapping keeps what the whole had. */
static void check_split_keeps(struct machine *m, unsigned prot, unsigned access)
{
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);

	OK(hf_mprotect(s->mm, va, PMD_SIZE, prot));
	if (prot & HF_PROT_WRITE)
		put(s, va + 8, 1);
	SAME(access_of(s, va), access);
	OK(hf_munmap(s->mm, va + 100 * PAGE, PAGE)); /* splits, touches nothing else */
	SAME(level_of(s, va), HF_LEVEL_PTE);
	for (uint64_t page = 0; page < 512; page++) {
		if (page != 100)
			SAME(access_of(s, va + page * PAGE), access);
	}
	FILLED(s, va, 100 * PAGE, 1);
	FILLED(s, va + 101 * PAGE, 411 * PAGE, 1);
	CHECK(m);
	space_end(s);
}

static void split_loses_dirty_or_prot(void **state)
{
	check_split_keeps(*state, RW, HF_ACCESS_READ | HF_ACCESS_WRITE);
	check_split_keeps(*state, RO, HF_ACCESS_READ);
	check_split_keeps(*state, RO | HF_PROT_EXEC, HF_ACCESS_READ | HF_ACCESS_EXEC);
}

static const struct CMUnitTest tests[] = {
	TEST(huge_count_races_split),	 TEST(huge_count_races_split_by_the_huge_side),
	TEST(write_becomes_read),	 TEST(huge_marked_dirty),
	TEST(mapped_page_freed),	 TEST(bulk_write_bypasses_cow),
	TEST(split_loses_dirty_or_prot),
};
SUITE(bugs_cow, tests);
