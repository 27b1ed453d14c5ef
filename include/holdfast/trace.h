/* SPDX-License-Identifier: MIT */
/*
 * Trace points: what the core does, told to the port's `trace` as it happens. Without one
 * they cost a load and a branch each.
 */
#ifndef HOLDFAST_TRACE_H
#define HOLDFAST_TRACE_H

#include <holdfast/types.h>

struct hf_mm;
struct hf_fork_cost;

enum hf_trace {
	HF_TRACE_FAULT,	   /* a fault was resolved; also those of pins, copies and populating */
	HF_TRACE_FORK,	   /* a fork succeeded */
	HF_TRACE_FLUSH,	   /* the port's flush is about to be called */
	HF_TRACE_SPLIT,	   /* a huge leaf became 512 leaves, in place */
	HF_TRACE_COLLAPSE, /* leaves became one huge leaf */
	HF_TRACE_PIN,	   /* hf_pin succeeded */
	HF_TRACE_UNPIN,	   /* hf_unpin succeeded */
	HF_TRACE_RECLAIM,  /* pages were given to the swap store */
	HF_TRACES,	   /* how many there are */
};

/* How a fault was resolved: what it did last. */
enum hf_trace_fault {
	HF_FAULT_NONE,	 /* the entry allowed the access already */
	HF_FAULT_ZERO,	 /* mapped the zero page */
	HF_FAULT_FRESH,	 /* mapped a new page of zeros */
	HF_FAULT_COPY,	 /* copied a page that is shared; new zeros for the zero page */
	HF_FAULT_REUSE,	 /* gave write permission back: the page was not shared any more */
	HF_FAULT_SWAPIN, /* read the page from the swap store */
	HF_FAULT_OBJECT, /* mapped a page of the mapping's object */
	HF_FAULTS,	 /* how many there are */
};

enum hf_trace_collapse {
	HF_COLLAPSE_COPIED,   /* into a new block */
	HF_COLLAPSE_IN_PLACE, /* the pages lay together already */
};

/* An event. What is not told of it is zero. */
struct hf_trace_event {
	enum hf_trace what;
	/* FAULT: enum hf_trace_fault. FLUSH: HF_FLUSH_* bits. COLLAPSE: enum hf_trace_collapse. */
	unsigned kind;
	unsigned level;	  /* FAULT: of the leaf now. SPLIT: of the leaf before. COLLAPSE: after */
	struct hf_mm *mm; /* the space; FORK: the parent; UNPIN: NULL */
	/*
	 * The memory concerned: of a FAULT the page, of a FORK the whole space. UNPIN: va is
	 * 0, and len counts the bytes of all spans.
	 */
	hf_va va;
	uint64_t len;
	const struct hf_fork_cost *fork; /* FORK: what it took (report.h). Valid during the call */
};

#endif
