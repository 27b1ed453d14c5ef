/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <stdlib.h>

static int ascending(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* The value that `part` (0 to 1) of the sorted values lie below. */
static double quantile(const double *sorted, size_t count, double part)
{
	double rank = part * (double)(count - 1);
	size_t below = (size_t)rank, above = below + 1 < count ? below + 1 : below;

	return sorted[below] + (rank - (double)below) * (sorted[above] - sorted[below]);
}

struct summary summarize(double *values, size_t count)
{
	if (!count)
		return (struct summary){ 0 };
	qsort(values, count, sizeof(*values), ascending);
	return (struct summary){
		.count = count,
		.min = values[0],
		.q1 = quantile(values, count, 0.25),
		.median = quantile(values, count, 0.5),
		.q3 = quantile(values, count, 0.75),
		.max = values[count - 1],
	};
}
