/* SPDX-License-Identifier: MIT */
/* Locks, the heap and stacks: what can fail is a node, a table, or a page that is made present. */
#include "fault.h"

static void set_filled(struct scene *sc)
{
	const struct scenario *with = sc->with;

	scene_space(sc);
	scene_map(sc, with->va, with->level, with->len);
	scene_stamp(sc, with->va, with->to, STAYS, STAYS);
	share_if_told(sc);
}

/* The rest of the memory was never touched. */
static enum hf_status call_mlock(struct scene *sc)
{
	const struct scenario *with = sc->with;

	return hf_mlock(sc->s->mm, with->va + with->from, with->len - with->from, 0);
}

static void expect_locked(struct scene *sc)
{
	const struct scenario *with = sc->with;
	struct hf_vma_info v;

	OK(hf_vma_next(sc->s->mm, with->va + with->from, &v));
	assert_true(v.locked);
	SAME(v.start, with->va + with->from);
	for (uint64_t at = with->from; at < with->len; at += PAGE)
		assert_true(access_of(sc->s, with->va + at) & HF_ACCESS_WRITE);
}

static void mlock_of_a_part(void **state)
{
	struct scenario scenario = { .name = "mlock",
				     .set = set_filled,
				     .call = call_mlock,
				     .after = expect_locked,
				     .keeps = STATE_VISIBLE,
				     .va = TARGET + PMD_SIZE - 4 * PAGE,
				     .len = 12 * PAGE,
				     .from = 2 * PAGE,
				     .to = 6 * PAGE };

	at_every_allocation(state, &scenario);
	scenario.shared = true;
	at_every_allocation(state, &scenario);
	scenario.child_acts = true;
	at_every_allocation(state, &scenario);
}

/* A child's first lock clears the flags that it has of its parent's locks. */
static void set_locked(struct scene *sc)
{
	const struct scenario *with = sc->with;

	set_filled(sc);
	for (uint64_t at = 0; at < with->to; at += 2 * PAGE)
		OK(hf_mlock(sc->s->mm, with->va + at, PAGE, 0));
	share_with_child(sc);
}

static enum hf_status call_lock_future(struct scene *sc)
{
	return hf_lock_future(sc->s->mm, HF_LOCK_FUTURE_ON);
}

static void first_lock_of_a_child(void **state)
{
	struct scenario scenario = { .name = "a child's first lock",
				     .set = set_locked,
				     .call = call_lock_future,
				     .keeps = STATE_ALL,
				     .va = TARGET,
				     .len = 8 * PAGE,
				     .to = 8 * PAGE,
				     .child_acts = true };

	at_every_allocation(state, &scenario);
}

/* The heap is the memory of the scene, and gets another end. */
static void set_heap(struct scene *sc)
{
	const struct scenario *with = sc->with;
	uint64_t stays = with->count * PAGE;
	hf_va now;

	scene_space(sc);
	OK(hf_brk_start(sc->s->mm, with->va));
	OK(hf_brk(sc->s->mm, with->va + with->len, &now));
	OK(hf_madvise(sc->s->mm, with->va, with->len, HF_ADV_HUGEPAGE));
	if (stays < with->len) {
		scene_stamp(sc, with->va, stays, STAYS, STAYS);
		scene_stamp(sc, with->va + stays, with->len - stays, GONE, STAYS);
	} else {
		scene_stamp(sc, with->va, with->len, STAYS, STAYS);
		scene_expect(sc, with->va + with->len, stays - with->len, ZEROED, GONE);
	}
	share_if_told(sc);
}

static enum hf_status call_brk(struct scene *sc)
{
	hf_va now, before;
	enum hf_status st;

	hf_brk(sc->s->mm, 0, &before);
	st = hf_brk(sc->s->mm, sc->with->va + sc->with->count * PAGE, &now);
	SAME(now, st ? before : sc->with->va + sc->with->count * PAGE);
	return st;
}

static void brk_grows_and_shrinks(void **state)
{
	struct scenario scenario = {
		.set = set_heap, .call = call_brk, .keeps = STATE_ALL, .va = TARGET, .len = PMD_SIZE
	};

	for (unsigned shared = 0; shared < 2; shared++) {
		scenario.shared = shared;
		scenario.name = "brk, down";
		scenario.count = 9;
		scenario.gives = true;
		at_every_allocation(state, &scenario);
		scenario.name = "brk, up";
		scenario.count = HF_TABLE_ENTRIES + 9;
		scenario.gives = false;
		at_every_allocation(state, &scenario);
	}
}

/* A stack that has grown stays so, even if there is no page for what was touched. */
static void set_stack(struct scene *sc)
{
	hf_va va = sc->with->va;

	scene_space(sc);
	OK(hf_mmap(sc->s->mm, &va, sc->with->len, RW, HF_MAP_FIXED | HF_MAP_GROWSDOWN));
	scene_stamp(sc, va, sc->with->len, STAYS, STAYS);
	scene_expect(sc, va - 3 * PAGE, 3 * PAGE, ZEROED, ZEROED);
	share_if_told(sc);
}

static enum hf_status call_touch(struct scene *sc)
{
	return hf_fault(sc->s->mm, sc->with->va - 3 * PAGE, HF_ACCESS_WRITE, NULL);
}

static void stack_grows(void **state)
{
	struct scenario scenario = { .name = "a stack grows",
				     .set = set_stack,
				     .call = call_touch,
				     .va = TARGET + PMD_SIZE,
				     .len = 4 * PAGE };

	at_every_allocation(state, &scenario);
	scenario.shared = true;
	at_every_allocation(state, &scenario);
}

static const struct CMUnitTest tests[] = {
	FAULT_TEST(mlock_of_a_part),
	FAULT_TEST(first_lock_of_a_child),
	FAULT_TEST(brk_grows_and_shrinks),
	FAULT_TEST(stack_grows),
};
SUITE(suite_fault_edits, tests);
