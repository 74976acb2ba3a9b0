// SPDX-License-Identifier: GPL-2.0

//! System calls.
//!
//! [`#[syscall]`](macro@crate::macros::syscall) makes a function a system call, as
//! `SYSCALL_DEFINEn()` does in C. This module holds what its expansion is made of: which types can
//! be arguments ([`Arg`]) and results ([`Return`]), and what tracing knows of them.
//!
//! C headers: [`include/linux/syscalls.h`](srctree/include/linux/syscalls.h),
//! [`include/trace/syscall.h`](srctree/include/trace/syscall.h)
//!
//! Reference: <https://docs.kernel.org/process/adding-syscalls.html>

use crate::{
    bindings,
    c_str,
    prelude::*,
    str::as_char_ptr_in_const_context, //
};
use core::marker::PhantomData;
#[cfg(CONFIG_FTRACE_SYSCALLS)]
use core::{
    mem::offset_of,
    ptr::null_mut, //
};

#[cfg(CONFIG_RUST_SYSCALL_KUNIT_TEST)]
mod twins;

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

    /// What tracing shows of the argument.
    #[doc(hidden)]
    const TRACED: Traced;

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

macro_rules! impl_int {
    ($($int:ty, $from_ia32:ty, $name:literal;)*) => {$(
        impl private::Sealed for $int {}

        impl Arg for $int {
            type C = $int;

            const TRACED: Traced = Traced::Value($name);

            #[inline(always)]
            fn from_reg(reg: usize) -> Self {
                reg as $int
            }

            #[inline(always)]
            fn from_ia32(reg: usize) -> Self {
                reg as $from_ia32 as $int
            }
        }
    )*};
}

impl_int! {
    i8, i8, c"signed char";
    u8, u8, c"unsigned char";
    i16, i16, c"short";
    u16, u16, c"unsigned short";
    i32, i32, c"int";
    u32, u32, c"unsigned int";
    isize, i32, c"long";
    usize, u32, c"unsigned long";
}

/// A pointer to user space with a type:
///
/// - `User<*const T>` is C's `const T __user *`, and `User<*mut T>` is `T __user *`;
/// - `User<CStr>` is `const char __user *`, and points to a string that ends with a NUL;
/// - `User<str>` is `const char __user *`, and points to text whose length is the next argument.
///
/// Tracing shows the string or the text.
///
/// The pointer comes from user space and may be wrong. It can only be converted to a [`UserPtr`],
/// whose users check each access.
///
/// # Examples
///
/// ```
/// use kernel::syscall::{
///     Arg,
///     User, //
/// };
///
/// let ptr = User::<*const c_char>::from_reg(0x1000);
/// assert!(!ptr.is_null());
/// assert_eq!(ptr.as_user_ptr().as_const_ptr() as usize, 0x1000);
/// ```
#[repr(transparent)]
pub struct User<P: ?Sized>(UserPtr, PhantomData<P>);

impl<P: ?Sized> Clone for User<P> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: ?Sized> Copy for User<P> {}

impl<P: ?Sized> User<P> {
    /// Returns whether this is `NULL`.
    #[inline]
    pub fn is_null(self) -> bool {
        self.0.as_const_ptr().is_null()
    }

    /// Returns the pointer to access user space by. Only that of a `User<*mut T>` is for writing.
    #[inline]
    pub fn as_user_ptr(self) -> UserPtr {
        self.0
    }
}

macro_rules! impl_pointer {
    ($([$($generics:tt)*] $ty:ty, $c:ty, $traced:expr, $new:expr;)*) => {$(
        impl<$($generics)*> private::Sealed for $ty {}

        impl<$($generics)*> Arg for $ty {
            type C = $c;

            const TRACED: Traced = $traced;

            #[inline(always)]
            fn from_reg(reg: usize) -> Self {
                $new(UserPtr::from_addr(reg))
            }
        }
    )*};
}

impl_pointer! {
    [] UserPtr, *mut c_void, Traced::Value(c"void *"), core::convert::identity;
    [T: Pointee] User<*const T>, *const T, Traced::Value(T::CONST), |ptr| User(ptr, PhantomData);
    [T: Pointee] User<*mut T>, *mut T, Traced::Value(T::MUT), |ptr| User(ptr, PhantomData);
    [] User<CStr>, *const c_char, Traced::CStr(c"const char *"), |ptr| User(ptr, PhantomData);
    [] User<str>, *const c_char, Traced::Str(c"const char *"), |ptr| User(ptr, PhantomData);
}

/// A type that a [`User`] can point to. Tracing shows its name in C.
#[diagnostic::on_unimplemented(
    note = "types that `User` can point to have their names in C in `impl_pointee!`, next to `Arg`"
)]
pub trait Pointee {
    /// The name in C of a pointer to a constant.
    const CONST: &'static CStr;

    /// The name in C of a pointer.
    const MUT: &'static CStr;
}

macro_rules! impl_pointee {
    ($($ty:ty: $name:literal,)*) => {$(
        impl Pointee for $ty {
            const CONST: &'static CStr = c_str!(concat!("const ", $name, " *"));
            const MUT: &'static CStr = c_str!(concat!($name, " *"));
        }
    )*};
}

impl_pointee! {
    c_void: "void",
    c_char: "char",
    i8: "signed char",
    i16: "short",
    u16: "unsigned short",
    i32: "int",
    u32: "unsigned int",
    i64: "long long",
    u64: "unsigned long long",
    isize: "long",
    usize: "unsigned long",
    bindings::pf_stat: "struct pf_stat",
}

/// A type that a system call can return.
///
/// `Err` becomes the negative errno. The value of an `Ok` must not lie in the range of the errnos,
/// -4095 to -1, which user space would take for an error.
///
/// # Examples
///
/// ```
/// use kernel::syscall::Return;
///
/// assert_eq!(Ok::<(), Error>(()).into_long(), 0);
/// assert_eq!(Ok::<i32, Error>(i32::MIN).into_long(), i32::MIN as c_long);
/// assert_eq!(Ok::<u32, Error>(u32::MAX).into_long(), u32::MAX as c_long);
/// assert_eq!(Err::<usize, Error>(EPERM).into_long(), -1);
/// ```
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
    ($($ok:ty, |$value:pat_param| $long:expr;)*) => {$(
        impl private::Sealed for Result<$ok> {}

        impl Return for Result<$ok> {
            #[inline(always)]
            fn into_long(self) -> c_long {
                match self {
                    Ok($value) => $long,
                    Err(error) => error.to_errno() as c_long,
                }
            }
        }
    )*};
}

impl_return! {
    (), |()| 0;
    i32, |value| value as c_long;
    u32, |value| value as c_long;
    isize, |value| value;
    usize, |value| value as c_long;
}

/// The entry of a function in the list of those that an error can be injected into.
///
/// # Invariants
///
/// The layout is that of `struct error_injection_entry`, whose address field cannot be an integer
/// here: the address is known to the linker only.
#[doc(hidden)]
#[repr(C)]
pub struct ErrorInjection(*const c_void, c_int);

// SAFETY: Nothing is ever read through the address.
unsafe impl Sync for ErrorInjection {}

impl ErrorInjection {
    /// Creates the entry of a function that returns 0 or a negative errno.
    pub const fn errno(addr: *const c_void) -> Self {
        // INVARIANT: A pointer is as wide as `unsigned long`.
        Self(addr, bindings::EI_ETYPE_ERRNO as c_int)
    }
}

/// What tracing shows of an argument besides its name and value: its type in C, and any string.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub enum Traced {
    /// No string.
    Value(&'static CStr),
    /// A string that ends with a NUL.
    CStr(&'static CStr),
    /// Text whose length is the next argument.
    Str(&'static CStr),
}

/// What tracing shows of the arguments of a system call.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct TracedArgs<const ARGS: usize> {
    names: [*const c_char; ARGS],
    types: [*const c_char; ARGS],
    /// The fields of `struct syscall_metadata`.
    user_mask: c_short,
    user_arg_size: i8,
    user_arg_is_str: bool,
}

impl<const ARGS: usize> TracedArgs<ARGS> {
    /// Collects what tracing shows of the arguments.
    pub const fn new(names: [&'static CStr; ARGS], args: [Traced; ARGS]) -> Self {
        let mut this = Self {
            names: [core::ptr::null(); ARGS],
            types: [core::ptr::null(); ARGS],
            user_mask: 0,
            user_arg_size: -1,
            user_arg_is_str: false,
        };
        let mut i = 0;

        while i < ARGS {
            let (Traced::Value(ty) | Traced::CStr(ty) | Traced::Str(ty)) = args[i];
            this.names[i] = as_char_ptr_in_const_context(names[i]);
            this.types[i] = as_char_ptr_in_const_context(ty);
            if !matches!(args[i], Traced::Value(_)) {
                this.user_mask |= 1 << i;
            }
            if matches!(args[i], Traced::Str(_)) {
                assert!(i + 1 < ARGS, "the argument after `User<str>` is its length");
                this.user_arg_size = i as i8 + 1;
                this.user_arg_is_str = true;
            }
            i += 1;
        }

        let strings = this.user_mask.count_ones();
        assert!(strings <= 3, "an event has room for three strings");
        assert!(
            strings == 1 || !this.user_arg_is_str,
            "a `User<str>` is the only string of a system call"
        );
        this
    }
}

/// What ftrace, perf and bpf know of a system call, and its events: `SYSCALL_METADATA()`.
#[doc(hidden)]
#[cfg(CONFIG_FTRACE_SYSCALLS)]
#[repr(C)]
pub struct Metadata<const ARGS: usize> {
    /// The first, so that a pointer to all of this is one to `struct syscall_metadata`.
    syscall: bindings::syscall_metadata,
    enter: bindings::trace_event_call,
    exit: bindings::trace_event_call,
    args: TracedArgs<ARGS>,
}

#[cfg(CONFIG_FTRACE_SYSCALLS)]
impl<const ARGS: usize> Metadata<ARGS> {
    /// Creates what is to be at `this`, from the names of the system call and of its two events.
    pub const fn new(this: *mut Self, events: [&'static CStr; 3], args: TracedArgs<ARGS>) -> Self {
        let [name, enter, exit] = events;
        let (types, names) = if ARGS == 0 {
            (null_mut(), null_mut())
        } else {
            (
                Self::field(this, offset_of!(Self, args.types)),
                Self::field(this, offset_of!(Self, args.names)),
            )
        };
        let [enter_event, exit_event] = Self::events(this);
        let fields = Self::field(this, offset_of!(Self, syscall.enter_fields));
        let bits = if cfg!(target_endian = "little") {
            ARGS as u8 | (args.user_arg_is_str as u8) << 7
        } else {
            (ARGS as u8) << 1 | args.user_arg_is_str as u8
        };

        // Some versions of bindgen add a field of their own.
        #[allow(clippy::needless_update)]
        let syscall = bindings::syscall_metadata {
            name: as_char_ptr_in_const_context(name),
            // Filled in at boot.
            syscall_nr: -1,
            // `nb_args` has seven bits, `user_arg_is_str` one.
            _bitfield_1: bindings::__BindgenBitfieldUnit::new([bits]),
            user_arg_size: args.user_arg_size,
            user_mask: args.user_mask,
            types,
            args: names,
            enter_fields: bindings::list_head {
                next: fields,
                prev: fields,
            },
            enter_event,
            exit_event,
            ..pin_init::zeroed()
        };

        Self {
            syscall,
            enter: Self::event(
                this,
                enter,
                &raw mut bindings::event_class_syscall_enter,
                &raw mut bindings::enter_syscall_print_funcs,
            ),
            exit: Self::event(
                this,
                exit,
                &raw mut bindings::event_class_syscall_exit,
                &raw mut bindings::exit_syscall_print_funcs,
            ),
            args,
        }
    }

    const fn event(
        this: *mut Self,
        name: &'static CStr,
        class: *mut bindings::trace_event_class,
        funcs: *mut bindings::trace_event_functions,
    ) -> bindings::trace_event_call {
        bindings::trace_event_call {
            class,
            __bindgen_anon_1: bindings::trace_event_call__bindgen_ty_1 {
                name: as_char_ptr_in_const_context(name).cast_mut(),
            },
            event: bindings::trace_event {
                funcs,
                ..pin_init::zeroed()
            },
            data: this.cast(),
            flags: bindings::TRACE_EVENT_FL_CAP_ANY as c_int,
            ..pin_init::zeroed()
        }
    }

    /// Returns where the events are, for the section of pointers to events.
    pub const fn events(this: *mut Self) -> [*mut bindings::trace_event_call; 2] {
        [
            Self::field(this, offset_of!(Self, enter)),
            Self::field(this, offset_of!(Self, exit)),
        ]
    }

    /// Returns where the field at `offset` is.
    const fn field<T>(this: *mut Self, offset: usize) -> *mut T {
        this.wrapping_byte_add(offset).cast()
    }
}
