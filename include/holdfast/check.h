/* SPDX-License-Identifier: MIT */
/*
 * A brute-force proof that the state is consistent: hf_mm_check walks every table of
 * every space of one physical memory and compares what it finds with what the
 * descriptors claim. DESIGN.md lists the invariants by these names.
 */
#ifndef HOLDFAST_CHECK_H
#define HOLDFAST_CHECK_H

#include <holdfast/mm.h>

/* The first broken invariant. */
struct hf_violation {
	const char *rule;	/* its name, as in DESIGN.md: "pinned-implies-exclusive" */
	const struct hf_mm *mm; /* the space it was found in, or NULL */
	hf_va va;		/* where in that space, or 0 */
	hf_pa pa;		/* the frame concerned, or 0 */
};

/*
 * Check every invariant over all spaces of `phys`. HF_OK, or HF_ERR_CORRUPT with the
 * first violation in *out (which may be NULL). Costs a walk of everything.
 *
 * Nothing else may run on `phys` meanwhile, except the port's own reads and writes of
 * memory: the caller stops its threads or its calls. Takes no lock.
 */
enum hf_status hf_mm_check(struct hf_phys *phys, struct hf_violation *out);

#endif
