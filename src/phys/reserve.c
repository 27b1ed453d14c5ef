/* SPDX-License-Identifier: MIT */
/* Frames set aside. */
#include "reserve.h"

#include "../lib/panic.h"
#include "buddy.h"
#include "frame.h"

#include <holdfast/phys.h>

bool hf_reserve_fill(struct hf_phys *phys, struct hf_reserve *r, uint64_t count)
{
	struct hf_reserve got = HF_RESERVE_EMPTY;
	bool clean, ok = true;
	uint32_t done = 0;

	hf_phys_lock(phys);
	while (ok && got.count < count) {
		hf_pfn pfn;

		ok = hf_block_alloc_locked(phys, 0, &pfn, &clean);
		if (ok) {
			hf_frame_at(phys, pfn)->next = got.head;
			got.head = pfn.v;
			got.count++;
		}
		hf_phys_batch(phys, &done, 1);
	}
	hf_phys_unlock(phys);
	if (!ok) {
		hf_reserve_drain(phys, &got);
		return false;
	}
	while (got.count) {
		hf_pfn pfn = hf_reserve_take(phys, &got);

		hf_frame_at(phys, pfn)->next = r->head;
		r->head = pfn.v;
		r->count++;
	}
	return true;
}

hf_pfn hf_reserve_take(struct hf_phys *phys, struct hf_reserve *r)
{
	hf_pfn pfn = { r->head };

	if (!r->count)
		hf_panic(phys, "a reserve ran out: the need was reckoned too small");
	r->head = hf_frame_at(phys, pfn)->next;
	r->count--;
	return pfn;
}

void hf_reserve_drain(struct hf_phys *phys, struct hf_reserve *r)
{
	uint32_t done = 0;

	if (!r->count)
		return;
	hf_phys_lock(phys);
	while (r->count) {
		hf_block_free_locked(phys, hf_reserve_take(phys, r), 0);
		hf_phys_batch(phys, &done, 1);
	}
	hf_phys_unlock(phys);
}
