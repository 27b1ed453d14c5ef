/* SPDX-License-Identifier: MIT */
/* Pages on their way to the store. */
#include "writeout.h"

#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/slot.h"
#include "../phys/swapio.h"

#include <holdfast/swap.h>

bool hf_writeout_add_locked(struct hf_phys *phys, struct hf_writeout *out, hf_va va, hf_pfn pfn)
{
	struct hf_written *page = &out->page[out->count];

	if (!hf_store_write_locked(phys, &page->call, pfn))
		return false;
	hf_map_count_locked(phys, pfn, HF_LEVEL_PTE, true);
	page->va = va;
	page->good = false;
	out->count++;
	return true;
}

bool hf_writeout_write(struct hf_phys *phys, struct hf_writeout *out)
{
	for (unsigned i = 0; i < out->count; i++) {
		struct hf_written *page = &out->page[i];

		page->good = hf_swapout_write(phys, &page->call);
		if (!page->good)
			return false;
	}
	return true;
}

void hf_writeout_cache(struct hf_phys *phys, const struct hf_written *page)
{
	hf_phys_lock(phys);
	if (hf_frame_get_kind(hf_frame_at(phys, page->call.pfn)) == HF_FRAME_PLAIN)
		hf_slot_cache_locked(phys, page->call.slot, page->call.pfn);
	hf_phys_unlock(phys);
}

uint64_t hf_writeout_end(struct hf_phys *phys, struct hf_writeout *out)
{
	uint64_t free;

	hf_phys_lock(phys);
	free = phys->free_frames;
	for (unsigned i = 0; i < out->count; i++) {
		hf_map_put_locked(phys, out->page[i].call.pfn, HF_LEVEL_PTE);
		hf_store_end_locked(phys, &out->page[i].call);
	}
	free = phys->free_frames - free;
	hf_phys_unlock(phys);
	out->count = 0;
	return free;
}
