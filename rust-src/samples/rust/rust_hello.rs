// SPDX-License-Identifier: GPL-2.0

//! Rust sample of a module with a parameter, and with a function for other modules.
//!
//! `modprobe rust_hello greetings=3` logs three greetings. `rust_hello_user.rs` is a module that
//! uses the function.

use kernel::{
    export_symbol_gpl,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

module! {
    type: RustHello,
    name: "rust_hello",
    authors: ["Rust for Linux Contributors"],
    description: "Rust sample of a module with a parameter and an exported function",
    license: "GPL",
    params: {
        greetings: u8 {
            default: 1,
            description: "How many greetings to log when the module is loaded",
        },
    },
}

/// The number of greetings so far.
static GREETED: Atomic<u32> = Atomic::new(0);

/// Logs a greeting. Returns the number of greetings so far.
#[no_mangle]
pub extern "C" fn rust_hello_greet() -> c_uint {
    let number = GREETED.fetch_add(1, Relaxed).wrapping_add(1);
    pr_info!("Hello, world! Greeting number {number}\n");
    number
}
export_symbol_gpl!(rust_hello_greet);

struct RustHello;

impl kernel::Module for RustHello {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        for _ in 0..module_parameters::greetings.value() {
            rust_hello_greet();
        }
        Ok(RustHello)
    }
}

impl Drop for RustHello {
    fn drop(&mut self) {
        pr_info!("Goodbye after {} greetings\n", GREETED.load(Relaxed));
    }
}
