/* SPDX-License-Identifier: MIT */
/*
 * The process of one column of one case. It prepares at once and then gives one value for
 * each request, so that the columns' rounds can take turns.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include "bench.h"

#include <sys/types.h>

enum outcome {
	WORKER_READY,	/* alive, and its last request has succeeded */
	WORKER_SKIPPED, /* cannot be measured here: reason */
	WORKER_FAILED,	/* reason */
};

struct worker {
	pid_t pid;
	int requests, replies; /* pipes */
	enum outcome outcome;
	char reason[160];
};

/* Start it and wait until it has prepared. */
void worker_start(struct worker *w, const struct bench_case *c, enum column column);
/* One value. Only if the outcome is READY, which it need not be afterwards. */
double worker_round(struct worker *w);
void worker_stop(struct worker *w);

#endif
