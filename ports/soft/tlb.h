/* SPDX-License-Identifier: MIT */
/*
 * The TLB and the paging-structure cache. Called by the CPU's thread inside an access, or as
 * a flush does.
 */
#ifndef HF_SOFT_TLB_H
#define HF_SOFT_TLB_H

#include "port.h"

/* Take the leaf of `level` that maps `va` to a page at `host`. */
void hf_soft_fill(struct hf_soft_cpu *cpu, hf_va va, unsigned level, char *host, unsigned rights);
/* The place in the paging-structure cache of the branch at `level` (1 and up) for `va`. */
struct branch *hf_soft_branch(struct hf_soft_cpu *cpu, hf_va va, unsigned level);
/*
 * Forget what HF_FLUSH_* bits say about [va, va+len) and not a translation more: less than the
 * instructions of docs/porting.md forget on any processor. (INVLPG drops all cached branches, TLBI
 * those of its address, sfence.vma without an address everything.)
 */
void hf_soft_forget(struct hf_soft_cpu *cpu, hf_va va, uint64_t len, unsigned what);
/* Forget the leaves and branches that `va` is translated by, as a fault does (port.h). */
void hf_soft_forget_page(struct hf_soft_cpu *cpu, hf_va va);
/* Forget everything about every address. */
void hf_soft_forget_all(struct hf_soft_cpu *cpu);

#endif
