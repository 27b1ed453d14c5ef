/* SPDX-License-Identifier: MIT */
/* Shared tables and what becomes of them: two spaces, or two threads of one, unshare. */
#include "scenario.h"

/* Two parts of 2 MiB: in the second the tables above are the parent's own again. */
static void forked(void)
{
	hfx_space(0);
	w.va = hfx_map(0, 2 * HUGE_PAGE, HUGE_PAGE);
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
	for (unsigned i = 0; i < 3; i++)
		hfx_user_store(0, w.va + i * PAGE, i + 1);
	hfx_user_store(0, w.va + HUGE_PAGE, 9);
	OK(hf_fork(&w.mm[0], &w.mm[1], NULL, HF_FORK_COPY));
	hfx_user_store(0, w.va + HUGE_PAGE, 10);
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
	/* CPU 1 has the branch to the shared table in its cache, but not the page that will change. */
	hfx_user_load(1, w.va + PAGE);
}

static void write_first(void)
{
	OK(hf_fault(&w.mm[0], w.va, HF_ACCESS_WRITE, NULL));
}

/* A store completes, and then another CPU loads. */
static void store_then_load(void)
{
	hfx_user_store(0, w.va + 2 * PAGE, 20);
	hfx_user_load(1, w.va + 2 * PAGE);
}

const struct hfx_scenario hfx_unshare[] = {
	{
		.name = "unshare-beside-store",
		.about = "one thread makes a table exclusive, another stores through it; a third "
			 "CPU loads",
		.frames = 256,
		.setup = forked,
		.thread = { { "unshare", write_first }, { "user", store_then_load } },
		.known = "on RISC-V a flush of leaves leaves the branch to the old table",
	},
	{ 0 },
};
