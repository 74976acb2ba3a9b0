// SPDX-License-Identifier: GPL-2.0

//! System calls.
//!
//! [`#[syscall]`](macro@crate::macros::syscall) makes a function a system call, as
//! `SYSCALL_DEFINEn()` does in C. This module holds what its expansion is made of: which types can
//! be arguments ([`Arg`]) and results ([`Return`]), and where an ABI has the arguments.
//!
//! C headers: [`include/linux/syscalls.h`](srctree/include/linux/syscalls.h),
//! [`arch/x86/include/asm/syscall_wrapper.h`](srctree/arch/x86/include/asm/syscall_wrapper.h)
//!
//! Reference: <https://docs.kernel.org/process/adding-syscalls.html>

// For registers and tracing: user-mode Linux can be without either.
#[allow(unused_imports)]
use crate::bindings;
use crate::prelude::*;

mod private {
    pub trait Sealed {}
}

/// A type that a system call can take as an argument.
///
/// These are the integers that fit a register on every architecture, and pointers to user space.
/// A 64-bit integer is not among them, since a 32-bit caller has no register that holds one: take
/// its halves as two `u32`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a system call",
    label = "not an argument of a system call",
    note = "integers of up to 32 bits, `isize`, `usize`, `UserPtr` and `User` pointers can be",
    note = "a 64-bit integer does not fit a register of a 32-bit caller: take two `u32`"
)]
pub trait Arg: private::Sealed {
    /// The type in the C prototype.
    type C;

    /// Takes the argument from a register of the kernel's own width.
    ///
    /// What the type does not need of the register is ignored: the caller may have left anything
    /// there. Equivalent to C's `__SC_CAST`.
    fn from_reg(reg: usize) -> Self;

    /// Takes the argument from a register of a 32-bit caller.
    ///
    /// Equivalent to C's `__SC_COMPAT_CAST`, which extends the low 32 bits by zeroes, but for a
    /// `long` by its sign.
    #[inline(always)]
    fn from_ia32(reg: usize) -> Self
    where
        Self: Sized,
    {
        Self::from_reg(reg as u32 as usize)
    }
}

macro_rules! impl_arg {
    ($($int:ty),*) => {$(
        impl private::Sealed for $int {}

        impl Arg for $int {
            type C = $int;

            #[inline(always)]
            fn from_reg(reg: usize) -> Self {
                reg as $int
            }
        }
    )*};
}

impl_arg!(i8, u8, i16, u16, i32, u32, usize);

impl private::Sealed for isize {}

impl Arg for isize {
    type C = isize;

    #[inline(always)]
    fn from_reg(reg: usize) -> Self {
        reg as isize
    }

    #[inline(always)]
    fn from_ia32(reg: usize) -> Self {
        reg as i32 as isize
    }
}

impl private::Sealed for UserPtr {}

impl Arg for UserPtr {
    type C = *mut c_void;

    #[inline(always)]
    fn from_reg(reg: usize) -> Self {
        Self::from_addr(reg)
    }
}

/// A typed pointer to user space: `User<*const T>` is C's `const T __user *`.
///
/// It says what the caller promised, which may be false: nothing can be done with it but to make a
/// [`UserPtr`] of it, whose users check each access.
///
/// # Examples
///
/// ```
/// use kernel::syscall::User;
///
/// let ptr = User::new(0x1000 as *const c_char);
/// assert!(!ptr.is_null());
/// assert_eq!(ptr.as_user_ptr().as_const_ptr() as usize, 0x1000);
/// ```
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct User<P>(P);

impl<P: Pointer> User<P> {
    /// Creates a pointer to user space from its address.
    #[inline]
    pub const fn new(ptr: P) -> Self {
        Self(ptr)
    }

    /// Returns whether this is `NULL`.
    #[inline]
    pub fn is_null(self) -> bool {
        self.as_user_ptr().as_const_ptr().is_null()
    }

    /// Returns the pointer to access user space by. If `P` is a `*const T`, it must only be read
    /// from.
    #[inline]
    pub fn as_user_ptr(self) -> UserPtr {
        UserPtr::from_addr(self.0.addr())
    }
}

impl<P> private::Sealed for User<P> {}

impl<P: Pointer> Arg for User<P> {
    type C = P;

    #[inline(always)]
    fn from_reg(reg: usize) -> Self {
        Self(P::from_addr(reg))
    }
}

/// What can be the parameter of [`User`]: `*const T` and `*mut T`.
pub trait Pointer: private::Sealed + Copy {
    /// Makes a pointer of an address.
    #[doc(hidden)]
    fn from_addr(addr: usize) -> Self;

    /// Returns the address.
    #[doc(hidden)]
    fn addr(self) -> usize;
}

macro_rules! impl_pointer {
    ($($ptr:ty: $from_addr:path),*) => {$(
        impl<T> private::Sealed for $ptr {}

        impl<T> Pointer for $ptr {
            #[inline(always)]
            fn from_addr(addr: usize) -> Self {
                $from_addr(addr)
            }

            #[inline(always)]
            fn addr(self) -> usize {
                self.expose_provenance()
            }
        }
    )*};
}

impl_pointer!(
    *const T: core::ptr::with_exposed_provenance,
    *mut T: core::ptr::with_exposed_provenance_mut
);

/// A type that a system call can return.
///
/// `Err` becomes the negative errno. The value of an `Ok` must not lie in the range of the errnos,
/// -4095 to -1, which user space would take for an error.
#[diagnostic::on_unimplemented(
    message = "a system call cannot return `{Self}`",
    label = "not a result of a system call",
    note = "it returns `Result`, or `Result<T>` where `T` is `i32`, `u32`, `isize` or `usize`"
)]
pub trait Return: private::Sealed {
    /// Returns what goes to user space.
    fn into_long(self) -> c_long;
}

macro_rules! impl_return {
    ($($ok:ty),*) => {$(
        impl private::Sealed for Result<$ok> {}

        impl Return for Result<$ok> {
            #[inline(always)]
            fn into_long(self) -> c_long {
                match self {
                    Ok(value) => value as c_long,
                    Err(error) => error.to_errno() as c_long,
                }
            }
        }
    )*};
}

impl_return!(i32, u32, isize, usize);

impl private::Sealed for Result {}

impl Return for Result {
    #[inline(always)]
    fn into_long(self) -> c_long {
        match self {
            Ok(()) => 0,
            Err(error) => error.to_errno() as c_long,
        }
    }
}

/// Holds a type against [`Arg`] at the place where it is written.
#[doc(hidden)]
pub const fn assert_arg<T: Arg>() {}

/// Holds a type against [`Return`] at the place where it is written.
#[doc(hidden)]
pub const fn assert_return<T: Return>() {}

/// The arguments' registers of a 64-bit caller: `SC_X86_64_REGS_TO_ARGS`.
///
/// # Safety
///
/// `regs` points to registers that nobody changes during the call.
#[doc(hidden)]
#[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_X86_64))]
#[inline(always)]
pub unsafe fn x64_regs(regs: *const bindings::pt_regs) -> [usize; 6] {
    // SAFETY: By the function's requirements.
    let regs = unsafe { &*regs };

    [regs.di, regs.si, regs.dx, regs.r10, regs.r8, regs.r9]
}

/// The arguments' registers of a 32-bit caller: `SC_IA32_REGS_TO_ARGS`.
///
/// # Safety
///
/// `regs` points to registers that nobody changes during the call.
#[doc(hidden)]
#[cfg(all(
    CONFIG_ARCH_HAS_SYSCALL_WRAPPER,
    any(CONFIG_X86_32, CONFIG_IA32_EMULATION)
))]
#[inline(always)]
pub unsafe fn ia32_regs(regs: *const bindings::pt_regs) -> [usize; 6] {
    // SAFETY: By the function's requirements.
    let regs = unsafe { &*regs };

    [regs.bx, regs.cx, regs.dx, regs.si, regs.di, regs.bp]
}

/// The entry of a stub in the list of functions that an error can be injected into.
///
/// # Invariants
///
/// The layout is that of `struct error_injection_entry`, whose address field cannot be an integer
/// here: the address is known to the linker only.
#[doc(hidden)]
#[repr(C)]
pub struct ErrorInjectionEntry {
    addr: *const c_void,
    etype: c_int,
}

// SAFETY: Nothing is ever read through the address.
unsafe impl Sync for ErrorInjectionEntry {}

impl ErrorInjectionEntry {
    /// Creates the entry of a function that returns 0 or a negative errno.
    pub const fn errno(addr: *const c_void) -> Self {
        // `EI_ETYPE_ERRNO` of include/asm-generic/error-injection.h.
        const EI_ETYPE_ERRNO: c_int = 1;

        // INVARIANT: A pointer is as wide as `unsigned long`.
        Self {
            addr,
            etype: EI_ETYPE_ERRNO,
        }
    }
}

/// `ALLOW_ERROR_INJECTION(name, ERRNO)` of C.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_error_injection {
    ($stub:ident) => {
        #[cfg(CONFIG_FUNCTION_ERROR_INJECTION)]
        const _: () = {
            #[used(compiler)]
            #[link_section = "_error_injection_whitelist"]
            static ENTRY: $crate::syscall::ErrorInjectionEntry =
                $crate::syscall::ErrorInjectionEntry::errno($stub as *const $crate::ffi::c_void);
        };
    };
}

/// `SYSCALL_METADATA()` of C: what ftrace, perf and bpf know of a system call.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_metadata {
    ($name:expr, $enter:expr, $exit:expr, [$($type:expr),*], [$($arg:expr),*]) => {
        #[cfg(CONFIG_FTRACE_SYSCALLS)]
        const _: () = {
            use $crate::{
                bindings::{
                    event_class_syscall_enter,
                    event_class_syscall_exit,
                    enter_syscall_print_funcs,
                    exit_syscall_print_funcs,
                    syscall_metadata,
                    trace_event_call, //
                },
                ffi::c_char, //
            };

            const ARGS: usize = {
                let args: &[&::core::ffi::CStr] = &[$($arg),*];
                args.len()
            };

            static mut TYPES: [*const c_char; ARGS] =
                [$($crate::str::as_char_ptr_in_const_context($type)),*];
            static mut NAMES: [*const c_char; ARGS] =
                [$($crate::str::as_char_ptr_in_const_context($arg)),*];

            static mut ENTER: trace_event_call = $crate::syscall::trace_event(
                $enter,
                &raw mut event_class_syscall_enter,
                &raw mut enter_syscall_print_funcs,
                &raw mut METADATA,
            );
            static mut EXIT: trace_event_call = $crate::syscall::trace_event(
                $exit,
                &raw mut event_class_syscall_exit,
                &raw mut exit_syscall_print_funcs,
                &raw mut METADATA,
            );
            static mut METADATA: syscall_metadata = $crate::syscall::metadata::<ARGS>(
                $name,
                &raw mut TYPES,
                &raw mut NAMES,
                // SAFETY: This takes the address of a field, and accesses nothing.
                unsafe { &raw mut METADATA.enter_fields },
                &raw mut ENTER,
                &raw mut EXIT,
            );

            #[used(compiler)]
            #[link_section = "_ftrace_events"]
            static mut ENTER_POINTER: *mut trace_event_call = &raw mut ENTER;
            #[used(compiler)]
            #[link_section = "_ftrace_events"]
            static mut EXIT_POINTER: *mut trace_event_call = &raw mut EXIT;
            #[used(compiler)]
            #[link_section = "__syscalls_metadata"]
            static mut METADATA_POINTER: *mut syscall_metadata = &raw mut METADATA;
        };
    };
}

/// One of the two events of a system call: `SYSCALL_TRACE_ENTER_EVENT`, `SYSCALL_TRACE_EXIT_EVENT`.
#[doc(hidden)]
#[cfg(CONFIG_FTRACE_SYSCALLS)]
pub const fn trace_event(
    name: &'static CStr,
    class: *mut bindings::trace_event_class,
    funcs: *mut bindings::trace_event_functions,
    metadata: *mut bindings::syscall_metadata,
) -> bindings::trace_event_call {
    bindings::trace_event_call {
        class,
        __bindgen_anon_1: bindings::trace_event_call__bindgen_ty_1 {
            name: crate::str::as_char_ptr_in_const_context(name).cast_mut(),
        },
        event: bindings::trace_event {
            funcs,
            ..pin_init::zeroed()
        },
        data: metadata.cast(),
        flags: bindings::TRACE_EVENT_FL_CAP_ANY as c_int,
        ..pin_init::zeroed()
    }
}

/// What the tracer knows of a system call of `ARGS` arguments: `SYSCALL_METADATA`.
///
/// `fields` is the place of the result's own list head, which starts out empty.
#[doc(hidden)]
#[cfg(CONFIG_FTRACE_SYSCALLS)]
pub const fn metadata<const ARGS: usize>(
    name: &'static CStr,
    types: *mut [*const c_char; ARGS],
    args: *mut [*const c_char; ARGS],
    fields: *mut bindings::list_head,
    enter: *mut bindings::trace_event_call,
    exit: *mut bindings::trace_event_call,
) -> bindings::syscall_metadata {
    bindings::syscall_metadata {
        name: crate::str::as_char_ptr_in_const_context(name),
        // Filled in at boot.
        syscall_nr: -1,
        // `nb_args` is the low seven bits, `user_arg_is_str` the high one.
        _bitfield_1: bindings::__BindgenBitfieldUnit::new([ARGS as u8]),
        types: if ARGS == 0 {
            core::ptr::null_mut()
        } else {
            types.cast()
        },
        args: if ARGS == 0 {
            core::ptr::null_mut()
        } else {
            args.cast()
        },
        enter_fields: bindings::list_head {
            next: fields,
            prev: fields,
        },
        enter_event: enter,
        exit_event: exit,
        ..pin_init::zeroed()
    }
}

/// Calls the stubs that the expansion of [`#[syscall]`](macro@crate::macros::syscall) holds, with
/// registers that are full of what a caller may leave in them.
#[cfg(CONFIG_RUST_SYSCALL_KUNIT_TEST)]
#[macros::kunit_tests(rust_syscall)]
mod tests {
    use super::*;
    use crate::sync::atomic::{
        Atomic,
        Relaxed, //
    };

    /// What the last system call got. A test case runs alone, and calls one at a time.
    static SEEN: [Atomic<isize>; MAX_ARGS] = [const { Atomic::new(0) }; MAX_ARGS];

    const MAX_ARGS: usize = 6;

    /// What a register holds where it holds no argument.
    const GARBAGE: usize = 0xa5a5_a5a5_a5a5_a5a5_u64 as usize;

    fn see(args: &[isize]) {
        for (seen, arg) in SEEN.iter().zip(args) {
            seen.store(*arg, Relaxed);
        }
    }

    fn seen<const N: usize>() -> [isize; N] {
        core::array::from_fn(|i| SEEN[i].load(Relaxed))
    }

    /// The prototypes in C, as bindgen writes them.
    mod prototypes {
        use super::*;

        extern "C" {
            pub(super) fn sys_kunit_none() -> c_long;
            pub(super) fn sys_kunit_one(a: usize) -> c_long;
            pub(super) fn sys_kunit_two(a: usize, b: usize) -> c_long;
            pub(super) fn sys_kunit_three(a: usize, b: usize, c: usize) -> c_long;
            pub(super) fn sys_kunit_four(a: usize, b: usize, c: usize, d: usize) -> c_long;
            pub(super) fn sys_kunit_five(
                a: usize,
                b: usize,
                c: usize,
                d: usize,
                e: usize,
            ) -> c_long;
            pub(super) fn sys_kunit_six(
                a: usize,
                b: usize,
                c: usize,
                d: usize,
                e: usize,
                f: usize,
            ) -> c_long;
            pub(super) fn sys_kunit_signed(a: c_schar, b: c_short, c: c_int, d: c_long) -> c_long;
            pub(super) fn sys_kunit_unsigned(
                a: c_uchar,
                b: c_ushort,
                c: c_uint,
                d: c_ulong,
            ) -> c_long;
            pub(super) fn sys_kunit_pointers(
                a: *mut c_void,
                b: *const c_char,
                c: *mut c_int,
            ) -> c_long;
            pub(super) fn sys_kunit_result(which: c_int) -> c_long;
            pub(super) fn sys_kunit_u32(value: c_uint) -> c_long;
            pub(super) fn sys_kunit_compat(a: c_long) -> c_long;
            #[cfg(CONFIG_IA32_EMULATION)]
            pub(super) fn compat_sys_kunit_compat(a: c_int) -> c_long;
        }
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_none() -> Result {
        see(&[1]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_one(a: usize) -> Result {
        see(&[a as isize]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_two(a: usize, b: usize) -> Result {
        see(&[a as isize, b as isize]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_three(a: usize, b: usize, c: usize) -> Result {
        see(&[a as isize, b as isize, c as isize]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_four(a: usize, b: usize, c: usize, d: usize) -> Result {
        see(&[a as isize, b as isize, c as isize, d as isize]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_five(a: usize, b: usize, c: usize, d: usize, e: usize) -> Result {
        see(&[a, b, c, d, e].map(|arg| arg as isize));
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_six(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> Result {
        see(&[a, b, c, d, e, f].map(|arg| arg as isize));
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_signed(a: i8, b: i16, c: i32, d: isize) -> Result {
        see(&[a as isize, b as isize, c as isize, d]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_unsigned(a: u8, b: u16, c: u32, d: usize) -> Result {
        see(&[a as isize, b as isize, c as isize, d as isize]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_pointers(a: UserPtr, b: User<*const c_char>, c: User<*mut c_int>) -> Result {
        see(&[
            a.as_const_ptr() as isize,
            b.as_user_ptr().as_const_ptr() as isize,
            c.as_user_ptr().as_const_ptr() as isize,
        ]);
        Ok(())
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_result(which: i32) -> Result<isize> {
        match which {
            0 => Ok(isize::MAX),
            1 => Ok(isize::MIN),
            2 => Err(EPERM),
            _ => Err(ERESTARTSYS),
        }
    }

    #[syscall(prototypes = prototypes)]
    fn kunit_u32(value: u32) -> Result<u32> {
        Ok(value)
    }

    fn kunit_compat_32(a: i32) -> Result {
        see(&[a as isize, 32]);
        Ok(())
    }

    #[syscall(prototypes = prototypes, compat = kunit_compat_32)]
    fn kunit_compat(a: isize) -> Result {
        see(&[a, 0]);
        Ok(())
    }

    /// Declares the stubs of system calls, and a function per ABI that calls them.
    macro_rules! stubs {
        ($(
            $(#[$cfg:meta])*
            $abi:ident, $prefix:ident, [$($reg:ident),*], [$($name:ident),*];
        )*) => {
            crate::macros::paste! {$(
                $(#[$cfg])*
                mod $abi {
                    use super::*;

                    extern "C" {
                        $(fn [<$prefix $name>](regs: *const bindings::pt_regs) -> c_long;)*
                    }

                    fn registers<const N: usize>(args: [usize; N]) -> bindings::pt_regs {
                        let all: [usize; MAX_ARGS] =
                            core::array::from_fn(|i| args.get(i).copied().unwrap_or(GARBAGE));

                        // SAFETY: Any value is valid for a register.
                        let mut regs: bindings::pt_regs = unsafe { core::mem::zeroed() };
                        [$(regs.$reg),*] = all;
                        regs
                    }

                    $(
                        /// Calls the system call with `args` in the first registers.
                        pub(super) fn $name<const N: usize>(args: [usize; N]) -> c_long {
                            let regs = registers(args);

                            // SAFETY: `regs` lives until the call returns, and nobody changes it.
                            unsafe { [<$prefix $name>](&raw const regs) }
                        }
                    )*
                }
            )*}
        };
    }

    stubs! {
        #[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_X86_64))]
        x64, __x64_sys_, [di, si, dx, r10, r8, r9],
        [kunit_none, kunit_one, kunit_two, kunit_three, kunit_four, kunit_five, kunit_six,
         kunit_signed, kunit_unsigned, kunit_pointers, kunit_result, kunit_u32, kunit_compat];

        #[cfg(all(
            CONFIG_ARCH_HAS_SYSCALL_WRAPPER,
            any(CONFIG_X86_32, CONFIG_IA32_EMULATION)
        ))]
        ia32, __ia32_sys_, [bx, cx, dx, si, di, bp],
        [kunit_none, kunit_one, kunit_two, kunit_three, kunit_four, kunit_five, kunit_six,
         kunit_signed, kunit_unsigned, kunit_pointers, kunit_result, kunit_u32];

        #[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_IA32_EMULATION))]
        ia32_compat, __ia32_compat_sys_, [bx, cx, dx, si, di, bp], [kunit_compat];
    }

    /// The arguments get there in order, however many there are.
    macro_rules! test_order {
        ($abi:ident) => {
            assert_eq!($abi::kunit_none([]), 0);
            assert_eq!(seen(), [1]);
            assert_eq!($abi::kunit_one([11]), 0);
            assert_eq!(seen(), [11]);
            assert_eq!($abi::kunit_two([21, 22]), 0);
            assert_eq!(seen(), [21, 22]);
            assert_eq!($abi::kunit_three([31, 32, 33]), 0);
            assert_eq!(seen(), [31, 32, 33]);
            assert_eq!($abi::kunit_four([41, 42, 43, 44]), 0);
            assert_eq!(seen(), [41, 42, 43, 44]);
            assert_eq!($abi::kunit_five([51, 52, 53, 54, 55]), 0);
            assert_eq!(seen(), [51, 52, 53, 54, 55]);
            assert_eq!($abi::kunit_six([61, 62, 63, 64, 65, 66]), 0);
            assert_eq!(seen(), [61, 62, 63, 64, 65, 66]);
        };
    }

    /// What is above an argument's own width does not reach it, and its sign does.
    macro_rules! test_width {
        ($abi:ident) => {
            let _ = $abi::kunit_signed([
                GARBAGE & !0xff | 0x80,
                GARBAGE & !0xffff | 0x8000,
                GARBAGE & !0xffff_ffff | 0x8000_0000,
                0,
            ]);
            assert_eq!(seen(), [-0x80, -0x8000, i32::MIN as isize, 0]);
            let _ = $abi::kunit_signed([
                GARBAGE & !0xff | 0x7f,
                GARBAGE & !0xffff | 0x7fff,
                GARBAGE & !0xffff_ffff | 0x7fff_ffff,
                0,
            ]);
            assert_eq!(seen(), [0x7f, 0x7fff, 0x7fff_ffff, 0]);
            let _ = $abi::kunit_unsigned([
                GARBAGE & !0xff | 0x80,
                GARBAGE & !0xffff | 0x8000,
                GARBAGE & !0xffff_ffff | 0x8000_0000,
                0,
            ]);
            assert_eq!(seen(), [0x80, 0x8000, 0x8000_0000_u32 as isize, 0]);
        };
    }

    macro_rules! test_result {
        ($abi:ident) => {
            assert_eq!($abi::kunit_result([0]), c_long::MAX);
            assert_eq!($abi::kunit_result([1]), c_long::MIN);
            assert_eq!($abi::kunit_result([2]), -(bindings::EPERM as c_long));
            assert_eq!($abi::kunit_result([3]), -(bindings::ERESTARTSYS as c_long));
            assert_eq!($abi::kunit_u32([0x8000_0000]), 0x8000_0000_u32 as c_long);
        };
    }

    #[test]
    #[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_X86_64))]
    fn x64_order() {
        test_order!(x64);
    }

    #[test]
    #[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_X86_64))]
    fn x64_width() {
        test_width!(x64);

        // A `long` and a pointer have all 64 bits.
        let _ = x64::kunit_signed([0, 0, 0, 0x8000_0000_0000_0001]);
        assert_eq!(seen::<4>()[3], isize::MIN + 1);
        let _ = x64::kunit_unsigned([0, 0, 0, GARBAGE]);
        assert_eq!(seen::<4>()[3] as usize, GARBAGE);
        let _ = x64::kunit_pointers([GARBAGE, 0x1_0000_0001, usize::MAX]);
        assert_eq!(
            seen().map(|arg: isize| arg as usize),
            [GARBAGE, 0x1_0000_0001, usize::MAX]
        );
    }

    #[test]
    #[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_X86_64))]
    fn x64_result() {
        test_result!(x64);
        let _ = x64::kunit_compat([0x1_0000_0000]);
        assert_eq!(seen(), [0x1_0000_0000, 0]);
    }

    #[test]
    #[cfg(all(
        CONFIG_ARCH_HAS_SYSCALL_WRAPPER,
        any(CONFIG_X86_32, CONFIG_IA32_EMULATION)
    ))]
    fn ia32_order() {
        test_order!(ia32);
    }

    #[test]
    #[cfg(all(
        CONFIG_ARCH_HAS_SYSCALL_WRAPPER,
        any(CONFIG_X86_32, CONFIG_IA32_EMULATION)
    ))]
    fn ia32_width() {
        test_width!(ia32);

        // A `long` has 32 bits and a sign; an `unsigned long` and a pointer have 32 bits.
        let long = (GARBAGE as u64 & !0xffff_ffff | 0x8000_0001) as usize;
        let _ = ia32::kunit_signed([0, 0, 0, long]);
        assert_eq!(seen::<4>()[3], i32::MIN as isize + 1);
        let _ = ia32::kunit_unsigned([0, 0, 0, long]);
        assert_eq!(seen::<4>()[3] as usize, 0x8000_0001);
        let _ = ia32::kunit_pointers([GARBAGE, 0xffff_fff0, 1]);
        assert_eq!(
            seen().map(|arg: isize| arg as usize),
            [GARBAGE as u32 as usize, 0xffff_fff0, 1]
        );
    }

    #[test]
    #[cfg(all(
        CONFIG_ARCH_HAS_SYSCALL_WRAPPER,
        any(CONFIG_X86_32, CONFIG_IA32_EMULATION)
    ))]
    fn ia32_result() {
        test_result!(ia32);
    }

    #[test]
    #[cfg(all(CONFIG_ARCH_HAS_SYSCALL_WRAPPER, CONFIG_IA32_EMULATION))]
    fn ia32_compat() {
        let _ = ia32_compat::kunit_compat([GARBAGE & !0xffff_ffff | 0xffff_fffe]);
        assert_eq!(seen(), [-2, 32]);
    }
}
