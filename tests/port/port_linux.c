/* SPDX-License-Identifier: MIT */
/*
 * The driver of the Linux port. A program's loads and stores are plain ones in the
 * window; one that the space forbids comes back through our own SIGSEGV handler, which
 * the port finds in place and calls for every fault it does not resolve, or through SIGBUS.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "port.h"

#include <holdfast/linux.h>

/* Handlers of signals have no other way to find their data. */
static struct {
	sigjmp_buf *escape;	      /* where a forbidden access continues; NULL: none runs */
	struct sigaction port_action; /* the port's handler */
	bool installed;
} segv;

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (segv.escape)
		siglongjmp(*segv.escape, 1);
	signal(sig, SIG_DFL); /* a real crash: fault again and die of it */
}

static enum hf_status linux_create(struct machine *m, const struct machine_config *config)
{
	struct hf_linux_config linux_config = {
		.ram_bytes = config->ram_bytes,
		.count_limit = config->count_limit,
		.trace = check_trace,
	};
	struct hf_linux *lin;
	enum hf_status status;

	if (!segv.installed) {
		struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

		sigaction(SIGSEGV, &action, NULL);
	}
	status = hf_linux_create(&linux_config, &lin);
	if (status != HF_OK)
		return status;
	if (!segv.installed)
		sigaction(SIGSEGV, NULL, &segv.port_action);
	segv.installed = true;
	m->own = lin;
	m->phys = hf_linux_phys(lin);
	return HF_OK;
}

static enum hf_status linux_destroy(struct machine *m)
{
	return hf_linux_destroy(m->own);
}

static enum hf_status linux_space_create(struct space *s, uint64_t len, enum hf_huge_cow huge_cow)
{
	struct hf_linux_space *own = calloc(1, sizeof(*own));
	enum hf_status status = hf_linux_space_create(s->m->own, own, len, huge_cow);

	if (status == HF_OK) {
		s->own = own;
		s->mm = &own->mm;
	} else {
		free(own);
	}
	return status;
}

static enum hf_status linux_fork(struct space *parent, struct space *child,
				 enum hf_fork_policy policy)
{
	struct hf_linux_space *own = calloc(1, sizeof(*own));
	enum hf_status status = hf_linux_fork(parent->own, own, policy);

	if (status == HF_OK) {
		child->own = own;
		child->mm = &own->mm;
	} else {
		free(own);
	}
	return status;
}

static void linux_space_destroy(struct space *s)
{
	hf_linux_space_destroy(s->own);
	free(s->own);
}

/*
 * Copy with faults as in a program. cmocka puts its own SIGSEGV handler in place when a
 * test begins, so the port's is put back here.
 */
static bool plain_copy(void *dst, const void *src, size_t len)
{
	const struct sigaction bus = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	sigjmp_buf escape;
	volatile bool done = false;

	sigaction(SIGSEGV, &segv.port_action, NULL);
	sigaction(SIGBUS, &bus, NULL);
	segv.escape = &escape;
	if (sigsetjmp(escape, 1) == 0) {
		memcpy(dst, src, len);
		done = true;
	}
	segv.escape = NULL;
	return done;
}

/* The window has no guard: addresses outside the space are nobody's. */
static bool inside(const struct space *s, hf_va va, size_t len)
{
	return va >= s->mm->va_lo && va < s->mm->va_hi && len <= s->mm->va_hi - va;
}

static bool linux_load(struct space *s, hf_va va, void *buf, size_t len)
{
	return inside(s, va, len) && plain_copy(buf, hf_linux_ptr(s->own, va), len);
}

static bool linux_store(struct space *s, hf_va va, const void *buf, size_t len)
{
	return inside(s, va, len) && plain_copy(hf_linux_ptr(s->own, va), buf, len);
}

static void linux_dma_write(struct machine *m, hf_pa pa, const void *buf, size_t len)
{
	memcpy(hf_linux_dma_ptr(m->own, pa), buf, len);
}

static void linux_dma_read(struct machine *m, hf_pa pa, void *buf, size_t len)
{
	memcpy(buf, hf_linux_dma_ptr(m->own, pa), len);
}

const struct test_port test_port = {
	.name = "linux",
	.create = linux_create,
	.destroy = linux_destroy,
	.space_create = linux_space_create,
	.fork = linux_fork,
	.space_destroy = linux_space_destroy,
	.load = linux_load,
	.store = linux_store,
	.dma_write = linux_dma_write,
	.dma_read = linux_dma_read,
};
