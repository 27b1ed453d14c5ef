/* SPDX-License-Identifier: MIT */
/* The operations by subject, and how their arguments are picked. */
#ifndef TESTS_MODEL_OPS_H
#define TESTS_MODEL_OPS_H

#include "world.h"

struct operations {
	const struct operation *list;
	size_t count;
};
#define OPERATIONS(name, array)              \
	extern const struct operations name; \
	const struct operations name = { array, sizeof(array) / sizeof(array[0]) }

extern const struct operations access_operations, family_operations, lock_operations,
	map_operations, object_operations, pin_operations, swap_operations;

static inline hf_va page_of(hf_va va)
{
	return va & ~(PAGE - 1);
}

hf_va any_va(struct world *w);
/* Where something is mapped, mostly. */
hf_va used_va(struct world *w, const struct model *model);
/* A length in bytes for something that works on bytes. */
uint64_t some_bytes(struct world *w);
/* A range of pages in or near what is mapped; huge page borders are favoured. */
void some_range(struct world *w, const struct model *model, hf_va *va, uint64_t *len);
/* Now and then an argument that must be refused. */
void spoil(struct world *w, hf_va *va, uint64_t *len);
unsigned some_prot(struct world *w);
void some_content(struct world *w, uint8_t *buf, uint64_t len);

/* c->va and c->len from some_range, spoiled now and then. Always true. */
bool pick_range(struct world *w, struct call *c);
/*
 * What hf_mmap comes to at c->src, where the model's answer is `status` without seals and limits.
 */
enum hf_status check_map(struct call *c, enum hf_status status);
/* Map memory for pages of this size; then it is advised, and mostly populated. */
bool pick_huge_of(struct world *w, struct call *c, enum hf_advice advice);
/* Every page of the call's range, rounded up to pages, is mapped. */
enum hf_status expect_mapped(struct world *w, struct call *c);

#endif
