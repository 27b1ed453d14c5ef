/* SPDX-License-Identifier: MIT */
/* Every row of README.md that needs one thread, on the soft port. */
#include "bugs.h"

int main(int argc, char **argv)
{
	static const struct suite *const all[] = {
		&bugs_fork,   &bugs_pin,      &bugs_cow,  &bugs_count,
		&bugs_object, &bugs_collapse, &bugs_swap, &bugs_cpu,
	};

	return run_suites("bugs", all, sizeof(all) / sizeof(all[0]), argc, argv);
}
