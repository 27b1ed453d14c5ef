/* SPDX-License-Identifier: MIT */
/* The swap store: its slots, and the end of it. What goes there is reclaim.c's to say. */
#include "swap.h"

#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/mem.h"
#include "../lib/panic.h"
#include "../phys/buddy.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../phys/slot.h"
#include "../space/mm.h"
#include "../space/resolve.h"
#include "../space/vma.h"
#include "../table/table.h"
#include "../table/walk.h"

#include <holdfast/mm.h>
#include <holdfast/swap.h>

static enum hf_status check_store(const struct hf_store *s)
{
	if (s->slots >= HF_NIL)
		return HF_ERR_RANGE;
	if (!s->slots)
		return HF_OK;
	if (!s->read || !s->write || !s->meta)
		return HF_ERR_INVAL;
	return (uintptr_t)s->meta & 7 ? HF_ERR_ALIGN : HF_OK;
}

uint64_t hf_store_meta_size(uint64_t slots)
{
	return slots * sizeof(struct hf_slot);
}

enum hf_status hf_swap_on(struct hf_phys *phys, const struct hf_store *store)
{
	enum hf_status st = check_store(store);

	if (st)
		return st;
	hf_phys_lock(phys);
	if (phys->store) {
		hf_phys_unlock(phys);
		return HF_ERR_BUSY;
	}
	phys->store = store;
	phys->slot_free = HF_NIL;
	phys->slots_begun = 0;
	phys->slots_used = phys->slots_cached = phys->swap_outs = phys->swap_ins = 0;
	hf_exchange32(&phys->swapping, 1);
	hf_phys_unlock(phys);
	hf_reserve_for_reclaim(phys, true);
	return HF_OK;
}

void hf_swap_stats(struct hf_phys *phys, struct hf_swap_stats *out)
{
	memset(out, 0, sizeof(*out));
	hf_phys_lock(phys);
	if (phys->store) {
		out->slots = phys->store->slots;
		out->used = phys->slots_used;
		out->cached = phys->slots_cached;
		out->outs = phys->swap_outs;
		out->ins = phys->swap_ins;
	}
	hf_phys_unlock(phys);
}

/*
 * Bring back what the table at the walk has there, up to `end`; HF_ERR_PENDING: to the first page
 * that has to be read. *next: where to go on.
 */
HF_HOLDS_SHARED(mm)
static enum hf_status empty_table(struct hf_resolution *f, hf_va end, hf_va *next)
{
	struct hf_walk *w = &f->walk;
	const hf_va size = hf_level_size(w->level);
	hf_va va = hf_level_base(w->va, w->level);
	hf_va stop = hf_min_va(end, hf_level_base(va, w->level + 1) + (size << HF_TABLE_BITS));
	enum hf_status st = HF_OK;

	for (; va < stop && !hf_pte_branch(hf_pte_get(w->entry), w->level); va += size) {
		f->va = w->va = va;
		if (hf_pte_swapped(hf_pte_get(w->entry)))
			st = hf_resolve_swapped(f);
		if (st)
			break;
		w->entry++;
	}
	*next = va;
	return st;
}

/* hf_swap_off under way: phys->off is the space that it has come to, and phys->off_va where. */
struct removal {
	struct hf_phys *phys;
	bool strict; /* wait for the faults of each space, too */
	bool any;    /* something has come back */
	struct hf_resolution f;
	struct hf_wait wait;
};

/*
 * The space that has more, its lock held, shared, and the next mapping in it. NULL: go on to the
 * next space, if *more. Holds the list of spaces only here: a space whose lock is held cannot end.
 */
HF_UNCHECKED
static struct hf_mm *next_mapping(struct removal *o, bool *more)
{
	struct hf_phys *phys = o->phys;
	struct hf_mm *mm;

	hf_spaces_lock_exclusive(phys);
	mm = phys->off;
	if (mm && o->strict && !phys->off_va) {
		/* A fault that has copied a table may not have let go of the old one yet. */
		hf_mm_lock_exclusive(mm);
		hf_mm_unlock_exclusive(mm);
	}
	if (mm)
		hf_mm_lock_shared(mm);
	if (mm && !hf_vmas_next(phys, mm->vmas, phys->off_va, &o->f.vma)) {
		phys->off = mm->next;
		phys->off_va = 0;
		hf_mm_unlock_shared(mm);
		mm = NULL;
	}
	*more = phys->off;
	hf_spaces_unlock_exclusive(phys);
	return mm;
}

/* One table more, or as much of it as is in memory already, and what is to be read then. */
HF_UNCHECKED
static enum hf_status empty_some(struct removal *o, bool *more)
{
	struct hf_resolution *f = &o->f;
	struct hf_phys *phys = o->phys;
	enum hf_status st;
	hf_va va;

	f->mm = next_mapping(o, more);
	if (!f->mm)
		return HF_OK;
	va = hf_max_va(phys->off_va, f->vma.start);
	f->did = HF_FAULT_NONE;
	hf_walk_to(&f->walk, f->mm, va);
	st = empty_table(f, f->vma.end, &va);
	hf_walk_end(&f->walk);
	phys->off_va = va;
	hf_mm_unlock_shared(f->mm);
	o->any |= f->did == HF_FAULT_SWAPIN;
	return st == HF_ERR_PENDING ? hf_swapin_read(phys, &o->wait.in) : st;
}

/* Begin with the first space, or end. */
static void set_cursor(struct hf_phys *phys, bool begin)
{
	hf_spaces_lock_exclusive(phys);
	phys->off = begin ? phys->spaces : NULL;
	phys->off_va = 0;
	hf_spaces_unlock_exclusive(phys);
}

/* Through all spaces, once. */
static enum hf_status empty_spaces(struct removal *o)
{
	enum hf_status st = HF_OK;
	bool more = true;

	set_cursor(o->phys, true);
	while (more && !st)
		st = empty_some(o, &more);
	set_cursor(o->phys, false);
	hf_swapin_drop(o->phys, &o->wait.in);
	return st;
}

/* From now on no page goes to the store, or again. False: there is no store. */
static bool close_store(struct hf_phys *phys, bool closed)
{
	bool any;

	hf_phys_lock(phys);
	any = phys->store;
	phys->store_closed = any && closed;
	hf_phys_unlock(phys);
	return any;
}

/* There is no store any more, unless it has still a page. */
static bool end_store(struct hf_phys *phys)
{
	bool empty;

	hf_spaces_lock_exclusive(phys);
	hf_phys_lock(phys);
	empty = !phys->slots_used;
	if (empty) {
		phys->store = NULL;
		hf_exchange32(&phys->swapping, 0);
	}
	hf_phys_unlock(phys);
	hf_spaces_unlock_exclusive(phys);
	return empty;
}

/*
 * Until all slots are free. Beside other calls a page may be moved from where this has not been to
 * where it has, so it looks again; if it has found none, somebody is on the way with one.
 */
static enum hf_status empty_store(struct hf_phys *phys)
{
	struct removal o = { .phys = phys,
			     .f = { .block = { HF_NIL }, .reserve = HF_RESERVE_EMPTY } };
	enum hf_status st = HF_OK;

	o.f.wait = &o.wait;
	do {
		o.any = false;
		st = empty_spaces(&o);
		if (!st && !o.any && o.strict)
			hf_store_wait(phys);
		o.strict = !o.any;
	} while (!st && !end_store(phys));
	return st;
}

enum hf_status hf_swap_off(struct hf_phys *phys)
{
	enum hf_status st = HF_OK;

	hf_acquire(phys, &phys->store_lock);
	if (close_store(phys, true)) {
		st = empty_store(phys);
		if (!st)
			hf_reserve_for_reclaim(phys, false);
		close_store(phys, false);
	}
	hf_release(phys, &phys->store_lock);
	return st;
}
