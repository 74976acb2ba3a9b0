// SPDX-License-Identifier: GPL-2.0

//! Memory.

use crate::io::File;
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

/// Values whose bytes may all be zero and that several processes may use at once.
///
/// # Safety
///
/// All-zero bytes are a valid value.
pub unsafe trait Shareable: Sync + 'static {}

macro_rules! shareable {
    ($($type:ident),*) => {
        $(
            // SAFETY: An atomic integer may be 0.
            unsafe impl Shareable for core::sync::atomic::$type {}
        )*
    };
}

shareable!(AtomicU8, AtomicU32, AtomicI32, AtomicUsize, AtomicBool);

// SAFETY: All-zero bytes are `N` values of all-zero bytes.
unsafe impl<T: Shareable, const N: usize> Shareable for [T; N] {}

/// Creates a zeroed value that is shared with all processes forked later. It is never freed.
pub fn shared<T: Shareable>() -> Result<&'static T> {
    let len = size_of::<T>().next_multiple_of(PAGE_SIZE);
    let (prot, flags) = (sys::PROT_READ | sys::PROT_WRITE, sys::MAP_SHARED);
    // SAFETY: A new mapping replaces nothing.
    let addr = unsafe { sys::mmap(0, len, prot, flags)? };
    // SAFETY: The memory is zeroed, page-aligned, and never unmapped.
    Ok(unsafe { &*(addr as *const T) })
}

/// `UFFDIO_API`, `UFFDIO_REGISTER` and `UFFDIO_ZEROPAGE`.
const API: u32 = 0xc018_aa3f;
const REGISTER: u32 = 0xc020_aa00;
const ZEROPAGE: u32 = 0xc020_aa04;
/// `UFFD_API` and `UFFDIO_REGISTER_MODE_MISSING`.
const VERSION: u64 = 0xaa;
const MISSING: u64 = 1;

/// A page that stops the first task that touches it, even in the kernel, by means of userfaultfd.
pub struct Stop {
    file: File,
    page: Mapping,
}

impl Stop {
    /// Creates one. Skips the test if the kernel has no userfaultfd.
    pub fn new() -> Stop {
        let file = match sys::userfaultfd() {
            Ok(fd) => File { fd },
            Err(err) => crate::skip!("userfaultfd: {err:?}"),
        };
        let page = Mapping::new(1, sys::MAP_PRIVATE).expect("memory");
        let stop = Stop { file, page };
        stop.ioctl(API, &mut [VERSION, 0, 0]);
        stop.ioctl(
            REGISTER,
            &mut [stop.place() as u64, PAGE_SIZE as u64, MISSING, 0],
        );
        stop
    }

    /// Returns the address.
    pub fn place(&self) -> usize {
        self.page.start()
    }

    /// Waits until a task has been stopped.
    pub fn wait(&self) {
        let mut message = [0; 32];
        assert_eq!(sys::read(self.file.fd, &mut message), Ok(32));
    }

    /// Lets the task go on. It reads zeros.
    pub fn go_on(&self) {
        self.ioctl(ZEROPAGE, &mut [self.place() as u64, PAGE_SIZE as u64, 0, 0]);
    }

    fn ioctl<const N: usize>(&self, request: u32, argument: &mut [u64; N]) {
        sys::ioctl(self.file.fd, request, argument).expect("ioctl");
    }
}
