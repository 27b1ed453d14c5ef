/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the software machine share, and how its threads keep out of each other's way.
 *
 * A CPU's caches belong to the thread that drives it, and an access takes no lock. Others
 * come near them for one purpose, a flush. Two words of each CPU arrange that:
 *
 *   busy   1 while its thread is inside an access: from before it looks into the TLB
 *          until guest memory has been read or written. Written by that thread alone.
 *   owner  the thread that may begin an access without asking, or NULL. Written under
 *          soft->lock alone.
 *
 * A thread begins an access by busy = 1 and then looks at owner; if that is somebody else
 * it steps back (busy = 0) and becomes the owner under soft->lock. A flush holds soft->lock,
 * sets owner = NULL on the CPUs of its space that are not its own thread's, and then waits
 * for busy == 0: Dekker's exclusion, in which at least one side sees the other's store if
 * each has a full barrier between its store and its load. Accesses are frequent and flushes
 * are rare, so the flush pays for both: membarrier(2) runs the barrier on every thread of
 * the process. Where that is missing, and under ThreadSanitizer which cannot know of it,
 * `fenced` makes both sides sequentially consistent.
 *
 * A flush takes one CPU after the other, and lets those that wait go on between them.
 *
 * A CPU stays without owner until its next access, so an idle one costs the next flush
 * nothing, and a machine whose only CPU in the space is the flusher's own needs no barrier.
 *
 * A CPU is never busy while it is in hf_fault or waits for soft->lock; a flush therefore
 * waits only for threads that are about to finish. soft->lock comes after all of the
 * core's locks, and nothing is called with it held that could take one.
 */
#ifndef HF_SOFT_PORT_H
#define HF_SOFT_PORT_H

#include "mmu.h"

#include <pthread.h>

#if defined(__SANITIZE_THREAD__)
#define HF_SOFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HF_SOFT_TSAN 1
#endif
#endif
#ifndef HF_SOFT_TSAN
#define HF_SOFT_TSAN 0
#endif

/* Guest values are little-endian and are used in place. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the soft port needs such a host");

/* What an access wants. 1 << kind is its HF_ACCESS_*; sets of them are called rights. */
enum kind {
	KIND_READ,
	KIND_WRITE,
	KIND_EXEC,
	KINDS,
};

/*
 * A leaf in the TLB. tag[kind] says for which page this kind of access may go ahead: the
 * page's address, and below it cpu->gen[kind], so that one increment forgets all tags of
 * a kind. 0 is no page. KIND_WRITE is tagged only once the leaf is dirty: the first store
 * through a clean one must walk, to mark it.
 */
struct tlb_entry {
	uint64_t tag[KINDS];
	uint64_t addend; /* virtual address + addend = host address */
};

#define TAG_GENS HF_PAGE_SIZE

/* A branch entry in the paging-structure cache, with the rights of the path down to it. */
struct branch {
	hf_va base;	    /* first address that it translates */
	uint64_t *table;    /* where it leads, or NULL: no entry */
	uint32_t rights;    /* HF_ACCESS_*; without WRITE if write_gen is past */
	uint32_t write_gen; /* cpu->gen[KIND_WRITE] when it was cached */
};

/* Branches from the PMD up, direct-mapped; walks begin at the lowest that is there. */
#define BRANCH_LEVELS (MMU_LEVELS - 1)
#define BRANCHES 32

struct hf_soft_cpu {
	uint32_t busy;
	bool fenced; /* soft->fenced */
	const void *owner;
	uint64_t gen[KINDS]; /* 1 .. TAG_GENS - 1 */
	uint64_t tlb_mask;
	uint64_t hits;

	struct hf_soft *soft;
	struct hf_mm *mm; /* written under soft->lock */
	uint64_t number;  /* of its birth: those further down the list have lower ones */
	struct hf_soft_cpu *next;
	uint64_t misses, branch_hits, walks, faults, flushes;
	struct branch branches[BRANCH_LEVELS][BRANCHES];
	struct tlb_entry tlb[]; /* one direct-mapped TLB for each size of page */
};

struct hf_soft {
	struct hf_phys phys;
	struct hf_ram *ram;
	size_t ram_count;
	char *map; /* all RAM, with the holes */
	uint64_t map_len;
	uint64_t tlb_entries;
	bool fenced;
	struct hf_port port; /* hf_soft_port, with `trace` if somebody listens */
	void (*trace)(void *arg, const struct hf_trace_event *event);
	void *trace_arg;
	pthread_mutex_t lock; /* guards all below, and each CPU's mm and owner */
	struct hf_soft_cpu *cpus;
	uint64_t births;
	unsigned dma_count;
	uint32_t claims; /* threads that wait to become owners; counted without the lock */
};

/* How far right to shift an address so that the pages of a level count 0, 1, 2, ... */
static inline unsigned level_shift(unsigned level)
{
	return HF_PAGE_SHIFT + level * HF_TABLE_BITS;
}

static inline hf_va level_base(hf_va va, unsigned level)
{
	return va & ~(hf_level_size(level) - 1);
}

/* A range as whole pages of one level: [first, first + span), in so many slots of a cache. */
struct range {
	hf_va first;
	uint64_t span;
	uint64_t slots; /* a long range visits each slot once */
};

static inline struct range range_of(hf_va va, uint64_t len, unsigned level, uint64_t slots)
{
	struct range r = { .first = level_base(va, level) };

	r.span = level_base(va + len - 1, level) + hf_level_size(level) - r.first;
	r.slots = r.span >> level_shift(level);
	if (r.slots > slots)
		r.slots = slots;
	return r;
}

static inline struct tlb_entry *tlb_slot(struct hf_soft_cpu *cpu, hf_va va, unsigned level)
{
	return &cpu->tlb[(va >> level_shift(level) & cpu->tlb_mask) + level * (cpu->tlb_mask + 1)];
}

/* Statistics are written by one thread at a time and may be read by any. */
static inline void count(uint64_t *counter)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* One polite spin. */
static inline void hf_soft_pause(void *host)
{
	(void)host;
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif
