/* SPDX-License-Identifier: MIT */
/*
 * The explorer: every interleaving of a few calls, one after the other, on one thread of the host.
 * README.md beside this tells the idea. This header is what its parts share, and what a scenario
 * is written with.
 */
#ifndef HFX_EXPLORE_H
#define HFX_EXPLORE_H

#include <holdfast/holdfast.h>

#include <setjmp.h>

#define HFX_AGENTS 10 /* threads of one scenario, speculation and store buffers included */
#define HFX_CPUS 4
#define HFX_SPACES 4
#define HFX_SLOTS 64 /* of the swap store */
#define HFX_FILES 2
#define HFX_PAGES 4 /* of a file that a pager keeps */
#define HFX_DATA 64 /* bytes of a frame of data that are kept; the rest of a page says nothing */

/* ---- Steps: schedule.c ---- */

enum hfx_op {
	HFX_BEGIN, /* the thread has not run yet */
	HFX_LOAD,
	HFX_STORE,
	HFX_STORED, /* and goes on */
	HFX_RMW,
	HFX_LOCK,     /* waits until nobody holds it */
	HFX_SHARED,   /* waits until no writer is there or waits */
	HFX_ANNOUNCE, /* a writer: waits until no other is there */
	HFX_DRAIN,    /* and then until no reader is */
	HFX_TRY,
	HFX_UNLOCK,
	HFX_SLEEP, /* waits for a wake */
	HFX_UNTIL, /* waits until a flag of the scenario's is set */
	HFX_WAKE,
	HFX_FLUSH,  /* of one CPU */
	HFX_WALK,   /* of the tables, by a CPU */
	HFX_ACCESS, /* to memory, through a TLB */
	HFX_COPY,   /* of a page, or its clearing */
	HFX_CALL,   /* of a pager's or the store's function, or a mark of the scenario's */
	HFX_COMMIT, /* the oldest store of a store buffer */
	HFX_OPS,
};

struct hfx_held {
	const void *lock;
	bool exclusive;
};

/* A store that is not seen by others yet. */
struct hfx_buffered {
	void *p;
	uint64_t v;
	uint64_t cause; /* the storing thread's hash */
};

#define HFX_BUFFER 16

struct hfx_agent {
	const char *name;
	void (*fn)(void);
	struct hfx_agent *owner; /* this is the store buffer of that thread; else NULL */
	bool done;
	enum hfx_op op; /* what it does next */
	const void *at; /* and where */
	bool woken;
	uint64_t points; /* steps taken */
	uint64_t hash;	 /* of its last step and all that happened before it */
	struct hfx_held held[16];
	unsigned nheld;
	struct hfx_buffered buffer[HFX_BUFFER];
	unsigned buffered;
	jmp_buf here, top;
};

extern struct hfx_agent hfx_agents[HFX_AGENTS];
extern unsigned hfx_count;	   /* how many there are */
extern struct hfx_agent *hfx_self; /* who runs; NULL: nobody, and nothing is a step */
extern uint64_t hfx_now;	   /* steps taken in this schedule */

/* How a schedule ended. */
enum hfx_end {
	HFX_ENDED = 1,
	HFX_FAILED,
	HFX_PRUNED
};

void hfx_schedule_init(void);
/* Run the threads of the world from its beginning to the end of one schedule. */
enum hfx_end hfx_run_threads(void);
/*
 * The calling thread is about to take a step at `at`: others may go first. `always`: even if no
 * other has ever been seen to race with it there.
 */
void hfx_point(enum hfx_op op, const void *at, bool always);
/* The calling agent is done until `op` is its next step and chosen. */
void hfx_yield(enum hfx_op op);
/* Every point is one where others may go first. */
extern bool hfx_every;
/* A part of a schedule that is no thread's: HFX_FAILED or HFX_ENDED. */
struct hfx_scenario;
enum hfx_end hfx_guard(void (*fn)(const struct hfx_scenario *), const struct hfx_scenario *s);
/* It fails: the rest of the schedule is left. */
_Noreturn void hfx_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* It is cut: nothing new can come of it. */
_Noreturn void hfx_prune(void);
extern char hfx_why[1000]; /* what the last failure said */

/* ---- What happened before what: memory.c ---- */

enum hfx_memory {
	HFX_SC,
	HFX_TSO,
	HFX_WEAK
};
extern enum hfx_memory hfx_memory;

/* Part of a step: the location is read or written by the running thread. */
void hfx_event(const void *at, bool write);
/* Others race with it there, as far as is known. */
bool hfx_racy(const void *at);
/* Beginning of a schedule; of all there is to know; of a search with what is known by now. */
void hfx_memory_reset(void);
void hfx_memory_forget(void);
bool hfx_memory_freeze(void); /* true: more is known than at the last freeze */
/* What happened, up to the order of what does not depend on each other. */
uint64_t hfx_state_hash(void);
void hfx_drain(void); /* the running thread's store buffer */
/* What a store buffer does: its oldest store becomes visible, whenever it is chosen. */
void hfx_store_buffer(void);

/* ---- Choosing: search.c ---- */

/*
 * Who takes the next step: a bit of `enabled`. `cur` is the thread that ran, if it can go on, else
 * -1; a store buffer is never that.
 */
int hfx_choose(int cur, unsigned enabled);

enum hfx_mode {
	HFX_DFS,
	HFX_PCT,
	HFX_REPLAY
};

struct hfx_options {
	enum hfx_mode mode;
	enum hfx_memory memory;
	unsigned bound; /* preemptions */
	uint64_t runs;	/* PCT */
	unsigned depth; /* PCT */
	uint64_t seed;	/* PCT */
	unsigned shard, shards;
	double seconds; /* 0: no limit */
	bool progress;
	bool plain; /* every step is a choice, and no state is left out: to test the search itself */
	bool ends;  /* count them */
};

/* Of one search. */
struct hfx_result {
	unsigned bound; /* the last one that was exhausted, or at which it fails */
	bool exhausted; /* it is the one that was asked for */
	uint64_t runs, pruned, states, steps, ends;
	double seconds;
	bool failed;
	char why[1000];
	char schedule[4000]; /* for --replay */
	unsigned preemptions;
};

/* Make the scenario's world and threads; nothing is known of its races. */
void hfx_begin(const struct hfx_scenario *s, enum hfx_memory memory);
void hfx_search(const struct hfx_scenario *s, const struct hfx_options *o, struct hfx_result *r);
/* Run one schedule; false: `schedule` is none. */
bool hfx_replay(const struct hfx_scenario *s, const struct hfx_options *o, const char *schedule,
		bool draw, struct hfx_result *r);

/* ---- The world: world.c ---- */

/* What a CPU has cached. */
struct hfx_entry {
	hf_va base;
	unsigned level; /* of the entry */
	uint64_t pa;	/* where it leads */
	unsigned rights;
};

#define HFX_CACHED 24

struct hfx_cpu {
	struct hf_mm *mm;
	struct hfx_entry leaf[HFX_CACHED], branch[HFX_CACHED];
	unsigned leaves, branches;
};

/* A store that user code has made, for the check of what loads see. */
struct hfx_written {
	const struct hf_mm *mm; /* NULL: it has not happened */
	hf_va va;
	uint64_t value, begin, end;
	bool perhaps; /* it may never happen */
};

/* What a pager keeps: `host` of its object. */
struct hfx_file {
	char page[HFX_PAGES][HFX_DATA];
	unsigned gets, writebacks, puts;
	bool fails; /* to keep anything */
	bool later; /* it answers later: says HF_ERR_PENDING, and sets `asked` */
	uint64_t asked;
	bool ended; /* nobody may call the pager any more */
};

struct hfx_world {
	struct hf_phys phys;
	struct hf_mm mm[HFX_SPACES];
	struct hfx_cpu cpu[HFX_CPUS];
	struct hf_object *object[2];
	hf_va va; /* of the scenario's mapping */
	struct hf_span span[4];
	size_t spans;
	enum hf_status st[HFX_AGENTS]; /* what calls gave, as a scenario likes */
	uint64_t seen[16];
	/* The swap store, and a pager's. */
	struct hf_store store;
	bool store_fails;
	uint64_t slot_meta[HFX_SLOTS][8];
	char slot[HFX_SLOTS][HFX_DATA];
	struct hfx_file file[HFX_FILES];
	/* Loads and stores. */
	struct hfx_written written[64];
	unsigned writes;
	uint64_t begun, ended; /* a fork, say */
	bool full;	       /* memory: calls may fail */
};

extern struct hfx_world w;

/* A scenario. Threads run until they return; `check` and hf_mm_check follow. */
struct hfx_scenario {
	const char *name;
	const char *about;
	unsigned frames; /* of RAM */
	void (*setup)(void);
	struct {
		const char *name;
		void (*fn)(void);
	} thread[HFX_AGENTS];
	void (*check)(void);
	/* Loads that a CPU may make for itself, at any time: threads of one step. */
	struct {
		unsigned cpu;
		unsigned page; /* of w.va */
	} speculate[2];
	unsigned speculations;
	unsigned bound;	  /* that `make check` exhausts; 0: 2 */
	bool full;	  /* memory may be: calls may fail for want of it */
	bool blind;	  /* what user code sees is all that is checked */
	bool fills;	  /* the port keeps what `fill` tells: CPU 3, of space a */
	const char *only; /* a format that it is for */
	bool fails[2];	  /* by memory: a fault that must be found, a test of the explorer itself */
	const char *known; /* a fault that is not fixed yet: it is to be found */
};

/* Make the scenario's world, or bring it back to its beginning. */
void hfx_world_make(const struct hfx_scenario *s);
void hfx_world_reset(void);
/* What must hold after a schedule: fails if not. */
void hfx_world_check(const struct hfx_scenario *s);
/* The frame of RAM that `p` points into, or -1. */
int hfx_frame_of(const void *p);
void hfx_touch_range(const void *p, size_t len);
extern char *hfx_ram, *hfx_meta;
extern unsigned hfx_frames;
#define HFX_RAM_BASE ((uint64_t)1 << 30)

/* ---- CPUs: mmu.c ---- */

enum hf_status hfx_access(unsigned cpu, hf_va va, bool write, uint64_t *value);
void hfx_speculate(unsigned cpu, hf_va va);
void hfx_flush(void *host, struct hf_mm *mm, hf_va va, uint64_t len, unsigned what);
void hfx_fill(void *host, struct hf_mm *mm, hf_va va, uint64_t len, const struct hf_translation *t);
void hfx_check_caches(void);
/* The entry of a page of 4 KiB that is there. */
uint64_t *hfx_small_entry(const struct hf_mm *mm, hf_va va);

/* ---- What scenarios are written with ---- */

#define OK(call) hfx_ok(call, #call)
void hfx_ok(enum hf_status st, const char *what);
#define EXPECT(holds) ((holds) ? (void)0 : hfx_fail("not so: %s (line %d)", #holds, __LINE__))
/*
 * User code. A load sees the last store that was complete before it, or one beside it; a page that
 * nothing was stored to reads as zeros. What takes contents away is written down as a store of 0.
 */
enum hf_status hfx_user_store(unsigned cpu, hf_va va, uint64_t value);
enum hf_status hfx_user_load(unsigned cpu, hf_va va, uint64_t *value);
struct hfx_written *hfx_write_begins(const struct hf_mm *mm, hf_va va, uint64_t value);
void hfx_write_ends(struct hfx_written *s);
void hfx_write_failed(struct hfx_written *s);
/* What was stored in `from` before now is found in `to`, too. */
void hfx_inherit(const struct hf_mm *from, struct hf_mm *to);
/* A load from `begin` to `end` may have given it. */
bool hfx_may_be(const struct hf_mm *mm, hf_va va, uint64_t value, uint64_t begin, uint64_t end);
void hfx_check_contents(void);
/* Part of a step: what user code has there is read or written, by whatever means. */
void hfx_user_event(const struct hf_mm *mm, hf_va va, bool write);
/* CPU `cpu` runs in space `mm`, with empty caches. */
void hfx_switch(unsigned cpu, struct hf_mm *mm);
void hfx_swap_on(void);
/* A mark in a step of its own: what scenarios tell each other. */
void hfx_set(uint64_t *flag, uint64_t v);
uint64_t hfx_get(const uint64_t *flag);
void hfx_until(const uint64_t *flag);
extern const struct hf_pager hfx_pager;
/* The host has no use for the file from here on; it has been told of `puts` pages. */
void hfx_file_end(unsigned i, unsigned puts);

#define RW (HF_PROT_READ | HF_PROT_WRITE)
#define PAGE HF_PAGE_SIZE
#define HUGE_PAGE ((uint64_t)2 << 20)

extern const struct hfx_scenario *const hfx_scenarios[];

/* ---- Telling: report.c ---- */

extern bool hfx_telling; /* each step, as it is taken */
extern bool hfx_drawing; /* and the tables, when they change */
void hfx_tell(const struct hfx_agent *a, enum hfx_op op, const void *at);
const char *hfx_name_of(const void *at);

#endif
