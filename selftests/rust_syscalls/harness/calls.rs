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

/// Their numbers: the same in both ABIs, but for those that `CONFIG_X86_HANDOUT_SYSCALL_NRS` moves.
pub mod nr {
    use crate::sys::check;
    use crate::sys::EFAULT;
    use crate::sys::ENOSYS;
    use crate::syscall;
    use core::sync::atomic::AtomicU8;
    use core::sync::atomic::Ordering;

    const X86_64: bool = cfg!(target_arch = "x86_64");

    /// `hello`
    pub const HELLO: usize = 548;

    /// `make_vcpu`
    pub fn make_vcpu() -> usize {
        if X86_64 && handout() {
            333
        } else {
            549
        }
    }

    /// `pf_set_param`
    pub fn pf_set_param() -> usize {
        if !X86_64 && handout() {
            385
        } else {
            550
        }
    }

    /// `pf_get_info`
    pub fn pf_get_info() -> usize {
        if !X86_64 && handout() {
            386
        } else {
            551
        }
    }

    /// `pf_cleanup`
    pub fn pf_cleanup() -> usize {
        if !X86_64 && handout() {
            387
        } else {
            552
        }
    }

    /// `xxxhal`
    pub fn xxxhal() -> usize {
        if X86_64 && handout() {
            329
        } else {
            553
        }
    }

    /// All of them.
    pub fn all() -> [usize; 6] {
        [
            HELLO,
            make_vcpu(),
            pf_set_param(),
            pf_get_info(),
            pf_cleanup(),
            xxxhal(),
        ]
    }

    /// Whether the kernel has `CONFIG_X86_HANDOUT_SYSCALL_NRS`.
    pub fn handout() -> bool {
        const UNKNOWN: u8 = 2;
        static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);

        if ANSWER.load(Ordering::Relaxed) == UNKNOWN {
            ANSWER.store(ask().into(), Ordering::Relaxed);
        }
        ANSWER.load(Ordering::Relaxed) == 1
    }

    /// Makes a call that does nothing, whichever of two it is, and looks at how it fails.
    fn ask() -> bool {
        if X86_64 {
            // xxxhal() cannot read there; to pkey_mprotect(), that is no page's address.
            // SAFETY: Neither does anything.
            let result = check(unsafe { syscall!(329, 1, 0, 0, 0) });
            result == Err(EFAULT)
        } else {
            // pf_get_info() has nowhere to write to, and leaves no line in the log when the name
            // has this length. rseq() cannot write there, or does not exist.
            // SAFETY: Neither does anything.
            let result = check(unsafe { syscall!(386, -4096isize, 32, 0, 0) });
            result != Err(EFAULT) && result != Err(ENOSYS)
        }
    }
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
    check(unsafe { syscall!(nr::make_vcpu(), pid) })
}

/// Logs the string at the address `msg`.
pub fn xxxhal(msg: usize) -> Result {
    // SAFETY: The kernel only reads.
    check(unsafe { syscall!(nr::xxxhal(), msg) })
}

/// Tracks all processes of the name at the address `name`.
pub fn pf_set_param(name: usize, len: usize) -> Result {
    // SAFETY: The kernel only reads.
    check(unsafe { syscall!(nr::pf_set_param(), name, len) })
}

/// Reports on the processes of a name, into the `struct pf_stat` at the address `pf`.
///
/// # Safety
///
/// Nothing but a [`cow::Stat`](crate::cow::Stat) may be there, or what the kernel cannot write to.
pub unsafe fn pf_get_info(name: usize, len: usize, pf: usize) -> Result {
    // SAFETY: As the caller promises.
    check(unsafe { syscall!(nr::pf_get_info(), name, len, pf) })
}

/// Forgets all names.
pub fn pf_cleanup() -> Result {
    // SAFETY: No memory is involved.
    check(unsafe { syscall!(nr::pf_cleanup()) })
}
