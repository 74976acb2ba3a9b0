// SPDX-License-Identifier: GPL-2.0

//! A harness for user-space tests in Rust, without libc or std.
//!
//! It is to Rust what `kselftest_harness.h` and nolibc are to C: a test program is one crate that
//! uses this one, and becomes a static program that any kernel of the architecture can start.
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! //! What the program tests.
//!
//! use harness::*;
//!
//! tests! {
//!     // Optional: in the process of each test, before it.
//!     setup {
//!         calls::need("hello", calls::hello(0));
//!     }
//!
//!     /// What this test shows.
//!     fn greets() {
//!         let mut log = Log::end("Hello World");
//!         expect_eq!(calls::hello(42), Ok(0));
//!         expect_log!(log, ALERT, "Hello World, i'm sys_hello with arg: {}", 42);
//!     }
//!
//!     fn takes_its_time(timeout: 300) {
//!         let child = Child::fork(|| expect!(sys::getpid() > 1)).unwrap();
//!         assert_eq!(child.wait(), Ok(Status::Exited(0)));
//!     }
//! }
//! ```
//!
//! # Tests
//!
//! [`tests!`] declares the tests and the program's entry. Each runs in a forked process, for at
//! most [`test::TIMEOUT`] seconds or as many as it asks for; what it leaves running is killed. The
//! output is KTAP. Arguments of the program name the tests to run; without any, all are run.
//!
//! - [`expect!`] and [`expect_eq!`] note a failure and go on, in any thread or process of the test.
//! - `assert!`, `assert_eq!`, `unwrap()` and `panic!` end the process that they are in, and are a
//!   failure of the test, whichever of its processes that is.
//! - [`skip!`] ends the test with a reason.
//! - [`expect_log!`] and [`klog::Log`] look at what the kernel logs.
//!
//! # Three levels
//!
//! 1. [`syscall!`] is the raw call: numbers in, what the kernel left in the register out.
//! 2. [`sys`] has typed calls that return a [`Result`](sys::Result) with an [`Errno`]; [`calls`]
//!    has those that are tested here.
//! 3. [`io`], [`mem`], [`task`], [`klog`], [`trace`], [`module`] and [`cgroup`] are what one would
//!    expect of a library: files and formatted text, memory, processes and threads, the kernel log,
//!    trace events, kernel modules, control groups.
//!
//! There is no heap: buffers have a fixed size, or are [`Mapping`]s.

#![no_std]
#![warn(missing_docs)]
// What the kernel's clippy.toml disallows is about its own `c_char`.
#![allow(clippy::disallowed_methods)]

#[cfg(target_arch = "x86")]
#[path = "i386.rs"]
pub mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
pub mod arch;
pub mod calls;
pub mod cgroup;
pub mod cow;
pub mod failslab;
pub mod io;
pub mod klog;
pub mod maps;
pub mod mem;
pub mod meminfo;
pub mod module;
pub mod race;
pub mod sys;
pub mod task;
pub mod taskstats;
pub mod test;
pub mod trace;
pub mod uring;
pub mod vcpu;

pub use io::File;
pub use io::Text;
pub use klog::Log;
pub use mem::Mapping;
pub use module::Module;
pub use sys::Errno;
pub use sys::Status;
pub use task::Child;
pub use task::Thread;
pub use task::Turnstile;
pub use trace::Trace;

use core::ffi::c_char;
use core::ffi::CStr;
use core::panic::PanicInfo;

/// The arguments of the program, without its name.
#[derive(Clone, Copy)]
pub struct Args {
    /// C's `argv`.
    argv: *const *const c_char,
}

impl Args {
    /// No arguments.
    pub fn none() -> Args {
        const NONE: &[usize; 2] = &[0; 2];
        Args {
            argv: NONE.as_ptr().cast(),
        }
    }

    /// The arguments, one by one, as the kernel has them.
    pub fn c_strs(self) -> impl Iterator<Item = &'static CStr> {
        // SAFETY: The kernel puts a null pointer behind the last one and lets all of them be.
        let args = (1..).map_while(move |i| unsafe {
            let arg = *self.argv.add(i);
            (!arg.is_null()).then(|| CStr::from_ptr(arg))
        });
        // Behind the null pointer is the environment.
        args.fuse()
    }

    /// The arguments, one by one. One that is not UTF-8 is shown as "?".
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        self.c_strs().map(|arg| arg.to_str().unwrap_or("?"))
    }

    /// The value of a variable of the environment, when it is UTF-8.
    pub fn env(self, name: &str) -> Option<&'static str> {
        // The environment comes behind the arguments and their null pointer.
        let argc = self.iter().count() + 1;
        (argc + 1..)
            .map_while(|i| {
                // SAFETY: The kernel puts a null pointer behind the last one and lets all be.
                unsafe {
                    let var = *self.argv.add(i);
                    (!var.is_null()).then(|| CStr::from_ptr(var).to_str().unwrap_or(""))
                }
            })
            .filter_map(|var| var.split_once('='))
            .find(|(var, _)| *var == name)
            .map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }
}

/// Makes a function from [`Args`] to the exit status the program: `program!(main)`.
#[macro_export]
macro_rules! program {
    ($main:expr) => {
        /// Called by the harness.
        #[no_mangle]
        fn program(args: $crate::Args) -> i32 {
            let main: fn($crate::Args) -> i32 = $main;
            main(args)
        }
    };
}

/// What `_start` calls with the stack as the kernel made it.
extern "C" fn start(stack: *const usize) -> ! {
    extern "Rust" {
        fn program(args: Args) -> i32;
    }

    // argc comes first. SAFETY: So the kernel does it.
    let argv = unsafe { stack.add(1) }.cast();
    // SAFETY: `program!` defines it with this signature.
    sys::exit_group(unsafe { program(Args { argv }) })
}

/// A panic is a failed test, whichever thread or process of the test it is in.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => test::fail_at(place, format_args!("{}", info.message())),
        None => diag!("{info}"),
    }
    sys::exit_group(1)
}

/// Whether this program runs on a kernel of its own width; if not, on an x86-64 kernel's IA32
/// emulation.
pub fn native() -> bool {
    let mut buf = [0; 6 * 65];
    cfg!(target_arch = "x86_64") || sys::machine(&mut buf).expect("uname") != "x86_64"
}
