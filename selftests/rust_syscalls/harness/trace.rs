// SPDX-License-Identifier: GPL-2.0

//! Trace events, in a separate tracefs instance.

use crate::io;
use crate::skip;
use crate::sys;
use crate::text;
use crate::Text;

/// A tracefs instance that records events of a process, removed when dropped.
pub struct Trace {
    dir: Text,
}

impl Trace {
    /// Records `events` of this process, with names such as `syscalls/sys_enter_hello`.
    ///
    /// See [`Trace::start_of`].
    pub fn start(events: &[&str]) -> Trace {
        Trace::start_of(sys::getpid(), events)
    }

    /// Records `events` of a process.
    ///
    /// Skips the test if the kernel has no such event. Leaves the caller in its own mount
    /// namespace.
    pub fn start_of(pid: i32, events: &[&str]) -> Trace {
        const TRACEFS: &str = "/sys/kernel/tracing";
        let mount = || {
            sys::unshare(sys::CLONE_NEWNS)?;
            sys::mount(c"none", c"/", sys::MS_REC | sys::MS_PRIVATE)?;
            match sys::mount(c"tracefs", text!("{TRACEFS}").as_cstr(), 0) {
                // Already mounted.
                Err(sys::EBUSY) => Ok(0),
                other => other,
            }
        };
        if let Err(err) = mount() {
            skip!("no tracefs: {err:?}");
        }
        for event in events {
            if let Err(err) = io::File::open(text!("{TRACEFS}/events/{event}").as_cstr(), 0) {
                skip!("no event {event}: {err:?}");
            }
        }

        let trace = Trace {
            dir: text!("{TRACEFS}/instances/rust_syscalls-{pid}"),
        };
        sys::mkdir(trace.dir.as_cstr()).expect("a tracefs instance");
        trace.write("set_event_pid", text!("{pid}").as_bytes());
        for event in events {
            trace.write(text!("events/{event}/enable").as_str(), b"1");
        }
        trace
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        let path = text!("{}/{file}", self.dir.as_str());
        if let Err(err) = io::write_file(path.as_cstr(), bytes) {
            panic!("{}: {err:?}", path.as_str());
        }
    }

    /// Reads a file of the instance: `trace`, or `events/<event>/format`.
    pub fn read<'a>(&self, file: &str, buf: &'a mut [u8]) -> &'a str {
        let path = text!("{}/{file}", self.dir.as_str());
        match io::read_file(path.as_cstr(), buf) {
            Ok(content) => content,
            Err(err) => panic!("{}: {err:?}", path.as_str()),
        }
    }

    /// Opens perf's counter of an event in the thread `tid`. Skips the test if there is none.
    pub fn perf(&self, event: &str, tid: i32) -> Perf {
        let id = self
            .read(text!("events/{event}/id").as_str(), &mut [0; 32])
            .trim()
            .parse();
        match sys::perf_event_open(id.expect("an event's id"), tid) {
            Ok(fd) => Perf(io::File { fd }),
            Err(err) => skip!("perf does not count {event}: {err:?}"),
        }
    }
}

/// A counter of an event.
pub struct Perf(io::File);

impl Perf {
    /// Returns how many times the event has occurred since the counter was opened.
    pub fn count(&self) -> u64 {
        let mut count = [0; 8];
        let bytes = self.0.read_all(&mut count).map(<[u8]>::len);
        assert!(bytes == Ok(8), "a counter of perf: {bytes:?}");
        u64::from_ne_bytes(count)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = sys::rmdir(self.dir.as_cstr());
    }
}
