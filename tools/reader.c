/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* O_DIRECT */
#include "reader.h"

#include "host.h"
#include "timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH 8		 /* reads under way at once */
#define TURN_POLL_US 100 /* how long a read takes, about */

/* One read. */
struct op {
	struct op *next; /* of the idle ones */
	size_t slot;
	uint32_t piece; /* counted from 0 */
	int fd;
	bool direct;
	char *bounce; /* SLOT_BYTES, page-aligned; NULL: straight into the heap */
};

struct reader_engine {
	struct io_uring ring;
	struct op op[DEPTH];
	struct op *idle;
	size_t busy, depth;
	char *bounce;
};

static char *slot_device(const struct reader *r, size_t slot)
{
	size_t off = slot * SLOT_BYTES;

	return r->block[off / HUGE_BYTES] + off % HUGE_BYTES;
}

__attribute__((format(printf, 2, 3))) static void trouble(struct reader *r, const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&r->device->errors, 1) != 0)
		return;
	va_start(args, format);
	vsnprintf(r->device->trouble, sizeof(r->device->trouble), format, args);
	va_end(args);
}

static void compare_slot(struct reader *r, size_t slot)
{
	uint64_t word = reader_slot(r, slot);
	const struct piece *piece;

	if (!slot_settled(word))
		return;
	piece = slot_piece(r->files, word);
	switch (files_compare(r->files, piece, r->base + slot * SLOT_BYTES, r->scratch)) {
	case FILES_SAME:
		atomic_fetch_add(&r->device->compared, piece->len);
		break;
	case FILES_DIFFER:
		trouble(r, "slot %zu is not what %s holds at %lld", slot,
			r->files->file[piece->file].path, (long long)piece->off);
		break;
	case FILES_CHANGED:
		break;
	}
}

static int open_piece(const struct reader *r, struct op *op)
{
	const char *path = r->files->file[r->files->piece[op->piece].file].path;

	if (op->direct) {
		op->fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
		if (op->fd >= 0 || errno != EINVAL)
			return op->fd;
		op->direct = false; /* this file system has none */
	}
	op->fd = open(path, O_RDONLY | O_CLOEXEC);
	return op->fd;
}

/*
 * A read by the device, now. Not by pread(3): ThreadSanitizer would take it for a write of this
 * thread, and no thread waits for a device.
 */
static ssize_t device_read(int fd, char *to, off_t off)
{
	ssize_t got = syscall(SYS_pread64, fd, to, SLOT_BYTES, off);

	return got < 0 ? -errno : got;
}

static void finish(struct reader *r, struct op *op, ssize_t got);

/* Hand the read to the kernel: through the ring, or now. */
static void issue(struct reader *r, struct op *op)
{
	char *to = op->bounce ? op->bounce : slot_device(r, op->slot);
	off_t off = r->files->piece[op->piece].off;
	struct io_uring_sqe *sqe;

	if (open_piece(r, op) < 0) {
		finish(r, op, -errno);
		return;
	}
	if (!r->use_uring) {
		finish(r, op, device_read(op->fd, to, off));
		return;
	}
	sqe = io_uring_get_sqe(&r->engine->ring); /* never full: DEPTH entries, DEPTH ops */
	if (r->registered)
		io_uring_prep_read_fixed(sqe, op->fd, to, SLOT_BYTES, (uint64_t)off,
					 (int)(op->slot * SLOT_BYTES / HUGE_BYTES));
	else
		io_uring_prep_read(sqe, op->fd, to, SLOT_BYTES, (uint64_t)off);
	io_uring_sqe_set_data(sqe, op);
}

/* How many slots hold files, without those of the pairs: one half of them. */
static size_t half_of_slots(const struct reader *r)
{
	return (layout_slots(r->layout) - 2) / 2;
}

static size_t first_of_half(const struct reader *r, unsigned half)
{
	return 1 + half * half_of_slots(r);
}

/* The next slot in turn. There are fewer reads under way than slots in a half. */
static size_t choose_slot(struct reader *r)
{
	unsigned half = atomic_load(&r->half);
	size_t slot;

	do {
		slot = first_of_half(r, half) + r->next_slot++ % half_of_slots(r);
	} while (slot_in_flight(reader_slot(r, slot)));
	return slot;
}

/* Start reading the next piece into the next slot. */
static void begin(struct reader *r, struct op *op)
{
	struct reader_engine *engine = r->engine;
	uint64_t gen;

	op->slot = choose_slot(r);
	op->piece = (uint32_t)r->next_piece;
	r->next_piece = (r->next_piece + 1) % r->files->pieces;
	op->direct = true;

	compare_slot(r, op->slot);
	gen = (reader_slot(r, op->slot) >> 32) + 1;
	atomic_store(&r->slot[op->slot], gen << 32);

	engine->idle = op->next;
	engine->busy++;
	issue(r, op);
}

static bool land(struct reader *r, const struct op *op, size_t len)
{
	return !op->bounce || r->land(r->ctx, op->slot * SLOT_BYTES, op->bounce, len);
}

/* A read has ended with `got` bytes or a negative errno. */
static void finish(struct reader *r, struct op *op, ssize_t got)
{
	const struct piece *piece = &r->files->piece[op->piece];
	uint64_t gen = (reader_slot(r, op->slot) >> 32) + 1;
	uint64_t holds = 0;

	if (op->fd >= 0)
		close(op->fd);
	if (got == -EINVAL && op->direct) {
		op->direct = false; /* opened with O_DIRECT, but this read cannot */
		issue(r, op);
		return;
	}
	if (got == (ssize_t)piece->len && land(r, op, piece->len)) {
		holds = op->piece + 1;
		atomic_fetch_add(&r->device->landed, piece->len);
		atomic_fetch_add(&r->device->reads, 1);
		if (!op->direct)
			atomic_fetch_add(&r->device->buffered_reads, 1);
	} else if (!files_changed(r->files, piece)) {
		trouble(r, "read of %s at %lld: %s", r->files->file[piece->file].path,
			(long long)piece->off, got < 0 ? strerror((int)-got) : "too short");
	}
	atomic_store(&r->slot[op->slot], gen << 32 | holds);
	op->next = r->engine->idle;
	r->engine->idle = op;
	r->engine->busy--;
}

/* Submit what is new and take what has ended, at least one. */
static void reap(struct reader *r)
{
	struct io_uring *ring = &r->engine->ring;
	struct io_uring_cqe *cqe;

	io_uring_submit_and_wait(ring, 1);
	while (io_uring_peek_cqe(ring, &cqe) == 0) {
		struct op *op = io_uring_cqe_get_data(cqe);
		int got = cqe->res;

		io_uring_cqe_seen(ring, cqe);
		finish(r, op, got);
	}
}

static void *read_files(void *arg)
{
	struct reader *r = arg;

	timeline_thread(TIMELINE_DEVICE);
	while (!atomic_load(&r->stop)) {
		atomic_store(&r->working, atomic_load(&r->half));
		for (size_t i = 0; i < r->engine->depth && r->engine->idle; i++)
			begin(r, r->engine->idle);
		if (r->engine->busy)
			reap(r);
	}
	while (r->engine->busy)
		reap(r);
	return NULL;
}

static bool register_blocks(struct io_uring *ring, char *const *block, size_t count)
{
	struct iovec *iov = calloc(count, sizeof(*iov));
	int status = -ENOMEM;

	if (iov) {
		for (size_t i = 0; i < count; i++)
			iov[i] = (struct iovec){ .iov_base = block[i], .iov_len = HUGE_BYTES };
		status = io_uring_register_buffers(ring, iov, (unsigned)count);
	}
	free(iov);
	return status == 0;
}

static void engine_free(struct reader_engine *engine)
{
	free(engine->bounce);
	free(engine);
}

static struct reader_engine *engine_alloc(bool bounce, size_t depth)
{
	struct reader_engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	if (bounce) {
		engine->bounce = aligned_alloc(PAGE_BYTES, DEPTH * SLOT_BYTES);
		if (!engine->bounce) {
			free(engine);
			return NULL;
		}
	}
	engine->depth = depth;
	for (size_t i = 0; i < depth; i++) {
		struct op *op = &engine->op[i];

		op->bounce = bounce ? engine->bounce + i * SLOT_BYTES : NULL;
		op->next = engine->idle;
		engine->idle = op;
	}
	return engine;
}

bool reader_open(struct reader *r)
{
	r->slot = calloc(layout_slots(r->layout), sizeof(*r->slot));
	r->scratch = aligned_alloc(PAGE_BYTES, SLOT_BYTES);
	if (r->slot && r->scratch)
		return true;
	free(r->slot);
	free(r->scratch);
	return false;
}

bool reader_start(struct reader *r)
{
	size_t most = half_of_slots(r) / 2;

	r->engine = engine_alloc(!r->block, most < DEPTH ? most : DEPTH);
	if (!r->engine)
		return false;
	if (r->use_uring && io_uring_queue_init(DEPTH, &r->engine->ring, 0) != 0)
		goto fail;
	r->registered = r->use_uring && r->block &&
			register_blocks(&r->engine->ring, r->block, layout_blocks(r->layout));
	atomic_store(&r->stop, false);
	if (pthread_create(&r->thread, NULL, read_files, r) == 0)
		return true;
	if (r->use_uring)
		io_uring_queue_exit(&r->engine->ring);
fail:
	engine_free(r->engine);
	return false;
}

void reader_stop(struct reader *r)
{
	atomic_store(&r->stop, true);
	pthread_join(r->thread, NULL);
	if (r->registered) /* at once: leaving the ring would do it some time later */
		io_uring_unregister_buffers(&r->engine->ring);
	if (r->use_uring)
		io_uring_queue_exit(&r->engine->ring);
	engine_free(r->engine);
}

static bool half_in_flight(const struct reader *r, unsigned half)
{
	size_t first = first_of_half(r, half);

	for (size_t slot = first; slot < first + half_of_slots(r); slot++)
		if (slot_in_flight(reader_slot(r, slot)))
			return true;
	return false;
}

void reader_turn(struct reader *r)
{
	unsigned before = atomic_load(&r->half);

	atomic_store(&r->half, !before);
	while (atomic_load(&r->working) == before || half_in_flight(r, before))
		host_sleep_us(TURN_POLL_US);
}

bool reader_rests(const struct reader *r, size_t slot)
{
	size_t first = first_of_half(r, !atomic_load(&r->half));

	return slot >= first && slot < first + half_of_slots(r);
}

void reader_close(struct reader *r)
{
	for (size_t slot = 0; slot < layout_slots(r->layout); slot++)
		compare_slot(r, slot);
	free(r->slot);
	free(r->scratch);
}

/* Whether `bytes` of fresh memory can be registered. */
static bool registers(struct io_uring *ring, size_t bytes)
{
	size_t count = bytes / HUGE_BYTES;
	char **block = calloc(count, sizeof(*block));
	char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool ok = false;

	if (block && map != MAP_FAILED) {
		for (size_t i = 0; i < count; i++)
			block[i] = map + i * HUGE_BYTES;
		ok = register_blocks(ring, block, count);
		if (ok)
			io_uring_unregister_buffers(ring);
	}
	if (map != MAP_FAILED)
		munmap(map, bytes);
	free(block);
	return ok;
}

size_t reader_probe(size_t want, int *error)
{
	size_t least = 0, most = want / HUGE_BYTES; /* blocks */
	struct io_uring ring;

	*error = -io_uring_queue_init(DEPTH, &ring, 0);
	if (*error)
		return 0;
	if (most && registers(&ring, most * HUGE_BYTES))
		least = most;
	while (most - least > 1) {
		size_t middle = (least + most) / 2;

		if (registers(&ring, middle * HUGE_BYTES))
			least = middle;
		else
			most = middle;
	}
	io_uring_queue_exit(&ring);
	return least * HUGE_BYTES;
}
