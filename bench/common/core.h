/* SPDX-License-Identifier: MIT */
/* What the two Holdfast systems have in common: the core's side. */
#ifndef BENCH_CORE_H
#define BENCH_CORE_H

#include "system.h"

#include <holdfast/holdfast.h>

/* A call that must succeed. */
void must(enum hf_status st, const char *what);

/* RAM that a layout may need, tables included. */
uint64_t core_ram(const struct layout *layout);
/* Memory that has never been written reads as zeros: do not write it only to make it so. */
void core_clean(struct hf_phys *phys);
/* The layout's mappings, from `base` on; where they are full, with all pages. */
void core_map(struct hf_mm *mm, hf_va base, const struct layout *layout);
/* Once all pages are there: what the layout's kind says. */
void core_keep(struct hf_mm *mm, hf_va base, const struct layout *layout);

/*
 * The places to touch so that every page of [from, from + len) is there, and with `whole` every
 * byte has memory of the host.
 */
struct walk core_places(const struct layout *layout, uint64_t from, uint64_t len);

uint64_t core_free(struct hf_phys *phys);

struct core_pins {
	struct hf_span *spans;
	size_t count;
};
double core_pin(struct hf_mm *mm, hf_va base, const struct walk *places, uint64_t len,
		struct core_pins *pins);
double core_unpin(struct hf_phys *phys, struct core_pins *pins);

#endif
