/* SPDX-License-Identifier: MIT */
/*
 * The moment of a fork: what the parent knows to hold then, and what its child finds. Lies in
 * memory that a forked process shares with its parent.
 */
#ifndef TOOLS_MOMENT_H
#define TOOLS_MOMENT_H

#include "files.h"
#include "layout.h"
#include "reader.h"
#include "writers.h"

/* What a look at a heap found. */
struct finding {
	uint64_t compared; /* file bytes */
	uint64_t differ;   /* slots that hold other bytes than their file */
	bool torn;	   /* a later write is there and an earlier one is not */
	bool foreign;	   /* a write that the other of parent and child made after the fork */
};

struct moment {
	uint64_t serial; /* of the fork, from 1 */
	uint64_t field_before, field_after;
	struct finding parent, child;
	size_t slots;
	uint64_t slot[]; /* states, 0 for slots that were empty or changing */
};

size_t moment_size(const struct layout *layout);

/* Right before the fork, and right after it. */
void moment_begin(struct moment *moment, uint64_t serial, const struct reader *reader,
		  const struct writers *writers);
void moment_end(struct moment *moment, const struct reader *reader, const struct writers *writers);

/*
 * The parent writes what the child must not see; compares its own slots, those at rest; and when
 * the child has written, looks at whether that shows.
 */
void moment_parent_write(const struct moment *moment, const struct layout *layout, char *base);
void moment_parent_compare(struct moment *moment, struct reader *reader, char *scratch);
void moment_parent_look(struct moment *moment, const struct layout *layout, char *base);

/* The child's part: look at everything, then write. Async-signal-safe. */
void moment_child(struct moment *moment, const struct layout *layout, const struct files *files,
		  char *base, char *scratch);

#endif
