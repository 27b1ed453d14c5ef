/* SPDX-License-Identifier: MIT */
/* The words that scenarios are written in. */
#include "scenario.h"

#include <holdfast/swap.h>

#include <string.h>

/* ---- Worlds ---- */

void hfx_space(unsigned i)
{
	OK(hf_mm_create(&w.mm[i], &w.phys, NULL));
}

void hfx_map(unsigned i, uint64_t len)
{
	w.va = (hf_va)1 << 30;
	OK(hf_mmap(&w.mm[i], &w.va, len, RW, HF_MAP_FIXED));
}

void hfx_fork(unsigned from, unsigned to)
{
	OK(hf_fork(&w.mm[from], &w.mm[to], NULL, HF_FORK_COPY));
	hfx_inherit(&w.mm[from], &w.mm[to]);
}

/* Every CPU begins with empty caches. */
static void run_cpus(bool child)
{
	hfx_switch(0, &w.mm[0]);
	hfx_switch(1, &w.mm[0]);
	if (child)
		hfx_switch(2, &w.mm[1]);
}

static void write_pages(uint64_t len)
{
	hfx_space(0);
	hfx_swap_on();
	hfx_map(0, len);
	if (len > HUGE_PAGE / 2)
		OK(hf_madvise(&w.mm[0], w.va, len, HF_ADV_HUGEPAGE));
	hfx_switch(0, &w.mm[0]);
	for (unsigned i = 0; i < 4; i++)
		OK(hfx_user_store(0, page(i), i + 1));
}

void four_pages(void)
{
	write_pages(4 * PAGE);
	run_cpus(false);
}

void four_pages_shared(void)
{
	write_pages(4 * PAGE);
	hfx_fork(0, 1);
	run_cpus(true);
}

void four_pages_swapped(void)
{
	write_pages(4 * PAGE);
	OK(hf_madvise(&w.mm[0], page(2), 2 * PAGE, HF_ADV_PAGEOUT));
	hfx_fork(0, 1);
	run_cpus(true);
}

void huge_page(void)
{
	write_pages(HUGE_PAGE);
	run_cpus(false);
}

void huge_page_shared(void)
{
	write_pages(HUGE_PAGE);
	hfx_fork(0, 1);
	run_cpus(true);
}

/* A pin beside the page makes fork look into the table, and share its leaves one by one. */
void huge_page_apart(void)
{
	size_t n;

	write_pages(2 * HUGE_PAGE);
	OK(hf_pin(&w.mm[0], w.va + HUGE_PAGE, PAGE, HF_PIN_WRITE, w.span, 4, &n));
	hfx_fork(0, 1);
	OK(hf_unpin(&w.phys, w.span, n));
	run_cpus(true);
}

/* ---- What threads do ---- */

void may(enum hf_status st, enum hf_status other, const char *what)
{
	if (st && st != other && !(w.full && st == HF_ERR_NOMEM))
		hfx_ok(st, what);
}

void load(unsigned cpu, unsigned i)
{
	MAY(hfx_user_load(cpu, page(i), NULL), HF_OK);
}

void store(unsigned cpu, unsigned i, uint64_t value)
{
	MAY(hfx_user_store(cpu, page(i), value), HF_OK);
}

static bool gone(enum hf_status st)
{
	return st == HF_ERR_UNMAPPED || st == HF_ERR_ACCESS || st == HF_ERR_BUS;
}

void try_load(unsigned cpu, unsigned i)
{
	enum hf_status st = hfx_user_load(cpu, page(i), NULL);

	MAY(st, gone(st) ? st : HF_OK);
}

void try_store(unsigned cpu, unsigned i, uint64_t value)
{
	enum hf_status st = hfx_user_store(cpu, page(i), value);

	MAY(st, gone(st) ? st : HF_OK);
}

/* By its physical address. The frame is the device's, whatever else happens. */
static void device_write(hf_pa pa, uint64_t value)
{
	char *p = hfx_ram + (pa.v - HFX_RAM_BASE);

	hfx_point(HFX_COPY, (const char *)((uintptr_t)p / PAGE * PAGE) + 1, true);
	hfx_event((const char *)((uintptr_t)p / PAGE * PAGE) + 1, true);
	hfx_touch_range(p, 8);
	memcpy(p, &value, 8);
}

void pin_and_write(unsigned mm, unsigned i, uint64_t value)
{
	struct hf_span span;
	size_t n;
	enum hf_status st = hf_pin(&w.mm[mm], page(i), PAGE, HF_PIN_WRITE, &span, 1, &n);
	struct hfx_written *s;

	MAY(st, gone(st) ? st : HF_OK);
	if (st)
		return;
	s = hfx_write_begins(&w.mm[mm], page(i), value);
	hfx_user_event(&w.mm[mm], page(i), true);
	device_write(span.pa, value);
	hfx_write_ends(s);
	OK(hf_unpin(&w.phys, &span, n));
}

enum hf_status take_away(unsigned mm, unsigned i,
			 enum hf_status (*call)(struct hf_mm *mm, hf_va va))
{
	struct hfx_written *s = hfx_write_begins(&w.mm[mm], page(i), 0);
	enum hf_status st = call(&w.mm[mm], page(i));

	if (st)
		hfx_write_failed(s);
	else
		hfx_write_ends(s);
	return st;
}

void memory_is_full(void)
{
	hf_phys_fail_after(&w.phys, 1);
}

void load_0(void)
{
	load(0, 0);
}

void load_1(void)
{
	load(1, 0);
}

void load_2(void)
{
	load(2, 0);
}

void store_0(void)
{
	store(0, 0, 10);
}

void store_1(void)
{
	store(1, 0, 11);
}

void store_2(void)
{
	store(2, 0, 12);
}

void pin_0(void)
{
	pin_and_write(0, 0, 13);
}

void fork_c(void)
{
	w.begun = hfx_now;
	w.st[0] = hf_fork(&w.mm[0], &w.mm[2], NULL, HF_FORK_COPY);
	w.ended = hfx_now;
	MAY(w.st[0], HF_OK);
}

void check_c(void)
{
	for (unsigned i = 0; !w.st[0] && i < 4; i++) {
		uint64_t v = 0;

		if (hf_read(&w.mm[2], page(i), &v, 8))
			continue;
		if (!hfx_may_be(&w.mm[0], page(i), v, w.begun, w.ended))
			hfx_fail("the child has %#llx in page %u, which the parent did not have "
				 "then",
				 (unsigned long long)v, i);
	}
}

void end_b(void)
{
	hfx_switch(2, NULL);
	hf_mm_destroy(&w.mm[1]);
}

void reclaim_one(void)
{
	uint64_t done;
	enum hf_status st = hf_reclaim(&w.phys, 1, &done);

	MAY(st, st == HF_ERR_AGAIN || st == HF_ERR_STORE || st == HF_ERR_INVAL ? st : HF_OK);
}

void swap_off(void)
{
	enum hf_status st = hf_swap_off(&w.phys);

	MAY(st, HF_ERR_NOMEM);
}

static enum hf_status munmap_page(struct hf_mm *mm, hf_va va)
{
	return hf_munmap(mm, va, PAGE);
}

static enum hf_status dontneed_page(struct hf_mm *mm, hf_va va)
{
	return hf_madvise(mm, va, PAGE, HF_ADV_DONTNEED);
}

void munmap_0(void)
{
	MAY(take_away(0, 0, munmap_page), HF_OK);
}

void dontneed_0(void)
{
	MAY(take_away(0, 0, dontneed_page), HF_OK);
}
