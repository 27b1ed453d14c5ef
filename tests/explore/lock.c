/* SPDX-License-Identifier: MIT */
/*
 * The core's locks, each call of them one step that waits (the writer's two): instead of
 * src/lib/lock.c, whose own protocol is a scenario by itself (scenario_lock.c). Who may wait for
 * whom is the same: a reader waits for a writer that is there or waits, a writer for readers.
 */
#include "explore.h"
#include "shim.h"

#define WRITER 0x80000000u

static void hold(const void *lock, bool exclusive)
{
	struct hfx_agent *a = hfx_self;

	hfx_touch_range(lock, sizeof(struct hf_rwlock));
	if (a && a->nheld == sizeof(a->held) / sizeof(a->held[0]))
		hfx_fail("more locks at once than the explorer has room for");
	if (a)
		a->held[a->nheld++] = (struct hfx_held){ lock, exclusive };
}

static void unhold(const void *lock)
{
	struct hfx_agent *a = hfx_self;

	hfx_touch_range(lock, sizeof(struct hf_rwlock));
	for (unsigned i = a ? a->nheld : 0; i--;) {
		if (a->held[i].lock != lock)
			continue;
		for (a->nheld--; i < a->nheld; i++)
			a->held[i] = a->held[i + 1];
		return;
	}
	if (a)
		hfx_fail("%s is given back by %s, which does not hold it", hfx_name_of(lock),
			 a->name);
}

void hf_acquire(const struct hf_phys *phys, struct hf_lock *lock)
{
	(void)phys;
	hfx_drain();
	hfx_point(HFX_LOCK, lock, false);
	hfx_event(lock, true);
	hold(lock, true);
	lock->word = 1;
}

/*
 * Giving back is a step as well: who is interrupted just before it holds others up, and those that wait
 * let him go on without that this is a preemption.
 */
void hf_release(const struct hf_phys *phys, struct hf_lock *lock)
{
	(void)phys;
	hfx_drain();
	hfx_point(HFX_UNLOCK, lock, false);
	hfx_event(lock, true);
	lock->word = 0;
	unhold(lock);
}

void hf_pass_on(const struct hf_phys *phys, struct hf_lock *lock)
{
	hf_release(phys, lock);
	hf_acquire(phys, lock);
}

void hf_acquire_shared(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	hf_lock_tell(phys, 1);
	hfx_drain();
	hfx_point(HFX_SHARED, rw, false);
	hfx_event(rw, false);
	hold(rw, false);
	rw->state++;
}

bool hf_try_lock_shared(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	bool ok;

	hfx_drain();
	hfx_point(HFX_TRY, rw, false);
	hfx_event(rw, false);
	ok = !rw->writers.word;
	if (ok) {
		hf_lock_tell(phys, 1);
		hold(rw, false);
		rw->state++;
	}
	return ok;
}

void hf_release_shared(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	hf_lock_tell(phys, -1);
	hfx_drain();
	hfx_point(HFX_UNLOCK, rw, false);
	hfx_event(rw, false);
	rw->state--;
	unhold(rw);
}

void hf_acquire_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	hf_lock_tell(phys, 1);
	hfx_drain();
	hfx_point(HFX_ANNOUNCE, rw, false);
	hfx_event(rw, true);
	rw->writers.word = 1;
	rw->state |= WRITER;
	hfx_point(HFX_DRAIN, rw, false);
	hfx_event(rw, true);
	hold(rw, true);
}

void hf_release_exclusive(const struct hf_phys *phys, struct hf_rwlock *rw)
{
	hf_lock_tell(phys, -1);
	hfx_drain();
	hfx_point(HFX_UNLOCK, rw, false);
	hfx_event(rw, true);
	rw->state &= ~WRITER;
	rw->writers.word = 0;
	unhold(rw);
}

/* The prototypes are here for cores that keep these to themselves. */
void hf_wait_for(const struct hf_phys *phys, const uint32_t *word, uint32_t value);
void hf_wake_all(const struct hf_phys *phys, const uint32_t *word);

void hf_wait_for(const struct hf_phys *phys, const uint32_t *word, uint32_t value)
{
	phys->port->wait(phys->host, word, value);
}

void hf_wake_all(const struct hf_phys *phys, const uint32_t *word)
{
	phys->port->wake(phys->host, word);
}
