/* SPDX-License-Identifier: MIT */
/* The memfd as RAM: the direct map, huge pages behind it, and giving memory back. */
#define _GNU_SOURCE
#include "ram.h"

#include "own.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Since Linux 5.14 and 6.1; headers may be older than the kernel that we run on. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define BLOCK hf_level_size(HF_LEVEL_PMD)
#define GIB ((uint64_t)1 << 30)

/* Physical addresses begin here, so that 0 is none, and each level's blocks are aligned. */
#define RAM_BASE GIB

/* How often to ask for a huge page where the host says that it may have one soon. */
#define COLLAPSE_TRIES 3

/* Memory that may be held free for later, beyond as much as is in use. */
#define HELD_MIN ((uint64_t)64 << 20)

static char *direct(const struct hf_linux *lin, uint64_t offset)
{
	return (char *)lin->ram.map + offset;
}

static bool punch(struct hf_linux *lin, uint64_t offset, uint64_t len)
{
	return !fallocate(lin->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			  (off_t)len);
}

/* Bytes of host memory behind the memfd. */
static uint64_t held(const struct hf_linux *lin)
{
	struct stat st;

	return fstat(lin->memfd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

/* The direct map has to be aligned to the largest page, or the host maps it by small ones. */
static void *map_direct(int fd, uint64_t len)
{
	char *all = mmap(NULL, len + BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	uint64_t below;

	if (all == MAP_FAILED)
		return NULL;
	below = -(uintptr_t)all & (BLOCK - 1);
	if (below)
		munmap(all, below);
	munmap(all + below + len, BLOCK - below);
	all += below;
	if (mmap(all, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED)
		return all;
	munmap(all, len);
	return NULL;
}

enum hf_status hf_linux_ram_open(struct hf_linux *lin, const struct hf_linux_config *config)
{
	uint64_t len = config->ram_bytes;

	lin->ram.base.v = RAM_BASE;
	lin->ram.len = len;
	lin->collapse = config->huge == HF_LINUX_HUGE_AUTO;
	lin->tried_size = (len / BLOCK + 63) / 64 * sizeof(uint64_t);
	lin->memfd = memfd_create("holdfast", MFD_CLOEXEC);
	if (lin->memfd < 0 || ftruncate(lin->memfd, (off_t)len))
		return HF_ERR_HOST;
	lin->ram.map = map_direct(lin->memfd, len);
	lin->ram.meta = hf_linux_own(hf_phys_meta_size(len));
	lin->tried = hf_linux_own(lin->tried_size);
	if (!lin->ram.map || !lin->ram.meta || !lin->tried)
		return HF_ERR_HOST;
	/* A core dump has what windows show; hf_linux_dump adds to that. */
	if (!hf_linux_make_own(lin->ram.map, len) || !hf_linux_dumpable(lin->ram.map, len, false) ||
	    !hf_linux_dumpable(lin->ram.meta, hf_phys_meta_size(len), false))
		return HF_ERR_HOST;
	/* Asked, not demanded: the descriptors are all touched at once, and then here and there. */
	madvise(lin->ram.meta, hf_phys_meta_size(len), MADV_HUGEPAGE);
	if (lin->collapse)
		madvise(lin->ram.map, len, MADV_HUGEPAGE);
	return HF_OK;
}

void hf_linux_ram_close(struct hf_linux *lin)
{
	if (lin->ram.map)
		munmap(lin->ram.map, lin->ram.len);
	if (lin->ram.meta)
		munmap(lin->ram.meta, hf_phys_meta_size(lin->ram.len));
	if (lin->tried)
		munmap(lin->tried, lin->tried_size);
	if (lin->memfd >= 0)
		close(lin->memfd);
}

/* Each block is tried once: where the host has no huge page to give, asking again is dear. */
static bool first_try(struct hf_linux *lin, uint64_t block)
{
	uint64_t bit = (uint64_t)1 << (block % 64);

	return !(atomic_fetch_or(&lin->tried[block / 64], bit) & bit);
}

/* The host has memory for the page. */
static bool backed(char *page)
{
	unsigned char in_core = 0;

	return !mincore(page, HF_PAGE_SIZE, &in_core) && (in_core & 1);
}

/*
 * Put memory behind the block's first page, and see whether that has put it behind the last one:
 * then it is a huge page already, for that is what shmem_enabled asks for.
 */
static bool populate_huge(char *block)
{
	char *last = block + BLOCK - HF_PAGE_SIZE;
	bool empty = !backed(last);

	madvise(block, HF_PAGE_SIZE, MADV_POPULATE_WRITE);
	return empty && backed(last);
}

/* The host may have no time for one of the blocks just now: madvise(2), EAGAIN and EBUSY. */
static bool collapse(char *at, uint64_t len)
{
	for (int tries = 0; tries < COLLAPSE_TRIES; tries++) {
		if (!madvise(at, len, MADV_COLLAPSE))
			return true;
		if (errno != EAGAIN && errno != EBUSY)
			return false;
	}
	return false;
}

/*
 * MADV_COLLAPSE makes a huge page from the small ones that are there, and wants at least
 * one. On a block with one it costs a tenth of what 512 first touches of small pages do. It
 * waits for every CPU to let go of its pages, however much it collapses, and where all CPUs are
 * busy that takes long: one call for all, and none where there is nothing to do.
 */
void hf_linux_prepare(void *host, hf_pa pa, uint64_t len)
{
	struct hf_linux *lin = host;
	char *at = direct(lin, pa.v - RAM_BASE), *first = NULL, *end = NULL;
	uint64_t blocks = 0;

	for (uint64_t done = 0; lin->collapse && done < len; done += BLOCK) {
		if (!first_try(lin, (pa.v - RAM_BASE + done) / BLOCK))
			continue;
		blocks++;
		if (populate_huge(at + done))
			continue;
		first = first ? first : at + done;
		end = at + done + BLOCK;
	}
	if (!blocks)
		return;
	if (first && !collapse(first, (uint64_t)(end - first)))
		hf_linux_add(&lin->collapse_errors, 1);
	else
		hf_linux_add(&lin->huge_blocks, blocks);
}

void hf_linux_discard(void *host, hf_pa pa, uint64_t len)
{
	struct hf_linux *lin = host;
	uint64_t offset = pa.v - RAM_BASE, before = held(lin), after;

	if (!punch(lin, offset, len)) {
		memset(direct(lin, offset), 0, len);
		return;
	}
	for (uint64_t at = offset / BLOCK; at * BLOCK < offset + len; at++)
		atomic_fetch_and(&lin->tried[at / 64], ~((uint64_t)1 << (at % 64)));
	after = held(lin);
	if (after < before)
		hf_linux_add(&lin->returned_bytes, before - after);
}

uint64_t hf_linux_trim(struct hf_linux *lin)
{
	uint64_t before = hf_linux_get(&lin->returned_bytes);

	hf_phys_trim(&lin->phys, hf_level_order(HF_LEVEL_PMD));
	return hf_linux_get(&lin->returned_bytes) - before;
}

void hf_linux_trim_excess(struct hf_linux *lin)
{
	struct hf_phys_stats stats;
	uint64_t have = held(lin);

	if (have <= HELD_MIN)
		return;
	hf_phys_stats(&lin->phys, &stats);
	if (have > HELD_MIN + 2 * (stats.total_bytes - stats.free_bytes))
		hf_linux_trim(lin);
}
