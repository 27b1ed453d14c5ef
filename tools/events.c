/* SPDX-License-Identifier: MIT */
#include "events.h"

#include "units.h"

#include <holdfast/report.h>

#include <inttypes.h>

const char *const events_name[HF_TRACES] = {
	[HF_TRACE_FAULT] = "fault", [HF_TRACE_FORK] = "fork",	      [HF_TRACE_FLUSH] = "flush",
	[HF_TRACE_SPLIT] = "split", [HF_TRACE_COLLAPSE] = "collapse", [HF_TRACE_PIN] = "pin",
	[HF_TRACE_UNPIN] = "unpin", [HF_TRACE_RECLAIM] = "reclaim",
};

const char *const events_fault_name[HF_FAULTS] = {
	[HF_FAULT_NONE] = "nothing",  [HF_FAULT_ZERO] = "zero",	  [HF_FAULT_FRESH] = "fresh",
	[HF_FAULT_COPY] = "copy",     [HF_FAULT_REUSE] = "reuse", [HF_FAULT_SWAPIN] = "swapin",
	[HF_FAULT_OBJECT] = "object",
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void events_note(void *arg, const struct hf_trace_event *event)
{
	struct events *events = arg;

	add(&events->count[event->what], 1);
	if (event->what == HF_TRACE_FAULT)
		add(&events->fault[event->kind], 1);
	if (event->what == HF_TRACE_FORK) {
		add(&events->tables, event->fork->tables);
		add(&events->copied, event->fork->bytes);
	}
	timeline_event(events->timeline, event);
}

static void print_counts(const char *title, _Atomic uint64_t *count, const char *const *name,
			 size_t names, FILE *out)
{
	const char *comma = " ";

	fprintf(out, "%s:", title);
	for (size_t i = 0; i < names; i++) {
		if (!count[i])
			continue;
		fprintf(out, "%s%s %s", comma, name[i], count_text(count[i]).s);
		comma = ", ";
	}
	fprintf(out, "\n");
}

void events_print(struct events *events, FILE *out)
{
	print_counts("Holdfast's events", events->count, events_name, HF_TRACES, out);
	print_counts("Its faults, by what they did", events->fault, events_fault_name, HF_FAULTS,
		     out);
	fprintf(out, "Its forks made %s tables and copied %s.\n\n", count_text(events->tables).s,
		size_text(events->copied).s);
}
