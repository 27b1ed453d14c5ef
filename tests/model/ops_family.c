/* SPDX-License-Identifier: MIT */
/* Spaces come, fork and go. */
#include "ops.h"

#include <stdlib.h>
#include <string.h>

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
	c->child = calloc(1, sizeof(*c->child));
	return true;
}

/* The fork did what was foretold, if no allocation was made to fail. */
static void compare_forecast(struct world *w, struct call *c, enum hf_status foretold,
			     const struct hf_fork_cost *cost, enum hf_status status)
{
	if (c->fail_after)
		return;
	if (foretold != HF_OK && foretold != status)
		disagree(w, "the forecast was %s, the fork gives %s", hf_status_name(foretold),
			 hf_status_name(status));
	if (status == HF_OK && memcmp(cost, &w->cost, sizeof(*cost)) != 0)
		disagree(w,
			 "forecast and fork: %llu and %llu tables read, %llu and %llu made, %llu "
			 "and %llu small pages copied, %llu and %llu huge ones",
			 (unsigned long long)cost->looked, (unsigned long long)w->cost.looked,
			 (unsigned long long)cost->tables, (unsigned long long)w->cost.tables,
			 (unsigned long long)cost->small, (unsigned long long)w->cost.small,
			 (unsigned long long)cost->huge, (unsigned long long)w->cost.huge);
}

static enum hf_status call_fork(struct world *w, struct call *c)
{
	enum hf_fork_policy policy = (enum hf_fork_policy)c->flags;
	struct hf_fork_cost cost;
	enum hf_status foretold = hf_fork_forecast(&c->m->mm, policy, &cost, NULL, 0, NULL);
	enum hf_status status = hf_fork(&c->m->mm, &c->child->mm, NULL, policy);

	compare_forecast(w, c, foretold, &cost, status);
	return status;
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

static void done_fork(struct world *w, struct call *c)
{
	compare_leaves(w, c);
	model_fork(&c->child->model, &c->m->model);
	member_add(w, c->child);
}

static void failed_fork(struct world *w, struct call *c)
{
	compare_leaves(w, c);
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
	trim(w);
	return HF_OK;
}

static void done_begin_anew(struct world *w, struct call *c)
{
	struct call create = { .op = operation_named("hf_mm_create") };
	struct call huge = { .op = operation_named("huge pages") };

	(void)c;
	if (free_bytes(w) != w->free_at_start)
		disagree(w, "%lld bytes leaked", (long long)(w->free_at_start - free_bytes(w)));
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
