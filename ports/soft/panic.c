/* SPDX-License-Identifier: MIT */
#include "panic.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void hf_soft_panic(void *host, const char *what)
{
	(void)host;
	fprintf(stderr, "holdfast: %s\n", what);
	abort();
}
