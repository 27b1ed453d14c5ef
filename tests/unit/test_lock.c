/* SPDX-License-Identifier: MIT */
/*
 * Locks, with a port that lets threads sleep (futex(2)) and with one that lets them spin:
 * the locks by themselves; who waits for whom, step by step; and four threads at once on a
 * space and its siblings. Meant for ThreadSanitizer as well.
 */
#define _GNU_SOURCE
#include "unit.h"

#include "lib/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4

/*
 * A place where one thread is held up inside of a call, with its locks taken, until others
 * are known to wait for them.
 */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool armed;	 /* hold the next thread that comes by */
	bool held;	 /* one is there */
	unsigned passed; /* threads that have come by since it was armed: their order */
};

struct host {
	struct hf_port port;
	struct memory *m;
	struct gate gate;
};

/* One call in a thread of its own. */
struct task {
	pthread_t thread;
	struct host *h;
	struct hf_mm *mm;
	hf_va va;
	void (*call)(struct task *t);
	/* Under the gate's mutex: */
	bool done;
	unsigned waited; /* calls of wait or pause */
	unsigned order;	 /* how many had come by the gate when it was done */

	enum hf_status status;
	struct hf_mm child;
};

/* The task that a thread runs: wait and pause are not told who asks. */
static _Thread_local struct task *current;

/* ---- The port ---- */

static void note_waiting(struct gate *g)
{
	if (!current)
		return;
	pthread_mutex_lock(&g->mutex);
	current->waited++;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mutex);
}

static void futex_wait(void *host, const uint32_t *word, uint32_t value)
{
	struct host *h = host;

	note_waiting(&h->gate);
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(void *host, const uint32_t *word)
{
	(void)host;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void yielding_pause(void *host)
{
	struct host *h = host;

	note_waiting(&h->gate);
	sched_yield();
}

/* Come by: the first one after the gate was armed is held. */
static void come_by(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	g->passed++;
	if (g->armed) {
		g->armed = false;
		g->held = true;
		pthread_cond_broadcast(&g->changed);
		while (g->held)
			pthread_cond_wait(&g->changed, &g->mutex);
	}
	pthread_mutex_unlock(&g->mutex);
}

static void flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	struct host *h = host;

	(void)mm;
	(void)va;
	(void)len;
	(void)what;
	come_by(&h->gate);
}

static void discard(void *host, hf_pa pa, uint64_t len)
{
	struct host *h = host;

	memset(hf_phys_ptr(&h->m->phys, pa), 0, len);
	come_by(&h->gate);
}

static struct host *host_new(bool sleeps)
{
	struct host *h = calloc(1, sizeof(*h));

	h->port = quiet_port;
	h->port.flush = flush;
	h->port.discard = discard;
	if (sleeps) {
		h->port.wait = futex_wait;
		h->port.wake = futex_wake;
	} else {
		h->port.pause = yielding_pause;
	}
	pthread_mutex_init(&h->gate.mutex, NULL);
	pthread_cond_init(&h->gate.changed, NULL);
	h->m = memory_of(32 * MIB, &h->port, h);
	return h;
}

static void host_end(struct host *h)
{
	memory_end(h->m);
	pthread_cond_destroy(&h->gate.changed);
	pthread_mutex_destroy(&h->gate.mutex);
	free(h);
}

/* Run `body` with a host whose threads sleep, and with one whose threads spin. */
static void with_both(void (*body)(struct host *h))
{
	for (unsigned sleeps = 0; sleeps < 2; sleeps++) {
		struct host *h = host_new(sleeps);

		body(h);
		host_end(h);
	}
}

#define WITH_BOTH(name)                    \
	static void name(void **state)     \
	{                                  \
		(void)state;               \
		with_both(body_of_##name); \
	}

/* ---- The locks by themselves ---- */

#define ROUNDS 20000

struct counted {
	struct host *h;
	struct hf_lock lock;
	struct hf_rwlock rw;
	uint64_t under_lock, left, right; /* left == right, but while a writer is inside */
};

struct counter {
	pthread_t thread;
	struct counted *c;
	unsigned index, torn;
};

static void *count_under_lock(void *arg)
{
	struct counter *t = arg;
	struct counted *c = t->c;

	for (unsigned i = 0; i < ROUNDS; i++) {
		hf_acquire(&c->h->m->phys, &c->lock);
		c->under_lock++;
		hf_release(&c->h->m->phys, &c->lock);
	}
	return NULL;
}

/* One in eight writes; readers must never see it half done. */
static void *read_and_write(void *arg)
{
	struct counter *t = arg;
	struct counted *c = t->c;
	const struct hf_phys *phys = &c->h->m->phys;

	for (unsigned i = 0; i < ROUNDS; i++) {
		if ((i + t->index) % 8 == 0) {
			hf_acquire_exclusive(phys, &c->rw);
			c->left++;
			if (i % 64 == 0)
				sched_yield();
			c->right++;
			hf_release_exclusive(phys, &c->rw);
		} else {
			uint64_t left;

			hf_acquire_shared(phys, &c->rw);
			left = c->left;
			if (i % 64 == 1)
				sched_yield();
			t->torn += left != c->right;
			hf_release_shared(phys, &c->rw);
		}
	}
	return NULL;
}

static void run_counters(struct counted *c, void *(*body)(void *))
{
	struct counter counters[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		counters[i] = (struct counter){ .c = c, .index = i };
		pthread_create(&counters[i].thread, NULL, body, &counters[i]);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(counters[i].thread, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		SAME(counters[i].torn, 0);
}

static void body_of_one_at_a_time(struct host *h)
{
	struct counted c = { .h = h };

	run_counters(&c, count_under_lock);
	SAME(c.under_lock, THREADS * ROUNDS);
	SAME(c.lock.word, 0);
}
WITH_BOTH(one_at_a_time)

static void body_of_many_readers_or_one_writer(struct host *h)
{
	struct counted c = { .h = h };

	run_counters(&c, read_and_write);
	SAME(c.left, THREADS * ROUNDS / 8);
	SAME(c.right, c.left);
	SAME(c.rw.state, 0);
	SAME(c.rw.writers.word, 0);
}
WITH_BOTH(many_readers_or_one_writer)

/* ---- Who waits for whom ---- */

static void *task_run(void *arg)
{
	struct task *t = arg;
	struct gate *g = &t->h->gate;

	current = t;
	t->call(t);
	pthread_mutex_lock(&g->mutex);
	t->done = true;
	t->order = g->passed;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mutex);
	return NULL;
}

static void task_start(struct task *t, struct host *h, struct hf_mm *mm, hf_va va,
		       void (*call)(struct task *))
{
	*t = (struct task){ .h = h, .mm = mm, .va = va, .call = call };
	pthread_create(&t->thread, NULL, task_run, t);
}

static void task_end(struct task *t)
{
	pthread_join(t->thread, NULL);
	assert_true(t->done);
	SAME(t->status, HF_OK);
}

static void call_write(struct task *t)
{
	t->status = hf_fault(t->mm, t->va, HF_ACCESS_WRITE, NULL);
}

static void call_fork(struct task *t)
{
	t->status = hf_fork(t->mm, &t->child, NULL, HF_FORK_COPY);
}

static void call_mprotect(struct task *t)
{
	t->status = hf_mprotect(t->mm, t->va, PAGE, RO);
}

static void call_trim(struct task *t)
{
	hf_phys_trim(&t->h->m->phys, 0);
}

static void call_alloc(struct task *t)
{
	hf_pa pa;

	t->status = hf_phys_alloc(&t->h->m->phys, 0, &pa);
	if (t->status == HF_OK)
		t->status = hf_phys_free(&t->h->m->phys, pa, 0);
}

/*
 * Wait for something that only changes under the gate's mutex. Says what does not happen, once, and
 * goes on waiting: on a busy machine it may happen yet.
 */
static void until(struct gate *g, bool (*holds)(const void *), const void *what, const char *if_not)
{
	bool told = false;

	pthread_mutex_lock(&g->mutex);
	while (!holds(what)) {
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_sec += 5;
		if (!pthread_cond_timedwait(&g->changed, &g->mutex, &t) || told)
			continue;
		print_message("so far, %s\n", if_not);
		told = true;
	}
	pthread_mutex_unlock(&g->mutex);
}

static bool one_is_held(const void *gate)
{
	const struct gate *g = gate;

	return g->held;
}

static bool has_ended(const void *task)
{
	const struct task *t = task;

	return t->done;
}

/* Asleep, or spinning for longer than any lock is held that nobody is held up with. */
static bool waits(const void *task)
{
	const struct task *t = task;

	return t->waited >= (t->h->port.wait ? 1 : 1000);
}

static void arm(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	g->armed = true;
	g->passed = 0;
	pthread_mutex_unlock(&g->mutex);
}

static bool is_done(struct task *t)
{
	bool done;

	pthread_mutex_lock(&t->h->gate.mutex);
	done = t->done;
	pthread_mutex_unlock(&t->h->gate.mutex);
	return done;
}

static void open_gate(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	g->held = false;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mutex);
}

/*
 * Where there is a wait, it is called once or, woken without cause, a few times; not over and over.
 */
static void expect_sleep(struct task *t)
{
	struct gate *g = &t->h->gate;
	unsigned waited;

	if (!t->h->port.wait)
		return;
	usleep(10000);
	pthread_mutex_lock(&g->mutex);
	waited = t->waited;
	pthread_mutex_unlock(&g->mutex);
	assert_in_range(waited, 1, 10);
}

/* The first call is held with its locks taken; the second has to wait for it. */
static void expect_to_wait(struct task *first, struct task *second)
{
	struct gate *g = &first->h->gate;

	until(g, one_is_held, g, "the first call does not come by");
	pthread_create(&second->thread, NULL, task_run, second);
	until(g, waits, second, "the second call does not wait");
	expect_sleep(second);
	assert_false(is_done(second));
	open_gate(g);
	task_end(first);
	task_end(second);
}

/* A space with two pages written in each of two tables, and a child that shares them. */
struct family {
	struct hf_mm *parent, *child;
	hf_va near, far;
};

static struct family family_new(struct host *h)
{
	struct family f = { .parent = space_new(h->m) };

	f.near = map(f.parent, 3 * PMD_SIZE);
	f.far = f.near + 2 * PMD_SIZE;
	for (unsigned i = 0; i < 2; i++) {
		put(f.parent, f.near + i * PAGE, i);
		put(f.parent, f.far + i * PAGE, i);
	}
	f.child = space_fork(f.parent, HF_FORK_COPY);
	/* The child's tables become its own, its pages stay shared. */
	put(f.child, f.near + 2 * PAGE, 2);
	put(f.child, f.far + 2 * PAGE, 2);
	return f;
}

static void family_end(struct family *f)
{
	CHECK(f->parent->phys);
	space_end(f->child);
	space_end(f->parent);
}

static struct task task_of(struct host *h, struct hf_mm *mm, hf_va va, void (*call)(struct task *))
{
	return (struct task){ .h = h, .mm = mm, .va = va, .call = call };
}

static void body_of_a_fault_waits_for_a_fork(struct host *h)
{
	struct family f = family_new(h);
	struct task fork, fault = task_of(h, f.child, f.near, call_write);

	arm(&h->gate);
	task_start(&fork, h, f.child, 0, call_fork);
	expect_to_wait(&fork, &fault);
	hf_mm_destroy(&fork.child);
	family_end(&f);
}
WITH_BOTH(a_fault_waits_for_a_fork)

static void body_of_a_fork_waits_for_a_fault(struct host *h)
{
	struct family f = family_new(h);
	struct task fault, fork = task_of(h, f.child, 0, call_fork);

	arm(&h->gate);
	task_start(&fault, h, f.child, f.near, call_write);
	expect_to_wait(&fault, &fork);
	hf_mm_destroy(&fork.child);
	family_end(&f);
}
WITH_BOTH(a_fork_waits_for_a_fault)

static void body_of_faults_in_one_table_wait_for_each_other(struct host *h)
{
	struct family f = family_new(h);
	struct task first, second = task_of(h, f.child, f.near + PAGE, call_write);

	arm(&h->gate);
	task_start(&first, h, f.child, f.near, call_write);
	expect_to_wait(&first, &second);
	family_end(&f);
}
WITH_BOTH(faults_in_one_table_wait_for_each_other)

static void fill(void *host, struct hf_mm *mm, hf_va va, uint64_t len,
		 const struct hf_translation *t)
{
	struct host *h = host;

	(void)mm;
	(void)va;
	(void)len;
	(void)t;
	come_by(&h->gate);
}

static void call_read(struct task *t)
{
	t->status = hf_fault(t->mm, t->va, HF_ACCESS_READ, NULL);
}

/*
 * A port that is being told of a page must not hear of it after the page has been replaced and
 * flushed: also where the table it was found in is shared, and replaced first.
 */
static void body_of_a_writer_waits_for_the_fill_of_a_reader(struct host *h)
{
	struct hf_mm *parent = space_new(h->m), *child;
	hf_va va = map(parent, PAGE);
	struct task reader, writer;

	put(parent, va, 1);
	child = space_fork(parent, HF_FORK_COPY);
	writer = task_of(h, child, va, call_write);
	h->port.fill = fill;
	arm(&h->gate);
	task_start(&reader, h, child, va, call_read);
	expect_to_wait(&reader, &writer);
	space_end(child);
	space_end(parent);
}
WITH_BOTH(a_writer_waits_for_the_fill_of_a_reader)

static void body_of_faults_in_two_tables_do_not_wait(struct host *h)
{
	struct family f = family_new(h);
	struct task first, second;

	arm(&h->gate);
	task_start(&first, h, f.child, f.near, call_write);
	until(&h->gate, one_is_held, &h->gate, "the first fault does not come by");
	task_start(&second, h, f.child, f.far, call_write);
	until(&h->gate, has_ended, &second, "a fault waits for one in another table");
	assert_false(is_done(&first));
	open_gate(&h->gate);
	task_end(&first);
	task_end(&second);
	family_end(&f);
}
WITH_BOTH(faults_in_two_tables_do_not_wait)

static void body_of_siblings_do_not_wait_for_each_other(struct host *h)
{
	struct family f = family_new(h);
	struct task first, second;

	arm(&h->gate);
	task_start(&first, h, f.child, 0, call_fork);
	until(&h->gate, one_is_held, &h->gate, "the fork does not come by");
	task_start(&second, h, f.parent, f.near, call_write);
	until(&h->gate, has_ended, &second, "a fault waits for a fork of another space");
	assert_false(is_done(&first));
	open_gate(&h->gate);
	task_end(&first);
	task_end(&second);
	hf_mm_destroy(&first.child);
	family_end(&f);
}
WITH_BOTH(siblings_do_not_wait_for_each_other)

/* The host takes its time to give memory back; everything else goes on. */
static void body_of_nobody_waits_for_a_trim(struct host *h)
{
	struct family f = family_new(h);
	struct task trim, alloc, fault;

	arm(&h->gate);
	task_start(&trim, h, NULL, 0, call_trim);
	until(&h->gate, one_is_held, &h->gate, "the trim does not come by");
	task_start(&alloc, h, NULL, 0, call_alloc);
	until(&h->gate, has_ended, &alloc, "an allocation waits for a trim");
	task_start(&fault, h, f.child, f.near, call_write);
	until(&h->gate, has_ended, &fault, "a fault waits for a trim");
	assert_false(is_done(&trim));
	open_gate(&h->gate);
	task_end(&trim);
	task_end(&alloc);
	task_end(&fault);
	family_end(&f);
}
WITH_BOTH(nobody_waits_for_a_trim)

/* A reader that comes when a writer waits already does not overtake it, or it would starve. */
static void body_of_a_waiting_writer_is_not_overtaken(struct host *h)
{
	struct family f = family_new(h);
	struct task reader, writer, late;

	arm(&h->gate);
	task_start(&reader, h, f.child, f.near, call_write);
	until(&h->gate, one_is_held, &h->gate, "the first fault does not come by");
	task_start(&writer, h, f.child, f.far + 2 * PAGE, call_mprotect);
	until(&h->gate, waits, &writer, "mprotect does not wait");
	task_start(&late, h, f.child, f.far, call_write);
	until(&h->gate, waits, &late, "the late fault does not wait");
	assert_false(is_done(&late));
	assert_false(is_done(&writer));
	open_gate(&h->gate);
	task_end(&reader);
	task_end(&writer);
	task_end(&late);
	/* Flushes: the reader's, the writer's, the late one's. */
	SAME(late.order, 3);
	assert_in_range(writer.order, 2, 3);
	family_end(&f);
}
WITH_BOTH(a_waiting_writer_is_not_overtaken)

/* ---- Four threads at random, on three spaces that share ---- */

#define SPACES 3
#define SLOTS 160 /* pages of each thread in each space; neighbours belong to others */
#define STEPS 20000

struct storm;

struct worker {
	pthread_t thread;
	struct storm *storm;
	unsigned index;
	uint64_t seed;
	uint64_t word[SPACES][SLOTS]; /* what must be there */
	const char *wrong;	      /* the first thing that was */
	unsigned forks, shortages;
};

struct storm {
	struct host *h;
	struct hf_mm *mm[SPACES];
	hf_va va;
	struct worker workers[THREADS];
};

static void wrong(struct worker *w, const char *what)
{
	if (!w->wrong)
		w->wrong = what;
}

/* Only memory may be short. */
static bool worked(struct worker *w, enum hf_status status, const char *what)
{
	if (status == HF_ERR_NOMEM)
		w->shortages++;
	else if (status != HF_OK)
		wrong(w, what);
	return status == HF_OK;
}

static hf_va slot_va(const struct worker *w, unsigned slot)
{
	return w->storm->va + (slot * THREADS + w->index) * PAGE;
}

static void expect_word(struct worker *w, struct hf_mm *mm, unsigned slot, uint64_t want,
			const char *what)
{
	uint64_t got = ~want;

	if (hf_read(mm, slot_va(w, slot), &got, sizeof(got)) != HF_OK || got != want)
		wrong(w, what);
}

static void write_slot(struct worker *w, unsigned space, unsigned slot)
{
	uint64_t value = next_random(&w->seed);

	if (worked(w, hf_write(w->storm->mm[space], slot_va(w, slot), &value, sizeof(value)),
		   "write"))
		w->word[space][slot] = value;
}

static void drop_slot(struct worker *w, unsigned space, unsigned slot)
{
	struct hf_mm *mm = w->storm->mm[space];
	hf_va va = slot_va(w, slot);
	bool remap = next_random(&w->seed) % 2;

	if (remap ? worked(w, hf_mmap(mm, &va, PAGE, RW, HF_MAP_FIXED), "mmap")
		  : worked(w, hf_madvise(mm, va, PAGE, HF_ADV_DONTNEED), "DONTNEED"))
		w->word[space][slot] = 0;
}

/* Read-only and back: in between the word can be read and not written. */
static void protect_slot(struct worker *w, unsigned space, unsigned slot)
{
	struct hf_mm *mm = w->storm->mm[space];
	hf_va va = slot_va(w, slot);

	if (!worked(w, hf_mprotect(mm, va, PAGE, RO), "mprotect"))
		return;
	expect_word(w, mm, slot, w->word[space][slot], "word after mprotect");
	if (hf_write(mm, va, &va, sizeof(va)) != HF_ERR_ACCESS)
		wrong(w, "write to a read-only page");
	while (!worked(w, hf_mprotect(mm, va, PAGE, RW), "mprotect back") && !w->wrong)
		sched_yield();
}

/* While it is pinned the page stays, whoever forks meanwhile. */
static void pin_slot(struct worker *w, unsigned space, unsigned slot)
{
	struct hf_mm *mm = w->storm->mm[space];
	struct hf_translation t;
	struct hf_span span;
	size_t count;

	if (!worked(w, hf_pin(mm, slot_va(w, slot), 8, HF_PIN_WRITE, &span, 1, &count), "pin"))
		return;
	for (unsigned i = 0; i < 4; i++) {
		write_slot(w, space, slot);
		if (hf_translate(mm, slot_va(w, slot), &t) != HF_OK ||
		    t.pa.v + (slot_va(w, slot) - t.va) != span.pa.v)
			wrong(w, "a pinned page has moved");
		sched_yield();
	}
	if (hf_unpin(&w->storm->h->m->phys, &span, 1) != HF_OK)
		wrong(w, "unpin");
}

/* The child has this thread's words, and what it does to them stays its own. */
static void fork_space(struct worker *w, unsigned space)
{
	enum hf_fork_policy policy = w->seed & 64 ? HF_FORK_COPY : HF_FORK_SPLIT;
	struct hf_mm child;
	uint64_t mark = 1;

	if (!worked(w, hf_fork(w->storm->mm[space], &child, NULL, policy), "fork"))
		return;
	w->forks++;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		expect_word(w, &child, slot, w->word[space][slot], "word in a child");
	worked(w, hf_write(&child, slot_va(w, 5), &mark, sizeof(mark)), "write in a child");
	expect_word(w, w->storm->mm[space], 5, w->word[space][5], "a child's write shows");
	hf_mm_destroy(&child);
}

/* From one space to another, so that both are locked. */
static void copy_slot(struct worker *w, unsigned space, unsigned slot)
{
	unsigned from = (space + 1) % SPACES;

	if (worked(w,
		   hf_copy(w->storm->mm[space], slot_va(w, slot), w->storm->mm[from],
			   slot_va(w, slot), sizeof(uint64_t)),
		   "copy"))
		w->word[space][slot] = w->word[from][slot];
}

static void step(struct worker *w)
{
	unsigned space = (unsigned)(next_random(&w->seed) % SPACES);
	unsigned slot = (unsigned)(next_random(&w->seed) % SLOTS);
	uint64_t dice = next_random(&w->seed) % 100;

	if (dice < 40)
		write_slot(w, space, slot);
	else if (dice < 60)
		expect_word(w, w->storm->mm[space], slot, w->word[space][slot], "word");
	else if (dice < 70)
		drop_slot(w, space, slot);
	else if (dice < 80)
		pin_slot(w, space, slot);
	else if (dice < 88)
		protect_slot(w, space, slot);
	else if (dice < 96)
		copy_slot(w, space, slot);
	else
		fork_space(w, space);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < STEPS && !w->wrong; i++)
		step(w);
	return NULL;
}

static void storm_begin(struct storm *s, struct host *h)
{
	s->h = h;
	s->mm[0] = space_new(h->m);
	s->va = map(s->mm[0], SLOTS * THREADS * PAGE);
	for (unsigned i = 1; i < SPACES; i++)
		s->mm[i] = space_fork(s->mm[0], HF_FORK_COPY);
	for (unsigned i = 0; i < THREADS; i++) {
		s->workers[i] = (struct worker){ .storm = s, .index = i, .seed = 1000 + i };
		pthread_create(&s->workers[i].thread, NULL, work, &s->workers[i]);
	}
}

static void body_of_four_threads_on_three_spaces(struct host *h)
{
	struct storm *s = calloc(1, sizeof(*s));
	uint64_t before = free_bytes(h->m);

	storm_begin(s, h);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(s->workers[i].thread, NULL);
	CHECK(&h->m->phys);
	for (unsigned i = 0; i < THREADS; i++) {
		struct worker *w = &s->workers[i];

		if (w->wrong)
			fail_msg("thread %u: %s", i, w->wrong);
		assert_true(w->forks > 0);
		for (unsigned space = 0; space < SPACES; space++)
			for (unsigned slot = 0; slot < SLOTS; slot++)
				SAME(get(s->mm[space], slot_va(w, slot)), w->word[space][slot]);
	}
	for (unsigned i = 0; i < SPACES; i++)
		space_end(s->mm[i]);
	SAME(free_bytes(h->m), before);
	free(s);
}
WITH_BOTH(four_threads_on_three_spaces)

/*
 * Two threads copy between two spaces in opposite directions, two others want each of the
 * spaces for themselves: if both copies held one lock and waited for the other, all would wait
 * for ever. What they read is not what they write, which would be a race of the test's own.
 */
#define COPIES 20000

struct crossing {
	pthread_t thread;
	struct hf_mm *a, *b;
	hf_va va;
	enum hf_status status;
};

static void *copy_across(void *arg)
{
	struct crossing *c = arg;

	for (unsigned i = 0; i < COPIES && !c->status; i++)
		c->status = hf_copy(c->a, c->va, c->b, c->va + 64, 8);
	return NULL;
}

static void *protect_again_and_again(void *arg)
{
	struct crossing *c = arg;

	for (unsigned i = 0; i < COPIES && !c->status; i++)
		c->status = hf_mprotect(c->a, c->va + PAGE, PAGE, i & 1 ? RO : RW);
	return NULL;
}

static void body_of_copies_in_both_directions(struct host *h)
{
	struct hf_mm *a = space_new(h->m), *b;
	hf_va va = map(a, 2 * PAGE);
	struct crossing c[4];

	b = space_fork(a, HF_FORK_COPY);
	for (unsigned i = 0; i < 4; i++) {
		c[i] = (struct crossing){ .a = i & 1 ? a : b, .b = i & 1 ? b : a, .va = va };
		pthread_create(&c[i].thread, NULL, i < 2 ? copy_across : protect_again_and_again,
			       &c[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(c[i].thread, NULL);
		SAME(c[i].status, HF_OK);
	}
	CHECK(&h->m->phys);
	space_end(b);
	space_end(a);
}
WITH_BOTH(copies_in_both_directions)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(many_readers_or_one_writer),
		cmocka_unit_test(a_fault_waits_for_a_fork),
		cmocka_unit_test(a_fork_waits_for_a_fault),
		cmocka_unit_test(faults_in_one_table_wait_for_each_other),
		cmocka_unit_test(a_writer_waits_for_the_fill_of_a_reader),
		cmocka_unit_test(faults_in_two_tables_do_not_wait),
		cmocka_unit_test(siblings_do_not_wait_for_each_other),
		cmocka_unit_test(nobody_waits_for_a_trim),
		cmocka_unit_test(a_waiting_writer_is_not_overtaken),
		cmocka_unit_test(copies_in_both_directions),
		cmocka_unit_test(four_threads_on_three_spaces),
	};

	return RUN(tests, argc, argv);
}
