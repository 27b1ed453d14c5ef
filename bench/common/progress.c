/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#define WIDTH 40

void progress_show(const char *name, unsigned done, unsigned all)
{
	char bar[WIDTH + 1];

	if (!isatty(STDERR_FILENO))
		return;
	for (unsigned i = 0; i < WIDTH; i++)
		bar[i] = i * all < done * WIDTH ? '#' : '.';
	bar[WIDTH] = '\0';
	fprintf(stderr, "\r%-20s [%s] %u/%u\033[K", name, bar, done, all);
}

void progress_clear(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}
