/* SPDX-License-Identifier: MIT */
/* Mappings: placement, splitting and merging, protection, advice. */
#include "port.h"

/* The number of mappings of the space. */
static size_t vmas(struct space *s)
{
	struct hf_vma_info vma;
	size_t count = 0;

	for (hf_va va = 0; hf_vma_next(s->mm, va, &vma) == HF_OK; va = vma.end)
		count++;
	return count;
}

#define VMA_IS(s, va, start_, end_, prot_)                   \
	do {                                                 \
		struct hf_vma_info vma_ = mapping_at(s, va); \
		SAME(vma_.start, start_);                    \
		SAME(vma_.end, end_);                        \
		SAME(vma_.prot, prot_);                      \
	} while (0)

/* mmap */

static void mmap_goes_top_down_and_merges(void **state)
{
	struct space *s = space_new(*state);
	hf_va top = SPACE_LO + SPACE_LEN;

	SAME(map(s, PAGE, RW), top - PAGE);
	SAME(map(s, PAGE, RW), top - 2 * PAGE);
	SAME(vmas(s), 1);
	VMA_IS(s, 0, top - 2 * PAGE, top, RW);
	SAME(map(s, PAGE, RO), top - 3 * PAGE);
	SAME(vmas(s), 2);
}

static void mmap_fills_the_highest_gap_that_fits(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 16 * PAGE, RW);

	OK(hf_munmap(s->mm, va + 8 * PAGE, PAGE));
	OK(hf_munmap(s->mm, va + 2 * PAGE, 2 * PAGE));
	CHECK(*state);
	SAME(map(s, 2 * PAGE, RW), va + 2 * PAGE);
	SAME(map(s, PAGE, RW), va + 8 * PAGE);
	SAME(map(s, PAGE, RW), va - PAGE);
	VMA_IS(s, 0, va - PAGE, va + 16 * PAGE, RW);
}

static void mmap_rounds_the_length_up(void **state)
{
	struct space *s = space_new(*state);
	hf_va one = map(s, 1, RW), two = map(s, PAGE + 1, RO);

	VMA_IS(s, one, one, one + PAGE, RW);
	VMA_IS(s, two, two, two + 2 * PAGE, RO);
}

static void mmap_takes_a_free_hint(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = SPACE_LO + 16 * MIB + 123;

	OK(hf_mmap(s->mm, &va, 4 * PAGE, RW, 0));
	CHECK(*state);
	SAME(va, SPACE_LO + 16 * MIB);
}

static void mmap_ignores_a_hint_it_cannot_take(void **state)
{
	struct space *s = space_new(*state);
	hf_va top = SPACE_LO + SPACE_LEN, taken = map_at(s, SPACE_LO + MIB, PAGE, RO);
	const hf_va hints[] = { taken, taken - PAGE, SPACE_LO - PAGE, top - PAGE, top, PAGE };

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		hf_va va = hints[i];

		OK(hf_mmap(s->mm, &va, 2 * PAGE, RW, 0));
		CHECK(*state);
		SAME(va, top - 2 * (i + 1) * PAGE);
	}
	VMA_IS(s, 0, taken, taken + PAGE, RO);
}

static void mmap_fixed_replaces_what_is_there(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 8 * PAGE, RW);

	fill(s, va, 8 * PAGE, 1);
	map_at(s, va + 2 * PAGE, 3 * PAGE, RO);
	SAME(vmas(s), 3);
	VMA_IS(s, va, va, va + 2 * PAGE, RW);
	VMA_IS(s, va + 2 * PAGE, va + 2 * PAGE, va + 5 * PAGE, RO);
	VMA_IS(s, va + 5 * PAGE, va + 5 * PAGE, va + 8 * PAGE, RW);
	FILLED(s, va, 2 * PAGE, 1);
	ZEROS(s, va + 2 * PAGE, 3 * PAGE);
	FILLED(s, va + 5 * PAGE, 3 * PAGE, 1);
	assert_false(may_store(s, va + 2 * PAGE));
}

static void mmap_fixed_alike_merges_but_is_zero(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 4 * PAGE, RW);

	fill(s, va, 4 * PAGE, 1);
	map_at(s, va + PAGE, PAGE, RW);
	SAME(vmas(s), 1);
	FILLED(s, va, PAGE, 1);
	ZEROS(s, va + PAGE, PAGE);
	FILLED(s, va + 2 * PAGE, 2 * PAGE, 1);
}

static void mmap_fixed_over_part_of_a_huge_page(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);

	map_at(s, va + 64 * PAGE, 2 * PAGE, RW);
	FILLED(s, va, 64 * PAGE, 1);
	ZEROS(s, va + 64 * PAGE, 2 * PAGE);
	FILLED(s, va + 66 * PAGE, PMD_SIZE - 66 * PAGE, 1);
	SAME(pa_of(s, va).v, pa.v);
	SAME(pa_of(s, va + PMD_SIZE - PAGE).v, pa.v + PMD_SIZE - PAGE);
}

static void mmap_fixed_noreplace_takes_only_free_ranges(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va base = SPACE_LO + 8 * MIB, va = base;

	OK(hf_mmap(s->mm, &va, 4 * PAGE, RW, HF_MAP_FIXED_NOREPLACE));
	SAME(va, base);
	fill(s, base, 4 * PAGE, 1);
	for (int page = -1; page < 4; page++) {
		va = base + (uint64_t)page * PAGE;
		FAILS(m, HF_ERR_EXIST, hf_mmap(s->mm, &va, 2 * PAGE, RW, HF_MAP_FIXED_NOREPLACE));
		SAME(va, base + (uint64_t)page * PAGE);
	}
	va = base + 4 * PAGE;
	OK(hf_mmap(s->mm, &va, PAGE, RO, HF_MAP_FIXED_NOREPLACE));
	CHECK(m);
	FILLED(s, base, 4 * PAGE, 1);
}

static void mmap_aligns_large_mappings_to_2_mib(void **state)
{
	struct space *s = space_new(*state);
	hf_va top = SPACE_LO + SPACE_LEN;

	map(s, PAGE, RO);
	SAME(map(s, PMD_SIZE, RW), top - 2 * PMD_SIZE);
	SAME(map(s, PMD_SIZE + PAGE, RO), top - 4 * PMD_SIZE);
	SAME(map(s, PMD_SIZE - PAGE, RW), top - PMD_SIZE);
}

static void mmap_falls_back_to_an_unaligned_gap(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va base = SPACE_LO + 16 * MIB;

	map_at(s, SPACE_LO, SPACE_LEN, RO);
	OK(hf_munmap(s->mm, base + PAGE, PMD_SIZE + PAGE));
	SAME(map(s, PMD_SIZE, RW), base + 2 * PAGE);
}

static void mmap_aligns_to_1_gib(void **state)
{
	struct space *s = space_new_of(*state, 8 * GIB, HF_HUGE_COW_WHOLE);
	hf_va top = SPACE_LO + 8 * GIB;

	map(s, PAGE, RO);
	SAME(map(s, GIB, RW), top - 2 * GIB);
	SAME(map(s, GIB + PAGE, RO), top - 4 * GIB);
}

static void mmap_takes_the_whole_space_and_no_more(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = 0;

	FAILS(m, HF_ERR_NOSPACE, hf_mmap(s->mm, &va, SPACE_LEN + PAGE, RW, 0));
	SAME(map(s, SPACE_LEN, RW), SPACE_LO);
	va = 0;
	FAILS(m, HF_ERR_NOSPACE, hf_mmap(s->mm, &va, PAGE, RW, 0));
	SAME(va, 0);
	put(s, SPACE_LO, 1);
	put(s, SPACE_LO + SPACE_LEN - 8, 2);
	SAME(get(s, SPACE_LO), 1);
	SAME(get(s, SPACE_LO + SPACE_LEN - 8), 2);
}

/* munmap */

static void munmap_middle_splits(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 6 * PAGE, RW);

	fill(s, va, 6 * PAGE, 1);
	OK(hf_munmap(s->mm, va + 2 * PAGE, PAGE));
	CHECK(*state);
	SAME(vmas(s), 2);
	VMA_IS(s, va, va, va + 2 * PAGE, RW);
	VMA_IS(s, va + 2 * PAGE, va + 3 * PAGE, va + 6 * PAGE, RW);
	FILLED(s, va, 2 * PAGE, 1);
	assert_false(may_load(s, va + 2 * PAGE));
	assert_false(may_store(s, va + 3 * PAGE - 1));
	FILLED(s, va + 3 * PAGE, 3 * PAGE, 1);
}

static void munmap_allows_holes_and_nothing_at_all(void **state)
{
	struct space *s = space_new(*state);
	hf_va base = SPACE_LO + 32 * MIB;

	OK(hf_munmap(s->mm, base, 16 * MIB));
	map_at(s, base + PAGE, PAGE, RW);
	map_at(s, base + 5 * PAGE, 2 * PAGE, RO);
	map_at(s, base + 9 * PAGE, 2 * PAGE, RW);
	OK(hf_munmap(s->mm, base, 10 * PAGE));
	CHECK(*state);
	SAME(vmas(s), 1);
	VMA_IS(s, 0, base + 10 * PAGE, base + 11 * PAGE, RW);
}

static void munmap_rounds_the_length_up(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 3 * PAGE, RW);

	OK(hf_munmap(s->mm, va, PAGE + 1));
	CHECK(*state);
	VMA_IS(s, 0, va + 2 * PAGE, va + 3 * PAGE, RW);
}

static void munmap_gives_all_memory_back(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	uint64_t before = free_bytes(m);
	hf_va small = map_filled(s, HF_LEVEL_PTE, 100, 1);
	hf_va huge = map_filled(s, HF_LEVEL_PMD, 3, 2);

	OK(hf_munmap(s->mm, small, 100 * PAGE));
	OK(hf_munmap(s->mm, huge, 3 * PMD_SIZE));
	CHECK(m);
	SAME(vmas(s), 0);
	/* tables may stay; a page of content may not */
	assert_true(before - free_bytes(m) < 16 * PAGE);
}

static void munmap_part_of_a_huge_page_keeps_the_rest(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	hf_pa pa = pa_of(s, va);
	uint64_t before = free_bytes(m);

	OK(hf_munmap(s->mm, va + 100 * PAGE, 50 * PAGE));
	CHECK(m);
	SAME(free_bytes(m), before + 50 * PAGE - PAGE); /* one page became the table */
	SAME(level_of(s, va), HF_LEVEL_PTE);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PMD);
	SAME(pa_of(s, va).v, pa.v);
	SAME(pa_of(s, va + 150 * PAGE).v, pa.v + 150 * PAGE);
	FILLED(s, va, 100 * PAGE, 1);
	assert_false(may_load(s, va + 100 * PAGE));
	FILLED(s, va + 150 * PAGE, 2 * PMD_SIZE - 150 * PAGE, 1);
}

static void remapped_memory_is_zero(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 64 * PAGE, RW);

	for (int round = 0; round < 4; round++) {
		ZEROS(s, va, 64 * PAGE);
		fill(s, va, 64 * PAGE, 7);
		OK(hf_munmap(s->mm, va, 64 * PAGE));
		CHECK(*state);
		assert_false(may_load(s, va));
		map_at(s, va, 64 * PAGE, RW);
	}
}

/* mprotect */

static void mprotect_forbids_and_allows(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, PAGE, RW);
	hf_pa pa;

	put(s, va, 42);
	pa = pa_of(s, va);
	OK(hf_mprotect(s->mm, va, PAGE, RO));
	CHECK(*state);
	assert_false(may_store(s, va));
	SAME(get(s, va), 42);
	OK(hf_mprotect(s->mm, va, PAGE, HF_PROT_NONE));
	CHECK(*state);
	assert_false(may_load(s, va));
	assert_false(may_store(s, va));
	OK(hf_mprotect(s->mm, va, PAGE, RW));
	CHECK(*state);
	SAME(get(s, va), 42);
	put(s, va, 43);
	SAME(get(s, va), 43);
	SAME_PA(pa_of(s, va), pa);
}

static void writable_and_executable_memory_is_readable(void **state)
{
	struct space *s = space_new(*state);
	hf_va w = map(s, PAGE, HF_PROT_WRITE), x = map(s, PAGE, HF_PROT_EXEC);

	put(s, w, 5);
	SAME(get(s, w), 5);
	SAME(get(s, x), 0);
	assert_false(may_store(s, x));
}

static void mprotect_splits_and_merges(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, 5 * PAGE, RW);

	fill(s, va, 5 * PAGE, 1);
	OK(hf_mprotect(s->mm, va + PAGE, PAGE, RO));
	CHECK(*state);
	SAME(vmas(s), 3);
	OK(hf_mprotect(s->mm, va + 3 * PAGE, PAGE, RO));
	CHECK(*state);
	SAME(vmas(s), 5);
	OK(hf_mprotect(s->mm, va + 2 * PAGE, PAGE, RO));
	CHECK(*state);
	SAME(vmas(s), 3);
	VMA_IS(s, va + PAGE, va + PAGE, va + 4 * PAGE, RO);
	assert_true(may_load(s, va + 2 * PAGE));
	assert_false(may_store(s, va + 2 * PAGE));
	OK(hf_mprotect(s->mm, va, 5 * PAGE, RW));
	CHECK(*state);
	SAME(vmas(s), 1);
	FILLED(s, va, 5 * PAGE, 1);
}

static void mprotect_part_of_a_huge_page_keeps_frames(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);

	OK(hf_mprotect(s->mm, va + 10 * PAGE, PAGE, RO));
	CHECK(*state);
	for (uint64_t at = 0; at < PMD_SIZE; at += PAGE)
		SAME(pa_of(s, va + at).v, pa.v + at);
	FILLED(s, va, PMD_SIZE, 1);
	assert_false(may_store(s, va + 10 * PAGE));
	put(s, va + 9 * PAGE, 9);
	put(s, va + 11 * PAGE, 11);
	SAME_PA(pa_of(s, va), pa);
}

static void mprotect_a_whole_huge_page_keeps_it_huge(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	hf_pa pa = pa_of(s, va);

	OK(hf_mprotect(s->mm, va, PMD_SIZE, RO));
	CHECK(*state);
	assert_false(may_store(s, va));
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	OK(hf_mprotect(s->mm, va, PMD_SIZE, RW));
	CHECK(*state);
	put(s, va + 8, 1);
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	SAME_PA(pa_of(s, va), pa);
	FILLED(s, va, 2 * PMD_SIZE, 1);
}

static void mprotect_over_a_hole_changes_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 5 * PAGE, RW);

	fill(s, va, 5 * PAGE, 1);
	OK(hf_munmap(s->mm, va + 2 * PAGE, PAGE));
	FAILS(m, HF_ERR_UNMAPPED, hf_mprotect(s->mm, va, 5 * PAGE, RO));
	FAILS(m, HF_ERR_UNMAPPED, hf_mprotect(s->mm, va + PAGE, 2 * PAGE, RO));
	FAILS(m, HF_ERR_UNMAPPED, hf_mprotect(s->mm, va + 2 * PAGE, 2 * PAGE, RO));
	FAILS(m, HF_ERR_UNMAPPED, hf_mprotect(s->mm, va + 2 * PAGE, PAGE, RO));
	put(s, va, 1);
	put(s, va + 4 * PAGE, 1);
}

/* madvise */

static void dontneed_gives_zeros_and_memory_back(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 16, 1);
	uint64_t before = free_bytes(m);

	OK(hf_madvise(s->mm, va + 4 * PAGE, 8 * PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	SAME(free_bytes(m), before + 8 * PAGE);
	FILLED(s, va, 4 * PAGE, 1);
	ZEROS(s, va + 4 * PAGE, 8 * PAGE);
	FILLED(s, va + 12 * PAGE, 4 * PAGE, 1);
	put(s, va + 5 * PAGE, 3);
	SAME(get(s, va + 5 * PAGE), 3);
}

static void dontneed_of_a_huge_page_and_of_a_part(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	uint64_t before = free_bytes(m);

	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_DONTNEED));
	CHECK(m);
	SAME(free_bytes(m), before + PMD_SIZE);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PMD);
	OK(hf_madvise(s->mm, va + PMD_SIZE + 7 * PAGE, PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	ZEROS(s, va, PMD_SIZE);
	FILLED(s, va + PMD_SIZE, 7 * PAGE, 1);
	ZEROS(s, va + PMD_SIZE + 7 * PAGE, PAGE);
	FILLED(s, va + PMD_SIZE + 8 * PAGE, PMD_SIZE - 8 * PAGE, 1);
}

static void dontneed_works_on_any_protection(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);

	OK(hf_mprotect(s->mm, va, PAGE, RO));
	OK(hf_mprotect(s->mm, va + PAGE, PAGE, HF_PROT_NONE));
	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_DONTNEED));
	CHECK(*state);
	ZEROS(s, va, PAGE);
	OK(hf_mprotect(s->mm, va, 2 * PAGE, RW));
	ZEROS(s, va, 2 * PAGE);
}

static void advice_shows_in_the_mapping_and_is_undone(void **state)
{
	static const struct {
		enum hf_advice set, undo;
		size_t offset;
	} kinds[] = {
		{ HF_ADV_HUGEPAGE, HF_ADV_NOHUGEPAGE, offsetof(struct hf_vma_info, huge) },
		{ HF_ADV_HUGEPAGE_1G, HF_ADV_NOHUGEPAGE, offsetof(struct hf_vma_info, huge_1g) },
		{ HF_ADV_DONTFORK, HF_ADV_DOFORK, offsetof(struct hf_vma_info, dontfork) },
		{ HF_ADV_WIPEONFORK, HF_ADV_KEEPONFORK, offsetof(struct hf_vma_info, wipeonfork) },
	};
	struct space *s = space_new(*state);
	hf_va va = map(s, 3 * PAGE, RW);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct hf_vma_info vma;

		OK(hf_madvise(s->mm, va + PAGE, PAGE, kinds[i].set));
		CHECK(*state);
		SAME(vmas(s), 3);
		for (uint64_t page = 0; page < 3; page++) {
			vma = mapping_at(s, va + page * PAGE);
			SAME(vma.start, va + page * PAGE);
			SAME(*((bool *)&vma + kinds[i].offset), page == 1);
		}
		OK(hf_madvise(s->mm, va + PAGE, PAGE, kinds[i].undo));
		CHECK(*state);
		SAME(vmas(s), 1);
	}
}

static void hugepage_1g_counts_as_hugepage(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map(s, PAGE, RW);
	struct hf_vma_info vma;

	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_HUGEPAGE_1G));
	vma = mapping_at(s, va);
	assert_true(vma.huge && vma.huge_1g);
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_NOHUGEPAGE));
	vma = mapping_at(s, va);
	assert_false(vma.huge || vma.huge_1g);
}

static void advice_keeps_contents(void **state)
{
	static const enum hf_advice kinds[] = {
		HF_ADV_HUGEPAGE,   HF_ADV_HUGEPAGE_1G,	 HF_ADV_NOHUGEPAGE,
		HF_ADV_DONTFORK,   HF_ADV_DOFORK,	 HF_ADV_WIPEONFORK,
		HF_ADV_KEEPONFORK, HF_ADV_POPULATE_READ, HF_ADV_POPULATE_WRITE,
	};
	struct space *s = space_new(*state);
	hf_va small = map_filled(s, HF_LEVEL_PTE, 8, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	hf_pa huge_pa = pa_of(s, huge);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		OK(hf_madvise(s->mm, small + PAGE, 4 * PAGE, kinds[i]));
		OK(hf_madvise(s->mm, huge + PAGE, 4 * PAGE, kinds[i]));
		CHECK(*state);
		FILLED(s, small, 8 * PAGE, 1);
		FILLED(s, huge, PMD_SIZE, 2);
	}
	SAME_PA(pa_of(s, huge), huge_pa); /* it may be split where a mapping is, but stays */
}

static void advice_over_a_hole_changes_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 5, 1);

	OK(hf_munmap(s->mm, va + 2 * PAGE, PAGE));
	for (int advice = HF_ADV_DONTNEED; advice <= HF_ADV_PAGEOUT; advice++) {
		FAILS(m, HF_ERR_UNMAPPED, hf_madvise(s->mm, va, 5 * PAGE, (enum hf_advice)advice));
		FAILS(m, HF_ERR_UNMAPPED,
		      hf_madvise(s->mm, va + 2 * PAGE, 2 * PAGE, (enum hf_advice)advice));
	}
}

static void populate_read_maps_zeros_without_memory(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 64 * PAGE, RO);
	uint64_t before;

	OK(hf_madvise(s->mm, va, 64 * PAGE, HF_ADV_NOHUGEPAGE));
	before = free_bytes(m);
	OK(hf_madvise(s->mm, va, 64 * PAGE, HF_ADV_POPULATE_READ));
	CHECK(m);
	for (uint64_t at = 0; at < 64 * PAGE; at += PAGE)
		SAME(access_of(s, va + at) & (HF_ACCESS_READ | HF_ACCESS_WRITE), HF_ACCESS_READ);
	assert_true(before - free_bytes(m) <= 4 * PAGE); /* tables */
	ZEROS(s, va, 64 * PAGE);
}

static void populate_write_makes_every_page_writable(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 64 * PAGE, RW);

	OK(hf_madvise(s->mm, va, 64 * PAGE, HF_ADV_NOHUGEPAGE));
	put(s, va + 3 * PAGE, 3);
	SAME(get(s, va + 4 * PAGE), 0); /* the zero page: to be replaced */
	OK(hf_madvise(s->mm, va, 64 * PAGE, HF_ADV_POPULATE_WRITE));
	CHECK(m);
	for (uint64_t at = 0; at < 64 * PAGE; at += PAGE)
		assert_true(access_of(s, va + at) & HF_ACCESS_WRITE);
	SAME(leaves(s, HF_LEVEL_PTE), 64);
	SAME(get(s, va + 3 * PAGE), 3);
}

static void populate_write_unshares_after_fork(void **state)
{
	struct space *s = space_new(*state), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);
	hf_pa pa = pa_of(s, va);

	child = fork_space(s, HF_FORK_COPY);
	OK(hf_madvise(child->mm, va, 4 * PAGE, HF_ADV_POPULATE_WRITE));
	CHECK(*state);
	assert_true(access_of(child, va) & HF_ACCESS_WRITE);
	assert_true(pa_of(child, va).v != pa.v);
	FILLED(child, va, 4 * PAGE, 1);
	FILLED(s, va, 4 * PAGE, 1);
}

static void populate_needs_the_protection(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va none = map(s, PAGE, HF_PROT_NONE), ro = map(s, PAGE, RO);

	FAILS(m, HF_ERR_ACCESS, hf_madvise(s->mm, none, PAGE, HF_ADV_POPULATE_READ));
	FAILS(m, HF_ERR_ACCESS, hf_madvise(s->mm, none, PAGE, HF_ADV_POPULATE_WRITE));
	FAILS(m, HF_ERR_ACCESS, hf_madvise(s->mm, ro, PAGE, HF_ADV_POPULATE_WRITE));
	OK(hf_madvise(s->mm, ro, PAGE, HF_ADV_POPULATE_READ));
}

/* vma_next, translate, stats */

static void vma_next_walks_all_mappings(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct hf_vma_info vma = { .prot = 77 };
	hf_va a = map_at(s, SPACE_LO + MIB, PAGE, RO), b = map_at(s, a + 2 * PAGE, 2 * PAGE, RW);

	VMA_IS(s, 0, a, a + PAGE, RO);
	VMA_IS(s, a + PAGE - 1, a, a + PAGE, RO);
	VMA_IS(s, a + PAGE, b, b + 2 * PAGE, RW);
	VMA_IS(s, b + PAGE, b, b + 2 * PAGE, RW);
	vma.prot = 77;
	FAILS(m, HF_ERR_UNMAPPED, hf_vma_next(s->mm, b + 2 * PAGE, &vma));
	FAILS(m, HF_ERR_UNMAPPED, hf_vma_next(s->mm, UINT64_MAX, &vma));
	SAME(vma.prot, 77); /* written only on success */
}

static void translate_describes_the_leaf(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va huge = map_filled(s, HF_LEVEL_PMD, 1, 1), small = map_filled(s, HF_LEVEL_PTE, 2, 2);
	struct hf_translation t;

	OK(hf_translate(s->mm, huge + 5 * PAGE + 17, &t));
	SAME(t.va, huge);
	SAME(t.len, PMD_SIZE);
	SAME(t.level, HF_LEVEL_PMD);
	SAME(t.pa.v % PMD_SIZE, 0);
	SAME(t.access, HF_ACCESS_READ | HF_ACCESS_WRITE);
	SAME(dma_get(m, (hf_pa){ t.pa.v + 5 * PAGE }), stamp(1, huge + 5 * PAGE));
	OK(hf_translate(s->mm, small + PAGE + 17, &t));
	SAME(t.va, small + PAGE);
	SAME(t.len, PAGE);
	SAME(t.level, HF_LEVEL_PTE);
	SAME(dma_get(m, t.pa), stamp(2, small + PAGE));
}

static void translate_changes_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 2 * PAGE, RW), top = SPACE_LO + SPACE_LEN;
	struct hf_translation t = { .level = 9 };

	FAILS(m, HF_ERR_UNMAPPED, hf_translate(s->mm, va, &t)); /* no page yet */
	FAILS(m, HF_ERR_UNMAPPED, hf_translate(s->mm, va - PAGE, &t));
	FAILS(m, HF_ERR_RANGE, hf_translate(s->mm, top, &t));
	FAILS(m, HF_ERR_RANGE, hf_translate(s->mm, SPACE_LO - 1, &t));
	FAILS(m, HF_ERR_RANGE, hf_translate(s->mm, UINT64_MAX, &t));
	SAME(t.level, 9);
	put(s, va, 1);
	assert_true(present(s, va));
	assert_false(present(s, va + PAGE));
}

static void stats_count_the_space(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 5, 1), huge = map_filled(s, HF_LEVEL_PMD, 2, 2);
	hf_va zero = map(s, PAGE, RO);
	struct hf_mm_stats stats;
	struct pin pin;

	SAME(get(s, zero), 0);
	pin_range(s, small, 2 * PAGE, HF_PIN_READ, &pin);
	hf_mm_stats(s->mm, &stats);
	SAME(stats.mapped_bytes, 6 * PAGE + 2 * PMD_SIZE);
	SAME(stats.leaves[HF_LEVEL_PTE], 5);
	SAME(stats.leaves[HF_LEVEL_PMD], 2);
	SAME(stats.leaves[HF_LEVEL_PUD], 0);
	SAME(stats.pinned_frames, 2);
	SAME(stats.vmas, vmas(s));
	assert_true(stats.tables >= 3); /* the root is the only PUD of Sv39 */
	SAME(stats.shared_tables, 0);
	child = fork_space(s, HF_FORK_COPY);
	hf_mm_stats(child->mm, &stats);
	SAME(stats.mapped_bytes, 6 * PAGE + 2 * PMD_SIZE);
	SAME(stats.leaves[HF_LEVEL_PTE], 5);
	SAME(stats.leaves[HF_LEVEL_PMD], 2);
	SAME(stats.pinned_frames, 0);
	unpin(m, &pin);
	FILLED(child, huge, PMD_SIZE, 2);
}

static const struct CMUnitTest tests[] = {
	TEST(mmap_goes_top_down_and_merges),
	TEST(mmap_fills_the_highest_gap_that_fits),
	TEST(mmap_rounds_the_length_up),
	TEST(mmap_takes_a_free_hint),
	TEST(mmap_ignores_a_hint_it_cannot_take),
	TEST(mmap_fixed_replaces_what_is_there),
	TEST(mmap_fixed_alike_merges_but_is_zero),
	TEST(mmap_fixed_over_part_of_a_huge_page),
	TEST(mmap_fixed_noreplace_takes_only_free_ranges),
	TEST(mmap_aligns_large_mappings_to_2_mib),
	TEST(mmap_falls_back_to_an_unaligned_gap),
	TEST(mmap_aligns_to_1_gib),
	TEST(mmap_takes_the_whole_space_and_no_more),
	TEST(munmap_middle_splits),
	TEST(munmap_allows_holes_and_nothing_at_all),
	TEST(munmap_rounds_the_length_up),
	TEST(munmap_gives_all_memory_back),
	TEST(munmap_part_of_a_huge_page_keeps_the_rest),
	TEST(remapped_memory_is_zero),
	TEST(mprotect_forbids_and_allows),
	TEST(writable_and_executable_memory_is_readable),
	TEST(mprotect_splits_and_merges),
	TEST(mprotect_part_of_a_huge_page_keeps_frames),
	TEST(mprotect_a_whole_huge_page_keeps_it_huge),
	TEST(mprotect_over_a_hole_changes_nothing),
	TEST(dontneed_gives_zeros_and_memory_back),
	TEST(dontneed_of_a_huge_page_and_of_a_part),
	TEST(dontneed_works_on_any_protection),
	TEST(advice_shows_in_the_mapping_and_is_undone),
	TEST(hugepage_1g_counts_as_hugepage),
	TEST(advice_keeps_contents),
	TEST(advice_over_a_hole_changes_nothing),
	TEST(populate_read_maps_zeros_without_memory),
	TEST(populate_write_makes_every_page_writable),
	TEST(populate_write_unshares_after_fork),
	TEST(populate_needs_the_protection),
	TEST(vma_next_walks_all_mappings),
	TEST(translate_describes_the_leaf),
	TEST(translate_changes_nothing),
	TEST(stats_count_the_space),
};
SUITE(suite_map, tests);
