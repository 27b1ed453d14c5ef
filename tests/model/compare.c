/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <string.h>

void check_invariants(struct world *w)
{
	struct hf_violation violation = { 0 };
	enum hf_status status = hf_mm_check(w->phys, &violation);

	if (status != HF_OK)
		disagree(w, "hf_mm_check: %s: rule %s, va 0x%llx, pa 0x%llx",
			 hf_status_name(status), violation.rule ? violation.rule : "(none)",
			 (unsigned long long)violation.va, (unsigned long long)violation.pa.v);
}

static struct hf_vma_info vma_info(const struct model_region *region)
{
	return (struct hf_vma_info){
		.start = region->start,
		.end = region->end,
		.prot = region->attr.prot,
		.huge = region->attr.flags & MODEL_HUGE,
		.huge_1g = region->attr.flags & MODEL_HUGE_1G,
		.dontfork = region->attr.flags & MODEL_DONTFORK,
		.wipeonfork = region->attr.flags & MODEL_WIPEONFORK,
	};
}

static void compare_mappings(struct world *w, struct member *member)
{
	struct hf_vma_info want, got;
	hf_va va = 0;

	for (size_t i = 0;; i++, va = want.end) {
		bool more = i < member->model.count;

		if ((hf_vma_next(&member->mm, va, &got) == HF_OK) != more)
			disagree(w, "above 0x%llx: the model has %s mapping",
				 (unsigned long long)va, more ? "a" : "no");
		if (!more)
			return;
		want = vma_info(&member->model.regions[i]);
		if (got.start != want.start || got.end != want.end || got.prot != want.prot ||
		    got.huge != want.huge || got.huge_1g != want.huge_1g ||
		    got.dontfork != want.dontfork || got.wipeonfork != want.wipeonfork)
			disagree(w,
				 "mapping [0x%llx, 0x%llx) prot %u, the model says "
				 "[0x%llx, 0x%llx) prot %u, or the advice differs",
				 (unsigned long long)got.start, (unsigned long long)got.end,
				 got.prot, (unsigned long long)want.start,
				 (unsigned long long)want.end, want.prot);
	}
}

static const uint8_t zeros[PAGE];

static void compare_page(struct world *w, const struct model *model, hf_va va,
			 const struct hf_translation *t)
{
	const struct model_page *page = model_page_seen(model, va);
	const void *want = page ? page->bytes : zeros, *got = zeros;
	hf_pa pa = { 0 };

	if (t) {
		pa.v = t->pa.v + (va - t->va);
		got = hf_phys_ptr(w->phys, pa);
	}
	if (got != want && memcmp(got, want, PAGE) != 0)
		disagree(w, "the bytes of page 0x%llx differ", (unsigned long long)va);
	if (page && page->pins && page->pa.v != pa.v)
		disagree(w, "pinned page 0x%llx moved from pa 0x%llx to 0x%llx",
			 (unsigned long long)va, (unsigned long long)page->pa.v,
			 (unsigned long long)pa.v);
}

/*
 * [va, end) lies in one leaf, or is one absent page (t is NULL). Of a 1 GiB page, those parts that the model knows and
 * some of the others.
 */
static void compare_leaf(struct world *w, const struct model *model, hf_va va, hf_va end,
			 const struct hf_translation *t)
{
	uint64_t at = va / PAGE, step = end - va > PMD_SIZE ? 1 + below(w, 512) : 1;

	for (; pagemap_next(&model->pages, at, end / PAGE, &at); at++)
		compare_page(w, model, at * PAGE, t);
	for (at = va / PAGE; at < end / PAGE; at += step)
		if (!pagemap_get(&model->pages, at))
			compare_page(w, model, at * PAGE, t);
}

static void compare_region(struct world *w, struct member *member,
			   const struct model_region *region)
{
	struct hf_translation t;
	hf_va end;

	for (hf_va va = region->start; va < region->end; va = end) {
		bool there = hf_translate(&member->mm, va, &t) == HF_OK;

		end = there ? t.va + t.len : va + PAGE;
		if (end > region->end)
			disagree(w, "the leaf at 0x%llx reaches over its mapping's end",
				 (unsigned long long)t.va);
		compare_leaf(w, &member->model, va, end, there ? &t : NULL);
	}
}

/* Nothing is present where nothing is mapped; in a large space, at some places. */
static void compare_gap(struct world *w, struct member *member, hf_va lo, hf_va hi)
{
	uint64_t step = w->big ? PAGE * (1 + below(w, 512)) : PAGE;
	struct hf_translation t;

	for (hf_va va = lo; va < hi; va += step)
		if (hf_translate(&member->mm, va, &t) == HF_OK)
			disagree(w, "a page is present at 0x%llx, where nothing is mapped",
				 (unsigned long long)va);
}

static void compare_member(struct world *w, struct member *member)
{
	const struct model *model = &member->model;
	hf_va end = model->lo;

	compare_mappings(w, member);
	for (size_t i = 0; i < model->count; i++) {
		compare_gap(w, member, end, model->regions[i].start);
		compare_region(w, member, &model->regions[i]);
		end = model->regions[i].end;
	}
	compare_gap(w, member, end, model->hi);
}

static void compare_held(struct world *w, const struct held *held)
{
	for (size_t i = 0; i < held->count; i++) {
		uint32_t pins;

		if (hf_phys_pins(w->phys, held->pa[i], &pins) != HF_OK ||
		    pins != held->pages[i]->pins)
			disagree(w, "pa 0x%llx holds %u pins, the model says %u",
				 (unsigned long long)held->pa[i].v, pins, held->pages[i]->pins);
		if (memcmp(hf_phys_ptr(w->phys, held->pa[i]), held->pages[i]->bytes, PAGE) != 0)
			disagree(w, "the device at pa 0x%llx sees other bytes than its owner",
				 (unsigned long long)held->pa[i].v);
	}
}

void compare_all(struct world *w)
{
	check_invariants(w);
	for (size_t i = 0; i < w->member_count; i++)
		compare_member(w, w->members[i]);
	for (size_t i = 0; i < w->held_count; i++)
		compare_held(w, w->held[i]);
}
