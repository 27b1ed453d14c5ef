/* SPDX-License-Identifier: MIT */
/* The machine's RAM: ranges in one mapping of the host's. */
#ifndef HF_SOFT_RAM_H
#define HF_SOFT_RAM_H

#include "port.h"

/* Bytes between two ranges. */
#define HOLE ((uint64_t)2 << 20)

/*
 * Reserve host memory for soft->ram_count ranges and their descriptors. False: the host has
 * none; what was reserved goes with hf_soft_ram_free, as everything does.
 */
bool hf_soft_ram_make(struct hf_soft *soft, uint64_t base, uint64_t bytes);
void hf_soft_ram_free(struct hf_soft *soft);
/* Where [pa, pa+len) is, or NULL unless all of it is RAM of one range. */
void *hf_soft_ram(const struct hf_soft *soft, uint64_t pa, uint64_t len);
/* struct hf_port's discard. */
void hf_soft_discard(void *host, hf_pa pa, uint64_t len);
/*
 * memmove to or from memory that other guest threads or devices may write meanwhile, which
 * is theirs to arrange: ThreadSanitizer does not see it. No width of access is promised.
 */
void hf_soft_copy(void *dst, const void *src, size_t len);

#endif
