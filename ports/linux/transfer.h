/* SPDX-License-Identifier: MIT */
/* A system call that moves bytes, some of them in windows. */
#ifndef HF_LINUX_TRANSFER_H
#define HF_LINUX_TRANSFER_H

#include "port.h"

#include <sys/socket.h>
#include <sys/uio.h>

/*
 * Bytes of windows that are made ready for the kernel at once, in so many pieces of RAM at most;
 * that is enough, however it is scattered, if they are one piece of the caller's, or some.
 */
#define TRANSFER_BATCH ((size_t)256 << 10)
#define TRANSFER_SOME 8
#define TRANSFER_PIECES (TRANSFER_BATCH / HF_PAGE_SIZE + 2 * TRANSFER_SOME)

/* What is wanted, and how far it has come. */
struct hf_linux_transfer {
	int fd;
	off_t offset;		  /* in the file, where `done` is; -1: the file's own */
	const struct msghdr *msg; /* of a socket, else NULL; without its iov */
	int flags;		  /* of a socket */
	const struct iovec *iov;
	size_t count;
	size_t total, done;   /* bytes */
	size_t index, within; /* the next byte: iov[index], and where in it */
};

/* Sum the total up. False: errno is EINVAL, as readv(2). */
bool hf_linux_transfer_begin(struct hf_linux_transfer *t);
/* So many more bytes are done. */
void hf_linux_transfer_advance(struct hf_linux_transfer *t, size_t bytes);
/* The next byte, and in *len how many follow it in the same piece. Some are left. */
char *hf_linux_transfer_next(const struct hf_linux_transfer *t, size_t *len);
/* What the call returns when it ends with `error`, an errno: -1, or what was done before. */
ssize_t hf_linux_transfer_fail(const struct hf_linux_transfer *t, int error);

/* errno for what the kernel calls EFAULT, or has no word for. */
int hf_linux_errno(enum hf_status status);

/*
 * Fill [at, at+len) of the window for `access`, so that system calls find it. *good: how much of
 * it, from its beginning, also if the rest is not to be had.
 */
enum hf_status hf_linux_ready(struct hf_linux_window *w, char *at, size_t len, unsigned access,
			      size_t *good);

#endif
