/* SPDX-License-Identifier: MIT */
/*
 * The main job from outside: test_run HOLDFAST, where HOLDFAST is the program to test. Small
 * and short runs; what they measure is not judged here, what they check is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../cases.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES 60
#define CANNOT_EXEC 127

struct scene {
	const char *holdfast;
	char dir[64];	 /* of files for the device to read */
	char json[80];	 /* where results go */
	char output[80]; /* and what it says */
	char trace[80];	 /* where --trace goes */
};

static void write_file(const char *path, size_t size, unsigned seed)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		putc((int)((i * 31 + seed) >> 3 & 255), file);
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	struct scene *scene = *state;
	char path[128];

	snprintf(scene->dir, sizeof(scene->dir), "/tmp/holdfast-run-XXXXXX");
	assert_non_null(mkdtemp(scene->dir));
	assert_int_equal(chmod(scene->dir, 0777), 0);
	snprintf(scene->json, sizeof(scene->json), "%s.json", scene->dir);
	snprintf(scene->output, sizeof(scene->output), "%s.out", scene->dir);
	snprintf(scene->trace, sizeof(scene->trace), "%s.trace", scene->dir);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), "%s/%02u", scene->dir, i);
		write_file(path, 1 + i * i * 97, i);
	}
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;
	char line[512];

	snprintf(line, sizeof(line), "rm -rf '%s' '%s' '%s' '%s'", scene->dir, scene->json,
		 scene->output, scene->trace);
	return system(line);
}

/* What the new process does before it becomes holdfast. */
typedef void preparation(void);

static pid_t start(const struct scene *scene, preparation *prepare, const char *const *options)
{
	const char *argv[16] = { scene->holdfast, "run", "--json", scene->json };
	size_t argc = 4;
	pid_t pid;

	while (*options)
		argv[argc++] = *options++;
	assert_true(argc < sizeof(argv) / sizeof(*argv));
	unlink(scene->json);
	unlink(scene->output);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int out = open(scene->output, O_WRONLY | O_CREAT | O_TRUNC, 0666);

		setpgid(0, 0);
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		if (prepare)
			prepare();
		execv(argv[0], (char *const *)argv);
		_exit(CANNOT_EXEC);
	}
	setpgid(pid, pid);
	return pid;
}

static void show(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		fputs(line, stdout);
	if (file)
		fclose(file);
}

static int says(const char *path, const char *what)
{
	FILE *file = fopen(path, "r");
	char text[4096] = "";

	if (file) {
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		fclose(file);
	}
	return strstr(text, what) != NULL;
}

static int finish(const struct scene *scene, pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	show(scene->output);
	/* Nobody is left behind. */
	assert_int_equal(kill(-pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static json_t *results(const struct scene *scene)
{
	json_error_t error;
	json_t *json = json_load_file(scene->json, 0, &error);

	assert_non_null(json);
	return json;
}

static json_int_t number(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	if (!json_is_integer(value))
		fail_msg("%s is not a number", key);
	return json_integer_value(value);
}

static void check_latency(const json_t *json, const char *key)
{
	const json_t *latency = json_object_get(json, key);
	double p50 = json_real_value(json_object_get(latency, "p50"));
	double p99 = json_real_value(json_object_get(latency, "p99"));
	double max = json_real_value(json_object_get(latency, "max"));

	assert_true(p50 > 0 && p50 <= p99 && p99 <= max);
}

/* Whatever the options, these hold. */
static void check_results(const json_t *json)
{
	check_latency(json, "fork_us");
	check_latency(json, "linux_fork_us");
	assert_true(number(json, "forks") > 0);
	assert_int_equal(number(json, "torn"), 0);
	assert_true(number(json, "linux_torn") >= 0);
	assert_int_equal(number(json, "pinned_moved"), 0);
	assert_int_equal(number(json, "device_errors"), 0);
	assert_true(number(json, "device_bytes") > 0);
	assert_true(number(json, "checked_bytes") > 0);
	assert_int_equal(number(json, "huge_before"), 32);
	assert_true(number(json, "linux_huge_after") >= 0);
	assert_int_equal(number(json, "mapped_bytes"), 64 << 20);
	assert_int_equal(json_array_size(json_object_get(json, "failures")), 0);
}

static void run_and_check(const struct scene *scene, preparation *prepare,
			  const char *const *options, json_t **json)
{
	int status = finish(scene, start(scene, prepare, options));

	if (prepare && status == CANNOT_EXEC) {
		printf("skip: %s cannot be started by another user\n", scene->holdfast);
		skip();
	}
	assert_int_equal(status, 0);
	*json = results(scene);
	check_results(*json);
}

static void pinned_heap(void **state)
{
	const struct scene *scene = *state;
	json_t *json;

	run_and_check(scene, NULL,
		      (const char *const[]){ "--seconds", "3", "--heap", "64MiB", "--pinned", "4",
					     scene->dir, NULL },
		      &json);
	assert_int_equal(number(json, "pinned_bytes"), 4 << 20);
	assert_int_equal(number(json, "huge_after"), 32);
	json_decref(json);
}

/* How many events of the trace have this phase and name; each has what a viewer needs. */
static json_int_t traced(const json_t *trace, const char *phase, const char *name)
{
	const json_t *events = json_object_get(trace, "traceEvents");
	json_int_t found = 0;

	for (size_t i = 0; i < json_array_size(events); i++) {
		const json_t *event = json_array_get(events, i);
		const char *ph = json_string_value(json_object_get(event, "ph"));

		assert_true(ph && number(event, "pid") > 0 && number(event, "tid") > 0);
		if (strcmp(ph, "M") != 0)
			assert_true(json_real_value(json_object_get(event, "ts")) > 0);
		if (strcmp(ph, "X") == 0)
			assert_true(json_real_value(json_object_get(event, "dur")) > 0);
		found += strcmp(ph, phase) == 0 &&
			 strcmp(json_string_value(json_object_get(event, "name")), name) == 0;
	}
	return found;
}

/* Of the forks in the trace, the sum of what they copied. */
static json_int_t traced_bytes(const json_t *trace)
{
	const json_t *events = json_object_get(trace, "traceEvents");
	json_int_t bytes = 0;

	for (size_t i = 0; i < json_array_size(events); i++) {
		const json_t *event = json_array_get(events, i);

		if (strcmp(json_string_value(json_object_get(event, "name")), "fork") == 0)
			bytes += number(json_object_get(event, "args"), "bytes");
	}
	return bytes;
}

/* The trace is JSON, and has what the run has counted. */
static void check_trace(const struct scene *scene, const json_t *json)
{
	static const char *const names[] = { "fault", "fork", "flush", "pin", "unpin" };
	const json_t *events = json_object_get(json, "events");
	json_error_t error;
	json_t *trace = json_load_file(scene->trace, 0, &error);

	if (!trace)
		fail_msg("%s, line %d: %s", scene->trace, error.line, error.text);
	assert_int_equal(number(json_object_get(trace, "otherData"), "lost"), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(traced(trace, "i", names[i]), number(events, names[i]));
	assert_int_equal(traced(trace, "X", "hf_linux_fork"), number(events, "fork"));
	assert_int_equal(traced_bytes(trace), number(json, "fork_copied_bytes"));
	assert_int_equal(traced(trace, "M", "process_name"), 1);
	assert_int_equal(traced(trace, "M", "thread_name"), 4);
	json_decref(trace);
}

/* What the trace points tell fits what the run says. */
static void traced_heap(void **state)
{
	const struct scene *scene = *state;
	const json_t *events, *faults;
	json_t *json;

	run_and_check(scene, NULL,
		      (const char *const[]){ "--seconds", "3", "--heap", "64MiB", "--pinned", "4",
					     "--trace", scene->trace, scene->dir, NULL },
		      &json);
	events = json_object_get(json, "events");
	faults = json_object_get(json, "faults");
	assert_true(number(events, "fork") >= number(json, "forks"));
	assert_true(number(events, "flush") >= number(events, "fork"));
	assert_true(number(events, "pin") > 0);
	assert_int_equal(number(events, "split"), 0);
	assert_true(number(faults, "copy") > 0);
	/* every fork copies all that is pinned */
	assert_true(number(json, "fork_copied_bytes") >= number(events, "fork") * (4 << 20));
	assert_true(number(json, "fork_tables") > 2 * number(events, "fork"));
	check_trace(scene, json);
	json_decref(json);
}

static void unpinned_heap(void **state)
{
	const struct scene *scene = *state;
	json_t *json;

	run_and_check(scene, NULL,
		      (const char *const[]){ "--forks", "12", "--heap", "64MiB", "--pinned", "0",
					     scene->dir, NULL },
		      &json);
	assert_int_equal(number(json, "pinned_bytes"), 0);
	assert_int_equal(number(json, "huge_after"), 32);
	assert_true(number(json, "forks") >= 12);
	json_decref(json);
}

static void split_policy(void **state)
{
	const struct scene *scene = *state;
	json_t *json;

	run_and_check(scene, NULL,
		      (const char *const[]){ "--forks", "4", "--heap", "64MiB", "--pinned", "4",
					     "--policy", "split", scene->dir, NULL },
		      &json);
	/* The pinned pages, and no others, are split. */
	assert_int_equal(number(json, "huge_after"), 30);
	json_decref(json);
}

/* No capability, and a limit on locked memory. */
static void become_nobody(rlim_t memlock)
{
	const struct rlimit limit = { memlock, memlock };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (getuid() == 0 && setuid(65534) != 0))
		_exit(CANNOT_EXEC);
}

static void nobody_with_nothing(void)
{
	become_nobody(0);
}

static void nobody_with_little(void)
{
	become_nobody(3 << 20);
}

static void without_locked_memory(void **state)
{
	const struct scene *scene = *state;
	json_t *json;

	run_and_check(scene, nobody_with_nothing,
		      (const char *const[]){ "--forks", "4", "--heap", "64MiB", "--pinned", "4",
					     scene->dir, NULL },
		      &json);
	assert_int_equal(number(json, "pinned_bytes"), 4 << 20);
	assert_true(json_array_size(json_object_get(json, "notes")) > 0);
	json_decref(json);
}

static void with_little_locked_memory(void **state)
{
	const struct scene *scene = *state;
	json_t *json;

	run_and_check(scene, nobody_with_little,
		      (const char *const[]){ "--forks", "4", "--heap", "64MiB", "--pinned", "4",
					     scene->dir, NULL },
		      &json);
	if (json_is_true(json_object_get(json, "io_uring")))
		assert_int_equal(number(json, "pinned_bytes"), 2 << 20);
	assert_true(json_array_size(json_object_get(json, "notes")) > 0);
	json_decref(json);
}

static void interrupted(void **state)
{
	static const int signals[] = { SIGINT, SIGTERM };
	const struct scene *scene = *state;

	for (size_t i = 0; i < 2; i++) {
		pid_t pid = start(scene, NULL,
				  (const char *const[]){ "--seconds", "60", "--heap", "64MiB",
							 "--pinned", "4", scene->dir, NULL });
		json_t *json;

		while (!says(scene->output, "Making the heaps"))
			usleep(10000);
		usleep(1500000);
		/* To all of them, as a terminal does. */
		assert_int_equal(kill(-pid, signals[i]), 0);
		assert_int_equal(finish(scene, pid), 130);
		json = results(scene);
		assert_true(json_is_true(json_object_get(json, "interrupted")));
		assert_int_equal(number(json, "torn"), 0);
		assert_int_equal(number(json, "device_errors"), 0);
		json_decref(json);
	}
}

static void nothing_to_read(void **state)
{
	const struct scene *scene = *state;

	assert_int_equal(
		finish(scene, start(scene, NULL, (const char *const[]){ "/nonexistent", NULL })),
		2);
	assert_int_equal(access(scene->json, F_OK), -1);
}

static void nowhere_to_write(void **state)
{
	struct scene scene = *(const struct scene *)*state;

	snprintf(scene.json, sizeof(scene.json), "/nonexistent/json");
	assert_int_equal(
		finish(&scene, start(&scene, NULL, (const char *const[]){ scene.dir, NULL })), 2);
}

static void wrong_options(void **state)
{
	static const char *const wrong[] = { "--heap=much", "--pinned=-1",  "--seconds=0",
					     "--forks=x",   "--policy=cow", "--no-such-option" };
	const struct scene *scene = *state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(
			finish(scene, start(scene, NULL, (const char *const[]){ wrong[i], NULL })),
			64);
}

#define TEST(test) cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &scene)

int main(int argc, char **argv)
{
	static struct scene scene;
	const struct CMUnitTest tests[] = {
		TEST(pinned_heap),	     TEST(traced_heap),
		TEST(unpinned_heap),	     TEST(split_policy),
		TEST(interrupted),	     TEST(nothing_to_read),
		TEST(nowhere_to_write),	     TEST(wrong_options),
		TEST(without_locked_memory), TEST(with_little_locked_memory),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: %s HOLDFAST [PATTERN]\n", argv[0]);
		return 2;
	}
	scene.holdfast = argv[1];
	return run_cases("run", tests, sizeof(tests) / sizeof(tests[0]), argc > 2 ? argv[2] : NULL);
}
