/* SPDX-License-Identifier: MIT */
/* The end: an invariant is broken. */
#include "panic.h"

#include <holdfast/phys.h>

_Noreturn void hf_panic(const struct hf_phys *phys, const char *what)
{
	phys->port->panic(phys->host, what);
	for (;;)
		; /* the port has broken its contract; nothing may go on from here */
}
