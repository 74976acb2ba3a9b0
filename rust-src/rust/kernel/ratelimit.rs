// SPDX-License-Identifier: GPL-2.0

//! Rate limits.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A limit on how often something happens, for instance a log line that any user can cause.
///
/// Equivalent to C's `DEFINE_RATELIMIT_STATE`. At most `burst` calls of [`allow`] in each interval
/// return `true`. When calls were refused in an interval, the first one of the next interval logs
/// how many.
///
/// # Invariants
///
/// `state` is an initialised `struct ratelimit_state` whose interval and burst never change.
///
/// # Examples
///
/// ```
/// use kernel::ratelimit::RateLimit;
///
/// // One call every hour.
/// static LIMIT: RateLimit = RateLimit::new(c"example", 3600, 1);
///
/// assert!(LIMIT.allow());
/// assert!(!LIMIT.allow());
/// ```
///
/// [`allow`]: RateLimit::allow
pub struct RateLimit {
    state: Opaque<bindings::ratelimit_state>,
    name: &'static CStr,
}

// SAFETY: `___ratelimit()` takes the lock inside the state, so it may be called from any context
// on any CPU at the same time; `name` is never written.
unsafe impl Sync for RateLimit {}

impl RateLimit {
    /// Creates a limit of `burst` calls in every `interval` seconds.
    ///
    /// `name` begins the log line that counts the refused calls.
    pub const fn new(name: &'static CStr, interval: u16, burst: u16) -> Self {
        // INVARIANT: This is what `RATELIMIT_STATE_INIT()` makes of its arguments: the lock is
        // unlocked, and all else is zero. `u16 * HZ` and `u16` fit the `int` fields.
        Self {
            state: Opaque::new(bindings::ratelimit_state {
                lock: raw_spin_lock_unlocked(name),
                interval: interval as c_int * bindings::HZ as c_int,
                burst: burst as c_int,
                ..pin_init::zeroed()
            }),
            name,
        }
    }

    /// Returns whether the caller is still within the limit, and counts the call.
    ///
    /// May be called in any context. It never waits: while another CPU holds the state's lock the
    /// call is judged by what is left of the burst.
    #[inline]
    pub fn allow(&self) -> bool {
        // SAFETY: By the type invariant the state is initialised, and it lives as long as `self`.
        unsafe { bindings::___ratelimit(self.state.get(), self.name.as_char_ptr()) != 0 }
    }
}

/// An unlocked raw spinlock, as C's `__RAW_SPIN_LOCK_UNLOCKED` initialises it.
///
/// For a lock in a `static`, whose address serves lockdep as its class.
#[cfg_attr(not(CONFIG_DEBUG_LOCK_ALLOC), expect(unused_variables))]
const fn raw_spin_lock_unlocked(name: &'static CStr) -> bindings::raw_spinlock_t {
    bindings::raw_spinlock_t {
        // All bits zero is `__ARCH_SPIN_LOCK_UNLOCKED` on x86 and `asm-generic`.
        raw_lock: pin_init::zeroed(),
        #[cfg(CONFIG_DEBUG_SPINLOCK)]
        magic: bindings::SPINLOCK_MAGIC,
        #[cfg(CONFIG_DEBUG_SPINLOCK)]
        owner_cpu: c_uint::MAX,
        // `SPINLOCK_OWNER_INIT`
        #[cfg(CONFIG_DEBUG_SPINLOCK)]
        owner: core::ptr::without_provenance_mut(usize::MAX),
        #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
        dep_map: bindings::lockdep_map {
            name: crate::str::as_char_ptr_in_const_context(name),
            wait_type_inner: bindings::lockdep_wait_type_LD_WAIT_SPIN as u8,
            ..pin_init::zeroed()
        },
    }
}
