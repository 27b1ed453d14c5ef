/* SPDX-License-Identifier: MIT */
/*
 * Tests named after the rows of README.md. They look at what a program or a device would
 * see before they ask hf_mm_check, so that each bug shows by its effect.
 */
#ifndef TESTS_BUGS_BUGS_H
#define TESTS_BUGS_BUGS_H

#include "port.h"

/* Without the check of all invariants that fork_space and pin_range end with. */
static inline struct space *bare_fork(struct space *parent, enum hf_fork_policy policy)
{
	struct space *child;

	OK(try_fork(parent, policy, &child));
	return child;
}

/* One pin on the page of va; where it is. */
static inline hf_pa hold(struct space *s, hf_va va, unsigned flags)
{
	struct hf_span span = { { 0 }, 0 };
	size_t count = 0;

	OK(hf_pin(s->mm, va, 8, flags, &span, 1, &count));
	return span.pa;
}

static inline void let_go(struct machine *m, hf_pa pa)
{
	const struct hf_span span = { pa, 8 };

	OK(hf_unpin(m->phys, &span, 1));
	CHECK(m);
}

/* The program at va and the device at pa still share one page, in both directions. */
static inline void coherent(struct space *s, hf_va va, hf_pa pa)
{
	put(s, va, 1001);
	SAME(dma_get(s->m, pa), 1001);
	dma_put(s->m, pa, 1002);
	SAME(get(s, va), 1002);
	SAME_PA(pa_of(s, va), pa);
}

extern const struct suite bugs_fork, bugs_pin, bugs_cow, bugs_count, bugs_cpu, bugs_object,
	bugs_collapse, bugs_swap;

#endif
