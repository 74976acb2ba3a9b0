// SPDX-License-Identifier: GPL-2.0

//! Tests of the samples rust_hello and rust_hello_user: modules written in Rust, one with a
//! parameter and a function that the other one uses.

#![no_std]
#![no_main]

use core::ffi::CStr;
use harness::io;
use harness::module;
use harness::sys::EAGAIN;
use harness::sys::EEXIST;
use harness::sys::EINVAL;
use harness::sys::ENOENT;
use harness::sys::EPERM;
use harness::*;

const HELLO: &CStr = c"rust_hello";
const USER: &CStr = c"rust_hello_user";
const PREFIX: &str = "rust_hello";

/// Loads rust_hello, and expects this many greetings.
fn greets(params: &CStr, times: u32) {
    let mut log = Log::end(PREFIX);
    let hello = Module::load(HELLO, params).unwrap();
    for number in 1..=times {
        expect_log!(
            log,
            INFO,
            "rust_hello: Hello, world! Greeting number {number}"
        );
    }
    hello.unload();
    expect_log!(log, INFO, "rust_hello: Goodbye after {times} greetings");
    log.expect_end();
}

/// Runs a program. Returns its exit status.
fn run(path: &CStr, argv: &[&CStr]) -> Status {
    let child = Child::fork(|| {
        let err = sys::execve(path, argv);
        panic!("{path:?}: {err:?}");
    });
    child.unwrap().wait().unwrap()
}

tests! {
    setup {
        module::clean_up(&[USER, HELLO]);
    }

    /// The parameter sets the number of greetings.
    fn greets_as_told() {
        greets(c"", 1);
        greets(c"greetings=3", 3);
        greets(c"greetings=0", 0);
        greets(c"greetings=0x10", 16);
    }

    /// With any other value, the module is not loaded and nothing happens.
    fn refuses_other_values() {
        let mut log = Log::end("rust_hello: Hello");
        for params in [
            c"greetings=256",
            c"greetings=-1",
            c"greetings=many",
            c"greetings=",
            c"greetings",
        ] {
            expect_eq!(module::load(HELLO, params), Err(EINVAL), "{params:?}");
            expect!(!module::is_loaded(HELLO));
        }
        log.expect_end();
    }

    /// Only one module of a name can be loaded.
    fn is_loaded_once() {
        let hello = Module::load(HELLO, c"").unwrap();
        expect_eq!(module::load(HELLO, c""), Err(EEXIST));
        hello.unload();
        expect_eq!(sys::delete_module(HELLO), Err(ENOENT));
    }

    /// Loading a module needs privilege.
    fn needs_privilege() {
        let child = Child::fork(|| {
            sys::setresuid(1000).unwrap();
            expect_eq!(module::load(HELLO, c""), Err(EPERM));
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        let hello = Module::load(HELLO, c"").unwrap();
        let child = Child::fork(|| {
            sys::setresuid(1000).unwrap();
            expect_eq!(sys::delete_module(HELLO), Err(EPERM));
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        hello.unload();
    }

    /// Without the module that has the function, the other one cannot be linked.
    fn user_needs_the_other() {
        let mut log = Log::end("rust_hello_user: ");
        expect_eq!(module::load(USER, c""), Err(ENOENT));
        expect_log!(log, WARNING, "rust_hello_user: Unknown symbol rust_hello_greet (err -2)");
        log.expect_end();
        expect!(!module::is_loaded(USER));
    }

    /// The function works across modules, and its module stays loaded as long as it can be called.
    fn user_holds_the_other() {
        let mut log = Log::end(PREFIX);
        let hello = Module::load(HELLO, c"greetings=2").unwrap();
        let user = Module::load(USER, c"").unwrap();
        for number in 1..=3 {
            expect_log!(log, INFO, "rust_hello: Hello, world! Greeting number {number}");
        }
        expect_log!(log, INFO, "rust_hello_user: That was greeting number 3");

        let held = |entry: &str| entry.contains(" 1 rust_hello_user, Live");
        expect_eq!(module::with_entry(HELLO, held), Some(true));
        expect_eq!(hello.try_unload(), Err(EAGAIN));

        user.unload();
        expect_log!(log, INFO, "rust_hello_user: Goodbye");
        hello.unload();
        expect_log!(log, INFO, "rust_hello: Goodbye after 3 greetings");
        log.expect_end();
    }

    /// modprobe knows which modules a module needs, from what depmod found in it.
    fn modprobe_loads_both() {
        let mut log = Log::end(PREFIX);
        let status = run(c"/sbin/modprobe", &[c"modprobe", USER]);
        expect_eq!(status, Status::Exited(0));
        expect_log!(log, INFO, "rust_hello: Hello, world! Greeting number 1");
        expect_log!(log, INFO, "rust_hello: Hello, world! Greeting number 2");
        expect_log!(log, INFO, "rust_hello_user: That was greeting number 2");
        expect!(module::is_loaded(HELLO) && module::is_loaded(USER));

        // modprobe also removes a module that is no longer needed.
        let status = run(c"/sbin/modprobe", &[c"modprobe", c"-r", USER]);
        expect_eq!(status, Status::Exited(0));
        expect!(!module::is_loaded(HELLO) && !module::is_loaded(USER));
    }

    /// The information about a module.
    fn has_information() {
        let mut release = [0; 6 * 65];
        let release = sys::release(&mut release).unwrap();
        let path = text!("/lib/modules/{release}/kernel/samples/rust/rust_hello.ko");
        let mut buf = Mapping::new(256, sys::MAP_PRIVATE).unwrap();
        let Ok(file) = io::File::open(path.as_cstr(), sys::O_RDONLY) else {
            skip!("no module");
        };
        let image = file.read_all(buf.bytes()).unwrap();
        for entry in [
            &b"license=GPL\0"[..],
            b"parm=greetings:How many greetings to log when the module is loaded\0",
            b"parmtype=greetings:u8\0",
        ] {
            expect!(
                image.windows(entry.len()).any(|bytes| bytes == entry),
                "{}",
                entry.escape_ascii()
            );
        }
    }

    /// Repeated loading and unloading.
    fn comes_and_goes(timeout: 300) {
        for _ in 0..50 {
            let hello = Module::load(HELLO, c"").unwrap();
            let user = Module::load(USER, c"").unwrap();
            user.unload();
            hello.unload();
        }
    }
}
