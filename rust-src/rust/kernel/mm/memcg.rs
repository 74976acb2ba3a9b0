// SPDX-License-Identifier: GPL-2.0

//! Charging memory to the memory cgroup of an address space.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use super::Mm;
use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// While this exists, the current task's accounted allocations are charged to the memory cgroup of
/// an address space, see [`Mm::charge`].
///
/// # Invariants
///
/// `memcg` is the active memory cgroup of the current task and has a reference that this owns, or
/// is null where there are none; `previous` is the one that was active before.
#[must_use = "the scope ends immediately when the guard is unused"]
pub struct ChargeGuard {
    memcg: *mut bindings::mem_cgroup,
    previous: *mut bindings::mem_cgroup,
    _not_send: NotThreadSafe,
}

impl Mm {
    /// Charges the accounted allocations of the current task to the memory cgroup of this address
    /// space, until the guard is dropped. Such scopes nest.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::Mm;
    ///
    /// fn allocate_for(mm: &Mm) -> Result<KBox<u64>> {
    ///     let _charge = mm.charge();
    ///     Ok(KBox::new(0, GFP_KERNEL_ACCOUNT)?)
    /// }
    /// ```
    #[doc(alias = "set_active_memcg")]
    #[inline]
    pub fn charge(&self) -> ChargeGuard {
        // SAFETY: The pointer is valid since self is a reference.
        let memcg = unsafe { bindings::get_mem_cgroup_from_mm(self.as_raw()) };

        // INVARIANT: `get_mem_cgroup_from_mm()` took a reference.
        ChargeGuard {
            memcg,
            // SAFETY: The reference lives longer than the scope.
            previous: unsafe { bindings::set_active_memcg(memcg) },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for ChargeGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants this restores what was before, and gives up a reference.
        // Guards are not `Send`, so this is the same task.
        unsafe {
            bindings::set_active_memcg(self.previous);
            bindings::mem_cgroup_put(self.memcg);
        }
    }
}
