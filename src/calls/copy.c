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

/* Bring back what of [va, va+len), which may be read, is in the swap store. mm lock held. */
HF_HOLDS_SHARED(mm)
static enum hf_status fetch(struct hf_mm *mm, hf_va va, uint64_t len)
{
	const hf_va end = va + len;

	while (va < end) {
		struct hf_walk w;
		bool swapped;

		hf_walk_to(&w, mm, va);
		swapped = hf_pte_swapped(hf_pte_get(w.entry));
		hf_walk_end(&w);
		if (swapped) {
			struct hf_resolution f = { .mm = mm, .va = va, .access = HF_ACCESS_READ };
			enum hf_status st = hf_resolve_begin(&f);

			if (st)
				return st;
			hf_resolve_end(&f);
		}
		va = hf_level_base(va, w.level) + hf_level_size(w.level);
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
 * Reading what is absent gives zeros only in anonymous memory: bring in the pages of objects. They
 * stay while the mm lock is held.
 */
HF_HOLDS_SHARED(mm)
static enum hf_status prepare_read(struct hf_mm *mm, hf_va va, uint64_t len)
{
	enum hf_status st = hf_check_mapped(mm, va, va + len, HF_ACCESS_READ);
	struct hf_vma v = { .end = va };

	while (!st && hf_vmas_next_with(mm->phys, mm->vmas, v.end, HF_VMA_OBJECT, &v) &&
	       v.start < va + len)
		st = hf_resolve_range(mm, hf_max_va(va, v.start), hf_min_va(va + len, v.end),
				      HF_ACCESS_READ);
	return st;
}

enum hf_status hf_read(struct hf_mm *mm, hf_va va, void *buf, uint64_t len)
{
	enum hf_status st = hf_check_bytes(mm, va, len);
	bool blocked;

	if (st)
		return st;
	blocked = hf_reclaim_block(mm->phys);
	hf_mm_lock_shared(mm);
	st = prepare_read(mm, va, len);
	if (!st && blocked)
		st = fetch(mm, va, len);
	if (!st)
		read_range(mm, va, buf, len, FORWARD);
	hf_mm_unlock_shared(mm);
	hf_reclaim_unblock(mm->phys, blocked);
	return st;
}

/* Make [va, va+len) present and writable, or find why not. mm lock held. */
HF_HOLDS_SHARED(mm)
static enum hf_status prepare_copy(struct hf_mm *mm, hf_va va, uint64_t len)
{
	enum hf_status st = hf_check_mapped(mm, va, va + len, HF_ACCESS_WRITE);

	return st ? st : hf_resolve_range(mm, va, va + len, HF_ACCESS_WRITE);
}

enum hf_status hf_write(struct hf_mm *mm, hf_va va, const void *buf, uint64_t len)
{
	enum hf_status st = hf_check_bytes(mm, va, len);
	const char *from = buf;
	bool blocked;

	if (st)
		return st;
	blocked = hf_reclaim_block(mm->phys);
	hf_mm_lock_shared(mm);
	st = prepare_copy(mm, va, len);
	while (len && !st) {
		uint64_t n = len;
		struct hf_walk w;
		char *to = copy_chunk_at(&w, mm, va, &n, FORWARD);

		memmove(to, from, n);
		hf_walk_end(&w);
		va += n;
		from += n;
		len -= n;
	}
	hf_mm_unlock_shared(mm);
	hf_reclaim_unblock(mm->phys, blocked);
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

	blocked = hf_reclaim_block(dst->phys);
	lock_both(dst, src);
	st = prepare_read(src, src_va, len);
	if (!st && blocked)
		st = fetch(src, src_va, len);
	if (!st)
		st = prepare_copy(dst, dst_va, len);
	if (!st)
		copy_range(dst, dst_va, src, src_va, len);
	unlock_both(dst, src);
	hf_reclaim_unblock(dst->phys, blocked);
	return st;
}
