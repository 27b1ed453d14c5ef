/* SPDX-License-Identifier: MIT */
/* Scenes, and the loop over the allocations of a call. */
#include "fault.h"

#define FAULT_RAM_BYTES (24 * MIB)
#define BIG_RAM_BYTES (2 * GIB)

/* What a fixture hands to a test. `what` is set while a scenario runs. */
struct bench {
	struct machine *m;
	const char *what;
	uint64_t n, allocations;
};

static int setup(void **state, uint64_t ram_bytes)
{
	struct machine_config config = { .ram_bytes = ram_bytes };
	struct bench *bench = calloc(1, sizeof(*bench));

	bench->m = machine_new(&config);
	*state = bench;
	return 0;
}

int fault_setup(void **state)
{
	return setup(state, FAULT_RAM_BYTES);
}

int fault_setup_big(void **state)
{
	return setup(state, BIG_RAM_BYTES);
}

int fault_teardown(void **state)
{
	struct bench *bench = *state;

	if (bench->what) /* has failed, and the machine with it */
		print_error("in scenario '%s', when allocation %llu of %llu failed\n", bench->what,
			    (unsigned long long)bench->n, (unsigned long long)bench->allocations);
	else
		machine_end(bench->m);
	free(bench);
	return 0;
}

/* Building a scene. */

void scene_space(struct scene *sc)
{
	sc->s = space_new_of(sc->m, FAULT_SPACE_LEN, sc->with->huge_cow);
}

void scene_map(struct scene *sc, hf_va va, unsigned level, uint64_t len)
{
	static const enum hf_advice advice[] = {
		[HF_LEVEL_PTE] = HF_ADV_NOHUGEPAGE,
		[HF_LEVEL_PMD] = HF_ADV_HUGEPAGE,
		[HF_LEVEL_PUD] = HF_ADV_HUGEPAGE_1G,
	};

	map_at(sc->s, va, len, RW);
	OK(hf_madvise(sc->s->mm, va, len, advice[level]));
}

void scene_expect(struct scene *sc, hf_va va, uint64_t len, enum fate here, enum fate there)
{
	if (sc->area_count == MAX_AREAS)
		fail_msg("more than %d areas in a scene", MAX_AREAS);
	sc->areas[sc->area_count++] = (struct area){ va, len, va, here, there };
}

void scene_stamp(struct scene *sc, hf_va va, uint64_t len, enum fate here, enum fate there)
{
	if (len > PMD_SIZE) {
		scene_stamp(sc, va, 2 * PAGE, here, there);
		scene_stamp(sc, va + len - 2 * PAGE, 2 * PAGE, here, there);
		return;
	}
	scene_expect(sc, va, len, here, there);
	fill(sc->s, va, len, va);
}

/* Present, in leaves of that level. */
static void populate(struct space *s, hf_va va, unsigned level, uint64_t len)
{
	OK(hf_madvise(s->mm, va, len, HF_ADV_POPULATE_WRITE));
	for (uint64_t at = 0; at < len; at += hf_level_size(level))
		SAME(level_of(s, va + at), level);
}

void scene_fill(struct scene *sc, hf_va va, unsigned level, uint64_t len)
{
	scene_map(sc, va, level, len);
	populate(sc->s, va, level, len);
	scene_stamp(sc, va, len, STAYS, STAYS);
}

void scene_pin(struct scene *sc, hf_va va, uint64_t len)
{
	struct held *held = &sc->pins[sc->pin_count++];

	if (sc->pin_count > MAX_PINS)
		fail_msg("more than %d pins in a scene", MAX_PINS);
	held->s = sc->s;
	held->va = va;
	pin_range(sc->s, va, len, HF_PIN_WRITE, &held->list);
}

void share_with_child(struct scene *sc)
{
	static const hf_va near[] = {
		[1] = TARGET - GIB,	   /* the same PUD table */
		[2] = TARGET + 64 * MIB,   /* the same PMD table */
		[3] = TARGET + 200 * PAGE, /* the same PTE table */
	};
	struct space *child;

	if (sc->with->own) {
		hf_va va = near[sc->with->own];

		if (!present(sc->s, va))
			map_at(sc->s, va, PAGE, RW);
		scene_pin(sc, va, PAGE);
	}
	OK(try_fork(sc->s, HF_FORK_COPY, &child));
	sc->other = child;
	if (sc->with->child_acts) {
		sc->other = sc->s;
		sc->s = child;
	}
}

void share_if_told(struct scene *sc)
{
	if (sc->with->shared)
		share_with_child(sc);
}

enum hf_status call_fork(struct scene *sc)
{
	return try_fork(sc->s, sc->with->policy, &sc->other);
}

enum hf_status call_access(struct scene *sc)
{
	const struct scenario *with = sc->with;
	hf_va va = with->va + with->from;

	if (with->access != PINS)
		return hf_fault(sc->s->mm, va, with->access, NULL);
	sc->made.s = sc->s;
	sc->made.va = va;
	return hf_pin(sc->s->mm, va, PAGE, HF_PIN_WRITE, sc->made.list.spans, MAX_SPANS,
		      &sc->made.list.count);
}

/* Looking at one. */

void expect_apart(struct space *a, struct space *b, hf_va va)
{
	uint64_t before = get(b, va);

	SAME(get(a, va), before);
	put(a, va, before + 1);
	SAME(get(b, va), before);
	put(b, va, before + 2);
	SAME(get(a, va), before + 1);
	CHECK(a->m);
	put(a, va, before);
	put(b, va, before);
}

static void expect_fate(struct space *s, const struct area *a, enum fate fate)
{
	switch (fate) {
	case STAYS:
		FILLED(s, a->va, a->len, a->seed);
		break;
	case ZEROED:
		ZEROS(s, a->va, a->len);
		break;
	case GONE:
		for (uint64_t at = 0; at < a->len; at += PAGE)
			assert_false(may_load(s, a->va + at));
		break;
	case OTHER:
		break;
	}
}

/* The page is where it was, and the device and the program see each other there. */
static void expect_held(struct machine *m, const struct held *held)
{
	hf_pa pa = held->list.spans[0].pa;
	uint64_t value;

	SAME_PA(pa_of(held->s, held->va), pa);
	value = get(held->s, held->va);
	dma_put(m, pa, value + 1);
	SAME(get(held->s, held->va), value + 1);
	put(held->s, held->va, value);
	SAME(dma_get(m, pa), value);
}

static bool writable(struct space *s, hf_va va)
{
	struct hf_vma_info vma;

	return hf_vma_next(s->mm, va, &vma) == HF_OK && vma.start <= va &&
	       (vma.prot & HF_PROT_WRITE);
}

static void expect_areas(struct scene *sc)
{
	for (size_t i = 0; i < sc->area_count; i++) {
		const struct area *a = &sc->areas[i];

		expect_fate(sc->s, a, a->here);
		if (!sc->other)
			continue;
		expect_fate(sc->other, a, a->there);
		if (a->here == STAYS && a->there == STAYS && writable(sc->s, a->va) &&
		    writable(sc->other, a->va))
			expect_apart(sc->s, sc->other, a->va);
	}
}

static void expect_all(struct scene *sc)
{
	CHECK(sc->m);
	if (sc->with->after)
		sc->with->after(sc);
	expect_areas(sc);
	for (size_t i = 0; i < sc->pin_count; i++)
		expect_held(sc->m, &sc->pins[i]);
	if (sc->made.list.count)
		expect_held(sc->m, &sc->made);
	CHECK(sc->m);
}

/* Running one. */

static struct scene *scene_begin(struct machine *m, const struct scenario *with)
{
	struct scene *sc = calloc(1, sizeof(*sc));

	sc->m = m;
	sc->with = with;
	with->set(sc);
	CHECK(m);
	return sc;
}

/* What the call has made or left goes, and not a page may be missing. */
static void scene_end(struct scene *sc)
{
	struct machine *m = sc->m;

	if (sc->made.list.count)
		unpin(m, &sc->made.list);
	for (size_t i = 0; i < sc->pin_count; i++)
		unpin(m, &sc->pins[i].list);
	if (sc->hoard.pages)
		hoard_release(m, &sc->hoard);
	for (size_t i = 0; i < MAX_SPACES; i++) {
		if (m->spaces[i])
			space_end(m->spaces[i]);
	}
	SAME(free_bytes(m), m->free_at_start);
	free(sc);
}

/* How many allocations the call tries when none fails. */
static uint64_t count_allocations(struct machine *m, const struct scenario *with)
{
	const uint64_t plenty = (uint64_t)1 << 40;
	struct scene *sc = scene_begin(m, with);
	uint64_t tried;

	hf_phys_fail_after(m->phys, plenty);
	OK(with->call(sc));
	tried = plenty - m->phys->fail_after;
	hf_phys_fail_after(m->phys, 0);
	expect_all(sc);
	scene_end(sc);
	return tried;
}

/* Returns whether the call failed; it may also do without the n-th allocation. */
static bool fails_at(struct machine *m, const struct scenario *with, uint64_t n)
{
	struct scene *sc = scene_begin(m, with);
	struct state *before = state_take(m);
	enum hf_status status;

	hf_phys_fail_after(m->phys, n);
	status = with->call(sc);
	hf_phys_fail_after(m->phys, 0);
	CHECK(m);
	if (status == HF_OK) {
		sc->scarce = true;
	} else {
		expect_status(status, HF_ERR_NOMEM, with->name, __FILE__, __LINE__);
		state_same(m, before, with->keeps, with->name, __FILE__, __LINE__);
		OK(with->call(sc));
	}
	state_drop(before);
	expect_all(sc);
	scene_end(sc);
	return status != HF_OK;
}

void at_every_allocation(void **state, const struct scenario *with)
{
	struct bench *bench = *state;
	uint64_t failures = 0;

	bench->what = with->name;
	bench->n = bench->allocations = 0;
	bench->allocations = count_allocations(bench->m, with);
	for (bench->n = 1; bench->n <= bench->allocations; bench->n++)
		failures += fails_at(bench->m, with, bench->n);
	if (with->gives ? failures : !failures)
		fail_msg("%s: %llu allocations, and %llu of them fail it", with->name,
			 (unsigned long long)bench->allocations, (unsigned long long)failures);
	bench->what = NULL;
}
