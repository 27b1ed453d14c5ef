/* SPDX-License-Identifier: MIT */
/* Bytes of an object, for its host. */
#include "../lib/lock.h"
#include "../lib/math.h"
#include "../lib/mem.h"
#include "../phys/frame.h"
#include "../table/table.h"
#include "object.h"

#include <holdfast/object.h>

/* [offset, offset+len) lies in the object. object->lock held. */
static enum hf_status check_bytes(const struct hf_object *o, uint64_t offset, uint64_t len)
{
	if (!len)
		return HF_ERR_EMPTY;
	if (offset + len < offset)
		return HF_ERR_WRAP;
	return offset + len > o->size ? HF_ERR_RANGE : HF_OK;
}

/* What of [offset, end) lies in one page, which is there or is to be read as zeros. */
struct chunk {
	char *at; /* NULL: zeros */
	uint64_t len;
};

HF_HOLDS(object)
static struct chunk object_chunk_at(const struct hf_object *o, uint64_t offset, uint64_t end)
{
	struct hf_object_page page = { .level = HF_LEVEL_PTE };
	struct chunk c = { NULL, 0 };
	uint64_t base;

	if (hf_pages_find(o, offset, &page))
		c.at = hf_frame_ptr(o->phys, page.pfn);
	base = hf_level_base(offset, page.level);
	c.len = hf_min_va(end, base + hf_level_size(page.level)) - offset;
	if (c.at)
		c.at += offset - base;
	return c;
}

/*
 * Every page of the range is there, and dirty if it is to be written. object->lock held. Where the
 * pager has to supply one, it is let go; then all is looked at once more.
 */
HF_HOLDS(object)
static enum hf_status prepare_pages(struct hf_object *o, uint64_t offset, uint64_t len, bool write)
{
	enum hf_status st = check_bytes(o, offset, len);
	uint64_t at = offset;
	bool again = false;

	while (!st && at < offset + len) {
		struct hf_object_page page;

		st = hf_pages_get(o, at, HF_LEVEL_PTE, write, &page);
		if (st == HF_ERR_PENDING) {
			hf_object_unlock(o);
			st = hf_object_fetch(o, at, HF_LEVEL_PTE);
			hf_object_lock(o);
			st = st ? st : check_bytes(o, offset, len);
			again = true;
			continue;
		}
		if (!st)
			at = hf_level_base(at, page.level) + hf_level_size(page.level);
		if (!st && at >= offset + len && again) {
			at = offset;
			again = false;
		}
	}
	return st;
}

enum hf_status hf_object_read(struct hf_object *o, uint64_t offset, void *buf, uint64_t len)
{
	const uint64_t end = offset + len;
	enum hf_status st;
	char *to = buf;

	hf_object_lock(o);
	st = o->pager ? prepare_pages(o, offset, len, false) : check_bytes(o, offset, len);
	while (!st && offset < end) {
		struct chunk c = object_chunk_at(o, offset, end);

		if (c.at)
			memmove(to, c.at, c.len);
		else
			memset(to, 0, c.len);
		offset += c.len;
		to += c.len;
	}
	hf_object_unlock(o);
	return st;
}

enum hf_status hf_object_write(struct hf_object *o, uint64_t offset, const void *buf, uint64_t len)
{
	const uint64_t end = offset + len;
	const char *from = buf;
	enum hf_status st;

	hf_object_lock(o);
	st = prepare_pages(o, offset, len, true);
	while (!st && offset < end) {
		struct chunk c = object_chunk_at(o, offset, end);

		memmove(c.at, from, c.len);
		offset += c.len;
		from += c.len;
	}
	hf_object_unlock(o);
	return st;
}
