/* SPDX-License-Identifier: MIT */
/*
 * The page walk: Intel SDM vol. 3A, 4.5 (translation), 4.6 (access rights), 4.8 (accessed
 * and dirty), 4.10.3 (paging-structure caches); AMD APM vol. 2, 5.3 to 5.6. This is the
 * hardware that the core is tested against, so it knows of the entries' format only
 * what the manuals say and shares no code with the core.
 *
 * The CPU has CR0.WP = 1, CR4.PAE = 1, CR4.LA57 = 0, CR4.PGE = 0, EFER.NXE = 1, and runs
 * at CPL 3. Memory types (PWT, PCD, PAT) and protection keys have no effect.
 */
#include "machine.h"

#include <stdio.h>

#define PTE_P ((uint64_t)1 << 0)
#define PTE_W ((uint64_t)1 << 1)
#define PTE_U ((uint64_t)1 << 2)
#define PTE_A ((uint64_t)1 << 5)
#define PTE_D ((uint64_t)1 << 6)
#define PTE_PS ((uint64_t)1 << 7)
#define PTE_NX ((uint64_t)1 << 63)
#define PTE_ADDR ((((uint64_t)1 << 52) - 1) & ~(HF_PAGE_SIZE - 1))
#define PTE_PAT_LARGE ((uint64_t)1 << 12)

/* User addresses of the lower half; the upper half and what is not canonical fault. */
#define USER_BITS 47

struct walk {
	struct hf_soft_cpu *cpu;
	hf_va va;
	enum kind kind;
	unsigned level;
	unsigned rights; /* of the path so far */
	uint64_t *table; /* the one of `level` */
};

static _Noreturn void bad_entry(const struct walk *w, uint64_t entry, const char *why)
{
	static const char *const name[] = { "PTE", "PMD", "PUD", "PGD" };
	char what[128];

	snprintf(what, sizeof(what), "the %s of address %#llx is %#llx: %s", name[w->level],
		 (unsigned long long)w->va, (unsigned long long)entry, why);
	hf_soft_panic(w->cpu->soft, what);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == HF_LEVEL_PTE || entry & PTE_PS;
}

/* A present entry with one of these bits set faults with RSVD. */
static uint64_t reserved_bits(uint64_t entry, unsigned level)
{
	if (level == HF_LEVEL_PGD)
		return PTE_PS;
	if (level == HF_LEVEL_PTE || !(entry & PTE_PS))
		return 0;
	return (hf_level_size(level) - 1) & PTE_ADDR & ~PTE_PAT_LARGE;
}

static unsigned entry_rights(uint64_t entry)
{
	unsigned rights = HF_ACCESS_READ;

	if (!(entry & PTE_U))
		return 0;
	if (entry & PTE_W)
		rights |= HF_ACCESS_WRITE;
	if (!(entry & PTE_NX))
		rights |= HF_ACCESS_EXEC;
	return rights;
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

	do {
		if (!(entry & PTE_P))
			return 0;
		if (entry & reserved_bits(entry, w->level))
			bad_entry(w, entry, "a reserved bit is set");
		rights = w->rights & entry_rights(entry);
		marked = entry | PTE_A;
		if (is_leaf(entry, w->level)) {
			if (!(rights & 1u << w->kind))
				return 0;
			if (w->kind == KIND_WRITE)
				marked |= PTE_D;
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
	void *p = hf_soft_ram(w->cpu->soft, entry & PTE_ADDR & ~(len - 1), len);

	if (!p)
		bad_entry(w, entry, "it leads outside of the RAM");
	return p;
}

static char *take_leaf(struct walk *w, uint64_t entry)
{
	uint64_t size = hf_level_size(w->level);
	char *page = target(w, entry, size);

	if (!(entry & PTE_D))
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
		if (b->write_gen != cpu->gen[KIND_WRITE])
			w->rights &= ~(unsigned)HF_ACCESS_WRITE;
		w->table = b->table;
		return;
	}
	w->level = HF_LEVEL_PGD;
	w->rights = HF_ACCESS_READ | HF_ACCESS_WRITE | HF_ACCESS_EXEC;
	w->table = hf_soft_ram(cpu->soft, (uint64_t)cpu->mm->root.v << HF_PAGE_SHIFT, HF_PAGE_SIZE);
	if (!w->table)
		hf_soft_panic(cpu->soft, "a CPU runs in a space that has no tables");
}

static char *walk(struct hf_soft_cpu *cpu, hf_va va, enum kind kind)
{
	struct walk w = { .cpu = cpu, .va = va, .kind = kind };

	start(&w);
	for (;;) {
		uint64_t entry = use_entry(&w);

		if (!entry)
			return NULL;
		if (is_leaf(entry, w.level))
			return take_leaf(&w, entry);
		take_branch(&w, entry);
	}
}

char *hf_soft_walk(struct hf_soft_cpu *cpu, hf_va va, enum kind kind)
{
	char *host;

	if (va >> USER_BITS)
		return NULL;
	host = walk(cpu, va, kind);
	if (host)
		return host;
	/*
	 * A page fault forgets what is cached for its address (SDM, 4.10.4.1). An entry that
	 * has gained a right needs no flush for that reason: the fault that a stale copy
	 * causes is spurious, and the second try does not see it.
	 */
	hf_soft_forget(cpu, va & ~(HF_PAGE_SIZE - 1), HF_PAGE_SIZE, HF_FLUSH_LEAVES);
	return walk(cpu, va, kind);
}
