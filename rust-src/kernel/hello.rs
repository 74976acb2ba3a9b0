// SPDX-License-Identifier: GPL-2.0

//! Two system calls that log what they are given: the smallest there can be, in Rust.
//!
//! Documentation: Documentation/userspace-api/hello.rst

use kernel::{
    prelude::*,
    printk,
    ratelimit::user_may_log,
    str::Escaped,
    syscall::User,
    uaccess::UserSlice, //
};

/// The longest line that `hello` logs, in bytes.
const GREETING_MAX: usize = 60;

/// Logs a greeting with its argument, as a signed number.
///
/// Returns 0.
#[syscall]
fn hello(i: c_ulong) -> Result {
    if user_may_log(GREETING_MAX) {
        greet(i as c_long);
    }
    Ok(())
}

/// Not inlined: memory on the stack, which formatting takes, is for those who get here.
#[inline(never)]
fn greet(i: c_long) {
    printk!(Alert, "Hello World, i'm sys_hello with arg: {i}\n");
}

/// The longest string that `xxxhal` takes, its NUL included.
const MESSAGE_MAX: usize = 256;
/// The longest line in characters, well below what the log keeps of one.
const LINE_MAX: usize = 1000;
/// What is before the message in the line.
const PREFIX: &str = "xxxhal syscall called with \"";

/// Logs the string at `msg`, in quotation marks.
///
/// What could forge or hide a line of the log is escaped; see [`Escaped`]. A line that would grow
/// beyond [`LINE_MAX`] by that ends in `…`.
///
/// Returns 0, or `EFAULT` when `msg` cannot be read up to its NUL or is longer than
/// [`MESSAGE_MAX`]; then nothing is logged.
#[syscall]
fn xxxhal(msg: User<*const c_char>) -> Result {
    // Room for one byte more than is read, which makes a string that has no NUL there an error.
    let mut buf = [0; MESSAGE_MAX + 1];
    let len = UserSlice::new(msg.as_user_ptr(), MESSAGE_MAX)
        .reader()
        .strcpy_into_buf(&mut buf)?
        .count_bytes();

    // Each byte may have to be escaped.
    if user_may_log((PREFIX.len() + 4 * len).min(LINE_MAX)) {
        repeat(&mut buf, len);
    }
    Ok(())
}

/// Not inlined, as above.
#[inline(never)]
fn repeat(buf: &mut [u8; MESSAGE_MAX + 1], len: usize) {
    // The closing quotation mark takes the place of the NUL, and is cut off with the rest.
    buf[len] = b'"';
    printk!(
        Info,
        "{PREFIX}{}\n",
        Escaped::new(&buf[..=len]).truncate(LINE_MAX - PREFIX.len())
    );
}
