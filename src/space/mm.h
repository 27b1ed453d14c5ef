/* SPDX-License-Identifier: MIT */
/*
 * What the operations on a space share: its lock, argument checks, questions about its mappings.
 * Public functions check arguments, take the lock and call these; each says what it wants held.
 */
#ifndef HF_MM_H
#define HF_MM_H

#include "../lib/atomic.h"
#include "../lib/lock.h"
#include "../lib/panic.h"
#include "../phys/frame.h"
#include "vma.h"

#include <holdfast/mm.h>

/* Preconditions: the space's lock is held, or held exclusively. */
#define HF_ASSERT_MM(mm) HF_ASSERT((mm)->phys, hf_rwlock_held(&(mm)->rwlock))
#define HF_ASSERT_MM_EXCLUSIVE(mm) HF_ASSERT((mm)->phys, hf_rwlock_held_exclusive(&(mm)->rwlock))

/* Take and give a space's lock. */
HF_TAKES_SHARED(mm)
static inline void hf_mm_lock_shared(struct hf_mm *mm)
{
	hf_acquire_shared(mm->phys, &mm->rwlock);
}

HF_GIVES_SHARED(mm)
static inline void hf_mm_unlock_shared(struct hf_mm *mm)
{
	hf_release_shared(mm->phys, &mm->rwlock);
}

HF_TAKES(mm)
static inline void hf_mm_lock_exclusive(struct hf_mm *mm)
{
	hf_acquire_exclusive(mm->phys, &mm->rwlock);
}

HF_GIVES(mm)
static inline void hf_mm_unlock_exclusive(struct hf_mm *mm)
{
	hf_release_exclusive(mm->phys, &mm->rwlock);
}

/*
 * Put a space into its memory's list of spaces. phys->spaces_lock held, shared: who goes
 * through the list, and takes the mm locks of what is in it, holds it exclusively. Takes
 * phys->lock.
 */
HF_HOLDS_SHARED(spaces)
void hf_mm_enlist(struct hf_mm *mm);

/*
 * Keep reclaim out while what is mapped or present must not change under this call: takes
 * phys->spaces_lock shared if there is a swap store, and returns whether. Before any mm lock.
 */
HF_UNCHECKED
static inline bool hf_reclaim_block(struct hf_phys *phys)
{
	bool hold = hf_load_relaxed32(&phys->swapping);

	if (hold)
		hf_spaces_lock_shared(phys);
	return hold;
}

HF_UNCHECKED
static inline void hf_reclaim_unblock(struct hf_phys *phys, bool blocked)
{
	if (blocked)
		hf_spaces_unlock_shared(phys);
}

/* EMPTY, WRAP, RANGE for [va, va+len) in the space. No lock. */
enum hf_status hf_check_bytes(const struct hf_mm *mm, hf_va va, uint64_t len);
/* The same after ALIGN of va; *len is rounded up to pages. No lock. */
enum hf_status hf_check_pages(const struct hf_mm *mm, hf_va va, uint64_t *len);
/*
 * Every address of [lo, hi) is mapped (else UNMAPPED) and allows `access`, HF_ACCESS_*
 * bits or 0 (else ACCESS). mm lock held.
 */
HF_HOLDS_SHARED(mm)
enum hf_status hf_check_mapped(const struct hf_mm *mm, hf_va lo, hf_va hi, unsigned access);

/*
 * The mapping that is found at `va` or next above it, as the caller of hf_vma_next sees it:
 * without flags that say something of another space's locks, and joined with neighbours
 * that differ in these alone. mm lock held.
 */
HF_HOLDS_SHARED(mm)
bool hf_mapping_next(const struct hf_mm *mm, hf_va va, struct hf_vma *out);

/* Some mapping in [lo, hi) has any of `flags`. mm lock held. */
HF_HOLDS_SHARED(mm)
bool hf_any_with(const struct hf_mm *mm, hf_va lo, hf_va hi, uint32_t flags);
/* Some mapping in [lo, hi) is locked. mm lock held. */
HF_HOLDS_SHARED(mm)
bool hf_any_mlocked(const struct hf_mm *mm, hf_va lo, hf_va hi);

/* The mapping is locked. mm lock held. */
HF_HOLDS_SHARED(mm)
bool hf_vma_is_mlocked(const struct hf_mm *mm, const struct hf_vma *vma);

/* A mapping in the words of the public headers. */
struct hf_vma_info hf_vma_describe(const struct hf_vma *vma);

/* Whether the mapping allows all of `access`. */
bool hf_vma_allows(const struct hf_vma *vma, unsigned access);

#endif
