/* SPDX-License-Identifier: MIT */
/*
 * Locks: memory that is never paged out.
 *
 * A lock is a flag of the mapping. A child's tree of mappings is its parent's, flags and all, and
 * does not inherit the locks: the child's mm->locks_stale says that the flags are not its
 * own. Its first lock clears them.
 */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../space/edit.h"
#include "../space/fill.h"
#include "../space/mm.h"
#include "../space/populate.h"
#include "../space/vma.h"
#include "../space/wait.h"

#include <holdfast/mm.h>

#define LOCKS (uint32_t)(HF_VMA_LOCKED | HF_VMA_LOCKONFAULT)

/*
 * The same for what is about to be locked, from *at on, before anybody is kept waiting for it.
 * HF_ERR_PENDING: *at is what `wait` has to wait for.
 */
HF_HOLDS_SHARED(mm)
static enum hf_status prepare_lock(struct hf_mm *mm, hf_va *at, hf_va hi, uint32_t locks,
				   struct hf_wait *wait)
{
	const hf_va lo = *at;
	struct hf_vma v = { .end = lo };
	enum hf_status st = HF_OK;

	while (!st && hf_vmas_next(mm->phys, mm->vmas, v.end, &v) && v.start < hi) {
		struct hf_vma part = hf_vma_part(&v, lo, hi);

		part.flags |= locks;
		st = hf_lock_mapping(mm, &part, at, wait);
	}
	return st;
}

/* Every mapping in [lo, hi) gets these locks and no other. Only the tree is changed. */
HF_HOLDS(mm)
static enum hf_status set_locks(struct hf_edit *e, hf_va lo, hf_va hi, uint32_t locks)
{
	struct hf_mm *mm = e->mm;
	enum hf_status st = hf_edit_own_locks(e);
	hf_va va = lo;
	struct hf_vma v;

	while (!st && va < hi && hf_vmas_next(mm->phys, mm->vmas, va, &v) && v.start < hi) {
		struct hf_vma part = hf_vma_part(&v, va, hi);

		part.flags = (v.flags & ~LOCKS) | locks;
		if (part.flags != v.flags)
			st = hf_vmas_set(mm->phys, &mm->vmas, &part);
		va = part.end;
	}
	return st ? st : hf_edit_count(e, lo, hi);
}

/* Lock or unlock what is mapped in [lo, hi), once. `whole`: there must be no hole. */
static enum hf_status try_locks(struct hf_mm *mm, hf_va lo, hf_va hi, uint32_t locks, bool whole,
				hf_va *at, struct hf_wait *wait)
{
	struct hf_edit e = hf_edit_begin(mm);
	enum hf_status st = whole ? hf_check_mapped(mm, lo, hi, 0) : HF_OK;

	if (!locks && mm->locks_stale)
		return hf_edit_end(&e, st); /* there are none */
	if (!st)
		st = set_locks(&e, lo, hi, locks);
	if (!st && locks)
		st = hf_lock_pages(mm, lo, hi, at, wait);
	if (!st && hf_edit_changed(&e))
		st = hf_edit_cut(&e, lo, hi, false);
	st = hf_edit_end(&e, st);
	if (!st && locks) {
		hf_mm_lock_shared(mm);
		hf_fill_range(mm, lo, hi);
		hf_mm_unlock_shared(mm);
	}
	return st;
}

/* The same, and wait for pagers. What lies below `at` has been waited for already. */
static enum hf_status change_locks(struct hf_mm *mm, hf_va lo, hf_va hi, uint32_t locks, bool whole,
				   hf_va at)
{
	struct hf_wait wait = HF_WAIT_NONE;
	enum hf_status st;

	do
		st = try_locks(mm, lo, hi, locks, whole, &at, &wait);
	while (hf_lock_wait(mm->phys, &wait, &at, &st));
	return st;
}

/* Where locks would go beyond the limit, nothing is made present for them. mm lock held. */
static enum hf_status check_limit(const struct hf_mm *mm, hf_va lo, hf_va hi)
{
	uint64_t locked = mm->locked_bytes;
	struct hf_vma v = { .end = lo };

	while (hf_vmas_next(mm->phys, mm->vmas, v.end, &v) && v.start < hi)
		if (mm->locks_stale || !(v.flags & HF_VMA_LOCKED))
			locked += hf_min_va(v.end, hi) - hf_max_va(v.start, lo);
	return mm->limits.lock && locked > mm->locked_bytes && locked > mm->limits.lock
		       ? HF_ERR_LIMIT
		       : HF_OK;
}

static enum hf_status lock(struct hf_mm *mm, hf_va lo, hf_va hi, unsigned flags, bool whole)
{
	uint32_t locks = HF_VMA_LOCKED;
	struct hf_wait wait = HF_WAIT_NONE;
	enum hf_status st;
	hf_va at = lo;

	if (flags & ~(unsigned)HF_MLOCK_ONFAULT)
		return HF_ERR_FLAGS;
	if (flags)
		locks |= HF_VMA_LOCKONFAULT;
	do {
		hf_mm_lock_shared(mm);
		st = whole ? hf_check_mapped(mm, lo, hi, 0) : HF_OK;
		if (!st)
			st = check_limit(mm, lo, hi);
		if (!st)
			st = prepare_lock(mm, &at, hi, locks, &wait);
		hf_mm_unlock_shared(mm);
	} while (hf_lock_wait(mm->phys, &wait, &at, &st));
	return st ? st : change_locks(mm, lo, hi, locks, whole, at);
}

/* Widen [*va, *va + *len) to whole pages. */
static enum hf_status widen(const struct hf_mm *mm, hf_va *va, uint64_t *len)
{
	uint64_t within = *va & (HF_PAGE_SIZE - 1);

	if (!*len)
		return HF_ERR_EMPTY;
	if (*len + within < *len)
		return HF_ERR_WRAP;
	*va -= within;
	*len += within;
	return hf_check_pages(mm, *va, len);
}

enum hf_status hf_mlock(struct hf_mm *mm, hf_va va, uint64_t len, unsigned flags)
{
	enum hf_status st = flags & ~(unsigned)HF_MLOCK_ONFAULT ? HF_ERR_FLAGS : HF_OK;

	if (!st)
		st = widen(mm, &va, &len);
	return st ? st : lock(mm, va, va + len, flags, true);
}

enum hf_status hf_munlock(struct hf_mm *mm, hf_va va, uint64_t len)
{
	enum hf_status st = widen(mm, &va, &len);

	return st ? st : change_locks(mm, va, va + len, 0, true, va);
}

enum hf_status hf_mlock_all(struct hf_mm *mm, unsigned flags)
{
	return lock(mm, mm->va_lo, mm->va_hi, flags, false);
}

enum hf_status hf_munlock_all(struct hf_mm *mm)
{
	return change_locks(mm, mm->va_lo, mm->va_hi, 0, false, mm->va_lo);
}

enum hf_status hf_lock_future(struct hf_mm *mm, enum hf_lock_policy how)
{
	enum hf_status st;
	struct hf_edit e;

	if (how < HF_LOCK_FUTURE_OFF || how > HF_LOCK_FUTURE_ONFAULT)
		return HF_ERR_INVAL;
	e = hf_edit_begin(mm);
	st = how ? hf_edit_own_locks(&e) : HF_OK;
	if (!st)
		mm->lock_future = how;
	return hf_edit_end(&e, st);
}
