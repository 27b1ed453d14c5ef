/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <poll.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Milliseconds without a word after which a scene is taken for hung. */
#define WATCHDOG 60000

struct rig_segv segv;

void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)context;
	segv.error = errno;
	segv.info = *info;
	pthread_sigmask(SIG_SETMASK, NULL, &segv.mask);
	if (segv.escape)
		siglongjmp(*segv.escape, 1);
	signal(sig, SIG_DFL); /* a real crash: fault again and die of it */
}

bool may(const void *at, unsigned access, char value)
{
	volatile char *p = (volatile char *)(uintptr_t)at;
	sigjmp_buf escape;
	volatile bool done = false;

	segv.escape = &escape;
	if (!sigsetjmp(escape, 1)) {
		if (access == HF_ACCESS_WRITE)
			*p = value;
		else if (access == HF_ACCESS_READ)
			(void)*p;
		else
			((void (*)(void))(uintptr_t)at)();
		done = true;
	}
	segv.escape = NULL;
	return done;
}

bool may_read(const void *at)
{
	return may(at, HF_ACCESS_READ, 0);
}

bool may_write(void *at)
{
	return may(at, HF_ACCESS_WRITE, 1);
}

void port_handles(void)
{
	if (segv.port.sa_sigaction)
		sigaction(SIGSEGV, &segv.port, NULL);
}

struct hf_linux *machine_of(struct hf_linux_config config)
{
	struct hf_linux *lin;

	OK(hf_linux_create(&config, &lin));
	port_handles();
	return lin;
}

struct hf_linux *machine(uint64_t ram_bytes)
{
	return machine_of((struct hf_linux_config){ .ram_bytes = ram_bytes });
}

void space_in(struct hf_linux *lin, struct hf_linux_space *space, uint64_t len)
{
	OK(hf_linux_space_create(lin, space, len, HF_HUGE_COW_WHOLE));
}

char *map(struct hf_linux_space *space, uint64_t len, bool huge)
{
	hf_va va = 0;

	OK(hf_mmap(&space->mm, &va, len, RW, 0));
	if (huge)
		OK(hf_madvise(&space->mm, va, len, HF_ADV_HUGEPAGE));
	return hf_linux_ptr(space, va);
}

char *there(const struct hf_linux_space *here, const struct hf_linux_space *other, const char *p)
{
	return hf_linux_ptr(other, hf_linux_va(here, p));
}

void machine_end(struct hf_linux *lin)
{
	struct hf_violation v = { 0 };

	if (hf_mm_check(hf_linux_phys(lin), &v))
		fail_msg("hf_mm_check: %s", v.rule);
	OK(hf_linux_destroy(lin));
}

void destroy(struct hf_linux_space *space)
{
	struct hf_violation v = { 0 };

	if (hf_mm_check(space->mm.phys, &v))
		fail_msg("hf_mm_check: %s", v.rule);
	hf_linux_space_destroy(space);
}

struct hf_linux_stats stats_of(struct hf_linux *lin)
{
	struct hf_linux_stats stats;

	hf_linux_stats(lin, &stats);
	return stats;
}

uint64_t held(struct hf_linux *lin)
{
	struct stat st;

	assert_int_equal(fstat(hf_linux_memfd(lin), &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

uint64_t host_maps(const struct hf_linux_space *space)
{
	uintptr_t lo = (uintptr_t)space->window, hi = lo + space->window_len, from, to;
	FILE *file = fopen("/proc/self/maps", "r");
	uint64_t count = 0;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		assert_int_equal(sscanf(line, "%lx-%lx", &from, &to), 2);
		count += to > lo && from < hi;
	}
	fclose(file);
	return count;
}

uint64_t huge_bytes(const char *at, uint64_t len)
{
	uintptr_t lo = (uintptr_t)at, from, to;
	FILE *file = fopen("/proc/self/smaps", "r");
	uint64_t kib, sum = 0;
	bool inside = false;
	char line[512], c;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx %c", &from, &to, &c) == 3)
			inside = from >= lo && to <= lo + len;
		else if (inside && sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1)
			sum += kib * KIB;
	}
	fclose(file);
	return sum;
}

uint64_t stamp(uint64_t seed, uint64_t i)
{
	return (seed * 0x9e3779b97f4a7c15 + i * 0xff51afd7ed558ccd) | 1;
}

void fill(char *p, uint64_t len, uint64_t step, uint64_t seed)
{
	for (uint64_t i = 0; i < len; i += step)
		*(uint64_t *)(p + i) = stamp(seed, i);
}

void check_filled(const char *p, uint64_t len, uint64_t step, uint64_t seed)
{
	for (uint64_t i = 0; i < len; i += step)
		assert_int_equal(*(const uint64_t *)(p + i), stamp(seed, i));
}

void expect_death_at(const char *at)
{
	assert_int_equal(write(STDOUT_FILENO, &at, sizeof(at)), sizeof(at));
}

int play(const struct scene *scenes, const char *name)
{
	for (; scenes->name; scenes++)
		if (!strcmp(scenes->name, name))
			scenes->play();
	return 1; /* no such scene, or one that should not have come back */
}

pid_t start(const char *name, bool traced, int *out)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDOUT_FILENO);
		signal(SIGSEGV, SIG_DFL);
		if (!traced || !ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			execl("/proc/self/exe", "scene", "--scene", name, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*out = ends[0];
	return pid;
}

int status_of(const char *name)
{
	int out, status;
	pid_t pid = start(name, false, &out);

	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(out);
	return status;
}

int status_and_words(const char *name, char *words, size_t size)
{
	struct pollfd watched = { .events = POLLIN };
	int ends[2], status;
	size_t len = 0;
	ssize_t got = 1;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		signal(SIGSEGV, SIG_DFL);
		execl("/proc/self/exe", "scene", "--scene", name, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	watched.fd = ends[0];
	while (poll(&watched, 1, WATCHDOG) > 0 &&
	       (got = read(ends[0], words + len, size - 1 - len)) > 0)
		len += (size_t)got;
	if (got)
		kill(pid, SIGKILL); /* one that waits for ever, with every signal blocked */
	words[len] = 0;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

void exits_with(int code, const char *name)
{
	int status = status_of(name);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

void dies_of(int deadly, const char *name)
{
	int out, status;
	pid_t pid = start(name, true, &out);
	siginfo_t info = { 0 };
	char *expected;

	for (;;) {
		int sig;

		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		sig = WSTOPSIG(status);
		if (sig == deadly)
			ptrace(PTRACE_GETSIGINFO, pid, NULL, &info);
		ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)(sig == SIGTRAP ? 0 : sig));
	}
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), deadly);
	assert_int_equal(read(out, &expected, sizeof(expected)), sizeof(expected));
	if (expected)
		assert_ptr_equal(info.si_addr, expected);
	close(out);
}

void install_handlers(void)
{
	struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	struct hf_linux *lin;

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGUSR1);
	sigaction(SIGSEGV, &action, NULL);
	lin = machine(BLOCK);
	sigaction(SIGSEGV, NULL, &segv.port);
	OK(hf_linux_destroy(lin));
}
