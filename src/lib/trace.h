/* SPDX-License-Identifier: MIT */
/* Trace points of the core: HF_TRACE(phys, .what = HF_TRACE_PIN, ...). */
#ifndef HF_TRACE_POINT_H
#define HF_TRACE_POINT_H

#include <holdfast/trace.h>

/* The event is made only if somebody listens. Any lock may be held. */
#define HF_TRACE(phys, ...)                                                           \
	do {                                                                          \
		if (__builtin_expect((phys)->port->trace != NULL, 0))                 \
			(phys)->port->trace((phys)->host,                             \
					    &(struct hf_trace_event){ __VA_ARGS__ }); \
	} while (0)

#endif
