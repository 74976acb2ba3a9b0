// SPDX-License-Identifier: GPL-2.0

//! The second level: typed system calls that return a [`Result`].
//!
//! Most functions are a call of the kernel, with the same name. Times have 64 bits in both ABIs.

use crate::arch;
use core::ffi::CStr;
use core::fmt;
use core::mem::size_of_val;
use core::sync::atomic::AtomicU32;

/// Makes a system call from its number and up to six values, each cast to `usize`.
///
/// This is all of the first level: it evaluates to the kernel's `isize`, and must be used in
/// `unsafe`.
#[macro_export]
macro_rules! syscall {
    ($nr:expr $(, $arg:expr)* $(,)?) => {
        $crate::sys::raw($nr, &[$($arg as usize),*])
    };
}

/// See [`syscall!`].
///
/// # Safety
///
/// As for [`arch::syscall`].
#[doc(hidden)]
pub unsafe fn raw(nr: usize, given: &[usize]) -> isize {
    let mut args = [0; 6];
    args[..given.len()].copy_from_slice(given);
    // SAFETY: The caller guarantees that the call is safe.
    unsafe { arch::syscall(nr, args) }
}

/// The result of a system call.
pub type Result<T = usize> = core::result::Result<T, Errno>;

/// An error number, positive as in C's `errno`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $value:literal,)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub const $name: Errno = Errno($value);
        )*

        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $($name => f.write_str(stringify!($name)),)*
                    Errno(other) => write!(f, "errno {other}"),
                }
            }
        }
    };
}

errnos! {
    EPERM = 1,
    ENOENT = 2,
    ESRCH = 3,
    EINTR = 4,
    EIO = 5,
    ENXIO = 6,
    E2BIG = 7,
    ENOEXEC = 8,
    EBADF = 9,
    ECHILD = 10,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    EBUSY = 16,
    EEXIST = 17,
    ENODEV = 19,
    ENOTDIR = 20,
    EINVAL = 22,
    ENOTTY = 25,
    ENOSPC = 28,
    ESPIPE = 29,
    EPIPE = 32,
    ENOSYS = 38,
    EOVERFLOW = 75,
    EOPNOTSUPP = 95,
    ETIMEDOUT = 110,
}

/// Converts the value in the kernel's return register to a [`Result`].
pub fn check(ret: isize) -> Result {
    if (-4095..0).contains(&ret) {
        Err(Errno(-ret as i32))
    } else {
        Ok(ret as usize)
    }
}

/// Returns the address of a C string, for the kernel to read.
pub fn addr(string: &CStr) -> usize {
    string.to_bytes_with_nul().as_ptr() as usize
}

/// The numbers of the system calls used here.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const LSEEK: usize = 8;
    pub const MMAP: usize = 9;
    pub const MPROTECT: usize = 10;
    pub const MUNMAP: usize = 11;
    pub const BRK: usize = 12;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const PREAD64: usize = 17;
    pub const PWRITE64: usize = 18;
    pub const SCHED_YIELD: usize = 24;
    pub const MREMAP: usize = 25;
    pub const MADVISE: usize = 28;
    pub const SHMGET: usize = 29;
    pub const SHMAT: usize = 30;
    pub const SHMCTL: usize = 31;
    pub const DUP2: usize = 33;
    pub const ALARM: usize = 37;
    pub const GETPID: usize = 39;
    pub const SOCKET: usize = 41;
    pub const SENDTO: usize = 44;
    pub const RECVFROM: usize = 45;
    pub const BIND: usize = 49;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const EXIT: usize = 60;
    pub const KILL: usize = 62;
    pub const UNAME: usize = 63;
    pub const FLOCK: usize = 73;
    pub const FTRUNCATE: usize = 77;
    pub const MKDIR: usize = 83;
    pub const RMDIR: usize = 84;
    pub const UNLINK: usize = 87;
    pub const CHMOD: usize = 90;
    pub const PTRACE: usize = 101;
    pub const SETPGID: usize = 109;
    pub const GETPPID: usize = 110;
    pub const SETRESUID: usize = 117;
    pub const SETRESGID: usize = 119;
    pub const CAPGET: usize = 125;
    pub const CAPSET: usize = 126;
    pub const MKNOD: usize = 133;
    pub const SETPRIORITY: usize = 141;
    pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;
    pub const SWAPON: usize = 167;
    pub const SWAPOFF: usize = 168;
    pub const DELETE_MODULE: usize = 176;
    pub const GETTID: usize = 186;
    pub const FUTEX: usize = 202;
    pub const SCHED_SETAFFINITY: usize = 203;
    pub const GETDENTS64: usize = 217;
    pub const CLOCK_GETTIME: usize = 228;
    pub const CLOCK_NANOSLEEP: usize = 230;
    pub const EXIT_GROUP: usize = 231;
    pub const WAITID: usize = 247;
    pub const OPENAT: usize = 257;
    pub const PPOLL: usize = 271;
    pub const UNSHARE: usize = 272;
    pub const SET_ROBUST_LIST: usize = 273;
    pub const SIGNALFD4: usize = 289;
    pub const PIPE2: usize = 293;
    pub const PERF_EVENT_OPEN: usize = 298;
    pub const PRLIMIT64: usize = 302;
    pub const PROCESS_VM_READV: usize = 310;
    pub const PROCESS_VM_WRITEV: usize = 311;
    pub const FINIT_MODULE: usize = 313;
    pub const MEMFD_CREATE: usize = 319;
    pub const USERFAULTFD: usize = 323;
    pub const PREADV2: usize = 327;
    pub const PWRITEV2: usize = 328;
    pub const IO_URING_SETUP: usize = 425;
    pub const IO_URING_ENTER: usize = 426;
}

/// The numbers of the system calls used here.
#[cfg(target_arch = "x86")]
#[rustfmt::skip]
#[allow(missing_docs)]
pub mod nr {
    pub const EXIT: usize = 1;
    pub const READ: usize = 3;
    pub const WRITE: usize = 4;
    pub const CLOSE: usize = 6;
    pub const UNLINK: usize = 10;
    pub const EXECVE: usize = 11;
    pub const MKNOD: usize = 14;
    pub const CHMOD: usize = 15;
    pub const LSEEK: usize = 19;
    pub const GETPID: usize = 20;
    pub const MOUNT: usize = 21;
    pub const PTRACE: usize = 26;
    pub const ALARM: usize = 27;
    pub const KILL: usize = 37;
    pub const MKDIR: usize = 39;
    pub const RMDIR: usize = 40;
    pub const BRK: usize = 45;
    pub const IOCTL: usize = 54;
    pub const SETPGID: usize = 57;
    pub const DUP2: usize = 63;
    pub const GETPPID: usize = 64;
    pub const SWAPON: usize = 87;
    pub const MUNMAP: usize = 91;
    pub const FTRUNCATE: usize = 93;
    pub const SETPRIORITY: usize = 97;
    pub const SWAPOFF: usize = 115;
    pub const CLONE: usize = 120;
    pub const UNAME: usize = 122;
    pub const MPROTECT: usize = 125;
    pub const DELETE_MODULE: usize = 129;
    pub const LLSEEK: usize = 140; // _llseek
    pub const FLOCK: usize = 143;
    pub const SCHED_YIELD: usize = 158;
    pub const MREMAP: usize = 163;
    pub const PRCTL: usize = 172;
    pub const RT_SIGACTION: usize = 174;
    pub const RT_SIGPROCMASK: usize = 175;
    pub const PREAD64: usize = 180;
    pub const PWRITE64: usize = 181;
    pub const CAPGET: usize = 184;
    pub const CAPSET: usize = 185;
    pub const MMAP: usize = 192; // mmap2
    pub const SETRESUID: usize = 208; // setresuid32
    pub const SETRESGID: usize = 210; // setresgid32
    pub const MADVISE: usize = 219;
    pub const GETDENTS64: usize = 220;
    pub const GETTID: usize = 224;
    pub const SCHED_SETAFFINITY: usize = 241;
    pub const EXIT_GROUP: usize = 252;
    pub const WAITID: usize = 284;
    pub const OPENAT: usize = 295;
    pub const UNSHARE: usize = 310;
    pub const SET_ROBUST_LIST: usize = 311;
    pub const SIGNALFD4: usize = 327;
    pub const PIPE2: usize = 331;
    pub const PERF_EVENT_OPEN: usize = 336;
    pub const PRLIMIT64: usize = 340;
    pub const PROCESS_VM_READV: usize = 347;
    pub const PROCESS_VM_WRITEV: usize = 348;
    pub const FINIT_MODULE: usize = 350;
    pub const MEMFD_CREATE: usize = 356;
    pub const SOCKET: usize = 359;
    pub const BIND: usize = 361;
    pub const SENDTO: usize = 369;
    pub const RECVFROM: usize = 371;
    pub const USERFAULTFD: usize = 374;
    pub const PREADV2: usize = 378;
    pub const PWRITEV2: usize = 379;
    pub const SHMGET: usize = 395;
    pub const SHMCTL: usize = 396;
    pub const SHMAT: usize = 397;
    pub const CLOCK_GETTIME: usize = 403; // clock_gettime64
    pub const CLOCK_NANOSLEEP: usize = 407; // clock_nanosleep_time64
    pub const PPOLL: usize = 414; // ppoll_time64
    pub const FUTEX: usize = 422; // futex_time64
    pub const IO_URING_SETUP: usize = 425;
    pub const IO_URING_ENTER: usize = 426;
}

// Our own macro, for the calls below that cannot harm the process: their arguments are only
// numbers, and pointers that come from references.
macro_rules! safe_syscall {
    ($($arg:expr),*) => {
        // SAFETY: The kernel only accesses memory that the references here lend it.
        check(unsafe { syscall!($($arg),*) })
    };
}

/// The page size.
pub const PAGE_SIZE: usize = 4096;

pub use consts::*;

#[allow(missing_docs)]
mod consts {
    pub const O_RDONLY: u32 = 0;
    pub const O_WRONLY: u32 = 1;
    pub const O_RDWR: u32 = 2;
    pub const O_CREAT: u32 = 0o100;
    pub const O_NOCTTY: u32 = 0o400;
    pub const O_TRUNC: u32 = 0o1000;
    pub const O_APPEND: u32 = 0o2000;
    pub const O_NONBLOCK: u32 = 0o4000;
    pub const O_CLOEXEC: u32 = 0o2_000_000;

    pub const SEEK_SET: u32 = 0;
    pub const SEEK_CUR: u32 = 1;
    pub const SEEK_END: u32 = 2;
    pub const SEEK_DATA: u32 = 3;
    pub const SEEK_HOLE: u32 = 4;

    pub const POLLIN: u16 = 1;
    pub const POLLOUT: u16 = 4;

    pub const LOCK_SH: u32 = 1;
    pub const LOCK_EX: u32 = 2;
    pub const LOCK_NB: u32 = 4;

    pub const RWF_NOWAIT: u32 = 0x8;
    pub const RWF_APPEND: u32 = 0x10;
    pub const RWF_NOAPPEND: u32 = 0x20;

    pub const PROT_NONE: u32 = 0;
    pub const PROT_READ: u32 = 1;
    pub const PROT_WRITE: u32 = 2;

    pub const MAP_SHARED: u32 = 0x01;
    pub const MAP_PRIVATE: u32 = 0x02;
    pub const MAP_FIXED: u32 = 0x10;
    pub const MAP_ANONYMOUS: u32 = 0x20;
    pub const MAP_NORESERVE: u32 = 0x4000;
    pub const MAP_FIXED_NOREPLACE: u32 = 0x10_0000;

    pub const MREMAP_MAYMOVE: u32 = 1;
    pub const MREMAP_FIXED: u32 = 2;
    pub const MREMAP_DONTUNMAP: u32 = 4;

    pub const MADV_DONTNEED: u32 = 4;
    pub const MADV_MERGEABLE: u32 = 12;
    pub const MADV_HUGEPAGE: u32 = 14;
    pub const MADV_NOHUGEPAGE: u32 = 15;
    pub const MADV_PAGEOUT: u32 = 21;

    pub const CLONE_VM: u32 = 0x100;
    pub const CLONE_FS: u32 = 0x200;
    pub const CLONE_FILES: u32 = 0x400;
    pub const CLONE_SIGHAND: u32 = 0x800;
    pub const CLONE_PIDFD: u32 = 0x1000;
    pub const CLONE_VFORK: u32 = 0x4000;
    pub const CLONE_THREAD: u32 = 0x1_0000;
    pub const CLONE_NEWNS: u32 = 0x2_0000;
    pub const CLONE_SYSVSEM: u32 = 0x4_0000;
    pub const CLONE_PARENT_SETTID: u32 = 0x10_0000;
    pub const CLONE_CHILD_CLEARTID: u32 = 0x20_0000;
    pub const CLONE_NEWUSER: u32 = 0x1000_0000;
    pub const CLONE_NEWPID: u32 = 0x2000_0000;

    pub const SIGHUP: i32 = 1;
    pub const SIGINT: i32 = 2;
    pub const SIGQUIT: i32 = 3;
    pub const SIGKILL: i32 = 9;
    pub const SIGSEGV: i32 = 11;
    pub const SIGPIPE: i32 = 13;
    pub const SIGALRM: i32 = 14;
    pub const SIGTERM: i32 = 15;
    pub const SIGCHLD: i32 = 17;
    pub const SIGCONT: i32 = 18;
    pub const SIGSTOP: i32 = 19;
    pub const SIGTSTP: i32 = 20;
    pub const SIGWINCH: i32 = 28;

    pub const WNOHANG: u32 = 0x1;
    pub const WSTOPPED: u32 = 0x2;
    pub const WEXITED: u32 = 0x4;
    pub const WNOWAIT: u32 = 0x0100_0000;

    pub const MS_REC: usize = 0x4000;
    pub const MS_PRIVATE: usize = 1 << 18;

    pub const PR_SET_PDEATHSIG: u32 = 1;
    pub const PR_SET_DUMPABLE: u32 = 4;
    pub const PR_SET_KEEPCAPS: u32 = 8;
    pub const PR_SET_NAME: u32 = 15;
    pub const PR_CAPBSET_DROP: u32 = 24;
    pub const PR_SET_CHILD_SUBREAPER: u32 = 36;

    pub const PTRACE_POKEDATA: u32 = 5;
    pub const PTRACE_ATTACH: u32 = 16;
    pub const PTRACE_DETACH: u32 = 17;

    pub const CAP_DAC_READ_SEARCH: u32 = 2;
    pub const CAP_SETUID: u32 = 7;
    pub const CAP_SYS_PTRACE: u32 = 19;
    pub const CAP_SYS_ADMIN: u32 = 21;
    pub const CAP_SYS_NICE: u32 = 23;
    pub const CAP_SYSLOG: u32 = 34;
    pub const CAP_PERFMON: u32 = 38;

    pub const AF_NETLINK: u32 = 16;
    pub const SOCK_RAW: u32 = 3;
    pub const NETLINK_KOBJECT_UEVENT: u32 = 15;
    pub const NETLINK_GENERIC: u32 = 16;
}

/// Reads up to `buf.len()` bytes. Returns 0 at the end of the file.
pub fn read(fd: i32, buf: &mut [u8]) -> Result {
    safe_syscall!(nr::READ, fd, buf.as_mut_ptr(), buf.len())
}

/// Writes up to `buf.len()` bytes.
pub fn write(fd: i32, buf: &[u8]) -> Result {
    safe_syscall!(nr::WRITE, fd, buf.as_ptr(), buf.len())
}

/// Opens a file. A file created by `O_CREAT` gets mode 0600.
pub fn open(path: &CStr, flags: u32) -> Result<i32> {
    const AT_FDCWD: i32 = -100;
    safe_syscall!(nr::OPENAT, AT_FDCWD, addr(path), flags, 0o600).map(|fd| fd as i32)
}

/// Closes a file descriptor.
pub fn close(fd: i32) -> Result {
    safe_syscall!(nr::CLOSE, fd)
}

/// Reads as many directory entries as fit. Returns 0 at the end.
pub fn getdents64(fd: i32, buf: &mut [u8]) -> Result {
    safe_syscall!(nr::GETDENTS64, fd, buf.as_mut_ptr(), buf.len())
}

/// Writes at a position in a file, without moving its own position.
pub fn pwrite(fd: i32, buf: &[u8], pos: u64) -> Result {
    let (low, high) = (pos as usize, (pos >> 32) as usize);
    // 64-bit programs only use the first.
    safe_syscall!(nr::PWRITE64, fd, buf.as_ptr(), buf.len(), low, high)
}

/// Creates a file that exists only in memory.
pub fn memfd_create(name: &CStr) -> Result<i32> {
    safe_syscall!(nr::MEMFD_CREATE, addr(name), 0).map(|fd| fd as i32)
}

/// Opens a counter for the trace event with this id in a thread.
pub fn perf_event_open(id: u32, tid: i32) -> Result<i32> {
    // The first version of C's `struct perf_event_attr`: type, size, what to count, and zeros.
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    const PERF_ATTR_SIZE_VER0: u32 = 64;
    let mut attr = [0; PERF_ATTR_SIZE_VER0 as usize / size_of::<u32>()];
    attr[..3].copy_from_slice(&[PERF_TYPE_TRACEPOINT, PERF_ATTR_SIZE_VER0, id]);
    let (any_cpu, no_group, flags) = (-1i32, -1i32, 0);
    safe_syscall!(
        nr::PERF_EVENT_OPEN,
        attr.as_mut_ptr(),
        tid,
        any_cpu,
        no_group,
        flags
    )
    .map(|fd| fd as i32)
}

/// Sets the length of a file.
pub fn ftruncate(fd: i32, len: usize) -> Result {
    safe_syscall!(nr::FTRUNCATE, fd, len)
}

/// Moves the position of a file. On i386, the offset has 32 bits.
pub fn lseek(fd: i32, offset: isize, whence: u32) -> Result {
    safe_syscall!(nr::LSEEK, fd, offset, whence)
}

/// Moves the position of a file, by an offset of 64 bits in both ABIs.
pub fn lseek64(fd: i32, offset: i64, whence: u32) -> Result<i64> {
    #[cfg(target_arch = "x86_64")]
    let pos = safe_syscall!(nr::LSEEK, fd, offset, whence)? as i64;
    #[cfg(target_arch = "x86")]
    let pos = {
        let mut pos = 0i64;
        let (high, low) = (offset >> 32, offset);
        safe_syscall!(nr::LLSEEK, fd, high, low, &mut pos as *mut i64, whence)?;
        pos
    };
    Ok(pos)
}

/// Reads at a position in a file, without moving its own position.
pub fn pread(fd: i32, buf: &mut [u8], pos: u64) -> Result {
    // 64-bit programs only use the first.
    let (low, high) = (pos, pos >> 32);
    safe_syscall!(nr::PREAD64, fd, buf.as_mut_ptr(), buf.len(), low, high)
}

/// Reads with `RWF_*` flags at a position in a file, or at its own position if `pos` is -1.
pub fn preadv2(fd: i32, buf: &mut [u8], pos: i64, flags: u32) -> Result {
    let (low, high) = (pos, pos >> 32);
    let to = IoVec {
        base: buf.as_mut_ptr() as usize,
        len: buf.len(),
    };
    // 64-bit programs only use the lower half.
    safe_syscall!(nr::PREADV2, fd, &to as *const IoVec, 1, low, high, flags)
}

/// Writes with `RWF_*` flags at a position in a file, or at its own position if `pos` is -1.
pub fn pwritev2(fd: i32, buf: &[u8], pos: i64, flags: u32) -> Result {
    let (low, high) = (pos, pos >> 32);
    let from = IoVec {
        base: buf.as_ptr() as usize,
        len: buf.len(),
    };
    // 64-bit programs only use the lower half.
    safe_syscall!(nr::PWRITEV2, fd, &from as *const IoVec, 1, low, high, flags)
}

/// Returns the number of an `ioctl()` like C's `_IOR()` and `_IOW()`, from the direction, a letter,
/// a number, and the size of what the argument points to.
const fn ioc(dir: u32, letter: u8, number: u8, size: usize) -> u32 {
    dir << 30 | (size as u32) << 16 | (letter as u32) << 8 | number as u32
}

/// C's `_IOR()`: the caller reads a `T`.
pub const fn ior<T>(letter: u8, number: u8) -> u32 {
    ioc(2, letter, number, size_of::<T>())
}

/// C's `_IOW()`: the caller writes a `T`.
pub const fn iow<T>(letter: u8, number: u8) -> u32 {
    ioc(1, letter, number, size_of::<T>())
}

/// `ioctl()` with a number or an address.
///
/// # Safety
///
/// If `arg` is an address, it must point to what `cmd` expects.
pub unsafe fn ioctl_at(fd: i32, cmd: u32, arg: usize) -> Result {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::IOCTL, fd, cmd, arg) })
}

/// C's `struct pollfd`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PollFd {
    /// The file descriptor, or -1 for none.
    pub fd: i32,
    /// What to wait for.
    pub events: u16,
    /// What it is ready for.
    pub revents: u16,
}

impl PollFd {
    /// Creates an entry that waits for one of `events`.
    pub const fn new(fd: i32, events: u16) -> Self {
        PollFd {
            fd,
            events,
            revents: 0,
        }
    }
}

/// Waits until one of the files is ready or the time is over. Returns how many are ready.
pub fn ppoll(files: &mut [PollFd], ms: u32) -> Result {
    // The kernel stores here what is left of the time.
    let mut time = Timespec {
        sec: i64::from(ms / 1000),
        nsec: i64::from(ms % 1000) * 1_000_000,
    };
    let time = &mut time as *mut Timespec;
    safe_syscall!(nr::PPOLL, files.as_mut_ptr(), files.len(), time, 0, 8)
}

/// Waits until a file is ready for one of `events` or the time is over. Returns what it is ready
/// for.
pub fn poll(fd: i32, events: u16, ms: u32) -> Result<u16> {
    let mut files = [PollFd::new(fd, events)];
    ppoll(&mut files, ms)?;
    Ok(files[0].revents)
}

/// Locks an open file against others that do the same, until it is closed.
pub fn flock(fd: i32, operation: u32) -> Result {
    safe_syscall!(nr::FLOCK, fd, operation)
}

/// Creates a character device node.
pub fn mknod(path: &CStr, major: u32, minor: u32) -> Result {
    const S_IFCHR: u32 = 0o020_000;
    let dev = minor & 0xff | major << 8 | (minor & !0xff) << 12;
    safe_syscall!(nr::MKNOD, addr(path), S_IFCHR | 0o600, dev)
}

/// Removes a name of a file.
pub fn unlink(path: &CStr) -> Result {
    safe_syscall!(nr::UNLINK, addr(path))
}

/// Loads a kernel module.
pub fn finit_module(fd: i32, params: &CStr) -> Result {
    safe_syscall!(nr::FINIT_MODULE, fd, addr(params), 0)
}

/// Unloads a kernel module, unless it is in use.
pub fn delete_module(name: &CStr) -> Result {
    safe_syscall!(nr::DELETE_MODULE, addr(name), O_NONBLOCK)
}

/// Makes `to` a duplicate of `fd`.
pub fn dup2(fd: i32, to: i32) -> Result {
    safe_syscall!(nr::DUP2, fd, to)
}

/// Creates a pipe. Returns the read end and the write end.
pub fn pipe() -> Result<[i32; 2]> {
    pipe2(0)
}

/// Like [`pipe`], with `O_*` flags.
pub fn pipe2(flags: u32) -> Result<[i32; 2]> {
    let mut fds = [0; 2];
    safe_syscall!(nr::PIPE2, &mut fds as *mut [i32; 2], flags)?;
    Ok(fds)
}

/// Maps anonymous memory.
///
/// # Safety
///
/// With `MAP_FIXED`, nobody may use what was mapped there before.
pub unsafe fn mmap(addr: usize, len: usize, prot: u32, flags: u32) -> Result {
    // SAFETY: The caller guarantees that nobody uses what was mapped there.
    check(unsafe { syscall!(nr::MMAP, addr, len, prot, flags | MAP_ANONYMOUS, -1isize, 0) })
}

/// Maps a file from its start.
///
/// # Safety
///
/// As for [`mmap`].
pub unsafe fn mmap_file(addr: usize, len: usize, prot: u32, flags: u32, fd: i32) -> Result {
    // SAFETY: The caller guarantees that nobody uses what was mapped there.
    check(unsafe { syscall!(nr::MMAP, addr, len, prot, flags, fd, 0) })
}

/// Moves or resizes a mapping. With `MREMAP_FIXED`, moves it to `to`.
///
/// # Safety
///
/// Nobody may use memory that this unmaps.
pub unsafe fn mremap(addr: usize, old: usize, new: usize, flags: u32, to: usize) -> Result {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::MREMAP, addr, old, new, flags, to) })
}

/// Advises the kernel about the use of memory.
///
/// # Safety
///
/// With `MADV_DONTNEED`, nobody may rely on the contents of that memory.
pub unsafe fn madvise(addr: usize, len: usize, advice: u32) -> Result {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::MADVISE, addr, len, advice) })
}

/// Attaches new System V shared memory, which is removed when it is unmapped. Fails with `ENOSYS`
/// if the kernel has none.
///
/// # Safety
///
/// Nobody may use what was mapped there before.
pub unsafe fn shmat(addr: usize, len: usize) -> Result {
    const IPC_PRIVATE: usize = 0;
    const IPC_RMID: usize = 0;
    const SHM_REMAP: u32 = 0o40000;
    let id = safe_syscall!(nr::SHMGET, IPC_PRIVATE, len, 0o600)?;
    // SAFETY: By the safety requirements of this function.
    let attached = check(unsafe { syscall!(nr::SHMAT, id, addr, SHM_REMAP) });
    safe_syscall!(nr::SHMCTL, id, IPC_RMID, 0)?;
    attached
}

/// Sets the end of the heap, or returns it if `end` is 0. Returns the current end.
///
/// # Safety
///
/// Nobody may use memory that this unmaps.
pub unsafe fn brk(end: usize) -> Result {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::BRK, end) })
}

/// Unmaps memory.
///
/// # Safety
///
/// Nobody may use that memory any more.
pub unsafe fn munmap(addr: usize, len: usize) -> Result {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::MUNMAP, addr, len) })
}

/// Changes the protection of memory.
///
/// # Safety
///
/// Nobody may use that memory in ways that `prot` forbids.
pub unsafe fn mprotect(addr: usize, len: usize, prot: u32) -> Result {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::MPROTECT, addr, len, prot) })
}

/// Clones this process like `fork()`, with additional `CLONE_NEW*` flags. Returns 0 in the child.
///
/// # Safety
///
/// `flags` must not contain `CLONE_VM`: parent and child would share one stack.
pub unsafe fn clone(flags: u32) -> Result<i32> {
    // SAFETY: The child has its own copy of all memory, including the stack.
    check(unsafe { syscall!(nr::CLONE, flags | SIGCHLD as u32, 0, 0, 0, 0) }).map(|pid| pid as i32)
}

/// Runs another program.
pub fn execve(path: &CStr, argv: &[&CStr]) -> Errno {
    const MAX: usize = 8;
    let mut args = [0; MAX + 1];
    for (to, from) in args[..MAX].iter_mut().zip(argv) {
        *to = addr(from);
    }
    let no_env = [0usize];
    let ret = safe_syscall!(nr::EXECVE, addr(path), args.as_ptr(), no_env.as_ptr());
    ret.expect_err("execve() returned without an error")
}

/// Tells the kernel the address of this thread's list of robust futexes. The kernel reads it when
/// the thread releases its memory, and marks the futexes.
///
/// # Safety
///
/// Whatever is then at `head`, nobody must depend on the words that it lists as futexes.
pub unsafe fn set_robust_list(head: usize) -> Result {
    // `struct robust_list_head` is three words.
    let len = 3 * size_of::<usize>();
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::SET_ROBUST_LIST, head, len) })
}

/// Creates a userfaultfd. Returns its file descriptor.
pub fn userfaultfd() -> Result<i32> {
    safe_syscall!(nr::USERFAULTFD, 0).map(|fd| fd as i32)
}

/// Sets the mode of a file.
pub fn chmod(path: &CStr, mode: u32) -> Result {
    safe_syscall!(nr::CHMOD, addr(path), mode)
}

/// Ends this thread. Its memory stays mapped.
pub fn exit(status: i32) -> ! {
    let _ = safe_syscall!(nr::EXIT, status);
    unreachable!()
}

/// Ends this process.
pub fn exit_group(status: i32) -> ! {
    let _ = safe_syscall!(nr::EXIT_GROUP, status);
    // This cannot panic: a panic ends here.
    loop {
        core::hint::spin_loop();
    }
}

/// How a process ended, or that it has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Exited with this status.
    Exited(i32),
    /// Killed by this signal.
    Killed(i32),
    /// Stopped, or stopped by ptrace.
    Stopped,
    /// Has not ended. Only with `WNOHANG`.
    Running,
}

/// Waits until a child has ended and reaps it, unless `options` has `WNOWAIT`. With `WSTOPPED`,
/// also waits until it stops. With `WNOHANG`, does not wait. If `pid` is negative, any child in
/// that process group will do.
pub fn wait(pid: i32, options: u32) -> Result<Status> {
    const P_PID: u32 = 1;
    const P_PGID: u32 = 2;
    const CLD_EXITED: i32 = 1;
    const CLD_TRAPPED: i32 = 4;
    const CLD_STOPPED: i32 = 5;

    // The kernel's `struct siginfo`. The offset of `si_code` and `si_status` differs between the
    // ABIs only by the alignment of the union.
    let mut info = [0i32; 32];
    safe_syscall!(
        nr::WAITID,
        if pid < 0 { P_PGID } else { P_PID },
        pid.unsigned_abs(),
        info.as_mut_ptr(),
        options | WEXITED,
        0
    )?;
    let status = info[if cfg!(target_pointer_width = "64") {
        6
    } else {
        5
    }];
    Ok(match info[2] {
        0 => Status::Running,
        CLD_EXITED => Status::Exited(status),
        CLD_TRAPPED | CLD_STOPPED => Status::Stopped,
        _ => Status::Killed(status & 0x7f),
    })
}

/// Sends a signal, to a process group if `pid` is negative.
pub fn kill(pid: i32, signal: i32) -> Result {
    safe_syscall!(nr::KILL, pid, signal)
}

/// Returns the bit of a signal in a set of signals.
pub const fn signal_bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Blocks these signals, and no others, in the calling thread. Returns what was blocked before.
pub fn block_signals(set: u64) -> Result<u64> {
    const SIG_SETMASK: u32 = 2;
    let mut old = 0;
    let (new, old_at) = (&set as *const u64, &mut old as *mut u64);
    safe_syscall!(nr::RT_SIGPROCMASK, SIG_SETMASK, new, old_at, 8)?;
    Ok(old)
}

/// The kernel's `struct sigaction` starts with the handler, and is no larger than this.
type Action = [usize; 5];

const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// Makes this process ignore a signal, or gives the signal its default action.
pub fn ignore_signal(signal: i32, ignore: bool) -> Result {
    let mut action: Action = [0; 5];
    action[0] = if ignore { SIG_IGN } else { SIG_DFL };
    safe_syscall!(nr::RT_SIGACTION, signal, action.as_ptr(), 0, 8)
}

/// Returns whether this process ignores a signal, as its parent may have told it to.
pub fn is_ignored(signal: i32) -> bool {
    let mut action: Action = [0; 5];
    let result = safe_syscall!(nr::RT_SIGACTION, signal, 0, action.as_mut_ptr(), 8);
    result.is_ok() && action[0] == SIG_IGN
}

/// Opens a file from which these signals, if blocked, are read as C's `struct signalfd_siginfo`,
/// which starts with the signal's number.
pub fn signalfd(set: u64) -> Result<i32> {
    safe_syscall!(nr::SIGNALFD4, -1isize, &set as *const u64, 8, O_CLOEXEC).map(|fd| fd as i32)
}

/// Sets how many files a process may open, and can have open later.
pub fn limit_files(pid: i32, soft: u64, hard: u64) -> Result {
    const RLIMIT_NOFILE: u32 = 7;
    let limit = [soft, hard];
    safe_syscall!(nr::PRLIMIT64, pid, RLIMIT_NOFILE, limit.as_ptr(), 0)
}

/// Returns the caller's process id.
pub fn getpid() -> i32 {
    safe_syscall!(nr::GETPID).unwrap_or(0) as i32
}

/// Returns the id of the caller's parent.
pub fn getppid() -> i32 {
    safe_syscall!(nr::GETPPID).unwrap_or(0) as i32
}

/// Returns the caller's thread id.
pub fn gettid() -> i32 {
    safe_syscall!(nr::GETTID).unwrap_or(0) as i32
}

/// Puts a process into a process group. 0 stands for the caller, or for a new group.
pub fn setpgid(pid: i32, group: i32) -> Result {
    safe_syscall!(nr::SETPGID, pid, group)
}

/// Sends `SIGALRM` to this process after this many seconds.
pub fn alarm(seconds: u32) -> Result {
    safe_syscall!(nr::ALARM, seconds)
}

/// C's `struct __kernel_timespec`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, less than one second.
    pub nsec: i64,
}

/// Returns the time of `CLOCK_MONOTONIC`, in nanoseconds.
pub fn now() -> u64 {
    const CLOCK_MONOTONIC: u32 = 1;
    let mut time = Timespec { sec: 0, nsec: 0 };
    let ret = safe_syscall!(
        nr::CLOCK_GETTIME,
        CLOCK_MONOTONIC,
        &mut time as *mut Timespec
    );
    ret.expect("clock_gettime");
    time.sec as u64 * 1_000_000_000 + time.nsec as u64
}

/// Sets the nice value of the calling thread, which threads created by it inherit.
pub fn set_nice(nice: i32) -> Result {
    const PRIO_PROCESS: u32 = 0;
    safe_syscall!(nr::SETPRIORITY, PRIO_PROCESS, 0, nice)
}

/// Binds the calling thread to a CPU.
pub fn pin_to_cpu(cpu: usize) -> Result {
    let mask = [1usize << cpu];
    safe_syscall!(nr::SCHED_SETAFFINITY, 0, size_of_val(&mask), mask.as_ptr())
}

/// Lets other tasks run.
pub fn sched_yield() {
    let _ = safe_syscall!(nr::SCHED_YIELD);
}

/// Sleeps for this many milliseconds.
pub fn sleep_ms(ms: u32) {
    const CLOCK_MONOTONIC: u32 = 1;
    let time = Timespec {
        sec: i64::from(ms / 1000),
        nsec: i64::from(ms % 1000) * 1_000_000,
    };
    let _ = safe_syscall!(
        nr::CLOCK_NANOSLEEP,
        CLOCK_MONOTONIC,
        0,
        &time as *const Timespec,
        0
    );
}

/// Sleeps while `*word` is `value`, until woken by [`futex_wake`] or the kernel. May return early.
pub fn futex_wait(word: &AtomicU32, value: u32) {
    const FUTEX_WAIT: u32 = 0;
    let _ = safe_syscall!(nr::FUTEX, word.as_ptr(), FUTEX_WAIT, value, 0);
}

/// Wakes all waiters of `word`, in all processes that share it.
pub fn futex_wake(word: &AtomicU32) {
    const FUTEX_WAKE: u32 = 1;
    let _ = safe_syscall!(nr::FUTEX, word.as_ptr(), FUTEX_WAKE, i32::MAX);
}

/// `prctl()` with an option whose argument is a number.
pub fn prctl(option: u32, value: usize) -> Result {
    const OPTIONS: [u32; 5] = [
        PR_SET_PDEATHSIG,
        PR_SET_DUMPABLE,
        PR_SET_KEEPCAPS,
        PR_CAPBSET_DROP,
        PR_SET_CHILD_SUBREAPER,
    ];
    assert!(OPTIONS.contains(&option), "prctl: option {option}");
    safe_syscall!(nr::PRCTL, option, value, 0, 0, 0)
}

/// Names the calling thread; the kernel keeps 15 bytes.
pub fn set_name(name: &CStr) -> Result {
    safe_syscall!(nr::PRCTL, PR_SET_NAME, addr(name))
}

/// Attaches to another process, detaches from it, or writes a word to its memory.
pub fn ptrace(request: u32, pid: i32, address: usize, data: usize) -> Result {
    const REQUESTS: [u32; 3] = [PTRACE_ATTACH, PTRACE_DETACH, PTRACE_POKEDATA];
    assert!(REQUESTS.contains(&request), "ptrace: request {request}");
    safe_syscall!(nr::PTRACE, request, pid, address, data)
}

/// C's `struct iovec`.
#[repr(C)]
struct IoVec {
    base: usize,
    len: usize,
}

/// Copies between the memory of a process and `local`.
///
/// # Safety
///
/// If `nr` writes to `local`, the caller must be allowed to; if it writes to `remote`, nobody must
/// depend on what the process has there.
unsafe fn process_vm(nr: usize, pid: i32, local: IoVec, remote: usize) -> Result {
    let remote = IoVec {
        base: remote,
        len: local.len,
    };
    let (local, remote): (*const IoVec, *const IoVec) = (&local, &remote);
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr, pid, local, 1, remote, 1, 0) })
}

/// Reads the memory of a process.
pub fn process_vm_readv(pid: i32, remote: usize, buf: &mut [u8]) -> Result {
    let local = IoVec {
        base: buf.as_mut_ptr() as usize,
        len: buf.len(),
    };
    // SAFETY: This writes to `buf`.
    unsafe { process_vm(nr::PROCESS_VM_READV, pid, local, remote) }
}

/// Writes to the memory of a process.
///
/// # Safety
///
/// If it is this process, the memory must not hold what somebody depends on.
pub unsafe fn process_vm_writev(pid: i32, remote: usize, buf: &[u8]) -> Result {
    let local = IoVec {
        base: buf.as_ptr() as usize,
        len: buf.len(),
    };
    // SAFETY: This reads `buf`, and the rest is by the safety requirements of this function.
    unsafe { process_vm(nr::PROCESS_VM_WRITEV, pid, local, remote) }
}

/// Creates a socket.
pub fn socket(family: u32, kind: u32, protocol: u32) -> Result<i32> {
    safe_syscall!(nr::SOCKET, family, kind, protocol).map(|fd| fd as i32)
}

/// Lets a netlink socket receive messages to groups, given as one bit each.
pub fn join_netlink_groups(fd: i32, groups: u32) -> Result {
    // C's `struct sockaddr_nl`, on a little-endian machine.
    let address = [AF_NETLINK, 0, groups];
    safe_syscall!(nr::BIND, fd, address.as_ptr(), size_of_val(&address))
}

/// Creates an io_uring with room for `entries` requests. `params` is C's `struct io_uring_params`.
///
/// # Safety
///
/// Addresses in `params` must point to memory that nobody else uses.
pub unsafe fn io_uring_setup(entries: u32, params: &mut [u32; 30]) -> Result<i32> {
    // SAFETY: By the safety requirements of this function.
    check(unsafe { syscall!(nr::IO_URING_SETUP, entries, params.as_mut_ptr()) }).map(|fd| fd as i32)
}

/// Submits this many requests of a ring, and processes those in progress.
///
/// # Safety
///
/// The caller must guarantee that the requests are safe.
pub unsafe fn io_uring_enter(fd: i32, submit: u32) -> Result {
    const IORING_ENTER_GETEVENTS: u32 = 1;
    // SAFETY: By the safety requirements of this function.
    check(unsafe {
        syscall!(
            nr::IO_URING_ENTER,
            fd,
            submit,
            0,
            IORING_ENTER_GETEVENTS,
            0,
            0
        )
    })
}

/// Sends a message to the default destination of the socket's family.
pub fn send(fd: i32, message: &[u8]) -> Result {
    safe_syscall!(nr::SENDTO, fd, message.as_ptr(), message.len(), 0, 0, 0)
}

/// Receives a message.
pub fn recv(fd: i32, buf: &mut [u8]) -> Result {
    safe_syscall!(nr::RECVFROM, fd, buf.as_mut_ptr(), buf.len(), 0, 0, 0)
}

/// Starts swapping to a block device or a file.
pub fn swapon(path: &CStr) -> Result {
    safe_syscall!(nr::SWAPON, addr(path), 0)
}

/// Stops swapping to it.
pub fn swapoff(path: &CStr) -> Result {
    safe_syscall!(nr::SWAPOFF, addr(path))
}

/// Sets the real, effective and saved user ids of the calling thread.
pub fn setresuid(uid: u32) -> Result {
    safe_syscall!(nr::SETRESUID, uid, uid, uid)
}

/// Sets the real, effective and saved user ids of the calling thread to different values.
pub fn set_user_ids(real: u32, effective: u32, saved: u32) -> Result {
    safe_syscall!(nr::SETRESUID, real, effective, saved)
}

/// Sets the real, effective and saved group ids of the calling thread.
pub fn setresgid(gid: u32) -> Result {
    safe_syscall!(nr::SETRESGID, gid, gid, gid)
}

/// The capabilities of a thread, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Used by permission checks.
    pub effective: u64,
    /// What `effective` may contain.
    pub permitted: u64,
    /// Preserved across `execve()`.
    pub inheritable: u64,
}

/// C's `struct __user_cap_header_struct`, version 3, for the calling thread.
const CAP_HEADER: [u32; 2] = [0x2008_0522, 0];

/// Reads the calling thread's capabilities.
pub fn capget() -> Result<Caps> {
    let mut header = CAP_HEADER;
    let mut data = [[0u32; 3]; 2];
    safe_syscall!(nr::CAPGET, header.as_mut_ptr(), data.as_mut_ptr())?;
    let both = |i: usize| u64::from(data[0][i]) | u64::from(data[1][i]) << 32;
    Ok(Caps {
        effective: both(0),
        permitted: both(1),
        inheritable: both(2),
    })
}

/// Sets the calling thread's capabilities.
pub fn capset(caps: Caps) -> Result {
    let mut header = CAP_HEADER;
    let all = [caps.effective, caps.permitted, caps.inheritable];
    let data = [all.map(|set| set as u32), all.map(|set| (set >> 32) as u32)];
    safe_syscall!(nr::CAPSET, header.as_mut_ptr(), data.as_ptr())
}

/// Moves the caller to new namespaces.
pub fn unshare(flags: u32) -> Result {
    safe_syscall!(nr::UNSHARE, flags)
}

/// Mounts a file system that needs neither a device nor data.
pub fn mount(fs: &CStr, dir: &CStr, flags: usize) -> Result {
    safe_syscall!(nr::MOUNT, addr(fs), addr(dir), addr(fs), flags, 0)
}

/// Creates a directory.
pub fn mkdir(path: &CStr) -> Result {
    safe_syscall!(nr::MKDIR, addr(path), 0o700)
}

/// Removes an empty directory.
pub fn rmdir(path: &CStr) -> Result {
    safe_syscall!(nr::RMDIR, addr(path))
}

/// Returns the machine name from `uname()`.
pub fn machine(buf: &mut [u8; 6 * 65]) -> Result<&str> {
    uname(buf, 4)
}

/// Returns the kernel release from `uname()`.
pub fn release(buf: &mut [u8; 6 * 65]) -> Result<&str> {
    uname(buf, 2)
}

/// Returns one of the six names in C's `struct new_utsname`.
fn uname(buf: &mut [u8; 6 * 65], name: usize) -> Result<&str> {
    safe_syscall!(nr::UNAME, buf.as_mut_ptr())?;
    let name = CStr::from_bytes_until_nul(&buf[name * 65..]).map_err(|_| EINVAL)?;
    name.to_str().map_err(|_| EINVAL)
}
