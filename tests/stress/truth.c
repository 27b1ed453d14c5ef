/* SPDX-License-Identifier: MIT */
/*
 * What a word may be. Values tell who made them, for which page, and when: a thread's values rise. So
 * what one thread knows of its word is an interval, from what it was to what it is about to be, and
 * a child's word is in the interval that begins where its parent's was before the fork and
 * ends where it was after. The first time that the thread reads it, it knows.
 */
#include "world.h"

struct interval {
	uint64_t lo, hi, was_hi;
};

static struct interval truth[SLOTS][COMMON_PAGES][THREADS_MAX][WORDS];
static struct interval file_truth[FILE_PAGES][THREADS_MAX];

static uint64_t get(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void set(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

static uint64_t make(struct thread *t, unsigned page)
{
	return ++t->sequence << 20 | (uint64_t)page << 8 | (t->index + 1);
}

/* Of thread and page; zeros are nobody's. */
static bool tagged(uint64_t value, unsigned thread, unsigned page)
{
	return !value || (value & 0xfffff) == ((uint64_t)page << 8 | (thread + 1));
}

static uint64_t interval_begin(struct thread *t, struct interval *i, unsigned page)
{
	uint64_t value = make(t, page);

	i->was_hi = i->hi;
	set(&i->hi, value);
	return value;
}

static void interval_end(struct interval *i, bool stored)
{
	if (stored)
		set(&i->lo, i->hi);
	else
		set(&i->hi, i->was_hi);
}

/* Stored by nobody else: whatever it is stays. */
static void interval_seen(struct thread *t, struct interval *i, unsigned page, uint64_t value,
			  const char *what)
{
	if (!tagged(value, t->index, page) || value < i->lo || value > i->hi)
		wrong("%s, page %u of slot %u, thread %u: %#llx is not between %#llx and %#llx",
		      what, page, t->slot, t->index, (unsigned long long)value,
		      (unsigned long long)i->lo, (unsigned long long)i->hi);
	set(&i->lo, value);
	set(&i->hi, value);
}

uint64_t truth_begin(struct thread *t, unsigned page, enum word word)
{
	return interval_begin(t, &truth[t->slot][page][t->index][word], page);
}

void truth_end(struct thread *t, unsigned page, enum word word, bool stored)
{
	interval_end(&truth[t->slot][page][t->index][word], stored);
}

void truth_seen(struct thread *t, unsigned page, enum word word, uint64_t value)
{
	interval_seen(t, &truth[t->slot][page][t->index][word], page, value,
		      word == BY_CPU ? "a CPU's word" : "a device's word");
}

void truth_before_fork(unsigned from, unsigned to)
{
	for (unsigned p = 0; p < COMMON_PAGES; p++)
		for (unsigned t = 0; t < world.threads; t++)
			for (unsigned w = 0; w < WORDS; w++)
				set(&truth[to][p][t][w].lo, get(&truth[from][p][t][w].lo));
}

/*
 * The child is one instant: where it has a thread's newest value, it has all older ones. Of one thread;
 * of the parent's words those count that the thread is sure of.
 */
static void check_instant(struct thread *t, unsigned from, unsigned to)
{
	static _Thread_local uint64_t child[COMMON_PAGES];
	unsigned of = (unsigned)below(t, world.threads);
	uint64_t newest = 0;

	for (unsigned p = 0; p < COMMON_PAGES; p++) {
		const hf_va va = COMMON + p * PAGE + word_at(of, BY_CPU);

		if (!went("hf_read", hf_read(driver.mm(to), va, &child[p], 8)))
			return;
		if (!tagged(child[p], of, p))
			wrong("page %u of a child in slot %u: %#llx is not thread %u's", p, to,
			      (unsigned long long)child[p], of);
		newest = child[p] > newest ? child[p] : newest;
	}
	for (unsigned p = 0; p < COMMON_PAGES; p++) {
		const struct interval *i = &truth[from][p][of][BY_CPU];
		uint64_t lo = get(&i->lo), hi = get(&i->hi);

		if (lo == hi && hi <= newest && child[p] != hi)
			wrong("a child in slot %u has %#llx of thread %u, but %#llx and not %#llx",
			      to, (unsigned long long)newest, of, (unsigned long long)child[p],
			      (unsigned long long)hi);
	}
}

void truth_after_fork(struct thread *t, unsigned from, unsigned to)
{
	for (unsigned p = 0; p < COMMON_PAGES; p++)
		for (unsigned i = 0; i < world.threads; i++)
			for (unsigned w = 0; w < WORDS; w++)
				set(&truth[to][p][i][w].hi, get(&truth[from][p][i][w].hi));
	if (one_in(t, 3))
		check_instant(t, from, to);
}

uint64_t file_truth_begin(struct thread *t, unsigned page)
{
	return interval_begin(t, &file_truth[page][t->index], page);
}

void file_truth_end(struct thread *t, unsigned page, bool stored)
{
	interval_end(&file_truth[page][t->index], stored);
}

/* What truncation takes may be as it was at any time, as the pager forgets nothing. */
void file_truth_seen(struct thread *t, unsigned page, uint64_t value)
{
	struct interval *i = &file_truth[page][t->index];

	if (page >= FILE_STAYS)
		i->lo = 0;
	interval_seen(t, i, page, value, "a word of the file");
	if (page >= FILE_STAYS)
		i->hi = t->sequence << 20 | 0xfffff;
}
