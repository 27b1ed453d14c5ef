/* SPDX-License-Identifier: MIT */
/*
 * The work of `holdfast run`, done once with Holdfast and once with fork(2). Each side is a
 * process of its own, so that neither pays for the other's memory; a coordinator (run.c) tells
 * them in turn to do a round. All that differs between them is a struct side_ops.
 */
#ifndef TOOLS_SIDE_H
#define TOOLS_SIDE_H

#include "events.h"
#include "moment.h"
#include "stats.h"

#include <holdfast/mm.h>

/* What both sides are to do. */
struct plan {
	struct layout layout;
	size_t pinned; /* bytes: all of the zone, or 0 */
	bool use_uring;
	enum hf_fork_policy policy;
	struct timeline *timeline; /* where events go; NULL: nobody asks for them */
	struct files files;
};

#define UNKNOWN UINT64_MAX

/* What a side has done and found, in memory that it shares with the coordinator. */
struct tally {
	struct samples fork_us;
	struct samples refork_us; /* forks of a heap that an earlier one has left in pieces */
	struct samples pinned_us; /* what each pinned 2 MiB page adds to a fork, at rest */
	struct samples memcpy_us; /* memcpy of 2 MiB, measured beside it */
	uint64_t forks;		  /* all of them */
	double first_us;	  /* how long the first took, which is in none of the above */
	struct device device;
	uint64_t torn;			      /* snapshots */
	uint64_t compared;		      /* file bytes, by parents and children after forks */
	uint64_t parent_differ, child_differ; /* slots */
	uint64_t parent_foreign, child_foreign; /* snapshots that saw the other's writes */
	uint64_t pinned_moved;			/* pages, or UNKNOWN */
	uint64_t huge_before, huge_after;	/* 2 MiB pages; after: the fewest after any fork */
	uint64_t rounds;
	uint64_t unpinned_rounds; /* of them, in which the kernel would not pin the buffers */
	uint64_t ragged_rounds;	  /* that began with fewer huge pages than there were at first */
	struct events events;
	char broken[96];   /* the invariant that hf_mm_check found violated */
	char failure[200]; /* why the side had to give up */
};

struct side;

struct side_ops {
	const char *name;
	unsigned forks_per_round;
	unsigned whole_forks; /* the first so many of a round find the heap all huge pages */
	/* Make the heap: set base and block, and populate. */
	bool (*open)(struct side *side);
	/* After the first fork: have at hand all the memory that later ones take. May be NULL. */
	bool (*warm)(struct side *side);
	/* The device is at work: note what must not change. May be NULL. */
	bool (*begin)(struct side *side);
	/* Fork the heap. This is what is timed. */
	bool (*fork)(struct side *side);
	/* Let the child do moment_child; then end it. */
	bool (*look)(struct side *side);
	/* Pinned pages that are not where they were, or UNKNOWN. */
	uint64_t (*moved)(struct side *side);
	/* 2 MiB pages that the heap has as huge pages. */
	uint64_t (*huge)(struct side *side);
	/* After a round, with device and writers at rest. */
	bool (*rest)(struct side *side);
	bool (*land)(void *side, size_t off, const char *bytes, size_t len);
	/* Final checks, with everything at rest. Must cope with a half-done open. */
	void (*close)(struct side *side);
};

extern const struct side_ops heap_side; /* heap.c: Holdfast */
extern const struct side_ops fork_side; /* forkside.c: fork(2) */

struct side {
	const struct side_ops *ops;
	const struct plan *plan;
	struct tally *tally;
	_Atomic bool *stop; /* the coordinator wants to end */
	char *base;
	char **block; /* as in struct reader; NULL if nothing is pinned */
	void *own;    /* of the ops */
	struct reader reader;
	struct writers writers;
	struct moment *moment;
	char *scratch; /* SLOT_BYTES */
};

/* What the coordinator may ask for; one byte each, answered by one byte. */
enum side_command {
	SIDE_ROUND = 'r',
	SIDE_END = 'e',
};
enum side_answer {
	SIDE_DONE = 'd',
	SIDE_FAILED = 'f', /* see tally->failure; nothing more will come */
};

/* Set up, answer, and obey commands from `socket` until SIDE_END. Never returns. */
_Noreturn void side_main(const struct side_ops *ops, const struct plan *plan, struct tally *tally,
			 _Atomic bool *stop, int socket);

/* Say why; returns false. */
__attribute__((format(printf, 2, 3))) bool side_fail(struct side *side, const char *format, ...);

#endif
