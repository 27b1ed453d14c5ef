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

static const struct hf_pager pager = { file_get, file_writeback, NULL };

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

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_file_is_written_truncated_and_synced),
	};

	return run_group("threads-object", tests, argc, argv);
}
