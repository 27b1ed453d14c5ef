/* SPDX-License-Identifier: MIT */
/*
 * The state snapshot of port.h: everything a caller could tell about all live spaces of a
 * machine, taken before a call that is to fail and compared after it.
 */
#include "port.h"

struct leaf {
	hf_va va;
	hf_pa pa;
	unsigned level, access;
};

struct pinned_page {
	hf_va va;
	hf_pa pa;
	uint32_t pins;
};

struct region {
	struct hf_vma_info vma;
	uint64_t contents; /* hash of the bytes; zeros and absent pages are alike */
};

struct space_state {
	struct space *s;
	struct region *regions;
	struct leaf *leaves;
	struct pinned_page *pinned;
	size_t region_count, leaf_count, pinned_count;
};

struct state {
	struct space_state spaces[MAX_SPACES];
	size_t space_count;
	uint64_t free_bytes;
};

/* Room for one more element; arrays double. */
static void *grown(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return realloc(array, (count ? count * 2 : 1) * size);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0xff51afd7ed558ccdu;
	return hash ^ (hash >> 32);
}

/* 0 for a page of zeros, so that a page not yet there hashes like one that is. */
static uint64_t page_hash(hf_va va, const void *page)
{
	const uint64_t *words = page;
	uint64_t any = 0, hash = mix(1, va);

	for (size_t i = 0; i < PAGE / sizeof(*words); i++)
		any |= words[i];
	if (!any)
		return 0; /* soon, for most of a 1 GiB page is */
	for (size_t i = 0; i < PAGE / sizeof(*words); i++)
		hash = mix(hash, words[i]);
	return hash;
}

static void note_page(struct space_state *state, struct region *region, hf_va va, hf_pa pa)
{
	struct hf_phys *phys = state->s->m->phys;
	uint32_t pins = pins_at(state->s->m, pa);

	region->contents += page_hash(va, hf_phys_ptr(phys, pa));
	if (!pins)
		return;
	state->pinned = grown(state->pinned, state->pinned_count, sizeof(*state->pinned));
	state->pinned[state->pinned_count++] = (struct pinned_page){ va, pa, pins };
}

/* Note the leaf at va; returns where to look next. */
static hf_va note_leaf(struct space_state *state, struct region *region, hf_va va)
{
	struct hf_translation t;
	hf_va end;

	if (hf_translate(state->s->mm, va, &t) != HF_OK)
		return va + PAGE;
	state->leaves = grown(state->leaves, state->leaf_count, sizeof(*state->leaves));
	state->leaves[state->leaf_count++] = (struct leaf){ t.va, t.pa, t.level, t.access };
	end = t.va + t.len;
	for (hf_va at = va; at < end; at += PAGE)
		note_page(state, region, at, (hf_pa){ t.pa.v + (at - t.va) });
	return end;
}

static void note_space(struct space_state *state, struct space *s)
{
	struct hf_vma_info vma;

	state->s = s;
	for (hf_va va = 0; hf_vma_next(s->mm, va, &vma) == HF_OK; va = vma.end) {
		struct region *region;

		state->regions =
			grown(state->regions, state->region_count, sizeof(*state->regions));
		region = &state->regions[state->region_count++];
		*region = (struct region){ .vma = vma };
		for (hf_va at = vma.start; at < vma.end;)
			at = note_leaf(state, region, at);
	}
}

struct state *state_take(struct machine *m)
{
	struct state *state = calloc(1, sizeof(*state));

	for (size_t i = 0; i < MAX_SPACES; i++) {
		if (m->spaces[i])
			note_space(&state->spaces[state->space_count++], m->spaces[i]);
	}
	state->free_bytes = free_bytes(m);
	return state;
}

void state_drop(struct state *state)
{
	for (size_t i = 0; i < state->space_count; i++) {
		free(state->spaces[i].regions);
		free(state->spaces[i].leaves);
		free(state->spaces[i].pinned);
	}
	free(state);
}

static bool vmas_differ(const struct hf_vma_info *a, const struct hf_vma_info *b)
{
	return a->start != b->start || a->end != b->end || a->prot != b->prot ||
	       a->huge != b->huge || a->huge_1g != b->huge_1g || a->dontfork != b->dontfork ||
	       a->wipeonfork != b->wipeonfork || a->locked != b->locked ||
	       a->lock_on_fault != b->lock_on_fault || a->grows_down != b->grows_down ||
	       a->sealed != b->sealed;
}

/* Each of these prints the first difference and returns whether there was one. */

static bool regions_differ(const struct space_state *a, const struct space_state *b)
{
	for (size_t i = 0; i < a->region_count && i < b->region_count; i++) {
		const struct hf_vma_info *x = &a->regions[i].vma, *y = &b->regions[i].vma;

		if (vmas_differ(x, y)) {
			print_error("mapping [0x%llx, 0x%llx) prot %u became [0x%llx, 0x%llx) "
				    "prot %u, or its advice changed\n",
				    (unsigned long long)x->start, (unsigned long long)x->end,
				    x->prot, (unsigned long long)y->start,
				    (unsigned long long)y->end, y->prot);
			return true;
		}
		if (a->regions[i].contents != b->regions[i].contents) {
			print_error("contents of [0x%llx, 0x%llx) changed\n",
				    (unsigned long long)x->start, (unsigned long long)x->end);
			return true;
		}
	}
	if (a->region_count != b->region_count)
		print_error("%zu mappings became %zu\n", a->region_count, b->region_count);
	return a->region_count != b->region_count;
}

static bool pins_differ(const struct space_state *a, const struct space_state *b)
{
	for (size_t i = 0; i < a->pinned_count && i < b->pinned_count; i++) {
		const struct pinned_page *x = &a->pinned[i], *y = &b->pinned[i];

		if (x->va == y->va && x->pa.v == y->pa.v && x->pins == y->pins)
			continue;
		print_error("pins: va 0x%llx pa 0x%llx %u pins became va 0x%llx pa 0x%llx %u\n",
			    (unsigned long long)x->va, (unsigned long long)x->pa.v, x->pins,
			    (unsigned long long)y->va, (unsigned long long)y->pa.v, y->pins);
		return true;
	}
	if (a->pinned_count != b->pinned_count)
		print_error("%zu pinned pages became %zu\n", a->pinned_count, b->pinned_count);
	return a->pinned_count != b->pinned_count;
}

static bool leaves_differ(const struct space_state *a, const struct space_state *b)
{
	for (size_t i = 0; i < a->leaf_count && i < b->leaf_count; i++) {
		const struct leaf *x = &a->leaves[i], *y = &b->leaves[i];

		if (x->va == y->va && x->pa.v == y->pa.v && x->level == y->level &&
		    x->access == y->access)
			continue;
		print_error("leaf: va 0x%llx pa 0x%llx level %u access %u became "
			    "va 0x%llx pa 0x%llx level %u access %u\n",
			    (unsigned long long)x->va, (unsigned long long)x->pa.v, x->level,
			    x->access, (unsigned long long)y->va, (unsigned long long)y->pa.v,
			    y->level, y->access);
		return true;
	}
	if (a->leaf_count != b->leaf_count)
		print_error("%zu leaves became %zu\n", a->leaf_count, b->leaf_count);
	return a->leaf_count != b->leaf_count;
}

static bool space_differs(const struct space_state *a, const struct space_state *b, unsigned parts)
{
	if ((parts & STATE_VISIBLE) && (regions_differ(a, b) || pins_differ(a, b)))
		return true;
	return (parts & STATE_TABLES) && leaves_differ(a, b);
}

static bool state_differs(const struct state *a, const struct state *b, unsigned parts)
{
	if (a->space_count != b->space_count) {
		print_error("%zu spaces became %zu\n", a->space_count, b->space_count);
		return true;
	}
	for (size_t i = 0; i < a->space_count; i++) {
		if (space_differs(&a->spaces[i], &b->spaces[i], parts)) {
			print_error("  in space %zu of %zu\n", i, a->space_count);
			return true;
		}
	}
	if ((parts & STATE_FREE) && a->free_bytes != b->free_bytes) {
		print_error("free memory: %llu bytes became %llu\n",
			    (unsigned long long)a->free_bytes, (unsigned long long)b->free_bytes);
		return true;
	}
	return false;
}

void state_same(struct machine *m, const struct state *before, unsigned parts, const char *call,
		const char *file, int line)
{
	struct state *after = state_take(m);
	bool differs = state_differs(before, after, parts);

	state_drop(after);
	if (!differs)
		return;
	print_error("%s\n  failed, but changed the state\n", call);
	_fail(file, line);
}
