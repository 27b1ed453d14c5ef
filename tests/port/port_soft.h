/* SPDX-License-Identifier: MIT */
/* For tests of the soft port alone: the machine and the CPUs behind the driver. */
#ifndef TESTS_PORT_SOFT_H
#define TESTS_PORT_SOFT_H

#include "port.h"

#include <holdfast/soft.h>

struct hf_soft *soft_of(struct machine *m);
struct hf_soft_cpu *cpu_of(struct space *s, unsigned cpu); /* 0 or 1 */

#endif
