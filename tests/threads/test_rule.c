/* SPDX-License-Identifier: MIT */
/*
 * What is reachable is right: chosen interleavings. One thread is stopped at a trace point, where
 * it has published something or is about to; meanwhile CPUs of the same space go on. Nothing waits
 * for a time: if the stopped thread holds what the others need, the program hangs, and its runner
 * sees that.
 *
 * Sources: this file and, of tests/port, common.c disk.c state.c port_soft.c.
 */
#include <pthread.h>
#include <semaphore.h>

#include "disk.h"
#include "port_soft.h"

/* Stop the first thread that comes to such an event. */
static struct stop {
	struct machine *m;
	struct hf_port port; /* the machine's, listened to */
	const struct hf_port *real;
	enum hf_trace what;
	uint64_t kind, len; /* 0: any */
	const struct hf_mm *mm;
	hf_va va;
	bool set; /* and to be stopped at only once */
	sem_t reached, go;
} stop;

static void listen(void *host, const struct hf_trace_event *e)
{
	if (stop.real->trace)
		stop.real->trace(host, e);
	if (e->what != stop.what || e->mm != stop.mm || e->va != stop.va ||
	    (stop.kind && e->kind != stop.kind) || (stop.len && e->len != stop.len) ||
	    !__atomic_exchange_n(&stop.set, false, __ATOMIC_ACQ_REL))
		return;
	sem_post(&stop.reached);
	sem_wait(&stop.go);
}

/* This thread lets the stopped one go on when it waits for a lock. */
static _Thread_local bool defers;

static void wait_or_let_go(void *host, const uint32_t *word, uint32_t value)
{
	if (defers)
		sem_post(&stop.go);
	defers = false;
	stop.real->wait(host, word, value);
}

/* Before any other thread runs. */
static void stop_at(struct space *s, enum hf_trace what, uint64_t kind, hf_va va, uint64_t len)
{
	stop = (struct stop){
		.m = s->m,
		.port = *s->m->phys->port,
		.real = s->m->phys->port,
		.what = what,
		.kind = kind,
		.len = len,
		.mm = s->mm,
		.va = va,
		.set = true,
	};
	stop.port.trace = listen;
	stop.port.wait = wait_or_let_go;
	sem_init(&stop.reached, 0, 0);
	sem_init(&stop.go, 0, 0);
	s->m->phys->port = &stop.port;
}

static void stop_end(void)
{
	assert_false(stop.set);
	stop.m->phys->port = stop.real;
	sem_destroy(&stop.reached);
	sem_destroy(&stop.go);
}

/* A call of another thread. */
struct call {
	pthread_t id;
	struct space *s;
	hf_va va;
	enum hf_status status;
	uint64_t value;
};

static void begin(struct call *c, void *(*run)(void *), struct space *s, hf_va va)
{
	*c = (struct call){ .s = s, .va = va };
	assert_int_equal(pthread_create(&c->id, NULL, run, c), 0);
}

static void end(struct call *c)
{
	assert_int_equal(pthread_join(c->id, NULL), 0);
	assert_int_equal(c->status, HF_OK);
}

static void *page_out(void *arg)
{
	struct call *c = arg;

	c->status = hf_madvise(c->s->mm, c->va, PAGE, HF_ADV_PAGEOUT);
	return NULL;
}

/* Reclaim splits a huge page: who comes at once finds the parts as they stay. */
static void reclaim_splits_beside_faults(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, 1024);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);
	struct call c;

	stop_at(s, HF_TRACE_SPLIT, 0, va, 0);
	begin(&c, page_out, s, va);
	sem_wait(&stop.reached);
	SAME(get(s, va + 5 * PAGE), stamp(1, va + 5 * PAGE));
	put(s, va + 6 * PAGE, 666);
	sem_post(&stop.go);
	end(&c);
	stop_end();
	SAME(get(s, va + 6 * PAGE), 666);
	put(s, va + 6 * PAGE, stamp(1, va + 6 * PAGE));
	FILLED(s, va, PMD_SIZE, 1);
	CHECK(m);
	disk_off(m, d);
}

static void *write_first(void *arg)
{
	struct call *c = arg;

	c->status = hf_fault(c->s->mm, c->va, HF_ACCESS_WRITE, NULL);
	return NULL;
}

/* Store by one CPU, then load by another; whatever comes first, the first thread may go on then. */
static void *store_then_load(void *arg)
{
	struct call *c = arg;

	defers = true;
	c->status = hf_soft_store(cpu_of(c->s, 1), c->va, 8, 2);
	if (!c->status)
		c->status = hf_soft_load(cpu_of(c->s, 0), c->va, 8, &c->value);
	if (defers)
		sem_post(&stop.go);
	return NULL;
}

/*
 * A table is copied, and the flush of the branch to the old one takes its time. Nobody changes the
 * copy until it is done: a CPU that has the old branch cached would not see what was written.
 */
static void a_copied_table_waits_for_its_flush(void **state)
{
	struct space *s = space_new(*state), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 1024, 1);
	struct call fault, store;
	uint64_t value;

	child = fork_space(s, HF_FORK_COPY);
	put(s, va + PMD_SIZE, 1);		       /* the tables above are its own again */
	hf_soft_switch(cpu_of(s, 0), s->mm);	       /* forget everything, */
	OK(hf_soft_load(cpu_of(s, 0), va, 8, &value)); /* and find the way by the shared table */
	stop_at(s, HF_TRACE_FLUSH, HF_FLUSH_TABLES, va, PMD_SIZE);
	begin(&fault, write_first, s, va);
	sem_wait(&stop.reached);
	begin(&store, store_then_load, s, va + 2 * PAGE);
	end(&store);
	SAME(store.value, 2);
	end(&fault);
	stop_end();
	SAME(get(s, va + 2 * PAGE), 2);
	FILLED(child, va, 1024 * PAGE, 1);
	CHECK(*state);
}

/* What was huge has counts of its parts before somebody can ask for one. */
static void a_split_page_has_its_parts_counted(void **state)
{
	struct machine *m = *state;
	struct disk *d = disk_on(m, 1024);
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	hf_pa pa = pa_of(s, va + 5 * PAGE);
	struct hf_span pin;
	struct call c;
	size_t count;

	/* The leaf does not allow writing, though nobody else has the page any more. */
	OK(hf_pin(s->mm, va + PMD_SIZE, 8, HF_PIN_WRITE, &pin, 1, &count));
	space_end(fork_space(s, HF_FORK_COPY));
	OK(hf_unpin(m->phys, &pin, 1));

	stop_at(s, HF_TRACE_SPLIT, 0, va, 0);
	begin(&c, page_out, s, va);
	sem_wait(&stop.reached);
	OK(hf_fault(s->mm, va + 5 * PAGE, HF_ACCESS_WRITE, NULL));
	SAME_PA(pa_of(s, va + 5 * PAGE), pa);
	sem_post(&stop.go);
	end(&c);
	stop_end();
	FILLED(s, va, PMD_SIZE, 1);
	CHECK(m);
	disk_off(m, d);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(reclaim_splits_beside_faults),
		TEST(a_split_page_has_its_parts_counted),
		TEST(a_copied_table_waits_for_its_flush),
	};

	return run_group("rule", tests, argc, argv);
}
