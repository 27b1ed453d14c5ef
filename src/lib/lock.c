/* SPDX-License-Identifier: MIT */
#include "lock.h"

#include "atomic.h"

#include <holdfast/phys.h>

/* Polite spins before sleeping: about the time that the short critical sections take. */
#define SPINS 64

void hf_wait_for(const struct hf_phys *phys, const uint32_t *word, uint32_t value)
{
	const struct hf_port *port = phys->port;

	if (port->wait)
		port->wait(phys->host, word, value);
	else if (port->pause)
		port->pause(phys->host);
}

void hf_wake_all(const struct hf_phys *phys, const uint32_t *word)
{
	if (phys->port->wake)
		phys->port->wake(phys->host, word);
}

/* Spin while *word is not 0; the caller decides what to do about the result. */
static void spin(const struct hf_phys *phys, const uint32_t *word)
{
	for (int i = 0; i < SPINS && hf_load_relaxed32(word); i++)
		if (phys->port->pause)
			phys->port->pause(phys->host);
}

void hf_acquire_slow(const struct hf_phys *phys, struct hf_lock *lock)
{
	uint32_t seen = 0;

	spin(phys, &lock->word);
	if (hf_cas32(&lock->word, &seen, 1))
		return;
	while (hf_exchange32(&lock->word, 2) != 0)
		hf_wait_for(phys, &lock->word, 2);
}

void hf_release_slow(const struct hf_phys *phys, struct hf_lock *lock)
{
	hf_wake_all(phys, &lock->word);
}

/* How long a lock is left to those who sleep for it: about what waking takes. */
#define HANDOVER 1000

void hf_pass_on(const struct hf_phys *phys, struct hf_lock *lock)
{
	bool sleepers = hf_load_relaxed32(&lock->word) == 2;

	hf_release(phys, lock);
	for (int i = 0; sleepers && i < HANDOVER && !hf_load_relaxed32(&lock->word); i++)
		if (phys->port->pause)
			phys->port->pause(phys->host);
	hf_acquire(phys, lock);
}

/* In `state`, beside the number of readers: a writer is there, or waits for them to leave. */
#define WRITER 0x80000000u

/* One reader more, where there is no writer. */
static bool join_readers(struct hf_rwlock *rw)
{
	uint32_t seen = hf_load_relaxed32(&rw->state);

	while (!(seen & WRITER))
		if (hf_cas32(&rw->state, &seen, seen + 1))
			return true;
	return false;
}

void hf_acquire_shared(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	hf_lock_tell(phys, 1);
	if (join_readers(rw))
		return;
	/* A writer is there: queue behind it. */
	hf_acquire(phys, &rw->writers);
	hf_add32(&rw->state, 1);
	hf_release(phys, &rw->writers);
}

bool hf_try_lock_shared(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	if (!join_readers(rw))
		return false;
	hf_lock_tell(phys, 1);
	return true;
}

void hf_release_shared(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	hf_lock_tell(phys, -1);
	if (hf_sub32(&rw->state, 1) == WRITER)
		hf_wake_all(phys, &rw->state);
}

void hf_acquire_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	uint32_t readers;

	hf_lock_tell(phys, 1);
	hf_acquire(phys, &rw->writers);
	readers = hf_add32(&rw->state, WRITER);
	while (readers != WRITER) {
		hf_wait_for(phys, &rw->state, readers);
		readers = hf_add32(&rw->state, 0);
	}
}

void hf_release_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	hf_lock_tell(phys, -1);
	hf_sub32(&rw->state, WRITER);
	hf_release(phys, &rw->writers);
}
