/* SPDX-License-Identifier: MIT */
/*
 * The words that all of Holdfast shares: virtual and physical addresses, frame
 * numbers, page sizes, levels (DESIGN.md, "Words"). Physical addresses and frame
 * numbers are structs so that the compiler refuses to mix them with virtual ones or
 * with each other.
 */
#ifndef HOLDFAST_TYPES_H
#define HOLDFAST_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A virtual address in one address space, in bytes. */
typedef uint64_t hf_va;

/* A physical address, in bytes. */
typedef struct {
	uint64_t v;
} hf_pa;

/*
 * A frame number: a physical address divided by 4096. 32 bits are enough for
 * 16 TiB of physical address space, the most that one struct hf_phys manages.
 */
typedef struct {
	uint32_t v;
} hf_pfn;

#define HF_PAGE_SHIFT 12
#define HF_PAGE_SIZE ((uint64_t)1 << HF_PAGE_SHIFT)

/* Bits of address that one table level translates, and entries per table. */
#define HF_TABLE_BITS 9
#define HF_TABLE_ENTRIES ((size_t)1 << HF_TABLE_BITS)

/*
 * A level is the height of a table above the small page. A leaf at level 0 is a
 * PTE (4 KiB), at level 1 a PMD (2 MiB), at level 2 a PUD (1 GiB). The largest
 * leaf is at HF_LEAF_LEVELS - 1. Formats have three to five levels; the PGD is the
 * root of those with four.
 */
enum hf_level {
	HF_LEVEL_PTE = 0,
	HF_LEVEL_PMD = 1,
	HF_LEVEL_PUD = 2,
	HF_LEVEL_PGD = 3,
};
#define HF_LEAF_LEVELS 3

/* Bytes that one entry of a table at `level` spans. */
static inline uint64_t hf_level_size(unsigned level)
{
	return HF_PAGE_SIZE << (level * HF_TABLE_BITS);
}

/* Base-2 logarithm of the 4 KiB pages that one entry at `level` spans: the buddy order. */
static inline unsigned hf_level_order(unsigned level)
{
	return level * HF_TABLE_BITS;
}

/* Protection of a mapping. Writable or executable memory is readable too, in every format. */
enum hf_prot {
	HF_PROT_NONE = 0,
	HF_PROT_READ = 1,
	HF_PROT_WRITE = 2,
	HF_PROT_EXEC = 4,
};

#endif
