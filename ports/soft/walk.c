/* SPDX-License-Identifier: MIT */
/*
 * The page walk, in any format: mmu.h says what an entry means. Caches as in Intel SDM
 * vol. 3A, 4.10.3; Arm ARM D8, "TLBs"; RISC-V privileged
 * architecture, 10.2.1.
 */
#include "walk.h"

#include "conflict.h"
#include "panic.h"
#include "ram.h"
#include "tlb.h"

#include <stdio.h>

struct walk {
	struct hf_soft_cpu *cpu;
	hf_va va;
	enum kind kind;
	unsigned level;
	unsigned rights; /* of the path so far */
	uint64_t *table; /* the one of `level` */
	bool denied;	 /* it ended at a leaf that is valid, and not for this kind of access */
};

static _Noreturn void bad_entry(const struct walk *w, uint64_t entry, const char *why)
{
	static const char *const name[] = { "PTE", "PMD", "PUD", MMU_LEVELS == 5 ? "P4D" : "PGD",
					    "PGD" };
	char what[128];

	snprintf(what, sizeof(what), "the %s of address %#llx is %#llx: %s", name[w->level],
		 (unsigned long long)w->va, (unsigned long long)entry, why);
	hf_soft_panic(w->cpu->soft, what);
}

/*
 * Use the entry of this level: check it, narrow the rights, mark it accessed and, for a
 * store to the page that it maps, dirty. If it changes meanwhile, it is checked anew. Returns
 * it as marked, or 0: page fault.
 */
static uint64_t use_entry(struct walk *w)
{
	uint64_t *p = &w->table[(w->va >> level_shift(w->level)) % HF_TABLE_ENTRIES];
	uint64_t entry = __atomic_load_n(p, __ATOMIC_ACQUIRE), marked;
	unsigned rights;
	const char *why;

	do {
		if (!mmu_valid(entry))
			return 0;
		why = mmu_malformed(entry, w->level);
		if (why)
			bad_entry(w, entry, why);
		marked = entry;
		if (mmu_is_leaf(entry, w->level)) {
			rights = w->rights & mmu_leaf_rights(entry);
			w->denied = !(rights & 1u << w->kind);
			if (w->denied || !mmu_mark_leaf(&marked, w->kind == KIND_WRITE))
				return 0;
		} else {
			rights = w->rights & mmu_branch_rights(entry);
			marked = mmu_mark_branch(entry);
		}
	} while (marked != entry &&
		 !__atomic_compare_exchange_n(p, &entry, marked, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	w->rights = rights;
	return marked;
}

/* Where the `len` bytes that the entry leads to are in the host's memory. */
static void *target(const struct walk *w, uint64_t entry, uint64_t len)
{
	void *p = hf_soft_ram(w->cpu->soft, mmu_pa(entry) & ~(len - 1), len);

	if (!p)
		bad_entry(w, entry, "it leads outside of the RAM");
	return p;
}

static char *take_leaf(struct walk *w, uint64_t entry)
{
	uint64_t size = hf_level_size(w->level);
	char *page = target(w, entry, size);

	if (!mmu_marked_dirty(entry))
		w->rights &= ~(unsigned)HF_ACCESS_WRITE;
	hf_soft_fill(w->cpu, w->va, w->level, page, w->rights);
	return page + (w->va & (size - 1));
}

static void take_branch(struct walk *w, uint64_t entry)
{
	w->table = target(w, entry, HF_PAGE_SIZE);
	*hf_soft_branch(w->cpu, w->va, w->level) = (struct branch){
		.base = level_base(w->va, w->level),
		.table = w->table,
		.rights = w->rights,
		.write_gen = (uint32_t)w->cpu->gen[KIND_WRITE],
	};
	w->level--;
}

/* Start below the lowest branch that is cached for the address, else at the root. */
static void start(struct walk *w)
{
	struct hf_soft_cpu *cpu = w->cpu;

	count(&cpu->walks);
	for (unsigned level = 1; level <= BRANCH_LEVELS; level++) {
		const struct branch *b = hf_soft_branch(cpu, w->va, level);

		if (!b->table || b->base != level_base(w->va, level))
			continue;
		count(&cpu->branch_hits);
		w->level = level - 1;
		w->rights = b->rights;
		if (MMU_BRANCH_DENIES_WRITE && b->write_gen != cpu->gen[KIND_WRITE])
			w->rights &= ~(unsigned)HF_ACCESS_WRITE;
		w->table = b->table;
		return;
	}
	w->level = MMU_LEVELS - 1;
	w->rights = HF_ACCESS_READ | HF_ACCESS_WRITE | HF_ACCESS_EXEC;
	w->table = hf_soft_ram(cpu->soft, (uint64_t)cpu->mm->root.v << HF_PAGE_SHIFT, HF_PAGE_SIZE);
	if (!w->table)
		hf_soft_panic(cpu->soft, "a CPU runs in a space that has no tables");
}

static char *walk(struct walk *w)
{
	start(w);
	for (;;) {
		uint64_t entry = use_entry(w);

		if (!entry)
			return NULL;
		if (mmu_is_leaf(entry, w->level))
			return take_leaf(w, entry);
		take_branch(w, entry);
	}
}

char *hf_soft_walk(struct hf_soft_cpu *cpu, hf_va va, enum kind kind)
{
	struct walk w = { .cpu = cpu, .va = va, .kind = kind };
	char *host;

	if (va >> MMU_USER_BITS)
		return NULL;
	if (MMU_BREAK_FIRST)
		hf_soft_conflict(cpu, va & ~(HF_PAGE_SIZE - 1), HF_PAGE_SIZE);
	host = walk(&w);
	if (host || (MMU_KEEPS_UNLESS_DENIED && !w.denied))
		return host;
	/*
	 * A page fault forgets what is cached for its address: an x86-64 CPU does so itself
	 * (SDM, 4.10.4.1), on others the first instructions of the fault handler do (port.h), on
	 * AArch64 after a permission fault alone. An entry that has gained a right needs no flush
	 * for that reason: the fault that a stale copy causes is spurious, and the second try does
	 * not see it.
	 */
	hf_soft_forget_page(cpu, va);
	return walk(&w);
}
