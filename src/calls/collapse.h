/* SPDX-License-Identifier: MIT */
/*
 * Collapse: what lies below one entry becomes one huge page. A part is the memory of one leaf
 * at `level`.
 */
#ifndef HF_COLLAPSE_H
#define HF_COLLAPSE_H

#include "../lib/lock.h"
#include "../space/edit.h"
#include "../space/vma.h"

#include <holdfast/mm.h>

/* What is below the entry for a part. */
struct hf_part {
	struct hf_mm *mm;
	struct hf_vma vma; /* the mapping that the part lies in */
	hf_va va;
	unsigned level;

	bool huge;     /* a leaf of this size or a larger one is there already */
	bool pinned;   /* something in it is */
	bool swapped;  /* some of it is in the swap store */
	bool accessed; /* some leaf is marked so */
	bool in_place; /* the pages are nobody else's, and lie together as the huge page would */
	uint64_t pages, shared, empty; /* of 4 KiB: of its own, of others too, none or zero pages */
	hf_pfn first;		       /* of the first leaf */
};

/*
 * Inspect the part at `va`, which is aligned to it. False: it is not whole in one private
 * anonymous mapping. mm lock held exclusively.
 */
HF_HOLDS(mm)
bool hf_part_inspect(struct hf_part *part, struct hf_mm *mm, hf_va va, unsigned level);

/*
 * Make the part one leaf; accessed, dirty and the right to write are what they were of any of
 * its pages. Pages that others have too are left to them.
 * HF_ERR_AGAIN: something is pinned or swapped. HF_ERR_INVAL: there is no page. HF_ERR_NOMEM,
 * HF_ERR_OVERFLOW. After an error nothing has changed that shows. `e` is an edit of its mm.
 */
HF_HOLDS(mm)
enum hf_status hf_part_collapse(struct hf_edit *e, const struct hf_part *part);

#endif
