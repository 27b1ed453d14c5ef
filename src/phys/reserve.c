/* SPDX-License-Identifier: MIT */
/* Frames set aside. */
#include "reserve.h"

#include "../lib/lock.h"
#include "../lib/panic.h"
#include "buddy.h"
#include "frame.h"

#include <holdfast/phys.h>

/* Put a frame in, behind the others: those that read as zeros are free first. phys->lock held. */
HF_HOLDS(phys)
static void put_in(struct hf_phys *phys, struct hf_reserve *r, hf_pfn pfn)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);

	hf_frame_set_kind(f, HF_FRAME_SPARE);
	f->order = 0;
	if (r->count++)
		hf_frame_at(phys, (hf_pfn){ r->tail })->next = pfn.v;
	else
		r->head = pfn.v;
	r->tail = pfn.v;
}

/* Free frames, up to `count`. phys->lock held. */
HF_HOLDS(phys)
static void put_in_free(struct hf_phys *phys, struct hf_reserve *r, uint64_t count)
{
	uint32_t done = 0;
	hf_pfn pfn;
	bool clean;

	while (r->count < count && hf_block_alloc_locked(phys, 0, &pfn, &clean)) {
		put_in(phys, r, pfn);
		hf_phys_batch(phys, &done, 1);
	}
}

/* Free frames until `count` are left. Takes phys->lock. */
static void take_out_down_to(struct hf_phys *phys, struct hf_reserve *r, uint64_t count)
{
	uint32_t done = 0;

	hf_phys_lock(phys);
	while (r->count > count) {
		hf_pfn pfn = hf_reserve_take(phys, r);

		hf_frame_free_locked(phys, pfn, hf_frame_at(phys, pfn)->clean);
		hf_phys_batch(phys, &done, 1);
	}
	hf_phys_unlock(phys);
}

/* Memory is full: wait for the turn, and take spare frames. */
static void put_in_spares(struct hf_phys *phys, struct hf_reserve *r, uint64_t count)
{
	hf_pfn pfn;

	if (!r->has_lock)
		hf_acquire(phys, &phys->spare_lock);
	r->has_lock = true;
	hf_phys_lock(phys);
	put_in_free(phys, r, count); /* some may have become free */
	while (r->count < count && hf_spare_take_locked(phys, &pfn))
		put_in(phys, r, pfn);
	hf_phys_unlock(phys);
}

bool hf_reserve_fill(struct hf_phys *phys, struct hf_reserve *r, uint64_t count)
{
	const uint64_t before = r->count;

	if (before >= count)
		return true;
	hf_phys_lock(phys);
	put_in_free(phys, r, count);
	hf_phys_unlock(phys);
	if (r->count < count && r->gives)
		put_in_spares(phys, r, count);
	if (r->count >= count)
		return true;
	take_out_down_to(phys, r, before);
	return false;
}

hf_pfn hf_reserve_take(struct hf_phys *phys, struct hf_reserve *r)
{
	hf_pfn pfn = { r->head };
	struct hf_frame *f;

	if (!r->count)
		hf_panic(phys, "a reserve ran out: the need was reckoned too small");
	f = hf_frame_at(phys, pfn);
	r->head = f->next;
	r->count--;
	hf_frame_set_kind(f, HF_FRAME_PLAIN);
	return pfn;
}

void hf_reserve_drain(struct hf_phys *phys, struct hf_reserve *r)
{
	if (r->count)
		take_out_down_to(phys, r, 0);
	if (r->has_lock)
		hf_release(phys, &phys->spare_lock);
	r->has_lock = false;
}

bool hf_reserve_take_spare(struct hf_phys *phys, struct hf_reserve *r)
{
	bool any;
	hf_pfn pfn;

	hf_phys_lock(phys);
	any = phys->spares + HF_SPARES_RECLAIM > phys->spare_target &&
	      hf_spare_take_locked(phys, &pfn);
	if (any)
		put_in(phys, r, pfn);
	hf_phys_unlock(phys);
	return any;
}

void hf_reserve_for_reclaim(struct hf_phys *phys, bool on)
{
	hf_pfn pfn;

	hf_phys_lock(phys);
	if (on)
		phys->spare_target += HF_SPARES_RECLAIM;
	else
		phys->spare_target -= HF_SPARES_RECLAIM;
	hf_spare_fill_locked(phys);
	while (phys->spares > phys->spare_target && hf_spare_take_locked(phys, &pfn))
		hf_block_free_locked(phys, pfn, 0);
	hf_phys_unlock(phys);
}
