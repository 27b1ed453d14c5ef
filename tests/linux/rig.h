/* SPDX-License-Identifier: MIT */
/*
 * What the test programs of the Linux port share: a machine to try things on, the program's own
 * SIGSEGV handler, and scenes. Failures are cmocka's.
 */
#ifndef TESTS_LINUX_RIG_H
#define TESTS_LINUX_RIG_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../cases.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <holdfast/linux.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define PAGE HF_PAGE_SIZE
#define BLOCK (2 * MIB)
#define RW (HF_PROT_READ | HF_PROT_WRITE)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define OK(call) assert_int_equal((call), HF_OK)

#define SKIP(...)                                       \
	do {                                            \
		print_message("skipped: " __VA_ARGS__); \
		print_message("\n");                    \
		skip();                                 \
	} while (0)

/* The program's own handler, in place before the port's, and what it saw last. */
struct rig_segv {
	struct sigaction port; /* the port's action, which calls ours */
	sigjmp_buf *escape;    /* where the access is given up; NULL: a real crash */
	siginfo_t info;
	sigset_t mask;
	int error; /* errno */
};
extern struct rig_segv segv;

/* That handler; a program's main installs it by install_handlers. */
void on_segv(int sig, siginfo_t *info, void *context);
/* The program's handler first, then the port's, which finds it there. */
void install_handlers(void);
/* cmocka puts its own handler in place for each test: put the port's back. */
void port_handles(void);

/* What becomes of one access: true if it is made, else segv.info tells of the fault. */
bool may(const void *at, unsigned access, char value);
bool may_read(const void *at);
bool may_write(void *at);

struct hf_linux *machine_of(struct hf_linux_config config);
struct hf_linux *machine(uint64_t ram_bytes);
/* hf_mm_check, then the machine's end; or a space's. */
void machine_end(struct hf_linux *lin);
static inline void end(struct hf_linux *lin)
{
	machine_end(lin);
}
void space_in(struct hf_linux *lin, struct hf_linux_space *space, uint64_t len);
void destroy(struct hf_linux_space *space);
/* Memory of the space as a program sees it, huge where it is advised. */
char *map(struct hf_linux_space *space, uint64_t len, bool huge);
/* The same memory in another space. */
char *there(const struct hf_linux_space *here, const struct hf_linux_space *other, const char *p);

struct hf_linux_stats stats_of(struct hf_linux *lin);
/* Bytes of the host's memory behind the machine's RAM. */
uint64_t held(struct hf_linux *lin);
/* Mappings of the process that touch the window. */
uint64_t host_maps(const struct hf_linux_space *space);
/* Bytes in [at, at+len) that the host maps by huge pages. */
uint64_t huge_bytes(const char *at, uint64_t len);

/* Different in every word, and nowhere zero. */
uint64_t stamp(uint64_t seed, uint64_t i);
void fill(char *p, uint64_t len, uint64_t step, uint64_t seed);
void check_filled(const char *p, uint64_t len, uint64_t step, uint64_t seed);

/*
 * Scenes: programs of their own, which end by exit or by a signal. A test program hands its
 * `scenes`, ended by one without a name, and itself, to rig_main.
 */
struct scene {
	const char *name;
	void (*play)(void);
};
#define SCENE(name)                 \
	{                           \
#name, scene_##name \
	}
/* main: plays a scene after --scene, else runs the tests that match the argument, or all. */
#define RIG_MAIN(group, tests, scenes, argc, argv)                             \
	do {                                                                   \
		if (argc == 3 && !strcmp(argv[1], "--scene"))                  \
			return play(scenes, argv[2]);                          \
		install_handlers();                                            \
		return run_cases(group, tests, sizeof(tests) / sizeof(*tests), \
				 argc > 1 ? argv[1] : NULL);                   \
	} while (0)
int play(const struct scene *scenes, const char *name);
/* In a scene: where it means to die, or NULL. */
void expect_death_at(const char *at);
/* Start a scene; its standard output is *out. `traced`: it stops at each signal. */
pid_t start(const char *name, bool traced, int *out);
/* The scene's wait status. */
int status_of(const char *name);
/* The same, and what it said on stderr, as a string. */
int status_and_words(const char *name, char *words, size_t size);
/* The scene exits with this code. */
void exits_with(int code, const char *name);
/* The scene dies of this signal, and of no other fault than the one that it meant to. */
void dies_of(int deadly, const char *name);

#endif
