/* SPDX-License-Identifier: MIT */
/*
 * Golden entries: what the core writes into page tables, bit by bit. The numbers on the right
 * hand side were put together by hand from the manuals, never by the code under test:
 *   SDM    Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 3A
 *   ARM    Arm Architecture Reference Manual, DDI 0487
 *   PRIV   RISC-V privileged architecture, version 20240411
 */
#include "unit.h"

#include "table/table.h"

#define R HF_PROT_READ
#define W HF_PROT_WRITE
#define X HF_PROT_EXEC

#define PTE HF_LEVEL_PTE
#define PMD HF_LEVEL_PMD
#define PUD HF_LEVEL_PUD

/* Frames: of a table or a page; of 2 MiB; of 1 GiB; the last that a frame number can say. */
static const hf_pfn small = { 0x12345 }, mid = { 0x12200 }, big = { 0xc0000 },
		    last = { 0xffffffff };

/* What each format's entries are. Names are in what the test says of them. */
struct golden {
	uint64_t branch, branch_last, branch_readonly, branch_armed, branch_look, branch_hidden;
	uint64_t page_r, page_rx, page_rw, page_rwx, page_none, page_rw_hidden;
	uint64_t page_r_used, page_rw_used; /* accessed; accessed and dirty */
	uint64_t page_rw_to_rx;		    /* what was marked stays */
	uint64_t mid_r, mid_rx, mid_rw, big_r, big_rw, big_none;
	uint64_t page_lazy, swapped;
	uint64_t mid_part_5, big_part_511; /* of mid_rw at index 5, of big_r at index 511 */
	uint64_t mid_part_5_hidden;
};

#if defined(HF_ARCH_AARCH64)
/*
 * ARM D8.3, figures "VMSAv8-64 Table descriptor" and "Block and Page descriptors, 4KB granule,
 * 48-bit OA"; D8.4 for the permissions:
 *   valid 0, table or page 1, AttrIndx 4:2 = 0, AP[1] (EL0) 6, AP[2] (read-only) 7,
 *   SH 9:8 = 0b11, AF 10, nG 11, OA 47:12, PXN 53, UXN 54, software 58:55,
 *   APTable[1] (no writing below) 62.
 * Software: dirty and LOOK 55, lazy 56, hidden 57, swapped 58.
 */
static const struct golden golden = {
	.branch = 0x0000000012345003,
	.branch_last = 0x00000ffffffff003,
	.branch_readonly = 0x4000000012345003,
	.branch_look = 0x0080000012345003,
	.branch_hidden = 0x0200000012345002,
	.page_r = 0x0060000012345bc3,
	.page_rx = 0x0020000012345bc3,
	.page_rw = 0x00e0000012345b43,
	.page_rwx = 0x00a0000012345b43,
	.page_none = 0x0260000012345bc2,
	.page_rw_hidden = 0x02e0000012345b42,
	.page_r_used = 0x0060000012345fc3,
	.page_rw_used = 0x00e0000012345f43,
	.page_rw_to_rx = 0x00a0000012345bc3,
	.mid_r = 0x0060000012200bc1,
	.mid_rx = 0x0020000012200bc1,
	.mid_rw = 0x00e0000012200b41,
	.big_r = 0x00600000c0000bc1,
	.big_rw = 0x00e00000c0000b41,
	.big_none = 0x02600000c0000bc0,
	.page_lazy = 0x0160000012345bc3,
	.swapped = 0x0400000000055000,
	.mid_part_5 = 0x00e0000012205b43,
	.big_part_511 = 0x00600000ffe00bc1,
	.mid_part_5_hidden = 0x02e0000012205b42,
};
#define LEVELS 4
#define VA_END 0x0001000000000000 /* ARM D8.1: TTBR0_EL1 with T0SZ = 16 */

#elif defined(HF_ARCH_RISCV64)
/*
 * PRIV 10.4.1, figure "Sv39 page table entry" (10.5.1 and 10.6.1 say the same of theirs), and
 * 10.3.1 for the bits: V 0, R 1, W 2, X 3, U 4, G 5, A 6, D 7, RSW 9:8, PPN 53:10.
 * A pointer to the next level has R = W = X = 0, and A, D, U clear.
 * Software: LOOK and lazy 8, own 9; with V clear: unarmed 61, swapped 62, hidden 63.
 * Without Svadu what can be written is dirty at once.
 */
#if HF_ARCH_SVADU
#define D 0
#else
#define D 0x80
#endif
static const struct golden golden = {
	.branch = 0x00000000048d1601,
	.branch_last = 0x000003fffffffe01,
	.branch_readonly = 0x20000000048d1400,
	.branch_armed = 0x00000000048d1401,
	.branch_look = 0x00000000048d1701,
	.branch_hidden = 0x80000000048d1600,
	.page_r = 0x00000000048d1413,
	.page_rx = 0x00000000048d141b,
	.page_rw = 0x00000000048d1417 | D,
	.page_rwx = 0x00000000048d141f | D,
	.page_none = 0x80000000048d1412,
	.page_rw_hidden = 0x80000000048d1416 | D,
	.page_r_used = 0x00000000048d1453,
	.page_rw_used = 0x00000000048d14d7,
	.page_rw_to_rx = 0x00000000048d141b | D,
	.mid_r = 0x0000000004880013,
	.mid_rx = 0x000000000488001b,
	.mid_rw = 0x0000000004880017 | D,
	.big_r = 0x0000000030000013,
	.big_rw = 0x0000000030000017 | D,
	.big_none = 0x8000000030000012,
	.page_lazy = 0x00000000048d1513,
	.swapped = 0x4000000000015400,
	.mid_part_5 = 0x0000000004881417 | D,
	.big_part_511 = 0x000000003ff80013,
	.mid_part_5_hidden = 0x8000000004881416 | D,
};
#undef D
#if HF_ARCH_LEVELS == 3
#define LEVELS 3
#define VA_END 0x0000004000000000 /* PRIV 10.4.1: bits 63 to 39 equal bit 38 */
#elif HF_ARCH_LEVELS == 4
#define LEVELS 4
#define VA_END 0x0000800000000000 /* PRIV 10.5.1: bits 63 to 48 equal bit 47 */
#else
#define LEVELS 5
#define VA_END 0x0100000000000000 /* PRIV 10.6.1: bits 63 to 57 equal bit 56 */
#endif

#else
/*
 * SDM 4.5, tables 4-14 to 4-20: P 0, R/W 1, U/S 2, A 5, D 6, PS 7, address 51:12, XD 63;
 * 11:9 are ignored where P is set, everything where it is clear.
 * Software: LOOK and lazy 9, hidden 10, swapped 11.
 * Where P is clear the address is inverted, for the sake of CPUs with L1TF (SDM has nothing of it;
 * Intel's "Deep Dive: Intel Analysis of L1 Terminal Fault" does): of 0x12345000, in bits 51:12,
 * that is 0xfffffedcba000.
 */
static const struct golden golden = {
	.branch = 0x0000000012345007,
	.branch_last = 0x00000ffffffff007,
	.branch_readonly = 0x0000000012345005,
	.branch_look = 0x0000000012345207,
	.branch_hidden = 0x000fffffedcba406,
	.page_r = 0x8000000012345005,
	.page_rx = 0x0000000012345005,
	.page_rw = 0x8000000012345007,
	.page_rwx = 0x0000000012345007,
	.page_none = 0x800fffffedcba404,
	.page_rw_hidden = 0x800fffffedcba406,
	.page_r_used = 0x8000000012345025,
	.page_rw_used = 0x8000000012345067,
	.page_rw_to_rx = 0x0000000012345005,
	.mid_r = 0x8000000012200085,
	.mid_rx = 0x0000000012200085,
	.mid_rw = 0x8000000012200087,
	.big_r = 0x80000000c0000085,
	.big_rw = 0x80000000c0000087,
	.big_none = 0x800fffff3ffff484,
	.page_lazy = 0x8000000012345205,
	.swapped = 0x000ffffffffaa800,
	.mid_part_5 = 0x8000000012205007,
	.big_part_511 = 0x80000000ffe00085,
	.mid_part_5_hidden = 0x800fffffeddfa406,
};
#if HF_ARCH_LEVELS == 5
#define LEVELS 5
#define VA_END 0x0100000000000000 /* SDM 3.3.7.1, 4.5.1: bits 63 to 57 equal bit 56 */
#else
#define LEVELS 4
#define VA_END 0x0000800000000000 /* SDM 3.3.7.1: bits 63 to 48 equal bit 47 */
#endif
#endif

static void the_shape(void **state)
{
	(void)state;
	SAME(HF_TOP_LEVEL, LEVELS - 1);
	SAME(HF_VA_END, VA_END);
	SAME(hf_table_index(VA_END - 1, HF_TOP_LEVEL), (VA_END - 1) / hf_level_size(HF_TOP_LEVEL));
}

static void branches(void **state)
{
	hf_pte e = hf_branch_mkwrite(hf_branch_make(small));

	(void)state;
	SAME(e.v, golden.branch);
	SAME(hf_branch_mkwrite(hf_branch_make(last)).v, golden.branch_last);
	SAME(hf_branch_make(small).v, golden.branch_readonly);
	SAME(hf_branch_wrprotect(e).v, golden.branch_readonly);
	SAME(hf_branch_mkwrite(hf_branch_wrprotect(e)).v, golden.branch);
	SAME(hf_branch_mklook(e).v, golden.branch_look);
	SAME(hf_branch_clear_look(hf_branch_mklook(e)).v, golden.branch);
	if (golden.branch_armed) {
		hf_pte armed = hf_branch_arm(hf_branch_wrprotect(e));

		SAME(armed.v, golden.branch_armed);
		SAME(hf_branch_wrprotect(armed).v, golden.branch_armed);
		SAME(hf_branch_mkwrite(armed).v, golden.branch);
		assert_true(hf_pte_wellformed(armed, PMD));
	}
}

/* A leaf with write permission, as the core puts it there for a mapping. */
static uint64_t writable(hf_pfn pfn, unsigned level, unsigned prot)
{
	return hf_leaf_mkwrite(hf_leaf_make(pfn, level, prot)).v;
}

static void small_leaves(void **state)
{
	hf_pte r = hf_leaf_make(small, PTE, R), rw = { writable(small, PTE, R | W) };

	(void)state;
	SAME(r.v, golden.page_r);
	SAME(hf_leaf_make(small, PTE, R | W).v, golden.page_r); /* write-protected at first */
	SAME(hf_leaf_make(small, PTE, R | X).v, golden.page_rx);
	SAME(rw.v, golden.page_rw);
	SAME(writable(small, PTE, R | W | X), golden.page_rwx);
	SAME(hf_leaf_make(small, PTE, HF_PROT_NONE).v, golden.page_none);
	SAME(hf_leaf_mkaccessed(r, false).v, golden.page_r_used);
	SAME(hf_leaf_mkaccessed(rw, true).v, golden.page_rw_used);
	SAME(hf_leaf_mklazy(r).v, golden.page_lazy);
	SAME(hf_leaf_clear_lazy(hf_leaf_mklazy(r)).v, golden.page_r);
	SAME(hf_leaf_mkold(hf_leaf_mkaccessed(r, false)).v, golden.page_r);
	SAME(hf_leaf_with_prot(rw, PTE, R | X).v, golden.page_rw_to_rx);
	SAME(hf_pte_with_pfn(hf_leaf_make(last, PTE, R), small).v, golden.page_r);
}

static void huge_leaves(void **state)
{
	(void)state;
	SAME(hf_leaf_make(mid, PMD, R).v, golden.mid_r);
	SAME(hf_leaf_make(mid, PMD, R | X).v, golden.mid_rx);
	SAME(writable(mid, PMD, R | W), golden.mid_rw);
	SAME(hf_leaf_make(big, PUD, R).v, golden.big_r);
	SAME(writable(big, PUD, R | W), golden.big_rw);
	SAME(hf_leaf_make(big, PUD, HF_PROT_NONE).v, golden.big_none);
}

static void parts_of_huge_leaves(void **state)
{
	(void)state;
	SAME(hf_leaf_part((hf_pte){ golden.mid_rw }, PMD, 5).v, golden.mid_part_5);
	SAME(hf_leaf_part((hf_pte){ golden.big_r }, PUD, 511).v, golden.big_part_511);
}

static void what_is_away(void **state)
{
	hf_pte e = hf_swapped_make(0x55);

	(void)state;
	SAME(e.v, golden.swapped);
	SAME(hf_swapped_slot(e), 0x55);
	assert_false(hf_pte_present(e) || hf_pte_leaf(e, PTE) || hf_pte_branch(e, PMD));
	SAME(hf_pte_wrprotect(e, PTE).v, golden.swapped);
}

/* What is hidden keeps its frame, whatever is done to it. */
static void hiding(void **state)
{
	const hf_pte rw = { golden.page_rw }, branch = { golden.branch },
		     mid_rw = { golden.mid_rw };
	hf_pte e = hf_pte_mkhidden(rw);

	(void)state;
	SAME(e.v, golden.page_rw_hidden);
	SAME(hf_pte_mkhidden(e).v, golden.page_rw_hidden);
	SAME(hf_pte_pfn(e).v, small.v);
	SAME(hf_pte_mkshown(e).v, golden.page_rw);
	SAME(hf_pte_mkshown(hf_pte_with_pfn(e, last)).v, hf_pte_with_pfn(rw, last).v);
	SAME(hf_leaf_with_prot(rw, PTE, HF_PROT_NONE).v,
	     golden.page_none | (golden.page_rw & hf_format.dirty));
	SAME(hf_leaf_with_prot(hf_leaf_with_prot(rw, PTE, HF_PROT_NONE), PTE, R | X).v,
	     golden.page_rw_to_rx);
	SAME(hf_pte_mkhidden(branch).v, golden.branch_hidden);
	SAME(hf_pte_pfn(hf_pte_mkhidden(branch)).v, small.v);
	SAME(hf_pte_mkshown(hf_pte_mkhidden(branch)).v, golden.branch);
	SAME(hf_leaf_part(hf_pte_mkhidden(mid_rw), PMD, 5).v, golden.mid_part_5_hidden);
	SAME(hf_pte_mkshown(hf_leaf_part(hf_pte_mkhidden(mid_rw), PMD, 5)).v, golden.mid_part_5);
	SAME(hf_swapped_slot(hf_swapped_make(0xffffffff)), 0xffffffff);
	/* one that is inverted and should not be, or the other way round */
	assert_false(hf_format.inverted &&
		     hf_pte_wellformed((hf_pte){ rw.v ^ hf_format.inverted }, PTE));
	assert_false(hf_format.inverted &&
		     hf_pte_wellformed((hf_pte){ e.v ^ hf_format.inverted }, PTE));
	assert_false(hf_format.inverted &&
		     hf_pte_wellformed((hf_pte){ golden.swapped ^ hf_format.inverted }, PTE));
}

/* An entry is read as what it was made. */
static void reading(void **state)
{
	const struct {
		uint64_t entry;
		unsigned level;
		bool branch, present, writable, executable;
	} cases[] = {
		{ golden.branch, PMD, true, true, true, false },
		{ golden.branch_look, HF_TOP_LEVEL, true, true, true, false },
		{ golden.branch_readonly, PMD, true, !hf_format.unarmed, false, false },
		{ golden.page_r, PTE, false, true, false, false },
		{ golden.page_rx, PTE, false, true, false, true },
		{ golden.page_rw, PTE, false, true, true, false },
		{ golden.page_rwx, PTE, false, true, true, true },
		{ golden.page_none, PTE, false, false, false, false },
		{ golden.page_rw_hidden, PTE, false, false, false, false },
		{ golden.mid_r, PMD, false, true, false, false },
		{ golden.mid_rw, PMD, false, true, true, false },
		{ golden.big_rw, PUD, false, true, true, false },
		{ golden.big_none, PUD, false, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hf_pte e = { cases[i].entry };
		unsigned level = cases[i].level;

		assert_true(hf_pte_wellformed(e, level));
		assert_false(hf_pte_none(e) || hf_pte_swapped(e));
		SAME(hf_pte_branch(e, level), cases[i].branch);
		SAME(hf_pte_leaf(e, level), !cases[i].branch);
		SAME(hf_pte_present(e), cases[i].present);
		SAME(hf_pte_writable(e, level), cases[i].writable);
		if (!cases[i].branch)
			SAME(hf_leaf_executable(e), cases[i].executable);
		SAME(hf_pte_pfn(e).v, level == PUD && !cases[i].branch	 ? big.v
				      : level == PMD && !cases[i].branch ? mid.v
									 : small.v);
	}
	assert_true(hf_pte_none((hf_pte){ 0 }));
	SAME(hf_pte_wrprotect((hf_pte){ 0 }, PTE).v, 0);
	SAME(hf_pte_wrprotect((hf_pte){ 0 }, PMD).v, 0);
}

/* A branch of nothing but frame 0 is not taken for nothing, whatever was done to it. */
static void frame_zero(void **state)
{
	const hf_pfn zero = { 0 };

	(void)state;
	assert_true(hf_pte_branch(hf_branch_make(zero), PMD));
	assert_true(hf_pte_branch(hf_branch_wrprotect(hf_branch_make(zero)), PMD));
	assert_true(hf_pte_branch(hf_pte_mkhidden(hf_branch_make(zero)), PMD));
	assert_true(hf_pte_leaf(hf_leaf_make(zero, PTE, HF_PROT_NONE), PTE));
	assert_true(hf_pte_leaf(hf_leaf_make(zero, PMD, HF_PROT_NONE), PMD));
	assert_false(hf_pte_none(hf_swapped_make(0)));
}

#define TEST(name) cmocka_unit_test(name)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(the_shape),
		TEST(branches),
		TEST(small_leaves),
		TEST(huge_leaves),
		TEST(parts_of_huge_leaves),
		TEST(what_is_away),
		TEST(hiding),
		TEST(reading),
		TEST(frame_zero),
	};

	return RUN(tests, argc, argv);
}
