/* SPDX-License-Identifier: MIT */
/* The core's own locks, under other names: every atomic in them is a step. lock_subject.c */
#ifndef HFX_LOCK_SUBJECT_H
#define HFX_LOCK_SUBJECT_H

#include <holdfast/lock.h>
#include <holdfast/phys.h>

void subject_acquire(const struct hf_phys *phys, struct hf_lock *lock);
void subject_release(const struct hf_phys *phys, struct hf_lock *lock);
void subject_acquire_shared(const struct hf_phys *phys, struct hf_rwlock *rw);
void subject_release_shared(const struct hf_phys *phys, struct hf_rwlock *rw);
void subject_acquire_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw);
void subject_release_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw);
bool subject_try_lock_shared(const struct hf_phys *phys, struct hf_rwlock *rw);

#endif
