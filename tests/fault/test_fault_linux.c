/* SPDX-License-Identifier: MIT */
/*
 * Failing allocations and counts at their limit, on the Linux port. Not with 1 GiB pages: all
 * of each is touched here, in every scene, and the core is the same.
 */
#include "fault.h"

int main(int argc, char **argv)
{
	static const struct suite *const all[] = {
		&suite_fault_fork,  &suite_fault_pages, &suite_fault_ranges,   &suite_fault_copy,
		&suite_fault_remap, &suite_fault_edits, &suite_fault_collapse, &suite_fault_objects,
		&suite_fault_swap,  &suite_limits,
	};

	return run_suites("fault", all, sizeof(all) / sizeof(all[0]), argc, argv);
}
