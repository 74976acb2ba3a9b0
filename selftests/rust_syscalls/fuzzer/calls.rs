// SPDX-License-Identifier: GPL-2.0

//! The driver's steps that make the calls under test.

use crate::actor;
use crate::actor::slot;
use crate::check;
use crate::check::name;
use crate::driver::Driver;
use crate::model::Pointer;
use crate::model::State;
use crate::step::Op;
use harness::calls::nr as ours;
use harness::sys::nr;
use harness::sys::Result;
use harness::*;

/// An address of the kernel, and one below any mapping.
const KERNEL: usize = usize::MAX & !0xfff;
const LOW: usize = 8;

/// What the driver knows of an address argument.
type Place = (usize, Pointer);

impl Driver {
    /// Makes a call that logs something.
    pub fn log(&mut self, who: usize, op: Op, arg: usize) -> bool {
        let number = [0, 1, 42, usize::MAX, isize::MAX as usize, 1 << 31, 7, 8][arg];
        if op == Op::Hello {
            let got = self.count_call(who, ours::HELLO, &[number]);
            return self.expect(got, Ok(()));
        }
        let long = [b'x'; 256];
        let own = slot(who);
        let (place, want) = match arg {
            0 => (0, Err(sys::EFAULT)),
            1 => (actor::unmapped(), Err(sys::EFAULT)),
            2 => (KERNEL, Err(sys::EFAULT)),
            3 => (own.put(0, &long), Err(sys::EFAULT)),
            4 => (own.put(0, &long[1..]), Ok(())),
            5 => (actor::unmapped() - 1, Ok(())),
            6 => (own.put(0, b"a\n\xff\\\x1b[m"), Ok(())),
            _ => (LOW, Err(sys::EFAULT)),
        };
        let got = self.count_call(who, ours::xxxhal(), &[place]);
        self.expect(got, want)
    }

    fn count_call(&mut self, who: usize, nr: usize, args: &[usize]) -> Result {
        self.calls += 1;
        self.call(who, nr, args)
    }

    pub fn make_vcpu(&mut self, who: usize, arg: usize) -> bool {
        const NOBODY: i32 = i32::MAX;
        let (pid, target) = match arg {
            0..8 if self.model.tasks[arg].state == State::Free => (NOBODY, None),
            // In its own namespace, the only process has number 1.
            0..8 if self.model.process(who).pid_ns != 0 => {
                let own = self.model.tasks[arg].process == self.model.tasks[who].process;
                let is_leader = self.model.process(who).leader == arg;
                match own {
                    true if !is_leader => return false,
                    true => (1, Some(arg)),
                    false => (self.model.tasks[arg].tid, None),
                }
            }
            0..8 => (self.model.tasks[arg].tid, Some(arg)),
            10 => (-1, None),
            11 => (i32::MIN, None),
            // A kernel thread.
            12 if self.model.process(who).pid_ns == 0 => (2, None),
            13 => (NOBODY, None),
            _ => (0, Some(who)),
        };
        let want = match pid {
            i32::MIN..=-1 | 2 => Err(sys::EINVAL),
            _ => self.model.mark(who, target),
        };
        let got = self.count_call(who, ours::make_vcpu(), &[pid as usize]);
        self.expect(got, want);
        self.compare_marks();
        true
    }

    /// Returns an address argument for memory that may be `good`.
    fn place(good: usize, kind: usize) -> Place {
        match kind {
            0 => (0, Pointer::Null),
            1 => (actor::unmapped(), Pointer::Bad),
            2 => (KERNEL, Pointer::Bad),
            3 => (LOW, Pointer::Bad),
            _ => (good, Pointer::Good),
        }
    }

    /// Returns the address and the length of a name, and the bytes.
    fn name_argument(
        who: usize,
        (index, len, place): (usize, usize, usize),
    ) -> (Place, usize, Text) {
        let mut bytes = name(index as u8);
        let exact = bytes.as_bytes().len();
        let len = match len {
            0 => 0,
            1 => exact + 1,
            2 => exact + 2,
            3 => 17,
            4 => usize::MAX,
            5 => isize::MAX as usize + 1,
            6 => 16,
            7 => exact - 1,
            _ => exact,
        };
        let good = slot(who).put(0, bytes.as_bytes());
        bytes.push(&[0; 32]);
        let place = match place {
            // All but the last byte can be read.
            4 if (1..17).contains(&len) => (actor::unmapped() + 1 - len, Pointer::Bad),
            place => Driver::place(good, place),
        };
        (place, len, bytes)
    }

    pub fn set(&mut self, who: usize, index: usize, len: usize, place: usize) -> bool {
        let (place, len, bytes) = Driver::name_argument(who, (index, len, place));
        let want = self.model.set_result(who, place.1, len, bytes.as_bytes());
        let mut known = None;
        if want.is_ok() {
            let given = &bytes.as_bytes()[..len];
            known = check::index(given.strip_suffix(&[0]).unwrap_or(given));
            // A part of a name is a name, too, but not one of ours.
            if known.is_none() {
                return false;
            }
        }
        let got = self.count_call(who, ours::pf_set_param(), &[place.0, len]);
        let want = want.and_then(|()| self.model.track(known.unwrap_or(0)));
        self.expect(got, want)
    }

    pub fn get(&mut self, who: usize, index: usize, len: usize, place: usize, pf: usize) -> bool {
        let (place, len, bytes) = Driver::name_argument(who, (index, len, place));
        let good = slot(who).scratch(1);
        let pf = match pf {
            4 => (actor::read_only(), Pointer::Bad),
            // The rest of it is read-only.
            5 => (actor::read_only() - 64, Pointer::Bad),
            pf => Driver::place(good, pf),
        };
        let tracker = &self.model.tracker;
        let find = |bytes: &[u8]| {
            let mut names = tracker.names.iter().flatten();
            names.any(|tracked| check::name(tracked.name).as_bytes() == bytes)
        };
        let given = (place.1, len, bytes.as_bytes());
        let want = self.model.get_result(who, given, pf.1, find);
        let got = self.count_call(who, ours::pf_get_info(), &[place.0, len, pf.0]);
        self.expect(got, want)
    }

    pub fn cleanup(&mut self, who: usize) -> bool {
        let want = self.model.cleanup_result(who);
        let got = self.count_call(who, ours::pf_cleanup(), &[]);
        if want.is_ok() {
            self.model.tracker.cleanup(self.blocks);
        }
        self.expect(got, want)
    }

    pub fn set_many(&mut self, who: usize, count: usize) -> bool {
        for index in 0..count {
            let index = 100 + index;
            self.set(who, index, 11, 11);
        }
        true
    }

    pub fn view(&mut self, who: usize) -> bool {
        const AT_FDCWD: usize = -100isize as usize;
        let want = self.model.may_view(who);
        let path = slot(who).put(0, b"/proc/cow_track");
        let got = self.call(who, nr::OPENAT, &[AT_FDCWD, path, 0, 0]);
        if let Ok(fd) = got {
            self.must(who, nr::CLOSE, &[fd], 0);
        }
        self.expect(got.map(|_| 0), want)
    }
}
