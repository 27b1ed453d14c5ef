/* SPDX-License-Identifier: MIT */
/* The flush, and who owns a CPU. */
#ifndef HF_SOFT_FLUSH_H
#define HF_SOFT_FLUSH_H

#include "port.h"

/* Its address names the calling thread; it has no value of interest. */
extern _Thread_local char hf_soft_self __attribute__((tls_model("initial-exec")));

/* Become the owner of a CPU; waits for flushes. Called outside of an access. */
void hf_soft_claim(struct hf_soft_cpu *cpu);
/* struct hf_port's flush. */
void hf_soft_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what);

#endif
