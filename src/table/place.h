/* SPDX-License-Identifier: MIT */
/* Placement: where in RAM new pages go. */
#ifndef HF_PLACE_H
#define HF_PLACE_H

#include "../lib/lock.h"

#include <holdfast/phys.h>

/* A page to be made, and the tree of tables that will lead to it. */
struct hf_place {
	hf_pfn root;  /* HF_NIL: there is no tree yet */
	unsigned top; /* level of the root */
	hf_pfn table; /* the one that its leaf at level 0 will be in; HF_NIL: there is none, or not known */
	hf_va lo, hi; /* what the page is a part of: a mapping, or all of an object */
	hf_va va;     /* an address in the page; or an offset, in an object's tree */
	unsigned level;
	bool copy; /* of a page that stays where it is, with one leaf less */
};

/*
 * A block for the page, near the pages of its neighbours; elsewhere if that is not free.
 * Not counted as mapped. *clean tells that it reads as zeros. False: no memory.
 * => phys->lock held; the tree stands, and nobody lets go of a table of it without phys->lock.
 */
HF_HOLDS(phys)
bool hf_place_alloc_locked(struct hf_phys *phys, const struct hf_place *p, hf_pfn *out,
			   bool *clean);
/*
 * `table`, at level 0, has got a page at `va` in another way: so neighbours go by it. phys->lock
 * held, or the table is exclusive and its mm locked exclusively.
 */
void hf_place_note(const struct hf_phys *phys, hf_pfn table, hf_va va);

#endif
