/* SPDX-License-Identifier: MIT */
/*
 * Locks that sleep through the port where it can, and spin politely where it cannot.
 * `phys` is where the port is found.
 */
#ifndef HF_LIB_LOCK_H
#define HF_LIB_LOCK_H
#include "atomic.h"

#include <holdfast/phys.h>

/* What follows the uncontended case. */
void hf_lock_slow(const struct hf_phys *phys, uint32_t *lock);
void hf_unlock_slow(const struct hf_phys *phys, uint32_t *lock);

/* Mutual exclusion in one word: 0 free, 1 held, 2 held and somebody may sleep. */
static inline void hf_lock(const struct hf_phys *phys, uint32_t *lock)
{
	uint32_t seen = 0;

	if (!hf_cas32(lock, &seen, 1))
		hf_lock_slow(phys, lock);
}

static inline void hf_unlock(const struct hf_phys *phys, uint32_t *lock)
{
	if (hf_exchange32(lock, 0) == 2)
		hf_unlock_slow(phys, lock);
}

/*
 * Many readers or one writer. rw[0] is the state, rw[1] a mutex that a writer holds and
 * a reader passes through, so that a waiting writer is not overtaken for ever.
 */
void hf_lock_shared(const struct hf_phys *phys, uint32_t rw[2]);
void hf_unlock_shared(const struct hf_phys *phys, uint32_t rw[2]);
void hf_lock_exclusive(const struct hf_phys *phys, uint32_t rw[2]);
void hf_unlock_exclusive(const struct hf_phys *phys, uint32_t rw[2]);

#endif
