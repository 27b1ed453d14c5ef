/* SPDX-License-Identifier: MIT */
/*
 * The one place where the core touches memory that several threads share without a
 * lock. Everything else is guarded by a lock that is built from these.
 */
#ifndef HF_LIB_ATOMIC_H
#define HF_LIB_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

static inline uint8_t hf_load_relaxed8(const uint8_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void hf_store_relaxed8(uint8_t *p, uint8_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline uint32_t hf_load_relaxed32(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t hf_load32(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline uint64_t hf_load_relaxed64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t hf_add32(uint32_t *p, uint32_t n)
{
	return __atomic_add_fetch(p, n, __ATOMIC_ACQ_REL);
}

static inline uint32_t hf_sub32(uint32_t *p, uint32_t n)
{
	return __atomic_sub_fetch(p, n, __ATOMIC_ACQ_REL);
}

static inline uint32_t hf_exchange32(uint32_t *p, uint32_t v)
{
	return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL);
}

/* Acquire on success; *expected receives what was there on failure. */
static inline bool hf_cas32(uint32_t *p, uint32_t *expected, uint32_t desired)
{
	return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/*
 * Table entries are read by walkers that hold no lock (a CPU, the soft port) and get
 * accessed and dirty bits from them at any moment.
 */
static inline uint64_t hf_load64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void hf_store64(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline bool hf_cas64(uint64_t *p, uint64_t *expected, uint64_t desired)
{
	return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

#endif
