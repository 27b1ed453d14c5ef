/* SPDX-License-Identifier: MIT */
/*
 * What went wrong between the tables and the CPUs that cache them. For the soft port,
 * whose TLB and branch cache are in plain sight: each space has CPU 0 and CPU 1.
 */
#include <pthread.h>
#include <time.h>

#include "bugs.h"
#include "port_soft.h"
#include "table/table.h"

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
		SAME(load(s, 1, va), 1); /* cached by CPU 1, for reading */
		store(s, 0, va, 2);	 /* CPU 0 moves the space to a copy */
		store(child, 0, va, 3);	 /* the old page is the child's */
		SAME(load(s, 1, va), 2);
		SAME(load(s, 0, va), 2);
		SAME(load(child, 1, va), 3);
		CHECK(m);
		space_end(child);
		space_end(s);
	}
}

/*
 * sibling-mapping-stale, the other half: until every CPU has forgotten the old page, no CPU may
 * find the copy, or one's store goes to the copy while another's load still comes from the
 * old page. So while a copy's flush is under way, the tables lead nowhere. (A port
 * function has no other way to find its data.)
 */
static struct {
	struct hf_port port; /* the soft port's, with the flush below */
	hf_va va, to;	     /* nor here, if not 0 */
	unsigned flushes, present;
} watch;

/* The leaf for `va` may be used by the hardware. */
static bool leaf_present(const struct hf_mm *mm, hf_va va)
{
	hf_pfn table = mm->root;

	for (unsigned level = HF_TOP_LEVEL;; level--) {
		hf_pte e = hf_table_entries(mm->phys, table)[hf_table_index(va, level)];

		if (!hf_pte_present(e) || hf_pte_leaf(e, level))
			return hf_pte_present(e);
		table = hf_pte_pfn(e);
	}
}

static void watched_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	if ((what & HF_FLUSH_LEAVES) && va <= watch.va && watch.va < va + len) {
		watch.flushes++;
		watch.present += leaf_present(mm, watch.va);
		watch.present += watch.to && leaf_present(mm, watch.to);
	}
	hf_soft_port()->flush(host, mm, va, len, what);
}

static void copy_found_beside_the_old_page(void **state)
{
	struct machine *m = *state;
	const struct hf_port *port = m->phys->port;

	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct space *s = space_new(m), *child;
		hf_va va = map_level(s, level, 1);

		store(s, 0, va, 1);
		child = bare_fork(s, HF_FORK_COPY);
		watch.port = *port;
		watch.port.flush = watched_flush;
		watch.va = va;
		watch.flushes = watch.present = 0;
		m->phys->port = &watch.port;
		store(s, 0, va, 2);
		m->phys->port = port;
		SAME(watch.flushes, 1);
		SAME(watch.present, 0);
		SAME(load(s, 0, va), 2);
		SAME(load(child, 0, va), 1);
		CHECK(m);
		space_end(child);
		space_end(s);
	}
}

/*
 * branch-cache-stale: a CPU goes on through a table that its space has left. The write that
 * makes s leave it is to an empty entry, so that no leaf is there to be flushed.
 */
static void branch_cache_stale(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_level(s, HF_LEVEL_PTE, 8);

	for (uint64_t page = 0; page < 4; page++)
		store(s, 0, va + page * PAGE, 100 + page);
	child = bare_fork(s, HF_FORK_COPY);
	SAME(load(s, 1, va), 100);	     /* CPU 1 caches the way to the shared table */
	store(s, 0, va + 7 * PAGE, 207);     /* s gets a table of its own */
	store(child, 0, va + 2 * PAGE, 302); /* the old table is the child's alone */
	store(child, 0, va + 5 * PAGE, 305);
	SAME(load(s, 1, va + 2 * PAGE), 102);
	SAME(load(s, 1, va + 5 * PAGE), 0);
	SAME(load(s, 1, va + 7 * PAGE), 207);
	CHECK(m);
}

/*
 * mremap-races, as far as one thread can show it: what a CPU has cached of the old address is
 * gone before a page can be reached at the new one, whether leaves or whole tables moved.
 */
static void mremap_races(void **state)
{
	struct machine *m = *state;
	const struct hf_port *port = m->phys->port;

	for (unsigned odd = 0; odd < 2; odd++) {
		struct space *s = space_new(m);
		hf_va va = map_level(s, HF_LEVEL_PTE, HF_TABLE_ENTRIES);
		hf_va to = SPACE_LO + 8 * PMD_SIZE + odd * PAGE;

		store(s, 0, va, 1);
		store(s, 1, va, 2); /* both CPUs know the way there */
		watch.port = *port;
		watch.port.flush = watched_flush;
		watch.va = va;
		watch.to = to;
		watch.flushes = watch.present = 0;
		m->phys->port = &watch.port;
		OK(hf_mremap(s->mm, va, PMD_SIZE, PMD_SIZE,
			     HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED | HF_MREMAP_DONTUNMAP, &to));
		m->phys->port = port;
		watch.to = 0;
		assert_true(watch.flushes >= 1);
		SAME(watch.present, 0);
		store(s, 1, va, 3);
		store(s, 1, va + PAGE, 4); /* through the branch cache, if it is stale */
		SAME(load(s, 0, to), 2);
		SAME(load(s, 0, to + PAGE), 0);
		SAME(load(s, 0, va), 3);
		CHECK(m);
		space_end(s);
	}
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

/*
 * snapshot-torn: a writer counts in two pinned pages, always in the first before the
 * second, while the space is forked. A child that has the second count without the first
 * never was a state of memory.
 */
struct writer {
	struct hf_soft_cpu *cpu;
	hf_va first, second;
	uint64_t written; /* both words have had this value */
	bool stop;
};

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

/* Give the writer time for two more pairs; whether it took it. */
static bool writer_gets_on(struct writer *w, unsigned milliseconds)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t from = __atomic_load_n(&w->written, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&w->written, __ATOMIC_ACQUIRE) < from + 2) {
		if (!milliseconds--)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/*
 * Between the first and the second page that fork copies, the writer gets time. It must not
 * be able to use it: its stores wait in hf_fault until all pages are copied. (A port
 * function has no other way to find its data.)
 */
static struct {
	struct hf_port port; /* the soft port's, with the copy below */
	struct writer *writer;
	bool first;
} hook;

static void copy_and_let_write(void *host, void *dst, const void *src, size_t len)
{
	(void)host;
	memcpy(dst, src, len);
	if (hook.first)
		writer_gets_on(hook.writer, 10);
	hook.first = false;
}

static unsigned count_torn(struct space *s, struct writer *w, unsigned forks)
{
	unsigned torn = 0;

	while (forks--) {
		struct space *child;
		uint64_t second;

		if (!writer_gets_on(w, 10000))
			fail_msg("the writer does not get on");
		hook.first = true;
		child = bare_fork(s, HF_FORK_COPY);
		hook.first = false;
		second = load(child, 0, w->second);
		torn += second > load(child, 0, w->first);
		space_end(child);
	}
	return torn;
}

static void check_torn(struct machine *m, unsigned level, size_t count)
{
	struct space *s = space_new(m);
	uint64_t len = count * hf_level_size(level);
	hf_va va = map_level(s, level, count);
	struct writer w = { .cpu = cpu_of(s, 1), .first = va, .second = va + len - PAGE };
	pthread_t thread;
	struct pin pin;
	unsigned torn;

	pin_range(s, va, len, HF_PIN_WRITE, &pin);
	hook.port = *m->phys->port;
	hook.port.copy = copy_and_let_write;
	hook.writer = &w;
	m->phys->port = &hook.port;
	assert_int_equal(pthread_create(&thread, NULL, write_pairs, &w), 0);
	torn = count_torn(s, &w, 20);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	m->phys->port = hf_soft_port();
	SAME(torn, 0);
	CHECK(m);
	unpin(m, &pin);
}

static void snapshot_torn(void **state)
{
	check_torn(*state, HF_LEVEL_PTE, 16);
}

static void snapshot_torn_in_huge_pages(void **state)
{
	check_torn(*state, HF_LEVEL_PMD, 3);
}

static const struct CMUnitTest tests[] = {
	TEST(stale_writable_tlb),
	TEST(sibling_mapping_stale),
	TEST(copy_found_beside_the_old_page),
	TEST(branch_cache_stale),
	TEST(mremap_races),
	TEST(table_freed_under_walker),
	TEST(snapshot_torn),
	TEST(snapshot_torn_in_huge_pages),
};
SUITE(bugs_cpu, tests);
