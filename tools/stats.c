/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

void samples_add(struct samples *samples, double value)
{
	if (samples->count < SAMPLES_MAX)
		samples->value[samples->count++] = value;
}

static int ascending(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

double samples_percentile(struct samples *samples, double percent)
{
	double rank = ceil(percent / 100 * (double)samples->count);

	if (!samples->count)
		return 0;
	qsort(samples->value, samples->count, sizeof(*samples->value), ascending);
	return samples->value[rank < 1 ? 0 : (size_t)rank - 1];
}

struct spread samples_spread(struct samples *samples)
{
	return (struct spread){
		.p50 = samples_percentile(samples, 50),
		.p99 = samples_percentile(samples, 99),
		.max = samples_percentile(samples, 100),
	};
}
