/* SPDX-License-Identifier: MIT */
/* The same on the Linux port, but for the rows about the caches of CPUs. */
#include "bugs.h"

int main(int argc, char **argv)
{
	static const struct suite *const all[] = { &bugs_fork,	&bugs_pin,    &bugs_cow,
						   &bugs_count, &bugs_object, &bugs_collapse,
						   &bugs_swap };

	return run_suites("bugs", all, sizeof(all) / sizeof(all[0]), argc, argv);
}
