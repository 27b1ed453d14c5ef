/* SPDX-License-Identifier: MIT */
/*
 * Waiting for what only the host can give: a page that a pager has to supply. Whoever finds that
 * it needs one does not wait where it stands, with a space's lock held, but says so:
 * HF_ERR_PENDING, with a struct hf_wait that names it, and nothing else held. Its caller lets all its
 * locks go, calls hf_wait, and looks again from the beginning, for what it knew may have
 * changed:
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

#include <holdfast/phys.h>

struct hf_wait {
	hf_va va;		  /* what needs it */
	struct hf_object *object; /* held: its page at `offset` is wanted, */
	uint64_t offset;
	unsigned level; /* of this level, if that can be had */
};

/*
 * If *st is HF_ERR_PENDING, wait for what `w` names and let go of it. True: look again. False: *st is
 * the result, which was not HF_ERR_PENDING, or says why there is nothing to wait for: HF_ERR_BUS,
 * HF_ERR_NOMEM. No lock held.
 */
bool hf_wait(struct hf_phys *phys, const struct hf_wait *w, enum hf_status *st);
/* Let go of what `w` names without having waited for it. No lock but mm's held. */
void hf_wait_cancel(const struct hf_wait *w);

#endif
