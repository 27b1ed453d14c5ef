/* SPDX-License-Identifier: MIT */
/* The machine's RAM: ranges in one mapping of the host's, with holes between. */
#define _GNU_SOURCE
#include "ram.h"

#include "panic.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
	volatile char *d = dst; /* volatile: or it becomes memmove, which is intercepted */
	const volatile char *s = src;
	bool back = (uintptr_t)dst > (uintptr_t)src;

	for (size_t i = 0; i < len; i++) {
		size_t at = back ? len - 1 - i : i;

		d[at] = s[at];
	}
}
#else
void hf_soft_copy(void *dst, const void *src, size_t len)
{
	memmove(dst, src, len);
}
#endif

static uintptr_t host_page(void)
{
	return (uintptr_t)sysconf(_SC_PAGESIZE);
}

void hf_soft_discard(void *host, hf_pa pa, uint64_t len)
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

/* Make a range accessible, and what it shares its first and last page of the host with. */
static bool open_range(const struct hf_ram *ram)
{
	uintptr_t in_page = (uintptr_t)ram->map & (host_page() - 1);

	return !mprotect((char *)ram->map - in_page, ram->len + in_page, PROT_READ | PROT_WRITE);
}

bool hf_soft_ram_make(struct hf_soft *soft, uint64_t base, uint64_t bytes)
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

void hf_soft_ram_free(struct hf_soft *soft)
{
	if (soft->map)
		munmap(soft->map, soft->map_len);
	for (size_t i = 0; soft->ram && i < soft->ram_count; i++)
		free(soft->ram[i].meta);
	free(soft->ram);
}
