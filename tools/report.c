/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "checks.h"
#include "units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void report_header(const struct run *run, FILE *out)
{
	const struct plan *plan = &run->plan;

	fprintf(out, "A heap of %s in 2 MiB pages, %s of it pinned; the device reads %s file%s\n",
		size_text(plan->layout.heap).s, plan->pinned ? size_text(plan->pinned).s : "none",
		count_text(plan->files.files).s, plan->files.files == 1 ? "" : "s");
	fprintf(out, "of %s (%s) into it%s, two threads write to it, and it is forked.\n",
		run->options->dir, size_text(plan->files.bytes).s,
		plan->use_uring ? " by io_uring" : "");
	fprintf(out, "The same with fork(2) and anonymous memory, in turn; what that loses of its\n"
		     "huge pages is mended before the next fork, but for \"fork again\".\n");
	for (unsigned i = 0; i < run->notes; i++)
		fprintf(out, "Note: %s.\n", run->note[i]);
	fflush(out);
}

/* A cell of the table. */
__attribute__((format(printf, 1, 2))) static struct text cell(const char *format, ...)
{
	struct text text;
	va_list args;

	va_start(args, format);
	vsnprintf(text.s, sizeof(text.s), format, args);
	va_end(args);
	return text;
}

static const struct text none = { "" };

static void row(FILE *out, const char *name, struct text heap, struct text fork, struct text ratio)
{
	fprintf(out, "  %-38s %16s %16s", name, heap.s, fork.s);
	fprintf(out, ratio.s[0] ? " %9s\n" : "%s\n", ratio.s);
}

static struct text times(double less, double more)
{
	return less > 0 && more > 0 ? cell("%.*fx", more / less < 10 ? 1 : 0, more / less) : none;
}

/* A time that was not measured is 0; a difference of times that drowned in noise may be less. */
static struct text time_cell(double us)
{
	return us > 0 ? time_text(us) : cell("-");
}

static void time_row(FILE *out, const char *name, double heap, double fork)
{
	row(out, name, time_cell(heap), time_cell(fork), times(heap, fork));
}

static struct text number_cell(uint64_t n)
{
	return n == UNKNOWN ? cell("not known") : count_text(n);
}

static struct text of_cell(uint64_t n, uint64_t all)
{
	return cell("%s of %s", count_text(n).s, count_text(all).s);
}

/* Of a 2 MiB page that is copied in so many microseconds. */
static struct text rate_cell(double us)
{
	return us > 0 ? cell("%.1f", (double)HUGE_BYTES / us / 1000) : cell("-");
}

static struct text over_cell(double us, double floor)
{
	return us > 0 ? cell("%.2fx", us / floor) : cell("-");
}

static void latency_rows(struct run *run, FILE *out)
{
	struct spread heap = samples_spread(&run->heap->fork_us);
	struct spread fork = samples_spread(&run->fork->fork_us);

	time_row(out, "fork, p50", heap.p50, fork.p50);
	time_row(out, "fork, p99", heap.p99, fork.p99);
	time_row(out, "fork, max", heap.max, fork.max);
	time_row(out, "the first fork", run->heap->first_us, run->fork->first_us);
	time_row(out, "fork again, huge pages not mended", heap.p50,
		 samples_percentile(&run->fork->refork_us, 50));
	row(out, "fork of an empty process, p50", none,
	    time_cell(samples_percentile(&run->empty_fork_us, 50)), none);
}

/*
 * What pinned memory costs: each 2 MiB page of it, in time, as a rate, and against memcpy. For
 * Holdfast it is what one page more adds to a fork; for fork(2), simply the fork's time over the
 * pages: next to them the rest of it does not count.
 */
static void pinned_rows(struct run *run, FILE *out)
{
	double blocks = (double)(run->plan.pinned / HUGE_BYTES);
	double floor = samples_percentile(&run->heap->memcpy_us, 50);
	double heap = samples_percentile(&run->heap->pinned_us, 50);
	double fork = samples_percentile(&run->fork->fork_us, 50) / blocks;

	if (!run->heap->pinned_us.count)
		return;
	time_row(out, "each pinned 2 MiB page", heap, fork);
	row(out, "  copied, GB/s", rate_cell(heap), rate_cell(fork), none);
	row(out, cell("  over memcpy's %s, %s GB/s", time_text(floor).s, rate_cell(floor).s).s,
	    over_cell(heap, floor), over_cell(fork, floor), none);
}

static void finding_rows(const struct run *run, FILE *out)
{
	const struct tally *heap = run->heap;
	const struct tally *fork = run->fork;

	row(out, "snapshots torn", of_cell(heap->torn, heap->forks),
	    of_cell(fork->torn, fork->forks), none);
	if (run->plan.pinned)
		row(out, "pinned pages moved", number_cell(heap->pinned_moved),
		    number_cell(fork->pinned_moved), none);
	row(out, "huge pages kept", of_cell(heap->huge_after, heap->huge_before),
	    of_cell(fork->huge_after, fork->huge_before), none);
	row(out, "device: bytes landed", size_text(heap->device.landed),
	    size_text(fork->device.landed), none);
	row(out, "device: errors", number_cell(heap->device.errors),
	    number_cell(fork->device.errors), none);
	row(out, "file bytes checked after forks", size_text(heap->compared),
	    size_text(fork->compared), none);
}

/* What one side could not do as it should. */
static void print_caveats(const struct tally *tally, const char *name, const struct plan *plan,
			  FILE *out)
{
	const struct device *device = &tally->device;

	if (device->buffered_reads)
		fprintf(out,
			"Note: %s: %s of %s reads without O_DIRECT, which the files do not "
			"allow.\n",
			name, count_text(device->buffered_reads).s, count_text(device->reads).s);
	if (plan->use_uring && tally->unpinned_rounds)
		fprintf(out, "Note: %s: the kernel did not pin the buffers in %s of %s rounds.\n",
			name, count_text(tally->unpinned_rounds).s, count_text(tally->rounds).s);
	if (tally->forks && tally->huge_before < plan->layout.heap / HUGE_BYTES)
		fprintf(out, "Note: %s: only %s of %s pages of 2 MiB are huge.\n", name,
			count_text(tally->huge_before).s,
			count_text(plan->layout.heap / HUGE_BYTES).s);
}

static void print_fork_caveats(const struct tally *fork, FILE *out)
{
	if (fork->ragged_rounds)
		fprintf(out,
			"Note: fork(2): the huge pages could not be mended for %s of %s rounds.\n",
			count_text(fork->ragged_rounds).s, count_text(fork->rounds).s);
	if (fork->failure[0])
		fprintf(out, "Note: the fork(2) side gave up: %s.\n", fork->failure);
}

static unsigned print_verdict(const struct run *run, FILE *out)
{
	struct check check[CHECKS];
	unsigned failed = 0;

	checks_make(run, check);
	for (int i = 0; i < CHECKS; i++) {
		if (!check[i].failures)
			continue;
		failed++;
		fprintf(out, "FAILED: %s: %s%s%s\n", check[i].name, count_text(check[i].failures).s,
			check[i].detail ? ": " : "", check[i].detail ? check[i].detail : "");
	}
	if (!failed)
		fprintf(out, "%s: every check of %s snapshots passed, in %.0f s.\n",
			run->interrupted ? "Interrupted" : "OK", count_text(run->heap->forks).s,
			run->seconds);
	return failed;
}

static void print_lost(const struct run *run, FILE *out)
{
	uint64_t lost = run->plan.timeline ? timeline_lost(run->plan.timeline) : 0;

	if (lost)
		fprintf(out, "Note: %s had no room for the last %s events.\n", run->options->trace,
			count_text(lost).s);
}

unsigned report_table(struct run *run, FILE *out)
{
	fprintf(out, "\n");
	row(out, "", cell("Holdfast"), cell("fork(2)"), cell("ratio"));
	latency_rows(run, out);
	pinned_rows(run, out);
	finding_rows(run, out);
	fprintf(out, "\n");
	if (run->options->trace)
		events_print(&run->heap->events, out);
	print_lost(run, out);
	print_caveats(run->heap, "Holdfast", &run->plan, out);
	print_caveats(run->fork, "fork(2)", &run->plan, out);
	print_fork_caveats(run->fork, out);
	return print_verdict(run, out);
}
