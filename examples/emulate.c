/* SPDX-License-Identifier: MIT */
/*
 * An emulator's memory: a CPU whose loads and stores go through the software MMU, a device
 * that writes physical memory, and a snapshot that neither of them disturbs.
 */
#include <holdfast/soft.h>

#include <stdio.h>
#include <stdlib.h>

static void must(enum hf_status st)
{
	if (st) {
		fprintf(stderr, "emulate: %s\n", hf_strerror(st));
		exit(1);
	}
}

/* What a CPU that runs in `mm` reads at `va`. */
static unsigned long long peek(struct hf_soft *machine, struct hf_mm *mm, hf_va va)
{
	struct hf_soft_cpu *cpu;
	uint64_t value = 0;

	must(hf_soft_cpu_create(machine, &cpu));
	hf_soft_switch(cpu, mm);
	must(hf_soft_load(cpu, va, 8, &value));
	hf_soft_cpu_destroy(cpu);
	return value;
}

int main(void)
{
	const struct hf_soft_config config = { .ram_bytes = 32 << 20 };
	const uint64_t from_device = 3;
	struct hf_mm guest, snapshot;
	struct hf_soft_dma *device;
	struct hf_soft_cpu *cpu;
	struct hf_soft *machine;
	struct hf_span buffer;
	size_t spans;
	hf_va va = 0;

	must(hf_soft_create(&config, &machine));
	must(hf_mm_create(&guest, hf_soft_phys(machine), NULL));
	must(hf_mmap(&guest, &va, 1 << 20, HF_PROT_READ | HF_PROT_WRITE, 0));

	/* The guest runs: pages appear as its stores fault. */
	must(hf_soft_cpu_create(machine, &cpu));
	hf_soft_switch(cpu, &guest);
	must(hf_soft_store(cpu, va, 8, 1));

	/* It gives a page to a device, and is snapshot; then both go on. */
	must(hf_pin(&guest, va, HF_PAGE_SIZE, HF_PIN_WRITE, &buffer, 1, &spans));
	must(hf_soft_dma_create(machine, &device));
	must(hf_fork(&guest, &snapshot, NULL, HF_FORK_COPY));
	must(hf_soft_store(cpu, va, 8, 2));
	must(hf_soft_dma_write(device, (hf_pa){ buffer.pa.v + 8 }, &from_device, 8));
	hf_soft_dma_wait(device);

	printf("guest:    %llu %llu\n", peek(machine, &guest, va), peek(machine, &guest, va + 8));
	printf("snapshot: %llu %llu\n", peek(machine, &snapshot, va),
	       peek(machine, &snapshot, va + 8));

	hf_soft_dma_destroy(device);
	must(hf_unpin(hf_soft_phys(machine), &buffer, 1));
	must(hf_mm_check(hf_soft_phys(machine), NULL));
	hf_soft_cpu_destroy(cpu);
	hf_mm_destroy(&snapshot);
	hf_mm_destroy(&guest);
	must(hf_soft_destroy(machine));
	return 0;
}
