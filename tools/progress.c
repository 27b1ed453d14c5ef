/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "host.h"
#include "units.h"

#include <stdio.h>
#include <unistd.h>

#define TTY_INTERVAL_NS 100000000
#define LOG_INTERVAL_NS 5000000000

void progress_start(struct progress *progress)
{
	progress->tty = isatty(STDERR_FILENO);
	progress->next = 0;
}

void progress_say(struct progress *progress, const char *what)
{
	fprintf(stderr, progress->tty ? "\r%s\033[K" : "%s\n", what);
	progress->next = host_now() + (progress->tty ? TTY_INTERVAL_NS : LOG_INTERVAL_NS);
}

void progress_round(struct progress *progress, struct run *run)
{
	struct tally *heap = run->heap;
	struct tally *fork = run->fork;
	char line[512];

	if (host_now() < progress->next)
		return;
	/* Fits 80 columns: a line that wraps cannot be rewritten. */
	snprintf(line, sizeof(line),
		 "%2.0f s | Holdfast %s forks, %s, %s torn | fork(2) %s, %s, %s torn | %s",
		 run->seconds, count_text(heap->forks).s,
		 time_text(samples_percentile(&heap->fork_us, 50)).s, count_text(heap->torn).s,
		 count_text(fork->forks).s, time_text(samples_percentile(&fork->fork_us, 50)).s,
		 count_text(fork->torn).s, size_text(heap->device.landed + fork->device.landed).s);
	progress_say(progress, line);
}

void progress_end(struct progress *progress)
{
	if (progress->tty)
		fprintf(stderr, "\r\033[K");
}
