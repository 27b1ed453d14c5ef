/* SPDX-License-Identifier: MIT */
/* What is mapped: mmap, munmap, mprotect, madvise. */
#include "ops.h"

/* hf_mmap */

static bool pick_mmap(struct world *w, struct call *c)
{
	static const unsigned often[] = { 0, 0, 0, 0, 0, 1, 1, 1, 2, 2 };

	c->flags = one_in(w, 100) ? (unsigned)below(w, 4) : often[below(w, 10)];
	c->prot = some_prot(w);
	pick_range(w, c);
	if (one_in(w, 12))
		c->flags |= HF_MAP_GROWSDOWN;
	if (!(c->flags & 3) && one_in(w, 2))
		c->va = 0;
	return true;
}

enum hf_status check_map(struct call *c, enum hf_status status)
{
	const struct model *model = &c->m->model;
	uint64_t len = page_up(c->len);

	if (!status)
		status = model_check_sealed(model, c->src, c->len);
	return status ? status
		      : model_check_limits(model, c->src, c->len, len,
					   model->future & MODEL_LOCKED ? len : 0);
}

/* c->src becomes where it must go. */
static enum hf_status expect_mmap(struct world *w, struct call *c)
{
	(void)w;
	c->src = c->va;
	c->needs = 0;
	return check_map(c, model_check_mmap(&c->m->model, &c->src, c->len, c->prot, c->flags));
}

static enum hf_status call_mmap(struct world *w, struct call *c)
{
	(void)w;
	return hf_mmap(&c->m->mm, &c->va, c->len, c->prot, c->flags);
}

static void done_mmap(struct world *w, struct call *c)
{
	struct model_attr attr = anonymous(c->prot);

	if (c->va != c->src)
		disagree(w, "placed at 0x%llx, the model says 0x%llx", (unsigned long long)c->va,
			 (unsigned long long)c->src);
	attr.flags = c->m->model.future | (c->flags & HF_MAP_GROWSDOWN ? MODEL_GROWSDOWN : 0);
	model_mmap(&c->m->model, c->va, c->len, attr, 0);
}

/* hf_munmap */

static enum hf_status expect_munmap(struct world *w, struct call *c)
{
	enum hf_status status = model_check_range(&c->m->model, c->va, c->len, true);

	(void)w;
	return status ? status : model_check_sealed(&c->m->model, c->va, c->len);
}

static enum hf_status call_munmap(struct world *w, struct call *c)
{
	(void)w;
	return hf_munmap(&c->m->mm, c->va, c->len);
}

static void done_munmap(struct world *w, struct call *c)
{
	(void)w;
	model_munmap(&c->m->model, c->va, c->len);
}

/* Memory would be full most of the time, and huge pages rare, if nothing large ever went. */
static bool pick_munmap_much(struct world *w, struct call *c)
{
	hf_va va = page_of(any_va(w)), end = va + PMD_SIZE * (1 + below(w, w->big ? 400 : 16));

	if (!one_in(w, 4))
		va &= ~(PMD_SIZE - 1);
	c->va = va < w->lo ? w->lo : va;
	c->len = (end > w->hi ? w->hi : end) - c->va;
	return true;
}

/* hf_mremap: c->src is the new place, c->value the new length, c->old the model's place */

static bool pick_mremap(struct world *w, struct call *c)
{
	static const unsigned often[] = { 0, 0, 1, 1, 1, 3, 3, 5, 7 };

	pick_range(w, c);
	c->flags = one_in(w, 50) ? (unsigned)below(w, 16) : often[below(w, 9)];
	c->value = one_in(w, 3) ? c->len : page_up(c->len) + PAGE * below(w, 60);
	if (one_in(w, 3))
		c->value = c->len / 2;
	if ((c->flags & HF_MREMAP_DONTUNMAP) && !one_in(w, 8))
		c->value = c->len;
	/* most of the time so that whole tables can move */
	c->src = page_of(any_va(w));
	if (!one_in(w, 4))
		c->src = (c->src & ~(PMD_SIZE - 1)) + c->va % PMD_SIZE;
	if (one_in(w, 40))
		c->src++;
	return true;
}

/*
 * The old and the new place are reckoned one after the other: see done_mremap for what must hold.
 */
static enum hf_status check_remap(struct call *c, enum hf_status status)
{
	const struct hf_limits *limits = &c->m->model.limits;

	if (!status && (limits->va || limits->lock))
		c->may = MAY(HF_ERR_LIMIT);
	c->count =
		model_bytes_with(&c->m->model, c->m->model.lo, c->m->model.hi - c->m->model.lo, 0);
	return status;
}

static enum hf_status expect_mremap(struct world *w, struct call *c)
{
	(void)w;
	c->old = c->src;
	return check_remap(
		c, model_check_mremap(&c->m->model, c->va, c->len, c->value, c->flags, &c->old));
}

static enum hf_status call_mremap(struct world *w, struct call *c)
{
	(void)w;
	return hf_mremap(&c->m->mm, c->va, c->len, c->value, c->flags, &c->src);
}

static void done_mremap(struct world *w, struct call *c)
{
	struct model *model = &c->m->model;
	uint64_t all;

	if (c->src != c->old)
		disagree(w, "moved to 0x%llx, the model says 0x%llx", (unsigned long long)c->src,
			 (unsigned long long)c->old);
	model_mremap(model, c->va, c->len, c->src, c->value, c->flags & HF_MREMAP_DONTUNMAP);
	model_unsure(model, c->src, c->src + page_up(c->value)); /* what grows may be locked */
	all = model_bytes_with(model, model->lo, model->hi - model->lo, 0);
	if (model->limits.va && all > c->count && all > model->limits.va)
		disagree(w, "grew beyond the limit");
}

/* hf_mprotect */

static bool pick_mprotect(struct world *w, struct call *c)
{
	c->prot = some_prot(w);
	return pick_range(w, c);
}

static enum hf_status expect_mprotect(struct world *w, struct call *c)
{
	enum hf_status status = c->prot > 7 ? HF_ERR_FLAGS : expect_mapped(w, c);

	return status ? status : model_check_sealed(&c->m->model, c->va, c->len);
}

static enum hf_status call_mprotect(struct world *w, struct call *c)
{
	(void)w;
	return hf_mprotect(&c->m->mm, c->va, c->len, c->prot);
}

static void done_mprotect(struct world *w, struct call *c)
{
	(void)w;
	model_mprotect(&c->m->model, c->va, c->len, c->prot);
}

/* hf_madvise: c->flags is the advice */

static bool pick_madvise(struct world *w, struct call *c)
{
	static const enum hf_advice often[] = {
		HF_ADV_HUGEPAGE,   HF_ADV_HUGEPAGE,   HF_ADV_HUGEPAGE, HF_ADV_HUGEPAGE_1G,
		HF_ADV_FREE,	   HF_ADV_FREE,	      HF_ADV_COLD,     HF_ADV_PAGEOUT,
		HF_ADV_PAGEOUT,	   HF_ADV_NOHUGEPAGE, HF_ADV_DONTNEED, HF_ADV_DONTNEED,
		HF_ADV_DONTFORK,   HF_ADV_DOFORK,     HF_ADV_DOFORK,   HF_ADV_WIPEONFORK,
		HF_ADV_KEEPONFORK, HF_ADV_KEEPONFORK,
	};

	c->flags = often[below(w, sizeof(often) / sizeof(often[0]))];
	if (one_in(w, 200))
		c->flags = 1000 + (unsigned)below(w, 100);
	return pick_range(w, c);
}

/* A seal keeps advice from taking the contents of memory that may not be written. */
static enum hf_status check_seal_of_contents(const struct call *c)
{
	const struct model *model = &c->m->model;
	hf_va end = c->va + page_up(c->len);

	for (size_t i = 0; i < model->count; i++) {
		const struct model_region *r = &model->regions[i];

		if (r->start < end && r->end > c->va && (r->attr.flags & MODEL_SEALED) &&
		    !r->attr.object && !(r->attr.prot & HF_PROT_WRITE))
			return HF_ERR_SEALED;
	}
	return HF_OK;
}

static bool is_for_unused(unsigned advice)
{
	return advice == HF_ADV_DONTNEED || advice == HF_ADV_FREE || advice == HF_ADV_COLD ||
	       advice == HF_ADV_PAGEOUT;
}

/* Some of the range is an object's. */
static bool maps_any(const struct world *w, const struct call *c)
{
	for (const struct model_object *o = w->objects; o; o = o->next)
		if (model_maps(&c->m->model, c->va, page_up(c->len), o))
			return true;
	return false;
}

static enum hf_status expect_madvise(struct world *w, struct call *c)
{
	enum hf_status status = c->flags >= 1000 ? HF_ERR_INVAL : expect_mapped(w, c);

	if (!status && c->flags == HF_ADV_WIPEONFORK && maps_any(w, c))
		status = HF_ERR_INVAL;
	if (c->flags == HF_ADV_PAGEOUT && !w->swapping)
		c->may = MAY(HF_ERR_INVAL);
	if (!status && is_for_unused(c->flags) &&
	    (model_bytes_with(&c->m->model, c->va, page_up(c->len), MODEL_LOCKED) ||
	     (c->flags != HF_ADV_DONTNEED &&
	      model_bytes_with(&c->m->model, c->va, page_up(c->len), MODEL_SHARED)) ||
	     (c->flags == HF_ADV_FREE && maps_any(w, c)) ||
	     (c->flags == HF_ADV_PAGEOUT && !w->swapping)))
		status = HF_ERR_INVAL;
	if (!status && c->flags == HF_ADV_PAGEOUT)
		c->may = MAY(HF_ERR_STORE);
	if (!status && (c->flags == HF_ADV_DONTNEED || c->flags == HF_ADV_FREE ||
			c->flags == HF_ADV_DONTFORK || c->flags == HF_ADV_WIPEONFORK))
		status = check_seal_of_contents(c);
	return status;
}

static enum hf_status call_madvise(struct world *w, struct call *c)
{
	(void)w;
	return hf_madvise(&c->m->mm, c->va, c->len, (enum hf_advice)c->flags);
}

static void done_madvise(struct world *w, struct call *c)
{
	(void)w;
	model_advise(&c->m->model, c->va, c->len, (enum hf_advice)c->flags);
}

/* Populate */

static bool pick_populate(struct world *w, struct call *c)
{
	const struct model_region *region;

	some_range(w, &c->m->model, &c->va, &c->len);
	region = model_at(&c->m->model, c->va);
	/* 1 GiB of small pages takes too long */
	if (c->len > 16 * MIB && !(region && (region->attr.flags & MODEL_HUGE_1G)))
		c->len = 16 * MIB;
	c->flags = one_in(w, 2) ? HF_ADV_POPULATE_READ : HF_ADV_POPULATE_WRITE;
	c->access = c->flags == HF_ADV_POPULATE_READ ? HF_ACCESS_READ : HF_ACCESS_WRITE;
	c->needs = page_up(c->len) + PMD_SIZE;
	return true;
}

static enum hf_status expect_populate(struct world *w, struct call *c)
{
	enum hf_status status = expect_mapped(w, c);

	return status ? status
		      : model_check_access(&c->m->model, c->va, page_up(c->len), c->access);
}

static void done_populate(struct world *w, struct call *c)
{
	(void)w;
	if (c->access == HF_ACCESS_WRITE)
		model_own_range(&c->m->model, c->va, c->va + page_up(c->len));
}

/* Collapse, at once and by and by. Contents stay, whatever becomes of the pages. */

/* Mostly a part that has small pages now; any range, if none is found. */
static bool pick_collapse(struct world *w, struct call *c)
{
	c->flags = HF_ADV_COLLAPSE;
	for (int tries = 0; tries < 20; tries++) {
		hf_va va = used_va(w, &c->m->model) & ~(PMD_SIZE - 1);
		const struct model_region *region = model_at(&c->m->model, va);
		struct hf_translation t;

		if (!region || region->end - va < PMD_SIZE || region->attr.object ||
		    hf_translate(&c->m->mm, va, &t) != HF_OK || t.level > HF_LEVEL_PTE)
			continue;
		c->va = va;
		c->len = PMD_SIZE;
		return true;
	}
	return pick_range(w, c);
}

static enum hf_status expect_collapse(struct world *w, struct call *c)
{
	enum hf_status status = expect_mapped(w, c);

	/* pinned or away; no page at all, or shared; no huge page */
	if (!status)
		c->may = MAY(HF_ERR_AGAIN) | MAY(HF_ERR_INVAL) | MAY(HF_ERR_NOMEM);
	return status;
}

/* Every part of 2 MiB that range and mapping cover is huge. */
static void done_collapse(struct world *w, struct call *c)
{
	hf_va va = (c->va + PMD_SIZE - 1) & ~(PMD_SIZE - 1), end = c->va + page_up(c->len);

	/* A child's mappings are cut where its parent's locks were, though nobody sees it. */
	for (; va + PMD_SIZE <= end && !c->m->mm.locks_stale; va += PMD_SIZE) {
		const struct model_region *region = model_at(&c->m->model, va);
		struct hf_translation t;

		if (region->end - va < PMD_SIZE)
			continue;
		must(w, hf_translate(&c->m->mm, va, &t), "hf_translate");
		if (t.level == HF_LEVEL_PTE)
			disagree(w, "no huge page at 0x%llx", (unsigned long long)va);
	}
}

static bool pick_scan(struct world *w, struct call *c)
{
	c->len = below(w, 30);
	if (one_in(w, 4)) {
		c->m->scan.max_empty = (uint32_t)below(w, 600);
		c->m->scan.max_shared = (uint32_t)below(w, 600);
		c->m->scan.idle = one_in(w, 2);
	}
	return true;
}

static enum hf_status expect_scan(struct world *w, struct call *c)
{
	(void)w;
	return c->len ? HF_OK : HF_ERR_EMPTY;
}

static enum hf_status call_scan(struct world *w, struct call *c)
{
	uint64_t looked = c->m->scan.inspected;
	enum hf_status status = hf_collapse_scan(&c->m->mm, &c->m->scan, c->len);

	if (c->m->scan.inspected - looked > c->len)
		disagree(w, "%llu parts looked at",
			 (unsigned long long)(c->m->scan.inspected - looked));
	return status;
}

/* Huge pages at once; chance alone seldom makes any. c->count is the advice. */

bool pick_huge_of(struct world *w, struct call *c, enum hf_advice advice)
{
	bool giant = advice == HF_ADV_HUGEPAGE_1G;
	uint64_t size = giant ? PUD_SIZE : PMD_SIZE;

	c->va = (any_va(w) + size - 1) & ~(size - 1);
	c->len = giant ? size : size * (1 + below(w, 3));
	c->prot = HF_PROT_READ | HF_PROT_WRITE;
	c->flags = HF_MAP_FIXED;
	c->count = advice;
	return c->va <= w->hi && c->len <= w->hi - c->va;
}

static bool pick_huge(struct world *w, struct call *c)
{
	return pick_huge_of(w, c, w->big && one_in(w, 20) ? HF_ADV_HUGEPAGE_1G : HF_ADV_HUGEPAGE);
}

static void done_huge(struct world *w, struct call *c)
{
	struct call advise = *c, fill = *c;

	done_mmap(w, c);
	advise.op = operation_named("hf_madvise");
	advise.flags = (unsigned)c->count;
	fill.op = operation_named("populate");
	fill.flags = HF_ADV_POPULATE_WRITE;
	fill.access = HF_ACCESS_WRITE;
	fill.needs = c->len + PMD_SIZE;
	if (run_call(w, &advise))
		run_call(w, &fill);
}

static const struct operation list[] = {
	{ .name = "hf_mmap",
	  .copies = true, /* where it is locked at once */
	  .weight = 60,
	  .pick = pick_mmap,
	  .expect = expect_mmap,
	  .call = call_mmap,
	  .done = done_mmap },
	{ .name = "hf_munmap",
	  .weight = 20,
	  .pick = pick_range,
	  .expect = expect_munmap,
	  .call = call_munmap,
	  .done = done_munmap },
	{ .name = "munmap much",
	  .weight = 12,
	  .pick = pick_munmap_much,
	  .expect = expect_munmap,
	  .call = call_munmap,
	  .done = done_munmap },
	{ .name = "hf_mremap",
	  .weight = 25,
	  .pick = pick_mremap,
	  .expect = expect_mremap,
	  .call = call_mremap,
	  .done = done_mremap },
	{ .name = "hf_mprotect",
	  .weight = 40,
	  .pick = pick_mprotect,
	  .expect = expect_mprotect,
	  .call = call_mprotect,
	  .done = done_mprotect },
	{ .name = "hf_madvise",
	  .copies = true, /* lazy pages have to be known */
	  .weight = 50,
	  .pick = pick_madvise,
	  .expect = expect_madvise,
	  .call = call_madvise,
	  .done = done_madvise },
	{ .name = "populate",
	  .copies = true,
	  .weight = 15,
	  .pick = pick_populate,
	  .expect = expect_populate,
	  .call = call_madvise,
	  .done = done_populate },
	{ .name = "collapse",
	  .weight = 12,
	  .copies = true,
	  .pick = pick_collapse,
	  .expect = expect_collapse,
	  .call = call_madvise,
	  .done = done_collapse },
	{ .name = "collapse scan",
	  .weight = 12,
	  .pick = pick_scan,
	  .expect = expect_scan,
	  .call = call_scan },
	{ .name = "huge pages",
	  .weight = 12,
	  .pick = pick_huge,
	  .expect = expect_mmap,
	  .call = call_mmap,
	  .done = done_huge },
};
OPERATIONS(map_operations, list);
