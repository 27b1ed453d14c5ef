/* SPDX-License-Identifier: MIT */
/* Objects: their end, their size, their pagers. */
#include "scenario.h"

/* ---- Two objects end at once ---- */

static void two_objects(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct hf_object_config c = {
			.size = PAGE,
			.pager = &hfx_pager,
			.host = &w.file[i],
		};

		OK(hf_object_create(&w.phys, &c, &w.object[i]));
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

const struct hfx_scenario hfx_object[] = {
	{
		.name = "object-put-waits",
		.about =
			"two objects end at once: when hf_object_put returns, its own has been put",
		.frames = 256,
		.setup = two_objects,
		.thread = { { "first", put_first }, { "second", put_second } },
		.known = "hf_objects_reap takes what another thread is to end",
	},
	{
		.name = "truncate-grows-beside-write",
		.about = "an object grows beside a write beyond its old end: done, or not, but not "
			 "lost",
		.frames = 256,
		.setup = short_object,
		.thread = { { "truncate", grow }, { "writer", write_beyond } },
		.check = written_stays,
		.known = "hf_object_truncate clears the tail after it has given the new size out",
	},
	{ 0 },
};
