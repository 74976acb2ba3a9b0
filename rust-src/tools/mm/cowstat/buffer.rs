// SPDX-License-Identifier: GPL-2.0

//! Buffers of a fixed size.

use crate::fail;
use crate::Fail;
use rt::sys;
use rt::File;
use rt::Mapping;

/// A fixed buffer for a text. It takes memory only as far as it is used.
pub struct Buffer {
    memory: Mapping,
    len: usize,
}

impl Buffer {
    /// Creates a buffer of this many MiB.
    pub fn new(mib: usize) -> Fail<Self> {
        let pages = mib * (1 << 20) / sys::PAGE_SIZE;
        match Mapping::new(pages, sys::MAP_PRIVATE | sys::MAP_NORESERVE) {
            Ok(memory) => Ok(Buffer { memory, len: 0 }),
            Err(err) => fail!("no memory: {err:?}"),
        }
    }

    /// Replaces the text by that of a file, as far as it fits.
    pub fn fill(&mut self, file: &File) -> sys::Result<()> {
        self.len = 0;
        self.len = file.read_all(self.memory.bytes())?.len();
        Ok(())
    }

    pub fn bytes(&mut self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }

    /// Returns whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns whether the text may have been longer.
    pub fn is_full(&mut self) -> bool {
        self.len == self.memory.bytes().len()
    }

    /// Forgets the text.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}
