/* SPDX-License-Identifier: MIT */
/*
 * The reference: what an address space is to its users, in the simplest form that can be
 * written down. A sorted list of regions with their attributes, and the bytes of every
 * page that was written; no tables, no sharing, no copy-on-write. fork copies every byte.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "pages.h"

enum model_flag {
	MODEL_HUGE = 1,
	MODEL_HUGE_1G = 2,
	MODEL_DONTFORK = 4,
	MODEL_WIPEONFORK = 8,
};

/* What all pages of a region have in common. */
struct model_attr {
	unsigned prot;
	unsigned flags;
};

struct model_region {
	hf_va start, end;
	struct model_attr attr;
};

struct model {
	hf_va lo, hi;
	struct model_region *regions; /* in order; no two neighbours that are alike */
	size_t count, room;
	struct pagemap pages; /* by va / PAGE; none: zeros */
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

/* What a call that succeeded has done. Lengths are rounded up to pages. */
void model_mmap(struct model *model, hf_va va, uint64_t len, unsigned prot);
void model_munmap(struct model *model, hf_va va, uint64_t len);
void model_mprotect(struct model *model, hf_va va, uint64_t len, unsigned prot);
void model_advise(struct model *model, hf_va va, uint64_t len, enum hf_advice advice);
void model_read(const struct model *model, hf_va va, void *buf, uint64_t len);
void model_write(struct model *model, hf_va va, const void *buf, uint64_t len);

/* The page that a reader of va sees, or NULL: zeros. */
const struct model_page *model_page_seen(const struct model *model, hf_va va);
/* The page that a writer of va writes, made if there was none. */
struct model_page *model_page_own(struct model *model, hf_va va);

static inline uint64_t page_up(uint64_t len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

#endif
