/* SPDX-License-Identifier: MIT */
#ifndef TESTS_MODEL_SHRINK_H
#define TESTS_MODEL_SHRINK_H

#include "world.h"

/*
 * Find few of `ops` operations that still fail with this seed, each try in a process of its
 * own, and run them with every call told. Returns the exit status.
 */
int shrink(uint64_t seed, uint64_t ops);

/* One round; see struct choice. `totals` may be NULL. */
struct totals {
	uint64_t huge_leaves, giant_leaves, forks;
};
void run_round(const struct choice *choice, struct totals *totals);

#endif
