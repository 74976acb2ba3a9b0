// SPDX-License-Identifier: GPL-2.0

//! Signals, as input: so that what was set is always cleaned up.

use crate::fail;
use crate::Fail;
use rt::sys;
use rt::sys::signal_bit;
use rt::sys::PollFd;
use rt::File;

/// The signals that would end this program, and those that tell it something.
const HANDLED: u64 = signal_bit(sys::SIGHUP)
    | signal_bit(sys::SIGINT)
    | signal_bit(sys::SIGQUIT)
    | signal_bit(sys::SIGTERM)
    | signal_bit(sys::SIGCHLD)
    | signal_bit(sys::SIGWINCH);

/// Signals that are blocked, and read from a file.
pub struct Signals {
    file: File,
    blocked: u64,
    /// What was blocked before.
    pub old: u64,
}

impl Signals {
    /// Also handles the signal that stops a program, if `stop` is set.
    pub fn block(stop: bool) -> Fail<Self> {
        let mut handled = HANDLED | if stop { signal_bit(sys::SIGTSTP) } else { 0 };
        // What nohup(1) or a shell has made this program ignore stays ignored: while a signal is
        // blocked, it is not.
        for signal in [
            sys::SIGHUP,
            sys::SIGINT,
            sys::SIGQUIT,
            sys::SIGTERM,
            sys::SIGTSTP,
        ] {
            if sys::is_ignored(signal) {
                handled &= !signal_bit(signal);
            }
        }
        // A broken pipe is an error of `write()`.
        let block = || -> sys::Result<Self> {
            let blocked = handled | signal_bit(sys::SIGPIPE);
            let old = sys::block_signals(blocked)?;
            let file = File {
                fd: sys::signalfd(handled)?,
            };
            Ok(Signals { file, blocked, old })
        };
        match block() {
            Ok(signals) => Ok(signals),
            Err(err) => fail!("signals cannot be blocked: {err:?}"),
        }
    }

    /// Stops this program as `SIGTSTP` does, unless there is nobody to continue it.
    pub fn stop(&self) {
        let _ = sys::kill(sys::getpid(), sys::SIGTSTP);
        let _ = sys::block_signals(self.blocked & !signal_bit(sys::SIGTSTP));
        let _ = sys::block_signals(self.blocked);
    }

    /// Waits up to so many milliseconds for a signal, or for input. Returns the signal.
    pub fn wait(&self, input: Option<&mut PollFd>, ms: u32) -> Option<i32> {
        let mut none = PollFd::new(-1, 0);
        let input = input.unwrap_or(&mut none);
        let mut files = [PollFd::new(self.file.fd, sys::POLLIN), *input];
        let ready = sys::ppoll(&mut files, ms);
        *input = files[1];

        // C's `struct signalfd_siginfo`.
        let mut info = [0; 128];
        if ready.is_err() || files[0].revents == 0 || sys::read(self.file.fd, &mut info).is_err() {
            return None;
        }
        Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))
    }
}
