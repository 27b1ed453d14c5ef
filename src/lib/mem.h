/* SPDX-License-Identifier: MIT */
/* The four functions that a freestanding compiler may call by itself, and so do we. */
#ifndef HF_LIB_MEM_H
#define HF_LIB_MEM_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int c, size_t len);
int memcmp(const void *a, const void *b, size_t len);

#endif
