/* SPDX-License-Identifier: MIT */
/* Swap: what goes out, what stays, and that all of it comes back as it was. */
#include "disk.h"

#define SLOTS 4096

static struct hf_swap_stats swap_stats(struct machine *m)
{
	struct hf_swap_stats stats;

	hf_swap_stats(m->phys, &stats);
	return stats;
}

/* Take so many pages, which are there to be had. */
static void reclaim(struct machine *m, uint64_t want)
{
	uint64_t before = free_bytes(m), all = 0, done;

	while (all < want) {
		enum hf_status st = hf_reclaim(m->phys, want - all, &done);

		CHECK(m);
		if (st != HF_OK)
			fail_msg("hf_reclaim: %s after %llu of %llu pages", hf_status_name(st),
				 (unsigned long long)(all + done), (unsigned long long)want);
		all += done;
	}
	SAME(all, want);
	SAME(free_bytes(m), before + want * PAGE);
}

/* Take all that may go. */
static uint64_t reclaim_all(struct machine *m)
{
	uint64_t all = 0, done;
	enum hf_status st;

	do {
		st = hf_reclaim(m->phys, 1 << 20, &done);
		CHECK(m);
		all += done;
	} while (st == HF_OK);
	SAME(st, HF_ERR_AGAIN);
	return all;
}

/* What goes, and what comes back */

static void pages_go_and_come_back(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 700, 1);

	SAME(pages_swapped(s), 0);
	reclaim(m, 100);
	SAME(pages_swapped(s), 100);
	SAME(swap_stats(m).used, 100);
	SAME(swap_stats(m).outs, 100);
	SAME(d->writes, 100);
	FILLED(s, va, 700 * PAGE, 1);
	SAME(pages_swapped(s), 0);
	SAME(swap_stats(m).used, 0);
	SAME(swap_stats(m).ins, 100);
	SAME(reclaim_all(m), 700);
	SAME(pages_swapped(s), 700);
	SAME(leaves(s, 0), 0);
	FILLED(s, va, 700 * PAGE, 1);
	fill(s, va, 700 * PAGE, 2);
	FILLED(s, va, 700 * PAGE, 2);
	disk_off(m, d);
}

static void a_page_that_is_written_comes_back_writable_at_once(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);

	SAME(reclaim_all(m), 2);
	put(s, va, 7);
	SAME(get(s, va), 7);
	SAME(access_of(s, va), HF_ACCESS_READ | HF_ACCESS_WRITE);
	get(s, va + PAGE);
	SAME(access_of(s, va + PAGE), HF_ACCESS_READ | HF_ACCESS_WRITE);
	SAME(swap_stats(m).used, 0);
	disk_off(m, d);
}

static void what_is_used_stays(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 600, 1);
	uint64_t done;

	/* The first pass of the hand finds all of them accessed, and takes one in the second. */
	reclaim(m, 1);
	for (uint64_t page = 0; page < 600; page += 2)
		get(s, va + page * PAGE);
	OK(hf_reclaim(m->phys, 200, &done));
	SAME(done, 200);
	for (uint64_t page = 2; page < 400; page += 2)
		assert_true(present(s, va + page * PAGE));
	CHECK(m);
	FILLED(s, va, 600 * PAGE, 1);
	disk_off(m, d);
}

/* A port that holds a lock of `held` for another thread, until somebody waits for it. */
static struct {
	struct hf_port port;
	struct hf_mm *held;
	const struct hf_mm *hand; /* where the hand was then */
	unsigned flushes;	  /* of its space, before that */
} writer;

static void count_flush(void *host, const struct hf_trace_event *event)
{
	(void)host;
	writer.flushes += writer.held && event->what == HF_TRACE_FLUSH && event->mm == writer.held;
}

static void let_go(void *host, const uint32_t *word, uint32_t value)
{
	(void)host;
	(void)word;
	(void)value;
	if (!writer.held)
		return;
	writer.hand = writer.held->phys->hand;
	writer.held->lock[0] = writer.held->lock[1] = 0;
	writer.held = NULL;
}

static void reclaim_waits_for_no_other_space_at_a_shared_table(void **state)
{
	struct machine *m = *state;
	const struct hf_port *behind = m->phys->port;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 100, 1);
	uint64_t done;

	child = fork_space(s, HF_FORK_COPY); /* the hand begins here, at a table that is both's */
	writer.port = *behind;
	writer.port.trace = count_flush;
	writer.port.wait = let_go;
	writer.held = s->mm;
	writer.flushes = 0;
	s->mm->lock[0] = 0x80000000; /* as hf_lock_exclusive leaves it */
	s->mm->lock[1] = 1;
	m->phys->port = &writer.port;
	OK(hf_reclaim(m->phys, 100, &done));
	m->phys->port = behind;
	assert_null(writer.held);
	assert_ptr_equal(writer.hand, s->mm);
	SAME(writer.flushes, 0);
	SAME(done, 100);
	CHECK(m);
	FILLED(s, va, 100 * PAGE, 1);
	FILLED(child, va, 100 * PAGE, 1);
	disk_off(m, d);
}

static void reclaim_says_what_it_did(void **state)
{
	struct machine *m = *state;
	struct hf_store none = { 0 };
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 10, 1);
	uint64_t done = 7;
	struct disk *d;

	GIVES(HF_ERR_INVAL, hf_reclaim(m->phys, 1, &done));
	SAME(done, 0);
	SAME(swap_stats(m).slots, 0);
	OK(hf_swap_on(m->phys, &none));
	GIVES(HF_ERR_EMPTY, hf_reclaim(m->phys, 0, &done));
	GIVES(HF_ERR_STORE, hf_reclaim(m->phys, 1, &done));
	SAME(done, 0);
	OK(hf_swap_off(m->phys));
	OK(hf_swap_off(m->phys));
	d = disk_on(m, SLOTS);
	GIVES(HF_ERR_BUSY, hf_swap_on(m->phys, &none));
	GIVES(HF_ERR_AGAIN, hf_reclaim(m->phys, 11, &done));
	SAME(done, 10);
	GIVES(HF_ERR_AGAIN, hf_reclaim(m->phys, 1, &done));
	SAME(done, 0);
	SAME(swap_stats(m).slots, SLOTS);
	FILLED(s, va, 10 * PAGE, 1);
	space_end(s);
	GIVES(HF_ERR_AGAIN, hf_reclaim(m->phys, 1, &done));
	disk_off(m, d);
}

static void a_store_is_checked(void **state)
{
	static uint64_t meta[4];
	struct machine *m = *state;
	struct hf_store s = { 1, disk_read, disk_write, NULL, meta };

	s.slots = UINT32_MAX;
	GIVES(HF_ERR_RANGE, hf_swap_on(m->phys, &s));
	s.slots = 1;
	s.read = NULL;
	GIVES(HF_ERR_INVAL, hf_swap_on(m->phys, &s));
	s.read = disk_read;
	s.write = NULL;
	GIVES(HF_ERR_INVAL, hf_swap_on(m->phys, &s));
	s.write = disk_write;
	s.meta = NULL;
	GIVES(HF_ERR_INVAL, hf_swap_on(m->phys, &s));
	s.meta = (char *)meta + 4;
	GIVES(HF_ERR_ALIGN, hf_swap_on(m->phys, &s));
	assert_true(hf_store_meta_size(3) <= sizeof(meta));
	s.meta = meta;
	OK(hf_swap_on(m->phys, &s));
	OK(hf_swap_off(m->phys));
}

static void one_call_does_bounded_work(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map(s, 200 * MIB, RW);
	uint64_t done = 0, calls = 0;
	enum hf_status st;

	/* Pages of zeros take no memory and never go: all that there is to look at. */
	OK(hf_madvise(s->mm, va, 200 * MIB, HF_ADV_NOHUGEPAGE));
	OK(hf_madvise(s->mm, va, 200 * MIB, HF_ADV_POPULATE_READ));
	put(s, va + 100 * MIB, 1);
	do {
		st = hf_reclaim(m->phys, 1, &done);
		calls++;
	} while (st == HF_OK && !done);
	SAME(st, HF_OK);
	assert_true(calls > 1 && calls < 20);
	SAME(get(s, va + 100 * MIB), 1);
	disk_off(m, d);
}

/* Rights */

static void rights_survive(void **state)
{
	static const unsigned prots[] = { HF_PROT_READ, RW, HF_PROT_READ | HF_PROT_EXEC,
					  RW | HF_PROT_EXEC };
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);

	for (size_t i = 0; i < sizeof(prots) / sizeof(prots[0]); i++) {
		struct space *s = space_new(m);
		hf_va va = map_filled(s, HF_LEVEL_PTE, 4, i);
		unsigned before;

		OK(hf_mprotect(s->mm, va, 4 * PAGE, prots[i]));
		before = access_of(s, va);
		SAME(reclaim_all(m), 4);
		assert_false(present(s, va));
		FILLED(s, va, 4 * PAGE, i);
		SAME(access_of(s, va), before);
		SAME(may_store(s, va), !!(prots[i] & HF_PROT_WRITE));
		space_end(s);
	}
	disk_off(m, d);
}

static void forbidden_memory_goes_and_comes_back_forbidden(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);

	OK(hf_mprotect(s->mm, va, 8 * PAGE, HF_PROT_NONE));
	SAME(reclaim_all(m), 8);
	assert_false(may_load(s, va));
	SAME(pages_swapped(s), 8);
	/* Rights change while the pages are away. */
	OK(hf_mprotect(s->mm, va, 4 * PAGE, HF_PROT_READ));
	CHECK(m);
	FILLED(s, va, 4 * PAGE, 1);
	assert_false(may_store(s, va));
	assert_false(may_load(s, va + 4 * PAGE));
	OK(hf_swap_off(m->phys));
	CHECK(m);
	assert_true(present(s, va + 4 * PAGE));
	assert_false(may_load(s, va + 4 * PAGE));
	OK(hf_mprotect(s->mm, va, 8 * PAGE, RW));
	FILLED(s, va, 8 * PAGE, 1);
	fill(s, va, 8 * PAGE, 2);
	disk_off(m, d);
}

/* Letting go of what is away */

static void memory_that_is_away_can_be_given_up(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1200, 1);

	SAME(reclaim_all(m), 1200);
	OK(hf_munmap(s->mm, va, 100 * PAGE));
	CHECK(m);
	SAME(swap_stats(m).used, 1100);
	OK(hf_madvise(s->mm, va + 100 * PAGE, 100 * PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	SAME(swap_stats(m).used, 1000);
	ZEROS(s, va + 100 * PAGE, 100 * PAGE);
	map_at(s, va + 200 * PAGE, 600 * PAGE, RW); /* a whole table among it */
	SAME(swap_stats(m).used, 400);
	ZEROS(s, va + 200 * PAGE, 600 * PAGE);
	FILLED(s, va + 800 * PAGE, 200 * PAGE, 1);
	SAME(swap_stats(m).used, 200);
	space_end(s);
	SAME(swap_stats(m).used, 0);
	disk_off(m, d);
}

/* Calls that want the pages */

static void copies_find_what_is_away(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1), to = map(s, 8 * PAGE, RW);
	uint64_t word;

	SAME(reclaim_all(m), 8);
	OK(hf_read(s->mm, va + 2 * PAGE - 4, &word, 8));
	CHECK(m);
	SAME(pages_swapped(s), 6);
	SAME(word >> 32, stamp(1, va + 2 * PAGE) & UINT32_MAX);
	word = 99;
	OK(hf_write(s->mm, va + 4 * PAGE, &word, 8));
	CHECK(m);
	SAME(get(s, va + 4 * PAGE), 99);
	SAME(get(s, va + 5 * PAGE - 8), stamp(1, va + 5 * PAGE - 8));
	put(s, va + 4 * PAGE, stamp(1, va + 4 * PAGE));
	reclaim_all(m);
	OK(hf_copy(s->mm, to, s->mm, va, 8 * PAGE));
	CHECK(m);
	for (uint64_t at = 0; at < 8 * PAGE; at += PAGE)
		SAME(get(s, to + at), stamp(1, va + at));
	FILLED(s, va, 8 * PAGE, 1);
	disk_off(m, d);
}

static void a_pin_brings_back_and_holds(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 20, 1);
	struct pin a, b;
	hf_pa pa;

	SAME(reclaim_all(m), 20);
	pin_range(s, va + 5 * PAGE, 3 * PAGE, HF_PIN_WRITE, &a);
	pin_range(s, va + 10 * PAGE, 2 * PAGE, HF_PIN_READ, &b);
	SAME(pages_swapped(s), 15);
	pa = pa_of(s, va + 5 * PAGE);
	FILLED(s, va, 20 * PAGE, 1);
	SAME(reclaim_all(m), 15);
	SAME_PA(pa_of(s, va + 5 * PAGE), pa);
	dma_put(m, pa, 1234);
	SAME(get(s, va + 5 * PAGE), 1234);
	put(s, va + 5 * PAGE, stamp(1, va + 5 * PAGE));
	SAME(dma_get(m, pa), stamp(1, va + 5 * PAGE));
	unpin(m, &a);
	unpin(m, &b);
	SAME(reclaim_all(m), 5);
	FILLED(s, va, 20 * PAGE, 1);
	disk_off(m, d);
}

/* Fork */

static void fork_shares_what_is_away(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 600, 1);

	SAME(reclaim_all(m), 600);
	c = fork_space(p, HF_FORK_COPY);
	SAME(swap_stats(m).used, 600);
	SAME(pages_swapped(c), 600);
	FILLED(c, va, 100 * PAGE, 1);
	FILLED(p, va, 600 * PAGE, 1);
	fill(c, va, 600 * PAGE, 2);
	FILLED(p, va, 600 * PAGE, 1);
	fill(p, va, 600 * PAGE, 3);
	FILLED(c, va, 600 * PAGE, 2);
	disk_off(m, d);
}

static void shared_pages_go_once_and_come_back_once(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 64, 1);

	c = fork_space(p, HF_FORK_COPY);
	SAME(reclaim_all(m), 64);
	SAME(d->writes, 64);
	SAME(pages_swapped(c), 64);
	SAME(pages_swapped(p), 64);
	FILLED(p, va, 64 * PAGE, 1);
	SAME(d->reads, 64);
	FILLED(c, va, 64 * PAGE, 1);
	SAME(d->reads, 64);
	SAME_PA(pa_of(p, va), pa_of(c, va));
	put(c, va, 5); /* the tables part: each page has two leaves from now on */
	SAME(reclaim_all(m), 65);
	SAME(d->writes, 64 + 65);
	SAME(pages_swapped(c), 64);
	SAME(pages_swapped(p), 64);
	SAME(get(c, va), 5);
	FILLED(p, va, 64 * PAGE, 1);
	SAME(d->reads, 64 + 65);
	SAME(swap_stats(m).cached, 63);
	FILLED(c, va + PAGE, 63 * PAGE, 1);
	SAME(d->reads, 64 + 65);
	SAME_PA(pa_of(p, va + PAGE), pa_of(c, va + PAGE));
	SAME(swap_stats(m).used, 0);
	CHECK(m);
	disk_off(m, d);
}

/* Both have a leaf to the page, not a table. Round trips by one of them, then writes by both. */
static void sharers_stay_apart(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);

	for (unsigned first = 0; first < 2; first++) {
		for (unsigned write = 0; write < 2; write++) {
			struct space *p = space_new(m), *c, *a, *b;
			hf_va va = map_filled(p, HF_LEVEL_PTE, 4, 1);

			c = fork_space(p, HF_FORK_COPY);
			put(c, va + 3 * PAGE, 0);
			reclaim_all(m);
			a = first ? p : c;
			b = first ? c : p;
			if (write)
				put(a, va, 77);
			SAME(get(a, va), write ? 77 : stamp(1, va));
			SAME(get(b, va), stamp(1, va));
			put(a, va, 78);
			SAME(get(b, va), stamp(1, va));
			put(b, va, 79);
			SAME(get(a, va), 78);
			CHECK(m);
			space_end(a);
			SAME(get(b, va), 79);
			FILLED(b, va + PAGE, 2 * PAGE, 1);
			space_end(b);
			SAME(swap_stats(m).used, 0);
		}
	}
	disk_off(m, d);
}

static void a_page_that_one_has_back_can_be_pinned_alone(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 2, 1);
	struct pin pin;

	c = fork_space(p, HF_FORK_COPY);
	put(c, va + PAGE, 0);
	reclaim_all(m);
	SAME(get(p, va), stamp(1, va)); /* cached: the child's entry names the slot */
	SAME(swap_stats(m).cached, 1);
	pin_range(p, va, PAGE, HF_PIN_WRITE, &pin);
	SAME(swap_stats(m).cached, 0);
	dma_put(m, pin.spans[0].pa, 42);
	SAME(get(p, va), 42);
	SAME(get(c, va), stamp(1, va));
	SAME_PA(pa_of(p, va), pin.spans[0].pa);
	put(c, va, 43);
	SAME(get(p, va), 42);
	unpin(m, &pin);
	disk_off(m, d);
}

/* What a CPU of the other space remembers leads to memory that somebody else has by then. */
static void no_space_goes_on_using_what_went(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c, *e;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 30, 1);
	struct hoard hoard;

	/*
	 * The hand comes to the youngest first, which ages the pages, and takes them of the next.
	 */
	c = fork_space(p, HF_FORK_COPY);
	e = fork_space(p, HF_FORK_COPY);
	FILLED(e, va, 30 * PAGE, 1);
	FILLED(c, va, 30 * PAGE, 1);
	FILLED(p, va, 30 * PAGE, 1);
	SAME(reclaim_all(m), 30);
	hoard_all(m, 0, &hoard);
	for (size_t i = 0; i < hoard.count; i++)
		memset(hf_phys_ptr(m->phys, hoard.pages[i]), 0xee, PAGE);
	hoard_release(m, &hoard);
	FILLED(p, va, 30 * PAGE, 1);
	FILLED(c, va, 30 * PAGE, 1);
	FILLED(e, va, 30 * PAGE, 1);
	disk_off(m, d);
}

/* A pin makes fork look, so entries are shared one by one. */
static void fork_beside_a_pin_shares_entries(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 30, 1);
	struct pin pin;

	pin_range(p, va + 10 * PAGE, PAGE, HF_PIN_WRITE, &pin);
	SAME(reclaim_all(m), 29);
	c = fork_space(p, HF_FORK_COPY);
	SAME(swap_stats(m).used, 29);
	SAME(pages_swapped(c), 29);
	FILLED(c, va, 30 * PAGE, 1);
	fill(c, va, 30 * PAGE, 2);
	FILLED(p, va, 30 * PAGE, 1);
	unpin(m, &pin);
	disk_off(m, d);
}

static void what_fork_leaves_out_is_left_out(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 30, 1);

	OK(hf_madvise(p->mm, va + 10 * PAGE, 5 * PAGE, HF_ADV_WIPEONFORK));
	OK(hf_madvise(p->mm, va + 20 * PAGE, 5 * PAGE, HF_ADV_DONTFORK));
	SAME(reclaim_all(m), 30);
	c = fork_space(p, HF_FORK_COPY);
	FILLED(c, va, 10 * PAGE, 1);
	ZEROS(c, va + 10 * PAGE, 5 * PAGE);
	assert_false(may_load(c, va + 20 * PAGE));
	FILLED(c, va + 25 * PAGE, 5 * PAGE, 1);
	FILLED(p, va, 30 * PAGE, 1);
	disk_off(m, d);
}

static void a_chain_of_forks_keeps_its_states(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s[6];
	hf_va va;

	s[0] = space_new(m);
	va = map_filled(s[0], HF_LEVEL_PTE, 10, 0);
	for (unsigned i = 1; i < 6; i++) {
		s[i] = fork_space(s[i - 1], HF_FORK_COPY);
		fill(s[i], va, i * PAGE, i);
		if (i & 1)
			reclaim_all(m);
	}
	for (unsigned i = 0; i < 6; i++) {
		FILLED(s[i], va, i * PAGE, i);
		FILLED(s[i], va + 6 * PAGE, 4 * PAGE, 0);
		reclaim_all(m);
	}
	for (unsigned i = 0; i < 6; i += 2)
		space_end(s[i]);
	CHECK(m);
	for (unsigned i = 1; i < 6; i += 2)
		FILLED(s[i], va, i * PAGE, i);
	disk_off(m, d);
}

/* Huge pages */

static void cold_huge_pages_go_in_small_ones(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 3, 1);
	uint64_t done;

	OK(hf_reclaim(m->phys, 20, &done));
	CHECK(m);
	SAME(done, 20);
	SAME(pages_swapped(s), 20);
	SAME(leaves(s, 1), 2);
	FILLED(s, va, 3 * PMD_SIZE, 1);
	SAME(reclaim_all(m), 3 * 512);
	SAME(leaves(s, 0), 0);
	SAME(leaves(s, 1), 0);
	FILLED(s, va, 3 * PMD_SIZE, 1);
	disk_off(m, d);
}

static void used_huge_pages_stay(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 4, 1);
	uint64_t done;

	OK(hf_reclaim(m->phys, 1, &done)); /* all are old now, and the first is split */
	get(s, va + PMD_SIZE + 5 * PAGE);
	get(s, va + 3 * PMD_SIZE);
	OK(hf_reclaim(m->phys, 600, &done));
	CHECK(m);
	SAME(level_of(s, va + PMD_SIZE), 1);
	SAME(level_of(s, va + 3 * PMD_SIZE), 1);
	FILLED(s, va, 4 * PMD_SIZE, 1);
	disk_off(m, d);
}

static void pins_hold_parts_of_huge_pages(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	struct pin part, whole;

	pin_range(s, va + 7 * PAGE, PAGE, HF_PIN_WRITE, &part);
	pin_range(s, va + PMD_SIZE, PMD_SIZE, HF_PIN_WRITE, &whole);
	SAME(reclaim_all(m), 511);
	SAME(level_of(s, va + PMD_SIZE), 1);
	SAME_PA(pa_of(s, va + 7 * PAGE), part.spans[0].pa);
	FILLED(s, va, 2 * PMD_SIZE, 1);
	unpin(m, &part);
	unpin(m, &whole);
	disk_off(m, d);
}

static void shared_huge_pages_go_for_all(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PMD, 3, 1);

	/* Through a table that both have. */
	c = fork_space(p, HF_FORK_COPY);
	SAME(reclaim_all(m), 3 * 512);
	FILLED(p, va, PMD_SIZE, 1);
	FILLED(c, va, 3 * PMD_SIZE, 1);
	space_end(c);
	/* And with a leaf each. */
	FILLED(p, va, 3 * PMD_SIZE, 1);
	OK(hf_madvise(p->mm, va, 3 * PMD_SIZE, HF_ADV_DONTNEED));
	fill(p, va, 3 * PMD_SIZE, 2);
	c = fork_space(p, HF_FORK_COPY);
	put(c, va, 5);
	SAME(reclaim_all(m), 4 * 512);
	SAME(swap_stats(m).used, 4 * 512);
	FILLED(p, va, 3 * PMD_SIZE, 2);
	SAME(get(c, va), 5);
	FILLED(c, va + PMD_SIZE, 2 * PMD_SIZE, 2);
	disk_off(m, d);
}

/* On formats whose branches cannot deny writing, the first that walks there takes W from below. */
static void huge_pages_split_below_a_way_that_denies_writing(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PMD, 2, 1);
	uint64_t done;

	c = fork_space(p, HF_FORK_COPY);
	FILLED(p, va, 2 * PMD_SIZE, 1);
	FILLED(c, va, 2 * PMD_SIZE, 1);
	OK(hf_reclaim(m->phys, 100, &done));
	CHECK(m);
	SAME(done, 100);
	fill(p, va, 2 * PMD_SIZE, 2);
	CHECK(m);
	FILLED(c, va, 2 * PMD_SIZE, 1);
	FILLED(p, va, 2 * PMD_SIZE, 2);
	disk_off(m, d);
}

static void a_huge_page_goes_without_a_frame_for_its_table(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	struct hoard hoard;
	uint64_t done;

	hoard_all(m, 0, &hoard);
	OK(hf_reclaim(m->phys, 300, &done));
	CHECK(m);
	SAME(done, 300);
	OK(hf_reclaim(m->phys, 400, &done));
	CHECK(m);
	SAME(done, 400);
	hoard_release(m, &hoard);
	FILLED(s, va, 2 * PMD_SIZE, 1);
	disk_off(m, d);
}

/* Advice */

static void free_memory_goes_without_a_store(void **state)
{
	struct hf_store none = { 0 };
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 20, 1), huge = map_filled(s, HF_LEVEL_PMD, 2, 2);
	uint64_t before = free_bytes(m), done;

	OK(hf_swap_on(m->phys, &none));
	OK(hf_madvise(s->mm, va, 10 * PAGE, HF_ADV_FREE));
	CHECK(m);
	OK(hf_madvise(s->mm, huge, PMD_SIZE, HF_ADV_FREE));
	CHECK(m);
	/* All of it is still there, and what is written stays. */
	FILLED(s, va, 20 * PAGE, 1);
	FILLED(s, huge, 2 * PMD_SIZE, 2);
	put(s, va + 3 * PAGE, 9);
	GIVES(HF_ERR_STORE, hf_reclaim(m->phys, 10000, &done));
	CHECK(m);
	SAME(done, 9 + 512);
	OK(hf_swap_off(m->phys));
	/* Less a table: the hand has split the other huge page. */
	SAME(free_bytes(m) + PAGE, before + (9 + 512) * PAGE);
	ZEROS(s, va, 3 * PAGE);
	SAME(get(s, va + 3 * PAGE), 9);
	ZEROS(s, va + 4 * PAGE, 6 * PAGE);
	FILLED(s, va + 10 * PAGE, 10 * PAGE, 1);
	ZEROS(s, huge, PMD_SIZE);
	FILLED(s, huge + PMD_SIZE, PMD_SIZE, 2);
}

static void free_takes_only_ones_own(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 20, 1);

	c = fork_space(p, HF_FORK_COPY);
	OK(hf_madvise(c->mm, va, 20 * PAGE, HF_ADV_FREE));
	CHECK(m);
	put(c, va, 5); /* 19 pages have a leaf in each space now */
	OK(hf_madvise(c->mm, va, 20 * PAGE, HF_ADV_FREE));
	CHECK(m);
	SAME(reclaim_all(m), 21);
	SAME(swap_stats(m).used, 20);
	ZEROS(c, va, PAGE);
	FILLED(c, va + PAGE, 19 * PAGE, 1);
	FILLED(p, va, 20 * PAGE, 1);
	disk_off(m, d);
}

static void free_memory_that_fork_shares_goes_for_each(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 20, 1);

	OK(hf_madvise(p->mm, va, 20 * PAGE, HF_ADV_FREE));
	c = fork_space(p, HF_FORK_COPY);
	put(c, va, 5);
	put(p, va + PAGE, 6);
	CHECK(m);
	reclaim_all(m);
	SAME(get(c, va), 5);
	SAME(get(p, va + PAGE), 6);
	ZEROS(c, va + 2 * PAGE, 18 * PAGE);
	ZEROS(p, va + 2 * PAGE, 18 * PAGE);
	disk_off(m, d);
}

/* The huge page goes from one who has all of it, and only what nobody else has becomes free. */
static void free_huge_memory_that_others_have_in_parts(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PMD, 1, 1);
	uint64_t before;

	OK(hf_madvise(p->mm, va, PMD_SIZE, HF_ADV_FREE));
	c = fork_space(p, HF_FORK_COPY);
	OK(hf_madvise(c->mm, va + 7 * PAGE, PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	SAME(level_of(p, va), HF_LEVEL_PMD);
	SAME(level_of(c, va), HF_LEVEL_PTE);
	before = free_bytes(m);
	SAME(reclaim_all(m), 512);
	SAME(free_bytes(m), before + PMD_SIZE);
	ZEROS(p, va, PMD_SIZE);
	ZEROS(c, va, PMD_SIZE);
	disk_off(m, d);
}

static void free_drops_what_is_away(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 20, 1);

	reclaim_all(m);
	OK(hf_madvise(s->mm, va, 10 * PAGE, HF_ADV_FREE));
	CHECK(m);
	SAME(swap_stats(m).used, 10);
	ZEROS(s, va, 10 * PAGE);
	FILLED(s, va + 10 * PAGE, 10 * PAGE, 1);
	disk_off(m, d);
}

static void cold_pages_go_first(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 100, 1);

	OK(hf_madvise(s->mm, va + 50 * PAGE, 20 * PAGE, HF_ADV_COLD));
	CHECK(m);
	put(s, va + 55 * PAGE, stamp(1, va + 55 * PAGE)); /* used again */
	reclaim(m, 19);
	for (uint64_t page = 0; page < 100; page++)
		SAME(present(s, va + page * PAGE), page < 50 || page == 55 || page >= 70);
	FILLED(s, va, 100 * PAGE, 1);
	disk_off(m, d);
}

static void pageout_takes_a_range(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 100, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);

	OK(hf_madvise(s->mm, va + 10 * PAGE, 50 * PAGE, HF_ADV_PAGEOUT));
	CHECK(m);
	SAME(pages_swapped(s), 50);
	for (uint64_t page = 0; page < 100; page++)
		SAME(present(s, va + page * PAGE), page < 10 || page >= 60);
	OK(hf_madvise(s->mm, huge + 100 * PAGE, 100 * PAGE, HF_ADV_PAGEOUT));
	CHECK(m);
	for (uint64_t page = 0; page < 512; page++)
		SAME(present(s, huge + page * PAGE), page < 100 || page >= 200);
	FILLED(s, va, 100 * PAGE, 1);
	FILLED(s, huge, PMD_SIZE, 2);
	disk_off(m, d);
}

static void pageout_leaves_what_others_have(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 30, 1);
	struct pin pin;

	c = fork_space(p, HF_FORK_COPY);
	OK(hf_madvise(p->mm, va, 30 * PAGE, HF_ADV_PAGEOUT));
	SAME(pages_swapped(p), 0);
	fill(c, va, 10 * PAGE, 2);
	pin_range(c, va + 5 * PAGE, PAGE, HF_PIN_READ, &pin);
	OK(hf_madvise(c->mm, va, 30 * PAGE, HF_ADV_PAGEOUT));
	CHECK(m);
	SAME(pages_swapped(c), 9);
	assert_true(present(c, va + 5 * PAGE));
	unpin(m, &pin);
	FILLED(c, va, 10 * PAGE, 2);
	FILLED(p, va, 30 * PAGE, 1);
	disk_off(m, d);
}

static void advice_has_its_errors(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1), shared = 0;
	struct disk *d;

	OK(hf_mmap(s->mm, &shared, 4 * PAGE, RW, HF_MAP_SHARED));
	put(s, shared, 1);
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, va, PAGE, HF_ADV_PAGEOUT));
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_COLD));
	d = disk_on(m, 2);
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, shared, PAGE, HF_ADV_PAGEOUT));
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, shared, PAGE, HF_ADV_COLD));
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, shared, PAGE, HF_ADV_FREE));
	FAILS(m, HF_ERR_UNMAPPED, hf_madvise(s->mm, SPACE_LO, PAGE, HF_ADV_PAGEOUT));
	FAILS(m, HF_ERR_UNMAPPED, hf_madvise(s->mm, SPACE_LO, PAGE, HF_ADV_COLD));
	FAILS(m, HF_ERR_UNMAPPED, hf_madvise(s->mm, SPACE_LO, PAGE, HF_ADV_FREE));
	GIVES(HF_ERR_STORE, hf_madvise(s->mm, va, 4 * PAGE, HF_ADV_PAGEOUT));
	CHECK(m);
	SAME(pages_swapped(s), 2);
	FILLED(s, va, 4 * PAGE, 1);
	SAME(get(s, shared), 1);
	disk_off(m, d);
}

/* Other calls over what is away */

static void pages_that_are_away_move(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m), *c;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1100, 1), to = 0;

	SAME(reclaim_all(m), 1100);
	c = fork_space(s, HF_FORK_COPY);
	OK(hf_mremap(s->mm, va, 1100 * PAGE, 1200 * PAGE, HF_MREMAP_MAYMOVE, &to));
	CHECK(m);
	SAME(swap_stats(m).used, 1100);
	SAME(pages_swapped(s), 1100);
	for (uint64_t at = 0; at < 1100 * PAGE; at += PAGE)
		SAME(get(s, to + at), stamp(1, va + at));
	/* What is shared goes for both, though it lies elsewhere here. */
	reclaim_all(m);
	for (uint64_t at = 0; at < 1100 * PAGE; at += PAGE)
		SAME(get(s, to + at), stamp(1, va + at));
	FILLED(c, va, 1100 * PAGE, 1);
	disk_off(m, d);
}

static void shared_memory_stays(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = 0;

	OK(hf_mmap(s->mm, &va, 30 * PAGE, RW, HF_MAP_SHARED));
	fill(s, va, 30 * PAGE, 1);
	SAME(reclaim_all(m), 0);
	SAME(leaves(s, 0), 30);
	FILLED(s, va, 30 * PAGE, 1);
	disk_off(m, d);
}

/* Failures */

static void a_full_store_loses_nothing(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, 10);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 40, 1);
	uint64_t done;

	GIVES(HF_ERR_STORE, hf_reclaim(m->phys, 20, &done));
	CHECK(m);
	SAME(done, 10);
	SAME(pages_swapped(s), 10);
	FAILS(m, HF_ERR_STORE, hf_reclaim(m->phys, 20, &done));
	SAME(done, 0);
	FILLED(s, va, 40 * PAGE, 1);
	fill(s, va, 40 * PAGE, 2);
	FILLED(s, va, 40 * PAGE, 2);
	disk_off(m, d);
}

static void a_failing_write_leaves_the_page(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);

	for (uint64_t n = 1; n <= 40; n++) {
		struct space *s = space_new(m), *c = NULL;
		hf_va va = map_filled(s, HF_LEVEL_PTE, 40, 1);
		uint64_t done;

		if (n & 1) {
			c = fork_space(s, HF_FORK_COPY);
			put(c, va, stamp(1, va));
		}
		d->writes = 0;
		d->bad_write = n;
		GIVES(HF_ERR_STORE, hf_reclaim(m->phys, 100, &done));
		CHECK(m);
		d->bad_write = 0;
		FILLED(s, va, 40 * PAGE, 1);
		fill(s, va, 40 * PAGE, 2);
		FILLED(s, va, 40 * PAGE, 2);
		if (c) {
			FILLED(c, va, 40 * PAGE, 1);
			space_end(c);
		}
		space_end(s);
		SAME(swap_stats(m).used, 0);
	}
	disk_off(m, d);
}

static void a_failing_read_leaves_the_page_away(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1), to = map(s, 8 * PAGE, RW);
	uint64_t word, free;
	struct pin pin;

	SAME(reclaim_all(m), 8);
	free = free_bytes(m);
	d->bad_read = 1;
	FAILS(m, HF_ERR_STORE, hf_fault(s->mm, va, HF_ACCESS_READ, NULL));
	FAILS(m, HF_ERR_STORE, hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	FAILS(m, HF_ERR_STORE, hf_read(s->mm, va, &word, 8));
	FAILS(m, HF_ERR_STORE, hf_write(s->mm, va, &word, 8));
	GIVES(HF_ERR_STORE, hf_copy(s->mm, to, s->mm, va, 8 * PAGE));
	GIVES(HF_ERR_STORE,
	      hf_pin(s->mm, va, PAGE, HF_PIN_WRITE, pin.spans, MAX_SPANS, &pin.count));
	FAILS(m, HF_ERR_STORE, hf_swap_off(m->phys));
	assert_false(may_load(s, va));
	SAME(free_bytes(m), free);
	SAME(pages_swapped(s), 8);
	/* The third page of eight. */
	d->reads = 0;
	d->bad_read = 3;
	GIVES(HF_ERR_STORE, hf_madvise(s->mm, va, 8 * PAGE, HF_ADV_POPULATE_READ));
	CHECK(m);
	SAME(pages_swapped(s), 6);
	d->bad_read = 0;
	FILLED(s, va, 8 * PAGE, 1);
	disk_off(m, d);
}

static void without_memory_the_page_stays_away(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);
	struct hoard hoard;
	uint64_t done;

	SAME(reclaim_all(m), 8);
	hoard_all(m, 0, &hoard);
	FAILS(m, HF_ERR_NOMEM, hf_fault(s->mm, va, HF_ACCESS_READ, NULL));
	FAILS(m, HF_ERR_NOMEM, hf_swap_off(m->phys));
	OK(hf_phys_free(m->phys, hoard.pages[--hoard.count], 0));
	SAME(get(s, va), stamp(1, va));
	GIVES(HF_ERR_NOMEM, hf_fault(s->mm, va + PAGE, HF_ACCESS_READ, NULL));
	OK(hf_reclaim(m->phys, 1, &done)); /* as a host does then */
	SAME(get(s, va + PAGE), stamp(1, va + PAGE));
	hoard_release(m, &hoard);
	FILLED(s, va, 8 * PAGE, 1);
	disk_off(m, d);
}

static void more_memory_than_there_is(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, 2 * RAM_BYTES / PAGE);
	struct space *s = space_new(m);
	uint64_t len = RAM_BYTES + 32 * MIB, done;
	hf_va va = map(s, len, RW);

	OK(hf_madvise(s->mm, va, len, HF_ADV_NOHUGEPAGE));
	for (unsigned pass = 0; pass < 2; pass++) {
		for (uint64_t at = 0; at < len; at += PAGE) {
			enum hf_status st;

			while ((st = hf_fault(s->mm, va + at, HF_ACCESS_WRITE, NULL)) ==
			       HF_ERR_NOMEM)
				OK(hf_reclaim(m->phys, 256, &done));
			SAME(st, HF_OK);
			SAME(get(s, va + at), pass ? at + 1 : 0);
			put(s, va + at, at + 1 + pass);
		}
		CHECK(m);
	}
	assert_true(swap_stats(m).ins > 0);
	space_end(s);
	SAME(swap_stats(m).used, 0);
	disk_off(m, d);
}

static void the_end_of_the_store_brings_all_back(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *p = space_new(m), *c;
	hf_va va = map_filled(p, HF_LEVEL_PTE, 600, 1);
	uint64_t done;

	c = fork_space(p, HF_FORK_COPY);
	put(c, va, 5);
	reclaim_all(m);
	disk_off(m, d);
	SAME(pages_swapped(p), 0);
	SAME(pages_swapped(c), 0);
	GIVES(HF_ERR_INVAL, hf_reclaim(m->phys, 1, &done));
	FILLED(p, va, 600 * PAGE, 1);
	SAME(get(c, va), 5);
	FILLED(c, va + PAGE, 599 * PAGE, 1);
}

static void a_slots_count_has_a_limit(void **state)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES, .count_limit = 3 };
	struct machine *m = machine_new(&config);
	struct disk *d = disk_on(m, SLOTS);
	struct space *s[4];
	hf_va va;

	(void)state;
	s[0] = space_new(m);
	va = map_filled(s[0], HF_LEVEL_PTE, 2, 1);
	SAME(reclaim_all(m), 2);
	for (unsigned i = 1; i < 3; i++) {
		struct pin pin;

		/* Each in a table of its own: all three name the slot of the first page. */
		pin_range(s[0], va + PAGE, PAGE, HF_PIN_READ, &pin);
		s[i] = fork_space(s[0], HF_FORK_COPY);
		unpin(m, &pin);
	}
	SAME(swap_stats(m).used, 1);
	{
		struct pin pin;

		pin_range(s[0], va + PAGE, PAGE, HF_PIN_READ, &pin);
		FAILS(m, HF_ERR_OVERFLOW, try_fork(s[0], HF_FORK_COPY, &s[3]));
		unpin(m, &pin);
	}
	FILLED(s[2], va, 2 * PAGE, 1);
	FILLED(s[1], va, 2 * PAGE, 1);
	FILLED(s[0], va, 2 * PAGE, 1);
	disk_off(m, d);
	machine_end(m);
}

/* A slot that three entries name takes no fourth: that leaf is as it was. */
static void a_leaf_that_its_slot_has_no_room_for_stays(void **state)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES, .count_limit = 3 };
	struct machine *m = machine_new(&config);
	struct disk *d = disk_on(m, SLOTS);
	struct space *s[4];
	struct pin pin;
	hf_va va;

	(void)state;
	s[0] = space_new(m);
	va = map_filled(s[0], HF_LEVEL_PTE, 2, 1);
	for (unsigned i = 1; i < 4; i++) {
		pin_range(s[0], va + PAGE, PAGE, HF_PIN_READ, &pin);
		if (i == 3) {
			reclaim_all(m);
			FILLED(s[0], va, PAGE, 1); /* two entries, and this leaf */
		}
		s[i] = fork_space(s[0], HF_FORK_COPY);
		unpin(m, &pin);
	}
	reclaim_all(m);
	SAME(pages_swapped(s[0]) + pages_swapped(s[3]), 1 + 2);
	SAME(present(s[0], va) + present(s[3], va), 1);
	for (unsigned i = 0; i < 4; i++) {
		FILLED(s[i], va, 2 * PAGE, 1);
		put(s[i], va, 5 + i); /* four leaves would be too many */
	}
	for (unsigned i = 0; i < 4; i++)
		SAME(get(s[i], va), 5 + i);
	disk_off(m, d);
	machine_end(m);
}

/* Locks */

static void locked_memory_stays(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 40, 1);

	OK(hf_mlock(s->mm, va, 10 * PAGE, 0));
	OK(hf_mlock(s->mm, va + 10 * PAGE, 10 * PAGE, HF_MLOCK_ONFAULT));
	SAME(reclaim_all(m), 20);
	SAME(leaves(s, 0), 20);
	/* locking brings back */
	OK(hf_mlock(s->mm, va + 20 * PAGE, 5 * PAGE, 0));
	SAME(leaves(s, 0), 25);
	SAME(reclaim_all(m), 0);
	/* a child's pages are not locked; but those that it still shares are its parent's too */
	child = fork_space(s, HF_FORK_COPY);
	SAME(reclaim_all(m), 0);
	SAME(leaves(s, 0), 25);
	put(child, va, 7); /* now it has a table of its own, and this page */
	SAME(leaves(s, 0), 25);
	assert_true(reclaim_all(m) > 0);
	SAME(leaves(s, 0), 25);
	SAME(get(child, va), 7);
	FILLED(s, va, 40 * PAGE, 1);
	OK(hf_munlock_all(s->mm));
	assert_true(reclaim_all(m) > 0);
	SAME(leaves(s, 0), 0);
	FILLED(s, va, 40 * PAGE, 1);
	disk_off(m, d);
}

static void what_is_away_moves_with_mremap(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	struct space *s = space_new(m), *child;
	hf_va va = map_level(s, HF_LEVEL_PTE, 2 * HF_TABLE_ENTRIES), to = SPACE_LO;
	const unsigned fixed = HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED;
	const uint64_t len = 2 * PMD_SIZE;

	for (unsigned odd = 0; odd < 2; odd++) {
		for (uint64_t at = 0; at < len; at += 7 * PAGE)
			put(s, va + at, at + odd);
		child = fork_space(s, HF_FORK_COPY);
		reclaim_all(m);
		assert_true(pages_swapped(s) > 100);
		to += odd * PAGE;
		OK(hf_mremap(s->mm, va, len, len, fixed, &to));
		CHECK(m);
		for (uint64_t at = 0; at < len; at += 7 * PAGE) {
			SAME(get(s, to + at), at + odd);
			SAME(get(child, va + at), at + odd);
		}
		/* a table that is shared may be at two addresses: no CPU keeps what goes */
		reclaim_all(m);
		for (uint64_t at = 0; at < len; at += 7 * PAGE)
			SAME(get(s, to + at), at + odd);
		OK(hf_mremap(s->mm, to, len, len, fixed, &va));
		CHECK(m);
		space_end(child);
	}
	disk_off(m, d);
}

/* An empty entry spans more than the mapping that it is empty in: what lies behind is an object's. */
static void reading_goes_on_into_an_object(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, 8);
	struct space *s = space_new(m);
	struct hf_object_config config = { .size = PAGE };
	struct hf_object *object;
	hf_va va = map(s, 4 * PAGE, RW), there = va + 2 * PAGE;
	char buf[2 * PAGE] = { 0 };

	OK(hf_object_create(m->phys, &config, &object));
	OK(hf_object_write(object, 0, "x", 1));
	OK(hf_mmap_object(s->mm, &there, 2 * PAGE, HF_PROT_READ, HF_MAP_SHARED | HF_MAP_FIXED,
			  object, 0));
	OK(hf_object_put(object));
	OK(hf_read(s->mm, there - PAGE, buf, sizeof(buf)));
	SAME(buf[PAGE], 'x');
	GIVES(HF_ERR_BUS, hf_read(s->mm, there - PAGE, buf, sizeof(buf) + 1));
	space_end(s);
	disk_off(m, d);
}

static const struct CMUnitTest tests[] = {
	TEST(reading_goes_on_into_an_object),
	TEST(pages_go_and_come_back),
	TEST(a_page_that_is_written_comes_back_writable_at_once),
	TEST(what_is_used_stays),
	TEST(reclaim_waits_for_no_other_space_at_a_shared_table),
	TEST(reclaim_says_what_it_did),
	TEST(a_store_is_checked),
	TEST(one_call_does_bounded_work),
	TEST(rights_survive),
	TEST(forbidden_memory_goes_and_comes_back_forbidden),
	TEST(memory_that_is_away_can_be_given_up),
	TEST(copies_find_what_is_away),
	TEST(a_pin_brings_back_and_holds),
	TEST(fork_shares_what_is_away),
	TEST(shared_pages_go_once_and_come_back_once),
	TEST(sharers_stay_apart),
	TEST(a_page_that_one_has_back_can_be_pinned_alone),
	TEST(no_space_goes_on_using_what_went),
	TEST(fork_beside_a_pin_shares_entries),
	TEST(what_fork_leaves_out_is_left_out),
	TEST(a_chain_of_forks_keeps_its_states),
	TEST(cold_huge_pages_go_in_small_ones),
	TEST(used_huge_pages_stay),
	TEST(pins_hold_parts_of_huge_pages),
	TEST(shared_huge_pages_go_for_all),
	TEST(huge_pages_split_below_a_way_that_denies_writing),
	TEST(a_huge_page_goes_without_a_frame_for_its_table),
	TEST(free_memory_goes_without_a_store),
	TEST(free_takes_only_ones_own),
	TEST(free_memory_that_fork_shares_goes_for_each),
	TEST(free_huge_memory_that_others_have_in_parts),
	TEST(free_drops_what_is_away),
	TEST(cold_pages_go_first),
	TEST(pageout_takes_a_range),
	TEST(pageout_leaves_what_others_have),
	TEST(advice_has_its_errors),
	TEST(pages_that_are_away_move),
	TEST(shared_memory_stays),
	TEST(a_full_store_loses_nothing),
	TEST(a_failing_write_leaves_the_page),
	TEST(a_failing_read_leaves_the_page_away),
	TEST(without_memory_the_page_stays_away),
	TEST(more_memory_than_there_is),
	TEST(the_end_of_the_store_brings_all_back),
	TEST(locked_memory_stays),
	TEST(what_is_away_moves_with_mremap),
	cmocka_unit_test(a_slots_count_has_a_limit),
	cmocka_unit_test(a_leaf_that_its_slot_has_no_room_for_stays),
};
SUITE(suite_swap, tests);
