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
 * A scan of one space, caller-owned. All zeros at first; the host may change what it
 * chooses at any time. A *part* is 2 MiB of address space, aligned to its size.
 */
struct hf_scan {
	/* The host chooses. */
	uint32_t max_empty;  /* collapse parts that lack up to so many of their 512 pages (0) */
	uint32_t max_shared; /* and share up to so many, which are copied then (0) */
	bool idle;	     /* collapse also parts of which no page is marked as accessed */

	/* How far it has come. */
	hf_va at;	 /* where it goes on */
	uint64_t passes; /* times that it came to the end, and began again */

	/* What it has done, summed up. */
	uint64_t inspected; /* parts inspected, and gaps skipped */
	uint64_t collapsed; /* parts that have become huge pages */
	uint64_t refused;   /* parts that would have, but a page is pinned or in the swap store */
	uint64_t no_memory; /* parts that would have, but there was no huge page for them */
};

/*
 * Go on with the scan for at most `budget` steps, each of which inspects one part or skips
 * one gap, or until the end of the space. Only memory with HF_ADV_HUGEPAGE or
 * HF_ADV_HUGEPAGE_1G is inspected, and collapsed if the scan's limits allow it. Where
 * HUGEPAGE_1G holds and 512 huge pages have come to lie together as a 1 GiB page would, they
 * become one.
 *
 * A part that cannot become a huge page now is counted, which is no error: it may work later.
 * A part is collapsed whole or left as it is; contents never change. One scan must not be
 * used by two threads at once. Takes the space's lock exclusively, for one step at a time, in
 * which at most 2 MiB are copied. See khugepaged in transhuge.rst of Linux's admin-guide.
 * HF_ERR_EMPTY: budget is 0.
 */
enum hf_status hf_collapse_scan(struct hf_mm *mm, struct hf_scan *scan, uint64_t budget);

#endif
