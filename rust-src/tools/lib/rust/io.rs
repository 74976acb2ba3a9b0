// SPDX-License-Identifier: GPL-2.0

//! Text, files and standard output.

use crate::sys;
use crate::sys::Result;
use core::ffi::CStr;
use core::fmt;
use core::fmt::Write;
use core::ops::Range;
use core::str;

/// Text of up to `N - 1` bytes, created by [`text!`] or `write!()`. If it does not fit, `write!()`
/// fails and [`text!`] panics.
pub struct Text<const N: usize = 256> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Creates an empty text.
    pub const fn new() -> Self {
        Text {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Formats as much as fits.
    pub fn cut(args: fmt::Arguments<'_>) -> Self {
        let mut text = Self::new();
        let _ = text.write_fmt(args);
        text
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).expect("bytes that are no text")
    }

    /// Returns the text with a trailing NUL, for system calls.
    pub fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).expect("the last byte is always 0")
    }

    /// Appends bytes. Returns `false` and appends nothing if they do not fit.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let end = self.len + bytes.len();
        if end >= N {
            return false;
        }
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
        true
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s.as_bytes()).then_some(()).ok_or(fmt::Error)
    }
}

/// Formats into a [`Text`]: `text!("/proc/{pid}/status").as_cstr()`.
#[macro_export]
macro_rules! text {
    ($($arg:tt)*) => {{
        let mut text: $crate::io::Text = $crate::io::Text::new();
        ::core::fmt::Write::write_fmt(&mut text, ::core::format_args!($($arg)*))
            .expect("text too long");
        text
    }};
}

/// An open file, closed when dropped.
pub struct File {
    /// The file descriptor.
    pub fd: i32,
}

impl File {
    /// Opens a file.
    pub fn open(path: &CStr, flags: u32) -> Result<File> {
        Ok(File {
            fd: sys::open(path, flags)?,
        })
    }

    /// Reads the rest of the file, as far as it fits in `buf`.
    pub fn read_all<'a>(&self, buf: &'a mut [u8]) -> Result<&'a [u8]> {
        let mut len = 0;
        while len < buf.len() {
            match sys::read(self.fd, &mut buf[len..])? {
                0 => break,
                more => len += more,
            }
        }
        Ok(&buf[..len])
    }

    /// Writes all of `bytes`, in as many calls as this takes.
    pub fn write_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match sys::write(self.fd, bytes) {
                Ok(0) => return Err(sys::EIO),
                Ok(written) => bytes = &bytes[written..],
                Err(sys::EINTR) => (),
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` in one call.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let written = sys::write(self.fd, bytes)?;
        if written == bytes.len() {
            Ok(())
        } else {
            Err(sys::EIO)
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = sys::close(self.fd);
    }
}

/// Creates a pipe. Returns the read end and the write end.
pub fn pipe() -> Result<[File; 2]> {
    Ok(sys::pipe()?.map(|fd| File { fd }))
}

/// Reads the start of a file, as far as it fits in `buf`.
///
/// A `/proc` file made of lines is read in one go if `buf` is as large as its seq_file buffer.
pub fn read_file<'a>(path: &CStr, buf: &'a mut [u8]) -> Result<&'a str> {
    let bytes = File::open(path, sys::O_RDONLY)?.read_all(buf)?;
    str::from_utf8(bytes).map_err(|_| sys::EIO)
}

/// Returns the numbers among the names in a directory: the ids in `/proc` or `/proc/<pid>/task`.
pub fn ids(dir: &CStr) -> Result<Ids> {
    Ok(Ids {
        dir: File::open(dir, sys::O_RDONLY)?,
        buf: [0; 2048],
        rest: 0..0,
    })
}

/// Returned by [`ids`].
pub struct Ids {
    dir: File,
    buf: [u8; 2048],
    rest: Range<usize>,
}

impl Iterator for Ids {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        // C's `struct linux_dirent64`: the offsets of the entry's length and name.
        const RECLEN: usize = 16;
        const NAME: usize = 19;

        loop {
            if self.rest.is_empty() {
                self.rest = 0..sys::getdents64(self.dir.fd, &mut self.buf).ok()?;
            }
            let entry = &self.buf[self.rest.clone()];
            let len = u16::from_ne_bytes([*entry.get(RECLEN)?, *entry.get(RECLEN + 1)?]);
            let name = CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()?;
            self.rest.start += usize::from(len);
            if let Some(id) = name.to_str().ok().and_then(|name| name.parse().ok()) {
                return Some(id);
            }
        }
    }
}

/// Writes to an existing file.
pub fn write_file(path: &CStr, bytes: &[u8]) -> Result<()> {
    File::open(path, sys::O_WRONLY | sys::O_TRUNC)?.write(bytes)
}

/// Returns the trimmed text after `key` and a colon in a file like `/proc/<pid>/status`.
pub fn field<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    file.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.trim())
}

/// Prints one line with a single `write()`, so that lines of different processes do not mix.
pub fn print_line(prefix: &str, args: fmt::Arguments<'_>) {
    struct Line<'a> {
        prefix: &'a str,
        text: Text<4096>,
    }

    impl fmt::Write for Line<'_> {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            for piece in s.split_inclusive('\n') {
                self.text.write_str(piece)?;
                if piece.ends_with('\n') {
                    self.text.write_str(self.prefix)?;
                }
            }
            Ok(())
        }
    }

    let mut line = Line {
        prefix,
        text: Text::new(),
    };
    // Text that is too long is cut.
    let _ = line.text.write_str(prefix);
    let _ = line.write_fmt(args);
    line.text.bytes[line.text.len] = b'\n';
    let _ = sys::write(1, &line.text.bytes[..=line.text.len]);
}

/// Prints a line to standard output.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {
        $crate::io::print_line("", ::core::format_args!($($arg)*))
    };
}
