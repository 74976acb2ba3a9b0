// SPDX-License-Identifier: GPL-2.0

//! What the lowered bindings for 32-bit x86 are made of.
//!
//! `rust/regparm/lower.rs` writes the code that uses this, and says what for.
//!
//! See `Documentation/rust/regparm.rst`.

use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};

/// The `N`th word of an argument of type `T`.
///
/// The lowest comes first. The last one of a structure may be a part of a word only, and any may
/// contain padding.
#[repr(transparent)]
pub struct Word<T, const N: usize>(MaybeUninit<u32>, PhantomData<T>);

impl<T, const N: usize> Word<T, N> {
    /// Takes a word of `value`, of which the caller passes on the other words, too.
    #[inline(always)]
    pub fn new(value: &T) -> Self {
        Self(split(value)[N], PhantomData)
    }
}

/// A register in which C passes nothing, because the next argument did not fit.
#[repr(transparent)]
pub struct Unused(MaybeUninit<u32>);

impl Unused {
    /// Whatever the register contains.
    pub const NEW: Self = Self(MaybeUninit::uninit());
}

/// The words of an argument: it fits in registers, thus there are three at most.
type Words = [MaybeUninit<u32>; 3];

#[inline(always)]
fn split<T>(value: &T) -> Words {
    const { assert!(size_of::<T>() <= size_of::<Words>()) };

    let mut words: Words = [MaybeUninit::uninit(); 3];

    // SAFETY: A reference can be read from, `words` can be written to and is large enough as
    // asserted above, and they are different objects.
    unsafe {
        core::ptr::copy_nonoverlapping(
            core::ptr::from_ref(value).cast::<MaybeUninit<u8>>(),
            words.as_mut_ptr().cast(),
            size_of::<T>(),
        )
    };

    words
}

/// # Safety
///
/// `words` must start with the bytes of a value of type `T`.
#[inline(always)]
unsafe fn join<T>(words: Words) -> T {
    const { assert!(size_of::<T>() <= size_of::<Words>()) };

    // SAFETY: By the safety requirements, there is a value of type `T`, inside of `words` as
    // asserted above.
    unsafe { words.as_ptr().cast::<T>().read_unaligned() }
}

/// Makes an argument from its only word.
///
/// # Safety
///
/// The word must come from a caller that passes an argument of type `T`.
#[inline(always)]
pub unsafe fn join1<T>(a: Word<T, 0>) -> T {
    const { assert!(size_of::<T>().div_ceil(4) == 1) };

    // SAFETY: By the safety requirements.
    unsafe { join([a.0, MaybeUninit::uninit(), MaybeUninit::uninit()]) }
}

/// Makes an argument from its two words.
///
/// # Safety
///
/// The words must come from a caller that passes an argument of type `T`.
#[inline(always)]
pub unsafe fn join2<T>(a: Word<T, 0>, b: Word<T, 1>) -> T {
    const { assert!(size_of::<T>().div_ceil(4) == 2) };

    // SAFETY: By the safety requirements.
    unsafe { join([a.0, b.0, MaybeUninit::uninit()]) }
}

/// Makes an argument from its three words.
///
/// # Safety
///
/// The words must come from a caller that passes an argument of type `T`.
#[inline(always)]
pub unsafe fn join3<T>(a: Word<T, 0>, b: Word<T, 1>, c: Word<T, 2>) -> T {
    const { assert!(size_of::<T>().div_ceil(4) == 3) };

    // SAFETY: By the safety requirements.
    unsafe { join([a.0, b.0, c.0]) }
}

/// A type of function pointers, of which C has one.
#[diagnostic::on_unimplemented(
    message = "the bindings have no C function or function pointer of type `{Self}`"
)]
pub trait Signature {
    /// The type that C can call, which is `Self` if `rustc` passes everything where C does.
    type Lowered;
    /// The arguments.
    type Args;
    /// The result.
    type Output;
}

/// Something that C shall call with signature `S`.
pub trait Callee<S: Signature> {
    /// Does what is to be done.
    ///
    /// # Safety
    ///
    /// As for the function that this stands for.
    unsafe fn call(args: S::Args) -> S::Output;
}

/// A closure that captures nothing, as a [`Callee`].
pub struct Closure<F>(PhantomData<F>);

impl<F> Closure<F> {
    /// The closure itself.
    ///
    /// # Safety
    ///
    /// There must have been a value of type `F`.
    #[inline(always)]
    pub unsafe fn get<'a>() -> &'a F {
        const { assert!(size_of::<F>() == 0, "C cannot pass what is captured") };

        // SAFETY: `F` has no bytes, and by the safety requirements its values may exist.
        unsafe { core::ptr::NonNull::<F>::dangling().as_ref() }
    }
}

/// Has, for each signature, a function `entry` that C can call.
pub struct Entry<S, C>(PhantomData<(S, C)>);

/// A signature with which C can call `C`.
pub trait Enter<C>: Signature {
    /// The pointer for C.
    const ENTRY: Self::Lowered;
}

/// A pointer with which C can call the given closure.
pub const fn entry<S: Enter<Closure<F>>, F: Copy>(_: F) -> S::Lowered {
    S::ENTRY
}

/// Implements the above for one signature.
macro_rules! signature {
    (
        $kind:ident {$pointer:ty} {$lowered:ty}
        ($($arg:ident: $arg_type:ty),*) {$output:ty}
        ($($param:ident: $param_type:ty),*) ($($joined:expr),*)
    ) => {
        impl regparm::Signature for $pointer {
            type Lowered = $lowered;
            type Args = ($($arg_type,)*);
            type Output = $output;
        }

        impl<F: Fn($($arg_type),*) -> $output> regparm::Callee<$pointer> for regparm::Closure<F> {
            #[inline(always)]
            unsafe fn call(($($arg,)*): ($($arg_type,)*)) -> $output {
                // SAFETY: `entry` above was given the closure.
                let closure = unsafe { regparm::Closure::<F>::get() };
                closure($($arg),*)
            }
        }

        impl<C: regparm::Callee<$pointer>> regparm::Enter<C> for $pointer {
            const ENTRY: $lowered = regparm::Entry::<$pointer, C>::entry;
        }

        impl<C: regparm::Callee<$pointer>> regparm::Entry<$pointer, C> {
            regparm::signature!(@ $kind {$output} ($($param: $param_type),*) ($($joined),*));
        }
    };

    (@ by_value {$output:ty} ($($param:ident: $param_type:ty),*) ($($joined:expr),*)) => {
        /// # Safety
        ///
        /// As for the callee.
        pub unsafe extern "C" fn entry($($param: $param_type),*) -> $output {
            // SAFETY: C has passed the arguments' words; for the rest see above.
            unsafe { C::call(($($joined,)*)) }
        }
    };

    (@ by_pointer {$output:ty} ($($param:ident: $param_type:ty),*) ($($joined:expr),*)) => {
        /// # Safety
        ///
        /// As for the callee.
        pub unsafe extern "C" fn entry(
            result: *mut $output,
            $($param: $param_type),*
        ) -> *mut $output {
            // SAFETY: C has passed the arguments' words, and where it wants the result; for the
            // rest see above.
            unsafe { result.write(C::call(($($joined,)*))) };
            result
        }
    };
}

pub(crate) use signature;
