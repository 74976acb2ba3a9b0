// SPDX-License-Identifier: GPL-2.0

//! Tests of the harness itself: a failing test must be reported as failing.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use harness::test::Test;
use harness::*;

/// Tests whose outcome is known, see `reports_how_tests_end`.
const SAMPLES: &[Test] = &[
    Test {
        name: "passes",
        timeout: 10,
        run: || expect_eq!(1 + 1, 2),
    },
    Test {
        name: "fails",
        timeout: 10,
        run: || {
            expect!(1 > 2);
            expect_eq!(1, 2, "{} is not", 1);
        },
    },
    Test {
        name: "panics_in_a_thread",
        timeout: 10,
        run: || Thread::spawn(|| panic!("two\nlines")).unwrap().join(),
    },
    Test {
        name: "fails_in_a_child",
        timeout: 10,
        run: || {
            let _ = Child::fork(|| expect!(1 > 2)).unwrap().wait();
        },
    },
    Test {
        name: "ends_early",
        timeout: 10,
        run: || sys::exit_group(7),
    },
    Test {
        name: "crashes",
        timeout: 10,
        // SAFETY: None. This is meant to crash.
        run: || unsafe { (8 as *mut u8).write_volatile(1) },
    },
    Test {
        name: "hangs",
        timeout: 1,
        run: || sys::sleep_ms(60_000),
    },
    Test {
        name: "skips",
        timeout: 10,
        run: || skip!("no {}", "reason"),
    },
    Test {
        name: "fails_after_another_test",
        timeout: 10,
        run: || {
            expect!(test::passes(&SAMPLES[0]));
            expect!(1 > 2);
        },
    },
];

/// The KTAP of `SAMPLES`, without the lines with details.
const RESULTS: &[&str] = &[
    "TAP version 13",
    "1..9",
    "ok 1 passes",
    "not ok 2 fails",
    "not ok 3 panics_in_a_thread",
    "not ok 4 fails_in_a_child",
    "not ok 5 ends_early # ended with status 7",
    "not ok 6 crashes # killed by signal 11",
    "not ok 7 hangs # timed out after 1 s",
    "ok 8 skips # SKIP no reason",
    "not ok 9 fails_after_another_test",
];

/// These details: the message, without the place.
const DETAILS: &[&str] = &[
    ": 1 > 2 does not hold",
    ": 1: 1, expected 2: 1 is not",
    ": two",
    "# lines",
    ": 1 > 2 does not hold",
    ": 1 > 2 does not hold",
    "# Totals: pass:1 fail:7 xfail:0 xpass:0 skip:1 error:0",
];

/// Runs `tests`. Returns the output and how the run ended.
fn run<'a>(tests: &[Test], buf: &'a mut [u8]) -> (&'a str, Status) {
    let [read, write] = io::pipe().unwrap();
    let child = Child::fork(|| {
        sys::dup2(write.fd, 1).unwrap();
        sys::exit_group(test::run(|| (), tests, Args::none()));
    });
    drop(write);
    let output = read.read_all(buf).unwrap();
    let status = child.unwrap().wait().unwrap();
    (core::str::from_utf8(output).unwrap(), status)
}

/// The name of a process that a test leaves behind.
const LEFT: &CStr = c"left behind";

fn stay() {
    sys::set_name(LEFT).unwrap();
    // Memory to clean up, so that its exit takes some time.
    cow::Area::written(100);
    sys::sleep_ms(600_000);
}

/// Returns whether a process with this name exists, even one that has not been reaped.
fn is_there(name: &CStr) -> bool {
    io::ids(c"/proc").unwrap().any(|pid| {
        let mut buf = [0; 64];
        let comm = io::read_file(text!("/proc/{pid}/comm").as_cstr(), &mut buf);
        comm.is_ok_and(|comm| comm.trim_end().as_bytes() == name.to_bytes())
    })
}

tests! {
    fn reports_how_tests_end() {
        let mut buf = [0; 4096];
        let (output, status) = run(SAMPLES, &mut buf);
        expect_eq!(status, Status::Exited(1));

        let is_detail = |line: &&str| line.starts_with('#');
        expect!(output
            .lines()
            .filter(|line| !is_detail(line))
            .eq(RESULTS.iter().copied()));
        expect_eq!(output.lines().filter(is_detail).count(), DETAILS.len());
        for (line, detail) in output.lines().filter(is_detail).zip(DETAILS) {
            expect!(line.ends_with(detail), "{line}");
        }
    }

    fn exits_as_kselftest_wants_it() {
        let mut buf = [0; 4096];
        let [passes, fails, skips] = [0, 1, 7];
        let mut status = |from: usize| run(&SAMPLES[from..=from], &mut buf).1;
        expect_eq!(status(passes), Status::Exited(0));
        expect_eq!(status(fails), Status::Exited(1));
        expect_eq!(status(skips), Status::Exited(4));
        expect_eq!(run(&[], &mut buf).1, Status::Exited(1));
    }

    fn kills_what_a_test_leaves(timeout: 200) {
        const LEAVES: Test = Test {
            name: "leaves_children",
            timeout: 60,
            run: || (0..100).for_each(|_| core::mem::forget(Child::fork(stay))),
        };
        const FINDS: Test = Test {
            name: "finds_none",
            timeout: 60,
            run: || expect!(!is_there(LEFT)),
        };
        let start = sys::now();
        let mut buf = [0; 4096];
        let (output, status) = run(&[LEAVES, FINDS, LEAVES, FINDS, LEAVES, FINDS], &mut buf);
        expect_eq!(status, Status::Exited(0), "{output}");
        expect!(sys::now() - start < 150_000_000_000);
    }

    fn passes_six_arguments() {
        // Each argument of mmap() matters: the fifth and the sixth are a file and an offset.
        let file = File::open(c"/proc/self/exe", sys::O_RDONLY).unwrap();
        let unit = if cfg!(target_arch = "x86_64") {
            sys::PAGE_SIZE
        } else {
            1
        };
        let (prot, flags) = (sys::PROT_READ, sys::MAP_PRIVATE);
        // SAFETY: This is a new mapping, which is never unmapped.
        let map = |page: usize| unsafe {
            let at = syscall!(
                sys::nr::MMAP,
                0,
                sys::PAGE_SIZE,
                prot,
                flags,
                file.fd,
                page * unit
            );
            *(sys::check(at).unwrap() as *const [u8; sys::PAGE_SIZE])
        };
        let mut content = [0; 2 * sys::PAGE_SIZE];
        file.read_all(&mut content).unwrap();
        expect!(map(0) == content[..sys::PAGE_SIZE]);
        expect!(map(1) == content[sys::PAGE_SIZE..]);
    }

    fn starts_threads() {
        const THREADS: usize = 500;
        static READY: Turnstile = Turnstile::new();
        static GO: Turnstile = Turnstile::new();
        static SUM: AtomicU32 = AtomicU32::new(0);

        let mut threads = [const { None }; THREADS];
        for (i, thread) in threads.iter_mut().enumerate() {
            let work = move || {
                READY.pass();
                GO.wait_for(1);
                SUM.fetch_add(i as u32, Ordering::Relaxed);
            };
            *thread = Some(Thread::spawn(work).unwrap());
        }
        READY.wait_for(THREADS as u32);

        let mut buf = [0; 4096];
        let status = io::read_file(c"/proc/self/status", &mut buf).unwrap();
        expect_eq!(io::field(status, "Threads"), Some("501"));
        expect_eq!(SUM.load(Ordering::Relaxed), 0);
        GO.pass();
        for thread in threads.into_iter().flatten() {
            expect!(thread.tid > 0);
            thread.join();
        }
        expect_eq!(
            SUM.load(Ordering::Relaxed),
            (THREADS * (THREADS - 1) / 2) as u32
        );
    }

    fn shares_memory_with_children() {
        let gate = mem::shared::<Turnstile>().unwrap();
        let seen = mem::shared::<[AtomicU32; 2]>().unwrap();
        let child = Child::fork(|| {
            seen[1].store(sys::getpid() as u32, Ordering::Relaxed);
            gate.pass();
            sys::sleep_ms(60_000);
        });
        let child = child.unwrap();
        gate.wait_for(1);
        expect_eq!(seen[1].load(Ordering::Relaxed), child.pid as u32);
        sys::kill(child.pid, sys::SIGKILL).unwrap();
        expect_eq!(child.wait_unreaped(), Ok(Status::Killed(sys::SIGKILL)));
        expect_eq!(child.wait(), Ok(Status::Killed(sys::SIGKILL)));
    }

    /// A process in the same memory. With `CLONE_VFORK`, its parent waits for it.
    fn shares_memory_with_a_process() {
        static SEEN: AtomicU32 = AtomicU32::new(0);
        let me = sys::getpid() as u32;
        let work = move || {
            sys::sleep_ms(100);
            SEEN.store(
                sys::getpid() as u32 + sys::getppid() as u32 - me,
                Ordering::Relaxed,
            );
        };
        let child = Child::share(sys::CLONE_VFORK, work).unwrap();
        expect_eq!(SEEN.load(Ordering::Relaxed), child.pid as u32);
        expect_eq!(child.wait(), Ok(Status::Exited(0)));
    }

    fn steps_through_a_process() {
        let number = mem::shared::<AtomicU32>().unwrap();
        let mut subject = cow::Subject::fork(|stops| {
            for i in 1..=3 {
                number.store(i, Ordering::Relaxed);
                stops.stop();
            }
            number.store(4, Ordering::Relaxed);
        });
        for i in 1..=3 {
            expect_eq!(number.load(Ordering::Relaxed), i);
            if i < 3 {
                subject.step();
            }
        }
        subject.end();
        expect_eq!(number.load(Ordering::Relaxed), 4);
    }

    fn lists_vmas() {
        let area = cow::Area::anonymous(3, sys::MAP_SHARED);
        let mut buf = [0; 8192];
        let vmas = maps::maps(sys::getpid(), &mut buf).unwrap();
        let names = |name| vmas.clone().filter(|vma| vma.name == name).count();
        expect_eq!(
            (names("[stack]"), names("[vdso]"), names("[vsyscall]")),
            (1, 1, 0)
        );
        let mut around = vmas.filter(|vma| {
            (area.start() - 1..=area.end()).contains(&vma.start)
                || (area.start()..=area.end()).contains(&vma.end)
        });
        for flags in ["---p", "rw-s", "---p"] {
            let vma = around.next().unwrap();
            expect_eq!(vma.flags, flags);
            expect_eq!(
                flags == "rw-s",
                (vma.start, vma.end) == (area.start(), area.end())
            );
        }
        expect!(around.next().is_none());
    }

    fn has_memory_with_an_edge() {
        let mut memory = Mapping::with_guard(2).unwrap();
        let addr = memory.put_at_end(b"edge");
        expect_eq!(addr + 4, memory.end());
        expect_eq!(memory.end() - memory.start(), 2 * sys::PAGE_SIZE);
        for byte in [addr + 3, addr + 4] {
            let child = Child::fork(|| {
                // SAFETY: Only the first of the two is mapped. The child is there to find this out.
                unsafe { (byte as *const u8).read_volatile() };
            });
            let want = match byte == addr + 3 {
                true => Status::Exited(0),
                false => Status::Killed(sys::SIGSEGV),
            };
            expect_eq!(child.unwrap().wait(), Ok(want));
        }
    }

    /// A line that is missing is reported with the one that is there.
    fn shows_what_was_logged_instead() {
        // Skips this test if there is no log.
        Log::end("");
        calls::need("hello", calls::hello(0));
        const MISSES: Test = Test {
            name: "misses_a_line",
            timeout: 10,
            run: || {
                let mut log = Log::end("nobody logs this");
                let _ = calls::hello(7);
                expect_log!(log, INFO, "nobody logs this");
            },
        };
        let mut buf = [0; 1024];
        let (output, _) = run(&[MISSES], &mut buf);
        for part in ["log line: <1>Hello World", "expected: <6>nobody logs this"] {
            expect!(output.contains(part), "{output}");
        }
    }

    fn reads_the_form_of_the_kernel_log() {
        let parse = klog::Record::parse;
        let line =
            parse(b"6,123,456789,-;caf\\xc3\\xa9 \\x5cx41;\\x0a\n SUBSYSTEM=none\n").unwrap();
        expect_eq!((line.level, line.facility), (klog::INFO, 0));
        expect_eq!(line.text.as_str(), "café \\x41;\n");
        let line = parse(b"9,1,2,c,caller=T1;\n").unwrap();
        expect_eq!((line.level, line.facility), (klog::ALERT, 1));
        expect_eq!(line.text.as_str(), "");
        expect!(parse(b"no line").is_none());
    }

    fn divides_64_bits() {
        // Values that are unknown at compile time.
        let numbers = [
            core::hint::black_box(0xffff_ffff_ffff_fffe_u64),
            1 << 63,
            1_000_000_007,
            7,
        ];
        for n in numbers {
            for d in numbers {
                let (quotient, rest) = (n / d, n % d);
                expect!(rest < d);
                expect_eq!(quotient.wrapping_mul(d).wrapping_add(rest), n, "{n} / {d}");
            }
        }
    }
}
