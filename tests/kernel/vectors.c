/* SPDX-License-Identifier: MIT */
/* What a kernel must not link, for scripts/freestanding to find; no program is made of it. */
#include <stdint.h>

int count = 1;
void somebody(volatile int *values);
double vectors(double a, double b);
int leaf(int i);
void caller(int *values);

double vectors(double a, double b)
{
	return a * b + 0.5;
}

/* No calls, and an array on the stack: in the red zone if there is one. */
int leaf(int i)
{
	volatile int values[4] = { 1, 2, 3, 4 };

	return values[i & 3] + count;
}

void caller(int *values)
{
	somebody(values);
}
