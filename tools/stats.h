/* SPDX-License-Identifier: MIT */
/* Measured values and their percentiles. */
#ifndef TOOLS_STATS_H
#define TOOLS_STATS_H

#include <stddef.h>

#define SAMPLES_MAX 65536

/* Of fixed size, so that it can lie in memory that two processes share. */
struct samples {
	size_t count;
	double value[SAMPLES_MAX];
};

struct spread {
	double p50, p99, max;
};

/* Keep one more value; beyond SAMPLES_MAX they are dropped. */
void samples_add(struct samples *samples, double value);

/*
 * The smallest value that at least `percent` percent of the values do not exceed (the
 * nearest-rank method); 0 if there is no value. Sorts the values in place.
 */
double samples_percentile(struct samples *samples, double percent);
struct spread samples_spread(struct samples *samples);

#endif
