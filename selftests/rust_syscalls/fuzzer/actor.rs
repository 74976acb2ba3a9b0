// SPDX-License-Identifier: GPL-2.0

//! Tasks that make the system calls that the driver tells them to make.
//!
//! Their stacks are in shared memory, and they write nowhere else on their own. So no
//! copy-on-write fault occurs that the driver does not know of.

use crate::step::SLOTS;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::AtomicIsize;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;
use harness::arch;
use harness::sys;
use harness::sys::PAGE_SIZE;

/// The address of [`Shared`], in all processes.
const SHARED: usize = 0x4000_0000;
/// The file descriptor of its memory, in all processes.
const SHARED_FD: i32 = 100;

/// Instead of the number of a system call: reads or writes a byte, or clones a task.
pub const READ_BYTE: usize = usize::MAX;
pub const WRITE_BYTE: usize = usize::MAX - 1;
pub const CLONE: usize = usize::MAX - 2;

const GO: u32 = 1;
const DONE: u32 = 2;

/// What the driver and a task share.
#[repr(C, align(4096))]
pub struct Slot {
    state: AtomicU32,
    nr: AtomicUsize,
    args: [AtomicUsize; 6],
    ret: AtomicIsize,
    /// For strings and structs.
    scratch: [u8; 2 * PAGE_SIZE],
    stack: [u8; 4 * PAGE_SIZE],
}

/// The memory that all processes of a sequence share. A read-only page and an inaccessible one
/// follow.
#[repr(C)]
pub struct Shared {
    slots: [Slot; SLOTS],
}

/// Returns the slot with this number.
pub fn slot(number: usize) -> &'static Slot {
    assert!(number < SLOTS);
    // SAFETY: The memory was mapped there at the start and is never unmapped. The driver checks
    // all addresses that tasks write to.
    unsafe { &(*(SHARED as *const Shared)).slots[number] }
}

/// Returns the address of the read-only page.
pub fn read_only() -> usize {
    SHARED + size_of::<Shared>()
}

/// Returns an address where nothing is mapped.
pub fn unmapped() -> usize {
    read_only() + PAGE_SIZE
}

impl Slot {
    /// Returns the address of memory for strings and structs: there are two such pages.
    pub fn scratch(&self, page: usize) -> usize {
        ptr::from_ref(self) as usize + offset_of!(Slot, scratch) + page * PAGE_SIZE
    }

    /// Copies bytes and a NUL to the start of a page of the scratch memory. Returns the address.
    pub fn put(&self, page: usize, bytes: &[u8]) -> usize {
        let place = self.scratch(page) as *mut u8;
        assert!(bytes.len() < PAGE_SIZE);
        // SAFETY: The task is waiting, so nobody else uses this memory.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            ptr::write_bytes(place.add(bytes.len()), 0, 32.min(PAGE_SIZE - bytes.len()));
        }
        place as usize
    }

    /// Copies numbers to the start of a page of the scratch memory. Returns the address.
    pub fn put_numbers<T: Copy>(&self, page: usize, numbers: &[T]) -> usize {
        let place = self.scratch(page) as *mut T;
        assert!(size_of_val(numbers) <= PAGE_SIZE);
        // SAFETY: The task is waiting, so nobody else uses this memory, which is aligned.
        unsafe { ptr::copy_nonoverlapping(numbers.as_ptr(), place, numbers.len()) };
        place as usize
    }

    /// Prepares the stack for a new task.
    pub fn prepare(&self, number: usize) {
        // `thread_clone` expects a function on the new stack, and then its argument, which must be
        // at a multiple of 16 when the function is called.
        let words = [actor as *const () as usize, number];
        // SAFETY: This is in the stack, which nobody uses yet.
        unsafe { ptr::write(self.top() as *mut [usize; 2], words) };
        self.state.store(GO, Ordering::Release);
    }

    /// Returns where a new task's stack starts.
    pub fn top(&self) -> usize {
        ptr::from_ref(self) as usize + size_of::<Slot>() - 64 - size_of::<usize>()
    }

    /// Tells the task to make a call.
    pub fn start(&self, nr: usize, args: [usize; 6]) {
        self.nr.store(nr, Ordering::Relaxed);
        for (to, from) in self.args.iter().zip(args) {
            to.store(from, Ordering::Relaxed);
        }
        self.state.store(GO, Ordering::Release);
        sys::futex_wake(&self.state);
    }

    /// Waits until the task has made the call. Returns its result.
    pub fn wait(&self) -> isize {
        while self.state.load(Ordering::Acquire) != DONE {
            sys::futex_wait(&self.state, GO);
        }
        self.ret.load(Ordering::Relaxed)
    }

    fn done(&self, ret: isize) {
        self.ret.store(ret, Ordering::Relaxed);
        self.state.store(DONE, Ordering::Release);
        sys::futex_wake(&self.state);
    }
}

/// What a task runs.
extern "C" fn actor(number: usize) -> ! {
    extern "C" {
        fn thread_clone(flags: u32, stack: usize, tid: usize) -> isize;
    }

    let slot = slot(number);
    slot.done(0);
    loop {
        while slot.state.load(Ordering::Acquire) != GO {
            sys::futex_wait(&slot.state, DONE);
        }
        let args = slot.args.each_ref().map(|arg| arg.load(Ordering::Relaxed));
        // SAFETY: The driver knows what it does to our memory.
        let ret = unsafe {
            match slot.nr.load(Ordering::Relaxed) {
                READ_BYTE => (args[0] as *const u8).read_volatile().into(),
                WRITE_BYTE => {
                    (args[0] as *mut u8).write_volatile(args[1] as u8);
                    0
                }
                CLONE => thread_clone(args[0] as u32, self::slot(args[1]).top(), 0),
                nr => arch::syscall(nr, args),
            }
        };
        slot.done(ret);
    }
}

/// Becomes the task in a slot, after an exec.
pub fn resume(number: usize) -> ! {
    attach();
    let slot = slot(number);
    slot.prepare(number);
    // From here on, the stack is in shared memory.
    // SAFETY: The function never returns, and everything it needs is on the new stack.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov rsp, {}", "pop rax", "mov rdi, [rsp]", "call rax", "ud2",
            in(reg) slot.top(), options(noreturn));
    }
    // SAFETY: As above.
    #[cfg(target_arch = "x86")]
    unsafe {
        core::arch::asm!("mov esp, {}", "pop edx", "call edx", "ud2",
            in(reg) slot.top(), options(noreturn));
    }
}

/// Creates the shared memory.
pub fn create() {
    let fd = sys::memfd_create(c"shared").expect("memfd_create");
    sys::dup2(fd, SHARED_FD).expect("dup2");
    let _ = sys::close(fd);
    sys::ftruncate(SHARED_FD, size_of::<Shared>() + PAGE_SIZE).expect("ftruncate");
    attach();
}

/// Maps the shared memory.
fn attach() {
    let len = size_of::<Shared>() + PAGE_SIZE;
    let flags = sys::MAP_SHARED | sys::MAP_FIXED_NOREPLACE;
    // SAFETY: No mapping is replaced, and nobody uses the last page yet.
    unsafe {
        sys::mmap_file(
            SHARED,
            len,
            sys::PROT_READ | sys::PROT_WRITE,
            flags,
            SHARED_FD,
        )
        .expect("shared memory");
        sys::mprotect(read_only(), PAGE_SIZE, sys::PROT_READ).expect("mprotect");
    }
}
