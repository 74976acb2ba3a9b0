// SPDX-License-Identifier: GPL-2.0

//! Rust sample of a driver of character devices.
//!
//! It has two minors, each a buffer of its own that keeps what is written to it:
//! `/dev/rust_chrdev0` and `/dev/rust_chrdev1`. One can read, write and seek as in a file of at
//! most [`CAPACITY`] bytes, and empty it by opening it with `O_TRUNC`, with these differences:
//!
//! - Who reads where nothing has been written yet waits for it, or gets `EAGAIN` with
//!   `O_NONBLOCK`. Only behind the last byte that there can be is the end of the file.
//! - What does not fit is not written; if nothing fits, that is `ENOSPC`.
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
                O_APPEND,
                O_NONBLOCK,
                O_RDONLY,
                O_TRUNC, //
            },
            Offset, //
        },
        File,
        Kiocb, //
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
    }, //
};

module! {
    type: RustChrdev,
    name: "rust_chrdev",
    authors: ["Rust for Linux Contributors"],
    description: "Rust sample of a driver of character devices",
    license: "GPL",
    // Number 120 is for local use, and ours if `major=120` says so.
    alias: ["char-major-120-*"],
    params: {
        major: u32 {
            default: 0,
            description: "The major number of the devices; 0 lets the kernel choose one",
        },
    },
}

/// How many bytes a buffer can have.
const CAPACITY: usize = 4096;

/// One of the devices.
#[pin_data]
struct Buffer {
    /// What has been written. There is memory for [`CAPACITY`] bytes.
    #[pin]
    data: Mutex<KVec<u8>>,
    /// Notified when `data` gets longer or shorter.
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
}

#[vtable]
impl CharDevice for Buffer {
    type Ptr = Arc<Self>;

    fn open(device: ArcBorrow<'_, Self>, file: &File) -> Result<Self::Ptr> {
        if file.flags() & O_TRUNC != 0 && file.flags() & O_ACCMODE != O_RDONLY {
            device.data.lock().clear();
            device.changed.notify_all();
        }
        Ok(device.into())
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let me = kiocb.file();
        if iov.is_empty() || kiocb.ki_pos() >= CAPACITY as Offset {
            return Ok(0);
        }

        let mut data = me.data.lock();
        while kiocb.ki_pos() >= data.len() as Offset {
            if kiocb.file_flags() & O_NONBLOCK != 0 {
                return Err(EAGAIN);
            }
            // Others have the lock meanwhile.
            if me.changed.wait_interruptible(&mut data) {
                return Err(ERESTARTSYS);
            }
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

        // Held over the copy, such that no writer comes in between.
        let mut data = me.data.lock();
        let old_len = data.len();
        let pos = match kiocb.file_flags() & O_APPEND {
            0 => usize::try_from(kiocb.ki_pos()).map_err(|_| ENOSPC)?,
            _ => old_len,
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

        const END: Offset = CAPACITY as Offset;
        let len = me.data.lock().len() as Offset;
        let read_at = file.pos();
        let write_at = match file.flags() & O_APPEND {
            0 => read_at,
            _ => len,
        };

        let mut events = 0;
        if read_at < len || read_at >= END {
            events |= EPOLLIN | EPOLLRDNORM;
        }
        if write_at < END {
            events |= EPOLLOUT | EPOLLWRNORM;
        }
        events
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
