/* SPDX-License-Identifier: MIT */
/* The walk of x86-64: Intel SDM vol. 3A, 4.5 (entries), 4.6 (rights), 4.8 (marks). */
#include "rig.h"

#ifdef HF_ARCH_X86_64

/* Tables 4-14 to 4-20. */
#define P BIT(0)
#define W BIT(1)
#define U BIT(2)
#define A BIT(5)
#define D BIT(6)
#define PS BIT(7)
#define PAT_LARGE BIT(12)
#define NX BIT(63)

/* Every value of W, U and NX at every level, against the rule of SDM 4.6.1. */
static void check_rights(struct rig *rig, unsigned leaf)
{
	static const uint64_t choice[] = { 0, W, U, W | U, NX, W | NX, U | NX, W | U | NX };
	uint64_t *path[LEVELS];
	hf_pa pa = block(rig, 9 * leaf);
	unsigned levels = 4 - leaf;

	for (unsigned l = 3; l > leaf; l--)
		path[l] = entry_of(rig, VA, l);
	path[leaf] = map_rw(rig, VA, leaf, pa);
	for (unsigned n = 0; n < 1u << 3 * levels; n++) {
		bool user = true, write = true, exec = true;

		for (unsigned l = leaf; l < 4; l++) {
			uint64_t bits = choice[n >> 3 * (l - leaf) & 7];

			*path[l] = (*path[l] & ~(W | U | NX | A | D)) | bits;
			user = user && bits & U;
			write = write && bits & W;
			exec = exec && !(bits & NX);
		}
		hf_soft_switch(rig->cpu, &rig->mm);
		assert_int_equal(try_load(rig, VA), user ? HF_OK : HF_ERR_UNMAPPED);
		assert_int_equal(try_store(rig, VA), user && write ? HF_OK : HF_ERR_UNMAPPED);
		assert_int_equal(try_fetch(rig, VA), user && exec ? HF_OK : HF_ERR_UNMAPPED);
		assert_int_equal(!!(*path[leaf] & D), user && write);
	}
}

static void test_rights_of_pte(void **state)
{
	check_rights(*state, 0);
}

static void test_rights_of_pmd(void **state)
{
	check_rights(*state, 1);
}

static void test_rights_of_pud(void **state)
{
	check_rights(*state, 2);
}

/* The memory type bit of large pages lies where small ones have address bit 12. */
static void test_pat_is_no_address(void **state)
{
	struct rig *rig = *state;
	hf_pa pa = page_with(rig, 9, 77);

	*map_ro(rig, VA & ~(2 * MIB - 1), 1, pa) |= PAT_LARGE;
	assert_int_equal(load8(rig, VA & ~(2 * MIB - 1)), 77);
}

static void test_accessed_and_dirty(void **state)
{
	struct rig *rig = *state;
	uint64_t *leaf = map_rw(rig, VA, 0, block(rig, 0));
	uint64_t *other = map_rw(rig, VA + PAGE, 0, block(rig, 0));
	uint64_t *path[LEVELS], before[LEVELS];

	for (unsigned l = 0; l < LEVELS; l++) {
		path[l] = entry_of(rig, VA, l);
		*path[l] |= l ? SOFT_BITS & ~(uint64_t)PS : SOFT_BITS;
		before[l] = *path[l];
	}
	OK(try_load(rig, VA));
	for (unsigned l = 0; l < LEVELS; l++)
		assert_int_equal(*path[l], before[l] | A);
	/* The TLB has it, but clean: the store must mark it all the same. */
	OK(try_store(rig, VA));
	assert_int_equal(*leaf, before[0] | A | D);
	assert_int_equal(*path[1], before[1] | A);
	assert_int_equal(*other & (A | D), 0);

	/* One walk marked it; a store that hits does not look. */
	*leaf &= ~(A | D);
	OK(try_store(rig, VA));
	assert_int_equal(*leaf & (A | D), 0);
	flush(rig, VA, PAGE, HF_FLUSH_WRITE);
	OK(try_store(rig, VA));
	assert_int_equal(*leaf & (A | D), A | D);
}

/* A store that is refused marks nothing dirty; a large page is marked in its own entry. */
static void test_dirty_only_by_stores(void **state)
{
	struct rig *rig = *state;
	uint64_t *leaf = map_ro(rig, VA, 0, block(rig, 0));
	uint64_t *pmd = map_rw(rig, VA + GIB, 1, block(rig, 9));
	uint64_t expected = 5;
	bool swapped = true;

	OK(try_load(rig, VA));
	assert_int_equal(try_store(rig, VA), HF_ERR_UNMAPPED);
	assert_int_equal(*leaf & (A | D), A);
	OK(try_load(rig, VA + GIB));
	OK(try_fetch(rig, VA + GIB));
	assert_int_equal(*pmd & (A | D), A);
	/* A compare-exchange that does not swap writes, on x86. */
	OK(hf_soft_cmpxchg(rig->cpu, VA + GIB, 8, &expected, 6, &swapped));
	assert_false(swapped);
	assert_int_equal(*pmd & (A | D), A | D);
}

static void test_reserved_bits(void **state)
{
	struct rig *rig = *state;
	hf_pa pa = block(rig, 9);

	for (unsigned level = 3; level < LEVELS; level++)
		assert_panic(rig, level, pa.v | P | W | U | PS, "reserved bit");
	for (unsigned bit = 13; bit < 21; bit++)
		assert_panic(rig, 1, pa.v | P | W | U | PS | 1u << bit, "reserved bit");
	for (unsigned bit = 13; bit < 30; bit += 4)
		assert_panic(rig, 2, P | W | U | PS | GIB | 1u << bit, "reserved bit");
	/* A PTE's bit 7 is a memory type. */
	*entry_of(rig, VA, 0) = pa.v | P | U | PS;
	OK(try_load(rig, VA));
}

const struct CMUnitTest walk_rules[] = {
	TEST(test_rights_of_pte, normal),      TEST(test_rights_of_pmd, normal),
	TEST(test_rights_of_pud, large),       TEST(test_pat_is_no_address, normal),
	TEST(test_accessed_and_dirty, normal), TEST(test_dirty_only_by_stores, normal),
	TEST(test_reserved_bits, normal),
};
const size_t walk_rule_count = sizeof(walk_rules) / sizeof(walk_rules[0]);

#endif
