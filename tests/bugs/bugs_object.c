/* SPDX-License-Identifier: MIT */
/* What went wrong with files and shared memory. */
#include "bugs.h"

/*
 * A file of which every page begins with its number plus 1, and which keeps what is written back.
 */
struct file {
	uint64_t words[1024];
	unsigned writes;
};

static enum hf_status file_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	const struct file *file = host;

	for (uint64_t at = 0; at < len; at += PAGE)
		memcpy((char *)page + at, &file->words[(offset + at) / PAGE], 8);
	return HF_OK;
}

static enum hf_status file_keep(void *host, uint64_t offset, const void *page, uint64_t len)
{
	struct file *file = host;

	file->writes++;
	for (uint64_t at = 0; at < len; at += PAGE)
		memcpy(&file->words[(offset + at) / PAGE], (const char *)page + at, 8);
	return HF_OK;
}

static const struct hf_pager pager = { .get = file_get, .writeback = file_keep };

static struct hf_object *file_open(struct machine *m, struct file *file, uint64_t size,
				   enum hf_object_huge huge)
{
	struct hf_object_config config = { size, huge, &pager, file, false };
	struct hf_object *object = NULL;

	file->writes = 0;
	for (uint64_t i = 0; i < 1024; i++)
		file->words[i] = i + 1;
	OK(hf_object_create(m->phys, &config, &object));
	return object;
}

static hf_va map_file(struct space *s, struct hf_object *object, uint64_t len, unsigned prot,
		      unsigned flags)
{
	hf_va va = 0;

	OK(hf_mmap_object(s->mm, &va, len, prot, flags, object, 0));
	return va;
}

static uint64_t word_of(struct hf_object *object, uint64_t offset)
{
	uint64_t word = 0;

	OK(hf_object_read(object, offset, &word, sizeof(word)));
	return word;
}

/*
 * early-copy-of-file-page: a page of a file that a device holds through a shared mapping is not
 * early copied for a child that has it in a private mapping and has never written to it: it is
 * the file's, and shows what the file has.
 */
static void early_copy_of_file_page(void **state)
{
	static const enum hf_fork_policy policies[] = { HF_FORK_COPY, HF_FORK_SPLIT };
	struct machine *m = *state;
	static struct file file;

	for (unsigned i = 0; i < 2; i++) {
		struct hf_object *object = file_open(m, &file, 4 * PAGE, HF_OBJECT_SMALL);
		struct space *s = space_new(m), *child;
		hf_va shared = map_file(s, object, 4 * PAGE, RW, HF_MAP_SHARED);
		hf_va private = map_file(s, object, 4 * PAGE, RW, HF_MAP_PRIVATE);
		hf_pa pa = hold(s, shared + PAGE, HF_PIN_WRITE);

		SAME(get(s, private + PAGE), 2); /* mapped beside the pinned one */
		let_go(m, hold(s, private + 2 * PAGE, HF_PIN_READ)); /* fork looks there */
		child = bare_fork(s, policies[i]);
		dma_put(m, pa, 1000);
		SAME(get(s, private + PAGE), 1000);
		SAME(get(child, private + PAGE), 1000);
		SAME(get(child, shared + PAGE), 1000);
		SAME_PA(pa_of(child, private + PAGE), pa);
		CHECK(m);
		let_go(m, pa);
		space_end(child);
		space_end(s);
		hf_object_put(object);
	}
}

/*
 * cow-flag-on-shared: a write to shared memory that was write-protected for a while is for
 * all who share it; no copy is made, whatever came before.
 */
static void writes_reach(struct space *a, struct space *b, hf_va va, uint64_t len)
{
	hf_pa pa;

	put(a, va + PAGE, 1);
	pa = pa_of(a, va + PAGE);
	SAME(get(b, va + PAGE), 1);
	OK(hf_mprotect(a->mm, va, len, RO));
	assert_false(may_store(a, va + PAGE));
	OK(hf_mprotect(a->mm, va, len, RW));
	put(a, va + PAGE, 2);
	SAME(get(b, va + PAGE), 2);
	SAME_PA(pa_of(a, va + PAGE), pa);
	OK(hf_madvise(a->mm, va, len, HF_ADV_DONTNEED));
	put(a, va + PAGE, 3);
	SAME(get(b, va + PAGE), 3);
	SAME_PA(pa_of(a, va + PAGE), pa);
	CHECK(a->m);
}

static void cow_flag_on_shared(void **state)
{
	struct machine *m = *state;

	for (unsigned level = 0; level < 2; level++) {
		struct space *s = space_new(m), *child;
		uint64_t len = level ? PMD_SIZE : 4 * PAGE;
		hf_va va = 0;

		OK(hf_mmap(s->mm, &va, 2 * PMD_SIZE, RW, HF_MAP_SHARED));
		if (level)
			OK(hf_madvise(s->mm, va, 2 * PMD_SIZE, HF_ADV_HUGEPAGE));
		put(s, va, 7);
		let_go(m, hold(s, va, HF_PIN_WRITE)); /* as if to be copied */
		child = bare_fork(s, HF_FORK_COPY);
		writes_reach(s, child, va, len);
		writes_reach(child, s, va, len);
		SAME(level_of(s, va + PAGE), level);
		space_end(child);
		space_end(s);
	}
}

/* The same for a file, whose writes must be noticed as well. */
static void cow_flag_on_shared_file(void **state)
{
	struct machine *m = *state;
	static struct file file;
	struct hf_object *object = file_open(m, &file, 4 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m), *child;
	hf_va va = map_file(s, object, 4 * PAGE, RW, HF_MAP_SHARED);

	child = bare_fork(s, HF_FORK_COPY);
	writes_reach(s, child, va, 4 * PAGE);
	writes_reach(child, s, va, 4 * PAGE);
	space_end(child);
	space_end(s);
	hf_object_put(object);
	SAME(file.words[1], 3);
}

/*
 * read-pin-goes-stale, of a file's page: the device reads what the owner writes, though the
 * owner's write moves him away from the file.
 */
static void read_pin_goes_stale_of_a_file_page(void **state)
{
	struct machine *m = *state;
	static struct file file;
	struct hf_object *object = file_open(m, &file, 4 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va va = map_file(s, object, 4 * PAGE, RW, HF_MAP_PRIVATE);
	hf_pa pa;

	SAME(get(s, va), 1); /* the file's own page */
	pa = hold(s, va, HF_PIN_READ);
	put(s, va, 77);
	SAME(dma_get(m, pa), 77);
	coherent(s, va, pa);
	SAME(word_of(object, 0), 1);
	let_go(m, pa);
	hf_object_put(object);
}

/*
 * write-becomes-read, of a file: a write that the mapping forbids does not get through by trying
 * again, and one to a private mapping never reaches the file, though the copy was dropped
 * in between.
 */
static void write_becomes_read_of_a_file(void **state)
{
	struct machine *m = *state;
	static struct file file;
	struct hf_object *object = file_open(m, &file, 4 * PAGE, HF_OBJECT_SMALL);
	struct space *s = space_new(m);
	hf_va ro = map_file(s, object, 4 * PAGE, RO, HF_MAP_PRIVATE);
	hf_va rw = map_file(s, object, 4 * PAGE, RW, HF_MAP_PRIVATE);
	hf_va shared = map_file(s, object, 4 * PAGE, RO, HF_MAP_SHARED);
	uint64_t word = 666;

	for (int round = 0; round < 3; round++) {
		GIVES(HF_ERR_ACCESS, hf_write(s->mm, ro, &word, sizeof(word)));
		GIVES(HF_ERR_ACCESS, hf_write(s->mm, shared, &word, sizeof(word)));
		GIVES(HF_ERR_ACCESS, hf_fault(s->mm, ro, HF_ACCESS_WRITE, NULL));
		GIVES(HF_ERR_ACCESS, hf_fault(s->mm, shared, HF_ACCESS_WRITE, NULL));
		OK(hf_write(s->mm, rw, &word, sizeof(word)));
		SAME(get(s, rw), 666);
		SAME(word_of(object, 0), 1);
		SAME(get(s, ro), 1);
		SAME(get(s, shared), 1);
		OK(hf_madvise(s->mm, ro, 4 * PAGE, HF_ADV_DONTNEED));
		OK(hf_madvise(s->mm, rw, 4 * PAGE, HF_ADV_DONTNEED));
		OK(hf_madvise(s->mm, shared, 4 * PAGE, HF_ADV_DONTNEED));
		SAME(get(s, rw), 1);
		CHECK(m);
	}
	space_end(s);
	hf_object_put(object);
	SAME(file.writes, 0);
}

/*
 * huge-marked-dirty, of a file: reading a huge page, or asking for it to be present, does not
 * make it dirty, and a private writer leaves the file's page alone.
 */
static void huge_marked_dirty_of_a_file(void **state)
{
	struct machine *m = *state;
	static struct file file;
	struct hf_object *object = file_open(m, &file, 2 * PMD_SIZE, HF_OBJECT_HUGE);
	struct space *s = space_new(m);
	hf_va shared = map_file(s, object, 2 * PMD_SIZE, RW, HF_MAP_SHARED);
	hf_va private = map_file(s, object, 2 * PMD_SIZE, RW, HF_MAP_PRIVATE);
	struct hf_object_stats stats;

	OK(hf_madvise(s->mm, shared, 2 * PMD_SIZE, HF_ADV_POPULATE_READ));
	SAME(get(s, shared + 5 * PAGE), 6);
	SAME(level_of(s, shared), HF_LEVEL_PMD);
	SAME(get(s, private + 5 * PAGE), 6);
	put(s, private + 5 * PAGE, 77);
	SAME(get(s, shared + 5 * PAGE), 6);
	OK(hf_madvise(s->mm, private, 2 * PMD_SIZE, HF_ADV_DONTNEED));
	SAME(get(s, private + 5 * PAGE), 6);
	hf_object_stats(object, &stats);
	SAME(stats.dirty_bytes, 0);
	space_end(s);
	hf_object_put(object);
	SAME(file.writes, 0);
}

static const struct CMUnitTest tests[] = {
	TEST(early_copy_of_file_page),	    TEST(cow_flag_on_shared),
	TEST(cow_flag_on_shared_file),	    TEST(read_pin_goes_stale_of_a_file_page),
	TEST(write_becomes_read_of_a_file), TEST(huge_marked_dirty_of_a_file),
};
SUITE(bugs_object, tests);
