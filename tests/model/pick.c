/* SPDX-License-Identifier: MIT */
/* Arguments that are likely to meet something. */
#include "ops.h"

hf_va any_va(struct world *w)
{
	return w->lo + below(w, w->hi - w->lo);
}

/* A page of the region: where something was written, at its ends, or anywhere. */
static hf_va page_in(struct world *w, const struct model *model, const struct model_region *region)
{
	uint64_t first = region->start / PAGE, count = (region->end - region->start) / PAGE;
	uint64_t at = first + below(w, count);

	switch (below(w, 8)) {
	case 0:
		return (first + below(w, count < 4 ? count : 4)) * PAGE;
	case 1:
		return (first + count - 1 - below(w, count < 4 ? count : 4)) * PAGE;
	case 2:
	case 3:
	case 4:
		if (pagemap_next(&model->pages, at, first + count, &at) ||
		    pagemap_next(&model->pages, first, first + count, &at))
			return at * PAGE;
		return at * PAGE;
	default:
		return at * PAGE;
	}
}

hf_va used_va(struct world *w, const struct model *model)
{
	const struct model_region *region;

	if (one_in(w, 8) || !model->count)
		return any_va(w);
	if (one_in(w, 2)) { /* large ones are more likely */
		region = model_above(model, any_va(w));
		if (!region)
			region = &model->regions[model->count - 1];
	} else {
		region = &model->regions[below(w, model->count)];
	}
	return page_in(w, model, region) + (one_in(w, 3) ? below(w, PAGE) : 0);
}

uint64_t some_bytes(struct world *w)
{
	switch (below(w, 12)) {
	case 0:
		return 1 + below(w, MAX_BYTES);
	case 1:
		return PAGE * (1 + below(w, 4));
	case 2:
	case 3:
		return 1 + below(w, 3 * PAGE);
	default:
		return 1 + below(w, 64);
	}
}

/* A length for something that works on pages; now and then not a multiple of them. */
static uint64_t some_pages(struct world *w)
{
	uint64_t len;

	switch (below(w, 8)) {
	case 0:
		len = PMD_SIZE * (1 + below(w, 3));
		break;
	case 1:
		len = PAGE * (1 + below(w, 700));
		break;
	default:
		len = PAGE * (1 + below(w, 24));
		break;
	}
	if (w->big && one_in(w, 12))
		len = one_in(w, 2) ? PUD_SIZE : PMD_SIZE * (1 + below(w, 600));
	return one_in(w, 16) ? len - below(w, PAGE) : len;
}

/* Cut the range where the mapped memory ends. */
static uint64_t until_hole(const struct model *model, hf_va va, uint64_t len)
{
	hf_va at = va;

	while (at < va + len) {
		const struct model_region *region = model_at(model, at);

		if (!region)
			return at - va;
		at = region->end;
	}
	return len;
}

void some_range(struct world *w, const struct model *model, hf_va *va, uint64_t *len)
{
	const struct model_region *region;

	*va = page_of(used_va(w, model));
	*len = some_pages(w);
	region = model_at(model, *va);
	/* a range inside a huge page splits it: most of the time take it whole */
	if (region && (region->attr.flags & MODEL_HUGE) && !one_in(w, 5))
		*len = (region->attr.flags & MODEL_HUGE_1G) && one_in(w, 2) ? PUD_SIZE : PMD_SIZE;
	if (*len >= PUD_SIZE)
		*va &= ~(PUD_SIZE - 1);
	else if (*len >= PMD_SIZE || one_in(w, 8))
		*va &= ~(PMD_SIZE - 1);
	if (*va < model->lo)
		*va = model->lo;
	if (!one_in(w, 4) && model_at(model, *va))
		*len = until_hole(model, *va, *len);
}

void spoil(struct world *w, hf_va *va, uint64_t *len)
{
	if (!one_in(w, 40))
		return;
	switch (below(w, 6)) {
	case 0:
		*va += 1 + below(w, PAGE - 1);
		break;
	case 1:
		*len = 0;
		break;
	case 2:
		*len = UINT64_MAX - below(w, PAGE);
		break;
	case 3:
		*va = w->hi - PAGE;
		*len = 2 * PAGE;
		break;
	case 4:
		*va = w->lo - PAGE;
		break;
	default:
		*va = 0 - PAGE;
		*len = 2 * PAGE;
		break;
	}
}

unsigned some_prot(struct world *w)
{
	static const unsigned often[] = { 3, 3, 3, 3, 3, 3, 3, 1, 1, 0, 2, 4, 5, 7 };

	return one_in(w, 200) ? 8 : often[below(w, sizeof(often) / sizeof(often[0]))];
}

void some_content(struct world *w, uint8_t *buf, uint64_t len)
{
	uint64_t seed = below(w, UINT32_MAX);

	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((seed += 0x9e3779b9) >> 13);
}

bool pick_range(struct world *w, struct call *c)
{
	some_range(w, &c->m->model, &c->va, &c->len);
	spoil(w, &c->va, &c->len);
	return true;
}

enum hf_status expect_mapped(struct world *w, struct call *c)
{
	enum hf_status status = model_check_range(&c->m->model, c->va, c->len, true);

	(void)w;
	return status ? status : model_check_mapped(&c->m->model, c->va, page_up(c->len));
}
