/* SPDX-License-Identifier: MIT */
/* All operations; drawing one, and seeing to it that space and model agree on it. */
#include "ops.h"

#include <stdio.h>
#include <string.h>

static const struct operations *const subjects[] = {
	&access_operations,
	&map_operations,
	&pin_operations,
	&family_operations,
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
	if (c->want != HF_OK && !c->op->cpu)
		return false;
	if (c->status == HF_ERR_NOMEM)
		return c->fail_after || free_bytes(w) < c->needs + 2 * PMD_SIZE;
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
	printf(" prot %u flags %u", c->prot, c->flags);
	if (c->fail_after)
		printf(" fail_after %llu", (unsigned long long)c->fail_after);
	printf(": %s (%s)\n", hf_status_name(c->status), hf_status_name(c->want));
}

bool run_call(struct world *w, struct call *c)
{
	struct call *recent = &w->recent[w->calls % RECENT];

	w->doing = c->op->name;
	c->m_id = c->m ? c->m->id : 0;
	c->from_id = c->from ? c->from->id : 0;
	c->another = HF_OK;
	c->want = c->op->expect ? c->op->expect(w, c) : HF_OK;
	w->recent_op[w->calls++ % RECENT] = w->op;
	*recent = *c;
	hf_phys_fail_after(w->phys, c->fail_after);
	c->status = c->op->call(w, c);
	hf_phys_fail_after(w->phys, 0);
	*recent = *c;
	if (w->tell)
		tell_call(c, w->op);
	if (c->status == HF_OK ? c->want != HF_OK
			       : c->status != c->want && c->status != c->another && !is_short(w, c))
		disagree(w, "gives %s, the model says %s; %llu bytes are free",
			 hf_status_name(c->status), hf_status_name(c->want),
			 (unsigned long long)free_bytes(w));
	if (c->status == HF_OK && c->op->done)
		c->op->done(w, c);
	else if (c->status != HF_OK && c->op->failed)
		c->op->failed(w, c);
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
