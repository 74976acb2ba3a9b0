// SPDX-License-Identifier: GPL-2.0

//! `cowstat -- command`: runs a command and reports on its end.

use crate::fail;
use crate::json;
use crate::maps::Maps;
use crate::out::message;
use crate::out::Count;
use crate::out::Mib;
use crate::out::Safe;
use crate::out::Seconds;
use crate::out::Why;
use crate::put;
use crate::report;
use crate::report::Since;
use crate::signals::Signals;
use crate::tracking::Tracking;
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
pub fn run(options: &Options, command: Args) -> Fail<i32> {
    let Some(program) = command.c_strs().next() else {
        fail!("there is no command after --");
    };
    // The kernel names a process after the file, and cuts the name.
    let file = program.to_bytes().rsplit(|&byte| byte == b'/').next();
    let name = options.name.map_or(file.unwrap_or(b""), CStr::to_bytes);
    let name = &name[..name.len().min(NAME_MAX)];
    let mut out = options.out(2)?;
    let signals = Signals::block(false)?;
    let mut source = Source::new(None)?;
    let mut maps = Maps::new(true)?;
    let _tracking = Tracking::start(&mut source, &[name])?;
    let since = Since::now(&source.read()?, name);
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
    let status = wait(pid, &signals, options.interval, || {
        if let Ok(snapshot) = source.read() {
            let name = snapshot.find(name).unwrap_or_default();
            // The first is likely to end last, and the kernel keeps the one that does.
            let image = since.images(&name).find(|image| image.live != 0);
            maps.read(&image.unwrap_or_default());
        }
    });
    let ns = sys::now() - begin;

    let snapshot = source.read()?;
    let Some(found) = snapshot.find(name) else {
        fail!(
            "someone else has made the kernel forget {}: there is no report",
            Safe(name)
        );
    };
    if options.json {
        let command = json::Command { pid, status, ns };
        json::write(
            &mut out,
            &snapshot,
            &[name],
            since,
            &mut maps,
            Some(command),
        );
    } else {
        let ours = |image: u64| image > since.0;
        let processes = found.processes().filter(|process| ours(process.image));
        let images = since.images(&found).map(|image| image.faults);
        let faults = images.sum();
        put!(
            &mut out,
            "\n{}: {} processes, {} faults, {} MiB copied in {} s\n",
            Safe(found.name),
            Count(processes.count() as u64),
            Count(faults),
            Mib(faults),
            Seconds(ns)
        );
        report::print(&mut out, &found, since, &mut maps, snapshot.is_cut);
    }
    // The user does not have to wait for the kernel to forget.
    out.finish()?;
    Ok(status)
}

/// Starts the command. Fails like `execve()`.
fn spawn(command: Args, program: &CStr, blocked: u64) -> sys::Result<i32> {
    let [from, to] = sys::pipe2(sys::O_CLOEXEC)?.map(|fd| File { fd });
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
    for dir in command.env("PATH").unwrap_or("/bin:/usr/bin").split(':') {
        let mut path = Text::<4096>::new();
        let dir = if dir.is_empty() { "." } else { dir };
        if path.push(dir.as_bytes()) && path.push(b"/") && path.push(program.to_bytes()) {
            match command.exec(path.as_cstr()) {
                sys::ENOENT => (),
                err => result = err,
            }
        }
    }
    result
}

/// Waits for the end of the command, and looks at it from time to time. Returns its exit status, as
/// a shell would.
fn wait(pid: i32, signals: &Signals, interval: u32, mut look: impl FnMut()) -> i32 {
    // Soon enough for a short command, too.
    let mut pause = 1;

    loop {
        match signals.wait(None, pause) {
            // A terminal sends these to the command as well.
            Some(sys::SIGINT | sys::SIGQUIT) => (),
            Some(signal @ (sys::SIGTERM | sys::SIGHUP)) => {
                let _ = sys::kill(pid, signal);
            }
            Some(_) => (),
            None => {
                look();
                pause = (pause * 2).min(interval);
            }
        }
        match sys::wait(pid, sys::WNOHANG) {
            Ok(Status::Exited(status)) => return status,
            Ok(Status::Killed(signal)) => return 128 + signal,
            Ok(_) | Err(sys::EINTR) => (),
            // Nobody else waits for it.
            Err(_) => return 1,
        }
    }
}
