/* SPDX-License-Identifier: MIT */
/*
 * A machine of the soft port with a family of spaces, and beside each space the model of
 * what it must look like. Random operations go to both; both must agree.
 */
#ifndef TESTS_MODEL_WORLD_H
#define TESTS_MODEL_WORLD_H

#include <holdfast/soft.h>

#include "model.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define PAGE HF_PAGE_SIZE
#define PMD_SIZE (2 * MIB)

#define MAX_MEMBERS 6
#define MAX_HELD 48
#define MAX_HELD_PAGES 1100
#define MAX_BYTES (64 * KIB) /* of one load, store, read, write or copy */

/* A space, two CPUs to run in it, and its model. */
struct member {
	struct hf_mm mm;
	struct hf_soft_cpu *cpu[2];
	struct model model;
};

/* What a device holds: one hf_pin, perhaps partly given back. */
struct held {
	size_t count;
	struct model_page *pages[MAX_HELD_PAGES];
	hf_pa pa[MAX_HELD_PAGES];
};

enum outcome {
	DONE,	 /* the call succeeded */
	REFUSED, /* the error that the model predicted */
	SHORT,	 /* out of memory or at a count's limit */
	OUTCOMES,
};

struct world {
	uint64_t seed, op; /* what to rerun */
	uint64_t random;
	const char *doing; /* the operation under way */
	/* chosen from the seed */
	uint64_t ram_bytes;
	uint32_t count_limit;
	unsigned ranges, tlb_entries;
	hf_va lo, hi;

	struct hf_soft *soft;
	struct hf_soft_dma *dma;
	struct hf_phys *phys;
	uint64_t free_at_start;
	bool failing; /* allocations are being made to fail */
	struct member *members[MAX_MEMBERS];
	size_t member_count;
	struct held *held[MAX_HELD];
	size_t held_count;
	uint64_t *outcomes;		/* counts for the operation under way */
	uint64_t no_outcomes[OUTCOMES]; /* for what is no operation */
	uint64_t huge_leaves, spaces;	/* summed up over all comparisons */
	uint8_t buf[3][MAX_BYTES];
};

struct world *world_new(uint64_t seed);
void world_end(struct world *w);

/* Random numbers, the same for the same seed everywhere. below(w, n) is in [0, n). */
uint64_t below(struct world *w, uint64_t n);
static inline bool one_in(struct world *w, uint64_t n)
{
	return below(w, n) == 0;
}

void member_new(struct world *w);
void member_fork(struct world *w, struct member *parent);
void member_end(struct world *w, size_t index);

/* Space and model disagree: say where, how to see it again, and end the program. */
__attribute__((noreturn, format(printf, 2, 3))) void disagree(struct world *w, const char *how,
							      ...);

/*
 * The call gave `got`, the model says `want`. True: it succeeded. False: it failed as
 * predicted, or memory was too short for it, with at least `need` bytes wanted.
 */
bool agreed(struct world *w, enum hf_status got, enum hf_status want, uint64_t need);

/* Compare everything: mappings, bytes, what devices hold, and hf_mm_check. */
void compare_all(struct world *w);
void check_invariants(struct world *w);

/* One random operation. */
void run_operation(struct world *w);
/*
 * How often each was done, refused, and short of memory; and how many huge leaves the
 * spaces had on average, which tells whether there were enough of them.
 */
void print_operations(uint64_t huge_leaves, uint64_t spaces);

#endif
