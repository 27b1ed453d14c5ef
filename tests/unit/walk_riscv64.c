/* SPDX-License-Identifier: MIT */
/*
 * The walk of RISC-V: privileged architecture (version 20240411), 10.3.1 (entries), 10.3.2
 * (the algorithm), 10.4 to 10.6; Svade and Svadu.
 */
#include "rig.h"

#ifdef HF_ARCH_RISCV64

#define R BIT(1)
#define W BIT(2)
#define X BIT(3)
#define U BIT(4)
#define G BIT(5)
#define A BIT(6)
#define D BIT(7)

static void expect_access(struct rig *rig, bool read, bool write, bool exec)
{
	hf_soft_switch(rig->cpu, &rig->mm);
	assert_int_equal(try_load(rig, VA), read ? HF_OK : HF_ERR_UNMAPPED);
	assert_int_equal(try_store(rig, VA), write ? HF_OK : HF_ERR_UNMAPPED);
	assert_int_equal(try_fetch(rig, VA), exec ? HF_OK : HF_ERR_UNMAPPED);
}

/* Every R, W, X that is not reserved, with and without U, in a leaf of each size. */
static void test_leaf_rights(void **state)
{
	static const uint64_t rights[] = { R, R | W, X, R | X, R | W | X };
	struct rig *rig = *state;

	for (unsigned level = 0; level < 3; level++) {
		uint64_t *leaf = map_rw(rig, VA, level, block(rig, 9 * level));
		const uint64_t base = (*leaf & ~(R | W | X | U)) | A | D;

		for (unsigned i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
			*leaf = base | rights[i] | U;
			expect_access(rig, rights[i] & R, rights[i] & W, rights[i] & X);
			*leaf = base | rights[i];
			expect_access(rig, false, false, false);
		}
		*leaf = 0;
	}
}

/* W without R, and everything from bit 54 up (N and PBMT without their extensions). */
static void test_reserved(void **state)
{
	struct rig *rig = *state;
	uint64_t *leaf = map_rw(rig, VA, 0, block(rig, 0));
	const uint64_t page = *leaf;

	assert_panic(rig, 0, (page & ~(R | X)) | W, "reserved encoding");
	assert_panic(rig, 0, (page & ~R) | W | X, "reserved encoding");
	for (unsigned bit = 54; bit < 64; bit++) {
		assert_panic(rig, 0, page | BIT(bit), "reserved bit");
		for (unsigned level = 1; level < LEVELS; level++)
			assert_panic(rig, level, *entry_of(rig, VA, level) | BIT(bit),
				     "reserved bit");
	}
}

/* A, D and U are reserved in a branch; G and RSW are not. */
static void test_branches(void **state)
{
	struct rig *rig = *state;

	(void)map_rw(rig, VA, 0, block(rig, 0));
	for (unsigned level = 1; level < LEVELS; level++) {
		uint64_t *e = entry_of(rig, VA, level);

		assert_panic(rig, level, *e | A, "reserved bit");
		assert_panic(rig, level, *e | D, "reserved bit");
		assert_panic(rig, level, *e | U, "reserved bit");
		*e |= G | SOFT_BITS;
		expect_access(rig, true, true, true);
	}
	/* Where there is no next level: */
	assert_panic(rig, 0, branch_to(block(rig, 0)), "a branch at the last level");
}

/* A leaf above the last level whose low PPN bits are not zero. */
static void test_misaligned_superpages(void **state)
{
	struct rig *rig = *state;
	const uint64_t mid = leaf_rw(block(rig, 9), 1), big = leaf_rw((hf_pa){ GIB }, 2);

	(void)map_rw(rig, VA, 0, block(rig, 0));
	for (unsigned bit = 10; bit < 19; bit++)
		assert_panic(rig, 1, mid | BIT(bit), "misaligned superpage");
	for (unsigned bit = 10; bit < 28; bit++)
		assert_panic(rig, 2, big | BIT(bit), "misaligned superpage");
}

/*
 * Svade: where A is clear, or D is for a store, it faults and marks nothing. Svadu: the
 * hardware marks leaves, and never branches.
 */
static void check_marks(struct rig *rig, unsigned level)
{
	uint64_t *leaf = map_rw(rig, VA, level, block(rig, 9 * level));
	const uint64_t clean = *leaf & ~(A | D);
	uint64_t above = level + 1 < LEVELS ? *entry_of(rig, VA, level + 1) : 0;

	*leaf = clean;
	hf_soft_switch(rig->cpu, &rig->mm);
	assert_int_equal(try_load(rig, VA), MARKS ? HF_OK : HF_ERR_UNMAPPED);
	assert_int_equal(*leaf, clean | (MARKS ? A : 0));
	*leaf = clean | A;
	hf_soft_switch(rig->cpu, &rig->mm);
	OK(try_load(rig, VA));
	OK(try_fetch(rig, VA));
	assert_int_equal(*leaf, clean | A);
	assert_int_equal(try_store(rig, VA), MARKS ? HF_OK : HF_ERR_UNMAPPED);
	assert_int_equal(*leaf, clean | A | (MARKS ? D : 0));
	*leaf = clean | A | D;
	OK(try_store(rig, VA));
	*leaf = clean | D; /* dirty, yet not accessed */
	hf_soft_switch(rig->cpu, &rig->mm);
	assert_int_equal(try_store(rig, VA), MARKS ? HF_OK : HF_ERR_UNMAPPED);
	assert_int_equal(*leaf, clean | D | (MARKS ? A : 0));
	if (above)
		assert_int_equal(*entry_of(rig, VA, level + 1), above);
	*leaf = 0;
}

static void test_marks(void **state)
{
	for (unsigned level = 0; level < 3; level++)
		check_marks(*state, level);
}

/* A store that is refused marks nothing. */
static void test_refused_store_marks_nothing(void **state)
{
	struct rig *rig = *state;
	uint64_t *leaf = map_ro(rig, VA, 0, block(rig, 0));
	const uint64_t clean = *leaf & ~D;

	*leaf = clean;
	assert_int_equal(try_store(rig, VA), HF_ERR_UNMAPPED);
	assert_int_equal(*leaf & ~A, clean & ~A);
}

/*
 * A branch cannot deny writing, so what is cached of it stays when the right to write is
 * flushed, and leads to leaves that are writable: that flush is not enough for a branch.
 */
static void test_write_flush_keeps_branches(void **state)
{
	struct rig *rig = *state;

	(void)map_rw(rig, VA, 0, block(rig, 0));
	(void)map_rw(rig, VA + PAGE, 0, block(rig, 0));
	OK(try_store(rig, VA));
	*entry_of(rig, VA, 1) &= ~VALID;
	flush(rig, 0, WHOLE, HF_FLUSH_WRITE);
	OK(try_store(rig, VA + PAGE));
	flush(rig, 0, WHOLE, HF_FLUSH_WRITE | HF_FLUSH_TABLES);
	assert_int_equal(try_store(rig, VA + PAGE), HF_ERR_UNMAPPED);
}

/* The specification has superpages of 512 GiB and more; this hart has none. */
static void test_larger_leaves(void **state)
{
	struct rig *rig = *state;

	NEEDS(LEVELS > 3, "1 GiB pages are the largest of Sv39");
	(void)map_rw(rig, VA, 0, block(rig, 0));
	for (unsigned level = 3; level < LEVELS; level++)
		assert_panic(rig, level, leaf_rw((hf_pa){ 0 }, level), "more than 1 GiB");
}

const struct CMUnitTest walk_rules[] = {
	TEST(test_leaf_rights, large),
	TEST(test_reserved, normal),
	TEST(test_branches, normal),
	TEST(test_misaligned_superpages, normal),
	TEST(test_marks, large),
	TEST(test_refused_store_marks_nothing, normal),
	TEST(test_write_flush_keeps_branches, normal),
	TEST(test_larger_leaves, normal),
};
const size_t walk_rule_count = sizeof(walk_rules) / sizeof(walk_rules[0]);

#endif
