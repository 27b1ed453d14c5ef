/* SPDX-License-Identifier: MIT */
/*
 * Changes to what is mapped: mmap, munmap, mprotect, madvise. Each is an edit:
 *   1. make the new tree of mappings beside the old one;
 *   2. reckon and set aside the tables that cutting the range's ends will take;
 *   3. cut, change the tables, and let the old tree go.
 * 1 and 2 can fail, and then the old tree is put back; cutting can fail at a count's limit
 * only, and does not show.
 */
#include "space.h"

struct edit {
	struct hf_mm *mm;
	hf_va lo, hi;
	hf_pfn old; /* the mappings as they were */
	struct hf_reserve reserve;
};

/* Takes mm's lock exclusively until the edit ends. */
static struct edit edit_begin(struct hf_mm *mm, hf_va lo, uint64_t len)
{
	hf_lock_exclusive(mm->phys, mm->lock);
	hf_vmas_get(mm->phys, mm->vmas);
	return (struct edit){ mm, lo, lo + len, mm->vmas, HF_RESERVE_EMPTY };
}

/* Cut tables and leaves at the range's ends; everywhere in it with `deep`. */
static enum hf_status edit_cut(struct edit *e, bool deep)
{
	uint64_t need = hf_isolate_need(e->mm, e->lo, e->hi, deep);

	if (!hf_reserve_fill(e->mm->phys, &e->reserve, need))
		return HF_ERR_NOMEM;
	return hf_isolate(e->mm, e->lo, e->hi, deep, &e->reserve);
}

/* The mappings are not what they were: the old root is held, so a change copies it. */
static bool changed(const struct edit *e)
{
	return e->mm->vmas.v != e->old.v;
}

/* Keep the new mappings if all went well, else the old ones. */
static enum hf_status edit_end(struct edit *e, enum hf_status st)
{
	struct hf_mm *mm = e->mm;
	hf_pfn drop = st ? mm->vmas : e->old;

	if (st)
		mm->vmas = e->old;
	hf_vmas_put(mm->phys, drop);
	hf_reserve_drain(mm->phys, &e->reserve);
	hf_unlock_exclusive(mm->phys, mm->lock);
	return st;
}

/* Something is mapped in [lo, hi). mm lock held. */
static bool occupied(const struct hf_mm *mm, hf_va lo, hf_va hi)
{
	struct hf_vma v;

	return hf_vmas_next(mm->phys, mm->vmas, lo, &v) && v.start < hi;
}

/* Some mapping is DONTFORK or WIPEONFORK: a new one beside it may be a new border. */
static bool any_special(const struct hf_mm *mm)
{
	struct hf_vma v;

	return hf_vmas_next_with(mm->phys, mm->vmas, mm->va_lo, HF_VMA_LOOK, &v);
}

/* Make [lo, hi) of the new tree one mapping with `flags`, and empty its pages. */
static enum hf_status map_range(struct edit *e, uint32_t flags)
{
	struct hf_vma vma = { e->lo, e->hi, flags };
	bool cut = occupied(e->mm, e->lo, e->hi) || any_special(e->mm);
	enum hf_status st = hf_vmas_set(e->mm->phys, &e->mm->vmas, &vma);

	if (!st && cut)
		st = edit_cut(e, false);
	if (!st && cut)
		hf_zap(e->mm, e->lo, e->hi);
	return st;
}

/* Where to map `len` bytes: at the hint if that is free, else as high as possible. mm lock held. */
static enum hf_status find_gap(const struct hf_mm *mm, hf_va hint, uint64_t len, hf_va *out)
{
	hf_va va = hint & ~(HF_PAGE_SIZE - 1);
	unsigned level = HF_LEAF_LEVELS;

	if (va && va >= mm->va_lo && va < mm->va_hi && len <= mm->va_hi - va &&
	    !occupied(mm, va, va + len)) {
		*out = va;
		return HF_OK;
	}
	while (level--)
		if (len >= hf_level_size(level) &&
		    hf_vmas_gap(mm->phys, mm->vmas, mm->va_lo, mm->va_hi, len, hf_level_size(level),
				out))
			return HF_OK;
	return HF_ERR_NOSPACE;
}

enum hf_status hf_mmap(struct hf_mm *mm, hf_va *addr, uint64_t len, unsigned prot, unsigned flags)
{
	const unsigned fixed = HF_MAP_FIXED | HF_MAP_FIXED_NOREPLACE;
	enum hf_status st = HF_OK;
	hf_va va = *addr;
	struct edit e;

	if ((prot & ~(unsigned)HF_VMA_PROT) || (flags & ~fixed) || flags == fixed)
		return HF_ERR_FLAGS;
	if (flags) {
		st = hf_check_pages(mm, va, &len);
	} else if (!len) {
		st = HF_ERR_EMPTY;
	} else {
		len = hf_page_up(len);
		st = len ? HF_OK : HF_ERR_WRAP;
	}
	if (st)
		return st;

	e = edit_begin(mm, va, len);
	if (!flags) {
		st = find_gap(mm, va, len, &va);
		e.lo = va;
		e.hi = va + len;
	} else if (flags == HF_MAP_FIXED_NOREPLACE && occupied(mm, va, va + len)) {
		st = HF_ERR_EXIST;
	}
	if (!st)
		st = map_range(&e, prot);
	st = edit_end(&e, st);
	if (!st)
		*addr = va;
	return st;
}

enum hf_status hf_munmap(struct hf_mm *mm, hf_va va, uint64_t len)
{
	enum hf_status st = hf_check_pages(mm, va, &len);
	struct edit e;

	if (st)
		return st;
	e = edit_begin(mm, va, len);
	if (occupied(mm, va, va + len)) {
		st = hf_vmas_clear(mm->phys, &mm->vmas, va, va + len);
		if (!st)
			st = edit_cut(&e, false);
		if (!st)
			hf_zap(mm, va, va + len);
	}
	return edit_end(&e, st);
}

/* Every mapping of the range, or its part in it, gets flags (flags & keep) | add. */
static enum hf_status change_flags(struct edit *e, uint32_t keep, uint32_t add)
{
	struct hf_mm *mm = e->mm;
	enum hf_status st = hf_check_mapped(mm, e->lo, e->hi, 0);
	struct hf_vma v;

	for (hf_va va = e->lo; va < e->hi && !st; va = v.end) {
		struct hf_vma part;

		hf_vmas_next(mm->phys, e->old, va, &v);
		part.start = hf_max_va(v.start, e->lo);
		part.end = hf_min_va(v.end, e->hi);
		part.flags = (v.flags & keep) | add;
		if (part.flags != v.flags)
			st = hf_vmas_set(mm->phys, &mm->vmas, &part);
	}
	return st;
}

enum hf_status hf_mprotect(struct hf_mm *mm, hf_va va, uint64_t len, unsigned prot)
{
	enum hf_status st;
	struct edit e;

	if (prot & ~(unsigned)HF_VMA_PROT)
		return HF_ERR_FLAGS;
	st = hf_check_pages(mm, va, &len);
	if (st)
		return st;
	e = edit_begin(mm, va, len);
	st = change_flags(&e, ~(uint32_t)HF_VMA_PROT, prot);
	if (!st && changed(&e))
		st = edit_cut(&e, true);
	if (!st && changed(&e))
		hf_protect(mm, va, va + len, prot);
	return edit_end(&e, st);
}

/* Drop the pages, keep the mappings. */
static enum hf_status dontneed(struct hf_mm *mm, hf_va va, uint64_t len)
{
	struct edit e = edit_begin(mm, va, len);
	enum hf_status st = hf_check_mapped(mm, va, va + len, 0);

	if (!st)
		st = edit_cut(&e, false);
	if (!st)
		hf_zap(mm, va, va + len);
	return edit_end(&e, st);
}

static enum hf_status populate(struct hf_mm *mm, hf_va va, uint64_t len, unsigned access)
{
	enum hf_status st;

	hf_lock_shared(mm->phys, mm->lock);
	st = hf_check_mapped(mm, va, va + len, access);
	if (!st)
		st = hf_fault_range(mm, va, va + len, access);
	hf_unlock_shared(mm->phys, mm->lock);
	return st;
}

/* Advice that is a flag of the mapping. */
static enum hf_status advise_flags(struct hf_mm *mm, hf_va va, uint64_t len, uint32_t clear,
				   uint32_t add)
{
	struct edit e = edit_begin(mm, va, len);
	enum hf_status st = change_flags(&e, ~clear, add);

	if (!st && changed(&e))
		st = edit_cut(&e, false);
	return edit_end(&e, st);
}

enum hf_status hf_madvise(struct hf_mm *mm, hf_va va, uint64_t len, enum hf_advice advice)
{
	static const struct {
		uint32_t clear, add;
	} flags[] = {
		[HF_ADV_HUGEPAGE] = { HF_VMA_HUGE_1G, HF_VMA_HUGE },
		[HF_ADV_HUGEPAGE_1G] = { 0, HF_VMA_HUGE | HF_VMA_HUGE_1G },
		[HF_ADV_NOHUGEPAGE] = { HF_VMA_HUGE | HF_VMA_HUGE_1G, 0 },
		[HF_ADV_DONTFORK] = { 0, HF_VMA_DONTFORK },
		[HF_ADV_DOFORK] = { HF_VMA_DONTFORK, 0 },
		[HF_ADV_WIPEONFORK] = { 0, HF_VMA_WIPE },
		[HF_ADV_KEEPONFORK] = { HF_VMA_WIPE, 0 },
	};
	enum hf_status st;

	if (advice < HF_ADV_DONTNEED || advice > HF_ADV_POPULATE_WRITE)
		return HF_ERR_INVAL;
	st = hf_check_pages(mm, va, &len);
	if (st)
		return st;
	if (advice == HF_ADV_DONTNEED)
		return dontneed(mm, va, len);
	if (advice == HF_ADV_POPULATE_READ)
		return populate(mm, va, len, HF_ACCESS_READ);
	if (advice == HF_ADV_POPULATE_WRITE)
		return populate(mm, va, len, HF_ACCESS_WRITE);
	return advise_flags(mm, va, len, flags[advice].clear, flags[advice].add);
}
