/* SPDX-License-Identifier: MIT */
/* struct hf_port's panic. */
#ifndef HF_LINUX_PANIC_H
#define HF_LINUX_PANIC_H

/* Say what is wrong on stderr, and abort. `host` is not used. */
_Noreturn void hf_linux_panic(void *host, const char *what);

#endif
