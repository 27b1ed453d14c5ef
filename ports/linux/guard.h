/* SPDX-License-Identifier: MIT */
/* Where a thread must not take a page fault of ours. */
#ifndef HF_LINUX_GUARD_H
#define HF_LINUX_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* struct hf_port's holds. */
void hf_linux_holds(void *host, int change);
/* This thread holds a lock that a fault may need: it is inside a call of Holdfast. */
bool hf_linux_inside(void);

/*
 * Note that this process is not a child of the one that uses Holdfast. False: the host gave no
 * page for that. Called once, before the first window.
 */
bool hf_linux_guard_init(void);
/* This process came from fork(2) since: the memory of spaces is its parent's alone. */
bool hf_linux_is_child(void);

/* `stack`, a thread's signal stack, is too small for a fault. After hf_linux_guard_init. */
bool hf_linux_stack_small(const stack_t *stack);

#endif
