/* SPDX-License-Identifier: MIT */
/* Page faults, resolved. */
#ifndef HF_RESOLVE_H
#define HF_RESOLVE_H

#include "../lib/lock.h"
#include "../object/object.h"
#include "../phys/reserve.h"
#include "../table/walk.h"
#include "vma.h"
#include "wait.h"

#include <holdfast/mm.h>
#include <holdfast/trace.h>

/* A fault: what is wanted, and where the walk for it has come to. */
struct hf_resolution {
	struct hf_mm *mm;
	hf_va va;
	unsigned access; /* one HF_ACCESS_* */
	bool unshare;	 /* make the page exclusive, for a pin */

	enum hf_status status; /* why it failed */
	bool hole;	       /* there is no mapping at va */
	struct hf_vma vma;
	struct hf_walk walk;
	bool exclusive; /* make every table on the way this space's own */
	bool reserved;	/* the reserve has been filled: nothing can fail for memory now */
	struct hf_reserve reserve;
	hf_pfn block; /* taken for the copy of a small page, else HF_NIL */
	bool block_clean;
	bool from_zero; /* the leaf leads to a zero page */
	enum hf_trace_fault did;
	struct hf_object_page page; /* what the object has here, pfn HF_NIL: not asked yet */
	struct hf_wait *wait;	    /* the caller's; with HF_ERR_PENDING: for what */
};

/*
 * Resolve the fault. On HF_OK the walk stands at a present leaf that allows the access (and leads
 * to an exclusive page, if `unshare`), its table locked, until hf_resolve_end. On an error
 * everything is released. HF_ERR_PENDING: f->wait says what has to be waited for (wait.h). mm lock
 * held, shared or exclusive.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_resolve_begin(struct hf_resolution *f);
HF_HOLDS_SHARED(mm)
void hf_resolve_end(struct hf_resolution *f);
/*
 * The walk stands at a swap entry: bring the page back, as a leaf there. In a shared table that is
 * for all who share it. If f->in is then wanted, nothing has changed yet: let the locks go, read it
 * (hf_swapin_read), and look again. HF_ERR_NOMEM, HF_ERR_OVERFLOW: it stays there.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_resolve_swapped(struct hf_resolution *f);

#endif
