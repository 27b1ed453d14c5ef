/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool grow(void *array, size_t count, size_t size)
{
	void **where = array;
	void *bigger;

	if (count & (count - 1)) /* there is room up to the next power of two */
		return true;
	bigger = reallocarray(*where, count ? 2 * count : 1, size);
	if (!bigger)
		return false;
	*where = bigger;
	return true;
}

static bool add_file(struct files *files, const FTSENT *entry)
{
	struct file *file;

	if (!grow(&files->file, files->files, sizeof(*files->file)))
		return false;
	file = &files->file[files->files];
	file->path = strdup(entry->fts_path);
	if (!file->path)
		return false;
	file->size = entry->fts_statp->st_size;
	file->mtime = entry->fts_statp->st_mtim;
	files->files++;
	files->bytes += (uint64_t)file->size;
	return true;
}

static bool add_pieces(struct files *files, size_t piece_bytes, size_t max_pieces)
{
	off_t left = files->file[files->files - 1].size;

	for (off_t off = 0; left && files->pieces < max_pieces; files->pieces++) {
		uint32_t len = (uint32_t)((size_t)left < piece_bytes ? (size_t)left : piece_bytes);

		if (!grow(&files->piece, files->pieces, sizeof(*files->piece)))
			return false;
		files->piece[files->pieces] = (struct piece){ .file = (uint32_t)files->files - 1,
							      .len = len,
							      .off = off };
		off += len;
		left -= len;
	}
	files->bytes -= (uint64_t)left;
	return true;
}

static int by_name(const FTSENT **left, const FTSENT **right)
{
	return strcmp((*left)->fts_name, (*right)->fts_name);
}

/* Only what can be opened: /proc and its like say one size and read another. */
static bool wanted(const FTSENT *entry)
{
	return entry->fts_info == FTS_F && entry->fts_statp->st_size > 0 &&
	       access(entry->fts_accpath, R_OK) == 0;
}

bool files_walk(struct files *files, const char *dir, size_t piece_bytes, size_t max_pieces)
{
	char *roots[] = { strdup(dir), NULL };
	FTS *walk = NULL;
	bool ok = false;

	*files = (struct files){ 0 };
	if (!roots[0])
		return false;
	walk = fts_open(roots, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, by_name);
	if (!walk)
		goto out;
	for (;;) {
		FTSENT *entry;

		errno = 0;
		entry = files->pieces < max_pieces ? fts_read(walk) : NULL;
		if (!entry)
			break;
		if (entry->fts_level == 0 && entry->fts_errno) {
			errno = entry->fts_errno;
			break;
		}
		if (wanted(entry) &&
		    (!add_file(files, entry) || !add_pieces(files, piece_bytes, max_pieces)))
			break;
	}
	ok = errno == 0;
out:
	if (walk) {
		int saved = errno;

		fts_close(walk);
		errno = saved;
	}
	if (!ok)
		files_free(files);
	free(roots[0]);
	return ok;
}

void files_free(struct files *files)
{
	int saved = errno;

	for (size_t i = 0; i < files->files; i++)
		free(files->file[i].path);
	free(files->file);
	free(files->piece);
	*files = (struct files){ 0 };
	errno = saved;
}

static bool same_file(const struct file *file, const struct stat *now)
{
	return now->st_size == file->size && now->st_mtim.tv_sec == file->mtime.tv_sec &&
	       now->st_mtim.tv_nsec == file->mtime.tv_nsec;
}

bool files_changed(const struct files *files, const struct piece *piece)
{
	const struct file *file = &files->file[piece->file];
	struct stat now;

	return stat(file->path, &now) != 0 || !same_file(file, &now);
}

enum files_verdict files_compare(const struct files *files, const struct piece *piece,
				 const char *bytes, char *scratch)
{
	int fd = open(files->file[piece->file].path, O_RDONLY | O_CLOEXEC);
	bool same;

	if (fd < 0)
		return FILES_CHANGED;
	same = pread(fd, scratch, piece->len, piece->off) == (ssize_t)piece->len &&
	       memcmp(scratch, bytes, piece->len) == 0;
	close(fd);
	if (same)
		return FILES_SAME;
	return files_changed(files, piece) ? FILES_CHANGED : FILES_DIFFER;
}
