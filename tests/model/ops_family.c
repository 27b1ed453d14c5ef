/* SPDX-License-Identifier: MIT */
/* Spaces come, fork and go. */
#include "ops.h"

#include <stdlib.h>

/* The most memory that the pins of a space can make fork want: a huge page for each. */
static uint64_t fork_needs(const struct model *model)
{
	uint64_t at = model->lo / PAGE, end = model->hi / PAGE, last = 0, need = 0;

	for (; pagemap_next(&model->pages, at, end, &at); at++) {
		uint64_t part = at / 512 + 1;

		if (!pagemap_get(&model->pages, at)->pins || part == last)
			continue;
		need += PMD_SIZE + PAGE;
		last = part;
	}
	return need;
}

/* hf_fork: c->flags is the policy */

static bool pick_fork(struct world *w, struct call *c)
{
	if (w->member_count == MAX_MEMBERS)
		return false;
	c->flags = one_in(w, 2) ? HF_FORK_SPLIT : HF_FORK_COPY;
	c->needs = fork_needs(&c->m->model);
	hf_mm_stats(&c->m->mm, &c->before);
	w->huge_leaves += c->before.leaves[HF_LEVEL_PMD];
	w->giant_leaves += c->before.leaves[HF_LEVEL_PUD];
	w->forks++;
	c->foretold = hf_fork_forecast(&c->m->mm, (enum hf_fork_policy)c->flags, &c->forecast,
				       w->fork_pins, MAX_FORK_PINS, &c->fork_pins);
	c->child = calloc(1, sizeof(*c->child));
	return true;
}

static enum hf_status call_fork(struct world *w, struct call *c)
{
	(void)w;
	return hf_fork(&c->m->mm, &c->child->mm, NULL, (enum hf_fork_policy)c->flags);
}

/* The parent's leaves stay, but for pinned huge ones under SPLIT. */
static void compare_leaves(struct world *w, struct call *c)
{
	struct hf_mm_stats after;

	hf_mm_stats(&c->m->mm, &after);
	for (unsigned level = 0; level < HF_LEAF_LEVELS; level++) {
		if (after.leaves[level] == c->before.leaves[level])
			continue;
		if (c->status != HF_OK || c->flags == HF_FORK_COPY)
			disagree(w, "the parent's %llu leaves of level %u became %llu",
				 (unsigned long long)c->before.leaves[level], level,
				 (unsigned long long)after.leaves[level]);
	}
}

static bool is_copied(const struct model_region *region)
{
	return !(region->attr.flags & (MODEL_DONTFORK | MODEL_WIPEONFORK | MODEL_SHARED));
}

/* The forecast's ranges hold every pinned page that fork must copy, and no other. */
static void compare_fork_pins(struct world *w, struct call *c)
{
	const struct model *model = &c->m->model;
	uint64_t bytes = 0, told = 0, pinned = 0;
	size_t in = 0;

	for (size_t i = 0; i < c->fork_pins; i++) {
		bytes += w->fork_pins[i].len;
		told += w->fork_pins[i].pinned;
	}
	for (size_t i = 0; i < model->count; i++) {
		uint64_t at = model->regions[i].start / PAGE, end = model->regions[i].end / PAGE;

		for (; is_copied(&model->regions[i]) && pagemap_next(&model->pages, at, end, &at);
		     at++) {
			if (!pagemap_get(&model->pages, at)->pins)
				continue;
			pinned += PAGE;
			while (in < c->fork_pins &&
			       w->fork_pins[in].va + w->fork_pins[in].len <= at * PAGE)
				in++;
			if (in == c->fork_pins || w->fork_pins[in].va > at * PAGE)
				disagree(w, "pinned page 0x%llx is not in the forecast",
					 (unsigned long long)at * PAGE);
		}
	}
	if (bytes != c->forecast.bytes || told != pinned ||
	    (c->flags == HF_FORK_SPLIT && bytes != pinned))
		disagree(w,
			 "the forecast has %llu bytes to copy, %llu in its list; %llu pinned, the "
			 "model says %llu",
			 (unsigned long long)c->forecast.bytes, (unsigned long long)bytes,
			 (unsigned long long)told, (unsigned long long)pinned);
}

/* What fork took is what was foretold. An allocation that is made to fail was not. */
static void compare_forecast(struct world *w, struct call *c)
{
	const struct hf_fork_cost *f = &c->forecast, *got = &w->cost;

	if (c->fork_pins <= MAX_FORK_PINS)
		compare_fork_pins(w, c);
	if (c->status != HF_OK) {
		/* the tree of mappings may have been what there was no memory for */
		if (c->foretold == HF_OK && c->status == HF_ERR_OVERFLOW)
			disagree(w, "the forecast was HF_OK");
		return;
	}
	if (c->foretold != HF_OK)
		disagree(w, "the forecast was %s", hf_status_name(c->foretold));
	if (c->fail_after)
		return; /* small pages may have stood in for huge ones */
	if (f->inspected != got->inspected || f->tables != got->tables || f->small != got->small ||
	    f->huge != got->huge || f->bytes != got->bytes)
		disagree(
			w,
			"foretold: %llu tables looked at, %llu made, %llu + %llu pages; took %llu, "
			"%llu, %llu + %llu",
			(unsigned long long)f->inspected, (unsigned long long)f->tables,
			(unsigned long long)f->small, (unsigned long long)f->huge,
			(unsigned long long)got->inspected, (unsigned long long)got->tables,
			(unsigned long long)got->small, (unsigned long long)got->huge);
}

static void done_fork(struct world *w, struct call *c)
{
	compare_leaves(w, c);
	compare_forecast(w, c);
	model_fork(&c->child->model, &c->m->model);
	member_add(w, c->child);
}

static void failed_fork(struct world *w, struct call *c)
{
	compare_leaves(w, c);
	compare_forecast(w, c);
	free(c->child);
}

/* hf_mm_create: c->flags is the way of copying huge pages */

static bool pick_create(struct world *w, struct call *c)
{
	if (w->member_count >= 3)
		return false;
	c->flags = one_in(w, 2) ? HF_HUGE_COW_SMALL : HF_HUGE_COW_WHOLE;
	c->child = calloc(1, sizeof(*c->child));
	return true;
}

static enum hf_status call_create(struct world *w, struct call *c)
{
	struct hf_mm_config config = {
		.va_lo = w->lo,
		.va_hi = w->hi,
		.huge_cow = (enum hf_huge_cow)c->flags,
	};

	return hf_mm_create(&c->child->mm, w->phys, &config);
}

static void done_create(struct world *w, struct call *c)
{
	model_init(&c->child->model, w->lo, w->hi);
	member_add(w, c->child);
}

static void failed_create(struct world *w, struct call *c)
{
	(void)w;
	free(c->child);
}

/* hf_mm_destroy */

static enum hf_status call_destroy(struct world *w, struct call *c)
{
	for (size_t i = 0; i < w->member_count; i++) {
		if (w->members[i] == c->m) {
			member_end(w, i);
			break;
		}
	}
	return HF_OK;
}

/* Everything goes, so that RAM is whole again. */

static enum hf_status call_begin_anew(struct world *w, struct call *c)
{
	(void)c;
	while (w->member_count)
		member_end(w, w->member_count - 1);
	release_all(w);
	objects_release(w);
	trim(w);
	return HF_OK;
}

static void done_begin_anew(struct world *w, struct call *c)
{
	struct call create = { .op = operation_named("hf_mm_create") };
	struct call huge = { .op = operation_named("huge pages") };

	(void)c;
	if (unused_bytes(w) != w->unused_at_start)
		disagree(w, "%lld bytes leaked", (long long)(w->unused_at_start - unused_bytes(w)));
	if (!w->big || !create.op->pick(w, &create) || !run_call(w, &create))
		return;
	huge.m = w->members[0];
	if (pick_huge_of(w, &huge, HF_ADV_HUGEPAGE_1G))
		run_call(w, &huge);
}

static const struct operation list[] = {
	{ .name = "hf_fork",
	  .weight = 12,
	  .pick = pick_fork,
	  .call = call_fork,
	  .done = done_fork,
	  .failed = failed_fork },
	{ .name = "hf_mm_create",
	  .weight = 4,
	  .pick = pick_create,
	  .call = call_create,
	  .done = done_create,
	  .failed = failed_create },
	{ .name = "begin anew", .weight = 1, .call = call_begin_anew, .done = done_begin_anew },
	{ .name = "hf_mm_destroy", .weight = 7, .call = call_destroy },
};
OPERATIONS(family_operations, list);
