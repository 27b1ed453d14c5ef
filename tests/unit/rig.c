/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

void *host_of(const struct rig *rig, hf_pa pa)
{
	return hf_phys_ptr(rig->phys, pa);
}

hf_pa block(struct rig *rig, unsigned order)
{
	struct block *b = &rig->blocks[rig->block_count++];

	assert_true(rig->block_count <= 64);
	b->order = order;
	OK(hf_phys_alloc(rig->phys, order, &b->pa));
	memset(host_of(rig, b->pa), 0, PAGE);
	return b->pa;
}

static int set_up(void **state, const struct hf_soft_config *config)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	OK(hf_soft_create(config, &rig->soft));
	rig->phys = hf_soft_phys(rig->soft);
	OK(hf_mm_create(&rig->mm, rig->phys, NULL));
	OK(hf_soft_cpu_create(rig->soft, &rig->cpu));
	hf_soft_switch(rig->cpu, &rig->mm);
	*state = rig;
	return 0;
}

int normal(void **state)
{
	return set_up(state, &(struct hf_soft_config){ .ram_bytes = 64 * MIB });
}

int tiny_tlb(void **state)
{
	return set_up(state, &(struct hf_soft_config){ .ram_bytes = 64 * MIB, .tlb_entries = 1 });
}

int large(void **state)
{
	return set_up(state, &(struct hf_soft_config){ .ram_bytes = 2 * GIB + 64 * MIB });
}

static uint64_t *root(struct rig *rig)
{
	return host_of(rig, (hf_pa){ (uint64_t)rig->mm.root.v << HF_PAGE_SHIFT });
}

void stop_workers(struct rig *rig)
{
	for (; rig->worker_count; rig->worker_count--) {
		struct worker *w = &rig->worker[rig->worker_count - 1];

		__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
		pthread_join(w->thread, NULL);
	}
}

int tear_down(void **state)
{
	struct rig *rig = *state;

	stop_workers(rig);
	hf_soft_cpu_destroy(rig->cpu);
	if (rig->block_count) /* the core knows nothing of tables built by hand */
		memset(root(rig), 0, PAGE);
	hf_mm_destroy(&rig->mm);
	while (rig->block_count--)
		OK(hf_phys_free(rig->phys, rig->blocks[rig->block_count].pa,
				rig->blocks[rig->block_count].order));
	OK(hf_soft_destroy(rig->soft));
	free(rig);
	return 0;
}

unsigned index_of(hf_va va, unsigned level)
{
	return va >> (12 + 9 * level) & 511;
}

uint64_t *entry_of(struct rig *rig, hf_va va, unsigned level)
{
	uint64_t *table = root(rig);

	for (unsigned l = LEVELS - 1; l > level; l--) {
		uint64_t *e = &table[index_of(va, l)];

		if (!*e)
			*e = branch_to(block(rig, 0));
		table = host_of(rig, address_of(*e));
	}
	return &table[index_of(va, level)];
}

uint64_t *map_rw(struct rig *rig, hf_va va, unsigned level, hf_pa pa)
{
	uint64_t *e = entry_of(rig, va, level);

	*e = leaf_rw(pa, level);
	return e;
}

uint64_t *map_ro(struct rig *rig, hf_va va, unsigned level, hf_pa pa)
{
	uint64_t *e = entry_of(rig, va, level);

	*e = leaf_ro(pa, level);
	return e;
}

void flush(struct rig *rig, hf_va va, uint64_t len, unsigned what)
{
	hf_soft_port()->flush(rig->soft, &rig->mm, va, len, what);
}

enum hf_status try_load(struct rig *rig, hf_va va)
{
	uint64_t value;

	return hf_soft_load(rig->cpu, va, 1, &value);
}

enum hf_status try_store(struct rig *rig, hf_va va)
{
	return hf_soft_store(rig->cpu, va, 1, 1);
}

enum hf_status try_fetch(struct rig *rig, hf_va va)
{
	uint64_t value;

	return hf_soft_fetch(rig->cpu, va, 1, &value);
}

uint64_t load8(struct rig *rig, hf_va va)
{
	uint64_t value = 0;

	OK(hf_soft_load(rig->cpu, va, 8, &value));
	return value;
}

struct hf_soft_stats stats_of(struct rig *rig)
{
	struct hf_soft_stats stats;

	hf_soft_cpu_stats(rig->cpu, &stats);
	return stats;
}

hf_pa page_with(struct rig *rig, unsigned order, uint64_t value)
{
	hf_pa pa = block(rig, order);

	*(uint64_t *)host_of(rig, pa) = value;
	return pa;
}

/* What a child process says on stderr while `what` aborts it. */
static void assert_aborts(struct rig *rig, void (*what)(struct rig *), const char *where,
			  const char *why)
{
	char said[256] = "";
	int fd[2], status;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(fd[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		what(rig);
		_exit(0);
	}
	close(fd[1]);
	assert_true(read(fd[0], said, sizeof(said) - 1) >= 0);
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!strstr(said, where) || !strstr(said, why))
		fail_msg("expected '%s' and '%s', said '%s'", where, why, said);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void load_va(struct rig *rig)
{
	hf_soft_switch(rig->cpu, &rig->mm);
	(void)try_load(rig, VA);
}

static void flush_va(struct rig *rig)
{
	flush(rig, VA, PAGE, HF_FLUSH_LEAVES);
}

void assert_panic(struct rig *rig, unsigned level, uint64_t entry, const char *why)
{
	static const char *const where[] = { "PTE", "PMD", "PUD", LEVELS == 5 ? "P4D" : "PGD",
					     "PGD" };
	uint64_t *e = entry_of(rig, VA, level), old = *e;

	*e = entry;
	assert_aborts(rig, load_va, where[level], why);
	*e = old;
}

void assert_flush_panics(struct rig *rig, const char *why)
{
	assert_aborts(rig, flush_va, "", why);
}
