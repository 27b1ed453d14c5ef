/* SPDX-License-Identifier: MIT */
/* Locks, limits and seals. */
#include "port.h"

static bool locked(struct space *s, hf_va va)
{
	return mapping_at(s, va).locked;
}

static size_t present_pages(struct space *s, hf_va va, uint64_t len)
{
	size_t n = 0;

	for (uint64_t at = 0; at < len; at += PAGE)
		n += present(s, va + at);
	return n;
}

static void set_limits(struct space *s, uint64_t va, uint64_t lock)
{
	const struct hf_limits limits = { .va = va, .lock = lock };

	OK(hf_mm_set_limits(s->mm, &limits));
	CHECK(s->m);
}

/* mlock */

static void mlock_makes_present_and_marks(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_level(s, HF_LEVEL_PTE, 16);

	OK(hf_mlock(s->mm, va + 3 * PAGE + 100, 2 * PAGE, 0)); /* parts of three pages */
	CHECK(*state);
	SAME(mappings(s), 3);
	SAME(mapping_at(s, va + 3 * PAGE).start, va + 3 * PAGE);
	SAME(mapping_at(s, va + 3 * PAGE).end, va + 6 * PAGE);
	assert_true(locked(s, va + 4 * PAGE));
	assert_false(locked(s, va));
	SAME(present_pages(s, va, 16 * PAGE), 3);
	SAME(access_of(s, va + 4 * PAGE), HF_ACCESS_READ | HF_ACCESS_WRITE);
	OK(hf_mlock(s->mm, va, 16 * PAGE, 0)); /* again, and more */
	SAME(mappings(s), 1);
	SAME(present_pages(s, va, 16 * PAGE), 16);
	OK(hf_munlock(s->mm, va + PAGE, 1));
	CHECK(*state);
	SAME(mappings(s), 3);
	assert_false(locked(s, va + PAGE));
	SAME(present_pages(s, va, 16 * PAGE), 16);
	OK(hf_munlock(s->mm, va, 16 * PAGE));
	CHECK(*state);
	SAME(mappings(s), 1);
}

static void mlock_of_what_is_not_writable(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 9 * PAGE, RW);

	put(s, va, 1);
	OK(hf_mprotect(s->mm, va, 3 * PAGE, RO));
	OK(hf_mprotect(s->mm, va + 3 * PAGE, 3 * PAGE, HF_PROT_NONE));
	OK(hf_mlock(s->mm, va, 9 * PAGE, 0));
	CHECK(*state);
	SAME(present_pages(s, va, 3 * PAGE), 3);
	SAME(present_pages(s, va + 3 * PAGE, 3 * PAGE), 0); /* locked, but nobody may see it */
	SAME(present_pages(s, va + 6 * PAGE, 3 * PAGE), 3);
	assert_true(locked(s, va + 4 * PAGE));
	SAME(get(s, va), 1);
	ZEROS(s, va + PAGE, 2 * PAGE);
}

static void mlock_on_fault(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_level(s, HF_LEVEL_PTE, 8);

	put(s, va + PAGE, 1);
	OK(hf_mlock(s->mm, va, 8 * PAGE, HF_MLOCK_ONFAULT));
	CHECK(*state);
	SAME(present_pages(s, va, 8 * PAGE), 1);
	assert_true(mapping_at(s, va).locked && mapping_at(s, va).lock_on_fault);
	OK(hf_mlock(s->mm, va, 2 * PAGE, 0));
	SAME(present_pages(s, va, 8 * PAGE), 2);
	assert_false(mapping_at(s, va).lock_on_fault);
	OK(hf_munlock_all(s->mm));
	CHECK(*state);
	assert_false(mapping_at(s, va).lock_on_fault);
	SAME(mappings(s), 1);
}

static void mlock_all_and_future(void **state)
{
	struct space *s = space_new(*state);
	hf_va one, two, to = 0;

	OK(hf_mlock_all(s->mm, 0)); /* nothing is mapped */
	one = map_at(s, SPACE_LO, 4 * PAGE, RW);
	two = map_at(s, SPACE_LO + 8 * PAGE, 4 * PAGE, RO);
	OK(hf_mlock_all(s->mm, 0));
	CHECK(*state);
	assert_true(locked(s, one) && locked(s, two));
	SAME(present_pages(s, one, 12 * PAGE), 8);
	OK(hf_lock_future(s->mm, HF_LOCK_FUTURE_ON));
	one = map(s, 4 * PAGE, RW);
	assert_true(locked(s, one));
	SAME(present_pages(s, one, 4 * PAGE), 4);
	OK(hf_lock_future(s->mm, HF_LOCK_FUTURE_ONFAULT));
	one = map(s, 4 * PAGE, RO);
	assert_true(mapping_at(s, one).locked && mapping_at(s, one).lock_on_fault);
	SAME(present_pages(s, one, 4 * PAGE), 0);
	OK(hf_munlock_all(s->mm));
	OK(hf_lock_future(s->mm, HF_LOCK_FUTURE_OFF));
	CHECK(*state);
	assert_false(locked(s, one) || locked(s, two));
	assert_false(locked(s, map_at(s, SPACE_LO + MIB, PAGE, RW)));
	/* what a locked mapping grows by is locked and present */
	one = map_at(s, SPACE_LO + 2 * MIB, 2 * PAGE, RW);
	OK(hf_mlock(s->mm, one, 2 * PAGE, 0));
	OK(hf_mremap(s->mm, one, 2 * PAGE, 4 * PAGE, 0, &to));
	SAME(present_pages(s, one, 4 * PAGE), 4);
	map_at(s, one + 4 * PAGE, PAGE, RO);
	OK(hf_mremap(s->mm, one, 4 * PAGE, 6 * PAGE, HF_MREMAP_MAYMOVE, &to));
	CHECK(*state);
	SAME(present_pages(s, to, 6 * PAGE), 6);
	assert_true(locked(s, to + 5 * PAGE));
}

/* What a child has is not locked, and it may lock it itself; the parent's stays locked. */
static void locks_are_not_inherited(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child, *grandchild;
	hf_va va = map_level(s, HF_LEVEL_PTE, 12);

	set_limits(s, 0, 8 * PAGE);
	OK(hf_mlock(s->mm, va + 2 * PAGE, 4 * PAGE, 0));
	OK(hf_lock_future(s->mm, HF_LOCK_FUTURE_ON));
	child = fork_space(s, HF_FORK_COPY);
	SAME(mappings(s), 3);
	SAME(mappings(child), 1); /* they differ in locks alone, which are not the child's */
	assert_false(locked(child, va + 2 * PAGE));
	SAME(mapping_at(child, va + 3 * PAGE).start, va);
	SAME(mapping_at(child, va + 3 * PAGE).end, va + 12 * PAGE);
	OK(hf_munlock(child->mm, va, 12 * PAGE));
	OK(hf_madvise(child->mm, va, 12 * PAGE, HF_ADV_DONTNEED));
	assert_false(locked(child, map(child, PAGE, RW))); /* nor is what is to come */
	/* its own limit counts its own locks */
	GIVES(HF_ERR_LIMIT, hf_mlock(child->mm, va, 9 * PAGE, 0));
	OK(hf_mlock(child->mm, va, 8 * PAGE, 0));
	CHECK(m);
	assert_true(locked(child, va) && locked(child, va + 3 * PAGE));
	assert_false(locked(child, va + 8 * PAGE));
	SAME(mapping_at(child, va + 3 * PAGE).start, va);
	SAME(mapping_at(child, va + 3 * PAGE).end, va + 8 * PAGE);
	SAME(mapping_at(s, va + 3 * PAGE).start, va + 2 * PAGE);
	grandchild = fork_space(child, HF_FORK_COPY);
	SAME(mapping_at(grandchild, va).end, va + 12 * PAGE);
	OK(hf_lock_future(grandchild->mm, HF_LOCK_FUTURE_ON));
	CHECK(m);
	SAME(mapping_at(grandchild, va).end, va + 12 * PAGE);
	assert_true(locked(grandchild, map(grandchild, 3 * PAGE, RO)));
	OK(hf_munmap(grandchild->mm, va, 12 * PAGE));
	OK(hf_munlock_all(child->mm));
	CHECK(m);
	SAME(mapping_at(child, va).end, va + 12 * PAGE);
	assert_true(locked(s, va + 2 * PAGE));
}

/* What may be written is made present as a write would: no fault is left to copy it. */
static void mlock_copies_what_a_write_would(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);
	hf_pa pa[2] = { pa_of(s, va), pa_of(s, va + 2 * PAGE) };

	OK(hf_mprotect(s->mm, va + 2 * PAGE, 2 * PAGE, RO));
	child = fork_space(s, HF_FORK_COPY);
	OK(hf_mlock(s->mm, va, 4 * PAGE, HF_MLOCK_ONFAULT));
	SAME_PA(pa_of(s, va), pa[0]);
	OK(hf_mlock(s->mm, va, 4 * PAGE, 0));
	CHECK(m);
	assert_true(pa_of(s, va).v != pa[0].v);
	SAME_PA(pa_of(s, va + 2 * PAGE), pa[1]);
	SAME_PA(pa_of(child, va), pa[0]);
	FILLED(s, va, 4 * PAGE, 1);
	FILLED(child, va, 4 * PAGE, 1);
}

static void mlock_keeps_advice_from_dropping(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);

	OK(hf_mlock(s->mm, va + PAGE, PAGE, 0));
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, va, 4 * PAGE, HF_ADV_DONTNEED));
	OK(hf_madvise(s->mm, va + 2 * PAGE, 2 * PAGE, HF_ADV_DONTNEED));
	FILLED(s, va, 2 * PAGE, 1);
	ZEROS(s, va + 2 * PAGE, 2 * PAGE);
	OK(hf_munmap(s->mm, va, 4 * PAGE));
	CHECK(m);
}

static void mlock_goes_along_with_mremap(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1), to = SPACE_LO;

	OK(hf_mlock(s->mm, va, 4 * PAGE, 0));
	OK(hf_mremap(s->mm, va, 4 * PAGE, 4 * PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_DONTUNMAP, &to));
	CHECK(*state);
	assert_true(locked(s, to));
	assert_false(locked(s, va)); /* there is nothing left to lock */
}

static void mlock_of_objects(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct hf_object_config config = { .size = 3 * PAGE };
	hf_va shared = 0, private = 0;
	struct hf_object *object;

	OK(hf_object_create(m->phys, &config, &object));
	OK(hf_mmap_object(s->mm, &shared, 4 * PAGE, RW, HF_MAP_SHARED, object, 0));
	OK(hf_mmap_object(s->mm, &private, 4 * PAGE, RO, HF_MAP_PRIVATE, object, 0));
	hf_object_put(object);
	put(s, shared, 1);
	OK(hf_mlock_all(s->mm, 0)); /* but for what is beyond the object's end */
	CHECK(m);
	SAME(present_pages(s, shared, 4 * PAGE), 3);
	SAME(present_pages(s, private, 4 * PAGE), 3);
	SAME_PA(pa_of(s, shared), pa_of(s, private)); /* not taken for its own */
}

static void mlock_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);

	FAILS(m, HF_ERR_FLAGS, hf_mlock(s->mm, va, 0, 2));
	FAILS(m, HF_ERR_FLAGS, hf_mlock_all(s->mm, ~0u));
	FAILS(m, HF_ERR_EMPTY, hf_mlock(s->mm, va, 0, 0));
	FAILS(m, HF_ERR_WRAP, hf_mlock(s->mm, va + 1, UINT64_MAX, 0));
	FAILS(m, HF_ERR_WRAP, hf_mlock(s->mm, va, UINT64_MAX - va, 0));
	FAILS(m, HF_ERR_RANGE, hf_mlock(s->mm, va, 9 * PAGE, 0));
	FAILS(m, HF_ERR_RANGE, hf_mlock(s->mm, SPACE_LO - 1, 1, 0));
	FAILS(m, HF_ERR_UNMAPPED, hf_mlock(s->mm, va - 1, 2, 0));
	FAILS(m, HF_ERR_EMPTY, hf_munlock(s->mm, va, 0));
	FAILS(m, HF_ERR_RANGE, hf_munlock(s->mm, va, 9 * PAGE));
	FAILS(m, HF_ERR_UNMAPPED, hf_munlock(s->mm, va - PAGE, 2 * PAGE));
	FAILS(m, HF_ERR_INVAL, hf_lock_future(s->mm, (enum hf_lock_policy)3));
}

/* Limits */

static void lock_limit(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PTE, 16), to = 0;

	set_limits(s, 0, 8 * PAGE);
	FAILS(m, HF_ERR_LIMIT, hf_mlock(s->mm, va, 9 * PAGE, 0));
	OK(hf_mlock(s->mm, va, 8 * PAGE, 0));
	OK(hf_mlock(s->mm, va + 2 * PAGE, 4 * PAGE, 0)); /* nothing new */
	FAILS(m, HF_ERR_LIMIT, hf_mlock(s->mm, va + 8 * PAGE, 1, HF_MLOCK_ONFAULT));
	FAILS(m, HF_ERR_LIMIT, hf_mlock_all(s->mm, 0));
	OK(hf_munmap(s->mm, va + 8 * PAGE, 8 * PAGE));
	FAILS(m, HF_ERR_LIMIT, hf_mremap(s->mm, va, 8 * PAGE, 9 * PAGE, 0, &to));
	FAILS(m, HF_ERR_LIMIT, hf_mremap(s->mm, va, 8 * PAGE, 32 * PAGE, HF_MREMAP_MAYMOVE, &to));
	OK(hf_mremap(s->mm, va, 8 * PAGE, 7 * PAGE, 0, &to));
	OK(hf_lock_future(s->mm, HF_LOCK_FUTURE_ON));
	to = 0;
	FAILS(m, HF_ERR_LIMIT, hf_mmap(s->mm, &to, 2 * PAGE, RW, 0));
	map(s, PAGE, RO);
	OK(hf_munmap(s->mm, va, 4 * PAGE));
	map(s, 4 * PAGE, RO);
	/* a limit below what there is keeps only more away */
	set_limits(s, 0, PAGE);
	FAILS(m, HF_ERR_LIMIT, hf_mmap(s->mm, &to, PAGE, RW, 0));
	OK(hf_mlock(s->mm, va + 4 * PAGE, PAGE, 0));
	OK(hf_munlock_all(s->mm));
	CHECK(m);
}

static void va_limit(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map(s, 10 * PAGE, RW), to = 0;

	set_limits(s, 16 * PAGE, 0);
	FAILS(m, HF_ERR_LIMIT, hf_mmap(s->mm, &to, 7 * PAGE, RW, 0));
	map(s, 6 * PAGE, RO);
	FAILS(m, HF_ERR_LIMIT, hf_mmap(s->mm, &to, 1, RW, 0));
	map_at(s, va, 10 * PAGE, RO); /* in the place of others */
	FAILS(m, HF_ERR_LIMIT,
	      hf_mremap(s->mm, va, PAGE, PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_DONTUNMAP, &to));
	to = SPACE_LO;
	OK(hf_mremap(s->mm, va, 10 * PAGE, 10 * PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED, &to));
	FAILS(m, HF_ERR_LIMIT, hf_mremap(s->mm, to, 10 * PAGE, 11 * PAGE, 0, &to));
	OK(hf_madvise(s->mm, to, 4 * PAGE, HF_ADV_DONTFORK));
	child = fork_space(s, HF_FORK_COPY); /* has four pages less, and the limit */
	va = 0;
	GIVES(HF_ERR_LIMIT, hf_mmap(child->mm, &va, 5 * PAGE, RW, 0));
	map(child, 4 * PAGE, RW);
	OK(hf_munmap(s->mm, to, 10 * PAGE));
	map(s, 10 * PAGE, RW);
	CHECK(m);
}

static void limits_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	const struct hf_limits odd = { .va = PAGE, .stack_gap = 100 };
	struct hf_mm_config config = { .limits = { .stack_gap = 1 } };
	struct hf_mm mm;

	FAILS(m, HF_ERR_ALIGN, hf_mm_set_limits(s->mm, &odd));
	map(s, 2 * PAGE, RW);
	GIVES(HF_ERR_ALIGN, hf_mm_create(&mm, m->phys, &config));
}

/* Seals */

static void seal_keeps_mappings_as_they_are(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_at(s, SPACE_LO + MIB, 8 * PAGE, RW), to = 0, at = va + PAGE;
	hf_va other = map_at(s, SPACE_LO, 4 * PAGE, RW);
	const unsigned fixed = HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED;

	fill(s, va, 8 * PAGE, 1);
	put(s, other, 1);
	OK(hf_mseal(s->mm, va + 2 * PAGE, 2 * PAGE));
	CHECK(m);
	SAME(mapping_at(s, va + 2 * PAGE).start, va + 2 * PAGE);
	assert_true(mapping_at(s, va + 2 * PAGE).sealed);
	assert_false(mapping_at(s, va).sealed);
	OK(hf_mseal(s->mm, va + 2 * PAGE, 2 * PAGE)); /* again */
	child = fork_space(s, HF_FORK_COPY);
	for (unsigned i = 0; i < 2; i++) {
		struct hf_mm *mm = i ? child->mm : s->mm;

		FAILS(m, HF_ERR_SEALED, hf_munmap(mm, va, 8 * PAGE));
		FAILS(m, HF_ERR_SEALED, hf_munmap(mm, va + 3 * PAGE, PAGE));
		FAILS(m, HF_ERR_SEALED, hf_mprotect(mm, va, 8 * PAGE, RO));
		FAILS(m, HF_ERR_SEALED, hf_mprotect(mm, va + 2 * PAGE, PAGE, RW));
		FAILS(m, HF_ERR_SEALED, hf_mmap(mm, &at, 2 * PAGE, RW, HF_MAP_FIXED));
		FAILS(m, HF_ERR_SEALED,
		      hf_mremap(mm, va + 2 * PAGE, 2 * PAGE, PAGE, HF_MREMAP_MAYMOVE, &to));
		FAILS(m, HF_ERR_SEALED,
		      hf_mremap(mm, va, 8 * PAGE, 9 * PAGE, HF_MREMAP_MAYMOVE, &to));
		to = SPACE_LO + 2 * MIB;
		FAILS(m, HF_ERR_SEALED, hf_mremap(mm, va, 3 * PAGE, 3 * PAGE, fixed, &to));
		to = va + 3 * PAGE;
		FAILS(m, HF_ERR_SEALED, hf_mremap(mm, other, 4 * PAGE, 4 * PAGE, fixed, &to));
		FAILS(m, HF_ERR_SEALED,
		      hf_mremap(mm, va + 2 * PAGE, PAGE, PAGE,
				HF_MREMAP_MAYMOVE | HF_MREMAP_DONTUNMAP, &to));
	}
	/* what does not change it is allowed */
	OK(hf_mremap(s->mm, va, 8 * PAGE, 8 * PAGE, 0, &to));
	OK(hf_mlock(s->mm, va, 8 * PAGE, 0));
	OK(hf_munlock(s->mm, va, 8 * PAGE));
	OK(hf_madvise(s->mm, va, 8 * PAGE, HF_ADV_HUGEPAGE));
	FILLED(s, va, 8 * PAGE, 1);
	put(s, va + 2 * PAGE, 7);
	OK(hf_madvise(s->mm, va + 2 * PAGE, PAGE, HF_ADV_DONTNEED)); /* it is writable */
	SAME(get(s, va + 2 * PAGE), 0);
	OK(hf_munmap(s->mm, va, 2 * PAGE));
	OK(hf_munmap(s->mm, va + 4 * PAGE, 4 * PAGE));
	CHECK(m);
}

static void seal_keeps_contents_that_are_read_only(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);

	OK(hf_mprotect(s->mm, va, 2 * PAGE, RO));
	OK(hf_mseal(s->mm, va, 4 * PAGE));
	FAILS(m, HF_ERR_SEALED, hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	FAILS(m, HF_ERR_SEALED, hf_madvise(s->mm, va, 4 * PAGE, HF_ADV_DONTFORK));
	FAILS(m, HF_ERR_SEALED, hf_madvise(s->mm, va + PAGE, PAGE, HF_ADV_WIPEONFORK));
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_POPULATE_READ));
	OK(hf_madvise(s->mm, va + 2 * PAGE, PAGE, HF_ADV_WIPEONFORK));
	CHECK(m);
	FAILS(m, HF_ERR_ALIGN, hf_mseal(s->mm, va + 1, PAGE));
	FAILS(m, HF_ERR_EMPTY, hf_mseal(s->mm, va, 0));
	FAILS(m, HF_ERR_WRAP, hf_mseal(s->mm, va, UINT64_MAX));
	FAILS(m, HF_ERR_RANGE, hf_mseal(s->mm, va, 5 * PAGE));
	FAILS(m, HF_ERR_UNMAPPED, hf_mseal(s->mm, va - PAGE, 2 * PAGE));
}

static const struct CMUnitTest tests[] = {
	TEST(mlock_makes_present_and_marks),
	TEST(mlock_of_what_is_not_writable),
	TEST(mlock_on_fault),
	TEST(mlock_all_and_future),
	TEST(locks_are_not_inherited),
	TEST(mlock_copies_what_a_write_would),
	TEST(mlock_keeps_advice_from_dropping),
	TEST(mlock_goes_along_with_mremap),
	TEST(mlock_of_objects),
	TEST(mlock_errors),
	TEST(lock_limit),
	TEST(va_limit),
	TEST(limits_errors),
	TEST(seal_keeps_mappings_as_they_are),
	TEST(seal_keeps_contents_that_are_read_only),
};
SUITE(suite_lock, tests);
