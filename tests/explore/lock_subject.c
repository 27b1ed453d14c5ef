/* SPDX-License-Identifier: MIT */
/* src/lib/lock.c as it is, beside lock.c, which stands in for it everywhere else. */
#define HFX_LOCK_SUBJECT
#include "shim.h"

#define hf_acquire_slow subject_acquire_slow
#define hf_release_slow subject_release_slow
#define hf_pass_on subject_pass_on
#define hf_wait_for subject_wait_for
#define hf_wake_all subject_wake_all
#define hf_acquire_shared subject_acquire_shared
#define hf_try_lock_shared subject_try_lock_shared
#define hf_release_shared subject_release_shared
#define hf_acquire_exclusive subject_acquire_exclusive
#define hf_release_exclusive subject_release_exclusive

#include "lib/lock.c"

#include "lock_subject.h"

void subject_acquire(const struct hf_phys *phys, struct hf_lock *lock)
{
	hf_acquire(phys, lock);
}

void subject_release(const struct hf_phys *phys, struct hf_lock *lock)
{
	hf_release(phys, lock);
}
