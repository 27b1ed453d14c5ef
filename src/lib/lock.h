/* SPDX-License-Identifier: MIT */
/*
 * Locks that sleep through the port where it can, and spin politely where it cannot.
 * `phys` is where the port is found.
 *
 * clang checks at compile time (-Wthread-safety) that what a function HF_HOLDS is held where it is
 * called: some lock of this class, not which one. The classes are names that are declared here and
 * exist nowhere. HF_UNCHECKED is for a function that takes two locks of one class, or takes one on
 * a condition.
 */
#ifndef HF_LIB_LOCK_H
#define HF_LIB_LOCK_H

#include "atomic.h"

#include <holdfast/phys.h>

#ifdef __clang__
#define HF_LOCKING(what) __attribute__((what))
#else
#define HF_LOCKING(what)
#endif
#define HF_HOLDS(class) HF_LOCKING(requires_capability(hf_##class##_class))
#define HF_HOLDS_SHARED(class) HF_LOCKING(requires_shared_capability(hf_##class##_class))
/* It takes one and gives it to its caller, or the other way round. */
#define HF_TAKES(class) HF_LOCKING(acquire_capability(hf_##class##_class)) HF_UNCHECKED
#define HF_TAKES_SHARED(class) \
	HF_LOCKING(acquire_shared_capability(hf_##class##_class)) HF_UNCHECKED
#define HF_GIVES(class) HF_LOCKING(release_capability(hf_##class##_class)) HF_UNCHECKED
#define HF_GIVES_SHARED(class) \
	HF_LOCKING(release_shared_capability(hf_##class##_class)) HF_UNCHECKED
#define HF_UNCHECKED HF_LOCKING(no_thread_safety_analysis)

/* Somebody holds it. */
static inline bool hf_lock_held(const struct hf_lock *lock)
{
	return hf_load_relaxed32(&lock->word);
}

/* Somebody holds it, shared or exclusive. */
static inline bool hf_rwlock_held(const struct hf_rwlock *rw)
{
	return hf_load_relaxed32(&rw->state);
}

/* A writer holds it, or waits for it. */
static inline bool hf_rwlock_held_exclusive(const struct hf_rwlock *rw)
{
	return hf_lock_held(&rw->writers);
}

extern struct hf_rwlock hf_spaces_class, hf_mm_class;
extern struct hf_lock hf_change_class, hf_object_class, hf_table_class, hf_phys_class;

/* Wait until *word may have changed from `value`; wake those who wait so. */
void hf_wait_for(const struct hf_phys *phys, const uint32_t *word, uint32_t value);
void hf_wake_all(const struct hf_phys *phys, const uint32_t *word);

/* What follows the uncontended case. */
void hf_acquire_slow(const struct hf_phys *phys, struct hf_lock *lock);
void hf_release_slow(const struct hf_phys *phys, struct hf_lock *lock);

static inline void hf_acquire(const struct hf_phys *phys, struct hf_lock *lock)
{
	uint32_t seen = 0;

	if (!hf_cas32(&lock->word, &seen, 1))
		hf_acquire_slow(phys, lock);
}

static inline void hf_release(const struct hf_phys *phys, struct hf_lock *lock)
{
	if (hf_exchange32(&lock->word, 0) == 2)
		hf_release_slow(phys, lock);
}

/* Let those who wait have the lock, if anybody does, and take it again. */
void hf_pass_on(const struct hf_phys *phys, struct hf_lock *lock);

/* Tell the port that this thread holds one more (change 1) or one less (-1) of the outer locks. */
static inline void hf_lock_tell(const struct hf_phys *phys, int change)
{
	if (phys->port->holds)
		phys->port->holds(phys->host, change);
}

/*
 * A reader that finds a writer passes through the mutex that the writer holds, so that a waiting
 * writer is not overtaken for ever.
 */
void hf_acquire_shared(const struct hf_phys *phys, struct hf_rwlock *rw);
/* The same where there is no writer, nor one that waits. False: there is, and nothing is taken. */
bool hf_try_lock_shared(const struct hf_phys *phys, struct hf_rwlock *rw);
void hf_release_shared(const struct hf_phys *phys, struct hf_rwlock *rw);
void hf_acquire_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw);
void hf_release_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw);

#endif
