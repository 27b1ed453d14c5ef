/* SPDX-License-Identifier: MIT */
/* Pages on their way to the swap store and back. */
#include "swapio.h"

#include "count.h"
#include "frame.h"
#include "slot.h"

#include <holdfast/phys.h>
#include <holdfast/swap.h>

bool hf_slot_write(struct hf_phys *phys, uint32_t slot, hf_pfn pfn)
{
	const struct hf_store *store = phys->store;

	return store->write(store->host, slot, hf_frame_ptr(phys, pfn));
}

enum hf_status hf_slot_map(struct hf_phys *phys, uint32_t slot, hf_pfn *pfn)
{
	enum hf_status st = HF_OK;

	hf_phys_lock(phys);
	pfn->v = hf_slot_at(phys, slot)->link;
	if (pfn->v != HF_NIL && !hf_map_get_locked(phys, *pfn, HF_LEVEL_PTE))
		st = HF_ERR_OVERFLOW;
	hf_phys_unlock(phys);
	return st;
}

enum hf_status hf_slot_read(struct hf_phys *phys, uint32_t slot, hf_pfn pfn)
{
	const struct hf_store *store = phys->store;
	bool ok = store->read(store->host, slot, hf_frame_ptr(phys, pfn));

	hf_phys_lock(phys);
	if (ok)
		phys->swap_ins++;
	else
		hf_map_put_locked(phys, pfn, HF_LEVEL_PTE);
	hf_phys_unlock(phys);
	return ok ? HF_OK : HF_ERR_STORE;
}

bool hf_slot_leave(struct hf_phys *phys, uint32_t slot, hf_pfn pfn)
{
	struct hf_slot *s = hf_slot_at(phys, slot);
	bool exclusive;

	hf_phys_lock(phys);
	/* Two entries that come back at once may both have read the page: then each has its own. */
	if (s->link == HF_NIL && s->refs > 1)
		hf_slot_cache_locked(phys, slot, pfn);
	hf_slot_put_locked(phys, slot);
	exclusive = hf_mapped_once_locked(phys, pfn, HF_LEVEL_PTE) &&
		    hf_frame_get_kind(hf_frame_at(phys, pfn)) == HF_FRAME_PLAIN;
	hf_phys_unlock(phys);
	return exclusive;
}
