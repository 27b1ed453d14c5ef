/* SPDX-License-Identifier: MIT */
/*
 * Two threads that write to a heap while it is forked, each in an order that a snapshot
 * must keep: what is there of their writes must be all up to some instant, and nothing later.
 */
#ifndef TOOLS_WRITERS_H
#define TOOLS_WRITERS_H

#include "layout.h"

#include <pthread.h>
#include <stdbool.h>

struct writers {
	const struct layout *layout;
	char *base;
	uint64_t laps;		       /* over all pairs, since the beginning */
	_Atomic uint64_t field_writes; /* done in the field, since the beginning */
	_Atomic uint64_t field_limit;  /* how many may be done */
	_Atomic bool stop;
	pthread_t pair_thread, field_thread;
};

bool writers_start(struct writers *writers);
void writers_stop(struct writers *writers);

/*
 * Let FIELD_BURST more writes go to the field. Each may make the parent of a living child copy
 * a huge page, so a limit on them is a limit on the memory that a run takes.
 */
#define FIELD_BURST 64
void writers_go_on(struct writers *writers);

/* Whether the pairs of a snapshot break the order in which they were written. */
bool writers_pairs_torn(const struct layout *layout, char *base);

/*
 * The same for the field, given how many writes were done before the fork and how many
 * after it. Looks at the FIELD_DEPTH writes before and after, too.
 */
#define FIELD_DEPTH ((uint64_t)256)
bool writers_field_torn(const struct layout *layout, char *base, uint64_t before, uint64_t after);

#endif
