// SPDX-License-Identifier: GPL-2.0

//! Shows `make_vcpu` at work:
//!
//! ```text
//! vcpu_threads THREADS [PID]
//! ```
//!
//! Starts this many threads, calls `make_vcpu` on its own process or on the one given by PID, and
//! prints the mark of each thread of that process before and after.

#![no_std]
#![no_main]

use harness::vcpu;
use harness::vcpu::MAX_THREADS;
use harness::*;

static END: Turnstile = Turnstile::new();

fn print_marks(pid: i32) -> sys::Result<()> {
    for tid in io::ids(text!("/proc/{pid}/task").as_cstr())? {
        if let Some(marked) = vcpu::is_marked(pid, tid) {
            println!("thread {tid}: Vcpu: {}", u8::from(marked));
        }
    }
    Ok(())
}

fn show(threads: usize, pid: Option<i32>) -> sys::Result<()> {
    let mut started = [const { None }; MAX_THREADS];
    for thread in &mut started[..threads] {
        *thread = Some(Thread::spawn(|| END.wait_for(1))?);
    }

    let process = pid.unwrap_or(sys::getpid());
    print_marks(process)?;
    calls::make_vcpu(pid.unwrap_or(0))?;
    println!("make_vcpu({}) = 0", pid.unwrap_or(0));
    print_marks(process)?;

    END.pass();
    Ok(())
}

program!(|args: Args| {
    let mut args = args.iter();
    let threads = args.next().and_then(|arg| arg.parse().ok());
    let pid = args.next().map(str::parse);
    let result = match (threads, pid.transpose(), args.next()) {
        (Some(threads @ 0..=MAX_THREADS), Ok(pid), None) => show(threads, pid),
        _ => {
            println!("usage: vcpu_threads THREADS [PID]");
            return 2;
        }
    };
    match result {
        Ok(()) => 0,
        Err(err) => {
            println!("vcpu_threads: {err:?}");
            1
        }
    }
});
