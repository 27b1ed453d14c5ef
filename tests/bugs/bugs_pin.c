/* SPDX-License-Identifier: MIT */
/* What went wrong between pins and copy-on-write. */
#include "bugs.h"

/*
 * child-keeps-reference: the child takes a reading reference to a shared page and unmaps
 * it; what the parent writes later must not be seen through it.
 */
static void child_keeps_reference(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct machine *m = *state;
		struct space *s = space_new(m), *child;
		hf_va va = map_filled(s, level, 1, 1), at = va + 8;
		hf_pa pa;

		put(s, at, 1234);
		child = bare_fork(s, HF_FORK_COPY);
		pa = hold(child, at, HF_PIN_READ);
		OK(hf_munmap(child->mm, va, hf_level_size(level)));
		put(s, at, 5678); /* a secret of the parent */
		SAME(dma_get(m, pa), 1234);
		CHECK(m);
		let_go(m, pa);
		space_end(child);
		space_end(s);
	}
}

/* read-pin-goes-stale: a reading pin, then the owner writes and moves away from it. */
static void read_pin_goes_stale(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct machine *m = *state;
		struct space *s = space_new(m), *child;
		hf_va va = map_filled(s, level, 1, 1);
		hf_pa pa;

		child = bare_fork(s, HF_FORK_COPY);
		pa = hold(s, va, HF_PIN_READ); /* shared */
		coherent(s, va, pa);
		SAME(get(child, va), stamp(1, va));
		CHECK(m);
		let_go(m, pa);
		space_end(child);
		bare_fork(s, HF_FORK_COPY); /* and shared before, by a child that is gone */
		space_end(m->spaces[1]);
		pa = hold(s, va, HF_PIN_READ);
		coherent(s, va, pa);
		let_go(m, pa);
		space_end(s);
	}
}

static void read_pin_goes_stale_on_the_zero_page(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct machine *m = *state;
		struct space *s = space_new(m);
		hf_va va = map_level(s, level, 2), other = va + hf_level_size(level);
		hf_pa pa, never_touched;

		SAME(get(s, va), 0);
		pa = hold(s, va, HF_PIN_READ);
		never_touched = hold(s, other, HF_PIN_READ);
		coherent(s, va, pa);
		coherent(s, other, never_touched);
		CHECK(m);
		let_go(m, pa);
		let_go(m, never_touched);
		space_end(s);
	}
}

/* refcount-only-reuse: a pin is a reference, too, and must not count against its owner. */
static void refcount_only_reuse(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct machine *m = *state;
		struct space *s = space_new(m);
		hf_va va = map_filled(s, level, 1, 1);
		hf_pa pa = hold(s, va, HF_PIN_WRITE), again = hold(s, va, HF_PIN_READ);

		SAME_PA(pa, again);
		/* write-protected and back: the next write decides anew whether it may reuse */
		OK(hf_mprotect(s->mm, va, hf_level_size(level), RO));
		OK(hf_mprotect(s->mm, va, hf_level_size(level), RW));
		coherent(s, va, pa);
		CHECK(m);
		let_go(m, pa);
		let_go(m, again);
		space_end(s);
	}
}

/* exclusive-lost: through a split by mprotect, and through sharing of the neighbours. */
static void exclusive_lost_by_mprotect(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1), at = va + 20 * PAGE;
	hf_pa pa = hold(s, at, HF_PIN_WRITE);

	OK(hf_mprotect(s->mm, at, PAGE, RO)); /* splits the mapping around the page */
	OK(hf_mprotect(s->mm, at, PAGE, RW));
	coherent(s, at, pa);
	OK(hf_mprotect(s->mm, va, PMD_SIZE, HF_PROT_NONE));
	OK(hf_mprotect(s->mm, va, PMD_SIZE, RW));
	coherent(s, at, pa);
	CHECK(m);
	let_go(m, pa);
}

static void exclusive_lost_by_partial_sharing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1), at = va + 20 * PAGE;
	hf_pa pa = hold(s, at, HF_PIN_WRITE);

	child = bare_fork(s, HF_FORK_SPLIT);
	coherent(s, at, pa);
	put(child, at, 1);	  /* its own copy */
	put(child, at + PAGE, 1); /* one that it shares with the parent */
	coherent(s, at, pa);
	OK(hf_munmap(child->mm, va, PMD_SIZE));
	coherent(s, at, pa);
	CHECK(m);
	let_go(m, pa);
	/* without its pin it is shared like the others */
	child = bare_fork(s, HF_FORK_SPLIT);
	SAME_PA(pa_of(child, at), pa_of(s, at));
	put(s, at, 7);
	SAME(get(child, at), 1002);
	CHECK(m);
}

/* A part of a huge page goes elsewhere: what stays and what goes are as exclusive as before. */
static void exclusive_lost_by_mremap(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1), stays = va + 20 * PAGE;
	hf_va goes = va + 40 * PAGE, to = SPACE_LO + PAGE;
	hf_pa pa[2] = { hold(s, stays, HF_PIN_WRITE), hold(s, goes, HF_PIN_WRITE) };

	OK(hf_mremap(s->mm, goes - PAGE, 3 * PAGE, 3 * PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED,
		     &to));
	coherent(s, stays, pa[0]);
	coherent(s, to + PAGE, pa[1]);
	child = bare_fork(s, HF_FORK_COPY);
	coherent(s, stays, pa[0]);
	coherent(s, to + PAGE, pa[1]);
	SAME(get(child, to + PAGE), 1002);
	/* what the child moves is not its own before it writes */
	to += PAGE;
	OK(hf_mremap(child->mm, va, PAGE, PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED, &to));
	put(child, to, 77);
	SAME(get(s, va), stamp(1, va));
	CHECK(m);
	let_go(m, pa[0]);
	let_go(m, pa[1]);
}

/* dontneed-under-device: the page leaves the space, not the device. */
static void dontneed_under_device(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct machine *m = *state;
		struct space *s = space_new(m);
		hf_va va = map_filled(s, level, 1, 1);
		struct hoard hoard;
		hf_pa pa;

		put(s, va, 1234);
		pa = hold(s, va, HF_PIN_WRITE);
		OK(hf_madvise(s->mm, va, hf_level_size(level), HF_ADV_DONTNEED));
		hoard_all(m, 0, &hoard); /* nobody else may be given the page */
		for (size_t i = 0; i < hoard.count; i++)
			memset(hf_phys_ptr(m->phys, hoard.pages[i]), 0xee, PAGE);
		SAME(dma_get(m, pa), 1234);
		hoard_release(m, &hoard);
		SAME(get(s, va), 0);
		put(s, va, 1);
		SAME(dma_get(m, pa), 1234);
		CHECK(m);
		let_go(m, pa);
		space_end(s);
	}
}

static const struct CMUnitTest tests[] = {
	TEST(child_keeps_reference),
	TEST(read_pin_goes_stale),
	TEST(read_pin_goes_stale_on_the_zero_page),
	TEST(refcount_only_reuse),
	TEST(exclusive_lost_by_mprotect),
	TEST(exclusive_lost_by_partial_sharing),
	TEST(exclusive_lost_by_mremap),
	TEST(dontneed_under_device),
};
SUITE(bugs_pin, tests);
