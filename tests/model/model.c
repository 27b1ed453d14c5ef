/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#define PAGE HF_PAGE_SIZE
#define PMD_SIZE ((uint64_t)2 << 20)
#define PUD_SIZE ((uint64_t)1 << 30)

static uint64_t page_up(uint64_t len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

void model_init(struct model *model, hf_va lo, hf_va hi)
{
	model->lo = lo;
	model->hi = hi;
	model->count = (hi - lo) / PAGE;
	model->slots = calloc(model->count, sizeof(*model->slots));
}

void model_page_drop(struct model_page *page)
{
	if (page && --page->refs == 0)
		free(page);
}

static struct model_page *page_new(void)
{
	struct model_page *page = calloc(1, sizeof(*page));

	page->refs = 1;
	return page;
}

void model_fini(struct model *model)
{
	for (size_t i = 0; i < model->count; i++)
		model_page_drop(model->slots[i].page);
	free(model->slots);
}

void model_fork(struct model *child, const struct model *parent)
{
	model_init(child, parent->lo, parent->hi);
	for (size_t i = 0; i < parent->count; i++) {
		const struct model_slot *from = &parent->slots[i];
		struct model_slot *to = &child->slots[i];

		if (!from->mapped || (from->flags & MODEL_DONTFORK))
			continue;
		*to = *from;
		to->page = NULL;
		if (!from->page || (from->flags & MODEL_WIPEONFORK))
			continue;
		to->page = page_new();
		memcpy(to->page->bytes, from->page->bytes, PAGE);
	}
}

/* Predictions */

enum hf_status model_check_range(const struct model *model, hf_va va, uint64_t len, bool aligned)
{
	if (aligned && va % PAGE)
		return HF_ERR_ALIGN;
	if (!len)
		return HF_ERR_EMPTY;
	if (aligned && page_up(len) < len)
		return HF_ERR_WRAP;
	if (aligned)
		len = page_up(len);
	if (va + len < va)
		return HF_ERR_WRAP;
	if (va < model->lo || va + len > model->hi)
		return HF_ERR_RANGE;
	return HF_OK;
}

static bool allows(unsigned prot, unsigned access)
{
	switch (access) {
	case HF_ACCESS_READ: /* writable or executable memory is readable */
		return prot != HF_PROT_NONE;
	case HF_ACCESS_WRITE:
		return prot & HF_PROT_WRITE;
	default:
		return prot & HF_PROT_EXEC;
	}
}

enum hf_status model_first_fault(const struct model *model, hf_va va, uint64_t len, unsigned access)
{
	for (hf_va at = va & ~(PAGE - 1); at < va + len; at += PAGE) {
		const struct model_slot *slot = model_slot(model, at);

		if (!slot->mapped)
			return HF_ERR_UNMAPPED;
		if (!allows(slot->prot, access))
			return HF_ERR_ACCESS;
	}
	return HF_OK;
}

enum hf_status model_check_mapped(const struct model *model, hf_va va, uint64_t len)
{
	for (hf_va at = va & ~(PAGE - 1); at < va + len; at += PAGE) {
		if (!model_slot(model, at)->mapped)
			return HF_ERR_UNMAPPED;
	}
	return HF_OK;
}

enum hf_status model_check_access(const struct model *model, hf_va va, uint64_t len,
				  unsigned access)
{
	enum hf_status status = model_check_mapped(model, va, len);

	return status ? status : model_first_fault(model, va, len, access);
}

static bool is_free(const struct model *model, hf_va va, uint64_t len)
{
	if (va < model->lo || va > model->hi || len > model->hi - va)
		return false;
	for (hf_va at = va; at < va + len; at += PAGE) {
		if (model_slot(model, at)->mapped)
			return false;
	}
	return true;
}

/* The highest free place that is a multiple of `align`; 0: none. */
static hf_va highest_free(const struct model *model, uint64_t len, uint64_t align)
{
	uint64_t run = 0; /* free bytes from `at` upwards */

	for (hf_va at = model->hi; at > model->lo;) {
		at -= PAGE;
		run = model_slot(model, at)->mapped ? 0 : run + PAGE;
		if (run >= len && at % align == 0)
			return at;
	}
	return 0;
}

static hf_va place(const struct model *model, hf_va hint, uint64_t len)
{
	hf_va va = 0;

	hint &= ~(PAGE - 1);
	if (hint && is_free(model, hint, len))
		return hint;
	if (len >= PUD_SIZE)
		va = highest_free(model, len, PUD_SIZE);
	if (!va && len >= PMD_SIZE)
		va = highest_free(model, len, PMD_SIZE);
	return va ? va : highest_free(model, len, PAGE);
}

enum hf_status model_check_mmap(const struct model *model, hf_va *va, uint64_t len, unsigned prot,
				unsigned flags)
{
	const unsigned both = HF_MAP_FIXED | HF_MAP_FIXED_NOREPLACE;
	enum hf_status status;

	if (prot & ~(unsigned)(HF_PROT_READ | HF_PROT_WRITE | HF_PROT_EXEC))
		return HF_ERR_FLAGS;
	if ((flags & ~both) || flags == both)
		return HF_ERR_FLAGS;
	if (flags) {
		status = model_check_range(model, *va, len, true);
		if (!status && flags == HF_MAP_FIXED_NOREPLACE &&
		    !is_free(model, *va, page_up(len)))
			status = HF_ERR_EXIST;
		return status;
	}
	if (!len)
		return HF_ERR_EMPTY;
	if (page_up(len) < len)
		return HF_ERR_WRAP;
	*va = place(model, *va, page_up(len));
	return *va ? HF_OK : HF_ERR_NOSPACE;
}

/* Effects */

void model_munmap(struct model *model, hf_va va, uint64_t len)
{
	for (hf_va at = va; at < va + len; at += PAGE) {
		struct model_slot *slot = model_slot(model, at);

		model_page_drop(slot->page);
		*slot = (struct model_slot){ 0 };
	}
}

void model_mmap(struct model *model, hf_va va, uint64_t len, unsigned prot)
{
	model_munmap(model, va, len);
	for (hf_va at = va; at < va + len; at += PAGE)
		*model_slot(model, at) =
			(struct model_slot){ .mapped = true, .prot = (uint8_t)prot };
}

void model_mprotect(struct model *model, hf_va va, uint64_t len, unsigned prot)
{
	for (hf_va at = va; at < va + len; at += PAGE)
		model_slot(model, at)->prot = (uint8_t)prot;
}

static void advise_slot(struct model_slot *slot, enum hf_advice advice)
{
	switch (advice) {
	case HF_ADV_DONTNEED:
		model_page_drop(slot->page);
		slot->page = NULL;
		break;
	case HF_ADV_HUGEPAGE:
		slot->flags = (uint8_t)((slot->flags & ~MODEL_HUGE_1G) | MODEL_HUGE);
		break;
	case HF_ADV_HUGEPAGE_1G:
		slot->flags |= MODEL_HUGE | MODEL_HUGE_1G;
		break;
	case HF_ADV_NOHUGEPAGE:
		slot->flags &= (uint8_t) ~(MODEL_HUGE | MODEL_HUGE_1G);
		break;
	case HF_ADV_DONTFORK:
		slot->flags |= MODEL_DONTFORK;
		break;
	case HF_ADV_DOFORK:
		slot->flags &= (uint8_t)~MODEL_DONTFORK;
		break;
	case HF_ADV_WIPEONFORK:
		slot->flags |= MODEL_WIPEONFORK;
		break;
	case HF_ADV_KEEPONFORK:
		slot->flags &= (uint8_t)~MODEL_WIPEONFORK;
		break;
	case HF_ADV_POPULATE_READ:
	case HF_ADV_POPULATE_WRITE:
		break; /* no access can tell */
	}
}

void model_advise(struct model *model, hf_va va, uint64_t len, enum hf_advice advice)
{
	for (hf_va at = va; at < va + len; at += PAGE)
		advise_slot(model_slot(model, at), advice);
}

/* Bytes from va to the end of its page or of the range. */
static uint64_t piece(hf_va va, uint64_t len)
{
	uint64_t rest = PAGE - va % PAGE;

	return len < rest ? len : rest;
}

void model_read(const struct model *model, hf_va va, void *buf, uint64_t len)
{
	uint8_t *to = buf;

	while (len) {
		uint64_t n = piece(va, len);
		const struct model_page *page = model_slot(model, va)->page;

		if (page)
			memcpy(to, page->bytes + va % PAGE, n);
		else
			memset(to, 0, n);
		va += n;
		to += n;
		len -= n;
	}
}

void model_write(struct model *model, hf_va va, const void *buf, uint64_t len)
{
	const uint8_t *from = buf;

	while (len) {
		uint64_t n = piece(va, len);
		struct model_slot *slot = model_slot(model, va);

		if (!slot->page)
			slot->page = page_new();
		memcpy(slot->page->bytes + va % PAGE, from, n);
		va += n;
		from += n;
		len -= n;
	}
}

struct model_page *model_page_hold(struct model *model, hf_va va)
{
	struct model_slot *slot = model_slot(model, va);

	if (!slot->page)
		slot->page = page_new();
	slot->page->refs++;
	return slot->page;
}

static bool alike(const struct model_slot *a, const struct model_slot *b)
{
	return a->mapped == b->mapped && a->prot == b->prot && a->flags == b->flags;
}

bool model_vma_next(const struct model *model, hf_va va, struct hf_vma_info *out)
{
	size_t i = va < model->lo ? 0 : (va - model->lo) / PAGE, start;

	while (i < model->count && !model->slots[i].mapped)
		i++;
	if (i >= model->count)
		return false;
	for (start = i; start > 0 && alike(&model->slots[start - 1], &model->slots[i]);)
		start--;
	for (; i < model->count && alike(&model->slots[start], &model->slots[i]);)
		i++;
	*out = (struct hf_vma_info){
		.start = model->lo + start * PAGE,
		.end = model->lo + i * PAGE,
		.prot = model->slots[start].prot,
		.huge = model->slots[start].flags & MODEL_HUGE,
		.huge_1g = model->slots[start].flags & MODEL_HUGE_1G,
		.dontfork = model->slots[start].flags & MODEL_DONTFORK,
		.wipeonfork = model->slots[start].flags & MODEL_WIPEONFORK,
	};
	return true;
}
