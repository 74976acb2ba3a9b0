// SPDX-License-Identifier: GPL-2.0

//! Output. Names of processes and files can contain anything, so text is escaped for what reads it.

use crate::fail;
use crate::Fail;
use core::ffi::CStr;
use core::fmt;
use core::fmt::Write;
use core::mem::ManuallyDrop;
use rt::sys;
use rt::Errno;
use rt::File;
use rt::Text;

/// A buffered output file. Errors are kept until the end.
pub struct Out {
    // Closed at the end of this program.
    file: ManuallyDrop<File>,
    buf: [u8; 8192],
    len: usize,
    result: sys::Result<()>,
}

impl Out {
    /// Writes to an open file.
    pub fn new(fd: i32) -> Self {
        Out {
            file: ManuallyDrop::new(File { fd }),
            buf: [0; 8192],
            len: 0,
            result: Ok(()),
        }
    }

    /// Creates a file, for its owner only: addresses are nobody else's business.
    pub fn create(path: &CStr) -> Fail<Self> {
        const FLAGS: u32 = sys::O_WRONLY | sys::O_CREAT | sys::O_TRUNC | sys::O_CLOEXEC;
        match sys::open(path, FLAGS | sys::O_NOCTTY) {
            Ok(fd) => Ok(Self::new(fd)),
            Err(err) => fail!("{} cannot be written: {}", Safe(path.to_bytes()), Why(err)),
        }
    }

    /// Writes what is buffered. Returns the first error since the start.
    pub fn flush(&mut self) -> sys::Result<()> {
        let written = self.file.write_all(&self.buf[..self.len]);
        self.len = 0;
        self.result = self.result.and(written);
        self.result
    }

    /// Writes the rest. A reader that has seen enough is no error.
    pub fn finish(mut self) -> Fail<()> {
        match self.flush() {
            Ok(()) | Err(sys::EPIPE) => Ok(()),
            Err(err) => fail!("the output cannot be written: {}", Why(err)),
        }
    }
}

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(self.buf.len()) {
            if self.len + part.len() > self.buf.len() {
                let _ = self.flush();
            }
            self.buf[self.len..][..part.len()].copy_from_slice(part);
            self.len += part.len();
        }
        Ok(())
    }
}

/// Formats into an [`Out`], which keeps errors for later.
#[macro_export]
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{
        let _ = ::core::fmt::Write::write_fmt($out, ::core::format_args!($($arg)*));
    }};
}

/// Tells the user something.
pub fn message(text: fmt::Arguments<'_>) {
    let mut out = Out::new(2);
    put!(&mut out, "cowstat: {text}\n");
    let _ = out.flush();
}

/// What went wrong, in words if they are better known than the name of the error.
pub struct Why(pub Errno);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            sys::ENOENT => f.write_str("no such file or directory"),
            sys::E2BIG => f.write_str("too many arguments"),
            sys::ENOEXEC => f.write_str("not a program"),
            sys::EACCES => f.write_str("permission denied"),
            sys::ENOTDIR => f.write_str("not a directory"),
            sys::ENOMEM => f.write_str("not enough memory"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Text for a terminal: what is not printable ASCII becomes `\xNN`.
pub struct Safe<'a>(pub &'a [u8]);

impl fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b' '..=b'~' => f.write_char(byte.into())?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

/// The contents of a string in JSON.
pub struct Json<'a>(pub &'a [u8]);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' | '\\' => write!(f, "\\{char}")?,
                    _ if char.is_control() => write!(f, "\\u{:04x}", char as u32)?,
                    _ => f.write_char(char)?,
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// Text in XML.
pub struct Xml<'a>(pub &'a [u8]);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'&' | b'<' | b'>' | b'"' | b'\'' => write!(f, "&#{byte};")?,
                _ => write!(f, "{}", Safe(&[byte]))?,
            }
        }
        Ok(())
    }
}

/// A value that is put at the right of its width.
macro_rules! padded {
    ($(#[$doc:meta])* $name:ident, $value:ident, $text:ident => $format:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self.0;
                let mut $text = Text::<40>::new();
                $format?;
                write!(f, "{:>1$}", $text.as_str(), f.width().unwrap_or(0))
            }
        }
    };
}

padded! {
    /// A number with its thousands separated.
    Count, value, text => {
        let mut scale = 1;
        while value / scale >= 1000 {
            scale *= 1000;
        }
        let mut result = write!(text, "{}", value / scale);
        while scale > 1 {
            scale /= 1000;
            result = result.and(write!(text, ",{:03}", value / scale % 1000));
        }
        result
    }
}

padded! {
    /// Pages in MiB, rounded.
    Mib, pages, text => {
        let tenths = pages / 256 * 10 + (pages % 256 * 10 + 128) / 256;
        write!(text, "{}.{}", tenths / 10, tenths % 10)
    }
}

padded! {
    /// A number of faults, in words.
    Faults, faults, text => {
        let plural = if faults == 1 { "" } else { "s" };
        write!(text, "{} fault{plural}", Count(faults))
    }
}

padded! {
    /// A number of processes, in words.
    Processes, processes, text => {
        let plural = if processes == 1 { "" } else { "es" };
        write!(text, "{} process{plural}", Count(processes))
    }
}

padded! {
    /// Nanoseconds in seconds.
    Seconds, ns, text => {
        let ms = ns / 1_000_000;
        write!(text, "{}.{:03}", ms / 1000, ms % 1000)
    }
}
