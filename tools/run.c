/* SPDX-License-Identifier: MIT */
/* The coordinator of `holdfast run`: starts the two sides and lets them work in turn. */
#include "run.h"

#include "host.h"
#include "progress.h"
#include "report.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_DEADLINE_MS 120000 /* a side that takes longer hangs */
#define STOP_DEADLINE_MS 10000	  /* once it has been asked to stop */
#define WIND_UP_S 0.5		  /* kept of the user's time for the last checks */

enum {
	EXIT_PASSED = 0,
	EXIT_CHECK = 1,
	EXIT_CANNOT = 2,
	EXIT_INTERRUPTED = 130
};

/* A side, seen from here. */
struct worker {
	struct tally *tally;
	pid_t pid;
	int socket;
	bool alive; /* it answers */
};

struct coordinator {
	struct run *run;
	struct worker heap, fork;
	int signals;	    /* a signalfd for SIGINT and SIGTERM */
	_Atomic bool *stop; /* shared with the sides */
	struct progress progress;
};

/* Zeros, which take memory as they are written to. */
static void *share(size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

static bool spawn(struct coordinator *c, struct worker *worker, const struct side_ops *ops)
{
	pid_t parent = getpid();
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	worker->pid = fork();
	if (worker->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(ends[0]);
		side_main(ops, &c->run->plan, worker->tally, c->stop, ends[1]);
	}
	close(ends[1]);
	worker->socket = ends[0];
	worker->alive = worker->pid > 0;
	return worker->alive;
}

/* It will not answer any more. Say why, if it could not do so itself. */
static void bury(struct worker *worker)
{
	char *failure = worker->tally->failure;
	size_t size = sizeof(worker->tally->failure);
	int status = 0;

	worker->alive = false;
	if (waitpid(worker->pid, &status, 0) != worker->pid || failure[0])
		return;
	if (WIFSIGNALED(status))
		snprintf(failure, size, "its process was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		snprintf(failure, size, "its process ended with status %d", WEXITSTATUS(status));
}

/* SIGINT or SIGTERM: end soon, in order. The second one: at once. */
static void interrupt(struct coordinator *c)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (c->run->interrupted) {
		kill(c->heap.pid, SIGKILL);
		kill(c->fork.pid, SIGKILL);
	}
	c->run->interrupted = true;
	atomic_store(c->stop, true);
}

/* Wait until the worker has done what it was told; signals are taken meanwhile. */
static void await(struct coordinator *c, struct worker *worker)
{
	struct pollfd fds[] = {
		{ .fd = worker->socket, .events = POLLIN },
		{ .fd = c->signals, .events = POLLIN },
	};
	char byte;

	if (!worker->alive)
		return;
	for (;;) {
		int ready =
			poll(fds, 2, c->run->interrupted ? STOP_DEADLINE_MS : ANSWER_DEADLINE_MS);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0) {
			kill(worker->pid, SIGKILL);
			bury(worker);
			return;
		}
		if (fds[1].revents)
			interrupt(c);
		if (!fds[0].revents)
			continue;
		if (read(worker->socket, &byte, 1) != 1 || byte != SIDE_DONE)
			bury(worker);
		return;
	}
}

static void command(struct worker *worker, enum side_command what)
{
	char byte = (char)what;

	if (worker->alive && send(worker->socket, &byte, 1, MSG_NOSIGNAL) != 1)
		bury(worker);
}

static void tell(struct coordinator *c, struct worker *worker, enum side_command what)
{
	command(worker, what);
	await(c, worker);
}

/* The least that fork(2) does: for scale. */
static void time_empty_fork(struct run *run)
{
	uint64_t began = host_now();
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return;
	samples_add(&run->empty_fork_us, (double)(host_now() - began) / 1000);
	waitpid(pid, NULL, 0);
}

static bool enough(const struct run *run)
{
	const struct run_options *options = run->options;

	return run->interrupted ||
	       (options->seconds > 0 && run->seconds >= options->seconds - WIND_UP_S) ||
	       (options->forks && run->heap->forks >= options->forks) ||
	       run->heap->forks >= SAMPLES_MAX;
}

static void work(struct coordinator *c)
{
	struct run *run = c->run;
	uint64_t began = host_now();

	progress_say(&c->progress, "Making the heaps and filling them from files ...");
	await(c, &c->heap);
	await(c, &c->fork);
	while (c->heap.alive && !enough(run)) {
		tell(c, &c->heap, SIDE_ROUND);
		tell(c, &c->fork, SIDE_ROUND);
		time_empty_fork(run);
		run->seconds = (double)(host_now() - began) / 1e9;
		progress_round(&c->progress, run);
	}
	progress_say(&c->progress, "Last checks ...");
	command(&c->heap, SIDE_END);
	command(&c->fork, SIDE_END);
	await(c, &c->heap);
	await(c, &c->fork);
	run->seconds = (double)(host_now() - began) / 1e9;
	progress_end(&c->progress);
}

static bool open_coordinator(struct coordinator *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC);
	c->stop = share(sizeof(*c->stop));
	c->heap.tally = share(sizeof(*c->heap.tally));
	c->fork.tally = share(sizeof(*c->fork.tally));
	c->run->heap = c->heap.tally;
	c->run->fork = c->fork.tally;
	progress_start(&c->progress);
	/* Blocked in the sides too, whom a terminal's Ctrl-C reaches as well. */
	return sigprocmask(SIG_BLOCK, &set, NULL) == 0 && c->signals >= 0 && c->stop &&
	       c->heap.tally && c->fork.tally;
}

static void reap_workers(struct coordinator *c)
{
	struct worker *workers[] = { &c->heap, &c->fork };

	for (int i = 0; i < 2; i++)
		if (workers[i]->alive)
			bury(workers[i]);
}

/* Where events go, if they are asked for. */
static bool open_timeline(struct run *run)
{
	if (!run->options->trace)
		return true;
	run->plan.timeline = share(sizeof(*run->plan.timeline));
	if (!run->plan.timeline)
		return false;
	run->plan.timeline->began = host_now();
	return true;
}

static bool write_timeline(const struct run *run)
{
	const char *path = run->options->trace;

	if (!path || timeline_write(run->plan.timeline, path))
		return true;
	fprintf(stderr, "holdfast run: %s: %s\n", path, strerror(errno));
	return false;
}

/* The work and its results, once there is a plan. */
static int carry_out(struct coordinator *c)
{
	struct run *run = c->run;
	unsigned failed;

	report_header(run, stdout);
	if (!open_timeline(run) || !spawn(c, &c->heap, &heap_side) ||
	    !spawn(c, &c->fork, &fork_side)) {
		fprintf(stderr, "holdfast run: %s\n", strerror(errno));
		return EXIT_CANNOT;
	}
	work(c);
	reap_workers(c);
	failed = report_table(run, stdout);
	if (run->options->json && !report_json(run, run->options->json))
		return EXIT_CANNOT;
	if (!write_timeline(run))
		return EXIT_CANNOT;
	if (failed)
		return EXIT_CHECK;
	return run->interrupted ? EXIT_INTERRUPTED : EXIT_PASSED;
}

int run_command(int argc, char **argv)
{
	struct run_options options;
	struct run *run = share(sizeof(*run)); /* zeroed, and too large for the stack */
	struct coordinator c = { .run = run };
	int status = EXIT_CANNOT;

	run_parse(argc, argv, &options);
	if (!run || !open_coordinator(&c)) {
		fprintf(stderr, "holdfast run: %s\n", strerror(errno));
		return EXIT_CANNOT;
	}
	run->options = &options;
	if (run_plan(run))
		status = carry_out(&c);
	files_free(&run->plan.files);
	return status;
}
