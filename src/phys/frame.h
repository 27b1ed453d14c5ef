/* SPDX-License-Identifier: MIT */
/*
 * Frames: who uses each 4 KiB of RAM.
 *
 * A *block* at level L is the naturally aligned 4 KiB, 2 MiB or 1 GiB that a leaf at level
 * L maps. For every block that lies whole in one RAM range we know, exactly:
 *   maps    how many leaf entries at level L lead to it
 *   inner   how many of its 512 sub-blocks are themselves mapped (maps or inner not 0)
 *   whole   how many pins hold all of it, at 2 MiB
 *   pinned  how many of its frames have pins of their own, and at 1 GiB also how many of its
 *           parts have whole ones
 * A frame is in use while a leaf covers it at any level or a pin holds it. There is no
 * compound page to keep together: when the last leaf over a block goes, what nobody uses
 * of it is free, frame by frame.
 *
 * A frame's pins are its own and those of its 2 MiB block: that is one number per frame,
 * exact, at the price of one increment for a huge page that is pinned whole.
 *
 * The numbers of level 0 sit in the frame's own descriptor, those of the block at level L
 * in the descriptor of its L-th frame, which a block of that size always has.
 *
 * What counts these is count.h. A function that ends in _locked wants phys->lock held.
 */
#ifndef HF_FRAME_H
#define HF_FRAME_H

#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../lib/work.h"
#include "ram.h"

#include <holdfast/phys.h>

#define HF_NIL UINT32_MAX /* no frame, in links */

/*
 * Who has much to do under phys->lock lets go of it after about so many frames or entries, and does
 * not use what was read before afterwards.
 */
#define HF_BATCH 512

enum hf_frame_kind {
	HF_FRAME_PLAIN,	 /* data, or not the first frame of what it belongs to */
	HF_FRAME_FREE,	 /* first frame of a free block of 2^order */
	HF_FRAME_LOOSE,	 /* a free frame in phys->loose */
	HF_FRAME_TABLE,	 /* a page table */
	HF_FRAME_NODE,	 /* a node of a tree of mappings */
	HF_FRAME_HOST,	 /* first frame of a block of hf_phys_alloc */
	HF_FRAME_OBJECT, /* an object */
	HF_FRAME_PAGE,	 /* first frame of an object's page of 2^order */
	HF_FRAME_CACHED, /* data that the swap store has, too: see slot.h */
	HF_FRAME_ZERO,	 /* first frame of a zero page of 2^order */
	HF_FRAME_INDEX,	 /* of the tree in ram.h */
	HF_FRAME_SPARE,	 /* first frame of 2^order that are set aside: see reserve.h */
};

struct hf_frame {
	union {
		struct {
			uint32_t maps, pins; /* of data; 0 of what nobody uses */
		};
		uint64_t marks; /* of a TABLE: see hf_table_fill */
	};
	uint32_t block_maps;
	uint32_t block_whole;
	uint32_t block_pinned;
	union {
		struct {
			uint32_t next, prev; /* in a free list; next also in an hf_reserve */
		};
		struct {
			uint32_t refs;	     /* entries that lead to this table, node or object */
			struct hf_lock lock; /* a table's lock: guards its entries */
		};
		uint32_t slot; /* of a CACHED frame: where the store has it */
		/* Pins that are about to be given back: 0 unless unpin.c works. Of a frame with
		 * pins of its own, and of a block with whole ones. */
		struct {
			uint32_t claims, block_claims;
		};
	};
	uint16_t block_inner;
	uint8_t kind;	   /* by hf_frame_kind and hf_frame_set_kind */
	uint8_t order : 7; /* of a FREE, HOST, PAGE, ZERO or SPARE block */
	bool clean : 1;	   /* FREE, LOOSE, SPARE: reads as zeros */
};
#define HF_ORDER_MASK 0x7f
_Static_assert(sizeof(struct hf_frame) == HF_FRAME_META, "a frame's descriptor has 32 bytes");

/*
 * The allocator looks at the kind of a block's buddy, which may be a frame on its way from a
 * reserve to a table, without a lock. Neither is FREE, and that is all it asks.
 */
static inline enum hf_frame_kind hf_frame_get_kind(const struct hf_frame *f)
{
	return (enum hf_frame_kind)hf_load_relaxed8(&f->kind);
}

static inline void hf_frame_set_kind(struct hf_frame *f, enum hf_frame_kind kind)
{
	hf_store_relaxed8(&f->kind, (uint8_t)kind);
}

/*
 * A frame's own pins, and how many small leaves lead to it: of a table neither. It may become one
 * while this looks, unless the caller knows better, so the kind is asked last.
 */
static inline uint32_t hf_own_pins(const struct hf_frame *f)
{
	uint32_t pins = hf_load32(&f->pins);

	return hf_frame_get_kind(f) == HF_FRAME_TABLE ? 0 : pins;
}

static inline uint32_t hf_own_maps(const struct hf_frame *f)
{
	uint32_t maps = hf_load32(&f->maps);

	return hf_frame_get_kind(f) == HF_FRAME_TABLE ? 0 : maps;
}

/* The descriptor of `pfn`, which must be RAM. No lock. */
static inline struct hf_frame *hf_frame_at(const struct hf_phys *phys, hf_pfn pfn)
{
	const struct hf_ram *ram = hf_ram_candidate(phys, pfn, false);

	HF_WORK();
	return (struct hf_frame *)ram->meta + (pfn.v - (uint32_t)(ram->base.v >> HF_PAGE_SHIFT));
}

/* The direct-map address of `pfn`, which must be RAM. No lock. */
static inline void *hf_frame_ptr(const struct hf_phys *phys, hf_pfn pfn)
{
	const struct hf_ram *ram = hf_ram_candidate(phys, pfn, false);

	return (char *)ram->map + (((uint64_t)pfn.v << HF_PAGE_SHIFT) - ram->base.v);
}

/* The frame is the first of a block at `level`. */
static inline bool hf_block_aligned(hf_pfn pfn, unsigned level)
{
	return !(pfn.v & ((1u << hf_level_order(level)) - 1));
}

/* The first frame of the block at `level` that `pfn` lies in. */
static inline hf_pfn hf_block_base(hf_pfn pfn, unsigned level)
{
	return (hf_pfn){ pfn.v & ~((1u << hf_level_order(level)) - 1) };
}

/* The index-th sub-block, at level - 1, of a block at `level`. */
static inline hf_pfn hf_block_part(hf_pfn base, unsigned level, unsigned index)
{
	return (hf_pfn){ base.v + (index << hf_level_order(level - 1)) };
}

static inline hf_pa hf_pfn_pa(hf_pfn pfn)
{
	return (hf_pa){ (uint64_t)pfn.v << HF_PAGE_SHIFT };
}

/* A precondition of what ends in _locked. */
#define HF_ASSERT_PHYS(phys) HF_ASSERT(phys, hf_lock_held(&(phys)->lock))

/* Take and give phys->lock. */
HF_TAKES(phys)
static inline void hf_phys_lock(struct hf_phys *phys)
{
	hf_acquire(phys, &phys->lock);
	HF_WORK_BEGIN();
}

HF_GIVES(phys)
static inline void hf_phys_unlock(struct hf_phys *phys)
{
	HF_WORK_END();
	hf_release(phys, &phys->lock);
}

/*
 * In a long piece of work under phys->lock: `more` frames or entries have been done, and if
 * that makes a batch of them others may have the lock. What was read under it before may have
 * changed.
 */
HF_HOLDS(phys)
static inline void hf_phys_batch(struct hf_phys *phys, uint32_t *done, uint32_t more)
{
	*done += more;
	if (*done < HF_BATCH)
		return;
	*done = 0;
	HF_WORK_END();
	hf_pass_on(phys, &phys->lock);
	HF_WORK_BEGIN();
}

/* Take and give phys->spaces_lock. */
HF_TAKES_SHARED(spaces)
static inline void hf_spaces_lock_shared(struct hf_phys *phys)
{
	hf_acquire_shared(phys, &phys->spaces_lock);
}

HF_GIVES_SHARED(spaces)
static inline void hf_spaces_unlock_shared(struct hf_phys *phys)
{
	hf_release_shared(phys, &phys->spaces_lock);
}

HF_TAKES(spaces)
static inline void hf_spaces_lock_exclusive(struct hf_phys *phys)
{
	hf_acquire_exclusive(phys, &phys->spaces_lock);
}

HF_GIVES(spaces)
static inline void hf_spaces_unlock_exclusive(struct hf_phys *phys)
{
	hf_release_exclusive(phys, &phys->spaces_lock);
}

#endif
