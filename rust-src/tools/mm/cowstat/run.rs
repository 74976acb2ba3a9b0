// SPDX-License-Identifier: GPL-2.0

//! `cowstat -- command`: runs a command and reports on its end.

use crate::fail;
use crate::json;
use crate::maps::Maps;
use crate::out::message;
use crate::out::Count;
use crate::out::Faults;
use crate::out::Mib;
use crate::out::Safe;
use crate::out::Seconds;
use crate::out::Why;
use crate::put;
use crate::report;
use crate::signals::Signals;
use crate::since::Since;
use crate::term;
use crate::tracking::Tracking;
use crate::view::Name;
use crate::view::Process;
use crate::view::Source;
use crate::view::NAME_MAX;
use crate::Fail;
use crate::Options;
use core::ffi::CStr;
use rt::sys;
use rt::sys::Status;
use rt::Args;
use rt::Errno;
use rt::File;
use rt::Text;

/// What a shell returns for a command that is not found, and for one that cannot be run.
const NOT_FOUND: i32 = 127;
const CANNOT_RUN: i32 = 126;

/// Runs the command and returns its exit status, as a shell would.
///
/// With `--name`, the command may tell servers with that name to fork. So images that were there
/// before count as well, and so do their forks until they end.
pub fn run(options: &Options, command: Args) -> Fail<i32> {
    let Some(program) = command.c_strs().next() else {
        fail!("there is no command after --");
    };
    // The kernel names a process after the file, and cuts the name.
    let file = program.to_bytes().rsplit(|&byte| byte == b'/').next();
    let name = options.name.map_or(file.unwrap_or(b""), CStr::to_bytes);
    let name = &name[..name.len().min(NAME_MAX)];
    if name.is_empty() {
        message(format_args!("{}: not a program", Safe(program.to_bytes())));
        return Ok(CANNOT_RUN);
    }
    let mut out = options.out(2)?;
    let signals = Signals::block(false)?;
    let mut source = Source::new(None)?;
    let mut maps = Maps::new(true)?;
    let mut earlier = Source::new(None)?;
    let _tracking = Tracking::start(&mut source, &[name])?;
    let before = earlier.read()?.find(name).unwrap_or_default();
    let since = match options.name {
        Some(_) => Since::changes(before),
        None => Since::new_images(before),
    };
    let begin = sys::now();
    let pid = match spawn(command, program, signals.old) {
        Ok(pid) => pid,
        Err(err) => {
            message(format_args!("{}: {}", Safe(program.to_bytes()), Why(err)));
            return Ok(if err == sys::ENOENT {
                NOT_FOUND
            } else {
                CANNOT_RUN
            });
        }
    };
    // If the file cannot be read, because memory is short, what it said before still holds.
    let mut forks = Forks {
        is_possible: true,
        ..Forks::default()
    };
    let mut look = || {
        if let Ok(snapshot) = source.read_totals() {
            let name = snapshot.find(name).unwrap_or_default();
            // The first is likely to end last, and the kernel keeps the one that does.
            let image = since.images(&name).find(|image| image.live != 0);
            maps.read(&image.unwrap_or_default());
            forks = Forks::of(&name, &since);
        }
        forks
    };
    let (status, is_stopped) = wait(pid, &signals, options.interval(), &mut look);
    let ns = sys::now() - begin;
    if options.name.is_some() && !is_stopped {
        wait_for_forks(&signals, options, look);
    }

    let report = || -> Fail<()> {
        let snapshot = source.read()?;
        let found = match snapshot.find(name) {
            None if !snapshot.is_cut => fail!(
                "someone else has made the kernel forget {}: there is no report",
                Safe(name)
            ),
            _ => snapshot.expect(name)?,
        };
        if options.json {
            let command = json::Command { pid, status, ns };
            json::write(
                &mut out,
                &snapshot,
                &[name],
                &since,
                &mut maps,
                Some(command),
            );
        } else {
            let forgotten = since.forgotten(&found).map(|process| process.faults);
            let images = since.images(&found).map(|image| image.faults);
            let faults = images.chain(forgotten).sum();
            let is_fork = |process: &Process| options.name.is_none() || process.parent != 0;
            let count = since.processes(&found).filter(is_fork).count();
            let least = match report::has_lost_processes(&found, &since) {
                true => "at least ",
                false => "",
            };
            let counted = Count(count as u64);
            put!(&mut out, "\n{}: {least}{counted} ", Safe(found.name));
            match (options.name, count) {
                (Some(_), 1) => put!(&mut out, "fork"),
                (Some(_), _) => put!(&mut out, "forks"),
                (None, 1) => put!(&mut out, "process"),
                (None, _) => put!(&mut out, "processes"),
            }
            put!(&mut out, ", {}, ", Faults(faults));
            let ns = sys::now() - begin;
            put!(
                &mut out,
                "{} MiB copied in {} s\n",
                Mib(faults),
                Seconds(ns)
            );
            report::print(&mut out, &found, &since, &mut maps, snapshot.is_cut);
        }
        // Before the kernel forgets, which takes time: the user can read meanwhile.
        out.finish()
    };
    if let Err(why) = report() {
        message(format_args!("{}", why.as_str()));
        // That the command has failed says more.
        return Ok(if status == 0 { 1 } else { status });
    }
    Ok(status)
}

/// Starts the command. Fails like `execve()`.
fn spawn(command: Args, program: &CStr, blocked: u64) -> sys::Result<i32> {
    let [from, to] = sys::pipe2(sys::O_CLOEXEC)?.map(|fd| File { fd });
    // If our parent has made us ignore it, the kernel would not keep the status.
    sys::ignore_signal(sys::SIGCHLD, false)?;
    // SAFETY: No memory is shared.
    let pid = unsafe { sys::clone(0)? };
    if pid == 0 {
        let _ = sys::block_signals(blocked);
        let err = exec(command, program);
        let _ = to.write(&err.0.to_ne_bytes());
        sys::exit_group(NOT_FOUND);
    }
    // The write end is closed by exec.
    drop(to);
    let mut errno = [0; 4];
    match from.read_all(&mut errno)?.len() {
        0 => Ok(pid),
        _ => {
            let _ = sys::wait(pid, 0);
            Err(Errno(i32::from_ne_bytes(errno)))
        }
    }
}

/// Becomes the command, looking for it in `PATH` as a shell does.
fn exec(command: Args, program: &CStr) -> Errno {
    if program.to_bytes().contains(&b'/') {
        return command.exec(program);
    }
    let mut result = sys::ENOENT;
    let dirs = command.env_bytes("PATH").unwrap_or(b"/bin:/usr/bin");
    for dir in dirs.split(|&byte| byte == b':') {
        let mut path = Text::<4096>::new();
        let dir = if dir.is_empty() { b"." } else { dir };
        if path.push(dir) && path.push(b"/") && path.push(program.to_bytes()) {
            match command.exec(path.as_cstr()) {
                // The next folder may have it. What is wrong with the program itself is final.
                sys::ENOENT | sys::ENOTDIR => (),
                sys::EACCES => result = sys::EACCES,
                err => return err,
            }
        }
    }
    result
}

/// Waits for the end of the command, and looks at it from time to time. Returns its exit status, as
/// a shell would, and whether a signal has told both to end.
fn wait(
    pid: i32,
    signals: &Signals,
    interval: u32,
    mut look: impl FnMut() -> Forks,
) -> (i32, bool) {
    let mut is_stopped = false;
    // Soon enough for a short command, too.
    let mut pause = 1;

    loop {
        match signals.wait(None, pause) {
            Some(sys::SIGWINCH | sys::SIGCHLD) => (),
            Some(signal) => {
                is_stopped = true;
                // A terminal sends the others to the command as well.
                if matches!(signal, sys::SIGTERM | sys::SIGHUP) {
                    let _ = sys::kill(pid, signal);
                }
            }
            None => {
                look();
                pause = pause.saturating_mul(2).min(interval);
            }
        }
        match sys::wait(pid, sys::WNOHANG) {
            Ok(Status::Exited(status)) => return (status, is_stopped),
            Ok(Status::Killed(signal)) => return (128 + signal, is_stopped),
            Ok(_) | Err(sys::EINTR) => (),
            // Nobody else waits for it, and SIGCHLD is not ignored.
            Err(_) => return (1, is_stopped),
        }
    }
}

/// The forks since the start.
#[derive(Clone, Copy, Default)]
struct Forks {
    count: usize,
    /// The first that has not ended.
    live: Option<u64>,
    /// Whether there may be a process that can fork, or is just ending, which the kernel does not
    /// list.
    is_possible: bool,
}

impl Forks {
    fn of(name: &Name<'_>, since: &Since<'_>) -> Self {
        let forks = || since.processes(name).filter(|process| process.parent != 0);
        Forks {
            count: forks().count(),
            live: forks().find(|fork| fork.live).map(|fork| fork.pid),
            is_possible: name.images().any(|image| image.live != 0) || since.has_lost_images(name),
        }
    }
}

/// Waits for the end of the forks that servers made because of the command, until a signal says
/// that it has been long enough.
fn wait_for_forks(signals: &Signals, options: &Options, mut look: impl FnMut() -> Forks) {
    /// How many milliseconds to wait for a first fork, or for one that is just ending, which the
    /// kernel does not list.
    const GRACE: u64 = 1000;
    let ms = || sys::now() / 1_000_000;

    let start = ms();
    let (mut last, mut expected) = (start, 1);
    let mut is_said = !term::is_terminal(2);
    let mut pause = 10;

    loop {
        match signals.wait(None, pause) {
            Some(sys::SIGWINCH | sys::SIGCHLD) => continue,
            Some(_) => return,
            None => pause = pause.saturating_mul(2).min(options.interval()).min(1000),
        }
        let (forks, now) = (look(), ms());
        let Some(pid) = forks.live else {
            let is_over = forks.count >= expected || !forks.is_possible;
            if is_over || now - last >= GRACE {
                return;
            }
            continue;
        };
        let limit = u64::from(options.wait());
        if now - start >= limit {
            let seconds = Seconds(limit * 1_000_000);
            return message(format_args!(
                "fork {pid} has not ended after {seconds} s: see --wait"
            ));
        }
        pause = pause.min((limit - (now - start)) as u32);
        if !is_said && now - start >= GRACE {
            message(format_args!(
                "waiting for the end of fork {pid}; Ctrl-C: report now"
            ));
            is_said = true;
        }
        (last, expected) = (now, forks.count);
    }
}
