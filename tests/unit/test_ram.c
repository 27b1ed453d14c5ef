/* SPDX-License-Identifier: MIT */
/* Ranges of RAM, few and many: each frame is found in its own, and others in none. */
#include "unit.h"

#include "phys/frame.h"

#include <sys/mman.h>

#define TIB ((uint64_t)1 << 40)
#define TOP_FRAME (16 * TIB / PAGE - 1) /* the end of what may be RAM */

struct ranges {
	struct hf_ram *ram;
	size_t count;
	uint64_t frames;
};

/* A range of `frames` frames from number `first` on, behind those that are there. */
static void add(struct ranges *r, uint64_t first, uint64_t frames)
{
	r->ram = realloc(r->ram, (r->count + 1) * sizeof(*r->ram));
	r->ram[r->count++] = (struct hf_ram){ .base = { first * PAGE }, .len = frames * PAGE };
	r->frames += frames;
}

static uint64_t end_of(const struct ranges *r)
{
	return r->count ? (r->ram[r->count - 1].base.v + r->ram[r->count - 1].len) / PAGE : 1;
}

/* By going through them all. */
static const struct hf_ram *in_list(const struct ranges *r, uint64_t frame)
{
	for (size_t i = 0; i < r->count; i++)
		if (frame * PAGE - r->ram[i].base.v < r->ram[i].len)
			return &r->ram[i];
	return NULL;
}

/* The core and the list agree about a frame. */
static void expect_frame(const struct hf_phys *phys, const struct ranges *r, uint64_t frame)
{
	const struct hf_ram *ram = in_list(r, frame);
	hf_pfn pfn = { (uint32_t)frame };
	uint64_t offset;

	assert_ptr_equal(hf_ram_of(phys, pfn), ram);
	if (!ram) {
		assert_null(hf_phys_ptr(phys, hf_pfn_pa(pfn)));
		return;
	}
	offset = frame * PAGE - ram->base.v;
	assert_ptr_equal(hf_frame_at(phys, pfn), (char *)ram->meta + offset / PAGE * HF_FRAME_META);
	assert_ptr_equal(hf_frame_ptr(phys, pfn), (char *)ram->map + offset);
	assert_ptr_equal(hf_phys_ptr(phys, hf_pfn_pa(pfn)), (char *)ram->map + offset);
}

static void expect_found(struct ranges *r)
{
	struct hf_phys_config config = { .port = &quiet_port, .ram_count = r->count };
	size_t len = r->frames * PAGE, meta_len = hf_phys_meta_size(len);
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
	char *meta = mmap(NULL, meta_len, PROT_READ | PROT_WRITE, flags, -1, 0);
	struct hf_phys_stats stats;
	struct hf_phys phys;
	uint64_t seed = 7, at = 0;
	hf_pa pa;

	assert_true(map != MAP_FAILED && meta != MAP_FAILED);
	for (size_t i = 0; i < r->count; at += r->ram[i++].len) {
		r->ram[i].map = map + at;
		r->ram[i].meta = meta + hf_phys_meta_size(at);
	}
	config.ram = r->ram;
	OK(hf_phys_init(&phys, &config));
	for (size_t i = 0; i < r->count; i++) {
		uint64_t first = r->ram[i].base.v / PAGE, frames = r->ram[i].len / PAGE;

		expect_frame(&phys, r, first - 1);
		expect_frame(&phys, r, first);
		expect_frame(&phys, r, first + next_random(&seed) % frames);
		expect_frame(&phys, r, first + frames - 1);
		expect_frame(&phys, r, first + frames);
	}
	for (unsigned i = 0; i < 500; i++)
		expect_frame(&phys, r, next_random(&seed) % TOP_FRAME);
	expect_frame(&phys, r, 0);
	expect_frame(&phys, r, TOP_FRAME);

	/* What that takes: nothing of one range, less than a frame for each of several. */
	hf_phys_stats(&phys, &stats);
	SAME(stats.total_bytes, len);
	SAME(stats.free_bytes, len - (1 + phys.index_frames + phys.spares) * PAGE);
	assert_true(phys.index_frames < r->count);
	pa = hf_pfn_pa((hf_pfn){ (uint32_t)(end_of(r) - 1) });
	GIVES(HF_ERR_INVAL, hf_phys_free(&phys, pa, 0));
	if (r->frames < MIB / 4)
		CHECK(&phys);
	OK(hf_phys_fini(&phys));
	munmap(map, len);
	munmap(meta, meta_len);
	free(r->ram);
	*r = (struct ranges){ 0 };
}

static void one_range(void **state)
{
	struct ranges r = { 0 };

	(void)state;
	add(&r, 1, 1);
	expect_found(&r);
	add(&r, 3, 1000);
	expect_found(&r);
	add(&r, TOP_FRAME - 5, 5);
	expect_found(&r);
}

static void ranges_that_touch(void **state)
{
	struct ranges r = { 0 };

	(void)state;
	add(&r, 5, 1);
	add(&r, 6, 1);
	expect_found(&r);
	/* The border is at no round number, whatever is asked for: the longest way there is. */
	add(&r, 1, 0x5555);
	add(&r, 0x5556, 0xffff);
	add(&r, 0x15555, 1);
	expect_found(&r);
	for (unsigned i = 0; i < 4096; i++)
		add(&r, end_of(&r), 1);
	expect_found(&r);
	for (unsigned i = 0; i < 300; i++)
		add(&r, end_of(&r), i % 7 + 1);
	expect_found(&r);
}

/* As far from each other as they can be. */
static void ranges_far_apart(void **state)
{
	struct ranges r = { 0 };

	(void)state;
	add(&r, 1, 1);
	add(&r, TOP_FRAME - 1, 1);
	expect_found(&r);
	for (uint64_t i = 0; i < 5000; i++)
		add(&r, 1 + i * ((TOP_FRAME - 2) / 5000), 1);
	expect_found(&r);
	/* Each twice as far as all before. */
	for (unsigned shift = 2; shift < 32; shift++)
		add(&r, (uint64_t)1 << shift, shift % 3 + 1);
	expect_found(&r);
	/* Two crowds. */
	for (unsigned i = 0; i < 200; i++)
		add(&r, 1 + 3 * i, 2);
	for (unsigned i = 0; i < 200; i++)
		add(&r, TOP_FRAME - 2000 + 3 * i, 2);
	expect_found(&r);
}

/* Lengths and gaps of every magnitude. */
static void ranges_at_random(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		size_t most = (size_t)1 << next_random(&seed) % 11;
		unsigned gap_bits = next_random(&seed) % 20 + 1, len_bits = next_random(&seed) % 8;
		struct ranges r = { 0 };

		while (r.count < most) {
			uint64_t gap =
				next_random(&seed) % ((uint64_t)1 << next_random(&seed) % gap_bits);
			uint64_t len = next_random(&seed) % ((uint64_t)1 << len_bits) + 1;

			if (end_of(&r) + gap + len > TOP_FRAME)
				break;
			add(&r, end_of(&r) + gap, len);
		}
		expect_found(&r);
	}
}

/* What memory in many ranges is for. */
static void spaces_in_a_thousand_ranges(void **state)
{
	enum {
		COUNT_ = 1000,
		LEN = 3
	};
	struct range ranges[COUNT_];
	struct memory *m;
	struct hf_mm *mm, *child;
	hf_va va;

	(void)state;
	for (unsigned i = 0; i < COUNT_; i++)
		ranges[i] = (struct range){ (i * 5 + 1) * PAGE, LEN * PAGE };
	m = memory_new(ranges, COUNT_, &quiet_port, NULL, 0);
	mm = space_new(m);
	va = map(mm, 1500 * PAGE);
	for (unsigned i = 0; i < 1500; i++)
		put(mm, va + i * PAGE, i);
	child = space_fork(mm, HF_FORK_COPY);
	for (unsigned i = 0; i < 1500; i += 3)
		put(child, va + i * PAGE, i + 7);
	for (unsigned i = 0; i < 1500; i++) {
		SAME(get(mm, va + i * PAGE), i);
		SAME(get(child, va + i * PAGE), i % 3 ? i : i + 7);
	}
	CHECK(&m->phys);
	space_end(mm);
	space_end(child);
	memory_end(m);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_range),
		cmocka_unit_test(ranges_that_touch),
		cmocka_unit_test(ranges_far_apart),
		cmocka_unit_test(ranges_at_random),
		cmocka_unit_test(spaces_in_a_thousand_ranges),
	};

	return RUN(tests, argc, argv);
}
