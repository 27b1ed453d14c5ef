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

#include "guard.h"
#include "say.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the kind of access is read from an x86-64 page-fault error code"
#endif

/* Intel SDM vol. 3A, 4.7 "Page-Fault Exceptions". */
#define PF_WRITE 2
#define PF_FETCH 16

/* The model keeps a handler from allocating them. */
#define THREADS_OWN _Thread_local __attribute__((tls_model("initial-exec")))

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
 * window has a page of its own.
 */
static THREADS_OWN int refusal;

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

/* The signal kills the program, unless it is blocked. */
static bool deadly(const struct sigaction *action)
{
	return !(action->sa_flags & SA_SIGINFO) &&
	       (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN);
}

/*
 * The access is to be answered by SIGBUS. The kernel delivers that to this thread once our
 * handler has returned, before the instruction runs again; what it does with one that is blocked or
 * ignored when it is the processor's own, it does here: the program dies of it.
 */
static void send_bus(const struct hf_linux_fault *fault, ucontext_t *context)
{
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_ADRERR, .si_addr = fault->address };
	struct sigaction action;

	sigaction(SIGBUS, NULL, &action);
	if (sigismember(&context->uc_sigmask, SIGBUS) || deadly(&action)) {
		action = (struct sigaction){ .sa_handler = SIG_DFL };
		sigaction(SIGBUS, &action, NULL);
		sigdelset(&context->uc_sigmask, SIGBUS);
		hf_linux_say_fault(fault);
	}
	syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info);
}

/* Linux has no address there for the access: SEGV_MAPERR. */
static bool is_unmapped(enum hf_status status)
{
	return status == HF_ERR_UNMAPPED || status == HF_ERR_RANGE || status == HF_ERR_LIMIT;
}

/* Set while a thread is in the program's nomem or denied, whose own failures are failures. */
static THREADS_OWN bool asking;

/* The program may help: true if the access is to be tried again. */
static bool ask(struct hf_linux *lin, const struct hf_linux_fault *fault)
{
	bool denied = is_unmapped(fault->status) || fault->status == HF_ERR_ACCESS;
	enum hf_linux_answer (*call)(void *, const struct hf_linux_fault *) =
		denied ? lin->denied : lin->nomem;
	bool again;

	if (!call || asking)
		return false;
	asking = true;
	again = call(lin->fault_arg, fault) == HF_LINUX_RETRY;
	asking = false;
	return again;
}

struct hf_linux_fault hf_linux_resolve(struct hf_linux_window *w, void *address, unsigned access)
{
	struct hf_mm *mm = atomic_load(&w->mm);
	struct hf_linux_fault fault = { .address = address, .access = access };

	fault.va = HF_LINUX_VA_LO + (uint64_t)((char *)address - w->base);
	fault.status = HF_ERR_UNMAPPED;
	if (!mm)
		return fault; /* the space has ended */
	fault.space = (struct hf_linux_space *)((char *)mm - offsetof(struct hf_linux_space, mm));
	do {
		fault.status = hf_fault(mm, fault.va, access, NULL);
		if (!fault.status && hf_linux_refusal())
			fault.status = HF_ERR_HOST;
	} while (fault.status && fault.status != HF_ERR_BUS && ask(w->lin, &fault));
	return fault;
}

struct hf_linux_window *hf_linux_window_at(const void *address)
{
	return slot(address) < SLOTS ? atomic_load(&registry.window[slot(address)]) : NULL;
}

/* What cannot go on: the program is wrong, and would wait for ever, or write where it must not. */
static void check_thread(const siginfo_t *info, const ucontext_t *context)
{
	char at[HF_LINUX_HEX];

	if (hf_linux_inside()) {
		hf_linux_say((const char *const[]){
			"memory of a space, ", hf_linux_hex(at, (uintptr_t)info->si_addr),
			", touched inside of a call: its argument, its stack, or a signal "
			"handler's. "
			"It would wait for itself (linux.h, \"Pointers\")",
			NULL });
		abort();
	}
	if (hf_linux_stack_small(&context->uc_stack)) {
		char need[HF_LINUX_HEX], has[HF_LINUX_HEX];

		hf_linux_say((const char *const[]){
			"a thread's signal stack (sigaltstack) has ",
			hf_linux_hex(has, context->uc_stack.ss_size), " bytes, a page fault needs ",
			hf_linux_hex(need, hf_linux_sigstack_size()), NULL });
		abort();
	}
}

/*
 * True: the access can be made again (or SIGBUS comes first). Else `info` says what a fault in
 * memory of the host's own would, and ENOMEM in si_errno where there was no memory, here or there.
 */
static bool resolve(struct hf_linux_window *w, siginfo_t *info, ucontext_t *context,
		    struct hf_linux_fault *fault)
{
	check_thread(info, context);
	*fault = hf_linux_resolve(w, info->si_addr, access_of(context));
	if (!fault->status) {
		hf_linux_add(&w->lin->faults, 1);
		return true;
	}
	if (fault->status == HF_ERR_BUS) {
		send_bus(fault, context);
		return true;
	}
	info->si_code = is_unmapped(fault->status) ? SEGV_MAPERR : SEGV_ACCERR;
	if (!is_unmapped(fault->status) && fault->status != HF_ERR_ACCESS)
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

/*
 * Call the handler that was there before us, with the signal mask that it would have had. Without
 * one the program dies, and is told why, if it is our fault.
 */
static void chain(int sig, siginfo_t *info, ucontext_t *context, const struct hf_linux_fault *fault)
{
	const struct sigaction *previous = &registry.previous;
	sigset_t mask;

	if (deadly(previous)) {
		if (fault)
			hf_linux_say_fault(fault);
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

/* How many of our handlers run on this thread, and a signal that was sent to it meanwhile. */
static THREADS_OWN unsigned depth;
static THREADS_OWN bool postponed;
static THREADS_OWN siginfo_t postponed_info;

/* Whether the fault has been resolved. `error`: the errno of the interrupted code. */
static bool handle(int sig, siginfo_t *info, ucontext_t *context, int error)
{
	struct hf_linux_window *w = info->si_code > 0 ? hf_linux_window_at(info->si_addr) : NULL;
	struct hf_linux_fault fault;
	bool done = false;

	if (w && hf_linux_is_child()) {
		if (deadly(&registry.previous))
			hf_linux_say((const char *const[]){
				"a child of fork(2) touched memory of a space, which is its "
				"parent's alone",
				NULL });
		errno = error;
		chain(sig, info, context, NULL);
		return false;
	}
	if (w) {
		depth++;
		done = resolve(w, info, context, &fault);
		depth--;
	}
	errno = error;
	if (!done)
		chain(sig, info, context, w ? &fault : NULL);
	return done;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	int error = errno;

	if (info->si_code <= 0 && depth) {
		/* Its handler would find our locks held. */
		postponed = true;
		postponed_info = *info;
		return;
	}
	handle(sig, info, context, error);
	if (postponed && !depth) {
		postponed = false;
		syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, &postponed_info);
	}
	errno = error;
}

/*
 * All other signals wait while a fault is resolved: their handlers may access windows too,
 * and would wait for the locks that this one holds. SIGSEGV does not wait, or a fault that is taken
 * inside would end the program without a word.
 */
static int install(void)
{
	struct sigaction action = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};

	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGSEGV);
	return sigaction(SIGSEGV, &action, &registry.previous);
}

enum hf_status hf_linux_handler_install(void)
{
	enum hf_status status = HF_OK;

	pthread_mutex_lock(&registry.lock);
	if (!registry.installed) {
		if (!hf_linux_guard_init() || install())
			status = HF_ERR_HOST;
		else
			registry.installed = true;
	}
	pthread_mutex_unlock(&registry.lock);
	return status;
}
