/* SPDX-License-Identifier: MIT */
#include "survey.h"

#include "../arch/entry.h"
#include "../lib/lock.h"
#include "../phys/count.h"
#include "../phys/frame.h"
#include "../phys/zero.h"
#include "../space/mm.h"
#include "../space/vma.h"
#include "../table/table.h"

#include <holdfast/mm.h>
#include <holdfast/report.h>

/*
 * All that is mapped in [va, va+size) is of a kind that fork passes over. s->unshared is the
 * next such mapping, and mostly there is none.
 */
static bool is_unshared(struct hf_survey *s, hf_va va, uint64_t size)
{
	const struct hf_mm *mm = s->mm;

	if (s->unshared.end <= va && s->unshared.start != UINT64_MAX &&
	    !hf_vmas_next_with(mm->phys, mm->vmas, va, HF_VMA_UNSHARED, &s->unshared))
		s->unshared = (struct hf_vma){ .start = UINT64_MAX };
	/* Most of what is passed over lies within one mapping. */
	if (s->unshared.start <= va && s->unshared.end - va >= size)
		return true;
	return s->unshared.start < va + size &&
	       hf_vmas_only(mm->phys, mm->vmas, va, va + size, HF_VMA_UNSHARED);
}

/*
 * HF_ACTION_COPY says only that it is pinned. Whether a pinned huge leaf is copied whole or split
 * first is the policy's to say, in arm_entry (fork.c).
 */
enum hf_fork_action hf_fork_decide(struct hf_survey *s, hf_pte e, hf_va va, unsigned level)
{
	if (is_unshared(s, va, hf_level_size(level)))
		return HF_ACTION_SKIP;
	if (hf_pte_swapped(e))
		return HF_ACTION_SHARE;
	if (hf_pte_branch(e, level))
		return hf_branch_look(e) ? HF_ACTION_INSPECT : HF_ACTION_SHARE;
	/*
	 * A pinned page of an object in a private mapping is not exclusive: it is not copied early.
	 */
	if (hf_refaultable_locked(s->mm->phys, hf_pte_pfn(e)))
		return HF_ACTION_SHARE;
	return hf_pinned_locked(s->mm->phys, hf_pte_pfn(e), level) ? HF_ACTION_COPY
								   : HF_ACTION_SHARE;
}

/* Room in a block's count for `more` leaves. phys->lock held. */
HF_HOLDS(phys)
static void need_leaves(struct hf_survey *s, hf_pfn pfn, unsigned level, uint64_t more)
{
	if (!hf_map_room_locked(s->mm->phys, pfn, level, more))
		s->overflow = true;
}

/* What sharing one entry needs is room in a count. phys->lock held. */
HF_HOLDS(phys)
static void need_share(struct hf_survey *s, hf_pte e, unsigned level)
{
	struct hf_phys *phys = s->mm->phys;

	if (hf_pte_leaf(e, level) && hf_refaultable_locked(phys, hf_pte_pfn(e)))
		return;
	s->overflow |= !hf_target_room_locked(phys, e, level, 1);
}

/* List the copy of a block; it joins the last one if it follows that. phys->lock held. */
HF_HOLDS(phys)
static void list_copy(struct hf_survey *s, hf_pfn pfn, hf_va va, unsigned level)
{
	struct hf_fork_pin *last;

	if (!s->count || s->list_end != va) {
		if (s->count < s->cap)
			s->pins[s->count] = (struct hf_fork_pin){ .va = va };
		s->count++;
	}
	s->list_end = va + hf_level_size(level);
	if (s->count > s->cap)
		return;
	last = &s->pins[s->count - 1];
	last->len += hf_level_size(level);
	last->pinned += hf_pinned_frames_locked(s->mm->phys, pfn, level) * HF_PAGE_SIZE;
}

/* What the child's share of a pinned leaf needs. phys->lock held. */
HF_HOLDS(phys)
static void need_copy(struct hf_survey *s, hf_pfn pfn, hf_va va, unsigned level)
{
	bool split = s->policy == HF_FORK_SPLIT;

	if (level == HF_LEVEL_PTE || (level == HF_LEVEL_PMD && !split)) {
		*(level == HF_LEVEL_PTE ? &s->small : &s->huge) += 1;
		list_copy(s, pfn, va, level);
		return;
	}
	/* Split: a table for the parent as well, and the parent's own leaf for each part. */
	s->tables += 1 + split;
	hf_phys_batch(s->mm->phys, &s->done, HF_TABLE_ENTRIES);
	for (unsigned i = 0; i < HF_TABLE_ENTRIES; i++) {
		hf_pfn part = hf_block_part(pfn, level, i);
		bool pinned = hf_pinned_locked(s->mm->phys, part, level - 1);

		need_leaves(s, part, level - 1, (uint64_t)split + !pinned);
		if (pinned)
			need_copy(s, part, va + i * hf_level_size(level - 1), level - 1);
	}
}

/*
 * Reckon for one table; returns whether anything in it keeps fork from sharing the table
 * whole. Clears LOOK where nothing does. phys->lock held, and let go between tables: LOOK is in
 * tables of the parent's own only, and those above stand.
 */
HF_HOLDS(mm)
HF_HOLDS(phys)
static bool survey(struct hf_survey *s, hf_pfn table, hf_va base, unsigned level)
{
	hf_pte *entries = hf_table_entries(s->mm->phys, table);
	const uint64_t marks = hf_table_marks(s->mm->phys, table);
	unsigned end = hf_end_index(s->hi, base, level);
	bool look = false;

	s->inspected++;
	hf_phys_batch(s->mm->phys, &s->done, HF_TABLE_ENTRIES);
	hf_each_marked(i, marks, hf_first_index(s->lo, base, level), end) {
		hf_va va = base + i * hf_level_size(level);
		hf_pte e = hf_pte_get(&entries[i]);
		hf_pfn pfn = hf_pte_pfn(e);
		bool overflow = s->overflow;

		if (hf_pte_none(e))
			continue;
		switch (hf_fork_decide(s, e, va, level)) {
		case HF_ACTION_SKIP:
			look = true;
			continue;
		case HF_ACTION_COPY:
			look = true;
			need_copy(s, pfn, va, level);
			continue;
		case HF_ACTION_INSPECT:
			if (survey(s, pfn, va, level - 1)) {
				look = true;
				s->tables++;
				continue;
			}
			s->overflow = overflow; /* of leaves that are not shared one by one now */
			break;
		case HF_ACTION_SHARE:
			break;
		}
		if (!s->forecast && hf_pte_branch(e, level) && hf_branch_look(e))
			hf_pte_update(&entries[i], hf_branch_clear_look);
		need_share(s, e, level);
	}
	return look;
}

void hf_survey_make(struct hf_survey *s)
{
	struct hf_phys *phys = s->mm->phys;

	HF_ASSERT_MM_EXCLUSIVE(s->mm);
	s->tables = 1; /* the root */
	if (!hf_vmas_span(phys, s->mm->vmas, &s->lo, &s->hi)) {
		s->lo = s->mm->va_lo; /* nothing is mapped: any entry will do */
		s->hi = s->lo + 1;
	}
	if (!hf_vmas_next_with(phys, s->mm->vmas, 0, HF_VMA_UNSHARED, &s->first))
		s->first = (struct hf_vma){ .start = UINT64_MAX };
	s->unshared = s->first;
	hf_phys_lock(phys);
	survey(s, s->mm->root, 0, HF_TOP_LEVEL);
	hf_phys_unlock(phys);
}

struct hf_fork_cost hf_survey_cost(const struct hf_survey *s, uint64_t huge)
{
	uint64_t broken = s->huge - huge;
	struct hf_fork_cost cost = {
		.inspected = s->inspected,
		.tables = s->tables + broken,
		.small = s->small + broken * HF_TABLE_ENTRIES,
		.huge = huge,
	};

	cost.bytes = cost.small * HF_PAGE_SIZE + huge * hf_level_size(HF_LEVEL_PMD);
	return cost;
}
