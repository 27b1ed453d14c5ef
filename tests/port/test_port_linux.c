/* SPDX-License-Identifier: MIT */
/* The shared suite on the linux port: port_linux.c. */
#include "suites.h"

int main(int argc, char **argv)
{
	return run_shared_suite(argc, argv);
}
