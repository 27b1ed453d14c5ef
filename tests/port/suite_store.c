/* SPDX-License-Identifier: MIT */
/*
 * A store that takes its time: what others do while it writes or reads. They wait for nothing: the
 * store's own function makes their calls, so a lock that was held would stop the test.
 */
#include "disk.h"

#define SLOTS 4096
#define PAGES 8

/* The pages that are on their way, [va, va + PAGES * PAGE) stamped with 1, and what others did. */
struct stage {
	struct machine *m;
	struct disk *d;
	struct space *s, *child;
	hf_va va;
	struct pin pin;
	uint64_t used; /* slots, in the middle of it */
	uint64_t done; /* frames, by them */
};

static struct hf_swap_stats swap_stats(struct machine *m)
{
	struct hf_swap_stats stats;

	hf_swap_stats(m->phys, &stats);
	return stats;
}

static void put_up(struct stage *g, void **state)
{
	*g = (struct stage){ .m = *state, .d = disk_on(*state, SLOTS), .s = space_new(*state) };
	g->va = map_filled(g->s, HF_LEVEL_PTE, PAGES, 1);
}

static void take_down(struct stage *g)
{
	if (g->child)
		space_end(g->child);
	if (g->s)
		space_end(g->s);
	CHECK(g->m);
	SAME(swap_stats(g->m).used, 0);
	disk_off(g->m, g->d);
}

static void during(struct stage *g, void (*run)(void *g))
{
	g->d->meanwhile = run;
	g->d->arg = g;
}

/* All goes that may, beside `run`. The pages are old: the first visit takes them. */
static uint64_t reclaim_beside(struct stage *g, void (*run)(void *g))
{
	uint64_t done;

	OK(hf_madvise(g->s->mm, g->va, PAGES * PAGE, HF_ADV_COLD));
	during(g, run);
	hf_reclaim(g->m->phys, PAGES, &done);
	assert_null(g->d->meanwhile);
	CHECK(g->m);
	return done;
}

/* Beside writes */

static void writes_to_two(void *arg)
{
	struct stage *g = arg;

	put(g->s, g->va + PAGE, 77);
	put(g->s, g->va + 2 * PAGE, 78);
	SAME(get(g->s, g->va + PAGE), 77);
	g->used = swap_stats(g->m).used;
}

static void what_is_written_meanwhile_stays(void **state)
{
	struct stage g;

	put_up(&g, state);
	SAME(reclaim_beside(&g, writes_to_two), PAGES);
	SAME(g.used, PAGES);
	SAME(pages_swapped(g.s), PAGES - 2);
	assert_true(present(g.s, g.va + PAGE));
	SAME(swap_stats(g.m).used, PAGES - 2);
	SAME(get(g.s, g.va + PAGE), 77);
	SAME(get(g.s, g.va + 2 * PAGE), 78);
	FILLED(g.s, g.va, PAGE, 1);
	FILLED(g.s, g.va + 3 * PAGE, (PAGES - 3) * PAGE, 1);
	take_down(&g);
}

static void reads_all(void *arg)
{
	struct stage *g = arg;

	FILLED(g->s, g->va, PAGES * PAGE, 1);
}

static void what_is_read_meanwhile_stays(void **state)
{
	struct stage g;
	uint64_t done;

	put_up(&g, state);
	OK(hf_madvise(g.s->mm, g.va, PAGES * PAGE, HF_ADV_COLD));
	during(&g, reads_all);
	OK(hf_reclaim(g.m->phys, 1,
		      &done)); /* the first is used: the second goes at the next visit */
	CHECK(g.m);
	SAME(done, 1);
	SAME(g.d->writes, 2);
	SAME(swap_stats(g.m).used, 1);
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	take_down(&g);
}

static void pins_one(void *arg)
{
	struct stage *g = arg;

	pin_range(g->s, g->va + PAGE, PAGE, HF_PIN_WRITE, &g->pin);
	dma_put(g->m, g->pin.spans[0].pa, 99);
}

static void what_a_device_gets_meanwhile_stays(void **state)
{
	struct stage g;

	put_up(&g, state);
	reclaim_beside(&g, pins_one);
	SAME(pages_swapped(g.s), PAGES - 1);
	SAME_PA(pa_of(g.s, g.va + PAGE), g.pin.spans[0].pa);
	SAME(get(g.s, g.va + PAGE), 99);
	dma_put(g.m, g.pin.spans[0].pa, 100);
	SAME(get(g.s, g.va + PAGE), 100);
	unpin(g.m, &g.pin);
	take_down(&g);
}

static void forks(void *arg)
{
	struct stage *g = arg;

	g->child = fork_space(g->s, HF_FORK_COPY);
	put(g->child, g->va, 5);
}

/* The child has a table of its own, so each page but one has two leaves, of which one goes. */
static void what_a_child_has_meanwhile_is_its_own(void **state)
{
	struct stage g;

	put_up(&g, state);
	reclaim_beside(&g, forks);
	SAME(get(g.child, g.va), 5);
	FILLED(g.child, g.va + PAGE, (PAGES - 1) * PAGE, 1);
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	fill(g.s, g.va, PAGES * PAGE, 2);
	SAME(get(g.child, g.va), 5);
	FILLED(g.child, g.va + PAGE, (PAGES - 1) * PAGE, 1);
	take_down(&g);
}

static void shares(void *arg)
{
	struct stage *g = arg;

	g->child = fork_space(g->s, HF_FORK_COPY);
}

static void what_is_shared_meanwhile_goes_for_all(void **state)
{
	struct stage g;

	put_up(&g, state);
	SAME(reclaim_beside(&g, shares), PAGES);
	SAME(pages_swapped(g.s), PAGES);
	SAME(pages_swapped(g.child), PAGES);
	FILLED(g.child, g.va, PAGES * PAGE, 1);
	fill(g.s, g.va, PAGES * PAGE, 2);
	FILLED(g.child, g.va, PAGES * PAGE, 1);
	take_down(&g);
}

/* The last sharer goes: what the branch says may be written from then on must not be. */
static void leaves_a_table(void *arg)
{
	struct stage *g = arg;

	space_end(g->child);
	g->child = NULL;
	writes_to_two(g);
}

static void a_table_that_is_ones_own_again_meanwhile(void **state)
{
	struct stage g;
	uint64_t done;

	put_up(&g, state);
	g.child = fork_space(g.s, HF_FORK_COPY);
	GIVES(HF_OK, hf_reclaim(g.m->phys, 1, &done)); /* which makes all of them old */
	during(&g, leaves_a_table);
	hf_reclaim(g.m->phys, PAGES - 1, &done);
	assert_null(g.d->meanwhile);
	CHECK(g.m);
	SAME(get(g.s, g.va + PAGE), 77);
	SAME(get(g.s, g.va + 2 * PAGE), 78);
	FILLED(g.s, g.va, PAGE, 1);
	FILLED(g.s, g.va + 3 * PAGE, (PAGES - 3) * PAGE, 1);
	take_down(&g);
}

/* Other memory at the same addresses, of which nothing may go instead. */
static void maps_anew(void *arg)
{
	struct stage *g = arg;

	map_at(g->s, g->va, PAGES * PAGE, RW);
	fill(g->s, g->va, PAGES * PAGE, 3);
	g->used = swap_stats(g->m).used;
}

static void what_is_unmapped_meanwhile_is_free_afterwards(void **state)
{
	struct stage g;
	uint64_t free;

	put_up(&g, state);
	free = free_bytes(g.m);
	reclaim_beside(&g, maps_anew);
	SAME(g.used, PAGES);
	SAME(free_bytes(g.m), free);
	SAME(swap_stats(g.m).used, 0);
	FILLED(g.s, g.va, PAGES * PAGE, 3);
	take_down(&g);
}

static void ends(void *arg)
{
	struct stage *g = arg;
	struct space *other = space_new(g->m);
	hf_va va = map_filled(other, HF_LEVEL_PTE, PAGES, 4);

	space_end(g->s);
	g->s = NULL;
	FILLED(other, va, PAGES * PAGE, 4);
	space_end(other);
}

static void a_space_may_end_meanwhile(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, SLOTS);
	const uint64_t free = free_bytes(m);
	struct stage g = { .m = m, .d = d, .s = space_new(m) };

	g.va = map_filled(g.s, HF_LEVEL_PTE, PAGES, 1);
	reclaim_beside(&g, ends);
	SAME(free_bytes(m), free);
	take_down(&g);
}

static void moves(void *arg)
{
	struct stage *g = arg;
	hf_va to = SPACE_LO + 64 * MIB;

	OK(hf_mremap(g->s->mm, g->va, PAGES * PAGE, PAGES * PAGE,
		     HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED, &to));
	for (uint64_t at = 0; at < PAGES * PAGE; at += PAGE)
		SAME(get(g->s, to + at), stamp(1, g->va + at));
	put(g->s, to, 9);
	SAME(get(g->s, to), 9);
	g->va = to;
}

static void what_moves_meanwhile_stays(void **state)
{
	struct stage g;
	hf_va from;

	put_up(&g, state);
	from = g.va;
	reclaim_beside(&g, moves);
	SAME(get(g.s, g.va), 9);
	for (uint64_t at = PAGE; at < PAGES * PAGE; at += PAGE)
		SAME(get(g.s, g.va + at), stamp(1, from + at));
	take_down(&g);
}

static void locks_one(void *arg)
{
	struct stage *g = arg;

	OK(hf_mlock(g->s->mm, g->va + 2 * PAGE, PAGE, HF_MLOCK_ONFAULT));
}

static void what_is_locked_meanwhile_stays(void **state)
{
	struct stage g;

	put_up(&g, state);
	reclaim_beside(&g, locks_one);
	SAME(pages_swapped(g.s), PAGES - 1);
	assert_true(present(g.s, g.va + 2 * PAGE));
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	take_down(&g);
}

static void forbids(void *arg)
{
	struct stage *g = arg;

	OK(hf_mprotect(g->s->mm, g->va, 3 * PAGE, HF_PROT_NONE));
	OK(hf_mprotect(g->s->mm, g->va + 3 * PAGE, PAGE, RO));
}

static void what_is_forbidden_meanwhile_comes_back_forbidden(void **state)
{
	struct stage g;

	put_up(&g, state);
	reclaim_beside(&g, forbids);
	assert_false(may_load(g.s, g.va));
	FILLED(g.s, g.va + 3 * PAGE, (PAGES - 3) * PAGE, 1);
	assert_false(may_store(g.s, g.va + 3 * PAGE));
	OK(hf_mprotect(g.s->mm, g.va, PAGES * PAGE, RW));
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	take_down(&g);
}

static void reclaims(void *arg)
{
	struct stage *g = arg;
	enum hf_status st;
	uint64_t done;

	g->done = 0;
	do {
		st = hf_reclaim(g->m->phys, PAGES, &done);
		g->done += done;
	} while (st == HF_OK);
	SAME(st, HF_ERR_AGAIN);
}

/* Both write the same pages. Frames are free when the first has ended, and slots are not lost. */
static void two_that_reclaim_take_no_page_twice(void **state)
{
	struct stage g;
	uint64_t free;

	put_up(&g, state);
	free = free_bytes(g.m);
	SAME(reclaim_beside(&g, reclaims), PAGES);
	SAME(free_bytes(g.m), free + PAGES * PAGE);
	SAME(g.done, 0);
	SAME(swap_stats(g.m).used, PAGES);
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	take_down(&g);
}

static void a_refused_write_changes_nothing_that_was_written_meanwhile(void **state)
{
	struct stage g;

	put_up(&g, state);
	g.d->bad_write = 3;
	SAME(reclaim_beside(&g, writes_to_two), 3);
	g.d->bad_write = 0;
	SAME(pages_swapped(g.s), 1);
	SAME(get(g.s, g.va + PAGE), 77);
	SAME(get(g.s, g.va + 2 * PAGE), 78);
	FILLED(g.s, g.va + 3 * PAGE, (PAGES - 3) * PAGE, 1);
	FILLED(g.s, g.va, PAGE, 1);
	take_down(&g);
}

static void advice_to_page_out_waits_for_its_writes_alone(void **state)
{
	struct stage g;

	put_up(&g, state);
	during(&g, writes_to_two);
	OK(hf_madvise(g.s->mm, g.va, PAGES * PAGE, HF_ADV_PAGEOUT));
	CHECK(g.m);
	SAME(pages_swapped(g.s), PAGES - 2);
	SAME(get(g.s, g.va + PAGE), 77);
	FILLED(g.s, g.va, PAGE, 1);
	take_down(&g);
}

/* A write that finds no frame for its copy fails; all is as it was, and it succeeds later. */
static void finds_no_frame(void *arg)
{
	struct stage *g = arg;
	struct hoard hoard;

	hoard_all(g->m, 0, &hoard);
	GIVES(HF_ERR_NOMEM, hf_fault(g->s->mm, g->va, HF_ACCESS_WRITE, NULL));
	FILLED(g->s, g->va, PAGES * PAGE, 1);
	hoard_release(g->m, &hoard);
	put(g->s, g->va, 6);
}

static void a_write_that_finds_no_frame_fails(void **state)
{
	struct stage g;

	put_up(&g, state);
	reclaim_beside(&g, finds_no_frame);
	SAME(get(g.s, g.va), 6);
	FILLED(g.s, g.va + PAGE, (PAGES - 1) * PAGE, 1);
	take_down(&g);
}

/* Beside reads */

static void all_goes(struct machine *m)
{
	uint64_t done;

	while (hf_reclaim(m->phys, 1 << 20, &done) == HF_OK)
		;
}

/* All pages are away, and `run` is what others do in the next read. */
static void put_away(struct stage *g, void **state, void (*run)(void *g))
{
	put_up(g, state);
	all_goes(g->m);
	SAME(pages_swapped(g->s), PAGES);
	during(g, run);
}

static void writes_there(void *arg)
{
	struct stage *g = arg;

	put(g->s, g->va, 77);
}

static void what_others_brought_back_meanwhile_is_there(void **state)
{
	struct stage g;
	uint64_t free;

	put_away(&g, state, writes_there);
	free = free_bytes(g.m);
	SAME(get(g.s, g.va), 77);
	SAME(g.d->reads, 2);
	SAME(free_bytes(g.m), free - PAGE);
	SAME(swap_stats(g.m).used, PAGES - 1);
	CHECK(g.m);
	put(g.s, g.va, 78);
	SAME(get(g.s, g.va), 78);
	FILLED(g.s, g.va + PAGE, (PAGES - 1) * PAGE, 1);
	take_down(&g);
}

static void child_reads(void *arg)
{
	struct stage *g = arg;

	FILLED(g->child, g->va, PAGE, 1);
}

/* Each has an entry of its own for the slot, and both read it at once. */
static void two_that_read_one_slot_have_one_page(void **state)
{
	struct stage g;
	uint64_t free;

	put_up(&g, state);
	g.child = fork_space(g.s, HF_FORK_COPY);
	put(g.child, g.va + (PAGES - 1) * PAGE, 5);
	all_goes(g.m);
	during(&g, child_reads);
	free = free_bytes(g.m);
	FILLED(g.s, g.va, PAGE, 1);
	CHECK(g.m);
	SAME_PA(pa_of(g.s, g.va), pa_of(g.child, g.va));
	SAME(free_bytes(g.m), free - PAGE);
	put(g.s, g.va, 6);
	FILLED(g.child, g.va, PAGE, 1);
	FILLED(g.s, g.va + PAGE, (PAGES - 1) * PAGE, 1);
	take_down(&g);
}

/* New pages at the same address take slots: not the one that is being read. */
static void maps_anew_and_away(void *arg)
{
	struct stage *g = arg;
	uint64_t used;

	OK(hf_munmap(g->s->mm, g->va, PAGES * PAGE));
	SAME(swap_stats(g->m).used, 1);
	map_at(g->s, g->va, PAGES * PAGE, RW);
	fill(g->s, g->va, PAGES * PAGE, 3);
	all_goes(g->m);
	used = swap_stats(g->m).used;
	SAME(used, PAGES + 1);
}

static void what_was_read_for_nothing_is_not_shown(void **state)
{
	struct stage g;

	put_away(&g, state, maps_anew_and_away);
	FILLED(g.s, g.va, PAGE, 3);
	CHECK(g.m);
	SAME(swap_stats(g.m).used, PAGES - 1);
	FILLED(g.s, g.va, PAGES * PAGE, 3);
	take_down(&g);
}

static void unmaps(void *arg)
{
	struct stage *g = arg;

	OK(hf_munmap(g->s->mm, g->va, PAGES * PAGE));
}

static void what_was_unmapped_meanwhile_is_refused(void **state)
{
	struct stage g;
	uint64_t free;

	put_away(&g, state, unmaps);
	free = free_bytes(g.m);
	assert_false(may_load(g.s, g.va));
	CHECK(g.m);
	assert_true(free_bytes(g.m) >= free);
	take_down(&g);
}

static void child_ends(void *arg)
{
	struct stage *g = arg;

	space_end(g->child);
	g->child = NULL;
	put(g->s, g->va + PAGE, 8); /* in a table that is its own again */
}

static void a_sharer_may_end_meanwhile(void **state)
{
	struct stage g;

	put_up(&g, state);
	g.child = fork_space(g.s, HF_FORK_COPY);
	all_goes(g.m);
	during(&g, child_ends);
	put(g.s, g.va, 7);
	SAME(get(g.s, g.va), 7);
	SAME(get(g.s, g.va + PAGE), 8);
	FILLED(g.s, g.va + 2 * PAGE, (PAGES - 2) * PAGE, 1);
	take_down(&g);
}

static void goes_again(void *arg)
{
	struct stage *g = arg;

	all_goes(g->m);
	if (g->done++ < 12)
		during(g, goes_again);
}

/* All of a range has to be there at once, and others take what came first, again and again. */
static void a_copy_of_what_goes_again_meanwhile(void **state)
{
	struct stage g;
	uint64_t words[2];
	hf_va to;

	put_away(&g, state, goes_again);
	OK(hf_read(g.s->mm, g.va + 3 * PAGE - 8, words, 16));
	CHECK(g.m);
	SAME(words[0], stamp(1, g.va + 3 * PAGE - 8));
	SAME(words[1], stamp(1, g.va + 3 * PAGE));
	all_goes(g.m);
	g.done = 0;
	during(&g, goes_again);
	OK(hf_write(g.s->mm, g.va + 3 * PAGE - 8, words, 16));
	CHECK(g.m);
	all_goes(g.m);
	to = map(g.s, PAGES * PAGE, RW);
	g.done = 0;
	during(&g, goes_again);
	OK(hf_copy(g.s->mm, to, g.s->mm, g.va, PAGES * PAGE));
	CHECK(g.m);
	for (uint64_t at = 0; at < PAGES * PAGE; at += PAGE)
		SAME(get(g.s, to + at), stamp(1, g.va + at));
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	take_down(&g);
}

static void locks_and_pins_of_what_goes_again_meanwhile(void **state)
{
	struct stage g;

	put_away(&g, state, goes_again);
	pin_range(g.s, g.va, PAGES * PAGE, HF_PIN_WRITE, &g.pin);
	CHECK(g.m);
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	unpin(g.m, &g.pin);
	all_goes(g.m);
	g.done = 0;
	during(&g, goes_again);
	OK(hf_mlock(g.s->mm, g.va, PAGES * PAGE, 0));
	CHECK(g.m);
	SAME(leaves(g.s, 0), PAGES);
	all_goes(g.m);
	SAME(leaves(g.s, 0), PAGES);
	OK(hf_munlock(g.s->mm, g.va, PAGES * PAGE));
	all_goes(g.m);
	g.done = 0;
	during(&g, goes_again);
	OK(hf_madvise(g.s->mm, g.va, PAGES * PAGE, HF_ADV_POPULATE_WRITE));
	CHECK(g.m);
	FILLED(g.s, g.va, PAGES * PAGE, 1);
	take_down(&g);
}

/* Beside the end of the store */

/* Nothing goes out: not what is cached, and not what needs a slot. */
static void nothing_goes(void *arg)
{
	struct stage *g = arg;
	const uint64_t writes = g->d->writes;
	uint64_t done;

	assert_true(present(g->s, g->va) && present(g->s, g->va + PAGE));
	SAME(swap_stats(g->m).cached, 1);
	for (unsigned i = 0; i < 3; i++) {
		hf_reclaim(g->m->phys, PAGES, &done);
		SAME(done, 0);
	}
	assert_true(present(g->s, g->va) && present(g->s, g->va + PAGE));
	SAME(g->d->writes, writes);
	map_at(g->s, g->va + 3 * PAGE, PAGE, RW);
	put(g->s, g->va + 3 * PAGE, 9);
}

static void next_read(void *arg)
{
	during(arg, nothing_goes);
}

/* A child with entries of its own, so that what comes back is cached, but for the first page. */
static void forks_apart(void *arg)
{
	struct stage *g = arg;

	g->child = fork_space(g->s, HF_FORK_COPY);
	map_at(g->child, g->va, PAGE, RW);
	put(g->child, g->va, 5);
	during(g, next_read);
}

static void the_end_of_the_store_holds_nobody_up(void **state)
{
	struct stage g;

	put_away(&g, state, forks_apart);
	OK(hf_swap_off(g.m->phys));
	CHECK(g.m);
	SAME(swap_stats(g.m).slots, 0);
	SAME(get(g.child, g.va), 5);
	FILLED(g.child, g.va + PAGE, (PAGES - 1) * PAGE, 1);
	FILLED(g.s, g.va, 3 * PAGE, 1);
	SAME(get(g.s, g.va + 3 * PAGE), 9);
	FILLED(g.s, g.va + 4 * PAGE, (PAGES - 4) * PAGE, 1);
	take_down(&g);
}

static void ends_and_begins(void *arg)
{
	struct stage *g = arg;

	space_end(g->s);
	g->s = space_new(g->m);
}

static void a_space_may_end_while_it_is_brought_back(void **state)
{
	struct stage g;
	hf_va va;

	put_up(&g, state);
	g.child = space_new(g.m); /* which comes first, and has nothing of the other's */
	va = map_filled(g.child, HF_LEVEL_PTE, PAGES, 2);
	all_goes(g.m);
	OK(hf_madvise(g.child->mm, va, PAGES * PAGE, HF_ADV_POPULATE_READ));
	during(&g, ends_and_begins);
	OK(hf_swap_off(g.m->phys));
	CHECK(g.m);
	FILLED(g.child, va, PAGES * PAGE, 2);
	take_down(&g);
}

/* From where the end of the store has not been to where it has. */
static void moves_back(void *arg)
{
	struct stage *g = arg;
	hf_va to = SPACE_LO;

	OK(hf_mremap(g->s->mm, g->va + PAGE, PAGE, PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED, &to));
}

static void the_end_of_the_store_finds_what_moves(void **state)
{
	struct stage g;

	put_away(&g, state, moves_back);
	assert_true(g.va > SPACE_LO + PAGE);
	OK(hf_swap_off(g.m->phys));
	CHECK(g.m);
	assert_true(present(g.s, SPACE_LO));
	SAME(get(g.s, SPACE_LO), stamp(1, g.va + PAGE));
	FILLED(g.s, g.va + 2 * PAGE, (PAGES - 2) * PAGE, 1);
	take_down(&g);
}

static enum hf_status counts_slots(void *host, uint64_t offset, void *page, uint64_t len)
{
	struct stage *g = host;

	(void)offset;
	(void)page;
	(void)len;
	g->used = swap_stats(g->m).used;
	return HF_OK;
}

static void reads_the_first(void *arg)
{
	struct stage *g = arg;

	FILLED(g->s, g->va, PAGE, 1);
}

/* Others have brought a page back that a copy has read, too, and then the copy wants a pager's. */
static void no_slot_is_kept_while_a_pager_works(void **state)
{
	static const struct hf_pager pager = { .get = counts_slots };
	struct stage g;
	struct hf_object_config config = { .size = PAGE, .pager = &pager, .host = &g };
	struct hf_object *object;
	char buf[2 * PAGE];
	hf_va second;

	put_away(&g, state, reads_the_first);
	second = g.va + PAGE;
	OK(hf_object_create(g.m->phys, &config, &object));
	OK(hf_mmap_object(g.s->mm, &second, PAGE, RW, HF_MAP_PRIVATE | HF_MAP_FIXED, object, 0));
	hf_object_put(object);
	OK(hf_read(g.s->mm, g.va, buf, sizeof(buf)));
	assert_null(g.d->meanwhile);
	SAME(g.used, PAGES - 2);
	FILLED(g.s, g.va, PAGE, 1);
	take_down(&g);
}

static const struct CMUnitTest tests[] = {
	TEST(what_is_written_meanwhile_stays),
	TEST(what_is_read_meanwhile_stays),
	TEST(what_a_device_gets_meanwhile_stays),
	TEST(what_a_child_has_meanwhile_is_its_own),
	TEST(what_is_shared_meanwhile_goes_for_all),
	TEST(a_table_that_is_ones_own_again_meanwhile),
	TEST(what_is_unmapped_meanwhile_is_free_afterwards),
	TEST(a_space_may_end_meanwhile),
	TEST(what_moves_meanwhile_stays),
	TEST(what_is_locked_meanwhile_stays),
	TEST(what_is_forbidden_meanwhile_comes_back_forbidden),
	TEST(two_that_reclaim_take_no_page_twice),
	TEST(a_refused_write_changes_nothing_that_was_written_meanwhile),
	TEST(advice_to_page_out_waits_for_its_writes_alone),
	TEST(a_write_that_finds_no_frame_fails),
	TEST(what_others_brought_back_meanwhile_is_there),
	TEST(two_that_read_one_slot_have_one_page),
	TEST(what_was_read_for_nothing_is_not_shown),
	TEST(no_slot_is_kept_while_a_pager_works),
	TEST(what_was_unmapped_meanwhile_is_refused),
	TEST(a_sharer_may_end_meanwhile),
	TEST(a_copy_of_what_goes_again_meanwhile),
	TEST(locks_and_pins_of_what_goes_again_meanwhile),
	TEST(the_end_of_the_store_holds_nobody_up),
	TEST(a_space_may_end_while_it_is_brought_back),
	TEST(the_end_of_the_store_finds_what_moves),
};
SUITE(suite_store, tests);
