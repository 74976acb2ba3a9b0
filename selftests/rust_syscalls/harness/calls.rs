// SPDX-License-Identifier: GPL-2.0

//! The system calls that are tested here.
//!
//! They are safe to call with any value: a kernel that lets one of them hurt its caller is what the
//! tests are to find.

use crate::skip;
use crate::sys::check;
use crate::sys::Result;
use crate::sys::ENOSYS;
use crate::syscall;

/// Their numbers, the same in both ABIs.
pub mod nr {
    /// `hello`
    pub const HELLO: usize = 548;
    /// `make_vcpu`
    pub const MAKE_VCPU: usize = 549;
    /// `xxxhal`
    pub const XXXHAL: usize = 553;
}

/// Skips the test when the kernel is configured without a call: the result of a first one tells.
pub fn need(name: &str, first: Result) {
    if first == Err(ENOSYS) {
        skip!("this kernel has no {name}()");
    }
}

/// Logs a greeting with `i`.
pub fn hello(i: usize) -> Result {
    // SAFETY: No memory is involved.
    check(unsafe { syscall!(nr::HELLO, i) })
}

/// Marks all threads of the process that `pid` belongs to.
pub fn make_vcpu(pid: i32) -> Result {
    // SAFETY: No memory is involved.
    check(unsafe { syscall!(nr::MAKE_VCPU, pid) })
}

/// Logs the string at the address `msg`.
pub fn xxxhal(msg: usize) -> Result {
    // SAFETY: The kernel only reads.
    check(unsafe { syscall!(nr::XXXHAL, msg) })
}
