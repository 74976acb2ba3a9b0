// SPDX-License-Identifier: GPL-2.0

//! The driver: tells tasks what to do, and compares the results with the model.

use crate::actor;
use crate::actor::slot;
use crate::actor::CLONE;
use crate::check;
use crate::check::name;
use crate::check::vmas;
use crate::memory::PAGES;
use crate::model::caps;
use crate::model::Expected;
use crate::model::Fork;
use crate::model::Model;
use crate::model::State;
use crate::step::Op;
use crate::step::Step;
use harness::cow::View;
use harness::sys::check;
use harness::sys::nr;
use harness::sys::Result;
use harness::sys::MAP_PRIVATE;
use harness::*;

/// The file descriptor of the file that pages are mapped from, in all processes.
pub const FILE: i32 = 101;

/// The state of a sequence.
pub struct Driver {
    pub model: Model,
    /// The kernel's numbers of the execs.
    pub execs: [u64; 1024],
    pub blocks: usize,
    /// How many of the calls under test were made.
    pub calls: usize,
}

impl Driver {
    /// Starts a sequence.
    pub fn new() -> Driver {
        actor::create();
        let file = cow::memory_file(PAGES);
        sys::dup2(file.fd, FILE).expect("dup2");
        let mut buf = Mapping::new(1, MAP_PRIVATE).unwrap();
        let (free, all) = View::read(buf.bytes()).blocks();
        assert_eq!(free, all, "blocks that nobody has");
        let mut driver = Driver {
            model: Model::new(sys::getpid(), check::DRIVER),
            execs: [0; 1024],
            blocks: all,
            calls: 0,
        };
        driver.model.tracker.free = all;
        driver
    }

    /// Makes one of the calls under test.
    pub fn count<T>(&mut self, call: impl FnOnce() -> T) -> T {
        self.calls += 1;
        call()
    }

    /// Lets a task make a system call.
    pub fn call(&self, who: usize, nr: usize, args: &[usize]) -> Result {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        if who == 0 {
            // SAFETY: The driver only makes the calls under test.
            return check(unsafe { arch::syscall(nr, all) });
        }
        slot(who).start(nr, all);
        check(slot(who).wait())
    }

    /// Lets a task make a call that must return this.
    #[track_caller]
    pub fn must(&self, who: usize, nr: usize, args: &[usize], want: usize) {
        assert_eq!(
            self.call(who, nr, args),
            Ok(want),
            "system call {nr} of slot {who}"
        );
    }

    /// Does a step, if that is possible. Returns whether it was.
    pub fn step(&mut self, step: Step) -> bool {
        let who = usize::from(step.who);
        let [a, b, c, d] = step.args.map(usize::from);
        let is_call = matches!(
            step.op,
            Op::Hello | Op::Xxxhal | Op::MakeVcpu | Op::Set | Op::Get | Op::Cleanup | Op::SetMany
        );
        let state = self.model.tasks[who].state;
        let may = match step.op {
            Op::Reap => state == State::Zombie,
            Op::Fork => self.model.is_ready(who),
            _ => (is_call || who != 0) && self.model.is_ready(who),
        };
        may && match step.op {
            Op::Hello | Op::Xxxhal => self.log(who, step.op, a),
            Op::MakeVcpu => self.make_vcpu(who, a),
            Op::Set => self.set(who, a, b, c),
            Op::Get => self.get(who, a, b, c, d),
            Op::Cleanup => self.cleanup(who),
            Op::SetMany => self.set_many(who, a),
            Op::View => self.view(who),
            Op::Fork => self.fork(who, a, b),
            Op::Thread => self.thread(who, a),
            Op::Share => self.share(who, a, b),
            Op::Exec => self.exec(who, a),
            Op::Exit => self.exit(who),
            Op::ExitGroup => self.exit_group(who, a),
            Op::Reap => self.reap(who),
            Op::Rename => self.rename(who, a, b, c),
            Op::User => self.user(who, a, b, c),
            _ => self.step_memory(who, step.op, (a, b, c)),
        }
    }

    /// Compares a result with what it must be.
    #[track_caller]
    pub fn expect(&self, got: Result, want: Expected) -> bool {
        expect_eq!(got, want.map(|()| 0));
        true
    }

    fn is_free(&self, to: usize) -> bool {
        self.model.tasks[to].state == State::Free
    }

    /// Lets a task clone one into a slot.
    fn clone(&mut self, who: usize, to: usize, flags: u32) -> Result {
        extern "C" {
            fn thread_clone(flags: u32, stack: usize, tid: usize) -> isize;
        }
        slot(to).prepare(to);
        if who == 0 {
            // SAFETY: The task has a stack of its own, and its own copy of our memory.
            return check(unsafe { thread_clone(flags, slot(to).top(), 0) });
        }
        slot(who).start(CLONE, [flags as usize, to, 0, 0, 0, 0]);
        check(slot(who).wait())
    }

    fn fork(&mut self, who: usize, to: usize, kind: usize) -> bool {
        let (user, pid) = (matches!(kind, 5 | 7), matches!(kind, 6 | 7));
        let task = self.model.tasks[who];
        let fits = !user || self.model.has_room();
        if !self.is_free(to) || !fits || self.model.process(who).pid_ns != 0 {
            return false;
        }
        let mut flags = sys::SIGCHLD as u32;
        // All processes are the driver's children.
        const CLONE_PARENT: u32 = 0x8000;
        if who != 0 {
            flags |= CLONE_PARENT;
        }
        if user {
            flags |= sys::CLONE_NEWUSER;
        }
        if pid {
            flags |= sys::CLONE_NEWPID;
        }
        let allowed = match user {
            // In a namespace of its own, its user has no number.
            true => task.ns == 0,
            false => !pid || task.caps & caps::ADMIN != 0,
        };
        let got = self.clone(who, to, flags);
        if !allowed {
            expect_eq!(got, Err(sys::EPERM));
            return true;
        }
        let child = got.expect("a process") as i32;
        slot(to).wait();
        self.model.fork(who, to, child, Fork::Copy { user, pid });
        true
    }

    fn thread(&mut self, who: usize, to: usize) -> bool {
        const FLAGS: u32 = sys::CLONE_VM
            | sys::CLONE_FS
            | sys::CLONE_FILES
            | sys::CLONE_SIGHAND
            | sys::CLONE_THREAD
            | sys::CLONE_SYSVSEM;
        if !self.is_free(to) || self.model.process(who).pid_ns != 0 {
            return false;
        }
        let tid = self.clone(who, to, FLAGS).expect("a thread") as i32;
        slot(to).wait();
        self.model.thread(who, to, tid);
        true
    }

    fn share(&mut self, who: usize, to: usize, vfork: usize) -> bool {
        const CLONE_PARENT: u32 = 0x8000;
        let flags = sys::CLONE_VM | CLONE_PARENT | sys::SIGCHLD as u32;
        if !self.is_free(to) || self.model.process(who).pid_ns != 0 {
            return false;
        }
        if vfork == 0 {
            let child = self.clone(who, to, flags).expect("a process") as i32;
            slot(to).wait();
            self.model.fork(who, to, child, Fork::Share);
            return true;
        }
        slot(to).prepare(to);
        let flags = flags | sys::CLONE_VFORK;
        slot(who).start(CLONE, [flags as usize, to, 0, 0, 0, 0]);
        slot(to).wait();
        let child = self.call(to, nr::GETPID, &[]).expect("getpid") as i32;
        self.model.fork(who, to, child, Fork::Share);
        self.model.tasks[who].waits_for = Some(to);
        true
    }

    /// Waits for a task that can now go on after its `vfork()`.
    fn released(&self, parent: Option<usize>) {
        if let Some(parent) = parent {
            slot(parent).wait();
        }
    }

    fn exec(&mut self, who: usize, index: usize) -> bool {
        if !self.model.all_ready(who) {
            return false;
        }
        let vmas = vmas(self.model.tasks[who].tid);
        let own = slot(who);
        let mut path = check::path(index as u8);
        path.push(b"\0actor\0");
        path.push(text!("{who}").as_bytes());
        let place = own.put(0, path.as_bytes());
        let bytes = path.as_bytes();
        let word = |n: usize| {
            let mut zeros = (0..bytes.len()).filter(|i| bytes[*i] == 0);
            place + zeros.nth(n).expect("a word") + 1
        };
        let argv = [place, word(0), word(1), 0];
        own.put_numbers(1, &argv);
        let result = self.call(who, nr::EXECVE, &[place, own.scratch(1), 0]);
        assert_eq!(result, Ok(0), "execve()");
        let parent = self.model.exec(who, index as u8, &vmas);
        self.released(parent);
        true
    }

    /// Waits until a task has exited, and is gone unless it is a thread group leader.
    fn wait_exit(&self, tgid: i32, tid: i32) {
        loop {
            match check::status(tgid, tid, "State") {
                None => return,
                Some(b'Z') if tid == tgid => return,
                _ => sys::sched_yield(),
            }
        }
    }

    fn exit(&mut self, who: usize) -> bool {
        let (tgid, tid) = (self.model.tgid(who), self.model.tasks[who].tid);
        let vmas = vmas(tid);
        slot(who).start(nr::EXIT, [0; 6]);
        self.wait_exit(tgid, tid);
        let parent = self.model.exit(who, &vmas);
        self.released(parent);
        true
    }

    fn exit_group(&mut self, who: usize, killed: usize) -> bool {
        if !self.model.all_ready(who) {
            return false;
        }
        let process = self.model.tasks[who].process;
        let tgid = self.model.tgid(who);
        let vmas = vmas(self.model.tasks[who].tid);
        match killed {
            0 => slot(who).start(nr::EXIT_GROUP, [0; 6]),
            _ => drop(sys::kill(tgid, sys::SIGKILL)),
        }
        sys::wait(tgid, sys::WNOWAIT).expect("waitid");
        let mut parent = None;
        loop {
            let thread = self.model.threads(process).next();
            let Some(thread) = thread else { break };
            parent = self.model.exit(thread, &vmas).or(parent);
        }
        self.released(parent);
        true
    }

    fn reap(&mut self, who: usize) -> bool {
        if self.model.process(who).live > 0 {
            return false;
        }
        sys::wait(self.model.tasks[who].tid, 0).expect("waitid");
        self.model.tasks[who].state = State::Free;
        true
    }

    fn rename(&mut self, who: usize, index: usize, how: usize, target: usize) -> bool {
        const AT_FDCWD: usize = -100isize as usize;
        let vmas = vmas(self.model.tasks[who].tid);
        let text = name(index as u8);
        let own = slot(who);
        if how == 0 {
            let place = own.put(0, text.as_bytes());
            self.must(who, nr::PRCTL, &[sys::PR_SET_NAME as usize, place], 0);
            self.model.rename(who, index as u8, &vmas);
            return true;
        }
        let (task, other) = (self.model.tasks[who], self.model.tasks[target]);
        if other.state == State::Free || other.process != task.process {
            return false;
        }
        let path = text!("/proc/{}/task/{}/comm", self.model.tgid(who), other.tid);
        let path = own.put(0, path.as_bytes());
        let flags = sys::O_WRONLY as usize;
        let fd = self.call(who, nr::OPENAT, &[AT_FDCWD, path, flags, 0]);
        let fd = fd.expect("/proc/<pid>/task/<tid>/comm");
        let len = text.as_bytes().len();
        self.must(who, nr::WRITE, &[fd, own.put(1, text.as_bytes()), len], len);
        self.must(who, nr::CLOSE, &[fd], 0);
        self.model.rename(target, index as u8, &vmas);
        true
    }

    fn user(&mut self, who: usize, user: usize, real: usize, set: usize) -> bool {
        let task = self.model.tasks[who];
        if (task.uid, task.ns) != (0, 0) {
            return false;
        }
        let set = [0, caps::PERFMON, caps::NICE, caps::PERFMON | caps::DAC_READ][set];
        let all = [
            (caps::PERFMON, sys::CAP_PERFMON),
            (caps::NICE, sys::CAP_SYS_NICE),
            (caps::DAC_READ, sys::CAP_DAC_READ_SEARCH),
        ];
        let bits = all.iter().filter(|(bit, _)| set & bit != 0);
        let bits = bits.fold(0u64, |bits, (_, cap)| bits | 1 << cap);
        let (low, high) = (bits as u32, (bits >> 32) as u32);
        let (uid, real) = (1000 + user, 1000 + real);

        let own = slot(who);
        self.must(who, nr::PRCTL, &[sys::PR_SET_KEEPCAPS as usize, 1], 0);
        self.must(who, nr::SETRESUID, &[real, uid, uid], 0);
        // The version, and then effective, permitted and inheritable, twice.
        let words = [0x2008_0522, 0, low, low, 0, high, high, 0];
        let place = own.put_numbers(1, &words);
        self.must(who, nr::CAPSET, &[place, place + 8], 0);
        let task = &mut self.model.tasks[who];
        (task.uid, task.real, task.caps) = (uid as u32, real as u32, set);
        true
    }
}
