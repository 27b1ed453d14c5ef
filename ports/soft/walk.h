/* SPDX-License-Identifier: MIT */
/* The page walk. */
#ifndef HF_SOFT_WALK_H
#define HF_SOFT_WALK_H

#include "port.h"

/*
 * Walk the tables and fill the TLB. The host address of `va`, or NULL if the tables forbid
 * the access: a page fault. Called inside an access.
 */
char *hf_soft_walk(struct hf_soft_cpu *cpu, hf_va va, enum kind kind);

#endif
