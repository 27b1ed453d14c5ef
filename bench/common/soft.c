/* SPDX-License-Identifier: MIT */
/* Holdfast on its soft port: a CPU for the parent and one for the child. */
#define _GNU_SOURCE
#include "clock.h"
#include "core.h"

#include <holdfast/soft.h>

#include <stdlib.h>
#include <sys/mman.h>

#define RAM_BASE GIB

struct space {
	struct layout layout;
	struct hf_soft *soft;
	struct hf_phys *phys;
	struct hf_mm mm[2]; /* by enum who */
	struct hf_soft_cpu *cpu[2];
	struct core_pins pins;
	hf_va base;  /* of the memory under test */
	uint64_t at; /* of the chase */
};

static double soft_touch(struct space *s, enum who who, const struct walk *places, bool write)
{
	struct hf_soft_cpu *cpu = s->cpu[who];
	uint64_t value, base = s->base, at = walk_at(places, 0);
	enum hf_status st = HF_OK;
	double start = now_ns();

	for (uint64_t i = 0; i < places->count && !st; i++) {
		uint64_t next = walk_after(places, i);

		st = write ? hf_soft_store(cpu, base + at, 8, next)
			   : hf_soft_load(cpu, base + at, 8, &value);
		at = next;
	}
	must(st, write ? "hf_soft_store" : "hf_soft_load");
	return now_ns() - start;
}

static double soft_chase(struct space *s, uint64_t count)
{
	enum hf_status st = HF_OK;
	double start = now_ns();
	uint64_t at = s->at;

	while (count-- && !st)
		st = hf_soft_load(s->cpu[PARENT], s->base + at, 8, &at);
	must(st, "hf_soft_load");
	s->at = at;
	return now_ns() - start;
}

static struct space *soft_create(const struct layout *layout)
{
	struct space *s = calloc(1, sizeof(*s));
	struct hf_soft_config config = { .ram_bytes = core_ram(layout), .ram_base = RAM_BASE };
	struct hf_mm_config mm = {
		.huge_cow = layout->huge_small ? HF_HUGE_COW_SMALL : HF_HUGE_COW_WHOLE,
	};
	struct walk pages = core_places(layout, 0, layout->size);

	s->layout = *layout;
	must(hf_soft_create(&config, &s->soft), "hf_soft_create");
	s->phys = hf_soft_phys(s->soft);
	must(hf_mm_create(&s->mm[PARENT], s->phys, &mm), "hf_mm_create");
	/* Where every page-table format has addresses: Sv39 ends at 2^38. */
	s->base = s->mm[PARENT].va_hi / 128;
	for (int i = 0; i < 2; i++)
		must(hf_soft_cpu_create(s->soft, &s->cpu[i]), "hf_soft_cpu_create");
	hf_soft_switch(s->cpu[PARENT], &s->mm[PARENT]);
	/* As the floor has it. */
	if (layout->whole)
		madvise(hf_phys_ptr(s->phys, (hf_pa){ RAM_BASE }), config.ram_bytes, MADV_HUGEPAGE);
	core_clean(s->phys);
	core_map(&s->mm[PARENT], s->base, layout);
	soft_touch(s, PARENT, &pages, !layout->zero);
	core_keep(&s->mm[PARENT], s->base, layout);
	return s;
}

static double soft_fork(struct space *s)
{
	double start = now_ns(), end;
	enum hf_status st = hf_fork(&s->mm[PARENT], &s->mm[CHILD], NULL, HF_FORK_COPY);

	end = now_ns();
	must(st, "hf_fork");
	hf_soft_switch(s->cpu[CHILD], &s->mm[CHILD]);
	return end - start;
}

static void soft_reap(struct space *s)
{
	hf_soft_switch(s->cpu[CHILD], NULL);
	hf_mm_destroy(&s->mm[CHILD]);
}

static double soft_tables(struct space *s, unsigned forks)
{
	struct hf_mm *children = calloc(forks, sizeof(*children));
	uint64_t before = core_free(s->phys), after;

	for (unsigned i = 0; i < forks; i++)
		must(hf_fork(&s->mm[PARENT], &children[i], NULL, HF_FORK_COPY), "hf_fork");
	after = core_free(s->phys);
	for (unsigned i = 0; i < forks; i++)
		hf_mm_destroy(&children[i]);
	free(children);
	return (double)(before - after) / forks;
}

static double soft_pin(struct space *s, const struct walk *places, uint64_t len)
{
	return core_pin(&s->mm[PARENT], s->base, places, len, &s->pins);
}

static double soft_unpin(struct space *s)
{
	return core_unpin(s->phys, &s->pins);
}

/* Only what was asked for splits huge pages here. */
static void soft_renew(struct space *s, uint64_t from, uint64_t len)
{
	struct walk pages = core_places(&s->layout, from, len);

	if (!s->layout.huge_small)
		return;
	must(hf_madvise(&s->mm[PARENT], s->base + from, len, HF_ADV_DONTNEED), "hf_madvise");
	soft_touch(s, PARENT, &pages, true);
}

const struct system soft_system = {
	.create = soft_create,
	.fork = soft_fork,
	.reap = soft_reap,
	.touch = soft_touch,
	.chase = soft_chase,
	.tables = soft_tables,
	.pin = soft_pin,
	.unpin = soft_unpin,
	.renew = soft_renew,
};
