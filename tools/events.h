/* SPDX-License-Identifier: MIT */
/* `holdfast run --trace`: how often the core did what, and when. */
#ifndef TOOLS_EVENTS_H
#define TOOLS_EVENTS_H

#include "timeline.h"

#include <holdfast/trace.h>

#include <stdatomic.h>
#include <stdio.h>

/* Counted by every thread of the Holdfast side, in memory that the coordinator reads. */
struct events {
	_Atomic uint64_t count[HF_TRACES];
	_Atomic uint64_t fault[HF_FAULTS];
	_Atomic uint64_t tables, copied; /* by forks: tables made, bytes copied */
	struct timeline *timeline;
};

/* A trace function of the Linux port; `arg` is a struct events. */
void events_note(void *arg, const struct hf_trace_event *event);

/* The names of events, for people and for JSON. */
extern const char *const events_name[HF_TRACES];
extern const char *const events_fault_name[HF_FAULTS];

void events_print(struct events *events, FILE *out);

#endif
