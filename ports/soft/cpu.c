/* SPDX-License-Identifier: MIT */
/* CPUs: their life, and the accesses of a guest through their translations. */
#include "flush.h"
#include "ram.h"
#include "tlb.h"
#include "walk.h"

#include <stdlib.h>
#include <string.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

enum hf_status hf_soft_cpu_create(struct hf_soft *soft, struct hf_soft_cpu **out)
{
	struct hf_soft_cpu *cpu;
	size_t size = sizeof(*cpu) + HF_LEAF_LEVELS * soft->tlb_entries * sizeof(cpu->tlb[0]);

	/* A cache line to itself: other CPUs must not slow down its `busy`. */
	cpu = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (!cpu)
		return HF_ERR_NOMEM;
	memset(cpu, 0, size);
	cpu->soft = soft;
	cpu->fenced = soft->fenced;
	cpu->tlb_mask = soft->tlb_entries - 1;
	hf_soft_forget_all(cpu);
	pthread_mutex_lock(&soft->lock);
	cpu->number = ++soft->births;
	cpu->next = soft->cpus;
	soft->cpus = cpu;
	pthread_mutex_unlock(&soft->lock);
	*out = cpu;
	return HF_OK;
}

void hf_soft_cpu_destroy(struct hf_soft_cpu *cpu)
{
	struct hf_soft_cpu **link = &cpu->soft->cpus;

	pthread_mutex_lock(&cpu->soft->lock);
	while (*link != cpu)
		link = &(*link)->next;
	*link = cpu->next;
	pthread_mutex_unlock(&cpu->soft->lock);
	free(cpu);
}

void hf_soft_switch(struct hf_soft_cpu *cpu, struct hf_mm *mm)
{
	pthread_mutex_lock(&cpu->soft->lock);
	cpu->mm = mm;
	hf_soft_forget_all(cpu);
	pthread_mutex_unlock(&cpu->soft->lock);
}

/* Begin an access, if this thread is the CPU's owner; to be ended by leave() either way. */
static ALWAYS_INLINE bool enter(struct hf_soft_cpu *cpu)
{
	if (likely(!cpu->fenced)) {
		__atomic_store_n(&cpu->busy, 1, __ATOMIC_RELAXED);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	} else {
		__atomic_store_n(&cpu->busy, 1, __ATOMIC_SEQ_CST);
	}
	return likely(__atomic_load_n(&cpu->owner, __ATOMIC_SEQ_CST) == &hf_soft_self);
}

static ALWAYS_INLINE void leave(struct hf_soft_cpu *cpu)
{
	__atomic_store_n(&cpu->busy, 0, __ATOMIC_RELEASE);
}

static ALWAYS_INLINE char *tlb_probe(struct hf_soft_cpu *cpu, hf_va va, enum kind kind,
				     unsigned level)
{
	const struct tlb_entry *e = tlb_slot(cpu, va, level);

	if (e->tag[kind] != (level_base(va, level) | cpu->gen[kind]))
		return NULL;
	return (char *)(uintptr_t)(va + e->addend);
}

/* The host address of `va` if the TLB knows it. Inside an access. */
static ALWAYS_INLINE char *tlb_find(struct hf_soft_cpu *cpu, hf_va va, enum kind kind)
{
	char *host = tlb_probe(cpu, va, kind, HF_LEVEL_PTE);

	if (!host)
		host = tlb_probe(cpu, va, kind, HF_LEVEL_PMD);
	if (!host)
		host = tlb_probe(cpu, va, kind, HF_LEVEL_PUD);
	if (likely(host))
		count(&cpu->hits);
	return host;
}

static inline bool valid_size(unsigned size)
{
	return size - 1 < 8 && !(size & (size - 1));
}

/*
 * The fast way into an access: aligned, and in the TLB. Returns where it leads; the caller
 * ends it with leave(). NULL: take the slow way, which looks into everything again.
 */
static ALWAYS_INLINE char *begin(struct hf_soft_cpu *cpu, hf_va va, unsigned size, enum kind kind)
{
	char *host;

	if (!valid_size(size) || va & (size - 1))
		return NULL;
	host = likely(enter(cpu)) ? tlb_find(cpu, va, kind) : NULL;
	if (!likely(host))
		leave(cpu);
	return host;
}

static char *translate(struct hf_soft_cpu *cpu, hf_va va, enum kind kind)
{
	char *host = tlb_find(cpu, va, kind);

	if (host)
		return host;
	count(&cpu->misses);
	return hf_soft_walk(cpu, va, kind);
}

/* How many of the `len` bytes from `va` lie in its page. */
static inline uint64_t in_page(hf_va va, uint64_t len)
{
	uint64_t room = HF_PAGE_SIZE - va % HF_PAGE_SIZE;

	return len < room ? len : room;
}

/*
 * The slow way into an access to `len` bytes that lie in one page or two: by walks and
 * faults. On HF_OK the CPU is inside the access until the caller's leave(), host[0] is
 * where the first part lies and host[1], if there is one, the second.
 */
static enum hf_status begin_slow(struct hf_soft_cpu *cpu, hf_va va, uint64_t len, enum kind kind,
				 char **host)
{
	uint64_t head = in_page(va, len);
	enum hf_status st;

	if (!cpu->mm)
		return HF_ERR_INVAL;
	do {
		hf_va fault = va;

		while (!enter(cpu)) {
			leave(cpu);
			hf_soft_claim(cpu);
		}
		host[0] = translate(cpu, va, kind);
		if (host[0] && head == len)
			return HF_OK;
		if (host[0]) {
			fault = va + head;
			host[1] = translate(cpu, fault, kind);
			if (host[1])
				return HF_OK;
		}
		leave(cpu);
		count(&cpu->faults);
		st = hf_fault(cpu->mm, fault, 1u << kind, NULL);
	} while (!st);
	return st;
}

/* Aligned guest accesses are atomic, as on the CPUs that they stand for. */
static inline uint64_t guest_load(const char *host, unsigned size)
{
	if (size == 8)
		return __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED);
	if (size == 4)
		return __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED);
	if (size == 2)
		return __atomic_load_n((const uint16_t *)host, __ATOMIC_RELAXED);
	return __atomic_load_n((const uint8_t *)host, __ATOMIC_RELAXED);
}

static inline void guest_store(char *host, unsigned size, uint64_t value)
{
	if (size == 8)
		__atomic_store_n((uint64_t *)host, value, __ATOMIC_RELAXED);
	else if (size == 4)
		__atomic_store_n((uint32_t *)host, (uint32_t)value, __ATOMIC_RELAXED);
	else if (size == 2)
		__atomic_store_n((uint16_t *)host, (uint16_t)value, __ATOMIC_RELAXED);
	else
		__atomic_store_n((uint8_t *)host, (uint8_t)value, __ATOMIC_RELAXED);
}

static NOINLINE enum hf_status load_slow(struct hf_soft_cpu *cpu, hf_va va, unsigned size,
					 enum kind kind, uint64_t *out)
{
	uint64_t head = in_page(va, size), value = 0;
	enum hf_status st;
	char *host[2];

	if (!valid_size(size))
		return HF_ERR_INVAL;
	st = begin_slow(cpu, va, size, kind, host);
	if (st)
		return st;
	if (!(va & (size - 1))) {
		value = guest_load(host[0], size);
	} else {
		hf_soft_copy(&value, host[0], head);
		if (head < size)
			hf_soft_copy((char *)&value + head, host[1], size - head);
	}
	leave(cpu);
	*out = value;
	return HF_OK;
}

static NOINLINE enum hf_status store_slow(struct hf_soft_cpu *cpu, hf_va va, unsigned size,
					  uint64_t value)
{
	uint64_t head = in_page(va, size);
	enum hf_status st;
	char *host[2];

	if (!valid_size(size))
		return HF_ERR_INVAL;
	st = begin_slow(cpu, va, size, KIND_WRITE, host);
	if (st)
		return st;
	if (!(va & (size - 1))) {
		guest_store(host[0], size, value);
	} else {
		hf_soft_copy(host[0], &value, head);
		if (head < size)
			hf_soft_copy(host[1], (char *)&value + head, size - head);
	}
	leave(cpu);
	return HF_OK;
}

static ALWAYS_INLINE enum hf_status load(struct hf_soft_cpu *cpu, hf_va va, unsigned size,
					 enum kind kind, uint64_t *out)
{
	const char *host = begin(cpu, va, size, kind);

	if (!likely(host))
		return load_slow(cpu, va, size, kind, out);
	*out = guest_load(host, size);
	leave(cpu);
	return HF_OK;
}

enum hf_status hf_soft_load(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t *out)
{
	return load(cpu, va, size, KIND_READ, out);
}

enum hf_status hf_soft_fetch(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t *out)
{
	return load(cpu, va, size, KIND_EXEC, out);
}

enum hf_status hf_soft_store(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t value)
{
	char *host = begin(cpu, va, size, KIND_WRITE);

	if (!likely(host))
		return store_slow(cpu, va, size, value);
	guest_store(host, size, value);
	leave(cpu);
	return HF_OK;
}

#define CMPXCHG(type)                                                                             \
	do {                                                                                      \
		type seen = (type)*expected;                                                      \
                                                                                                  \
		*swapped = __atomic_compare_exchange_n((type *)host, &seen, (type)desired, false, \
						       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
		*expected = seen;                                                                 \
	} while (0)

enum hf_status hf_soft_cmpxchg(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t *expected,
			       uint64_t desired, bool *swapped)
{
	enum hf_status st;
	char *host;

	if (!valid_size(size))
		return HF_ERR_INVAL;
	if (va & (size - 1))
		return HF_ERR_ALIGN;
	st = begin_slow(cpu, va, size, KIND_WRITE, &host);
	if (st)
		return st;
	if (size == 8)
		CMPXCHG(uint64_t);
	else if (size == 4)
		CMPXCHG(uint32_t);
	else if (size == 2)
		CMPXCHG(uint16_t);
	else
		CMPXCHG(uint8_t);
	leave(cpu);
	return HF_OK;
}

/*
 * A bulk copy is a sequence of accesses, one for each page, so that no flush waits
 * longer than for 4 KiB.
 */
static enum hf_status copy(struct hf_soft_cpu *cpu, hf_va va, char *buf, uint64_t len,
			   enum kind kind, uint64_t *done)
{
	enum hf_status st = len ? HF_OK : HF_ERR_EMPTY;
	uint64_t copied = 0;

	while (copied < len) {
		uint64_t part = in_page(va + copied, len - copied);
		char *host;

		st = begin_slow(cpu, va + copied, part, kind, &host);
		if (st)
			break;
		if (kind == KIND_WRITE)
			hf_soft_copy(host, buf + copied, part);
		else
			hf_soft_copy(buf + copied, host, part);
		leave(cpu);
		copied += part;
	}
	if (done)
		*done = copied;
	return st;
}

enum hf_status hf_soft_copy_out(struct hf_soft_cpu *cpu, hf_va va, void *buf, uint64_t len,
				uint64_t *done)
{
	return copy(cpu, va, buf, len, KIND_READ, done);
}

enum hf_status hf_soft_copy_in(struct hf_soft_cpu *cpu, hf_va va, const void *buf, uint64_t len,
			       uint64_t *done)
{
	/* Only read: the other direction is what writes to it. */
	return copy(cpu, va, (char *)(uintptr_t)buf, len, KIND_WRITE, done);
}

void hf_soft_cpu_stats(const struct hf_soft_cpu *cpu, struct hf_soft_stats *out)
{
	uint64_t hits = __atomic_load_n(&cpu->hits, __ATOMIC_RELAXED);

	*out = (struct hf_soft_stats){
		.accesses = hits + __atomic_load_n(&cpu->misses, __ATOMIC_RELAXED),
		.tlb_hits = hits,
		.branch_hits = __atomic_load_n(&cpu->branch_hits, __ATOMIC_RELAXED),
		.walks = __atomic_load_n(&cpu->walks, __ATOMIC_RELAXED),
		.faults = __atomic_load_n(&cpu->faults, __ATOMIC_RELAXED),
		.flushes = __atomic_load_n(&cpu->flushes, __ATOMIC_RELAXED),
	};
}
