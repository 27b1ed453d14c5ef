/* SPDX-License-Identifier: MIT */
/*
 * How every cmocka program of the tests runs its cases.
 *
 * scripts/cases reads the names of the cases out of the sources, so that `meson test --list`
 * can name them: each stands as TEST(name), or as the first argument of another macro with
 * TEST or cmocka_unit_test in its name. --list tells what really is there, and a test compares.
 */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/*
 * Run `count` cases as one group called `name`; returns the exit status. `arg` is the program's
 * argument, or NULL: a pattern with * and ? chooses cases by name, --list only names them.
 */
static inline int run_cases(const char *name, const struct CMUnitTest *tests, size_t count,
			    const char *arg)
{
	if (arg && !strcmp(arg, "--list")) {
		for (size_t i = 0; i < count; i++)
			puts(tests[i].name);
		return 0;
	}
	cmocka_set_test_filter(arg);
	/* What the macro cmocka_run_group_tests calls, for an array of any length. */
	return _cmocka_run_group_tests(name, tests, count, NULL, NULL) != 0;
}

#endif
