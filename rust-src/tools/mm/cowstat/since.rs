// SPDX-License-Identifier: GPL-2.0

//! What of a name is shown: all, or what has happened since some time.

use crate::view::Image;
use crate::view::Name;
use crate::view::Process;
use crate::view::Vma;

/// A name as it was at some time, and what of it is shown later. By default, everything is.
#[derive(Clone, Copy, Default)]
pub struct Since<'a> {
    before: Name<'a>,
    /// Only images that began after the one with this ID are shown.
    after: u64,
}

impl<'b> Since<'b> {
    /// Shows only images that begin later.
    pub fn new_images(before: Name<'b>) -> Self {
        let of_processes = before.processes().map(|process| process.image);
        let images = before.images().map(|image| image.id).chain(of_processes);
        let after = images.max().unwrap_or(0);
        Since { before, after }
    }

    /// Shows what happens later, also in images that have begun.
    pub fn changes(before: Name<'b>) -> Self {
        Since { before, after: 0 }
    }

    /// Returns an image as it was.
    fn was(&self, image: &Image) -> Option<Image> {
        let mut images = self.before.images();
        // An image that has ended does not live again: another one may have its ID.
        images.find(|was| was.id == image.id && (was.live != 0 || image.live == 0))
    }

    /// Returns the images, with what has been counted since. Leaves those out in which nothing has
    /// happened.
    pub fn images<'a>(&self, name: &Name<'a>) -> impl Iterator<Item = Image> + use<'a, 'b> {
        let (since, name) = (*self, *name);
        let images = name.images().filter(move |image| image.id > since.after);
        images.filter_map(move |mut image| {
            if let Some(was) = since.was(&image) {
                image.faults = image.faults.saturating_sub(was.faults);
                image.unplaced = image.unplaced.saturating_sub(was.unplaced);
                image.mapped = since.vmas(&name, &image).map(|vma| vma.faults).sum();
                let has_changed = image.faults != 0 || since.forks(&name, &image).next().is_some();
                return has_changed.then_some(image);
            }
            Some(image)
        })
    }

    /// Returns the VMAs of an image, with what has been counted there since, and whether each has
    /// grown downwards.
    fn later<'a>(
        &self,
        name: &Name<'a>,
        was: Option<Image>,
        image: &Image,
    ) -> impl Iterator<Item = (Vma, bool)> + use<'a, 'b> {
        let was = was.map(|was| self.before.vmas(&was));
        let mut before = was.into_iter().flatten();
        let mut next = before.next();
        name.vmas(image).map(move |mut vma| {
            let mut has_grown = false;
            // VMAs can have been merged or split.
            while let Some(was) = &mut next {
                if was.start >= vma.end {
                    break;
                }
                // Fewer in the same place: it was mapped again, so these are new.
                let is_new =
                    was.start == vma.start && was.end == vma.end && was.faults > vma.faults;
                if was.end > vma.start && !is_new {
                    has_grown |= was.start > vma.start;
                    let counted = was.faults.min(vma.faults);
                    was.faults -= counted;
                    vma.faults -= counted;
                    if was.end > vma.end {
                        break;
                    }
                }
                next = before.next();
            }
            (vma, has_grown)
        })
    }

    /// Returns the VMAs of an image, with what has been counted there since.
    pub fn vmas<'a>(
        &self,
        name: &Name<'a>,
        image: &Image,
    ) -> impl Iterator<Item = Vma> + use<'a, 'b> {
        let was = self.was(image);
        let new = image.faults.saturating_sub(image.unplaced);
        let sum = self.later(name, was, image).map(|(vma, _)| vma.faults);
        // A stack grows over what was counted for one that has ended, which was in no VMA before.
        let mut old = match was {
            Some(_) => sum.sum::<u64>().saturating_sub(new),
            None => 0,
        };
        self.later(name, was, image)
            .map(move |(mut vma, has_grown)| {
                if has_grown {
                    let counted = old.min(vma.faults);
                    old -= counted;
                    vma.faults -= counted;
                }
                vma
            })
    }

    /// Returns these processes, of images that are shown and of others, without those that were
    /// there before.
    fn new_processes<'a, F: Fn(&Process) -> bool>(
        &self,
        name: &Name<'a>,
        is_wanted: F,
    ) -> impl Iterator<Item = Process> + use<'a, 'b, F> {
        let before = self.before;
        let is_old = move |process: &Process| {
            before.processes().any(|was| {
                // A live process only gets older: otherwise another one has its PID.
                (was.pid, was.image) == (process.pid, process.image)
                    && (was.ns == process.ns || was.live && was.ns < process.ns)
            })
        };
        // There can be thousands: search only for those that are wanted.
        name.processes()
            .filter(move |process| is_wanted(process) && !is_old(process))
    }

    /// Returns the processes that have started since.
    pub fn processes<'a>(&self, name: &Name<'a>) -> impl Iterator<Item = Process> + use<'a, 'b> {
        let after = self.after;
        self.new_processes(name, move |process| process.image > after)
    }

    /// Returns those of an image that were forked.
    pub fn forks<'a>(
        &self,
        name: &Name<'a>,
        image: &Image,
    ) -> impl Iterator<Item = Process> + use<'a, 'b> {
        let id = image.id;
        self.new_processes(name, move |process| {
            process.image == id && process.parent != 0
        })
    }

    /// Returns the processes that have ended in images which the kernel has forgotten.
    pub fn forgotten<'a>(&self, name: &Name<'a>) -> impl Iterator<Item = Process> + use<'a, 'b> {
        let (name, after) = (*name, self.after);
        let is_kept = move |process: &Process| name.images().any(|image| image.id == process.image);
        self.new_processes(&name, move |process| {
            process.image > after && !process.live && !is_kept(process)
        })
    }

    /// Returns whether the kernel has forgotten an image that was alive and would be shown.
    pub fn has_lost_images(&self, name: &Name<'_>) -> bool {
        let mut were_live = self
            .before
            .images()
            .filter(|was| was.live != 0 && was.id > self.after);
        were_live.any(|was| !name.images().any(|image| image.id == was.id))
    }

    /// Returns how many of the last processes have ended since, also of those that were there
    /// before.
    pub fn ended(&self, name: &Name<'_>) -> usize {
        let id = |process: &Process| (process.pid, process.image, process.ns);
        let had_ended = |process: &Process| {
            let mut ended = self.before.processes().filter(|was| !was.live);
            ended.any(|was| id(&was) == id(process))
        };
        let ended = name.processes().filter(|process| !process.live);
        ended.filter(|process| !had_ended(process)).count()
    }

    /// Returns how many processes have been missed since.
    pub fn missed(&self, name: &Name<'_>) -> u64 {
        name.missed.saturating_sub(self.before.missed)
    }
}
