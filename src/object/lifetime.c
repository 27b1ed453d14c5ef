/* SPDX-License-Identifier: MIT */
/* Objects: begin, end, references. */
#include "../arch/entry.h"
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

static void enlist(struct hf_object *o)
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
		.size = config->size,
		.root = { HF_NIL },
		.refs = 1,
		.host_refs = 1,
	};
	enlist(o);
	*out = o;
	return HF_OK;
}

void hf_object_ref(struct hf_object *o)
{
	hf_phys_lock(o->phys);
	o->refs++;
	hf_phys_unlock(o->phys);
}

void hf_object_unref_locked(struct hf_object *o)
{
	struct hf_phys *phys = o->phys;

	if (--o->refs)
		return;
	if (o->next)
		o->next->prev = o->prev;
	if (o->prev)
		o->prev->next = o->next;
	else
		phys->objects = o->next;
	o->next = phys->dead;
	phys->dead = o;
}

void hf_object_unref(struct hf_object *o)
{
	struct hf_phys *phys = o->phys;

	hf_phys_lock(phys);
	hf_object_unref_locked(o);
	hf_phys_unlock(phys);
	hf_objects_reap(phys);
}

static struct hf_object *take_dead(struct hf_phys *phys)
{
	struct hf_object *o;

	hf_phys_lock(phys);
	o = phys->dead;
	if (o)
		phys->dead = o->next;
	hf_phys_unlock(phys);
	return o;
}

void hf_objects_reap(struct hf_phys *phys)
{
	struct hf_object *o;

	while ((o = take_dead(phys))) {
		hf_pfn self = o->self;

		hf_pages_end(o);
		hf_phys_lock(phys);
		hf_frame_set_kind(hf_frame_at(phys, self), HF_FRAME_PLAIN);
		hf_block_free_locked(phys, self, 0);
		hf_phys_unlock(phys);
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

	hf_phys_lock(phys);
	if (o->host_refs) {
		o->host_refs--;
		hf_object_unref_locked(o);
		st = HF_OK;
	}
	hf_phys_unlock(phys);
	hf_objects_reap(phys);
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
