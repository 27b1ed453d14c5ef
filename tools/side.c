/* SPDX-License-Identifier: MIT */
#include "side.h"

#include "host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SETTLE_US 3000 /* between the start of writers and device and the first fork */
#define FIRST_FILL_US 20000000

bool side_fail(struct side *side, const char *format, ...)
{
	va_list args;

	if (side->tally->failure[0])
		return false; /* the first reason is the one to tell */
	va_start(args, format);
	vsnprintf(side->tally->failure, sizeof(side->tally->failure), format, args);
	va_end(args);
	return false;
}

static void *share(size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

/* Both writers and the device at work. */
static bool start(struct side *side)
{
	if (!reader_start(&side->reader))
		return side_fail(side, "cannot start the reader: %s", strerror(errno));
	if (!writers_start(&side->writers)) {
		reader_stop(&side->reader);
		return side_fail(side, "cannot start the writers: %s", strerror(errno));
	}
	return true;
}

static void stop(struct side *side)
{
	writers_stop(&side->writers);
	reader_stop(&side->reader);
}

/* Let the device fill every slot once, so that all forks have the same to do. */
static bool fill(struct side *side)
{
	uint64_t deadline = host_now() + (uint64_t)FIRST_FILL_US * 1000;
	size_t slots = layout_slots(&side->plan->layout);

	if (!reader_start(&side->reader))
		return side_fail(side, "cannot start the reader: %s", strerror(errno));
	for (size_t half = 1; half <= 2; half++) {
		while (atomic_load(&side->tally->device.reads) < half * slots &&
		       host_now() < deadline && !atomic_load(side->stop))
			host_sleep_us(1000);
		reader_turn(&side->reader);
	}
	reader_stop(&side->reader);
	return true;
}

static bool prepare(struct side *side)
{
	const struct plan *plan = side->plan;

	side->moment = share(moment_size(&plan->layout));
	side->scratch = aligned_alloc(PAGE_BYTES, SLOT_BYTES);
	if (!side->moment || !side->scratch)
		return side_fail(side, "no memory");
	if (!side->ops->open(side))
		return false;
	side->writers = (struct writers){ .layout = &plan->layout, .base = side->base };
	side->reader = (struct reader){
		.files = &plan->files,
		.layout = &plan->layout,
		.device = &side->tally->device,
		.base = side->base,
		.block = side->block,
		.land = side->ops->land,
		.ctx = side,
		.use_uring = plan->use_uring,
	};
	if (!reader_open(&side->reader))
		return side_fail(side, "no memory");
	side->tally->huge_before = side->ops->huge(side);
	side->tally->huge_after = side->tally->huge_before;
	return fill(side);
}

static void count(struct side *side)
{
	const struct moment *moment = side->moment;
	struct tally *tally = side->tally;
	uint64_t huge = side->ops->huge(side);

	tally->torn += moment->child.torn;
	tally->compared += moment->parent.compared + moment->child.compared;
	tally->parent_differ += moment->parent.differ;
	tally->child_differ += moment->child.differ;
	tally->parent_foreign += moment->parent.foreign;
	tally->child_foreign += moment->child.foreign;
	if (huge < tally->huge_after)
		tally->huge_after = huge;
}

/* Fork, and check all that a fork must keep. *us is how long the fork took. */
static bool fork_once(struct side *side, double *us)
{
	const struct layout *layout = &side->plan->layout;
	struct moment *moment = side->moment;
	struct tally *tally = side->tally;
	uint64_t began, moved;
	bool ok;

	writers_go_on(&side->writers);
	host_sleep_us(SETTLE_US);
	moment_begin(moment, ++tally->forks, &side->reader, &side->writers);
	began = host_now();
	ok = side->ops->fork(side);
	*us = (double)(host_now() - began) / 1000;
	if (!ok)
		return false;
	moment_end(moment, &side->reader, &side->writers);

	moment_parent_write(moment, layout, side->base);
	moment_parent_compare(moment, &side->reader, side->scratch);
	moved = side->ops->moved(side);
	tally->pinned_moved = moved == UNKNOWN ? UNKNOWN : tally->pinned_moved + moved;
	if (!side->ops->look(side))
		return false;
	moment_parent_look(moment, layout, side->base);
	reader_turn(&side->reader);
	count(side);
	return true;
}

/* With device and writers at work, so many forks, the first `whole` of them timed apart. */
static bool forks(struct side *side, unsigned count, unsigned whole)
{
	struct tally *tally = side->tally;
	bool ok;

	if (!start(side))
		return false;
	tally->unpinned_rounds += side->block && !side->reader.registered;
	ok = !side->ops->begin || side->ops->begin(side);
	for (unsigned i = 0; ok && i < count && !atomic_load(side->stop); i++) {
		double us = 0;

		ok = fork_once(side, &us);
		samples_add(i < whole ? &tally->fork_us : &tally->refork_us, us);
	}
	stop(side);
	return ok && side->ops->rest(side);
}

static bool round_of_forks(struct side *side)
{
	struct tally *tally = side->tally;

	tally->rounds++;
	tally->ragged_rounds += side->ops->huge(side) < tally->huge_before;
	return forks(side, side->ops->forks_per_round, side->ops->whole_forks);
}

/*
 * The first fork, and what else happens for the first time: the host provides memory that is
 * used again ever after. Told apart from what follows.
 */
static bool warm_up(struct side *side)
{
	struct tally *tally = side->tally;

	if (!forks(side, 1, 1))
		return false;
	tally->first_us = samples_percentile(&tally->fork_us, 50);
	tally->fork_us.count = 0;
	tally->pinned_us.count = 0;
	tally->memcpy_us.count = 0;
	return !side->ops->warm || side->ops->warm(side);
}

static bool answer(int socket, enum side_answer what)
{
	char byte = (char)what;

	return write(socket, &byte, 1) == 1;
}

_Noreturn void side_main(const struct side_ops *ops, const struct plan *plan, struct tally *tally,
			 _Atomic bool *stop_flag, int socket)
{
	struct side side = { .ops = ops, .plan = plan, .tally = tally, .stop = stop_flag };
	bool ok = prepare(&side) && warm_up(&side);
	char command;

	while (answer(socket, ok ? SIDE_DONE : SIDE_FAILED) && ok &&
	       read(socket, &command, 1) == 1 && command == SIDE_ROUND)
		ok = round_of_forks(&side);
	if (ok)
		reader_close(&side.reader);
	ops->close(&side);
	ok = ok && !tally->failure[0];
	answer(socket, ok ? SIDE_DONE : SIDE_FAILED);
	_exit(ok ? 0 : 1);
}
