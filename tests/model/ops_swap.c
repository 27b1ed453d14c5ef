/* SPDX-License-Identifier: MIT */
/* Swap: a store that fails now and then or is full, and reclaim. */
#include "ops.h"

#include <holdfast/swap.h>

#include <stdlib.h>
#include <string.h>

static bool store_fails(struct world *w)
{
	bool fails = w->store_after == 1;

	if (w->store_after > 1)
		w->store_after--;
	w->store_failed |= fails;
	return fails;
}

/* A slot's last byte but one behind its page: whether it was ever written. */
#define SLOT (PAGE + 8)

static bool store_read(void *host, uint64_t slot, void *page)
{
	struct world *w = host;
	const uint8_t *at = w->slots + slot * SLOT;

	if (slot >= w->store.slots || !at[PAGE])
		disagree(w, "slot %llu is read and was not written", (unsigned long long)slot);
	if (store_fails(w)) {
		memset(page, 0xee, PAGE);
		return false;
	}
	memcpy(page, at, PAGE);
	return true;
}

static bool store_write(void *host, uint64_t slot, const void *page)
{
	struct world *w = host;
	uint8_t *at = w->slots + slot * SLOT;

	if (slot >= w->store.slots)
		disagree(w, "there is no slot %llu", (unsigned long long)slot);
	if (store_fails(w)) {
		memset(at, 0xee, PAGE);
		return false;
	}
	memcpy(at, page, PAGE);
	at[PAGE] = 1;
	return true;
}

void store_new(struct world *w)
{
	static const uint64_t slots[] = { 0, 0, 16, 64, 500, 4096 };
	uint64_t count = slots[below(w, 6)];

	if (!count)
		return;
	w->slots = calloc(count, SLOT);
	w->store = (struct hf_store){
		.slots = count,
		.read = store_read,
		.write = store_write,
		.host = w,
		.meta = malloc(hf_store_meta_size(count)),
	};
	must(w, hf_swap_on(w->phys, &w->store), "hf_swap_on");
	w->swapping = true;
}

void store_free(struct world *w)
{
	struct hf_swap_stats stats;

	hf_swap_stats(w->phys, &stats);
	if (stats.used || stats.cached)
		disagree(w, "%llu slots hold a page, and there is no space",
			 (unsigned long long)stats.used);
	must(w, hf_swap_off(w->phys), "hf_swap_off");
	free(w->slots);
	free(w->store.meta);
}

/* hf_reclaim: c->len pages; c->got of them became free */

static bool pick_reclaim(struct world *w, struct call *c)
{
	c->len = one_in(w, 50) ? 0 : 1 + below(w, one_in(w, 4) ? 200 : 20);
	c->old = free_bytes(w);
	c->offset = w->splits;
	return w->store.slots;
}

static enum hf_status expect_reclaim(struct world *w, struct call *c)
{
	if (!w->swapping)
		return HF_ERR_INVAL;
	c->may = MAY(HF_ERR_AGAIN);
	return c->len ? HF_OK : HF_ERR_EMPTY;
}

static enum hf_status call_reclaim(struct world *w, struct call *c)
{
	enum hf_status status = hf_reclaim(w->phys, c->len, &c->got);
	struct hf_swap_stats stats;

	hf_swap_stats(w->phys, &stats);
	w->store_failed |= stats.used == stats.slots; /* full is as good as failed */
	return status;
}

static void compare_freed(struct world *w, struct call *c)
{
	int64_t freed = (int64_t)(free_bytes(w) - c->old);
	int64_t tables = (int64_t)((w->splits - c->offset) * PAGE); /* of split huge pages */

	if (freed > (int64_t)(c->got * PAGE) || freed + tables < (int64_t)(c->got * PAGE))
		disagree(w, "%llu pages told, %lld bytes have become free",
			 (unsigned long long)c->got, (long long)freed);
	if (c->status == HF_ERR_AGAIN && c->got >= c->len)
		disagree(w, "AGAIN, and all of it was had");
}

/* hf_swap_off, and on again the next time */

static bool pick_swap(struct world *w, struct call *c)
{
	(void)c;
	return w->store.slots && one_in(w, w->swapping ? 4 : 1);
}

static enum hf_status call_swap(struct world *w, struct call *c)
{
	struct hf_swap_stats stats;
	enum hf_status status;

	(void)c;
	if (!w->swapping)
		return hf_swap_on(w->phys, &w->store);
	status = hf_swap_off(w->phys);
	hf_swap_stats(w->phys, &stats);
	if (!status && (stats.used || stats.slots))
		disagree(w, "off, and %llu slots are used", (unsigned long long)stats.used);
	return status;
}

static void done_swap(struct world *w, struct call *c)
{
	(void)c;
	w->swapping = !w->swapping;
}

static const struct operation list[] = {
	{ .name = "hf_reclaim",
	  .weight = 40,
	  .pick = pick_reclaim,
	  .expect = expect_reclaim,
	  .call = call_reclaim,
	  .done = compare_freed,
	  .failed = compare_freed },
	{ .name = "swap on, off",
	  .weight = 2,
	  .pick = pick_swap,
	  .call = call_swap,
	  .done = done_swap },
};
OPERATIONS(swap_operations, list);
