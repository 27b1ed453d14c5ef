/* SPDX-License-Identifier: MIT */
/* The plain side: anonymous memory in transparent huge pages, and fork(2). */
#include "host.h"
#include "side.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define COLLAPSE_TRIES 3 /* it gives up easily, on a page that is just in use somewhere */
#define CHILD_DEADLINE_S 30u

struct forkside {
	int go[2]; /* a byte tells the child to look */
	pid_t child;
	bool frames_known;
	uint64_t *frame, *frame_now; /* of each page of the zone */
};

/* An aligned place for the heap, with unmapped guards that keep other mappings apart. */
static char *heap_place(size_t len)
{
	uintptr_t at;
	char *map = mmap(NULL, len + 2 * HUGE_BYTES, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	at = ((uintptr_t)map + HUGE_BYTES) / HUGE_BYTES * HUGE_BYTES;
	map = mmap((char *)at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0);
	return map == MAP_FAILED ? NULL : map;
}

static uint64_t forkside_huge(struct side *side)
{
	return host_anon_huge(side->base, side->plan->layout.heap) / HUGE_BYTES;
}

/*
 * A fork costs this heap huge mappings: all that are pinned, and those written to after it. Make
 * it whole again, so that every round times its first fork on the same heap. A program could not
 * do that: it takes a device that lets go of its buffers meanwhile. So the second fork of a round
 * is of the heap as the first has left it.
 */
static bool forkside_rest(struct side *side)
{
	size_t heap = side->plan->layout.heap;

	for (int i = 0; i < COLLAPSE_TRIES; i++)
		if (forkside_huge(side) * HUGE_BYTES == heap ||
		    (madvise(side->base, heap, MADV_COLLAPSE) != 0 && errno == EINVAL))
			break;
	return true;
}

static bool list_blocks(struct side *side)
{
	size_t count = layout_blocks(&side->plan->layout);

	side->block = calloc(count, sizeof(*side->block));
	if (!side->block)
		return false;
	for (size_t i = 0; i < count; i++)
		side->block[i] = side->base + i * HUGE_BYTES;
	return true;
}

static bool forkside_open(struct side *side)
{
	const struct layout *layout = &side->plan->layout;
	size_t zone_pages = layout->zone / PAGE_BYTES;
	struct forkside *own = calloc(1, sizeof(*own));

	side->own = own;
	if (!own)
		return side_fail(side, "no memory");
	own->frame = calloc(zone_pages, sizeof(*own->frame));
	own->frame_now = calloc(zone_pages, sizeof(*own->frame_now));
	side->base = heap_place(layout->heap);
	if (!own->frame || !own->frame_now || !side->base || pipe(own->go) != 0 ||
	    (side->plan->pinned && !list_blocks(side)))
		return side_fail(side, "no memory: %s", strerror(errno));
	madvise(side->base, layout->heap, MADV_HUGEPAGE);
	for (size_t page = 0; page < layout_pages(layout); page++)
		atomic_store_explicit(&layout_stamp(side->base, page)->seq, 0,
				      memory_order_relaxed);
	return forkside_rest(side); /* where the system does not do huge pages by itself */
}

static bool forkside_begin(struct side *side)
{
	struct forkside *own = side->own;

	own->frames_known =
		side->reader.registered &&
		host_frames(side->base, side->plan->layout.zone / PAGE_BYTES, own->frame);
	return true;
}

static _Noreturn void child(struct side *side)
{
	struct forkside *own = side->own;
	const struct plan *plan = side->plan;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(CHILD_DEADLINE_S); /* whatever happens, the parent does not wait for ever */
	if (read(own->go[0], &byte, 1) != 1)
		_exit(1);
	moment_child(side->moment, &plan->layout, &plan->files, side->base, side->scratch);
	_exit(0);
}

static bool forkside_fork(struct side *side)
{
	struct forkside *own = side->own;

	own->child = fork();
	if (own->child == 0)
		child(side);
	return own->child > 0 || side_fail(side, "fork: %s", strerror(errno));
}

static bool forkside_look(struct side *side)
{
	struct forkside *own = side->own;
	int status;

	if (write(own->go[1], "", 1) != 1)
		return side_fail(side, "write: %s", strerror(errno));
	while (waitpid(own->child, &status, 0) < 0)
		if (errno != EINTR)
			return side_fail(side, "waitpid: %s", strerror(errno));
	return status == 0 || side_fail(side, "the forked child ended with status %#x", status);
}

static uint64_t forkside_moved(struct side *side)
{
	struct forkside *own = side->own;
	size_t pages = side->plan->layout.zone / PAGE_BYTES;
	uint64_t moved = 0;

	if (!own->frames_known || !host_frames(side->base, pages, own->frame_now))
		return UNKNOWN;
	for (size_t i = 0; i < pages; i++)
		moved += own->frame[i] != own->frame_now[i];
	return moved;
}

static bool forkside_land(void *ctx, size_t off, const char *bytes, size_t len)
{
	struct side *side = ctx;

	memcpy(side->base + off, bytes, len);
	return true;
}

static void forkside_close(struct side *side)
{
	(void)side; /* the process ends */
}

const struct side_ops fork_side = {
	.name = "fork(2)",
	.forks_per_round = 2,
	.whole_forks = 1,
	.open = forkside_open,
	.begin = forkside_begin,
	.fork = forkside_fork,
	.look = forkside_look,
	.moved = forkside_moved,
	.huge = forkside_huge,
	.rest = forkside_rest,
	.land = forkside_land,
	.close = forkside_close,
};
