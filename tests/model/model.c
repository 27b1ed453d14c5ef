/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#define PMD_SIZE ((uint64_t)2 << 20)
#define PUD_SIZE ((uint64_t)1 << 30)

void model_init(struct model *model, hf_va lo, hf_va hi)
{
	*model = (struct model){ .lo = lo, .hi = hi };
	pagemap_init(&model->pages, lo / PAGE, (hi - lo) / PAGE);
}

void model_fini(struct model *model)
{
	pagemap_fini(&model->pages);
	free(model->regions);
}

/* Regions */

const struct model_region *model_above(const struct model *model, hf_va va)
{
	for (size_t i = 0; i < model->count; i++)
		if (model->regions[i].end > va)
			return &model->regions[i];
	return NULL;
}

const struct model_region *model_at(const struct model *model, hf_va va)
{
	const struct model_region *region = model_above(model, va);

	return region && region->start <= va ? region : NULL;
}

/* Put a region into the list before the index-th. */
static void region_insert(struct model *model, size_t index, struct model_region region)
{
	if (model->count == model->room) {
		model->room = model->room ? 2 * model->room : 16;
		model->regions = realloc(model->regions, model->room * sizeof(model->regions[0]));
	}
	memmove(&model->regions[index + 1], &model->regions[index],
		(model->count - index) * sizeof(model->regions[0]));
	model->regions[index] = region;
	model->count++;
}

static void region_remove(struct model *model, size_t index)
{
	model->count--;
	memmove(&model->regions[index], &model->regions[index + 1],
		(model->count - index) * sizeof(model->regions[0]));
}

/* Make no region lie on both sides of va. */
static void region_cut(struct model *model, hf_va va)
{
	for (size_t i = 0; i < model->count; i++) {
		struct model_region *region = &model->regions[i];
		struct model_region upper = *region;

		if (region->start >= va || region->end <= va)
			continue;
		region->end = va;
		upper.start = va;
		region_insert(model, i + 1, upper);
		return;
	}
}

static bool alike(const struct model_region *a, const struct model_region *b)
{
	return a->end == b->start && a->attr.prot == b->attr.prot && a->attr.flags == b->attr.flags;
}

static void regions_merge(struct model *model)
{
	for (size_t i = 0; i + 1 < model->count;) {
		if (alike(&model->regions[i], &model->regions[i + 1])) {
			model->regions[i].end = model->regions[i + 1].end;
			region_remove(model, i + 1);
		} else {
			i++;
		}
	}
}

/* Every region in [lo, hi), cut there, gets flags (flags & keep) | add, and `prot` unless < 0. */
static void regions_change(struct model *model, hf_va lo, hf_va hi, int prot, unsigned keep,
			   unsigned add)
{
	region_cut(model, lo);
	region_cut(model, hi);
	for (size_t i = 0; i < model->count; i++) {
		struct model_region *region = &model->regions[i];

		if (region->start < lo || region->end > hi)
			continue;
		if (prot >= 0)
			region->attr.prot = (unsigned)prot;
		region->attr.flags = (region->attr.flags & keep) | add;
	}
	regions_merge(model);
}

/* Fork */

void model_fork(struct model *child, const struct model *parent)
{
	model_init(child, parent->lo, parent->hi);
	for (size_t i = 0; i < parent->count; i++) {
		const struct model_region *region = &parent->regions[i];
		uint64_t at = region->start / PAGE, end = region->end / PAGE;

		if (region->attr.flags & MODEL_DONTFORK)
			continue;
		region_insert(child, child->count, *region);
		if (region->attr.flags & MODEL_WIPEONFORK)
			continue;
		for (; pagemap_next(&parent->pages, at, end, &at); at++)
			memcpy(pagemap_make(&child->pages, at)->bytes,
			       pagemap_get(&parent->pages, at)->bytes, PAGE);
	}
	regions_merge(child);
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
	for (hf_va at = va; at < va + len;) {
		const struct model_region *region = model_at(model, at);

		if (!region)
			return HF_ERR_UNMAPPED;
		if (!allows(region->attr.prot, access))
			return HF_ERR_ACCESS;
		at = region->end;
	}
	return HF_OK;
}

enum hf_status model_check_mapped(const struct model *model, hf_va va, uint64_t len)
{
	for (hf_va at = va; at < va + len;) {
		const struct model_region *region = model_at(model, at);

		if (!region)
			return HF_ERR_UNMAPPED;
		at = region->end;
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
	const struct model_region *above = model_above(model, va);

	if (va < model->lo || va > model->hi || len > model->hi - va)
		return false;
	return !above || above->start >= va + len;
}

/* The highest free place that is a multiple of `align`; 0: none. */
static hf_va highest_free(const struct model *model, uint64_t len, uint64_t align)
{
	hf_va hi = model->hi; /* of the gap below */

	for (size_t i = model->count + 1; i--;) {
		hf_va lo = i ? model->regions[i - 1].end : model->lo;
		hf_va va = hi < len ? 0 : (hi - len) & ~(align - 1);

		if (va >= lo)
			return va;
		if (i)
			hi = model->regions[i - 1].start;
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
	hf_va end = va + page_up(len);

	region_cut(model, va);
	region_cut(model, end);
	for (size_t i = 0; i < model->count;) {
		if (model->regions[i].start >= va && model->regions[i].end <= end)
			region_remove(model, i);
		else
			i++;
	}
	pagemap_clear(&model->pages, va / PAGE, end / PAGE);
}

void model_mmap(struct model *model, hf_va va, uint64_t len, unsigned prot)
{
	struct model_region region = { va, va + page_up(len), { .prot = prot } };
	size_t i = 0;

	model_munmap(model, va, len);
	while (i < model->count && model->regions[i].start < va)
		i++;
	region_insert(model, i, region);
	regions_merge(model);
}

void model_mprotect(struct model *model, hf_va va, uint64_t len, unsigned prot)
{
	regions_change(model, va, va + page_up(len), (int)prot, ~0u, 0);
}

void model_advise(struct model *model, hf_va va, uint64_t len, enum hf_advice advice)
{
	static const struct {
		unsigned clear, add;
	} change[] = {
		[HF_ADV_HUGEPAGE] = { MODEL_HUGE_1G, MODEL_HUGE },
		[HF_ADV_HUGEPAGE_1G] = { 0, MODEL_HUGE | MODEL_HUGE_1G },
		[HF_ADV_NOHUGEPAGE] = { MODEL_HUGE | MODEL_HUGE_1G, 0 },
		[HF_ADV_DONTFORK] = { 0, MODEL_DONTFORK },
		[HF_ADV_DOFORK] = { MODEL_DONTFORK, 0 },
		[HF_ADV_WIPEONFORK] = { 0, MODEL_WIPEONFORK },
		[HF_ADV_KEEPONFORK] = { MODEL_WIPEONFORK, 0 },
		[HF_ADV_POPULATE_WRITE] = { 0, 0 }, /* no access can tell */
	};
	hf_va end = va + page_up(len);

	if (advice == HF_ADV_DONTNEED)
		pagemap_clear(&model->pages, va / PAGE, end / PAGE);
	else
		regions_change(model, va, end, -1, ~change[advice].clear, change[advice].add);
}

const struct model_page *model_page_seen(const struct model *model, hf_va va)
{
	return pagemap_get(&model->pages, va / PAGE);
}

struct model_page *model_page_own(struct model *model, hf_va va)
{
	return pagemap_make(&model->pages, va / PAGE);
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
		const struct model_page *page = model_page_seen(model, va);

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

		memcpy(model_page_own(model, va)->bytes + va % PAGE, from, n);
		va += n;
		from += n;
		len -= n;
	}
}
