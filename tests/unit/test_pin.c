/* SPDX-License-Identifier: MIT */
/* Pins where RAM comes in several ranges. The rest of pins: tests/port/suite_pin.c. */
#include "unit.h"

#include "arch/format.h"

/* Free exactly `pa` of the frames taken, so that the next fault gets it. */
static void free_only(struct memory *m, hf_pa *taken, size_t count, uint64_t pa)
{
	for (size_t i = 0; i < count; i++) {
		if (taken[i].v != pa)
			continue;
		OK(hf_phys_free(&m->phys, taken[i], 0));
		taken[i].v = 0;
		return;
	}
	fail_msg("frame 0x%llx was not free", (unsigned long long)pa);
}

/*
 * Two ranges that touch (beside a third), and a buffer whose two pages lie on both sides of the
 * border. The list must have two spans (the host's view of the ranges need not be contiguous), and
 * go back as it came.
 */
static void spans_do_not_cross_ranges(void **state)
{
	static const struct range ranges[] = { { GIB, MIB }, { GIB + MIB, MIB }, { 2 * GIB, MIB } };
	struct memory *m = memory_new(ranges, 3, &quiet_port, NULL, 0);
	struct hf_mm *mm = space_new(m);
	hf_va va = map(mm, 4 * PAGE);
	hf_pa taken[3 * MIB / PAGE + HF_LEVELS_MAX];
	struct hf_span spans[2];
	size_t count = 0, pins = 0;

	(void)state;
	while (hf_phys_alloc(&m->phys, 0, &taken[count]) == HF_OK)
		count++;
	for (uint64_t i = 0; i < HF_LEVELS_MAX; i++) /* a page, and the tables */
		free_only(m, taken, count, 2 * GIB + i * PAGE);
	OK(hf_fault(mm, va + 3 * PAGE, HF_ACCESS_WRITE, NULL));
	while (hf_phys_alloc(&m->phys, 0, &taken[count]) == HF_OK)
		count++;
	for (uint64_t i = 0; i < 2; i++) {
		free_only(m, taken, count, GIB + MIB - PAGE + i * PAGE);
		OK(hf_fault(mm, va + i * PAGE, HF_ACCESS_WRITE, NULL));
	}
	OK(hf_pin(mm, va + 100, 2 * PAGE - 200, HF_PIN_WRITE, spans, 2, &pins));
	SAME(pins, 2);
	SAME(spans[0].pa.v, GIB + MIB - PAGE + 100);
	SAME(spans[0].len, PAGE - 100);
	SAME(spans[1].pa.v, GIB + MIB);
	SAME(spans[1].len, PAGE - 100);
	OK(hf_unpin(&m->phys, spans, pins));
	CHECK(&m->phys);
	for (size_t i = 0; i < count; i++) {
		if (taken[i].v)
			OK(hf_phys_free(&m->phys, taken[i], 0));
	}
	space_end(mm);
	memory_end(m);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_do_not_cross_ranges),
	};

	return RUN(tests, argc, argv);
}
