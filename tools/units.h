/* SPDX-License-Identifier: MIT */
/* Sizes and times as people write and read them. */
#ifndef TOOLS_UNITS_H
#define TOOLS_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* Room for any of the texts below. */
struct text {
	char s[48];
};

/*
 * "64MiB", "64M", "1.5 GiB", "4096": a number and K, M, G or T (powers of 1024, "iB" or
 * "B" may follow, case does not matter). A bare number counts in `unit` bytes. False if it is
 * none of this, or does not fit 64 bits.
 */
bool size_parse(const char *text, uint64_t unit, uint64_t *out);

struct text size_text(uint64_t bytes); /* "1.5 GiB" */
struct text time_text(double us);      /* "1.24 ms" */
struct text count_text(uint64_t n);    /* "16,384" */

#endif
