/* SPDX-License-Identifier: MIT */
/*
 * For a test alone (-DHF_COUNT_WORK, one thread): how many descriptors and entries are looked at in
 * one hold of phys->lock, and the most that ever were. Nothing otherwise.
 */
#ifndef HF_LIB_WORK_H
#define HF_LIB_WORK_H

#ifdef HF_COUNT_WORK
#include <stdint.h>

extern uint64_t hf_work_now, hf_work_most;

#define HF_WORK() ((void)hf_work_now++)
#define HF_WORK_BEGIN() ((void)(hf_work_now = 0))
#define HF_WORK_END() ((void)(hf_work_now > hf_work_most && (hf_work_most = hf_work_now)))
#else
#define HF_WORK() ((void)0)
#define HF_WORK_BEGIN() ((void)0)
#define HF_WORK_END() ((void)0)
#endif

#endif
