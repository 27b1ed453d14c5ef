/* SPDX-License-Identifier: MIT */
/*
 * x86-64 page-table entries, 4 KiB granule, four levels: Intel SDM vol. 3A, 4.5 and
 * table 4-15 ff.; AMD APM vol. 2, 5.3. All knowledge of the layout is in this file; the
 * rest of the core speaks of leaves, branches and permissions.
 *
 * Software bits (ignored by the hardware): LOOK in branches, HELD in leaves.
 *
 *  - An entry of 0 is empty.
 *  - A present entry has P. A leaf whose mapping forbids all access keeps its frame, has
 *    HELD instead of P, and faults. A branch may be HELD for a moment too, while its range
 *    is being unmapped.
 *  - W in a branch write-protects everything below when it is clear. It is set only in an
 *    entry that is the one reference to its table.
 */
#ifndef HF_ARCH_X86_64_H
#define HF_ARCH_X86_64_H

#include <holdfast/mm.h>

typedef struct {
	uint64_t v;
} hf_pte;

#define HF_TOP_LEVEL HF_LEVEL_PGD
/* The end of the user half: addresses below have bit 47 clear. */
#define HF_VA_END ((hf_va)1 << 47)

enum {
	X86_P = 1 << 0,
	X86_W = 1 << 1,
	X86_U = 1 << 2,
	X86_A = 1 << 5,
	X86_D = 1 << 6,
	X86_PS = 1 << 7,
	X86_LOOK = 1 << 9,
	X86_HELD = 1 << 10,
};
#define X86_NX ((uint64_t)1 << 63)
#define X86_ADDR ((((uint64_t)1 << 52) - 1) & ~(uint64_t)0xfff)

static inline bool hf_pte_none(hf_pte e)
{
	return e.v == 0;
}

/* The hardware may use the entry. */
static inline bool hf_pte_present(hf_pte e)
{
	return e.v & X86_P;
}

/* A leaf, present or held, when found in a table at `level`. */
static inline bool hf_pte_leaf(hf_pte e, unsigned level)
{
	return e.v && (level == HF_LEVEL_PTE || (e.v & X86_PS));
}

static inline bool hf_pte_branch(hf_pte e, unsigned level)
{
	return e.v && level > HF_LEVEL_PTE && !(e.v & X86_PS);
}

static inline hf_pfn hf_pte_pfn(hf_pte e)
{
	return (hf_pfn){ (uint32_t)((e.v & X86_ADDR) >> HF_PAGE_SHIFT) };
}

static inline bool hf_pte_writable(hf_pte e)
{
	return (e.v & (X86_P | X86_W)) == (X86_P | X86_W);
}

static inline bool hf_pte_executable(hf_pte e)
{
	return (e.v & X86_P) && !(e.v & X86_NX);
}

static inline bool hf_pte_dirty(hf_pte e)
{
	return e.v & X86_D;
}

static inline bool hf_pte_look(hf_pte e)
{
	return e.v & X86_LOOK;
}

/* A branch to an exclusive table: everything is allowed, leaves decide. */
static inline hf_pte hf_pte_make_branch(hf_pfn table)
{
	return (hf_pte){ ((uint64_t)table.v << HF_PAGE_SHIFT) | X86_P | X86_W | X86_U };
}

/* A clean leaf for a mapping with protection `prot`, write-protected. */
static inline hf_pte hf_pte_make_leaf(hf_pfn pfn, unsigned level, unsigned prot)
{
	uint64_t v = ((uint64_t)pfn.v << HF_PAGE_SHIFT) | X86_U;

	v |= prot == HF_PROT_NONE ? X86_HELD : X86_P;
	if (level > HF_LEVEL_PTE)
		v |= X86_PS;
	if (!(prot & HF_PROT_EXEC))
		v |= X86_NX;
	return (hf_pte){ v };
}

/* The same entry leading to another frame. */
static inline hf_pte hf_pte_with_pfn(hf_pte e, hf_pfn pfn)
{
	return (hf_pte){ (e.v & ~X86_ADDR) | ((uint64_t)pfn.v << HF_PAGE_SHIFT) };
}

/* The leaf with another protection; accessed and dirty stay, write permission goes. */
static inline hf_pte hf_pte_with_prot(hf_pte e, unsigned level, unsigned prot)
{
	return (hf_pte){ hf_pte_make_leaf(hf_pte_pfn(e), level, prot).v | (e.v & (X86_A | X86_D)) };
}

static inline hf_pte hf_pte_mkwrite(hf_pte e)
{
	return (hf_pte){ e.v | X86_W };
}

static inline hf_pte hf_pte_wrprotect(hf_pte e)
{
	return (hf_pte){ e.v & ~(uint64_t)X86_W };
}

/* As a CPU marks a leaf on access, so that it need not do it itself. */
static inline hf_pte hf_pte_mkaccessed(hf_pte e, bool dirty)
{
	return (hf_pte){ e.v | X86_A | (dirty ? X86_D : 0) };
}

static inline hf_pte hf_pte_mklook(hf_pte e)
{
	return (hf_pte){ e.v | X86_LOOK };
}

static inline hf_pte hf_pte_clear_look(hf_pte e)
{
	return (hf_pte){ e.v & ~(uint64_t)X86_LOOK };
}

/* Keep the entry, take it from the hardware. */
static inline hf_pte hf_pte_mkheld(hf_pte e)
{
	return (hf_pte){ (e.v & ~(uint64_t)X86_P) | X86_HELD };
}

/* One of the 512 leaves at level - 1 that together map what leaf `e` at `level` maps. */
static inline hf_pte hf_pte_part(hf_pte e, unsigned level, unsigned index)
{
	uint64_t v = e.v;

	if (level - 1 == HF_LEVEL_PTE)
		v &= ~(uint64_t)X86_PS;
	v += (uint64_t)index << (HF_PAGE_SHIFT + hf_level_order(level - 1));
	return (hf_pte){ v };
}

/*
 * Whether `e` is an entry that this core can have made at `level`: no unknown bits, a
 * frame aligned to its size, exactly one of present and held.
 */
static inline bool hf_pte_wellformed(hf_pte e, unsigned level)
{
	const uint64_t common = X86_ADDR | X86_P | X86_W | X86_U;
	const uint64_t leaf = common | X86_A | X86_D | X86_HELD | X86_NX;
	uint64_t align = hf_level_size(level) - 1;

	if (hf_pte_none(e))
		return true;
	if (!(e.v & X86_U))
		return false;
	if (hf_pte_branch(e, level))
		return !(e.v & ~(common | X86_A | X86_LOOK)) && (e.v & X86_P);
	if (level >= HF_LEAF_LEVELS || (e.v & X86_ADDR & align))
		return false;
	if (e.v & ~(leaf | (level > HF_LEVEL_PTE ? X86_PS : 0)))
		return false;
	return !(e.v & X86_P) != !(e.v & X86_HELD);
}

#endif
