/* SPDX-License-Identifier: MIT */
/* Address spaces: begin, end, argument checks. */
#include "mm.h"

#include "../arch/entry.h"
#include "../lib/math.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../table/table.h"
#include "vma.h"

#include <holdfast/mm.h>

/* What Linux has if nobody says otherwise. */
#define STACK_LIMIT ((uint64_t)8 << 20)
#define STACK_GAP (256 * HF_PAGE_SIZE)

static struct hf_limits limits(const struct hf_limits *l)
{
	struct hf_limits own = *l;

	if (!own.stack)
		own.stack = STACK_LIMIT;
	if (!own.stack_gap)
		own.stack_gap = STACK_GAP;
	return own;
}

static enum hf_status check_mm_config(const struct hf_mm_config *c)
{
	const uint64_t mask = HF_PAGE_SIZE - 1;

	if (c->huge_cow != HF_HUGE_COW_WHOLE && c->huge_cow != HF_HUGE_COW_SMALL)
		return HF_ERR_INVAL;
	if ((c->va_lo | c->va_hi | c->limits.stack_gap) & mask)
		return HF_ERR_ALIGN;
	if (c->va_hi > HF_VA_END || c->va_lo >= c->va_hi)
		return HF_ERR_RANGE;
	return HF_OK;
}

enum hf_status hf_mm_create(struct hf_mm *mm, struct hf_phys *phys,
			    const struct hf_mm_config *config)
{
	struct hf_mm_config c = config ? *config : (struct hf_mm_config){ 0 };
	struct hf_reserve r = HF_RESERVE_EMPTY;
	enum hf_status st;

	if (!c.va_lo && !c.va_hi) {
		c.va_lo = (hf_va)1 << 16;
		c.va_hi = HF_VA_END;
	}
	st = check_mm_config(&c);
	if (st)
		return st;
	if (!hf_reserve_fill(phys, &r, 1))
		return HF_ERR_NOMEM;
	hf_spaces_lock_shared(phys);
	*mm = (struct hf_mm){
		.phys = phys,
		.host = c.host,
		.va_lo = c.va_lo,
		.va_hi = c.va_hi,
		.huge_cow = c.huge_cow,
		.limits = limits(&c.limits),
		.root = hf_table_new(phys, &r),
		.vmas = { HF_NIL },
	};
	hf_mm_enlist(mm);
	hf_spaces_unlock_shared(phys);
	return HF_OK;
}

enum hf_status hf_mm_set_limits(struct hf_mm *mm, const struct hf_limits *l)
{
	struct hf_vma v = { 0 };

	if (l->stack_gap & (HF_PAGE_SIZE - 1))
		return HF_ERR_ALIGN;
	hf_mm_lock_exclusive(mm);
	mm->limits = limits(l);
	mm->mapped_bytes = 0;
	while (l->va && hf_vmas_next(mm->phys, mm->vmas, v.end, &v))
		mm->mapped_bytes += v.end - v.start;
	hf_mm_unlock_exclusive(mm);
	return HF_OK;
}

void hf_mm_enlist(struct hf_mm *mm)
{
	struct hf_phys *phys = mm->phys;

	hf_phys_lock(phys);
	mm->prev = NULL;
	mm->next = phys->spaces;
	if (mm->next)
		mm->next->prev = mm;
	phys->spaces = mm;
	hf_phys_unlock(phys);
}

static void delist(struct hf_mm *mm)
{
	struct hf_phys *phys = mm->phys;

	hf_phys_lock(phys);
	if (mm->next)
		mm->next->prev = mm->prev;
	if (mm->prev)
		mm->prev->next = mm->next;
	else
		phys->spaces = mm->next;
	if (phys->hand == mm) {
		phys->hand = mm->next;
		phys->hand_va = 0;
	}
	if (phys->off == mm) {
		phys->off = mm->next;
		phys->off_va = 0;
	}
	hf_phys_unlock(phys);
}

void hf_mm_destroy(struct hf_mm *mm)
{
	struct hf_phys *phys = mm->phys;
	struct hf_object *dead = NULL;

	hf_spaces_lock_shared(phys);
	hf_mm_lock_exclusive(mm);
	hf_flush_tlb(mm, mm->va_lo, mm->va_hi - mm->va_lo, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	delist(mm);
	hf_table_put(phys, mm->root, HF_TOP_LEVEL);
	hf_vmas_drop(phys, mm->vmas, &dead);
	mm->root.v = HF_NIL;
	hf_mm_unlock_exclusive(mm);
	hf_spaces_unlock_shared(phys);
	hf_objects_end(dead);
}

enum hf_status hf_check_bytes(const struct hf_mm *mm, hf_va va, uint64_t len)
{
	if (!len)
		return HF_ERR_EMPTY;
	if (va + len < va)
		return HF_ERR_WRAP;
	if (va < mm->va_lo || va + len > mm->va_hi)
		return HF_ERR_RANGE;
	return HF_OK;
}

enum hf_status hf_check_pages(const struct hf_mm *mm, hf_va va, uint64_t *len)
{
	if (va & (HF_PAGE_SIZE - 1))
		return HF_ERR_ALIGN;
	if (*len && !hf_page_up(*len))
		return HF_ERR_WRAP;
	*len = hf_page_up(*len);
	return hf_check_bytes(mm, va, *len);
}

bool hf_vma_allows(const struct hf_vma *vma, unsigned access)
{
	if ((access & HF_ACCESS_WRITE) && !(vma->flags & HF_PROT_WRITE))
		return false;
	if ((access & HF_ACCESS_EXEC) && !(vma->flags & HF_PROT_EXEC))
		return false;
	return !access || hf_vma_prot(vma) != HF_PROT_NONE;
}

enum hf_status hf_check_mapped(const struct hf_mm *mm, hf_va lo, hf_va hi, unsigned access)
{
	bool allowed = true;
	struct hf_vma v;

	for (hf_va va = lo; va < hi; va = v.end) {
		if (!hf_vmas_next(mm->phys, mm->vmas, va, &v) || v.start > va)
			return HF_ERR_UNMAPPED;
		allowed = allowed && hf_vma_allows(&v, access);
	}
	return allowed ? HF_OK : HF_ERR_ACCESS;
}

struct hf_vma_info hf_vma_describe(const struct hf_vma *vma)
{
	return (struct hf_vma_info){
		.start = vma->start,
		.end = vma->end,
		.prot = hf_vma_prot(vma),
		.huge = vma->flags & HF_VMA_HUGE,
		.huge_1g = vma->flags & HF_VMA_HUGE_1G,
		.dontfork = vma->flags & HF_VMA_DONTFORK,
		.wipeonfork = vma->flags & HF_VMA_WIPE,
		.shared = !hf_vma_is_cow(vma),
		.locked = vma->flags & HF_VMA_LOCKED,
		.lock_on_fault = vma->flags & HF_VMA_LOCKONFAULT,
		.grows_down = vma->flags & HF_VMA_GROWSDOWN,
		.sealed = vma->flags & HF_VMA_SEALED,
		.object = vma->object,
		.offset = vma->offset,
	};
}

bool hf_any_with(const struct hf_mm *mm, hf_va lo, hf_va hi, uint32_t flags)
{
	struct hf_vma v;

	return hf_vmas_next_with(mm->phys, mm->vmas, lo, flags, &v) && v.start < hi;
}

/* Flags that say something of the space that this one comes from. */
static uint32_t hidden(const struct hf_mm *mm)
{
	return mm->locks_stale ? HF_VMA_LOCKED | HF_VMA_LOCKONFAULT : 0;
}

bool hf_mapping_next(const struct hf_mm *mm, hf_va va, struct hf_vma *out)
{
	const uint32_t hide = hidden(mm);
	struct hf_vma v;

	if (!hf_vmas_next(mm->phys, mm->vmas, va, out))
		return false;
	if (!hide || !hf_any_with(mm, mm->va_lo, mm->va_hi, hide))
		return true;
	out->flags &= ~hide;
	while (out->start > mm->va_lo && hf_vmas_next(mm->phys, mm->vmas, out->start - 1, &v)) {
		v.flags &= ~hide;
		if (!hf_vma_joins(&v, out))
			break;
		out->start = v.start;
		out->offset = v.offset;
	}
	while (hf_vmas_next(mm->phys, mm->vmas, out->end, &v)) {
		v.flags &= ~hide;
		if (!hf_vma_joins(out, &v))
			break;
		out->end = v.end;
	}
	return true;
}

enum hf_status hf_vma_next(struct hf_mm *mm, hf_va va, struct hf_vma_info *out)
{
	struct hf_vma v;
	bool found;

	hf_mm_lock_shared(mm);
	found = hf_mapping_next(mm, va, &v);
	hf_mm_unlock_shared(mm);
	if (!found)
		return HF_ERR_UNMAPPED;
	*out = hf_vma_describe(&v);
	return HF_OK;
}

bool hf_any_mlocked(const struct hf_mm *mm, hf_va lo, hf_va hi)
{
	return !mm->locks_stale && hf_any_with(mm, lo, hi, HF_VMA_LOCKED);
}

bool hf_vma_is_mlocked(const struct hf_mm *mm, const struct hf_vma *vma)
{
	return (vma->flags & HF_VMA_LOCKED) && !mm->locks_stale;
}
