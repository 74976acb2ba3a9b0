// SPDX-License-Identifier: GPL-2.0

//! The first level on x86-64: entry, the `syscall` instruction and `clone()`.

use core::arch::asm;
use core::arch::global_asm;

/// Makes a system call. Returns the kernel's return register.
///
/// # Safety
///
/// The call can do anything to the memory of the process. The caller must guarantee that it is
/// safe.
pub unsafe fn syscall(nr: usize, args: [usize; 6]) -> isize {
    let ret;
    // SAFETY: The kernel preserves all registers except those listed. The caller is responsible for
    // memory.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

/// Makes a system call of the IA32 emulation from a 64-bit program. The first argument is wider
/// than that emulation takes.
///
/// # Safety
///
/// As for [`syscall`]. Without IA32 emulation, this causes a segmentation fault.
pub unsafe fn int_0x80(nr: usize, arg: usize) -> isize {
    let ret: isize;
    // SAFETY: This restores rbx, which the compiler reserves. The caller is responsible for memory.
    unsafe {
        asm!(
            "xchg rbx, {arg}",
            "int 0x80",
            "xchg rbx, {arg}",
            arg = inout(reg) arg => _,
            inlateout("rax") nr => ret,
            in("rcx") 0,
            in("rdx") 0,
            in("rsi") 0,
            in("rdi") 0,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

// The kernel starts a program with its data on the stack: argc, argv, envp.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym crate::start,
);

// thread_clone(flags, stack, tid): the child finds its function and its argument on the new stack.
global_asm!(
    ".globl thread_clone",
    "thread_clone:",
    "mov r10, rdx",
    "mov eax, 56",
    "syscall",
    "test rax, rax",
    "jz 2f",
    "ret",
    "2:",
    "xor ebp, ebp",
    "pop rax",
    "mov rdi, [rsp]",
    "call rax",
    "ud2",
);
