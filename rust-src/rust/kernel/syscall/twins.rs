// SPDX-License-Identifier: GPL-2.0

//! System calls in Rust that a KUnit test compares with their twins in C.
//!
//! C header: [`rust/syscall_test/test.h`](srctree/rust/syscall_test/test.h)

use super::User;
use crate::{
    bindings,
    prelude::*, //
};

const MIN_ERRNO: i32 = -(bindings::MAX_ERRNO as i32);

/// Records the arguments of a system call, and returns its result.
fn got<const N: usize>(args: [isize; N]) -> Result<isize> {
    // SAFETY: The pointer is valid for `N` arguments.
    let value = unsafe { bindings::syscall_twin_got(args.as_ptr(), N) };

    match i32::try_from(value) {
        Ok(errno @ MIN_ERRNO..=-1) => Err(Error::from_errno(errno)),
        _ => Ok(value),
    }
}

fn addr<P: ?Sized>(ptr: User<P>) -> isize {
    ptr.as_user_ptr().as_const_ptr() as isize
}

#[syscall]
fn rust_twin_none() -> Result<isize> {
    got([])
}

#[syscall]
fn rust_twin_none_again() -> Result<isize> {
    got([])
}

#[syscall]
fn rust_twin_one(a: usize) -> Result<isize> {
    got([a as isize])
}

#[syscall]
fn rust_twin_one_again(a: usize) -> Result<isize> {
    got([a as isize])
}

#[syscall]
fn rust_twin_two(a: usize, b: usize) -> Result<isize> {
    got([a, b].map(|arg| arg as isize))
}

#[syscall]
fn rust_twin_three(a: usize, b: usize, c: usize) -> Result<isize> {
    got([a, b, c].map(|arg| arg as isize))
}

#[syscall]
fn rust_twin_four(a: usize, b: usize, c: usize, d: usize) -> Result<isize> {
    got([a, b, c, d].map(|arg| arg as isize))
}

#[syscall]
fn rust_twin_five(a: usize, b: usize, c: usize, d: usize, e: usize) -> Result<isize> {
    got([a, b, c, d, e].map(|arg| arg as isize))
}

#[syscall]
fn rust_twin_six(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> Result<isize> {
    got([a, b, c, d, e, f].map(|arg| arg as isize))
}

#[syscall]
fn rust_twin_narrow(a: i8, b: u8, c: i16, d: u16, e: i32, f: u32) -> Result<isize> {
    got([
        a as isize, b as isize, c as isize, d as isize, e as isize, f as isize,
    ])
}

#[syscall]
fn rust_twin_narrow_reversed(a: u32, b: i32, c: u16, d: i16, e: u8, f: i8) -> Result<isize> {
    got([
        a as isize, b as isize, c as isize, d as isize, e as isize, f as isize,
    ])
}

#[syscall]
fn rust_twin_wide(a: isize, b: usize) -> Result<isize> {
    got([a, b as isize])
}

#[syscall]
fn rust_twin_pointers(
    a: UserPtr,
    b: User<*const c_void>,
    c: User<*const c_char>,
    d: User<*mut c_char>,
    e: User<*const c_int>,
    f: User<*mut c_long>,
) -> Result<isize> {
    let a = a.as_const_ptr() as isize;
    got([a, addr(b), addr(c), addr(d), addr(e), addr(f)])
}

#[syscall]
fn rust_twin_string(a: i32, b: User<CStr>) -> Result<isize> {
    got([a as isize, addr(b)])
}

#[syscall]
fn rust_twin_text(a: i32, b: User<str>, c: usize) -> Result<isize> {
    got([a as isize, addr(b), c as isize])
}

// The macro has a name of its own for the first register.
#[syscall(compat = rust_twin_compat)]
fn reg0(a: i32, b: u32, c: User<*const c_char>) -> Result<isize> {
    got([a as isize, b as isize, addr(c)])
}
