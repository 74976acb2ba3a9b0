// SPDX-License-Identifier: GPL-2.0

//! Tests of what `pf_set_param`, `pf_get_info` and `pf_cleanup` accept and refuse, and from whom.
//!
//! cow_faults.rs tests what they count, and cow_names.rs for which processes.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering;
use harness::cow;
use harness::cow::Area;
use harness::cow::Stat;
use harness::cow::Subject;
use harness::cow::View;
use harness::failslab::need_fail_usercopy;
use harness::failslab::need_failslab;
use harness::failslab::with_failures;
use harness::failslab::without_memory;
use harness::sys::CAP_DAC_READ_SEARCH;
use harness::sys::CAP_PERFMON;
use harness::sys::CAP_SYS_ADMIN;
use harness::sys::CAP_SYS_PTRACE;
use harness::sys::EACCES;
use harness::sys::EFAULT;
use harness::sys::EINVAL;
use harness::sys::EIO;
use harness::sys::ENOMEM;
use harness::sys::EOVERFLOW;
use harness::sys::EPERM;
use harness::task::as_user;
use harness::task::become_user;
use harness::vcpu::eventually;
use harness::*;

/// The prefix of each line about an error.
const PREFIX: &str = "[INFO940] [ERROR] ";

const NAME: &CStr = c"subject";

/// Addresses that no program can have.
const KERNEL: [usize; 2] = [usize::MAX - 4095, 1 << (usize::BITS - 1)];

/// `pf_get_info()` for a name, into the memory at `pf`.
fn get_into(name: &CStr, pf: usize) -> sys::Result {
    // SAFETY: The tests pass the address of a `Stat`, or of memory that the kernel cannot write.
    unsafe { calls::pf_get_info(sys::addr(name), name.count_bytes(), pf) }
}

/// `pf_get_info()` for a name at an address, into a `Stat`. On an error, the `Stat` must not
/// change.
#[track_caller]
fn get_by(name: usize, len: usize) -> sys::Result {
    let mut stat = Stat::poisoned();
    // SAFETY: A `Stat` is there.
    let result = unsafe { calls::pf_get_info(name, len, &raw mut stat as usize) };
    expect_eq!(stat.is_poisoned(), result.is_err());
    result
}

/// Like [`cow::get`], but returns only 0 or the error.
#[track_caller]
fn get(name: &CStr) -> sys::Result {
    cow::get(name).map(|_| 0)
}

/// Expects that a call fails, and that the log has exactly one line about it.
#[track_caller]
fn fails(errno: Errno, call: impl FnOnce() -> sys::Result) {
    let mut log = Log::end(PREFIX);
    expect_eq!(call(), Err(errno));
    match log.next_line() {
        Some(line) => expect_eq!(line.level, klog::ERR, "{line:?}"),
        None => test::fail(format_args!("no log line for {errno:?}")),
    }
    log.expect_end();
}

/// Expects that a call succeeds, and that the log has nothing about it.
#[track_caller]
fn works(call: impl FnOnce() -> sys::Result) {
    let mut log = Log::end(PREFIX);
    expect_eq!(call(), Ok(0));
    log.expect_end();
}

/// Returns the name `n<number>`.
fn numbered(number: usize) -> Text {
    text!("n{number}")
}

tests! {
    setup {
        cow::reset();
    }

    /// A name that no process has had yet.
    fn nothing_yet() {
        works(|| cow::set(NAME));
        works(|| get(NAME));
        let stat = cow::get(NAME).unwrap();
        expect_eq!((stat.len(), stat.total()), (0, 0));
        works(calls::pf_cleanup);
    }

    /// All lengths of process names, with and without a trailing NUL.
    fn lengths() {
        let text = c"123456789012345";
        for len in 1..=15 {
            works(|| calls::pf_set_param(sys::addr(text), len));
        }
        works(|| calls::pf_set_param(sys::addr(text), 16));
        works(|| get_by(sys::addr(text), 16));
        works(|| get_by(sys::addr(c"12345"), 6));
        for len in 1..=15 {
            works(|| get_by(sys::addr(text), len));
        }
        works(calls::pf_cleanup);
        // The name is the same with and without a NUL.
        works(|| calls::pf_set_param(sys::addr(c"abc"), 4));
        works(|| get_by(sys::addr(c"abc"), 3));
        fails(EINVAL, || get_by(sys::addr(c"abc"), 2));
    }

    /// ftrace shows the name, up to the length that the caller passes.
    fn name_is_traced() {
        let trace = Trace::start(&["syscalls/sys_enter_pf_set_param"]);
        let mut buf = [0; 8192];

        works(|| calls::pf_set_param(sys::addr(c"traced, not this"), 6));
        let events = trace.read("trace", &mut buf);
        expect_eq!(
            events.contains(" \"traced\", len: 6)\n"),
            native(),
            "{events}"
        );
    }

    /// A name is read up to its end and no further.
    fn name_at_the_edge() {
        let mut edge = Mapping::with_guard(1).unwrap();
        let name = edge.put_at_end(b"edge");
        works(|| calls::pf_set_param(name, 4));
        works(|| get_by(name, 4));
        let name = edge.put_at_end(b"123456789012345");
        works(|| calls::pf_set_param(name, 15));
        works(|| get_by(name, 15));
    }

    /// Any bytes except NUL.
    fn odd_names() {
        for name in [
            c" ",
            c"a/b",
            c"\xff\xfe",
            c"a\nb",
            c"\x1b[1m",
            c"..",
            c"%s%n",
        ] {
            works(|| cow::set(name));
            works(|| get(name));
        }
    }

    /// Nothing is tracked. Only the privilege of the caller is checked before this.
    fn eacces() {
        let mut edge = Mapping::with_guard(1).unwrap();
        let unreadable = edge.put_at_end(b"") + 1;
        for _ in 0..2 {
            fails(EACCES, calls::pf_cleanup);
            fails(EACCES, || get(NAME));
            fails(EACCES, || get_by(0, 0));
            fails(EACCES, || get_by(unreadable, 5));
            fails(EACCES, || get_into(NAME, 0));
            fails(EACCES, || get_into(NAME, unreadable));
            works(|| cow::set(NAME));
            works(calls::pf_cleanup);
        }
    }

    /// Invalid pointers and lengths. This is checked before anything is read.
    fn einval() {
        let mut edge = Mapping::with_guard(1).unwrap();
        let unreadable = edge.put_at_end(b"") + 1;
        let long = sys::addr(c"1234567890123456");
        for (name, len) in [
            (0, 0),
            (0, 5),
            (long, 0),
            (long, 17),
            (long, usize::MAX),
            (long, isize::MAX as usize + 1),
            (unreadable, 0),
            (unreadable, 17),
            // There is no NUL to strip.
            (long, 16),
            // There is nothing but a NUL.
            (sys::addr(c""), 1),
        ] {
            fails(EINVAL, || calls::pf_set_param(name, len));
            cow::set(NAME).unwrap();
            fails(EINVAL, || get_by(name, len));
            calls::pf_cleanup().unwrap();
        }
        cow::set(NAME).unwrap();
        fails(EINVAL, || get_into(NAME, 0));
        fails(EINVAL, || get_into(c"other", 0));
        // SAFETY: There is nothing to write to.
        fails(EINVAL, || unsafe { calls::pf_get_info(unreadable, 5, 0) });
    }

    /// A registration of restartable sequences, if it has this number: every program makes this
    /// call, so its failure must not be logged.
    fn like_rseq() {
        let area = Mapping::new(1, sys::MAP_PRIVATE).unwrap();
        // SAFETY: There is nothing to write to.
        let register = |len| unsafe { calls::pf_get_info(area.start(), len, 0) };
        let mut log = Log::end(PREFIX);
        expect_eq!(register(32), Err(EACCES));
        cow::set(NAME).unwrap();
        for len in [17, 32, 33, usize::MAX] {
            expect_eq!(register(len), Err(EINVAL));
        }
        log.expect_end();
        fails(EINVAL, || register(16));
    }

    fn efault_name() {
        let mut edge = Mapping::with_guard(1).unwrap();
        let end = edge.put_at_end(b"");
        let abc = edge.put_at_end(b"abc");
        let cases = [(end + 1, 1), (end, 15), (end, 16), (abc, 4), (abc, 16)];
        for (name, len) in cases.into_iter().chain(KERNEL.map(|address| (address, 7))) {
            fails(EFAULT, || calls::pf_set_param(name, len));
            cow::set(NAME).unwrap();
            fails(EFAULT, || get_by(name, len));
            // This is checked before `pf` is written.
            // SAFETY: There is nothing to write to.
            fails(EFAULT, || unsafe { calls::pf_get_info(name, len, end) });
            calls::pf_cleanup().unwrap();
        }
    }

    fn nul_inside() {
        for name in [
            &b"ab\0cd"[..],
            b"\0ab",
            b"ab\0\0",
            b"\0\0",
            b"ab\0cd\0",
            b"a\0bbbbbbbbbbbbb",
        ] {
            let (name, len) = (name.as_ptr() as usize, name.len());
            fails(EINVAL, || calls::pf_set_param(name, len));
            cow::set(c"ab").unwrap();
            fails(EINVAL, || get_by(name, len));
            calls::pf_cleanup().unwrap();
        }
    }

    /// Names must match entirely, including case.
    fn untracked_name() {
        works(|| cow::set(NAME));
        for other in [
            c"subjec",
            c"subjects",
            c"ubject",
            c"Subject",
            c"pf_calls",
            c"s",
        ] {
            fails(EINVAL, || get(other));
        }
        works(|| get(NAME));
    }

    /// The maximum is 64 names.
    fn too_many_names() {
        for i in 0..64 {
            works(|| cow::set(numbered(i).as_cstr()));
        }
        for _ in 0..2 {
            fails(ENOMEM, || cow::set(NAME));
            fails(EINVAL, || get(NAME));
            // Tracked names stay tracked, and may be set again.
            for i in [0, 31, 63] {
                works(|| cow::set(numbered(i).as_cstr()));
            }
        }
        for i in 0..64 {
            works(|| get(numbered(i).as_cstr()));
        }
        works(calls::pf_cleanup);
        works(|| cow::set(NAME));
        fails(EINVAL, || get(numbered(0).as_cstr()));
    }

    /// Each of 64 names has its own counts.
    fn names_do_not_mix() {
        for i in 0..64 {
            cow::set(numbered(i).as_cstr()).unwrap();
        }
        let area = Area::written(64);
        let subjects = core::array::from_fn::<_, 64, _>(|i| {
            Subject::start(numbered(i).as_cstr(), |stops| {
                area.write(0..i);
                stops.stop();
            })
        });
        for (i, subject) in subjects.iter().enumerate() {
            let stat = cow::get(numbered(i).as_cstr()).unwrap();
            expect_eq!(stat.faults(&area), i as isize);
            stat.expect_maps(subject.pid());
        }
    }

    /// Places where no report can be written.
    fn efault_report() {
        cow::set(NAME).unwrap();
        let _subject = Subject::start(NAME, |stops| stops.stop());
        let edge = Mapping::with_guard(2).unwrap();
        let readonly = Mapping::new(1, sys::MAP_PRIVATE).unwrap();
        // SAFETY: Nobody writes there.
        unsafe { sys::mprotect(readonly.start(), sys::PAGE_SIZE, sys::PROT_READ) }.unwrap();
        let partly = edge.end() - size_of::<Stat>() + size_of::<usize>();
        for pf in [edge.end(), partly, readonly.start(), 8]
            .into_iter()
            .chain(KERNEL)
        {
            fails(EFAULT, || get_into(NAME, pf));
        }
        works(|| get_into(NAME, edge.end() - size_of::<Stat>()));
    }

    /// A 32-bit report about a process with 64-bit addresses is impossible. For 64-bit callers it
    /// is nothing special.
    fn eoverflow() {
        const SLEEP: &CStr = c"/bin/sleep";
        cow::set(c"sleep").unwrap();
        let sleep = Child::fork(|| {
            let err = sys::execve(SLEEP, &[c"sleep", c"1000"]);
            skip!("/bin/sleep: {err:?}");
        })
        .unwrap();
        let named = || {
            let mut buf = [0; 4096];
            let file = vcpu::status(sleep.pid, sleep.pid, &mut buf).unwrap_or("");
            io::field(file, "Name") == Some("sleep") && !file.contains("R (running)")
        };
        expect!(eventually(named), "no /bin/sleep runs");

        let mut head = [0; 5];
        let exe = io::File::open(text!("/proc/{}/exe", sleep.pid).as_cstr(), 0).unwrap();
        let has_64_bits = exe.read_all(&mut head).unwrap() == b"\x7fELF\x02";
        if cfg!(target_pointer_width = "64") || native() {
            works(|| get(c"sleep"));
        } else if has_64_bits {
            fails(EOVERFLOW, || get(c"sleep"));
            // This is checked before `pf` is written.
            fails(EOVERFLOW, || get_into(c"sleep", KERNEL[0]));
        } else {
            skip!("/bin/sleep has 32 bits");
        }
    }

    /// The caller needs privilege to observe the whole system. This is checked before everything
    /// else.
    fn eperm() {
        let unprivileged: [&[u32]; 2] = [&[], &[CAP_SYS_PTRACE]];
        let refused = |caps| {
            fails(EPERM, || as_user(1000, caps, || cow::set(c"other")));
            fails(EPERM, || as_user(1000, caps, || calls::pf_set_param(0, 0)));
            for name in [NAME, c"other"] {
                fails(EPERM, || as_user(1000, caps, || get(name)));
            }
            fails(EPERM, || as_user(1000, caps, || get_by(0, 0)));
            fails(EPERM, || as_user(1000, caps, || get_by(KERNEL[0], 7)));
            fails(EPERM, || as_user(1000, caps, || get_into(NAME, 0)));
            fails(EPERM, || as_user(1000, caps, || get_into(NAME, KERNEL[0])));
            fails(EPERM, || as_user(1000, caps, calls::pf_cleanup));
        };
        // Both while nothing is tracked, and after.
        unprivileged.into_iter().for_each(refused);
        fails(EACCES, || get(NAME));
        cow::set(NAME).unwrap();
        unprivileged.into_iter().for_each(refused);
        works(|| get(NAME));
        fails(EINVAL, || get(c"other"));
        // The capability must be in the init user namespace.
        let child = Child::fork(|| {
            become_user(1000, &[]);
            if let Err(err) = sys::unshare(sys::CLONE_NEWUSER) {
                skip!("no user namespaces: {err:?}");
            }
            expect!(sys::capget().unwrap().effective & 1 << CAP_SYS_ADMIN != 0);
            fails(EPERM, || cow::set(c"other"));
            fails(EPERM, calls::pf_cleanup);
            fails(EPERM, || get(NAME));
            fails(EPERM, || get(c"other"));
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
        for cap in [CAP_PERFMON, CAP_SYS_ADMIN] {
            works(|| as_user(1000, &[cap], || cow::set(c"other")));
            works(|| as_user(1000, &[cap], || get(c"other")));
            works(|| as_user(1000, &[cap], calls::pf_cleanup));
        }
        fails(EACCES, || get(NAME));
    }

    /// Even a report on a process of the caller's own user is refused: the sums also include faults
    /// of other processes in its image, whoever owns them.
    fn own_process() {
        let area = Area::written(16);
        let pid: &'static AtomicI32 = mem::shared().unwrap();
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            let user = Subject::fork(|stops| {
                become_user(1000, &[]);
                // As if the user had started it.
                sys::prctl(sys::PR_SET_DUMPABLE, 1).unwrap();
                fails(EPERM, || get(NAME));
                stops.stop();
            });
            pid.store(user.pid(), Ordering::Release);
            stops.stop();
            area.write(0..16);
            stops.stop();
            drop(user);
        });
        let pid = pid.load(Ordering::Acquire);
        for count in [0, 16] {
            // This user may trace the process.
            let read = || sys::process_vm_readv(pid, area.start(), &mut [0]).map(|len| len - 1);
            expect_eq!(as_user(1000, &[], read), Ok(0));
            fails(EPERM, || as_user(1000, &[], || get(NAME)));
            works(|| as_user(1000, &[CAP_PERFMON], || get(NAME)));
            let stat = cow::get(NAME).unwrap();
            stat.expect_maps(pid);
            expect_eq!(stat.faults(&area), count);
            if count == 0 {
                subject.step();
            }
        }
    }

    /// The same holds for the files that show everything: whoever opens them needs privilege.
    fn proc_file() {
        for file in [c"/proc/cow_track", c"/proc/cow_track_totals"] {
            let open = || io::File::open(file, sys::O_RDONLY);
            let opens = || open().map(|_| 0);
            for _ in 0..2 {
                expect_eq!(opens(), Ok(0));
                // The mode of the file.
                expect_eq!(as_user(1000, &[], opens), Err(EACCES));
                expect_eq!(as_user(1000, &[CAP_PERFMON], opens), Err(EACCES));
                // Bypassing the mode, and root without its capabilities.
                expect_eq!(as_user(1000, &[CAP_DAC_READ_SEARCH], opens), Err(EPERM));
                expect_eq!(as_user(0, &[], opens), Err(EPERM));
                expect_eq!(as_user(0, &[CAP_SYS_PTRACE], opens), Err(EPERM));
                expect_eq!(as_user(0, &[CAP_PERFMON], opens), Ok(0));
                expect_eq!(as_user(0, &[CAP_SYS_ADMIN], opens), Ok(0));
                cow::set(NAME).unwrap();
            }
            let opened = open().unwrap();
            let read = || opened.read_all(&mut [0; 4096]).map(|text| usize::from(text.is_empty()));
            expect_eq!(as_user(1000, &[], read), Ok(0));
            expect_eq!(io::write_file(file, b"0").err(), Some(EIO));
        }
    }

    /// All reads of the file come from one text, created when it was opened, however small the
    /// pieces and whatever happens in between.
    fn proc_file_in_pieces() {
        let area = Area::written(64);
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            // A few more VMAs.
            for page in (1..64).step_by(4) {
                // SAFETY: Nobody writes to these pages.
                unsafe { sys::mprotect(area.page(page), sys::PAGE_SIZE, sys::PROT_READ) }.unwrap();
            }
            stops.stop();
            for page in (0..64).step_by(2) {
                area.write([page]);
                stops.stop();
            }
        });
        let mut whole = [0; 16384];
        let whole = io::read_file(c"/proc/cow_track", &mut whole).unwrap();
        let file = io::File::open(c"/proc/cow_track", sys::O_RDONLY).unwrap();
        subject.step();
        let mut pieces = [0; 16384];
        let mut len = 0;
        for step in 0.. {
            let end = len + 1 + step % 13;
            match sys::read(file.fd, &mut pieces[len..end]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(err) => panic!("{err:?}"),
            }
            match step {
                1..31 => subject.step(),
                31 => drop(Child::fork(|| sys::set_name(NAME).map(|_| ()).unwrap())),
                100 => expect_eq!(calls::pf_cleanup(), Ok(0)),
                _ => (),
            }
        }
        let pieces = View::of(core::str::from_utf8(&pieces[..len]).unwrap()).text();
        // Ignore the age of the process.
        let cut = |text: &str| text.rfind(" ns ").expect("a process");
        expect_eq!(pieces[..cut(pieces)], whole[..cut(whole)]);
        // Reading again from the start gives the same text, and from elsewhere a part of it.
        let mut again = [0; 16384];
        for start in [0, 1, 100, len - 1, len, len + 100] {
            let read = sys::pread(file.fd, &mut again, start as u64).unwrap();
            let part = pieces.get(start..).unwrap_or("");
            expect!(&again[..read] == part.as_bytes(), "from {start}");
        }
    }

    /// The log shows no addresses, and nothing that could be mistaken for a separate line.
    fn log_is_harmless() {
        cow::set(NAME).unwrap();
        let stat = Stat::poisoned();
        let mut log = Log::end("");
        expect_eq!(get(c"a\n<0>fake\x1b"), Err(EINVAL));
        expect_eq!(get_by(KERNEL[0], 5), Err(EFAULT));
        expect_eq!(get_into(NAME, 8), Err(EFAULT));
        let mut lines = 0;
        while let Some(line) = log.next_line() {
            lines += usize::from(line.text.as_bytes().starts_with(PREFIX.as_bytes()));
            let text = line.text.as_str();
            expect!(!text.chars().any(char::is_control), "{text:?}");
            for address in [KERNEL[0], &raw const stat as usize] {
                expect!(!text.contains(text!("{address:x}").as_str()), "{text:?}");
            }
        }
        expect_eq!(lines, 3);
    }

    /// Dozens of errors of a user are logged, but a flood is not.
    fn does_not_fill_the_log(timeout: 300) {
        klog::expect_limit(PREFIX, || match calls::pf_cleanup() {
            Err(EACCES | EPERM) => Ok(0),
            other => other,
        });
    }

    /// A call that lacks memory fails with an error and changes nothing.
    fn enomem(timeout: 300) {
        need_failslab(true);
        let mut errors = 0;
        let allocations = with_failures(|| match cow::set(NAME) {
            Ok(_) => expect_eq!(calls::pf_cleanup(), Ok(0)),
            Err(err) => {
                // A copy of the name that fails is EFAULT.
                expect!(matches!(err, ENOMEM | EFAULT), "{err:?}");
                expect_eq!(calls::pf_cleanup(), Err(EACCES));
                errors += u32::from(err == ENOMEM);
            }
        });
        diag!("pf_set_param: {errors} errors, {allocations} allocations");
        expect!(errors > 0);

        let area = Area::written(4);
        cow::set(NAME).unwrap();
        let _subject = Subject::start(NAME, |stops| {
            area.write(0..3);
            stops.stop();
        });
        with_failures(|| {
            match cow::get(NAME) {
                Ok(stat) => expect_eq!(stat.faults(&area), 3),
                Err(err) => expect!(matches!(err, ENOMEM | EFAULT), "{err:?}"),
            }
            match cow::set(c"other") {
                // The failure may come later.
                Ok(_) => expect!(matches!(get(c"other"), Ok(0) | Err(ENOMEM | EFAULT))),
                Err(err) => expect!(matches!(err, ENOMEM | EFAULT), "{err:?}"),
            }
        });
        expect_eq!(cow::get(NAME).unwrap().faults(&area), 3);
        works(calls::pf_cleanup);
    }

    /// A call whose copy from or to user space fails returns EFAULT, and changes nothing.
    fn efault_in_a_copy(timeout: 300) {
        need_fail_usercopy();
        let mut errors = 0;
        with_failures(|| match cow::set(NAME) {
            Ok(_) => expect_eq!(calls::pf_cleanup(), Ok(0)),
            Err(err) => {
                expect!(matches!(err, ENOMEM | EFAULT), "{err:?}");
                expect_eq!(calls::pf_cleanup(), Err(EACCES));
                errors += u32::from(err == EFAULT);
            }
        });
        expect_eq!(errors, 1);

        let area = Area::written(4);
        cow::set(NAME).unwrap();
        let _subject = Subject::start(NAME, |stops| {
            area.write(0..3);
            stops.stop();
        });
        // Allocations that are not needed each time can hide the second copy from a round. This
        // also expects that nothing is copied on an error.
        let (mut errors, mut rounds) = (0, 0);
        while errors == rounds && rounds < 20 {
            with_failures(|| errors += u32::from(cow::get(NAME).err() == Some(EFAULT)));
            rounds += 1;
        }
        expect!(errors > rounds, "{errors} errors in {rounds} rounds");
        expect_eq!(cow::get(NAME).unwrap().faults(&area), 3);
    }

    /// A fault whose counter cannot be allocated succeeds like any other, and is known to be
    /// unplaced.
    fn no_memory_to_count() {
        need_failslab(true);
        // Each in its own block.
        const AREAS: usize = 16;
        let areas = [0; AREAS].map(|_| {
            let area = Area::anonymous(3000, sys::MAP_PRIVATE);
            area.write(0..4);
            area
        });
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            for (i, area) in areas.iter().enumerate() {
                match i % 2 {
                    0 => area.write(0..4),
                    _ => without_memory(|| area.write(0..4)),
                }
            }
            stops.stop();
        });
        let before = cow::get(NAME).unwrap().total();
        subject.step();
        let mut buf = [0; 65536];
        let image = cow::images(&mut buf).next().expect("an image");
        let stat = cow::get(NAME).unwrap();
        let counted: isize = areas.iter().map(|area| stat.faults(area)).sum();
        diag!("{counted} counted, {} unplaced", image.unplaced);
        expect_eq!(counted + image.unplaced, 4 * AREAS as isize);
        expect!(image.unplaced > 0);
        expect_eq!(image.faults, stat.total());
        expect_eq!(image.faults, image.mapped + image.unplaced);
        expect!(stat.total() - before >= 4 * AREAS as isize);
        // The end of the process changes nothing.
        subject.end();
        let last = cow::get(NAME).unwrap();
        expect!(last.total() >= stat.total());
        let mut buf = [0; 65536];
        let ended = cow::images(&mut buf).next().expect("an image");
        expect_eq!(ended.unplaced, image.unplaced);
        expect_eq!(ended.faults, last.total());
    }

    /// Where an allocation that may not sleep fails, one that may sleep succeeds: each fault has a
    /// counter.
    fn sleeps_for_memory_to_count() {
        need_failslab(false);
        const AREAS: usize = 16;
        let areas = [0; AREAS].map(|_| {
            let area = Area::anonymous(3000, sys::MAP_PRIVATE);
            area.write(0..4);
            area
        });
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            without_memory(|| areas.iter().for_each(|area| area.write(0..4)));
            stops.stop();
        });
        subject.step();
        let stat = cow::get(NAME).unwrap();
        for area in &areas {
            expect_eq!(stat.faults(area), 4);
        }
        let mut buf = [0; 65536];
        let image = cow::images(&mut buf).next().expect("an image");
        expect_eq!(image.unplaced, 0);
    }

    /// A process that cannot be tracked for lack of memory starts nevertheless.
    fn no_memory_to_track(timeout: 300) {
        need_failslab(true);
        cow::set(NAME).unwrap();
        let mut subject = Subject::start(NAME, |stops| {
            stops.stop();
            let mut forks = 0;
            with_failures(|| {
                if let Ok(child) = Child::fork(|| ()) {
                    forks += 1;
                    expect_eq!(child.wait(), Ok(Status::Exited(0)));
                }
            });
            expect!(forks > 0);
            stops.stop();
        });
        subject.step();
        works(|| get(NAME));
    }

    /// A process that was missed is reported as missed, and is found when its name is set again.
    fn missed_and_found() {
        need_failslab(true);
        let area = Area::written(16);
        cow::set(NAME).unwrap();
        let mut subject = Subject::fork(|stops| {
            without_memory(|| sys::set_name(NAME).map(|_| ()).unwrap());
            area.write(0..5);
            stops.stop();
            area.write(5..8);
            stops.stop();
        });
        let missed = || View::read(&mut [0; 16384]).missed("subject");
        expect_eq!(missed(), Some(1));
        expect_eq!(cow::get(NAME).unwrap().total(), 0);
        // A problem with one process does not make the call for its name fail.
        without_memory(|| expect_eq!(cow::set(NAME), Ok(0)));
        expect!(missed().is_some_and(|missed| missed > 1), "{:?}", missed());
        expect_eq!(cow::get(NAME).unwrap().len(), 0);
        works(|| cow::set(NAME));
        subject.step();
        expect_eq!(cow::get(NAME).unwrap().faults(&area), 3);
    }
}
