// SPDX-License-Identifier: GPL-2.0

//! Tests of calls between C and Rust, with arguments and results of all shapes.
//!
//! Most architectures need no help here. On 32-bit x86, the compiler does, see
//! `Documentation/rust/regparm.rst`.
//!
//! C header: [`rust/call_abi/test.h`](srctree/rust/call_abi/test.h)

use crate::{
    bindings,
    c_call,
    macros::{
        c_callback,
        export,
        paste, //
    }, //
};
use core::mem::MaybeUninit;

const A: u32 = 0x01020304;
const B: u32 = 0x11121314;
const C: u32 = 0x21222324;
const X: u32 = 0x31323334;
const Q: u64 = 0x4142434445464748;

/// Plain data in which every byte is significant.
///
/// # Safety
///
/// Any initialized bytes must be a valid value, and there must be no padding.
unsafe trait Plain: Sized {
    /// Creates a value with bytes that depend on `seed`.
    fn new(seed: u32) -> Self {
        let mut value = MaybeUninit::<Self>::uninit();

        for i in 0..size_of::<Self>() {
            let byte = seed
                .wrapping_mul(31)
                .wrapping_add(i as u32 * 7)
                .wrapping_add(1);

            // SAFETY: `i` is within the value.
            unsafe { value.as_mut_ptr().cast::<u8>().add(i).write(byte as u8) };
        }
        // SAFETY: All bytes have been written, which suffices by the safety requirements of the
        // trait.
        unsafe { value.assume_init() }
    }

    /// Returns the hash of `sum` and the value.
    fn hash(&self, mut sum: u32) -> u32 {
        for i in 0..size_of::<Self>() {
            // SAFETY: `i` is within the value, which has no padding by the safety requirements of
            // the trait.
            let byte = unsafe { core::ptr::from_ref(self).cast::<u8>().add(i).read() };

            sum = (sum ^ u32::from(byte)).wrapping_mul(16777619);
        }
        sum
    }
}

macro_rules! hash {
    ($sum:expr $(, $value:expr)*) => {{
        let sum: u32 = $sum;
        $(let sum = $value.hash(sum);)*
        sum
    }};
}

/// Whether a C function, called by name or through a pointer, does not return what is expected.
macro_rules! is_bad {
    ($name:ident $f:ident($($arg:expr),*) != $expected:expr) => { paste! { {
        let expected = $expected.hash(0);

        // SAFETY: The functions only read their arguments, and nobody writes to the pointers.
        unsafe {
            bindings::[<call_abi_ $name _ $f>]($($arg),*).hash(0) != expected
                || c_call!(bindings::[<call_abi_ $name _c_ops>].$f.unwrap(), $($arg),*).hash(0)
                    != expected
        }
    } } };
}

/// The functions for one type, in both directions.
macro_rules! shape {
    ($($name:ident)*) => { paste! { $(
        mod [<test_ $name>] {
            use super::*;
            use bindings::[<call_abi_ $name>] as T;

            /// The functions that C calls.
            struct Callbacks;

            impl Callbacks {
                #[c_callback]
                extern "C" fn first(v: T, x: u32) -> u32 {
                    hash!(1, v, x)
                }

                #[c_callback]
                extern "C" fn after1(a: u32, v: T, x: u32) -> u32 {
                    hash!(2, a, v, x)
                }

                #[c_callback]
                extern "C" fn after2(a: u32, b: u32, v: T, x: u32) -> u32 {
                    hash!(3, a, b, v, x)
                }

                #[c_callback]
                extern "C" fn after3(a: u32, b: u32, c: u32, v: T, x: u32) -> u32 {
                    hash!(4, a, b, c, v, x)
                }

                #[c_callback]
                extern "C" fn twice(v: T, w: T, x: u32) -> u32 {
                    hash!(5, v, w, x)
                }

                #[c_callback]
                extern "C" fn mixed(a: i16, v: T, b: u64, x: u8) -> u32 {
                    hash!((6 + i32::from(a) + i32::from(x)) as u32, a, v, b, x)
                }

                #[c_callback]
                extern "C" fn last(a: u64, b: u32, v: T) -> u32 {
                    hash!(7, a, b, v)
                }

                #[c_callback]
                extern "C" fn result(seed: u32, a: u64) -> T {
                    T::new(hash!(seed, a))
                }

                #[c_callback]
                extern "C" fn from(seed: u32) -> T {
                    T::new(seed)
                }
            }

            /// Makes C call Rust. Returns a bit for each function that failed.
            pub(super) fn c_calls_rust() -> u32 {
                let ops = bindings::[<call_abi_ $name _ops>] {
                    first: Some(Callbacks::first),
                    after1: Some(Callbacks::after1),
                    after2: Some(Callbacks::after2),
                    after3: Some(Callbacks::after3),
                    twice: Some(Callbacks::twice),
                    mixed: Some(Callbacks::mixed),
                    last: Some(Callbacks::last),
                    result: Some(Callbacks::result),
                    from: Some(Callbacks::from),
                };

                // SAFETY: `ops` is valid for the duration of the call.
                unsafe { bindings::[<call_abi_ $name _drive>](&ops) }
            }

            /// Calls C, by name and through pointers. Returns a bit for each function that failed.
            pub(super) fn rust_calls_c() -> u32 {
                let v = || T::new(1);
                let w = || T::new(2);
                let is_bad = [
                    is_bad!($name first(v(), X) != hash!(1, v(), X)),
                    is_bad!($name after1(A, v(), X) != hash!(2, A, v(), X)),
                    is_bad!($name after2(A, B, v(), X) != hash!(3, A, B, v(), X)),
                    is_bad!($name after3(A, B, C, v(), X) != hash!(4, A, B, C, v(), X)),
                    is_bad!($name twice(v(), w(), X) != hash!(5, v(), w(), X)),
                    is_bad!($name mixed(-3, v(), Q, 0xa5)
                        != hash!(6 + 0xa5 - 3, -3i16, v(), Q, 0xa5u8)),
                    is_bad!($name last(Q, B, v()) != hash!(7, Q, B, v())),
                    is_bad!($name result(A, Q) != T::new(hash!(A, Q))),
                    is_bad!($name from(A) != T::new(A)),
                ];

                is_bad
                    .iter()
                    .enumerate()
                    .fold(0, |bits, (i, bad)| bits | u32::from(*bad) << i)
            }
        }
    )* } };
}

/// Implements [`Plain`] for types of the bindings: structures, unions, integers and a pointer.
macro_rules! plain {
    ($($name:ident)*) => { paste! { $(
        // SAFETY: The type consists of integers, or is a pointer that is never dereferenced. The
        // header avoids padding.
        unsafe impl Plain for bindings::[<call_abi_ $name>] {}
    )* } };
}

plain! {
    bytes1 bytes2 bytes3 bytes4 bytes5 bytes6 bytes7 bytes8 bytes9 bytes10 bytes11 bytes12
    bytes13 shorts3 words1 words2 words3 words4 words5 quad word_quad quad_word
    union3 union4 union8 union12 u8 u32 u64 s16 s64 pointer
}

shape! {
    bytes1 bytes2 bytes3 bytes4 bytes5 bytes6 bytes7 bytes8 bytes9 bytes10 bytes11 bytes12
    bytes13 shorts3 words1 words2 words3 words4 words5 quad word_quad quad_word
    union3 union4 union8 union12 u8 u32 u64 s16 s64 pointer
}

/// Called by C under this name.
///
/// # Safety
///
/// No requirements. Unsafe only because functions of C are.
#[export]
pub(crate) unsafe extern "C" fn call_abi_export_wide(a: u32, v: u64, x: u32) -> u32 {
    hash!(2, a, v, x)
}

/// Called by C under this name.
///
/// # Safety
///
/// No requirements. Unsafe only because functions of C are.
#[export]
pub(crate) unsafe extern "C" fn call_abi_export_aggregate(
    v: bindings::call_abi_bytes7,
    a: u32,
    w: bindings::call_abi_quad,
) -> u32 {
    hash!(8, v, a, w)
}

/// Called by C under this name.
///
/// # Safety
///
/// No requirements. Unsafe only because functions of C are.
#[export]
pub(crate) unsafe extern "C" fn call_abi_export_result(
    seed: u32,
    a: u64,
) -> bindings::call_abi_words3 {
    Plain::new(hash!(seed, a))
}

/// Called by C under this name.
///
/// # Safety
///
/// No requirements. Unsafe only because functions of C are.
#[export]
pub(crate) unsafe extern "C" fn call_abi_export_word(a: u32, b: u32) -> u32 {
    hash!(9, a, b)
}

/// Called by C under this name.
///
/// # Safety
///
/// No requirements. Unsafe only because functions of C are.
#[export]
pub(crate) unsafe extern "C" fn call_abi_export_wide_result(a: u32, b: u8) -> u64 {
    (u64::from(a) << 32) + u64::from(b)
}

#[macros::kunit_tests(rust_call_abi)]
mod tests {
    use super::*;

    /// Runs the tests of some types in both directions.
    macro_rules! check {
        ($($name:ident)*) => { paste! { $(
            assert_eq!(0, [<test_ $name>]::rust_calls_c());
            assert_eq!(0, [<test_ $name>]::c_calls_rust());
        )* } };
    }

    #[test]
    fn words() {
        check!(u8 s16 u32 pointer);
    }

    #[test]
    fn wide_integers() {
        check!(u64 s64);
    }

    #[test]
    fn structures_of_a_word() {
        check!(bytes1 bytes2 bytes3 bytes4 words1);
    }

    #[test]
    fn structures_of_two_words() {
        check!(bytes5 bytes6 bytes7 bytes8 shorts3 words2 quad);
    }

    #[test]
    fn structures_of_three_words() {
        check!(bytes9 bytes10 bytes11 bytes12 words3 word_quad quad_word);
    }

    #[test]
    fn larger_structures() {
        check!(bytes13 words4 words5);
    }

    #[test]
    fn unions() {
        check!(union3 union4 union8 union12);
    }

    #[test]
    fn exports() {
        // SAFETY: The function has no requirements.
        assert_eq!(0, unsafe { bindings::call_abi_drive_exports() });
    }

    #[test]
    fn results_by_members() {
        // SAFETY: The functions have no requirements.
        let (bits, padded, odd) = unsafe {
            (
                bindings::call_abi_bits_result(0xa5),
                bindings::call_abi_padded_result(1, 2),
                bindings::call_abi_odd_member_result(A, 3, 9),
            )
        };

        assert_eq!(0xa5, bits.a());
        assert_eq!((1, 2), (padded.a, padded.b));
        assert_eq!((A, [3, 4, 5], 9), (odd.a, odd.b, odd.c));
    }

    #[test]
    fn asmlinkage() {
        let v = || Plain::new(1);
        let expected = hash!(10, 0xa5u8, Q, bindings::call_abi_bytes5::new(1), X);

        // SAFETY: The functions only read their arguments, and nobody writes to the pointer.
        let (by_name, by_pointer) = unsafe {
            (
                bindings::call_abi_asmlinkage(0xa5, Q, v(), X),
                bindings::call_abi_asmlinkage_c_ops.call.unwrap()(0xa5, Q, v(), X),
            )
        };

        assert_eq!((expected, expected), (by_name, by_pointer));
    }

    #[test]
    fn slices() {
        // The compiler calls `memcmp()` for these comparisons. Hide the length from it.
        let length = core::hint::black_box(21);
        let (a, b) = ([7u8; 40], [7u8; 50]);
        let mut c = a;
        c[20] = 8;

        assert!(a[..length] == b[..length]);
        assert!(a[..length] != c[..length]);
        assert!(a[..length] < c[..length]);
        assert!(a[..length - 1] == c[..length - 1]);
    }

    #[test]
    #[cfg(any(CONFIG_64BIT, CONFIG_X86))]
    fn divisions() -> crate::error::Result {
        // To print these, `core` divides. On 32 bits, the compiler calls a function for that.
        let (big, small) = core::hint::black_box((u64::MAX, i64::MIN));
        let text =
            crate::str::CString::try_from_fmt(crate::prelude::fmt!("{big} {small} {big:e}"))?;

        assert!(*text == *c"18446744073709551615 -9223372036854775808 1.8446744073709551615e19");
        Ok(())
    }

    #[test]
    fn members() {
        #[derive(PartialEq)]
        struct Members(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64);

        // LLVM can make one call of `memcmp()` of this.
        #[inline(never)]
        fn are_equal(a: &Members, b: &Members) -> bool {
            a == b
        }

        let a = Members(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
        let b = Members(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
        let c = Members(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13);

        assert!(are_equal(&a, &b));
        assert!(!are_equal(&a, &c));
    }
}
