/* SPDX-License-Identifier: MIT */
/* The shared suite on the soft port: port_soft.c. */
#include "suites.h"

int main(int argc, char **argv)
{
	return run_shared_suite(argc, argv);
}
