// SPDX-License-Identifier: GPL-2.0

//! Tests of the sample rust_chrdev: a character device driver written in Rust.

#![no_std]
#![no_main]

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;
use harness::failslab::need_failslab;
use harness::failslab::with_failures;
use harness::io;
use harness::mem;
use harness::module;
use harness::sys::EAGAIN;
use harness::sys::EBADF;
use harness::sys::EBUSY;
use harness::sys::EFAULT;
use harness::sys::EINVAL;
use harness::sys::ENODEV;
use harness::sys::ENOENT;
use harness::sys::ENOSPC;
use harness::sys::ENOTTY;
use harness::sys::ENXIO;
use harness::sys::O_APPEND;
use harness::sys::O_NONBLOCK;
use harness::sys::O_RDONLY;
use harness::sys::O_RDWR;
use harness::sys::O_TRUNC;
use harness::sys::O_WRONLY;
use harness::sys::POLLIN;
use harness::sys::POLLOUT;
use harness::sys::RWF_APPEND;
use harness::sys::RWF_NOAPPEND;
use harness::sys::RWF_NOWAIT;
use harness::uring::Request;
use harness::*;

const CHRDEV: &CStr = c"rust_chrdev";
const DEV: [&CStr; 2] = [c"/dev/rust_chrdev0", c"/dev/rust_chrdev1"];

/// The capacity of a device.
const CAPACITY: usize = 4096;

/// The driver's `ioctl()` numbers. A `usize` is C's `unsigned long`.
const GET_LEN: u32 = sys::ior::<u32>(b'|', 0x90);
const ZERO: u32 = sys::iow::<[usize; 2]>(b'|', 0x91);

fn load() -> Module {
    Module::load(CHRDEV, c"").unwrap()
}

fn open(flags: u32) -> File {
    File::open(DEV[0], flags).unwrap()
}

/// Reads once, up to the length of `want`, and expects exactly that.
#[track_caller]
fn expect_read(file: &File, want: &[u8]) {
    let mut buf = [0; CAPACITY];
    let len = sys::read(file.fd, &mut buf[..want.len()]);
    expect_eq!(len, Ok(want.len()));
    expect!(&buf[..want.len()] == want);
}

/// Returns the major number of the driver in `/proc/devices`.
fn major() -> Option<u32> {
    let mut buf = [0; 4096];
    let devices = io::read_file(c"/proc/devices", &mut buf).unwrap();
    let chars = devices.split("Block devices:").next().unwrap();
    let line = chars.lines().find(|line| line.ends_with(" rust_chrdev"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// Creates a node in /tmp, opens it, and removes it.
fn open_node(major: u32, minor: u32, flags: u32) -> sys::Result<File> {
    let path = text!("/tmp/rust_chrdev.{}", sys::gettid());
    sys::mknod(path.as_cstr(), major, minor).unwrap();
    let file = File::open(path.as_cstr(), flags);
    sys::unlink(path.as_cstr()).unwrap();
    file
}

/// Waits until a process sleeps or has ended.
fn wait_until_asleep(pid: i32) {
    assert!(
        vcpu::eventually(|| cow::asleep(pid)),
        "{pid} does not sleep"
    );
}

/// Returns the number of bytes in a device.
fn len(file: &File) -> sys::Result<u32> {
    let mut len = u32::MAX;
    // SAFETY: This `ioctl()` writes a `u32`.
    unsafe { sys::ioctl_at(file.fd, GET_LEN, &mut len as *mut u32 as usize)? };
    Ok(len)
}

/// Zeroes bytes of a device.
fn zero(file: &File, start: usize, end: usize) -> sys::Result {
    let range = [start, end];
    // SAFETY: This `ioctl()` only reads two `usize`s.
    unsafe { sys::ioctl_at(file.fd, ZERO, range.as_ptr() as usize) }
}

/// Receives the kernel's announcements of devices that come and go.
struct Uevents(File);

impl Uevents {
    fn open() -> Uevents {
        let (family, protocol) = (sys::AF_NETLINK, sys::NETLINK_KOBJECT_UEVENT);
        let fd = sys::socket(family, sys::SOCK_RAW, protocol).unwrap();
        sys::join_netlink_groups(fd, 1).unwrap();
        Uevents(File { fd })
    }

    /// Returns how many of our devices have been announced since the last call.
    fn count(&self) -> usize {
        const ADD: &[u8] = b"add@/devices/virtual/rust_chrdev/rust_chrdev";
        let mut count = 0;
        let mut buf = [0; 4096];
        while sys::poll(self.0.fd, POLLIN, 0) != Ok(0) {
            // A message that was lost for lack of memory is an error.
            if let Ok(len) = sys::recv(self.0.fd, &mut buf) {
                count += usize::from(buf[..len].starts_with(ADD));
            }
        }
        count
    }
}

/// The size of the records that writers append at the same time. A record has the number of its
/// writer, and its own number.
const RECORD: usize = 16;

fn record(writer: u32, number: u32) -> [u8; RECORD] {
    let mut record = [b'.'; RECORD];
    record[0] = b'a' + writer as u8;
    record[1..5].copy_from_slice(&number.to_be_bytes());
    record[RECORD - 1] = record[0];
    record
}

tests! {
    setup {
        module::clean_up(&[CHRDEV]);
    }

    /// There is a number in /proc/devices, a class, and a node for each minor, for as long as the
    /// module is loaded.
    fn has_numbers_and_nodes() {
        expect_eq!(major(), None);
        let chrdev = load();
        let major = major().expect("a line in /proc/devices");
        for (minor, path) in DEV.iter().enumerate() {
            let mut buf = [0; 64];
            let number = text!("/sys/class/rust_chrdev/rust_chrdev{minor}/dev");
            let number = io::read_file(number.as_cstr(), &mut buf);
            expect_eq!(number, Ok(text!("{major}:{minor}\n").as_str()));
            expect!(File::open(path, O_RDWR).is_ok());
        }
        chrdev.unload();
        expect_eq!(self::major(), None);
        for path in DEV {
            expect_eq!(File::open(path, O_RDWR).err(), Some(ENOENT));
        }
        expect_eq!(sys::open(c"/sys/class/rust_chrdev", O_RDONLY), Err(ENOENT));
    }

    /// A node created by mknod works as well. There are only two minors. A node leads nowhere after
    /// its device is gone.
    fn works_by_number() {
        let chrdev = load();
        let major = major().unwrap();
        let path = c"/tmp/rust_chrdev";
        let _ = sys::unlink(path);
        sys::mknod(path, major, 1).unwrap();

        File::open(path, O_WRONLY).unwrap().write(b"one").unwrap();
        expect_read(&File::open(DEV[1], O_RDONLY).unwrap(), b"one");
        expect_eq!(open_node(major, 2, O_RDONLY).err(), Some(ENXIO));

        chrdev.unload();
        expect_eq!(File::open(path, O_RDONLY).err(), Some(ENXIO));
        let chrdev = load();
        expect_eq!(self::major(), Some(major));
        expect!(File::open(path, O_RDONLY).is_ok());
        chrdev.unload();
        sys::unlink(path).unwrap();
    }

    /// Data written to one device is not in the other.
    fn has_separate_buffers() {
        let _chrdev = load();
        let [zero, one] = DEV.map(|path| File::open(path, O_RDWR).unwrap());
        zero.write(b"zero").unwrap();
        one.write(b"the other").unwrap();
        // Each open file has its own position.
        let [zero, one] = DEV.map(|path| File::open(path, O_RDWR | O_NONBLOCK).unwrap());
        expect_read(&zero, b"zero");
        expect_read(&one, b"the other");
        drop(File::open(DEV[0], O_WRONLY | O_TRUNC).unwrap());
        expect_eq!(sys::read(zero.fd, &mut [0]), Err(EAGAIN));
        expect_eq!(sys::read(one.fd, &mut [0]), Ok(0));
    }

    /// A read returns what is there and a write takes what fits, and both return how much that was.
    fn is_short_at_the_ends() {
        let _chrdev = load();
        let file = open(O_RDWR);
        let mut buf = [0; 5000];
        file.write(b"0123456789").unwrap();
        expect_eq!(sys::pread(file.fd, &mut buf, 0), Ok(10));
        expect_eq!(sys::pread(file.fd, &mut buf[..4], 0), Ok(4));
        expect_eq!(sys::pread(file.fd, &mut buf, 7), Ok(3));
        expect!(&buf[..3] == b"789");
        // The end of the file is after the last byte.
        expect_eq!(sys::pread(file.fd, &mut buf, 10), Ok(0));
        expect_eq!(sys::pread(file.fd, &mut buf, 11), Ok(0));
        expect_eq!(sys::pread(file.fd, &mut buf, 1 << 32), Ok(0));

        expect_eq!(sys::write(file.fd, &[b'x'; 5000]), Ok(CAPACITY - 10));
        expect_eq!(sys::write(file.fd, b"x"), Err(ENOSPC));
        expect_eq!(sys::pwrite(file.fd, b"yy", CAPACITY as u64 - 1), Ok(1));
        expect_eq!(sys::pwrite(file.fd, b"y", CAPACITY as u64), Err(ENOSPC));
        expect_eq!(sys::pwrite(file.fd, b"y", 1 << 32), Err(ENOSPC));
        expect_eq!(sys::pread(file.fd, &mut buf, 0), Ok(CAPACITY));
        expect!(buf[9..12] == *b"9xx" && buf[CAPACITY - 2..CAPACITY] == *b"xy");

        expect_eq!(sys::read(file.fd, &mut buf), Ok(0));
        expect_eq!(sys::pread(file.fd, &mut buf, 1 << 32), Ok(0));
        // A transfer of no bytes always succeeds.
        expect_eq!(sys::read(file.fd, &mut []), Ok(0));
        expect_eq!(sys::write(file.fd, &[]), Ok(0));
    }

    /// One byte at a time.
    fn works_in_small_pieces() {
        let _chrdev = load();
        let (to, from) = (open(O_WRONLY), open(O_RDONLY));
        for i in 0..CAPACITY {
            let byte = [(i % 251) as u8];
            to.write(&byte).unwrap();
            expect_read(&from, &byte);
        }
        expect_eq!(sys::write(to.fd, &[0]), Err(ENOSPC));
        expect_eq!(sys::read(from.fd, &mut [0]), Ok(0));
    }

    /// A file only allows what it was opened for.
    fn keeps_to_the_mode() {
        let _chrdev = load();
        expect_eq!(sys::write(open(O_RDONLY).fd, b"x"), Err(EBADF));
        expect_eq!(sys::read(open(O_WRONLY).fd, &mut [0]), Err(EBADF));
        let child = Child::fork(|| {
            sys::setresuid(1000).unwrap();
            expect_eq!(File::open(DEV[0], O_RDONLY).err(), Some(sys::EACCES));
        });
        expect_eq!(child.unwrap().wait(), Ok(Status::Exited(0)));
    }

    /// The position can be anywhere from the first byte to the last possible one.
    fn seeks() {
        let _chrdev = load();
        let file = open(O_RDWR);
        file.write(b"0123456789").unwrap();
        let seek = |offset, whence| sys::lseek64(file.fd, offset, whence);
        let end = CAPACITY as i64;

        expect_eq!(seek(0, sys::SEEK_CUR), Ok(10));
        expect_eq!(seek(3, sys::SEEK_SET), Ok(3));
        expect_read(&file, b"345");
        expect_eq!(seek(-2, sys::SEEK_CUR), Ok(4));
        expect_read(&file, b"4");
        expect_eq!(seek(-1, sys::SEEK_END), Ok(9));
        expect_read(&file, b"9");
        expect_eq!(seek(end, sys::SEEK_SET), Ok(end));
        expect_eq!(sys::read(file.fd, &mut [0]), Ok(0));

        expect_eq!(seek(2, sys::SEEK_DATA), Ok(2));
        expect_eq!(seek(2, sys::SEEK_HOLE), Ok(10));
        expect_eq!(seek(10, sys::SEEK_DATA), Err(ENXIO));

        expect_eq!(seek(5, sys::SEEK_SET), Ok(5));
        for (offset, whence) in [
            (-1, sys::SEEK_SET),
            (i64::MIN, sys::SEEK_SET),
            (end + 1, sys::SEEK_SET),
            (1 << 32, sys::SEEK_SET),
            (i64::MAX, sys::SEEK_SET),
            (-6, sys::SEEK_CUR),
            (end - 4, sys::SEEK_CUR),
            (1 << 32, sys::SEEK_CUR),
            (-11, sys::SEEK_END),
            (end - 9, sys::SEEK_END),
            (-1 << 32, sys::SEEK_END),
            (0, 5),
        ] {
            expect_eq!(seek(offset, whence), Err(EINVAL), "{offset} {whence}");
        }
        // And the position has not changed.
        expect_read(&file, b"5");
    }

    /// Gaps read as zeros.
    fn fills_gaps() {
        let _chrdev = load();
        let file = open(O_RDWR);
        expect_eq!(sys::pwrite(file.fd, b"end", 1000), Ok(3));
        let mut buf = [1; CAPACITY];
        expect_eq!(sys::read(file.fd, &mut buf), Ok(1003));
        expect!(buf[..1000].iter().all(|&byte| byte == 0));
        expect!(&buf[1000..1003] == b"end");
    }

    /// `O_TRUNC` empties the device if opened for writing. `O_APPEND` writes after the last byte.
    fn truncates_and_appends() {
        let _chrdev = load();
        let (append, other) = (open(O_WRONLY | O_APPEND), open(O_RDWR | O_NONBLOCK));
        append.write(b"one ").unwrap();
        other.write(b"ONE two ").unwrap();
        append.write(b"three").unwrap();
        expect_eq!(sys::lseek64(append.fd, 0, sys::SEEK_CUR), Ok(13));
        expect_read(&open(O_RDONLY | O_TRUNC), b"ONE two three");

        drop(open(O_WRONLY | O_TRUNC));
        expect_eq!(sys::lseek64(other.fd, 0, sys::SEEK_END), Ok(0));
        expect_eq!(sys::read(other.fd, &mut [0]), Err(EAGAIN));
        append.write(b"new").unwrap();
        expect_read(&open(O_RDONLY), b"new");
    }

    /// A write appends according to its own flags, or else to those of the file, whatever its
    /// position.
    fn appends_by_the_flags_of_the_call() {
        let _chrdev = load();
        let file = open(O_RDWR);
        file.write(b"0123").unwrap();
        expect_eq!(sys::pwritev2(file.fd, b"45", 0, RWF_APPEND), Ok(2));
        expect_eq!(sys::pwritev2(file.fd, b"67", 1 << 40, RWF_APPEND), Ok(2));
        expect_eq!(sys::lseek64(file.fd, 0, sys::SEEK_CUR), Ok(4));
        expect_eq!(sys::pwritev2(file.fd, b"8", -1, RWF_APPEND), Ok(1));
        expect_eq!(sys::lseek64(file.fd, 0, sys::SEEK_CUR), Ok(9));
        expect_read(&open(O_RDONLY), b"012345678");

        let append = open(O_WRONLY | O_APPEND);
        expect_eq!(sys::pwritev2(append.fd, b"9", 0, 0), Ok(1));
        expect_eq!(sys::pwritev2(append.fd, b"AB", 0, RWF_NOAPPEND), Ok(2));
        expect_eq!(len(&append), Ok(10));
        expect_read(&open(O_RDONLY), b"AB23456789");
    }

    /// A call that may not wait does not, whatever the file's flags.
    fn waits_by_the_flags_of_the_call() {
        let _chrdev = load();
        let file = open(O_RDWR);
        for pos in [-1, 0, 5, CAPACITY as i64] {
            expect_eq!(sys::preadv2(file.fd, &mut [0; 9], pos, RWF_NOWAIT), Err(EAGAIN), "{pos}");
        }
        expect_eq!(sys::pwritev2(file.fd, b"012345", -1, RWF_NOWAIT), Ok(6));
        expect_eq!(sys::pwritev2(file.fd, b"yz", 1, RWF_NOWAIT), Ok(2));
        let mut buf = [0; 9];
        expect_eq!(sys::preadv2(file.fd, &mut buf, 0, RWF_NOWAIT), Ok(6));
        expect!(&buf[..6] == b"0yz345");
        expect_eq!(sys::preadv2(file.fd, &mut buf, 4, RWF_NOWAIT), Ok(2));
        expect_eq!(sys::preadv2(file.fd, &mut buf, -1, RWF_NOWAIT), Ok(0));
        expect_eq!(sys::pwritev2(file.fd, b"x", CAPACITY as i64, RWF_NOWAIT), Err(ENOSPC));
    }

    /// io_uring reads and writes at its own positions, whatever that of the file.
    fn uring_has_its_own_positions() {
        let _chrdev = load();
        let file = open(O_RDWR);
        let write = |bytes: &[u8], pos, rwf| {
            Request::write(&file, bytes, pos, rwf).unwrap().wait(10_000)
        };
        let read = |pos| {
            let mut read = Request::read(&file, pos, 0).unwrap();
            let len = read.wait(10_000).expect("a read that waits").unwrap();
            text!("{}", read.bytes()[..len].escape_ascii())
        };
        expect_eq!(write(b"0123456789", 0, 0), Some(Ok(10)));
        expect_eq!(write(b"ab", 2, 0), Some(Ok(2)));
        expect_eq!(write(b"end", 0, RWF_APPEND), Some(Ok(3)));
        // -1 means the position of the file, which none of the others has moved.
        expect_eq!(read(-1).as_str(), "01ab456789end");
        for (pos, rest) in [(0, "01ab456789end"), (5, "56789end"), (12, "d"), (13, ""), (99, "")] {
            expect_eq!(read(pos).as_str(), rest);
        }
        expect_eq!(read(-1).as_str(), "");
        expect_eq!(write(b"x", -1, 0), Some(Ok(1)));
        expect_eq!(len(&file), Ok(14));
        expect_eq!(write(&[0; CAPACITY], CAPACITY as i64 - 1, 0), Some(Ok(1)));
        expect_eq!(write(b"x", 0, RWF_APPEND), Some(Err(ENOSPC)));
    }

    /// A read through io_uring that has to wait does not block its submitter. It completes when
    /// there is data, wherever the position of the file is by then. A read that may not wait does
    /// not.
    fn uring_waits() {
        let _chrdev = load();
        let file = open(O_RDWR);
        for file_pos in [0, 3, 100] {
            drop(open(O_WRONLY | O_TRUNC));
            sys::lseek64(file.fd, file_pos, sys::SEEK_SET).unwrap();
            let nowait = Request::read(&file, 0, RWF_NOWAIT).unwrap();
            expect_eq!(nowait.wait(10_000), Some(Err(EAGAIN)));

            let reads = [0, 2, 50].map(|pos| (pos, Request::read(&file, pos, 0).unwrap()));
            for (pos, read) in &reads {
                expect_eq!(read.wait(50), None, "{pos}");
            }
            open(O_WRONLY).write(b"012345").unwrap();
            for (pos, mut read) in reads {
                let want = b"012345".get(pos as usize..).unwrap_or(b"");
                expect_eq!(read.wait(10_000), Some(Ok(want.len())), "{pos}");
                expect!(&read.bytes()[..want.len()] == want);
            }
        }
    }

    /// ioctl() returns the number of bytes, also to 32-bit programs.
    fn ioctl_tells_the_length() {
        let _chrdev = load();
        let file = open(O_RDWR);
        expect_eq!(len(&file), Ok(0));
        file.write(b"12345").unwrap();
        expect_eq!(len(&open(O_RDONLY)), Ok(5));
        expect_eq!(len(&File::open(DEV[1], O_RDONLY).unwrap()), Ok(0));

        let mut guarded = Mapping::with_guard(1).unwrap();
        let edge = guarded.put_at_end(&[0xff; 4]);
        // SAFETY: The result is written to the last bytes of the mapping, or nowhere.
        let call = |addr| unsafe { sys::ioctl_at(file.fd, GET_LEN, addr) };
        expect_eq!(call(edge), Ok(0));
        expect!(guarded.bytes().ends_with(&5u32.to_ne_bytes()));
        for addr in [0, edge + 1, guarded.end(), usize::MAX - 1] {
            expect_eq!(call(addr), Err(EFAULT), "{addr:x}");
        }
    }

    /// ioctl() zeroes a part of the data, given by numbers that have another size in 32-bit
    /// programs. The driver must not confuse the two.
    fn ioctl_zeroes() {
        let _chrdev = load();
        let file = open(O_RDWR);
        file.write(b"0123456789").unwrap();
        expect_eq!(zero(&file, 3, 6), Ok(0));
        expect_read(&open(O_RDONLY), b"012\0\0\x006789");
        expect_eq!(zero(&file, 9, 10), Ok(0));
        expect_eq!(zero(&file, 10, 10), Ok(0));
        expect_read(&open(O_RDONLY), b"012\0\0\x00678\0");

        for (start, end) in [(0, 11), (11, 11), (6, 3), (0, usize::MAX), (usize::MAX, 0)] {
            expect_eq!(zero(&file, start, end), Err(EINVAL), "{start} {end}");
        }
        expect_eq!(zero(&open(O_RDONLY), 0, 1), Err(EBADF));
        // SAFETY: This only reads, and nothing is there.
        expect_eq!(unsafe { sys::ioctl_at(file.fd, ZERO, 0) }, Err(EFAULT));
        expect_read(&open(O_RDONLY), b"012\0\0\x00678\0");
        expect_eq!(len(&file), Ok(10));
    }

    /// The driver refuses numbers that it does not know, including those used by programs of the
    /// other width.
    fn ioctl_refuses_the_rest() {
        let _chrdev = load();
        let file = open(O_RDWR);
        file.write(&[b'x'; 16]).unwrap();
        let argument = [0u64; 8];
        for cmd in [
            0,
            u32::MAX,
            sys::ior::<u64>(b'|', 0x90),
            sys::iow::<u32>(b'|', 0x90),
            sys::iow::<[u32; 2]>(b'|', 0x91),
            sys::iow::<[u64; 2]>(b'|', 0x91),
            sys::ior::<[usize; 2]>(b'|', 0x91),
            sys::iow::<u32>(b'|', 0x92),
            // FIONREAD, which is only for regular files.
            0x541b,
        ] {
            if cmd != ZERO {
                // SAFETY: There is room for anything that these would write.
                let ret = unsafe { sys::ioctl_at(file.fd, cmd, argument.as_ptr() as usize) };
                expect_eq!(ret, Err(ENOTTY), "{cmd:x}");
            }
        }
        expect_read(&open(O_RDONLY), &[b'x'; 16]);
    }

    /// With bad addresses, the bytes copied before the bad page count. If there were none, nothing
    /// changes.
    fn survives_bad_addresses() {
        let _chrdev = load();
        let file = open(O_RDWR);
        let mut guarded = Mapping::with_guard(1).unwrap();
        let edge = guarded.put_at_end(b"edge");
        let call = |nr, addr: usize, len: usize| {
            // SAFETY: Reads only write to the mapped part of the mapping's last page, or nowhere.
            sys::check(unsafe { syscall!(nr, file.fd, addr, len) })
        };

        expect_eq!(call(sys::nr::WRITE, guarded.end(), 10), Err(EFAULT));
        expect_eq!(call(sys::nr::WRITE, 0, 10), Err(EFAULT));
        expect_eq!(call(sys::nr::WRITE, usize::MAX - 5, 4), Err(EFAULT));
        expect_eq!(sys::lseek64(file.fd, 0, sys::SEEK_END), Ok(0));

        // The bytes before the bad page are written.
        let written = call(sys::nr::WRITE, edge, 10);
        expect_eq!(written, Ok(4));
        expect_eq!(sys::lseek64(file.fd, 0, sys::SEEK_END), Ok(4));
        sys::lseek64(file.fd, 0, sys::SEEK_SET).unwrap();
        expect_eq!(call(sys::nr::READ, guarded.end(), 10), Err(EFAULT));
        expect_eq!(call(sys::nr::READ, 0, 10), Err(EFAULT));
        expect_eq!(sys::lseek64(file.fd, 0, sys::SEEK_CUR), Ok(0));
        expect_eq!(call(sys::nr::READ, guarded.end() - 2, 4), Ok(2));
        expect_eq!(sys::lseek64(file.fd, 0, sys::SEEK_CUR), Ok(2));
        expect_read(&file, b"ge");
    }

    /// Reading an empty device waits, and returns the data once there is some.
    fn readers_wait() {
        let _chrdev = load();
        let reader = Child::fork(|| expect_read(&open(O_RDONLY), b"at last")).unwrap();
        wait_until_asleep(reader.pid);
        open(O_WRONLY).write(b"at last").unwrap();
        expect_eq!(reader.wait(), Ok(Status::Exited(0)));

        // Also after the data was removed, and for several readers.
        drop(open(O_WRONLY | O_TRUNC));
        let readers = [0, 4, 100].map(|pos| {
            let reader = Child::fork(|| {
                let mut buf = [0; 100];
                let len = sys::pread(open(O_RDONLY).fd, &mut buf, pos as u64).unwrap();
                expect!(&buf[..len] == b"at last".get(pos..).unwrap_or(b""));
            });
            let reader = reader.unwrap();
            wait_until_asleep(reader.pid);
            reader
        });
        open(O_WRONLY).write(b"at last").unwrap();
        for reader in readers {
            expect_eq!(reader.wait(), Ok(Status::Exited(0)));
        }
    }

    /// A signal ends the wait.
    fn waiting_ends_by_signal() {
        let chrdev = load();
        let reader = Child::fork(|| {
            let _ = sys::read(open(O_RDONLY).fd, &mut [0]);
            panic!("nothing was written");
        });
        let reader = reader.unwrap();
        wait_until_asleep(reader.pid);
        sys::kill(reader.pid, sys::SIGKILL).unwrap();
        expect_eq!(reader.wait(), Ok(Status::Killed(sys::SIGKILL)));
        chrdev.unload();
    }

    /// poll() tells what would wait: reading an empty device, but no write.
    fn polls() {
        let _chrdev = load();
        let file = open(O_RDWR);
        let both = POLLIN | POLLOUT;
        expect_eq!(sys::poll(file.fd, both, 0), Ok(POLLOUT));
        file.write(b"x").unwrap();
        // The position of the file does not matter: the next read may be for another one.
        for pos in [0, 1, CAPACITY as i64] {
            sys::lseek64(file.fd, pos, sys::SEEK_SET).unwrap();
            expect_eq!(sys::poll(file.fd, both, 0), Ok(both));
        }
        // Writing to a full device fails, and does not wait.
        let append = open(O_WRONLY | O_APPEND);
        expect_eq!(sys::write(append.fd, &[0; CAPACITY]), Ok(CAPACITY - 1));
        expect_eq!(sys::poll(append.fd, both, 0), Ok(both));
        drop(open(O_WRONLY | O_TRUNC));
        expect_eq!(sys::poll(file.fd, both, 0), Ok(POLLOUT));
    }

    /// poll() waits, and one write wakes all pollers.
    fn polls_until_something_comes() {
        let _chrdev = load();
        expect_eq!(sys::poll(open(O_RDONLY).fd, POLLIN, 50), Ok(0));
        let pollers = [(); 3].map(|()| {
            let poller = Child::fork(|| {
                let file = open(O_RDONLY | O_NONBLOCK);
                expect_eq!(sys::poll(file.fd, POLLIN, 50_000), Ok(POLLIN));
                expect_read(&file, b"x");
            });
            poller.unwrap()
        });
        for poller in &pollers {
            wait_until_asleep(poller.pid);
        }
        open(O_WRONLY).write(b"x").unwrap();
        for poller in pollers {
            expect_eq!(poller.wait(), Ok(Status::Exited(0)));
        }
    }

    /// The module stays loaded as long as any process has a file open.
    fn stays_while_open() {
        let chrdev = load();
        let file = open(O_RDWR);
        expect_eq!(chrdev.try_unload(), Err(EAGAIN));
        // One for the cdev, one for the file operations.
        let references = |entry: &str| entry.contains(" 2 - Live");
        expect_eq!(module::with_entry(CHRDEV, references), Some(true));
        file.write(b"still there").unwrap();
        expect_read(&open(O_RDONLY), b"still there");

        sys::dup2(file.fd, 100).unwrap();
        drop(file);
        expect_eq!(chrdev.try_unload(), Err(EAGAIN));
        let go = mem::shared::<AtomicU32>().unwrap();
        let heir = Child::fork(|| while go.load(Ordering::Acquire) == 0 {
            sys::sleep_ms(1);
        });
        sys::close(100).unwrap();
        expect_eq!(chrdev.try_unload(), Err(EAGAIN));
        go.store(1, Ordering::Release);
        expect_eq!(heir.unwrap().wait(), Ok(Status::Exited(0)));

        expect_eq!(chrdev.try_unload(), Ok(0));
        // The data was freed with the module.
        let _chrdev = load();
        expect_eq!(sys::read(open(O_RDONLY | O_NONBLOCK).fd, &mut [0]), Err(EAGAIN));
    }

    /// A mount namespace or an `O_PATH` descriptor holds a node, but no open device.
    fn goes_while_only_its_node_is_held() {
        const O_PATH: u32 = 0o10_000_000;
        let chrdev = load();
        let node = open(O_PATH);
        chrdev.unload();
        expect_eq!(sys::read(node.fd, &mut [0]), Err(EBADF));
    }

    /// Concurrent appends do not split or lose records, and concurrent readers all see the same
    /// data.
    fn appends_whole_records(timeout: 300) {
        const WRITERS: u32 = 4;
        const ROUNDS: u32 = 20;
        const RECORDS: u32 = (CAPACITY / RECORD) as u32 / WRITERS;

        let _chrdev = load();
        for _ in 0..ROUNDS {
            drop(open(O_WRONLY | O_TRUNC));
            let readers = [1, 7, 1000].map(|size| {
                let reader = Child::fork(|| {
                    let file = open(O_RDONLY);
                    let mut data = [0; CAPACITY];
                    let mut len = 0;
                    while len < CAPACITY {
                        let end = (len + size).min(CAPACITY);
                        match sys::read(file.fd, &mut data[len..end]).unwrap() {
                            0 => sys::sleep_ms(1),
                            more => len += more,
                        }
                    }
                    let mut next = [0; WRITERS as usize];
                    for got in data.chunks(RECORD) {
                        let writer = got[0].wrapping_sub(b'a') as usize;
                        assert!(writer < WRITERS as usize, "{}", got.escape_ascii());
                        assert_eq!(got, record(writer as u32, next[writer]));
                        next[writer] += 1;
                    }
                    expect_eq!(next, [RECORDS; WRITERS as usize]);
                });
                reader.unwrap()
            });
            let writers = [0, 1, 2, 3].map(|writer| {
                let writer = Child::fork(|| {
                    let file = open(O_WRONLY | O_APPEND);
                    for number in 0..RECORDS {
                        file.write(&record(writer, number)).unwrap();
                    }
                });
                writer.unwrap()
            });
            for child in writers.into_iter().chain(readers) {
                assert_eq!(child.wait(), Ok(Status::Exited(0)));
            }
        }
        expect_eq!(sys::write(open(O_WRONLY | O_APPEND).fd, b"x"), Err(ENOSPC));
    }

    /// Threads of one process open, use and truncate both devices at once.
    fn survives_everything_at_once(timeout: 300) {
        let chrdev = load();
        let threads = [0, 1, 2, 3, 4, 5].map(|i: usize| Thread::spawn(move || {
            let mut buf = [i as u8; 300];
            for n in 0..400 {
                let flags = [O_RDWR, O_RDWR | O_TRUNC, O_RDWR | O_APPEND][(n + i) % 3];
                let file = File::open(DEV[i % 2], flags | O_NONBLOCK).unwrap();
                for _ in 0..3 {
                    match sys::write(file.fd, &buf) {
                        Ok(_) | Err(ENOSPC) => (),
                        err => expect_eq!(err, Ok(300)),
                    }
                    match sys::pread(file.fd, &mut buf, (n * 7) as u64) {
                        Ok(_) | Err(EAGAIN) => (),
                        err => expect_eq!(err, Ok(300)),
                    }
                    expect!(sys::poll(file.fd, POLLIN | POLLOUT, 0).is_ok());
                    expect!(sys::lseek64(file.fd, 5, sys::SEEK_SET) == Ok(5));
                }
            }
        }));
        for thread in threads {
            thread.unwrap().join();
        }
        chrdev.unload();
    }

    /// The module is loaded and unloaded while others open, use and close the devices. Each open
    /// succeeds or fails, and an open file works.
    fn comes_and_goes_under_load(timeout: 300) {
        let stop = mem::shared::<AtomicU32>().unwrap();
        let opened = mem::shared::<AtomicU32>().unwrap();
        let users = [1, 2, 3].map(|i: usize| Child::fork(|| {
            while stop.load(Ordering::Acquire) == 0 {
                match File::open(DEV[i % 2], O_RDWR | O_NONBLOCK) {
                    Ok(file) => {
                        opened.fetch_add(1, Ordering::AcqRel);
                        expect_eq!(sys::pwrite(file.fd, b"x", 0), Ok(1));
                        expect_eq!(sys::pread(file.fd, &mut [0], 0), Ok(1));
                    }
                    Err(ENOENT | ENXIO | ENODEV) => (),
                    Err(err) => panic!("{err:?}"),
                }
                // Otherwise, one of them almost always has it open.
                sys::sleep_ms(i as u32);
            }
        }));
        let (mut refused, mut unloaded) = (0, 0);
        while unloaded < 20 || opened.load(Ordering::Acquire) < 100 {
            assert_eq!(module::load(CHRDEV, c""), Ok(0));
            sys::sleep_ms(unloaded % 8);
            loop {
                match sys::delete_module(CHRDEV) {
                    Ok(_) => break,
                    Err(EAGAIN) => refused += 1,
                    Err(err) => panic!("{err:?}"),
                }
            }
            unloaded += 1;
        }
        stop.store(1, Ordering::Release);
        for user in users {
            expect_eq!(user.unwrap().wait(), Ok(Status::Exited(0)));
        }
        let opened = opened.load(Ordering::Acquire);
        diag!("unloaded {unloaded} times, refused {refused} times, opened {opened} times");
    }

    /// All devices are registered, or none. If loading fails for lack of memory at any point, no
    /// device has been announced, and nothing is left behind.
    fn registers_all_or_none(timeout: 600) {
        need_failslab(true);
        let uevents = Uevents::open();
        load().unload();
        expect_eq!(uevents.count(), 2);

        let image = module::open(CHRDEV).unwrap();
        let mut errors = 0;
        // Some allocations are not needed each time, so that one round leaves a few others out.
        for _ in 0..3 {
            let allocations = with_failures(|| match sys::finit_module(image.fd, c"") {
                Ok(_) => {
                    // The copy of the name may be what fails.
                    let unload = || sys::delete_module(CHRDEV);
                    expect_eq!(unload().or_else(|_| unload()), Ok(0));
                    uevents.count();
                }
                Err(err) => {
                    expect_eq!(uevents.count(), 0, "announced before {err:?}");
                    expect_eq!(major(), None);
                    expect_eq!(File::open(DEV[0], O_RDWR).err(), Some(ENOENT));
                    errors += 1;
                }
            });
            diag!("{errors} errors, {allocations} allocations");
        }
        expect!(errors > 0);
        uevents.count();
        load().unload();
        expect_eq!(uevents.count(), 2);
    }

    /// The major number can be chosen. If it is taken or invalid, the module fails to load and
    /// nothing is left behind.
    fn takes_a_number_that_is_free() {
        let chrdev = Module::load(CHRDEV, c"major=120").unwrap();
        expect_eq!(major(), Some(120));
        expect_eq!(open(O_RDWR).write(b"x"), Ok(()));
        chrdev.unload();
        for (params, err) in [
            // /dev/mem and others
            (c"major=1", EBUSY),
            (c"major=511000", EINVAL),
            (c"major=4096", EINVAL),
            (c"major=4294967295", EINVAL),
        ] {
            expect_eq!(module::load(CHRDEV, params), Err(err), "{params:?}");
            expect_eq!(major(), None);
            expect_eq!(File::open(DEV[0], O_RDWR).err(), Some(ENOENT));
        }
        load().unload();
    }

    /// Opening a node with the major number in the module's alias loads the driver, which takes
    /// that number if modprobe is configured so.
    fn is_loaded_by_opening_a_node() {
        const CONF: &CStr = c"/etc/modprobe.d/rust_chrdev.conf";
        for dir in [c"/etc", c"/etc/modprobe.d"] {
            let _ = sys::mkdir(dir);
        }
        let conf = File::open(CONF, O_WRONLY | O_TRUNC | sys::O_CREAT).unwrap();
        conf.write(b"options rust_chrdev major=120\n").unwrap();
        drop(conf);

        expect!(!module::is_loaded(CHRDEV));
        let file = open_node(120, 1, O_RDWR);
        expect_eq!(file.as_ref().err(), None);
        expect_eq!(major(), Some(120));
        drop(file);
        sys::unlink(CONF).unwrap();
        expect_eq!(sys::delete_module(CHRDEV), Ok(0));

        // No module has an alias for this major.
        expect_eq!(open_node(241, 1, O_RDWR).err(), Some(ENXIO));
        expect!(!module::is_loaded(CHRDEV));
    }
}
