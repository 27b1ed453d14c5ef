/* SPDX-License-Identifier: MIT */
/*
 * Collapse: small pages become huge ones, at once (HF_ADV_COLLAPSE) and by and by
 * (hf_collapse_scan), and nobody can tell by their contents.
 */
#include "port.h"

static enum hf_status collapse(struct space *s, hf_va va, uint64_t len)
{
	return hf_madvise(s->mm, va, len, HF_ADV_COLLAPSE);
}

/* `count` parts of small pages that lie here and there, stamped. */
static hf_va scattered(struct space *s, size_t count, uint64_t seed)
{
	hf_va va = map_level(s, HF_LEVEL_PTE, count * 512);
	struct hoard hoard;

	fragment(s->m, count * 512 + 16, &hoard);
	fill(s, va, count * PMD_SIZE, seed);
	hoard_release(s->m, &hoard);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	assert_true(pa_of(s, va + PAGE).v != pa_of(s, va).v + PAGE);
	return va;
}

struct marks {
	bool accessed, dirty;
};

static bool add_marks(void *arg, const struct hf_run *run)
{
	struct marks *marks = arg;

	marks->accessed |= run->accessed;
	marks->dirty |= run->dirty;
	return true;
}

static struct marks marks_of(struct space *s, hf_va va, uint64_t len)
{
	struct marks marks = { 0 };

	OK(hf_mm_visit(s->mm, va, len, add_marks, &marks));
	return marks;
}

static void expect_collapsed(struct space *s, hf_va va, uint64_t seed)
{
	CHECK(s->m);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	FILLED(s, va, PMD_SIZE, seed);
	put(s, va + 7 * PAGE, 1);
	SAME(get(s, va + 7 * PAGE), 1);
	fill(s, va, PMD_SIZE, seed);
	CHECK(s->m);
}

/* ---- At once ---- */

static void collapse_copies_scattered_pages(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 2, 1);
	uint64_t before = free_bytes(m);

	OK(collapse(s, va, 2 * PMD_SIZE));
	SAME(leaves(s, HF_LEVEL_PTE), 0);
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	SAME(free_bytes(m), before + 2 * PAGE); /* the tables */
	expect_collapsed(s, va, 1);
	expect_collapsed(s, va + PMD_SIZE, 1);
	OK(collapse(s, va, 2 * PMD_SIZE)); /* they are already */
	expect_collapsed(s, va, 1);
}

/* Pages that lie together stay where they are: as after a split. */
static void collapse_puts_a_split_page_together(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);

	OK(hf_mprotect(s->mm, va + PAGE, PAGE, RO));
	OK(hf_mprotect(s->mm, va + PAGE, PAGE, RW));
	SAME(level_of(s, va), HF_LEVEL_PTE);
	OK(collapse(s, va, PMD_SIZE));
	SAME_PA(pa_of(s, va), pa);
	expect_collapsed(s, va, 1);
	SAME_PA(pa_of(s, va + 5 * PAGE), (hf_pa){ pa.v + 5 * PAGE });
}

static void collapse_fills_holes_with_zeros(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PTE, 512);
	struct hoard hoard;

	hoard_all(m, 9, &hoard);
	for (size_t i = 0; i < hoard.count; i++)
		memset(hf_phys_ptr(m->phys, hoard.pages[i]), 0xee, PMD_SIZE);
	hoard_release(m, &hoard);
	fill(s, va + 100 * PAGE, 3 * PAGE, 1);
	SAME(get(s, va + 200 * PAGE), 0);
	OK(collapse(s, va, PMD_SIZE));
	SAME(level_of(s, va), HF_LEVEL_PMD);
	ZEROS(s, va, 100 * PAGE);
	FILLED(s, va + 100 * PAGE, 3 * PAGE, 1);
	ZEROS(s, va + 103 * PAGE, PMD_SIZE - 103 * PAGE);
	CHECK(m);
}

static void collapse_of_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PTE, 1024);

	FAILS(m, HF_ERR_INVAL, collapse(s, va, PMD_SIZE));
	SAME(get(s, va + PMD_SIZE), 0); /* only the zero page */
	FAILS(m, HF_ERR_INVAL, collapse(s, va + PMD_SIZE, PMD_SIZE));
	OK(collapse(s, va + PAGE, PMD_SIZE)); /* covers no part */
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PTE);
}

/* Parts that the range or a mapping covers only a piece of are left alone. */
static void collapse_leaves_pieces_alone(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 3, 1);

	OK(hf_mprotect(s->mm, va + 2 * PMD_SIZE + PAGE, PAGE, RO));
	OK(collapse(s, va + PAGE, 3 * PMD_SIZE - PAGE));
	SAME(level_of(s, va), HF_LEVEL_PTE);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PMD);
	SAME(level_of(s, va + 2 * PMD_SIZE), HF_LEVEL_PTE);
	FILLED(s, va, 3 * PMD_SIZE, 1);
	CHECK(m);
}

static void collapse_refuses_pins(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 3, 1), at = va + PMD_SIZE + 33 * PAGE;
	struct pin pin;

	pin_range(s, at, PAGE, HF_PIN_READ, &pin);
	FAILS(m, HF_ERR_AGAIN, collapse(s, va + PMD_SIZE, PMD_SIZE));
	GIVES(HF_ERR_AGAIN, collapse(s, va, 3 * PMD_SIZE)); /* the others are done */
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(level_of(s, at), HF_LEVEL_PTE);
	SAME(level_of(s, va + 2 * PMD_SIZE), HF_LEVEL_PMD);
	dma_put(m, pin.spans[0].pa, 77);
	SAME(get(s, at), 77);
	unpin(m, &pin);
	OK(collapse(s, va, 3 * PMD_SIZE));
	SAME(get(s, at), 77);
	SAME(level_of(s, at), HF_LEVEL_PMD);
	CHECK(m);
}

/* A fork under SPLIT leaves the parent's page split; what it takes to undo that is a collapse. */
static void collapse_after_a_splitting_fork(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_READ, &pin);
	child = fork_space(s, HF_FORK_SPLIT);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	GIVES(HF_ERR_AGAIN, collapse(s, va, PMD_SIZE));
	unpin(m, &pin);
	space_end(child);
	OK(collapse(s, va, PMD_SIZE));
	SAME_PA(pa_of(s, va), pa);
	expect_collapsed(s, va, 1);
}

/* Both sides of a fork, in either order; the other keeps its small pages. */
static void collapse_of_shared_pages(void **state)
{
	struct machine *m = *state;

	for (int child_first = 0; child_first < 2; child_first++) {
		struct space *s = space_new(m), *child, *one, *two;
		hf_va va = map_filled(s, HF_LEVEL_PTE, 512, 1);

		child = fork_space(s, HF_FORK_COPY);
		one = child_first ? child : s;
		two = child_first ? s : child;
		OK(collapse(one, va, PMD_SIZE));
		CHECK(m);
		SAME(level_of(one, va), HF_LEVEL_PMD);
		SAME(level_of(two, va), HF_LEVEL_PTE);
		put(one, va, 5);
		SAME(get(two, va), stamp(1, va));
		put(two, va + PAGE, 6);
		SAME(get(one, va + PAGE), stamp(1, va + PAGE));
		FILLED(two, va + 2 * PAGE, PMD_SIZE - 2 * PAGE, 1);
		space_end(one);
		FILLED(two, va + 2 * PAGE, PMD_SIZE - 2 * PAGE, 1);
		OK(collapse(two, va, PMD_SIZE));
		FILLED(two, va + 2 * PAGE, PMD_SIZE - 2 * PAGE, 1);
		SAME(get(two, va + PAGE), 6);
		CHECK(m);
		space_end(two);
	}
}

/* Some pages shared, some not, some tables owned, below a path that fork has to look at. */
static void collapse_of_partly_shared_pages(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1024, 1);
	struct pin pin;

	pin_range(s, va + PMD_SIZE + PAGE, PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(s, HF_FORK_COPY);
	put(s, va + 3 * PAGE, 7);
	put(child, va + 4 * PAGE, 8);
	OK(collapse(s, va, PMD_SIZE));
	SAME(get(s, va + 3 * PAGE), 7);
	SAME(get(s, va + 4 * PAGE), stamp(1, va + 4 * PAGE));
	SAME(get(child, va + 3 * PAGE), stamp(1, va + 3 * PAGE));
	CHECK(m);
	space_end(child);
	child = fork_space(s, HF_FORK_COPY);
	SAME(get(child, va + 3 * PAGE), 7);
	SAME(level_of(child, va), HF_LEVEL_PMD);
	put(child, va + 3 * PAGE, 9);
	SAME(get(s, va + 3 * PAGE), 7);
	unpin(m, &pin);
}

static void collapse_keeps_protection(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 1, 1);

	OK(hf_mprotect(s->mm, va, PMD_SIZE, RO));
	OK(collapse(s, va, PMD_SIZE));
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(access_of(s, va), HF_ACCESS_READ);
	assert_false(may_store(s, va));
	FILLED(s, va, PMD_SIZE, 1);
	OK(hf_mprotect(s->mm, va, PMD_SIZE, RW));
	expect_collapsed(s, va, 1);
}

static void collapse_of_forbidden_memory(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 1, 1);

	OK(hf_mprotect(s->mm, va, PMD_SIZE, HF_PROT_NONE));
	OK(collapse(s, va, PMD_SIZE));
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	assert_false(may_load(s, va));
	OK(hf_mprotect(s->mm, va, PMD_SIZE, RW | HF_PROT_EXEC));
	SAME(access_of(s, va) & HF_ACCESS_EXEC, HF_ACCESS_EXEC);
	expect_collapsed(s, va, 1);
}

/* Accessed and dirty if one of the pages was; and not, if none was. */
static void collapse_keeps_marks(void **state)
{
	struct machine *m = *state;

	for (int dirty = 0; dirty < 2; dirty++) {
		struct space *s = space_new(m);
		hf_va va = map_level(s, HF_LEVEL_PTE, 512);
		struct marks before, after;
		struct pin pin;

		/* Pages of its own that were never written. */
		pin_range(s, va, 20 * PAGE, HF_PIN_READ, &pin);
		unpin(m, &pin);
		if (dirty)
			put(s, va + 7 * PAGE, 1);
		before = marks_of(s, va, PMD_SIZE);
		OK(collapse(s, va, PMD_SIZE));
		after = marks_of(s, va, PMD_SIZE);
		SAME(after.accessed, before.accessed);
		SAME(after.dirty, before.dirty);
		assert_true(after.accessed);
		space_end(s);
	}
}

static void collapse_without_a_huge_page(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 1, 1);
	struct hoard hoard;

	fragment(m, 700, &hoard);
	FAILS(m, HF_ERR_NOMEM, collapse(s, va, PMD_SIZE));
	FILLED(s, va, PMD_SIZE, 1);
	hoard_release(m, &hoard);
	OK(collapse(s, va, PMD_SIZE));
	expect_collapsed(s, va, 1);
}

static void collapse_beside_what_fork_does_not_share(void **state)
{
	static const enum hf_advice kinds[] = { HF_ADV_DONTFORK, HF_ADV_WIPEONFORK };

	for (size_t i = 0; i < 2; i++) {
		struct machine *m = *state;
		struct space *s = space_new(m), *child;
		hf_va va = scattered(s, 3, 1);

		OK(hf_madvise(s->mm, va + PMD_SIZE, PMD_SIZE, kinds[i]));
		OK(collapse(s, va, 3 * PMD_SIZE));
		SAME(leaves(s, HF_LEVEL_PMD), 3);
		CHECK(m);
		child = fork_space(s, HF_FORK_COPY);
		FILLED(child, va, PMD_SIZE, 1);
		FILLED(child, va + 2 * PMD_SIZE, PMD_SIZE, 1);
		if (kinds[i] == HF_ADV_DONTFORK)
			assert_false(may_load(child, va + PMD_SIZE));
		else
			ZEROS(child, va + PMD_SIZE, PMD_SIZE);
		FILLED(s, va, 3 * PMD_SIZE, 1);
		space_end(child);
		space_end(s);
	}
}

static void collapse_refuses_bad_ranges(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 2, 1), shared = SPACE_LO;
	struct hf_object_config config = { .size = PMD_SIZE };
	struct hf_object *object;

	FAILS(m, HF_ERR_ALIGN, collapse(s, va + 1, PMD_SIZE));
	FAILS(m, HF_ERR_EMPTY, collapse(s, va, 0));
	FAILS(m, HF_ERR_WRAP, collapse(s, va, UINT64_MAX));
	FAILS(m, HF_ERR_RANGE, collapse(s, 0, PAGE));
	OK(hf_object_create(m->phys, &config, &object));
	OK(hf_mmap_object(s->mm, &shared, PMD_SIZE, RW, HF_MAP_FIXED | HF_MAP_SHARED, object, 0));
	put(s, shared, 1);
	FAILS(m, HF_ERR_INVAL, collapse(s, shared, PMD_SIZE));
	hf_object_put(object);
	OK(hf_munmap(s->mm, va + PMD_SIZE, PAGE));
	FAILS(m, HF_ERR_UNMAPPED, collapse(s, va, 2 * PMD_SIZE));
}

static struct machine *big_machine(void)
{
	struct machine_config config = { .ram_bytes = 6 * GIB };

	need_host_memory(4 * GIB);
	return machine_new(&config);
}

/* 1 GiB: where its huge pages lie together, where they do not, and where it is not wanted. */
static void collapse_to_1_gib(void **state)
{
	struct machine *m = big_machine();
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL);
	hf_va va = map(s, GIB, RW);
	struct pin pin;
	hf_pa pa;

	(void)state;
	SAME(va % GIB, 0);
	for (uint64_t at = 0; at < GIB; at += 128 * MIB)
		fill(s, va + at, 2 * PAGE, 1);
	GIVES(HF_ERR_INVAL, collapse(s, va, GIB)); /* most parts are empty */
	SAME(leaves(s, HF_LEVEL_PMD), 8);
	SAME(leaves(s, HF_LEVEL_PTE), 0);
	OK(hf_madvise(s->mm, va, GIB, HF_ADV_HUGEPAGE_1G));
	pin_range(s, va + 128 * MIB, PAGE, HF_PIN_READ, &pin);
	GIVES(HF_ERR_INVAL, collapse(s, va, GIB));
	SAME(leaves(s, HF_LEVEL_PUD), 0);
	unpin(m, &pin);
	OK(collapse(s, va, GIB));
	SAME(level_of(s, va), HF_LEVEL_PUD);
	SAME(leaves(s, HF_LEVEL_PMD), 0);
	for (uint64_t at = 0; at < GIB; at += 128 * MIB) {
		FILLED(s, va + at, 2 * PAGE, 1);
		ZEROS(s, va + at + 2 * PAGE, 4 * PAGE);
	}
	/* split and put together again, where it is */
	pa = pa_of(s, va);
	OK(hf_mprotect(s->mm, va + 5 * PAGE, PAGE, RO));
	OK(hf_mprotect(s->mm, va + 5 * PAGE, PAGE, RW));
	SAME(level_of(s, va), HF_LEVEL_PTE);
	SAME(leaves(s, HF_LEVEL_PMD), 511);
	OK(collapse(s, va, GIB));
	SAME(level_of(s, va), HF_LEVEL_PUD);
	SAME_PA(pa_of(s, va), pa);
	CHECK(m);
	machine_end(m);
}

/* ---- By and by ---- */

static void scan_all(struct space *s, struct hf_scan *scan)
{
	uint64_t passes = scan->passes;

	while (scan->passes == passes)
		OK(hf_collapse_scan(s->mm, scan, 3));
}

static void scan_collapses_huge_memory_alone(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 2, 1), other = scattered(s, 1, 2);
	struct hf_scan scan = { 0 };

	OK(hf_madvise(s->mm, va, 2 * PMD_SIZE, HF_ADV_HUGEPAGE));
	scan_all(s, &scan);
	SAME(scan.passes, 1);
	SAME(scan.collapsed, 2);
	SAME(level_of(s, other), HF_LEVEL_PTE);
	expect_collapsed(s, va, 1);
	expect_collapsed(s, va + PMD_SIZE, 1);
	scan_all(s, &scan);
	SAME(scan.collapsed, 2);
	GIVES(HF_ERR_EMPTY, hf_collapse_scan(s->mm, &scan, 0));
}

/* No call does more than its budget, and the next goes on where it has stopped. */
static void scan_is_bounded(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 4, 1);
	struct hf_scan scan = { 0 };

	OK(hf_madvise(s->mm, va, 4 * PMD_SIZE, HF_ADV_HUGEPAGE));
	for (uint64_t i = 1; i <= 4; i++) {
		OK(hf_collapse_scan(s->mm, &scan, 1));
		SAME(scan.inspected, i);
		SAME(scan.collapsed, i);
		SAME(leaves(s, HF_LEVEL_PMD), i);
		SAME(scan.at, va + i * PMD_SIZE);
		CHECK(m);
	}
	SAME(scan.passes, 0);
	OK(hf_collapse_scan(s->mm, &scan, 1));
	SAME(scan.passes, 1);
	SAME(scan.at, 0);
	FILLED(s, va, 4 * PMD_SIZE, 1);
}

/* Address space without tables is passed over in large steps. */
static void scan_jumps_over_gaps(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_at(s, SPACE_LO, SPACE_LEN, RW);
	struct hf_scan scan = { 0 };

	OK(hf_madvise(s->mm, va, SPACE_LEN, HF_ADV_HUGEPAGE));
	scan_all(s, &scan);
	SAME(scan.inspected, 1);
	SAME(scan.collapsed, 0);
}

static void scan_obeys_its_limits(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = scattered(s, 1, 1);
	struct hf_scan scan = { 0 };

	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_HUGEPAGE));
	OK(hf_madvise(s->mm, va + 10 * PAGE, 3 * PAGE, HF_ADV_DONTNEED));
	child = fork_space(s, HF_FORK_COPY);
	put(child, va + PAGE, 1); /* its own table now, and 508 shared pages */
	scan_all(child, &scan);
	SAME(scan.collapsed, 0);
	scan.max_empty = 2;
	scan.max_shared = 508;
	scan_all(child, &scan);
	SAME(scan.collapsed, 0);
	scan.max_empty = 3;
	scan.max_shared = 507;
	scan_all(child, &scan);
	SAME(scan.collapsed, 0);
	scan.max_shared = 508;
	scan_all(child, &scan);
	SAME(scan.collapsed, 1);
	SAME(level_of(child, va), HF_LEVEL_PMD);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	ZEROS(child, va + 10 * PAGE, 3 * PAGE);
	FILLED(s, va, 10 * PAGE, 1);
	CHECK(m);
}

static void scan_counts_what_it_cannot_do(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 2, 1);
	struct hf_scan scan = { 0 };
	struct hoard hoard;
	struct pin pin;

	OK(hf_madvise(s->mm, va, 2 * PMD_SIZE, HF_ADV_HUGEPAGE));
	pin_range(s, va, PAGE, HF_PIN_READ, &pin);
	fragment(m, 300, &hoard);
	scan_all(s, &scan);
	SAME(scan.refused, 1);
	SAME(scan.no_memory, 1);
	SAME(scan.collapsed, 0);
	hoard_release(m, &hoard);
	unpin(m, &pin);
	scan_all(s, &scan);
	SAME(scan.collapsed, 2);
	FILLED(s, va, 2 * PMD_SIZE, 1);
}

/* Where mappings begin and end in the middle of parts. */
static void scan_passes_over_pieces(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = scattered(s, 3, 1);
	struct hf_scan scan = { 0 };

	OK(hf_madvise(s->mm, va + PAGE, 3 * PMD_SIZE - 2 * PAGE, HF_ADV_HUGEPAGE));
	scan_all(s, &scan);
	SAME(scan.collapsed, 1);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PMD);
	SAME(level_of(s, va + 2 * PMD_SIZE), HF_LEVEL_PTE);
	FILLED(s, va, 3 * PMD_SIZE, 1);
	/* and a mapping that begins behind the last part, with nothing after it */
	OK(hf_munmap(s->mm, va, 3 * PMD_SIZE - 2 * PAGE));
	scan_all(s, &scan);
	SAME(scan.collapsed, 1);
	CHECK(m);
}

static void scan_puts_1_gib_together(void **state)
{
	struct machine *m = big_machine();
	struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL);
	hf_va va = map_level(s, HF_LEVEL_PUD, 1);
	struct hf_scan scan = { .idle = true };
	hf_pa pa;

	(void)state;
	fill(s, va, 2 * PAGE, 1);
	pa = pa_of(s, va);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	OK(hf_mprotect(s->mm, va + 9 * PAGE, PAGE, RO));
	OK(hf_mprotect(s->mm, va + 9 * PAGE, PAGE, RW));
	scan_all(s, &scan);
	SAME(scan.collapsed, 1); /* the 2 MiB that were split */
	SAME(leaves(s, HF_LEVEL_PMD), 512);
	scan_all(s, &scan);
	SAME(scan.collapsed, 2);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	SAME_PA(pa_of(s, va), pa);
	FILLED(s, va, 2 * PAGE, 1);
	CHECK(m);
	machine_end(m);
}

static const struct CMUnitTest tests[] = {
	TEST(collapse_copies_scattered_pages),
	TEST(collapse_puts_a_split_page_together),
	TEST(collapse_fills_holes_with_zeros),
	TEST(collapse_of_nothing),
	TEST(collapse_leaves_pieces_alone),
	TEST(collapse_refuses_pins),
	TEST(collapse_after_a_splitting_fork),
	TEST(collapse_of_shared_pages),
	TEST(collapse_of_partly_shared_pages),
	TEST(collapse_keeps_protection),
	TEST(collapse_of_forbidden_memory),
	TEST(collapse_keeps_marks),
	TEST(collapse_without_a_huge_page),
	TEST(collapse_beside_what_fork_does_not_share),
	TEST(collapse_refuses_bad_ranges),
	cmocka_unit_test(collapse_to_1_gib),
	TEST(scan_collapses_huge_memory_alone),
	TEST(scan_is_bounded),
	TEST(scan_jumps_over_gaps),
	TEST(scan_obeys_its_limits),
	TEST(scan_counts_what_it_cannot_do),
	TEST(scan_passes_over_pieces),
	cmocka_unit_test(scan_puts_1_gib_together),
};
SUITE(suite_collapse, tests);
