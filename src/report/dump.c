/* SPDX-License-Identifier: MIT */
/*
 * The page tables of a space as text, for people: one line an entry, alike neighbours folded.
 *
 * mm lock held exclusively, so what the space alone leads to stands still. Each entry is read with
 * its counts under phys->lock, which is let go before the next: in a table that is shared with
 * other spaces, entries may change between two lines, but no branch goes away.
 */
#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../phys/block.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/zero.h"
#include "../space/mm.h"
#include "../table/table.h"

#include <holdfast/mm.h>
#include <holdfast/report.h>

/* ---- One line of text ---- */

struct dump_line {
	char text[192]; /* the longest line has about 130 characters */
	size_t len;
};

static void line_put(struct dump_line *l, const char *s)
{
	while (*s && l->len + 1 < sizeof(l->text))
		l->text[l->len++] = *s++;
	l->text[l->len] = 0;
}

/* With at least so many digits. */
static void put_number(struct dump_line *l, uint64_t v, unsigned base, unsigned digits)
{
	char text[20]; /* 2^64 has 20 digits, and needs no 0 before them */
	unsigned at = sizeof(text);
	char one[2] = { 0 };

	do {
		text[--at] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v || sizeof(text) - at < digits);
	while (at < sizeof(text)) {
		one[0] = text[at++];
		line_put(l, one);
	}
}

static void put_hex(struct dump_line *l, const char *before, uint64_t v, unsigned digits)
{
	line_put(l, before);
	line_put(l, "0x");
	put_number(l, v, 16, digits);
}

static void put_decimal(struct dump_line *l, const char *before, uint64_t v)
{
	line_put(l, before);
	put_number(l, v, 10, 1);
}

static void put_if(struct dump_line *l, bool so, const char *s)
{
	if (so)
		line_put(l, s);
}

/* ---- Entries ---- */

/* An entry, or several that follow each other in a table and in RAM. */
struct entries {
	hf_pte e; /* the first */
	hf_va va;
	unsigned level;
	uint64_t count; /* 0: there is none yet */
	bool zero;	/* a leaf to a zero page */
	uint32_t refs;	/* of the table that a branch leads to */
	uint32_t maps;	/* of a leaf's block, at its level */
	uint64_t pins;	/* of a small page: pins; of a huge one: frames that are pinned */
};

struct dump {
	struct hf_mm *mm;
	void (*print)(void *arg, const char *line);
	void *arg;
};

/* What a leaf's block says of itself. phys->lock held. */
HF_HOLDS(phys)
static void read_leaf(struct hf_phys *phys, struct entries *r)
{
	hf_pfn pfn = hf_pte_pfn(r->e);
	const struct hf_frame *block = hf_block(phys, pfn, r->level);

	r->zero = hf_is_zero_locked(phys, pfn);
	r->maps = r->level == HF_LEVEL_PTE ? block->maps : block->block_maps;
	r->pins = r->level == HF_LEVEL_PTE ? hf_pins_locked(phys, pfn)
					   : hf_pinned_frames_locked(phys, pfn, r->level);
}

/* Takes phys->lock. */
static struct entries read_entry(struct hf_phys *phys, const hf_pte *entry, hf_va va,
				 unsigned level)
{
	struct entries r = { .va = va, .level = level, .count = 1 };

	hf_phys_lock(phys);
	r.e = hf_pte_get(entry);
	if (hf_pte_branch(r.e, level))
		r.refs = hf_frame_at(phys, hf_pte_pfn(r.e))->refs;
	else if (hf_pte_leaf(r.e, level))
		read_leaf(phys, &r);
	hf_phys_unlock(phys);
	return r;
}

static bool entries_continue(const struct entries *r, const struct entries *next)
{
	uint64_t step = r->zero ? 0 : r->count << hf_level_order(r->level);
	uint64_t bits = ~hf_format.pfn_bits;

	if (!r->count || hf_pte_branch(next->e, next->level) || r->zero != next->zero ||
	    r->maps != next->maps || r->pins != next->pins || (r->e.v & bits) != (next->e.v & bits))
		return false;
	return r->va + r->count * hf_level_size(r->level) == next->va &&
	       hf_pte_pfn(r->e).v + step == hf_pte_pfn(next->e).v;
}

static void line_put_branch(struct dump_line *l, const struct entries *r)
{
	put_hex(l, " table ", hf_pte_pfn(r->e).v, 1);
	line_put(l, hf_branch_writable(r->e) ? " W" : " -");
	put_if(l, hf_branch_look(r->e), " LOOK");
	put_if(l, hf_branch_unarmed(r->e), " unarmed");
	put_if(l, hf_pte_hidden(r->e), " hidden");
	put_decimal(l, " refs ", r->refs);
}

static void put_leaf(struct dump_line *l, const struct entries *r)
{
	put_hex(l, r->zero ? " zero " : " page ", hf_pte_pfn(r->e).v, 1);
	line_put(l, hf_pte_present(r->e) ? " R" : " -");
	line_put(l, hf_leaf_writable(r->e) ? "W" : "-");
	line_put(l, hf_leaf_executable(r->e) ? "X" : "-");
	put_if(l, hf_pte_hidden(r->e), " hidden");
	put_if(l, hf_leaf_accessed(r->e), " accessed");
	put_if(l, hf_leaf_dirty(r->e), " dirty");
	put_if(l, hf_leaf_lazy(r->e), " lazy");
	if (!r->zero)
		put_decimal(l, " maps ", r->maps);
	if (r->pins)
		put_decimal(l, r->level == HF_LEVEL_PTE ? " pins " : " pinned ", r->pins);
}

/* Nothing, if there is none. No lock but the mm's. */
static void print_entries(const struct dump *d, struct entries *r)
{
	struct dump_line l = { .len = 0 };

	if (!r->count)
		return;
	for (unsigned level = HF_TOP_LEVEL; level > r->level; level--)
		line_put(&l, "  ");
	put_decimal(&l, "L", r->level);
	put_hex(&l, " ", r->va, 12);
	if (hf_pte_swapped(r->e))
		put_decimal(&l, " swapped slot ", hf_swapped_slot(r->e));
	else if (hf_pte_branch(r->e, r->level))
		line_put_branch(&l, r);
	else
		put_leaf(&l, r);
	if (r->count > 1)
		put_decimal(&l, " x ", r->count);
	d->print(d->arg, l.text);
	r->count = 0;
}

static void dump_table(const struct dump *d, hf_pfn table, hf_va base, unsigned level)
{
	struct hf_phys *phys = d->mm->phys;
	const hf_pte *entries = hf_table_entries(phys, table);
	struct entries run = { .count = 0 };

	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		struct entries r;

		if (hf_pte_none(hf_pte_get(&entries[i])))
			continue;
		r = read_entry(phys, &entries[i], base + i * hf_level_size(level), level);
		if (entries_continue(&run, &r)) {
			run.count++;
			continue;
		}
		print_entries(d, &run);
		run = r;
		if (hf_pte_branch(r.e, level)) {
			print_entries(d, &run);
			dump_table(d, hf_pte_pfn(r.e), r.va, level - 1);
		}
	}
	print_entries(d, &run);
}

void hf_mm_dump(struct hf_mm *mm, void (*print)(void *arg, const char *line), void *arg)
{
	const struct dump d = { mm, print, arg };
	struct dump_line l = { .len = 0 };

	hf_mm_lock_exclusive(mm);
	put_hex(&l, "space ", mm->va_lo, 12);
	put_hex(&l, " to ", mm->va_hi, 12);
	put_hex(&l, " root ", mm->root.v, 1);
	print(arg, l.text);
	dump_table(&d, mm->root, 0, HF_TOP_LEVEL);
	hf_mm_unlock_exclusive(mm);
}
