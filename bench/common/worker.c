/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "worker.h"

#include "clock.h"
#include "stats.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

/* A round that is over at once is repeated, and its value is the median of these. */
#define REPEATS 9
#define REPEAT_NS 20e6

struct reply {
	enum outcome outcome;
	double value;
	char reason[160];
};

/* Of the process of a column, for bench_skip and bench_die; -1 elsewhere. */
static int reply_fd = -1;

static void send_reply(const struct reply *r)
{
	if (write(reply_fd, r, sizeof(*r)) != sizeof(*r))
		_exit(2);
}

static _Noreturn void give_up(enum outcome outcome, const char *format, va_list ap)
{
	struct reply r = { .outcome = outcome };

	vsnprintf(r.reason, sizeof(r.reason), format, ap);
	if (reply_fd < 0) {
		fprintf(stderr, "%s\n", r.reason);
		exit(1);
	}
	send_reply(&r);
	_exit(1);
}

void bench_skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	give_up(WORKER_SKIPPED, format, ap);
}

void bench_die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	give_up(WORKER_FAILED, format, ap);
}

static double repeat(const struct bench_case *c, void *state)
{
	double values[REPEATS], start = now_ns();
	size_t n = 0;

	do
		values[n++] = c->round(state);
	while (n < REPEATS && now_ns() - start < REPEAT_NS);
	return summarize(values, n).median;
}

static _Noreturn void serve(const struct bench_case *c, enum column column, int requests)
{
	struct reply r = { .outcome = WORKER_READY };
	void *state = c->begin(c, column);
	char request;

	send_reply(&r);
	while (read(requests, &request, 1) == 1) {
		r.value = repeat(c, state);
		send_reply(&r);
	}
	_exit(0);
}

static double receive(struct worker *w)
{
	struct reply r;
	ssize_t got = read(w->replies, &r, sizeof(r));

	if (got != sizeof(r)) {
		r = (struct reply){ .outcome = WORKER_FAILED };
		strcpy(r.reason, "its process has died");
	}
	w->outcome = r.outcome;
	memcpy(w->reason, r.reason, sizeof(w->reason));
	return r.value;
}

void worker_start(struct worker *w, const struct bench_case *c, enum column column)
{
	pid_t parent = getpid();
	int up[2], down[2];

	if (pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC)) {
		perror("pipe");
		exit(1);
	}
	fflush(NULL);
	w->pid = fork();
	if (w->pid < 0) {
		perror("fork");
		exit(1);
	}
	if (!w->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(down[1]);
		close(up[0]);
		reply_fd = up[1];
		serve(c, column, down[0]);
	}
	close(down[0]);
	close(up[1]);
	w->requests = down[1];
	w->replies = up[0];
	receive(w);
}

double worker_round(struct worker *w)
{
	if (write(w->requests, "", 1) != 1) {
		w->outcome = WORKER_FAILED;
		return 0;
	}
	return receive(w);
}

void worker_stop(struct worker *w)
{
	close(w->requests);
	close(w->replies);
	kill(w->pid, SIGKILL); /* others have inherited its end of the pipe */
	waitpid(w->pid, NULL, 0);
}
