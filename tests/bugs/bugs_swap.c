/* SPDX-License-Identifier: MIT */
/* Rows about pages that go to the swap store, or may be dropped. */
#include "bugs.h"
#include "disk.h"

static void reclaim_all(struct machine *m)
{
	uint64_t done;

	while (hf_reclaim(m->phys, 1 << 20, &done) == HF_OK)
		;
}

/*
 * Two spaces have a leaf each to a page, both go out, one comes back: it is alone in memory, but
 * not alone. Each writes, in either order, and a device holds it for one of them.
 */
static void exclusive_lost_by_swap(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, 64);

	for (unsigned first = 0; first < 2; first++) {
		struct space *p = space_new(m), *c, *a, *b;
		hf_va va = map_filled(p, HF_LEVEL_PTE, 4, 1);
		hf_pa pa;

		c = bare_fork(p, HF_FORK_COPY);
		put(c, va + 3 * PAGE, 0); /* tables of its own */
		reclaim_all(m);
		a = first ? p : c;
		b = first ? c : p;
		SAME(get(a, va), stamp(1, va));
		put(a, va, 666);
		SAME(get(b, va), stamp(1, va));
		put(b, va, 667);
		SAME(get(a, va), 666);
		get(a, va + PAGE);
		pa = hold(a, va + PAGE, HF_PIN_WRITE);
		dma_put(m, pa, 668);
		SAME(get(b, va + PAGE), stamp(1, va + PAGE));
		put(b, va + PAGE, 669);
		coherent(a, va + PAGE, pa);
		reclaim_all(m);
		coherent(a, va + PAGE, pa);
		let_go(m, pa);
		space_end(b);
		space_end(a);
	}
	disk_off(m, d);
}

/* Freed before or after the device got it: what the device has written stays. */
static void dontneed_under_device_by_free(void **state)
{
	for (unsigned after = 0; after < 2; after++) {
		for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
			struct machine *m = *state;
			struct disk *d = disk_on(m, 1024);
			struct space *s = space_new(m);
			hf_va va = map_filled(s, level, 1, 1);
			hf_pa pa = { 0 };

			if (after)
				pa = hold(s, va, HF_PIN_WRITE);
			OK(hf_madvise(s->mm, va, hf_level_size(level), HF_ADV_FREE));
			if (!after)
				pa = hold(s, va, HF_PIN_WRITE);
			reclaim_all(m);
			if (!after)
				coherent(s, va, pa);
			dma_put(m, pa, 1235);
			SAME(get(s, va), 1235);
			let_go(m, pa);
			reclaim_all(m);
			SAME(get(s, va), 1235);
			CHECK(m);
			space_end(s);
			disk_off(m, d);
		}
	}
}

static const struct CMUnitTest tests[] = {
	TEST(exclusive_lost_by_swap),
	TEST(dontneed_under_device_by_free),
};
SUITE(bugs_swap, tests);
