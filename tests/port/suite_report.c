/* SPDX-License-Identifier: MIT */
/*
 * Reports and trace points. What a report says is compared with what single questions
 * about each page give, and a forecast with what the fork then tells and takes.
 */
#include "port.h"

static const enum hf_fork_policy policies[] = { HF_FORK_COPY, HF_FORK_SPLIT };

/* Listening: a port with a trace of our own, in front of the machine's. */
static struct {
	struct hf_port port;
	const struct hf_port *behind;
	struct hf_trace_event last[HF_TRACES];
	uint64_t count[HF_TRACES], faults[HF_FAULTS];
	struct hf_fork_cost cost;
} heard;

static void listen_to(void *host, const struct hf_trace_event *event)
{
	(void)host;
	assert_true(event->what < HF_TRACES);
	heard.count[event->what]++;
	heard.last[event->what] = *event;
	if (event->what == HF_TRACE_FAULT)
		heard.faults[event->kind]++;
	if (event->what == HF_TRACE_FORK)
		heard.cost = *event->fork;
}

static void listen_begin(struct machine *m)
{
	memset(&heard, 0, sizeof(heard));
	heard.behind = m->phys->port;
	heard.port = *heard.behind;
	heard.port.trace = listen_to;
	m->phys->port = &heard.port;
}

static void listen_end(struct machine *m)
{
	m->phys->port = heard.behind;
}

/* ---- Runs ---- */

struct runs {
	struct hf_run run[1024];
	size_t count, stop_at;
};

static bool keep_run(void *arg, const struct hf_run *run)
{
	struct runs *runs = arg;

	assert_true(runs->count < 1024);
	runs->run[runs->count++] = *run;
	return runs->count != runs->stop_at;
}

static void look(struct space *s, hf_va va, uint64_t len, struct runs *runs)
{
	runs->count = runs->stop_at = 0;
	OK(hf_mm_visit(s->mm, va, len, keep_run, runs));
}

static bool mapped(struct space *s, hf_va va, struct hf_vma_info *vma)
{
	return hf_vma_next(s->mm, va, vma) == HF_OK && vma->start <= va;
}

/* One page of a run, as hf_translate and the pins see it. */
static void expect_page(struct space *s, const struct hf_run *run, hf_va va)
{
	struct hf_translation t;
	bool found = hf_translate(s->mm, va, &t) == HF_OK;

	SAME(found, run->kind == HF_RUN_PAGE || run->kind == HF_RUN_ZERO);
	if (!found)
		return;
	SAME(run->level, t.level);
	SAME(run->access, t.access);
	if (run->kind == HF_RUN_ZERO)
		return;
	SAME(run->pa.v + (va - run->va), t.pa.v + (va - t.va));
	if (run->pinned == 0 || run->pinned == run->len)
		SAME(pins_at(s->m, (hf_pa){ run->pa.v + (va - run->va) }) != 0, run->pinned != 0);
}

/* The runs of [va, va+len) are in order, tell the truth about every page, and leave none out. */
static void expect_runs(struct space *s, hf_va va, uint64_t len)
{
	struct runs *runs = malloc(sizeof(*runs));
	struct hf_vma_info vma;
	size_t i = 0;

	look(s, va, len, runs);
	for (hf_va at = va; at < va + len; at += PAGE) {
		const struct hf_run *run = &runs->run[i];

		if (!mapped(s, at, &vma)) {
			assert_true(i == runs->count || run->va > at);
			continue;
		}
		assert_true(i < runs->count);
		assert_true(run->va <= at && at < run->va + run->len);
		assert_true(run->va >= vma.start && run->va + run->len <= vma.end);
		expect_page(s, run, at);
		if (at + PAGE == run->va + run->len)
			i++;
	}
	assert_true(i == runs->count || runs->run[i].va < va + len);
	free(runs);
}

static void visit_shows_each_run(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_at(s, SPACE_LO + 16 * MIB, 8 * MIB, RW);
	struct runs *runs = malloc(sizeof(*runs));

	put(s, va + PAGE, 1);
	put(s, va + 2 * PAGE, 1);
	SAME(get(s, va + 3 * PAGE), 0);
	look(s, va, 8 * MIB, runs);
	SAME(runs->count, 4);
	SAME(runs->run[0].kind, HF_RUN_HOLE);
	SAME(runs->run[0].va, va);
	SAME(runs->run[0].len, PAGE);
	SAME(runs->run[1].kind, HF_RUN_PAGE);
	SAME(runs->run[1].len, 2 * PAGE);
	SAME_PA(runs->run[1].pa, pa_of(s, va + PAGE));
	SAME(runs->run[1].access, HF_ACCESS_READ | HF_ACCESS_WRITE);
	assert_true(runs->run[1].accessed && runs->run[1].dirty && runs->run[1].exclusive);
	assert_false(runs->run[1].shared_table || runs->run[1].lazy || runs->run[1].pinned);
	SAME(runs->run[2].kind, HF_RUN_ZERO);
	SAME(runs->run[2].len, PAGE);
	assert_false(runs->run[2].exclusive || runs->run[2].dirty);
	SAME(runs->run[3].kind, HF_RUN_HOLE);
	SAME(runs->run[3].len, 8 * MIB - 4 * PAGE);
	expect_runs(s, SPACE_LO, SPACE_LEN);
	free(runs);
}

static void visit_cuts_holes_and_small_pages_at_its_range(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va small = map_filled(s, HF_LEVEL_PTE, 8, 1), huge = map_filled(s, HF_LEVEL_PMD, 2, 2);
	hf_va empty = map_at(s, SPACE_LO + 8 * MIB, 4 * MIB, RW);
	struct runs *runs = malloc(sizeof(*runs));

	look(s, small + 2 * PAGE, 3 * PAGE, runs);
	SAME(runs->count, 1);
	SAME(runs->run[0].va, small + 2 * PAGE);
	SAME(runs->run[0].len, 3 * PAGE);
	look(s, huge + PMD_SIZE + PAGE, PAGE, runs);
	SAME(runs->count, 1);
	SAME(runs->run[0].va, huge + PMD_SIZE);
	SAME(runs->run[0].len, PMD_SIZE);
	look(s, empty + PAGE, 2 * MIB, runs);
	SAME(runs->count, 1);
	SAME(runs->run[0].va, empty + PAGE);
	SAME(runs->run[0].len, 2 * MIB);
	look(s, SPACE_LO, 8 * MIB, runs); /* nothing is mapped there */
	SAME(runs->count, 0);
	free(runs);
}

static void visit_stops_when_told(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 16 * PAGE, RW);
	struct runs *runs = malloc(sizeof(*runs));

	for (int i = 0; i < 16; i += 2)
		put(s, va + (uint64_t)i * PAGE, 1);
	runs->count = 0;
	runs->stop_at = 5;
	OK(hf_mm_visit(s->mm, SPACE_LO, SPACE_LEN, keep_run, runs));
	SAME(runs->count, 5);
	put(s, va + PAGE, 1); /* and has left no lock behind */
	free(runs);
}

static void visit_refuses_what_is_no_range(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct runs *runs = malloc(sizeof(*runs));

	GIVES(HF_ERR_ALIGN, hf_mm_visit(s->mm, SPACE_LO + 1, PAGE, keep_run, runs));
	GIVES(HF_ERR_ALIGN, hf_mm_visit(s->mm, SPACE_LO, PAGE - 1, keep_run, runs));
	GIVES(HF_ERR_EMPTY, hf_mm_visit(s->mm, SPACE_LO, 0, keep_run, runs));
	GIVES(HF_ERR_WRAP, hf_mm_visit(s->mm, -PAGE, 2 * PAGE, keep_run, runs));
	GIVES(HF_ERR_RANGE, hf_mm_visit(s->mm, SPACE_LO, SPACE_LEN + PAGE, keep_run, runs));
	free(runs);
}

static void visit_tells_pins_to_the_page(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va small = map_filled(s, HF_LEVEL_PTE, 8, 1), huge = map_filled(s, HF_LEVEL_PMD, 3, 2);
	struct runs *runs = malloc(sizeof(*runs));
	struct pin pin[3];
	uint64_t pinned = 0;

	pin_range(s, small + 3 * PAGE, 2 * PAGE, HF_PIN_READ, &pin[0]);
	pin_range(s, huge, PMD_SIZE, HF_PIN_READ, &pin[1]);
	pin_range(s, huge + PMD_SIZE + 9 * PAGE, 3 * PAGE, HF_PIN_READ, &pin[2]);
	expect_runs(s, SPACE_LO, SPACE_LEN);
	look(s, SPACE_LO, SPACE_LEN, runs);
	for (size_t i = 0; i < runs->count; i++)
		pinned += runs->run[i].pinned;
	SAME(pinned, 5 * PAGE + PMD_SIZE);
	look(s, huge + PMD_SIZE, PAGE, runs);
	SAME(runs->run[0].pinned, 3 * PAGE);
	SAME(runs->run[0].len, PMD_SIZE);
	for (size_t i = 0; i < 3; i++)
		unpin(m, &pin[i]);
	free(runs);
}

/* What fork shares shows on both sides; a write makes a part exclusive again. */
static void visit_tells_what_is_shared(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 8, 1);
	struct runs *runs = malloc(sizeof(*runs));

	child = fork_space(s, HF_FORK_COPY);
	look(child, va, 8 * PAGE, runs);
	SAME(runs->count, 1);
	assert_true(runs->run[0].shared_table);
	assert_false(runs->run[0].exclusive);
	SAME(runs->run[0].access, HF_ACCESS_READ);
	put(child, va, 1);
	look(child, va, 8 * PAGE, runs);
	SAME(runs->count, 2);
	assert_true(runs->run[0].exclusive);
	assert_false(runs->run[0].shared_table || runs->run[1].shared_table);
	assert_false(runs->run[1].exclusive);
	expect_runs(s, SPACE_LO, SPACE_LEN);
	expect_runs(child, SPACE_LO, SPACE_LEN);
	free(runs);
}

/* ---- By mapping ---- */

/* The numbers of a mapping add up, and are those of its runs. */
static void expect_smaps(struct space *s, const struct hf_smaps *smaps)
{
	struct runs *runs = malloc(sizeof(*runs));
	uint64_t page = 0, zero = 0, away = 0, pinned = 0, dirty = 0, own = 0, accessed = 0;

	look(s, smaps->vma.start, smaps->size, runs);
	for (size_t i = 0; i < runs->count; i++) {
		const struct hf_run *run = &runs->run[i];

		page += run->kind == HF_RUN_PAGE ? run->len : 0;
		zero += run->kind == HF_RUN_ZERO ? run->len : 0;
		away += run->kind == HF_RUN_SWAPPED ? run->len : 0;
		dirty += run->kind == HF_RUN_PAGE && run->dirty ? run->len : 0;
		accessed += run->kind == HF_RUN_PAGE && run->accessed ? run->len : 0;
		own += run->exclusive ? run->len : 0;
		pinned += run->pinned;
	}
	SAME(smaps->size, smaps->vma.end - smaps->vma.start);
	SAME(smaps->resident, page);
	SAME(smaps->resident, smaps->leaf[0] + smaps->leaf[1] + smaps->leaf[2]);
	SAME(smaps->shared_dirty + smaps->private_dirty, dirty);
	SAME(smaps->private_clean + smaps->private_dirty, own);
	SAME(smaps->resident, smaps->shared_clean + smaps->shared_dirty + own);
	SAME(smaps->zero, zero);
	SAME(smaps->swapped, away);
	SAME(smaps->pinned, pinned);
	SAME(smaps->accessed, accessed);
	free(runs);
}

static struct hf_smaps smaps_at(struct space *s, hf_va va)
{
	struct hf_smaps smaps;

	OK(hf_mm_smaps(s->mm, va, &smaps));
	assert_true(smaps.vma.start <= va && va < smaps.vma.end);
	expect_smaps(s, &smaps);
	return smaps;
}

static void smaps_tell_each_mapping(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va huge = map_filled(s, HF_LEVEL_PMD, 2, 1), small = map_at(s, SPACE_LO, 8 * PAGE, RW);
	struct hf_smaps smaps;
	struct pin pin;

	put(s, small, 1);
	put(s, small + PAGE, 1);
	SAME(get(s, small + 2 * PAGE), 0);
	pin_range(s, huge + PAGE, PAGE, HF_PIN_READ, &pin);
	smaps = smaps_at(s, huge);
	SAME(smaps.size, 2 * PMD_SIZE);
	SAME(smaps.leaf[HF_LEVEL_PMD], 2 * PMD_SIZE);
	SAME(smaps.private_dirty, 2 * PMD_SIZE);
	SAME(smaps.pinned, PAGE);
	SAME(smaps.on_fork, HF_ON_FORK_COPY);
	assert_true(smaps.vma.huge);
	smaps = smaps_at(s, small);
	SAME(smaps.size, 8 * PAGE);
	SAME(smaps.resident, 2 * PAGE);
	SAME(smaps.leaf[HF_LEVEL_PTE], 2 * PAGE);
	SAME(smaps.zero, PAGE);
	SAME(smaps.pinned, 0);
	SAME(smaps.locked, 0);
	OK(hf_mm_smaps(s->mm, small + 8 * PAGE, &smaps));
	SAME(smaps.vma.start, huge);
	GIVES(HF_ERR_UNMAPPED, hf_mm_smaps(s->mm, huge + 2 * PMD_SIZE, &smaps));
	unpin(m, &pin);
}

static void smaps_tell_what_is_shared(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_filled(s, HF_LEVEL_PTE, 16, 1), huge = map_filled(s, HF_LEVEL_PMD, 1, 2);

	SAME(smaps_at(s, va).private_dirty, 16 * PAGE);
	child = fork_space(s, HF_FORK_COPY);
	SAME(smaps_at(s, va).shared_dirty, 16 * PAGE);
	SAME(smaps_at(s, va).shared_table, 16 * PAGE);
	SAME(smaps_at(child, huge).shared_dirty, PMD_SIZE);
	put(child, va, 1);
	SAME(smaps_at(child, va).private_dirty, PAGE);
	SAME(smaps_at(child, va).shared_dirty, 15 * PAGE);
	SAME(smaps_at(child, va).shared_table, 0);
	SAME(smaps_at(s, va).private_dirty, PAGE); /* the child has left it behind */
	space_end(child);
	SAME(smaps_at(s, va).private_dirty, 16 * PAGE);
}

static void smaps_tell_what_fork_makes_of_it(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_at(s, SPACE_LO, 3 * PAGE, RW);

	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTFORK));
	OK(hf_madvise(s->mm, va + PAGE, PAGE, HF_ADV_WIPEONFORK));
	SAME(smaps_at(s, va).on_fork, HF_ON_FORK_ABSENT);
	SAME(smaps_at(s, va + PAGE).on_fork, HF_ON_FORK_ZEROS);
	SAME(smaps_at(s, va + 2 * PAGE).on_fork, HF_ON_FORK_COPY);
}

static void smaps_tell_what_is_locked(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map(s, 8 * PAGE, RW);

	put(s, va + 4 * PAGE, 1);
	OK(hf_mlock(s->mm, va, 2 * PAGE, 0));
	SAME(smaps_at(s, va).locked, 2 * PAGE);
	SAME(smaps_at(s, va + 4 * PAGE).locked, 0);
	child = fork_space(s, HF_FORK_COPY); /* does not inherit it, and has one mapping */
	SAME(smaps_at(child, va).locked, 0);
	SAME(smaps_at(child, va).size, 8 * PAGE);
	SAME(smaps_at(child, va).resident, 3 * PAGE);
}

/* A page of an object has others that lead to it: the object, at least. */
static void smaps_of_an_object(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct hf_object_config config = { .size = 4 * PAGE };
	hf_va shared = SPACE_LO, own = SPACE_LO + 8 * PAGE;
	struct hf_object *object;

	OK(hf_object_create(m->phys, &config, &object));
	OK(hf_mmap_object(s->mm, &shared, 4 * PAGE, RW, HF_MAP_FIXED | HF_MAP_SHARED, object, 0));
	OK(hf_mmap_object(s->mm, &own, 4 * PAGE, RW, HF_MAP_FIXED | HF_MAP_PRIVATE, object, 0));
	put(s, shared, 1);
	put(s, shared + PAGE, 1);
	SAME(get(s, own), 1);
	put(s, own + PAGE, 2);
	SAME(smaps_at(s, shared).on_fork, HF_ON_FORK_SAME);
	SAME(smaps_at(s, shared).shared_dirty + smaps_at(s, shared).shared_clean, 2 * PAGE);
	SAME(smaps_at(s, own).on_fork, HF_ON_FORK_COPY);
	SAME(smaps_at(s, own).private_dirty, PAGE);
	SAME(smaps_at(s, own).resident, smaps_at(s, own).shared_clean + PAGE);
	hf_object_put(object);
}

/* A swap store in the test's own memory. */
#define SLOTS 64
static char slots[SLOTS][PAGE];

static bool slot_read(void *host, uint64_t slot, void *page)
{
	(void)host;
	memcpy(page, slots[slot], PAGE);
	return true;
}

static bool slot_write(void *host, uint64_t slot, const void *page)
{
	(void)host;
	memcpy(slots[slot], page, PAGE);
	return true;
}

/* What goes to the store and comes back is told, and a huge page waits until it is there. */
static void reports_of_what_is_away(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_level(s, HF_LEVEL_PTE, 512);
	struct hf_store store = {
		.slots = SLOTS,
		.read = slot_read,
		.write = slot_write,
		.meta = malloc(hf_store_meta_size(SLOTS)),
	};
	struct hf_mm_stats stats;
	uint64_t done, away;

	fill(s, va, 16 * PAGE, 1);
	OK(hf_swap_on(m->phys, &store));
	listen_begin(m);
	OK(hf_reclaim(m->phys, 8, &done));
	away = smaps_at(s, va).swapped;
	assert_true(away > 0 && done > 0);
	SAME(smaps_at(s, va).resident + away, 16 * PAGE);
	expect_runs(s, SPACE_LO, SPACE_LEN);
	hf_mm_stats(s->mm, &stats);
	SAME(stats.swapped * PAGE, away);
	assert_true(heard.count[HF_TRACE_RECLAIM] > 0);
	FAILS(m, HF_ERR_AGAIN, hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	FILLED(s, va, 16 * PAGE, 1);
	SAME(heard.faults[HF_FAULT_SWAPIN], away / PAGE);
	listen_end(m);
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	FILLED(s, va, 16 * PAGE, 1);
	SAME(level_of(s, va), HF_LEVEL_PMD);
	OK(hf_swap_off(m->phys));
	free(store.meta);
}

/* A page that one has and the other has in the store is not the one's alone. */
static void a_page_half_away_is_shared(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map_level(s, HF_LEVEL_PTE, 512), locked = va + 100 * PAGE;
	struct hf_store store = {
		.slots = SLOTS,
		.read = slot_read,
		.write = slot_write,
		.meta = malloc(hf_store_meta_size(SLOTS)),
	};
	struct hf_smaps smaps;
	uint64_t done;

	fill(s, va, 16 * PAGE, 1);
	OK(hf_swap_on(m->phys, &store));
	child = fork_space(s, HF_FORK_COPY);
	put(child, locked, 1);			  /* tables of its own */
	OK(hf_mlock(child->mm, locked, PAGE, 0)); /* keeps the parent's table as it is */
	GIVES(HF_ERR_AGAIN, hf_reclaim(m->phys, 16, &done));
	SAME(smaps_at(child, va).swapped, 16 * PAGE);
	smaps = smaps_at(s, va);
	SAME(smaps.resident, 16 * PAGE);
	SAME(smaps.private_clean + smaps.private_dirty, 0);
	FILLED(child, va, 16 * PAGE, 1);
	space_end(child);
	smaps = smaps_at(s, va);
	SAME(smaps.private_clean + smaps.private_dirty, 16 * PAGE);
	OK(hf_swap_off(m->phys));
	free(store.meta);
}

static void reports_change_nothing(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1);
	struct runs *runs = malloc(sizeof(*runs));
	struct hf_fork_cost cost;
	struct hf_mm_stats stats;
	struct hf_smaps smaps;
	struct state *before;
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_READ, &pin);
	fork_space(s, HF_FORK_COPY);
	before = state_take(m);
	look(s, SPACE_LO, SPACE_LEN, runs);
	hf_mm_stats(s->mm, &stats);
	OK(hf_mm_smaps(s->mm, SPACE_LO, &smaps));
	OK(hf_fork_forecast(s->mm, HF_FORK_SPLIT, &cost, NULL, 0, NULL));
	state_same(m, before, STATE_ALL, "reports", __FILE__, __LINE__);
	CHECK(m);
	state_drop(before);
	unpin(m, &pin);
	free(runs);
}

/* ---- The next fork ---- */

#define MAX_COPIES 64

struct forecast {
	struct hf_fork_cost cost;
	struct hf_fork_pin copies[MAX_COPIES];
	size_t count;
};

static void expect_cost(const struct hf_fork_cost *got, const struct hf_fork_cost *want)
{
	SAME(got->inspected, want->inspected);
	SAME(got->tables, want->tables);
	SAME(got->small, want->small);
	SAME(got->huge, want->huge);
	SAME(got->bytes, want->bytes);
}

/*
 * Ask, fork, and compare with what the fork says it did, and with the memory that it took
 * besides `nodes` of mappings. The child goes, so that it can be done again.
 */
static void fork_as_forecast(struct space *s, enum hf_fork_policy policy, uint64_t nodes,
			     struct forecast *f)
{
	struct machine *m = s->m;
	struct hf_fork_cost again;
	struct space *child;
	uint64_t before, bytes = 0;

	OK(hf_fork_forecast(s->mm, policy, &f->cost, f->copies, MAX_COPIES, &f->count));
	OK(hf_fork_forecast(s->mm, policy, &again, NULL, 0, NULL));
	expect_cost(&again, &f->cost);
	before = free_bytes(m);
	listen_begin(m);
	child = fork_space(s, policy);
	listen_end(m);
	SAME(heard.count[HF_TRACE_FORK], 1);
	expect_cost(&heard.cost, &f->cost);
	SAME(before - free_bytes(m), f->cost.bytes + (f->cost.tables + nodes) * PAGE);
	for (size_t i = 0; i < f->count && i < MAX_COPIES; i++)
		bytes += f->copies[i].len;
	if (f->count <= MAX_COPIES)
		SAME(bytes, f->cost.bytes);
	space_end(child);
}

static void forecast_of_nothing_pinned(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct forecast f;

	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.tables, 1);
	map_filled(s, HF_LEVEL_PTE, 64, 1);
	map_filled(s, HF_LEVEL_PMD, 4, 2);
	for (size_t i = 0; i < 2; i++) {
		fork_as_forecast(s, policies[i], 0, &f);
		SAME(f.cost.inspected, 1);
		SAME(f.cost.tables, 1);
		SAME(f.cost.bytes, 0);
		SAME(f.count, 0);
	}
	GIVES(HF_ERR_INVAL, hf_fork_forecast(s->mm, 7, &f.cost, NULL, 0, NULL));
}

static void forecast_of_small_pins(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 64, 1);
	struct forecast f;
	struct pin pin[3];

	pin_range(s, va, 2 * PAGE, HF_PIN_READ, &pin[0]);
	pin_range(s, va + 2 * PAGE, PAGE, HF_PIN_READ, &pin[1]);
	pin_range(s, va + 9 * PAGE, 1, HF_PIN_READ, &pin[2]);
	for (size_t i = 0; i < 2; i++) {
		fork_as_forecast(s, policies[i], 0, &f);
		SAME(f.cost.small, 4);
		SAME(f.cost.bytes, 4 * PAGE);
		SAME(f.cost.tables, f.cost.inspected);
		SAME(f.count, 2);
		SAME(f.copies[0].va, va);
		SAME(f.copies[0].len, 3 * PAGE);
		SAME(f.copies[0].pinned, 3 * PAGE);
		SAME(f.copies[1].va, va + 9 * PAGE);
		SAME(f.copies[1].len, PAGE);
	}
	for (size_t i = 0; i < 3; i++)
		unpin(m, &pin[i]);
}

static void forecast_of_pins_in_huge_pages(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 4, 1);
	struct forecast f;
	struct pin pin[2];

	pin_range(s, va + 5 * PAGE, 2 * PAGE, HF_PIN_READ, &pin[0]);
	pin_range(s, va + 2 * PMD_SIZE, PMD_SIZE, HF_PIN_READ, &pin[1]);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.huge, 2);
	SAME(f.cost.small, 0);
	SAME(f.count, 2);
	SAME(f.copies[0].va, va);
	SAME(f.copies[0].len, PMD_SIZE);
	SAME(f.copies[0].pinned, 2 * PAGE);
	SAME(f.copies[1].pinned, PMD_SIZE);
	fork_as_forecast(s, HF_FORK_SPLIT, 0, &f);
	SAME(f.cost.huge, 0);
	SAME(f.cost.small, 2 + 512);
	SAME(f.count, 2);
	SAME(f.copies[0].va, va + 5 * PAGE);
	SAME(f.copies[0].len, 2 * PAGE);
	fork_as_forecast(s, HF_FORK_SPLIT, 0, &f); /* it is split now */
	SAME(f.cost.small, 2 + 512);
	unpin(m, &pin[0]);
	unpin(m, &pin[1]);
}

/* Where no huge page is free for the child, the forecast knows. */
static void forecast_of_huge_copies_in_small_pages(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 3, 1);
	struct hoard hoard;
	struct forecast f;
	struct pin pin;

	pin_range(s, va, 3 * PMD_SIZE, HF_PIN_READ, &pin);
	fragment(m, 2000, &hoard);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.huge, 0);
	SAME(f.cost.small, 3 * 512);
	SAME(f.cost.bytes, 3 * PMD_SIZE);
	hoard_release(m, &hoard);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.huge, 3);
	unpin(m, &pin);
}

/* A fork that takes the tree of mappings apart first gets as many huge pages as foretold. */
static void forecast_beside_mappings_that_go(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 2, 1), gone = map_filled(s, HF_LEVEL_PTE, 3, 2);
	struct hoard blocks;
	struct forecast f;
	struct pin pin;

	OK(hf_madvise(s->mm, gone, PAGE, HF_ADV_DONTFORK));
	OK(hf_madvise(s->mm, gone + 2 * PAGE, PAGE, HF_ADV_WIPEONFORK));
	pin_range(s, va, PAGE, HF_PIN_READ, &pin);
	fork_as_forecast(s, HF_FORK_COPY, 1, &f);
	SAME(f.cost.huge, 1);
	/* One block of 2 MiB is left, and it must not go for the node. */
	hoard_all(m, 9, &blocks);
	OK(hf_phys_free(m->phys, blocks.pages[--blocks.count], 9));
	fork_as_forecast(s, HF_FORK_COPY, 1, &f);
	SAME(f.cost.huge, 1);
	hoard_release(m, &blocks);
	unpin(m, &pin);
}

/* LOOK is sticky until fork looks: the forecast counts it as that fork will. */
static void forecast_after_the_pins_are_gone(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);
	struct forecast f;
	struct pin pin;

	pin_range(s, va, PAGE, HF_PIN_READ, &pin);
	unpin(m, &pin);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	assert_true(f.cost.inspected > 1);
	SAME(f.cost.tables, 1);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.inspected, 1);
}

/* Way by way: what still holds a pin goes on being looked at, and nothing else. */
static void look_decays(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va near = map_filled(s, HF_LEVEL_PMD, 2, 1), far = near + PMD_SIZE;
	hf_va small = map_filled(s, HF_LEVEL_PTE, 4, 2);
	struct forecast f;
	struct pin pin[3];
	uint64_t all;

	pin_range(s, near, PMD_SIZE, HF_PIN_WRITE, &pin[0]);
	pin_range(s, far, PAGE, HF_PIN_READ, &pin[1]);
	pin_range(s, small, PAGE, HF_PIN_WRITE, &pin[2]);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	all = f.cost.inspected;
	SAME(f.cost.tables, all);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.inspected, all);

	unpin(m, &pin[2]);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.inspected, all);
	assert_true(f.cost.tables < all);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.inspected, f.cost.tables);
	SAME(f.cost.huge, 2);

	unpin(m, &pin[0]);
	unpin(m, &pin[1]);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.tables, 1);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.inspected, 1);
}

/* The list is cut where it is full; how long it would be is told. */
static void forecast_lists_what_fits(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 64, 1);
	struct hf_fork_pin copies[3] = { { .va = 1 }, { .va = 1 }, { .va = 1 } };
	struct hf_fork_cost cost;
	struct pin pin[8];
	size_t count;

	for (size_t i = 0; i < 8; i++)
		pin_range(s, va + i * 3 * PAGE, 2 * PAGE, HF_PIN_READ, &pin[i]);
	OK(hf_fork_forecast(s->mm, HF_FORK_COPY, &cost, copies, 2, &count));
	SAME(count, 8);
	SAME(copies[1].va, va + 3 * PAGE);
	SAME(copies[1].len, 2 * PAGE);
	SAME(copies[2].va, 1);
	SAME(cost.small, 16);
	for (size_t i = 0; i < 8; i++)
		unpin(m, &pin[i]);
}

/* What fork would fail with, and what it would have needed. */
static void forecast_of_a_fork_that_fails(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 64, 1);
	struct hf_fork_cost cost;
	struct space *child;
	struct hoard hoard;
	struct pin pin;

	pin_range(s, va, 64 * PAGE, HF_PIN_READ, &pin);
	hoard_all(m, 0, &hoard);
	GIVES(HF_ERR_NOMEM, hf_fork_forecast(s->mm, HF_FORK_COPY, &cost, NULL, 0, NULL));
	SAME(cost.small, 64);
	/* The least that is enough, and one page less. */
	for (uint64_t i = 0; i < cost.small + cost.tables; i++) {
		GIVES(HF_ERR_NOMEM, hf_fork_forecast(s->mm, HF_FORK_COPY, &cost, NULL, 0, NULL));
		GIVES(HF_ERR_NOMEM, try_fork(s, HF_FORK_COPY, &child));
		OK(hf_phys_free(m->phys, hoard.pages[--hoard.count], 0));
	}
	OK(hf_fork_forecast(s->mm, HF_FORK_COPY, &cost, NULL, 0, NULL));
	fork_space(s, HF_FORK_COPY);
	hoard_release(m, &hoard);
	unpin(m, &pin);
}

static void forecast_of_an_overflow(void **state)
{
	struct machine_config config = { .ram_bytes = RAM_BYTES, .count_limit = 2 };
	struct machine *m = machine_new(&config);
	struct space *s = space_new(m), *child;
	struct hf_fork_cost cost;

	(void)state;
	map_filled(s, HF_LEVEL_PTE, 4, 1);
	OK(hf_fork_forecast(s->mm, HF_FORK_COPY, &cost, NULL, 0, NULL));
	fork_space(s, HF_FORK_COPY);
	GIVES(HF_ERR_OVERFLOW, hf_fork_forecast(s->mm, HF_FORK_COPY, &cost, NULL, 0, NULL));
	SAME(cost.tables, 1);
	GIVES(HF_ERR_OVERFLOW, try_fork(s, HF_FORK_COPY, &child));
	machine_end(m);
}

static void forecast_of_pins_in_a_1_gib_page(void **state)
{
	struct machine_config config = { .ram_bytes = 4 * GIB };
	struct machine *m;
	struct forecast f;
	struct space *s;
	struct pin pin;
	hf_va va;

	(void)state;
	need_host_memory(2 * GIB);
	m = machine_new(&config);
	s = space_new_of(m, 4 * GIB, HF_HUGE_COW_SMALL);
	va = map_level(s, HF_LEVEL_PUD, 1);
	put(s, va, 1);
	SAME(level_of(s, va), HF_LEVEL_PUD);
	pin_range(s, va + 10 * MIB + PAGE, PAGE, HF_PIN_READ, &pin);
	fork_as_forecast(s, HF_FORK_COPY, 0, &f);
	SAME(f.cost.huge, 1);
	SAME(f.copies[0].va, va + 10 * MIB);
	SAME(f.copies[0].len, PMD_SIZE);
	SAME(f.copies[0].pinned, PAGE);
	fork_as_forecast(s, HF_FORK_SPLIT, 0, &f);
	SAME(f.cost.small, 1);
	SAME(f.copies[0].va, va + 10 * MIB + PAGE);
	unpin(m, &pin);
	machine_end(m);
}

/* ---- Trace points ---- */

static void trace_tells_faults(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m), *child;
	hf_va va = map(s, 4 * PAGE, RW);

	listen_begin(m);
	OK(hf_fault(s->mm, va, HF_ACCESS_READ, NULL));
	SAME(heard.faults[HF_FAULT_ZERO], 1);
	OK(hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	SAME(heard.faults[HF_FAULT_COPY], 1);
	OK(hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	SAME(heard.faults[HF_FAULT_NONE], 1);
	OK(hf_fault(s->mm, va + PAGE, HF_ACCESS_WRITE, NULL));
	SAME(heard.faults[HF_FAULT_FRESH], 1);
	SAME(heard.last[HF_TRACE_FAULT].va, va + PAGE);
	SAME(heard.last[HF_TRACE_FAULT].len, PAGE);
	SAME(heard.last[HF_TRACE_FAULT].level, HF_LEVEL_PTE);
	assert_ptr_equal(heard.last[HF_TRACE_FAULT].mm, s->mm);
	child = fork_space(s, HF_FORK_COPY);
	OK(hf_fault(child->mm, va, HF_ACCESS_WRITE, NULL));
	SAME(heard.faults[HF_FAULT_COPY], 2);
	OK(hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	SAME(heard.faults[HF_FAULT_REUSE], 1);
	SAME(heard.count[HF_TRACE_FAULT], 6);
	GIVES(HF_ERR_UNMAPPED, hf_fault(s->mm, SPACE_LO, HF_ACCESS_READ, NULL));
	SAME(heard.count[HF_TRACE_FAULT], 6);
	listen_end(m);
}

static void trace_tells_faults_of_objects(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	struct hf_object_config config = { .size = 4 * PAGE };
	struct hf_object *object;
	hf_va va = 0;

	OK(hf_object_create(m->phys, &config, &object));
	OK(hf_mmap_object(s->mm, &va, 4 * PAGE, RW, HF_MAP_SHARED, object, 0));
	listen_begin(m);
	OK(hf_fault(s->mm, va, HF_ACCESS_WRITE, NULL));
	SAME(heard.faults[HF_FAULT_OBJECT], 1);
	listen_end(m);
	hf_object_put(object);
}

static void trace_tells_collapses(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);

	OK(hf_mprotect(s->mm, va + PAGE, PAGE, RO));
	OK(hf_mprotect(s->mm, va + PAGE, PAGE, RW));
	listen_begin(m);
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	SAME(heard.count[HF_TRACE_COLLAPSE], 1);
	SAME(heard.last[HF_TRACE_COLLAPSE].kind, HF_COLLAPSE_IN_PLACE);
	SAME(heard.last[HF_TRACE_COLLAPSE].va, va);
	SAME(heard.last[HF_TRACE_COLLAPSE].level, HF_LEVEL_PMD);
	SAME(heard.last[HF_TRACE_COLLAPSE].len, PMD_SIZE);
	OK(hf_madvise(s->mm, va, PAGE, HF_ADV_DONTNEED));
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE));
	SAME(heard.last[HF_TRACE_COLLAPSE].kind, HF_COLLAPSE_COPIED);
	OK(hf_madvise(s->mm, va, PMD_SIZE, HF_ADV_COLLAPSE)); /* is huge already */
	SAME(heard.count[HF_TRACE_COLLAPSE], 2);
	listen_end(m);
}

static void trace_tells_flushes_and_splits(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PMD, 1, 1);

	listen_begin(m);
	OK(hf_mprotect(s->mm, va + PAGE, PAGE, RO));
	SAME(heard.count[HF_TRACE_SPLIT], 1);
	SAME(heard.last[HF_TRACE_SPLIT].va, va);
	SAME(heard.last[HF_TRACE_SPLIT].len, PMD_SIZE);
	SAME(heard.last[HF_TRACE_SPLIT].level, HF_LEVEL_PMD);
	assert_true(heard.count[HF_TRACE_FLUSH] > 0);
	SAME(heard.last[HF_TRACE_FLUSH].kind, HF_FLUSH_WRITE);
	SAME(heard.last[HF_TRACE_FLUSH].va, va + PAGE);
	SAME(heard.last[HF_TRACE_FLUSH].len, PAGE);
	assert_ptr_equal(heard.last[HF_TRACE_FLUSH].mm, s->mm);
	listen_end(m);
}

static void trace_tells_pins(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map_filled(s, HF_LEVEL_PTE, 4, 1);
	struct pin pin;

	listen_begin(m);
	pin_range(s, va + 100, 2 * PAGE, HF_PIN_READ, &pin);
	SAME(heard.count[HF_TRACE_PIN], 1);
	SAME(heard.last[HF_TRACE_PIN].va, va + 100);
	SAME(heard.last[HF_TRACE_PIN].len, 2 * PAGE);
	unpin(m, &pin);
	SAME(heard.count[HF_TRACE_UNPIN], 1);
	SAME(heard.last[HF_TRACE_UNPIN].len, 2 * PAGE);
	GIVES(HF_ERR_NOT_PINNED, hf_unpin(m->phys, pin.spans, pin.count));
	SAME(heard.count[HF_TRACE_UNPIN], 1);
	listen_end(m);
}

/* A pin that fails takes back what it has pinned, which is no event. */
static void trace_tells_no_pin_that_fails(void **state)
{
	struct machine *m = *state;
	struct space *s = space_new(m);
	hf_va va = map(s, 4 * PAGE, RW);
	struct hoard hoard;
	struct pin pin;

	put(s, va, 1);
	fragment(m, 16, &hoard);
	listen_begin(m);
	GIVES(HF_ERR_SPANS, hf_pin(s->mm, va, 4 * PAGE, HF_PIN_WRITE, pin.spans, 1, &pin.count));
	SAME(heard.count[HF_TRACE_PIN], 0);
	SAME(heard.count[HF_TRACE_UNPIN], 0);
	listen_end(m);
	hoard_release(m, &hoard);
}

static const struct CMUnitTest tests[] = {
	TEST(visit_shows_each_run),
	TEST(visit_cuts_holes_and_small_pages_at_its_range),
	TEST(visit_stops_when_told),
	TEST(visit_refuses_what_is_no_range),
	TEST(visit_tells_pins_to_the_page),
	TEST(visit_tells_what_is_shared),
	TEST(smaps_tell_each_mapping),
	TEST(smaps_tell_what_is_shared),
	TEST(smaps_tell_what_fork_makes_of_it),
	TEST(smaps_tell_what_is_locked),
	TEST(smaps_of_an_object),
	TEST(reports_of_what_is_away),
	TEST(a_page_half_away_is_shared),
	TEST(reports_change_nothing),
	TEST(forecast_of_nothing_pinned),
	TEST(forecast_of_small_pins),
	TEST(forecast_of_pins_in_huge_pages),
	TEST(forecast_of_huge_copies_in_small_pages),
	TEST(forecast_beside_mappings_that_go),
	TEST(forecast_after_the_pins_are_gone),
	TEST(look_decays),
	TEST(forecast_lists_what_fits),
	TEST(forecast_of_a_fork_that_fails),
	cmocka_unit_test(forecast_of_an_overflow),
	cmocka_unit_test(forecast_of_pins_in_a_1_gib_page),
	TEST(trace_tells_faults),
	TEST(trace_tells_faults_of_objects),
	TEST(trace_tells_collapses),
	TEST(trace_tells_flushes_and_splits),
	TEST(trace_tells_pins),
	TEST(trace_tells_no_pin_that_fails),
};
SUITE(suite_report, tests);
