/* SPDX-License-Identifier: MIT */
/*
 * A machine of the soft port with a family of spaces, and beside each space the model of
 * what it must look like. Random operations go to both; both must agree.
 */
#ifndef TESTS_MODEL_WORLD_H
#define TESTS_MODEL_WORLD_H

#include <holdfast/collapse.h>
#include <holdfast/soft.h>
#include <holdfast/swap.h>
#include <holdfast/trace.h>

#include "model.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define PMD_SIZE (2 * MIB)
#define PUD_SIZE GIB

#define MAX_MEMBERS 6
#define MAX_HELD 48
#define MAX_HELD_PAGES 1100
#define MAX_FORK_PINS 4096
#define MAX_BYTES (64 * KIB) /* of one load, store, read, write or copy */

#define MAX_OBJECTS 6 /* that the host has */

struct world;

/*
 * The host's side of an object with a pager: a file. What the object does not have, the
 * file has: a page that is asked for or put back must be as the model knows it.
 */
struct pager {
	struct world *w;
	struct model_object *object;
	struct pagemap file;
	uint64_t resident; /* bytes that the object has */
	uint64_t end;	   /* where a truncation under way will end the object */
};

/* A space, two CPUs to run in it, and its model. */
struct member {
	unsigned id;
	struct hf_mm mm;
	struct hf_soft_cpu *cpu[2];
	struct hf_scan scan;
	struct model model;
};

/* What a device holds: one hf_pin, perhaps partly given back. */
struct held {
	bool writes; /* HF_PIN_WRITE: not only reads */
	size_t count;
	struct model_page *pages[MAX_HELD_PAGES];
	hf_pa pa[MAX_HELD_PAGES];
};

/* What one call of hf_unpin gives back. */
struct returned {
	size_t count;
	struct hf_span spans[2 * MAX_HELD_PAGES];
	struct model_page *pages[2 * MAX_HELD_PAGES];
};

enum outcome {
	DONE,	 /* the call succeeded */
	REFUSED, /* the error that the model predicted */
	SHORT,	 /* out of memory or at a count's limit */
	OUTCOMES,
};

struct operation;

/* One call with its arguments; each operation uses those that it needs. */
struct call {
	const struct operation *op;
	struct member *m, *from;
	unsigned m_id, from_id, object_id; /* the members may be gone when the call is told of */
	hf_va va, src;
	uint64_t len;
	unsigned prot, flags, access, cpu;
	uint64_t value, old, got;
	size_t cap, count, index;
	struct member *child;
	struct hf_mm_stats before;
	struct hf_fork_cost forecast;
	enum hf_status foretold;
	size_t fork_pins;

	struct model_object *object;
	uint64_t offset;

	uint64_t fail_after;   /* see hf_phys_fail_after; 0: no allocation is made to fail */
	uint64_t pager_after;  /* the same for what pagers are asked */
	uint64_t store_after;  /* the same for reads and writes of the swap store */
	uint64_t needs;	       /* bytes of memory that it may take */
	enum hf_status want;   /* what the model says */
	uint32_t may;	       /* what it may be as well: a set of MAY() */
	enum hf_status status; /* what it gave */
};

/*
 * An operation. `pick` chooses the arguments (false: nothing to do this time), `expect` asks
 * the model what the call must return, `call` makes it, `done` tells the model what it has
 * done and compares what it gave. `failed` does the same after a failure, where one may
 * have done a part. All but `call` may be NULL.
 */
struct operation {
	const char *name;
	unsigned weight;
	bool (*pick)(struct world *w, struct call *c);
	enum hf_status (*expect)(struct world *w, struct call *c);
	enum hf_status (*call)(struct world *w, struct call *c);
	void (*done)(struct world *w, struct call *c);
	void (*failed)(struct world *w, struct call *c);
	bool copies; /* reads, writes or holds [va, va+len): may make private copies */
	bool grows;  /* makes stacks grow */
	bool cpu;    /* memory may be short before it comes to the forbidden page */
};

#define MAY(status) ((uint32_t)1 << -(int)(status))

/* The last calls, to be told when something is wrong. */
#define RECENT 12

/* How often to look at everything, in operations. */
struct rhythm {
	unsigned check, compare;
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
	bool big; /* room for 1 GiB pages */
	struct rhythm rhythm;

	struct hf_soft *soft;
	struct hf_soft_dma *dma;
	struct hf_phys *phys;
	struct hf_fork_cost cost; /* of the last fork */
	uint64_t splits;	  /* of huge leaves, so far */
	struct hf_fork_pin fork_pins[MAX_FORK_PINS];
	uint64_t unused_at_start;
	struct member *members[MAX_MEMBERS];
	size_t member_count;
	unsigned next_id;
	struct model_object *objects; /* those that live */
	size_t object_count, objects_held;
	uint64_t pager_after; /* of the call under way */
	bool pager_failed;
	struct hf_store store; /* the swap store; no slots: none is used */
	uint8_t *slots;
	uint64_t store_after; /* of the call under way: see struct call */
	bool store_failed;
	bool swapping;
	struct held *held[MAX_HELD];
	size_t held_count;
	struct call recent[RECENT];
	uint64_t recent_op[RECENT];
	uint64_t calls;				   /* so far */
	bool tell;				   /* print every call */
	uint64_t huge_leaves, giant_leaves, forks; /* leaves summed up over all forks */
	uint8_t buf[3][MAX_BYTES];
	struct hf_span spans[MAX_HELD_PAGES];
	struct returned returned;
};

/* One round: world_new's machine, and which of its operations are run. */
struct choice {
	uint64_t seed, ops;
	const uint8_t *keep; /* keep[i]: run the i-th operation; NULL: all */
	bool tell;	     /* print every call */
};

struct world *world_new(uint64_t seed);
void world_end(struct world *w);

/* Each operation draws from random numbers of its own, so that those before it can be left out. */
void world_step(struct world *w, uint64_t op);
/* The same for the same seed and operation everywhere. below(w, n) is in [0, n). */
uint64_t below(struct world *w, uint64_t n);
static inline bool one_in(struct world *w, uint64_t n)
{
	return below(w, n) == 0;
}

uint64_t free_bytes(struct world *w);
uint64_t unused_bytes(struct world *w); /* with the reserve */
/* In a big world: what is free reads as zeros, so that a new 1 GiB page need not be cleared. */
void trim(struct world *w);
void member_add(struct world *w, struct member *member);
void member_end(struct world *w, size_t index);
/* Objects that nobody has any more have ended: see that nothing is missing. */
void objects_collect(struct world *w);
/* A store, of as many slots as the seed says. */
void store_new(struct world *w);
void store_free(struct world *w);
/* The host gives all its references back. */
void objects_release(struct world *w);
/* All pins go. */
void release_all(struct world *w);
void must(struct world *w, enum hf_status status, const char *what);

/* Space and model disagree: say where, how to see it again, and end the program. */
__attribute__((noreturn, format(printf, 2, 3))) void disagree(struct world *w, const char *how,
							      ...);
/* The calls before this moment, the last one last. */
void tell_recent(const struct world *w);

/*
 * Where the model is unsure whether a page of [lo, hi), inside the space, is the space's own,
 * look; afterwards it matters no more, or not yet.
 */
void settle(struct world *w, struct member *member, hf_va lo, hf_va hi);
/* Compare everything: mappings, bytes, what devices hold, and hf_mm_check. */
void compare_all(struct world *w);
void check_invariants(struct world *w);

/* One random operation. */
void run_operation(struct world *w);
/* A call whose arguments are chosen: see to it that both agree. True: it succeeded. */
bool run_call(struct world *w, struct call *c);
/* The operation of that name, to make one as a part of another. */
const struct operation *operation_named(const char *name);
/* False, and says so: there is no operation of such a name. NULL: all. */
bool choose_operations(const char *names);
/*
 * How often each was done, refused, and short of memory; and how many huge leaves a
 * forked space had on average, which tells whether there were enough of them.
 */
void print_operations(uint64_t huge_leaves, uint64_t giant_leaves, uint64_t forks);

#endif
