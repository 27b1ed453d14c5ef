/* SPDX-License-Identifier: MIT */
/*
 * Huge pages made out of small ones, a little at a time: what khugepaged does in Linux
 * (Documentation/admin-guide/mm/transhuge.rst). The host calls when it has time, from a thread or
 * an idle loop. HF_ADV_COLLAPSE (mm.h) does the same for a range, at once.
 */
#ifndef HOLDFAST_COLLAPSE_H
#define HOLDFAST_COLLAPSE_H

#include <holdfast/mm.h>

/*
 * A scan of one space, caller-owned. Zeros to begin with; the host may change what it
 * chooses at any time. A *part* is 2 MiB of address space, aligned to its size.
 */
struct hf_collapse_scan {
	/* The host chooses. */
	uint32_t max_empty;  /* collapse parts of which so many of the 512 pages are missing (0) */
	uint32_t max_shared; /* and so many are shared, which are copied then (0) */
	bool idle;	     /* and those too of which no page is marked as accessed */

	/* How far it has come. */
	hf_va at;	 /* where it goes on */
	uint64_t passes; /* times that it came to the end, and began again */

	/* What it has done, summed up. */
	uint64_t inspected; /* parts looked at, and gaps passed over */
	uint64_t collapsed; /* parts that have become huge pages */
	uint64_t refused;   /* parts that would have, but are pinned or in the swap store in part */
	uint64_t no_memory; /* parts that would have, but there was no huge page for them */
};

/*
 * Go on with the scan for at most `budget` steps, each of which looks at one part or passes over
 * one gap, or until the end of the space. Only memory with HF_ADV_HUGEPAGE or
 * HF_ADV_HUGEPAGE_1G is looked at, and collapsed if scan's limits allow it. Where HUGEPAGE_1G holds
 * and 512 huge pages have come to lie together as a 1 GiB page would, they become one.
 *
 * What keeps a part from becoming a huge page is counted and no error: some other time it may
 * work. A part is collapsed whole or left as it is; contents never change. One scan must not be
 * used by two threads at once. Takes the space's lock exclusively, for one step at a time, in
 * which at most 2 MiB are copied. See khugepaged in transhuge.rst of Linux's admin-guide.
 * HF_ERR_EMPTY: budget is 0.
 */
enum hf_status hf_collapse_scan(struct hf_mm *mm, struct hf_collapse_scan *scan, uint64_t budget);

#endif
