/* SPDX-License-Identifier: MIT */
/*
 * The four steps that put Holdfast into a host of your own. Here the host is a plain
 * program whose "RAM" is malloc'ed and which has no MMU at all, so its flush has nothing
 * to do; a kernel flushes its TLBs there and loads hf_mm.root into the CPU.
 */
#include <holdfast/holdfast.h>

#include <stdio.h>
#include <stdlib.h>

/* 1. Say how to flush and how to stop. Everything else in struct hf_port is optional. */
static void flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	(void)host, (void)mm, (void)va, (void)len, (void)what;
}

static _Noreturn void panic(void *host, const char *what)
{
	(void)host;
	fprintf(stderr, "embed: %s\n", what);
	abort();
}

static const struct hf_port port = { .flush = flush, .panic = panic };

int main(void)
{
	const uint64_t len = 16 << 20;
	char *memory = malloc(len + HF_PAGE_SIZE);
	uintptr_t aligned = ((uintptr_t)memory + HF_PAGE_SIZE - 1) & ~(HF_PAGE_SIZE - 1);
	char text[8] = "";
	struct hf_phys phys;
	struct hf_mm parent, child;
	hf_va va = 0;

	/* 2. Lend RAM: any number of ranges, where they are mapped, 32 bytes per page besides. */
	struct hf_ram ram = {
		.base = { 1 << 20 },
		.len = len,
		.map = (void *)aligned,
		.meta = malloc(hf_phys_meta_size(len)),
	};
	struct hf_phys_config config = { .port = &port, .ram = &ram, .ram_count = 1 };

	/* 3. Make spaces. */
	if (!memory || !ram.meta || hf_phys_init(&phys, &config) ||
	    hf_mm_create(&parent, &phys, NULL) ||
	    hf_mmap(&parent, &va, 1 << 20, HF_PROT_READ | HF_PROT_WRITE, 0))
		return 1;

	/* 4. Call hf_fault from your page fault handler; hf_read and hf_write need none. */
	if (hf_write(&parent, va, "parent", 7) || hf_fork(&parent, &child, NULL, HF_FORK_COPY) ||
	    hf_write(&child, va, "child", 6) || hf_read(&parent, va, text, 7))
		return 1;
	printf("the parent still reads \"%s\"\n", text);

	hf_mm_destroy(&child);
	hf_mm_destroy(&parent);
	free(ram.meta);
	free(memory);
	return 0;
}
