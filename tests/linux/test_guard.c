/* SPDX-License-Identifier: MIT */
/*
 * What a program learns when it does what it must not, or when memory is short: children of
 * fork(2), pointers into windows, signal stacks, refused accesses, core dumps.
 */
#include "rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static bool contains(const char *words, const char *part)
{
	return strstr(words, part);
}

static void dies_saying(int deadly, const char *name, const char *part)
{
	char words[1024];
	int status = status_and_words(name, words, sizeof(words));

	if (!WIFSIGNALED(status) || WTERMSIG(status) != deadly || !contains(words, part))
		fail_msg("%s: status %#x, \"%s\"", name, status, words);
}

/* ---- Children of fork(2) ---- */

static struct {
	struct hf_linux *lin;
	struct hf_linux_space space;
	char *p;
	char *device;
} family;

static void write_window(void)
{
	*family.p = 2;
}

static void write_untouched(void)
{
	family.p[PAGE] = 2;
}

static void write_direct_map(void)
{
	*family.device = 2;
}

static void call_write(void)
{
	hf_write(&family.space.mm, hf_linux_va(&family.space, family.p), "2", 1);
}

static void call_space_create(void)
{
	struct hf_linux_space space;

	hf_linux_space_create(family.lin, &space, BLOCK, HF_HUGE_COW_WHOLE);
}

/* How a child ends that does this. */
static int child_of(void (*act)(void))
{
	int status;
	pid_t pid;

	port_handles();
	pid = fork();
	if (!pid) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		act();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void a_child_cannot_damage_its_parent(void **state)
{
	void (*const acts[])(void) = { write_window, write_untouched, write_direct_map, call_write,
				       call_space_create };
	struct hf_span span;
	size_t count;

	(void)state;
	if (SANITIZED)
		SKIP("a sanitizer answers SIGSEGV in its own way");
	family.lin = machine(16 * MIB);
	space_in(family.lin, &family.space, 8 * MIB);
	family.p = map(&family.space, 2 * PAGE, false);
	*family.p = 1;
	OK(hf_pin(&family.space.mm, hf_linux_va(&family.space, family.p), 1, HF_PIN_WRITE, &span, 1,
		  &count));
	family.device = hf_linux_dma_ptr(family.lin, span.pa);
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		int status = child_of(acts[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
			fail_msg("child %zu: status %#x", i, status);
		assert_int_equal(*family.p, 1);
		assert_int_equal(family.p[PAGE], 0);
	}
	/* What comes new into the window is no child's either. */
	family.p[PAGE] = 1;
	assert_true(WIFSIGNALED(child_of(write_untouched)));
	assert_int_equal(family.p[PAGE], 1);
	OK(hf_unpin(hf_linux_phys(family.lin), &span, 1));
	destroy(&family.space);
	end(family.lin);
}

static void scene_child(void)
{
	pid_t pid;
	int status;

	family.lin = machine(16 * MIB);
	space_in(family.lin, &family.space, 8 * MIB);
	family.p = map(&family.space, 2 * PAGE, false);
	*family.p = 1;
	pid = fork();
	if (!pid)
		write_window();
	waitpid(pid, &status, 0);
	raise(WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL);
}

static void a_child_is_told_why_it_dies(void **state)
{
	(void)state;
	if (SANITIZED)
		SKIP("a sanitizer answers SIGSEGV in its own way");
	dies_saying(SIGSEGV, "child", "child of fork(2)");
}

/* ---- Pointers into windows ---- */

static char *scene_memory(struct hf_linux_space *space)
{
	struct hf_linux *lin = machine(16 * MIB);

	space_in(lin, space, 8 * MIB);
	return map(space, MIB, false);
}

static struct hf_linux_space guarded;

static void scene_read_into_window(void)
{
	char *p = scene_memory(&guarded);

	*p = 1;
	hf_read(&guarded.mm, hf_linux_va(&guarded, p), p + MIB / 2, 64);
}

static void scene_write_from_window(void)
{
	char *p = scene_memory(&guarded);

	hf_write(&guarded.mm, hf_linux_va(&guarded, p), p + MIB / 2, 64);
}

static void scene_out_in_window(void)
{
	char *p = scene_memory(&guarded);

	*p = 1;
	hf_translate(&guarded.mm, hf_linux_va(&guarded, p), (struct hf_translation *)(p + MIB / 2));
}

static bool touch(void *arg, const struct hf_run *run)
{
	(void)run;
	*(char *)arg = 1;
	return true;
}

static void scene_callback_in_window(void)
{
	char *p = scene_memory(&guarded);

	hf_mm_visit(&guarded.mm, hf_linux_va(&guarded, p), MIB, touch, p);
}

static void scene_object_in_window(void)
{
	struct hf_object_config config = { .size = PAGE };
	char *p = scene_memory(&guarded);
	struct hf_object *object;

	if (hf_object_create(guarded.mm.phys, &config, &object) == HF_OK)
		hf_object_read(object, 0, p, 64);
}

static void a_call_on_window_memory_is_stopped(void **state)
{
	static const char *const names[] = { "read_into_window", "write_from_window",
					     "out_in_window", "callback_in_window",
					     "object_in_window" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		dies_saying(SIGABRT, names[i], "It would wait for itself");
}

/* What is not shown by a fault is no matter: the page is there already. */
static void touched_memory_may_be_given_to_calls(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = map(&space, 2 * PAGE, false);
	p[0] = p[PAGE] = 1;
	OK(hf_read(&space.mm, hf_linux_va(&space, p), p + PAGE, 8));
	destroy(&space);
	end(lin);
}

static char *pager_at;

static enum hf_status touching_get(void *host, uint64_t offset, void *page, uint64_t len)
{
	(void)host, (void)offset, (void)len;
	*pager_at = 1;
	*(char *)page = 2;
	return HF_OK;
}

/* A pager is called without locks, so a fault of its own is one like any other. */
static void a_pager_may_touch_window_memory(void **state)
{
	static const struct hf_pager pager = { .get = touching_get };
	const struct hf_object_config config = { .size = PAGE, .pager = &pager };
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_linux_space space;
	struct hf_object *object;
	hf_va va = 0;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	pager_at = map(&space, MIB, false);
	OK(hf_object_create(space.mm.phys, &config, &object));
	OK(hf_mmap_object(&space.mm, &va, PAGE, RW, HF_MAP_SHARED, object, 0));
	assert_int_equal(*(char *)hf_linux_ptr(&space, va), 2);
	assert_int_equal(*pager_at, 1);
	OK(hf_object_put(object));
	destroy(&space);
	end(lin);
}

/* ---- Accesses that fail ---- */

static void scene_says_denied(void)
{
	char *p = scene_memory(&guarded);

	OK(hf_mprotect(&guarded.mm, hf_linux_va(&guarded, p), PAGE, HF_PROT_READ));
	*p = 1;
}

static void scene_says_unmapped(void)
{
	char *p = scene_memory(&guarded);

	(void)*(volatile char *)(p - PAGE);
}

static void scene_says_nomem(void)
{
	struct hf_linux *lin = machine(4 * MIB);
	char *p;

	space_in(lin, &guarded, 8 * MIB);
	p = map(&guarded, 8 * MIB, false);
	for (uint64_t i = 0; i < 8 * MIB; i += PAGE)
		p[i] = 1;
}

static void scene_says_bus(void)
{
	struct hf_object_config config = { .size = PAGE };
	struct hf_object *object;
	hf_va va = 0;

	scene_memory(&guarded);
	signal(SIGBUS, SIG_DFL); /* a sanitizer has one of its own */
	OK(hf_object_create(guarded.mm.phys, &config, &object));
	OK(hf_mmap_object(&guarded.mm, &va, 2 * PAGE, RW, HF_MAP_SHARED, object, 0));
	((char *)hf_linux_ptr(&guarded, va))[PAGE] = 1;
}

static void a_program_that_dies_says_why(void **state)
{
	(void)state;
	if (SANITIZED)
		SKIP("a sanitizer answers SIGSEGV in its own way");
	dies_saying(SIGSEGV, "says_denied", "holdfast: writing at 0x");
	dies_saying(SIGSEGV, "says_denied", "HF_ERR_ACCESS");
	dies_saying(SIGSEGV, "says_unmapped", "holdfast: reading at 0x");
	dies_saying(SIGSEGV, "says_unmapped", "HF_ERR_UNMAPPED");
	dies_saying(SIGSEGV, "says_nomem", "HF_ERR_NOMEM");
	dies_saying(SIGBUS, "says_bus", "HF_ERR_BUS");
}

/* What the callbacks saw and do. */
static struct {
	unsigned calls, limit;
	struct hf_linux_fault last;
	struct hf_linux_space *space;
	char *spare; /* to give up; or to access */
	bool inside; /* an access of its own failed, without another call */
} helper;

static enum hf_linux_answer give_up_spare(void *arg, const struct hf_linux_fault *fault)
{
	assert_ptr_equal(arg, &helper);
	helper.last = *fault;
	if (++helper.calls > helper.limit)
		return HF_LINUX_FAIL;
	if (hf_madvise(&helper.space->mm, hf_linux_va(helper.space, helper.spare), PAGE,
		       HF_ADV_DONTNEED))
		return HF_LINUX_FAIL;
	helper.spare += PAGE;
	return HF_LINUX_RETRY;
}

static void a_program_may_free_memory_for_a_fault(void **state)
{
	struct hf_linux_config config = {
		.ram_bytes = 4 * MIB,
		.nomem = give_up_spare,
		.fault_arg = &helper,
	};
	struct hf_linux *lin = machine_of(config);
	struct hf_linux_space space;
	uint64_t got = 0;
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = map(&space, 8 * MIB, false);
	memset(&helper, 0, sizeof(helper));
	helper.space = &space;
	helper.spare = p;
	helper.limit = 10;
	errno = EXDEV;
	while (got < 8 * MIB && may_write(p + got))
		got += PAGE;
	assert_int_equal(errno, EXDEV);
	assert_int_equal(helper.calls,
			 11); /* ten pages were had so; the eleventh time it said no */
	assert_int_equal(segv.info.si_errno, ENOMEM);
	assert_ptr_equal(helper.last.space, &space);
	assert_ptr_equal(helper.last.address, p + got);
	assert_int_equal(helper.last.va, hf_linux_va(&space, p + got));
	assert_int_equal(helper.last.access, HF_ACCESS_WRITE);
	assert_int_equal(helper.last.status, HF_ERR_NOMEM);
	assert_int_equal(p[0], 0); /* memory is full: this reads as zeros, without a page */
	destroy(&space);
	end(lin);
}

static enum hf_linux_answer allow(void *arg, const struct hf_linux_fault *fault)
{
	(void)arg;
	helper.last = *fault;
	helper.calls++;
	if (helper.spare && !may_read(helper.spare)) /* asks nobody */
		helper.inside = true;
	if (hf_mprotect(&helper.space->mm, fault->va & ~(PAGE - 1), PAGE, RW))
		return HF_LINUX_FAIL;
	return HF_LINUX_RETRY;
}

static void a_program_may_allow_what_was_denied(void **state)
{
	struct hf_linux_config config = { .ram_bytes = 16 * MIB, .denied = allow };
	struct hf_linux *lin = machine_of(config);
	struct hf_linux_space space;
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	p = map(&space, 4 * PAGE, false);
	memset(&helper, 0, sizeof(helper));
	helper.space = &space;
	OK(hf_mprotect(&space.mm, hf_linux_va(&space, p), 4 * PAGE, HF_PROT_READ));
	assert_true(may_write(p));
	assert_int_equal(helper.calls, 1);
	assert_int_equal(helper.last.status, HF_ERR_ACCESS);
	helper.spare = p - PAGE; /* unmapped */
	assert_true(may_write(p + PAGE));
	assert_int_equal(helper.calls, 2);
	assert_true(helper.inside);
	helper.spare = NULL;
	assert_false(may_read(p - PAGE)); /* not to be had: it says so */
	assert_int_equal(helper.calls, 3);
	assert_int_equal(helper.last.status, HF_ERR_UNMAPPED);
	assert_int_equal(segv.info.si_code, SEGV_MAPERR);
	destroy(&space);
	end(lin);
}

/* A stack beyond its limit ends as Linux's own does. */
static void a_stack_at_its_limit_is_not_mapped(void **state)
{
	struct hf_linux *lin = machine(16 * MIB);
	struct hf_limits limits = { .stack = 64 * KIB };
	hf_va va = HF_LINUX_VA_LO + 4 * MIB;
	struct hf_linux_space space;
	char *p;

	(void)state;
	space_in(lin, &space, 8 * MIB);
	OK(hf_mm_set_limits(&space.mm, &limits));
	OK(hf_mmap(&space.mm, &va, PAGE, RW, HF_MAP_FIXED | HF_MAP_GROWSDOWN));
	p = hf_linux_ptr(&space, va);
	assert_true(may_write(p - 8 * PAGE));
	assert_false(may_write(p - MIB));
	assert_int_equal(segv.info.si_code, SEGV_MAPERR);
	assert_int_equal(segv.info.si_errno, 0);
	destroy(&space);
	end(lin);
}

/* ---- Signal stacks ---- */

#define PAINT 0x5a

/* The bytes of a painted stack that have been used. */
static size_t used(const char *stack, size_t size)
{
	size_t i = 0;

	while (i < size && stack[i] == PAINT)
		i++;
	return size - i;
}

static void a_signal_stack_has_a_measured_size(void **state)
{
	const size_t size = hf_linux_sigstack_size(), large = 256 * KIB;
	struct hf_linux_space space, child;
	stack_t stack = { .ss_size = large }, before;
	struct hf_linux *lin;
	size_t most;
	char *p;

	(void)state;
	if (SANITIZED)
		SKIP("sanitizers make frames larger");
	assert_true(size > getauxval(AT_MINSIGSTKSZ) && size < 64 * KIB);
	stack.ss_sp = malloc(large);
	memset(stack.ss_sp, PAINT, large);
	assert_int_equal(sigaltstack(&stack, &before), 0);
	lin = machine(64 * MIB);
	space_in(lin, &space, 16 * MIB);
	p = map(&space, 8 * MIB, false);
	OK(hf_madvise(&space.mm, hf_linux_va(&space, p) + BLOCK, BLOCK, HF_ADV_HUGEPAGE));
	p[0] = p[BLOCK] = 1;
	OK(hf_linux_fork(&space, &child, HF_FORK_COPY));
	p[0] = p[BLOCK] = 2;
	destroy(&child);
	most = used(stack.ss_sp, large);
	sigaltstack(&before, NULL);
	free(stack.ss_sp);
	print_message("faults took %zu of %zu bytes\n", most, size);
	assert_true(most > 1024 && most <= size);
	destroy(&space);
	end(lin);
}

static char small_stack[64 * KIB];

static void scene_small_stack(void)
{
	stack_t stack = { .ss_sp = small_stack, .ss_size = hf_linux_sigstack_size() - 1 };
	char *p = scene_memory(&guarded);

	OK(sigaltstack(&stack, NULL));
	*p = 1;
}

static void scene_small_stack_at_start(void)
{
	stack_t stack = { .ss_sp = small_stack, .ss_size = hf_linux_sigstack_size() - 1 };
	struct hf_linux_config config = { .ram_bytes = BLOCK };
	struct hf_linux *lin;

	OK(sigaltstack(&stack, NULL));
	assert_int_equal(hf_linux_create(&config, &lin), HF_ERR_HOST);
	assert_int_equal(errno, ENOBUFS);
	stack.ss_size++;
	OK(sigaltstack(&stack, NULL));
	OK(hf_linux_create(&config, &lin));
	exit(7);
}

static void a_small_signal_stack_is_refused(void **state)
{
	(void)state;
	if (SANITIZED)
		SKIP("a sanitizer has its own");
	exits_with(7, "small_stack_at_start");
	dies_saying(SIGABRT, "small_stack", "sigaltstack");
}

/* ---- Core dumps ---- */

/* Bytes of [at, at+len) in mappings that have this flag of VmFlags: proc_pid_smaps(5). */
static uint64_t flagged(const void *at, uint64_t len, const char *flag)
{
	uintptr_t lo = (uintptr_t)at, first, last, from = 0, to = 0;
	FILE *file = fopen("/proc/self/smaps", "r");
	uint64_t sum = 0;
	char line[512], c;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx %c", &first, &last, &c) == 3) {
			from = first > lo ? first : lo;
			to = last < lo + len ? last : lo + len;
		} else if (!strncmp(line, "VmFlags:", 8) && strstr(line, flag) && to > from) {
			sum += to - from;
		}
	}
	fclose(file);
	return sum;
}

static void only_used_memory_is_dumped(void **state)
{
	const uint64_t ram = 4 * GIB;
	struct hf_linux *lin = machine(ram);
	struct hf_linux_space space;
	char *map_of_ram, *p;

	(void)state;
	space_in(lin, &space, GIB);
	p = map(&space, MIB, false);
	fill(p, MIB, PAGE, 1);
	map_of_ram = hf_linux_dma_ptr(lin, (hf_pa){ GIB });
	assert_int_equal(flagged(map_of_ram, ram, " dd"), ram);
	assert_int_equal(flagged(map_of_ram, ram, " dc"), ram);
	assert_int_equal(flagged(p, MIB, " dc"), MIB);
	assert_int_equal(flagged(p, MIB, " dd"), 0);
	OK(hf_linux_dump(lin, HF_LINUX_DUMP_USED));
	assert_in_range(ram - flagged(map_of_ram, ram, " dd"), MIB, held(lin));
	assert_int_equal(flagged(map_of_ram, ram, " dc"), ram);
	OK(hf_linux_dump(lin, HF_LINUX_DUMP_WINDOWS));
	assert_int_equal(flagged(map_of_ram, ram, " dd"), ram);
	assert_int_equal(hf_linux_dump(lin, (enum hf_linux_dump_what)7), HF_ERR_INVAL);
	destroy(&space);
	end(lin);
}

/* Every second page, in more pieces than are worth a mapping each. */
static void a_scattered_memory_is_dumped_in_few_pieces(void **state)
{
	struct hf_linux *lin = machine_of(
		(struct hf_linux_config){ .ram_bytes = 128 * MIB, .huge = HF_LINUX_HUGE_OFF });
	char *ram = hf_linux_dma_ptr(lin, (hf_pa){ GIB });
	uint64_t used_bytes;

	(void)state;
	for (uint64_t i = 0; i < 64 * MIB; i += 2 * PAGE)
		ram[i] = 1;
	OK(hf_linux_dump(lin, HF_LINUX_DUMP_USED));
	used_bytes = 128 * MIB - flagged(ram, 128 * MIB, " dd");
	assert_in_range(used_bytes, 64 * MIB - PAGE, 128 * MIB);
	for (uint64_t i = 0; i < 64 * MIB; i += 2 * PAGE)
		ram[i] = 0;
	OK(hf_linux_dump(lin, HF_LINUX_DUMP_WINDOWS));
	end(lin);
}

#define CORE_DIRECTORY "core-XXXXXX"

/* 8 GiB of RAM, of which a window has used 1 MiB, and then a crash. */
static void crash(bool all)
{
	struct rlimit limit = { 512 * MIB, 512 * MIB };
	struct hf_linux *lin = machine(8 * GIB);
	char *p;

	setrlimit(RLIMIT_CORE, &limit);
	space_in(lin, &guarded, 4 * GIB);
	p = map(&guarded, MIB, false);
	memcpy(p, "a word in a window", 18);
	fill(p + PAGE, MIB - PAGE, PAGE, 1);
	if (all)
		OK(hf_linux_dump(lin, HF_LINUX_DUMP_USED));
	abort();
}

static void scene_crash(void)
{
	crash(false);
}

static void scene_crash_with_all(void)
{
	crash(true);
}

static bool core_files(void)
{
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");
	struct rlimit limit;
	char pattern[128] = "";

	if (file) {
		if (!fgets(pattern, sizeof(pattern), file))
			pattern[0] = 0;
		fclose(file);
	}
	getrlimit(RLIMIT_CORE, &limit);
	return !strncmp(pattern, "core", 4) && !strchr(pattern, '%') && limit.rlim_max >= 512 * MIB;
}

static bool has_word(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	char *core;
	bool found;

	assert_int_equal(fstat(fd, &st), 0);
	core = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(core, MAP_FAILED);
	close(fd);
	found = memmem(core, (size_t)st.st_size, "a word in a window", 18);
	munmap(core, (size_t)st.st_size);
	return found;
}

/* The size of the core file of a scene; `cores` is a directory for it. */
static uint64_t core_of(const char *name, const char *cores)
{
	char words[256], core[64] = "core";
	struct stat st;
	uint64_t size;
	int status;

	assert_int_equal(chdir(cores), 0);
	status = status_and_words(name, words, sizeof(words));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	if (stat(core, &st)) { /* with the process' number, if kernel.core_uses_pid says so */
		FILE *list = popen("ls core.*", "r");

		assert_int_equal(fscanf(list, "%63s", core), 1);
		pclose(list);
		assert_int_equal(stat(core, &st), 0);
	}
	size = (uint64_t)st.st_blocks * 512;
	assert_true(has_word(core));
	unlink(core);
	assert_int_equal(chdir(".."), 0);
	return size;
}

static void a_core_dump_is_as_large_as_what_is_used(void **state)
{
	char cores[] = CORE_DIRECTORY;
	uint64_t windows, all;

	(void)state;
	if (SANITIZED || !core_files())
		SKIP("no core files here (kernel.core_pattern, ulimit -c, sanitizers)");
	assert_non_null(mkdtemp(cores));
	windows = core_of("crash", cores);
	all = core_of("crash_with_all", cores);
	rmdir(cores);
	print_message("core dumps: %llu KiB; with all that is used %llu KiB\n",
		      (unsigned long long)windows / 1024, (unsigned long long)all / 1024);
	assert_in_range(windows, MIB, 16 * MIB);
	assert_in_range(all, windows, 256 * MIB);
}

static const struct scene scenes[] = {
	SCENE(child),	      SCENE(read_into_window),	 SCENE(write_from_window),
	SCENE(out_in_window), SCENE(callback_in_window), SCENE(object_in_window),
	SCENE(says_denied),   SCENE(says_unmapped),	 SCENE(says_nomem),
	SCENE(says_bus),      SCENE(small_stack),	 SCENE(small_stack_at_start),
	SCENE(crash),	      SCENE(crash_with_all),	 { NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_cannot_damage_its_parent),
		cmocka_unit_test(a_child_is_told_why_it_dies),
		cmocka_unit_test(a_call_on_window_memory_is_stopped),
		cmocka_unit_test(touched_memory_may_be_given_to_calls),
		cmocka_unit_test(a_pager_may_touch_window_memory),
		cmocka_unit_test(a_program_that_dies_says_why),
		cmocka_unit_test(a_program_may_free_memory_for_a_fault),
		cmocka_unit_test(a_program_may_allow_what_was_denied),
		cmocka_unit_test(a_stack_at_its_limit_is_not_mapped),
		cmocka_unit_test(a_signal_stack_has_a_measured_size),
		cmocka_unit_test(a_small_signal_stack_is_refused),
		cmocka_unit_test(only_used_memory_is_dumped),
		cmocka_unit_test(a_scattered_memory_is_dumped_in_few_pieces),
		cmocka_unit_test(a_core_dump_is_as_large_as_what_is_used),
	};

	RIG_MAIN("guard", tests, scenes, argc, argv);
}
