/* SPDX-License-Identifier: MIT */
/* struct hf_port's panic. */
#ifndef HF_SOFT_PANIC_H
#define HF_SOFT_PANIC_H

/* Say what is wrong with the machine's state, and abort. `host` is not used. */
_Noreturn void hf_soft_panic(void *host, const char *what);

#endif
