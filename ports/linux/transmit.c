/* SPDX-License-Identifier: MIT */
/*
 * write(2), send(2) and their like from windows. The kernel reads the window; where it comes to a
 * page that is not there, the page is made ready and the call goes on where it stopped. Nothing has
 * left before that, so nothing leaves twice.
 */
#define _GNU_SOURCE
#include "fault.h"
#include "transfer.h"
#include "window.h"

#include <errno.h>

/*
 * So often what is next has been made ready, and each time the kernel found something missing:
 * SSIZE_MAX bytes are 45 times twice as many as a batch.
 */
#define TRIES 64

/* The kernel may have stopped so many bytes before the page that it wanted. */
#define STEP 64

static ssize_t transmit_once(const struct hf_linux_transfer *t, const struct iovec *iov,
			     size_t count)
{
	struct msghdr msg;

	if (!t->msg)
		return pwritev2(t->fd, iov, (int)count, t->offset, 0);
	msg = *t->msg;
	msg.msg_iov = (struct iovec *)iov;
	msg.msg_iovlen = count;
	return sendmsg(t->fd, &msg, t->flags);
}

/* What is left, or its first pieces; *asked: how many bytes. */
static ssize_t call_rest(const struct hf_linux_transfer *t, size_t *asked)
{
	struct iovec iov[TRANSFER_PIECES];
	size_t count = 0;

	if (!t->done) {
		*asked = t->total;
		return transmit_once(t, t->iov, t->count);
	}
	*asked = 0;
	for (size_t i = t->index; i < t->count && count < TRANSFER_PIECES; i++) {
		iov[count] = t->iov[i];
		if (!count) {
			iov[0].iov_base = (char *)iov[0].iov_base + t->within;
			iov[0].iov_len -= t->within;
		}
		*asked += iov[count++].iov_len;
	}
	return transmit_once(t, iov, count);
}

/* The window has nothing to read at `at`. */
static bool missing(const char *at)
{
	struct hf_linux_window *w = hf_linux_window_at(at);

	return w && !hf_linux_window_allows(w, at, PROT_READ);
}

/* Why the call stopped here. */
static bool stopped_by_fault(const struct hf_linux_transfer *t)
{
	size_t len;
	const char *at = hf_linux_transfer_next(t, &len);

	return missing(at) || missing(at + (len > STEP ? STEP : len - 1));
}

/*
 * Make the next `reach` bytes ready, as far as they lie in windows. An error is errno; *good is
 * then how many bytes come before what is not to be had.
 */
static int make_ready(struct hf_linux_transfer t, size_t reach, size_t *good)
{
	*good = 0;
	while (t.done < t.total && *good < reach) {
		size_t len, done;
		char *at = hf_linux_transfer_next(&t, &len);
		struct hf_linux_window *w = hf_linux_window_at(at);
		enum hf_status st;

		if (len > reach - *good)
			len = reach - *good;
		st = w ? hf_linux_ready(w, at, len, HF_ACCESS_READ, &done) : HF_OK;
		*good += w ? done : len;
		if (st)
			return hf_linux_errno(st);
		hf_linux_transfer_advance(&t, len);
	}
	return 0;
}

/*
 * How far to reach where that was not enough. A message leaves as one, so all of it must be ready
 * at once. But the host may have mappings for a page at a time, so that those ready last have taken
 * the first one's.
 */
static size_t next_reach(const struct hf_linux_transfer *t, size_t reach)
{
	if (reach == HF_PAGE_SIZE)
		return TRANSFER_BATCH;
	return reach < t->total - t->done ? 2 * reach : HF_PAGE_SIZE;
}

static ssize_t transmit(struct hf_linux_transfer *t)
{
	size_t reach = TRANSFER_BATCH, asked, good;
	int error = 0, tries = 0;

	for (;;) {
		ssize_t n = call_rest(t, &asked);

		if (n < 0 && errno != EFAULT)
			return hf_linux_transfer_fail(t, errno);
		if (n > 0) {
			hf_linux_transfer_advance(t, (size_t)n);
			tries = 0;
		}
		if (n >= 0 && t->done == t->total)
			return (ssize_t)t->done;
		if (n >= 0 && (size_t)n == asked)
			continue;
		if (n >= 0 && !stopped_by_fault(t))
			return (ssize_t)t->done; /* as write(2): a full pipe, a signal */
		if (error || tries == TRIES)
			return hf_linux_transfer_fail(t, error ? error : ENOMEM);
		error = make_ready(*t, reach, &good);
		if (error && !good)
			return hf_linux_transfer_fail(t, error);
		if (n < 0)
			reach = next_reach(t, reach);
		tries++;
	}
}

static ssize_t fail_with(int error)
{
	errno = error;
	return -1;
}

static ssize_t write_at(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct hf_linux_transfer t = {
		.fd = fd,
		.offset = offset,
		.iov = iov,
		.count = (size_t)count,
	};

	return hf_linux_transfer_begin(&t) ? transmit(&t) : -1;
}

ssize_t hf_linux_write(int fd, const void *buf, size_t len)
{
	return write_at(fd, &(struct iovec){ (void *)(uintptr_t)buf, len }, 1, -1);
}

ssize_t hf_linux_writev(int fd, const struct iovec *iov, int count)
{
	return write_at(fd, iov, count, -1);
}

ssize_t hf_linux_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	return offset < 0 ? fail_with(EINVAL) : write_at(fd, &iov, 1, offset);
}

ssize_t hf_linux_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return offset < 0 ? fail_with(EINVAL) : write_at(fd, iov, count, offset);
}

ssize_t hf_linux_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct hf_linux_transfer t = {
		.fd = fd,
		.offset = -1,
		.msg = msg,
		.flags = flags,
		.iov = msg->msg_iov,
		.count = msg->msg_iovlen,
	};

	/* The kernel would go on reading pages after the call, which only a pin keeps in place. */
	if (flags & MSG_ZEROCOPY)
		return fail_with(EOPNOTSUPP);
	return hf_linux_transfer_begin(&t) ? transmit(&t) : -1;
}

ssize_t hf_linux_send(int fd, const void *buf, size_t len, int flags)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return hf_linux_sendmsg(fd, &msg, flags);
}
