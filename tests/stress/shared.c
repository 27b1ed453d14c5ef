/* SPDX-License-Identifier: MIT */
/* The common part of a space, and the file. */
#include "world.h"

#include <unistd.h>

static char backing[FILE_PAGES][HF_PAGE_SIZE];
static pthread_mutex_t backing_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- The file ---- */

/* The page may be written to meanwhile, which is nobody's fault: ThreadSanitizer does not see it. */
__attribute__((no_sanitize("thread"))) static void copy_page(void *dst, const void *src,
							     uint64_t len)
{
	for (uint64_t i = 0; i < len / 8; i++)
		((volatile uint64_t *)dst)[i] = ((const volatile uint64_t *)src)[i];
}

static enum hf_status pager_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	(void)host;
	pthread_mutex_lock(&backing_lock);
	copy_page(page, backing[offset / PAGE], len);
	pthread_mutex_unlock(&backing_lock);
	usleep(50);
	return HF_OK;
}

static enum hf_status pager_writeback(void *host, uint64_t offset, const void *page, uint64_t len)
{
	(void)host;
	pthread_mutex_lock(&backing_lock);
	copy_page(backing[offset / PAGE], page, len);
	pthread_mutex_unlock(&backing_lock);
	usleep(50);
	return HF_OK;
}

static const struct hf_pager pager = { .get = pager_get, .writeback = pager_writeback };

static bool is_bus(unsigned page, enum hf_status st)
{
	return st == HF_ERR_BUS && page >= FILE_STAYS;
}

static void file_store(struct thread *t)
{
	unsigned page = (unsigned)below(t, FILE_PAGES);
	uint64_t at = page * PAGE + word_at(t->index, BY_CPU);
	uint64_t value = file_truth_begin(t, page);
	enum hf_status st;

	if (one_in(t, 3))
		st = hf_object_write(world.object, at, &value, 8);
	else if (one_in(t, 3))
		st = hf_write(driver.mm(t->slot), FILE_AT + at, &value, 8);
	else
		st = driver.store(t->index, t->slot, FILE_AT + at, value);
	if ((is_bus(page, st) || (st == HF_ERR_RANGE && page >= FILE_STAYS)) ||
	    !went("a store to the file", st))
		file_truth_end(t, page, false);
	else
		file_truth_end(t, page, true);
}

static void file_load(struct thread *t)
{
	unsigned page = (unsigned)below(t, FILE_PAGES);
	uint64_t at = page * PAGE + word_at(t->index, BY_CPU), value = 0;
	enum hf_status st;

	if (one_in(t, 3))
		st = hf_object_read(world.object, at, &value, 8);
	else if (one_in(t, 3))
		st = hf_read(driver.mm(t->slot), FILE_AT + at, &value, 8);
	else
		st = driver.load(t->index, t->slot, FILE_AT + at, &value);
	if (is_bus(page, st) || (st == HF_ERR_RANGE && page >= FILE_STAYS))
		return;
	if (went("a load from the file", st))
		file_truth_seen(t, page, value);
}

static void file_some(struct thread *t)
{
	const uint64_t size = (FILE_STAYS + below(t, FILE_PAGES - FILE_STAYS + 1)) * PAGE;

	switch (below(t, 12)) {
	case 0:
		went("hf_object_truncate", hf_object_truncate(world.object, size));
		break;
	case 1:
		went("hf_object_sync", hf_object_sync(world.object, 0, FILE_PAGES * PAGE));
		break;
	case 2:
		went("hf_msync",
		     hf_msync(driver.mm(t->slot), FILE_AT, FILE_STAYS * PAGE, HF_MS_SYNC));
		break;
	case 3:
		went("hf_madvise",
		     hf_madvise(driver.mm(t->slot), FILE_AT, FILE_PAGES * PAGE, HF_ADV_DONTNEED));
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		file_store(t);
		break;
	default:
		file_load(t);
	}
}

/* ---- The common part ---- */

static hf_va word_va(const struct thread *t, unsigned page, enum word word)
{
	return COMMON + page * PAGE + word_at(t->index, word);
}

/* Somebody protects the memory for a moment; a child may have got it so. */
static void unprotect(struct thread *t)
{
	struct hf_mm *mm = driver.mm(t->slot);

	while (!went("hf_mprotect",
		     hf_mprotect(mm, COMMON, COMMON_PAGES * PAGE, HF_PROT_READ | HF_PROT_WRITE))) {
		hf_phys_fail_after(world.phys, 0); /* it may be us who starve everybody */
		usleep(100);
	}
}

static void common_store(struct thread *t, unsigned page)
{
	hf_va va = word_va(t, page, BY_CPU);
	uint64_t value = truth_begin(t, page, BY_CPU);
	enum hf_status st;

	if (one_in(t, 4))
		st = hf_write(driver.mm(t->slot), va, &value, 8);
	else
		st = driver.store(t->index, t->slot, va, value);
	truth_end(t, page, BY_CPU, st == HF_OK);
	if (st == HF_ERR_ACCESS)
		unprotect(t);
	else
		went("a store", st);
}

static void common_load(struct thread *t, unsigned page, enum word word)
{
	uint64_t value = 0;
	enum hf_status st;

	if (one_in(t, 4))
		st = hf_read(driver.mm(t->slot), word_va(t, page, word), &value, 8);
	else
		st = driver.load(t->index, t->slot, word_va(t, page, word), &value);
	if (went("a load", st))
		truth_seen(t, page, word, value);
}

/* The device knows physical addresses alone. */
__attribute__((no_sanitize("thread"))) static void device_store(hf_pa pa, uint64_t value)
{
	*(volatile uint64_t *)hf_phys_ptr(world.phys, pa) = value;
}

__attribute__((no_sanitize("thread"))) static uint64_t device_load(hf_pa pa)
{
	return *(volatile uint64_t *)hf_phys_ptr(world.phys, pa);
}

/* The program and the device look at one page, while others fork. */
static void use_pin(struct thread *t, unsigned page, hf_pa pa)
{
	uint64_t value = truth_begin(t, page, BY_DEVICE);

	device_store((hf_pa){ pa.v + word_at(t->index, BY_DEVICE) }, value);
	truth_end(t, page, BY_DEVICE, true);
	common_store(t, page);
	truth_seen(t, page, BY_CPU, device_load((hf_pa){ pa.v + word_at(t->index, BY_CPU) }));
	common_load(t, page, BY_DEVICE);
	common_load(t, page, BY_CPU);
}

static void unpin(const struct hf_span *span)
{
	enum hf_status st = hf_unpin(world.phys, span, 1);

	if (st)
		wrong("hf_unpin returned %s", hf_status_name(st));
}

void let_pins_go(struct thread *t)
{
	if (t->held.is)
		unpin(&t->held.span);
	t->held.is = false;
}

static void pin_one(struct thread *t, unsigned page)
{
	unsigned flags = one_in(t, 2) ? HF_PIN_READ : HF_PIN_READ | HF_PIN_WRITE;
	struct hf_span span;
	size_t count = 0;
	enum hf_status st;

	st = hf_pin(driver.mm(t->slot), COMMON + page * PAGE, PAGE, flags, &span, 1, &count);
	if (st == HF_ERR_ACCESS)
		unprotect(t);
	else if (went("hf_pin", st)) {
		t->pins++;
		use_pin(t, page, span.pa);
		if (one_in(t, 3) && !t->held.is)
			t->held = (struct held){ true, t->slot, world.slots[t->slot].born, page,
						 span };
		else
			unpin(&span);
	}
}

/* The space has ended, and the device has the page to itself. */
static bool is_orphan(const struct thread *t)
{
	struct slot *s = &world.slots[t->held.slot];
	bool orphan;

	if (t->held.slot == t->slot)
		return s->born != t->held.born;
	if (pthread_rwlock_tryrdlock(&s->life))
		return false;
	orphan = !s->alive || s->born != t->held.born;
	pthread_rwlock_unlock(&s->life);
	return orphan;
}

static void held_some(struct thread *t)
{
	const struct held *h = &t->held;

	if (h->is && h->slot == t->slot && h->born == world.slots[t->slot].born)
		use_pin(t, h->page, h->span.pa);
	else if (h->is && is_orphan(t))
		device_store((hf_pa){ h->span.pa.v + word_at(t->index, BY_DEVICE) }, 1);
	if (one_in(t, 3))
		let_pins_go(t);
}

/* A whole range for a device: a scatter list. */
static void pin_range(struct thread *t)
{
	unsigned pages = 1 + (unsigned)below(t, one_in(t, 8) ? 512 : 24);
	unsigned page = (unsigned)below(t, COMMON_PAGES - pages);
	struct hf_span *spans = t->spans;
	size_t count = 0;
	enum hf_status st;

	st = hf_pin(driver.mm(t->slot), COMMON + page * PAGE, pages * PAGE,
		    HF_PIN_READ | HF_PIN_WRITE, spans, 512, &count);
	if (st == HF_ERR_ACCESS) {
		unprotect(t);
		return;
	}
	if (!went("hf_pin of a range", st))
		return;
	t->pins++;
	for (size_t i = 0; i < count; i++) {
		for (uint64_t at = 0; at < spans[i].len; at += PAGE, page++) {
			if (one_in(t, 8))
				use_pin(t, page, (hf_pa){ spans[i].pa.v + at });
		}
	}
	st = hf_unpin(world.phys, spans, count);
	if (st)
		wrong("hf_unpin of a range returned %s", hf_status_name(st));
}

static void advise(struct thread *t)
{
	static const enum hf_advice kinds[] = {
		HF_ADV_HUGEPAGE, HF_ADV_NOHUGEPAGE, HF_ADV_POPULATE_READ, HF_ADV_COLLAPSE,
		HF_ADV_COLLAPSE, HF_ADV_COLD,	    HF_ADV_PAGEOUT,	  HF_ADV_PAGEOUT,
	};
	enum hf_advice kind = kinds[below(t, sizeof(kinds) / sizeof(kinds[0]))];
	unsigned third = (unsigned)below(t, 3), pages = 1 + (unsigned)below(t, 512);
	hf_va va = COMMON + third * 2 * MIB;
	enum hf_status st;

	if (kind == HF_ADV_HUGEPAGE && third == 1)
		return;
	if (kind == HF_ADV_COLLAPSE || kind == HF_ADV_HUGEPAGE)
		pages = 512;
	st = hf_madvise(driver.mm(t->slot), va, pages * PAGE, kind);
	/* Locked, no store, nothing there. */
	if (st != HF_ERR_INVAL)
		went("hf_madvise", st);
}

static void change(struct thread *t)
{
	struct hf_mm *mm = driver.mm(t->slot);
	unsigned pages = 1 + (unsigned)below(t, 200), page = (unsigned)below(t, COMMON_PAGES - 200);
	hf_va va = COMMON + page * PAGE;
	struct hf_scan scan = { .max_empty = 512, .max_shared = 512, .idle = true };

	switch (below(t, 4)) {
	case 0:
		went("hf_mprotect", hf_mprotect(mm, va, pages * PAGE, HF_PROT_READ));
		unprotect(t);
		break;
	case 1:
		if (went("hf_mlock",
			 hf_mlock(mm, va, pages * PAGE, one_in(t, 2) ? HF_MLOCK_ONFAULT : 0)))
			common_load(t, page, BY_CPU);
		went("hf_munlock", hf_munlock(mm, COMMON, COMMON_PAGES * PAGE));
		break;
	case 2:
		went("hf_collapse_scan", hf_collapse_scan(mm, &scan, 8));
		break;
	case 3:
		advise(t);
		break;
	}
}

void shared_some(struct thread *t)
{
	unsigned page = (unsigned)below(t, COMMON_PAGES);
	uint64_t what = below(t, 100);

	if (what < 35)
		common_store(t, page);
	else if (what < 60)
		common_load(t, page, one_in(t, 3) ? BY_DEVICE : BY_CPU);
	else if (what < 68)
		pin_one(t, page);
	else if (what < 71)
		pin_range(t);
	else if (what < 75)
		held_some(t);
	else if (what < 80)
		change(t);
	else if (what < 86)
		advise(t);
	else
		file_some(t);
}

/* ---- Short lives ---- */

/* An object of the thread's own, from its beginning to its end; children may keep it for longer. */
void object_some(struct thread *t)
{
	const struct hf_object_config config = { .size = 8 * PAGE,
						 .pager = one_in(t, 2) ? &pager : NULL };
	struct hf_mm *mm = driver.mm(t->slot);
	hf_va va = SCRATCH(t->index);
	struct hf_object *o;
	uint64_t value = 0, offset = below(t, 8) * PAGE + 4032;

	if (!went("hf_object_create", hf_object_create(world.phys, &config, &o)))
		return;
	if (went("hf_mmap_object",
		 hf_mmap_object(mm, &va, 8 * PAGE, HF_PROT_READ | HF_PROT_WRITE,
				HF_MAP_FIXED | (one_in(t, 2) ? HF_MAP_SHARED : HF_MAP_PRIVATE), o,
				0))) {
		went("a store", driver.store(t->index, t->slot, va + offset, 0));
		went("a load", driver.load(t->index, t->slot, va + offset, &value));
		if (one_in(t, 2))
			went("hf_object_sync", hf_object_sync(o, 0, 8 * PAGE));
		if (one_in(t, 4))
			went("hf_object_truncate", hf_object_truncate(o, below(t, 9 * PAGE)));
		if (one_in(t, 2))
			went("hf_munmap", hf_munmap(mm, va, 8 * PAGE));
	}
	if (hf_object_put(o))
		wrong("hf_object_put");
}

/* Grows and shrinks; what it grows by is zeros. */
void heap_some(struct thread *t)
{
	struct hf_mm *mm = driver.mm(t->slot);
	hf_va end = HEAP + below(t, 600 * PAGE), now = 0;
	enum hf_status st = hf_brk(mm, 0, &now);
	uint64_t value = 1;

	if (!now && hf_brk_start(mm, HEAP))
		wrong("hf_brk_start");
	if (hf_brk(mm, HEAP, &now) == HF_OK && went("hf_brk", hf_brk(mm, end, &now)) &&
	    end >= HEAP + 8) {
		hf_va va = HEAP + (below(t, end - HEAP) & ~(uint64_t)7);

		st = driver.load(t->index, t->slot, va, &value);
		if (went("a load from the heap", st) && value)
			wrong("the heap has grown by %#llx", (unsigned long long)value);
		went("a store to the heap", driver.store(t->index, t->slot, va, ~value));
	}
}

void shared_begin(void)
{
	const struct hf_object_config config = { .size = FILE_PAGES * PAGE, .pager = &pager };

	if (hf_object_create(world.phys, &config, &world.object))
		wrong("no object");
}

void shared_map(struct hf_mm *mm)
{
	hf_va va = COMMON;

	if (hf_mmap(mm, &va, COMMON_PAGES * PAGE, HF_PROT_READ | HF_PROT_WRITE, HF_MAP_FIXED))
		wrong("hf_mmap");
	if (hf_madvise(mm, COMMON, 2 * MIB, HF_ADV_HUGEPAGE))
		wrong("hf_madvise");
	va = FILE_AT;
	if (hf_mmap_object(mm, &va, FILE_PAGES * PAGE, HF_PROT_READ | HF_PROT_WRITE,
			   HF_MAP_FIXED | HF_MAP_SHARED, world.object, 0))
		wrong("hf_mmap_object");
}

void shared_end(void)
{
	if (hf_object_put(world.object))
		wrong("hf_object_put");
}
