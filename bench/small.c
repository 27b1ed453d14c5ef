/* SPDX-License-Identifier: MIT */
/*
 * What scripts/bench-count runs under callgrind beside `count`: what a small process costs, a table
 * that is full, and RAM in many ranges. `small OPERATION` does one operation of the soft port many
 * times and prints how many; only what `counted` does is counted, and not the first time, which
 * finds memory that has never been used. No CPU runs in the spaces, so flushes do nothing.
 *
 * The small process is laid out as Linux lays out a program that is linked with a C library:
 * 69 pages below 11 tables (with 4 levels), so 79 of their 5632 entries are used. Its life: fork,
 * four writes on each side, exit, wait.
 */
#include "common/core.h"

#include <holdfast/soft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 4
#define BLOCK (2 * MIB)
#define PAGES 4096

static struct {
	struct hf_soft *soft;
	struct hf_phys *phys;
	struct hf_port port;
	struct hf_mm parent, child;
	hf_va at[4];  /* where the small process writes */
	hf_va base;   /* of the memory of the other scenes */
	uint64_t len; /* of it */
} s;

static void write_to(struct hf_mm *mm, hf_va va)
{
	must(hf_fault(mm, va, HF_ACCESS_WRITE, NULL), "hf_fault");
}

/* ---- What is measured ---- */

static void do_nothing(void)
{
}

static void do_fork(void)
{
	must(hf_fork(&s.parent, &s.child, NULL, HF_FORK_COPY), "hf_fork");
}

static void do_exit(void)
{
	hf_mm_destroy(&s.child);
}

static void do_first_write(void)
{
	write_to(&s.parent, s.at[0]);
}

static void write_small(struct hf_mm *mm)
{
	for (unsigned i = 0; i < 4; i++)
		write_to(mm, s.at[i]);
}

/* As it was before the fork, where only these were written: all is the parent's own again. */
static void do_write_small(void)
{
	write_small(&s.parent);
}

static void do_fork_and_write(void)
{
	do_fork();
	write_small(&s.parent);
	write_small(&s.child);
}

static void do_life(void)
{
	do_fork_and_write();
	do_exit();
}

static void do_exit_and_write(void)
{
	do_exit();
	do_write_small();
}

/* The way to a full table is the parent's own already: a write to the block before saw to that. */
static void do_fork_and_come(void)
{
	do_fork();
	write_to(&s.parent, s.base);
}

static void do_full_write(void)
{
	write_to(&s.parent, s.base + BLOCK);
}

static void do_write_all(void)
{
	for (uint64_t off = 0; off < s.len; off += HF_PAGE_SIZE)
		write_to(&s.parent, s.base + off);
}

static void do_exit_and_write_all(void)
{
	do_exit();
	do_write_all();
}

static void do_discard(void)
{
	must(hf_madvise(&s.parent, s.base, s.len, HF_ADV_DONTNEED), "hf_madvise");
}

static void do_pin_unpin(void)
{
	struct hf_span span;
	size_t count;

	for (uint64_t off = 0; off < s.len; off += HF_PAGE_SIZE) {
		must(hf_pin(&s.parent, s.base + off, HF_PAGE_SIZE, HF_PIN_WRITE, &span, 1, &count),
		     "hf_pin");
		must(hf_unpin(s.phys, &span, 1), "hf_unpin");
	}
}

/* ---- Scenes ---- */

static void no_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	(void)host, (void)mm, (void)va, (void)len, (void)what;
}

static void map(hf_va va, uint64_t len, unsigned pages)
{
	const unsigned rw = HF_PROT_READ | HF_PROT_WRITE;

	must(hf_mmap(&s.parent, &va, len, rw, HF_MAP_FIXED_NOREPLACE), "hf_mmap");
	must(hf_madvise(&s.parent, va, len, HF_ADV_NOHUGEPAGE), "hf_madvise");
	for (unsigned i = 0; i < pages; i++)
		write_to(&s.parent, va + i * HF_PAGE_SIZE);
}

static void begin(unsigned ranges)
{
	struct hf_soft_config config = { .ram_bytes = 64 * MIB, .ranges = ranges };

	must(hf_soft_create(&config, &s.soft), "hf_soft_create");
	s.phys = hf_soft_phys(s.soft);
	s.port = *s.phys->port;
	s.port.flush = no_flush;
	s.phys->port = &s.port;
	must(hf_mm_create(&s.parent, s.phys, NULL), "hf_mm_create");
}

/* Everywhere with 4 levels: 1 root, 2 tables at level 2, 2 at level 1, 6 at level 0. */
static void begin_small(void)
{
	struct hf_mm_stats stats;
	hf_va exe, end;

	begin(1);
	end = s.parent.va_hi;
	exe = (end / 3 * 2) & ~(GIB - 1);
	map(exe + 0x154000, 64 * KIB, 12);	     /* text */
	map(exe + 0x164000, 32 * KIB, 6);	     /* data */
	map(exe + 0x375000, 256 * KIB, 10);	     /* heap */
	map(end - 0x86b0000, 128 * KIB, 8);	     /* a library */
	map(end - 0x8400000, 2 * MIB, 12);	     /* the C library */
	map(end - 0x81f8000, 64 * KIB, 8);	     /* its data, the loader */
	map(end - 0x22000, 128 * KIB, 13);	     /* the stack */
	s.at[0] = end - 0x22000 + 12 * HF_PAGE_SIZE; /* stack */
	s.at[1] = exe + 0x375000;		     /* heap */
	s.at[2] = exe + 0x164000;		     /* data */
	s.at[3] = end - 0x81f8000;		     /* the C library's data */
	hf_mm_stats(&s.parent, &stats);
	if (stats.leaves[0] != 69 || (end == (hf_va)1 << 47 && stats.tables != 11))
		bench_die("small: the process has %u tables and %u pages", (unsigned)stats.tables,
			  (unsigned)stats.leaves[0]);
}

static void begin_full(void)
{
	begin(1);
	s.base = GIB;
	s.len = 2 * BLOCK;
	map(s.base, s.len, (unsigned)(s.len / HF_PAGE_SIZE));
}

/* The pages take up many ranges, if there are many. */
static void begin_pages(unsigned ranges)
{
	begin(ranges);
	s.base = GIB;
	s.len = PAGES * HF_PAGE_SIZE;
	map(s.base, s.len, PAGES);
}

static void begin_one_range(void)
{
	begin_pages(1);
}

static void begin_512_ranges(void)
{
	begin_pages(512);
}

static const struct operation {
	const char *name;
	void (*begin)(void);
	void (*before)(void), (*counted)(void), (*after)(void);
	unsigned each; /* operations in a step */
} operations[] = {
	{ "small-life", begin_small, do_nothing, do_life, do_write_small, 1 },
	{ "small-fork", begin_small, do_nothing, do_fork, do_exit_and_write, 1 },
	{ "small-first-write", begin_small, do_fork, do_first_write, do_exit_and_write, 1 },
	{ "small-exit", begin_small, do_fork_and_write, do_exit, do_write_small, 1 },
	{ "full-first-write", begin_full, do_fork_and_come, do_full_write, do_exit_and_write_all,
	  1 },
	{ "1-range-fault", begin_one_range, do_discard, do_write_all, do_nothing, PAGES },
	{ "512-ranges-fault", begin_512_ranges, do_discard, do_write_all, do_nothing, PAGES },
	{ "1-range-cow", begin_one_range, do_fork, do_write_all, do_exit, PAGES },
	{ "512-ranges-cow", begin_512_ranges, do_fork, do_write_all, do_exit, PAGES },
	{ "1-range-pin", begin_one_range, do_nothing, do_pin_unpin, do_nothing, PAGES },
	{ "512-ranges-pin", begin_512_ranges, do_nothing, do_pin_unpin, do_nothing, PAGES },
	{ "1-range-unmap", begin_one_range, do_nothing, do_discard, do_write_all, PAGES },
	{ "512-ranges-unmap", begin_512_ranges, do_nothing, do_discard, do_write_all, PAGES },
};
#define COUNT (sizeof(operations) / sizeof(operations[0]))

/* callgrind switches on at this function's entry and off at its end. */
static __attribute__((noinline)) void counted(void (*run)(void))
{
	run();
	__asm__ volatile("");
}

int main(int argc, char **argv)
{
	const struct operation *op = operations;

	if (argc != 2) {
		for (size_t i = 0; i < COUNT; i++)
			puts(operations[i].name);
		return 0;
	}
	while (op < operations + COUNT && strcmp(op->name, argv[1]))
		op++;
	if (op == operations + COUNT)
		bench_die("small: no operation is called %s", argv[1]);
	op->begin();
	for (unsigned i = 0; i <= ROUNDS; i++) {
		op->before();
		if (i)
			counted(op->counted);
		else
			op->counted();
		op->after();
	}
	printf("%u\n", ROUNDS * op->each);
	return 0;
}
