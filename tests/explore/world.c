/* SPDX-License-Identifier: MIT */
/*
 * What a scenario runs in: RAM, its descriptors, spaces, CPUs, a swap store, a pager. It is made once;
 * before each schedule what the last one has touched is put back.
 */
#include "explore.h"
#include "shim.h"
#undef memset
#undef memcpy
#undef memmove

#include <holdfast/check.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FRAMES_MOST 8192

struct hfx_world w;
char *hfx_ram, *hfx_meta;
unsigned hfx_frames;

static struct hf_ram range;
static struct hfx_world first_world;
static char *first_ram, *first_meta;

/* Frames that this schedule has touched, whole or the beginning of. */
static uint32_t epoch = 1, whole[FRAMES_MOST], part[FRAMES_MOST];
static unsigned touched[2 * FRAMES_MOST], touches;
/* Frames of the core's own, which it may change without asking where they are. */
static unsigned own[FRAMES_MOST], owns;
static bool looking; /* nothing is changed */

int hfx_frame_of(const void *p)
{
	uintptr_t at = (uintptr_t)p - (uintptr_t)hfx_ram;

	return at < hfx_frames * PAGE ? (int)(at / PAGE) : -1;
}

static void touch(unsigned frame, bool all)
{
	uint32_t *stamp = all ? whole : part;

	if (looking || whole[frame] == epoch || stamp[frame] == epoch)
		return;
	stamp[frame] = epoch;
	touched[touches++] = frame << 1 | all;
}

void hfx_touch(uint32_t pfn)
{
	touch(pfn - (uint32_t)(HFX_RAM_BASE >> HF_PAGE_SHIFT), true);
}

/* More than a page is data, of which the beginning of each frame counts. */
void hfx_touch_range(const void *p, size_t len)
{
	int frame = hfx_frame_of(p);

	if (frame < 0)
		return;
	for (size_t done = 0; done < len; done += PAGE)
		touch((unsigned)frame++, len <= PAGE);
}

void hfx_world_reset(void)
{
	for (unsigned i = 0; i < touches; i++) {
		size_t at = (touched[i] >> 1) * PAGE;

		memcpy(hfx_ram + at, first_ram + at, touched[i] & 1 ? PAGE : HFX_DATA);
	}
	touches = 0;
	epoch++;
	for (unsigned i = 0; i < owns; i++)
		memcpy(hfx_ram + own[i] * PAGE, first_ram + own[i] * PAGE, PAGE);
	memcpy(hfx_meta, first_meta, hfx_frames * HF_FRAME_META);
	memcpy(&w, &first_world, sizeof(w));
}

/* ---- The core's moves of memory ---- */

/* A frame of data is one location, beside the 8 bytes that it begins with. */
static const void *contents(const void *p)
{
	return hfx_ram + hfx_frame_of(p) * (ptrdiff_t)PAGE + 1;
}

static void moves(const void *p, size_t len, bool write)
{
	if (hfx_frame_of(p) < 0)
		return;
	if (write)
		hfx_touch_range(p, len);
	for (size_t done = 0; done < len; done += PAGE)
		hfx_event(contents((const char *)p + done), write);
}

static void move_step(const void *p)
{
	if (hfx_frame_of(p) >= 0)
		hfx_point(HFX_COPY, contents(p), false);
}

void *hfx_memset(void *dst, int c, size_t len)
{
	move_step(dst);
	moves(dst, len, true);
	if (len <= PAGE || hfx_frame_of(dst) < 0)
		return memset(dst, c, len);
	for (size_t done = 0; done < len; done += PAGE)
		memset((char *)dst + done, c, HFX_DATA);
	return dst;
}

void *hfx_memmove(void *dst, const void *src, size_t len)
{
	move_step(hfx_frame_of(src) >= 0 ? src : dst);
	moves(src, len, false);
	moves(dst, len, true);
	if (len <= PAGE || hfx_frame_of(dst) < 0)
		return memmove(dst, src, len);
	for (size_t done = 0; done < len; done += PAGE)
		memcpy((char *)dst + done, (const char *)src + done, HFX_DATA);
	return dst;
}

/* ---- The port ---- */

static void copy(void *host, void *dst, const void *src, size_t len)
{
	(void)host;
	hfx_memmove(dst, src, len);
}

static void port_wait(void *host, const uint32_t *word, uint32_t value)
{
	(void)host;
	hfx_drain();
	hfx_point(HFX_LOAD, word, true);
	hfx_event(word, true);
	if (!hfx_self || *word != value)
		return;
	hfx_self->woken = false;
	hfx_point(HFX_SLEEP, word, true);
	hfx_event(word, true);
}

static void port_wake(void *host, const uint32_t *word)
{
	(void)host;
	hfx_drain();
	hfx_point(HFX_WAKE, word, true);
	hfx_event(word, true);
	for (unsigned i = 0; i < hfx_count; i++)
		if (hfx_agents[i].op == HFX_SLEEP && hfx_agents[i].at == word)
			hfx_agents[i].woken = true;
}

static void panic(void *host, const char *what)
{
	(void)host;
	hfx_fail("panic: %s", what);
}

static struct hf_port port = {
	.flush = hfx_flush,
	.copy = copy,
	.wait = port_wait,
	.wake = port_wake,
	.panic = panic,
};

/* ---- The swap store, and a pager ---- */

static bool store_read(void *host, uint64_t slot, void *page)
{
	(void)host;
	hfx_drain();
	hfx_point(HFX_CALL, &w.slot[slot], true);
	hfx_event(&w.slot[slot], false);
	moves(page, PAGE, true);
	memcpy(page, w.slot[slot], HFX_DATA);
	return true;
}

static bool store_write(void *host, uint64_t slot, const void *page)
{
	(void)host;
	hfx_drain();
	hfx_point(HFX_CALL, &w.slot[slot], true);
	hfx_event(&w.slot[slot], true);
	moves(page, PAGE, false);
	memcpy(w.slot[slot], page, HFX_DATA);
	return !w.store_fails;
}

void hfx_swap_on(void)
{
	w.store = (struct hf_store){
		.slots = HFX_SLOTS,
		.read = store_read,
		.write = store_write,
		.meta = w.slot_meta,
	};
	OK(hf_swap_on(&w.phys, &w.store));
}

/* One step, in which the file is used. */
static char *file_page(struct hfx_file *f, uint64_t offset)
{
	hfx_drain();
	hfx_point(HFX_CALL, f, true);
	hfx_event(f, true);
	if (f->ended)
		hfx_fail("a pager is called after its object has ended");
	return f->page[offset / PAGE % HFX_PAGES];
}

static enum hf_status pager_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	struct hfx_file *f = host;
	const char *kept = file_page(f, offset);

	f->gets++;
#ifndef HFX_NO_SUPPLY
	if (f->later) {
		hfx_event(&f->asked, true);
		f->asked++;
		return HF_ERR_PENDING;
	}
#endif
	moves(page, len, true);
	memcpy(page, kept, HFX_DATA);
	return HF_OK;
}

static enum hf_status pager_writeback(void *host, uint64_t offset, const void *page, uint64_t len)
{
	struct hfx_file *f = host;
	char *kept = file_page(f, offset);

	moves(page, len, false);
	if (f->fails)
		return HF_ERR_BUS;
	memcpy(kept, page, len < HFX_DATA ? len : HFX_DATA);
	f->writebacks++;
	return HF_OK;
}

static void pager_put(void *host, uint64_t offset, const void *page, uint64_t len, bool dirty)
{
	struct hfx_file *f = host;
	char *kept = file_page(f, offset);

	moves(page, len, false);
	if (dirty)
		memcpy(kept, page, HFX_DATA);
	f->puts++;
}

void hfx_file_end(unsigned i, unsigned puts)
{
	struct hfx_file *f = &w.file[i];

	file_page(f, 0);
	if (f->puts != puts)
		hfx_fail("the pager was to get %u pages back before the end, and has %u", puts,
			 f->puts);
	f->ended = true;
}

const struct hf_pager hfx_pager = { pager_get, pager_writeback, pager_put, NULL };

/* ---- Making it ---- */

void hfx_ok(enum hf_status st, const char *what)
{
	if (st)
		hfx_fail("%s gives %s", what, hf_status_name(st));
}

void hfx_switch(unsigned cpu, struct hf_mm *mm)
{
	hfx_point(HFX_FLUSH, &w.cpu[cpu], true);
	hfx_event(&w.cpu[cpu], true);
	hfx_event(&w.cpu[cpu].leaves, true);
	w.cpu[cpu] = (struct hfx_cpu){ .mm = mm };
}

void hfx_set(uint64_t *flag, uint64_t v)
{
	hfx_point(HFX_CALL, flag, true);
	hfx_event(flag, true);
	*flag = v;
}

uint64_t hfx_get(const uint64_t *flag)
{
	hfx_point(HFX_CALL, flag, true);
	hfx_event(flag, false);
	return *flag;
}

void hfx_until(const uint64_t *flag)
{
	hfx_point(HFX_UNTIL, flag, true);
	hfx_event(flag, false);
}

static void *memory(size_t len, uintptr_t at)
{
	void *p = mmap((void *)at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("explore: no memory");
		exit(2);
	}
	return p;
}

static void find_own(void)
{
	owns = 0;
	for (unsigned i = 0; i < hfx_frames; i++) {
		const struct hf_frame *f = (const struct hf_frame *)(const void *)hfx_meta + i;

		if (f->kind == HF_FRAME_OBJECT || f->kind == HF_FRAME_NODE)
			own[owns++] = i;
	}
}

void hfx_world_make(const struct hfx_scenario *s)
{
	if (!hfx_ram) {
		hfx_ram = memory(FRAMES_MOST * PAGE, (uintptr_t)1 << 44);
		first_ram = memory(FRAMES_MOST * PAGE, 0);
		hfx_meta = memory(FRAMES_MOST * HF_FRAME_META,
				  ((uintptr_t)1 << 44) + ((uintptr_t)1 << 32));
		first_meta = memory(FRAMES_MOST * HF_FRAME_META, 0);
	}
	hfx_frames = s->frames;
	hfx_now = 0;
	port.fill = s->fills ? hfx_fill : NULL;
	memset(hfx_ram, 0, hfx_frames * PAGE);
	memset(&w, 0, sizeof(w));
	range = (struct hf_ram){
		.base = { HFX_RAM_BASE },
		.len = hfx_frames * PAGE,
		.map = hfx_ram,
		.meta = hfx_meta,
	};
	OK(hf_phys_init(&w.phys,
			&(struct hf_phys_config){ .port = &port, .ram = &range, .ram_count = 1 }));
	s->setup();
	w.full = s->full;
	memcpy(first_ram, hfx_ram, hfx_frames * PAGE);
	memcpy(first_meta, hfx_meta, hfx_frames * HF_FRAME_META);
	first_world = w;
	find_own();
	touches = 0;
	epoch++;
}

/* ---- The end of a schedule ---- */

void hfx_world_check(const struct hfx_scenario *s)
{
	struct hf_violation v = { 0 };
	enum hf_status st;

	for (unsigned i = 0; i < HFX_FILES; i++)
		w.file[i].later = false; /* what is asked for now is nobody's to supply */
	if (s->blind) {
		hfx_check_contents();
		if (s->check)
			s->check();
		return;
	}
	looking = true;
	st = hf_mm_check(&w.phys, &v);
	looking = false;
	if (st)
		hfx_fail("hf_mm_check: %s, va %#llx, pa %#llx", v.rule, (unsigned long long)v.va,
			 (unsigned long long)v.pa.v);
	hfx_check_caches();
	hf_phys_fail_after(&w.phys, 0);
	hfx_check_contents();
	if (s->check)
		s->check();
}
