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

#endif
