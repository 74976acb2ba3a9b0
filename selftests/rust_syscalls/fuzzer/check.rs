// SPDX-License-Identifier: GPL-2.0

//! Compares what the kernel reports with the model.

use crate::driver::Driver;
use crate::memory::address;
use crate::memory::PAGES;
use crate::model::State;
use crate::step::SLOTS;
use crate::tracker::Image;
use crate::tracker::Name;
use crate::tracker::Tracked;
use crate::tracker::Tracker;
use crate::tracker::Vmas;
use harness::cow::Counted;
use harness::cow::View;
use harness::maps::maps;
use harness::sys::MAP_PRIVATE;
use harness::*;

/// The names that programs can be executed with, and how `/proc/cow_track` writes them.
pub const NAMES: [(&[u8], &str); 6] = [
    (b"f0", "f0"),
    (b"f1", "f1"),
    (b"f2", "f2"),
    (b"fifteen-letters", "fifteen-letters"),
    (b"a b", "a b"),
    (b"\xff\n\\", "\\xff\\x0a\\x5c"),
];

/// The name of the driver, which is none of those.
pub const DRIVER: Name = 255;

/// The text of a name: one of [`NAMES`], or another one.
pub fn name(index: Name) -> Text {
    match NAMES.get(usize::from(index)) {
        Some((bytes, _)) => {
            let mut text = Text::new();
            text.push(bytes);
            text
        }
        None => text!("m{index}"),
    }
}

/// Returns the path that the program is executed by to have a name.
pub fn path(index: Name) -> Text {
    let mut path = text!("{}/", crate::DIR);
    path.push(name(index).as_bytes());
    path
}

/// Returns the index of a name.
pub fn index(bytes: &[u8]) -> Option<Name> {
    (0..DRIVER).find(|index| name(*index).as_bytes() == bytes)
}

fn as_listed(index: Name) -> Text {
    match NAMES.get(usize::from(index)) {
        Some((_, listed)) => text!("{listed}"),
        None => name(index),
    }
}

/// Returns the first byte of a value in the status of a task, unless it is gone. Its name may be
/// no text.
pub fn status(tgid: i32, tid: i32, key: &str) -> Option<u8> {
    let mut buf = [0; 4096];
    let path = text!("/proc/{tgid}/task/{tid}/status");
    let file = io::File::open(path.as_cstr(), sys::O_RDONLY).ok()?;
    let status = file.read_all(&mut buf).ok()?;
    let mut lines = status.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b":\t"));
    value?.first().copied()
}

/// Returns the VMAs of a task, at most 128.
pub fn vmas(tid: i32) -> Vmas {
    let mut buf = Mapping::new(16, MAP_PRIVATE).unwrap();
    let mut vmas = Vmas {
        len: 0,
        ranges: [(0, 0); 128],
    };
    for vma in maps(tid, buf.bytes())
        .expect("maps")
        .take(vmas.ranges.len())
    {
        vmas.ranges[vmas.len] = (vma.start, vma.end);
        vmas.len += 1;
    }
    vmas
}

/// The number of faults of an image in a range.
fn faults(image: &Image, range: (usize, usize)) -> isize {
    let inside = |page: &usize| (range.0..range.1).contains(&address(*page));
    let pages = (0..PAGES).filter(inside);
    pages.map(|page| image.pages[page] as isize).sum()
}

impl Driver {
    /// Compares everything.
    pub fn compare_all(&mut self) {
        self.compare_reports(usize::MAX);
        self.compare_view();
        self.compare_marks();
    }

    /// Compares `pf_get_info()` of up to `limit` names.
    pub fn compare_reports(&mut self, limit: usize) {
        let mut left = limit;
        for i in 0..self.model.tracker.names.len() {
            let Some(tracked) = self.model.tracker.names[i] else {
                break;
            };
            // The others have never had a process.
            if usize::from(tracked.name) < NAMES.len() && left > 0 {
                left -= 1;
                self.compare_report(&tracked);
            }
        }
    }

    fn compare_report(&mut self, tracked: &Tracked) {
        let listed = as_listed(tracked.name);
        let listed = listed.as_str();
        let stat = self.count(|| cow::get(name(tracked.name).as_cstr()));
        let stat = stat.unwrap_or_else(|err| panic!("pf_get_info() of {listed}: {err:?}"));
        let live = self.model.tracker.newest(tracked.id, None);
        let (image, vmas) = match (live, tracked.ended) {
            (Some((mm, space)), _) => {
                let user = self.model.user_of(mm).expect("a user of a live mm");
                (space.image, vmas(self.model.tasks[user].tid))
            }
            (None, Some(image)) => (image, self.model.tracker.images[image].vmas),
            (None, None) => {
                expect_eq!((stat.total(), stat.len()), (0, 0), "{listed}");
                return;
            }
        };
        let image = &self.model.tracker.images[image];
        let want = (image.total as isize, vmas.len);
        expect_eq!((stat.total(), stat.len()), want, "{listed}");
        let want = vmas.ranges[..vmas.len].iter().map(|range| Counted {
            range: *range,
            faults: faults(image, *range),
        });
        // One of those that differ is enough.
        let different = stat.vmas().zip(want).find(|(got, want)| got != want);
        if let Some((got, want)) = different {
            expect!(false, "{got:x?}, expected {want:x?}, {listed}");
        }
    }

    /// Compares all lines of `/proc/cow_track`.
    pub fn compare_view(&mut self) {
        let mut buf = Mapping::new(64, MAP_PRIVATE).unwrap();
        let view = View::read(buf.bytes());
        let tracker = &self.model.tracker;
        expect_eq!(view.blocks(), (tracker.free, self.blocks));
        let mut images = view.images();
        for tracked in tracker.names.iter().flatten() {
            let listed = as_listed(tracked.name);
            let listed = listed.as_str();
            expect_eq!(view.missed(listed), Some(0), "{listed}");

            let mut before = None;
            for space in tracker.members(tracked.id) {
                let exec = space.process.exec;
                if before == Some(exec) {
                    continue;
                }
                before = Some(exec);
                let members = tracker.members(tracked.id);
                let live = members.filter(|other| other.process.exec == exec).count();
                let newest = tracker.newest(tracked.id, Some(exec));
                let pid = newest.map_or(0, |(_, space)| space.process.pid);
                let want = (listed, pid, live as u32);
                let image = &tracker.images[space.image];
                compare_image(&mut self.execs, images.next(), want, image);
            }
            if let Some(image) = tracked.ended {
                let image = &tracker.images[image];
                compare_image(&mut self.execs, images.next(), (listed, 0, 0), image);
            }

            let mut processes = view.processes(listed);
            let live = tracker.members(tracked.id);
            let live = live.map(|space| (tracker.line(&space.process), true));
            let past = Tracker::past(tracked).map(|ended| (ended, false));
            for ((process, faults, parent), live) in live.chain(past) {
                let got = processes.next().map(|got| {
                    let numbers = (got.faults, got.parent);
                    (got.pid, got.uid, got.image, numbers, got.live)
                });
                let image = self.execs[process.exec as usize];
                let numbers = (faults as isize, (parent.0, parent.1 as isize));
                let want = (process.pid, process.uid, image, numbers, live);
                expect_eq!(got, Some(want), "{listed}");
            }
            expect_eq!(processes.next(), None, "{listed}");
        }
        expect_eq!(images.next(), None);
    }

    /// Compares the marks of all live tasks, as `/proc` shows them.
    pub fn compare_marks(&self) {
        for slot in 0..SLOTS {
            let task = &self.model.tasks[slot];
            if task.state == State::Live {
                let (tgid, tid) = (self.model.tgid(slot), task.tid);
                let mark = status(tgid, tid, "Vcpu");
                expect_eq!(mark, Some(b'0' + u8::from(task.mark)), "slot {slot}");
            }
        }
    }
}

fn compare_image(
    execs: &mut [u64],
    got: Option<cow::Image<'_>>,
    (name, pid, live): (&str, i32, u32),
    image: &Image,
) {
    let Some(got) = got else {
        expect!(false, "an image of {name} is missing");
        return;
    };
    // The kernel's number of an exec is learned when it is first seen.
    let exec = image.exec as usize;
    if execs[exec] == 0 {
        expect!(!execs.contains(&got.id), "image {} again", got.id);
        execs[exec] = got.id;
    }
    let want = (name, execs[exec], pid, live);
    expect_eq!((got.name, got.id, got.pid, got.live), want);
    let want = (image.total as isize, image.unplaced as isize);
    expect_eq!((got.faults, got.unplaced), want, "{got:?}");
    for vma in got.vmas() {
        expect_eq!(
            vma.faults,
            faults(image, vma.range),
            "{:x?} of {name}",
            vma.range
        );
    }
}
