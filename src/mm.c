/* SPDX-License-Identifier: MIT */
/* Address spaces: begin, end, argument checks. */
#include "space.h"

static enum hf_status check_config(const struct hf_mm_config *c)
{
	const uint64_t mask = HF_PAGE_SIZE - 1;

	if (c->huge_cow != HF_HUGE_COW_WHOLE && c->huge_cow != HF_HUGE_COW_SMALL)
		return HF_ERR_INVAL;
	if ((c->va_lo | c->va_hi) & mask)
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
	st = check_config(&c);
	if (st)
		return st;
	if (!hf_reserve_fill(phys, &r, 1))
		return HF_ERR_NOMEM;
	hf_lock_shared(phys, phys->spaces_lock);
	*mm = (struct hf_mm){
		.phys = phys,
		.host = c.host,
		.va_lo = c.va_lo,
		.va_hi = c.va_hi,
		.huge_cow = c.huge_cow,
		.root = hf_table_new(phys, &r),
		.vmas = { HF_NIL },
		.place_pfn = { HF_NIL },
	};
	hf_mm_enlist(mm);
	hf_unlock_shared(phys, phys->spaces_lock);
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
	hf_phys_unlock(phys);
}

void hf_mm_destroy(struct hf_mm *mm)
{
	struct hf_phys *phys = mm->phys;

	hf_lock_shared(phys, phys->spaces_lock);
	hf_flush(mm, mm->va_lo, mm->va_hi - mm->va_lo, HF_FLUSH_TABLES | HF_FLUSH_LEAVES);
	delist(mm);
	hf_table_put(phys, mm->root, HF_TOP_LEVEL);
	hf_vmas_put(phys, mm->vmas);
	mm->root.v = HF_NIL;
	hf_unlock_shared(phys, phys->spaces_lock);
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
		.object = vma->object,
		.offset = vma->offset,
	};
}

enum hf_status hf_vma_next(struct hf_mm *mm, hf_va va, struct hf_vma_info *out)
{
	struct hf_vma v;
	bool found;

	hf_lock_shared(mm->phys, mm->lock);
	found = hf_vmas_next(mm->phys, mm->vmas, va, &v);
	hf_unlock_shared(mm->phys, mm->lock);
	if (!found)
		return HF_ERR_UNMAPPED;
	*out = hf_vma_describe(&v);
	return HF_OK;
}
