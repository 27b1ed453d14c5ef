/* SPDX-License-Identifier: MIT */
/*
 * RISC-V privileged architecture (version 20240411), 10.3.1 and 10.3.2 (the algorithm),
 * 10.4 to 10.6 (Sv39, Sv48, Sv57). With MMU_SVADU A and D are set by the hardware (menvcfg.ADUE =
 * 1), else where they are missing it faults (Svade).
 *
 * The hart runs in U-mode, without Svnapot and Svpbmt: N and PBMT are reserved. It has
 * pages of up to 1 GiB; the specification has larger ones in Sv48 and Sv57.
 */
#if defined(HF_FORMAT_SV39) || defined(HF_FORMAT_SV39_SVADU)
#define MMU_LEVELS 3
#define MMU_USER_BITS 38
#elif defined(HF_FORMAT_SV48) || defined(HF_FORMAT_SV48_SVADU)
#define MMU_LEVELS 4
#define MMU_USER_BITS 47
#else
#define MMU_LEVELS 5
#define MMU_USER_BITS 56
#endif
#define MMU_BRANCH_DENIES_WRITE 0
#define MMU_BREAK_FIRST 0
#define MMU_KEEPS_UNLESS_DENIED 0

#define PTE_V ((uint64_t)1 << 0)
#define PTE_R ((uint64_t)1 << 1)
#define PTE_W ((uint64_t)1 << 2)
#define PTE_X ((uint64_t)1 << 3)
#define PTE_U ((uint64_t)1 << 4)
#define PTE_A ((uint64_t)1 << 6)
#define PTE_D ((uint64_t)1 << 7)
#define PTE_PPN_SHIFT 10
#define PTE_PPN ((((uint64_t)1 << 54) - 1) & ~(((uint64_t)1 << PTE_PPN_SHIFT) - 1))
#define PTE_RESERVED (~(((uint64_t)1 << 54) - 1)) /* N, PBMT, and what is for the future */

static inline bool mmu_valid(uint64_t pte)
{
	return pte & PTE_V;
}

static inline bool mmu_is_leaf(uint64_t pte, unsigned level)
{
	(void)level;
	return pte & (PTE_R | PTE_W | PTE_X);
}

static inline uint64_t mmu_pa(uint64_t pte)
{
	return (pte & PTE_PPN) >> PTE_PPN_SHIFT << HF_PAGE_SHIFT;
}

static inline const char *mmu_malformed(uint64_t pte, unsigned level)
{
	if (pte & PTE_RESERVED)
		return "a reserved bit is set";
	if ((pte & (PTE_R | PTE_W)) == PTE_W)
		return "a reserved encoding";
	if (!mmu_is_leaf(pte, level)) {
		if (pte & (PTE_A | PTE_D | PTE_U))
			return "a reserved bit is set";
		return level == HF_LEVEL_PTE ? "a branch at the last level" : NULL;
	}
	if (level >= HF_LEAF_LEVELS)
		return "a leaf of more than 1 GiB";
	return mmu_pa(pte) & (hf_level_size(level) - 1) ? "a misaligned superpage" : NULL;
}

static inline unsigned mmu_leaf_rights(uint64_t pte)
{
	unsigned rights = 0;

	if (!(pte & PTE_U))
		return 0;
	if (pte & PTE_R)
		rights |= HF_ACCESS_READ;
	if (pte & PTE_W)
		rights |= HF_ACCESS_WRITE;
	if (pte & PTE_X)
		rights |= HF_ACCESS_EXEC;
	return rights;
}

static inline unsigned mmu_branch_rights(uint64_t pte)
{
	(void)pte;
	return HF_ACCESS_READ | HF_ACCESS_WRITE | HF_ACCESS_EXEC;
}

static inline uint64_t mmu_mark_branch(uint64_t pte)
{
	return pte;
}

static inline bool mmu_mark_leaf(uint64_t *pte, bool store)
{
	uint64_t marks = store ? PTE_A | PTE_D : PTE_A;

#if MMU_SVADU
	*pte |= marks;
#endif
	return (*pte & marks) == marks;
}

static inline bool mmu_marked_dirty(uint64_t pte)
{
	return pte & PTE_D;
}
