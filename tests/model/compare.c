/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t zeros[PAGE];

/* The page as the space has it; zeros where there is none. */
static const void *page_bytes(struct world *w, const struct hf_run *run, hf_va va)
{
	if (run->kind == HF_RUN_PAGE)
		return hf_phys_ptr(w->phys, (hf_pa){ run->pa.v + (va - run->va) });
	return zeros;
}

struct found {
	struct hf_run run;
};

static bool find(void *arg, const struct hf_run *run)
{
	struct found *found = arg;

	found->run = *run;
	return false;
}

/* Look whether the page of va, about which the model is unsure, is the space's own. */
static void settle_page(struct world *w, struct member *member, hf_va va)
{
	struct model *model = &member->model;
	const struct model_page *unsure = pagemap_get(&model->unsure, va / PAGE);
	const struct model_page *under = model_page_under(model, va);
	const void *object = under ? under->bytes : zeros;
	const void *copy = unsure->sealed ? unsure->bytes : object, *got;
	struct found found;

	if (!unsure->sealed && !(under && under->pins))
		return; /* nobody can tell */
	must(w, hf_mm_visit(&member->mm, va, PAGE, find, &found), "hf_mm_visit");
	if (found.run.kind == HF_RUN_HOLE || found.run.kind == HF_RUN_SWAPPED) {
		model_sure(model, va, found.run.kind == HF_RUN_SWAPPED);
		return;
	}
	got = page_bytes(w, &found.run, va);
	if (under && under->pins) { /* it is there and nowhere else */
		model_sure(model, va, found.run.pa.v + (va - found.run.va) != under->pa.v);
		return;
	}
	if (memcmp(object, copy, PAGE) == 0 && memcmp(got, copy, PAGE) == 0)
		return; /* nobody can tell */
	if (memcmp(got, copy, PAGE) == 0 || memcmp(got, object, PAGE) == 0)
		model_sure(model, va, memcmp(got, copy, PAGE) == 0);
	else
		disagree(w, "page 0x%llx is neither the object's nor a copy of it",
			 (unsigned long long)va);
}

/* Look whether a page that may have been dropped is still there. */
static void settle_lazy(struct world *w, struct member *member, uint64_t number)
{
	const void *got;
	struct found found;

	must(w, hf_mm_visit(&member->mm, number * PAGE, PAGE, find, &found), "hf_mm_visit");
	got = page_bytes(w, &found.run, number * PAGE);
	/* a new huge page may have come there since */
	if (found.run.kind != HF_RUN_SWAPPED && memcmp(got, zeros, PAGE) == 0)
		pagemap_clear(&member->model.pages, number, number + 1);
}

void settle(struct world *w, struct member *member, hf_va lo, hf_va hi)
{
	struct model *model = &member->model;
	uint64_t first = lo / PAGE;
	uint64_t at = lo / PAGE, end = hi / PAGE + (hi % PAGE != 0);

	for (; pagemap_next(&member->model.unsure, at, end, &at); at++)
		settle_page(w, member, at * PAGE);
	for (at = first; model->lazy && pagemap_next(&model->pages, at, end, &at); at++)
		if (pagemap_get(&model->pages, at)->lazy)
			settle_lazy(w, member, at);
}

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
		.locked = region->attr.flags & MODEL_LOCKED,
		.lock_on_fault = region->attr.flags & MODEL_ONFAULT,
		.sealed = region->attr.flags & MODEL_SEALED,
		.grows_down = region->attr.flags & MODEL_GROWSDOWN,
		.shared = region->attr.flags & MODEL_SHARED,
		.object = region->attr.object ? region->attr.object->real : NULL,
		.offset = region->attr.object ? region->offset : 0,
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
		    got.dontfork != want.dontfork || got.wipeonfork != want.wipeonfork ||
		    got.locked != want.locked || got.lock_on_fault != want.lock_on_fault ||
		    got.sealed != want.sealed || got.grows_down != want.grows_down ||
		    got.shared != want.shared || got.object != want.object ||
		    got.offset != want.offset)
			disagree(w,
				 "mapping [0x%llx, 0x%llx) prot %u, the model says "
				 "[0x%llx, 0x%llx) prot %u, or the advice differs",
				 (unsigned long long)got.start, (unsigned long long)got.end,
				 got.prot, (unsigned long long)want.start,
				 (unsigned long long)want.end, want.prot);
	}
}

/* The runs of a space, as hf_mm_visit shows them. */
struct runs {
	struct hf_run *list;
	size_t count, room;
};

static bool collect(void *arg, const struct hf_run *run)
{
	struct runs *runs = arg;

	if (runs->count == runs->room) {
		runs->room = runs->room ? 2 * runs->room : 64;
		runs->list = realloc(runs->list, runs->room * sizeof(runs->list[0]));
	}
	runs->list[runs->count++] = *run;
	return true;
}

static void compare_page(struct world *w, const struct model *model, const struct hf_run *run,
			 hf_va va)
{
	const struct model_page *page = model_page_seen(model, va);
	const void *want = page ? page->bytes : zeros, *got = page_bytes(w, run, va);
	hf_pa pa = { run->pa.v + (va - run->va) };

	if (run->kind == HF_RUN_SWAPPED)
		return; /* compare_swapped */
	if (run->kind == HF_RUN_HOLE && model_page_under(model, va) &&
	    !pagemap_get(&model->pages, va / PAGE))
		return; /* the object's page has not been mapped yet */
	if (got != want && memcmp(got, want, PAGE) != 0)
		disagree(w, "the bytes of page 0x%llx differ", (unsigned long long)va);
	if (page && page->pins && (run->kind != HF_RUN_PAGE || page->pa.v != pa.v))
		disagree(w, "pinned page 0x%llx moved from pa 0x%llx to 0x%llx",
			 (unsigned long long)va, (unsigned long long)page->pa.v,
			 (unsigned long long)pa.v);
}

/* Bytes that the model knows to be pinned in the run. */
static uint64_t pinned_bytes(const struct model *model, const struct hf_run *run)
{
	uint64_t bytes = 0;

	for (hf_va va = run->va; va < run->va + run->len; va += PAGE) {
		const struct model_page *page = model_page_seen(model, va);

		bytes += page && page->pins ? PAGE : 0;
	}
	return bytes;
}

/* Every page of the run; of a 1 GiB page, those that the model knows and some of the others. */
static void compare_run(struct world *w, const struct model *model, const struct hf_run *run)
{
	uint64_t at = run->va / PAGE, end = (run->va + run->len) / PAGE;
	uint64_t step = run->len > 16 * MIB ? 1 + below(w, 512) : 1, pinned;

	for (; pagemap_next(&model->pages, at, end, &at); at++)
		compare_page(w, model, run, at * PAGE);
	for (at = run->va / PAGE; at < end; at += step)
		if (!pagemap_get(&model->pages, at))
			compare_page(w, model, run, at * PAGE);
	pinned = run->kind == HF_RUN_PAGE ? pinned_bytes(model, run) : 0;
	if (run->pinned != pinned)
		disagree(w, "at 0x%llx %llu bytes are told to be pinned, the model says %llu",
			 (unsigned long long)run->va, (unsigned long long)run->pinned,
			 (unsigned long long)pinned);
}

/* Pages in the swap store: some of them, for they come back when they are read. */
static void compare_swapped(struct world *w, struct member *member, const struct hf_run *run,
			    unsigned prot)
{
	uint8_t want[PAGE], got[PAGE];
	hf_va va = run->va + PAGE * below(w, run->len / PAGE);
	enum hf_status status;

	for (hf_va at = run->va; at < run->va + run->len; at += PAGE) {
		const struct model_page *page = pagemap_get(&member->model.pages, at / PAGE);

		if (page && page->pins)
			disagree(w, "pinned page 0x%llx is in the swap store",
				 (unsigned long long)at);
	}
	if (prot == HF_PROT_NONE || !one_in(w, 4))
		return;
	status = hf_read(&member->mm, va, got, PAGE);
	if (status == HF_ERR_NOMEM || status == HF_ERR_OVERFLOW)
		return;
	must(w, status, "hf_read of a page that is away");
	model_read(&member->model, va, want, PAGE);
	if (memcmp(got, want, PAGE) != 0)
		disagree(w, "page 0x%llx comes back from the store with other bytes",
			 (unsigned long long)va);
}

/* A single question about the same place gives the same answer. */
static void compare_translation(struct world *w, struct member *member, const struct hf_run *run)
{
	struct hf_translation t;
	enum hf_status status = hf_translate(&member->mm, run->va, &t);
	bool there = run->kind == HF_RUN_PAGE || run->kind == HF_RUN_ZERO;

	if (there != (status == HF_OK) ||
	    (there && (t.va > run->va || t.level != run->level || t.access != run->access)) ||
	    (run->kind == HF_RUN_PAGE && t.pa.v + (run->va - t.va) != run->pa.v))
		disagree(w, "a run at 0x%llx, and hf_translate says something else (%s)",
			 (unsigned long long)run->va, hf_status_name(status));
}

static void sum_up(struct hf_smaps *sum, const struct hf_run *run)
{
	bool page = run->kind == HF_RUN_PAGE;

	sum->size += run->len;
	sum->zero += run->kind == HF_RUN_ZERO ? run->len : 0;
	sum->swapped += run->kind == HF_RUN_SWAPPED ? run->len : 0;
	if (!page)
		return;
	sum->resident += run->len;
	sum->leaf[run->level] += run->len;
	sum->shared_clean += run->exclusive ? 0 : run->len;
	sum->private_clean += run->exclusive ? run->len : 0;
	sum->shared_table += run->shared_table ? run->len : 0;
	sum->accessed += run->accessed ? run->len : 0;
	sum->lazy += run->lazy ? run->len : 0;
	sum->pinned += run->pinned;
}

static void compare_smaps(struct world *w, struct member *member, const struct hf_smaps *sum,
			  const struct model_region *region)
{
	struct hf_smaps got;
	bool same;

	must(w, hf_mm_smaps(&member->mm, region->start, &got), "hf_mm_smaps");
	same = got.size == sum->size && got.resident == sum->resident && got.zero == sum->zero &&
	       got.swapped == sum->swapped && got.pinned == sum->pinned && got.lazy == sum->lazy &&
	       got.accessed == sum->accessed && got.shared_table == sum->shared_table &&
	       got.shared_clean + got.shared_dirty == sum->shared_clean &&
	       got.private_clean + got.private_dirty == sum->private_clean;
	for (unsigned level = 0; level < HF_LEAF_LEVELS; level++)
		same &= got.leaf[level] == sum->leaf[level];
	if (!same || got.vma.start != region->start || got.vma.end != region->end)
		disagree(w, "hf_mm_smaps of the mapping at 0x%llx is not what its runs add up to",
			 (unsigned long long)region->start);
}

static void compare_stats(struct world *w, struct member *member, const struct hf_smaps *all)
{
	struct hf_mm_stats stats;
	uint64_t leaves = 0;

	hf_mm_stats(&member->mm, &stats);
	for (unsigned level = 0; level < HF_LEAF_LEVELS; level++)
		leaves += stats.leaves[level] * hf_level_size(level);
	if (stats.mapped_bytes != all->size || stats.vmas != member->model.count ||
	    leaves != all->resident || stats.zero_bytes != all->zero ||
	    stats.swapped * PAGE != all->swapped || stats.pinned_frames * PAGE != all->pinned)
		disagree(w, "hf_mm_stats is not what the runs add up to");
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

/* The runs of one region cover it without a gap; adds them to *all. */
static size_t compare_region(struct world *w, struct member *member, const struct runs *runs,
			     size_t first, const struct model_region *region, struct hf_smaps *all)
{
	struct hf_smaps sum = { 0 };
	hf_va at = region->start;
	size_t i = first;

	for (; at < region->end; i++) {
		const struct hf_run *run = &runs->list[i];

		if (i == runs->count || run->va != at || run->len > region->end - at)
			disagree(w, "no run begins at 0x%llx, or it reaches too far",
				 (unsigned long long)at);
		compare_run(w, &member->model, run);
		compare_translation(w, member, run);
		sum_up(&sum, run);
		sum_up(all, run);
		at += run->len;
	}
	compare_smaps(w, member, &sum, region);
	return i;
}

static void compare_member(struct world *w, struct member *member)
{
	const struct model *model = &member->model;
	struct hf_smaps all = { 0 };
	struct runs runs = { 0 };
	hf_va end = model->lo;
	size_t next = 0;

	settle(w, member, model->lo, model->hi);
	compare_mappings(w, member);
	must(w, hf_mm_visit(&member->mm, model->lo, model->hi - model->lo, collect, &runs),
	     "hf_mm_visit");
	for (size_t i = 0; i < model->count; i++) {
		compare_gap(w, member, end, model->regions[i].start);
		next = compare_region(w, member, &runs, next, &model->regions[i], &all);
		end = model->regions[i].end;
	}
	compare_gap(w, member, end, model->hi);
	if (next != runs.count)
		disagree(w, "%zu runs are in no mapping", runs.count - next);
	compare_stats(w, member, &all);
	for (size_t i = 0; i < runs.count; i++)
		if (runs.list[i].kind == HF_RUN_SWAPPED)
			compare_swapped(w, member, &runs.list[i],
					model_at(model, runs.list[i].va)->attr.prot);
	free(runs.list);
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
