/* SPDX-License-Identifier: MIT */
/*
 * The reference: what an address space is to its users, in the simplest form that can be
 * written down. One slot per 4 KiB page with the mapping's attributes and the bytes; no
 * tables, no sharing, no copy-on-write. fork copies every byte.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include <holdfast/holdfast.h>

/* The bytes of one page. A device that pinned it holds it even when it is unmapped. */
struct model_page {
	uint8_t bytes[HF_PAGE_SIZE];
	unsigned refs; /* one for the slot, one for each pin */
	uint32_t pins; /* of all devices together */
	hf_pa pa;      /* where it must stay while pins > 0 */
};

enum model_flag {
	MODEL_HUGE = 1,
	MODEL_HUGE_1G = 2,
	MODEL_DONTFORK = 4,
	MODEL_WIPEONFORK = 8,
};

struct model_slot {
	bool mapped;
	uint8_t prot;
	uint8_t flags;
	struct model_page *page; /* NULL: zeros */
};

struct model {
	hf_va lo, hi;
	size_t count; /* slots */
	struct model_slot *slots;
};

void model_init(struct model *model, hf_va lo, hf_va hi);
void model_fini(struct model *model);
void model_fork(struct model *child, const struct model *parent);

/*
 * What a call must return. Memory may be short beyond what these know. In a range with a
 * hole and a forbidden page the hole counts for the core's calls, the lower address for a
 * CPU (model_first_fault).
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

/* The page of va, made if there was none, with one more reference. */
struct model_page *model_page_hold(struct model *model, hf_va va);
void model_page_drop(struct model_page *page);

/* The slot of va, which is inside the space. */
static inline struct model_slot *model_slot(const struct model *model, hf_va va)
{
	return &model->slots[(va - model->lo) / HF_PAGE_SIZE];
}

/* The first mapping that ends above va: a longest run of slots that are alike. */
bool model_vma_next(const struct model *model, hf_va va, struct hf_vma_info *out);

#endif
