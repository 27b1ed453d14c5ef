/* SPDX-License-Identifier: MIT */
/* Leaves to an object's pages, taken out of one space after the other. */
#ifndef HF_FORGET_H
#define HF_FORGET_H

#include "../lib/lock.h"
#include "vma.h"

#include <holdfast/mm.h>

/*
 * Take the leaves to its object's pages out of a part of a mapping, and flush: all of them, or,
 * with `idle`, those to pages that are neither dirty nor pinned, where no other space shares the
 * table. Private copies stay. A leaf that reaches beyond the part stays, too. phys->spaces_lock and
 * the locks of all spaces that map the pages are held, exclusively.
 */
HF_HOLDS(mm)
void hf_forget_pages(struct hf_mm *mm, const struct hf_vma *part, bool idle);

#endif
