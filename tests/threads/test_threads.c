/* SPDX-License-Identifier: MIT */
/*
 * Several threads at once in one space, on the soft port. Every page of the common part has
 * a word for each thread, so that all of them fault, pin and fork over the same pages and
 * each still knows what its words must be, in the space and in every child it forks. Beside
 * it lies a part where each thread has pages of its own, between those of the others, and
 * maps, unmaps and protects them.
 *
 * Run under ThreadSanitizer, too. Sources: this file and, of tests/port, common.c state.c
 * port_soft.c.
 */
#include <pthread.h>

#include "disk.h"
#include "port_soft.h"

#define THREADS 4
#define COMMON_PAGES (3 * 512) /* one 2 MiB page, one table of small ones, one huge again */
#define OWN_PAGES 128	       /* of each thread */
#define WORD 64		       /* apart, so that no word shares a cache line */

struct thread {
	pthread_t id;
	unsigned index;
	uint64_t random;
	unsigned operations;
	struct space *s;
	hf_va common, own;
	struct hf_soft_cpu *cpu;
	struct hf_soft_dma *dma;
	uint64_t words[COMMON_PAGES];
	uint64_t stored[OWN_PAGES];
	unsigned prot[OWN_PAGES];
	const char *wrong; /* what went wrong first; NULL: nothing */
	unsigned forks, pins, shortages;
	uint64_t reclaimed; /* pages, with a swap store */
};

/* cmocka's asserts belong to the main thread; the others note and stop. */
static void wrong(struct thread *t, const char *what)
{
	if (!t->wrong)
		t->wrong = what;
}

static uint64_t below(struct thread *t, uint64_t n)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (t->random >> 11) % n;
}

static hf_va word_va(const struct thread *t, uint64_t page)
{
	return t->common + page * PAGE + t->index * WORD;
}

/* Memory may be short when many children are alive; nothing else may go wrong. */
static bool worked(struct thread *t, enum hf_status status, const char *what)
{
	if (status == HF_ERR_NOMEM)
		t->shortages++;
	else if (status != HF_OK)
		wrong(t, what);
	return status == HF_OK;
}

/* The common part */

static void store_word(struct thread *t)
{
	uint64_t page = below(t, COMMON_PAGES), value = t->words[page] + 1;
	enum hf_status status;

	if (below(t, 2))
		status = hf_soft_store(t->cpu, word_va(t, page), 8, value);
	else
		status = hf_write(t->s->mm, word_va(t, page), &value, 8);
	if (worked(t, status, "store"))
		t->words[page] = value;
}

static void load_word(struct thread *t)
{
	uint64_t page = below(t, COMMON_PAGES), value = 0;
	enum hf_status status;

	if (below(t, 2))
		status = hf_soft_load(t->cpu, word_va(t, page), 8, &value);
	else
		status = hf_read(t->s->mm, word_va(t, page), &value, 8);
	if (worked(t, status, "load") && value != t->words[page])
		wrong(t, "a word of the space has changed by itself");
}

/* A device writes the word while the others go on forking. */
static void pin_word(struct thread *t)
{
	uint64_t page = below(t, COMMON_PAGES), value = t->words[page] + 1, seen = 0;
	unsigned flags = below(t, 2) ? HF_PIN_READ : HF_PIN_WRITE;
	struct hf_translation there;
	struct hf_span span;
	size_t count = 0;

	if (!worked(t, hf_pin(t->s->mm, word_va(t, page), 8, flags, &span, 1, &count), "pin"))
		return;
	t->pins++;
	hf_soft_dma_write(t->dma, span.pa, &value, 8);
	hf_soft_dma_wait(t->dma);
	t->words[page] = value;
	for (unsigned i = 0; i < 3; i++)
		store_word(t);
	value = t->words[page];
	hf_soft_dma_read(t->dma, span.pa, &seen, 8);
	hf_soft_dma_wait(t->dma);
	if (seen != value)
		wrong(t, "the device reads other bytes than the program wrote");
	if (hf_translate(t->s->mm, word_va(t, page), &there) != HF_OK ||
	    there.pa.v + (word_va(t, page) - there.va) != span.pa.v)
		wrong(t, "a pinned page has moved");
	worked(t, hf_unpin(t->s->m->phys, &span, 1), "unpin");
}

/* This thread writes nothing while it forks: the child has exactly what it knows. */
static void look_at_child(struct thread *t, struct hf_mm *child)
{
	struct hf_soft_cpu *cpu;

	if (hf_soft_cpu_create(soft_of(t->s->m), &cpu) != HF_OK) {
		wrong(t, "hf_soft_cpu_create");
		return;
	}
	hf_soft_switch(cpu, child);
	for (unsigned i = 0; i < 24; i++) {
		uint64_t page = below(t, COMMON_PAGES), value = 0;
		hf_va va = word_va(t, page);

		if (worked(t, hf_soft_load(cpu, va, 8, &value), "load in the child") &&
		    value != t->words[page] && value != ~t->words[page])
			wrong(t, "the child has other bytes than its parent had");
		if (i % 4 == 0)
			worked(t, hf_soft_store(cpu, va, 8, ~t->words[page]), "store in the child");
	}
	hf_soft_cpu_destroy(cpu);
}

static void fork_and_look(struct thread *t)
{
	enum hf_fork_policy policy = below(t, 4) ? HF_FORK_COPY : HF_FORK_SPLIT;
	struct hf_mm *child = calloc(1, sizeof(*child)), *grandchild = calloc(1, sizeof(*child));

	if (worked(t, hf_fork(t->s->mm, child, NULL, policy), "fork")) {
		t->forks++;
		look_at_child(t, child);
		if (worked(t, hf_fork(child, grandchild, NULL, policy), "fork of the child")) {
			hf_mm_destroy(child);
			look_at_child(t, grandchild);
			hf_mm_destroy(grandchild);
		} else {
			hf_mm_destroy(child);
		}
	}
	free(child);
	free(grandchild);
}

/* Pages of one's own */

static hf_va own_va(const struct thread *t, uint64_t page)
{
	return t->own + (page * THREADS + t->index) * PAGE;
}

static void change_own(struct thread *t)
{
	uint64_t page = below(t, OWN_PAGES);
	hf_va va = own_va(t, page);

	switch (below(t, 4)) {
	case 0:
		if (worked(t, hf_munmap(t->s->mm, va, PAGE), "munmap"))
			t->prot[page] = ~0u; /* no mapping */
		break;
	case 1:
		if (worked(t, hf_mmap(t->s->mm, &va, PAGE, RW, HF_MAP_FIXED), "mmap")) {
			t->prot[page] = RW;
			t->stored[page] = 0;
		}
		break;
	case 2:
		if (t->prot[page] != ~0u &&
		    worked(t, hf_mprotect(t->s->mm, va, PAGE, RO), "mprotect"))
			t->prot[page] = RO;
		break;
	default:
		if (t->prot[page] != ~0u &&
		    worked(t, hf_madvise(t->s->mm, va, PAGE, HF_ADV_DONTNEED), "madvise"))
			t->stored[page] = 0;
		break;
	}
}

static void use_own(struct thread *t)
{
	uint64_t page = below(t, OWN_PAGES), value = 0, next = t->stored[page] + 1;
	hf_va va = own_va(t, page);
	enum hf_status status = hf_soft_store(t->cpu, va, 8, next);

	if (t->prot[page] == RW && worked(t, status, "store to a page of one's own"))
		t->stored[page] = next;
	if ((t->prot[page] == RO && status != HF_ERR_ACCESS) ||
	    (t->prot[page] == ~0u && status != HF_ERR_UNMAPPED))
		wrong(t, "a store that the mapping forbids");
	status = hf_soft_load(t->cpu, va, 8, &value);
	if (t->prot[page] == ~0u ? status != HF_ERR_UNMAPPED
				 : worked(t, status, "load") && value != t->stored[page])
		wrong(t, "a page of one's own has other bytes");
}

/* Pages go to the store under whoever uses them. */
static void reclaim(struct thread *t)
{
	uint64_t done = 0;
	enum hf_status status = hf_reclaim(t->s->m->phys, 1 + below(t, 200), &done);

	if (status != HF_OK && status != HF_ERR_AGAIN && status != HF_ERR_INVAL)
		wrong(t, "hf_reclaim");
	t->reclaimed += done;
}

static void *run(void *arg)
{
	struct thread *t = arg;

	for (unsigned i = 0; i < t->operations && !t->wrong; i++) {
		switch (below(t, 16)) {
		case 0:
			if (below(t, 8) == 0)
				fork_and_look(t);
			else
				reclaim(t);
			break;
		case 1:
		case 2:
			pin_word(t);
			break;
		case 3:
		case 4:
			change_own(t);
			break;
		case 5:
		case 6:
			use_own(t);
			break;
		case 7:
		case 8:
		case 9:
			load_word(t);
			break;
		default:
			store_word(t);
			break;
		}
	}
	return NULL;
}

static void thread_begin(struct thread *t, struct space *s, hf_va common, hf_va own)
{
	t->s = s;
	t->common = common;
	t->own = own;
	t->random = 0x9e3779b97f4a7c15u * (t->index + 1);
	for (unsigned i = 0; i < OWN_PAGES; i++)
		t->prot[i] = RW;
	OK(hf_soft_cpu_create(soft_of(s->m), &t->cpu));
	hf_soft_switch(t->cpu, s->mm);
	OK(hf_soft_dma_create(soft_of(s->m), &t->dma));
	assert_int_equal(pthread_create(&t->id, NULL, run, t), 0);
}

static void thread_end(struct thread *t)
{
	pthread_join(t->id, NULL);
	hf_soft_dma_destroy(t->dma);
	hf_soft_cpu_destroy(t->cpu);
	if (t->wrong)
		fail_msg("thread %u: %s", t->index, t->wrong);
}

static void run_threads(struct machine *m, struct space *s, unsigned operations)
{
	hf_va common = map(s, 3 * PMD_SIZE, RW), own = map(s, THREADS * OWN_PAGES * PAGE, RW);
	struct thread *threads = calloc(THREADS, sizeof(*threads));

	SAME(common % PMD_SIZE, 0);
	OK(hf_madvise(s->mm, common, PMD_SIZE, HF_ADV_HUGEPAGE));
	OK(hf_madvise(s->mm, common + 2 * PMD_SIZE, PMD_SIZE, HF_ADV_HUGEPAGE));
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i].index = i;
		threads[i].operations = operations;
		thread_begin(&threads[i], s, common, own);
	}
	for (unsigned i = 0; i < THREADS; i++)
		thread_end(&threads[i]);
	CHECK(m);
	for (unsigned i = 0; i < THREADS; i++) {
		for (uint64_t page = 0; page < COMMON_PAGES; page++)
			SAME(get(s, word_va(&threads[i], page)), threads[i].words[page]);
		assert_true(threads[i].forks && threads[i].pins);
	}
	free(threads);
}

#define OPERATIONS 6000

static void threads_share_a_space(void **state)
{
	run_threads(*state, space_new(*state), OPERATIONS);
}

static void threads_share_a_space_and_copy_small(void **state)
{
	run_threads(*state, space_new_of(*state, SPACE_LEN, HF_HUGE_COW_SMALL), OPERATIONS);
}

/* The disk has one thread's requests at a time, as its counters want. */
static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;

static bool locked_read(void *host, uint64_t slot, void *page)
{
	bool ok;

	pthread_mutex_lock(&disk_lock);
	ok = disk_read(host, slot, page);
	pthread_mutex_unlock(&disk_lock);
	return ok;
}

static bool locked_write(void *host, uint64_t slot, const void *page)
{
	bool ok;

	pthread_mutex_lock(&disk_lock);
	ok = disk_write(host, slot, page);
	pthread_mutex_unlock(&disk_lock);
	return ok;
}

static void threads_share_a_space_that_is_paged_out(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, 16384);
	struct hf_swap_stats stats;

	d->store.read = locked_read;
	d->store.write = locked_write;
	run_threads(m, space_new(m), OPERATIONS);
	hf_swap_stats(m->phys, &stats);
	assert_true(stats.outs && stats.ins);
	disk_off(m, d);
}

/* Until the store is gone. */
static void *reclaim_all(void *arg)
{
	struct thread *t = arg;
	struct hf_mm *mm = t->s->mm;
	enum hf_status status = HF_OK;
	uint64_t done;

	for (bool out = t->index; status != HF_ERR_INVAL && !t->wrong; out = !out) {
		status = out ? hf_madvise(mm, t->common, COMMON_PAGES * PAGE, HF_ADV_PAGEOUT)
			     : hf_reclaim(mm->phys, COMMON_PAGES, &done);
		if (status != HF_OK && status != HF_ERR_AGAIN && status != HF_ERR_INVAL)
			wrong(t, "reclaim beside the end of the store");
	}
	return NULL;
}

static void the_store_ends_beside_reclaim(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, COMMON_PAGES, 1);
	struct hf_swap_stats stats;

	for (unsigned round = 0; round < 40; round++) {
		struct disk *d = disk_on(m, 2 * COMMON_PAGES);
		struct thread t = { .s = s, .common = va, .index = round % 2 };

		assert_int_equal(pthread_create(&t.id, NULL, reclaim_all, &t), 0);
		do {
			hf_swap_stats(m->phys, &stats);
		} while (stats.outs < 100 * (round % 8));
		OK(hf_swap_off(m->phys));
		assert_int_equal(pthread_join(t.id, NULL), 0);
		if (t.wrong)
			fail_msg("%s", t.wrong);
		disk_off(m, d);
		FILLED(s, va, COMMON_PAGES * PAGE, 1);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(threads_share_a_space_that_is_paged_out),
		TEST(the_store_ends_beside_reclaim),
		TEST(threads_share_a_space),
		TEST(threads_share_a_space_and_copy_small),
	};

	return run_group("threads", tests, argc, argv);
}
