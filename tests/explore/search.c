/* SPDX-License-Identifier: MIT */
/*
 * Which schedules are run: all with at most so many preemptions, depth first (README.md says what
 * is left out, and why nothing is lost); or random ones by PCT; or one that is given.
 */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHOICES 20000

/* A point where there was a choice. */
struct choice {
	uint8_t n, at;
	uint8_t option[HFX_AGENTS];
};

/* A run of steps of one thread: until it has taken so many. */
struct segment {
	uint8_t agent;
	uint64_t points;
};

static struct {
	const struct hfx_options *o;
	struct choice choice[CHOICES];
	unsigned depth, at;   /* choices there are; how many of them this schedule has passed */
	unsigned bound, used; /* preemptions that are allowed; taken */
	bool first;	      /* the first schedule of a shard has alternatives that are others' */
	uint64_t alternatives;
	/* What this schedule does, and, for HFX_REPLAY, what it is to do. */
	struct segment did[2000], todo[2000];
	unsigned dids, todos, todo_at;
	int last;
	/* PCT */
	uint64_t random, steps, most_steps, change[16];
	unsigned priority[HFX_AGENTS], changes;
} s;

/* ---- States that were seen: hash, and how many preemptions were left ---- */

static uint64_t *seen;
static uint64_t seen_size, seen_count;
#define SEEN_MOST ((uint64_t)1 << 27)

static void seen_clear(void)
{
	if (!seen) {
		seen_size = (uint64_t)1 << 20;
		seen = malloc(seen_size * sizeof(*seen));
	}
	memset(seen, 0, seen_size * sizeof(*seen));
	seen_count = 0;
}

static uint64_t *seen_at(uint64_t key)
{
	uint64_t i = key >> 8 & (seen_size - 1);

	while (seen[i] && (seen[i] ^ key) >> 4)
		i = (i + 1) & (seen_size - 1);
	return &seen[i];
}

static void seen_grow(void)
{
	uint64_t *old = seen, old_size = seen_size;

	seen_size *= 2;
	seen = calloc(seen_size, sizeof(*seen));
	if (!seen) {
		fprintf(stderr, "explore: no memory for states\n");
		exit(2);
	}
	for (uint64_t i = 0; i < old_size; i++)
		if (old[i])
			*seen_at(old[i]) = old[i];
	free(old);
}

/* The state was reached before with as many preemptions left; else it is from now on. */
static bool seen_before(uint64_t hash, unsigned left)
{
	uint64_t key = (hash & ~(uint64_t)15) | (left + 1), *at = seen_at(key);

	if (*at && (*at & 15) >= left + 1)
		return true;
	if (!*at && seen_count >= SEEN_MOST)
		return false; /* nothing is lost but time */
	seen_count += !*at;
	*at = key;
	if (seen_count > seen_size / 2)
		seen_grow();
	return false;
}

/* How many ends there are that differ in what happened before what: to compare two searches. */
#define ENDS (1u << 22)
static uint64_t *ends;

static bool new_end(uint64_t hash)
{
	size_t i = hash >> 42;

	if (!ends)
		ends = calloc(ENDS, sizeof(*ends));
	if (!ends)
		return false;
	while (ends[i] && ends[i] != hash)
		i = (i + 1) % ENDS;
	if (ends[i])
		return false;
	ends[i] = hash;
	return true;
}

/* ---- One choice ---- */

static void note(int next)
{
	if (next == s.last)
		return;
	if (s.last >= 0 && s.dids < sizeof(s.did) / sizeof(s.did[0]))
		s.did[s.dids++] = (struct segment){ (uint8_t)s.last, hfx_agents[s.last].points };
	s.last = next;
}

/* A store buffer's turn is none. */
static bool preempts(int cur, int next)
{
	return cur >= 0 && next != cur && !hfx_agents[next].owner;
}

static unsigned options(int cur, unsigned enabled, uint8_t *option)
{
	unsigned n = 0;

	if (cur >= 0)
		option[n++] = (uint8_t)cur;
	for (unsigned i = 0; i < hfx_count; i++)
		if (enabled >> i & 1 && (int)i != cur &&
		    (cur < 0 || hfx_agents[i].owner || s.used < s.bound))
			option[n++] = (uint8_t)i;
	return n;
}

static uint64_t state(int cur)
{
	uint64_t h = hfx_state_hash() + (unsigned)(cur + 1) * 0x9e3779b97f4a7c15ull;

	return (h ^ h >> 31) * 0xbf58476d1ce4e5b9ull;
}

static int choose_dfs(int cur, unsigned enabled)
{
	struct choice c;
	int next;

	c.n = (uint8_t)options(cur, enabled, c.option);
	c.at = 0;
	if (s.at < s.depth) {
		if (c.n > 1) {
			c.at = s.choice[s.at].at;
			s.at++;
		}
	} else {
		if (!s.o->plain && seen_before(state(cur), s.bound - s.used))
			hfx_prune();
		if (c.n > 1) {
			if (s.depth == CHOICES)
				hfx_fail("more choices than the explorer has room for");
			s.choice[s.depth++] = c;
			s.at++;
		}
	}
	next = c.option[c.at];
	s.used += preempts(cur, next);
	return next;
}

static uint64_t random_below(uint64_t n)
{
	s.random ^= s.random << 13;
	s.random ^= s.random >> 7;
	s.random ^= s.random << 17;
	return (s.random * 0x2545f4914f6cdd1dull >> 16) % n;
}

/* Burckhardt et al. 2010: the highest priority goes on; at d - 1 steps it becomes the lowest. */
static int choose_pct(int cur, unsigned enabled)
{
	int next = -1;

	s.steps++;
	for (unsigned i = 0; i < s.changes; i++)
		if (s.change[i] == s.steps && cur >= 0)
			s.priority[cur] = i;
	for (unsigned i = 0; i < hfx_count; i++)
		if (enabled >> i & 1 && (next < 0 || s.priority[i] > s.priority[next]))
			next = (int)i;
	s.used += preempts(cur, next);
	return next;
}

static int choose_replay(int cur, unsigned enabled)
{
	int next = cur;

	while (s.todo_at < s.todos) {
		const struct segment *t = &s.todo[s.todo_at];

		if (t->agent < hfx_count && enabled >> t->agent & 1 &&
		    hfx_agents[t->agent].points < t->points) {
			next = t->agent;
			break;
		}
		s.todo_at++;
	}
	for (unsigned i = 0; next < 0 && i < hfx_count; i++)
		if (enabled >> i & 1)
			next = (int)i;
	s.used += preempts(cur, next);
	return next;
}

int hfx_choose(int cur, unsigned enabled)
{
	int next;

	switch (s.o->mode) {
	case HFX_DFS:
		next = choose_dfs(cur, enabled);
		break;
	case HFX_PCT:
		next = choose_pct(cur, enabled);
		break;
	default:
		next = choose_replay(cur, enabled);
		break;
	}
	note(next);
	return next;
}

/* ---- One schedule ---- */

static enum hfx_end run(const struct hfx_scenario *sc, struct hfx_result *r)
{
	enum hfx_end end;

	s.at = s.used = s.dids = s.todo_at = 0;
	s.last = -1;
	s.steps = 0;
	hfx_world_reset();
	hfx_memory_reset();
	end = hfx_run_threads();
	if (end == HFX_ENDED)
		end = hfx_guard(hfx_world_check, sc);
	if (s.o->plain || s.o->ends)
		r->ends += end == HFX_ENDED && new_end(hfx_state_hash() | 1);
	r->runs++;
	r->steps += hfx_now;
	r->pruned += end == HFX_PRUNED;
	return end;
}

static void write_schedule(struct hfx_result *r)
{
	size_t n = 0;

	for (unsigned i = 0; i < s.dids; i++)
		n += (size_t)snprintf(r->schedule + n, sizeof(r->schedule) - n, "%c%llu,",
				      'A' + s.did[i].agent, (unsigned long long)s.did[i].points);
	if (s.last >= 0)
		snprintf(r->schedule + n, sizeof(r->schedule) - n, "%c", 'A' + s.last);
}

static void keep_failure(struct hfx_result *r)
{
	r->failed = true;
	snprintf(r->why, sizeof(r->why), "%s", hfx_why);
	r->preemptions = s.used;
	write_schedule(r);
}

/* ---- Depth first ---- */

/* The next alternative, deepest first; false: there is none. */
static bool advance(void)
{
	while (s.depth) {
		struct choice *c = &s.choice[s.depth - 1];

		if (++c->at < c->n)
			return true;
		s.depth--;
	}
	return false;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* How much of the tree has been done, as if all branches had the same size. */
static double fraction(void)
{
	double done = 0, part = 1;

	for (unsigned i = 0; i < s.depth; i++) {
		part /= s.choice[i].n;
		done += part * s.choice[i].at;
	}
	return done;
}

static void progress(const struct hfx_scenario *sc, const struct hfx_result *r, double begin)
{
	double f = fraction(), t = now() - begin;

	fprintf(stderr,
		"\r%-32s bound %u: %llu schedules, %llu pruned, %llu states, %.0f s, %.1f %%\033[K",
		sc->name, s.bound, (unsigned long long)r->runs, (unsigned long long)r->pruned,
		(unsigned long long)seen_count, t, 100 * f);
}

/*
 * All schedules of this bound, with the races that are known. In a shard, of what is left at the
 * choices of the first schedule only its part.
 */
static bool exhaust(const struct hfx_scenario *sc, struct hfx_result *r, double begin)
{
	unsigned first_depth;

	seen_clear();
	s.depth = 0;
	if (run(sc, r) == HFX_FAILED) {
		keep_failure(r);
		return false;
	}
	first_depth = s.depth;
	s.alternatives = 0;
	while (advance()) {
		if (s.depth <= first_depth) {
			first_depth = s.depth;
			if (s.alternatives++ % s.o->shards != s.o->shard)
				continue;
		}
		if (run(sc, r) == HFX_FAILED) {
			keep_failure(r);
			return false;
		}
		if (!(r->runs % 4096)) {
			if (s.o->progress)
				progress(sc, r, begin);
			if (s.o->seconds > 0 && now() - begin > s.o->seconds)
				return false;
		}
	}
	return true;
}

static void search_dfs(const struct hfx_scenario *sc, struct hfx_result *r, double begin)
{
	for (s.bound = 0; s.bound <= s.o->bound; s.bound++) {
		/* A race that is seen late may have made a choice where none was offered: again. */
		do {
			if (!exhaust(sc, r, begin)) {
				if (r->failed)
					r->bound = s.bound;
				return;
			}
		} while (hfx_memory_freeze());
		r->bound = s.bound;
		r->exhausted = s.bound == s.o->bound;
		r->states = seen_count;
	}
}

/* ---- PCT ---- */

static void set_priorities(void)
{
	for (unsigned i = 0; i < hfx_count; i++) {
		unsigned k = (unsigned)random_below(i + 1);

		s.priority[i] = s.priority[k];
		s.priority[k] = s.o->depth + i;
	}
	s.changes = s.o->depth ? s.o->depth - 1 : 0;
	for (unsigned i = 0; i < s.changes; i++)
		s.change[i] = 1 + random_below(s.most_steps);
}

static void search_pct(const struct hfx_scenario *sc, struct hfx_result *r, double begin)
{
	s.most_steps = 1;
	for (uint64_t i = 0; i < s.o->runs; i++) {
		s.random = (s.o->seed * 1000003 + i) * 0x9e3779b97f4a7c15ull | 1;
		random_below(1);
		set_priorities();
		if (run(sc, r) == HFX_FAILED) {
			keep_failure(r);
			return;
		}
		if (s.steps > s.most_steps)
			s.most_steps = s.steps;
		hfx_memory_freeze();
		if (s.o->progress && !(i % 4096))
			progress(sc, r, begin);
		if (s.o->seconds > 0 && now() - begin > s.o->seconds)
			return;
	}
}

/* ---- One that is given ---- */

static bool parse(const char *text)
{
	for (s.todos = 0; *text && s.todos < sizeof(s.todo) / sizeof(s.todo[0]); s.todos++) {
		char *end;

		if (*text < 'A' || *text >= 'A' + HFX_AGENTS)
			return false;
		s.todo[s.todos].agent = (uint8_t)(*text++ - 'A');
		s.todo[s.todos].points = strtoull(text, &end, 10);
		if (end == text)
			s.todo[s.todos].points = UINT64_MAX;
		text = end + (*end == ',');
	}
	return true;
}

static enum hfx_end replay(const struct hfx_scenario *sc, struct hfx_result *r)
{
	static struct hfx_options o;
	const struct hfx_options *before = s.o;
	enum hfx_end end;

	o = *before;
	o.mode = HFX_REPLAY;
	s.o = &o;
	hfx_every = true;
	end = run(sc, r);
	hfx_every = false;
	s.o = before;
	return end;
}

bool hfx_replay(const struct hfx_scenario *sc, const struct hfx_options *o, const char *schedule,
		bool draw, struct hfx_result *r)
{
	*r = (struct hfx_result){ 0 };
	s.o = o;
	if (!parse(schedule))
		return false;
	hfx_begin(sc, o->memory);
	hfx_telling = true;
	hfx_drawing = draw;
	if (replay(sc, r) == HFX_FAILED)
		keep_failure(r);
	hfx_telling = hfx_drawing = false;
	return true;
}

/* ---- Shrinking ---- */

/* Does what is left of the schedule fail, without the i-th segment? */
static bool fails_without(const struct hfx_scenario *sc, struct hfx_result *r, unsigned i)
{
	struct hfx_result trial = { 0 };

	memmove(&s.todo[i], &s.todo[i + 1], (s.todos - i - 1) * sizeof(s.todo[0]));
	s.todos--;
	if (replay(sc, &trial) != HFX_FAILED || s.used > r->preemptions)
		return false;
	keep_failure(r);
	return true;
}

/* Fewer switches, one after the other, as long as it fails. */
static void shrink(const struct hfx_scenario *sc, struct hfx_result *r)
{
	bool better = true;

	while (better) {
		unsigned n;

		better = false;
		if (!parse(r->schedule))
			return;
		n = s.todos;
		for (unsigned i = 0; i + 1 < n && !better; i++) {
			parse(r->schedule);
			better = fails_without(sc, r, i) && s.dids + 1 < n;
		}
	}
}

void hfx_search(const struct hfx_scenario *sc, const struct hfx_options *o, struct hfx_result *r)
{
	double begin = now();

	*r = (struct hfx_result){ 0 };
	s.o = o;
	if (ends)
		memset(ends, 0, ENDS * sizeof(*ends));
	hfx_begin(sc, o->memory);
	hfx_every = o->plain;
	if (o->mode == HFX_PCT)
		search_pct(sc, r, begin);
	else
		search_dfs(sc, r, begin);
	hfx_every = false;
	if (r->failed)
		shrink(sc, r);
	if (o->progress)
		fprintf(stderr, "\r\033[K");
	r->seconds = now() - begin;
}
