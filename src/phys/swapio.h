/* SPDX-License-Identifier: MIT */
/* Pages on their way to the swap store and back. */
#ifndef HF_SWAPIO_H
#define HF_SWAPIO_H

#include <holdfast/phys.h>

/* Write a page, which cannot change meanwhile. No phys->lock. */
bool hf_slot_write(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);

/*
 * Coming back; the table of an entry that names the slot is locked.
 * map: one leaf more leads to the cached frame; HF_NIL: it is not cached. HF_ERR_OVERFLOW.
 * read: the page into a frame that is mapped once. HF_ERR_STORE: and the frame is free again.
 * leave: that entry becomes a leaf to `pfn`, which map or read gave. Returns whether the
 * leaf is the only one to the page.
 */
enum hf_status hf_slot_map(struct hf_phys *phys, uint32_t slot, hf_pfn *pfn);
enum hf_status hf_slot_read(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);
bool hf_slot_leave(struct hf_phys *phys, uint32_t slot, hf_pfn pfn);

#endif
