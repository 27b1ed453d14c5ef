/* SPDX-License-Identifier: MIT */
/* Pins: hold pages for a device, and let them go. */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/trace.h"
#include "../phys/count.h"
#include "../phys/frame.h"
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

static hf_pfn first_frame(const struct hf_span *s)
{
	return (hf_pfn){ (uint32_t)(s->pa.v >> HF_PAGE_SHIFT) };
}

/* `next` continues the span, and in the same range of RAM: spans do not cross ranges. */
static bool span_continues(const struct list *l, const struct hf_span *s,
			   const struct hf_span *next)
{
	return s->pa.v + s->len == next->pa.v &&
	       hf_ram_of(l->phys, first_frame(s)) == hf_ram_of(l->phys, first_frame(next));
}

/* Add bytes to the list; they join the last span where they continue it. */
static bool append(struct list *l, const struct hf_span *next)
{
	struct hf_span *last = l->count ? &l->spans[l->count - 1] : NULL;

	if (last && span_continues(l, last, next)) {
		last->len += next->len;
		return true;
	}
	if (l->count == l->cap)
		return false;
	l->spans[l->count++] = *next;
	return true;
}

/* Frames that a span touches. */
static uint64_t frames(const struct hf_span *s)
{
	return ((s->pa.v + s->len - 1) >> HF_PAGE_SHIFT) - (s->pa.v >> HF_PAGE_SHIFT) + 1;
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
	hf_phys_lock(phys);
	ok = hf_pin_get_locked(phys, first_frame(&s), frames(&s));
	hf_phys_unlock(phys);
	if (!ok)
		return HF_ERR_OVERFLOW;
	if (append(l, &s))
		return HF_OK;
	hf_phys_lock(phys);
	hf_pin_put_locked(phys, first_frame(&s), frames(&s));
	hf_phys_unlock(phys);
	return HF_ERR_SPANS;
}

/* From *va on, which comes to where the next pin would be. mm lock held. */
HF_HOLDS_SHARED(mm)
static enum hf_status pin_range(struct hf_mm *mm, hf_va *va, hf_va end, unsigned access,
				struct list *l, struct hf_wait *wait)
{
	while (*va < end) {
		struct hf_resolution f = { .mm = mm, .va = *va, .access = access, .unshare = true };
		enum hf_status st = hf_resolve_begin(&f);

		if (st) {
			*wait = f.wait;
			return st;
		}
		st = pin_leaf(&f, end, l, va);
		hf_resolve_end(&f);
		if (st)
			return st;
	}
	return HF_OK;
}

/* One pin less for all of the list, or none is given back. Spans are good. Takes phys->lock. */
static enum hf_status unpin(struct hf_phys *phys, const struct hf_span *spans, size_t count)
{
	enum hf_status st = HF_OK;
	size_t done = 0;

	/*
	 * A page may be in the list twice, so only taking all counts down tells whether the
	 * list is good. Then once more, and what nobody holds any longer becomes free.
	 */
	hf_phys_lock(phys);
	while (done < count &&
	       hf_pin_put_locked(phys, first_frame(&spans[done]), frames(&spans[done])))
		done++;
	if (done < count)
		st = HF_ERR_NOT_PINNED;
	while (done--)
		hf_pin_get_locked(phys, first_frame(&spans[done]), frames(&spans[done]));
	for (size_t i = 0; i < count && !st; i++) {
		hf_pin_put_locked(phys, first_frame(&spans[i]), frames(&spans[i]));
		hf_frames_release_locked(phys, first_frame(&spans[i]), frames(&spans[i]));
	}
	hf_phys_unlock(phys);
	return st;
}

enum hf_status hf_pin(struct hf_mm *mm, hf_va va, uint64_t len, unsigned flags,
		      struct hf_span *spans, size_t cap, size_t *count)
{
	struct list l = { mm->phys, spans, cap, 0 };
	unsigned access = flags & HF_PIN_WRITE ? HF_ACCESS_WRITE : HF_ACCESS_READ;
	struct hf_wait wait;
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
		unpin(mm->phys, l.spans, l.count);
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
	ram = hf_ram_of(phys, first_frame(s));
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
		st = unpin(phys, spans, count);
	if (!st)
		HF_TRACE(phys, .what = HF_TRACE_UNPIN, .len = total(spans, count));
	return st;
}
