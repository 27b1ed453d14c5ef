/* SPDX-License-Identifier: MIT */
/*
 * What scripts/bench-count runs under callgrind: `count OPERATION` does one operation of the soft
 * port many times and prints how many. Only what `counted` does is counted. Instructions are
 * the same on a busy machine and on an idle one.
 */
#include "common/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (2 * MIB)
#define ROUNDS 16

typedef void step(struct space *s);

static const struct walk pages = { .count = SIZE / (4 * KIB), .step = 4 * KIB };

static void do_nothing(struct space *s)
{
	(void)s;
}

static void do_fork(struct space *s)
{
	soft_system.fork(s);
}

static void do_reap(struct space *s)
{
	soft_system.reap(s);
}

static void do_write(struct space *s)
{
	soft_system.touch(s, PARENT, &pages, true);
}

static void do_fork_and_reap(struct space *s)
{
	do_fork(s);
	do_reap(s);
}

static void do_pin(struct space *s)
{
	soft_system.pin(s, &pages, 4 * KIB);
}

static void do_unpin(struct space *s)
{
	soft_system.unpin(s);
}

static const struct operation {
	const char *name;
	step *before, *counted, *after;
	unsigned each; /* operations in a step */
} operations[] = {
	{ "fork", do_write, do_fork, do_reap, 1 },
	{ "reap", do_fork, do_reap, do_write, 1 },
	{ "cow-fault", do_fork, do_write, do_reap, SIZE / (4 * KIB) },
	{ "reuse-fault", do_fork_and_reap, do_write, do_nothing, SIZE / (4 * KIB) },
	{ "write-hit", do_write, do_write, do_nothing, SIZE / (4 * KIB) },
	{ "pin", do_nothing, do_pin, do_unpin, SIZE / (4 * KIB) },
	{ "unpin", do_pin, do_unpin, do_nothing, SIZE / (4 * KIB) },
	{ "fork-pinned", do_pin, do_fork, do_reap, 1 },
};
#define COUNT (sizeof(operations) / sizeof(operations[0]))

/* callgrind switches on at this function's entry and off at its end. */
static __attribute__((noinline)) void counted(step *run, struct space *s)
{
	run(s);
	__asm__ volatile("");
}

int main(int argc, char **argv)
{
	struct layout layout = { SIZE, 4 * KIB, 4 * KIB, .whole = true, .spare = SIZE };
	const struct operation *op = operations;
	struct space *s;

	if (argc != 2) {
		for (size_t i = 0; i < COUNT; i++)
			puts(operations[i].name);
		return 0;
	}
	while (op < operations + COUNT && strcmp(op->name, argv[1]))
		op++;
	if (op == operations + COUNT)
		bench_die("count: no operation is called %s", argv[1]);
	s = soft_system.create(&layout);
	for (unsigned i = 0; i < ROUNDS; i++) {
		op->before(s);
		counted(op->counted, s);
		op->after(s);
	}
	printf("%u\n", ROUNDS * op->each);
	return 0;
}
