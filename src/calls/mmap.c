/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect, mseal. */
#include "../lib/math.h"
#include "../object/object.h"
#include "../space/edit.h"
#include "../space/mm.h"
#include "../space/range.h"
#include "../space/vma.h"

#include <holdfast/mm.h>
#include <holdfast/object.h>

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

#define FIXED (unsigned)(HF_MAP_FIXED | HF_MAP_FIXED_NOREPLACE)
#define KINDS (unsigned)(HF_MAP_SHARED | HF_MAP_PRIVATE)

static bool flags_known(unsigned prot, unsigned flags)
{
	const unsigned all = FIXED | KINDS | HF_MAP_GROWSDOWN;

	return !(prot & ~(unsigned)HF_VMA_PROT) && !(flags & ~all) && (flags & FIXED) != FIXED &&
	       (flags & KINDS) != KINDS && !((flags & HF_MAP_GROWSDOWN) && (flags & HF_MAP_SHARED));
}

/* Map `len` bytes, whole pages, of the object and at the offset that `like` says. */
static enum hf_status map(struct hf_mm *mm, hf_va *addr, uint64_t len, unsigned fixed,
			  const struct hf_vma *like)
{
	struct hf_edit e = hf_edit_begin(mm);
	enum hf_status st = HF_OK;
	struct hf_vma vma = *like;
	hf_va va = *addr;

	vma.flags |= hf_future_locks(mm);
	if (!fixed)
		st = hf_find_gap(mm, va, vma.offset, len, vma.flags & HF_VMA_GROWSDOWN, &va);
	else if (fixed == HF_MAP_FIXED_NOREPLACE && hf_occupied(mm, va, va + len))
		st = HF_ERR_EXIST;
	vma.start = va;
	vma.end = va + len;
	if (!st)
		st = hf_edit_map(&e, &vma);
	st = hf_edit_end(&e, st);
	if (!st)
		*addr = va;
	return st;
}

enum hf_status hf_mmap(struct hf_mm *mm, hf_va *addr, uint64_t len, unsigned prot, unsigned flags)
{
	struct hf_vma like = { .flags = prot };
	enum hf_status st = HF_OK;

	if (!flags_known(prot, flags))
		return HF_ERR_FLAGS;
	if (flags & HF_MAP_GROWSDOWN)
		like.flags |= HF_VMA_GROWSDOWN;
	st = check_place(mm, *addr, &len, flags & FIXED);
	if (!st && (flags & HF_MAP_SHARED)) {
		struct hf_object_config config = { .size = len };

		like.flags |= HF_VMA_OBJECT | HF_VMA_SHARED;
		/* No space is so large that its mapping could reach what no object reaches. */
		st = len > mm->va_hi - mm->va_lo
			     ? HF_ERR_NOSPACE
			     : hf_object_create(mm->phys, &config, &like.object);
	}
	if (st)
		return st;
	st = map(mm, addr, len, flags & FIXED, &like);
	if (like.object)
		hf_object_put(like.object);
	return st;
}

enum hf_status hf_mmap_object(struct hf_mm *mm, hf_va *addr, uint64_t len, unsigned prot,
			      unsigned flags, struct hf_object *object, uint64_t offset)
{
	struct hf_vma like = { .flags = prot | HF_VMA_OBJECT, .object = object, .offset = offset };
	enum hf_status st;

	if (object->phys != mm->phys)
		return HF_ERR_INVAL;
	if (!flags_known(prot, flags) || !(flags & KINDS) || (flags & HF_MAP_GROWSDOWN))
		return HF_ERR_FLAGS;
	if (offset & (HF_PAGE_SIZE - 1))
		return HF_ERR_ALIGN;
	st = check_place(mm, *addr, &len, flags & FIXED);
	if (st)
		return st;
	if (offset + len < offset)
		return HF_ERR_WRAP;
	if (offset + len > hf_object_max())
		return HF_ERR_RANGE;
	if (flags & HF_MAP_SHARED)
		like.flags |= HF_VMA_SHARED;
	return map(mm, addr, len, flags & FIXED, &like);
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
	if (!st && hf_any_with(mm, va, va + len, HF_VMA_SEALED))
		st = HF_ERR_SEALED;
	if (!st && hf_edit_changed(&e))
		st = hf_edit_cut(&e, va, va + len, true);
	if (!st && hf_edit_changed(&e))
		hf_protect(mm, va, va + len, prot);
	return hf_edit_end(&e, st);
}

enum hf_status hf_mseal(struct hf_mm *mm, hf_va va, uint64_t len)
{
	enum hf_status st = hf_check_pages(mm, va, &len);
	struct hf_edit e;

	if (st)
		return st;
	e = hf_edit_begin(mm);
	st = hf_edit_flags(&e, va, va + len, ~(uint32_t)0, HF_VMA_SEALED);
	if (!st && hf_edit_changed(&e))
		st = hf_edit_cut(&e, va, va + len, false);
	return hf_edit_end(&e, st);
}
