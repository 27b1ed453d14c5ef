/* SPDX-License-Identifier: MIT */
/*
 * Page tables. A table is a frame of 512 entries with a reference count, the number of
 * branch entries that lead to it, and a lock that guards its entries whoever maps it.
 *
 * A table is *shared* while it has more than one reference. Shared tables change in these
 * ways only: entries are marked accessed; hf_table_make_exclusive and hf_table_arm take W out of
 * them, and branches in them that are unarmed become armed;
 * pages go to the swap store and come back; reclaim takes accessed marks and W off and splits
 * huge leaves. All but what the hardware does is under the table's lock.
 *
 * Lock order: mm lock, table locks from parent to child, phys->lock. Reference counts are
 * guarded by phys->lock.
 */
#ifndef HF_TABLE_H
#define HF_TABLE_H

#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/bits.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../lib/trace.h"
#include "../lib/work.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"

#include <holdfast/mm.h>
#include <holdfast/trace.h>

static inline hf_pte *hf_table_entries(const struct hf_phys *phys, hf_pfn table)
{
	return hf_frame_ptr(phys, table);
}

static inline unsigned hf_table_index(hf_va va, unsigned level)
{
	return (unsigned)(va >> (HF_PAGE_SHIFT + hf_level_order(level))) & (HF_TABLE_ENTRIES - 1);
}

/* First address of the entry at `level` that `va` lies in. */
static inline hf_va hf_level_base(hf_va va, unsigned level)
{
	return va & ~(hf_level_size(level) - 1);
}

/*
 * Of the table at `level` that spans the addresses from `base` on: the index of the first
 * entry that ends above `lo`, and the index past the last that begins below `hi`. The
 * table and [lo, hi) overlap.
 */
static inline unsigned hf_first_index(hf_va lo, hf_va base, unsigned level)
{
	return hf_table_index(lo > base ? lo : base, level);
}

static inline unsigned hf_end_index(hf_va hi, hf_va base, unsigned level)
{
	hf_va end = base + hf_level_size(level + 1);

	return hf_table_index((hi < end ? hi : end) - 1, level) + 1;
}

static inline hf_pte hf_pte_get(const hf_pte *p)
{
	HF_WORK();
	return (hf_pte){ hf_load64(&p->v) };
}

static inline void hf_pte_set(hf_pte *p, hf_pte e)
{
	hf_store64(&p->v, e.v);
}

/* Change an entry that a CPU may mark accessed or dirty meanwhile. Returns the old one. */
static inline hf_pte hf_pte_update(hf_pte *p, hf_pte (*change)(hf_pte))
{
	hf_pte old = hf_pte_get(p);

	while (!hf_cas64(&p->v, &old.v, change(old).v))
		;
	return old;
}

/* Take write permission out of an entry at `level`. Returns the entry as it was. */
static inline hf_pte hf_pte_disarm(hf_pte *p, unsigned level)
{
	return hf_pte_update(p, hf_pte_leaf(hf_pte_get(p), level) ? hf_leaf_wrprotect
								  : hf_branch_wrprotect);
}

/* As far as one can see, `branch` may be published where `was` is, at `level`. For HF_ASSERT. */
bool hf_publishable(const struct hf_phys *phys, hf_pte was, hf_pte branch, unsigned level);

/*
 * Put `branch`, which denies writing, at *entry, in a table at `level`, and let it allow writing.
 * From then on walkers pass it without a lock (hf_walk_start), so *first*
 *  - all that is below is right, and stays so under the locks of the tables below;
 *  - every flush is done that the change owes: no CPU uses what *entry led to before;
 *  - what it led to before is not counted any more, so that "one leaf" and "one branch" mean
 *    one that can be reached.
 * Nothing else makes a branch allow writing (hf_branch_mkwrite); whoever needs one to deny it
 * again, or takes it away, holds the mm lock exclusively.
 * => the table behind it has one reference. The table that *entry is in is exclusive, and locked or
 *    its mm locked exclusively; or nobody else can come to it yet.
 */
static inline void hf_publish(const struct hf_phys *phys, hf_pte *entry, unsigned level,
			      hf_pte branch)
{
	HF_ASSERT(phys, hf_publishable(phys, hf_pte_get(entry), branch, level));
	hf_pte_set(entry, hf_branch_mkwrite(branch));
}

/*
 * What forgets write permission that went from branches, too: where they stop being valid
 * for it, a cached one must not lead to leaves that are writable still.
 */
#define HF_FLUSH_DISARM \
	(hf_format.unarmed ? (unsigned)HF_FLUSH_WRITE | HF_FLUSH_TABLES : (unsigned)HF_FLUSH_WRITE)

/*
 * A table's *marks*, one bit for each eight entries (a cache line of them): set where one of
 * them is not empty. A mark may outlive its entries, but no entry is without its mark, so whoever
 * is after entries that are not empty goes by the marks, and a table costs what is used of it.
 * Guarded as the entries are. Entries become empty, or change, by hf_pte_set; what fills an
 * empty one is hf_table_fill.
 */
#define HF_MARK_ENTRIES 8
_Static_assert(HF_TABLE_ENTRIES == 64 * HF_MARK_ENTRIES, "a table has 64 marks");

static inline uint64_t hf_table_marks(const struct hf_phys *phys, hf_pfn table)
{
	return hf_load_relaxed64(&hf_frame_at(phys, table)->marks);
}

/* Several: hf_store64, for hf_pins_locked reads a frame's pins while it may become a table. */
static inline void hf_table_mark(struct hf_phys *phys, hf_pfn table, uint64_t marks)
{
	struct hf_frame *f = hf_frame_at(phys, table);

	hf_store64(&f->marks, hf_load_relaxed64(&f->marks) | marks);
}

/* Put `e` into the entry at `index`, which may be empty. */
static inline void hf_table_fill(struct hf_phys *phys, hf_pfn table, unsigned index, hf_pte e)
{
	hf_table_mark(phys, table, (uint64_t)1 << (index / HF_MARK_ENTRIES));
	hf_pte_set(hf_table_entries(phys, table) + index, e);
}

/* Publish `branch` at the entry at `index`, which may be empty, of a table at `level`. */
static inline void hf_table_publish(struct hf_phys *phys, hf_pfn table, unsigned index,
				    unsigned level, hf_pte branch)
{
	hf_table_mark(phys, table, (uint64_t)1 << (index / HF_MARK_ENTRIES));
	hf_publish(phys, hf_table_entries(phys, table) + index, level, branch);
}

/* The first index from `i` on, and below `end`, that has its mark; or `end`. */
static inline unsigned hf_next_marked(uint64_t marks, unsigned i, unsigned end)
{
	uint64_t rest;

	if (i >= end)
		return end;
	rest = marks >> (i / HF_MARK_ENTRIES);
	if (rest & 1)
		return i;
	if (!rest)
		return end;
	i = (i / HF_MARK_ENTRIES + hf_lowest_bit(rest)) * HF_MARK_ENTRIES;
	return i < end ? i : end;
}

/* The index after the last one in [first, end) that has its mark; or `first`. */
static inline unsigned hf_end_marked(uint64_t marks, unsigned first, unsigned end)
{
	uint64_t rest;
	unsigned last;

	if (end <= first)
		return first;
	rest = marks & (UINT64_MAX >> (63 - (end - 1) / HF_MARK_ENTRIES));
	if (!rest)
		return first;
	last = (hf_highest_bit(rest) + 1) * HF_MARK_ENTRIES;
	if (last > end)
		return end;
	return last > first ? last : first;
}

/* For each index in [first, end) that may not be empty, in rising order. */
#define hf_each_marked(i, marks, first, end)                            \
	for (unsigned i = hf_next_marked(marks, first, end); i < (end); \
	     i = hf_next_marked(marks, i + 1, end))

HF_TAKES(table)
static inline void hf_table_lock(struct hf_phys *phys, hf_pfn table)
{
	hf_acquire(phys, &hf_frame_at(phys, table)->lock);
}

HF_GIVES(table)
static inline void hf_table_unlock(struct hf_phys *phys, hf_pfn table)
{
	hf_release(phys, &hf_frame_at(phys, table)->lock);
}

/* Let every CPU forget [va, va+len) as `what` says. mm lock held, as port.h says. */
HF_HOLDS_SHARED(mm)
static inline void hf_flush_tlb(struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	HF_TRACE(mm->phys, .what = HF_TRACE_FLUSH, .kind = what, .mm = mm, .va = va, .len = len);
	mm->phys->port->flush(mm->phys->host, mm, va, len, what);
}

/* An empty table with one reference, made of a frame of the reserve. */
hf_pfn hf_table_new(struct hf_phys *phys, struct hf_reserve *r);

/* More than one entry leads to the table. Takes phys->lock. */
bool hf_table_shared(struct hf_phys *phys, hf_pfn table);

/*
 * The *target* of an entry is what it leads to and is counted in: a leaf's block, a swap entry's
 * slot, a branch's table. An empty entry has none. Nothing else tells them apart to count them.
 *
 * get: one entry more leads there; false, and no change, at the count's limit.
 * room: as many as `more` gets would not be refused.
 * count: the bare count, one more or less: no limit, and nothing is freed.
 * put: one less; with the last, the target is let go. Takes phys->lock, the others want it held.
 */
HF_HOLDS(phys)
bool hf_target_get_locked(struct hf_phys *phys, hf_pte e, unsigned level);
HF_HOLDS(phys)
bool hf_target_room_locked(struct hf_phys *phys, hf_pte e, unsigned level, uint64_t more);
HF_HOLDS(phys)
void hf_target_count_locked(struct hf_phys *phys, hf_pte e, unsigned level, bool more);
void hf_target_put(struct hf_phys *phys, hf_pte e, unsigned level);

/*
 * One entry less leads to the table at `level`; with the last, all that it leads to is let
 * go as well. No CPU may use that entry any more. Takes phys->lock.
 */
void hf_table_put(struct hf_phys *phys, hf_pfn table, unsigned level);

/*
 * Put leaf `now` in the place of the leaf at `level` that `va` lies in. No CPU uses it before all
 * have forgotten the old one: on return none uses that.
 * => the table that *entry is in is exclusive, and locked or its mm locked exclusively.
 */
HF_HOLDS_SHARED(mm)
static inline void hf_leaf_replace(struct hf_mm *mm, hf_pte *entry, unsigned level, hf_va va,
				   hf_pte now)
{
	hf_pte_update(entry, hf_pte_mkhidden);
	hf_flush_tlb(mm, hf_level_base(va, level), hf_level_size(level), HF_FLUSH_LEAVES);
	hf_pte_set(entry, now);
}

/*
 * Let the hardware through an unarmed branch to a table at `level`. If the table is this
 * space's own again (`exclusive`: all above it is), by allowing all as before. Else by taking
 * write permission out of every entry of the table, whose own branches are unarmed then.
 * What was cached through this branch went when it became unarmed: there is nothing to flush.
 * => the table that *branch is in is locked; it may be shared.
 */
void hf_table_arm(struct hf_phys *phys, hf_pte *branch, unsigned level, bool exclusive);

/*
 * Make the table behind *branch this space's own, so that it may be changed: by taking it
 * over if nobody else leads to it, else by putting a copy (from the reserve, one frame)
 * in its place. `level` is the table's own; `va` lies in it.
 * => the table that *branch is in is exclusive, and locked or its mm locked exclusively.
 * HF_ERR_OVERFLOW: nothing changed.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_table_make_exclusive(struct hf_mm *mm, hf_pte *branch, unsigned level, hf_va va,
				       struct hf_reserve *r);

/*
 * Put a table of 512 leaves (one frame of the reserve) in the place of the leaf *entry at
 * `level`, in which `va` lies. Addresses and permissions stay as they are, so there is
 * nothing to flush, unless the format wants entries broken first.
 * `look`: the new branch gets LOOK; it must if the branch above has it.
 * => the table that *entry is in is exclusive, and locked or its mm locked exclusively.
 * HF_ERR_OVERFLOW: nothing changed.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_table_split(struct hf_mm *mm, hf_pte *entry, unsigned level, hf_va va, bool look,
			      struct hf_reserve *r);

/*
 * The same for a leaf that has been hidden, and flushed in every space: the parts are those of
 * `leaf`, which is what it was before. Whoever passes the branch finds them as they stay.
 * `exclusive`: all above *entry allows writing; if not, neither does the new branch.
 * => the table that *entry is in is locked; it may be shared.
 * HF_ERR_OVERFLOW: nothing changed.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_table_split_hidden(struct hf_mm *mm, hf_pte *entry, unsigned level, hf_va va,
				     hf_pte leaf, bool exclusive, bool look, struct hf_reserve *r);

#endif
