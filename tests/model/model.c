/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#define PMD_SIZE ((uint64_t)2 << 20)
#define PUD_SIZE ((uint64_t)1 << 30)

/* Every model: an object's page is written for all of them. */
static struct model *models;

void model_init(struct model *model, hf_va lo, hf_va hi)
{
	*model = (struct model){ .lo = lo, .hi = hi, .next = models };
	pagemap_init(&model->pages, lo / PAGE, (hi - lo) / PAGE);
	pagemap_init(&model->unsure, lo / PAGE, (hi - lo) / PAGE);
	models = model;
}

void model_fini(struct model *model)
{
	struct model **link = &models;

	while (*link != model)
		link = &(*link)->next;
	*link = model->next;
	pagemap_fini(&model->pages);
	pagemap_fini(&model->unsure);
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
		upper.offset += va - region->start;
		region->end = va;
		upper.start = va;
		region_insert(model, i + 1, upper);
		return;
	}
}

static bool alike(const struct model_region *a, const struct model_region *b)
{
	return a->end == b->start && a->attr.prot == b->attr.prot &&
	       a->attr.flags == b->attr.flags && a->attr.object == b->attr.object &&
	       (!a->attr.object || a->offset + (a->end - a->start) == b->offset);
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

/* Stands for a page that is unsure and not sealed: its bytes are still the object's. */
static struct model_page untold = { .refs = 1 };

/* Copies of all pages in [at, end). */
static void pages_copy(struct pagemap *to, const struct pagemap *from, uint64_t at, uint64_t end)
{
	for (; pagemap_next(from, at, end, &at); at++) {
		const struct model_page *page = pagemap_get(from, at);
		struct model_page *copy;

		if (page == &untold) {
			untold.refs++;
			pagemap_put(to, at, &untold);
			continue;
		}
		copy = pagemap_make(to, at);
		memcpy(copy->bytes, page->bytes, PAGE);
		copy->sealed = page->sealed;
		copy->lazy = page->lazy;
	}
}

void model_fork(struct model *child, const struct model *parent)
{
	model_init(child, parent->lo, parent->hi);
	child->limits = parent->limits;
	child->brk_start = parent->brk_start;
	child->brk = parent->brk;
	child->lazy = parent->lazy;
	for (size_t i = 0; i < parent->count; i++) {
		const struct model_region *region = &parent->regions[i];
		uint64_t at = region->start / PAGE, end = region->end / PAGE;

		if (region->attr.flags & MODEL_DONTFORK)
			continue;
		region_insert(child, child->count, *region);
		child->regions[child->count - 1].attr.flags &=
			~(unsigned)(MODEL_LOCKED | MODEL_ONFAULT);
		if (region->attr.flags & MODEL_WIPEONFORK)
			continue;
		pages_copy(&child->pages, &parent->pages, at, end);
		pages_copy(&child->unsure, &parent->unsure, at, end);
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

/* What of the region lies beyond the end of its object. */
static hf_va bus_from(const struct model_region *region)
{
	uint64_t end = region->attr.object ? page_up(region->attr.object->size) : 0;

	if (!region->attr.object)
		return region->end;
	if (end <= region->offset)
		return region->start;
	return end - region->offset < region->end - region->start
		       ? region->start + (end - region->offset)
		       : region->end;
}

enum hf_status model_first_fault(const struct model *model, hf_va va, uint64_t len, unsigned access)
{
	for (hf_va at = va; at < va + len;) {
		const struct model_region *region = model_at(model, at);
		hf_va bus;

		if (!region)
			return HF_ERR_UNMAPPED;
		if (!allows(region->attr.prot, access))
			return HF_ERR_ACCESS;
		bus = bus_from(region);
		if (bus < region->end && bus < va + len)
			return HF_ERR_BUS;
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
	enum hf_status status = model_check_mapped(model, va, len), first = HF_OK;

	for (hf_va at = va; at < va + len && !status;) {
		const struct model_region *region = model_at(model, at);

		if (!allows(region->attr.prot, access))
			status = HF_ERR_ACCESS;
		else if (!first && bus_from(region) < region->end && bus_from(region) < va + len)
			first = HF_ERR_BUS;
		at = region->end;
	}
	return status ? status : first;
}

static bool is_free(const struct model *model, hf_va va, uint64_t len)
{
	const struct model_region *above = model_above(model, va);

	if (va < model->lo || va > model->hi || len > model->hi - va)
		return false;
	return !above || above->start >= va + len;
}

static uint64_t stack_gap(const struct model *model)
{
	return model->limits.stack_gap ? model->limits.stack_gap : (uint64_t)1 << 20;
}

bool model_near_stack(const struct model *model, hf_va end, uint64_t gap)
{
	const struct model_region *above = model_above(model, end);

	if (!above)
		return false;
	if ((above->attr.flags & MODEL_GROWSDOWN) && gap < stack_gap(model))
		gap = stack_gap(model);
	return above->start - end < gap;
}

/* What is next below `start`, where a stack is to begin, is nearer than a stack allows. */
static bool is_crowded(const struct model *model, hf_va start)
{
	const struct model_region *below = NULL;

	for (size_t i = 0; i < model->count && model->regions[i].end <= start; i++)
		below = &model->regions[i];
	return below && start - below->end < stack_gap(model) &&
	       !(below->attr.flags & MODEL_GROWSDOWN) && below->attr.prot != HF_PROT_NONE;
}

enum hf_status model_check_grow(const struct model *model, hf_va va)
{
	const struct model_region *stack = model_above(model, va);
	uint64_t most = model->limits.stack ? model->limits.stack : (uint64_t)8 << 20;
	hf_va start = va & ~(PAGE - 1);
	uint64_t more;

	if (!stack || !(stack->attr.flags & MODEL_GROWSDOWN))
		return HF_ERR_UNMAPPED;
	if (is_crowded(model, start))
		return HF_ERR_UNMAPPED;
	if (stack->end - start > most)
		return HF_ERR_LIMIT;
	more = stack->start - start;
	return model_check_limits(model, start, more, more,
				  stack->attr.flags & MODEL_LOCKED ? more : 0);
}

void model_grow(struct model *model, hf_va va)
{
	struct model_region *stack = (struct model_region *)model_above(model, va);

	stack->start = va & ~(PAGE - 1);
	regions_merge(model);
}

enum hf_status model_fault_growing(const struct model *model, hf_va va, uint64_t len,
				   unsigned access)
{
	struct model trial = *model; /* its regions only */
	size_t size = model->count * sizeof(model->regions[0]);
	enum hf_status status, grown = HF_OK;

	trial.regions = malloc(size + 1);
	if (size)
		memcpy(trial.regions, model->regions, size);
	while ((status = model_first_fault(&trial, va, len, access)) == HF_ERR_UNMAPPED && !grown) {
		hf_va at = va;

		while (model_at(&trial, at))
			at = model_at(&trial, at)->end;
		grown = model_check_grow(&trial, at);
		if (!grown)
			model_grow(&trial, at);
	}
	free(trial.regions);
	return grown ? grown : status;
}

/* The highest free place below `end` that is a multiple of `align`; 0: none. */
static hf_va highest_free(const struct model *model, hf_va end, uint64_t len, uint64_t align)
{
	hf_va hi = end; /* of the gap below */

	for (size_t i = model->count + 1; i--;) {
		hf_va lo = i ? model->regions[i - 1].end : model->lo;
		hf_va va = hi < len ? 0 : (hi - len) & ~(align - 1);

		if (va >= lo)
			return va;
		if (i && model->regions[i - 1].start < hi)
			hi = model->regions[i - 1].start;
	}
	return 0;
}

/* The same, at `off` from such a multiple, and far enough from the stack above it. */
static hf_va highest_clear(const struct model *model, uint64_t len, uint64_t align, uint64_t off)
{
	hf_va end = model->hi, va;

	while ((va = highest_free(model, end, len + off, align))) {
		const struct model_region *above = model_above(model, va + off + len);

		if (!model_near_stack(model, va + off + len, 0))
			return va + off;
		if (above->start - model->lo < stack_gap(model))
			return 0;
		end = above->start - stack_gap(model);
	}
	return 0;
}

/* Best congruent to `like` modulo the largest page that fits; a stack with its gap below. */
static hf_va place(const struct model *model, hf_va hint, uint64_t like, uint64_t len, bool stack)
{
	static const uint64_t sizes[] = { PUD_SIZE, PMD_SIZE, PAGE };
	uint64_t gap = stack ? stack_gap(model) : 0;

	hint &= ~(PAGE - 1);
	if (hint && is_free(model, hint, len) && !model_near_stack(model, hint + len, 0) &&
	    !(stack && is_crowded(model, hint)))
		return hint;
	for (size_t i = 0; i < 3 && gap + len > gap && gap + len <= model->hi - model->lo; i++) {
		uint64_t off = (like - gap) % sizes[i];
		hf_va va = len >= sizes[i] ? highest_clear(model, gap + len, sizes[i], off) : 0;

		if (va)
			return va + gap;
	}
	return 0;
}

/* `like`: what the address had best be congruent to. */
static enum hf_status check_mmap(const struct model *model, hf_va *va, uint64_t like, uint64_t len,
				 unsigned prot, unsigned flags)
{
	const unsigned both = HF_MAP_FIXED | HF_MAP_FIXED_NOREPLACE;
	enum hf_status status;

	if (prot & ~(unsigned)(HF_PROT_READ | HF_PROT_WRITE | HF_PROT_EXEC))
		return HF_ERR_FLAGS;
	if ((flags & ~(both | HF_MAP_GROWSDOWN)) || (flags & both) == both)
		return HF_ERR_FLAGS;
	if (flags & both) {
		status = model_check_range(model, *va, len, true);
		if (!status && (flags & HF_MAP_FIXED_NOREPLACE) &&
		    !is_free(model, *va, page_up(len)))
			status = HF_ERR_EXIST;
		return status;
	}
	if (!len)
		return HF_ERR_EMPTY;
	if (page_up(len) < len)
		return HF_ERR_WRAP;
	*va = place(model, *va, like, page_up(len), flags & HF_MAP_GROWSDOWN);
	return *va ? HF_OK : HF_ERR_NOSPACE;
}

enum hf_status model_check_mmap(const struct model *model, hf_va *va, uint64_t len, unsigned prot,
				unsigned flags)
{
	return check_mmap(model, va, 0, len, prot, flags);
}

enum hf_status model_check_mmap_object(const struct model *model, hf_va *va, uint64_t len,
				       unsigned prot, unsigned flags, uint64_t offset)
{
	const unsigned kinds = HF_MAP_SHARED | HF_MAP_PRIVATE;
	unsigned kind = flags & kinds;
	enum hf_status status;

	if (!kind || kind == kinds || flags > (kinds | 3))
		return HF_ERR_FLAGS;
	if (offset % PAGE && prot <= 7 && (flags & 3) != 3)
		return HF_ERR_ALIGN;
	status = check_mmap(model, va, offset, len, prot, flags & ~kinds);
	/* where it lies matters before where there is room for it */
	if ((!status || status == HF_ERR_NOSPACE || status == HF_ERR_EXIST) &&
	    offset + page_up(len) < offset)
		return HF_ERR_WRAP;
	if ((!status || status == HF_ERR_NOSPACE || status == HF_ERR_EXIST) &&
	    offset + page_up(len) > hf_object_max())
		return HF_ERR_RANGE;
	return status;
}

uint64_t model_bytes_with(const struct model *model, hf_va va, uint64_t len, unsigned flags)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < model->count; i++) {
		const struct model_region *region = &model->regions[i];
		hf_va lo = region->start > va ? region->start : va;
		hf_va hi = region->end < va + len ? region->end : va + len;

		if (lo < hi && (region->attr.flags & flags) == flags)
			bytes += hi - lo;
	}
	return bytes;
}

enum hf_status model_check_sealed(const struct model *model, hf_va va, uint64_t len)
{
	return model_bytes_with(model, va, page_up(len), MODEL_SEALED) ? HF_ERR_SEALED : HF_OK;
}

enum hf_status model_check_limits(const struct model *model, hf_va va, uint64_t len,
				  uint64_t mapped, uint64_t locked)
{
	const struct hf_limits *limits = &model->limits;
	uint64_t size = model->hi - model->lo;
	uint64_t was = model_bytes_with(model, va, page_up(len), 0);
	uint64_t was_locked = model_bytes_with(model, va, page_up(len), MODEL_LOCKED);
	uint64_t all = model_bytes_with(model, model->lo, size, 0) + mapped - was;
	uint64_t all_locked =
		model_bytes_with(model, model->lo, size, MODEL_LOCKED) + locked - was_locked;

	if (limits->va && mapped > was && all > limits->va)
		return HF_ERR_LIMIT;
	if (limits->lock && locked > was_locked && all_locked > limits->lock)
		return HF_ERR_LIMIT;
	return HF_OK;
}

static enum hf_status check_mremap_arguments(const struct model *model, hf_va old, uint64_t old_len,
					     uint64_t new_len, unsigned flags, hf_va to)
{
	enum hf_status status;

	if (flags > 7 || (flags && !(flags & HF_MREMAP_MAYMOVE)))
		return HF_ERR_FLAGS;
	if ((flags & HF_MREMAP_DONTUNMAP) && page_up(old_len) != page_up(new_len))
		return HF_ERR_INVAL;
	if (((flags & HF_MREMAP_FIXED) && to % PAGE) || old % PAGE)
		return HF_ERR_ALIGN;
	if (!new_len)
		return HF_ERR_EMPTY;
	status = model_check_range(model, old, old_len, true);
	if (status)
		return status;
	if (!page_up(new_len))
		return HF_ERR_WRAP;
	if (!(flags & HF_MREMAP_FIXED))
		return HF_OK;
	status = model_check_range(model, to, page_up(new_len), false);
	if (!status && old < to + page_up(new_len) && to < old + page_up(old_len))
		status = HF_ERR_OVERLAP;
	return status;
}

enum hf_status model_check_mremap(const struct model *model, hf_va old, uint64_t old_len,
				  uint64_t new_len, unsigned flags, hf_va *to)
{
	enum hf_status status = check_mremap_arguments(model, old, old_len, new_len, flags, *to);
	hf_va end = old + page_up(old_len);

	if (status)
		return status;
	old_len = page_up(old_len);
	new_len = page_up(new_len);
	status = model_check_mapped(model, old, old_len);
	if (!status && (new_len != old_len || (flags & ~(unsigned)HF_MREMAP_MAYMOVE)))
		status = model_check_sealed(model, old, old_len);
	if (!status && (flags & HF_MREMAP_FIXED))
		status = model_check_sealed(model, *to, new_len);
	if (status || (flags & HF_MREMAP_FIXED))
		return status;
	if (!(flags & HF_MREMAP_DONTUNMAP)) {
		*to = old;
		if (new_len <= old_len || (is_free(model, end, new_len - old_len) &&
					   !model_near_stack(model, old + new_len, 0)))
			return HF_OK;
		if (!(flags & HF_MREMAP_MAYMOVE))
			return HF_ERR_NOSPACE;
		*to = 0;
	}
	if (new_len > model->hi - model->lo)
		return HF_ERR_NOSPACE;
	*to = place(model, *to, old, new_len, model_at(model, old)->attr.flags & MODEL_GROWSDOWN);
	return *to ? HF_OK : HF_ERR_NOSPACE;
}

/* Effects */

static void forget_pages(struct model *model, hf_va va, hf_va end)
{
	pagemap_clear(&model->pages, va / PAGE, end / PAGE);
	pagemap_clear(&model->unsure, va / PAGE, end / PAGE);
}

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
	forget_pages(model, va, end);
}

static void region_add(struct model *model, struct model_region region)
{
	size_t i = 0;

	while (i < model->count && model->regions[i].start < region.start)
		i++;
	region_insert(model, i, region);
}

void model_mmap(struct model *model, hf_va va, uint64_t len, struct model_attr attr,
		uint64_t offset)
{
	model_munmap(model, va, len);
	region_add(model, (struct model_region){ va, va + page_up(len), attr, offset });
	regions_merge(model);
}

/* Take [from, from+count) out of the map and return it, with the pages at the same distances. */
static struct pagemap pages_take(struct pagemap *map, uint64_t from, uint64_t count)
{
	struct pagemap taken;

	pagemap_init(&taken, from, count);
	for (uint64_t at = from; pagemap_next(map, at, from + count, &at); at++)
		pagemap_put(&taken, at, pagemap_take(map, at));
	return taken;
}

static void pages_give(struct pagemap *map, struct pagemap *taken, uint64_t from, uint64_t count,
		       uint64_t to)
{
	for (uint64_t at = from; pagemap_next(taken, at, from + count, &at); at++)
		pagemap_put(map, at - from + to, pagemap_take(taken, at));
	pagemap_fini(taken);
}

void model_mremap(struct model *model, hf_va old, uint64_t old_len, hf_va to, uint64_t new_len,
		  bool keeps_old)
{
	uint64_t len = page_up(old_len < new_len ? old_len : new_len), at = old / PAGE;
	struct pagemap pages, unsure;
	struct model_region *moved;
	size_t count = 0;

	old_len = page_up(old_len);
	new_len = page_up(new_len);
	region_cut(model, old);
	region_cut(model, old + len);
	moved = calloc(model->count, sizeof(moved[0]));
	for (size_t i = 0; i < model->count; i++)
		if (model->regions[i].start >= old && model->regions[i].end <= old + len)
			moved[count++] = model->regions[i];
	pages = pages_take(&model->pages, at, len / PAGE);
	unsure = pages_take(&model->unsure, at, len / PAGE);
	if (keeps_old) /* empty, and no longer locked */
		model_change_flags(model, old, old_len, MODEL_LOCKED | MODEL_ONFAULT, 0);
	else
		model_munmap(model, old, old_len);
	if (to != old)
		model_munmap(model, to, new_len);
	moved[count - 1].end += new_len - len;
	for (size_t i = 0; i < count; i++) {
		moved[i].start += to - old;
		moved[i].end += to - old;
		region_add(model, moved[i]);
	}
	regions_merge(model);
	free(moved);
	pages_give(&model->pages, &pages, at, len / PAGE, to / PAGE);
	pages_give(&model->unsure, &unsure, at, len / PAGE, to / PAGE);
}

void model_mprotect(struct model *model, hf_va va, uint64_t len, unsigned prot)
{
	regions_change(model, va, va + page_up(len), (int)prot, ~0u, 0);
}

void model_change_flags(struct model *model, hf_va va, uint64_t len, unsigned clear, unsigned add)
{
	regions_change(model, va, va + page_up(len), -1, ~clear, add);
}

static void free_pages(struct model *model, hf_va va, hf_va end)
{
	uint64_t at = va / PAGE;

	for (; pagemap_next(&model->pages, at, end / PAGE, &at); at++) {
		struct model_page *page = pagemap_get(&model->pages, at);

		page->lazy = !page->pins;
	}
	model->lazy = true;
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
		forget_pages(model, va, end);
	else if (advice == HF_ADV_FREE)
		free_pages(model, va, end);
	else if (advice < HF_ADV_POPULATE_READ)
		regions_change(model, va, end, -1, ~change[advice].clear, change[advice].add);
}

const struct model_page *model_page_under(const struct model *model, hf_va va)
{
	const struct model_region *region = model_at(model, va);

	if (!region || !region->attr.object)
		return NULL;
	return pagemap_get(&region->attr.object->pages,
			   (region->offset + (va - region->start)) / PAGE);
}

const struct model_page *model_page_seen(const struct model *model, hf_va va)
{
	const struct model_page *page = pagemap_get(&model->pages, va / PAGE);

	return page ? page : model_page_under(model, va);
}

/* The object's page, made if there was none. */
static struct model_page *object_page(struct model_object *object, uint64_t number)
{
	struct model_page *page = pagemap_make(&object->pages, number);

	page->object = object;
	page->number = number;
	return page;
}

struct model_page *model_page_own(struct model *model, hf_va va)
{
	const struct model_region *region = model_at(model, va);
	const struct model_page *under = model_page_under(model, va);
	struct model_page *page = pagemap_get(&model->pages, va / PAGE);

	if (region->attr.flags & MODEL_SHARED)
		return object_page(region->attr.object,
				   (region->offset + (va - region->start)) / PAGE);
	if (page) {
		page->lazy = false;
		return page;
	}
	page = pagemap_make(&model->pages, va / PAGE);
	if (under)
		memcpy(page->bytes, under->bytes, PAGE);
	pagemap_clear(&model->unsure, va / PAGE, va / PAGE + 1);
	return page;
}

/* Private mappings of objects, and who has a copy of what */

static bool has_copies(const struct model_region *region)
{
	return region->attr.object && !(region->attr.flags & MODEL_SHARED);
}

void model_own_range(struct model *model, hf_va lo, hf_va hi)
{
	for (size_t i = 0; i < model->count; i++) {
		const struct model_region *region = &model->regions[i];
		hf_va va = region->start > lo ? region->start : lo;

		for (; has_copies(region) && va < region->end && va < hi; va += PAGE)
			model_page_own(model, va);
	}
}

bool model_copies_more(const struct model_region *region)
{
	return has_copies(region) && (region->attr.object->huge || !region->attr.object->pager ||
				      (region->attr.flags & MODEL_HUGE));
}

/* Keep the bytes of one object's page for every page of the region that may be a copy of it. */
static void seal(struct model *model, const struct model_region *region,
		 const struct model_page *under)
{
	uint64_t offset = under->number * PAGE, va;
	struct model_page *unsure;

	if (!has_copies(region) || region->attr.object != under->object ||
	    offset < region->offset || offset - region->offset >= region->end - region->start)
		return;
	va = region->start + (offset - region->offset);
	unsure = pagemap_get(&model->unsure, va / PAGE);
	if (unsure != &untold)
		return;
	unsure = page_new();
	pagemap_put(&model->unsure, va / PAGE, unsure);
	memcpy(unsure->bytes, under->bytes, PAGE);
	unsure->sealed = true;
}

void model_page_touch(struct model_page *page)
{
	if (!page->object)
		return;
	for (struct model *model = models; model; model = model->next)
		for (size_t i = 0; i < model->count; i++)
			seal(model, &model->regions[i], page);
}

void model_unsure(struct model *model, hf_va lo, hf_va hi)
{
	for (size_t i = 0; i < model->count; i++) {
		const struct model_region *region = &model->regions[i];
		hf_va va = region->start > lo ? region->start : lo;
		hf_va end = region->end < hi ? region->end : hi;

		if (!has_copies(region))
			continue;
		for (; va < end; va += PAGE)
			if (!pagemap_get(&model->pages, va / PAGE) &&
			    !pagemap_get(&model->unsure, va / PAGE)) {
				untold.refs++;
				pagemap_put(&model->unsure, va / PAGE, &untold);
			}
	}
}

void model_sure(struct model *model, hf_va va, bool own)
{
	const struct model_page *unsure = pagemap_get(&model->unsure, va / PAGE);

	if (own) {
		struct model_page *page = pagemap_make(&model->pages, va / PAGE);
		const struct model_page *from =
			unsure && unsure->sealed ? unsure : model_page_under(model, va);

		if (from)
			memcpy(page->bytes, from->bytes, PAGE);
	}
	pagemap_clear(&model->unsure, va / PAGE, va / PAGE + 1);
}

/* Bytes */

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

		struct model_page *page = model_page_own(model, va);

		model_page_touch(page);
		memcpy(page->bytes + va % PAGE, from, n);
		va += n;
		from += n;
		len -= n;
	}
}

/* Objects */

struct model_object *object_new(struct hf_object *real, uint64_t size)
{
	struct model_object *object = calloc(1, sizeof(*object));

	object->real = real;
	object->size = size;
	pagemap_init(&object->pages, 0, OBJECT_PAGES);
	return object;
}

void object_free(struct model_object *object)
{
	object_resize(object, 0);
	pagemap_fini(&object->pages);
	free(object);
}

void object_read(const struct model_object *object, uint64_t offset, void *buf, uint64_t len)
{
	uint8_t *to = buf;

	while (len) {
		uint64_t n = piece(offset, len);
		const struct model_page *page = pagemap_get(&object->pages, offset / PAGE);

		if (page)
			memcpy(to, page->bytes + offset % PAGE, n);
		else
			memset(to, 0, n);
		offset += n;
		to += n;
		len -= n;
	}
}

void object_write(struct model_object *object, uint64_t offset, const void *buf, uint64_t len)
{
	const uint8_t *from = buf;

	while (len) {
		uint64_t n = piece(offset, len);
		struct model_page *page = object_page(object, offset / PAGE);

		model_page_touch(page);
		memcpy(page->bytes + offset % PAGE, from, n);
		offset += n;
		from += n;
		len -= n;
	}
}

/* What lies beyond the new end is gone, from private mappings as well. */
static void cut_mappings(const struct model_object *object)
{
	for (struct model *model = models; model; model = model->next) {
		for (size_t i = 0; i < model->count; i++) {
			const struct model_region *region = &model->regions[i];

			if (region->attr.object == object)
				forget_pages(model, bus_from(region), region->end);
		}
	}
}

void object_resize(struct model_object *object, uint64_t size)
{
	uint64_t at = page_up(size) / PAGE, end = size < object->size ? size : object->size;
	struct model_page *last;

	object->size = size;
	cut_mappings(object);
	for (; pagemap_next(&object->pages, at, OBJECT_PAGES, &at);) {
		struct model_page *page = pagemap_take(&object->pages, at);

		page->object = NULL; /* a device may still have it */
		page_drop(page);
	}
	/* mappings may have written behind the end */
	last = end % PAGE ? pagemap_get(&object->pages, end / PAGE) : NULL;
	if (last) {
		model_page_touch(last);
		memset(last->bytes + end % PAGE, 0, PAGE - end % PAGE);
	}
}

bool model_maps(const struct model *model, hf_va va, uint64_t len,
		const struct model_object *object)
{
	for (size_t i = 0; i < model->count; i++) {
		const struct model_region *region = &model->regions[i];

		if (region->attr.object == object && region->start < va + len && region->end > va)
			return true;
	}
	return false;
}

bool model_shows(const struct model *model, hf_va va, uint64_t len,
		 const struct model_object *object)
{
	const struct model_region *region = model_at(model, va);
	hf_va at = va;
	uint64_t from;

	if (!region || region->attr.object != object)
		return false;
	from = region->offset + (va - region->start);
	while (region && at < va + len) {
		if (region->attr.object != object || !(region->attr.flags & MODEL_SHARED) ||
		    region->offset + (at - region->start) != from + (at - va))
			return false;
		at = region->end;
		region = model_at(model, at);
	}
	return at >= va + len;
}

bool object_mapped(const struct model_object *object)
{
	for (const struct model *model = models; model; model = model->next)
		for (size_t i = 0; i < model->count; i++)
			if (model->regions[i].attr.object == object)
				return true;
	return false;
}
