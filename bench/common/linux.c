/* SPDX-License-Identifier: MIT */
/* Linux: anonymous memory of this process, fork(2), and pins through io_uring. */
#define _GNU_SOURCE
#include "clock.h"
#include "system.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if HAVE_URING
#include <liburing.h>
#endif

/* What a child is told to do through its pipe. */
struct order {
	enum {
		TOUCH,
		TABLES
	} what;
	struct walk places;
	bool write;
};

struct space {
	struct layout layout;
	char *base;
	uint64_t at; /* of the chase */
	pid_t child;
	int orders[2], answers[2]; /* pipes, the same for every child */
#if HAVE_URING
	struct io_uring ring;
#endif
	bool has_ring;
};

static double touch_here(struct space *s, const struct walk *places, bool write)
{
	double start = now_ns();

	if (write)
		walk_write(s->base, places);
	else
		walk_read(s->base, places);
	return now_ns() - start;
}

/* The number after `key` in a file of /proc, in KiB; 0 if it is not there. */
static uint64_t proc_kib(const char *file, const char *key)
{
	unsigned long long kib = 0;
	char line[256];
	FILE *f = fopen(file, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			sscanf(line + strlen(key), "%llu", &kib);
	if (f)
		fclose(f);
	return kib;
}

/* `type`: MAP_PRIVATE or MAP_SHARED. */
static void map_one(const struct layout *layout, char *at, uint64_t len, int type)
{
	int flags = type | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;

	if (mmap(at, len, PROT_READ | PROT_WRITE, flags, -1, 0) != at) {
		if (errno == ENOMEM && layout->apart)
			bench_skip("Linux: more mappings than vm.max_map_count allows");
		bench_die("mmap: %s", strerror(errno));
	}
	/* Absent in kernels without huge pages, where 4 KiB is all there is. */
	madvise(at, len, layout->page == 4 * KIB ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
}

static void check_huge(const struct layout *layout)
{
	uint64_t want = layout_pages(layout).count * layout->page / KIB;

	if (layout->page > 4 * KIB && !layout->zero &&
	    proc_kib("/proc/self/smaps_rollup", "AnonHugePages:") < want / 10 * 9)
		bench_skip("Linux: no huge pages to be had (/sys/kernel/mm/transparent_hugepage)");
}

/* Memory as the layout says in [from, from + len), where nothing is mapped. */
static void fill(struct space *s, uint64_t from, uint64_t len)
{
	const struct layout *layout = &s->layout;
	struct walk pages = walk_in_order(len, layout->step);
	uint64_t shared = layout->kind == HALF_SHARED ? len / 2 : 0;

	pages.first = from;
	if (shared)
		map_one(layout, s->base + from, shared, MAP_SHARED);
	if (!layout->apart)
		map_one(layout, s->base + from + shared, len - shared, MAP_PRIVATE);
	for (uint64_t i = 0; layout->apart && i < pages.count; i++)
		map_one(layout, s->base + walk_at(&pages, i), layout->page, MAP_PRIVATE);
	if (layout->step == layout->page && !layout->zero &&
	    madvise(s->base + from, len, MADV_POPULATE_WRITE) && errno != EINVAL)
		bench_die("MADV_POPULATE_WRITE: %s", strerror(errno));
	touch_here(s, &pages, !layout->zero);
	check_huge(layout);
	if (layout->kind == ALL_LOCKED && mlock(s->base + from, len))
		bench_skip("Linux: mlock: %s (RLIMIT_MEMLOCK?)", strerror(errno));
}

static struct space *linux_create(const struct layout *layout)
{
	struct space *s = calloc(1, sizeof(*s));
	uint64_t align = GIB, len = layout->size + align;
	char *area;

	s->layout = *layout;
	if (pipe(s->orders) || pipe(s->answers))
		bench_die("pipe: %s", strerror(errno));
	if (!layout->size)
		return s;
	area = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		bench_skip("Linux: no address space for %s", size_name(layout->size));
	munmap(area, len);
	s->base = (char *)(((uintptr_t)area + align - 1) & ~(uintptr_t)(align - 1));
	fill(s, 0, layout->size);
	return s;
}

static _Noreturn void obey(struct space *s, pid_t parent)
{
	struct order order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent && read(s->orders[0], &order, sizeof(order)) == sizeof(order)) {
		double answer = order.what == TOUCH
					? touch_here(s, &order.places, order.write)
					: (double)(proc_kib("/proc/self/status", "VmPTE:") * KIB);

		if (write(s->answers[1], &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

static double linux_fork(struct space *s)
{
	pid_t self = getpid();
	double start = now_ns(), end;

	s->child = fork();
	if (!s->child)
		obey(s, self);
	end = now_ns();
	if (s->child < 0)
		bench_skip("fork: %s", strerror(errno));
	return end - start;
}

static void linux_reap(struct space *s)
{
	kill(s->child, SIGKILL);
	waitpid(s->child, NULL, 0);
}

/* Have the child do it. */
static double ask(struct space *s, const struct order *order)
{
	double answer;

	if (write(s->orders[1], order, sizeof(*order)) != sizeof(*order) ||
	    read(s->answers[0], &answer, sizeof(answer)) != sizeof(answer))
		bench_die("the child of fork(2) does not answer");
	return answer;
}

static double linux_touch(struct space *s, enum who who, const struct walk *places, bool write)
{
	if (who == PARENT)
		return touch_here(s, places, write);
	return ask(s, &(struct order){ TOUCH, *places, write });
}

static double linux_chase(struct space *s, uint64_t count)
{
	double start = now_ns();

	s->at = walk_chase(s->base, s->at, count);
	return now_ns() - start;
}

/* Linux copies all tables for each child: one tells. */
static double linux_tables(struct space *s, unsigned forks)
{
	double bytes;

	(void)forks;
	linux_fork(s);
	bytes = ask(s, &(struct order){ .what = TABLES });
	linux_reap(s);
	return bytes;
}

#if HAVE_URING
/* Buffers that are registered with io_uring stay pinned until they are unregistered. */
static double linux_pin(struct space *s, const struct walk *places, uint64_t len)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct iovec *iov = calloc(places->count, sizeof(*iov));
	double start, end;
	int err;

	if (!s->has_ring) {
		setrlimit(RLIMIT_MEMLOCK, &all);
		err = io_uring_queue_init(1, &s->ring, 0);
		if (err)
			bench_skip("Linux: io_uring is not allowed: %s", strerror(-err));
		s->has_ring = true;
	}
	for (uint64_t i = 0; i < places->count; i++)
		iov[i] = (struct iovec){ s->base + walk_at(places, i), len };
	start = now_ns();
	err = io_uring_register_buffers(&s->ring, iov, (unsigned)places->count);
	end = now_ns();
	free(iov);
	if (err)
		bench_skip("Linux: io_uring may not pin %s: %s (RLIMIT_MEMLOCK?)",
			   size_name(places->count * len), strerror(-err));
	return end - start;
}

static double linux_unpin(struct space *s)
{
	double start = now_ns();
	int err = io_uring_unregister_buffers(&s->ring);

	if (err)
		bench_die("io_uring_unregister_buffers: %s", strerror(-err));
	return now_ns() - start;
}
#else
static double linux_pin(struct space *s, const struct walk *places, uint64_t len)
{
	(void)s, (void)places, (void)len;
	bench_skip("Linux: no pins, liburing was missing when this was built");
}

static double linux_unpin(struct space *s)
{
	return linux_pin(s, NULL, 0);
}
#endif

/* fork(2) splits huge pages that are pinned, and the first write those that are shared. */
static void linux_renew(struct space *s, uint64_t from, uint64_t len)
{
	if (s->layout.page == 4 * KIB)
		return;
	munmap(s->base + from, len);
	fill(s, from, len);
}

const struct system linux_system = {
	.create = linux_create,
	.fork = linux_fork,
	.reap = linux_reap,
	.touch = linux_touch,
	.chase = linux_chase,
	.tables = linux_tables,
	.pin = linux_pin,
	.unpin = linux_unpin,
	.renew = linux_renew,
};
