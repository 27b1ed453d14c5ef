/* SPDX-License-Identifier: MIT */
/*
 * The survey: what a fork has to inspect and what its child will need, found by going down
 * branches with LOOK. Fork begins with one; a forecast is nothing but one.
 */
#ifndef HF_SURVEY_H
#define HF_SURVEY_H

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../space/vma.h"

#include <holdfast/mm.h>
#include <holdfast/report.h>

struct hf_survey {
	struct hf_mm *mm;
	enum hf_fork_policy policy;
	bool forecast;		/* no fork follows: leave LOOK where it is */
	hf_va lo, hi;		/* from the first mapping to the end of the last */
	struct hf_vma unshared; /* the next mapping that fork does not share, for hf_fork_decide */
	struct hf_vma first;	/* the first of these; start: UINT64_MAX if there is none */

	uint32_t done;		      /* entries, since phys->lock was let go */
	uint64_t inspected;	      /* tables read */
	uint64_t tables, small, huge; /* frames for tables, blocks of 4 KiB and 2 MiB for copies */
	bool overflow;		      /* a count has too little room */

	/* Where to list what is to be copied; there may be no list. */
	struct hf_fork_pin *pins;
	size_t cap, count;
	hf_va list_end; /* of the last that was listed */
};

enum hf_fork_action {
	HF_ACTION_SKIP,	   /* the child does not get it */
	HF_ACTION_SHARE,   /* parent and child share it as it is */
	HF_ACTION_INSPECT, /* a branch with something below that cannot be shared */
	HF_ACTION_COPY,	   /* a pinned leaf */
};

/*
 * What becomes of an entry at `va` that is not empty. Asked in rising order of addresses;
 * to begin again from the left, put back the `unshared` of then. mm lock held exclusively,
 * phys->lock held.
 */
HF_HOLDS(mm)
HF_HOLDS(phys)
enum hf_fork_action hf_fork_decide(struct hf_survey *s, hf_pte e, hf_va va, unsigned level);

/* Find out for s->mm and s->policy; the rest of *s is zeros. mm lock held exclusively. */
HF_HOLDS(mm)
void hf_survey_make(struct hf_survey *s);

/*
 * What that comes to if `huge` of the 2 MiB blocks can be had; each of the others is made of
 * small pages and a table.
 */
struct hf_fork_cost hf_survey_cost(const struct hf_survey *s, uint64_t huge);

#endif
