/* SPDX-License-Identifier: MIT */
/*
 * Page-table entries for tables that tests build by hand, in the format that is built in.
 * Written from the manuals, and from nothing of the core or the port.
 */
#ifndef TESTS_ENTRIES_H
#define TESTS_ENTRIES_H

#include "arch/chosen.h"

#include <holdfast/types.h>

#define BIT(n) ((uint64_t)1 << (n))
#define VALID BIT(0) /* in every format */

/*
 * Per format:
 *   LEVELS, USER_BITS    tables on a walk; user addresses are below 2^USER_BITS
 *   SOFT_BITS            left to software in every valid entry
 *   BRANCH_DENIES_WRITE  a branch can forbid writing to all that is below
 *   MARKS                the hardware marks what is accessed and dirty
 *   BREAK_FIRST          a valid entry may not simply become another valid one
 *   FAULT_KEEPS          a fault at an entry that is not valid makes nobody forget anything
 *   leaf_bits            a user page, readable and executable; writable if said
 *   branch_bits          allows all
 *   BRANCH_READONLY      set in a branch that forbids writing, or BRANCH_WRITE is clear
 */
#if defined(HF_ARCH_AARCH64)
/* Arm ARM D8.3: AP[1] 6, AP[2] 7, SH 9:8, AF 10, nG 11, software 58:55; APTable[1] 62. */
#define LEVELS 4
#define USER_BITS 48
#define SOFT_BITS (BIT(55) | BIT(56) | BIT(57) | BIT(58))
#define BRANCH_DENIES_WRITE 1
#define MARKS 0
#define BREAK_FIRST 1
#define FAULT_KEEPS 1
#define ADDR (BIT(48) - BIT(12))
#define LEAF_WRITE 0
#define LEAF_READONLY BIT(7)
#define BRANCH_WRITE 0
#define BRANCH_READONLY BIT(62)

static inline uint64_t leaf_bits(unsigned level)
{
	return VALID | (level ? 0 : BIT(1)) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11);
}

static inline uint64_t branch_bits(void)
{
	return VALID | BIT(1);
}

static inline uint64_t marked(uint64_t entry)
{
	return entry;
}

#elif defined(HF_ARCH_RISCV64)
/* Privileged architecture 10.3.1: R 1, W 2, X 3, U 4, A 6, D 7, RSW 9:8, PPN from 10. */
#if HF_ARCH_LEVELS == 3
#define LEVELS 3
#define USER_BITS 38
#elif HF_ARCH_LEVELS == 4
#define LEVELS 4
#define USER_BITS 47
#else
#define LEVELS 5
#define USER_BITS 56
#endif
#define SOFT_BITS (BIT(8) | BIT(9))
#define BRANCH_DENIES_WRITE 0
#if HF_ARCH_SVADU
#define MARKS 1
#else
#define MARKS 0
#endif
#define BREAK_FIRST 0
#define FAULT_KEEPS 0
#define LEAF_WRITE BIT(2)
#define LEAF_READONLY 0
#define BRANCH_WRITE 0
#define BRANCH_READONLY 0
#define PPN_SHIFT 10

static inline uint64_t leaf_bits(unsigned level)
{
	(void)level;
	return VALID | BIT(1) | BIT(3) | BIT(4) | (MARKS ? 0 : BIT(6) | BIT(7));
}

static inline uint64_t branch_bits(void)
{
	return VALID;
}

static inline uint64_t marked(uint64_t entry)
{
	return entry | BIT(6) | BIT(7);
}

#else
/* Intel SDM vol. 3A, tables 4-14 to 4-20: P 0, R/W 1, U/S 2, A 5, D 6, PS 7. */
#if HF_ARCH_LEVELS == 5
#define LEVELS 5
#define USER_BITS 56
#else
#define LEVELS 4
#define USER_BITS 47
#endif
#define SOFT_BITS ((uint64_t)7 << 9 | (uint64_t)0x7f << 52)
#define BRANCH_DENIES_WRITE 1
#define MARKS 1
#define BREAK_FIRST 0
#define FAULT_KEEPS 0
#define ADDR (BIT(52) - BIT(12))
#define LEAF_WRITE BIT(1)
#define LEAF_READONLY 0
#define BRANCH_WRITE BIT(1)
#define BRANCH_READONLY 0

static inline uint64_t leaf_bits(unsigned level)
{
	return VALID | BIT(2) | (level ? BIT(7) : 0);
}

static inline uint64_t branch_bits(void)
{
	return VALID | BIT(1) | BIT(2);
}

/* As the hardware marks a leaf when it is stored to. */
static inline uint64_t marked(uint64_t entry)
{
	return entry | BIT(5) | BIT(6);
}
#endif

#ifdef PPN_SHIFT
static inline uint64_t address_bits(hf_pa pa)
{
	return pa.v >> 12 << PPN_SHIFT;
}

static inline hf_pa address_of(uint64_t entry)
{
	return (hf_pa){ (entry & (BIT(54) - BIT(PPN_SHIFT))) >> PPN_SHIFT << 12 };
}
#else
static inline uint64_t address_bits(hf_pa pa)
{
	return pa.v;
}

static inline hf_pa address_of(uint64_t entry)
{
	return (hf_pa){ entry & ADDR };
}
#endif

static inline uint64_t leaf_rw(hf_pa pa, unsigned level)
{
	return address_bits(pa) | leaf_bits(level) | LEAF_WRITE;
}

static inline uint64_t leaf_ro(hf_pa pa, unsigned level)
{
	return address_bits(pa) | leaf_bits(level) | LEAF_READONLY;
}

static inline uint64_t branch_to(hf_pa table)
{
	return address_bits(table) | branch_bits();
}

/* In one step, as a CPU may mark the entry meanwhile. */
static inline void forbid_write(uint64_t *leaf)
{
	if (LEAF_WRITE)
		__atomic_and_fetch(leaf, ~LEAF_WRITE, __ATOMIC_ACQ_REL);
	else
		__atomic_or_fetch(leaf, LEAF_READONLY, __ATOMIC_ACQ_REL);
}

static inline void allow_write(uint64_t *leaf)
{
	if (LEAF_WRITE)
		__atomic_or_fetch(leaf, LEAF_WRITE, __ATOMIC_ACQ_REL);
	else
		__atomic_and_fetch(leaf, ~LEAF_READONLY, __ATOMIC_ACQ_REL);
}

#endif
