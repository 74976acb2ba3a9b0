// SPDX-License-Identifier: GPL-2.0

//! What user-space programs in Rust need without libc or std.
//!
//! This is to Rust what nolibc is to C. A program is a crate that uses this one, names its main
//! function, and says what to do when it panics:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! use rt::*;
//!
//! program!(main);
//!
//! fn main(args: Args) -> i32 {
//!     println!("{} arguments", args.iter().count());
//!     0
//! }
//!
//! #[panic_handler]
//! fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
//!     sys::exit_group(1)
//! }
//! ```
//!
//! It becomes a static program that runs on any kernel of its architecture. There are three levels:
//!
//! 1. [`syscall!`] is the raw call: it takes numbers and returns the kernel's return register.
//! 2. [`sys`] has typed calls that return a [`Result`](sys::Result) with an [`Errno`]. [`calls`]
//!    has those that are written in Rust.
//! 3. [`io`] and [`mem`] offer what you would expect of a library: files, formatted text, memory.
//!
//! There is no heap: buffers have a fixed size or are [`Mapping`]s.

#![no_std]
#![warn(missing_docs)]
// The kernel's clippy.toml disallows methods because of the kernel's own `c_char`.
#![allow(clippy::disallowed_methods)]

#[cfg(target_arch = "x86")]
#[path = "i386.rs"]
pub mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
pub mod arch;
pub mod calls;
pub mod io;
pub mod mem;
pub mod sys;

pub use io::File;
pub use io::Text;
pub use mem::Mapping;
pub use sys::Errno;
pub use sys::Status;

use core::ffi::c_char;
use core::ffi::CStr;

/// The arguments of the program, without its name.
#[derive(Clone, Copy)]
pub struct Args {
    /// C's `argv`.
    argv: *const *const c_char,
}

impl Args {
    /// Creates an empty list.
    pub fn none() -> Args {
        // No name, and the null pointers that end the arguments and the environment.
        const NONE: &[usize; 3] = &[0; 3];
        Args {
            argv: NONE.as_ptr().cast(),
        }
    }

    /// Returns the arguments as the kernel passed them.
    pub fn c_strs(self) -> impl Iterator<Item = &'static CStr> {
        // SAFETY: The kernel puts a null pointer after the last one, and never changes or frees
        // them.
        let args = (1..).map_while(move |i| unsafe {
            let arg = *self.argv.add(i);
            (!arg.is_null()).then(|| CStr::from_ptr(arg))
        });
        // The environment follows the null pointer.
        args.fuse()
    }

    /// Returns the arguments. An argument that is not UTF-8 is replaced by "?".
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        self.c_strs().map(|arg| arg.to_str().unwrap_or("?"))
    }

    /// Returns the value of an environment variable.
    pub fn env_bytes(self, name: &str) -> Option<&'static [u8]> {
        // The environment follows the arguments and their null pointer.
        let argc = self.c_strs().count() + 1;
        (argc + 1..)
            .map_while(|i| {
                // SAFETY: The kernel puts a null pointer after the last one, and never changes or
                // frees them.
                unsafe {
                    let var = *self.argv.add(i);
                    (!var.is_null()).then(|| CStr::from_ptr(var).to_bytes())
                }
            })
            .find_map(|var| var.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// Returns the value of an environment variable, if it is UTF-8.
    pub fn env(self, name: &str) -> Option<&'static str> {
        core::str::from_utf8(self.env_bytes(name)?).ok()
    }

    /// Returns the arguments without the first `count`.
    pub fn skip(self, count: usize) -> Args {
        let count = count.min(self.c_strs().count());
        Args {
            // SAFETY: There are that many, and a null pointer.
            argv: unsafe { self.argv.add(count) },
        }
    }

    /// Runs another program with these arguments, the first of which is its name, and with the
    /// same environment.
    pub fn exec(self, path: &CStr) -> Errno {
        // The environment follows the arguments and their null pointer.
        let argv = self.argv.wrapping_add(1);
        let envp = argv.wrapping_add(self.c_strs().count() + 1);
        // SAFETY: The kernel only reads memory.
        let ret = unsafe { syscall!(sys::nr::EXECVE, sys::addr(path), argv, envp) };
        sys::check(ret).expect_err("execve() returned without an error")
    }

    /// Returns whether there are no arguments.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }
}

/// Defines the program as a function from [`Args`] to its exit status: `program!(main)`.
#[macro_export]
macro_rules! program {
    ($main:expr) => {
        /// Called when the program starts.
        #[no_mangle]
        fn program(args: $crate::Args) -> i32 {
            let main: fn($crate::Args) -> i32 = $main;
            main(args)
        }
    };
}

/// Called by `_start` with the stack as the kernel set it up.
extern "C" fn start(stack: *const usize) -> ! {
    extern "Rust" {
        fn program(args: Args) -> i32;
    }

    // The stack starts with argc. SAFETY: The kernel sets it up this way.
    let argv = unsafe { stack.add(1) }.cast();
    // SAFETY: `program!` defines it with this signature.
    sys::exit_group(unsafe { program(Args { argv }) })
}
