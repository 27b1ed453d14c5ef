/* SPDX-License-Identifier: MIT */
/* Counts over a space and over each of its mappings. */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/zero.h"
#include "../space/mm.h"
#include "../space/vma.h"
#include "../table/visit.h"

#include <holdfast/mm.h>
#include <holdfast/report.h>

/* ---- The whole space ---- */

struct counting {
	struct hf_phys *phys;
	struct hf_mm_stats *out;
};

static void count_table(void *arg, hf_pfn table, unsigned level)
{
	struct counting *c = arg;

	(void)level;
	c->out->tables++;
	c->out->shared_tables += hf_frame_at(c->phys, table)->refs > 1;
}

HF_HOLDS(phys)
static bool count_entry(void *arg, const struct hf_visited *v)
{
	struct counting *c = arg;

	if (hf_pte_swapped(v->e))
		c->out->swapped++;
	if (!hf_pte_leaf(v->e, v->level))
		return true;
	if (hf_is_zero_locked(c->phys, hf_pte_pfn(v->e))) {
		c->out->zero_bytes += hf_level_size(v->level);
		return true;
	}
	c->out->leaves[v->level]++;
	c->out->pinned_frames += hf_pinned_frames_locked(c->phys, hf_pte_pfn(v->e), v->level);
	return true;
}

void hf_mm_stats(struct hf_mm *mm, struct hf_mm_stats *out)
{
	struct counting c = { mm->phys, out };
	const struct hf_visitor visitor = { count_table, count_entry, &c };
	struct hf_vma v = { 0 };

	*out = (struct hf_mm_stats){ 0 };
	hf_mm_lock_exclusive(mm);
	while (hf_mapping_next(mm, v.end, &v)) {
		out->mapped_bytes += v.end - v.start;
		out->vmas++;
	}
	hf_phys_lock(mm->phys);
	hf_visit_locked(mm, mm->va_lo, mm->va_hi, &visitor);
	hf_phys_unlock(mm->phys);
	hf_mm_unlock_exclusive(mm);
}

/* ---- By mapping ---- */

struct mapping {
	struct hf_phys *phys;
	struct hf_smaps *out;
};

/* The size of a leaf goes to the one of four that it belongs to. */
static void sort_leaf(struct hf_smaps *out, const struct hf_visited *v, bool shared)
{
	uint64_t size = hf_level_size(v->level);

	if (shared)
		*(hf_leaf_dirty(v->e) ? &out->shared_dirty : &out->shared_clean) += size;
	else
		*(hf_leaf_dirty(v->e) ? &out->private_dirty : &out->private_clean) += size;
	if (v->shared)
		out->shared_table += size;
}

HF_HOLDS(phys)
static bool sum_up(void *arg, const struct hf_visited *v)
{
	struct mapping *m = arg;
	struct hf_smaps *out = m->out;
	uint64_t size = hf_level_size(v->level);
	hf_pfn pfn = hf_pte_pfn(v->e);

	if (hf_pte_swapped(v->e))
		out->swapped += size;
	if (!hf_pte_leaf(v->e, v->level))
		return true;
	if (hf_is_zero_locked(m->phys, pfn)) {
		out->zero += size;
		return true;
	}
	out->resident += size;
	out->leaf[v->level] += size;
	sort_leaf(out, v, !hf_visited_exclusive_locked(m->phys, v));
	out->accessed += hf_leaf_accessed(v->e) ? size : 0;
	out->lazy += hf_leaf_lazy(v->e) ? size : 0;
	out->pinned += hf_pinned_frames_locked(m->phys, pfn, v->level) * HF_PAGE_SIZE;
	return true;
}

static enum hf_on_fork on_fork(const struct hf_vma *vma)
{
	if (vma->flags & HF_VMA_DONTFORK)
		return HF_ON_FORK_ABSENT;
	if (vma->flags & HF_VMA_WIPE)
		return HF_ON_FORK_ZEROS;
	return hf_vma_is_cow(vma) ? HF_ON_FORK_COPY : HF_ON_FORK_SAME;
}

/* mm lock held exclusively. */
HF_HOLDS(mm)
static void describe(struct hf_mm *mm, const struct hf_vma *vma, struct hf_smaps *out)
{
	struct mapping m = { mm->phys, out };
	const struct hf_visitor visitor = { .entry = sum_up, .arg = &m };

	*out = (struct hf_smaps){
		.vma = hf_vma_describe(vma),
		.on_fork = on_fork(vma),
		.size = vma->end - vma->start,
	};
	hf_phys_lock(mm->phys);
	hf_visit_locked(mm, vma->start, vma->end, &visitor);
	hf_phys_unlock(mm->phys);
	if (hf_vma_is_mlocked(mm, vma))
		out->locked = out->resident;
}

enum hf_status hf_mm_smaps(struct hf_mm *mm, hf_va va, struct hf_smaps *out)
{
	struct hf_vma vma;
	bool found;

	hf_mm_lock_exclusive(mm);
	found = hf_mapping_next(mm, va, &vma);
	if (found)
		describe(mm, &vma, out);
	hf_mm_unlock_exclusive(mm);
	return found ? HF_OK : HF_ERR_UNMAPPED;
}
