/* SPDX-License-Identifier: MIT */
/* The end: an invariant is broken. */
#include "panic.h"

#include <holdfast/phys.h>

_Noreturn void hf_panic(const struct hf_phys *phys, const char *what)
{
	phys->port->panic(phys->host, what);
	for (;;)
		; /* the port has broken its contract; nothing may go on from here */
}

/* A line that is put together. What does not fit is left out. */
struct line {
	char text[200];
	unsigned len;
};

static void say(struct line *l, const char *text)
{
	while (*text && l->len + 1 < sizeof(l->text))
		l->text[l->len++] = *text++;
}

static void say_hex(struct line *l, uint64_t v)
{
	char digits[17] = { 0 };
	unsigned i = 16;

	do {
		digits[--i] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	say(l, "0x");
	say(l, &digits[i]);
}

_Noreturn void hf_panic_at(const struct hf_phys *phys, const char *what, uint64_t at,
			   unsigned level, uint64_t found)
{
	const char digit[2] = { (char)('0' + level % 10), 0 };
	struct line l = { .len = 0 };

	say(&l, what);
	say(&l, ": at ");
	say_hex(&l, at);
	say(&l, ", level ");
	say(&l, digit);
	say(&l, ", found ");
	say_hex(&l, found);
	hf_panic(phys, l.text);
}
