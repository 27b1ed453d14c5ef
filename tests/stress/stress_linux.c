/* SPDX-License-Identifier: MIT */
/* The Linux port: a program's accesses are plain ones in a window; one that fails comes back here. */
#define _GNU_SOURCE
#include "stress.h"

#include <holdfast/linux.h>

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static struct hf_linux *lin;
static struct hf_linux_space spaces[SLOTS];
/* Where an access that fails continues, and why it failed. */
static _Thread_local sigjmp_buf *volatile escape;
static _Thread_local volatile enum hf_status why;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (sig == SIGBUS)
		why = HF_ERR_BUS;
	if (escape)
		siglongjmp(*escape, 1);
	signal(sig, SIG_DFL);
}

/* It fails; on_signal is next. */
static enum hf_linux_answer note(void *arg, const struct hf_linux_fault *fault)
{
	(void)arg;
	why = fault->status;
	return HF_LINUX_FAIL;
}

static struct hf_phys *linux_begin(uint64_t ram_bytes, unsigned threads,
				   void (*trace)(void *arg, const struct hf_trace_event *event))
{
	const struct sigaction action = { .sa_sigaction = on_signal,
					  .sa_flags = SA_SIGINFO | SA_NODEFER };
	const struct hf_linux_config config = {
		.ram_bytes = ram_bytes,
		.trace = trace,
		.nomem = note,
		.denied = note,
	};

	(void)threads;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	return hf_linux_create(&config, &lin) ? NULL : hf_linux_phys(lin);
}

static enum hf_status linux_end(void)
{
	return hf_linux_destroy(lin);
}

static enum hf_status linux_create(unsigned slot, uint64_t len)
{
	return hf_linux_space_create(lin, &spaces[slot], len, HF_HUGE_COW_WHOLE);
}

static enum hf_status linux_fork(unsigned from, unsigned to, enum hf_fork_policy policy)
{
	return hf_linux_fork(&spaces[from], &spaces[to], policy);
}

static void linux_destroy(unsigned slot)
{
	hf_linux_space_destroy(&spaces[slot]);
}

static struct hf_mm *linux_mm(unsigned slot)
{
	return &spaces[slot].mm;
}

static enum hf_status access_word(unsigned slot, hf_va va, uint64_t *value, bool write)
{
	volatile uint64_t *at = hf_linux_ptr(&spaces[slot], va);
	sigjmp_buf here;

	why = HF_ERR_HOST;
	if (sigsetjmp(here, 1)) {
		escape = NULL;
		return why;
	}
	escape = &here;
	if (write)
		*at = *value;
	else
		*value = *at;
	escape = NULL;
	return HF_OK;
}

static enum hf_status linux_load(unsigned thread, unsigned slot, hf_va va, uint64_t *value)
{
	(void)thread;
	return access_word(slot, va, value, false);
}

static enum hf_status linux_store(unsigned thread, unsigned slot, hf_va va, uint64_t value)
{
	(void)thread;
	return access_word(slot, va, &value, true);
}

const struct driver driver = {
	.name = "linux",
	.begin = linux_begin,
	.end = linux_end,
	.create = linux_create,
	.fork = linux_fork,
	.destroy = linux_destroy,
	.mm = linux_mm,
	.load = linux_load,
	.store = linux_store,
};
