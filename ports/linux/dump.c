/* SPDX-License-Identifier: MIT */
/* What a core dump has of the RAM. */
#define _GNU_SOURCE
#include "own.h"
#include "port.h"

#include <unistd.h>

/* Host mappings that the direct map may be cut into. */
#define PIECES 4096

/* Use a stretch of the memfd that has memory behind it. False: stop. */
typedef bool use_stretch(struct hf_linux *lin, uint64_t from, uint64_t to, void *arg);

/*
 * Every stretch with memory behind it; holes shorter than `gap` count as part of one. False: `use`
 * said so, or the host cannot tell, with errno.
 */
static bool each_stretch(struct hf_linux *lin, uint64_t gap, use_stretch *use, void *arg)
{
	off_t from = lseek(lin->memfd, 0, SEEK_DATA);

	while (from >= 0) {
		off_t to = from, next = from;

		while (next >= 0 && (uint64_t)(next - to) < gap) {
			to = lseek(lin->memfd, next, SEEK_HOLE);
			next = to < 0 ? to : lseek(lin->memfd, to, SEEK_DATA);
		}
		if (to < 0 || !use(lin, (uint64_t)from, (uint64_t)to, arg))
			return false;
		from = next;
	}
	return true;
}

static bool count_stretch(struct hf_linux *lin, uint64_t from, uint64_t to, void *arg)
{
	uint64_t *count = arg;

	(void)lin;
	(void)from;
	(void)to;
	return ++*count <= PIECES;
}

static bool dump_stretch(struct hf_linux *lin, uint64_t from, uint64_t to, void *arg)
{
	(void)arg;
	return hf_linux_dumpable((char *)lin->ram.map + from, to - from, true);
}

/* To dump a hole, the kernel fills it first: as few as can be, as few as are worth a mapping. */
static bool dump_used(struct hf_linux *lin)
{
	uint64_t gap = HF_PAGE_SIZE, count;

	for (;; gap *= 2) {
		count = 0;
		if (each_stretch(lin, gap, count_stretch, &count))
			break;
		if (count <= PIECES)
			return false;
	}
	return each_stretch(lin, gap, dump_stretch, NULL);
}

enum hf_status hf_linux_dump(struct hf_linux *lin, enum hf_linux_dump_what what)
{
	bool all = what == HF_LINUX_DUMP_USED;

	if (what != HF_LINUX_DUMP_WINDOWS && what != HF_LINUX_DUMP_USED)
		return HF_ERR_INVAL;
	if (!hf_linux_dumpable(lin->ram.map, lin->ram.len, false) ||
	    !hf_linux_dumpable(lin->ram.meta, hf_phys_meta_size(lin->ram.len), all) ||
	    (all && !dump_used(lin)))
		return HF_ERR_HOST;
	return HF_OK;
}
