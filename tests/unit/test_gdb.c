/* SPDX-License-Identifier: MIT */
/*
 * scripts/gdb/holdfast.py, loaded into gdb on this very program: test_gdb runs itself once more,
 * as `test_gdb scene`, stops it where there is something to see, and compares.
 */
#include "unit.h"

#include "space/vma.h"
#include "table/table.h"

#include <unistd.h>

/* ---- The scene ---- */

/* What gdb is told to look at. */
extern struct hf_mm *scene_parent, *scene_child;
extern struct hf_vma scene_vma;
extern struct hf_frame *scene_root, *scene_page;
extern hf_pte scene_leaf, scene_branch, scene_hidden, scene_swapped;
void scene_is_set(void);

struct hf_mm *scene_parent, *scene_child;
struct hf_vma scene_vma;
struct hf_frame *scene_root, *scene_page;
hf_pte scene_leaf, scene_branch, scene_hidden, scene_swapped;

__attribute__((noinline)) void scene_is_set(void)
{
	__asm__ volatile("" : : : "memory");
}

static char disk[16][HF_PAGE_SIZE];

static bool disk_read(void *host, uint64_t slot, void *page)
{
	(void)host;
	memcpy(page, disk[slot], HF_PAGE_SIZE);
	return true;
}

static bool disk_write(void *host, uint64_t slot, const void *page)
{
	(void)host;
	memcpy(disk[slot], page, HF_PAGE_SIZE);
	return true;
}

/* The entry for `va` at `level`. */
static hf_pte entry_at(const struct hf_mm *mm, hf_va va, unsigned level)
{
	hf_pfn table = mm->root;

	for (unsigned l = HF_TOP_LEVEL;; l--) {
		hf_pte e = hf_pte_get(&hf_table_entries(mm->phys, table)[hf_table_index(va, l)]);

		if (l == level)
			return e;
		table = hf_pte_pfn(e);
	}
}

static void print_line(void *arg, const char *line)
{
	printf("%s%s\n", (const char *)arg, line);
}

/* Some of everything; what the core itself prints of it goes before. Does not come back. */
static int scene(void)
{
	static uint64_t meta[4096];
	static const struct hf_store store = {
		.slots = 16, .read = disk_read, .write = disk_write, .meta = meta
	};
	struct memory *m = memory_of(32 * MIB, &quiet_port, NULL);
	struct hf_mm *mm = space_new(m);
	hf_va huge = map_huge(mm, 3), small = map(mm, 16 * PAGE), shared = 0;
	struct hf_span span;
	size_t n;

	OK(hf_swap_on(&m->phys, &store));
	for (unsigned i = 0; i < 8; i++)
		put(mm, small + i * PAGE, i + 1);
	OK(hf_mprotect(mm, small + 6 * PAGE, PAGE, HF_PROT_READ | HF_PROT_EXEC));
	OK(hf_mprotect(mm, small + 7 * PAGE, PAGE, HF_PROT_NONE));
	OK(hf_madvise(mm, small + 9 * PAGE, 3 * PAGE, HF_ADV_POPULATE_READ));
	OK(hf_madvise(mm, small, PAGE, HF_ADV_FREE));
	OK(hf_madvise(mm, small + PAGE, 2 * PAGE, HF_ADV_PAGEOUT));
	OK(hf_mlock(mm, small + 12 * PAGE, PAGE, HF_MLOCK_ONFAULT));
	OK(hf_mmap(mm, &shared, 4 * PAGE, RW, HF_MAP_SHARED));
	put(mm, shared + PAGE, 9);
	OK(hf_pin(mm, huge, PMD_SIZE + PAGE, HF_PIN_WRITE, &span, 1, &n));
	scene_parent = mm;
	scene_child = space_fork(mm, HF_FORK_COPY);
	assert_true(hf_vmas_next(&m->phys, mm->vmas, small + 12 * PAGE, &scene_vma));
	scene_leaf = entry_at(mm, huge, HF_LEVEL_PMD);
	scene_branch = entry_at(mm, huge, HF_LEVEL_PUD);
	scene_hidden = entry_at(mm, small + 7 * PAGE, HF_LEVEL_PTE);
	scene_swapped = entry_at(mm, small + PAGE, HF_LEVEL_PTE);
	scene_root = hf_frame_at(&m->phys, mm->root);
	scene_page = hf_frame_at(&m->phys, hf_pte_pfn(entry_at(mm, small + 3 * PAGE, 0)));
	hf_mm_dump(mm, print_line, "parent: ");
	hf_mm_dump(scene_child, print_line, "child: ");
	fflush(stdout);
	scene_is_set();
	return 0;
}

/* ---- gdb, and what it says ---- */

static const char *self;
static char said[1 << 16];

/* Run gdb with this many of its commands on the scene; skips where it cannot. */
static void run_gdb(void)
{
	static const char *const line =
		"gdb -nx -batch -ex 'set style enabled off' -ex 'set width 0' "
		"-ex 'source %s/scripts/gdb/holdfast.py' -ex 'break scene_is_set' -ex run "
		"-ex 'echo \\n==dump parent\\n' -ex 'hf-dump scene_parent' "
		"-ex 'echo ==dump child\\n' -ex 'hf-dump *scene_child' "
		"-ex 'echo ==vmas\\n' -ex 'hf-vmas scene_parent' "
		"-ex 'echo ==print\\n' -ex 'print *scene_parent' -ex 'print scene_vma' "
		"-ex 'print scene_leaf' -ex 'print scene_branch' -ex 'print scene_hidden' "
		"-ex 'print scene_swapped' -ex 'print *scene_root' -ex 'print *scene_page' "
		"-ex 'print scene_parent->root' -ex 'hf-dump scene_vma' -ex 'echo ==end\\n' "
		"--args %s scene 2>&1";
	char command[4096];
	FILE *gdb;

	if (said[0])
		return;
	if (system("gdb -nx -batch -ex 'python print(1)' >/dev/null 2>&1") != 0) {
		print_message("skip: there is no gdb with Python\n");
		skip();
	}
	snprintf(command, sizeof(command), line, SOURCE_ROOT, self);
	gdb = popen(command, "r");
	assert_non_null(gdb);
	said[fread(said, 1, sizeof(said) - 1, gdb)] = 0;
	pclose(gdb);
	if (strstr(said, "ptrace: Operation not permitted")) {
		said[0] = 0;
		print_message("skip: no process may be traced here\n");
		skip();
	}
}

/* What stands between the line ==`begin` and the next such line. */
static char *part(const char *begin)
{
	char mark[64];
	const char *from, *to;

	snprintf(mark, sizeof(mark), "\n==%s\n", begin);
	from = strstr(said, mark);
	if (!from)
		fail_msg("gdb says:\n%s", said);
	from += strlen(mark);
	to = strstr(from, "\n==");
	assert_non_null(to);
	return strndup(from, (size_t)(to + 1 - from));
}

/* The lines that begin with `prefix`, without it. */
static char *printed(const char *prefix)
{
	char *text = calloc(1, sizeof(said)), *copy = strdup(said), *rest = copy, *line;

	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, prefix, strlen(prefix)) != 0)
			continue;
		strcat(text, line + strlen(prefix));
		strcat(text, "\n");
	}
	free(copy);
	return text;
}

static void expect_same_dump(const char *which, const char *prefix)
{
	char *gdb = part(which), *core = printed(prefix);

	assert_true(strlen(core) > 200);
	assert_string_equal(gdb, core);
	free(gdb);
	free(core);
}

static void hf_dump_prints_what_the_core_prints(void **state)
{
	(void)state;
	run_gdb();
	expect_same_dump("dump parent", "parent: ");
	expect_same_dump("dump child", "child: ");
}

/* The number of the line in `text` that has all of these words; fails if there is none. */
static void has_line(const char *text, const char *const *words)
{
	char *copy = strdup(text), *rest = copy, *line;
	bool found = false;

	while (!found && (line = strsep(&rest, "\n"))) {
		found = true;
		for (const char *const *w = words; *w; w++)
			found = found && strstr(line, *w);
	}
	free(copy);
	if (!found)
		fail_msg("no line with '%s' and so on in:\n%s", words[0], text);
}

#define HAS(text, ...) has_line((text), (const char *const[]){ __VA_ARGS__, NULL })

static void hf_vmas_prints_the_mappings(void **state)
{
	char *text;

	(void)state;
	run_gdb();
	text = part("vmas");
	HAS(text, " rw- huge");
	HAS(text, " r-x");
	HAS(text, " ---");
	HAS(text, " rw- locked lockonfault");
	HAS(text, " rw- shared object 0x", " offset 0x0");
	free(text);
}

static void printers_print_in_words(void **state)
{
	char *text;

	(void)state;
	run_gdb();
	text = part("print");
	HAS(text, "$1 = space 0x10000 to 0x", " root 0x", " vmas 0x", " locked_bytes 4096");
	HAS(text, "$2 = 0x", " rw- locked lockonfault");
	HAS(text, "$3 = ", "page 0x", " RW- accessed dirty");
	HAS(text, "$4 = ", "table 0x", " W LOOK");
	HAS(text, "$5 = ", "page 0x", " --- hidden");
	HAS(text, "$6 = swapped slot 0");
	HAS(text, "$7 = table refs 1");
	HAS(text, "$8 = plain maps 2");
	HAS(text, "$9 = frame 0x");
	HAS(text, "scene_vma is no struct hf_mm");
	free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hf_dump_prints_what_the_core_prints),
		cmocka_unit_test(hf_vmas_prints_the_mappings),
		cmocka_unit_test(printers_print_in_words),
	};

	self = argv[0];
	if (argc > 1 && strcmp(argv[1], "scene") == 0)
		return scene();
	return RUN(tests, argc, argv);
}
