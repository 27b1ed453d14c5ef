/* SPDX-License-Identifier: MIT */
/*
 * Threads as coroutines, and one schedule of them. A thread that comes to a step asks who goes next;
 * if it is another, the stacks are switched on the spot. No system call on the way.
 */
#define _GNU_SOURCE
#include "explore.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK (256 * 1024)
#define STEPS_MOST 200000 /* of one schedule: more is a livelock */

struct hfx_agent hfx_agents[HFX_AGENTS];
unsigned hfx_count;
struct hfx_agent *hfx_self;
uint64_t hfx_now;
bool hfx_every;
char hfx_why[1000];

static jmp_buf scheduler; /* where a schedule ends */
static ucontext_t booter;
static struct hfx_agent *booting;
static int running; /* the thread that took the last step, or -1 */

static void switch_to(struct hfx_agent *to)
{
	hfx_self = to;
	_longjmp(to->here, 1);
}

static _Noreturn void end(enum hfx_end how)
{
	_longjmp(scheduler, how);
}

_Noreturn void hfx_prune(void)
{
	end(HFX_PRUNED);
}

_Noreturn void hfx_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(hfx_why, sizeof(hfx_why), fmt, args);
	va_end(args);
	end(HFX_FAILED);
}

/* What it waits for is there. */
static bool ready(const struct hfx_agent *a)
{
	const struct hf_rwlock *rw = a->at;
	const struct hf_lock *lock = a->at;

	switch (a->op) {
	case HFX_LOCK:
		return !lock->word;
	case HFX_SHARED:
	case HFX_ANNOUNCE:
		return !rw->writers.word;
	case HFX_DRAIN:
		return !(rw->state & 0x7fffffff);
	case HFX_SLEEP:
		return a->woken;
	case HFX_UNTIL:
		return *(const uint64_t *)a->at;
	case HFX_COMMIT:
		return a->owner->buffered;
	default:
		return true;
	}
}

static unsigned enabled(void)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < hfx_count; i++)
		if (!hfx_agents[i].done && ready(&hfx_agents[i]))
			mask |= 1u << i;
	return mask;
}

/* Nobody can go on: the end, or a deadlock. */
static _Noreturn void nobody(void)
{
	char text[900] = "deadlock:";

	for (unsigned i = 0; i < hfx_count; i++) {
		const struct hfx_agent *a = &hfx_agents[i];
		size_t n = strlen(text);

		if (!a->done && !a->owner)
			snprintf(text + n, sizeof(text) - n, " %s waits for %s;", a->name,
				 hfx_name_of(a->at));
	}
	if (!strchr(text, ';'))
		end(HFX_ENDED);
	hfx_fail("%s", text);
}

/* Who goes next; returns when it is this thread. `self` is NULL: the one that ran has ended. */
static void yield(struct hfx_agent *self)
{
	unsigned mask = enabled();
	int next;

	if (!mask)
		nobody();
	if (!self || !self->owner)
		running = self ? (int)(self - hfx_agents) : -1;
	next = hfx_choose(running >= 0 && mask >> running & 1 ? running : -1, mask);
	if (self == &hfx_agents[next])
		return;
	if (!self || !_setjmp(self->here))
		switch_to(&hfx_agents[next]);
}

void hfx_point(enum hfx_op op, const void *at, bool always)
{
	struct hfx_agent *self = hfx_self;

	if (!self)
		return;
	self->op = op;
	self->at = at;
	if (always || hfx_every || hfx_racy(at) || !ready(self))
		yield(self);
	self = hfx_self;
	self->points++;
	if (++hfx_now > STEPS_MOST)
		hfx_fail("livelock: %u steps", STEPS_MOST);
	if (hfx_telling)
		hfx_tell(self, op, at);
}

void hfx_yield(enum hfx_op op)
{
	hfx_self->op = op;
	yield(hfx_self);
}

/* The bottom of every stack. Each schedule jumps to `top`, so it never returns. */
static void bottom(void)
{
	if (!_setjmp(booting->top))
		setcontext(&booter);
	hfx_self->fn();
	hfx_drain();
	if (hfx_self->nheld)
		hfx_fail("%s ends with %s held", hfx_self->name,
			 hfx_name_of(hfx_self->held[0].lock));
	hfx_self->done = true;
	hfx_self = NULL;
	yield(NULL);
}

static void boot(struct hfx_agent *a)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	ucontext_t c;

	if (stack == MAP_FAILED || mprotect(stack, 4096, PROT_NONE) || getcontext(&c)) {
		perror("explore: no stack");
		exit(2);
	}
	c.uc_stack.ss_sp = stack;
	c.uc_stack.ss_size = STACK;
	c.uc_link = NULL;
	makecontext(&c, bottom, 0);
	booting = a;
	swapcontext(&booter, &c);
}

/* The core has followed a pointer to nowhere: a failure like any other. */
static void crashed(int signal)
{
	if (!hfx_self) {
		fprintf(stderr, "explore: signal %d outside of a schedule\n", signal);
		_exit(2);
	}
	hfx_fail("%s in %s", strsignal(signal), hfx_self->name);
}

void hfx_schedule_init(void)
{
	static char stack[65536];
	const stack_t own = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER };

	for (unsigned i = 0; i < HFX_AGENTS; i++)
		boot(&hfx_agents[i]);
	sigaltstack(&own, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
}

static void begin(void)
{
	for (unsigned i = 0; i < hfx_count; i++) {
		struct hfx_agent *a = &hfx_agents[i];

		memcpy(a->here, a->top, sizeof(a->here));
		a->done = a->woken = false;
		a->op = a->owner ? HFX_COMMIT : HFX_BEGIN;
		a->at = NULL;
		a->points = 0;
		a->hash = i + 1;
		a->nheld = a->buffered = 0;
	}
	hfx_now = 0;
	hfx_self = NULL;
	running = -1;
}

enum hfx_end hfx_run_threads(void)
{
	enum hfx_end how;

	begin();
	how = (enum hfx_end)_setjmp(scheduler);
	if (!how)
		yield(NULL);
	hfx_self = NULL;
	return how;
}

enum hfx_end hfx_guard(void (*fn)(const struct hfx_scenario *), const struct hfx_scenario *s)
{
	enum hfx_end how = (enum hfx_end)_setjmp(scheduler);

	hfx_self = NULL;
	if (!how) {
		fn(s);
		how = HFX_ENDED;
	}
	return how;
}
