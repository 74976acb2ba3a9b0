// SPDX-License-Identifier: GPL-2.0

//! A harness for user-space tests in Rust, without libc or std.
//!
//! This is to Rust what `kselftest_harness.h` and nolibc are to C: a test program is a crate that
//! uses this one. It becomes a static program that runs on any kernel of its architecture.
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
//!     // Optional: runs before each test, in its process.
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
//! [`tests!`] declares the tests and the entry point of the program. Each test runs in a forked
//! process, for at most [`test::TIMEOUT`] seconds or its own timeout; processes that it leaves
//! behind are killed. The output is KTAP. The arguments of the program name the tests to run;
//! without arguments, all are run. The environment variable `TIMEOUT_FACTOR` multiplies the
//! timeouts, for a kernel that debugging options make slow.
//!
//! - [`expect!`] and [`expect_eq!`] record a failure and go on, in any thread or process of the
//!   test.
//! - `assert!`, `assert_eq!`, `unwrap()` and `panic!` end the process that calls them, and make the
//!   test fail, whichever of its processes that is.
//! - [`skip!`] ends the test with a reason.
//! - [`expect_log!`] and [`klog::Log`] check what the kernel logs.
//!
//! # Three levels
//!
//! 1. [`syscall!`] is the raw call: it takes numbers and returns the kernel's return register.
//! 2. [`sys`] has typed calls that return a [`Result`](sys::Result) with an [`Errno`]. [`calls`]
//!    has the calls under test.
//! 3. [`io`], [`mem`], [`task`], [`klog`], [`trace`], [`module`] and [`cgroup`] offer what you
//!    would expect of a library: files and formatted text, memory, processes and threads, the
//!    kernel log, trace events, kernel modules, and control groups.
//!
//! The first two levels and the beginning of the third are in `tools/lib/rust`.
//!
//! There is no heap: buffers have a fixed size or are [`Mapping`]s.

#![no_std]
#![warn(missing_docs)]
// The kernel's clippy.toml disallows methods because of the kernel's own `c_char`.
#![allow(clippy::disallowed_methods)]

pub mod calls;
pub mod cgroup;
pub mod cow;
pub mod failslab;
pub mod klog;
pub mod maps;
pub mod mem;
pub mod meminfo;
pub mod module;
pub mod race;
pub mod task;
pub mod taskstats;
pub mod test;
pub mod trace;
pub mod uring;
pub mod vcpu;

pub use klog::Log;
pub use mem::Mapping;
pub use module::Module;
pub use rt::arch;
pub use rt::io;
pub use rt::io::File;
pub use rt::io::Text;
pub use rt::println;
pub use rt::program;
pub use rt::sys;
pub use rt::sys::Errno;
pub use rt::sys::Status;
pub use rt::syscall;
pub use rt::text;
pub use rt::Args;
pub use task::Child;
pub use task::Thread;
pub use task::Turnstile;
pub use trace::Trace;

use core::panic::PanicInfo;

/// A panic is a failed test, in whichever of its threads or processes it occurs.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => test::fail_at(place, format_args!("{}", info.message())),
        None => diag!("{info}"),
    }
    sys::exit_group(1)
}

/// Returns whether this program runs on a kernel of its own width, as opposed to the IA32 emulation
/// of an x86-64 kernel.
pub fn native() -> bool {
    let mut buf = [0; 6 * 65];
    cfg!(target_arch = "x86_64") || sys::machine(&mut buf).expect("uname") != "x86_64"
}
