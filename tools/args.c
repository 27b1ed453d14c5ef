/* SPDX-License-Identifier: MIT */
/* The options of `holdfast run`. */
#include "run.h"
#include "units.h"

#include <argp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SECONDS 20

static const struct argp_option options[] = {
	{ "heap", 'H', "SIZE", 0, "Size of the heap (1GiB; less where memory is short)", 0 },
	{ "pinned", 'p', "SIZE", 0,
	  "How much of it a device holds, in MiB or with a unit (64); 0 for none", 0 },
	{ "seconds", 's', "S", 0, "Stop after S seconds (20, or no limit with --forks)", 0 },
	{ "forks", 'n', "N", 0, "Stop after N forks of Holdfast's heap", 0 },
	{ "policy", 'P', "copy|split", 0, "What fork does with pinned huge pages (copy)", 0 },
	{ "trace", 't', "FILE", 0,
	  "Write what Holdfast does when to FILE, for ui.perfetto.dev, and count it", 0 },
	{ "json", 'j', "FILE", 0, "Write the results to FILE as well", 0 },
	{ 0 },
};

static const char doc[] =
	"Fork a heap again and again while a device writes DIR's files (/usr) into pinned parts of "
	"it and "
	"two threads write to it; check every snapshot; do the same with fork(2)."
	"\vSizes take K, M or G. Exit status: 0 all checks passed, 1 one failed, 2 could not run, "
	"130 interrupted.";

static uint64_t parse_size(const char *arg, uint64_t unit, const struct argp_state *state)
{
	uint64_t bytes;

	if (!size_parse(arg, unit, &bytes) || bytes > (uint64_t)1 << 40)
		argp_error(state, "%s is not a size: use a number and K, M or G", arg);
	return bytes;
}

static double parse_number(const char *arg, double max, const struct argp_state *state)
{
	char *end;
	double number = strtod(arg, &end);

	if (*end || end == arg || !(number > 0 && number <= max))
		argp_error(state, "%s is not a number above 0 and up to %.0f", arg, max);
	return number;
}

static enum hf_fork_policy parse_policy(const char *arg, const struct argp_state *state)
{
	if (strcmp(arg, "copy") == 0)
		return HF_FORK_COPY;
	if (strcmp(arg, "split") != 0)
		argp_error(state, "%s is no policy: use copy or split", arg);
	return HF_FORK_SPLIT;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct run_options *run = state->input;

	switch (key) {
	case 'H':
		run->heap = parse_size(arg, 1, state);
		return 0;
	case 'p':
		run->pinned = parse_size(arg, MIB, state);
		return 0;
	case 's':
		run->seconds = parse_number(arg, 86400, state);
		return 0;
	case 'n':
		run->forks = (uint64_t)ceil(parse_number(arg, SAMPLES_MAX, state));
		return 0;
	case 'P':
		run->policy = parse_policy(arg, state);
		return 0;
	case 't':
		run->trace = arg;
		return 0;
	case 'j':
		run->json = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "one directory is enough");
		run->dir = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void run_parse(int argc, char **argv, struct run_options *run)
{
	static const struct argp argp = { options, parse_option, "[DIR]", doc, NULL, NULL, NULL };

	*run = (struct run_options){
		.dir = "/usr",
		.heap = GIB,
		.pinned = 64 * MIB,
		.policy = HF_FORK_COPY,
	};
	argp_parse(&argp, argc, argv, 0, NULL, run);
	if (!(run->seconds > 0) && !run->forks)
		run->seconds = DEFAULT_SECONDS;
}
