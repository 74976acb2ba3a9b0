// SPDX-License-Identifier: GPL-2.0

//! `cowstat NAME...`: a table of images and forks that is refreshed in place.

use crate::fail;
use crate::json;
use crate::maps::Maps;
use crate::out::Count;
use crate::out::Faults;
use crate::out::Mib;
use crate::out::Processes;
use crate::out::Safe;
use crate::out::Seconds;
use crate::report::PAST;
use crate::signals::Signals;
use crate::since::Since;
use crate::term;
use crate::term::Frame;
use crate::term::Screen;
use crate::tracking::Tracking;
use crate::view::Image;
use crate::view::Name;
use crate::view::Process;
use crate::view::Snapshot;
use crate::view::Source;
use crate::Fail;
use crate::Options;
use rt::sys;
use rt::sys::PollFd;
use rt::Args;
use rt::Text;

/// The maximum number of images.
const ROWS: usize = 1024;
/// How many ended forks of an image are shown at first.
const RECENT: usize = 3;

#[derive(Clone, Copy)]
enum Sort {
    Rate,
    Total,
    Name,
}

/// An image, or a name without one.
#[derive(Clone, Copy, Default)]
struct Row<'a> {
    name: Name<'a>,
    image: Image,
    uid: u64,
    /// The faults in a second, if it is known.
    rate: Option<u64>,
}

impl Row<'_> {
    /// Identifies the image in the next snapshot.
    fn key(&self) -> (u64, u64) {
        // FNV-1a.
        let hash = self
            .name
            .name
            .iter()
            .fold(0xcbf29ce484222325, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3)
            });
        (self.image.id, hash)
    }

    fn forks(&self) -> impl Iterator<Item = Process> + use<'_> {
        self.name
            .processes()
            .filter(|process| process.image == self.image.id && process.parent != 0)
    }
}

/// The faults of each live image in the last snapshot, sorted.
struct Last {
    faults: [((u64, u64), u64); ROWS],
    len: usize,
    time: u64,
}

impl Last {
    fn rate(&self, row: &Row<'_>, time: u64) -> Option<u64> {
        let known = &self.faults[..self.len];
        let place = known
            .binary_search_by_key(&row.key(), |(key, _)| *key)
            .ok()?;
        let faults = row.image.faults.saturating_sub(known[place].1);
        let ms = time.saturating_sub(self.time) / 1_000_000;
        (row.image.live != 0 && ms != 0).then(|| faults.saturating_mul(1000) / ms)
    }

    fn update(&mut self, rows: &[Row<'_>], time: u64) {
        // One that has ended can have the same ID.
        let live = rows.iter().filter(|row| row.image.live != 0);
        self.len = 0;
        for (last, row) in self.faults.iter_mut().zip(live) {
            *last = (row.key(), row.image.faults);
            self.len += 1;
        }
        self.time = time;
        self.faults[..self.len].sort_unstable();
    }
}

/// What to do next.
enum Next {
    Refresh,
    Draw,
    Stop,
    Quit,
}

/// What the user can change.
struct Table {
    interval: u32,
    sort: Sort,
    is_paused: bool,
    /// How many ended forks of an image are shown.
    ended: usize,
}

/// Shows the table until the user quits.
pub fn run(options: &Options, args: Args, names: &[&'static [u8]]) -> Fail<i32> {
    // A FIFO waits for its other end: that must be before the signals are blocked.
    let mut source = Source::new(options.file)?;
    let mut out = options.out(1)?;
    let signals = Signals::block(true)?;
    let is_live = source.is_live();
    let mut maps = Maps::new(is_live)?;
    let _tracking = match is_live {
        true => Some(Tracking::start(&mut source, names)?),
        false => None,
    };
    let is_screen = !options.json && options.output.is_none() && term::is_capable(args);
    let mut screen = None;
    let mut last = Last {
        faults: [((0, 0), 0); ROWS],
        len: 0,
        time: 0,
    };
    let mut table = Table {
        interval: options.interval(),
        sort: Sort::Rate,
        is_paused: false,
        ended: RECENT,
    };

    loop {
        let snapshot = match options.json {
            true => source.read()?,
            false => source.read_totals()?,
        };
        let time = sys::now();
        // Others can make the kernel forget names.
        if snapshot.wanted(names).next().is_none() {
            fail!("nothing is tracked: give the name of a process, or see 'cowstat start'");
        }
        if is_screen && screen.is_none() {
            screen = Some(Screen::enter(&mut out));
        }
        let mut rows = [Row::default(); ROWS];
        let (len, left_out) = collect(&snapshot, names, &last, time, &mut rows);
        let rows = &mut rows[..len];

        // Until the next snapshot.
        loop {
            let written = if options.json {
                let all = Since::default();
                json::write(&mut out, &snapshot, names, &all, &mut maps, None);
                out.flush()
            } else {
                let mut frame = Frame::new(&mut out, is_screen);
                table.draw(&mut frame, &snapshot, names, rows, left_out, is_screen);
                frame.finish()
            };
            if written.is_err() || !(is_screen || is_live) {
                drop(screen);
                return out.finish().map(|()| 0);
            }
            match table.wait(&signals, screen.as_ref(), time) {
                Next::Refresh => break,
                Next::Draw => (),
                Next::Stop => {
                    drop(screen.take());
                    signals.stop();
                    screen = is_screen.then(|| Screen::enter(&mut out));
                    // The snapshot is old by now, and only a screen shows it again.
                    if !is_screen {
                        break;
                    }
                }
                Next::Quit => return Ok(0),
            }
        }
        last.update(rows, time);
    }
}

/// Fills `rows` with what is asked for. Returns how many there are, and how many found no room.
fn collect<'a>(
    snapshot: &Snapshot<'a>,
    wanted: &[&[u8]],
    last: &Last,
    time: u64,
    rows: &mut [Row<'a>; ROWS],
) -> (usize, usize) {
    let (mut len, mut left_out) = (0, 0);

    for name in snapshot.wanted(wanted) {
        let first = len;
        let mut images = name.images().peekable();
        // A name without images has a row, too.
        let none = images.peek().is_none().then(Image::default);
        for image in images.chain(none) {
            let Some(row) = rows.get_mut(len) else {
                left_out += 1;
                continue;
            };
            *row = Row {
                name,
                image,
                uid: 0,
                rate: None,
            };
            row.rate = last.rate(row, time);
            len += 1;
        }
        for process in name.processes() {
            let is_of = |row: &&mut Row<'_>| {
                row.image.id == process.image && [0, process.pid].contains(&row.image.pid)
            };
            if let Some(row) = rows[first..len].iter_mut().find(is_of) {
                row.uid = process.uid;
            }
        }
    }
    (len, left_out)
}

impl Table {
    fn draw(
        &self,
        frame: &mut Frame<'_>,
        snapshot: &Snapshot<'_>,
        names: &[&[u8]],
        rows: &mut [Row<'_>],
        left_out: usize,
        is_screen: bool,
    ) {
        let (free, all) = snapshot.blocks;
        let by = match self.sort {
            Sort::Rate => "faults/s",
            Sort::Total => "faults",
            Sort::Name => "name",
        };
        rows.sort_unstable_by(|a, b| {
            let key = |row: &Row<'_>| match self.sort {
                Sort::Rate => (row.rate.unwrap_or(0), row.image.faults),
                Sort::Total => (row.image.faults, 0),
                Sort::Name => (0, 0),
            };
            let by_name = || (a.name.name, a.image.id).cmp(&(b.name.name, b.image.id));
            key(b).cmp(&key(a)).then_with(by_name)
        });

        let state = if self.is_paused { ", paused" } else { "" };
        frame.cell(0, format_args!("cowstat: sorted by {by}{state}"));
        frame.cell(0, format_args!(", {free} of {all} blocks free"));
        let mut gap = "; NOT COMPLETE:";
        let missed = snapshot.wanted(names).map(|name| name.missed).sum::<u64>();
        let unplaced = rows.iter().map(|row| row.image.unplaced).sum::<u64>();
        for (is_gap, what) in [
            (missed != 0, format_args!("{} missed", Processes(missed))),
            (
                unplaced != 0,
                format_args!("{} without a place", Faults(unplaced)),
            ),
            (left_out != 0, format_args!("more than {ROWS} images")),
            (snapshot.is_cut, format_args!("the text is cut")),
        ] {
            if is_gap {
                frame.cell(0, format_args!("{gap} {what}"));
                gap = ", and";
            }
        }
        frame.end();

        frame.highlight();
        frame.cell(0, format_args!("{:<15}", "NAME"));
        for (width, title) in [
            (8, "PID"),
            (10, "FAULTS/S"),
            (8, "MiB/S"),
            (12, "FAULTS"),
            (9, "MiB"),
            (6, "LIVE"),
            (6, "UID"),
            (6, "IMAGE"),
        ] {
            frame.cell(width, format_args!("{title}"));
        }
        frame.end();

        for row in rows {
            if frame.rows() <= 1 {
                break;
            }
            row.draw(frame);
            let ended = row.forks().filter(|fork| !fork.live).count();
            let mut skip = ended.saturating_sub(self.ended);
            for fork in row.forks() {
                if !fork.live && skip > 0 {
                    skip -= 1;
                } else if frame.rows() > 1 {
                    draw_fork(frame, &fork);
                }
            }
        }
        if is_screen {
            while frame.rows() > 1 {
                frame.end();
            }
            frame.cell(0, format_args!("q quit"));
            frame.cell(0, format_args!("  p pause"));
            frame.cell(0, format_args!("  r t n sort by rate, total, name"));
            frame.cell(0, format_args!("  f more forks"));
        }
        frame.end();
    }

    /// Waits until there is something to do.
    fn wait(&mut self, signals: &Signals, screen: Option<&Screen>, time: u64) -> Next {
        loop {
            let passed = (sys::now().saturating_sub(time) / 1_000_000).min(u32::MAX.into());
            let rest = match self.is_paused {
                true => u32::MAX,
                false => self.interval.saturating_sub(passed as u32),
            };
            if rest == 0 {
                return Next::Refresh;
            }
            let keyboard = if screen.is_some_and(Screen::has_keys) {
                0
            } else {
                -1
            };
            let mut input = PollFd::new(keyboard, sys::POLLIN);
            match signals.wait(Some(&mut input), rest) {
                Some(sys::SIGWINCH) if screen.is_some() => return Next::Draw,
                Some(sys::SIGTSTP) => return Next::Stop,
                Some(sys::SIGWINCH | sys::SIGCHLD) => (),
                Some(_) => return Next::Quit,
                None => (),
            }
            let mut key = [0];
            if input.revents != 0 {
                match sys::read(keyboard, &mut key) {
                    Ok(1..) => (),
                    _ => return Next::Quit,
                }
            }
            match key[0] {
                0 => continue,
                b'q' => return Next::Quit,
                b'r' => self.sort = Sort::Rate,
                b't' => self.sort = Sort::Total,
                b'n' => self.sort = Sort::Name,
                b'p' | b' ' => self.is_paused = !self.is_paused,
                b'f' => self.ended = if self.ended == PAST { RECENT } else { PAST },
                _ => continue,
            }
            return Next::Draw;
        }
    }
}

impl Row<'_> {
    fn draw(&self, frame: &mut Frame<'_>) {
        let name = Text::<64>::cut(format_args!("{}", Safe(self.name.name)));
        frame.cell(0, format_args!("{:<15}", name.as_str()));
        let image = &self.image;
        if image.id == 0 {
            frame.cell(0, format_args!(" no process of this name yet"));
            return frame.end();
        }
        match image.pid {
            0 => frame.cell(8, format_args!(" ended")),
            pid => frame.cell(8, format_args!(" {pid}")),
        }
        match self.rate {
            Some(rate) => {
                frame.cell(10, format_args!(" {}", Count(rate)));
                frame.cell(8, format_args!(" {}", Mib(rate)));
            }
            None => {
                frame.cell(10, format_args!("-"));
                frame.cell(8, format_args!("-"));
            }
        }
        frame.cell(12, format_args!(" {}", Count(image.faults)));
        frame.cell(9, format_args!(" {}", Mib(image.faults)));
        frame.cell(6, format_args!(" {}", image.live));
        frame.cell(6, format_args!(" {}", self.uid));
        frame.cell(6, format_args!(" {}", image.id));
        frame.end();
    }
}

fn draw_fork(frame: &mut Frame<'_>, fork: &Process) {
    let state = if fork.live { "live" } else { "took" };
    frame.cell(0, format_args!("  fork {}:", fork.pid));
    frame.cell(0, format_args!(" {} in it,", Faults(fork.faults)));
    frame.cell(
        0,
        format_args!(" {} in {},", Count(fork.parent_faults), fork.parent),
    );
    frame.cell(0, format_args!(" {} MiB,", Mib(fork.total())));
    frame.cell(0, format_args!(" {state} {} s", Seconds(fork.ns)));
    frame.end();
}
