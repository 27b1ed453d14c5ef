/* SPDX-License-Identifier: MIT */
/* Delta debugging: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input". */
#include "shrink.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 120 /* for one try; a hang is a failure, too */

static bool fails(const struct choice *choice)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		alarm(SECONDS);
		run_round(choice, NULL);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status != 0;
}

static uint64_t kept(const uint8_t *keep, uint64_t ops)
{
	uint64_t n = 0;

	for (uint64_t i = 1; i <= ops; i++)
		n += keep[i];
	return n;
}

/* Leave out pieces of `size` of those that are kept, wherever it fails without them. */
static bool leave_out(struct choice *choice, uint8_t *keep, uint64_t size)
{
	uint8_t *before = malloc(choice->ops + 1);
	bool less = false;

	for (uint64_t i = choice->ops; i > 0;) {
		uint64_t taken = 0;

		memcpy(before, keep, choice->ops + 1);
		for (; i > 0 && taken < size; i--) {
			taken += keep[i];
			keep[i] = 0;
		}
		if (!taken)
			break;
		if (fails(choice))
			less = true;
		else
			memcpy(keep, before, choice->ops + 1);
	}
	free(before);
	fprintf(stderr, "# pieces of %llu: %llu operations are left\n", (unsigned long long)size,
		(unsigned long long)kept(keep, choice->ops));
	return less;
}

int shrink(uint64_t seed, uint64_t ops)
{
	uint8_t *keep = malloc(ops + 1);
	struct choice choice = { .seed = seed, .ops = ops, .keep = keep };
	const char *comma = "";

	memset(keep, 1, ops + 1);
	if (!fails(&choice)) {
		printf("# seed %llu does not fail in %llu operations\n", (unsigned long long)seed,
		       (unsigned long long)ops);
		free(keep);
		return 2;
	}
	for (uint64_t size = ops / 2; size > 0;) {
		bool less = leave_out(&choice, keep, size);

		if (!less || size > 1)
			size /= 2;
	}
	printf("# test_model --seed %llu --ops %llu --keep ", (unsigned long long)seed,
	       (unsigned long long)ops);
	for (uint64_t i = 1; i <= ops; i++) {
		if (keep[i]) {
			printf("%s%llu", comma, (unsigned long long)i);
			comma = ",";
		}
	}
	printf("\n");
	fflush(stdout);
	choice.tell = true;
	run_round(&choice, NULL); /* does not come back */
	return 1;
}
