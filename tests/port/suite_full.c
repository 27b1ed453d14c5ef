/* SPDX-License-Identifier: MIT */
/* Memory is full, to the last frame: what only gives memory back works all the same. */
#include "disk.h"
#include "port.h"

#include <pthread.h>

static uint64_t reserve_bytes(struct machine *m)
{
	struct hf_phys_stats stats;

	hf_phys_stats(m->phys, &stats);
	return stats.reserve_bytes;
}

/* Take all that is free, and what has become free since the last time. */
struct full {
	struct machine *m;
	hf_pa pages[RAM_BYTES / PAGE];
	size_t count;
};

static struct full *fill_up(struct full *full, struct machine *m)
{
	if (!full) {
		full = calloc(1, sizeof(*full));
		full->m = m;
	}
	while (hf_phys_alloc(m->phys, 0, &full->pages[full->count]) == HF_OK)
		full->count++;
	SAME(free_bytes(m), 0);
	return full;
}

static void full_end(struct full *full)
{
	while (full->count)
		OK(hf_phys_free(full->m->phys, full->pages[--full->count], 0));
	free(full);
}

#define MIDDLE (PMD_SIZE / 2)

struct area {
	hf_va small, huge, shared, heap, lazy, cut;
};

static struct area areas(struct space *s)
{
	struct area a = { .small = SPACE_LO, .heap = SPACE_LO + 64 * MIB };
	hf_va now;

	map_at(s, a.small, 2 * PMD_SIZE, RW);
	fill(s, a.small, 2 * PMD_SIZE, 1);
	a.huge = map_filled(s, HF_LEVEL_PMD, 1, 2);
	a.lazy = map_filled(s, HF_LEVEL_PMD, 1, 3);
	a.cut = map_filled(s, HF_LEVEL_PMD, 1, 4);
	a.shared = 0;
	OK(hf_mmap(s->mm, &a.shared, PMD_SIZE, RW, HF_MAP_SHARED));
	fill(s, a.shared, PMD_SIZE, 5);
	OK(hf_brk_start(s->mm, a.heap));
	OK(hf_brk(s->mm, a.heap + PMD_SIZE, &now));
	fill(s, a.heap, PMD_SIZE, 6);
	return a;
}

/* Every call that only gives back, in parts that cut mappings, tables and huge pages. */
static void give_back(struct space *s, const struct area *a, struct full *full)
{
	struct machine *m = s->m;
	hf_va now = 0;

	fill_up(full, m);
	OK(hf_munmap(s->mm, a->small + MIDDLE, PAGE));
	fill_up(full, m);
	OK(hf_madvise(s->mm, a->small + PMD_SIZE - PAGE, 2 * PAGE, HF_ADV_DONTNEED));
	fill_up(full, m);
	OK(hf_munmap(s->mm, a->huge + PAGE, PMD_SIZE - 2 * PAGE));
	fill_up(full, m);
	OK(hf_madvise(s->mm, a->lazy, MIDDLE, HF_ADV_FREE));
	fill_up(full, m);
	OK(hf_mremap(s->mm, a->cut, PMD_SIZE, MIDDLE + PAGE, 0, &now));
	fill_up(full, m);
	OK(hf_munmap(s->mm, a->shared + PAGE, PAGE));
	fill_up(full, m);
	OK(hf_brk(s->mm, a->heap + MIDDLE, &now));
	fill_up(full, m);
	CHECK(m);
	FILLED(s, a->small, MIDDLE, 1);
	SAME(get(s, a->huge), stamp(2, a->huge));
	FILLED(s, a->cut, MIDDLE + PAGE, 4);
	SAME(get(s, a->shared), stamp(5, a->shared));
	FILLED(s, a->heap, MIDDLE, 6);
	OK(hf_brk(s->mm, a->heap, &now));
	fill_up(full, m);
	OK(hf_munmap(s->mm, SPACE_LO, SPACE_LEN));
	CHECK(m);
}

static void parts_go_when_memory_is_full(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	const uint64_t reserve = reserve_bytes(m);
	struct area a = areas(s);
	struct full *full = fill_up(NULL, m);

	give_back(s, &a, full);
	space_end(s);
	assert_true(free_bytes(m) > 0);
	SAME(reserve_bytes(m), reserve); /* it comes first */
	full_end(full);
	CHECK(m);
}

/*
 * All tables are shared with a child: each part that goes leaves them to it, and so needs its own.
 */
static void parts_of_shared_tables_go_when_memory_is_full(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	const uint64_t reserve = reserve_bytes(m);
	struct area a = areas(s);
	struct full *full;
	hf_va now;

	child = fork_space(s, HF_FORK_COPY);
	full = fill_up(NULL, m);
	OK(hf_madvise(s->mm, a.small + PMD_SIZE, PMD_SIZE, HF_ADV_DONTNEED));
	fill_up(full, m);
	OK(hf_munmap(s->mm, a.small + MIDDLE, PAGE));
	fill_up(full, m);
	OK(hf_brk(s->mm, a.heap, &now));
	fill_up(full, m);
	OK(hf_munmap(s->mm, a.shared, PMD_SIZE));
	fill_up(full, m);
	CHECK(m);
	FILLED(s, a.small, MIDDLE, 1);
	FILLED(child, a.small, 2 * PMD_SIZE, 1);
	OK(hf_munmap(s->mm, SPACE_LO, SPACE_LEN));
	OK(hf_munmap(child->mm, SPACE_LO, SPACE_LEN));
	CHECK(m);
	space_end(child);
	space_end(s);
	SAME(reserve_bytes(m), reserve);
	full_end(full);
}

/*
 * Parts that free nothing, because a child has the pages, use the reserve up. Then they fail and
 * change nothing; what needs no table of its own still goes, and fills the reserve again.
 */
static void a_reserve_is_used_up_and_filled(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	const uint64_t reserve = reserve_bytes(m);
	hf_va va = map_at(s, SPACE_LO, 32 * PMD_SIZE, RW);
	struct full *full;
	uint64_t gone = 0;

	for (uint64_t i = 0; i < 32; i++) { /* a table each, of which one page stays */
		put(s, va + i * PMD_SIZE, i);
		put(s, va + i * PMD_SIZE + PAGE, i);
	}
	child = fork_space(s, HF_FORK_COPY);
	full = fill_up(NULL, m);
	while (gone < 32 && hf_madvise(s->mm, va + gone * PMD_SIZE, PAGE, HF_ADV_DONTNEED) == HF_OK)
		gone++;
	assert_true(gone >= 8 && gone < 32);
	assert_true(reserve_bytes(m) < reserve);
	CHECK(m);
	FAILS_KEEPING(m, STATE_VISIBLE | STATE_TABLES, HF_ERR_NOMEM,
		      hf_madvise(s->mm, va + gone * PMD_SIZE, PAGE, HF_ADV_DONTNEED));
	SAME(get(s, va + gone * PMD_SIZE), gone);
	space_end(child); /* frees its tables, and leaves the pages to their only owner */
	OK(hf_madvise(s->mm, va + gone * PMD_SIZE, PAGE, HF_ADV_DONTNEED));
	OK(hf_munmap(s->mm, SPACE_LO, SPACE_LEN));
	CHECK(m);
	space_end(s);
	SAME(reserve_bytes(m), reserve);
	full_end(full);
}

/* What a child has is its parent's, too, so next to nothing is freed; it all goes nevertheless. */
static void all_of_a_child_goes_when_memory_is_full(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	const uint64_t reserve = reserve_bytes(m);
	struct area a = areas(s);
	struct full *full;

	child = fork_space(s, HF_FORK_COPY);
	full = fill_up(NULL, m);
	OK(hf_munmap(child->mm, SPACE_LO, SPACE_LEN));
	assert_true(reserve_bytes(m) + 2 * PAGE >= reserve);
	CHECK(m);
	FILLED(s, a.small, 2 * PMD_SIZE, 1);
	fill_up(full, m);
	OK(hf_munmap(s->mm, SPACE_LO, SPACE_LEN));
	SAME(reserve_bytes(m), reserve);
	space_end(child);
	space_end(s);
	full_end(full);
}

#define TURNS 24

/* Cuts a part out of each shared table, which needs one of its own, and lets the rest go. */
struct cutter {
	struct space *s;
	hf_va va;
	enum hf_status st;
	pthread_t thread;
};

static void *cut_away(void *arg)
{
	struct cutter *c = arg;

	for (uint64_t i = 0; i < TURNS && !c->st; i++) {
		hf_va at = c->va + i * PMD_SIZE;

		c->st = hf_madvise(c->s->mm, at, PAGE, HF_ADV_DONTNEED);
		if (!c->st)
			c->st = hf_munmap(c->s->mm, at, PMD_SIZE);
	}
	return NULL;
}

/* They wait for each other: each has the whole reserve in its turn. */
static void two_threads_give_back_when_memory_is_full(void **state)
{
	struct machine *m = *state;
	const uint64_t reserve = reserve_bytes(m);
	struct cutter c[2] = { 0 };
	struct space *child[2];
	struct full *full;

	for (unsigned i = 0; i < 2; i++) {
		c[i].s = space_new(m);
		c[i].va = map_at(c[i].s, SPACE_LO, TURNS * PMD_SIZE, RW);
		for (uint64_t k = 0; k < TURNS; k++) {
			put(c[i].s, c[i].va + k * PMD_SIZE, k);
			put(c[i].s, c[i].va + k * PMD_SIZE + PAGE, k);
		}
		child[i] = fork_space(c[i].s, HF_FORK_COPY);
	}
	full = fill_up(NULL, m);
	for (unsigned i = 0; i < 2; i++)
		SAME(pthread_create(&c[i].thread, NULL, cut_away, &c[i]), 0);
	for (unsigned i = 0; i < 2; i++) {
		SAME(pthread_join(c[i].thread, NULL), 0);
		OK(c[i].st);
	}
	CHECK(m);
	for (unsigned i = 0; i < 2; i++) {
		SAME(get(child[i], c[i].va + PMD_SIZE), 1);
		space_end(child[i]);
		space_end(c[i].s);
	}
	SAME(reserve_bytes(m), reserve);
	full_end(full);
}

static void a_truncation_when_memory_is_full(void **state)
{
	const struct hf_object_config config = { .size = 2 * PMD_SIZE, .huge = HF_OBJECT_HUGE };
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct hf_object *object;
	struct full *full;
	hf_va va = 0;

	OK(hf_object_create(m->phys, &config, &object));
	OK(hf_mmap_object(s->mm, &va, 2 * PMD_SIZE, RW, HF_MAP_SHARED, object, 0));
	fill(s, va, 2 * PMD_SIZE, 1);
	full = fill_up(NULL, m);
	OK(hf_object_truncate(object, MIDDLE + PAGE));
	CHECK(m);
	FILLED(s, va, MIDDLE + PAGE, 1);
	FAILS(m, HF_ERR_BUS, hf_fault(s->mm, va + MIDDLE + PAGE, HF_ACCESS_READ, NULL));
	space_end(s);
	OK(hf_object_put(object));
	full_end(full);
}

/*
 * Frames that are the core's, whatever for, are not the host's to free; nor is one that it freed.
 */
static void no_frame_but_the_hosts_is_freed(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct area a = areas(s);
	struct disk *disk;
	hf_pa once, all;

	SAME(get(s, map_level(s, HF_LEVEL_PMD, 1)), 0); /* the huge zero page */
	OK(hf_phys_alloc(m->phys, 0, &once));
	OK(hf_phys_free(m->phys, once, 0));
	disk = disk_on(m, 64);
	FAILS(m, HF_ERR_INVAL, hf_phys_free(m->phys, once, 0));
	for (size_t r = 0; r < m->phys->ram_count; r++) {
		const struct hf_ram *ram = &m->phys->ram[r];

		for (all = ram->base; all.v < ram->base.v + ram->len; all.v += PAGE)
			for (unsigned order = 0; order <= HF_MAX_ORDER; order += 9)
				SAME(hf_phys_free(m->phys, all, order), HF_ERR_INVAL);
	}
	CHECK(m);
	FILLED(s, a.small, 2 * PMD_SIZE, 1);
	disk_off(m, disk);
	space_end(s);
}

static const struct CMUnitTest tests[] = {
	TEST(parts_go_when_memory_is_full),
	TEST(parts_of_shared_tables_go_when_memory_is_full),
	TEST(all_of_a_child_goes_when_memory_is_full),
	TEST(two_threads_give_back_when_memory_is_full),
	TEST(a_reserve_is_used_up_and_filled),
	TEST(a_truncation_when_memory_is_full),
	TEST(no_frame_but_the_hosts_is_freed),
};
SUITE(suite_full, tests);
