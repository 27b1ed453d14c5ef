/* SPDX-License-Identifier: MIT */
/*
 * What the core asks of its port, and when: a port that records every call, and looks at the
 * tables as a CPU would while a flush is under way.
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "table/table.h"

#define MAX_EVENTS 4096

enum kind {
	FLUSH,
	FILL,
	PREPARE,
	COPY
};

struct event {
	enum kind kind;
	struct hf_mm *mm;
	hf_va va;
	hf_pa pa;
	uint64_t len;
	unsigned what;		 /* FLUSH */
	struct hf_translation t; /* FILL */
	uint64_t free_frames;	 /* at that time */
};

struct recorder {
	struct hf_port port;
	struct memory *m;
	struct event events[MAX_EVENTS];
	size_t count;
	/* During a flush, if not NULL. */
	void (*look)(struct recorder *r, const struct event *flush);
	hf_va va; /* for `look`, and how often it has looked: */
	hf_pa pa;
	hf_pfn table;
	unsigned looks;
};

static struct event *record(struct recorder *r, enum kind kind)
{
	struct event *e = &r->events[r->count++];

	assert_true(r->count <= MAX_EVENTS);
	*e = (struct event){ .kind = kind, .free_frames = r->m->phys.free_frames };
	return e;
}

static void record_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	struct recorder *r = host;
	struct event *e = record(r, FLUSH);

	SAME(va % PAGE, 0);
	SAME(len % PAGE, 0);
	assert_true(len > 0 && va + len > va);
	SAME(what & ~(unsigned)(HF_FLUSH_WRITE | HF_FLUSH_TABLES | HF_FLUSH_LEAVES), 0);
	e->mm = mm;
	e->va = va;
	e->len = len;
	e->what = what;
	if (r->look)
		r->look(r, e);
}

static void record_fill(void *host, struct hf_mm *mm, hf_va va, uint64_t len,
			const struct hf_translation *t)
{
	struct event *e = record(host, FILL);

	e->mm = mm;
	e->va = va;
	e->len = len;
	e->t = *t;
}

static void record_prepare(void *host, hf_pa pa, uint64_t len)
{
	struct event *e = record(host, PREPARE);

	e->pa = pa;
	e->len = len;
}

static void record_copy(void *host, void *dst, const void *src, size_t len)
{
	struct event *e = record(host, COPY);

	e->len = len;
	memcpy(dst, src, len);
}

static int setup(void **state)
{
	struct recorder *r = calloc(1, sizeof(*r));

	r->port = quiet_port;
	r->port.flush = record_flush;
	r->port.fill = record_fill;
	r->port.prepare = record_prepare;
	r->port.copy = record_copy;
	r->m = memory_of(32 * MIB, &r->port, r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct recorder *r = *state;

	memory_end(r->m);
	free(r);
	return 0;
}

/* Forget what was recorded. */
static void rewind_to_start(struct recorder *r)
{
	r->count = 0;
}

static size_t count_of(const struct recorder *r, enum kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += r->events[i].kind == kind;
	return n;
}

/* The only event of its kind; the test fails if there is none or another one. */
static const struct event *only(const struct recorder *r, enum kind kind)
{
	const struct event *found = NULL;

	SAME(count_of(r, kind), 1);
	for (size_t i = 0; i < r->count; i++)
		if (r->events[i].kind == kind)
			found = &r->events[i];
	return found;
}

/* One flush, of exactly this. */
static void expect_flush(struct recorder *r, struct hf_mm *mm, hf_va va, uint64_t len,
			 unsigned what)
{
	const struct event *e = only(r, FLUSH);

	assert_ptr_equal(e->mm, mm);
	SAME(e->va, va);
	SAME(e->len, len);
	SAME(e->what, what);
	rewind_to_start(r);
}

static void expect_no_flush(struct recorder *r)
{
	SAME(count_of(r, FLUSH), 0);
	rewind_to_start(r);
}

/* Where a CPU comes to at va: the leaf's frame and the address in it, or 0. */
static hf_pa cpu_walk(const struct hf_mm *mm, hf_va va, bool *writable)
{
	hf_pfn table = mm->root;

	*writable = true;
	for (unsigned level = HF_TOP_LEVEL;; level--) {
		hf_pte e = hf_table_entries(mm->phys, table)[hf_table_index(va, level)];

		if (!hf_pte_present(e)) {
			*writable = false;
			return (hf_pa){ 0 };
		}
		*writable = *writable && hf_pte_writable(e, level);
		if (hf_pte_leaf(e, level))
			return (hf_pa){ hf_pfn_pa(hf_pte_pfn(e)).v +
					(va & (hf_level_size(level) - 1)) };
		table = hf_pte_pfn(e);
	}
}

/* ---- fork ---- */

/* One flush, of the parent, of write permission, over all that is mapped. */
static void expect_fork_flush(struct recorder *r, struct hf_mm *parent, hf_va va, uint64_t len)
{
	const struct event *e = only(r, FLUSH);

	assert_ptr_equal(e->mm, parent);
	SAME(e->what, hf_format.unarmed ? HF_FLUSH_WRITE | HF_FLUSH_TABLES : HF_FLUSH_WRITE);
	assert_true(e->va <= va && e->va + e->len >= va + len);
	rewind_to_start(r);
}

static void fork_flushes_once(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va small = map(mm, 64 * PAGE), huge = map_huge(mm, 2);
	hf_va low = huge < small ? huge : small;

	for (unsigned i = 0; i < 64; i++)
		put(mm, small + i * PAGE, i);
	for (unsigned policy = HF_FORK_COPY; policy <= HF_FORK_SPLIT; policy++) {
		struct hf_mm *child;

		rewind_to_start(r);
		child = space_fork(mm, policy);
		expect_fork_flush(r, mm, low, 64 * PAGE + 2 * PMD_SIZE);
		space_end(child);
		put(mm, small, 1);
	}
	space_end(mm);
}

static void fork_of_what_nobody_can_write_flushes_nothing(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child[4];
	hf_va va;

	rewind_to_start(r);
	child[0] = space_fork(mm, HF_FORK_COPY); /* nothing is mapped */
	expect_no_flush(r);
	va = map(mm, 8 * PAGE);
	put(mm, va, 1);
	child[1] = space_fork(mm, HF_FORK_COPY);
	expect_fork_flush(r, mm, va, 8 * PAGE);
	child[2] = space_fork(mm, HF_FORK_COPY); /* all is write-protected still */
	expect_no_flush(r);
	SAME(get(mm, va), 1);
	OK(hf_fault(mm, va, HF_ACCESS_READ, NULL));
	child[3] = space_fork(mm, HF_FORK_SPLIT);
	expect_no_flush(r);
	put(mm, va, 2);
	rewind_to_start(r);
	for (unsigned i = 0; i < 4; i++)
		space_end(child[i]);
	rewind_to_start(r);
	child[0] = space_fork(mm, HF_FORK_COPY); /* a page has become writable */
	expect_fork_flush(r, mm, va, 8 * PAGE);
	space_end(child[0]);
	space_end(mm);
}

/* The pinned page stays writable, so each fork has to take that away for a moment. */
static void fork_with_a_pin_flushes_each_time(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child[3];
	hf_va va = map(mm, 8 * PAGE);
	struct hf_span span;
	size_t count;

	put(mm, va, 1);
	OK(hf_pin(mm, va + PAGE, PAGE, HF_PIN_WRITE, &span, 1, &count));
	rewind_to_start(r);
	for (unsigned i = 0; i < 3; i++) {
		child[i] = space_fork(mm, HF_FORK_COPY);
		expect_fork_flush(r, mm, va, 8 * PAGE);
	}
	for (unsigned i = 0; i < 3; i++)
		space_end(child[i]);
	OK(hf_unpin(&r->m->phys, &span, 1));
	space_end(mm);
}

static void a_fork_that_fails_flushes_nothing(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), child;
	hf_va va = map_huge(mm, 1);
	struct hf_span span;
	size_t count;

	OK(hf_pin(mm, va, PMD_SIZE, HF_PIN_WRITE, &span, 1, &count));
	rewind_to_start(r);
	for (unsigned n = 1; n < 4; n++) {
		hf_phys_fail_after(&r->m->phys, n);
		GIVES(HF_ERR_NOMEM, hf_fork(mm, &child, NULL, HF_FORK_COPY));
		expect_no_flush(r);
	}
	hf_phys_fail_after(&r->m->phys, 0);
	OK(hf_unpin(&r->m->phys, &span, 1));
	space_end(mm);
}

/* A CPU that has not heard of the flush yet writes until it returns. */
static void write_during_flush(struct recorder *r, const struct event *flush)
{
	uint64_t *word = hf_phys_ptr(&r->m->phys, r->pa);
	bool writable;

	if (cpu_walk(flush->mm, r->va, &writable).v || !hf_format.unarmed)
		SAME(cpu_walk(flush->mm, r->va, &writable).v, r->pa.v);
	assert_false(writable); /* armed before the flush, or it would not be the instant */
	*word = 4711;
	r->looks++;
}

/* The flush is the instant: what is written before it returns is in the child. */
static void what_is_written_before_the_flush_is_in_the_child(void **state)
{
	struct recorder *r = *state;

	for (unsigned pinned = 0; pinned < 4; pinned++) {
		struct hf_mm *mm = space_new(r->m), *child;
		bool huge = pinned & 2;
		struct hf_span span;
		size_t count;
		bool writable;

		r->va = huge ? map_huge(mm, 1) : map(mm, PAGE);
		put(mm, r->va, 1);
		r->pa = pa_of(mm, r->va);
		if (pinned & 1)
			OK(hf_pin(mm, r->va, PAGE, HF_PIN_WRITE, &span, 1, &count));
		r->looks = 0;
		r->look = write_during_flush;
		child = space_fork(mm, HF_FORK_COPY);
		r->look = NULL;
		SAME(r->looks, 1);
		SAME(get(child, r->va), 4711);
		SAME(get(mm, r->va), 4711);
		OK(hf_fault(mm, r->va, HF_ACCESS_READ, NULL)); /* arms, where branches cannot */
		SAME(cpu_walk(mm, r->va, &writable).v, r->pa.v);
		SAME(writable, pinned & 1); /* given back to the pinned page alone */
		if (pinned & 1)
			OK(hf_unpin(&r->m->phys, &span, 1));
		space_end(child);
		space_end(mm);
	}
}

/* ---- Removing ---- */

/* At the flush nothing leads to the page any more, and it is not free yet. */
static void look_at_removal(struct recorder *r, const struct event *flush)
{
	bool writable;

	if (!(flush->what & HF_FLUSH_LEAVES))
		return;
	r->looks++;
	SAME(cpu_walk(flush->mm, r->va, &writable).v, 0);
	assert_true(hf_frame_at(&r->m->phys, (hf_pfn){ (uint32_t)(r->pa.v / PAGE) })->kind ==
		    HF_FRAME_PLAIN);
	assert_true(hf_frame_at(&r->m->phys, (hf_pfn){ (uint32_t)(r->pa.v / PAGE) })->maps == 1);
}

static void removing_flushes_before_it_frees(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map(mm, 8 * PAGE);

	for (unsigned how = 0; how < 3; how++) {
		hf_va at = va + 2 * PAGE;
		uint64_t before;

		for (unsigned i = 0; i < 8; i++)
			put(mm, va + i * PAGE, i + 1);
		r->va = va + 3 * PAGE;
		r->pa = pa_of(mm, r->va);
		r->looks = 0;
		rewind_to_start(r);
		before = r->m->phys.free_frames;
		r->look = look_at_removal;
		if (how == 0)
			OK(hf_madvise(mm, at, 4 * PAGE, HF_ADV_DONTNEED));
		else if (how == 1)
			OK(hf_mmap(mm, &at, 4 * PAGE, RW, HF_MAP_FIXED));
		else
			OK(hf_munmap(mm, at, 4 * PAGE));
		r->look = NULL;
		SAME(r->looks, 1);
		assert_true(only(r, FLUSH)->free_frames <= before);
		assert_true(r->m->phys.free_frames >= before + 4 - (how == 2 ? 1 : 0));
		expect_flush(r, mm, at, 4 * PAGE, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	}
	space_end(mm);
}

/* A huge page that is cut: only what goes is flushed, for the rest stays where it is. */
static void cutting_a_huge_page_flushes_the_part(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map_huge(mm, 1);

	rewind_to_start(r);
	OK(hf_munmap(mm, va + 7 * PAGE, PAGE));
	if (hf_format.break_first) { /* the huge page itself, before it becomes small ones */
		SAME(r->events[0].kind, FLUSH);
		SAME(r->events[0].va, va);
		SAME(r->events[0].len, PMD_SIZE);
		SAME(r->events[0].what, HF_FLUSH_LEAVES);
		memmove(&r->events[0], &r->events[1], --r->count * sizeof(r->events[0]));
	}
	expect_flush(r, mm, va + 7 * PAGE, PAGE, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	space_end(mm);
}

static void removing_nothing_flushes_nothing(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map(mm, 8 * PAGE);

	put(mm, va, 1);
	rewind_to_start(r);
	OK(hf_madvise(mm, va + PAGE, 7 * PAGE, HF_ADV_DONTNEED));
	OK(hf_munmap(mm, va + PAGE, 7 * PAGE));
	OK(hf_munmap(mm, va + PAGE, 7 * PAGE));
	expect_no_flush(r);
	space_end(mm);
}

static void look_at_end(struct recorder *r, const struct event *flush)
{
	(void)flush;
	r->looks++;
	SAME(hf_frame_at(&r->m->phys, (hf_pfn){ (uint32_t)(r->pa.v / PAGE) })->maps, 1);
}

static void destroy_flushes_all_at_once(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map(mm, PAGE);
	uint64_t before;

	put(mm, va, 1);
	r->pa = pa_of(mm, va);
	r->look = look_at_end;
	rewind_to_start(r);
	before = r->m->phys.free_frames;
	hf_mm_destroy(mm);
	r->look = NULL;
	SAME(r->looks, 1);
	SAME(only(r, FLUSH)->free_frames, before);
	expect_flush(r, mm, mm->va_lo, mm->va_hi - mm->va_lo, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	free(mm);
}

/* ---- Protection ---- */

static void mprotect_flushes_what_is_lost(void **state)
{
	enum {
		R = HF_PROT_READ,
		W = HF_PROT_WRITE,
		X = HF_PROT_EXEC
	};
	static const struct {
		unsigned from, to, flush;
	} changes[] = {
		{ R | W, R, HF_FLUSH_WRITE },
		{ R | W, HF_PROT_NONE, HF_FLUSH_LEAVES },
		{ R, R | W, 0 },
		{ R, HF_PROT_NONE, HF_FLUSH_LEAVES },
		{ R | W | X, R | W, HF_FLUSH_LEAVES },
		{ R | W | X, R | X, HF_FLUSH_WRITE },
		{ R | W, R | W | X, 0 },
		{ R | W, R | W, 0 },
		{ HF_PROT_NONE, R | W, 0 },
	};
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map(mm, 8 * PAGE);

	for (size_t i = 0; i < COUNT(changes); i++) {
		/* Present, and written to: so W, where the mapping has it, is in the leaf. */
		OK(hf_mprotect(mm, va, 8 * PAGE, RW));
		put(mm, va + 3 * PAGE, 1);
		OK(hf_mprotect(mm, va, 8 * PAGE, changes[i].from));
		if (changes[i].from & W)
			put(mm, va + 3 * PAGE, 1);
		rewind_to_start(r);
		OK(hf_mprotect(mm, va + 2 * PAGE, 4 * PAGE, changes[i].to));
		if (changes[i].flush)
			expect_flush(r, mm, va + 2 * PAGE, 4 * PAGE, changes[i].flush);
		else
			expect_no_flush(r);
	}
	OK(hf_mprotect(mm, va, 8 * PAGE, RW));
	OK(hf_madvise(mm, va, 8 * PAGE, HF_ADV_DONTNEED));
	rewind_to_start(r);
	OK(hf_mprotect(mm, va, 8 * PAGE, R)); /* nothing is there */
	expect_no_flush(r);
	space_end(mm);
}

/* ---- Faults ---- */

static void faults_that_only_add_flush_nothing(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child;
	hf_va va = map(mm, 8 * PAGE);

	rewind_to_start(r);
	OK(hf_fault(mm, va, HF_ACCESS_WRITE, NULL));
	OK(hf_fault(mm, va, HF_ACCESS_WRITE, NULL));
	OK(hf_fault(mm, va + PAGE, HF_ACCESS_READ, NULL));
	map_huge(mm, 1);
	expect_no_flush(r);
	child = space_fork(mm, HF_FORK_COPY);
	space_end(child);
	rewind_to_start(r);
	OK(hf_fault(mm, va, HF_ACCESS_WRITE, NULL)); /* nobody else has it any more */
	expect_no_flush(r);
	space_end(mm);
}

static void replacing_the_zero_page_flushes_it(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map(mm, 8 * PAGE);

	OK(hf_fault(mm, va + PAGE, HF_ACCESS_READ, NULL));
	rewind_to_start(r);
	OK(hf_fault(mm, va + PAGE, HF_ACCESS_WRITE, NULL));
	expect_flush(r, mm, va + PAGE, PAGE, HF_FLUSH_LEAVES);
	space_end(mm);
}

/*
 * The flush of a page that is being replaced comes when nothing leads to the old one any more,
 * and before it is let go: until then its other owner must not take it for its own.
 */
static void look_at_replacement(struct recorder *r, const struct event *flush)
{
	bool writable;

	r->looks++;
	SAME(hf_frame_at(&r->m->phys, (hf_pfn){ (uint32_t)(r->pa.v / PAGE) })->maps, 2);
	assert_true(cpu_walk(flush->mm, r->va, &writable).v != r->pa.v);
}

/* The frames of the tables on the way to va, from the root's child down. */
static void tables_of(const struct hf_mm *mm, hf_va va, hf_pfn table[HF_LEVELS_MAX])
{
	hf_pfn at = mm->root;

	for (unsigned level = HF_TOP_LEVEL; level > 0; level--) {
		at = hf_pte_pfn(hf_table_entries(mm->phys, at)[hf_table_index(va, level)]);
		table[HF_TOP_LEVEL - level] = at;
	}
}

/*
 * The flush of branches comes when the entry leads to the copy, or nowhere if it has to be
 * broken first, and the old table is still held.
 */
static void look_at_unsharing(struct recorder *r, const struct event *flush)
{
	hf_pfn now[HF_LEVELS_MAX];
	bool writable;

	if (flush->what != HF_FLUSH_TABLES)
		return;
	tables_of(flush->mm, r->va, now);
	/* r->table: the shared one at the level that this flush is about. */
	if (hf_format.break_first)
		assert_true(!cpu_walk(flush->mm, r->va, &writable).v);
	else
		assert_true(now[r->looks].v != r->table.v);
	SAME(hf_frame_at(&r->m->phys, r->table)->refs, 2);
	r->looks++;
	if (r->looks < HF_TOP_LEVEL)
		r->table = now[r->looks]; /* now shared by the old table and its copy */
}

static void unsharing_flushes_branches(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child;
	hf_pfn shared[HF_LEVELS_MAX], own[HF_LEVELS_MAX];

	r->va = map(mm, 8 * PAGE);
	put(mm, r->va, 1);
	child = space_fork(mm, HF_FORK_COPY);
	tables_of(child, r->va, shared);
	r->table = shared[0];
	rewind_to_start(r);
	r->look = look_at_unsharing;
	OK(hf_fault(child, r->va + PAGE, HF_ACCESS_WRITE, NULL)); /* absent: no leaf is replaced */
	r->look = NULL;
	SAME(r->looks, HF_TOP_LEVEL);
	SAME(count_of(r, FLUSH), HF_TOP_LEVEL);
	for (size_t i = 0, level = HF_TOP_LEVEL; i < r->count; i++) {
		const struct event *e = &r->events[i];

		if (e->kind != FLUSH)
			continue;
		SAME(e->what, HF_FLUSH_TABLES);
		assert_ptr_equal(e->mm, child);
		SAME(e->va, r->va & ~(hf_level_size((unsigned)level) - 1));
		SAME(e->len, hf_level_size((unsigned)level));
		level--;
	}
	tables_of(child, r->va, own);
	for (unsigned i = 0; i < HF_TOP_LEVEL; i++)
		assert_true(own[i].v != shared[i].v);
	space_end(child);
	space_end(mm);
}

static void copying_a_page_flushes_it(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child;
	hf_pa old;

	r->va = map(mm, 8 * PAGE);
	put(mm, r->va, 1);
	child = space_fork(mm, HF_FORK_COPY);
	put(child, r->va + PAGE, 1); /* the tables are the child's own now */
	old = r->pa = pa_of(child, r->va);
	rewind_to_start(r);
	r->look = look_at_replacement;
	OK(hf_fault(child, r->va, HF_ACCESS_WRITE, NULL));
	r->look = NULL;
	SAME(r->looks, 1);
	assert_true(pa_of(child, r->va).v != old.v);
	SAME(pa_of(mm, r->va).v, old.v);
	SAME(only(r, COPY)->len, PAGE);
	expect_flush(r, child, r->va, PAGE, HF_FLUSH_LEAVES);
	space_end(child);
	space_end(mm);
}

/* ---- fill ---- */

/* Whether page i and page i + 1 of the memory at va are one run, by hf_translate alone. */
static bool runs_on(struct hf_mm *mm, hf_va va)
{
	struct hf_translation a, b;

	if (hf_translate(mm, va, &a) != HF_OK || hf_translate(mm, va + a.len, &b) != HF_OK)
		return false;
	return a.level == b.level && a.access && a.access == b.access && b.pa.v == a.pa.v + a.len;
}

/* The run around va within its table, leaf by leaf. */
static struct hf_translation run_around(struct hf_mm *mm, hf_va va)
{
	struct hf_translation t;
	uint64_t table, size;

	OK(hf_translate(mm, va, &t));
	size = t.len;
	table = size * HF_TABLE_ENTRIES;
	while (t.va % table && runs_on(mm, t.va - size)) {
		t.va -= size;
		t.pa.v -= size;
		t.len += size;
	}
	while ((t.va + t.len) % table && runs_on(mm, t.va + t.len - size))
		t.len += size;
	return t;
}

static void expect_fill(struct recorder *r, struct hf_mm *mm, hf_va va)
{
	struct hf_translation want = run_around(mm, va);
	const struct event *e = only(r, FILL);

	assert_ptr_equal(e->mm, mm);
	SAME(e->va, va);
	SAME(e->len, 1);
	SAME(e->t.va, want.va);
	SAME(e->t.pa.v, want.pa.v);
	SAME(e->t.len, want.len);
	SAME(e->t.access, want.access);
	SAME(e->t.level, want.level);
}

static void fault_and_expect_fill(struct recorder *r, struct hf_mm *mm, hf_va va, unsigned access)
{
	rewind_to_start(r);
	OK(hf_fault(mm, va, access, NULL));
	expect_fill(r, mm, va);
}

/* Something happens to one page: mostly a fault, which has to be told of rightly. */
static void random_event(struct recorder *r, struct hf_mm *mm, hf_va va, uint64_t dice)
{
	if (dice < 90)
		fault_and_expect_fill(r, mm, va + dice, HF_ACCESS_WRITE);
	else if (dice < 97)
		fault_and_expect_fill(r, mm, va, HF_ACCESS_READ);
	else if (dice < 98)
		OK(hf_madvise(mm, va, PAGE, HF_ADV_DONTNEED));
	else
		OK(hf_mprotect(mm, va, PAGE, RW));
}

/* Three tables of small pages; some absent, some zero pages, some executable, all shared once. */
static void fill_tells_the_longest_run(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child = NULL;
	const uint64_t pages = 1200;
	hf_va va = map(mm, pages * PAGE);
	uint64_t seed = 1, longest = 0;

	OK(hf_madvise(mm, va, pages * PAGE / 2, HF_ADV_POPULATE_WRITE));
	for (unsigned i = 0; i < 6000; i++) {
		uint64_t page = next_random(&seed) % pages;

		rewind_to_start(r);
		random_event(r, mm, va + page * PAGE, next_random(&seed) % 100);
		if (count_of(r, FILL) && only(r, FILL)->t.len > longest)
			longest = only(r, FILL)->t.len;
		if (i == 2000)
			OK(hf_mprotect(mm, va, pages * PAGE / 3, RW | HF_PROT_EXEC));
		if (i == 4000)
			child = space_fork(mm, HF_FORK_COPY);
	}
	assert_true(longest >= 50 * PAGE); /* or this has tested little */
	space_end(child);
	space_end(mm);
}

static void fill_tells_of_huge_runs(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map_huge(mm, 4);

	fault_and_expect_fill(r, mm, va + PMD_SIZE + 5, HF_ACCESS_WRITE);
	SAME(only(r, FILL)->t.level, HF_LEVEL_PMD);
	SAME(only(r, FILL)->t.len, 4 * PMD_SIZE);
	OK(hf_munmap(mm, va + PMD_SIZE, PAGE)); /* the second one is small now */
	fault_and_expect_fill(r, mm, va + 3 * PMD_SIZE, HF_ACCESS_READ);
	SAME(only(r, FILL)->t.len, 2 * PMD_SIZE);
	fault_and_expect_fill(r, mm, va + PMD_SIZE + PAGE, HF_ACCESS_WRITE);
	SAME(only(r, FILL)->t.len, PMD_SIZE - PAGE);
	space_end(mm);
}

static void a_fault_that_fails_fills_nothing(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m);
	hf_va va = map(mm, PAGE);

	OK(hf_mprotect(mm, va, PAGE, RO));
	rewind_to_start(r);
	GIVES(HF_ERR_ACCESS, hf_fault(mm, va, HF_ACCESS_WRITE, NULL));
	GIVES(HF_ERR_UNMAPPED, hf_fault(mm, va - PAGE, HF_ACCESS_READ, NULL));
	hf_phys_fail_after(&r->m->phys, 1);
	GIVES(HF_ERR_NOMEM, hf_fault(mm, va, HF_ACCESS_READ, NULL));
	hf_phys_fail_after(&r->m->phys, 0);
	SAME(count_of(r, FILL), 0);
	space_end(mm);
}

/* All of [va, va+len) has been told of, in order, as runs that allow `access`; nothing else was. */
static void expect_fills(struct recorder *r, struct hf_mm *mm, hf_va va, uint64_t len,
			 unsigned access)
{
	hf_va at = va;

	for (size_t i = 0; i < r->count; i++) {
		const struct event *e = &r->events[i];
		struct hf_translation want;

		if (e->kind != FILL)
			continue;
		want = run_around(mm, at);
		assert_ptr_equal(e->mm, mm);
		SAME(e->va, at);
		SAME(e->t.va, want.va);
		SAME(e->t.pa.v, want.pa.v);
		SAME(e->t.len, want.len);
		SAME(e->t.access & access, access);
		assert_true(e->len <= e->t.va + e->t.len - at);
		at += e->len;
	}
	SAME(at, va + len);
	rewind_to_start(r);
}

/* Who asks for memory beforehand does not want faults later. */
static void what_is_populated_or_locked_is_filled(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child;
	const uint64_t len = 600 * PAGE;
	hf_va va = map(mm, len), later = 0;

	rewind_to_start(r);
	OK(hf_madvise(mm, va, 300 * PAGE, HF_ADV_POPULATE_READ));
	expect_fills(r, mm, va, 300 * PAGE, HF_ACCESS_READ);
	OK(hf_madvise(mm, va, len, HF_ADV_POPULATE_WRITE));
	expect_fills(r, mm, va, len, HF_ACCESS_WRITE);
	child = space_fork(mm, HF_FORK_COPY);
	rewind_to_start(r);
	OK(hf_madvise(mm, va + 7 * PAGE, 100 * PAGE, HF_ADV_POPULATE_WRITE));
	expect_fills(r, mm, va + 7 * PAGE, 100 * PAGE, HF_ACCESS_WRITE);
	OK(hf_mlock(child, va, len, 0));
	expect_fills(r, child, va, len, HF_ACCESS_WRITE);
	OK(hf_lock_future(child, HF_LOCK_FUTURE_ON));
	OK(hf_mmap(child, &later, 3 * PAGE, RW, 0));
	expect_fills(r, child, later, 3 * PAGE, HF_ACCESS_WRITE);
	OK(hf_munlock(child, va, len));
	SAME(count_of(r, FILL), 0);
	OK(hf_munmap(mm, va + 9 * PAGE, PAGE));
	rewind_to_start(r);
	GIVES(HF_ERR_UNMAPPED, hf_madvise(mm, va, len, HF_ADV_POPULATE_WRITE));
	SAME(count_of(r, FILL), 0);
	space_end(child);
	space_end(mm);
}

/* ---- holds ---- */

static struct {
	int now, most;
} held;

static void record_holds(void *host, int change)
{
	(void)host;
	assert_true(change == 1 || change == -1);
	held.now += change;
	assert_true(held.now >= 0);
	if (held.now > held.most)
		held.most = held.now;
}

/* The call told of at least one lock, and of its end. */
#define HOLDS(call)                         \
	do {                                \
		held.most = 0;              \
		call;                       \
		SAME(held.now, 0);          \
		assert_true(held.most > 0); \
	} while (0)

static bool while_held(void *arg, const struct hf_run *run)
{
	(void)arg;
	(void)run;
	assert_true(held.now > 0);
	return true;
}

/* Whatever touches the caller's memory, or calls back, does so with the port knowing. */
static void locks_are_told_of(void **state)
{
	struct recorder *r = *state;
	struct hf_object_config config = { .size = PAGE };
	struct hf_translation t;
	struct hf_mm *mm = space_new(r->m), *child;
	struct hf_object *object;
	hf_va va = map(mm, 4 * PAGE), other = 0;
	unsigned char vec[4];
	char buf[64] = "";

	r->port.holds = record_holds;
	HOLDS(OK(hf_write(mm, va, buf, sizeof(buf))));
	HOLDS(OK(hf_read(mm, va, buf, sizeof(buf))));
	HOLDS(OK(hf_copy(mm, va + PAGE, mm, va, 64)));
	HOLDS(OK(hf_translate(mm, va, &t)));
	HOLDS(OK(hf_mincore(mm, va, 4 * PAGE, vec)));
	HOLDS(OK(hf_mm_visit(mm, va, 4 * PAGE, while_held, NULL)));
	HOLDS(OK(hf_mmap(mm, &other, PAGE, RW, 0)));
	HOLDS(OK(hf_mremap(mm, other, PAGE, 2 * PAGE, HF_MREMAP_MAYMOVE, &other)));
	OK(hf_munmap(mm, va, PAGE));
	HOLDS(GIVES(HF_ERR_UNMAPPED, hf_fault(mm, va, HF_ACCESS_READ, NULL)));
	HOLDS(child = space_fork(mm, HF_FORK_COPY));
	HOLDS(space_end(child));
	OK(hf_object_create(&r->m->phys, &config, &object));
	HOLDS(OK(hf_object_write(object, 0, buf, sizeof(buf))));
	HOLDS(OK(hf_object_read(object, 0, buf, sizeof(buf))));
	hf_object_put(object);
	space_end(mm);
	SAME(held.now, 0);
	r->port.holds = NULL;
}

/* ---- wait ---- */

/* One thread is about to ask a pager for a page while another takes the last mapping away. */
static struct {
	pthread_t asker, ender;
	struct hf_mm *mm;
	hf_va va;
	int held;	/* locks of the asker */
	unsigned begun; /* how often it took one when it had none */
	sem_t waits;	/* the ender sleeps */
} end;

static void *unmap_the_last(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)hf_munmap(end.mm, end.va, PAGE);
}

/* The asker has let its space go, with the page wanted, and will tell the object of that next. */
static void end_before_asking(void *host, int change)
{
	(void)host;
	if (!pthread_equal(pthread_self(), end.asker))
		return;
	end.held += change;
	if (change < 0 || end.held > 1 || ++end.begun != 2)
		return;
	assert_int_equal(pthread_create(&end.ender, NULL, unmap_the_last, NULL), 0);
	sem_wait(&end.waits);
}

static void only_the_ender_waits(void *host, const uint32_t *word, uint32_t value)
{
	(void)host;
	(void)word;
	(void)value;
	if (pthread_equal(pthread_self(), end.asker))
		fail_msg("nobody is left who would wake this thread");
	sem_post(&end.waits);
	sched_yield();
}

static void wake_nobody(void *host, const uint32_t *word)
{
	(void)host;
	(void)word;
}

static enum hf_status answer_later(void *host, uint64_t offset, void *page, uint64_t len)
{
	(void)host;
	(void)offset;
	(void)page;
	(void)len;
	return HF_ERR_PENDING;
}

static void who_asks_too_late_does_not_wait(void **state)
{
	static const struct hf_pager pager = { .get = answer_later };
	struct recorder *r = *state;
	struct hf_object_config config = { .size = PAGE, .pager = &pager };
	struct hf_object *object;
	void *result;

	end.asker = pthread_self();
	end.mm = space_new(r->m);
	assert_int_equal(sem_init(&end.waits, 0, 0), 0);
	OK(hf_object_create(&r->m->phys, &config, &object));
	OK(hf_mmap_object(end.mm, &end.va, PAGE, RW, HF_MAP_SHARED, object, 0));
	OK(hf_object_put(object));
	r->port.wait = only_the_ender_waits;
	r->port.wake = wake_nobody;
	r->port.holds = end_before_asking;
	GIVES(HF_ERR_UNMAPPED, hf_fault(end.mm, end.va, HF_ACCESS_READ, NULL));
	assert_int_equal(pthread_join(end.ender, &result), 0);
	SAME((intptr_t)result, HF_OK);
	r->port.holds = NULL;
	r->port.wait = NULL;
	r->port.wake = NULL;
	space_end(end.mm);
	sem_destroy(&end.waits);
}

/* ---- prepare and copy ---- */

/* Rubbish in all of RAM that is free, so that what is not cleared shows. */
static void litter(struct recorder *r)
{
	hf_pa pa[16];
	size_t count = 0;

	while (hf_phys_alloc(&r->m->phys, 9, &pa[count]) == HF_OK)
		memset(hf_phys_ptr(&r->m->phys, pa[count++]), 0xdd, PMD_SIZE);
	while (count--)
		OK(hf_phys_free(&r->m->phys, pa[count], 9));
}

static void expect_prepared(struct recorder *r, struct hf_mm *mm, hf_va va)
{
	const struct event *e = only(r, PREPARE);

	SAME(e->pa.v, pa_of(mm, va).v);
	SAME(e->len, PMD_SIZE);
	rewind_to_start(r);
}

static void huge_blocks_are_prepared(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child;
	hf_va va, small = map(mm, 4 * PAGE);
	struct hf_span span;
	size_t count;

	litter(r);
	rewind_to_start(r);
	put(mm, small, 1);
	SAME(count_of(r, PREPARE), 0);
	va = map_huge(mm, 1);
	expect_prepared(r, mm, va);
	for (uint64_t at = 0; at < PMD_SIZE; at += 64)
		SAME(get(mm, va + at), 0);

	child = space_fork(mm, HF_FORK_COPY);
	rewind_to_start(r);
	put(child, va, 1); /* copied whole */
	expect_prepared(r, child, va);
	space_end(child);

	OK(hf_pin(mm, va, PAGE, HF_PIN_WRITE, &span, 1, &count));
	rewind_to_start(r);
	child = space_fork(mm, HF_FORK_COPY);
	expect_prepared(r, child, va);
	space_end(child);
	OK(hf_unpin(&r->m->phys, &span, 1));
	space_end(mm);
}

/* ---- What comes between fork's survey and its second phase ---- */

/* A port in whose `prepare` another space takes the last room in a count. */
struct rival {
	struct hf_port port;
	struct hf_mm *mm;
	hf_va va;
	bool armed;
};

static void *write_of_the_rival(void *arg)
{
	struct rival *r = arg;

	OK(hf_fault(r->mm, r->va, HF_ACCESS_WRITE, NULL));
	return NULL;
}

static void prepare_beside_a_rival(void *host, hf_pa pa, uint64_t len)
{
	struct rival *r = host;
	pthread_t thread;

	(void)pa, (void)len;
	if (!r->armed)
		return;
	r->armed = false;
	assert_int_equal(pthread_create(&thread, NULL, write_of_the_rival, r), 0);
	pthread_join(thread, NULL);
}

/*
 * A table with a pinned page is shared leaf by leaf. Its other pages have two leaves, and the
 * survey finds room for the third; then the grandchild copies its table, and takes that.
 */
static void a_fork_that_loses_its_room_is_undone(void **state)
{
	const struct range range = { GIB, 64 * MIB };
	struct rival r = { .port = quiet_port };
	struct hf_mm *mm, *child, *grandchild;
	struct hf_span span[2];
	struct memory *m;
	struct hf_mm refused;
	hf_va va, huge;
	size_t count;

	(void)state;
	r.port.prepare = prepare_beside_a_rival;
	m = memory_new(&range, 1, &r.port, &r, 3);
	mm = space_new(m);
	va = map(mm, 16 * PAGE);
	for (unsigned i = 0; i < 16; i++)
		put(mm, va + i * PAGE, i);
	OK(hf_pin(mm, va, PAGE, HF_PIN_WRITE, &span[0], 1, &count));
	child = space_fork(mm, HF_FORK_COPY);
	grandchild = space_fork(child, HF_FORK_COPY);
	huge = map_huge(mm, 1); /* copied by fork, so that it calls prepare */
	put(mm, huge, 77);
	OK(hf_pin(mm, huge, PAGE, HF_PIN_WRITE, &span[1], 1, &count));

	r.mm = grandchild;
	r.va = va + 2 * PAGE;
	r.armed = true;
	assert_int_equal(hf_fork(mm, &refused, NULL, HF_FORK_COPY), HF_ERR_OVERFLOW);
	assert_false(r.armed);
	OK(hf_mm_check(&m->phys, NULL));
	SAME(pa_of(mm, va).v, span[0].pa.v);
	SAME(pa_of(mm, huge).v, span[1].pa.v);
	for (unsigned i = 0; i < 16; i++)
		SAME(get(mm, va + i * PAGE), i);
	put(mm, va, 100);
	put(mm, huge, 101);
	SAME(pa_of(mm, va).v, span[0].pa.v); /* what is pinned is not copied */
	SAME(pa_of(mm, huge).v, span[1].pa.v);
	SAME(get(grandchild, va + 3 * PAGE), 3);

	space_end(grandchild);
	grandchild = space_fork(mm, HF_FORK_COPY); /* there is room again */
	SAME(get(grandchild, va + 3 * PAGE), 3);
	OK(hf_unpin(&m->phys, span, 2));
	space_end(grandchild);
	space_end(child);
	space_end(mm);
	memory_end(m);
}

/* Fork tells of blocks that lie side by side in one call, and of no other memory. */
static void blocks_of_a_fork_are_prepared_at_once(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child;
	hf_va va = map_huge(mm, 4);
	struct hf_span span[3];
	uint64_t prepared = 0;
	size_t count;

	for (unsigned i = 0; i < 3; i++)
		OK(hf_pin(mm, va + i * PMD_SIZE, PAGE, HF_PIN_WRITE, &span[i], 1, &count));
	rewind_to_start(r);
	child = space_fork(mm, HF_FORK_COPY);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t pa = pa_of(child, va + i * PMD_SIZE).v;
		unsigned told = 0;

		for (unsigned n = 0; n < r->count; n++) {
			const struct event *e = &r->events[n];

			if (e->kind == PREPARE && pa - e->pa.v < e->len)
				told++;
		}
		SAME(told, 1);
	}
	for (unsigned n = 0; n < r->count; n++)
		if (r->events[n].kind == PREPARE)
			prepared += r->events[n].len;
	SAME(prepared, 3 * PMD_SIZE);
	SAME(count_of(r, PREPARE), 1);
	space_end(child);
	OK(hf_unpin(&r->m->phys, span, 3));
	space_end(mm);
}

static void pages_are_copied_by_the_port(void **state)
{
	struct recorder *r = *state;
	struct hf_mm *mm = space_new(r->m), *child;
	hf_va va = map_huge(mm, 2), small = map(mm, 4 * PAGE);
	uint64_t bytes = 0;
	struct hf_span spans[2];
	size_t count;

	put(mm, small, 3);
	OK(hf_pin(mm, va, PAGE, HF_PIN_WRITE, &spans[0], 1, &count));
	OK(hf_pin(mm, small, PAGE, HF_PIN_WRITE, &spans[1], 1, &count));
	rewind_to_start(r);
	child = space_fork(mm, HF_FORK_COPY);
	for (size_t i = 0; i < r->count; i++)
		bytes += r->events[i].kind == COPY ? r->events[i].len : 0;
	SAME(bytes, PMD_SIZE + PAGE);
	rewind_to_start(r);
	put(child, va + PMD_SIZE, 1);
	SAME(only(r, COPY)->len, PMD_SIZE);
	SAME(get(child, small), 3);
	space_end(child);
	OK(hf_unpin(&r->m->phys, spans, 2));
	space_end(mm);
}

/* ---- A port that has nothing but what is required ---- */

static void optional_functions_may_be_missing(void **state)
{
	struct memory *m = memory_of(32 * MIB, &quiet_port, NULL);
	struct hf_mm *mm = space_new(m), *child;
	hf_va huge = map_huge(mm, 1), small = map(mm, 8 * PAGE);
	struct hf_translation t;
	struct hf_span span;
	size_t count;

	(void)state;
	put(mm, huge, 1);
	put(mm, small, 2);
	OK(hf_fault(mm, small + PAGE, HF_ACCESS_READ, &t));
	OK(hf_pin(mm, huge, PAGE, HF_PIN_WRITE, &span, 1, &count));
	child = space_fork(mm, HF_FORK_COPY);
	put(child, huge, 11);
	put(child, small, 12);
	SAME(get(mm, huge), 1);
	SAME(get(mm, small), 2);
	OK(hf_unpin(&m->phys, &span, 1));
	space_end(child);
	space_end(mm);
	SAME(hf_phys_trim(&m->phys, 0), 0);
	memory_end(m);
}

/* The port finds its own data by mm->host. */
static void the_hosts_pointer_is_kept(void **state)
{
	struct recorder *r = *state;
	struct hf_mm_config config = { .va_lo = GIB, .va_hi = 2 * GIB, .host = &config };
	struct hf_mm mm, child;

	OK(hf_mm_create(&mm, &r->m->phys, &config));
	assert_ptr_equal(mm.host, &config);
	OK(hf_fork(&mm, &child, r, HF_FORK_COPY));
	assert_ptr_equal(child.host, r);
	assert_ptr_equal(mm.host, &config);
	hf_mm_destroy(&child);
	hf_mm_destroy(&mm);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(fork_flushes_once),
		TEST(fork_of_what_nobody_can_write_flushes_nothing),
		TEST(fork_with_a_pin_flushes_each_time),
		TEST(a_fork_that_fails_flushes_nothing),
		TEST(what_is_written_before_the_flush_is_in_the_child),
		TEST(removing_flushes_before_it_frees),
		TEST(cutting_a_huge_page_flushes_the_part),
		TEST(removing_nothing_flushes_nothing),
		TEST(destroy_flushes_all_at_once),
		TEST(mprotect_flushes_what_is_lost),
		TEST(faults_that_only_add_flush_nothing),
		TEST(replacing_the_zero_page_flushes_it),
		TEST(unsharing_flushes_branches),
		TEST(copying_a_page_flushes_it),
		TEST(fill_tells_the_longest_run),
		TEST(fill_tells_of_huge_runs),
		TEST(a_fault_that_fails_fills_nothing),
		TEST(what_is_populated_or_locked_is_filled),
		TEST(locks_are_told_of),
		TEST(who_asks_too_late_does_not_wait),
		TEST(huge_blocks_are_prepared),
		cmocka_unit_test(a_fork_that_loses_its_room_is_undone),
		TEST(blocks_of_a_fork_are_prepared_at_once),
		TEST(pages_are_copied_by_the_port),
		cmocka_unit_test(optional_functions_may_be_missing),
		TEST(the_hosts_pointer_is_kept),
	};

	return RUN(tests, argc, argv);
}
