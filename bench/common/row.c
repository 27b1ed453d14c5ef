/* SPDX-License-Identifier: MIT */
#include "row.h"

#include <string.h>

#define CELL 16

/* Three digits that matter, and a unit. */
static void scaled(char *out, size_t size, double value, bool bytes)
{
	static const char *const time_units[] = { "ns", "us", "ms", "s" };
	static const char *const byte_units[] = { "B", "KiB", "MiB", "GiB" };
	const char *const *unit = bytes ? byte_units : time_units;
	double step = bytes ? 1024 : 1000;
	unsigned i = 0;

	while (i < 3 && value >= 0.9995 * step) {
		value /= step;
		i++;
	}
	snprintf(out, size, "%.*f %s", value < 9.995 ? 2 : (value < 99.95 ? 1 : 0), value, unit[i]);
}

/* A median and half the distance between the quartiles, in percent of it. */
static void cell(const struct summary *s, bool bytes)
{
	char text[32] = "", spread[16] = "";

	if (s->count) {
		scaled(text, sizeof(text), s->median, bytes);
		if (s->median > 0)
			snprintf(spread, sizeof(spread), "\u00b1%.0f%%",
				 50 * (s->q3 - s->q1) / s->median);
	}
	printf("%10s %-*s", text, spread[0] ? 6 : 5, spread);
}

/* A ratio; nothing if one side is missing. */
static void ratio_cell(double over, double under)
{
	char text[32] = "";
	double ratio = under > 0 ? over / under : 0;

	if (ratio > 0)
		snprintf(text, sizeof(text), "%.*fx", ratio < 9.995 ? 2 : (ratio < 99.95 ? 1 : 0),
			 ratio);
	printf("%9s", text);
}

void row_head(const char *title, const char *question)
{
	printf("\n%s: %s\n", title, question);
	printf("%-20s%10s %5s%10s %5s%10s %5s%11s%10s %5s%9s%9s\n", "", "Holdfast", "",
	       "Linux port", "", "Linux", "", "less empty", "floor", "", "Linux/", "Holdfast/");
	printf("%-20s%10s %5s%10s %5s%10s %5s%11s%10s %5s%9s%9s\n", "", "soft port", "", "", "", "",
	       "", "fork", "", "", "Holdfast", "floor");
}

/* Linux without what it takes for an empty process; 0 if that was not measured. */
static double linux_net(const struct row *row)
{
	if (!row->column[LINUX].count || !row->column[EMPTY].count)
		return 0;
	return row->column[LINUX].median - row->column[EMPTY].median;
}

void row_print(const struct row *row, const char *marks, bool bytes)
{
	const struct summary *c = row->column;
	char name[80], net[32] = "";

	snprintf(name, sizeof(name), "%s%s%s%s", strchr(row->name, '/') + 1, *marks ? " [" : "",
		 marks, *marks ? "]" : "");
	if (linux_net(row) > 0)
		scaled(net, sizeof(net), linux_net(row), bytes);
	printf("%-20s", name);
	cell(&c[SOFT], bytes);
	cell(&c[PORT], bytes);
	cell(&c[LINUX], bytes);
	printf("%11s", net);
	cell(&c[FLOOR], bytes);
	ratio_cell(c[LINUX].median, c[SOFT].count ? c[SOFT].median : c[PORT].median);
	ratio_cell(c[SOFT].median, c[FLOOR].median);
	putchar('\n');
	fflush(stdout);
}

static const char *const keys[COLUMNS] = {
	[SOFT] = "holdfast", [PORT] = "holdfast_linux_port", [LINUX] = "linux",
	[FLOOR] = "floor",   [EMPTY] = "linux_empty",
};

static void json_number(FILE *out, const char *key, double value, bool known)
{
	if (known)
		fprintf(out, ", \"%s\": %.6g", key, value);
	else
		fprintf(out, ", \"%s\": null", key);
}

static void json_ratio(FILE *out, const char *key, double over, double under)
{
	json_number(out, key, under > 0 ? over / under : 0, over > 0 && under > 0);
}

static void json_spread(FILE *out, const struct row *row, double scale)
{
	const char *comma = "";

	fprintf(out, ", \"spread\": {");
	for (unsigned i = 0; i < COLUMNS; i++) {
		const struct summary *s = &row->column[i];

		if (!s->count)
			continue;
		fprintf(out,
			"%s\"%s\": {\"rounds\": %zu, \"min\": %.6g, \"q1\": %.6g, \"q3\": %.6g, "
			"\"max\": %.6g}",
			comma, keys[i], s->count, s->min / scale, s->q1 / scale, s->q3 / scale,
			s->max / scale);
		comma = ", ";
	}
	fprintf(out, "}");
}

void row_json(const struct row *row, const char *unit, FILE *out)
{
	const struct summary *c = row->column;
	double scale = strcmp(unit, "us") ? 1 : 1000;

	fprintf(out, "{\"name\": \"%s\", \"unit\": \"%s\"", row->name, unit);
	for (unsigned i = 0; i < COLUMNS; i++)
		json_number(out, keys[i], c[i].median / scale, c[i].count);
	json_number(out, "linux_net", linux_net(row) / scale, linux_net(row) > 0);
	json_ratio(out, "ratio_linux", c[LINUX].median, c[SOFT].median);
	json_ratio(out, "ratio_linux_net", linux_net(row), c[SOFT].median);
	json_ratio(out, "ratio_linux_port", c[LINUX].median, c[PORT].median);
	json_ratio(out, "ratio_floor", c[SOFT].median, c[FLOOR].median);
	json_spread(out, row, scale);
	fprintf(out, ", \"notes\": [");
	for (unsigned i = 0; i < row->note_count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "", row->notes[i]);
	fprintf(out, "]}\n");
}
