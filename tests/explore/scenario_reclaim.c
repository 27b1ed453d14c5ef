/* SPDX-License-Identifier: MIT */
/* Reclaim and the swap store, beside faults and the end of spaces. */
#include "scenario.h"

#include <holdfast/swap.h>

/* A huge page that has not been used for a while, in a table of the space's own. */
static void huge_page(void)
{
	hfx_space(0);
	hfx_swap_on();
	w.va = hfx_map(0, HUGE_PAGE, HUGE_PAGE);
	OK(hf_madvise(&w.mm[0], w.va, HUGE_PAGE, HF_ADV_HUGEPAGE));
	hfx_switch(0, &w.mm[0]);
	hfx_user_store(0, w.va, 1);
}

static void page_out_one(void)
{
	enum hf_status st = hf_madvise(&w.mm[0], w.va, PAGE, HF_ADV_PAGEOUT);

	EXPECT(!st || st == HF_ERR_STORE);
}

static void read_fifth(void)
{
	OK(hf_fault(&w.mm[0], w.va + 5 * PAGE, HF_ACCESS_READ, NULL));
}

static void write_fifth(void)
{
	hfx_user_store(1, w.va + 5 * PAGE, 2);
}

/*
 * A huge page that two spaces share by a leaf each, since the tables around it are not shared. Reclaim
 * begins with the child, and the store takes nothing: so the leaf there is split, and that is all.
 */
static void shared_huge_page(void)
{
	size_t n;

	hfx_space(0);
	hfx_swap_on();
	w.va = hfx_map(0, 2 * HUGE_PAGE, HUGE_PAGE);
	OK(hf_madvise(&w.mm[0], w.va, 2 * HUGE_PAGE, HF_ADV_HUGEPAGE));
	hfx_switch(0, &w.mm[0]);
	hfx_user_store(0, w.va + 5 * PAGE, 1);
	OK(hf_pin(&w.mm[0], w.va + HUGE_PAGE, PAGE, HF_PIN_WRITE, w.span, 4, &n));
	hfx_fork(0, 1);
	hfx_switch(0, NULL);
	hfx_switch(1, &w.mm[1]);
	hfx_switch(2, &w.mm[1]);
	w.store_fails = true;
}

static void reclaim_some(void)
{
	uint64_t done;

	hf_reclaim(&w.phys, 1, &done);
}

static void load_fifth(void)
{
	hfx_user_load(2, w.va + 5 * PAGE);
}

/* A table whose pages are in the store, which another space shares until it goes. */
static void swapped_and_shared(void)
{
	hfx_space(0);
	hfx_swap_on();
	w.va = hfx_map(0, 4 * PAGE, PAGE);
	hfx_switch(0, &w.mm[0]);
	for (unsigned i = 0; i < 4; i++)
		hfx_user_store(0, w.va + i * PAGE, i + 1);
	OK(hf_madvise(&w.mm[0], w.va + 2 * PAGE, 2 * PAGE, HF_ADV_PAGEOUT));
	OK(hf_fork(&w.mm[0], &w.mm[1], NULL, HF_FORK_COPY));
}

static void write_first(void)
{
	OK(hf_fault(&w.mm[0], w.va, HF_ACCESS_WRITE, NULL));
}

static void end_and_swap_off(void)
{
	hf_mm_destroy(&w.mm[1]);
	OK(hf_swap_off(&w.phys));
}

const struct hfx_scenario hfx_reclaim[] = {
	{
		.name = "reclaim-splits-beside-read",
		.about = "PAGEOUT of a part of a huge page beside a read fault on another part",
		.frames = 2048,
		.setup = huge_page,
		.thread = { { "reclaim", page_out_one }, { "reader", read_fifth } },
	},
	{
		.name = "reclaim-splits-beside-write",
		.about = "reclaim splits a shared huge page; a writer copies a part, another CPU "
			 "reads it",
		.frames = 2048,
		.setup = shared_huge_page,
		.thread = { { "reclaim", reclaim_some },
			    { "writer", write_fifth },
			    { "reader", load_fifth } },
		.bound = 1,
	},
	{
		.name = "swap-off-beside-write",
		.about = "a write fault copies a table whose other sharer ends, then hf_swap_off",
		.frames = 256,
		.setup = swapped_and_shared,
		.thread = { { "writer", write_first }, { "swapoff", end_and_swap_off } },
	},
	{ 0 },
};
