/* SPDX-License-Identifier: MIT */
/* The part of a space that is one thread's: it knows every page of it, whatever the others do. */
#include "world.h"

#include <string.h>

#define RW (HF_PROT_READ | HF_PROT_WRITE)

struct range {
	unsigned first, count;
};

static struct own_page *page_of(struct thread *t, unsigned i)
{
	return &t->own[t->slot].page[i];
}

static hf_va va_of(const struct thread *t, unsigned i)
{
	return OWN(t->index) + i * PAGE;
}

/* Mostly a few pages, sometimes one that could be huge, or all. */
static struct range some(struct thread *t)
{
	unsigned count;

	if (one_in(t, 12))
		return (struct range){ 512 * (unsigned)below(t, 2), 512 };
	if (one_in(t, 60))
		return (struct range){ 0, OWN_PAGES };
	count = 1 + (unsigned)below(t, 48);
	return (struct range){ (unsigned)below(t, OWN_PAGES - count), count };
}

/* All of it is mapped and allows this. */
static bool allows(struct thread *t, struct range r, unsigned prot)
{
	for (unsigned i = r.first; i < r.first + r.count; i++)
		if ((page_of(t, i)->prot & prot) != prot || !page_of(t, i)->prot)
			return false;
	return true;
}

static void become(struct thread *t, struct range r, struct own_page now)
{
	for (unsigned i = r.first; i < r.first + r.count; i++)
		*page_of(t, i) = now;
}

/* ---- Accesses ---- */

/* Both words of the page have been read. */
static void seen(struct thread *t, unsigned i, uint64_t first, uint64_t last)
{
	struct own_page *p = page_of(t, i);

	if (p->lazy && !first && !last)
		p->value = 0;
	if (first != p->value || last != p->value)
		wrong("page %u of thread %u's own in slot %u: %#llx, %#llx, and not %#llx", i,
		      t->index, t->slot, (unsigned long long)first, (unsigned long long)last,
		      (unsigned long long)p->value);
}

static void load(struct thread *t, unsigned i)
{
	hf_va va = va_of(t, i);
	struct hf_mm *mm = driver.mm(t->slot);
	uint64_t first = 0, last = 0;
	enum hf_status st;

	if (one_in(t, 4)) {
		st = hf_read(mm, va, &first, 8);
		if (!st)
			st = hf_read(mm, va + PAGE - 8, &last, 8);
	} else {
		st = driver.load(t->index, t->slot, va, &first);
		if (!st)
			st = driver.load(t->index, t->slot, va + PAGE - 8, &last);
	}
	if (!page_of(t, i)->prot) {
		if (st != HF_ERR_UNMAPPED)
			wrong("a load where nothing is mapped: %s", hf_status_name(st));
		return;
	}
	/* A page that may become zeros may do so between the two. */
	if (went("a load", st) && !(page_of(t, i)->lazy && !first != !last))
		seen(t, i, first, last);
}

static void store(struct thread *t, unsigned i)
{
	hf_va va = va_of(t, i);
	struct own_page *p = page_of(t, i);
	uint64_t value = ++t->sequence << 20 | 0x80000 | (uint64_t)i << 8 | (t->index + 1);
	enum hf_status st = driver.store(t->index, t->slot, va, value);

	if (!(p->prot & HF_PROT_WRITE)) {
		if (st != (p->prot ? HF_ERR_ACCESS : HF_ERR_UNMAPPED))
			wrong("a store that is not allowed: %s", hf_status_name(st));
		return;
	}
	if (!went("a store", st))
		return;
	/* It may have gone to the store by now, and want a frame to come back. */
	while (!went("a store", driver.store(t->index, t->slot, va + PAGE - 8, value)))
		hf_phys_fail_after(world.phys, 0);
	p->value = value;
	p->lazy = false;
}

static void fill(struct thread *t, struct range r)
{
	for (unsigned i = r.first; i < r.first + r.count; i++)
		if (page_of(t, i)->prot & HF_PROT_WRITE && !one_in(t, 3))
			store(t, i);
}

static void look(struct thread *t, struct range r)
{
	for (unsigned i = r.first; i < r.first + r.count; i++)
		load(t, i);
}

/* ---- Changes ---- */

static void map(struct thread *t, struct range r)
{
	hf_va va = va_of(t, r.first);

	if (!went("hf_mmap", hf_mmap(driver.mm(t->slot), &va, r.count * PAGE, RW, HF_MAP_FIXED)))
		return;
	become(t, r, (struct own_page){ .prot = RW });
	/* Somebody may have asked for locks: see hf_lock_future. */
	went("hf_munlock", hf_munlock(driver.mm(t->slot), va, r.count * PAGE));
}

static void unmap(struct thread *t, struct range r)
{
	if (went("hf_munmap", hf_munmap(driver.mm(t->slot), va_of(t, r.first), r.count * PAGE)))
		become(t, r, (struct own_page){ 0 });
}

static void protect(struct thread *t, struct range r)
{
	unsigned prot = one_in(t, 2) ? RW : HF_PROT_READ;

	if (!allows(t, r, 0) ||
	    !went("hf_mprotect",
		  hf_mprotect(driver.mm(t->slot), va_of(t, r.first), r.count * PAGE, prot)))
		return;
	for (unsigned i = r.first; i < r.first + r.count; i++)
		page_of(t, i)->prot = (uint8_t)prot;
}

/* To a place that does not overlap, of the same size. */
static void move(struct thread *t, struct range r)
{
	struct range to = { (unsigned)below(t, OWN_PAGES - r.count + 1), r.count };
	hf_va va;

	if (r.count > OWN_PAGES / 2 || !allows(t, r, 0))
		return;
	if (r.count == 512)
		to.first = 512 - r.first;
	if (to.first < r.first + r.count && r.first < to.first + to.count)
		return;
	va = va_of(t, to.first);
	if (!went("hf_mremap", hf_mremap(driver.mm(t->slot), va_of(t, r.first), r.count * PAGE,
					 r.count * PAGE, HF_MREMAP_MAYMOVE | HF_MREMAP_FIXED, &va)))
		return;
	memcpy(page_of(t, to.first), page_of(t, r.first), r.count * sizeof(struct own_page));
	become(t, r, (struct own_page){ 0 });
}

static void advise(struct thread *t, struct range r)
{
	static const enum hf_advice kinds[] = {
		HF_ADV_DONTNEED, HF_ADV_DONTNEED,      HF_ADV_HUGEPAGE,	      HF_ADV_NOHUGEPAGE,
		HF_ADV_DONTFORK, HF_ADV_DOFORK,	       HF_ADV_WIPEONFORK,     HF_ADV_KEEPONFORK,
		HF_ADV_FREE,	 HF_ADV_POPULATE_READ, HF_ADV_POPULATE_WRITE, HF_ADV_COLLAPSE,
		HF_ADV_COLD,	 HF_ADV_PAGEOUT,
	};
	enum hf_advice kind = kinds[below(t, sizeof(kinds) / sizeof(kinds[0]))];
	enum hf_status st;

	if (!allows(t, r, kind == HF_ADV_POPULATE_WRITE ? HF_PROT_WRITE : 0))
		return;
	/* Before, as it may happen at once. */
	for (unsigned i = r.first; kind == HF_ADV_FREE && i < r.first + r.count; i++)
		page_of(t, i)->lazy = true;
	st = hf_madvise(driver.mm(t->slot), va_of(t, r.first), r.count * PAGE, kind);
	/* No store; a part with nothing in it; or there was no memory to unlock what was mapped. */
	if (st == HF_ERR_INVAL &&
	    (kind == HF_ADV_PAGEOUT || kind == HF_ADV_COLLAPSE || kind == HF_ADV_DONTNEED ||
	     kind == HF_ADV_FREE || kind == HF_ADV_COLD))
		return;
	if (!went("hf_madvise of one's own", st) || kind != HF_ADV_DONTNEED)
		return;
	for (unsigned i = r.first; i < r.first + r.count; i++)
		page_of(t, i)->value = 0, page_of(t, i)->lazy = false;
}

/* A device has the page, and it goes from under it. */
static void unmap_pinned(struct thread *t, struct range r)
{
	struct hf_span span;
	size_t count = 0;

	r.count = 1;
	if (!allows(t, r, HF_PROT_WRITE) ||
	    !went("hf_pin", hf_pin(driver.mm(t->slot), va_of(t, r.first), PAGE,
				   HF_PIN_READ | HF_PIN_WRITE, &span, 1, &count)))
		return;
	page_of(t, r.first)->lazy = false;
	store(t, r.first);
	if (one_in(t, 2))
		unmap(t, r);
	else
		look(t, r);
	*(uint64_t *)hf_phys_ptr(world.phys, (hf_pa){ span.pa.v + 128 }) = t->sequence;
	if (hf_unpin(world.phys, &span, 1))
		wrong("hf_unpin");
}

/* Between two spaces, or within one. */
static void copy(struct thread *t, struct range r)
{
	struct range from = { (unsigned)below(t, OWN_PAGES - r.count + 1), r.count };
	unsigned slot = t->slot, other = (unsigned)below(t, SLOTS);
	struct own_page pages[OWN_PAGES];
	bool readable = false;

	if (other != slot && pthread_rwlock_tryrdlock(&world.slots[other].life))
		return;
	t->slot = other;
	if (world.slots[other].alive && t->own[other].born == world.slots[other].born &&
	    (other != slot || from.first + from.count <= r.first ||
	     r.first + r.count <= from.first))
		readable = allows(t, from, HF_PROT_READ);
	memcpy(pages, page_of(t, from.first), from.count * sizeof(pages[0]));
	for (unsigned i = 0; i < from.count; i++)
		readable = readable && !pages[i].lazy;
	t->slot = slot;
	if (readable && allows(t, r, HF_PROT_WRITE) &&
	    went("hf_copy", hf_copy(driver.mm(slot), va_of(t, r.first), driver.mm(other),
				    va_of(t, from.first), r.count * PAGE))) {
		for (unsigned i = 0; i < r.count; i++) {
			page_of(t, r.first + i)->value = pages[i].value;
			page_of(t, r.first + i)->lazy = false;
		}
	}
	if (other != slot)
		pthread_rwlock_unlock(&world.slots[other].life);
}

/* A space that has been forked since: what it has here is not known. */
static bool begin_anew(struct thread *t)
{
	struct own *own = &t->own[t->slot];

	if (own->born == world.slots[t->slot].born)
		return true;
	if (!went("hf_munmap", hf_munmap(driver.mm(t->slot), va_of(t, 0), OWN_PAGES * PAGE)))
		return false;
	memset(own, 0, sizeof(*own));
	own->born = world.slots[t->slot].born;
	return true;
}

void own_some(struct thread *t)
{
	struct range r = some(t);
	uint64_t what = below(t, 100);

	if (!begin_anew(t))
		return;
	if (what < 15)
		map(t, r);
	else if (what < 22)
		unmap(t, r);
	else if (what < 28)
		protect(t, r);
	else if (what < 36)
		move(t, r);
	else if (what < 50)
		advise(t, r);
	else if (what < 53)
		unmap_pinned(t, r);
	else if (what < 58)
		copy(t, r);
	else if (what < 80)
		fill(t, r);
	else
		look(t, r);
}
