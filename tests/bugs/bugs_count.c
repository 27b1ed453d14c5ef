/* SPDX-License-Identifier: MIT */
/* refcount-overflow: table, mapping and pin counts refuse before they wrap. */
#include "bugs.h"

/* A machine whose counts end at `limit`. */
static struct machine *limited(uint32_t limit)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES, .count_limit = limit };

	return machine_new(&config);
}

static void refcount_overflow_of_tables(void **state)
{
	(void)state;
	for (uint32_t limit = 2; limit <= 4; limit++) {
		struct machine *m = limited(limit);
		struct space *s = space_new(m), *child = NULL, *refused;
		hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);

		for (uint32_t i = 1; i < limit; i++)
			child = bare_fork(s, HF_FORK_COPY);
		FAILS(m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_COPY, &refused));
		FAILS(m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_SPLIT, &refused));
		space_end(child);
		child = bare_fork(s, HF_FORK_COPY); /* room again */
		FILLED(child, va, 4 * PAGE, 1);
		machine_end(m);
	}
}

/*
 * Spaces 1..limit map the same pages through tables of their own; one more shares the
 * last one's tables and cannot get its own. Returns that one.
 */
static struct space *at_limit(struct machine *m, uint32_t limit, hf_va *small, hf_va *huge)
{
	struct space *s = space_new(m);

	*small = map_filled(s, HF_LEVEL_PTE, 4, 1);
	*huge = map_filled(s, HF_LEVEL_PMD, 2, 2);
	for (uint32_t i = 1; i < limit; i++) {
		s = bare_fork(s, HF_FORK_COPY);
		put(s, *small, i);
		put(s, *huge, i);
	}
	return bare_fork(s, HF_FORK_COPY);
}

static void refcount_overflow_of_mappings(void **state)
{
	(void)state;
	for (uint32_t limit = 2; limit <= 4; limit++) {
		struct machine *m = limited(limit);
		hf_va small, huge, at;
		struct space *s = at_limit(m, limit, &small, &huge);
		uint64_t word = 7;

		at = small + PAGE; /* mapped `limit` times */
		assert_false(may_store(s, at));
		FAILS(m, HF_ERR_OVERFLOW, hf_fault(s->mm, at, HF_ACCESS_WRITE, NULL));
		FAILS(m, HF_ERR_OVERFLOW, hf_fault(s->mm, huge, HF_ACCESS_WRITE, NULL));
		FAILS(m, HF_ERR_OVERFLOW, hf_munmap(s->mm, at, PAGE));
		FAILS(m, HF_ERR_OVERFLOW, hf_mprotect(s->mm, at, PAGE, RO));
		FAILS(m, HF_ERR_OVERFLOW, hf_madvise(s->mm, at, PAGE, HF_ADV_DONTNEED));
		FAILS(m, HF_ERR_OVERFLOW, hf_mmap(s->mm, &at, PAGE, RO, HF_MAP_FIXED));
		FAILS(m, HF_ERR_OVERFLOW, hf_write(s->mm, at, &word, sizeof(word)));
		FAILS(m, HF_ERR_OVERFLOW, hf_copy(s->mm, at, s->mm, small, 8));
		FAILS(m, HF_ERR_OVERFLOW, hf_madvise(s->mm, at, PAGE, HF_ADV_POPULATE_WRITE));
		FILLED(s, at, 3 * PAGE, 1);
		space_end(m->spaces[0]);
		put(s, at, 9); /* room again */
		SAME(get(s, at), 9);
		CHECK(m);
		machine_end(m);
	}
}

static void refcount_overflow_of_pins(void **state)
{
	(void)state;
	for (uint32_t limit = 2; limit <= 4; limit++) {
		struct machine *m = limited(limit);
		struct space *s = space_new(m);
		hf_va va = map_filled(s, HF_LEVEL_PTE, 3, 1),
		      huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
		struct hf_span spans[3];
		hf_pa pa, huge_pa;
		size_t count = 9;

		for (uint32_t i = 0; i < limit; i++) {
			pa = hold(s, va + PAGE, HF_PIN_READ);
			huge_pa = hold(s, huge + 5 * PAGE, HF_PIN_WRITE);
		}
		FAILS(m, HF_ERR_OVERFLOW,
		      hf_pin(s->mm, va, 3 * PAGE, HF_PIN_READ, spans, 3, &count));
		FAILS(m, HF_ERR_OVERFLOW,
		      hf_pin(s->mm, huge, PMD_SIZE, HF_PIN_READ, spans, 3, &count));
		SAME(count, 9);
		SAME(pins_at(m, pa), limit);
		let_go(m, pa);
		hold(s, va + PAGE, HF_PIN_READ); /* room again */
		for (uint32_t i = 0; i < limit; i++) {
			let_go(m, pa);
			let_go(m, huge_pa);
		}
		machine_end(m);
	}
}

/* A whole huge page pinned, and then one of its small pages: the counts add up. */
static void refcount_overflow_of_pins_on_huge_pages(void **state)
{
	struct machine *m = limited(3);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	struct hf_span span;
	struct pin whole;
	size_t count = 0;
	hf_pa pa;

	(void)state;
	pin_range(s, va, PMD_SIZE, HF_PIN_READ, &whole);
	pin_range(s, va, PMD_SIZE, HF_PIN_READ, &whole);
	pa = hold(s, va + 7 * PAGE, HF_PIN_READ);
	SAME(pins_at(m, pa), 3);
	FAILS(m, HF_ERR_OVERFLOW, hf_pin(s->mm, va + 7 * PAGE, 8, HF_PIN_READ, &span, 1, &count));
	FAILS(m, HF_ERR_OVERFLOW, hf_pin(s->mm, va, PMD_SIZE, HF_PIN_READ, &span, 1, &count));
	let_go(m, pa);
	unpin(m, &whole);
	unpin(m, &whole);
	machine_end(m);
}

/*
 * The zero page may have any number of leaves: they are not counted. A fork beside a pin, which
 * shares leaf by leaf, does not hand them on, for where the child has nothing are zeros.
 */
static void refcount_overflow_of_the_zero_page(void **state)
{
	(void)state;
	for (uint32_t limit = 2; limit <= 4; limit++) {
		struct machine *m = limited(limit);
		struct space *s = space_new(m), *child;
		hf_va va = map_level(s, HF_LEVEL_PTE, 16);
		hf_pa pa = hold(s, va + 15 * PAGE, HF_PIN_READ); /* so that fork looks inside */

		for (uint64_t page = 0; page < 15; page++)
			SAME(get(s, va + page * PAGE), 0);
		SAME(leaves(s, HF_LEVEL_PTE), 1); /* the others are the zero page */
		child = bare_fork(s, HF_FORK_COPY);
		ZEROS(child, va, 16 * PAGE);
		put(s, va, 1);
		ZEROS(child, va, PAGE);
		CHECK(m);
		let_go(m, pa);
		machine_end(m);
	}
}

/*
 * The parts without pins of a pinned 1 GiB page: each fork of HF_FORK_COPY shares them once
 * more, and HF_FORK_SPLIT needs room for two, its own leaf and the child's.
 */
static void refcount_overflow_of_one_gib_parts(void **state)
{
	(void)state;
	need_host_memory(3 * GIB);
	for (uint32_t limit = 2; limit <= 4; limit++) {
		struct machine_config config = { .ram_bytes = 3 * GIB, .count_limit = limit };
		struct machine *m = machine_new(&config);
		struct space *s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL), *child;
		hf_va va = map_level(s, HF_LEVEL_PUD, 1);
		hf_pa pa;

		put(s, va, 1);
		SAME(level_of(s, va), HF_LEVEL_PUD);
		pa = hold(s, va + 8 * MIB, HF_PIN_WRITE);
		for (uint32_t i = 1; i < limit; i++)
			child = bare_fork(s, HF_FORK_COPY);
		FAILS(m, HF_ERR_OVERFLOW, try_fork(s, HF_FORK_SPLIT, &child));
		coherent(s, va + 8 * MIB, pa);
		CHECK(m);
		let_go(m, pa);
		machine_end(m);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(refcount_overflow_of_tables),
	cmocka_unit_test(refcount_overflow_of_mappings),
	cmocka_unit_test(refcount_overflow_of_the_zero_page),
	cmocka_unit_test(refcount_overflow_of_one_gib_parts),
	cmocka_unit_test(refcount_overflow_of_pins),
	cmocka_unit_test(refcount_overflow_of_pins_on_huge_pages),
};
SUITE(bugs_count, tests);
