/* SPDX-License-Identifier: MIT */
/* Fork: the child is one instant of the parent, and what devices hold stays where it is. */
#include "scenario.h"

/* Two stores, one after the other: the child cannot have the second alone. */
static void store_in_turn(void)
{
	store(0, 0, 20);
	store(0, 1, 21);
}

static void check_one_instant(void)
{
	uint64_t first = 0, second = 0;

	check_c();
	if (w.st[0])
		return;
	OK(hf_read(&w.mm[2], page(0), &first, 8));
	OK(hf_read(&w.mm[2], page(1), &second, 8));
	EXPECT(first == 20 || second != 21);
}

/* Page 0 is pinned all the time, so fork copies it; the tables lie apart. */
static void pinned_page(void)
{
	four_pages();
	OK(hf_pin(&w.mm[0], page(0), PAGE, HF_PIN_WRITE, w.span, 4, &w.spans));
	hfx_switch(0, &w.mm[0]);
}

/* The device's page is the parent's still. */
static void check_pinned(void)
{
	struct hf_translation t;

	check_one_instant();
	OK(hf_translate(&w.mm[0], page(0), &t));
	EXPECT(t.pa.v == w.span[0].pa.v);
}

static void unpin(void)
{
	OK(hf_unpin(&w.phys, w.span, w.spans));
}

static void fork_d_of_b(void)
{
	OK(hf_fork(&w.mm[1], &w.mm[3], NULL, HF_FORK_COPY));
}

static void split_fork_c(void)
{
	w.begun = hfx_now;
	w.st[0] = hf_fork(&w.mm[0], &w.mm[2], NULL, HF_FORK_SPLIT);
	w.ended = hfx_now;
	MAY(w.st[0], HF_OK);
}

static void pinned_huge_page(void)
{
	huge_page();
	OK(hf_pin(&w.mm[0], page(0), PAGE, HF_PIN_WRITE, w.span, 4, &w.spans));
	hfx_switch(0, &w.mm[0]);
}

const struct hfx_scenario hfx_fork_beside[] = {
	{
		.name = "fault-races-fork",
		.about = "two stores, one after the other, beside a fork: the child is one instant",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "fork", fork_c }, { "writer", store_in_turn } },
		.check = check_one_instant,
	},
	{
		.name = "fork-beside-writers",
		.about = "two CPUs write beside a fork",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "fork", fork_c },
			    { "writer", store_in_turn },
			    { "writer too", store_1 } },
		.check = check_c,
		.bound = 1,
	},
	{
		.name = "fork-beside-read",
		.about = "a load beside a fork",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "fork", fork_c }, { "reader", load_0 } },
		.check = check_c,
	},
	{
		.name = "pin-races-fork",
		.about = "a device pins and writes a page beside a fork, and the parent writes",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "fork", fork_c }, { "device", pin_0 }, { "writer", store_1 } },
		.check = check_c,
		.bound = 1,
	},
	{
		.name = "snapshot-torn",
		.about = "stores to a pinned page and to another beside a fork that copies the "
			 "first",
		.frames = 256,
		.setup = pinned_page,
		.thread = { { "fork", fork_c }, { "writer", store_in_turn } },
		.check = check_pinned,
	},
	{
		.name = "unpin-races-fork",
		.about = "the pin goes between two phases of a fork, and the parent writes",
		.frames = 256,
		.setup = pinned_page,
		.thread = { { "fork", fork_c }, { "device", unpin }, { "writer", store_in_turn } },
		.check = check_one_instant,
		.bound = 1,
	},
	{
		.name = "fork-beside-relative",
		.about = "parent and child fork at once, and the parent writes",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "fork", fork_c }, { "fork of b", fork_d_of_b } },
		.check = check_c,
	},
	{
		.name = "fork-beside-relative-write",
		.about = "the parent forks while its first child writes",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "fork", fork_c }, { "writer in b", store_2 } },
		.check = check_c,
	},
	{
		.name = "fork-beside-relative-end",
		.about = "the parent forks while its first child ends",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "fork", fork_c }, { "exit", end_b } },
		.check = check_c,
	},
	{
		.name = "fork-huge-beside-write",
		.about = "stores to a pinned huge page beside a fork that copies it",
		.frames = 2560,
		.setup = pinned_huge_page,
		.thread = { { "fork", fork_c }, { "writer", store_in_turn } },
		.check = check_one_instant,
		.bound = 1,
	},
	{
		.name = "fork-splits-beside-write",
		.about = "the same, but the fork splits it and copies the pinned part alone",
		.frames = 2560,
		.setup = pinned_huge_page,
		.thread = { { "fork", split_fork_c }, { "writer", store_in_turn } },
		.check = check_one_instant,
		.bound = 1,
	},
	{
		.name = "fork-when-full",
		.about = "memory is full at some moment of a fork beside a write",
		.frames = 256,
		.setup = pinned_page,
		.thread = { { "fork", fork_c },
			    { "writer", store_in_turn },
			    { "memory", memory_is_full } },
		.check = check_one_instant,
		.full = true,
		.bound = 1,
	},
	{ 0 },
};
