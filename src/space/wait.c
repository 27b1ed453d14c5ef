/* SPDX-License-Identifier: MIT */
#include "wait.h"

#include "../object/object.h"

#include <holdfast/phys.h>

bool hf_wait(struct hf_phys *phys, const struct hf_wait *w, enum hf_status *st)
{
	(void)phys;
	if (*st != HF_ERR_PENDING)
		return false;
	*st = hf_object_fetch(w->object, w->offset, w->level);
	hf_object_unref(w->object);
	return !*st;
}

void hf_wait_cancel(const struct hf_wait *w)
{
	hf_object_unref(w->object);
}
