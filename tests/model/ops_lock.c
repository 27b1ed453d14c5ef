/* SPDX-License-Identifier: MIT */
/* Locks, limits and seals. */
#include "ops.h"

/* hf_mlock: c->flags; hf_munlock. The range is any bytes. */

static bool pick_lock(struct world *w, struct call *c)
{
	pick_range(w, c);
	if (c->len > 4 * MIB && c->len < GIB)
		c->len = 4 * MIB;
	if (one_in(w, 4))
		c->va += below(w, PAGE);
	c->flags = one_in(w, 40) ? 2 + (unsigned)below(w, 4) : (unsigned)below(w, 2);
	c->needs = c->len + PMD_SIZE;
	return true;
}

/* c->src and c->offset become the pages from and how many bytes of them. */
static enum hf_status expect_bytes(struct call *c)
{
	const struct model *model = &c->m->model;
	uint64_t within = c->va % PAGE;
	enum hf_status status;

	if (!c->len)
		return HF_ERR_EMPTY;
	if (c->len + within < c->len)
		return HF_ERR_WRAP;
	c->src = c->va - within;
	c->offset = page_up(c->len + within);
	status = model_check_range(model, c->src, c->len + within, true);
	return status ? status : model_check_mapped(model, c->src, c->offset);
}

static enum hf_status expect_lock(struct world *w, struct call *c)
{
	enum hf_status status = c->flags > 1 ? HF_ERR_FLAGS : expect_bytes(c);

	(void)w;
	if (status)
		return status;
	return model_check_limits(&c->m->model, c->src, c->offset, c->offset, c->offset);
}

static enum hf_status call_lock(struct world *w, struct call *c)
{
	(void)w;
	return hf_mlock(&c->m->mm, c->va, c->len, c->flags);
}

/* What may be read is there, as far as there is something. */
static void compare_locked(struct world *w, struct call *c, hf_va va, hf_va end)
{
	struct hf_translation t;

	for (; va < end; va += PAGE) {
		if (model_first_fault(&c->m->model, va, 1, HF_ACCESS_READ) == HF_OK &&
		    hf_translate(&c->m->mm, va, &t) != HF_OK)
			disagree(w, "locked, and page 0x%llx is not there", (unsigned long long)va);
	}
}

static void done_lock(struct world *w, struct call *c)
{
	unsigned add = MODEL_LOCKED | (c->flags ? MODEL_ONFAULT : 0);

	model_change_flags(&c->m->model, c->src, c->offset, MODEL_LOCKED | MODEL_ONFAULT, add);
	if (!c->flags && !w->pager_failed)
		compare_locked(w, c, c->src, c->src + c->offset);
}

static enum hf_status expect_unlock(struct world *w, struct call *c)
{
	(void)w;
	return expect_bytes(c);
}

static enum hf_status call_unlock(struct world *w, struct call *c)
{
	(void)w;
	return hf_munlock(&c->m->mm, c->va, c->len);
}

static void done_unlock(struct world *w, struct call *c)
{
	(void)w;
	model_change_flags(&c->m->model, c->src, c->offset, MODEL_LOCKED | MODEL_ONFAULT, 0);
}

/* All of a space: hf_mlock_all, hf_munlock_all */

static bool pick_all(struct world *w, struct call *c)
{
	struct model *model = &c->m->model;

	c->flags = one_in(w, 40) ? 2 + (unsigned)below(w, 4) : (unsigned)below(w, 2);
	c->va = model->lo;
	c->len = model->hi - model->lo;
	c->needs = model_bytes_with(model, c->va, c->len, 0) + PMD_SIZE;
	return c->needs < 16 * MIB;
}

static enum hf_status expect_lock_all(struct world *w, struct call *c)
{
	uint64_t all = model_bytes_with(&c->m->model, c->va, c->len, 0);

	(void)w;
	if (c->flags > 1)
		return HF_ERR_FLAGS;
	return model_check_limits(&c->m->model, c->va, c->len, all, all);
}

static enum hf_status call_lock_all(struct world *w, struct call *c)
{
	(void)w;
	return hf_mlock_all(&c->m->mm, c->flags);
}

static void done_lock_all(struct world *w, struct call *c)
{
	c->src = c->va;
	c->offset = c->len;
	done_lock(w, c);
}

static enum hf_status call_unlock_all(struct world *w, struct call *c)
{
	(void)w;
	return hf_munlock_all(&c->m->mm);
}

static void done_unlock_all(struct world *w, struct call *c)
{
	(void)w;
	model_change_flags(&c->m->model, c->va, c->len, MODEL_LOCKED | MODEL_ONFAULT, 0);
}

/* hf_lock_future: c->flags is the policy */

static bool pick_future(struct world *w, struct call *c)
{
	c->flags = one_in(w, 2) ? HF_LOCK_FUTURE_OFF : (unsigned)below(w, 4);
	return true;
}

static enum hf_status expect_future(struct world *w, struct call *c)
{
	(void)w;
	return c->flags > HF_LOCK_FUTURE_ONFAULT ? HF_ERR_INVAL : HF_OK;
}

static enum hf_status call_future(struct world *w, struct call *c)
{
	(void)w;
	return hf_lock_future(&c->m->mm, (enum hf_lock_policy)c->flags);
}

static void done_future(struct world *w, struct call *c)
{
	static const unsigned flags[] = { 0, MODEL_LOCKED, MODEL_LOCKED | MODEL_ONFAULT };

	(void)w;
	c->m->model.future = flags[c->flags];
}

/* hf_mm_set_limits: c->len of mappings, c->value of locks */

static bool pick_limits(struct world *w, struct call *c)
{
	c->len = one_in(w, 2) ? 0 : MIB * below(w, 80);
	c->value = one_in(w, 2) ? 0 : PAGE * below(w, 2000);
	c->src = one_in(w, 2) ? 0 : PAGE * below(w, 4000);
	c->offset = one_in(w, 4) ? 0 : PAGE * below(w, 300);
	return true;
}

static enum hf_status call_limits(struct world *w, struct call *c)
{
	struct hf_limits limits = {
		.va = c->len,
		.lock = c->value,
		.stack = c->src,
		.stack_gap = c->offset,
	};

	(void)w;
	return hf_mm_set_limits(&c->m->mm, &limits);
}

static void done_limits(struct world *w, struct call *c)
{
	(void)w;
	c->m->model.limits = (struct hf_limits){
		.va = c->len,
		.lock = c->value,
		.stack = c->src,
		.stack_gap = c->offset,
	};
}

/* hf_brk_start, hf_brk: c->va is the new end, c->src where it is after the call */

static bool pick_brk_start(struct world *w, struct call *c)
{
	c->va = one_in(w, 20) ? below(w, w->lo) : any_va(w);
	return true;
}

static enum hf_status expect_brk_start(struct world *w, struct call *c)
{
	const struct model *model = &c->m->model;

	(void)w;
	if (c->va < model->lo || c->va >= model->hi)
		return HF_ERR_RANGE;
	return model->brk != model->brk_start ? HF_ERR_BUSY : HF_OK;
}

static enum hf_status call_brk_start(struct world *w, struct call *c)
{
	(void)w;
	return hf_brk_start(&c->m->mm, c->va);
}

static void done_brk_start(struct world *w, struct call *c)
{
	(void)w;
	c->m->model.brk_start = c->m->model.brk = c->va;
}

static bool pick_brk(struct world *w, struct call *c)
{
	const struct model *model = &c->m->model;

	c->va = model->brk_start + below(w, one_in(w, 8) ? 4 * MIB : 60 * PAGE);
	if (one_in(w, 20))
		c->va = model->brk_start - below(w, 2 * PAGE);
	return model->brk_start || one_in(w, 10);
}

static enum hf_status expect_brk(struct world *w, struct call *c)
{
	const struct model *model = &c->m->model;
	hf_va lo = page_up(model->brk), hi = page_up(c->va);
	const struct model_region *above = model_above(model, lo);

	(void)w;
	if (!model->brk_start || c->va < model->brk_start || c->va > model->hi)
		return HF_ERR_RANGE;
	if (hi < lo)
		return model_check_sealed(model, hi, lo - hi);
	if (hi == lo)
		return HF_OK;
	if ((above && above->start < hi) || model_near_stack(model, hi, PAGE))
		return HF_ERR_EXIST;
	return model_check_limits(model, lo, hi - lo, hi - lo,
				  model->future & MODEL_LOCKED ? hi - lo : 0);
}

static enum hf_status call_brk(struct world *w, struct call *c)
{
	(void)w;
	return hf_brk(&c->m->mm, c->va, &c->src);
}

static void done_brk(struct world *w, struct call *c)
{
	struct model *model = &c->m->model;
	hf_va lo = page_up(model->brk), hi = page_up(c->va);
	struct model_attr attr = { .prot = 3, .flags = model->future };

	if (c->src != c->va)
		disagree(w, "the heap ends at 0x%llx", (unsigned long long)c->src);
	if (hi < lo)
		model_munmap(model, hi, lo - hi);
	else if (hi > lo)
		model_mmap(model, lo, hi - lo, attr, 0);
	model->brk = c->va;
}

static void failed_brk(struct world *w, struct call *c)
{
	if (c->src != c->m->model.brk)
		disagree(w, "the heap ends at 0x%llx", (unsigned long long)c->src);
}

/* hf_mseal. Sealed memory stays until its space ends, so not too much of it. */

static bool pick_seal(struct world *w, struct call *c)
{
	pick_range(w, c);
	if (c->len > 8 * PAGE && c->len < GIB)
		c->len = 8 * PAGE;
	return true;
}

static enum hf_status call_seal(struct world *w, struct call *c)
{
	(void)w;
	return hf_mseal(&c->m->mm, c->va, c->len);
}

static void done_seal(struct world *w, struct call *c)
{
	(void)w;
	model_change_flags(&c->m->model, c->va, c->len, 0, MODEL_SEALED);
}

static const struct operation list[] = {
	{ .name = "hf_mlock",
	  .weight = 15,
	  .copies = true,
	  .pick = pick_lock,
	  .expect = expect_lock,
	  .call = call_lock,
	  .done = done_lock },
	{ .name = "hf_munlock",
	  .weight = 10,
	  .pick = pick_lock,
	  .expect = expect_unlock,
	  .call = call_unlock,
	  .done = done_unlock },
	{ .name = "hf_mlock_all",
	  .weight = 1,
	  .copies = true,
	  .pick = pick_all,
	  .expect = expect_lock_all,
	  .call = call_lock_all,
	  .done = done_lock_all },
	{ .name = "hf_munlock_all",
	  .weight = 3,
	  .pick = pick_all,
	  .call = call_unlock_all,
	  .done = done_unlock_all },
	{ .name = "hf_lock_future",
	  .weight = 4,
	  .pick = pick_future,
	  .expect = expect_future,
	  .call = call_future,
	  .done = done_future },
	{ .name = "limits",
	  .weight = 4,
	  .pick = pick_limits,
	  .call = call_limits,
	  .done = done_limits },
	{ .name = "hf_brk_start",
	  .weight = 3,
	  .pick = pick_brk_start,
	  .expect = expect_brk_start,
	  .call = call_brk_start,
	  .done = done_brk_start },
	{ .name = "hf_brk",
	  .weight = 15,
	  .pick = pick_brk,
	  .expect = expect_brk,
	  .call = call_brk,
	  .done = done_brk,
	  .failed = failed_brk },
	{ .name = "hf_mseal",
	  .weight = 3,
	  .pick = pick_seal,
	  .expect = expect_mapped,
	  .call = call_seal,
	  .done = done_seal },
};
OPERATIONS(lock_operations, list);
