/* SPDX-License-Identifier: MIT */
/*
 * The soft port: the caches on tables built by hand, flushes beside running CPUs, the DMA
 * engine; then the port and the core together. What a walk does with an entry is in
 * walk_*.c, for each format.
 */
#define _GNU_SOURCE
#include "rig.h"

#include "table/table.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 300 /* of what is tried beside threads that run */

/* ---- the TLB keeps what a flush leaves to it, and nothing else ---- */

/* Leaves of one size at va, and next to it: in range of a flush, and out of it. */
static void check_leaf_flushes(struct rig *rig, unsigned level, bool whole)
{
	uint64_t size = hf_level_size(level);
	hf_va va = VA & ~(size - 1), at = whole ? 0 : va;
	uint64_t len = whole ? WHOLE : size;
	hf_pa old = page_with(rig, 9 * level, 1);
	uint64_t *e = map_rw(rig, va, level, old);
	uint64_t *next = map_rw(rig, va + size, level, old), was;

	OK(try_store(rig, va));
	OK(try_store(rig, va + size));
	OK(try_fetch(rig, va));
	was = *e;

	/* Gone from the tables, but nobody has said so. */
	*e = *next = 0;
	OK(try_load(rig, va));
	OK(try_store(rig, va));
	OK(try_fetch(rig, va));

	/* Tables only: leaves stay, with all rights. */
	flush(rig, at, len, HF_FLUSH_TABLES);
	OK(try_load(rig, va));
	OK(try_store(rig, va));
	OK(try_fetch(rig, va));

	/*
	 * Write: reads and fetches go on. The store faults, which forgets the leaf; but on AArch64
	 * a fault handler forgets after a permission fault alone, and this is none.
	 */
	flush(rig, at, len, HF_FLUSH_WRITE);
	OK(try_load(rig, va));
	OK(try_fetch(rig, va));
	assert_int_equal(try_store(rig, va), HF_ERR_UNMAPPED);
	assert_int_equal(try_store(rig, va + size), whole ? HF_ERR_UNMAPPED : HF_OK);
	assert_int_equal(try_load(rig, va), FAULT_KEEPS ? HF_OK : HF_ERR_UNMAPPED);

	/* Leaves: everything in the range, nothing next to it. */
	*e = *next = was;
	OK(try_store(rig, va));
	OK(try_fetch(rig, va));
	OK(try_store(rig, va + size));
	*e = *next = 0;
	flush(rig, at, len, HF_FLUSH_LEAVES);
	assert_int_equal(try_store(rig, va + size), whole ? HF_ERR_UNMAPPED : HF_OK);
	assert_int_equal(try_fetch(rig, va), HF_ERR_UNMAPPED);
	assert_int_equal(try_load(rig, va), HF_ERR_UNMAPPED);
}

static void test_flush_small(void **state)
{
	check_leaf_flushes(*state, 0, false);
}

static void test_flush_2m(void **state)
{
	check_leaf_flushes(*state, 1, false);
}

static void test_flush_1g(void **state)
{
	check_leaf_flushes(*state, 2, false);
}

static void test_flush_whole(void **state)
{
	check_leaf_flushes(*state, 0, true);
}

/*
 * Flushes of everything are counted, not carried out. What was forgotten stays so when the
 * counter comes round, wherever that is.
 */
static void test_many_whole_flushes(void **state)
{
	struct rig *rig = *state;
	uint64_t *e = map_rw(rig, VA, 0, block(rig, 0)), was;

	OK(try_store(rig, VA));
	was = *e;
	for (unsigned n = PAGE - 8; n < PAGE + 8; n++) {
		for (unsigned i = 0; i < n; i++)
			flush(rig, 0, WHOLE, HF_FLUSH_WRITE);
		*e = was;
		forbid_write(e);
		assert_int_equal(try_store(rig, VA), HF_ERR_UNMAPPED);
		*e = was;
		OK(try_store(rig, VA));
		OK(try_fetch(rig, VA));
		*e = 0;
		for (unsigned i = 0; i < n; i++)
			flush(rig, 0, WHOLE, HF_FLUSH_LEAVES);
		assert_int_equal(try_fetch(rig, VA), HF_ERR_UNMAPPED);
		*e = was;
		OK(try_load(rig, VA));
		*e = 0;
		for (unsigned i = 0; i < n; i++)
			flush(rig, 0, WHOLE, HF_FLUSH_LEAVES);
		assert_int_equal(try_load(rig, VA), HF_ERR_UNMAPPED);
		*e = was;
		OK(try_store(rig, VA));
	}
}

/* Two pages in the one entry of the TLB are not mistaken for each other, at any count. */
static void test_many_flushes_of_one_entry(void **state)
{
	struct rig *rig = *state;

	map_rw(rig, VA, 0, page_with(rig, 0, 1));
	map_rw(rig, VA + PAGE, 0, page_with(rig, 0, 2));
	for (unsigned i = 0; i < 2 * PAGE + 8; i++) {
		assert_int_equal(load8(rig, VA), 1);
		assert_int_equal(load8(rig, VA + PAGE), 2);
		assert_int_equal(load8(rig, VA), 1);
		flush(rig, 0, WHOLE, HF_FLUSH_LEAVES);
	}
}

/* A range of a few pages within a large one takes all of it; longer than the TLB, too. */
static void test_flush_across_sizes(void **state)
{
	struct rig *rig = *state;
	hf_va big = VA & ~(2 * MIB - 1), far = big + GIB;
	uint64_t *pmd = map_rw(rig, big, 1, block(rig, 9));
	uint64_t *pte = map_rw(rig, far, 0, block(rig, 0));

	OK(try_load(rig, big));
	*pmd = 0;
	flush(rig, big + 2 * MIB, PAGE, HF_FLUSH_LEAVES);
	flush(rig, big - PAGE, PAGE, HF_FLUSH_LEAVES);
	OK(try_load(rig, big));
	flush(rig, big + MIB, PAGE, HF_FLUSH_LEAVES);
	assert_int_equal(try_load(rig, big), HF_ERR_UNMAPPED);

	OK(try_load(rig, far));
	*pte = 0;
	flush(rig, big, GIB, HF_FLUSH_LEAVES); /* ends where `far` begins */
	OK(try_load(rig, far));
	flush(rig, big, GIB + PAGE, HF_FLUSH_LEAVES);
	assert_int_equal(try_load(rig, far), HF_ERR_UNMAPPED);
}

/* Only the CPUs of the space that is meant; loading the root empties everything. */
static void test_flush_of_another_space(void **state)
{
	struct rig *rig = *state;
	uint64_t *e = map_rw(rig, VA, 0, block(rig, 0)), was;
	struct hf_mm other;
	uint64_t flushes = stats_of(rig).flushes;

	OK(hf_mm_create(&other, rig->phys, NULL));
	OK(try_load(rig, VA));
	was = *e;
	*e = 0;
	hf_soft_port()->flush(rig->soft, &other, 0, WHOLE, HF_FLUSH_LEAVES);
	OK(try_load(rig, VA));
	assert_int_equal(stats_of(rig).flushes, flushes);
	hf_soft_switch(rig->cpu, &other);
	assert_int_equal(try_load(rig, VA), HF_ERR_UNMAPPED);
	hf_soft_switch(rig->cpu, &rig->mm);
	assert_int_equal(try_load(rig, VA), HF_ERR_UNMAPPED);
	*e = was;
	OK(try_load(rig, VA));
	hf_mm_destroy(&other);
}

/* ---- the branch cache ---- */

/* Addresses that share VA's branch at `level` and nothing below it. */
static hf_va near(unsigned level, unsigned n)
{
	return VA + n * hf_level_size(level - 1);
}

/*
 * Let VA's branch at `level` be cached, and then lead it to another table: by the old
 * one near(level, n) holds 10 + n, by the new one 20 + n. Returns the branch, which may be
 * used (finish) only after a flush in formats that want such an entry broken first.
 */
static uint64_t *replace_table(struct rig *rig, unsigned level, unsigned nears)
{
	hf_pa copy = block(rig, 0);
	uint64_t *branch, *table = host_of(rig, copy);

	map_rw(rig, VA, 0, block(rig, 0));
	for (unsigned n = 1; n <= nears; n++)
		map_rw(rig, near(level, n), 0, page_with(rig, 0, 10 + n));
	OK(try_load(rig, VA));
	branch = entry_of(rig, VA, level);
	memcpy(table, host_of(rig, address_of(*branch)), PAGE);
	*branch = branch_to(copy) & ~(BREAK_FIRST ? VALID : 0);
	for (unsigned n = 1; n <= nears; n++) {
		table[index_of(near(level, n), level - 1)] = 0;
		map_rw(rig, near(level, n), 0, page_with(rig, 0, 20 + n));
	}
	return branch;
}

static void finish(uint64_t *branch)
{
	*branch |= VALID;
}

static void check_branch_flushes(struct rig *rig, unsigned level, bool whole)
{
	uint64_t span = hf_level_size(level), hits, *branch;
	hf_va base = VA & ~(span - 1);

	branch = replace_table(rig, level, 5);
	hits = stats_of(rig).branch_hits;
	assert_int_equal(load8(rig, near(level, 1)), 11);
	assert_int_equal(stats_of(rig).branch_hits, hits + 1);
	flush(rig, 0, WHOLE, HF_FLUSH_WRITE);
	assert_int_equal(load8(rig, near(level, 2)), 12);
	/* What is about other addresses, though it may share a slot of the cache. */
	flush(rig, base - span, span, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	for (unsigned n = 1; n <= 64; n *= 2)
		flush(rig, base + n * span, span, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	assert_int_equal(load8(rig, near(level, 3)), 13);

	/* A page of the branch's range is enough. The leaves that came by it may stay. */
	flush(rig, whole ? 0 : base + span - PAGE, whole ? WHOLE : PAGE, HF_FLUSH_TABLES);
	assert_int_equal(load8(rig, near(level, 3)), 13);
	if (BREAK_FIRST) /* not beside others that are valid */
		flush(rig, base, span, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	finish(branch);
	assert_int_equal(load8(rig, near(level, 4)), 24);
	flush(rig, near(level, 3), PAGE, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	assert_int_equal(load8(rig, near(level, 3)), 23);
}

static void test_branch_to_pte_table(void **state)
{
	check_branch_flushes(*state, 1, false);
}

static void test_branch_to_pmd_table(void **state)
{
	check_branch_flushes(*state, 2, false);
}

static void test_branch_to_pud_table(void **state)
{
	NEEDS(LEVELS > 3, "the root is a table of PUDs");
	check_branch_flushes(*state, 3, false);
}

static void test_branch_whole_flush(void **state)
{
	check_branch_flushes(*state, 2, true);
}

/* HF_FLUSH_LEAVES means: nothing of the range, so branches too. */
/* Who removes tables asks for both. */
static void test_branch_stays_when_leaves_go(void **state)
{
	struct rig *rig = *state;

	uint64_t *branch = replace_table(rig, 1, 4);

	flush(rig, VA, PAGE, HF_FLUSH_LEAVES);
	assert_int_equal(load8(rig, near(1, 2)), 12);
	flush(rig, 0, WHOLE, HF_FLUSH_LEAVES);
	assert_int_equal(load8(rig, near(1, 3)), 13);
	flush(rig, VA, PAGE, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	flush(rig, near(1, 2), 2 * PAGE, HF_FLUSH_LEAVES);
	finish(branch);
	assert_int_equal(load8(rig, near(1, 4)), 24);
}

/* The right to write goes from branches as it goes from leaves, by HF_FLUSH_WRITE alone. */
static void check_branch_write(struct rig *rig, unsigned level)
{
	uint64_t *branch, allows;

	NEEDS(BRANCH_DENIES_WRITE, "a branch of this format cannot deny writing");
	for (unsigned n = 1; n <= 4; n++)
		map_rw(rig, near(level, n), 0, block(rig, 0));
	map_rw(rig, VA, 0, block(rig, 0));
	OK(try_load(rig, VA));
	branch = entry_of(rig, VA, level);
	allows = *branch;
	*branch = (allows & ~BRANCH_WRITE) | BRANCH_READONLY;
	OK(try_store(rig, near(level, 1)));
	flush(rig, VA, PAGE, HF_FLUSH_WRITE);
	OK(try_load(rig, near(level, 2)));
	assert_int_equal(try_store(rig, near(level, 2)), HF_ERR_UNMAPPED);
	OK(try_load(rig, near(level, 3)));

	/* Given back: what is cached without it, leaf and branch, is spurious now. */
	*branch = allows;
	OK(try_store(rig, near(level, 2)));
	OK(try_store(rig, near(level, 3)));
	OK(try_store(rig, near(level, 4)));
}

static void test_branch_write(void **state)
{
	check_branch_write(*state, 1);
}

static void test_branch_write_of_pmd_table(void **state)
{
	check_branch_write(*state, 2);
}

static void test_branch_write_of_pud_table(void **state)
{
	NEEDS(LEVELS > 3, "the root is a table of PUDs");
	check_branch_write(*state, 3);
}

/* Flushes of all write permission are counted for branches, too, and the counter comes round. */
static void test_branch_write_whole_flushes(void **state)
{
	struct rig *rig = *state;
	uint64_t *branch, allows;

	NEEDS(BRANCH_DENIES_WRITE, "a branch of this format cannot deny writing");
	map_rw(rig, VA, 0, block(rig, 0));
	map_rw(rig, near(1, 1), 0, block(rig, 0));
	branch = entry_of(rig, VA, 1);
	for (unsigned n = PAGE - 8; n < PAGE + 8; n++) {
		flush(rig, 0, WHOLE, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
		OK(try_store(rig, VA));
		allows = *branch;
		*branch = (allows & ~BRANCH_WRITE) | BRANCH_READONLY;
		for (unsigned i = 0; i < n; i++)
			flush(rig, 0, WHOLE, HF_FLUSH_WRITE);
		OK(try_load(rig, near(1, 1)));
		assert_int_equal(try_store(rig, near(1, 1)), HF_ERR_UNMAPPED);
		*branch = allows;
	}
}

/* A walk that fails below a stale branch is tried from the root before anybody hears of it. */
static void test_spurious_not_present(void **state)
{
	struct rig *rig = *state;
	uint64_t *e, faults;

	NEEDS(!BREAK_FIRST, "a stale branch beside a valid one is a TLB conflict");
	e = host_of(rig, address_of(*replace_table(rig, 1, 1)));
	faults = stats_of(rig).faults;
	e[index_of(near(1, 2), 0)] = leaf_ro(page_with(rig, 0, 55), 0);
	assert_int_equal(load8(rig, near(1, 2)), 55);
	assert_int_equal(stats_of(rig).faults, faults);
	/* And with that the stale branch is gone. */
	assert_int_equal(load8(rig, near(1, 1)), 21);
}

static void test_statistics(void **state)
{
	struct rig *rig = *state;
	struct hf_soft_stats s;

	map_rw(rig, VA, 0, block(rig, 0));
	map_rw(rig, VA + PAGE, 0, block(rig, 0));
	OK(try_load(rig, VA));		 /* a walk from the root */
	OK(try_load(rig, VA + 8));	 /* a hit */
	OK(try_load(rig, VA + PAGE));	 /* a walk from the cached branch */
	(void)load8(rig, VA + PAGE - 4); /* two hits */
	assert_int_equal(try_load(rig, VA + 2 * PAGE), HF_ERR_UNMAPPED); /* a fault */
	flush(rig, VA, PAGE, HF_FLUSH_WRITE);
	s = stats_of(rig);
	assert_int_equal(s.accesses, 6);
	assert_int_equal(s.tlb_hits, 3);
	/* What faults walks again from the root, once it has forgotten the way. */
	assert_int_equal(s.walks, FAULT_KEEPS ? 3 : 4);
	assert_int_equal(s.branch_hits, 2);
	assert_int_equal(s.faults, 1);
	assert_int_equal(s.flushes, 1);
}

/* ---- accesses ---- */

static void test_sizes_and_alignments(void **state)
{
	struct rig *rig = *state;
	hf_pa first = block(rig, 0), gap = block(rig, 0), second = block(rig, 0);
	unsigned char *one = host_of(rig, first), *two = host_of(rig, second);

	(void)gap; /* so that the two are not neighbours in RAM */
	map_rw(rig, VA, 0, first);
	map_rw(rig, VA + PAGE, 0, second);
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned at = PAGE - 16; at <= PAGE + 8; at++) {
			const uint64_t value = 0xf1e2d3c4b5a69788;
			uint64_t got,
				mask = size == 8 ? ~(uint64_t)0 : ((uint64_t)1 << 8 * size) - 1;
			unsigned char around[32];

			memset(one + PAGE - 16, 0x5a, 16);
			memset(two, 0x5a, 16);
			OK(hf_soft_store(rig->cpu, VA + at, size, value));
			memcpy(around, one + PAGE - 16, 16);
			memcpy(around + 16, two, 16);
			for (unsigned i = 0; i < 32; i++) {
				unsigned n = i + PAGE - 16 - at; /* which byte of the value */

				assert_int_equal(around[i],
						 n < size ? value >> 8 * n & 0xff : 0x5a);
			}
			got = ~(uint64_t)0;
			OK(hf_soft_load(rig->cpu, VA + at, size, &got));
			assert_true(got == (value & mask));
			got = 0;
			OK(hf_soft_fetch(rig->cpu, VA + at, size, &got));
			assert_true(got == (value & mask));
		}
	}
}

/* An access of which a part faults has not happened. */
static void test_crossing_fault(void **state)
{
	struct rig *rig = *state;
	hf_pa pa = block(rig, 0);
	uint64_t value = 99;

	map_rw(rig, VA, 0, pa);
	map_ro(rig, VA + PAGE, 0, block(rig, 0));
	memset(host_of(rig, pa), 0x77, PAGE);
	assert_int_equal(hf_soft_store(rig->cpu, VA + PAGE - 4, 8, 0), HF_ERR_UNMAPPED);
	assert_int_equal(load8(rig, VA + PAGE - 8), 0x7777777777777777);
	assert_int_equal(hf_soft_store(rig->cpu, VA - 4, 8, 0), HF_ERR_UNMAPPED);
	assert_int_equal(load8(rig, VA), 0x7777777777777777);
	OK(hf_soft_load(rig->cpu, VA + PAGE - 4, 8, &value));
	*entry_of(rig, VA + PAGE, 0) = 0;
	flush(rig, VA + PAGE, PAGE, HF_FLUSH_LEAVES);
	value = 99;
	assert_int_equal(hf_soft_load(rig->cpu, VA + PAGE - 4, 8, &value), HF_ERR_UNMAPPED);
	assert_int_equal(value, 99);
}

static void test_arguments(void **state)
{
	static const unsigned bad[] = { 0, 3, 5, 6, 7, 9, 12, 16, 0x80000000, UINT32_MAX };
	struct rig *rig = *state;
	uint64_t value = 0, done = 9;
	bool swapped;
	char c;

	map_rw(rig, VA, 0, block(rig, 0));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(hf_soft_load(rig->cpu, VA, bad[i], &value), HF_ERR_INVAL);
		assert_int_equal(hf_soft_fetch(rig->cpu, VA, bad[i], &value), HF_ERR_INVAL);
		assert_int_equal(hf_soft_store(rig->cpu, VA, bad[i], 0), HF_ERR_INVAL);
		assert_int_equal(hf_soft_cmpxchg(rig->cpu, VA, bad[i], &value, 0, &swapped),
				 HF_ERR_INVAL);
	}
	for (unsigned size = 2; size <= 8; size *= 2)
		for (unsigned at = 1; at < size; at++)
			assert_int_equal(
				hf_soft_cmpxchg(rig->cpu, VA + at, size, &value, 0, &swapped),
				HF_ERR_ALIGN);
	assert_int_equal(hf_soft_copy_out(rig->cpu, VA, &c, 0, &done), HF_ERR_EMPTY);
	assert_int_equal(done, 0);
	assert_int_equal(hf_soft_copy_in(rig->cpu, VA, &c, 0, NULL), HF_ERR_EMPTY);

	OK(try_store(rig, VA));
	hf_soft_switch(rig->cpu, NULL);
	assert_int_equal(try_load(rig, VA), HF_ERR_INVAL);
	assert_int_equal(try_store(rig, VA), HF_ERR_INVAL);
	assert_int_equal(hf_soft_cmpxchg(rig->cpu, VA, 8, &value, 0, &swapped), HF_ERR_INVAL);
	assert_int_equal(hf_soft_copy_out(rig->cpu, VA, &c, 1, NULL), HF_ERR_INVAL);
}

static void test_cmpxchg(void **state)
{
	struct rig *rig = *state;
	unsigned char *page;
	hf_pa pa = block(rig, 0);

	page = host_of(rig, pa);
	map_rw(rig, VA, 0, pa);
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t mask = size == 8 ? ~(uint64_t)0 : ((uint64_t)1 << 8 * size) - 1;
		uint64_t expected = 0x1111111111111111;
		bool swapped = true;

		memset(page, 0x22, 24);
		OK(hf_soft_cmpxchg(rig->cpu, VA + 8, size, &expected, 0, &swapped));
		assert_false(swapped);
		assert_true(expected == (0x2222222222222222 & mask));
		OK(hf_soft_cmpxchg(rig->cpu, VA + 8, size, &expected, 0x3333333333333333,
				   &swapped));
		assert_true(swapped);
		assert_true(expected == (0x2222222222222222 & mask));
		for (unsigned i = 0; i < 24; i++)
			assert_int_equal(page[i], i >= 8 && i < 8 + size ? 0x33 : 0x22);
	}
	/* Write permission is needed even if nothing will be swapped. */
	forbid_write(entry_of(rig, VA, 0));
	flush(rig, VA, PAGE, HF_FLUSH_WRITE);
	assert_int_equal(hf_soft_cmpxchg(rig->cpu, VA, 8, &(uint64_t){ 1 }, 2, &(bool){ 0 }),
			 HF_ERR_UNMAPPED);
}

static void test_bulk_copies(void **state)
{
	struct rig *rig = *state;
	unsigned char *in = malloc(4 * PAGE), *out = malloc(4 * PAGE);
	uint64_t done;

	for (unsigned i = 0; i < 4 * PAGE; i++)
		in[i] = (unsigned char)(i * 7 + i / 251);
	for (unsigned i = 0; i < 3; i++)
		map_rw(rig, VA + (2 - i) * PAGE, 0, block(rig, 0));
	OK(hf_soft_copy_in(rig->cpu, VA + 5, in, 2 * PAGE + 100, &done));
	assert_int_equal(done, 2 * PAGE + 100);
	memset(out, 0, PAGE);
	OK(hf_soft_copy_out(rig->cpu, VA + 5, out, 2 * PAGE + 100, &done));
	assert_int_equal(done, 2 * PAGE + 100);
	assert_memory_equal(in, out, 2 * PAGE + 100);
	assert_int_equal(hf_soft_copy_out(rig->cpu, VA + 5, out, 4 * PAGE, &done), HF_ERR_UNMAPPED);
	assert_int_equal(done, 3 * PAGE - 5);
	forbid_write(entry_of(rig, VA + PAGE, 0));
	flush(rig, VA, 4 * PAGE, HF_FLUSH_WRITE);
	assert_int_equal(hf_soft_copy_in(rig->cpu, VA + 5, in, 2 * PAGE, &done), HF_ERR_UNMAPPED);
	assert_int_equal(done, PAGE - 5);
	free(in);
	free(out);
}

/* ---- flushes beside CPUs that run ---- */

/* Whether the stores succeed does not matter here. */
static void *store_on(void *arg)
{
	struct worker *w = arg;
	unsigned char buf[PAGE];

	for (uint64_t n = 1; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); n++) {
		hf_va va = VA + n % w->pages * PAGE;
		enum hf_status st;

		if (w->turn)
			pthread_mutex_lock(w->turn);
		if (w->bulk) {
			memset(buf, (int)n, PAGE);
			st = hf_soft_copy_in(w->cpu, va, buf, PAGE, NULL);
		} else {
			st = hf_soft_store(w->cpu, va, 8, n);
		}
		if (w->turn)
			pthread_mutex_unlock(w->turn);
		__atomic_store_n(&w->stores, w->stores + !st, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Let it store a few times, so that what is done next meets it at work. */
static void await_worker(const struct worker *w)
{
	uint64_t seen = __atomic_load_n(&w->stores, __ATOMIC_RELAXED);

	while (__atomic_load_n(&w->stores, __ATOMIC_RELAXED) < seen + 3)
		sched_yield();
}

static struct worker *start_worker(struct rig *rig, struct worker how)
{
	struct worker *w = &rig->worker[rig->worker_count];

	*w = how;
	assert_int_equal(pthread_create(&w->thread, NULL, store_on, w), 0);
	rig->worker_count++;
	await_worker(w);
	return w;
}

static void set_entry(uint64_t *e, uint64_t value)
{
	__atomic_store_n(e, value, __ATOMIC_RELEASE);
}

/* Whether the page at `host` stays as it is while `w`, if given, goes on storing. */
static bool is_quiet(const uint64_t *host, const struct worker *w)
{
	uint64_t before[512];

	for (unsigned i = 0; i < 512; i++)
		before[i] = __atomic_load_n(&host[i], __ATOMIC_RELAXED);
	if (w)
		await_worker(w);
	for (unsigned i = 0; i < 512; i++)
		if (before[i] != __atomic_load_n(&host[i], __ATOMIC_RELAXED))
			return false;
	return true;
}

/* A page that moves between two places. */
struct moving {
	struct rig *rig;
	hf_va va;
	uint64_t *entry;
	hf_pa pa[2];
	unsigned now;
};

static struct moving moving_page(struct rig *rig, hf_va va)
{
	struct moving m = { .rig = rig, .va = va, .pa = { block(rig, 0), block(rig, 0) } };

	m.entry = map_rw(rig, va, 0, m.pa[0]);
	return m;
}

/* Move it. The place that it leaves may not be written any more. */
static bool move(struct moving *m, const struct worker *w)
{
	const uint64_t *left = host_of(m->rig, m->pa[m->now]);

	m->now ^= 1;
	set_entry(m->entry, BREAK_FIRST ? 0 : leaf_rw(m->pa[m->now], 0));
	flush(m->rig, m->va, PAGE, HF_FLUSH_LEAVES);
	if (BREAK_FIRST)
		set_entry(m->entry, leaf_rw(m->pa[m->now], 0));
	return is_quiet(left, w);
}

static void check_moves(struct rig *rig, struct worker how)
{
	struct moving m = moving_page(rig, VA);
	struct worker *w;

	map_rw(rig, VA + PAGE, 0, block(rig, 0));
	w = start_worker(rig, how);
	for (unsigned i = 0; i < ROUNDS; i++)
		assert_true(move(&m, w));
}

static void test_move_beside_hits(void **state)
{
	struct rig *rig = *state;

	check_moves(rig, (struct worker){ .cpu = rig->cpu, .pages = 1 });
}

static void test_move_beside_copies(void **state)
{
	struct rig *rig = *state;

	check_moves(rig, (struct worker){ .cpu = rig->cpu, .pages = 1, .bulk = true });
}

/* With a TLB of one entry: the flush meets walkers on their way to fill it. */
static void test_move_beside_walks(void **state)
{
	struct rig *rig = *state;

	check_moves(rig, (struct worker){ .cpu = rig->cpu, .pages = 2 });
}

static void test_write_taken_beside_stores(void **state)
{
	struct rig *rig = *state;
	hf_pa pa = block(rig, 0);
	uint64_t *e = map_rw(rig, VA, 0, pa);
	struct worker *w = start_worker(rig, (struct worker){ .cpu = rig->cpu, .pages = 1 });

	for (unsigned i = 0; i < ROUNDS; i++) {
		forbid_write(e);
		flush(rig, i & 1 ? 0 : VA, i & 1 ? WHOLE : PAGE, HF_FLUSH_WRITE);
		assert_true(is_quiet(host_of(rig, pa), NULL));
		allow_write(e);
		await_worker(w);
	}
}

/*
 * Two tables take turns below a branch; the one that is out is filled with what a walker
 * that is still in it would panic at.
 */
static void test_table_replaced_beside_walks(void **state)
{
	struct rig *rig = *state;
	hf_pa copy = block(rig, 0);
	uint64_t *branch, *table[2], value[2], out[512], keep[512];
	struct worker *w;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t *e = map_rw(rig, VA + i * PAGE, 0, block(rig, 0));

		*e = marked(*e); /* so that no walk changes it */
	}
	branch = entry_of(rig, VA, 1);
	value[0] = *branch;
	value[1] = branch_to(copy);
	table[0] = host_of(rig, address_of(*branch));
	table[1] = host_of(rig, copy);
	memcpy(keep, table[0], PAGE);
	for (unsigned i = 0; i < 512; i++)
		out[i] = leaf_rw((hf_pa){ 512 * GIB }, 0);
	w = start_worker(rig, (struct worker){ .cpu = rig->cpu, .pages = 2 });
	for (unsigned i = 1; i <= ROUNDS; i++) {
		memcpy(table[i & 1], keep, PAGE);
		set_entry(branch, BREAK_FIRST ? 0 : value[i & 1]);
		flush(rig, VA & ~(2 * MIB - 1), 2 * MIB, HF_FLUSH_TABLES);
		set_entry(branch, value[i & 1]);
		memcpy(table[~i & 1], out, PAGE);
		await_worker(w);
	}
}

/* A flush reaches every CPU of the space. */
static void test_flush_of_two_cpus(void **state)
{
	struct rig *rig = *state;
	struct hf_soft_cpu *cpu[2] = { rig->cpu };
	struct moving m = moving_page(rig, VA);

	OK(hf_soft_cpu_create(rig->soft, &cpu[1]));
	hf_soft_switch(cpu[1], &rig->mm);
	for (unsigned i = 0; i < 4; i++) {
		OK(hf_soft_store(cpu[0], VA, 8, i));
		OK(hf_soft_store(cpu[1], VA, 8, i));
		(void)move(&m, NULL);
		OK(hf_soft_store(cpu[i & 1], VA, 8, 100 + i));
		for (unsigned k = 0; k < 2; k++) {
			uint64_t value;

			OK(hf_soft_load(cpu[k], VA, 8, &value));
			assert_int_equal(value, 100 + i);
		}
	}
	hf_soft_cpu_destroy(cpu[1]);
}

/* A CPU passes between two threads, and a third flushes. */
static void test_cpu_passes_between_threads(void **state)
{
	struct rig *rig = *state;
	pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct worker how = { .cpu = rig->cpu, .pages = 1, .turn = &turn };
	struct moving m = moving_page(rig, VA);
	const struct worker *w[2] = { start_worker(rig, how), start_worker(rig, how) };

	for (unsigned i = 0; i < ROUNDS / 4; i++)
		assert_true(move(&m, w[i & 1]));
	stop_workers(rig);
}

/* This thread has used the CPU, and another uses it now: it is not ours any more. */
static void test_cpu_was_ours(void **state)
{
	struct rig *rig = *state;
	pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct moving m = moving_page(rig, VA);
	struct worker *w =
		start_worker(rig, (struct worker){ .cpu = rig->cpu, .pages = 1, .turn = &turn });

	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		pthread_mutex_lock(&turn);
		OK(try_store(rig, VA));
		pthread_mutex_unlock(&turn);
		assert_true(move(&m, w));
	}
	stop_workers(rig);
}

struct flusher {
	struct moving page;
	const struct worker *worker;
	bool failed;
};

static void *move_on(void *arg)
{
	struct flusher *f = arg;

	for (unsigned i = 0; i < ROUNDS / 4; i++)
		f->failed |= !move(&f->page, f->worker);
	return NULL;
}

/* Two threads flush at once, and two CPUs run. */
static void test_two_flushers(void **state)
{
	struct rig *rig = *state;
	struct hf_soft_cpu *second;
	struct flusher f[2] = { { .page = moving_page(rig, VA) },
				{ .page = moving_page(rig, VA + PAGE) } };
	pthread_t thread[2];

	OK(hf_soft_cpu_create(rig->soft, &second));
	hf_soft_switch(second, &rig->mm);
	f[0].worker = start_worker(rig, (struct worker){ .cpu = rig->cpu, .pages = 2 });
	f[1].worker = start_worker(rig, (struct worker){ .cpu = second, .pages = 2 });
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, move_on, &f[i]);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	stop_workers(rig);
	hf_soft_cpu_destroy(second);
	assert_false(f[0].failed || f[1].failed);
}

/*
 * An access that is held up midway, in a thread of its own: the host page that it touches
 * next is protected, and the SIGSEGV handler says so by one pipe and waits at the other.
 */
struct held {
	struct rig *rig;
	void *page;
	enum hf_status status; /* what became of it */
	struct sigaction before;
	pthread_t thread;
};

static int is_held[2], go_on[2];

static void hold(int sig)
{
	char c = 0;

	(void)sig;
	if (write(is_held[1], &c, 1) != 1 || read(go_on[0], &c, 1) != 1)
		abort();
}

static void *store_held(void *arg)
{
	struct held *h = arg;

	h->status = try_store(h->rig, VA);
	return NULL;
}

static void *copy_held(void *arg)
{
	struct held *h = arg;
	char buf[16] = { 0 };

	h->status = hf_soft_copy_in(h->rig->cpu, VA, buf, sizeof(buf), NULL);
	return NULL;
}

/* `what` touches VA; it comes as far as to the host page that `in_page` lies in. */
static void hold_up(struct held *h, struct rig *rig, void *in_page, int prot, void *(*what)(void *))
{
	const struct sigaction action = { .sa_handler = hold };
	char c;

	if (sysconf(_SC_PAGESIZE) != PAGE) {
		print_message("skip: one 4 KiB page cannot be protected alone here\n");
		skip();
	}
	h->rig = rig;
	h->page = (void *)((uintptr_t)in_page & ~(PAGE - 1));
	assert_int_equal(pipe(is_held) | pipe(go_on), 0);
	assert_int_equal(sigaction(SIGSEGV, &action, &h->before), 0);
	assert_int_equal(mprotect(h->page, PAGE, prot), 0);
	assert_int_equal(pthread_create(&h->thread, NULL, what, h), 0);
	assert_int_equal(read(is_held[0], &c, 1), 1);
}

static void unprotect(const struct held *h)
{
	assert_int_equal(mprotect(h->page, PAGE, PROT_READ | PROT_WRITE), 0);
}

static enum hf_status let_go(struct held *h)
{
	char c = 0;

	assert_int_equal(write(go_on[1], &c, 1), 1);
	pthread_join(h->thread, NULL);
	sigaction(SIGSEGV, &h->before, NULL);
	for (unsigned i = 0; i < 2; i++) {
		close(is_held[i]);
		close(go_on[i]);
	}
	return h->status;
}

struct flush_call {
	struct rig *rig;
	unsigned what;
	bool called, returned;
};

static void *call_flush(void *arg)
{
	struct flush_call *f = arg;

	__atomic_store_n(&f->called, true, __ATOMIC_RELEASE);
	flush(f->rig, VA, PAGE, f->what);
	__atomic_store_n(&f->returned, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A flush does not return while the access is held up. */
static void check_flush_waits(struct rig *rig, void *in_page, unsigned flush_what,
			      void *(*what)(void *))
{
	struct flush_call f = { .rig = rig, .what = flush_what };
	bool early = false;
	pthread_t thread;
	struct held h;

	hold_up(&h, rig, in_page, PROT_NONE, what);
	assert_int_equal(pthread_create(&thread, NULL, call_flush, &f), 0);
	while (!__atomic_load_n(&f.called, __ATOMIC_ACQUIRE))
		sched_yield();
	for (unsigned i = 0; i < 20 && !early; i++) {
		usleep(1000);
		early = __atomic_load_n(&f.returned, __ATOMIC_ACQUIRE);
	}
	unprotect(&h);
	OK(let_go(&h));
	pthread_join(thread, NULL);
	assert_false(early);
}

/* The store has its translation, from a walk or (the second) the TLB, but is not done. */
static void test_flush_waits_for_access(void **state)
{
	struct rig *rig = *state;
	hf_pa pa = block(rig, 0);

	map_rw(rig, VA, 0, pa);
	check_flush_waits(rig, host_of(rig, pa), HF_FLUSH_LEAVES, store_held);
	OK(try_store(rig, VA));
	check_flush_waits(rig, host_of(rig, pa), HF_FLUSH_WRITE, store_held);
	check_flush_waits(rig, host_of(rig, pa), HF_FLUSH_LEAVES, copy_held);
}

/* The walker is in a table that the flush is about. What it finds there does not stay. */
static void test_flush_waits_for_walker(void **state)
{
	struct rig *rig = *state;
	uint64_t *e = map_rw(rig, VA, 0, block(rig, 0));

	check_flush_waits(rig, e, HF_FLUSH_LEAVES, store_held);
	*e = 0;
	assert_int_equal(try_load(rig, VA), HF_ERR_UNMAPPED);
}

/*
 * The entry changes after the walker has read it and before it has marked it: the mark is
 * put on what is there now, if that allows the access, and nothing else is put back.
 */
static void test_entry_changes_under_walker(void **state)
{
	struct rig *rig = *state;
	hf_pa second = block(rig, 0);
	uint64_t *e = map_rw(rig, VA, 0, block(rig, 0));
	struct held h;

	NEEDS(MARKS, "the hardware of this format writes no entries");
	hold_up(&h, rig, e, PROT_READ, store_held);
	unprotect(&h);
	*e = leaf_rw(second, 0) | SOFT_BITS;
	OK(let_go(&h));
	assert_int_equal(*e, marked(leaf_rw(second, 0) | SOFT_BITS));
	assert_int_equal(*(unsigned char *)host_of(rig, second), 1);

	*e = leaf_rw(second, 0);
	flush(rig, VA, PAGE, HF_FLUSH_LEAVES);
	hold_up(&h, rig, e, PROT_READ, store_held);
	unprotect(&h);
	*e = leaf_ro(second, 0);
	assert_int_equal(let_go(&h), HF_ERR_UNMAPPED);
	assert_int_equal(*e, leaf_ro(second, 0));
}

/* ---- the machine ---- */

static void test_config(void **state)
{
	static const struct {
		struct hf_soft_config config;
		enum hf_status status;
	} bad[] = {
		{ { .ram_bytes = 0 }, HF_ERR_EMPTY },
		{ { .ram_bytes = MIB + 1 }, HF_ERR_ALIGN },
		{ { .ram_bytes = MIB, .ram_base = 512 }, HF_ERR_ALIGN },
		{ { .ram_bytes = MIB, .tlb_entries = 3 }, HF_ERR_INVAL },
		{ { .ram_bytes = MIB, .tlb_entries = 1 << 21 }, HF_ERR_INVAL },
		{ { .ram_bytes = MIB, .ranges = 257 }, HF_ERR_EMPTY },
		{ { .ram_bytes = MIB, .count_limit = 1 }, HF_ERR_FLAGS },
		{ { .ram_bytes = MIB, .ram_base = (uint64_t)16 << 40 }, HF_ERR_RANGE },
		{ { .ram_bytes = (uint64_t)1 << 62 }, HF_ERR_RANGE },
		{ { .ram_bytes = ~(PAGE - 1), .ranges = UINT32_MAX }, HF_ERR_RANGE },
	};
	struct hf_soft *soft;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hf_soft_create(&bad[i].config, &soft), bad[i].status);
}

static void test_ranges(void **state)
{
	const struct hf_soft_config config = { .ram_bytes = 10 * MIB + PAGE,
					       .ranges = 3,
					       .ram_base = 4 * GIB };
	struct hf_soft *soft;
	struct hf_phys_stats stats;
	uint64_t found = 0, holes = 0;
	bool was = true;

	(void)state;
	OK(hf_soft_create(&config, &soft));
	hf_phys_stats(hf_soft_phys(soft), &stats);
	assert_int_equal(stats.total_bytes, config.ram_bytes);
	for (uint64_t pa = 4 * GIB - 4 * MIB; pa < 4 * GIB + 32 * MIB; pa += PAGE) {
		bool is = hf_phys_ptr(hf_soft_phys(soft), (hf_pa){ pa });

		assert_true(is || pa < 4 * GIB || pa > 4 * GIB + PAGE);
		found += is;
		holes += was && !is;
		was = is;
	}
	assert_int_equal(found * PAGE, config.ram_bytes);
	assert_int_equal(holes, 1 + 3);
	OK(hf_soft_destroy(soft));
}

static void test_busy(void **state)
{
	struct hf_soft *soft;
	struct hf_soft_cpu *cpu[2];
	struct hf_soft_dma *dma;
	struct hf_mm mm;

	(void)state;
	OK(hf_soft_create(&(struct hf_soft_config){ .ram_bytes = MIB }, &soft));
	OK(hf_soft_cpu_create(soft, &cpu[0]));
	OK(hf_soft_cpu_create(soft, &cpu[1]));
	hf_soft_cpu_destroy(cpu[0]);
	assert_int_equal(hf_soft_destroy(soft), HF_ERR_BUSY);
	hf_soft_cpu_destroy(cpu[1]);
	OK(hf_soft_dma_create(soft, &dma));
	assert_int_equal(hf_soft_destroy(soft), HF_ERR_BUSY);
	hf_soft_dma_destroy(dma);
	OK(hf_mm_create(&mm, hf_soft_phys(soft), NULL));
	assert_int_equal(hf_soft_destroy(soft), HF_ERR_BUSY);
	hf_mm_destroy(&mm);
	OK(hf_soft_destroy(soft));
}

/* What is discarded reads as zeros and is the host's again. */
static void test_discard(void **state)
{
	struct rig *rig = *state;
	hf_pa pa;

	OK(hf_phys_alloc(rig->phys, 9, &pa));
	memset(host_of(rig, pa), 0xff, 2 * MIB);
	OK(hf_phys_free(rig->phys, pa, 9));
	assert_true(hf_phys_trim(rig->phys, 0) >= 2 * MIB);
	for (uint64_t i = 0; i < 2 * MIB; i += 512)
		assert_int_equal(*(unsigned char *)host_of(rig, (hf_pa){ pa.v + i }), 0);
}

/* ...but not what lies beside it, also where the host's own pages are larger than 4 KiB. */
static void test_discard_of_every_other_page(void **state)
{
	struct rig *rig = *state;
	hf_pa pa[64];

	for (unsigned i = 0; i < 64; i++) {
		OK(hf_phys_alloc(rig->phys, 0, &pa[i]));
		memset(host_of(rig, pa[i]), 0xff, PAGE);
	}
	for (unsigned i = 0; i < 64; i += 2)
		OK(hf_phys_free(rig->phys, pa[i], 0));
	hf_phys_trim(rig->phys, 0);
	for (unsigned i = 0; i < 64; i++)
		for (uint64_t at = 0; at < PAGE; at += 512)
			assert_int_equal(*((unsigned char *)host_of(rig, pa[i]) + at),
					 i % 2 ? 0xff : 0);
	for (unsigned i = 1; i < 64; i += 2)
		OK(hf_phys_free(rig->phys, pa[i], 0));
}

static void *wait_on(void *arg)
{
	uint32_t *word = arg;

	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		hf_soft_port()->wait(NULL, word, 0);
	return NULL;
}

static void test_wait_and_wake(void **state)
{
	uint32_t word = 0;
	pthread_t thread[2];

	(void)state;
	hf_soft_port()->wait(NULL, &word, 1); /* not the value: returns */
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, wait_on, &word);
	usleep(10000);
	__atomic_store_n(&word, 1, __ATOMIC_RELEASE);
	hf_soft_port()->wake(NULL, &word);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

/* ---- the DMA engine ---- */

static void test_dma(void **state)
{
	struct rig *rig = *state;
	struct hf_soft_dma *dma;
	hf_pa pa = block(rig, 4);
	unsigned char *buf = malloc(16 * PAGE), *back = malloc(16 * PAGE);

	OK(hf_soft_dma_create(rig->soft, &dma));
	for (unsigned i = 0; i < 16 * PAGE; i++)
		buf[i] = (unsigned char)(i * 13 + i / 509);
	OK(hf_soft_dma_write(dma, (hf_pa){ pa.v + 3 }, buf, 16 * PAGE - 3));
	OK(hf_soft_dma_read(dma, (hf_pa){ pa.v + 3 }, back, 16 * PAGE - 3));
	hf_soft_dma_wait(dma);
	assert_memory_equal(buf, back, 16 * PAGE - 3);
	assert_memory_equal(buf, (char *)host_of(rig, pa) + 3, 16 * PAGE - 3);
	hf_soft_dma_wait(dma); /* of an empty queue returns */
	hf_soft_dma_destroy(dma);
	free(buf);
	free(back);
}

/* More transfers than the queue holds are done in order, and destroy finishes them. */
static void test_dma_order(void **state)
{
	enum {
		COUNT = 1000
	};
	struct rig *rig = *state;
	struct hf_soft_dma *dma;
	hf_pa pa = block(rig, 0);
	uint32_t *in = calloc(COUNT, sizeof(*in)), *out = calloc(COUNT, sizeof(*out));

	OK(hf_soft_dma_create(rig->soft, &dma));
	for (uint32_t i = 0; i < COUNT; i++) {
		in[i] = i + 1;
		OK(hf_soft_dma_write(dma, pa, &in[i], sizeof(in[i])));
		OK(hf_soft_dma_read(dma, pa, &out[i], sizeof(out[i])));
	}
	hf_soft_dma_destroy(dma);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(out[i], i + 1);
	free(in);
	free(out);
}

static void test_dma_range(void **state)
{
	const uint64_t end = GIB + 64 * MIB;
	struct rig *rig = *state;
	struct hf_soft_dma *dma;
	char buf[16] = { 0 };

	OK(hf_soft_dma_create(rig->soft, &dma));
	assert_int_equal(hf_soft_dma_write(dma, (hf_pa){ GIB }, buf, 0), HF_ERR_EMPTY);
	assert_int_equal(hf_soft_dma_read(dma, (hf_pa){ GIB }, buf, 0), HF_ERR_EMPTY);
	assert_int_equal(hf_soft_dma_write(dma, (hf_pa){ GIB - 1 }, buf, 16), HF_ERR_RANGE);
	assert_int_equal(hf_soft_dma_read(dma, (hf_pa){ end - 15 }, buf, 16), HF_ERR_RANGE);
	assert_int_equal(hf_soft_dma_read(dma, (hf_pa){ end }, buf, 1), HF_ERR_RANGE);
	assert_int_equal(hf_soft_dma_read(dma, (hf_pa){ end - 16 }, buf, UINT64_MAX - 8),
			 HF_ERR_RANGE);
	OK(hf_soft_dma_read(dma, (hf_pa){ end - 16 }, buf, 16));
	hf_soft_dma_destroy(dma);
}

/* ---- with the core ---- */

static void check_state(struct rig *rig)
{
	struct hf_violation v;

	if (hf_mm_check(rig->phys, &v))
		fail_msg("%s at %#llx", v.rule, (unsigned long long)v.va);
}

static void test_core_faults(void **state)
{
	struct rig *rig = *state;
	hf_va va = 0;
	uint64_t value = 1;

	OK(hf_mmap(&rig->mm, &va, MIB, HF_PROT_READ | HF_PROT_WRITE, 0));
	assert_int_equal(load8(rig, va), 0); /* the zero page, then a page of its own */
	OK(hf_soft_store(rig->cpu, va, 8, 7));
	assert_int_equal(load8(rig, va), 7);
	OK(hf_soft_store(rig->cpu, va + PAGE - 4, 8, ~(uint64_t)0));
	assert_int_equal(load8(rig, va + PAGE), 0xffffffff);
	assert_int_equal(hf_soft_fetch(rig->cpu, va, 1, &value), HF_ERR_ACCESS);
	OK(hf_mprotect(&rig->mm, va, PAGE, HF_PROT_READ));
	assert_int_equal(hf_soft_store(rig->cpu, va, 8, 8), HF_ERR_ACCESS);
	OK(hf_munmap(&rig->mm, va, PAGE));
	assert_int_equal(hf_soft_load(rig->cpu, va, 8, &value), HF_ERR_UNMAPPED);
	check_state(rig);
}

static void test_core_fork(void **state)
{
	struct rig *rig = *state;
	struct hf_soft_cpu *second;
	struct hf_mm child;
	hf_va va = 0;
	uint64_t value;

	OK(hf_mmap(&rig->mm, &va, 4 * MIB, HF_PROT_READ | HF_PROT_WRITE, 0));
	OK(hf_madvise(&rig->mm, va, 2 * MIB, HF_ADV_HUGEPAGE));
	for (hf_va at = va; at < va + 4 * MIB; at += 512 * KIB)
		OK(hf_soft_store(rig->cpu, at, 8, at));
	OK(hf_fork(&rig->mm, &child, NULL, HF_FORK_COPY));
	OK(hf_soft_cpu_create(rig->soft, &second));
	hf_soft_switch(second, &child);
	for (hf_va at = va; at < va + 4 * MIB; at += 512 * KIB) {
		OK(hf_soft_store(rig->cpu, at, 8, 1));
		OK(hf_soft_load(second, at, 8, &value));
		assert_int_equal(value, at);
		OK(hf_soft_store(second, at, 8, 2));
		assert_int_equal(load8(rig, at), 1);
	}
	check_state(rig);
	hf_soft_cpu_destroy(second);
	hf_mm_destroy(&child);
}

/* Parent and child, each on a CPU of its own, with eight small pages from `va` on, and one more. */
struct family {
	struct rig *rig;
	struct hf_mm child;
	struct hf_soft_cpu *cpu; /* the child's */
	hf_va va;
};

static void make_family(struct family *f, struct rig *rig)
{
	*f = (struct family){ .rig = rig };
	OK(hf_mmap(&rig->mm, &f->va, 4 * MIB, HF_PROT_READ | HF_PROT_WRITE, 0));
	for (unsigned i = 0; i < 8; i++)
		OK(hf_soft_store(rig->cpu, f->va + i * PAGE, 8, 100 + i));
	OK(hf_soft_store(rig->cpu, f->va + 2 * MIB, 8, 200));
	OK(hf_fork(&rig->mm, &f->child, NULL, HF_FORK_COPY));
	OK(hf_soft_cpu_create(rig->soft, &f->cpu));
	hf_soft_switch(f->cpu, &f->child);
}

static void end_child(struct family *f)
{
	hf_soft_cpu_destroy(f->cpu);
	hf_mm_destroy(&f->child);
	check_state(f->rig);
}

static uint64_t child_load8(struct family *f, hf_va va)
{
	uint64_t value = 0;

	OK(hf_soft_load(f->cpu, va, 8, &value));
	return value;
}

/*
 * Tables that parent and child share are read by both, and by that become readable by the
 * hardware in formats whose branches cannot deny writing: never writable.
 */
static void test_core_read_then_write(void **state)
{
	struct rig *rig = *state;
	struct family f;

	make_family(&f, rig);
	assert_int_equal(child_load8(&f, f.va), 100);
	check_state(rig);
	OK(hf_soft_store(f.cpu, f.va + PAGE, 8, 1));
	assert_int_equal(load8(rig, f.va + PAGE), 101);
	check_state(rig);
	OK(hf_soft_store(rig->cpu, f.va + 2 * PAGE, 8, 2));
	assert_int_equal(child_load8(&f, f.va + 2 * PAGE), 102);
	check_state(rig);
	end_child(&f);
}

/* A CPU that has walked through a branch before the fork must not write through it after. */
static void test_core_write_by_cached_branch(void **state)
{
	struct rig *rig = *state;
	struct family f;

	make_family(&f, rig);
	for (unsigned i = 0; i < 8; i++)
		OK(hf_soft_store(rig->cpu, f.va + i * PAGE, 8, 200 + i));
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(child_load8(&f, f.va + i * PAGE), 100 + i);
	end_child(&f);
}

/* When the other sharer has gone, a read gives a branch that was not armed all it had. */
static void test_core_own_again(void **state)
{
	struct rig *rig = *state;
	struct family f;
	uint64_t faults;

	make_family(&f, rig);
	end_child(&f);
	hf_soft_switch(rig->cpu, &rig->mm);
	assert_int_equal(load8(rig, f.va), 100);
	faults = stats_of(rig).faults;
	OK(hf_soft_store(rig->cpu, f.va, 8, 1));
	OK(hf_soft_store(rig->cpu, f.va + PAGE, 8, 1));
	if (!BRANCH_DENIES_WRITE)
		assert_int_equal(stats_of(rig).faults, faults);
	check_state(rig);
}

/*
 * A page that was read before the fork is in the TLB; whoever unmaps it has to flush it, also
 * where the branch to its table is not valid any more. (The table above stays.)
 */
static void test_core_unmap_what_is_shared(void **state)
{
	struct rig *rig = *state;
	struct family f;

	make_family(&f, rig);
	OK(hf_munmap(&rig->mm, f.va, 2 * MIB));
	assert_int_equal(try_load(rig, f.va), HF_ERR_UNMAPPED);
	assert_int_equal(child_load8(&f, f.va), 100);
	end_child(&f);
}

/* A huge page that a CPU has cached becomes small ones, one of which goes. */
static void test_core_split_of_what_is_cached(void **state)
{
	struct rig *rig = *state;
	hf_va va = 0;

	OK(hf_mmap(&rig->mm, &va, 2 * MIB, HF_PROT_READ | HF_PROT_WRITE, 0));
	OK(hf_madvise(&rig->mm, va, 2 * MIB, HF_ADV_HUGEPAGE));
	OK(hf_soft_store(rig->cpu, va, 8, 5));
	OK(hf_munmap(&rig->mm, va + PAGE, PAGE));
	assert_int_equal(load8(rig, va), 5);
	assert_int_equal(load8(rig, va + 2 * PAGE), 0);
	OK(hf_soft_store(rig->cpu, va, 8, 6));
	assert_int_equal(try_load(rig, va + PAGE), HF_ERR_UNMAPPED);
	check_state(rig);
}

/* The core's own entry for a small page of the rig's space. */
static hf_pte *core_leaf(struct rig *rig, hf_va va)
{
	hf_pfn table = rig->mm.root;

	for (unsigned level = HF_TOP_LEVEL; level; level--)
		table = hf_pte_pfn(hf_table_entries(rig->phys, table)[hf_table_index(va, level)]);
	return hf_table_entries(rig->phys, table) + hf_table_index(va, 0);
}

/* What the clock has called old is marked anew by the next access, whoever marks. */
static void test_core_old_pages_are_marked(void **state)
{
	struct rig *rig = *state;
	hf_va va = 0;
	hf_pte *e;

	OK(hf_mmap(&rig->mm, &va, 2 * PAGE, HF_PROT_READ | HF_PROT_WRITE, 0));
	OK(hf_soft_store(rig->cpu, va, 8, 5));
	e = core_leaf(rig, va);
	assert_true(hf_leaf_accessed(*e) && hf_leaf_dirty(*e));
	for (unsigned store = 0; store < 2; store++) {
		hf_pte_update(e, hf_leaf_mkold);
		flush(rig, va, PAGE, HF_FLUSH_LEAVES);
		if (store)
			OK(hf_soft_store(rig->cpu, va, 8, 6));
		else
			assert_int_equal(load8(rig, va), 5);
		assert_true(hf_leaf_accessed(*e));
	}
	hf_pte_update(e, hf_leaf_mkclean);
	flush(rig, va, PAGE, HF_FLUSH_WRITE);
	assert_int_equal(load8(rig, va), 6);
	assert_false(hf_leaf_dirty(*e));
	OK(hf_soft_store(rig->cpu, va, 8, 7));
	assert_true(hf_leaf_dirty(*e));
	check_state(rig);
}

struct pair {
	struct hf_soft_cpu *cpu;
	hf_va first, second;
	uint64_t stored;
	enum hf_status status;
	bool stop;
	pthread_t thread;
};

static void *store_pairs(void *arg)
{
	struct pair *p = arg;

	for (uint64_t n = 1; !p->status && !__atomic_load_n(&p->stop, __ATOMIC_RELAXED); n++) {
		p->status = hf_soft_store(p->cpu, p->first, 8, n);
		if (!p->status)
			p->status = hf_soft_store(p->cpu, p->second, 8, n);
		__atomic_store_n(&p->stored, n, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Children of a parent that is running: none has the second store without the first. */
static void test_core_fork_is_an_instant(void **state)
{
	struct rig *rig = *state;
	struct pair p = { 0 };
	struct hf_soft_cpu *viewer;
	struct hf_span span;
	unsigned torn = 0;
	size_t count = 0;
	hf_va va = 0;

	OK(hf_mmap(&rig->mm, &va, 64 * PAGE, HF_PROT_READ | HF_PROT_WRITE, 0));
	p = (struct pair){ .cpu = rig->cpu, .first = va + 40 * PAGE, .second = va };
	OK(hf_pin(&rig->mm, p.first, PAGE, HF_PIN_WRITE, &span, 1, &count));
	OK(hf_soft_cpu_create(rig->soft, &viewer));
	pthread_create(&p.thread, NULL, store_pairs, &p);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t first = 0, second = 0,
			 stored = __atomic_load_n(&p.stored, __ATOMIC_ACQUIRE);
		struct hf_mm child;

		while (__atomic_load_n(&p.stored, __ATOMIC_ACQUIRE) == stored)
			sched_yield();
		OK(hf_fork(&rig->mm, &child, NULL, HF_FORK_COPY));
		hf_soft_switch(viewer, &child);
		OK(hf_soft_load(viewer, p.first, 8, &first));
		OK(hf_soft_load(viewer, p.second, 8, &second));
		torn += first <= stored || (first != second && first != second + 1);
		hf_soft_switch(viewer, NULL);
		hf_mm_destroy(&child);
	}
	__atomic_store_n(&p.stop, true, __ATOMIC_RELAXED);
	pthread_join(p.thread, NULL);
	OK(p.status);
	assert_int_equal(torn, 0);
	OK(hf_unpin(rig->phys, &span, 1));
	hf_soft_cpu_destroy(viewer);
	check_state(rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_flush_small, normal),
		TEST(test_flush_2m, normal),
		TEST(test_flush_1g, large),
		TEST(test_flush_whole, normal),
		TEST(test_many_whole_flushes, normal),
		TEST(test_many_flushes_of_one_entry, tiny_tlb),
		TEST(test_flush_across_sizes, normal),
		TEST(test_flush_of_another_space, normal),
		TEST(test_branch_to_pte_table, normal),
		TEST(test_branch_to_pmd_table, normal),
		TEST(test_branch_to_pud_table, normal),
		TEST(test_branch_whole_flush, normal),
		TEST(test_branch_stays_when_leaves_go, normal),
		TEST(test_branch_write, normal),
		TEST(test_branch_write_of_pmd_table, normal),
		TEST(test_branch_write_of_pud_table, normal),
		TEST(test_branch_write_whole_flushes, normal),
		TEST(test_spurious_not_present, normal),
		TEST(test_statistics, normal),
		TEST(test_sizes_and_alignments, normal),
		TEST(test_crossing_fault, normal),
		TEST(test_arguments, normal),
		TEST(test_cmpxchg, normal),
		TEST(test_bulk_copies, normal),
		TEST(test_move_beside_hits, normal),
		TEST(test_move_beside_copies, normal),
		TEST(test_move_beside_walks, tiny_tlb),
		TEST(test_write_taken_beside_stores, normal),
		TEST(test_table_replaced_beside_walks, tiny_tlb),
		TEST(test_flush_of_two_cpus, normal),
		TEST(test_cpu_passes_between_threads, normal),
		TEST(test_cpu_was_ours, normal),
		TEST(test_two_flushers, normal),
		TEST(test_flush_waits_for_access, normal),
		TEST(test_flush_waits_for_walker, normal),
		TEST(test_entry_changes_under_walker, normal),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_busy),
		TEST(test_discard, normal),
		TEST(test_discard_of_every_other_page, normal),
		cmocka_unit_test(test_wait_and_wake),
		TEST(test_dma, normal),
		TEST(test_dma_order, normal),
		TEST(test_dma_range, normal),
		TEST(test_core_faults, normal),
		TEST(test_core_fork, normal),
		TEST(test_core_read_then_write, normal),
		TEST(test_core_write_by_cached_branch, normal),
		TEST(test_core_own_again, normal),
		TEST(test_core_unmap_what_is_shared, normal),
		TEST(test_core_split_of_what_is_cached, normal),
		TEST(test_core_old_pages_are_marked, normal),
		TEST(test_core_fork_is_an_instant, normal),
	};

	return run_cases("soft", tests, sizeof(tests) / sizeof(tests[0]),
			 argc > 1 ? argv[1] : NULL);
}
