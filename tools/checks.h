/* SPDX-License-Identifier: MIT */
/* What Holdfast's side of a run must have kept. */
#ifndef TOOLS_CHECKS_H
#define TOOLS_CHECKS_H

#include "run.h"

struct check {
	const char *name; /* of what there must be none of */
	uint64_t failures;
	const char *detail; /* or NULL */
};

enum {
	CHECKS = 10
};

void checks_make(const struct run *run, struct check check[CHECKS]);

#endif
