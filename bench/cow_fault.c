/* SPDX-License-Identifier: MIT */
/*
 * cow-fault: what a first write after fork costs, the unsharing of tables included. All
 * pages of 64 MiB are written once, 8 bytes each; the value is the time per write.
 */
#include "common/floor.h"
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>

/* Far more than the caches hold. */
#define SIZE (64 * MIB)

struct question {
	struct layout layout;
	struct walk writes;
	enum who who;
	bool alone;	 /* the child is gone before the parent writes */
	uint64_t copies; /* bytes that must be copied for each write; 0: none */
};

struct state {
	const struct question *q;
	struct walk writes;
	const struct system *system;
	struct space *space;
	struct floor *floor;
};

static void *begin(const struct bench_case *c, enum column column)
{
	const struct question *q = c->arg;
	struct state *s = calloc(1, sizeof(*s));

	s->q = q;
	s->writes = q->writes;
	if (column == FLOOR) {
		s->floor = floor_create(SIZE);
		return s;
	}
	s->system = system_of(column);
	s->space = s->system->create(&q->layout);
	return s;
}

static double one_round(void *state)
{
	struct state *s = state;
	const struct question *q = s->q;
	double ns;

	/* Where there is a choice, never twice the same line: it would be in the cache. */
	s->writes.first = (s->writes.first + 4 * KIB) % s->writes.step;
	if (s->floor) {
		ns = q->copies ? floor_copy(s->floor, &s->writes, q->copies)
			       : floor_touch(s->floor, &s->writes, true);
		return ns / (double)q->writes.count;
	}
	s->system->fork(s->space);
	if (q->alone)
		s->system->reap(s->space);
	ns = s->system->touch(s->space, q->who, &s->writes, true);
	if (!q->alone)
		s->system->reap(s->space);
	/* A child's writes leave the parent as it was but for its permissions. */
	if (q->who == CHILD)
		s->system->touch(s->space, PARENT, &s->writes, true);
	if (q->who == PARENT && !q->alone)
		s->system->renew(s->space, 0, q->layout.size);
	return ns / (double)q->writes.count;
}

static void ask(const char *name, const struct question *q)
{
	struct bench_case c = {
		.columns = COLUMN(SOFT) | COLUMN(LINUX) | COLUMN(FLOOR),
		.begin = begin,
		.round = one_round,
		.arg = q,
	};

	/* There it is a signal for each write: half a second for each round. */
	if (!bench_quick() || q->writes.count < 1000 || (q->who == PARENT && !q->writes.bits))
		c.columns |= COLUMN(PORT);
	snprintf(c.name, sizeof(c.name), "%s", name);
	bench_run(&c);
}

static struct question question(uint64_t page, struct walk writes)
{
	return (struct question){
		.layout = { .size = SIZE,
			    .page = page,
			    .step = page,
			    .spare = SIZE,
			    .whole = true },
		.writes = writes,
		.copies = 4 * KIB,
	};
}

static void small_pages(void)
{
	struct walk seq = walk_in_order(SIZE, 4 * KIB), random = walk_mixed(SIZE, 4 * KIB);
	struct question q = question(4 * KIB, seq);

	ask("4k/seq", &q);
	q.who = CHILD;
	ask("4k/child-seq", &q);
	q.writes = random;
	ask("4k/child-random", &q);
	q.who = PARENT;
	ask("4k/random", &q);
	q.alone = true;
	q.copies = 0;
	ask("4k/reuse-random", &q);
	q.writes = seq;
	ask("4k/reuse-seq", &q);
}

/* What is copied at the first write to a huge page: all of it, or 4 KiB after a split. */
static void huge_pages(bool small)
{
	const char *variant = small ? "2m-small" : "2m-whole";
	struct walk each = walk_in_order(SIZE, 4 * KIB), one = walk_in_order(SIZE, 2 * MIB);
	struct walk random = walk_mixed(SIZE, 4 * KIB);
	struct question q = question(2 * MIB, one);
	char name[48];

	q.layout.huge_small = small;
	snprintf(name, sizeof(name), "%s/one-each", variant);
	ask(name, &q);
	q.writes = each;
	snprintf(name, sizeof(name), "%s/seq", variant);
	ask(name, &q);
	q.writes = random;
	snprintf(name, sizeof(name), "%s/random", variant);
	ask(name, &q);
}

int main(int argc, char **argv)
{
	struct question reuse;

	bench_start(argc, argv, "cow-fault", "the first write to a page after fork", "ns");
	small_pages();
	huge_pages(false);
	huge_pages(true);
	reuse = question(2 * MIB, walk_in_order(SIZE, 2 * MIB));
	reuse.alone = true;
	reuse.copies = 0;
	ask("2m/reuse", &reuse);
	return bench_end();
}
