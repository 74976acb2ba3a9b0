// SPDX-License-Identifier: GPL-2.0

//! Rust sample of a character device driver.
//!
//! It has two minors, `/dev/rust_chrdev0` and `/dev/rust_chrdev1`. Each is a separate buffer that
//! keeps what is written to it. You can read, write and seek as in a file of up to [`CAPACITY`]
//! bytes, and empty it by opening it with `O_TRUNC`, with these differences:
//!
//! - Reading an empty buffer waits until there is data. With `O_NONBLOCK` or `RWF_NOWAIT`, it fails
//!   with `EAGAIN`. If the buffer is not empty, the end of the file is after its last byte.
//! - Data that does not fit is not written. If nothing fits, writing fails with `ENOSPC`.
//! - `ioctl(2)` supports [`RUST_CHRDEV_GET_LEN`] and [`RUST_CHRDEV_ZERO`].
//!
//! See `Documentation/rust/modules.rst`.

use kernel::{
    chrdev::{
        CharDevice,
        Registration,
        Seek, //
    },
    fs::{
        file::{
            flags::{
                O_ACCMODE,
                O_RDONLY,
                O_TRUNC, //
            },
            Offset, //
        },
        File,
        Kiocb, //
    },
    ioctl::{
        _IOR,
        _IOW, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    new_mutex,
    new_poll_condvar,
    prelude::*,
    sync::{
        poll::{
            events::{
                EPOLLIN,
                EPOLLOUT,
                EPOLLRDNORM,
                EPOLLWRNORM, //
            },
            PollCondVar,
            PollTable, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    uaccess::UserSlice, //
};

module! {
    type: RustChrdev,
    name: "rust_chrdev",
    authors: ["Rust for Linux Contributors"],
    description: "Rust sample of a driver of character devices",
    license: "GPL",
    // Major 120 is for local use. The driver has it if loaded with `major=120`.
    alias: ["char-major-120-*"],
    params: {
        major: u32 {
            default: 0,
            description: "The major number of the devices; 0 lets the kernel choose one",
        },
    },
}

/// The maximum number of bytes in a buffer.
const CAPACITY: usize = 4096;

/// The `ioctl(2)` that returns the number of bytes, as C's `__u32`.
const RUST_CHRDEV_GET_LEN: u32 = _IOR::<u32>('|' as u32, 0x90);

/// The `ioctl(2)` that zeroes the bytes from the first position up to the second, exclusive. The
/// positions are an `unsigned long[2]` in C, which has another size in 32-bit programs.
const RUST_CHRDEV_ZERO: u32 = _IOW::<[usize; 2]>('|' as u32, 0x91);

/// [`RUST_CHRDEV_ZERO`] in a 32-bit program.
#[cfg(CONFIG_COMPAT)]
const RUST_CHRDEV_ZERO_COMPAT: u32 = _IOW::<[u32; 2]>('|' as u32, 0x91);

/// One of the devices.
#[pin_data]
struct Buffer {
    /// The data written so far. Memory for [`CAPACITY`] bytes is allocated.
    #[pin]
    data: Mutex<KVec<u8>>,
    /// Notified when `data` grows.
    #[pin]
    changed: PollCondVar,
}

impl Buffer {
    fn new() -> Result<Arc<Self>> {
        let data = KVec::with_capacity(CAPACITY, GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                data <- new_mutex!(data),
                changed <- new_poll_condvar!(),
            }),
            GFP_KERNEL,
        )
    }

    fn zero(&self, file: &File, [start, end]: [usize; 2]) -> Result<isize> {
        if !may_write(file.flags()) {
            return Err(EBADF);
        }
        self.data.lock().get_mut(start..end).ok_or(EINVAL)?.fill(0);
        Ok(0)
    }
}

/// Returns whether a file with these flags was opened for writing.
fn may_write(flags: u32) -> bool {
    flags & O_ACCMODE != O_RDONLY
}

#[vtable]
impl CharDevice for Buffer {
    type Ptr = Arc<Self>;

    const NOWAIT: bool = true;

    fn open(device: ArcBorrow<'_, Self>, flags: u32) -> Result<Self::Ptr> {
        if flags & O_TRUNC != 0 && may_write(flags) {
            device.data.lock().clear();
        }
        Ok(device.into())
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let me = kiocb.file();
        if iov.is_empty() {
            return Ok(0);
        }

        let mut data = me.data.lock();
        while data.is_empty() {
            if kiocb.nowait() {
                return Err(EAGAIN);
            }
            // This releases the lock while it waits.
            if me.changed.wait_interruptible(&mut data) {
                return Err(ERESTARTSYS);
            }
        }
        if kiocb.ki_pos() >= data.len() as Offset {
            return Ok(0);
        }
        match iov.simple_read_from_buffer(kiocb.ki_pos_mut(), &data)? {
            0 => Err(EFAULT),
            len => Ok(len),
        }
    }

    fn write_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        let me = kiocb.file();
        if iov.is_empty() {
            return Ok(0);
        }

        // Held during the copy, so that no other writer interferes.
        let mut data = me.data.lock();
        let old_len = data.len();
        let pos = match kiocb.append() {
            true => old_len,
            false => usize::try_from(kiocb.ki_pos()).map_err(|_| ENOSPC)?,
        };
        if pos >= CAPACITY {
            return Err(ENOSPC);
        }

        let end = pos + iov.len().min(CAPACITY - pos);
        if end > old_len {
            data.resize(end, 0, GFP_KERNEL)?;
        }
        let copied = iov.copy_from_iter(&mut data[pos..end]);
        if copied == 0 {
            data.truncate(old_len);
            return Err(EFAULT);
        }
        data.truncate(old_len.max(pos + copied));
        drop(data);

        me.changed.notify_all();
        *kiocb.ki_pos_mut() = (pos + copied) as Offset;
        Ok(copied)
    }

    fn llseek(me: ArcBorrow<'_, Self>, seek: Seek<'_>) -> Result<Offset> {
        let len = me.data.lock().len();
        seek.within(len as Offset, CAPACITY as Offset)
    }

    fn poll(me: ArcBorrow<'_, Self>, file: &File, table: PollTable<'_>) -> u32 {
        table.register_wait(file, &me.changed);

        // Writing never waits. Reading waits while the buffer is empty, at any position.
        let mut events = EPOLLOUT | EPOLLWRNORM;
        if !me.data.lock().is_empty() {
            events |= EPOLLIN | EPOLLRDNORM;
        }
        events
    }

    fn ioctl(me: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserPtr::from_addr(arg);
        match cmd {
            RUST_CHRDEV_GET_LEN => {
                let len = me.data.lock().len() as u32;
                UserSlice::new(arg, size_of_val(&len))
                    .writer()
                    .write(&len)?;
                Ok(0)
            }
            RUST_CHRDEV_ZERO => {
                let range = UserSlice::new(arg, size_of::<[usize; 2]>())
                    .reader()
                    .read()?;
                me.zero(file, range)
            }
            _ => Err(ENOTTY),
        }
    }

    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(me: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            RUST_CHRDEV_ZERO_COMPAT => {
                let arg = UserPtr::from_addr(arg);
                let range: [u32; 2] = UserSlice::new(arg, size_of::<[u32; 2]>()).reader().read()?;
                me.zero(file, range.map(|pos| pos as usize))
            }
            RUST_CHRDEV_ZERO => Err(ENOTTY),
            _ => Self::ioctl(me, file, cmd, arg),
        }
    }
}

struct RustChrdev {
    _devices: Registration<Buffer>,
}

impl kernel::Module for RustChrdev {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let buffers = [Buffer::new()?, Buffer::new()?];
        let major = module_parameters::major.value();
        let devices = Registration::new(c"rust_chrdev", major, &buffers)?;
        pr_info!("major number {}\n", devices.major());
        Ok(RustChrdev { _devices: devices })
    }
}
