/* SPDX-License-Identifier: MIT */
/* Devices: pin, unpin, DMA. */
#include "ops.h"

#include <stdlib.h>
#include <string.h>

/* hf_pin: the list goes to w->spans, c->count long */

static bool pick_pin(struct world *w, struct call *c)
{
	if (w->held_count == MAX_HELD)
		return false;
	c->flags = one_in(w, 100) ? (unsigned)below(w, 8) : 1 + (unsigned)below(w, 3);
	c->access = c->flags & HF_PIN_WRITE ? HF_ACCESS_WRITE : HF_ACCESS_READ;
	c->len = some_bytes(w);
	c->va = used_va(w, &c->m->model);
	c->cap = one_in(w, 8) ? below(w, 4) : MAX_HELD_PAGES;
	if (one_in(w, 10)) {
		c->va &= ~(PMD_SIZE - 1);
		c->len = PMD_SIZE;
	}
	spoil(w, &c->va, &c->len);
	c->needs = c->len + PMD_SIZE;
	return true;
}

static enum hf_status expect_pin(struct world *w, struct call *c)
{
	enum hf_status status = model_check_range(&c->m->model, c->va, c->len, false);

	(void)w;
	if (!c->flags || c->flags > 3)
		return HF_ERR_FLAGS;
	if (!c->cap)
		return HF_ERR_EMPTY;
	if (!status)
		status = model_check_access(&c->m->model, c->va, c->len, c->access);
	if ((!status || status == HF_ERR_BUS) && c->cap < (c->len + c->va % PAGE + PAGE - 1) / PAGE)
		c->may = MAY(HF_ERR_SPANS);
	return status;
}

static enum hf_status call_pin(struct world *w, struct call *c)
{
	return hf_pin(&c->m->mm, c->va, c->len, c->flags, w->spans, c->cap, &c->count);
}

static void note_pin(struct world *w, struct model *model, struct held *held, hf_va va, hf_pa pa)
{
	struct model_page *page = model_page_own(model, va);

	pa.v &= ~(PAGE - 1);
	if (page->pins && page->pa.v != pa.v)
		disagree(w, "pinned page 0x%llx was at pa 0x%llx, is pinned again at 0x%llx",
			 (unsigned long long)va, (unsigned long long)page->pa.v,
			 (unsigned long long)pa.v);
	page->refs++;
	page->pins++;
	page->pa = pa;
	held->pages[held->count] = page;
	held->pa[held->count++] = pa;
}

static void done_pin(struct world *w, struct call *c)
{
	struct held *held = calloc(1, sizeof(*held));
	uint64_t bytes = 0;

	held->writes = c->flags & HF_PIN_WRITE;
	for (size_t i = 0; i < c->count; i++) {
		hf_va va = c->va + bytes;

		for (uint64_t at = 0; at < w->spans[i].len; at += PAGE - (va + at) % PAGE) {
			if ((va + at) % PAGE == 0 || held->count == 0)
				note_pin(w, &c->m->model, held, page_of(va + at),
					 (hf_pa){ w->spans[i].pa.v + at });
		}
		bytes += w->spans[i].len;
	}
	if (bytes != c->len)
		disagree(w, "the scatter list has %llu bytes", (unsigned long long)bytes);
	w->held[w->held_count++] = held;
}

/* hf_unpin: w->returned is what to give back */

/* Some or all pages of one list, in no order. */
static void give_back(struct world *w, size_t index)
{
	struct returned *r = &w->returned;
	struct held *held = w->held[index];
	size_t n = one_in(w, 2) ? held->count : 1 + below(w, held->count);

	while (n--) {
		size_t at = below(w, held->count--);

		r->spans[r->count] = (struct hf_span){ { held->pa[at].v + below(w, 8) }, PAGE - 8 };
		r->pages[r->count++] = held->pages[at];
		held->pages[at] = held->pages[held->count];
		held->pa[at] = held->pa[held->count];
	}
	if (held->count)
		return;
	free(held);
	w->held[index] = w->held[--w->held_count];
}

/* Of one list, or of two together: then a page can be in it twice. */
static bool pick_unpin(struct world *w, struct call *c)
{
	w->returned.count = 0;
	for (uint64_t lists = 1 + one_in(w, 3); lists && w->held_count; lists--)
		give_back(w, below(w, w->held_count));
	c->count = w->returned.count;
	return c->count;
}

static enum hf_status call_unpin(struct world *w, struct call *c)
{
	return hf_unpin(w->phys, w->returned.spans, c->count);
}

static void done_unpin(struct world *w, struct call *c)
{
	for (size_t i = 0; i < c->count; i++) {
		w->returned.pages[i]->pins--;
		page_drop(w->returned.pages[i]);
	}
}

/* A list that gives back one pin too many: refused whole. */
static bool pick_unpin_too_much(struct world *w, struct call *c)
{
	const struct held *held;
	size_t at;

	if (!w->held_count)
		return false;
	held = w->held[below(w, w->held_count)];
	at = below(w, held->count);
	c->count = held->pages[at]->pins + 1;
	if (c->count > 64)
		return false;
	for (size_t i = 0; i < c->count; i++)
		w->returned.spans[i] = (struct hf_span){ held->pa[at], PAGE };
	return true;
}

static enum hf_status expect_not_pinned(struct world *w, struct call *c)
{
	(void)w;
	(void)c;
	return HF_ERR_NOT_PINNED;
}

/* DMA: c->index is the list, c->src the page in it, c->va the physical address */

static bool pick_dma(struct world *w, struct call *c)
{
	const struct held *held;

	if (!w->held_count)
		return false;
	c->index = below(w, w->held_count);
	held = w->held[c->index];
	c->src = below(w, held->count);
	c->va = held->pa[c->src].v + below(w, PAGE);
	c->len = 1 + below(w, PAGE - c->va % PAGE);
	c->access = !held->writes || one_in(w, 3) ? HF_ACCESS_READ : HF_ACCESS_WRITE;
	some_content(w, w->buf[0], c->len);
	return true;
}

static enum hf_status call_dma(struct world *w, struct call *c)
{
	enum hf_status status;

	if (c->access == HF_ACCESS_READ)
		status = hf_soft_dma_read(w->dma, (hf_pa){ c->va }, w->buf[0], c->len);
	else
		status = hf_soft_dma_write(w->dma, (hf_pa){ c->va }, w->buf[0], c->len);
	hf_soft_dma_wait(w->dma);
	return status;
}

static void done_dma(struct world *w, struct call *c)
{
	uint8_t *bytes = w->held[c->index]->pages[c->src]->bytes + c->va % PAGE;

	if (c->access == HF_ACCESS_WRITE) {
		model_page_touch(w->held[c->index]->pages[c->src]);
		memcpy(bytes, w->buf[0], c->len);
	} else if (memcmp(w->buf[0], bytes, c->len) != 0)
		disagree(w, "the device reads other bytes than its owner wrote");
}

static const struct operation list[] = {
	{ .name = "hf_pin",
	  .copies = true,
	  .weight = 50,
	  .pick = pick_pin,
	  .expect = expect_pin,
	  .call = call_pin,
	  .done = done_pin },
	{ .name = "hf_unpin",
	  .weight = 40,
	  .pick = pick_unpin,
	  .call = call_unpin,
	  .done = done_unpin },
	{ .name = "unpin too much",
	  .weight = 5,
	  .pick = pick_unpin_too_much,
	  .expect = expect_not_pinned,
	  .call = call_unpin },
	{ .name = "dma", .weight = 50, .pick = pick_dma, .call = call_dma, .done = done_dma },
};
OPERATIONS(pin_operations, list);
