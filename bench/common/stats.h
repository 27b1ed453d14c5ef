/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

/* What is told of a set of values: the median, the quartiles around it, the extremes. */
struct summary {
	size_t count;
	double min, q1, median, q3, max;
};

/* Sorts the values. Of an even number, or between two ranks, the mean weighted by distance. */
struct summary summarize(double *values, size_t count);

#endif
