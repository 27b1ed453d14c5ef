/* SPDX-License-Identifier: MIT */
/*
 * What the hardware of each format reads in an entry. This is the other side of what the
 * core is tested against, so it knows of formats only what their manuals say and shares
 * nothing with src/arch.
 *
 * A format says, in a header of its own:
 *   MMU_LEVELS, MMU_USER_BITS   tables on a walk; addresses of 2^MMU_USER_BITS and above fault
 *   MMU_BRANCH_DENIES_WRITE     a branch can take the right to write from what is below
 *   MMU_BREAK_FIRST             the caches may not hold a translation beside another, valid one
 *   MMU_KEEPS_UNLESS_DENIED     a fault handler forgets what is cached after permission faults
 *   alone mmu_valid                   the entry means anything
 *   mmu_malformed               why the manual forbids it at this level, or NULL
 *   mmu_is_leaf, mmu_pa         it maps a page; where it leads, but for what is below its size
 *   mmu_branch_rights           HF_ACCESS_* that a branch leaves to what is below
 *   mmu_leaf_rights             HF_ACCESS_* of a leaf
 *   mmu_mark_branch             the branch as a walk marks it
 *   mmu_mark_leaf               mark a leaf for an access that it allows; false: page fault
 *   mmu_marked_dirty            a store need not mark it any more
 * All of them but mmu_valid are asked of valid entries.
 */
#ifndef HF_SOFT_MMU_H
#define HF_SOFT_MMU_H

#include <holdfast/soft.h>

#if defined(HF_FORMAT_X86_64) || defined(HF_FORMAT_X86_64_5)
#include "mmu_x86_64.h"
#elif defined(HF_FORMAT_AARCH64)
#include "mmu_aarch64.h"
#elif defined(HF_FORMAT_SV39) || defined(HF_FORMAT_SV48) || defined(HF_FORMAT_SV57)
#define MMU_SVADU 0
#include "mmu_riscv64.h"
#elif defined(HF_FORMAT_SV39_SVADU) || defined(HF_FORMAT_SV48_SVADU) || \
	defined(HF_FORMAT_SV57_SVADU)
#define MMU_SVADU 1
#include "mmu_riscv64.h"
#else
#error "no HF_FORMAT_* that has an MMU here"
#endif

#endif
