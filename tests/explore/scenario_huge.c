/* SPDX-License-Identifier: MIT */
/* Huge pages: cut into small ones, and collapsed from them, beside what uses them. */
#include "scenario.h"

/* ---- Splits: a writer of a shared huge page that copies small parts ---- */

static void small_copies(void)
{
	huge_page_apart();
	w.mm[0].huge_cow = w.mm[1].huge_cow = HF_HUGE_COW_SMALL;
}

static void store_part_3(void)
{
	store(1, 3, 21);
}

static void load_part_3(void)
{
	load(1, 3);
}

/* ---- Collapse: four pages, and the rest of the 2 MiB is a hole ---- */

static void part_of_2_mib(void)
{
	hfx_space(0);
	hfx_map(0, HUGE_PAGE);
	hfx_switch(0, &w.mm[0]);
	for (unsigned i = 0; i < 4; i++)
		OK(hfx_user_store(0, page(i), i + 1));
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
}

static void collapse(void)
{
	enum hf_status st = hf_madvise(&w.mm[0], w.va, HUGE_PAGE, HF_ADV_COLLAPSE);

	MAY(st, st == HF_ERR_NOMEM ? st : HF_ERR_AGAIN);
}

static void store_then_load(void)
{
	store(1, 0, 20);
	load(0, 0);
}

const struct hfx_scenario hfx_huge[] = {
	{
		.name = "split-beside-read",
		.about = "a writer splits a shared huge page while another CPU reads a part",
		.frames = 2048,
		.setup = small_copies,
		.thread = { { "writer", store_0 }, { "reader", load_part_3 } },
	},
	{
		.name = "split-beside-write",
		.about = "two CPUs write to parts of a shared huge page",
		.frames = 2048,
		.setup = small_copies,
		.thread = { { "writer", store_0 }, { "writer too", store_part_3 } },
	},
	{
		.name = "huge-count-races-split",
		.about = "both owners of a huge page split it and write at once",
		.frames = 2048,
		.setup = small_copies,
		.thread = { { "writer", store_0 }, { "writer in b", store_2 } },
		.bound = 1,
	},
	{
		.name = "split-beside-pin",
		.about = "a writer splits a shared huge page while a device pins a part of it",
		.frames = 2560,
		.setup = small_copies,
		.thread = { { "device", pin_0 }, { "writer", store_part_3 } },
	},
	{
		.name = "huge-copy-beside-read",
		.about = "a shared huge page is copied whole for a writer while another CPU reads "
			 "it",
		.frames = 2048,
		.setup = huge_page_apart,
		.thread = { { "writer", store_0 }, { "reader", load_part_3 } },
		.bound = 1,
	},
	{
		.name = "collapse-beside-read",
		.about = "small pages become a huge one while another CPU reads them",
		.frames = 1536,
		.setup = part_of_2_mib,
		.thread = { { "collapse", collapse }, { "reader", load_part_3 } },
		.bound = 1,
	},
	{
		.name = "collapse-beside-write",
		.about = "small pages become a huge one while another CPU writes to them",
		.frames = 1536,
		.setup = part_of_2_mib,
		.thread = { { "collapse", collapse }, { "writer", store_then_load } },
		.bound = 1,
	},
	{
		.name = "pin-races-collapse",
		.about = "small pages become a huge one while a device pins and writes one",
		.frames = 1536,
		.setup = part_of_2_mib,
		.thread = { { "collapse", collapse }, { "device", pin_0 } },
		.bound = 1,
	},
	{
		.name = "collapse-beside-fork",
		.about = "small pages become a huge one while the space forks",
		.frames = 1536,
		.setup = part_of_2_mib,
		.thread = { { "collapse", collapse }, { "fork", fork_c } },
		.check = check_c,
		.bound = 1,
	},
	{ 0 },
};
