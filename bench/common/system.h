/* SPDX-License-Identifier: MIT */
/*
 * A system whose memory forks: Holdfast on each of its ports, and Linux. A benchmark is
 * written once, against this, and so asks the same of all of them.
 */
#ifndef BENCH_SYSTEM_H
#define BENCH_SYSTEM_H

#include "bench.h"
#include "walk.h"

/* What becomes of memory beside being mapped: for layouts that are full and not `apart`. */
enum kind {
	ALL_PRIVATE,
	HALF_SHARED,  /* the first half is a shared mapping of an object */
	HALF_SWAPPED, /* the second half is in a swap store in RAM; soft port */
	ALL_LOCKED,
	ALL_SEALED, /* soft port */
};

/* Memory to be made. */
struct layout {
	uint64_t size; /* of the address space that it takes, in bytes */
	uint64_t page; /* 4 KiB, 2 MiB or 1 GiB */
	uint64_t step; /* a page every so many bytes; the size of a page: everywhere */
	bool zero;     /* the pages are only read: the zero page is everywhere */
	bool apart;    /* each page is a mapping of its own; holes in between */
	bool whole; /* each byte has memory of the host behind it, not only the first of a page */
	bool huge_small; /* Holdfast: HF_HUGE_COW_SMALL */
	uint64_t spare;	 /* bytes that may be copied in addition */
	enum kind kind;
};

enum who {
	PARENT,
	CHILD
};

struct space;

/* Whatever fails ends the process with bench_die, or bench_skip where it is the host's doing. */
struct system {
	/* Memory as the layout says, every page of it in place. */
	struct space *(*create)(const struct layout *layout);
	/* Fork; nanoseconds. There is one child at a time. */
	double (*fork)(struct space *s);
	/* End the child. */
	void (*reap)(struct space *s);
	/*
	 * Read 8 bytes at each place, or write there where the next place is; nanoseconds in all.
	 */
	double (*touch)(struct space *s, enum who who, const struct walk *places, bool write);
	/*
	 * Follow what was so written, `count` places in the parent, from where the last chase
	 * has ended; nanoseconds in all.
	 */
	double (*chase)(struct space *s, uint64_t count);
	/* Bytes of page tables that each of so many children costs, all alive at once. */
	double (*tables)(struct space *s, unsigned forks);
	/* Pin `len` bytes at each place for a device; nanoseconds in all. Once before unpin. */
	double (*pin)(struct space *s, const struct walk *places, uint64_t len);
	double (*unpin)(struct space *s);
	/*
	 * After the child has ended: where huge pages were split for good in [from, from + len),
	 * make them anew.
	 */
	void (*renew)(struct space *s, uint64_t from, uint64_t len);
};

extern const struct system soft_system, port_system, linux_system;

/* The system of a column that is one. */
const struct system *system_of(enum column column);

/* Each page of a layout. */
struct walk layout_pages(const struct layout *layout);
/* Pages of a layout that are spread evenly: about 512, fewer if there are fewer. */
struct walk layout_spread(const struct layout *layout);

#endif
