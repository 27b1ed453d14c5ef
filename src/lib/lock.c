/* SPDX-License-Identifier: MIT */
#include "lock.h"

#include "atomic.h"

#include <holdfast/phys.h>

/* Polite spins before sleeping: about the time that the short critical sections take. */
#define SPINS 64

/* Wait until *word may have changed from `value`. Holds no lock of its own. */
static void wait_for(const struct hf_phys *phys, const uint32_t *word, uint32_t value)
{
	const struct hf_port *port = phys->port;

	if (port->wait)
		port->wait(phys->host, word, value);
	else if (port->pause)
		port->pause(phys->host);
}

static void wake_all(const struct hf_phys *phys, const uint32_t *word)
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

void hf_lock_slow(const struct hf_phys *phys, uint32_t *lock)
{
	uint32_t seen = 0;

	spin(phys, lock);
	if (hf_cas32(lock, &seen, 1))
		return;
	while (hf_exchange32(lock, 2) != 0)
		wait_for(phys, lock, 2);
}

void hf_unlock_slow(const struct hf_phys *phys, uint32_t *lock)
{
	wake_all(phys, lock);
}

/* rw[0]: the number of readers, and this bit while a writer waits for them to leave. */
#define WRITER 0x80000000u

void hf_lock_shared(const struct hf_phys *phys, uint32_t rw[2])
{
	uint32_t seen = hf_load_relaxed32(&rw[0]);

	while (!(seen & WRITER))
		if (hf_cas32(&rw[0], &seen, seen + 1))
			return;
	/* A writer is there: queue behind it. */
	hf_lock(phys, &rw[1]);
	hf_add32(&rw[0], 1);
	hf_unlock(phys, &rw[1]);
}

void hf_unlock_shared(const struct hf_phys *phys, uint32_t rw[2])
{
	if (hf_sub32(&rw[0], 1) == WRITER)
		wake_all(phys, &rw[0]);
}

void hf_lock_exclusive(const struct hf_phys *phys, uint32_t rw[2])
{
	uint32_t readers;

	hf_lock(phys, &rw[1]);
	readers = hf_add32(&rw[0], WRITER);
	while (readers != WRITER) {
		wait_for(phys, &rw[0], readers);
		readers = hf_add32(&rw[0], 0);
	}
}

void hf_unlock_exclusive(const struct hf_phys *phys, uint32_t rw[2])
{
	hf_sub32(&rw[0], WRITER);
	hf_unlock(phys, &rw[1]);
}
