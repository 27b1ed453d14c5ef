/* SPDX-License-Identifier: MIT */
/*
 * The copy-on-write B+ tree of mappings. One node is one frame. A slot of a leaf node is a
 * mapping; a slot of an inner node sums up a child: the span it covers, the largest gap
 * inside and the union of the flags, so that searches pass whole subtrees over.
 */
#include "vma.h"

#include "../lib/lock.h"
#include "../lib/mem.h"
#include "../object/object.h"
#include "../phys/buddy.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"

#include <holdfast/phys.h>

struct slot {
	hf_va start, end;
	union {
		uint64_t gap;	 /* inner: the largest gap between mappings below */
		uint64_t offset; /* leaf: in the object */
	};
	union {
		uint32_t child;	 /* inner: frame of the child */
		uint32_t object; /* leaf: frame of the object, or HF_NIL */
	};
	uint32_t flags; /* leaf: HF_VMA_*; inner: of all mappings below, together */
};

struct node {
	uint32_t count;
	uint32_t height; /* 0: leaf node */
	uint64_t unused[3];
	struct slot slots[127];
};
_Static_assert(sizeof(struct node) == HF_PAGE_SIZE, "a node is one frame");

#define CAPACITY (sizeof(((struct node *)0)->slots) / sizeof(struct slot))
/* Neighbours that fit into this much of one node become one. */
#define MERGE_BELOW (CAPACITY * 3 / 4)

static struct node *node_of(const struct hf_phys *phys, hf_pfn pfn)
{
	return hf_frame_ptr(phys, pfn);
}

static struct node *child_of(const struct hf_phys *phys, const struct slot *s)
{
	return node_of(phys, (hf_pfn){ s->child });
}

static struct hf_vma vma_of(const struct hf_phys *phys, const struct slot *s)
{
	return (struct hf_vma){
		.start = s->start,
		.end = s->end,
		.flags = s->flags,
		.object = s->object == HF_NIL ? NULL : hf_object_at(phys, (hf_pfn){ s->object }),
		.offset = s->offset,
	};
}

/* A leaf node's references to objects, one more or one less each. phys->lock held. */
static void get_objects(struct hf_phys *phys, const struct node *n)
{
	for (unsigned i = 0; i < n->count; i++)
		if (n->slots[i].object != HF_NIL)
			hf_object_at(phys, (hf_pfn){ n->slots[i].object })->refs++;
}

HF_HOLDS(phys)
static void put_objects(struct hf_phys *phys, const struct node *n, struct hf_object **dead)
{
	for (unsigned i = 0; i < n->count; i++)
		if (n->slots[i].object != HF_NIL)
			hf_object_unref_locked(hf_object_at(phys, (hf_pfn){ n->slots[i].object }),
					       dead);
}

/*
 * References to nodes need no limit: each is a space's, a parent node's or a running edit's, the first two
 * are frames of their own, and there are fewer than 2^32 of these.
 */
void hf_vmas_get(struct hf_phys *phys, hf_pfn root)
{
	if (root.v == HF_NIL)
		return;
	hf_phys_lock(phys);
	hf_frame_at(phys, root)->refs++;
	hf_phys_unlock(phys);
}

/* One reference less; a node that has none any more is nobody's, and goes with what is below it. */
static void put_node(struct hf_phys *phys, hf_pfn pfn, struct hf_object **dead)
{
	struct node *n = node_of(phys, pfn);
	struct hf_frame *f = hf_frame_at(phys, pfn);
	bool last;

	hf_phys_lock(phys);
	last = !--f->refs;
	if (last && !n->height)
		put_objects(phys, n, dead);
	hf_phys_unlock(phys);
	if (!last)
		return;
	for (unsigned i = 0; n->height && i < n->count; i++)
		put_node(phys, (hf_pfn){ n->slots[i].child }, dead);
	hf_phys_lock(phys);
	hf_frame_set_kind(f, HF_FRAME_PLAIN);
	hf_block_free_locked(phys, pfn, 0);
	hf_phys_unlock(phys);
}

void hf_vmas_drop(struct hf_phys *phys, hf_pfn root, struct hf_object **dead)
{
	if (root.v == HF_NIL)
		return;
	put_node(phys, root, dead);
}

void hf_vmas_put(struct hf_phys *phys, hf_pfn root)
{
	hf_vmas_drop(phys, root, NULL);
}

/* The first slot that ends above `va`, or n->count. */
static unsigned slot_above(const struct node *n, hf_va va)
{
	unsigned lo = 0, hi = n->count;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (n->slots[mid].end > va)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

bool hf_vmas_next(const struct hf_phys *phys, hf_pfn root, hf_va va, struct hf_vma *out)
{
	return hf_vmas_next_with(phys, root, va, ~0u, out);
}

static bool next_with(const struct hf_phys *phys, const struct node *n, hf_va va, uint32_t flags,
		      struct hf_vma *out)
{
	for (unsigned i = slot_above(n, va); i < n->count; i++) {
		const struct slot *s = &n->slots[i];

		if (flags != ~0u && !(s->flags & flags))
			continue;
		if (!n->height) {
			*out = vma_of(phys, s);
			return true;
		}
		if (next_with(phys, child_of(phys, s), va, flags, out))
			return true;
	}
	return false;
}

bool hf_vmas_next_with(const struct hf_phys *phys, hf_pfn root, hf_va va, uint32_t flags,
		       struct hf_vma *out)
{
	return root.v != HF_NIL && next_with(phys, node_of(phys, root), va, flags, out);
}

bool hf_vmas_span(const struct hf_phys *phys, hf_pfn root, hf_va *lo, hf_va *hi)
{
	const struct node *n;

	if (root.v == HF_NIL)
		return false;
	n = node_of(phys, root);
	*lo = n->slots[0].start;
	*hi = n->slots[n->count - 1].end;
	return true;
}

bool hf_vmas_only(const struct hf_phys *phys, hf_pfn root, hf_va lo, hf_va hi, uint32_t flags)
{
	struct hf_vma v = { .end = lo };
	bool any = false;

	while (hf_vmas_next(phys, root, v.end, &v) && v.start < hi) {
		if (!(v.flags & flags))
			return false;
		any = true;
	}
	return any;
}

struct gap_search {
	const struct hf_phys *phys;
	hf_va lo, hi;
	uint64_t len, align;
};

/* Does the gap [lo, hi) do? */
static bool gap_fits(const struct gap_search *g, hf_va lo, hf_va hi, hf_va *out)
{
	hf_va at;

	lo = lo > g->lo ? lo : g->lo;
	hi = hi < g->hi ? hi : g->hi;
	if (hi < g->len || hi - g->len < lo)
		return false;
	at = (hi - g->len) & ~(g->align - 1);
	if (at < lo)
		return false;
	*out = at;
	return true;
}

/* The highest gap below `upper` and above the first mapping of node `n`. */
static bool gap_in(const struct gap_search *g, const struct node *n, hf_va upper, hf_va *out)
{
	for (unsigned i = n->count; i--;) {
		const struct slot *s = &n->slots[i];

		if (gap_fits(g, s->end, upper, out))
			return true;
		if (n->height && s->gap >= g->len && s->end > g->lo &&
		    gap_in(g, child_of(g->phys, s), s->end, out))
			return true;
		upper = s->start;
	}
	return false;
}

bool hf_vmas_gap(const struct hf_phys *phys, hf_pfn root, hf_va lo, hf_va hi, uint64_t len,
		 uint64_t align, hf_va *out)
{
	struct gap_search g = { phys, lo, hi, len, align };
	const struct node *n;

	if (root.v == HF_NIL)
		return gap_fits(&g, lo, hi, out);
	n = node_of(phys, root);
	return gap_in(&g, n, hi, out) || gap_fits(&g, lo, n->slots[0].start, out);
}

/* Nodes are made of frames of the reserve, which is filled for it; NULL: of free ones. */
static bool new_node(struct hf_phys *phys, uint32_t height, hf_pfn *out, struct hf_reserve *r)
{
	struct hf_reserve own = HF_RESERVE_EMPTY;
	struct hf_frame *f;

	r = r ? r : &own;
	if (!hf_reserve_fill(phys, r, 1))
		return false;
	*out = hf_reserve_take(phys, r);
	f = hf_frame_at(phys, *out);
	hf_frame_set_kind(f, HF_FRAME_NODE);
	f->refs = 1;
	*node_of(phys, *out) = (struct node){ .height = height };
	return true;
}

/* Make *pfn a node of this tree alone: itself, or a copy. Its parent is exclusive already. */
static bool own_node(struct hf_phys *phys, hf_pfn *pfn, struct hf_reserve *r)
{
	const struct node *old = node_of(phys, *pfn);
	struct node *n;
	hf_pfn copy;
	bool shared;

	hf_phys_lock(phys);
	shared = hf_frame_at(phys, *pfn)->refs > 1;
	hf_phys_unlock(phys);
	if (!shared)
		return true;
	if (!new_node(phys, old->height, &copy, r))
		return false;
	n = node_of(phys, copy);
	*n = *old;
	hf_phys_lock(phys);
	if (!n->height)
		get_objects(phys, n);
	for (unsigned i = 0; n->height && i < n->count; i++)
		hf_frame_at(phys, (hf_pfn){ n->slots[i].child })->refs++;
	hf_phys_unlock(phys);
	put_node(phys, *pfn, NULL);
	*pfn = copy;
	return true;
}

static void insert_slot(struct node *n, unsigned at, const struct slot *s)
{
	memmove(&n->slots[at + 1], &n->slots[at], (n->count - at) * sizeof(*s));
	n->slots[at] = *s;
	n->count++;
}

static void delete_slot(struct node *n, unsigned at)
{
	n->count--;
	memmove(&n->slots[at], &n->slots[at + 1], (n->count - at) * sizeof(n->slots[0]));
}

/* What an inner node says of its child `pfn`, which is not empty. */
static struct slot summary(const struct hf_phys *phys, hf_pfn pfn)
{
	const struct node *n = node_of(phys, pfn);
	struct slot s = { .start = n->slots[0].start,
			  .end = n->slots[n->count - 1].end,
			  .child = pfn.v };

	for (unsigned i = 0; i < n->count; i++) {
		const struct slot *t = &n->slots[i];
		uint64_t before = i ? t->start - t[-1].end : 0;

		s.flags |= t->flags;
		if (n->height && t->gap > s.gap)
			s.gap = t->gap;
		s.gap = s.gap > before ? s.gap : before;
	}
	return s;
}

/* Put a slot into a node that is exclusive. If it overflows, *right is its new upper half, else HF_NIL. */
static bool put_slot(struct hf_phys *phys, hf_pfn pfn, unsigned at, const struct slot *s,
		     hf_pfn *right, struct hf_reserve *reserve)
{
	struct node *n = node_of(phys, pfn), *r;
	const unsigned half = CAPACITY / 2;

	right->v = HF_NIL;
	if (n->count < CAPACITY) {
		insert_slot(n, at, s);
		return true;
	}
	if (!new_node(phys, n->height, right, reserve))
		return false;
	r = node_of(phys, *right);
	r->count = n->count - half;
	memcpy(r->slots, &n->slots[half], r->count * sizeof(*s));
	n->count = half;
	if (at <= half)
		insert_slot(n, at, s);
	else
		insert_slot(r, at - half, s);
	return true;
}

/* Child `at` of a node that is exclusive has been made anew, and may have a new upper half. *right as in put_slot. */
static bool put_child(struct hf_phys *phys, hf_pfn pfn, unsigned at, hf_pfn child, hf_pfn upper,
		      hf_pfn *right, struct hf_reserve *r)
{
	struct slot s;
	bool ok;

	right->v = HF_NIL;
	node_of(phys, pfn)->slots[at] = summary(phys, child);
	if (upper.v == HF_NIL)
		return true;
	s = summary(phys, upper);
	ok = put_slot(phys, pfn, at + 1, &s, right, r);
	if (!ok)
		hf_vmas_put(phys, upper);
	return ok;
}

/* Insert below *pfn, which becomes exclusive. *right as in put_slot. */
static bool insert(struct hf_phys *phys, hf_pfn *pfn, const struct slot *s, hf_pfn *right)
{
	hf_pfn child, upper;
	struct node *n;
	unsigned at;
	bool ok;

	right->v = HF_NIL;
	if (!own_node(phys, pfn, NULL))
		return false;
	n = node_of(phys, *pfn);
	at = slot_above(n, s->start);
	if (!n->height) {
		ok = put_slot(phys, *pfn, at, s, right, NULL);
		if (ok && s->object != HF_NIL)
			hf_object_ref(hf_object_at(phys, (hf_pfn){ s->object }));
		return ok;
	}

	if (at == n->count)
		at--;
	child.v = n->slots[at].child;
	ok = insert(phys, &child, s, &upper);
	return put_child(phys, *pfn, at, child, upper, right, NULL) && ok;
}

/* The root has a new upper half, or HF_NIL. */
static bool grow_root(struct hf_phys *phys, hf_pfn *root, hf_pfn right, struct hf_reserve *r)
{
	struct node *n;
	hf_pfn top;

	if (right.v == HF_NIL)
		return true;
	if (!new_node(phys, node_of(phys, *root)->height + 1, &top, r)) {
		hf_vmas_put(phys, right);
		return false;
	}
	n = node_of(phys, top);
	n->count = 2;
	n->slots[0] = summary(phys, *root);
	n->slots[1] = summary(phys, right);
	*root = top;
	return true;
}

/* A root with one child is none. */
static void shrink_root(struct hf_phys *phys, hf_pfn *root)
{
	const struct node *n;

	while (n = node_of(phys, *root), n->height && n->count == 1) {
		hf_pfn child = { n->slots[0].child };

		hf_vmas_get(phys, child);
		hf_vmas_put(phys, *root);
		*root = child;
	}
}

static enum hf_status tree_insert(struct hf_phys *phys, hf_pfn *root, const struct hf_vma *vma)
{
	struct slot s = { .start = vma->start,
			  .end = vma->end,
			  .offset = vma->offset,
			  .object = vma->object ? vma->object->self.v : HF_NIL,
			  .flags = vma->flags };
	hf_pfn right;

	if (root->v == HF_NIL && !new_node(phys, 0, root, NULL))
		return HF_ERR_NOMEM;
	if (!insert(phys, root, &s, &right))
		return HF_ERR_NOMEM;
	return grow_root(phys, root, right, NULL) ? HF_OK : HF_ERR_NOMEM;
}

/*
 * Children `at` and at + 1 of a node that is exclusive become one if they fit, and if there is memory for
 * those of them that are shared: it may be left undone.
 */
static void merge_children(struct hf_phys *phys, struct node *n, unsigned at)
{
	hf_pfn left = { n->slots[at].child }, right = { n->slots[at + 1].child };
	struct node *l = node_of(phys, left), *r = node_of(phys, right);

	if (l->count + r->count > MERGE_BELOW || !own_node(phys, &left, NULL))
		return;
	n->slots[at].child = left.v;
	if (!own_node(phys, &right, NULL))
		return;
	n->slots[at + 1].child = right.v;
	l = node_of(phys, left);
	r = node_of(phys, right);
	memcpy(&l->slots[l->count], r->slots, r->count * sizeof(r->slots[0]));
	l->count += r->count;
	r->count = 0;
	hf_vmas_put(phys, right);
	n->slots[at] = summary(phys, left);
	delete_slot(n, at + 1);
}

/* The same for a child and both its neighbours. */
static void merge_around(struct hf_phys *phys, struct node *n, unsigned at)
{
	if (at + 1 < n->count)
		merge_children(phys, n, at);
	if (at)
		merge_children(phys, n, at - 1);
}

/* Remove the mapping at `va` below *pfn, which becomes exclusive and may become empty. */
static bool take_out(struct hf_phys *phys, hf_pfn *pfn, hf_va va)
{
	struct node *n;
	hf_pfn child;
	unsigned at;
	bool ok;

	if (!own_node(phys, pfn, NULL))
		return false;
	n = node_of(phys, *pfn);
	at = slot_above(n, va);
	if (!n->height) {
		struct slot gone = n->slots[at];

		delete_slot(n, at);
		if (gone.object != HF_NIL)
			hf_object_unref(hf_object_at(phys, (hf_pfn){ gone.object }));
		return true;
	}
	child.v = n->slots[at].child;
	ok = take_out(phys, &child, va);
	n->slots[at].child = child.v;
	if (!ok)
		return false;
	if (!node_of(phys, child)->count) {
		hf_vmas_put(phys, child);
		delete_slot(n, at);
		return true;
	}
	n->slots[at] = summary(phys, child);
	merge_around(phys, n, at);
	return true;
}

static enum hf_status tree_remove(struct hf_phys *phys, hf_pfn *root, hf_va va)
{
	if (!take_out(phys, root, va))
		return HF_ERR_NOMEM;
	if (!node_of(phys, *root)->count) {
		hf_vmas_put(phys, *root);
		root->v = HF_NIL;
	} else {
		shrink_root(phys, root);
	}
	return HF_OK;
}

/* An object is held while the only mapping of it may be out of the tree. */
static void hold(const struct hf_vma *v)
{
	if (v->object)
		hf_object_ref(v->object);
}

static void drop_object(const struct hf_vma *v)
{
	if (v->object)
		hf_object_unref(v->object);
}

/* ---- Taking a range out ---- */

/* Slots [from, to) of a node that is exclusive go, and what they refer to is given up. */
static void drop_slots(struct hf_phys *phys, struct node *n, unsigned from, unsigned to)
{
	if (from >= to)
		return;
	for (unsigned i = from; n->height && i < to; i++)
		put_node(phys, (hf_pfn){ n->slots[i].child }, NULL);
	hf_phys_lock(phys);
	for (unsigned i = from; !n->height && i < to; i++)
		if (n->slots[i].object != HF_NIL)
			hf_object_unref_locked(hf_object_at(phys, (hf_pfn){ n->slots[i].object }),
					       NULL);
	hf_phys_unlock(phys);
	memmove(&n->slots[from], &n->slots[to], (n->count - to) * sizeof(n->slots[0]));
	n->count -= to - from;
}

/* What of a mapping lies from `at` on. */
static struct slot slot_from(const struct slot *s, hf_va at)
{
	struct slot part = *s;

	if (s->object != HF_NIL)
		part.offset += at - s->start;
	part.start = at;
	return part;
}

/* In a leaf node that is exclusive, [lo, hi) goes from within one mapping. *right as in put_slot. */
static bool split_slot(struct hf_phys *phys, hf_pfn pfn, unsigned at, hf_va lo, hf_va hi,
		       hf_pfn *right, struct hf_reserve *r)
{
	struct slot *s = &node_of(phys, pfn)->slots[at], upper = slot_from(s, hi);
	bool ok;

	s->end = lo;
	ok = put_slot(phys, pfn, at + 1, &upper, right, r);
	if (ok && upper.object != HF_NIL)
		hf_object_ref(hf_object_at(phys, (hf_pfn){ upper.object }));
	return ok;
}

/*
 * Take [lo, hi) out below *pfn, which lies in it in part and becomes exclusive if anything of it goes. What
 * the range covers whole goes by reference, without being entered: so nodes are copied on the
 * ways down to the range's two ends alone. *right as in put_slot.
 */
static bool clear(struct hf_phys *phys, hf_pfn *pfn, hf_va lo, hf_va hi, hf_pfn *right,
		  struct hf_reserve *r)
{
	struct node *n = node_of(phys, *pfn);
	unsigned first = slot_above(n, lo), end = slot_above(n, hi - 1);
	hf_pfn child, upper;
	bool cut[2], ok = true;

	right->v = HF_NIL;
	end += end < n->count && n->slots[end].start < hi;
	if (first == end)
		return true;
	if (!own_node(phys, pfn, r))
		return false;
	n = node_of(phys, *pfn);
	cut[0] = n->slots[first].start < lo;
	cut[1] = n->slots[end - 1].end > hi;
	if (!n->height && end - first == 1 && cut[0] && cut[1])
		return split_slot(phys, *pfn, first, lo, hi, right, r);
	/* The upper end first: what it may put in lies behind the lower one. */
	if (cut[1] && n->height) {
		child.v = n->slots[end - 1].child;
		ok = clear(phys, &child, lo, hi, &upper, r);
		ok = put_child(phys, *pfn, end - 1, child, upper, right, r) && ok;
	} else if (cut[1]) {
		n->slots[end - 1] = slot_from(&n->slots[end - 1], hi);
	}
	if (end - first == 1 && cut[0] && cut[1])
		return ok;
	if (ok && cut[0] && n->height) {
		child.v = n->slots[first].child;
		ok = clear(phys, &child, lo, hi, &upper, r);
		n->slots[first] = summary(phys, child);
	} else if (cut[0] && !n->height) {
		n->slots[first].end = lo;
	}
	drop_slots(phys, n, first + cut[0], end - cut[1]);
	if (n->height && n->count > 1)
		merge_around(phys, n, first < n->count ? first : n->count - 1);
	return ok;
}

enum hf_status hf_vmas_clear(struct hf_phys *phys, hf_pfn *root, hf_va lo, hf_va hi,
			     struct hf_reserve *r)
{
	hf_va start, end;
	hf_pfn right;
	bool ok;

	if (!hf_vmas_span(phys, *root, &start, &end))
		return HF_OK;
	if (lo <= start && end <= hi) {
		hf_vmas_put(phys, *root);
		root->v = HF_NIL;
		return HF_OK;
	}
	ok = clear(phys, root, lo, hi, &right, r);
	ok = grow_root(phys, root, right, r) && ok;
	shrink_root(phys, root);
	return ok ? HF_OK : HF_ERR_NOMEM;
}

/* Clear the place of *vma, take in the neighbours that it joins, and insert it. */
static enum hf_status set_and_join(struct hf_phys *phys, hf_pfn *root, const struct hf_vma *vma)
{
	enum hf_status st = hf_vmas_clear(phys, root, vma->start, vma->end, NULL);
	struct hf_vma one = *vma, v;

	if (!st && vma->start && hf_vmas_next(phys, *root, vma->start - 1, &v) &&
	    hf_vma_joins(&v, &one)) {
		one.start = v.start;
		one.offset = v.offset;
		st = tree_remove(phys, root, v.start);
	}
	if (!st && hf_vmas_next(phys, *root, vma->end, &v) && hf_vma_joins(&one, &v)) {
		one.end = v.end;
		st = tree_remove(phys, root, v.start);
	}
	return st ? st : tree_insert(phys, root, &one);
}

enum hf_status hf_vmas_set(struct hf_phys *phys, hf_pfn *root, const struct hf_vma *vma)
{
	enum hf_status st;

	hold(vma);
	st = set_and_join(phys, root, vma);
	drop_object(vma);
	return st;
}

/* The node and all below it are nodes, not empty, at their height, and summed up truly. */
static bool node_is_whole(const struct hf_phys *phys, hf_pfn pfn, uint32_t height)
{
	const struct node *n;

	if (!hf_ram_of(phys, pfn) || hf_frame_get_kind(hf_frame_at(phys, pfn)) != HF_FRAME_NODE)
		return false;
	n = node_of(phys, pfn);
	if (n->height != height || !n->count || n->count > CAPACITY)
		return false;
	for (unsigned i = 0; !height && i < n->count; i++)
		if (n->slots[i].object != HF_NIL &&
		    !hf_is_object(phys, (hf_pfn){ n->slots[i].object }))
			return false;
	for (unsigned i = 0; height && i < n->count; i++) {
		hf_pfn child = { n->slots[i].child };
		struct slot sum;

		if (!node_is_whole(phys, child, height - 1))
			return false;
		sum = summary(phys, child);
		if (memcmp(&sum, &n->slots[i], sizeof(sum)) != 0)
			return false;
	}
	return true;
}

bool hf_vmas_whole(const struct hf_phys *phys, hf_pfn root)
{
	if (root.v == HF_NIL)
		return true;
	if (!hf_ram_of(phys, root))
		return false;
	return node_is_whole(phys, root, node_of(phys, root)->height);
}

/* The references of a leaf node's mappings to objects, taken off or put back. */
static void check_node_objects(struct hf_phys *phys, const struct node *n, uint64_t more)
{
	for (unsigned i = 0; i < n->count; i++)
		if (n->slots[i].object != HF_NIL)
			hf_object_at(phys, (hf_pfn){ n->slots[i].object })->refs += more;
}

void hf_vmas_check_uncount(struct hf_phys *phys, hf_pfn root)
{
	const struct node *n;

	if (root.v == HF_NIL || --hf_frame_at(phys, root)->refs)
		return;
	n = node_of(phys, root);
	if (!n->height)
		check_node_objects(phys, n, -(uint64_t)1);
	for (unsigned i = 0; n->height && i < n->count; i++)
		hf_vmas_check_uncount(phys, (hf_pfn){ n->slots[i].child });
}

void hf_vmas_check_recount(struct hf_phys *phys, hf_pfn root)
{
	const struct node *n;

	if (root.v == HF_NIL || ++hf_frame_at(phys, root)->refs != 1)
		return;
	n = node_of(phys, root);
	if (!n->height)
		check_node_objects(phys, n, 1);
	for (unsigned i = 0; n->height && i < n->count; i++)
		hf_vmas_check_recount(phys, (hf_pfn){ n->slots[i].child });
}
