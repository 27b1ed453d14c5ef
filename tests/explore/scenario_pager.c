/* SPDX-License-Identifier: MIT */
/* A fault that waits for a pager, beside everything else; and pagers that answer later. */
#include "scenario.h"

#include <string.h>

#ifndef HFX_NO_SUPPLY /* a core of before there was hf_object_supply */

static void load_first(void)
{
	load(0, 0);
}

static void load_first_too(void)
{
	load(1, 0);
}

static void try_first(void)
{
	try_load(0, 0);
}

static void load_second(void)
{
	load(1, 1);
}

static void load_in_b(void)
{
	uint64_t v = 0;

	OK(hfx_access(2, page(0), false, &v));
	EXPECT(v == 1 || v == 13);
}

static void pin_first(void)
{
	pin_and_write(0, 0, 13);
}

static void put(void)
{
	OK(hf_object_put(w.object[0]));
}

static void sync_all(void)
{
	OK(hf_object_sync(w.object[0], 0, 4 * PAGE));
}

static void to_nothing(void)
{
	hfx_write_begins(&w.mm[0], page(0), 0)->perhaps = true;
	OK(hf_object_truncate(w.object[0], 0));
}

static void shrink_and_grow(void)
{
	to_nothing();
	OK(hf_object_truncate(w.object[0], 4 * PAGE));
}

/* ---- Answers that come later ---- */

static void file_of_later(void)
{
	mapped_file();
	w.file[0].later = true;
}

static void supply(void)
{
	char data[PAGE] = { 0 };
	uint64_t v = 1;
	enum hf_status st;

	memcpy(data, &v, 8);
	st = hf_object_supply(w.object[0], 0, data, PAGE);
	MAY(st, HF_OK);
}

static void supply_when_asked(void)
{
	hfx_until(&w.file[0].asked);
	supply();
}

static void fail_when_asked(void)
{
	hfx_until(&w.file[0].asked);
	OK(hf_object_fail(w.object[0], 0, PAGE));
}

/* Whoever is told that there is none, or that it is beyond the end, does not wait for ever. */
static void truncate_when_asked(void)
{
	hfx_until(&w.file[0].asked);
	to_nothing();
}

static void fault_first(void)
{
	MAY(hf_fault(&w.mm[0], page(0), HF_ACCESS_READ, NULL), HF_ERR_BUS);
}

const struct hfx_scenario hfx_pagers[] = {
	{
		.name = "pager-beside-other-page",
		.about = "one thread waits for a page, another for the next",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "reader", load_first }, { "reader too", load_second } },
	},
	{
		.name = "pager-beside-same-page",
		.about = "two threads of a space and one of another want the same page",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "reader", load_first },
			    { "reader too", load_first_too },
			    { "reader in b", load_in_b } },
		.bound = 1,
	},
	{
		.name = "pager-beside-fork",
		.about = "a fault waits for the pager while its space forks",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "reader", load_first }, { "fork", fork_c } },
	},
	{
		.name = "pager-beside-munmap",
		.about = "a fault waits for the pager while its page is unmapped",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "reader", try_first }, { "munmap", munmap_0 } },
	},
	{
		.name = "pager-beside-pin",
		.about = "a device pins and writes a page for which another space waits",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "device", pin_first }, { "reader in b", load_in_b } },
	},
	{
		.name = "pager-beside-sync",
		.about = "a written page is written back while another is asked for",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "writer", store_0 }, { "sync", sync_all } },
	},
	{
		.name = "pager-beside-truncate",
		.about = "a fault waits for the pager while the object loses the page",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "reader", try_first }, { "truncate", shrink_and_grow } },
	},
	{
		.name = "pager-beside-put",
		.about = "a fault waits for the pager while the host lets go of the object, and a "
			 "space ends",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "reader", load_first }, { "put", put }, { "exit", end_b } },
		.bound = 1,
	},
	{
		.name = "supply-beside-fault",
		.about = "the pager answers later: whoever waits goes on",
		.frames = 256,
		.setup = file_of_later,
		.thread = { { "reader", load_first }, { "host", supply } },
	},
	{
		.name = "supply-for-two",
		.about = "two spaces wait for one late answer",
		.frames = 256,
		.setup = file_of_later,
		.thread = { { "reader", load_first },
			    { "reader in b", load_in_b },
			    { "host", supply_when_asked } },
		.bound = 1,
	},
	{
		.name = "fail-beside-fault",
		.about = "the pager says later that there is nothing",
		.frames = 256,
		.setup = file_of_later,
		.thread = { { "reader", fault_first }, { "host", fail_when_asked } },
	},
	{
		.name = "truncate-ends-waiting",
		.about = "a pager never answers; a truncation is a way past it",
		.frames = 256,
		.setup = file_of_later,
		.thread = { { "reader", fault_first }, { "truncate", truncate_when_asked } },
	},
	{ 0 },
};

#else

const struct hfx_scenario hfx_pagers[] = { { 0 } };

#endif
