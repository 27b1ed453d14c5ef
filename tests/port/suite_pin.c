/* SPDX-License-Identifier: MIT */
/* Pins: scatter lists, counts, copy-on-pin, and what a mapping may do under a device. */
#include "port.h"

/* The device and the program see the same bytes at va, whoever writes. */
static void coherent(struct space *s, hf_va va, hf_pa pa)
{
	uint64_t value = get(s, va) + 1;

	put(s, va, value);
	SAME(dma_get(s->m, pa), value);
	dma_put(s->m, pa, value + 1);
	SAME(get(s, va), value + 1);
}

static uint64_t span_bytes(const struct pin *pin)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < pin->count; i++)
		bytes += pin->spans[i].len;
	return bytes;
}

/* Scatter lists and counts */

static void spans_cover_the_range_byte_by_byte(void **state)
{
	static const struct {
		uint64_t offset, len;
	} ranges[] = {
		{ 0, 1 },	 { 0, PAGE },	      { 1, PAGE - 1 },
		{ PAGE - 1, 2 }, { 100, 3 * PAGE },   { PAGE, 4 * PAGE - 1 },
		{ 0, 8 * PAGE }, { 8 * PAGE - 1, 1 },
	};
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);
	struct pin pin;

	for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++) {
		hf_va at = va + ranges[r].offset;

		pin_range(s, at, ranges[r].len, HF_PIN_READ, &pin);
		SAME(span_bytes(&pin), ranges[r].len);
		for (size_t i = 0; i < pin.count; i++) {
			for (uint64_t b = 0; b < pin.spans[i].len; at++, b++)
				SAME(pin.spans[i].pa.v + b, pa_of(s, at).v);
		}
		unpin(m, &pin);
	}
}

static void contiguous_memory_is_one_span(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	struct pin pin;

	pin_range(s, va + 100, PMD_SIZE - 100, HF_PIN_WRITE, &pin);
	SAME(pin.count, 1);
	SAME(pin.spans[0].pa.v, pa_of(s, va).v + 100);
	unpin(m, &pin);
	pin_range(s, va, 2 * PMD_SIZE, HF_PIN_READ, &pin);
	assert_true(pin.count <= 2);
	SAME(span_bytes(&pin), 2 * PMD_SIZE);
	for (size_t i = 1; i < pin.count; i++) /* neighbours would have been merged */
		assert_true(pin.spans[i - 1].pa.v + pin.spans[i - 1].len != pin.spans[i].pa.v);
	unpin(m, &pin);
}

static void every_page_touched_gains_one_pin(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 5, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	struct pin small_pin, huge_pin;

	pin_range(s, va + 2 * PAGE - 1, 2, HF_PIN_READ, &small_pin);
	pin_range(s, huge + 10 * PAGE + 5, PAGE, HF_PIN_WRITE, &huge_pin);
	for (uint64_t page = 0; page < 5; page++)
		SAME(pins_at(m, pa_of(s, va + page * PAGE)), page == 1 || page == 2);
	for (uint64_t page = 0; page < 512; page++)
		SAME(pins_at(m, pa_of(s, huge + page * PAGE)), page == 10 || page == 11);
	unpin(m, &small_pin);
	unpin(m, &huge_pin);
	SAME(pins_at(m, pa_of(s, va + PAGE)), 0);
	SAME(pins_at(m, pa_of(s, huge + 10 * PAGE)), 0);
}

static void pins_add_up_and_go_one_by_one(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 3, 1);
	struct pin a, b;

	pin_range(s, va, 2 * PAGE, HF_PIN_READ, &a);
	pin_range(s, va + PAGE, 2 * PAGE, HF_PIN_WRITE, &b);
	SAME(pins_at(m, pa_of(s, va)), 1);
	SAME(pins_at(m, pa_of(s, va + PAGE)), 2);
	SAME(pins_at(m, pa_of(s, va + 2 * PAGE)), 1);
	unpin(m, &a);
	SAME(pins_at(m, pa_of(s, va)), 0);
	SAME(pins_at(m, pa_of(s, va + PAGE)), 1);
	unpin(m, &b);
	SAME(pins_at(m, pa_of(s, va + PAGE)), 0);
}

static void pins_go_back_in_parts_and_any_order(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);
	struct hf_span part[2];
	struct pin pin;

	pin_range(s, va + 50, PMD_SIZE - 100, HF_PIN_WRITE, &pin);
	part[0] = (struct hf_span){ { pa.v + 300 * PAGE }, 212 * PAGE - 50 };
	part[1] = (struct hf_span){ { pa.v + 50 }, 100 * PAGE - 50 };
	OK(hf_unpin(m->phys, part, 2));
	CHECK(m);
	SAME(pins_at(m, pa), 0);
	SAME(pins_at(m, (hf_pa){ pa.v + 100 * PAGE }), 1);
	SAME(pins_at(m, (hf_pa){ pa.v + 299 * PAGE }), 1);
	SAME(pins_at(m, (hf_pa){ pa.v + 300 * PAGE }), 0);
	FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, pin.spans, pin.count));
	part[0] = (struct hf_span){ { pa.v + 100 * PAGE }, 200 * PAGE };
	OK(hf_unpin(m->phys, part, 1));
	CHECK(m);
	for (uint64_t at = 0; at < PMD_SIZE; at += PAGE)
		SAME(pins_at(m, (hf_pa){ pa.v + at }), 0);
}

static void pin_makes_absent_memory_present(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 4 * PAGE, RW), huge = map_level(s, HF_LEVEL_PMD, 1);
	struct pin pin;

	pin_range(s, va, 4 * PAGE, HF_PIN_READ, &pin);
	ZEROS(s, va, 4 * PAGE);
	coherent(s, va + 3 * PAGE, pa_of(s, va + 3 * PAGE));
	unpin(m, &pin);
	pin_range(s, huge + PAGE, 1, HF_PIN_WRITE, &pin);
	SAME(level_of(s, huge), HF_LEVEL_PMD);
	coherent(s, huge + PAGE, pin.spans[0].pa);
	unpin(m, &pin);
}

static void pin_replaces_the_zero_page(void **state)
{
	static const unsigned flags[] = { HF_PIN_READ, HF_PIN_WRITE, HF_PIN_READ | HF_PIN_WRITE };
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 3 * PAGE, RW), huge = map_level(s, HF_LEVEL_PMD, 3);
	struct pin pin;

	for (size_t i = 0; i < 3; i++) {
		SAME(get(s, va + i * PAGE), 0);
		pin_range(s, va + i * PAGE, 8, flags[i], &pin);
		coherent(s, va + i * PAGE, pin.spans[0].pa);
		unpin(m, &pin);
		SAME(get(s, huge + i * PMD_SIZE), 0);
		pin_range(s, huge + i * PMD_SIZE + PAGE, 8, flags[i], &pin);
		coherent(s, huge + i * PMD_SIZE + PAGE, pin.spans[0].pa);
		unpin(m, &pin);
	}
	CHECK(m);
}

static void two_pins_of_a_lost_page_in_one_list(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 2, 1);
	struct hf_span both[2];
	uint64_t before;
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	OK(hf_munmap(s->mm, va, PAGE));
	before = free_bytes(m);
	both[0] = both[1] = pin.spans[0];
	OK(hf_unpin(m->phys, both, 2));
	CHECK(m);
	SAME(free_bytes(m), before + PAGE); /* freed, and once */
}

/* Errors */

static void pin_errors_change_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va rw = map_filled(s, HF_LEVEL_PTE, 4, 1), top = SPACE_LO + SPACE_LEN;
	hf_va ro = map(s, PAGE, RO), none = map(s, PAGE, HF_PROT_NONE), rw2 = map(s, PAGE, RW);
	hf_va alone = map_at(s, SPACE_LO + MIB, PAGE, RW);
	struct hf_span spans[8] = { { .len = 77 } };
	size_t count = 99;

#define PIN(va, len, flags, cap) hf_pin(s->mm, va, len, flags, spans, cap, &count)
	FAILS(m, HF_ERR_FLAGS, PIN(rw, PAGE, 0, 8));
	FAILS(m, HF_ERR_FLAGS, PIN(rw, PAGE, 4, 8));
	FAILS(m, HF_ERR_FLAGS, PIN(rw, PAGE, HF_PIN_READ | 8, 8));
	FAILS(m, HF_ERR_EMPTY, PIN(rw, 0, HF_PIN_READ, 8));
	FAILS(m, HF_ERR_EMPTY, PIN(rw, PAGE, HF_PIN_READ, 0));
	FAILS(m, HF_ERR_WRAP, PIN(rw, UINT64_MAX - rw + 2, HF_PIN_READ, 8));
	FAILS(m, HF_ERR_RANGE, PIN(SPACE_LO - 1, 2, HF_PIN_READ, 8));
	FAILS(m, HF_ERR_RANGE, PIN(top - 1, 2, HF_PIN_READ, 8));
	FAILS(m, HF_ERR_UNMAPPED, PIN(SPACE_LO, 1, HF_PIN_READ, 8));
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_UNMAPPED, PIN(alone, 2 * PAGE, HF_PIN_READ, 8));
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_ACCESS, PIN(rw2, 2 * PAGE, HF_PIN_READ, 8));
	FAILS(m, HF_ERR_ACCESS, PIN(none, 1, HF_PIN_READ, 8));
	FAILS(m, HF_ERR_ACCESS, PIN(ro, 1, HF_PIN_WRITE, 8));
	FAILS(m, HF_ERR_ACCESS, PIN(ro, 1, HF_PIN_READ | HF_PIN_WRITE, 8));
	SAME(count, 99);
	OK(PIN(ro, PAGE, HF_PIN_READ, 8));
	OK(hf_unpin(m->phys, spans, count));
#undef PIN
}

static void a_short_span_list_pins_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 3 * PAGE, RW);
	struct hf_span spans[3];
	struct hoard hoard;
	size_t count = 99;

	put(s, va + 2 * PAGE, 0); /* the tables */
	fragment(m, 16, &hoard);  /* no two free frames are neighbours */
	put(s, va, 1);
	put(s, va + PAGE, 2);
	hoard_release(m, &hoard);
	FAILS(m, HF_ERR_SPANS, hf_pin(s->mm, va, 2 * PAGE, HF_PIN_READ, spans, 1, &count));
	SAME(count, 99);
	OK(hf_pin(s->mm, va, 2 * PAGE, HF_PIN_READ, spans, 2, &count));
	SAME(count, 2);
	OK(hf_unpin(m->phys, spans, count));
}

static void unpin_errors_change_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);
	hf_pa pa[4];
	struct hf_span bad[3];
	struct pin pin;

	for (uint64_t i = 0; i < 4; i++)
		pa[i] = pa_of(s, va + i * PAGE);
	pin_range(s, va, 2 * PAGE, HF_PIN_READ, &pin);
	bad[0] = (struct hf_span){ pa[0], PAGE };
	FAILS(m, HF_ERR_EMPTY, hf_unpin(m->phys, bad, 0));
	bad[1] = (struct hf_span){ pa[1], 0 };
	FAILS(m, HF_ERR_EMPTY, hf_unpin(m->phys, bad, 2));
	bad[1] = (struct hf_span){ pa[1], UINT64_MAX };
	FAILS(m, HF_ERR_WRAP, hf_unpin(m->phys, bad, 2));
	bad[1] = (struct hf_span){ { 0 }, PAGE };
	FAILS(m, HF_ERR_RANGE, hf_unpin(m->phys, bad, 2));
	bad[1] = (struct hf_span){ { UINT64_MAX - 2 * PAGE }, PAGE };
	FAILS(m, HF_ERR_RANGE, hf_unpin(m->phys, bad, 2));
	bad[1] = (struct hf_span){ pa[2], 1 }; /* never pinned */
	FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, bad, 2));
	bad[1] = bad[0]; /* once too often in one list */
	FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, bad, 2));
	bad[2] = (struct hf_span){ pa[1], 8 };
	FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, bad, 3));
	unpin(m, &pin);
	FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, pin.spans, pin.count)); /* twice */
}

static void unpin_of_a_huge_page_in_pieces(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	hf_pa pa = pa_of(s, va);
	struct hf_span whole = { pa, PMD_SIZE }, one = { { pa.v + 5 * PAGE }, PAGE };
	struct hf_span below = { pa, 5 * PAGE },
		       above = { { pa.v + 6 * PAGE }, PMD_SIZE - 6 * PAGE };
	struct hf_span lists[][4] = { { whole, whole },
				      { whole, one },
				      { one, whole }, /* its pin is 512 from here on */
				      { above, one, below, one },
				      { below, above, one, above } };
	unsigned lengths[] = { 2, 2, 2, 4, 4 };
	struct pin pin;
	uint32_t pins;

	pin_range(s, va, PMD_SIZE, HF_PIN_READ, &pin);
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, lists[i], lengths[i]));
		OK(hf_phys_pins(m->phys, one.pa, &pins));
		SAME(pins, 1);
		CHECK(m);
	}
	pin_range(s, va, PMD_SIZE, HF_PIN_READ, &pin);
	pin_range(s, va, PMD_SIZE, HF_PIN_READ, &pin);
	OK(hf_unpin(m->phys, (struct hf_span[]){ one, whole, above, below, whole }, 5));
	for (unsigned i = 0; i < 512; i++) {
		OK(hf_phys_pins(m->phys, (hf_pa){ pa.v + i * PAGE }, &pins));
		SAME(pins, 0);
	}
	CHECK(m);
	space_end(s);
}

static void unpin_of_free_memory_is_refused(void **state)
{
	struct machine *m = *state;
	struct hf_span span = { .len = PAGE };

	OK(hf_phys_alloc(m->phys, 0, &span.pa));
	FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, &span, 1));
	OK(hf_phys_free(m->phys, span.pa, 0));
	FAILS(m, HF_ERR_NOT_PINNED, hf_unpin(m->phys, &span, 1));
}

static void pins_of_a_foreign_address(void **state)
{
	struct machine *m = *state;
	uint32_t pins = 77;

	FAILS(m, HF_ERR_RANGE, hf_phys_pins(m->phys, (hf_pa){ UINT64_MAX }, &pins));
	SAME(pins, 77);
}

/* Copy-on-pin */

static void check_copy_on_pin(struct machine *m, unsigned level, unsigned flags, bool by_child)
{
	struct space *s = space_new(m), *child, *pinner, *other;
	hf_va va = map_filled(s, level, 1, 1), at = va + hf_level_size(level) / 2;
	hf_pa before = pa_of(s, at);
	struct pin pin;

	child = fork_space(s, HF_FORK_COPY);
	pinner = by_child ? child : s;
	other = by_child ? s : child;
	pin_range(pinner, at, 8, flags, &pin);
	SAME_PA(pa_of(other, at), before);
	SAME(level_of(other, at), level);
	assert_true(pin.spans[0].pa.v != before.v); /* the pinner moved, the other stayed */
	FILLED(s, va, hf_level_size(level), 1);
	FILLED(child, va, hf_level_size(level), 1);
	coherent(pinner, at, pin.spans[0].pa);
	put(other, at, 1234);
	SAME_PA(pa_of(other, at), before);
	coherent(pinner, at, pin.spans[0].pa);
	SAME(get(other, at), 1234);
	unpin(m, &pin);
	space_end(child);
	space_end(s);
}

static void pin_after_fork_moves_the_pinner(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		check_copy_on_pin(*state, level, HF_PIN_WRITE, false);
		check_copy_on_pin(*state, level, HF_PIN_WRITE, true);
	}
}

static void read_pin_after_fork_moves_the_pinner_too(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		check_copy_on_pin(*state, level, HF_PIN_READ, false);
		check_copy_on_pin(*state, level, HF_PIN_READ, true);
	}
}

static void pin_of_the_last_mapper_moves_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	hf_pa pa = pa_of(s, va), huge_pa = pa_of(s, huge);
	struct pin pin;

	space_end(fork_space(s, HF_FORK_COPY));
	pin_range(s, va, PAGE, HF_PIN_READ, &pin);
	SAME_PA(pin.spans[0].pa, pa);
	unpin(m, &pin);
	pin_range(s, huge, PMD_SIZE, HF_PIN_READ, &pin);
	SAME_PA(pin.spans[0].pa, huge_pa);
	SAME(pin.count, 1);
	unpin(m, &pin);
}

static void read_pin_of_a_read_only_page_after_fork(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1);
	struct pin pin;

	OK(hf_mprotect(s->mm, va, PAGE, RO));
	child = fork_space(s, HF_FORK_COPY);
	pin_range(child, va, 8, HF_PIN_READ, &pin);
	OK(hf_mprotect(child->mm, va, PAGE, RW));
	coherent(child, va, pin.spans[0].pa);
	FILLED(s, va, PAGE, 1);
	unpin(m, &pin);
}

/* The mapping changes under the device */

static void protection_changes_keep_the_frame(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		struct machine *m = *state;
		struct space *s = space_new(m);
		hf_va va = map_filled(s, level, 1, 1);
		uint64_t len = hf_level_size(level);
		struct pin pin;

		pin_range(s, va, len, HF_PIN_WRITE, &pin);
		OK(hf_mprotect(s->mm, va, len, RO));
		CHECK(m);
		OK(hf_mprotect(s->mm, va, len, HF_PROT_NONE));
		CHECK(m);
		dma_put(m, pin.spans[0].pa, 4711); /* the device needs no permission */
		OK(hf_mprotect(s->mm, va, len, RW));
		CHECK(m);
		SAME(get(s, va), 4711);
		SAME_PA(pa_of(s, va), pin.spans[0].pa);
		SAME(level_of(s, va), level);
		coherent(s, va, pin.spans[0].pa);
		unpin(m, &pin);
		space_end(s);
	}
}

static void splitting_a_pinned_huge_page_keeps_frames(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	struct pin pin;

	pin_range(s, va, PMD_SIZE, HF_PIN_WRITE, &pin);
	OK(hf_mprotect(s->mm, va + 100 * PAGE, 10 * PAGE, RO));
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	for (uint64_t at = 0; at < PMD_SIZE; at += PAGE)
		SAME(pa_of(s, va + at).v, pin.spans[0].pa.v + at);
	FILLED(s, va, PMD_SIZE, 1);
	coherent(s, va + 511 * PAGE, (hf_pa){ pin.spans[0].pa.v + 511 * PAGE });
	unpin(m, &pin);
}

static void unmap_by_munmap(struct space *s, hf_va va, uint64_t len)
{
	OK(hf_munmap(s->mm, va, len));
	map_at(s, va, len, RW);
}

static void unmap_by_dontneed(struct space *s, hf_va va, uint64_t len)
{
	OK(hf_madvise(s->mm, va, len, HF_ADV_DONTNEED));
}

static void unmap_by_map_over(struct space *s, hf_va va, uint64_t len)
{
	map_at(s, va, len, RW);
}

/* The page leaves the space, the device keeps it; a new touch gets a new page. */
static void check_unmap_under_device(struct machine *m, unsigned level,
				     void (*unmap)(struct space *, hf_va, uint64_t))
{
	struct space *s = space_new(m);
	uint64_t len = hf_level_size(level), before;
	hf_va va = map_filled(s, level, 2, 1);
	hf_pa first = pa_of(s, va);
	struct pin pin;

	put(s, va, 4711);
	pin_range(s, va, len, HF_PIN_WRITE, &pin);
	unmap(s, va, len);
	CHECK(m);
	SAME(pins_at(m, first), 1);
	SAME(dma_get(m, first), 4711);
	ZEROS(s, va, len);
	put(s, va, 1);
	assert_true(pa_of(s, va).v != first.v);
	dma_put(m, first, 4712);
	SAME(get(s, va), 1);
	SAME(dma_get(m, first), 4712);
	before = free_bytes(m);
	unpin(m, &pin);
	SAME(free_bytes(m), before + len); /* with the last pin the page is free */
	space_end(s);
}

static void the_device_keeps_an_unmapped_page(void **state)
{
	for (unsigned level = HF_LEVEL_PTE; level <= HF_LEVEL_PMD; level++) {
		check_unmap_under_device(*state, level, unmap_by_munmap);
		check_unmap_under_device(*state, level, unmap_by_dontneed);
		check_unmap_under_device(*state, level, unmap_by_map_over);
	}
}

static void one_pinned_page_of_an_unmapped_huge_page_stays(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	uint64_t before;
	struct pin pin;

	pin_range(s, va + 5 * PAGE, PAGE, HF_PIN_READ, &pin);
	before = free_bytes(m);
	OK(hf_munmap(s->mm, va, PMD_SIZE));
	CHECK(m);
	SAME(dma_get(m, pin.spans[0].pa), stamp(1, va + 5 * PAGE));
	assert_true(free_bytes(m) >= before + PMD_SIZE - PAGE); /* the other 511 are free */
	unpin(m, &pin);
}

static void pins_outlive_their_space(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 3, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	struct pin small_pin, huge_pin;

	pin_range(s, va, 3 * PAGE, HF_PIN_WRITE, &small_pin);
	pin_range(s, huge, PMD_SIZE, HF_PIN_WRITE, &huge_pin);
	space_end(s);
	SAME(dma_get(m, small_pin.spans[0].pa), stamp(1, va));
	SAME(dma_get(m, huge_pin.spans[0].pa), stamp(2, huge));
	SAME(free_bytes(m), m->free_at_start - 3 * PAGE - PMD_SIZE);
	GIVES(HF_ERR_BUSY, test_port.destroy(m));
	unpin(m, &small_pin);
	unpin(m, &huge_pin);
	SAME(free_bytes(m), m->free_at_start);
}

static void the_pinned_page_survives_a_full_memory(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *other = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1), room = map(other, RAM_BYTES, RW);
	struct pin pin;
	hf_va at = room;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	OK(hf_munmap(s->mm, va, PAGE));
	while (hf_fault(other->mm, at, HF_ACCESS_WRITE, NULL) == HF_OK) {
		put(other, at, ~0ull);
		at += PAGE;
	}
	CHECK(m);
	SAME(dma_get(m, pin.spans[0].pa), stamp(1, va)); /* nobody was given this frame */
	unpin(m, &pin);
}

static void one_gib_pins(void **state)
{
	struct machine_config config = { .ram_bytes = 4 * GIB };
	struct machine *m;
	struct space *s;
	struct pin pin;
	hf_va va;

	(void)state;
	need_host_memory(3 * GIB);
	m = machine_new(&config);
	s = space_new_of(m, 4 * GIB, HF_HUGE_COW_WHOLE);
	va = map_level(s, HF_LEVEL_PUD, 1);
	pin_range(s, va + 5, GIB - 5, HF_PIN_WRITE, &pin);
	SAME(pin.count, 1);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	coherent(s, va + 700 * MIB, (hf_pa){ pin.spans[0].pa.v - 5 + 700 * MIB });
	unpin(m, &pin);
	machine_end(m);
}

static const struct CMUnitTest tests[] = {
	TEST(spans_cover_the_range_byte_by_byte),
	TEST(contiguous_memory_is_one_span),
	TEST(every_page_touched_gains_one_pin),
	TEST(pins_add_up_and_go_one_by_one),
	TEST(pins_go_back_in_parts_and_any_order),
	TEST(pin_makes_absent_memory_present),
	TEST(pin_replaces_the_zero_page),
	TEST(two_pins_of_a_lost_page_in_one_list),
	TEST(pin_errors_change_nothing),
	TEST(a_short_span_list_pins_nothing),
	TEST(unpin_errors_change_nothing),
	TEST(unpin_of_a_huge_page_in_pieces),
	TEST(unpin_of_free_memory_is_refused),
	TEST(pins_of_a_foreign_address),
	TEST(pin_after_fork_moves_the_pinner),
	TEST(read_pin_after_fork_moves_the_pinner_too),
	TEST(pin_of_the_last_mapper_moves_nothing),
	TEST(read_pin_of_a_read_only_page_after_fork),
	TEST(protection_changes_keep_the_frame),
	TEST(splitting_a_pinned_huge_page_keeps_frames),
	TEST(the_device_keeps_an_unmapped_page),
	TEST(one_pinned_page_of_an_unmapped_huge_page_stays),
	TEST(pins_outlive_their_space),
	TEST(the_pinned_page_survives_a_full_memory),
	TEST(one_gib_pins),
};
SUITE(suite_pin, tests);
