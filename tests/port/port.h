/* SPDX-License-Identifier: MIT */
/*
 * What a port must offer to be tested, and the small words that the tests of
 * tests/port, tests/bugs and tests/fault are written in. One program links one driver
 * (port_soft.c or port_linux.c), common.c, and the suites.
 *
 * Every test starts with a fresh machine (machine_setup) and ends with machine_teardown,
 * which destroys what is left and fails the test if a single page was leaked.
 */
#ifndef TESTS_PORT_H
#define TESTS_PORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cases.h"

#include <holdfast/holdfast.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define PAGE HF_PAGE_SIZE
#define PMD_SIZE (2 * MIB)
#define PUD_SIZE GIB

#define RW (HF_PROT_READ | HF_PROT_WRITE)
#define RO HF_PROT_READ

#define MAX_SPACES 16

struct machine;

/* One address space, with whatever the port needs to run a program in it. */
struct space {
	struct hf_mm *mm;
	struct machine *m;
	void *own; /* the driver's */
};

struct machine {
	struct hf_phys *phys;
	void *own; /* the driver's */
	uint64_t free_at_start;
	struct space *spaces[MAX_SPACES]; /* the live ones */
};

struct machine_config {
	uint64_t ram_bytes;
	uint32_t count_limit;
};

/* The driver. `load` and `store` are what a program in the space would do. */
struct test_port {
	const char *name;
	enum hf_status (*create)(struct machine *m, const struct machine_config *config);
	enum hf_status (*destroy)(struct machine *m);
	enum hf_status (*space_create)(struct space *s, uint64_t len, enum hf_huge_cow huge_cow);
	enum hf_status (*fork)(struct space *parent, struct space *child,
			       enum hf_fork_policy policy);
	void (*space_destroy)(struct space *s);
	/* false: the program was stopped by a fault that the space forbids */
	bool (*load)(struct space *s, hf_va va, void *buf, size_t len);
	bool (*store)(struct space *s, hf_va va, const void *buf, size_t len);
	/* what a device does, knowing only physical addresses */
	void (*dma_write)(struct machine *m, hf_pa pa, const void *buf, size_t len);
	void (*dma_read)(struct machine *m, hf_pa pa, void *buf, size_t len);
};

extern const struct test_port test_port;

/* What a driver's machines call for every event: checks what must be true of it. */
void check_trace(void *arg, const struct hf_trace_event *event);

/* Spaces of all drivers start here (the Linux port's choice). */
#define SPACE_LO GIB
#define SPACE_LEN (256 * MIB)
#define RAM_BYTES (64 * MIB)

/* cmocka fixtures: a machine of RAM_BYTES with no space yet, in *state. */
int machine_setup(void **state);
int machine_teardown(void **state);
/* The same by hand, for tests that need another machine than the default one. */
struct machine *machine_new(const struct machine_config *config);
void machine_end(struct machine *m);

struct space *space_new(struct machine *m); /* SPACE_LEN, HF_HUGE_COW_WHOLE */
struct space *space_new_of(struct machine *m, uint64_t len, enum hf_huge_cow huge_cow);
void space_end(struct space *s);
struct space *fork_space(struct space *parent, enum hf_fork_policy policy);
/* The bare call, for tests that expect it to fail; *child is NULL then. */
enum hf_status try_fork(struct space *parent, enum hf_fork_policy policy, struct space **child);

/* Mappings. `map` lets the core choose the place, `map_at` is MAP_FIXED. */
hf_va map(struct space *s, uint64_t len, unsigned prot);
hf_va map_at(struct space *s, hf_va va, uint64_t len, unsigned prot);
/* Read-write memory for leaves of `level`, aligned to it, `count` leaves long, untouched. */
hf_va map_level(struct space *s, unsigned level, size_t count);
/* The same, and every 4 KiB page stamped (see fill). */
hf_va map_filled(struct space *s, unsigned level, size_t count, uint64_t seed);

/* What a program does. put, get and the fills fail the test if the access is refused. */
void put(struct space *s, hf_va va, uint64_t value);
uint64_t get(struct space *s, hf_va va);
bool may_load(struct space *s, hf_va va);
bool may_store(struct space *s, hf_va va); /* stores 0x5a where it may */
/* Stamp every 4 KiB page of [va, va+len) at its start and its end; check the stamps. */
void fill(struct space *s, hf_va va, uint64_t len, uint64_t seed);
#define FILLED(s, va, len, seed) expect_filled((s), (va), (len), (seed), __FILE__, __LINE__)
void expect_filled(struct space *s, hf_va va, uint64_t len, uint64_t seed, const char *file,
		   int line);
#define ZEROS(s, va, len) expect_zeros((s), (va), (len), __FILE__, __LINE__)
void expect_zeros(struct space *s, hf_va va, uint64_t len, const char *file, int line);
uint64_t stamp(uint64_t seed, hf_va va);

/* Where the tables lead. pa_of and level_of fail the test where nothing is present. */
bool present(struct space *s, hf_va va);
hf_pa pa_of(struct space *s, hf_va va); /* of the very byte */
unsigned level_of(struct space *s, hf_va va);
unsigned access_of(struct space *s, hf_va va);
uint64_t leaves(struct space *s, unsigned level);
uint64_t pages_swapped(struct space *s); /* in the swap store */

/* The mapping that ends above va, and how many there are. */
struct hf_vma_info mapping_at(struct space *s, hf_va va);
size_t mappings(struct space *s);
uint64_t free_bytes(struct machine *m);
uint32_t pins_at(struct machine *m, hf_pa pa);

/* Pins with room for their scatter list. */
#define MAX_SPANS 1024
struct pin {
	struct hf_span spans[MAX_SPANS];
	size_t count;
};
void pin_range(struct space *s, hf_va va, uint64_t len, unsigned flags, struct pin *pin);
void unpin(struct machine *m, const struct pin *pin);
void dma_put(struct machine *m, hf_pa pa, uint64_t value);
uint64_t dma_get(struct machine *m, hf_pa pa);

/* All free memory taken as blocks of `order`, and given back. */
struct hoard {
	hf_pa *pages;
	size_t count;
	unsigned order;
};
void hoard_all(struct machine *m, unsigned order, struct hoard *hoard);
void hoard_release(struct machine *m, struct hoard *hoard);
/* Take every free page, then free `count` single ones, no two of them neighbours. */
void fragment(struct machine *m, size_t count, struct hoard *hoard);

/*
 * The whole state that a caller can see: of every live space the mappings, contents, pins
 * and translations, and how much memory is free. What a call that failed must not touch.
 */
struct state;
enum state_part {
	STATE_VISIBLE = 1, /* mappings, contents, pins */
	STATE_TABLES = 2,  /* leaves: addresses, levels, permissions */
	STATE_FREE = 4,	   /* free bytes */
	STATE_ALL = 7,
};
struct state *state_take(struct machine *m);
void state_drop(struct state *state);
/* Fails the test if the state is not `before`'s any more; `call` is what did not change it. */
void state_same(struct machine *m, const struct state *before, unsigned parts, const char *call,
		const char *file, int line);

/*
 * What another thread does in the middle of a call: `run` is called once, in the next event of
 * that kind. The call holds locks then; `run` must need none of them.
 */
void meanwhile(struct machine *m, enum hf_trace what,
	       void (*run)(void *arg, const struct hf_trace_event *event), void *arg);
/* It has been called; the machine is as before. */
void meanwhile_done(struct machine *m);

void expect_status(enum hf_status got, enum hf_status want, const char *call, const char *file,
		   int line);
void expect_sound(struct machine *m, const char *file, int line);
void expect_u64(uint64_t got, uint64_t want, const char *what, const char *file, int line);

/* The call succeeds and leaves every invariant whole. */
#define OK(call) expect_status((call), HF_OK, #call, __FILE__, __LINE__)
/* The call returns `want`. */
#define GIVES(want, call) expect_status((call), (want), #call, __FILE__, __LINE__)
/* The call returns the error `want`, and nothing at all has changed in the machine. */
#define FAILS(m, want, call) FAILS_KEEPING(m, STATE_ALL, want, call)
#define FAILS_KEEPING(m, parts, want, call)                                   \
	do {                                                                  \
		struct state *before_ = state_take(m);                        \
		expect_status((call), (want), #call, __FILE__, __LINE__);     \
		state_same((m), before_, (parts), #call, __FILE__, __LINE__); \
		state_drop(before_);                                          \
		CHECK(m);                                                     \
	} while (0)
#define CHECK(m) expect_sound((m), __FILE__, __LINE__)
/* Two numbers, printed in hex when they differ. */
#define SAME(got, want) \
	expect_u64((uint64_t)(got), (uint64_t)(want), #got " == " #want, __FILE__, __LINE__)
#define SAME_PA(got, want) SAME((got).v, (want).v)

/* Skip with a reason that the reader sees. */
#define SKIP(...)                                       \
	do {                                            \
		print_message("skipped: " __VA_ARGS__); \
		print_message("\n");                    \
		skip();                                 \
	} while (0)

/* 1 GiB pages take real host memory: skips the test if the host has less than `bytes`. */
void need_host_memory(uint64_t bytes);

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

struct suite {
	const struct CMUnitTest *tests;
	size_t count;
};
#define SUITE(name, array)              \
	extern const struct suite name; \
	const struct suite name = { array, sizeof(array) / sizeof(array[0]) }

/*
 * Run tests as one cmocka group called `name`: run_cases() with argv[1], if given.
 */
int run_test_array(const char *name, const struct CMUnitTest *tests, size_t count, int argc,
		   char **argv);
#define run_group(name, tests, argc, argv) \
	run_test_array(name, tests, sizeof(tests) / sizeof(tests[0]), argc, argv)
int run_suites(const char *name, const struct suite *const *suites, size_t count, int argc,
	       char **argv);

#endif
