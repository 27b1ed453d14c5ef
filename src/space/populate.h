/* SPDX-License-Identifier: MIT */
/* Making pages present: a range of them, or what a lock wants. */
#ifndef HF_POPULATE_H
#define HF_POPULATE_H

#include "../lib/lock.h"
#include "vma.h"

#include <holdfast/mm.h>

/* Make the pages of a locked mapping present, as far as it wants that and allows it. mm lock held. */
HF_HOLDS_SHARED(mm)
enum hf_status hf_lock_mapping(struct hf_mm *mm, const struct hf_vma *vma);
/* Lock those of the pages in [lo, hi) that its locked mappings want present. mm lock held. */
HF_HOLDS_SHARED(mm)
enum hf_status hf_lock_pages(struct hf_mm *mm, hf_va lo, hf_va hi);

/* Fault in every page of [lo, hi), which is mapped and allows it. */
HF_HOLDS_SHARED(mm)
enum hf_status hf_resolve_range(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned access);

#endif
