/* SPDX-License-Identifier: MIT */
/*
 * TLB conflicts (Arm ARM D8, "Using break-before-make when updating translation table
 * entries"): where a CPU has cached one translation and the tables hold
 * another, valid one of the same address, it may use either, both at once, or abort. We abort,
 * whenever somebody looks: at each walk, and at each flush before it forgets. An entry that
 * went through invalid and a flush on its way (break-before-make) is never seen.
 */
#include "conflict.h"

#include "panic.h"
#include "ram.h"
#include "tlb.h"

#include <stdio.h>

/* The caches hold one thing for the address and the tables another. */
static _Noreturn void conflict(struct hf_soft_cpu *cpu, hf_va va, const char *cached, uint64_t now)
{
	char what[160];

	snprintf(what, sizeof(what),
		 "TLB conflict at %#llx: a %s is cached, the tables have %#llx there "
		 "without break-before-make",
		 (unsigned long long)va, cached, (unsigned long long)now);
	hf_soft_panic(cpu->soft, what);
}

/*
 * The entry that the hardware would find for `va` when it walks from the root to `level`, or
 * one above that is not a valid branch. *at is its level.
 */
static uint64_t find(const struct hf_soft_cpu *cpu, hf_va va, unsigned level, unsigned *at)
{
	uint64_t entry = 0, pa = (uint64_t)cpu->mm->root.v << HF_PAGE_SHIFT;

	for (*at = MMU_LEVELS; *at > level;) {
		const uint64_t *table = hf_soft_ram(cpu->soft, pa, HF_PAGE_SIZE);

		--*at;
		if (!table)
			return 0;
		entry = __atomic_load_n(&table[(va >> level_shift(*at)) % HF_TABLE_ENTRIES],
					__ATOMIC_ACQUIRE);
		if (!mmu_valid(entry) || mmu_is_leaf(entry, *at))
			break;
		pa = mmu_pa(entry);
	}
	return entry;
}

static void check_branch(struct hf_soft_cpu *cpu, const struct branch *b, unsigned level)
{
	unsigned at;
	uint64_t entry = find(cpu, b->base, level, &at);

	if (mmu_valid(entry) &&
	    (mmu_is_leaf(entry, at) ||
	     hf_soft_ram(cpu->soft, mmu_pa(entry), HF_PAGE_SIZE) != (void *)b->table))
		conflict(cpu, b->base, "table", entry);
}

static void check_leaf(struct hf_soft_cpu *cpu, hf_va page, unsigned level, uint64_t addend)
{
	unsigned at;
	uint64_t entry = find(cpu, page, level, &at);

	if (mmu_valid(entry) &&
	    (at != level || !mmu_is_leaf(entry, at) ||
	     (uintptr_t)hf_soft_ram(cpu->soft, mmu_pa(entry) & ~(hf_level_size(level) - 1),
				    HF_PAGE_SIZE) != page + addend))
		conflict(cpu, page, "page", entry);
}

/* What the slot of the TLB holds; false: nothing. */
static bool cached_page(const struct hf_soft_cpu *cpu, const struct tlb_entry *e, hf_va *page)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		*page = e->tag[kind] & ~(uint64_t)(TAG_GENS - 1);
		if (e->tag[kind] && (e->tag[kind] & (TAG_GENS - 1)) == cpu->gen[kind])
			return true;
	}
	return false;
}

void hf_soft_conflict(struct hf_soft_cpu *cpu, hf_va va, uint64_t len)
{
	for (unsigned level = 1; level <= BRANCH_LEVELS; level++) {
		const struct range r = range_of(va, len, level, BRANCHES);

		for (uint64_t i = 0; i < r.slots; i++) {
			const struct branch *b =
				hf_soft_branch(cpu, r.first + (i << level_shift(level)), level);

			if (b->table && b->base - r.first < r.span)
				check_branch(cpu, b, level);
		}
	}
	for (unsigned level = 0; level < HF_LEAF_LEVELS; level++) {
		const struct range r = range_of(va, len, level, cpu->tlb_mask + 1);
		hf_va page;

		for (uint64_t i = 0; i < r.slots; i++) {
			const struct tlb_entry *e =
				tlb_slot(cpu, r.first + (i << level_shift(level)), level);

			if (cached_page(cpu, e, &page) && page - r.first < r.span)
				check_leaf(cpu, page, level, e->addend);
		}
	}
}
