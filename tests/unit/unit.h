/* SPDX-License-Identifier: MIT */
/*
 * The words of the tests that look at the core alone: no port's machine, no CPU, only a
 * physical memory and the calls.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cases.h"

#include <holdfast/holdfast.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define PAGE HF_PAGE_SIZE
#define PMD_SIZE (2 * MIB)

#define RW (HF_PROT_READ | HF_PROT_WRITE)
#define RO HF_PROT_READ

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The call gives `want`, or both are named. */
#define GIVES(want, call) expect_status((call), (want), #call, __FILE__, __LINE__)
#define OK(call) GIVES(HF_OK, call)
/* Two numbers, printed when they differ. */
#define SAME(got, want) \
	expect_same((uint64_t)(got), (uint64_t)(want), #got " == " #want, __FILE__, __LINE__)
/* Every invariant holds, or the broken one is named. */
#define CHECK(phys) expect_sound((phys), __FILE__, __LINE__)

void expect_status(enum hf_status got, enum hf_status want, const char *call, const char *file,
		   int line);
void expect_same(uint64_t got, uint64_t want, const char *what, const char *file, int line);
void expect_sound(struct hf_phys *phys, const char *file, int line);

/* A port whose host has no TLB. It flushes nothing; panic prints and aborts. */
extern const struct hf_port quiet_port;

struct range {
	uint64_t base, len;
};

/* A physical memory, with RAM that the host's kernel gives when it is touched. */
#define MAX_RANGES 1024
struct memory {
	struct hf_phys phys;
	struct hf_ram ram[MAX_RANGES];
	size_t count;
};

/* `count_limit` as in struct hf_phys_config; host may be NULL. */
struct memory *memory_new(const struct range *ranges, size_t count, const struct hf_port *port,
			  void *host, uint32_t count_limit);
/* One range of `len` bytes at 1 GiB. */
struct memory *memory_of(uint64_t len, const struct hf_port *port, void *host);
/* Fails the test unless all of it has been given back. */
void memory_end(struct memory *m);
/* The range's RAM and metadata, not yet known to any hf_phys. The metadata is rubbish. */
void ram_map(struct hf_ram *ram, const struct range *range);
void ram_unmap(struct hf_ram *ram);

uint64_t free_bytes(struct memory *m);

/* A space of that memory on the heap. */
struct hf_mm *space_new(struct memory *m);
struct hf_mm *space_fork(struct hf_mm *parent, enum hf_fork_policy policy);
void space_end(struct hf_mm *mm);
/* Read-write memory at a place of the core's choice. */
hf_va map(struct hf_mm *mm, uint64_t len);
/* The same for 2 MiB leaves, all of them present. */
hf_va map_huge(struct hf_mm *mm, size_t leaves);
/* What a program does: hf_write and hf_read of one word. */
void put(struct hf_mm *mm, hf_va va, uint64_t value);
uint64_t get(struct hf_mm *mm, hf_va va);
hf_pa pa_of(struct hf_mm *mm, hf_va va);

/* The same numbers in every run (splitmix64). */
uint64_t next_random(uint64_t *seed);

#define RUN(tests, argc, argv) run_cases(#tests, tests, COUNT(tests), (argc) > 1 ? (argv)[1] : NULL)

#endif
