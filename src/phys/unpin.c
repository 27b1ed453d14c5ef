/* SPDX-License-Identifier: MIT */
/* Giving pins back: all of a list, or none. */
#include "unpin.h"

#include "../lib/lock.h"
#include "count.h"
#include "frame.h"

#include <holdfast/pin.h>

/* See hf_pin_claim_locked. */
enum unpin_step {
	CLAIM,
	UNCLAIM,
	GIVE
};

HF_HOLDS(phys)
static uint32_t do_step(struct hf_phys *phys, enum unpin_step step, hf_pfn pfn, uint64_t count,
			uint32_t *work)
{
	if (step == CLAIM)
		return hf_pin_claim_locked(phys, pfn, count, work);
	if (step == UNCLAIM)
		return hf_pin_unclaim_locked(phys, pfn, count, work);
	return hf_pin_give_locked(phys, pfn, count, work);
}

/*
 * Do it to the first `most` frames of the list, up to what is refused. Returns how many frames it
 * was done to. Others may have phys->lock between batches.
 */
HF_HOLDS(phys)
static uint64_t for_frames(struct hf_phys *phys, const struct hf_span *spans, uint64_t most,
			   enum unpin_step step)
{
	uint64_t done = 0, left;
	uint32_t batch = 0, n;

	for (const struct hf_span *s = spans; done < most; s++) {
		hf_pfn pfn = hf_span_frame(s);

		left = hf_span_frames(s);
		if (left > most - done)
			left = most - done;
		for (; left; left -= n, done += n, pfn.v += n) {
			n = do_step(phys, step, pfn, left, &batch);
			if (!n)
				return done;
			hf_phys_batch(phys, &batch, n);
		}
	}
	return done;
}

enum hf_status hf_spans_unpin(struct hf_phys *phys, const struct hf_span *spans, size_t count)
{
	uint64_t all = 0, claimed;

	for (size_t i = 0; i < count; i++)
		all += hf_span_frames(&spans[i]);
	hf_acquire(phys, &phys->unpin_lock);
	hf_phys_lock(phys);
	claimed = for_frames(phys, spans, all, CLAIM);
	if (claimed == all)
		for_frames(phys, spans, all, GIVE);
	else
		for_frames(phys, spans, claimed, UNCLAIM);
	hf_phys_unlock(phys);
	hf_release(phys, &phys->unpin_lock);
	return claimed == all ? HF_OK : HF_ERR_NOT_PINNED;
}
