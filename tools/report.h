/* SPDX-License-Identifier: MIT */
/* What a run found, for people and for programs. */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include "run.h"

#include <stdio.h>

/* Before the work begins: what is going to be done. */
void report_header(const struct run *run, FILE *out);
/* The table, then what did not hold. Returns how many of Holdfast's checks failed. */
unsigned report_table(struct run *run, FILE *out);
/* The same as JSON. False after saying why not. */
bool report_json(struct run *run, const char *path);

#endif
