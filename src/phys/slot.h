/* SPDX-License-Identifier: MIT */
/*
 * Slots of the swap store, and the pages in them. A slot is free, or it holds a page:
 *   refs   how many table entries name it (AWAY)
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
#ifndef HF_SWAP_H
#define HF_SWAP_H

#include "../space/mm.h"

#include <holdfast/swap.h>

struct hf_slot {
	uint32_t refs;
	uint32_t link; /* free: the next free slot; else the cached frame, or HF_NIL */
};

static inline struct hf_slot *hf_slot_at(const struct hf_phys *phys, uint32_t slot)
{
	return (struct hf_slot *)phys->store->meta + slot;
}

/* Going out. A slot that no entry names yet; false: none is free. phys->lock held. */
bool hf_slot_alloc_locked(struct hf_phys *phys, uint32_t *out);
/* Give it back, still without entries. phys->lock held. */
void hf_slot_free_locked(struct hf_phys *phys, uint32_t slot);
/* The frame, which still has leaves, has the same page as the slot. phys->lock held. */
void hf_slot_cache_locked(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);
/* Write a page, which cannot change meanwhile. No phys->lock. */
bool hf_slot_write(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);

/*
 * Coming back; the table of an entry that names the slot is locked.
 * map: one leaf more leads to the cached frame. HF_ERR_UNMAPPED: it is not cached. HF_ERR_OVERFLOW.
 * read: the page into a frame that is mapped once. HF_ERR_STORE: and the frame is free again.
 * leave: that entry becomes a leaf to `pfn`, which map or read gave. Returns whether the
 * leaf has the page alone.
 */
enum hf_status hf_slot_map(struct hf_phys *phys, uint32_t slot, hf_pfn *pfn);
enum hf_status hf_slot_read(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);
bool hf_slot_leave(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);

/*
 * A few frames set aside, for splitting huge pages when no other is free. fill: as many as
 * are wanted and to be had. take: one into the reserve; false: there is none.
 */
void hf_spare_fill(struct hf_phys *phys);
bool hf_spare_take(struct hf_phys *phys, struct hf_reserve *r);

/*
 * HF_ADV_COLD, or HF_ADV_PAGEOUT with `out`, of a range that is checked but for what is mapped.
 */
enum hf_status hf_advise_unused(struct hf_mm *mm, hf_va va, uint64_t len, bool out);
/*
 * HF_ADV_FREE, after hf_isolate of the range, which is private anonymous memory. mm lock held
 * exclusively, and reclaim kept out.
 */
void hf_mark_free(struct hf_mm *mm, hf_va lo, hf_va hi);

#endif
