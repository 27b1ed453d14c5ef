/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "guard.h"

#include <holdfast/linux.h>

#include <sys/auxv.h>
#include <sys/mman.h>

/* Since Linux 5.14 the kernel says how large the frame of a signal may be. */
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* Before that, the largest that x86-64 had: AVX-512, 2.7 KiB, and what comes beside it. */
#define FRAME ((size_t)4 << 10)

/*
 * What the handler takes beyond the frame. Measured by tests/linux/test_guard.c: 1.6 KiB, 4.4 KiB
 * while the dynamic linker looks up what it calls for the first time, 5.9 KiB without optimization.
 */
#define HANDLER ((size_t)7 << 10)

/* The model keeps a handler from allocating them. */
#define THREADS_OWN _Thread_local __attribute__((tls_model("initial-exec")))

static THREADS_OWN int held;

/* A page that reads as zeros in children. */
static const volatile char *parent;

/* hf_linux_sigstack_size, measured once. */
static size_t needed;

void hf_linux_holds(void *host, int change)
{
	(void)host;
	held += change;
}

bool hf_linux_inside(void)
{
	return held > 0;
}

bool hf_linux_guard_init(void)
{
	char *page = mmap(NULL, HF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (page == MAP_FAILED)
		return false;
	*page = 1;
	/* Where the host does not know this, children die without a word. */
	madvise(page, HF_PAGE_SIZE, MADV_WIPEONFORK);
	parent = page;
	needed = hf_linux_sigstack_size();
	return true;
}

bool hf_linux_is_child(void)
{
	return !*parent;
}

size_t hf_linux_sigstack_size(void)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ);

	return (frame ? frame : FRAME) + HANDLER;
}

bool hf_linux_stack_small(const stack_t *stack)
{
	/* The kernel says in a ucontext of a thread that never had one: size 0. */
	return !(stack->ss_flags & SS_DISABLE) && stack->ss_size && stack->ss_size < needed;
}
