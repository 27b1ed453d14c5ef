/* SPDX-License-Identifier: MIT */
/*
 * What all parts of the stress run know. A space is laid out so:
 *
 *   COMMON    memory that all threads use. Each page has two words for each thread, which that one
 *             alone writes: one by CPUs, one by a device. Fork shares it.
 *   FILE      an object with a pager, shared by all spaces, with words likewise.
 *   SCRATCH   where a thread maps an object of its own for a moment, and HEAP, which the first thread has.
 *   OWN       a part for each thread, which it maps, unmaps, moves, protects and advises as it likes.
 *             A child's is unmapped before its thread uses it.
 */
#ifndef TESTS_STRESS_WORLD_H
#define TESTS_STRESS_WORLD_H

#include "stress.h"

#include <pthread.h>

#define RAM (64 * MIB)
#define SWAP_PAGES 16384

#define LO ((hf_va)1 << 30)
#define COMMON LO
#define COMMON_PAGES (3 * 512) /* huge pages may be in the first and the last third */
#define FILE_AT (LO + 16 * MIB)
#define FILE_PAGES 96
#define FILE_STAYS 64 /* truncation takes no page below this one */
#define OWN(thread) (LO + 32 * MIB + (thread)*4 * MIB)
#define OWN_PAGES 1024
#define SCRATCH(thread) (LO + 96 * MIB + (thread)*MIB)
#define HEAP (LO + 112 * MIB)
#define SPACE_LEN (128 * MIB)

/* A thread's word in a page of the common part or of the file. */
#define WORDS 2
enum word {
	BY_CPU,
	BY_DEVICE,
};

struct slot {
	pthread_rwlock_t life; /* shared: who uses the space; exclusive: who ends or makes it */
	bool alive;
	uint64_t born; /* which space this is, counted */
};

/* A page of a thread's own part. */
struct own_page {
	uint64_t value; /* at its start and at its end; 0: zeros */
	uint8_t prot;	/* HF_PROT_*, or 0: not mapped */
	bool lazy;	/* it may turn into zeros, until it is written */
};

struct own {
	uint64_t born; /* the space that this is about */
	struct own_page page[OWN_PAGES];
};

/* A pin that stays for a while. */
struct held {
	bool is;
	unsigned slot;
	uint64_t born;
	unsigned page;
	struct hf_span span;
};

struct thread {
	pthread_t id;
	unsigned index;
	uint64_t random;
	uint64_t sequence; /* of values that it has made */
	unsigned slot;	   /* the space that it is in */
	struct own *own;   /* of each slot */
	struct held held;
	struct hf_span spans[512];
	uint64_t forks, pins;
};

extern struct world {
	unsigned threads, operations, rounds;
	uint64_t seconds, seed;
	struct hf_phys *phys;
	struct hf_store store;
	char *disk;
	void *disk_meta;
	struct slot slots[SLOTS];
	struct thread *thread[THREADS_MAX];
	struct hf_object *object;
	pthread_barrier_t quiet, go;
	bool over;
	uint64_t refused, reclaimed;
} world;

/* The run fails: say why. */
_Noreturn void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Below n, of the thread's random numbers. */
uint64_t below(struct thread *t, uint64_t n);
bool one_in(struct thread *t, uint64_t n);
/* HF_OK. False: memory, the store or a pin was in the way. All else is wrong. */
bool went(const char *call, enum hf_status st);

/* truth.c: what a thread's word in a page of the common part may be, in each slot. */

/* A new value for the word, and the word is about to be stored. */
uint64_t truth_begin(struct thread *t, unsigned page, enum word word);
/* It was, or it was not. */
void truth_end(struct thread *t, unsigned page, enum word word, bool stored);
/* The word has been read. */
void truth_seen(struct thread *t, unsigned page, enum word word, uint64_t value);
/* The child's words may be what the parent's are between these two. Slot `to` is the caller's. */
void truth_before_fork(unsigned from, unsigned to);
void truth_after_fork(struct thread *t, unsigned from, unsigned to);
/* The same for the file, which all spaces share. */
uint64_t file_truth_begin(struct thread *t, unsigned page);
void file_truth_end(struct thread *t, unsigned page, bool stored);
void file_truth_seen(struct thread *t, unsigned page, uint64_t value);

/* shared.c: the common part and the file. */
void shared_begin(void);
void shared_map(struct hf_mm *mm);
void shared_some(struct thread *t);
void shared_end(void);
void let_pins_go(struct thread *t);

/* own.c: the thread's own part. */
void own_some(struct thread *t);

/* An object's life; the heap. */
void object_some(struct thread *t);
void heap_some(struct thread *t);

/* The address of a thread's word in a page. */
static inline uint64_t word_at(unsigned thread, enum word word)
{
	return (thread * WORDS + word) * 64;
}

#endif
