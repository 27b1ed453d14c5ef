/* SPDX-License-Identifier: MIT */
#include "table.h"

#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/mem.h"
#include "../lib/panic.h"
#include "../lib/trace.h"
#include "../phys/block.h"
#include "../phys/buddy.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../phys/slot.h"

#include <holdfast/mm.h>
#include <holdfast/trace.h>

/* Up to so many marks of 64, a table is cleared when it is let go, not when the next one begins. */
#define FEW_LINES 16

/* Fill the entries that are not in `marks` with zeros. */
static void clear_unmarked(hf_pte *e, uint64_t marks)
{
	unsigned i, end;

	for (i = hf_next_marked(~marks, 0, HF_TABLE_ENTRIES); i < HF_TABLE_ENTRIES;
	     i = hf_next_marked(~marks, end, HF_TABLE_ENTRIES)) {
		end = hf_next_marked(marks, i, HF_TABLE_ENTRIES);
		for (; i < end; i += HF_MARK_ENTRIES)
			memset(e + i, 0, HF_MARK_ENTRIES * sizeof(*e));
	}
}

/*
 * A table with one reference and these marks, whose marked entries are still to be written; the
 * others are empty.
 */
static hf_pfn take_table(struct hf_phys *phys, uint64_t marks, struct hf_reserve *r)
{
	hf_pfn table = hf_reserve_take(phys, r);
	struct hf_frame *f = hf_frame_at(phys, table);

	if (!f->clean)
		clear_unmarked(hf_table_entries(phys, table), marks);
	hf_frame_set_kind(f, HF_FRAME_TABLE);
	hf_table_mark(phys, table, marks);
	f->refs = 1;
	f->lock.word = 0;
	f->clean = false; /* see place.c */
	return table;
}

hf_pfn hf_table_new(struct hf_phys *phys, struct hf_reserve *r)
{
	return take_table(phys, 0, r);
}

bool hf_table_shared(struct hf_phys *phys, hf_pfn table)
{
	bool shared;

	hf_phys_lock(phys);
	shared = hf_frame_at(phys, table)->refs > 1;
	hf_phys_unlock(phys);
	return shared;
}

/* The number of entries that lead where a swap entry or a branch does. phys->lock held. */
static uint32_t *count_of(const struct hf_phys *phys, hf_pte e)
{
	if (hf_pte_swapped(e))
		return &hf_slot_at(phys, hf_swapped_slot(e))->refs;
	return &hf_frame_at(phys, hf_pte_pfn(e))->refs;
}

bool hf_target_room_locked(struct hf_phys *phys, hf_pte e, unsigned level, uint64_t more)
{
	if (hf_pte_none(e))
		return true;
	if (hf_pte_leaf(e, level))
		return hf_map_room_locked(phys, hf_pte_pfn(e), level, more);
	return *count_of(phys, e) + more <= phys->count_limit;
}

void hf_target_count_locked(struct hf_phys *phys, hf_pte e, unsigned level, bool more)
{
	if (hf_pte_none(e))
		return;
	if (hf_pte_leaf(e, level))
		hf_map_count_locked(phys, hf_pte_pfn(e), level, more);
	else
		*count_of(phys, e) += more ? 1u : -1u;
}

/* See hf_target_get_locked. */
HF_HOLDS(phys)
static inline bool get_target(struct hf_phys *phys, hf_pte e, unsigned level)
{
	uint32_t *count;

	if (hf_pte_none(e))
		return true;
	if (hf_pte_leaf(e, level))
		return hf_map_get_locked(phys, hf_pte_pfn(e), level);
	count = count_of(phys, e);
	if (*count >= phys->count_limit)
		return false;
	++*count;
	return true;
}

bool hf_target_get_locked(struct hf_phys *phys, hf_pte e, unsigned level)
{
	return get_target(phys, e, level);
}

/* One entry less, no branch, leads to its target. phys->lock held. */
HF_HOLDS(phys)
static void put_page(struct hf_phys *phys, hf_pte e, unsigned level)
{
	if (hf_pte_leaf(e, level))
		hf_map_put_locked(phys, hf_pte_pfn(e), level);
	else if (hf_pte_swapped(e))
		hf_slot_put_locked(phys, hf_swapped_slot(e));
}

void hf_target_put(struct hf_phys *phys, hf_pte e, unsigned level)
{
	if (hf_pte_branch(e, level)) {
		hf_table_put(phys, hf_pte_pfn(e), level - 1);
		return;
	}
	if (hf_pte_leaf(e, level)) {
		hf_map_put(phys, hf_pte_pfn(e), level);
		return;
	}
	hf_phys_lock(phys);
	put_page(phys, e, level);
	hf_phys_unlock(phys);
}

/*
 * Empty the marked entries, of tables of which little is used: the frame will most likely be a
 * table again. True: it reads as zeros.
 */
static bool clear_few(hf_pte *e, uint64_t marks)
{
	for (unsigned lines = 0; marks; marks &= marks - 1) {
		if (++lines > FEW_LINES)
			return false;
		memset(e + hf_lowest_bit(marks) * HF_MARK_ENTRIES, 0, HF_MARK_ENTRIES * sizeof(*e));
	}
	return true;
}

/* A table that leads to nothing any more is a free frame. phys->lock held. */
HF_HOLDS(phys)
static void free_table(struct hf_phys *phys, hf_pfn table)
{
	struct hf_frame *f = hf_frame_at(phys, table);
	bool clean = clear_few(hf_table_entries(phys, table), hf_table_marks(phys, table));

	hf_store64(&f->marks, 0);
	hf_frame_set_kind(f, HF_FRAME_PLAIN);
	hf_frame_free_locked(phys, table, clean);
}

/*
 * Let go of all that a table without references leads to, and of the table: nobody else comes
 * to it, so it stands while others have phys->lock.
 */
static void destroy(struct hf_phys *phys, hf_pfn table, unsigned level)
{
	const hf_pte *e = hf_table_entries(phys, table);
	uint64_t marks = hf_table_marks(phys, table);

	if (level > HF_LEVEL_PTE)
		hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES)
			if (!hf_pte_none(e[i]))
				hf_target_put(phys, e[i], level);
	hf_phys_lock(phys);
	if (level == HF_LEVEL_PTE)
		hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES)
			put_page(phys, e[i], level);
	free_table(phys, table);
	hf_phys_unlock(phys);
}

void hf_table_put(struct hf_phys *phys, hf_pfn table, unsigned level)
{
	struct hf_frame *f = hf_frame_at(phys, table);
	bool last;

	hf_phys_lock(phys);
	if (!f->refs)
		hf_panic_at(phys, "a table was dropped that nothing led to", hf_pfn_pa(table).v,
			    level, 0);
	last = --f->refs == 0;
	hf_phys_unlock(phys);
	if (last)
		destroy(phys, table, level);
}

/*
 * Count one entry more to what *src leads to, and return what the new one is to be. Write
 * permission goes from both. No TLB can hold a writable translation through the old table: every
 * branch to it was write-protected when it became shared. A CPU may mark the old entry accessed
 * meanwhile, at the worst for nothing: the page then looks older than it is. False, and no change,
 * at a count's limit. phys->lock and the old table's held.
 */
HF_HOLDS(phys)
static bool copy_entry(struct hf_phys *phys, hf_pte *src, unsigned level, hf_pte *out)
{
	hf_pte e = hf_pte_get(src);

	if (!get_target(phys, e, level))
		return false;
	*out = hf_pte_wrprotect(e, level);
	hf_pte_set(src, *out);
	return true;
}

/*
 * The same for a run, `most` entries at most, of leaves to small pages that lie one behind the
 * other in RAM and are marked alike: a full table is mostly that. Each page is counted already, so
 * one entry more concerns no block around it. Returns how many it has copied; it may be none.
 */
HF_HOLDS(phys)
static unsigned copy_run(const struct hf_phys *phys, hf_pte *src, hf_pte *dst, unsigned most)
{
	const uint32_t limit = phys->count_limit;
	const struct hf_ram *ram;
	hf_pte e = hf_pte_get(src);
	struct hf_frame *f, *end;
	unsigned i;

	if (!hf_pte_present(e))
		return 0;
	ram = hf_ram_of(phys, hf_pte_pfn(e));
	f = hf_frame_at(phys, hf_pte_pfn(e));
	end = (struct hf_frame *)ram->meta + (ram->len >> HF_PAGE_SHIFT);
	most = end - f < most ? (unsigned)(end - f) : most;
	for (i = 0; i < most && hf_pte_get(&src[i]).v == e.v; i++, f++) {
		if (f->maps - 1 >=
		    limit - 1) /* at the limit; or a zero page, which is not counted */
			break;
		HF_WORK();
		f->maps++;
		dst[i] = hf_leaf_wrprotect(e);
		hf_pte_set(&src[i], dst[i]);
		e.v += hf_pfn_bits(1);
	}
	return i;
}

/* Copy `count` entries as copy_marked says, up to one that is at a limit. Returns how many. */
HF_HOLDS(phys)
static unsigned copy_entries(struct hf_phys *phys, hf_pte *src, hf_pte *dst, unsigned count,
			     unsigned level)
{
	hf_pte *const first = src, *const end = src + count;
	unsigned run;

	for (; src < end; src += run, dst += run) {
		for (; src < end && hf_pte_none(hf_pte_get(src)); src++, dst++)
			*dst = (hf_pte){ 0 };
		if (src == end)
			break;
		run = 0;
		if (level == HF_LEVEL_PTE)
			run = copy_run(phys, src, dst, (unsigned)(end - src));
		if (!run && !copy_entry(phys, src, level, dst))
			break;
		run = run ? run : 1;
	}
	return (unsigned)(src - first);
}

/*
 * Write the entries that are marked in `src` to `dst`, with one more reference to what they lead
 * to. False, at a count's limit: no more references, and of `src` nothing has gone but write
 * permission that a shared table cannot give. phys->lock and the old table's held.
 */
HF_HOLDS(phys)
static bool copy_marked(struct hf_phys *phys, hf_pte *src, hf_pte *dst, uint64_t marks,
			unsigned level)
{
	unsigned i, end;

	for (i = hf_next_marked(marks, 0, HF_TABLE_ENTRIES); i < HF_TABLE_ENTRIES;
	     i = hf_next_marked(marks, end, HF_TABLE_ENTRIES)) {
		end = hf_next_marked(~marks, i, HF_TABLE_ENTRIES);
		i += copy_entries(phys, src + i, dst + i, end - i, level);
		if (i == end)
			continue;
		hf_each_marked(j, marks, 0, i)
			hf_target_count_locked(phys, dst[j], level, false);
		return false;
	}
	return true;
}

/* A copy of a table, or HF_NIL as copy_marked says. phys->lock and the old table's held. */
HF_HOLDS(phys)
static hf_pfn copy_table(struct hf_phys *phys, hf_pfn old, unsigned level, struct hf_reserve *r)
{
	const uint64_t marks = hf_table_marks(phys, old);
	hf_pfn copy = take_table(phys, marks, r);

	if (copy_marked(phys, hf_table_entries(phys, old), hf_table_entries(phys, copy), marks,
			level))
		return copy;
	free_table(phys, copy);
	return (hf_pfn){ HF_NIL };
}

#ifdef HF_DEBUG
bool hf_publishable(const struct hf_phys *phys, hf_pte was, hf_pte branch, unsigned level)
{
	const hf_pte *e;
	uint64_t marks;

	if (!hf_pte_branch(branch, level) || hf_branch_writable(branch) || hf_pte_hidden(branch))
		return false;
	/* What was there has gone, and been flushed; or it led to the same table. */
	if (hf_pte_present(was) &&
	    !(hf_pte_branch(was, level) && hf_pte_pfn(was).v == hf_pte_pfn(branch).v))
		return false;
	if (hf_frame_at(phys, hf_pte_pfn(branch))->refs != 1)
		return false;
	e = hf_table_entries(phys, hf_pte_pfn(branch));
	marks = hf_table_marks(phys, hf_pte_pfn(branch));
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		hf_pte below = hf_pte_get(&e[i]);

		if (!hf_pte_wellformed(below, level - 1) ||
		    (!hf_pte_none(below) && !(marks >> (i / HF_MARK_ENTRIES) & 1)))
			return false;
	}
	return true;
}
#endif

void hf_table_arm(struct hf_phys *phys, hf_pte *branch, unsigned level, bool exclusive)
{
	hf_pfn table = hf_pte_pfn(hf_pte_get(branch));
	hf_pte *e = hf_table_entries(phys, table);
	uint64_t marks;

	if (exclusive && !hf_table_shared(phys, table)) {
		hf_publish(phys, branch, level + 1, hf_pte_get(branch));
		return;
	}
	hf_table_lock(phys, table);
	marks = hf_table_marks(phys, table);
	hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES)
		if (hf_pte_writable(hf_pte_get(&e[i]), level))
			hf_pte_disarm(&e[i], level);
	hf_table_unlock(phys, table);
	hf_pte_update(branch, hf_branch_arm);
}

enum hf_status hf_table_make_exclusive(struct hf_mm *mm, hf_pte *branch, unsigned level, hf_va va,
				       struct hf_reserve *r)
{
	struct hf_phys *phys = mm->phys;
	hf_pte before = hf_pte_get(branch);
	hf_pfn old = hf_pte_pfn(before), copy = { HF_NIL };
	bool shared;

	HF_ASSERT(phys, hf_rwlock_held(&mm->rwlock));
	HF_ASSERT(phys, level < HF_TOP_LEVEL && hf_pte_branch(before, level + 1));
	if (hf_branch_writable(before))
		return HF_OK;
	hf_table_lock(phys, old);
	hf_phys_lock(phys);
	shared = hf_frame_at(phys, old)->refs > 1;
	if (shared)
		copy = copy_table(phys, old, level, r);
	hf_phys_unlock(phys);
	hf_table_unlock(phys, old);
	if (!shared) {
		/* Who has let go of it, and whose flush came first, has left nothing cached. */
		hf_publish(phys, branch, level + 1, before);
		return HF_OK;
	}
	if (copy.v == HF_NIL)
		return HF_ERR_OVERFLOW;

	/*
	 * This space's CPUs may still walk through the old table by their branch caches. Once
	 * it is let go, its other owner may put pages of its own into it. And until then nobody may
	 * change the copy: who flushes a leaf leaves cached branches alone.
	 */
	hf_pte_set(branch, hf_pte_mkhidden(hf_branch_make(copy)));
	hf_flush_tlb(mm, hf_level_base(va, level + 1), hf_level_size(level + 1), HF_FLUSH_TABLES);
	hf_table_put(phys, old, level);
	hf_publish(phys, branch, level + 1, hf_branch_make(copy));
	return HF_OK;
}

/*
 * A table with the parts of `leaf`, which is at `level` and now counts as mapped by them. HF_NIL: a
 * count is at its limit.
 */
static hf_pfn take_parts(struct hf_phys *phys, hf_pte leaf, unsigned level, struct hf_reserve *r)
{
	bool ok;

	HF_ASSERT(phys, level > HF_LEVEL_PTE && hf_pte_leaf(leaf, level));
	hf_phys_lock(phys);
	ok = hf_map_split_locked(phys, hf_pte_pfn(leaf), level);
	hf_phys_unlock(phys);
	if (!ok)
		return (hf_pfn){ HF_NIL };
	return take_table(phys, UINT64_MAX, r);
}

static void write_parts(const struct hf_phys *phys, hf_pfn table, hf_pte leaf, unsigned level)
{
	hf_pte *parts = hf_table_entries(phys, table);

	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		parts[i] = hf_leaf_part(leaf, level, i);
}

/*
 * Put the parts of `leaf`, written to `table`, in its place; `look` and `exclusive` as in table.h.
 */
static void publish_parts(struct hf_mm *mm, hf_pte *entry, unsigned level, hf_va va, hf_pfn table,
			  hf_pte leaf, bool exclusive, bool look)
{
	hf_pte branch = hf_branch_make(table);

	write_parts(mm->phys, table, leaf, level);
	if (exclusive)
		hf_publish(mm->phys, entry, level, look ? hf_branch_mklook(branch) : branch);
	else
		hf_pte_set(entry, branch);
	HF_TRACE(mm->phys, .what = HF_TRACE_SPLIT, .level = level, .mm = mm,
		 .va = hf_level_base(va, level), .len = hf_level_size(level));
}

enum hf_status hf_table_split(struct hf_mm *mm, hf_pte *entry, unsigned level, hf_va va, bool look,
			      struct hf_reserve *r)
{
	hf_pfn table = take_parts(mm->phys, hf_pte_get(entry), level, r);
	hf_pte leaf;

	if (table.v == HF_NIL)
		return HF_ERR_OVERFLOW;
	/* From here on no CPU marks it accessed or dirty. */
	leaf = hf_pte_update(entry, hf_pte_mkhidden);
	if (hf_format.break_first && hf_pte_present(leaf))
		hf_flush_tlb(mm, hf_level_base(va, level), hf_level_size(level), HF_FLUSH_LEAVES);
	publish_parts(mm, entry, level, va, table, leaf, true, look);
	return HF_OK;
}

enum hf_status hf_table_split_hidden(struct hf_mm *mm, hf_pte *entry, unsigned level, hf_va va,
				     hf_pte leaf, bool exclusive, bool look, struct hf_reserve *r)
{
	hf_pfn table = take_parts(mm->phys, leaf, level, r);

	if (table.v == HF_NIL)
		return HF_ERR_OVERFLOW;
	publish_parts(mm, entry, level, va, table, leaf, exclusive, look);
	return HF_OK;
}
