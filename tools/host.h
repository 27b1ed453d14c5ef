/* SPDX-License-Identifier: MIT */
/* What the machine tells about itself: the clock, its memory, this process's pages. */
#ifndef TOOLS_HOST_H
#define TOOLS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t host_now(void);
void host_sleep_us(unsigned us);

/*
 * Bytes that this process may still take: MemAvailable of /proc/meminfo, or what the
 * control group leaves if that is less. 0 if the machine does not say.
 */
uint64_t host_memory_available(void);

/* Bytes of [base, base+len) that lie in anonymous huge pages: AnonHugePages of smaps. */
uint64_t host_anon_huge(const void *base, size_t len);

/*
 * The frame number of each of `count` pages from `base` on, by /proc/self/pagemap.
 * False where only root may know.
 */
bool host_frames(const void *base, size_t count, uint64_t *frame);

#endif
