/* SPDX-License-Identifier: MIT */
/*
 * What is the Linux port's own: windows, the signal handler, host mappings and host memory.
 * What spaces do on every port is tested in tests/port.
 *
 * Tests that end in a program's death run this program again as "test_linux --scene NAME".
 */
#include "rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Windows. */

static void arguments_are_checked(void **state)
{
	struct hf_linux_config config = { .ram_bytes = BLOCK + PAGE };
	struct hf_linux_space space;
	struct hf_linux *lin;

	(void)state;
	assert_int_equal(hf_linux_create(&config, &lin), HF_ERR_ALIGN);
	config.ram_bytes = 0;
	assert_int_equal(hf_linux_create(&config, &lin), HF_ERR_EMPTY);
	config = (struct hf_linux_config){ .ram_bytes = BLOCK, .count_limit = 1 };
	assert_int_equal(hf_linux_create(&config, &lin), HF_ERR_FLAGS);

	lin = machine(16 * MIB);
	assert_int_equal(hf_linux_space_create(lin, &space, BLOCK + PAGE, HF_HUGE_COW_WHOLE),
			 HF_ERR_ALIGN);
	assert_int_equal(hf_linux_space_create(lin, &space, 0, HF_HUGE_COW_WHOLE), HF_ERR_EMPTY);
	assert_int_equal(hf_linux_space_create(lin, &space, (uint64_t)1 << 47, HF_HUGE_COW_WHOLE),
			 HF_ERR_RANGE);
	assert_int_equal(hf_linux_space_create(lin, &space, BLOCK, (enum hf_huge_cow)7),
			 HF_ERR_INVAL);
	space_in(lin, &space, BLOCK);
	assert_int_equal(hf_linux_fork(&space, &space, (enum hf_fork_policy)7), HF_ERR_INVAL);
	assert_int_equal(hf_linux_destroy(lin), HF_ERR_BUSY);
	destroy(&space);
	end(lin);
}

static void a_window_shows_the_space(void **state)
{
	static const uint64_t lens[] = { BLOCK, 6 * MIB, GIB, GIB + BLOCK, 3 * GIB };
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint64_t unit = lens[i] < GIB ? BLOCK : GIB;
		struct hf_translation t;
		char *p, *last;

		space_in(lin, &space, lens[i]);
		assert_int_equal((uintptr_t)space.window % unit, 0);
		p = map(&space, lens[i], false);
		assert_ptr_equal(p, space.window);
		assert_int_equal(hf_linux_va(&space, p), HF_LINUX_VA_LO);
		last = p + lens[i] - PAGE;
		assert_int_equal(*(uint64_t *)last, 0);
		*(uint64_t *)last = stamp(1, i);
		OK(hf_read(&space.mm, hf_linux_va(&space, last), &value, sizeof(value)));
		assert_int_equal(value, stamp(1, i));
		OK(hf_translate(&space.mm, hf_linux_va(&space, last), &t));
		assert_int_equal(*(uint64_t *)hf_linux_dma_ptr(lin, t.pa), stamp(1, i));
		assert_false(may_read(last + PAGE));
		destroy(&space);
	}
	end(lin);
}

static void windows_are_used_again_empty(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space first, second;
	char *window, *p;

	(void)state;
	space_in(lin, &first, 8 * MIB);
	p = map(&first, MIB, false);
	fill(p, MIB, PAGE, 1);
	window = first.window;
	destroy(&first);
	assert_false(may_read(p));
	space_in(lin, &second, 8 * MIB);
	assert_ptr_equal(second.window, window);
	assert_false(may_read(p));
	assert_ptr_equal(map(&second, MIB, false), p);
	for (uint64_t i = 0; i < MIB; i += 8)
		assert_int_equal(*(uint64_t *)(p + i), 0);
	destroy(&second);
	end(lin);
}

/* More windows than are kept for later; then several machines at once. */
static void many_windows_and_machines(void **state)
{
	static struct hf_linux_space spaces[60];
	struct hf_linux *lins[3];
	char *p[60];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		lins[i] = machine(16 * MIB);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 60; i++) {
			space_in(lins[i % 3], &spaces[i], 4 * MIB);
			p[i] = map(&spaces[i], 64 * KIB, false);
			fill(p[i], 64 * KIB, PAGE, i);
		}
		for (unsigned i = 0; i < 60; i++) {
			check_filled(p[i], 64 * KIB, PAGE, i);
			destroy(&spaces[i]);
			assert_false(may_read(p[i]));
		}
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_true(stats_of(lins[i]).host_maps <= 16);
		end(lins[i]);
	}
}

static void forked_spaces_diverge(void **state)
{
	const uint64_t len = 8 * MIB;
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space parent, child, grandchild;

	(void)state;
	for (unsigned huge = 0; huge < 2; huge++) {
		char *p, *c, *g;

		space_in(lin, &parent, GIB);
		p = map(&parent, len, huge);
		fill(p, len, 8, 1);
		OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
		c = there(&parent, &child, p);
		fill(p, len / 2, PAGE, 2);
		check_filled(c, len, 8, 1);
		fill(c, len, PAGE / 2, 3);
		OK(hf_linux_fork(&child, &grandchild, HF_FORK_SPLIT));
		g = there(&child, &grandchild, c);
		fill(c, len, PAGE, 4);
		check_filled(p, len / 2, PAGE, 2);
		for (uint64_t i = 0; i < len; i += 8)
			if (i % PAGE)
				assert_int_equal(*(uint64_t *)(p + i), stamp(1, i));
		check_filled(g, len, PAGE / 2, 3);
		destroy(&child);
		check_filled(g, len, PAGE / 2, 3);
		destroy(&grandchild);
		destroy(&parent);
	}
	end(lin);
}

/* movl $42, %eax; ret */
static const unsigned char answer[] = { 0xb8, 42, 0, 0, 0, 0xc3 };

static void code_runs_where_it_may(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space parent, child;
	char *p, *c;

	(void)state;
	space_in(lin, &parent, 8 * MIB);
	p = map(&parent, 16 * PAGE, false);
	memcpy(p, answer, sizeof(answer));
	assert_false(may(p, HF_ACCESS_EXEC, 0));
	assert_int_equal(segv.info.si_code, SEGV_ACCERR);
	OK(hf_mprotect(&parent.mm, hf_linux_va(&parent, p), PAGE, HF_PROT_READ | HF_PROT_EXEC));
	assert_int_equal(((int (*)(void))(uintptr_t)p)(), 42);
	assert_false(may_write(p));
	OK(hf_mprotect(&parent.mm, hf_linux_va(&parent, p), PAGE, RW | HF_PROT_EXEC));
	p[1] = 43;
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	c = there(&parent, &child, p);
	p[1] = 44;
	assert_int_equal(((int (*)(void))(uintptr_t)c)(), 43);
	assert_int_equal(((int (*)(void))(uintptr_t)p)(), 44);
	OK(hf_mprotect(&child.mm, hf_linux_va(&child, c), PAGE, RW));
	assert_false(may(c, HF_ACCESS_EXEC, 0));
	assert_true(may_write(c));
	destroy(&child);
	destroy(&parent);
	end(lin);
}

/* Faults. */

#define THREADS 4

struct worker {
	char *p;
	uint64_t len;
	unsigned index;
};

/* Every fourth page, so that all are in the same tables all the time. */
static void *work(void *argument)
{
	const struct worker *w = argument;

	for (uint64_t i = w->index * PAGE; i < w->len; i += THREADS * PAGE)
		*(uint64_t *)(w->p + i) = stamp(w->index, i);
	for (uint64_t i = w->index * PAGE; i < w->len; i += THREADS * PAGE)
		if (*(uint64_t *)(w->p + i) != stamp(w->index, i))
			return "lost a write";
	return NULL;
}

static void in_threads(char *p, uint64_t len)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	void *complaint;

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ p, len, i };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &complaint), 0);
		assert_null(complaint);
	}
	for (uint64_t i = 0; i < len; i += PAGE)
		assert_int_equal(*(uint64_t *)(p + i), stamp(i / PAGE % THREADS, i));
}

static void threads_fault_at_once(void **state)
{
	struct hf_linux *lin = machine(128 * MIB);
	struct hf_linux_space parent, child;

	(void)state;
	for (unsigned huge = 0; huge < 2; huge++) {
		char *p, *c;

		space_in(lin, &parent, GIB);
		p = map(&parent, 16 * MIB, huge);
		in_threads(p, 16 * MIB);
		OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
		c = there(&parent, &child, p);
		memset(p, 0, 16 * MIB);
		for (uint64_t i = 0; i < 16 * MIB; i += PAGE)
			assert_int_equal(*(uint64_t *)(c + i), stamp(i / PAGE % THREADS, i));
		in_threads(c, 16 * MIB);
		destroy(&child);
		destroy(&parent);
	}
	end(lin);
}

/*
 * A writer that always writes `first` before `second`, on pages far apart. Whoever sees the
 * memory as of one instant sees them equal, or `first` one ahead.
 */
struct pair {
	_Atomic uint64_t *first, *second;
	atomic_bool stop;
};

static void *write_pairs(void *argument)
{
	struct pair *pair = argument;

	for (uint64_t n = 1; !atomic_load(&pair->stop); n++) {
		atomic_store(pair->first, n);
		atomic_store(pair->second, n);
	}
	return NULL;
}

static void a_fork_is_an_instant(void **state)
{
	struct hf_linux *lin = machine(128 * MIB);
	struct hf_linux_space parent, child;
	uint64_t forks = SANITIZED ? 100 : 1000;

	(void)state;
	for (unsigned huge = 0; huge < 2; huge++) {
		struct pair pair = { 0 };
		pthread_t thread;
		char *p;

		space_in(lin, &parent, GIB);
		p = map(&parent, 8 * MIB, huge);
		pair.first = (void *)p;
		pair.second = (void *)(p + 5 * MIB);
		assert_int_equal(pthread_create(&thread, NULL, write_pairs, &pair), 0);
		for (uint64_t i = 0; i < forks; i++) {
			volatile uint64_t *first, *second;
			uint64_t a, b;

			OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
			first = (void *)there(&parent, &child, p);
			second = (void *)there(&parent, &child, p + 5 * MIB);
			a = *first;
			b = *second;
			assert_in_range(a - b, 0, 1);
			sched_yield();
			assert_int_equal(*first, a);
			assert_int_equal(*second, b);
			hf_linux_space_destroy(&child);
		}
		atomic_store(&pair.stop, true);
		pthread_join(thread, NULL);
		destroy(&parent);
	}
	end(lin);
}

/* Deeper than the pages that are there, on a stack in a window. */
static uint64_t recurse(unsigned depth);
static uint64_t (*volatile deeper)(unsigned) = recurse; /* and no compiler makes a loop of it */

static uint64_t recurse(unsigned depth)
{
	volatile char frame[2 * PAGE];

	frame[depth] = (char)depth;
	return depth ? deeper(depth - 1) + (uint64_t)frame[depth] : 0;
}

static struct {
	ucontext_t back, there;
	uint64_t sum;
} stack_switch;

static void on_the_window(void)
{
	stack_switch.sum = recurse(50);
}

static void a_stack_may_lie_in_a_window(void **state)
{
	struct hf_linux *lin;
	struct hf_linux_space space;
	stack_t other = { .ss_size = 64 * KIB }, before;

	(void)state;
	if (SANITIZED)
		SKIP("sanitizers do not follow a program that changes its stack");
	lin = machine(16 * MIB);
	space_in(lin, &space, 8 * MIB);
	other.ss_sp = malloc(other.ss_size);
	assert_int_equal(sigaltstack(&other, &before), 0);
	getcontext(&stack_switch.there);
	stack_switch.there.uc_stack.ss_sp = map(&space, 2 * MIB, false);
	stack_switch.there.uc_stack.ss_size = 2 * MIB;
	stack_switch.there.uc_link = &stack_switch.back;
	makecontext(&stack_switch.there, on_the_window, 0);
	/* makecontext has touched the last page; the others are faulted in by the stack itself. */
	swapcontext(&stack_switch.back, &stack_switch.there);
	assert_int_equal(stack_switch.sum, 50 * 51 / 2);
	assert_true(stats_of(lin).faults > 50);
	sigaltstack(&before, NULL);
	free(other.ss_sp);
	destroy(&space);
	end(lin);
}

static void other_faults_are_the_programs(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	hf_va va = HF_LINUX_VA_LO;
	char *alien = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	assert_false(may_write(alien + 123));
	assert_ptr_equal(segv.info.si_addr, alien + 123);
	assert_int_equal(segv.info.si_code, SEGV_ACCERR);
	munmap(alien, PAGE);
	assert_false(may_read(alien));
	assert_int_equal(segv.info.si_code, SEGV_MAPERR);
	assert_false(
		may_read((char *)0x8000000000000000)); /* no page fault: si_addr is not known */
	assert_int_equal(segv.info.si_code, SI_KERNEL);

	p = hf_linux_ptr(&space, va);
	assert_false(may_read(p + 77));
	assert_ptr_equal(segv.info.si_addr, p + 77);
	assert_int_equal(segv.info.si_code, SEGV_MAPERR);
	OK(hf_mmap(&space.mm, &va, PAGE, HF_PROT_READ, HF_MAP_FIXED));
	assert_true(may_read(p + 77));
	assert_false(may_write(p + 78));
	assert_ptr_equal(segv.info.si_addr, p + 78);
	assert_int_equal(segv.info.si_code, SEGV_ACCERR);
	assert_int_equal(segv.info.si_errno, 0);
	OK(hf_munmap(&space.mm, va, PAGE));
	assert_false(may_read(p));
	assert_int_equal(segv.info.si_code, SEGV_MAPERR);
	destroy(&space);
	end(lin);
}

/* sigqueue(3) and its like can say any address. */
static void a_sent_signal_is_no_fault(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	sigjmp_buf escape;
	siginfo_t info = { .si_signo = SIGSEGV, .si_code = SI_QUEUE };
	volatile bool returned = false;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	info.si_addr = map(&space, PAGE, false);
	segv.escape = &escape;
	if (!sigsetjmp(escape, 1)) {
		syscall(SYS_rt_sigqueueinfo, getpid(), SIGSEGV, &info);
		returned = true;
	}
	segv.escape = NULL;
	assert_false(returned);
	assert_int_equal(segv.info.si_code, SI_QUEUE);
	destroy(&space);
	end(lin);
}

static void no_memory_is_told(void **state)
{
	struct hf_linux *lin = machine(4 * MIB);
	struct hf_linux_space space;
	uint64_t got = 0;
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = map(&space, 8 * MIB, false);
	while (got < 8 * MIB && may_write(p + got))
		got += PAGE;
	assert_in_range(got, MIB, 4 * MIB);
	assert_ptr_equal(segv.info.si_addr, p + got);
	assert_int_equal(segv.info.si_errno, ENOMEM);
	OK(hf_madvise(&space.mm, hf_linux_va(&space, p), PAGE, HF_ADV_DONTNEED));
	assert_true(may_write(p + got));
	destroy(&space);
	end(lin);
}

/* The program's handler runs with the signals blocked that it asked for, and no others. */
static void the_handler_has_its_own_mask(void **state)
{
	(void)state;
	port_handles();
	assert_false(may_read((char *)PAGE));
	assert_true(sigismember(&segv.mask, SIGSEGV));
	assert_true(sigismember(&segv.mask, SIGUSR1));
	assert_false(sigismember(&segv.mask, SIGUSR2));
	assert_false(sigismember(&segv.mask, SIGTERM));
}

static void errno_survives_a_fault(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = map(&space, PAGE, false);
	errno = EXDEV;
	*p = 1;
	assert_int_equal(errno, EXDEV);
	destroy(&space);
	end(lin);
}

/* Host mappings. */

static void host_maps_are_counted_exactly(void **state)
{
	struct hf_linux *lin = machine(128 * MIB);
	struct hf_linux_space parent, child;
	char *p, *q, *c;

	(void)state;
	srandom(1);
	space_in(lin, &parent, GIB + BLOCK);
	p = map(&parent, 16 * MIB, false);
	q = map(&parent, 16 * MIB, true);
	for (unsigned i = 0; i < 300; i++) {
		p[(uint64_t)random() % (16 * MIB)] = 1;
		q[(uint64_t)random() % (16 * MIB)] = 1;
		if (i % 10)
			continue;
		assert_int_equal(stats_of(lin).host_maps, host_maps(&parent));
		OK(hf_mprotect(&parent.mm, hf_linux_va(&parent, p) + i * PAGE, 5 * PAGE,
			       HF_PROT_READ));
		assert_int_equal(stats_of(lin).host_maps, host_maps(&parent));
		OK(hf_madvise(&parent.mm, hf_linux_va(&parent, p) + i * PAGE, 7 * PAGE,
			      HF_ADV_DONTNEED));
		OK(hf_mprotect(&parent.mm, hf_linux_va(&parent, p) + i * PAGE, 5 * PAGE, RW));
		assert_int_equal(stats_of(lin).host_maps, host_maps(&parent));
	}
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	c = there(&parent, &child, p);
	for (unsigned i = 0; i < 300; i++) {
		p[(uint64_t)random() % (16 * MIB)]++;
		q[(uint64_t)random() % (16 * MIB)]++;
		c[(uint64_t)random() % (16 * MIB)]++;
		if (i % 10 == 0)
			assert_int_equal(stats_of(lin).host_maps,
					 host_maps(&parent) + host_maps(&child));
	}
	assert_true(host_maps(&parent) > 50);
	destroy(&child);
	destroy(&parent);
	end(lin);
}

/*
 * Every second page of two spaces: hardly two are neighbours in a window and in memory, so each
 * wants a host mapping of its own.
 */
static void a_low_limit_drops_windows(void **state)
{
	struct hf_linux *lin = machine_of((struct hf_linux_config){
		.ram_bytes = 64 * MIB,
		.map_limit = 40,
	});
	const uint64_t len = 4 * MIB;
	struct hf_linux_space parent, child;
	char *p, *c;

	(void)state;
	space_in(lin, &parent, 8 * MIB);
	p = map(&parent, len, false);
	fill(p, len, 2 * PAGE, 1);
	assert_in_range(host_maps(&parent), 2, 40);
	assert_true(stats_of(lin).window_drops > 0);
	check_filled(p, len, 2 * PAGE, 1);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	c = there(&parent, &child, p);
	for (uint64_t i = 0; i < len; i += 4 * PAGE) {
		*(uint64_t *)(c + i) = stamp(2, i);
		*(uint64_t *)(p + i + 2 * PAGE) = stamp(3, i);
		assert_in_range(host_maps(&parent) + host_maps(&child), 2, 40);
		assert_int_equal(stats_of(lin).host_maps, host_maps(&parent) + host_maps(&child));
	}
	for (uint64_t i = 0; i < len; i += 4 * PAGE) {
		assert_int_equal(*(uint64_t *)(p + i), stamp(1, i));
		assert_int_equal(*(uint64_t *)(c + i), stamp(2, i));
		assert_int_equal(*(uint64_t *)(p + i + 2 * PAGE), stamp(3, i));
		assert_int_equal(*(uint64_t *)(c + i + 2 * PAGE), stamp(1, i + 2 * PAGE));
	}
	destroy(&child);
	destroy(&parent);
	end(lin);
}

/* A limit that leaves nothing for windows slows things down, no more. */
static void no_limit_is_too_low(void **state)
{
	struct hf_linux *lin = machine_of((struct hf_linux_config){
		.ram_bytes = 64 * MIB,
		.map_limit = 1,
	});
	struct hf_linux_space parent, child;
	char *p;

	(void)state;
	space_in(lin, &parent, 8 * MIB);
	p = map(&parent, MIB, false);
	fill(p, MIB, PAGE, 1);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	fill(p, MIB, 2 * PAGE, 2);
	check_filled(there(&parent, &child, p), MIB, PAGE, 1);
	check_filled(p, MIB, 2 * PAGE, 2);
	in_threads(p, MIB);
	destroy(&child);
	destroy(&parent);
	end(lin);
}

/* The order in which the pages of several mappings are touched, in turns. */
enum order {
	UP,
	DOWN,
	RANDOM
};

static uint64_t maps_of_arenas(unsigned arenas, enum order order)
{
	const uint64_t pages = 4096 / arenas;
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space space;
	uint64_t maps;
	char *p[64];

	space_in(lin, &space, 256 * MIB);
	for (unsigned i = 0; i < arenas; i++) {
		hf_va va = HF_LINUX_VA_LO + i * 256 * MIB / arenas;

		OK(hf_mmap(&space.mm, &va, pages * PAGE, RW, HF_MAP_FIXED));
		p[i] = hf_linux_ptr(&space, va);
	}
	for (uint64_t n = 0; n < pages; n++)
		for (unsigned i = 0; i < arenas; i++) {
			uint64_t page = order == RANDOM ? n * 1021 % pages : n;

			p[i][(order == DOWN ? pages - 1 - page : page) * PAGE] = 1;
		}
	maps = stats_of(lin).host_maps;
	assert_int_equal(stats_of(lin).window_drops, 0);
	destroy(&space);
	end(lin);
	return maps;
}

static void mappings_in_turns_need_few_host_maps(void **state)
{
	uint64_t one = maps_of_arenas(1, UP);

	(void)state;
	assert_in_range(one, 2, 3);
	for (enum order order = UP; order <= RANDOM; order++)
		for (unsigned arenas = 1; arenas <= 64; arenas *= 2)
			assert_in_range(maps_of_arenas(arenas, order), 2, 4 * arenas * one);
}

/* One of several threads, each with a window of its own, and what it has found there. */
struct crowd {
	struct hf_linux_space space;
	char *p;
	uint64_t wrong;
	atomic_bool done;
};

#define CROWD 4
#define CROWD_PAGES 64
#define CROWD_ROUNDS 150

/* Every third page, in an order that jumps: a host mapping for each. */
static void *count_up(void *arg)
{
	struct crowd *c = arg;

	for (uint64_t round = 0; round < CROWD_ROUNDS; round++)
		for (uint64_t i = 0; i < CROWD_PAGES; i++) {
			volatile uint64_t *word =
				(uint64_t *)(c->p + i * 7 % CROWD_PAGES * 3 * PAGE);

			c->wrong += *word != round;
			*word = round + 1;
		}
	atomic_store(&c->done, true);
	return NULL;
}

/*
 * Each thread makes room for itself by dropping the others' windows, while a fork takes write
 * permission from them: no store is lost, none fails.
 */
static void crowd_at_a_limit(uint64_t limit)
{
	struct hf_linux *lin = machine_of((struct hf_linux_config){
		.ram_bytes = 64 * MIB,
		.map_limit = limit,
	});
	static struct crowd crowd[CROWD];
	pthread_t thread[CROWD];

	for (size_t i = 0; i < CROWD; i++) {
		memset(&crowd[i], 0, sizeof(crowd[i]));
		space_in(lin, &crowd[i].space, 8 * MIB);
		crowd[i].p = map(&crowd[i].space, MIB, false);
		assert_int_equal(pthread_create(&thread[i], NULL, count_up, &crowd[i]), 0);
	}
	for (size_t i = 0; i < CROWD; i++)
		while (!atomic_load(&crowd[i].done)) {
			struct hf_linux_space child;

			OK(hf_linux_fork(&crowd[i].space, &child, HF_FORK_COPY));
			hf_linux_space_destroy(&child);
		}
	for (size_t i = 0; i < CROWD; i++)
		pthread_join(thread[i], NULL);
	for (size_t i = 0; i < CROWD; i++) {
		assert_int_equal(crowd[i].wrong, 0);
		destroy(&crowd[i].space);
	}
	end(lin);
}

static void a_crowd_at_the_limit_loses_nothing(void **state)
{
	(void)state;
	crowd_at_a_limit(1);
	crowd_at_a_limit(8);
}

/* One byte of each huge page, so that the host has to give only one page for each. */
static uint64_t maps_of_a_heap(uint64_t len, uint64_t stride)
{
	struct hf_linux *lin = machine_of((struct hf_linux_config){
		.ram_bytes = len + GIB,
		.huge = HF_LINUX_HUGE_OFF,
	});
	struct hf_linux_space space;
	uint64_t maps;
	char *p;

	space_in(lin, &space, len);
	p = map(&space, len, true);
	for (uint64_t i = 0; i < len / BLOCK; i++)
		p[i * stride % (len / BLOCK) * BLOCK] = 1;
	maps = host_maps(&space);
	/* New memory is known to be zeros: nobody has written more than we and the tables did. */
	assert_true(held(lin) < len / BLOCK * 2 * PAGE + MIB);
	destroy(&space);
	end(lin);
	return maps;
}

static void a_heap_of_huge_pages_needs_few_mappings(void **state)
{
	(void)state;
	assert_in_range(maps_of_a_heap(4 * GIB, 1), 1, 100);
	assert_in_range(maps_of_a_heap(4 * GIB, 1021), 1, 100); /* a prime: all over the heap */
}

/* Host memory. */

/* What the port builds on, without the port. */
static bool have_collapse(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char *all = mmap(NULL, 2 * BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = (char *)(((uintptr_t)all + BLOCK - 1) & ~(BLOCK - 1));
	bool have;

	assert_int_equal(ftruncate(fd, (off_t)BLOCK), 0);
	assert_ptr_equal(mmap(p, BLOCK, RW, MAP_SHARED | MAP_FIXED, fd, 0), p);
	*p = 1;
	have = !madvise(p, BLOCK, MADV_COLLAPSE);
	munmap(all, 2 * BLOCK);
	close(fd);
	return have;
}

#define NEED_COLLAPSE()                                                                        \
	do {                                                                                   \
		if (!have_collapse())                                                          \
			SKIP("MADV_COLLAPSE: %s (wants Linux 6.1 and transparent huge pages)", \
			     strerror(errno));                                                 \
	} while (0)

static void huge_pages_are_huge_in_the_host(void **state)
{
	const uint64_t len = 16 * MIB;
	struct hf_linux_space parent, child;
	struct hf_translation t;
	struct hf_linux *lin;
	char *p, *c;

	(void)state;
	NEED_COLLAPSE();
	lin = machine(128 * MIB);
	space_in(lin, &parent, GIB);
	p = map(&parent, len, true);
	fill(p, len, PAGE, 1);
	assert_int_equal(huge_bytes(p, len), len);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	c = there(&parent, &child, p);
	fill(c, len, PAGE, 2);
	assert_int_equal(huge_bytes(c, len), len);
	assert_int_equal(huge_bytes(p, len), len);
	OK(hf_translate(&child.mm, hf_linux_va(&child, c), &t));
	assert_int_equal(t.level, HF_LEVEL_PMD);
	check_filled(p, len, PAGE, 1);
	assert_int_equal(stats_of(lin).collapse_errors, 0);
	destroy(&child);
	destroy(&parent);
	end(lin);
}

/*
 * Nearly all of the memory as small pages first; then some of it as huge ones; and again
 * when the host has it back.
 */
static void used_memory_becomes_huge(void **state)
{
	struct hf_linux_space space;
	struct hf_linux *lin;
	char *p;

	(void)state;
	NEED_COLLAPSE();
	lin = machine(16 * MIB);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t len = round ? 4 * MIB : 12 * MIB;

		if (round != 1)
			hf_linux_trim(lin);
		space_in(lin, &space, 16 * MIB);
		p = map(&space, len, round);
		fill(p, len, PAGE, 1);
		for (uint64_t i = 0; i < len; i += 8)
			assert_int_equal(*(uint64_t *)(p + i), i % PAGE ? 0 : stamp(1, i));
		fill(p, len, 8, 2);
		if (round)
			assert_int_equal(huge_bytes(p, len), len);
		destroy(&space);
	}
	end(lin);
}

static void free_memory_goes_back(void **state)
{
	const uint64_t len = 96 * MIB;
	struct hf_linux *lin = machine(256 * MIB);
	struct hf_linux_space space;
	uint64_t before;
	char *p;

	(void)state;
	assert_true(held(lin) < MIB);
	assert_int_equal(hf_linux_trim(lin), 0);
	space_in(lin, &space, 256 * MIB);
	for (unsigned huge = 0; huge < 2; huge++) {
		p = map(&space, len, huge);
		fill(p, len, PAGE, 1);
		assert_true(held(lin) >= len);
		OK(hf_munmap(&space.mm, hf_linux_va(&space, p), len));
		assert_true(held(lin) >= len);
		before = stats_of(lin).returned_bytes;
		assert_in_range(hf_linux_trim(lin), len - 4 * MIB, len + 4 * MIB);
		assert_in_range(stats_of(lin).returned_bytes - before, len - 4 * MIB,
				len + 4 * MIB);
		assert_true(held(lin) < 8 * MIB);
		assert_int_equal(hf_linux_trim(lin), 0);
	}
	p = map(&space, len, true);
	for (uint64_t i = 0; i < len; i += 64)
		assert_int_equal(*(uint64_t *)(p + i), 0);
	fill(p, len, PAGE, 1);
	assert_true(held(lin) >= len);
	destroy(&space);
	assert_true(held(lin) < 8 * MIB);
	end(lin);
}

/* What a child used is kept for the next one. */
static void memory_for_the_next_fork_stays(void **state)
{
	const uint64_t len = 96 * MIB;
	struct hf_linux *lin = machine(256 * MIB);
	struct hf_linux_space parent, child;
	uint64_t after_one, huge_after_one;
	char *p;

	(void)state;
	space_in(lin, &parent, 256 * MIB);
	p = map(&parent, len, true);
	fill(p, len, PAGE, 1);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	fill(there(&parent, &child, p), len, PAGE, 2);
	destroy(&child);
	after_one = held(lin);
	huge_after_one = stats_of(lin).huge_blocks;
	assert_true(after_one >= 2 * len);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	fill(there(&parent, &child, p), len, PAGE, 3);
	destroy(&child);
	assert_in_range(held(lin), after_one, after_one + 4 * MIB);
	assert_in_range(stats_of(lin).huge_blocks, huge_after_one, huge_after_one + 2);
	assert_int_equal(stats_of(lin).returned_bytes, 0);
	destroy(&parent);
	end(lin);
}

/* read(2) with O_DIRECT: the kernel pins the pages and the device writes them. */
static void direct_reads_land_in_pinned_memory(void **state)
{
	const size_t len = 256 * KIB;
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space parent, child;
	struct hf_span spans[64];
	size_t count, done = 0;
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	char *p;

	(void)state;
	space_in(lin, &parent, GIB);
	p = map(&parent, BLOCK, true);
	fill(p, len, 8, 1);
	if (fd < 0 || hf_read(&parent.mm, hf_linux_va(&parent, p), p + MIB, len) ||
	    write(fd, p + MIB, len) != (ssize_t)len || fsync(fd) || fcntl(fd, F_SETFL, O_DIRECT)) {
		destroy(&parent);
		end(lin);
		SKIP("the directory's file system has no O_TMPFILE or no O_DIRECT");
	}
	memset(p, 0, len);
	OK(hf_pin(&parent.mm, hf_linux_va(&parent, p), len, HF_PIN_WRITE, spans, 64, &count));
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	*p = 0;
	for (size_t i = 0; i < count; i++) {
		ssize_t got =
			pread(fd, hf_linux_dma_ptr(lin, spans[i].pa), spans[i].len, (off_t)done);

		assert_int_equal(got, spans[i].len);
		done += spans[i].len;
	}
	assert_int_equal(done, len);
	check_filled(p, len, 8, 1);
	for (size_t i = 0; i < len; i += 8)
		assert_int_equal(*(uint64_t *)(there(&parent, &child, p) + i), 0);
	OK(hf_unpin(hf_linux_phys(lin), spans, count));
	close(fd);
	destroy(&child);
	destroy(&parent);
	end(lin);
}

/* Scenes: programs of their own, which tell the test's pipe where they expect to die. */

/* A machine with one page to write and one to read only, after `action` for SIGSEGV. */
static char *scene_page(const struct sigaction *action, struct hf_linux_space *space)
{
	struct hf_linux *lin;
	char *p;

	sigaction(SIGSEGV, action, NULL);
	lin = machine(16 * MIB);
	space_in(lin, space, 8 * MIB);
	p = map(space, 2 * PAGE, false);
	*p = 1;
	OK(hf_mprotect(&space->mm, hf_linux_va(space, p) + PAGE, PAGE, HF_PROT_READ));
	return p;
}

static void write_forbidden(const struct sigaction *action)
{
	struct hf_linux_space space;
	char *p = scene_page(action, &space) + PAGE + 99;

	expect_death_at(p);
	*(volatile char *)p = 1;
}

static void scene_forbidden_by_default(void)
{
	write_forbidden(&(struct sigaction){ .sa_handler = SIG_DFL });
}

static void scene_forbidden_when_ignored(void)
{
	write_forbidden(&(struct sigaction){ .sa_handler = SIG_IGN });
}

static void scene_foreign_by_default(void)
{
	struct hf_linux_space space;
	char *alien = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	scene_page(&(struct sigaction){ .sa_handler = SIG_DFL }, &space);
	expect_death_at(alien + 5);
	(void)*(volatile char *)(alien + 5);
}

static void scene_killed(void)
{
	struct hf_linux_space space;

	scene_page(&(struct sigaction){ .sa_handler = SIG_DFL }, &space);
	expect_death_at(NULL);
	kill(getpid(), SIGSEGV);
}

static void scene_kill_ignored(void)
{
	struct hf_linux_space space;

	scene_page(&(struct sigaction){ .sa_handler = SIG_IGN }, &space);
	kill(getpid(), SIGSEGV);
	exit(7);
}

static void simple_handler(int sig)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	_exit(sig == SIGSEGV && !sigismember(&mask, SIGSEGV) ? 7 : 8);
}

static void scene_simple_handler(void)
{
	write_forbidden(
		&(struct sigaction){ .sa_handler = simple_handler, .sa_flags = SA_NODEFER });
}

static struct hf_linux_space *volatile repaired;

/* A program that changes what it was refused, as a garbage collector's write barrier does. */
static void repairing_handler(int sig, siginfo_t *info, void *context)
{
	hf_va va = hf_linux_va(repaired, info->si_addr) & ~(PAGE - 1);

	(void)sig;
	(void)context;
	if (hf_mprotect(&repaired->mm, va, PAGE, RW))
		_exit(8);
}

static void scene_handler_repairs(void)
{
	static struct hf_linux_space space;
	struct sigaction action = { .sa_sigaction = repairing_handler, .sa_flags = SA_SIGINFO };
	volatile char *p = scene_page(&action, &space) + PAGE;

	repaired = &space;
	*p = 7;
	exit(*p);
}

/* Host mappings until the host gives no more, or one less. Returns where they are. */
static char *hoard(uint64_t len, bool last)
{
	char *all = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(all, MAP_FAILED);
	for (uint64_t i = PAGE; i < len; i += 2 * PAGE)
		if (mprotect(all + i, PAGE, PROT_READ))
			break;
	assert_int_equal(errno, ENOMEM);
	while (last && mmap(NULL, PAGE, PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		;
	return all;
}

/* No window has a mapping to give up: an access that needs one fails with ENOMEM. */
static void with_nothing_to_give_up(char *p, bool last)
{
	const uint64_t len = 4 * GIB;
	char *mappings = hoard(len, last);

	errno = EXDEV;
	assert_false(may_write(p));
	assert_int_equal(segv.info.si_errno, ENOMEM);
	assert_int_equal(segv.error, EXDEV);
	munmap(mappings, len);
	assert_true(may_write(p));
}

/*
 * The host refuses every mapping. Permissions that are taken away are gone all the same, and
 * accesses and forks go on: windows give up what they have, and nobody sees what the host said.
 */
static void at_the_hosts_limit(bool last)
{
	const struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	const uint64_t len = 4 * GIB;
	struct hf_linux_space parent, child, other;
	struct hf_linux *lin;
	char *p, *q, *mappings;
	hf_va va;

	sigaction(SIGSEGV, &action, NULL);
	lin = machine(64 * MIB);
	space_in(lin, &parent, 16 * MIB);
	p = map(&parent, MIB, false);
	va = hf_linux_va(&parent, p);
	space_in(lin, &other, 16 * MIB);
	q = map(&other, MIB, false);
	with_nothing_to_give_up(q, last);
	fill(p, 64 * PAGE, PAGE, 1);
	fill(q, MIB, 2 * PAGE, 1);
	mappings = hoard(len, last);

	errno = EXDEV;
	for (uint64_t i = 128; i < 256; i++)
		p[i * PAGE] = 1;
	assert_true(stats_of(lin).window_drops > 0);
	assert_int_equal(errno, EXDEV);

	OK(hf_mprotect(&parent.mm, va + 5 * PAGE, PAGE, HF_PROT_READ));
	assert_false(may_write(p + 5 * PAGE));
	OK(hf_munmap(&parent.mm, va + 9 * PAGE, PAGE));
	assert_false(may_read(p + 9 * PAGE));
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	check_filled(q, MIB, 2 * PAGE, 1);
	for (uint64_t i = 0; i < 64; i++)
		if (i != 9)
			assert_int_equal(*(uint64_t *)there(&parent, &child, p + i * PAGE),
					 stamp(1, i * PAGE));
	destroy(&child);

	munmap(mappings, len);
	for (uint64_t i = 0; i < 64; i++)
		if (i != 9)
			assert_int_equal(*(uint64_t *)(p + i * PAGE), stamp(1, i * PAGE));
	assert_false(may_write(p + 5 * PAGE));
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	fill(p + 16 * PAGE, 16 * PAGE, PAGE, 2);
	for (uint64_t i = 16; i < 32; i++)
		assert_int_equal(*(uint64_t *)there(&parent, &child, p + i * PAGE),
				 stamp(1, i * PAGE));
	check_filled(q, MIB, 2 * PAGE, 1);
	destroy(&other);
	destroy(&child);
	destroy(&parent);
	end(lin);
	exit(7);
}

static void scene_at_the_hosts_limit(void)
{
	at_the_hosts_limit(false);
}

static void scene_over_the_hosts_limit(void)
{
	at_the_hosts_limit(true);
}

/* An object of one page, mapped over two: the second page is beyond its end. */
static char *scene_object(struct hf_linux_space *space, struct hf_object **object)
{
	struct hf_object_config config = { .size = PAGE };
	struct hf_linux *lin = machine(16 * MIB);
	hf_va va = 0;

	space_in(lin, space, 8 * MIB);
	OK(hf_object_create(hf_linux_phys(lin), &config, object));
	OK(hf_mmap_object(&space->mm, &va, 2 * PAGE, HF_PROT_READ | HF_PROT_WRITE, HF_MAP_SHARED,
			  *object, 0));
	*(char *)hf_linux_ptr(space, va) = 1;
	return hf_linux_ptr(space, va);
}

static void scene_bus_by_default(void)
{
	struct hf_linux_space space;
	struct hf_object *object;
	char *p = scene_object(&space, &object) + PAGE + 99;

	signal(SIGBUS, SIG_DFL); /* a sanitizer has one of its own */
	expect_death_at(p);
	*(volatile char *)p = 1;
}

static void scene_bus_when_blocked(void)
{
	struct hf_linux_space space;
	struct hf_object *object;
	char *p = scene_object(&space, &object) + PAGE + 98;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGBUS);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	expect_death_at(p);
	(void)*(volatile char *)p;
}

static struct hf_object *bus_object;
static volatile char *volatile bus_at;
static volatile int buses;

/* As the owner of a file does: it grows, and the access goes on. */
static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig != SIGBUS || info->si_code != BUS_ADRERR || info->si_addr != bus_at)
		_exit(8);
	buses++;
	if (hf_object_truncate(bus_object, 2 * PAGE) != HF_OK)
		_exit(9);
}

static void scene_bus_repaired(void)
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	struct hf_linux_space space;

	sigaction(SIGBUS, &action, NULL);
	bus_at = scene_object(&space, &bus_object) + PAGE + 97;
	*bus_at = 5;
	exit(*bus_at == 5 && buses == 1 ? 7 : 10);
}

static const struct scene scenes[] = {
	SCENE(forbidden_by_default),
	SCENE(forbidden_when_ignored),
	SCENE(foreign_by_default),
	SCENE(killed),
	SCENE(kill_ignored),
	SCENE(simple_handler),
	SCENE(handler_repairs),
	SCENE(at_the_hosts_limit),
	SCENE(over_the_hosts_limit),
	SCENE(bus_by_default),
	SCENE(bus_when_blocked),
	SCENE(bus_repaired),
	{ NULL, NULL },
};

static void without_a_handler_the_program_dies(void **state)
{
	(void)state;
	dies_of(SIGSEGV, "forbidden_by_default");
	dies_of(SIGSEGV, "forbidden_when_ignored");
	dies_of(SIGSEGV, "foreign_by_default");
	dies_of(SIGSEGV, "killed");
}

/* What the kernel does with an access beyond a file's end. */
static void beyond_an_object_is_sigbus(void **state)
{
	(void)state;
	exits_with(7, "bus_repaired");
	dies_of(SIGBUS, "bus_by_default");
	dies_of(SIGBUS, "bus_when_blocked");
}

static void a_sent_signal_can_be_ignored(void **state)
{
	(void)state;
	exits_with(7, "kill_ignored");
}

/* What it says that it has, it has; what it says that it has not, shows. */
static void capabilities_are_true(void **state)
{
	struct hf_linux_config small = { .ram_bytes = 16 * MIB, .huge = HF_LINUX_HUGE_OFF };
	struct hf_linux_space space;
	struct hf_linux_caps caps;
	struct hf_linux *lin;
	int ends[2];
	char *p;

	(void)state;
	OK(hf_linux_create(&small, &lin));
	hf_linux_caps(lin, &caps);
	assert_true(caps.objects && caps.swap);
	assert_false(caps.huge_2m || caps.huge_1g || caps.accessed || caps.syscalls);
	space_in(lin, &space, 8 * MIB);
	p = map(&space, PAGE, false);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(read(ends[0], p, 1), -1); /* syscalls */
	assert_int_equal(errno, EFAULT);
	close(ends[0]);
	close(ends[1]);
	hf_linux_space_destroy(&space);
	end(lin);

	lin = machine(16 * MIB);
	space_in(lin, &space, 8 * MIB);
	p = map(&space, BLOCK, true);
	*p = 1;
	hf_linux_caps(lin, &caps);
	assert_true(caps.huge_2m || !stats_of(lin).huge_blocks);
	hf_linux_space_destroy(&space);
	end(lin);
}

static void simple_handlers_are_called(void **state)
{
	(void)state;
	exits_with(7, "simple_handler");
}

static void a_handler_may_repair_and_return(void **state)
{
	(void)state;
	exits_with(7, "handler_repairs");
}

static void a_full_host_takes_permissions_all_the_same(void **state)
{
	static const char *const names[] = { "at_the_hosts_limit", "over_the_hosts_limit" };

	(void)state;
	if (SANITIZED)
		SKIP("sanitizers need host mappings of their own");
	for (size_t i = 0; i < 2; i++)
		exits_with(7, names[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_checked),
		cmocka_unit_test(a_window_shows_the_space),
		cmocka_unit_test(windows_are_used_again_empty),
		cmocka_unit_test(many_windows_and_machines),
		cmocka_unit_test(forked_spaces_diverge),
		cmocka_unit_test(code_runs_where_it_may),
		cmocka_unit_test(threads_fault_at_once),
		cmocka_unit_test(a_fork_is_an_instant),
		cmocka_unit_test(a_stack_may_lie_in_a_window),
		cmocka_unit_test(other_faults_are_the_programs),
		cmocka_unit_test(a_sent_signal_is_no_fault),
		cmocka_unit_test(no_memory_is_told),
		cmocka_unit_test(the_handler_has_its_own_mask),
		cmocka_unit_test(errno_survives_a_fault),
		cmocka_unit_test(host_maps_are_counted_exactly),
		cmocka_unit_test(a_low_limit_drops_windows),
		cmocka_unit_test(no_limit_is_too_low),
		cmocka_unit_test(a_crowd_at_the_limit_loses_nothing),
		cmocka_unit_test(mappings_in_turns_need_few_host_maps),
		cmocka_unit_test(a_heap_of_huge_pages_needs_few_mappings),
		cmocka_unit_test(huge_pages_are_huge_in_the_host),
		cmocka_unit_test(used_memory_becomes_huge),
		cmocka_unit_test(free_memory_goes_back),
		cmocka_unit_test(memory_for_the_next_fork_stays),
		cmocka_unit_test(direct_reads_land_in_pinned_memory),
		cmocka_unit_test(without_a_handler_the_program_dies),
		cmocka_unit_test(beyond_an_object_is_sigbus),
		cmocka_unit_test(a_sent_signal_can_be_ignored),
		cmocka_unit_test(capabilities_are_true),
		cmocka_unit_test(simple_handlers_are_called),
		cmocka_unit_test(a_handler_may_repair_and_return),
		cmocka_unit_test(a_full_host_takes_permissions_all_the_same),
	};

	RIG_MAIN("linux", tests, scenes, argc, argv);
}
