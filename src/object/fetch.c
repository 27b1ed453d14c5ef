/* SPDX-License-Identifier: MIT */
/*
 * Pages from a pager. It is asked without any lock: the block that it fills is in no table yet,
 * and becomes the object's page if the request still stands when it has answered. Truncation and
 * whatever else changes the object in its range ends the request, and whoever wants the page then
 * asks anew; the answer to the old request is dropped.
 */
#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/mem.h"
#include "../phys/block.h"
#include "../phys/frame.h"
#include "../table/table.h"
#include "object.h"

#include <holdfast/object.h>

static bool overlap(const struct hf_request *r, uint64_t from, uint64_t to)
{
	return r->offset < to && from < r->offset + r->len;
}

/* Somebody has asked the pager for something in [from, to). */
static bool is_asked_for(const struct hf_object *o, uint64_t from, uint64_t to)
{
	for (const struct hf_request *r = o->requests; r; r = r->next)
		if (r->asks && !r->over && overlap(r, from, to))
			return true;
	return false;
}

static void end_request(struct hf_request *r, enum hf_status status)
{
	r->over = true;
	r->status = status;
}

/* Who waits for an answer that nobody waits for any more looks again, wherever in its range. */
static void end_waiters(struct hf_object *o, const struct hf_request *asker, enum hf_status status)
{
	for (struct hf_request *r = o->requests; r; r = r->next)
		if (!r->asks && !r->over && overlap(r, asker->offset, asker->offset + asker->len))
			end_request(r, status);
}

HF_HOLDS(object)
void hf_requests_end(struct hf_object *o, uint64_t from, uint64_t to, enum hf_status status)
{
	bool any = false;

	for (struct hf_request *r = o->requests; r; r = r->next) {
		if (r->over || !overlap(r, from, to))
			continue;
		any = true;
		end_request(r, status);
		if (r->asks)
			end_waiters(o, r, status);
	}
	if (!any)
		return;
	hf_add32(&o->events, 1);
	hf_wake_all(o->phys, &o->events);
}

static void enlist_request(struct hf_object *o, struct hf_request *r)
{
	r->next = o->requests;
	o->requests = r;
}

static void delist_request(struct hf_object *o, const struct hf_request *r)
{
	struct hf_request **at = &o->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
}

/* Sleep until the request is over. object->lock held, let go meanwhile. */
HF_HOLDS(object)
static enum hf_status await(struct hf_object *o, const struct hf_request *r)
{
	while (!r->over) {
		uint32_t seen = o->events;

		hf_object_unlock(o);
		hf_wait_for(o->phys, &o->events, seen);
		hf_object_lock(o);
	}
	return r->status;
}

/*
 * The largest block up to `level` that the page at `offset` may have, for the request. `ask`: for
 * the pager, whom nobody has asked yet for anything there.
 */
HF_HOLDS(object)
static bool take_block(struct hf_object *o, struct hf_request *r, uint64_t offset, unsigned level,
		       bool ask, bool *clean)
{
	for (level++; level--;) {
		r->level = level;
		r->len = hf_level_size(level);
		r->offset = hf_level_base(offset, level);
		if (level && (!hf_pages_fit(o, offset, level) ||
			      (ask && is_asked_for(o, r->offset, r->offset + r->len))))
			continue;
		if (hf_pages_block(o, offset, level, &r->block, clean))
			return true;
	}
	r->block.v = HF_NIL;
	return false;
}

/* The host will answer; its data come with a block of their own. object->lock held, let go meanwhile. */
HF_HOLDS(object)
static enum hf_status await_host(struct hf_object *o, struct hf_request *r)
{
	hf_pages_unblock(o, r->block, r->level);
	r->block.v = HF_NIL;
	return o->retry ? HF_ERR_RETRY : await(o, r);
}

static enum hf_status refused(const struct hf_request *r)
{
	return r->over ? r->status : HF_ERR_BUS;
}

/*
 * The pager has filled the block: it becomes a page, or, if the request is over or memory is full,
 * goes back to the pager at once. object->lock held, let go meanwhile.
 */
HF_HOLDS(object)
static enum hf_status enter_answer(struct hf_object *o, struct hf_request *r)
{
	enum hf_status st = r->status;

	if (!r->over) {
		st = hf_pages_put(o, r->offset, r->level, r->block);
		if (!st) {
			r->block.v = HF_NIL;
			return HF_OK;
		}
	}
	hf_object_unlock(o);
	if (o->pager->put)
		o->pager->put(o->host, r->offset, hf_frame_ptr(o->phys, r->block), r->len, false);
	hf_object_lock(o);
	return r->over ? r->status : st;
}

/* Ask the pager. object->lock held, let go meanwhile. The request may be over before it answers. */
HF_HOLDS(object)
static enum hf_status ask_pager(struct hf_object *o, struct hf_request *r, bool clean)
{
	enum hf_status st;

	r->asks = true;
	hf_object_unlock(o);
	hf_block_prepare(o->phys, r->block, r->level);
	if (!clean)
		hf_block_clear(o->phys, r->block, hf_level_order(r->level));
	st = o->pager->get(o->host, r->offset, hf_frame_ptr(o->phys, r->block), r->len);
	hf_object_lock(o);
	if (!r->over && st == HF_ERR_PENDING)
		return await_host(o, r);
	return st ? refused(r) : enter_answer(o, r);
}

/* A request of one's own. *level becomes that of the block. object->lock held. */
HF_HOLDS(object)
static enum hf_status request_page(struct hf_object *o, uint64_t offset, unsigned *level)
{
	struct hf_request r = { .offset = offset, .len = 1, .block = { HF_NIL } };
	enum hf_status st;
	bool clean;

	if (is_asked_for(o, offset, offset + 1)) {
		enlist_request(o, &r);
		st = await(o, &r);
		delist_request(o, &r);
		return st;
	}
	if (!take_block(o, &r, offset, *level, true, &clean)) {
		*level = HF_LEVEL_PTE;
		return HF_ERR_NOMEM;
	}
	*level = r.level;
	enlist_request(o, &r);
	st = ask_pager(o, &r, clean);
	/* Others may find memory. */
	if (!r.over)
		hf_requests_end(o, r.offset, r.offset + r.len, st == HF_ERR_NOMEM ? HF_OK : st);
	delist_request(o, &r);
	if (r.block.v != HF_NIL)
		hf_pages_unblock(o, r.block, r.level);
	return st;
}

enum hf_status hf_object_fetch(struct hf_object *o, uint64_t offset, unsigned want)
{
	unsigned level = (unsigned)o->huge > want ? (unsigned)o->huge : want;
	struct hf_object_page page;
	enum hf_status st;
	bool smaller;

	hf_object_lock(o);
	do {
		smaller = false;
		if (o->ended) /* who holds it finds no mapping of it any more */
			st = HF_OK;
		else if (offset >= hf_object_end(o))
			st = HF_ERR_BUS;
		else if (hf_pages_find(o, offset, &page))
			st = HF_OK;
		else
			st = request_page(o, offset, &level);
		if (st == HF_ERR_NOMEM && level) {
			level--; /* its table took what was left */
			smaller = true;
		}
	} while (smaller);
	hf_object_unlock(o);
	return st;
}

/* ---- The host answers by itself ---- */

/*
 * Make the page at `offset` from `data`, of which there are `len` bytes; *size of them are in it.
 * 0: the object has changed there meanwhile. object->lock held, let go meanwhile.
 */
HF_HOLDS(object)
static enum hf_status supply_page(struct hf_object *o, uint64_t offset, const char *data,
				  uint64_t len, uint64_t *size)
{
	struct hf_request r = { .block = { HF_NIL } };
	unsigned level = (unsigned)o->huge;
	enum hf_status st = HF_OK;
	bool clean;

	*size = 0;
	while (level && (hf_level_base(offset, level) != offset || len < hf_level_size(level)))
		level--;
	if (!take_block(o, &r, offset, level, false, &clean))
		return HF_ERR_NOMEM;
	enlist_request(o, &r);
	hf_object_unlock(o);
	len = hf_min_va(len, r.len);
	hf_block_prepare(o->phys, r.block, r.level);
	if (!clean && len < r.len)
		hf_block_clear(o->phys, r.block, hf_level_order(r.level));
	memmove(hf_frame_ptr(o->phys, r.block), data, len);
	hf_object_lock(o);
	delist_request(o, &r);
	if (!r.over)
		st = hf_pages_put(o, offset, r.level, r.block);
	if (r.over || st) {
		hf_pages_unblock(o, r.block, r.level);
		return st;
	}
	*size = len;
	hf_requests_end(o, offset, offset + r.len, HF_OK);
	return HF_OK;
}

enum hf_status hf_object_supply(struct hf_object *o, uint64_t offset, const void *data,
				uint64_t len)
{
	const uint64_t end = offset + len;
	const char *from = data;
	enum hf_status st = HF_OK;
	bool any = false;

	if (!o->pager)
		return HF_ERR_INVAL;
	if (offset & (HF_PAGE_SIZE - 1))
		return HF_ERR_ALIGN;
	if (!len)
		return HF_ERR_EMPTY;
	if (end < offset)
		return HF_ERR_WRAP;
	hf_object_lock(o);
	while (!st && offset < end) {
		struct hf_object_page page;
		uint64_t size;

		if (end > hf_object_end(o)) {
			st = HF_ERR_RANGE; /* perhaps since a moment ago */
			break;
		}
		if (hf_pages_find(o, offset, &page)) {
			size = hf_level_base(offset, page.level) + hf_level_size(page.level) -
			       offset;
			size = hf_min_va(size, end - offset);
		} else {
			st = supply_page(o, offset, from, end - offset, &size);
			any |= !st && size;
		}
		from += size;
		offset += size;
	}
	hf_object_unlock(o);
	return st || any ? st : HF_ERR_EXIST;
}

enum hf_status hf_object_fail(struct hf_object *o, uint64_t offset, uint64_t len)
{
	if (!len)
		return HF_ERR_EMPTY;
	if (offset + len < offset)
		return HF_ERR_WRAP;
	hf_object_lock(o);
	hf_requests_end(o, offset, offset + len, HF_ERR_BUS);
	hf_object_unlock(o);
	return HF_OK;
}
