/* SPDX-License-Identifier: MIT */
/*
 * The driver of the soft port. Each space runs on two CPUs: stores take turns between
 * them and every load is done on both, so a TLB that was not flushed on either of them
 * shows as a difference.
 */
#include "port_soft.h"

struct soft_machine {
	struct hf_soft *soft;
	struct hf_soft_dma *dma;
};

struct soft_space {
	struct hf_mm mm;
	struct hf_soft_cpu *cpu[2];
	unsigned turn;
};

struct hf_soft *soft_of(struct machine *m)
{
	struct soft_machine *own = m->own;

	return own->soft;
}

struct hf_soft_cpu *cpu_of(struct space *s, unsigned cpu)
{
	struct soft_space *own = s->own;

	return own->cpu[cpu];
}

static enum hf_status soft_create(struct machine *m, const struct machine_config *config)
{
	struct hf_soft_config soft_config = {
		.ram_bytes = config->ram_bytes,
		.count_limit = config->count_limit,
		.trace = check_trace,
	};
	struct soft_machine *own = calloc(1, sizeof(*own));
	enum hf_status status = hf_soft_create(&soft_config, &own->soft);

	if (status != HF_OK) {
		free(own);
		return status;
	}
	OK(hf_soft_dma_create(own->soft, &own->dma));
	m->own = own;
	m->phys = hf_soft_phys(own->soft);
	return HF_OK;
}

static enum hf_status soft_destroy(struct machine *m)
{
	struct soft_machine *own = m->own;
	enum hf_status status;

	if (own->dma)
		hf_soft_dma_destroy(own->dma);
	own->dma = NULL;
	status = hf_soft_destroy(own->soft);
	if (status == HF_OK)
		free(own);
	return status;
}

static void soft_power_up(struct space *s, struct soft_space *own)
{
	struct soft_machine *machine = s->m->own;

	for (int i = 0; i < 2; i++) {
		OK(hf_soft_cpu_create(machine->soft, &own->cpu[i]));
		hf_soft_switch(own->cpu[i], &own->mm);
	}
	s->own = own;
	s->mm = &own->mm;
}

static enum hf_status soft_space_create(struct space *s, uint64_t len, enum hf_huge_cow huge_cow)
{
	struct hf_mm_config config = {
		.va_lo = SPACE_LO,
		.va_hi = SPACE_LO + len,
		.huge_cow = huge_cow,
	};
	struct soft_space *own = calloc(1, sizeof(*own));
	enum hf_status status = hf_mm_create(&own->mm, s->m->phys, &config);

	if (status == HF_OK)
		soft_power_up(s, own);
	else
		free(own);
	return status;
}

static enum hf_status soft_fork(struct space *parent, struct space *child,
				enum hf_fork_policy policy)
{
	struct soft_space *own = calloc(1, sizeof(*own));
	enum hf_status status = hf_fork(parent->mm, &own->mm, NULL, policy);

	if (status == HF_OK)
		soft_power_up(child, own);
	else
		free(own);
	return status;
}

static void soft_space_destroy(struct space *s)
{
	struct soft_space *own = s->own;

	for (int i = 0; i < 2; i++)
		hf_soft_cpu_destroy(own->cpu[i]);
	hf_mm_destroy(&own->mm);
	free(own);
}

static bool soft_load(struct space *s, hf_va va, void *buf, size_t len)
{
	struct soft_space *own = s->own;
	void *again = malloc(len);
	enum hf_status status[2];

	status[0] = hf_soft_copy_out(own->cpu[0], va, buf, len, NULL);
	status[1] = hf_soft_copy_out(own->cpu[1], va, again, len, NULL);
	if (status[0] != status[1])
		fail_msg("load at 0x%llx: CPU 0 says %s, CPU 1 says %s", (unsigned long long)va,
			 hf_status_name(status[0]), hf_status_name(status[1]));
	if (status[0] == HF_OK && memcmp(buf, again, len) != 0)
		fail_msg("load at 0x%llx: the CPUs see different bytes", (unsigned long long)va);
	free(again);
	return status[0] == HF_OK;
}

static bool soft_store(struct space *s, hf_va va, const void *buf, size_t len)
{
	struct soft_space *own = s->own;
	struct hf_soft_cpu *cpu = own->cpu[own->turn++ & 1];

	return hf_soft_copy_in(cpu, va, buf, len, NULL) == HF_OK;
}

static void soft_dma_write(struct machine *m, hf_pa pa, const void *buf, size_t len)
{
	struct soft_machine *own = m->own;

	OK(hf_soft_dma_write(own->dma, pa, buf, len));
	hf_soft_dma_wait(own->dma);
}

static void soft_dma_read(struct machine *m, hf_pa pa, void *buf, size_t len)
{
	struct soft_machine *own = m->own;

	OK(hf_soft_dma_read(own->dma, pa, buf, len));
	hf_soft_dma_wait(own->dma);
}

const struct test_port test_port = {
	.name = "soft",
	.create = soft_create,
	.destroy = soft_destroy,
	.space_create = soft_space_create,
	.fork = soft_fork,
	.space_destroy = soft_space_destroy,
	.load = soft_load,
	.store = soft_store,
	.dma_write = soft_dma_write,
	.dma_read = soft_dma_read,
};
