// SPDX-License-Identifier: GPL-2.0

//! The terminal: its size, its modes, and lines that fit.

use crate::out::Out;
use crate::put;
use core::fmt;
use core::fmt::Write;
use rt::sys;
use rt::Args;
use rt::Text;

/// `TCGETS`, `TCSETS` and `TIOCGWINSZ`.
const GET: u32 = 0x5401;
const SET: u32 = 0x5402;
const SIZE: u32 = 0x5413;

/// The kernel's `struct termios`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Termios {
    iflag: u32,
    oflag: u32,
    cflag: u32,
    lflag: u32,
    line: u8,
    cc: [u8; 19],
}

impl Termios {
    fn of(fd: i32) -> Option<Self> {
        let mut termios = Self::default();
        // SAFETY: This is what the call expects.
        let result = unsafe { sys::ioctl_at(fd, GET, &raw mut termios as usize) };
        result.ok().map(|_| termios)
    }

    fn set(mut self, fd: i32) {
        // SAFETY: This is what the call expects.
        let _ = unsafe { sys::ioctl_at(fd, SET, &raw mut self as usize) };
    }
}

/// Returns whether this is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    Termios::of(fd).is_some()
}

/// Returns whether standard output is a terminal that understands escape sequences.
pub fn is_capable(args: Args) -> bool {
    let term = args.env("TERM").unwrap_or("dumb");
    is_terminal(1) && !matches!(term, "" | "dumb")
}

/// Returns the number of rows and columns.
pub fn size() -> (usize, usize) {
    let mut size = [0u16; 4];
    // SAFETY: This is C's `struct winsize`.
    let result = unsafe { sys::ioctl_at(1, SIZE, size.as_mut_ptr() as usize) };
    match (result, size) {
        (Ok(_), [rows, cols, _, _]) if rows != 0 && cols != 0 => (rows.into(), cols.into()),
        _ => (24, 80),
    }
}

/// The terminal's alternate screen, with keys that are read one by one. Dropping it restores what
/// was there.
pub struct Screen(Option<Termios>);

impl Screen {
    pub fn enter(out: &mut Out) -> Self {
        const ICANON: u32 = 2;
        const ECHO: u32 = 8;

        let old = Termios::of(0);
        if let Some(mut new) = old {
            new.lflag &= !(ICANON | ECHO);
            new.set(0);
        }
        put!(out, "\x1b[?1049h\x1b[?25l");
        Screen(old)
    }

    /// Returns whether there is a keyboard.
    pub fn has_keys(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(old) = self.0 {
            old.set(0);
        }
        let _ = sys::write(1, b"\x1b[?25h\x1b[?1049l");
    }
}

/// What fits on the screen. Not on a terminal, everything does.
pub struct Frame<'a> {
    out: &'a mut Out,
    rows: usize,
    cols: usize,
    is_screen: bool,
    /// The columns of this line that are used, and whether nothing more is put there.
    used: usize,
    is_full: bool,
}

impl<'a> Frame<'a> {
    pub fn new(out: &'a mut Out, is_screen: bool) -> Self {
        let (rows, cols) = match is_screen {
            true => size(),
            false => (usize::MAX, usize::MAX),
        };
        if is_screen {
            put!(out, "\x1b[H\x1b[K");
        }
        Frame {
            out,
            rows,
            cols,
            is_screen,
            used: 0,
            is_full: false,
        }
    }

    /// Returns how many lines there is room for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Starts a line that stands out.
    pub fn highlight(&mut self) {
        if self.is_screen && self.rows > 0 {
            put!(self.out, "\x1b[7m");
        }
    }

    /// Appends text of printable ASCII, at the right of `width` columns. If it does not fit in the
    /// line, it is left out, with all that follows.
    pub fn cell(&mut self, width: usize, text: fmt::Arguments<'_>) {
        let mut cell = Text::<160>::new();
        let written = write!(cell, "{text}");
        let len = cell.as_bytes().len();
        let total = self.used.saturating_add(len.max(width));
        self.is_full |= written.is_err() || total > self.cols || self.rows == 0;
        if !self.is_full {
            put!(self.out, "{:>width$}", cell.as_str());
            self.used = total;
        }
    }

    /// Ends the line.
    pub fn end(&mut self) {
        self.rows = self.rows.saturating_sub(1);
        // At the last line, a line feed would scroll. Lines are cleared at their start: at the end
        // of a full line, the cursor is still on its last column.
        match (self.is_screen, self.rows) {
            (true, 0) => put!(self.out, "\x1b[0m"),
            (true, _) => put!(self.out, "\x1b[0m\n\x1b[K"),
            (false, _) => put!(self.out, "\n"),
        }
        (self.used, self.is_full) = (0, false);
    }

    /// Ends the frame.
    pub fn finish(self) -> sys::Result<()> {
        self.out.flush()
    }
}
