/* SPDX-License-Identifier: MIT */
/*
 * Intel SDM vol. 3A, 4.5 (translation), 4.6 (access rights), 4.8 (accessed and dirty); AMD
 * APM vol. 2, 5.3 to 5.6.
 *
 * The CPU has CR0.WP = 1, CR4.PAE = 1, CR4.PGE = 0, EFER.NXE = 1, CR4.LA57 as the format
 * says, and runs at CPL 3. Memory types (PWT, PCD, PAT) and protection keys have no effect.
 */
#ifdef HF_FORMAT_X86_64_5
#define MMU_LEVELS 5
#define MMU_USER_BITS 56
#else
#define MMU_LEVELS 4
#define MMU_USER_BITS 47
#endif
#define MMU_BRANCH_DENIES_WRITE 1
#define MMU_BREAK_FIRST 0
#define MMU_KEEPS_UNLESS_DENIED 0

#define PTE_P ((uint64_t)1 << 0)
#define PTE_W ((uint64_t)1 << 1)
#define PTE_U ((uint64_t)1 << 2)
#define PTE_A ((uint64_t)1 << 5)
#define PTE_D ((uint64_t)1 << 6)
#define PTE_PS ((uint64_t)1 << 7)
#define PTE_NX ((uint64_t)1 << 63)
#define PTE_ADDR ((((uint64_t)1 << 52) - 1) & ~(HF_PAGE_SIZE - 1))
#define PTE_PAT_LARGE ((uint64_t)1 << 12)

static inline bool mmu_valid(uint64_t entry)
{
	return entry & PTE_P;
}

static inline bool mmu_is_leaf(uint64_t entry, unsigned level)
{
	return level == HF_LEVEL_PTE || entry & PTE_PS;
}

static inline const char *mmu_malformed(uint64_t entry, unsigned level)
{
	uint64_t reserved = 0;

	if (level >= HF_LEAF_LEVELS)
		reserved = PTE_PS;
	else if (level > HF_LEVEL_PTE && entry & PTE_PS)
		reserved = (hf_level_size(level) - 1) & PTE_ADDR & ~PTE_PAT_LARGE;
	return entry & reserved ? "a reserved bit is set" : NULL;
}

static inline uint64_t mmu_pa(uint64_t entry)
{
	return entry & PTE_ADDR;
}

static inline unsigned mmu_leaf_rights(uint64_t entry)
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

static inline unsigned mmu_branch_rights(uint64_t entry)
{
	return mmu_leaf_rights(entry);
}

static inline uint64_t mmu_mark_branch(uint64_t entry)
{
	return entry | PTE_A;
}

static inline bool mmu_mark_leaf(uint64_t *entry, bool store)
{
	*entry |= store ? PTE_A | PTE_D : PTE_A;
	return true;
}

static inline bool mmu_marked_dirty(uint64_t entry)
{
	return entry & PTE_D;
}
