/* SPDX-License-Identifier: MIT */
/*
 * Swap: each allocation, each read and each write of the store fails in turn, in each call that
 * may come to it. What failed leaves all pages as they were for everybody who has them, and
 * succeeds when it is tried again.
 */
#include "disk.h"
#include "fault.h"

#define PAGES 16
#define SLOTS 1100 /* for all that goes, of two spaces */
#define MARK 64	   /* bytes into a page, where nothing is stamped */

/* Who has the small pages. */
enum sharing {
	OWN,	/* the space alone */
	ENTRY,	/* a child as well, with entries of its own */
	CACHED, /* and the child has brought them back */
	TABLE,	/* a child, through the same table */
	SHARINGS
};

enum injection {
	ALLOC,
	READ,
	WRITE
};

struct stage {
	struct machine *m;
	struct disk *d;
	struct space *s, *child, *forked; /* the last one by the call */
	hf_va small, huge, to;
	struct pin pin;
	uint64_t marked; /* pages of `small`, from the first, that the call has written to */
	bool freed;	 /* the call has given up four pages in each of the two areas */
};

struct call {
	const char *name;
	enum hf_status (*run)(struct stage *g);
	unsigned fails_by; /* 1 << ALLOC ...: what makes it fail, for one sharing at least */
	unsigned keeps;	   /* STATE_*, and then also what is away: it changes nothing */
	bool copies; /* but where others have the page: it has come back then, and not yet the copy */
	bool there;  /* the pages are in memory before, and a huge one */
	bool pinned; /* one of them is */
	bool locked;
};

/* The one tried, for whoever reads why a test has failed, too. */
static struct {
	const char *call;
	unsigned sharing, by;
	uint64_t n;
} now;

static enum hf_status reclaim(struct stage *g, uint64_t want)
{
	uint64_t done;
	enum hf_status st;

	st = hf_reclaim(g->m->phys, want, &done);
	return st == HF_ERR_AGAIN ? HF_OK : st;
}

static void all_goes(struct stage *g)
{
	uint64_t done;

	while (hf_reclaim(g->m->phys, 1 << 20, &done) == HF_OK)
		;
}

static void put_up(struct stage *g, struct machine *m, const struct call *call,
		   enum sharing sharing)
{
	*g = (struct stage){ .m = m, .d = disk_on(m, SLOTS), .s = space_new(m) };
	g->small = map_filled(g->s, HF_LEVEL_PTE, PAGES, 1);
	g->to = map_level(g->s, HF_LEVEL_PTE, PAGES);
	if (call->there) {
		g->huge = map_level(g->s, HF_LEVEL_PMD, 1);
		fill(g->s, g->huge, 32 * PAGE, 2); /* enough; and the last page */
		fill(g->s, g->huge + PMD_SIZE - PAGE, PAGE, 2);
		SAME(level_of(g->s, g->huge), HF_LEVEL_PMD);
	}
	if (call->locked)
		OK(hf_mlock(g->s->mm, g->small, PAGES * PAGE, 0));
	if (call->pinned)
		pin_range(g->s, g->small + 8 * PAGE, PAGE, HF_PIN_WRITE, &g->pin);
	if (sharing != OWN)
		g->child = fork_space(g->s, HF_FORK_COPY);
	if (sharing == ENTRY || sharing == CACHED)
		put(g->child, g->small + (PAGES - 1) * PAGE, 7);
	if (!call->there)
		all_goes(g);
	if (sharing == CACHED)
		FILLED(g->child, g->small, (PAGES - 1) * PAGE, 1);
	CHECK(m);
}

static void huge_intact(struct space *s, hf_va huge, uint64_t from)
{
	FILLED(s, huge + from * PAGE, (32 - from) * PAGE, 2);
	ZEROS(s, huge + 40 * PAGE, PAGE);
	FILLED(s, huge + PMD_SIZE - PAGE, PAGE, 2);
}

static void intact(struct stage *g, enum sharing sharing)
{
	hf_va small = g->small;

	if (g->freed)
		FILLED(g->s, small + 4 * PAGE, (PAGES - 4) * PAGE, 1);
	else
		FILLED(g->s, small, PAGES * PAGE, 1);
	for (unsigned i = 0; i < PAGES && !g->freed; i++)
		SAME(get(g->s, small + i * PAGE + MARK), i < g->marked ? 99 : 0);
	if (g->huge)
		huge_intact(g->s, g->huge, g->freed ? 16 : 0);
	if (g->forked)
		FILLED(g->forked, small, PAGES * PAGE, 1);
	if (!g->child)
		return;
	FILLED(g->child, small, (PAGES - 1) * PAGE, 1);
	SAME(get(g->child, small + (PAGES - 1) * PAGE),
	     sharing == TABLE ? stamp(1, small + (PAGES - 1) * PAGE) : 7);
	SAME(get(g->child, small + MARK), 0);
	if (g->huge)
		huge_intact(g->child, g->huge, 0);
}

static void take_down(struct stage *g)
{
	if (g->pin.count)
		unpin(g->m, &g->pin);
	if (g->forked)
		space_end(g->forked);
	if (g->child)
		space_end(g->child);
	space_end(g->s);
	disk_off(g->m, g->d);
	SAME(free_bytes(g->m), g->m->free_at_start);
}

/* The n-th from now fails: only that one, or (of the store) all after it as well. */
static void inject(struct stage *g, enum injection by, uint64_t n, bool once)
{
	g->d->once = once;
	if (by == ALLOC)
		hf_phys_fail_after(g->m->phys, n);
	else if (by == READ)
		g->d->bad_read = g->d->reads + n;
	else
		g->d->bad_write = g->d->writes + n;
}

/* No more. Returns whether it came to the failure; of an allocation, or to the one before. */
static bool heal(struct stage *g, enum injection by)
{
	bool came = by == ALLOC	 ? g->m->phys->fail_after == 1
		    : by == READ ? g->d->reads >= g->d->bad_read
				 : g->d->writes >= g->d->bad_write;

	hf_phys_fail_after(g->m->phys, 0);
	g->d->bad_read = g->d->bad_write = 0;
	return came;
}

/* How the store and the spaces divide the pages, for calls that must leave that alone. */
static uint64_t division(struct stage *g)
{
	struct hf_swap_stats stats;

	hf_swap_stats(g->m->phys, &stats);
	return stats.used << 40 | stats.cached << 20 | pages_swapped(g->s) << 10 |
	       (g->child ? pages_swapped(g->child) : 0);
}

static void failed(struct stage *g, const struct call *call, enum sharing sharing, bool look,
		   const struct state *before, uint64_t divided)
{
	struct hf_vma_info vma;

	if (call->keeps && !(call->copies && g->child)) {
		state_same(g->m, before, call->keeps, call->name, __FILE__, __LINE__);
		SAME(division(g), divided);
	}
	OK(hf_vma_next(g->s->mm, g->small, &vma));
	SAME(vma.locked, call->locked);
	ZEROS(g->s, g->to, PAGES * PAGE);
	if (look)
		intact(g, sharing);
	OK(call->run(g));
}

/* One try. Returns whether it came to the failure; *fails counts those that the caller was told. */
static bool fails_at(struct machine *m, const struct call *call, enum sharing sharing,
		     enum injection by, bool once, uint64_t *fails)
{
	bool came = false;

	/*
	 * Again right after the failure; and after a look at what it has left, which changes that.
	 */
	for (unsigned look = 0; look < 2; look++) {
		struct state *before;
		enum hf_status st;
		uint64_t divided;
		struct stage g;

		put_up(&g, m, call, sharing);
		before = call->keeps ? state_take(m) : NULL;
		divided = division(&g);
		inject(&g, by, now.n, once);
		st = call->run(&g);
		came = heal(&g, by);
		CHECK(m);
		if (st) {
			assert_true(came);
			SAME(st, by == ALLOC ? HF_ERR_NOMEM : HF_ERR_STORE);
			failed(&g, call, sharing, look, before, divided);
			++*fails;
		} else if (by != ALLOC) {
			assert_false(
				came); /* without memory a call may do, but not without a page */
		}
		if (before)
			state_drop(before);
		CHECK(m);
		intact(&g, sharing);
		CHECK(m);
		take_down(&g);
	}
	return came;
}

static void at_every_point(void **state, const struct call *calls, size_t count)
{
	struct machine *m = *state;

	for (size_t i = 0; i < 3 * count; i++) {
		const struct call *call = &calls[i / 3];
		enum injection by = i % 3;
		uint64_t fails = 0;

		for (unsigned sharing = OWN; sharing < SHARINGS; sharing++) {
			for (unsigned once = by == ALLOC; once < 2; once++) {
				now.call = call->name;
				now.sharing = sharing;
				now.by = by;
				now.n = 1;
				while (fails_at(m, call, sharing, by, once, &fails))
					now.n += now.n < 30 ? 1 : 211; /* of a huge page not all */
			}
		}
		if (!fails != !(call->fails_by & 1u << by))
			fail_msg("%s: %llu failures by %u", call->name, (unsigned long long)fails,
				 by);
	}
	now.call = NULL;
}

static int teardown(void **state)
{
	if (now.call)
		print_error("in '%s', sharing %u, when number %llu of %u failed\n", now.call,
			    now.sharing, (unsigned long long)now.n, now.by);
	/* A machine in the middle of it is left alone. */
	return now.call ? -1 : machine_teardown(state);
}

#define TURN_TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, teardown)
#define EVERY(calls) at_every_point(state, calls, sizeof(calls) / sizeof((calls)[0]))
#define BY_ALLOC (1u << ALLOC)
#define BY_READ (1u << READ)
#define BY_WRITE (1u << WRITE)

/* One page comes back. */

static enum hf_status read_fault(struct stage *g)
{
	return hf_fault(g->s->mm, g->small + 3 * PAGE, HF_ACCESS_READ, NULL);
}

static enum hf_status write_fault(struct stage *g)
{
	return hf_fault(g->s->mm, g->small + 3 * PAGE, HF_ACCESS_WRITE, NULL);
}

/* As a program does it; what made it fail nobody tells. */
static enum hf_status stores(struct stage *g)
{
	uint64_t value = stamp(1, g->small);

	if (test_port.store(g->s, g->small, &value, sizeof(value)))
		return HF_OK;
	return g->d->bad_read ? HF_ERR_STORE : HF_ERR_NOMEM;
}

static enum hf_status write_pin(struct stage *g)
{
	struct hf_span span;
	size_t count;
	enum hf_status st =
		hf_pin(g->s->mm, g->small + 3 * PAGE, PAGE, HF_PIN_WRITE, &span, 1, &count);

	return st ? st : hf_unpin(g->m->phys, &span, count);
}

static void a_page_that_comes_back(void **state)
{
	static const struct call calls[] = {
		{ "read fault", read_fault, .fails_by = BY_ALLOC | BY_READ,
		  .keeps = STATE_VISIBLE | STATE_TABLES },
		{ "write fault", write_fault, .fails_by = BY_ALLOC | BY_READ,
		  .keeps = STATE_VISIBLE | STATE_TABLES, .copies = true },
		{ "store", stores, .fails_by = BY_ALLOC | BY_READ,
		  .keeps = STATE_VISIBLE | STATE_TABLES, .copies = true },
		{ "pin", write_pin, .fails_by = BY_ALLOC | BY_READ,
		  .keeps = STATE_VISIBLE | STATE_TABLES, .copies = true },
	};

	EVERY(calls);
}

/* Several come back; those before the one that fails stay in memory. */

static enum hf_status reads(struct stage *g)
{
	static char buf[4 * PAGE];

	return hf_read(g->s->mm, g->small, buf, sizeof(buf));
}

static enum hf_status writes(struct stage *g)
{
	static uint64_t words[4 * PAGE / 8];
	enum hf_status st;

	memset(words, 0, sizeof(words));
	for (unsigned i = 0; i < 4; i++) {
		uint64_t *page = words + i * PAGE / 8;
		hf_va va = g->small + i * PAGE;

		page[0] = stamp(1, va);
		page[PAGE / 8 - 1] = stamp(1, va + PAGE - 8);
		page[MARK / 8] = 99;
	}
	st = hf_write(g->s->mm, g->small, words, sizeof(words));
	g->marked = st ? 0 : 4;
	return st;
}

static enum hf_status copies(struct stage *g)
{
	return hf_copy(g->s->mm, g->to, g->s->mm, g->small, 4 * PAGE);
}

static enum hf_status pins(struct stage *g)
{
	struct hf_span spans[4];
	size_t count;
	enum hf_status st = hf_pin(g->s->mm, g->small, 4 * PAGE, HF_PIN_READ, spans, 4, &count);

	return st ? st : hf_unpin(g->m->phys, spans, count);
}

static enum hf_status populates(struct stage *g)
{
	return hf_madvise(g->s->mm, g->small, 4 * PAGE, HF_ADV_POPULATE_WRITE);
}

static enum hf_status locks_all(struct stage *g)
{
	return hf_mlock_all(g->s->mm, 0);
}

static enum hf_status swap_off(struct stage *g)
{
	return hf_swap_off(g->m->phys);
}

static void pages_that_come_back(void **state)
{
	static const struct call calls[] = {
		{ "hf_read", reads, .fails_by = BY_ALLOC | BY_READ },
		{ "hf_write", writes, .fails_by = BY_ALLOC | BY_READ },
		{ "hf_copy", copies, .fails_by = BY_ALLOC | BY_READ },
		{ "hf_pin", pins, .fails_by = BY_ALLOC | BY_READ },
		{ "populate", populates, .fails_by = BY_ALLOC | BY_READ },
		{ "hf_mlock_all", locks_all, .fails_by = BY_ALLOC | BY_READ },
		{ "hf_swap_off", swap_off, .fails_by = BY_ALLOC | BY_READ },
	};

	EVERY(calls);
}

/* Pages stay away, or stay here. */

static enum hf_status forks(struct stage *g)
{
	return try_fork(g->s, HF_FORK_COPY, &g->forked);
}

static enum hf_status unlocks(struct stage *g)
{
	return hf_munlock(g->s->mm, g->small + 4 * PAGE, 4 * PAGE);
}

static void pages_that_stay_where_they_are(void **state)
{
	static const struct call calls[] = {
		{ "fork", forks, .fails_by = BY_ALLOC, .keeps = STATE_ALL },
		{ "fork beside a pin", forks, .fails_by = BY_ALLOC, .keeps = STATE_ALL,
		  .pinned = true },
		{ "hf_munlock", unlocks, .fails_by = BY_ALLOC, .keeps = STATE_ALL, .locked = true },
	};

	EVERY(calls);
}

/* Pages go; those that went before the one that fails have gone. */

static enum hf_status reclaims(struct stage *g)
{
	return reclaim(g, 24);
}

static enum hf_status advises(struct stage *g, enum hf_advice advice)
{
	enum hf_status st = hf_madvise(g->s->mm, g->small, 4 * PAGE, advice);

	return st ? st : hf_madvise(g->s->mm, g->huge + 5 * PAGE, 4 * PAGE, advice);
}

static enum hf_status pages_out(struct stage *g)
{
	return advises(g, HF_ADV_PAGEOUT);
}

static enum hf_status cools(struct stage *g)
{
	return advises(g, HF_ADV_COLD);
}

static enum hf_status frees(struct stage *g)
{
	enum hf_status st = advises(g, HF_ADV_FREE);

	g->freed = !st;
	return st;
}

static void pages_that_go(void **state)
{
	static const struct call calls[] = {
		{ "hf_reclaim", reclaims, .fails_by = BY_WRITE, .there = true },
		{ "hf_reclaim beside a pin", reclaims, .fails_by = BY_WRITE, .there = true,
		  .pinned = true },
		{ "PAGEOUT", pages_out, .fails_by = BY_WRITE, .there = true },
		{ "COLD", cools, .fails_by = 0, .there = true },
		{ "FREE", frees, .fails_by = 0, .there = true },
	};

	EVERY(calls);
}

static const struct CMUnitTest tests[] = {
	TURN_TEST(a_page_that_comes_back),
	TURN_TEST(pages_that_come_back),
	TURN_TEST(pages_that_stay_where_they_are),
	TURN_TEST(pages_that_go),
};
SUITE(suite_fault_swap, tests);
