/* SPDX-License-Identifier: MIT */
/* Reference pages: 4 KiB of bytes each, and sparse maps from page numbers to them. */
#ifndef TESTS_MODEL_PAGES_H
#define TESTS_MODEL_PAGES_H

#include <holdfast/holdfast.h>

#define PAGE HF_PAGE_SIZE

/* The bytes of one page. A device that pinned it holds it even when it is unmapped. */
struct model_page {
	uint8_t bytes[PAGE];
	unsigned refs; /* one for the map that it is in, one for each pin */
	uint32_t pins; /* of all devices together */
	hf_pa pa;      /* where it must stay while pins > 0 */
	bool lazy;     /* HF_ADV_FREE: may be gone, until it is written or held */
	bool sealed;   /* see struct model, `unsure` */
	/* Whose page it is, and which; NULL: no object's, or not any more. */
	struct model_object *object;
	uint64_t number;
};

/* Zeros, with one reference. */
struct model_page *page_new(void);
void page_drop(struct model_page *page); /* NULL: nothing */

/* A map holds one reference to each of its pages. Numbers are in [first, first + count). */
struct pagemap {
	uint64_t first, count;
	struct pagechunk **chunks; /* 512 pages each; NULL where there are none */
};

void pagemap_init(struct pagemap *map, uint64_t first, uint64_t count);
void pagemap_fini(struct pagemap *map);
struct model_page *pagemap_get(const struct pagemap *map, uint64_t number); /* or NULL */
/* Put `page` (NULL: none) there; the map takes over the caller's reference. */
void pagemap_put(struct pagemap *map, uint64_t number, struct model_page *page);
/* The page there, made if there was none. */
struct model_page *pagemap_make(struct pagemap *map, uint64_t number);
/* Take the page out, if there is one; the reference becomes the caller's. */
struct model_page *pagemap_take(struct pagemap *map, uint64_t number);
/* The first number in [from, end) with a page. */
bool pagemap_next(const struct pagemap *map, uint64_t from, uint64_t end, uint64_t *out);
void pagemap_clear(struct pagemap *map, uint64_t from, uint64_t end);

#endif
