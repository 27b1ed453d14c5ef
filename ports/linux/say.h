/* SPDX-License-Identifier: MIT */
/* Sentences on stderr, also from a signal handler. */
#ifndef HF_LINUX_SAY_H
#define HF_LINUX_SAY_H

#include <holdfast/linux.h>

/* "holdfast: ", the strings up to the first NULL, and a line end, by one write(2). */
void hf_linux_say(const char *const words[]);

/* `number` as 0x..., somewhere in `text`. */
#define HF_LINUX_HEX 19
const char *hf_linux_hex(char text[HF_LINUX_HEX], uint64_t number);

/* What access failed, and why. */
void hf_linux_say_fault(const struct hf_linux_fault *fault);

#endif
