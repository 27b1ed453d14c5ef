/* SPDX-License-Identifier: MIT */
/*
 * Memory that threads share: each access is a step, and is written down so that two schedules in
 * which the same happened before the same have the same hash. A location is 8 bytes that atomics
 * touch, a lock, a frame's contents, a CPU's caches.
 *
 * Also here: which locations threads race for, and the store buffers.
 */
#include "explore.h"
#include "shim.h"

#include <stdlib.h>
#include <string.h>

enum hfx_memory hfx_memory;

#define LOCATIONS (1u << 18)
#define LOCKSET 4

struct location {
	uintptr_t key;
	/* Of this schedule, if `epoch` is: */
	uint32_t epoch;
	unsigned readers, writers; /* threads */
	uint8_t locks;		   /* that all who came held */
	const void *lock[LOCKSET];
	uint64_t last_write, reads;
	/* Of all: */
	bool racy, known; /* at the last freeze; by now */
};

static struct location *table;
static uint32_t epoch = 1;
static bool grown;
static unsigned used;

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ b) * 0x9e3779b97f4a7c15ull;

	h ^= h >> 29;
	h = (h + b) * 0xbf58476d1ce4e5b9ull;
	return h ^ h >> 32;
}

static struct location *find(const void *at)
{
	static struct location *last; /* a step asks twice */
	uintptr_t key = (uintptr_t)at;
	size_t i;

	if (last && last->key == key)
		return last;
	i = (key * 0x9e3779b97f4a7c15ull) >> (64 - 18);

	while (table[i].key && table[i].key != key)
		i = (i + 1) % LOCATIONS;
	if (!table[i].key) {
		if (++used > LOCATIONS / 4 * 3)
			abort();
		table[i].key = key;
	}
	last = &table[i];
	return last;
}

void hfx_memory_reset(void)
{
	epoch++;
}

void hfx_memory_forget(void)
{
	if (!table)
		table = malloc(LOCATIONS * sizeof(*table));
	memset(table, 0, LOCATIONS * sizeof(*table));
	used = 0;
	grown = false;
	epoch = 1;
}

bool hfx_memory_freeze(void)
{
	bool more = grown;

	for (unsigned i = 0; i < LOCATIONS; i++)
		table[i].racy = table[i].known;
	grown = false;
	return more;
}

bool hfx_racy(const void *at)
{
	return find(at)->racy;
}

static bool holds(const void *lock, bool write)
{
	for (unsigned i = 0; i < hfx_self->nheld; i++)
		if (hfx_self->held[i].lock == lock)
			return hfx_self->held[i].exclusive || !write;
	return false;
}

static void first_access(struct location *l, bool write)
{
	l->epoch = epoch;
	l->readers = l->writers = l->locks = 0;
	l->last_write = l->reads = 0;
	for (unsigned i = hfx_self->nheld; i-- && l->locks < LOCKSET;)
		if (hfx_self->held[i].exclusive || !write)
			l->lock[l->locks++] = hfx_self->held[i].lock;
}

/*
 * Threads race for a location that two of them touch, one of them to write, and no lock is held by
 * all who do. Elsewhere nobody can come between: a preemption there is as good as one later.
 */
static void see_race(struct location *l, bool write)
{
	unsigned who = 1u << (hfx_self - hfx_agents), all;

	if (l->epoch != epoch)
		first_access(l, write);
	for (unsigned i = 0; i < l->locks;)
		if (holds(l->lock[i], write))
			i++;
		else
			l->lock[i] = l->lock[--l->locks];
	if (write)
		l->writers |= who;
	else
		l->readers |= who;
	all = l->readers | l->writers;
	if (!l->known && !l->locks && l->writers && (all & (all - 1)))
		l->known = grown = true;
}

void hfx_event(const void *at, bool write)
{
	struct location *l;
	uint64_t h;

	if (!hfx_self)
		return;
	l = find(at);
	see_race(l, write);
	h = mix(mix(hfx_self->hash, (uint64_t)l->key), l->last_write + write);
	if (write) {
		h = mix(h, l->reads);
		l->last_write = h;
		l->reads = 0;
	} else {
		l->reads += h;
	}
	hfx_self->hash = h;
}

uint64_t hfx_state_hash(void)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < hfx_count; i++)
		h ^= mix(hfx_agents[i].hash, i + 1);
	return h;
}

/* ---- Accesses ---- */

static const void *granule(const void *p)
{
	return (const void *)((uintptr_t)p & ~(uintptr_t)7);
}

static uint64_t get(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)p;
	case 4:
		return *(const uint32_t *)p;
	default:
		return *(const uint64_t *)p;
	}
}

static void put(void *p, unsigned size, uint64_t v)
{
	hfx_touch_range(p, size);
	switch (size) {
	case 1:
		*(uint8_t *)p = (uint8_t)v;
		break;
	case 4:
		*(uint32_t *)p = (uint32_t)v;
		break;
	default:
		*(uint64_t *)p = v;
	}
}

/*
 * Store buffers, as x86-TSO has them (Owens, Sarkar, Sewell 2009): a store waits in its CPU's; loads of the
 * same CPU find it there; others see it when the buffer's turn comes, oldest first; what locks memory, a
 * lock, a flush or a call of the host's, waits until it is empty. Only stores to table entries for which
 * threads race are kept: nobody could tell when another one is seen. What the core reads without atomics
 * it reads past the buffer, and what it does so it does under the lock that its stores were under.
 */
static bool buffers(const void *p, unsigned size)
{
	return hfx_memory != HFX_SC && hfx_self && size == 8 && hfx_frame_of(p) >= 0 &&
	       hfx_racy(granule(p));
}

static void commit(struct hfx_agent *of)
{
	struct hfx_buffered b = of->buffer[0];

	of->buffered--;
	memmove(of->buffer, of->buffer + 1, of->buffered * sizeof(b));
	hfx_self->hash = mix(hfx_self->hash, b.cause);
	hfx_event(b.p, true);
	put(b.p, 8, b.v);
}

void hfx_drain(void)
{
	while (hfx_self && hfx_self->buffered) {
		hfx_point(HFX_STORE, hfx_self->buffer[0].p, false);
		if (hfx_self->buffered)
			commit(hfx_self);
	}
}

void hfx_store_buffer(void)
{
	for (;;) {
		if (hfx_telling)
			hfx_tell(hfx_self, HFX_COMMIT, hfx_self->owner->buffer[0].p);
		hfx_self->points++;
		hfx_now++;
		commit(hfx_self->owner);
		hfx_yield(HFX_COMMIT);
	}
}

static const struct hfx_buffered *buffered(const void *p)
{
	for (unsigned i = hfx_self->buffered; i--;)
		if (granule(hfx_self->buffer[i].p) == granule(p))
			return &hfx_self->buffer[i];
	return NULL;
}

uint64_t hfx_load(const void *p, unsigned size)
{
	const struct hfx_buffered *b;

	if (!hfx_self)
		return get(p, size);
	hfx_point(HFX_LOAD, granule(p), false);
	b = buffered(p);
	if (b)
		return b->v;
	hfx_event(granule(p), false);
	return get(p, size);
}

/*
 * Others may come as soon as a store is seen, before what the thread does next without a step: plain
 * stores that should have come first.
 */
static void stored(const void *p)
{
	if (!hfx_self || hfx_frame_of(p) < 0)
		return;
	hfx_self->hash = mix(hfx_self->hash, 1);
	hfx_point(HFX_STORED, granule(p), false);
	hfx_self->hash =
		mix(hfx_self->hash, 2); /* no event: or the next point would seem to be this */
}

void hfx_store(void *p, unsigned size, uint64_t v, bool release)
{
	(void)release;
	if (buffers(p, size)) {
		if (hfx_self->buffered == HFX_BUFFER)
			hfx_drain();
		hfx_self->hash = mix(hfx_self->hash, (uintptr_t)p);
		hfx_self->buffer[hfx_self->buffered++] =
			(struct hfx_buffered){ p, v, hfx_self->hash };
		return;
	}
	hfx_point(HFX_STORE, granule(p), false);
	hfx_event(granule(p), true);
	put(p, size, v);
	stored(p);
}

uint64_t hfx_add(void *p, unsigned size, uint64_t n)
{
	hfx_drain();
	hfx_point(HFX_RMW, granule(p), false);
	hfx_event(granule(p), true);
	put(p, size, get(p, size) + n);
	return get(p, size);
}

uint64_t hfx_exchange(void *p, unsigned size, uint64_t v)
{
	uint64_t old;

	hfx_drain();
	hfx_point(HFX_RMW, granule(p), false);
	hfx_event(granule(p), true);
	old = get(p, size);
	put(p, size, v);
	return old;
}

bool hfx_cas(void *p, unsigned size, uint64_t *expected, uint64_t desired)
{
	uint64_t seen;
	bool same;

	hfx_drain();
	hfx_point(HFX_RMW, granule(p), false);
	seen = get(p, size);
	same = seen == *expected;
	hfx_event(granule(p), same);
	if (same) {
		put(p, size, desired);
		stored(p);
	}
	*expected = seen;
	return same;
}
