/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "own.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

void *hf_linux_own(uint64_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int error;

	if (at == MAP_FAILED)
		return NULL;
	if (hf_linux_make_own(at, len))
		return at;
	error = errno;
	munmap(at, len);
	errno = error;
	return NULL;
}

bool hf_linux_make_own(void *at, uint64_t len)
{
	return !madvise(at, len, MADV_DONTFORK);
}

bool hf_linux_dumpable(void *at, uint64_t len, bool dump)
{
	return !madvise(at, len, dump ? MADV_DODUMP : MADV_DONTDUMP);
}
