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

static void compare_mappings(struct world *w, struct member *member)
{
	struct hf_vma_info want, got;
	hf_va va = 0;
	bool more;

	for (;; va = want.end) {
		more = model_vma_next(&member->model, va, &want);
		if ((hf_vma_next(&member->mm, va, &got) == HF_OK) != more)
			disagree(w, "above 0x%llx: the model has %s mapping",
				 (unsigned long long)va, more ? "a" : "no");
		if (!more)
			return;
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

static void compare_page(struct world *w, struct member *member, hf_va va)
{
	static const uint8_t zeros[PAGE];
	const struct model_page *page = model_slot(&member->model, va)->page;
	const void *want = page ? page->bytes : zeros, *got = zeros;
	struct hf_translation t;
	hf_pa pa = { 0 };

	if (hf_translate(&member->mm, va, &t) == HF_OK) {
		pa.v = t.pa.v + (va - t.va);
		got = hf_phys_ptr(w->phys, pa);
	}
	if (memcmp(got, want, PAGE) != 0)
		disagree(w, "the bytes of page 0x%llx differ", (unsigned long long)va);
	if (page && page->pins && page->pa.v != pa.v)
		disagree(w, "pinned page 0x%llx moved from pa 0x%llx to 0x%llx",
			 (unsigned long long)va, (unsigned long long)page->pa.v,
			 (unsigned long long)pa.v);
}

static void compare_member(struct world *w, struct member *member)
{
	struct model *model = &member->model;
	struct hf_mm_stats stats;

	hf_mm_stats(&member->mm, &stats);
	w->huge_leaves += stats.leaves[HF_LEVEL_PMD];
	w->spaces++;
	compare_mappings(w, member);
	for (size_t i = 0; i < model->count; i++) {
		hf_va va = model->lo + i * PAGE;
		struct hf_translation t;

		if (model->slots[i].mapped)
			compare_page(w, member, va);
		else if (hf_translate(&member->mm, va, &t) == HF_OK)
			disagree(w, "a page is present at 0x%llx, where nothing is mapped",
				 (unsigned long long)va);
	}
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
