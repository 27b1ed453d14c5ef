/* SPDX-License-Identifier: MIT */
/*
 * Copies into, out of and between spaces. Writing prepares the whole range first: every
 * page present, writable, and so exclusive. Only operations with the mm lock held
 * exclusively take that away again, and reclaim, which is kept out; so the bytes can then be
 * moved without a failure. Reading brings back first what is in the swap store.
 */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/mem.h"
#include "../object/object.h"
#include "../phys/frame.h"
#include "../space/mm.h"
#include "../space/populate.h"
#include "../space/resolve.h"
#include "../space/vma.h"
#include "../space/wait.h"
#include "../table/table.h"
#include "../table/walk.h"

#include <holdfast/mm.h>

/* Table locks are held for one chunk at a time. */
#define CHUNK ((uint64_t)64 << 10)

/* Which end of a range is copied first. */
enum order {
	FORWARD,
	BACKWARD
};

/*
 * Stand at the leaf where [va, va+*len) begins (or, BACKWARD, ends), its table locked. *len is cut
 * to the bytes at that end which the leaf covers. NULL: nothing was ever written there, and they
 * read as zeros. mm lock held.
 */
HF_HOLDS_SHARED(mm)
static char *copy_chunk_at(struct hf_walk *w, struct hf_mm *mm, hf_va va, uint64_t *len,
			   enum order order)
{
	const hf_va end = va + *len;
	hf_va base, lo, hi;
	hf_pte e;

	hf_walk_to(w, mm, order == BACKWARD ? end - 1 : va);
	base = hf_level_base(w->va, w->level);
	lo = hf_max_va(va, base);
	hi = hf_min_va(end, base + hf_level_size(w->level));
	*len = hf_min_va(hi - lo, CHUNK);
	if (order == BACKWARD)
		lo = hi - *len;
	e = hf_pte_get(w->entry);
	if (hf_pte_none(e))
		return NULL;
	return (char *)hf_frame_ptr(mm->phys, hf_pte_pfn(e)) + (lo - base);
}

/*
 * A range that is made ready for a copy, in one hold of its space's lock. Where that has to
 * wait, and so to let go, it goes on from there: `at`; and then, as anything may have happened to
 * what is before, once more from the beginning.
 */
struct ready {
	struct hf_mm *mm;
	hf_va va, end, at;
	unsigned access;
};

/* Bring back what from *va on, below `end`, may be read and is in the swap store. mm lock held. */
HF_HOLDS_SHARED(mm)
static enum hf_status fetch(struct hf_mm *mm, hf_va *va, hf_va end, struct hf_wait *wait)
{
	while (*va < end) {
		struct hf_walk w;
		bool swapped;

		hf_walk_to(&w, mm, *va);
		swapped = hf_pte_swapped(hf_pte_get(w.entry));
		hf_walk_end(&w);
		if (swapped) {
			struct hf_resolution f = {
				.mm = mm, .va = *va, .access = HF_ACCESS_READ, .wait = wait
			};
			enum hf_status st = hf_resolve_begin(&f);

			if (st)
				return st;
			hf_resolve_end(&f);
		}
		*va = hf_min_va(end, hf_level_base(*va, w.level) + hf_level_size(w.level));
	}
	return HF_OK;
}

/*
 * Read [va, va+len), which allows it, to `buf`, which may be memory that the range shows. mm lock
 * held.
 */
HF_HOLDS_SHARED(mm)
static void read_range(struct hf_mm *mm, hf_va va, char *buf, uint64_t len, enum order order)
{
	while (len) {
		uint64_t n = len;
		struct hf_walk w;
		const char *from = copy_chunk_at(&w, mm, va, &n, order);
		char *to = order == BACKWARD ? buf + (len - n) : buf;

		if (from)
			memmove(to, from, n);
		else
			memset(to, 0, n);
		hf_walk_end(&w);
		len -= n;
		if (order == FORWARD) {
			va += n;
			buf += n;
		}
	}
}

/*
 * Reading what is absent gives zeros only in anonymous memory: bring in the pages of objects, which
 * stay while the mm lock is held, and what is in the swap store.
 */
HF_HOLDS_SHARED(mm)
static enum hf_status ready_to_read(struct ready *r, bool swapping, struct hf_wait *wait)
{
	const uint32_t flags = swapping ? ~0u : HF_VMA_OBJECT;
	enum hf_status st = HF_OK;
	struct hf_vma v;

	while (!st && r->at < r->end &&
	       hf_vmas_next_with(r->mm->phys, r->mm->vmas, r->at, flags, &v) && v.start < r->end) {
		hf_va end = hf_min_va(r->end, v.end);

		r->at = hf_max_va(r->at, v.start);
		if (v.object)
			st = hf_resolve_range(r->mm, &r->at, end, HF_ACCESS_READ, wait);
		else
			st = fetch(r->mm, &r->at, end, wait);
	}
	return st;
}

/* From `at` to the end. Writing wants every page present and writable. mm lock held. */
HF_HOLDS_SHARED(mm)
static inline enum hf_status ready_from(struct ready *r, bool swapping, struct hf_wait *wait)
{
	if (r->access == HF_ACCESS_READ)
		return ready_to_read(r, swapping, wait);
	return hf_resolve_range(r->mm, &r->at, r->end, HF_ACCESS_WRITE, wait);
}

/* HF_ERR_PENDING: let all locks go, wait for *wait, and call this again. mm lock held. */
HF_HOLDS_SHARED(mm)
static inline enum hf_status make_ready(struct ready *r, bool swapping, struct hf_wait *wait)
{
	const bool waited = r->at != r->va;
	enum hf_status st = hf_check_mapped(r->mm, r->va, r->end, r->access);

	if (!st)
		st = ready_from(r, swapping, wait);
	if (!st && waited) {
		r->at = r->va;
		st = ready_from(r, swapping, wait);
	}
	return st;
}

enum hf_status hf_read(struct hf_mm *mm, hf_va va, void *buf, uint64_t len)
{
	struct ready r = { mm, va, va + len, va, HF_ACCESS_READ };
	enum hf_status st = hf_check_bytes(mm, va, len);
	struct hf_wait wait = HF_WAIT_NONE;
	bool blocked;

	if (st)
		return st;
	do {
		blocked = hf_reclaim_block(mm->phys);
		hf_mm_lock_shared(mm);
		st = make_ready(&r, blocked, &wait);
		if (!st)
			read_range(mm, va, buf, len, FORWARD);
		hf_mm_unlock_shared(mm);
		hf_reclaim_unblock(mm->phys, blocked);
	} while (hf_wait(mm->phys, &wait, &st));
	return st;
}

/* Write to [va, va+len), which is ready. mm lock held. */
HF_HOLDS_SHARED(mm)
static void write_range(struct hf_mm *mm, hf_va va, const char *from, uint64_t len)
{
	while (len) {
		uint64_t n = len;
		struct hf_walk w;
		char *to = copy_chunk_at(&w, mm, va, &n, FORWARD);

		memmove(to, from, n);
		hf_walk_end(&w);
		va += n;
		from += n;
		len -= n;
	}
}

enum hf_status hf_write(struct hf_mm *mm, hf_va va, const void *buf, uint64_t len)
{
	struct ready r = { mm, va, va + len, va, HF_ACCESS_WRITE };
	enum hf_status st = hf_check_bytes(mm, va, len);
	struct hf_wait wait = HF_WAIT_NONE;
	bool blocked;

	if (st)
		return st;
	do {
		blocked = hf_reclaim_block(mm->phys);
		hf_mm_lock_shared(mm);
		st = make_ready(&r, blocked, &wait);
		if (!st)
			write_range(mm, va, buf, len);
		hf_mm_unlock_shared(mm);
		hf_reclaim_unblock(mm->phys, blocked);
	} while (hf_wait(mm->phys, &wait, &st));
	return st;
}

/* Two spaces' locks, or one; by address, so that two such copies cannot wait for each other. */
HF_TAKES_SHARED(mm)
static void lock_both(struct hf_mm *a, struct hf_mm *b)
{
	struct hf_mm *first = (uintptr_t)a < (uintptr_t)b ? a : b;

	hf_mm_lock_shared(first);
	if (a != b)
		hf_mm_lock_shared(first == a ? b : a);
}

HF_GIVES_SHARED(mm)
static void unlock_both(struct hf_mm *a, struct hf_mm *b)
{
	hf_mm_unlock_shared(a);
	if (a != b)
		hf_mm_unlock_shared(b);
}

/*
 * The object that all of [va, va+len), which is mapped, shows, from *offset on without a jump. NULL:
 * it does not. mm lock held.
 */
HF_HOLDS_SHARED(mm)
static const struct hf_object *object_shown(const struct hf_mm *mm, hf_va va, uint64_t len,
					    uint64_t *offset)
{
	struct hf_vma v, next;

	hf_vmas_next(mm->phys, mm->vmas, va, &v);
	if (!v.object)
		return NULL;
	*offset = hf_vma_offset(&v, va);
	for (; v.end < va + len; v = next) {
		hf_vmas_next(mm->phys, mm->vmas, v.end, &next);
		if (next.object != v.object || next.offset != hf_vma_offset(&v, v.end))
			return NULL;
	}
	return v.object;
}

/*
 * The order in which no byte is written before it has been read, if the two ranges show the same
 * bytes at a distance. mm locks held.
 */
HF_HOLDS_SHARED(mm)
static enum order order_of(const struct hf_mm *dst, hf_va dst_va, const struct hf_mm *src,
			   hf_va src_va, uint64_t len)
{
	uint64_t from, to;
	const struct hf_object *object = object_shown(src, src_va, len, &from);

	if (!object || object_shown(dst, dst_va, len, &to) != object)
		return FORWARD;
	return from < to && to - from < len ? BACKWARD : FORWARD;
}

/* Copy between ranges of which each allows it, and all of `dst` is there. mm locks held. */
HF_HOLDS_SHARED(mm)
static void copy_range(struct hf_mm *dst, hf_va dst_va, struct hf_mm *src, hf_va src_va,
		       uint64_t len)
{
	const enum order order = order_of(dst, dst_va, src, src_va, len);

	while (len) {
		uint64_t n = len;
		struct hf_walk w;
		char *to = copy_chunk_at(&w, dst, dst_va, &n, order);

		/* Exclusive and writable, so it stays where it is without its table's lock. */
		hf_walk_end(&w);
		len -= n;
		read_range(src, order == BACKWARD ? src_va + len : src_va, to, n, order);
		if (order == FORWARD) {
			dst_va += n;
			src_va += n;
		}
	}
}

enum hf_status hf_copy(struct hf_mm *dst, hf_va dst_va, struct hf_mm *src, hf_va src_va,
		       uint64_t len)
{
	struct ready from = { src, src_va, src_va + len, src_va, HF_ACCESS_READ };
	struct ready to = { dst, dst_va, dst_va + len, dst_va, HF_ACCESS_WRITE };
	struct hf_wait wait = HF_WAIT_NONE;
	enum hf_status st;
	bool blocked;

	if (dst->phys != src->phys)
		return HF_ERR_INVAL;
	st = hf_check_bytes(dst, dst_va, len);
	if (!st)
		st = hf_check_bytes(src, src_va, len);
	if (!st && dst == src && dst_va < src_va + len && src_va < dst_va + len)
		st = HF_ERR_OVERLAP;
	if (st)
		return st;

	do {
		blocked = hf_reclaim_block(dst->phys);
		lock_both(dst, src);
		st = make_ready(&from, blocked, &wait);
		if (!st)
			st = make_ready(&to, blocked, &wait);
		if (!st)
			copy_range(dst, dst_va, src, src_va, len);
		unlock_both(dst, src);
		hf_reclaim_unblock(dst->phys, blocked);
	} while (hf_wait(dst->phys, &wait, &st));
	return st;
}
