/* SPDX-License-Identifier: MIT */
/*
 * RISC-V: Sv39, Sv48 and Sv57, with three, four and five levels: privileged architecture
 * (version 20240411), 10.3.1 (what the bits of an entry mean), 10.4 to 10.6. With _SVADU
 * the hardware marks pages accessed and dirty (Svadu: menvcfg.ADUE = 1); without, such
 * accesses fault (Svade), and the fault handler marks.
 *
 * A branch has V alone; A, D and U in it are reserved. It cannot deny anything, so a branch
 * that must write-protect what is below is not valid, UNARMED instead, until somebody goes
 * through it (hf_table_arm). OWN, a software bit, says that it allows writing.
 *
 * The software bits are 9 and 8 in valid entries, all in others.
 */
#ifndef HF_ARCH_RISCV64_H
#define HF_ARCH_RISCV64_H

#include "chosen.h"
#include "format.h"

enum {
	RISCV_V = 1 << 0,
	RISCV_R = 1 << 1,
	RISCV_W = 1 << 2,
	RISCV_X = 1 << 3,
	RISCV_U = 1 << 4,
	RISCV_A = 1 << 6,
	RISCV_D = 1 << 7,
	RISCV_SOFT_8 = 1 << 8,
	RISCV_SOFT_9 = 1 << 9,
};
/* Where V is clear: */
#define RISCV_UNARMED ((uint64_t)1 << 61)
#define RISCV_SWAPPED ((uint64_t)1 << 62)
#define RISCV_HIDDEN ((uint64_t)1 << 63)

static const struct hf_format hf_format = {
/* User addresses are the half with the highest bit clear. */
#if HF_ARCH_LEVELS == 3
	.levels = 3,
	.va_bits = 38,
#elif HF_ARCH_LEVELS == 4
	.levels = 4,
	.va_bits = 47,
#else
	.levels = 5,
	.va_bits = 56,
#endif
	.pfn_shift = 10,
	.pfn_bits = (((uint64_t)1 << 54) - 1) & ~(uint64_t)0x3ff,
	.valid = RISCV_V,
	.branch_bits = RISCV_R | RISCV_W | RISCV_X,
	.branch_is = 0,
	.leaf = RISCV_R | RISCV_U,
	.branch_write = { .bits = RISCV_V | RISCV_SOFT_9 | RISCV_UNARMED,
			  .give = RISCV_V | RISCV_SOFT_9,
			  .deny = RISCV_UNARMED },
	.leaf_write = { .bits = RISCV_W, .give = RISCV_W },
	.leaf_exec = { .bits = RISCV_X, .give = RISCV_X },
	.accessed = RISCV_A,
	.dirty = RISCV_D,
	.marks = HF_ARCH_SVADU,
	.unarmed = RISCV_UNARMED,
	.look = RISCV_SOFT_8,
	.lazy = RISCV_SOFT_8,
	.hidden = RISCV_HIDDEN,
	.swapped = RISCV_SWAPPED,
};

#endif
