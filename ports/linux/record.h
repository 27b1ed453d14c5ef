/* SPDX-License-Identifier: MIT */
/*
 * The record of a window: what the host has mapped where, page by page, and how many
 * host mappings (VMAs) that takes.
 *
 * It is a page table of three levels in three flat arrays: a word of level l speaks for
 * 512^l pages. A word is one of
 *   0                             nothing is mapped here
 *   offset | RECORD_MAPPED | prot  all of it is: its first page is at this offset of the memfd,
 *                                 the others follow; prot is PROT_READ | PROT_WRITE | PROT_EXEC
 *   RECORD_BRANCH | PROT_WRITE?   the level below tells; PROT_WRITE if something writable may be
 *                                 there, so that who looks for that need not look elsewhere
 *
 * No locks here: the window's guards it.
 */
#ifndef HF_LINUX_RECORD_H
#define HF_LINUX_RECORD_H

#include <holdfast/types.h>

#include <sys/mman.h>

static inline uint64_t hf_linux_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#define RECORD_PROT ((uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
#define RECORD_MAPPED ((uint64_t)8)
#define RECORD_BRANCH ((uint64_t)16)
#define RECORD_LEVELS 3

struct hf_linux_record {
	uint64_t *word[RECORD_LEVELS];
	uint64_t pages;
	/*
	 * Longest stretches that are unmapped, or mapped alike to contiguous memory. The host
	 * merges neighbours in the same way, so this is how many mappings it has in the window.
	 */
	uint64_t runs;
};

/* Bytes of memory that the record of `pages` pages needs; it is touched as it is used. */
uint64_t hf_linux_record_size(uint64_t pages);
/* An empty record in `memory`: page-aligned, that many bytes, all zero. */
void hf_linux_record_init(struct hf_linux_record *r, uint64_t pages, void *memory);
/* The memory behind the record of single pages: not needed while nothing is mapped. */
void *hf_linux_record_spare(const struct hf_linux_record *r, uint64_t *len);

/* The word of `page` itself: 0 or offset | RECORD_MAPPED | prot. */
uint64_t hf_linux_record_at(const struct hf_linux_record *r, uint64_t page);
/* Where the run that `page` lies in ends, or `limit` if that comes first. */
uint64_t hf_linux_record_run(const struct hf_linux_record *r, uint64_t page, uint64_t limit);
/* Narrow [*first, *end) to its mapped part. False: nothing in it is. */
bool hf_linux_record_mapped(const struct hf_linux_record *r, uint64_t *first, uint64_t *end);
/*
 * The next stretch in [*first, end) that one mprotect(2) can make read-only: it begins and
 * ends with writable pages and what lies between is mapped with the same rights otherwise.
 * False: nothing is writable. *stop is its end.
 */
bool hf_linux_record_writable(const struct hf_linux_record *r, uint64_t *first, uint64_t end,
			      uint64_t *stop);

/* [first, end) is mapped to contiguous memory, `first` as `word` says; or unmapped (0). */
void hf_linux_record_set(struct hf_linux_record *r, uint64_t first, uint64_t end, uint64_t word);
/* What is mapped in [first, end) has lost the rights `prot`. */
void hf_linux_record_revoke(struct hf_linux_record *r, uint64_t first, uint64_t end, uint64_t prot);
/* Nothing in [first, end) is writable any more: the branches may say so. */
void hf_linux_record_settle(struct hf_linux_record *r, uint64_t first, uint64_t end);

#endif
