/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "core.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void must(enum hf_status st, const char *what)
{
	if (st)
		bench_die("%s: %s", what, hf_status_name(st));
}

uint64_t core_ram(const struct layout *layout)
{
	uint64_t pages = layout_pages(layout).count;
	uint64_t data = layout->zero ? 2 * MIB : pages * layout->page;
	/* Each page may need a path of its own; and as many tables again for a child. */
	uint64_t tables = layout->page > 4 * KIB ? 0 : pages * (layout->step >= 2 * MIB ? 3 : 1);
	uint64_t ram = data + layout->spare + tables * 8 * KIB + layout->size / 256 + 64 * MIB;
	uint64_t unit = layout->page == GIB ? GIB : 2 * MIB;

	return (ram + 2 * unit - 1) / unit * unit;
}

void core_clean(struct hf_phys *phys)
{
	hf_phys_trim(phys, 0);
}

static void map_one(struct hf_mm *mm, hf_va va, uint64_t len, uint64_t page, unsigned flags)
{
	enum hf_advice advice = page == 4 * KIB	  ? HF_ADV_NOHUGEPAGE
				: page == 2 * MIB ? HF_ADV_HUGEPAGE
						  : HF_ADV_HUGEPAGE_1G;

	flags |= HF_MAP_FIXED_NOREPLACE;
	must(hf_mmap(mm, &va, len, HF_PROT_READ | HF_PROT_WRITE, flags), "hf_mmap");
	must(hf_madvise(mm, va, len, advice), "hf_madvise");
}

void core_map(struct hf_mm *mm, hf_va base, const struct layout *layout)
{
	struct walk pages = layout_pages(layout);
	uint64_t shared = layout->kind == HALF_SHARED ? layout->size / 2 : 0;

	if (!layout->apart) {
		if (shared)
			map_one(mm, base, shared, layout->page, HF_MAP_SHARED);
		map_one(mm, base + shared, layout->size - shared, layout->page, 0);
		if (layout->step == layout->page && !layout->zero)
			must(hf_madvise(mm, base, layout->size, HF_ADV_POPULATE_WRITE),
			     "hf_madvise");
		return;
	}
	for (uint64_t i = 0; i < pages.count; i++)
		map_one(mm, base + walk_at(&pages, i), layout->page, layout->page, 0);
}

static bool store_read(void *ram, uint64_t slot, void *page)
{
	memcpy(page, (char *)ram + slot * HF_PAGE_SIZE, HF_PAGE_SIZE);
	return true;
}

static bool store_write(void *ram, uint64_t slot, const void *page)
{
	memcpy((char *)ram + slot * HF_PAGE_SIZE, page, HF_PAGE_SIZE);
	return true;
}

/* Swap [va, va + len) out; the store is there until the process ends. */
static void swap_out(struct hf_mm *mm, hf_va va, uint64_t len)
{
	struct hf_store *store = calloc(1, sizeof(*store));
	struct hf_swap_stats stats;
	uint64_t pages = len / HF_PAGE_SIZE;

	*store = (struct hf_store){
		.slots = pages,
		.read = store_read,
		.write = store_write,
		.host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		.meta = malloc(hf_store_meta_size(pages)),
	};
	if (store->host == MAP_FAILED || !store->meta)
		bench_die("no memory for a swap store");
	must(hf_swap_on(mm->phys, store), "hf_swap_on");
	must(hf_madvise(mm, va, len, HF_ADV_PAGEOUT), "hf_madvise");
	hf_swap_stats(mm->phys, &stats);
	if (stats.used - stats.cached != pages)
		bench_die("HF_ADV_PAGEOUT has left pages in memory");
}

void core_keep(struct hf_mm *mm, hf_va base, const struct layout *layout)
{
	if (layout->kind == HALF_SWAPPED)
		swap_out(mm, base + layout->size / 2, layout->size / 2);
	if (layout->kind == ALL_LOCKED)
		must(hf_mlock(mm, base, layout->size, 0), "hf_mlock");
	if (layout->kind == ALL_SEALED)
		must(hf_mseal(mm, base, layout->size), "hf_mseal");
}

struct walk core_places(const struct layout *layout, uint64_t from, uint64_t len)
{
	struct walk w = walk_in_order(len, layout->whole ? 4 * KIB : layout->step);

	w.first = from;
	return w;
}

uint64_t core_free(struct hf_phys *phys)
{
	struct hf_phys_stats stats;

	hf_phys_stats(phys, &stats);
	return stats.free_bytes;
}

double core_pin(struct hf_mm *mm, hf_va base, const struct walk *places, uint64_t len,
		struct core_pins *pins)
{
	size_t each = len / HF_PAGE_SIZE, count, room = each * places->count;
	double start;

	if (!pins->spans)
		pins->spans = calloc(room, sizeof(*pins->spans));
	if (!pins->spans)
		bench_die("no memory for a scatter list");
	pins->count = 0;
	start = now_ns();
	for (uint64_t i = 0; i < places->count; i++) {
		must(hf_pin(mm, base + walk_at(places, i), len, HF_PIN_WRITE,
			    pins->spans + pins->count, each, &count),
		     "hf_pin");
		pins->count += count;
	}
	return now_ns() - start;
}

double core_unpin(struct hf_phys *phys, struct core_pins *pins)
{
	double start = now_ns();

	must(hf_unpin(phys, pins->spans, pins->count), "hf_unpin");
	return now_ns() - start;
}
