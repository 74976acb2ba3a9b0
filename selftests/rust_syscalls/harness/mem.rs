// SPDX-License-Identifier: GPL-2.0

//! Memory.

use crate::io::File;
use crate::sys;
use crate::sys::Result;
use crate::sys::PAGE_SIZE;

pub use rt::mem::Mapping;

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
        // SAFETY: These requests read and write a struct of as many 64-bit numbers.
        unsafe { sys::ioctl_at(self.file.fd, request, argument.as_mut_ptr() as usize) }
            .expect("ioctl");
    }
}
