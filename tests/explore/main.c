/* SPDX-License-Identifier: MIT */
/* The explorer's options, and what it prints. */
#include "explore.h"
#include "scenario.h"

#include <argp.h>
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef HFX_FORMAT
#define HFX_FORMAT "x86_64"
#endif

struct arguments {
	struct hfx_options o;
	const char *patterns[64];
	unsigned count;
	const char *replay, *json;
	bool draw, list, bound_given, compare;
	unsigned failures;
	json_t *results;
};

static const struct hfx_scenario *const groups[] = { hfx_reclaim, hfx_unshare, hfx_fork_beside,
						     hfx_huge,	  hfx_ranges,  hfx_object,
						     hfx_pagers,  hfx_locks };

/* ---- A scenario's world and threads ---- */

static const struct hfx_scenario *current;

static void speculation(void)
{
	unsigned i = (unsigned)(hfx_self - hfx_agents), threads = 0;

	while (current->thread[threads].fn)
		threads++;
	i -= threads;
	hfx_speculate(current->speculate[i].cpu, w.va + current->speculate[i].page * PAGE);
}

static void add_agent(const char *name, void (*fn)(void), struct hfx_agent *owner)
{
	struct hfx_agent *a = &hfx_agents[hfx_count++];

	if (hfx_count > HFX_AGENTS)
		abort();
	a->name = name;
	a->fn = fn;
	a->owner = owner;
}

static void make_world(const struct hfx_scenario *s)
{
	hfx_world_make(s);
}

void hfx_begin(const struct hfx_scenario *s, enum hfx_memory memory)
{
	unsigned threads;

	current = s;
	hfx_memory = memory;
	hfx_memory_forget();
	if (hfx_guard(make_world, s) == HFX_FAILED) {
		printf("%s cannot begin: %s\n", s->name, hfx_why);
		exit(1);
	}
	hfx_count = 0;
	while (s->thread[hfx_count].fn)
		add_agent(s->thread[hfx_count].name, s->thread[hfx_count].fn, NULL);
	threads = hfx_count;
	for (unsigned i = 0; i < s->speculations; i++)
		add_agent("speculation", speculation, NULL);
	for (unsigned i = 0; memory != HFX_SC && i < threads; i++)
		add_agent("store buffer", hfx_store_buffer, &hfx_agents[i]);
}

/* ---- Results ---- */

static const char *memory_name(enum hfx_memory m)
{
	static const char *const name[] = { "sc", "tso" };

	return name[m];
}

static void print_failure(const struct hfx_scenario *s, const struct hfx_result *r)
{
	printf("%s fails: %s\n  with %u preemptions:\n  holdfast-explore%s --replay %s %s\n",
	       s->name, r->why, r->preemptions,
	       strcmp(HFX_FORMAT, "x86_64") != 0 ? "-" HFX_FORMAT : "", r->schedule, s->name);
}

static void print_row(const struct arguments *a, const struct hfx_scenario *s,
		      const struct hfx_result *r)
{
	printf("%-32s %-7s %-4s %5u %10llu %10llu %10llu %-9s %8.2f s\n", s->name, HFX_FORMAT,
	       memory_name(a->o.memory), r->bound, (unsigned long long)r->runs,
	       (unsigned long long)r->pruned, (unsigned long long)r->states,
	       r->failed      ? s->fails[a->o.memory] ? "found" : "FAILED"
	       : r->exhausted ? "exhausted"
			      : "not all",
	       r->seconds);
}

static void keep(struct arguments *a, const struct hfx_scenario *s, const struct hfx_result *r)
{
	json_t *o =
		json_pack("{ss ss ss si sI sI sI sI sb sf sb}", "scenario", s->name, "format",
			  HFX_FORMAT, "memory", memory_name(a->o.memory), "bound", (int)r->bound,
			  "schedules", (json_int_t)r->runs, "pruned", (json_int_t)r->pruned,
			  "states", (json_int_t)r->states, "steps", (json_int_t)r->steps,
			  "exhausted", r->exhausted, "seconds", r->seconds, "failed", r->failed);

	if (r->failed) {
		json_object_set_new(o, "why", json_string(r->why));
		json_object_set_new(o, "schedule", json_string(r->schedule));
		json_object_set_new(o, "preemptions", json_integer(r->preemptions));
	}
	json_array_append_new(a->results, o);
}

static void explore(struct arguments *a, const struct hfx_scenario *s)
{
	struct hfx_result r;

	if (!a->bound_given)
		a->o.bound = s->bound ? s->bound : 2;
	hfx_search(s, &a->o, &r);
	print_row(a, s, &r);
	if (r.failed && !s->fails[a->o.memory])
		print_failure(s, &r);
	if (a->o.plain || a->o.ends)
		printf("  %llu ends\n", (unsigned long long)r.ends);
	if (s->known)
		printf("  (%s: %s)\n", r.failed ? "known" : "no longer found", s->known);
	if (s->fails[a->o.memory] && !r.failed)
		printf("%s: this was to be found, and was not\n", s->name);
	a->failures += r.failed != s->fails[a->o.memory] && !s->known;
	keep(a, s, &r);
	fflush(stdout);
}

/* What is left out of a search, and what is not a choice, has lost no end. */
static void compare(struct arguments *a, const struct hfx_scenario *s)
{
	struct hfx_options o = a->o;
	struct hfx_result r, plain;

	o.ends = true;
	hfx_search(s, &o, &r);
	o.plain = true;
	hfx_search(s, &o, &plain);
	printf("%-32s bound %u: %llu ends in %llu schedules, %llu in %llu\n", s->name, o.bound,
	       (unsigned long long)r.ends, (unsigned long long)r.runs,
	       (unsigned long long)plain.ends, (unsigned long long)plain.runs);
	a->failures += r.ends != plain.ends || !r.exhausted || !plain.exhausted;
}

static void replay(struct arguments *a, const struct hfx_scenario *s)
{
	struct hfx_result r;

	if (!hfx_replay(s, &a->o, a->replay, a->draw, &r)) {
		fprintf(stderr, "explore: that is no schedule\n");
		exit(2);
	}
	printf("%s: %s\n", s->name, r.failed ? r.why : "nothing is wrong");
	a->failures += r.failed;
}

/* ---- Options ---- */

enum {
	PCT = 256,
	DEPTH,
	SEED,
	MEMORY,
	REPLAY,
	DRAW,
	SHARD,
	JSON,
	SECONDS,
	PROGRESS,
	PLAIN,
	ENDS,
	COMPARE
};

static const struct argp_option options[] = {
	{ "list", 'l', 0, 0, "Say what each scenario is, and run none", 0 },
	{ "bound", 'b', "N", 0, "Preemptions (what `make check` exhausts, mostly 2)", 0 },
	{ "memory", MEMORY, "sc|tso", 0, "What stores may do (sc)", 0 },
	{ "pct", PCT, "N", 0, "N random schedules (PCT) instead of all", 0 },
	{ "depth", DEPTH, "D", 0, "PCT: how many orderings a fault may need (3)", 0 },
	{ "seed", SEED, "S", 0, "PCT: what chance begins with (1)", 0 },
	{ "replay", REPLAY, "SCHEDULE", 0, "Run this schedule and tell each step", 0 },
	{ "draw", DRAW, 0, 0, "With --replay: the tables, whenever they have changed", 0 },
	{ "shard", SHARD, "I/N", 0, "The I-th (0 to N - 1) of N parts of the search", 0 },
	{ "seconds", SECONDS, "S", 0, "Leave a scenario after so long", 0 },
	{ "progress", PROGRESS, 0, 0, "Tell how far it is (if a terminal reads this, it does)", 0 },
	{ "plain", PLAIN, 0, 0, "Leave out nothing: every step is a choice, no state is known", 0 },
	{ "ends", ENDS, 0, 0, "Count ends that differ; they are the same with --plain", 0 },
	{ "compare", COMPARE, 0, 0,
	  "Search twice, the second time with --plain: the ends are to be the same", 0 },
	{ "json", JSON, "FILE", 0, "Write the results to FILE as well", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'l':
		a->list = true;
		return 0;
	case 'b':
		a->o.bound = (unsigned)atoi(arg);
		a->bound_given = true;
		if (a->o.bound > 12)
			argp_error(state, "a bound of more than 12 has no end");
		return 0;
	case MEMORY:
		a->o.memory = HFX_SC;
		while (strcmp(arg, memory_name(a->o.memory)) != 0)
			if (a->o.memory++ == HFX_TSO)
				argp_error(state, "%s is no memory model", arg);
		return 0;
	case PCT:
		a->o.mode = HFX_PCT;
		a->o.runs = strtoull(arg, NULL, 0);
		return 0;
	case DEPTH:
		a->o.depth = (unsigned)atoi(arg);
		if (!a->o.depth || a->o.depth > 16)
			argp_error(state, "a depth is 1 to 16");
		return 0;
	case SEED:
		a->o.seed = strtoull(arg, NULL, 0);
		return 0;
	case REPLAY:
		a->replay = arg;
		return 0;
	case DRAW:
		a->draw = true;
		return 0;
	case SHARD:
		if (sscanf(arg, "%u/%u", &a->o.shard, &a->o.shards) != 2 ||
		    a->o.shard >= a->o.shards)
			argp_error(state, "%s is no I/N", arg);
		return 0;
	case SECONDS:
		a->o.seconds = atof(arg);
		return 0;
	case PROGRESS:
		a->o.progress = true;
		return 0;
	case PLAIN:
		a->o.plain = true;
		return 0;
	case COMPARE:
		a->compare = true;
		return 0;
	case ENDS:
		a->o.ends = true;
		return 0;
	case JSON:
		a->json = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->count == sizeof(a->patterns) / sizeof(a->patterns[0]))
			argp_error(state, "too many names");
		a->patterns[a->count++] = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	options,
	parse_option,
	"[SCENARIO...]",
	"Run the core's calls in every interleaving with at most so many preemptions, on simulated "
	"CPUs."
	"\vSCENARIO is a name or a pattern. Exit status: 0 nothing is wrong, 1 something is, 2 "
	"could not run.",
	0,
	0,
	0
};

static bool wanted(const struct arguments *a, const struct hfx_scenario *s)
{
	bool yes = !a->count;

	if (s->only && strcmp(s->only, HFX_FORMAT) != 0)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		yes |= !fnmatch(a->patterns[i], s->name, 0);
	return yes;
}

static void each(struct arguments *a, const struct hfx_scenario *s)
{
	if (a->list)
		printf("%-32s %s\n", s->name, s->about);
	else if (a->replay)
		replay(a, s);
	else if (a->compare)
		compare(a, s);
	else
		explore(a, s);
}

int main(int argc, char **argv)
{
	struct arguments a = { .o = { .bound = 2, .depth = 3, .seed = 1, .shards = 1 } };
	unsigned found = 0;

	a.o.progress = isatty(2);
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.results = json_array();
	hfx_schedule_init();
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (const struct hfx_scenario *s = groups[g]; s->name; s++)
			if (wanted(&a, s)) {
				found++;
				each(&a, s);
			}
	if (!found) {
		fprintf(stderr, "explore: there is no such scenario\n");
		return 2;
	}
	if (a.json && json_dump_file(a.results, a.json, JSON_INDENT(1))) {
		fprintf(stderr, "explore: cannot write %s\n", a.json);
		return 2;
	}
	return a.failures > 0;
}
