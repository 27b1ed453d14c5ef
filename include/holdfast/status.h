/* SPDX-License-Identifier: MIT */
/*
 * Status values, as the errors of a system call are: compare errno(3). Every call that
 * can fail returns one; 0 is success and every error is negative. Results come back
 * through out parameters, which are written only on success unless the call says
 * otherwise.
 */
#ifndef HOLDFAST_STATUS_H
#define HOLDFAST_STATUS_H

enum hf_status {
	HF_OK = 0,
	HF_ERR_INVAL = -1,	 /* an argument has a value that the call does not accept */
	HF_ERR_FLAGS = -2,	 /* a flag is unknown, or two flags exclude each other */
	HF_ERR_ALIGN = -3,	 /* an address or length is not a multiple of what it must be */
	HF_ERR_EMPTY = -4,	 /* a length or count is zero */
	HF_ERR_WRAP = -5,	 /* address plus length passes the end of 64 bits */
	HF_ERR_RANGE = -6,	 /* outside the space, or outside the RAM */
	HF_ERR_OVERLAP = -7,	 /* two ranges overlap that must not */
	HF_ERR_EXIST = -8,	 /* something is mapped there already */
	HF_ERR_NOSPACE = -9,	 /* no gap in the address space is large enough */
	HF_ERR_UNMAPPED = -10,	 /* no mapping at some address of the range */
	HF_ERR_ACCESS = -11,	 /* the mapping's protection forbids it */
	HF_ERR_NOMEM = -12,	 /* no free physical page */
	HF_ERR_OVERFLOW = -13,	 /* a mapping, pin or table count is at its limit */
	HF_ERR_NOT_PINNED = -14, /* a page of the list holds no pin to give back */
	HF_ERR_SPANS = -15,	 /* the caller's span list is too short */
	HF_ERR_BUSY = -16,	 /* still in use: spaces, pins or pages remain */
	HF_ERR_CORRUPT = -17,	 /* an invariant is broken (hf_mm_check) */
	HF_ERR_HOST = -18,	 /* the host system refused what a port asked of it */
	HF_ERR_LIMIT = -19,	 /* more than the space's limit allows: addresses or locked bytes */
	HF_ERR_SEALED = -20,	 /* the mapping is sealed */
	HF_ERR_AGAIN = -21,	 /* something is pinned now; later it may work */
	HF_ERR_BUS = -22,	 /* beyond the object's end, or its pager failed (SIGBUS) */
	HF_ERR_STORE = -23,	 /* the swap store is full or failed; nothing is lost */
	HF_ERR_PENDING = -24,	 /* a pager has no answer yet: it comes later (object.h) */
	HF_ERR_RETRY = -25,	 /* it will have one: do the same again then */
};

/*
 * The name of a status (strerrorname_np(3) of an errno): "HF_ERR_NOMEM", or "HF_ERR_?" for an
 * unknown value. Never NULL.
 */
const char *hf_status_name(enum hf_status status);

/* One English sentence for people, as strerror(3): what is wrong and what to do. Never NULL. */
const char *hf_strerror(enum hf_status status);

#endif
