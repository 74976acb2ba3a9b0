// SPDX-License-Identifier: GPL-2.0

//! Counts that each CPU adds to by itself.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use crate::{
    alloc::{
        AllocError,
        Flags, //
    },
    bindings,
    ffi::c_ulong, //
};
use core::ptr::NonNull;

/// A count with a part for each CPU.
///
/// CPUs that add to it do not wait for each other, as they would with an atomic integer. The sum
/// takes longer, the more CPUs there are; it is exact once nobody adds any more. On 32-bit, each
/// part wraps at 2^32, and the sum shrinks then.
///
/// # Invariants
///
/// The pointer is to an `unsigned long` for each CPU, which this type owns.
///
/// # Examples
///
/// ```
/// use kernel::percpu_count::PercpuCount;
///
/// let count = PercpuCount::new(GFP_KERNEL)?;
/// count.inc();
/// count.inc();
/// assert_eq!(count.sum(), 2);
/// # Ok::<(), Error>(())
/// ```
pub struct PercpuCount(NonNull<c_ulong>);

// SAFETY: Nothing depends on the CPU or the thread that uses it.
unsafe impl Send for PercpuCount {}
// SAFETY: As above. All parts are added to by single instructions, or with interrupts disabled.
unsafe impl Sync for PercpuCount {}

impl PercpuCount {
    /// Returns a count that is zero. May sleep, as `flags` say. Fails with [`AllocError`].
    #[doc(alias = "alloc_percpu_gfp")]
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        // SAFETY: It may be called in any context that `flags` are for.
        let count = unsafe { bindings::alloc_percpu_count(flags.as_raw()) };

        // INVARIANT: It has just been allocated.
        NonNull::new(count).map(Self).ok_or(AllocError)
    }

    /// Adds one. Not for NMI context.
    #[doc(alias = "this_cpu_inc")]
    #[inline]
    pub fn inc(&self) {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { bindings::percpu_count_inc(self.as_ptr()) };
    }

    /// Returns the sum of all parts, each as it was at some time during the call.
    #[inline]
    pub fn sum(&self) -> u64 {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { bindings::percpu_count_sum(self.as_ptr()) }
    }

    /// Returns an `unsigned long __percpu *`, for C to add to with `this_cpu_inc()`.
    #[inline]
    pub fn as_ptr(&self) -> *mut c_ulong {
        self.0.as_ptr()
    }
}

impl Drop for PercpuCount {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this type owns it.
        unsafe { bindings::free_percpu(self.0.as_ptr().cast()) };
    }
}
