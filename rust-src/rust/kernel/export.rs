// SPDX-License-Identifier: GPL-2.0

//! Exporting functions to other modules.
//!
//! C header: [`include/linux/export.h`](srctree/include/linux/export.h)

/// Exports a function to modules that have a license compatible with the GPL, as C's
/// `EXPORT_SYMBOL_GPL()` does.
///
/// The function has to be `#[no_mangle]` and `extern "C"`, whether those that use it are written in
/// C or in Rust: the names and calling conventions of other functions are the compiler's own. Users
/// written in Rust declare it in an `extern "C"` block. Nothing holds such a declaration against
/// the function; a function that has a declaration in a C header of the kernel is better served by
/// `#[export]`, which does.
///
/// There is no version for `CONFIG_MODVERSIONS`: modpost warns of it.
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
/// // SAFETY: It is declared here as it is defined there, and has no requirements.
/// let answer = unsafe { my_answer() };
/// ```
#[macro_export]
macro_rules! export_symbol_gpl {
    ($function:ident) => {
        // This is `___EXPORT_SYMBOL()`, which modpost turns into an entry of the symbol table.
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
