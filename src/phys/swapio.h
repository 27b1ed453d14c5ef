/* SPDX-License-Identifier: MIT */
/* Pages on their way to the swap store and back. The store is called without any lock. */
#ifndef HF_SWAPIO_H
#define HF_SWAPIO_H

#include "slot.h"

#include <holdfast/phys.h>
#include <holdfast/status.h>

/* Write the page. No lock held. */
bool hf_swapout_write(struct hf_phys *phys, const struct hf_store_call *call);

/* A page on its way back. All zeros: none. */
struct hf_swapin {
	enum {
		HF_SWAPIN_NONE,
		HF_SWAPIN_WANTED,
		HF_SWAPIN_READ /* the frame has it */
	} state;
	struct hf_store_call call;
};

/* An entry names the slot, and its table is locked: read it, soon, into a frame mapped once. */
void hf_swapin_want(struct hf_phys *phys, struct hf_swapin *in, uint32_t slot, hf_pfn pfn);
/* HF_ERR_STORE: it could not be read, and none is wanted any more. No lock held. */
enum hf_status hf_swapin_read(struct hf_phys *phys, struct hf_swapin *in);
/* None is wanted any more. */
void hf_swapin_drop(struct hf_phys *phys, struct hf_swapin *in);

/*
 * The entry that names the slot, its table locked, becomes a leaf to *pfn: the page's frame if it
 * is cached, or else the one that it was read into, if it was. HF_NIL: not yet, it has to be read.
 * *exclusive: the leaf is the only one to the page, which is nowhere else. HF_ERR_OVERFLOW.
 */
enum hf_status hf_slot_return(struct hf_phys *phys, uint32_t slot, struct hf_swapin *in,
			      hf_pfn *pfn, bool *exclusive);

#endif
