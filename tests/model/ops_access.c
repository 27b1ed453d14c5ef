/* SPDX-License-Identifier: MIT */
/* What programs do (through a CPU), and the copy functions. */
#include "ops.h"

#include <string.h>

static struct hf_soft_cpu *cpu_of(const struct call *c)
{
	return c->m->cpu[c->cpu];
}

/* A CPU goes page by page, over the end of the space if it must. */
static enum hf_status expect_program(struct world *w, struct call *c)
{
	const struct model *model = &c->m->model;
	uint64_t inside = model->hi - c->va < c->len ? model->hi - c->va : c->len;
	enum hf_status status = model_first_fault(model, c->va, inside, c->access);

	(void)w;
	if (status == HF_ERR_UNMAPPED)
		status = model_fault_growing(model, c->va, inside, c->access);
	return status || inside == c->len ? status : HF_ERR_RANGE;
}

static bool pick_word(struct world *w, struct call *c, unsigned access)
{
	c->va = used_va(w, &c->m->model);
	c->len = (uint64_t)1 << below(w, 4);
	c->access = access;
	c->cpu = (unsigned)below(w, 2);
	c->needs = 2 * PAGE;
	return true;
}

/* c->got is what the model says, too. */
static void compare_word(struct world *w, struct call *c)
{
	uint64_t want = 0;

	model_read(&c->m->model, c->va, &want, c->len);
	if (c->got != want)
		disagree(w, "0x%llx is there, the model says 0x%llx", (unsigned long long)c->got,
			 (unsigned long long)want);
}

static bool pick_load(struct world *w, struct call *c)
{
	return pick_word(w, c, HF_ACCESS_READ);
}

static enum hf_status call_load(struct world *w, struct call *c)
{
	(void)w;
	return hf_soft_load(cpu_of(c), c->va, (unsigned)c->len, &c->got);
}

static bool pick_store(struct world *w, struct call *c)
{
	c->value = below(w, UINT32_MAX) * 0x9e3779b97f4a7c15u;
	return pick_word(w, c, HF_ACCESS_WRITE);
}

static enum hf_status call_store(struct world *w, struct call *c)
{
	(void)w;
	return hf_soft_store(cpu_of(c), c->va, (unsigned)c->len, c->value);
}

static void done_store(struct world *w, struct call *c)
{
	(void)w;
	model_write(&c->m->model, c->va, &c->value, c->len);
}

static bool pick_fetch(struct world *w, struct call *c)
{
	pick_word(w, c, HF_ACCESS_EXEC);
	c->len = 4;
	return true;
}

static enum hf_status call_fetch(struct world *w, struct call *c)
{
	(void)w;
	return hf_soft_fetch(cpu_of(c), c->va, (unsigned)c->len, &c->got);
}

/* Compare-exchange; c->count: with the right expectation. */

static bool pick_cmpxchg(struct world *w, struct call *c)
{
	c->value = below(w, UINT32_MAX);
	c->count = !one_in(w, 3);
	pick_word(w, c, HF_ACCESS_WRITE);
	c->va &= ~(hf_va)7;
	c->len = 8;
	return true;
}

static enum hf_status expect_cmpxchg(struct world *w, struct call *c)
{
	enum hf_status status = expect_program(w, c);

	c->old = 0;
	if (!status)
		model_read(&c->m->model, c->va, &c->old, 8);
	c->got = c->count ? c->old : c->old + 1;
	return status;
}

static enum hf_status call_cmpxchg(struct world *w, struct call *c)
{
	bool swapped = false;
	enum hf_status status = hf_soft_cmpxchg(cpu_of(c), c->va, 8, &c->got, c->value, &swapped);

	if (!status && swapped != (bool)c->count)
		disagree(w, "%s", swapped ? "swapped" : "not swapped");
	return status;
}

static void done_cmpxchg(struct world *w, struct call *c)
{
	compare_word(w, c);
	if (c->count)
		model_write(&c->m->model, c->va, &c->value, 8);
}

/* Bulk copies through a CPU, and the core's own: w->buf[0] holds the bytes. */

static bool pick_bytes(struct world *w, struct call *c, unsigned access)
{
	c->va = used_va(w, &c->m->model);
	c->len = some_bytes(w);
	c->access = access;
	c->cpu = (unsigned)below(w, 2);
	c->needs = c->len + PMD_SIZE;
	if (access == HF_ACCESS_WRITE)
		some_content(w, w->buf[0], c->len);
	return true;
}

static void compare_bytes(struct world *w, struct call *c)
{
	model_read(&c->m->model, c->va, w->buf[1], c->len);
	if (memcmp(w->buf[0], w->buf[1], c->len) != 0)
		disagree(w, "the bytes read differ from the model's");
}

static void done_write(struct world *w, struct call *c)
{
	model_write(&c->m->model, c->va, w->buf[0], c->len);
}

static bool pick_copy_out(struct world *w, struct call *c)
{
	return pick_bytes(w, c, HF_ACCESS_READ);
}

static enum hf_status call_copy_out(struct world *w, struct call *c)
{
	return hf_soft_copy_out(cpu_of(c), c->va, w->buf[0], c->len, NULL);
}

static bool pick_copy_in(struct world *w, struct call *c)
{
	return pick_bytes(w, c, HF_ACCESS_WRITE);
}

/* c->got: bytes copied, on failure too. */
static enum hf_status call_copy_in(struct world *w, struct call *c)
{
	return hf_soft_copy_in(cpu_of(c), c->va, w->buf[0], c->len, &c->got);
}

static void failed_copy_in(struct world *w, struct call *c)
{
	if (c->got)
		model_write(&c->m->model, c->va, w->buf[0], c->got);
}

static enum hf_status expect_bytes(struct world *w, struct call *c)
{
	enum hf_status status = model_check_range(&c->m->model, c->va, c->len, false);

	(void)w;
	return status ? status : model_check_access(&c->m->model, c->va, c->len, c->access);
}

static bool pick_read(struct world *w, struct call *c)
{
	pick_bytes(w, c, HF_ACCESS_READ);
	c->needs = 0;
	spoil(w, &c->va, &c->len);
	return true;
}

static enum hf_status call_read(struct world *w, struct call *c)
{
	return hf_read(&c->m->mm, c->va, w->buf[0], c->len);
}

static bool pick_write(struct world *w, struct call *c)
{
	pick_bytes(w, c, HF_ACCESS_WRITE);
	spoil(w, &c->va, &c->len);
	return true;
}

static enum hf_status call_write(struct world *w, struct call *c)
{
	return hf_write(&c->m->mm, c->va, w->buf[0], c->len);
}

/* hf_copy, from c->from at c->src */

/* Where c->from shows what lies near c->va's page in its object, if it does. */
static void pick_twin(struct world *w, struct call *c)
{
	const struct model_region *to = model_at(&c->m->model, c->va);
	const struct model *model = &c->from->model;
	size_t first = below(w, model->count + 1);
	uint64_t near = below(w, 2 * PAGE);

	for (size_t i = 0; to && to->attr.object && i < model->count; i++) {
		const struct model_region *from = &model->regions[(first + i) % model->count];
		uint64_t at = to->offset + (c->va - to->start) + near - PAGE - from->offset;

		if (from->attr.object != to->attr.object || at >= from->end - from->start)
			continue;
		c->src = from->start + at;
		return;
	}
}

static bool pick_copy(struct world *w, struct call *c)
{
	pick_bytes(w, c, HF_ACCESS_WRITE);
	c->from = w->members[below(w, w->member_count)];
	c->src = used_va(w, &c->from->model);
	if (one_in(w, 4)) /* a fork's two sides */
		c->src = c->va;
	if (one_in(w, 3))
		pick_twin(w, c);
	/* from and to the same memory, which comes first is open unless each shows it in order */
	for (const struct model_object *o = w->objects; o; o = o->next) {
		const struct model *to = &c->m->model, *from = &c->from->model;

		if (!model_maps(to, c->va, c->len, o) || !model_maps(from, c->src, c->len, o))
			continue;
		if (!model_shows(to, c->va, c->len, o) || !model_shows(from, c->src, c->len, o))
			return false;
	}
	return true;
}

static enum hf_status expect_copy(struct world *w, struct call *c)
{
	const struct model *to = &c->m->model, *from = &c->from->model;
	enum hf_status status = model_check_range(to, c->va, c->len, false), write;

	(void)w;
	if (!status)
		status = model_check_range(from, c->src, c->len, false);
	if (!status && to == from && c->va < c->src + c->len && c->src < c->va + c->len)
		status = HF_ERR_OVERLAP;
	if (status)
		return status;
	/* which of two comes first is open */
	status = model_check_access(from, c->src, c->len, HF_ACCESS_READ);
	write = model_check_access(to, c->va, c->len, HF_ACCESS_WRITE);
	if (status && write)
		c->may = MAY(write);
	return status ? status : write;
}

static enum hf_status call_copy(struct world *w, struct call *c)
{
	(void)w;
	return hf_copy(&c->m->mm, c->va, &c->from->mm, c->src, c->len);
}

static void done_copy(struct world *w, struct call *c)
{
	model_read(&c->from->model, c->src, w->buf[0], c->len);
	done_write(w, c);
}

static const struct operation list[] = {
	{ .name = "load",
	  .grows = true,
	  .copies = true,
	  .weight = 150,
	  .pick = pick_load,
	  .expect = expect_program,
	  .call = call_load,
	  .done = compare_word,
	  .cpu = true },
	{ .name = "store",
	  .grows = true,
	  .copies = true,
	  .weight = 220,
	  .pick = pick_store,
	  .expect = expect_program,
	  .call = call_store,
	  .done = done_store,
	  .cpu = true },
	{ .name = "fetch",
	  .grows = true,
	  .copies = true,
	  .weight = 10,
	  .pick = pick_fetch,
	  .expect = expect_program,
	  .call = call_fetch,
	  .done = compare_word,
	  .cpu = true },
	{ .name = "cmpxchg",
	  .grows = true,
	  .copies = true,
	  .weight = 20,
	  .pick = pick_cmpxchg,
	  .expect = expect_cmpxchg,
	  .call = call_cmpxchg,
	  .done = done_cmpxchg,
	  .cpu = true },
	{ .name = "copy_out",
	  .grows = true,
	  .copies = true,
	  .weight = 40,
	  .pick = pick_copy_out,
	  .expect = expect_program,
	  .call = call_copy_out,
	  .done = compare_bytes,
	  .cpu = true },
	{ .name = "copy_in",
	  .grows = true,
	  .copies = true,
	  .weight = 60,
	  .pick = pick_copy_in,
	  .expect = expect_program,
	  .call = call_copy_in,
	  .done = done_write,
	  .failed = failed_copy_in,
	  .cpu = true },
	{ .name = "hf_read",
	  .copies = true,
	  .weight = 50,
	  .pick = pick_read,
	  .expect = expect_bytes,
	  .call = call_read,
	  .done = compare_bytes },
	{ .name = "hf_write",
	  .copies = true,
	  .weight = 70,
	  .pick = pick_write,
	  .expect = expect_bytes,
	  .call = call_write,
	  .done = done_write },
	{ .name = "hf_copy",
	  .copies = true,
	  .weight = 40,
	  .pick = pick_copy,
	  .expect = expect_copy,
	  .call = call_copy,
	  .done = done_copy,
	  .cpu = true },
};
OPERATIONS(access_operations, list);
