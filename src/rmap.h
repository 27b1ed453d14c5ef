/* SPDX-License-Identifier: MIT */
/*
 * Who maps an object: found by going through the mappings of every space. Nothing is kept for it,
 * so mapping, unmapping and fork pay nothing; the few calls that ask are those that also
 * wait for a pager.
 */
#ifndef HF_RMAP_H
#define HF_RMAP_H

#include "space.h"

/*
 * For each mapping of [from, to) of the object, in each space: call fn(mm, lo, hi) for the
 * addresses that lead there, with the space's lock held exclusively, until one does not return
 * HF_OK. phys->spaces_lock held exclusively, so that no space and no child of one comes between.
 */
enum hf_status hf_rmap_each(const struct hf_object *object, uint64_t from, uint64_t to,
			    enum hf_status (*fn)(struct hf_mm *mm, hf_va lo, hf_va hi));

#endif
