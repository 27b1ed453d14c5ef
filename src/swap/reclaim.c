/* SPDX-License-Identifier: MIT */
/*
 * Reclaim: which pages go, and how. A clock's hand goes from table to table, over all
 * mappings of all spaces. At each table it chooses: what was accessed grows old; of what was not,
 * pages that the store has, or that HF_ADV_FREE gave up, are hidden; others are to be written.
 * One flush, and what is hidden goes. Then the locks are let go, the store writes, and a second
 * visit takes those of the written pages that nobody has used meanwhile.
 * A huge leaf is split instead, and its parts are next.
 *
 * Held at a visit: phys->spaces_lock exclusively, so no mapping changes and no space forks or
 * ends; the lock of the space visited, shared, and those of all others if the table is shared; and
 * the table's. Faults of others run on. What is
 * hidden cannot gain a leaf, a pin or a writer, for all of them need the table's lock. While the
 * store writes nothing is held and nothing hidden (writeout.h).
 */
#include "../arch/entry.h"
#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/trace.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/reserve.h"
#include "../phys/slot.h"
#include "../phys/zero.h"
#include "../space/mm.h"
#include "../space/vma.h"
#include "../table/table.h"
#include "../table/walk.h"
#include "swap.h"
#include "writeout.h"

#include <holdfast/mm.h>
#include <holdfast/swap.h>
#include <holdfast/trace.h>

/* Pages hidden at once: they share one flush. */
#define RECLAIM_BATCH HF_WRITEOUT_MAX
#define INSPECT_MIN 8192
#define INSPECT_PER_PAGE 64

enum reclaim_way {
	CLOCK,	/* what was not accessed goes, what was becomes old */
	COLD,	/* all becomes old, of one space's own */
	PAGEOUT /* all of that goes */
};

struct reclaim {
	struct hf_phys *phys;
	enum reclaim_way way;
	uint64_t want, done;
	uint64_t inspected; /* entries */
	uint32_t rounds;    /* how often this call's hand has passed the last space */
	bool failed;	    /* the store refused a page: try no other */
	bool full;	    /* a page needed a slot, and there was none */
	/* What the last visit has found to be written, and where. */
	struct hf_writeout out;
	struct hf_mm *mm;
};

/* What one visit has hidden, of one table. */
struct reclaim_batch {
	struct hf_walk *walk;
	const struct hf_vma *vma;
	hf_va lo, hi;  /* what to flush; hi is 0: nothing */
	unsigned what; /* HF_FLUSH_* */
	bool split;    /* the last one hidden is a huge leaf that is to be split */
	unsigned count;
	struct hidden {
		hf_pte *entry;
		hf_pte leaf; /* as it was */
	} hidden[RECLAIM_BATCH];
};

/*
 * Reclaim may inspect the leaf. In a private mapping of an object only one whose page nobody else
 * has: any other may be the object's, which counts as one who has it. phys->lock held.
 */
HF_HOLDS(phys)
static bool concerns(const struct reclaim *r, const struct reclaim_batch *b, hf_pte e)
{
	unsigned level = b->walk->level;
	hf_pfn pfn = hf_pte_pfn(e);

	if (hf_is_zero_locked(r->phys, pfn) || hf_covered_locked(r->phys, pfn, level))
		return false;
	if (hf_pinned_frames_locked(r->phys, pfn, level) == (uint64_t)1 << hf_level_order(level))
		return false;
	if (hf_leaf_lazy(e) && hf_pinned_locked(r->phys, pfn, level))
		return false;
	if (hf_vma_is_anon(b->vma) && r->way == CLOCK)
		return true;
	return hf_mapped_once_locked(r->phys, pfn, level);
}

/* The leaf goes now. */
static bool goes(const struct reclaim *r, hf_pte e)
{
	return r->way == PAGEOUT || (r->way == CLOCK && (hf_leaf_lazy(e) || !hf_leaf_accessed(e)));
}

/* What becomes of a leaf. */
enum fate {
	STAYS,
	AGES,
	HIDES, /* and goes after the flush */
	CLEANS /* and goes when it has been written */
};

/* phys->lock held; a page to be written is noted. */
HF_HOLDS(phys)
static enum fate fate_of(struct reclaim *r, const struct reclaim_batch *b, hf_pte e, hf_va va)
{
	const struct hf_frame *f = hf_frame_at(r->phys, hf_pte_pfn(e));
	bool ok;

	if (!concerns(r, b, e))
		return STAYS;
	if (!goes(r, e))
		return AGES;
	if (b->walk->level > HF_LEVEL_PTE || hf_leaf_lazy(e) ||
	    hf_frame_get_kind(f) == HF_FRAME_CACHED)
		return HIDES;
	if (r->failed)
		return STAYS;
	ok = hf_writeout_add_locked(r->phys, &r->out, va, hf_pte_pfn(e));
	r->full |= !ok && !r->phys->store_closed;
	return ok ? CLEANS : STAYS;
}

/* [va, va+len) is to be flushed, too. */
static void add_flush(struct reclaim_batch *b, hf_va va, uint64_t len, unsigned what)
{
	if (!b->hi)
		b->lo = va;
	b->hi = va + len;
	b->what |= what;
}

static void hide_page(struct reclaim_batch *b, hf_pte *entry, hf_va va)
{
	b->hidden[b->count++] = (struct hidden){ entry, hf_pte_update(entry, hf_pte_mkhidden) };
	add_flush(b, va, hf_level_size(b->walk->level), HF_FLUSH_LEAVES);
}

/* Inspect one leaf: age it, hide it, clean it, or leave it as it is. The table is locked. */
static void inspect_leaf(struct reclaim *r, struct reclaim_batch *b, hf_pte *entry, hf_va va)
{
	hf_pte e = hf_pte_get(entry);
	enum fate fate;

	hf_phys_lock(r->phys);
	fate = fate_of(r, b, e, va);
	hf_phys_unlock(r->phys);
	if (fate == HIDES) {
		hide_page(b, entry, va);
		b->split = b->walk->level > HF_LEVEL_PTE && !hf_leaf_lazy(e);
	} else if (fate == AGES) {
		hf_pte_update(entry, hf_leaf_mkold);
		add_flush(b, va, hf_level_size(b->walk->level), HF_FLUSH_LEAVES);
	} else if (fate == CLEANS && hf_leaf_writable(e)) {
		hf_pte_update(entry, hf_leaf_wrprotect);
		/* The way to a shared table denies writing already. */
		if (b->walk->exclusive)
			add_flush(b, va, HF_PAGE_SIZE, HF_FLUSH_WRITE);
	}
}

/* No CPU may use what has been hidden, aged or cleaned as it was, in whichever space. */
HF_HOLDS_SHARED(mm)
static void flush(const struct reclaim *r, const struct reclaim_batch *b)
{
	struct hf_mm *mm = b->walk->mm;
	bool moved = false;

	if (!b->hi)
		return;
	if (b->walk->exclusive) {
		hf_flush_tlb(mm, b->lo, b->hi - b->lo, b->what);
		return;
	}
	/* Others lead to this table, at the same addresses unless one has moved its. */
	for (mm = r->phys->spaces; mm; mm = mm->next)
		moved |= mm->moved;
	for (mm = r->phys->spaces; mm; mm = mm->next) {
		hf_va lo = moved ? mm->va_lo : hf_max_va(b->lo, mm->va_lo);
		hf_va hi = moved ? mm->va_hi : hf_min_va(b->hi, mm->va_hi);

		if (lo < hi)
			hf_flush_tlb(mm, lo, hi - lo, b->what);
	}
}

/* The slot of a cached page, which counts one entry more now. False: the page stays. */
static bool to_slot(struct hf_phys *phys, hf_pfn pfn, uint32_t *slot)
{
	const struct hf_frame *f = hf_frame_at(phys, pfn);
	bool ok;

	hf_phys_lock(phys);
	ok = hf_frame_get_kind(f) == HF_FRAME_CACHED && !phys->store_closed;
	if (ok) {
		*slot = f->slot;
		ok = hf_slot_get_locked(phys, *slot);
	}
	hf_phys_unlock(phys);
	return ok;
}

/* Let go of one hidden leaf, or make it what it was. After the flush. */
static void let_go(struct reclaim *r, unsigned level, const struct hidden *h)
{
	struct hf_phys *phys = r->phys;
	hf_pfn pfn = hf_pte_pfn(h->leaf);
	hf_pte now = { 0 };
	uint64_t free;
	uint32_t slot;

	if (!hf_leaf_lazy(h->leaf)) {
		if (!to_slot(phys, pfn, &slot)) {
			hf_pte_set(h->entry, h->leaf);
			return;
		}
		now = hf_swapped_make(slot);
	}
	hf_pte_set(h->entry, now);
	hf_phys_lock(phys);
	free = phys->free_frames;
	hf_map_put_locked(phys, pfn, level); /* with the last leaf it is no longer cached */
	r->done += phys->free_frames - free;
	hf_phys_unlock(phys);
}

/* All of those that are hidden. */
static void let_all_go(struct reclaim *r, const struct reclaim_batch *b)
{
	uint64_t before = r->done;

	for (unsigned i = 0; i < b->count; i++)
		let_go(r, b->walk->level, &b->hidden[i]);
	if (r->done != before)
		HF_TRACE(r->phys, .what = HF_TRACE_RECLAIM, .mm = b->walk->mm, .va = b->lo,
			 .len = (r->done - before) * HF_PAGE_SIZE);
}

/*
 * Split a hidden huge leaf. It was hidden and flushed for whoever may have it, and so its parts
 * may be seen where it was. When no frame is free for the table there is a spare one. False: it
 * is what it was.
 */
HF_HOLDS_SHARED(mm)
static bool split_cold(struct reclaim *r, const struct hf_walk *w, const struct hidden *h)
{
	struct hf_reserve frame = HF_RESERVE_EMPTY;
	enum hf_status st = HF_ERR_NOMEM;

	if (hf_reserve_fill(r->phys, &frame, 1) || hf_reserve_take_spare(r->phys, &frame))
		st = hf_table_split_hidden(w->mm, h->entry, w->level, w->va, h->leaf, w->exclusive,
					   w->look, &frame);
	hf_reserve_drain(r->phys, &frame);
	if (st)
		hf_pte_set(h->entry, h->leaf);
	return !st;
}

/*
 * A shared table is looked at for all spaces: which addresses they have locked, and what they
 * flush. So their locks are held, too, from the first in the list to before `end`.
 */
HF_UNCHECKED
static void unlock_others(const struct reclaim *r, const struct hf_mm *own, const struct hf_mm *end)
{
	for (struct hf_mm *mm = r->phys->spaces; mm != end; mm = mm->next)
		if (mm != own)
			hf_mm_unlock_shared(mm);
}

/*
 * Take them, shared. False: somebody changes a space, or waits to. That is not waited for, as a
 * table's lock and a space's own are held already: the table is left until the hand comes again.
 */
HF_UNCHECKED
static bool lock_others(const struct reclaim *r, const struct hf_mm *own)
{
	for (struct hf_mm *mm = r->phys->spaces; mm; mm = mm->next) {
		if (mm == own || hf_try_lock_shared(r->phys, &mm->rwlock))
			continue;
		unlock_others(r, own, mm);
		return false;
	}
	return true;
}

/* Some space has locked memory in [lo, hi), and may have what the walk, not its own, stands at. */
static bool locked_by_any(const struct reclaim *r, hf_va lo, hf_va hi)
{
	bool moved = false;
	struct hf_vma v;

	for (struct hf_mm *mm = r->phys->spaces; mm; mm = mm->next)
		moved |= mm->moved;
	for (struct hf_mm *mm = r->phys->spaces; mm; mm = mm->next) {
		hf_va from = moved ? mm->va_lo : lo;

		if (!mm->locks_stale &&
		    hf_vmas_next_with(r->phys, mm->vmas, from, HF_VMA_LOCKED, &v) &&
		    (moved || v.start < hi))
			return true;
	}
	return false;
}

/* Where the walk's table ends, or `end` if that comes first. */
static hf_va table_end(const struct hf_walk *w, hf_va end)
{
	return hf_min_va(end, hf_level_base(w->va, w->level + 1) + hf_level_size(w->level + 1));
}

/* Visit [w->va, end) of the mapping as far as the walk's table goes. Returns where it ends. */
HF_HOLDS_SHARED(mm)
static hf_va reclaim_table(struct reclaim *r, struct hf_walk *w, const struct hf_vma *vma,
			   hf_va end)
{
	const hf_va size = hf_level_size(w->level), stop = table_end(w, end);
	hf_va va = hf_level_base(w->va, w->level);
	struct reclaim_batch b = { .walk = w, .vma = vma };
	const hf_va from = w->va;
	hf_pte *entry = w->entry;

	for (; va < stop && !hf_pte_branch(hf_pte_get(entry), w->level); va += size, entry++) {
		const unsigned chosen = b.count + r->out.count;

		if (b.split || chosen == RECLAIM_BATCH || r->done + chosen >= r->want)
			break;
		r->inspected++;
		if (hf_pte_leaf(hf_pte_get(entry), w->level))
			inspect_leaf(r, &b, entry, va);
	}
	flush(r, &b);
	w->va = va - size;
	if (b.split && split_cold(r, w, &b.hidden[--b.count]))
		va -= size; /* its parts are next */
	let_all_go(r, &b);
	r->mm = w->mm;
	return hf_max_va(va, from);
}

/* The same, but what may be others' too is visited for all of them, and by a clock alone. */
HF_HOLDS_SHARED(mm)
static hf_va visit(struct reclaim *r, struct hf_walk *w, const struct hf_vma *vma, hf_va end)
{
	const hf_va va = hf_level_base(w->va, w->level), stop = table_end(w, end);
	hf_va next = stop;

	if (w->exclusive)
		return reclaim_table(r, w, vma, end);
	if (r->way != CLOCK)
		return stop;
	if (w->level > HF_LEVEL_PTE)
		next = hf_min_va(stop, va + hf_level_size(w->level));
	if (!lock_others(r, w->mm))
		return next;
	if (!locked_by_any(r, va, stop))
		next = reclaim_table(r, w, vma, end);
	unlock_others(r, w->mm, NULL);
	return next;
}

/* A page that was written goes: its leaf is still there, and nobody has used it meanwhile. */
HF_HOLDS_SHARED(mm)
static bool still_goes(const struct reclaim *r, const struct hf_mm *mm,
		       const struct hf_written *page, hf_pte e)
{
	struct hf_vma v;

	if (!page->good || !hf_pte_leaf(e, HF_LEVEL_PTE) || hf_pte_pfn(e).v != page->call.pfn.v ||
	    !goes(r, e))
		return false;
	return hf_vmas_next(r->phys, mm->vmas, page->va, &v) && v.start <= page->va &&
	       hf_vma_is_cow(&v) && !hf_vma_is_mlocked(mm, &v);
}

/* Those of the written pages go that still lie in the walk's table. */
HF_HOLDS_SHARED(mm)
static void take_written(struct reclaim *r, struct hf_walk *w)
{
	struct reclaim_batch b = { .walk = w };

	for (unsigned i = 0; i < r->out.count; i++) {
		const struct hf_written *page = &r->out.page[i];
		hf_pte *entry = hf_table_entries(r->phys, w->table) +
				hf_table_index(page->va, HF_LEVEL_PTE);

		if (!still_goes(r, w->mm, page, hf_pte_get(entry)))
			continue;
		hide_page(&b, entry, page->va);
		hf_writeout_cache(r->phys, page);
	}
	flush(r, &b);
	let_all_go(r, &b);
}

/*
 * The second visit. The space may have ended meanwhile, and be another: which page it is that a
 * leaf leads to says the frame, and that one is still the same.
 */
HF_HOLDS(spaces)
static void visit_written(struct reclaim *r)
{
	const hf_va va = hf_level_base(r->out.page[0].va, HF_LEVEL_PMD);
	struct hf_mm *mm = r->phys->spaces;
	struct hf_walk w;

	while (mm && mm != r->mm)
		mm = mm->next;
	if (!mm)
		return;
	hf_mm_lock_shared(mm);
	hf_walk_to(&w, mm, r->out.page[0].va);
	if (w.level == HF_LEVEL_PTE && w.exclusive) {
		take_written(r, &w);
	} else if (w.level == HF_LEVEL_PTE && r->way == CLOCK && lock_others(r, mm)) {
		if (!locked_by_any(r, va, va + hf_level_size(HF_LEVEL_PMD)))
			take_written(r, &w);
		unlock_others(r, mm, NULL);
	}
	hf_walk_end(&w);
	hf_mm_unlock_shared(mm);
}

/* Write what the visit has found, and take it if it still may go. No lock held. */
static void write_out(struct reclaim *r)
{
	const hf_va va = r->out.page[0].va;
	uint64_t freed;

	if (!r->out.count)
		return;
	r->failed |= !hf_writeout_write(r->phys, &r->out);
	hf_spaces_lock_exclusive(r->phys);
	visit_written(r);
	hf_spaces_unlock_exclusive(r->phys);
	freed = hf_writeout_end(r->phys, &r->out);
	r->done += freed;
	if (freed)
		HF_TRACE(r->phys, .what = HF_TRACE_RECLAIM, .mm = r->mm, .va = va,
			 .len = freed * HF_PAGE_SIZE);
}

/* One table further. False: there is no space. */
static bool advance(struct reclaim *r)
{
	struct hf_phys *phys = r->phys;
	struct hf_mm *mm = phys->hand ? phys->hand : phys->spaces;
	struct hf_walk w;
	struct hf_vma v;

	if (!mm)
		return false;
	phys->hand = mm;
	hf_mm_lock_shared(mm);
	r->inspected++;
	if (!hf_vmas_next(phys, mm->vmas, phys->hand_va, &v)) {
		phys->hand = mm->next;
		phys->hand_va = 0;
		r->rounds += !mm->next;
	} else if (hf_vma_is_mlocked(mm, &v) || !hf_vma_is_cow(&v)) {
		phys->hand_va = v.end;
	} else {
		hf_walk_to(&w, mm, hf_max_va(phys->hand_va, v.start));
		phys->hand_va = visit(r, &w, &v, v.end);
		hf_walk_end(&w);
	}
	hf_mm_unlock_shared(mm);
	return true;
}

enum hf_status hf_reclaim(struct hf_phys *phys, uint64_t want, uint64_t *done)
{
	struct reclaim r = { .phys = phys, .way = CLOCK, .want = want };
	uint64_t most =
		INSPECT_MIN + (want < UINT32_MAX ? INSPECT_PER_PAGE * want : UINT64_MAX / 2);
	bool any = true;

	*done = 0;
	if (!hf_load_relaxed32(&phys->swapping))
		return HF_ERR_INVAL;
	if (!want)
		return HF_ERR_EMPTY;
	/* The first time it is only what was left of a round. */
	while (any && r.rounds < 3 && r.done < want && !r.failed && r.inspected < most) {
		hf_spaces_lock_exclusive(phys);
		/* The store may have gone since. */
		any = hf_load_relaxed32(&phys->swapping) && advance(&r);
		hf_spaces_unlock_exclusive(phys);
		write_out(&r);
	}
	*done = r.done;
	if (r.done >= want)
		return HF_OK;
	if (r.failed || r.full)
		return HF_ERR_STORE;
	return any && r.rounds < 3 ? HF_OK : HF_ERR_AGAIN;
}

/* Mappings that reclaim would visit, and for PAGEOUT a store. mm lock held. */
HF_HOLDS_SHARED(mm)
static enum hf_status check_advice(const struct hf_mm *mm, hf_va lo, hf_va hi, bool out)
{
	enum hf_status st = hf_check_mapped(mm, lo, hi, 0);

	if (!st && out && !hf_load_relaxed32(&mm->phys->swapping))
		st = HF_ERR_INVAL;

	if (!st && (hf_any_mlocked(mm, lo, hi) || hf_any_with(mm, lo, hi, HF_VMA_SHARED)))
		st = HF_ERR_INVAL;
	return st;
}

enum hf_status hf_advise_unused(struct hf_mm *mm, hf_va va, uint64_t len, bool out)
{
	struct hf_phys *phys = mm->phys;
	struct reclaim r = { .phys = phys, .way = out ? PAGEOUT : COLD, .want = UINT64_MAX };
	enum hf_status st = HF_OK;
	hf_va at = va;

	while (!st && at < va + len && !r.failed) {
		struct hf_walk w;
		struct hf_vma v;

		/* One table at a time: others may change the mappings in between. */
		hf_spaces_lock_exclusive(phys);
		hf_mm_lock_shared(mm);
		if (at == va)
			st = check_advice(mm, va, va + len, out);
		else if (out && !hf_load_relaxed32(&phys->swapping))
			st = HF_ERR_INVAL; /* the store has gone since */
		if (!hf_vmas_next(phys, mm->vmas, at, &v) || v.start >= va + len) {
			at = va + len;
		} else if (hf_vma_is_mlocked(mm, &v) || !hf_vma_is_cow(&v)) {
			at = v.end;
		} else if (!st) {
			hf_walk_to(&w, mm, hf_max_va(at, v.start));
			at = visit(&r, &w, &v, hf_min_va(v.end, va + len));
			hf_walk_end(&w);
		}
		hf_mm_unlock_shared(mm);
		hf_spaces_unlock_exclusive(phys);
		write_out(&r);
	}
	return !st && (r.failed || r.full) ? HF_ERR_STORE : st;
}
