/* SPDX-License-Identifier: MIT */
/*
 * Physical memory: the RAM that the host lends, cut into frames of 4 KiB and
 * handed out in blocks of 2^order frames, order 0 (4 KiB) to 18 (1 GiB), by a
 * binary buddy allocator (Knuth, The Art of Computer Programming 1, 2.5). One
 * descriptor of 32 bytes per frame says who uses it: how many leaf entries map
 * it, how many device pins hold it.
 *
 * A few frames are kept as a reserve: 76 KiB (84 KiB with a swap store), or 1/64 of the RAM if that
 * is less. Calls that only give memory back use it when nothing else is free, so they do not fail
 * for want of memory (hf_munmap and others that say so). Freed memory fills the reserve first.
 *
 * Locking: every function takes what it needs; none may be called with a
 * Holdfast lock held. All may be called from several threads at once, except
 * hf_phys_init and hf_phys_fini.
 */
#ifndef HOLDFAST_PHYS_H
#define HOLDFAST_PHYS_H

#include <holdfast/lock.h>
#include <holdfast/port.h>
#include <holdfast/status.h>
#include <holdfast/types.h>

#define HF_MAX_ORDER 18
#define HF_LOOSE_MAX 64
#define HF_FRAME_META 32 /* bytes of metadata per 4 KiB frame */

struct hf_frame; /* one frame's descriptor, HF_FRAME_META bytes, the core's own */
struct hf_mm;
struct hf_object;
struct hf_store; /* swap.h */
struct hf_store_call;

/* One range of RAM, lent by the host until hf_phys_fini(). */
struct hf_ram {
	hf_pa base;   /* physical address of the first byte, 4 KiB aligned */
	uint64_t len; /* bytes, a multiple of 4 KiB, not 0 */
	void *map;    /* where the core reads and writes `base`: the direct map */
	void *meta; /* hf_phys_meta_size(len) bytes, 8-aligned, outside the range; need not be cleared */
};

struct hf_phys_config {
	const struct hf_port *port; /* required; must outlive the hf_phys */
	void *host;		    /* given back to every port function */
	const struct hf_ram *ram;   /* sorted by base, not overlapping; must outlive the hf_phys */
	size_t ram_count;
	/*
	 * The largest value of a mapping, pin or table count; one more is refused
	 * with HF_ERR_OVERFLOW. 0 means 2^31 - 1, the most there is. Smaller values
	 * are for tests of what happens at the limit (2 is the least).
	 */
	uint32_t count_limit;
	bool zeroed; /* all of the RAM reads as zeros now */
};

/* Caller-owned; the fields are the core's own. */
struct hf_phys {
	const struct hf_port *port;
	void *host;
	const struct hf_ram *ram;
	size_t ram_count;
	uint32_t count_limit;
	struct hf_rwlock spaces_lock; /* before any mm's: no space begins or ends */
	struct hf_lock spare_lock; /* of the one call that uses the spare frames; before `lock` */
	struct hf_lock unpin_lock; /* of the one call that gives pins back; before `lock` */
	struct hf_lock lock;	   /* guards all that follows and every descriptor's counts */
	uint32_t free_head[HF_MAX_ORDER + 1], free_count[HF_MAX_ORDER + 1];
	uint32_t next_frame;	      /* taken next for what may lie anywhere, if it is free */
	uint32_t loose[HF_LOOSE_MAX]; /* free frames outside of the lists: used, then clean ones */
	uint32_t loose_count, loose_used;
	uint64_t free_frames;
	uint64_t total_frames;
	uint64_t index_frames; /* of the tree */
	uintptr_t ram_tree;    /* finds the range of a frame; constant */
	uint64_t fail_after;   /* see hf_phys_fail_after */
	uint64_t allocs;
	/* Spare frames, for giving back when memory is full; how many there should be. */
	uint32_t spare_head, spares, spare_target;
	hf_pfn spare_home;	   /* the 2 MiB that the first came from, */
	uint32_t spares_astray;	   /* and how many lie elsewhere */
	hf_pfn zero[2];		   /* the zero page, small and huge */
	struct hf_mm *spaces;	   /* every live space of this memory */
	struct hf_object *objects; /* every object, until it has ended */
	/* Swap: */
	const struct hf_store *store;
	uint32_t swapping;    /* there is a store; read without the lock */
	uint32_t slot_free;   /* the first free slot of those that have been used */
	uint32_t slots_begun; /* those from here on have not */
	uint64_t slots_used, slots_cached, swap_outs, swap_ins;
	uint32_t store_calls;	     /* reads and writes under way, */
	struct hf_store_call *calls; /* each of them; */
	bool store_closed;	     /* no page goes there: hf_swap_off is at work, */
	struct hf_lock store_lock;   /* one at a time, before any other lock; */
	struct hf_mm *off; /* it has come to this space; under spaces_lock, as the hand; */
	uint64_t off_va;   /* and in it to this address; under its lock */
	/* Where reclaim goes on; under spaces_lock. */
	struct hf_mm *hand; /* NULL: at the first space */
	uint64_t hand_va;
};

struct hf_phys_stats {
	uint64_t total_bytes;			/* RAM under management */
	uint64_t free_bytes;			/* without the reserve */
	uint64_t free_blocks[HF_MAX_ORDER + 1]; /* free blocks by order */
	uint64_t allocs;			/* blocks allocated since init */
	uint64_t reserve_bytes; /* kept for calls that give memory back, see above */
};

/* Bytes of metadata that a RAM range of `len` bytes needs. */
uint64_t hf_phys_meta_size(uint64_t len);

/*
 * Start managing the RAM that `config` lists. Clears the metadata and one
 * frame (the zero page), touches no other RAM; but of several ranges it keeps the last frames,
 * less than one for each, for finding out which range a frame lies in.
 * HF_ERR_INVAL: no port, a port without flush or panic, wait without wake, no map or meta.
 * HF_ERR_EMPTY: no range, or one of length 0. HF_ERR_ALIGN: base, len or meta.
 * HF_ERR_WRAP: base + len. HF_ERR_RANGE: RAM in or beyond the last
 * 4 KiB below 16 TiB. HF_ERR_OVERLAP: ranges
 * overlap or are not sorted. HF_ERR_FLAGS: count_limit is 1 or above 2^31 - 1.
 */
enum hf_status hf_phys_init(struct hf_phys *phys, const struct hf_phys_config *config);

/*
 * Stop. HF_ERR_BUSY: a space or an object is alive, a page is pinned, a block of hf_phys_alloc
 * is not freed, or there is a swap store (hf_swap_off); nothing has changed.
 */
enum hf_status hf_phys_fini(struct hf_phys *phys);

/*
 * A block of 2^order frames for the host's own use, aligned to its size. The
 * contents are undefined. HF_ERR_INVAL: order above HF_MAX_ORDER. HF_ERR_NOMEM.
 */
enum hf_status hf_phys_alloc(struct hf_phys *phys, unsigned order, hf_pa *out);

/*
 * Give back the block at `pa` that hf_phys_alloc gave. HF_ERR_RANGE: not RAM. HF_ERR_INVAL: not the
 * start of a block that is allocated with this order (freed twice, say).
 */
enum hf_status hf_phys_free(struct hf_phys *phys, hf_pa pa, unsigned order);

/* The direct-map address of `pa`, or NULL where there is no RAM. Takes no lock. */
void *hf_phys_ptr(const struct hf_phys *phys, hf_pa pa);

/*
 * How many pins hold the frame at `pa`. HF_ERR_RANGE: not RAM.
 */
enum hf_status hf_phys_pins(struct hf_phys *phys, hf_pa pa, uint32_t *out);

/* How much is free, and in blocks of which orders. */
void hf_phys_stats(struct hf_phys *phys, struct hf_phys_stats *out);

/*
 * Offer free blocks of at least 2^min_order frames to the port's discard, those that
 * have been used since they were last offered, in pieces of 2 MiB at most. The piece that is
 * offered is not free meanwhile; all else goes on beside this. Returns the bytes offered.
 */
uint64_t hf_phys_trim(struct hf_phys *phys, unsigned min_order);

/*
 * Fault injection, for the host's tests: the n-th block allocation from now on
 * (1 is the next) and every one after it fails as if memory were full, until
 * the next call; 0 ends the failing. Covers every allocation the core makes;
 * taking a frame of the reserve is not one.
 */
void hf_phys_fail_after(struct hf_phys *phys, uint64_t n);

#endif
