# SPDX-License-Identifier: MIT
# Thin: meson builds, scripts/ does the rest. Each target sees to what it needs by itself.

DIR =
ARGS =
QUICK =
SECONDS =
PREFIX = /usr/local
export PREFIX

.PHONY: help run check check-long check-formats check-cross model explore stress mutants bench bench-count docs install \
	amalgamation format clean

help:
	@echo 'make run        fork a heap that devices write into, beside fork(2)'
	@echo '                  DIR=/some/files  what to read (default: holdfast chooses)'
	@echo '                  ARGS="..."       more options; see build/holdfast run --help'
	@echo 'make check      the tests, with gcc, clang and the sanitizers; ten minutes on two CPUs'
	@echo '                  QUICK=1          between two edits: with gcc, in 90 seconds'
	@echo '                  ARGS="..."       a part of it; see scripts/check --help'
	@echo 'make check-long  with all that is slow, and every mutant'
	@echo 'make check-cross  the core and the soft port as AArch64 and RISC-V programs, in QEMU'
	@echo 'make check-formats  every test on every page-table format'
	@echo 'make model      5,000,000 random operations on each page-table format, against a model'
	@echo '                  ARGS="..."       fewer, or one format; see scripts/model --help'
	@echo 'make stress     everything at once, by several threads, on both ports, with sanitizers, too'
	@echo '                  SECONDS=60       of each of the six runs'
	@echo '                  ARGS="..."       a part of it; see scripts/stress --help'
	@echo 'make explore    every interleaving of a few calls, on simulated CPUs; hours'
	@echo '                  ARGS="NAME..."   a part; build/holdfast-explore --list names all'
	@echo 'make mutants    take every protecting rule out in turn; a test must notice'
	@echo '                  ARGS="--only NAME"; see scripts/mutants --help'
	@echo 'make bench      measure Holdfast, Linux and the floor: build/bench.json, plots'
	@echo '                  QUICK=1          within 3 minutes'
	@echo '                  ARGS="..."       a part of it; see scripts/bench --help'
	@echo 'make bench-count  instructions per operation, the same on a busy machine'
	@echo 'make docs       man pages of every call in build/docs, checked'
	@echo 'make amalgamation  the core as one file: build/holdfast.c, build/holdfast.h'
	@echo 'make install    under PREFIX (now $(PREFIX)), below DESTDIR if set'
	@echo 'make format     lay the sources out with clang-format'
	@echo 'make clean      remove build/'

run:
	@scripts/bootstrap run scripts/build run holdfast
	@build/holdfast run $(ARGS) $(DIR)

check:
	@scripts/bootstrap check scripts/check $(if $(QUICK),--quick) $(ARGS)

check-long:
	@scripts/bootstrap check scripts/check --long $(ARGS)

check-formats:
	@scripts/bootstrap check scripts/check --stage all-formats $(ARGS)

check-cross:
	@scripts/bootstrap cross scripts/check --stage aarch64 --stage aarch64-16k \
		--stage riscv64 $(ARGS)

model:
	@scripts/bootstrap check scripts/model $(ARGS)

stress:
	@scripts/bootstrap check scripts/stress $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

explore:
	@scripts/bootstrap run scripts/build run holdfast-explore holdfast-explore-sv39 \
		holdfast-explore-aarch64
	@scripts/explore --all $(ARGS)

mutants:
	@scripts/bootstrap check scripts/mutants $(ARGS)

bench:
	@scripts/bootstrap bench scripts/build run benchmarks
	@scripts/bootstrap bench scripts/bench $(if $(QUICK),--quick) $(ARGS)

bench-count:
	@scripts/bootstrap count scripts/build run benchmarks
	@scripts/bootstrap count scripts/bench-count

docs:
	@scripts/bootstrap docs scripts/docs

install:
	@scripts/bootstrap install scripts/build run
	@scripts/bootstrap install scripts/docs --no-lint
	@scripts/bootstrap install meson install -C build --no-rebuild

amalgamation:
	@scripts/bootstrap run scripts/amalgamate

format:
	@scripts/bootstrap check scripts/build gcc clang-format

clean:
	rm -rf build
