/* SPDX-License-Identifier: MIT */
/*
 * Windows. A window is an anonymous PROT_NONE mapping, over which fill() puts pieces of
 * the memfd as faults resolve, and flush() takes them away or makes them read-only. Each
 * change is one system call, which the host completes on all CPUs before it returns.
 *
 * Much of this runs in a signal handler. The system calls and locks that it makes are not
 * on POSIX' list of what is safe there, but that list is about handlers that interrupt
 * anything at all; ours runs on behalf of an access to a window, and no code that
 * holds these locks, and no allocator's, makes one.
 */
#define _GNU_SOURCE
#include "window.h"

#include "fault.h"
#include "panic.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GIB ((uint64_t)1 << 30)

/* Windows kept for later. They are address space, and a few pages of record each. */
#define IDLE_MAX 16

/* After how many faults the rights that one fault gives reach twice as far. */
#define EAGER 4

/* One call can cut a host mapping into three. */
#define CALL_MAPS 2

static uint64_t round_up(uint64_t len, uint64_t unit)
{
	return (len + unit - 1) / unit * unit;
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static char *address(const struct hf_linux_window *w, uint64_t page)
{
	return w->base + (page << HF_PAGE_SHIFT);
}

/*
 * The host's part of a change: 0 or errno. window->lock held, as for all that follow.
 *
 * Not by the C library's mmap(), which ThreadSanitizer takes for a write to the memory: this
 * changes only by which way a thread gets there, and may happen while others are there.
 */
static int host_mmap(struct hf_linux_window *w, uint64_t first, uint64_t end, uint64_t prot,
		     int flags, int fd, uint64_t offset)
{
	long at = syscall(SYS_mmap, address(w, first), (end - first) << HF_PAGE_SHIFT, prot,
			  flags | MAP_FIXED, fd, offset);

	return at == -1 ? errno : 0;
}

static int host_map(struct hf_linux_window *w, uint64_t first, uint64_t end, uint64_t word)
{
	return host_mmap(w, first, end, word & RECORD_PROT, MAP_SHARED, w->lin->memfd,
			 word & ~(HF_PAGE_SIZE - 1));
}

static int host_unmap(struct hf_linux_window *w, uint64_t first, uint64_t end)
{
	return host_mmap(w, first, end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0);
}

static int host_protect(struct hf_linux_window *w, uint64_t first, uint64_t end, uint64_t word)
{
	return mprotect(address(w, first), (end - first) << HF_PAGE_SHIFT,
			(int)(word & RECORD_PROT))
		       ? errno
		       : 0;
}

/* Room for one more call's mappings? */
static bool maps_reserve(struct hf_linux *lin)
{
	if (atomic_fetch_add(&lin->maps, CALL_MAPS) + CALL_MAPS <= lin->map_limit)
		return true;
	atomic_fetch_sub(&lin->maps, CALL_MAPS);
	return false;
}

/* What was reserved has become what the record says, which said `runs` before. */
static void maps_settle(struct hf_linux_window *w, uint64_t runs)
{
	atomic_fetch_add(&w->lin->maps, w->record.runs - runs - CALL_MAPS);
}

/*
 * Forget the whole window. A host at vm.max_map_count refuses mmap(2) even if fewer mappings
 * would be left, but not mprotect(2) of whole mappings: then they stay, without rights.
 */
static void drop(struct hf_linux_window *w)
{
	uint64_t first = 0, end = w->record.pages, runs = w->record.runs;

	if (!hf_linux_record_mapped(&w->record, &first, &end))
		return;
	if (!host_unmap(w, first, end))
		hf_linux_record_set(&w->record, 0, w->record.pages, 0);
	else if (!host_protect(w, first, end, PROT_NONE))
		hf_linux_record_revoke(&w->record, first, end, RECORD_PROT);
	else
		hf_linux_panic(w->lin, "the host does not take mappings away");
	atomic_fetch_add(&w->lin->maps, w->record.runs - runs);
}

/* Drop the window that has the most mappings. False: that frees none. No lock held. */
static bool drop_largest(struct hf_linux *lin)
{
	struct hf_linux_window *largest = NULL;
	uint64_t most = 1;
	bool freed = false;

	pthread_mutex_lock(&lin->lock);
	for (struct hf_linux_window *w = lin->live; w; w = w->next) {
		pthread_mutex_lock(&w->lock);
		if (w->record.runs > most) {
			most = w->record.runs;
			largest = w;
		}
		pthread_mutex_unlock(&w->lock);
	}
	if (largest) {
		pthread_mutex_lock(&largest->lock);
		drop(largest);
		freed = largest->record.runs < most;
		pthread_mutex_unlock(&largest->lock);
		hf_linux_add(&lin->window_drops, 1);
	}
	pthread_mutex_unlock(&lin->lock);
	return freed;
}

/* What the window lacks of a run that it is to have. */
enum lack {
	LACKS_NOTHING,
	LACKS_RIGHTS, /* the memory is there, with other rights */
	LACKS_MEMORY,
};

/* A part of a run that lacks the same all over. */
struct stretch {
	uint64_t first, end;
	uint64_t word; /* wanted at `first` */
	enum lack lack;
};

static enum lack lack_at(const struct hf_linux_window *w, uint64_t page, uint64_t want)
{
	uint64_t differs = hf_linux_record_at(&w->record, page) ^ want;

	if (!differs)
		return LACKS_NOTHING;
	return differs & ~RECORD_PROT ? LACKS_MEMORY : LACKS_RIGHTS;
}

/* The stretch of the run [s.first, s.end) that it begins with. */
static struct stretch first_stretch(const struct hf_linux_window *w, struct stretch s)
{
	uint64_t page = s.first, want = s.word, end = s.end;

	s.lack = lack_at(w, page, want);
	do {
		s.end = hf_linux_record_run(&w->record, page, end);
		want += (s.end - page) << HF_PAGE_SHIFT;
		page = s.end;
	} while (page < end && lack_at(w, page, want) == s.lack);
	return s;
}

/* [first, end) of it. */
static struct stretch part(const struct stretch *s, uint64_t first, uint64_t end)
{
	return (struct stretch){
		.first = first,
		.end = end,
		.word = s->word + ((first - s->first) << HF_PAGE_SHIFT),
		.lack = s->lack,
	};
}

/*
 * Which part of `run` to change for a fault at `page`, in a leaf of so many pages. Memory:
 * as much around it as lacks it too, for that is one host mapping. Rights: all of the run
 * could have them, but what gets them costs again when the next fork takes them. So the
 * first faults after a fork give them to a leaf each, and later ones to more and more: a fork
 * after few writes is cheap, after many it does not meet a window cut to pieces, and
 * a writer that goes over everything does not fault everywhere.
 */
static struct stretch find_change(const struct hf_linux_window *w, const struct stretch *run,
				  uint64_t page, uint64_t leaf)
{
	struct stretch s = first_stretch(w, *run);
	uint64_t pages = leaf << min(w->upgrades / EAGER, HF_MAX_ORDER);
	uint64_t first = page & ~(pages - 1);

	while (s.end <= page)
		s = first_stretch(w, part(run, s.end, run->end));
	if (s.lack != LACKS_RIGHTS)
		return s;
	return part(&s, max(s.first, first), min(s.end, first + pages));
}

/*
 * Rights are changed with mprotect(2), which leaves the host's page tables standing: that
 * costs a third of mapping the same memory again and faulting it in.
 */
static int apply(struct hf_linux_window *w, const struct stretch *s)
{
	uint64_t runs = w->record.runs;
	int error = s->lack == LACKS_MEMORY ? host_map(w, s->first, s->end, s->word)
					    : host_protect(w, s->first, s->end, s->word);

	if (!error)
		hf_linux_record_set(&w->record, s->first, s->end, s->word);
	if (s->lack == LACKS_RIGHTS)
		w->upgrades++;
	maps_settle(w, runs);
	return error;
}

/* Lets go of window->lock while it makes room elsewhere; what was true before may not be now. */
static bool make_room(struct hf_linux_window *w)
{
	bool dropped;

	pthread_mutex_unlock(&w->lock);
	dropped = drop_largest(w->lin);
	pthread_mutex_lock(&w->lock);
	return dropped;
}

void hf_linux_fill(void *host, struct hf_mm *mm, hf_va va, const struct hf_translation *t)
{
	struct hf_linux *lin = host;
	struct hf_linux_window *w = mm->host;
	uint64_t page = (va - mm->va_lo) >> HF_PAGE_SHIFT;
	struct stretch s, run = {
		.first = (t->va - mm->va_lo) >> HF_PAGE_SHIFT,
		.end = (t->va + t->len - mm->va_lo) >> HF_PAGE_SHIFT,
		.word = (t->pa.v - lin->ram.base.v) | RECORD_MAPPED | t->access,
	};

	pthread_mutex_lock(&w->lock);
	for (;;) {
		int error;

		s = find_change(w, &run, page, (uint64_t)1 << hf_level_order(t->level));
		if (s.lack == LACKS_NOTHING)
			break;
		if (!maps_reserve(lin)) {
			if (make_room(w))
				continue;
			/* The limit is too low for the windows themselves. */
			atomic_fetch_add(&lin->maps, CALL_MAPS);
		}
		error = apply(w, &s);
		if (error && !make_room(w)) {
			atomic_store(&w->refused, error);
			break;
		}
	}
	pthread_mutex_unlock(&w->lock);
}

/* Forget [first, end), or the whole window if that is not to be had. */
static void forget(struct hf_linux_window *w, uint64_t first, uint64_t end)
{
	uint64_t runs = w->record.runs;
	bool done = false;

	if (!hf_linux_record_mapped(&w->record, &first, &end))
		return;
	if (maps_reserve(w->lin)) {
		done = !host_unmap(w, first, end);
		if (done)
			hf_linux_record_set(&w->record, first, end, 0);
		maps_settle(w, runs);
	}
	if (!done)
		drop(w);
}

/* Make [first, end) read-only, or forget the whole window. */
static void write_protect(struct hf_linux_window *w, uint64_t first, uint64_t end)
{
	uint64_t page = first, stop;

	w->upgrades = 0;
	for (; hf_linux_record_writable(&w->record, &page, end, &stop); page = stop) {
		uint64_t runs = w->record.runs;
		uint64_t word = hf_linux_record_at(&w->record, page);
		bool done = false;

		if (maps_reserve(w->lin)) {
			done = !host_protect(w, page, stop, word & ~(uint64_t)PROT_WRITE);
			if (done)
				hf_linux_record_revoke(&w->record, page, stop, PROT_WRITE);
			maps_settle(w, runs);
		}
		if (!done) {
			drop(w);
			return;
		}
	}
	hf_linux_record_settle(&w->record, first, end);
}

void hf_linux_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what)
{
	struct hf_linux_window *w = mm->host;
	uint64_t first = (va - mm->va_lo) >> HF_PAGE_SHIFT;
	uint64_t end = first + (len >> HF_PAGE_SHIFT);

	(void)host;
	pthread_mutex_lock(&w->lock);
	if (what & HF_FLUSH_LEAVES)
		forget(w, first, end);
	else if (what & HF_FLUSH_WRITE)
		write_protect(w, first, end);
	pthread_mutex_unlock(&w->lock);
}

/* lin->lock held, as for unlink. */
static void link_into(struct hf_linux_window **list, struct hf_linux_window *w)
{
	w->next = *list;
	w->link = list;
	if (w->next)
		w->next->link = &w->next;
	*list = w;
}

static void unlink_from(struct hf_linux_window *w)
{
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
}

/*
 * Address space in whole slots, aligned to a slot; NULL with errno. There is always a page
 * behind the window that nothing is ever mapped in, so that no host mapping belongs to two.
 */
static char *reserve(uint64_t len)
{
	char *all = mmap(NULL, len + GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
	uint64_t below;

	if (all == MAP_FAILED)
		return NULL;
	below = -(uintptr_t)all & (GIB - 1);
	if (below)
		munmap(all, below);
	munmap(all + below + len, GIB - below);
	return all + below;
}

/* The window and its record lie in one anonymous mapping, the record from its second page on. */
static uint64_t window_size(uint64_t pages)
{
	return HF_PAGE_SIZE + hf_linux_record_size(pages);
}

_Static_assert(sizeof(struct hf_linux_window) <= HF_PAGE_SIZE, "the record begins after it");

static struct hf_linux_window *window_new(struct hf_linux *lin, uint64_t len)
{
	uint64_t pages = len >> HF_PAGE_SHIFT;
	uint64_t reserved = round_up(len + HF_PAGE_SIZE, GIB);
	struct hf_linux_window *w = mmap(NULL, window_size(pages), PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *base = w == MAP_FAILED ? NULL : reserve(reserved);

	if (!base) {
		int error = errno;

		if (w != MAP_FAILED)
			munmap(w, window_size(pages));
		errno = error;
		return NULL;
	}
	w->lin = lin;
	w->base = base;
	w->reserved = reserved;
	pthread_mutex_init(&w->lock, NULL);
	hf_linux_record_init(&w->record, pages, (char *)w + HF_PAGE_SIZE);
	atomic_fetch_add(&lin->maps, w->record.runs);
	hf_linux_handler_add(w);
	return w;
}

static void window_free(struct hf_linux_window *w)
{
	hf_linux_handler_remove(w);
	atomic_fetch_sub(&w->lin->maps, w->record.runs);
	munmap(w->base, w->reserved);
	pthread_mutex_destroy(&w->lock);
	munmap(w, window_size(w->record.pages));
}

enum hf_status hf_linux_window_take(struct hf_linux *lin, uint64_t len,
				    struct hf_linux_window **out)
{
	struct hf_linux_window *w;

	pthread_mutex_lock(&lin->lock);
	for (w = lin->idle; w && w->record.pages != len >> HF_PAGE_SHIFT; w = w->next)
		;
	if (w) {
		unlink_from(w);
		lin->idle_count--;
	} else {
		w = window_new(lin, len);
	}
	if (w)
		link_into(&lin->live, w);
	pthread_mutex_unlock(&lin->lock);
	*out = w;
	return w ? HF_OK : HF_ERR_HOST;
}

void hf_linux_window_give(struct hf_linux_window *w)
{
	struct hf_linux *lin = w->lin;
	uint64_t len;
	void *spare = hf_linux_record_spare(&w->record, &len);
	bool keep;

	atomic_store(&w->mm, NULL);
	pthread_mutex_lock(&lin->lock);
	unlink_from(w);
	/* One that the host would not empty (see drop) is of no use to another space. */
	keep = lin->idle_count < IDLE_MAX && w->record.runs == 1;
	if (keep) {
		madvise(spare, len, MADV_DONTNEED);
		link_into(&lin->idle, w);
		lin->idle_count++;
	}
	pthread_mutex_unlock(&lin->lock);
	if (!keep)
		window_free(w);
}

void hf_linux_window_reap(struct hf_linux *lin)
{
	while (lin->idle) {
		struct hf_linux_window *w = lin->idle;

		unlink_from(w);
		window_free(w);
	}
}
