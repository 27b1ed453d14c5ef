/* SPDX-License-Identifier: MIT */
/* The words of port.h, except the state snapshot (state.c). */
#include "port.h"

/* Failing. Messages say what was called and what came back. */

void expect_status(enum hf_status got, enum hf_status want, const char *call, const char *file,
		   int line)
{
	if (got == want)
		return;
	print_error("%s\n  gives %s, expected %s\n", call, hf_status_name(got),
		    hf_status_name(want));
	_fail(file, line);
}

void expect_u64(uint64_t got, uint64_t want, const char *what, const char *file, int line)
{
	if (got == want)
		return;
	print_error("%s\n  is 0x%llx, expected 0x%llx\n", what, (unsigned long long)got,
		    (unsigned long long)want);
	_fail(file, line);
}

void expect_sound(struct machine *m, const char *file, int line)
{
	struct hf_violation violation = { 0 };
	enum hf_status status = hf_mm_check(m->phys, &violation);

	if (status == HF_OK)
		return;
	print_error("hf_mm_check: %s: rule %s, va 0x%llx, pa 0x%llx\n", hf_status_name(status),
		    violation.rule ? violation.rule : "(none)", (unsigned long long)violation.va,
		    (unsigned long long)violation.pa.v);
	_fail(file, line);
}

/* Machines. */

/* The huge zero page is allocated by the first huge read and kept: not a leak. */
static void read_huge_zeros(struct machine *m)
{
	struct space *s = space_new(m);

	SAME(get(s, map_level(s, HF_LEVEL_PMD, 1)), 0);
	space_end(s);
}

struct machine *machine_new(const struct machine_config *config)
{
	struct machine *m = calloc(1, sizeof(*m));

	OK(test_port.create(m, config));
	read_huge_zeros(m);
	m->free_at_start = free_bytes(m);
	return m;
}

void machine_end(struct machine *m)
{
	for (size_t i = 0; i < MAX_SPACES; i++) {
		if (m->spaces[i])
			space_end(m->spaces[i]);
	}
	CHECK(m);
	SAME(free_bytes(m), m->free_at_start); /* or a page was leaked */
	OK(test_port.destroy(m));
	free(m);
}

int machine_setup(void **state)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES };

	*state = machine_new(&config);
	return 0;
}

int machine_teardown(void **state)
{
	machine_end(*state);
	return 0;
}

/* Spaces. */

static struct space *space_slot(struct machine *m)
{
	struct space *s = calloc(1, sizeof(*s));

	s->m = m;
	return s;
}

static void space_keep(struct space *s)
{
	size_t i = 0;

	while (i < MAX_SPACES && s->m->spaces[i])
		i++;
	if (i == MAX_SPACES)
		fail_msg("more than %d spaces in one test", MAX_SPACES);
	s->m->spaces[i] = s;
}

struct space *space_new_of(struct machine *m, uint64_t len, enum hf_huge_cow huge_cow)
{
	struct space *s = space_slot(m);

	OK(test_port.space_create(s, len, huge_cow));
	space_keep(s);
	CHECK(m);
	return s;
}

struct space *space_new(struct machine *m)
{
	return space_new_of(m, SPACE_LEN, HF_HUGE_COW_WHOLE);
}

void space_end(struct space *s)
{
	for (size_t i = 0; i < MAX_SPACES; i++) {
		if (s->m->spaces[i] == s)
			s->m->spaces[i] = NULL;
	}
	test_port.space_destroy(s);
	CHECK(s->m);
	free(s);
}

enum hf_status try_fork(struct space *parent, enum hf_fork_policy policy, struct space **child)
{
	struct space *s = space_slot(parent->m);
	enum hf_status status = test_port.fork(parent, s, policy);

	if (status == HF_OK) {
		space_keep(s);
	} else {
		free(s);
		s = NULL;
	}
	*child = s;
	return status;
}

struct space *fork_space(struct space *parent, enum hf_fork_policy policy)
{
	struct space *child;

	OK(try_fork(parent, policy, &child));
	CHECK(parent->m);
	return child;
}

/* Mappings. */

hf_va map(struct space *s, uint64_t len, unsigned prot)
{
	hf_va va = 0;

	OK(hf_mmap(s->mm, &va, len, prot, 0));
	CHECK(s->m);
	return va;
}

hf_va map_at(struct space *s, hf_va va, uint64_t len, unsigned prot)
{
	OK(hf_mmap(s->mm, &va, len, prot, HF_MAP_FIXED));
	CHECK(s->m);
	return va;
}

hf_va map_level(struct space *s, unsigned level, size_t count)
{
	static const enum hf_advice advice[] = {
		[HF_LEVEL_PTE] = HF_ADV_NOHUGEPAGE,
		[HF_LEVEL_PMD] = HF_ADV_HUGEPAGE,
		[HF_LEVEL_PUD] = HF_ADV_HUGEPAGE_1G,
	};
	hf_va va = map(s, count * hf_level_size(level), RW);

	SAME(va % hf_level_size(level), 0);
	OK(hf_madvise(s->mm, va, count * hf_level_size(level), advice[level]));
	return va;
}

hf_va map_filled(struct space *s, unsigned level, size_t count, uint64_t seed)
{
	hf_va va = map_level(s, level, count);
	uint64_t len = count * hf_level_size(level);

	OK(hf_madvise(s->mm, va, len, HF_ADV_POPULATE_WRITE));
	for (uint64_t at = 0; at < len; at += hf_level_size(level))
		SAME(level_of(s, va + at), level);
	fill(s, va, len, seed);
	CHECK(s->m);
	return va;
}

/* Programs. */

void put(struct space *s, hf_va va, uint64_t value)
{
	if (!test_port.store(s, va, &value, sizeof(value)))
		fail_msg("store at 0x%llx refused", (unsigned long long)va);
}

uint64_t get(struct space *s, hf_va va)
{
	uint64_t value = 0;

	if (!test_port.load(s, va, &value, sizeof(value)))
		fail_msg("load at 0x%llx refused", (unsigned long long)va);
	return value;
}

bool may_load(struct space *s, hf_va va)
{
	char byte;

	return test_port.load(s, va, &byte, 1);
}

bool may_store(struct space *s, hf_va va)
{
	char byte = 0x5a;

	return test_port.store(s, va, &byte, 1);
}

uint64_t stamp(uint64_t seed, hf_va va)
{
	return (seed + 1) * 0x9e3779b97f4a7c15u ^ va;
}

#define STAMP_AT_END (PAGE - sizeof(uint64_t))

void fill(struct space *s, hf_va va, uint64_t len, uint64_t seed)
{
	for (hf_va at = va; at < va + len; at += PAGE) {
		put(s, at, stamp(seed, at));
		put(s, at + STAMP_AT_END, stamp(seed, at + STAMP_AT_END));
	}
}

static void expect_word(struct space *s, hf_va va, uint64_t want, const char *file, int line)
{
	uint64_t got = get(s, va);

	if (got == want)
		return;
	print_error("memory at 0x%llx is 0x%llx, expected 0x%llx\n", (unsigned long long)va,
		    (unsigned long long)got, (unsigned long long)want);
	_fail(file, line);
}

void expect_filled(struct space *s, hf_va va, uint64_t len, uint64_t seed, const char *file,
		   int line)
{
	for (hf_va at = va; at < va + len; at += PAGE) {
		expect_word(s, at, stamp(seed, at), file, line);
		expect_word(s, at + STAMP_AT_END, stamp(seed, at + STAMP_AT_END), file, line);
	}
}

void expect_zeros(struct space *s, hf_va va, uint64_t len, const char *file, int line)
{
	for (hf_va at = va; at < va + len; at += PAGE) {
		expect_word(s, at, 0, file, line);
		expect_word(s, at + STAMP_AT_END, 0, file, line);
	}
}

/* Tables and frames. */

static struct hf_translation translation(struct space *s, hf_va va)
{
	struct hf_translation t = { 0 };
	enum hf_status status = hf_translate(s->mm, va, &t);

	if (status != HF_OK)
		fail_msg("nothing present at 0x%llx: %s", (unsigned long long)va,
			 hf_status_name(status));
	return t;
}

bool present(struct space *s, hf_va va)
{
	struct hf_translation t;

	return hf_translate(s->mm, va, &t) == HF_OK;
}

hf_pa pa_of(struct space *s, hf_va va)
{
	struct hf_translation t = translation(s, va);

	return (hf_pa){ t.pa.v + (va - t.va) };
}

unsigned level_of(struct space *s, hf_va va)
{
	return translation(s, va).level;
}

unsigned access_of(struct space *s, hf_va va)
{
	return translation(s, va).access;
}

uint64_t leaves(struct space *s, unsigned level)
{
	struct hf_mm_stats stats;

	hf_mm_stats(s->mm, &stats);
	return stats.leaves[level];
}

uint64_t pages_swapped(struct space *s)
{
	struct hf_mm_stats stats;

	hf_mm_stats(s->mm, &stats);
	return stats.swapped;
}

struct hf_vma_info mapping_at(struct space *s, hf_va va)
{
	struct hf_vma_info v = { 0 };

	OK(hf_vma_next(s->mm, va, &v));
	return v;
}

size_t mappings(struct space *s)
{
	struct hf_vma_info v;
	size_t n = 0;

	for (hf_va va = 0; hf_vma_next(s->mm, va, &v) == HF_OK; va = v.end)
		n++;
	return n;
}

uint64_t free_bytes(struct machine *m)
{
	struct hf_phys_stats stats;

	hf_phys_stats(m->phys, &stats);
	return stats.free_bytes;
}

uint32_t pins_at(struct machine *m, hf_pa pa)
{
	uint32_t pins = 0;

	OK(hf_phys_pins(m->phys, pa, &pins));
	return pins;
}

/* Devices. */

void pin_range(struct space *s, hf_va va, uint64_t len, unsigned flags, struct pin *pin)
{
	OK(hf_pin(s->mm, va, len, flags, pin->spans, MAX_SPANS, &pin->count));
	CHECK(s->m);
}

void unpin(struct machine *m, const struct pin *pin)
{
	OK(hf_unpin(m->phys, pin->spans, pin->count));
	CHECK(m);
}

void dma_put(struct machine *m, hf_pa pa, uint64_t value)
{
	test_port.dma_write(m, pa, &value, sizeof(value));
}

uint64_t dma_get(struct machine *m, hf_pa pa)
{
	uint64_t value = 0;

	test_port.dma_read(m, pa, &value, sizeof(value));
	return value;
}

/* Scarcity. */

void hoard_all(struct machine *m, unsigned order, struct hoard *hoard)
{
	size_t most = free_bytes(m) >> (order + HF_PAGE_SHIFT);

	hoard->pages = calloc(most + 1, sizeof(*hoard->pages));
	hoard->count = 0;
	hoard->order = order;
	while (hf_phys_alloc(m->phys, order, &hoard->pages[hoard->count]) == HF_OK)
		hoard->count++;
}

void hoard_release(struct machine *m, struct hoard *hoard)
{
	for (size_t i = 0; i < hoard->count; i++)
		OK(hf_phys_free(m->phys, hoard->pages[i], hoard->order));
	free(hoard->pages);
	hoard->pages = NULL;
	hoard->count = 0;
}

static int by_address(const void *a, const void *b)
{
	const hf_pa *x = a, *y = b;

	return x->v < y->v ? -1 : x->v > y->v;
}

void fragment(struct machine *m, size_t count, struct hoard *hoard)
{
	size_t kept = 0;

	hoard_all(m, 0, hoard);
	qsort(hoard->pages, hoard->count, sizeof(*hoard->pages), by_address);
	for (size_t i = 0; i < hoard->count; i++) {
		if ((i & 1) && count) {
			OK(hf_phys_free(m->phys, hoard->pages[i], 0));
			count--;
		} else {
			hoard->pages[kept++] = hoard->pages[i];
		}
	}
	hoard->count = kept;
	SAME(count, 0);
}

/* What the host could give without swapping; 0 if it does not say. */
static uint64_t host_memory(void)
{
	unsigned long long kib = 0;
	FILE *meminfo = fopen("/proc/meminfo", "r");
	char line[128];

	while (meminfo && !kib && fgets(line, sizeof(line), meminfo))
		sscanf(line, "MemAvailable: %llu kB", &kib);
	if (meminfo)
		fclose(meminfo);
	return kib * KIB;
}

void need_host_memory(uint64_t bytes)
{
	uint64_t available = host_memory();

	if (available < bytes)
		SKIP("needs %llu MiB of free host memory, there are %llu",
		     (unsigned long long)(bytes / MIB), (unsigned long long)(available / MIB));
}

/* What port.h promises of every flush. */
void check_trace(void *arg, const struct hf_trace_event *event)
{
	(void)arg;
	if (event->what != HF_TRACE_FLUSH ||
	    __atomic_load_n(&event->mm->lock[0], __ATOMIC_RELAXED)) /* others come and go */
		return;
	print_error("a space was flushed and its lock not held\n");
	abort(); /* with locks held there is no way back to the test */
}

/* Calls in the middle of a call. */

static struct {
	struct hf_port port;
	const struct hf_port *behind;
	enum hf_trace what;
	void (*run)(void *arg, const struct hf_trace_event *event);
	void *arg;
} waiting;

static void run_if_due(void *host, const struct hf_trace_event *event)
{
	void (*run)(void *arg, const struct hf_trace_event *event) = waiting.run;

	(void)host;
	if (!run || event->what != waiting.what)
		return;
	waiting.run = NULL;
	run(waiting.arg, event);
}

void meanwhile(struct machine *m, enum hf_trace what,
	       void (*run)(void *arg, const struct hf_trace_event *event), void *arg)
{
	waiting.behind = m->phys->port;
	waiting.port = *waiting.behind;
	waiting.port.trace = run_if_due;
	waiting.what = what;
	waiting.run = run;
	waiting.arg = arg;
	m->phys->port = &waiting.port;
}

void meanwhile_done(struct machine *m)
{
	bool called = !waiting.run;

	waiting.run = NULL;
	m->phys->port = waiting.behind;
	assert_true(called);
}

/* Running. */

int run_test_array(const char *name, const struct CMUnitTest *tests, size_t count, int argc,
		   char **argv)
{
	return run_cases(name, tests, count, argc > 1 ? argv[1] : NULL);
}

int run_suites(const char *name, const struct suite *const *suites, size_t count, int argc,
	       char **argv)
{
	struct CMUnitTest *all;
	size_t total = 0, at = 0;
	int failed;

	for (size_t i = 0; i < count; i++)
		total += suites[i]->count;
	all = calloc(total, sizeof(*all));
	for (size_t i = 0; i < count; i++) {
		memcpy(all + at, suites[i]->tests, suites[i]->count * sizeof(*all));
		at += suites[i]->count;
	}
	failed = run_test_array(name, all, total, argc, argv);
	free(all);
	return failed;
}
