/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "say.h"

#include <string.h>
#include <unistd.h>

struct line {
	char text[256];
	size_t len;
};

static void put_words(struct line *line, const char *words)
{
	while (*words && line->len < sizeof(line->text) - 1)
		line->text[line->len++] = *words++;
}

void hf_linux_say(const char *const words[])
{
	struct line line = { .len = 0 };
	ssize_t done;

	put_words(&line, "holdfast: ");
	for (; *words; words++)
		put_words(&line, *words);
	line.text[line.len++] = '\n';
	/* There is nobody to tell that stderr is closed. */
	done = write(STDERR_FILENO, line.text, line.len);
	(void)done;
}

const char *hf_linux_hex(char text[HF_LINUX_HEX], uint64_t number)
{
	char *to = text + HF_LINUX_HEX - 1;

	*to = 0;
	do {
		*--to = "0123456789abcdef"[number % 16];
		number /= 16;
	} while (number);
	*--to = 'x';
	*--to = '0';
	return to;
}

void hf_linux_say_fault(const struct hf_linux_fault *fault)
{
	char at[HF_LINUX_HEX], va[HF_LINUX_HEX];
	const char *access = "reading";

	if (fault->access == HF_ACCESS_WRITE)
		access = "writing";
	else if (fault->access == HF_ACCESS_EXEC)
		access = "running code";
	hf_linux_say((const char *const[]){
		access, " at ", hf_linux_hex(at, (uintptr_t)fault->address), ", ",
		hf_linux_hex(va, fault->va), " of its space: ", hf_strerror(fault->status), " (",
		hf_status_name(fault->status), ")", NULL });
}
