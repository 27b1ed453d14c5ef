/* SPDX-License-Identifier: MIT */
/*
 * The tree of mappings, through the calls that change it, against a model that has one byte
 * for each page of the space.
 */
#include "unit.h"

#define LO (GIB + 5 * PAGE) /* nothing about a space need be aligned to more than a page */
#define MANY 20000	    /* mappings */

/* What the model knows of a page: 0, or MAPPED and what the mapping is. */
enum {
	PROT = HF_PROT_READ | HF_PROT_WRITE | HF_PROT_EXEC,
	HUGE = 8,
	HUGE_1G = 16,
	DONTFORK = 32,
	WIPE = 64,
	MAPPED = 128,
};

struct world {
	struct memory *m;
	struct hf_mm *mm;
	size_t pages;
	uint8_t *page; /* the model */
	uint64_t free_at_start;
	uint64_t seed;
};

static struct hf_mm *space_of(struct memory *m, size_t pages)
{
	struct hf_mm_config config = { .va_lo = LO, .va_hi = LO + pages * PAGE };
	struct hf_mm *mm = calloc(1, sizeof(*mm));

	OK(hf_mm_create(mm, &m->phys, &config));
	return mm;
}

static struct world *world_new(size_t pages)
{
	struct world *w = calloc(1, sizeof(*w));

	w->m = memory_of(32 * MIB, &quiet_port, NULL);
	w->free_at_start = free_bytes(w->m);
	w->mm = space_of(w->m, pages);
	w->pages = pages;
	w->page = calloc(1, pages);
	w->seed = 1;
	return w;
}

static void world_end(struct world *w)
{
	space_end(w->mm);
	SAME(free_bytes(w->m), w->free_at_start);
	memory_end(w->m);
	free(w->page);
	free(w);
}

static uint8_t kind_of(const struct hf_vma_info *vma)
{
	return (uint8_t)(MAPPED | vma->prot | (vma->huge ? HUGE : 0) |
			 (vma->huge_1g ? HUGE_1G : 0) | (vma->dontfork ? DONTFORK : 0) |
			 (vma->wipeonfork ? WIPE : 0));
}

/* The next run of pages that are mapped alike at or after `from`; false: no more. */
static bool next_run(const uint8_t *page, size_t pages, size_t from, size_t *start, size_t *end)
{
	while (from < pages && !page[from])
		from++;
	*start = from;
	while (from < pages && page[from] == page[*start])
		from++;
	*end = from;
	return *start < pages;
}

/* Each mapping is one run of the model, each run one mapping. */
static void expect_mappings(struct hf_mm *mm, const uint8_t *page, size_t pages)
{
	struct hf_vma_info vma = { .end = 0 };
	struct hf_mm_stats stats;
	uint64_t count = 0, mapped = 0;
	size_t start, end = 0;

	while (next_run(page, pages, end, &start, &end)) {
		OK(hf_vma_next(mm, vma.end, &vma));
		SAME(vma.start, LO + start * PAGE);
		SAME(vma.end, LO + end * PAGE);
		SAME(kind_of(&vma), page[start]);
		mapped += vma.end - vma.start;
		count++;
	}
	GIVES(HF_ERR_UNMAPPED, hf_vma_next(mm, vma.end, &vma));
	hf_mm_stats(mm, &stats);
	SAME(stats.vmas, count);
	SAME(stats.mapped_bytes, mapped);
}

static void expect_model(struct world *w)
{
	expect_mappings(w->mm, w->page, w->pages);
	CHECK(&w->m->phys);
}

static void map_pages(struct world *w, size_t first, size_t count, unsigned prot)
{
	hf_va va = LO + first * PAGE;

	OK(hf_mmap(w->mm, &va, count * PAGE, prot, HF_MAP_FIXED));
	memset(w->page + first, (int)(MAPPED | prot), count);
}

static void unmap_pages(struct world *w, size_t first, size_t count)
{
	OK(hf_munmap(w->mm, LO + first * PAGE, count * PAGE));
	memset(w->page + first, 0, count);
}

/* 0 .. count-1 in an order that the seed gives. */
static size_t *shuffled(size_t count, uint64_t seed)
{
	size_t *order = calloc(count, sizeof(*order));

	for (size_t i = 0; i < count; i++) {
		size_t j = next_random(&seed) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

/* ---- Many ---- */

/* Of every second page, in random order. */
static void map_many(struct world *w, uint64_t seed)
{
	size_t *order = shuffled(MANY, seed);

	for (size_t i = 0; i < MANY; i++) {
		map_pages(w, 2 * order[i], 1, RW);
		if (i % (MANY / 4) == MANY / 8)
			expect_model(w);
	}
	expect_model(w);
	free(order);
}

static void many_mappings_come_and_go(void **state)
{
	struct world *w = world_new(2 * MANY);
	size_t *order = shuffled(MANY, 2);
	uint64_t empty = free_bytes(w->m);

	(void)state;
	map_many(w, 1);
	/* 32 bytes a mapping, in nodes that are at least half full. */
	assert_true(empty - free_bytes(w->m) <= MANY * 32 * 5 / 2);
	for (size_t i = 0; i < MANY; i++) {
		unmap_pages(w, 2 * order[i], 1);
		if (i % (MANY / 4) == MANY / 8)
			expect_model(w);
	}
	expect_model(w);
	SAME(free_bytes(w->m), empty);
	free(order);
	world_end(w);
}

/* Of which few stay: nodes that have become nearly empty are joined. */
static void few_that_stay_take_little_memory(void **state)
{
	struct world *w = world_new(2 * MANY);
	size_t *order = shuffled(MANY, 9), stay = MANY / 20;
	uint64_t empty = free_bytes(w->m);

	(void)state;
	map_many(w, 10);
	for (size_t i = stay; i < MANY; i++)
		unmap_pages(w, 2 * order[i], 1);
	expect_model(w);
	assert_true(empty - free_bytes(w->m) <= stay * 32 * 4);
	free(order);
	world_end(w);
}

static void in_rising_and_falling_order(void **state)
{
	struct world *w = world_new(2 * MANY);

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		map_pages(w, 2 * i, 1, RW);
	expect_model(w);
	for (size_t i = MANY; i--;)
		unmap_pages(w, 2 * i, 1);
	expect_model(w);
	for (size_t i = MANY; i--;)
		map_pages(w, 2 * i, 1, RW);
	expect_model(w);
	for (size_t i = 0; i < MANY; i++)
		unmap_pages(w, 2 * i, 1);
	expect_model(w);
	world_end(w);
}

/*
 * While the tree grows to three levels and shrinks again, each call is tried with each of its
 * allocations failing first. It leaves no node behind, and the mappings as they were.
 */
static void failed_calls_leave_no_node_behind(void **state)
{
	const size_t count = 9000;
	struct world *w = world_new(2 * count);
	unsigned failures = 0;

	(void)state;
	for (size_t i = 0; i < 2 * count; i++) {
		hf_va va = LO + 2 * (i % count) * PAGE;
		uint64_t before = free_bytes(w->m);
		enum hf_status status = HF_ERR_NOMEM;

		for (uint64_t n = 1; status != HF_OK; n++) {
			hf_phys_fail_after(&w->m->phys, n);
			status = i < count ? hf_mmap(w->mm, &va, PAGE, RW, HF_MAP_FIXED)
					   : hf_munmap(w->mm, va, PAGE);
			hf_phys_fail_after(&w->m->phys, 0);
			if (status == HF_OK)
				break;
			assert_true(i < count); /* what gives back does not fail */
			SAME(status, HF_ERR_NOMEM);
			SAME(free_bytes(w->m), before);
			failures++;
			if (i % 1000 == 0)
				expect_model(w);
		}
		w->page[2 * (i % count)] = i < count ? MAPPED | RW : 0;
	}
	assert_true(failures > count);
	expect_model(w);
	world_end(w);
}

/* With every gap that is filled three become one, until a single one is left. */
static void filling_gaps_merges(void **state)
{
	struct world *w = world_new(2 * MANY);
	size_t *order = shuffled(MANY, 3);
	struct hf_mm_stats stats;

	(void)state;
	map_many(w, 4);
	for (size_t i = 0; i < MANY; i++) {
		map_pages(w, 2 * order[i] + 1, 1, RW);
		if (i % (MANY / 4) == MANY / 8)
			expect_model(w);
	}
	expect_model(w);
	hf_mm_stats(w->mm, &stats);
	SAME(stats.vmas, 1);
	unmap_pages(w, 0, w->pages);
	expect_model(w);
	free(order);
	world_end(w);
}

static void one_call_unmaps_many(void **state)
{
	struct world *w = world_new(2 * MANY);

	(void)state;
	map_many(w, 5);
	unmap_pages(w, 1001, MANY);
	expect_model(w);
	map_pages(w, 501, MANY + 1000, RO); /* over a gap of one mapping's size and over many */
	expect_model(w);
	world_end(w);
}

/* ---- Merging ---- */

/* All that a mapping can be. Two that are not alike stay two; made alike they are one. */
static void only_like_neighbours_merge(void **state)
{
	static const struct {
		enum hf_advice set, undo;
		uint8_t kind;
	} advice[] = {
		{ HF_ADV_HUGEPAGE, HF_ADV_NOHUGEPAGE, HUGE },
		{ HF_ADV_HUGEPAGE_1G, HF_ADV_NOHUGEPAGE, HUGE | HUGE_1G },
		{ HF_ADV_DONTFORK, HF_ADV_DOFORK, DONTFORK },
		{ HF_ADV_WIPEONFORK, HF_ADV_KEEPONFORK, WIPE },
	};
	struct world *w = world_new(64);

	(void)state;
	map_pages(w, 10, 20, RW);
	for (size_t i = 0; i < COUNT(advice); i++) {
		OK(hf_madvise(w->mm, LO + 15 * PAGE, 5 * PAGE, advice[i].set));
		memset(w->page + 15, MAPPED | RW | advice[i].kind, 5);
		expect_model(w);
		map_pages(w, 30, 5, RW); /* joins on the right */
		expect_model(w);
		OK(hf_madvise(w->mm, LO + 15 * PAGE, 5 * PAGE, advice[i].undo));
		memset(w->page + 15, MAPPED | RW, 5);
		expect_model(w);
		unmap_pages(w, 30, 5);
	}
	for (unsigned prot = 0; prot <= PROT; prot++) {
		OK(hf_mprotect(w->mm, LO + 15 * PAGE, 5 * PAGE, prot));
		memset(w->page + 15, (int)(MAPPED | prot), 5);
		expect_model(w);
		OK(hf_mprotect(w->mm, LO + 15 * PAGE, 5 * PAGE, RW));
		memset(w->page + 15, MAPPED | RW, 5);
		expect_model(w);
	}
	world_end(w);
}

/* hf_vma_next finds the mapping around an address, or the one behind it. */
static void next_is_the_first_that_ends_above(void **state)
{
	struct world *w = world_new(64);
	struct hf_vma_info vma;

	(void)state;
	GIVES(HF_ERR_UNMAPPED, hf_vma_next(w->mm, 0, &vma));
	map_pages(w, 10, 2, RW);
	map_pages(w, 20, 2, RW);
	for (size_t i = 0; i < 22; i++) {
		OK(hf_vma_next(w->mm, LO + i * PAGE + 1, &vma));
		SAME(vma.start, LO + (i < 12 ? 10 : 20) * PAGE);
	}
	GIVES(HF_ERR_UNMAPPED, hf_vma_next(w->mm, LO + 22 * PAGE, &vma));
	GIVES(HF_ERR_UNMAPPED, hf_vma_next(w->mm, UINT64_MAX, &vma));
	world_end(w);
}

/* ---- Random edits ---- */

static bool all_mapped(const struct world *w, size_t first, size_t count)
{
	return !memchr(w->page + first, 0, count);
}

/* One madvise; a hole in the range makes it fail, and then nothing has changed. */
static void advise_pages(struct world *w, size_t first, size_t count)
{
	static const struct {
		enum hf_advice advice;
		uint8_t clear, set;
	} all[] = {
		{ HF_ADV_HUGEPAGE, HUGE_1G, HUGE },	  { HF_ADV_HUGEPAGE_1G, 0, HUGE | HUGE_1G },
		{ HF_ADV_NOHUGEPAGE, HUGE | HUGE_1G, 0 }, { HF_ADV_DONTFORK, 0, DONTFORK },
		{ HF_ADV_DOFORK, DONTFORK, 0 },		  { HF_ADV_WIPEONFORK, 0, WIPE },
		{ HF_ADV_KEEPONFORK, WIPE, 0 },		  { HF_ADV_DONTNEED, 0, 0 },
	};
	size_t kind = next_random(&w->seed) % COUNT(all);
	bool whole = all_mapped(w, first, count);

	GIVES(whole ? HF_OK : HF_ERR_UNMAPPED,
	      hf_madvise(w->mm, LO + first * PAGE, count * PAGE, all[kind].advice));
	for (size_t i = first; whole && i < first + count; i++)
		w->page[i] = (uint8_t)((w->page[i] & ~all[kind].clear) | all[kind].set);
}

static void protect_pages(struct world *w, size_t first, size_t count)
{
	unsigned prot = (unsigned)(next_random(&w->seed) % (PROT + 1));
	bool whole = all_mapped(w, first, count);

	GIVES(whole ? HF_OK : HF_ERR_UNMAPPED,
	      hf_mprotect(w->mm, LO + first * PAGE, count * PAGE, prot));
	for (size_t i = first; whole && i < first + count; i++)
		w->page[i] = (uint8_t)((w->page[i] & ~PROT) | prot);
}

static void edit(struct world *w)
{
	size_t first = next_random(&w->seed) % w->pages;
	size_t most = next_random(&w->seed) % 8 ? 8 : w->pages / 4;
	size_t count = 1 + next_random(&w->seed) % most;

	if (count > w->pages - first)
		count = w->pages - first;
	switch (next_random(&w->seed) % 8) {
	case 0:
	case 1:
	case 2:
		map_pages(w, first, count, (unsigned)(next_random(&w->seed) % (PROT + 1)));
		break;
	case 3:
		unmap_pages(w, first, count);
		break;
	case 4:
	case 5:
		protect_pages(w, first, count);
		break;
	default:
		advise_pages(w, first, count);
		break;
	}
}

static void random_edits_agree_with_the_model(void **state)
{
	struct world *w = world_new(5000);

	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		edit(w);
		if (i % 500 == 0)
			expect_model(w);
	}
	expect_model(w);
	world_end(w);
}

/* ---- Where the core puts a mapping ---- */

/* The highest run of free pages whose start is aligned, looked for page by page; or NONE. */
#define NONE SIZE_MAX
static size_t highest_gap(const struct world *w, size_t count, uint64_t align)
{
	size_t run = 0;

	for (size_t p = w->pages; p--;) {
		run = w->page[p] ? 0 : run + 1;
		if (run >= count && (LO + p * PAGE) % align == 0)
			return p;
	}
	return NONE;
}

static size_t best_place(const struct world *w, size_t count)
{
	static const uint64_t aligns[] = { GIB, PMD_SIZE, PAGE };
	size_t place = NONE;

	for (size_t i = 0; i < COUNT(aligns) && place == NONE; i++)
		if (count * PAGE >= aligns[i])
			place = highest_gap(w, count, aligns[i]);
	return place;
}

static void place(struct world *w, size_t count)
{
	size_t want = best_place(w, count);
	hf_va va = 0;

	if (want == NONE) {
		GIVES(HF_ERR_NOSPACE, hf_mmap(w->mm, &va, count * PAGE, RW, 0));
		SAME(va, 0);
		return;
	}
	OK(hf_mmap(w->mm, &va, count * PAGE, RW, 0));
	SAME(va, LO + want * PAGE);
	memset(w->page + want, MAPPED | RW, count);
}

static size_t some_length(struct world *w)
{
	static const size_t most[] = { 4, 4, 600, 600, 2000, 300000 };

	return 1 + next_random(&w->seed) % most[next_random(&w->seed) % COUNT(most)];
}

static void gaps_are_found_as_by_brute_force(void **state)
{
	struct world *w = world_new(3 * GIB / PAGE + 3);
	unsigned none = 0;

	(void)state;
	for (unsigned i = 0; i < 1500; i++) {
		size_t count = some_length(w);
		size_t first = next_random(&w->seed) % (w->pages - count);

		none += best_place(w, count) == NONE;
		place(w, count);
		if (i % 3 == 0)
			unmap_pages(w, first, count);
		if (i % 100 == 0)
			expect_model(w);
	}
	assert_in_range(none, 1, 1400); /* both outcomes have been seen */
	world_end(w);
}

/* Among many mappings, each a page behind the other, some gaps of a few pages more. */
static void gaps_are_found_among_many(void **state)
{
	struct world *w = world_new(2 * MANY);

	(void)state;
	map_many(w, 11);
	for (unsigned i = 0; i < 400; i++) {
		size_t most = 1 + next_random(&w->seed) % 3;

		unmap_pages(w, 2 * (next_random(&w->seed) % (MANY - most)), 2 * most);
		place(w, 1 + next_random(&w->seed) % 8);
	}
	expect_model(w);
	world_end(w);
}

/* A full space has room for nothing, and where something goes there is room again. */
static void the_last_gap_is_found(void **state)
{
	struct world *w = world_new(1000);
	hf_va va = 0;

	(void)state;
	place(w, 1000);
	place(w, 1);
	for (unsigned i = 0; i < 100; i++) {
		size_t first = next_random(&w->seed) % 990;

		unmap_pages(w, first, 7);
		GIVES(HF_ERR_NOSPACE, hf_mmap(w->mm, &va, 8 * PAGE, RW, 0));
		place(w, 3);
		place(w, 4);
		place(w, 1);
		expect_model(w);
	}
	world_end(w);
}

/* A hint is taken where it is free, rounded down, and otherwise as good as none. */
static void hints(void **state)
{
	struct world *w = world_new(1000);

	(void)state;
	map_pages(w, 500, 10, RO);
	for (unsigned i = 0; i < 2000; i++) {
		size_t count = 1 + next_random(&w->seed) % 8, want;
		size_t hint = next_random(&w->seed) % (w->pages + 20);
		hf_va va = LO + hint * PAGE + next_random(&w->seed) % PAGE;

		want = best_place(w, count);
		if (hint + count <= w->pages) {
			size_t used = 0;

			for (size_t p = hint; p < hint + count; p++)
				used += w->page[p] != 0;
			want = used ? want : hint;
		}
		OK(hf_mmap(w->mm, &va, count * PAGE, RW, 0));
		SAME(va, LO + want * PAGE);
		memset(w->page + want, MAPPED | RW, count);
		unmap_pages(w, next_random(&w->seed) % 990, 10);
	}
	expect_model(w);
	world_end(w);
}

/* ---- Fork ---- */

/* One page, whatever is mapped: the root table. And a page or so for each node that is edited. */
static void fork_shares_the_tree(void **state)
{
	struct world *w = world_new(2 * MANY);
	uint64_t before, alone;
	struct hf_mm *child;
	hf_va va = LO + MANY * PAGE + PAGE;

	(void)state;
	map_many(w, 6);
	before = free_bytes(w->m);
	child = space_fork(w->mm, HF_FORK_COPY);
	SAME(before - free_bytes(w->m), PAGE);
	expect_mappings(child, w->page, w->pages);
	alone = free_bytes(w->m);
	OK(hf_mmap(child, &va, PAGE, RO, HF_MAP_FIXED));
	assert_in_range(alone - free_bytes(w->m), 2 * PAGE, 4 * PAGE); /* a path, not a tree */
	expect_model(w);
	space_end(child);
	SAME(free_bytes(w->m), before);
	expect_model(w);
	world_end(w);
}

/* Parent, child and grandchild are edited at random; each is what its own edits made it. */
static void edits_do_not_show_in_relatives(void **state)
{
	struct world *w[3] = { world_new(2 * MANY) };
	uint64_t before;

	(void)state;
	map_many(w[0], 7);
	before = free_bytes(w[0]->m);
	for (unsigned i = 1; i < 3; i++) {
		w[i] = calloc(1, sizeof(*w[i]));
		*w[i] = *w[i - 1];
		w[i]->seed += i;
		w[i]->mm = space_fork(w[i - 1]->mm, HF_FORK_COPY);
		w[i]->page = malloc(w[i]->pages);
		memcpy(w[i]->page, w[i - 1]->page, w[i]->pages);
	}
	for (unsigned i = 0; i < 3000; i++) {
		edit(w[i % 3]);
		if (i % 500 == 0)
			for (unsigned j = 0; j < 3; j++)
				expect_model(w[j]);
	}
	space_end(w[1]->mm); /* the one in the middle first */
	expect_model(w[0]);
	expect_model(w[2]);
	space_end(w[2]->mm);
	expect_model(w[0]);
	unmap_pages(w[0], 0, w[0]->pages);
	assert_true(free_bytes(w[0]->m) > before);
	for (unsigned i = 1; i < 3; i++) {
		free(w[i]->page);
		free(w[i]);
	}
	world_end(w[0]);
}

/* What a child does not inherit is not in its tree; the rest it shares. */
static void dontfork_mappings_are_not_in_the_childs_tree(void **state)
{
	struct world *w = world_new(2 * MANY);
	uint8_t *page = calloc(1, w->pages);
	struct hf_mm *child;

	(void)state;
	map_many(w, 8);
	memcpy(page, w->page, w->pages);
	for (size_t i = 0; i < MANY; i += 1000) {
		OK(hf_madvise(w->mm, LO + 2 * i * PAGE, PAGE, HF_ADV_DONTFORK));
		w->page[2 * i] |= DONTFORK;
		page[2 * i] = 0;
	}
	child = space_fork(w->mm, HF_FORK_COPY);
	expect_mappings(child, page, w->pages);
	expect_model(w);
	space_end(child);
	free(page);
	world_end(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_mappings_come_and_go),
		cmocka_unit_test(few_that_stay_take_little_memory),
		cmocka_unit_test(in_rising_and_falling_order),
		cmocka_unit_test(failed_calls_leave_no_node_behind),
		cmocka_unit_test(filling_gaps_merges),
		cmocka_unit_test(one_call_unmaps_many),
		cmocka_unit_test(only_like_neighbours_merge),
		cmocka_unit_test(next_is_the_first_that_ends_above),
		cmocka_unit_test(random_edits_agree_with_the_model),
		cmocka_unit_test(gaps_are_found_as_by_brute_force),
		cmocka_unit_test(gaps_are_found_among_many),
		cmocka_unit_test(the_last_gap_is_found),
		cmocka_unit_test(hints),
		cmocka_unit_test(fork_shares_the_tree),
		cmocka_unit_test(edits_do_not_show_in_relatives),
		cmocka_unit_test(dontfork_mappings_are_not_in_the_childs_tree),
	};

	return RUN(tests, argc, argv);
}
