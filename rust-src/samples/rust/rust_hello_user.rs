// SPDX-License-Identifier: GPL-2.0

//! Rust sample of a module that uses a function of another one, `rust_hello.rs`.
//!
//! `modprobe` loads the other one first, and while this module is there, the other one cannot be
//! removed.

use kernel::prelude::*;

module! {
    type: RustHelloUser,
    name: "rust_hello_user",
    authors: ["Rust for Linux Contributors"],
    description: "Rust sample of a module that uses a function of another one",
    license: "GPL",
}

extern "C" {
    /// Logs a greeting. Returns how many there have been.
    fn rust_hello_greet() -> c_uint;
}

struct RustHelloUser;

impl kernel::Module for RustHelloUser {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: It is declared here as it is defined in `rust_hello.rs`, and may be called at any
        // time: its module cannot go away as long as this one uses its symbol.
        let number = unsafe { rust_hello_greet() };
        pr_info!("That was greeting number {number}\n");
        Ok(RustHelloUser)
    }
}

impl Drop for RustHelloUser {
    fn drop(&mut self) {
        pr_info!("Goodbye\n");
    }
}
