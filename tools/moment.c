/* SPDX-License-Identifier: MIT */
#include "moment.h"

#include <string.h>

size_t moment_size(const struct layout *layout)
{
	return sizeof(struct moment) + layout_slots(layout) * sizeof(uint64_t);
}

void moment_begin(struct moment *moment, uint64_t serial, const struct reader *reader,
		  const struct writers *writers)
{
	memset(moment, 0, sizeof(*moment));
	moment->serial = serial;
	moment->slots = layout_slots(reader->layout);
	for (size_t i = 0; i < moment->slots; i++) {
		uint64_t word = reader_slot(reader, i);

		moment->slot[i] = slot_settled(word) ? word : 0;
	}
	moment->field_before = atomic_load(&writers->field_writes);
}

void moment_end(struct moment *moment, const struct reader *reader, const struct writers *writers)
{
	moment->field_after = atomic_load(&writers->field_writes);
	for (size_t i = 0; i < moment->slots; i++)
		if (moment->slot[i] != reader_slot(reader, i))
			moment->slot[i] = 0;
}

/* One page at either end of the heap: the first of the zone and the last of the field. */
static struct stamp *witness(const struct layout *layout, char *base, int which)
{
	return layout_stamp(base, which ? layout_pages(layout) - 1 : 0);
}

void moment_parent_write(const struct moment *moment, const struct layout *layout, char *base)
{
	for (int i = 0; i < 2; i++)
		atomic_store(&witness(layout, base, i)->parent, moment->serial);
}

void moment_parent_look(struct moment *moment, const struct layout *layout, char *base)
{
	for (int i = 0; i < 2; i++)
		if (atomic_load(&witness(layout, base, i)->child) == moment->serial)
			moment->parent.foreign = true;
}

static void count(struct finding *finding, const struct piece *piece, enum files_verdict verdict)
{
	if (verdict == FILES_SAME)
		finding->compared += piece->len;
	else if (verdict == FILES_DIFFER)
		finding->differ++;
}

void moment_parent_compare(struct moment *moment, struct reader *reader, char *scratch)
{
	for (size_t i = 0; i < moment->slots; i++) {
		const struct piece *piece;

		if (!moment->slot[i] || !reader_rests(reader, i))
			continue;
		piece = slot_piece(reader->files, moment->slot[i]);
		count(&moment->parent, piece,
		      files_compare(reader->files, piece, reader->base + i * SLOT_BYTES, scratch));
	}
}

void moment_child(struct moment *moment, const struct layout *layout, const struct files *files,
		  char *base, char *scratch)
{
	struct finding *found = &moment->child;

	for (size_t i = 0; i < moment->slots; i++) {
		const struct piece *piece;

		if (!moment->slot[i])
			continue;
		piece = slot_piece(files, moment->slot[i]);
		count(found, piece, files_compare(files, piece, base + i * SLOT_BYTES, scratch));
	}
	found->torn = writers_pairs_torn(layout, base) ||
		      writers_field_torn(layout, base, moment->field_before, moment->field_after);
	for (int i = 0; i < 2; i++) {
		struct stamp *stamp = witness(layout, base, i);

		found->foreign = found->foreign || atomic_load(&stamp->parent) == moment->serial;
		atomic_store(&stamp->child, moment->serial);
	}
}
