/* SPDX-License-Identifier: MIT */
/* Runs: what hf_mm_visit makes of the entries of a range. */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/zero.h"
#include "../space/mm.h"
#include "../space/vma.h"
#include "../table/visit.h"
#include "../table/walk.h"

#include <holdfast/mm.h>
#include <holdfast/report.h>

struct runs {
	struct hf_phys *phys;
	hf_va lo, hi; /* what of the mapping is asked for */
	bool (*visit)(void *arg, const struct hf_run *run);
	void *arg;
	struct hf_run run; /* the one that grows; none while its length is 0 */
};

/* Show the run that has ended. phys->lock is let go for it. */
HF_HOLDS(phys)
static bool show(struct runs *r)
{
	struct hf_run run = r->run;
	bool go_on;

	r->run.len = 0;
	if (!run.len)
		return true;
	hf_phys_unlock(r->phys);
	go_on = r->visit(r->arg, &run);
	hf_phys_lock(r->phys);
	return go_on;
}

HF_HOLDS(phys)
static struct hf_run run_of_leaf(const struct runs *r, const struct hf_visited *v)
{
	hf_pfn pfn = hf_pte_pfn(v->e);
	bool zero = hf_is_zero_locked(r->phys, pfn);
	struct hf_run run = {
		.kind = zero ? HF_RUN_ZERO : HF_RUN_PAGE,
		.level = v->level,
		.va = v->va,
		.len = hf_level_size(v->level),
		.access = hf_leaf_access(v->e, v->exclusive),
		.accessed = hf_leaf_accessed(v->e),
		.dirty = hf_leaf_dirty(v->e),
		.lazy = hf_leaf_lazy(v->e),
		.shared_table = v->shared,
	};

	if (zero)
		return run;
	run.pa = hf_pfn_pa(pfn);
	run.exclusive = hf_visited_exclusive_locked(r->phys, v);
	run.pinned = hf_pinned_frames_locked(r->phys, pfn, v->level) * HF_PAGE_SIZE;
	return run;
}

HF_HOLDS(phys)
static struct hf_run run_of(const struct runs *r, const struct hf_visited *v)
{
	hf_va end = v->va + hf_level_size(v->level);
	struct hf_run run = { .kind = HF_RUN_HOLE, .va = hf_max_va(v->va, r->lo) };

	if (hf_pte_leaf(v->e, v->level))
		return run_of_leaf(r, v);
	if (hf_pte_swapped(v->e)) {
		run.kind = HF_RUN_SWAPPED;
		run.shared_table = v->shared;
	}
	run.len = hf_min_va(end, r->hi) - run.va;
	return run;
}

static bool alike(const struct hf_run *a, const struct hf_run *b)
{
	return a->kind == b->kind && a->level == b->level && a->access == b->access &&
	       a->accessed == b->accessed && a->dirty == b->dirty && a->lazy == b->lazy &&
	       a->shared_table == b->shared_table && a->exclusive == b->exclusive;
}

/* `b`, one leaf or hole, continues `a`. */
static bool run_continues(const struct runs *r, const struct hf_run *a, const struct hf_run *b)
{
	hf_pfn last = { (uint32_t)((a->pa.v + a->len - 1) >> HF_PAGE_SHIFT) };
	hf_pfn first = { (uint32_t)(b->pa.v >> HF_PAGE_SHIFT) };

	if (!a->len || a->va + a->len != b->va || !alike(a, b))
		return false;
	if (a->kind != HF_RUN_PAGE)
		return true;
	if (a->pinned ? a->pinned != a->len || b->pinned != b->len : b->pinned)
		return false;
	return a->pa.v + a->len == b->pa.v && hf_ram_of(r->phys, last) == hf_ram_of(r->phys, first);
}

HF_HOLDS(phys)
static bool visit_run(void *arg, const struct hf_visited *v)
{
	struct runs *r = arg;
	struct hf_run run = run_of(r, v);

	if (run_continues(r, &r->run, &run)) {
		r->run.len += run.len;
		r->run.pinned += run.pinned;
		return true;
	}
	if (!show(r))
		return false;
	r->run = run;
	return true;
}

enum hf_status hf_mm_visit(struct hf_mm *mm, hf_va va, uint64_t len,
			   bool (*visit)(void *arg, const struct hf_run *run), void *arg)
{
	struct runs r = { .phys = mm->phys, .visit = visit, .arg = arg };
	struct hf_visitor visitor = { .entry = visit_run, .arg = &r };
	enum hf_status st;
	struct hf_vma v = { .end = va };
	bool go_on = true;

	if (len & (HF_PAGE_SIZE - 1))
		return HF_ERR_ALIGN;
	st = hf_check_pages(mm, va, &len);
	if (st)
		return st;
	hf_mm_lock_exclusive(mm);
	while (go_on && hf_mapping_next(mm, v.end, &v) && v.start < va + len) {
		r.lo = hf_max_va(v.start, va);
		r.hi = hf_min_va(v.end, va + len);
		hf_phys_lock(mm->phys);
		go_on = hf_visit_locked(mm, r.lo, r.hi, &visitor) && show(&r);
		hf_phys_unlock(mm->phys);
	}
	hf_mm_unlock_exclusive(mm);
	return HF_OK;
}
