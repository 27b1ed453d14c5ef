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
#include "own.h"
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

/* Mappings that are there to be given up. */
#define BALLAST ((uint64_t)8)

/* Windows looked at for one to drop while lin->lock is held. */
#define LOOK_AT 64

static uint64_t round_up(uint64_t len, uint64_t unit)
{
	return (len + unit - 1) / unit * unit;
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

static int host_unmap(struct hf_linux_window *w, uint64_t first, uint64_t end)
{
	return host_mmap(w, first, end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0);
}

static int host_map(struct hf_linux_window *w, uint64_t first, uint64_t end, uint64_t word)
{
	int error = host_mmap(w, first, end, word & RECORD_PROT, MAP_SHARED, w->lin->memfd,
			      word & ~(HF_PAGE_SIZE - 1));

	/* A child of fork(2) would write into its parent's memory. */
	if (!error && !hf_linux_make_own(address(w, first), (end - first) << HF_PAGE_SHIFT)) {
		error = errno;
		if (host_unmap(w, first, end))
			hf_linux_panic(w->lin, "the host does not take mappings away");
	}
	return error;
}

static int host_protect(struct hf_linux_window *w, uint64_t first, uint64_t end, uint64_t word)
{
	return mprotect(address(w, first), (end - first) << HF_PAGE_SHIFT,
			(int)(word & RECORD_PROT))
		       ? errno
		       : 0;
}

/* Room for one more call's mappings? `over`: there is, whatever the limit. */
static bool maps_reserve(struct hf_linux *lin, bool over)
{
	if (atomic_fetch_add(&lin->maps, CALL_MAPS) + CALL_MAPS <= lin->map_limit || over)
		return true;
	atomic_fetch_sub(&lin->maps, CALL_MAPS);
	return false;
}

/* The record says something new; it said `runs` before, and so many mappings were reserved. */
static void maps_settle(struct hf_linux_window *w, uint64_t runs, unsigned reserved)
{
	atomic_store_explicit(&w->maps, w->record.runs, memory_order_relaxed);
	atomic_fetch_add(&w->lin->maps, w->record.runs - runs - reserved);
}

/*
 * Ballast. A host at vm.max_map_count refuses mmap(2) even if fewer mappings would be left, but
 * never munmap(2) of whole mappings: so there are some that nobody needs. All of them map the
 * last page of the memfd, so the host cannot make one mapping of two, nor of one and a window's.
 */
static void ballast_load(struct hf_linux *lin)
{
	char *at = mmap(NULL, BALLAST << HF_PAGE_SHIFT, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	off_t last = (off_t)(lin->ram.len - HF_PAGE_SIZE);

	if (at == MAP_FAILED)
		return;
	for (uint64_t i = 0; i < BALLAST; i++)
		mmap(at + (i << HF_PAGE_SHIFT), HF_PAGE_SIZE, PROT_NONE, MAP_SHARED | MAP_FIXED,
		     lin->memfd, last);
	at = atomic_exchange(&lin->ballast, at);
	if (at)
		munmap(at, BALLAST << HF_PAGE_SHIFT);
}

/* False: another thread has done it, or there was no room for any since. */
static bool ballast_drop(struct hf_linux *lin)
{
	char *at = atomic_exchange(&lin->ballast, NULL);

	return at && !munmap(at, BALLAST << HF_PAGE_SHIFT);
}

/* host_unmap of mapped pages, also where the host takes no more mappings. */
static int host_unmap_at_limit(struct hf_linux_window *w, uint64_t first, uint64_t end)
{
	int error = host_unmap(w, first, end);

	if (error && ballast_drop(w->lin))
		error = host_unmap(w, first, end);
	if (!error && !atomic_load(&w->lin->ballast))
		ballast_load(w->lin);
	return error;
}

/*
 * Forget the whole window. Where the host does not take it away, not even after the ballast, the
 * mappings stay, without rights: whole ones can always be had so. Returns whether there are
 * fewer of them now.
 */
static bool drop(struct hf_linux_window *w)
{
	uint64_t first = 0, end = w->record.pages, runs = w->record.runs;

	if (!hf_linux_record_mapped(&w->record, &first, &end))
		return false;
	if (!host_unmap_at_limit(w, first, end))
		hf_linux_record_set(&w->record, 0, w->record.pages, 0);
	else if (!host_protect(w, first, end, PROT_NONE))
		hf_linux_record_revoke(&w->record, first, end, RECORD_PROT);
	else
		hf_linux_panic(w->lin, "the host does not take mappings away");
	maps_settle(w, runs, 0);
	return w->record.runs < runs;
}

/* lin->lock held, as for unlink. */
static void link_last(struct hf_linux_list *list, struct hf_linux_window *w)
{
	w->next = NULL;
	w->link = list->end;
	w->list = list;
	*list->end = w;
	list->end = &w->next;
	list->count++;
}

static void unlink_from(struct hf_linux_window *w)
{
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	else
		w->list->end = w->link;
	w->list->count--;
	w->list = NULL;
}

/* Of the next few windows the one that has most mappings, or NULL if none has. lin->lock held. */
static struct hf_linux_window *find_largest(struct hf_linux *lin)
{
	struct hf_linux_window *largest = NULL;
	uint64_t most = 1;

	for (unsigned i = 0; i < LOOK_AT && i < lin->live.count; i++) {
		struct hf_linux_window *w = lin->live.first;
		uint64_t maps = atomic_load_explicit(&w->maps, memory_order_relaxed);

		unlink_from(w);
		link_last(&lin->live, w);
		if (maps > most) {
			most = maps;
			largest = w;
		}
	}
	return largest;
}

/*
 * A window to drop, which is in no list until it has been. NULL: *wait says whether another
 * thread is making room, and has made some now; else there is none to be made.
 */
static struct hf_linux_window *begin_drop(struct hf_linux *lin, bool *wait)
{
	struct hf_linux_window *w;
	unsigned looked = 0, windows;

	do {
		pthread_mutex_lock(&lin->lock);
		windows = lin->live.count;
		w = find_largest(lin);
		if (w) {
			unlink_from(w);
			lin->dropping++;
		}
		*wait = !w && lin->dropping;
		if (*wait)
			pthread_cond_wait(&lin->dropped, &lin->lock);
		pthread_mutex_unlock(&lin->lock);
		looked += LOOK_AT;
	} while (!w && !*wait && looked < windows);
	return w;
}

static void end_drop(struct hf_linux_window *w)
{
	struct hf_linux *lin = w->lin;

	pthread_mutex_lock(&lin->lock);
	link_last(&lin->live, w);
	lin->dropping--;
	pthread_cond_broadcast(&lin->dropped);
	pthread_mutex_unlock(&lin->lock);
}

/* Drop a window that has many mappings. False: that frees none. No lock held. */
static bool drop_largest(struct hf_linux *lin)
{
	bool freed, wait;
	struct hf_linux_window *w = begin_drop(lin, &wait);

	if (!w)
		return wait;
	pthread_mutex_lock(&w->lock);
	freed = drop(w);
	pthread_mutex_unlock(&w->lock);
	end_drop(w);
	hf_linux_add(&lin->window_drops, 1);
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
 * Which part of `run` to change where [page, end) is wanted and `page` lacks something; a leaf is
 * `leaf` pages. Memory: as much around it as lacks it too, for that is one host mapping. Rights:
 * all of the run could have them, but what gets them costs again when the next fork takes them.
 * So the first faults after a fork give them to a leaf each, and later ones to more and more: a
 * fork after few writes is cheap, after many it does not meet a window cut to pieces, and a writer
 * that goes over everything does not fault everywhere.
 */
static struct stretch find_change(const struct hf_linux_window *w, const struct stretch *run,
				  uint64_t page, uint64_t end, uint64_t leaf)
{
	struct stretch s = first_stretch(w, *run);
	uint64_t pages = leaf << hf_linux_min(w->upgrades / EAGER, HF_MAX_ORDER);
	uint64_t first = page & ~(pages - 1);

	while (s.end <= page)
		s = first_stretch(w, part(run, s.end, run->end));
	if (s.lack != LACKS_RIGHTS)
		return s;
	return part(&s, max(s.first, first), hf_linux_min(s.end, max(first + pages, end)));
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
	maps_settle(w, runs, CALL_MAPS);
	return error;
}

/*
 * Get what [*page, end) lacks; *page is how far it lacks nothing then. 0 or errno; `over` as in
 * maps_reserve.
 */
static int fill_once(struct hf_linux_window *w, const struct stretch *run, uint64_t *page,
		     uint64_t end, uint64_t leaf, bool over)
{
	while (*page < end) {
		struct stretch s = find_change(w, run, *page, end, leaf);
		int error = 0;

		if (s.lack != LACKS_NOTHING)
			error = maps_reserve(w->lin, over) ? apply(w, &s) : ENOMEM;
		if (error)
			return error;
		*page = s.end;
	}
	return 0;
}

/*
 * Each try looks at the record anew. Room is made without window->lock, and meanwhile the window
 * may have been dropped, or filled by another thread: what a page lacked before, it may not lack
 * now, and what it had may be gone.
 *
 * No window is dropped for what was only asked for beforehand: that has faults to come, and of
 * zero pages each is a mapping of its own.
 */
void hf_linux_fill(void *host, struct hf_mm *mm, hf_va va, uint64_t len,
		   const struct hf_translation *t)
{
	struct hf_linux *lin = host;
	struct hf_linux_window *w = mm->host;
	const struct stretch run = {
		.first = (t->va - mm->va_lo) >> HF_PAGE_SHIFT,
		.end = (t->va + t->len - mm->va_lo) >> HF_PAGE_SHIFT,
		.word = (t->pa.v - lin->ram.base.v) | RECORD_MAPPED | t->access,
	};
	uint64_t page = (va - mm->va_lo) >> HF_PAGE_SHIFT;
	uint64_t end = ((va + len - 1 - mm->va_lo) >> HF_PAGE_SHIFT) + 1;
	uint64_t leaf = (uint64_t)1 << hf_level_order(t->level);
	bool fault = len == 1, over = false, again;
	int error;

	do {
		pthread_mutex_lock(&w->lock);
		error = fill_once(w, &run, &page, end, leaf, over);
		pthread_mutex_unlock(&w->lock);
		again = error && fault && drop_largest(lin);
		if (error && fault && !again && !over)
			again = over = true; /* the limit is too low for the windows themselves */
	} while (again);
	hf_linux_refusal_set(error);
}

bool hf_linux_window_allows(struct hf_linux_window *w, const void *at, uint64_t prot)
{
	uint64_t page = (uint64_t)((const char *)at - w->base) >> HF_PAGE_SHIFT, word = 0;

	pthread_mutex_lock(&w->lock);
	if (page < w->record.pages)
		word = hf_linux_record_at(&w->record, page);
	pthread_mutex_unlock(&w->lock);
	return (word & prot) == prot;
}

/* Forget [first, end), or the whole window if that is not to be had. */
static void forget(struct hf_linux_window *w, uint64_t first, uint64_t end)
{
	uint64_t runs = w->record.runs;
	bool done = false;

	if (!hf_linux_record_mapped(&w->record, &first, &end))
		return;
	if (maps_reserve(w->lin, false)) {
		done = !host_unmap(w, first, end);
		if (done)
			hf_linux_record_set(&w->record, first, end, 0);
		maps_settle(w, runs, CALL_MAPS);
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

		if (maps_reserve(w->lin, false)) {
			done = !host_protect(w, page, stop, word & ~(uint64_t)PROT_WRITE);
			if (done)
				hf_linux_record_revoke(&w->record, page, stop, PROT_WRITE);
			maps_settle(w, runs, CALL_MAPS);
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
	struct hf_linux_window *w = hf_linux_own(window_size(pages));
	char *base = w ? reserve(reserved) : NULL;

	if (!base) {
		int error = errno;

		if (w)
			munmap(w, window_size(pages));
		errno = error;
		return NULL;
	}
	w->lin = lin;
	w->base = base;
	w->reserved = reserved;
	pthread_mutex_init(&w->lock, NULL);
	hf_linux_record_init(&w->record, pages, (char *)w + HF_PAGE_SIZE);
	if (!atomic_load(&lin->ballast))
		ballast_load(lin);
	maps_settle(w, 0, 0);
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

/* An idle window of this length, or NULL. */
static struct hf_linux_window *take_idle(struct hf_linux *lin, uint64_t pages)
{
	struct hf_linux_window *w;

	pthread_mutex_lock(&lin->lock);
	for (w = lin->idle.first; w && w->record.pages != pages; w = w->next)
		;
	if (w)
		unlink_from(w);
	pthread_mutex_unlock(&lin->lock);
	return w;
}

enum hf_status hf_linux_window_take(struct hf_linux *lin, uint64_t len,
				    struct hf_linux_window **out)
{
	struct hf_linux_window *w = take_idle(lin, len >> HF_PAGE_SHIFT);

	while (!w) {
		int error;

		w = window_new(lin, len);
		error = errno;
		if (!w && !drop_largest(lin)) {
			errno = error;
			return HF_ERR_HOST;
		}
	}
	*out = w;
	pthread_mutex_lock(&lin->lock);
	link_last(&lin->live, w);
	pthread_mutex_unlock(&lin->lock);
	return HF_OK;
}

void hf_linux_window_give(struct hf_linux_window *w)
{
	struct hf_linux *lin = w->lin;
	uint64_t len;
	void *spare = hf_linux_record_spare(&w->record, &len);
	bool keep;

	atomic_store(&w->mm, NULL);
	pthread_mutex_lock(&lin->lock);
	while (!w->list) /* another thread drops it, to make room */
		pthread_cond_wait(&lin->dropped, &lin->lock);
	unlink_from(w);
	pthread_mutex_unlock(&lin->lock);
	/* One that the host would not empty (see drop) is of no use to another space. */
	keep = w->record.runs == 1;
	if (keep)
		madvise(spare, len, MADV_DONTNEED);
	pthread_mutex_lock(&lin->lock);
	keep = keep && lin->idle.count < IDLE_MAX;
	if (keep)
		link_last(&lin->idle, w);
	pthread_mutex_unlock(&lin->lock);
	if (!keep)
		window_free(w);
}

static void list_init(struct hf_linux_list *list)
{
	*list = (struct hf_linux_list){ .end = &list->first };
}

void hf_linux_windows_init(struct hf_linux *lin)
{
	list_init(&lin->live);
	list_init(&lin->idle);
	pthread_cond_init(&lin->dropped, NULL);
}

void hf_linux_windows_fini(struct hf_linux *lin)
{
	while (lin->idle.first) {
		struct hf_linux_window *w = lin->idle.first;

		unlink_from(w);
		window_free(w);
	}
	ballast_drop(lin);
	pthread_cond_destroy(&lin->dropped);
}
