/* SPDX-License-Identifier: MIT */
/*
 * read(2), recv(2) and their like into windows. The kernel writes to the direct map, into pages
 * that are pinned meanwhile: whatever forks and faults do, the bytes arrive where the program reads
 * them, and a call that takes a message from its queue can keep it.
 */
#define _GNU_SOURCE
#include "fault.h"
#include "transfer.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A page that can be had is had at the first try; other threads may take it away again. */
#define TRIES 4

/* What is given to the kernel at once. */
struct batch {
	struct iovec *iov;
	struct hf_span *spans;
	struct hf_phys **phys; /* of spans[i], or NULL: iov[i] is not in a window */
	size_t cap, count;
	size_t bytes, limit; /* in windows; as many may be */
};

static bool is_stream(const struct hf_linux_transfer *t)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return !getsockopt(t->fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM;
}

/*
 * Pin [at, at + *len), or with `whole` unset what of it comes before something that cannot be had
 * or takes too many spans. *len is 0 on an error.
 */
static enum hf_status pin(struct hf_linux_window *w, char *at, size_t *len, bool whole,
			  struct hf_span *spans, size_t cap, size_t *count)
{
	struct hf_mm *mm = atomic_load(&w->mm);
	hf_va va = HF_LINUX_VA_LO + (uint64_t)(at - w->base);
	size_t in_page = va & (HF_PAGE_SIZE - 1), good;
	enum hf_status st = HF_ERR_UNMAPPED;

	for (int tries = 0; mm && tries < TRIES;) {
		st = hf_pin(mm, va, *len, HF_PIN_WRITE, spans, cap, count);
		if (!st)
			return HF_OK;
		if (!whole && in_page + *len > HF_PAGE_SIZE) { /* half the pages */
			size_t pages = (in_page + *len + HF_PAGE_SIZE - 1) >> HF_PAGE_SHIFT;

			*len = (pages / 2 << HF_PAGE_SHIFT) - in_page;
			continue;
		}
		if (st == HF_ERR_SPANS)
			break;
		/* A stack grows, and the program is asked for memory, by faults only. */
		tries++;
		st = hf_linux_ready(w, at, *len, HF_ACCESS_WRITE, &good);
		if (st)
			break;
		st = HF_ERR_NOMEM;
	}
	*len = 0;
	return st;
}

/* Add [at, at+len) of a window; *len is how much could be. */
static enum hf_status add_pinned(struct batch *b, struct hf_linux_window *w, char *at, size_t *len,
				 bool whole)
{
	size_t count = 0;
	enum hf_status st = pin(w, at, len, whole, b->spans + b->count, b->cap - b->count, &count);

	for (size_t i = 0; i < count && !st; i++) {
		b->phys[b->count] = &w->lin->phys;
		b->iov[b->count] = (struct iovec){
			.iov_base = hf_phys_ptr(&w->lin->phys, b->spans[b->count].pa),
			.iov_len = b->spans[b->count].len,
		};
		b->count++;
	}
	return st;
}

/* Gather what comes next. With `whole`, all of it. Some may have been gathered on an error. */
static enum hf_status gather(struct hf_linux_transfer t, struct batch *b, bool whole)
{
	enum hf_status st = HF_OK;
	size_t bytes = 0;

	b->count = b->bytes = 0;
	while (t.done < t.total && bytes < b->limit && !st) {
		size_t len, wanted;
		char *at = hf_linux_transfer_next(&t, &len);
		struct hf_linux_window *w = hf_linux_window_at(at);

		if (b->count == b->cap)
			return whole ? HF_ERR_SPANS : HF_OK;
		if (w) {
			if (len > b->limit - bytes)
				len = b->limit - bytes;
			wanted = len;
			st = add_pinned(b, w, at, &len, whole);
			bytes += len;
			if (!st && len < wanted)
				t.total = t.done + len; /* no further: what follows is missing */
		} else {
			b->phys[b->count] = NULL;
			b->iov[b->count++] = (struct iovec){ .iov_base = at, .iov_len = len };
		}
		b->bytes += len;
		hf_linux_transfer_advance(&t, len);
	}
	return st;
}

static void let_go(struct batch *b)
{
	int error = errno;

	for (size_t i = 0; i < b->count; i++)
		if (b->phys[i])
			hf_unpin(b->phys[i], &b->spans[i], 1);
	errno = error;
}

/*
 * Not by the C library: there a thread could be cancelled, and its pins would stay; and
 * ThreadSanitizer would take what the kernel writes beside a fork for a race (a fork copies pinned
 * pages while devices write to them).
 */
static ssize_t receive_once(const struct hf_linux_transfer *t, struct msghdr *msg, struct batch *b)
{
	if (!t->msg)
		return syscall(SYS_preadv2, t->fd, b->iov, b->count, t->offset, 0L, 0);
	*msg = *t->msg;
	msg->msg_iov = b->iov;
	msg->msg_iovlen = b->count;
	return syscall(SYS_recvmsg, t->fd, msg, t->flags);
}

/* More calls belong to this one: nothing that blocks or ends between two is lost. */
static bool goes_on(const struct hf_linux_transfer *t)
{
	struct stat st;

	return !t->msg && !fstat(t->fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

/* A message is whole, or it is not received; of a file or stream what can be had is. */
static ssize_t receive(struct hf_linux_transfer *t, struct msghdr *msg, struct batch *b, bool whole)
{
	for (;;) {
		enum hf_status st = gather(*t, b, whole);
		ssize_t n;

		if (st && (whole || !b->bytes)) {
			let_go(b);
			return hf_linux_transfer_fail(t, hf_linux_errno(st));
		}
		n = receive_once(t, msg, b);
		let_go(b);
		if (n < 0)
			return hf_linux_transfer_fail(t, errno);
		if (t->msg)
			return n; /* which may be more than there was room for: MSG_TRUNC */
		hf_linux_transfer_advance(t, (size_t)n);
		if ((size_t)n < b->bytes || t->done == t->total || !goes_on(t))
			return (ssize_t)t->done;
	}
}

/* A large message's pieces do not fit on the stack. */
static ssize_t receive_large(struct hf_linux_transfer *t, struct msghdr *msg)
{
	const size_t size =
		IOV_MAX * (sizeof(struct iovec) + sizeof(struct hf_span) + sizeof(void *));
	struct batch b = { .cap = IOV_MAX, .limit = SIZE_MAX };
	ssize_t n;

	b.iov = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b.iov == MAP_FAILED)
		return -1;
	b.spans = (struct hf_span *)(b.iov + IOV_MAX);
	b.phys = (struct hf_phys **)(b.spans + IOV_MAX);
	n = receive(t, msg, &b, !is_stream(t));
	munmap(b.iov, size);
	return n;
}

static ssize_t receive_any(struct hf_linux_transfer *t, struct msghdr *msg)
{
	struct iovec iov[TRANSFER_PIECES];
	struct hf_span spans[TRANSFER_PIECES];
	struct hf_phys *phys[TRANSFER_PIECES];
	struct batch b = { iov, spans, phys, TRANSFER_PIECES, 0, 0, TRANSFER_BATCH };

	bool small;

	if (!hf_linux_transfer_begin(t))
		return -1;
	small = t->total <= TRANSFER_BATCH && t->count <= TRANSFER_SOME;
	if (t->msg && !small && (!is_stream(t) || (t->flags & MSG_WAITALL)))
		return receive_large(t, msg);
	return receive(t, msg, &b, t->msg && small);
}

static ssize_t read_at(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct hf_linux_transfer t = {
		.fd = fd,
		.offset = offset,
		.iov = iov,
		.count = (size_t)count,
	};

	return receive_any(&t, NULL);
}

static ssize_t bad_offset(void)
{
	errno = EINVAL;
	return -1;
}

ssize_t hf_linux_read(int fd, void *buf, size_t len)
{
	return read_at(fd, &(struct iovec){ buf, len }, 1, -1);
}

ssize_t hf_linux_readv(int fd, const struct iovec *iov, int count)
{
	return read_at(fd, iov, count, -1);
}

ssize_t hf_linux_pread(int fd, void *buf, size_t len, off_t offset)
{
	return offset < 0 ? bad_offset() : read_at(fd, &(struct iovec){ buf, len }, 1, offset);
}

ssize_t hf_linux_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	return offset < 0 ? bad_offset() : read_at(fd, iov, count, offset);
}

ssize_t hf_linux_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct hf_linux_transfer t = {
		.fd = fd,
		.offset = -1,
		.msg = msg,
		.flags = flags,
		.iov = msg->msg_iov,
		.count = msg->msg_iovlen,
	};
	struct msghdr told = *msg;
	ssize_t n = receive_any(&t, &told);

	if (n >= 0) {
		msg->msg_namelen = told.msg_namelen;
		msg->msg_controllen = told.msg_controllen;
		msg->msg_flags = told.msg_flags;
	}
	return n;
}

ssize_t hf_linux_recv(int fd, void *buf, size_t len, int flags)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return hf_linux_recvmsg(fd, &msg, flags);
}
