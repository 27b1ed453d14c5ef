/* SPDX-License-Identifier: MIT */
/* The machine and its spaces. */
#define _GNU_SOURCE
#include "../copy.h"
#include "fault.h"
#include "guard.h"
#include "own.h"
#include "panic.h"
#include "ram.h"
#include "window.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <emmintrin.h>

#define BLOCK hf_level_size(HF_LEVEL_PMD)
#define VA_END ((hf_va)1 << 47)

/* The system's default, for where /proc is not mounted. */
#define MAX_MAP_COUNT 65530

static void cpu_pause(void *host)
{
	(void)host;
	_mm_pause();
}

static void futex_wait(void *host, const uint32_t *word, uint32_t value)
{
	(void)host;
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(void *host, const uint32_t *word)
{
	(void)host;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static const struct hf_port port = {
	.flush = hf_linux_flush,
	.fill = hf_linux_fill,
	.prepare = hf_linux_prepare,
	.discard = hf_linux_discard,
	.copy = hf_copy_pages,
	.pause = cpu_pause,
	.wait = futex_wait,
	.wake = futex_wake,
	.holds = hf_linux_holds,
	.panic = hf_linux_panic,
};

static void linux_trace(void *host, const struct hf_trace_event *event)
{
	const struct hf_linux *lin = host;

	lin->trace(lin->trace_arg, event);
}

static uint64_t default_map_limit(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long max = MAX_MAP_COUNT;

	if (file) {
		if (fscanf(file, "%lu", &max) != 1)
			max = MAX_MAP_COUNT;
		fclose(file);
	}
	return max / 2;
}

/* This thread is likely to be one that takes faults; of others the handler says it. */
static enum hf_status check_signal_stack(void)
{
	stack_t stack;

	if (sigaltstack(NULL, &stack) || !hf_linux_stack_small(&stack))
		return HF_OK;
	errno = ENOBUFS;
	return HF_ERR_HOST;
}

static enum hf_status open_machine(struct hf_linux *lin, const struct hf_linux_config *config)
{
	struct hf_phys_config phys = {
		.port = &lin->port,
		.host = lin,
		.ram = &lin->ram,
		.ram_count = 1,
		.count_limit = config->count_limit,
		.zeroed = true, /* as a new memfd does */
	};
	enum hf_status status = hf_linux_ram_open(lin, config);

	lin->port = port;
	lin->port.trace = config->trace ? linux_trace : NULL;
	lin->trace = config->trace;
	lin->trace_arg = config->trace_arg;
	lin->nomem = config->nomem;
	lin->denied = config->denied;
	lin->fault_arg = config->fault_arg;
	if (!status)
		status = hf_phys_init(&lin->phys, &phys);
	if (!status)
		status = hf_linux_handler_install();
	return status ? status : check_signal_stack();
}

static void close_machine(struct hf_linux *lin)
{
	int error = errno;

	hf_linux_windows_fini(lin);
	hf_linux_ram_close(lin);
	pthread_mutex_destroy(&lin->lock);
	munmap(lin, sizeof(*lin));
	errno = error;
}

enum hf_status hf_linux_create(const struct hf_linux_config *config, struct hf_linux **out)
{
	struct hf_linux *lin;
	enum hf_status status;

	if (config->ram_bytes % BLOCK)
		return HF_ERR_ALIGN;
	if (!config->ram_bytes)
		return HF_ERR_EMPTY;
	lin = hf_linux_own(sizeof(*lin));
	if (!lin)
		return HF_ERR_NOMEM;
	lin->memfd = -1;
	lin->map_limit = config->map_limit ? config->map_limit : default_map_limit();
	pthread_mutex_init(&lin->lock, NULL);
	hf_linux_windows_init(lin);
	status = open_machine(lin, config);
	if (status)
		close_machine(lin);
	else
		*out = lin;
	return status;
}

enum hf_status hf_linux_destroy(struct hf_linux *lin)
{
	enum hf_status status = hf_phys_fini(&lin->phys);

	if (!status)
		close_machine(lin);
	return status;
}

struct hf_phys *hf_linux_phys(struct hf_linux *lin)
{
	return &lin->phys;
}

int hf_linux_memfd(const struct hf_linux *lin)
{
	return lin->memfd;
}

void *hf_linux_dma_ptr(const struct hf_linux *lin, hf_pa pa)
{
	return hf_phys_ptr(&lin->phys, pa);
}

void hf_linux_caps(const struct hf_linux *lin, struct hf_linux_caps *out)
{
	/* The host refuses huge pages now and then for want of memory; always, if it has none. */
	bool refused = atomic_load(&lin->collapse_errors) && !atomic_load(&lin->huge_blocks);

	*out = (struct hf_linux_caps){
		.objects = true,
		.swap = true,
		.huge_2m = lin->collapse && !refused,
	};
}

void hf_linux_stats(struct hf_linux *lin, struct hf_linux_stats *out)
{
	*out = (struct hf_linux_stats){
		.faults = hf_linux_get(&lin->faults),
		.host_maps = hf_linux_get(&lin->maps),
		.window_drops = hf_linux_get(&lin->window_drops),
		.huge_blocks = hf_linux_get(&lin->huge_blocks),
		.collapse_errors = hf_linux_get(&lin->collapse_errors),
		.returned_bytes = hf_linux_get(&lin->returned_bytes),
	};
}

/* The space of `mm`, which lives in it, can be used from here on. */
static void attach(struct hf_linux_space *space, struct hf_linux_window *w)
{
	space->lin = w->lin;
	space->window = w->base;
	space->window_len = w->record.pages << HF_PAGE_SHIFT;
	space->state = w;
	atomic_store(&w->mm, &space->mm);
}

enum hf_status hf_linux_space_create(struct hf_linux *lin, struct hf_linux_space *space,
				     uint64_t len, enum hf_huge_cow huge_cow)
{
	struct hf_mm_config config = {
		.va_lo = HF_LINUX_VA_LO,
		.va_hi = HF_LINUX_VA_LO + len,
		.huge_cow = huge_cow,
	};
	struct hf_linux_window *w;
	enum hf_status status;

	if (len % BLOCK)
		return HF_ERR_ALIGN;
	if (!len)
		return HF_ERR_EMPTY;
	if (len > VA_END - HF_LINUX_VA_LO)
		return HF_ERR_RANGE;
	status = hf_linux_window_take(lin, len, &w);
	if (status)
		return status;
	config.host = w;
	status = hf_mm_create(&space->mm, &lin->phys, &config);
	if (status)
		hf_linux_window_give(w);
	else
		attach(space, w);
	return status;
}

enum hf_status hf_linux_fork(struct hf_linux_space *parent, struct hf_linux_space *child,
			     enum hf_fork_policy policy)
{
	struct hf_linux_window *w;
	enum hf_status status = hf_linux_window_take(parent->lin, parent->window_len, &w);

	if (status)
		return status;
	status = hf_fork(&parent->mm, &child->mm, w, policy);
	if (status)
		hf_linux_window_give(w);
	else
		attach(child, w);
	return status;
}

void hf_linux_space_destroy(struct hf_linux_space *space)
{
	hf_mm_destroy(&space->mm);
	hf_linux_window_give(space->state);
	hf_linux_trim_excess(space->lin);
}
