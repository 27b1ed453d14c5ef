/* SPDX-License-Identifier: MIT */
/*
 * Objects: each allocation of each call fails in turn, and so does each call of the pager. What
 * failed leaves the spaces, the object and the free memory as they were.
 */
#include "fault.h"

/* Contents of a pager's page: its number in every word. */
struct source {
	unsigned until_failure; /* this call of `get` or `writeback` fails; 0: none */
	uint64_t kept;		/* bytes written back */
};

static enum hf_status next_call(struct source *source)
{
	return source->until_failure && !--source->until_failure ? HF_ERR_HOST : HF_OK;
}

static enum hf_status source_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	enum hf_status st = next_call(host);

	for (uint64_t at = 0; !st && at < len; at += 8)
		*(uint64_t *)((char *)page + at) = (offset + at) / PAGE;
	return st;
}

static enum hf_status source_writeback(void *host, uint64_t offset, const void *page, uint64_t len)
{
	struct source *source = host;
	enum hf_status st = next_call(source);

	(void)offset;
	(void)page;
	source->kept += st ? 0 : len;
	return st;
}

static const struct hf_pager source_pager = { source_get, source_writeback, NULL, NULL };

#define SIZE (2 * PMD_SIZE)

/* What the calls are made on: an object, mapped shared and privately, and a child that has both. */
struct stage {
	struct machine *m;
	struct space *s, *child;
	struct hf_object *object, *made;
	struct source source;
	hf_va shared, private;
};

struct call {
	const char *name;
	enum hf_status (*run)(struct stage *g);
	bool pager; /* the object has one */
	enum hf_object_huge huge;
	hf_va at;     /* for the call */
	bool touched; /* the pages are there before */
};

static const struct call *now; /* the call being tested */

static void put_up(struct stage *g, struct machine *m)
{
	struct hf_object_config config = { .size = SIZE,
					   .huge = now->huge,
					   .pager = now->pager ? &source_pager : NULL };
	const unsigned flags = HF_MAP_FIXED;

	memset(g, 0, sizeof(*g));
	config.host = &g->source;
	g->m = m;
	g->s = space_new_of(m, 2 * GIB, HF_HUGE_COW_WHOLE);
	OK(hf_object_create(m->phys, &config, &g->object));
	g->shared = SPACE_LO;
	g->private = SPACE_LO + GIB;
	OK(hf_mmap_object(g->s->mm, &g->shared, SIZE, RW, flags | HF_MAP_SHARED, g->object, 0));
	OK(hf_mmap_object(g->s->mm, &g->private, SIZE, RW, flags | HF_MAP_PRIVATE, g->object, 0));
	if (now->touched) {
		for (uint64_t at = 0; at < SIZE; at += SIZE / 8) {
			put(g->s, g->shared + at, at);
			SAME(get(g->s, g->private + at), at);
		}
		put(g->s, g->private + PAGE, 1);
	}
	g->child = fork_space(g->s, HF_FORK_COPY);
}

static void take_down(struct stage *g)
{
	if (g->made)
		hf_object_put(g->made);
	space_end(g->child);
	space_end(g->s);
	hf_object_put(g->object);
	CHECK(g->m);
}

static enum hf_status make_object(struct stage *g)
{
	struct hf_object_config config = { .size = PAGE };

	return hf_object_create(g->m->phys, &config, &g->made);
}

static enum hf_status map_anonymous(struct stage *g)
{
	hf_va va = SPACE_LO + GIB / 2;

	return hf_mmap(g->s->mm, &va, PAGE, RW, HF_MAP_FIXED | HF_MAP_SHARED);
}

/* Into the middle of what is mapped already, in pages that a child shares. */
static enum hf_status map_over(struct stage *g)
{
	hf_va va = g->private + 3 * PAGE;

	return hf_mmap_object(g->s->mm, &va, PAGE, RW, HF_MAP_FIXED | HF_MAP_SHARED, g->object, 0);
}

static enum hf_status read_shared(struct stage *g)
{
	return hf_fault(g->s->mm, g->shared + now->at, HF_ACCESS_READ, NULL);
}

static enum hf_status write_shared(struct stage *g)
{
	return hf_fault(g->s->mm, g->shared + now->at, HF_ACCESS_WRITE, NULL);
}

static enum hf_status read_private(struct stage *g)
{
	return hf_fault(g->s->mm, g->private + now->at, HF_ACCESS_READ, NULL);
}

static enum hf_status write_private(struct stage *g)
{
	return hf_fault(g->s->mm, g->private + now->at, HF_ACCESS_WRITE, NULL);
}

static enum hf_status host_writes(struct stage *g)
{
	uint64_t value = 1;

	return hf_object_write(g->object, now->at, &value, sizeof(value));
}

static enum hf_status host_reads(struct stage *g)
{
	uint64_t value;

	return hf_object_read(g->object, now->at, &value, sizeof(value));
}

static enum hf_status truncates(struct stage *g)
{
	return hf_object_truncate(g->object, now->at);
}

static const struct call calls[] = {
	{ .name = "create", .run = make_object },
	{ .name = "mmap shared", .run = map_anonymous },
	{ .name = "mmap over a part", .run = map_over, .touched = true },
	{ .name = "read fault, shared", .run = read_shared },
	{ .name = "write fault, shared", .run = write_shared, .at = SIZE - PAGE },
	{ .name = "read fault, private", .run = read_private },
	{ .name = "write fault, private", .run = write_private },
	{ .name = "write fault of a copy, private", .run = write_private, .touched = true },
	{ .name = "huge write fault, shared", .run = write_shared, .huge = HF_OBJECT_HUGE },
	{ .name = "huge write fault, private", .run = write_private, .huge = HF_OBJECT_HUGE },
	{ .name = "huge write fault of a copy",
	  .run = write_private,
	  .huge = HF_OBJECT_HUGE,
	  .touched = true },
	{ .name = "write of the host", .run = host_writes, .at = PMD_SIZE + PAGE },
	{ .name = "read of the host, pager", .run = host_reads, .pager = true },
	{ .name = "read fault, pager", .run = read_shared, .pager = true },
	{ .name = "write fault, pager",
	  .run = write_shared,
	  .pager = true,
	  .touched = true,
	  .at = 2 * PAGE },
	{ .name = "write fault, private, pager", .run = write_private, .pager = true },
	{ .name = "truncation of small pages",
	  .run = truncates,
	  .touched = true,
	  .at = PMD_SIZE / 2 + PAGE },
	{ .name = "truncation of huge pages",
	  .run = truncates,
	  .huge = HF_OBJECT_HUGE,
	  .touched = true,
	  .at = PMD_SIZE / 2 + PAGE },
};

/*
 * A call that can do with less (small pages for a huge one) may succeed beside the failure. One
 * that fails may leave a page in the object, with the contents that it has.
 */
static void each_allocation(void **state)
{
	struct machine *m = *state;
	struct stage g;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		bool failed = false, done = false;

		now = &calls[i];
		for (uint64_t n = 1; !done; n++) {
			enum hf_status st;
			struct state *before;

			put_up(&g, m);
			before = state_take(m);
			hf_phys_fail_after(m->phys, n);
			st = now->run(&g);
			hf_phys_fail_after(m->phys, 0);
			CHECK(m);
			if (st == HF_ERR_NOMEM) {
				failed = true;
				state_same(m, before, STATE_VISIBLE, now->name, __FILE__, __LINE__);
				SAME(hf_object_size(g.object), SIZE);
				st = now->run(&g);
			} else {
				/* Past all that it allocates. What gives back never fails. */
				done = n > 12 || (!failed && now->run != truncates);
			}
			SAME(st, HF_OK);
			state_drop(before);
			take_down(&g);
		}
		if (failed == (now->run == truncates))
			fail_msg("%s: %s allocation failed it", now->name, failed ? "an" : "no");
	}
}

/* Populate, copy and pin over several pages: each `get` fails once. */
static enum hf_status populates(struct stage *g)
{
	return hf_madvise(g->s->mm, g->shared, 4 * PAGE, HF_ADV_POPULATE_WRITE);
}

static enum hf_status reads(struct stage *g)
{
	char buf[4 * PAGE];

	return hf_read(g->s->mm, g->private, buf, sizeof(buf));
}

static enum hf_status writes(struct stage *g)
{
	static const char buf[4 * PAGE];

	return hf_write(g->s->mm, g->shared, buf, sizeof(buf));
}

static enum hf_status pins(struct stage *g)
{
	struct hf_span spans[4];
	size_t count;
	enum hf_status st = hf_pin(g->s->mm, g->private, 4 * PAGE, HF_PIN_READ, spans, 4, &count);

	return st ? st : hf_unpin(g->m->phys, spans, count);
}

static enum hf_status host_reads_all(struct stage *g)
{
	char buf[4 * PAGE];

	return hf_object_read(g->object, 0, buf, sizeof(buf));
}

static void each_get(void **state)
{
	static const struct call over_pages[] = {
		{ .name = "populate", .run = populates, .pager = true },
		{ .name = "hf_read", .run = reads, .pager = true },
		{ .name = "hf_write", .run = writes, .pager = true },
		{ .name = "hf_pin", .run = pins, .pager = true },
		{ .name = "hf_object_read", .run = host_reads_all, .pager = true },
	};
	struct machine *m = *state;
	struct stage g;

	for (size_t i = 0; i < sizeof(over_pages) / sizeof(over_pages[0]); i++) {
		now = &over_pages[i];
		for (unsigned n = 1; n <= 4; n++) {
			put_up(&g, m);
			g.source.until_failure = n;
			GIVES(HF_ERR_BUS, now->run(&g));
			CHECK(m);
			SAME(g.source.until_failure, 0);
			for (uint64_t at = 0; at < 4 * PAGE; at += PAGE)
				SAME(get(g.child, g.shared + at), at / PAGE);
			OK(now->run(&g));
			take_down(&g);
		}
	}
}

/* Each writeback fails once; the others are made all the same, and the next sync makes up. */
static void each_writeback(void **state)
{
	static const struct call call = { .name = "msync", .pager = true, .touched = true };
	struct machine *m = *state;
	struct stage g;

	now = &call;
	for (unsigned n = 1; n <= 8; n++) {
		put_up(&g, m);
		g.source.until_failure = n;
		GIVES(HF_ERR_BUS, hf_msync(g.child->mm, g.shared, SIZE, HF_MS_SYNC));
		CHECK(m);
		SAME(g.source.kept, 7 * PAGE);
		OK(hf_msync(g.s->mm, g.shared, SIZE, HF_MS_SYNC));
		SAME(g.source.kept, 8 * PAGE);
		take_down(&g);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(each_allocation),
	TEST(each_get),
	TEST(each_writeback),
};
SUITE(suite_fault_objects, tests);
