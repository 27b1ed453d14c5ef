/* SPDX-License-Identifier: MIT */
/* The machine: its RAM, and the port functions that are not about translations. */
#define _GNU_SOURCE
#include "machine.h"

#include "../copy.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_BASE ((uint64_t)1 << 30)
#define DEFAULT_TLB 1024
#define MAX_TLB ((uint64_t)1 << 20)
#define HOLE ((uint64_t)2 << 20)

void *hf_soft_ram(const struct hf_soft *soft, uint64_t pa, uint64_t len)
{
	for (size_t i = 0; i < soft->ram_count; i++) {
		const struct hf_ram *ram = &soft->ram[i];
		uint64_t offset = pa - ram->base.v;

		if (offset < ram->len && len <= ram->len - offset)
			return (char *)ram->map + offset;
	}
	return NULL;
}

#if HF_SOFT_TSAN
__attribute__((noinline, no_sanitize("thread"))) void hf_soft_copy(void *dst, const void *src,
								   size_t len)
{
	volatile char *d = dst; /* volatile: or it becomes memcpy, which is intercepted */
	const volatile char *s = src;

	while (len--)
		*d++ = *s++;
}
#else
void hf_soft_copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
}
#endif

_Noreturn void hf_soft_panic(void *host, const char *what)
{
	(void)host;
	fprintf(stderr, "holdfast: %s\n", what);
	abort();
}

static uintptr_t host_page(void)
{
	return (uintptr_t)sysconf(_SC_PAGESIZE);
}

static void soft_discard(void *host, hf_pa pa, uint64_t len)
{
	void *p = hf_soft_ram(host, pa.v, len);
	/* Of a part of a larger page of its own, the host would take the whole. */
	bool whole = !(((uintptr_t)p | len) & (host_page() - 1));

	if (!p)
		hf_soft_panic(host, "discard of what is not RAM");
	/* The host may refuse, memory that is locked for example; zeros are promised. */
	if (!whole || madvise(p, len, MADV_DONTNEED))
		memset(p, 0, len);
}

static void soft_pause(void *host)
{
	(void)host;
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void soft_wait(void *host, const uint32_t *word, uint32_t value)
{
	(void)host;
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL);
}

static void soft_wake(void *host, const uint32_t *word)
{
	(void)host;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

const struct hf_port *hf_soft_port(void)
{
	static const struct hf_port port = {
		.flush = hf_soft_flush,
		.discard = soft_discard,
		.copy = hf_copy_pages,
		.pause = soft_pause,
		.wait = soft_wait,
		.wake = soft_wake,
		.panic = hf_soft_panic,
	};

	return &port;
}

static enum hf_status check_config(const struct hf_soft_config *c)
{
	const uint64_t max = (uint64_t)1 << (32 + HF_PAGE_SHIFT);
	uint64_t holes = c->ranges ? (c->ranges - 1) * HOLE : 0;

	if ((c->tlb_entries & (c->tlb_entries - 1)) || c->tlb_entries > MAX_TLB)
		return HF_ERR_INVAL;
	if ((c->ram_bytes | c->ram_base) & (HF_PAGE_SIZE - 1))
		return HF_ERR_ALIGN;
	if (!c->ram_bytes || c->ranges > c->ram_bytes >> HF_PAGE_SHIFT)
		return HF_ERR_EMPTY;
	if (c->ram_bytes > max || c->ram_base > max || holes > max)
		return HF_ERR_RANGE;
	return HF_OK;
}

/* Make a range accessible, and what it shares its first and last page of the host with. */
static bool open_range(const struct hf_ram *ram)
{
	uintptr_t in_page = (uintptr_t)ram->map & (host_page() - 1);

	return !mprotect((char *)ram->map - in_page, ram->len + in_page, PROT_READ | PROT_WRITE);
}

/* Cut the RAM into ranges, reserve host memory for them and their descriptors. */
static bool make_ram(struct hf_soft *soft, uint64_t base, uint64_t bytes)
{
	uint64_t part = (bytes / soft->ram_count) & ~(HF_PAGE_SIZE - 1);
	uint64_t offset = 0;
	char *map;

	soft->ram = calloc(soft->ram_count, sizeof(*soft->ram));
	if (!soft->ram)
		return false;
	/* One mapping; holes are PROT_NONE, so that whoever strays into one is seen. */
	soft->map_len = bytes + (soft->ram_count - 1) * HOLE;
	map = mmap(NULL, soft->map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		   0);
	if (map == MAP_FAILED)
		return false;
	soft->map = map;
	for (size_t i = 0; i < soft->ram_count; i++) {
		struct hf_ram *ram = &soft->ram[i];

		*ram = (struct hf_ram){
			.base = { base + offset },
			.len = i + 1 < soft->ram_count ? part : soft->map_len - offset,
			.map = map + offset,
		};
		ram->meta = malloc(hf_phys_meta_size(ram->len));
		if (!ram->meta || !open_range(ram))
			return false;
		offset += ram->len + HOLE;
	}
	return true;
}

static void trace(void *host, const struct hf_trace_event *event)
{
	const struct hf_soft *soft = host;

	soft->trace(soft->trace_arg, event);
}

static enum hf_status start_phys(struct hf_soft *soft, uint32_t count_limit)
{
	const struct hf_phys_config config = {
		.port = &soft->port,
		.host = soft,
		.ram = soft->ram,
		.ram_count = soft->ram_count,
		.count_limit = count_limit,
	};

	return hf_phys_init(&soft->phys, &config);
}

static void release(struct hf_soft *soft)
{
	if (soft->map)
		munmap(soft->map, soft->map_len);
	for (size_t i = 0; soft->ram && i < soft->ram_count; i++)
		free(soft->ram[i].meta);
	free(soft->ram);
	pthread_mutex_destroy(&soft->lock);
	free(soft);
}

enum hf_status hf_soft_create(const struct hf_soft_config *config, struct hf_soft **out)
{
	enum hf_status st = check_config(config);
	struct hf_soft *soft;

	if (st)
		return st;
	soft = calloc(1, sizeof(*soft));
	if (!soft)
		return HF_ERR_NOMEM;
	pthread_mutex_init(&soft->lock, NULL);
	soft->tlb_entries = config->tlb_entries ? config->tlb_entries : DEFAULT_TLB;
	soft->ram_count = config->ranges ? config->ranges : 1;
	soft->fenced = HF_SOFT_TSAN ||
		       syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	soft->port = *hf_soft_port();
	soft->port.trace = config->trace ? trace : NULL;
	soft->trace = config->trace;
	soft->trace_arg = config->trace_arg;
	st = HF_ERR_NOMEM;
	if (make_ram(soft, config->ram_base ? config->ram_base : DEFAULT_BASE, config->ram_bytes))
		st = start_phys(soft, config->count_limit);
	if (st) {
		release(soft);
		return st;
	}
	*out = soft;
	return HF_OK;
}

enum hf_status hf_soft_destroy(struct hf_soft *soft)
{
	enum hf_status st;
	bool busy;

	pthread_mutex_lock(&soft->lock);
	busy = soft->cpus || soft->dma_count;
	pthread_mutex_unlock(&soft->lock);
	st = busy ? HF_ERR_BUSY : hf_phys_fini(&soft->phys);
	if (!st)
		release(soft);
	return st;
}

struct hf_phys *hf_soft_phys(struct hf_soft *soft)
{
	return &soft->phys;
}
