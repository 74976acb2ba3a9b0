// SPDX-License-Identifier: GPL-2.0

//! Exports functions to other modules.
//!
//! C header: [`include/linux/export.h`](srctree/include/linux/export.h)

/// Exports a function to modules with a GPL-compatible license, as C's `EXPORT_SYMBOL_GPL()` does.
///
/// The function must be `#[no_mangle]` and `extern "C"`, whether its users are written in C or in
/// Rust: otherwise the compiler chooses its symbol name and calling convention. Users in Rust
/// declare it in an `extern "C"` block. Nothing checks such a declaration against the function. If
/// the function has a declaration in a C header of the kernel, use `#[export]` instead, which
/// checks it.
///
/// There is no version for `CONFIG_MODVERSIONS`: modpost warns about it.
///
/// # Examples
///
/// ```ignore
/// /// Returns the answer.
/// #[no_mangle]
/// pub extern "C" fn my_answer() -> c_uint {
///     42
/// }
/// kernel::export_symbol_gpl!(my_answer);
/// ```
///
/// A module that uses it:
///
/// ```ignore
/// extern "C" {
///     fn my_answer() -> c_uint;
/// }
///
/// // SAFETY: The declaration matches the definition, which has no requirements.
/// let answer = unsafe { my_answer() };
/// ```
#[macro_export]
macro_rules! export_symbol_gpl {
    ($function:ident) => {
        // This is `___EXPORT_SYMBOL()`, which modpost turns into a symbol table entry.
        ::core::arch::global_asm!(
            ".pushsection .export_symbol, \"a\"",
            concat!("__export_symbol_", stringify!($function), ":"),
            ".asciz \"GPL\"",
            ".asciz \"\"",
            $crate::__export_symbol_ref!(),
            ".popsection",
            function = sym $function,
        );
    };
}

/// `__EXPORT_SYMBOL_REF()`.
#[cfg(CONFIG_64BIT)]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_symbol_ref {
    () => {
        ".balign 8\n.quad {function}"
    };
}

/// `__EXPORT_SYMBOL_REF()`.
#[cfg(not(CONFIG_64BIT))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_symbol_ref {
    () => {
        ".balign 4\n.long {function}"
    };
}
