/* SPDX-License-Identifier: MIT */
/*
 * A page-table format as data: which bits of a 64-bit entry say what. Every header of
 * this directory but entry.h describes one format in a constant `hf_format`; one of them is
 * built in, and entry.h is all that the rest of the core knows of it.
 *
 *  - An entry of 0 is empty.
 *  - An entry without `valid` is no business of the hardware's, and its other bits are
 *    free. A leaf that keeps its frame but must fault is `hidden`; a branch may be hidden for a
 *    moment too, while its range is being unmapped. An entry that is `swapped` names a slot
 *    of the swap store in the place of a frame.
 */
#ifndef HF_ARCH_FORMAT_H
#define HF_ARCH_FORMAT_H

#include <holdfast/types.h>

/* The most that any format has. */
#define HF_LEVELS_MAX 5

/* A right that an entry gives or denies: the bits concerned, and what they are then. */
struct hf_right {
	uint64_t bits, give, deny;
};

struct hf_format {
	unsigned levels;    /* tables on the way to a small page */
	unsigned va_bits;   /* user addresses are below 2^va_bits */
	unsigned pfn_shift; /* where the frame number stands in an entry */
	uint64_t pfn_bits;
	/*
	 * Of these, what stands inverted in an entry that is not valid, nor empty. Intel's CPUs
	 * with L1TF (CVE-2018-3620) load what such an entry seems to lead to, before they fault, if
	 * the first-level cache has it. Inverted, the address lies beyond all RAM. 0: no CPU of
	 * this format is known to do so (AArch64 and RISC-V, where nothing would be in the way of
	 * it).
	 */
	uint64_t inverted;

	uint64_t valid;
	/* At levels above 0 an entry is a branch iff (entry & branch_bits) == branch_is. */
	uint64_t branch_bits, branch_is;
	uint64_t branch; /* what every branch has, `valid` and `branch_write` apart */
	uint64_t leaf;	 /* what every leaf has, `valid` and rights apart */
	uint64_t small;	 /* what leaves at level 0 have besides, */
	uint64_t huge;	 /* and those above */

	struct hf_right branch_write; /* denies it to all that is below */
	struct hf_right leaf_write, leaf_exec;
	uint64_t accessed, dirty;
	uint64_t branch_accessed; /* what the hardware may set in a branch */
	/*
	 * The hardware marks leaves accessed and dirty. Where it does not, a leaf that is not
	 * accessed faults, and one that is writable counts as dirty.
	 */
	bool marks;
	/*
	 * A valid entry may not become another valid one that leads elsewhere or has another
	 * size, but through one that is not valid, and a flush.
	 */
	bool break_first;
	/*
	 * 0 where a branch can deny writing to what is below. Elsewhere, what a branch that
	 * denies it has in the place of `valid` until somebody goes through it: see
	 * hf_table_arm.
	 */
	uint64_t unarmed;

	/* Software's bits. */
	uint64_t look; /* LOOK, in a branch: fork must inspect what is below */
	uint64_t lazy; /* in a leaf: its contents may be dropped until it is written (MADV_FREE) */
	uint64_t hidden, swapped;
};

#endif
