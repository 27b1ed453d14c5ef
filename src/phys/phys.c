/* SPDX-License-Identifier: MIT */
/* Physical memory as the host sees it: start, stop, blocks of its own, trim. */
#include "../lib/lock.h"
#include "../lib/mem.h"
#include "buddy.h"
#include "count.h"
#include "frame.h"
#include "reserve.h"
#include "zero.h"

#include <holdfast/phys.h>

#define MAX_PA ((uint64_t)1 << (32 + HF_PAGE_SHIFT))

uint64_t hf_phys_meta_size(uint64_t len)
{
	return (len >> HF_PAGE_SHIFT) * HF_FRAME_META;
}

static enum hf_status check_port(const struct hf_port *port)
{
	if (!port || !port->flush || !port->panic || !port->wait != !port->wake)
		return HF_ERR_INVAL;
	return HF_OK;
}

static enum hf_status check_ram(const struct hf_ram *ram, uint64_t above)
{
	const uint64_t mask = HF_PAGE_SIZE - 1;

	if (!ram->map || !ram->meta)
		return HF_ERR_INVAL;
	if ((ram->base.v & mask) || (ram->len & mask) || ((uintptr_t)ram->meta & 7))
		return HF_ERR_ALIGN;
	if (!ram->len)
		return HF_ERR_EMPTY;
	if (ram->base.v + ram->len < ram->base.v)
		return HF_ERR_WRAP;
	/* The last frame number is HF_NIL. */
	if (ram->base.v + ram->len > MAX_PA - HF_PAGE_SIZE)
		return HF_ERR_RANGE;
	return ram->base.v < above ? HF_ERR_OVERLAP : HF_OK;
}

static enum hf_status check_phys_config(const struct hf_phys_config *c)
{
	enum hf_status st = check_port(c->port);
	uint64_t above = 0;

	if (st)
		return st;
	if (c->count_limit == 1 || c->count_limit > INT32_MAX)
		return HF_ERR_FLAGS;
	if (!c->ram_count)
		return HF_ERR_EMPTY;
	for (size_t i = 0; i < c->ram_count; i++) {
		st = check_ram(&c->ram[i], above);
		if (st)
			return st;
		above = c->ram[i].base.v + c->ram[i].len;
	}
	return HF_OK;
}

/*
 * Put one range into the free lists, in the largest aligned blocks that fit, from the top
 * down so that the lowest block of each order is handed out first. The last *index frames of
 * the RAM, or what is left of them, are the index's.
 */
HF_HOLDS(phys)
static void add_ram(struct hf_phys *phys, const struct hf_ram *ram, uint64_t *index, bool zeroed)
{
	uint32_t start = (uint32_t)(ram->base.v >> HF_PAGE_SHIFT);
	uint32_t end = start + (uint32_t)(ram->len >> HF_PAGE_SHIFT);

	memset(ram->meta, 0, hf_phys_meta_size(ram->len));
	phys->total_frames += end - start;
	for (; *index && end > start; (*index)--)
		hf_frame_set_kind(hf_frame_at(phys, (hf_pfn){ --end }), HF_FRAME_INDEX);
	while (end > start) {
		unsigned order = 0;

		while (order < HF_MAX_ORDER && !(end & (1u << order)) && end - start >= 2u << order)
			order++;
		end -= 1u << order;
		hf_block_add_locked(phys, (hf_pfn){ end }, order, zeroed);
	}
}

enum hf_status hf_phys_init(struct hf_phys *phys, const struct hf_phys_config *config)
{
	enum hf_status st = check_phys_config(config);
	uint64_t index;
	hf_pfn zero;

	if (st)
		return st;
	*phys = (struct hf_phys){
		.port = config->port,
		.host = config->host,
		.ram = config->ram,
		.ram_count = config->ram_count,
		.count_limit = config->count_limit ? config->count_limit : INT32_MAX,
		.zero = { { HF_NIL }, { HF_NIL } },
		.next_frame = HF_NIL,
		.spare_head = HF_NIL,
		.spare_home = { HF_NIL },
	};
	for (unsigned o = 0; o <= HF_MAX_ORDER; o++)
		phys->free_head[o] = HF_NIL;
	index = hf_ram_index(phys);
	phys->index_frames = index;
	hf_phys_lock(phys);
	for (size_t i = phys->ram_count; i--;)
		add_ram(phys, &phys->ram[i], &index, config->zeroed);
	hf_zero_page_locked(phys, HF_LEVEL_PTE, &zero); /* nothing has been taken yet */
	phys->spare_target = HF_SPARES_EDIT;
	if (phys->total_frames / 64 < HF_SPARES_EDIT)
		phys->spare_target = (uint32_t)(phys->total_frames / 64);
	hf_spare_fill_locked(phys);
	hf_phys_unlock(phys);
	return HF_OK;
}

enum hf_status hf_phys_fini(struct hf_phys *phys)
{
	enum hf_status st = HF_OK;
	uint64_t own;

	hf_phys_lock(phys);
	own = 1 + phys->spares + phys->index_frames;
	if (phys->zero[1].v != HF_NIL)
		own += HF_TABLE_ENTRIES;
	if (phys->spaces || phys->free_frames + own != phys->total_frames)
		st = HF_ERR_BUSY;
	hf_phys_unlock(phys);
	return st;
}

enum hf_status hf_phys_alloc(struct hf_phys *phys, unsigned order, hf_pa *out)
{
	hf_pfn pfn;
	bool clean, ok;

	if (order > HF_MAX_ORDER)
		return HF_ERR_INVAL;
	hf_phys_lock(phys);
	ok = hf_block_alloc_locked(phys, order, &pfn, &clean);
	if (ok) {
		struct hf_frame *f = hf_frame_at(phys, pfn);

		hf_frame_set_kind(f, HF_FRAME_HOST);
		f->order = order & HF_ORDER_MASK;
	}
	hf_phys_unlock(phys);
	if (!ok)
		return HF_ERR_NOMEM;
	*out = hf_pfn_pa(pfn);
	return HF_OK;
}

enum hf_status hf_phys_free(struct hf_phys *phys, hf_pa pa, unsigned order)
{
	hf_pfn pfn = { (uint32_t)(pa.v >> HF_PAGE_SHIFT) };
	enum hf_status st = HF_ERR_INVAL;
	struct hf_frame *f;

	if (!hf_phys_ptr(phys, pa))
		return HF_ERR_RANGE;
	f = hf_frame_at(phys, pfn);
	hf_phys_lock(phys);
	if (!(pa.v & (HF_PAGE_SIZE - 1)) && hf_frame_get_kind(f) == HF_FRAME_HOST &&
	    f->order == order) {
		hf_frame_set_kind(f, HF_FRAME_PLAIN);
		hf_block_free_locked(phys, pfn, order);
		st = HF_OK;
	}
	hf_phys_unlock(phys);
	return st;
}

void *hf_phys_ptr(const struct hf_phys *phys, hf_pa pa)
{
	hf_pfn pfn = { (uint32_t)(pa.v >> HF_PAGE_SHIFT) };

	if (pa.v >= MAX_PA || !hf_ram_of(phys, pfn))
		return NULL;
	return (char *)hf_frame_ptr(phys, pfn) + (pa.v & (HF_PAGE_SIZE - 1));
}

enum hf_status hf_phys_pins(struct hf_phys *phys, hf_pa pa, uint32_t *out)
{
	if (!hf_phys_ptr(phys, pa))
		return HF_ERR_RANGE;
	hf_phys_lock(phys);
	*out = hf_pins_locked(phys, (hf_pfn){ (uint32_t)(pa.v >> HF_PAGE_SHIFT) });
	hf_phys_unlock(phys);
	return HF_OK;
}

void hf_phys_stats(struct hf_phys *phys, struct hf_phys_stats *out)
{
	memset(out, 0, sizeof(*out));
	hf_phys_lock(phys);
	hf_loose_join_locked(phys);
	out->total_bytes = phys->total_frames << HF_PAGE_SHIFT;
	out->free_bytes = phys->free_frames << HF_PAGE_SHIFT;
	out->reserve_bytes = (uint64_t)phys->spares << HF_PAGE_SHIFT;
	out->allocs = phys->allocs;
	for (unsigned o = 0; o <= HF_MAX_ORDER; o++)
		out->free_blocks[o] = phys->free_count[o];
	hf_phys_unlock(phys);
}

/*
 * From *at on: the next block that has been used since it was last offered, taken out of the free
 * memory. False: there is none before `end`, or too much has been looked at for once. *at is where
 * to go on.
 */
static bool next_dirty_block(struct hf_phys *phys, uint32_t *at, uint32_t end, unsigned step,
			     unsigned min_order, hf_pfn *block, unsigned *order)
{
	bool found = false;

	hf_phys_lock(phys);
	for (unsigned looked = 0; looked < HF_BATCH && *at < end && !found; looked++) {
		block->v = *at;
		*order = step;
		found = hf_block_take_dirty_locked(phys, block, min_order, order);
		*at = (block->v | ((1u << *order) - 1)) + 1;
	}
	hf_phys_unlock(phys);
	return found;
}

uint64_t hf_phys_trim(struct hf_phys *phys, unsigned min_order)
{
	unsigned step = min_order < HF_TABLE_BITS ? min_order : HF_TABLE_BITS, order;
	uint64_t bytes = 0;
	hf_pfn block;

	if (!phys->port->discard)
		return 0;
	hf_phys_lock(phys);
	hf_loose_join_locked(phys);
	hf_phys_unlock(phys);
	for (size_t i = 0; i < phys->ram_count; i++) {
		uint32_t at = (uint32_t)(phys->ram[i].base.v >> HF_PAGE_SHIFT);
		uint32_t end = at + (uint32_t)(phys->ram[i].len >> HF_PAGE_SHIFT);

		while (at < end) {
			if (!next_dirty_block(phys, &at, end, step, min_order, &block, &order))
				continue;
			phys->port->discard(phys->host, hf_pfn_pa(block), HF_PAGE_SIZE << order);
			bytes += HF_PAGE_SIZE << order;
			hf_phys_lock(phys);
			hf_block_add_locked(phys, block, order, true);
			hf_phys_unlock(phys);
		}
	}
	return bytes;
}

void hf_phys_fail_after(struct hf_phys *phys, uint64_t n)
{
	hf_phys_lock(phys);
	phys->fail_after = n;
	hf_phys_unlock(phys);
}
