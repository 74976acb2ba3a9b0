// SPDX-License-Identifier: GPL-2.0

//! Delay accounting over generic netlink: `include/uapi/linux/taskstats.h`.

use crate::io;
use crate::io::File;
use crate::io::Text;
use crate::skip;
use crate::sys;
use crate::sys::Result;
use core::ffi::CStr;

// `struct nlmsghdr`, followed by `struct genlmsghdr`: a command, a version and two unused bytes.
const NLMSG_HDRLEN: usize = 16;
const GENL_HDRLEN: usize = 4;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;

// Finds other families. Its own number is fixed.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const TASKSTATS_CMD_GET: u8 = 1;
const TASKSTATS_CMD_ATTR_PID: u16 = 1;
const TASKSTATS_TYPE_STATS: u16 = 3;
const TASKSTATS_TYPE_AGGR_PID: u16 = 4;

/// The offset of `wpcopy_count` in `struct taskstats`.
const WPCOPY_COUNT: usize = 400;

/// A connection to the kernel's accounting.
pub struct TaskStats {
    socket: File,
    family: u16,
}

impl TaskStats {
    /// Connects, and turns on delay accounting for tasks that start from now on.
    ///
    /// Skips the test if the kernel has none. Fails if the kernel's clock is not fine enough.
    pub fn start() -> TaskStats {
        if let Err(err) = io::write_file(c"/proc/sys/kernel/task_delayacct", b"1") {
            skip!("no delay accounting: {err:?}");
        }
        // A delay that takes no time by the kernel's clock is not counted.
        const CLOCK: &CStr = c"/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let mut buf = [0; 64];
        let clock = io::read_file(CLOCK, &mut buf).unwrap_or("").trim();
        assert!(
            !clock.ends_with("jiffies"),
            "{clock} is no clock for delay accounting"
        );

        match TaskStats::connect() {
            Ok(stats) => stats,
            Err(err) => skip!("no taskstats: {err:?}"),
        }
    }

    fn connect() -> Result<TaskStats> {
        let fd = sys::socket(sys::AF_NETLINK, sys::SOCK_RAW, sys::NETLINK_GENERIC)?;
        let mut stats = TaskStats {
            socket: File { fd },
            family: GENL_ID_CTRL,
        };
        let mut buf = [0; 4096];
        let name = (CTRL_ATTR_FAMILY_NAME, &b"TASKSTATS\0"[..]);
        let reply = stats.ask(CTRL_CMD_GETFAMILY, name, &mut buf)?;
        let id = attribute(reply, CTRL_ATTR_FAMILY_ID).ok_or(sys::EIO)?;
        stats.family = u16::from_ne_bytes(id.try_into().map_err(|_| sys::EIO)?);
        Ok(stats)
    }

    /// Returns how many times a thread has entered the kernel's function that copies a page on
    /// write, for its own memory or another process's.
    pub fn wpcopy_count(&self, tid: i32) -> u64 {
        let mut buf = [0; 4096];
        let tid = tid.to_ne_bytes();
        let count = || {
            let reply = self.ask(TASKSTATS_CMD_GET, (TASKSTATS_CMD_ATTR_PID, &tid), &mut buf)?;
            let task = attribute(reply, TASKSTATS_TYPE_AGGR_PID).ok_or(sys::EIO)?;
            let stats = attribute(task, TASKSTATS_TYPE_STATS).ok_or(sys::EIO)?;
            let count = stats.get(WPCOPY_COUNT..WPCOPY_COUNT + 8).ok_or(sys::EIO)?;
            Ok(u64::from_ne_bytes(count.try_into().map_err(|_| sys::EIO)?))
        };
        let count: Result<u64> = { count }();
        count.unwrap_or_else(|err| panic!("taskstats of {tid:?}: {err:?}"))
    }

    /// Sends a command with one attribute. Returns the attributes of the reply.
    fn ask<'a>(
        &self,
        command: u8,
        (kind, value): (u16, &[u8]),
        buf: &'a mut [u8],
    ) -> Result<&'a [u8]> {
        let attr_len = 4 + value.len();
        let len = NLMSG_HDRLEN + GENL_HDRLEN + attr_len.next_multiple_of(4);
        let mut message: Text = Text::new();
        message.push(&(len as u32).to_ne_bytes());
        message.push(&self.family.to_ne_bytes());
        message.push(&NLM_F_REQUEST.to_ne_bytes());
        // A sequence number and a port that are ignored. The rest is for the family.
        message.push(&[0; 8]);
        message.push(&[command, 1, 0, 0]);
        message.push(&(attr_len as u16).to_ne_bytes());
        message.push(&kind.to_ne_bytes());
        message.push(value);
        message.push(&[0; 3][..len - message.as_bytes().len()]);
        sys::send(self.socket.fd, message.as_bytes())?;

        let len = sys::recv(self.socket.fd, buf)?;
        let reply = buf.get(..len).ok_or(sys::EIO)?;
        match reply.get(4..6).map(|kind| [kind[0], kind[1]]) {
            Some(kind) if u16::from_ne_bytes(kind) == NLMSG_ERROR => {
                let errno = reply.get(NLMSG_HDRLEN..NLMSG_HDRLEN + 4).ok_or(sys::EIO)?;
                let errno = i32::from_ne_bytes(errno.try_into().map_err(|_| sys::EIO)?);
                Err(sys::Errno(-errno))
            }
            _ => reply.get(NLMSG_HDRLEN + GENL_HDRLEN..).ok_or(sys::EIO),
        }
    }
}

/// Returns the value of the first attribute of a type. An attribute is a length, a type and a
/// value, padded to a multiple of four bytes.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (head, _) = attributes.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        // The upper bits are flags.
        let kind = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        if kind == wanted {
            return attributes.get(4..len);
        }
        attributes = attributes.get(len.next_multiple_of(4).max(4)..)?;
    }
}
