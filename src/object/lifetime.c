/* SPDX-License-Identifier: MIT */
/* Objects: begin, end, references. */
#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../phys/buddy.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "object.h"

#include <holdfast/object.h>
#include <holdfast/phys.h>

uint64_t hf_object_max(void)
{
	return hf_level_size(HF_TOP_LEVEL + 1);
}

static enum hf_status check_object_config(const struct hf_object_config *c)
{
	if (c->huge > HF_OBJECT_HUGE_1G || (c->pager && !c->pager->get))
		return HF_ERR_INVAL;
	return c->size > hf_object_max() ? HF_ERR_RANGE : HF_OK;
}

static void enlist_object(struct hf_object *o)
{
	struct hf_phys *phys = o->phys;

	hf_phys_lock(phys);
	o->next = phys->objects;
	if (o->next)
		o->next->prev = o;
	phys->objects = o;
	hf_phys_unlock(phys);
}

enum hf_status hf_object_create(struct hf_phys *phys, const struct hf_object_config *config,
				struct hf_object **out)
{
	struct hf_reserve r = HF_RESERVE_EMPTY;
	enum hf_status st = check_object_config(config);
	struct hf_object *o;
	hf_pfn self;

	if (st)
		return st;
	if (!hf_reserve_fill(phys, &r, 1))
		return HF_ERR_NOMEM;
	self = hf_reserve_take(phys, &r);
	hf_frame_set_kind(hf_frame_at(phys, self), HF_FRAME_OBJECT);
	o = hf_object_at(phys, self);
	*o = (struct hf_object){
		.phys = phys,
		.self = self,
		.pager = config->pager,
		.host = config->host,
		.huge = config->huge,
		.retry = config->retry,
		.size = config->size,
		.root = { HF_NIL },
		.refs = 1,
		.host_refs = 1,
	};
	enlist_object(o);
	*out = o;
	return HF_OK;
}

void hf_object_ref(struct hf_object *o)
{
	hf_phys_lock(o->phys);
	o->refs++;
	hf_phys_unlock(o->phys);
}

void hf_object_unref_locked(struct hf_object *o, struct hf_object **dead)
{
	if (--o->refs)
		return;
	if (!dead)
		hf_panic_at(o->phys, "an object's last reference went where it must not", 0, 0, 0);
	o->next_dead = *dead;
	*dead = o;
}

void hf_object_unref(struct hf_object *o)
{
	hf_phys_lock(o->phys);
	hf_object_unref_locked(o, NULL);
	hf_phys_unlock(o->phys);
}

void hf_object_hold(struct hf_object *o)
{
	hf_phys_lock(o->phys);
	hf_add32(&o->holds, 1);
	hf_phys_unlock(o->phys);
}

/* Whoever ends the object may do so as soon as phys->lock is let go; its frame stays RAM. */
void hf_object_release(struct hf_object *o)
{
	struct hf_phys *phys = o->phys;
	bool last;

	hf_phys_lock(phys);
	last = !hf_sub32(&o->holds, 1);
	hf_phys_unlock(phys);
	if (last)
		hf_wake_all(phys, &o->holds);
}

/* Wait for the calls that are still in an object which nobody refers to: no new ones begin. */
static void wait_for_holders(struct hf_object *o)
{
	uint32_t holds;

	for (;;) {
		hf_phys_lock(o->phys);
		holds = o->holds;
		hf_phys_unlock(o->phys);
		if (!holds)
			return;
		hf_wait_for(o->phys, &o->holds, holds);
	}
}

/* Nobody refers to the object any more. No lock held. */
static void end_object(struct hf_object *o)
{
	struct hf_phys *phys = o->phys;
	hf_pfn self = o->self;

	hf_object_lock(o);
	o->ended = true;
	hf_requests_end(o, 0, UINT64_MAX, HF_OK); /* who waits finds no mapping any more */
	hf_object_unlock(o);
	wait_for_holders(o);
	hf_pages_end(o);
	hf_phys_lock(phys);
	if (o->next)
		o->next->prev = o->prev;
	if (o->prev)
		o->prev->next = o->next;
	else
		phys->objects = o->next;
	hf_frame_set_kind(hf_frame_at(phys, self), HF_FRAME_PLAIN);
	hf_block_free_locked(phys, self, 0);
	hf_phys_unlock(phys);
}

void hf_objects_end(struct hf_object *dead)
{
	while (dead) {
		struct hf_object *o = dead;

		dead = o->next_dead;
		end_object(o);
	}
}

enum hf_status hf_object_get(struct hf_object *o)
{
	enum hf_status st = HF_ERR_OVERFLOW;

	hf_phys_lock(o->phys);
	if (o->host_refs < o->phys->count_limit) {
		o->refs++;
		o->host_refs++;
		st = HF_OK;
	}
	hf_phys_unlock(o->phys);
	return st;
}

enum hf_status hf_object_put(struct hf_object *o)
{
	struct hf_phys *phys = o->phys;
	enum hf_status st = HF_ERR_INVAL;
	struct hf_object *dead = NULL;

	hf_phys_lock(phys);
	if (o->host_refs) {
		o->host_refs--;
		hf_object_unref_locked(o, &dead);
		st = HF_OK;
	}
	hf_phys_unlock(phys);
	hf_objects_end(dead);
	return st;
}

uint64_t hf_object_size(struct hf_object *o)
{
	uint64_t size;

	hf_object_lock(o);
	size = o->size;
	hf_object_unlock(o);
	return size;
}
