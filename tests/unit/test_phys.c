/* SPDX-License-Identifier: MIT */
/* Physical memory: the buddy allocator against a model, errors, counts, trim. */
#include "unit.h"

#define TIB (GIB << 10)
#define MAX_BLOCKS 4096

static bool same_stats(struct memory *m, const struct hf_phys_stats *before)
{
	struct hf_phys_stats now;

	hf_phys_stats(&m->phys, &now);
	return now.free_bytes == before->free_bytes &&
	       memcmp(now.free_blocks, before->free_blocks, sizeof(now.free_blocks)) == 0;
}

/* The call gives `want`, and what is free lies as it did. */
#define REFUSED(m, want, call)                          \
	do {                                            \
		struct hf_phys_stats before_;           \
		hf_phys_stats(&(m)->phys, &before_);    \
		GIVES(want, call);                      \
		assert_true(same_stats((m), &before_)); \
		CHECK(&(m)->phys);                      \
	} while (0)

/* ---- Beginning ---- */

static void metadata_is_32_bytes_a_frame(void **state)
{
	(void)state;
	SAME(HF_FRAME_META, 32);
	SAME(hf_phys_meta_size(PAGE), 32);
	SAME(hf_phys_meta_size(3 * PAGE), 96);
	SAME(hf_phys_meta_size(GIB), GIB / 128);
}

/* A configuration that is right; each case makes one thing wrong. */
struct config {
	struct hf_phys_config c;
	struct hf_port port;
	struct hf_ram ram[3];
	uint64_t meta[3][3 * 4]; /* for 3 frames */
};

static _Alignas(4096) char some_ram[3][3 * 4096];

static void no_wait(void *host, const uint32_t *word, uint32_t value)
{
	(void)host;
	(void)word;
	(void)value;
}

static void no_wake(void *host, const uint32_t *word)
{
	(void)host;
	(void)word;
}

static struct config *right(struct config *c)
{
	*c = (struct config){ .port = quiet_port };
	for (size_t i = 0; i < 3; i++)
		c->ram[i] = (struct hf_ram){ .base = { (i + 1) * MIB },
					     .len = 3 * PAGE,
					     .map = some_ram[i],
					     .meta = c->meta[i] };
	c->c = (struct hf_phys_config){ .port = &c->port, .ram = c->ram, .ram_count = 3 };
	return c;
}

/* The configuration, changed by `how`, gives `want`. */
#define INIT(want, how)                                                                       \
	do {                                                                                  \
		struct config w_, *w = right(&w_);                                            \
		struct hf_phys phys_;                                                         \
		how;                                                                          \
		expect_status(hf_phys_init(&phys_, &w->c), (want), "hf_phys_init with " #how, \
			      __FILE__, __LINE__);                                            \
	} while (0)

static void init_wants_a_whole_port(void **state)
{
	(void)state;
	INIT(HF_OK, (void)w);
	INIT(HF_ERR_INVAL, w->c.port = NULL);
	INIT(HF_ERR_INVAL, w->port.flush = NULL);
	INIT(HF_ERR_INVAL, w->port.panic = NULL);
	INIT(HF_ERR_INVAL, w->port.wait = no_wait);
	INIT(HF_ERR_INVAL, w->port.wake = no_wake);
	INIT(HF_OK, (w->port.wait = no_wait, w->port.wake = no_wake));
}

static void init_wants_whole_ranges(void **state)
{
	(void)state;
	INIT(HF_ERR_EMPTY, w->c.ram_count = 0);
	for (size_t i = 0; i < 3; i++) {
		INIT(HF_ERR_INVAL, w->ram[i].map = NULL);
		INIT(HF_ERR_INVAL, w->ram[i].meta = NULL);
		INIT(HF_ERR_EMPTY, w->ram[i].len = 0);
		INIT(HF_ERR_ALIGN, w->ram[i].base.v += 8);
		INIT(HF_ERR_ALIGN, w->ram[i].len -= 8);
		INIT(HF_ERR_ALIGN, w->ram[i].meta = (char *)w->ram[i].meta + 4);
	}
	INIT(HF_ERR_WRAP, w->ram[2].base.v = -PAGE);
	INIT(HF_ERR_RANGE, w->ram[2].base.v = 16 * TIB);
	INIT(HF_ERR_RANGE, w->ram[2].base.v = 16 * TIB - 2 * PAGE);
	INIT(HF_OK, w->ram[2].base.v = 16 * TIB - 4 * PAGE);
}

static void init_wants_ranges_in_order(void **state)
{
	(void)state;
	INIT(HF_OK, w->ram[1].base.v = w->ram[0].base.v + 3 * PAGE);
	INIT(HF_ERR_OVERLAP, w->ram[1].base.v = w->ram[0].base.v + 2 * PAGE);
	INIT(HF_ERR_OVERLAP, w->ram[1].base.v = w->ram[0].base.v);
	INIT(HF_ERR_OVERLAP, w->ram[2].base.v = w->ram[0].base.v - MIB / 2);
}

static void init_wants_a_sensible_limit(void **state)
{
	(void)state;
	INIT(HF_ERR_FLAGS, w->c.count_limit = 1);
	INIT(HF_OK, w->c.count_limit = 2);
	INIT(HF_OK, w->c.count_limit = INT32_MAX);
	INIT(HF_ERR_FLAGS, w->c.count_limit = (uint32_t)INT32_MAX + 1);
	INIT(HF_ERR_FLAGS, w->c.count_limit = UINT32_MAX);
}

/* One frame becomes zeros; the rest of the host's RAM, if it is one range, stays as it was. */
static void init_touches_one_frame_only(void **state)
{
	struct config c;
	struct hf_phys phys;
	unsigned zeros = 0;

	(void)state;
	memset(some_ram, 0x5a, sizeof(some_ram));
	right(&c)->c.ram_count = 1;
	OK(hf_phys_init(&phys, &c.c));
	for (const char *p = some_ram[0]; p < some_ram[0] + sizeof(some_ram); p += PAGE) {
		bool zero = *p == 0;

		for (size_t i = 0; i < PAGE; i++)
			SAME(p[i], zero ? 0 : 0x5a);
		zeros += zero;
	}
	SAME(zeros, 1);
	OK(hf_phys_fini(&phys));
}

static void fini_waits_for_everything(void **state)
{
	struct memory *m = memory_of(4 * MIB, &quiet_port, NULL);
	struct hf_span span;
	struct hf_mm *mm;
	size_t count;
	hf_pa pa;
	hf_va va;

	(void)state;
	OK(hf_phys_alloc(&m->phys, 0, &pa));
	REFUSED(m, HF_ERR_BUSY, hf_phys_fini(&m->phys));
	OK(hf_phys_free(&m->phys, pa, 0));
	mm = space_new(m);
	REFUSED(m, HF_ERR_BUSY, hf_phys_fini(&m->phys));
	va = map(mm, PAGE);
	OK(hf_pin(mm, va, PAGE, HF_PIN_READ, &span, 1, &count));
	space_end(mm);
	REFUSED(m, HF_ERR_BUSY, hf_phys_fini(&m->phys));
	OK(hf_unpin(&m->phys, &span, 1));
	memory_end(m);
}

/* ---- Blocks ---- */

/* A block of every order: in RAM, aligned, its own, and back to how it was. */
static void every_order_comes_aligned(void **state)
{
	struct memory *m = memory_of(3 * GIB, &quiet_port, NULL);
	struct hf_phys_stats before;
	hf_pa pa[HF_MAX_ORDER + 1];

	(void)state;
	hf_phys_stats(&m->phys, &before);
	for (unsigned o = 0; o <= HF_MAX_ORDER; o++) {
		OK(hf_phys_alloc(&m->phys, o, &pa[o]));
		SAME(pa[o].v % (PAGE << o), 0);
		assert_true(pa[o].v >= GIB && pa[o].v + (PAGE << o) <= 4 * GIB);
		for (unsigned p = 0; p < o; p++)
			assert_true(pa[p].v + (PAGE << p) <= pa[o].v ||
				    pa[o].v + (PAGE << o) <= pa[p].v);
	}
	SAME(free_bytes(m), before.free_bytes - (PAGE << (HF_MAX_ORDER + 1)) + PAGE);
	CHECK(&m->phys);
	for (unsigned o = 0; o <= HF_MAX_ORDER; o++)
		OK(hf_phys_free(&m->phys, pa[o], o));
	assert_true(same_stats(m, &before));
	memory_end(m);
}

/* Halves appear all the way down, and become one again. */
static void a_block_is_halved_and_made_whole(void **state)
{
	/*
	 * The zero page and the reserve take the lowest range, the index the highest: the middle
	 * one is one block.
	 */
	const struct range ranges[] = { { MIB, 20 * PAGE }, { GIB, GIB }, { 3 * GIB, PAGE } };
	struct memory *m = memory_new(ranges, 3, &quiet_port, NULL, 0);
	struct hf_phys_stats before, after;
	hf_pa first, second;

	(void)state;
	hf_phys_stats(&m->phys, &before);
	SAME(before.free_bytes, GIB);
	SAME(before.free_blocks[18], 1);
	OK(hf_phys_alloc(&m->phys, 0, &first));
	hf_phys_stats(&m->phys, &after);
	for (unsigned o = 0; o < 18; o++)
		SAME(after.free_blocks[o], 1);
	SAME(after.free_blocks[18], 0);
	OK(hf_phys_alloc(&m->phys, 0, &second)); /* the other half, not half of another */
	SAME(second.v, first.v ^ PAGE);
	OK(hf_phys_free(&m->phys, first, 0));
	OK(hf_phys_free(&m->phys, second, 0));
	assert_true(same_stats(m, &before));
	memory_end(m);
}

static void shuffle(hf_pa *pages, size_t count, uint64_t seed)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = next_random(&seed) % i;
		hf_pa tmp = pages[i - 1];

		pages[i - 1] = pages[j];
		pages[j] = tmp;
	}
}

static int by_address(const void *a, const void *b)
{
	const hf_pa *x = a, *y = b;

	return x->v < y->v ? -1 : x->v > y->v;
}

/* Holes, odd edges, neighbours that touch, and a range of one frame. */
static const struct range odd_ranges[] = {
	{ 3 * PAGE, 5 * PAGE }, { 2 * MIB - PAGE, 6 * MIB + 3 * PAGE },
	{ 16 * MIB, 2 * MIB },	{ 18 * MIB, 2 * MIB },
	{ 32 * MIB, PAGE },	{ 64 * MIB + 7 * PAGE, 9 * MIB },
};

/* The range of odd_ranges that holds all of the block, or false. */
static bool in_one_range(hf_pa pa, unsigned order)
{
	for (size_t i = 0; i < COUNT(odd_ranges); i++)
		if (pa.v >= odd_ranges[i].base &&
		    pa.v + (PAGE << order) <= odd_ranges[i].base + odd_ranges[i].len)
			return true;
	return false;
}

static void every_frame_can_be_had_once(void **state)
{
	struct memory *m = memory_new(odd_ranges, COUNT(odd_ranges), &quiet_port, NULL, 0);
	struct hf_phys_stats before;
	uint64_t count, got = 0;
	hf_pa *pages, none = { 42 };

	(void)state;
	hf_phys_stats(&m->phys, &before);
	SAME(m->phys.index_frames, 1);
	SAME(before.reserve_bytes, 19 * PAGE);
	/* the zero page, the index */
	SAME(before.total_bytes, before.free_bytes + 2 * PAGE + before.reserve_bytes);
	SAME(before.total_bytes, 19 * MIB + 9 * PAGE);
	count = before.free_bytes / PAGE;
	pages = calloc(count, sizeof(*pages));
	while (got < count)
		OK(hf_phys_alloc(&m->phys, 0, &pages[got++]));
	for (unsigned o = 0; o <= HF_MAX_ORDER; o++)
		REFUSED(m, HF_ERR_NOMEM, hf_phys_alloc(&m->phys, o, &none));
	SAME(none.v, 42);
	SAME(free_bytes(m), 0);

	qsort(pages, count, sizeof(*pages), by_address);
	for (size_t i = 0; i < count; i++) {
		assert_true(in_one_range(pages[i], 0));
		assert_true(!i || pages[i].v > pages[i - 1].v);
	}
	shuffle(pages, count, 1);
	for (size_t i = 0; i < count; i++)
		OK(hf_phys_free(&m->phys, pages[i], 0));
	assert_true(same_stats(m, &before));
	free(pages);
	memory_end(m);
}

/* Two ranges that touch are still two. (The zero page takes the third.) */
static void no_block_spans_two_ranges(void **state)
{
	const struct range ranges[] = { { MIB, PAGE }, { 4 * MIB, 2 * MIB }, { 6 * MIB, 2 * MIB } };
	struct memory *m = memory_new(ranges, 3, &quiet_port, NULL, 0);
	hf_pa pa;

	(void)state;
	GIVES(HF_ERR_NOMEM, hf_phys_alloc(&m->phys, 10, &pa));
	OK(hf_phys_alloc(&m->phys, 9, &pa));
	OK(hf_phys_free(&m->phys, pa, 9));
	GIVES(HF_ERR_NOMEM, hf_phys_alloc(&m->phys, 10, &pa));
	memory_end(m);
}

/* ---- Against a model: one byte for each frame ---- */

struct block {
	hf_pa pa;
	unsigned order;
};

struct model {
	struct memory *m;
	uint64_t frames; /* from physical address 0 */
	char *used;	 /* by frame; what is no RAM is used */
	uint64_t free;
	struct block blocks[MAX_BLOCKS];
	size_t count;
	uint64_t seed;
};

static bool model_free(const struct model *model, uint64_t frame, unsigned order)
{
	for (uint64_t i = frame; i < frame + ((uint64_t)1 << order); i++)
		if (i >= model->frames || model->used[i])
			return false;
	return in_one_range((hf_pa){ frame * PAGE }, order);
}

/* The largest free block that begins at this frame. */
static unsigned model_order(const struct model *model, uint64_t frame)
{
	unsigned order = 0;

	while (order < HF_MAX_ORDER && !(frame & ((uint64_t)1 << order)) &&
	       model_free(model, frame, order + 1))
		order++;
	return order;
}

/* Free frames lie in the largest aligned blocks that there can be: nothing else is coalesced. */
static void expect_blocks(const struct model *model)
{
	uint64_t want[HF_MAX_ORDER + 1] = { 0 };
	struct hf_phys_stats stats;

	for (uint64_t frame = 0; frame < model->frames;) {
		unsigned order;

		if (model->used[frame]) {
			frame++;
			continue;
		}
		order = model_order(model, frame);
		want[order]++;
		frame += (uint64_t)1 << order;
	}
	hf_phys_stats(&model->m->phys, &stats);
	for (unsigned o = 0; o <= HF_MAX_ORDER; o++)
		SAME(stats.free_blocks[o], want[o]);
	CHECK(&model->m->phys);
}

static void mark(struct model *model, const struct block *b, bool used)
{
	uint64_t count = (uint64_t)1 << b->order;

	memset(model->used + b->pa.v / PAGE, used, count);
	model->free += used ? -count : count;
}

static void step_alloc(struct model *model, unsigned order)
{
	struct block b = { .order = order };
	enum hf_status status = hf_phys_alloc(&model->m->phys, order, &b.pa);

	if (status == HF_OK) {
		SAME(b.pa.v % (PAGE << order), 0);
		assert_true(model_free(model, b.pa.v / PAGE, order));
		mark(model, &b, true);
		model->blocks[model->count++] = b;
		return;
	}
	SAME(status, HF_ERR_NOMEM);
	for (uint64_t f = 0; f < model->frames; f += (uint64_t)1 << order)
		assert_false(model_free(model, f, order));
}

static void step_free(struct model *model)
{
	size_t i = next_random(&model->seed) % model->count;
	struct block b = model->blocks[i];

	OK(hf_phys_free(&model->m->phys, b.pa, b.order));
	mark(model, &b, false);
	model->blocks[i] = model->blocks[--model->count];
}

/* Mostly small blocks, now and then one up to 2 MiB; filling up and emptying in turn. */
static void step(struct model *model, unsigned i)
{
	unsigned order =
		(unsigned)(next_random(&model->seed) % 100 < 90 ? next_random(&model->seed) % 4
								: next_random(&model->seed) % 11);
	unsigned bias = i / 5000 % 2 ? 35 : 65;

	if (next_random(&model->seed) % 100 < bias && model->count < MAX_BLOCKS)
		step_alloc(model, order);
	else if (model->count)
		step_free(model);
	SAME(free_bytes(model->m), model->free * PAGE);
}

/* Take every free frame once and give it back: those are the model's free ones. */
static void model_learn(struct model *model)
{
	uint64_t count = free_bytes(model->m) / PAGE;
	hf_pa *pages = calloc(count, sizeof(*pages));

	memset(model->used, 1, model->frames);
	for (uint64_t i = 0; i < count; i++)
		OK(hf_phys_alloc(&model->m->phys, 0, &pages[i]));
	for (uint64_t i = 0; i < count; i++) {
		OK(hf_phys_free(&model->m->phys, pages[i], 0));
		mark(model, &(struct block){ .pa = pages[i] }, false);
	}
	SAME(model->free, count);
	free(pages);
}

static struct model *model_new(void)
{
	struct model *model = calloc(1, sizeof(*model));
	const struct range *last = &odd_ranges[COUNT(odd_ranges) - 1];

	model->m = memory_new(odd_ranges, COUNT(odd_ranges), &quiet_port, NULL, 0);
	model->frames = (last->base + last->len) / PAGE;
	model->used = malloc(model->frames);
	model_learn(model);
	return model;
}

static void random_blocks_agree_with_the_model(void **state)
{
	struct model *model = model_new();

	(void)state;
	expect_blocks(model);
	model->seed = 20260101;
	for (unsigned i = 0; i < 100000; i++) {
		step(model, i);
		if (i % 1000 == 0)
			expect_blocks(model);
	}
	while (model->count)
		step_free(model);
	expect_blocks(model);
	memory_end(model->m);
	free(model->used);
	free(model);
}

/* ---- Errors ---- */

static void alloc_and_free_refuse(void **state)
{
	struct memory *m = memory_new(odd_ranges, COUNT(odd_ranges), &quiet_port, NULL, 0);
	hf_pa pa, none = { 42 };

	(void)state;
	REFUSED(m, HF_ERR_INVAL, hf_phys_alloc(&m->phys, HF_MAX_ORDER + 1, &none));
	SAME(none.v, 42);
	OK(hf_phys_alloc(&m->phys, 3, &pa));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, pa, 2));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, pa, 4));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, (hf_pa){ pa.v + PAGE }, 0));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, (hf_pa){ pa.v + PAGE }, 3));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, (hf_pa){ pa.v + 8 }, 3));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, pa, HF_MAX_ORDER + 1));
	REFUSED(m, HF_ERR_RANGE, hf_phys_free(&m->phys, (hf_pa){ 0 }, 0));
	REFUSED(m, HF_ERR_RANGE, hf_phys_free(&m->phys, (hf_pa){ 12 * MIB }, 0));
	REFUSED(m, HF_ERR_RANGE, hf_phys_free(&m->phys, (hf_pa){ 16 * TIB + pa.v }, 3));
	REFUSED(m, HF_ERR_RANGE, hf_phys_free(&m->phys, (hf_pa){ UINT64_MAX }, 0));
	OK(hf_phys_free(&m->phys, pa, 3));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, pa, 3));
	REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, pa, 0));
	memory_end(m);
}

/* Frames that the core uses are not the host's to free: tables, pages, zero pages. */
static void free_refuses_frames_in_use(void **state)
{
	struct memory *m = memory_of(4 * MIB, &quiet_port, NULL);
	struct hf_mm *mm = space_new(m);
	hf_va va = map(mm, PAGE);

	(void)state;
	put(mm, va, 1);
	for (uint64_t pa = GIB; pa < GIB + 4 * MIB; pa += PAGE)
		REFUSED(m, HF_ERR_INVAL, hf_phys_free(&m->phys, (hf_pa){ pa }, 0));
	SAME(get(mm, va), 1);
	space_end(mm);
	memory_end(m);
}

static void ptr_is_the_direct_map(void **state)
{
	struct memory *m = memory_new(odd_ranges, COUNT(odd_ranges), &quiet_port, NULL, 0);

	(void)state;
	for (size_t i = 0; i < COUNT(odd_ranges); i++) {
		const struct range *r = &odd_ranges[i];
		char *ram = m->ram[i].map;
		bool touches = i + 1 < COUNT(odd_ranges) && r[1].base == r->base + r->len;

		assert_ptr_equal(hf_phys_ptr(&m->phys, (hf_pa){ r->base }), ram);
		assert_ptr_equal(hf_phys_ptr(&m->phys, (hf_pa){ r->base + 5 }), ram + 5);
		assert_ptr_equal(hf_phys_ptr(&m->phys, (hf_pa){ r->base + r->len - 1 }),
				 ram + r->len - 1);
		if (!touches)
			assert_null(hf_phys_ptr(&m->phys, (hf_pa){ r->base + r->len }));
		assert_null(hf_phys_ptr(&m->phys, (hf_pa){ 16 * TIB + r->base }));
	}
	assert_null(hf_phys_ptr(&m->phys, (hf_pa){ 0 }));
	assert_null(hf_phys_ptr(&m->phys, (hf_pa){ UINT64_MAX }));
	memory_end(m);
}

static void pins_are_counted_by_frame(void **state)
{
	struct memory *m = memory_of(4 * MIB, &quiet_port, NULL);
	struct hf_mm *mm = space_new(m);
	hf_va va = map(mm, 4 * PAGE);
	struct hf_span spans[2][4];
	size_t count[2];
	uint32_t pins = 42;
	hf_pa pa;

	(void)state;
	OK(hf_pin(mm, va, 3 * PAGE, HF_PIN_WRITE, spans[0], 4, &count[0]));
	OK(hf_pin(mm, va + PAGE, PAGE, HF_PIN_READ, spans[1], 4, &count[1]));
	put(mm, va + 3 * PAGE, 1);
	for (unsigned i = 0; i < 4; i++) {
		static const uint32_t want[] = { 1, 2, 1, 0 };

		pa = pa_of(mm, va + i * PAGE);
		OK(hf_phys_pins(&m->phys, (hf_pa){ pa.v + 100 }, &pins));
		SAME(pins, want[i]);
	}
	pins = 42;
	GIVES(HF_ERR_RANGE, hf_phys_pins(&m->phys, (hf_pa){ 0 }, &pins));
	GIVES(HF_ERR_RANGE, hf_phys_pins(&m->phys, (hf_pa){ GIB + 4 * MIB }, &pins));
	SAME(pins, 42);
	OK(hf_unpin(&m->phys, spans[0], count[0]));
	OK(hf_unpin(&m->phys, spans[1], count[1]));
	OK(hf_phys_pins(&m->phys, pa_of(mm, va + PAGE), &pins));
	SAME(pins, 0);
	space_end(mm);
	memory_end(m);
}

static void stats_count_allocations(void **state)
{
	struct memory *m = memory_of(4 * MIB, &quiet_port, NULL);
	struct hf_phys_stats before, after;
	hf_pa pa[3];

	(void)state;
	hf_phys_stats(&m->phys, &before);
	SAME(before.total_bytes, 4 * MIB);
	for (unsigned i = 0; i < 3; i++)
		OK(hf_phys_alloc(&m->phys, 2 * i, &pa[i]));
	GIVES(HF_ERR_NOMEM, hf_phys_alloc(&m->phys, HF_MAX_ORDER, &pa[0]));
	hf_phys_stats(&m->phys, &after);
	SAME(after.allocs - before.allocs, 3);
	SAME(before.free_bytes - after.free_bytes, (1 + 4 + 16) * PAGE);
	for (unsigned i = 0; i < 3; i++)
		OK(hf_phys_free(&m->phys, pa[i], 2 * i));
	hf_phys_stats(&m->phys, &after);
	SAME(after.allocs - before.allocs, 3);
	memory_end(m);
}

static void failing_begins_and_ends_as_told(void **state)
{
	struct memory *m = memory_of(4 * MIB, &quiet_port, NULL);
	struct hf_mm mm;
	hf_pa pa[4], untouched = { 42 };

	(void)state;
	hf_phys_fail_after(&m->phys, 3);
	OK(hf_phys_alloc(&m->phys, 0, &pa[0]));
	OK(hf_phys_alloc(&m->phys, 5, &pa[1]));
	for (unsigned i = 0; i < 10; i++)
		REFUSED(m, HF_ERR_NOMEM, hf_phys_alloc(&m->phys, i % 2, &untouched));
	REFUSED(m, HF_ERR_NOMEM, hf_mm_create(&mm, &m->phys, NULL));
	SAME(untouched.v, 42);
	hf_phys_fail_after(&m->phys, 2); /* again from here */
	OK(hf_phys_alloc(&m->phys, 0, &pa[2]));
	REFUSED(m, HF_ERR_NOMEM, hf_phys_alloc(&m->phys, 0, &untouched));
	hf_phys_fail_after(&m->phys, 0);
	for (unsigned i = 0; i < 10; i++) {
		OK(hf_phys_alloc(&m->phys, 0, &pa[3]));
		OK(hf_phys_free(&m->phys, pa[3], 0));
	}
	OK(hf_phys_free(&m->phys, pa[0], 0));
	OK(hf_phys_free(&m->phys, pa[1], 5));
	OK(hf_phys_free(&m->phys, pa[2], 0));
	memory_end(m);
}

/* ---- Trim: a host that takes free memory back ---- */

struct taker {
	struct hf_port port;
	struct memory *m;
	struct block taken[64];
	size_t count;
};

/* Takes memory away as a host does, and remembers what. */
static void take(void *host, hf_pa pa, uint64_t len)
{
	struct taker *t = host;
	unsigned order = 0;

	while (PAGE << order < len)
		order++;
	SAME(PAGE << order, len);
	SAME(t->m->phys.lock.word, 0); /* others may have it meanwhile */
	assert_true(t->count < COUNT(t->taken));
	t->taken[t->count++] = (struct block){ pa, order };
	memset(hf_phys_ptr(&t->m->phys, pa), 0, len);
}

static struct taker *taker_of(uint64_t len)
{
	struct taker *t = calloc(1, sizeof(*t));

	t->port = quiet_port;
	t->port.discard = take;
	t->m = memory_of(len, &t->port, t);
	return t;
}

static struct taker *taker_new(void)
{
	return taker_of(8 * MIB);
}

static void taker_end(struct taker *t)
{
	memory_end(t->m);
	free(t);
}

static void trim_without_discard_does_nothing(void **state)
{
	struct memory *m = memory_of(4 * MIB, &quiet_port, NULL);

	(void)state;
	SAME(hf_phys_trim(&m->phys, 0), 0);
	memory_end(m);
}

/* All that is free and no more, each block once, and none below the order asked for. */
static void trim_offers_free_blocks(void **state)
{
	struct taker *t = taker_new();
	struct hf_phys_stats stats;
	uint64_t large = 0;
	hf_pa used;

	(void)state;
	OK(hf_phys_alloc(&t->m->phys, 4, &used));
	hf_phys_stats(&t->m->phys, &stats);
	for (unsigned o = 6; o <= HF_MAX_ORDER; o++)
		large += stats.free_blocks[o] * (PAGE << o);
	SAME(hf_phys_trim(&t->m->phys, 6), large);
	for (size_t i = 0; i < t->count; i++)
		assert_true(t->taken[i].order >= 6);
	SAME(hf_phys_trim(&t->m->phys, 0), stats.free_bytes - large);
	for (size_t i = 0; i < t->count; i++) {
		uint64_t start = t->taken[i].pa.v, end = start + (PAGE << t->taken[i].order);

		assert_true(end <= used.v || start >= used.v + 16 * PAGE);
	}
	SAME(hf_phys_trim(&t->m->phys, 0), 0); /* nothing was used since */
	OK(hf_phys_free(&t->m->phys, used, 4));
	assert_true(hf_phys_trim(&t->m->phys, 0) >= 16 * PAGE);
	SAME(hf_phys_trim(&t->m->phys, 0), 0);
	taker_end(t);
}

/* What was used and given back is offered again; what was not used is not. */
static void trim_offers_what_was_used_since(void **state)
{
	struct taker *t = taker_new();
	hf_pa pa[2];

	(void)state;
	hf_phys_trim(&t->m->phys, 0);
	OK(hf_phys_alloc(&t->m->phys, 9, &pa[0]));
	OK(hf_phys_alloc(&t->m->phys, 9, &pa[1])); /* half of the only larger one */
	SAME(hf_phys_trim(&t->m->phys, 0), 0);
	t->count = 0;
	OK(hf_phys_free(&t->m->phys, pa[0], 9));
	SAME(hf_phys_trim(&t->m->phys, 9), 2 * MIB);
	SAME(t->count, 1);
	SAME(t->taken[0].pa.v, pa[0].v);
	OK(hf_phys_free(&t->m->phys, pa[1], 9));
	assert_true(hf_phys_trim(&t->m->phys, 0) >= 2 * MIB);
	taker_end(t);
}

/* Of a large free block those parts that were used, and no others. */
static void trim_knows_each_2_mib(void **state)
{
	struct taker *t = taker_of(64 * MIB);
	hf_pa pa[16];

	(void)state;
	hf_phys_trim(&t->m->phys, 0);
	for (size_t i = 0; i < 16; i++)
		OK(hf_phys_alloc(&t->m->phys, 9, &pa[i]));
	for (size_t i = 0; i < 16; i += 2)
		OK(hf_phys_free(&t->m->phys, pa[i], 9));
	SAME(hf_phys_trim(&t->m->phys, 9), 8 * 2 * MIB);
	for (size_t i = 1; i < 16; i += 2)
		OK(hf_phys_free(&t->m->phys, pa[i], 9));
	SAME(hf_phys_trim(&t->m->phys, 9), 8 * 2 * MIB);
	SAME(hf_phys_trim(&t->m->phys, 9), 0);
	taker_end(t);
}

/* RAM that reads as zeros when it is lent need not be offered before it is used. */
static void zeroed_ram_is_known_to_be_clean(void **state)
{
	struct taker *t = taker_of(64 * MIB);
	struct hf_phys_config config = {
		.port = &t->port,
		.host = t,
		.ram = t->m->ram,
		.ram_count = 1,
		.zeroed = true,
	};
	hf_pa pa;

	(void)state;
	OK(hf_phys_fini(&t->m->phys));
	OK(hf_phys_init(&t->m->phys, &config));
	SAME(hf_phys_trim(&t->m->phys, 0), 0);
	OK(hf_phys_alloc(&t->m->phys, 9, &pa));
	OK(hf_phys_free(&t->m->phys, pa, 9));
	SAME(hf_phys_trim(&t->m->phys, 0), 2 * MIB);
	taker_end(t);
}

/* Fresh memory reads as zeros, whoever left what in it, trimmed or not. */
static void mapped_memory_is_zero(void **state)
{
	struct taker *t = taker_new();

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		struct hf_mm *mm;
		hf_pa dirty;
		hf_va va;

		OK(hf_phys_alloc(&t->m->phys, 10, &dirty));
		memset(hf_phys_ptr(&t->m->phys, dirty), 0xdd, 4 * MIB);
		OK(hf_phys_free(&t->m->phys, dirty, 10));
		if (round & 1)
			assert_true(hf_phys_trim(&t->m->phys, 0) >= 4 * MIB);
		mm = space_new(t->m);
		va = round & 2 ? map_huge(mm, 2) : map(mm, 4 * MIB);
		OK(hf_madvise(mm, va, 4 * MIB, HF_ADV_POPULATE_WRITE));
		for (uint64_t at = 0; at < 4 * MIB; at += 512)
			SAME(get(mm, va + at), 0);
		space_end(mm);
	}
	taker_end(t);
}

/* A discarded block reads as zeros, so the core does not make the host give it back for that. */
static void discarded_memory_is_not_cleared(void **state)
{
	struct taker *t = taker_new();
	struct hf_mm *mm;
	hf_va va;

	(void)state;
	mm = space_new(t->m);
	va = map(mm, 2 * PAGE);
	put(mm, va, 1); /* it has its tables now */
	hf_phys_trim(&t->m->phys, 0);
	/* Marks that no host would leave there. */
	for (size_t i = 0; i < t->count; i++)
		memset(hf_phys_ptr(&t->m->phys, t->taken[i].pa), 0xab, PAGE << t->taken[i].order);
	put(mm, va + PAGE, 1);
	SAME(get(mm, va + PAGE + 8), 0xababababababababu);
	space_end(mm);
	taker_end(t);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metadata_is_32_bytes_a_frame),
		cmocka_unit_test(init_wants_a_whole_port),
		cmocka_unit_test(init_wants_whole_ranges),
		cmocka_unit_test(init_wants_ranges_in_order),
		cmocka_unit_test(init_wants_a_sensible_limit),
		cmocka_unit_test(init_touches_one_frame_only),
		cmocka_unit_test(fini_waits_for_everything),
		cmocka_unit_test(every_order_comes_aligned),
		cmocka_unit_test(a_block_is_halved_and_made_whole),
		cmocka_unit_test(every_frame_can_be_had_once),
		cmocka_unit_test(no_block_spans_two_ranges),
		cmocka_unit_test(random_blocks_agree_with_the_model),
		cmocka_unit_test(alloc_and_free_refuse),
		cmocka_unit_test(free_refuses_frames_in_use),
		cmocka_unit_test(ptr_is_the_direct_map),
		cmocka_unit_test(pins_are_counted_by_frame),
		cmocka_unit_test(stats_count_allocations),
		cmocka_unit_test(failing_begins_and_ends_as_told),
		cmocka_unit_test(trim_without_discard_does_nothing),
		cmocka_unit_test(trim_offers_free_blocks),
		cmocka_unit_test(trim_offers_what_was_used_since),
		cmocka_unit_test(trim_knows_each_2_mib),
		cmocka_unit_test(zeroed_ram_is_known_to_be_clean),
		cmocka_unit_test(mapped_memory_is_zero),
		cmocka_unit_test(discarded_memory_is_not_cleared),
	};

	return RUN(tests, argc, argv);
}
