/* SPDX-License-Identifier: MIT */
/*
 * CPUs: their walks, what they cache, and the flush, in steps. Entries are read as the manuals say
 * (ports/soft/mmu.h). A CPU keeps all that no flush has ordered away, and a flush orders away only what
 * port.h and docs/porting.md promise for the format.
 *
 * An access takes two steps: a walk that fills the TLB, unless it is there, and the access itself by
 * what is in the TLB. Between them others may do anything; if a flush takes the translation away, the
 * CPU walks again. A walk is one step: one that reads its entries at different times gives nothing
 * that a cached branch and a later walk would not.
 */
#include "explore.h"
#include "shim.h"

#include "arch/entry.h"
#include "mmu.h"

#undef memset
#undef memcpy
#undef memmove
#include <string.h>

#ifndef MMU_KEEPS_UNLESS_DENIED /* cores of before it was there */
#define MMU_KEEPS_UNLESS_DENIED MMU_BREAK_FIRST
#endif

static unsigned shift(unsigned level)
{
	return HF_PAGE_SHIFT + level * HF_TABLE_BITS;
}

static hf_va base(hf_va va, unsigned level)
{
	return va >> shift(level) << shift(level);
}

/* What a table's frame has for `va`. */
static uint64_t *entry_of(uint64_t table, hf_va va, unsigned level)
{
	uint64_t at = table - HFX_RAM_BASE;

	if (at >= hfx_frames * PAGE)
		hfx_fail("a CPU walks to a table that is no RAM: %#llx", (unsigned long long)table);
	return (uint64_t *)(void *)(hfx_ram + at) + (va >> shift(level)) % HF_TABLE_ENTRIES;
}

static struct hfx_entry *look_up(struct hfx_entry *e, unsigned count, hf_va va, unsigned need)
{
	for (unsigned i = 0; i < count; i++)
		if (base(va, e[i].level) == e[i].base && (e[i].rights & need) == need)
			return &e[i];
	return NULL;
}

/* Keep one more, unless the very same is there; with the same base and another right, that. */
static void keep(struct hfx_entry *e, unsigned *count, struct hfx_entry new, bool leaf)
{
	(void)leaf;
	for (unsigned i = 0; i < *count; i++) {
		if (e[i].base == new.base && e[i].level == new.level &&e[i].pa == new.pa) {
			e[i].rights = new.rights;
			return;
		}
	}
	if (*count == HFX_CACHED)
		hfx_fail("a CPU caches more than the explorer has room for");
	e[(*count)++] = new;
}

/* Where a walk begins: below the lowest branch that is cached, or at the root. */
static void start(const struct hfx_cpu *c, hf_va va, struct hfx_entry *at)
{
	*at = (struct hfx_entry){
		.level = MMU_LEVELS,
		.pa = (uint64_t)c->mm->root.v << HF_PAGE_SHIFT,
		.rights = HF_ACCESS_READ | HF_ACCESS_WRITE | HF_ACCESS_EXEC,
	};
	for (unsigned i = 0; i < c->branches; i++)
		if (c->branch[i].level < at->level &&
		    base(va, c->branch[i].level) == c->branch[i].base)
			*at = c->branch[i];
}

/* One walk, which caches what it finds. False: a page fault; *denied: of a valid leaf. */
static bool walk(struct hfx_cpu *c, hf_va va, unsigned need, bool marks, bool *denied)
{
	struct hfx_entry at;

	start(c, va, &at);
	hfx_event(c, true);
	for (;;) {
		uint64_t *p = entry_of(at.pa, va, at.level - 1), e = *p, marked = e;
		const char *why;

		hfx_event(p, false);
		at.level--;
		if (!mmu_valid(e))
			return false;
		why = mmu_malformed(e, at.level);
		if (why)
			hfx_fail("a CPU finds an entry %#llx at level %u: %s",
				 (unsigned long long)e, at.level, why);
		at.base = base(va, at.level);
		at.pa = mmu_pa(e);
		if (mmu_is_leaf(e, at.level)) {
			at.rights &= mmu_leaf_rights(e);
			*denied = (at.rights & need) != need;
			if (*denied || !mmu_mark_leaf(&marked, need & HF_ACCESS_WRITE && marks))
				return false;
			at.pa &= ~(hf_level_size(at.level) - 1);
			if (!mmu_marked_dirty(marked))
				at.rights &= ~(unsigned)HF_ACCESS_WRITE;
		} else {
			at.rights &= mmu_branch_rights(e);
			marked = mmu_mark_branch(e);
		}
		if (marked != e) {
			hfx_touch_range(p, 8);
			hfx_event(p, true);
			*p = marked;
		}
		if (mmu_is_leaf(e, at.level)) {
			keep(c->leaf, &c->leaves, at, true);
			return true;
		}
		keep(c->branch, &c->branches, at, false);
	}
}

static void drop(struct hfx_entry *e, unsigned *count, unsigned i)
{
	for ((*count)--; i < *count; i++)
		e[i] = e[i + 1];
}

static bool overlaps(const struct hfx_entry *e, hf_va va, uint64_t len)
{
	return e->base < va + len && va < e->base + hf_level_size(e->level);
}

uint64_t *hfx_small_entry(const struct hf_mm *mm, hf_va va)
{
	uint64_t table = (uint64_t)mm->root.v << HF_PAGE_SHIFT;

	for (unsigned level = MMU_LEVELS - 1; level; level--)
		table = mmu_pa(*entry_of(table, va, level));
	return entry_of(table, va, 0);
}

/* What a fault forgets, by itself or by its handler: port.h. */
static void forget_fault(struct hfx_cpu *c, hf_va va)
{
	hfx_event(c, true);
	/* RISC-V forgets all that there is. */
	for (unsigned i = c->leaves; i--;)
		if (!MMU_BRANCH_DENIES_WRITE || overlaps(&c->leaf[i], va, 1))
			drop(c->leaf, &c->leaves, i);
	for (unsigned i = c->branches; i--;)
		if (!MMU_BRANCH_DENIES_WRITE || overlaps(&c->branch[i], va, 1))
			drop(c->branch, &c->branches, i);
}

static void forget(struct hfx_cpu *c, hf_va va, uint64_t len, unsigned what)
{
	for (unsigned i = c->leaves; i--;) {
		if (!overlaps(&c->leaf[i], va, len))
			continue;
		if (what & HF_FLUSH_LEAVES)
			drop(c->leaf, &c->leaves, i);
		else if (what & HF_FLUSH_WRITE)
			c->leaf[i].rights &= ~(unsigned)HF_ACCESS_WRITE;
	}
	for (unsigned i = c->branches; i--;) {
		if (!overlaps(&c->branch[i], va, len))
			continue;
		if (what & HF_FLUSH_TABLES)
			drop(c->branch, &c->branches, i);
		else if (what & HF_FLUSH_WRITE && MMU_BRANCH_DENIES_WRITE)
			c->branch[i].rights &= ~(unsigned)HF_ACCESS_WRITE;
	}
}

void hfx_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	(void)host;
	hfx_drain();
	for (unsigned i = 0; i < HFX_CPUS; i++) {
		struct hfx_cpu *c = &w.cpu[i];

		hfx_point(HFX_FLUSH, &c->leaves, false); /* which space it runs in */
		hfx_event(&c->leaves, false);
		if (c->mm != mm)
			continue;
		hfx_point(HFX_FLUSH, c, true);
		hfx_event(c, true);
		forget(c, va, len, what);
	}
}

void hfx_fill(void *host, struct hf_mm *mm, hf_va va, uint64_t len, const struct hf_translation *t)
{
	struct hfx_cpu *c = &w.cpu[3];

	(void)host;
	(void)len;
	hfx_drain();
	hfx_point(HFX_CALL, c, true);
	hfx_event(c, true);
	if (c->mm == mm)
		keep(c->leaf, &c->leaves,
		     (struct hfx_entry){ base(va, 0), 0, t->pa.v + (base(va, 0) - t->va),
					 t->access },
		     true);
}

/* The access goes to a frame that is somebody's data, or the core is wrong. */
static char *memory_of(const struct hfx_entry *e, hf_va va)
{
	uint64_t pa = e->pa + (va - e->base);
	hf_pfn pfn = { (uint32_t)(pa >> HF_PAGE_SHIFT) };
	const struct hf_frame *f;

	if (pa - HFX_RAM_BASE >= hfx_frames * PAGE)
		hfx_fail("a CPU gets at what is no RAM: %#llx", (unsigned long long)pa);
	f = hf_frame_at(&w.phys, pfn);
	hfx_event((const void *)((uintptr_t)&f->kind & ~(uintptr_t)7), false);
	switch (f->kind) {
	case HF_FRAME_PLAIN:
	case HF_FRAME_HOST:
	case HF_FRAME_PAGE:
	case HF_FRAME_CACHED:
	case HF_FRAME_ZERO:
		return hfx_ram + (pa - HFX_RAM_BASE);
	case HF_FRAME_FREE:
	case HF_FRAME_LOOSE:
		hfx_fail("a CPU gets at a free frame, %u", pfn.v);
	default:
		hfx_fail("a CPU gets at a frame of the core's own, %u", pfn.v);
	}
}

/* A page of a space, as a location: what user code loads and stores is in some order. */
static const void *user_page(const struct hf_mm *mm, hf_va va)
{
	return (const char *)mm + (va >> HF_PAGE_SHIFT) * 64 + 3;
}

void hfx_user_event(const struct hf_mm *mm, hf_va va, bool write)
{
	hfx_event(user_page(mm, va), write);
}

/* A walk, and another after what a fault makes the CPU forget. False: it does fault. */
static bool walk_or_fault(struct hfx_cpu *c, hf_va va, unsigned need)
{
	bool denied = false;

	if (walk(c, va, need, true, &denied))
		return true;
	if (MMU_KEEPS_UNLESS_DENIED && !denied)
		return false;
	forget_fault(c, va);
	return walk(c, va, need, true, &denied);
}

enum hf_status hfx_access(unsigned cpu, hf_va va, bool write, uint64_t *value)
{
	struct hfx_cpu *c = &w.cpu[cpu];
	const unsigned need = write ? HF_ACCESS_WRITE : HF_ACCESS_READ;
	enum hf_status st = HF_OK;

	hfx_drain(); /* on the way back to user code */
	while (!st) {
		const struct hfx_entry *e = look_up(c->leaf, c->leaves, va, need);

		hfx_point(e ? HFX_ACCESS : HFX_WALK, c, true);
		hfx_event(c, false);
		e = look_up(c->leaf, c->leaves, va, need);
		if (e) {
			char *p = memory_of(e, va);

			hfx_event((const void *)((uintptr_t)p / PAGE * PAGE + 1), write);
			hfx_user_event(c->mm, va, write);
			if (write) {
				hfx_touch_range(p, 8);
				memcpy(p, value, 8);
			} else {
				memcpy(value, p, 8);
			}
			return HF_OK;
		}
		if (!walk_or_fault(c, va, need))
			st = hf_fault(c->mm, va, need, NULL);
	}
	return st;
}

void hfx_speculate(unsigned cpu, hf_va va)
{
	struct hfx_cpu *c = &w.cpu[cpu];
	bool denied;

	hfx_point(HFX_WALK, c, true);
	if (c->mm)
		walk(c, va, 0, false, &denied);
}

/* ---- After a schedule: all flushes are done, so what is cached is true ---- */

/*
 * The tables' entry for `va` at `level` or above; *at says where. A branch that is unarmed is not
 * valid, but what was cached through it for reading may stay.
 */
static uint64_t entry_now(const struct hf_mm *mm, hf_va va, unsigned level, unsigned *at,
			  unsigned *rights)
{
	uint64_t pa = (uint64_t)mm->root.v << HF_PAGE_SHIFT, e = 0;

	*rights = HF_ACCESS_READ | HF_ACCESS_WRITE | HF_ACCESS_EXEC;
	for (*at = MMU_LEVELS; *at > level;) {
		e = *entry_of(pa, va, --*at);
		if (level == 0 && hf_pte_branch((hf_pte){ e }, *at) &&
		    hf_branch_unarmed((hf_pte){ e }) && !hf_pte_hidden((hf_pte){ e })) {
			*rights &= ~(unsigned)HF_ACCESS_WRITE;
			pa = hf_pfn_pa(hf_pte_pfn((hf_pte){ e })).v;
			continue;
		}
		if (!mmu_valid(e))
			return e;
		if (mmu_is_leaf(e, *at)) {
			*rights &= mmu_leaf_rights(e);
			return e;
		}
		*rights &= mmu_branch_rights(e);
		pa = mmu_pa(e);
	}
	return e;
}

static void check_leaf(unsigned cpu, const struct hf_mm *mm, const struct hfx_entry *e, hf_va va)
{
	unsigned at, rights;
	uint64_t now = entry_now(mm, va, 0, &at, &rights);
	uint64_t pa = (mmu_pa(now) & ~(hf_level_size(at) - 1)) + (va - base(va, at));

	if (!mmu_valid(now) || pa != e->pa + (va - e->base) || e->rights & ~rights)
		hfx_fail("CPU %u still has a translation of %#llx to %#llx, rights %u; the tables "
			 "say %#llx, rights %u",
			 cpu, (unsigned long long)va, (unsigned long long)(e->pa + (va - e->base)),
			 e->rights, (unsigned long long)now, rights);
}

static void check_branch(unsigned cpu, const struct hf_mm *mm, const struct hfx_entry *e)
{
	unsigned at, rights;
	uint64_t now = entry_now(mm, e->base, e->level, &at, &rights);

	if (at != e->level || !mmu_valid(now) || mmu_is_leaf(now, at) || mmu_pa(now) != e->pa ||
	    e->rights & ~rights)
		hfx_fail("CPU %u still has a branch of %#llx, level %u, to %#llx; the tables say "
			 "%#llx",
			 cpu, (unsigned long long)e->base, e->level, (unsigned long long)e->pa,
			 (unsigned long long)now);
}

void hfx_check_caches(void)
{
	for (unsigned i = 0; i < HFX_CPUS; i++) {
		const struct hfx_cpu *c = &w.cpu[i];

		if (!c->mm || c->mm->root.v == HF_NIL)
			continue;
		for (unsigned k = 0; k < c->leaves; k++) {
			check_leaf(i, c->mm, &c->leaf[k], c->leaf[k].base);
			for (unsigned n = 0; c->leaf[k].level && n < 8; n++)
				check_leaf(i, c->mm, &c->leaf[k], c->leaf[k].base + n * PAGE);
		}
		for (unsigned k = 0; k < c->branches; k++)
			check_branch(i, c->mm, &c->branch[k]);
	}
}

/* ---- User code ---- */

struct hfx_written *hfx_write_begins(const struct hf_mm *mm, hf_va va, uint64_t value)
{
	struct hfx_written *s = &w.written[w.writes];

	if (w.writes == sizeof(w.written) / sizeof(w.written[0]))
		hfx_fail("more stores than the explorer has room for");
	w.writes++;
	*s = (struct hfx_written){ mm, va, value, hfx_now, UINT64_MAX, false };
	return s;
}

void hfx_write_ends(struct hfx_written *s)
{
	s->end = hfx_now;
}

void hfx_write_failed(struct hfx_written *s)
{
	s->mm = NULL;
}

enum hf_status hfx_user_store(unsigned cpu, hf_va va, uint64_t value)
{
	struct hfx_written *s = hfx_write_begins(w.cpu[cpu].mm, va, value);
	enum hf_status st = hfx_access(cpu, va, true, &value);

	if (st)
		hfx_write_failed(s);
	else
		hfx_write_ends(s);
	return st;
}

void hfx_inherit(const struct hf_mm *from, struct hf_mm *to)
{
	for (unsigned i = 0, n = w.writes; i < n; i++) {
		if (w.written[i].mm != from)
			continue;
		w.written[w.writes] = w.written[i];
		w.written[w.writes++].mm = to;
	}
}

/* A load that was under way from `begin` to `end` may see the store: no other has come after it. */
static bool may_see(const struct hfx_written *s, uint64_t begin, uint64_t end)
{
	if (s->begin > end)
		return false;
	for (const struct hfx_written *o = w.written; o < w.written + w.writes; o++)
		if (o->mm == s->mm && o->va == s->va && o > s && !o->perhaps &&
		    o->begin >= s->end && o->end <= begin)
			return false;
	return true;
}

bool hfx_may_be(const struct hf_mm *mm, hf_va va, uint64_t value, uint64_t begin, uint64_t end)
{
	bool any = false;

	for (const struct hfx_written *s = w.written; s < w.written + w.writes; s++) {
		if (s->mm != mm || s->va != va)
			continue;
		any = true;
		if (s->value == value && may_see(s, begin, end))
			return true;
	}
	return !any && !value;
}

enum hf_status hfx_user_load(unsigned cpu, hf_va va, uint64_t *value)
{
	const struct hf_mm *mm = w.cpu[cpu].mm;
	uint64_t begin = hfx_now, got = 0;
	enum hf_status st = hfx_access(cpu, va, false, &got);

	if (!st && !hfx_may_be(mm, va, got, begin, hfx_now))
		hfx_fail("CPU %u loads %#llx from page %lld, which is not what was stored there "
			 "last",
			 cpu, (unsigned long long)got, (long long)(va - w.va) / (long long)PAGE);
	if (value)
		*value = got;
	return st;
}

void hfx_check_contents(void)
{
	for (unsigned i = 0; i < w.writes; i++) {
		const struct hfx_written *s = &w.written[i];
		uint64_t v = 0;

		if (!s->mm || s->mm->root.v == HF_NIL ||
		    hf_read((struct hf_mm *)(uintptr_t)s->mm, s->va, &v, 8))
			continue;
		if (!hfx_may_be(s->mm, s->va, v, UINT64_MAX, UINT64_MAX))
			hfx_fail("in the end space %c has %#llx in page %lld, not what was stored "
				 "there "
				 "last",
				 (char)('a' + (s->mm - w.mm)), (unsigned long long)v,
				 (long long)(s->va - w.va) / (long long)PAGE);
	}
}
