/* SPDX-License-Identifier: MIT */
/* Windows: the host's mappings as the TLB. */
#ifndef HF_LINUX_WINDOW_H
#define HF_LINUX_WINDOW_H

#include "port.h"

/* Take: a window of `len` bytes with nothing mapped, or HF_ERR_HOST. */
enum hf_status hf_linux_window_take(struct hf_linux *lin, uint64_t len,
				    struct hf_linux_window **out);
/* After a flush of all of it. */
void hf_linux_window_give(struct hf_linux_window *w);
/* Before the first window, and after the last: unmaps the idle ones. */
void hf_linux_windows_init(struct hf_linux *lin);
void hf_linux_windows_fini(struct hf_linux *lin);
/* What the host has mapped at `at`, an address of the window, now allows `prot` (PROT_READ...). */
bool hf_linux_window_allows(struct hf_linux_window *w, const void *at, uint64_t prot);
/* struct hf_port's fill and flush. */
void hf_linux_fill(void *host, struct hf_mm *mm, hf_va va, uint64_t len,
		   const struct hf_translation *t);
void hf_linux_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what);

#endif
