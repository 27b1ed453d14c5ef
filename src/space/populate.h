/* SPDX-License-Identifier: MIT */
/* Making pages present: a range of them, or what a lock wants. */
#ifndef HF_POPULATE_H
#define HF_POPULATE_H

#include "../lib/lock.h"
#include "vma.h"
#include "wait.h"

#include <holdfast/mm.h>

/*
 * Make the pages of a locked mapping present, as far as it wants that and allows it. mm lock held.
 * HF_ERR_PENDING: *at is the first one that `wait` has to wait for. What lies below *at has been
 * waited for before: of that a page which the pager still has to supply is left.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_lock_mapping(struct hf_mm *mm, const struct hf_vma *vma, hf_va *at,
			       struct hf_wait *wait);
/* Lock those of the pages in [lo, hi) that its locked mappings want present. The same. */
HF_HOLDS_SHARED(mm)
enum hf_status hf_lock_pages(struct hf_mm *mm, hf_va lo, hf_va hi, hf_va *at, struct hf_wait *wait);
/* hf_wait for these two: a page that is not to be had, *at, is left. No lock held. */
bool hf_lock_wait(struct hf_phys *phys, struct hf_wait *wait, hf_va *at, enum hf_status *st);

/*
 * Fault in every page of [*va, hi), which is mapped and allows it; *va comes to where it ends.
 * HF_ERR_PENDING: wait for *wait. mm lock held.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_resolve_range(struct hf_mm *mm, hf_va *va, hf_va hi, unsigned access,
				struct hf_wait *wait);

#endif
