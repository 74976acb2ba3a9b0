// SPDX-License-Identifier: GPL-2.0

//! io_uring, with a ring for each request.

use crate::io::File;
use crate::mem::Mapping;
use crate::skip;
use crate::sys;
use crate::sys::Errno;
use crate::sys::Result;
use core::mem::ManuallyDrop;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

const IORING_OP_READ: u32 = 22;

/// A read or write that has been submitted.
pub struct Request {
    ring: File,
    rings: Mapping,
    /// The offsets in `rings` of the number of results, and of the results.
    cq_tail: usize,
    cqes: usize,
    /// The data to read or write. Never unmapped, because nobody waits for a request that is
    /// dropped.
    data: ManuallyDrop<Mapping>,
}

impl Request {
    /// Starts to read up to a page from a file, at `pos`, or at its own position if `pos` is -1.
    pub fn read(file: &File, pos: i64, rwf: u32) -> Result<Request> {
        Request::start(IORING_OP_READ, file, &[0; sys::PAGE_SIZE], pos, rwf)
    }

    /// Like [`Request::read`], by a worker thread of the kernel, even if the read need not wait.
    pub fn read_by_worker(file: &File, pos: i64) -> Result<Request> {
        const IOSQE_ASYNC: u32 = 1 << 4;
        // The flags are the second byte of a request.
        let op = IORING_OP_READ | IOSQE_ASYNC << 8;
        Request::start(op, file, &[0; sys::PAGE_SIZE], pos, 0)
    }

    /// Starts to write up to a page to a file, at `pos`, or at its own position if `pos` is -1.
    pub fn write(file: &File, bytes: &[u8], pos: i64, rwf: u32) -> Result<Request> {
        const IORING_OP_WRITE: u32 = 23;
        Request::start(IORING_OP_WRITE, file, bytes, pos, rwf)
    }

    /// Creates a ring with one request for `bytes.len()` bytes.
    fn start(op: u32, file: &File, bytes: &[u8], pos: i64, rwf: u32) -> Result<Request> {
        const IORING_SETUP_NO_MMAP: u32 = 1 << 14;
        const IORING_SETUP_NO_SQARRAY: u32 = 1 << 16;
        // The offsets of the fields of C's `struct io_uring_params` that are used here.
        const FLAGS: usize = 2;
        const SQ_TAIL: usize = 11;
        const SQ_USER_ADDR: usize = 18;
        const CQ_TAIL: usize = 21;
        const CQ_CQES: usize = 25;
        const CQ_USER_ADDR: usize = 28;

        let rings = Mapping::new(1, sys::MAP_PRIVATE)?;
        let mut requests = Mapping::new(1, sys::MAP_PRIVATE)?;
        let mut data = ManuallyDrop::new(Mapping::new(1, sys::MAP_PRIVATE)?);
        data.bytes()[..bytes.len()].copy_from_slice(bytes);

        let mut params = [0; 30];
        let mut set_addr = |i, addr: usize| {
            params[i] = addr as u32;
            params[i + 1] = (addr as u64 >> 32) as u32;
        };
        set_addr(SQ_USER_ADDR, requests.start());
        set_addr(CQ_USER_ADDR, rings.start());
        params[FLAGS] = IORING_SETUP_NO_MMAP | IORING_SETUP_NO_SQARRAY;
        // SAFETY: Both are new, and only used here.
        let ring = match unsafe { sys::io_uring_setup(1, &mut params) } {
            Ok(fd) => File { fd },
            Err(sys::ENOSYS) => skip!("no io_uring"),
            Err(err) => return Err(err),
        };

        // C's `struct io_uring_sqe`.
        let addr = data.start() as u64;
        let request = [
            op,
            file.fd as u32,
            pos as u32,
            (pos >> 32) as u32,
            addr as u32,
            (addr >> 32) as u32,
            bytes.len() as u32,
            rwf,
        ];
        for (to, word) in requests.bytes().chunks_mut(4).zip(request) {
            to.copy_from_slice(&word.to_ne_bytes());
        }

        let request = Request {
            ring,
            rings,
            cq_tail: params[CQ_TAIL] as usize,
            cqes: params[CQ_CQES] as usize,
            data,
        };
        let sq_tail = request.word(params[SQ_TAIL] as usize);
        sq_tail.store(1, Ordering::Release);
        // SAFETY: It reads from or writes to `data`, which nobody uses before the result is
        // available.
        match unsafe { sys::io_uring_enter(request.ring.fd, 1) } {
            Ok(1) => Ok(request),
            Ok(_) => Err(sys::EIO),
            Err(err) => Err(err),
        }
    }

    /// Returns a word that this process shares with the kernel.
    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= sys::PAGE_SIZE);
        // SAFETY: The kernel's offsets are multiples of 4, and the memory is mapped.
        unsafe { &*((self.rings.start() + offset) as *const AtomicU32) }
    }

    /// Waits up to this many milliseconds for the result, which is what the system call would
    /// return.
    pub fn wait(&self, ms: u32) -> Option<Result> {
        let end = sys::now() + u64::from(ms) * 1_000_000;
        while self.word(self.cq_tail).load(Ordering::Acquire) == 0 {
            if sys::now() >= end {
                return None;
            }
            sys::sleep_ms(1);
            // SAFETY: This submits nothing.
            let _ = unsafe { sys::io_uring_enter(self.ring.fd, 0) };
        }
        // C's `struct io_uring_cqe`: the result follows 64 bits of user data.
        let result = self.word(self.cqes + 8).load(Ordering::Relaxed) as i32;
        Some(match result {
            0.. => Ok(result as usize),
            _ => Err(Errno(-result)),
        })
    }

    /// Returns the data that was read.
    pub fn bytes(&mut self) -> &[u8] {
        self.data.bytes()
    }
}
