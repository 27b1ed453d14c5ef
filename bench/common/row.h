/* SPDX-License-Identifier: MIT */
/* The table that people read and the JSON that programs read. */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include "bench.h"
#include "stats.h"

#include <stdio.h>

struct row {
	char name[80];			/* in full: "fork-size/4k/1GiB" */
	struct summary column[COLUMNS]; /* count 0: not measured */
	const char *notes[COLUMNS + 1]; /* the first `note_count` count */
	unsigned note_count;
};

void row_head(const char *title, const char *question);
/* `marks` are the footnotes' numbers, "1,2" or "". */
void row_print(const struct row *row, const char *marks, bool bytes);
/* `unit` is "ns", "us" or "B". */
void row_json(const struct row *row, const char *unit, FILE *out);

#endif
