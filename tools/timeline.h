/* SPDX-License-Identifier: MIT */
/*
 * `holdfast run --trace`: what the core did when, in which thread, as a file that
 * ui.perfetto.dev and chrome://tracing show ("Trace Event Format", the JSON object form).
 *
 * Every thread of the Holdfast side adds to it, from within the core and in signal handlers, so
 * that is one atomic addition and a few stores; the coordinator writes the file in the end.
 */
#ifndef TOOLS_TIMELINE_H
#define TOOLS_TIMELINE_H

#include <holdfast/report.h>
#include <holdfast/trace.h>

#include <stdatomic.h>

#define TIMELINE_MAX ((uint64_t)1 << 20) /* entries; what comes later is only counted */

enum timeline_thread {
	TIMELINE_MAIN,
	TIMELINE_DEVICE,
	TIMELINE_PAIRS,
	TIMELINE_FIELD,
	TIMELINE_THREADS
};

struct timeline_entry {
	uint64_t ns;   /* when: CLOCK_MONOTONIC */
	uint64_t took; /* ns; 0: an event of the core, which is an instant */
	enum timeline_thread thread;
	struct hf_trace_event event;
	struct hf_fork_cost cost; /* of a fork; event.fork is NULL */
	_Atomic bool whole;	  /* the writer has not died in between */
};

/* Shared by the processes, at the same address; all zeros but `began` at first. */
struct timeline {
	uint64_t began; /* the time that counts as 0 */
	_Atomic uint64_t count;
	struct timeline_entry entry[TIMELINE_MAX];
};

/* Say which thread this one is; threads that do not are TIMELINE_MAIN. */
void timeline_thread(enum timeline_thread thread);

/* Something has happened now. */
void timeline_event(struct timeline *timeline, const struct hf_trace_event *event);
/* A call of hf_linux_fork, which began then, has ended now. */
void timeline_fork(struct timeline *timeline, uint64_t began);

/* How many entries did not have room. */
uint64_t timeline_lost(const struct timeline *timeline);

/* False, and errno, if the file cannot be written. */
bool timeline_write(const struct timeline *timeline, const char *path);

#endif
