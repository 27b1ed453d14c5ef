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
/*
 * 0, or the errno with which the host refused what this thread's last fill asked for, although no
 * window had anything to give up. Set by fill, and asked for after hf_fault.
 */
void hf_linux_refusal_set(int error);
int hf_linux_refusal(void);

#endif
