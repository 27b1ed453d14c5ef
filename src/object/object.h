/* SPDX-License-Identifier: MIT */
/*
 * Objects inside. An object lives in a frame of its own (HF_FRAME_OBJECT), and counts as references
 * the host's and the slots of mappings in the nodes of trees of mappings: in 64 bits, for a slot is
 * 32 bytes of RAM, so these cannot overflow, and the host's end at the limit of counts.
 *
 * Its pages are the leaves of a radix tree of ordinary tables, indexed by offset as a space's
 * are by address. A leaf there counts as a mapping of its page. So a page of an object is never
 * mapped once, and what asks that question (may this private mapping reuse the page?) needs
 * not know of objects. No CPU walks these tables: in them "writable" says that the page is
 * dirty, which is asked of objects with a pager only.
 *
 * A shared mapping's leaf is writable only while the object's page is dirty: so whoever
 * takes the dirty mark off also takes W from every leaf that leads to the page.
 *
 * No lock of Holdfast is held while a pager works, but `change`, for writing back. Who wants a page
 * that a pager has to supply puts a request into the object (fetch.c), and pages on their way out
 * are in hf_leaving. Both have blocks that no table leads to, counted as a leaf would be.
 *
 * A call that is in an object without a reference of its own, for its pager or to wait for a page,
 * holds it. That keeps the object's memory, not the object: whoever gives the last reference up
 * ends it, by itself, without a lock, when those calls have come out.
 *
 * Lock order: object->change, phys->spaces_lock, mm lock, object->lock, phys->lock. Table
 * locks are not held while object->lock is taken.
 */
#ifndef HF_OBJECT_H
#define HF_OBJECT_H

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../phys/frame.h"

#include <holdfast/object.h>
#include <holdfast/phys.h>

/*
 * Somebody who wants a page, on its stack. Of two who want the same, one asks the pager and the
 * other waits for that. It is over when the page has come, has failed, or is not wanted as it was,
 * because the object has changed there: then all look again.
 */
struct hf_request {
	struct hf_request *next;
	uint64_t offset, len; /* of the page that is asked for */
	bool asks;	      /* the pager has been asked, and not answered yet */
	bool over;
	enum hf_status status; /* when it is over; HF_OK: look again */
	hf_pfn block;	       /* what the pager fills, mapped once; HF_NIL: none */
	unsigned level;
};

#define HF_LEAVING_MAX 32

/* Pages that have left an object's tables, for the pager's `put`. Nothing leads to them. */
struct hf_leaving {
	uint64_t from, to; /* all pages here are about to go, */
	bool idle;	   /* but for what is dirty, pinned or led to, */
	bool keep;	   /* and what is dirty is to be written back first */
	unsigned count;
	struct hf_leaving_page {
		uint64_t offset;
		hf_pfn pfn; /* mapped once; HF_NIL: given back */
		unsigned level;
		bool dirty; /* what it has before the end was not kept */
	} pages[HF_LEAVING_MAX];
};

struct hf_object {
	struct hf_phys *phys;
	hf_pfn self; /* its frame */
	const struct hf_pager *pager;
	void *host;
	enum hf_object_huge huge;
	bool retry;	       /* nobody sleeps for an answer that comes later */
	struct hf_lock change; /* of those who take pages out or marks off: one at a time */
	struct hf_lock lock;   /* guards what follows, and the tables */
	uint64_t size;	       /* bytes */
	hf_pfn root;	       /* the top table, HF_NIL while there is no page */
	unsigned top;	       /* its level */
	struct hf_request *requests;
	bool ended;		    /* nobody refers to it, and nothing is requested any more */
	struct hf_leaving *leaving; /* of the call that has `change` */
	uint32_t events;	    /* goes up when a request is over: what its owner sleeps on */
	/* Under phys->lock: */
	uint64_t refs;		       /* references */
	uint64_t host_refs;	       /* those of them that are the host's */
	uint32_t holds;		       /* calls under way */
	struct hf_object *next, *prev; /* in phys->objects */
	struct hf_object *next_dead;   /* without references, and about to end */
};
_Static_assert(sizeof(struct hf_object) <= HF_PAGE_SIZE, "an object is one frame");

static inline struct hf_object *hf_object_at(const struct hf_phys *phys, hf_pfn pfn)
{
	return hf_frame_ptr(phys, pfn);
}

static inline bool hf_is_object(const struct hf_phys *phys, hf_pfn pfn)
{
	return hf_ram_of(phys, pfn) && hf_frame_get_kind(hf_frame_at(phys, pfn)) == HF_FRAME_OBJECT;
}

/* Take and give object->lock, and object->change. */
HF_TAKES(object)
static inline void hf_object_lock(struct hf_object *o)
{
	hf_lock_tell(o->phys, 1);
	hf_acquire(o->phys, &o->lock);
}

HF_GIVES(object)
static inline void hf_object_unlock(struct hf_object *o)
{
	hf_lock_tell(o->phys, -1);
	hf_release(o->phys, &o->lock);
}

HF_TAKES(change)
static inline void hf_object_change_lock(struct hf_object *o)
{
	hf_acquire(o->phys, &o->change);
}

HF_GIVES(change)
static inline void hf_object_change_unlock(struct hf_object *o)
{
	hf_release(o->phys, &o->change);
}

/* Writes to its pages have to be noticed, for they are to be written back. */
static inline bool hf_object_tracks(const struct hf_object *object)
{
	return object->pager;
}

/* The end of the last page. object->lock held. */
static inline uint64_t hf_object_end(const struct hf_object *object)
{
	return (object->size + HF_PAGE_SIZE - 1) & ~(HF_PAGE_SIZE - 1);
}

/* One reference more or one less, which is not the last, of a mapping. Take phys->lock. */
void hf_object_ref(struct hf_object *object);
void hf_object_unref(struct hf_object *object);
/* One less; with the last one the object joins *dead (NULL: it cannot be the last). phys->lock held. */
HF_HOLDS(phys)
void hf_object_unref_locked(struct hf_object *object, struct hf_object **dead);
/* End what is in the list, when no call is in it any more. Calls pagers. No lock held. */
void hf_objects_end(struct hf_object *dead);

/* A call begins to be in the object, which somebody refers to, and comes out. Take phys->lock. */
void hf_object_hold(struct hf_object *object);
void hf_object_release(struct hf_object *object);

/* A page of an object. */
struct hf_object_page {
	hf_pfn pfn; /* its first frame */
	unsigned level;
	hf_pte *entry; /* the object's leaf */
};

/* The page that `offset` lies in, if the object has it. object->lock held. */
HF_HOLDS(object)
bool hf_pages_find(const struct hf_object *object, uint64_t offset, struct hf_object_page *out);

/*
 * The page that `offset` lies in, made if the object does not have it, of level `want` or what
 * the object says, whichever is larger, as far as possible. `write`: it is dirty from now on.
 * object->lock held.
 * HF_ERR_BUS: beyond the end. HF_ERR_PENDING: the pager has to supply it (hf_object_fetch).
 * HF_ERR_NOMEM.
 */
HF_HOLDS(object)
enum hf_status hf_pages_get(struct hf_object *object, uint64_t offset, unsigned want, bool write,
			    struct hf_object_page *out);

/* The same; takes object->lock. mm lock held, or the object's `change`: the page stays. */
enum hf_status hf_object_get_page(struct hf_object *object, uint64_t offset, unsigned want,
				  bool write, struct hf_object_page *out);

/*
 * A page of `level` fits around `offset`: it is before the end, and nothing is there yet. Same
 * lock.
 */
HF_HOLDS(object)
bool hf_pages_fit(const struct hf_object *object, uint64_t offset, unsigned level);
/* A block for it, counted as mapped once. False: no memory. Same lock. */
HF_HOLDS(object)
bool hf_pages_block(struct hf_object *object, uint64_t offset, unsigned level, hf_pfn *out,
		    bool *clean);
/* Such a block, filled, becomes the page at `offset`. Same lock. HF_ERR_NOMEM. */
HF_HOLDS(object)
enum hf_status hf_pages_put(struct hf_object *object, uint64_t offset, unsigned level, hf_pfn pfn);
/* One that does not is free again. */
void hf_pages_unblock(struct hf_object *object, hf_pfn pfn, unsigned level);

/*
 * Have the pager supply the page that `offset` lies in, of level `want` if possible, unless the
 * object has it. The object is held, or the caller's own; no lock. HF_OK: it is there, or was a
 * moment ago, or is not wanted any more: look again. HF_ERR_BUS, HF_ERR_NOMEM, HF_ERR_RETRY.
 */
enum hf_status hf_object_fetch(struct hf_object *object, uint64_t offset, unsigned want);
/* What is requested in [from, to) is over, and `status` says how. object->lock held. */
HF_HOLDS(object)
void hf_requests_end(struct hf_object *object, uint64_t from, uint64_t to, enum hf_status status);

/* The page is neither dirty nor pinned. object->lock held. */
HF_HOLDS(object)
bool hf_pages_idle(const struct hf_object *object, const struct hf_object_page *page);
/* Some frame of the page holds a pin. object->lock held. */
HF_HOLDS(object)
bool hf_pages_pinned(const struct hf_object *object, const struct hf_object_page *page);
/* A leaf's dirty mark, on and off. object->lock held. */
HF_HOLDS(object)
void hf_pages_mark(struct hf_object *object, uint64_t offset);
HF_HOLDS(object)
void hf_pages_unmark(const struct hf_object_page *page);
/* The first page that begins or lies in [*offset, end): *offset becomes its first. Same lock. */
HF_HOLDS(object)
bool hf_pages_next(const struct hf_object *object, uint64_t *offset, uint64_t end,
		   struct hf_object_page *out);
/* The first dirty page that begins or lies in [*offset, end): *offset becomes its first. Same lock. */
HF_HOLDS(object)
bool hf_pages_next_dirty(const struct hf_object *object, uint64_t *offset, uint64_t end,
			 struct hf_object_page *out);

/*
 * Split the page that lies across `offset`, a multiple of 4 KiB, so that a page begins there. No
 * larger leaf may lead to it. object->lock held. HF_ERR_NOMEM. HF_ERR_OVERFLOW.
 */
HF_HOLDS(object)
enum hf_status hf_pages_cut(struct hf_object *object, uint64_t offset);
/*
 * After hf_pages_cut: all pages of [from, to) leave, are put to the pager and free. Nothing leads
 * to them, and none comes there. `change` held, and no other lock.
 */
HF_HOLDS(change)
void hf_pages_drop(struct hf_object *object, uint64_t from, uint64_t to);
/*
 * The two halves of that, for whoever holds all spaces that map [l->from, l->to) until nothing
 * leads there: take pages out, as many as leave together; give them to the pager, without any lock
 * but `change`.
 */
HF_HOLDS(object)
void hf_pages_take(struct hf_object *object, struct hf_leaving *l);
void hf_pages_give(struct hf_object *object, struct hf_leaving *l);
/* Clear [offset, end), which lies in one page, if the object has that. Same lock. */
HF_HOLDS(object)
void hf_pages_clear(struct hf_object *object, uint64_t offset, uint64_t end);
/* Clear what follows `offset` in its page, if the object has that. Same lock. */
HF_HOLDS(object)
void hf_pages_clear_tail(struct hf_object *object, uint64_t offset);

/* Take all pages out of an object that nobody refers to any more, and its tables. No lock. */
void hf_pages_end(struct hf_object *object);

#endif
