// SPDX-License-Identifier: GPL-2.0

//! Tests of `xxxhal()`: which strings it accepts, and what it logs.

#![no_std]
#![no_main]

use core::fmt::Write;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering;
use harness::failslab::need_fail_usercopy;
use harness::failslab::with_failures;
use harness::sys::PAGE_SIZE;
use harness::*;

const LINE: &str = "xxxhal syscall called with ";
/// The maximum length of a string, including the NUL.
const MAX: usize = 256;
/// The maximum length of a line in characters.
const LINE_MAX: usize = 1000;

/// Calls `xxxhal()` with a string that ends at the last mapped byte before an unmapped page.
fn xxxhal(string: &[u8]) -> sys::Result {
    let mut edge = Mapping::with_guard(1)?;
    calls::xxxhal(edge.put_at_end(string))
}

/// Expects that `string`, to which this adds a NUL, is accepted and logged as `logged`.
#[track_caller]
fn expect_logged(string: &[u8], logged: &str) {
    let mut buf: Text<{ MAX + 1 }> = Text::new();
    assert!(buf.push(string) && buf.push(b"\0"));

    let mut log = Log::end(LINE);
    expect_eq!(xxxhal(buf.as_bytes()), Ok(0), "{}", string.escape_ascii());
    expect_log!(log, INFO, "{LINE}\"{logged}\"");
    log.expect_end();
}

/// Expects that the string at `addr` is refused and nothing is logged.
#[track_caller]
fn expect_efault(addr: usize) {
    let mut log = Log::end(LINE);
    expect_eq!(calls::xxxhal(addr), Err(sys::EFAULT), "{addr:#x}");
    log.expect_end();
}

/// Finds the last page that this process can map, by trial. It may be mapped already.
fn last_user_page() -> usize {
    let (mut below, mut above) = (0, usize::MAX / PAGE_SIZE + 1);
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        match Mapping::at(middle * PAGE_SIZE, 1, sys::MAP_PRIVATE) {
            Err(sys::ENOMEM | sys::EINVAL) => above = middle,
            // Mapped for a moment; or mapped by someone else (EEXIST), or too low to be mapped
            // (EPERM).
            _ => below = middle,
        }
    }
    below * PAGE_SIZE
}

tests! {
    setup {
        calls::need("xxxhal", xxxhal(b"\0"));
    }

    fn returns_0_and_logs_its_string() {
        expect_logged(b"", "");
        expect_logged(b"x", "x");
        expect_logged(b"Hello, kernel", "Hello, kernel");
        expect_logged(b"  \"quoted\"  ", "  \"quoted\"  ");
        expect_logged(b"%s%n%d%p %pA", "%s%n%d%p %pA");
    }

    /// A string that cannot be copied is refused, and nothing is logged.
    fn efault_in_a_copy() {
        need_fail_usercopy();
        let mut edge = Mapping::with_guard(1).unwrap();
        let string = edge.put_at_end(b"x\0");
        let mut log = Log::end(LINE);
        let mut errors = 0;
        with_failures(|| errors += u32::from(calls::xxxhal(string) == Err(sys::EFAULT)));
        expect_eq!(errors, 1);
        // Of the last call, for which nothing was left to fail.
        expect_log!(log, INFO, "{LINE}\"x\"");
        log.expect_end();
    }

    /// 255 bytes and a NUL fit. One more byte does not.
    fn takes_256_bytes() {
        let long = [b'a'; MAX + 1];
        for len in [MAX - 2, MAX - 1] {
            expect_logged(&long[..len], core::str::from_utf8(&long[..len]).unwrap());
        }

        // All of it can be read, and a NUL follows the string that is too long.
        let mut memory = Mapping::new(1, sys::MAP_PRIVATE).unwrap();
        for len in [MAX, MAX + 1, 2 * MAX, PAGE_SIZE - 1] {
            memory.bytes().fill(0);
            memory.bytes()[..len].fill(b'a');
            expect_efault(memory.start());
        }
    }

    /// The kernel reads up to the NUL and no further, wherever it is.
    fn stops_at_the_nul() {
        let mut edge = Mapping::with_guard(2).unwrap();
        for len in [0, 1, 7, 8, 9, 100, MAX - 1] {
            let mut string = [b'a'; MAX];
            string[len] = 0;
            let mut log = Log::end(LINE);
            // The NUL is the last byte before the unmapped page.
            expect_eq!(
                calls::xxxhal(edge.put_at_end(&string[..=len])),
                Ok(0),
                "{len} bytes"
            );
            // The string crosses from one mapped page into the next.
            let across = edge.start() + PAGE_SIZE - len / 2;
            edge.bytes()[PAGE_SIZE - len / 2..][..=len].copy_from_slice(&string[..=len]);
            expect_eq!(calls::xxxhal(across), Ok(0), "{len} bytes");
            let text = core::str::from_utf8(&string[..len]).unwrap();
            expect_log!(log, INFO, "{LINE}\"{text}\"");
            expect_log!(log, INFO, "{LINE}\"{text}\"");
            log.expect_end();
        }
    }

    /// A string without a NUL that runs into an unmapped page cannot be read.
    fn refuses_a_string_that_ends_in_nothing() {
        let mut edge = Mapping::with_guard(1).unwrap();
        for len in [1, 2, 7, 8, 9, 255, 256, 257] {
            let addr = edge.put_at_end(&[b'a'; 2 * MAX][..len]);
            expect_efault(addr);
        }
        expect_efault(edge.end());
        expect_efault(edge.end() + 1);
    }

    fn refuses_bad_addresses() {
        // NULL and addresses in its page, then addresses of the kernel or of nothing.
        for addr in [0, 1, 8, PAGE_SIZE - 1] {
            expect_efault(addr);
        }
        for addr in [
            usize::MAX,
            usize::MAX - 7,
            usize::MAX - 255,
            usize::MAX - PAGE_SIZE + 1,
        ] {
            expect_efault(addr);
        }
        #[cfg(target_arch = "x86_64")]
        for addr in [
            0x0000_8000_0000_0000,
            0x4000_0000_0000_0000,
            0x7fff_ffff_ffff_ffff,
            0x8000_0000_0000_0000,
            0xffff_7fff_ffff_ffff,
            0xffff_8000_0000_0000,
            0xffff_8880_0000_0000,
            0xffff_ffff_8100_0000,
            0xffff_ffff_ff60_0000,
        ] {
            expect_efault(addr);
        }
        #[cfg(target_arch = "x86")]
        if native() {
            for addr in [
                0xc000_0000,
                0xc010_0000,
                0xc100_0000,
                0xe000_0000,
                0xffff_f000,
            ] {
                expect_efault(addr);
            }
        }
    }

    /// The last byte of user space can be read, the one after it cannot.
    fn respects_the_end_of_user_space() {
        let page = last_user_page();
        // If the page is mapped already, it is the top of the stack. Its last byte is unused.
        let _mapping = Mapping::at(page, 1, sys::MAP_PRIVATE);
        let last = page + PAGE_SIZE - 1;

        // SAFETY: The byte is mapped, writable, and unused.
        unsafe { *(last as *mut u8) = 0 };
        let mut log = Log::end(LINE);
        expect_eq!(calls::xxxhal(last), Ok(0), "{last:#x}");
        expect_log!(log, INFO, "{LINE}\"\"");
        log.expect_end();

        // SAFETY: As above.
        unsafe { *(last as *mut u8) = b'a' };
        expect_efault(last);
        expect_efault(last + 1);
    }

    /// In ASCII, control characters and the backslash are escaped.
    fn escapes_control_characters() {
        let mut string: Text = Text::new();
        let mut logged: Text<512> = Text::new();
        for byte in 1..0x80 {
            string.push(&[byte]);
            match byte {
                b'\\' | ..=0x1f | 0x7f => write!(logged, "\\x{byte:02x}").unwrap(),
                _ => write!(logged, "{}", char::from(byte)).unwrap(),
            }
        }
        expect_logged(string.as_bytes(), logged.as_str());
        expect_logged(b"\x1b[2Jgone\r\x08\x07", r"\x1b[2Jgone\x0d\x08\x07");
        expect_logged(b"C:\\x41\\\\", r"C:\x5cx41\x5c\x5c");
    }

    /// UTF-8 text is logged unchanged, except for the C1 control characters.
    fn logs_utf8() {
        for text in [
            "é",
            "ß€",
            "\u{a0}",
            "\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
            "😀 日本語",
        ] {
            expect_logged(text.as_bytes(), text);
        }
        let mut c1: Text = Text::new();
        let mut logged: Text<512> = Text::new();
        for char in '\u{80}'..='\u{9f}' {
            write!(c1, "{char}").unwrap();
            write!(logged, "\\xc2\\x{:02x}", char as u32).unwrap();
        }
        expect_logged(c1.as_bytes(), logged.as_str());
    }

    /// Bytes that are not UTF-8 are escaped individually, and nothing else is.
    fn escapes_what_is_not_utf8() {
        for (bytes, logged) in [
            // A continuation byte alone, and one too many.
            (&b"a\x80b\xbfc"[..], r"a\x80b\xbfc"),
            ("é\u{e9}".as_bytes(), "éé"),
            (b"\xc3\xa9\xa9", r"é\xa9"),
            // Too few continuation bytes, before another character and at the end.
            (b"\xc3a", r"\xc3a"),
            (b"\xe2\x82a", r"\xe2\x82a"),
            (b"\xf0\x9f\x98a", r"\xf0\x9f\x98a"),
            (b"\xe2\xc3\xa9", r"\xe2é"),
            (b"a\xc3", r"a\xc3"),
            (b"a\xe2\x82", r"a\xe2\x82"),
            (b"a\xf0\x9f\x98", r"a\xf0\x9f\x98"),
            // Overlong encodings of '/', NUL, a newline, U+07FF and U+FFFF.
            (b"\xc0\xaf", r"\xc0\xaf"),
            (b"\xc0\x80", r"\xc0\x80"),
            (b"\xe0\x80\x8a", r"\xe0\x80\x8a"),
            (b"\xe0\x9f\xbf", r"\xe0\x9f\xbf"),
            (b"\xf0\x8f\xbf\xbf", r"\xf0\x8f\xbf\xbf"),
            // The first and the last surrogate.
            (b"\xed\xa0\x80", r"\xed\xa0\x80"),
            (b"\xed\xbf\xbf", r"\xed\xbf\xbf"),
            // Beyond the last character.
            (b"\xf4\x90\x80\x80", r"\xf4\x90\x80\x80"),
            (b"\xf5\x80\x80\x80", r"\xf5\x80\x80\x80"),
            (b"\xfe\xff", r"\xfe\xff"),
        ] {
            expect_logged(bytes, logged);
        }
        // A character of which only the first byte fits in the string.
        let mut long = [b'a'; MAX - 1];
        long[MAX - 2] = 0xc3;
        let mut logged: Text<300> = Text::new();
        logged.push(&long[..MAX - 2]);
        logged.push(br"\xc3");
        expect_logged(&long, logged.as_str());
    }

    /// No string can create a second line, another level, or a line that looks like the kernel's.
    fn forges_no_line() {
        for (string, logged) in [
            (&b"\n<1>Forged: a\n"[..], r"\x0a<1>Forged: a\x0a"),
            (b"\x011Forged: b", r"\x011Forged: b"),
            (b"\"\r\nForged: c", r#""\x0d\x0aForged: c"#),
            (b"\x01c\nForged: d", r"\x01c\x0aForged: d"),
            (b"\xc2\x85Forged: e", r"\xc2\x85Forged: e"),
            // Characters that some terminals treat as the end of a line, or as a change of
            // direction.
            ("\u{2028}Forged: f".as_bytes(), r"\xe2\x80\xa8Forged: f"),
            ("\u{202e}Forged: g".as_bytes(), r"\xe2\x80\xaeForged: g"),
        ] {
            let mut forged = Log::end("Forged");
            expect_logged(string, logged);
            forged.expect_end();
        }
    }

    /// Each character that reorders or breaks a line is escaped.
    fn escapes_marks() {
        for mark in ['\u{61c}', '\u{200e}', '\u{200f}']
            .into_iter()
            .chain('\u{2028}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
        {
            let mut string: Text = Text::new();
            let mut logged: Text = Text::new();
            write!(string, "a{mark}b").unwrap();
            let mut utf8 = [0; 4];
            let bytes = mark.encode_utf8(&mut utf8).as_bytes();
            write!(logged, "a{}b", bytes.escape_ascii()).unwrap();
            expect_logged(string.as_bytes(), logged.as_str());
        }
        // Their neighbours are not.
        for text in [
            "\u{61b}\u{61d}",
            "\u{200d}\u{2010}",
            "\u{2027}\u{202f}",
            "\u{2065}\u{206a}",
        ] {
            expect_logged(text.as_bytes(), text);
        }
    }

    /// A string is read only once, even if another thread changes it: the checked copy is logged.
    fn reads_its_string_once() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let mut memory = Mapping::new(1, sys::MAP_PRIVATE).unwrap();
        let addr = memory.start();
        memory.bytes()[..100].fill(b'a');
        let writer = Thread::spawn(move || {
            // SAFETY: Mapped until this thread has been joined; volatile, because others read it.
            while !STOP.load(Ordering::Relaxed) {
                for byte in [b'\n', b'a'] {
                    for i in 0..100 {
                        unsafe { ((addr + i) as *mut u8).write_volatile(byte) };
                    }
                }
            }
        });
        let writer = writer.unwrap();

        let mut log = Log::end("");
        for _ in 0..50 {
            expect_eq!(calls::xxxhal(addr), Ok(0));
            while let Some(record) = log.next_line() {
                expect!(!record.text.as_bytes().contains(&b'\n'), "{record:?}");
                expect!(!record.text.as_bytes().starts_with(b"aa"), "{record:?}");
            }
        }
        STOP.store(true, Ordering::Relaxed);
        writer.join();
    }

    /// Escapes make a line longer. A line of 1,000 characters is complete. A longer one is cut,
    /// ends in an ellipsis, and no escape in it is cut in two.
    fn limits_the_line() {
        // The part of each line that is not the string.
        let frame = LINE.len() + "\"\"".len();
        let escapes = (LINE_MAX - frame) / r"\x01".len();
        let rest = (LINE_MAX - frame) % r"\x01".len();

        for extra in 0..4 {
            // With `escapes` and `rest`, a line has exactly the maximum length.
            let mut string: Text<MAX> = Text::new();
            let mut whole: Text<1200> = Text::new();
            write!(whole, "{LINE}\"").unwrap();
            for _ in 0..escapes {
                string.push(b"\x01");
                whole.push(br"\x01");
            }
            for _ in 0..rest + extra {
                assert!(string.push("é".as_bytes()) && whole.push("é".as_bytes()));
            }
            whole.push(b"\"");

            let mut log = Log::end(LINE);
            expect_eq!(xxxhal(string.as_cstr().to_bytes_with_nul()), Ok(0));
            if extra == 0 {
                expect_eq!(whole.as_str().chars().count(), LINE_MAX);
                expect_log!(log, INFO, "{}", whole.as_str());
            } else {
                expect_cut(&mut log, whole.as_str());
            }
            log.expect_end();
        }

        for (char, escape) in [("\n", &br"\x0a"[..]), ("\u{85}", br"\xc2\x85")] {
            let mut string: Text<MAX> = Text::new();
            let mut whole: Text<1200> = Text::new();
            write!(whole, "{LINE}\"").unwrap();
            while string.push(char.as_bytes()) {
                whole.push(escape);
            }
            let mut log = Log::end(LINE);
            expect_eq!(xxxhal(string.as_cstr().to_bytes_with_nul()), Ok(0));
            expect_cut(&mut log, whole.as_str());
            log.expect_end();
        }
    }

    /// Dozens of calls by a user are logged, but a flood is not.
    fn does_not_fill_the_log(timeout: 300) {
        klog::expect_limit(LINE, || calls::xxxhal(sys::addr(c"one of many")));
    }

    /// What counts is the length of the line, in which each byte may have been escaped.
    fn limits_what_is_logged(timeout: 120) {
        let string = [b'\x01'; 200];
        let mut memory = Mapping::new(1, sys::MAP_PRIVATE).unwrap();
        memory.bytes()[..string.len()].copy_from_slice(&string);
        let start = memory.start();

        sys::sleep_ms(9000);
        let mut log = Log::end(LINE);
        let began = sys::now();
        let last = task::as_user(1000, &[], || {
            for _ in 0..1000 {
                assert_eq!(calls::xxxhal(start), Ok(0));
            }
            Ok(0)
        });
        expect_eq!(last, Ok(0));
        let seconds = (sys::now() - began) / 1_000_000_000 + 1;
        let mut bytes = 0;
        while let Some(line) = log.next_line() {
            bytes += line.text.as_bytes().len() as u64;
        }
        expect!(bytes > klog::USERS_BURST / 2, "{bytes} bytes");
        expect!(
            bytes <= klog::USERS_BURST + klog::USERS_RATE * seconds,
            "{bytes} bytes in {seconds} s"
        );
        klog::recover();
    }

    /// The limit only applies to the log: a call that exceeds it still checks its string.
    fn checks_its_string_beyond_the_limit() {
        let mut memory = Mapping::new(1, sys::MAP_PRIVATE).unwrap();
        memory.bytes()[..2].copy_from_slice(b"x\0");
        let start = memory.start();
        let last = task::as_user(1000, &[], || {
            for _ in 0..2000 {
                assert_eq!(calls::xxxhal(start), Ok(0));
                assert_eq!(calls::xxxhal(8), Err(sys::EFAULT));
            }
            Ok(0)
        });
        expect_eq!(last, Ok(0));
        klog::recover();
    }

    /// All calls share one limit, so alternating between them does not evade it.
    fn shares_the_limit_with_hello() {
        let mut log = Log::end(LINE);
        let child = Child::fork(|| {
            task::become_user(1000, &[]);
            for _ in 0..2000 {
                assert_eq!(calls::hello(0), Ok(0));
            }
            for _ in 0..20 {
                assert_eq!(calls::xxxhal(sys::addr(c"one of many")), Ok(0));
            }
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        expect!(log.count() < 20);
        klog::recover();
    }

    /// ftrace shows the string with its address.
    fn is_traced_with_the_string() {
        let enter = "syscalls/sys_enter_xxxhal";
        let trace = Trace::start(&[enter]);
        let mut buf = [0; 8192];

        let format = trace.read(text!("events/{enter}/format").as_str(), &mut buf);
        expect!(format.contains("field:const char * msg;"), "{format}");

        expect_eq!(xxxhal(b"to be traced\0"), Ok(0));
        let events = trace.read("trace", &mut buf);
        expect_eq!(
            events.contains(" \"to be traced\")\n"),
            native(),
            "{events}"
        );
    }
}

/// Expects the next line to be the start of `whole`, not much shorter than allowed, and an
/// ellipsis.
#[track_caller]
fn expect_cut(log: &mut Log, whole: &str) {
    let Some(record) = log.next_line() else {
        return test::fail(format_args!("no log line"));
    };
    let Some(start) = record.text.as_str().strip_suffix('…') else {
        return test::fail(format_args!("no ellipsis: {record:?}"));
    };
    expect_eq!(record.level, klog::INFO);
    expect!(whole.starts_with(start), "{record:?}");
    // The line has the maximum length, except for one or two escapes that did not fit.
    let len = record.text.as_str().chars().count();
    let enough = LINE_MAX - 2 * r"\x01".len();
    expect!(enough <= len && len <= LINE_MAX, "{len} characters");
    // No escape is cut in two: the last one in the line is complete.
    let cut = start
        .rfind('\\')
        .is_some_and(|escape| start.len() - escape < r"\x01".len());
    expect!(!cut, "{record:?}");
}
