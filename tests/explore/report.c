/* SPDX-License-Identifier: MIT */
/* A schedule told step by step: who, what, where; and the tables drawn as they change. */
#include "explore.h"
#include "shim.h"

#include "arch/entry.h"

#include <holdfast/report.h>

#include <stdio.h>
#include <stdlib.h>
#undef memset
#undef memcpy
#undef memmove
#include <string.h>

bool hfx_telling, hfx_drawing;

static const char *const op_name[HFX_OPS] = {
	[HFX_BEGIN] = "begins",
	[HFX_LOAD] = "loads",
	[HFX_STORE] = "stores",
	[HFX_STORED] = "has stored",
	[HFX_RMW] = "changes",
	[HFX_LOCK] = "takes",
	[HFX_SHARED] = "takes, shared,",
	[HFX_ANNOUNCE] = "claims",
	[HFX_DRAIN] = "has",
	[HFX_TRY] = "tries",
	[HFX_UNLOCK] = "gives up",
	[HFX_SLEEP] = "wakes at",
	[HFX_UNTIL] = "has waited for",
	[HFX_WAKE] = "wakes who sleeps at",
	[HFX_FLUSH] = "flushes",
	[HFX_WALK] = "walks on",
	[HFX_ACCESS] = "accesses memory on",
	[HFX_COPY] = "copies",
	[HFX_CALL] = "calls",
	[HFX_COMMIT] = "commits to",
};

/* Where in a space's tables the frame is a table: "L0 of a at 0x..". */
static bool find_table(hf_pfn table, unsigned level, hf_va va, hf_pfn wanted, char *out,
		       size_t size)
{
	const hf_pte *e =
		(const hf_pte *)(const void *)(hfx_ram + ((uint64_t)table.v << HF_PAGE_SHIFT) -
					       HFX_RAM_BASE);

	if (table.v == wanted.v) {
		snprintf(out, size, "L%u at %#llx", level, (unsigned long long)va);
		return true;
	}
	for (unsigned i = 0; level && i < HF_TABLE_ENTRIES; i++)
		if (hf_pte_branch(e[i], level) &&
		    find_table(hf_pte_pfn(e[i]), level - 1, va + i * hf_level_size(level), wanted,
			       out, size))
			return true;
	return false;
}

static const char *table_name(unsigned frame)
{
	static char text[120];
	hf_pfn pfn = { frame + (uint32_t)(HFX_RAM_BASE >> HF_PAGE_SHIFT) };
	size_t n;

	text[0] = 0;
	for (unsigned i = 0; i < HFX_SPACES; i++) {
		char where[64];

		if (!w.mm[i].phys || w.mm[i].root.v == HF_NIL ||
		    !find_table(w.mm[i].root, HF_TOP_LEVEL, 0, pfn, where, sizeof(where)))
			continue;
		n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "%s%s of space %c", n ? ", " : "", where,
			 'a' + i);
	}
	if (!text[0])
		snprintf(text, sizeof(text), "frame %u", frame);
	return text;
}

/* Something in the world's struct. */
static const char *world_name(size_t at)
{
	static char text[80];

#define IN(field) (at - offsetof(struct hfx_world, field) < sizeof(w.field))
#define INDEX(field) ((at - offsetof(struct hfx_world, field)) / sizeof(w.field[0]))
	if (at == offsetof(struct hfx_world, phys.lock))
		return "phys->lock";
	if (at == offsetof(struct hfx_world, phys.spaces_lock))
		return "phys->spaces_lock";
	if (IN(phys))
		snprintf(text, sizeof(text), "phys + %zu", at);
	else if (IN(mm))
		snprintf(text, sizeof(text), "%s of space %c",
			 (at - offsetof(struct hfx_world, mm)) % sizeof(w.mm[0]) ==
					 offsetof(struct hf_mm, rwlock)
				 ? "the lock"
				 : "something",
			 (char)('a' + INDEX(mm)));
	else if (IN(cpu))
		snprintf(text, sizeof(text), "CPU %zu", INDEX(cpu));
	else if (IN(slot))
		snprintf(text, sizeof(text), "the store, slot %zu", INDEX(slot));
	else if (IN(file))
		snprintf(text, sizeof(text), "the pager of file %zu", INDEX(file));
	else
		snprintf(text, sizeof(text), "a flag of the scenario, %zu", at);
	return text;
#undef IN
#undef INDEX
}

static const char *ram_name(uintptr_t at)
{
	static char text[200];
	unsigned frame = (unsigned)(at / PAGE);
	const struct hf_frame *f =
		hf_frame_at(&w.phys, (hf_pfn){ frame + (uint32_t)(HFX_RAM_BASE >> HF_PAGE_SHIFT) });

	if (f->kind == HF_FRAME_TABLE && !(at & 1))
		snprintf(text, sizeof(text), "entry %zu of %s", (size_t)(at % PAGE / 8),
			 table_name(frame));
	else if (f->kind == HF_FRAME_OBJECT)
		snprintf(text, sizeof(text), "object in frame %u, byte %zu", frame,
			 (size_t)(at % PAGE));
	else
		snprintf(text, sizeof(text), "the contents of frame %u", frame);
	return text;
}

static const char *descriptor_name(uintptr_t at)
{
	static char text[200];
	unsigned frame = (unsigned)(at / HF_FRAME_META);
	size_t field = at % HF_FRAME_META;
	const struct hf_frame *f =
		hf_frame_at(&w.phys, (hf_pfn){ frame + (uint32_t)(HFX_RAM_BASE >> HF_PAGE_SHIFT) });

	if (field == offsetof(struct hf_frame, lock))
		snprintf(text, sizeof(text), "the lock of table %s", table_name(frame));
	else
		snprintf(text, sizeof(text), "the descriptor of frame %u (%s)", frame,
			 field == (offsetof(struct hf_frame, kind) & ~(size_t)7) ? "kind"
			 : f->kind == HF_FRAME_TABLE				 ? "marks"
										 : "counts");
	return text;
}

const char *hfx_name_of(const void *at)
{
	uintptr_t p = (uintptr_t)at;

	if (!at)
		return "";
	if (p - (uintptr_t)&w < sizeof(w))
		return world_name(p - (uintptr_t)&w);
	if (p - (uintptr_t)hfx_ram < hfx_frames * PAGE)
		return ram_name(p - (uintptr_t)hfx_ram);
	if (p - (uintptr_t)hfx_meta < hfx_frames * HF_FRAME_META)
		return descriptor_name(p - (uintptr_t)hfx_meta);
	return "a scenario's";
}

/* ---- Drawing ---- */

static char drawn[2][20000];
static unsigned drawing;

static void add_line(void *arg, const char *line)
{
	char *text = arg;
	size_t n = strlen(text);

	snprintf(text + n, sizeof(drawn[0]) - n, "      | %s\n", line);
}

static void dump_spaces(char *text)
{
	text[0] = 0;
	for (unsigned i = 0; i < HFX_SPACES; i++) {
		char name[] = "space a";

		if (!w.mm[i].phys || w.mm[i].root.v == HF_NIL)
			continue;
		name[6] = (char)('a' + i);
		add_line(text, name);
		hf_mm_dump(&w.mm[i], add_line, text);
	}
}

/* The tables, if they have changed. The dump takes locks: the world is put back as it was. */
static void draw(void)
{
	static struct hfx_world kept;
	char *meta = malloc(hfx_frames * HF_FRAME_META);
	struct hfx_agent *self = hfx_self;

	if (!meta)
		return;
	kept = w;
	memcpy(meta, hfx_meta, hfx_frames * HF_FRAME_META);
	hfx_self = NULL;
	dump_spaces(drawn[drawing]);
	hfx_self = self;
	w = kept;
	memcpy(hfx_meta, meta, hfx_frames * HF_FRAME_META);
	free(meta);
	if (strcmp(drawn[0], drawn[1]) != 0)
		fputs(drawn[drawing], stdout);
	drawing = !drawing;
}

void hfx_tell(const struct hfx_agent *a, enum hfx_op op, const void *at)
{
	static const struct hfx_agent *last;

	if (hfx_drawing)
		draw();
	if (a != last || hfx_now == 1)
		printf("%s:\n", a->name);
	last = a;
	printf("  %5llu %c%-5llu %s %s\n", (unsigned long long)hfx_now,
	       (char)('A' + (a - hfx_agents)), (unsigned long long)a->points, op_name[op],
	       hfx_name_of(at));
}
