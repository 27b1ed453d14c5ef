/* SPDX-License-Identifier: MIT */
#include "disk.h"

static bool bad(uint64_t count, uint64_t limit, bool once)
{
	return limit && (once ? count == limit : count >= limit);
}

static void others(struct disk *d)
{
	void (*run)(void *arg) = d->meanwhile;

	if (!run)
		return;
	d->meanwhile = NULL;
	run(d->arg);
}

bool disk_read(void *host, uint64_t slot, void *page)
{
	struct disk *d = host;

	assert_true(slot < d->store.slots);
	others(d);
	if (bad(++d->reads, d->bad_read, d->once)) {
		memset(page, 0xee, PAGE);
		return false;
	}
	memcpy(page, d->pages + slot * PAGE, PAGE);
	return true;
}

bool disk_write(void *host, uint64_t slot, const void *page)
{
	struct disk *d = host;

	assert_true(slot < d->store.slots);
	others(d);
	if (bad(++d->writes, d->bad_write, d->once)) {
		memset(d->pages + slot * PAGE, 0xdd, PAGE);
		return false;
	}
	memcpy(d->pages + slot * PAGE, page, PAGE);
	return true;
}

struct disk *disk_on(struct machine *m, uint64_t slots)
{
	struct disk *d = calloc(1, sizeof(*d));

	d->pages = malloc(slots * PAGE);
	memset(d->pages, 0xcc, slots * PAGE);
	d->store = (struct hf_store){
		.slots = slots,
		.read = disk_read,
		.write = disk_write,
		.host = d,
		.meta = malloc(hf_store_meta_size(slots)),
	};
	OK(hf_swap_on(m->phys, &d->store));
	CHECK(m);
	return d;
}

void disk_off(struct machine *m, struct disk *d)
{
	OK(hf_swap_off(m->phys));
	CHECK(m);
	free(d->store.meta);
	free(d->pages);
	free(d);
}
