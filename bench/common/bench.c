/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench.h"

#include "args.h"
#include "clock.h"
#include "progress.h"
#include "row.h"
#include "worker.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* Rounds that come first and do not count: caches, free memory and clocks settle. */
#define WARM_ROUNDS 2
/* Without --quick: no more rounds after this, but for the least that there must be. */
#define CASE_NS 20e9
#define MAX_NOTES 32

static struct {
	struct args args;
	const char *name, *unit;
	FILE *json;
	char *notes[MAX_NOTES]; /* footnotes of this table, each once */
	unsigned note_count;
	unsigned omitted; /* cases, because the time was up */
	double start;
	bool failed;
} bench;

void bench_start(int argc, char **argv, const char *name, const char *question, const char *unit)
{
	signal(SIGPIPE, SIG_IGN);
	bench.args = args_parse(argc, argv, question);
	bench.start = now_ns();
	bench.name = name;
	bench.unit = unit;
	if (bench.args.json) {
		bench.json = fopen(bench.args.json, "a");
		if (!bench.json) {
			perror(bench.args.json);
			exit(1);
		}
	}
	row_head(name, question);
	fflush(stdout);
}

bool bench_quick(void)
{
	return bench.args.quick;
}

/* The number of a footnote, from 1. */
static unsigned note_number(const char *text)
{
	unsigned i = 0;

	while (i < bench.note_count && strcmp(bench.notes[i], text))
		i++;
	if (i == bench.note_count) {
		if (i == MAX_NOTES)
			return MAX_NOTES;
		bench.notes[bench.note_count++] = strdup(text);
	}
	return i + 1;
}

static void add_note(struct row *row, const char *text)
{
	for (unsigned i = 0; i < row->note_count; i++)
		if (!strcmp(row->notes[i], text))
			return;
	row->notes[row->note_count++] = text;
}

static void finish_row(struct row *row)
{
	char marks[32] = "";
	size_t used = 0;

	for (unsigned i = 0; i < row->note_count && used < sizeof(marks) - 8; i++)
		used += (size_t)snprintf(marks + used, sizeof(marks) - used, "%s%u", i ? "," : "",
					 note_number(row->notes[i]));
	progress_clear();
	row_print(row, marks, !strcmp(bench.unit, "B"));
	if (bench.json) {
		row_json(row, bench.unit, bench.json);
		fflush(bench.json);
	}
}

static bool asked(const struct bench_case *c, unsigned column)
{
	return c->columns & COLUMN(column);
}

/* One value from each column; they take turns at being first. */
static void round_of_all(const struct bench_case *c, struct worker *workers, double **values,
			 unsigned round)
{
	for (unsigned i = 0; i < COLUMNS; i++) {
		unsigned column = (i + round) % COLUMNS;
		struct worker *w = &workers[column];

		if (!asked(c, column) || w->outcome != WORKER_READY)
			continue;
		if (round < WARM_ROUNDS)
			worker_round(w);
		else
			values[column][round - WARM_ROUNDS] = worker_round(w);
	}
}

/* Returns how many rounds count. */
static unsigned measure(const struct bench_case *c, struct worker *workers, double **values)
{
	unsigned most = bench.args.rounds + WARM_ROUNDS;
	double start = now_ns();

	for (unsigned round = 0; round < most; round++) {
		progress_show(c->name, round, most);
		round_of_all(c, workers, values, round);
		if (now_ns() - start > CASE_NS && round + 1 >= MIN_ROUNDS + WARM_ROUNDS)
			most = round + 1;
	}
	return most - WARM_ROUNDS;
}

void bench_run(const struct bench_case *c)
{
	static struct worker workers[COLUMNS];
	double *values[COLUMNS];
	struct row row = { 0 };
	unsigned rounds;

	snprintf(row.name, sizeof(row.name), "%s/%s", bench.name, c->name);
	if (bench.args.only && !strstr(row.name, bench.args.only))
		return;
	if (bench.args.seconds > 0 && now_ns() - bench.start > bench.args.seconds * 1e9) {
		bench.omitted++;
		return;
	}
	progress_show(c->name, 0, 1);
	for (unsigned i = 0; i < COLUMNS; i++)
		if (asked(c, i))
			worker_start(&workers[i], c, (enum column)i);
	for (unsigned i = 0; i < COLUMNS; i++)
		values[i] = calloc(bench.args.rounds, sizeof(double));
	rounds = measure(c, workers, values);
	if (c->note)
		add_note(&row, c->note);
	for (unsigned i = 0; i < COLUMNS; i++) {
		if (!asked(c, i))
			continue;
		worker_stop(&workers[i]);
		if (workers[i].outcome == WORKER_READY)
			row.column[i] = summarize(values[i], rounds);
		else
			add_note(&row, workers[i].reason);
		bench.failed |= workers[i].outcome == WORKER_FAILED;
	}
	finish_row(&row);
	for (unsigned i = 0; i < COLUMNS; i++)
		free(values[i]);
}

int bench_end(void)
{
	for (unsigned i = 0; i < bench.note_count; i++) {
		printf("  [%u] %s\n", i + 1, bench.notes[i]);
		free(bench.notes[i]);
	}
	if (bench.omitted)
		printf("  %u cases left out: the time was up\n", bench.omitted);
	if (bench.json && fclose(bench.json)) {
		perror(bench.args.json);
		return 1;
	}
	return bench.failed;
}

const char *size_name(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	static char text[4][16]; /* so that a few may be used in one expression */
	static unsigned next;
	char *out = text[next++ % 4];
	unsigned unit = 0;

	while (unit < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	snprintf(out, sizeof(text[0]), "%llu%s", (unsigned long long)bytes, units[unit]);
	return out;
}

const char *page_name(uint64_t bytes)
{
	return bytes == 4 * KIB ? "4k" : (bytes == 2 * MIB ? "2m" : "1g");
}
