// SPDX-License-Identifier: GPL-2.0

//! Memory.

use crate::sys;
use crate::sys::Result;
use crate::sys::PAGE_SIZE;
use core::slice;

/// Anonymous memory, in pages, unmapped when dropped.
pub struct Mapping {
    addr: usize,
    // Includes the guard page.
    mapped: usize,
    usable: usize,
}

impl Mapping {
    /// Maps zeroed, writable memory for this process (`MAP_PRIVATE`), or also for processes that it
    /// forks (`MAP_SHARED`).
    pub fn new(pages: usize, flags: u32) -> Result<Mapping> {
        let flags = flags & !sys::MAP_FIXED;
        Mapping::at(0, pages, flags)
    }

    /// Maps memory at an address. Fails with `EEXIST` if something is mapped there.
    pub fn at(addr: usize, pages: usize, flags: u32) -> Result<Mapping> {
        let flags = match addr {
            0 => flags,
            _ => flags & !sys::MAP_FIXED | sys::MAP_FIXED_NOREPLACE,
        };
        let len = pages * PAGE_SIZE;
        // SAFETY: No mapping is replaced.
        let addr = unsafe { sys::mmap(addr, len, sys::PROT_READ | sys::PROT_WRITE, flags)? };
        Ok(Mapping {
            addr,
            mapped: len,
            usable: len,
        })
    }

    /// Maps memory followed by an inaccessible page, for strings that end at the edge.
    pub fn with_guard(pages: usize) -> Result<Mapping> {
        let mut mapping = Mapping::new(pages + 1, sys::MAP_PRIVATE)?;
        mapping.usable -= PAGE_SIZE;
        // SAFETY: Nobody uses the new mapping yet.
        unsafe { sys::mprotect(mapping.end(), PAGE_SIZE, sys::PROT_NONE)? };
        Ok(mapping)
    }

    /// Returns the first address.
    pub fn start(&self) -> usize {
        self.addr
    }

    /// Returns the address after the last byte.
    pub fn end(&self) -> usize {
        self.addr + self.usable
    }

    /// Returns the bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: The memory is mapped and writable. Except for what tests deliberately do through
        // addresses, it is only reached through `self`.
        unsafe { slice::from_raw_parts_mut(self.addr as *mut u8, self.usable) }
    }

    /// Copies `bytes` to the end of the mapping. Returns the address of the copy.
    pub fn put_at_end(&mut self, bytes: &[u8]) -> usize {
        let start = self.usable - bytes.len();
        self.bytes()[start..].copy_from_slice(bytes);
        self.addr + start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The memory was only reachable through `self`.
        let _ = unsafe { sys::munmap(self.addr, self.mapped) };
    }
}
