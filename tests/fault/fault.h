/* SPDX-License-Identifier: MIT */
/*
 * A call is made to fail at each of its allocations in turn. What it fails at must not
 * show: the state before is compared with the state after. Then the same call succeeds.
 *
 * A *scenario* says how to build the state, what to call and what must hold when the call
 * has succeeded. It runs once to count the allocations, and then once for each of them, in
 * a fresh *scene*.
 */
#ifndef TESTS_FAULT_H
#define TESTS_FAULT_H

#include "port.h"

struct scene;

/* What a space finds at an area when the call has succeeded. */
enum fate {
	STAYS,	/* what was stamped there */
	ZEROED, /* zeros */
	GONE,	/* nothing that it may read */
	OTHER,	/* what the scenario knows itself */
};

struct scenario {
	const char *name;
	void (*set)(struct scene *sc);
	enum hf_status (*call)(struct scene *sc);
	/* First look at what the call has made, before anything is read or written. May be NULL. */
	void (*after)(struct scene *sc);
	unsigned keeps; /* STATE_*: what a failing call must leave alone */
	bool gives;	/* the call only gives memory back: no allocation may fail it */

	/* What set, call and after are told; each test uses what it needs. */
	enum hf_fork_policy policy;
	enum hf_huge_cow huge_cow;
	unsigned level;	   /* of the leaves concerned */
	unsigned own;	   /* tables below the root that are not shared, see share_with_child */
	bool shared;	   /* with a child at all */
	bool child_acts;   /* the call is made on the child, not on the parent */
	unsigned access;   /* HF_ACCESS_*, or PINS */
	hf_va va;	   /* of the memory concerned */
	uint64_t len;	   /* of it */
	uint64_t from, to; /* bytes into it */
	enum fate fate;	   /* of that part, where the call is made */
	size_t count;
};
#define PINS 0x100u /* among accesses: hf_pin for writing */

struct area {
	hf_va va;
	uint64_t len, seed;
	enum fate here, there; /* in the space acted on; in the other one */
};

#define MAX_AREAS 32
#define MAX_PINS 8

struct held {
	struct space *s;
	hf_va va;
	struct pin list;
};

struct scene {
	struct machine *m;
	const struct scenario *with;
	struct space *s;     /* the one that the call is made on */
	struct space *other; /* its child or parent, if there is one */
	struct space *elder; /* parent of both, if the test needs one */
	bool scarce;	     /* an allocation failed and the call did without */
	struct area areas[MAX_AREAS];
	size_t area_count;
	struct held pins[MAX_PINS];
	size_t pin_count;
	struct held made; /* by the call */
	struct hoard hoard;
};

/* Run a scenario on the machine of the fixture. At least one allocation must fail the call. */
void at_every_allocation(void **state, const struct scenario *with);
#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, fault_setup, fault_teardown)
#define FAULT_TEST_BIG(name) cmocka_unit_test_setup_teardown(name, fault_setup_big, fault_teardown)
int fault_setup(void **state);
int fault_setup_big(void **state); /* RAM for 1 GiB pages */
int fault_teardown(void **state);

/* Spaces are four GiB from SPACE_LO; tests put their memory here, at the start of a GiB. */
#define FAULT_SPACE_LEN (4 * GIB)
#define TARGET (SPACE_LO + GIB)

/* The space that the call is made on. */
void scene_space(struct scene *sc);
/* Map [va, va+len) for leaves of `level`; scene_fill makes all of it present, and stamps it. */
void scene_map(struct scene *sc, hf_va va, unsigned level, uint64_t len);
void scene_fill(struct scene *sc, hf_va va, unsigned level, uint64_t len);
/*
 * Note an area, and what the two spaces find there in the end. To stamp it, it must be
 * mapped; more than 2 MiB are stamped at their ends only.
 */
void scene_expect(struct scene *sc, hf_va va, uint64_t len, enum fate here, enum fate there);
void scene_stamp(struct scene *sc, hf_va va, uint64_t len, enum fate here, enum fate there);
/* Pin memory of sc->s for writing. Its physical address must stay. */
void scene_pin(struct scene *sc, hf_va va, uint64_t len);
/*
 * Fork. Parent and child share the table at TARGET, but for the first `own` tables below
 * the root, which a pin near TARGET makes each of them have by itself (3: only the leaves
 * are shared). The child becomes sc->other, or, if child_acts, sc->s.
 */
void share_with_child(struct scene *sc);
/* What is with->shared is shared so. */
void share_if_told(struct scene *sc);

/* Both sides write to a word; neither sees the other's. */
void expect_apart(struct space *a, struct space *b, hf_va va);

/* Calls: fork by with->policy; with->access to the page at with->va + with->from. */
enum hf_status call_fork(struct scene *sc);
enum hf_status call_access(struct scene *sc);

extern const struct suite suite_fault_fork, suite_fault_pages, suite_fault_ranges, suite_fault_copy,
	suite_fault_gib, suite_fault_remap, suite_fault_edits, suite_limits, suite_fault_collapse,
	suite_fault_objects, suite_fault_swap;

#endif
