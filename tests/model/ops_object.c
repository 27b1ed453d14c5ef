/* SPDX-License-Identifier: MIT */
/* Objects: shared memory and files, as their host and as their mappings see them. */
#include "ops.h"

#include <stdlib.h>
#include <string.h>

/* ---- Pagers ---- */

static bool pager_fails(struct world *w)
{
	bool fails = w->pager_after == 1;

	if (w->pager_after > 1)
		w->pager_after--;
	w->pager_failed |= fails;
	return fails;
}

/* Bytes of [offset, offset+len) that are before the object's end. */
static uint64_t inside(const struct model_object *object, uint64_t offset, uint64_t len)
{
	uint64_t end = object->size;

	if (object->pager && object->pager->end < end)
		end = object->pager->end;
	if (offset >= end)
		return 0;
	return end - offset < len ? end - offset : len;
}

static void file_read(const struct pager *p, uint64_t offset, uint8_t *to, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += PAGE) {
		const struct model_page *page = pagemap_get(&p->file, (offset + at) / PAGE);

		if (page)
			memcpy(to + at, page->bytes, PAGE);
	}
}

static void file_write(struct pager *p, uint64_t offset, const uint8_t *from, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += PAGE)
		memcpy(pagemap_make(&p->file, (offset + at) / PAGE)->bytes, from + at,
		       len - at < PAGE ? len - at : PAGE);
}

/* The file has what the model has, before the end. */
static bool file_is_whole(const struct pager *p, uint64_t offset, uint64_t len)
{
	static const uint8_t zeros[PAGE];

	len = inside(p->object, offset, len);
	for (uint64_t at = 0; at < len; at += PAGE) {
		const struct model_page *file = pagemap_get(&p->file, (offset + at) / PAGE);
		const struct model_page *page =
			pagemap_get(&p->object->pages, (offset + at) / PAGE);

		if (memcmp(file ? file->bytes : zeros, page ? page->bytes : zeros,
			   len - at < PAGE ? len - at : PAGE) != 0)
			return false;
	}
	return true;
}

static enum hf_status pager_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	struct pager *p = host;

	if (pager_fails(p->w))
		return HF_ERR_HOST;
	if (!file_is_whole(p, offset, len))
		disagree(p->w, "object %u asks for offset 0x%llx, and what was written is lost",
			 p->object->id, (unsigned long long)offset);
	file_read(p, offset, page, len);
	p->resident += len;
	return HF_OK;
}

static void check_page(const struct pager *p, uint64_t offset, const uint8_t *from, uint64_t len)
{
	static uint8_t bytes[PAGE];

	for (uint64_t at = 0; at < len; at += PAGE) {
		uint64_t n = len - at < PAGE ? len - at : PAGE;

		object_read(p->object, offset + at, bytes, n);
		if (memcmp(bytes, from + at, n) != 0)
			disagree(p->w, "object %u gives other bytes back at offset 0x%llx",
				 p->object->id, (unsigned long long)(offset + at));
	}
}

static enum hf_status pager_writeback(void *host, uint64_t offset, const void *page, uint64_t len)
{
	struct pager *p = host;

	if (offset + len > p->object->size)
		disagree(p->w, "object %u is written back beyond its end", p->object->id);
	if (pager_fails(p->w))
		return HF_ERR_HOST;
	check_page(p, offset, page, len);
	file_write(p, offset, page, len);
	return HF_OK;
}

static void pager_put(void *host, uint64_t offset, const void *page, uint64_t len, bool dirty)
{
	struct pager *p = host;
	uint64_t n = inside(p->object, offset, len);

	if (p->resident < len)
		disagree(p->w, "object %u puts a page that it did not get", p->object->id);
	p->resident -= len;
	if (dirty) {
		check_page(p, offset, page, n);
		file_write(p, offset, page, n);
	} else if (!file_is_whole(p, offset, n)) {
		disagree(p->w, "object %u drops offset 0x%llx as clean, and it is not",
			 p->object->id, (unsigned long long)offset);
	}
}

static const struct hf_pager pager = { pager_get, pager_writeback, pager_put, NULL };

/* ---- Life ---- */

static struct model_object *object_add(struct world *w, struct hf_object *real, uint64_t size)
{
	struct model_object *object = object_new(real, size);

	object->id = ++w->next_id;
	object->next = w->objects;
	w->objects = object;
	w->object_count++;
	return object;
}

static void object_end(struct world *w, struct model_object *object)
{
	struct pager *p = object->pager;

	if (p) {
		if (p->resident)
			disagree(w, "object %u ended and kept %llu bytes", object->id,
				 (unsigned long long)p->resident);
		if (!file_is_whole(p, 0, object->size))
			disagree(w, "object %u ended, and what was written is lost", object->id);
		pagemap_fini(&p->file);
		free(p);
	}
	object_free(object);
	w->object_count--;
}

void objects_collect(struct world *w)
{
	struct model_object **link = &w->objects;

	while (*link) {
		struct model_object *object = *link;

		if (object->held || object_mapped(object)) {
			link = &object->next;
			continue;
		}
		*link = object->next;
		object_end(w, object);
	}
}

void objects_release(struct world *w)
{
	for (struct model_object *object = w->objects; object; object = object->next) {
		if (object->held) {
			hf_object_put(object->real);
			object->held = false;
			w->objects_held--;
		}
	}
	objects_collect(w);
}

/* One that the host has, or NULL. */
static struct model_object *some_object(struct world *w)
{
	struct model_object *object = w->objects;
	uint64_t n;

	if (!w->objects_held)
		return NULL;
	for (n = below(w, w->objects_held); n || !object->held; object = object->next)
		n -= object->held;
	return object;
}

static uint64_t some_size(struct world *w)
{
	uint64_t size = PAGE * below(w, one_in(w, 3) ? 2000 : 40);

	if (w->big && one_in(w, 3))
		size = PUD_SIZE + PAGE * below(w, 1000);
	return one_in(w, 4) ? size + below(w, PAGE) : size;
}

/* hf_object_create: c->len is the size, c->flags how large its pages, c->count: with a pager */

static bool pick_create(struct world *w, struct call *c)
{
	if (w->objects_held == MAX_OBJECTS)
		return false;
	c->len = some_size(w);
	c->flags = one_in(w, 2) ? HF_OBJECT_SMALL : HF_OBJECT_HUGE;
	if (w->big && one_in(w, 2))
		c->flags = HF_OBJECT_HUGE_1G;
	c->count = c->len <= 16 * MIB && one_in(w, 2);
	c->src = below(w, UINT32_MAX); /* what its file begins with */
	return true;
}

/* Some pages of a new file hold something. */
static void file_begin(struct pager *p, uint64_t seed)
{
	for (uint64_t at = 0; at * PAGE < p->object->size; at += 1 + (seed >> (at % 31)) % 3) {
		uint8_t *bytes = pagemap_make(&p->file, at)->bytes;
		uint64_t n = inside(p->object, at * PAGE, PAGE);

		for (uint64_t i = 0; i < n; i += 8)
			bytes[i] = (uint8_t)(seed >> (i % 23));
		object_write(p->object, at * PAGE, bytes, n);
	}
}

static enum hf_status call_create(struct world *w, struct call *c)
{
	struct pager *p = c->count ? calloc(1, sizeof(*p)) : NULL;
	struct hf_object_config config = {
		.size = c->len,
		.huge = (enum hf_object_huge)c->flags,
		.pager = p ? &pager : NULL,
		.host = p,
	};
	struct hf_object *real;
	enum hf_status status = hf_object_create(w->phys, &config, &real);

	if (status) {
		free(p);
		return status;
	}
	c->object = object_add(w, real, c->len);
	c->object->huge = c->flags != HF_OBJECT_SMALL;
	c->object->held = true;
	w->objects_held++;
	if (p) {
		c->object->pager = p;
		*p = (struct pager){ .w = w, .object = c->object, .end = UINT64_MAX };
		pagemap_init(&p->file, 0, OBJECT_PAGES);
		file_begin(p, c->src);
	}
	return HF_OK;
}

/* hf_object_put */

static bool pick_object(struct world *w, struct call *c)
{
	c->object = some_object(w);
	return c->object;
}

static enum hf_status call_put(struct world *w, struct call *c)
{
	hf_object_put(c->object->real);
	c->object->held = false;
	w->objects_held--;
	return HF_OK;
}

/* hf_object_read, hf_object_write: w->buf[0] holds the bytes */

static bool pick_bytes(struct world *w, struct call *c)
{
	c->object = some_object(w);
	if (!c->object)
		return false;
	c->offset = below(w, c->object->size + PAGE);
	c->len = some_bytes(w);
	if (!one_in(w, 8) && c->offset < c->object->size)
		c->len = inside(c->object, c->offset, c->len);
	if (one_in(w, 50))
		c->len = one_in(w, 2) ? 0 : UINT64_MAX - below(w, PAGE);
	c->needs = c->len + PMD_SIZE;
	return true;
}

static bool pick_write(struct world *w, struct call *c)
{
	if (!pick_bytes(w, c))
		return false;
	some_content(w, w->buf[0], c->len > MAX_BYTES ? 0 : c->len);
	return true;
}

static enum hf_status expect_bytes(struct world *w, struct call *c)
{
	(void)w;
	if (!c->len)
		return HF_ERR_EMPTY;
	if (c->offset + c->len < c->offset)
		return HF_ERR_WRAP;
	return c->offset + c->len > c->object->size ? HF_ERR_RANGE : HF_OK;
}

static enum hf_status call_read(struct world *w, struct call *c)
{
	return hf_object_read(c->object->real, c->offset, w->buf[0], c->len);
}

static void done_read(struct world *w, struct call *c)
{
	object_read(c->object, c->offset, w->buf[1], c->len);
	if (memcmp(w->buf[0], w->buf[1], c->len) != 0)
		disagree(w, "object %u has other bytes than the model", c->object->id);
}

static enum hf_status call_write(struct world *w, struct call *c)
{
	return hf_object_write(c->object->real, c->offset, w->buf[0], c->len);
}

static void done_write(struct world *w, struct call *c)
{
	object_write(c->object, c->offset, w->buf[0], c->len);
}

/* hf_mmap_object; c->src becomes where it must go */

static bool pick_mmap(struct world *w, struct call *c)
{
	static const unsigned often[] = {
		0, 0, 0, HF_MAP_FIXED, HF_MAP_FIXED, HF_MAP_FIXED_NOREPLACE
	};

	c->object = some_object(w);
	if (!c->object)
		return false;
	pick_range(w, c);
	c->flags = often[below(w, 6)] | (one_in(w, 2) ? HF_MAP_SHARED : HF_MAP_PRIVATE);
	if (one_in(w, 60))
		c->flags = (unsigned)below(w, 32);
	c->prot = some_prot(w);
	c->offset = page_of(below(w, c->object->size + 2 * PAGE));
	if (one_in(w, 3))
		c->offset = 0;
	if (one_in(w, 2)) { /* so that huge leaves fit */
		c->offset &= ~(PMD_SIZE - 1);
		c->va &= ~(PMD_SIZE - 1);
		if (c->va < w->lo)
			c->va += PMD_SIZE;
	}
	if (!one_in(w, 4) && c->offset < c->object->size)
		c->len = page_up(c->object->size - c->offset);
	if (one_in(w, 60))
		c->offset += 1 + below(w, PAGE - 1);
	if (one_in(w, 60))
		c->offset = page_of(UINT64_MAX) - PAGE * below(w, 4);
	if (!(c->flags & 3) && one_in(w, 2))
		c->va = 0;
	return true;
}

static enum hf_status expect_mmap(struct world *w, struct call *c)
{
	(void)w;
	c->src = c->va;
	return check_map(c, model_check_mmap_object(&c->m->model, &c->src, c->len, c->prot,
						    c->flags, c->offset));
}

static enum hf_status call_mmap(struct world *w, struct call *c)
{
	(void)w;
	return hf_mmap_object(&c->m->mm, &c->va, c->len, c->prot, c->flags, c->object->real,
			      c->offset);
}

static void done_mmap(struct world *w, struct call *c)
{
	struct model_attr attr = {
		.prot = c->prot,
		.flags = (c->flags & HF_MAP_SHARED ? MODEL_SHARED : 0) | c->m->model.future,
		.object = c->object,
	};

	if (c->va != c->src)
		disagree(w, "placed at 0x%llx, the model says 0x%llx", (unsigned long long)c->va,
			 (unsigned long long)c->src);
	model_mmap(&c->m->model, c->va, c->len, attr, c->offset);
}

/* hf_mmap with HF_MAP_SHARED: an object that only its mappings have */

static bool pick_anonymous(struct world *w, struct call *c)
{
	if (w->object_count >= 2 * MAX_OBJECTS)
		return false;
	pick_range(w, c);
	c->flags = HF_MAP_SHARED | (one_in(w, 3) ? HF_MAP_FIXED : 0);
	c->prot = some_prot(w);
	if (c->flags == HF_MAP_SHARED && one_in(w, 2))
		c->va = 0;
	return true;
}

static enum hf_status expect_anonymous(struct world *w, struct call *c)
{
	(void)w;
	c->src = c->va;
	return check_map(c, model_check_mmap(&c->m->model, &c->src, c->len, c->prot,
					     c->flags & ~(unsigned)HF_MAP_SHARED));
}

static enum hf_status call_anonymous(struct world *w, struct call *c)
{
	(void)w;
	return hf_mmap(&c->m->mm, &c->va, c->len, c->prot, c->flags);
}

static void done_anonymous(struct world *w, struct call *c)
{
	struct hf_vma_info vma;

	must(w, hf_vma_next(&c->m->mm, c->va, &vma), "hf_vma_next");
	if (!vma.object)
		disagree(w, "the shared mapping is of no object");
	c->object = object_add(w, vma.object, page_up(c->len));
	done_mmap(w, c);
}

/* hf_object_truncate: c->len is the new size */

static bool pick_truncate(struct world *w, struct call *c)
{
	c->object = some_object(w);
	if (!c->object)
		return false;
	c->len = one_in(w, 2) ? some_size(w) : below(w, c->object->size + 1);
	if (one_in(w, 60))
		c->len = hf_object_max() + 1 + below(w, PAGE);
	return c->len <= OBJECT_PAGES * PAGE || c->len > hf_object_max();
}

static enum hf_status expect_truncate(struct world *w, struct call *c)
{
	(void)w;
	return c->len > hf_object_max() ? HF_ERR_RANGE : HF_OK;
}

static enum hf_status call_truncate(struct world *w, struct call *c)
{
	struct pager *p = c->object->pager;
	enum hf_status status;

	(void)w;
	if (p)
		p->end = c->len;
	status = hf_object_truncate(c->object->real, c->len);
	if (p)
		p->end = UINT64_MAX;
	return status;
}

static void done_truncate(struct world *w, struct call *c)
{
	struct pager *p = c->object->pager;
	uint64_t size = c->len;
	struct model_page *last;

	(void)w;
	object_resize(c->object, size);
	if (!p)
		return;
	pagemap_clear(&p->file, page_up(size) / PAGE, OBJECT_PAGES);
	last = size % PAGE ? pagemap_get(&p->file, size / PAGE) : NULL;
	if (last)
		memset(last->bytes + size % PAGE, 0, PAGE - size % PAGE);
}

/* hf_object_sync */

static bool pick_sync(struct world *w, struct call *c)
{
	c->object = some_object(w);
	if (!c->object)
		return false;
	c->offset = one_in(w, 2) ? 0 : below(w, c->object->size + PAGE);
	c->len = one_in(w, 2) ? some_bytes(w) : c->object->size;
	if (one_in(w, 40))
		c->len = one_in(w, 2) ? 0 : UINT64_MAX - below(w, PAGE);
	return true;
}

static enum hf_status expect_sync(struct world *w, struct call *c)
{
	(void)w;
	if (!c->len)
		return HF_ERR_EMPTY;
	return c->offset + c->len < c->offset ? HF_ERR_WRAP : HF_OK;
}

static enum hf_status call_sync(struct world *w, struct call *c)
{
	(void)w;
	return hf_object_sync(c->object->real, c->offset, c->len);
}

/* What was written in [offset, offset+len), in whole pages, is in the file. */
static void compare_file(struct world *w, const struct model_object *object, uint64_t offset,
			 uint64_t len)
{
	uint64_t lo = page_of(offset);

	if (object->pager && !file_is_whole(object->pager, lo, page_up(offset + len - lo)))
		disagree(w, "object %u: the file lacks what was written", object->id);
}

static void done_sync(struct world *w, struct call *c)
{
	compare_file(w, c->object, c->offset, c->len);
}

/* hf_msync */

static bool pick_msync(struct world *w, struct call *c)
{
	static const unsigned often[] = { 0,	      HF_MS_SYNC,  HF_MS_SYNC,
					  HF_MS_SYNC, HF_MS_ASYNC, HF_MS_SYNC | HF_MS_INVALIDATE };

	c->flags = one_in(w, 20) ? (unsigned)below(w, 16) : often[below(w, 6)];
	return pick_range(w, c);
}

static enum hf_status expect_msync(struct world *w, struct call *c)
{
	enum hf_status status;

	if (c->flags > 7 || (c->flags & 5) == 5)
		return HF_ERR_FLAGS;
	status = expect_mapped(w, c);
	if (!status && (c->flags & HF_MS_INVALIDATE) &&
	    model_bytes_with(&c->m->model, c->va, page_up(c->len), MODEL_LOCKED))
		status = HF_ERR_BUSY;
	return status;
}

static enum hf_status call_msync(struct world *w, struct call *c)
{
	(void)w;
	return hf_msync(&c->m->mm, c->va, c->len, c->flags);
}

static void done_msync(struct world *w, struct call *c)
{
	hf_va end = c->va + page_up(c->len);

	for (size_t i = 0; i < c->m->model.count && (c->flags & HF_MS_SYNC); i++) {
		const struct model_region *r = &c->m->model.regions[i];
		hf_va lo = r->start > c->va ? r->start : c->va, hi = r->end < end ? r->end : end;

		if ((r->attr.flags & MODEL_SHARED) && lo < hi)
			compare_file(w, r->attr.object, r->offset + (lo - r->start), hi - lo);
	}
}

/* hf_mincore: the answer is in w->buf[0] */

static bool pick_mincore(struct world *w, struct call *c)
{
	pick_range(w, c);
	return c->len <= MAX_BYTES * PAGE || c->len > UINT64_MAX - 2 * PAGE;
}

static enum hf_status call_mincore(struct world *w, struct call *c)
{
	return hf_mincore(&c->m->mm, c->va, c->len, w->buf[0]);
}

/* Shared memory that was written is there; what is pinned is; the rest is as hf_translate says. */
static void done_mincore(struct world *w, struct call *c)
{
	for (uint64_t i = 0; i < page_up(c->len) / PAGE; i++) {
		hf_va va = c->va + i * PAGE;
		const struct model_page *page = model_page_seen(&c->m->model, va);
		const struct model_page *under = model_page_under(&c->m->model, va);
		const struct model_region *region = model_at(&c->m->model, va);
		struct hf_translation t;
		bool there = hf_translate(&c->m->mm, va, &t) == HF_OK;
		bool shmem = region->attr.object && !region->attr.object->pager;

		if (!region->attr.object ? w->buf[0][i] != there : there && !w->buf[0][i])
			disagree(w, "page 0x%llx is %sin memory", (unsigned long long)va,
				 there ? "" : "not ");
		if (!w->buf[0][i] &&
		    ((page && page->pins) || (shmem && under && page == under &&
					      !pagemap_get(&c->m->model.unsure, va / PAGE))))
			disagree(w, "page 0x%llx is told not to be in memory",
				 (unsigned long long)va);
	}
}

static const struct operation list[] = {
	{ .name = "object", .weight = 8, .pick = pick_create, .call = call_create },
	{ .name = "object put", .weight = 3, .pick = pick_object, .call = call_put },
	{ .name = "object read",
	  .weight = 10,
	  .pick = pick_bytes,
	  .expect = expect_bytes,
	  .call = call_read,
	  .done = done_read },
	{ .name = "object write",
	  .weight = 15,
	  .pick = pick_write,
	  .expect = expect_bytes,
	  .call = call_write,
	  .done = done_write },
	{ .name = "hf_mmap_object",
	  .copies = true,
	  .weight = 40,
	  .pick = pick_mmap,
	  .expect = expect_mmap,
	  .call = call_mmap,
	  .done = done_mmap },
	{ .name = "mmap shared",
	  .weight = 10,
	  .pick = pick_anonymous,
	  .expect = expect_anonymous,
	  .call = call_anonymous,
	  .done = done_anonymous },
	{ .name = "truncate",
	  .weight = 10,
	  .pick = pick_truncate,
	  .expect = expect_truncate,
	  .call = call_truncate,
	  .done = done_truncate },
	{ .name = "object sync",
	  .weight = 8,
	  .pick = pick_sync,
	  .expect = expect_sync,
	  .call = call_sync,
	  .done = done_sync },
	{ .name = "hf_msync",
	  .weight = 12,
	  .pick = pick_msync,
	  .expect = expect_msync,
	  .call = call_msync,
	  .done = done_msync },
	{ .name = "hf_mincore",
	  .weight = 8,
	  .pick = pick_mincore,
	  .expect = expect_mapped,
	  .call = call_mincore,
	  .done = done_mincore },
};
OPERATIONS(object_operations, list);
