/* SPDX-License-Identifier: MIT */
/* Shared tables and pages, and who writes to them: copies of tables, copies of pages. */
#include "scenario.h"

/*
 * CPU 1 has the branch to the shared table in its cache, but not the pages that will change; the tables
 * above are a's own again, so that walks pass them without a lock.
 */
static void branch_in_a_cache(void)
{
	hfx_space(0);
	hfx_map(0, 2 * HUGE_PAGE);
	hfx_switch(0, &w.mm[0]);
	for (unsigned i = 0; i < 3; i++)
		OK(hfx_user_store(0, page(i), i + 1));
	OK(hfx_user_store(0, w.va + HUGE_PAGE, 9));
	hfx_fork(0, 1);
	OK(hfx_user_store(0, w.va + HUGE_PAGE, 10));
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
	OK(hfx_user_load(1, page(1), NULL));
}

static void write_fault(void)
{
	OK(hf_fault(&w.mm[0], w.va, HF_ACCESS_WRITE, NULL));
}

/* A store completes, and then another CPU loads. */
static void store_then_load(void)
{
	store(0, 2, 20);
	load(1, 2);
}

static void store_page_1(void)
{
	store(1, 1, 21);
}

static void unmap_in_b(void)
{
	MAY(hf_munmap(&w.mm[1], page(1), PAGE), HF_OK);
}

/* Pages that are shared leaf by leaf: the tables are the spaces' own. */
static void pages_apart(void)
{
	size_t n;

	four_pages();
	OK(hf_pin(&w.mm[0], page(3), PAGE, HF_PIN_WRITE, w.span, 4, &n));
	hfx_fork(0, 1);
	OK(hf_unpin(&w.phys, w.span, n));
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
	hfx_switch(2, &w.mm[1]);
	OK(hfx_user_load(1, page(0), NULL));
}

/* The writer moves to a copy; whoever has the old page cached must see it go. */
static void store_then_load_0(void)
{
	store(0, 0, 20);
	load(1, 0);
}

/* What a port is told of a page must come before the flush that makes it forget. */
static void pages_apart_and_filled(void)
{
	pages_apart();
	hfx_switch(3, &w.mm[0]);
}

static void shared_and_filled(void)
{
	four_pages_shared();
	hfx_switch(3, &w.mm[0]);
}

static void read_fault_0(void)
{
	OK(hf_fault(&w.mm[0], page(0), HF_ACCESS_READ, NULL));
}

const struct hfx_scenario hfx_unshare[] = {
	{
		.name = "branch-cache-stale",
		.about = "a thread makes a table exclusive, another stores through it; then a CPU "
			 "that had the old branch loads",
		.frames = 256,
		.setup = branch_in_a_cache,
		.thread = { { "unshare", write_fault }, { "user", store_then_load } },
	},
	{
		.name = "unshare-beside-unshare",
		.about = "two threads of one space write through a table that it shares",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "writer", store_0 }, { "writer too", store_page_1 } },
	},
	{
		.name = "unshare-in-two-spaces",
		.about = "two spaces write to one page under a table that they share",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "writer", store_0 }, { "writer in b", store_2 } },
	},
	{
		.name = "unshare-beside-read",
		.about = "two spaces write under one table, and a third CPU reads",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "writer", store_0 },
			    { "writer in b", store_2 },
			    { "reader", load_1 } },
		.bound = 1,
	},
	{
		.name = "unshare-beside-last-sharer",
		.about = "a write through a shared table while the other sharer ends",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "writer", store_0 }, { "exit", end_b } },
	},
	{
		.name = "table-freed-under-walker",
		.about = "a CPU walks through a shared table that is copied and let go of by both",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "writer", store_0 }, { "exit", end_b }, { "reader", load_1 } },
		.speculate = { { 1, 1 } },
		.speculations = 1,
		.bound = 1,
	},
	{
		.name = "unshare-beside-unmap",
		.about =
			"a write through a shared table while the other sharer unmaps a page in it",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "writer", store_0 }, { "munmap in b", unmap_in_b } },
	},
	{
		.name = "stale-writable-tlb",
		.about = "a page is copied for a writer; another stores to the copy; a CPU that "
			 "had the page loads",
		.frames = 256,
		.setup = pages_apart,
		.thread = { { "fault", write_fault }, { "writer", store_then_load_0 } },
		.speculate = { { 1, 0 } },
		.speculations = 1,
	},
	{
		.name = "walk-beside-unshare",
		.about = "a read fault goes down through a shared table that another thread "
			 "copies, and then a page",
		.frames = 256,
		.setup = shared_and_filled,
		.thread = { { "reader", read_fault_0 }, { "writer", write_fault } },
		.fills = true,
	},
	{
		.name = "fill-beside-copy",
		.about = "the port is told of a page that a writer moves away from",
		.frames = 256,
		.setup = pages_apart_and_filled,
		.thread = { { "reader", read_fault_0 }, { "writer", write_fault } },
		.fills = true,
	},
	{
		.name = "sibling-mapping-stale",
		.about = "both owners of a page write at once: each has its own in the end",
		.frames = 256,
		.setup = pages_apart,
		.thread = { { "writer", store_0 }, { "writer in b", store_2 } },
		.speculate = { { 1, 0 } },
		.speculations = 1,
	},
	{
		.name = "unshare-when-full",
		.about = "memory is full at some moment of two writes through a shared table",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "writer", store_0 },
			    { "writer in b", store_2 },
			    { "memory", memory_is_full } },
		.full = true,
		.bound = 1,
	},
	{ 0 },
};
