/* SPDX-License-Identifier: MIT */
/*
 * Slots of the swap store, and the pages in them. A slot is free, or it holds a page:
 *   refs   how many table entries (swap entries) name it
 *   link   the frame, if the page is in memory as well: the slot is *cached*
 *
 *               all leaves are entries now
 *     present ------------------------------> swapped
 *        |  ^                                 |  ^
 *  some  |  | written, pinned, or no    some  |  | no leaf
 *        v  | entry is left             back  v  | is left
 *        +--+-------------> cached <----------+--+
 *
 * A cached page has leaves and entries, and is the same as its slot: no leaf allows writing, no
 * device holds it, and no huge leaf leads to it. Its frame's kind is HF_FRAME_CACHED.
 *
 * phys->lock guards slots. A slot that an entry names cannot go while the entry's table is locked.
 */
#ifndef HF_SLOT_H
#define HF_SLOT_H

#include "../lib/lock.h"
#include "../lib/work.h"

#include <holdfast/phys.h>
#include <holdfast/swap.h>

struct hf_slot {
	uint32_t refs;
	uint32_t link; /* free: the next free slot; else the cached frame, or HF_NIL */
};

static inline struct hf_slot *hf_slot_at(const struct hf_phys *phys, uint32_t slot)
{
	HF_WORK();
	return (struct hf_slot *)phys->store->meta + slot;
}

/*
 * One entry more names the slot: false, and no change, at the limit. One less: without entries it
 * is free.
 */
HF_HOLDS(phys)
bool hf_slot_get_locked(struct hf_phys *phys, uint32_t slot);
HF_HOLDS(phys)
void hf_slot_put_locked(struct hf_phys *phys, uint32_t slot);
/* The frame, if it is cached, is no longer the same as its slot, or no longer there. */
HF_HOLDS(phys)
void hf_slot_forget_locked(struct hf_phys *phys, hf_pfn pfn);

/*
 * A call of the store, under way without any lock. It is counted in its slot as an entry would be,
 * and in the frame as a leaf would be: so both stay, and nobody writes to the frame.
 */
struct hf_store_call {
	struct hf_store_call *next, *prev; /* of all, for hf_mm_check */
	uint32_t slot;
	hf_pfn pfn;
};

/*
 * write: of the frame, which the caller counts as mapped once more, to a slot of its own. False,
 * and no change: none is free, or hf_swap_off is at work.
 * read: of a slot that an entry names, into a frame that is mapped once, by this call.
 * end: of either; the frame's count is the caller's.
 * Counts may pass their limit: that is for entries, and a call is over soon.
 */
HF_HOLDS(phys)
bool hf_store_write_locked(struct hf_phys *phys, struct hf_store_call *call, hf_pfn pfn);
HF_HOLDS(phys)
void hf_store_read_locked(struct hf_phys *phys, struct hf_store_call *call, uint32_t slot,
			  hf_pfn pfn);
HF_HOLDS(phys)
void hf_store_end_locked(struct hf_phys *phys, struct hf_store_call *call);
/* Until no call is under way. No lock held. */
void hf_store_wait(struct hf_phys *phys);
/* The frame, which still has leaves, has the same page as the slot. phys->lock held. */
HF_HOLDS(phys)
void hf_slot_cache_locked(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);

#endif
