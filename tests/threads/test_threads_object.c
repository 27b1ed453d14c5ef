/* SPDX-License-Identifier: MIT */
/*
 * Two spaces map one file, and a thread runs in each: every page has a word for each of them. A
 * third thread truncates the file and lets it grow, a fourth writes it back. Each writer knows
 * what its words in the part that stays must be, in its space, in children that it forks, and in
 * the end in the store.
 *
 * Run under ThreadSanitizer, too.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "port_soft.h"

#define WRITERS 2
#define PAGES 96
#define STAYS 64 /* of these, never truncated */
#define WORDS (PAGE / 8)
#define OPERATIONS 30000

static uint64_t file[PAGES][WORDS];

static enum hf_status file_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	(void)host;
	memcpy(page, file[offset / PAGE], len);
	return HF_OK;
}

/* Programs may write meanwhile, word by word. */
static enum hf_status file_writeback(void *host, uint64_t offset, const void *page, uint64_t len)
{
	(void)host;
	for (uint64_t i = 0; i < len / 8; i++)
		file[offset / PAGE][i] =
			__atomic_load_n((const uint64_t *)page + i, __ATOMIC_RELAXED);
	return HF_OK;
}

static const struct hf_pager pager = { file_get, file_writeback, NULL, NULL };

struct writer {
	pthread_t id;
	unsigned index;
	uint64_t random;
	struct space *s;
	hf_va va;
	struct hf_soft_cpu *cpu;
	struct hf_object *object;
	uint64_t words[PAGES];
	unsigned buses, forks;
	const char *wrong; /* what went wrong first; NULL: nothing */
};

static int writers_left;

static uint64_t below(uint64_t *random, uint64_t n)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (*random >> 11) % n;
}

static void wrong(struct writer *w, const char *what)
{
	if (!w->wrong)
		w->wrong = what;
}

static void store_word(struct writer *w, uint64_t page)
{
	enum hf_status st =
		hf_soft_store(w->cpu, w->va + page * PAGE + w->index * 8, 8, w->words[page] + 1);

	if (st == HF_OK)
		w->words[page]++;
	else if (st == HF_ERR_BUS && page >= STAYS)
		w->buses++;
	else
		wrong(w, "a store failed");
}

/* In the part that comes and goes a word may be lost, but never be one that was not stored. */
static void load_word(struct writer *w, struct hf_soft_cpu *cpu, uint64_t page)
{
	uint64_t value = 0;
	enum hf_status st = hf_soft_load(cpu, w->va + page * PAGE + w->index * 8, 8, &value);

	if (st == HF_OK && (page < STAYS ? value != w->words[page] : value > w->words[page]))
		wrong(w, "a word has changed by itself");
	if (st != HF_OK && !(st == HF_ERR_BUS && page >= STAYS))
		wrong(w, "a load failed");
}

static void fork_and_look(struct writer *w)
{
	struct hf_soft_cpu *cpu;
	struct hf_mm child;

	if (hf_fork(w->s->mm, &child, NULL, HF_FORK_COPY) != HF_OK ||
	    hf_soft_cpu_create(soft_of(w->s->m), &cpu) != HF_OK) {
		wrong(w, "no fork");
		return;
	}
	hf_soft_switch(cpu, &child);
	for (uint64_t page = 0; page < PAGES; page += 5)
		load_word(w, cpu, page);
	hf_soft_cpu_destroy(cpu);
	hf_mm_destroy(&child);
	w->forks++;
}

static void *write_words(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < OPERATIONS && !w->wrong; i++) {
		uint64_t page = below(&w->random, PAGES);

		if (i % 97 == 0)
			fork_and_look(w);
		else if (below(&w->random, 3))
			store_word(w, page);
		else
			load_word(w, w->cpu, page);
	}
	__atomic_sub_fetch(&writers_left, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *truncate_it(void *arg)
{
	uint64_t random = 12345;

	while (__atomic_load_n(&writers_left, __ATOMIC_RELAXED)) {
		uint64_t pages = STAYS + below(&random, PAGES - STAYS + 1);

		if (hf_object_truncate(arg, pages * PAGE) != HF_OK)
			return "a truncation failed";
	}
	return NULL;
}

static void *sync_it(void *arg)
{
	while (__atomic_load_n(&writers_left, __ATOMIC_RELAXED))
		if (hf_object_sync(arg, 0, PAGES * PAGE) != HF_OK)
			return "a sync failed";
	return NULL;
}

static void writer_begin(struct writer *w, struct machine *m)
{
	w->s = space_new(m);
	w->va = 0;
	w->random = 0x9e3779b97f4a7c15u * (w->index + 1);
	OK(hf_mmap_object(w->s->mm, &w->va, PAGES * PAGE, RW, HF_MAP_SHARED, w->object, 0));
	OK(hf_soft_cpu_create(soft_of(m), &w->cpu));
	hf_soft_switch(w->cpu, w->s->mm);
}

static void writer_end(struct writer *w)
{
	pthread_join(w->id, NULL);
	hf_soft_cpu_destroy(w->cpu);
	if (w->wrong)
		fail_msg("writer %u: %s", w->index, w->wrong);
	assert_true(w->forks > 0);
}

static void a_file_is_written_truncated_and_synced(void **state)
{
	struct machine *m = *state;
	struct hf_object_config config = { .size = PAGES * PAGE, .pager = &pager };
	struct writer *writers = calloc(WRITERS, sizeof(*writers));
	struct hf_object *object;
	pthread_t truncater, syncer;
	void *trouble[2];

	OK(hf_object_create(m->phys, &config, &object));
	writers_left = WRITERS;
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].index = i;
		writers[i].object = object;
		writer_begin(&writers[i], m);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i].id, NULL, write_words, &writers[i]), 0);
	assert_int_equal(pthread_create(&truncater, NULL, truncate_it, object), 0);
	assert_int_equal(pthread_create(&syncer, NULL, sync_it, object), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		writer_end(&writers[i]);
	pthread_join(truncater, &trouble[0]);
	pthread_join(syncer, &trouble[1]);
	if (trouble[0] || trouble[1])
		fail_msg("%s", (const char *)(trouble[0] ? trouble[0] : trouble[1]));
	CHECK(m);
	OK(hf_object_sync(object, 0, PAGES * PAGE));
	for (unsigned i = 0; i < WRITERS; i++)
		for (uint64_t page = 0; page < STAYS; page++)
			SAME(file[page][i], writers[i].words[page]);
	hf_object_put(object);
	free(writers);
}

/* A pager that stands still in `get` until it is let go. */
struct gate {
	sem_t inside, open;
	unsigned gets;
	int ended; /* `get` has returned */
	enum hf_status answer;
};

static enum hf_status gate_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	struct gate *gate = host;

	(void)offset;
	(void)len;
	__atomic_add_fetch(&gate->gets, 1, __ATOMIC_RELAXED);
	sem_post(&gate->inside);
	sem_wait(&gate->open);
	*(uint64_t *)page = 42;
	__atomic_store_n(&gate->ended, 1, __ATOMIC_RELEASE);
	return gate->answer;
}

static const struct hf_pager gate_pager = { gate_get, NULL, NULL, NULL };

struct at_gate {
	struct gate gate;
	struct hf_object *object;
	struct space *spaces[2];
	hf_va va[2];
	pthread_t ids[3];
	bool unmapped_early; /* the last reference was gone before `get` had returned */
};

static struct at_gate *at_gate_begin(struct machine *m)
{
	struct at_gate *g = calloc(1, sizeof(*g));
	struct hf_object_config config = { .size = 4 * PAGE,
					   .pager = &gate_pager,
					   .host = &g->gate };

	sem_init(&g->gate.inside, 0, 0);
	sem_init(&g->gate.open, 0, 0);
	OK(hf_object_create(m->phys, &config, &g->object));
	for (unsigned i = 0; i < 2; i++) {
		g->spaces[i] = space_new(m);
		OK(hf_mmap_object(g->spaces[i]->mm, &g->va[i], 4 * PAGE, RW, HF_MAP_SHARED,
				  g->object, 0));
	}
	return g;
}

static void at_gate_end(struct at_gate *g)
{
	sem_destroy(&g->gate.inside);
	sem_destroy(&g->gate.open);
	free(g);
}

static void *fault_first(void *arg)
{
	struct at_gate *g = arg;

	return (void *)(intptr_t)hf_fault(g->spaces[0]->mm, g->va[0], HF_ACCESS_READ, NULL);
}

static void *fault_second(void *arg)
{
	struct at_gate *g = arg;

	return (void *)(intptr_t)hf_fault(g->spaces[1]->mm, g->va[1], HF_ACCESS_WRITE, NULL);
}

static void *unmap_last(void *arg)
{
	struct at_gate *g = arg;
	enum hf_status st = hf_munmap(g->spaces[0]->mm, g->va[0], 4 * PAGE);

	g->unmapped_early = !__atomic_load_n(&g->gate.ended, __ATOMIC_ACQUIRE);
	return (void *)(intptr_t)st;
}

static enum hf_status result_of(pthread_t id)
{
	void *result;

	pthread_join(id, &result);
	return (enum hf_status)(intptr_t)result;
}

static void two_who_want_a_page_ask_once(void **state)
{
	struct machine *m = *state;
	struct at_gate *g = at_gate_begin(m);
	enum hf_status st[2];

	for (unsigned i = 0; i < 2; i++) {
		g->gate.answer = i ? HF_OK : HF_ERR_HOST;
		assert_int_equal(pthread_create(&g->ids[0], NULL, fault_first, g), 0);
		sem_wait(&g->gate.inside);
		CHECK(m);
		assert_int_equal(pthread_create(&g->ids[1], NULL, fault_second, g), 0);
		/* The second waits for the first, or comes when that has been answered. */
		sem_post(&g->gate.open);
		if (!i) /* a failure is for those who waited; who comes later asks again */
			sem_post(&g->gate.open);
		st[0] = result_of(g->ids[0]);
		st[1] = result_of(g->ids[1]);
		SAME(st[0], i ? HF_OK : HF_ERR_BUS);
		SAME(st[1], st[0]);
		while (!sem_trywait(&g->gate.open))
			;
		while (!sem_trywait(&g->gate.inside))
			;
		if (i)
			SAME(g->gate.gets, 1);
		g->gate.gets = 0;
	}
	SAME(get(g->spaces[1], g->va[1]), 42);
	hf_object_put(g->object);
	space_end(g->spaces[0]);
	space_end(g->spaces[1]);
	at_gate_end(g);
}

static void the_last_reference_waits_for_the_pager(void **state)
{
	struct machine *m = *state;
	struct at_gate *g = at_gate_begin(m);
	struct hf_vma_info info;

	space_end(g->spaces[1]);
	hf_object_put(g->object);
	assert_int_equal(pthread_create(&g->ids[0], NULL, fault_first, g), 0);
	sem_wait(&g->gate.inside);
	assert_int_equal(pthread_create(&g->ids[1], NULL, unmap_last, g), 0);
	/* It goes from the space at once, and so the space can be used. */
	while (hf_vma_next(g->spaces[0]->mm, g->va[0], &info) == HF_OK)
		sched_yield();
	put(g->spaces[0], map(g->spaces[0], PAGE, RW), 1);
	sem_post(&g->gate.open);
	SAME(result_of(g->ids[1]), HF_OK);
	assert_false(g->unmapped_early);
	SAME(result_of(g->ids[0]), HF_ERR_UNMAPPED);
	CHECK(m);
	space_end(g->spaces[0]);
	at_gate_end(g);
}

/* The answer comes later than `get` has returned, or before anybody sleeps for it. */
static void a_late_answer_wakes_who_waits(void **state)
{
	struct machine *m = *state;
	struct at_gate *g = at_gate_begin(m);
	uint64_t word = 43;

	g->gate.answer = HF_ERR_PENDING;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&g->ids[0], NULL, fault_first, g), 0);
		sem_wait(&g->gate.inside);
		sem_post(&g->gate.open);
		while (!__atomic_load_n(&g->gate.ended, __ATOMIC_ACQUIRE))
			sched_yield();
		if (i)
			OK(hf_object_supply(g->object, 0, &word, sizeof(word)));
		else
			OK(hf_object_fail(g->object, 0, PAGE));
		SAME(result_of(g->ids[0]), i ? HF_OK : HF_ERR_BUS);
		g->gate.ended = 0;
	}
	SAME(get(g->spaces[1], g->va[1]), 43);
	CHECK(m);
	/* A promise that is not kept keeps nobody from ending. */
	g->va[0] += PAGE;
	assert_int_equal(pthread_create(&g->ids[0], NULL, fault_first, g), 0);
	sem_wait(&g->gate.inside);
	sem_post(&g->gate.open);
	OK(hf_munmap(g->spaces[0]->mm, g->va[0] - PAGE, 4 * PAGE));
	OK(hf_munmap(g->spaces[1]->mm, g->va[1], 4 * PAGE));
	hf_object_put(g->object);
	SAME(result_of(g->ids[0]), HF_ERR_UNMAPPED);
	CHECK(m);
	space_end(g->spaces[0]);
	space_end(g->spaces[1]);
	at_gate_end(g);
}

static void who_keeps_a_reference_waits_for_nobody(void **state)
{
	struct machine *m = *state;
	struct at_gate *g = at_gate_begin(m);

	assert_int_equal(pthread_create(&g->ids[0], NULL, fault_first, g), 0);
	sem_wait(&g->gate.inside);
	OK(hf_munmap(g->spaces[0]->mm, g->va[0], 4 * PAGE));
	OK(hf_object_truncate(g->object, 0));
	space_end(g->spaces[1]);
	CHECK(m);
	sem_post(&g->gate.open);
	SAME(result_of(g->ids[0]), HF_ERR_UNMAPPED);
	hf_object_put(g->object);
	space_end(g->spaces[0]);
	at_gate_end(g);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(two_who_want_a_page_ask_once),
		TEST(a_late_answer_wakes_who_waits),
		TEST(the_last_reference_waits_for_the_pager),
		TEST(who_keeps_a_reference_waits_for_nobody),
		TEST(a_file_is_written_truncated_and_synced),
	};

	return run_group("threads-object", tests, argc, argv);
}
