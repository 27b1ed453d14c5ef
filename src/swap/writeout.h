/* SPDX-License-Identifier: MIT */
/*
 * Pages on their way to the store, while no lock is held: other pages' users must not wait for it.
 *
 * A page that is being written is not hidden: its leaf stays, without write permission, and the
 * write is counted as one leaf more. So the page is nobody's alone for that time. Who writes to it,
 * or pins it, gets a copy, as of any page that somebody else has, too; who unmaps it does not free
 * it; and what the store reads does not change under it. Its slot is counted in the same way. What
 * the write is good for is seen afterwards, by whoever looks whether that leaf is still there.
 */
#ifndef HF_WRITEOUT_H
#define HF_WRITEOUT_H

#include "../lib/lock.h"
#include "../phys/slot.h"

#include <holdfast/phys.h>
#include <holdfast/types.h>

#define HF_WRITEOUT_MAX 32

/* Pages that one table leads to. All zeros: none. */
struct hf_writeout {
	unsigned count;
	struct hf_written {
		struct hf_store_call call;
		hf_va va;
		bool good; /* the store has it */
	} page[HF_WRITEOUT_MAX];
};

/*
 * One page more, with a slot for it; its leaf's table is locked, and the leaf loses write
 * permission before that lock is let go. False, and no change: no slot is free.
 */
HF_HOLDS(phys)
bool hf_writeout_add_locked(struct hf_phys *phys, struct hf_writeout *out, hf_va va, hf_pfn pfn);
/* Write them, up to the first that the store refuses: then false. No lock held. */
bool hf_writeout_write(struct hf_phys *phys, struct hf_writeout *out);
/*
 * The page, written, goes: from now on it is cached, if it is not yet. Its leaf is hidden and its
 * table locked.
 */
void hf_writeout_cache(struct hf_phys *phys, const struct hf_written *page);
/* The end: pages and slots that nobody else has are free. Returns how many frames became so. */
uint64_t hf_writeout_end(struct hf_phys *phys, struct hf_writeout *out);

#endif
