/* SPDX-License-Identifier: MIT */
/* Bits of a word. */
#ifndef HF_LIB_BITS_H
#define HF_LIB_BITS_H

#include <stdint.h>

/* The number of the lowest bit that is set; there is one. */
static inline unsigned hf_lowest_bit(uint64_t word)
{
#if defined(__riscv) && !defined(__riscv_zbb)
	/* No instruction counts them: the compiler would call its library. */
	unsigned n = 0;

	for (unsigned step = 32; step; step /= 2) {
		if (word & (((uint64_t)1 << step) - 1))
			continue;
		word >>= step;
		n += step;
	}
	return n;
#else
	return (unsigned)__builtin_ctzll(word);
#endif
}

/* The number of the highest bit that is set; there is one. */
static inline unsigned hf_highest_bit(uint64_t word)
{
#if defined(__riscv) && !defined(__riscv_zbb)
	unsigned n = 0;

	for (unsigned step = 32; step; step /= 2) {
		if (!(word >> step))
			continue;
		word >>= step;
		n += step;
	}
	return n;
#else
	return 63 - (unsigned)__builtin_clzll(word);
#endif
}

#endif
