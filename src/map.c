/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect. */
#include "edit.h"

/* Check where the new mapping shall be, or only how long; *len becomes whole pages. */
static enum hf_status check_place(const struct hf_mm *mm, hf_va va, uint64_t *len, unsigned flags)
{
	if (flags)
		return hf_check_pages(mm, va, len);
	if (!*len)
		return HF_ERR_EMPTY;
	*len = hf_page_up(*len);
	return *len ? HF_OK : HF_ERR_WRAP;
}

enum hf_status hf_mmap(struct hf_mm *mm, hf_va *addr, uint64_t len, unsigned prot, unsigned flags)
{
	const unsigned fixed = HF_MAP_FIXED | HF_MAP_FIXED_NOREPLACE;
	enum hf_status st;
	hf_va va = *addr;
	struct hf_edit e;

	if ((prot & ~(unsigned)HF_VMA_PROT) || (flags & ~fixed) || flags == fixed)
		return HF_ERR_FLAGS;
	st = check_place(mm, va, &len, flags);
	if (st)
		return st;

	e = hf_edit_begin(mm);
	if (!flags)
		st = hf_find_gap(mm, va, 0, len, &va);
	else if (flags == HF_MAP_FIXED_NOREPLACE && hf_occupied(mm, va, va + len))
		st = HF_ERR_EXIST;
	if (!st)
		st = hf_edit_map(&e, &(struct hf_vma){ va, va + len, prot });
	st = hf_edit_end(&e, st);
	if (!st)
		*addr = va;
	return st;
}

enum hf_status hf_munmap(struct hf_mm *mm, hf_va va, uint64_t len)
{
	enum hf_status st = hf_check_pages(mm, va, &len);
	struct hf_edit e;

	if (st)
		return st;
	e = hf_edit_begin(mm);
	return hf_edit_end(&e, hf_edit_unmap(&e, va, va + len));
}

enum hf_status hf_mprotect(struct hf_mm *mm, hf_va va, uint64_t len, unsigned prot)
{
	enum hf_status st;
	struct hf_edit e;

	if (prot & ~(unsigned)HF_VMA_PROT)
		return HF_ERR_FLAGS;
	st = hf_check_pages(mm, va, &len);
	if (st)
		return st;
	e = hf_edit_begin(mm);
	st = hf_edit_flags(&e, va, va + len, ~(uint32_t)HF_VMA_PROT, prot);
	if (!st && hf_edit_changed(&e))
		st = hf_edit_cut(&e, va, va + len, true);
	if (!st && hf_edit_changed(&e))
		hf_protect(mm, va, va + len, prot);
	return hf_edit_end(&e, st);
}
