// SPDX-License-Identifier: GPL-2.0

//! A page that stops whoever touches it, the kernel included, by userfaultfd.

use crate::sys;
use crate::sys::PAGE_SIZE;
use crate::File;
use crate::Mapping;

/// `UFFDIO_API`, `UFFDIO_REGISTER` and `UFFDIO_ZEROPAGE`.
const API: u32 = 0xc018_aa3f;
const REGISTER: u32 = 0xc020_aa00;
const ZEROPAGE: u32 = 0xc020_aa04;
/// `UFFD_API` and `UFFDIO_REGISTER_MODE_MISSING`.
const VERSION: u64 = 0xaa;
const MISSING: u64 = 1;

/// A page that stops the task that touches it first.
pub struct Stop {
    file: File,
    page: Mapping,
}

impl Stop {
    /// Makes one. Skips the test when the kernel has no userfaultfd.
    pub fn new() -> Stop {
        let file = match sys::userfaultfd() {
            Ok(fd) => File { fd },
            Err(err) => crate::skip!("userfaultfd: {err:?}"),
        };
        let page = Mapping::new(1, sys::MAP_PRIVATE).expect("memory");
        let stop = Stop { file, page };
        stop.ioctl(API, &mut [VERSION, 0, 0]);
        stop.ioctl(REGISTER, &mut [stop.place() as u64, PAGE_SIZE as u64, MISSING, 0]);
        stop
    }

    /// Its address.
    pub fn place(&self) -> usize {
        self.page.start()
    }

    /// Waits until a task has been stopped.
    pub fn wait(&self) {
        let mut message = [0; 32];
        assert_eq!(sys::read(self.file.fd, &mut message), Ok(32));
    }

    /// Lets the task go on. It finds zeroes.
    pub fn go_on(&self) {
        self.ioctl(ZEROPAGE, &mut [self.place() as u64, PAGE_SIZE as u64, 0, 0]);
    }

    fn ioctl<const N: usize>(&self, request: u32, argument: &mut [u64; N]) {
        sys::ioctl(self.file.fd, request, argument).expect("ioctl");
    }
}
