/* SPDX-License-Identifier: MIT */
/* A bar on a terminal, in the line where the row will stand; nothing elsewhere. */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

void progress_show(const char *name, unsigned done, unsigned all);
void progress_clear(void);

#endif
