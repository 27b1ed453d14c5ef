/* SPDX-License-Identifier: MIT */
/*
 * hf_mm_dump, to the letter. Frames are numbered as they first appear (#1, #2, ...), so that two
 * dumps show what they share; what depends on the format is asked of it.
 */
#include "disk.h"
#include "port.h"

#include "arch/entry.h"

/* What was printed, from level 2 down. */
struct dump {
	char text[1 << 14];
	size_t len;
	unsigned lines, frames;
	unsigned long frame[64];
};

static unsigned number_of(struct dump *d, unsigned long frame)
{
	unsigned i = 0;

	while (i < d->frames && d->frame[i] != frame)
		i++;
	assert_true(i < 64);
	d->frame[i] = frame;
	d->frames = i == d->frames ? i + 1 : d->frames;
	return i + 1;
}

static void append(struct dump *d, const char *s, size_t len)
{
	assert_true(d->len + len < sizeof(d->text));
	memcpy(d->text + d->len, s, len);
	d->text[d->len += len] = 0;
}

/* The rest of a line, with the number for the frame in it. */
static void append_line(struct dump *d, const char *line)
{
	static const char *const before[] = { " table ", " page ", " zero " };

	for (size_t i = 0; i < 3; i++) {
		const char *at = strstr(line, before[i]);
		char number[16], *end;

		if (!at)
			continue;
		at += strlen(before[i]);
		append(d, line, (size_t)(at - line));
		snprintf(number, sizeof(number), "#%u", number_of(d, strtoul(at, &end, 16)));
		append(d, number, strlen(number));
		line = end;
		break;
	}
	append(d, line, strlen(line));
	append(d, "\n", 1);
}

/* Every format has a level 2; the levels above it have one entry each here. */
static void keep(void *arg, const char *line)
{
	struct dump *d = arg;
	const unsigned above = HF_TOP_LEVEL - HF_LEVEL_PUD;
	char start[64];

	if (d->lines == 0) {
		assert_int_equal(strncmp(line, "space 0x", 8), 0);
	} else if (d->lines <= above) {
		snprintf(start, sizeof(start), "%*sL%u 0x000000000000 table 0x",
			 (int)(2 * (d->lines - 1)), "", HF_TOP_LEVEL - d->lines + 1);
		assert_int_equal(strncmp(line, start, strlen(start)), 0);
	} else {
		append_line(d, line + 2 * above);
	}
	d->lines++;
}

static void dump(struct space *s, struct dump *d)
{
	d->len = d->lines = 0;
	hf_mm_dump(s->mm, keep, d);
}

#define DUMPS(s, d, ...) expect_dump((s), (d), __FILE__, __LINE__, __VA_ARGS__)
static void expect_dump(struct space *s, struct dump *d, const char *file, int line,
			const char *format, ...)
{
	char want[sizeof(d->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(want, sizeof(want), format, args);
	va_end(args);
	dump(s, d);
	if (!strcmp(d->text, want))
		return;
	print_error("printed:\n%s\nexpected:\n%s", d->text, want);
	_fail(file, line);
}

/* ---- What it says ---- */

static void dump_of_an_empty_space_has_one_line(void **state)
{
	struct space *s = space_new(*state);
	struct dump d = { 0 };

	dump(s, &d);
	SAME(d.lines, 1);
}

/* Neighbours of one kind are one line, if they lie together in RAM. */
static void dump_folds_what_is_alike(void **state)
{
	struct space *s = space_new(*state);
	hf_va va = map_at(s, SPACE_LO, 2 * PMD_SIZE, RW), small = SPACE_LO + 2 * PMD_SIZE;
	struct dump d = { 0 };

	OK(hf_madvise(s->mm, va, 2 * PMD_SIZE, HF_ADV_HUGEPAGE));
	OK(hf_madvise(s->mm, va, 2 * PMD_SIZE, HF_ADV_POPULATE_WRITE));
	map_at(s, small, PMD_SIZE, RW);
	OK(hf_madvise(s->mm, small, PMD_SIZE, HF_ADV_NOHUGEPAGE));
	for (unsigned i = 0; i < 6; i++)
		if (i != 3)
			put(s, small + i * PAGE, 1);
	OK(hf_mprotect(s->mm, small + 4 * PAGE, PAGE, HF_PROT_READ | HF_PROT_EXEC));
	OK(hf_mprotect(s->mm, small + 5 * PAGE, PAGE, HF_PROT_NONE));
	OK(hf_madvise(s->mm, small + 8 * PAGE, 3 * PAGE, HF_ADV_POPULATE_READ));
	OK(hf_madvise(s->mm, small + 12 * PAGE, PAGE, HF_ADV_POPULATE_READ));
	DUMPS(s, &d,
	      "L2 0x000040000000 table #1 W refs 1\n"
	      "  L1 0x000040000000 page #2 RW- accessed dirty maps 1 x 2\n"
	      "  L1 0x000040400000 table #3 W refs 1\n"
	      "    L0 0x000040400000 page #4 RW- accessed dirty maps 1 x 3\n"
	      "    L0 0x000040404000 page #5 R-X accessed dirty maps 1\n"
	      "    L0 0x000040405000 page #6 --- hidden accessed dirty maps 1\n"
	      "    L0 0x000040408000 zero #7 R-- accessed x 3\n"
	      "    L0 0x00004040c000 zero #7 R-- accessed\n");
}

/* A whole table of pages that lie together; one that lies elsewhere is a line of its own. */
static void dump_folds_what_follows_in_ram_alone(void **state)
{
	struct space *s = space_new(*state), *child;
	hf_va va = map_at(s, SPACE_LO, PMD_SIZE, RW);
	struct dump d = { 0 };

	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_NOHUGEPAGE));
	fill(s, va, PMD_SIZE, 1);
	DUMPS(s, &d,
	      "L2 0x000040000000 table #1 W refs 1\n"
	      "  L1 0x000040000000 table #2 W refs 1\n"
	      "    L0 0x000040000000 page #3 RW- accessed dirty maps 1 x 512\n");
	child = fork_space(s, HF_FORK_COPY);
	put(s, va + 9 * PAGE, 1);
	space_end(child);
	fill(s, va, PMD_SIZE, 1);
	d.frames = 0;
	DUMPS(s, &d,
	      "L2 0x000040000000 table #1 W refs 1\n"
	      "  L1 0x000040000000 table #2 W refs 1\n"
	      "    L0 0x000040000000 page #3 RW- accessed dirty maps 1 x 9\n"
	      "    L0 0x000040009000 page #4 RW- accessed dirty maps 1\n"
	      "    L0 0x00004000a000 page #5 RW- accessed dirty maps 1 x 502\n");
}

/* What is pinned has LOOK above it, and stays writable; the child shares the rest. */
static void dump_shows_what_fork_did(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_at(s, SPACE_LO, 2 * PMD_SIZE, RW), small = SPACE_LO + 2 * PMD_SIZE;
	const char *unarmed = hf_format.unarmed ? " unarmed" : "";
	struct dump d = { 0 };
	struct pin pin;

	OK(hf_madvise(s->mm, va, 2 * PMD_SIZE, HF_ADV_HUGEPAGE));
	OK(hf_madvise(s->mm, va, 2 * PMD_SIZE, HF_ADV_POPULATE_WRITE));
	map_at(s, small, PMD_SIZE, RW);
	OK(hf_madvise(s->mm, small, PMD_SIZE, HF_ADV_NOHUGEPAGE));
	put(s, small, 1);
	pin_range(s, va, PMD_SIZE, HF_PIN_WRITE, &pin);
	child = fork_space(s, HF_FORK_COPY);
	DUMPS(s, &d,
	      "L2 0x000040000000 table #1 W LOOK refs 1\n"
	      "  L1 0x000040000000 page #2 RW- accessed dirty maps 1 pinned 512\n"
	      "  L1 0x000040200000 page #3 R-- accessed dirty maps 2\n"
	      "  L1 0x000040400000 table #4 -%s refs 2\n"
	      "    L0 0x000040400000 page #5 RW- accessed dirty maps 1\n",
	      unarmed);
	DUMPS(child, &d,
	      "L2 0x000040000000 table #6 W refs 1\n"
	      "  L1 0x000040000000 page #7 RW- accessed dirty maps 1\n"
	      "  L1 0x000040200000 page #3 R-- accessed dirty maps 2\n"
	      "  L1 0x000040400000 table #4 -%s refs 2\n"
	      "    L0 0x000040400000 page #5 RW- accessed dirty maps 1\n",
	      unarmed);
	unpin(m, &pin);
}

/* Three pages that lie together and differ in their counts alone. */
static void dump_tells_counts_apart(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_at(s, SPACE_LO, 4 * PAGE, RW);
	struct dump d = { 0 };
	struct pin one, both;

	fill(s, va, 4 * PAGE, 1);
	SAME(pa_of(s, va + 3 * PAGE).v, pa_of(s, va).v + 3 * PAGE);
	pin_range(s, va, PAGE, HF_PIN_WRITE, &one);
	pin_range(s, va, 2 * PAGE, HF_PIN_WRITE, &both);
	DUMPS(s, &d,
	      "L2 0x000040000000 table #1 W LOOK refs 1\n"
	      "  L1 0x000040000000 table #2 W LOOK refs 1\n"
	      "    L0 0x000040000000 page #3 RW- accessed dirty maps 1 pins 2\n"
	      "    L0 0x000040001000 page #4 RW- accessed dirty maps 1 pins 1\n"
	      "    L0 0x000040002000 page #5 RW- accessed dirty maps 1 x 2\n");
	child = fork_space(s, HF_FORK_COPY);
	OK(hf_munmap(child->mm, va + 3 * PAGE, PAGE));
	DUMPS(s, &d,
	      "L2 0x000040000000 table #1 W LOOK refs 1\n"
	      "  L1 0x000040000000 table #2 W LOOK refs 1\n"
	      "    L0 0x000040000000 page #3 RW- accessed dirty maps 1 pins 2\n"
	      "    L0 0x000040001000 page #4 RW- accessed dirty maps 1 pins 1\n"
	      "    L0 0x000040002000 page #5 R-- accessed dirty maps 2\n"
	      "    L0 0x000040003000 page #6 R-- accessed dirty maps 1\n");
	unpin(m, &one);
	unpin(m, &both);
}

static void dump_shows_what_reclaim_may_take_and_took(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_at(s, SPACE_LO, 8 * PAGE, RW);
	struct disk *disk = disk_on(m, 16);
	struct dump d = { 0 };

	fill(s, va, 6 * PAGE, 1);
	OK(hf_madvise(s->mm, va, 2 * PAGE, HF_ADV_FREE));
	OK(hf_madvise(s->mm, va + 2 * PAGE, 2 * PAGE, HF_ADV_PAGEOUT));
	DUMPS(s, &d,
	      "L2 0x000040000000 table #1 W refs 1\n"
	      "  L1 0x000040000000 table #2 W refs 1\n"
	      "    L0 0x000040000000 page #3 R-- accessed lazy maps 1 x 2\n"
	      "    L0 0x000040002000 swapped slot 0 x 2\n"
	      "    L0 0x000040004000 page #4 RW- accessed dirty maps 1 x 2\n");
	disk_off(m, disk);
}

static const struct CMUnitTest tests[] = {
	TEST(dump_of_an_empty_space_has_one_line),
	TEST(dump_folds_what_is_alike),
	TEST(dump_folds_what_follows_in_ram_alone),
	TEST(dump_shows_what_fork_did),
	TEST(dump_tells_counts_apart),
	TEST(dump_shows_what_reclaim_may_take_and_took),
};
SUITE(suite_dump, tests);
