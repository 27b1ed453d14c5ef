/* SPDX-License-Identifier: MIT */
/*
 * The Linux port: address spaces inside an ordinary, unprivileged process.
 *
 * A memfd is the RAM, one linear mapping of it is the direct map, and every space has a
 * window: reserved host addresses in which the host's mmap(2)/mprotect(2) of memfd
 * ranges are the TLB and SIGSEGV is the page fault. A program uses the memory of a space
 * through plain pointers into its window. Several threads may fault at once.
 *
 * System calls: the kernel sees plain protections at window addresses, and does not ask for a
 * page that is missing there: never touched, swapped out, or not yet written since a fork.
 * A call that begins at such a page fails with EFAULT, and nothing has happened (except that
 * recv(2) loses a datagram that it could not deliver). A call that comes to such a page later
 * stops there and returns a smaller count, as if the file or pipe had no more. This does not happen
 * to hf_linux_read and its like below, nor to calls on memory that HF_ADV_POPULATE_WRITE, hf_mlock
 * or hf_linux_prefault has made accessible just before (the first two as far as there are host
 * mappings: map_limit below).
 *
 * Pointers that are given to a call of Holdfast, and the memory that its callbacks use, must lie
 * outside of all windows (except for hf_linux_read and its like, whose purpose that is; hf_copy
 * copies between spaces). The call would fault while it holds the locks that the fault needs, and
 * wait for itself: the port notices that, says so, and aborts the program. The same is true of the
 * stack that calls it.
 *
 * Because a fault is a signal:
 *  - a thread that accesses a window must not block SIGSEGV. The program's own SIGSEGV
 *    handler runs with it blocked, unless installed with SA_NODEFER;
 *  - a handler of another signal may access windows only if the program blocks that
 *    signal around its calls into Holdfast, whose locks the fault needs;
 *  - a stack may lie in a window if its thread has another one for signals (sigaltstack(2)). One
 *    that a thread has must be as large as hf_linux_sigstack_size says, or the first fault
 *    on it aborts the program and says so; a thread without one needs as much room on its stack;
 *  - a handler that the program installs after hf_linux_create must pass on what it does
 *    not know to the one it found.
 *
 * A child of fork(2) has none of this memory, so it cannot damage its parent's: where it touches a
 * window or calls Holdfast, it dies of SIGSEGV. It may call execve(2) or _exit(2); daemon(3) comes
 * before hf_linux_create.
 * docs/linux.md has recipes for gdb, valgrind and core dumps.
 */
#ifndef HOLDFAST_LINUX_H
#define HOLDFAST_LINUX_H

#include <holdfast/holdfast.h>

#include <sys/types.h>

struct hf_linux; /* a machine: memfd, direct map, hf_phys */

struct hf_linux_space;
struct iovec;
struct msghdr;

/* An access that the port could not make possible. */
struct hf_linux_fault {
	struct hf_linux_space *space; /* NULL: the window's space has ended */
	hf_va va;		      /* in the space */
	void *address;		      /* in its window */
	unsigned access;	      /* one HF_ACCESS_* */
	enum hf_status status;	      /* why not: as hf_fault, or HF_ERR_HOST: no host mappings */
};

/* What happens to such an access. */
enum hf_linux_answer {
	HF_LINUX_FAIL,	/* it fails: a signal, or the error of the call that wanted it */
	HF_LINUX_RETRY, /* the callback has done something about it: try again */
};

enum hf_linux_huge {
	HF_LINUX_HUGE_AUTO, /* MADV_COLLAPSE when a huge page is made; else what the system does */
	HF_LINUX_HUGE_OFF,  /* leave it to the system */
};

struct hf_linux_config {
	uint64_t ram_bytes; /* size of the memfd, a multiple of 2 MiB; host memory comes on touch */
	enum hf_linux_huge huge;
	uint32_t count_limit; /* see struct hf_phys_config */
	/*
	 * Host mappings that the port may use for all windows together; 0 means half of
	 * vm.max_map_count. Near it, whole windows are dropped and fault in again; likewise when
	 * the host refuses a mapping because the program has many of its own.
	 */
	uint64_t map_limit;
	/*
	 * Trace points (trace.h), or NULL. Called with `trace_arg` from any thread, with locks
	 * held:
	 * it must not call Holdfast, touch memory of a space, or wait.
	 */
	void (*trace)(void *trace_arg, const struct hf_trace_event *event);
	void *trace_arg;
	/*
	 * Called with `fault_arg` before an access fails, or NULL: nomem where memory was short
	 * (HF_ERR_NOMEM, HF_ERR_OVERFLOW, HF_ERR_STORE, HF_ERR_HOST), denied where the space
	 * forbids it (HF_ERR_UNMAPPED, HF_ERR_RANGE, HF_ERR_LIMIT, HF_ERR_ACCESS). They run on the
	 * thread that made the access, most often inside of the SIGSEGV handler: with all other
	 * signals blocked, on its signal stack if it has one, and between any two instructions of
	 * the program, whose locks it may hold (malloc(3)'s, if its heap is in a window). None of
	 * Holdfast's is held: they may unmap, unpin, end spaces, map, protect, and answer
	 * HF_LINUX_RETRY. They may access spaces; what fails then fails without asking them. They
	 * return, and do not siglongjmp(3) away.
	 */
	enum hf_linux_answer (*nomem)(void *fault_arg, const struct hf_linux_fault *fault);
	enum hf_linux_answer (*denied)(void *fault_arg, const struct hf_linux_fault *fault);
	void *fault_arg;
};

/* One address space with its window. Caller-owned; fields other than mm are the port's own. */
struct hf_linux_space {
	struct hf_mm mm; /* give &space->mm to the core's calls */
	struct hf_linux *lin;
	char *window; /* host address of mm.va_lo */
	uint64_t window_len;
	struct hf_linux_window *state;
};

/*
 * Make the machine and install the SIGSEGV handler (once per process; it stays in the
 * chain, and calls the handler that was there before for faults outside all windows or
 * that the space forbids). That one is called as the kernel would call it; of a fault in a
 * window it learns SEGV_MAPERR or SEGV_ACCERR as from the kernel, and si_errno is ENOMEM
 * where memory was short: physical pages, or host mappings when no window had one left to
 * give up. Without one the program dies of the access, after a line on stderr that says which it
 * was and why it failed. A bus error of hf_fault becomes SIGBUS for the thread, with BUS_ADRERR and
 * the address. HF_ERR_HOST with errno set: memfd_create, mmap or sigaction refused, or ENOBUFS:
 * this thread's signal stack is smaller than hf_linux_sigstack_size. HF_ERR_ALIGN, HF_ERR_EMPTY,
 * HF_ERR_NOMEM.
 */
enum hf_status hf_linux_create(const struct hf_linux_config *config, struct hf_linux **out);

/*
 * Bytes that a signal stack (sigaltstack(2)) needs for a page fault on this machine: the kernel's
 * frame, which grows with the processor's registers (AT_MINSIGSTKSZ of getauxval(3)), and what the
 * handler takes. What the program's nomem, denied, pagers, swap store and trace take comes on top.
 */
size_t hf_linux_sigstack_size(void);

/* End the machine and give its memory back. HF_ERR_BUSY: spaces or pins remain. */
enum hf_status hf_linux_destroy(struct hf_linux *lin);

/* The machine's physical memory, for the calls of phys.h, pin.h and check.h. */
struct hf_phys *hf_linux_phys(struct hf_linux *lin);

/* The memfd that is the RAM. The machine's own: not to be closed or resized. */
int hf_linux_memfd(const struct hf_linux *lin);

/*
 * A space of `len` bytes (a multiple of 2 MiB) of address space, at virtual addresses
 * [HF_LINUX_VA_LO, HF_LINUX_VA_LO + len). Its window is aligned to 1 GiB if len is at least
 * that, else to 2 MiB. HF_ERR_HOST: no host address space. Others as hf_mm_create.
 */
#define HF_LINUX_VA_LO ((hf_va)1 << 30)
enum hf_status hf_linux_space_create(struct hf_linux *lin, struct hf_linux_space *space,
				     uint64_t len, enum hf_huge_cow huge_cow);

/*
 * hf_fork, with a window for the child. On error neither space has changed.
 * HF_ERR_HOST: no host address space. Others as hf_fork.
 */
enum hf_status hf_linux_fork(struct hf_linux_space *parent, struct hf_linux_space *child,
			     enum hf_fork_policy policy);

/* hf_mm_destroy, and the window is given up: no thread may be accessing it. */
void hf_linux_space_destroy(struct hf_linux_space *space);

/* The window pointer `ptr` for a virtual address `va` of the space, and back (hf_linux_va). */
static inline void *hf_linux_ptr(const struct hf_linux_space *space, hf_va va)
{
	return space->window + (va - space->mm.va_lo);
}
static inline hf_va hf_linux_va(const struct hf_linux_space *space, const void *ptr)
{
	return space->mm.va_lo + (uint64_t)((const char *)ptr - space->window);
}

/*
 * Make [at, at+len) of a window ready for system calls of the program's own, ioctl(2) for example:
 * for `access` (exactly one HF_ACCESS_*; READ for what the kernel reads, as write(2) does). What it
 * makes ready stays so until the next fork or edit of the space, until the page is swapped out, or
 * until host mappings are short. So a call may find a page missing all the same, and the program
 * must be prepared to repeat it. Pins hold memory for longer. Asks nomem and denied.
 * HF_ERR_INVAL: access. HF_ERR_EMPTY. HF_ERR_WRAP. HF_ERR_RANGE: not all in one window. Others as
 * hf_fault; HF_ERR_HOST: no host mappings. After an error, some of it may be ready.
 */
enum hf_status hf_linux_prefault(void *at, uint64_t len, unsigned access);

/*
 * read(2), readv(2), pread(2), preadv(2): from the file `fd`, at `offset` or at its position, to
 * `len` bytes at `buf` or the `count` pieces of `iov`. The buffers may lie anywhere: in windows of
 * any spaces, or in plain memory. They return and fail as those calls do, and besides: EFAULT, the
 * memory is not mapped, may not be written, or is beyond an object's end; ENOMEM, and nomem did not
 * help; EIO, a page is in the swap store and cannot be read.
 *
 * The pages are pinned while the kernel waits and writes, so no byte is lost and none arrives in
 * a child: a fork during the call gives the child what has arrived by then. They are made present
 * before it is known how much will arrive. A regular file or block device is read in parts of
 * 256 KiB of window memory, so what others write meanwhile may be seen in part, and a signal may
 * end the call between two parts. From anything else one call gets 256 KiB at most, even if more
 * was asked for, as pipes and sockets may do. Use hf_linux_recv for larger messages. If only the
 * beginning of a buffer is good, that much is filled.
 * No cancellation point (pthreads(7)). Takes the space's lock shared, but not during the kernel's
 * part.
 */
ssize_t hf_linux_read(int fd, void *buf, size_t len);
ssize_t hf_linux_readv(int fd, const struct iovec *iov, int count);
ssize_t hf_linux_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t hf_linux_preadv(int fd, const struct iovec *iov, int count, off_t offset);

/*
 * recv(2) and recvmsg(2) likewise, from the socket `fd` with MSG_ `flags` to `len` bytes at `buf`
 * or the pieces of `msg`. There is one call of the kernel; all buffers are good before it is made,
 * or nothing is received. msg->msg_name and msg_control must be plain memory.
 * A stream gives 256 KiB of window memory at most, unless MSG_WAITALL asks for more. Where more
 * than 1024 separate pieces of RAM are needed (4 MiB at least), a stream gives less, and a message
 * fails with EMSGSIZE and is not lost.
 */
ssize_t hf_linux_recv(int fd, void *buf, size_t len, int flags);
ssize_t hf_linux_recvmsg(int fd, struct msghdr *msg, int flags);

/*
 * write(2), writev(2), pwrite(2), pwritev(2), send(2), sendmsg(2): to the file or socket `fd`, at
 * `offset` or at its position, or with MSG_ `flags`, from `len` bytes at `buf` or the `count`
 * pieces of `iov`. The buffers may lie anywhere; errors are as for hf_linux_read. If all pages are
 * in the window already, there is one call of the kernel. Where it stops at a page that is not,
 * that page and some after it are made ready (for reading only: a snapshot's pages stay shared),
 * and another call goes on. So only what was ready from the start is written as one: with O_APPEND
 * and pipes, other writers may come between two parts. A message is sent whole or not at all.
 * Nothing is sent or written twice. What other threads write to the buffer meanwhile may be seen
 * old or new. An error after a part has been written is returned by the next call.
 *
 * With O_DIRECT the buffer must stay mapped during the call, and must not be written to after a
 * fork. EOPNOTSUPP: MSG_ZEROCOPY, for which the kernel reads after the call. Use pins for both:
 * hf_pin and hf_linux_dma_ptr. ENOMEM also: the host has too few mappings for one message.
 */
ssize_t hf_linux_write(int fd, const void *buf, size_t len);
ssize_t hf_linux_writev(int fd, const struct iovec *iov, int count);
ssize_t hf_linux_pwrite(int fd, const void *buf, size_t len, off_t offset);
ssize_t hf_linux_pwritev(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t hf_linux_send(int fd, const void *buf, size_t len, int flags);
ssize_t hf_linux_sendmsg(int fd, const struct msghdr *msg, int flags);

/*
 * The direct-map address of a pinned span's `pa`, NULL if it is not RAM: what to hand to
 * io_uring or read(2). Buffers that the kernel keeps (io_uring_register) must be given up
 * before the pin is: the host memory behind free pages is replaced.
 */
void *hf_linux_dma_ptr(const struct hf_linux *lin, hf_pa pa);

/* What a core dump (core(5)) of the process has of its spaces' memory. */
enum hf_linux_dump_what {
	HF_LINUX_DUMP_WINDOWS, /* what windows show: what was accessed through them lately */
	HF_LINUX_DUMP_USED,    /* all RAM that has been used, page tables, and descriptors of it */
};

/*
 * Choose. A machine begins with WINDOWS; memory that is only reserved is never dumped. USED is what
 * is used at the time of the call; call again for what is used later, for example from a handler of
 * the signal that ends the program. It has pages that no window shows: those that a child has not
 * touched, pinned ones, free ones that were not given back to the host (hf_linux_trim). In a
 * debugger a page lies where hf_linux_dma_ptr says. Takes no lock; costs a few system calls for
 * each stretch of used RAM, and up to 4096 host mappings. HF_ERR_INVAL. HF_ERR_HOST with errno: no
 * host mappings.
 */
enum hf_status hf_linux_dump(struct hf_linux *lin, enum hf_linux_dump_what what);

/*
 * Which of the core's features this port has, and which of those that real hardware would have. All
 * calls of the core work on it; a false here says what they do less well.
 */
struct hf_linux_caps {
	bool objects; /* shared memory, pagers, truncation; SIGBUS beyond the end */
	bool swap;    /* pages go out to a store and come back by faults */
	bool huge_2m; /* a 2 MiB leaf gets a huge page of the host's; false: config.huge, or refused */
	bool huge_1g; /* a 1 GiB leaf gets one of the host's: no, the memfd has none of that size */
	bool accessed; /* the clock of hf_reclaim sees use: no, only faults, so it goes by their age */
	bool syscalls; /* plain system calls fault on window addresses: no, see hf_linux_read */
};
/* What this machine can do now: DESIGN.md, "The ports". Cannot fail. `lin`: the machine. */
void hf_linux_caps(const struct hf_linux *lin, struct hf_linux_caps *out);

/*
 * What the port has done since hf_linux_create. Takes no lock: the figures are not of one
 * instant.
 */
struct hf_linux_stats {
	uint64_t faults;	  /* SIGSEGVs resolved */
	uint64_t host_maps;	  /* host mappings in all windows now, the idle ones too */
	uint64_t window_drops;	  /* windows dropped because of the limit */
	uint64_t huge_blocks;	  /* 2 MiB blocks of the memfd made huge */
	uint64_t collapse_errors; /* MADV_COLLAPSE calls that the host refused */
	uint64_t returned_bytes;  /* given back to the host by hole punching */
};
void hf_linux_stats(struct hf_linux *lin, struct hf_linux_stats *out);

/*
 * Give free memory back to the host now, in blocks of 2 MiB; returns how many bytes. It also
 * happens by itself after a space is destroyed, if the host then holds more than twice what
 * is in use and 64 MiB: what a child has used is kept for the next one.
 */
uint64_t hf_linux_trim(struct hf_linux *lin);

#endif
