/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a family of spaces, against a reference model.
 *
 *     test_model [--seed S] [--ops N]
 *
 * The run is cut into rounds of ROUND_OPS operations with seeds S, S + 1, ...; each has a
 * machine of its own (RAM size, RAM ranges, count limit, TLB size and address range follow
 * from the seed). A disagreement names the seed of its round and how many operations to
 * run, so it is seen again without the rounds before.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

#define ROUND_OPS 50000
#define CHECK_EVERY 1000
#define COMPARE_EVERY 5000

/* A broken core panics, which aborts: then, too, say how to see it again. */
static struct world *under_way;

static void on_signal(int sig)
{
	char text[256];
	int len = snprintf(text, sizeof(text),
			   "not ok 1 - model\n# seed %llu, operation %llu (%s): signal %d\n"
			   "# again, alone: test_model --seed %llu --ops %llu\n",
			   (unsigned long long)under_way->seed, (unsigned long long)under_way->op,
			   under_way->doing, sig, (unsigned long long)under_way->seed,
			   (unsigned long long)under_way->op);

	if (write(STDOUT_FILENO, text, (size_t)len) != len)
		_exit(2);
	_exit(1);
}

static void run_round(uint64_t seed, uint64_t ops, uint64_t *huge_leaves, uint64_t *spaces)
{
	struct world *w = world_new(seed);

	under_way = w;
	for (w->op = 1; w->op <= ops; w->op++) {
		run_operation(w);
		if (w->op % CHECK_EVERY == 0)
			check_invariants(w);
		if (w->op % COMPARE_EVERY == 0)
			compare_all(w);
	}
	w->op = ops;
	*huge_leaves += w->huge_leaves;
	*spaces += w->spaces;
	world_end(w);
}

static int usage(const char *program)
{
	fprintf(stderr, "usage: %s [--seed S] [--ops N]\n", program);
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, ops = 1000000, done = 0, huge_leaves = 0, spaces = 0;

	for (int i = 1; i < argc; i += 2) {
		char *end = "";

		if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], &end, 0);
		else if (i + 1 < argc && strcmp(argv[i], "--ops") == 0)
			ops = strtoull(argv[i + 1], &end, 0);
		else
			return usage(argv[0]);
		if (*end)
			return usage(argv[0]);
	}
	printf("1..1\n");
	fflush(stdout);
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	for (uint64_t round = 0; done < ops; round++) {
		uint64_t n = ops - done < ROUND_OPS ? ops - done : ROUND_OPS;

		run_round(seed + round, n, &huge_leaves, &spaces);
		done += n;
		if (round % 4 == 3)
			fprintf(stderr, "# %llu of %llu operations\n", (unsigned long long)done,
				(unsigned long long)ops);
	}
	print_operations(huge_leaves, spaces);
	printf("ok 1 - model seed=%llu ops=%llu\n", (unsigned long long)seed,
	       (unsigned long long)ops);
	return 0;
}
