/* SPDX-License-Identifier: MIT */
/*
 * A machine of the soft port whose tables tests build by hand. They hang from the root of a
 * real but empty space: hf_fault knows of no mapping there, so HF_ERR_UNMAPPED means that
 * the CPU took a page fault.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cases.h"

#include <holdfast/soft.h>

#include <pthread.h>

#include "entries.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define PAGE HF_PAGE_SIZE

/* A different index at each level: (3,) (5,) 6, 7, 8. */
#if LEVELS == 3
#define VA_ABOVE 0
#elif LEVELS == 4
#define VA_ABOVE ((uint64_t)5 << 39)
#else
#define VA_ABOVE ((uint64_t)3 << 48 | (uint64_t)5 << 39)
#endif
#define VA (VA_ABOVE | (uint64_t)6 << 30 | (uint64_t)7 << 21 | (uint64_t)8 << 12)
#define WHOLE ((uint64_t)1 << USER_BITS)

#define OK(call) assert_int_equal((call), HF_OK)

struct block {
	hf_pa pa;
	unsigned order;
};

/* A thread that stores to the pages from VA on, in turn. */
struct worker {
	struct hf_soft_cpu *cpu;
	unsigned pages;
	bool bulk;	       /* by copies of whole pages */
	pthread_mutex_t *turn; /* taken around each use of the CPU, if two threads share it */
	uint64_t stores;       /* how many have succeeded */
	bool stop;
	pthread_t thread;
};

struct rig {
	struct hf_soft *soft;
	struct hf_phys *phys;
	struct hf_mm mm;
	struct hf_soft_cpu *cpu;
	struct block blocks[64];
	unsigned block_count;
	struct worker worker[2]; /* to be stopped by tear_down, which runs after a failure, too */
	unsigned worker_count;
};

void *host_of(const struct rig *rig, hf_pa pa);
/* 2^order frames, the first of them cleared. */
hf_pa block(struct rig *rig, unsigned order);
/* A block that holds `value` at its start. */
hf_pa page_with(struct rig *rig, unsigned order, uint64_t value);

/* cmocka fixtures. */
int normal(void **state);
int tiny_tlb(void **state); /* every second page is a TLB miss */
int large(void **state);    /* large enough for a page of 1 GiB */
int tear_down(void **state);
void stop_workers(struct rig *rig);

unsigned index_of(hf_va va, unsigned level);
/* The entry at `level` for `va`; the tables down to it come into being. */
uint64_t *entry_of(struct rig *rig, hf_va va, unsigned level);
/* A leaf there, for all accesses or for reading and fetching. */
uint64_t *map_rw(struct rig *rig, hf_va va, unsigned level, hf_pa pa);
uint64_t *map_ro(struct rig *rig, hf_va va, unsigned level, hf_pa pa);
void flush(struct rig *rig, hf_va va, uint64_t len, unsigned what);

enum hf_status try_load(struct rig *rig, hf_va va);
enum hf_status try_store(struct rig *rig, hf_va va);
enum hf_status try_fetch(struct rig *rig, hf_va va);
uint64_t load8(struct rig *rig, hf_va va);
struct hf_soft_stats stats_of(struct rig *rig);

/* A load of VA aborts, with `entry` put in at `level`; it says where and why. */
void assert_panic(struct rig *rig, unsigned level, uint64_t entry, const char *why);
/* The flush of VA's page aborts, and says why. */
void assert_flush_panics(struct rig *rig, const char *why);

/* In walk_*.c: what a walk does with an entry of the format that is built in. */
extern const struct CMUnitTest walk_rules[];
extern const size_t walk_rule_count;

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, tear_down)
/* Skip with a reason that the reader sees. */
#define NEEDS(what, why)                                     \
	do {                                                 \
		if (!(what)) {                               \
			print_message("skipped: " why "\n"); \
			skip();                              \
		}                                            \
	} while (0)

#endif
