/* SPDX-License-Identifier: MIT */
/* TLB conflicts: break-before-make, checked. */
#ifndef HF_SOFT_CONFLICT_H
#define HF_SOFT_CONFLICT_H

#include "port.h"

/*
 * Panic if the caches hold a translation of [va, va+len) beside which the tables have
 * another, valid one: a TLB conflict. For formats that have MMU_BREAK_FIRST. Called as
 * hf_soft_walk or as a flush does, before anything is forgotten.
 */
void hf_soft_conflict(struct hf_soft_cpu *cpu, hf_va va, uint64_t len);

#endif
