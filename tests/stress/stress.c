/* SPDX-License-Identifier: MIT */
/*
 * Everything at once: threads that call everything in spaces forked from each other, with delays at
 * trace points, and contents that are checked. A program for each port: this file, truth.c, own.c and
 * shared.c, and stress_soft.c or stress_linux.c.
 *
 *   test_stress_PORT [--seconds S | --rounds N] [--operations N] [--threads N] [--seed S]
 *
 * It ends after N rounds (the default, so that it cannot fail because the machine is busy) or S
 * seconds. A round is N operations of each thread; then all stop, and hf_mm_check looks. With
 * the same seed the threads do the same, as far as they do not depend on each other.
 */
#include "world.h"

#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct world world = { .threads = 4, .operations = 400, .rounds = 8 };

_Noreturn void wrong(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "stress-%s: ", driver.name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (--seed %llu --threads %u)\n", (unsigned long long)world.seed,
		world.threads);
	abort();
}

uint64_t below(struct thread *t, uint64_t n)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (t->random >> 11) % n;
}

bool one_in(struct thread *t, uint64_t n)
{
	return below(t, n) == 0;
}

/* Memory, the store, or a pin may be in the way of any call. Nothing else may. */
bool went(const char *call, enum hf_status st)
{
	if (st == HF_OK)
		return true;
	if (st != HF_ERR_NOMEM && st != HF_ERR_STORE && st != HF_ERR_AGAIN)
		wrong("%s returned %s", call, hf_status_name(st));
	__atomic_add_fetch(&world.refused, 1, __ATOMIC_RELAXED);
	return false;
}

/* ---- Delays ---- */

static _Thread_local uint64_t delays;

/* Any lock may be held: others run into it. */
static void trace(void *arg, const struct hf_trace_event *event)
{
	uint64_t r;

	(void)arg;
	(void)event;
	if (!delays)
		delays = world.seed * 2654435761u + (uintptr_t)&delays;
	delays = delays * 6364136223846793005u + 1442695040888963407u;
	r = delays >> 33;
	if (r % 512 == 0)
		usleep((useconds_t)(r >> 9) % 500);
	else if (r % 16 == 0)
		sched_yield();
}

/* ---- Slots ---- */

/* Any space there is. With its slot's lock, shared. */
static bool enter_some(struct thread *t)
{
	for (unsigned try = 0; try < 2 * SLOTS; try++) {
		t->slot = (unsigned)below(t, SLOTS);
		pthread_rwlock_rdlock(&world.slots[t->slot].life);
		if (world.slots[t->slot].alive)
			return true;
		pthread_rwlock_unlock(&world.slots[t->slot].life);
	}
	return false;
}

static void leave(struct thread *t)
{
	pthread_rwlock_unlock(&world.slots[t->slot].life);
}

/* Fork the thread's space into another slot, whatever is there ends. */
static void fork_some(struct thread *t)
{
	const enum hf_fork_policy policy = one_in(t, 4) ? HF_FORK_SPLIT : HF_FORK_COPY;
	unsigned to = (unsigned)below(t, SLOTS);
	struct slot *s = &world.slots[to];

	if (to == t->slot || pthread_rwlock_trywrlock(&s->life))
		return;
	if (s->alive)
		driver.destroy(to);
	s->alive = false;
	truth_before_fork(t->slot, to);
	if (went("hf_fork", driver.fork(t->slot, to, policy))) {
		s->alive = true;
		s->born++;
		truth_after_fork(t, t->slot, to);
		t->forks++;
	}
	pthread_rwlock_unlock(&s->life);
}

/* ---- Reports, and what concerns all of the memory ---- */

static bool count_run(void *arg, const struct hf_run *run)
{
	*(uint64_t *)arg += run->len;
	return true;
}

static void count_line(void *arg, const char *line)
{
	*(uint64_t *)arg += line[0] != 0;
}

static void report_some(struct thread *t)
{
	struct hf_mm *mm = driver.mm(t->slot);
	struct hf_object_stats object;
	struct hf_phys_stats phys;
	struct hf_swap_stats swap;
	struct hf_mm_stats stats;
	struct hf_fork_cost cost;
	struct hf_smaps smaps;
	struct hf_translation there;
	unsigned char vec[64];
	uint64_t n = 0;

	switch (below(t, 10)) {
	case 0:
		hf_mm_stats(mm, &stats);
		break;
	case 1:
		if (hf_mm_smaps(mm, COMMON, &smaps))
			wrong("hf_mm_smaps");
		break;
	case 2:
		went("hf_mm_visit", hf_mm_visit(mm, COMMON, COMMON_PAGES * PAGE, count_run, &n));
		break;
	case 3:
		hf_mm_dump(mm, count_line, &n);
		break;
	case 4:
		if (hf_fork_forecast(mm, HF_FORK_COPY, &cost, NULL, 0, NULL) == HF_ERR_INVAL)
			wrong("hf_fork_forecast");
		break;
	case 5:
		went("hf_mincore",
		     hf_mincore(mm, COMMON + below(t, COMMON_PAGES - 64) * PAGE, 64 * PAGE, vec));
		break;
	case 6:
		hf_object_stats(world.object, &object);
		break;
	case 8:
		went("hf_lock_future", hf_lock_future(mm, one_in(t, 4) ? HF_LOCK_FUTURE_ONFAULT
								       : HF_LOCK_FUTURE_OFF));
		break;
	case 9:
		went("hf_fault",
		     hf_fault(mm, COMMON + below(t, COMMON_PAGES) * PAGE, HF_ACCESS_READ, &there));
		break;
	case 7:
		hf_phys_stats(world.phys, &phys);
		hf_swap_stats(world.phys, &swap);
		break;
	}
}

static void reclaim_some(struct thread *t)
{
	uint64_t done;
	enum hf_status st = hf_reclaim(world.phys, 1 + below(t, 300), &done);

	if (st != HF_ERR_INVAL) /* the store is off */
		went("hf_reclaim", st);
	__atomic_add_fetch(&world.reclaimed, done, __ATOMIC_RELAXED);
	if (one_in(t, 40))
		went("hf_swap_off", hf_swap_off(world.phys));
	if (one_in(t, 20))
		hf_phys_trim(world.phys, 9);
}

/* No allocation works for a moment, whoever makes it. */
static void starve(struct thread *t)
{
	hf_phys_fail_after(world.phys, 1 + below(t, 40));
	own_some(t);
	shared_some(t);
	fork_some(t);
	hf_phys_fail_after(world.phys, 0);
}

/* ---- Threads ---- */

static void operate(struct thread *t)
{
	uint64_t what = below(t, 100);

	if (!enter_some(t))
		return;
	if (what < 45)
		shared_some(t);
	else if (what < 85)
		own_some(t);
	else if (what < 90)
		fork_some(t);
	else if (what < 94)
		reclaim_some(t);
	else if (what < 96)
		object_some(t);
	else if (what < 97)
		starve(t);
	else if (what < 98 && !t->index)
		heap_some(t);
	else
		report_some(t);
	leave(t);
}

static void *run(void *arg)
{
	struct thread *t = arg;

	for (;;) {
		for (unsigned i = 0; i < world.operations; i++)
			operate(t);
		pthread_barrier_wait(&world.quiet);
		pthread_barrier_wait(&world.go);
		if (world.over)
			break;
	}
	let_pins_go(t);
	return NULL;
}

static void check(void)
{
	struct hf_violation v;

	if (hf_mm_check(world.phys, &v))
		wrong("hf_mm_check: %s at %#llx, %#llx", v.rule, (unsigned long long)v.va,
		      (unsigned long long)v.pa.v);
}

/* ---- Swap ---- */

static bool slot_read(void *host, uint64_t slot, void *page)
{
	static uint32_t reads;

	memcpy(page, (char *)host + slot * PAGE, PAGE);
	return __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED) % 512 || world.over;
}

static bool slot_write(void *host, uint64_t slot, const void *page)
{
	static uint32_t writes;

	memcpy((char *)host + slot * PAGE, page, PAGE);
	return __atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED) % 512;
}

/* Nobody else runs. */
static void swap_on(void)
{
	enum hf_status st;

	world.store = (struct hf_store){
		.slots = SWAP_PAGES,
		.read = slot_read,
		.write = slot_write,
		.host = world.disk,
		.meta = world.disk_meta,
	};
	st = hf_swap_on(world.phys, &world.store);
	if (st && st != HF_ERR_BUSY)
		wrong("hf_swap_on: %s", hf_status_name(st));
}

/* ---- The run ---- */

static void begin(void)
{
	world.phys = driver.begin(RAM, world.threads, trace);
	world.disk = malloc(SWAP_PAGES * PAGE);
	world.disk_meta = malloc(hf_store_meta_size(SWAP_PAGES));
	if (!world.phys || !world.disk || !world.disk_meta)
		wrong("no memory");
	swap_on();
	for (unsigned i = 0; i < SLOTS; i++)
		pthread_rwlock_init(&world.slots[i].life, NULL);
	shared_begin();
	if (driver.create(0, SPACE_LEN))
		wrong("no space");
	world.slots[0].alive = true;
	world.slots[0].born = 1;
	shared_map(driver.mm(0));
	pthread_barrier_init(&world.quiet, NULL, world.threads + 1);
	pthread_barrier_init(&world.go, NULL, world.threads + 1);
	for (unsigned i = 0; i < world.threads; i++) {
		struct thread *t = calloc(1, sizeof(*t));

		t->index = i;
		t->random = (world.seed + 1) * 0x9e3779b97f4a7c15u + i * 0x2545f4914f6cdd1du;
		t->own = calloc(SLOTS, sizeof(*t->own));
		world.thread[i] = t;
	}
	for (unsigned i = 0; i < world.threads; i++)
		if (pthread_create(&world.thread[i]->id, NULL, run, world.thread[i]))
			wrong("no thread");
}

static void end(void)
{
	check();
	for (unsigned i = 0; i < SLOTS; i++)
		if (world.slots[i].alive)
			driver.destroy(i);
	shared_end();
	went("hf_swap_off", hf_swap_off(world.phys));
	check();
	if (driver.end())
		wrong("something is left");
	for (unsigned i = 0; i < world.threads; i++) {
		free(world.thread[i]->own);
		free(world.thread[i]);
	}
	free(world.disk);
	free(world.disk_meta);
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 0);
}

static void options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "operations", required_argument, NULL, 'o' },
		{ "threads", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 'S' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	world.seed = 1;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 's':
			world.seconds = number(optarg);
			break;
		case 'r':
			world.rounds = (unsigned)number(optarg);
			break;
		case 'o':
			world.operations = (unsigned)number(optarg);
			break;
		case 't':
			world.threads = (unsigned)number(optarg);
			break;
		case 'S':
			world.seed = number(optarg);
			break;
		default:
			exit(2);
		}
	}
	if (world.threads < 1 || world.threads > THREADS_MAX) {
		fprintf(stderr, "--threads: 1 to %u\n", THREADS_MAX);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	time_t start = time(NULL);
	uint64_t forks = 0, pins = 0;
	unsigned round = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	options(argc, argv);
	printf("# stress-%s --seed %llu --threads %u --operations %u\n1..1\n", driver.name,
	       (unsigned long long)world.seed, world.threads, world.operations);
	begin();
	while (!world.over) {
		pthread_barrier_wait(&world.quiet);
		check();
		swap_on();
		round++;
		world.over = world.seconds ? time(NULL) - start >= (time_t)world.seconds
					   : round >= world.rounds;
		pthread_barrier_wait(&world.go);
	}
	for (unsigned i = 0; i < world.threads; i++) {
		pthread_join(world.thread[i]->id, NULL);
		forks += world.thread[i]->forks;
		pins += world.thread[i]->pins;
	}
	end();
	printf("# %u rounds, %llu forks, %llu pins, %llu pages reclaimed, %llu calls refused\n",
	       round, (unsigned long long)forks, (unsigned long long)pins,
	       (unsigned long long)world.reclaimed, (unsigned long long)world.refused);
	printf("ok 1 - stress-%s\n", driver.name);
	return 0;
}
