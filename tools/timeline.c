/* SPDX-License-Identifier: MIT */
#include "timeline.h"

#include "events.h"
#include "host.h"

#include <inttypes.h>
#include <stdio.h>

static _Thread_local enum timeline_thread this_thread;

void timeline_thread(enum timeline_thread thread)
{
	this_thread = thread;
}

static void add(struct timeline *timeline, const struct timeline_entry *entry)
{
	uint64_t i = atomic_fetch_add_explicit(&timeline->count, 1, memory_order_relaxed);
	struct timeline_entry *to;

	if (i >= TIMELINE_MAX)
		return;
	to = &timeline->entry[i];
	to->ns = entry->ns;
	to->took = entry->took;
	to->thread = this_thread;
	to->event = entry->event;
	to->cost = entry->cost;
	atomic_store_explicit(&to->whole, true, memory_order_release);
}

void timeline_event(struct timeline *timeline, const struct hf_trace_event *event)
{
	struct timeline_entry entry = { .ns = host_now(), .event = *event };

	if (event->fork)
		entry.cost = *event->fork;
	entry.event.fork = NULL;
	add(timeline, &entry);
}

void timeline_fork(struct timeline *timeline, uint64_t began)
{
	uint64_t took = host_now() - began;

	add(timeline, &(struct timeline_entry){ .ns = began, .took = took ? took : 1 });
}

uint64_t timeline_lost(const struct timeline *timeline)
{
	uint64_t count = atomic_load(&timeline->count);

	return count > TIMELINE_MAX ? count - TIMELINE_MAX : 0;
}

/* ---- The file ---- */

static const char *const thread_name[TIMELINE_THREADS] = {
	[TIMELINE_MAIN] = "forks",
	[TIMELINE_DEVICE] = "device",
	[TIMELINE_PAIRS] = "writer of pairs",
	[TIMELINE_FIELD] = "writer of the field",
};

/* Metadata: what the viewer calls the process and its threads, which count from 1. */
static void write_names(FILE *out)
{
	fprintf(out, "{\"ph\":\"M\",\"pid\":1,\"tid\":1,\"name\":\"process_name\","
		     "\"args\":{\"name\":\"holdfast run, Holdfast's side\"}}");
	for (int i = 0; i < TIMELINE_THREADS; i++)
		fprintf(out,
			",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_name\","
			"\"args\":{\"name\":\"%s\"}}",
			i + 1, thread_name[i]);
}

/* A time in microseconds, as exact as the clock. */
static void write_us(const char *key, uint64_t ns, FILE *out)
{
	fprintf(out, "\"%s\":%" PRIu64 ".%03" PRIu64 ",", key, ns / 1000, ns % 1000);
}

static void write_event(const struct timeline_entry *entry, FILE *out)
{
	const struct hf_trace_event *event = &entry->event;

	fprintf(out, "\"ph\":\"i\",\"s\":\"t\",\"name\":\"%s\",\"args\":{",
		events_name[event->what]);
	if (event->what == HF_TRACE_FAULT)
		fprintf(out, "\"did\":\"%s\",", events_fault_name[event->kind]);
	if (event->what == HF_TRACE_FLUSH)
		fprintf(out, "\"write\":%s,\"tables\":%s,\"leaves\":%s,",
			event->kind & HF_FLUSH_WRITE ? "true" : "false",
			event->kind & HF_FLUSH_TABLES ? "true" : "false",
			event->kind & HF_FLUSH_LEAVES ? "true" : "false");
	if (event->what == HF_TRACE_COLLAPSE)
		fprintf(out, "\"copied\":%s,",
			event->kind == HF_COLLAPSE_COPIED ? "true" : "false");
	if (event->what == HF_TRACE_FORK)
		fprintf(out,
			"\"tables\":%" PRIu64 ",\"small\":%" PRIu64 ",\"huge\":%" PRIu64
			",\"bytes\":%" PRIu64 ",",
			entry->cost.tables, entry->cost.small, entry->cost.huge, entry->cost.bytes);
	fprintf(out, "\"level\":%u,\"va\":\"%#" PRIx64 "\",\"len\":%" PRIu64 "}}", event->level,
		event->va, event->len);
}

static void write_entry(const struct timeline *timeline, const struct timeline_entry *entry,
			FILE *out)
{
	fprintf(out, ",\n{\"pid\":1,\"tid\":%d,", entry->thread + 1);
	write_us("ts", entry->ns - timeline->began, out);
	if (!entry->took) {
		write_event(entry, out);
		return;
	}
	write_us("dur", entry->took, out);
	fprintf(out, "\"ph\":\"X\",\"name\":\"hf_linux_fork\"}");
}

bool timeline_write(const struct timeline *timeline, const char *path)
{
	uint64_t count = atomic_load(&timeline->count) - timeline_lost(timeline);
	FILE *out = fopen(path, "w");
	bool ok;

	if (!out)
		return false;
	fprintf(out, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"lost\":%" PRIu64 "},\n",
		timeline_lost(timeline));
	fprintf(out, "\"traceEvents\":[\n");
	write_names(out);
	for (uint64_t i = 0; i < count; i++)
		if (atomic_load_explicit(&timeline->entry[i].whole, memory_order_acquire))
			write_entry(timeline, &timeline->entry[i], out);
	fprintf(out, "\n]}\n");
	ok = !ferror(out);
	return fclose(out) == 0 && ok;
}
