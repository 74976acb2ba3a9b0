// SPDX-License-Identifier: GPL-2.0

//! A report on a name: its images, what each fork has copied, and where.

use crate::maps::Maps;
use crate::maps::Names;
use crate::out::Count;
use crate::out::Faults;
use crate::out::Mib;
use crate::out::Out;
use crate::out::Processes;
use crate::out::Safe;
use crate::out::Seconds;
use crate::put;
use crate::since::Since;
use crate::view::Image;
use crate::view::Name;
use core::fmt;

/// How many ended processes the kernel remembers, and how many VMAs of an image that has ended.
pub const PAST: usize = 32;
const KEPT: usize = 128;
/// How many places are told apart, and how many are listed.
const PLACES: usize = 256;
const LISTED: usize = 12;

/// What the kernel could not tell about a name.
#[derive(Default)]
pub struct Gaps {
    missed: u64,
    unplaced: u64,
    /// It has forgotten processes that ended, VMAs of an image that has ended, or the images of so
    /// many processes with so many faults.
    processes: bool,
    vmas: bool,
    images: (usize, u64),
    /// It has forgotten images that were alive at the start.
    old_images: bool,
    is_cut: bool,
}

impl Gaps {
    pub fn of(name: &Name<'_>, since: &Since<'_>, is_cut: bool) -> Self {
        let ended = since.images(name).filter(|image| image.live == 0).last();
        let forgotten = || since.forgotten(name);
        Gaps {
            missed: since.missed(name),
            unplaced: since.images(name).map(|image| image.unplaced).sum(),
            processes: has_lost_processes(name, since),
            vmas: ended.is_some_and(|image| !has_all_vmas(name, &image)),
            images: (
                forgotten().count(),
                forgotten().map(|process| process.faults).sum(),
            ),
            old_images: since.has_lost_images(name),
            is_cut,
        }
    }

    pub fn is_none(&self) -> bool {
        (self.missed, self.unplaced, self.images.0) == (0, 0, 0)
            && !(self.processes || self.vmas || self.old_images || self.is_cut)
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missed != 0 {
            let missed = Processes(self.missed);
            writeln!(f, "Not complete: {missed} not tracked: no memory")?;
        }
        if self.unplaced != 0 {
            let unplaced = Faults(self.unplaced);
            writeln!(
                f,
                "Not complete: {unplaced} without a place: no free counters \
                 (see cow_track.blocks=)"
            )?;
        }
        if self.processes {
            writeln!(
                f,
                "Not complete: of processes that ended, only the last {PAST} are listed"
            )?;
        }
        if self.vmas {
            writeln!(
                f,
                "Not complete: of an image that has ended, at most {KEPT} mappings are kept"
            )?;
        }
        if self.images.0 != 0 {
            let (processes, faults) = (Processes(self.images.0 as u64), Faults(self.images.1));
            writeln!(
                f,
                "Not complete: {processes} with {faults} in images that ended before the last one"
            )?;
        }
        if self.old_images {
            writeln!(
                f,
                "Not complete: images that were alive at the start ended before the last one"
            )?;
        }
        if self.is_cut {
            writeln!(f, "Not complete: /proc/cow_track is too long")?;
        }
        Ok(())
    }
}

/// Returns whether more processes may have ended than are listed.
pub fn has_lost_processes(name: &Name<'_>, since: &Since<'_>) -> bool {
    since.ended(name) >= PAST
}

/// Returns whether the kernel lists all mappings of an image. When one ends, it keeps at most so
/// many, and none if it has no memory for them.
fn has_all_vmas(name: &Name<'_>, image: &Image) -> bool {
    image.live != 0 || (1..KEPT).contains(&name.vmas(image).count())
}

/// Prints the report.
pub fn print(out: &mut Out, name: &Name<'_>, since: &Since<'_>, maps: &mut Maps, is_cut: bool) {
    let mut listed = 0;
    for image in since.images(name) {
        listed += 1;
        let copied = (Faults(image.faults), Mib(image.faults));
        put!(out, "\n{}, image {}: ", Safe(name.name), image.id);
        put!(out, "{}, {} MiB copied, ", copied.0, copied.1);
        match image.live {
            0 => put!(out, "ended\n"),
            live => put!(out, "{live} live, the newest is {}\n", image.pid),
        }
        forks(out, name, since, &image);
        places(out, name, since, &image, maps.of(&image));
    }
    if listed == 0 && name.images().next().is_none() {
        let comm = "the name of a process is in /proc/PID/comm";
        let name = Safe(name.name);
        put!(out, "\n{name}: no process has had this name yet ({comm})\n");
    }
    put!(out, "{}", Gaps::of(name, since, is_cut));
}

fn forks(out: &mut Out, name: &Name<'_>, since: &Since<'_>, image: &Image) {
    let mut forks = since.forks(name, image).peekable();
    if forks.peek().is_some() {
        put!(
            out,
            "\n    FORK  PARENT    IN CHILD   IN PARENT       MiB     SECONDS\n"
        );
    }
    for fork in forks {
        put!(
            out,
            "{:8}{:8}{:12}{:12}{:10}{:12}{}\n",
            fork.pid,
            fork.parent,
            Count(fork.faults),
            Count(fork.parent_faults),
            Mib(fork.total()),
            Seconds(fork.ns),
            if fork.live { "  live" } else { "" }
        );
    }
    // Of those, the kernel does not know the parent. One has begun the image.
    let of_image = name.processes().filter(|process| process.image == image.id);
    let older = of_image.filter(|process| process.parent == 0).count();
    if older > 1 {
        let older = Processes(older as u64 - 1);
        put!(
            out,
            "    without a line, since the fork was not counted: {older}\n"
        );
    }
}

/// Faults in mappings with the same name.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    /// `None` if it is not known.
    name: Option<&'a [u8]>,
    faults: u64,
    mappings: u64,
}

fn places(out: &mut Out, name: &Name<'_>, since: &Since<'_>, image: &Image, mut names: Names<'_>) {
    let mut places = [Place::default(); PLACES];
    let mut len = 0;
    let mut others = 0;

    for vma in since.vmas(name, image).filter(|vma| vma.faults != 0) {
        let of = names.of(&vma);
        let known = places[..len].iter().position(|place| place.name == of);
        let place = known.unwrap_or(len);
        if place == PLACES {
            others += vma.faults;
            continue;
        }
        len = len.max(place + 1);
        places[place].name = of;
        places[place].faults += vma.faults;
        places[place].mappings += 1;
    }

    let places = &mut places[..len];
    places.sort_unstable_by_key(|place| core::cmp::Reverse(place.faults));
    if image.faults != 0 {
        put!(out, "\n      FAULTS       MiB  WHERE\n");
    }
    for (i, place) in places.iter().enumerate() {
        if i >= LISTED {
            others += place.faults;
            continue;
        }
        put!(out, "{:12}{:10}  ", Count(place.faults), Mib(place.faults));
        match place.name {
            None => put!(out, "(name not known)"),
            Some(b"") => put!(out, "anonymous"),
            Some(name) => put!(out, "{}", Safe(name)),
        }
        match place.mappings {
            1 => put!(out, "\n"),
            mappings => put!(out, " ({mappings} mappings)\n"),
        }
    }
    let unmapped = match has_all_vmas(name, image) {
        false => "in mappings that are not kept, no longer mapped, or mapped again",
        true => "no longer mapped, or mapped again",
    };
    for (faults, text) in [
        (others, "other mappings"),
        (image.unmapped(), unmapped),
        (image.unplaced, "without a place"),
    ] {
        if faults != 0 {
            put!(out, "{:12}{:10}  {text}\n", Count(faults), Mib(faults));
        }
    }
}
