/* SPDX-License-Identifier: MIT */
/*
 * AArch64, 4 KiB granule, four levels, 48-bit addresses: Arm Architecture Reference Manual
 * (DDI 0487), D8.3 "Translation table descriptor formats", D8.4 "Memory access control".
 * Its levels count the other way: our PGD is its level 0.
 *
 * What a port sets up: stage 1 of EL1&0, TTBR0_EL1; TCR_EL1.{T0SZ = 16, TG0 = 4 KiB, HPD0 =
 * HA = HD = 0}; SCTLR_EL1.WXN = 0; MAIR_EL1 attribute 0 is normal write-back memory.
 *
 * The hardware marks nothing (no FEAT_HAFDBS): an access flag that is clear faults, and the
 * fault handler sets it; a page is dirty when it becomes writable. APTable[1] in a branch
 * write-protects all that is below. The software bits are 58 to 55 in valid descriptors,
 * all in others.
 */
#ifndef HF_ARCH_AARCH64_H
#define HF_ARCH_AARCH64_H

#include "format.h"

#define A64_BIT(n) ((uint64_t)1 << (n))

enum {
	A64_VALID = 0,
	A64_TABLE = 1,	  /* at levels above 0 a table and not a block; at level 0 a page */
	A64_AP_EL0 = 6,	  /* AP[1]: EL0 may */
	A64_AP_RO = 7,	  /* AP[2]: nobody may write */
	A64_SH_OUTER = 8, /* SH: 0b10 outer, 0b11 inner shareable */
	A64_SH_INNER = 9,
	A64_AF = 10,
	A64_NG = 11, /* not global: belongs to an ASID */
	A64_PXN = 53,
	A64_UXN = 54,
	A64_SOFT_55 = 55,
	A64_SOFT_56 = 56,
	A64_SOFT_57 = 57,
	A64_SOFT_58 = 58,
	A64_APTABLE_RO = 62, /* APTable[1] */
};

static const struct hf_format hf_format = {
	.levels = 4,
	.va_bits = 48,
	.pfn_shift = HF_PAGE_SHIFT,
	.pfn_bits = (A64_BIT(48) - 1) & ~(uint64_t)0xfff,
	.valid = A64_BIT(A64_VALID),
	.branch_bits = A64_BIT(A64_TABLE),
	.branch_is = A64_BIT(A64_TABLE),
	.branch = A64_BIT(A64_TABLE),
	.leaf = A64_BIT(A64_AP_EL0) | A64_BIT(A64_SH_OUTER) | A64_BIT(A64_SH_INNER) |
		A64_BIT(A64_NG) | A64_BIT(A64_PXN),
	.small = A64_BIT(A64_TABLE),
	.branch_write = { .bits = A64_BIT(A64_APTABLE_RO), .deny = A64_BIT(A64_APTABLE_RO) },
	.leaf_write = { .bits = A64_BIT(A64_AP_RO), .deny = A64_BIT(A64_AP_RO) },
	.leaf_exec = { .bits = A64_BIT(A64_UXN), .deny = A64_BIT(A64_UXN) },
	.accessed = A64_BIT(A64_AF),
	.dirty = A64_BIT(A64_SOFT_55),
	.break_first = true,
	.look = A64_BIT(A64_SOFT_55),
	.lazy = A64_BIT(A64_SOFT_56),
	.hidden = A64_BIT(A64_SOFT_57),
	.swapped = A64_BIT(A64_SOFT_58),
};

#endif
