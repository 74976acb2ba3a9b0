// SPDX-License-Identifier: GPL-2.0

//! Per-CPU counts.
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
/// CPUs that increment it do not contend for a cache line, as they would with an atomic integer.
/// Summing up takes longer the more CPUs there are. The sum is exact once nobody increments any
/// part. On 32-bit, each part wraps at 2^32, and the sum then shrinks.
///
/// # Invariants
///
/// The pointer is to an `unsigned long` per CPU, which this type owns.
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

// SAFETY: Nothing depends on the CPU or the thread that uses the count.
unsafe impl Send for PercpuCount {}
// SAFETY: As above. Parts are incremented by single instructions, or with interrupts disabled.
unsafe impl Sync for PercpuCount {}

impl PercpuCount {
    /// Creates a count of zero. May sleep, depending on `flags`. Fails with [`AllocError`].
    #[doc(alias = "alloc_percpu_gfp")]
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        // SAFETY: This may be called in any context that `flags` allow.
        let count = unsafe { bindings::alloc_percpu_count(flags.as_raw()) };

        // INVARIANT: The memory has just been allocated.
        NonNull::new(count).map(Self).ok_or(AllocError)
    }

    /// Adds one. Must not be called in NMI context.
    #[doc(alias = "this_cpu_inc")]
    #[inline]
    pub fn inc(&self) {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { bindings::percpu_count_inc(self.as_ptr()) };
    }

    /// Returns the sum of all parts, each as it was at some point during the call.
    #[inline]
    pub fn sum(&self) -> u64 {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { bindings::percpu_count_sum(self.as_ptr()) }
    }

    /// Returns an `unsigned long __percpu *`, which C can increment with `this_cpu_inc()`.
    #[inline]
    pub fn as_ptr(&self) -> *mut c_ulong {
        self.0.as_ptr()
    }
}

impl Drop for PercpuCount {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, this type owns the memory.
        unsafe { bindings::free_percpu(self.0.as_ptr().cast()) };
    }
}
