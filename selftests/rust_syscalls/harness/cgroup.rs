// SPDX-License-Identifier: GPL-2.0

//! Control groups that limit memory.

use crate::expect;
use crate::io;
use crate::skip;
use crate::sys;
use crate::text;
use crate::vcpu::eventually;
use crate::Text;

/// Where the control groups are mounted.
const ROOT: &str = "/tmp/rust_syscalls-cgroup";

/// A control group that accounts memory, removed when dropped.
pub struct Group {
    dir: Text,
}

impl Group {
    /// Creates a group.
    ///
    /// Skips the test if the kernel cannot do so. Leaves the caller in its own mount namespace.
    pub fn new(name: &str) -> Group {
        let mount = || {
            sys::unshare(sys::CLONE_NEWNS)?;
            sys::mount(c"none", c"/", sys::MS_REC | sys::MS_PRIVATE)?;
            let _ = sys::mkdir(text!("{ROOT}").as_cstr());
            sys::mount(c"cgroup2", text!("{ROOT}").as_cstr(), 0)
        };
        if let Err(err) = mount() {
            skip!("no control groups: {err:?}");
        }
        let root = Group {
            dir: text!("{ROOT}"),
        };
        if let Err(err) = root.try_set("cgroup.subtree_control", "+memory") {
            skip!("no memory control groups: {err:?}");
        }
        core::mem::forget(root);
        let group = Group {
            dir: text!("{ROOT}/{name}-{}", sys::getpid()),
        };
        sys::mkdir(group.dir.as_cstr()).expect("a control group");
        group
    }

    fn path(&self, file: &str) -> Text {
        text!("{}/{file}", self.dir.as_str())
    }

    fn try_set(&self, file: &str, value: &str) -> sys::Result<()> {
        io::write_file(self.path(file).as_cstr(), value.as_bytes())
    }

    /// Writes to a file of the group.
    pub fn set(&self, file: &str, value: &str) {
        if let Err(err) = self.try_set(file, value) {
            panic!("{value} to {}: {err:?}", self.path(file).as_str());
        }
    }

    /// Moves the calling process into the group.
    pub fn join(&self) {
        self.set("cgroup.procs", "0");
    }

    /// Returns the number in a file of the group or, with a key, the number after that key.
    pub fn get(&self, file: &str, key: &str) -> usize {
        let mut buf = [0; 8192];
        let path = self.path(file);
        let content = io::read_file(path.as_cstr(), &mut buf).expect("a file of the group");
        let mut lines = content.lines();
        let value = match key {
            "" => lines.next(),
            _ => lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')),
        };
        match value.map(str::parse) {
            Some(Ok(value)) => value,
            _ => panic!("{key} in {}: {content}", path.as_str()),
        }
    }

    /// Makes the CPUs return what they have charged in advance.
    pub fn drain(&self) {
        // They do so when there is a limit to enforce. This one kills nothing.
        self.set("memory.high", "0");
        self.set("memory.high", "max");
    }

    /// Limits the group to its current usage, without caches. Its processes must be asleep.
    pub fn fill(&self) {
        self.drain();
        // `drain()` does not wait for other CPUs.
        sys::sleep_ms(50);
        let limit = self.get("memory.current", "");
        self.set("memory.max", text!("{limit}").as_str());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have been waited for, but may need a moment more.
        let removed = || sys::rmdir(self.dir.as_cstr()).is_ok();
        expect!(eventually(removed), "{} stays", self.dir.as_str());
    }
}
