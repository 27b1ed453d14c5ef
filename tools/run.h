/* SPDX-License-Identifier: MIT */
/* `holdfast run`: fork a heap that a device writes into, beside fork(2). */
#ifndef TOOLS_RUN_H
#define TOOLS_RUN_H

#include "side.h"

/* What the user asked for. */
struct run_options {
	const char *dir;
	const char *json;      /* a file, or NULL */
	uint64_t heap, pinned; /* bytes */
	uint64_t forks;	       /* of Holdfast; 0: as many as fit the time */
	double seconds;	       /* 0: as long as the forks take */
	enum hf_fork_policy policy;
	const char *trace; /* a file for Holdfast's events, or NULL */
};

enum {
	RUN_NOTES = 8
};

/* All that a run was and found: what report.c needs. */
struct run {
	const struct run_options *options;
	struct plan plan;
	struct tally *heap, *fork;    /* Holdfast's and fork(2)'s */
	struct samples empty_fork_us; /* fork(2) of a process with next to no memory */
	double seconds;
	bool interrupted;
	unsigned notes;
	char note[RUN_NOTES][256]; /* what was not as it should be */
};

/* The exit status: 0, or 1 if a check failed, 2 if it could not run, 130 after Ctrl-C. */
int run_command(int argc, char **argv);

/* Fill in the options, or print what is wrong and exit. */
void run_parse(int argc, char **argv, struct run_options *options);

__attribute__((format(printf, 2, 3))) void run_note(struct run *run, const char *format, ...);

/* Decide sizes from what the machine has, and find the files. False after saying why not. */
bool run_plan(struct run *run);

#endif
