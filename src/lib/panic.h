/* SPDX-License-Identifier: MIT */
/* The end: an invariant is broken. */
#ifndef HF_LIB_PANIC_H
#define HF_LIB_PANIC_H

#include <holdfast/phys.h>

/* A broken invariant: stops the host, does not return. No lock needed. */
_Noreturn void hf_panic(const struct hf_phys *phys, const char *what);

#endif
