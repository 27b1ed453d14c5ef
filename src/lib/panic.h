/* SPDX-License-Identifier: MIT */
/* The end: an invariant is broken. Stops the host, does not return. No lock needed. */
#ifndef HF_LIB_PANIC_H
#define HF_LIB_PANIC_H

#include <holdfast/phys.h>

_Noreturn void hf_panic(const struct hf_phys *phys, const char *what);

/* With an address, virtual or physical, its level, and what was found there: an entry, a count. */
_Noreturn void hf_panic_at(const struct hf_phys *phys, const char *what, uint64_t at,
			   unsigned level, uint64_t found);

/*
 * What a function demands of its caller: locks, alignment, levels. Checked in debug and sanitizer
 * builds (-DHF_DEBUG), and free of cost in others.
 */
#ifdef HF_DEBUG
#define HF_TEXT_OF(x) #x
#define HF_TEXT(x) HF_TEXT_OF(x)
#define HF_ASSERT(phys, holds) \
	((holds) ? (void)0 : hf_panic(phys, __FILE__ ":" HF_TEXT(__LINE__) ": not so: " #holds))
#else
#define HF_ASSERT(phys, holds) ((void)sizeof((phys) && (holds)))
#endif

#endif
