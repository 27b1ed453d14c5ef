/* SPDX-License-Identifier: MIT */
/* System calls on the memory of spaces: what linux.h says of them. */
#include "rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <holdfast/swap.h>

#define LEN (64 * PAGE)

/* A file of LEN bytes, each page different. */
static int file_of_pages(uint64_t seed)
{
	int fd = memfd_create("file", 0);
	char page[HF_PAGE_SIZE];

	assert_true(fd >= 0);
	for (uint64_t i = 0; i < LEN; i += PAGE) {
		for (uint64_t k = 0; k < PAGE; k += 8)
			*(uint64_t *)(page + k) = stamp(seed, i + k);
		assert_int_equal(pwrite(fd, page, PAGE, (off_t)i), PAGE);
	}
	return fd;
}

/* What the system calls themselves do: linux.h, "System calls". */

static void calls_stop_where_nothing_was_touched(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	int fd = file_of_pages(1), ends[2];
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = map(&space, LEN, false);
	assert_int_equal(pread(fd, p, LEN, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(pwrite(fd, p, LEN, 0), -1);
	assert_int_equal(errno, EFAULT);

	/* Touched up to somewhere: up to there it goes, and no error is told. */
	p[0] = p[PAGE] = 1;
	assert_int_equal(pread(fd, p, LEN, 0), 2 * PAGE);
	check_filled(p, 2 * PAGE, 8, 1);
	assert_int_equal(pwrite(fd, p, LEN, 0), 2 * PAGE);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], p, 5 * PAGE), 2 * PAGE);

	/* Nothing of what is in a pipe is lost by one that failed. */
	assert_int_equal(read(ends[0], p + 2 * PAGE, PAGE), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(read(ends[0], p, LEN), 2 * PAGE);
	check_filled(p, 2 * PAGE, 8, 1);
	close(ends[0]);
	close(ends[1]);

	/* But a datagram is. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(send(ends[0], p, PAGE, 0), PAGE);
	assert_int_equal(recv(ends[1], p + 4 * PAGE, PAGE, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(recv(ends[1], p, PAGE, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	destroy(&space);
	end(lin);
}

static void populated_memory_can_be_given_to_calls(void **state)
{
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space parent, child;
	int fd = file_of_pages(1);
	char *p, *c;
	hf_va va;

	(void)state;
	space_in(lin, &parent, 16 * MIB);
	p = map(&parent, 4 * MIB, false);
	va = hf_linux_va(&parent, p);
	OK(hf_madvise(&parent.mm, va, LEN, HF_ADV_POPULATE_WRITE));
	assert_int_equal(pread(fd, p, LEN, 0), LEN);
	check_filled(p, LEN, 8, 1);

	/* A fork takes the right to write away, and the child has touched nothing. */
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	c = there(&parent, &child, p);
	assert_int_equal(pread(fd, p, LEN, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(pwrite(fd, p, LEN, 0), LEN);
	assert_int_equal(pwrite(fd, c, LEN, 0), -1);
	OK(hf_madvise(&child.mm, va, LEN, HF_ADV_POPULATE_READ));
	assert_int_equal(pwrite(fd, c, LEN, 0), LEN);
	assert_int_equal(pread(fd, c, PAGE, 0), -1);
	OK(hf_madvise(&parent.mm, va, LEN, HF_ADV_POPULATE_WRITE));
	assert_int_equal(pread(fd, p, LEN, PAGE), LEN - PAGE);
	check_filled(c, LEN, 8, 1);
	assert_int_equal(*(uint64_t *)p, stamp(1, PAGE));

	/* Memory that has never been written reads as zeros; a lock is a write of what may be. */
	OK(hf_madvise(&child.mm, va + MIB, LEN, HF_ADV_POPULATE_READ));
	assert_int_equal(pwrite(fd, c + MIB, LEN, 0), LEN);
	OK(hf_mlock(&child.mm, va + 2 * MIB, LEN, 0));
	assert_int_equal(pread(fd, c + 2 * MIB, LEN, 0), LEN);
	assert_int_equal(*(uint64_t *)(c + 2 * MIB), 0);
	destroy(&child);

	/* The pages are where they were, and lack nothing but rights. */
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	destroy(&child);
	OK(hf_madvise(&parent.mm, va, LEN, HF_ADV_POPULATE_WRITE));
	assert_int_equal(pread(fd, p, LEN, 0), LEN);
	close(fd);
	destroy(&parent);
	end(lin);
}

/* The port's own calls: read and its like. */

static char *untouched(struct hf_linux_space *space, uint64_t len)
{
	return map(space, len, false);
}

static void reads_go_anywhere(void **state)
{
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space space, other;
	char plain[100], *p, *q;
	struct iovec iov[4];
	int fd = file_of_pages(1);

	(void)state;
	space_in(lin, &space, 16 * MIB);
	space_in(lin, &other, 16 * MIB);
	p = untouched(&space, LEN + PAGE);
	q = untouched(&other, LEN);
	assert_int_equal(hf_linux_pread(fd, p, LEN, 0), LEN);
	check_filled(p, LEN, 8, 1);
	assert_int_equal(hf_linux_pread(fd, p + 8, LEN, 8), LEN - 8);
	check_filled(p, LEN, 8, 1);
	assert_int_equal(hf_linux_pread(fd, p, LEN, LEN), 0);

	/* Pieces of two spaces and none, and the file's own position. */
	iov[0] = (struct iovec){ plain, sizeof(plain) };
	iov[1] = (struct iovec){ q + 3, 2 * PAGE };
	iov[2] = (struct iovec){ NULL, 0 };
	iov[3] = (struct iovec){ q + 5 * PAGE - 2, 7 };
	assert_int_equal(lseek(fd, 8, SEEK_SET), 8);
	assert_int_equal(hf_linux_readv(fd, iov, 4), 107 + 2 * PAGE);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 115 + 2 * PAGE);
	assert_memory_equal(plain, p + 8, 100);
	assert_memory_equal(q + 3, p + 108, 2 * PAGE);
	assert_memory_equal(q + 5 * PAGE - 2, p + 108 + 2 * PAGE, 7);
	assert_int_equal(hf_linux_preadv(fd, iov, 2, 16), 100 + 2 * PAGE);
	assert_memory_equal(plain, p + 16, 100);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(hf_linux_read(fd, q, PAGE), PAGE);
	check_filled(q, PAGE, 8, 1);
	close(fd);
	destroy(&other);
	destroy(&space);
	end(lin);
}

/* More than one batch, over memory that lies anywhere in RAM. */
static void large_reads_come_in_parts(void **state)
{
	const uint64_t len = 5 * MIB + 100;
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space space;
	int fd = memfd_create("large", 0);
	char *data = malloc(len), *p;

	(void)state;
	for (uint64_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / PAGE);
	assert_int_equal(write(fd, data, len), len);
	space_in(lin, &space, 16 * MIB);
	p = untouched(&space, 8 * MIB);
	for (uint64_t i = 0; i < 8 * MIB / PAGE; i++) /* in a scattered order */
		p[i * 1103 % 2048 * PAGE] = 1;
	assert_int_equal(hf_linux_pread(fd, p + 33, 8 * MIB - 33, 0), len);
	assert_memory_equal(p + 33, data, len);
	free(data);
	close(fd);
	destroy(&space);
	end(lin);
}

static void errors_are_the_systems(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct iovec many[2] = { { NULL, SIZE_MAX / 2 }, { NULL, SIZE_MAX / 2 } };
	struct hf_linux_space space;
	int fd = file_of_pages(1), ends[2];
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = untouched(&space, LEN);
	OK(hf_munmap(&space.mm, hf_linux_va(&space, p) + 3 * PAGE, PAGE));
	OK(hf_mprotect(&space.mm, hf_linux_va(&space, p) + 6 * PAGE, PAGE, HF_PROT_READ));

	/* Up to what is not mapped, or not to be written; nothing of it. */
	assert_int_equal(hf_linux_pread(fd, p, LEN, 0), 3 * PAGE);
	check_filled(p, PAGE, PAGE / 4, 1);
	assert_int_equal(hf_linux_pread(fd, p + 3 * PAGE, LEN, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(hf_linux_pread(fd, p + 4 * PAGE, LEN, 0), 2 * PAGE);
	assert_int_equal(hf_linux_pread(fd, p + 6 * PAGE, 1, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(hf_linux_pwrite(fd, p, LEN, 0), 3 * PAGE);
	assert_int_equal(hf_linux_pwrite(fd, p + 3 * PAGE, 9, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(hf_linux_pwrite(fd, p + 6 * PAGE, PAGE, 0), PAGE); /* reading is allowed */
	assert_int_equal(hf_linux_pread(fd, p - PAGE, 1, 0), -1);
	assert_int_equal(errno, EFAULT);

	assert_int_equal(hf_linux_pread(fd, p, 1, -1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hf_linux_pwritev(fd, many, 1, -1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hf_linux_readv(fd, many, 2), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hf_linux_readv(fd, many, -1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hf_linux_writev(fd, many, 1025), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(hf_linux_read(-1, p, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(hf_linux_read(-1, p, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(hf_linux_write(-1, p, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(hf_linux_recv(fd, p, 1, 0), -1);
	assert_int_equal(errno, ENOTSOCK);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	assert_int_equal(hf_linux_pread(ends[0], p, 1, 0), -1);
	assert_int_equal(errno, ESPIPE);
	assert_int_equal(hf_linux_read(ends[0], p, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(hf_linux_send(ends[1], p, 1, MSG_ZEROCOPY), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	destroy(&space);
	end(lin);
}

static void on_alarm(int sig)
{
	(void)sig;
}

struct waiter {
	int fd, size;
	pthread_t writer;
	atomic_bool done;
};

/* Once; a writer that goes on waiting is let go later, and has then written too much. */
static void *interrupt_when_full(void *argument)
{
	struct waiter *w = argument;
	char *rest = malloc(LEN);
	int held = 0;

	while (held < w->size) {
		sched_yield();
		ioctl(w->fd, FIONREAD, &held);
	}
	pthread_kill(w->writer, SIGALRM);
	for (unsigned i = 0; i < 6000 && !atomic_load(&w->done); i++)
		usleep(10000);
	while (!atomic_load(&w->done) && read(w->fd, rest, LEN) > 0)
		;
	free(rest);
	return NULL;
}

static void a_signal_ends_a_wait(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm }, before;
	struct itimerval soon = { .it_value = { .tv_usec = 20000 },
				  .it_interval = { .tv_usec = 20000 } };
	struct itimerval never = { 0 };
	pthread_t thread;
	struct waiter w = { .done = false };
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	int ends[2];
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = untouched(&space, LEN);
	assert_int_equal(pipe(ends), 0);
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(hf_linux_read(ends[0], p, LEN), -1);
	assert_int_equal(errno, EINTR);
	setitimer(ITIMER_REAL, &never, NULL);

	/* A pipe that is full, and then one signal: what was written is told. */
	w.fd = ends[0];
	w.size = fcntl(ends[1], F_GETPIPE_SZ);
	w.writer = pthread_self();
	assert_int_equal(pthread_create(&thread, NULL, interrupt_when_full, &w), 0);
	assert_int_equal(hf_linux_write(ends[1], p, LEN), w.size);
	atomic_store(&w.done, true);
	pthread_join(thread, NULL);
	sigaction(SIGALRM, &before, NULL);
	close(ends[0]);
	close(ends[1]);
	destroy(&space);
	end(lin);
}

/* Forks, and children that end, beside the calls. */
struct forker {
	struct hf_linux_space *space;
	atomic_bool stop;
	atomic_uint forks;
};

static void *fork_often(void *argument)
{
	struct forker *f = argument;

	while (!atomic_load(&f->stop)) {
		struct hf_linux_space child;

		if (hf_linux_fork(f->space, &child, HF_FORK_COPY))
			return "no fork";
		hf_linux_space_destroy(&child);
		atomic_fetch_add(&f->forks, 1);
	}
	return NULL;
}

static void forks_beside_calls_lose_nothing(void **state)
{
	const unsigned rounds = SANITIZED ? 100 : 1000;
	struct hf_linux *lin = machine(128 * MIB);
	struct hf_linux_space space;
	struct forker forker = { .space = &space };
	int files[2] = { file_of_pages(1), file_of_pages(2) }, ends[2];
	pthread_t thread;
	void *complaint;
	char *p;

	(void)state;
#ifdef __SANITIZE_THREAD__
	SKIP("a call writes to pinned memory as a device does, beside the fork that copies it");
#endif
	space_in(lin, &space, 16 * MIB);
	p = untouched(&space, 2 * LEN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(pthread_create(&thread, NULL, fork_often, &forker), 0);
	for (unsigned i = 0; i < rounds || !atomic_load(&forker.forks); i++) {
		const uint64_t part = 16 * PAGE;

		assert_int_equal(hf_linux_pread(files[i % 2], p, LEN, 0), LEN);
		check_filled(p, LEN, PAGE / 2, 1 + i % 2);
		assert_int_equal(hf_linux_send(ends[0], p, part, 0), part);
		assert_int_equal(hf_linux_recv(ends[1], p + LEN, LEN, 0), part);
		check_filled(p + LEN, part, PAGE / 2, 1 + i % 2);
	}
	atomic_store(&forker.stop, true);
	pthread_join(thread, &complaint);
	assert_null(complaint);
	for (unsigned i = 0; i < 2; i++) {
		close(files[i]);
		close(ends[i]);
	}
	destroy(&space);
	end(lin);
}

/* Sockets. */

static void a_message_is_not_lost(void **state)
{
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space space;
	const uint64_t len = 32 * PAGE;
	struct iovec pieces[20];
	struct msghdr msg = { .msg_iov = pieces, .msg_iovlen = 20 };
	int ends[2];
	char *p, *q;

	(void)state;
	space_in(lin, &space, 16 * MIB);
	p = untouched(&space, LEN);
	q = untouched(&space, LEN);
	fill(p, LEN, 8, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(hf_linux_send(ends[0], p, len, 0), len);
	OK(hf_munmap(&space.mm, hf_linux_va(&space, q) + 40 * PAGE, PAGE));

	/* One page of the buffer cannot be had: the message stays. */
	assert_int_equal(hf_linux_recv(ends[1], q + 30 * PAGE, len, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(hf_linux_recv(ends[1], q + 7, len, MSG_PEEK), len);
	assert_memory_equal(q + 7, p, len);
	memset(q, 0, 35 * PAGE);

	/* In more pieces than fit on the stack. */
	for (unsigned i = 0; i < 20; i++)
		pieces[i] = (struct iovec){ q + i * 2 * PAGE + 1, 2 * PAGE - 1 };
	pieces[7].iov_len = 0;
	assert_int_equal(hf_linux_recvmsg(ends[1], &msg, 0), len);
	assert_int_equal(msg.msg_flags, 0);
	assert_memory_equal(q + 1, p, 2 * PAGE - 1);
	assert_memory_equal(q + 16 * PAGE + 1, p + 7 * (2 * PAGE - 1), 2 * PAGE - 1);

	/* The same backwards, and a message that is cut off. */
	assert_int_equal(hf_linux_sendmsg(ends[1], &msg, 0), 19 * (2 * PAGE - 1));
	assert_int_equal(hf_linux_recv(ends[0], p, PAGE, MSG_TRUNC), 19 * (2 * PAGE - 1));
	assert_memory_equal(p, q + 1, PAGE);
	assert_int_equal(hf_linux_recv(ends[0], p, PAGE, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(hf_linux_send(ends[0], q, 0, 0), 0);
	assert_int_equal(hf_linux_recv(ends[1], p, 0, 0), 0);
	close(ends[0]);
	close(ends[1]);
	destroy(&space);
	end(lin);
}

/* A child's memory that it has not touched leaves as one message, though no page of it is there. */
static void a_message_leaves_whole(void **state)
{
	const uint64_t len = 45 * PAGE;
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space parent, child;
	int ends[2];
	char *p, *got = malloc(len);

	(void)state;
	space_in(lin, &parent, 16 * MIB);
	p = untouched(&parent, LEN);
	fill(p, LEN, 8, 1);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(hf_linux_send(ends[0], there(&parent, &child, p), len, 0), len);
	assert_int_equal(recv(ends[1], got, len, 0), len);
	assert_memory_equal(got, p, len);

	/* Not at all, if a part is missing. */
	OK(hf_munmap(&child.mm, hf_linux_va(&parent, p) + 44 * PAGE, PAGE));
	assert_int_equal(hf_linux_send(ends[0], there(&parent, &child, p), len, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(recv(ends[1], got, len, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	free(got);
	close(ends[0]);
	close(ends[1]);
	destroy(&child);
	destroy(&parent);
	end(lin);
}

/* What is not a file is asked once: two messages do not become one. */
static void reading_messages_keeps_them_apart(void **state)
{
	const int batch = 256 * KIB, buffer = 208 * KIB; /* twice as much, by Linux */
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	int ends[2];
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = untouched(&space, MIB);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	assert_int_equal(hf_linux_write(ends[0], p, (size_t)batch), batch);
	assert_int_equal(hf_linux_write(ends[0], p, 10), 10);
	assert_int_equal(hf_linux_read(ends[1], p, MIB), batch);
	assert_int_equal(hf_linux_read(ends[1], p, MIB), 10);
	close(ends[0]);
	close(ends[1]);
	destroy(&space);
	end(lin);
}

static void *send_all(void *argument)
{
	char *data = calloc(1, 3 * MIB);
	const int *fd = argument;

	for (uint64_t i = 0; i < 3 * MIB; i += 8)
		*(uint64_t *)(data + i) = stamp(5, i);
	for (uint64_t done = 0; done < 3 * MIB;) {
		ssize_t n =
			write(*fd, data + done, 100000 < 3 * MIB - done ? 100000 : 3 * MIB - done);

		if (n < 0)
			break;
		done += (uint64_t)n;
	}
	free(data);
	return NULL;
}

static void a_stream_gives_all_that_is_waited_for(void **state)
{
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space space;
	pthread_t thread;
	int ends[2];
	char *p;

	(void)state;
	space_in(lin, &space, 16 * MIB);
	p = untouched(&space, 4 * MIB);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_all, &ends[0]), 0);
	assert_int_equal(hf_linux_recv(ends[1], p, 2 * MIB, MSG_WAITALL), 2 * MIB);
	for (uint64_t done = 2 * MIB; done < 3 * MIB;) {
		ssize_t n = hf_linux_recv(ends[1], p + done, 3 * MIB - done, 0);

		assert_in_range(n, 1, 256 * KIB);
		done += (uint64_t)n;
	}
	pthread_join(thread, NULL);
	check_filled(p, 3 * MIB, 8, 5);
	close(ends[0]);
	close(ends[1]);
	destroy(&space);
	end(lin);
}

/* write and its like. */

/*
 * A background save: all of a child's memory, of which it has touched nothing, and more than that.
 */
static void a_snapshot_writes_itself_to_a_file(void **state)
{
	const uint64_t len = 4 * MIB, half = 2 * MIB;
	struct hf_linux *lin = machine(64 * MIB);
	struct hf_linux_space parent, child;
	struct hf_phys_stats before, after;
	struct iovec pieces[200];
	int fd = memfd_create("save", 0);
	char *p, *c, *saved;

	(void)state;
	space_in(lin, &parent, 16 * MIB);
	p = untouched(&parent, len);
	fill(p, half, 8, 1);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	fill(p, half, PAGE, 2);
	c = there(&parent, &child, p);
	hf_phys_stats(hf_linux_phys(lin), &before);
	assert_int_equal(hf_linux_write(fd, c, len), len);
	hf_phys_stats(hf_linux_phys(lin), &after);
	/* Nothing was copied to be written: tables at most. */
	assert_in_range(before.free_bytes - after.free_bytes, 0, 16 * PAGE);
	saved = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	check_filled(saved, half, 8, 1);
	for (uint64_t i = half; i < len; i += PAGE)
		assert_int_equal(*(uint64_t *)(saved + i), 0);

	/* In many pieces, some of them plain, from a fork that has nothing in its window. */
	destroy(&child);
	OK(hf_linux_fork(&parent, &child, HF_FORK_COPY));
	for (unsigned i = 0; i < 200; i++)
		pieces[i] = (struct iovec){ (i % 3 ? c : p) + i * PAGE + 1, PAGE };
	c = there(&parent, &child, p);
	for (unsigned i = 0; i < 200; i++)
		if (i % 3)
			pieces[i].iov_base = c + i * PAGE + 1;
	assert_int_equal(hf_linux_pwritev(fd, pieces, 200, 11), 200 * PAGE);
	assert_memory_equal(saved + 11, p + 1, 200 * PAGE);
	munmap(saved, len);
	close(fd);
	destroy(&child);
	destroy(&parent);
	end(lin);
}

static void a_full_pipe_is_no_fault(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	int ends[2], size;
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = untouched(&space, MIB);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	size = fcntl(ends[1], F_GETPIPE_SZ);
	assert_int_equal(hf_linux_write(ends[1], p, MIB), size);
	assert_int_equal(hf_linux_write(ends[1], p, MIB), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(hf_linux_read(ends[0], p, MIB), size);
	close(ends[0]);
	close(ends[1]);
	destroy(&space);
	end(lin);
}

/* Host mappings for a few pages at a time only: files get by, a message cannot. */
static void few_host_mappings_are_enough_for_files(void **state)
{
	struct hf_linux *lin = machine_of((struct hf_linux_config){
		.ram_bytes = 64 * MIB, .huge = HF_LINUX_HUGE_OFF, .map_limit = 12 });
	struct hf_linux_space space;
	int fd = memfd_create("save", 0), ends[2];
	char *p, *got = malloc(LEN);

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = untouched(&space, LEN);
	for (uint64_t i = 0; i < LEN;
	     i += 2 * PAGE) { /* each page's own rights, so its own mapping */
		OK(hf_mprotect(&space.mm, hf_linux_va(&space, p) + i, PAGE, RW | HF_PROT_EXEC));
		*(uint64_t *)(p + i) = stamp(1, i);
	}
	assert_int_equal(hf_linux_write(fd, p, LEN), LEN);
	assert_int_equal(pread(fd, got, LEN, 0), LEN);
	for (uint64_t i = 0; i < LEN; i += 2 * PAGE)
		assert_int_equal(*(uint64_t *)(got + i), stamp(1, i));
	assert_int_equal(hf_linux_pread(fd, p, LEN, 0), LEN); /* needs none */
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(hf_linux_send(ends[0], p, 40 * PAGE, 0), -1);
	assert_int_equal(errno, ENOMEM);
	free(got);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	destroy(&space);
	end(lin);
}

/* Of pages that were never written each is a mapping of its own. */
static void populating_drops_no_window(void **state)
{
	struct hf_linux *lin = machine_of((struct hf_linux_config){
		.ram_bytes = 64 * MIB, .huge = HF_LINUX_HUGE_OFF, .map_limit = 100 });
	struct hf_linux_space space, other;
	uint64_t drops;
	char *p, *q;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	space_in(lin, &other, 8 * MIB);
	p = untouched(&space, MIB);
	q = untouched(&other, MIB);
	for (uint64_t i = 0; i < 16 * PAGE; i += 2 * PAGE)
		q[i] = 1;
	drops = stats_of(lin).window_drops;
	OK(hf_madvise(&space.mm, hf_linux_va(&space, p), MIB, HF_ADV_POPULATE_READ));
	assert_int_equal(stats_of(lin).window_drops, drops);
	assert_in_range(stats_of(lin).host_maps, 40, 100);
	for (uint64_t i = 0; i < MIB; i += PAGE) /* faults make room for the rest */
		assert_int_equal(p[i], 0);
	assert_true(stats_of(lin).window_drops > drops);
	destroy(&other);
	destroy(&space);
	end(lin);
}

/* Memory is short, a stack has to grow, a page is away: what a fault would do for an access. */

static struct {
	struct hf_linux_space *space;
	char *spare;
	unsigned calls;
} helper;

static enum hf_linux_answer give_up_spare(void *arg, const struct hf_linux_fault *fault)
{
	(void)arg;
	(void)fault;
	if (++helper.calls > 4)
		return HF_LINUX_FAIL;
	OK(hf_madvise(&helper.space->mm, hf_linux_va(helper.space, helper.spare), 4 * PAGE,
		      HF_ADV_DONTNEED));
	helper.spare += 4 * PAGE;
	return HF_LINUX_RETRY;
}

static void the_program_is_asked_for_memory(void **state)
{
	struct hf_linux *lin = machine_of(
		(struct hf_linux_config){ .ram_bytes = 4 * MIB, .nomem = give_up_spare });
	struct hf_linux_space space;
	int fd = file_of_pages(1);
	uint64_t got = 0;
	char *p;

	(void)state;
	space_in(lin, &space, 16 * MIB);
	p = untouched(&space, 8 * MIB);
	helper.space = &space;
	helper.calls = 100;
	while (may_write(p + got))
		got += PAGE;
	helper.calls = 0;
	helper.spare = p;
	assert_int_equal(hf_linux_pread(fd, p + 4 * MIB, 8 * PAGE, 0), 8 * PAGE);
	check_filled(p + 4 * MIB, 8 * PAGE, 8, 1);
	assert_in_range(helper.calls, 1, 4);
	helper.calls = 4;
	assert_in_range(hf_linux_pread(fd, p + 6 * MIB, LEN, 0) + 1, 0, LEN); /* what is left */
	assert_int_equal(hf_linux_pread(fd, p + 7 * MIB, LEN, 0), -1);
	assert_int_equal(errno, ENOMEM);
	close(fd);
	destroy(&space);
	end(lin);
}

static void a_stack_grows_for_a_read(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	hf_va va = HF_LINUX_VA_LO + 4 * MIB;
	struct hf_linux_space space;
	int fd = file_of_pages(1);
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	OK(hf_mmap(&space.mm, &va, PAGE, RW, HF_MAP_FIXED | HF_MAP_GROWSDOWN));
	p = hf_linux_ptr(&space, va);
	assert_int_equal(hf_linux_pread(fd, p - 3 * PAGE, 4 * PAGE, 0), 4 * PAGE);
	check_filled(p - 3 * PAGE, 4 * PAGE, 8, 1);
	assert_int_equal(hf_linux_pwrite(fd, p - 8 * PAGE, 9 * PAGE, 0), 9 * PAGE);
	close(fd);
	destroy(&space);
	end(lin);
}

static char store_page[64][HF_PAGE_SIZE];

static bool store_read(void *host, uint64_t slot, void *page)
{
	(void)host;
	memcpy(page, store_page[slot], PAGE);
	return true;
}

static bool store_write(void *host, uint64_t slot, const void *page)
{
	(void)host;
	memcpy(store_page[slot], page, PAGE);
	return true;
}

static void a_swapped_page_comes_back_for_a_write(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_store store = { .slots = 64, .read = store_read, .write = store_write };
	struct hf_linux_space space;
	int fd = file_of_pages(2);
	char *p, got[PAGE];

	(void)state;
	store.meta = malloc(hf_store_meta_size(64));
	OK(hf_swap_on(hf_linux_phys(lin), &store));
	space_in(lin, &space, 8 * MIB);
	p = untouched(&space, 8 * PAGE);
	fill(p, 8 * PAGE, 8, 1);
	OK(hf_madvise(&space.mm, hf_linux_va(&space, p), 8 * PAGE, HF_ADV_PAGEOUT));
	assert_int_equal(pwrite(fd, p, PAGE, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(hf_linux_pwrite(fd, p, 8 * PAGE, 0), 8 * PAGE);
	assert_int_equal(pread(fd, got, PAGE, 3 * PAGE), PAGE);
	assert_memory_equal(got, p + 3 * PAGE, PAGE);
	check_filled(p, 8 * PAGE, 8, 1);
	destroy(&space);
	OK(hf_swap_off(hf_linux_phys(lin)));
	free(store.meta);
	close(fd);
	end(lin);
}

static void prefault_readies_any_bytes(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	int fd = file_of_pages(1);
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = untouched(&space, LEN);
	assert_int_equal(hf_linux_prefault(p, 1, 0), HF_ERR_INVAL);
	assert_int_equal(hf_linux_prefault(p, 0, HF_ACCESS_READ), HF_ERR_EMPTY);
	assert_int_equal(hf_linux_prefault(p, UINT64_MAX, HF_ACCESS_READ), HF_ERR_WRAP);
	assert_int_equal(hf_linux_prefault(&fd, 1, HF_ACCESS_READ), HF_ERR_RANGE);
	assert_int_equal(hf_linux_prefault(p, 8 * GIB, HF_ACCESS_READ), HF_ERR_RANGE);
	assert_int_equal(hf_linux_prefault(space.window + 8 * MIB, 1, HF_ACCESS_READ),
			 HF_ERR_RANGE);
	OK(hf_linux_prefault(p + PAGE - 1, 2, HF_ACCESS_WRITE));
	assert_int_equal(pread(fd, p, LEN, 0), 2 * PAGE);
	OK(hf_linux_prefault(p + 5 * PAGE, PAGE, HF_ACCESS_READ));
	assert_int_equal(pwrite(fd, p + 5 * PAGE, PAGE, 0), PAGE);
	OK(hf_munmap(&space.mm, hf_linux_va(&space, p) + 20 * PAGE, PAGE));
	assert_int_equal(hf_linux_prefault(p + 10 * PAGE, 15 * PAGE, HF_ACCESS_WRITE),
			 HF_ERR_UNMAPPED);
	assert_int_equal(pread(fd, p + 10 * PAGE, LEN, 0), 10 * PAGE); /* some of it is ready */
	OK(hf_mprotect(&space.mm, hf_linux_va(&space, p), PAGE, HF_PROT_READ));
	assert_int_equal(hf_linux_prefault(p, 1, HF_ACCESS_WRITE), HF_ERR_ACCESS);
	assert_int_equal(hf_linux_prefault(p, 1, HF_ACCESS_EXEC), HF_ERR_ACCESS);
	OK(hf_mprotect(&space.mm, hf_linux_va(&space, p), PAGE, HF_PROT_READ | HF_PROT_EXEC));
	OK(hf_linux_prefault(p, 1, HF_ACCESS_EXEC));
	close(fd);
	destroy(&space);
	end(lin);
}

static const struct scene scenes[] = {
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_stop_where_nothing_was_touched),
		cmocka_unit_test(populated_memory_can_be_given_to_calls),
		cmocka_unit_test(reads_go_anywhere),
		cmocka_unit_test(large_reads_come_in_parts),
		cmocka_unit_test(errors_are_the_systems),
		cmocka_unit_test(a_signal_ends_a_wait),
		cmocka_unit_test(forks_beside_calls_lose_nothing),
		cmocka_unit_test(a_message_is_not_lost),
		cmocka_unit_test(a_message_leaves_whole),
		cmocka_unit_test(reading_messages_keeps_them_apart),
		cmocka_unit_test(a_stream_gives_all_that_is_waited_for),
		cmocka_unit_test(a_snapshot_writes_itself_to_a_file),
		cmocka_unit_test(a_full_pipe_is_no_fault),
		cmocka_unit_test(few_host_mappings_are_enough_for_files),
		cmocka_unit_test(populating_drops_no_window),
		cmocka_unit_test(the_program_is_asked_for_memory),
		cmocka_unit_test(a_stack_grows_for_a_read),
		cmocka_unit_test(a_swapped_page_comes_back_for_a_write),
		cmocka_unit_test(prefault_readies_any_bytes),
	};

	RIG_MAIN("syscall", tests, scenes, argc, argv);
}
