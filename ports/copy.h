/* SPDX-License-Identifier: MIT */
/* struct hf_port's copy, for the ports that run in a Linux process. */
#ifndef HF_PORTS_COPY_H
#define HF_PORTS_COPY_H

#include <stddef.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>

/* From here on copies go past the caches; smaller ones are likely to be used at once. */
#define HF_STREAM_MIN ((size_t)256 << 10)

static inline void hf_copy_line(__m128i *to, const __m128i *from)
{
	_mm_store_si128(to, _mm_load_si128(from));
	_mm_store_si128(to + 1, _mm_load_si128(from + 1));
	_mm_store_si128(to + 2, _mm_load_si128(from + 2));
	_mm_store_si128(to + 3, _mm_load_si128(from + 3));
}

/*
 * memcpy (glibc 2.36, AVX-512, on a Zen 5) takes twice as long for 4 KiB pages that are in no
 * cache, and half as long again for 2 MiB, which then have pushed everything else out of the
 * caches.
 */
static inline void hf_copy_pages(void *host, void *dst, const void *src, size_t len)
{
	const __m128i *from = src, *end = from + len / sizeof(*from);
	__m128i *to = dst;

	(void)host;
	if (len < HF_STREAM_MIN) {
		for (; from < end; from += 8, to += 8) {
			hf_copy_line(to, from);
			hf_copy_line(to + 4, from + 4);
		}
		return;
	}
	while (from < end)
		_mm_stream_si128(to++, _mm_load_si128(from++));
	_mm_sfence();
}
#else
static inline void hf_copy_pages(void *host, void *dst, const void *src, size_t len)
{
	(void)host;
	memcpy(dst, src, len);
}
#endif

#endif
