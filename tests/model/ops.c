/* SPDX-License-Identifier: MIT */
/* The operations: each picks its arguments, asks the model, calls, and tells the model. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Arguments */

static hf_va any_va(struct world *w)
{
	return w->lo + below(w, w->hi - w->lo);
}

/* Where something is mapped, mostly. */
static hf_va used_va(struct world *w, const struct model *model)
{
	size_t i = below(w, model->count), tries = model->count;

	if (one_in(w, 8))
		return any_va(w);
	while (tries-- && !model->slots[i].mapped)
		i = i ? i - 1 : model->count - 1;
	return model->lo + i * PAGE + (one_in(w, 3) ? below(w, PAGE) : 0);
}

static hf_va page_of(hf_va va)
{
	return va & ~(PAGE - 1);
}

/* A length in bytes for something that works on bytes. */
static uint64_t some_bytes(struct world *w)
{
	switch (below(w, 12)) {
	case 0:
		return 1 + below(w, MAX_BYTES);
	case 1:
		return PAGE * (1 + below(w, 4));
	case 2:
	case 3:
		return 1 + below(w, 3 * PAGE);
	default:
		return 1 + below(w, 64);
	}
}

/* A length for something that works on pages; now and then not a multiple of them. */
static uint64_t some_pages(struct world *w)
{
	uint64_t len;

	switch (below(w, 8)) {
	case 0:
		len = PMD_SIZE * (1 + below(w, 3));
		break;
	case 1:
		len = PAGE * (1 + below(w, 700));
		break;
	default:
		len = PAGE * (1 + below(w, 24));
		break;
	}
	return one_in(w, 16) ? len - below(w, PAGE) : len;
}

/* Cut the range where the mapped memory ends. */
static uint64_t until_hole(const struct model *model, hf_va va, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += PAGE) {
		if (va + at >= model->hi || !model_slot(model, va + at)->mapped)
			return at;
	}
	return len;
}

/* A range of pages in or near what is mapped; huge page borders are favoured. */
static void some_range(struct world *w, const struct model *model, hf_va *va, uint64_t *len)
{
	*va = page_of(used_va(w, model));
	*len = some_pages(w);
	/* a range inside a huge page splits it: most of the time take it whole */
	if ((model_slot(model, *va)->flags & MODEL_HUGE) && !one_in(w, 5))
		*len = PMD_SIZE;
	if (*len >= PMD_SIZE || one_in(w, 8))
		*va &= ~(PMD_SIZE - 1);
	if (*va < model->lo)
		*va = model->lo;
	if (!one_in(w, 4) && model_slot(model, *va)->mapped)
		*len = until_hole(model, *va, *len);
}

/* Now and then an argument that must be refused. */
static void spoil(struct world *w, hf_va *va, uint64_t *len)
{
	if (!one_in(w, 40))
		return;
	switch (below(w, 6)) {
	case 0:
		*va += 1 + below(w, PAGE - 1);
		break;
	case 1:
		*len = 0;
		break;
	case 2:
		*len = UINT64_MAX - below(w, PAGE);
		break;
	case 3:
		*va = w->hi - PAGE;
		*len = 2 * PAGE;
		break;
	case 4:
		*va = w->lo - PAGE;
		break;
	default:
		*va = 0 - PAGE;
		*len = 2 * PAGE;
		break;
	}
}

static uint64_t round_up(uint64_t len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

static void some_content(struct world *w, uint8_t *buf, uint64_t len)
{
	uint64_t seed = below(w, UINT32_MAX);

	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((seed += 0x9e3779b9) >> 13);
}

static struct hf_soft_cpu *some_cpu(struct world *w, struct member *member)
{
	return member->cpu[below(w, 2)];
}

static enum hf_status check_bytes(const struct model *model, hf_va va, uint64_t len,
				  unsigned access)
{
	enum hf_status status = model_check_range(model, va, len, false);

	return status ? status : model_check_access(model, va, len, access);
}

/* The same for a CPU, which goes page by page, over the end of the space if it must. */
static enum hf_status check_program(const struct model *model, hf_va va, uint64_t len,
				    unsigned access)
{
	uint64_t inside = model->hi - va < len ? model->hi - va : len;
	enum hf_status status = model_first_fault(model, va, inside, access);

	return status || inside == len ? status : HF_ERR_RANGE;
}

/* As agreed(), for a CPU: memory may be too short on a page before the forbidden one. */
static bool cpu_agreed(struct world *w, enum hf_status got, enum hf_status want, uint64_t need)
{
	if (got == HF_ERR_NOMEM || got == HF_ERR_OVERFLOW)
		want = HF_OK;
	return agreed(w, got, want, need);
}

/* Mappings */

static unsigned some_prot(struct world *w)
{
	static const unsigned often[] = { 3, 3, 3, 3, 3, 3, 3, 1, 1, 0, 2, 4, 5, 7 };

	return one_in(w, 200) ? 8 : often[below(w, sizeof(often) / sizeof(often[0]))];
}

static void do_mmap(struct world *w, struct member *member, hf_va va, uint64_t len, unsigned prot,
		    unsigned flags)
{
	hf_va want = va;
	enum hf_status predicted = model_check_mmap(&member->model, &want, len, prot, flags);

	if (!agreed(w, hf_mmap(&member->mm, &va, len, prot, flags), predicted, len))
		return;
	if (va != want)
		disagree(w, "%llu bytes placed at 0x%llx, the model says 0x%llx",
			 (unsigned long long)len, (unsigned long long)va, (unsigned long long)want);
	model_mmap(&member->model, va, round_up(len), prot);
}

static void op_mmap(struct world *w, struct member *member)
{
	static const unsigned often[] = { 0, 0, 0, 0, 0, 1, 1, 1, 2, 2 };
	unsigned flags = one_in(w, 100) ? (unsigned)below(w, 8) : often[below(w, 10)];
	unsigned prot = some_prot(w);
	uint64_t len;
	hf_va va;

	some_range(w, &member->model, &va, &len);
	spoil(w, &va, &len);
	if (!flags && one_in(w, 2))
		va = 0;
	do_mmap(w, member, va, len, prot, flags);
}

static void op_munmap(struct world *w, struct member *member)
{
	uint64_t len;
	hf_va va;
	enum hf_status want;

	some_range(w, &member->model, &va, &len);
	spoil(w, &va, &len);
	want = model_check_range(&member->model, va, len, true);
	if (agreed(w, hf_munmap(&member->mm, va, len), want, 0))
		model_munmap(&member->model, va, round_up(len));
}

/* Memory would be full most of the time, and huge pages rare, if nothing large ever went. */
static void op_munmap_much(struct world *w, struct member *member)
{
	hf_va va = page_of(any_va(w)), end = va + PMD_SIZE * (1 + below(w, 16));

	if (!one_in(w, 4))
		va &= ~(PMD_SIZE - 1);
	if (va < w->lo)
		va = w->lo;
	if (end > w->hi)
		end = w->hi;
	if (agreed(w, hf_munmap(&member->mm, va, end - va), HF_OK, 0))
		model_munmap(&member->model, va, end - va);
}

static enum hf_status check_mapped(const struct model *model, hf_va va, uint64_t len)
{
	enum hf_status status = model_check_range(model, va, len, true);

	return status ? status : model_check_mapped(model, va, round_up(len));
}

static void op_mprotect(struct world *w, struct member *member)
{
	unsigned prot = some_prot(w);
	enum hf_status want;
	uint64_t len;
	hf_va va;

	some_range(w, &member->model, &va, &len);
	spoil(w, &va, &len);
	want = prot > 7 ? HF_ERR_FLAGS : check_mapped(&member->model, va, len);
	if (agreed(w, hf_mprotect(&member->mm, va, len, prot), want, 0))
		model_mprotect(&member->model, va, round_up(len), prot);
}

static void do_madvise(struct world *w, struct member *member, hf_va va, uint64_t len,
		       enum hf_advice advice)
{
	enum hf_status want = HF_ERR_INVAL;

	if (advice <= HF_ADV_POPULATE_WRITE)
		want = check_mapped(&member->model, va, len);
	if (agreed(w, hf_madvise(&member->mm, va, len, advice), want, 0))
		model_advise(&member->model, va, round_up(len), advice);
}

static void op_madvise(struct world *w, struct member *member)
{
	static const enum hf_advice often[] = {
		HF_ADV_HUGEPAGE,   HF_ADV_HUGEPAGE, HF_ADV_HUGEPAGE,   HF_ADV_HUGEPAGE_1G,
		HF_ADV_NOHUGEPAGE, HF_ADV_DONTNEED, HF_ADV_DONTNEED,   HF_ADV_DONTFORK,
		HF_ADV_DOFORK,	   HF_ADV_DOFORK,   HF_ADV_WIPEONFORK, HF_ADV_KEEPONFORK,
		HF_ADV_KEEPONFORK,
	};
	enum hf_advice advice = often[below(w, sizeof(often) / sizeof(often[0]))];
	uint64_t len;
	hf_va va;

	if (one_in(w, 200))
		advice = (enum hf_advice)(10 + below(w, 100));
	some_range(w, &member->model, &va, &len);
	spoil(w, &va, &len);
	do_madvise(w, member, va, len, advice);
}

static void do_populate(struct world *w, struct member *member, hf_va va, uint64_t len,
			enum hf_advice advice)
{
	unsigned access = advice == HF_ADV_POPULATE_READ ? HF_ACCESS_READ : HF_ACCESS_WRITE;
	enum hf_status want = check_mapped(&member->model, va, len);

	if (!want)
		want = model_first_fault(&member->model, va, round_up(len), access);
	agreed(w, hf_madvise(&member->mm, va, len, advice), want, round_up(len) + PMD_SIZE);
}

static void op_populate(struct world *w, struct member *member)
{
	uint64_t len;
	hf_va va;

	some_range(w, &member->model, &va, &len);
	do_populate(w, member, va, len,
		    one_in(w, 2) ? HF_ADV_POPULATE_READ : HF_ADV_POPULATE_WRITE);
}

/* Some huge pages at once; chance alone seldom makes any. */
static void op_huge(struct world *w, struct member *member)
{
	hf_va va = (any_va(w) + PMD_SIZE - 1) & ~(PMD_SIZE - 1);
	uint64_t len = PMD_SIZE * (1 + below(w, 3));

	if (len > w->hi - va || va > w->hi)
		return;
	do_mmap(w, member, va, len, HF_PROT_READ | HF_PROT_WRITE, HF_MAP_FIXED);
	if (model_check_mapped(&member->model, va, len) == HF_OK) {
		do_madvise(w, member, va, len, HF_ADV_HUGEPAGE);
		do_populate(w, member, va, len, HF_ADV_POPULATE_WRITE);
	}
}

/* Programs */

static void op_load(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model);
	unsigned size = 1u << below(w, 4);
	enum hf_status want = check_program(&member->model, va, size, HF_ACCESS_READ);
	uint64_t got = 0, expected = 0;

	if (!cpu_agreed(w, hf_soft_load(some_cpu(w, member), va, size, &got), want, PAGE))
		return;
	model_read(&member->model, va, &expected, size);
	if (got != expected)
		disagree(w, "%u bytes at 0x%llx are 0x%llx, the model says 0x%llx", size,
			 (unsigned long long)va, (unsigned long long)got,
			 (unsigned long long)expected);
}

static void op_store(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model);
	unsigned size = 1u << below(w, 4);
	enum hf_status want = check_program(&member->model, va, size, HF_ACCESS_WRITE);
	uint64_t value;

	some_content(w, w->buf[0], size);
	memcpy(&value, w->buf[0], sizeof(value));
	if (cpu_agreed(w, hf_soft_store(some_cpu(w, member), va, size, value), want, 2 * PAGE))
		model_write(&member->model, va, &value, size);
}

static void op_fetch(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model);
	enum hf_status want = check_program(&member->model, va, 4, HF_ACCESS_EXEC);
	uint64_t got = 0, expected = 0;

	if (!cpu_agreed(w, hf_soft_fetch(some_cpu(w, member), va, 4, &got), want, PAGE))
		return;
	model_read(&member->model, va, &expected, 4);
	if (got != expected)
		disagree(w, "fetch at 0x%llx gives other bytes", (unsigned long long)va);
}

static void op_cmpxchg(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model) & ~(hf_va)7;
	enum hf_status want = check_program(&member->model, va, 8, HF_ACCESS_WRITE);
	uint64_t there = 0, expected, desired = below(w, UINT32_MAX);
	bool swapped = false, right = !one_in(w, 3);

	if (!want)
		model_read(&member->model, va, &there, 8);
	expected = right ? there : there + 1;
	if (!cpu_agreed(w,
			hf_soft_cmpxchg(some_cpu(w, member), va, 8, &expected, desired, &swapped),
			want, PAGE))
		return;
	if (swapped != right || expected != there)
		disagree(w, "compare-exchange at 0x%llx", (unsigned long long)va);
	if (swapped)
		model_write(&member->model, va, &desired, 8);
}

static void op_copy_out(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model);
	uint64_t len = some_bytes(w);
	enum hf_status want = check_program(&member->model, va, len, HF_ACCESS_READ);

	if (!cpu_agreed(w, hf_soft_copy_out(some_cpu(w, member), va, w->buf[0], len, NULL), want,
			len))
		return;
	model_read(&member->model, va, w->buf[1], len);
	if (memcmp(w->buf[0], w->buf[1], len) != 0)
		disagree(w, "%llu bytes loaded at 0x%llx differ", (unsigned long long)len,
			 (unsigned long long)va);
}

static void op_copy_in(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model);
	uint64_t len = some_bytes(w), done = 0;
	enum hf_status want = check_program(&member->model, va, len, HF_ACCESS_WRITE);

	some_content(w, w->buf[0], len);
	cpu_agreed(w, hf_soft_copy_in(some_cpu(w, member), va, w->buf[0], len, &done), want,
		   len + PMD_SIZE);
	if (done)
		model_write(&member->model, va, w->buf[0], done);
}

/* Copy functions */

static void op_read(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model);
	uint64_t len = some_bytes(w);
	enum hf_status want;

	spoil(w, &va, &len);
	want = check_bytes(&member->model, va, len, HF_ACCESS_READ);
	if (!agreed(w, hf_read(&member->mm, va, w->buf[0], len), want, 0))
		return;
	model_read(&member->model, va, w->buf[1], len);
	if (memcmp(w->buf[0], w->buf[1], len) != 0)
		disagree(w, "%llu bytes read at 0x%llx differ", (unsigned long long)len,
			 (unsigned long long)va);
}

static void op_write(struct world *w, struct member *member)
{
	hf_va va = used_va(w, &member->model);
	uint64_t len = some_bytes(w);
	enum hf_status want;

	some_content(w, w->buf[0], len);
	spoil(w, &va, &len);
	want = check_bytes(&member->model, va, len, HF_ACCESS_WRITE);
	if (agreed(w, hf_write(&member->mm, va, w->buf[0], len), want, len + PMD_SIZE))
		model_write(&member->model, va, w->buf[0], len);
}

static void op_copy(struct world *w, struct member *to)
{
	struct member *from = w->members[below(w, w->member_count)];
	hf_va dst = used_va(w, &to->model), src = used_va(w, &from->model);
	uint64_t len = some_bytes(w);
	enum hf_status want = model_check_range(&to->model, dst, len, false), got;

	if (!want)
		want = model_check_range(&from->model, src, len, false);
	if (!want && to == from && dst < src + len && src < dst + len)
		want = HF_ERR_OVERLAP;
	if (!want) {
		enum hf_status read = model_check_access(&from->model, src, len, HF_ACCESS_READ);
		enum hf_status write = model_check_access(&to->model, dst, len, HF_ACCESS_WRITE);

		want = read ? read : write;
		got = hf_copy(&to->mm, dst, &from->mm, src, len);
		if (read && write && got == write) /* which of two comes first is open */
			want = write;
	} else {
		got = hf_copy(&to->mm, dst, &from->mm, src, len);
	}
	if (!agreed(w, got, want, len + PMD_SIZE))
		return;
	model_read(&from->model, src, w->buf[0], len);
	model_write(&to->model, dst, w->buf[0], len);
}

/* Devices */

static void note_pin(struct world *w, struct model *model, struct held *held, hf_va va, hf_pa pa)
{
	struct model_page *page = model_page_hold(model, va);

	pa.v &= ~(PAGE - 1);
	if (page->pins && page->pa.v != pa.v)
		disagree(w, "pinned page 0x%llx was at pa 0x%llx, is pinned again at 0x%llx",
			 (unsigned long long)va, (unsigned long long)page->pa.v,
			 (unsigned long long)pa.v);
	page->pins++;
	page->pa = pa;
	held->pages[held->count] = page;
	held->pa[held->count++] = pa;
}

static void note_spans(struct world *w, struct model *model, hf_va va, uint64_t len,
		       const struct hf_span *spans, size_t count)
{
	struct held *held = calloc(1, sizeof(*held));
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		for (uint64_t at = 0; at < spans[i].len; at += PAGE - (va + bytes + at) % PAGE) {
			hf_va page = page_of(va + bytes + at);

			if ((va + bytes + at) % PAGE == 0 || held->count == 0)
				note_pin(w, model, held, page, (hf_pa){ spans[i].pa.v + at });
		}
		bytes += spans[i].len;
	}
	if (bytes != len)
		disagree(w, "the scatter list has %llu bytes of %llu", (unsigned long long)bytes,
			 (unsigned long long)len);
	w->held[w->held_count++] = held;
}

static void op_pin(struct world *w, struct member *member)
{
	static struct hf_span spans[MAX_HELD_PAGES];
	unsigned flags = one_in(w, 100) ? (unsigned)below(w, 8) : 1 + (unsigned)below(w, 3);
	unsigned access = flags & HF_PIN_WRITE ? HF_ACCESS_WRITE : HF_ACCESS_READ;
	uint64_t len = some_bytes(w);
	hf_va va = used_va(w, &member->model);
	size_t count = 0, cap = one_in(w, 8) ? below(w, 4) : MAX_HELD_PAGES;
	enum hf_status want, got;

	if (w->held_count == MAX_HELD)
		return;
	if (one_in(w, 10)) {
		va &= ~(PMD_SIZE - 1);
		len = PMD_SIZE;
	}
	spoil(w, &va, &len);
	want = !cap ? HF_ERR_EMPTY : check_bytes(&member->model, va, len, access);
	if (!flags || flags > 3)
		want = HF_ERR_FLAGS;
	got = hf_pin(&member->mm, va, len, flags, spans, cap, &count);
	if (got == HF_ERR_SPANS && !want && cap < (len + va % PAGE + PAGE - 1) / PAGE)
		want = HF_ERR_SPANS;
	if (agreed(w, got, want, len + PMD_SIZE))
		note_spans(w, &member->model, va, len, spans, count);
}

static void held_end(struct world *w, size_t index)
{
	free(w->held[index]);
	w->held[index] = w->held[--w->held_count];
}

/* What one call of hf_unpin gives back. */
struct returned {
	size_t count;
	struct hf_span spans[2 * MAX_HELD_PAGES];
	struct model_page *pages[2 * MAX_HELD_PAGES];
};

/* Some or all pages of one list, in no order. */
static void give_back(struct world *w, size_t index, struct returned *r)
{
	struct held *held = w->held[index];
	size_t n = one_in(w, 2) ? held->count : 1 + below(w, held->count);

	while (n--) {
		size_t at = below(w, held->count--);

		r->spans[r->count] = (struct hf_span){ { held->pa[at].v + below(w, 8) }, PAGE - 8 };
		r->pages[r->count++] = held->pages[at];
		held->pages[at] = held->pages[held->count];
		held->pa[at] = held->pa[held->count];
	}
	if (!held->count)
		held_end(w, index);
}

/* Of one list, or of two together: then a page can be in it twice. */
static void op_unpin(struct world *w, struct member *member)
{
	static struct returned r;

	(void)member;
	r.count = 0;
	for (uint64_t lists = 1 + one_in(w, 3); lists && w->held_count; lists--)
		give_back(w, below(w, w->held_count), &r);
	if (!r.count)
		return;
	agreed(w, hf_unpin(w->phys, r.spans, r.count), HF_OK, 0);
	for (size_t i = 0; i < r.count; i++) {
		r.pages[i]->pins--;
		model_page_drop(r.pages[i]);
	}
}

/* A list that gives back one pin too many: refused whole. */
static void op_unpin_too_much(struct world *w, struct member *member)
{
	static struct hf_span spans[64];
	struct held *held;
	size_t at;

	(void)member;
	if (!w->held_count)
		return;
	held = w->held[below(w, w->held_count)];
	at = below(w, held->count);
	if (held->pages[at]->pins >= 64)
		return;
	for (size_t i = 0; i <= held->pages[at]->pins; i++)
		spans[i] = (struct hf_span){ held->pa[at], PAGE };
	agreed(w, hf_unpin(w->phys, spans, held->pages[at]->pins + 1), HF_ERR_NOT_PINNED, 0);
}

static void op_dma(struct world *w, struct member *member)
{
	uint64_t offset = below(w, PAGE), len = 1 + below(w, PAGE - offset);
	struct held *held;
	uint8_t *bytes;
	size_t at;
	hf_pa pa;

	(void)member;
	if (!w->held_count)
		return;
	held = w->held[below(w, w->held_count)];
	at = below(w, held->count);
	bytes = held->pages[at]->bytes + offset;
	pa.v = held->pa[at].v + offset;
	if (one_in(w, 3)) {
		agreed(w, hf_soft_dma_read(w->dma, pa, w->buf[0], len), HF_OK, 0);
		hf_soft_dma_wait(w->dma);
		if (memcmp(w->buf[0], bytes, len) != 0)
			disagree(w, "the device reads other bytes at pa 0x%llx",
				 (unsigned long long)pa.v);
	} else {
		some_content(w, bytes, len);
		agreed(w, hf_soft_dma_write(w->dma, pa, bytes, len), HF_OK, 0);
		hf_soft_dma_wait(w->dma);
	}
}

/* Families */

static void op_fork(struct world *w, struct member *member)
{
	member_fork(w, member);
}

static void op_create(struct world *w, struct member *member)
{
	(void)member;
	if (w->member_count < 3)
		member_new(w);
}

static void op_destroy(struct world *w, struct member *member)
{
	(void)member;
	member_end(w, below(w, w->member_count));
	w->outcomes[DONE]++;
}

struct operation {
	const char *name;
	unsigned weight;
	void (*run)(struct world *w, struct member *member);
};

static const struct operation operations[] = {
	{ "load", 150, op_load },
	{ "store", 220, op_store },
	{ "fetch", 10, op_fetch },
	{ "cmpxchg", 20, op_cmpxchg },
	{ "copy_out", 40, op_copy_out },
	{ "copy_in", 60, op_copy_in },
	{ "hf_read", 50, op_read },
	{ "hf_write", 70, op_write },
	{ "hf_copy", 40, op_copy },
	{ "hf_mmap", 60, op_mmap },
	{ "hf_munmap", 20, op_munmap },
	{ "munmap much", 12, op_munmap_much },
	{ "hf_mprotect", 40, op_mprotect },
	{ "hf_madvise", 50, op_madvise },
	{ "populate", 15, op_populate },
	{ "huge pages", 12, op_huge },
	{ "hf_pin", 50, op_pin },
	{ "hf_unpin", 40, op_unpin },
	{ "unpin too much", 5, op_unpin_too_much },
	{ "dma", 50, op_dma },
	{ "hf_fork", 12, op_fork },
	{ "hf_mm_create", 4, op_create },
	{ "hf_mm_destroy", 7, op_destroy },
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* Over all worlds of the program, for print_operations. */
static uint64_t outcomes[OPERATIONS][OUTCOMES];

void run_operation(struct world *w)
{
	unsigned total = 0, pick;
	size_t i = 0;

	for (size_t k = 0; k < OPERATIONS; k++)
		total += operations[k].weight;
	for (pick = (unsigned)below(w, total); pick >= operations[i].weight; i++)
		pick -= operations[i].weight;
	w->doing = operations[i].name;
	w->outcomes = w->member_count ? outcomes[i] : w->no_outcomes;
	w->failing = one_in(w, 30);
	if (w->failing)
		hf_phys_fail_after(w->phys, 1 + below(w, 8));
	if (w->member_count)
		operations[i].run(w, w->members[below(w, w->member_count)]);
	else
		member_new(w);
	if (w->failing)
		hf_phys_fail_after(w->phys, 0);
	w->failing = false;
}

void print_operations(uint64_t huge_leaves, uint64_t spaces)
{
	printf("# %-16s %10s %10s %10s\n", "operation", "done", "refused", "short");
	for (size_t i = 0; i < OPERATIONS; i++)
		printf("# %-16s %10llu %10llu %10llu\n", operations[i].name,
		       (unsigned long long)outcomes[i][DONE],
		       (unsigned long long)outcomes[i][REFUSED],
		       (unsigned long long)outcomes[i][SHORT]);
	printf("# huge leaves in a space, on average: %.1f\n",
	       spaces ? (double)huge_leaves / (double)spaces : 0);
}
