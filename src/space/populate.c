/* SPDX-License-Identifier: MIT */
/* Making pages present: a range of them, or what a lock wants. */
#include "populate.h"

#include "../lib/lock.h"
#include "../table/table.h"
#include "resolve.h"
#include "vma.h"

#include <holdfast/mm.h>

enum hf_status hf_resolve_range(struct hf_mm *mm, hf_va *va, hf_va hi, unsigned access,
				struct hf_wait *wait)
{
	while (*va < hi) {
		struct hf_resolution f = { .mm = mm, .va = *va, .access = access, .wait = wait };
		enum hf_status st = hf_resolve_begin(&f);

		if (st)
			return st;
		*va = hf_level_base(*va, f.walk.level) + hf_level_size(f.walk.level);
		hf_resolve_end(&f);
	}
	return HF_OK;
}

/* One page; *next is where the next one begins. */
HF_HOLDS_SHARED(mm)
static enum hf_status lock_page(struct hf_mm *mm, hf_va va, unsigned access, hf_va *next, hf_va *at,
				struct hf_wait *wait)
{
	struct hf_resolution f = { .mm = mm, .va = va, .access = access, .wait = wait };
	enum hf_status st = hf_resolve_begin(&f);

	*next = va + HF_PAGE_SIZE;
	if (st == HF_ERR_PENDING && va < *at && hf_wait_cancel(wait))
		return HF_OK;
	if (st == HF_ERR_PENDING)
		*at = va;
	if (st)
		return st == HF_ERR_BUS ? HF_OK : st;
	*next = hf_level_base(va, f.walk.level) + hf_level_size(f.walk.level);
	hf_resolve_end(&f);
	return HF_OK;
}

enum hf_status hf_lock_mapping(struct hf_mm *mm, const struct hf_vma *vma, hf_va *at,
			       struct hf_wait *wait)
{
	bool write = hf_vma_is_cow(vma) && (vma->flags & HF_PROT_WRITE);
	unsigned access = write ? HF_ACCESS_WRITE : HF_ACCESS_READ;
	enum hf_status st = HF_OK;

	if (hf_vma_prot(vma) == HF_PROT_NONE || (vma->flags & HF_VMA_LOCKONFAULT))
		return HF_OK;
	for (hf_va va = vma->start; va < vma->end && !st;)
		st = lock_page(mm, va, access, &va, at, wait);
	return st;
}

enum hf_status hf_lock_pages(struct hf_mm *mm, hf_va lo, hf_va hi, hf_va *at, struct hf_wait *wait)
{
	struct hf_vma v = { .end = lo };
	enum hf_status st = HF_OK;

	while (!st && hf_vmas_next_with(mm->phys, mm->vmas, v.end, HF_VMA_LOCKED, &v) &&
	       v.start < hi) {
		struct hf_vma part = hf_vma_part(&v, lo, hi);

		st = hf_lock_mapping(mm, &part, at, wait);
	}
	return st;
}

bool hf_lock_wait(struct hf_phys *phys, struct hf_wait *wait, hf_va *at, enum hf_status *st)
{
	bool waited = *st == HF_ERR_PENDING, again = hf_wait(phys, wait, st);

	if (!waited || *st != HF_ERR_BUS)
		return again;
	*at += HF_PAGE_SIZE;
	*st = HF_OK;
	return true;
}
