/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include "../object/object.h"

#include <holdfast/phys.h>

bool hf_wait_slow(struct hf_phys *phys, struct hf_wait *w, enum hf_status *st)
{
	if (*st == HF_ERR_PENDING && w->object) {
		/* What others have brought back meanwhile: the store is not to wait for a pager. */
		hf_swapin_drop(phys, &w->in);
		*st = hf_object_fetch(w->object, w->offset, w->level);
		hf_wait_cancel(w);
	} else if (*st == HF_ERR_PENDING) {
		*st = hf_swapin_read(phys, &w->in);
	} else {
		hf_swapin_drop(phys, &w->in);
		return false;
	}
	if (*st)
		hf_swapin_drop(phys, &w->in);
	return !*st;
}

bool hf_wait_cancel(struct hf_wait *w)
{
	if (!w->object)
		return false;
	hf_object_release(w->object);
	w->object = NULL;
	return true;
}
