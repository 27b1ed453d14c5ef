/* SPDX-License-Identifier: MIT */
/* hf_fault. */
#include "../arch/entry.h"
#include "../phys/frame.h"
#include "../space/mm.h"
#include "../space/resolve.h"
#include "../table/table.h"
#include "../table/walk.h"
#include "stack.h"

#include <holdfast/mm.h>

/* The neighbour `step` entries on continues the run of leaf `e`, in one range of RAM. */
static bool continues(const struct hf_walk *w, hf_pte e, int step)
{
	hf_pte n = hf_pte_get(w->entry + step);
	uint32_t frames = 1u << hf_level_order(w->level);
	uint32_t pfn = hf_pte_pfn(e).v + (uint32_t)step * frames;

	return hf_pte_leaf(n, w->level) && hf_pte_present(n) && hf_pte_pfn(n).v == pfn &&
	       hf_ram_of(w->mm->phys, hf_pte_pfn(n)) == hf_ram_of(w->mm->phys, hf_pte_pfn(e)) &&
	       hf_leaf_writable(n) == hf_leaf_writable(e) &&
	       hf_leaf_executable(n) == hf_leaf_executable(e) && hf_leaf_accessed(n);
}

/* Tell the port of the longest run of leaves alike around the one just resolved. */
static void fill(const struct hf_walk *w)
{
	struct hf_phys *phys = w->mm->phys;
	struct hf_translation t = hf_walk_translation(w);
	hf_pte e = hf_pte_get(w->entry);
	int index = (int)hf_table_index(w->va, w->level), below = 0, above = 0;

	while (index - below > 0 && continues(w, e, -(below + 1)))
		below++;
	while (index + above + 1 < (int)HF_TABLE_ENTRIES && continues(w, e, above + 1))
		above++;
	t.va -= (uint64_t)below * hf_level_size(w->level);
	t.pa.v -= (uint64_t)below * hf_level_size(w->level);
	t.len *= (uint64_t)(below + 1 + above);
	phys->port->fill(phys->host, w->mm, w->va, &t);
}

enum hf_status hf_fault(struct hf_mm *mm, hf_va va, unsigned access, struct hf_translation *out)
{
	struct hf_resolution f = { .mm = mm, .va = va, .access = access };
	enum hf_status st;
	bool stack;

	if (access != HF_ACCESS_READ && access != HF_ACCESS_WRITE && access != HF_ACCESS_EXEC)
		return HF_ERR_INVAL;
again:
	hf_mm_lock_shared(mm);
	st = hf_resolve_begin(&f);
	if (!st) {
		if (out)
			*out = hf_walk_translation(&f.walk);
		if (mm->phys->port->fill)
			fill(&f.walk);
		hf_resolve_end(&f);
	}
	stack = st == HF_ERR_UNMAPPED && hf_below_stack(mm, va);
	hf_mm_unlock_shared(mm);
	if (stack) {
		st = hf_stack_grow(mm, va);
		if (!st)
			goto again;
	}
	return st;
}
