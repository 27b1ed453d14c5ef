/* SPDX-License-Identifier: MIT */
/* SIGSEGV as the page fault. */
#ifndef HF_LINUX_FAULT_H
#define HF_LINUX_FAULT_H

#include "port.h"

/* Install the handler, once per process: HF_ERR_HOST. */
enum hf_status hf_linux_handler_install(void);
/* Faults in the window are this port's from here on; or no more. */
void hf_linux_handler_add(struct hf_linux_window *w);
void hf_linux_handler_remove(struct hf_linux_window *w);
/* The window whose reserved addresses hold `address`, or NULL. */
struct hf_linux_window *hf_linux_window_at(const void *address);

/*
 * hf_fault at an address of a window, as often as the program's nomem or denied say that it may
 * help. The result's status also tells of mappings that the host refused: HF_ERR_HOST.
 */
struct hf_linux_fault hf_linux_resolve(struct hf_linux_window *w, void *address, unsigned access);

/*
 * 0, or the errno with which the host refused what this thread's last fill asked for, although no
 * window had anything to give up. Set by fill, and asked for after hf_fault.
 */
void hf_linux_refusal_set(int error);
int hf_linux_refusal(void);

#endif
