/* SPDX-License-Identifier: MIT */
/*
 * Pins: memory held for a device. A pinned page keeps its physical address for as
 * long as the pin lasts, whatever happens to the mapping: fork, writes, splits,
 * mprotect, even munmap.
 *
 * A pin of private memory first makes the page exclusive to its space
 * (a shared page is copied for the pinner, the zero page is replaced), so what
 * the device sees and what the space sees cannot drift apart. This holds for
 * reading pins too. Compare Linux's Documentation/core-api/pin_user_pages.rst,
 * FOLL_LONGTERM.
 *
 * A page of a shared mapping belongs to everyone who maps it. A pin does not change that, and
 * fork does not change the pin. Such a page stays with its device when the object loses it.
 */
#ifndef HOLDFAST_PIN_H
#define HOLDFAST_PIN_H

#include <holdfast/mm.h>

/* One element of a scatter list: physically contiguous bytes. */
struct hf_span {
	hf_pa pa;     /* first byte */
	uint64_t len; /* bytes, never 0 */
};

enum hf_pin_flags {
	HF_PIN_READ = 1,  /* the device reads the memory */
	HF_PIN_WRITE = 2, /* the device writes it: the mapping must allow writing */
};

/*
 * Pin [va, va+len), any alignment, and write its scatter list to spans[0..*count).
 * Each 4 KiB page that the range touches gains one pin. Absent pages are made
 * present. `cap` spans are always enough if cap >= the number of pages touched;
 * contiguous memory needs fewer.
 *
 * On any error no pin remains and *count is unchanged. (Pages may have been
 * populated or made exclusive on the way, which no access can tell.)
 * HF_ERR_FLAGS: neither or unknown flags. HF_ERR_EMPTY: len or cap is 0. HF_ERR_WRAP.
 * HF_ERR_RANGE. HF_ERR_UNMAPPED. HF_ERR_ACCESS: the protection forbids reading (or
 * writing, for HF_PIN_WRITE). HF_ERR_SPANS: cap is too small. HF_ERR_OVERFLOW: a
 * page's pin count is at its limit. HF_ERR_NOMEM. HF_ERR_BUS, HF_ERR_RETRY, HF_ERR_STORE (as for
 * hf_fault).
 *
 * Takes mm's lock shared. Concurrent pins, faults and copies of one space are allowed.
 */
enum hf_status hf_pin(struct hf_mm *mm, hf_va va, uint64_t len, unsigned flags,
		      struct hf_span *spans, size_t cap, size_t *count);

/*
 * Give back one pin on each 4 KiB page that the spans touch. The list may be that of
 * one hf_pin, or any part of it cut at page boundaries, in any order. A page that is
 * no longer mapped anywhere becomes free with its last pin.
 * On any error nothing is unpinned.
 * HF_ERR_EMPTY: count is 0 or a span is empty. HF_ERR_WRAP. HF_ERR_RANGE: not RAM.
 * HF_ERR_NOT_PINNED: a page holds fewer pins than the list gives back.
 *
 * Needs no space: pins may outlive the space they were taken in.
 */
enum hf_status hf_unpin(struct hf_phys *phys, const struct hf_span *spans, size_t count);

#endif
