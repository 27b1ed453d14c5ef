/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the Linux machine share. Each uses only those below it:
 *
 *   machine.c	the machine, its spaces, struct hf_port
 *   transmit.c	write(2) and send(2) from windows
 *   receive.c	read(2) and recv(2) into windows
 *   transfer.c	what these share
 *   window.c	windows: the host's mappings as the TLB
 *   ram.c	the memfd: direct map, huge pages, giving memory back
 *   dump.c	what a core dump has of the RAM
 *   fault.c	the SIGSEGV handler and how it finds the window
 *   guard.c	where a thread must not take a fault
 *   record.c	what a window has mapped
 *   own.c	memory that children of fork(2) do not get
 *   panic.c	the end
 *   say.c	sentences on stderr
 *
 * Locks, outermost first: the core's, lin->lock, window->lock. Nothing that could take one
 * of the core's is called with one of ours held.
 */
#ifndef HF_LINUX_PORT_H
#define HF_LINUX_PORT_H

#include "record.h"

#include <holdfast/linux.h>

#include <pthread.h>
#include <stdatomic.h>

/*
 * Host addresses are handed to windows by whole GiB, so that the handler finds the window
 * of an address by looking into one array.
 */
#define HF_LINUX_SLOT_SHIFT 30

/* Made for one space; afterwards kept for the next of the same length. */
struct hf_linux_window {
	struct hf_linux *lin;
	char *base;
	uint64_t reserved; /* bytes of address space: the window, at least a page of guard */
	_Atomic(struct hf_mm *) mm; /* whose window it is, once that can fault; or NULL */
	pthread_mutex_t lock;	    /* guards the record and the host's mappings */
	struct hf_linux_record record;
	unsigned upgrades;     /* times that rights were given since they were last taken */
	_Atomic uint64_t maps; /* record.runs, for those without window->lock */
	/* Under lin->lock: in lin->live or lin->idle, or in neither while it is being dropped. */
	struct hf_linux_list *list;
	struct hf_linux_window *next, **link;
};

/* Windows in the order in which they came. */
struct hf_linux_list {
	struct hf_linux_window *first, **end;
	unsigned count;
};

struct hf_linux {
	struct hf_phys phys;
	struct hf_ram ram;
	struct hf_port port; /* the port's functions; `trace` if somebody listens */
	void (*trace)(void *arg, const struct hf_trace_event *event);
	void *trace_arg;
	enum hf_linux_answer (*nomem)(void *arg, const struct hf_linux_fault *fault);
	enum hf_linux_answer (*denied)(void *arg, const struct hf_linux_fault *fault);
	void *fault_arg;
	int memfd;
	bool collapse;		 /* make blocks huge when they are first used */
	_Atomic uint64_t *tried; /* one bit per 2 MiB of the memfd: it has been collapsed */
	size_t tried_size;	 /* bytes of that */
	pthread_mutex_t lock;	 /* guards the lists and `dropping`; held for a few steps only */
	struct hf_linux_list live, idle;
	unsigned dropping;	 /* windows that are in no list, for they are being dropped */
	pthread_cond_t dropped;	 /* one of them is back */
	_Atomic(char *) ballast; /* mappings to give up where the host takes no more; or NULL */
	uint64_t map_limit;
	_Atomic uint64_t maps; /* host mappings in all windows, and those about to be made */
	_Atomic uint64_t faults, window_drops, huge_blocks, collapse_errors, returned_bytes;
};

static inline void hf_linux_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t hf_linux_get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
