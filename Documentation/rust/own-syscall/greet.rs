// SPDX-License-Identifier: GPL-2.0

//! A system call to start from.
//!
//! Documentation: Documentation/rust/own-syscall.rst

use kernel::{
    prelude::*,
    syscall::User,
    uaccess::UserSlice, //
};

/// Greets the calling thread by its name.
///
/// Writes `Hello, NAME!`, without a NUL, to the `len` bytes at `buf`. Returns how many bytes these
/// are, or
///
/// - `ERANGE`: `len` is less than that. Nothing is written.
/// - `EFAULT`: `buf` cannot be written.
#[syscall]
fn greet(buf: User<*mut c_char>, len: usize) -> Result<usize> {
    let name = current!().comm();
    let parts = [&b"Hello, "[..], name.to_bytes(), b"!"];
    let total = parts.iter().map(|part| part.len()).sum();
    if len < total {
        return Err(ERANGE);
    }

    let mut writer = UserSlice::new(buf.as_user_ptr(), total).writer();
    for part in parts {
        writer.write_slice(part)?;
    }
    Ok(total)
}
