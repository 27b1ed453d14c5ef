/* SPDX-License-Identifier: MIT */
/*
 * The soft port: an MMU in software. It walks the core's tables as a CPU with the format that was
 * built in does (x86-64: Intel SDM vol. 3A, 4.5, AMD APM vol. 2, 5.3; AArch64: Arm
 * ARM, D8; RISC-V: privileged architecture, 10.3 to 10.6), caches leaves in a TLB and
 * branches in a paging-structure cache, marks what is accessed and dirty or faults as that
 * format's hardware does, checks permissions, and calls hf_fault when a walk fails. For
 * emulators and tests: because its caches are real, a missing flush shows up as stale
 * data; on AArch64, an entry that was replaced without being broken first, as a panic.
 */
#ifndef HOLDFAST_SOFT_H
#define HOLDFAST_SOFT_H

#include <holdfast/holdfast.h>

struct hf_soft;	    /* a machine: RAM, its hf_phys, its CPUs */
struct hf_soft_cpu; /* a CPU: one TLB, used by one thread at a time */
struct hf_soft_dma; /* a DMA engine with a thread of its own */

struct hf_soft_config {
	uint64_t ram_bytes;   /* a multiple of 4 KiB; the host's pages come on touch */
	uint64_t ram_base;    /* physical address of the first byte, 4 KiB aligned; 0: 1 GiB */
	uint32_t count_limit; /* see struct hf_phys_config */
	unsigned ranges;      /* cut the RAM into so many, with holes of 2 MiB between; 0: one */
	unsigned tlb_entries; /* per CPU and page size, a power of two up to 2^20; 0: 1024 */
	/*
	 * Trace points (trace.h), or NULL. Called with `trace_arg` from any thread, with locks
	 * held: it must not call Holdfast, touch memory of a space, or wait.
	 */
	void (*trace)(void *trace_arg, const struct hf_trace_event *event);
	void *trace_arg;
};

/*
 * Make a machine without CPUs. The panic of this port prints to stderr and calls abort();
 * it also says so there when a walk finds an entry that no CPU would accept (a reserved
 * bit, an address outside the RAM).
 * HF_ERR_INVAL: tlb_entries. HF_ERR_ALIGN: ram_bytes, ram_base. HF_ERR_EMPTY: no RAM, or
 * not a page for each range. HF_ERR_RANGE, HF_ERR_FLAGS: as hf_phys_init. HF_ERR_NOMEM.
 */
enum hf_status hf_soft_create(const struct hf_soft_config *config, struct hf_soft **out);

/* End the machine. HF_ERR_BUSY: CPUs, DMA engines or spaces remain; see hf_phys_fini. */
enum hf_status hf_soft_destroy(struct hf_soft *soft);

/* The machine's physical memory, for the calls of mm.h, pin.h and check.h. */
struct hf_phys *hf_soft_phys(struct hf_soft *soft);

/* The port that hf_soft_create gives to hf_phys_init, for a port that wraps it. */
const struct hf_port *hf_soft_port(void);

/* A CPU in no space, with empty caches. HF_ERR_NOMEM. */
enum hf_status hf_soft_cpu_create(struct hf_soft *soft, struct hf_soft_cpu **out);

/* Take a CPU away. No access may be under way on it. */
void hf_soft_cpu_destroy(struct hf_soft_cpu *cpu);

/*
 * Say which space the CPU runs in (NULL: none) and empty its caches, as loading CR3 does.
 * Switch a CPU away from a space, or destroy it, before the space's storage is given up.
 * A CPU may pass from one thread to another.
 */
void hf_soft_switch(struct hf_soft_cpu *cpu, struct hf_mm *mm);

/*
 * Loads and stores of 1, 2, 4 or 8 bytes (`size`) at the virtual address `va`, little-endian,
 * any alignment (those that cross a page are done in two parts); of a `value` the lower
 * bytes count. hf_soft_fetch is a load that needs HF_PROT_EXEC. Faults are resolved
 * through hf_fault; what it cannot resolve comes back as its status and the access has not
 * happened. Those that are aligned are atomic.
 * HF_ERR_INVAL: size, or no space on the CPU. HF_ERR_RANGE, HF_ERR_UNMAPPED, HF_ERR_ACCESS,
 * HF_ERR_NOMEM, HF_ERR_OVERFLOW: as hf_fault.
 */
enum hf_status hf_soft_load(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t *out);
enum hf_status hf_soft_store(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t value);
enum hf_status hf_soft_fetch(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t *out);

/*
 * Atomic compare-exchange of 1, 2, 4 or 8 bytes (`size`) at `va`. *expected receives what was
 * there; *swapped tells whether `desired` was stored. Needs write permission either way.
 * HF_ERR_ALIGN: va is not a multiple of size. Others as hf_soft_store.
 */
enum hf_status hf_soft_cmpxchg(struct hf_soft_cpu *cpu, hf_va va, unsigned size, uint64_t *expected,
			       uint64_t desired, bool *swapped);

/*
 * Bulk copies of `len` bytes from (hf_soft_copy_out) or to (hf_soft_copy_in) virtual
 * addresses from `va` on, through the CPU's translations, page by page. `buf` is the caller's.
 * *done (may be NULL) receives how many bytes were copied, on error too.
 * HF_ERR_EMPTY. Others as hf_soft_load and hf_soft_store.
 */
enum hf_status hf_soft_copy_out(struct hf_soft_cpu *cpu, hf_va va, void *buf, uint64_t len,
				uint64_t *done);
enum hf_status hf_soft_copy_in(struct hf_soft_cpu *cpu, hf_va va, const void *buf, uint64_t len,
			       uint64_t *done);

/* What a CPU has done since it was created. May be called while it runs. */
struct hf_soft_stats {
	uint64_t accesses;    /* TLB lookups: for each page of an access, until it is there */
	uint64_t tlb_hits;    /* of these, successful */
	uint64_t walks;	      /* of the tables; one that fails is tried again from the root */
	uint64_t branch_hits; /* walks that began at a cached branch */
	uint64_t faults;      /* calls of hf_fault */
	uint64_t flushes;     /* flushes of the space that the CPU was in */
};
void hf_soft_cpu_stats(const struct hf_soft_cpu *cpu, struct hf_soft_stats *out);

/*
 * A device that knows physical addresses only. Each transfer is queued and done by the
 * engine's own thread, in order. HF_ERR_NOMEM. HF_ERR_HOST: no thread.
 */
enum hf_status hf_soft_dma_create(struct hf_soft *soft, struct hf_soft_dma **out);

/* Finish what is queued, then end the engine and its thread. */
void hf_soft_dma_destroy(struct hf_soft_dma *dma);

/*
 * Queue a transfer of `len` bytes from `buf` to the RAM at `pa` (hf_soft_dma_write) or from there
 * to `buf` (hf_soft_dma_read); waits only while the queue is full. `buf` must stay valid
 * until hf_soft_dma_wait. HF_ERR_EMPTY. HF_ERR_RANGE: not RAM, or not of one range.
 */
enum hf_status hf_soft_dma_write(struct hf_soft_dma *dma, hf_pa pa, const void *buf, uint64_t len);
enum hf_status hf_soft_dma_read(struct hf_soft_dma *dma, hf_pa pa, void *buf, uint64_t len);

/* Return when every transfer queued so far is done. */
void hf_soft_dma_wait(struct hf_soft_dma *dma);

#endif
