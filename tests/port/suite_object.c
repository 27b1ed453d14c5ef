/* SPDX-License-Identifier: MIT */
/* Objects: shared and private mappings of memory with an identity, on shared memory. */
#include "port.h"

static struct hf_object *object_of(struct machine *m, uint64_t size, enum hf_object_huge huge)
{
	struct hf_object_config config = { .size = size, .huge = huge };
	struct hf_object *object = NULL;

	OK(hf_object_create(m->phys, &config, &object));
	CHECK(m);
	return object;
}

/* `pages` small pages of which each is stamped (see fill) as if mapped at 0. */
static struct hf_object *object_filled(struct machine *m, size_t pages, uint64_t seed)
{
	struct hf_object *object = object_of(m, pages * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = SPACE_LO;

	OK(hf_mmap_object(s->mm, &va, pages * PAGE, RW, HF_MAP_FIXED | HF_MAP_SHARED, object, 0));
	fill(s, va, pages * PAGE, seed);
	space_end(s);
	return object;
}

static hf_va map_object(struct space *s, struct hf_object *object, uint64_t offset, uint64_t len,
			unsigned prot, unsigned flags)
{
	hf_va va = 0;

	OK(hf_mmap_object(s->mm, &va, len, prot, flags, object, offset));
	CHECK(s->m);
	return va;
}

static hf_va map_object_at(struct space *s, hf_va va, struct hf_object *object, uint64_t offset,
			   uint64_t len, unsigned prot, unsigned flags)
{
	OK(hf_mmap_object(s->mm, &va, len, prot, flags | HF_MAP_FIXED, object, offset));
	CHECK(s->m);
	return va;
}

static hf_va map_shared(struct space *s, struct hf_object *object, uint64_t len)
{
	return map_object(s, object, 0, len, RW, HF_MAP_SHARED);
}

static hf_va map_private(struct space *s, struct hf_object *object, uint64_t len)
{
	return map_object(s, object, 0, len, RW, HF_MAP_PRIVATE);
}

static void put_object(struct machine *m, struct hf_object *object)
{
	hf_object_put(object);
	CHECK(m);
}

static uint64_t read_object(struct hf_object *object, uint64_t offset)
{
	uint64_t value = 0;

	OK(hf_object_read(object, offset, &value, sizeof(value)));
	return value;
}

static void write_object(struct hf_object *object, uint64_t offset, uint64_t value)
{
	OK(hf_object_write(object, offset, &value, sizeof(value)));
}

static uint64_t resident(struct hf_object *object)
{
	struct hf_object_stats stats;
	uint64_t bytes = 0;

	hf_object_stats(object, &stats);
	for (unsigned level = 0; level < HF_LEAF_LEVELS; level++)
		bytes += stats.pages[level] * hf_level_size(level);
	return bytes;
}

static uint64_t vmas(struct space *s)
{
	struct hf_mm_stats stats;

	hf_mm_stats(s->mm, &stats);
	return stats.vmas;
}

/* The program may not touch it, and the reason is SIGBUS. */
static void is_bus(struct space *s, hf_va va)
{
	assert_false(may_load(s, va));
	assert_false(may_store(s, va));
	FAILS_KEEPING(s->m, STATE_ALL, HF_ERR_BUS, hf_fault(s->mm, va, HF_ACCESS_READ, NULL));
	FAILS_KEEPING(s->m, STATE_ALL, HF_ERR_BUS, hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
}

/* Shared mappings */

static void shared_writes_are_for_all(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 4 * PAGE, HF_OBJECT_SMALL);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_shared(a, object, 4 * PAGE), vb;

	map(b, PAGE, RO); /* so that the two have it at different addresses */
	vb = map_shared(b, object, 4 * PAGE);
	put(a, va, 1);
	SAME(get(b, vb), 1);
	put(b, vb + 3 * PAGE, 2);
	SAME(get(a, va + 3 * PAGE), 2);
	SAME_PA(pa_of(a, va), pa_of(b, vb));
	CHECK(m);
	SAME(resident(object), 2 * PAGE);
	put_object(m, object);
}

static void the_host_sees_what_spaces_see(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 4 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = map_shared(s, object, 4 * PAGE);

	SAME(read_object(object, PAGE), 0);
	SAME(resident(object), 0);
	write_object(object, 2 * PAGE - 4, 7); /* over a border */
	SAME(get(s, va + 2 * PAGE - 4), 7);
	put(s, va + 2 * PAGE - 4, 8);
	SAME(read_object(object, 2 * PAGE - 4), 8);
	put_object(m, object);
}

static void shared_anonymous_memory_is_inherited(void **state)
{
	struct machine *m = *state;
	struct space *parent = space_new(m), *child;
	hf_va va = 0;

	OK(hf_mmap(parent->mm, &va, 8 * PAGE, RW, HF_MAP_SHARED));
	CHECK(m);
	assert_true(mapping_at(parent, va).shared);
	assert_non_null(mapping_at(parent, va).object);
	put(parent, va, 1);
	child = fork_space(parent, HF_FORK_COPY);
	SAME(get(child, va), 1);
	put(child, va, 2);
	put(child, va + 7 * PAGE, 3);
	SAME(get(parent, va), 2);
	SAME(get(parent, va + 7 * PAGE), 3);
	space_end(parent);
	SAME(get(child, va), 2);
	child = fork_space(child, HF_FORK_SPLIT);
	SAME(get(child, va + 7 * PAGE), 3);
}

static void fork_leaves_shared_memory_writable(void **state)
{
	struct machine *m = *state;
	struct space *parent = space_new(m), *child;
	hf_va before = map_filled(parent, HF_LEVEL_PTE, 3, 1), va = 0, after;

	OK(hf_mmap(parent->mm, &va, 4 * PAGE, RW, HF_MAP_SHARED));
	after = map_filled(parent, HF_LEVEL_PTE, 3, 2);
	fill(parent, va, 4 * PAGE, 3);
	child = fork_space(parent, HF_FORK_COPY);
	CHECK(m);
	SAME(access_of(parent, va), HF_ACCESS_READ | HF_ACCESS_WRITE);
	SAME(access_of(parent, before), HF_ACCESS_READ);
	SAME(access_of(parent, after), HF_ACCESS_READ);
	FILLED(child, va, 4 * PAGE, 3);
	FILLED(child, before, 3 * PAGE, 1);
	FILLED(child, after, 3 * PAGE, 2);
	SAME_PA(pa_of(child, va), pa_of(parent, va));
	fill(child, va, 4 * PAGE, 4);
	fill(child, before, 3 * PAGE, 5);
	FILLED(parent, va, 4 * PAGE, 4);
	FILLED(parent, before, 3 * PAGE, 1);
	CHECK(m);
}

static void dropping_the_pages_keeps_the_contents(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 4, 1);
	struct space *s = space_new(m);
	hf_va va = map_object_at(s, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_SHARED);

	FILLED(s, va, 4 * PAGE, 1);
	OK(hf_madvise(s->mm, va, 4 * PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	assert_false(present(s, va));
	FILLED(s, va, 4 * PAGE, 1);
	OK(hf_munmap(s->mm, va, 2 * PAGE));
	CHECK(m);
	map_object_at(s, va, object, 0, 2 * PAGE, RO, HF_MAP_SHARED);
	FILLED(s, va, 4 * PAGE, 1);
	assert_false(may_store(s, va));
	put_object(m, object);
}

static void write_protected_shared_memory_gets_writable_again(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 2 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m), *other = space_new(m);
	hf_va va = map_shared(s, object, 2 * PAGE), vo = map_shared(other, object, 2 * PAGE);
	hf_pa pa;

	put(s, va, 1);
	SAME(get(other, vo), 1);
	pa = pa_of(s, va);
	OK(hf_mprotect(s->mm, va, 2 * PAGE, RO));
	assert_false(may_store(s, va));
	OK(hf_mprotect(s->mm, va, 2 * PAGE, RW));
	CHECK(m);
	put(s, va, 2);
	SAME_PA(pa_of(s, va), pa);
	SAME(get(other, vo), 2);
	SAME(resident(object), PAGE);
	put_object(m, object);
}

/* Private mappings */

static void private_writes_are_for_one(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 4, 1);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_object_at(a, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_PRIVATE);
	hf_va vb = map_object_at(b, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_PRIVATE);

	FILLED(a, va, 4 * PAGE, 1);
	SAME_PA(pa_of(a, va), (FILLED(b, vb, PAGE, 1), pa_of(b, vb)));
	put(a, va, 5);		  /* after a read */
	put(a, va + 3 * PAGE, 6); /* after a read */
	put(b, vb + 2 * PAGE, 7); /* without one */
	CHECK(m);
	SAME(get(b, vb), stamp(1, SPACE_LO));
	SAME(read_object(object, 0), stamp(1, SPACE_LO));
	SAME(read_object(object, 2 * PAGE), stamp(1, SPACE_LO + 2 * PAGE));
	/* What nobody wrote to privately is still the object's. */
	write_object(object, PAGE, 8);
	SAME(get(a, va + PAGE), 8);
	SAME(get(b, vb + PAGE), 8);
	write_object(object, 0, 9);
	SAME(get(a, va), 5);
	SAME(get(b, vb), 9);
	put_object(m, object);
}

static void dropping_private_copies_shows_the_object(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 2, 1);
	struct space *s = space_new(m);
	hf_va va = map_object_at(s, SPACE_LO, object, 0, 2 * PAGE, RW, HF_MAP_PRIVATE);

	fill(s, va, 2 * PAGE, 2);
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	CHECK(m);
	FILLED(s, va, PAGE, 1);
	FILLED(s, va + PAGE, PAGE, 2);
	put_object(m, object);
}

static void private_mappings_fork_copy_on_write(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 4, 1);
	struct space *parent = space_new(m), *child;
	hf_va va = map_object_at(parent, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_PRIVATE);

	put(parent, va, 2);
	SAME(get(parent, va + PAGE), stamp(1, va + PAGE));
	child = fork_space(parent, HF_FORK_COPY);
	CHECK(m);
	put(parent, va + PAGE, 3);
	put(child, va, 4);
	put(child, va + 2 * PAGE, 5);
	CHECK(m);
	SAME(get(parent, va), 2);
	SAME(get(child, va + PAGE), stamp(1, va + PAGE));
	SAME(get(parent, va + 2 * PAGE), stamp(1, va + 2 * PAGE));
	SAME(read_object(object, 0), stamp(1, va));
	put_object(m, object);
}

/* Places in the object */

static void offsets_lead_to_their_pages(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 8, 1);
	struct space *s = space_new(m);
	hf_va va = map_object(s, object, 3 * PAGE, 4 * PAGE, RW, HF_MAP_SHARED);

	for (size_t i = 0; i < 4; i++)
		SAME(get(s, va + i * PAGE), stamp(1, SPACE_LO + (3 + i) * PAGE));
	SAME(mapping_at(s, va).offset, 3 * PAGE);
	assert_ptr_equal(mapping_at(s, va).object, object);
	OK(hf_munmap(s->mm, va + PAGE, PAGE));
	CHECK(m);
	SAME(mapping_at(s, va + PAGE).start, va + 2 * PAGE);
	SAME(mapping_at(s, va + PAGE).offset, 5 * PAGE);
	SAME(get(s, va + 2 * PAGE), stamp(1, SPACE_LO + 5 * PAGE));
	OK(hf_mprotect(s->mm, va + 3 * PAGE, PAGE, HF_PROT_READ));
	CHECK(m);
	SAME(mapping_at(s, va + 3 * PAGE).offset, 6 * PAGE);
	SAME(get(s, va + 3 * PAGE), stamp(1, SPACE_LO + 6 * PAGE));
	put_object(m, object);
}

static void the_same_page_twice_in_one_space(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 2, 1);
	struct space *s = space_new(m);
	hf_va one = map_shared(s, object, 2 * PAGE), two = map_shared(s, object, 2 * PAGE);
	hf_va own = map_private(s, object, 2 * PAGE);

	put(s, one, 2);
	SAME(get(s, two), 2);
	SAME(get(s, own), 2);
	put(s, own, 3);
	put(s, two, 4);
	SAME(get(s, one), 4);
	SAME(get(s, own), 3);
	CHECK(m);
	put_object(m, object);
}

static void mappings_merge_where_the_offsets_do(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 16 * PAGE, HF_OBJECT_SMALL);
	struct hf_object *another = object_of(m, 16 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = SPACE_LO + 16 * PAGE;

	map_object_at(s, va, object, 4 * PAGE, 2 * PAGE, RW, HF_MAP_SHARED);
	map_object_at(s, va + 2 * PAGE, object, 6 * PAGE, 2 * PAGE, RW, HF_MAP_SHARED);
	SAME(vmas(s), 1);
	map_object_at(s, va - PAGE, object, 3 * PAGE, PAGE, RW, HF_MAP_SHARED);
	SAME(vmas(s), 1);
	SAME(mapping_at(s, va).offset, 3 * PAGE);
	map_object_at(s, va + 4 * PAGE, object, 9 * PAGE, PAGE, RW, HF_MAP_SHARED);
	SAME(vmas(s), 2); /* another offset */
	map_object_at(s, va + 5 * PAGE, object, 10 * PAGE, PAGE, RW, HF_MAP_PRIVATE);
	SAME(vmas(s), 3); /* another kind */
	map_object_at(s, va + 6 * PAGE, another, 11 * PAGE, PAGE, RW, HF_MAP_PRIVATE);
	SAME(vmas(s), 4); /* another object */
	map_at(s, va + 7 * PAGE, PAGE, RW);
	SAME(vmas(s), 5); /* none */
	map_object_at(s, va + 4 * PAGE, object, 8 * PAGE, PAGE, RW, HF_MAP_SHARED);
	SAME(vmas(s), 4);
	/* Advice taken and undone again: one mapping, cut and joined. */
	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_DONTFORK));
	SAME(vmas(s), 6);
	SAME(mapping_at(s, va + 2 * PAGE).offset, 6 * PAGE);
	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_DOFORK));
	CHECK(m);
	SAME(vmas(s), 4);
	put_object(m, object);
	put_object(m, another);
}

/* Beyond the end */

static void beyond_the_end_is_a_bus_error(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 2 * PAGE + 100, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = map_shared(s, object, 8 * PAGE), own = map_private(s, object, 8 * PAGE);
	uint64_t value;

	put(s, va + 2 * PAGE, 1);
	put(s, va + 3 * PAGE - 8, 2); /* of the last page, beyond the end */
	SAME(get(s, own + 3 * PAGE - 8), 2);
	is_bus(s, va + 3 * PAGE);
	is_bus(s, own + 7 * PAGE);
	GIVES(HF_ERR_BUS, hf_madvise(s->mm, va, 8 * PAGE, HF_ADV_POPULATE_READ));
	GIVES(HF_ERR_BUS, hf_read(s->mm, va + 3 * PAGE - 4, &value, sizeof(value)));
	GIVES(HF_ERR_BUS, hf_write(s->mm, va + 3 * PAGE - 4, &value, sizeof(value)));
	SAME(get(s, va + 3 * PAGE - 8), 2);
	CHECK(m);
	put_object(m, object);
}

static void an_object_of_nothing(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 0, HF_OBJECT_HUGE_1G);
	struct space *s = space_new(m);
	uint64_t value;

	is_bus(s, map_shared(s, object, PAGE));
	GIVES(HF_ERR_RANGE, hf_object_read(object, 0, &value, sizeof(value)));
	SAME(hf_object_size(object), 0);
	put_object(m, object);
}

/* Lifetime */

static void mappings_keep_an_object(void **state)
{
	struct machine *m = *state;
	uint64_t before = free_bytes(m);
	struct space *s = space_new(m), *child;
	uint64_t with_space = free_bytes(m), with_object;
	struct hf_object *object = object_filled(m, 4, 1);
	hf_va va = map_object_at(s, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_SHARED);

	put_object(m, object);
	FILLED(s, va, 4 * PAGE, 1);
	OK(hf_mprotect(s->mm, va + PAGE, PAGE, RO));
	child = fork_space(s, HF_FORK_COPY);
	OK(hf_munmap(s->mm, va, 4 * PAGE));
	CHECK(m);
	FILLED(child, va, 4 * PAGE, 1);
	with_object = free_bytes(m);
	OK(hf_munmap(child->mm, va, 4 * PAGE));
	CHECK(m);
	assert_true(free_bytes(m) >= with_object + 5 * PAGE); /* four pages and the object */
	space_end(child);
	assert_true(free_bytes(m) <= with_space);
	space_end(s);
	SAME(free_bytes(m), before);
}

static void references_add_up(void **state)
{
	struct machine *m = *state;
	uint64_t before = free_bytes(m);
	struct hf_object *object = object_of(m, PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	struct hf_object_stats stats;
	hf_va va;

	OK(hf_object_get(object));
	va = map_shared(s, object, PAGE);
	hf_object_stats(object, &stats);
	SAME(stats.references, 3);
	put_object(m, object);
	OK(hf_munmap(s->mm, va, PAGE));
	hf_object_stats(object, &stats);
	SAME(stats.references, 1);
	write_object(object, 0, 1);
	put_object(m, object);
	space_end(s);
	SAME(free_bytes(m), before);
}

/* Pins */

static void pins_of_shared_memory_are_everybodys(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 2, 1);
	struct space *a = space_new(m), *b = space_new(m), *child;
	hf_va va = map_shared(a, object, 2 * PAGE), vb = map_shared(b, object, 2 * PAGE);
	hf_va own = map_private(b, object, 2 * PAGE);
	struct pin pin, again;

	SAME(get(b, vb), stamp(1, SPACE_LO));
	SAME(get(b, own), stamp(1, SPACE_LO));
	pin_range(a, va, 2 * PAGE, HF_PIN_WRITE, &pin);
	SAME_PA(pin.spans[0].pa, pa_of(b, vb));
	pin_range(b, vb, PAGE, HF_PIN_READ, &again);
	SAME(pins_at(m, pin.spans[0].pa), 2);
	dma_put(m, pin.spans[0].pa, 2);
	SAME(get(a, va), 2);
	SAME(get(b, vb), 2);
	SAME(get(b, own), 2);
	child = fork_space(a, HF_FORK_COPY);
	SAME(pins_at(m, pin.spans[0].pa), 2);
	SAME_PA(pa_of(a, va), pin.spans[0].pa);
	put(a, va, 3);
	SAME_PA(pa_of(a, va), pin.spans[0].pa);
	SAME(dma_get(m, pin.spans[0].pa), 3);
	SAME(get(child, va), 3);
	put(child, va, 4);
	SAME(dma_get(m, pin.spans[0].pa), 4);
	/* A private copy is made of the pinned page, and is not it. */
	put(b, own, 5);
	SAME(dma_get(m, pin.spans[0].pa), 4);
	CHECK(m);
	unpin(m, &pin);
	SAME(pins_at(m, pa_of(b, vb)), 1);
	unpin(m, &again);
	put_object(m, object);
}

static void pins_of_private_memory_move_to_a_copy(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 2, 1);
	struct space *s = space_new(m);
	hf_va va = map_private(s, object, 2 * PAGE);
	struct pin pin;

	for (unsigned flags = HF_PIN_READ; flags <= HF_PIN_WRITE; flags++) {
		SAME(get(s, va), stamp(1, SPACE_LO));
		pin_range(s, va, PAGE, flags, &pin);
		put(s, va, 2);
		SAME(dma_get(m, pin.spans[0].pa), 2);
		SAME(read_object(object, 0), stamp(1, SPACE_LO));
		unpin(m, &pin);
		OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	}
	put_object(m, object);
}

/* Fork takes no references for what the child finds again: there may be no room for two. */
static void one_page_twice_beside_a_pin(void **state)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES, .count_limit = 4 };
	struct machine *m = machine_new(&config);
	struct hf_object *object = object_filled(m, 1, 1);
	struct space *s = space_new(m), *child;
	hf_va one = map_object_at(s, SPACE_LO, object, 0, PAGE, RW, HF_MAP_PRIVATE);
	hf_va two = map_object_at(s, SPACE_LO + PAGE, object, 0, PAGE, RW, HF_MAP_PRIVATE);
	hf_va plain = map_at(s, SPACE_LO + 2 * PAGE, PAGE, RW);
	struct pin pin;

	(void)state;
	SAME(get(s, one), stamp(1, SPACE_LO));
	SAME(get(s, two), stamp(1, SPACE_LO));
	pin_range(s, plain, PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(s, HF_FORK_COPY);
	CHECK(m);
	SAME(get(child, two), stamp(1, SPACE_LO));
	unpin(m, &pin);
	put_object(m, object);
	machine_end(m);
}

/* References of the host's end at the limit of counts, those of mappings need none. */
static void references_end_at_the_limit(void **state)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES, .count_limit = 3 };
	struct machine *m = machine_new(&config);
	struct hf_object *object = object_filled(m, 1, 1);
	struct space *s = space_new(m);
	struct hf_object_stats stats;

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		OK(hf_object_get(object));
	FAILS(m, HF_ERR_OVERFLOW, hf_object_get(object));
	for (unsigned i = 0; i < 8; i++)
		map_object_at(s, SPACE_LO + 2 * i * PAGE, object, 0, PAGE, RW, HF_MAP_SHARED);
	hf_object_stats(object, &stats);
	SAME(stats.references, 3 + 8);
	CHECK(m);
	for (unsigned i = 0; i < 3; i++)
		OK(hf_object_put(object));
	FAILS(m, HF_ERR_INVAL,
	      hf_object_put(object)); /* the mappings' are not the host's to give */
	SAME(get(s, SPACE_LO), stamp(1, SPACE_LO));
	OK(hf_object_get(object));
	space_end(s);
	put_object(m, object);
	machine_end(m);
}

static void a_pinned_page_outlives_its_object(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = 0;
	struct pin pin;

	OK(hf_mmap(s->mm, &va, 2 * PAGE, RW, HF_MAP_SHARED));
	put(s, va, 1);
	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	space_end(s);
	SAME(dma_get(m, pin.spans[0].pa), 1);
	unpin(m, &pin);
}

/* Copies */

static void copies_read_and_write_objects(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 4, 1);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_object_at(a, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_SHARED);
	hf_va vb = map_object_at(b, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_PRIVATE);
	hf_va plain = map(b, 4 * PAGE, RW);
	uint64_t value = 0;

	OK(hf_read(a->mm, va + 2 * PAGE, &value, sizeof(value)));
	SAME(value, stamp(1, va + 2 * PAGE));
	OK(hf_copy(b->mm, plain, b->mm, vb, 4 * PAGE));
	SAME(get(b, plain + 3 * PAGE), stamp(1, va + 3 * PAGE));
	value = 5;
	OK(hf_write(b->mm, vb, &value, sizeof(value)));
	SAME(read_object(object, 0), stamp(1, va));
	OK(hf_copy(a->mm, va, b->mm, vb, PAGE));
	SAME(read_object(object, 0), 5);
	CHECK(m);
	put_object(m, object);
}

/* Huge pages */

#define HUGE_SIZE (2 * PMD_SIZE)

static uint64_t pages(struct hf_object *object, unsigned level)
{
	struct hf_object_stats stats;

	hf_object_stats(object, &stats);
	return stats.pages[level];
}

static struct hf_object *huge_object(struct machine *m)
{
	return object_of(m, HUGE_SIZE, HF_OBJECT_HUGE);
}

static void huge_pages_of_an_object_are_shared_huge(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *a = space_new(m), *b = space_new(m), *child;
	hf_va va = map_shared(a, object, HUGE_SIZE), vb = map_shared(b, object, HUGE_SIZE);

	fill(a, va, HUGE_SIZE, 1);
	SAME(get(b, vb + PAGE), stamp(1, va + PAGE));
	SAME(level_of(a, va), HF_LEVEL_PMD);
	SAME(level_of(b, vb), HF_LEVEL_PMD);
	SAME_PA(pa_of(a, va), pa_of(b, vb));
	SAME(pages(object, HF_LEVEL_PMD), 2);
	child = fork_space(a, HF_FORK_COPY);
	SAME(leaves(a, HF_LEVEL_PMD), 2);
	SAME(access_of(a, va), HF_ACCESS_READ | HF_ACCESS_WRITE);
	put(child, va + 5 * PAGE, 2);
	SAME(level_of(child, va), HF_LEVEL_PMD);
	SAME(get(b, vb + 5 * PAGE), 2);
	CHECK(m);
	put_object(m, object);
}

/* The seed's wp_huge_pmd: shared memory is not copied, and here not split either. */
static void a_write_protected_huge_leaf_gets_writable_again(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_shared(a, object, HUGE_SIZE), vb = map_shared(b, object, HUGE_SIZE);
	hf_pa pa;

	fill(a, va, HUGE_SIZE, 1);
	SAME(get(b, vb), stamp(1, va));
	pa = pa_of(a, va);
	OK(hf_mprotect(a->mm, va, HUGE_SIZE, RO));
	assert_false(may_store(a, va));
	OK(hf_mprotect(a->mm, va, HUGE_SIZE, RW));
	CHECK(m);
	SAME(access_of(a, va), HF_ACCESS_READ);
	put(a, va, 2);
	CHECK(m);
	SAME_PA(pa_of(a, va), pa);
	SAME(level_of(a, va), HF_LEVEL_PMD);
	SAME(get(b, vb), 2);
	SAME(resident(object), HUGE_SIZE);
	put_object(m, object);
}

static void protecting_a_part_splits_the_mapping_alone(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_shared(a, object, HUGE_SIZE), vb = map_shared(b, object, HUGE_SIZE);
	hf_pa pa;

	fill(a, va, HUGE_SIZE, 1);
	put(b, vb, 2);
	pa = pa_of(a, va + 7 * PAGE);
	OK(hf_mprotect(a->mm, va + 7 * PAGE, PAGE, RO));
	CHECK(m);
	SAME(level_of(a, va + 7 * PAGE), HF_LEVEL_PTE);
	SAME(level_of(b, vb + 7 * PAGE), HF_LEVEL_PMD);
	SAME(pages(object, HF_LEVEL_PMD), 2);
	assert_false(may_store(a, va + 7 * PAGE));
	OK(hf_mprotect(a->mm, va + 7 * PAGE, PAGE, RW));
	put(a, va + 7 * PAGE, 3);
	SAME_PA(pa_of(a, va + 7 * PAGE), pa);
	SAME(get(b, vb + 7 * PAGE), 3);
	put(a, va + 8 * PAGE, 4);
	SAME(get(b, vb + 8 * PAGE), 4);
	CHECK(m);
	put_object(m, object);
}

static void private_write_copies_by_policy(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *shared = space_new(m);
	struct space *whole = space_new_of(m, SPACE_LEN, HF_HUGE_COW_WHOLE);
	struct space *small = space_new_of(m, SPACE_LEN, HF_HUGE_COW_SMALL);
	hf_va va = map_shared(shared, object, HUGE_SIZE);
	hf_va vw = map_private(whole, object, HUGE_SIZE),
	      vs = map_private(small, object, HUGE_SIZE);

	fill(shared, va, HUGE_SIZE, 1);
	SAME(get(whole, vw), stamp(1, va));
	SAME_PA(pa_of(whole, vw), pa_of(shared, va));
	put(whole, vw + PAGE, 2);
	SAME(level_of(whole, vw), HF_LEVEL_PMD);
	assert_true(pa_of(whole, vw).v != pa_of(shared, va).v);
	put(small, vs + PAGE, 3); /* without a read before */
	CHECK(m);
	SAME(level_of(small, vs), HF_LEVEL_PTE);
	SAME_PA(pa_of(small, vs), pa_of(shared, va));
	SAME(get(small, vs + 2 * PAGE), stamp(1, va + 2 * PAGE));
	SAME(get(shared, va + PAGE), stamp(1, va + PAGE));
	SAME(level_of(shared, va), HF_LEVEL_PMD);
	put(shared, va + 2 * PAGE, 4);
	SAME(get(small, vs + 2 * PAGE), 4);
	SAME(get(whole, vw + 2 * PAGE), stamp(1, va + 2 * PAGE));
	CHECK(m);
	put_object(m, object);
}

static void a_private_write_without_a_free_huge_page_copies_a_small_one(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *s = space_new(m);
	hf_va va = map_private(s, object, HUGE_SIZE);
	struct hoard hoard;

	SAME(get(s, va), 0);
	fragment(m, 8, &hoard);
	put(s, va, 1);
	CHECK(m);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	SAME(read_object(object, 0), 0);
	hoard_release(m, &hoard);
	put_object(m, object);
}

static void a_huge_page_at_a_small_offset_is_mapped_small(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *s = space_new(m);
	hf_va va = map_object(s, object, PAGE, PMD_SIZE, RW, HF_MAP_SHARED);
	hf_va odd = map_object_at(s, SPACE_LO, object, PAGE, PMD_SIZE, RW, HF_MAP_SHARED);

	put(s, odd, 1);
	SAME(level_of(s, odd), HF_LEVEL_PTE);
	SAME(pages(object, HF_LEVEL_PMD), 1);
	put(s, odd + PMD_SIZE - PAGE, 2);
	SAME(pages(object, HF_LEVEL_PMD), 2);
	SAME(get(s, va + PMD_SIZE - PAGE), 2);
	/* The address that the core chose is as far from 2 MiB as the offset. */
	SAME((va - PAGE) % PMD_SIZE, 0);
	put_object(m, object);
}

static void the_core_chooses_addresses_for_huge_leaves(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 3 * PMD_SIZE, HF_OBJECT_HUGE);
	struct space *s = space_new(m);
	hf_va va = map_object(s, object, PMD_SIZE - PAGE, PMD_SIZE + 2 * PAGE, RW, HF_MAP_SHARED);

	put(s, va + PAGE, 1);
	SAME(level_of(s, va + PAGE), HF_LEVEL_PMD);
	put(s, va, 2);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	put(s, va + PAGE + PMD_SIZE, 3);
	SAME(level_of(s, va + PAGE + PMD_SIZE), HF_LEVEL_PTE);
	SAME(pages(object, HF_LEVEL_PMD), 3);
	put_object(m, object);
}

static void huge_pages_end_where_the_object_does(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, PMD_SIZE + 3 * PAGE, HF_OBJECT_HUGE);
	struct space *s = space_new(m);
	hf_va va = map_shared(s, object, HUGE_SIZE);

	put(s, va, 1);
	put(s, va + PMD_SIZE, 2);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PTE);
	SAME(resident(object), PMD_SIZE + PAGE);
	is_bus(s, va + PMD_SIZE + 3 * PAGE);
	put_object(m, object);
}

static void anonymous_shared_memory_takes_advice(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = 0;

	OK(hf_mmap(s->mm, &va, HUGE_SIZE, RW, HF_MAP_SHARED));
	put(s, va, 1);
	SAME(level_of(s, va), HF_LEVEL_PTE);
	OK(hf_madvise(s->mm, va, HUGE_SIZE, HF_ADV_HUGEPAGE));
	put(s, va + PMD_SIZE, 2);
	SAME(level_of(s, va + PMD_SIZE), HF_LEVEL_PMD);
	put(s, va + PAGE, 3); /* beside a small one */
	SAME(level_of(s, va + PAGE), HF_LEVEL_PTE);
	child = fork_space(s, HF_FORK_COPY);
	SAME(get(child, va + PMD_SIZE), 2);
	SAME(level_of(child, va + PMD_SIZE), HF_LEVEL_PMD);
	CHECK(m);
}

static void pins_of_huge_shared_pages(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *s = space_new(m), *child;
	hf_va va = map_shared(s, object, HUGE_SIZE);
	struct pin pin, part;
	hf_pa pa;

	fill(s, va, HUGE_SIZE, 1);
	pin_range(s, va, PMD_SIZE, HF_PIN_WRITE, &pin);
	pin_range(s, va + PMD_SIZE + PAGE, PAGE, HF_PIN_READ, &part);
	pa = pin.spans[0].pa;
	child = fork_space(s, HF_FORK_SPLIT);
	SAME(leaves(s, HF_LEVEL_PMD), 2);
	put(child, va + 3 * PAGE, 2);
	SAME_PA(pa_of(child, va), pa);
	SAME(dma_get(m, (hf_pa){ pa.v + 3 * PAGE }), 2);
	OK(hf_munmap(s->mm, va, HUGE_SIZE));
	OK(hf_munmap(child->mm, va, HUGE_SIZE));
	put_object(m, object);
	SAME(dma_get(m, (hf_pa){ pa.v + 3 * PAGE }), 2);
	unpin(m, &pin);
	CHECK(m);
	unpin(m, &part);
}

static void a_gib_is_shared_and_copied_by_2_mib(void **state)
{
	struct machine_config config = { .ram_bytes = 2 * GIB + 64 * MIB };
	struct hf_object *object;
	struct space *s, *own;
	struct machine *m;
	hf_va va, vo;

	(void)state;
	need_host_memory(2 * GIB + 128 * MIB);
	m = machine_new(&config);
	object = object_of(m, GIB, HF_OBJECT_HUGE_1G);
	s = space_new_of(m, 2 * GIB, HF_HUGE_COW_WHOLE);
	own = space_new_of(m, 2 * GIB, HF_HUGE_COW_WHOLE);
	va = map_shared(s, object, GIB);
	vo = map_private(own, object, GIB);
	put(s, va + 5 * PAGE, 1);
	if (level_of(s, va) != HF_LEVEL_PUD) {
		put_object(m, object);
		machine_end(m);
		SKIP("no free block of 1 GiB in the machine's RAM");
	}
	SAME(get(own, vo + 5 * PAGE), 1);
	SAME(level_of(own, vo), HF_LEVEL_PUD);
	OK(hf_mprotect(s->mm, va, GIB, RO));
	OK(hf_mprotect(s->mm, va, GIB, RW));
	fork_space(s, HF_FORK_COPY);
	put(s, va + 6 * PAGE, 2);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	put(own, vo + 6 * PAGE, 3);
	SAME(level_of(own, vo + 6 * PAGE), HF_LEVEL_PMD);
	SAME(get(own, vo + 5 * PAGE), 1);
	SAME(get(s, va + 6 * PAGE), 2);
	SAME_PA(pa_of(own, vo + PMD_SIZE), pa_of(s, va + PMD_SIZE));
	CHECK(m);
	OK(hf_object_truncate(object, GIB / 2 + PAGE));
	CHECK(m);
	SAME(resident(object), GIB / 2 + PAGE);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	put_object(m, object);
	machine_end(m);
}

/* Truncation */

static void shrinking_takes_pages_from_all(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 8, 1);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_object_at(a, SPACE_LO, object, 0, 8 * PAGE, RW, HF_MAP_SHARED);
	hf_va vb = map_object_at(b, SPACE_LO, object, 2 * PAGE, 4 * PAGE, RW, HF_MAP_PRIVATE);

	FILLED(a, va, 8 * PAGE, 1);
	put(b, vb, 2);
	put(b, vb + 2 * PAGE, 3); /* a private copy of what goes */
	OK(hf_object_truncate(object, 3 * PAGE));
	CHECK(m);
	SAME(hf_object_size(object), 3 * PAGE);
	SAME(resident(object), 3 * PAGE);
	FILLED(a, va, 3 * PAGE, 1);
	is_bus(a, va + 3 * PAGE);
	is_bus(a, va + 7 * PAGE);
	SAME(get(b, vb), 2);
	is_bus(b, vb + PAGE);
	is_bus(b, vb + 2 * PAGE);
	OK(hf_object_truncate(object, 8 * PAGE));
	CHECK(m);
	ZEROS(a, va + 3 * PAGE, 5 * PAGE);
	ZEROS(b, vb + PAGE, 3 * PAGE);
	FILLED(a, va, 3 * PAGE, 1);
	put_object(m, object);
}

static void the_end_in_a_page_reads_as_zeros(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 2 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = map_shared(s, object, 4 * PAGE);

	put(s, va + PAGE + 96, 1);
	put(s, va + PAGE + 104, 2);
	OK(hf_object_truncate(object, PAGE + 104));
	CHECK(m);
	SAME(get(s, va + PAGE + 96), 1);
	SAME(get(s, va + PAGE + 104), 0);
	put(s, va + PAGE + 200, 3); /* a mapping may; the object does not have it */
	OK(hf_object_truncate(object, 3 * PAGE));
	SAME(get(s, va + PAGE + 200), 0);
	SAME(get(s, va + PAGE + 96), 1);
	SAME(get(s, va + 2 * PAGE), 0);
	put_object(m, object);
}

static void truncation_reaches_what_forks_share(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_filled(m, 8, 1);
	struct space *parent = space_new(m), *child, *grandchild;
	hf_va va = map_object_at(parent, SPACE_LO, object, 0, 8 * PAGE, RW, HF_MAP_PRIVATE);
	hf_va beside = map_at(parent, SPACE_LO + 8 * PAGE, 8 * PAGE, RW);

	fill(parent, beside, 8 * PAGE, 2);
	fill(parent, va, 4 * PAGE, 3);
	FILLED(parent, va + 4 * PAGE, 4 * PAGE, 1);
	child = fork_space(parent, HF_FORK_COPY);
	grandchild = fork_space(child, HF_FORK_COPY);
	OK(hf_object_truncate(object, 2 * PAGE));
	CHECK(m);
	is_bus(parent, va + 2 * PAGE);
	is_bus(child, va + 4 * PAGE);
	is_bus(grandchild, va + 7 * PAGE);
	FILLED(grandchild, va, 2 * PAGE, 3);
	FILLED(grandchild, beside, 8 * PAGE, 2);
	FILLED(parent, beside, 8 * PAGE, 2);
	put_object(m, object);
}

static void truncation_splits_a_huge_page(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_shared(a, object, HUGE_SIZE), vb = map_private(b, object, HUGE_SIZE);
	hf_pa pa;

	fill(a, va, HUGE_SIZE, 1);
	SAME(get(b, vb), stamp(1, va));
	put(b, vb + PMD_SIZE, 2);
	pa = pa_of(a, va);
	OK(hf_object_truncate(object, 3 * PAGE));
	CHECK(m);
	SAME(resident(object), 3 * PAGE);
	SAME_PA(pa_of(a, va), pa);
	SAME(level_of(b, vb), HF_LEVEL_PTE);
	is_bus(b, vb + PMD_SIZE);
	is_bus(a, va + 3 * PAGE);
	FILLED(a, va, 3 * PAGE, 1);
	OK(hf_object_truncate(object, 0));
	CHECK(m);
	SAME(resident(object), 0);
	is_bus(a, va);
	OK(hf_object_truncate(object, HUGE_SIZE));
	put(a, va, 3);
	SAME(level_of(a, va + PMD_SIZE - PAGE), HF_LEVEL_PMD); /* nothing is left of the split */
	put_object(m, object);
}

struct late_map {
	struct space *space;
	struct hf_object *object;
	hf_va va;
};

static void map_late(void *arg, const struct hf_trace_event *event)
{
	struct late_map *late = arg;

	(void)event;
	OK(hf_mmap_object(late->space->mm, &late->va, PMD_SIZE, RW, HF_MAP_SHARED, late->object,
			  0));
	OK(hf_fault(late->space->mm, late->va, HF_ACCESS_WRITE, NULL));
}

/* A space that was not there when truncation looked for those that map the object. */
static void a_mapping_beside_truncation_ends_where_the_object_does(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, PMD_SIZE, HF_OBJECT_HUGE);
	struct space *s = space_new(m);
	struct late_map late = { .space = space_new(m), .object = object };
	hf_va va = map_shared(s, object, PMD_SIZE);

	fill(s, va, PMD_SIZE, 1);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	meanwhile(m, HF_TRACE_SPLIT, map_late, &late);
	OK(hf_object_truncate(object, MIB));
	meanwhile_done(m);
	CHECK(m);
	SAME_PA(pa_of(late.space, late.va), pa_of(s, va));
	is_bus(late.space, late.va + MIB);
	is_bus(s, va + MIB);
	OK(hf_object_truncate(object, PMD_SIZE));
	put(s, va + MIB, 2);
	SAME(get(late.space, late.va + MIB), 2);
	FILLED(s, va, MIB, 1);
	put_object(m, object);
}

static void a_pinned_page_survives_truncation(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 4 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = map_shared(s, object, 4 * PAGE);
	struct pin pin;

	put(s, va + 2 * PAGE, 1);
	pin_range(s, va + 2 * PAGE, PAGE, HF_PIN_WRITE, &pin);
	OK(hf_object_truncate(object, PAGE));
	CHECK(m);
	SAME(dma_get(m, pin.spans[0].pa), 1);
	OK(hf_object_truncate(object, 4 * PAGE));
	SAME(get(s, va + 2 * PAGE), 0);
	dma_put(m, pin.spans[0].pa, 2);
	SAME(get(s, va + 2 * PAGE), 0);
	CHECK(m);
	unpin(m, &pin);
	put_object(m, object);
}

static void truncation_needs_no_memory(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = huge_object(m);
	struct space *s = space_new(m), *child;
	hf_va va = map_private(s, object, HUGE_SIZE);
	struct hoard hoard;

	fill(s, va, PMD_SIZE, 1);
	child = fork_space(s, HF_FORK_COPY);
	SAME(get(child, va), stamp(1, va));
	fragment(m, 0, &hoard);
	OK(hf_object_truncate(object, PMD_SIZE / 2));
	CHECK(m);
	hoard_release(m, &hoard);
	SAME(hf_object_size(object), PMD_SIZE / 2);
	FILLED(child, va, PMD_SIZE / 2, 1);
	is_bus(child, va + PMD_SIZE / 2);
	FAILS(m, HF_ERR_RANGE, hf_object_truncate(object, hf_object_max() + 1));
	put_object(m, object);
}

/* The table that ends in the truncation is shared, and its copy would count the pages once more. */
static void truncation_at_a_counts_limit_changes_nothing(void **state)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES, .count_limit = 2 };
	struct machine *m = machine_new(&config);
	struct hf_object *object = object_filled(m, 4, 1);
	struct space *s = space_new(m), *child;
	hf_va va = map_object_at(s, SPACE_LO, object, 0, 4 * PAGE, RW, HF_MAP_PRIVATE);

	(void)state;
	FILLED(s, va, 4 * PAGE, 1);
	child = fork_space(s, HF_FORK_COPY);
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_OVERFLOW, hf_object_truncate(object, 2 * PAGE));
	SAME(hf_object_size(object), 4 * PAGE);
	FILLED(s, va, 4 * PAGE, 1);
	space_end(child);
	OK(hf_object_truncate(object, 2 * PAGE));
	SAME(hf_object_size(object), 2 * PAGE);
	is_bus(s, va + 2 * PAGE);
	space_end(s);
	put_object(m, object);
	machine_end(m);
}

/* What is resident */

static void expect_core(struct space *s, hf_va va, const char *want)
{
	unsigned char vec[64];
	size_t n = strlen(want);

	OK(hf_mincore(s->mm, va, n * PAGE, vec));
	for (size_t i = 0; i < n; i++)
		SAME(vec[i], want[i] == '1');
}

static void mincore_tells_what_is_in_memory(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, 8 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = map_at(s, SPACE_LO, 4 * PAGE, RW);
	unsigned char vec[16], untouched[16];

	map_object_at(s, va + 4 * PAGE, object, 0, 8 * PAGE, RW, HF_MAP_SHARED);
	expect_core(s, va, "000000000000");
	put(s, va + PAGE, 1);
	SAME(get(s, va + 3 * PAGE), 0);
	put(s, va + 6 * PAGE, 1);
	write_object(object, 7 * PAGE, 1);
	expect_core(s, va, "010100100001");
	OK(hf_madvise(s->mm, va, 12 * PAGE, HF_ADV_DONTNEED));
	expect_core(s, va, "000000100001");
	OK(hf_mprotect(s->mm, va, 12 * PAGE, HF_PROT_NONE));
	expect_core(s, va + 6 * PAGE, "100001");

	memset(vec, 7, sizeof(vec));
	memcpy(untouched, vec, sizeof(vec));
	GIVES(HF_ERR_UNMAPPED, hf_mincore(s->mm, va, 13 * PAGE, vec));
	GIVES(HF_ERR_ALIGN, hf_mincore(s->mm, va + 1, PAGE, vec));
	GIVES(HF_ERR_EMPTY, hf_mincore(s->mm, va, 0, vec));
	GIVES(HF_ERR_WRAP, hf_mincore(s->mm, va, UINT64_MAX, vec));
	GIVES(HF_ERR_RANGE, hf_mincore(s->mm, va - PAGE, PAGE, vec));
	assert_memory_equal(vec, untouched, sizeof(vec));
	put_object(m, object);
}

static void mincore_goes_by_leaves(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PMD, 2);

	put(s, va + PMD_SIZE, 1);
	expect_core(s, va + PMD_SIZE - 2 * PAGE, "0011");
}

/* Errors */

static void object_errors(void **state)
{
	struct machine *m = *state, *other;
	struct machine_config config = { .ram_bytes = RAM_BYTES };
	struct hf_object_config too_large = { .size = hf_object_max() + 1 };
	struct hf_object_config no_such = { .size = PAGE, .huge = (enum hf_object_huge)3 };
	static const struct hf_pager nothing = { NULL, NULL, NULL, NULL };
	struct hf_object_config no_get = { .size = PAGE, .pager = &nothing };
	struct hf_object *object = object_of(m, PAGE, HF_OBJECT_SMALL), *none, *foreign;
	struct space *s = space_new(m);
	hf_va va = SPACE_LO, odd = SPACE_LO + 1;
	uint64_t value = 0;

	FAILS(m, HF_ERR_RANGE, hf_object_create(m->phys, &too_large, &none));
	FAILS(m, HF_ERR_INVAL, hf_object_create(m->phys, &no_such, &none));
	FAILS(m, HF_ERR_INVAL, hf_object_create(m->phys, &no_get, &none));

	other = machine_new(&config);
	foreign = object_of(other, PAGE, HF_OBJECT_SMALL);
	FAILS(m, HF_ERR_INVAL, hf_mmap_object(s->mm, &va, PAGE, RW, HF_MAP_SHARED, foreign, 0));
	hf_object_put(foreign);
	machine_end(other);

	FAILS(m, HF_ERR_FLAGS, hf_mmap_object(s->mm, &va, PAGE, RW, 0, object, 0));
	FAILS(m, HF_ERR_FLAGS,
	      hf_mmap_object(s->mm, &va, PAGE, RW, HF_MAP_SHARED | HF_MAP_PRIVATE, object, 0));
	FAILS(m, HF_ERR_FLAGS, hf_mmap(s->mm, &va, PAGE, RW, HF_MAP_SHARED | HF_MAP_PRIVATE));
	FAILS(m, HF_ERR_FLAGS, hf_mmap_object(s->mm, &va, PAGE, 8, HF_MAP_SHARED, object, 0));
	FAILS(m, HF_ERR_ALIGN, hf_mmap_object(s->mm, &va, PAGE, RW, HF_MAP_SHARED, object, 1));
	FAILS(m, HF_ERR_ALIGN,
	      hf_mmap_object(s->mm, &odd, PAGE, RW, HF_MAP_SHARED | HF_MAP_FIXED, object, 0));
	FAILS(m, HF_ERR_EMPTY, hf_mmap_object(s->mm, &va, 0, RW, HF_MAP_SHARED, object, 0));
	FAILS(m, HF_ERR_WRAP,
	      hf_mmap_object(s->mm, &va, 2 * PAGE, RW, HF_MAP_SHARED, object, -PAGE));
	FAILS(m, HF_ERR_RANGE,
	      hf_mmap_object(s->mm, &va, PAGE, RW, HF_MAP_SHARED, object, hf_object_max()));
	FAILS(m, HF_ERR_NOSPACE, hf_mmap(s->mm, &va, SPACE_LEN + PAGE, RW, HF_MAP_SHARED));
	FAILS(m, HF_ERR_EMPTY, hf_object_read(object, 0, &value, 0));
	FAILS(m, HF_ERR_WRAP, hf_object_read(object, -(uint64_t)4, &value, 8));
	FAILS(m, HF_ERR_RANGE, hf_object_read(object, PAGE - 4, &value, 8));
	FAILS(m, HF_ERR_RANGE, hf_object_write(object, PAGE - 4, &value, 8));
	put_object(m, object);
}

static void wipe_on_fork_is_for_private_anonymous_memory(void **state)
{
	struct machine *m = *state;
	struct hf_object *object = object_of(m, PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va shared = map_shared(s, object, PAGE), own = map_private(s, object, PAGE);

	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, shared, PAGE, HF_ADV_WIPEONFORK));
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, own, PAGE, HF_ADV_WIPEONFORK));
	put_object(m, object);
}

static void without_memory_nothing_happens(void **state)
{
	struct machine *m = *state;
	struct hf_object_config config = { .size = PAGE };
	struct hf_object *object = object_of(m, 4 * PAGE, HF_OBJECT_SMALL), *none;
	struct space *s = space_new(m);
	hf_va va = map_shared(s, object, 4 * PAGE), new = 0;
	uint64_t value = 1;
	struct hoard hoard;

	hoard_all(m, 0, &hoard);
	FAILS(m, HF_ERR_NOMEM, hf_object_create(m->phys, &config, &none));
	FAILS(m, HF_ERR_NOMEM, hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	FAILS(m, HF_ERR_NOMEM, hf_mmap(s->mm, &new, PAGE, RW, HF_MAP_SHARED));
	FAILS(m, HF_ERR_NOMEM, hf_object_write(object, 0, &value, sizeof(value)));
	SAME(read_object(object, 0), 0);
	hoard_release(m, &hoard);
	put(s, va, 1);
	put_object(m, object);
}

static const struct CMUnitTest tests[] = {
	TEST(shared_writes_are_for_all),
	TEST(the_host_sees_what_spaces_see),
	TEST(shared_anonymous_memory_is_inherited),
	TEST(fork_leaves_shared_memory_writable),
	TEST(dropping_the_pages_keeps_the_contents),
	TEST(write_protected_shared_memory_gets_writable_again),
	TEST(private_writes_are_for_one),
	TEST(dropping_private_copies_shows_the_object),
	TEST(private_mappings_fork_copy_on_write),
	TEST(offsets_lead_to_their_pages),
	TEST(the_same_page_twice_in_one_space),
	TEST(mappings_merge_where_the_offsets_do),
	TEST(beyond_the_end_is_a_bus_error),
	TEST(an_object_of_nothing),
	TEST(mappings_keep_an_object),
	TEST(references_add_up),
	TEST(pins_of_shared_memory_are_everybodys),
	TEST(pins_of_private_memory_move_to_a_copy),
	cmocka_unit_test(one_page_twice_beside_a_pin),
	cmocka_unit_test(references_end_at_the_limit),
	TEST(a_pinned_page_outlives_its_object),
	TEST(copies_read_and_write_objects),
	TEST(huge_pages_of_an_object_are_shared_huge),
	TEST(a_write_protected_huge_leaf_gets_writable_again),
	TEST(protecting_a_part_splits_the_mapping_alone),
	TEST(private_write_copies_by_policy),
	TEST(a_private_write_without_a_free_huge_page_copies_a_small_one),
	TEST(a_huge_page_at_a_small_offset_is_mapped_small),
	TEST(the_core_chooses_addresses_for_huge_leaves),
	TEST(huge_pages_end_where_the_object_does),
	TEST(anonymous_shared_memory_takes_advice),
	TEST(pins_of_huge_shared_pages),
	cmocka_unit_test(a_gib_is_shared_and_copied_by_2_mib),
	TEST(shrinking_takes_pages_from_all),
	TEST(the_end_in_a_page_reads_as_zeros),
	TEST(truncation_reaches_what_forks_share),
	TEST(truncation_splits_a_huge_page),
	TEST(a_mapping_beside_truncation_ends_where_the_object_does),
	TEST(a_pinned_page_survives_truncation),
	TEST(truncation_needs_no_memory),
	cmocka_unit_test(truncation_at_a_counts_limit_changes_nothing),
	TEST(mincore_tells_what_is_in_memory),
	TEST(mincore_goes_by_leaves),
	TEST(object_errors),
	TEST(wipe_on_fork_is_for_private_anonymous_memory),
	TEST(without_memory_nothing_happens),
};

SUITE(suite_object, tests);
