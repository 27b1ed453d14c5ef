/* SPDX-License-Identifier: MIT */
/* What a fork would cost now: its survey, without the fork. */
#include "../phys/buddy.h"
#include "../phys/frame.h"
#include "../space/mm.h"
#include "survey.h"

#include <holdfast/mm.h>
#include <holdfast/report.h>

/* Whether fork would find the memory; `huge` of its blocks would be whole. phys->lock held. */
static bool enough_memory(struct hf_phys *phys, const struct hf_fork_cost *cost)
{
	uint64_t frames = cost->tables + cost->small + cost->huge * HF_TABLE_ENTRIES;

	return frames <= phys->free_frames;
}

enum hf_status hf_fork_forecast(struct hf_mm *mm, enum hf_fork_policy policy,
				struct hf_fork_cost *out, struct hf_fork_pin *pins, size_t cap,
				size_t *count)
{
	struct hf_survey s = { .mm = mm, .policy = policy, .forecast = true };
	struct hf_phys *phys = mm->phys;
	bool enough;

	if (policy != HF_FORK_COPY && policy != HF_FORK_SPLIT)
		return HF_ERR_INVAL;
	s.pins = pins;
	s.cap = cap;
	hf_mm_lock_exclusive(mm);
	hf_survey_make(&s);
	hf_phys_lock(phys);
	*out = hf_survey_cost(&s,
			      hf_blocks_free_locked(phys, hf_level_order(HF_LEVEL_PMD), s.huge));
	enough = enough_memory(phys, out);
	hf_phys_unlock(phys);
	hf_mm_unlock_exclusive(mm);
	if (count)
		*count = s.count;
	if (s.overflow)
		return HF_ERR_OVERFLOW;
	return enough ? HF_OK : HF_ERR_NOMEM;
}
