// SPDX-License-Identifier: GPL-2.0

//! `greet()`: what it writes, and where it does not.

#![no_std]
#![no_main]

use harness::*;

const GREET: usize = 554;
const ERANGE: Errno = Errno(34);

/// Writes the greeting to the `len` bytes at the address `buf`.
fn greet(buf: usize, len: usize) -> sys::Result {
    // SAFETY: It is the kernel's job to write there, and nowhere else.
    sys::check(unsafe { syscall!(GREET, buf, len) })
}

tests! {
    setup {
        calls::need("greet", greet(0, 0));
        sys::set_name(c"student").unwrap();
    }

    fn greets_by_name() {
        let mut buf = [b'.'; 20];
        expect_eq!(greet(buf.as_mut_ptr() as usize, buf.len()), Ok(15));
        expect_eq!(&buf, b"Hello, student!.....");
    }

    /// Not a byte more than it says, nor one when there is one too few.
    fn keeps_to_the_length() {
        let mut buf = [b'.'; 15];
        expect_eq!(greet(buf.as_mut_ptr() as usize, 14), Err(ERANGE));
        expect_eq!(&buf, b"...............");
        expect_eq!(greet(buf.as_mut_ptr() as usize, 15), Ok(15));
        expect_eq!(&buf, b"Hello, student!");
    }

    fn cannot_write_where_nobody_can() {
        let edge = Mapping::with_guard(1).unwrap();
        for buf in [0, edge.end(), edge.end() - 14, usize::MAX] {
            expect_eq!(greet(buf, 100), Err(sys::EFAULT), "{buf:#x}");
        }
    }
}
