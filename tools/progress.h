/* SPDX-License-Identifier: MIT */
/* One line on a terminal, rewritten; elsewhere a line now and then. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include "run.h"

struct progress {
	bool tty;
	uint64_t next; /* when to say something again */
};

void progress_start(struct progress *progress);
void progress_say(struct progress *progress, const char *what);
void progress_round(struct progress *progress, struct run *run);
void progress_end(struct progress *progress);

#endif
