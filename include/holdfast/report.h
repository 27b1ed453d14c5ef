/* SPDX-License-Identifier: MIT */
/*
 * Reports: what a space is made of, page by page, mapping by mapping and as a whole, and
 * what its next fork will cost.
 *
 * Every function here takes the space's lock exclusively until it returns, so faults and calls on
 * the space wait; it changes nothing. Shared memory counts in full for every space that maps it.
 */
#ifndef HOLDFAST_REPORT_H
#define HOLDFAST_REPORT_H

#include <holdfast/mm.h>

/* ---- The whole space ---- */

/* Counts over one space; proc_pid_status(5) has some of them. Shared memory counts in full. */
struct hf_mm_stats {
	uint64_t mapped_bytes; /* sum of all mappings */
	/* leaf entries by level, PROT_NONE ones too, without the zero pages */
	uint64_t leaves[HF_LEAF_LEVELS];
	uint64_t zero_bytes;	/* where a zero page is mapped */
	uint64_t swapped;	/* entries of 4 KiB pages that are in the swap store */
	uint64_t pinned_frames; /* mapped frames that hold at least one pin */
	uint64_t tables;	/* page tables reached, the root included */
	/* of these, reached through an entry to a table with more than one reference */
	uint64_t shared_tables;
	uint64_t vmas;
};
/*
 * Count, by a walk of all the tables: compare VmSize, VmRSS and VmPTE of
 * proc_pid_status(5). Takes the space's lock exclusively.
 */
void hf_mm_stats(struct hf_mm *mm, struct hf_mm_stats *out);

/* ---- By mapping ---- */

/* What fork makes of a mapping: madvise(2), MADV_DONTFORK and MADV_WIPEONFORK. */
enum hf_on_fork {
	HF_ON_FORK_COPY,   /* parent and child have the same, copied when either writes */
	HF_ON_FORK_SAME,   /* they go on sharing it: MAP_SHARED */
	HF_ON_FORK_ZEROS,  /* the child finds zeros: WIPEONFORK */
	HF_ON_FORK_ABSENT, /* the child has no such mapping: DONTFORK */
};

/*
 * One mapping and what it maps: proc_pid_smaps(5). All numbers are bytes. The man page's
 * names are in parentheses; there is no Pss, for a page that is reached through a shared
 * table does not know how many spaces that makes.
 */
struct hf_smaps {
	struct hf_vma_info vma; /* (address range, VmFlags) */
	enum hf_on_fork on_fork;
	uint64_t size;	   /* of the mapping (Size) */
	uint64_t resident; /* of it, what pages are mapped for (Rss), without zero pages */
	uint64_t leaf[HF_LEAF_LEVELS]; /* resident, by size of the leaf (AnonHugePages: 1 and 2) */
	uint64_t zero;		       /* where a zero page is mapped; costs no memory */
	/*
	 * Resident, by whether another entry leads to the page, and whether it was written since it
	 * was last clean (Shared_Clean and so on). A huge page is shared if a part of it is.
	 */
	uint64_t shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t shared_table; /* of the shared, behind a table that is shared */
	uint64_t accessed;     /* resident and marked as accessed (Referenced) */
	uint64_t lazy;	       /* resident, may be dropped until written (LazyFree) */
	uint64_t pinned;       /* resident and held by a pin */
	uint64_t swapped;      /* in the swap store (Swap) */
	uint64_t locked;       /* resident, in a locked mapping (Locked) */
};

/*
 * The first mapping that ends above `va`, as hf_vma_next finds it: one entry of
 * proc_pid_smaps(5). The next is at out->vma.end. Takes the space's lock exclusively.
 * HF_ERR_UNMAPPED: none.
 */
enum hf_status hf_mm_smaps(struct hf_mm *mm, hf_va va, struct hf_smaps *out);

/* ---- By page ---- */

enum hf_run_kind {
	HF_RUN_HOLE,	/* nothing yet: the first access will make it */
	HF_RUN_PAGE,	/* leaves that lead to RAM */
	HF_RUN_ZERO,	/* leaves that lead to a zero page, each to the same */
	HF_RUN_SWAPPED, /* pages in the swap store */
};

/*
 * A run: neighbouring leaves, or addresses without any, of one mapping that have all of the
 * following in common, and that follow each other in RAM.
 */
struct hf_run {
	enum hf_run_kind kind;
	unsigned level;	 /* of its leaves; of a hole: 0 */
	hf_va va;	 /* first address */
	uint64_t len;	 /* bytes */
	hf_pa pa;	 /* PAGE: where it lies; else 0 */
	unsigned access; /* HF_ACCESS_* that the tables allow now, as in hf_translation */
	bool accessed;	 /* what the leaves are marked as */
	bool dirty;
	bool lazy;
	bool shared_table; /* a table on the path is shared */
	bool exclusive;	   /* PAGE: no other entry leads to these pages, in any way */
	/*
	 * Bytes of it that hold a pin: none or all, but in a run of one huge leaf, of which
	 * it can be some (hf_phys_pins tells for each page).
	 */
	uint64_t pinned;
};

/*
 * Show every run of the mappings in [va, va+len) to `visit`, in rising order; what is not
 * mapped is skipped. Runs are cut at the range's ends, except huge leaves, which are shown
 * whole. `visit` gets `arg` and returns whether to go on. It is called with the space's lock
 * held: it must not call anything that takes a space's lock, but hf_phys_* and hf_unpin it
 * may. Compare proc_pid_pagemap(5).
 * HF_ERR_ALIGN: va, len. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE.
 */
enum hf_status hf_mm_visit(struct hf_mm *mm, hf_va va, uint64_t len,
			   bool (*visit)(void *arg, const struct hf_run *run), void *arg);

/* ---- The next fork ---- */

/* What a fork costs. */
struct hf_fork_cost {
	uint64_t inspected; /* tables of the parent that it reads, the root included */
	uint64_t tables;    /* tables that it makes: the child's own, and for SPLIT the parent's */
	uint64_t small;	    /* pages of 4 KiB that it copies, */
	uint64_t huge;	    /* and of 2 MiB */
	uint64_t bytes;	    /* copied, of both */
};

/* Memory that fork copies, and why. */
struct hf_fork_pin {
	hf_va va;	 /* a range that is copied because there are pins in it, 4 KiB aligned */
	uint64_t len;	 /* bytes that are copied */
	uint64_t pinned; /* of these, bytes that are pinned */
};

/*
 * What hf_fork with `policy` would cost if it were called now: *out is exactly what it will
 * tell by HF_TRACE_FORK, if nothing happens on this physical memory in between. Costs what
 * fork's own first phase costs: it inspects the tables on the way to what is pinned. See
 * "Fork" in DESIGN.md. Takes the space's lock exclusively.
 *
 * pins[0..cap) receives the ranges that would be copied, by rising address, and *count how many
 * there are, even if that is more than `cap`. Both may be NULL (with cap 0).
 *
 * HF_ERR_INVAL: policy. HF_ERR_OVERFLOW, HF_ERR_NOMEM: hf_fork would fail so; *out, pins and
 * *count are set all the same. (The tree of mappings is not counted. Where there are DONTFORK
 * mappings the child's tree differs, and hf_fork may still find no memory for its nodes.)
 */
enum hf_status hf_fork_forecast(struct hf_mm *mm, enum hf_fork_policy policy,
				struct hf_fork_cost *out, struct hf_fork_pin *pins, size_t cap,
				size_t *count);

/* ---- For debugging ---- */

/*
 * Print the page tables of a space: a line for the space, then one for every entry, by rising
 * address, indented by level (the words are DESIGN.md's). For example:
 *  - `L1 0x7fffffa00000 page 0x40200 RW- accessed dirty maps 1 pinned 512`
 *  - `L1 0x7fffffe00000 table 0x40007 W LOOK refs 1`
 *  - `  L0 0x7fffffffb000 page 0x40008 RW- accessed dirty maps 1 pins 2`
 *  - `  L0 0x7fffffffc000 page 0x40009 R-- accessed maps 2`
 *  - `  L0 0x7fffffffe000 swapped slot 17 x 2`
 *
 * Of a branch: the frame of its table, whether it allows writing (W or -), LOOK, how many entries
 * lead to that table. Of a leaf: the first frame of its page, or `zero` and the zero page's; what
 * the entry itself allows; its marks; how many leaves of this size lead to the page (of a zero page
 * nobody counts); how many pins hold a small page, or how many frames of a huge one are pinned. An
 * entry that faults and yet keeps its page (PROT_NONE) is `hidden`. `x 2` says that two such
 * entries follow each other, here and in RAM, or in the swap store, or each leads to the same zero
 * page.
 *
 * `print` gets `arg` and each line, without an end of line; the text is valid during the call only.
 * It is called with the space's lock held and must not call anything that takes a space's
 * lock. Takes no memory, and no lock of the physical memory for longer than one entry.
 */
void hf_mm_dump(struct hf_mm *mm, void (*print)(void *arg, const char *line), void *arg);

#endif
