/* SPDX-License-Identifier: MIT */
/* The words that scenarios share: worlds to begin with, and what a thread does. words.c */
#ifndef HFX_SCENARIO_H
#define HFX_SCENARIO_H

#include "explore.h"

extern const struct hfx_scenario hfx_reclaim[], hfx_unshare[], hfx_fork_beside[], hfx_huge[],
	hfx_ranges[], hfx_object[], hfx_pagers[], hfx_locks[];

/* Page `i` of the scenario's mapping. */
static inline hf_va page(unsigned i)
{
	return w.va + i * PAGE;
}

/* ---- Steps of setting up ---- */

void hfx_space(unsigned i);
/* Private memory at w.va, the same in every space. */
void hfx_map(unsigned i, uint64_t len);
/* Space `to` is a child of `from`, and what was stored there is what its user code finds. */
void hfx_fork(unsigned from, unsigned to);

/*
 * Worlds. Page i of space a has i + 1 in it. CPUs 0 and 1 run in a and have nothing in their caches; CPU 2
 * runs in b, if there is one.
 */
void four_pages(void);	       /* of a, which can be swapped out */
void four_pages_shared(void);  /* the same, and b is a's child: they share the table */
void four_pages_swapped(void); /* shared, and pages 2 and 3 are in the store */
void huge_page(void);	       /* of a */
void huge_page_shared(void);   /* and of its child, by one table */
void huge_page_apart(void);    /* and of its child, by a leaf each */

/* ---- What threads do: OK, or HF_ERR_NOMEM when memory is full ---- */

/* A call may also give `other`. */
void may(enum hf_status st, enum hf_status other, const char *what);
#define MAY(call, other) may(call, other, #call)

void load(unsigned cpu, unsigned i);
void store(unsigned cpu, unsigned i, uint64_t value);
/* The page may be gone. */
void try_load(unsigned cpu, unsigned i);
void try_store(unsigned cpu, unsigned i, uint64_t value);
/* A device writes to a page while it is pinned, and the space finds it there. */
void pin_and_write(unsigned mm, unsigned i, uint64_t value);
/* Memory that something takes away: it reads as zeros, from some moment of the call on. */
enum hf_status take_away(unsigned mm, unsigned i,
			 enum hf_status (*call)(struct hf_mm *mm, hf_va va));
/* From now on, no frame is to be had. */
void memory_is_full(void);

/* Threads that many scenarios have. CPU 0 or 1, or 2 in the child; page 0. */
void load_0(void);
void load_1(void);
void load_2(void);
void store_0(void);
void store_1(void);
void store_2(void);
void pin_0(void);
void fork_c(void); /* of a: space c, which is checked by check_c */
void end_b(void);
void reclaim_one(void);
void swap_off(void);
void munmap_0(void);
void dontneed_0(void);
/* A file of HFX_PAGES pages that spaces a and b map shared; page i has i + 1, and nobody has it yet. */
void mapped_file(void);
/* What the child has is what the parent had at some moment of the fork. */
void check_c(void);

#endif
