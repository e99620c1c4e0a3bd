// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The integer types and the register frame that BCC's own headers and our programs need. Together with
// its neighbours this replaces the kernel's header tree, so that no header package has to be installed.
#pragma once
typedef unsigned char u8, __u8;
typedef unsigned short u16, __u16;
typedef unsigned int u32, __u32;
typedef unsigned long long u64, __u64;
typedef signed char s8, __s8;
typedef short s16, __s16;
typedef int s32, __s32;
typedef long long s64, __s64;
typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;
#define __aligned_u64 __u64 __attribute__((aligned(8)))
typedef _Bool bool;
typedef __SIZE_TYPE__ size_t;
typedef unsigned long uintptr_t;
typedef int pid_t;
#define true 1
#define false 0
#define NULL ((void *)0)
// x86-64, arch/x86/include/asm/ptrace.h
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
