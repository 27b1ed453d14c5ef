/* SPDX-License-Identifier: MIT */
/* Where pages come to lie: in few runs, whatever the order in which memory is touched. */
#include "port.h"

/* All together, an eighth of the RAM. */
#define PAGES 2048
#define MAX_ARENAS 64

enum order {
	UP,
	DOWN,
	RANDOM
};

struct arenas {
	struct space *s;
	unsigned count;
	uint64_t pages; /* of each */
	hf_va at[MAX_ARENAS];
};

static struct arenas arenas_new(struct space *s, unsigned count)
{
	struct arenas a = { .s = s, .count = count, .pages = PAGES / count };

	/* Not by map_at, which looks at all of the machine each time. */
	for (unsigned i = 0; i < count; i++) {
		a.at[i] = SPACE_LO + i * (SPACE_LEN / count);
		SAME(hf_mmap(s->mm, &a.at[i], a.pages * PAGE, RW, HF_MAP_FIXED), HF_OK);
	}
	return a;
}

/* The n-th page to be touched; a number that has no divisor in common with any of ours jumps. */
static uint64_t page(const struct arenas *a, enum order order, uint64_t n)
{
	if (order == RANDOM)
		return n * 1021 % a->pages;
	return order == UP ? n : a->pages - 1 - n;
}

/* The arenas in turns, a page each. */
static void touch(struct arenas *a, enum order order, uint64_t value)
{
	for (uint64_t n = 0; n < a->pages; n++)
		for (unsigned i = 0; i < a->count; i++)
			put(a->s, a->at[i] + page(a, order, n) * PAGE, value);
}

static size_t spans(const struct arenas *a)
{
	size_t count = 0;

	for (unsigned i = 0; i < a->count; i++) {
		struct pin pin;

		SAME(hf_pin(a->s->mm, a->at[i], a->pages * PAGE, HF_PIN_WRITE, pin.spans, MAX_SPANS,
			    &pin.count),
		     HF_OK);
		count += pin.count;
		SAME(hf_unpin(a->s->m->phys, pin.spans, pin.count), HF_OK);
	}
	CHECK(a->s->m);
	return count;
}

/* One arena, touched upwards: what all others are measured by. */
static size_t spans_of_one(struct machine *m)
{
	struct space *s = space_new(m);
	struct arenas a = arenas_new(s, 1);
	size_t count;

	touch(&a, UP, 1);
	count = spans(&a);
	space_end(s);
	return count;
}

static const unsigned counts[] = { 1, 2, 8, MAX_ARENAS };
#define EACH(i, order)                                                  \
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) \
		for (enum order order = UP; order <= RANDOM; order++)

static void any_order_makes_few_spans(void **state)
{
	struct machine *m = *state;
	size_t one = spans_of_one(m);

	SAME(one, 1);
	EACH(i, order)
	{
		struct space *s = space_new(m);
		struct arenas a = arenas_new(s, counts[i]);

		touch(&a, order, 1);
		SAME(spans(&a), one * counts[i]);
		space_end(s);
	}
}

/* The parent's copies, while the child keeps the originals; and then the other way round. */
static void copies_make_few_spans(void **state)
{
	struct machine *m = *state;
	size_t one = spans_of_one(m);

	EACH(i, order)
	{
		struct space *s = space_new(m), *child;
		struct arenas a = arenas_new(s, counts[i]), b = a;

		touch(&a, UP, 1);
		child = fork_space(s, HF_FORK_COPY);
		b.s = child;
		touch(&a, order, 2);
		assert_in_range(spans(&a), 1, 4 * one * counts[i]);
		space_end(child);
		child = fork_space(s, HF_FORK_COPY);
		b.s = child;
		touch(&b, order, 3);
		assert_in_range(spans(&b), 1, 4 * one * counts[i]);
		space_end(child);
		touch(&a, order, 4);
		space_end(s);
	}
}

/* Half of each arena, then a fork, and after it the other half. */
static void a_fork_is_no_border(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	struct arenas a = arenas_new(s, 8), half = a;

	half.pages /= 2;
	touch(&half, UP, 1);
	child = fork_space(s, HF_FORK_COPY);
	space_end(child);
	for (unsigned i = 0; i < a.count; i++)
		half.at[i] += half.pages * PAGE;
	touch(&half, UP, 1);
	assert_in_range(spans(&a), 8, 16);
}

/* A mapping far larger than the RAM, from its end down and from its middle up. */
static void a_mapping_larger_than_ram(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct arenas a = { .s = s, .count = 2, .pages = PAGES / 2 };
	hf_va va = map_at(s, SPACE_LO, SPACE_LEN, RW);

	a.at[0] = va + SPACE_LEN - a.pages * PAGE;
	a.at[1] = va + SPACE_LEN / 2;
	for (uint64_t n = 0; n < a.pages; n++) {
		put(s, a.at[0] + page(&a, DOWN, n) * PAGE, 1);
		put(s, a.at[1] + page(&a, UP, n) * PAGE, 1);
	}
	assert_in_range(spans(&a), 2, 8);
}

/* An object's pages lie as its offsets do, whoever maps it where. */
static void objects_make_few_spans(void **state)
{
	struct machine *m = *state;

	for (enum order order = UP; order <= RANDOM; order++) {
		struct space *s = space_new(m);
		struct arenas a = arenas_new(s, 2);

		for (unsigned i = 0; i < a.count; i++) {
			hf_va va = a.at[i];

			OK(hf_mmap(s->mm, &va, a.pages * PAGE, RW, HF_MAP_FIXED | HF_MAP_SHARED));
		}
		touch(&a, order, 1);
		assert_in_range(spans(&a), 2, 4);
		space_end(s);
	}
}

/* Pages that lie far apart, each alone, leave half of what is free to huge pages. */
static void sparse_pages_leave_huge_ones(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new_of(m, 2 * GIB, HF_HUGE_COW_WHOLE);
	hf_va va = map_at(s, SPACE_LO, GIB, RW), huge;
	struct hf_phys_stats stats;
	uint64_t whole = 0;

	for (uint64_t i = 0; i < GIB / PMD_SIZE; i++)
		put(s, va + i * 181 % (GIB / PMD_SIZE) * PMD_SIZE + i % 7 * PAGE, 1);
	hf_phys_stats(m->phys, &stats);
	for (unsigned order = 9; order <= HF_MAX_ORDER; order++)
		whole += stats.free_blocks[order] * (PAGE << order);
	assert_true(3 * whole >= stats.free_bytes);
	huge = map_level(s, HF_LEVEL_PMD, 1);
	OK(hf_madvise(s->mm, huge, PMD_SIZE, HF_ADV_HUGEPAGE));
	put(s, huge, 1);
	SAME(level_of(s, huge), HF_LEVEL_PMD);
}

static const struct CMUnitTest tests[] = {
	TEST(any_order_makes_few_spans), TEST(copies_make_few_spans),
	TEST(a_fork_is_no_border),	 TEST(a_mapping_larger_than_ram),
	TEST(objects_make_few_spans),	 TEST(sparse_pages_leave_huge_ones),
};
SUITE(suite_place, tests);
