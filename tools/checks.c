/* SPDX-License-Identifier: MIT */
#include "checks.h"

#include <string.h>

void checks_make(const struct run *run, struct check check[CHECKS])
{
	const struct tally *tally = run->heap;
	bool failed = tally->failure[0] != '\0';
	bool broken = tally->broken[0] != '\0';
	uint64_t errors = atomic_load(&tally->device.errors);
	uint64_t all_huge = tally->forks ? run->plan.layout.heap / HUGE_BYTES : tally->huge_before;
	/* Splitting the parent's huge pages is what the policy SPLIT is. */
	bool keeps_huge = run->plan.policy == HF_FORK_COPY;
	bool idle = !run->interrupted && (!tally->forks || !tally->compared);

	const struct check made[CHECKS] = {
		{ "side that gave up", failed, failed ? tally->failure : NULL },
		{ "broken invariant (hf_mm_check)", broken, broken ? tally->broken : NULL },
		{ "torn snapshots", tally->torn, NULL },
		{ "pinned pages moved", tally->pinned_moved, NULL },
		{ "2 MiB pages of the heap not huge", all_huge - tally->huge_before, NULL },
		{ "huge pages lost", keeps_huge ? tally->huge_before - tally->huge_after : 0,
		  NULL },
		{ "device errors", errors, errors ? tally->device.trouble : NULL },
		{ "slots unlike their file after a fork",
		  tally->parent_differ + tally->child_differ, NULL },
		{ "writes seen across a fork", tally->parent_foreign + tally->child_foreign, NULL },
		{ "run in which nothing was checked", idle, NULL },
	};

	memcpy(check, made, sizeof(made));
}
