/* SPDX-License-Identifier: MIT */
/*
 * Waiting for what only the host can give: a page that a pager has to supply, or that the swap
 * store has. Whoever finds that it needs one does not wait where it stands, with a space's lock
 * held, but says so: HF_ERR_PENDING, with a struct hf_wait that names it, and nothing else held.
 * Its caller lets all its locks go, calls hf_wait, and looks again from the beginning, for what it
 * knew may have changed:
 *
 *	do {
 *		lock
 *		st = look(..., &wait);
 *		unlock
 *	} while (hf_wait(phys, &wait, &st));
 */
#ifndef HF_WAIT_H
#define HF_WAIT_H

#include "../object/object.h"
#include "../phys/swapio.h"

#include <holdfast/phys.h>

/* For one or the other. It stays where it is, from HF_WAIT_NONE to the last hf_wait. */
struct hf_wait {
	hf_va va;		  /* what needs it */
	struct hf_object *object; /* held: its page at `offset` is wanted, */
	uint64_t offset;
	unsigned level; /* of this level, if that can be had */
	/* NULL: a page is wanted that is in the store; or this one has been read and not yet used. */
	struct hf_swapin in;
};
#define HF_WAIT_NONE ((struct hf_wait){ .object = NULL })

bool hf_wait_slow(struct hf_phys *phys, struct hf_wait *w, enum hf_status *st);

/*
 * If *st is HF_ERR_PENDING, wait for what `w` names and let go of it. True: look again. False: *st
 * is the result, which was not HF_ERR_PENDING, or says why there is nothing to wait for:
 * HF_ERR_BUS, HF_ERR_RETRY, HF_ERR_NOMEM, HF_ERR_STORE. No lock held.
 */
static inline bool hf_wait(struct hf_phys *phys, struct hf_wait *w, enum hf_status *st)
{
	/* The usual case: nothing was waited for. */
	if (*st != HF_ERR_PENDING && w->in.state == HF_SWAPIN_NONE)
		return false;
	return hf_wait_slow(phys, w, st);
}

/*
 * Let go of the page that a pager would have to supply, without having waited for it. False: it is
 * not a pager's. No lock but mm's held.
 */
bool hf_wait_cancel(struct hf_wait *w);

#endif
