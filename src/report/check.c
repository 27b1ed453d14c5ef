/* SPDX-License-Identifier: MIT */
/*
 * hf_mm_check: every invariant, by brute force. Three passes:
 *   1. every space: its tree of mappings, and each entry of its tables by itself;
 *   2. every frame: is it where the free lists, the descriptors and its users say;
 *   3. the counts: take one off for every entry that there is, see that all of them end at
 *      zero, and put them back.
 * Rules are named as in DESIGN.md.
 */
#include "../arch/entry.h"
#include "../object/object.h"
#include "../phys/block.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/slot.h"
#include "../space/vma.h"
#include "../table/table.h"

#include <holdfast/check.h>
#include <holdfast/mm.h>
#include <holdfast/swap.h>

#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wthread-safety" /* nobody else is there: no lock is taken */
#endif

struct check {
	struct hf_phys *phys;
	struct hf_mm *mm;			/* the space being walked */
	uint64_t pages;				/* of objects, not yet found among the frames */
	uint64_t objects;			/* likewise */
	uint64_t spares, loose, index;		/* frames of these kinds */
	uint32_t free_blocks[HF_MAX_ORDER + 1]; /* of each order, found among the frames */
	struct hf_violation *out;
};

static bool violated(struct check *c, const char *rule, hf_va va, hf_pfn pfn)
{
	*c->out = (struct hf_violation){ rule, c->mm, va, hf_pfn_pa(pfn) };
	return false;
}

/* ---- Pass 1: objects and spaces ---- */

/* The entry at `index` has its mark, if it is not empty. */
static bool is_marked(const struct check *c, hf_pfn table, unsigned index, hf_pte e)
{
	return hf_pte_none(e) ||
	       hf_next_marked(hf_table_marks(c->phys, table), index, index + 1) == index;
}

/* A truncation is under way, and its pager is at work. */
static bool is_leaving(const struct hf_object *o, uint64_t offset)
{
	return o->leaving && offset >= o->leaving->from && offset < o->leaving->to;
}

/* A table of an object's pages at `level`, and what it leads to; `base` is its first offset. */
static bool check_pages(struct check *c, const struct hf_object *o, hf_pfn table, uint64_t base,
			unsigned level)
{
	const hf_pte *entries;

	if (!hf_ram_of(c->phys, table))
		return violated(c, "entry-leads-to-ram", base, table);
	if (hf_frame_get_kind(hf_frame_at(c->phys, table)) != HF_FRAME_TABLE)
		return violated(c, "branch-leads-to-table", base, table);
	if (hf_frame_at(c->phys, table)->refs != 1)
		return violated(c, "reference-counts", base, table);
	entries = hf_table_entries(c->phys, table);
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		uint64_t offset = base + i * hf_level_size(level);
		hf_pfn pfn = hf_pte_pfn(entries[i]);

		if (hf_pte_none(entries[i]))
			continue;
		if (!is_marked(c, table, i, entries[i]))
			return violated(c, "marks-cover-entries", offset, table);
		if (!hf_pte_wellformed(entries[i], level) || hf_pte_swapped(entries[i]))
			return violated(c, "entry-wellformed", offset, pfn);
		if (hf_pte_branch(entries[i], level)) {
			if (!check_pages(c, o, pfn, offset, level - 1))
				return false;
			continue;
		}
		if (!hf_block(c->phys, pfn, level))
			return violated(c, "entry-leads-to-ram", offset, pfn);
		if (offset + hf_level_size(level) > hf_object_end(o) && !is_leaving(o, offset))
			return violated(c, "page-before-end", offset, pfn);
		if (hf_frame_get_kind(hf_frame_at(c->phys, pfn)) != HF_FRAME_PAGE ||
		    hf_frame_at(c->phys, pfn)->order != hf_level_order(level))
			return violated(c, "page-marked", offset, pfn);
		c->pages++;
	}
	return true;
}

/* A list of objects that is linked both ways, each with its pages. */
static bool check_objects(struct check *c)
{
	const struct hf_object *o = c->phys->objects, *prev = NULL;

	for (; o; prev = o, o = o->next) {
		c->objects++;
		if (o->prev != prev || !hf_is_object(c->phys, o->self) ||
		    hf_object_at(c->phys, o->self) != o)
			return violated(c, "objects-listed", 0, o->self);
		if (o->root.v != HF_NIL && o->top > HF_TOP_LEVEL)
			return violated(c, "objects-listed", 0, o->self);
		if (o->root.v != HF_NIL && !check_pages(c, o, o->root, 0, o->top))
			return false;
	}
	return true;
}

/* What the way from the root to a table says about it. */
struct path {
	bool exclusive; /* no table on it is shared */
	bool look;	/* every branch on it has LOOK */
	bool unshared;	/* fork passes it over: see check_branch */
	bool armed;	/* write permission is denied below, not by the branch above */
};

static bool check_vmas(struct check *c)
{
	struct hf_mm *mm = c->mm;
	struct hf_vma v = { 0 }, prev = { 0 };
	uint64_t mapped = 0, locked = 0;

	if (!hf_vmas_whole(c->phys, mm->vmas))
		return violated(c, "vma-tree-whole", 0, mm->vmas);
	while (hf_vmas_next(c->phys, mm->vmas, v.end, &v)) {
		if (v.start < prev.end || v.start >= v.end || v.start < mm->va_lo ||
		    v.end > mm->va_hi || ((v.start | v.end) & (HF_PAGE_SIZE - 1)))
			return violated(c, "vmas-in-order", v.start, mm->vmas);
		if (!(v.flags & HF_VMA_OBJECT) != !v.object || (!hf_vma_is_cow(&v) && !v.object))
			return violated(c, "vma-tree-whole", v.start, mm->vmas);
		if (prev.end && hf_vma_joins(&prev, &v))
			return violated(c, "vmas-merged", v.start, mm->vmas);
		prev = v;
		mapped += v.end - v.start;
		if ((v.flags & HF_VMA_LOCKED) && !mm->locks_stale)
			locked += v.end - v.start;
	}
	if (locked != mm->locked_bytes || (mm->limits.va && mapped != mm->mapped_bytes))
		return violated(c, "bytes-counted", 0, mm->vmas);
	return true;
}

/* How many leaf entries lead to a frame, at any level. */
static uint64_t leaves_to(const struct hf_phys *phys, hf_pfn pfn)
{
	uint64_t n = hf_own_maps(hf_frame_at(phys, pfn));

	for (unsigned level = 1; level < HF_LEAF_LEVELS; level++) {
		const struct hf_frame *b = hf_block(phys, pfn, level);

		n += b ? b->block_maps : 0;
	}
	return n;
}

static bool check_pinned(struct check *c, const struct path *p, hf_pfn pfn, unsigned level,
			 hf_va va)
{
	if (!hf_pinned_locked(c->phys, pfn, level))
		return true;
	if (!p->exclusive)
		return violated(c, "pinned-implies-exclusive", va, pfn);
	if (!p->look)
		return violated(c, "look-on-path", va, pfn);
	for (uint64_t i = 0; i < (uint64_t)1 << hf_level_order(level); i++) {
		hf_pfn frame = { pfn.v + (uint32_t)i };

		if (hf_pins_locked(c->phys, frame) && leaves_to(c->phys, frame) != 1)
			return violated(c, "pinned-implies-exclusive", va + i * HF_PAGE_SIZE,
					frame);
	}
	return true;
}

/* The leaf leads into the page that the object of its mapping has at this place. */
static bool leads_into_page(const struct hf_vma *v, hf_pte e, hf_va va, struct hf_object_page *page)
{
	uint64_t offset = hf_vma_offset(v, va), within;

	if (!v->object || !hf_pages_find(v->object, offset, page))
		return false;
	within = offset & (hf_level_size(page->level) - 1);
	return hf_pte_pfn(e).v == page->pfn.v + (uint32_t)(within >> HF_PAGE_SHIFT);
}

static bool check_leaf(struct check *c, const struct path *p, hf_pte e, unsigned level, hf_va va)
{
	hf_pfn pfn = hf_pte_pfn(e);
	struct hf_object_page page;
	struct hf_vma v;
	unsigned prot;
	bool objects;

	if (!hf_block(c->phys, pfn, level))
		return violated(c, "entry-leads-to-ram", va, pfn);
	if (hf_frame_get_kind(hf_frame_at(c->phys, pfn)) == HF_FRAME_TABLE)
		return violated(c, "tables-are-not-data", va, pfn);
	if (!hf_vmas_next(c->phys, c->mm->vmas, va, &v) || v.start > va ||
	    v.end - va < hf_level_size(level))
		return violated(c, "leaf-in-one-mapping", va, pfn);
	prot = hf_vma_prot(&v);
	objects = leads_into_page(&v, e, va, &page);
	if (objects ? level > page.level : !hf_vma_is_cow(&v))
		return violated(c, "leaf-within-page", va, pfn);
	if (hf_pte_present(e) != (prot != HF_PROT_NONE) ||
	    (hf_leaf_writable(e) && !(prot & HF_PROT_WRITE)) ||
	    (hf_pte_present(e) && hf_leaf_executable(e) != !!(prot & HF_PROT_EXEC)))
		return violated(c, "leaf-permission", va, pfn);
	if (hf_leaf_writable(e) && hf_vma_is_cow(&v) && !hf_mapped_once_locked(c->phys, pfn, level))
		return violated(c, "writable-implies-exclusive", va, pfn);
	if (hf_leaf_writable(e) && objects && hf_object_tracks(v.object) &&
	    !hf_leaf_writable(hf_pte_get(page.entry)))
		return violated(c, "writable-implies-dirty", va, pfn);
	if (hf_leaf_lazy(e) && (hf_leaf_writable(e) || hf_pinned_locked(c->phys, pfn, level)))
		return violated(c, "lazy-is-unwritten", va, pfn);
	if (hf_leaf_writable(e) && hf_frame_get_kind(hf_frame_at(c->phys, pfn)) == HF_FRAME_CACHED)
		return violated(c, "cached-is-unchanged", va, pfn);
	if ((v.flags & HF_VMA_UNSHARED) && !(p->exclusive && p->look) && !p->unshared)
		return violated(c, "look-on-path", va, pfn);
	/* Whoever maps an object's page, a pin holds it for all of them. */
	return objects || check_pinned(c, p, pfn, level, va);
}

/* A page that is swapped belongs to a private mapping, and its slot is one of the store's. */
static bool check_swapped(struct check *c, hf_pte e, unsigned level, hf_va va)
{
	struct hf_vma v;

	if (level != HF_LEVEL_PTE)
		return violated(c, "entry-wellformed", va, hf_pte_pfn(e));
	if (!c->phys->store || hf_swapped_slot(e) >= c->phys->slots_begun ||
	    !hf_slot_at(c->phys, hf_swapped_slot(e))->refs)
		return violated(c, "entry-names-a-slot", va, (hf_pfn){ 0 });
	if (!hf_vmas_next(c->phys, c->mm->vmas, va, &v) || v.start > va || !hf_vma_is_cow(&v))
		return violated(c, "leaf-in-one-mapping", va, (hf_pfn){ 0 });
	return true;
}

static bool check_table(struct check *c, const struct path *p, hf_pfn table, unsigned level,
			hf_va base);

static bool check_branch(struct check *c, const struct path *p, hf_pte e, unsigned level, hf_va va)
{
	hf_pfn table = hf_pte_pfn(e);
	struct path below = *p;
	struct hf_frame *f;

	if (!hf_ram_of(c->phys, table))
		return violated(c, "entry-leads-to-ram", va, table);
	f = hf_frame_at(c->phys, table);
	if (hf_frame_get_kind(f) != HF_FRAME_TABLE || !f->refs)
		return violated(c, "branch-leads-to-table", va, table);
	if (hf_branch_writable(e) && f->refs > 1)
		return violated(c, "writable-implies-exclusive", va, table);
	if (hf_branch_look(e) && !(p->exclusive && hf_branch_writable(e)))
		return violated(c, "shared-without-look", va, table);
	below.exclusive &= f->refs == 1;
	below.armed = hf_format.unarmed && hf_pte_present(e) && !hf_branch_writable(e);
	below.look &= hf_branch_look(e);
	/* Fork comes as far as this entry, and finds nothing in it that the child gets. */
	below.unshared |=
		p->exclusive && p->look &&
		hf_vmas_only(c->phys, c->mm->vmas, va, va + hf_level_size(level), HF_VMA_UNSHARED);
	return check_table(c, &below, table, level - 1, va);
}

static bool check_table(struct check *c, const struct path *p, hf_pfn table, unsigned level,
			hf_va base)
{
	const hf_pte *entries = hf_table_entries(c->phys, table);

	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		hf_pte e = hf_pte_get(&entries[i]);
		hf_va va = base + i * hf_level_size(level);
		bool ok = true;

		if (!is_marked(c, table, i, e))
			return violated(c, "marks-cover-entries", va, table);
		if (!hf_pte_wellformed(e, level))
			return violated(c, "entry-wellformed", va, hf_pte_pfn(e));
		if (p->armed && hf_pte_writable(e, level))
			return violated(c, "armed-from-within", va, hf_pte_pfn(e));
		if (hf_pte_leaf(e, level))
			ok = check_leaf(c, p, e, level, va);
		else if (hf_pte_branch(e, level))
			ok = check_branch(c, p, e, level, va);
		else if (hf_pte_swapped(e))
			ok = check_swapped(c, e, level, va);
		if (!ok)
			return false;
	}
	return true;
}

static bool check_space(struct check *c)
{
	const struct path root = { .exclusive = true, .look = true };

	return check_vmas(c) && check_table(c, &root, c->mm->root, HF_TOP_LEVEL, 0);
}

/* ---- Pass 2: frames ---- */

/* A link of the list of free blocks of 2^order leads to one. */
static bool free_of(const struct hf_phys *phys, uint32_t link, unsigned order)
{
	const struct hf_frame *f;

	if (!hf_ram_of(phys, (hf_pfn){ link }))
		return false;
	f = hf_frame_at(phys, (hf_pfn){ link });
	return hf_frame_get_kind(f) == HF_FRAME_FREE && f->order == order;
}

/* A free block: rightly linked, as large as can be, and used by nobody. */
static bool check_free(struct check *c, const struct hf_ram *ram, hf_pfn pfn)
{
	struct hf_phys *phys = c->phys;
	struct hf_frame *f = hf_frame_at(phys, pfn), *buddy;
	uint32_t frames = 1u << (f->order & 31);
	hf_pfn other = { pfn.v ^ frames };

	if (f->order > HF_MAX_ORDER || (pfn.v & (frames - 1)) ||
	    hf_ram_of(phys, (hf_pfn){ pfn.v + frames - 1 }) != ram)
		return violated(c, "free-block-whole", 0, pfn);
	if (f->prev == HF_NIL ? phys->free_head[f->order] != pfn.v
			      : !free_of(phys, f->prev, f->order) ||
					hf_frame_at(phys, (hf_pfn){ f->prev })->next != pfn.v)
		return violated(c, "free-list-linked", 0, pfn);
	if (f->next != HF_NIL && (!free_of(phys, f->next, f->order) ||
				  hf_frame_at(phys, (hf_pfn){ f->next })->prev != pfn.v))
		return violated(c, "free-list-linked", 0, pfn);
	buddy = hf_ram_of(phys, other) == ram ? hf_frame_at(phys, other) : NULL;
	if (f->order < HF_MAX_ORDER && buddy && hf_frame_get_kind(buddy) == HF_FRAME_FREE &&
	    buddy->order == f->order)
		return violated(c, "free-block-coalesced", 0, pfn);
	for (uint32_t i = 0; i < frames; i++) {
		hf_pfn frame = { pfn.v + i };

		if (hf_pins_locked(phys, frame) || leaves_to(phys, frame) ||
		    (i && hf_frame_get_kind(&f[i]) != HF_FRAME_PLAIN))
			return violated(c, "free-means-unused", 0, frame);
	}
	return true;
}

/* A block's `pinned` is what its frames, and its parts' whole pins, make it. */
static bool check_block_pins(struct check *c, hf_pfn base, unsigned level)
{
	const struct hf_frame *b = hf_block(c->phys, base, level);
	const uint32_t frames = 1u << hf_level_order(level);
	uint32_t pinned = 0;
	bool claimed;

	if (!b || hf_block_base(base, level).v != base.v)
		return true;
	claimed = b->block_whole && b->block_claims;
	for (uint32_t i = 0; i < frames; i++) {
		const struct hf_frame *f = hf_frame_at(c->phys, (hf_pfn){ base.v + i });

		pinned += hf_own_pins(f) != 0;
		claimed |= hf_own_pins(f) && f->claims;
	}
	for (uint32_t i = 0; level == HF_LEVEL_PUD && i < HF_TABLE_ENTRIES; i++)
		pinned += hf_block(c->phys, hf_block_part(base, level, i), 1)->block_whole != 0;
	return (pinned == b->block_pinned && !claimed) || violated(c, "pin-counts", 0, base);
}

/* The frame reads as zeros, if its descriptor says so. */
static bool reads_as_zeros(const struct check *c, hf_pfn pfn)
{
	const uint64_t *word = hf_frame_ptr(c->phys, pfn);

	if (!hf_frame_at(c->phys, pfn)->clean)
		return true;
	for (unsigned i = 0; i < HF_PAGE_SIZE / sizeof(*word); i++)
		if (word[i])
			return false;
	return true;
}

/* A loose frame is used by nobody, and listed once: those that read as zeros behind the others. */
static bool check_loose(struct check *c, hf_pfn pfn)
{
	unsigned listed = 0;

	for (uint32_t i = 0; i < c->phys->loose_count; i++)
		listed += c->phys->loose[i] == pfn.v &&
			  hf_frame_at(c->phys, pfn)->clean == (i >= c->phys->loose_used);
	if (listed != 1)
		return violated(c, "free-list-linked", 0, pfn);
	if (!reads_as_zeros(c, pfn))
		return violated(c, "clean-reads-as-zeros", 0, pfn);
	if (hf_pins_locked(c->phys, pfn) || leaves_to(c->phys, pfn))
		return violated(c, "free-means-unused", 0, pfn);
	return true;
}

/* A block of hf_phys_alloc, and a zero page: no leaf is counted and no pin holds it. */
static bool check_uncounted(struct check *c, hf_pfn pfn)
{
	for (uint32_t i = 0; i < 1u << hf_frame_at(c->phys, pfn)->order; i++) {
		hf_pfn frame = { pfn.v + i };

		if (hf_pins_locked(c->phys, frame) || leaves_to(c->phys, frame))
			return violated(c, "tables-are-not-data", 0, frame);
	}
	return true;
}

/* The frames of the kind are those that are listed: nobody holds any while no call runs. */
static bool check_spares(struct check *c)
{
	const struct hf_phys *phys = c->phys;
	hf_pfn pfn = { phys->spare_head };
	uint32_t listed = 0;

	for (; listed < phys->spares; listed++) {
		if (!hf_ram_of(phys, pfn) ||
		    hf_frame_get_kind(hf_frame_at(phys, pfn)) != HF_FRAME_SPARE)
			return violated(c, "spare-frames-listed", 0, pfn);
		pfn.v = hf_frame_at(phys, pfn)->next;
	}
	return (pfn.v == HF_NIL && c->spares == phys->spares) ||
	       violated(c, "spare-frames-listed", 0, (hf_pfn){ 0 });
}

/* A cached frame is in small leaves only, of no device, and its slot knows it. */
static bool check_cached(struct check *c, hf_pfn pfn)
{
	const struct hf_phys *phys = c->phys;
	const struct hf_frame *f = hf_frame_at(phys, pfn);
	const struct hf_slot *s;

	if (!phys->store || f->slot >= phys->slots_begun)
		return violated(c, "cached-both-ways", 0, pfn);
	s = hf_slot_at(phys, f->slot);
	if (!s->refs || s->link != pfn.v)
		return violated(c, "cached-both-ways", 0, pfn);
	if (!f->maps || hf_covered_locked(phys, pfn, HF_LEVEL_PTE) || hf_pins_locked(phys, pfn))
		return violated(c, "cached-is-unchanged", 0, pfn);
	return true;
}

/* The blocks of each order are as many as the allocator says. */
static bool check_free_counts(const struct check *c)
{
	for (unsigned o = 0; o <= HF_MAX_ORDER; o++)
		if (c->free_blocks[o] != c->phys->free_count[o])
			return false;
	return true;
}

/* A frame that begins something: *frames are a part of it, *free of them free. */
static bool check_frame(struct check *c, const struct hf_ram *ram, hf_pfn pfn, uint32_t *frames,
			uint64_t *free)
{
	const struct hf_frame *f = hf_frame_at(c->phys, pfn);

	*frames = 1;
	switch (hf_frame_get_kind(f)) {
	case HF_FRAME_FREE:
		if (!check_free(c, ram, pfn))
			return false;
		*frames = 1u << f->order;
		*free += *frames;
		c->free_blocks[f->order]++;
		return true;
	case HF_FRAME_LOOSE:
		*free += 1;
		c->loose++;
		return check_loose(c, pfn);
	case HF_FRAME_ZERO:
		if (c->phys->zero[f->order != 0].v != pfn.v)
			return violated(c, "no-frame-leaked", 0, pfn);
		/* fallthrough */
	case HF_FRAME_HOST:
		*frames = 1u << f->order;
		return check_uncounted(c, pfn);
	case HF_FRAME_SPARE:
		c->spares++;
		if (!reads_as_zeros(c, pfn))
			return violated(c, "clean-reads-as-zeros", 0, pfn);
		return check_uncounted(c, pfn);
	case HF_FRAME_PAGE:
		c->pages--;
		/* fallthrough */
	case HF_FRAME_PLAIN:
		if (!hf_pins_locked(c->phys, pfn) && !leaves_to(c->phys, pfn))
			return violated(c, "no-frame-leaked", 0, pfn);
		return true;
	case HF_FRAME_CACHED:
		return check_cached(c, pfn);
	case HF_FRAME_OBJECT:
		c->objects--;
		break;
	case HF_FRAME_INDEX:
		c->index++;
		break;
	case HF_FRAME_TABLE:
	case HF_FRAME_NODE:
		if (!f->refs)
			return violated(c, "no-frame-leaked", 0, pfn);
		break;
	default:
		break;
	}
	if (hf_pins_locked(c->phys, pfn) || leaves_to(c->phys, pfn))
		return violated(c, "tables-are-not-data", 0, pfn);
	return true;
}

static bool check_frames(struct check *c, const struct hf_ram *ram, uint64_t *free)
{
	uint32_t pfn = (uint32_t)(ram->base.v >> HF_PAGE_SHIFT), frames;
	uint32_t end = pfn + (uint32_t)(ram->len >> HF_PAGE_SHIFT);

	for (uint32_t i = pfn; i < end; i++)
		if (!check_block_pins(c, (hf_pfn){ i }, 1) ||
		    !check_block_pins(c, (hf_pfn){ i }, 2))
			return false;
	for (; pfn < end; pfn += frames)
		if (!check_frame(c, ram, (hf_pfn){ pfn }, &frames, free))
			return false;
	return true;
}

/* Slots are free and listed, or used; a cached one's frame knows it. */
static bool check_slots(struct check *c)
{
	const struct hf_phys *phys = c->phys;
	uint64_t slots = phys->store ? phys->slots_begun : 0, free = 0, cached = 0;

	for (uint32_t i = 0; i < slots; i++) {
		const struct hf_slot *s = hf_slot_at(phys, i);
		hf_pfn pfn = { s->link };

		if (!s->refs || s->link == HF_NIL)
			continue;
		cached++;
		if (!hf_ram_of(phys, pfn) ||
		    hf_frame_get_kind(hf_frame_at(phys, pfn)) != HF_FRAME_CACHED ||
		    hf_frame_at(phys, pfn)->slot != i)
			return violated(c, "cached-both-ways", 0, pfn);
	}
	if (cached != phys->slots_cached)
		return violated(c, "slots-counted", 0, (hf_pfn){ 0 });
	for (uint32_t i = slots ? phys->slot_free : HF_NIL; i != HF_NIL;
	     i = hf_slot_at(phys, i)->link)
		if (i >= slots || hf_slot_at(phys, i)->refs || ++free > slots)
			return violated(c, "free-slots-linked", 0, (hf_pfn){ 0 });
	return free + phys->slots_used == slots || !slots ||
	       violated(c, "slots-counted", 0, (hf_pfn){ 0 });
}

/* ---- Pass 3: counts ---- */

/* Take one off for this entry to the table; behind the last one, for all that is below. */
static void uncount(struct hf_phys *phys, hf_pfn table, unsigned level)
{
	const hf_pte *entries = hf_table_entries(phys, table);

	if (--hf_frame_at(phys, table)->refs)
		return;
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		if (hf_pte_branch(entries[i], level))
			uncount(phys, hf_pte_pfn(entries[i]), level - 1);
		else
			hf_target_count_locked(phys, entries[i], level, false);
	}
}

static void recount(struct hf_phys *phys, hf_pfn table, unsigned level)
{
	const hf_pte *entries = hf_table_entries(phys, table);

	if (++hf_frame_at(phys, table)->refs != 1)
		return;
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		if (hf_pte_branch(entries[i], level))
			recount(phys, hf_pte_pfn(entries[i]), level - 1);
		else
			hf_target_count_locked(phys, entries[i], level, true);
	}
}

/* A table with a reference too many would keep what it leads to counted: so those come first. */
static bool no_reference_left(struct check *c, const struct hf_ram *ram)
{
	uint32_t pfn = (uint32_t)(ram->base.v >> HF_PAGE_SHIFT);
	uint32_t end = pfn + (uint32_t)(ram->len >> HF_PAGE_SHIFT);

	for (; pfn < end; pfn++) {
		const struct hf_frame *f = hf_frame_at(c->phys, (hf_pfn){ pfn });

		if (hf_frame_get_kind(f) == HF_FRAME_OBJECT
			    ? hf_object_at(c->phys, (hf_pfn){ pfn })->refs != 0
			    : (hf_frame_get_kind(f) == HF_FRAME_TABLE ||
			       hf_frame_get_kind(f) == HF_FRAME_NODE) &&
				      f->refs)
			return violated(c, "reference-counts", 0, (hf_pfn){ pfn });
	}
	return true;
}

/* The same for pages: a wrong count of one makes those of the blocks around it wrong. */
static bool no_mapping_left(struct check *c, const struct hf_ram *ram)
{
	uint32_t pfn = (uint32_t)(ram->base.v >> HF_PAGE_SHIFT);
	uint32_t end = pfn + (uint32_t)(ram->len >> HF_PAGE_SHIFT);
	uint32_t block = HF_NIL;

	for (; pfn < end; pfn++) {
		const struct hf_frame *f = hf_frame_at(c->phys, (hf_pfn){ pfn });

		if (hf_own_maps(f))
			return violated(c, "mapping-counts", 0, (hf_pfn){ pfn });
		if ((f->block_maps || f->block_inner) && block == HF_NIL)
			block = pfn;
	}
	return block == HF_NIL || violated(c, "mapping-counts", 0, (hf_pfn){ block });
}

/* What is between an object and its pager is counted as a leaf would be. */
static void count_transit(struct hf_phys *phys, const struct hf_object *o, bool more)
{
	for (const struct hf_request *r = o->requests; r; r = r->next)
		if (r->block.v != HF_NIL)
			hf_map_count_locked(phys, r->block, r->level, more);
	for (unsigned i = 0; o->leaving && i < o->leaving->count; i++)
		if (o->leaving->pages[i].pfn.v != HF_NIL)
			hf_map_count_locked(phys, o->leaving->pages[i].pfn,
					    o->leaving->pages[i].level, more);
}

/* Objects: what their tables lead to, and the references that their hosts have. */
static void uncount_objects(struct hf_phys *phys)
{
	for (struct hf_object *o = phys->objects; o; o = o->next) {
		o->refs -= o->host_refs;
		count_transit(phys, o, false);
		if (o->root.v != HF_NIL)
			uncount(phys, o->root, o->top);
	}
}

static void recount_objects(struct hf_phys *phys)
{
	for (struct hf_object *o = phys->objects; o; o = o->next) {
		o->refs += o->host_refs;
		count_transit(phys, o, true);
		if (o->root.v != HF_NIL)
			recount(phys, o->root, o->top);
	}
}

/* Calls of the store that are under way have a page and a slot as an entry would have them. */
static void count_calls(struct hf_phys *phys, bool more)
{
	for (const struct hf_store_call *call = phys->calls; call; call = call->next) {
		hf_map_count_locked(phys, call->pfn, HF_LEVEL_PTE, more);
		hf_slot_at(phys, call->slot)->refs += more ? 1u : -1u;
	}
}

static bool no_entry_left(struct check *c)
{
	uint64_t slots = c->phys->store ? c->phys->slots_begun : 0;

	for (uint32_t i = 0; i < slots; i++)
		if (hf_slot_at(c->phys, i)->refs)
			return violated(c, "slot-counts", 0, (hf_pfn){ 0 });
	return true;
}

static bool check_counts(struct check *c)
{
	struct hf_phys *phys = c->phys;
	bool ok = true;

	c->mm = NULL;
	count_calls(phys, false);
	uncount_objects(phys);
	for (struct hf_mm *mm = phys->spaces; mm; mm = mm->next) {
		uncount(phys, mm->root, HF_TOP_LEVEL);
		hf_vmas_check_uncount(phys, mm->vmas);
	}
	for (size_t i = 0; i < phys->ram_count && ok; i++)
		ok = no_reference_left(c, &phys->ram[i]);
	for (size_t i = 0; i < phys->ram_count && ok; i++)
		ok = no_mapping_left(c, &phys->ram[i]);
	ok = ok && no_entry_left(c);
	count_calls(phys, true);
	recount_objects(phys);
	for (struct hf_mm *mm = phys->spaces; mm; mm = mm->next) {
		recount(phys, mm->root, HF_TOP_LEVEL);
		hf_vmas_check_recount(phys, mm->vmas);
	}
	return ok;
}

enum hf_status hf_mm_check(struct hf_phys *phys, struct hf_violation *out)
{
	struct hf_violation ignored;
	struct check c = { .phys = phys, .out = out ? out : &ignored };
	uint64_t free = 0;

	if (!check_objects(&c))
		return HF_ERR_CORRUPT;
	for (c.mm = phys->spaces; c.mm; c.mm = c.mm->next)
		if (!check_space(&c))
			return HF_ERR_CORRUPT;
	for (size_t i = 0; i < phys->ram_count; i++)
		if (!check_frames(&c, &phys->ram[i], &free))
			return HF_ERR_CORRUPT;
	if (c.pages) {
		violated(&c, "page-marked", 0, (hf_pfn){ 0 });
		return HF_ERR_CORRUPT;
	}
	if (c.index != phys->index_frames) {
		violated(&c, "no-frame-leaked", 0, (hf_pfn){ 0 });
		return HF_ERR_CORRUPT;
	}
	if (c.loose != phys->loose_count) {
		violated(&c, "free-list-linked", 0, (hf_pfn){ 0 });
		return HF_ERR_CORRUPT;
	}
	if (!check_spares(&c))
		return HF_ERR_CORRUPT;
	if (c.objects) {
		violated(&c, "objects-listed", 0, (hf_pfn){ 0 });
		return HF_ERR_CORRUPT;
	}
	if (free != phys->free_frames || !check_free_counts(&c)) {
		violated(&c, "free-frames-counted", 0, (hf_pfn){ 0 });
		return HF_ERR_CORRUPT;
	}
	c.mm = NULL;
	if (!check_slots(&c))
		return HF_ERR_CORRUPT;
	return check_counts(&c) ? HF_OK : HF_ERR_CORRUPT;
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif
