/* SPDX-License-Identifier: MIT */
/* The flush, and who owns a CPU: the rare side of the protocol in port.h. */
#define _GNU_SOURCE
#include "flush.h"

#include "conflict.h"
#include "panic.h"
#include "tlb.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An access is a matter of nanoseconds, unless its thread has lost its processor. */
#define SPINS 256

_Thread_local char hf_soft_self;

static void set_owner(struct hf_soft_cpu *cpu, const void *owner)
{
	__atomic_store_n(&cpu->owner, owner, __ATOMIC_SEQ_CST);
}

void hf_soft_claim(struct hf_soft_cpu *cpu)
{
	__atomic_add_fetch(&cpu->soft->claims, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&cpu->soft->lock);
	__atomic_sub_fetch(&cpu->soft->claims, 1, __ATOMIC_RELAXED);
	set_owner(cpu, &hf_soft_self);
	pthread_mutex_unlock(&cpu->soft->lock);
}

/* Take the space's CPUs away from other threads. False if they own none. soft->lock held. */
static bool disown(struct hf_soft *soft, const struct hf_mm *mm)
{
	bool any = false;

	for (struct hf_soft_cpu *cpu = soft->cpus; cpu; cpu = cpu->next) {
		if (cpu->mm != mm || !cpu->owner || cpu->owner == &hf_soft_self)
			continue;
		set_owner(cpu, NULL);
		any = true;
	}
	return any;
}

/* The full barrier between disown's stores and await_idle's loads, and in each access. */
static void barrier(struct hf_soft *soft)
{
	if (soft->fenced)
		return;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		hf_soft_panic(soft, "membarrier(2) failed after it was registered");
}

static void await_idle(const struct hf_soft_cpu *cpu)
{
	for (unsigned i = 0; __atomic_load_n(&cpu->busy, __ATOMIC_SEQ_CST); i++) {
		if (i < SPINS)
			hf_soft_pause(cpu->soft);
		else
			sched_yield();
	}
}

/* One CPU forgets, in its own time. soft->lock held. */
static void flush_cpu(struct hf_soft_cpu *cpu, hf_va va, uint64_t len, unsigned what)
{
	/* It may have gone on while others forgot. */
	if (cpu->owner && cpu->owner != &hf_soft_self) {
		set_owner(cpu, NULL);
		barrier(cpu->soft);
	}
	await_idle(cpu);
	/* What only loses the right to write is still there to be found later. */
	if (MMU_BREAK_FIRST && what != HF_FLUSH_WRITE)
		hf_soft_conflict(cpu, va, len);
	hf_soft_forget(cpu, va, len, what);
	count(&cpu->flushes);
}

/* The first of the space's CPUs whose number is below `number`; NULL: none. soft->lock held. */
static struct hf_soft_cpu *next_cpu(const struct hf_soft *soft, const struct hf_mm *mm,
				    uint64_t number)
{
	struct hf_soft_cpu *cpu = soft->cpus;

	while (cpu && (cpu->mm != mm || cpu->number >= number))
		cpu = cpu->next;
	return cpu;
}

/*
 * As interrupts do it: each CPU forgets at a moment of its own, and those that wait to go on may do
 * so in between, some with what they had cached and some without. (One that comes to the space
 * meanwhile has nothing cached.)
 */
void hf_soft_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	struct hf_soft *soft = host;
	struct hf_soft_cpu *cpu;

	pthread_mutex_lock(&soft->lock);
	if (disown(soft, mm))
		barrier(soft);
	cpu = next_cpu(soft, mm, UINT64_MAX);
	while (cpu) {
		const uint64_t number = cpu->number;

		flush_cpu(cpu, va, len, what);
		cpu = next_cpu(soft, mm, number);
		if (!cpu || !__atomic_load_n(&soft->claims, __ATOMIC_RELAXED))
			continue;
		pthread_mutex_unlock(&soft->lock);
		sched_yield();
		pthread_mutex_lock(&soft->lock);
		cpu = next_cpu(soft, mm, number); /* that one may be gone */
	}
	pthread_mutex_unlock(&soft->lock);
}
