/* SPDX-License-Identifier: MIT */
#include "ram.h"

#include "../lib/panic.h"

/*
 * Slots for each range in a node, the fewest slots, and the most: a node lies in one frame. With
 * these a node of k ranges has at most 144 (k - 1) bytes, a path at most 8 nodes, and half of a
 * frame may be lost at its end: so less than a frame for each range is needed, and there is one.
 */
#define SLOTS_PER_RANGE 4
#define SLOTS_MIN 16
#define SLOTS_MAX ((HF_PAGE_SIZE - sizeof(struct hf_ram_node)) / sizeof(uintptr_t))

struct index {
	struct hf_phys *phys;
	size_t range;	/* whose last frames are taken next */
	uint64_t taken; /* frames of it */
	uint64_t all;	/* frames of all */
	char *room;	/* in the frame that was taken last, */
	size_t left;	/* bytes of it */
};

static uint64_t start_of(const struct hf_ram *ram)
{
	return ram->base.v >> HF_PAGE_SHIFT;
}

static uint64_t end_of(const struct hf_ram *ram)
{
	return start_of(ram) + (ram->len >> HF_PAGE_SHIFT);
}

/* The next frame from the end of the RAM. */
static void take_frame(struct index *x)
{
	const struct hf_ram *ram = x->phys->ram;

	if (x->taken == ram[x->range].len >> HF_PAGE_SHIFT) {
		if (!x->range)
			hf_panic(x->phys, "the index of RAM is larger than the RAM");
		x->range--;
		x->taken = 0;
	}
	x->taken++;
	x->all++;
	x->room = (char *)ram[x->range].map + ram[x->range].len - x->taken * HF_PAGE_SIZE;
	x->left = HF_PAGE_SIZE;
}

static struct hf_ram_node *new_ram_node(struct index *x, uint32_t slots)
{
	size_t size = sizeof(struct hf_ram_node) + slots * sizeof(uintptr_t);
	struct hf_ram_node *n;

	if (x->left < size)
		take_frame(x);
	n = (struct hf_ram_node *)(void *)x->room;
	x->room += size;
	x->left -= size;
	return n;
}

/* What a slot for the frames in [lo, hi) has, of which range[0] is the first that ends above lo. */
static uintptr_t ram_tree(struct index *x, const struct hf_ram *range, uint64_t lo, uint64_t hi)
{
	const struct hf_ram *end = x->phys->ram + x->phys->ram_count, *last = range;
	struct hf_ram_node *n;
	uint64_t want, size;
	uint32_t shift = 0;

	if (range == end || start_of(range) >= hi)
		return 0;
	while (last + 1 < end && start_of(last + 1) < hi)
		last++;
	if (last == range)
		return (uintptr_t)range;
	lo = start_of(range) > lo ? start_of(range) : lo;
	hi = end_of(last) < hi ? end_of(last) : hi;
	want = (uint64_t)(last - range + 1) * SLOTS_PER_RANGE;
	want = want < SLOTS_MIN ? SLOTS_MIN : want > SLOTS_MAX ? SLOTS_MAX : want;
	while ((hi - lo - 1) >> shift >= want)
		shift++;
	size = (uint64_t)1 << shift;
	n = new_ram_node(x, (uint32_t)((hi - lo - 1) >> shift) + 1);
	*n = (struct hf_ram_node){ (uint32_t)lo, shift, (uint32_t)((hi - lo - 1) >> shift) + 1, 0 };
	for (uint32_t i = 0; i < n->slots; i++, lo += size) {
		while (end_of(range) <= lo)
			range++;
		n->slot[i] = ram_tree(x, range, lo, lo + size < hi ? lo + size : hi);
	}
	return (uintptr_t)n + HF_RAM_IS_NODE;
}

uint64_t hf_ram_index(struct hf_phys *phys)
{
	struct index x = { .phys = phys, .range = phys->ram_count - 1 };

	phys->ram_tree = ram_tree(&x, phys->ram, 0, UINT32_MAX);
	return x.all;
}
