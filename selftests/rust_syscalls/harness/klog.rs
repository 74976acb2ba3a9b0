// SPDX-License-Identifier: GPL-2.0

//! The kernel log, as read from `/dev/kmsg`.

use crate::expect;
use crate::expect_eq;
use crate::io::File;
use crate::io::Text;
use crate::sys;
use crate::sys::Result;
use crate::sys::Status;
use crate::task::become_user;
use crate::task::Child;
use crate::test;
use core::fmt;
use core::fmt::Write;
use core::str;

/// `KERN_ALERT`
pub const ALERT: u8 = 1;
/// `KERN_ERR`
pub const ERR: u8 = 3;
/// `KERN_WARNING`
pub const WARNING: u8 = 4;
/// `KERN_INFO`
pub const INFO: u8 = 6;

/// Returns the name of a level.
pub fn level_name(level: u8) -> &'static str {
    [
        "KERN_EMERG",
        "KERN_ALERT",
        "KERN_CRIT",
        "KERN_ERR",
        "KERN_WARNING",
        "KERN_NOTICE",
        "KERN_INFO",
        "KERN_DEBUG",
    ][usize::from(level & 7)]
}

/// One line of the log.
pub struct Record {
    /// The level, 0 to 7.
    pub level: u8,
    /// The facility: 0 is the kernel.
    pub facility: u32,
    /// The text as it was logged.
    pub text: Text<2048>,
}

impl Record {
    /// Parses `level,sequence,time,flags;text` and the newline.
    ///
    /// In the text, control characters, backslashes, and bytes above 126 appear as `\xNN`.
    pub fn parse(raw: &[u8]) -> Option<Record> {
        let semicolon = raw.iter().position(|&byte| byte == b';')?;
        let head = str::from_utf8(&raw[..semicolon]).ok()?;
        let prio: u32 = head.split(',').next()?.parse().ok()?;

        let mut text = Text::new();
        let mut rest = raw[semicolon + 1..].split(|&byte| byte == b'\n').next()?;
        while let [byte, tail @ ..] = rest {
            let (byte, tail) = match rest {
                [b'\\', b'x', high, low, tail @ ..] => {
                    let digit = |d: &u8| char::from(*d).to_digit(16);
                    ((digit(high)? << 4 | digit(low)?) as u8, tail)
                }
                _ => (*byte, tail),
            };
            text.push(&[byte]);
            rest = tail;
        }
        Some(Record {
            level: (prio & 7) as u8,
            facility: prio >> 3,
            text,
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>{}", self.level, self.text.as_bytes().escape_ascii())
    }
}

/// A position in the log: finds what the kernel logs from now on, if it starts with a prefix.
pub struct Log {
    file: File,
    prefix: &'static str,
    /// The first line without the prefix, of those that were skipped last.
    other: Option<Record>,
    /// How many times records were overwritten before they were read.
    pub overruns: u32,
}

impl Log {
    /// Starts at the end of the log. An empty prefix matches everything.
    ///
    /// Skips the test if the log cannot be read.
    pub fn end(prefix: &'static str) -> Log {
        let open = || -> Result<File> {
            let file = File::open(c"/dev/kmsg", sys::O_RDONLY | sys::O_NONBLOCK)?;
            sys::lseek(file.fd, 0, sys::SEEK_END)?;
            Ok(file)
        };
        match open() {
            Ok(file) => Log {
                file,
                prefix,
                other: None,
                overruns: 0,
            },
            Err(err) => crate::skip!("/dev/kmsg: {err:?}"),
        }
    }

    /// Returns the next line that the kernel logged, or `None` at the end.
    pub fn next_line(&mut self) -> Option<Record> {
        loop {
            let mut raw = [0; 4096];
            match sys::read(self.file.fd, &mut raw) {
                Ok(len) => {
                    let record =
                        Record::parse(&raw[..len]).expect("/dev/kmsg has a form of its own");
                    if record.facility == 0 {
                        if record.text.as_bytes().starts_with(self.prefix.as_bytes()) {
                            return Some(record);
                        }
                        self.other.get_or_insert(record);
                    }
                }
                Err(sys::EPIPE) => self.overruns += 1,
                Err(sys::EAGAIN) => return None,
                Err(err) => panic!("/dev/kmsg: {err:?}"),
            }
        }
    }

    /// Skips to the end.
    pub fn skip_to_end(&mut self) {
        sys::lseek(self.file.fd, 0, sys::SEEK_END).expect("lseek");
    }

    /// Counts the lines up to the end.
    pub fn count(&mut self) -> usize {
        let mut count = 0;
        while self.next_line().is_some() {
            count += 1;
        }
        count
    }

    /// Expects the next line to be exactly this one, at this level.
    #[track_caller]
    pub fn expect(&mut self, level: u8, line: fmt::Arguments<'_>) {
        let mut want: Text<2048> = Text::new();
        want.write_fmt(line)
            .expect("a log line is shorter than that");
        self.other = None;
        match self.next_line() {
            Some(got) if got.level == level && got.text.as_bytes() == want.as_bytes() => (),
            Some(got) => {
                let want = Record {
                    level,
                    facility: 0,
                    text: want,
                };
                test::fail(format_args!("log line: {got:?}\n    expected: {want:?}"));
            }
            None => {
                let want = want.as_str();
                match &self.other {
                    None => test::fail(format_args!("no log line, expected: <{level}>{want}")),
                    Some(other) => test::fail(format_args!(
                        "log line: {other:?}\n    expected: <{level}>{want}"
                    )),
                }
            }
        }
    }

    /// Expects that there are no more lines.
    #[track_caller]
    pub fn expect_end(&mut self) {
        while let Some(got) = self.next_line() {
            test::fail(format_args!("unexpected log line: {got:?}"));
        }
    }
}

/// How many bytes all users together may log at once.
pub const USERS_BURST: u64 = 16 << 10;
/// How many bytes per second they may log after that.
pub const USERS_RATE: u64 = 2 << 10;

/// Expects that a user can log dozens of lines but cannot fill the log, and that a privileged task
/// is not limited. `call` must be a system call that logs one line with `prefix` each time.
pub fn expect_limit(prefix: &'static str, call: fn() -> Result) {
    const CALLS: u32 = 300_000;
    let user = |calls: u32| {
        let child = Child::fork(|| {
            become_user(1000, &[]);
            for _ in 0..calls {
                assert_eq!(call(), Ok(0));
            }
        });
        child.expect("fork")
    };
    let end = |child: Child| expect_eq!(child.wait(), Ok(Status::Exited(0)));

    // Refills the budget of all users, whatever was logged before.
    sys::sleep_ms(9000);
    let mut log = Log::end(prefix);
    for _ in 0..500 {
        expect_eq!(call(), Ok(0));
    }
    expect_eq!(log.count(), 500);

    let start = sys::now();
    end(user(60));
    expect_eq!(log.count(), 60);
    log.skip_to_end();

    end(user(CALLS));
    let mut bytes = 0;
    while let Some(line) = log.next_line() {
        bytes += line.text.as_bytes().len() as u64;
    }
    let seconds = (sys::now() - start) / 1_000_000_000 + 1;
    expect!(bytes > USERS_BURST / 8, "{bytes} bytes");
    expect!(
        bytes <= USERS_BURST + USERS_RATE * seconds,
        "{bytes} bytes in {seconds} s"
    );
    expect_eq!(log.overruns, 0);

    // The limit is temporary, and refused calls are reported once.
    let mut note = Log::end("");
    sys::sleep_ms(2000);
    end(user(2));
    let mut notes = 0;
    while let Some(line) = note.next_line() {
        notes += usize::from(line.text.as_bytes().ends_with(b" calls were not logged"));
    }
    expect_eq!(notes, 1);
    expect_eq!(log.count(), 2);
    recover();
}

/// Waits after a test that has reached the limit, so that the next one can log dozens of lines.
pub fn recover() {
    sys::sleep_ms(3000);
}

/// Expects the next line of a [`Log`]: `expect_log!(log, INFO, "make_vcpu: thread {tid} marked")`.
#[macro_export]
macro_rules! expect_log {
    ($log:expr, $level:ident, $($line:tt)*) => {
        $log.expect($crate::klog::$level, ::core::format_args!($($line)*))
    };
}
