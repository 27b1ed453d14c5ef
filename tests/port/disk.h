/* SPDX-License-Identifier: MIT */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include "port.h"

#include <holdfast/swap.h>

/* A store in the test's own memory, which can be told to fail. */
struct disk {
	struct hf_store store;
	char *pages;
	uint64_t writes, reads;
	uint64_t bad_write, bad_read; /* the n-th from the start fails, and all after it; 0: none */
	bool once;		      /* only the n-th */
	/* What others do meanwhile: called once, in the next read or write, before it. */
	void (*meanwhile)(void *arg);
	void *arg;
};

/* The store's functions; `host` is a disk. */
bool disk_read(void *host, uint64_t slot, void *page);
bool disk_write(void *host, uint64_t slot, const void *page);

/* Swap on and off. disk_off brings everything back first. */
struct disk *disk_on(struct machine *m, uint64_t slots);
void disk_off(struct machine *m, struct disk *d);

#endif
