/* SPDX-License-Identifier: MIT */
/* Giving pins back: all of a list, or none. */
#ifndef HF_UNPIN_H
#define HF_UNPIN_H

#include "frame.h"

#include <holdfast/pin.h>

static inline hf_pfn hf_span_frame(const struct hf_span *s)
{
	return (hf_pfn){ (uint32_t)(s->pa.v >> HF_PAGE_SHIFT) };
}

/* Frames that a span touches. */
static inline uint64_t hf_span_frames(const struct hf_span *s)
{
	return ((s->pa.v + s->len - 1) >> HF_PAGE_SHIFT) - (s->pa.v >> HF_PAGE_SHIFT) + 1;
}

/*
 * One pin less on each frame that the spans touch, and what nobody holds any longer becomes free.
 * Every span is RAM, in one range, and none is empty. HF_ERR_NOT_PINNED: a frame has fewer pins
 * than the list gives back; nothing has changed.
 *
 * A page may be in the list several times, so whether the list is good is only known after its last
 * page, and until then each page must stay as pinned as it is. So pins are first *claimed*, which
 * is counted beside them and no one else looks at, and then given back.
 *
 * Takes phys->unpin_lock, so that no two lists claim at once, and then phys->lock, in batches.
 */
enum hf_status hf_spans_unpin(struct hf_phys *phys, const struct hf_span *spans, size_t count);

#endif
