// SPDX-License-Identifier: GPL-2.0

//! Boxes whose values outlive the readers that RCU protects.

use super::Guard;
use crate::{
    alloc::{
        AllocError,
        Flags, //
    },
    bindings,
    container_of,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};

/// A [`ForeignOwnable`] type whose values stay valid for RCU readers when they are dropped.
///
/// # Safety
///
/// What [`ForeignOwnable::borrow`] has returned must stay valid until the RCU read-side critical
/// section ends in which the value could still be found by its pointer, also if the value is
/// dropped meanwhile. The type must have no access to the value but a shared one.
pub unsafe trait RcuOwnable: ForeignOwnable {}

/// A box whose value is dropped a grace period after the box.
///
/// So whoever finds the value under RCU may use it until the end of the critical section. Dropping
/// a box does not wait, and may be done in any context that is not NMI. The value is dropped in
/// softirq context, which must be good enough for it.
///
/// A module that drops such boxes must call [`rcu_barrier`](super::rcu_barrier) before it goes.
///
/// # Invariants
///
/// The pointer is to a [`KBox`] that this type owns.
///
/// # Examples
///
/// ```
/// use kernel::sync::rcu::RcuBox;
///
/// let answer = RcuBox::new(42, GFP_KERNEL)?;
/// assert_eq!(*answer, 42);
/// # Ok::<(), Error>(())
/// ```
pub struct RcuBox<T: Send + Sync + 'static>(NonNull<Inner<T>>);

struct Inner<T> {
    value: T,
    head: Opaque<bindings::callback_head>,
}

// SAFETY: To own the box is to own the value. It may be dropped on any CPU.
unsafe impl<T: Send + Sync> Send for RcuBox<T> {}
// SAFETY: The box gives shared access to the value and nothing else.
unsafe impl<T: Send + Sync> Sync for RcuBox<T> {}

impl<T: Send + Sync> RcuBox<T> {
    /// Puts `value` into a new box.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        let inner = KBox::new(
            Inner {
                value,
                head: Opaque::uninit(),
            },
            flags,
        )?;

        // INVARIANT: The pointer is to a box that nobody else has.
        Ok(Self(NonNull::from(KBox::leak(inner))))
    }

    /// Returns the value for as long as the critical section lasts that `_guard` stands for.
    #[inline]
    pub fn with_rcu<'a>(&self, _guard: &'a Guard) -> &'a T {
        // SAFETY: The box exists now, within the critical section, so the value is not dropped
        // before its end.
        unsafe { &(*self.0.as_ptr()).value }
    }
}

impl<T: Send + Sync> Deref for RcuBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { &(*self.0.as_ptr()).value }
    }
}

impl<T: Send + Sync> Drop for RcuBox<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the pointer is valid until the callback frees it. Nothing
        // else uses the head.
        unsafe {
            let head = Opaque::cast_into(&raw const (*self.0.as_ptr()).head);
            bindings::call_rcu(head, Some(free::<T>));
        }
    }
}

/// Frees the box that `head` is in.
///
/// # Safety
///
/// `head` must be in an [`Inner<T>`] whose [`RcuBox`] has been dropped a grace period ago.
unsafe extern "C" fn free<T>(head: *mut bindings::callback_head) {
    let head = Opaque::cast_from(head);

    // SAFETY: By the safety requirements `head` is in an `Inner<T>`, which came from a box. Its
    // owner is gone, and so are the readers that may have found it.
    drop(unsafe { KBox::from_raw(container_of!(head, Inner<T>, head).cast_mut()) });
}

// SAFETY: The pointer is to an `Inner<T>` from a `KBox`, whose alignment is known.
unsafe impl<T: Send + Sync> ForeignOwnable for RcuBox<T> {
    const FOREIGN_ALIGN: usize = <KBox<Inner<T>> as ForeignOwnable>::FOREIGN_ALIGN;

    type Borrowed<'a>
        = &'a T
    where
        Self: 'a;
    // Readers may have the value at any time, so its owner shares it with them.
    type BorrowedMut<'a>
        = &'a T
    where
        Self: 'a;

    fn into_foreign(self) -> *mut c_void {
        let ptr = self.0.as_ptr().cast();
        core::mem::forget(self);
        ptr
    }

    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // INVARIANT: The pointer came from `into_foreign()`, which gave up its ownership.
        // SAFETY: By the safety requirements of this function, `ptr` came from `into_foreign()`,
        // and is not null.
        Self(unsafe { NonNull::new_unchecked(ptr.cast()) })
    }

    unsafe fn borrow<'a>(ptr: *mut c_void) -> &'a T {
        // SAFETY: By the safety requirements of this function the object stays alive for `'a`.
        unsafe { &(*ptr.cast::<Inner<T>>()).value }
    }

    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> &'a T {
        // SAFETY: The requirements of this function include those of `borrow()`.
        unsafe { Self::borrow(ptr) }
    }
}

// SAFETY: The value is dropped by `call_rcu()`, and the box gives shared access only.
unsafe impl<T: Send + Sync> RcuOwnable for RcuBox<T> {}
