// SPDX-License-Identifier: GPL-2.0

//! A model of the copy-on-write fault tracker, by its documentation:
//! Documentation/userspace-api/cow_track.rst.

use crate::memory::block;
use crate::memory::PAGES;

/// The index of a name, see [`crate::check::name`].
pub type Name = u8;

/// The maximum number of names, of processes that ended, and of VMAs of an image that ended.
const NAMES: usize = 64;
const PAST: usize = 32;
const KEPT: usize = 128;

/// The maximum number of images, and of address spaces.
const IMAGES: usize = 96;
pub const MMS: usize = crate::step::SLOTS;

/// VMAs.
#[derive(Clone, Copy)]
pub struct Vmas {
    pub len: usize,
    pub ranges: [(usize, usize); KEPT],
}

/// An image.
#[derive(Clone, Copy)]
pub struct Image {
    pub exec: u32,
    pub total: u32,
    pub unplaced: u32,
    /// The counts by page.
    pub pages: [u32; PAGES],
    blocks: [usize; 8],
    len: usize,
    /// The VMAs of the last process, once the image has ended.
    pub vmas: Vmas,
}

/// A process, as a line of `/proc/cow_track` shows it.
#[derive(Clone, Copy)]
pub struct Process {
    pub pid: i32,
    pub uid: u32,
    pub exec: u32,
    /// The index of its number of faults.
    count: usize,
    parent: Option<Parent>,
}

/// The parent of a tracked process.
#[derive(Clone, Copy)]
pub struct Parent {
    pid: i32,
    count: usize,
    before: u32,
}

/// What the tag of an address space refers to.
#[derive(Clone, Copy)]
pub struct Space {
    pub name_id: u32,
    pub image: usize,
    pub start: u32,
    pub tag: u32,
    pub process: Process,
}

/// A process that has ended, and its numbers of faults: its own, and its parent's.
pub type Ended = (Process, u32, (i32, u32));

/// A tracked name.
#[derive(Clone, Copy)]
pub struct Tracked {
    pub name: Name,
    pub id: u32,
    pub ended: Option<usize>,
    past: [Option<Ended>; PAST],
    past_count: usize,
}

/// A process that may have to be tagged.
pub struct Owner {
    pub name: Name,
    pub mm: usize,
    pub exec: u32,
    pub start: u32,
    pub pid: i32,
    pub uid: u32,
}

/// The tracker.
pub struct Tracker {
    pub names: [Option<Tracked>; NAMES],
    pub spaces: [Option<Space>; MMS],
    pub images: [Image; IMAGES],
    /// How many blocks are free.
    pub free: usize,
    counts: [u32; 1024],
    last_count: usize,
    last_name: u32,
    last_tag: u32,
}

impl Tracker {
    pub const fn new() -> Tracker {
        const IMAGE: Image = Image {
            exec: 0,
            total: 0,
            unplaced: 0,
            pages: [0; PAGES],
            blocks: [0; 8],
            len: 0,
            vmas: Vmas {
                len: 0,
                ranges: [(0, 0); KEPT],
            },
        };
        Tracker {
            names: [None; NAMES],
            spaces: [None; MMS],
            images: [IMAGE; IMAGES],
            free: 0,
            counts: [0; 1024],
            last_count: 0,
            last_name: 0,
            last_tag: 0,
        }
    }

    /// Returns the tracked name.
    pub fn find(&self, name: Name) -> Option<&Tracked> {
        let names = || self.names.iter().flatten();
        names().find(|tracked| tracked.name == name)
    }

    /// Returns whether any name is tracked.
    pub fn is_active(&self) -> bool {
        self.names.iter().flatten().next().is_some()
    }

    /// Adds a name. Returns false if there are too many.
    pub fn add(&mut self, name: Name) -> bool {
        if self.find(name).is_some() {
            return true;
        }
        let Some(place) = self.names.iter_mut().find(|place| place.is_none()) else {
            return false;
        };
        self.last_name += 1;
        *place = Some(Tracked {
            name,
            id: self.last_name,
            ended: None,
            past: [None; PAST],
            past_count: 0,
        });
        true
    }

    /// Forgets all names.
    pub fn cleanup(&mut self, blocks: usize) {
        self.names = [None; NAMES];
        self.spaces = [None; MMS];
        self.free = blocks;
    }

    /// Gives the owner of an address space the tag that belongs to its name. `parent` is the
    /// address space that it was forked from.
    pub fn settle(&mut self, owner: Owner, parent: Option<usize>, vmas: &Vmas) {
        let want = self.find(owner.name).map(|name| name.id);
        let old = self.spaces[owner.mm];
        if old.map(|space| space.name_id) == want {
            return;
        }
        let parent = parent.and_then(|mm| self.spaces[mm]).map(|space| Parent {
            pid: space.process.pid,
            count: space.process.count,
            before: self.counts[space.process.count],
        });
        if let Some(name_id) = want {
            // The new one is there before the old one leaves.
            let image = self.live_image(name_id, owner.exec);
            self.last_tag += 1;
            self.last_count += 1;
            self.spaces[owner.mm] = Some(Space {
                name_id,
                image: image.unwrap_or_else(|| self.new_image(owner.exec)),
                start: owner.start,
                tag: self.last_tag,
                process: Process {
                    pid: owner.pid,
                    uid: owner.uid,
                    exec: owner.exec,
                    count: self.last_count,
                    parent,
                },
            });
        } else {
            self.spaces[owner.mm] = None;
        }
        if let Some(old) = old {
            self.left(old, vmas);
        }
    }

    /// The address space has lost its last user.
    pub fn leave(&mut self, mm: usize, vmas: &Vmas) {
        if let Some(space) = self.spaces[mm].take() {
            self.left(space, vmas);
        }
    }

    fn live_image(&self, name_id: u32, exec: u32) -> Option<usize> {
        let spaces = self.spaces.iter().flatten();
        let mut same = spaces.filter(|s| s.name_id == name_id && s.process.exec == exec);
        same.next().map(|space| space.image)
    }

    fn new_image(&mut self, exec: u32) -> usize {
        let unused = |image: &usize| {
            let ended = self.names.iter().flatten().filter_map(|name| name.ended);
            let live = self.spaces.iter().flatten().map(|space| space.image);
            !ended.chain(live).any(|used| used == *image)
        };
        let found = (0..IMAGES).find(unused).expect("an unused image");
        let image = &mut self.images[found];
        (image.exec, image.total, image.unplaced) = (exec, 0, 0);
        (image.pages, image.len) = ([0; PAGES], 0);
        found
    }

    fn left(&mut self, space: Space, vmas: &Vmas) {
        let ended = self.line(&space.process);
        let is_last = self.live_image(space.name_id, space.process.exec).is_none();
        let mut names = self.names.iter_mut().flatten();
        let Some(name) = names.find(|name| name.id == space.name_id) else {
            return;
        };
        name.past[name.past_count % PAST] = Some(ended);
        name.past_count += 1;
        if is_last {
            name.ended = Some(space.image);
            let image = &mut self.images[space.image];
            image.vmas = *vmas;
            self.free += image.len;
        }
    }

    /// Returns the numbers of a line of `/proc/cow_track`.
    pub fn line(&self, process: &Process) -> Ended {
        let since = |parent: Parent| (parent.pid, self.counts[parent.count] - parent.before);
        let parent = process.parent.map_or((0, 0), since);
        (*process, self.counts[process.count], parent)
    }

    /// Counts a fault.
    pub fn fault(&mut self, mm: usize, page: usize) {
        let Some(space) = self.spaces[mm] else { return };
        self.counts[space.process.count] += 1;
        let image = &mut self.images[space.image];
        image.total += 1;
        let block = block(page);
        if !image.blocks[..image.len].contains(&block) {
            // An image gets another block only while it has fewer than are free.
            if image.len + 1 > self.free {
                image.unplaced += 1;
                return;
            }
            image.blocks[image.len] = block;
            image.len += 1;
            self.free -= 1;
        }
        image.pages[page] += 1;
    }

    /// A mapping has been made.
    pub fn map(&mut self, mm: usize, pages: core::ops::Range<usize>) {
        if let Some(space) = self.spaces[mm] {
            self.images[space.image].pages[pages].fill(0);
        }
    }

    /// Returns the live address space of a name, of the process that was started last.
    pub fn newest(&self, name_id: u32, exec: Option<u32>) -> Option<(usize, Space)> {
        let spaces = self.spaces.iter().enumerate();
        let spaces = spaces.filter_map(|(mm, space)| Some((mm, (*space)?)));
        spaces
            .filter(|(_, space)| space.name_id == name_id)
            .filter(|(_, space)| exec.is_none_or(|exec| space.process.exec == exec))
            .max_by_key(|(_, space)| (space.start, space.tag))
    }

    /// Returns the address spaces of a name in the order of `/proc/cow_track`.
    pub fn members(&self, name_id: u32) -> impl Iterator<Item = Space> + '_ {
        let mut before = None;
        core::iter::from_fn(move || {
            let key = |space: &Space| (space.process.exec, space.start, space.tag);
            let spaces = self.spaces.iter().flatten();
            let next = spaces
                .filter(|space| space.name_id == name_id && Some(key(space)) > before)
                .min_by_key(|space| key(space));
            before = next.map(key).or(before);
            next.copied()
        })
    }

    /// Returns the processes of a name that ended last, oldest first.
    pub fn past(tracked: &Tracked) -> impl Iterator<Item = Ended> + '_ {
        let first = tracked.past_count.saturating_sub(PAST);
        (first..tracked.past_count).filter_map(|i| tracked.past[i % PAST])
    }
}
