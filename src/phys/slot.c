/* SPDX-License-Identifier: MIT */
/* Slots of the swap store: who names them, which are free, which are cached. */
#include "slot.h"

#include "../lib/panic.h"
#include "frame.h"

#include <holdfast/phys.h>

bool hf_slot_get_locked(struct hf_phys *phys, uint32_t slot)
{
	HF_ASSERT_PHYS(phys);
	if (hf_slot_at(phys, slot)->refs >= phys->count_limit)
		return false;
	hf_slot_at(phys, slot)->refs++;
	return true;
}

/* The page is in the slot or in the frame, but no longer in both. */
static void uncache(struct hf_phys *phys, struct hf_slot *s)
{
	hf_frame_set_kind(hf_frame_at(phys, (hf_pfn){ s->link }), HF_FRAME_PLAIN);
	s->link = HF_NIL;
	phys->slots_cached--;
}

void hf_slot_put_locked(struct hf_phys *phys, uint32_t slot)
{
	struct hf_slot *s = hf_slot_at(phys, slot);

	HF_ASSERT_PHYS(phys);
	if (!s->refs)
		hf_panic_at(phys, "an entry named a slot that it was not counted in", slot, 0, 0);
	if (--s->refs)
		return;
	if (s->link != HF_NIL)
		uncache(phys, s);
	hf_slot_free_locked(phys, slot);
}

void hf_slot_forget_locked(struct hf_phys *phys, hf_pfn pfn)
{
	const struct hf_frame *f = hf_frame_at(phys, pfn);

	HF_ASSERT_PHYS(phys);
	if (hf_frame_get_kind(f) == HF_FRAME_CACHED)
		uncache(phys, hf_slot_at(phys, f->slot));
}

bool hf_slot_alloc_locked(struct hf_phys *phys, uint32_t *out)
{
	struct hf_slot *s;

	HF_ASSERT_PHYS(phys);
	if (phys->slot_free != HF_NIL) {
		*out = phys->slot_free;
		phys->slot_free = hf_slot_at(phys, *out)->link;
	} else if (phys->slots_begun < phys->store->slots) {
		*out = phys->slots_begun++;
	} else {
		return false;
	}
	s = hf_slot_at(phys, *out);
	phys->slots_used++;
	*s = (struct hf_slot){ .link = HF_NIL };
	return true;
}

void hf_slot_free_locked(struct hf_phys *phys, uint32_t slot)
{
	HF_ASSERT_PHYS(phys);
	hf_slot_at(phys, slot)->link = phys->slot_free;
	phys->slot_free = slot;
	phys->slots_used--;
}

void hf_slot_cache_locked(struct hf_phys *phys, uint32_t slot, hf_pfn pfn)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);

	HF_ASSERT_PHYS(phys);
	hf_frame_set_kind(f, HF_FRAME_CACHED);
	f->slot = slot;
	hf_slot_at(phys, slot)->link = pfn.v;
	phys->slots_cached++;
}
