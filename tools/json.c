/* SPDX-License-Identifier: MIT */
#include "checks.h"
#include "report.h"

#include <jansson.h>
#include <math.h>

/* Nanoseconds are as exact as the clock. */
static json_t *us(double value)
{
	return json_real(round(value * 1000) / 1000);
}

static json_t *median(struct samples *samples)
{
	return samples->count ? us(samples_percentile(samples, 50)) : json_null();
}

static json_t *latency(struct samples *samples)
{
	struct spread spread = samples_spread(samples);

	if (!samples->count)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "p50", us(spread.p50), "p99", us(spread.p99), "max",
			 us(spread.max));
}

/* How many times memcpy's time a pinned page takes. */
static json_t *page_cost(struct tally *tally)
{
	double floor = samples_percentile(&tally->memcpy_us, 50);

	return floor > 0 ? json_real(samples_percentile(&tally->pinned_us, 50) / floor)
			 : json_null();
}

static json_t *number(uint64_t n)
{
	return n == UNKNOWN ? json_null() : json_integer((json_int_t)n);
}

static json_t *notes(const struct run *run)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < run->notes; i++)
		json_array_append_new(list, json_string(run->note[i]));
	return list;
}

static json_t *failures(const struct run *run)
{
	struct check check[CHECKS];
	json_t *list = json_array();

	checks_make(run, check);
	for (int i = 0; i < CHECKS; i++)
		if (check[i].failures)
			json_array_append_new(list, json_string(check[i].name));
	return list;
}

static void set_setting(json_t *all, const struct run *run)
{
	const struct plan *plan = &run->plan;

	json_object_set_new(all, "dir", json_string(run->options->dir));
	json_object_set_new(all, "files", number(plan->files.files));
	json_object_set_new(all, "policy",
			    json_string(plan->policy == HF_FORK_COPY ? "copy" : "split"));
	json_object_set_new(all, "mapped_bytes", number(plan->layout.heap));
	json_object_set_new(all, "pinned_bytes", number(plan->pinned));
	json_object_set_new(all, "io_uring", json_boolean(plan->use_uring));
	json_object_set_new(all, "seconds", json_real(run->seconds));
	json_object_set_new(all, "interrupted", json_boolean(run->interrupted));
	json_object_set_new(all, "notes", notes(run));
}

static void set_heap(json_t *all, struct tally *tally)
{
	json_object_set_new(all, "fork_us", latency(&tally->fork_us));
	json_object_set_new(all, "first_fork_us", us(tally->first_us));
	json_object_set_new(all, "forks", number(tally->forks));
	json_object_set_new(all, "torn", number(tally->torn));
	json_object_set_new(all, "pinned_moved", number(tally->pinned_moved));
	json_object_set_new(all, "huge_before", number(tally->huge_before));
	json_object_set_new(all, "huge_after", number(tally->huge_after));
	json_object_set_new(all, "device_bytes", number(tally->device.landed));
	json_object_set_new(all, "device_errors", number(tally->device.errors));
	json_object_set_new(all, "checked_bytes", number(tally->compared));
	json_object_set_new(all, "pinned_2m_us", median(&tally->pinned_us));
	json_object_set_new(all, "memcpy_2m_us", median(&tally->memcpy_us));
	json_object_set_new(all, "pinned_over_memcpy", page_cost(tally));
}

static void set_events(json_t *all, struct events *events)
{
	json_t *count = json_object(), *fault = json_object();

	for (size_t i = 0; i < HF_TRACES; i++)
		json_object_set_new(count, events_name[i], number(events->count[i]));
	for (size_t i = 0; i < HF_FAULTS; i++)
		json_object_set_new(fault, events_fault_name[i], number(events->fault[i]));
	json_object_set_new(all, "events", count);
	json_object_set_new(all, "faults", fault);
	json_object_set_new(all, "fork_tables", number(events->tables));
	json_object_set_new(all, "fork_copied_bytes", number(events->copied));
}

static void set_fork(json_t *all, struct tally *tally)
{
	json_object_set_new(all, "linux_fork_us", latency(&tally->fork_us));
	json_object_set_new(all, "linux_refork_us", latency(&tally->refork_us));
	json_object_set_new(all, "linux_first_fork_us", us(tally->first_us));
	json_object_set_new(all, "linux_forks", number(tally->forks));
	json_object_set_new(all, "linux_torn", number(tally->torn));
	json_object_set_new(all, "linux_pinned_moved", number(tally->pinned_moved));
	json_object_set_new(all, "linux_huge_before", number(tally->huge_before));
	json_object_set_new(all, "linux_huge_after", number(tally->huge_after));
	json_object_set_new(all, "linux_device_bytes", number(tally->device.landed));
	json_object_set_new(all, "linux_device_errors", number(tally->device.errors));
	json_object_set_new(all, "linux_checked_bytes", number(tally->compared));
	json_object_set_new(all, "linux_failure",
			    tally->failure[0] ? json_string(tally->failure) : json_null());
}

bool report_json(struct run *run, const char *path)
{
	json_t *all = json_object();
	bool ok;

	set_setting(all, run);
	set_heap(all, run->heap);
	if (run->options->trace)
		set_events(all, &run->heap->events);
	set_fork(all, run->fork);
	json_object_set_new(all, "empty_fork_us", median(&run->empty_fork_us));
	json_object_set_new(all, "failures", failures(run));
	ok = all && json_dump_file(all, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0;
	json_decref(all);
	if (!ok)
		fprintf(stderr, "holdfast run: %s: it could not be written\n", path);
	return ok;
}
