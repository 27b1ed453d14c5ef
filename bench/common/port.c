/* SPDX-License-Identifier: MIT */
/* Holdfast on its Linux port. */
#include "clock.h"
#include "core.h"

#include <holdfast/linux.h>

#include <stdlib.h>

struct space {
	struct layout layout;
	struct hf_linux *lin;
	struct hf_phys *phys;
	struct hf_linux_space space[2]; /* by enum who */
	struct core_pins pins;
	uint64_t at; /* of the chase */
};

static double port_touch(struct space *s, enum who who, const struct walk *places, bool write)
{
	char *base = hf_linux_ptr(&s->space[who], HF_LINUX_VA_LO);
	double start = now_ns();

	if (write)
		walk_write(base, places);
	else
		walk_read(base, places);
	return now_ns() - start;
}

static double port_chase(struct space *s, uint64_t count)
{
	const char *base = hf_linux_ptr(&s->space[PARENT], HF_LINUX_VA_LO);
	double start = now_ns();

	s->at = walk_chase(base, s->at, count);
	return now_ns() - start;
}

static struct space *port_create(const struct layout *layout)
{
	struct space *s = calloc(1, sizeof(*s));
	struct hf_linux_config config = { .ram_bytes = core_ram(layout) };
	uint64_t len = (layout->size + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
	struct walk pages = core_places(layout, 0, layout->size);

	s->layout = *layout;
	must(hf_linux_create(&config, &s->lin), "hf_linux_create");
	s->phys = hf_linux_phys(s->lin);
	must(hf_linux_space_create(s->lin, &s->space[PARENT], len,
				   layout->huge_small ? HF_HUGE_COW_SMALL : HF_HUGE_COW_WHOLE),
	     "hf_linux_space_create");
	core_clean(s->phys);
	core_map(&s->space[PARENT].mm, HF_LINUX_VA_LO, layout);
	port_touch(s, PARENT, &pages, !layout->zero);
	return s;
}

static double port_fork(struct space *s)
{
	double start = now_ns(), end;
	enum hf_status st = hf_linux_fork(&s->space[PARENT], &s->space[CHILD], HF_FORK_COPY);

	end = now_ns();
	must(st, "hf_linux_fork");
	return end - start;
}

static void port_reap(struct space *s)
{
	hf_linux_space_destroy(&s->space[CHILD]);
}

static double port_tables(struct space *s, unsigned forks)
{
	(void)s, (void)forks;
	bench_skip("the core's tables are the same on both ports");
}

static double port_pin(struct space *s, const struct walk *places, uint64_t len)
{
	return core_pin(&s->space[PARENT].mm, HF_LINUX_VA_LO, places, len, &s->pins);
}

static double port_unpin(struct space *s)
{
	return core_unpin(s->phys, &s->pins);
}

/* Only what was asked for splits huge pages here. */
static void port_renew(struct space *s, uint64_t from, uint64_t len)
{
	struct walk pages = core_places(&s->layout, from, len);

	if (!s->layout.huge_small)
		return;
	must(hf_madvise(&s->space[PARENT].mm, HF_LINUX_VA_LO + from, len, HF_ADV_DONTNEED),
	     "hf_madvise");
	port_touch(s, PARENT, &pages, true);
}

const struct system port_system = {
	.create = port_create,
	.fork = port_fork,
	.reap = port_reap,
	.touch = port_touch,
	.chase = port_chase,
	.tables = port_tables,
	.pin = port_pin,
	.unpin = port_unpin,
	.renew = port_renew,
};
