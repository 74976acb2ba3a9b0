// SPDX-License-Identifier: GPL-2.0

//! Text from user space, escaped for the log.

use crate::fmt::{
    self,
    Write, //
};

/// Bytes chosen by a user, for a line in the kernel log.
///
/// Printable UTF-8 is written as is. Everything that could forge, split or hide a line is written
/// as `\xNN` for each byte: control characters (C0, DEL and C1), separators and marks that make a
/// terminal break or reorder lines, bytes that are not UTF-8, and the backslash, so that escapes
/// cannot be faked.
///
/// # Examples
///
/// ```
/// use kernel::{
///     prelude::fmt,
///     str::{CString, Escaped}, //
/// };
///
/// let text = Escaped::new("caf\u{e9}\n\\".as_bytes());
/// assert_eq!(text.chars(), 12);
/// assert_eq!(
///     CString::try_from_fmt(fmt!("{text}"))?.to_bytes(),
///     "caf\u{e9}\\x0a\\x5c".as_bytes()
/// );
///
/// // An escape is never cut in two.
/// assert_eq!(
///     CString::try_from_fmt(fmt!("{}", text.truncate(11)))?.to_bytes(),
///     "caf\u{e9}\\x0a\u{2026}".as_bytes()
/// );
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    max: usize,
}

/// Replaces a part that was cut off.
const ELLIPSIS: char = '\u{2026}';

impl<'a> Escaped<'a> {
    /// Wraps `bytes`, which may have any value.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            max: usize::MAX,
        }
    }

    /// Returns the same text, cut to at most `max` characters. If it is cut, it ends in `…`.
    pub fn truncate(self, max: usize) -> Self {
        Self { max, ..self }
    }

    /// Returns how many characters the whole text takes, including escapes.
    pub fn chars(&self) -> usize {
        let mut chars = 0;

        self.for_each(&mut |unit| chars += unit.chars());
        chars
    }

    fn for_each(&self, f: &mut dyn FnMut(Unit)) {
        for chunk in self.bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                f(Unit::from_char(c));
            }
            for &byte in chunk.invalid() {
                f(Unit::Byte(byte));
            }
        }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.chars() > self.max;
        // The number of characters that may precede the ellipsis.
        let mut left = if cut {
            self.max.saturating_sub(1)
        } else {
            self.max
        };
        let mut result = Ok(());

        self.for_each(&mut |unit| {
            if result.is_err() || unit.chars() > left {
                // Everything after a unit that does not fit is cut off, too.
                left = 0;
            } else {
                left -= unit.chars();
                result = unit.write(f);
            }
        });
        result?;

        if cut && self.max > 0 {
            f.write_char(ELLIPSIS)?;
        }
        Ok(())
    }
}

/// The number of characters in `\xNN`.
const ESCAPE: usize = 4;

/// Text that is written as a whole or not at all.
#[derive(Clone, Copy)]
enum Unit {
    Printable(char),
    Escaped(char),
    Byte(u8),
}

impl Unit {
    fn from_char(c: char) -> Self {
        match c {
            '\\'
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => Self::Escaped(c),
            c if c.is_control() => Self::Escaped(c),
            c => Self::Printable(c),
        }
    }

    fn chars(self) -> usize {
        match self {
            Self::Printable(_) => 1,
            Self::Escaped(c) => c.len_utf8() * ESCAPE,
            Self::Byte(_) => ESCAPE,
        }
    }

    fn write(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Printable(c) => f.write_char(c),
            Self::Escaped(c) => c
                .encode_utf8(&mut [0; 4])
                .bytes()
                .try_for_each(|byte| write!(f, "\\x{byte:02x}")),
            Self::Byte(byte) => write!(f, "\\x{byte:02x}"),
        }
    }
}
