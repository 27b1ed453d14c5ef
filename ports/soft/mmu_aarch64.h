/* SPDX-License-Identifier: MIT */
/*
 * Arm Architecture Reference Manual (DDI 0487), D8: D8.3 "Translation table descriptor
 * formats", D8.4 "Memory access control", D8.5 "Hardware updates to the translation tables".
 *
 * The CPU runs at EL0 on TTBR0_EL1 with TCR_EL1.{T0SZ = 16, TG0 = 4 KiB, HPD0 = 0, HA = 0,
 * HD = 0, DS = 0}, SCTLR_EL1.WXN = 0, 48-bit output addresses, and neither FEAT_HAFDBS nor
 * FEAT_LPA2 nor FEAT_BBM level 1. Memory attributes have no effect.
 */
#define MMU_LEVELS 4
#define MMU_USER_BITS 48
#define MMU_BRANCH_DENIES_WRITE 1
#define MMU_BREAK_FIRST 1
#define MMU_KEEPS_UNLESS_DENIED 1

#define DESC_BIT(n) ((uint64_t)1 << (n))
#define DESC_VALID DESC_BIT(0)
#define DESC_TABLE DESC_BIT(1) /* a table, or a page at the last level; else a block */
#define DESC_AP1 DESC_BIT(6)   /* access at EL0 */
#define DESC_AP2 DESC_BIT(7)   /* read only */
#define DESC_AF DESC_BIT(10)
#define DESC_DBM DESC_BIT(51)
#define DESC_UXN DESC_BIT(54)
#define DESC_UXNTABLE DESC_BIT(60)
#define DESC_APTABLE0 DESC_BIT(61) /* no access at EL0 below */
#define DESC_APTABLE1 DESC_BIT(62) /* no writing below */
#define DESC_OA ((DESC_BIT(48) - 1) & ~(HF_PAGE_SIZE - 1))

static inline bool mmu_valid(uint64_t desc)
{
	return desc & DESC_VALID;
}

static inline bool mmu_is_leaf(uint64_t desc, unsigned level)
{
	return level == HF_LEVEL_PTE || !(desc & DESC_TABLE);
}

static inline const char *mmu_malformed(uint64_t desc, unsigned level)
{
	const uint64_t res0_oa = DESC_BIT(48) | DESC_BIT(49); /* only FEAT_LPA2 has them */
	uint64_t res0;

	if (!(desc & DESC_TABLE) && (level == HF_LEVEL_PTE || level >= HF_LEAF_LEVELS))
		return "a reserved encoding"; /* no blocks at these levels */
	if (mmu_is_leaf(desc, level))
		res0 = res0_oa | DESC_DBM | ((hf_level_size(level) - 1) & DESC_OA);
	else
		res0 = res0_oa | DESC_BIT(50);
	return desc & res0 ? "a reserved bit is set" : NULL;
}

static inline uint64_t mmu_pa(uint64_t desc)
{
	return desc & DESC_OA;
}

/* At EL0, executing asks nothing of AP. */
static inline unsigned mmu_leaf_rights(uint64_t desc)
{
	unsigned rights = 0;

	if (desc & DESC_AP1)
		rights |= desc & DESC_AP2 ? HF_ACCESS_READ : HF_ACCESS_READ | HF_ACCESS_WRITE;
	if (!(desc & DESC_UXN))
		rights |= HF_ACCESS_EXEC;
	return rights;
}

static inline unsigned mmu_branch_rights(uint64_t desc)
{
	unsigned rights = HF_ACCESS_READ | HF_ACCESS_WRITE | HF_ACCESS_EXEC;

	if (desc & DESC_APTABLE0)
		rights &= ~(unsigned)(HF_ACCESS_READ | HF_ACCESS_WRITE);
	if (desc & DESC_APTABLE1)
		rights &= ~(unsigned)HF_ACCESS_WRITE;
	if (desc & DESC_UXNTABLE)
		rights &= ~(unsigned)HF_ACCESS_EXEC;
	return rights;
}

static inline uint64_t mmu_mark_branch(uint64_t desc)
{
	return desc;
}

static inline bool mmu_mark_leaf(uint64_t *desc, bool store)
{
	(void)store;
	return *desc & DESC_AF; /* else an Access flag fault */
}

static inline bool mmu_marked_dirty(uint64_t desc)
{
	(void)desc;
	return true;
}
