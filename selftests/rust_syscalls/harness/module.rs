// SPDX-License-Identifier: GPL-2.0

//! Kernel modules: the Rust samples, as installed by `make modules_install`.

use crate::io;
use crate::io::File;
use crate::skip;
use crate::sys;
use crate::sys::Result;
use crate::text;
use core::ffi::CStr;

/// Opens the file of a sample. Skips the test if there is none.
pub fn open(name: &CStr) -> Result<File> {
    let mut buf = [0; 6 * 65];
    let release = sys::release(&mut buf)?;
    let name = name.to_str().map_err(|_| sys::EINVAL)?;
    let path = text!("/lib/modules/{release}/kernel/samples/rust/{name}.ko");
    match File::open(path.as_cstr(), sys::O_RDONLY) {
        Ok(file) => Ok(file),
        Err(err) => skip!("{}: {err:?}", path.as_str()),
    }
}

/// Loads a sample and leaves it loaded.
pub fn load(name: &CStr, params: &CStr) -> Result {
    sys::finit_module(open(name)?.fd, params)
}

/// Unloads modules that an earlier test may have left, in this order.
pub fn clean_up(names: &[&CStr]) {
    for name in names {
        // The last user may still be exiting.
        let mut tries = 0;
        while sys::delete_module(name) == Err(sys::EAGAIN) && tries < 500 {
            tries += 1;
            sys::sleep_ms(10);
        }
    }
}

/// Calls `look` with the entry of a module in `/proc/modules`: size, number of references, users,
/// and state.
pub fn with_entry<T>(name: &CStr, look: impl FnOnce(&str) -> T) -> Option<T> {
    let mut buf = [0; 8192];
    let modules = io::read_file(c"/proc/modules", &mut buf).expect("/proc/modules");
    let line = modules
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(first, _)| first.as_bytes() == name.to_bytes());
    line.map(|(_, entry)| look(entry))
}

/// Returns whether a module is loaded.
pub fn is_loaded(name: &CStr) -> bool {
    with_entry(name, |_| ()).is_some()
}

/// A loaded module, unloaded when dropped.
pub struct Module {
    name: &'static CStr,
}

impl Module {
    /// Loads a sample with parameters such as `c"greetings=3"`. Skips the test if there is none.
    pub fn load(name: &'static CStr, params: &CStr) -> Result<Module> {
        load(name, params)?;
        Ok(Module { name })
    }

    /// Tries to unload it. Fails with `EAGAIN` if it is in use.
    pub fn try_unload(&self) -> Result {
        sys::delete_module(self.name)
    }

    /// Unloads it.
    #[track_caller]
    pub fn unload(self) {
        self.try_unload().expect("delete_module");
        core::mem::forget(self);
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = self.try_unload();
    }
}
