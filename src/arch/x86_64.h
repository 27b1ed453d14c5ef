/* SPDX-License-Identifier: MIT */
/*
 * x86-64, 4 KiB granule, four or (HF_FORMAT_X86_64_5) five levels: Intel SDM vol. 3A, 4.5
 * and table 4-15 ff.; AMD APM vol. 2, 5.3. The software bits are ignored by the hardware: 9 to 11
 * in valid entries, all bits in others.
 *
 * W in a branch write-protects everything below when it is clear.
 *
 * L1TF: in an entry that is not present the address is inverted, all 40 bits of it. That leads
 * beyond all RAM if that ends below half of the addresses that the CPU has (Intel's own condition).
 * An empty entry leads to frame 0: lend the core no secrets there, nor RAM where others keep them.
 */
#ifndef HF_ARCH_X86_64_H
#define HF_ARCH_X86_64_H

#include "chosen.h"
#include "format.h"

enum {
	X86_P = 1 << 0,
	X86_W = 1 << 1,
	X86_U = 1 << 2,
	X86_A = 1 << 5,
	X86_D = 1 << 6,
	X86_PS = 1 << 7,
	X86_SOFT_9 = 1 << 9,
	X86_SOFT_10 = 1 << 10,
	X86_SOFT_11 = 1 << 11,
};
#define X86_NX ((uint64_t)1 << 63)
#define X86_ADDRESS ((((uint64_t)1 << 52) - 1) & ~(uint64_t)0xfff)

static const struct hf_format hf_format = {
#if HF_ARCH_LEVELS == 5
	.levels = 5,
	.va_bits = 56, /* the half with bit 56 clear */
#else
	.levels = 4,
	.va_bits = 47, /* the half with bit 47 clear */
#endif
	.pfn_shift = HF_PAGE_SHIFT,
	.pfn_bits = X86_ADDRESS,
	.inverted = X86_ADDRESS,
	.valid = X86_P,
	.branch_bits = X86_PS,
	.branch_is = 0,
	.branch = X86_U,
	.leaf = X86_U,
	.huge = X86_PS,
	.branch_write = { .bits = X86_W, .give = X86_W },
	.leaf_write = { .bits = X86_W, .give = X86_W },
	.leaf_exec = { .bits = X86_NX, .deny = X86_NX },
	.accessed = X86_A,
	.dirty = X86_D,
	.branch_accessed = X86_A,
	.marks = true,
	.look = X86_SOFT_9,
	.lazy = X86_SOFT_9,
	.hidden = X86_SOFT_10,
	.swapped = X86_SOFT_11,
};

#endif
