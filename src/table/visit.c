/* SPDX-License-Identifier: MIT */
/* Visits: every entry of a range, and the runs that hf_mm_visit makes of them. */
#include "visit.h"

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "table.h"

#include <holdfast/mm.h>

struct visit {
	struct hf_phys *phys;
	hf_va lo, hi;
	const struct hf_visitor *visitor;
	uint32_t done; /* entries, since phys->lock was let go */
};

/* What the way to a table says about it. */
struct way {
	bool exclusive, shared;
};

/*
 * Between two entries others may have phys->lock. The tables stand all the same: the space's own
 * because its lock is held exclusively, shared ones because their branches stay. The way keeps what
 * was found at first: a table that was shared may be the space's own by now, but not the reverse.
 */
HF_HOLDS(phys)
static bool visit_table(struct visit *v, hf_pfn table, hf_va base, unsigned level, struct way way)
{
	const struct hf_visitor *visitor = v->visitor;
	const hf_pte *entries = hf_table_entries(v->phys, table);
	unsigned end = hf_end_index(v->hi, base, level);

	way.shared |= hf_frame_at(v->phys, table)->refs > 1;
	if (visitor->table)
		visitor->table(visitor->arg, table, level);
	for (unsigned i = hf_first_index(v->lo, base, level); i < end; i++) {
		hf_pte e = hf_pte_get(&entries[i]);
		hf_va va = base + i * hf_level_size(level);
		struct way below = { way.exclusive && hf_pte_writable(e, level), way.shared };
		struct hf_visited entry = { e, va, level, way.exclusive, way.shared };
		bool go_on;

		hf_phys_batch(v->phys, &v->done, level > HF_LEVEL_PMD ? HF_TABLE_ENTRIES : 1);
		if (hf_pte_branch(e, level))
			go_on = visit_table(v, hf_pte_pfn(e), va, level - 1, below);
		else
			go_on = visitor->entry(visitor->arg, &entry);
		if (!go_on)
			return false;
	}
	return true;
}

bool hf_visit_locked(struct hf_mm *mm, hf_va lo, hf_va hi, const struct hf_visitor *visitor)
{
	struct visit v = { mm->phys, lo, hi, visitor, 0 };

	HF_ASSERT(mm->phys, hf_rwlock_held_exclusive(&mm->rwlock));
	HF_ASSERT_PHYS(mm->phys);
	return visit_table(&v, mm->root, 0, HF_TOP_LEVEL, (struct way){ .exclusive = true });
}

bool hf_visited_exclusive_locked(struct hf_phys *phys, const struct hf_visited *leaf)
{
	hf_pfn pfn = hf_pte_pfn(leaf->e);

	return !leaf->shared && hf_mapped_once_locked(phys, pfn, leaf->level) &&
	       hf_frame_get_kind(hf_frame_at(phys, pfn)) != HF_FRAME_CACHED;
}

/* ---- Runs ---- */
