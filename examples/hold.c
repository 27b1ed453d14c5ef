/* SPDX-License-Identifier: MIT */
/* A heap that forks while a device holds a page of it. */
#include <holdfast/linux.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(enum hf_status st)
{
	if (st) {
		fprintf(stderr, "hold: %s\n", hf_strerror(st));
		exit(1);
	}
}

int main(void)
{
	struct hf_linux_config config = { .ram_bytes = 64 << 20 };
	struct hf_linux *machine;
	struct hf_linux_space parent, child;
	struct hf_span span;
	size_t spans;
	hf_va heap = 0;

	must(hf_linux_create(&config, &machine));
	must(hf_linux_space_create(machine, &parent, 16 << 20, HF_HUGE_COW_WHOLE));
	must(hf_mmap(&parent.mm, &heap, 8 << 20, HF_PROT_READ | HF_PROT_WRITE, 0));
	must(hf_madvise(&parent.mm, heap, 8 << 20, HF_ADV_HUGEPAGE));

	char *p = hf_linux_ptr(&parent, heap); /* plain memory; faults fill it in */
	strcpy(p, "before the fork");

	/* Hold the page for a device. It gets the physical address and may use it at any time. */
	must(hf_pin(&parent.mm, heap, 4096, HF_PIN_WRITE, &span, 1, &spans));
	char *device = hf_linux_dma_ptr(machine, span.pa);

	must(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	const char *c = hf_linux_ptr(&child, heap);

	strcpy(p, "after the fork");	    /* with fork(2), the parent would move away here... */
	strcpy(device + 64, "device data"); /* ...and this would never reach it */
	printf("parent: %s, %s\n", p, p + 64);
	printf("child:  %s, %s\n", c, c[64] ? c + 64 : "nothing from the device");

	must(hf_unpin(hf_linux_phys(machine), &span, 1));
	must(hf_mm_check(hf_linux_phys(machine), NULL));
	hf_linux_space_destroy(&child);
	hf_linux_space_destroy(&parent);
	must(hf_linux_destroy(machine));
	return 0;
}
