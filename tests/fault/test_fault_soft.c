/* SPDX-License-Identifier: MIT */
/* Failing allocations and counts at their limit, on the soft port. */
#include "fault.h"

int main(int argc, char **argv)
{
	static const struct suite *const all[] = {
		&suite_fault_fork,  &suite_fault_pages, &suite_fault_ranges,   &suite_fault_copy,
		&suite_fault_remap, &suite_fault_edits, &suite_fault_collapse, &suite_fault_objects,
		&suite_fault_swap,  &suite_limits,	&suite_fault_gib,
	};

	return run_suites("fault", all, sizeof(all) / sizeof(all[0]), argc, argv);
}
