// SPDX-License-Identifier: GPL-2.0

//! `/proc/cow_track`. For its format, see Documentation/ABI/testing/procfs-cow_track.

use crate::buffer::Buffer;
use crate::fail;
use crate::out::Safe;
use crate::out::Why;
use crate::Fail;
use core::ffi::CStr;
use rt::sys;
use rt::File;

const TRACK: &CStr = c"/proc/cow_track";
const TOTALS: &CStr = c"/proc/cow_track_totals";

/// The maximum length of a name, and of their number.
pub const NAME_MAX: usize = 15;
pub const NAMES_MAX: usize = 64;

/// Where snapshots come from: the kernel, or a file with such a text.
pub struct Source {
    file: Option<&'static CStr>,
    buffer: Buffer,
}

impl Source {
    pub fn new(file: Option<&'static CStr>) -> Fail<Self> {
        Ok(Source {
            file,
            buffer: Buffer::new(64)?,
        })
    }

    /// Returns whether it is this kernel, now.
    pub fn is_live(&self) -> bool {
        self.file.is_none()
    }

    /// Reads a snapshot.
    pub fn read(&mut self) -> Fail<Snapshot<'_>> {
        self.read_from(TRACK)
    }

    /// Reads a snapshot that may lack VMAs.
    pub fn read_totals(&mut self) -> Fail<Snapshot<'_>> {
        self.read_from(TOTALS)
    }

    fn read_from(&mut self, live: &'static CStr) -> Fail<Snapshot<'_>> {
        let (file, name) = match self.file {
            None => (open(live)?, live),
            Some(path) => match File::open(path, sys::O_RDONLY) {
                Ok(file) => (file, path),
                Err(err) => fail!("{}: {}", Safe(path.to_bytes()), Why(err)),
            },
        };
        let name = Safe(name.to_bytes());
        if let Err(err) = self.buffer.fill(&file) {
            fail!("{name} cannot be read: {err:?}");
        }
        let is_cut = self.buffer.is_full();
        let mut text = self.buffer.bytes();
        if is_cut {
            // Without the end of a line, a number in it would be another one.
            let end = text.iter().rposition(|&byte| byte == b'\n');
            text = &text[..end.map_or(0, |end| end + 1)];
        }
        match Snapshot::new(text, is_cut) {
            Some(snapshot) => Ok(snapshot),
            None => fail!("{name} has another format: this cowstat knows version 1"),
        }
    }
}

/// Opens the file that is locked while names become tracked or are forgotten.
pub fn open_lock() -> Fail<File> {
    open(TOTALS)
}

/// Opens a file of the tracker, or says what to do about it.
fn open(path: &CStr) -> Fail<File> {
    match File::open(path, sys::O_RDONLY | sys::O_CLOEXEC) {
        Ok(file) => Ok(file),
        Err(sys::ENOENT) if File::open(c"/proc/self/maps", sys::O_RDONLY).is_err() => {
            fail!("/proc is not mounted")
        }
        Err(sys::ENOENT) => fail!(
            "this kernel does not track copy-on-write faults: it needs CONFIG_COW_TRACK=y, on x86"
        ),
        Err(sys::EPERM) => fail!(
            "not permitted: run it as root, or with CAP_PERFMON, in the initial user namespace"
        ),
        Err(sys::EACCES) => fail!(
            "not permitted: run it as root, or with CAP_DAC_READ_SEARCH in addition to CAP_PERFMON"
        ),
        Err(sys::ENOMEM) => {
            fail!("the kernel does not have enough memory for its report: try again")
        }
        Err(err) => fail!("{} cannot be opened: {err:?}", Safe(path.to_bytes())),
    }
}

/// The text of `/proc/cow_track` at some time.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    /// What follows the first two lines.
    pub text: &'a [u8],
    /// The number of blocks of counters that are free, and of all.
    pub blocks: (u64, u64),
    /// Whether the text was longer than the buffer.
    pub is_cut: bool,
}

/// A name, and what follows it.
#[derive(Clone, Copy, Default)]
pub struct Name<'a> {
    pub name: &'a [u8],
    /// The number of processes that could not be tracked.
    pub missed: u64,
    /// The lines of images and of their VMAs, and those of processes.
    images: &'a [u8],
    processes: &'a [u8],
}

#[derive(Clone, Copy, Default)]
pub struct Image {
    pub id: u64,
    pub pid: u64,
    pub live: u64,
    pub faults: u64,
    pub mapped: u64,
    pub unplaced: u64,
}

impl Image {
    /// Returns how many faults are at addresses that are not mapped any more or were mapped again.
    pub fn unmapped(&self) -> u64 {
        self.faults
            .saturating_sub(self.mapped.saturating_add(self.unplaced))
    }
}

#[derive(Clone, Copy)]
pub struct Vma {
    pub start: u64,
    pub end: u64,
    pub faults: u64,
}

/// The faults in a part of a VMA: the one in a block of 2 MiB.
#[derive(Clone, Copy)]
pub struct Part {
    pub start: u64,
    pub faults: u64,
}

#[derive(Clone, Copy)]
pub struct Process {
    pub pid: u64,
    pub uid: u64,
    pub image: u64,
    pub faults: u64,
    /// The process that forked it, or 0.
    pub parent: u64,
    pub parent_faults: u64,
    pub ns: u64,
    pub live: bool,
}

impl Process {
    /// Returns what the fork has copied in both.
    pub fn total(&self) -> u64 {
        self.faults.saturating_add(self.parent_faults)
    }
}

impl<'a> Snapshot<'a> {
    fn new(text: &'a [u8], is_cut: bool) -> Option<Self> {
        let (version, rest) = split(text, b'\n');
        let (blocks, text) = split(rest, b'\n');
        let mut blocks = Words(blocks);
        let blocks = (blocks.after("blocks")?, blocks.number()?);
        (version == b"version 1").then_some(Snapshot {
            text,
            blocks,
            is_cut,
        })
    }

    /// Returns the names, in the order in which they became tracked.
    pub fn names(&self) -> impl Iterator<Item = Name<'a>> + use<'a> {
        let mut rest = self.text;
        core::iter::from_fn(move || loop {
            if rest.is_empty() {
                return None;
            }
            let line;
            (line, rest) = split(rest, b'\n');
            let Some(name) = line.strip_prefix(b"name ") else {
                continue;
            };
            let (missed, name) = split(name, b' ');
            let images;
            (images, rest) = split_lines(rest, b"pn");
            let processes;
            (processes, rest) = split_lines(rest, b"n");
            return Some(Name {
                name,
                missed: digits(missed, 10).unwrap_or(0),
                images,
                processes,
            });
        })
    }

    /// Returns these names, given as they are, or all names if there are none.
    pub fn wanted<'b>(
        &self,
        wanted: &'b [&'b [u8]],
    ) -> impl Iterator<Item = Name<'a>> + use<'a, 'b> {
        self.names().filter(move |name| {
            wanted.is_empty() || wanted.iter().any(|wanted| is_name(name.name, wanted))
        })
    }

    /// Returns the name `name`, given as it is.
    pub fn find(&self, name: &[u8]) -> Option<Name<'a>> {
        self.names().find(|found| is_name(found.name, name))
    }

    /// Returns the name `name`, given as it is, or says why there is none.
    pub fn expect(&self, name: &[u8]) -> Fail<Name<'a>> {
        let shown = Safe(name);
        match self.find(name) {
            Some(found) => Ok(found),
            None if self.is_cut => fail!("{shown} is not in the first 64 MiB of the text"),
            None => fail!("{shown} is not tracked: 'cowstat start {shown}' begins to count"),
        }
    }
}

impl<'a> Name<'a> {
    pub fn images(&self) -> impl Iterator<Item = Image> + use<'a> {
        let mut rest = self.images;
        core::iter::from_fn(move || {
            rest = split_lines(rest, b"i").1;
            let line;
            (line, rest) = split(rest, b'\n');
            Words(line).image()
        })
    }

    /// Returns the VMAs of an image.
    pub fn vmas(&self, image: &Image) -> impl Iterator<Item = Vma> + use<'a> {
        self.lines_of(image).filter_map(|line| Words(line).vma())
    }

    /// Returns the parts of its VMAs, as far as the kernel has listed them.
    pub fn parts(&self, image: &Image) -> impl Iterator<Item = Part> + use<'a> {
        self.lines_of(image).filter_map(|line| Words(line).part())
    }

    fn lines_of(&self, image: &Image) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // A live image and the one that has ended may have the same ID.
        let is_it = |line| {
            let found = Words(line).image();
            found.is_some_and(|found| (found.id, found.pid) == (image.id, image.pid))
        };
        let mut rest = self.images;
        while !rest.is_empty() {
            let line;
            (line, rest) = split(rest, b'\n');
            if is_it(line) {
                break;
            }
            rest = split_lines(rest, b"i").1;
        }
        lines(split_lines(rest, b"i").0)
    }

    pub fn processes(&self) -> impl Iterator<Item = Process> + use<'a> {
        lines(self.processes).filter_map(|line| Words(line).process())
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// Returns the lines before and from the first that begins with one of these letters.
fn split_lines<'a>(text: &'a [u8], letters: &[u8]) -> (&'a [u8], &'a [u8]) {
    let mut rest = text;
    while !rest.is_empty() && !letters.contains(&rest[0]) {
        rest = split(rest, b'\n').1;
    }
    text.split_at(text.len() - rest.len())
}

/// Returns what precedes and what follows the first `at`.
pub fn split(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|&byte| byte == at) {
        Some(i) => (&text[..i], &text[i + 1..]),
        None => (text, &[]),
    }
}

/// Parses a number.
fn digits(word: &[u8], radix: u32) -> Option<u64> {
    let mut value = 0u64;
    for &byte in word {
        let digit = char::from(byte).to_digit(radix)?;
        value = value.checked_mul(radix.into())?.checked_add(digit.into())?;
    }
    (!word.is_empty()).then_some(value)
}

/// The rest of a line.
pub struct Words<'a>(pub &'a [u8]);

impl<'a> Words<'a> {
    pub fn word(&mut self) -> &'a [u8] {
        let word;
        (word, self.0) = split(self.0, b' ');
        word
    }

    fn number(&mut self) -> Option<u64> {
        digits(self.word(), 10)
    }

    /// Returns the number after the word `key`, which must come next.
    fn after(&mut self, key: &str) -> Option<u64> {
        (self.word() == key.as_bytes()).then_some(())?;
        self.number()
    }

    fn image(mut self) -> Option<Image> {
        Some(Image {
            id: self.after("image")?,
            pid: self.after("pid")?,
            live: self.after("live")?,
            faults: self.after("faults")?,
            mapped: self.after("mapped")?,
            unplaced: self.after("unplaced")?,
        })
    }

    fn vma(mut self) -> Option<Vma> {
        let (start, end) = self.range()?;
        let faults = self.number()?;
        Some(Vma { start, end, faults })
    }

    fn part(mut self) -> Option<Part> {
        (self.word() == b"at").then_some(())?;
        let start = digits(self.word(), 16)?;
        let faults = self.number()?;
        Some(Part { start, faults })
    }

    /// Returns addresses, of which there is at least one.
    pub fn range(&mut self) -> Option<(u64, u64)> {
        let (start, end) = split(self.word(), b'-');
        let (start, end) = (digits(start, 16)?, digits(end, 16)?);
        (start < end).then_some((start, end))
    }

    fn process(mut self) -> Option<Process> {
        Some(Process {
            pid: self.after("process")?,
            uid: self.after("uid")?,
            image: self.after("image")?,
            faults: self.after("faults")?,
            parent: self.after("parent")?,
            parent_faults: self.number()?,
            ns: self.after("ns")?,
            live: self.word() == b"live",
        })
    }
}

/// Returns whether a name is shown like this: some bytes are shown as `\xNN`.
pub fn is_name(shown: &[u8], name: &[u8]) -> bool {
    let mut rest = shown;
    for &byte in name {
        rest = match *rest {
            [b'\\', b'x', a, b, ref rest @ ..] if digits(&[a, b], 16) == Some(byte.into()) => rest,
            [first, ref rest @ ..] if first == byte && first != b'\\' => rest,
            _ => return false,
        };
    }
    rest.is_empty()
}
