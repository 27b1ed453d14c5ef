/* SPDX-License-Identifier: MIT */
/* Pins: hold pages for a device, and let them go. */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/trace.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/unpin.h"
#include "../space/mm.h"
#include "../space/resolve.h"
#include "../space/wait.h"
#include "../table/walk.h"

#include <holdfast/mm.h>
#include <holdfast/pin.h>
#include <holdfast/trace.h>

/* A scatter list being made. */
struct list {
	const struct hf_phys *phys;
	struct hf_span *spans;
	size_t cap, count;
};

/* `next` continues the span, and in the same range of RAM: spans do not cross ranges. */
static bool span_continues(const struct list *l, const struct hf_span *s,
			   const struct hf_span *next)
{
	return s->pa.v + s->len == next->pa.v &&
	       hf_ram_of(l->phys, hf_span_frame(s)) == hf_ram_of(l->phys, hf_span_frame(next));
}

/* There is room for `next`. */
static bool has_room(const struct list *l, const struct hf_span *next)
{
	return l->count < l->cap || (l->count && span_continues(l, &l->spans[l->count - 1], next));
}

/* Add bytes to the list, where there is room; they join the last span where they continue it. */
static void append(struct list *l, const struct hf_span *next)
{
	struct hf_span *last = l->count ? &l->spans[l->count - 1] : NULL;

	if (last && span_continues(l, last, next))
		last->len += next->len;
	else
		l->spans[l->count++] = *next;
}

/* Pin what lies in [va, end) of the leaf that the fault stands at; *next is where it ends. */
static enum hf_status pin_leaf(const struct hf_resolution *f, hf_va end, struct list *l,
			       hf_va *next)
{
	struct hf_phys *phys = f->mm->phys;
	struct hf_translation t = hf_walk_translation(&f->walk);
	struct hf_span s;
	bool ok;

	*next = hf_min_va(end, t.va + t.len);
	s.pa.v = t.pa.v + (f->va - t.va);
	s.len = *next - f->va;
	if (!has_room(l, &s))
		return HF_ERR_SPANS;
	hf_phys_lock(phys);
	ok = hf_pin_get_locked(phys, hf_span_frame(&s), hf_span_frames(&s));
	hf_phys_unlock(phys);
	if (!ok)
		return HF_ERR_OVERFLOW;
	append(l, &s);
	return HF_OK;
}

/* From *va on, which comes to where the next pin would be. mm lock held. */
HF_HOLDS_SHARED(mm)
static enum hf_status pin_range(struct hf_mm *mm, hf_va *va, hf_va end, unsigned access,
				struct list *l, struct hf_wait *wait)
{
	while (*va < end) {
		struct hf_resolution f = {
			.mm = mm, .va = *va, .access = access, .unshare = true, .wait = wait
		};
		enum hf_status st = hf_resolve_begin(&f);

		if (st)
			return st;
		st = pin_leaf(&f, end, l, va);
		hf_resolve_end(&f);
		if (st)
			return st;
	}
	return HF_OK;
}

enum hf_status hf_pin(struct hf_mm *mm, hf_va va, uint64_t len, unsigned flags,
		      struct hf_span *spans, size_t cap, size_t *count)
{
	struct list l = { mm->phys, spans, cap, 0 };
	unsigned access = flags & HF_PIN_WRITE ? HF_ACCESS_WRITE : HF_ACCESS_READ;
	struct hf_wait wait = HF_WAIT_NONE;
	enum hf_status st;
	hf_va at = va;

	if (!flags || (flags & ~(unsigned)(HF_PIN_READ | HF_PIN_WRITE)))
		return HF_ERR_FLAGS;
	if (!cap)
		return HF_ERR_EMPTY;
	st = hf_check_bytes(mm, va, len);
	if (st)
		return st;
	do {
		hf_mm_lock_shared(mm);
		st = hf_check_mapped(mm, va, va + len, access);
		if (!st)
			st = pin_range(mm, &at, va + len, access, &l, &wait);
		hf_mm_unlock_shared(mm);
	} while (hf_wait(mm->phys, &wait, &st)); /* what is pinned stays */
	if (st) {
		hf_spans_unpin(mm->phys, l.spans, l.count);
		return st;
	}
	*count = l.count;
	HF_TRACE(mm->phys, .what = HF_TRACE_PIN, .mm = mm, .va = va, .len = len);
	return HF_OK;
}

/* Every byte of the span is RAM, in one range. */
static enum hf_status check_span(const struct hf_phys *phys, const struct hf_span *s)
{
	const struct hf_ram *ram;

	if (!s->len)
		return HF_ERR_EMPTY;
	if (s->pa.v + s->len < s->pa.v)
		return HF_ERR_WRAP;
	if (!hf_phys_ptr(phys, s->pa))
		return HF_ERR_RANGE;
	ram = hf_ram_of(phys, hf_span_frame(s));
	return s->pa.v + s->len > ram->base.v + ram->len ? HF_ERR_RANGE : HF_OK;
}

static uint64_t total(const struct hf_span *spans, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += spans[i].len;
	return bytes;
}

enum hf_status hf_unpin(struct hf_phys *phys, const struct hf_span *spans, size_t count)
{
	enum hf_status st = count ? HF_OK : HF_ERR_EMPTY;

	for (size_t i = 0; i < count && !st; i++)
		st = check_span(phys, &spans[i]);
	if (!st)
		st = hf_spans_unpin(phys, spans, count);
	if (!st)
		HF_TRACE(phys, .what = HF_TRACE_UNPIN, .len = total(spans, count));
	return st;
}
