/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift generators" */
static uint64_t next_random(struct world *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * 0x2545f4914f6cdd1du;
}

uint64_t below(struct world *w, uint64_t n)
{
	return (next_random(w) >> 16) % n;
}

void disagree(struct world *w, const char *how, ...)
{
	va_list args;

	printf("not ok 1 - model\n# seed %llu, operation %llu (%s): ", (unsigned long long)w->seed,
	       (unsigned long long)w->op, w->doing);
	va_start(args, how);
	vprintf(how, args);
	va_end(args);
	printf("\n# again, alone: test_model --seed %llu --ops %llu\n", (unsigned long long)w->seed,
	       (unsigned long long)w->op);
	fflush(stdout);
	exit(1);
}

static void must(struct world *w, enum hf_status status, const char *what)
{
	if (status != HF_OK)
		disagree(w, "%s gives %s", what, hf_status_name(status));
}

static uint64_t free_bytes(struct world *w)
{
	struct hf_phys_stats stats;

	hf_phys_stats(w->phys, &stats);
	return stats.free_bytes;
}

bool agreed(struct world *w, enum hf_status got, enum hf_status want, uint64_t need)
{
	bool is_short = false;

	if (got == HF_ERR_NOMEM)
		is_short = w->failing || free_bytes(w) < need + 2 * PMD_SIZE;
	else if (got == HF_ERR_OVERFLOW)
		is_short = w->count_limit != 0;
	if (got != want && !(want == HF_OK && is_short))
		disagree(w, "gives %s, the model says %s; %llu bytes are free", hf_status_name(got),
			 hf_status_name(want), (unsigned long long)free_bytes(w));
	w->outcomes[got == HF_OK ? DONE : got == want ? REFUSED : SHORT]++;
	return got == HF_OK;
}

/* What kind of machine: everything follows from the seed. */
static void choose(struct world *w)
{
	static const uint64_t ram[] = { 6 * MIB, 32 * MIB, 96 * MIB, 256 * MIB };
	static const uint32_t limits[] = { 0, 0, 0, 0, 0, 0, 2, 4 };
	static const unsigned tlb[] = { 1, 16, 1024 };

	w->ram_bytes = ram[below(w, 4)];
	w->count_limit = limits[below(w, 8)];
	w->ranges = one_in(w, 3) ? 3 : 1;
	w->tlb_entries = tlb[below(w, 3)];
	w->lo = ((uint64_t)1 << 30) - below(w, 600) * PAGE;
	w->hi = w->lo + 60 * MIB + below(w, 1024) * PAGE;
}

/* The huge zero page is allocated by the first huge read and kept: not a leak. */
static void read_huge_zeros(struct world *w)
{
	uint64_t zero;
	hf_va va = 0;

	member_new(w);
	must(w, hf_mmap(&w->members[0]->mm, &va, PMD_SIZE, HF_PROT_READ, 0), "hf_mmap");
	must(w, hf_madvise(&w->members[0]->mm, va, PMD_SIZE, HF_ADV_HUGEPAGE), "hf_madvise");
	must(w, hf_soft_load(w->members[0]->cpu[0], va, 8, &zero), "hf_soft_load");
	member_end(w, 0);
}

struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	struct hf_soft_config config;

	w->seed = seed;
	w->random = (seed + 1) * 0x9e3779b97f4a7c15u;
	w->doing = "start";
	w->outcomes = w->no_outcomes;
	choose(w);
	config = (struct hf_soft_config){
		.ram_bytes = w->ram_bytes,
		.count_limit = w->count_limit,
		.ranges = w->ranges,
		.tlb_entries = w->tlb_entries,
	};
	must(w, hf_soft_create(&config, &w->soft), "hf_soft_create");
	must(w, hf_soft_dma_create(w->soft, &w->dma), "hf_soft_dma_create");
	w->phys = hf_soft_phys(w->soft);
	read_huge_zeros(w);
	w->free_at_start = free_bytes(w);
	return w;
}

static void release_all(struct world *w)
{
	for (size_t i = 0; i < w->held_count; i++) {
		struct held *held = w->held[i];

		for (size_t page = 0; page < held->count; page++) {
			struct hf_span span = { held->pa[page], PAGE };

			must(w, hf_unpin(w->phys, &span, 1), "hf_unpin");
			model_page_drop(held->pages[page]);
		}
		free(held);
	}
	w->held_count = 0;
}

void world_end(struct world *w)
{
	w->doing = "end";
	compare_all(w);
	/* pins outlive spaces every other time */
	if (one_in(w, 2))
		release_all(w);
	while (w->member_count)
		member_end(w, w->member_count - 1);
	check_invariants(w);
	release_all(w);
	check_invariants(w);
	if (free_bytes(w) != w->free_at_start)
		disagree(w, "%lld bytes leaked", (long long)(w->free_at_start - free_bytes(w)));
	hf_soft_dma_destroy(w->dma);
	must(w, hf_soft_destroy(w->soft), "hf_soft_destroy");
	free(w);
}

static struct member *member_slot(struct world *w)
{
	return w->member_count < MAX_MEMBERS ? calloc(1, sizeof(struct member)) : NULL;
}

static void member_add(struct world *w, struct member *member)
{
	for (int i = 0; i < 2; i++) {
		must(w, hf_soft_cpu_create(w->soft, &member->cpu[i]), "hf_soft_cpu_create");
		hf_soft_switch(member->cpu[i], &member->mm);
	}
	w->members[w->member_count++] = member;
}

void member_new(struct world *w)
{
	struct member *member = member_slot(w);
	struct hf_mm_config config = {
		.va_lo = w->lo,
		.va_hi = w->hi,
		.huge_cow = one_in(w, 2) ? HF_HUGE_COW_SMALL : HF_HUGE_COW_WHOLE,
	};

	if (!member)
		return;
	if (agreed(w, hf_mm_create(&member->mm, w->phys, &config), HF_OK, 0)) {
		model_init(&member->model, w->lo, w->hi);
		member_add(w, member);
	} else {
		free(member);
	}
}

/* The most memory that the pins of a space can make fork want: a huge page for each. */
static uint64_t fork_needs(const struct model *model)
{
	uint64_t need = 0;
	hf_va last = 0;

	for (size_t i = 0; i < model->count; i++) {
		hf_va part = (model->lo + i * PAGE) & ~(PMD_SIZE - 1);

		if (!model->slots[i].page || !model->slots[i].page->pins || part == last)
			continue;
		need += PMD_SIZE + PAGE;
		last = part;
	}
	return need;
}

void member_fork(struct world *w, struct member *parent)
{
	enum hf_fork_policy policy = one_in(w, 2) ? HF_FORK_SPLIT : HF_FORK_COPY;
	struct member *child = member_slot(w);
	struct hf_mm_stats before, after;
	enum hf_status status;

	if (!child)
		return;
	hf_mm_stats(&parent->mm, &before);
	status = hf_fork(&parent->mm, &child->mm, NULL, policy);
	hf_mm_stats(&parent->mm, &after);
	if ((status != HF_OK || policy == HF_FORK_COPY) &&
	    (after.leaves[HF_LEVEL_PMD] != before.leaves[HF_LEVEL_PMD] ||
	     after.leaves[HF_LEVEL_PTE] != before.leaves[HF_LEVEL_PTE]))
		disagree(w, "%s, and the parent's %llu huge leaves became %llu",
			 hf_status_name(status), (unsigned long long)before.leaves[HF_LEVEL_PMD],
			 (unsigned long long)after.leaves[HF_LEVEL_PMD]);
	if (agreed(w, status, HF_OK, fork_needs(&parent->model))) {
		model_fork(&child->model, &parent->model);
		member_add(w, child);
	} else {
		free(child);
	}
}

void member_end(struct world *w, size_t index)
{
	struct member *member = w->members[index];

	for (int i = 0; i < 2; i++)
		hf_soft_cpu_destroy(member->cpu[i]);
	hf_mm_destroy(&member->mm);
	model_fini(&member->model);
	free(member);
	w->members[index] = w->members[--w->member_count];
}
