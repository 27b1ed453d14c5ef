/* SPDX-License-Identifier: MIT */
#include "args.h"

#include <argp.h>
#include <stdlib.h>

static const struct argp_option options[] = {
	{ "quick", 'q', NULL, 0, "The sizes that matter, few rounds", 0 },
	{ "rounds", 'r', "N", 0, "Measure up to N rounds (at least 10; default 20, quick: 10)", 0 },
	{ "seconds", 's', "N", 0, "Begin no further case after N seconds", 0 },
	{ "json", 'j', "FILE", 0, "Append the rows to FILE, one JSON object per line", 0 },
	{ "only", 'o', "TEXT", 0, "Measure the cases whose names contain TEXT", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;
	char *end;

	switch (key) {
	case 'q':
		args->quick = true;
		return 0;
	case 'r':
		args->rounds = (unsigned)strtoul(arg, &end, 10);
		if (*end || args->rounds < MIN_ROUNDS || args->rounds > 1000)
			argp_error(state, "--rounds wants a number from %d to 1000", MIN_ROUNDS);
		return 0;
	case 's':
		args->seconds = strtod(arg, &end);
		if (*end || !(args->seconds > 0))
			argp_error(state, "--seconds wants a positive number");
		return 0;
	case 'j':
		args->json = arg;
		return 0;
	case 'o':
		args->only = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct args args_parse(int argc, char **argv, const char *question)
{
	const struct argp argp = { options, parse, NULL, question, NULL, NULL, NULL };
	struct args args = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	if (!args.rounds)
		args.rounds = args.quick ? MIN_ROUNDS : 2 * MIN_ROUNDS;
	return args;
}
