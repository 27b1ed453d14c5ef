/* SPDX-License-Identifier: MIT */
/*
 * Bad arguments of the calls that take ranges: every error the headers name, that
 * nothing changed, and which of two errors is reported.
 */
#include "port.h"

#define TOP (SPACE_LO + SPACE_LEN)

/* A space with some of everything in it, so that a change would show. */
static struct space *furnished(struct machine *m)
{
	struct space *s = space_new(m);
	hf_va ro;

	map_filled(s, HF_LEVEL_PTE, 8, 1);
	map_filled(s, HF_LEVEL_PMD, 1, 2);
	ro = map_filled(s, HF_LEVEL_PTE, 4, 3);
	OK(hf_mprotect(s->mm, ro, 2 * PAGE, RO));
	OK(hf_madvise(s->mm, ro + PAGE, 2 * PAGE, HF_ADV_DONTFORK));
	fork_space(s, HF_FORK_COPY);
	return s;
}

static void mmap_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = furnished(m);
	const hf_va at = TOP - 8 * PAGE; /* in use, FIXED would replace it */
	hf_va va = at;

#define MMAP(len, prot, flags) hf_mmap(s->mm, &va, len, prot, flags)
	FAILS(m, HF_ERR_FLAGS, MMAP(PAGE, 8, HF_MAP_FIXED));
	FAILS(m, HF_ERR_FLAGS, MMAP(PAGE, ~0u, HF_MAP_FIXED));
	FAILS(m, HF_ERR_FLAGS, MMAP(PAGE, RW, HF_MAP_FIXED | 1u << 31));
	FAILS(m, HF_ERR_FLAGS, MMAP(PAGE, RW, HF_MAP_FIXED | HF_MAP_FIXED_NOREPLACE));
	FAILS(m, HF_ERR_EMPTY, MMAP(0, RW, HF_MAP_FIXED));
	FAILS(m, HF_ERR_EMPTY, MMAP(0, RW, 0));
	FAILS(m, HF_ERR_WRAP, MMAP(UINT64_MAX - at + 2, RW, HF_MAP_FIXED));
	FAILS(m, HF_ERR_WRAP, MMAP(UINT64_MAX, RW, HF_MAP_FIXED));
	FAILS(m, HF_ERR_WRAP, MMAP(UINT64_MAX, RW, 0)); /* rounding up alone wraps */
	FAILS(m, HF_ERR_RANGE, MMAP(9 * PAGE, RW, HF_MAP_FIXED));
	FAILS(m, HF_ERR_EXIST, MMAP(PAGE, RW, HF_MAP_FIXED_NOREPLACE));
	FAILS(m, HF_ERR_NOSPACE, MMAP(SPACE_LEN, RW, 0));
	SAME(va, at);
	va = at + 1;
	FAILS(m, HF_ERR_ALIGN, MMAP(PAGE, RW, HF_MAP_FIXED));
	FAILS(m, HF_ERR_ALIGN, MMAP(PAGE, RW, HF_MAP_FIXED_NOREPLACE));
	va = SPACE_LO - PAGE;
	FAILS(m, HF_ERR_RANGE, MMAP(2 * PAGE, RW, HF_MAP_FIXED));
	va = TOP;
	FAILS(m, HF_ERR_RANGE, MMAP(PAGE, RW, HF_MAP_FIXED_NOREPLACE));
#undef MMAP
}

static void mmap_errors_in_order(void **state)
{
	struct machine *m = *state;
	struct space *s = furnished(m);
	hf_va va = TOP - PAGE + 1;

	FAILS(m, HF_ERR_FLAGS, hf_mmap(s->mm, &va, 0, 8, HF_MAP_FIXED));
	FAILS(m, HF_ERR_ALIGN, hf_mmap(s->mm, &va, 0, RW, HF_MAP_FIXED));
	va = TOP;
	FAILS(m, HF_ERR_EMPTY, hf_mmap(s->mm, &va, 0, RW, HF_MAP_FIXED));
	FAILS(m, HF_ERR_WRAP, hf_mmap(s->mm, &va, UINT64_MAX, RW, HF_MAP_FIXED));
	va = TOP - PAGE; /* mapped, and the range leaves the space */
	FAILS(m, HF_ERR_RANGE, hf_mmap(s->mm, &va, 2 * PAGE, RW, HF_MAP_FIXED_NOREPLACE));
}

static void munmap_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = furnished(m);

	FAILS(m, HF_ERR_ALIGN, hf_munmap(s->mm, TOP - PAGE + 8, PAGE));
	FAILS(m, HF_ERR_EMPTY, hf_munmap(s->mm, TOP - PAGE, 0));
	FAILS(m, HF_ERR_WRAP, hf_munmap(s->mm, TOP - PAGE, UINT64_MAX));
	FAILS(m, HF_ERR_WRAP, hf_munmap(s->mm, TOP - PAGE, UINT64_MAX - (TOP - PAGE) + 2));
	FAILS(m, HF_ERR_RANGE, hf_munmap(s->mm, TOP - PAGE, PAGE + 1));
	FAILS(m, HF_ERR_RANGE, hf_munmap(s->mm, SPACE_LO - PAGE, TOP - SPACE_LO + PAGE));
	FAILS(m, HF_ERR_RANGE, hf_munmap(s->mm, 0, PAGE));
	/* in order */
	FAILS(m, HF_ERR_ALIGN, hf_munmap(s->mm, 1, 0));
	FAILS(m, HF_ERR_EMPTY, hf_munmap(s->mm, 0, 0));
	FAILS(m, HF_ERR_WRAP, hf_munmap(s->mm, PAGE, UINT64_MAX));
}

static void mprotect_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = furnished(m);

	FAILS(m, HF_ERR_FLAGS, hf_mprotect(s->mm, TOP - PAGE, PAGE, 8));
	FAILS(m, HF_ERR_FLAGS, hf_mprotect(s->mm, TOP - PAGE, PAGE, ~0u));
	FAILS(m, HF_ERR_ALIGN, hf_mprotect(s->mm, TOP - PAGE + 8, PAGE, RO));
	FAILS(m, HF_ERR_EMPTY, hf_mprotect(s->mm, TOP - PAGE, 0, RO));
	FAILS(m, HF_ERR_WRAP, hf_mprotect(s->mm, TOP - PAGE, UINT64_MAX, RO));
	FAILS(m, HF_ERR_RANGE, hf_mprotect(s->mm, TOP - PAGE, 2 * PAGE, RO));
	FAILS(m, HF_ERR_RANGE, hf_mprotect(s->mm, SPACE_LO - PAGE, PAGE, RO));
	FAILS(m, HF_ERR_UNMAPPED, hf_mprotect(s->mm, SPACE_LO, SPACE_LEN, RO));
	/* in order */
	FAILS(m, HF_ERR_FLAGS, hf_mprotect(s->mm, 1, 0, 8));
	FAILS(m, HF_ERR_ALIGN, hf_mprotect(s->mm, 1, 0, RO));
	FAILS(m, HF_ERR_EMPTY, hf_mprotect(s->mm, 0, 0, RO));
	FAILS(m, HF_ERR_WRAP, hf_mprotect(s->mm, PAGE, UINT64_MAX, RO));
	FAILS(m, HF_ERR_RANGE, hf_mprotect(s->mm, 0, PAGE, RO));
}

static void madvise_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = furnished(m);

	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, TOP - PAGE, PAGE, (enum hf_advice)100));
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, TOP - PAGE, PAGE, (enum hf_advice)12345));
	for (int i = HF_ADV_DONTNEED; i <= HF_ADV_PAGEOUT; i++) {
		enum hf_advice advice = (enum hf_advice)i;

		FAILS(m, HF_ERR_ALIGN, hf_madvise(s->mm, TOP - PAGE + 8, PAGE, advice));
		FAILS(m, HF_ERR_EMPTY, hf_madvise(s->mm, TOP - PAGE, 0, advice));
		FAILS(m, HF_ERR_WRAP, hf_madvise(s->mm, TOP - PAGE, UINT64_MAX, advice));
		FAILS(m, HF_ERR_RANGE, hf_madvise(s->mm, TOP - PAGE, 2 * PAGE, advice));
		FAILS(m, HF_ERR_UNMAPPED, hf_madvise(s->mm, SPACE_LO, SPACE_LEN, advice));
	}
	/* in order */
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, 1, 0, (enum hf_advice)100));
	FAILS(m, HF_ERR_ALIGN, hf_madvise(s->mm, 1, 0, HF_ADV_DONTNEED));
	FAILS(m, HF_ERR_EMPTY, hf_madvise(s->mm, 0, 0, HF_ADV_DONTNEED));
	FAILS(m, HF_ERR_WRAP, hf_madvise(s->mm, PAGE, UINT64_MAX, HF_ADV_DONTNEED));
	FAILS(m, HF_ERR_RANGE, hf_madvise(s->mm, 0, PAGE, HF_ADV_DONTNEED));
}

static void pin_errors_in_order(void **state)
{
	struct machine *m = *state;
	struct space *s = furnished(m);
	struct hf_span span;
	size_t count = 0;

	FAILS(m, HF_ERR_FLAGS, hf_pin(s->mm, 0, 0, 0, &span, 0, &count));
	FAILS(m, HF_ERR_EMPTY, hf_pin(s->mm, 0, 0, HF_PIN_READ, &span, 1, &count));
	FAILS(m, HF_ERR_EMPTY, hf_pin(s->mm, 0, UINT64_MAX, HF_PIN_READ, &span, 0, &count));
	FAILS(m, HF_ERR_WRAP, hf_pin(s->mm, 2, UINT64_MAX, HF_PIN_READ, &span, 1, &count));
	FAILS(m, HF_ERR_RANGE, hf_pin(s->mm, 0, 1, HF_PIN_READ, &span, 1, &count));
}

static void access_outside_all_mappings(void **state)
{
	struct machine *m = *state;
	struct space *s = furnished(m);

	assert_false(may_load(s, SPACE_LO));
	assert_false(may_store(s, SPACE_LO));
	assert_false(may_load(s, SPACE_LO + SPACE_LEN / 2));
	assert_false(may_load(s, SPACE_LO - 1));
	assert_false(may_load(s, TOP));
	CHECK(m);
}

static void a_space_is_busy_memory(void **state)
{
	struct machine *m = *state;

	furnished(m);
	GIVES(HF_ERR_BUSY, test_port.destroy(m));
	CHECK(m);
}

static const struct CMUnitTest tests[] = {
	TEST(mmap_errors),
	TEST(mmap_errors_in_order),
	TEST(munmap_errors),
	TEST(mprotect_errors),
	TEST(madvise_errors),
	TEST(pin_errors_in_order),
	TEST(access_outside_all_mappings),
	TEST(a_space_is_busy_memory),
};
SUITE(suite_error, tests);
