/* SPDX-License-Identifier: MIT */
/*
 * Mappings (VMAs) of a space, in a B+ tree whose nodes are frames with reference counts.
 * A node with more than one reference is never changed but copied, so a tree can be
 * shared by taking one reference on its root: that is how fork shares all mappings at
 * once, and how a change can be given up when it fails in the middle.
 *
 * A tree is changed only under its mm's exclusive lock and read under the shared one. Node
 * reference counts are guarded by phys->lock, which the functions here take.
 */
#ifndef HF_VMA_H
#define HF_VMA_H

#include "../object/object.h"
#include "../phys/reserve.h"

#include <holdfast/phys.h>

/* What a mapping is, besides where. The low bits are HF_PROT_*. */
enum hf_vma_flags {
	HF_VMA_PROT = HF_PROT_READ | HF_PROT_WRITE | HF_PROT_EXEC,
	HF_VMA_HUGE = 1 << 3,	  /* leaves at PMD level where they fit */
	HF_VMA_HUGE_1G = 1 << 4,  /* and at PUD level */
	HF_VMA_DONTFORK = 1 << 5, /* absent in children */
	HF_VMA_WIPE = 1 << 6,	  /* empty in children */
	HF_VMA_SHARED = 1 << 7,	  /* of an object; writes are for all who map it */
	HF_VMA_LOCKED = 1 << 8,	  /* never paged out */
	HF_VMA_LOCKONFAULT = 1 << 9,
	HF_VMA_GROWSDOWN = 1 << 10,
	HF_VMA_SEALED = 1 << 11, /* stays as it is until the space ends */
	HF_VMA_OBJECT = 1 << 12, /* has an object, for searches */
};
/* Fork must inspect what such a mapping maps: it does not share it with the child. */
#define HF_VMA_UNSHARED (HF_VMA_DONTFORK | HF_VMA_WIPE | HF_VMA_SHARED)

struct hf_vma {
	hf_va start, end; /* [start, end) */
	uint32_t flags;
	struct hf_object *object; /* what is mapped; NULL: private anonymous memory */
	uint64_t offset;	  /* in it, of `start`, in bytes; 0 without an object */
};

/* Anonymous memory: whatever is not in the tables reads as zeros. */
static inline bool hf_vma_is_anon(const struct hf_vma *vma)
{
	return !vma->object;
}

/* Where in the object `va`, an address of the mapping, lies. */
static inline uint64_t hf_vma_offset(const struct hf_vma *vma, hf_va va)
{
	return vma->offset + (va - vma->start);
}

/* The part of a mapping in [lo, hi), which overlap. */
static inline struct hf_vma hf_vma_part(const struct hf_vma *vma, hf_va lo, hf_va hi)
{
	struct hf_vma part = *vma;

	part.start = lo > vma->start ? lo : vma->start;
	part.end = hi < vma->end ? hi : vma->end;
	if (vma->object)
		part.offset = hf_vma_offset(vma, part.start);
	return part;
}

/* `right`, which begins where `left` ends or later, continues it: the two are one mapping. */
static inline bool hf_vma_joins(const struct hf_vma *left, const struct hf_vma *right)
{
	return left->end == right->start && left->flags == right->flags &&
	       left->object == right->object &&
	       (!left->object || hf_vma_offset(left, left->end) == right->offset);
}

/* A write to a page that others map too is seen by the writer only (Linux: is_cow_mapping). */
static inline bool hf_vma_is_cow(const struct hf_vma *vma)
{
	return !(vma->flags & HF_VMA_SHARED);
}

static inline unsigned hf_vma_prot(const struct hf_vma *vma)
{
	return vma->flags & HF_VMA_PROT;
}

/*
 * A tree: the frame of its root node, HF_NIL when there are no mappings. Each mapping of a leaf
 * node holds a reference to its object. Only hf_vmas_drop may give up an object's last one: what an
 * edit takes out of a tree is still in the one that it is a copy of.
 */

/* One reference more to the tree. */
void hf_vmas_get(struct hf_phys *phys, hf_pfn root);
/* One less; frees the nodes that nobody else has. */
void hf_vmas_put(struct hf_phys *phys, hf_pfn root);
/* The same; objects that nobody refers to any more join *dead, for hf_objects_end. */
void hf_vmas_drop(struct hf_phys *phys, hf_pfn root, struct hf_object **dead);

/* The first mapping that ends above `va`. */
bool hf_vmas_next(const struct hf_phys *phys, hf_pfn root, hf_va va, struct hf_vma *out);
/* The first that ends above `va` and has any of `flags`; whole subtrees are passed over. */
bool hf_vmas_next_with(const struct hf_phys *phys, hf_pfn root, hf_va va, uint32_t flags,
		       struct hf_vma *out);

/* From the first mapping to the end of the last. False: there is none. */
bool hf_vmas_span(const struct hf_phys *phys, hf_pfn root, hf_va *lo, hf_va *hi);

/* Something is mapped in [lo, hi), and all of it with some of `flags`. */
bool hf_vmas_only(const struct hf_phys *phys, hf_pfn root, hf_va lo, hf_va hi, uint32_t flags);

/*
 * The highest start, at most hi - len and at least lo, aligned to `align` (a power of two),
 * of a gap of `len` bytes.
 */
bool hf_vmas_gap(const struct hf_phys *phys, hf_pfn root, hf_va lo, hf_va hi, uint64_t len,
		 uint64_t align, hf_va *out);

/*
 * Make [lo, hi) unmapped, or *vma a mapping that joins its like neighbours. What
 * was there goes, partly covered mappings are cut. HF_ERR_NOMEM: *root leads to a tree in
 * an undefined but whole state, to be given up with hf_vmas_put.
 * Clearing takes frames of the reserve, which it fills, or free ones (NULL): two for each level of
 * the tree and one for a new root, at most. It ends no object: what is cleared has another reference, in
 * the tree that this one is a copy of.
 */
enum hf_status hf_vmas_clear(struct hf_phys *phys, hf_pfn *root, hf_va lo, hf_va hi,
			     struct hf_reserve *r);
enum hf_status hf_vmas_set(struct hf_phys *phys, hf_pfn *root, const struct hf_vma *vma);

/* For hf_mm_check: the tree may be walked at all; and see check.c. */
bool hf_vmas_whole(const struct hf_phys *phys, hf_pfn root);
void hf_vmas_check_uncount(struct hf_phys *phys, hf_pfn root);
void hf_vmas_check_recount(struct hf_phys *phys, hf_pfn root);

#endif
