/* SPDX-License-Identifier: MIT */
/* Memory of the process that is the port's own: children of fork(2) do not get it. */
#ifndef HF_LINUX_OWN_H
#define HF_LINUX_OWN_H

#include <stdbool.h>
#include <stdint.h>

/* Zeros, which take memory as they are touched. NULL with errno. Gone with munmap(2). */
void *hf_linux_own(uint64_t len);

/* What is mapped at [at, at+len) becomes the port's own. False with errno. */
bool hf_linux_make_own(void *at, uint64_t len);

/* Leave [at, at+len) out of core dumps, or not. False with errno. */
bool hf_linux_dumpable(void *at, uint64_t len, bool dump);

#endif
