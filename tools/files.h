/* SPDX-License-Identifier: MIT */
/* The files that the device reads, cut into pieces that fit a slot. */
#ifndef TOOLS_FILES_H
#define TOOLS_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct file {
	char *path;
	off_t size;
	struct timespec mtime;
};

struct piece {
	uint32_t file; /* index into files->file */
	uint32_t len;
	off_t off;
};

struct files {
	struct file *file;
	struct piece *piece;
	size_t files, pieces;
	uint64_t bytes;
};

enum files_verdict {
	FILES_SAME,
	FILES_DIFFER,
	FILES_CHANGED, /* the file itself is not what it was: nothing can be said */
};

/*
 * Collect the readable regular files below `dir` that are not empty, in the order of their
 * names, without leaving the file system, until there are `max_pieces` pieces of at most
 * `piece_bytes`. False with errno set.
 */
bool files_walk(struct files *files, const char *dir, size_t piece_bytes, size_t max_pieces);
void files_free(struct files *files);

/* Whether a file is no longer as it was when it was found. Async-signal-safe. */
bool files_changed(const struct files *files, const struct piece *piece);

/*
 * Compare bytes with what an ordinary read of the piece gives. `scratch` holds piece->len bytes.
 * Async-signal-safe: the child of a fork with threads may call it.
 */
enum files_verdict files_compare(const struct files *files, const struct piece *piece,
				 const char *bytes, char *scratch);

#endif
