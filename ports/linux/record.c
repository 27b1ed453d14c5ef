/* SPDX-License-Identifier: MIT */
/* The record of what a window has mapped. */
#include "record.h"

#define TOP (RECORD_LEVELS - 1)

/*
 * How many words hf_linux_record_writable looks across from one writable page to the
 * next. Passing over mappings that stay as they are costs the host much less than
 * another call, which interrupts every CPU that the process runs on.
 */
#define BRIDGE 64

/* Pages that one word at `level` speaks for. */
static uint64_t span(unsigned level)
{
	return (uint64_t)1 << (level * HF_TABLE_BITS);
}

static uint64_t words(uint64_t pages, unsigned level)
{
	return (pages + span(level) - 1) / span(level);
}

/* The word for a page that lies `pages` after that of `word`, in contiguous memory. */
static uint64_t advance(uint64_t word, uint64_t pages)
{
	return word ? word + (pages << HF_PAGE_SHIFT) : 0;
}

/* Bytes of the levels above single pages, whole pages. */
static uint64_t upper_size(uint64_t pages)
{
	uint64_t bytes = 0;

	for (unsigned level = 1; level < RECORD_LEVELS; level++)
		bytes += words(pages, level) * sizeof(uint64_t);
	return (bytes + HF_PAGE_SIZE - 1) & ~(HF_PAGE_SIZE - 1);
}

uint64_t hf_linux_record_size(uint64_t pages)
{
	return upper_size(pages) + pages * sizeof(uint64_t);
}

void hf_linux_record_init(struct hf_linux_record *r, uint64_t pages, void *memory)
{
	uint64_t *upper = memory;

	*r = (struct hf_linux_record){ .pages = pages, .runs = 1 };
	for (unsigned level = TOP; level > 0; level--) {
		r->word[level] = upper;
		upper += words(pages, level);
	}
	r->word[0] = (uint64_t *)((char *)memory + upper_size(pages));
}

void *hf_linux_record_spare(const struct hf_linux_record *r, uint64_t *len)
{
	*len = r->pages * sizeof(uint64_t);
	return r->word[0];
}

/* The level of the word that tells about `page`. */
static unsigned level_at(const struct hf_linux_record *r, uint64_t page)
{
	unsigned level = TOP;

	while (r->word[level][page / span(level)] & RECORD_BRANCH)
		level--;
	return level;
}

/* The word of `page`, and in *stop the first page that its word says nothing about. */
static uint64_t look(const struct hf_linux_record *r, uint64_t page, uint64_t *stop)
{
	unsigned level = level_at(r, page);
	uint64_t first = page & ~(span(level) - 1);

	*stop = hf_linux_min(first + span(level), r->pages);
	return advance(r->word[level][page / span(level)], page - first);
}

uint64_t hf_linux_record_at(const struct hf_linux_record *r, uint64_t page)
{
	uint64_t stop;

	return look(r, page, &stop);
}

/*
 * Beginning with the word for `page`, which starts there: how far words of one table have
 * what `want` continues to. A branch is no such word.
 */
static uint64_t alike(const struct hf_linux_record *r, uint64_t page, uint64_t limit, uint64_t want)
{
	unsigned level = level_at(r, page);
	uint64_t size = span(level), end = (page | (size * HF_TABLE_ENTRIES - 1)) + 1;
	const uint64_t *word = &r->word[level][page / size];

	for (end = hf_linux_min(end, limit); page < end && *word == want; page += size, word++)
		want = advance(want, size);
	return page;
}

uint64_t hf_linux_record_run(const struct hf_linux_record *r, uint64_t page, uint64_t limit)
{
	uint64_t next, stop, word = look(r, page, &next);

	do {
		stop = next;
		if (stop < limit)
			next = alike(r, stop, limit, advance(word, stop - page));
	} while (stop < limit && next > stop);
	return hf_linux_min(stop, limit);
}

bool hf_linux_record_mapped(const struct hf_linux_record *r, uint64_t *first, uint64_t *end)
{
	uint64_t lo = *end, hi = *end;

	for (uint64_t page = *first, stop; page < *end; page = stop) {
		if (!look(r, page, &stop))
			continue;
		if (lo == *end)
			lo = page;
		hi = hf_linux_min(stop, *end);
	}
	*first = lo;
	*end = hi;
	return lo < hi;
}

/* The first writable page of [page, end), or end. */
static uint64_t next_writable(const struct hf_linux_record *r, uint64_t page, uint64_t end)
{
	while (page < end) {
		unsigned level = TOP;
		uint64_t word;

		while ((word = r->word[level][page / span(level)]) & RECORD_BRANCH &&
		       word & PROT_WRITE)
			level--;
		if (word & PROT_WRITE)
			return page;
		page = (page / span(level) + 1) * span(level);
	}
	return end;
}

bool hf_linux_record_writable(const struct hf_linux_record *r, uint64_t *first, uint64_t end,
			      uint64_t *stop)
{
	uint64_t keep, word, next;
	unsigned passed = 0;

	*first = *stop = next_writable(r, *first, end);
	if (*first >= end)
		return false;
	keep = hf_linux_record_at(r, *first) & RECORD_PROT & ~(uint64_t)PROT_WRITE;
	for (uint64_t page = *first; page < end && passed < BRIDGE; page = next) {
		word = look(r, page, &next);
		if (!word || (word & RECORD_PROT & ~(uint64_t)PROT_WRITE) != keep)
			break;
		passed++;
		if (word & PROT_WRITE) {
			*stop = hf_linux_min(next, end);
			passed = 0;
		}
	}
	return true;
}

/* Hand what a word says to the words below it. */
static void expand(struct hf_linux_record *r, unsigned level, uint64_t index)
{
	uint64_t *word = &r->word[level][index], *below = r->word[level - 1];
	uint64_t first = index * HF_TABLE_ENTRIES;
	uint64_t end = hf_linux_min(first + HF_TABLE_ENTRIES, words(r->pages, level - 1));

	for (uint64_t i = first; i < end; i++)
		below[i] = advance(*word, (i - first) * span(level - 1));
	*word = RECORD_BRANCH | (*word & PROT_WRITE);
}

/* The word of `level` at `page`: its index, its end, whether [page, end) covers all of it. */
struct piece {
	uint64_t index, stop;
	bool whole;
};

static struct piece piece(const struct hf_linux_record *r, unsigned level, uint64_t page,
			  uint64_t end)
{
	uint64_t index = page / span(level), first = index * span(level);
	uint64_t last = hf_linux_min(first + span(level), r->pages);

	return (struct piece){
		.index = index,
		.stop = hf_linux_min(last, end),
		.whole = page == first && end >= last,
	};
}

static void put_runs(struct hf_linux_record *r, unsigned level, uint64_t first, uint64_t end,
		     uint64_t word)
{
	struct piece p;

	for (uint64_t page = first; page < end; page = p.stop) {
		uint64_t *at;

		p = piece(r, level, page, end);
		at = &r->word[level][p.index];
		if (p.whole) {
			*at = advance(word, page - first);
			continue;
		}
		if (!(*at & RECORD_BRANCH))
			expand(r, level, p.index);
		*at |= word & PROT_WRITE;
		put_runs(r, level - 1, page, p.stop, advance(word, page - first));
	}
}

/* Take rights from every word of [first, end) that has them; level 0 is always whole. */
static void strip(struct hf_linux_record *r, unsigned level, uint64_t first, uint64_t end,
		  uint64_t prot)
{
	struct piece p;

	for (uint64_t page = first; page < end; page = p.stop) {
		uint64_t *at;

		p = piece(r, level, page, end);
		at = &r->word[level][p.index];
		if (!(*at & (prot | RECORD_BRANCH)) || (prot == PROT_WRITE && !(*at & prot)))
			continue;
		if (!p.whole && !(*at & RECORD_BRANCH))
			expand(r, level, p.index);
		if (*at & RECORD_BRANCH)
			strip(r, level - 1, page, p.stop, prot);
		if (p.whole)
			*at &= ~prot;
	}
}

/* Runs that begin in [first, end]. */
static uint64_t edges(const struct hf_linux_record *r, uint64_t first, uint64_t end)
{
	uint64_t limit = hf_linux_min(end + 1, r->pages), count = 0;
	uint64_t page = first ? first - 1 : 0;

	while ((page = hf_linux_record_run(r, page, limit)) < limit)
		count++;
	return count;
}

void hf_linux_record_set(struct hf_linux_record *r, uint64_t first, uint64_t end, uint64_t word)
{
	r->runs -= edges(r, first, end);
	put_runs(r, TOP, first, end, word);
	r->runs += edges(r, first, end);
}

void hf_linux_record_revoke(struct hf_linux_record *r, uint64_t first, uint64_t end, uint64_t prot)
{
	r->runs -= edges(r, first, end);
	strip(r, TOP, first, end, prot);
	r->runs += edges(r, first, end);
}

void hf_linux_record_settle(struct hf_linux_record *r, uint64_t first, uint64_t end)
{
	strip(r, TOP, first, end, PROT_WRITE);
}
