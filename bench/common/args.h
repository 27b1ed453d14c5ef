/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ARGS_H
#define BENCH_ARGS_H

#include <stdbool.h>

#define MIN_ROUNDS 10

struct args {
	bool quick;
	unsigned rounds;  /* the most to measure, at least MIN_ROUNDS */
	double seconds;	  /* begin no case after that; 0: no limit */
	const char *json; /* file that rows are appended to, or NULL */
	const char *only; /* measure the cases whose names contain this */
};

/* Ends the program if the command line makes no sense. */
struct args args_parse(int argc, char **argv, const char *question);

#endif
