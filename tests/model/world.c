/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift generators" */
static uint64_t next_random(struct world *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * 0x2545f4914f6cdd1du;
}

void world_step(struct world *w, uint64_t op)
{
	w->op = op;
	w->random = (w->seed + 1) * 0x9e3779b97f4a7c15u ^ op * 0xd1342543de82ef95u;
	if (!w->random)
		w->random = 1;
	for (int i = 0; i < 4; i++)
		next_random(w);
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
	printf("\n");
	tell_recent(w);
	printf("# again, alone: test_model --seed %llu --ops %llu; add --shrink for a short way "
	       "there\n",
	       (unsigned long long)w->seed, (unsigned long long)w->op);
	fflush(stdout);
	_exit(1);
}

void must(struct world *w, enum hf_status status, const char *what)
{
	if (status != HF_OK)
		disagree(w, "%s gives %s", what, hf_status_name(status));
}

uint64_t free_bytes(struct world *w)
{
	struct hf_phys_stats stats;

	hf_phys_stats(w->phys, &stats);
	return stats.free_bytes;
}

uint64_t unused_bytes(struct world *w)
{
	struct hf_phys_stats stats;

	hf_phys_stats(w->phys, &stats);
	return stats.free_bytes + stats.reserve_bytes;
}

void trim(struct world *w)
{
	if (w->big)
		hf_phys_trim(w->phys, hf_level_order(HF_LEVEL_PMD));
}

/*
 * What kind of machine: everything follows from the seed. In a tiny one there is little to
 * look at, so everything is looked at often; a big one has room for 1 GiB pages.
 */
static void choose(struct world *w)
{
	static const uint64_t tiny[] = { 512 * KIB, 3 * MIB, 6 * MIB };
	static const uint64_t ram[] = { 6 * MIB, 32 * MIB, 96 * MIB, 256 * MIB };
	static const uint32_t limits[] = { 0, 0, 0, 0, 0, 0, 2, 4 };
	static const unsigned tlb[] = { 1, 16, 1024 };
	uint64_t kind = below(w, 12);

	w->ram_bytes = ram[below(w, 4)];
	w->count_limit = limits[below(w, 8)];
	w->ranges = one_in(w, 3) ? 3 : 1;
	w->tlb_entries = tlb[below(w, 3)];
	w->lo = GIB - below(w, 600) * PAGE;
	w->hi = w->lo + 60 * MIB + below(w, 1024) * PAGE;
	w->rhythm = (struct rhythm){ .check = 1000, .compare = 5000 };
	if (kind < 4) {
		w->ram_bytes = tiny[below(w, 3)];
		w->rhythm = (struct rhythm){ .check = 1, .compare = 500 };
	} else if (kind == 4) {
		w->big = true;
		w->ram_bytes = 2 * GIB + 64 * MIB;
		w->ranges = 1;
		w->hi = w->lo + 3 * GIB + 40 * MIB;
	}
}

/* The huge zero page is allocated by the first huge read and kept: not a leak. */
static void read_huge_zeros(struct world *w)
{
	struct hf_mm_config config = { .va_lo = w->lo, .va_hi = w->hi };
	struct member *member = calloc(1, sizeof(*member));
	uint64_t zero;
	hf_va va = 0;

	must(w, hf_mm_create(&member->mm, w->phys, &config), "hf_mm_create");
	model_init(&member->model, w->lo, w->hi);
	member_add(w, member);
	must(w, hf_mmap(&member->mm, &va, PMD_SIZE, HF_PROT_READ, 0), "hf_mmap");
	must(w, hf_madvise(&member->mm, va, PMD_SIZE, HF_ADV_HUGEPAGE), "hf_madvise");
	must(w, hf_soft_load(member->cpu[0], va, 8, &zero), "hf_soft_load");
	member_end(w, 0);
}

static void note_event(void *arg, const struct hf_trace_event *event)
{
	struct world *w = arg;

	if (event->what == HF_TRACE_FORK)
		w->cost = *event->fork;
	w->splits += event->what == HF_TRACE_SPLIT;
}

struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	struct hf_soft_config config;

	w->seed = seed;
	w->doing = "start";
	world_step(w, 0);
	choose(w);
	config = (struct hf_soft_config){
		.ram_bytes = w->ram_bytes,
		.count_limit = w->count_limit,
		.ranges = w->ranges,
		.tlb_entries = w->tlb_entries,
		.trace = note_event,
		.trace_arg = w,
	};
	must(w, hf_soft_create(&config, &w->soft), "hf_soft_create");
	must(w, hf_soft_dma_create(w->soft, &w->dma), "hf_soft_dma_create");
	w->phys = hf_soft_phys(w->soft);
	read_huge_zeros(w);
	store_new(w);
	w->unused_at_start = unused_bytes(w);
	return w;
}

void release_all(struct world *w)
{
	for (size_t i = 0; i < w->held_count; i++) {
		struct held *held = w->held[i];

		for (size_t page = 0; page < held->count; page++) {
			struct hf_span span = { held->pa[page], PAGE };

			must(w, hf_unpin(w->phys, &span, 1), "hf_unpin");
			page_drop(held->pages[page]);
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
	objects_release(w);
	check_invariants(w);
	release_all(w);
	check_invariants(w);
	if (unused_bytes(w) != w->unused_at_start)
		disagree(w, "%lld bytes leaked", (long long)(w->unused_at_start - unused_bytes(w)));
	store_free(w);
	hf_soft_dma_destroy(w->dma);
	must(w, hf_soft_destroy(w->soft), "hf_soft_destroy");
	free(w);
}

void member_add(struct world *w, struct member *member)
{
	member->id = ++w->next_id;
	for (int i = 0; i < 2; i++) {
		must(w, hf_soft_cpu_create(w->soft, &member->cpu[i]), "hf_soft_cpu_create");
		hf_soft_switch(member->cpu[i], &member->mm);
	}
	w->members[w->member_count++] = member;
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
