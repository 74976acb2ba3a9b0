// SPDX-License-Identifier: GPL-2.0

//! Shared by the tests of `make_vcpu`: processes with threads, and their marks in `/proc`.

use crate::io;
use crate::mem;
use crate::sys;
use crate::text;
use crate::Child;
use crate::Thread;
use crate::Turnstile;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

/// The maximum number of threads in a [`Process`].
pub const MAX_THREADS: usize = 2000;

/// Returns `/proc/<pid>/task/<tid>/status`, or `None` if the thread no longer exists.
pub fn status(pid: i32, tid: i32, buf: &mut [u8]) -> Option<&str> {
    io::read_file(text!("/proc/{pid}/task/{tid}/status").as_cstr(), buf).ok()
}

/// Returns whether a thread has exited, according to its status file.
fn dead(status: &str) -> bool {
    let state = io::field(status, "State").expect("State: in /proc/<pid>/status");
    state.starts_with(['Z', 'X'])
}

/// Returns whether a thread is marked, according to its status file.
fn marked(status: &str) -> bool {
    match io::field(status, "Vcpu") {
        Some("1") => true,
        Some("0") => false,
        other => panic!("Vcpu: in /proc/<pid>/status is {other:?}"),
    }
}

/// Returns whether a thread has exited but has not been reaped.
pub fn is_dead(pid: i32, tid: i32) -> bool {
    status(pid, tid, &mut [0; 4096]).is_some_and(dead)
}

/// Returns whether a thread is marked, dead or alive, or `None` if it no longer exists.
pub fn is_marked(pid: i32, tid: i32) -> Option<bool> {
    status(pid, tid, &mut [0; 4096]).map(marked)
}

/// Returns the threads of a process, in the kernel's order.
pub fn threads(pid: i32, buf: &mut [i32; MAX_THREADS]) -> &[i32] {
    let mut len = 0;
    for tid in io::ids(text!("/proc/{pid}/task").as_cstr()).expect("/proc/<pid>/task") {
        if let Some(place) = buf.get_mut(len) {
            *place = tid;
            len += 1;
        }
    }
    &buf[..len]
}

/// How many threads of a process are alive, and how many of these are marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Threads that have not exited.
    pub live: usize,
    /// How many of these are marked.
    pub marked: usize,
}

/// Counts the marks of a process. A thread that exits at the same time is not counted.
pub fn marks(pid: i32) -> Marks {
    let mut marks = Marks::default();
    let Ok(tids) = io::ids(text!("/proc/{pid}/task").as_cstr()) else {
        return marks;
    };
    for tid in tids {
        let mut buf = [0; 4096];
        let Some(status) = status(pid, tid, &mut buf) else {
            continue;
        };
        if !dead(status) {
            marks.live += 1;
            marks.marked += usize::from(marked(status));
        }
    }
    marks
}

/// Retries for up to ten seconds until `condition` holds. Returns whether it did.
pub fn eventually(condition: impl Fn() -> bool) -> bool {
    (0..1000).any(|_| {
        condition() || {
            sys::sleep_ms(10);
            false
        }
    })
}

/// Returns a child of a process.
pub fn child_of(pid: i32) -> Option<i32> {
    let parent = |child| {
        let mut buf = [0; 4096];
        io::field(status(child, child, &mut buf)?, "PPid")?
            .parse()
            .ok()
    };
    io::ids(c"/proc").ok()?.find(|id| parent(*id) == Some(pid))
}

/// Returns whether a process has executed the program `wait`. False while another thread becomes
/// the leader, because there is no status then.
pub fn has_execed(pid: i32) -> bool {
    let mut buf = [0; 4096];
    // Exec sets the name before the credentials and the mark. The program sleeps.
    status(pid, pid, &mut buf).is_some_and(|status| {
        io::field(status, "Name") == Some("wait")
            && io::field(status, "State").is_some_and(|state| state.starts_with('S'))
    })
}

/// Shared between a [`Process`] and the process that started it.
pub struct Shared {
    threads: AtomicU32,
    ready: Turnstile,
    end: Turnstile,
}

// SAFETY: Zeros mean no threads, and turnstiles that nobody has passed.
unsafe impl mem::Shareable for Shared {}

impl Shared {
    /// Announces one more thread, and waits for the end.
    fn wait(&self) {
        self.ready.pass();
        self.end.wait_for(1);
    }

    /// Starts all threads except the calling one. They do `work` once they are told to end.
    fn start(&'static self, work: fn()) -> [Option<Thread>; MAX_THREADS] {
        let mut threads = [const { None }; MAX_THREADS];
        let count = self.threads.load(Ordering::Relaxed) as usize - 1;
        for thread in &mut threads[..count] {
            let started = Thread::spawn(move || {
                self.wait();
                work();
            });
            *thread = Some(started.expect("thread"));
        }
        threads
    }
}

/// A process whose threads wait until they are told to end.
pub struct Process {
    child: Child,
    shared: &'static Shared,
}

impl Process {
    /// Starts a process with this many threads, including its leader.
    pub fn start(threads: usize) -> Process {
        Process::start_with(threads, threads_wait)
    }

    /// Like [`Process::start`], with a leader that does `run`.
    pub fn start_with(threads: usize, run: impl FnOnce(&'static Shared)) -> Process {
        Process::start_in(0, threads, run)
    }

    /// Like [`Process::start_with`], in new namespaces.
    pub fn start_in(namespaces: u32, threads: usize, run: impl FnOnce(&'static Shared)) -> Process {
        let shared: &'static Shared = mem::shared().expect("shared memory");
        shared.threads.store(threads as u32, Ordering::Relaxed);
        let child = Child::clone(namespaces, || run(shared)).expect("fork");
        shared.ready.wait_for(threads as u32);
        Process { child, shared }
    }

    /// Returns the process id.
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Tells its threads to end.
    pub fn end(&self) {
        self.shared.end.pass();
    }

    /// Returns whether the process has executed another program.
    pub fn has_execed(&self) -> bool {
        has_execed(self.pid())
    }

    /// Waits until the process has executed another program.
    pub fn wait_for_exec(&self) {
        assert!(eventually(|| self.has_execed()), "no exec");
    }

    /// Waits forever, and leaves the process running.
    pub fn stay(&self) -> ! {
        loop {
            sys::sleep_ms(1000);
        }
    }
}

/// A leader that starts the other threads and ends with them.
pub fn threads_wait(shared: &'static Shared) {
    let threads = shared.start(|| ());
    shared.wait();
    drop(threads);
}

/// A leader that exits while the other threads wait.
pub fn leader_exits(shared: &'static Shared) {
    core::mem::forget(shared.start(|| ()));
    shared.ready.pass();
    sys::exit(0)
}

/// A process that executes another program when told to end.
pub fn exec(shared: &'static Shared) {
    shared.wait();
    exec_wait();
}

/// Like [`exec`], from the first thread that is not the leader.
pub fn exec_by_another(shared: &'static Shared) {
    let threads = shared.start(exec_wait);
    shared.ready.pass();
    core::mem::forget(threads);
    loop {
        sys::sleep_ms(1000);
    }
}

fn exec_wait() {
    let err = sys::execve(c"./wait", &[c"wait"]);
    // Another thread may have been first, in which case this one is killed during the attempt.
    panic!("execve: {err:?}");
}
