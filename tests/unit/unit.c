/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "unit.h"

#include <sys/mman.h>

void expect_status(enum hf_status got, enum hf_status want, const char *call, const char *file,
		   int line)
{
	if (got == want)
		return;
	print_error("%s\n  gives %s, expected %s\n", call, hf_status_name(got),
		    hf_status_name(want));
	_fail(file, line);
}

void expect_same(uint64_t got, uint64_t want, const char *what, const char *file, int line)
{
	if (got == want)
		return;
	print_error("%s\n  is 0x%llx, expected 0x%llx\n", what, (unsigned long long)got,
		    (unsigned long long)want);
	_fail(file, line);
}

void expect_sound(struct hf_phys *phys, const char *file, int line)
{
	struct hf_violation violation = { 0 };

	if (hf_mm_check(phys, &violation) == HF_OK)
		return;
	print_error("hf_mm_check: rule %s, va 0x%llx, pa 0x%llx\n",
		    violation.rule ? violation.rule : "(none)", (unsigned long long)violation.va,
		    (unsigned long long)violation.pa.v);
	_fail(file, line);
}

static void no_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	(void)host;
	(void)mm;
	(void)va;
	(void)len;
	(void)what;
}

static void panic(void *host, const char *what)
{
	(void)host;
	print_error("panic: %s\n", what);
	abort();
}

const struct hf_port quiet_port = { .flush = no_flush, .panic = panic };

void ram_map(struct hf_ram *ram, const struct range *range)
{
	size_t meta = hf_phys_meta_size(range->len);

	*ram = (struct hf_ram){ .base = { range->base }, .len = range->len };
	ram->map = mmap(NULL, range->len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(ram->map, MAP_FAILED);
	ram->meta = malloc(meta);
	memset(ram->meta, 0xa5, meta);
}

void ram_unmap(struct hf_ram *ram)
{
	munmap(ram->map, ram->len);
	free(ram->meta);
}

struct memory *memory_new(const struct range *ranges, size_t count, const struct hf_port *port,
			  void *host, uint32_t count_limit)
{
	struct memory *m = calloc(1, sizeof(*m));
	struct hf_phys_config config = {
		.port = port,
		.host = host,
		.ram = m->ram,
		.ram_count = count,
		.count_limit = count_limit,
	};

	m->count = count;
	for (size_t i = 0; i < count; i++)
		ram_map(&m->ram[i], &ranges[i]);
	OK(hf_phys_init(&m->phys, &config));
	return m;
}

struct memory *memory_of(uint64_t len, const struct hf_port *port, void *host)
{
	return memory_new(&(struct range){ GIB, len }, 1, port, host, 0);
}

void memory_end(struct memory *m)
{
	CHECK(&m->phys);
	OK(hf_phys_fini(&m->phys));
	for (size_t i = 0; i < m->count; i++)
		ram_unmap(&m->ram[i]);
	free(m);
}

uint64_t free_bytes(struct memory *m)
{
	struct hf_phys_stats stats;

	hf_phys_stats(&m->phys, &stats);
	return stats.free_bytes;
}

struct hf_mm *space_new(struct memory *m)
{
	struct hf_mm *mm = calloc(1, sizeof(*mm));

	OK(hf_mm_create(mm, &m->phys, NULL));
	return mm;
}

struct hf_mm *space_fork(struct hf_mm *parent, enum hf_fork_policy policy)
{
	struct hf_mm *child = calloc(1, sizeof(*child));

	OK(hf_fork(parent, child, NULL, policy));
	return child;
}

void space_end(struct hf_mm *mm)
{
	hf_mm_destroy(mm);
	free(mm);
}

hf_va map(struct hf_mm *mm, uint64_t len)
{
	hf_va va = 0;

	OK(hf_mmap(mm, &va, len, RW, 0));
	return va;
}

hf_va map_huge(struct hf_mm *mm, size_t leaves)
{
	hf_va va = map(mm, leaves * PMD_SIZE);
	struct hf_mm_stats before, after;

	hf_mm_stats(mm, &before);
	OK(hf_madvise(mm, va, leaves * PMD_SIZE, HF_ADV_HUGEPAGE));
	OK(hf_madvise(mm, va, leaves * PMD_SIZE, HF_ADV_POPULATE_WRITE));
	hf_mm_stats(mm, &after);
	SAME(after.leaves[HF_LEVEL_PMD] - before.leaves[HF_LEVEL_PMD], leaves);
	return va;
}

void put(struct hf_mm *mm, hf_va va, uint64_t value)
{
	OK(hf_write(mm, va, &value, sizeof(value)));
}

uint64_t get(struct hf_mm *mm, hf_va va)
{
	uint64_t value = 0;

	OK(hf_read(mm, va, &value, sizeof(value)));
	return value;
}

hf_pa pa_of(struct hf_mm *mm, hf_va va)
{
	struct hf_translation t;

	OK(hf_translate(mm, va, &t));
	return (hf_pa){ t.pa.v + (va - t.va) };
}

uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}
