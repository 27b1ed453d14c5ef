/* SPDX-License-Identifier: MIT */
/* System calls on the memory of spaces: what linux.h says of them. */
#include "rig.h"

#include <fcntl.h>

#define LEN (64 * PAGE)

/* A file of LEN bytes, each page different. */
static int file_of_pages(uint64_t seed)
{
	int fd = memfd_create("file", 0);
	char page[HF_PAGE_SIZE];

	assert_true(fd >= 0);
	for (uint64_t i = 0; i < LEN; i += PAGE) {
		for (uint64_t k = 0; k < PAGE; k += 8)
			*(uint64_t *)(page + k) = stamp(seed, i + k);
		assert_int_equal(pwrite(fd, page, PAGE, (off_t)i), PAGE);
	}
	return fd;
}

/* What the system calls themselves do: linux.h, "System calls". */

static void calls_stop_where_nothing_was_touched(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	int fd = file_of_pages(1), ends[2];
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = map(&space, LEN, false);
	assert_int_equal(pread(fd, p, LEN, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(pwrite(fd, p, LEN, 0), -1);
	assert_int_equal(errno, EFAULT);

	/* Touched up to somewhere: up to there it goes, and no error is told. */
	p[0] = p[PAGE] = 1;
	assert_int_equal(pread(fd, p, LEN, 0), 2 * PAGE);
	check_filled(p, 2 * PAGE, 8, 1);
	assert_int_equal(pwrite(fd, p, LEN, 0), 2 * PAGE);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], p, 5 * PAGE), 2 * PAGE);

	/* Nothing of what is in a pipe is lost by one that failed. */
	assert_int_equal(read(ends[0], p + 2 * PAGE, PAGE), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(read(ends[0], p, LEN), 2 * PAGE);
	check_filled(p, 2 * PAGE, 8, 1);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	destroy(&space);
	end(lin);
}

static void populated_memory_can_be_given_to_calls(void **state)
{
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space parent, child;
	int fd = file_of_pages(1);
	char *p, *c;
	hf_va va;

	(void)state;
	space_in(lin, &parent, 16 * MIB);
	p = map(&parent, 4 * MIB, false);
	va = hf_linux_va(&parent, p);
	OK(hf_madvise(&parent.mm, va, LEN, HF_ADV_POPULATE_WRITE));
	assert_int_equal(pread(fd, p, LEN, 0), LEN);
	check_filled(p, LEN, 8, 1);

	/* A fork takes the right to write away, and the child has touched nothing. */
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	c = there(&parent, &child, p);
	assert_int_equal(pread(fd, p, LEN, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(pwrite(fd, p, LEN, 0), LEN);
	assert_int_equal(pwrite(fd, c, LEN, 0), -1);
	OK(hf_madvise(&child.mm, va, LEN, HF_ADV_POPULATE_READ));
	assert_int_equal(pwrite(fd, c, LEN, 0), LEN);
	assert_int_equal(pread(fd, c, PAGE, 0), -1);
	OK(hf_madvise(&parent.mm, va, LEN, HF_ADV_POPULATE_WRITE));
	assert_int_equal(pread(fd, p, LEN, PAGE), LEN - PAGE);
	check_filled(c, LEN, 8, 1);
	assert_int_equal(*(uint64_t *)p, stamp(1, PAGE));

	/* Memory that has never been written reads as zeros; a lock is a write of what may be. */
	OK(hf_madvise(&child.mm, va + MIB, LEN, HF_ADV_POPULATE_READ));
	assert_int_equal(pwrite(fd, c + MIB, LEN, 0), LEN);
	OK(hf_mlock(&child.mm, va + 2 * MIB, LEN, 0));
	assert_int_equal(pread(fd, c + 2 * MIB, LEN, 0), LEN);
	assert_int_equal(*(uint64_t *)(c + 2 * MIB), 0);
	destroy(&child);

	/* The pages are where they were, and lack nothing but rights. */
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	destroy(&child);
	OK(hf_madvise(&parent.mm, va, LEN, HF_ADV_POPULATE_WRITE));
	assert_int_equal(pread(fd, p, LEN, 0), LEN);
	close(fd);
	destroy(&parent);
	end(lin);
}

static const struct scene scenes[] = {
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_stop_where_nothing_was_touched),
		cmocka_unit_test(populated_memory_can_be_given_to_calls),
	};

	RIG_MAIN("syscall", tests, scenes, argc, argv);
}
