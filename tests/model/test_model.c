/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a family of spaces, against a reference model.
 *
 *     test_model [--seed S] [--ops N] [--only OP,...] [--shrink] [--keep I,...]
 *
 * The run is cut into rounds of ROUND_OPS operations with seeds S, S + 1, ...; each has a
 * machine of its own (RAM size, RAM ranges, count limit, TLB size and address range follow
 * from the seed). A disagreement names the seed of its round and how many operations to
 * run, so it is seen again without the rounds before. --shrink then looks for few of them
 * that are enough, which --keep runs again. --only draws these operations alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shrink.h"

#define ROUND_OPS 50000

/* A broken core panics, which aborts: then, too, say how to see it again. */
static struct world *under_way;

static void on_signal(int sig)
{
	signal(sig, SIG_DFL);
	disagree(under_way, "signal %d", sig);
}

void run_round(const struct choice *choice, struct totals *totals)
{
	struct world *w = world_new(choice->seed);

	under_way = w;
	w->tell = choice->tell;
	for (uint64_t op = 1; op <= choice->ops; op++) {
		if (choice->keep && !choice->keep[op])
			continue;
		world_step(w, op);
		run_operation(w);
		if (op % w->rhythm.check == 0)
			check_invariants(w);
		if (op % w->rhythm.compare == 0)
			compare_all(w);
	}
	w->op = choice->ops;
	compare_all(w);
	if (totals) {
		totals->huge_leaves += w->huge_leaves;
		totals->giant_leaves += w->giant_leaves;
		totals->forks += w->forks;
	}
	world_end(w);
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--seed S] [--ops N] [--only OP,...] [--shrink] [--keep I,...]\n",
		program);
	return 2;
}

/* "3,17,20" to a map of ops + 1 flags; NULL: not such a list. */
static uint8_t *keep_list(const char *text, uint64_t ops)
{
	uint8_t *keep = calloc(ops + 1, 1);

	while (*text) {
		char *end;
		uint64_t i = strtoull(text, &end, 10);

		if (end == text || i > ops || (*end && *end != ','))
			return NULL;
		keep[i] = 1;
		text = end + (*end == ',');
	}
	return keep;
}

static int run_rounds(uint64_t seed, uint64_t ops)
{
	struct totals totals = { 0 };
	uint64_t done = 0;

	printf("1..1\n");
	fflush(stdout);
	for (uint64_t round = 0; done < ops; round++) {
		struct choice choice = { .seed = seed + round };

		choice.ops = ops - done < ROUND_OPS ? ops - done : ROUND_OPS;
		run_round(&choice, &totals);
		done += choice.ops;
		if (round % 4 == 3)
			fprintf(stderr, "# %llu of %llu operations\n", (unsigned long long)done,
				(unsigned long long)ops);
	}
	print_operations(totals.huge_leaves, totals.giant_leaves, totals.forks);
	printf("ok 1 - model seed=%llu ops=%llu\n", (unsigned long long)seed,
	       (unsigned long long)ops);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1, ops = 1000000;
	const char *only = NULL, *keep = NULL;
	bool shrinks = false;
	int i = 1;

	for (; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *end = "";

		if (strcmp(argv[i], "--shrink") == 0) {
			shrinks = true;
			continue;
		}
		if (!*value)
			return usage(argv[0]);
		if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(value, &end, 0);
		else if (strcmp(argv[i], "--ops") == 0)
			ops = strtoull(value, &end, 0);
		else if (strcmp(argv[i], "--only") == 0)
			only = value;
		else if (strcmp(argv[i], "--keep") == 0)
			keep = value;
		else
			return usage(argv[0]);
		if (*end)
			return usage(argv[0]);
		i++;
	}
	if (!choose_operations(only))
		return 2;
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	if (shrinks)
		return shrink(seed, ops);
	if (keep) {
		struct choice choice = { .seed = seed, .ops = ops, .tell = true };

		choice.keep = keep_list(keep, ops);
		if (!choice.keep)
			return usage(argv[0]);
		run_round(&choice, NULL);
		printf("ok 1 - model seed=%llu, the kept operations\n", (unsigned long long)seed);
		return 0;
	}
	return run_rounds(seed, ops);
}
