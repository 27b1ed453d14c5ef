/* SPDX-License-Identifier: MIT */
/* Objects: their end, their size, their pagers, beside those who map them. */
#include "scenario.h"

#include <string.h>

/* ---- Two objects end at once ---- */

static void create(unsigned i, uint64_t size)
{
	struct hf_object_config c = { .size = size, .pager = &hfx_pager, .host = &w.file[i] };

	OK(hf_object_create(&w.phys, &c, &w.object[i]));
}

static void two_objects(void)
{
	for (unsigned i = 0; i < 2; i++) {
		create(i, PAGE);
		OK(hf_object_write(w.object[i], 0, "x", 1));
	}
}

static void put_first(void)
{
	OK(hf_object_put(w.object[0]));
	hfx_file_end(0, 1);
}

static void put_second(void)
{
	OK(hf_object_put(w.object[1]));
	hfx_file_end(1, 1);
}

/* ---- Growing beside a write ---- */

static void short_object(void)
{
	struct hf_object_config c = { .size = 8 };

	OK(hf_object_create(&w.phys, &c, &w.object[0]));
	OK(hf_object_write(w.object[0], 0, "a", 1));
}

static void grow(void)
{
	OK(hf_object_truncate(w.object[0], 64));
}

static void write_beyond(void)
{
	w.st[1] = hf_object_write(w.object[0], 16, "x", 1);
}

static void written_stays(void)
{
	char c = 0;

	OK(hf_object_read(w.object[0], 16, &c, 1));
	EXPECT(c == (w.st[1] ? 0 : 'x'));
}

/* ---- A file that a and b map shared; page i has i + 1 in it ---- */

static void map_file(unsigned mm)
{
	hfx_space(mm);
	w.va = (hf_va)1 << 30;
	OK(hf_mmap_object(&w.mm[mm], &w.va, 4 * PAGE, RW, HF_MAP_SHARED | HF_MAP_FIXED, w.object[0],
			  0));
}

void mapped_file(void)
{
	for (uint64_t i = 0; i < HFX_PAGES; i++) {
		uint64_t v = i + 1;

		memcpy(w.file[0].page[i], &v, 8);
	}
	create(0, 4 * PAGE);
	map_file(0);
	map_file(1);
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
	hfx_switch(2, &w.mm[1]);
	for (unsigned i = 0; i < 4; i++)
		hfx_write_begins(&w.mm[0], page(i), i + 1)->end = 0;
}

static void touched_file(void)
{
	mapped_file();
	OK(hfx_user_load(0, page(0), NULL));
	OK(hfx_user_store(0, page(0), 5));
	hfx_switch(0, &w.mm[0]);
}

static void sync_file(void)
{
	OK(hf_object_sync(w.object[0], 0, 4 * PAGE));
}

/* What was stored is in the file in the end, or the page is still dirty. */
static void nothing_is_lost(void)
{
	uint64_t kept, seen = 0;

	OK(hf_object_sync(w.object[0], 0, 4 * PAGE));
	memcpy(&kept, w.file[0].page[0], 8);
	OK(hf_object_read(w.object[0], 0, &seen, 8));
	EXPECT(kept == seen);
}

static void load_in_b(void)
{
	uint64_t v = 0;

	OK(hfx_access(2, page(0), false, &v));
	EXPECT(v == 1 || v == 10);
}

static void shrink(void)
{
	struct hfx_written *s = hfx_write_begins(&w.mm[0], page(0), 0);

	s->perhaps = true; /* a fault may bring it back as long as the size is what it was */
	OK(hf_object_truncate(w.object[0], 0));
}

static void check_shrunk(void)
{
	struct hf_object_stats s;

	hf_object_stats(w.object[0], &s);
	EXPECT(s.size == 0 && s.pages[0] == 0);
}

static void unmap_a(void)
{
	hfx_switch(0, NULL);
	hfx_switch(1, NULL);
	OK(hf_munmap(&w.mm[0], w.va, 4 * PAGE));
}

static void unmap_b(void)
{
	hfx_switch(2, NULL);
	OK(hf_munmap(&w.mm[1], w.va, 4 * PAGE));
}

/* The host's own reference is gone: the mappings are the last. */
static void file_of_mappings(void)
{
	touched_file();
	OK(hf_object_put(w.object[0]));
}

static void all_is_put(void)
{
	EXPECT(w.file[0].puts == 1 && w.file[0].writebacks == 1);
}

static void put_object(void)
{
	OK(hf_object_put(w.object[0]));
}

static void try_load_0(void)
{
	try_load(0, 0);
}

static void try_store_0(void)
{
	try_store(0, 0, 10);
}

static void pin_file(void)
{
	pin_and_write(0, 0, 13);
}

static void map_more(void)
{
	hf_va va = w.va + 64 * PAGE;

	OK(hf_mmap(&w.mm[0], &va, PAGE, RW, HF_MAP_FIXED));
}

const struct hfx_scenario hfx_object[] = {
	{
		.name = "object-put-waits",
		.about =
			"two objects end at once: when hf_object_put returns, its own has been put",
		.frames = 256,
		.setup = two_objects,
		.thread = { { "first", put_first }, { "second", put_second } },
	},
	{
		.name = "truncate-grows-beside-write",
		.about = "an object grows beside a write beyond its old end: done, or not, but not "
			 "lost",
		.frames = 256,
		.setup = short_object,
		.thread = { { "truncate", grow }, { "writer", write_beyond } },
		.check = written_stays,
	},
	{
		.name = "pager-beside-fault",
		.about = "two spaces fault on a page that the pager has",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "writer", store_0 }, { "reader in b", load_in_b } },
	},
	{
		.name = "pager-beside-mmap",
		.about = "a fault waits for the pager while another thread maps",
		.frames = 256,
		.setup = mapped_file,
		.thread = { { "reader", load_0 }, { "mmap", map_more } },
	},
	{
		.name = "sync-beside-store",
		.about = "a page is written back while a CPU stores to it: nothing is lost",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "sync", sync_file }, { "writer", store_0 } },
		.check = nothing_is_lost,
	},
	{
		.name = "sync-beside-pin",
		.about = "a page is written back while a device pins and writes it",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "sync", sync_file }, { "device", pin_file } },
		.check = nothing_is_lost,
	},
	{
		.name = "sync-beside-sync",
		.about = "two threads write the same page back",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "sync", sync_file }, { "sync too", sync_file } },
		.check = nothing_is_lost,
	},
	{
		.name = "truncate-beside-load",
		.about = "an object shrinks while a CPU loads from its page",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "truncate", shrink }, { "reader", try_load_0 } },
		.check = check_shrunk,
	},
	{
		.name = "truncate-beside-store",
		.about = "an object shrinks while a CPU stores to its page",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "truncate", shrink }, { "writer", try_store_0 } },
		.check = check_shrunk,
	},
	{
		.name = "truncate-beside-sync",
		.about = "an object shrinks while it is written back",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "truncate", shrink }, { "sync", sync_file } },
		.check = check_shrunk,
	},
	{
		.name = "truncate-beside-fork",
		.about = "an object shrinks while a space that maps it forks",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "truncate", shrink }, { "fork", fork_c } },
		.check = check_shrunk,
	},
	{
		.name = "object-ends-with-last-mapping",
		.about =
			"two spaces unmap an object that nobody else has: it is put once, and kept",
		.frames = 256,
		.setup = file_of_mappings,
		.thread = { { "munmap", unmap_a }, { "munmap in b", unmap_b } },
		.check = all_is_put,
	},
	{
		.name = "object-put-beside-munmap",
		.about = "the host and the mappings let go of an object at once",
		.frames = 256,
		.setup = touched_file,
		.thread = { { "munmap", unmap_a },
			    { "munmap in b", unmap_b },
			    { "put", put_object } },
		.check = all_is_put,
		.bound = 1,
	},
	{ 0 },
};
