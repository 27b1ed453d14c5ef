/* SPDX-License-Identifier: MIT */
/*
 * SIGSEGV as the page fault.
 *
 * A signal handler has no argument of its own, so here is the port's one global: which
 * window, if any, lies in each GiB of the process's addresses, and whom to call for
 * faults that are not ours. Windows have GiBs of their own (see HF_LINUX_SLOT_SHIFT), so
 * looking one up is one load, whoever comes and goes elsewhere. A window that is removed is
 * one whose space has ended; nothing may access that any more.
 */
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the kind of access is read from an x86-64 page-fault error code"
#endif

/* Intel SDM vol. 3A, 4.7 "Page-Fault Exceptions". */
#define PF_WRITE 2
#define PF_FETCH 16

/* Linux gives a process addresses below 2^47 unless it asks for higher ones. */
#define SLOTS ((size_t)1 << (47 - HF_LINUX_SLOT_SHIFT))

static struct {
	_Atomic(struct hf_linux_window *) window[SLOTS];
	struct sigaction previous;
	pthread_mutex_t lock; /* guards the two below; the handler takes none */
	bool installed;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

/*
 * A fault is its thread's own, and so is what became of it: another thread that faults in the same
 * window has a page of its own. (The model keeps a handler from allocating it.)
 */
static _Thread_local int refusal __attribute__((tls_model("initial-exec")));

void hf_linux_refusal_set(int error)
{
	refusal = error;
}

int hf_linux_refusal(void)
{
	return refusal;
}

static size_t slot(const void *address)
{
	return (uintptr_t)address >> HF_LINUX_SLOT_SHIFT;
}

static void set_slots(struct hf_linux_window *w, struct hf_linux_window *value)
{
	for (uint64_t done = 0; done < w->reserved; done += (uint64_t)1 << HF_LINUX_SLOT_SHIFT)
		atomic_store(&registry.window[slot(w->base + done)], value);
}

void hf_linux_handler_add(struct hf_linux_window *w)
{
	set_slots(w, w);
}

void hf_linux_handler_remove(struct hf_linux_window *w)
{
	set_slots(w, NULL);
}

static unsigned access_of(const ucontext_t *context)
{
	greg_t error = context->uc_mcontext.gregs[REG_ERR];

	if (error & PF_FETCH)
		return HF_ACCESS_EXEC;
	return error & PF_WRITE ? HF_ACCESS_WRITE : HF_ACCESS_READ;
}

/*
 * The access is to be answered by SIGBUS. The kernel delivers that to this thread once our
 * handler has returned, before the instruction runs again; what it does with one that is blocked or
 * ignored when it is the processor's own, it does here: the program dies of it.
 */
static void send_bus(const siginfo_t *fault, ucontext_t *context)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_ADRERR, .si_addr = fault->si_addr };
	struct sigaction action;

	sigaction(SIGBUS, NULL, &action);
	if (sigismember(&context->uc_sigmask, SIGBUS) ||
	    (!(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN)) {
		action = (struct sigaction){ .sa_handler = SIG_DFL };
		sigaction(SIGBUS, &action, NULL);
		sigdelset(&context->uc_sigmask, SIGBUS);
	}
	syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info);
}

/*
 * True: the access can be made again (or SIGBUS comes first). Else `info` says what a fault in memory of the
 * host's own would, and ENOMEM in si_errno where there was no memory, here or there.
 */
static bool resolve(struct hf_linux_window *w, siginfo_t *info, ucontext_t *context)
{
	struct hf_mm *mm = atomic_load(&w->mm);
	enum hf_status status;

	if (!mm)
		return false;
	status = hf_fault(mm, mm->va_lo + (uint64_t)((char *)info->si_addr - w->base),
			  access_of(context), NULL);
	if (status == HF_OK && !hf_linux_refusal()) {
		hf_linux_add(&w->lin->faults, 1);
		return true;
	}
	if (status == HF_ERR_BUS) {
		send_bus(info, context);
		return true;
	}
	info->si_code =
		status == HF_ERR_UNMAPPED || status == HF_ERR_RANGE ? SEGV_MAPERR : SEGV_ACCERR;
	if (status != HF_ERR_UNMAPPED && status != HF_ERR_RANGE && status != HF_ERR_ACCESS)
		info->si_errno = ENOMEM;
	return false;
}

/* What the signal does without our handler. */
static void by_default(int sig, const siginfo_t *info)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	bool sent = info->si_code <= 0; /* by kill(2) and its like, not by a fault */

	if (sent && registry.previous.sa_handler == SIG_IGN)
		return;
	/* The instruction faults again when we return, and the program dies of it, there. */
	sigaction(sig, &action, NULL);
	if (sent)
		raise(sig);
}

/* Call the handler that was there before us, with the signal mask that it would have had. */
static void chain(int sig, siginfo_t *info, ucontext_t *context)
{
	const struct sigaction *previous = &registry.previous;
	sigset_t mask;

	if (!(previous->sa_flags & SA_SIGINFO) &&
	    (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN)) {
		by_default(sig, info);
		return;
	}
	sigorset(&mask, &context->uc_sigmask, &previous->sa_mask);
	if (!(previous->sa_flags & SA_NODEFER))
		sigaddset(&mask, sig);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (previous->sa_flags & SA_SIGINFO)
		previous->sa_sigaction(sig, info, context);
	else
		previous->sa_handler(sig);
}

static void handler(int sig, siginfo_t *info, void *context)
{
	int error = errno;
	struct hf_linux_window *w = NULL;

	if (info->si_code > 0 && slot(info->si_addr) < SLOTS)
		w = atomic_load(&registry.window[slot(info->si_addr)]);
	if (!w || !resolve(w, info, context)) {
		errno = error;
		chain(sig, info, context);
	}
	errno = error;
}

/*
 * All other signals wait while a fault is resolved: their handlers may access windows too,
 * and would wait for the locks that this one holds.
 */
static int install(void)
{
	struct sigaction action = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	sigfillset(&action.sa_mask);
	return sigaction(SIGSEGV, &action, &registry.previous);
}

enum hf_status hf_linux_handler_install(void)
{
	enum hf_status status = HF_OK;

	pthread_mutex_lock(&registry.lock);
	if (!registry.installed) {
		if (install())
			status = HF_ERR_HOST;
		else
			registry.installed = true;
	}
	pthread_mutex_unlock(&registry.lock);
	return status;
}
