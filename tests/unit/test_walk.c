/* SPDX-License-Identifier: MIT */
/*
 * The soft port's walk on tables built by hand: what is the same in every format is here, the
 * rules of one format in walk_*.c.
 */
#include "rig.h"

/* Not present at one level of the path at a time. */
static void test_not_present(void **state)
{
	struct rig *rig = *state;

	map_rw(rig, VA, 0, block(rig, 0));
	for (unsigned l = 0; l < LEVELS; l++) {
		*entry_of(rig, VA, l) &= ~VALID;
		hf_soft_switch(rig->cpu, &rig->mm);
		assert_int_equal(try_load(rig, VA), HF_ERR_UNMAPPED);
		*entry_of(rig, VA, l) |= VALID;
		OK(try_load(rig, VA));
	}
}

/* What is not valid has no bits: whatever else is set in it, it is a page fault. */
static void test_not_present_means_nothing(void **state)
{
	struct rig *rig = *state;

	map_rw(rig, VA, 0, block(rig, 0));
	for (unsigned l = 0; l < LEVELS; l++) {
		uint64_t *e = entry_of(rig, VA, l), was = *e;

		for (unsigned bit = 1; bit < 64; bit++) {
			*e = BIT(bit);
			hf_soft_switch(rig->cpu, &rig->mm);
			assert_int_equal(try_load(rig, VA), HF_ERR_UNMAPPED);
		}
		*e = ~VALID;
		assert_int_equal(try_load(rig, VA), HF_ERR_UNMAPPED);
		*e = was;
	}
}

/* Each byte of a page of each size leads to the right byte of RAM, by walk and by TLB. */
static void test_addresses(void **state)
{
	struct rig *rig = *state;

	for (unsigned level = 0; level < 3; level++) {
		hf_va va = (VA + ((uint64_t)level << 33)) & ~(hf_level_size(level) - 1);
		uint64_t size = hf_level_size(level);
		hf_pa pa = block(rig, 9 * level);

		map_rw(rig, va, level, pa);
		for (uint64_t at = 0; at < size; at = at * 2 + 8) {
			*(uint64_t *)host_of(rig, (hf_pa){ pa.v + at }) = ~at;
			assert_int_equal(load8(rig, va + at), ~at);
			hf_soft_switch(rig->cpu, &rig->mm);
			assert_int_equal(load8(rig, va + at), ~at);
		}
		assert_int_equal(try_load(rig, va - 1), HF_ERR_UNMAPPED);
		assert_int_equal(try_load(rig, va + size), HF_ERR_UNMAPPED);
	}
}

/*
 * Addresses that are not of the user half fault, and are no aliases of ones that are: nor are
 * those that are not canonical, which have bits above that are not alike.
 */
static void test_not_user_addresses(void **state)
{
	struct rig *rig = *state;
	uint64_t value;

	map_rw(rig, VA, 0, block(rig, 0));
	OK(try_load(rig, VA));
	for (unsigned bit = USER_BITS; bit < 64; bit++) {
		const hf_va one = VA | BIT(bit), all = VA | ~(BIT(bit) - 1);

		assert_int_equal(try_load(rig, one), HF_ERR_RANGE);
		assert_int_equal(try_store(rig, one), HF_ERR_RANGE);
		assert_int_equal(try_fetch(rig, all), HF_ERR_RANGE);
	}
	assert_int_equal(hf_soft_load(rig->cpu, UINT64_MAX - 3, 8, &value), HF_ERR_RANGE);
}

/* An entry may lead to RAM alone. */
static void test_outside_of_ram(void **state)
{
	struct rig *rig = *state;
	const hf_pa outside = { 512 * GIB };

	(void)map_rw(rig, VA, 0, block(rig, 0));
	assert_panic(rig, 0, leaf_rw(outside, 0), "outside of the RAM");
	for (unsigned level = 1; level < LEVELS; level++)
		assert_panic(rig, level, branch_to(outside), "outside of the RAM");
	assert_panic(rig, 1, leaf_rw(outside, 1), "outside of the RAM");
	/* A page of 1 GiB whose second half is not there. */
	assert_panic(rig, 2, leaf_rw((hf_pa){ GIB }, 2), "outside of the RAM");
}

/* What software may keep in a valid entry is nothing to the hardware. */
static void test_software_bits(void **state)
{
	struct rig *rig = *state;

	map_rw(rig, VA, 0, page_with(rig, 0, 77));
	for (unsigned l = 0; l < LEVELS; l++)
		*entry_of(rig, VA, l) |= SOFT_BITS;
	assert_int_equal(load8(rig, VA), 77);
	OK(try_store(rig, VA));
	OK(try_fetch(rig, VA));
	for (unsigned l = 0; l < LEVELS; l++)
		assert_true((*entry_of(rig, VA, l) & SOFT_BITS) == SOFT_BITS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest common[] = {
		TEST(test_not_present, normal),	   TEST(test_not_present_means_nothing, normal),
		TEST(test_addresses, large),	   TEST(test_not_user_addresses, normal),
		TEST(test_outside_of_ram, normal), TEST(test_software_bits, normal),
	};
	const size_t n = sizeof(common) / sizeof(common[0]);
	struct CMUnitTest *tests = calloc(n + walk_rule_count, sizeof(*tests));
	int failed;

	memcpy(tests, common, sizeof(common));
	memcpy(tests + n, walk_rules, walk_rule_count * sizeof(*tests));
	failed = run_cases("walk", tests, n + walk_rule_count, argc > 1 ? argv[1] : NULL);
	free(tests);
	return failed;
}
