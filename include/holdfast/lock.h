/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of lock in the structs that a host keeps for the core. What is in them is the
 * core's business; a struct that is all zeros is free. They sleep through the port's `wait` and
 * `wake` where it has them (port.h).
 *
 * clang's thread-safety analysis knows them as capabilities; the core is checked with it.
 */
#ifndef HOLDFAST_LOCK_H
#define HOLDFAST_LOCK_H

#include <stdint.h>

#ifdef __clang__
#define HF_CAPABILITY(name) __attribute__((capability(name)))
#else
#define HF_CAPABILITY(name)
#endif

/* Mutual exclusion. 0: free. 1: held. 2: held, and somebody may sleep. */
struct HF_CAPABILITY("mutex") hf_lock {
	uint32_t word;
};

/* Many readers or one writer. */
struct HF_CAPABILITY("shared mutex") hf_rwlock {
	uint32_t state;		/* the number of readers; the top bit: a writer is there or waits */
	struct hf_lock writers; /* a writer holds it */
};

#endif
