// SPDX-License-Identifier: GPL-2.0

//! The names of mappings.

use crate::buffer::Buffer;
use crate::view::split;
use crate::view::Image;
use crate::view::Vma;
use crate::view::Words;
use crate::Fail;
use rt::sys;
use rt::text;
use rt::File;

/// The names of the mappings of a process, from `/proc/<pid>/maps`.
pub struct Maps {
    /// The newest that were read, and room for the next.
    buffers: [Buffer; 2],
    /// Whether processes of this machine are asked.
    is_live: bool,
    /// The ID of their image.
    image: u64,
}

impl Maps {
    pub fn new(is_live: bool) -> Fail<Self> {
        Ok(Maps {
            buffers: [Buffer::new(16)?, Buffer::new(16)?],
            is_live,
            image: 0,
        })
    }

    /// Reads those of the newest process of an image, if one is alive and still has any.
    pub fn read(&mut self, image: &Image) {
        let path = text!("/proc/{}/maps", image.pid);
        let Ok(file) = File::open(path.as_cstr(), sys::O_RDONLY | sys::O_CLOEXEC) else {
            return;
        };
        if self.buffers[1].fill(&file).is_ok() && !self.buffers[1].is_empty() {
            self.buffers.swap(0, 1);
            self.image = image.id;
        }
    }

    /// Returns those of an image, to be asked for in address order: if it has ended, what was
    /// last read.
    pub fn of(&mut self, image: &Image) -> Names<'_> {
        if self.is_live {
            self.read(image);
        }
        if self.image != image.id {
            self.buffers[0].clear();
        }
        Names {
            rest: self.buffers[0].bytes(),
            range: (0, 0),
            name: &[],
        }
    }
}

/// The names of mappings.
pub struct Names<'a> {
    rest: &'a [u8],
    range: (u64, u64),
    name: &'a [u8],
}

impl<'a> Names<'a> {
    /// Returns the name of the first mapping in these addresses. It is empty for anonymous memory.
    pub fn of(&mut self, vma: &Vma) -> Option<&'a [u8]> {
        while self.range.1 <= vma.start && !self.rest.is_empty() {
            let line;
            (line, self.rest) = split(self.rest, b'\n');
            let mut words = Words(line);
            if let Some(range) = words.range() {
                self.range = range;
                // Permissions, offset, device and inode come before the name.
                for _ in 0..4 {
                    words.word();
                }
                self.name = words.0.trim_ascii_start();
            }
        }
        (self.range.0 < vma.end && vma.start < self.range.1).then_some(self.name)
    }
}
