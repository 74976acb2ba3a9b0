// SPDX-License-Identifier: GPL-2.0

//! A model of tasks, and of what the system calls return to them.

use crate::memory::Memory;
use crate::memory::Page;
use crate::memory::PAGES;
use crate::step::SLOTS;
use crate::tracker::Name;
use crate::tracker::Owner;
use crate::tracker::Tracker;
use crate::tracker::Vmas;
use crate::tracker::MMS;
use harness::sys::Errno;
use harness::sys::EACCES;
use harness::sys::EFAULT;
use harness::sys::EINVAL;
use harness::sys::ENOMEM;
use harness::sys::EPERM;
use harness::sys::ESRCH;

/// The capabilities that matter, as bits.
pub mod caps {
    pub const PERFMON: u8 = 1;
    pub const ADMIN: u8 = 2;
    pub const NICE: u8 = 4;
    pub const DAC_READ: u8 = 8;
    pub const SYSLOG: u8 = 16;
    /// What the root user has here.
    pub const ROOT: u8 = PERFMON | ADMIN | NICE | DAC_READ;
    /// What the creator of a user namespace has in it.
    pub const ALL: u8 = ROOT | SYSLOG;
}

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Free,
    Live,
    /// A thread group leader that has exited.
    Zombie,
}

/// A task.
#[derive(Clone, Copy)]
pub struct Task {
    pub state: State,
    pub process: usize,
    pub name: Name,
    /// The effective user.
    pub uid: u32,
    pub real: u32,
    pub caps: u8,
    /// The user namespace: 0 is the initial one.
    pub ns: u8,
    pub mark: bool,
    /// The child of its `vfork()` that it waits for.
    pub waits_for: Option<usize>,
    pub tid: i32,
}

/// A process.
#[derive(Clone, Copy)]
pub struct Process {
    /// The slot of the thread group leader.
    pub leader: usize,
    /// The number of live threads.
    pub live: usize,
    pub mm: usize,
    /// Whether the address space was made for it.
    pub owner: bool,
    pub start: u32,
    /// The PID namespace: only 0, the initial one, has more than one process.
    pub pid_ns: u8,
}

/// An address space.
#[derive(Clone, Copy)]
struct Mm {
    /// The number of live tasks.
    users: usize,
    exec: u32,
}

/// How an address argument of a call is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    Good,
    Null,
    Bad,
}

/// The result that a call must have: 0 or an error.
pub type Expected = Result<(), Errno>;

/// All tasks, their memory, and the tracker.
pub struct Model {
    pub tasks: [Task; SLOTS],
    pub processes: [Process; SLOTS],
    mms: [Mm; MMS],
    pub memory: Memory<MMS>,
    pub tracker: Tracker,
    /// The owners of user namespaces.
    owners: [u32; 64],
    last_ns: u8,
    last_pid_ns: u8,
    last_exec: u32,
    last_start: u32,
}

impl Model {
    /// Creates the model of a single task, the driver.
    pub fn new(tid: i32, name: Name) -> Model {
        const NONE: Task = Task {
            state: State::Free,
            process: 0,
            name: 0,
            uid: 0,
            real: 0,
            caps: caps::ROOT,
            ns: 0,
            mark: false,
            waits_for: None,
            tid: 0,
        };
        const DRIVER: Process = Process {
            leader: 0,
            live: 1,
            mm: 0,
            owner: true,
            start: 0,
            pid_ns: 0,
        };
        let mut model = Model {
            tasks: [NONE; SLOTS],
            processes: [DRIVER; SLOTS],
            mms: [Mm { users: 0, exec: 0 }; MMS],
            memory: Memory::new(),
            tracker: Tracker::new(),
            owners: [0; 64],
            last_ns: 0,
            last_pid_ns: 0,
            last_exec: 0,
            last_start: 0,
        };
        model.mms[0].users = 1;
        (
            model.tasks[0].state,
            model.tasks[0].tid,
            model.tasks[0].name,
        ) = (State::Live, tid, name);
        model
    }

    pub fn process(&self, slot: usize) -> &Process {
        &self.processes[self.tasks[slot].process]
    }

    /// Returns the process id in the initial namespace.
    pub fn tgid(&self, slot: usize) -> i32 {
        self.tasks[self.process(slot).leader].tid
    }

    /// Returns the slots of the live threads of a process.
    pub fn threads(&self, process: usize) -> impl Iterator<Item = usize> + '_ {
        let ours = move |task: &Task| task.state == State::Live && task.process == process;
        (0..SLOTS).filter(move |slot| ours(&self.tasks[*slot]))
    }

    /// Returns a live task that has this address space.
    pub fn user_of(&self, mm: usize) -> Option<usize> {
        let live = |slot: &usize| self.tasks[*slot].state == State::Live;
        (0..SLOTS).find(|slot| live(slot) && self.process(*slot).mm == mm)
    }

    /// Returns whether the task can be told to do something.
    pub fn is_ready(&self, slot: usize) -> bool {
        self.tasks[slot].state == State::Live && self.tasks[slot].waits_for.is_none()
    }

    /// Returns whether all threads of a task's process are ready.
    pub fn all_ready(&self, slot: usize) -> bool {
        let mut threads = self.threads(self.tasks[slot].process);
        threads.all(|thread| self.is_ready(thread))
    }

    fn capable(&self, slot: usize, ns: u8, cap: u8) -> bool {
        let task = &self.tasks[slot];
        if task.ns == ns {
            return task.caps & cap != 0;
        }
        // All user namespaces are children of the initial one.
        task.ns == 0 && (task.caps & cap != 0 || self.owners[ns as usize] == task.uid)
    }

    /// Returns the result of `make_vcpu()` for the task in a slot.
    pub fn may_mark(&self, slot: usize, target: usize) -> Expected {
        let (task, other) = (&self.tasks[slot], &self.tasks[target]);
        let nice = self.capable(slot, other.ns, caps::NICE);
        let owner = task.uid == other.uid || task.uid == other.real;
        let may = (owner || nice) && (other.caps & !task.caps == 0 || nice);
        may.then_some(()).ok_or(EPERM)
    }

    /// Returns whether one task sees the id of another.
    pub fn sees(&self, slot: usize, target: usize) -> bool {
        let (own, other) = (self.process(slot), self.process(target));
        let exists = self.tasks[target].state != State::Free;
        exists && (own.pid_ns == 0 || own.pid_ns == other.pid_ns)
    }

    /// Returns whether the task may use the tracker.
    pub fn may_track(&self, slot: usize) -> Expected {
        let may = self.capable(slot, 0, caps::PERFMON | caps::ADMIN);
        may.then_some(()).ok_or(EPERM)
    }

    /// Returns the result of opening `/proc/cow_track`.
    pub fn may_view(&self, slot: usize) -> Expected {
        let may_open = self.tasks[slot].uid == 0 || self.capable(slot, 0, caps::DAC_READ);
        may_open.then_some(()).ok_or(EACCES)?;
        self.may_track(slot)
    }

    /// Returns the bytes of the name that a call is given, or its error.
    fn given(place: Pointer, len: usize, bytes: &[u8]) -> Result<&[u8], Errno> {
        if place == Pointer::Null || len == 0 || len > 16 {
            return Err(EINVAL);
        }
        if place == Pointer::Bad {
            return Err(EFAULT);
        }
        let given = &bytes[..len];
        let given = given.strip_suffix(&[0]).unwrap_or(given);
        match given.len() {
            1..=15 if !given.contains(&0) => Ok(given),
            _ => Err(EINVAL),
        }
    }

    /// Returns the result of `pf_set_param()`, for `bytes` at its address.
    pub fn set_result(&self, slot: usize, place: Pointer, len: usize, bytes: &[u8]) -> Expected {
        self.may_track(slot)?;
        Model::given(place, len, bytes).map(|_| ())
    }

    /// Returns the result of `pf_get_info()`. `find` returns whether a name is tracked.
    pub fn get_result(
        &self,
        slot: usize,
        (place, len, bytes): (Pointer, usize, &[u8]),
        pf: Pointer,
        find: impl Fn(&[u8]) -> bool,
    ) -> Expected {
        self.may_track(slot)?;
        self.tracker.is_active().then_some(()).ok_or(EACCES)?;
        (pf != Pointer::Null).then_some(()).ok_or(EINVAL)?;
        let name = Model::given(place, len, bytes)?;
        find(name).then_some(()).ok_or(EINVAL)?;
        (pf != Pointer::Bad).then_some(()).ok_or(EFAULT)
    }

    /// Returns the result of `pf_cleanup()`.
    pub fn cleanup_result(&self, slot: usize) -> Expected {
        self.may_track(slot)?;
        self.tracker.is_active().then_some(()).ok_or(EACCES)
    }

    /// A name starts to be tracked.
    pub fn track(&mut self, name: Name) -> Expected {
        self.tracker.add(name).then_some(()).ok_or(ENOMEM)?;
        for process in 0..SLOTS {
            self.settle(process, None, None);
        }
        Ok(())
    }

    /// Gives the address space of a process the tag that belongs to the name of the process.
    fn settle(&mut self, process: usize, parent: Option<usize>, vmas: Option<&Vmas>) {
        let Some(thread) = self.threads(process).next() else {
            return;
        };
        let found = self.processes[process];
        let leader = &self.tasks[found.leader];
        // The user is that of the leader, if it is alive.
        let thread = match leader.state {
            State::Live => found.leader,
            _ => thread,
        };
        let owner = Owner {
            name: leader.name,
            mm: found.mm,
            exec: self.mms[found.mm].exec,
            start: found.start,
            pid: leader.tid,
            uid: self.tasks[thread].real,
        };
        if found.owner {
            let none = Vmas {
                len: 0,
                ranges: [(0, 0); 128],
            };
            self.tracker.settle(owner, parent, vmas.unwrap_or(&none));
        }
    }

    fn free_process(&self) -> usize {
        let used = |process: usize| {
            let used = |task: &Task| task.state != State::Free && task.process == process;
            self.tasks.iter().any(used)
        };
        (0..SLOTS)
            .find(|process| !used(*process))
            .expect("a process")
    }

    fn free_mm(&self) -> usize {
        (0..MMS)
            .find(|mm| self.mms[*mm].users == 0)
            .expect("an address space")
    }

    /// A task forks, with new user and PID namespaces, or starts a process in its own memory.
    pub fn fork(&mut self, slot: usize, to: usize, tid: i32, how: Fork) {
        let old = *self.process(slot);
        let (process, mm) = match how {
            Fork::Share => (self.free_process(), old.mm),
            Fork::Copy { .. } => (self.free_process(), self.free_mm()),
        };
        self.tasks[to] = Task {
            process,
            mark: false,
            waits_for: None,
            tid,
            ..self.tasks[slot]
        };
        self.last_start += 1;
        self.processes[process] = Process {
            leader: to,
            live: 1,
            mm,
            owner: mm != old.mm,
            start: self.last_start,
            pid_ns: old.pid_ns,
        };
        self.mms[mm].users += 1;
        if let Fork::Copy { user, pid } = how {
            self.mms[mm].exec = self.mms[old.mm].exec;
            self.memory.fork(old.mm, mm);
            if user {
                self.last_ns += 1;
                self.owners[self.last_ns as usize] = self.tasks[slot].uid;
                (self.tasks[to].ns, self.tasks[to].caps) = (self.last_ns, caps::ALL);
            }
            if pid {
                self.last_pid_ns += 1;
                self.processes[process].pid_ns = self.last_pid_ns;
            }
            self.settle(process, Some(old.mm), None);
        }
    }

    /// Returns whether there is room for another user namespace.
    pub fn has_room(&self) -> bool {
        usize::from(self.last_ns) + 1 < self.owners.len()
    }

    /// A task starts a thread.
    pub fn thread(&mut self, slot: usize, to: usize, tid: i32) {
        self.tasks[to] = Task {
            tid,
            ..self.tasks[slot]
        };
        let process = self.tasks[to].process;
        self.processes[process].live += 1;
        self.mms[self.processes[process].mm].users += 1;
    }

    fn drop_mm(&mut self, mm: usize, vmas: &Vmas) {
        self.mms[mm].users -= 1;
        if self.mms[mm].users == 0 {
            self.tracker.leave(mm, vmas);
            self.memory.pages[mm] = [Page::NONE; PAGES];
        }
    }

    /// The child of a `vfork()` needs its parent's memory no more. Returns the parent.
    fn release(&mut self, child: usize) -> Option<usize> {
        let parent = (0..SLOTS).find(|slot| self.tasks[*slot].waits_for == Some(child))?;
        self.tasks[parent].waits_for = None;
        Some(parent)
    }

    /// A task executes a program. Returns the task that waited for this.
    pub fn exec(&mut self, slot: usize, name: Name, vmas: &Vmas) -> Option<usize> {
        let process = self.tasks[slot].process;
        let (leader, mm) = (self.processes[process].leader, self.processes[process].mm);
        let tid = self.tasks[leader].tid;
        for _ in 0..self.processes[process].live {
            self.drop_mm(mm, vmas);
        }
        for other in 0..SLOTS {
            if other != slot && self.tasks[other].process == process {
                self.tasks[other].state = State::Free;
            }
        }
        let mm = self.free_mm();
        self.last_exec += 1;
        (self.mms[mm].users, self.mms[mm].exec) = (1, self.last_exec);
        self.memory.pages[mm] = [Page::NONE; PAGES];

        let task = &mut self.tasks[slot];
        (task.name, task.mark, task.tid) = (name, false, tid);
        task.caps = match (task.uid, task.ns) {
            (0, 0) => caps::ROOT,
            _ => 0,
        };
        let found = &mut self.processes[process];
        (found.leader, found.live, found.mm, found.owner) = (slot, 1, mm, true);
        self.settle(process, None, None);
        self.release(slot)
    }

    /// A task exits. Returns the task that waited for this.
    pub fn exit(&mut self, slot: usize, vmas: &Vmas) -> Option<usize> {
        let process = self.tasks[slot].process;
        let is_leader = self.processes[process].leader == slot;
        self.tasks[slot].state = match is_leader {
            true => State::Zombie,
            false => State::Free,
        };
        self.processes[process].live -= 1;
        self.drop_mm(self.processes[process].mm, vmas);
        self.release(slot)
    }

    /// A task changes its name, or that of another thread of its process.
    pub fn rename(&mut self, target: usize, name: Name, vmas: &Vmas) {
        let process = self.tasks[target].process;
        self.tasks[target].name = name;
        if self.processes[process].leader == target {
            self.settle(process, None, Some(vmas));
        }
    }

    /// Counts a fault if a write has copied a page.
    pub fn fault(&mut self, slot: usize, page: usize, copied: bool) {
        let mm = self.process(slot).mm;
        if copied {
            self.tracker.fault(mm, page);
        }
    }

    /// Returns the result of marking the process of a target.
    pub fn mark(&mut self, slot: usize, target: Option<usize>) -> Expected {
        let target = target.filter(|target| self.sees(slot, *target));
        let target = target.ok_or(ESRCH)?;
        self.may_mark(slot, target)?;
        let process = self.tasks[target].process;
        for thread in 0..SLOTS {
            let task = &mut self.tasks[thread];
            task.mark |= task.state == State::Live && task.process == process;
        }
        Ok(())
    }
}

/// How a process is started.
#[derive(Clone, Copy)]
pub enum Fork {
    /// With a copy of the memory, and with new namespaces.
    Copy { user: bool, pid: bool },
    /// With the same memory.
    Share,
}
