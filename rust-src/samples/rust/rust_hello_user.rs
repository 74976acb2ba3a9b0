// SPDX-License-Identifier: GPL-2.0

//! Rust sample of a module that uses a function of another module, `rust_hello.rs`.
//!
//! `modprobe` loads the other module first. It cannot be removed while this one is loaded.

use kernel::prelude::*;

module! {
    type: RustHelloUser,
    name: "rust_hello_user",
    authors: ["Rust for Linux Contributors"],
    description: "Rust sample of a module that uses a function of another one",
    license: "GPL",
}

extern "C" {
    /// Logs a greeting. Returns the number of greetings so far.
    fn rust_hello_greet() -> c_uint;
}

struct RustHelloUser;

impl kernel::Module for RustHelloUser {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: The declaration matches the definition in `rust_hello.rs`. The function may be
        // called at any time: its module cannot go away as long as this one uses its symbol.
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
