/* SPDX-License-Identifier: MIT */
#include "system.h"

const struct system *system_of(enum column column)
{
#ifdef BENCH_FORMAT
	(void)column; /* another page-table format: there is the soft port */
	return &soft_system;
#else
	switch (column) {
	case SOFT:
		return &soft_system;
	case PORT:
		return &port_system;
	default:
		return &linux_system;
	}
#endif
}

struct walk layout_pages(const struct layout *layout)
{
	return walk_in_order(layout->size, layout->step);
}

struct walk layout_spread(const struct layout *layout)
{
	struct walk pages = layout_pages(layout);
	uint64_t apart = pages.count > 512 ? pages.count / 512 : 1;

	return walk_in_order(layout->size, pages.step * apart);
}
