// SPDX-License-Identifier: GPL-2.0

//! The system calls that are written in Rust.
//!
//! They are safe to call with any value: if one of them can harm its caller, that is a kernel bug.

use crate::sys::check;
use crate::sys::Result;
use crate::syscall;

/// Their numbers: the same in both ABIs, except those that `CONFIG_X86_HANDOUT_SYSCALL_NRS` moves.
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

    /// Returns all of them.
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

    /// Returns whether the kernel has `CONFIG_X86_HANDOUT_SYSCALL_NRS`.
    pub fn handout() -> bool {
        const UNKNOWN: u8 = 2;
        static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);

        if ANSWER.load(Ordering::Relaxed) == UNKNOWN {
            ANSWER.store(ask().into(), Ordering::Relaxed);
        }
        ANSWER.load(Ordering::Relaxed) == 1
    }

    /// Makes a call that does nothing, and tells by its error which of two calls it is.
    fn ask() -> bool {
        if X86_64 {
            // xxxhal() cannot read at this address; for pkey_mprotect(), it is not page-aligned.
            // SAFETY: Neither call does anything.
            let result = check(unsafe { syscall!(329, 1, 0, 0, 0) });
            result == Err(EFAULT)
        } else {
            // pf_get_info() has nowhere to write, and logs nothing for a name of this length.
            // rseq() cannot write there, or does not exist.
            // SAFETY: Neither call does anything.
            let result = check(unsafe { syscall!(386, -4096isize, 32, 0, 0) });
            result != Err(EFAULT) && result != Err(ENOSYS)
        }
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
    // SAFETY: The kernel only reads memory.
    check(unsafe { syscall!(nr::xxxhal(), msg) })
}

/// Tracks all processes with the name at the address `name`.
pub fn pf_set_param(name: usize, len: usize) -> Result {
    // SAFETY: The kernel only reads memory.
    check(unsafe { syscall!(nr::pf_set_param(), name, len) })
}

/// Reports on the processes with a name, in the `struct pf_stat` at the address `pf`.
///
/// # Safety
///
/// At that address, there must be a C's `struct pf_stat`, or memory that the kernel
/// cannot write.
pub unsafe fn pf_get_info(name: usize, len: usize, pf: usize) -> Result {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::pf_get_info(), name, len, pf) })
}

/// Forgets all names.
pub fn pf_cleanup() -> Result {
    // SAFETY: No memory is involved.
    check(unsafe { syscall!(nr::pf_cleanup()) })
}
