/* SPDX-License-Identifier: MIT */
/* How large a run can be on this machine. */
#include "host.h"
#include "run.h"
#include "units.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define MAX_PIECES ((size_t)16384) /* up to 2 GiB of files, more than a run reads */
#define LEAST_HEAP ((size_t)8 << 20)
#define UNPINNED_ZONE ((size_t)32 << 20)
#define MEMORY_SLACK ((size_t)128 << 20) /* for all that is small */

#define UNPINNED_FORK "; so fork(2) has nothing pinned to copy, and the two do not compare"

void run_note(struct run *run, const char *format, ...)
{
	va_list args;

	if (run->notes == RUN_NOTES)
		return;
	va_start(args, format);
	vsnprintf(run->note[run->notes++], sizeof(run->note[0]), format, args);
	va_end(args);
}

static size_t whole_blocks(uint64_t bytes)
{
	return (size_t)((bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
}

/*
 * Two heaps; what children copy of pinned memory, at most twice that on the Holdfast side, and
 * as much to compare memcpy with; the blocks that the field's writer makes its parent copy.
 */
static uint64_t memory_needed(uint64_t heap, uint64_t pinned)
{
	return 2 * heap + 4 * (pinned < heap / 2 ? pinned : heap / 2) + FIELD_BURST * HUGE_BYTES +
	       MEMORY_SLACK;
}

/* Four fifths of the memory are enough. */
static void plan_heap(struct run *run)
{
	uint64_t available = host_memory_available() / 5 * 4;
	size_t heap = whole_blocks(run->options->heap);

	while (available && heap > LEAST_HEAP &&
	       memory_needed(heap, run->options->pinned) > available)
		heap = whole_blocks(heap / 2);
	if (heap < LEAST_HEAP) {
		heap = LEAST_HEAP;
		run_note(run, "the least heap is %s", size_text(heap).s);
	}
	if (heap < run->options->heap)
		run_note(run, "memory is short: a heap of %s, not %s", size_text(heap).s,
			 size_text(run->options->heap).s);
	run->plan.layout.heap = heap;
}

/* Everything that registered buffers may use is allowed to be asked for. */
static void raise_memlock(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
}

static void plan_pins(struct run *run)
{
	struct plan *plan = &run->plan;
	size_t want = whole_blocks(run->options->pinned);
	size_t most = plan->layout.heap / 2 / HUGE_BYTES * HUGE_BYTES;
	size_t can;
	int error;

	if (want > most) {
		run_note(run, "at most half of the heap is pinned: %s, not %s", size_text(most).s,
			 size_text(want).s);
		want = most;
	}
	raise_memlock();
	can = reader_probe(want, &error);
	plan->use_uring = error == 0;
	if (error)
		run_note(run, "no io_uring here (%s): plain reads with O_DIRECT%s", strerror(error),
			 want ? UNPINNED_FORK : "");
	else if (want && !can)
		run_note(run, "no buffer can be registered (RLIMIT_MEMLOCK)" UNPINNED_FORK);
	else if (can < want)
		run_note(run,
			 "RLIMIT_MEMLOCK allows %s of registered buffers: pinned is that much, not "
			 "%s",
			 size_text(can).s, size_text(want).s);
	plan->pinned = can ? can : want;
	plan->layout.zone = plan->pinned ? plan->pinned : UNPINNED_ZONE;
	if (plan->layout.zone > most)
		plan->layout.zone = most;
}

static bool complain(const char *name, const char *what)
{
	fprintf(stderr, "holdfast run: %s: %s\n", name, what);
	return false;
}

/* Better now than after half a minute of work. */
static bool can_write(const char *path)
{
	FILE *file = fopen(path, "ae");

	return file && fclose(file) == 0;
}

bool run_plan(struct run *run)
{
	const struct run_options *options = run->options;

	run->plan.policy = options->policy;
	plan_heap(run);
	plan_pins(run);
	if (!files_walk(&run->plan.files, options->dir, SLOT_BYTES, MAX_PIECES))
		return complain(options->dir, strerror(errno));
	if (!run->plan.files.pieces)
		return complain(options->dir, "no file there can be read; name another directory");
	if (options->json && !can_write(options->json))
		return complain(options->json, strerror(errno));
	return true;
}
