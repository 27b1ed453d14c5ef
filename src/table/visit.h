/* SPDX-License-Identifier: MIT */
/* The one walk over tables that reports are made of. */
#ifndef HF_VISIT_H
#define HF_VISIT_H

#include "../arch/entry.h"
#include "../lib/lock.h"

#include <holdfast/mm.h>

/* An entry that is no branch, as a walk comes to it. */
struct hf_visited {
	hf_pte e;
	hf_va va;
	unsigned level;
	bool exclusive; /* every branch above allows writing */
	bool shared;	/* a table on the way has more than one reference */
};

struct hf_visitor {
	/* A table, before its entries; not called if NULL. */
	void (*table)(void *arg, hf_pfn table, unsigned level);
	/* An entry. Returns whether to go on. */
	bool (*entry)(void *arg, const struct hf_visited *entry);
	void *arg;
};

/*
 * Everything that touches [lo, hi), in rising order. Returns whether it came to the end.
 * mm lock held exclusively, phys->lock held: the visitor may let that go and take it again.
 */
HF_HOLDS(mm)
HF_HOLDS(phys)
bool hf_visit_locked(struct hf_mm *mm, hf_va lo, hf_va hi, const struct hf_visitor *visitor);

/* Nothing else leads to the page of a leaf: no leaf, and no entry by way of the swap store. */
HF_HOLDS(phys)
bool hf_visited_exclusive_locked(struct hf_phys *phys, const struct hf_visited *leaf);

#endif
