/* SPDX-License-Identifier: MIT */
/* Calls that change ranges, beside faults, pins and devices; and the end of a space beside the rest. */
#include "scenario.h"

#include <string.h>

static void try_load_1(void)
{
	try_load(1, 0);
	try_load(1, 0);
}

static void try_store_1(void)
{
	try_store(1, 0, 21);
	try_load(1, 0);
}

static void store_1_load(void)
{
	store(1, 0, 21);
	load(1, 0);
}

/* ---- FREE: the page keeps what it has, or becomes zeros at some time ---- */

static void free_0(void)
{
	struct hfx_written *s = hfx_write_begins(&w.mm[0], page(0), 0);

	s->perhaps = true;
	MAY(hf_madvise(&w.mm[0], page(0), PAGE, HF_ADV_FREE), HF_OK);
}

/* ---- A forced write that is tried again must not become a read ---- */

/* What an object has; the mapping is private and read-only. */
static void read_only_file(void)
{
	struct hf_object_config c = { .size = 4 * PAGE };
	uint64_t v = 7;

	OK(hf_object_create(&w.phys, &c, &w.object[0]));
	OK(hf_object_write(w.object[0], 0, &v, 8));
	hfx_space(0);
	w.va = (hf_va)1 << 30;
	OK(hf_mmap_object(&w.mm[0], &w.va, 4 * PAGE, RW, HF_MAP_PRIVATE | HF_MAP_FIXED, w.object[0],
			  0));
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
}

static void write_private(void)
{
	uint64_t v = 66;

	MAY(hf_write(&w.mm[0], page(0), &v, 8), HF_OK);
}

static void store_private(void)
{
	uint64_t v = 67;

	MAY(hfx_access(1, page(0), true, &v), HF_OK);
}

static void drop_private(void)
{
	OK(hf_madvise(&w.mm[0], page(0), PAGE, HF_ADV_DONTNEED));
}

static void object_is_unchanged(void)
{
	uint64_t v = 0;

	OK(hf_object_read(w.object[0], 0, &v, 8));
	EXPECT(v == 7);
}

/* ---- A device, while its page is dropped ---- */

/* What is pinned when DONTNEED comes goes from the space and stays with the device. */
static void device_holds(void)
{
	four_pages();
	OK(hf_pin(&w.mm[0], page(0), PAGE, HF_PIN_WRITE, w.span, 4, &w.spans));
	hfx_switch(0, &w.mm[0]);
}

static void device_writes(void)
{
	char *p = hfx_ram + (w.span[0].pa.v - HFX_RAM_BASE);
	uint64_t v = 99, seen;

	for (unsigned i = 0; i < 2; i++) {
		hfx_set(&w.seen[0], i);
		hfx_touch_range(p, 8);
		memcpy(p, &v, 8);
		hfx_set(&w.seen[0], i);
		memcpy(&seen, p, 8);
		EXPECT(seen == v); /* nobody else has the frame */
	}
	OK(hf_unpin(&w.phys, w.span, w.spans));
}

/* Another page comes and takes what is free. */
static void drop_and_touch(void)
{
	dontneed_0();
	store(0, 0, 30);
	store(0, 1, 31);
}

/* ---- mremap ---- */

#define AWAY (w.va + 16 * PAGE)

static void move_0(void)
{
	hf_va to = AWAY;
	struct hfx_written *here = hfx_write_begins(&w.mm[0], page(0), 0);

	here->perhaps = true; /* what is stored there moves, too */
	MAY(hf_mremap(&w.mm[0], page(0), PAGE, PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED, &to),
	    HF_OK);
}

/* It has what page 0 had, and page 0 is gone. */
static void check_moved(void)
{
	uint64_t v = 0;

	if (hf_read(&w.mm[0], AWAY, &v, 8))
		EXPECT(w.full);
	else
		EXPECT(v == 1 || v == 21 || v == 13);
}

static void pin_moving(void)
{
	struct hf_span span;
	size_t n;
	enum hf_status st = hf_pin(&w.mm[0], page(0), PAGE, HF_PIN_WRITE, &span, 1, &n);
	struct hf_translation t;

	MAY(st, HF_ERR_UNMAPPED);
	if (st)
		return;
	/* Wherever the page is mapped, it is this frame. */
	if (!hf_translate(&w.mm[0], page(0), &t) || !hf_translate(&w.mm[0], AWAY, &t))
		EXPECT(t.pa.v == span.pa.v);
	OK(hf_unpin(&w.phys, &span, n));
}

/* ---- mprotect ---- */

static void make_read_only(void)
{
	MAY(hf_mprotect(&w.mm[0], page(0), PAGE, HF_PROT_READ), HF_OK);
	hfx_set(&w.seen[1], 1);
}

/* After the call no store succeeds. */
static void store_unless_read_only(void)
{
	bool already = hfx_get(&w.seen[1]);
	enum hf_status st = hfx_user_store(1, page(0), 21);

	MAY(st, HF_ERR_ACCESS);
	EXPECT(st || !already);
}

static void munmap_all_of_b(void)
{
	MAY(hf_munmap(&w.mm[1], w.va, 4 * PAGE), HF_OK);
}

const struct hfx_scenario hfx_ranges[] = {
	{
		.name = "munmap-beside-load",
		.about = "a page is unmapped while another CPU loads from it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "munmap", munmap_0 }, { "reader", try_load_1 } },
		.speculate = { { 1, 0 } },
		.speculations = 1,
	},
	{
		.name = "munmap-beside-store",
		.about = "a page is unmapped while another CPU stores to it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "munmap", munmap_0 }, { "writer", try_store_1 } },
	},
	{
		.name = "munmap-beside-pin",
		.about = "a page is unmapped while a device pins and writes it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "munmap", munmap_0 }, { "device", pin_0 } },
	},
	{
		.name = "dontneed-beside-store",
		.about = "a page is dropped while another CPU stores to it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "dontneed", dontneed_0 }, { "writer", store_1_load } },
	},
	{
		.name = "dontneed-beside-pin",
		.about = "a page is dropped while a device pins and writes it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "dontneed", dontneed_0 }, { "device", pin_0 } },
	},
	{
		.name = "dontneed-under-device",
		.about = "a page that a device holds is dropped, and new ones come",
		.frames = 256,
		.setup = device_holds,
		.thread = { { "dontneed", drop_and_touch }, { "device", device_writes } },
	},
	{
		.name = "free-beside-store",
		.about = "MADV_FREE beside a store, and reclaim",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "free", free_0 },
			    { "writer", store_1_load },
			    { "reclaim", reclaim_one } },
		.bound = 1,
	},
	{
		.name = "write-becomes-read",
		.about = "a write to a private file page is tried again while the page is dropped",
		.frames = 256,
		.setup = read_only_file,
		.thread = { { "write", write_private },
			    { "dontneed", drop_private },
			    { "user", store_private } },
		.check = object_is_unchanged,
		.bound = 1,
	},
	{
		.name = "mremap-races",
		.about = "a page moves while another CPU stores to where it was",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "mremap", move_0 }, { "writer", try_store_1 } },
		.check = check_moved,
		.speculate = { { 1, 0 }, { 1, 16 } },
		.speculations = 2,
		.bound = 1,
	},
	{
		.name = "mremap-beside-pin",
		.about = "a page moves while a device pins it",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "mremap", move_0 }, { "device", pin_moving } },
		.check = check_moved,
	},
	{
		.name = "mprotect-beside-store",
		.about = "write permission goes while another CPU stores",
		.frames = 256,
		.setup = four_pages,
		.thread = { { "mprotect", make_read_only }, { "writer", store_unless_read_only } },
	},
	{
		.name = "mprotect-of-shared-beside-sharer",
		.about = "a range in a shared table loses write permission while the other sharer "
			 "writes",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "mprotect", make_read_only }, { "writer in b", store_2 } },
	},
	{
		.name = "end-beside-munmap",
		.about = "a space ends while one that shares its table unmaps",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "exit", end_b }, { "munmap", munmap_0 } },
	},
	{
		.name = "munmap-beside-munmap",
		.about = "two spaces unmap what is in a table that they share",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "munmap", munmap_0 }, { "munmap in b", munmap_all_of_b } },
	},
	{
		.name = "munmap-when-full",
		.about = "memory is full at some moment of an unmapping beside a sharer's write",
		.frames = 256,
		.setup = four_pages_shared,
		.thread = { { "munmap", munmap_0 },
			    { "writer in b", store_2 },
			    { "memory", memory_is_full } },
		.full = true,
		.bound = 1,
	},
	{ 0 },
};
