/* SPDX-License-Identifier: MIT */
/*
 * No call holds phys->lock for long, however much memory it is about. The core is compiled into
 * this program with a counter of what is done in one hold.
 */
#include "unit.h"

#include <lib/work.h>

#include <stdlib.h>

uint64_t hf_work_now, hf_work_most;

/*
 * A batch is 512 entries; letting go of one may join blocks of 18 orders, with up to three
 * descriptors each. What is not done in batches looks at more than one for each of PAGES.
 */
#define MOST ((uint64_t)512 * 18 * 3)
#define PAGES 32768
#define LEN (PAGES * PAGE)
#define RAM (4 * LEN)

#define BOUNDED(what)                                                                              \
	do {                                                                                       \
		hf_work_most = 0;                                                                  \
		what;                                                                              \
		if (hf_work_most > MOST)                                                           \
			fail_msg("%s: %llu in one hold", #what, (unsigned long long)hf_work_most); \
	} while (0)

static void take(void *host, hf_pa pa, uint64_t len)
{
	(void)host;
	(void)pa;
	(void)len;
}

struct rig {
	struct hf_port port;
	struct memory *m;
	struct hf_mm *mm;
	hf_va va;
};

/* Small pages, all written. */
static struct rig rig_new(void)
{
	struct rig r = { .port = quiet_port };

	r.port.discard = take;
	return r;
}

static void rig_fill(struct rig *r)
{
	r->m = memory_of(RAM, &r->port, NULL);
	r->mm = space_new(r->m);
	r->va = map(r->mm, LEN);
	for (uint64_t i = 0; i < PAGES; i++)
		put(r->mm, r->va + i * PAGE, i);
}

static bool go_on(void *arg, const struct hf_run *run)
{
	(void)arg;
	(void)run;
	return true;
}

static void reports(void **state)
{
	struct rig r = rig_new();
	struct hf_mm_stats stats;
	struct hf_phys_stats phys;
	struct hf_smaps smaps;
	struct hf_fork_cost cost;

	(void)state;
	rig_fill(&r);
	BOUNDED(hf_mm_stats(r.mm, &stats));
	SAME(stats.leaves[0], PAGES);
	BOUNDED(OK(hf_mm_smaps(r.mm, r.va, &smaps)));
	SAME(smaps.resident, LEN);
	BOUNDED(OK(hf_mm_visit(r.mm, r.va, LEN, go_on, NULL)));
	BOUNDED(hf_phys_stats(&r.m->phys, &phys));
	BOUNDED(OK(hf_fork_forecast(r.mm, HF_FORK_COPY, &cost, NULL, 0, NULL)));
	space_end(r.mm);
	memory_end(r.m);
}

/* Each page is pinned, so fork has to look at each and copy it. */
static void fork_of_what_is_pinned(void **state)
{
	struct rig r = rig_new();
	struct hf_fork_cost cost;
	struct hf_mm *child;
	struct hf_span span;
	size_t count;

	(void)state;
	rig_fill(&r);
	OK(hf_pin(r.mm, r.va, LEN, HF_PIN_WRITE, &span, 1, &count));
	BOUNDED(OK(hf_fork_forecast(r.mm, HF_FORK_COPY, &cost, NULL, 0, NULL)));
	SAME(cost.small, PAGES);
	BOUNDED(child = space_fork(r.mm, HF_FORK_COPY));
	OK(hf_unpin(&r.m->phys, &span, 1));
	BOUNDED(space_end(child));
	BOUNDED(space_end(r.mm));
	memory_end(r.m);
}

/* Good lists, and one that turns out to be none at its last page. */
static void a_long_list_is_unpinned(void **state)
{
	struct rig r = rig_new();
	struct hf_span spans[2];
	size_t count;

	(void)state;
	rig_fill(&r);
	OK(hf_pin(r.mm, r.va, LEN, HF_PIN_WRITE, spans, 1, &count));
	spans[1] = (struct hf_span){ spans[0].pa, PAGE };
	BOUNDED(SAME(hf_unpin(&r.m->phys, spans, 2), HF_ERR_NOT_PINNED));
	BOUNDED(OK(hf_unpin(&r.m->phys, spans, 1)));
	SAME(hf_unpin(&r.m->phys, spans, 1), HF_ERR_NOT_PINNED);
	CHECK(&r.m->phys);
	space_end(r.mm);
	memory_end(r.m);
}

/* Of huge pages that were pinned whole, single frames: each page's pin becomes 512. */
static void pins_of_huge_pages_are_broken(void **state)
{
	struct rig r = rig_new();
	enum {
		HUGE = 64
	};
	struct hf_span spans[HUGE], ones[HUGE];
	size_t count;
	hf_va va;

	(void)state;
	r.m = memory_of(RAM, &r.port, NULL);
	r.mm = space_new(r.m);
	va = map_huge(r.mm, HUGE);
	OK(hf_pin(r.mm, va, HUGE * 512 * PAGE, HF_PIN_WRITE, spans, HUGE, &count));
	for (unsigned i = 0; i < HUGE; i++)
		ones[i] = (struct hf_span){ { spans[0].pa.v + i * 512 * PAGE }, PAGE };
	SAME(count, 1);
	BOUNDED(OK(hf_unpin(&r.m->phys, ones, HUGE)));
	CHECK(&r.m->phys);
	for (unsigned i = 0; i < HUGE; i++)
		ones[i] = (struct hf_span){ { spans[0].pa.v + (i * 512 + 1) * PAGE }, 511 * PAGE };
	BOUNDED(OK(hf_unpin(&r.m->phys, ones, HUGE)));
	CHECK(&r.m->phys);
	space_end(r.mm);
	memory_end(r.m);
}

static void giving_back(void **state)
{
	struct rig r = rig_new();

	(void)state;
	rig_fill(&r);
	BOUNDED(OK(hf_madvise(r.mm, r.va, LEN / 2, HF_ADV_DONTNEED)));
	BOUNDED(OK(hf_munmap(r.mm, r.va, 3 * LEN / 4)));
	BOUNDED(hf_phys_trim(&r.m->phys, 0));
	BOUNDED(space_end(r.mm));
	BOUNDED(hf_phys_trim(&r.m->phys, 9));
	BOUNDED(memory_end(r.m));
}

/* 2 MiB pages of which single ones are pinned: each frame of them is looked at when they go. */
static void huge_pages_that_are_held_in_parts(void **state)
{
	struct rig r = rig_new();
	enum {
		HUGE = 64
	};
	struct hf_span span[HUGE];
	size_t count;
	hf_va va;

	(void)state;
	r.m = memory_of(RAM, &r.port, NULL);
	r.mm = space_new(r.m);
	va = map_huge(r.mm, HUGE);
	for (unsigned i = 0; i < HUGE; i++)
		OK(hf_pin(r.mm, va + i * 512 * PAGE, PAGE, HF_PIN_WRITE, &span[i], 1, &count));
	BOUNDED(space_end(r.mm));
	OK(hf_unpin(&r.m->phys, span, HUGE));
	memory_end(r.m);
}

static void objects(void **state)
{
	struct rig r = rig_new();
	struct hf_object_config config = { .size = LEN };
	struct hf_object_stats stats;
	struct hf_object *o;
	uint64_t word = 1;

	(void)state;
	r.m = memory_of(RAM, &r.port, NULL);
	OK(hf_object_create(&r.m->phys, &config, &o));
	for (uint64_t i = 0; i < PAGES; i++)
		OK(hf_object_write(o, i * PAGE, &word, sizeof(word)));
	hf_object_stats(o, &stats);
	SAME(stats.pages[HF_LEVEL_PTE], PAGES);
	BOUNDED(OK(hf_object_truncate(o, LEN / 2)));
	hf_object_stats(o, &stats);
	SAME(stats.pages[HF_LEVEL_PTE], PAGES / 2);
	SAME(stats.size, LEN / 2);
	BOUNDED(OK(hf_object_put(o)));
	memory_end(r.m);
}

static bool transfer(void *host, uint64_t slot, void *page)
{
	(void)host;
	(void)slot;
	(void)page;
	return true;
}

static bool transfer_out(void *host, uint64_t slot, const void *page)
{
	(void)host;
	(void)slot;
	(void)page;
	return true;
}

static void a_large_store(void **state)
{
	struct rig r = rig_new();
	struct hf_store store = { .slots = 1 << 20, .read = transfer, .write = transfer_out };
	uint64_t done;

	(void)state;
	rig_fill(&r);
	store.meta = malloc(hf_store_meta_size(store.slots));
	memset(store.meta, 0xff, hf_store_meta_size(store.slots)); /* it need not be cleared */
	BOUNDED(OK(hf_swap_on(&r.m->phys, &store)));
	CHECK(&r.m->phys);
	for (unsigned i = 0; i < 4; i++)
		BOUNDED(OK(hf_reclaim(&r.m->phys, 1024, &done)));
	CHECK(&r.m->phys);
	BOUNDED(space_end(r.mm));
	BOUNDED(OK(hf_swap_off(&r.m->phys)));
	free(store.meta);
	memory_end(r.m);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports),
		cmocka_unit_test(fork_of_what_is_pinned),
		cmocka_unit_test(giving_back),
		cmocka_unit_test(huge_pages_that_are_held_in_parts),
		cmocka_unit_test(objects),
		cmocka_unit_test(a_large_store),
		cmocka_unit_test(a_long_list_is_unpinned),
		cmocka_unit_test(pins_of_huge_pages_are_broken),
	};

	return RUN(tests, argc, argv);
}
