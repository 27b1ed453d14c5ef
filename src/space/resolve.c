/* SPDX-License-Identifier: MIT */
/*
 * Page faults. Phases:
 *   1. find the mapping and ask it for permission;
 *   2. go down the tables, making them exclusive if something is going to change;
 *   3. where there is nothing: make a page (or map the zero page), or map the object's;
 *   4. where there is a leaf: keep it, reuse it, copy it, or split it and go on down.
 * Whatever may be needed below is reserved at the first entry that has to change, so from
 * the first change on nothing can fail for want of memory.
 */
#include "resolve.h"

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../lib/trace.h"
#include "../object/object.h"
#include "../phys/block.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../phys/slot.h"
#include "../phys/swapio.h"
#include "../phys/zero.h"
#include "../table/place.h"
#include "../table/table.h"
#include "../table/walk.h"
#include "mm.h"
#include "vma.h"

#include <holdfast/mm.h>
#include <holdfast/trace.h>

/* What a phase says of how to go on. */
enum step {
	DONE,	/* the walk stands at the leaf that was wanted */
	DOWN,	/* inspect the walk's entry, which is another one or has changed */
	AGAIN,	/* begin again, making the tables on the way exclusive */
	ASK,	/* ask the object for its page, and begin again */
	FAILED, /* f->status says why */
};

static enum step fail_with(struct hf_resolution *f, enum hf_status why)
{
	f->status = why;
	return FAILED;
}

/* `next`, unless something has failed. */
static enum step unless(struct hf_resolution *f, enum hf_status st, enum step next)
{
	return st ? fail_with(f, st) : next;
}

static bool writes(const struct hf_resolution *f)
{
	return f->access == HF_ACCESS_WRITE;
}

/* Fork will have to inspect what is being made: the way to it needs LOOK. */
static bool looks(const struct hf_resolution *f)
{
	return f->unshare || (f->vma.flags & HF_VMA_UNSHARED);
}

/* Phase 1. mm lock held. */
static enum hf_status find_vma(struct hf_resolution *f)
{
	struct hf_mm *mm = f->mm;

	if (f->va < mm->va_lo || f->va >= mm->va_hi)
		return HF_ERR_RANGE;
	f->hole = !hf_vmas_next(mm->phys, mm->vmas, f->va, &f->vma) || f->vma.start > f->va;
	if (f->hole)
		return HF_ERR_UNMAPPED;
	return hf_vma_allows(&f->vma, f->access) ? HF_OK : HF_ERR_ACCESS;
}

/*
 * Set aside what the walk may need from here down: a table for each level below, and one
 * page. Called with the table of the first entry that has to change locked.
 */
static enum hf_status reserve_for_walk(struct hf_resolution *f)
{
	if (f->reserved)
		return HF_OK;
	if (!hf_reserve_fill(f->mm->phys, &f->reserve, f->walk.level + 1))
		return HF_ERR_NOMEM;
	f->reserved = true;
	return HF_OK;
}

/* Phase 2, at a branch: into the table below it, exclusive if need be. */
HF_HOLDS_SHARED(mm)
static enum step go_down(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	hf_pte e = hf_pte_get(w->entry);

	if (f->exclusive && !hf_branch_writable(e)) {
		enum hf_status st = HF_OK;

		if (!f->reserved && hf_table_shared(f->mm->phys, hf_pte_pfn(e)))
			st = reserve_for_walk(f);
		if (!st)
			st = hf_table_make_exclusive(f->mm, w->entry, w->level - 1, f->va,
						     &f->reserve);
		if (st)
			return fail_with(f, st);
		e = hf_pte_get(w->entry);
	} else if (hf_branch_unarmed(e)) {
		hf_table_arm(f->mm->phys, w->entry, w->level - 1, w->exclusive);
		e = hf_pte_get(w->entry);
	}
	if (looks(f) && w->exclusive && hf_branch_writable(e) && !hf_branch_look(e))
		hf_pte_update(w->entry, hf_branch_mklook);
	hf_walk_down(w);
	return DOWN;
}

/* The leaf entry for a page of the fault's mapping that nobody else has. */
static hf_pte private_leaf(const struct hf_resolution *f, hf_pfn pfn, unsigned level)
{
	hf_pte e = hf_leaf_make(pfn, level, hf_vma_prot(&f->vma));

	if (f->vma.flags & HF_PROT_WRITE)
		e = hf_leaf_mkwrite(e);
	return hf_leaf_mkaccessed(e, writes(f));
}

/*
 * A block for the leaf at the walk's level, counted as mapped once. `copy`: what is to be copied
 * stays where it is. phys->lock held.
 */
HF_HOLDS(phys)
static bool alloc_locked(const struct hf_resolution *f, bool copy, hf_pfn *pfn, bool *clean)
{
	const struct hf_walk *w = &f->walk;
	const struct hf_place place = {
		.root = f->mm->root,
		.top = HF_TOP_LEVEL,
		.table = w->table,
		.lo = f->vma.start,
		.hi = f->vma.end,
		.va = f->va,
		.level = w->level,
		.copy = copy,
	};

	if (!hf_place_alloc_locked(f->mm->phys, &place, pfn, clean))
		return false;
	hf_map_count_locked(f->mm->phys, *pfn, w->level, true);
	return true;
}

/*
 * The same, without the lock. Small blocks come out of the reserve when there is one and memory
 * is full.
 */
static bool new_block(struct hf_resolution *f, bool copy, hf_pfn *pfn, bool *clean)
{
	struct hf_phys *phys = f->mm->phys;
	unsigned level = f->walk.level;
	bool ok = true;

	if (f->block.v != HF_NIL) {
		*pfn = f->block;
		*clean = f->block_clean;
		f->block.v = HF_NIL;
		return true;
	}
	hf_phys_lock(phys);
	if (!alloc_locked(f, copy, pfn, clean)) {
		ok = level == HF_LEVEL_PTE && f->reserve.count;
		if (ok) {
			*pfn = hf_reserve_take(phys, &f->reserve);
			*clean = false;
			hf_map_get_locked(phys, *pfn, level);
		}
	}
	hf_phys_unlock(phys);
	if (ok)
		hf_block_prepare(phys, *pfn, level);
	return ok;
}

/* The mapping wants a leaf of this size here, and it fits. */
static bool leaf_fits(const struct hf_resolution *f, unsigned level)
{
	static const uint32_t wants[HF_LEAF_LEVELS] = {
		[HF_LEVEL_PTE] = ~0u,
		[HF_LEVEL_PMD] = HF_VMA_HUGE,
		[HF_LEVEL_PUD] = HF_VMA_HUGE_1G,
	};
	hf_va base = hf_level_base(f->va, level);

	if (level == HF_LEVEL_PTE)
		return true;
	return level < HF_LEAF_LEVELS && (f->vma.flags & wants[level]) && base >= f->vma.start &&
	       f->vma.end - base >= hf_level_size(level);
}

/* Read of memory that was never written: map the zero page, if there is one of this size. */
static bool map_zero(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	struct hf_phys *phys = f->mm->phys;
	hf_pfn zero;
	bool ok;

	if (writes(f) || f->unshare || w->level > HF_LEVEL_PMD)
		return false;
	hf_phys_lock(phys);
	ok = hf_zero_page_locked(phys, w->level, &zero);
	hf_phys_unlock(phys);
	if (!ok)
		return false;
	hf_walk_fill(w,
		     hf_leaf_mkaccessed(hf_leaf_make(zero, w->level, hf_vma_prot(&f->vma)), false));
	f->did = HF_FAULT_ZERO;
	return true;
}

/* Map fresh zeros at the walk's entry, which is empty. */
static bool map_fresh(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	hf_pfn pfn;
	bool clean;

	if (!new_block(f, false, &pfn, &clean))
		return false;
	if (!clean)
		hf_block_clear(f->mm->phys, pfn, hf_level_order(w->level));
	hf_walk_fill(w, private_leaf(f, pfn, w->level));
	f->did = HF_FAULT_FRESH;
	return true;
}

/* The object's page can be mapped by a leaf at `level` here: it is no smaller, and congruent. */
static bool page_fits(const struct hf_resolution *f, unsigned level)
{
	hf_va base = hf_level_base(f->va, level);

	return level <= f->page.level && base >= f->vma.start &&
	       f->vma.end - base >= hf_level_size(level) &&
	       !(hf_vma_offset(&f->vma, base) & (hf_level_size(level) - 1));
}

/*
 * Map the part of the object's page that belongs to the walk's entry, which is empty. It stays the
 * object's: with the mm lock held nobody takes it out (see truncate.c). Whether a private
 * mapping's writer gets a copy, or a shared one's may write, is decided where there is a leaf.
 */
static enum step map_page(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	struct hf_phys *phys = f->mm->phys;
	uint64_t offset = hf_vma_offset(&f->vma, hf_level_base(f->va, w->level));
	uint64_t within = offset & (hf_level_size(f->page.level) - 1);
	hf_pfn pfn = { f->page.pfn.v + (uint32_t)(within >> HF_PAGE_SHIFT) };
	hf_pte e = hf_leaf_make(pfn, w->level, hf_vma_prot(&f->vma));
	bool ok;

	hf_phys_lock(phys);
	ok = hf_map_get_locked(phys, pfn, w->level);
	hf_phys_unlock(phys);
	if (!ok)
		return fail_with(f, HF_ERR_OVERFLOW);
	if (!hf_vma_is_cow(&f->vma) && (f->vma.flags & HF_PROT_WRITE) &&
	    !hf_object_tracks(f->vma.object))
		e = hf_leaf_mkwrite(e);
	hf_walk_fill(w, hf_leaf_mkaccessed(e, false));
	f->did = HF_FAULT_OBJECT;
	return DOWN;
}

/*
 * Without any table's lock: the object's page for the fault, dirty if it will be written to.
 * HF_ERR_PENDING: f->wait names it.
 */
static enum hf_status ask_object(struct hf_resolution *f)
{
	unsigned want = HF_LEAF_LEVELS - 1;
	bool write = writes(f) && !hf_vma_is_cow(&f->vma);
	enum hf_status st;

	f->page.level = want;
	while (want && !(leaf_fits(f, want) && page_fits(f, want)))
		want--;
	if (f->vma.object->pager)
		want = HF_LEVEL_PTE; /* the pager's contract alone says how large */
	st = hf_object_get_page(f->vma.object, hf_vma_offset(&f->vma, f->va), want, write,
				&f->page);
	if (st)
		f->page.pfn.v = HF_NIL;
	if (st == HF_ERR_PENDING) {
		hf_object_hold(f->vma.object);
		f->wait->va = f->va;
		f->wait->object = f->vma.object;
		f->wait->offset = hf_vma_offset(&f->vma, f->va);
		f->wait->level = want;
	}
	return st;
}

/* Phase 3: the entry is empty. */
static enum step at_nothing(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	hf_pte branch;
	enum hf_status st;

	if (!w->exclusive)
		return AGAIN;
	if (!hf_vma_is_anon(&f->vma)) {
		if (f->page.pfn.v == HF_NIL)
			return ASK;
		if (page_fits(f, w->level))
			return map_page(f);
	} else if (w->level < HF_LEAF_LEVELS && leaf_fits(f, w->level)) {
		/* A reading fault does not take 1 GiB of RAM to show zeros. */
		bool too_large = w->level == HF_LEVEL_PUD && !writes(f) && !f->unshare;

		if (!too_large && (map_zero(f) || map_fresh(f)))
			return DONE;
	}
	if (w->level == HF_LEVEL_PTE)
		return fail_with(f, HF_ERR_NOMEM);
	st = reserve_for_walk(f);
	if (st)
		return fail_with(f, st);
	branch = hf_branch_make(hf_table_new(f->mm->phys, &f->reserve));
	if (looks(f))
		branch = hf_branch_mklook(branch);
	hf_table_publish(f->mm->phys, w->table, hf_table_index(w->va, w->level), w->level, branch);
	return DOWN;
}

enum hf_status hf_resolve_swapped(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	struct hf_phys *phys = f->mm->phys;
	uint32_t slot = hf_swapped_slot(hf_pte_get(w->entry));
	bool exclusive, clean;
	enum hf_status st;
	hf_pte e;
	hf_pfn pfn;

	st = hf_slot_return(phys, slot, &f->wait->in, &pfn, &exclusive);
	if (!st && pfn.v == HF_NIL) {
		hf_swapin_drop(phys, &f->wait->in); /* of another slot */
		if (!new_block(f, false, &pfn, &clean))
			return HF_ERR_NOMEM;
		hf_swapin_want(phys, &f->wait->in, slot, pfn);
		return HF_ERR_PENDING;
	}
	if (st)
		return st;
	e = hf_leaf_make(pfn, w->level, hf_vma_prot(&f->vma));
	if (exclusive) {
		e = hf_leaf_mkdirty(e); /* it is nowhere else */
		if (w->exclusive && (f->vma.flags & HF_PROT_WRITE))
			e = hf_leaf_mkwrite(e);
	}
	hf_pte_set(w->entry, e);
	f->did = HF_FAULT_SWAPIN;
	return HF_OK;
}

/* The page is in the swap store. It comes back as it went, and then there is a leaf. */
HF_HOLDS_SHARED(mm)
static enum step at_swapped(struct hf_resolution *f)
{
	return unless(f, hf_resolve_swapped(f), DOWN);
}

/*
 * Put a private copy of the leaf's block, or fresh zeros, in its place. No CPU may use the
 * new page while another still uses the old one, so the entry is hidden until the flush is
 * done; those that come meanwhile wait for the table's lock. Nor may the old page be freed, or
 * reused by its other owner, before that.
 */
HF_HOLDS_SHARED(mm)
static bool copy_block(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	struct hf_phys *phys = f->mm->phys;
	hf_pfn old = hf_pte_pfn(hf_pte_get(w->entry)), pfn;
	bool clean;

	if (!new_block(f, !f->from_zero, &pfn, &clean))
		return false;
	if (!f->from_zero)
		hf_block_copy(phys, pfn, old, hf_level_order(w->level));
	else if (!clean)
		hf_block_clear(phys, pfn, hf_level_order(w->level));
	hf_leaf_replace(f->mm, w->entry, w->level, f->va, private_leaf(f, pfn, w->level));
	hf_phys_lock(phys);
	hf_map_put_locked(phys, old, w->level);
	hf_phys_unlock(phys);
	f->did = HF_FAULT_COPY;
	return true;
}

/* The leaf's page must become exclusive and is not: copy it, or split the leaf. */
HF_HOLDS_SHARED(mm)
static enum step break_share(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	enum hf_status st;

	if (w->level == HF_LEVEL_PTE)
		return unless(f, copy_block(f) ? HF_OK : HF_ERR_NOMEM, DONE);
	/* A 1 GiB page is shared and copied by its 2 MiB parts. */
	if (w->level == HF_LEVEL_PMD && f->mm->huge_cow == HF_HUGE_COW_WHOLE && copy_block(f))
		return DONE;
	st = reserve_for_walk(f);
	if (!st)
		st = hf_table_split(f->mm, w->entry, w->level, f->va, w->look, &f->reserve);
	return unless(f, st, DOWN);
}

/*
 * The leaf's block is exclusive to this space, and about to be written or pinned, so that a copy
 * in the swap store is no longer the same. If not, and it is a small one, a page for the copy
 * is taken in the same breath.
 */
static bool mapped_once(struct hf_resolution *f, hf_pte e)
{
	struct hf_phys *phys = f->mm->phys;
	unsigned level = f->walk.level;
	bool once;

	hf_phys_lock(phys);
	once = hf_mapped_once_locked(phys, hf_pte_pfn(e), level);
	f->from_zero = hf_is_zero_locked(phys, hf_pte_pfn(e));
	if (once && level == HF_LEVEL_PTE)
		hf_slot_forget_locked(phys, hf_pte_pfn(e));
	if (!once && level == HF_LEVEL_PTE &&
	    !alloc_locked(f, !f->from_zero, &f->block, &f->block_clean))
		f->block.v = HF_NIL;
	hf_phys_unlock(phys);
	return once;
}

/*
 * A write to shared memory: it is for all who map the page, so the page stays, whoever they are,
 * and whatever its size. A pager has to learn of it first.
 */
static enum step write_shared(struct hf_resolution *f)
{
	if (hf_object_tracks(f->vma.object) && f->page.pfn.v == HF_NIL)
		return ASK;
	hf_pte_update(f->walk.entry, hf_leaf_mkwrite);
	if (f->did == HF_FAULT_NONE)
		f->did = HF_FAULT_REUSE;
	return DONE;
}

/* Phase 4: there is a leaf, present or hidden. */
HF_HOLDS_SHARED(mm)
static enum step at_leaf(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	hf_pte e = hf_pte_get(w->entry);

	if (!writes(f) && !f->unshare) {
		if (!hf_pte_present(e))
			hf_panic_at(f->mm->phys, "a hidden leaf in a mapping that allows access",
				    f->va, w->level, e.v);
		return DONE;
	}
	if (!w->exclusive)
		return AGAIN;
	if (hf_leaf_writable(e))
		return DONE;
	if (!hf_vma_is_cow(&f->vma))
		return writes(f) ? write_shared(f) : DONE;
	if (!mapped_once(f, e))
		return break_share(f);
	if (hf_leaf_lazy(e)) /* what is written or pinned is needed again */
		hf_pte_update(w->entry, hf_leaf_clear_lazy);
	if (writes(f)) {
		hf_pte_update(w->entry, hf_leaf_mkwrite);
		f->did = HF_FAULT_REUSE;
	}
	return DONE;
}

/*
 * The leaf allows what is wanted. It has to be marked where the hardware does not mark it, or
 * where the hardware that does is a port which keeps what `fill` tells it.
 */
static void mark_used(hf_pte *leaf)
{
	if (!hf_leaf_accessed(hf_pte_get(leaf)))
		hf_pte_update(leaf, hf_leaf_mkread);
}

/* One walk from the root. On DONE the leaf's table stays locked, else nothing is. */
HF_HOLDS_SHARED(mm)
static enum step descend(struct hf_resolution *f)
{
	struct hf_walk *w = &f->walk;
	enum step step;

	hf_walk_start(w, f->mm, f->va, looks(f));
	do {
		hf_pte e = hf_pte_get(w->entry);

		if (hf_pte_none(e))
			step = at_nothing(f);
		else if (hf_pte_swapped(e))
			step = at_swapped(f);
		else if (hf_pte_leaf(e, w->level))
			step = at_leaf(f);
		else
			step = go_down(f);
	} while (step == DOWN);
	if (step == DONE)
		mark_used(w->entry);
	else
		hf_walk_end(w);
	return step;
}

/* Tell how the fault was resolved. */
static void trace(const struct hf_resolution *f)
{
	const struct hf_walk *w = &f->walk;

	HF_TRACE(f->mm->phys, .what = HF_TRACE_FAULT, .kind = f->did, .level = w->level,
		 .mm = f->mm, .va = hf_level_base(f->va, w->level), .len = hf_level_size(w->level));
}

enum hf_status hf_resolve_begin(struct hf_resolution *f)
{
	enum step step;

	HF_ASSERT_MM(f->mm);
	f->status = find_vma(f);
	if (f->status)
		return f->status;
	f->reserve = HF_RESERVE_EMPTY;
	f->reserved = false;
	f->block.v = HF_NIL;
	f->did = HF_FAULT_NONE;
	/* Writers and pinners always end on a path of their own. Readers seldom need one. */
	f->exclusive = writes(f) || f->unshare;
	f->page.pfn.v = HF_NIL;
	do {
		step = descend(f);
		if (step == AGAIN)
			f->exclusive = true;
		else if (step == ASK)
			step = unless(f, ask_object(f), AGAIN);
	} while (step == AGAIN);
	hf_reserve_drain(f->mm->phys, &f->reserve);
	if (step == DONE)
		trace(f);
	return step == DONE ? HF_OK : f->status;
}

void hf_resolve_end(struct hf_resolution *f)
{
	hf_walk_end(&f->walk);
}
