/* SPDX-License-Identifier: MIT */
/*
 * hf_mm_check finds what is wrong: entries, descriptors and nodes are damaged one at a time,
 * and the rule that it names must be the right one. Looking must not change anything, and when
 * the damage is mended all must be well again.
 */
#include "unit.h"

#include "object/object.h"
#include "phys/block.h"
#include "phys/buddy.h"
#include "phys/count.h"
#include "space/vma.h"
#include "table/table.h"

/* The zero page takes the single page, so that the MiB before it is one block. */
#define RAM_BYTES (15 * MIB + 20 * PAGE) /* the last for the zero page and the reserve */

/* A parent and its child, and a third space with many mappings. */
struct world {
	struct memory *m;
	struct hf_mm *parent, *child, *many;
	hf_va small; /* 8 pages; 0 is pinned by the parent, 6 by the child, 5 each has its own */
	hf_va ro;    /* 2 pages right behind them, read-only, shared */
	hf_va none;  /* 1 page behind those, PROT_NONE, but there */
	hf_va apart; /* 4 pages in a table of small pages that parent and child share */
	hf_va wiped; /* 2 pages, WIPEONFORK, in a table with others */
	hf_va huge;  /* a 2 MiB page; the child has split it and lost page 1 */
	hf_pa host;  /* 4 frames of hf_phys_alloc */
	hf_pa last;  /* the last whole MiB of RAM, from there as well */
	struct hf_span pins[2];
};

static void build_parent(struct world *w)
{
	struct hf_mm *mm = w->parent = space_new(w->m);
	hf_va at = GIB;
	size_t count;

	w->huge = map_huge(mm, 1);
	w->small = at;
	OK(hf_mmap(mm, &at, 11 * PAGE, RW, HF_MAP_FIXED));
	w->ro = at + 8 * PAGE;
	w->none = at + 10 * PAGE;
	w->apart = at = GIB + 128 * MIB;
	OK(hf_mmap(mm, &at, 4 * PAGE, RW, HF_MAP_FIXED));
	w->wiped = at = GIB + 64 * MIB;
	OK(hf_mmap(mm, &at, 4 * PAGE, RW, HF_MAP_FIXED));
	for (unsigned i = 0; i < 11; i++)
		put(mm, w->small + i * PAGE, i);
	for (unsigned i = 0; i < 4; i++) {
		put(mm, w->apart + i * PAGE, i);
		put(mm, w->wiped + i * PAGE, i);
	}
	OK(hf_mprotect(mm, w->ro, 2 * PAGE, RO));
	OK(hf_mprotect(mm, w->none, PAGE, HF_PROT_NONE));
	OK(hf_madvise(mm, w->wiped, 2 * PAGE, HF_ADV_WIPEONFORK));
	OK(hf_pin(mm, w->small, PAGE, HF_PIN_WRITE, &w->pins[0], 1, &count));
}

static void build_many(struct world *w)
{
	w->many = space_new(w->m);
	for (unsigned i = 0; i < 200; i++) {
		hf_va va = GIB + 2 * i * PAGE;

		OK(hf_mmap(w->many, &va, PAGE, RW, HF_MAP_FIXED));
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	size_t count;

	w->m = memory_of(RAM_BYTES, &quiet_port, NULL);
	OK(hf_phys_alloc(&w->m->phys, 8, &w->last));
	SAME(w->last.v, GIB + 14 * MIB);
	build_parent(w);
	build_many(w);
	w->child = space_fork(w->parent, HF_FORK_COPY);
	put(w->child, w->small + 5 * PAGE, 1); /* has its own copy now */
	put(w->parent, w->small + 5 * PAGE, 2);
	OK(hf_munmap(w->child, w->huge + PAGE, PAGE));
	OK(hf_pin(w->child, w->small + 6 * PAGE, PAGE, HF_PIN_READ, &w->pins[1], 1, &count));
	OK(hf_phys_alloc(&w->m->phys, 2, &w->host));
	CHECK(&w->m->phys);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	space_end(w->child);
	space_end(w->many);
	OK(hf_unpin(&w->m->phys, w->pins, 2));
	space_end(w->parent);
	OK(hf_phys_free(&w->m->phys, w->host, 2));
	OK(hf_phys_free(&w->m->phys, w->last, 8));
	memory_end(w->m);
	free(w);
	return 0;
}

/* ---- Where things are ---- */

/* The entry for va in the table at `level`. */
static hf_pte *entry_at(struct hf_mm *mm, hf_va va, unsigned level)
{
	hf_pfn table = mm->root;

	for (unsigned l = HF_TOP_LEVEL;; l--) {
		hf_pte *e = hf_table_entries(mm->phys, table) + hf_table_index(va, l);

		if (l == level)
			return e;
		assert_true(hf_pte_branch(*e, l));
		table = hf_pte_pfn(*e);
	}
}

static hf_pfn pfn_at(struct hf_mm *mm, hf_va va, unsigned level)
{
	return hf_pte_pfn(*entry_at(mm, va, level));
}

static struct hf_frame *frame_at(struct hf_mm *mm, hf_va va, unsigned level)
{
	return hf_frame_at(mm->phys, pfn_at(mm, va, level));
}

static hf_pa pa_at(struct hf_mm *mm, hf_va va, unsigned level)
{
	return hf_pfn_pa(pfn_at(mm, va, level));
}

/* The descriptor with the numbers of the 2 MiB block that the page lies in. */
static struct hf_frame *block_at(struct hf_mm *mm, hf_va va)
{
	return hf_block(mm->phys, hf_block_base(pfn_at(mm, va, HF_LEVEL_PTE), 1), 1);
}

/* The head of a list of free blocks of more than one frame. */
static hf_pfn free_block(struct world *w)
{
	for (unsigned o = 1; o <= HF_MAX_ORDER; o++)
		if (w->m->phys.free_head[o] != HF_NIL)
			return (hf_pfn){ w->m->phys.free_head[o] };
	fail_msg("no free block");
	return (hf_pfn){ 0 };
}

/* The layout of a node in vma.c. */
struct slot {
	hf_va start, end;
	uint64_t gap;
	uint32_t child, flags;
};

struct node {
	uint32_t count, height;
	uint64_t unused[3];
	struct slot slots[127];
};

static struct node *node_of(struct hf_mm *mm)
{
	return hf_frame_ptr(mm->phys, mm->vmas);
}

static struct slot *slot_at(struct hf_mm *mm, hf_va va)
{
	struct node *n = node_of(mm);

	for (unsigned i = 0; i < n->count; i++)
		if (n->slots[i].start <= va && va < n->slots[i].end)
			return &n->slots[i];
	fail_msg("no mapping at 0x%llx", (unsigned long long)va);
	return NULL;
}

/* ---- Damage. Each says what hf_mm_check has to answer. ---- */

#define PTE HF_LEVEL_PTE
#define PMD HF_LEVEL_PMD
#define PUD HF_LEVEL_PUD
#define TOP HF_TOP_LEVEL

static struct hf_violation in(const char *rule, const struct hf_mm *mm, hf_va va, hf_pa pa)
{
	return (struct hf_violation){ rule, mm, va, pa };
}

static struct hf_violation of_frame(const char *rule, hf_pa pa)
{
	return in(rule, NULL, 0, pa);
}

/* A pin of a page that child and parent have in common, by a leaf each. */
static struct hf_violation pin_of_shared_page(struct world *w)
{
	hf_va va = w->small + PAGE;

	frame_at(w->parent, va, PTE)->pins = 1;
	block_at(w->parent, va)->block_pinned++;
	/* The child is the newer space, and comes first. */
	return in("pinned-implies-exclusive", w->child, va, pa_at(w->child, va, PTE));
}

static struct hf_violation pin_in_shared_table(struct world *w)
{
	frame_at(w->parent, w->apart, PTE)->pins = 1;
	block_at(w->parent, w->apart)->block_pinned++;
	return in("pinned-implies-exclusive", w->child, w->apart, pa_at(w->child, w->apart, PTE));
}

static struct hf_violation write_to_shared_leaf(struct world *w)
{
	hf_va va = w->small + PAGE;
	hf_pte *e = entry_at(w->parent, va, PTE);

	*e = hf_leaf_mkwrite(*e);
	return in("writable-implies-exclusive", w->parent, va, pa_at(w->parent, va, PTE));
}

/* The child has it in parts. */
static struct hf_violation write_to_shared_huge_leaf(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->huge, PMD);

	assert_false(hf_leaf_writable(*e));
	*e = hf_leaf_mkwrite(*e);
	return in("writable-implies-exclusive", w->parent, w->huge, pa_at(w->parent, w->huge, PMD));
}

static struct hf_violation write_to_shared_table(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->apart, PMD);

	assert_false(hf_branch_writable(*e));
	*e = hf_branch_mkwrite(*e);
	return in("writable-implies-exclusive", w->parent, w->apart,
		  pa_at(w->parent, w->apart, PMD));
}

static struct hf_violation no_look(struct world *w, hf_va va, unsigned level)
{
	hf_pte *e = entry_at(w->parent, va, level);

	assert_true(hf_branch_look(*e));
	*e = hf_branch_clear_look(*e);
	return in("look-on-path", w->parent, va, pa_at(w->parent, va, PTE));
}

static struct hf_violation no_look_in_pmd(struct world *w)
{
	return no_look(w, w->small, PMD);
}

static struct hf_violation no_look_in_pud(struct world *w)
{
	return no_look(w, w->small, PUD);
}

static struct hf_violation no_look_in_root(struct world *w)
{
	return no_look(w, w->small, TOP);
}

static struct hf_violation no_look_above_wiped(struct world *w)
{
	return no_look(w, w->wiped, PMD);
}

static struct hf_violation look_at_shared_table(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->apart, PMD);

	*e = hf_branch_mklook(*e);
	return in("shared-without-look", w->parent, w->apart, pa_at(w->parent, w->apart, PMD));
}

static struct hf_violation leaf_outside(struct world *w)
{
	hf_va va = w->none + PAGE;

	*entry_at(w->parent, va, PTE) = hf_leaf_wrprotect(*entry_at(w->parent, w->small, PTE));
	return in("leaf-in-one-mapping", w->parent, va, pa_at(w->parent, w->small, PTE));
}

static struct hf_violation mapping_ends_in_leaf(struct world *w)
{
	slot_at(w->parent, w->huge)->end -= PAGE;
	return in("leaf-in-one-mapping", w->parent, w->huge, pa_at(w->parent, w->huge, PMD));
}

static struct hf_violation changed_leaf(struct world *w, hf_va va, uint64_t set, uint64_t clear)
{
	hf_pte *e = entry_at(w->parent, va, PTE);

	e->v = (e->v | set) & ~clear;
	return in("leaf-permission", w->parent, va, pa_at(w->parent, va, PTE));
}

static struct hf_violation write_to_read_only(struct world *w)
{
	return changed_leaf(w, w->ro, hf_format.leaf_write.give, hf_format.leaf_write.deny);
}

static struct hf_violation present_without_access(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->none, PTE);

	*e = hf_pte_mkshown(*e);
	return changed_leaf(w, w->none, 0, 0);
}

static struct hf_violation held_with_access(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->small + 5 * PAGE, PTE);

	*e = hf_pte_mkhidden(*e);
	return changed_leaf(w, w->small + 5 * PAGE, 0, 0);
}

static struct hf_violation executable_data(struct world *w)
{
	return changed_leaf(w, w->small + 5 * PAGE, hf_format.leaf_exec.give,
			    hf_format.leaf_exec.deny);
}

static struct hf_violation one_map_more(struct world *w)
{
	frame_at(w->parent, w->small + 3 * PAGE, PTE)->maps++;
	return of_frame("mapping-counts", pa_at(w->parent, w->small + 3 * PAGE, PTE));
}

static struct hf_violation one_map_less(struct world *w)
{
	frame_at(w->parent, w->small + PAGE, PTE)->maps--;
	return of_frame("mapping-counts", pa_at(w->parent, w->small + PAGE, PTE));
}

static struct hf_violation one_huge_map_more(struct world *w)
{
	hf_pfn base = pfn_at(w->parent, w->huge, PMD);

	hf_block(&w->m->phys, base, 1)->block_maps++;
	return of_frame("mapping-counts", (hf_pa){ hf_pfn_pa(base).v + PAGE });
}

static struct hf_violation one_part_more(struct world *w)
{
	hf_pfn base = hf_block_base(pfn_at(w->parent, w->apart, PTE), 1);

	hf_block(&w->m->phys, base, 1)->block_inner++;
	return of_frame("mapping-counts", (hf_pa){ hf_pfn_pa(base).v + PAGE });
}

static struct hf_violation one_table_reference_more(struct world *w)
{
	frame_at(w->parent, w->apart, PMD)->refs++;
	return of_frame("reference-counts", pa_at(w->parent, w->apart, PMD));
}

static struct hf_violation one_node_reference_more(struct world *w)
{
	SAME(node_of(w->parent)->height, 0); /* what it leads to would be wrong as well */
	hf_frame_at(&w->m->phys, w->parent->vmas)->refs++;
	return of_frame("reference-counts", hf_pfn_pa(w->parent->vmas));
}

static struct hf_violation one_pinned_frame_more(struct world *w)
{
	hf_pfn base = hf_block_base(pfn_at(w->parent, w->small, PTE), 1);

	hf_block(&w->m->phys, base, 1)->block_pinned++;
	return of_frame("pin-counts", hf_pfn_pa(base));
}

static struct hf_violation pin_unknown_to_block(struct world *w)
{
	hf_pfn base = hf_block_base(pfn_at(w->parent, w->small, PTE), 1);

	frame_at(w->parent, w->small + 5 * PAGE, PTE)->pins++;
	return of_frame("pin-counts", hf_pfn_pa(base));
}

static struct hf_violation mapped_free_block(struct world *w)
{
	hf_pfn pfn = { free_block(w).v + 1 };

	hf_frame_at(&w->m->phys, pfn)->maps = 1;
	return of_frame("free-means-unused", hf_pfn_pa(pfn));
}

static struct hf_violation free_block_with_table(struct world *w)
{
	hf_pfn pfn = { free_block(w).v + 1 };

	hf_frame_set_kind(hf_frame_at(&w->m->phys, pfn), HF_FRAME_TABLE);
	return of_frame("free-means-unused", hf_pfn_pa(pfn));
}

static hf_pfn loose_frame(struct world *w)
{
	hf_pa pa;

	OK(hf_phys_alloc(&w->m->phys, 0, &pa));
	OK(hf_phys_free(&w->m->phys, pa, 0));
	assert_true(w->m->phys.loose_count > 0);
	return (hf_pfn){ w->m->phys.loose[w->m->phys.loose_count - 1] };
}

static struct hf_violation mapped_loose_frame(struct world *w)
{
	hf_pfn pfn = loose_frame(w);

	hf_frame_at(&w->m->phys, pfn)->maps = 1;
	return of_frame("free-means-unused", hf_pfn_pa(pfn));
}

static struct hf_violation used_frame_called_clean(struct world *w)
{
	hf_pfn pfn = loose_frame(w);

	hf_frame_at(&w->m->phys, pfn)->clean = true;
	w->m->phys.loose_used--;
	memset(hf_frame_ptr(&w->m->phys, pfn), 1, PAGE);
	return of_frame("clean-reads-as-zeros", hf_pfn_pa(pfn));
}

static struct hf_violation frame_that_is_no_index(struct world *w)
{
	hf_pa pa;

	OK(hf_phys_alloc(&w->m->phys, 0, &pa));
	hf_frame_set_kind(hf_frame_at(&w->m->phys, (hf_pfn){ (uint32_t)(pa.v / PAGE) }),
			  HF_FRAME_INDEX);
	return of_frame("no-frame-leaked", (hf_pa){ 0 });
}

static struct hf_violation leaked_frame(struct world *w)
{
	hf_pa pa;

	OK(hf_phys_alloc(&w->m->phys, 0, &pa));
	hf_frame_set_kind(hf_frame_at(&w->m->phys, (hf_pfn){ (uint32_t)(pa.v / PAGE) }),
			  HF_FRAME_PLAIN);
	return of_frame("no-frame-leaked", pa);
}

static struct hf_violation freed_page_in_use(struct world *w)
{
	hf_pfn pfn = pfn_at(w->parent, w->small + 5 * PAGE, PTE);

	hf_phys_lock(&w->m->phys);
	hf_block_free_locked(&w->m->phys, pfn, 0);
	hf_phys_unlock(&w->m->phys);
	return of_frame("free-means-unused", hf_pfn_pa(pfn));
}

/* Take a free block out of its list. */
static void unlink_free(struct hf_phys *phys, hf_pfn pfn)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);

	if (f->next != HF_NIL)
		hf_frame_at(phys, (hf_pfn){ f->next })->prev = f->prev;
	if (f->prev != HF_NIL)
		hf_frame_at(phys, (hf_pfn){ f->prev })->next = f->next;
	else
		phys->free_head[f->order] = f->next;
	f->next = f->prev = HF_NIL;
}

static struct hf_violation relabelled_free_block(struct world *w, hf_pfn pfn, unsigned order)
{
	unlink_free(&w->m->phys, pfn);
	hf_frame_at(&w->m->phys, pfn)->order = order & HF_ORDER_MASK;
	return of_frame("free-block-whole", hf_pfn_pa(pfn));
}

static struct hf_violation too_large_free_block(struct world *w)
{
	return relabelled_free_block(w, free_block(w), HF_MAX_ORDER + 1);
}

static struct hf_violation unaligned_free_block(struct world *w)
{
	for (unsigned o = 0; o < HF_MAX_ORDER; o++) {
		hf_pfn pfn = { w->m->phys.free_head[o] };

		if (pfn.v != HF_NIL && (pfn.v & (1u << o)))
			return relabelled_free_block(w, pfn, o + 1);
	}
	fail_msg("no such free block");
	return of_frame(NULL, (hf_pa){ 0 });
}

static struct hf_violation free_block_beyond_ram(struct world *w)
{
	hf_pfn last = { (uint32_t)(w->last.v / PAGE) };

	OK(hf_phys_free(&w->m->phys, w->last, 8));
	SAME(last.v & 0x1ff, 0); /* aligned to an order more, too */
	return relabelled_free_block(w, last, 9);
}

static struct hf_violation unlinked_free_block(struct world *w)
{
	hf_pfn pfn = free_block(w);
	const struct hf_frame *f = hf_frame_at(&w->m->phys, pfn);

	w->m->phys.free_head[f->order] = f->next;
	return of_frame("free-list-linked", hf_pfn_pa(pfn));
}

/* The list goes on where there is no free block. */
static struct hf_violation free_list_leads_astray(struct world *w)
{
	hf_pfn pfn = free_block(w);

	while (hf_frame_at(&w->m->phys, pfn)->next != HF_NIL)
		pfn.v = hf_frame_at(&w->m->phys, pfn)->next;
	hf_frame_at(&w->m->phys, pfn)->next = pfn_at(w->parent, w->small, PMD).v;
	return of_frame("free-list-linked", hf_pfn_pa(pfn));
}

static struct hf_violation unlisted_loose_frame(struct world *w)
{
	hf_pfn pfn = loose_frame(w);

	w->m->phys.loose_count--;
	return of_frame("free-list-linked", hf_pfn_pa(pfn));
}

static void push_free(struct hf_phys *phys, hf_pfn pfn, unsigned order)
{
	struct hf_frame *f = hf_frame_at(phys, pfn);

	hf_frame_set_kind(f, HF_FRAME_FREE);
	f->order = order & HF_ORDER_MASK;
	f->prev = HF_NIL;
	f->next = phys->free_head[order];
	if (f->next != HF_NIL)
		hf_frame_at(phys, (hf_pfn){ f->next })->prev = pfn.v;
	phys->free_head[order] = pfn.v;
}

/* A free block as its two halves, each in its list. */
static struct hf_violation uncoalesced_free_block(struct world *w)
{
	struct hf_phys *phys = &w->m->phys;
	hf_pfn lower = free_block(w);
	unsigned order = hf_frame_at(phys, lower)->order;

	unlink_free(phys, lower);
	push_free(phys, lower, order - 1);
	push_free(phys, (hf_pfn){ lower.v + (1u << (order - 1)) }, order - 1);
	return of_frame("free-block-coalesced", hf_pfn_pa(lower));
}

static struct hf_violation miscounted_free_frames(struct world *w)
{
	w->m->phys.free_frames++;
	return of_frame("free-frames-counted", (hf_pa){ 0 });
}

static struct hf_violation miscounted_free_blocks(struct world *w)
{
	w->m->phys.free_count[3]++;
	return of_frame("free-frames-counted", (hf_pa){ 0 });
}

/* A spare frame that is not in the list, and one in it that looks like the host's. */
static struct hf_violation lost_spare(struct world *w)
{
	struct hf_phys *phys = &w->m->phys;

	phys->spare_head = hf_frame_at(phys, (hf_pfn){ phys->spare_head })->next;
	phys->spares--;
	return of_frame("spare-frames-listed", (hf_pa){ 0 });
}

static struct hf_violation spare_of_the_host(struct world *w)
{
	struct hf_phys *phys = &w->m->phys;
	hf_pfn pfn = { phys->spare_head };

	hf_frame_set_kind(hf_frame_at(phys, pfn), HF_FRAME_HOST);
	return of_frame("spare-frames-listed", hf_pfn_pa(pfn));
}

/* A table that nothing leads to, and nothing counts. */
static struct hf_violation lost_table(struct world *w)
{
	struct hf_frame *f = hf_frame_at(&w->m->phys, (hf_pfn){ (uint32_t)(w->last.v / PAGE) });

	hf_frame_set_kind(f, HF_FRAME_TABLE);
	f->refs = 0;
	for (unsigned i = 1; i < 256; i++) { /* the rest of the host's block */
		hf_frame_set_kind(&f[i], HF_FRAME_HOST);
		f[i].order = 0;
	}
	return of_frame("no-frame-leaked", w->last);
}

static struct hf_violation tree_of_many(struct world *w)
{
	return in("vma-tree-whole", w->many, 0, hf_pfn_pa(w->many->vmas));
}

static struct hf_violation wrong_sum_of_gaps(struct world *w)
{
	assert_true(node_of(w->many)->height > 0);
	node_of(w->many)->slots[0].gap += PAGE;
	return tree_of_many(w);
}

static struct hf_violation root_that_is_no_node(struct world *w)
{
	hf_frame_set_kind(hf_frame_at(&w->m->phys, w->many->vmas), HF_FRAME_TABLE);
	return tree_of_many(w);
}

static struct hf_violation child_that_is_no_node(struct world *w)
{
	node_of(w->many)->slots[1].child = pfn_at(w->parent, w->small, PTE).v;
	return tree_of_many(w);
}

static struct hf_violation too_many_slots(struct world *w)
{
	node_of(w->parent)->count = COUNT(node_of(w->parent)->slots) + 1;
	return in("vma-tree-whole", w->parent, 0, hf_pfn_pa(w->parent->vmas));
}

static struct hf_violation empty_node(struct world *w)
{
	node_of(w->many)->count = 0;
	return tree_of_many(w);
}

static struct hf_violation unaligned_mapping(struct world *w)
{
	slot_at(w->parent, w->wiped)->start += 8;
	return in("vmas-in-order", w->parent, w->wiped + 8, hf_pfn_pa(w->parent->vmas));
}

static struct hf_violation overlapping_mappings(struct world *w)
{
	slot_at(w->parent, w->ro)->start -= PAGE;
	return in("vmas-in-order", w->parent, w->ro - PAGE, hf_pfn_pa(w->parent->vmas));
}

static struct hf_violation like_neighbours(struct world *w)
{
	slot_at(w->parent, w->ro)->flags = slot_at(w->parent, w->small)->flags;
	return in("vmas-merged", w->parent, w->ro, hf_pfn_pa(w->parent->vmas));
}

static struct hf_violation miscounted_locks(struct world *w)
{
	w->parent->locked_bytes += PAGE;
	return in("bytes-counted", w->parent, 0, hf_pfn_pa(w->parent->vmas));
}

static struct hf_violation miscounted_mappings(struct world *w)
{
	w->parent->limits.va = 1; /* from now on they have to be counted */
	return in("bytes-counted", w->parent, 0, hf_pfn_pa(w->parent->vmas));
}

static struct hf_violation bits_in_leaf(struct world *w, uint64_t set, uint64_t clear)
{
	struct hf_violation v = changed_leaf(w, w->small + 5 * PAGE, set, clear);

	v.rule = "entry-wellformed";
	return v;
}

static struct hf_violation unknown_bit(struct world *w)
{
	/* G of RISC-V; a memory type elsewhere. */
	return bits_in_leaf(w, hf_format.unarmed ? 1 << 5 : 1 << 3, 0);
}

static struct hf_violation present_and_held(struct world *w)
{
	return bits_in_leaf(w, hf_format.hidden, 0);
}

static struct hf_violation supervisor_leaf(struct world *w)
{
	return bits_in_leaf(w, 0, hf_format.leaf);
}

static struct hf_violation unaligned_huge_leaf(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->huge, PMD);

	e->v += PAGE;
	return in("entry-wellformed", w->parent, w->huge, pa_at(w->parent, w->huge, PMD));
}

static struct hf_violation branch_to_data(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->small, PMD);
	hf_pfn data = pfn_at(w->parent, w->small, PTE);

	*e = hf_pte_with_pfn(*e, data);
	return in("branch-leads-to-table", w->parent, w->small, hf_pfn_pa(data));
}

static struct hf_violation leaf_to_no_ram(struct world *w)
{
	hf_va va = w->small + 5 * PAGE;
	hf_pte *e = entry_at(w->parent, va, PTE);

	*e = hf_pte_with_pfn(*e, (hf_pfn){ 5 });
	return in("entry-leads-to-ram", w->parent, va, (hf_pa){ 5 * PAGE });
}

static struct hf_violation branch_to_no_ram(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->small, PMD);

	*e = hf_pte_with_pfn(*e, (hf_pfn){ 5 });
	return in("entry-leads-to-ram", w->parent, w->small, (hf_pa){ 5 * PAGE });
}

static struct hf_violation mapped_table(struct world *w)
{
	hf_va va = w->small + 5 * PAGE;
	hf_pte *e = entry_at(w->parent, va, PTE);

	*e = hf_pte_with_pfn(*e, pfn_at(w->parent, w->small, PMD));
	return in("tables-are-not-data", w->parent, va, pa_at(w->parent, w->small, PMD));
}

/* What goes by the marks would not come by this entry. */
static struct hf_violation entry_without_mark(struct world *w)
{
	hf_va va = w->small + 5 * PAGE;
	uint64_t mark = (uint64_t)1 << hf_table_index(va, PTE) / HF_MARK_ENTRIES;
	hf_va first = va & ~(HF_MARK_ENTRIES * PAGE - 1);

	frame_at(w->parent, va, PMD)->marks &= ~mark;
	return in("marks-cover-entries", w->parent, first, pa_at(w->parent, va, PMD));
}

/* A page of the space and a block of hf_phys_alloc at once, and all counts agree with that. */
static struct hf_violation mapped_host_block(struct world *w)
{
	hf_pfn host = { (uint32_t)(w->host.v / PAGE) + 1 };
	hf_pfn old = pfn_at(w->parent, w->small + 5 * PAGE, PTE);
	hf_pte *e = entry_at(w->parent, w->small + 5 * PAGE, PTE);

	hf_phys_lock(&w->m->phys);
	hf_map_get_locked(&w->m->phys, host, PTE);
	hf_map_put_locked(&w->m->phys, old, PTE);
	hf_phys_unlock(&w->m->phys);
	*e = hf_pte_with_pfn(*e, host);
	return of_frame("tables-are-not-data", hf_pfn_pa(host));
}

/* ---- All of it, and back ---- */

/* Everything that a check could change. */
struct picture {
	char *ram, *meta;
	struct hf_phys phys;
	struct hf_mm spaces[3];
};

static struct picture *picture_take(const struct world *w)
{
	struct picture *p = calloc(1, sizeof(*p));
	size_t meta = hf_phys_meta_size(RAM_BYTES);

	p->ram = malloc(RAM_BYTES);
	memcpy(p->ram, w->m->ram[0].map, RAM_BYTES);
	p->meta = malloc(meta);
	memcpy(p->meta, w->m->ram[0].meta, meta);
	p->phys = w->m->phys;
	p->spaces[0] = *w->parent;
	p->spaces[1] = *w->child;
	p->spaces[2] = *w->many;
	return p;
}

static void picture_drop(struct picture *p)
{
	free(p->ram);
	free(p->meta);
	free(p);
}

static void restore(struct world *w, const struct picture *p)
{
	memcpy(w->m->ram[0].map, p->ram, RAM_BYTES);
	memcpy(w->m->ram[0].meta, p->meta, hf_phys_meta_size(RAM_BYTES));
	w->m->phys = p->phys;
	*w->parent = p->spaces[0];
	*w->child = p->spaces[1];
	*w->many = p->spaces[2];
}

static bool same_picture(const struct picture *a, const struct picture *b)
{
	return memcmp(a->ram, b->ram, RAM_BYTES) == 0 &&
	       memcmp(a->meta, b->meta, hf_phys_meta_size(RAM_BYTES)) == 0 &&
	       memcmp(&a->phys, &b->phys, sizeof(a->phys)) == 0 &&
	       memcmp(a->spaces, b->spaces, sizeof(a->spaces)) == 0;
}

typedef struct hf_violation (*damage_fn)(struct world *w);

/* Nothing is written by the check, whatever it finds. */
static void expect_untouched(struct world *w, const struct picture *before)
{
	struct picture *after = picture_take(w);
	bool same = same_picture(before, after);

	picture_drop(after);
	if (!same)
		fail_msg("hf_mm_check has changed something");
}

static void expect_found(struct world *w, damage_fn damage)
{
	struct picture *whole = picture_take(w), *damaged;
	struct hf_violation want = damage(w), got = { 0 };

	damaged = picture_take(w);
	GIVES(HF_ERR_CORRUPT, hf_mm_check(&w->m->phys, &got));
	GIVES(HF_ERR_CORRUPT, hf_mm_check(&w->m->phys, NULL));
	assert_string_equal(got.rule, want.rule);
	assert_ptr_equal(got.mm, want.mm);
	SAME(got.va, want.va);
	SAME(got.pa.v, want.pa.v);
	expect_untouched(w, damaged);
	restore(w, whole);
	CHECK(&w->m->phys);
	picture_drop(damaged);
	picture_drop(whole);
}

static void nothing_is_found_where_nothing_is_wrong(void **state)
{
	struct world *w = *state;
	struct picture *whole = picture_take(w);

	CHECK(&w->m->phys);
	OK(hf_mm_check(&w->m->phys, NULL));
	expect_untouched(w, whole);
	picture_drop(whole);
}

/* One test each, so that its name says which damage was not found. */
#define EACH_DAMAGE(X)               \
	X(pin_of_shared_page)        \
	X(pin_in_shared_table)       \
	X(write_to_shared_leaf)      \
	X(write_to_shared_huge_leaf) \
	X(write_to_shared_table)     \
	X(no_look_in_pmd)            \
	X(no_look_in_pud)            \
	X(no_look_in_root)           \
	X(no_look_above_wiped)       \
	X(look_at_shared_table)      \
	X(leaf_outside)              \
	X(mapping_ends_in_leaf)      \
	X(write_to_read_only)        \
	X(present_without_access)    \
	X(held_with_access)          \
	X(executable_data)           \
	X(one_map_more)              \
	X(one_map_less)              \
	X(one_huge_map_more)         \
	X(one_part_more)             \
	X(one_table_reference_more)  \
	X(one_node_reference_more)   \
	X(one_pinned_frame_more)     \
	X(pin_unknown_to_block)      \
	X(mapped_free_block)         \
	X(free_block_with_table)     \
	X(mapped_loose_frame)        \
	X(used_frame_called_clean)   \
	X(frame_that_is_no_index)    \
	X(leaked_frame)              \
	X(freed_page_in_use)         \
	X(too_large_free_block)      \
	X(unaligned_free_block)      \
	X(free_block_beyond_ram)     \
	X(unlinked_free_block)       \
	X(free_list_leads_astray)    \
	X(unlisted_loose_frame)      \
	X(uncoalesced_free_block)    \
	X(miscounted_free_frames)    \
	X(miscounted_free_blocks)    \
	X(lost_spare)                \
	X(spare_of_the_host)         \
	X(lost_table)                \
	X(miscounted_locks)          \
	X(miscounted_mappings)       \
	X(wrong_sum_of_gaps)         \
	X(root_that_is_no_node)      \
	X(child_that_is_no_node)     \
	X(too_many_slots)            \
	X(empty_node)                \
	X(unaligned_mapping)         \
	X(overlapping_mappings)      \
	X(like_neighbours)           \
	X(unknown_bit)               \
	X(present_and_held)          \
	X(supervisor_leaf)           \
	X(unaligned_huge_leaf)       \
	X(branch_to_data)            \
	X(leaf_to_no_ram)            \
	X(branch_to_no_ram)          \
	X(mapped_table)              \
	X(entry_without_mark)        \
	X(mapped_host_block)

#define DEFINE(damage)                           \
	static void finds_##damage(void **state) \
	{                                        \
		expect_found(*state, damage);    \
	}
EACH_DAMAGE(DEFINE)

/* What only some formats have to keep. */

static struct hf_violation write_below_armed_branch(struct world *w)
{
	hf_pte *e = entry_at(w->parent, w->apart, PTE);

	OK(hf_fault(w->parent, w->apart, HF_ACCESS_READ, NULL));
	*e = hf_leaf_mkwrite(*e);
	return in("armed-from-within", w->parent, w->apart, pa_at(w->parent, w->apart, PTE));
}

static void finds_write_below_armed_branch(void **state)
{
	if (!hf_format.unarmed) {
		print_message("skipped: branches of this format can deny writing\n");
		skip();
	}
	expect_found(*state, write_below_armed_branch);
}

static void finds_exclusive_branch_below_armed_one(void **state)
{
	struct world *w = *state;
	struct hf_violation got = { 0 };
	struct hf_mm *child;
	hf_pte *e, whole;

	put(w->many, GIB, 1);
	child = space_fork(w->many, HF_FORK_COPY);
	e = entry_at(w->many, GIB, PMD);
	OK(hf_fault(w->many, GIB, HF_ACCESS_READ, NULL));
	CHECK(&w->m->phys);
	whole = *e;
	*e = hf_branch_mkwrite(*e);
	if (hf_format.unarmed) {
		GIVES(HF_ERR_CORRUPT, hf_mm_check(&w->m->phys, &got));
		assert_string_equal(got.rule, "armed-from-within");
		SAME(got.va, GIB);
		*e = whole;
	}
	space_end(child);
}

static void finds_writable_leaf_that_is_clean(void **state)
{
	struct world *w = *state;
	hf_va va = w->small + 5 * PAGE;
	struct hf_violation got = { 0 };
	hf_pte *e = entry_at(w->parent, va, PTE), whole = *e;

	assert_true(hf_leaf_writable(whole));
	e->v &= ~hf_format.dirty;
	if (hf_format.marks) {
		CHECK(&w->m->phys);
	} else {
		GIVES(HF_ERR_CORRUPT, hf_mm_check(&w->m->phys, &got));
		assert_string_equal(got.rule, "entry-wellformed");
		SAME(got.va, va);
	}
	*e = whole;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- Objects ---- */

static void finds(struct memory *m, const char *rule)
{
	struct hf_violation found = { 0 };

	GIVES(HF_ERR_CORRUPT, hf_mm_check(&m->phys, &found));
	assert_string_equal(found.rule, rule);
}

static enum hf_status no_contents(void *host, uint64_t offset, void *page, uint64_t len)
{
	(void)host;
	(void)offset;
	(void)page;
	(void)len;
	return HF_OK;
}

/* A file of two pages, mapped shared: page 0 is written to, page 1 is read. */
static void finds_damaged_objects(void **state)
{
	static const struct hf_pager pager = { .get = no_contents };
	struct hf_object_config config = { .size = 2 * PAGE, .pager = &pager };
	struct memory *m = memory_of(8 * MIB, &quiet_port, NULL);
	struct hf_mm *mm = space_new(m);
	struct hf_object *object;
	hf_pte *leaf, *page, was;
	hf_va va = GIB;

	(void)state;
	OK(hf_object_create(&m->phys, &config, &object));
	OK(hf_mmap_object(mm, &va, 2 * PAGE, RW, HF_MAP_FIXED | HF_MAP_SHARED, object, 0));
	put(mm, va, 1);
	OK(hf_fault(mm, va + PAGE, HF_ACCESS_READ, NULL));
	CHECK(&m->phys);
	leaf = entry_at(mm, va, 0);
	page = hf_table_entries(&m->phys, object->root);

	was = leaf[0];
	leaf[0] = hf_pte_with_pfn(leaf[0], hf_pte_pfn(leaf[1]));
	finds(m, "leaf-within-page");
	leaf[0] = was;

	was = page[0];
	page[0] = hf_leaf_wrprotect(was);
	finds(m, "writable-implies-dirty");
	page[0] = was;

	object->size = PAGE;
	finds(m, "page-before-end");
	object->size = 2 * PAGE;

	hf_frame_set_kind(hf_frame_at(&m->phys, hf_pte_pfn(page[1])), HF_FRAME_PLAIN);
	finds(m, "page-marked");
	hf_frame_set_kind(hf_frame_at(&m->phys, hf_pte_pfn(page[1])), HF_FRAME_PAGE);

	object->self.v++;
	finds(m, "objects-listed");
	object->self.v--;

	hf_frame_at(&m->phys, object->root)->marks = 0;
	finds(m, "marks-cover-entries");
	hf_frame_at(&m->phys, object->root)->marks = 1;

	object->host_refs++;
	finds(m, "reference-counts");
	object->host_refs--;

	CHECK(&m->phys);
	hf_object_put(object);
	space_end(mm);
	memory_end(m);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_found_where_nothing_is_wrong),
		cmocka_unit_test(finds_damaged_objects),
		TEST(finds_pin_of_shared_page),
		TEST(finds_pin_in_shared_table),
		TEST(finds_write_to_shared_leaf),
		TEST(finds_write_to_shared_huge_leaf),
		TEST(finds_write_to_shared_table),
		TEST(finds_no_look_in_pmd),
		TEST(finds_no_look_in_pud),
		TEST(finds_no_look_in_root),
		TEST(finds_no_look_above_wiped),
		TEST(finds_look_at_shared_table),
		TEST(finds_leaf_outside),
		TEST(finds_mapping_ends_in_leaf),
		TEST(finds_write_to_read_only),
		TEST(finds_present_without_access),
		TEST(finds_held_with_access),
		TEST(finds_executable_data),
		TEST(finds_one_map_more),
		TEST(finds_one_map_less),
		TEST(finds_one_huge_map_more),
		TEST(finds_one_part_more),
		TEST(finds_one_table_reference_more),
		TEST(finds_one_node_reference_more),
		TEST(finds_one_pinned_frame_more),
		TEST(finds_pin_unknown_to_block),
		TEST(finds_mapped_free_block),
		TEST(finds_free_block_with_table),
		TEST(finds_mapped_loose_frame),
		TEST(finds_used_frame_called_clean),
		TEST(finds_frame_that_is_no_index),
		TEST(finds_leaked_frame),
		TEST(finds_freed_page_in_use),
		TEST(finds_too_large_free_block),
		TEST(finds_unaligned_free_block),
		TEST(finds_free_block_beyond_ram),
		TEST(finds_unlinked_free_block),
		TEST(finds_free_list_leads_astray),
		TEST(finds_unlisted_loose_frame),
		TEST(finds_uncoalesced_free_block),
		TEST(finds_miscounted_free_frames),
		TEST(finds_miscounted_free_blocks),
		TEST(finds_lost_spare),
		TEST(finds_spare_of_the_host),
		TEST(finds_lost_table),
		TEST(finds_miscounted_locks),
		TEST(finds_miscounted_mappings),
		TEST(finds_wrong_sum_of_gaps),
		TEST(finds_root_that_is_no_node),
		TEST(finds_child_that_is_no_node),
		TEST(finds_too_many_slots),
		TEST(finds_empty_node),
		TEST(finds_unaligned_mapping),
		TEST(finds_overlapping_mappings),
		TEST(finds_like_neighbours),
		TEST(finds_unknown_bit),
		TEST(finds_present_and_held),
		TEST(finds_supervisor_leaf),
		TEST(finds_unaligned_huge_leaf),
		TEST(finds_branch_to_data),
		TEST(finds_leaf_to_no_ram),
		TEST(finds_branch_to_no_ram),
		TEST(finds_mapped_table),
		TEST(finds_entry_without_mark),
		TEST(finds_mapped_host_block),
		TEST(finds_write_below_armed_branch),
		TEST(finds_exclusive_branch_below_armed_one),
		TEST(finds_writable_leaf_that_is_clean),
	};

	return RUN(tests, argc, argv);
}
