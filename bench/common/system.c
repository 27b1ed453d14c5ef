/* SPDX-License-Identifier: MIT */
#include "system.h"

const struct system *system_of(enum column column)
{
	switch (column) {
	case SOFT:
		return &soft_system;
	case PORT:
		return &port_system;
	default:
		return &linux_system;
	}
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
