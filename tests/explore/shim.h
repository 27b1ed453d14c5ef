/* SPDX-License-Identifier: MIT */
/*
 * Included before every source of the core when it is compiled for the explorer (-include): the
 * same sources, in which every access to what threads share is a step of the explorer's. It stands
 * in for src/lib/atomic.h, for src/lib/lock.c, for the two calls that lock.h inlines, and for the
 * moves of memory; and it sees which frames are touched, so that resetting a world touches no
 * others.
 */
#ifndef HFX_SHIM_H
#define HFX_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One step each: memory.c. `size` in bytes. Outside of a schedule they are what they seem. */
uint64_t hfx_load(const void *p, unsigned size);
void hfx_store(void *p, unsigned size, uint64_t v, bool release);
uint64_t hfx_add(void *p, unsigned size, uint64_t n);
uint64_t hfx_exchange(void *p, unsigned size, uint64_t v);
bool hfx_cas(void *p, unsigned size, uint64_t *expected, uint64_t desired);
/* The frame is about to be written to, perhaps: world.c. */
void hfx_touch(uint32_t pfn);
void *hfx_memset(void *dst, int c, size_t len);
void *hfx_memmove(void *dst, const void *src, size_t len);

/* ---- src/lib/atomic.h ---- */

#define HF_LIB_ATOMIC_H

struct hfx_agent;
extern struct hfx_agent *hfx_self; /* NULL: no schedule is being run */

static inline uint8_t hf_load_relaxed8(const uint8_t *p)
{
	return hfx_self ? (uint8_t)hfx_load(p, 1) : *p;
}

static inline void hf_store_relaxed8(uint8_t *p, uint8_t v)
{
	hfx_store(p, 1, v, false);
}

static inline uint32_t hf_load_relaxed32(const uint32_t *p)
{
	return (uint32_t)hfx_load(p, 4);
}

static inline uint32_t hf_load32(const uint32_t *p)
{
	return (uint32_t)hfx_load(p, 4);
}

static inline uint64_t hf_load_relaxed64(const uint64_t *p)
{
	return hfx_load(p, 8);
}

static inline uint32_t hf_add32(uint32_t *p, uint32_t n)
{
	return (uint32_t)hfx_add(p, 4, n);
}

static inline uint32_t hf_sub32(uint32_t *p, uint32_t n)
{
	return (uint32_t)hfx_add(p, 4, (uint32_t)-n);
}

static inline uint32_t hf_exchange32(uint32_t *p, uint32_t v)
{
	return (uint32_t)hfx_exchange(p, 4, v);
}

static inline bool hf_cas32(uint32_t *p, uint32_t *expected, uint32_t desired)
{
	uint64_t seen = *expected;
	bool done = hfx_cas(p, 4, &seen, desired);

	*expected = (uint32_t)seen;
	return done;
}

static inline uint64_t hf_load64(const uint64_t *p)
{
	return hfx_self ? hfx_load(p, 8) : *p;
}

static inline void hf_store64(uint64_t *p, uint64_t v)
{
	hfx_store(p, 8, v, true);
}

static inline bool hf_cas64(uint64_t *p, uint64_t *expected, uint64_t desired)
{
	return hfx_cas(p, 8, expected, desired);
}

/* ---- src/lib/lock.h: what asserts ask is no step; taking and giving a lock is one ---- */

static inline uint32_t hfx_peek32(const uint32_t *p)
{
	return *p;
}

#ifndef HFX_LOCK_SUBJECT
#define hf_load_relaxed32 hfx_peek32
#define hf_acquire hfx_inline_acquire
#define hf_release hfx_inline_release
#include "lib/lock.h"
#undef hf_load_relaxed32
#undef hf_acquire
#undef hf_release

void hf_acquire(const struct hf_phys *phys, struct hf_lock *lock);
void hf_release(const struct hf_phys *phys, struct hf_lock *lock);

/* ---- src/lib/mem.h and src/phys/frame.h ---- */

#include "lib/mem.h"
#define memset(dst, c, len) hfx_memset(dst, c, len)
#define memcpy(dst, src, len) hfx_memmove(dst, src, len)
#define memmove(dst, src, len) hfx_memmove(dst, src, len)

/* What an assert looks at is no step. */
#include "lib/panic.h"
#ifdef HF_DEBUG
#undef HF_ASSERT
#define HF_ASSERT(phys, holds)                                                              \
	do {                                                                                \
		struct hfx_agent *hfx_who = hfx_self;                                       \
		bool hfx_holds;                                                             \
                                                                                            \
		hfx_self = NULL;                                                            \
		hfx_holds = (holds);                                                        \
		hfx_self = hfx_who;                                                         \
		if (!hfx_holds)                                                             \
			hf_panic(phys, __FILE__ ":" HF_TEXT(__LINE__) ": not so: " #holds); \
	} while (0)
#endif

#define hf_frame_ptr hfx_inline_frame_ptr
#include "phys/frame.h"
#undef hf_frame_ptr

static inline void *hf_frame_ptr(const struct hf_phys *phys, hf_pfn pfn)
{
	hfx_touch(pfn.v);
	return hfx_inline_frame_ptr(phys, pfn);
}
#endif

#endif
