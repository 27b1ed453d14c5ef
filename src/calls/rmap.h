/* SPDX-License-Identifier: MIT */
/*
 * Who maps an object: found by going through the mappings of every space. Nothing is kept for it,
 * so mapping, unmapping and fork pay nothing; the few calls that ask are those that also
 * wait for a pager.
 *
 * phys->spaces_lock is held exclusively, so that no space and no child of one comes between.
 */
#ifndef HF_RMAP_H
#define HF_RMAP_H

#include "../lib/lock.h"
#include "../object/object.h"
#include "../space/vma.h"

#include <holdfast/mm.h>

/* What to do with a part of a mapping. mm lock held exclusively. */
typedef enum hf_status hf_rmap_fn(struct hf_mm *mm, const struct hf_vma *part);

/*
 * Make tables and leaves end where the part does. HF_ERR_NOMEM. HF_ERR_OVERFLOW: some may have been
 * done, none shows. mm lock held exclusively.
 */
HF_HOLDS(mm)
enum hf_status hf_cut_part(struct hf_mm *mm, const struct hf_vma *part);

/*
 * The next shared mapping from *va on, below `end`: its part of the range, the object held. *va
 * becomes its end. No lock held.
 */
bool hf_next_shared(struct hf_mm *mm, hf_va *va, hf_va end, struct hf_vma *out);
/* HF_ADV_REMOVE of a range that is checked but for what is mapped. */
enum hf_status hf_advise_remove(struct hf_mm *mm, hf_va va, uint64_t len);

/*
 * Call `fn` for each mapping of [from, to) of the object, its part that leads there, in one space
 * after the other, until one does not return HF_OK. Takes each space's lock, exclusively.
 */
HF_HOLDS(spaces)
enum hf_status hf_rmap_each(const struct hf_object *object, uint64_t from, uint64_t to,
			    hf_rmap_fn *fn);

/*
 * The same for several steps that nothing must come between: hold every space that maps
 * [from, to), in order of address as hf_copy does, call hf_rmap_each_truncating as often as need
 * be, release them all.
 */
HF_HOLDS(spaces)
HF_UNCHECKED
void hf_rmap_hold(const struct hf_object *object, uint64_t from, uint64_t to);
HF_HOLDS(spaces)
HF_UNCHECKED
enum hf_status hf_rmap_each_truncating(const struct hf_object *object, uint64_t from, uint64_t to,
				       hf_rmap_fn *fn);
HF_HOLDS(spaces)
HF_UNCHECKED
void hf_rmap_release(const struct hf_object *object);

#endif
