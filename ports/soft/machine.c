/* SPDX-License-Identifier: MIT */
/* The machine, and the port functions that are not about translations. */
#define _GNU_SOURCE
#include "../copy.h"
#include "flush.h"
#include "panic.h"
#include "ram.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_BASE ((uint64_t)1 << 30)
#define DEFAULT_TLB 1024
#define MAX_TLB ((uint64_t)1 << 20)

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
		.discard = hf_soft_discard,
		.copy = hf_copy_pages,
		.pause = hf_soft_pause,
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

static void soft_trace(void *host, const struct hf_trace_event *event)
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

static void machine_release(struct hf_soft *soft)
{
	hf_soft_ram_free(soft);
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
	soft->port.trace = config->trace ? soft_trace : NULL;
	soft->trace = config->trace;
	soft->trace_arg = config->trace_arg;
	st = HF_ERR_NOMEM;
	if (hf_soft_ram_make(soft, config->ram_base ? config->ram_base : DEFAULT_BASE,
			     config->ram_bytes))
		st = start_phys(soft, config->count_limit);
	if (st) {
		machine_release(soft);
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
		machine_release(soft);
	return st;
}

struct hf_phys *hf_soft_phys(struct hf_soft *soft)
{
	return &soft->phys;
}
