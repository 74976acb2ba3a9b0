// SPDX-License-Identifier: GPL-2.0

//! Calls between C and Rust on 32-bit x86, where `rustc` does not pass all arguments as C does.
//!
//! Both compilers agree on arguments of one word, and on structures that are passed on the stack.
//! This suffices for any signature: what C passes in registers is made three words, and the rest a
//! structure. The types here compute which is which from the sizes of the arguments.
//!
//! `rust/regparm/lower.rs` makes the bindings use this. See `Documentation/rust/regparm.rst`.

use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};

/// What one register carries, or a word of the stack; perhaps nothing, or padding.
pub type Word = MaybeUninit<u32>;

/// What C passes on the stack.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Stack<const N: usize>([Word; N]);

/// All arguments of a call, those in registers first.
#[repr(C)]
struct Words<const N: usize> {
    registers: [Word; 3],
    stack: Stack<N>,
}

/// Whether `rustc` passes a type, or the arguments of a function, as C does.
pub trait Kind {
    /// Whether it does so with two types.
    type And<K: Kind>: Kind;
    /// The pointer to a function of type `F` whose arguments are of this kind.
    type Pointer<F: Copy>: Copy;
}

/// Passed as in C: an integer of up to 32 bits, or a pointer.
pub enum Same {}

/// Passed differently: a 64-bit integer, a structure or a union.
pub enum Different {}

impl Kind for Same {
    type And<K: Kind> = K;
    type Pointer<F: Copy> = F;
}

impl Kind for Different {
    type And<K: Kind> = Different;
    type Pointer<F: Copy> = CFn<F>;
}

/// A type of arguments or results of C functions.
#[diagnostic::on_unimplemented(message = "the bindings have no C function with a `{Self}`")]
pub trait Value: Sized {
    /// Whether `rustc` passes it as C does.
    type Passed: Kind;
    /// Whether `rustc` returns it as C does.
    type Returned: Kind;
    /// Whether C returns it in registers.
    const IN_REGISTERS: bool = true;
    /// Its size in bytes.
    const SIZE: usize = {
        assert!(
            align_of::<Self>() < 16,
            "C compilers align this in different ways"
        );
        size_of::<Self>()
    };

    /// Writes it to where it is passed.
    ///
    /// # Safety
    ///
    /// There must be as many words at `to` as the value needs.
    #[inline(always)]
    unsafe fn write(self, to: *mut Word) {
        // SAFETY: By the safety requirements.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
}

macro_rules! words {
    ($($ty:ty)*) => { $(
        impl Value for $ty {
            type Passed = Same;
            type Returned = Same;

            // The caller extends a short argument.
            #[allow(clippy::cast_lossless)] // Signed types have no `From`.
            #[inline(always)]
            unsafe fn write(self, to: *mut Word) {
                // SAFETY: By the safety requirements.
                unsafe { to.write(Word::new(self as u32)) }
            }
        }
    )* };
}

words!(bool u8 i8 u16 i16 u32 i32 usize isize);

macro_rules! others {
    ($($passed:ident $ty:ty),*) => { $(
        impl Value for $ty {
            type Passed = $passed;
            type Returned = Same;
        }
    )* };
}

others!(Same (), Different u64, Different i64);

impl<T> Value for *const T {
    type Passed = Same;
    type Returned = Same;
}

impl<T> Value for *mut T {
    type Passed = Same;
    type Returned = Same;
}

/// A pointer to a function, or a reference.
impl<T> Value for Option<T> {
    type Passed = Same;
    type Returned = Same;
    const IN_REGISTERS: bool = Self::SIZE == 4;
    const SIZE: usize = {
        assert!(
            size_of::<Self>() == 4 && align_of::<Self>() == 4,
            "this is no pointer"
        );
        4
    };
}

/// Whether C returns a structure or union in registers: it, its members, and theirs, have these
/// sizes.
#[inline]
pub const fn in_registers(sizes: &[usize]) -> bool {
    let mut i = 0;

    while i < sizes.len() {
        if !matches!(sizes[i], 0 | 1 | 2 | 4 | 8) {
            return false;
        }
        i += 1;
    }
    true
}

/// Where the result of type `R` is: in registers (`true`), or where a hidden argument points.
pub struct Place<const IN_REGISTERS: bool>;

/// What to do for that.
pub trait Return<R> {
    /// What is in `%eax`, or in `%edx:%eax`, when the function returns.
    type Return;

    /// Passes the place of the result.
    fn pass(words: &mut [Word; 3], result: &mut MaybeUninit<R>);
    /// Takes the result.
    ///
    /// # Safety
    ///
    /// The function that was called must have returned `value`, and `result` must have been given
    /// to [`Return::pass`].
    unsafe fn take(value: Self::Return, result: MaybeUninit<R>) -> R;
    /// Returns the result to C.
    ///
    /// # Safety
    ///
    /// C must have passed `words`.
    unsafe fn put(words: &[Word; 3], result: R) -> Self::Return;
}

impl<R> Return<R> for Place<true> {
    type Return = R;

    #[inline(always)]
    fn pass(_: &mut [Word; 3], _: &mut MaybeUninit<R>) {}

    #[inline(always)]
    unsafe fn take(value: R, _: MaybeUninit<R>) -> R {
        value
    }

    #[inline(always)]
    unsafe fn put(_: &[Word; 3], result: R) -> R {
        result
    }
}

impl<R> Return<R> for Place<false> {
    type Return = *mut R;

    #[inline(always)]
    fn pass(words: &mut [Word; 3], result: &mut MaybeUninit<R>) {
        // SAFETY: A pointer is a word.
        words[0] = unsafe { core::mem::transmute::<*mut R, Word>(result.as_mut_ptr()) };
    }

    #[inline(always)]
    unsafe fn take(_: *mut R, result: MaybeUninit<R>) -> R {
        // SAFETY: The function has written its result there, by the safety requirements.
        unsafe { result.assume_init() }
    }

    #[inline(always)]
    unsafe fn put(words: &[Word; 3], result: R) -> *mut R {
        // SAFETY: C passes the place in the first word, by the safety requirements.
        unsafe {
            let place = core::mem::transmute::<Word, *mut R>(words[0]);
            place.write(result);
            place
        }
    }
}

/// Computes the places of arguments, given their sizes in bytes: the indices of their first words,
/// and at the end the number of words on the stack.
const fn places<const N: usize>(sizes: [usize; N], in_registers: bool) -> ([usize; N], usize) {
    let mut places = [0; N];
    let mut register = if in_registers { 0 } else { 1 };
    let mut stack = 0;
    let mut i = 0;

    while i < N {
        let words = sizes[i].div_ceil(4);

        if register + words <= 3 {
            places[i] = register;
            register += words;
        } else {
            // The remaining registers stay unused, from here on.
            register = 3;
            places[i] = 3 + stack;
            stack += words;
        }
        i += 1;
    }
    (places, stack)
}

/// A type of function pointers, as C has them.
pub trait Signature: Copy {
    /// The arguments.
    type Args;
    /// The result.
    type Output: Value;
    /// The type of the pointers in the bindings.
    type Pointer: Copy;
    /// How many words are on the stack.
    const STACK: usize;

    /// # Safety
    ///
    /// There must be `3 + STACK` words at `words`.
    unsafe fn write(args: Self::Args, words: *mut Word);

    /// # Safety
    ///
    /// C must have passed the `3 + STACK` words at `words`.
    unsafe fn read(words: *const Word) -> Self::Args;
}

/// A closure for C to call.
pub trait Callback<S: Signature>: Copy {
    /// Calls the closure.
    fn call(self, args: S::Args) -> S::Output;
}

/// A pointer to a function which C and `rustc` would call differently.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct CFn<F>(unsafe extern "C" fn(), PhantomData<F>);

// SAFETY: This is a function pointer, of which `None` is zero.
unsafe impl<F> pin_init::ZeroableOption for CFn<F> {}

impl<F> CFn<F> {
    /// # Safety
    ///
    /// `function` must be a C function of type `F`.
    pub const unsafe fn new(function: unsafe extern "C" fn()) -> Self {
        Self(function, PhantomData)
    }
}

// The same function, as for other pointers to functions.
impl<F> PartialEq for CFn<F> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl<F> Eq for CFn<F> {}

impl<F> core::fmt::Debug for CFn<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(&self.0, f)
    }
}

/// A pointer to a C function, as it is in the bindings.
pub trait Pointer: Copy {
    /// The type of the function.
    type Signature: Signature;

    /// The pointer without its type.
    fn function(self) -> unsafe extern "C" fn();
}

impl<F: Signature> Pointer for CFn<F> {
    type Signature = F;

    #[inline(always)]
    fn function(self) -> unsafe extern "C" fn() {
        self.0
    }
}

macro_rules! signature {
    ($($arg:ident $place:ident $T:ident)*) => {
        impl<$($T: Value,)* R: Value> Signature for unsafe extern "C" fn($($T),*) -> R {
            type Args = ($($T,)*);
            type Output = R;
            type Pointer = <signature!(@kind R $($T)*) as Kind>::Pointer<Self>;
            const STACK: usize = places([$($T::SIZE),*], R::IN_REGISTERS).1;

            #[allow(unused_unsafe)] // If there are no arguments.
            #[inline(always)]
            unsafe fn write(($($arg,)*): Self::Args, _words: *mut Word) {
                let [$($place),*] = const { places([$($T::SIZE),*], R::IN_REGISTERS).0 };

                // SAFETY: The places are within the words.
                unsafe { $($arg.write(_words.add($place));)* }
            }

            #[allow(unused_unsafe)] // As above.
            #[inline(always)]
            unsafe fn read(_words: *const Word) -> Self::Args {
                let [$($place),*] = const { places([$($T::SIZE),*], R::IN_REGISTERS).0 };

                // SAFETY: The places are within the words, and C has put the arguments there.
                unsafe { ($(_words.add($place).cast::<$T>().read_unaligned(),)*) }
            }
        }

        impl<$($T: Value,)* R: Value, F: Fn($($T),*) -> R + Copy>
            Callback<unsafe extern "C" fn($($T),*) -> R> for F
        {
            #[inline(always)]
            fn call(self, ($($arg,)*): ($($T,)*)) -> R {
                self($($arg),*)
            }
        }

        impl<$($T: Value,)* R: Value> Pointer for unsafe extern "C" fn($($T),*) -> R
        where
            Self: Signature<Pointer = Self>,
        {
            type Signature = Self;

            #[inline(always)]
            fn function(self) -> unsafe extern "C" fn() {
                // SAFETY: [`call`] makes it what it was, and calls it as `rustc` does.
                unsafe { core::mem::transmute(self) }
            }
        }
    };
    (@kind $R:ident) => { <$R as Value>::Returned };
    (@kind $R:ident $T:ident $($rest:ident)*) => {
        <<$T as Value>::Passed as Kind>::And<signature!(@kind $R $($rest)*)>
    };
}

/// Implements the above for up to that many arguments.
macro_rules! signatures {
    () => { signature!(); };
    ($arg:ident $place:ident $T:ident $($rest:ident)*) => {
        signature!($arg $place $T $($rest)*);
        signatures!($($rest)*);
    };
}

signatures! {
    a pa A b pb B c pc C d pd D e pe E f pf G h ph H i pi I j pj J k pk K l pl L m pm M
    n pn N o po O p pp P q pq Q
}

/// Calls `$f` with `$stack`, which depends on type parameters, as a constant.
macro_rules! with_stack {
    ($stack:expr, $f:ident::<$($T:ty),*> $args:tt) => {
        with_stack!(@ $stack, $f, [$($T),*], $args,
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24)
    };
    (@ $stack:expr, $f:ident, $types:tt, $args:tt, $($n:literal)*) => {
        match const { assert!($stack <= 24, "too many arguments"); $stack } {
            $($n => with_stack!(@@ $f, $types, $args, $n),)*
            _ => unreachable!(),
        }
    };
    (@@ $f:ident, [$($T:ty),*], ($($arg:expr),*), $n:literal) => { $f::<$($T,)* $n>($($arg),*) };
}

/// The result of functions to which a pointer points.
type Output<P> = <<P as Pointer>::Signature as Signature>::Output;

/// Calls a C function.
///
/// # Safety
///
/// As for the function.
#[inline(always)]
pub unsafe fn call<P: Pointer>(f: P, args: <P::Signature as Signature>::Args) -> Output<P> {
    let f = f.function();

    // SAFETY: By the safety requirements.
    unsafe {
        if const { Output::<P>::IN_REGISTERS } {
            with_stack!(
                P::Signature::STACK,
                call_with::<P::Signature, Place<true>>(f, args)
            )
        } else {
            with_stack!(
                P::Signature::STACK,
                call_with::<P::Signature, Place<false>>(f, args)
            )
        }
    }
}

/// # Safety
///
/// As for [`call`], and the other parameters must be those of `S`.
#[inline(always)]
unsafe fn call_with<S: Signature, P: Return<S::Output>, const N: usize>(
    f: unsafe extern "C" fn(),
    args: S::Args,
) -> S::Output {
    let mut words = MaybeUninit::<Words<N>>::uninit();
    let mut result = MaybeUninit::uninit();

    // SAFETY: Uninitialized words are valid, and `N` is `S::STACK` by the safety requirements. A
    // function of type `S` takes its words and returns its result in this way.
    unsafe {
        S::write(args, words.as_mut_ptr().cast());
        let mut words = words.assume_init();
        P::pass(&mut words.registers, &mut result);
        let [a, b, c] = words.registers;
        let f = core::mem::transmute::<
            unsafe extern "C" fn(),
            unsafe extern "C" fn(Word, Word, Word, Stack<N>) -> P::Return,
        >(f);
        P::take(f(a, b, c, words.stack), result)
    }
}

/// Calls the closure with what C has passed.
///
/// # Safety
///
/// C must have called a function of type `S`, whose result is at `P` and which has `N` words on the
/// stack, with these arguments.
#[inline(always)]
pub unsafe fn enter<S: Signature, P: Return<S::Output>, F: Callback<S>, const N: usize>(
    callback: F,
    registers: [Word; 3],
    stack: Stack<N>,
) -> P::Return {
    const { assert!(N == S::STACK) };
    let words = Words { registers, stack };

    // SAFETY: By the safety requirements.
    unsafe {
        let args = S::read(core::ptr::from_ref(&words).cast());
        P::put(&words.registers, callback.call(args))
    }
}

/// # Safety
///
/// As for [`enter`], and there must have been a value of type `F`.
unsafe extern "C" fn entry<S: Signature, P: Return<S::Output>, F: Callback<S>, const N: usize>(
    a: Word,
    b: Word,
    c: Word,
    stack: Stack<N>,
) -> P::Return {
    const { assert!(size_of::<F>() == 0, "C cannot pass what is captured") };

    // SAFETY: `F` has a value, without bytes, and may be copied. For the rest see above.
    unsafe {
        let callback = core::ptr::NonNull::<F>::dangling().read();
        enter::<S, P, F, N>(callback, [a, b, c], stack)
    }
}

const fn address<S: Signature, P: Return<S::Output>, F: Callback<S>, const N: usize>() -> *const ()
{
    entry::<S, P, F, N> as *const ()
}

/// A pointer with which C can call the given closure.
pub const fn callback<S: Signature, F: Callback<S>>(_: F) -> S::Pointer {
    let entry = if S::Output::IN_REGISTERS {
        with_stack!(S::STACK, address::<S, Place<true>, F>())
    } else {
        with_stack!(S::STACK, address::<S, Place<false>, F>())
    };

    // SAFETY: This is a function pointer, too. If it is not a `CFn`, `rustc` calls a function of
    // type `S` as C does.
    unsafe { core::mem::transmute_copy(&entry) }
}

/// Lets a type of the bindings be passed, given its members.
macro_rules! value {
    ($ty:ty: $($size:expr),*) => {
        impl regparm::Value for $ty {
            type Passed = regparm::Different;
            type Returned = regparm::Different;
            const IN_REGISTERS: bool = regparm::in_registers(&[$($size),*]);
        }
    };
}

/// Lets an enumeration of the bindings be passed, given the integer that it consists of.
macro_rules! enumeration {
    ($ty:ty: $integer:ty) => {
        impl regparm::Value for $ty {
            type Passed = <$integer as regparm::Value>::Passed;
            type Returned = regparm::Same;

            #[inline(always)]
            unsafe fn write(self, to: *mut regparm::Word) {
                unsafe { self.0.write(to) }
            }
        }
    };
}

/// Defines functions of the bindings, and the pointers to them, among which are those to helpers.
macro_rules! functions {
    ($(use $helper:ident;)* $(
        $(#[$attr:meta])*
        fn $name:ident #[$link_name:meta] ($($arg:ident: $ty:ty),* $(,)?) -> $output:ty;
    )*) => {
        $(
            $(#[$attr])*
            #[inline(always)]
            pub unsafe extern "C" fn $name($($arg: $ty),*) -> $output {
                // SAFETY: By the safety requirements of the C function.
                unsafe { regparm::call(for_c::$name, ($($arg,)*)) }
            }
        )*

        pub mod for_c {
            pub use super::*;
            $(pub use super::super::bindings_helper::for_c::$helper;)*
            $(
                pub const $name: regparm::CFn<unsafe extern "C" fn($($ty),*) -> $output> = {
                    unsafe extern "C" {
                        #[$link_name]
                        fn function();
                    }
                    // SAFETY: `bindgen` has taken the type from C.
                    unsafe { regparm::CFn::new(function) }
                };
            )*
        }
    };
}

pub(crate) use {
    enumeration,
    functions,
    value, //
};
