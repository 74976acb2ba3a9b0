// SPDX-License-Identifier: GPL-2.0

//! Tests of `hello()`: its result, log line, number and trace events.

#![no_std]
#![no_main]

use harness::*;

const GREETING: &str = "Hello World, i'm sys_hello with arg: ";

/// Expects that `hello()` with this argument logs this number, and nothing else.
#[track_caller]
fn expect_greeting(arg: usize, logged: i64) {
    let mut log = Log::end(GREETING);
    expect_eq!(calls::hello(arg), Ok(0));
    expect_log!(log, ALERT, "{GREETING}{logged}");
    log.expect_end();
}

/// Returns an argument as the kernel's `long`. For 32-bit programs on x86-64, that is wider than
/// ours and its upper half is zero, so it is never negative.
fn as_kernel_long(arg: isize) -> i64 {
    if native() {
        arg as i64
    } else {
        i64::from(arg as u32)
    }
}

tests! {
    setup {
        calls::need("hello", calls::hello(0));
    }

    fn returns_0_and_logs_its_argument() {
        for arg in [42, 0, 1, 7_654_321] {
            expect_greeting(arg, arg as i64);
        }
    }

    /// The argument is logged as a signed long.
    fn logs_a_signed_long() {
        for arg in [
            -1,
            -42,
            isize::MIN,
            isize::MAX,
            i32::MIN as isize,
            i32::MAX as isize,
        ] {
            expect_greeting(arg as usize, as_kernel_long(arg));
        }
    }

    /// Only the first of the six registers is used.
    fn ignores_further_arguments() {
        let mut log = Log::end(GREETING);
        // SAFETY: hello() touches no memory of ours.
        let ret = unsafe {
            syscall!(
                calls::nr::HELLO,
                42,
                -1isize,
                -2isize,
                -3isize,
                -4isize,
                -5isize
            )
        };
        expect_eq!(ret, 0);
        expect_log!(log, ALERT, "{GREETING}42");
        log.expect_end();
    }

    /// The IA32 emulation uses the lower half of a register and ignores the upper half.
    #[cfg(target_arch = "x86_64")]
    fn takes_32_bits_from_int_0x80() {
        let mut log = Log::end(GREETING);
        for arg in [
            0xdead_beef_ffff_ffff,
            0xffff_ffff_8000_0000,
            0x1234_5678_0000_002a,
        ] {
            let child = Child::fork(|| {
                // SAFETY: hello() touches no memory of ours.
                expect_eq!(unsafe { arch::int_0x80(calls::nr::HELLO, arg) }, 0);
            });
            match child.unwrap().wait() {
                Ok(Status::Killed(sys::SIGSEGV)) => skip!("no IA32 emulation"),
                status => expect_eq!(status, Ok(Status::Exited(0))),
            }
            expect_log!(log, ALERT, "{GREETING}{}", arg as u32);
        }
        log.expect_end();
    }

    /// Calls from several processes and threads log one line each.
    fn logs_each_call() {
        const THREADS: usize = 8;
        let mut log = Log::end(GREETING);
        let threads = [0; THREADS].map(|_| {
            Thread::spawn(|| {
                expect_eq!(calls::hello(1), Ok(0));
            })
        });
        for thread in threads {
            thread.unwrap().join();
        }
        let child = Child::fork(|| {
            expect_eq!(calls::hello(1), Ok(0));
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        for _ in 0..=THREADS {
            expect_log!(log, ALERT, "{GREETING}1");
        }
        log.expect_end();
    }

    /// Dozens of calls by a user are logged, but a flood is not.
    fn does_not_fill_the_log(timeout: 300) {
        klog::expect_limit(GREETING, || calls::hello(7));
    }

    /// Numbers 512 to 547 are reserved for x32. Numbers beyond that are free, except ours: each
    /// call has only one number.
    fn other_numbers_stay_free() {
        let ours = calls::nr::all();
        for nr in (512..600).filter(|nr| !ours.contains(nr)) {
            // SAFETY: If the call exists, it gets no valid address.
            let ret = unsafe { syscall!(nr, 0, 0, 0, 0, 0, 0) };
            expect_eq!(sys::check(ret), Err(sys::ENOSYS), "system call {nr}");
        }
    }

    /// x32 programs do not have these calls, because their `long` is different.
    fn x32_has_no_such_calls() {
        const X32_SYSCALL_BIT: usize = 0x4000_0000;
        let mut log = Log::end(GREETING);
        // SAFETY: hello() touches no memory of ours.
        let ret = unsafe { syscall!(X32_SYSCALL_BIT + calls::nr::HELLO, 42) };
        expect_eq!(sys::check(ret), Err(sys::ENOSYS));
        log.expect_end();
    }

    /// ftrace knows the name, argument and result of the call.
    fn has_trace_events() {
        let (enter, exit) = ("syscalls/sys_enter_hello", "syscalls/sys_exit_hello");
        let trace = Trace::start(&[enter, exit]);
        let mut buf = [0; 8192];

        let format = trace.read(text!("events/{enter}/format").as_str(), &mut buf);
        expect!(format.contains("name: sys_enter_hello\n"), "{format}");
        expect!(format.contains("field:unsigned long i;"), "{format}");
        let format = trace.read(text!("events/{exit}/format").as_str(), &mut buf);
        expect!(format.contains("name: sys_exit_hello\n"), "{format}");
        expect!(format.contains("field:long ret;"), "{format}");

        expect_eq!(calls::hello(0x2a), Ok(0));
        let events = trace.read("trace", &mut buf);
        // By design, the kernel does not trace calls through the IA32 emulation.
        expect_eq!(
            events.contains(": sys_hello(i: 0x2a)\n"),
            native(),
            "{events}"
        );
        expect_eq!(
            events.contains(": sys_hello -> 0x0\n"),
            native(),
            "{events}"
        );
    }
}
