/* SPDX-License-Identifier: MIT */
/*
 * Which range of RAM a frame lies in. Everything that has a frame's number and wants its descriptor
 * asks this, so it takes the same time however many ranges there are: a tree of arrays, most often
 * one, whose depth depends on how unlike the ranges are and not on their number. With one range the
 * tree is that range, and the answer is there at once.
 *
 * The tree is made once, by hf_phys_init, in frames at the end of the last ranges (INDEX), and
 * never changes: no lock.
 */
#ifndef HF_RAM_H
#define HF_RAM_H

#include <holdfast/phys.h>

/*
 * A node tells about the frames from `base` on, 2^shift a slot. A slot has 0 where there is no
 * RAM; a range, if there is no other in it; or else a node, plus 1.
 */
struct hf_ram_node {
	uint32_t base, shift, slots, unused;
	uintptr_t slot[];
};
#define HF_RAM_IS_NODE ((uintptr_t)1)

/* The only range that `pfn` can lie in, or NULL. `any`: it may be no RAM at all. */
static inline const struct hf_ram *hf_ram_candidate(const struct hf_phys *phys, hf_pfn pfn,
						    bool any)
{
	uintptr_t at = phys->ram_tree;

	while (at & HF_RAM_IS_NODE) {
		const struct hf_ram_node *n = (const struct hf_ram_node *)(at - HF_RAM_IS_NODE);
		uint32_t i = (pfn.v - n->base) >> n->shift;

		if (any && i >= n->slots)
			return NULL;
		at = n->slot[i];
	}
	return (const struct hf_ram *)at;
}

/* The range that holds `pfn`, or NULL. */
static inline const struct hf_ram *hf_ram_of(const struct hf_phys *phys, hf_pfn pfn)
{
	const struct hf_ram *ram = hf_ram_candidate(phys, pfn, true);
	uint64_t pa = (uint64_t)pfn.v << HF_PAGE_SHIFT;

	return ram && pa - ram->base.v < ram->len ? ram : NULL;
}

/*
 * Make the tree for phys->ram, which is sorted and does not overlap. Returns how many frames it has
 * taken: the last of the RAM, from the end of the last range on downwards.
 */
uint64_t hf_ram_index(struct hf_phys *phys);

#endif
