/* SPDX-License-Identifier: MIT */
/* Floors: what the hardware alone takes. On huge pages where the host has them. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include "walk.h"

#include <stdbool.h>

struct floor;

/* Two pieces of memory of `size` bytes (at least one page), all of it touched. */
struct floor *floor_create(uint64_t size);
/* memcpy `unit` bytes at each place from one to the other; nanoseconds in all. */
double floor_copy(struct floor *f, const struct walk *places, uint64_t unit);
/* As struct system has them, in the first. */
double floor_touch(struct floor *f, const struct walk *places, bool write);
double floor_chase(struct floor *f, uint64_t count);

#endif
