/* SPDX-License-Identifier: MIT */
/* The soft port: each thread has a CPU in each slot, whose caches live as long as the space does. */
#include "stress.h"

#include <holdfast/soft.h>

#include <stddef.h>

static struct hf_soft *soft;
static unsigned thread_count;
static struct hf_mm spaces[SLOTS];
static struct hf_soft_cpu *cpus[THREADS_MAX][SLOTS];

static struct hf_phys *soft_begin(uint64_t ram_bytes, unsigned threads,
				  void (*trace)(void *arg, const struct hf_trace_event *event))
{
	const struct hf_soft_config config = { .ram_bytes = ram_bytes, .trace = trace };

	thread_count = threads;
	if (hf_soft_create(&config, &soft))
		return NULL;
	for (unsigned t = 0; t < threads; t++)
		for (unsigned s = 0; s < SLOTS; s++)
			if (hf_soft_cpu_create(soft, &cpus[t][s]))
				return NULL;
	return hf_soft_phys(soft);
}

static enum hf_status soft_end(void)
{
	for (unsigned t = 0; t < thread_count; t++)
		for (unsigned s = 0; s < SLOTS; s++)
			hf_soft_cpu_destroy(cpus[t][s]);
	return hf_soft_destroy(soft);
}

/* The slot is nobody's but the caller's. */
static void run_in(unsigned slot, struct hf_mm *mm)
{
	for (unsigned t = 0; t < thread_count; t++)
		hf_soft_switch(cpus[t][slot], mm);
}

static enum hf_status soft_create(unsigned slot, uint64_t len)
{
	const struct hf_mm_config config = { .va_lo = 1 << 30, .va_hi = (1 << 30) + len };
	enum hf_status st = hf_mm_create(&spaces[slot], hf_soft_phys(soft), &config);

	if (!st)
		run_in(slot, &spaces[slot]);
	return st;
}

static enum hf_status soft_fork(unsigned from, unsigned to, enum hf_fork_policy policy)
{
	enum hf_status st = hf_fork(&spaces[from], &spaces[to], NULL, policy);

	if (!st)
		run_in(to, &spaces[to]);
	return st;
}

static void soft_destroy(unsigned slot)
{
	run_in(slot, NULL);
	hf_mm_destroy(&spaces[slot]);
}

static struct hf_mm *soft_mm(unsigned slot)
{
	return &spaces[slot];
}

static enum hf_status soft_load(unsigned thread, unsigned slot, hf_va va, uint64_t *value)
{
	return hf_soft_load(cpus[thread][slot], va, 8, value);
}

static enum hf_status soft_store(unsigned thread, unsigned slot, hf_va va, uint64_t value)
{
	return hf_soft_store(cpus[thread][slot], va, 8, value);
}

const struct driver driver = {
	.name = "soft",
	.begin = soft_begin,
	.end = soft_end,
	.create = soft_create,
	.fork = soft_fork,
	.destroy = soft_destroy,
	.mm = soft_mm,
	.load = soft_load,
	.store = soft_store,
};
