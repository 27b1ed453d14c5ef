/* SPDX-License-Identifier: MIT */
/* What the tables say, told to a port that keeps translations of its own. */
#include "fill.h"

#include "../arch/entry.h"
#include "../lib/math.h"
#include "../phys/frame.h"
#include "../table/table.h"
#include "../table/walk.h"

#include <holdfast/mm.h>

/* The neighbour `step` entries on continues the run of leaf `e`, in one range of RAM. */
static bool leaf_continues(const struct hf_walk *w, hf_pte e, int step)
{
	hf_pte n = hf_pte_get(w->entry + step);
	uint32_t frames = 1u << hf_level_order(w->level);
	uint32_t pfn = hf_pte_pfn(e).v + (uint32_t)step * frames;

	return hf_pte_leaf(n, w->level) && hf_pte_present(n) && hf_pte_pfn(n).v == pfn &&
	       hf_ram_of(w->mm->phys, hf_pte_pfn(n)) == hf_ram_of(w->mm->phys, hf_pte_pfn(e)) &&
	       hf_leaf_writable(n) == hf_leaf_writable(e) &&
	       hf_leaf_executable(n) == hf_leaf_executable(e) && hf_leaf_accessed(n);
}

/* The longest run of leaves alike around the walk's, in its table. */
static struct hf_translation run_around(const struct hf_walk *w)
{
	struct hf_translation t = hf_walk_translation(w);
	hf_pte e = hf_pte_get(w->entry);
	int index = (int)hf_table_index(w->va, w->level), below = 0, above = 0;

	while (index - below > 0 && leaf_continues(w, e, -(below + 1)))
		below++;
	while (index + above + 1 < (int)HF_TABLE_ENTRIES && leaf_continues(w, e, above + 1))
		above++;
	t.va -= (uint64_t)below * hf_level_size(w->level);
	t.pa.v -= (uint64_t)below * hf_level_size(w->level);
	t.len *= (uint64_t)(below + 1 + above);
	return t;
}

hf_va hf_fill(const struct hf_walk *w, hf_va end)
{
	struct hf_phys *phys = w->mm->phys;
	struct hf_translation t;

	if (!phys->port->fill)
		return end;
	t = run_around(w);
	end = hf_min_va(end, t.va + t.len);
	phys->port->fill(phys->host, w->mm, w->va, end - w->va, &t);
	return end;
}

void hf_fill_range(struct hf_mm *mm, hf_va lo, hf_va hi)
{
	while (mm->phys->port->fill && lo < hi) {
		struct hf_walk w;
		hf_pte e;

		hf_walk_to(&w, mm, lo);
		e = hf_pte_get(w.entry);
		if (hf_pte_leaf(e, w.level) && hf_pte_present(e) && hf_leaf_accessed(e))
			lo = hf_fill(&w, hi);
		else
			lo = hf_level_base(lo, w.level) + hf_level_size(w.level);
		hf_walk_end(&w);
	}
}
