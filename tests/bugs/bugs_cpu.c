/* SPDX-License-Identifier: MIT */
/*
 * What went wrong between the tables and the CPUs that cache them. For the soft port,
 * whose TLB and branch cache are in plain sight: each space has CPU 0 and CPU 1.
 */
#include <pthread.h>
#include <sched.h>

#include "bugs.h"
#include "port_soft.h"

static uint64_t load(struct space *s, unsigned cpu, hf_va va)
{
	uint64_t value = 0;

	OK(hf_soft_load(cpu_of(s, cpu), va, 8, &value));
	return value;
}

static void store(struct space *s, unsigned cpu, hf_va va, uint64_t value)
{
	OK(hf_soft_store(cpu_of(s, cpu), va, 8, value));
}

/* stale-writable-tlb: a CPU that could write before fork must fault after it. */
static void stale_writable_tlb(void **state)
{
	struct machine *m = *state;

	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct space *s = space_new(m), *child, *grandchild;
		hf_va va = map_level(s, level, 1);

		store(s, 0, va, 1);
		store(s, 1, va, 2); /* writable in both TLBs */
		child = bare_fork(s, HF_FORK_COPY);
		store(s, 1, va, 3);
		SAME(load(child, 0, va), 2);
		SAME(load(s, 0, va), 3); /* and CPU 0 knows of the copy */
		/* again one generation down */
		store(child, 0, va, 4);
		store(child, 1, va, 5);
		grandchild = bare_fork(child, HF_FORK_COPY);
		store(child, 0, va, 6);
		SAME(load(grandchild, 0, va), 5);
		SAME(load(child, 1, va), 6);
		SAME(load(s, 1, va), 3);
		CHECK(m);
		space_end(grandchild);
		space_end(child);
		space_end(s);
	}
}

/*
 * sibling-mapping-stale: after one CPU's copy, another CPU of the space must not go on
 * reading the old page, which belongs to the child alone now.
 */
static void sibling_mapping_stale(void **state)
{
	struct machine *m = *state;

	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct space *s = space_new(m), *child;
		hf_va va = map_level(s, level, 1);

		store(s, 0, va, 1);
		child = bare_fork(s, HF_FORK_COPY);
		SAME(load(s, 1, va), 1);     /* cached by CPU 1, for reading */
		store(s, 0, va, 2);	     /* CPU 0 moves the space to a copy */
		store(child, 0, va, 3);	     /* the old page is the child's */
		SAME(load(s, 1, va), 2);
		SAME(load(s, 0, va), 2);
		SAME(load(child, 1, va), 3);
		CHECK(m);
		space_end(child);
		space_end(s);
	}
}

/* branch-cache-stale: a CPU goes on through a table that its space has left. */
static void branch_cache_stale(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_level(s, HF_LEVEL_PTE, 8);

	for (uint64_t page = 0; page < 8; page++)
		store(s, 0, va + page * PAGE, 100 + page);
	child = bare_fork(s, HF_FORK_COPY);
	SAME(load(s, 1, va), 100);	    /* CPU 1 caches the way to the shared table */
	store(s, 0, va + PAGE, 201);	    /* s gets a table of its own */
	store(child, 0, va + 2 * PAGE, 302); /* the old table is the child's alone */
	store(child, 0, va + 3 * PAGE, 303);
	SAME(load(s, 1, va + PAGE), 201);
	SAME(load(s, 1, va + 2 * PAGE), 102);
	SAME(load(s, 1, va + 3 * PAGE), 103);
	CHECK(m);
}

/*
 * table-freed-under-walker, as far as one thread can: a table that goes must be out of
 * every cache before its page can be used for something else.
 */
static void table_freed_under_walker(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PTE, 512);
	struct hoard hoard;
	uint64_t value;

	store(s, 0, va, 1);
	store(s, 0, va + PAGE, 2);
	SAME(load(s, 1, va), 1); /* leaf and branches cached by CPU 1 */
	OK(hf_munmap(s->mm, va, PMD_SIZE));
	hoard_all(m, 0, &hoard);
	for (size_t i = 0; i < hoard.count; i++) /* what a walker would take for entries */
		memset(hf_phys_ptr(m->phys, hoard.pages[i]), 0x67, PAGE);
	GIVES(HF_ERR_UNMAPPED, hf_soft_load(cpu_of(s, 1), va, 8, &value));
	GIVES(HF_ERR_UNMAPPED, hf_soft_load(cpu_of(s, 1), va + PAGE, 8, &value));
	GIVES(HF_ERR_UNMAPPED, hf_soft_store(cpu_of(s, 0), va, 8, 1));
	CHECK(m);
	hoard_release(m, &hoard);
}

/* snapshot-torn */

struct writer {
	struct hf_soft_cpu *cpu;
	hf_va first, second;
	uint64_t written; /* both words have had this value; read with the writer running */
	bool stop;
};

/* Count up, always the first word before the second. */
static void *write_pairs(void *arg)
{
	struct writer *w = arg;

	for (uint64_t i = 1; !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE); i++) {
		if (hf_soft_store(w->cpu, w->first, 8, i) != HF_OK ||
		    hf_soft_store(w->cpu, w->second, 8, i) != HF_OK)
			break;
		__atomic_store_n(&w->written, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Wait until the writer has got on: its translations are writable again. */
static bool writer_gets_on(struct writer *w)
{
	uint64_t from = __atomic_load_n(&w->written, __ATOMIC_ACQUIRE);
	uint64_t patience = 100000000;

	while (__atomic_load_n(&w->written, __ATOMIC_ACQUIRE) < from + 2 && --patience)
		sched_yield();
	return patience;
}

/*
 * snapshot-torn: a writer counts in two pinned pages, in this order, while the space is
 * forked. A child that has the second count without the first never was a state of memory.
 */
static void check_torn(struct machine *m, struct space *s, hf_va first, hf_va second)
{
	struct writer w = { .cpu = cpu_of(s, 1), .first = first, .second = second };
	unsigned torn = 0, stuck = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, write_pairs, &w), 0);
	for (int i = 0; i < 60; i++) {
		struct space *child;
		uint64_t a, b;

		stuck += !writer_gets_on(&w);
		child = bare_fork(s, HF_FORK_COPY);
		a = load(child, 0, first);
		b = load(child, 0, second);
		torn += b > a;
		space_end(child);
	}
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	SAME(stuck, 0);
	SAME(torn, 0);
	CHECK(m);
}

static void snapshot_torn(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 512, 0);
	struct pin pin;

	put(s, va, 0);
	put(s, va + 511 * PAGE, 0);
	pin_range(s, va, 512 * PAGE, HF_PIN_WRITE, &pin);
	check_torn(m, s, va, va + 511 * PAGE);
	unpin(m, &pin);
}

static void snapshot_torn_in_huge_pages(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 3, 0), last = va + 3 * PMD_SIZE - PAGE;
	struct pin pin;

	put(s, va, 0);
	put(s, last, 0);
	pin_range(s, va, 3 * PMD_SIZE, HF_PIN_WRITE, &pin);
	check_torn(m, s, va, last);
	unpin(m, &pin);
}

static const struct CMUnitTest tests[] = {
	TEST(stale_writable_tlb),
	TEST(sibling_mapping_stale),
	TEST(branch_cache_stale),
	TEST(table_freed_under_walker),
	TEST(snapshot_torn),
	TEST(snapshot_torn_in_huge_pages),
};
SUITE(bugs_cpu, tests);
