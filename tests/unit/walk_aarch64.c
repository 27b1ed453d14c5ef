/* SPDX-License-Identifier: MIT */
/*
 * The walk of AArch64: Arm ARM D8.3 (descriptors), D8.4 (permissions, hierarchical ones among
 * them), D8.5 (access flag), "Using break-before-make when updating translation table entries".
 */
#include "rig.h"

#ifdef HF_ARCH_AARCH64

#define TABLE BIT(1)
#define AP_EL0 BIT(6)
#define AP_RO BIT(7)
#define AF BIT(10)
#define PXN BIT(53)
#define UXN BIT(54)
#define PXNTABLE BIT(59)
#define UXNTABLE BIT(60)
#define APTABLE_NO_EL0 BIT(61)
#define APTABLE_RO BIT(62)

static void expect_access(struct rig *rig, bool read, bool write, bool exec)
{
	hf_soft_switch(rig->cpu, &rig->mm);
	assert_int_equal(try_load(rig, VA), read ? HF_OK : HF_ERR_UNMAPPED);
	assert_int_equal(try_store(rig, VA), write ? HF_OK : HF_ERR_UNMAPPED);
	assert_int_equal(try_fetch(rig, VA), exec ? HF_OK : HF_ERR_UNMAPPED);
}

/* Every value of AP[1], AP[2] and UXN in a leaf of each size, at EL0. */
static void check_leaf_rights(struct rig *rig, unsigned level)
{
	uint64_t *leaf = map_rw(rig, VA, level, block(rig, 9 * level));
	const uint64_t base = *leaf & ~(AP_EL0 | AP_RO | UXN);

	for (unsigned n = 0; n < 8; n++) {
		bool el0 = n & 1, ro = n & 2, uxn = n & 4;

		*leaf = base | (el0 ? AP_EL0 : 0) | (ro ? AP_RO : 0) | (uxn ? UXN : 0);
		expect_access(rig, el0, el0 && !ro, !uxn);
	}
	*leaf = base | AP_EL0 | PXN; /* about EL1 */
	expect_access(rig, true, true, true);
}

static void test_leaf_rights(void **state)
{
	for (unsigned level = 0; level < 3; level++)
		check_leaf_rights(*state, level);
}

/* APTable and UXNTable of any level take from what is below, and give nothing. */
static void test_hierarchical_permissions(void **state)
{
	struct rig *rig = *state;
	uint64_t *leaf = map_rw(rig, VA, 0, block(rig, 0));

	for (unsigned level = 1; level < LEVELS; level++) {
		uint64_t *e = entry_of(rig, VA, level), was = *e;

		*e = was | APTABLE_RO;
		expect_access(rig, true, false, true);
		*e = was | APTABLE_NO_EL0;
		expect_access(rig, false, false, true);
		*e = was | UXNTABLE;
		expect_access(rig, true, true, false);
		*e = was | UXNTABLE | APTABLE_RO;
		expect_access(rig, true, false, false);
		*e = was | PXNTABLE; /* about EL1 */
		expect_access(rig, true, true, true);
		*leaf |= AP_RO | UXN; /* the branch allows it, the leaf does not */
		*e = was;
		expect_access(rig, true, false, false);
		*leaf &= ~(AP_RO | UXN);
	}
}

/* What one level forbids another does not give back. */
static void test_permissions_add_up(void **state)
{
	struct rig *rig = *state;

	(void)map_rw(rig, VA, 0, block(rig, 0));
	*entry_of(rig, VA, 3) |= APTABLE_RO;
	*entry_of(rig, VA, 1) |= UXNTABLE;
	expect_access(rig, true, false, false);
}

/* Without FEAT_HAFDBS an access to a page whose AF is clear faults, and nothing is marked. */
static void test_access_flag_faults(void **state)
{
	struct rig *rig = *state;

	for (unsigned level = 0; level < 3; level++) {
		uint64_t *leaf = map_rw(rig, VA, level, block(rig, 9 * level)), was;

		*leaf = was = *leaf & ~AF;
		expect_access(rig, false, false, false);
		assert_int_equal(*leaf, was);
		*leaf |= AF;
		expect_access(rig, true, true, true);
		assert_int_equal(*leaf, was | AF);
		*leaf = 0;
	}
}

/* Bits that are RES0, and encodings that are reserved. */
static void test_reserved(void **state)
{
	struct rig *rig = *state;
	const hf_pa pa = block(rig, 9);
	const uint64_t page = leaf_rw(pa, 0), mid = leaf_rw(pa, 1), table = branch_to(pa);

	(void)map_rw(rig, VA, 0, pa);
	assert_panic(rig, 0, page & ~TABLE, "reserved encoding");
	assert_panic(rig, 3, mid, "reserved encoding"); /* a block of 512 GiB */
	for (unsigned bit = 12; bit < 21; bit++)
		assert_panic(rig, 1, mid | BIT(bit), "reserved bit");
	for (unsigned bit = 12; bit < 30; bit++)
		assert_panic(rig, 2, leaf_rw((hf_pa){ GIB }, 2) | BIT(bit), "reserved bit");
	for (unsigned bit = 48; bit < 50; bit++) {
		assert_panic(rig, 0, page | BIT(bit), "reserved bit");
		assert_panic(rig, 1, table | BIT(bit), "reserved bit");
	}
	assert_panic(rig, 2, table | BIT(50), "reserved bit");
	assert_panic(rig, 0, page | BIT(51), "reserved bit"); /* DBM, without FEAT_HAFDBS */
}

/* A table descriptor ignores bits 11:2 and 58:51. */
static void test_ignored_in_tables(void **state)
{
	struct rig *rig = *state;

	(void)map_rw(rig, VA, 0, page_with(rig, 0, 77));
	for (unsigned level = 1; level < LEVELS; level++) {
		*entry_of(rig, VA, level) |= 0xffc | (BIT(59) - BIT(51));
		hf_soft_switch(rig->cpu, &rig->mm);
		assert_int_equal(load8(rig, VA), 77);
	}
}

/* A page is cached and the tables have another one there: found by walks and by flushes. */
static void test_conflict_of_pages(void **state)
{
	struct rig *rig = *state;
	uint64_t *leaf = map_rw(rig, VA, 0, block(rig, 0)), was = *leaf;
	hf_pa other = block(rig, 0);

	OK(try_store(rig, VA));
	*leaf = leaf_rw(other, 0);
	assert_flush_panics(rig, "TLB conflict");
	*leaf = leaf_ro(address_of(was), 0); /* other rights alone are no conflict */
	flush(rig, VA, PAGE, HF_FLUSH_WRITE);
	*leaf = 0; /* broken first: */
	flush(rig, VA, PAGE, HF_FLUSH_LEAVES);
	*leaf = leaf_rw(other, 0);
	OK(try_store(rig, VA));
	flush(rig, VA, PAGE, HF_FLUSH_LEAVES);
}

/* The same of sizes: a block is cached that has become a table, and the other way round. */
static void test_conflict_of_sizes(void **state)
{
	struct rig *rig = *state;
	hf_pa pa = block(rig, 9), table = block(rig, 0);
	hf_va base = VA & ~(2 * MIB - 1);
	uint64_t *mid = map_rw(rig, base, 1, pa), *parts = host_of(rig, table);

	for (unsigned i = 0; i < 512; i++)
		parts[i] = leaf_rw((hf_pa){ pa.v + i * PAGE }, 0);
	OK(try_load(rig, VA));
	*mid = branch_to(table);
	assert_flush_panics(rig, "TLB conflict");
	*mid = 0;
	flush(rig, base, 2 * MIB, HF_FLUSH_LEAVES);
	*mid = branch_to(table);
	OK(try_load(rig, VA));
	*mid = leaf_rw(pa, 1);
	assert_flush_panics(rig, "TLB conflict");
	*mid = 0;
	flush(rig, base, 2 * MIB, HF_FLUSH_LEAVES | HF_FLUSH_TABLES);
	*mid = leaf_rw(pa, 1);
	OK(try_load(rig, VA));
}

/* The same of branches, which are cached at every level. */
static void test_conflict_of_tables(void **state)
{
	struct rig *rig = *state;

	(void)map_rw(rig, VA, 0, block(rig, 0));
	for (unsigned level = 1; level < LEVELS; level++) {
		uint64_t *e = entry_of(rig, VA, level), was = *e;
		hf_pa copy = block(rig, 0);

		memcpy(host_of(rig, copy), host_of(rig, address_of(was)), PAGE);
		hf_soft_switch(rig->cpu, &rig->mm);
		OK(try_load(rig, VA));
		*e = branch_to(copy);
		assert_flush_panics(rig, "TLB conflict");
		*e = was | APTABLE_RO; /* other rights alone are no conflict */
		flush(rig, VA, PAGE, HF_FLUSH_WRITE);
		*e = 0;
		flush(rig, VA, PAGE, HF_FLUSH_TABLES);
		*e = branch_to(copy);
		OK(try_load(rig, VA));
	}
}

/* A walk for another kind of access meets the page that is cached. */
static void test_conflict_in_a_walk(void **state)
{
	struct rig *rig = *state;
	uint64_t *leaf = map_ro(rig, VA, 0, block(rig, 0));

	OK(try_load(rig, VA));
	flush(rig, VA, PAGE, HF_FLUSH_WRITE);
	/* The TLB keeps the page for reading; the store has to walk. */
	*leaf = leaf_rw(block(rig, 0), 0);
	assert_flush_panics(rig, "TLB conflict");
	*leaf = 0;
	flush(rig, VA, PAGE, HF_FLUSH_LEAVES);
}

const struct CMUnitTest walk_rules[] = {
	TEST(test_leaf_rights, large),	       TEST(test_hierarchical_permissions, normal),
	TEST(test_permissions_add_up, normal), TEST(test_access_flag_faults, large),
	TEST(test_reserved, normal),	       TEST(test_ignored_in_tables, normal),
	TEST(test_conflict_of_pages, normal),  TEST(test_conflict_of_sizes, normal),
	TEST(test_conflict_of_tables, normal), TEST(test_conflict_in_a_walk, normal),
};
const size_t walk_rule_count = sizeof(walk_rules) / sizeof(walk_rules[0]);

#endif
