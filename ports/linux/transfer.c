/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "transfer.h"

#include "fault.h"

#include <errno.h>
#include <limits.h>

bool hf_linux_transfer_begin(struct hf_linux_transfer *t)
{
	t->total = t->done = t->index = t->within = 0;
	if (t->count > IOV_MAX) {
		errno = EINVAL;
		return false;
	}
	for (size_t i = 0; i < t->count; i++) {
		if (t->iov[i].iov_len > SSIZE_MAX - t->total) {
			errno = EINVAL;
			return false;
		}
		t->total += t->iov[i].iov_len;
	}
	hf_linux_transfer_advance(t, 0);
	return true;
}

void hf_linux_transfer_advance(struct hf_linux_transfer *t, size_t bytes)
{
	t->done += bytes;
	if (t->offset >= 0)
		t->offset += (off_t)bytes;
	t->within += bytes;
	while (t->index < t->count && t->within >= t->iov[t->index].iov_len)
		t->within -= t->iov[t->index++].iov_len;
}

char *hf_linux_transfer_next(const struct hf_linux_transfer *t, size_t *len)
{
	const struct iovec *piece = &t->iov[t->index];

	*len = piece->iov_len - t->within;
	return (char *)piece->iov_base + t->within;
}

ssize_t hf_linux_transfer_fail(const struct hf_linux_transfer *t, int error)
{
	if (t->done)
		return (ssize_t)t->done;
	errno = error;
	return -1;
}

int hf_linux_errno(enum hf_status status)
{
	switch (status) {
	case HF_ERR_NOMEM:
	case HF_ERR_OVERFLOW:
	case HF_ERR_HOST:
		return ENOMEM;
	case HF_ERR_STORE:
		return EIO;
	case HF_ERR_SPANS:
		return EMSGSIZE;
	default:
		return EFAULT;
	}
}

/* One page after the other, as accesses would, and up to the first that fails. */
static enum hf_status ready_by_page(struct hf_linux_window *w, char *at, size_t len,
				    unsigned access, size_t *good)
{
	for (*good = 0; *good < len;) {
		struct hf_linux_fault fault = hf_linux_resolve(w, at + *good, access);
		size_t in_page = (uintptr_t)(at + *good) & (HF_PAGE_SIZE - 1);

		if (fault.status)
			return fault.status;
		*good += HF_PAGE_SIZE - in_page;
	}
	*good = len;
	return HF_OK;
}

enum hf_status hf_linux_ready(struct hf_linux_window *w, char *at, size_t len, unsigned access,
			      size_t *good)
{
	struct hf_mm *mm = atomic_load(&w->mm);
	hf_va va = HF_LINUX_VA_LO + (uint64_t)(at - w->base);
	uint64_t in_page = va & (HF_PAGE_SIZE - 1);
	enum hf_advice advice =
		access == HF_ACCESS_WRITE ? HF_ADV_POPULATE_WRITE : HF_ADV_POPULATE_READ;

	hf_linux_refusal_set(0);
	if (mm && access != HF_ACCESS_EXEC &&
	    !hf_madvise(mm, va - in_page, len + in_page, advice) && !hf_linux_refusal()) {
		*good = len;
		return HF_OK;
	}
	return ready_by_page(w, at, len, access, good);
}

enum hf_status hf_linux_prefault(void *at, uint64_t len, unsigned access)
{
	struct hf_linux_window *w = hf_linux_window_at(at);
	size_t good;

	if (access != HF_ACCESS_READ && access != HF_ACCESS_WRITE && access != HF_ACCESS_EXEC)
		return HF_ERR_INVAL;
	if (!len)
		return HF_ERR_EMPTY;
	if ((uintptr_t)at + len < len)
		return HF_ERR_WRAP;
	if (!w || len > w->reserved - (uint64_t)((char *)at - w->base))
		return HF_ERR_RANGE;
	return hf_linux_ready(w, at, len, access, &good);
}
