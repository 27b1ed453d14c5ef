/* SPDX-License-Identifier: MIT */
/*
 * The device: a thread that reads files into the slots of a heap's zone without end, by
 * io_uring and O_DIRECT into registered buffers where it may, and compares every slot with
 * its file again before the next bytes go there. It works in one half of the slots until it
 * is told to turn to the other: so at any fork there are slots being written and slots at rest.
 * Nobody but the device writes to slots.
 */
#ifndef TOOLS_READER_H
#define TOOLS_READER_H

#include "files.h"
#include "layout.h"

#include <pthread.h>

/* What the device did; in memory that processes share. */
struct device {
	_Atomic uint64_t landed;		/* bytes */
	_Atomic uint64_t compared;		/* bytes found equal to their file's */
	_Atomic uint64_t errors;		/* reads that failed, slots that differed */
	_Atomic uint64_t reads, buffered_reads; /* of all reads, those without O_DIRECT */
	char trouble[200];			/* the first error */
};

struct reader_engine;

/* Set the first group, zero the rest; calls may come from one thread at a time. */
struct reader {
	const struct files *files;
	const struct layout *layout;
	struct device *device;
	char *base;   /* the heap as its program sees it */
	char **block; /* every 2 MiB of the zone as the device sees it; NULL: use `land` */
	bool (*land)(void *ctx, size_t off, const char *bytes, size_t len);
	void *ctx;
	bool use_uring;

	_Atomic uint64_t *slot; /* see reader_slot */
	char *scratch;
	size_t next_slot, next_piece;
	_Atomic unsigned half;	  /* to work in, 0 or 1 */
	_Atomic unsigned working; /* the one in which the last read was begun */
	bool registered;	  /* the blocks are with the kernel, that is, really pinned */
	_Atomic bool stop;
	struct reader_engine *engine;
	pthread_t thread;
};

bool reader_open(struct reader *reader);
/* Start reading, registering the buffers first; stop after the reads under way have landed. */
bool reader_start(struct reader *reader);
void reader_stop(struct reader *reader);
/* Go on in the other half. On return nothing is under way in the one before. */
void reader_turn(struct reader *reader);
/* Whether a slot keeps what it holds until the next turn. */
bool reader_rests(const struct reader *reader, size_t slot);
/* Compare all slots for the last time. */
void reader_close(struct reader *reader);

/*
 * A slot's state is one word that changes with every read: the generation, odd while the device
 * writes, and above the low half, which is the piece of a file that it holds, counted from 1; 0
 * for none.
 */
static inline uint64_t reader_slot(const struct reader *reader, size_t slot)
{
	return atomic_load(&reader->slot[slot]);
}
static inline bool slot_in_flight(uint64_t word)
{
	return word >> 32 & 1;
}
static inline bool slot_settled(uint64_t word)
{
	return (uint32_t)word && !slot_in_flight(word);
}
static inline const struct piece *slot_piece(const struct files *files, uint64_t word)
{
	return &files->piece[(uint32_t)word - 1];
}

/*
 * How many of `want` bytes, in 2 MiB blocks, io_uring can register for this user now. *error is
 * why there is no io_uring at all (an errno), or 0.
 */
size_t reader_probe(size_t want, int *error);

#endif
