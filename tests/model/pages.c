/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include <stdlib.h>

#define CHUNK 512

struct pagechunk {
	size_t used;
	struct model_page *pages[CHUNK];
};

struct model_page *page_new(void)
{
	struct model_page *page = calloc(1, sizeof(*page));

	page->refs = 1;
	return page;
}

void page_drop(struct model_page *page)
{
	if (page && --page->refs == 0)
		free(page);
}

void pagemap_init(struct pagemap *map, uint64_t first, uint64_t count)
{
	map->first = first / CHUNK * CHUNK;
	map->count = first + count - map->first;
	map->chunks = calloc(map->count / CHUNK + 1, sizeof(map->chunks[0]));
}

void pagemap_fini(struct pagemap *map)
{
	pagemap_clear(map, map->first, map->first + map->count);
	free(map->chunks);
}

static struct pagechunk **chunk_of(const struct pagemap *map, uint64_t number)
{
	return &map->chunks[(number - map->first) / CHUNK];
}

struct model_page *pagemap_get(const struct pagemap *map, uint64_t number)
{
	const struct pagechunk *chunk = *chunk_of(map, number);

	return chunk ? chunk->pages[number % CHUNK] : NULL;
}

struct model_page *pagemap_take(struct pagemap *map, uint64_t number)
{
	struct pagechunk **chunk = chunk_of(map, number);
	struct model_page *page = pagemap_get(map, number);

	if (!page)
		return NULL;
	(*chunk)->pages[number % CHUNK] = NULL;
	if (--(*chunk)->used == 0) {
		free(*chunk);
		*chunk = NULL;
	}
	return page;
}

void pagemap_put(struct pagemap *map, uint64_t number, struct model_page *page)
{
	struct pagechunk **chunk = chunk_of(map, number);

	page_drop(pagemap_take(map, number));
	if (!page)
		return;
	if (!*chunk)
		*chunk = calloc(1, sizeof(**chunk));
	(*chunk)->pages[number % CHUNK] = page;
	(*chunk)->used++;
}

struct model_page *pagemap_make(struct pagemap *map, uint64_t number)
{
	struct model_page *page = pagemap_get(map, number);

	if (!page) {
		page = page_new();
		pagemap_put(map, number, page);
	}
	return page;
}

bool pagemap_next(const struct pagemap *map, uint64_t from, uint64_t end, uint64_t *out)
{
	while (from < end) {
		const struct pagechunk *chunk = *chunk_of(map, from);

		if (!chunk) {
			from = (from / CHUNK + 1) * CHUNK;
			continue;
		}
		if (chunk->pages[from % CHUNK]) {
			*out = from;
			return true;
		}
		from++;
	}
	return false;
}

void pagemap_clear(struct pagemap *map, uint64_t from, uint64_t end)
{
	while (pagemap_next(map, from, end, &from))
		page_drop(pagemap_take(map, from));
}
