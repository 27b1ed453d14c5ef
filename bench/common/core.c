/* SPDX-License-Identifier: MIT */
#include "core.h"

#include "clock.h"

#include <stdlib.h>

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

static void map_one(struct hf_mm *mm, hf_va va, uint64_t len, uint64_t page)
{
	enum hf_advice advice = page == 4 * KIB	  ? HF_ADV_NOHUGEPAGE
				: page == 2 * MIB ? HF_ADV_HUGEPAGE
						  : HF_ADV_HUGEPAGE_1G;

	must(hf_mmap(mm, &va, len, HF_PROT_READ | HF_PROT_WRITE, HF_MAP_FIXED_NOREPLACE),
	     "hf_mmap");
	must(hf_madvise(mm, va, len, advice), "hf_madvise");
}

void core_map(struct hf_mm *mm, hf_va base, const struct layout *layout)
{
	struct walk pages = layout_pages(layout);

	if (!layout->apart) {
		map_one(mm, base, layout->size, layout->page);
		if (layout->step == layout->page && !layout->zero)
			must(hf_madvise(mm, base, layout->size, HF_ADV_POPULATE_WRITE),
			     "hf_madvise");
		return;
	}
	for (uint64_t i = 0; i < pages.count; i++)
		map_one(mm, base + walk_at(&pages, i), layout->page, layout->page);
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
