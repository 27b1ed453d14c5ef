/* SPDX-License-Identifier: MIT */
#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PAGEMAP_FRAME (((uint64_t)1 << 55) - 1)

uint64_t host_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void host_sleep_us(unsigned us)
{
	struct timespec pause = { .tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000 };

	nanosleep(&pause, NULL);
}

/* The number in a file of one number, or `otherwise` ("max" is none). */
static uint64_t read_number(const char *path, uint64_t otherwise)
{
	FILE *file = fopen(path, "re");
	unsigned long long number = otherwise;

	if (!file)
		return otherwise;
	if (fscanf(file, "%llu", &number) != 1)
		number = otherwise;
	fclose(file);
	return number;
}

static uint64_t meminfo_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	fclose(file);
	return kib * 1024;
}

uint64_t host_memory_available(void)
{
	uint64_t available = meminfo_available();
	uint64_t limit = read_number("/sys/fs/cgroup/memory.max", UINT64_MAX);
	uint64_t used = read_number("/sys/fs/cgroup/memory.current", 0);
	uint64_t left = limit > used ? limit - used : 0;

	return left < available ? left : available;
}

uint64_t host_anon_huge(const void *base, size_t len)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long long start = 0, end = 0, from, to, kib, total = 0;
	char line[512];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "AnonHugePages: %llu", &kib) == 1) {
			if (start >= (uintptr_t)base && end <= (uintptr_t)base + len)
				total += kib * 1024;
		} else if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
			start = from;
			end = to;
		}
	}
	fclose(file);
	return total;
}

bool host_frames(const void *base, size_t count, uint64_t *frame)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	off_t at = (off_t)((uintptr_t)base / page_size * sizeof(*frame));
	size_t bytes = count * sizeof(*frame);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool known = false;

	if (fd < 0)
		return false;
	if (pread(fd, frame, bytes, at) == (ssize_t)bytes) {
		for (size_t i = 0; i < count; i++) {
			frame[i] &= PAGEMAP_FRAME;
			known = known || frame[i]; /* zeros are what others than root read */
		}
	}
	close(fd);
	return known;
}
