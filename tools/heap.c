/* SPDX-License-Identifier: MIT */
/* The Holdfast side. */
#include "host.h"
#include "side.h"

#include <holdfast/linux.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RAM_SLACK ((size_t)64 << 20) /* for page tables, and what is being freed */
#define REST_SAMPLES 4		     /* of the cost of a pinned page, after each round */

struct heap {
	struct hf_linux *lin;
	struct hf_linux_space space, child;
	bool has_space;
	hf_va va;
	uint64_t free_bytes;  /* before there was a heap */
	struct hf_span *span; /* the pinned zone */
	size_t spans;
	hf_pa *block_pa; /* where each 2 MiB of it must stay */
	/* For heap_rest: more pinned pages and a place to copy them to. */
	size_t extra;
	struct hf_span *extra_span;
	size_t extra_spans;
	char *landing;
};

static bool check(struct side *side, const char *what, enum hf_status status)
{
	if (status == HF_OK)
		return true;
	if (status == HF_ERR_HOST)
		return side_fail(side, "%s: %s (%s)", what, hf_strerror(status), strerror(errno));
	return side_fail(side, "%s: %s", what, hf_strerror(status));
}

static uint64_t free_bytes(struct heap *own)
{
	struct hf_phys_stats stats;

	hf_phys_stats(hf_linux_phys(own->lin), &stats);
	return stats.free_bytes;
}

/* The address for a device of each 2 MiB of a scatter list, which must all be whole. */
static bool list_blocks(struct side *side)
{
	struct heap *own = side->own;
	size_t count = layout_blocks(&side->plan->layout);
	size_t block = 0;

	side->block = calloc(count, sizeof(*side->block));
	own->block_pa = calloc(count, sizeof(*own->block_pa));
	if (!side->block || !own->block_pa)
		return side_fail(side, "no memory");
	for (size_t i = 0; i < own->spans; i++) {
		for (uint64_t off = 0; off < own->span[i].len; off += HUGE_BYTES, block++) {
			if (own->span[i].len - off < HUGE_BYTES)
				return side_fail(side, "the pinned pages are not huge");
			own->block_pa[block].v = own->span[i].pa.v + off;
			side->block[block] = hf_linux_dma_ptr(own->lin, own->block_pa[block]);
		}
	}
	return true;
}

static bool pin_zone(struct side *side)
{
	struct heap *own = side->own;
	size_t pages = side->plan->pinned / PAGE_BYTES;

	if (!pages)
		return true;
	own->span = calloc(pages, sizeof(*own->span));
	if (!own->span)
		return side_fail(side, "no memory");
	return check(side, "hf_pin",
		     hf_pin(&own->space.mm, own->va, side->plan->pinned, HF_PIN_WRITE, own->span,
			    pages, &own->spans)) &&
	       list_blocks(side);
}

/* As much again, next to the zone, if the heap has it. */
static bool prepare_rest(struct side *side)
{
	const struct plan *plan = side->plan;
	struct heap *own = side->own;

	if (plan->policy != HF_FORK_COPY || plan->layout.heap - plan->layout.zone < plan->pinned)
		return true;
	own->extra = plan->pinned;
	if (!own->extra)
		return true;
	own->extra_span = calloc(own->extra / PAGE_BYTES, sizeof(*own->extra_span));
	own->landing = aligned_alloc(HUGE_BYTES, own->extra);
	if (!own->extra_span || !own->landing)
		return side_fail(side, "no memory");
	madvise(own->landing, own->extra, MADV_HUGEPAGE);
	memset(own->landing, 0, own->extra);
	return true;
}

static bool map_heap(struct side *side)
{
	const struct layout *layout = &side->plan->layout;
	struct heap *own = side->own;
	struct hf_mm *mm = &own->space.mm;

	if (!check(side, "hf_mmap",
		   hf_mmap(mm, &own->va, layout->heap, HF_PROT_READ | HF_PROT_WRITE, 0)) ||
	    !check(side, "hf_madvise", hf_madvise(mm, own->va, layout->heap, HF_ADV_HUGEPAGE)))
		return false;
	side->base = hf_linux_ptr(&own->space, own->va);
	for (size_t page = 0; page < layout_pages(layout); page++)
		atomic_store_explicit(&layout_stamp(side->base, page)->seq, 0,
				      memory_order_relaxed);
	return true;
}

static bool heap_fork(struct side *side)
{
	struct heap *own = side->own;
	uint64_t began = host_now();

	if (!check(side, "hf_linux_fork",
		   hf_linux_fork(&own->space, &own->child, side->plan->policy)))
		return false;
	if (side->plan->timeline)
		timeline_fork(side->plan->timeline, began);
	return true;
}

/*
 * What a child can make its parent and itself copy: what is pinned, twice that at rest, and the
 * blocks that the field's writer, the parent and the child write to.
 */
static size_t copies(const struct layout *layout)
{
	size_t most = 2 * layout->zone + (FIELD_BURST + 4) * HUGE_BYTES;

	return most < layout->heap ? most : layout->heap;
}

/*
 * The host provides memory when it is touched first. Touch what the copies will lie in, by
 * making as many at once: a fork, and a write to each of that many blocks that are not pinned.
 */
static bool heap_warm(struct side *side)
{
	const struct layout *layout = &side->plan->layout;
	size_t len = copies(layout) - side->plan->pinned;

	if (!heap_fork(side))
		return false;
	for (size_t off = layout->heap - len; off < layout->heap; off += HUGE_BYTES) {
		struct stamp *stamp = layout_stamp(side->base, off / PAGE_BYTES);

		atomic_store(&stamp->seq, atomic_load(&stamp->seq));
	}
	hf_linux_space_destroy(&((struct heap *)side->own)->child);
	return true;
}

static bool heap_open(struct side *side)
{
	const struct layout *layout = &side->plan->layout;
	struct hf_linux_config config = {
		.ram_bytes = layout->heap + copies(layout) + RAM_SLACK,
		.trace = side->plan->timeline ? events_note : NULL,
		.trace_arg = &side->tally->events,
	};
	struct heap *own = calloc(1, sizeof(*own));

	side->own = own;
	side->tally->events.timeline = side->plan->timeline;
	if (!own)
		return side_fail(side, "no memory");
	if (!check(side, "hf_linux_create", hf_linux_create(&config, &own->lin)))
		return false;
	own->free_bytes = free_bytes(own);
	if (!check(side, "hf_linux_space_create",
		   hf_linux_space_create(own->lin, &own->space, layout->heap, HF_HUGE_COW_WHOLE)))
		return false;
	own->has_space = true;
	return map_heap(side) && pin_zone(side) && prepare_rest(side);
}

static bool heap_look(struct side *side)
{
	const struct plan *plan = side->plan;
	struct heap *own = side->own;

	moment_child(side->moment, &plan->layout, &plan->files, hf_linux_ptr(&own->child, own->va),
		     side->scratch);
	hf_linux_space_destroy(&own->child);
	return true;
}

static uint64_t heap_moved(struct side *side)
{
	struct heap *own = side->own;
	uint64_t moved = 0;

	for (uint64_t off = 0; off < side->plan->pinned; off += PAGE_BYTES) {
		uint64_t expected = own->block_pa[off / HUGE_BYTES].v + off % HUGE_BYTES;
		hf_va va = own->va + off;
		struct hf_translation leaf;

		if (hf_translate(&own->space.mm, va, &leaf) != HF_OK ||
		    leaf.pa.v + (va - leaf.va) != expected)
			moved++;
	}
	return moved;
}

static uint64_t heap_huge(struct side *side)
{
	struct heap *own = side->own;
	struct hf_mm_stats stats;

	hf_mm_stats(&own->space.mm, &stats);
	return stats.leaves[HF_LEVEL_PMD];
}

/* Fork at rest; the time in microseconds, or a negative number. */
static double timed_fork(struct side *side)
{
	struct heap *own = side->own;
	uint64_t began = host_now();
	bool ok = heap_fork(side);
	uint64_t ended = host_now();

	if (!ok)
		return -1;
	hf_linux_space_destroy(&own->child);
	return (double)(ended - began) / 1000;
}

static double timed_memcpy(struct side *side)
{
	struct heap *own = side->own;
	char *to = own->landing;
	uint64_t began = host_now();

	for (size_t i = 0; i < own->extra_spans; i++) {
		const char *from = hf_linux_dma_ptr(own->lin, own->extra_span[i].pa);

		for (uint64_t off = 0; off < own->extra_span[i].len; off += HUGE_BYTES) {
			memcpy(to, from + off, HUGE_BYTES);
			to += HUGE_BYTES;
		}
	}
	return (double)(host_now() - began) / 1000;
}

/*
 * What a pinned page costs: fork with twice as many pinned, fork with the usual number, and copy
 * the difference with memcpy. Each reads what the others have pushed out of the caches.
 */
static bool sample_page_cost(struct side *side)
{
	struct heap *own = side->own;
	struct hf_phys *phys = hf_linux_phys(own->lin);
	double blocks = (double)(own->extra / HUGE_BYTES);
	double twice, once, copy;

	if (!check(side, "hf_pin",
		   hf_pin(&own->space.mm, own->va + side->plan->pinned, own->extra, HF_PIN_READ,
			  own->extra_span, own->extra / PAGE_BYTES, &own->extra_spans)))
		return false;
	twice = timed_fork(side);
	copy = timed_memcpy(side);
	if (!check(side, "hf_unpin", hf_unpin(phys, own->extra_span, own->extra_spans)))
		return false;
	once = timed_fork(side);
	if (twice < 0 || once < 0)
		return false;
	samples_add(&side->tally->pinned_us, (twice - once) / blocks);
	samples_add(&side->tally->memcpy_us, copy / blocks);
	return true;
}

static bool heap_rest(struct side *side)
{
	struct heap *own = side->own;

	for (int i = 0; own->extra && i < REST_SAMPLES; i++)
		if (!sample_page_cost(side))
			return false;
	return true;
}

static bool heap_land(void *ctx, size_t off, const char *bytes, size_t len)
{
	struct side *side = ctx;
	struct heap *own = side->own;

	return hf_write(&own->space.mm, own->va + off, bytes, len) == HF_OK;
}

/* Take everything apart; nothing may be left over. */
static void heap_close(struct side *side)
{
	struct heap *own = side->own;
	struct hf_violation violation;

	if (!own || !own->lin)
		return;
	if (hf_mm_check(hf_linux_phys(own->lin), &violation) != HF_OK)
		snprintf(side->tally->broken, sizeof(side->tally->broken), "%s at %#llx",
			 violation.rule, (unsigned long long)violation.va);
	if (own->spans)
		check(side, "hf_unpin", hf_unpin(hf_linux_phys(own->lin), own->span, own->spans));
	if (own->has_space)
		hf_linux_space_destroy(&own->space);
	if (free_bytes(own) != own->free_bytes)
		side_fail(side, "%llu bytes of memory were not given back",
			  (unsigned long long)(own->free_bytes - free_bytes(own)));
	check(side, "hf_linux_destroy", hf_linux_destroy(own->lin));
}

const struct side_ops heap_side = {
	.name = "Holdfast",
	.forks_per_round = 4,
	.whole_forks = 4,
	.open = heap_open,
	.warm = heap_warm,
	.fork = heap_fork,
	.look = heap_look,
	.moved = heap_moved,
	.huge = heap_huge,
	.rest = heap_rest,
	.land = heap_land,
	.close = heap_close,
};
