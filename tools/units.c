/* SPDX-License-Identifier: MIT */
#include "units.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The power of 1024 that a suffix stands for, or -1. */
static int suffix_power(const char *suffix)
{
	static const char powers[] = "bkmgt";
	const char *power = strchr(powers, tolower((unsigned char)*suffix));

	if (!*suffix || !power)
		return -1;
	suffix++;
	if (power != powers && (!strcasecmp(suffix, "ib") || !strcasecmp(suffix, "b")))
		suffix = "";
	return *suffix ? -1 : (int)(power - powers);
}

bool size_parse(const char *text, uint64_t unit, uint64_t *out)
{
	double scale = (double)unit;
	double bytes;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false; /* strtod would take signs, "inf" and "nan" */
	bytes = strtod(text, &end);
	while (*end == ' ')
		end++;
	if (*end) {
		int power = suffix_power(end);

		if (power < 0)
			return false;
		scale = (double)((uint64_t)1 << (10 * power));
	}
	bytes *= scale;
	if (!(bytes < 0x1p64))
		return false;
	*out = (uint64_t)bytes;
	return true;
}

/* Three digits that matter, and a unit. */
static struct text scaled(double value, double step, const char *const *units, size_t count)
{
	struct text text;
	size_t unit = 0;

	while (unit + 1 < count && value >= 0.9995 * step) {
		value /= step;
		unit++;
	}
	if (value == floor(value) && value < 1000)
		snprintf(text.s, sizeof(text.s), "%.0f %s", value, units[unit]);
	else
		snprintf(text.s, sizeof(text.s), "%.*f %s",
			 value < 9.995 ? 2 : (value < 99.95 ? 1 : 0), value, units[unit]);
	return text;
}

struct text size_text(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };

	return scaled((double)bytes, 1024, units, 5);
}

struct text time_text(double us)
{
	static const char *const units[] = { "us", "ms", "s" };

	return scaled(us, 1000, units, 3);
}

struct text count_text(uint64_t n)
{
	char digits[24];
	struct text text;
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	int at = 0;

	for (int i = 0; i < len && at < (int)sizeof(text.s) - 2; i++) {
		if (i && (len - i) % 3 == 0)
			text.s[at++] = ',';
		text.s[at++] = digits[i];
	}
	text.s[at] = '\0';
	return text;
}
