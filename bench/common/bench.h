/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark program is made of. It answers one question by a list of cases. A case
 * has columns: Holdfast on its ports, Linux, the floor. Each column of a case is measured in
 * a process of its own, forked from a program that has nothing else in its memory, and all
 * of them take turns: a round asks every column for one value. Rows are medians over rounds.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

enum column {
	SOFT, /* Holdfast, soft port */
	PORT, /* Holdfast, Linux port */
	LINUX,
	FLOOR, /* what the hardware alone takes for what must be done */
	EMPTY, /* Linux: fork(2) of a process that has no memory under test */
	COLUMNS,
};
#define COLUMN(c) (1u << (c))

struct bench_case {
	char name[48];	  /* "4k/1GiB": behind the benchmark's own name and a '/' */
	unsigned columns; /* COLUMN() bits: which are asked */
	/* In the column's process: prepare. The result is given to `round`. */
	void *(*begin)(const struct bench_case *c, enum column column);
	/* One value, in nanoseconds or bytes. What must not be timed is done here, too. */
	double (*round)(void *state);
	const void *arg;  /* the benchmark's own */
	const char *note; /* a footnote, or NULL */
};

/*
 * Begin: parse the command line, print the head of the table. `unit` is "ns", "us" (then
 * values are nanoseconds) or "B"; it is the unit in the JSON rows.
 */
void bench_start(int argc, char **argv, const char *name, const char *question, const char *unit);
/* True with --quick: the sizes that matter, so that everything ends within 3 minutes. */
bool bench_quick(void);
/* Measure one case and print its row. */
void bench_run(const struct bench_case *c);
/* End the table. The result is for main to return: 1 if a column failed. */
int bench_end(void);

/* In a column's process: this cannot be measured here, for a reason. Does not return. */
_Noreturn void bench_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* In a column's process or outside of any: something went wrong. Does not return. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "2MiB": a size as names have it. */
const char *size_name(uint64_t bytes);
/* "4k", "2m" or "1g". */
const char *page_name(uint64_t bytes);

#endif
