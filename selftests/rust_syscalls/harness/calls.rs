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
    /// `pf_set_param`
    pub const PF_SET_PARAM: usize = 550;
    /// `pf_get_info`
    pub const PF_GET_INFO: usize = 551;
    /// `pf_cleanup`
    pub const PF_CLEANUP: usize = 552;
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

/// Tracks all processes of the name at the address `name`.
pub fn pf_set_param(name: usize, len: usize) -> Result {
    // SAFETY: The kernel only reads.
    check(unsafe { syscall!(nr::PF_SET_PARAM, name, len) })
}

/// Reports on the processes of a name, into the `struct pf_stat` at the address `pf`.
///
/// # Safety
///
/// Nothing but a [`cow::Stat`](crate::cow::Stat) may be there, or what the kernel cannot write to.
pub unsafe fn pf_get_info(name: usize, len: usize, pf: usize) -> Result {
    // SAFETY: As the caller promises.
    check(unsafe { syscall!(nr::PF_GET_INFO, name, len, pf) })
}

/// Forgets all names.
pub fn pf_cleanup() -> Result {
    // SAFETY: No memory is involved.
    check(unsafe { syscall!(nr::PF_CLEANUP) })
}
