/* SPDX-License-Identifier: MIT */
/*
 * A store that does not answer, and threads that do not need it. It is the order that decides, never a
 * time: the store goes on when the test lets it, so who waits for it without need hangs, and the
 * test's runner sees that. And everything at once beside the end of the store.
 *
 * Sources: this file and, of tests/port, common.c disk.c state.c port_soft.c.
 */
#include <pthread.h>
#include <semaphore.h>

#include "disk.h"
#include "port_soft.h"

#define PAGES 64

/* The first call of the store stops until the test says `go`. Others do not. */
static struct {
	sem_t reached, go;
	bool set;
	pthread_mutex_t lock; /* of the disk, whose counters want one call at a time */
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void pass_gate(void)
{
	if (!__atomic_exchange_n(&gate.set, false, __ATOMIC_ACQ_REL))
		return;
	sem_post(&gate.reached);
	sem_wait(&gate.go);
}

static bool gated_read(void *host, uint64_t slot, void *page)
{
	bool ok;

	pass_gate();
	pthread_mutex_lock(&gate.lock);
	ok = disk_read(host, slot, page);
	pthread_mutex_unlock(&gate.lock);
	return ok;
}

static bool gated_write(void *host, uint64_t slot, const void *page)
{
	bool ok;

	pass_gate();
	pthread_mutex_lock(&gate.lock);
	ok = disk_write(host, slot, page);
	pthread_mutex_unlock(&gate.lock);
	return ok;
}

static struct disk *gated_disk_on(struct machine *m)
{
	struct disk *d = disk_on(m, 4096);

	d->store.read = gated_read;
	d->store.write = gated_write;
	return d;
}

/* A thread that makes one call, which stops in the store. */
struct caller {
	pthread_t id;
	struct machine *m;
	struct space *s;
	hf_va va;
	enum hf_status st;
	bool over;
};

static void begin(struct caller *c, void *(*run)(void *), struct space *s, hf_va va, bool stops)
{
	*c = (struct caller){ .m = s->m, .s = s, .va = va };
	if (stops) {
		sem_init(&gate.reached, 0, 0);
		sem_init(&gate.go, 0, 0);
		__atomic_store_n(&gate.set, true, __ATOMIC_RELEASE);
	}
	assert_int_equal(pthread_create(&c->id, NULL, run, c), 0);
	if (stops)
		sem_wait(&gate.reached);
}

static void *over(struct caller *c, enum hf_status st)
{
	c->st = st;
	__atomic_store_n(&c->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void end(struct caller *c)
{
	assert_int_equal(pthread_join(c->id, NULL), 0);
	OK(c->st);
}

static void *pages_out(void *arg)
{
	struct caller *c = arg;

	return over(c, hf_madvise(c->s->mm, c->va, PAGES * PAGE, HF_ADV_PAGEOUT));
}

static void *faults(void *arg)
{
	struct caller *c = arg;

	return over(c, hf_fault(c->s->mm, c->va, HF_ACCESS_WRITE, NULL));
}

static void *ends_store(void *arg)
{
	struct caller *c = arg;

	return over(c, hf_swap_off(c->m->phys));
}

/* What needs nothing of the store, in the space that waits for it and in another. */
static void others_go_on(struct space *s, struct space *other)
{
	struct machine *m = s->m;
	struct space *both[] = { s, other };

	for (unsigned i = 0; i < 2; i++) {
		struct space *p = both[i], *c;
		hf_va va = map_filled(p, HF_LEVEL_PTE, 8, 5), to = map(p, 8 * PAGE, RW);
		hf_va shared = 0;
		struct pin pin;
		uint64_t word = 7;

		OK(hf_mmap(p->mm, &shared, 4 * PAGE, RW, HF_MAP_SHARED));
		put(p, shared, 1);
		pin_range(p, va, 2 * PAGE, HF_PIN_WRITE, &pin);
		c = fork_space(p, HF_FORK_COPY);
		put(c, va, 3);
		SAME(get(p, va), stamp(5, va));
		unpin(m, &pin);
		OK(hf_write(p->mm, to, &word, 8));
		OK(hf_read(c->mm, va, &word, 8));
		SAME(word, 3);
		OK(hf_copy(p->mm, to, c->mm, va, 8 * PAGE));
		SAME(get(p, to), 3);
		OK(hf_mprotect(p->mm, va, PAGE, RO));
		OK(hf_mlock(p->mm, to, PAGE, 0));
		OK(hf_munmap(p->mm, to, 8 * PAGE));
		space_end(c);
		OK(hf_munmap(p->mm, va, 8 * PAGE));
		OK(hf_munmap(p->mm, shared, 4 * PAGE));
	}
	space_end(space_new(m));
	assert_true(free_bytes(m) > 0);
	CHECK(m);
}

static void nobody_waits_for_a_write(void **state)
{
	struct machine *m = *state;
	struct disk *d = gated_disk_on(m);
	struct space *s = space_new(m), *other = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, PAGES, 1);
	hf_va apart = map_filled(other, HF_LEVEL_PTE, PAGES, 2);
	struct caller out;
	uint64_t done;

	begin(&out, pages_out, s, va, true);
	others_go_on(s, other);
	put(s, va, 9); /* which is being written */
	/* Another one reclaims, and what it writes is written. */
	OK(hf_madvise(other->mm, apart, PAGES * PAGE, HF_ADV_PAGEOUT));
	SAME(pages_swapped(other), PAGES);
	OK(hf_reclaim(m->phys, 1, &done));
	assert_false(__atomic_load_n(&out.over, __ATOMIC_ACQUIRE));
	sem_post(&gate.go);
	end(&out);
	CHECK(m);
	SAME(get(s, va), 9);
	FILLED(s, va + PAGE, (PAGES - 1) * PAGE, 1);
	FILLED(other, apart, PAGES * PAGE, 2);
	disk_off(m, d);
}

static void nobody_waits_for_a_read(void **state)
{
	struct machine *m = *state;
	struct disk *d = gated_disk_on(m);
	struct space *s = space_new(m), *other = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, PAGES, 1);
	struct caller in;

	OK(hf_madvise(s->mm, va, PAGES * PAGE, HF_ADV_PAGEOUT));
	SAME(pages_swapped(s), PAGES);
	begin(&in, faults, s, va, true);
	others_go_on(s, other);
	FILLED(s, va + PAGE, (PAGES - 1) * PAGE, 1); /* other pages of the store */
	assert_false(__atomic_load_n(&in.over, __ATOMIC_ACQUIRE));
	sem_post(&gate.go);
	end(&in);
	CHECK(m);
	FILLED(s, va, PAGES * PAGE, 1);
	disk_off(m, d);
}

/* The port, which tells when somebody waits for the store's calls to end. */
static struct {
	struct hf_port port;
	const struct hf_port *real;
	const struct hf_phys *phys;
	sem_t waits;
	bool told;
} listener;

static void tell_and_wait(void *host, const uint32_t *word, uint32_t value)
{
	if (word == &listener.phys->store_calls && !listener.told) {
		listener.told = true;
		sem_post(&listener.waits);
	}
	listener.real->wait(host, word, value);
}

static void listen(struct machine *m)
{
	listener.phys = m->phys;
	listener.real = m->phys->port;
	listener.port = *listener.real;
	listener.port.wait = tell_and_wait;
	listener.told = false;
	sem_init(&listener.waits, 0, 0);
	m->phys->port = &listener.port;
}

/* It waits for the write; the others wait for neither. */
static void the_end_of_the_store_waits_for_a_write(void **state)
{
	struct machine *m = *state;
	struct disk *d = gated_disk_on(m);
	struct space *s = space_new(m), *other = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, PAGES, 1);
	struct caller out, off;
	struct hf_swap_stats stats;

	listen(m);
	begin(&out, pages_out, s, va, true);
	begin(&off, ends_store, s, va, false);
	sem_wait(&listener.waits);
	others_go_on(s, other);
	hf_swap_stats(m->phys, &stats);
	assert_true(stats.used > 0); /* by the write, so the store is still there */
	assert_false(__atomic_load_n(&off.over, __ATOMIC_ACQUIRE));
	sem_post(&gate.go);
	assert_int_equal(pthread_join(out.id, NULL), 0);
	assert_true(out.st == HF_OK || out.st == HF_ERR_INVAL);
	end(&off);
	m->phys->port = listener.real;
	CHECK(m);
	FILLED(s, va, PAGES * PAGE, 1);
	disk_off(m, d);
}

static void nobody_waits_for_the_end_of_the_store(void **state)
{
	struct machine *m = *state;
	struct disk *d = gated_disk_on(m);
	struct space *s = space_new(m), *other = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, PAGES, 1);
	struct caller off;

	OK(hf_madvise(s->mm, va, PAGES * PAGE, HF_ADV_PAGEOUT));
	begin(&off, ends_store, s, va, true);
	others_go_on(s, other);
	FILLED(s, va + 8 * PAGE, (PAGES - 8) * PAGE, 1);
	assert_false(__atomic_load_n(&off.over, __ATOMIC_ACQUIRE));
	sem_post(&gate.go);
	end(&off);
	CHECK(m);
	FILLED(s, va, PAGES * PAGE, 1);
	disk_off(m, d);
}

/* Everything at once */

#define WORKERS 3
#define ROUNDS 30

struct worker {
	pthread_t id;
	unsigned index;
	struct space *s;
	hf_va va;
	uint64_t seed; /* of what its own words are */
	const bool *stop;
	const char *wrong;
};

static hf_va word(const struct worker *w, uint64_t page)
{
	return w->va + page * PAGE + w->index * 64;
}

/* What a worker has written, in this space or in a child of it. */
static bool same(struct worker *w, struct hf_mm *mm)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t seen = 0;

		if (hf_read(mm, word(w, page), &seen, 8) != HF_OK || seen != w->seed + page)
			return false;
	}
	return true;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct hf_mm *mm = w->s->mm, child;
	uint64_t done;

	while (!w->wrong && !__atomic_load_n(w->stop, __ATOMIC_ACQUIRE)) {
		w->seed += 1000;
		for (uint64_t page = 0; page < PAGES; page++) {
			uint64_t value = w->seed + page;

			if (hf_write(mm, word(w, page), &value, 8) != HF_OK)
				w->wrong = "hf_write";
		}
		if (w->index == 1)
			hf_madvise(mm, w->va, PAGES * PAGE, HF_ADV_PAGEOUT);
		else
			hf_reclaim(mm->phys, PAGES / 2, &done);
		if (!same(w, mm))
			w->wrong = "other words than were written";
		if (hf_fork(mm, &child, NULL, HF_FORK_COPY) != HF_OK) {
			w->wrong = "hf_fork";
			break;
		}
		hf_reclaim(mm->phys, PAGES, &done);
		if (!same(w, &child))
			w->wrong = "other words in the child than its parent had";
		hf_mm_destroy(&child);
	}
	return NULL;
}

static void everything_beside_the_end_of_the_store(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, PAGES, 1);
	static struct worker workers[WORKERS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct disk *d = gated_disk_on(m);
		struct hf_swap_stats stats;
		bool stop = false;

		for (unsigned i = 0; i < WORKERS; i++) {
			workers[i] =
				(struct worker){ .index = i + 1, .s = s, .va = va, .stop = &stop };
			assert_int_equal(pthread_create(&workers[i].id, NULL, work, &workers[i]),
					 0);
		}
		do {
			hf_swap_stats(m->phys, &stats);
		} while (stats.outs < 50 * (1 + round % 8));
		OK(hf_swap_off(m->phys));
		__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
		for (unsigned i = 0; i < WORKERS; i++) {
			assert_int_equal(pthread_join(workers[i].id, NULL), 0);
			if (workers[i].wrong)
				fail_msg("round %u: %s", round, workers[i].wrong);
		}
		disk_off(m, d);
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(nobody_waits_for_a_write),
		TEST(nobody_waits_for_a_read),
		TEST(the_end_of_the_store_waits_for_a_write),
		TEST(nobody_waits_for_the_end_of_the_store),
		TEST(everything_beside_the_end_of_the_store),
	};

	return run_group("store", tests, argc, argv);
}
