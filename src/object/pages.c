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

bool hf_pages_fit(const struct hf_object *o, uint64_t offset, unsigned level)
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

bool hf_pages_block(struct hf_object *o, uint64_t offset, unsigned level, hf_pfn *out, bool *clean)
{
	bool ok;

	hf_phys_lock(o->phys);
	ok = alloc_page_locked(o, offset, level, out, clean);
	hf_phys_unlock(o->phys);
	return ok;
}

void hf_pages_unblock(struct hf_object *o, hf_pfn pfn, unsigned level)
{
	hf_phys_lock(o->phys);
	hf_map_put_locked(o->phys, pfn, level);
	hf_phys_unlock(o->phys);
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

/* The block becomes the page at `offset`; tables come out of the reserve. */
static void enter_page(struct hf_object *o, uint64_t offset, unsigned level, hf_pfn pfn,
		       struct hf_reserve *r)
{
	struct hf_found s = make_spot(o, offset, level, r);

	fill_entry(o, &s, offset, hf_leaf_make(pfn, level, HF_PROT_READ));
	mark_page(o, pfn, level, true);
	if (level == HF_LEVEL_PTE)
		note(o, offset);
}

HF_HOLDS(object)
enum hf_status hf_pages_put(struct hf_object *o, uint64_t offset, unsigned level, hf_pfn pfn)
{
	struct hf_reserve r = HF_RESERVE_EMPTY;

	HF_ASSERT(o->phys, hf_lock_held(&o->lock));
	if (!hf_reserve_fill(o->phys, &r, missing(o, offset, level)))
		return HF_ERR_NOMEM;
	enter_page(o, offset, level, pfn, &r);
	hf_reserve_drain(o->phys, &r);
	return HF_OK;
}

/* A page of zeros. */
HF_HOLDS(object)
static enum hf_status make_page(struct hf_object *o, uint64_t offset, unsigned level)
{
	struct hf_reserve r = HF_RESERVE_EMPTY;
	hf_pfn pfn;
	bool clean, ok;

	if (!hf_reserve_fill(o->phys, &r, missing(o, offset, level)))
		return HF_ERR_NOMEM;
	ok = hf_pages_block(o, offset, level, &pfn, &clean);
	if (ok) {
		hf_block_prepare(o->phys, pfn, level);
		if (!clean)
			hf_block_clear(o->phys, pfn, hf_level_order(level));
		enter_page(o, offset, level, pfn, &r);
	}
	hf_reserve_drain(o->phys, &r);
	return ok ? HF_OK : HF_ERR_NOMEM;
}

enum hf_status hf_pages_get(struct hf_object *o, uint64_t offset, unsigned want, bool write,
			    struct hf_object_page *out)
{
	unsigned level = (unsigned)o->huge > want ? (unsigned)o->huge : want;
	enum hf_status st = HF_ERR_NOMEM;

	HF_ASSERT(o->phys, hf_lock_held(&o->lock));
	if (offset >= hf_object_end(o))
		return HF_ERR_BUS;
	if (!hf_pages_find(o, offset, out)) {
		if (o->pager)
			return HF_ERR_PENDING;
		for (level++; level-- && st == HF_ERR_NOMEM;)
			if (!level || hf_pages_fit(o, offset, level))
				st = make_page(o, offset, level);
		if (st)
			return st;
		hf_pages_find(o, offset, out);
	}
	if (write && hf_object_tracks(o))
		hf_pte_set(out->entry, hf_leaf_mkwrite(hf_pte_get(out->entry)));
	return HF_OK;
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
	st = hf_pages_get(o, offset, want, write, out);
	if (!st)
		stay_before_end(o, offset, out);
	hf_object_unlock(o);
	return st;
}

/* ---- Taking pages out ---- */

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

/* Nobody needs the page in memory. */
static bool is_unused(const struct hf_object *o, hf_pte e, unsigned level)
{
	struct hf_phys *phys = o->phys;
	bool unused;

	hf_phys_lock(phys);
	unused = !hf_leaf_writable(e) && hf_mapped_once_locked(phys, hf_pte_pfn(e), level) &&
		 !hf_pinned_locked(phys, hf_pte_pfn(e), level);
	hf_phys_unlock(phys);
	return unused;
}

static bool take_out_pages(struct hf_object *o, hf_pfn table, uint64_t base, unsigned level,
			   struct hf_leaving *l);

/* What is at `offset` goes, if there is room for it and it is all in the range. */
static bool take_out_entry(struct hf_object *o, hf_pte e, uint64_t offset, unsigned level,
			   struct hf_leaving *l)
{
	if (offset + hf_level_size(level) <= l->from || offset >= l->to ||
	    l->count == HF_LEAVING_MAX)
		return false;
	if (hf_pte_branch(e, level)) {
		if (!take_out_pages(o, hf_pte_pfn(e), offset, level - 1, l))
			return false;
		hf_table_put(o->phys, hf_pte_pfn(e), level - 1);
		return true;
	}
	if (offset < l->from || offset + hf_level_size(level) > l->to)
		return false;
	if (l->idle && !is_unused(o, e, level))
		return false;
	mark_page(o, hf_pte_pfn(e), level, false);
	l->pages[l->count++] = (struct hf_leaving_page){
		.offset = offset,
		.pfn = hf_pte_pfn(e),
		.level = level,
		.dirty = l->keep && hf_leaf_writable(e) && offset < o->size,
	};
	return true;
}

/* As many pages of [l->from, l->to) as there is room for; whether nothing is left of the table. */
static bool take_out_pages(struct hf_object *o, hf_pfn table, uint64_t base, unsigned level,
			   struct hf_leaving *l)
{
	hf_pte *entries = hf_table_entries(o->phys, table);
	const uint64_t marks = hf_table_marks(o->phys, table);
	bool empty = true;

	hf_each_marked(i, marks, 0, HF_TABLE_ENTRIES) {
		hf_pte e = hf_pte_get(&entries[i]);

		if (hf_pte_none(e))
			continue;
		if (take_out_entry(o, e, base + i * hf_level_size(level), level, l))
			hf_pte_set(&entries[i], (hf_pte){ 0 });
		else
			empty = false;
	}
	return empty;
}

/* Back to the pager, which may have to keep it first. */
static void give_page(const struct hf_object *o, const struct hf_leaving_page *p)
{
	const struct hf_pager *pager = o->pager;
	const void *page = hf_frame_ptr(o->phys, p->pfn);
	const uint64_t size = hf_level_size(p->level);
	bool dirty = p->dirty;

	if (!pager)
		return;
	if (dirty && pager->writeback)
		dirty = pager->writeback(o->host, p->offset, page,
					 hf_min_va(size, o->size - p->offset));
	if (pager->put)
		pager->put(o->host, p->offset, page, size, dirty);
}

HF_HOLDS(object)
void hf_pages_take(struct hf_object *o, struct hf_leaving *l)
{
	l->count = 0;
	if (o->root.v != HF_NIL && take_out_pages(o, o->root, 0, o->top, l)) {
		hf_table_put(o->phys, o->root, o->top);
		o->root.v = HF_NIL;
	}
	o->leaving = l;
}

void hf_pages_give(struct hf_object *o, struct hf_leaving *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		give_page(o, &l->pages[i]);
		hf_pages_unblock(o, l->pages[i].pfn, l->pages[i].level);
		l->pages[i].pfn.v = HF_NIL;
	}
	o->leaving = NULL;
}

/* Take all pages of the range out, in batches. No lock held. */
static void drop_range(struct hf_object *o, struct hf_leaving *l)
{
	do {
		hf_object_lock(o);
		hf_pages_take(o, l);
		hf_object_unlock(o);
		hf_pages_give(o, l);
	} while (l->count);
}

void hf_pages_drop(struct hf_object *o, uint64_t from, uint64_t to)
{
	struct hf_leaving l = { .from = from, .to = to };

	drop_range(o, &l);
}

void hf_pages_end(struct hf_object *o)
{
	struct hf_leaving l = { .to = UINT64_MAX, .keep = true };

	drop_range(o, &l);
}

void hf_pages_clear(struct hf_object *o, uint64_t offset, uint64_t end)
{
	struct hf_object_page page;
	uint64_t frame;

	if (offset >= end || !hf_pages_find(o, offset, &page))
		return;
	frame = (offset & (hf_level_size(page.level) - 1)) >> HF_PAGE_SHIFT;
	page.pfn.v += (uint32_t)frame;
	memset((char *)hf_frame_ptr(o->phys, page.pfn) + (offset & (HF_PAGE_SIZE - 1)), 0,
	       end - offset);
}

void hf_pages_clear_tail(struct hf_object *o, uint64_t offset)
{
	hf_pages_clear(o, offset, hf_page_up(offset));
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

bool hf_pages_idle(const struct hf_object *o, const struct hf_object_page *page)
{
	return !hf_leaf_writable(hf_pte_get(page->entry)) && !hf_pages_pinned(o, page);
}

void hf_pages_unmark(const struct hf_object_page *page)
{
	hf_pte_set(page->entry, hf_leaf_wrprotect(hf_pte_get(page->entry)));
}

/* In one table, from *offset on, which it reaches. */
static bool next_page(const struct hf_object *o, hf_pfn table, uint64_t base, unsigned level,
		      uint64_t *offset, uint64_t end, bool dirty, struct hf_object_page *out)
{
	hf_pte *entries = hf_table_entries(o->phys, table);
	const uint64_t marks = hf_table_marks(o->phys, table);

	hf_each_marked(i, marks, hf_first_index(*offset, base, level), HF_TABLE_ENTRIES) {
		uint64_t at = base + i * hf_level_size(level);
		hf_pte e = hf_pte_get(&entries[i]);

		if (at >= end)
			return false;
		if (hf_pte_branch(e, level)) {
			if (next_page(o, hf_pte_pfn(e), at, level - 1, offset, end, dirty, out))
				return true;
		} else if (hf_pte_leaf(e, level) && (!dirty || hf_leaf_writable(e))) {
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
	return reaches(o, *offset) && next_page(o, o->root, 0, o->top, offset, end, true, out);
}

bool hf_pages_next(const struct hf_object *o, uint64_t *offset, uint64_t end,
		   struct hf_object_page *out)
{
	return reaches(o, *offset) && next_page(o, o->root, 0, o->top, offset, end, false, out);
}

/* ---- What is there ---- */

/*
 * Count from *offset on, to the end of the first table at the lowest level; *offset is where to go on
 * then. False: there was none left. object->lock held.
 */
static bool count_pages(const struct hf_object *o, hf_pfn table, uint64_t base, unsigned level,
			uint64_t *offset, struct hf_object_stats *out)
{
	const hf_pte *entries = hf_table_entries(o->phys, table);
	const uint64_t marks = hf_table_marks(o->phys, table);

	hf_each_marked(i, marks, hf_first_index(*offset, base, level), HF_TABLE_ENTRIES) {
		uint64_t at = base + i * hf_level_size(level);

		if (hf_pte_branch(entries[i], level)) {
			if (count_pages(o, hf_pte_pfn(entries[i]), at, level - 1, offset, out))
				return true;
		} else if (hf_pte_leaf(entries[i], level)) {
			out->pages[level]++;
			if (hf_leaf_writable(entries[i]))
				out->dirty_bytes += hf_level_size(level);
		}
	}
	if (level == HF_LEVEL_PTE)
		*offset = base + hf_level_size(level + 1);
	return level == HF_LEVEL_PTE;
}

void hf_object_stats(struct hf_object *o, struct hf_object_stats *out)
{
	uint64_t offset = 0;
	bool more;

	*out = (struct hf_object_stats){ 0 };
	do {
		hf_object_lock(o);
		more = reaches(o, offset) && count_pages(o, o->root, 0, o->top, &offset, out);
		out->size = o->size;
		hf_phys_lock(o->phys);
		out->references = o->refs;
		hf_phys_unlock(o->phys);
		hf_object_unlock(o);
	} while (more);
}
