/* SPDX-License-Identifier: MIT */
/* What goes wrong when small pages become a huge one. */
#include "bugs.h"

/* pin-races-collapse, as far as one thread can tell: the device's page may not be moved away. */
static void pin_races_collapse(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 512, 1), at = va + 77 * PAGE;
	hf_pa pa = hold(s, at, HF_PIN_WRITE), whole;

	GIVES(HF_ERR_AGAIN, hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	coherent(s, at, pa);
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED)); /* now it would have to be copied */
	GIVES(HF_ERR_AGAIN, hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	coherent(s, at, pa);
	let_go(m, pa);
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	whole = hold(s, at, HF_PIN_WRITE);
	coherent(s, at, whole);
	let_go(m, whole);
}

/* exclusive-lost: pages that lie together are still the other side's, too. */
static void exclusive_lost_by_collapse(void **state)
{
	for (int own = 0; own < 2; own++) {
		struct machine *m = *state;
		struct space *s = space_new(m), *child;
		hf_va va = map_filled(s, HF_LEVEL_PTE, 512, 1);

		child = bare_fork(s, HF_FORK_COPY);
		if (own) /* tables of its own over the same pages, all but one of them shared */
			put(s, va + 5 * PAGE, stamp(1, va + 5 * PAGE));
		OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
		put(s, va, 666);
		put(s, va + 9 * PAGE, 667);
		SAME(get(child, va), stamp(1, va));
		SAME(get(child, va + 9 * PAGE), stamp(1, va + 9 * PAGE));
		put(child, va + PAGE, 668);
		SAME(get(s, va + PAGE), stamp(1, va + PAGE));
		CHECK(m);
		space_end(child);
		space_end(s);
	}
}

struct seen {
	bool accessed, dirty;
	unsigned access;
};

static bool see(void *arg, const struct hf_run *run)
{
	struct seen *seen = arg;

	seen->accessed |= run->accessed;
	seen->dirty |= run->dirty;
	seen->access |= run->access;
	return true;
}

static struct seen seen_at(struct space *s, hf_va va, uint64_t len)
{
	struct seen seen = { 0 };

	OK(hf_mm_visit(s->mm, va, len, see, &seen));
	return seen;
}

/* split-loses-dirty-or-prot, the other way round: one dirty part makes the whole dirty. */
static void collapse_loses_dirty_or_prot(void **state)
{
	static const unsigned prots[] = { RO, RW, RO | HF_PROT_EXEC };

	for (size_t i = 0; i < 3; i++) {
		struct machine *m = *state;
		struct space *s = space_new(m);
		hf_va va = map_filled(s, HF_LEVEL_PTE, 512, 1);
		struct seen before, after;

		OK(hf_mprotect(s->mm, va, PMD_SIZE, prots[i]));
		before = seen_at(s, va, PMD_SIZE);
		assert_true(before.dirty && before.accessed);
		OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
		SAME(level_of(s, va), HF_LEVEL_PMD);
		after = seen_at(s, va, PMD_SIZE);
		assert_true(after.dirty && after.accessed);
		SAME(after.access & ~(unsigned)HF_ACCESS_WRITE,
		     before.access & ~(unsigned)HF_ACCESS_WRITE);
		SAME(may_store(s, va + 5 * PAGE), (prots[i] & HF_PROT_WRITE) != 0);
		CHECK(m);
		space_end(s);
	}
}

/* stale-writable-tlb: nobody goes on writing to a page that has been copied away. */
static void stale_tlb_after_collapse(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 512, 1), at = va + 3 * PAGE;
	uint64_t word = 0;

	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED)); /* so that the others are copied */
	put(s, at, 1);
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	put(s, at, 2);
	OK(hf_read(s->mm, at, &word, sizeof(word)));
	SAME(word, 2);
	CHECK(m);
}

static const struct CMUnitTest tests[] = {
	TEST(pin_races_collapse),
	TEST(exclusive_lost_by_collapse),
	TEST(collapse_loses_dirty_or_prot),
	TEST(stale_tlb_after_collapse),
};
SUITE(bugs_collapse, tests);
