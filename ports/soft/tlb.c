/* SPDX-License-Identifier: MIT */
/* What a CPU remembers: leaves in the TLB, branches in the paging-structure cache. */
#include "tlb.h"

#include <string.h>

void hf_soft_fill(struct hf_soft_cpu *cpu, hf_va va, unsigned level, char *host, unsigned rights)
{
	struct tlb_entry *e = tlb_slot(cpu, va, level);
	hf_va page = level_base(va, level);

	for (unsigned kind = 0; kind < KINDS; kind++)
		e->tag[kind] = rights & 1u << kind ? page | cpu->gen[kind] : 0;
	e->addend = (uintptr_t)host - page;
}

struct branch *hf_soft_branch(struct hf_soft_cpu *cpu, hf_va va, unsigned level)
{
	return &cpu->branches[level - 1][(va >> level_shift(level)) % BRANCHES];
}

/*
 * Forget every leaf for one kind of access. With writing goes the right to it in every branch, by
 * generations as well: a fork must not touch cache lines of what it does not look at.
 */
static void forget_kind(struct hf_soft_cpu *cpu, unsigned kind)
{
	if (++cpu->gen[kind] < TAG_GENS)
		return;
	cpu->gen[kind] = 1;
	for (uint64_t i = 0; i < HF_LEAF_LEVELS * (cpu->tlb_mask + 1); i++)
		cpu->tlb[i].tag[kind] = 0;
	for (unsigned i = 0; kind == KIND_WRITE && i < BRANCH_LEVELS * BRANCHES; i++)
		cpu->branches[i / BRANCHES][i % BRANCHES].write_gen = 0;
}

/* Forget the leaves of one size in a range, for the kinds of access in `rights`. */
static void forget_leaves(struct hf_soft_cpu *cpu, unsigned level, hf_va va, uint64_t len,
			  unsigned rights)
{
	const struct range r = range_of(va, len, level, cpu->tlb_mask + 1);

	for (uint64_t i = 0; i < r.slots; i++) {
		uint64_t *tag = tlb_slot(cpu, r.first + (i << level_shift(level)), level)->tag;

		/* What tags an entry has are of one page. */
		if ((tag[KIND_READ] | tag[KIND_WRITE] | tag[KIND_EXEC]) - r.first >= r.span)
			continue;
		for (unsigned kind = 0; kind < KINDS; kind++)
			if (rights & 1u << kind)
				tag[kind] = 0;
	}
}

/* Forget the branches of one level in a range, or only that they allow writing. */
static void forget_branches(struct hf_soft_cpu *cpu, unsigned level, hf_va va, uint64_t len,
			    unsigned what)
{
	const struct range r = range_of(va, len, level, BRANCHES);

	for (uint64_t i = 0; i < r.slots; i++) {
		struct branch *b = hf_soft_branch(cpu, r.first + (i << level_shift(level)), level);

		if (b->base - r.first >= r.span)
			continue;
		if (what & HF_FLUSH_TABLES)
			b->table = NULL;
		else if (MMU_BRANCH_DENIES_WRITE && what & HF_FLUSH_WRITE)
			b->rights &= ~(unsigned)HF_ACCESS_WRITE;
	}
}

/* The leaves of one page, as each copy-on-write does: one slot at each level. */
static void forget_page_leaves(struct hf_soft_cpu *cpu, hf_va va)
{
	for (unsigned level = 0; level < HF_LEAF_LEVELS; level++) {
		uint64_t *tag = tlb_slot(cpu, va, level)->tag;
		uint64_t tags = tag[KIND_READ] | tag[KIND_WRITE] | tag[KIND_EXEC];

		if ((tags & ~(TAG_GENS - 1)) == level_base(va, level))
			tag[KIND_READ] = tag[KIND_WRITE] = tag[KIND_EXEC] = 0;
	}
}

void hf_soft_forget_page(struct hf_soft_cpu *cpu, hf_va va)
{
	forget_page_leaves(cpu, va);
	for (unsigned level = 1; level <= BRANCH_LEVELS; level++) {
		struct branch *b = hf_soft_branch(cpu, va, level);

		if (b->base == level_base(va, level))
			b->table = NULL;
	}
}

void hf_soft_forget(struct hf_soft_cpu *cpu, hf_va va, uint64_t len, unsigned what)
{
	bool whole = va <= cpu->mm->va_lo && va + len >= cpu->mm->va_hi;
	unsigned rights = 0;

	if (len == HF_PAGE_SIZE && what == HF_FLUSH_LEAVES) {
		forget_page_leaves(cpu, va);
		return;
	}
	if (what & HF_FLUSH_WRITE)
		rights = HF_ACCESS_WRITE;
	if (what & HF_FLUSH_LEAVES)
		rights = HF_ACCESS_READ | HF_ACCESS_WRITE | HF_ACCESS_EXEC;
	for (unsigned kind = 0; whole && kind < KINDS; kind++)
		if (rights & 1u << kind)
			forget_kind(cpu, kind);
	for (unsigned level = 0; !whole && rights && level < HF_LEAF_LEVELS; level++)
		forget_leaves(cpu, level, va, len, rights);
	if (what == HF_FLUSH_LEAVES || (whole && what == HF_FLUSH_WRITE))
		return; /* branches stay; or forget_kind did them, too */
	for (unsigned level = 1; level <= BRANCH_LEVELS; level++)
		forget_branches(cpu, level, va, len, what);
}

void hf_soft_forget_all(struct hf_soft_cpu *cpu)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		forget_kind(cpu, kind);
	memset(cpu->branches, 0, sizeof(cpu->branches));
}
