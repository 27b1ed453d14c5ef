/* SPDX-License-Identifier: MIT */
#include "writers.h"

#include "host.h"
#include "timeline.h"

/* Between two writes to the field: copying 2 MiB for each takes no more than a third of it. */
#define FIELD_PAUSE_US 500

static void stamp(char *base, size_t page, uint64_t seq)
{
	atomic_store_explicit(&layout_stamp(base, page)->seq, seq, memory_order_release);
}

static uint64_t stamped(char *base, size_t page)
{
	return atomic_load_explicit(&layout_stamp(base, page)->seq, memory_order_relaxed);
}

/* As fast as it can: the less time between two writes, the easier a snapshot is torn. */
static void *write_pairs(void *arg)
{
	struct writers *w = arg;

	timeline_thread(TIMELINE_PAIRS);
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		w->laps++;
		for (size_t k = 0; k < 2 * PAIRS; k++)
			stamp(w->base, layout_pair_page(w->layout, k), w->laps);
	}
	return NULL;
}

static void *write_field(void *arg)
{
	struct writers *w = arg;
	uint64_t n = atomic_load(&w->field_writes);

	timeline_thread(TIMELINE_FIELD);
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		if (n < atomic_load(&w->field_limit)) {
			n++;
			stamp(w->base, layout_field_page(w->layout, n), n);
			atomic_store(&w->field_writes, n);
		}
		host_sleep_us(FIELD_PAUSE_US);
	}
	return NULL;
}

bool writers_start(struct writers *w)
{
	atomic_store(&w->stop, false);
	if (pthread_create(&w->pair_thread, NULL, write_pairs, w) != 0)
		return false;
	if (pthread_create(&w->field_thread, NULL, write_field, w) == 0)
		return true;
	atomic_store(&w->stop, true);
	pthread_join(w->pair_thread, NULL);
	return false;
}

void writers_go_on(struct writers *w)
{
	atomic_store(&w->field_limit, atomic_load(&w->field_writes) + FIELD_BURST);
}

void writers_stop(struct writers *w)
{
	atomic_store(&w->stop, true);
	pthread_join(w->pair_thread, NULL);
	pthread_join(w->field_thread, NULL);
}

/*
 * A lap writes its number to A0, B0, A1, B1 and so on. So at any instant, in that order, the
 * numbers fall at most once, and by one.
 */
bool writers_pairs_torn(const struct layout *layout, char *base)
{
	uint64_t first = stamped(base, layout_pair_page(layout, 0));
	uint64_t last = first;

	for (size_t k = 1; k < 2 * PAIRS; k++) {
		uint64_t seq = stamped(base, layout_pair_page(layout, k));

		if (seq > last || seq + 1 < first)
			return true;
		last = seq;
	}
	return false;
}

/*
 * Write n is seen if its page holds n or a later number. Going back from the writes that had not
 * begun, of which none may be seen, once one is seen all before it must be, and so must those
 * that were done before the fork.
 */
bool writers_field_torn(const struct layout *layout, char *base, uint64_t before, uint64_t after)
{
	uint64_t newest = after + 1; /* it may have begun and not been counted yet */
	uint64_t oldest = before > FIELD_DEPTH ? before - FIELD_DEPTH : 0;
	bool seen = false;

	for (uint64_t n = newest + FIELD_DEPTH; n > oldest; n--) {
		uint64_t seq = stamped(base, layout_field_page(layout, n));

		if (seq > newest || (seq < n && (seen || n <= before)))
			return true;
		seen = seen || seq >= n;
	}
	return false;
}
