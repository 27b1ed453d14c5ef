/* SPDX-License-Identifier: MIT */
/*
 * A kernel whose own half is in the same top table as the user's cannot load the core's root:
 * it keeps a top table of its own, and docs/porting.md says that copying entries in `flush` and
 * `fill` alone is enough. Here such tables are what the CPU walks.
 */
#include "unit.h"

#include "table/table.h"

#define SPACES 4
#define TOPS 3	 /* entries of the root in use, */
#define PAGES 16 /* and pages below each */
#define STEPS 20000

struct space {
	struct hf_mm mm;
	bool alive;
	uint64_t top[HF_TABLE_ENTRIES]; /* what the CPU walks */
	uint64_t word[TOPS][PAGES];	/* what it must find; 0: nothing was stored */
	struct hf_span span;
	bool pinned;
};

struct kernel {
	struct hf_port port;
	struct memory *m;
	struct space space[SPACES];
	uint64_t seed;
};

static unsigned below(struct kernel *k, unsigned n)
{
	return (unsigned)(next_random(&k->seed) % n);
}

static void copy_top(struct hf_mm *mm, hf_va lo, hf_va last)
{
	struct space *s = mm->host;
	const hf_pte *root = hf_table_entries(mm->phys, mm->root);

	for (unsigned i = hf_table_index(lo, HF_TOP_LEVEL); i <= hf_table_index(last, HF_TOP_LEVEL);
	     i++)
		s->top[i] = root[i].v;
}

static void flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	(void)host, (void)what;
	copy_top(mm, va, va + len - 1);
}

static void fill(void *host, struct hf_mm *mm, hf_va va, uint64_t len,
		 const struct hf_translation *t)
{
	(void)host, (void)t;
	copy_top(mm, va, va + len - 1);
}

static hf_va address(unsigned top, unsigned page)
{
	return top * hf_level_size(HF_TOP_LEVEL) + 16 * MIB + page * PAGE;
}

/* The walk of a CPU without caches: the word at `va`, or NULL for a page fault. */
static uint64_t *walk(const struct space *s, hf_va va, bool write)
{
	hf_pte e = { s->top[hf_table_index(va, HF_TOP_LEVEL)] };

	for (unsigned level = HF_TOP_LEVEL;; level--) {
		if (!hf_pte_present(e) || (write && !hf_pte_writable(e, level)))
			return NULL;
		if (hf_pte_leaf(e, level)) {
			if (!hf_format.marks && !hf_leaf_accessed(e))
				return NULL;
			return (uint64_t *)((char *)hf_frame_ptr(s->mm.phys, hf_pte_pfn(e)) +
					    (va & (hf_level_size(level) - 1)));
		}
		e = hf_pte_get(hf_table_entries(s->mm.phys, hf_pte_pfn(e)) +
			       hf_table_index(va, level - 1));
	}
}

/* An access as a program makes it: the status is that of the fault it dies of, if any. */
static enum hf_status touch(struct space *s, hf_va va, bool write, uint64_t *value)
{
	uint64_t *word;

	while (!(word = walk(s, va, write))) {
		enum hf_status st =
			hf_fault(&s->mm, va, write ? HF_ACCESS_WRITE : HF_ACCESS_READ, NULL);

		if (st)
			return st;
	}
	if (write)
		*word = *value;
	else
		*value = *word;
	return HF_OK;
}

static void do_access(struct kernel *k, struct space *s)
{
	unsigned top = below(k, TOPS), page = below(k, PAGES);
	uint64_t value = next_random(&k->seed) | 1;

	if (!touch(s, address(top, page), true, &value))
		s->word[top][page] = value;
	top = below(k, TOPS);
	page = below(k, PAGES);
	if (!touch(s, address(top, page), false, &value))
		SAME(value, s->word[top][page]);
	else
		SAME(s->word[top][page], 0);
}

static void do_map(struct kernel *k, struct space *s)
{
	unsigned top = below(k, TOPS), page = below(k, PAGES);
	unsigned pages = 1 + below(k, PAGES - page);
	hf_va va = address(top, page);

	if (below(k, 2))
		OK(hf_mmap(&s->mm, &va, pages * PAGE, RW, HF_MAP_FIXED));
	else
		OK(hf_munmap(&s->mm, va, pages * PAGE));
	memset(&s->word[top][page], 0, pages * sizeof(s->word[0][0]));
}

static void do_pin(struct kernel *k, struct space *s)
{
	size_t count;

	if (s->pinned)
		OK(hf_unpin(s->mm.phys, &s->span, 1));
	s->pinned = !s->pinned && !hf_pin(&s->mm, address(below(k, TOPS), below(k, PAGES)), PAGE,
					  HF_PIN_WRITE, &s->span, 1, &count);
}

static void end(struct space *s)
{
	if (s->pinned)
		OK(hf_unpin(s->mm.phys, &s->span, 1));
	hf_mm_destroy(&s->mm);
	memset(s, 0, sizeof(*s));
}

static void do_fork(struct kernel *k, struct space *s)
{
	struct space *child = &k->space[below(k, SPACES)];

	if (child == s)
		return;
	if (child->alive)
		end(child);
	OK(hf_fork(&s->mm, &child->mm, child, below(k, 2) ? HF_FORK_COPY : HF_FORK_SPLIT));
	memcpy(child->word, s->word, sizeof(s->word));
	child->alive = true;
}

static void step(struct kernel *k)
{
	struct space *s = &k->space[below(k, SPACES)];
	unsigned what = below(k, 40);

	if (!s->alive) {
		const struct hf_mm_config config = { .host = s };

		OK(hf_mm_create(&s->mm, &k->m->phys, &config));
		s->alive = true;
	}
	if (what < 4)
		do_fork(k, s);
	else if (what < 8)
		do_map(k, s);
	else if (what < 11)
		do_pin(k, s);
	else
		do_access(k, s);
}

static void copying_entries_in_flush_and_fill_is_enough(void **state)
{
	struct kernel *k = calloc(1, sizeof(*k));

	(void)state;
	k->port = quiet_port;
	k->port.flush = flush;
	k->port.fill = fill;
	k->m = memory_of(32 * MIB, &k->port, k);
	k->seed = 1;
	for (unsigned i = 0; i < STEPS; i++)
		step(k);
	CHECK(&k->m->phys);
	for (unsigned i = 0; i < SPACES; i++)
		if (k->space[i].alive)
			end(&k->space[i]);
	memory_end(k->m);
	free(k);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copying_entries_in_flush_and_fill_is_enough),
	};

	return RUN(tests, argc, argv);
}
