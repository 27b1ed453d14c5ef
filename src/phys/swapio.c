/* SPDX-License-Identifier: MIT */
/* Pages on their way to the swap store and back. */
#include "swapio.h"

#include "count.h"
#include "frame.h"
#include "slot.h"

#include <holdfast/phys.h>
#include <holdfast/swap.h>

bool hf_swapout_write(struct hf_phys *phys, const struct hf_store_call *call)
{
	const struct hf_store *store = phys->store;
	bool ok = store->write(store->host, call->slot, hf_frame_ptr(phys, call->pfn));

	hf_phys_lock(phys);
	phys->swap_outs += ok;
	hf_phys_unlock(phys);
	return ok;
}

void hf_swapin_want(struct hf_phys *phys, struct hf_swapin *in, uint32_t slot, hf_pfn pfn)
{
	in->state = HF_SWAPIN_WANTED;
	hf_phys_lock(phys);
	hf_store_read_locked(phys, &in->call, slot, pfn);
	hf_phys_unlock(phys);
}

enum hf_status hf_swapin_read(struct hf_phys *phys, struct hf_swapin *in)
{
	const struct hf_store *store = phys->store;

	if (!store->read(store->host, in->call.slot, hf_frame_ptr(phys, in->call.pfn))) {
		hf_swapin_drop(phys, in);
		return HF_ERR_STORE;
	}
	in->state = HF_SWAPIN_READ;
	hf_phys_lock(phys);
	phys->swap_ins++;
	hf_phys_unlock(phys);
	return HF_OK;
}

void hf_swapin_drop(struct hf_phys *phys, struct hf_swapin *in)
{
	if (in->state == HF_SWAPIN_NONE)
		return;
	hf_phys_lock(phys);
	hf_map_put_locked(phys, in->call.pfn, HF_LEVEL_PTE);
	hf_store_end_locked(phys, &in->call);
	hf_phys_unlock(phys);
	in->state = HF_SWAPIN_NONE;
}

/* What was read is the page from now on. */
HF_HOLDS(phys)
static void use_read(struct hf_phys *phys, struct hf_swapin *in)
{
	hf_store_end_locked(phys, &in->call);
	in->state = HF_SWAPIN_NONE;
	/* Other entries, or reads, than the one that returns: they find it in memory. */
	if (hf_slot_at(phys, in->call.slot)->refs > 1)
		hf_slot_cache_locked(phys, in->call.slot, in->call.pfn);
}

enum hf_status hf_slot_return(struct hf_phys *phys, uint32_t slot, struct hf_swapin *in,
			      hf_pfn *pfn, bool *exclusive)
{
	enum hf_status st = HF_OK;

	hf_phys_lock(phys);
	pfn->v = hf_slot_at(phys, slot)->link;
	if (pfn->v != HF_NIL && !hf_map_get_locked(phys, *pfn, HF_LEVEL_PTE)) {
		st = HF_ERR_OVERFLOW;
	} else if (pfn->v == HF_NIL && in->state == HF_SWAPIN_READ && in->call.slot == slot) {
		*pfn = in->call.pfn;
		use_read(phys, in);
	}
	if (!st && pfn->v != HF_NIL) {
		hf_slot_put_locked(phys, slot);
		*exclusive = hf_mapped_once_locked(phys, *pfn, HF_LEVEL_PTE) &&
			     hf_frame_get_kind(hf_frame_at(phys, *pfn)) == HF_FRAME_PLAIN;
	}
	hf_phys_unlock(phys);
	return st;
}
