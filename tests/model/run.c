/* SPDX-License-Identifier: MIT */
/* All operations; drawing one, and seeing to it that space and model agree on it. */
#include "ops.h"

#include <stdio.h>
#include <string.h>

static const struct operations *const subjects[] = {
	&access_operations, &map_operations,	&lock_operations, &object_operations,
	&pin_operations,    &family_operations, &swap_operations,
};

#define MAX_OPERATIONS 128

/* Over all worlds of the program. */
static const struct operation *all[MAX_OPERATIONS];
static uint64_t outcomes[MAX_OPERATIONS][OUTCOMES];
static size_t all_count;
static bool chosen[MAX_OPERATIONS];
static unsigned total_weight;

const struct operation *operation_named(const char *name)
{
	for (size_t i = 0; i < all_count; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

/* Choose those in the list; false: one of its names is none. */
static bool choose_named(const char *names)
{
	while (*names) {
		size_t len = strcspn(names, ","), i = 0;

		while (i < all_count &&
		       (strncmp(all[i]->name, names, len) != 0 || all[i]->name[len] != '\0'))
			i++;
		if (i == all_count) {
			fprintf(stderr,
				"test_model: no operation is called %.*s; these are:", (int)len,
				names);
			for (i = 0; i < all_count; i++)
				fprintf(stderr, "%s %s", i ? "," : "", all[i]->name);
			fprintf(stderr, "\n");
			return false;
		}
		chosen[i] = true;
		names += len + (names[len] == ',');
	}
	return true;
}

bool choose_operations(const char *names)
{
	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
		for (size_t k = 0; k < subjects[i]->count; k++)
			all[all_count++] = &subjects[i]->list[k];
	if (names && !choose_named(names))
		return false;
	for (size_t i = 0; i < all_count; i++) {
		chosen[i] |= !names;
		total_weight += chosen[i] ? all[i]->weight : 0;
	}
	return true;
}

static const struct operation *draw(struct world *w)
{
	uint64_t pick = below(w, total_weight);
	size_t i = 0;

	for (;; i++) {
		uint64_t weight = chosen[i] ? all[i]->weight : 0;

		if (pick < weight)
			return all[i];
		pick -= weight;
	}
}

static void count_outcome(const struct call *c, enum outcome outcome)
{
	for (size_t i = 0; i < all_count; i++)
		if (all[i] == c->op)
			outcomes[i][outcome]++;
}

/* Memory, or room in a count, was too short for a call that the model would have let pass. */
static bool is_short(struct world *w, const struct call *c)
{
	if (c->want != HF_OK && c->want != HF_ERR_BUS && c->want != HF_ERR_LIMIT &&
	    c->want != HF_ERR_SEALED && !c->op->cpu)
		return false;
	if (c->status == HF_ERR_NOMEM)
		return c->fail_after || free_bytes(w) < c->needs + 2 * PMD_SIZE;
	if (c->status == HF_ERR_BUS)
		return w->pager_failed;
	if (c->status == HF_ERR_STORE)
		return w->store_failed;
	return c->status == HF_ERR_OVERFLOW && w->count_limit;
}

static void tell_call(const struct call *c, uint64_t op)
{
	printf("# %7llu %-14s", (unsigned long long)op, c->op->name);
	if (c->m_id)
		printf(" m%u", c->m_id);
	printf(" va 0x%llx len 0x%llx", (unsigned long long)c->va, (unsigned long long)c->len);
	if (c->from_id)
		printf(" from m%u", c->from_id);
	if (c->src)
		printf(" src 0x%llx", (unsigned long long)c->src);
	if (c->object)
		printf(" object %u+0x%llx", c->object_id, (unsigned long long)c->offset);
	printf(" prot %u flags %u", c->prot, c->flags);
	if (c->fail_after)
		printf(" fail_after %llu", (unsigned long long)c->fail_after);
	if (c->pager_after)
		printf(" pager_after %llu", (unsigned long long)c->pager_after);
	if (c->store_after)
		printf(" store_after %llu", (unsigned long long)c->store_after);
	printf(": %s (%s)\n", hf_status_name(c->status), hf_status_name(c->want));
}

/* The part of [va, va+len) that is in the space; with `more`, of the 2 MiB around it. */
static bool part_of(const struct model *model, hf_va *va, hf_va *end, uint64_t len)
{
	uint64_t mask = PAGE - 1;
	const struct model_region *region;

	*end = len > model->hi - model->lo ? model->hi : *va + len;
	if (*va < model->lo || *va >= model->hi)
		return false;
	*end = *end > model->hi ? model->hi : *end;
	for (region = model_above(model, *va);
	     region && region < model->regions + model->count && region->start < *end; region++)
		if (model_copies_more(region))
			mask = PMD_SIZE - 1;
	*va &= ~mask;
	*end = (*end + mask) & ~mask;
	*va = *va < model->lo ? model->lo : *va;
	*end = *end > model->hi ? model->hi : *end;
	return true;
}

static void settle_call(struct world *w, struct call *c)
{
	hf_va va = c->va, end;

	if (part_of(&c->m->model, &va, &end, c->len))
		settle(w, c->m, va, end);
	if (!c->from)
		return;
	va = c->src;
	if (part_of(&c->from->model, &va, &end, c->len))
		settle(w, c->from, va, end);
}

/* The call may have made private copies of what it touched, and of more; also when it failed. */
static void unsure_call(struct world *w, struct call *c)
{
	hf_va va = c->va, end;

	(void)w;
	if (part_of(&c->m->model, &va, &end, c->len))
		model_unsure(&c->m->model, va, end);
}

/* Stacks that the call made grow, also if it failed later; none but those that may. */
static void observe_stacks(struct world *w, struct call *c)
{
	struct model *model = &c->m->model;
	struct hf_vma_info vma;

	for (hf_va va = c->va; va < c->va + c->len && va < model->hi; va += PAGE - va % PAGE) {
		if (model_at(model, va) || hf_vma_next(&c->m->mm, va, &vma) || vma.start > va)
			continue;
		if (model_check_grow(model, va) != HF_OK)
			disagree(w, "a stack has grown to 0x%llx", (unsigned long long)va);
		model_grow(model, va);
	}
}

bool run_call(struct world *w, struct call *c)
{
	struct call *recent = &w->recent[w->calls % RECENT];

	w->doing = c->op->name;
	c->m_id = c->m ? c->m->id : 0;
	c->from_id = c->from ? c->from->id : 0;
	c->object_id = c->object ? c->object->id : 0;
	c->may = 0;
	if (c->m && c->op->copies)
		settle_call(w, c);
	c->want = c->op->expect ? c->op->expect(w, c) : HF_OK;
	w->recent_op[w->calls++ % RECENT] = w->op;
	*recent = *c;
	hf_phys_fail_after(w->phys, c->fail_after);
	w->pager_after = c->pager_after;
	w->pager_failed = false;
	w->store_after = c->store_after;
	w->store_failed = false;
	c->status = c->op->call(w, c);
	hf_phys_fail_after(w->phys, 0);
	w->pager_after = w->store_after = 0;
	*recent = *c;
	if (w->tell)
		tell_call(c, w->op);
	if (c->status == HF_OK
		    ? c->want != HF_OK
		    : c->status != c->want && !(c->may & MAY(c->status)) && !is_short(w, c))
		disagree(w, "gives %s, the model says %s; %llu bytes are free",
			 hf_status_name(c->status), hf_status_name(c->want),
			 (unsigned long long)free_bytes(w));
	if (c->op->grows)
		observe_stacks(w, c);
	if (c->status == HF_OK && c->op->done)
		c->op->done(w, c);
	else if (c->status != HF_OK && c->op->failed)
		c->op->failed(w, c);
	if (c->m && c->op->copies)
		unsure_call(w, c);
	objects_collect(w);
	count_outcome(c, c->status == HF_OK ? DONE : is_short(w, c) ? SHORT : REFUSED);
	return c->status == HF_OK;
}

void run_operation(struct world *w)
{
	struct call c = { 0 };

	trim(w);
	c.op = w->member_count ? draw(w) : operation_named("hf_mm_create");
	if (w->member_count)
		c.m = w->members[below(w, w->member_count)];
	if (w->big && one_in(w, 200)) /* 1 GiB pages do not last */
		c.op = operation_named("begin anew");
	w->doing = c.op->name;
	if (one_in(w, 30))
		c.fail_after = 1 + below(w, 8);
	if (one_in(w, 30))
		c.pager_after = 1 + below(w, 4);
	if (one_in(w, 30))
		c.store_after = 1 + below(w, 8);
	if (!c.op->pick || c.op->pick(w, &c))
		run_call(w, &c);
}

void tell_recent(const struct world *w)
{
	uint64_t first = w->calls > RECENT ? w->calls - RECENT : 0;

	for (uint64_t i = first; i < w->calls; i++)
		tell_call(&w->recent[i % RECENT], w->recent_op[i % RECENT]);
}

void print_operations(uint64_t huge_leaves, uint64_t giant_leaves, uint64_t forks)
{
	printf("# %-16s %10s %10s %10s\n", "operation", "done", "refused", "short");
	for (size_t i = 0; i < all_count; i++) {
		if (chosen[i])
			printf("# %-16s %10llu %10llu %10llu\n", all[i]->name,
			       (unsigned long long)outcomes[i][DONE],
			       (unsigned long long)outcomes[i][REFUSED],
			       (unsigned long long)outcomes[i][SHORT]);
	}
	if (forks)
		printf("# leaves of 2 MiB and 1 GiB in a forked space, on average: %.2f, %.4f\n",
		       (double)huge_leaves / (double)forks, (double)giant_leaves / (double)forks);
}
