// SPDX-License-Identifier: GPL-2.0

//! The system calls under test.

use crate::skip;
use crate::sys::Result;
use crate::sys::ENOSYS;

pub use rt::calls::*;

/// Skips the test if `first`, the result of a first call, shows that the kernel lacks this call.
pub fn need(name: &str, first: Result) {
    if first == Err(ENOSYS) {
        skip!("this kernel has no {name}()");
    }
}
