/* SPDX-License-Identifier: MIT */
/*
 * The reference: what an address space is to its users, in the simplest form that can be
 * written down. A sorted list of regions with their attributes, and the bytes of every
 * page that was written; no tables, no sharing, no copy-on-write. fork copies every byte.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "pages.h"

#define OBJECT_PAGES ((uint64_t)1 << 19) /* an object has at most as many: 2 GiB */

enum model_flag {
	MODEL_HUGE = 1,
	MODEL_HUGE_1G = 2,
	MODEL_DONTFORK = 4,
	MODEL_WIPEONFORK = 8,
	MODEL_SHARED = 16,
	MODEL_LOCKED = 32,
	MODEL_ONFAULT = 64,
	MODEL_SEALED = 128,
	MODEL_GROWSDOWN = 256,
};

/* Memory with an identity: what every shared mapping of it sees. */
struct model_object {
	struct hf_object *real;
	unsigned id;
	uint64_t size;	      /* in bytes */
	bool huge;	      /* made of pages larger than 4 KiB */
	bool held;	      /* the host has a reference */
	struct pager *pager;  /* NULL: shared memory (world.h) */
	struct pagemap pages; /* by offset / PAGE; none: zeros */
	struct model_object *next;
};

/* What all pages of a region have in common. */
struct model_attr {
	unsigned prot;
	unsigned flags;
	struct model_object *object; /* NULL: anonymous */
};

struct model_region {
	hf_va start, end;
	struct model_attr attr;
	uint64_t offset; /* in the object, of `start` */
};

struct model {
	hf_va lo, hi;
	struct hf_limits limits;
	hf_va brk_start, brk;	      /* the heap, if brk_start is not 0 */
	unsigned future;	      /* MODEL_* that new mappings get */
	struct model_region *regions; /* in order; no two neighbours that are alike */
	size_t count, room;
	struct pagemap
		pages; /* by va / PAGE, what is this space's alone; none: zeros, or the object's */
	/*
	 * In private mappings of objects: pages that may have become the space's own, or may not,
	 * because a call failed on the way or copied more than it had to. Until somebody writes to
	 * the object's page nobody can tell; `sealed` is set and the bytes kept when somebody does.
	 */
	struct pagemap unsure;
	bool lazy;	    /* some page may be: see HF_ADV_FREE */
	struct model *next; /* of all models */
};

void model_init(struct model *model, hf_va lo, hf_va hi);
void model_fini(struct model *model);
void model_fork(struct model *child, const struct model *parent);

/* The region that va lies in, or NULL; the first that ends above va, or NULL. */
const struct model_region *model_at(const struct model *model, hf_va va);
const struct model_region *model_above(const struct model *model, hf_va va);

/*
 * What a call must return. Memory may be short beyond what these know. In a range with a
 * hole and a forbidden page the hole counts for the core's calls, the lower address for a
 * CPU (model_first_fault). Lengths are as the caller gave them.
 */
enum hf_status model_check_range(const struct model *model, hf_va va, uint64_t len, bool aligned);
enum hf_status model_check_access(const struct model *model, hf_va va, uint64_t len,
				  unsigned access);
enum hf_status model_first_fault(const struct model *model, hf_va va, uint64_t len,
				 unsigned access);
enum hf_status model_check_mapped(const struct model *model, hf_va va, uint64_t len);
/* *va becomes where the mapping goes. */
enum hf_status model_check_mmap(const struct model *model, hf_va *va, uint64_t len, unsigned prot,
				unsigned flags);

/* The same for hf_mmap_object. */
enum hf_status model_check_mmap_object(const struct model *model, hf_va *va, uint64_t len,
				       unsigned prot, unsigned flags, uint64_t offset);
/*
 * What a call comes to that would succeed else: HF_ERR_SEALED where some of [va, va+len) is
 * sealed; HF_ERR_LIMIT where what is mapped in [va, va+len), or locked, would become too much, by
 * `mapped` and `locked` bytes in all of it instead of what there is.
 */
enum hf_status model_check_sealed(const struct model *model, hf_va va, uint64_t len);
enum hf_status model_check_limits(const struct model *model, hf_va va, uint64_t len,
				  uint64_t mapped, uint64_t locked);
/* Bytes of [va, va+len) whose mappings have all of these flags. */
/*
 * An access to va, where nothing is mapped, makes a stack above it begin there: HF_OK, or what
 * keeps it from that. model_grow does it.
 */
enum hf_status model_check_grow(const struct model *model, hf_va va);
void model_grow(struct model *model, hf_va va);
/* As model_first_fault, with stacks that grow on the way. */
enum hf_status model_fault_growing(const struct model *model, hf_va va, uint64_t len,
				   unsigned access);
/* What begins at `end` or above is a stack too near, or anything else within `gap`. */
bool model_near_stack(const struct model *model, hf_va end, uint64_t gap);
uint64_t model_bytes_with(const struct model *model, hf_va va, uint64_t len, unsigned flags);
void model_change_flags(struct model *model, hf_va va, uint64_t len, unsigned clear, unsigned add);

/*
 * The same for mremap; *to becomes the place. On HF_OK the range is to be moved or resized.
 */
enum hf_status model_check_mremap(const struct model *model, hf_va old, uint64_t old_len,
				  uint64_t new_len, unsigned flags, hf_va *to);

/* What a call that succeeded has done. Lengths are rounded up to pages. */
void model_mmap(struct model *model, hf_va va, uint64_t len, struct model_attr attr,
		uint64_t offset);
/* What hf_mremap does when it has found the place `to`, which may be `old` itself. */
void model_mremap(struct model *model, hf_va old, uint64_t old_len, hf_va to, uint64_t new_len,
		  bool keeps_old);
void model_munmap(struct model *model, hf_va va, uint64_t len);
void model_mprotect(struct model *model, hf_va va, uint64_t len, unsigned prot);
void model_advise(struct model *model, hf_va va, uint64_t len, enum hf_advice advice);
void model_read(const struct model *model, hf_va va, void *buf, uint64_t len);
void model_write(struct model *model, hf_va va, const void *buf, uint64_t len);

/* The page that a reader of va sees, or NULL: zeros. */
const struct model_page *model_page_seen(const struct model *model, hf_va va);
/* The page of va in the object that is mapped there, or NULL: none is, or zeros. */
const struct model_page *model_page_under(const struct model *model, hf_va va);
/* The page that a writer of va writes, made if there was none. */
struct model_page *model_page_own(struct model *model, hf_va va);

/*
 * Somebody is about to write to the page: where it is an object's, those who are unsure
 * whether they have a copy of it keep its bytes.
 */
void model_page_touch(struct model_page *page);
/* The pages of private mappings of objects in [lo, hi) may have become the space's own. */
void model_unsure(struct model *model, hf_va lo, hf_va hi);
/* The page of va is (own) or is not the space's own after all. */
void model_sure(struct model *model, hf_va va, bool own);

/* Every page of private mappings of objects in [lo, hi) is the space's own now. */
void model_own_range(struct model *model, hf_va lo, hf_va hi);
/* A mapping in [va, va+len) is of this object. */
bool model_maps(const struct model *model, hf_va va, uint64_t len,
		const struct model_object *object);
/* A private mapping that may copy more than the page that is written. */
bool model_copies_more(const struct model_region *region);
/* Every address of [va, va+len) does, through shared mappings, and without a jump in the object. */
bool model_shows(const struct model *model, hf_va va, uint64_t len,
		 const struct model_object *object);

struct model_object *object_new(struct hf_object *real, uint64_t size);
void object_free(struct model_object *object);
void object_read(const struct model_object *object, uint64_t offset, void *buf, uint64_t len);
void object_write(struct model_object *object, uint64_t offset, const void *buf, uint64_t len);
void object_resize(struct model_object *object, uint64_t size);
/* Something maps it. */
bool object_mapped(const struct model_object *object);

static inline struct model_attr anonymous(unsigned prot)
{
	return (struct model_attr){ .prot = prot };
}

static inline uint64_t page_up(uint64_t len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

#endif
