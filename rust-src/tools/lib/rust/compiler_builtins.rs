// SPDX-License-Identifier: GPL-2.0

//! Functions that the compiler calls implicitly.
//!
//! These are what `libgcc` and the `mem*` family of libc are to C. Only those that programs need
//! are here; a missing one causes a link error.

#![allow(internal_features)]
#![feature(compiler_builtins)]
#![compiler_builtins]
#![no_builtins]
#![no_std]

use core::arch::asm;

/// C's `memcpy()`.
///
/// # Safety
///
/// As in C.
#[no_mangle]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: The caller guarantees that both areas have `len` bytes. `rep movs` takes its operands
    // in registers that inline assembly cannot name on i386, hence the `xchg`.
    #[cfg(target_arch = "x86")]
    unsafe {
        asm!("xchg esi, {from}", "rep movsb", "xchg esi, {from}", from = inout(reg) from => _,
            inout("edi") to => _, inout("ecx") len => _, options(nostack, preserves_flags));
    }
    // SAFETY: As above.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("rep movsb", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") len => _,
            options(nostack, preserves_flags));
    }
    to
}

/// C's `memmove()`.
///
/// # Safety
///
/// As in C.
#[no_mangle]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: Copying upwards overwrites no byte that has not been read yet.
        return unsafe { memcpy(to, from, len) };
    }
    for i in (0..len).rev() {
        // SAFETY: The caller guarantees that both areas have `len` bytes.
        unsafe { *to.add(i) = *from.add(i) };
    }
    to
}

/// C's `memset()`.
///
/// # Safety
///
/// As in C.
#[no_mangle]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    for i in 0..len {
        // SAFETY: The caller guarantees that the area has `len` bytes.
        unsafe { *to.add(i) = byte as u8 };
    }
    to
}

/// C's `memcmp()`.
///
/// # Safety
///
/// As in C.
#[no_mangle]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for i in 0..len {
        // SAFETY: The caller guarantees that both areas have `len` bytes.
        let (x, y) = unsafe { (*a.add(i), *b.add(i)) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// `memcmp()` for callers that only need to know whether the areas are equal.
///
/// # Safety
///
/// As for `memcmp()`.
#[no_mangle]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: The caller guarantees what `memcmp()` requires.
    unsafe { memcmp(a, b, len) }
}

/// C's `strlen()`.
///
/// # Safety
///
/// As in C.
#[no_mangle]
pub unsafe extern "C" fn strlen(string: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: The caller guarantees that there is a NUL, and no byte after it is read.
    while unsafe { *string.add(len) } != 0 {
        len += 1;
    }
    len
}

/// Returns the quotient and remainder of two 64-bit numbers on a 32-bit machine, bit by bit.
#[cfg(target_arch = "x86")]
fn div_rem(n: u64, d: u64) -> (u64, u64) {
    let (mut quotient, mut rest) = (0, 0u64);
    for bit in (0..64).rev() {
        let carry = rest >> 63;
        rest = rest << 1 | (n >> bit & 1);
        if carry != 0 || rest >= d {
            rest = rest.wrapping_sub(d);
            quotient |= 1 << bit;
        }
    }
    (quotient, rest)
}

/// 64-bit division on a 32-bit machine.
#[cfg(target_arch = "x86")]
#[no_mangle]
pub extern "C" fn __udivdi3(n: u64, d: u64) -> u64 {
    div_rem(n, d).0
}

/// 64-bit remainder on a 32-bit machine.
#[cfg(target_arch = "x86")]
#[no_mangle]
pub extern "C" fn __umoddi3(n: u64, d: u64) -> u64 {
    div_rem(n, d).1
}
