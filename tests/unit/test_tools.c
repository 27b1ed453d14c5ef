/* SPDX-License-Identifier: MIT */
/* The parts of `holdfast run` that need no heap: units, percentiles, files, order checks. */
#include "files.h"
#include "layout.h"
#include "stats.h"
#include "units.h"
#include "writers.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../cases.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void sizes_are_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t unit, bytes;
	} good[] = {
		{ "0", MIB, 0 },
		{ "64", MIB, 64 * MIB },
		{ "64", 1, 64 },
		{ "1GiB", 1, GIB },
		{ "1G", MIB, GIB },
		{ "1gb", 1, GIB },
		{ "1.5 GiB", 1, 3 * GIB / 2 },
		{ "512MiB", MIB, 512 * MIB },
		{ "10b", MIB, 10 },
		{ "4k", 1, 4096 },
		{ "2TiB", 1, 2048 * GIB },
	};
	static const char *const bad[] = { "",	  "x",	 "-1",	"+1",  "1X",	    "1GiBs", "1bb",
					   "inf", "nan", "1 2", "MiB", "16777216T", "1e30",  " 1" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint64_t bytes = 12345;

		assert_true(size_parse(good[i].text, good[i].unit, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint64_t bytes = 12345;

		assert_false(size_parse(bad[i], 1, &bytes));
		assert_int_equal(bytes, 12345);
	}
}

static void units_are_printed(void **state)
{
	(void)state;
	assert_string_equal(size_text(0).s, "0 B");
	assert_string_equal(size_text(1023).s, "1023 B");
	assert_string_equal(size_text(GIB).s, "1 GiB");
	assert_string_equal(size_text(64 * MIB).s, "64 MiB");
	assert_string_equal(size_text(3 * GIB / 2).s, "1.50 GiB");
	assert_string_equal(size_text(GIB - 1).s, "1.00 GiB");
	assert_string_equal(time_text(999.9).s, "1.00 ms");
	assert_string_equal(time_text(43.21).s, "43.2 us");
	assert_string_equal(time_text(123456).s, "123 ms");
	assert_string_equal(time_text(4e6).s, "4 s");
	assert_string_equal(count_text(0).s, "0");
	assert_string_equal(count_text(999).s, "999");
	assert_string_equal(count_text(1000).s, "1,000");
	assert_string_equal(count_text(16384).s, "16,384");
	assert_string_equal(count_text(UINT64_MAX).s, "18,446,744,073,709,551,615");
}

static struct samples *new_samples(void)
{
	struct samples *samples = calloc(1, sizeof(*samples));

	assert_non_null(samples);
	return samples;
}

static void percentiles_are_nearest_ranks(void **state)
{
	struct samples *samples = new_samples();

	(void)state;
	assert_true(samples_percentile(samples, 50) == 0);
	samples_add(samples, 7);
	assert_true(samples_percentile(samples, 0) == 7);
	assert_true(samples_percentile(samples, 50) == 7);
	assert_true(samples_percentile(samples, 100) == 7);
	samples->count = 0;
	for (int i = 0; i < 100; i++)
		samples_add(samples, (i * 37) % 100 + 1); /* 1 to 100 in disorder */
	assert_true(samples_percentile(samples, 50) == 50);
	assert_true(samples_percentile(samples, 99) == 99);
	assert_true(samples_percentile(samples, 99.5) == 100);
	assert_true(samples_spread(samples).p50 == 50);
	assert_true(samples_spread(samples).p99 == 99);
	assert_true(samples_spread(samples).max == 100);
	samples->count = 0;
	for (int i = 0; i < 3; i++)
		samples_add(samples, i);
	assert_true(samples_percentile(samples, 50) == 1);
	assert_true(samples_percentile(samples, 99) == 2);
	free(samples);
}

static void samples_have_an_end(void **state)
{
	struct samples *samples = new_samples();

	(void)state;
	for (size_t i = 0; i < SAMPLES_MAX + 3; i++)
		samples_add(samples, 1);
	assert_int_equal(samples->count, SAMPLES_MAX);
	free(samples);
}

/* A directory that ends with the test. */
struct tree {
	char dir[64];
};

static int make_tree(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	assert_non_null(tree);
	snprintf(tree->dir, sizeof(tree->dir), "/tmp/holdfast-test-XXXXXX");
	assert_non_null(mkdtemp(tree->dir));
	*state = tree;
	return 0;
}

static int remove_tree(void **state)
{
	struct tree *tree = *state;
	char line[128];

	snprintf(line, sizeof(line), "rm -rf '%s'", tree->dir);
	free(tree);
	return system(line);
}

static const char *path_in(const struct tree *tree, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", tree->dir, name);
	return path;
}

/* Byte i of a file is i * 7 modulo 256. */
static void make_file(const struct tree *tree, const char *name, size_t size)
{
	FILE *file = fopen(path_in(tree, name), "w");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		putc((int)(i * 7 & 255), file);
	assert_int_equal(fclose(file), 0);
}

static void files_come_in_order_and_pieces(void **state)
{
	struct tree *tree = *state;
	struct files files;

	make_file(tree, "c", 1000);
	make_file(tree, "a", 4096);
	make_file(tree, "empty", 0);
	assert_int_equal(mkdir(path_in(tree, "b"), 0700), 0);
	make_file(tree, "b/x", 9000);
	assert_int_equal(symlink("a", path_in(tree, "link")), 0);
	assert_int_equal(mkfifo(path_in(tree, "fifo"), 0600), 0);

	assert_true(files_walk(&files, tree->dir, 4096, 100));
	assert_int_equal(files.files, 3);
	assert_string_equal(files.file[0].path, path_in(tree, "a"));
	assert_string_equal(files.file[1].path, path_in(tree, "b/x"));
	assert_string_equal(files.file[2].path, path_in(tree, "c"));
	assert_int_equal(files.bytes, 4096 + 9000 + 1000);
	assert_int_equal(files.pieces, 1 + 3 + 1);
	assert_int_equal(files.piece[0].len, 4096);
	assert_int_equal(files.piece[3].file, 1);
	assert_int_equal(files.piece[3].off, 8192);
	assert_int_equal(files.piece[3].len, 9000 - 8192);
	files_free(&files);

	assert_true(files_walk(&files, tree->dir, 4096, 3));
	assert_int_equal(files.pieces, 3);
	assert_int_equal(files.bytes, 3 * 4096);
	files_free(&files);
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
	struct tree *tree = *state;
	struct files files;

	assert_false(files_walk(&files, path_in(tree, "none"), 4096, 100));
	assert_int_equal(errno, ENOENT);
}

static void files_are_compared(void **state)
{
	struct tree *tree = *state;
	struct files files;
	char bytes[4096], scratch[4096];

	make_file(tree, "a", 6000);
	assert_true(files_walk(&files, tree->dir, 4096, 100));
	assert_int_equal(files.pieces, 2);
	for (size_t i = 0; i < files.piece[1].len; i++)
		bytes[i] = (char)((i + 4096) * 7 & 255);
	assert_int_equal(files_compare(&files, &files.piece[1], bytes, scratch), FILES_SAME);
	bytes[1903] ^= 1;
	assert_int_equal(files_compare(&files, &files.piece[1], bytes, scratch), FILES_DIFFER);
	assert_false(files_changed(&files, &files.piece[1]));

	make_file(tree, "a", 6001);
	assert_true(files_changed(&files, &files.piece[1]));
	assert_int_equal(files_compare(&files, &files.piece[1], bytes, scratch), FILES_CHANGED);
	assert_int_equal(unlink(path_in(tree, "a")), 0);
	assert_int_equal(files_compare(&files, &files.piece[1], bytes, scratch), FILES_CHANGED);
	files_free(&files);
}

static const struct layout layout = { .heap = 4 * HUGE_BYTES, .zone = 2 * HUGE_BYTES };

static int make_heap(void **state)
{
	*state = calloc(layout_pages(&layout), PAGE_BYTES);
	return *state ? 0 : -1;
}

static int free_heap(void **state)
{
	free(*state);
	return 0;
}

static void pages_of_pairs_and_field_are_apart(void **state)
{
	size_t slots = layout_slots(&layout);

	(void)state;
	assert_int_equal(slots, 32);
	assert_int_equal(layout_pair_page(&layout, 0), 0);
	assert_int_equal(layout_pair_page(&layout, 2 * PAIRS - 2), PAIRS - 1);
	assert_int_equal(layout_pair_page(&layout, 1), (slots - 1) * PAIRS);
	assert_int_equal(layout_pair_page(&layout, 2 * PAIRS - 1), slots * PAIRS - 1);
	for (uint64_t n = 1; n < 100000; n++) {
		size_t page = layout_field_page(&layout, n);

		assert_in_range(page, layout.zone / PAGE_BYTES, layout_pages(&layout) - 1);
	}
}

/* The heap after `writes` writes of the writer of pairs; `skip` of them (from 1) is missing. */
static void write_pairs(char *heap, uint64_t writes, uint64_t skip)
{
	memset(heap, 0, layout_pages(&layout) * PAGE_BYTES);
	for (uint64_t i = 0; i < writes; i++)
		if (i + 1 != skip)
			layout_stamp(heap, layout_pair_page(&layout, i % (2 * PAIRS)))->seq =
				i / (2 * PAIRS) + 1;
}

static void every_prefix_of_the_pairs_is_whole(void **state)
{
	char *heap = *state;

	for (uint64_t writes = 0; writes < 4 * PAIRS + 2; writes++) {
		write_pairs(heap, writes, 0);
		assert_false(writers_pairs_torn(&layout, heap));
	}
}

static void a_missing_write_of_the_pairs_is_seen(void **state)
{
	char *heap = *state;
	const uint64_t writes = 3 * PAIRS;

	/* Without the last write it is the prefix before. */
	for (uint64_t skip = writes - 2 * PAIRS + 1; skip < writes; skip++) {
		write_pairs(heap, writes, skip);
		assert_true(writers_pairs_torn(&layout, heap));
	}
}

static void write_field(char *heap, uint64_t writes, uint64_t skip)
{
	memset(heap, 0, layout_pages(&layout) * PAGE_BYTES);
	for (uint64_t n = 1; n <= writes; n++)
		if (n != skip)
			layout_stamp(heap, layout_field_page(&layout, n))->seq = n;
}

static void every_prefix_of_the_field_is_whole(void **state)
{
	char *heap = *state;

	for (uint64_t writes = 0; writes < 600; writes += 7) {
		write_field(heap, writes, 0);
		assert_false(writers_field_torn(&layout, heap, writes, writes));
		assert_false(
			writers_field_torn(&layout, heap, writes > 5 ? writes - 5 : 0, writes + 5));
		/* One write had begun and was not counted yet. */
		if (writes)
			assert_false(writers_field_torn(&layout, heap, writes - 1, writes - 1));
	}
}

static void a_missing_write_of_the_field_is_seen(void **state)
{
	char *heap = *state;
	const uint64_t writes = 500;

	for (uint64_t skip = writes - 200; skip < writes; skip += 9) {
		size_t page = layout_field_page(&layout, skip);
		bool hidden = false;

		for (uint64_t n = skip + 1; n <= writes; n++)
			hidden = hidden || layout_field_page(&layout, n) == page;
		write_field(heap, writes, skip);
		assert_int_equal(writers_field_torn(&layout, heap, skip - 1, writes), !hidden);
	}
}

static void writes_of_the_field_out_of_time_are_seen(void **state)
{
	char *heap = *state;

	write_field(heap, 300, 0);
	/* A write that was done before the fork is not there. */
	assert_true(writers_field_torn(&layout, heap, 301, 310));
	/* One is there that began after it. */
	assert_true(writers_field_torn(&layout, heap, 290, 298));
}

static void writers_keep_their_order(void **state)
{
	char *heap = *state;
	struct writers writers = { .layout = &layout, .base = heap };

	writers_go_on(&writers);
	assert_true(writers_start(&writers));
	while (writers.field_writes < FIELD_BURST)
		usleep(1000);
	usleep(5000);
	writers_stop(&writers);
	assert_true(writers.laps > 0);
	assert_int_equal(writers.field_writes, FIELD_BURST);
	assert_false(writers_pairs_torn(&layout, heap));
	assert_false(writers_field_torn(&layout, heap, writers.field_writes, writers.field_writes));
}

#define TREE_TEST(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)
#define HEAP_TEST(test) cmocka_unit_test_setup_teardown(test, make_heap, free_heap)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_parsed),
		cmocka_unit_test(units_are_printed),
		cmocka_unit_test(percentiles_are_nearest_ranks),
		cmocka_unit_test(samples_have_an_end),
		TREE_TEST(files_come_in_order_and_pieces),
		TREE_TEST(a_directory_that_is_not_there_is_an_error),
		TREE_TEST(files_are_compared),
		cmocka_unit_test(pages_of_pairs_and_field_are_apart),
		HEAP_TEST(every_prefix_of_the_pairs_is_whole),
		HEAP_TEST(a_missing_write_of_the_pairs_is_seen),
		HEAP_TEST(every_prefix_of_the_field_is_whole),
		HEAP_TEST(a_missing_write_of_the_field_is_seen),
		HEAP_TEST(writes_of_the_field_out_of_time_are_seen),
		HEAP_TEST(writers_keep_their_order),
	};

	return run_cases("tools", tests, sizeof(tests) / sizeof(tests[0]),
			 argc > 1 ? argv[1] : NULL);
}
