// SPDX-License-Identifier: GPL-2.0

//! Shows each system call, its result, and what it leaves in the kernel log.
//!
//! Not a test, but its exit status is 0 only if everything was as it should be.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::fmt;
use harness::cow::Area;
use harness::cow::Subject;
use harness::maps::maps;
use harness::vcpu;
use harness::*;

program!(main);

fn main(_args: Args) -> i32 {
    let mut demo = Demo {
        steps: 0,
        failures: 0,
    };

    demo.hello(42, "42");
    demo.hello(-1, if native() { "-1" } else { "4294967295" });

    let log = ("xxxhal", klog::INFO);
    let greeting = c"Hello from user space";
    demo.step(
        format_args!(
            "xxxhal({greeting:?})",
            greeting = greeting.to_str().unwrap()
        ),
        || calls::xxxhal(sys::addr(greeting)),
        Ok(0),
        log,
        &["xxxhal syscall called with \"Hello from user space\""],
    );
    demo.step(
        format_args!(r#"xxxhal("a second\nline?")"#),
        || calls::xxxhal(sys::addr(c"a second\nline?")),
        Ok(0),
        log,
        &[r#"xxxhal syscall called with "a second\x0aline?""#],
    );
    demo.step(
        format_args!("xxxhal(NULL)"),
        || calls::xxxhal(0),
        Err(sys::EFAULT),
        log,
        &[],
    );

    demo.make_vcpu(3);
    println!("");
    demo.count_faults();

    println!("");
    match demo.failures {
        0 => println!("{} calls, all as they should be", demo.steps),
        failures => println!("{failures} of {} calls not as they should be", demo.steps),
    }
    i32::from(demo.failures > 0)
}

/// Returns a result as C programs see it.
fn shown(result: sys::Result) -> Text {
    match result {
        Ok(value) => text!("{value}"),
        Err(errno) => text!("-{errno:?}"),
    }
}

/// What has been shown so far.
struct Demo {
    steps: u32,
    failures: u32,
}

impl Demo {
    fn hello(&mut self, arg: isize, logged: &str) {
        self.step(
            format_args!("hello({arg})"),
            || calls::hello(arg as usize),
            Ok(0),
            ("Hello World", klog::ALERT),
            &[text!("Hello World, i'm sys_hello with arg: {logged}").as_str()],
        );
    }

    /// Marks a process with this many threads, and shows the mark of each before and after.
    fn make_vcpu(&mut self, threads: usize) {
        let process = vcpu::Process::start(threads);
        let pid = process.pid();
        let marks = || {
            for tid in io::ids(text!("/proc/{pid}/task").as_cstr()).expect("/proc/<pid>/task") {
                let mark = u8::from(vcpu::is_marked(pid, tid) == Some(true));
                println!("    /proc/{pid}/task/{tid}/status: Vcpu: {mark}");
            }
            vcpu::marks(pid)
        };
        let logged = |line: fmt::Arguments<'_>| text!("make_vcpu: {line}");

        println!("a process with {threads} threads:");
        let before = marks();

        let mut tids = [0; vcpu::MAX_THREADS];
        let listed = vcpu::threads(pid, &mut tids);
        let me = sys::getpid();
        let mut lines = [const { Text::<256>::new() }; 8];
        lines[0] = logged(format_args!("process {pid} (demo), called by {me} (demo)"));
        for (line, tid) in lines[1..].iter_mut().zip(listed) {
            *line = logged(format_args!("thread {tid} marked"));
        }
        lines[threads + 1] = logged(format_args!("{threads} threads of process {pid} marked"));
        let lines: [&str; 8] = core::array::from_fn(|i| lines[i].as_str());
        self.step(
            format_args!("make_vcpu({pid})"),
            || calls::make_vcpu(pid),
            Ok(0),
            ("make_vcpu: ", klog::INFO),
            &lines[..threads + 2],
        );

        let after = marks();
        let all = |marked| vcpu::Marks {
            live: threads,
            marked,
        };
        if before != all(0) || after != all(threads) {
            self.failures += 1;
            println!("  EXPECTED no thread marked before, and {threads} after");
        }
        process.end();
    }

    /// Counts the copy-on-write faults of a process, and shows them for each VMA.
    fn count_faults(&mut self) {
        const NAME: &CStr = c"cow_demo";
        const SHARED: usize = 16;
        const WRITTEN: usize = 10;
        let log = ("[INFO940] ", klog::ERR);

        self.step(
            format_args!("pf_set_param({NAME:?}, {})", NAME.count_bytes()),
            || cow::set(NAME),
            Ok(0),
            log,
            &[],
        );

        println!("a child shares {SHARED} pages with its parent and writes to {WRITTEN}:");
        let area = Area::written(SHARED);
        let child = Subject::start(NAME, |stops| {
            area.write(3..3 + WRITTEN);
            stops.stop();
        });
        let mut report = None;
        self.step(
            format_args!("pf_get_info({NAME:?}, {}, &pf)", NAME.count_bytes()),
            || {
                report = Some(cow::get(NAME)?);
                Ok(0)
            },
            Ok(0),
            log,
            &[],
        );
        if let Some(stat) = report {
            stat.print();
            let mut buf = [0; 16384];
            let listed = maps(child.pid(), &mut buf).expect("/proc/<pid>/maps");
            let ranges = listed.map(|vma| (vma.start, vma.end));
            let written = stat.vma(area.start()).map(|vma| vma.faults);
            if written != Some(WRITTEN as isize)
                || stat.sum() != stat.total()
                || !stat.vmas().map(|vma| vma.range).eq(ranges)
            {
                self.failures += 1;
                println!(
                    "  EXPECTED the VMAs of /proc/{}/maps, {WRITTEN} faults in that at {:#x}",
                    child.pid(),
                    area.start()
                );
            }
        }
        child.end();

        self.step(
            format_args!("pf_cleanup()"),
            calls::pf_cleanup,
            Ok(0),
            log,
            &[],
        );
    }

    /// Makes a call and prints it, its result and its log lines, and what was expected if that
    /// differs.
    ///
    /// Its lines start with `prefix` and have this `level`.
    fn step(
        &mut self,
        title: fmt::Arguments<'_>,
        call: impl FnOnce() -> sys::Result,
        want: sys::Result,
        (prefix, level): (&'static str, u8),
        lines: &[&str],
    ) {
        let mut log = Log::end(prefix);
        let got = call();
        let mut fine = got == want;
        println!("{title} = {}", shown(got).as_str());

        let mut wanted = lines.iter();
        while let Some(record) = log.next_line() {
            println!(
                "    {}: {}",
                klog::level_name(record.level),
                record.text.as_str()
            );
            fine &= record.level == level
                && wanted.next().map(|line| line.as_bytes()) == Some(record.text.as_bytes());
        }
        fine &= wanted.next().is_none();

        self.steps += 1;
        if !fine {
            self.failures += 1;
            println!(
                "  EXPECTED {} and {} log lines",
                shown(want).as_str(),
                lines.len()
            );
            for line in lines {
                println!("    {}: {line}", klog::level_name(level));
            }
        }
    }
}
