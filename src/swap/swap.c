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

/* Bring back what the table at the walk has there, up to `end`. *next: where to go on. */
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

/* The same for a space. phys->spaces_lock held exclusively. */
static enum hf_status empty_space(struct hf_mm *mm)
{
	struct hf_resolution f = { .mm = mm, .reserve = HF_RESERVE_EMPTY, .block = { HF_NIL } };
	enum hf_status st = HF_OK;
	hf_va va = 0;

	hf_mm_lock_shared(mm);
	while (!st && hf_vmas_next(mm->phys, mm->vmas, va, &f.vma)) {
		va = hf_max_va(va, f.vma.start);
		hf_walk_to(&f.walk, mm, va);
		st = empty_table(&f, f.vma.end, &va);
		hf_walk_end(&f.walk);
	}
	hf_mm_unlock_shared(mm);
	return st;
}

enum hf_status hf_swap_off(struct hf_phys *phys)
{
	enum hf_status st = HF_OK;
	bool any;

	hf_spaces_lock_exclusive(phys);
	for (struct hf_mm *mm = phys->spaces; mm && !st; mm = mm->next)
		st = empty_space(mm);
	/* A fault that has copied a table may not have let go of the old one yet: wait for it. */
	for (struct hf_mm *mm = phys->spaces; mm && !st; mm = mm->next) {
		hf_mm_lock_exclusive(mm);
		hf_mm_unlock_exclusive(mm);
	}
	hf_phys_lock(phys);
	any = phys->store;
	if (!st && phys->slots_used)
		hf_panic(phys, "a slot is used that no entry names");
	if (!st) {
		phys->store = NULL;
		hf_exchange32(&phys->swapping, 0);
	}
	hf_phys_unlock(phys);
	if (!st && any)
		hf_reserve_for_reclaim(phys, false);
	hf_spaces_unlock_exclusive(phys);
	return st;
}
