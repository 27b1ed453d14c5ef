/* SPDX-License-Identifier: MIT */
/* Reclaim and the swap store, beside faults, pins, forks and the end of spaces. */
#include "scenario.h"

#include <holdfast/swap.h>

/* ---- Huge pages are split ---- */

static void page_out_one(void)
{
	MAY(hf_madvise(&w.mm[0], w.va, PAGE, HF_ADV_PAGEOUT), HF_ERR_STORE);
}

static void read_last(void)
{
	OK(hf_fault(&w.mm[0], page(3), HF_ACCESS_READ, NULL));
}

/* The store takes nothing: so the leaf of the child, where reclaim begins, is split, and that is all. */
static void huge_page_that_stays(void)
{
	huge_page_apart();
	w.store_fails = true;
}

static void store_last(void)
{
	store(2, 3, 20);
}

static void load_last(void)
{
	hfx_switch(1, &w.mm[1]);
	load(1, 3);
}

/* ---- Small pages ---- */

static void page_out_0(void)
{
	MAY(hf_madvise(&w.mm[0], page(0), PAGE, HF_ADV_PAGEOUT), HF_ERR_STORE);
}

/* Unless there is no store any more. */
static void try_page_out(void)
{
	enum hf_status st = hf_madvise(&w.mm[0], w.va, PAGE, HF_ADV_PAGEOUT);

	MAY(st, st == HF_ERR_INVAL ? st : HF_ERR_STORE);
}

static void load_swapped(void)
{
	load(0, 2);
}

static void load_swapped_in_b(void)
{
	load(2, 2);
}

static void store_swapped(void)
{
	store(0, 2, 20);
}

static void store_swapped_in_b(void)
{
	store(2, 2, 21);
}

/* The same slots, named by entries of each space's own. */
static void four_pages_swapped_apart(void)
{
	four_pages_swapped();
	OK(hf_fault(&w.mm[1], page(0), HF_ACCESS_WRITE, NULL));
}

/* In the store, and in one space. */
static void one_page_away(void)
{
	four_pages();
	OK(hf_madvise(&w.mm[0], page(2), PAGE, HF_ADV_PAGEOUT));
}

static enum hf_status drop(struct hf_mm *mm, hf_va va)
{
	return hf_madvise(mm, va, PAGE, HF_ADV_DONTNEED);
}

/* A new page at the same address goes to the store. */
static void swap_anew(void)
{
	OK(take_away(0, 2, drop));
	store(1, 2, 22);
	MAY(hf_madvise(&w.mm[0], page(2), PAGE, HF_ADV_PAGEOUT), HF_ERR_STORE);
}

static void fork_c_and_reclaim(void)
{
	fork_c();
	reclaim_one();
}

static void end_b_and_swap_off(void)
{
	end_b();
	swap_off();
}

const struct hfx_scenario hfx_reclaim[] = {
	{
		.name = "reclaim-splits-beside-read",
		.about = "a part of a huge page is paged out beside a read fault on another part",
		.frames = 2048,
		.setup = huge_page,
		.thread = { { "reclaim", page_out_one }, { "reader", read_last } },
	},
	{
		.name = "reclaim-splits-beside-write",
		.about = "reclaim splits a shared huge page, a writer copies a part, another CPU "
			 "reads it",
		.frames = 2048,
		.setup = huge_page_that_stays,
		.thread = { { "reclaim", reclaim_one },
			    { "writer", store_last },
			    { "reader", load_last } },
		.bound = 1,
	},
	{
		.name = "reclaim-shows-stale-part",
		.about = "the same, by what user code sees alone: nobody asks hf_mm_check",
		.frames = 2048,
		.setup = huge_page_that_stays,
		.thread = { { "reclaim", reclaim_one },
			    { "writer", store_last },
			    { "reader", load_last } },
		.bound = 1,
		.blind = true,
	},
	{
		.name = "reclaim-beside-read",
		.about = "a page goes to the store while another CPU reads it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", page_out_0 }, { "reader", load_1 } },
	},
	{
		.name = "reclaim-beside-write",
		.about = "a page goes to the store while another CPU writes to it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", page_out_0 }, { "writer", store_1 } },
	},
	{
		.name = "reclaim-beside-pin",
		.about = "a page goes to the store while a device pins and writes it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", page_out_0 }, { "device", pin_0 } },
	},
	{
		.name = "reclaim-beside-fork",
		.about = "a page goes to the store while its space forks",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", page_out_0 }, { "fork", fork_c } },
		.check = check_c,
	},
	{
		.name = "reclaim-beside-munmap",
		.about = "the clock goes over pages, one of which is unmapped",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", reclaim_one }, { "munmap", munmap_0 } },
	},
	{
		.name = "reclaim-beside-reclaim",
		.about = "two clocks at once, and a writer",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", page_out_0 },
			    { "reclaim too", page_out_0 },
			    { "writer", store_1 } },
		.bound = 1,
	},
	{
		.name = "reclaim-beside-sharer-write",
		.about = "a shared table's pages go to the store while one who shares it writes",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "reclaim", reclaim_one }, { "writer in b", store_2 } },
	},
	{
		.name = "reclaim-beside-sharer-end",
		.about = "a shared table's pages go to the store while one who shares it ends",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "reclaim", reclaim_one }, { "exit", end_b } },
	},
	{
		.name = "reclaim-beside-sharer-unmap",
		.about =
			"a shared table's pages go to the store while one who shares it unmaps one",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "reclaim", reclaim_one }, { "munmap", munmap_0 } },
	},
	{
		.name = "swap-in-beside-swap-in",
		.about = "two spaces read a page that is in the store",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "reader", load_swapped }, { "reader in b", load_swapped_in_b } },
	},
	{
		.name = "swap-in-beside-write",
		.about = "two spaces write to a page that is in the store",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "writer", store_swapped }, { "writer in b", store_swapped_in_b } },
	},
	{
		.name = "swap-off-beside-write",
		.about = "a write fault copies a table whose other sharer ends; the store is taken "
			 "away",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "writer", store_0 }, { "swap off", end_b_and_swap_off } },
	},
	{
		.name = "swap-off-beside-read",
		.about = "the store is taken away while a page comes back from it",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "reader", load_swapped }, { "swap off", swap_off } },
	},
	{
		.name = "swap-off-beside-reclaim",
		.about = "the store is taken away while a page goes there",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", try_page_out }, { "swap off", swap_off } },
	},
	{
		.name = "swap-off-beside-end",
		.about = "the store is taken away while a space with pages there ends",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "exit", end_b }, { "swap off", swap_off } },
	},
	{
		.name = "swap-off-beside-fork",
		.about = "the store is taken away while a space with pages there forks",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "fork", fork_c_and_reclaim }, { "swap off", swap_off } },
		.check = check_c,
	},
	{
		.name = "swap-in-beside-reclaim",
		.about = "a page comes back while the clock goes on, and another CPU writes to it",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "reader in b", load_swapped_in_b },
			    { "reclaim", reclaim_one },
			    { "writer", store_swapped } },
		.bound = 1,
	},
	{
		.name = "swap-out-beside-use",
		.about = "a page goes to the store while one CPU reads it and another writes to it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "reclaim", page_out_0 },
			    { "writer", store_0 },
			    { "reader", load_1 } },
	},
	{
		.name = "swap-in-beside-new-page",
		.about = "a page is dropped while it comes back, and another one goes from there",
		.frames = 256,
		.setup = one_page_away,
		.thread = { { "reader", load_swapped }, { "new page", swap_anew } },
	},
	{
		.name = "swap-in-apart-beside-read",
		.about = "two spaces with entries of their own read one slot",
		.frames = 256,
		.setup = four_pages_swapped_apart,
		.thread = { { "reader", load_swapped }, { "reader in b", load_swapped_in_b } },
	},
	{
		.name = "swap-in-apart-beside-write",
		.about = "one of two spaces with entries for one slot writes, and the other reads",
		.frames = 256,
		.setup = four_pages_swapped_apart,
		.thread = { { "writer", store_swapped }, { "reader in b", load_swapped_in_b } },
	},
	{
		.name = "swap-in-when-full",
		.about = "memory is full at some moment of a page's way back",
		.frames = 256,
		.setup = four_pages_swapped,
		.thread = { { "writer", store_swapped },
			    { "writer in b", store_swapped_in_b },
			    { "memory", memory_is_full } },
		.full = true,
		.bound = 1,
	},
	{ 0 },
};
