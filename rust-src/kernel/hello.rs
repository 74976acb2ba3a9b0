// SPDX-License-Identifier: GPL-2.0

//! Two system calls that log their arguments: the smallest possible examples in Rust.
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

/// The maximum length of the line that `hello` logs, in bytes.
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

/// Not inlined, so that only calls that get here use the stack space that formatting takes.
#[inline(never)]
fn greet(i: c_long) {
    printk!(Alert, "Hello World, i'm sys_hello with arg: {i}\n");
}

/// The maximum length of the string that `xxxhal` takes, including the NUL.
const MESSAGE_MAX: usize = 256;
/// The maximum length of the line in characters, well below the longest line that the log keeps.
const LINE_MAX: usize = 1000;
/// The start of the line, before the message.
const PREFIX: &str = "xxxhal syscall called with \"";

/// Logs the string at `msg` in quotation marks.
///
/// Escapes everything that could forge or hide a line of the log, see [`Escaped`]. If this makes
/// the line longer than [`LINE_MAX`], it is cut and ends in `…`.
///
/// Returns 0. Returns `EFAULT` without logging anything if `msg` cannot be read up to its NUL, or
/// is longer than [`MESSAGE_MAX`].
#[syscall]
fn xxxhal(msg: User<CStr>) -> Result {
    // One byte more than is read, so that a string without a NUL in the part that is read is an
    // error.
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
    // The closing quotation mark replaces the NUL. It is cut off with the rest if the line is too
    // long.
    buf[len] = b'"';
    printk!(
        Info,
        "{PREFIX}{}\n",
        Escaped::new(&buf[..=len]).truncate(LINE_MAX - PREFIX.len())
    );
}
