/* SPDX-License-Identifier: MIT */
/*
 * The locks themselves, each atomic a step: who is inside is alone, and whoever sleeps is woken. And the
 * explorer's own tests: what it must find.
 */
#include "lock_subject.h"
#include "scenario.h"
#include "shim.h"

/* A space's lock and the physical memory's, which nobody else uses here. */
#define MUTEX (&w.phys.lock)
#define RWLOCK (&w.mm[0].rwlock)

static void no_memory(void)
{
}

static void enter_alone(void)
{
	hfx_add(&w.seen[0], 8, 1);
	EXPECT(w.seen[0] == 1 && w.seen[1] == 0);
}

static void leave(unsigned i)
{
	hfx_add(&w.seen[i], 8, (uint64_t)-1);
}

static void lock_twice(void)
{
	for (unsigned i = 0; i < 2; i++) {
		subject_acquire(&w.phys, MUTEX);
		enter_alone();
		leave(0);
		subject_release(&w.phys, MUTEX);
	}
}

static void lock_once(void)
{
	subject_acquire(&w.phys, MUTEX);
	enter_alone();
	leave(0);
	subject_release(&w.phys, MUTEX);
}

static void write_once(void)
{
	subject_acquire_exclusive(&w.phys, RWLOCK);
	enter_alone();
	leave(0);
	subject_release_exclusive(&w.phys, RWLOCK);
}

static void read_once(void)
{
	subject_acquire_shared(&w.phys, RWLOCK);
	hfx_add(&w.seen[1], 8, 1);
	EXPECT(w.seen[0] == 0);
	leave(1);
	subject_release_shared(&w.phys, RWLOCK);
}

static void try_once(void)
{
	if (!subject_try_lock_shared(&w.phys, RWLOCK))
		return;
	hfx_add(&w.seen[1], 8, 1);
	EXPECT(w.seen[0] == 0);
	leave(1);
	subject_release_shared(&w.phys, RWLOCK);
}

static void all_is_free(void)
{
	EXPECT(!w.phys.lock.word && !w.mm[0].rwlock.state && !w.mm[0].rwlock.writers.word);
}

/* ---- What must be found ---- */

static uint64_t *word(unsigned i)
{
	return (uint64_t *)(void *)(hfx_ram + (hfx_frames - 1 - i) * PAGE);
}

/* Store buffering: each loads what the other has not shown yet. */
static void store_x_load_y(void)
{
	hfx_store(word(0), 8, 1, true);
	w.seen[0] = hfx_load(word(1), 8);
}

static void store_y_load_x(void)
{
	hfx_store(word(1), 8, 1, true);
	w.seen[1] = hfx_load(word(0), 8);
}

static void one_saw_the_other(void)
{
	EXPECT(w.seen[0] || w.seen[1]);
}

/* Message passing: stores are seen in their order. */
static void store_x_then_y(void)
{
	hfx_store(word(0), 8, 1, true);
	hfx_store(word(1), 8, 1, true);
}

static void load_y_then_x(void)
{
	w.seen[1] = hfx_load(word(1), 8);
	w.seen[0] = hfx_load(word(0), 8);
}

static void in_order(void)
{
	EXPECT(w.seen[0] || !w.seen[1]);
}

static void count(void)
{
	hfx_store(word(0), 8, hfx_load(word(0), 8) + 1, true);
}

static void counted_twice(void)
{
	EXPECT(*word(0) == 2);
}

static void spaces_then_phys(void)
{
	hf_acquire(&w.phys, &w.phys.lock);
	hf_acquire_shared(&w.phys, &w.phys.spaces_lock);
	hf_release_shared(&w.phys, &w.phys.spaces_lock);
	hf_release(&w.phys, &w.phys.lock);
}

static void phys_then_spaces(void)
{
	hf_acquire_exclusive(&w.phys, &w.phys.spaces_lock);
	hf_acquire(&w.phys, &w.phys.lock);
	hf_release(&w.phys, &w.phys.lock);
	hf_release_exclusive(&w.phys, &w.phys.spaces_lock);
}

/* A core that changes an entry and forgets to flush. */
static void change_without_flush(void)
{
	hfx_store(hfx_small_entry(&w.mm[0], page(0)), 8, 0, true);
}

static void cache_page_0(void)
{
	load(0, 0);
}

const struct hfx_scenario hfx_locks[] = {
	{
		.name = "lock-of-three",
		.about = "three threads take src/lib/lock.c's lock, one of them twice",
		.frames = 256,
		.setup = no_memory,
		.thread = { { "first", lock_twice },
			    { "second", lock_once },
			    { "third", lock_once } },
		.check = all_is_free,
		.blind = true,
		.bound = 2,
	},
	{
		.name = "rwlock-of-three",
		.about = "two readers, one of which only tries, and a writer",
		.frames = 256,
		.setup = no_memory,
		.thread = { { "writer", write_once },
			    { "reader", read_once },
			    { "who tries", try_once } },
		.check = all_is_free,
		.blind = true,
		.bound = 2,
	},
	{
		.name = "rwlock-of-two-writers",
		.about = "two writers and a reader",
		.frames = 256,
		.setup = no_memory,
		.thread = { { "writer", write_once },
			    { "writer too", write_once },
			    { "reader", read_once } },
		.check = all_is_free,
		.blind = true,
		.bound = 2,
	},
	{
		.name = "finds-store-buffering",
		.about = "both threads load what the other has stored before: not so with store "
			 "buffers",
		.frames = 256,
		.setup = no_memory,
		.thread = { { "first", store_x_load_y }, { "second", store_y_load_x } },
		.check = one_saw_the_other,
		.blind = true,
		.fails = { [HFX_TSO] = true },
	},
	{
		.name = "finds-no-reordering-of-stores",
		.about = "stores are seen in the order in which they were made, by either memory",
		.frames = 256,
		.setup = no_memory,
		.thread = { { "first", store_x_then_y }, { "second", load_y_then_x } },
		.check = in_order,
		.blind = true,
	},
	{
		.name = "finds-lost-update",
		.about = "a load and a store are no increment",
		.frames = 256,
		.setup = no_memory,
		.thread = { { "first", count }, { "second", count } },
		.check = counted_twice,
		.blind = true,
		.fails = { true, true },
	},
	{
		.name = "finds-deadlock",
		.about = "two locks in two orders",
		.frames = 256,
		.setup = no_memory,
		.thread = { { "first", spaces_then_phys }, { "second", phys_then_spaces } },
		.blind = true,
		.fails = { true, true },
	},
	{
		.name = "finds-missing-flush",
		.about = "an entry changes, and a CPU that loaded at the wrong time is not told",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "core", change_without_flush }, { "reader", cache_page_0 } },
		.fails = { true, true },
	},
	{ 0 },
};
