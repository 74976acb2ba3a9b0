// SPDX-License-Identifier: GPL-2.0

//! The first level on i386: entry, `int 0x80` and `clone()`.

use core::arch::global_asm;

/// Makes a system call. Returns the kernel's return register.
///
/// # Safety
///
/// The call can do anything to the memory of the process. The caller must guarantee that it is
/// safe.
pub unsafe fn syscall(nr: usize, args: [usize; 6]) -> isize {
    extern "C" {
        fn int_0x80(nr: usize, args: &[usize; 6]) -> isize;
    }

    // SAFETY: `int_0x80` follows the C calling convention. The caller is responsible for memory.
    unsafe { int_0x80(nr, &args) }
}

// The arguments need esi and ebp, which the compiler reserves: inline assembly cannot use them.
global_asm!(
    ".globl int_0x80",
    "int_0x80:",
    "push ebp",
    "push edi",
    "push esi",
    "push ebx",
    "mov eax, [esp + 20]",
    "mov edx, [esp + 24]",
    "mov ebx, [edx]",
    "mov ecx, [edx + 4]",
    "mov esi, [edx + 12]",
    "mov edi, [edx + 16]",
    "mov ebp, [edx + 20]",
    "mov edx, [edx + 8]",
    "int 0x80",
    "pop ebx",
    "pop esi",
    "pop edi",
    "pop ebp",
    "ret",
);

// The kernel starts a program with its data on the stack: argc, argv, envp.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov eax, esp",
    "and esp, -16",
    "sub esp, 12",
    "push eax",
    "call {start}",
    "ud2",
    start = sym crate::start,
);

// thread_clone(flags, stack, tid): the child finds its function and its argument on the new stack,
// the argument exactly where C expects it.
global_asm!(
    ".globl thread_clone",
    "thread_clone:",
    "push edi",
    "push esi",
    "push ebx",
    "mov ebx, [esp + 16]",
    "mov ecx, [esp + 20]",
    "mov edx, [esp + 24]",
    "mov edi, edx",
    "xor esi, esi",
    "mov eax, 120",
    "int 0x80",
    "test eax, eax",
    "jz 2f",
    "pop ebx",
    "pop esi",
    "pop edi",
    "ret",
    "2:",
    "xor ebp, ebp",
    "pop edx",
    "call edx",
    "ud2",
);
