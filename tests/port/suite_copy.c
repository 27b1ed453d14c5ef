/* SPDX-License-Identifier: MIT */
/* hf_read, hf_write and hf_copy: bytes, protections, copy-on-write, all or nothing. */
#include "port.h"

#define BUF_BYTES (8 * PAGE)

static void fill_bytes(uint8_t *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static void program_loads(struct space *s, hf_va va, const uint8_t *want, size_t len)
{
	uint8_t got[BUF_BYTES];

	assert_true(test_port.load(s, va, got, len));
	assert_memory_equal(got, want, len);
}

static void write_then_load_and_store_then_read(void **state)
{
	static const struct {
		uint64_t offset, len;
	} ranges[] = {
		{ 0, 1 },	 { 1, 1 },	  { PAGE - 1, 2 },
		{ 3, 2 * PAGE }, { 0, 8 * PAGE }, { 4095, 4097 },
	};
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, BUF_BYTES, RW);
	uint8_t out[BUF_BYTES], in[BUF_BYTES], whole[BUF_BYTES] = { 0 };

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		uint64_t offset = ranges[i].offset, len = ranges[i].len;

		fill_bytes(out, len, (unsigned)i);
		memcpy(whole + offset, out, len);
		OK(hf_write(s->mm, va + offset, out, len));
		CHECK(m);
		program_loads(s, va, whole, BUF_BYTES); /* and nothing beside it */
		fill_bytes(out, len, (unsigned)i + 99);
		memcpy(whole + offset, out, len);
		assert_true(test_port.store(s, va + offset, out, len));
		OK(hf_read(s->mm, va + offset, in, len));
		assert_memory_equal(in, out, len);
		OK(hf_read(s->mm, va, in, BUF_BYTES));
		assert_memory_equal(in, whole, BUF_BYTES);
	}
}

static void huge_pages_and_their_borders(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PMD, 2), at = va + PMD_SIZE - 3 * PAGE - 5;
	uint8_t out[BUF_BYTES], in[BUF_BYTES];

	fill_bytes(out, BUF_BYTES, 1);
	OK(hf_write(s->mm, at, out, BUF_BYTES));
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PMD);
	program_loads(s, at, out, BUF_BYTES);
	OK(hf_read(s->mm, at, in, BUF_BYTES));
	assert_memory_equal(in, out, BUF_BYTES);
	ZEROS(s, va, PMD_SIZE - 4 * PAGE);
}

static void reading_absent_memory_allocates_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, BUF_BYTES, RO);
	uint64_t before = free_bytes(m);
	uint8_t in[BUF_BYTES], zeros[BUF_BYTES] = { 0 };

	memset(in, 1, BUF_BYTES);
	OK(hf_read(s->mm, va, in, BUF_BYTES));
	CHECK(m);
	assert_memory_equal(in, zeros, BUF_BYTES);
	SAME(free_bytes(m), before);
	assert_false(present(s, va));
}

static void write_unshares_after_fork(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 2, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 1);
	uint64_t word = 77;

	child = fork_space(s, HF_FORK_COPY);
	OK(hf_write(child->mm, small, &word, sizeof(word)));
	OK(hf_write(child->mm, huge + 9 * PAGE, &word, sizeof(word)));
	CHECK(m);
	SAME(get(child, small), 77);
	SAME(get(child, huge + 9 * PAGE), 77);
	FILLED(s, small, 2 * PAGE, 1);
	FILLED(s, huge, PMD_SIZE, 1);
	OK(hf_write(s->mm, small + PAGE, &word, sizeof(word)));
	CHECK(m);
	FILLED(child, small + PAGE, PAGE, 1);
}

static void write_to_a_pinned_page_stays_in_place(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1, 1);
	uint64_t word = 77;
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	fork_space(s, HF_FORK_COPY);
	OK(hf_write(s->mm, va, &word, sizeof(word)));
	CHECK(m);
	SAME(dma_get(m, pin.spans[0].pa), 77);
	dma_put(m, pin.spans[0].pa, 78);
	OK(hf_read(s->mm, va, &word, sizeof(word)));
	SAME(word, 78);
	unpin(m, &pin);
}

static void copy_between_spaces(void **state)
{
	struct machine *m = *state;
	struct space *a = space_new(m), *b = space_new(m);
	hf_va from = map(a, BUF_BYTES, RW), to = map(b, 2 * BUF_BYTES, RW);
	uint8_t bytes[BUF_BYTES];

	fill_bytes(bytes, BUF_BYTES, 3);
	assert_true(test_port.store(a, from, bytes, BUF_BYTES));
	OK(hf_mprotect(a->mm, from, BUF_BYTES, RO)); /* reading needs no more */
	OK(hf_copy(b->mm, to + 777, a->mm, from, BUF_BYTES));
	CHECK(m);
	program_loads(b, to + 777, bytes, BUF_BYTES);
	OK(hf_copy(b->mm, to, a->mm, from + 1, 10));
	program_loads(b, to, bytes + 1, 10);
	SAME(get(b, to + 16), 0);
}

static void copy_inside_one_space(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, BUF_BYTES, RW);
	uint8_t bytes[BUF_BYTES];

	fill_bytes(bytes, BUF_BYTES, 3);
	assert_true(test_port.store(s, va, bytes, BUF_BYTES));
	OK(hf_copy(s->mm, va + 3 * PAGE, s->mm, va, 3 * PAGE)); /* side by side */
	CHECK(m);
	program_loads(s, va + 3 * PAGE, bytes, 3 * PAGE);
	OK(hf_copy(s->mm, va + 1, s->mm, va + 100, 99)); /* inside one page */
	program_loads(s, va + 1, bytes + 100, 99);
}

static void copy_of_absent_memory_writes_zeros(void **state)
{
	struct machine *m = *state;
	struct space *a = space_new(m), *b = space_new(m);
	hf_va from = map(a, 2 * PAGE, RW), to = map_filled(b, HF_LEVEL_PTE, 2, 1);

	OK(hf_copy(b->mm, to, a->mm, from, 2 * PAGE));
	CHECK(m);
	ZEROS(b, to, 2 * PAGE);
	assert_false(present(a, from));
}

static void copy_between_parent_and_child(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);

	child = fork_space(s, HF_FORK_COPY);
	fill(s, va, 4 * PAGE, 2);
	/* source and target start out as the very same frames */
	OK(hf_copy(child->mm, va + 2 * PAGE, child->mm, va, 2 * PAGE));
	CHECK(m);
	SAME(get(child, va + 2 * PAGE), stamp(1, va));
	OK(hf_copy(s->mm, va, child->mm, va, PAGE));
	FILLED(s, va, PAGE, 1);
	FILLED(s, va + PAGE, 3 * PAGE, 2);
}

/* ---- Ranges that show the same memory ---- */

#define TWIN_BYTES (64 * PAGE) /* several of the pieces that hf_copy copies at once */

/* Two spaces that map all of one object. */
struct twins {
	struct hf_object *object;
	struct space *a, *b;
	hf_va at, bt;
};

static struct twins twins_new(struct machine *m, uint64_t len, enum hf_object_huge huge)
{
	struct hf_object_config config = { .size = len, .huge = huge };
	struct twins t = { .a = space_new(m), .b = space_new(m) };

	OK(hf_object_create(m->phys, &config, &t.object));
	OK(hf_mmap_object(t.a->mm, &t.at, len, RW, HF_MAP_SHARED, t.object, 0));
	OK(hf_mmap_object(t.b->mm, &t.bt, len, RW, HF_MAP_SHARED, t.object, 0));
	return t;
}

/* hf_copy from offset `from` of the object to offset `to` does what memmove does. */
static void copies_as_memmove(struct twins *t, uint64_t to, uint64_t from, uint64_t len)
{
	uint8_t *want = malloc(TWIN_BYTES), *got = malloc(TWIN_BYTES);

	for (size_t i = 0; i < TWIN_BYTES; i++)
		want[i] = (uint8_t)(i % 251 + i / 4096);
	OK(hf_object_write(t->object, 0, want, TWIN_BYTES));
	OK(hf_copy(t->b->mm, t->bt + to, t->a->mm, t->at + from, len));
	memmove(want + to, want + from, len);
	OK(hf_object_read(t->object, 0, got, TWIN_BYTES));
	assert_memory_equal(got, want, TWIN_BYTES);
	free(want);
	free(got);
}

static void copies_at_many_distances(struct twins *t)
{
	static const uint64_t distances[] = { 0, 1, 64, PAGE, PAGE + 7, 17 * PAGE, 30 * PAGE + 1 };

	for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		uint64_t d = distances[i];

		copies_as_memmove(t, 5, 5 + d, TWIN_BYTES - d - 5);
		copies_as_memmove(t, 5 + d, 5, TWIN_BYTES - d - 5);
		copies_as_memmove(t, PAGE + d, PAGE, 100);
	}
}

static void copy_between_twin_mappings(void **state)
{
	struct machine *m = *state;
	struct twins small = twins_new(m, TWIN_BYTES, HF_OBJECT_SMALL);
	struct twins huge = twins_new(m, PMD_SIZE, HF_OBJECT_HUGE);

	copies_at_many_distances(&small);
	copies_at_many_distances(&huge);
	/* several mappings of each that go on in the object */
	OK(hf_madvise(small.a->mm, small.at + 3 * PAGE, 20 * PAGE, HF_ADV_DONTFORK));
	OK(hf_madvise(small.b->mm, small.bt + 7 * PAGE, PAGE, HF_ADV_DONTFORK));
	copies_at_many_distances(&small);
	/* one space; the ranges do not overlap, what they show does */
	hf_object_put(small.object);
	small.b = small.a;
	small.bt = 0;
	OK(hf_mmap_object(small.a->mm, &small.bt, TWIN_BYTES, RW, HF_MAP_SHARED, small.object, 0));
	copies_at_many_distances(&small);
	CHECK(m);
	hf_object_put(huge.object);
}

/* Nothing is promised of the order then, but that a byte is an old one or one of this call's. */
static void copy_between_mappings_in_another_order(void **state)
{
	struct machine *m = *state;
	struct twins t = twins_new(m, 4 * PAGE, HF_OBJECT_SMALL);
	hf_va va = SPACE_LO;
	uint8_t bytes[4 * PAGE];

	for (size_t i = 0; i < 4; i++) {
		memset(bytes + i * PAGE, (int)i + 1, PAGE);
		OK(hf_mmap_object(t.b->mm, &(hf_va){ va + i * PAGE }, PAGE, RW,
				  HF_MAP_SHARED | HF_MAP_FIXED, t.object, (3 - i) * PAGE));
	}
	OK(hf_object_write(t.object, 0, bytes, 4 * PAGE));
	OK(hf_copy(t.b->mm, va + 100, t.a->mm, t.at, 4 * PAGE - 100));
	CHECK(m);
	OK(hf_object_read(t.object, 0, bytes, 4 * PAGE));
	for (size_t i = 0; i < 4 * PAGE; i++)
		assert_in_range(bytes[i], 1, 4);
	hf_object_put(t.object);
}

static void copy_to_and_from_the_ram_itself(void **state)
{
	struct machine *m = *state;
	struct twins t = twins_new(m, PAGE, HF_OBJECT_SMALL);
	uint8_t bytes[PAGE], *ram;

	fill_bytes(bytes, PAGE, 5);
	OK(hf_write(t.a->mm, t.at, bytes, PAGE));
	ram = hf_phys_ptr(m->phys, pa_of(t.a, t.at));
	OK(hf_read(t.a->mm, t.at, ram + 100, 1000));
	memmove(bytes + 100, bytes, 1000);
	OK(hf_write(t.a->mm, t.at, ram + 50, 2000));
	memmove(bytes, bytes + 50, 2000);
	OK(hf_object_read(t.object, 0, ram + 7, 3000));
	memmove(bytes + 7, bytes, 3000);
	OK(hf_object_write(t.object, 0, ram + 9, 3000));
	memmove(bytes, bytes + 9, 3000);
	program_loads(t.b, t.bt, bytes, PAGE);
	CHECK(m);
	hf_object_put(t.object);
}

static void errors_write_no_byte(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va rw = map_filled(s, HF_LEVEL_PTE, 2, 1), ro = map_filled(s, HF_LEVEL_PTE, 1, 2);
	hf_va none = map(s, PAGE, HF_PROT_NONE), low = map(s, PAGE, RW);
	hf_va top = SPACE_LO + SPACE_LEN, alone = map_at(s, SPACE_LO + MIB, PAGE, RW);
	uint8_t buf[4 * PAGE] = { 1 }, same[4 * PAGE];

	OK(hf_mprotect(s->mm, ro, PAGE, RO));
	put(s, alone, 1);
	memcpy(same, buf, sizeof(buf));
	FAILS(m, HF_ERR_EMPTY, hf_read(s->mm, rw, buf, 0));
	FAILS(m, HF_ERR_EMPTY, hf_write(s->mm, rw, buf, 0));
	FAILS(m, HF_ERR_WRAP, hf_read(s->mm, rw, buf, UINT64_MAX - rw + 2));
	FAILS(m, HF_ERR_WRAP, hf_write(s->mm, rw, buf, UINT64_MAX));
	FAILS(m, HF_ERR_RANGE, hf_read(s->mm, SPACE_LO - 1, buf, 2));
	FAILS(m, HF_ERR_RANGE, hf_write(s->mm, top - 1, buf, 2));
	FAILS(m, HF_ERR_RANGE, hf_write(s->mm, top, buf, 1));
	FAILS(m, HF_ERR_UNMAPPED, hf_read(s->mm, alone, buf, PAGE + 1));
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_UNMAPPED, hf_write(s->mm, alone, buf, PAGE + 1));
	FAILS(m, HF_ERR_ACCESS, hf_read(s->mm, none, buf, 1));
	FAILS(m, HF_ERR_ACCESS, hf_read(s->mm, low, buf, PAGE + 1));
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_ACCESS, hf_write(s->mm, low, buf, PAGE + 1));
	FAILS(m, HF_ERR_ACCESS, hf_write(s->mm, ro, buf, 1));
	SAME(get(s, alone), 1);
	assert_memory_equal(buf, same, sizeof(buf)); /* failed reads wrote nothing either */
}

static void copy_errors_write_no_byte(void **state)
{
	struct machine *m = *state;
	struct space *a = space_new(m), *b = space_new(m);
	hf_va from = map_filled(a, HF_LEVEL_PTE, 4, 1), to = map_filled(b, HF_LEVEL_PTE, 4, 2);
	hf_va top = SPACE_LO + SPACE_LEN;

	FAILS(m, HF_ERR_EMPTY, hf_copy(b->mm, to, a->mm, from, 0));
	FAILS(m, HF_ERR_WRAP, hf_copy(b->mm, to, a->mm, from, UINT64_MAX));
	FAILS(m, HF_ERR_RANGE, hf_copy(b->mm, top - PAGE, a->mm, from, 2 * PAGE));
	FAILS(m, HF_ERR_RANGE, hf_copy(b->mm, to, a->mm, top - PAGE, 2 * PAGE));
	FAILS(m, HF_ERR_UNMAPPED, hf_copy(b->mm, to, a->mm, from - PAGE, 2 * PAGE));
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_UNMAPPED,
		      hf_copy(b->mm, to - PAGE, a->mm, from, 2 * PAGE));
	FAILS(m, HF_ERR_OVERLAP, hf_copy(a->mm, from, a->mm, from, 1));
	FAILS(m, HF_ERR_OVERLAP, hf_copy(a->mm, from + PAGE, a->mm, from, PAGE + 1));
	FAILS(m, HF_ERR_OVERLAP, hf_copy(a->mm, from, a->mm, from + PAGE, PAGE + 1));
	OK(hf_mprotect(a->mm, from + PAGE, PAGE, HF_PROT_NONE));
	OK(hf_mprotect(b->mm, to + PAGE, PAGE, RO));
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_ACCESS,
		      hf_copy(b->mm, to + 2 * PAGE, a->mm, from, 2 * PAGE));
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_ACCESS,
		      hf_copy(b->mm, to, a->mm, from + 2 * PAGE, 2 * PAGE));
	/* the same addresses in two spaces do not overlap */
	OK(hf_copy(b->mm, to, a->mm, from, PAGE));
}

static void copy_between_machines_is_refused(void **state)
{
	struct machine_config config = { .ram_bytes = 16 * MIB };
	struct machine *m = *state, *other = machine_new(&config);
	struct space *a = space_new(m), *b = space_new(other);
	hf_va from = map_filled(a, HF_LEVEL_PTE, 1, 1), to = map_filled(b, HF_LEVEL_PTE, 1, 2);

	FAILS(m, HF_ERR_INVAL, hf_copy(b->mm, to, a->mm, from, 8));
	FAILS(other, HF_ERR_INVAL, hf_copy(b->mm, to, a->mm, from, 8));
	machine_end(other);
}

static const struct CMUnitTest tests[] = {
	TEST(write_then_load_and_store_then_read),
	TEST(huge_pages_and_their_borders),
	TEST(reading_absent_memory_allocates_nothing),
	TEST(write_unshares_after_fork),
	TEST(write_to_a_pinned_page_stays_in_place),
	TEST(copy_between_spaces),
	TEST(copy_inside_one_space),
	TEST(copy_of_absent_memory_writes_zeros),
	TEST(copy_between_parent_and_child),
	TEST(copy_between_twin_mappings),
	TEST(copy_between_mappings_in_another_order),
	TEST(copy_to_and_from_the_ram_itself),
	TEST(errors_write_no_byte),
	TEST(copy_errors_write_no_byte),
	TEST(copy_between_machines_is_refused),
};
SUITE(suite_copy, tests);
