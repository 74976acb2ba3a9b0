// SPDX-License-Identifier: GPL-2.0

//! Tests of `make_vcpu`: what it marks, what it refuses, and what it logs.
//!
//! make_vcpu_race.rs tests its guarantees while threads come and go.

#![no_std]
#![no_main]

use core::ffi::CStr;
use harness::mem::Stop;
use harness::sys::CAP_SETUID;
use harness::sys::CAP_SYS_NICE;
use harness::sys::EINVAL;
use harness::sys::EPERM;
use harness::sys::ESRCH;
use harness::task;
use harness::task::become_user;
use harness::uring::Request;
use harness::vcpu;
use harness::vcpu::is_dead;
use harness::vcpu::is_marked;
use harness::vcpu::marks;
use harness::vcpu::status;
use harness::vcpu::Marks;
use harness::vcpu::Process;
use harness::*;

const PREFIX: &str = "make_vcpu: ";

/// A capability that no test uses, other than to have it: `CAP_LEASE`.
const CAP_OTHER: u32 = 28;

/// Calls `make_vcpu(pid)` as another user. Returns its result.
fn as_user(uid: u32, caps: &[u32], pid: i32) -> sys::Result {
    task::as_user(uid, caps, || calls::make_vcpu(pid))
}

/// Marks a process with this many threads by the thread id that `choose` returns, and checks
/// everything: the result, the marks and the log.
fn marks_all(threads: usize, choose: fn(&[i32]) -> i32) {
    let process = Process::start(threads);
    let mut log = Log::end(PREFIX);
    let mut buf = [0; vcpu::MAX_THREADS];
    let tids = vcpu::threads(process.pid(), &mut buf);
    expect_eq!(
        marks(process.pid()),
        Marks {
            live: threads,
            marked: 0
        }
    );

    expect_eq!(calls::make_vcpu(choose(tids)), Ok(0));

    expect_eq!(
        marks(process.pid()),
        Marks {
            live: threads,
            marked: threads
        }
    );
    let (pid, me) = (process.pid(), sys::gettid());
    expect_log!(
        log,
        INFO,
        "make_vcpu: process {pid} (make_vcpu), called by {me} (make_vcpu)"
    );
    for tid in tids.iter().take(64) {
        expect_log!(log, INFO, "make_vcpu: thread {tid} marked");
    }
    expect_log!(
        log,
        INFO,
        "make_vcpu: {threads} threads of process {pid} marked"
    );
    log.expect_end();
}

/// Expects that `make_vcpu(pid)` fails with `errno` and logs nothing.
#[track_caller]
fn fails(pid: i32, errno: Errno) {
    let mut log = Log::end(PREFIX);
    expect_eq!(calls::make_vcpu(pid), Err(errno), "for {pid}");
    log.expect_end();
}

/// Creates a program that waits, and that runs as root whoever executes it. Returns its path.
fn set_user_id_program() -> &'static CStr {
    const PATH: &CStr = c"/tmp/wait";
    let mut program = Mapping::new(256, sys::MAP_PRIVATE).unwrap();
    let program = File::open(c"./wait", sys::O_RDONLY)
        .and_then(|file| file.read_all(program.bytes()))
        .unwrap();
    File::open(PATH, sys::O_CREAT | sys::O_WRONLY | sys::O_TRUNC)
        .and_then(|file| file.write(program))
        .unwrap();
    expect_eq!(sys::chmod(PATH, 0o4755), Ok(0));
    PATH
}

fn first(tids: &[i32]) -> i32 {
    tids[0]
}

fn last(tids: &[i32]) -> i32 {
    tids[tids.len() - 1]
}

tests! {
    setup {
        calls::need("make_vcpu", calls::make_vcpu(-1));
    }

    fn one_thread() {
        marks_all(1, first);
    }

    fn two_threads() {
        marks_all(2, first);
    }

    fn two_threads_by_the_other_id() {
        marks_all(2, last);
    }

    /// As many threads as the log lists individually.
    fn threads_64() {
        marks_all(64, first);
    }

    /// One more than that.
    fn threads_65_by_another_id() {
        marks_all(65, last);
    }

    fn threads_2000(timeout: 300) {
        marks_all(2000, first);
    }

    fn threads_2000_by_another_id(timeout: 300) {
        marks_all(2000, last);
    }

    /// A second call has the same effect.
    fn marks_twice() {
        let process = Process::start(3);
        for _ in 0..2 {
            let mut log = Log::end(PREFIX);
            expect_eq!(calls::make_vcpu(process.pid()), Ok(0));
            expect_eq!(marks(process.pid()), Marks { live: 3, marked: 3 });
            expect_eq!(log.count(), 5);
        }
    }

    /// 0 means the caller's process, whichever thread calls.
    fn zero_is_the_caller() {
        static DONE: Turnstile = Turnstile::new();
        let pid = sys::getpid();
        let mut log = Log::end(PREFIX);

        let thread = Thread::spawn(move || {
            sys::set_name(c"caller").unwrap();
            expect_eq!(calls::make_vcpu(0), Ok(0));
            DONE.pass();
            DONE.wait_for(2);
        })
        .unwrap();
        DONE.wait_for(1);

        expect_eq!(marks(pid), Marks { live: 2, marked: 2 });
        let tid = thread.tid;
        expect_log!(log, INFO, "make_vcpu: process {pid} (make_vcpu), called by {tid} (caller)");
        expect_log!(log, INFO, "make_vcpu: thread {pid} marked");
        expect_log!(log, INFO, "make_vcpu: thread {tid} marked");
        expect_log!(log, INFO, "make_vcpu: 2 threads of process {pid} marked");
        log.expect_end();
        DONE.pass();
    }

    /// The parent, the children and the siblings of a process are not marked.
    fn marks_no_other_process() {
        let sibling = Process::start(2);
        let process = Process::start(2);
        expect_eq!(calls::make_vcpu(process.pid()), Ok(0));
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 2 });
        expect_eq!(marks(sibling.pid()), Marks { live: 2, marked: 0 });
        expect_eq!(marks(sys::getpid()), Marks { live: 1, marked: 0 });
    }

    fn new_thread_is_marked() {
        static END: Turnstile = Turnstile::new();
        expect_eq!(calls::make_vcpu(0), Ok(0));
        let thread = Thread::spawn(|| END.wait_for(1)).unwrap();
        expect_eq!(is_marked(sys::getpid(), thread.tid), Some(true));
        END.pass();
    }

    /// A new thread inherits the mark of its creator, not that of the leader, which has exited
    /// unmarked.
    fn new_thread_without_a_leader_is_marked() {
        let child = Child::fork(|| {
            let pid = sys::getpid();
            core::mem::forget(Thread::spawn(move || {
                while !is_dead(pid, pid) {
                    sys::sleep_ms(1);
                }
                expect_eq!(calls::make_vcpu(0), Ok(0));
                expect_eq!(is_marked(pid, pid), Some(false));
                let thread = Thread::spawn(|| sys::sleep_ms(60_000)).unwrap();
                expect_eq!(is_marked(pid, thread.tid), Some(true));
                sys::exit_group(0);
            }));
            sys::exit(0);
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
    }

    fn forked_child_is_unmarked() {
        expect_eq!(calls::make_vcpu(0), Ok(0));
        let child = Process::start(2);
        expect_eq!(marks(child.pid()), Marks { live: 2, marked: 0 });
        expect_eq!(marks(sys::getpid()), Marks { live: 1, marked: 1 });
    }

    /// The child has its parent's memory, but is another process.
    fn vforked_child_is_unmarked() {
        expect_eq!(calls::make_vcpu(0), Ok(0));
        let child = Child::share(sys::CLONE_VFORK, || {
            let pid = sys::getpid();
            expect_eq!(marks(pid), Marks { live: 1, marked: 0 });
            expect_eq!(calls::make_vcpu(pid), Ok(0));
            expect_eq!(marks(pid), Marks { live: 1, marked: 1 });
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        expect_eq!(marks(sys::getpid()), Marks { live: 1, marked: 1 });
    }

    fn exec_clears() {
        let process = Process::start_with(1, vcpu::exec);
        expect_eq!(calls::make_vcpu(process.pid()), Ok(0));
        process.end();
        process.wait_for_exec();
        expect_eq!(marks(process.pid()), Marks { live: 1, marked: 0 });
        expect_eq!(calls::make_vcpu(process.pid()), Ok(0));
        expect_eq!(marks(process.pid()), Marks { live: 1, marked: 1 });
    }

    /// A thread that is not the leader becomes the leader.
    fn exec_of_another_thread_clears() {
        let process = Process::start_with(3, vcpu::exec_by_another);
        expect_eq!(calls::make_vcpu(process.pid()), Ok(0));
        expect_eq!(marks(process.pid()), Marks { live: 3, marked: 3 });
        process.end();
        process.wait_for_exec();
        expect_eq!(marks(process.pid()), Marks { live: 1, marked: 0 });
    }

    /// A failed exec changes nothing.
    fn failed_exec_keeps_the_mark() {
        expect_eq!(calls::make_vcpu(0), Ok(0));
        expect_eq!(sys::execve(c"/nonexistent", &[c"nonexistent"]), sys::ENOENT);
        expect_eq!(marks(sys::getpid()), Marks { live: 1, marked: 1 });
    }

    /// The leader has exited and is a zombie, but its process is alive.
    fn zombie_leader() {
        let process = Process::start_with(3, vcpu::leader_exits);
        let pid = process.pid();
        while !is_dead(pid, pid) {
            sys::sleep_ms(1);
        }
        let mut buf = [0; vcpu::MAX_THREADS];
        let tids = vcpu::threads(pid, &mut buf);
        expect_eq!(tids.len(), 3);
        let mut log = Log::end(PREFIX);

        expect_eq!(calls::make_vcpu(pid), Ok(0));

        expect_eq!(marks(pid), Marks { live: 2, marked: 2 });
        expect_eq!(is_marked(pid, pid), Some(false));
        let me = sys::gettid();
        expect_log!(log, INFO, "make_vcpu: process {pid} (make_vcpu), called by {me} (make_vcpu)");
        expect_log!(log, INFO, "make_vcpu: thread {} marked", tids[1]);
        expect_log!(log, INFO, "make_vcpu: thread {} marked", tids[2]);
        expect_log!(log, INFO, "make_vcpu: 2 threads of process {pid} marked");
        log.expect_end();
    }

    /// No thread is alive, but the process has not been reaped.
    fn unreaped_process() {
        let child = Child::fork(|| ()).unwrap();
        expect_eq!(child.wait_unreaped(), Ok(Status::Exited(0)));
        let (pid, me) = (child.pid, sys::gettid());
        let mut log = Log::end(PREFIX);

        expect_eq!(calls::make_vcpu(pid), Ok(0));

        expect_eq!(is_marked(pid, pid), Some(false));
        expect_log!(log, INFO, "make_vcpu: process {pid} (make_vcpu), called by {me} (make_vcpu)");
        expect_log!(log, INFO, "make_vcpu: 0 threads of process {pid} marked");
        log.expect_end();
    }

    fn negative_id() {
        fails(-1, EINVAL);
        fails(-sys::getpid(), EINVAL);
        fails(i32::MIN, EINVAL);
    }

    /// The upper half of the register is not part of a `pid_t`.
    fn id_has_32_bits() {
        // SAFETY: No memory is involved.
        let make_vcpu = |pid: usize| sys::check(unsafe { syscall!(calls::nr::make_vcpu(), pid) });
        expect_eq!(make_vcpu(u32::MAX as usize), Err(EINVAL));
        if let Ok(high) = usize::try_from(1u64 << 32) {
            expect_eq!(make_vcpu(high), Ok(0));
            expect_eq!(marks(sys::getpid()), Marks { live: 1, marked: 1 });
        }
    }

    fn no_such_id() {
        fails(i32::MAX, ESRCH);
        // PID_MAX_LIMIT
        fails(4 * 1024 * 1024, ESRCH);

        let child = Child::fork(|| ()).unwrap();
        let pid = child.pid;
        child.wait().unwrap();
        fails(pid, ESRCH);

        let thread = Thread::spawn(|| ()).unwrap();
        let tid = thread.tid;
        thread.join();
        // The thread may still be listed for a moment after its stack is free.
        while status(sys::getpid(), tid, &mut [0; 4096]).is_some() {
            sys::sleep_ms(1);
        }
        fails(tid, ESRCH);
    }

    fn kernel_thread() {
        const KTHREADD: i32 = 2;
        let mut buf = [0; 4096];
        let file = status(KTHREADD, KTHREADD, &mut buf).expect("kthreadd");
        expect_eq!(io::field(file, "Kthread"), Some("1"));

        fails(KTHREADD, EINVAL);
        expect_eq!(is_marked(KTHREADD, KTHREADD), Some(false));
        // This check comes first, even before the caller's identity.
        expect_eq!(as_user(1001, &[], KTHREADD), Err(EINVAL));
    }

    /// Another user needs CAP_SYS_NICE.
    fn other_user() {
        let process = Process::start_with(2, |shared| {
            become_user(1000, &[]);
            vcpu::threads_wait(shared)
        });
        let mut log = Log::end(PREFIX);
        expect_eq!(as_user(1001, &[], process.pid()), Err(EPERM));
        expect_eq!(as_user(1001, &[CAP_OTHER], process.pid()), Err(EPERM));
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 0 });
        log.expect_end();

        expect_eq!(as_user(1001, &[CAP_SYS_NICE], process.pid()), Ok(0));
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 2 });
    }

    fn same_user() {
        let process = Process::start_with(2, |shared| {
            become_user(1000, &[]);
            vcpu::threads_wait(shared)
        });
        expect_eq!(as_user(1000, &[], process.pid()), Ok(0));
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 2 });
    }

    /// A process belongs to its real and its effective user. The caller is its effective user.
    fn owners() {
        let process = Process::start_with(2, |shared| {
            sys::set_user_ids(1000, 1001, 1002).unwrap();
            vcpu::threads_wait(shared)
        });
        let call = |real, effective| {
            task::as_user(0, &[CAP_SETUID], || {
                sys::set_user_ids(real, effective, real)?;
                calls::make_vcpu(process.pid())
            })
        };
        for (real, effective) in [(1002, 1002), (1003, 1003), (1000, 1003), (1001, 1003)] {
            expect_eq!(call(real, effective), Err(EPERM), "{real} {effective}");
        }
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 0 });
        for effective in [1000, 1001] {
            expect_eq!(call(1003, effective), Ok(0), "{effective}");
        }
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 2 });
    }

    /// The capability in the target's user namespace is enough.
    fn capability_in_the_same_user_namespace() {
        let mapped: &'static Turnstile = mem::shared().unwrap();
        let child = Child::clone(sys::CLONE_NEWUSER, || {
            mapped.wait_for(1);
            sys::setresuid(0).unwrap();
            let process = Process::start_with(2, |shared| {
                become_user(1, &[]);
                vcpu::threads_wait(shared)
            });
            expect_eq!(as_user(0, &[CAP_OTHER], process.pid()), Err(EPERM));
            expect_eq!(as_user(0, &[CAP_SYS_NICE], process.pid()), Ok(0));
            expect_eq!(marks(process.pid()), Marks { live: 2, marked: 2 });
        });
        let child = child.unwrap_or_else(|err| skip!("no user namespaces: {err:?}"));
        let map = text!("/proc/{}/uid_map", child.pid);
        io::write_file(map.as_cstr(), b"0 1000 2").unwrap();
        mapped.pass();
        expect_eq!(child.wait(), Ok(Status::Exited(0)));
    }

    /// The caller needs the capability in the target's user namespace.
    fn capability_in_another_user_namespace() {
        let process = Process::start_with(1, |shared| {
            become_user(1000, &[]);
            vcpu::threads_wait(shared)
        });
        let pid = process.pid();
        let child = Child::fork(move || {
            become_user(1001, &[]);
            if let Err(err) = sys::unshare(sys::CLONE_NEWUSER) {
                skip!("no user namespaces: {err:?}");
            }
            expect!(sys::capget().unwrap().effective & 1 << CAP_SYS_NICE != 0);
            expect_eq!(calls::make_vcpu(pid), Err(EPERM));
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        expect_eq!(marks(pid), Marks { live: 1, marked: 0 });
    }

    /// The capability module refuses a target with more capabilities than the caller, unless the
    /// caller has CAP_SYS_NICE.
    fn same_user_with_more_capabilities() {
        let process = Process::start_with(2, |shared| {
            become_user(1000, &[CAP_OTHER]);
            vcpu::threads_wait(shared)
        });
        let mut log = Log::end(PREFIX);
        expect_eq!(as_user(1000, &[], process.pid()), Err(EPERM));
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 0 });
        log.expect_end();

        expect_eq!(as_user(1000, &[CAP_OTHER], process.pid()), Ok(0));
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 2 });
    }

    /// A configured security module can refuse, too: Smack, by its labels.
    fn security_module() {
        const LABEL: &core::ffi::CStr = c"/proc/self/attr/smack/current";
        const CAP_MAC_OVERRIDE: u32 = 32;
        let label = |name: &[u8]| {
            if let Err(err) = io::write_file(LABEL, name) {
                skip!("no Smack: {err:?}");
            }
        };
        // In a separate process, because a label is permanent.
        let caller = Child::fork(|| {
            label(b"Caller");
            let process = Process::start_with(2, move |shared| {
                label(b"Target");
                vcpu::threads_wait(shared)
            });
            expect_eq!(calls::make_vcpu(process.pid()), Ok(0));

            let other = Process::start_with(2, move |shared| {
                label(b"Target");
                vcpu::threads_wait(shared)
            });
            let caps = sys::capget().unwrap();
            sys::capset(sys::Caps {
                effective: caps.effective & !(1 << CAP_MAC_OVERRIDE),
                ..caps
            })
            .unwrap();
            fails(other.pid(), EPERM);
            // Without this capability, it may not look at the other process or end it either.
            sys::capset(caps).unwrap();
            expect_eq!(marks(other.pid()), Marks { live: 2, marked: 0 });
        });
        match caller.unwrap().wait() {
            Ok(Status::Exited(0)) => (),
            // Skipped or failed, which it has already reported.
            other => expect_eq!(other, Ok(Status::Exited(4))),
        }
    }

    /// The call takes the id outside of the namespace, and logs such ids.
    fn pid_namespace_from_outside() {
        let process = Process::start_in(sys::CLONE_NEWPID, 2, vcpu::threads_wait);
        let mut log = Log::end(PREFIX);
        expect_eq!(calls::make_vcpu(process.pid()), Ok(0));
        expect_eq!(marks(process.pid()), Marks { live: 2, marked: 2 });
        let (pid, me) = (process.pid(), sys::gettid());
        expect_log!(log, INFO, "make_vcpu: process {pid} (make_vcpu), called by {me} (make_vcpu)");
    }

    /// The call takes the id inside the namespace. Processes outside do not exist.
    fn pid_namespace_from_inside() {
        let outside = sys::getpid();
        let child = Child::clone(sys::CLONE_NEWPID, || {
            expect_eq!(sys::getpid(), 1);
            let process = Process::start(2);
            expect_eq!(process.pid(), 2);
            expect_eq!(calls::make_vcpu(2), Ok(0));
            expect_eq!(calls::make_vcpu(outside), Err(ESRCH));
            expect_eq!(calls::make_vcpu(0), Ok(0));
            process.stay()
        });
        let child = child.unwrap();
        let pid = child.pid;
        // The process inside can be found from here through its parent.
        expect!(vcpu::eventually(|| {
            let inner = vcpu::child_of(pid);
            inner.is_some_and(|inner| marks(inner) == Marks { live: 2, marked: 2 })
                && marks(pid) == Marks { live: 1, marked: 1 }
        }));
    }

    /// The log shows the name of the leader. Neither name can forge a line.
    fn names_in_the_log() {
        let process = Process::start_with(2, |shared| {
            sys::set_name(c"a\nb\\\x7f\x80").unwrap();
            vcpu::threads_wait(shared)
        });
        let mut buf = [0; vcpu::MAX_THREADS];
        let tid = vcpu::threads(process.pid(), &mut buf)[1];
        let mut log = Log::end(PREFIX);
        sys::set_name(c"caf\u{e9} \x1b[31m").unwrap();

        expect_eq!(calls::make_vcpu(tid), Ok(0));

        let (pid, me) = (process.pid(), sys::gettid());
        expect_log!(
            log,
            INFO,
            "make_vcpu: process {pid} (a\\x0ab\\x5c\\x7f\\x80), called by {me} (caf\u{e9} \\x1b[31m)"
        );
    }

    /// All lines of a user's call are logged, or none, and many calls do not fill the log.
    fn log_is_limited(timeout: 120) {
        // 64 threads, and the lines before and after them.
        const LINES: usize = 66;

        sys::sleep_ms(9000);
        let mut log = Log::end(PREFIX);
        let start = sys::now();
        let child = Child::fork(|| {
            task::become_user(1000, &[]);
            let process = Process::start(100);
            for _ in 0..1000 {
                assert_eq!(calls::make_vcpu(process.pid()), Ok(0));
            }
            process.end();
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));

        let seconds = (sys::now() - start) / 1_000_000_000 + 1;
        let (mut lines, mut bytes) = (0, 0);
        while let Some(line) = log.next_line() {
            lines += 1;
            bytes += line.text.as_bytes().len() as u64;
        }
        expect!(lines >= LINES);
        expect_eq!(lines % LINES, 0, "{lines} lines");
        expect!(
            bytes <= klog::USERS_BURST + klog::USERS_RATE * seconds,
            "{bytes} bytes in {seconds} s"
        );
        expect_eq!(log.overruns, 0);
        klog::recover();
    }

    /// A thread inherits the mark that its creator has when the thread is put on the list, not the
    /// one that the creator had when it was copied.
    fn thread_created_while_being_marked() {
        static STARTED: Turnstile = Turnstile::new();

        let stop = Stop::new();
        let place = stop.place();
        let creator = Thread::spawn(move || {
            let thread = Thread::spawn_unjoined(place, || {
                STARTED.pass();
                sys::sleep_ms(60_000);
            });
            thread.expect("thread");
            sys::sleep_ms(60_000);
        });
        stop.wait();
        let me = sys::getpid();
        expect_eq!(calls::make_vcpu(0), Ok(0));
        expect_eq!(marks(me), Marks { live: 2, marked: 2 });

        stop.go_on();
        STARTED.wait_for(1);
        expect_eq!(marks(me), Marks { live: 3, marked: 3 });
        core::mem::forget(creator);
    }

    /// In a chain of threads, each creates the next one and exits, as with `pthread_create()`. If
    /// the process is marked from outside while one is being created, so are all later ones.
    fn chain_marked_from_outside() {
        const LENGTH: u32 = 4;
        static ENDED: Turnstile = Turnstile::new();

        /// How many threads are left to create, and where the kernel writes their pidfds.
        #[derive(Clone, Copy)]
        struct Chain {
            left: u32,
            places: [usize; LENGTH as usize],
        }

        fn create(chain: Chain) {
            let Some(left) = chain.left.checked_sub(1) else {
                ENDED.pass();
                return sys::sleep_ms(60_000);
            };
            let place = chain.places[left as usize];
            let rest = Chain { left, ..chain };
            Thread::spawn_unjoined(place, move || create(rest)).expect("thread");
        }

        for later in 0..LENGTH {
            let stop = Stop::new();
            let anywhere = Mapping::new(1, sys::MAP_PRIVATE).unwrap();
            let mut places = [anywhere.start(); LENGTH as usize];
            places[later as usize] = stop.place();
            let child = Child::share(0, move || {
                create(Chain { left: LENGTH, places });
                sys::sleep_ms(60_000);
            });
            let pid = child.as_ref().unwrap().pid;
            stop.wait();
            expect_eq!(calls::make_vcpu(pid), Ok(0));

            stop.go_on();
            ENDED.wait_for(later + 1);
            let marks = marks(pid);
            expect_eq!(marks.marked, marks.live, "with {later} threads to come");
            expect!(marks.live >= 2, "{marks:?}");
        }
    }

    /// The workers of io_uring are threads of the process.
    fn io_uring_workers() {
        // Skips the test without io_uring.
        let program = File::open(c"./wait", sys::O_RDONLY).unwrap();
        drop(Request::read(&program, 0, 0).unwrap());

        let turns: &Turnstile = mem::shared().unwrap();
        let child = Child::fork(|| {
            let read = Request::read_by_worker(&program, 0).unwrap();
            expect!(read.wait(10_000).is_some_and(|result| result.is_ok()));
            turns.pass();
            turns.wait_for(2);

            // Requests that may take for ever have workers of their own.
            let [pipe, _writer] = sys::pipe().unwrap();
            // The worker may be the one who looks for the file.
            let pipe = File { fd: pipe };
            let read = Request::read_by_worker(&pipe, -1).unwrap();
            expect_eq!(read.wait(1), None);
            turns.pass();
            sys::sleep_ms(60_000);
        });
        let pid = child.as_ref().unwrap().pid;
        turns.wait_for(1);
        expect_eq!(marks(pid), Marks { live: 2, marked: 0 });
        expect_eq!(calls::make_vcpu(pid), Ok(0));
        expect_eq!(marks(pid), Marks { live: 2, marked: 2 });

        turns.pass();
        turns.wait_for(3);
        expect_eq!(marks(pid), Marks { live: 3, marked: 3 });
        let mut buf = [0; vcpu::MAX_THREADS];
        let worker = vcpu::threads(pid, &mut buf)[2];
        // A worker gives itself its name.
        let is_named = || {
            let mut buf = [0; 4096];
            let status = status(pid, worker, &mut buf).unwrap();
            io::field(status, "Name") == Some(text!("iou-wrk-{pid}").as_str())
        };
        expect!(vcpu::eventually(is_named));
        expect_eq!(calls::make_vcpu(worker), Ok(0));
    }

    /// So are the workers of vhost, unless the process asks for kernel threads.
    fn vhost_workers() {
        const SET_OWNER: u32 = 0xaf01;
        const SET_FORK_FROM_OWNER: u32 = sys::iow::<u8>(0xaf, 0x84);
        static ZERO: u8 = 0;

        let me = sys::getpid();
        let open = || match File::open(c"/dev/vhost-net", sys::O_RDWR) {
            Ok(file) => file,
            Err(err) => skip!("/dev/vhost-net: {err:?}"),
        };
        let start_worker = |file: &File| {
            // SAFETY: It has no argument.
            expect_eq!(unsafe { sys::ioctl_at(file.fd, SET_OWNER, 0) }, Ok(0));
        };
        let devices = [open(), open(), open()];
        start_worker(&devices[0]);
        expect_eq!(marks(me), Marks { live: 2, marked: 0 });
        expect_eq!(calls::make_vcpu(0), Ok(0));
        expect_eq!(marks(me), Marks { live: 2, marked: 2 });

        start_worker(&devices[1]);
        expect_eq!(marks(me), Marks { live: 3, marked: 3 });

        let no = &raw const ZERO as usize;
        // SAFETY: It reads a byte.
        let set = unsafe { sys::ioctl_at(devices[2].fd, SET_FORK_FROM_OWNER, no) };
        expect_eq!(set, Ok(0));
        start_worker(&devices[2]);
        expect_eq!(marks(me), Marks { live: 3, marked: 3 });
    }

    /// Permission to mark one program must not mark the next one, which runs as another user. The
    /// call is made while exec releases the old memory.
    fn set_user_id_exec_while_being_marked() {
        let program = set_user_id_program();
        let stop = Stop::new();
        let place = stop.place();
        let child = Child::share(0, move || {
            // SAFETY: What the page gets is zeros, a list without futexes.
            expect_eq!(unsafe { sys::set_robust_list(place) }, Ok(0));
            become_user(1000, &[]);
            sys::execve(program, &[c"wait"]);
        });
        let pid = child.as_ref().unwrap().pid;
        stop.wait();
        expect_eq!(as_user(1000, &[], pid), Ok(0));
        expect_eq!(marks(pid), Marks { live: 1, marked: 1 });

        stop.go_on();
        expect!(vcpu::eventually(|| vcpu::has_execed(pid)));
        expect_eq!(as_user(1000, &[], pid), Err(EPERM));
        expect_eq!(marks(pid), Marks { live: 1, marked: 0 });
    }

    /// The same, with calls that come at any time during the exec.
    fn set_user_id_exec_amid_calls(timeout: 300) {
        let program = set_user_id_program();
        for round in 0..50 {
            let start: &'static Turnstile = mem::shared().unwrap();
            let child = Child::fork(|| {
                become_user(1000, &[]);
                start.wait_for(1);
                sys::execve(program, &[c"wait"]);
            });
            let pid = child.as_ref().unwrap().pid;
            let caller = Child::fork(|| {
                become_user(1000, &[]);
                start.pass();
                // Until the process belongs to another user.
                while calls::make_vcpu(pid) == Ok(0) {}
            });
            expect_eq!(caller.unwrap().wait(), Ok(Status::Exited(0)));
            expect!(vcpu::eventually(|| vcpu::has_execed(pid)));
            expect_eq!(marks(pid), Marks { live: 1, marked: 0 }, "in round {round}");
        }
    }

    /// A process whose leader is replaced by another thread's exec is always found.
    fn exec_while_being_marked(timeout: 300) {
        for _ in 0..300 {
            let process = Process::start_with(4, vcpu::exec_by_another);
            process.end();
            let mut calls = 0;
            while !process.has_execed() {
                expect_eq!(calls::make_vcpu(process.pid()), Ok(0), "after {calls} calls");
                calls += 1;
            }
            expect_eq!(calls::make_vcpu(process.pid()), Ok(0));
            expect_eq!(marks(process.pid()), Marks { live: 1, marked: 1 });
        }
    }
}
