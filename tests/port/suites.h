/* SPDX-License-Identifier: MIT */
/* The shared suite: every program of this directory runs all of these. */
#ifndef TESTS_PORT_SUITES_H
#define TESTS_PORT_SUITES_H

#include "port.h"

extern const struct suite suite_map, suite_fault, suite_pin, suite_fork, suite_copy, suite_error,
	suite_report, suite_object, suite_remap, suite_place, suite_swap, suite_pager,
	suite_collapse, suite_lock, suite_stack, suite_dump, suite_full, suite_store;

static inline int run_shared_suite(int argc, char **argv)
{
	static const struct suite *const all[] = {
		&suite_map,   &suite_fault,  &suite_pin,      &suite_fork,  &suite_copy,
		&suite_error, &suite_report, &suite_object,   &suite_remap, &suite_place,
		&suite_swap,  &suite_pager,  &suite_collapse, &suite_lock,  &suite_stack,
		&suite_dump,  &suite_full,   &suite_store,
	};

	return run_suites(test_port.name, all, sizeof(all) / sizeof(all[0]), argc, argv);
}

#endif
