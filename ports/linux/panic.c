/* SPDX-License-Identifier: MIT */
#include "panic.h"

#include "say.h"

#include <stdlib.h>

_Noreturn void hf_linux_panic(void *host, const char *what)
{
	(void)host;
	hf_linux_say((const char *const[]){ what, NULL });
	abort();
}
