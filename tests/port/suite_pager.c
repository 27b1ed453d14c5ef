/* SPDX-License-Identifier: MIT */
/* Objects with a pager: contents from a store and back, marks, msync, and errors of the store. */
#include "port.h"

#define STORE_PAGES 1024

/* A file, as the host has it. */
struct store {
	unsigned char data[STORE_PAGES * PAGE];
	unsigned gets, writebacks, puts, lost; /* pages that came and went; lost: put dirty */
	unsigned fail_get, fail_writeback;     /* this many calls fail from now on */
	bool fail_punch;
	uint64_t largest; /* len of a call */
	uint64_t written; /* bytes written back */
	/* Called within writeback, and once within get or put, as another thread would be. */
	void (*meanwhile)(struct store *store);
	void (*while_getting)(struct store *store);
	void (*while_putting)(struct store *store);
	void (*while_punching)(struct store *store);
	struct space *space;
	struct hf_object *object;
	hf_va va, other;
	size_t size; /* of the object, set meanwhile */
};

static void once(struct store *store, void (**run)(struct store *store))
{
	void (*now)(struct store * store) = *run;

	*run = NULL;
	if (now)
		now(store);
}

static enum hf_status store_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	struct store *store = host;

	SAME(offset % len, 0);
	if (store->fail_get) {
		store->fail_get--;
		memset(page, 0xee, len / 2); /* half of it came */
		return HF_ERR_HOST;
	}
	for (uint64_t i = 0; i < len; i += 8)
		SAME(*(uint64_t *)((char *)page + i), 0);
	if (offset < sizeof(store->data))
		memcpy(page, store->data + offset, len);
	store->gets++;
	once(store, &store->while_getting);
	store->largest = len > store->largest ? len : store->largest;
	return HF_OK;
}

static enum hf_status store_writeback(void *host, uint64_t offset, const void *page, uint64_t len)
{
	struct store *store = host;

	if (store->fail_writeback) {
		store->fail_writeback--;
		return HF_ERR_HOST;
	}
	memcpy(store->data + offset, page, len);
	store->writebacks++;
	store->written += len;
	if (store->meanwhile)
		store->meanwhile(store);
	return HF_OK;
}

static void store_put(void *host, uint64_t offset, const void *page, uint64_t len, bool dirty)
{
	struct store *store = host;

	(void)page;
	SAME(offset % len, 0);
	store->puts++;
	once(store, &store->while_putting);
	store->lost += dirty;
	if (dirty)
		memcpy(store->data + offset, page, len);
}

static enum hf_status store_punch(void *host, uint64_t offset, uint64_t len)
{
	struct store *store = host;

	if (store->fail_punch)
		return HF_ERR_HOST;
	once(store, &store->while_punching);
	memset(store->data + offset, 0, len);
	return HF_OK;
}

static const struct hf_pager pager = { store_get, store_writeback, store_put, store_punch };

static struct store *store_new(void)
{
	struct store *store = calloc(1, sizeof(*store));

	for (uint64_t i = 0; i < STORE_PAGES; i++) {
		uint64_t value = stamp(1, i);

		memcpy(store->data + i * PAGE, &value, sizeof(value));
	}
	return store;
}

static uint64_t stored(const struct store *store, uint64_t offset)
{
	uint64_t value;

	memcpy(&value, store->data + offset, sizeof(value));
	return value;
}

static struct hf_object *open_store(struct machine *m, struct store *store, uint64_t size,
				    enum hf_object_huge huge)
{
	struct hf_object_config config = {
		.size = size, .huge = huge, .pager = &pager, .host = store
	};
	struct hf_object *object = NULL;

	OK(hf_object_create(m->phys, &config, &object));
	CHECK(m);
	return object;
}

static struct hf_object *file(struct machine *m, struct store *store, size_t pages)
{
	return open_store(m, store, pages * PAGE, HF_OBJECT_SMALL);
}

static hf_va map_file(struct space *s, struct hf_object *object, uint64_t len, unsigned flags)
{
	hf_va va = 0;

	OK(hf_mmap_object(s->mm, &va, len, RW, flags, object, 0));
	CHECK(s->m);
	return va;
}

static uint64_t dirty(struct hf_object *object)
{
	struct hf_object_stats stats;

	hf_object_stats(object, &stats);
	return stats.dirty_bytes;
}

static void contents_come_from_the_pager(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 8);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_file(a, object, 8 * PAGE, HF_MAP_SHARED);
	hf_va vb = map_file(b, object, 8 * PAGE, HF_MAP_PRIVATE);
	uint64_t value;

	SAME(get(a, va + 3 * PAGE), stamp(1, 3));
	SAME(get(b, vb + 3 * PAGE), stamp(1, 3));
	SAME(store->gets, 1);
	put(b, vb + 4 * PAGE + 8, 1);
	SAME(get(b, vb + 4 * PAGE), stamp(1, 4));
	SAME(get(a, va + 4 * PAGE + 8), 0);
	SAME(store->gets, 2);
	OK(hf_object_read(object, 7 * PAGE, &value, sizeof(value)));
	SAME(value, stamp(1, 7));
	OK(hf_read(a->mm, va + 6 * PAGE, &value, sizeof(value)));
	SAME(value, stamp(1, 6));
	SAME(dirty(object), 0);
	hf_object_put(object);
	SAME(store->puts, 0);
	space_end(a);
	space_end(b);
	SAME(store->puts, 4);
	SAME(store->writebacks, 0);
	free(store);
}

static void msync_writes_back_what_was_written(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 8);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_file(a, object, 8 * PAGE, HF_MAP_SHARED);
	hf_va vb = map_file(b, object, 8 * PAGE, HF_MAP_SHARED);

	SAME(get(a, va), stamp(1, 0));
	put(a, va + PAGE, 1);
	put(b, vb + 2 * PAGE, 2);
	put(b, vb + 5 * PAGE, 5);
	SAME(dirty(object), 3 * PAGE);
	SAME(stored(store, PAGE), stamp(1, 1));
	OK(hf_msync(a->mm, va, 4 * PAGE, HF_MS_ASYNC));
	SAME(store->writebacks, 0);
	OK(hf_msync(a->mm, va, 4 * PAGE, HF_MS_SYNC | HF_MS_INVALIDATE));
	CHECK(m);
	SAME(store->writebacks, 2);
	SAME(stored(store, PAGE), 1);
	SAME(stored(store, 2 * PAGE), 2);
	SAME(stored(store, 5 * PAGE), stamp(1, 5));
	SAME(dirty(object), PAGE);
	/* Written again, it is seen again, by whomever. */
	OK(hf_msync(a->mm, va, 8 * PAGE, HF_MS_SYNC));
	SAME(store->writebacks, 3);
	OK(hf_msync(a->mm, va, 8 * PAGE, HF_MS_SYNC));
	SAME(store->writebacks, 3);
	put(b, vb + 2 * PAGE, 3);
	put(a, va + PAGE, 4);
	CHECK(m);
	OK(hf_object_sync(object, 0, UINT64_MAX));
	CHECK(m);
	SAME(store->writebacks, 5);
	SAME(stored(store, 2 * PAGE), 3);
	SAME(stored(store, PAGE), 4);
	hf_object_put(object);
	space_end(a);
	space_end(b);
	free(store);
}

static void private_writes_are_never_written_back(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 4);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 4 * PAGE, HF_MAP_PRIVATE);

	put(s, va, 1);
	SAME(dirty(object), 0);
	OK(hf_msync(s->mm, va, 4 * PAGE, HF_MS_SYNC));
	hf_object_put(object);
	space_end(s);
	SAME(store->writebacks, 0);
	SAME(stored(store, 0), stamp(1, 0));
	free(store);
}

static void the_last_reference_writes_back(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 4);
	struct space *s = space_new(m), *child;
	hf_va va = map_file(s, object, 4 * PAGE, HF_MAP_SHARED);
	uint64_t value = 2;

	put(s, va, 1);
	OK(hf_object_write(object, PAGE, &value, sizeof(value)));
	hf_object_put(object);
	child = fork_space(s, HF_FORK_COPY);
	put(child, va + 2 * PAGE, 3);
	OK(hf_munmap(s->mm, va, 4 * PAGE));
	SAME(store->writebacks, 0);
	OK(hf_munmap(child->mm, va, 4 * PAGE));
	CHECK(m);
	SAME(store->writebacks, 3);
	SAME(store->puts, 3);
	SAME(store->lost, 0);
	SAME(stored(store, 0), 1);
	SAME(stored(store, PAGE), 2);
	SAME(stored(store, 2 * PAGE), 3);
	free(store);
}

static void a_failed_get_is_a_bus_error_once(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 4);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 4 * PAGE, HF_MAP_SHARED);
	uint64_t value = 7;

	store->fail_get = 2; /* the soft port's driver loads twice */
	assert_false(may_load(s, va));
	store->fail_get = 1;
	assert_false(may_store(s, va));
	store->fail_get = 0;
	for (unsigned access = HF_ACCESS_READ; access <= HF_ACCESS_WRITE; access++) {
		store->fail_get = 1;
		GIVES(HF_ERR_BUS, hf_fault(s->mm, va, access, NULL));
	}
	store->fail_get = 1;
	GIVES(HF_ERR_BUS, hf_object_read(object, 0, &value, sizeof(value)));
	store->fail_get = 1;
	GIVES(HF_ERR_BUS, hf_object_write(object, 0, &value, sizeof(value)));
	store->fail_get = 1;
	GIVES(HF_ERR_BUS, hf_read(s->mm, va, &value, sizeof(value)));
	SAME(value, 7);
	CHECK(m);
	SAME(store->gets, 0);
	SAME(dirty(object), 0);
	SAME(get(s, va), stamp(1, 0));
	hf_object_put(object);
	space_end(s);
	free(store);
}

static void a_failed_get_pins_nothing(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 4);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 4 * PAGE, HF_MAP_SHARED);
	struct hf_span spans[4];
	size_t count = 9;

	SAME(get(s, va), stamp(1, 0));
	store->fail_get = 1;
	GIVES(HF_ERR_BUS, hf_pin(s->mm, va, 4 * PAGE, HF_PIN_WRITE, spans, 4, &count));
	CHECK(m);
	SAME(count, 9);
	SAME(pins_at(m, pa_of(s, va)), 0);
	hf_object_put(object);
	space_end(s);
	free(store);
}

static void a_failed_writeback_loses_nothing(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 8);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 8 * PAGE, HF_MAP_SHARED);

	for (uint64_t i = 0; i < 4; i++)
		put(s, va + i * PAGE, i);
	store->fail_writeback = 2;
	GIVES(HF_ERR_BUS, hf_msync(s->mm, va, 8 * PAGE, HF_MS_SYNC));
	CHECK(m);
	SAME(store->writebacks, 2);
	SAME(dirty(object), 2 * PAGE);
	OK(hf_madvise(s->mm, va, 8 * PAGE, HF_ADV_DONTNEED));
	SAME(get(s, va), 0);
	SAME(get(s, va + PAGE), 1);
	OK(hf_msync(s->mm, va, 8 * PAGE, HF_MS_SYNC));
	CHECK(m);
	for (uint64_t i = 0; i < 4; i++)
		SAME(stored(store, i * PAGE), i);
	/* Even at the end the pager is shown what it did not keep. */
	put(s, va + 6 * PAGE, 6);
	store->fail_writeback = 1;
	hf_object_put(object);
	OK(hf_munmap(s->mm, va, 8 * PAGE));
	CHECK(m);
	SAME(store->lost, 1);
	SAME(stored(store, 6 * PAGE), 6);
	free(store);
}

static void write_meanwhile(struct store *store)
{
	put(store->space, store->va, get(store->space, store->va) + 1);
}

static void a_write_during_writeback_is_not_missed(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 2);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 2 * PAGE, HF_MAP_SHARED);

	put(s, va, 1);
	store->space = s;
	store->va = va;
	store->meanwhile = write_meanwhile;
	OK(hf_msync(s->mm, va, 2 * PAGE, HF_MS_SYNC));
	store->meanwhile = NULL;
	CHECK(m);
	SAME(stored(store, 0), 1);
	SAME(get(s, va), 2);
	SAME(dirty(object), PAGE);
	OK(hf_msync(s->mm, va, 2 * PAGE, HF_MS_SYNC));
	SAME(stored(store, 0), 2);
	hf_object_put(object);
	space_end(s);
	free(store);
}

static void a_pinned_page_stays_dirty(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 2);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 2 * PAGE, HF_MAP_SHARED);
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_WRITE, &pin);
	SAME(dirty(object), PAGE);
	dma_put(m, pin.spans[0].pa, 1);
	OK(hf_msync(s->mm, va, PAGE, HF_MS_SYNC));
	CHECK(m);
	SAME(stored(store, 0), 1);
	dma_put(m, pin.spans[0].pa, 2); /* no fault tells of this */
	OK(hf_msync(s->mm, va, PAGE, HF_MS_SYNC));
	SAME(stored(store, 0), 2);
	dma_put(m, pin.spans[0].pa, 3);
	unpin(m, &pin);
	OK(hf_msync(s->mm, va, PAGE, HF_MS_SYNC));
	SAME(stored(store, 0), 3);
	SAME(dirty(object), 0);
	hf_object_put(object);
	space_end(s);
	free(store);
}

struct late_pin {
	struct space *spaces[2];
	hf_va va[2];
	struct pin pin;
};

/* One space is being flushed: the other may write still. */
static void pin_the_other(void *arg, const struct hf_trace_event *event)
{
	struct late_pin *late = arg;
	unsigned other = late->spaces[0]->mm == event->mm;

	OK(hf_pin(late->spaces[other]->mm, late->va[other], PAGE, HF_PIN_WRITE, late->pin.spans,
		  MAX_SPANS, &late->pin.count));
}

static void a_pin_beside_a_sync_stays_dirty(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 2);
	struct late_pin late;

	for (uint64_t i = 0; i < 2; i++) {
		late.spaces[i] = space_new(m);
		late.va[i] = map_file(late.spaces[i], object, 2 * PAGE, HF_MAP_SHARED);
		put(late.spaces[i], late.va[i], i);
	}
	meanwhile(m, HF_TRACE_FLUSH, pin_the_other, &late);
	OK(hf_object_sync(object, 0, 2 * PAGE));
	meanwhile_done(m);
	SAME(stored(store, 0), 1);
	SAME(dirty(object), PAGE);
	dma_put(m, late.pin.spans[0].pa, 2); /* no fault tells of this */
	OK(hf_object_sync(object, 0, 2 * PAGE));
	SAME(stored(store, 0), 2);
	unpin(m, &late.pin);
	hf_object_put(object);
	space_end(late.spaces[0]);
	space_end(late.spaces[1]);
	free(store);
}

static void only_what_is_before_the_end_is_written_back(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = open_store(m, store, 3 * PAGE + 16, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 8 * PAGE, HF_MAP_SHARED);

	put(s, va + 3 * PAGE, 1);
	put(s, va + 3 * PAGE + 16, 2);
	OK(hf_msync(s->mm, va, 8 * PAGE, HF_MS_SYNC));
	SAME(store->written, 16);
	put(s, va, 3);
	put(s, va + 2 * PAGE, 4);
	OK(hf_object_truncate(object, 2 * PAGE));
	CHECK(m);
	SAME(store->puts, 2);
	SAME(store->lost, 0);
	SAME(store->writebacks, 1);
	OK(hf_object_truncate(object, PAGE));
	OK(hf_object_truncate(object, 4 * PAGE));
	SAME(get(s, va + 2 * PAGE), stamp(1, 2)); /* asked of the pager anew */
	hf_object_put(object);
	space_end(s);
	SAME(stored(store, 0), 3);
	SAME(stored(store, 2 * PAGE), stamp(1, 2));
	free(store);
}

static void huge_pages_of_a_pager(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = open_store(m, store, sizeof(store->data), HF_OBJECT_HUGE);
	struct space *a = space_new(m), *b = space_new(m);
	hf_va va = map_file(a, object, sizeof(store->data), HF_MAP_SHARED);
	hf_va vb = map_file(b, object, sizeof(store->data), HF_MAP_SHARED);

	SAME(get(a, va + 700 * PAGE), stamp(1, 700));
	SAME(store->gets, 1);
	SAME(store->largest, PMD_SIZE);
	SAME(level_of(a, va + 700 * PAGE), HF_LEVEL_PMD);
	SAME(access_of(a, va + 700 * PAGE), HF_ACCESS_READ);
	put(b, vb + 701 * PAGE, 1);
	SAME(dirty(object), PMD_SIZE);
	SAME(get(a, va + 701 * PAGE), 1);
	OK(hf_mprotect(b->mm, vb + 600 * PAGE, PAGE, RO));
	OK(hf_msync(a->mm, va + 600 * PAGE, PAGE, HF_MS_SYNC));
	CHECK(m);
	SAME(store->written, PMD_SIZE);
	SAME(stored(store, 701 * PAGE), 1);
	SAME(access_of(b, vb + 701 * PAGE), HF_ACCESS_READ);
	put(b, vb + 702 * PAGE, 2);
	SAME(dirty(object), PMD_SIZE);
	OK(hf_object_truncate(object, 703 * PAGE));
	CHECK(m);
	SAME(dirty(object), 703 * PAGE - PMD_SIZE);
	hf_object_put(object);
	space_end(a);
	space_end(b);
	SAME(stored(store, 702 * PAGE), 2);
	SAME(stored(store, 703 * PAGE), stamp(1, 703));
	SAME(store->lost, 0);
	free(store);
}

static void many_dirty_pages(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, STORE_PAGES);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, STORE_PAGES * PAGE, HF_MAP_SHARED);

	for (uint64_t i = 0; i < STORE_PAGES; i += 3)
		put(s, va + i * PAGE, i);
	OK(hf_msync(s->mm, va, STORE_PAGES * PAGE, HF_MS_SYNC));
	CHECK(m);
	SAME(store->writebacks, (STORE_PAGES + 2) / 3);
	SAME(dirty(object), 0);
	for (uint64_t i = 0; i < STORE_PAGES; i += 3)
		SAME(stored(store, i * PAGE), i);
	hf_object_put(object);
	space_end(s);
	free(store);
}

static void a_pager_that_only_gets(void **state)
{
	static const struct hf_pager reader = { .get = store_get };
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object_config config = { .size = 4 * PAGE, .pager = &reader, .host = store };
	struct space *s = space_new(m);
	struct hf_object *object;
	hf_va va;

	OK(hf_object_create(m->phys, &config, &object));
	va = map_file(s, object, 4 * PAGE, HF_MAP_SHARED);
	SAME(get(s, va), stamp(1, 0));
	OK(hf_msync(s->mm, va, 4 * PAGE, HF_MS_SYNC));
	put(s, va, 1);
	GIVES(HF_ERR_ACCESS, hf_msync(s->mm, va, 4 * PAGE, HF_MS_SYNC));
	CHECK(m);
	SAME(get(s, va), 1);
	hf_object_put(object);
	space_end(s);
	free(store);
}

static void msync_errors(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, 4);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 4 * PAGE, HF_MAP_SHARED);

	put(s, va, 1);
	FAILS(m, HF_ERR_FLAGS, hf_msync(s->mm, va, PAGE, HF_MS_ASYNC | HF_MS_SYNC));
	FAILS(m, HF_ERR_FLAGS, hf_msync(s->mm, va, PAGE, 8));
	FAILS(m, HF_ERR_ALIGN, hf_msync(s->mm, va + 1, PAGE, HF_MS_SYNC));
	FAILS(m, HF_ERR_EMPTY, hf_msync(s->mm, va, 0, HF_MS_SYNC));
	FAILS(m, HF_ERR_WRAP, hf_msync(s->mm, va, UINT64_MAX, HF_MS_SYNC));
	FAILS(m, HF_ERR_RANGE, hf_msync(s->mm, va, SPACE_LEN, HF_MS_SYNC));
	OK(hf_munmap(s->mm, va + 2 * PAGE, PAGE));
	FAILS(m, HF_ERR_UNMAPPED, hf_msync(s->mm, va, 4 * PAGE, HF_MS_SYNC));
	FAILS(m, HF_ERR_EMPTY, hf_object_sync(object, 0, 0));
	FAILS(m, HF_ERR_WRAP, hf_object_sync(object, 1, UINT64_MAX));
	SAME(store->writebacks, 0);
	hf_object_put(object);
	space_end(s);
	free(store);
}

/*
 * What others do while a pager is at work, and need not wait for it: called by the pager itself, in the
 * thread that waits for it, so a lock that this held would never be given.
 */
static void others_go_on(struct store *store)
{
	struct space *s = store->space, *child, *new;
	struct hf_object_config config = { .size = 4 * PAGE };
	struct hf_object *shared;
	struct pin pin;
	uint64_t value = 5;
	hf_va va = 0;

	CHECK(s->m);
	put(s, store->other, 4);
	OK(hf_write(s->mm, store->other, &value, sizeof(value)));
	OK(hf_copy(s->mm, store->other + PAGE, s->mm, store->other, PAGE));
	pin_range(s, store->other, 2 * PAGE, HF_PIN_WRITE, &pin);
	child = fork_space(s, HF_FORK_COPY);
	SAME(get(child, store->other + PAGE), 5);
	unpin(s->m, &pin);
	OK(hf_object_create(s->m->phys, &config, &shared));
	OK(hf_mmap_object(s->mm, &va, 4 * PAGE, RW, HF_MAP_SHARED, shared, 0));
	put(s, va, 1);
	OK(hf_object_truncate(shared, PAGE / 2));
	OK(hf_munmap(s->mm, va, 4 * PAGE));
	hf_object_put(shared);
	OK(hf_mlock(s->mm, store->other, 2 * PAGE, 0));
	OK(hf_munlock(s->mm, store->other, 2 * PAGE));
	new = space_new(s->m);
	space_end(new);
	space_end(child);
	CHECK(s->m);
}

/* A file of 8 pages, mapped shared, and beside it 2 pages of memory. */
static struct space *file_and_memory(struct machine *m, struct store *store)
{
	struct space *s = space_new(m);

	store->object = file(m, store, 8);
	store->space = s;
	store->va = map_file(s, store->object, 8 * PAGE, HF_MAP_SHARED);
	store->other = map(s, 2 * PAGE, RW);
	return s;
}

static void end_of_file(struct store *store)
{
	hf_object_put(store->object);
	space_end(store->space);
	free(store);
}

static void nobody_waits_for_a_pager_that_gets(void **state)
{
	struct store *store = store_new();
	struct space *s = file_and_memory(*state, store);
	struct pin pin;
	uint64_t value;

	store->while_getting = others_go_on;
	OK(hf_fault(s->mm, store->va, HF_ACCESS_READ, NULL));
	store->while_getting = others_go_on;
	OK(hf_read(s->mm, store->va + PAGE, &value, sizeof(value)));
	SAME(value, stamp(1, 1));
	store->while_getting = others_go_on;
	value = 9;
	OK(hf_write(s->mm, store->va + 2 * PAGE + 8, &value, sizeof(value)));
	store->while_getting = others_go_on;
	OK(hf_copy(s->mm, store->va + 2 * PAGE, s->mm, store->va + 3 * PAGE, 8));
	SAME(get(s, store->va + 2 * PAGE), stamp(1, 3));
	SAME(get(s, store->va + 2 * PAGE + 8), 9);
	store->while_getting = others_go_on;
	pin_range(s, store->va + 3 * PAGE, 2 * PAGE, HF_PIN_READ, &pin);
	unpin(s->m, &pin);
	store->while_getting = others_go_on;
	OK(hf_madvise(s->mm, store->va + 5 * PAGE, PAGE, HF_ADV_POPULATE_READ));
	store->while_getting = others_go_on;
	OK(hf_mlock(s->mm, store->va + 6 * PAGE, PAGE, 0));
	store->while_getting = others_go_on;
	OK(hf_object_read(store->object, 7 * PAGE, &value, sizeof(value)));
	SAME(value, stamp(1, 7));
	assert_null(store->while_getting);
	SAME(store->gets, 8);
	end_of_file(store);
}

static void nobody_waits_for_a_pager_that_keeps(void **state)
{
	struct store *store = store_new();
	struct space *s = file_and_memory(*state, store);

	put(s, store->va, 1);
	put(s, store->va + 7 * PAGE, 2);
	store->meanwhile = others_go_on;
	OK(hf_object_sync(store->object, 0, PAGE));
	store->while_putting = others_go_on;
	OK(hf_object_truncate(store->object, 4 * PAGE));
	assert_null(store->while_putting);
	/* The last reference goes with the mapping. */
	put(s, store->va + PAGE, 3);
	hf_object_put(store->object);
	store->while_putting = others_go_on;
	OK(hf_munmap(s->mm, store->va, 8 * PAGE));
	assert_null(store->while_putting);
	SAME(stored(store, PAGE), 3);
	CHECK(s->m);
	/* And with the space. */
	store->meanwhile = NULL;
	store->object = file(s->m, store, 8);
	store->va = map_file(s, store->object, 8 * PAGE, HF_MAP_SHARED);
	put(s, store->va, 4);
	hf_object_put(store->object);
	store->space = space_new(s->m);
	store->other = map(store->space, 2 * PAGE, RW);
	store->while_putting = others_go_on;
	space_end(s);
	assert_null(store->while_putting);
	SAME(stored(store, 0), 4);
	space_end(store->space);
	free(store);
}

static void resize(struct store *store)
{
	OK(hf_object_truncate(store->object, store->size));
	CHECK(store->space->m);
}

/* The second answer counts, for the object has changed since the first question. */
static void shrink_and_grow(struct store *store)
{
	uint64_t value = 77;

	OK(hf_object_truncate(store->object, store->size));
	memcpy(store->data + 3 * PAGE, &value, sizeof(value));
	OK(hf_object_truncate(store->object, 8 * PAGE));
	CHECK(store->space->m);
}

static void a_truncation_does_not_wait_for_get(void **state)
{
	struct store *store = store_new();
	struct space *s = file_and_memory(*state, store);
	uint64_t value;

	store->size = 2 * PAGE;
	store->while_getting = shrink_and_grow;
	OK(hf_read(s->mm, store->va + 3 * PAGE, &value, sizeof(value)));
	SAME(value, 77);
	SAME(store->gets, 2);
	/* Beyond the new end there is nothing to wait for. */
	store->while_getting = resize;
	GIVES(HF_ERR_BUS, hf_fault(s->mm, store->va + 4 * PAGE, HF_ACCESS_READ, NULL));
	SAME(store->gets, 3);
	store->size = 5 * PAGE;
	resize(store);
	store->size = 2 * PAGE;
	store->while_getting = resize;
	GIVES(HF_ERR_RANGE, hf_object_read(store->object, 4 * PAGE, &value, sizeof(value)));
	/* What the page had beyond the new end does not come back. */
	store->size = PAGE + 8;
	store->data[PAGE + 8] = 1;
	store->while_getting = resize;
	OK(hf_read(s->mm, store->va + PAGE, &value, sizeof(value)));
	SAME(value, stamp(1, 1));
	SAME(store->gets, 6);
	end_of_file(store);
}

static void unmap_it(struct store *store)
{
	OK(hf_munmap(store->space->mm, store->va, 8 * PAGE));
	CHECK(store->space->m);
}

static void a_mapping_may_go_while_its_page_comes(void **state)
{
	struct store *store = store_new();
	struct space *s = file_and_memory(*state, store);
	struct hf_span span;
	size_t count;

	store->while_getting = unmap_it;
	GIVES(HF_ERR_UNMAPPED, hf_fault(s->mm, store->va, HF_ACCESS_WRITE, NULL));
	SAME(dirty(store->object), 0);
	store->va = map_file(s, store->object, 8 * PAGE, HF_MAP_SHARED);
	store->while_getting = unmap_it;
	GIVES(HF_ERR_UNMAPPED, hf_pin(s->mm, store->va, 2 * PAGE, HF_PIN_READ, &span, 1, &count));
	CHECK(s->m);
	store->va = map_file(s, store->object, 8 * PAGE, HF_MAP_SHARED);
	store->while_getting = unmap_it;
	GIVES(HF_ERR_UNMAPPED, hf_mlock(s->mm, store->va + 2 * PAGE, PAGE, 0));
	end_of_file(store);
}

/* A pager whose answers come later: `get` only notes what is wanted, or answers at once. */
struct promise {
	struct hf_object *object;
	unsigned gets;
	enum {
		LATER,
		SUPPLY_FIRST,
		FAIL_FIRST
	} way;
	uint64_t offset, len;
};

static enum hf_status promise_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	static const uint64_t words[PAGE / 8] = { 0x77 };
	struct promise *p = host;

	(void)page;
	p->gets++;
	p->offset = offset;
	p->len = len;
	if (p->way == SUPPLY_FIRST)
		OK(hf_object_supply(p->object, offset, words, 16));
	if (p->way == FAIL_FIRST)
		OK(hf_object_fail(p->object, offset, len));
	return HF_ERR_PENDING;
}

static const struct hf_pager promise_pager = { .get = promise_get };

static struct space *promised(struct machine *m, struct promise *p, bool retry, hf_va *va)
{
	struct hf_object_config config = {
		.size = 4 * PAGE + 8, .pager = &promise_pager, .host = p, .retry = retry
	};
	struct space *s = space_new(m);

	OK(hf_object_create(m->phys, &config, &p->object));
	*va = map_file(s, p->object, 5 * PAGE, HF_MAP_SHARED);
	return s;
}

static void an_answer_may_come_before_get_returns(void **state)
{
	struct promise p = { .way = SUPPLY_FIRST };
	hf_va va;
	struct space *s = promised(*state, &p, false, &va);
	uint64_t value[3];

	OK(hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	OK(hf_read(s->mm, va, value, sizeof(value)));
	SAME(value[0], 0x77);
	SAME(value[2], 0);
	p.way = FAIL_FIRST;
	GIVES(HF_ERR_BUS, hf_fault(s->mm, va + PAGE, HF_ACCESS_READ, NULL));
	GIVES(HF_ERR_BUS, hf_object_read(p.object, PAGE, value, 8));
	SAME(p.gets, 3);
	CHECK(s->m);
	hf_object_put(p.object);
	space_end(s);
}

static void who_schedules_by_himself_tries_again(void **state)
{
	struct promise p = { .way = LATER };
	hf_va va;
	struct space *s = promised(*state, &p, true, &va);
	uint64_t words[4 * PAGE / 8] = { 1, [PAGE / 8] = 2, [3 * PAGE / 8] = 4 }, value;
	struct hf_span span[2];
	size_t count;

	FAILS(s->m, HF_ERR_RETRY, hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	FAILS(s->m, HF_ERR_RETRY, hf_read(s->mm, va, &value, sizeof(value)));
	FAILS(s->m, HF_ERR_RETRY, hf_pin(s->mm, va, 2 * PAGE, HF_PIN_READ, span, 2, &count));
	FAILS(s->m, HF_ERR_RETRY, hf_mlock(s->mm, va, PAGE, 0));
	FAILS(s->m, HF_ERR_RETRY, hf_object_read(p.object, 0, &value, sizeof(value)));
	SAME(p.gets, 5);
	OK(hf_object_supply(p.object, 0, words, PAGE + 8));
	CHECK(s->m);
	OK(hf_pin(s->mm, va, 2 * PAGE, HF_PIN_READ, span, 2, &count));
	OK(hf_unpin(s->m->phys, span, count));
	SAME(get(s, va), 1);
	SAME(get(s, va + PAGE), 2);
	SAME(get(s, va + PAGE + 8), 0);
	put(s, va, 9);
	SAME(dirty(p.object), PAGE);
	/* What is there stays; what is not comes. */
	OK(hf_object_supply(p.object, 0, words, 4 * PAGE));
	SAME(get(s, va), 9);
	SAME(get(s, va + 3 * PAGE), 4);
	SAME(p.gets, 5);
	FAILS(s->m, HF_ERR_EXIST, hf_object_supply(p.object, 0, words, 4 * PAGE));
	FAILS(s->m, HF_ERR_ALIGN, hf_object_supply(p.object, 8, words, PAGE));
	FAILS(s->m, HF_ERR_EMPTY, hf_object_supply(p.object, 0, words, 0));
	FAILS(s->m, HF_ERR_WRAP, hf_object_supply(p.object, PAGE, words, UINT64_MAX - 8));
	FAILS(s->m, HF_ERR_RANGE, hf_object_supply(p.object, 3 * PAGE, words, 2 * PAGE + 1));
	FAILS(s->m, HF_ERR_EMPTY, hf_object_fail(p.object, 0, 0));
	FAILS(s->m, HF_ERR_WRAP, hf_object_fail(p.object, 1, UINT64_MAX));
	hf_phys_fail_after(s->m->phys, 1);
	FAILS(s->m, HF_ERR_NOMEM, hf_object_supply(p.object, 4 * PAGE, words, 8));
	hf_phys_fail_after(s->m->phys, 0);
	OK(hf_object_supply(p.object, 4 * PAGE, words, 8));
	SAME(get(s, va + 4 * PAGE), 1);
	hf_object_put(p.object);
	space_end(s);
}

static void shared_memory_is_not_supplied(void **state)
{
	struct machine *m = *state;
	struct hf_object_config config = { .size = PAGE };
	struct hf_object *object;

	OK(hf_object_create(m->phys, &config, &object));
	FAILS(m, HF_ERR_INVAL, hf_object_supply(object, 0, "x", 1));
	hf_object_put(object);
}

static void huge_pages_are_supplied_whole(void **state)
{
	struct machine *m = *state;
	struct promise p = { .way = LATER };
	struct hf_object_config config = { .size = 2 * PMD_SIZE,
					   .huge = HF_OBJECT_HUGE,
					   .pager = &promise_pager,
					   .host = &p,
					   .retry = true };
	struct space *s = space_new(m);
	char *data = calloc(2, PMD_SIZE);
	hf_va va;

	OK(hf_object_create(m->phys, &config, &p.object));
	va = map_file(s, p.object, 2 * PMD_SIZE, HF_MAP_SHARED);
	GIVES(HF_ERR_RETRY, hf_fault(s->mm, va + PAGE, HF_ACCESS_READ, NULL));
	SAME(p.offset, 0);
	SAME(p.len, PMD_SIZE);
	data[PAGE] = 5;
	data[PMD_SIZE + PAGE] = 6;
	OK(hf_object_supply(p.object, 0, data, PMD_SIZE + 2 * PAGE));
	CHECK(m);
	SAME(get(s, va + PAGE), 5);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	SAME(get(s, va + PMD_SIZE + PAGE), 6);
	SAME(level_of(s, va + PMD_SIZE + PAGE), HF_LEVEL_PTE);
	GIVES(HF_ERR_RETRY, hf_fault(s->mm, va + PMD_SIZE + 2 * PAGE, HF_ACCESS_READ, NULL));
	SAME(p.len, PAGE);
	free(data);
	hf_object_put(p.object);
	space_end(s);
}

static void evicted_pages_come_back(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct space *a = file_and_memory(m, store), *b = space_new(m);
	hf_va vb = map_file(b, store->object, 8 * PAGE, HF_MAP_PRIVATE);
	struct hf_object_stats stats;

	for (uint64_t i = 0; i < 8; i++)
		SAME(get(a, store->va + i * PAGE), stamp(1, i));
	put(a, store->va + 2 * PAGE, 22);
	put(b, vb + 3 * PAGE, 33);
	SAME(get(b, vb + 4 * PAGE), stamp(1, 4));
	OK(hf_object_evict(store->object, PAGE, 5 * PAGE));
	CHECK(m);
	hf_object_stats(store->object, &stats);
	SAME(stats.pages[HF_LEVEL_PTE], 3);
	SAME(stats.dirty_bytes, 0);
	SAME(stored(store, 2 * PAGE), 22);
	SAME(store->puts, 5);
	SAME(store->lost, 0);
	assert_true(present(a, store->va));
	assert_false(present(a, store->va + PAGE));
	assert_false(present(b, vb + 4 * PAGE));
	SAME(get(b, vb + 3 * PAGE), 33);
	SAME(get(a, store->va + 3 * PAGE), stamp(1, 3));
	SAME(get(a, store->va + 2 * PAGE), 22);
	SAME(store->gets, 10);
	put(a, store->va + 2 * PAGE, 23);
	OK(hf_msync(a->mm, store->va, 8 * PAGE, HF_MS_SYNC));
	SAME(stored(store, 2 * PAGE), 23);
	OK(hf_object_evict(store->object, 0, UINT64_MAX));
	hf_object_stats(store->object, &stats);
	SAME(stats.pages[HF_LEVEL_PTE], 0);
	space_end(b);
	end_of_file(store);
}

static void what_is_held_is_not_evicted(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct space *s = file_and_memory(m, store), *b = space_new(m), *child;
	hf_va private = map_file(b, store->object, 8 * PAGE, HF_MAP_PRIVATE);
	struct hf_object_stats stats;
	struct pin pin;

	pin_range(s, store->va, PAGE, HF_PIN_READ, &pin);
	OK(hf_mlock(s->mm, store->va + PAGE, PAGE, 0));
	put(s, store->va + 2 * PAGE, 5);
	SAME(get(b, private + 3 * PAGE), stamp(1, 3));
	child = fork_space(b, HF_FORK_COPY);
	SAME(get(s, store->va + 4 * PAGE), stamp(1, 4));
	store->fail_writeback = 1;
	GIVES(HF_ERR_BUS, hf_object_evict(store->object, 0, 8 * PAGE));
	CHECK(m);
	SAME(store->puts, 1);
	SAME(dirty(store->object), PAGE);
	SAME(get(s, store->va + 2 * PAGE), 5);
	assert_true(present(b, private + 3 * PAGE)); /* in a table that two share */
	space_end(child);
	GIVES(HF_ERR_BUSY, hf_object_evict(store->object, 0, 8 * PAGE));
	hf_object_stats(store->object, &stats);
	SAME(stats.pages[HF_LEVEL_PTE], 2);
	SAME(get(b, private + 3 * PAGE), stamp(1, 3));
	dma_put(m, pin.spans[0].pa, 9);
	SAME(get(s, store->va), 9);
	unpin(m, &pin);
	OK(hf_munlock(s->mm, store->va + PAGE, PAGE));
	OK(hf_object_evict(store->object, 0, 8 * PAGE));
	FAILS(m, HF_ERR_EMPTY, hf_object_evict(store->object, 0, 0));
	FAILS(m, HF_ERR_WRAP, hf_object_evict(store->object, 1, UINT64_MAX));
	space_end(b);
	end_of_file(store);
}

static void huge_pages_are_evicted_whole(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = open_store(m, store, sizeof(store->data), HF_OBJECT_HUGE);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, sizeof(store->data), HF_MAP_SHARED);

	SAME(get(s, va + 700 * PAGE), stamp(1, 700));
	GIVES(HF_ERR_BUSY, hf_object_evict(object, 600 * PAGE, 300 * PAGE));
	SAME(store->puts, 0);
	OK(hf_object_evict(object, PMD_SIZE, PMD_SIZE));
	CHECK(m);
	SAME(store->puts, 1);
	SAME(get(s, va + 700 * PAGE), stamp(1, 700));
	SAME(store->gets, 2);
	hf_object_put(object);
	space_end(s);
	free(store);
}

/* Much more than the memory holds is read from its beginning to its end. */
static void a_file_larger_than_memory_is_read(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct hf_object *object = file(m, store, STORE_PAGES);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, STORE_PAGES * PAGE, HF_MAP_SHARED);
	struct hoard hoard;

	fragment(m, 64, &hoard);
	for (uint64_t i = 0; i < STORE_PAGES; i++) {
		enum hf_status st = hf_fault(s->mm, va + i * PAGE, HF_ACCESS_READ, NULL);

		if (st == HF_ERR_NOMEM) {
			OK(hf_object_evict(object, 0, i * PAGE));
			st = hf_fault(s->mm, va + i * PAGE, HF_ACCESS_READ, NULL);
		}
		SAME(st, HF_OK);
		SAME(get(s, va + i * PAGE), stamp(1, i));
	}
	CHECK(m);
	SAME(store->gets, STORE_PAGES);
	hoard_release(m, &hoard);
	hf_object_put(object);
	space_end(s);
	free(store);
}

static void a_hole_reads_as_zeros(void **state)
{
	struct machine *m = *state;
	struct store *store = store_new();
	struct space *a = file_and_memory(m, store), *b = space_new(m), *child;
	hf_va vb = map_file(b, store->object, 8 * PAGE, HF_MAP_PRIVATE);
	struct pin pin;

	for (uint64_t i = 0; i < 8; i++) {
		put(a, store->va + i * PAGE + 8, 8);
		put(a, store->va + i * PAGE + 4088, 9);
		SAME(get(b, vb + i * PAGE), stamp(1, i));
	}
	put(b, vb + 3 * PAGE, 33);
	pin_range(a, store->va + 4 * PAGE, PAGE, HF_PIN_READ, &pin);
	child = fork_space(b, HF_FORK_COPY);
	store->fail_punch = true;
	FAILS_KEEPING(m, STATE_VISIBLE, HF_ERR_BUS,
		      hf_object_punch(store->object, PAGE + 16, 4 * PAGE));
	store->fail_punch = false;
	OK(hf_object_punch(store->object, PAGE + 16, 4 * PAGE));
	CHECK(m);
	SAME(store->puts, 3);
	SAME(store->lost, 0);
	SAME(get(a, store->va + PAGE), stamp(1, 1));
	SAME(get(a, store->va + PAGE + 8), 8);
	SAME(get(a, store->va + PAGE + 4088), 0);
	SAME(get(b, vb + 2 * PAGE), 0);
	SAME(get(child, vb + 2 * PAGE), 0);
	SAME(get(b, vb + 3 * PAGE), 33);
	SAME(get(child, vb + 3 * PAGE), 33);
	SAME(get(a, store->va + 4 * PAGE), 0);
	SAME(dma_get(m, pin.spans[0].pa), stamp(1, 4));
	SAME(get(a, store->va + 5 * PAGE), 0);
	SAME(get(a, store->va + 5 * PAGE + 4088), 9);
	OK(hf_msync(a->mm, store->va, 8 * PAGE, HF_MS_SYNC));
	SAME(stored(store, PAGE), stamp(1, 1));
	SAME(stored(store, 2 * PAGE + 8), 0);
	SAME(stored(store, 5 * PAGE + 4088), 9);
	unpin(m, &pin);
	space_end(child);
	space_end(b);
	end_of_file(store);
}

static void punch_it(struct store *store)
{
	OK(hf_object_punch(store->object, 0, 8 * PAGE));
	CHECK(store->space->m);
}

static void a_hole_is_not_filled_by_what_was_asked_before(void **state)
{
	struct store *store = store_new();
	struct space *s = file_and_memory(*state, store);
	uint64_t value;

	store->while_getting = punch_it;
	OK(hf_read(s->mm, store->va + PAGE, &value, sizeof(value)));
	SAME(value, 0);
	SAME(store->gets, 2);
	end_of_file(store);
}

static void read_beside_it(struct store *store)
{
	uint64_t value;

	OK(hf_object_read(store->object, 0, &value, sizeof(value)));
	SAME(value, stamp(1, 0));
}

/* It came after pages had been cut for the hole, and before the pager knew of that. */
static void a_larger_page_that_comes_meanwhile_has_the_hole(void **state)
{
	struct store *store = store_new();
	uint64_t value;

	store->object = open_store(*state, store, PMD_SIZE, HF_OBJECT_HUGE);
	store->while_punching = read_beside_it;
	OK(hf_object_punch(store->object, 2 * PAGE, 3 * PAGE));
	SAME(store->largest, PMD_SIZE);
	for (uint64_t i = 0; i < 8; i++) {
		OK(hf_object_read(store->object, i * PAGE, &value, sizeof(value)));
		SAME(value, i >= 2 && i < 5 ? 0 : stamp(1, i));
	}
	CHECK(*state);
	hf_object_put(store->object);
	free(store);
}

static void holes_in_shared_memory(void **state)
{
	struct machine *m = *state;
	struct hf_object_config config = { .size = 2 * PMD_SIZE, .huge = HF_OBJECT_HUGE };
	struct space *s = space_new(m);
	struct hf_object *object;
	uint64_t before;
	hf_va va;

	OK(hf_object_create(m->phys, &config, &object));
	va = map_file(s, object, 2 * PMD_SIZE, HF_MAP_SHARED);
	put(s, va, 1);
	put(s, va + 3 * PAGE, 3);
	put(s, va + PMD_SIZE, 2);
	before = free_bytes(m);
	OK(hf_madvise(s->mm, va + 3 * PAGE, 2 * PAGE, HF_ADV_REMOVE));
	CHECK(m);
	SAME(get(s, va), 1);
	SAME(get(s, va + 3 * PAGE), 0);
	OK(hf_object_punch(object, PAGE, UINT64_MAX - PAGE));
	CHECK(m);
	SAME(get(s, va), 1);
	assert_true(free_bytes(m) > before + PMD_SIZE);
	SAME(get(s, va + PMD_SIZE), 0);
	OK(hf_object_punch(object, 2 * PMD_SIZE, PAGE));
	FAILS(m, HF_ERR_EMPTY, hf_object_punch(object, 0, 0));
	FAILS(m, HF_ERR_WRAP, hf_object_punch(object, 1, UINT64_MAX));
	FAILS(m, HF_ERR_INVAL, hf_object_evict(object, 0, PAGE));
	OK(hf_mlock(s->mm, va, PAGE, 0));
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, va, PAGE, HF_ADV_REMOVE));
	OK(hf_munlock(s->mm, va, PAGE));
	OK(hf_mprotect(s->mm, va, PAGE, RO));
	FAILS(m, HF_ERR_ACCESS, hf_madvise(s->mm, va, PAGE, HF_ADV_REMOVE));
	va = map(s, PAGE, RW);
	FAILS(m, HF_ERR_INVAL, hf_madvise(s->mm, va, PAGE, HF_ADV_REMOVE));
	FAILS(m, HF_ERR_UNMAPPED, hf_madvise(s->mm, SPACE_LO, PAGE, HF_ADV_REMOVE));
	hf_object_put(object);
	space_end(s);
}

static void a_pager_that_cannot_punch(void **state)
{
	struct machine *m = *state;
	struct promise p = { .way = LATER };
	hf_va va;
	struct space *s = promised(m, &p, true, &va);

	FAILS(m, HF_ERR_ACCESS, hf_object_punch(p.object, 0, PAGE));
	FAILS(m, HF_ERR_ACCESS, hf_madvise(s->mm, va, PAGE, HF_ADV_REMOVE));
	hf_object_put(p.object);
	space_end(s);
}

static const struct CMUnitTest tests[] = {
	TEST(contents_come_from_the_pager),
	TEST(msync_writes_back_what_was_written),
	TEST(private_writes_are_never_written_back),
	TEST(the_last_reference_writes_back),
	TEST(a_failed_get_is_a_bus_error_once),
	TEST(a_failed_get_pins_nothing),
	TEST(a_failed_writeback_loses_nothing),
	TEST(a_write_during_writeback_is_not_missed),
	TEST(a_pinned_page_stays_dirty),
	TEST(a_pin_beside_a_sync_stays_dirty),
	TEST(only_what_is_before_the_end_is_written_back),
	TEST(huge_pages_of_a_pager),
	TEST(many_dirty_pages),
	TEST(a_pager_that_only_gets),
	TEST(msync_errors),
	TEST(nobody_waits_for_a_pager_that_gets),
	TEST(nobody_waits_for_a_pager_that_keeps),
	TEST(a_truncation_does_not_wait_for_get),
	TEST(a_mapping_may_go_while_its_page_comes),
	TEST(an_answer_may_come_before_get_returns),
	TEST(who_schedules_by_himself_tries_again),
	TEST(shared_memory_is_not_supplied),
	TEST(huge_pages_are_supplied_whole),
	TEST(evicted_pages_come_back),
	TEST(what_is_held_is_not_evicted),
	TEST(huge_pages_are_evicted_whole),
	TEST(a_file_larger_than_memory_is_read),
	TEST(a_hole_reads_as_zeros),
	TEST(a_hole_is_not_filled_by_what_was_asked_before),
	TEST(a_larger_page_that_comes_meanwhile_has_the_hole),
	TEST(holes_in_shared_memory),
	TEST(a_pager_that_cannot_punch),
};

SUITE(suite_pager, tests);
