/* SPDX-License-Identifier: MIT */
/* What a port offers to be stressed. Every function of a CPU is called by its one thread. */
#ifndef TESTS_STRESS_H
#define TESTS_STRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <holdfast/holdfast.h>

#define SLOTS 6 /* spaces at once */
#define THREADS_MAX 16
#define PAGE HF_PAGE_SIZE
#define MIB ((uint64_t)1 << 20)

/* The port's: a machine, and in each slot at most one space. */
struct driver {
	const char *name;
	struct hf_phys *(*begin)(uint64_t ram_bytes, unsigned threads,
				 void (*trace)(void *arg, const struct hf_trace_event *event));
	enum hf_status (*end)(void);
	enum hf_status (*create)(unsigned slot, uint64_t len);
	enum hf_status (*fork)(unsigned from, unsigned to, enum hf_fork_policy policy);
	void (*destroy)(unsigned slot);
	struct hf_mm *(*mm)(unsigned slot);
	/* What a program does, on a CPU of this thread in the slot's space: 8 bytes, aligned. */
	enum hf_status (*load)(unsigned thread, unsigned slot, hf_va va, uint64_t *value);
	enum hf_status (*store)(unsigned thread, unsigned slot, hf_va va, uint64_t value);
};

extern const struct driver driver;

#endif
