/* SPDX-License-Identifier: MIT */
/*
 * The pages of an object: a radix tree of tables as high as the offsets in it need, whose leaves
 * are the pages. object->lock held everywhere, but at the object's end.
 */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/mem.h"
#include "../lib/panic.h"
#include "../phys/block.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../table/place.h"
#include "../table/table.h"
#include "../table/walk.h"
#include "object.h"

#include <holdfast/object.h>

/* The level of the lowest table that reaches `offset`. */
static unsigned level_for(uint64_t offset)
{
	unsigned level = 0;

	while (offset >= hf_level_size(level + 1))
		level++;
	return level;
}

/* The tree reaches `offset`. */
static bool reaches(const struct hf_object *o, uint64_t offset)
{
	return o->root.v != HF_NIL && offset < hf_level_size(o->top + 1);
}

/* Down to the entry for `offset` at `level`, or above it where there is no branch. */
static struct hf_found walk(const struct hf_object *o, uint64_t offset, unsigned level)
{
	return hf_table_find(o->phys, o->root, o->top, offset, level);
}

static void fill_entry(const struct hf_object *o, const struct hf_found *at, uint64_t offset,
		       hf_pte e)
{
	hf_table_fill(o->phys, at->table, hf_table_index(offset, at->level), e);
}

bool hf_pages_find(const struct hf_object *o, uint64_t offset, struct hf_object_page *out)
{
	struct hf_found s;

	if (!reaches(o, offset))
		return false;
	s = walk(o, offset, HF_LEVEL_PTE);
	if (hf_pte_none(hf_pte_get(s.entry)))
		return false;
	*out = (struct hf_object_page){ hf_pte_pfn(hf_pte_get(s.entry)), s.level, s.entry };
	return true;
}

/* ---- Making a page ---- */

/* A page of this level fits around `offset`: before the end, and nothing is there yet. */
static bool fits(const struct hf_object *o, uint64_t offset, unsigned level)
{
	if (hf_level_base(offset, level) + hf_level_size(level) > hf_object_end(o))
		return false;
	if (o->root.v != HF_NIL && level > o->top && !hf_level_base(offset, level))
		return false;
	return !reaches(o, offset) || hf_pte_none(hf_pte_get(walk(o, offset, level).entry));
}

/* Tables that are missing above the entry for `offset` at `level`. */
static unsigned missing(const struct hf_object *o, uint64_t offset, unsigned level)
{
	unsigned top = level_for(offset);

	if (top < level)
		top = level;
	if (o->root.v == HF_NIL)
		return top - level + 1;
	if (!reaches(o, offset))
		return (top - o->top) + (top - level);
	return walk(o, offset, level).level - level;
}

/* The entry for `offset` at `level`; tables for the way to it come out of the reserve. */
static struct hf_found make_spot(struct hf_object *o, uint64_t offset, unsigned level,
				 struct hf_reserve *r)
{
	unsigned top = level_for(offset);
	struct hf_found s;

	if (o->root.v == HF_NIL) {
		o->top = top > level ? top : level;
		o->root = hf_table_new(o->phys, r);
	}
	while (!reaches(o, offset)) {
		hf_pfn root = hf_table_new(o->phys, r);

		hf_table_fill(o->phys, root, 0, hf_branch_make(o->root));
		o->root = root;
		o->top++;
	}
	while (s = walk(o, offset, level), s.level > level)
		fill_entry(o, &s, offset, hf_branch_make(hf_table_new(o->phys, r)));
	return s;
}

/* The table that the page at `offset` has its leaf in, at level 0; HF_NIL: not yet. */
static hf_pfn lowest_table(const struct hf_object *o, uint64_t offset)
{
	hf_pfn table = o->root;

	if (!reaches(o, offset))
		return (hf_pfn){ HF_NIL };
	for (unsigned at = o->top; at > HF_LEVEL_PTE; at--) {
		hf_pte e =
			hf_pte_get(hf_table_entries(o->phys, table) + hf_table_index(offset, at));

		if (!hf_pte_branch(e, at))
			return (hf_pfn){ HF_NIL };
		table = hf_pte_pfn(e);
	}
	return table;
}

/* A block for a page, counted as mapped once. phys->lock held. */
HF_HOLDS(phys)
static bool alloc_page_locked(struct hf_object *o, uint64_t offset, unsigned level, hf_pfn *out,
			      bool *clean)
{
	const struct hf_place place = {
		.root = reaches(o, offset) ? o->root : (hf_pfn){ HF_NIL },
		.top = o->top,
		.table = lowest_table(o, offset),
		.hi = hf_object_end(o),
		.va = offset,
		.level = level,
	};

	if (!hf_place_alloc_locked(o->phys, &place, out, clean))
		return false;
	hf_map_count_locked(o->phys, *out, level, true);
	return true;
}

static void free_block(struct hf_object *o, hf_pfn pfn, unsigned level)
{
	hf_phys_lock(o->phys);
	hf_map_put_locked(o->phys, pfn, level);
	hf_phys_unlock(o->phys);
}

/* A block with the contents of the page at `offset`. */
static enum hf_status make_block(struct hf_object *o, uint64_t offset, unsigned level, hf_pfn *out)
{
	const uint64_t size = hf_level_size(level);
	bool clean, ok;

	hf_phys_lock(o->phys);
	ok = alloc_page_locked(o, offset, level, out, &clean);
	hf_phys_unlock(o->phys);
	if (!ok)
		return HF_ERR_NOMEM;
	hf_block_prepare(o->phys, *out, level);
	if (!clean)
		hf_block_clear(o->phys, *out, hf_level_order(level));
	if (o->pager &&
	    o->pager->get(o->host, offset & ~(size - 1), hf_frame_ptr(o->phys, *out), size)) {
		free_block(o, *out, level);
		return HF_ERR_BUS;
	}
	return HF_OK;
}

static void mark_page(struct hf_object *o, hf_pfn pfn, unsigned level, bool page)
{
	hf_phys_lock(o->phys);
	hf_page_mark_locked(o->phys, pfn, level, page);
	hf_phys_unlock(o->phys);
}

/* Where the page at `offset` lies is known to its neighbours from here on. */
static void note(struct hf_object *o, uint64_t offset)
{
	hf_phys_lock(o->phys);
	hf_place_note(o->phys, lowest_table(o, offset), offset);
	hf_phys_unlock(o->phys);
}

static enum hf_status make_page(struct hf_object *o, uint64_t offset, unsigned level,
				struct hf_object_page *out)
{
	struct hf_reserve r = HF_RESERVE_EMPTY;
	enum hf_status st;
	hf_pfn pfn;

	if (!hf_reserve_fill(o->phys, &r, missing(o, offset, level)))
		return HF_ERR_NOMEM;
	st = make_block(o, offset, level, &pfn);
	if (!st) {
		struct hf_found s = make_spot(o, offset, level, &r);

		*out = (struct hf_object_page){ pfn, level, s.entry };
		fill_entry(o, &s, offset, hf_leaf_make(pfn, level, HF_PROT_READ));
		mark_page(o, pfn, level, true);
		if (level == HF_LEVEL_PTE)
			note(o, offset);
	}
	hf_reserve_drain(o->phys, &r);
	return st;
}

enum hf_status hf_pages_get(struct hf_object *o, uint64_t offset, unsigned want, bool write,
			    struct hf_object_page *out)
{
	unsigned level = (unsigned)o->huge > want ? (unsigned)o->huge : want;
	enum hf_status st = HF_ERR_NOMEM;

	HF_ASSERT(o->phys, hf_lock_held(&o->lock));
	if (offset >= hf_object_end(o))
		return HF_ERR_BUS;
	if (hf_pages_find(o, offset, out)) {
		st = HF_OK;
	} else {
		for (level++; level-- && st == HF_ERR_NOMEM;)
			if (!level || fits(o, offset, level))
				st = make_page(o, offset, level, out);
	}
	if (!st && write && hf_object_tracks(o))
		hf_pte_set(out->entry, hf_leaf_mkwrite(hf_pte_get(out->entry)));
	return st;
}

/*
 * The part of the page that lies before the end. It is all of it, unless a truncation has set the
 * size and not cut the page yet: no larger leaf may lead to that any more.
 */
static void stay_before_end(const struct hf_object *o, uint64_t offset, struct hf_object_page *page)
{
	while (hf_level_base(offset, page->level) + hf_level_size(page->level) > hf_object_end(o)) {
		page->level--;
		page->pfn = hf_block_part(page->pfn, page->level + 1,
					  hf_table_index(offset, page->level));
	}
}

enum hf_status hf_object_get_page(struct hf_object *o, uint64_t offset, unsigned want, bool write,
				  struct hf_object_page *out)
{
	enum hf_status st;

	hf_object_lock(o);
	if (o->pager && offset < hf_object_end(o) && !hf_pages_find(o, offset, out))
		st = HF_ERR_PENDING;
	else
		st = hf_pages_get(o, offset, want, write, out);
	if (!st)
		stay_before_end(o, offset, out);
	hf_object_unlock(o);
	return st;
}

enum hf_status hf_object_fetch(struct hf_object *o, uint64_t offset, unsigned want)
{
	struct hf_object_page page;
	enum hf_status st;

	hf_object_lock(o);
	st = hf_pages_get(o, offset, want, false, &page);
	hf_object_unlock(o);
	return st;
}

/* ---- Taking pages out ---- */

/* A page leaves the object: back to the pager, which may have to keep it first. */
static void give_back(struct hf_object *o, uint64_t offset, hf_pte leaf, unsigned level)
{
	const struct hf_pager *pager = o->pager;
	const void *page = hf_frame_ptr(o->phys, hf_pte_pfn(leaf));
	bool dirty = hf_leaf_writable(leaf) && offset < o->size;

	mark_page(o, hf_pte_pfn(leaf), level, false);
	if (!pager)
		return;
	if (dirty && pager->writeback)
		dirty = pager->writeback(o->host, offset, page,
					 hf_min_va(hf_level_size(level), o->size - offset));
	if (pager->put)
		pager->put(o->host, offset, page, hf_level_size(level), dirty);
}

static void give_all_back(struct hf_object *o, hf_pfn table, uint64_t base, unsigned level)
{
	const hf_pte *entries = hf_table_entries(o->phys, table);
	const uint64_t marks = hf_table_marks(o->phys, table);

	hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES) {
		uint64_t offset = base + i * hf_level_size(level);

		if (hf_pte_branch(entries[i], level))
			give_all_back(o, hf_pte_pfn(entries[i]), offset, level - 1);
		else if (hf_pte_leaf(entries[i], level))
			give_back(o, offset, entries[i], level);
	}
}

void hf_pages_end(struct hf_object *o)
{
	if (o->root.v == HF_NIL)
		return;
	give_all_back(o, o->root, 0, o->top);
	hf_table_put(o->phys, o->root, o->top);
	o->root.v = HF_NIL;
}

/* A page becomes 512 smaller ones where it lies; one table of the reserve. */
static enum hf_status split_page(struct hf_object *o, const struct hf_object_page *page,
				 struct hf_reserve *r)
{
	hf_pte leaf = hf_pte_get(page->entry), *parts;
	hf_pfn table;
	bool ok;

	hf_phys_lock(o->phys);
	ok = hf_map_split_locked(o->phys, page->pfn, page->level);
	for (unsigned i = 0; ok && i < HF_TABLE_ENTRIES; i++)
		hf_page_mark_locked(o->phys, hf_block_part(page->pfn, page->level, i),
				    page->level - 1, true);
	hf_phys_unlock(o->phys);
	if (!ok)
		return HF_ERR_OVERFLOW;
	table = hf_table_new(o->phys, r);
	hf_table_mark(o->phys, table, UINT64_MAX);
	parts = hf_table_entries(o->phys, table);
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++)
		hf_pte_set(&parts[i], hf_leaf_part(leaf, page->level, i));
	hf_pte_set(page->entry, hf_branch_make(table));
	return HF_OK;
}

enum hf_status hf_pages_cut(struct hf_object *o, uint64_t offset)
{
	struct hf_reserve r = HF_RESERVE_GIVING;
	enum hf_status st = HF_OK;
	struct hf_object_page page;

	HF_ASSERT(o->phys, hf_lock_held(&o->lock));
	while (!st && hf_pages_find(o, offset, &page) &&
	       (offset & (hf_level_size(page.level) - 1))) {
		if (!hf_reserve_fill(o->phys, &r, 1))
			return HF_ERR_NOMEM;
		st = split_page(o, &page, &r);
	}
	hf_reserve_drain(o->phys, &r);
	return st;
}

/* Take out what begins at `from` or later; returns whether nothing is left of the table. */
static bool drop_pages(struct hf_object *o, hf_pfn table, uint64_t base, unsigned level,
		       uint64_t from)
{
	hf_pte *entries = hf_table_entries(o->phys, table);
	const uint64_t marks = hf_table_marks(o->phys, table);
	bool empty = true;

	hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES) {
		uint64_t offset = base + i * hf_level_size(level);
		hf_pte e = hf_pte_get(&entries[i]);

		if (hf_pte_none(e))
			continue;
		if (hf_pte_branch(e, level)) {
			if (offset + hf_level_size(level) <= from ||
			    !drop_pages(o, hf_pte_pfn(e), offset, level - 1, from)) {
				empty = false;
				continue;
			}
			hf_pte_set(&entries[i], (hf_pte){ 0 });
			hf_table_put(o->phys, hf_pte_pfn(e), level - 1);
		} else if (offset < from) {
			empty = false;
		} else {
			hf_pte_set(&entries[i], (hf_pte){ 0 });
			give_back(o, offset, e, level);
			free_block(o, hf_pte_pfn(e), level);
		}
	}
	return empty;
}

void hf_pages_drop(struct hf_object *o, uint64_t from)
{
	HF_ASSERT(o->phys, hf_lock_held(&o->lock));
	if (o->root.v == HF_NIL || !drop_pages(o, o->root, 0, o->top, from))
		return;
	hf_table_put(o->phys, o->root, o->top);
	o->root.v = HF_NIL;
}

void hf_pages_clear_tail(struct hf_object *o, uint64_t offset)
{
	struct hf_object_page page;
	uint64_t within = offset & (HF_PAGE_SIZE - 1), frame;

	if (!within || !hf_pages_find(o, offset, &page))
		return;
	frame = (offset & (hf_level_size(page.level) - 1)) >> HF_PAGE_SHIFT;
	page.pfn.v += (uint32_t)frame;
	memset((char *)hf_frame_ptr(o->phys, page.pfn) + within, 0, HF_PAGE_SIZE - within);
}

/* ---- Marks ---- */

void hf_pages_mark(struct hf_object *o, uint64_t offset)
{
	struct hf_object_page page;

	HF_ASSERT(o->phys, hf_lock_held(&o->lock));
	if (hf_pages_find(o, offset, &page))
		hf_pte_set(page.entry, hf_leaf_mkwrite(hf_pte_get(page.entry)));
}

bool hf_pages_pinned(const struct hf_object *o, const struct hf_object_page *page)
{
	bool pinned;

	hf_phys_lock(o->phys);
	pinned = hf_pinned_locked(o->phys, page->pfn, page->level);
	hf_phys_unlock(o->phys);
	return pinned;
}

void hf_pages_unmark(const struct hf_object_page *page)
{
	hf_pte_set(page->entry, hf_leaf_wrprotect(hf_pte_get(page->entry)));
}

/* In one table, from *offset on, which it reaches. */
static bool next_dirty_page(const struct hf_object *o, hf_pfn table, uint64_t base, unsigned level,
			    uint64_t *offset, uint64_t end, struct hf_object_page *out)
{
	hf_pte *entries = hf_table_entries(o->phys, table);
	const uint64_t marks = hf_table_marks(o->phys, table);

	hf_each_marked(i, marks, hf_first_index(*offset, base, level), HF_TABLE_ENTRIES) {
		uint64_t at = base + i * hf_level_size(level);
		hf_pte e = hf_pte_get(&entries[i]);

		if (at >= end)
			return false;
		if (hf_pte_branch(e, level)) {
			if (next_dirty_page(o, hf_pte_pfn(e), at, level - 1, offset, end, out))
				return true;
		} else if (hf_pte_leaf(e, level) && hf_leaf_writable(e)) {
			*offset = at;
			*out = (struct hf_object_page){ hf_pte_pfn(e), level, &entries[i] };
			return true;
		}
	}
	return false;
}

bool hf_pages_next_dirty(const struct hf_object *o, uint64_t *offset, uint64_t end,
			 struct hf_object_page *out)
{
	return reaches(o, *offset) && next_dirty_page(o, o->root, 0, o->top, offset, end, out);
}

/* ---- What is there ---- */

static void count_pages(const struct hf_object *o, hf_pfn table, unsigned level,
			struct hf_object_stats *out)
{
	const hf_pte *entries = hf_table_entries(o->phys, table);
	const uint64_t marks = hf_table_marks(o->phys, table);

	hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES) {
		if (hf_pte_branch(entries[i], level)) {
			count_pages(o, hf_pte_pfn(entries[i]), level - 1, out);
		} else if (hf_pte_leaf(entries[i], level)) {
			out->pages[level]++;
			if (hf_leaf_writable(entries[i]))
				out->dirty_bytes += hf_level_size(level);
		}
	}
}

void hf_object_stats(struct hf_object *o, struct hf_object_stats *out)
{
	*out = (struct hf_object_stats){ 0 };
	hf_object_lock(o);
	out->size = o->size;
	if (o->root.v != HF_NIL)
		count_pages(o, o->root, o->top, out);
	hf_phys_lock(o->phys);
	out->references = o->refs;
	hf_phys_unlock(o->phys);
	hf_object_unlock(o);
}
