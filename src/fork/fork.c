/* SPDX-License-Identifier: MIT */
/*
 * Fork, a transaction in four phases under the parent's exclusive lock:
 *   1. reserve  survey what fork must inspect, and allocate all that it will need;
 *   2. arm      build the child's tables, write-protect what is shared and, for the
 *               moment, what is pinned; then flush: this is the snapshot's instant;
 *   3. copy     the pinned pages, and give their write permission back;
 *   4. publish  the child.
 * The first can fail, and, where another space takes the last room in a count after the survey, the
 * second: then the child that has been begun goes, and nothing shows.
 *
 * Branches without LOOK are shared whole. Pins can go away at any time (hf_unpin needs no
 * space), so every phase decides about a leaf anew: a page that was pinned when it was
 * reserved for and is not when it is armed, is shared, and the reserve has one to give back.
 */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/trace.h"
#include "../phys/block.h"
#include "../phys/buddy.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../phys/zero.h"
#include "../space/mm.h"
#include "../space/vma.h"
#include "../table/table.h"
#include "survey.h"

#include <holdfast/mm.h>
#include <holdfast/report.h>
#include <holdfast/trace.h>

struct fork {
	struct hf_mm *parent;
	struct hf_phys *phys;
	struct hf_survey survey;
	struct hf_fork_cost cost; /* what has been done */
	struct hf_reserve frames;
	uint32_t huge_head; /* 2 MiB blocks, linked like a reserve */
	uint64_t mapped;    /* bytes, in the child */
	hf_pfn root, vmas;  /* the child's */
	bool armed;	    /* something was writable: flush */
	bool overflow;	    /* a count came to its limit after the survey: give the child up */
};

/* ---- Phase 1: reserve ---- */

/*
 * Tell the port of the 2 MiB blocks, those that lie side by side at once: a host that puts huge
 * pages behind them does that for many as fast as for one.
 */
static void prepare_blocks(struct fork *f)
{
	const uint32_t frames = 1u << hf_level_order(HF_LEVEL_PMD);
	uint32_t i = f->huge_head;

	while (i != HF_NIL) {
		const struct hf_ram *ram = hf_ram_of(f->phys, (hf_pfn){ i });
		uint32_t first = i, end = i + frames;

		while ((i = hf_frame_at(f->phys, (hf_pfn){ i })->next) != HF_NIL &&
		       (i + frames == first || i == end) &&
		       hf_ram_of(f->phys, (hf_pfn){ i }) == ram) {
			if (i == end)
				end += frames;
			else
				first = i;
		}
		hf_blocks_prepare(f->phys, (hf_pfn){ first }, end - first);
	}
}

static bool take_huge(struct fork *f, hf_pfn *pfn)
{
	bool clean, ok;

	hf_phys_lock(f->phys);
	ok = hf_block_alloc_locked(f->phys, hf_level_order(HF_LEVEL_PMD), pfn, &clean);
	if (ok) {
		struct hf_frame *first = hf_frame_at(f->phys, *pfn);

		hf_frame_set_kind(first, HF_FRAME_SPARE);
		first->order = hf_level_order(HF_LEVEL_PMD) & HF_ORDER_MASK;
	}
	hf_phys_unlock(f->phys);
	return ok;
}

/*
 * 2 MiB blocks for pinned huge pages, in the order in which they are allocated, so that the child's
 * copies lie side by side; small ones for the child where there are none left.
 */
static bool allocate(struct fork *f)
{
	uint64_t huge = f->survey.huge;
	uint32_t *end = &f->huge_head;
	struct hf_fork_cost need;
	hf_pfn pfn;

	while (huge && take_huge(f, &pfn)) {
		*end = pfn.v;
		end = &hf_frame_at(f->phys, pfn)->next;
		*end = HF_NIL;
		huge--;
	}
	prepare_blocks(f);
	need = hf_survey_cost(&f->survey, f->survey.huge - huge);
	return hf_reserve_fill(f->phys, &f->frames, need.tables + need.small);
}

/* The child's mappings: the parent's, less those that it does not inherit. */
static enum hf_status fork_vmas(struct fork *f)
{
	enum hf_status st = HF_OK;
	struct hf_vma v = { .end = f->survey.first.start };

	f->vmas = f->parent->vmas;
	hf_vmas_get(f->phys, f->vmas);
	f->mapped = f->parent->mapped_bytes;
	while (!st && hf_vmas_next_with(f->phys, f->parent->vmas, v.end, HF_VMA_DONTFORK, &v)) {
		st = hf_vmas_clear(f->phys, &f->vmas, v.start, v.end, NULL);
		f->mapped -= v.end - v.start;
	}
	return st;
}

/* The next of the 2 MiB blocks, to be used or freed. */
static hf_pfn next_huge(struct fork *f)
{
	hf_pfn pfn = { f->huge_head };

	f->huge_head = hf_frame_at(f->phys, pfn)->next;
	hf_frame_set_kind(hf_frame_at(f->phys, pfn), HF_FRAME_PLAIN);
	return pfn;
}

/* Give back what was reserved and not used. */
static void drain(struct fork *f)
{
	hf_reserve_drain(f->phys, &f->frames);
	while (f->huge_head != HF_NIL) {
		hf_pfn pfn = next_huge(f);

		hf_phys_lock(f->phys);
		hf_block_free_locked(f->phys, pfn, hf_level_order(HF_LEVEL_PMD));
		hf_phys_unlock(f->phys);
	}
}

/* The blocks come first, so that a forecast can tell how many of them will be huge. */
HF_HOLDS(mm)
static enum hf_status reserve_blocks(struct fork *f)
{
	enum hf_status st;

	hf_survey_make(&f->survey);
	if (f->survey.overflow)
		return HF_ERR_OVERFLOW;
	st = allocate(f) ? fork_vmas(f) : HF_ERR_NOMEM;
	if (st) {
		hf_vmas_put(f->phys, f->vmas);
		drain(f);
	}
	return st;
}

/* ---- Phase 2: arm ---- */

/* Take write permission from a parent's entry; returns the entry as it was. */
static hf_pte disarm(struct fork *f, hf_pte *entry, unsigned level)
{
	hf_pte e = hf_pte_disarm(entry, level);

	f->armed |= hf_pte_writable(e, level);
	return e;
}

/*
 * One entry of the child's more leads to what `e` leads to. The survey found room for it, and has
 * let go of the lock since: false, and the fork is given up, if there is none. phys->lock held.
 */
HF_HOLDS(phys)
static bool get_for_child(struct fork *f, hf_pte e, unsigned level)
{
	bool ok = hf_target_get_locked(f->phys, e, level);

	f->overflow |= !ok;
	return ok;
}

/*
 * Zero pages and pages of objects are not passed to the child; its own faults find them again. (One
 * table may lead to such a page any number of times.) phys->lock held.
 */
HF_HOLDS(phys)
static void share(struct fork *f, hf_pte *parent, hf_pfn child, unsigned i, unsigned level)
{
	hf_pte e = hf_pte_get(parent);

	if (!hf_pte_swapped(e))
		e = disarm(f, parent, level);
	if (hf_pte_leaf(e, level) && hf_refaultable_locked(f->phys, hf_pte_pfn(e)))
		return;
	if (get_for_child(f, e, level))
		hf_table_fill(f->phys, child, i,
			      hf_pte_swapped(e) ? e : hf_pte_wrprotect(e, level));
}

/* A table out of the reserve. */
static hf_pfn new_table(struct fork *f)
{
	f->cost.tables++;
	return hf_table_new(f->phys, &f->frames);
}

/* Give the child a frame of its own for a pinned page; phase 3 fills it. phys->lock held. */
HF_HOLDS(phys)
static hf_pte own_leaf(struct fork *f, hf_pte e, hf_pfn pfn, unsigned level)
{
	hf_map_count_locked(f->phys, pfn, level, true); /* its first */
	*(level == HF_LEVEL_PTE ? &f->cost.small : &f->cost.huge) += 1;
	return hf_pte_with_pfn(e, pfn);
}

/*
 * Fill the child's entry for a pinned leaf `e` of the parent, which keeps it. What has no pins of
 * a 1 GiB page is shared by 2 MiB parts. phys->lock held.
 */
HF_HOLDS(phys)
static void fill_copied(struct fork *f, hf_pfn child, unsigned index, hf_pte e, unsigned level)
{
	hf_pfn table;
	uint32_t done = 0;

	if (level == HF_LEVEL_PTE || (level == HF_LEVEL_PMD && f->huge_head != HF_NIL)) {
		hf_pfn own =
			level == HF_LEVEL_PTE ? hf_reserve_take(f->phys, &f->frames) : next_huge(f);

		hf_table_fill(f->phys, child, index, own_leaf(f, e, own, level));
		return;
	}
	table = new_table(f);
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		hf_pte part = hf_leaf_part(e, level, i);

		if (level == HF_LEVEL_PMD || hf_pinned_locked(f->phys, hf_pte_pfn(part), level - 1))
			fill_copied(f, table, i, part, level - 1);
		else if (get_for_child(f, part, level - 1))
			hf_table_fill(f->phys, table, i, hf_leaf_wrprotect(part));
		/* Each part of 1 GiB is decided by itself: pins may go in between. */
		hf_phys_batch(f->phys, &done, level > HF_LEVEL_PMD ? HF_TABLE_ENTRIES : 0);
	}
	hf_table_publish(f->phys, child, index, level, hf_branch_make(table));
}

static void arm(struct fork *f, hf_pfn parent, hf_pfn child, hf_va base, unsigned level);

/* One entry that needs more than sharing. No lock but the mm's. */
HF_HOLDS(mm)
static void arm_entry(struct fork *f, hf_pte *parent, hf_pfn child, unsigned i, hf_va va,
		      unsigned level)
{
	enum hf_fork_action what;
	hf_pfn table;

	hf_phys_lock(f->phys);
	what = hf_fork_decide(&f->survey, hf_pte_get(parent), va, level);
	if (what == HF_ACTION_SHARE)
		share(f, parent, child, i, level);
	else if (what == HF_ACTION_COPY &&
		 (f->survey.policy == HF_FORK_COPY || level == HF_LEVEL_PTE))
		fill_copied(f, child, i, disarm(f, parent, level), level);
	else
		what = HF_ACTION_INSPECT;
	hf_phys_unlock(f->phys);
	if (what != HF_ACTION_INSPECT)
		return;
	/* HF_FORK_SPLIT: split the parent's huge leaf, and decide about the small ones. */
	if (hf_pte_leaf(hf_pte_get(parent), level)) {
		if (hf_table_split(f->parent, parent, level, va, true, &f->frames)) {
			f->overflow = true;
			return;
		}
		f->cost.tables++;
	}
	table = new_table(f);
	arm(f, hf_pte_pfn(hf_pte_get(parent)), table, va, level - 1);
	hf_table_publish(f->phys, child, i, level, hf_branch_make(table));
}

/* Build the child's table beside the parent's: first what is only shared, then the rest. */
HF_HOLDS(mm)
static void arm(struct fork *f, hf_pfn parent, hf_pfn child, hf_va base, unsigned level)
{
	hf_pte *from = hf_table_entries(f->phys, parent);
	const uint64_t marks = hf_table_marks(f->phys, parent), size = hf_level_size(level);
	uint64_t rest[HF_TABLE_ENTRIES / 64] = { 0 };
	unsigned first = hf_first_index(f->survey.lo, base, level),
		 end = hf_end_index(f->survey.hi, base, level);
	struct hf_vma unshared = f->survey.unshared;

	hf_phys_lock(f->phys);
	hf_each_marked(i, marks, first, end) {
		hf_pte e = hf_pte_get(&from[i]);
		enum hf_fork_action what;

		if (hf_pte_none(e))
			continue;
		what = hf_fork_decide(&f->survey, e, base + i * size, level);
		if (what == HF_ACTION_SHARE)
			share(f, &from[i], child, i, level);
		else if (what != HF_ACTION_SKIP)
			rest[i / 64] |= (uint64_t)1 << (i % 64);
	}
	hf_phys_unlock(f->phys);
	f->survey.unshared = unshared; /* begin again from the left */
	for (unsigned i = first; i < end; i++) {
		if (!(rest[i / 64] >> (i % 64)))
			i |= 63; /* nothing in what is left of this word */
		else if (rest[i / 64] >> (i % 64) & 1)
			arm_entry(f, &from[i], child, i, base + i * size, level);
	}
}

/* ---- Phase 3: copy ---- */

/*
 * Copy what the child has frames of its own for, of the parent's block at `from`. Returns
 * whether one of them is writable, as the parent's leaf then was.
 */
static bool copy_leaf(struct fork *f, hf_pfn from, hf_pte child, unsigned level)
{
	bool writable = false;
	const hf_pte *parts;

	if (hf_pte_leaf(child, level)) {
		if (hf_pte_pfn(child).v == from.v)
			return false;
		hf_block_copy(f->phys, hf_pte_pfn(child), from, hf_level_order(level));
		f->cost.bytes += hf_level_size(level);
		return hf_leaf_writable(child);
	}
	parts = hf_table_entries(f->phys, hf_pte_pfn(child));
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		writable |= copy_leaf(f, hf_block_part(from, level, i), parts[i], level - 1);
	return writable;
}

/* Give write permission back to a pinned leaf, if no part of it came to be shared. */
static void rearm(struct fork *f, hf_pte *entry, unsigned level)
{
	bool once;

	hf_phys_lock(f->phys);
	once = hf_mapped_once_locked(f->phys, hf_pte_pfn(hf_pte_get(entry)), level);
	hf_phys_unlock(f->phys);
	if (once)
		hf_pte_update(entry, hf_leaf_mkwrite);
}

static void copy(struct fork *f, hf_pfn parent, hf_pfn child, hf_va base, unsigned level)
{
	hf_pte *from = hf_table_entries(f->phys, parent), *to = hf_table_entries(f->phys, child);
	const uint64_t marks = hf_table_marks(f->phys, child);

	hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES) {
		hf_pte p = hf_pte_get(&from[i]), c = hf_pte_get(&to[i]);

		if (hf_pte_none(c) || hf_pte_pfn(c).v == hf_pte_pfn(p).v)
			continue;
		if (hf_pte_branch(p, level))
			copy(f, hf_pte_pfn(p), hf_pte_pfn(c), base + i * hf_level_size(level),
			     level - 1);
		else if (copy_leaf(f, hf_pte_pfn(p), c, level))
			rearm(f, &from[i], level);
	}
}

/* ---- Phase 4: publish ---- */

HF_HOLDS_SHARED(mm)
HF_HOLDS_SHARED(spaces)
static void publish(struct fork *f, struct hf_mm *child, void *child_host)
{
	const struct hf_mm *parent = f->parent;

	*child = (struct hf_mm){
		.phys = f->phys,
		.host = child_host,
		.va_lo = parent->va_lo,
		.va_hi = parent->va_hi,
		.huge_cow = parent->huge_cow,
		.moved = parent->moved,
		/* Locks are not inherited; that is said here, not in each mapping. */
		.locks_stale = hf_any_with(parent, parent->va_lo, parent->va_hi, HF_VMA_LOCKED),
		.limits = parent->limits,
		.mapped_bytes = parent->limits.va ? f->mapped : 0,
		.brk_start = parent->brk_start,
		.brk = parent->brk,
		.root = f->root,
		.vmas = f->vmas,
	};
	hf_mm_enlist(child);
}

/*
 * Instead: the child goes, with all that it was counted in. The parent's pages are write-protected
 * for nothing, all CPUs know it, and a write finds that they are exclusive again.
 */
HF_HOLDS(mm)
static void give_up_fork(struct fork *f)
{
	hf_table_put(f->phys, f->root, HF_TOP_LEVEL);
	hf_vmas_put(f->phys, f->vmas);
	drain(f);
}

/* mm lock held exclusively. */
HF_HOLDS(mm)
HF_HOLDS_SHARED(spaces)
static enum hf_status fork_locked(struct fork *f, struct hf_mm *child, void *child_host)
{
	struct hf_mm *parent = f->parent;
	enum hf_status st = reserve_blocks(f);

	HF_ASSERT_MM_EXCLUSIVE(parent);
	if (st)
		return st;
	f->root = new_table(f);
	f->survey.unshared = f->survey.first;
	arm(f, parent->root, f->root, 0, HF_TOP_LEVEL);
	if (f->armed)
		hf_flush_tlb(parent, parent->va_lo, parent->va_hi - parent->va_lo, HF_FLUSH_DISARM);
	if (f->overflow) {
		give_up_fork(f);
		return HF_ERR_OVERFLOW;
	}
	if (f->cost.small || f->cost.huge)
		copy(f, parent->root, f->root, 0, HF_TOP_LEVEL);
	drain(f);
	publish(f, child, child_host);
	f->cost.inspected = f->survey.inspected;
	HF_TRACE(f->phys, .what = HF_TRACE_FORK, .mm = parent, .va = parent->va_lo,
		 .len = parent->va_hi - parent->va_lo, .fork = &f->cost);
	return HF_OK;
}

enum hf_status hf_fork(struct hf_mm *parent, struct hf_mm *child, void *child_host,
		       enum hf_fork_policy policy)
{
	struct fork f = {
		.parent = parent,
		.phys = parent->phys,
		.survey = { .mm = parent, .policy = policy },
		.frames = HF_RESERVE_EMPTY,
		.huge_head = HF_NIL,
		.vmas = { HF_NIL },
	};
	enum hf_status st;

	if (policy != HF_FORK_COPY && policy != HF_FORK_SPLIT)
		return HF_ERR_INVAL;
	hf_spaces_lock_shared(f.phys);
	hf_mm_lock_exclusive(parent);
	st = fork_locked(&f, child, child_host);
	hf_mm_unlock_exclusive(parent);
	hf_spaces_unlock_shared(f.phys);
	return st;
}
