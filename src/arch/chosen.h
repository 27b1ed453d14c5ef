/* SPDX-License-Identifier: MIT */
/*
 * Which page-table format is built in: exactly one of the macros HF_FORMAT_* below is defined where
 * the core is compiled. None is the default, so that a name which does not exist is an error, too.
 */
#ifndef HF_ARCH_CHOSEN_H
#define HF_ARCH_CHOSEN_H

/* clang-format off */
#if defined(HF_FORMAT_SVADU) || \
	defined(HF_FORMAT_X86_64) + defined(HF_FORMAT_X86_64_5) + defined(HF_FORMAT_AARCH64) + \
	defined(HF_FORMAT_SV39) + defined(HF_FORMAT_SV39_SVADU) + \
	defined(HF_FORMAT_SV48) + defined(HF_FORMAT_SV48_SVADU) + \
	defined(HF_FORMAT_SV57) + defined(HF_FORMAT_SV57_SVADU) != 1
#error "define one: HF_FORMAT_ X86_64, X86_64_5, AARCH64, SV39, SV48, SV57, SV39_SVADU, SV48_SVADU, SV57_SVADU"
#endif
/* clang-format on */

/* The processor. */
#if defined(HF_FORMAT_X86_64) || defined(HF_FORMAT_X86_64_5)
#define HF_ARCH_X86_64
#elif defined(HF_FORMAT_AARCH64)
#define HF_ARCH_AARCH64
#else
#define HF_ARCH_RISCV64
#endif

/* Tables on the way to a small page. */
#if defined(HF_FORMAT_SV39) || defined(HF_FORMAT_SV39_SVADU)
#define HF_ARCH_LEVELS 3
#elif defined(HF_FORMAT_X86_64_5) || defined(HF_FORMAT_SV57) || defined(HF_FORMAT_SV57_SVADU)
#define HF_ARCH_LEVELS 5
#else
#define HF_ARCH_LEVELS 4
#endif

/* RISC-V: the hardware marks pages accessed and dirty. */
#if defined(HF_FORMAT_SV39_SVADU) || defined(HF_FORMAT_SV48_SVADU) || defined(HF_FORMAT_SV57_SVADU)
#define HF_ARCH_SVADU 1
#else
#define HF_ARCH_SVADU 0
#endif

#endif
