/* SPDX-License-Identifier: MIT */
/*
 * Page-table entries, whatever their format. hf_pte_* take any entry, hf_branch_* and
 * hf_leaf_* what their name says.
 *
 * To write through an entry, it and every branch above must allow it. A branch that allows
 * writing is the one reference to its table.
 */
#ifndef HF_ARCH_ENTRY_H
#define HF_ARCH_ENTRY_H

#include "chosen.h"

#if defined(HF_ARCH_X86_64)
#include "x86_64.h"
#elif defined(HF_ARCH_AARCH64)
#include "aarch64.h"
#else
#include "riscv64.h"
#endif

#include <holdfast/types.h>

typedef struct {
	uint64_t v;
} hf_pte;

#define HF_TOP_LEVEL (hf_format.levels - 1)
/* The end of the addresses that a space can have. */
#define HF_VA_END ((hf_va)1 << hf_format.va_bits)

static inline bool hf_right_given(const struct hf_right *r, hf_pte e)
{
	return (e.v & r->bits) == r->give;
}

static inline hf_pte hf_right_set(const struct hf_right *r, hf_pte e, bool give)
{
	return (hf_pte){ (e.v & ~r->bits) | (give ? r->give : r->deny) };
}

static inline bool hf_pte_none(hf_pte e)
{
	return e.v == 0;
}

/* The hardware may use the entry. */
static inline bool hf_pte_present(hf_pte e)
{
	return e.v & hf_format.valid;
}

/* It may not, though the entry still leads where it did. */
static inline bool hf_pte_hidden(hf_pte e)
{
	return e.v & hf_format.hidden;
}

/* The page is in the swap store. */
static inline bool hf_pte_swapped(hf_pte e)
{
	return e.v & hf_format.swapped;
}

static inline bool hf_pte_branch(hf_pte e, unsigned level)
{
	return level > HF_LEVEL_PTE && e.v && !hf_pte_swapped(e) &&
	       (e.v & hf_format.branch_bits) == hf_format.branch_is;
}

/* A leaf, present or hidden, when found in a table at `level`. */
static inline bool hf_pte_leaf(hf_pte e, unsigned level)
{
	return (e.v & (hf_format.valid | hf_format.hidden)) &&
	       (level == HF_LEVEL_PTE || (e.v & hf_format.branch_bits) != hf_format.branch_is);
}

/* ---- Its frame, or slot ---- */

/* The bits of its number that entry `v` has the other way round: see struct hf_format. */
static inline uint64_t hf_inverted(uint64_t v)
{
	return v & hf_format.valid ? 0 : hf_format.inverted;
}

/* The frame that a branch or leaf leads to. */
static inline hf_pfn hf_pte_pfn(hf_pte e)
{
	return (hf_pfn){ (uint32_t)((e.v ^ hf_inverted(e.v)) >> hf_format.pfn_shift) &
			 (uint32_t)(hf_format.pfn_bits >> hf_format.pfn_shift) };
}

static inline uint64_t hf_pfn_bits(uint32_t pfn)
{
	return (uint64_t)pfn << hf_format.pfn_shift;
}

/* The same entry leading to another frame. */
static inline hf_pte hf_pte_with_pfn(hf_pte e, hf_pfn pfn)
{
	return (hf_pte){ (e.v & ~hf_format.pfn_bits) | (hf_pfn_bits(pfn.v) ^ hf_inverted(e.v)) };
}

/*
 * Entry e with its other bits as in `v`: its number stays, though it may become valid or cease to.
 */
static inline hf_pte hf_pte_become(hf_pte e, uint64_t v)
{
	return (hf_pte){ v ^ hf_inverted(e.v) ^ hf_inverted(v) };
}

/* Keep the entry, take it from the hardware. */
static inline hf_pte hf_pte_mkhidden(hf_pte e)
{
	return hf_pte_become(e, (e.v & ~hf_format.valid) | hf_format.hidden);
}

/* Give a hidden entry back to it; a branch that was unarmed is so again. */
static inline hf_pte hf_pte_mkshown(hf_pte e)
{
	return hf_pte_become(e, (e.v & ~hf_format.hidden) |
					(e.v & hf_format.unarmed ? 0 : hf_format.valid));
}

/* ---- A page in the swap store ---- */

static inline hf_pte hf_swapped_make(uint32_t slot)
{
	return hf_pte_with_pfn((hf_pte){ hf_format.swapped }, (hf_pfn){ slot });
}

static inline uint32_t hf_swapped_slot(hf_pte e)
{
	return hf_pte_pfn(e).v;
}

/* ---- Branches ---- */

/* It denies writing. Who lets a branch allow it is hf_publish alone (table.h). */
static inline hf_pte hf_branch_make(hf_pfn table)
{
	return hf_right_set(&hf_format.branch_write,
			    (hf_pte){ hf_pfn_bits(table.v) | hf_format.valid | hf_format.branch },
			    false);
}

static inline bool hf_branch_writable(hf_pte e)
{
	return hf_pte_present(e) && hf_right_given(&hf_format.branch_write, e);
}

/* Everything is allowed, leaves decide. For hf_publish (scripts/layout sees to it). */
static inline hf_pte hf_branch_mkwrite(hf_pte e)
{
	return hf_right_set(&hf_format.branch_write, e, true);
}

static inline hf_pte hf_branch_wrprotect(hf_pte e)
{
	/* What is armed, or waits for it, stays so. */
	if (hf_format.unarmed && !hf_branch_writable(e))
		return e;
	return hf_right_set(&hf_format.branch_write, e, false);
}

/* It denies writing by not being valid, as what is below does not deny it yet. */
static inline bool hf_branch_unarmed(hf_pte e)
{
	return e.v & hf_format.unarmed;
}

/* Nothing below is writable any more: let the hardware go through it. */
static inline hf_pte hf_branch_arm(hf_pte e)
{
	return hf_pte_become(e, (e.v & ~hf_format.unarmed) | hf_format.valid);
}

static inline bool hf_branch_look(hf_pte e)
{
	return e.v & hf_format.look;
}

static inline hf_pte hf_branch_mklook(hf_pte e)
{
	return (hf_pte){ e.v | hf_format.look };
}

static inline hf_pte hf_branch_clear_look(hf_pte e)
{
	return (hf_pte){ e.v & ~hf_format.look };
}

/* ---- Leaves ---- */

/* A clean leaf for a mapping with protection `prot`, write-protected. */
static inline hf_pte hf_leaf_make(hf_pfn pfn, unsigned level, unsigned prot)
{
	hf_pte e = { hf_format.leaf };

	e.v |= prot == HF_PROT_NONE ? hf_format.hidden : hf_format.valid;
	e.v |= level > HF_LEVEL_PTE ? hf_format.huge : hf_format.small;
	e = hf_pte_with_pfn(e, pfn);
	e = hf_right_set(&hf_format.leaf_exec, e, prot & HF_PROT_EXEC);
	return hf_right_set(&hf_format.leaf_write, e, false);
}

static inline bool hf_leaf_writable(hf_pte e)
{
	return hf_pte_present(e) && hf_right_given(&hf_format.leaf_write, e);
}

static inline bool hf_leaf_executable(hf_pte e)
{
	return hf_pte_present(e) && hf_right_given(&hf_format.leaf_exec, e);
}

static inline hf_pte hf_leaf_mkwrite(hf_pte e)
{
	e.v |= hf_format.marks ? 0 : hf_format.dirty;
	return hf_right_set(&hf_format.leaf_write, e, true);
}

static inline hf_pte hf_leaf_wrprotect(hf_pte e)
{
	return hf_right_set(&hf_format.leaf_write, e, false);
}

static inline bool hf_leaf_accessed(hf_pte e)
{
	return e.v & hf_format.accessed;
}

static inline bool hf_leaf_dirty(hf_pte e)
{
	return e.v & hf_format.dirty;
}

/* As a CPU marks a leaf on access, so that it need not do it itself. */
static inline hf_pte hf_leaf_mkaccessed(hf_pte e, bool dirty)
{
	return (hf_pte){ e.v | hf_format.accessed | (dirty ? hf_format.dirty : 0) };
}

/* The same for a reading access alone. */
static inline hf_pte hf_leaf_mkread(hf_pte e)
{
	return hf_leaf_mkaccessed(e, false);
}

static inline hf_pte hf_leaf_mkdirty(hf_pte e)
{
	return (hf_pte){ e.v | hf_format.dirty };
}

/* Accessed if it or `other` is, and dirty likewise. */
static inline hf_pte hf_leaf_add_marks(hf_pte e, hf_pte other)
{
	return (hf_pte){ e.v | (other.v & (hf_format.accessed | hf_format.dirty)) };
}

static inline hf_pte hf_leaf_mkold(hf_pte e)
{
	return (hf_pte){ e.v & ~hf_format.accessed };
}

/* Write permission goes, too, where only a fault would make it dirty again. */
static inline hf_pte hf_leaf_mkclean(hf_pte e)
{
	e.v &= ~hf_format.dirty;
	return hf_format.marks ? e : hf_leaf_wrprotect(e);
}

static inline bool hf_leaf_lazy(hf_pte e)
{
	return e.v & hf_format.lazy;
}

static inline hf_pte hf_leaf_mklazy(hf_pte e)
{
	return (hf_pte){ e.v | hf_format.lazy };
}

static inline hf_pte hf_leaf_clear_lazy(hf_pte e)
{
	return (hf_pte){ e.v & ~hf_format.lazy };
}

/* The leaf with another protection; what was marked stays, write permission goes. */
static inline hf_pte hf_leaf_with_prot(hf_pte e, unsigned level, unsigned prot)
{
	const uint64_t marks = hf_format.accessed | hf_format.dirty | hf_format.lazy;

	return (hf_pte){ hf_leaf_make(hf_pte_pfn(e), level, prot).v | (e.v & marks) };
}

/* One of the 512 leaves at level - 1 that together map what leaf `e` at `level` maps. */
static inline hf_pte hf_leaf_part(hf_pte e, unsigned level, unsigned index)
{
	hf_pfn pfn = { hf_pte_pfn(e).v + (index << hf_level_order(level - 1)) };

	if (level - 1 == HF_LEVEL_PTE)
		e.v = (e.v & ~hf_format.huge) | hf_format.small;
	return hf_pte_with_pfn(e, pfn);
}

/* ---- Either ---- */

static inline bool hf_pte_writable(hf_pte e, unsigned level)
{
	return hf_pte_leaf(e, level) ? hf_leaf_writable(e) : hf_branch_writable(e);
}

/* Of any entry: what allows no writing stays as it is. */
static inline hf_pte hf_pte_wrprotect(hf_pte e, unsigned level)
{
	if (!hf_pte_writable(e, level))
		return e;
	return hf_pte_leaf(e, level) ? hf_leaf_wrprotect(e) : hf_branch_wrprotect(e);
}

/*
 * Whether `e` is an entry that this core can have made at `level`: no unknown bits, a frame's
 * number, inverted where it has to be and aligned to its size, and one of valid, hidden and
 * swapped.
 */
static inline bool hf_pte_wellformed(hf_pte e, unsigned level)
{
	const struct hf_format *f = &hf_format;
	const uint64_t in_branch = f->pfn_bits | f->valid | f->branch | f->branch_write.bits |
				   f->look | f->branch_accessed;
	const uint64_t in_leaf = f->pfn_bits | f->valid | f->hidden | f->leaf | f->leaf_write.bits |
				 f->leaf_exec.bits | f->accessed | f->dirty | f->lazy;
	uint64_t kind = level > HF_LEVEL_PTE ? f->huge : f->small;

	if (hf_pte_none(e))
		return true;
	if (hf_pte_with_pfn(e, hf_pte_pfn(e)).v != e.v)
		return false;
	if (hf_pte_swapped(e))
		return !(e.v & ~(f->swapped | f->pfn_bits));
	if (hf_pte_branch(e, level))
		return !(e.v & ~in_branch) && (e.v & f->branch) == f->branch &&
		       (hf_branch_unarmed(e) ? (e.v & f->branch_write.bits) == f->branch_write.deny
					     : hf_pte_present(e));
	if (level >= HF_LEAF_LEVELS || hf_pte_pfn(e).v & ((1u << hf_level_order(level)) - 1))
		return false;
	if (!f->marks && hf_leaf_writable(e) && !hf_leaf_dirty(e))
		return false;
	return !(e.v & ~(in_leaf | kind)) && (e.v & f->leaf) == f->leaf && (e.v & kind) == kind &&
	       !(e.v & f->valid) != !(e.v & f->hidden);
}

#endif
