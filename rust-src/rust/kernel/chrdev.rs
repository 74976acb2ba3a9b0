// SPDX-License-Identifier: GPL-2.0

//! Character devices with a major number of their own.
//!
//! A driver registers its devices, which are its minors, all at once: see [`Registration`]. What
//! they do is said by an implementation of [`CharDevice`]. A driver of a single device is better
//! off with [`kernel::miscdevice`], which shares a major number with others.
//!
//! C headers: [`include/linux/cdev.h`](srctree/include/linux/cdev.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! # Examples
//!
//! A driver of devices that are always empty:
//!
//! ```
//! use kernel::{
//!     chrdev::{
//!         CharDevice,
//!         Registration, //
//!     },
//!     fs::{
//!         File,
//!         Kiocb, //
//!     },
//!     iov::IovIterDest,
//!     prelude::*,
//!     sync::{
//!         Arc,
//!         ArcBorrow, //
//!     },
//! };
//!
//! struct Empty;
//!
//! #[vtable]
//! impl CharDevice for Empty {
//!     type Ptr = Arc<Empty>;
//!
//!     fn open(device: ArcBorrow<'_, Self>, _file: &File) -> Result<Self::Ptr> {
//!         Ok(device.into())
//!     }
//!
//!     fn read_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterDest<'_>) -> Result<usize> {
//!         Ok(0)
//!     }
//! }
//!
//! // `/dev/rust_empty0` and `/dev/rust_empty1`, until the registration is dropped.
//! let devices = [Arc::new(Empty, GFP_KERNEL)?, Arc::new(Empty, GFP_KERNEL)?];
//! let registration = Registration::new(c"rust_empty", 0, &devices)?;
//! assert_ne!(registration.major(), 0);
//!
//! // A number is given once.
//! assert!(Registration::new(c"rust_empty_too", registration.major(), &devices).is_err());
//!
//! drop(registration);
//! Registration::new(c"rust_empty", 0, &devices)?;
//! # Ok::<(), Error>(())
//! ```

use crate::{
    bindings,
    container_of,
    error::{
        from_err_ptr,
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    fs::{
        file::Offset,
        File,
        Kiocb,
        LocalFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    module::this_module,
    prelude::*,
    sync::{
        poll::PollTable,
        static_lock_class,
        Arc,
        ArcBorrow,
        Mutex, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// A character device: what the files of one minor do.
///
/// All functions are called in process context and may sleep, and may be called at the same time
/// on any number of CPUs.
#[vtable]
pub trait CharDevice: Send + Sync + Sized + 'static {
    /// What an open file has as its own: an [`Arc`] of the device, for instance.
    type Ptr: ForeignOwnable + Send + Sync;

    /// Called when the device is opened.
    ///
    /// `file` has all the flags that the caller of `open(2)` has given, [`O_TRUNC`] too.
    ///
    /// [`O_TRUNC`]: crate::fs::file::flags::O_TRUNC
    fn open(device: ArcBorrow<'_, Self>, file: &File) -> Result<Self::Ptr>;

    /// Called when the last reference to an open file is gone.
    fn release(data: Self::Ptr, _file: &File) {
        drop(data);
    }

    /// Reads from the device; returns the number of bytes, 0 at the end.
    ///
    /// Without this function, reading fails with [`EINVAL`].
    fn read_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterDest<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes to the device; returns the number of bytes.
    ///
    /// Without this function, writing fails with [`EINVAL`].
    fn write_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterSource<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Moves the position of the file; returns the new one.
    ///
    /// Without this function, `lseek(2)` fails with [`ESPIPE`].
    fn llseek(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _seek: Seek<'_>,
    ) -> Result<Offset> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Says for which events `file` is ready, out of those in [`crate::sync::poll::events`], after
    /// it has registered `table` with what will be notified of a change.
    ///
    /// Without this function, the file is always ready for reading and for writing.
    fn poll(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _table: PollTable<'_>,
    ) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A call of `lseek(2)`.
pub struct Seek<'a> {
    file: &'a LocalFile,
    offset: Offset,
    whence: c_int,
}

impl Seek<'_> {
    /// Moves the position as in a file that has `end` bytes by now and can have `max`.
    ///
    /// The position may be anything from 0 to `max`: [`EINVAL`] otherwise. `SEEK_DATA` and
    /// `SEEK_HOLE` find a single piece of data, up to `end`.
    ///
    /// C header: [`include/linux/fs.h`](srctree/include/linux/fs.h), `generic_file_llseek_size()`
    pub fn within(self, end: Offset, max: Offset) -> Result<Offset> {
        let file = self.file.as_ptr();
        // SAFETY: The file is valid, and `lseek(2)` is what has called: this is the place to change
        // the position.
        let pos =
            unsafe { bindings::generic_file_llseek_size(file, self.offset, self.whence, max, end) };
        if pos < 0 {
            // The errors that there are fit.
            return Err(Error::from_errno(pos as c_int));
        }
        Ok(pos)
    }
}

/// The file operations of a [`CharDevice`].
struct FileOperations<T: CharDevice>(PhantomData<T>);

impl<T: CharDevice> FileOperations<T> {
    /// # Safety
    ///
    /// `inode` and `file` must be those of a file that is being opened, by way of a cdev in a
    /// [`Minor<T>`].
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The inode of a character device that is being opened has its cdev there.
        let cdev = unsafe { (*inode).__bindgen_anon_5.i_cdev };
        // SAFETY: By this function's requirements, that is part of a `Minor<T>`.
        let minor = unsafe { container_of!(Opaque::cast_from(cdev), Minor<T>, cdev) };
        // SAFETY: `chrdev_open()` has got a reference to the cdev, which has one to the device,
        // which keeps the memory. Only shared references are ever made to a `Minor` that is added.
        let device = unsafe { &(*minor).data }.lock().clone();
        // The device is no longer registered, and this call was on its way before.
        let Some(device) = device else {
            return ENXIO.to_errno();
        };

        // SAFETY: The file is valid during this call, and nobody else has it yet.
        match T::open(device.as_arc_borrow(), unsafe { File::from_raw_file(file) }) {
            Ok(data) => {
                // SAFETY: The private data is for the file's operations to use.
                unsafe { (*file).private_data = data.into_foreign() };
                0
            }
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened and that is being released.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` has put it there. Nothing is called for this file after this.
        let data = unsafe { T::Ptr::from_foreign((*file).private_data) };
        // SAFETY: The file is valid during this call, and nobody else has it any more.
        T::release(data, unsafe { File::from_raw_file(file) });
        0
    }

    /// # Safety
    ///
    /// `kiocb` must be that of a file that [`Self::open`] has opened, and `iter` must be valid for
    /// writing.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: `open` has set the private data, and `release` has yet to come.
        let kiocb = unsafe { Kiocb::from_raw(kiocb) };
        // SAFETY: By this function's requirements.
        let iov = unsafe { IovIterDest::from_raw(iter) };
        match T::read_iter(kiocb, iov) {
            Ok(len) => len as isize,
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `kiocb` must be that of a file that [`Self::open`] has opened, and `iter` must be valid for
    /// reading.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: `open` has set the private data, and `release` has yet to come.
        let kiocb = unsafe { Kiocb::from_raw(kiocb) };
        // SAFETY: By this function's requirements.
        let iov = unsafe { IovIterSource::from_raw(iter) };
        match T::write_iter(kiocb, iov) {
            Ok(len) => len as isize,
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened, and the caller must be entitled to
    /// change its position.
    #[c_callback]
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: `open` has set the private data, and `release` has yet to come.
        let data = unsafe { T::Ptr::borrow((*file).private_data) };
        let seek = Seek {
            // SAFETY: The file is valid during this call. A `fdget_pos()` that did not take the
            // lock is this thread's own.
            file: unsafe { LocalFile::from_raw_file(file) },
            offset,
            whence,
        };
        from_result(|| T::llseek(data, seek))
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened, and `table` null or valid.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table,
    ) -> bindings::__poll_t {
        // SAFETY: `open` has set the private data, and `release` has yet to come.
        let data = unsafe { T::Ptr::borrow((*file).private_data) };
        // SAFETY: The file is valid during this call, which is not made within `fdget_pos()`.
        let file = unsafe { File::from_raw_file(file) };
        // SAFETY: By this function's requirements.
        T::poll(data, file, unsafe { PollTable::from_raw(table) })
    }

    const VTABLE: bindings::file_operations = bindings::file_operations {
        owner: this_module::<T::OwnerModule>().as_ptr(),
        open: Some(Self::open),
        release: Some(Self::release),
        read_iter: if T::HAS_READ_ITER {
            Some(Self::read_iter)
        } else {
            None
        },
        write_iter: if T::HAS_WRITE_ITER {
            Some(Self::write_iter)
        } else {
            None
        },
        llseek: if T::HAS_LLSEEK {
            Some(Self::llseek)
        } else {
            None
        },
        poll: if T::HAS_POLL { Some(Self::poll) } else { None },
        ..pin_init::zeroed()
    };

    const fn build() -> &'static bindings::file_operations {
        &Self::VTABLE
    }
}

/// What C refers to of one minor.
///
/// Its memory belongs to `device`, whose last reference frees it: the cdev in it has one, and an
/// open file has one to the cdev. What the driver has put in, it loses when it is taken off the
/// system. From then on nothing in it needs the code of the driver's module.
#[pin_data]
#[repr(C)]
struct Minor<T> {
    // Must be first: see `release_minor`.
    device: Opaque<bindings::device>,
    cdev: Opaque<bindings::cdev>,
    /// The driver's device, while it can be opened.
    #[pin]
    data: Mutex<Option<Arc<T>>>,
}

/// The name of the one lock class of all [`Minor::data`]. A literal in a generic function would be
/// in every module that calls it, and gone with the first of them.
static DATA_LOCK_NAME: &CStr = c"chrdev::Minor::data";

/// Frees a [`Minor`], of whichever type.
///
/// It is not generic, thus part of the kernel: it may be called after the driver's module is gone.
///
/// # Safety
///
/// `device` must be that of a [`Minor`] whose `data` is [`None`], and nobody may use it any more.
unsafe extern "C" fn release_minor(device: *mut bindings::device) {
    // SAFETY: The device is the first field of what a `KBox` has allocated, by `kmalloc()`. There
    // is nothing left in it that has a destructor.
    unsafe { bindings::kfree(device.cast()) };
}

/// A reference to a [`Minor`] that is not on the system, or not any more.
///
/// # Invariants
///
/// It points to a valid [`Minor`] and owns a reference to the device in it. There is no other of
/// its kind that points to the same.
struct MinorRef<T>(NonNull<Minor<T>>);

impl<T: CharDevice> MinorRef<T> {
    /// Makes the minor `minor` of `region`, with the node `/dev/<name><minor>`.
    fn new(
        name: &CStr,
        minor: c_uint,
        region: &Region,
        class: &Class,
        data: Arc<T>,
    ) -> Result<Self> {
        let new = KBox::pin_init(
            pin_init!(Minor {
                device: Opaque::zeroed(),
                cdev: Opaque::zeroed(),
                data <- Mutex::new(Some(data), DATA_LOCK_NAME, static_lock_class!()),
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: It is not moved until it is freed.
        let ptr = NonNull::from(KBox::leak(unsafe { Pin::into_inner_unchecked(new) }));
        // SAFETY: It has just been made.
        let (device, cdev) = unsafe { ((*ptr.as_ptr()).device.get(), (*ptr.as_ptr()).cdev.get()) };

        // SAFETY: Both are zeroed and nobody else's. `class` is registered and remains so for as
        // long as this device is on the system. Files that have `FileOperations<T>` are opened by
        // way of this cdev, which is in a `Minor<T>`, and hold a reference to the module.
        unsafe {
            bindings::device_initialize(device);
            (*device).class = class.0.as_ptr();
            (*device).devt = region.first + minor;
            (*device).release = Some(release_minor);
            bindings::cdev_init(cdev, FileOperations::<T>::build());
            (*cdev).owner = this_module::<T::OwnerModule>().as_ptr();
        }
        // INVARIANT: This is the reference that `device_initialize()` makes.
        let this = Self(ptr);

        // SAFETY: The device is initialized, and the format asks for a string and an unsigned int.
        to_result(unsafe {
            bindings::dev_set_name(device, c"%s%u".as_char_ptr(), name.as_char_ptr(), minor)
        })?;
        Ok(this)
    }
}

impl<T> MinorRef<T> {
    fn device(&self) -> *mut bindings::device {
        // SAFETY: Valid by the invariants.
        unsafe { self.0.as_ref() }.device.get()
    }

    fn cdev(&self) -> *mut bindings::cdev {
        // SAFETY: Valid by the invariants.
        unsafe { self.0.as_ref() }.cdev.get()
    }
}

impl<T> Drop for MinorRef<T> {
    fn drop(&mut self) {
        // SAFETY: Valid by the invariants.
        let data = unsafe { self.0.as_ref() }.data.lock().take();
        // Not under the lock.
        drop(data);
        // SAFETY: By the invariants the reference is ours to drop. `data` is `None`, and nothing
        // ever makes it anything else, as `release_minor` requires.
        unsafe { bindings::put_device(self.device()) };
    }
}

/// A minor on the system.
///
/// # Invariants
///
/// Cdev and device have been added by `cdev_device_add()`.
struct Added<T>(MinorRef<T>);

impl<T> Added<T> {
    /// Puts a minor on the system: from here on it can be opened, even if this fails.
    fn new(minor: MinorRef<T>) -> Result<Self> {
        // SAFETY: Both are initialized, the device has a name and a number, and they are part of
        // the same memory, whose lifetime is managed by the device.
        to_result(unsafe { bindings::cdev_device_add(minor.cdev(), minor.device()) })?;
        // INVARIANT: Just added.
        Ok(Self(minor))
    }
}

impl<T> Drop for Added<T> {
    fn drop(&mut self) {
        // SAFETY: Added by the invariants, and valid until the `MinorRef` in it is dropped.
        unsafe { bindings::cdev_device_del(self.0.cdev(), self.0.device()) };
    }
}

/// A range of device numbers, with one major and minors from 0.
///
/// # Invariants
///
/// The `count` numbers from `first` on are registered, and ours.
struct Region {
    first: bindings::dev_t,
    count: c_uint,
}

impl Region {
    fn new(name: &CStr, major: u32, count: c_uint) -> Result<Self> {
        if count == 0 || major > bindings::dev_t::MAX >> bindings::MINORBITS {
            return Err(EINVAL);
        }
        let mut first = major << bindings::MINORBITS;
        to_result(if major == 0 {
            // SAFETY: `first` is there to be written to. The name is copied.
            unsafe { bindings::alloc_chrdev_region(&mut first, 0, count, name.as_char_ptr()) }
        } else {
            // SAFETY: The name is copied.
            unsafe { bindings::register_chrdev_region(first, count, name.as_char_ptr()) }
        })?;
        // INVARIANT: Just registered.
        Ok(Self { first, count })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: By the invariants.
        unsafe { bindings::unregister_chrdev_region(self.first, self.count) };
    }
}

/// A class in `/sys/class`.
///
/// # Invariants
///
/// It was made by `class_create()`, and is ours to destroy.
struct Class(NonNull<bindings::class>);

impl Class {
    fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives as long as any code that could use the class.
        let class = from_err_ptr(unsafe { bindings::class_create(name.as_char_ptr()) })?;
        // INVARIANT: Just made.
        Ok(Self(NonNull::new(class).ok_or(ENOMEM)?))
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: By the invariants. Its devices are gone: `Registration` drops them before.
        unsafe { bindings::class_destroy(self.0.as_ptr()) };
    }
}

/// A registration of character devices.
///
/// While it exists, the devices can be opened by their numbers, have nodes in devtmpfs, a class in
/// `/sys/class`, and their major number is listed in `/proc/devices`. An open file keeps the module
/// of the driver from being removed.
///
/// When it is dropped, files that are open remain so and work as before; they have what
/// [`CharDevice::open`] gave them.
///
/// A module should register last of all that can fail in its initialization: as soon as a device
/// is there, it may be opened, and the module of an open file must not go away.
pub struct Registration<T: CharDevice> {
    // Dropped in this order.
    _minors: KVec<Added<T>>,
    _class: Class,
    region: Region,
}

// SAFETY: All in it may be used and dropped on any thread, as `T` may be.
unsafe impl<T: CharDevice> Send for Registration<T> {}

// SAFETY: Nothing in it changes.
unsafe impl<T: CharDevice> Sync for Registration<T> {}

impl<T: CharDevice> Registration<T> {
    /// Registers `devices`, whose minor numbers are 0, 1 and so on, by the major number `major`; 0
    /// lets the kernel choose one.
    ///
    /// Their class and the line in `/proc/devices` are called `name`, and their nodes `<name>0`,
    /// `<name>1` and so on.
    ///
    /// Errors: [`EINVAL`] when there are no devices, or too many, or `major` is too big; [`EBUSY`]
    /// when the numbers are taken, or no major is left; [`EEXIST`] when the name is taken;
    /// [`ENOMEM`].
    pub fn new(name: &'static CStr, major: u32, devices: &[Arc<T>]) -> Result<Self> {
        let count = devices.len().try_into().map_err(|_| EINVAL)?;
        let region = Region::new(name, major, count)?;
        let class = Class::new(name)?;

        // Whatever can be done before the first of them can be opened.
        let mut refs = KVec::with_capacity(devices.len(), GFP_KERNEL)?;
        for (minor, device) in (0..count).zip(devices) {
            let minor = MinorRef::new(name, minor, &region, &class, device.clone())?;
            refs.push(minor, GFP_KERNEL)?;
        }
        let mut minors = KVec::with_capacity(devices.len(), GFP_KERNEL)?;
        for minor in refs {
            minors.push(Added::new(minor)?, GFP_KERNEL)?;
        }

        Ok(Self {
            _minors: minors,
            _class: class,
            region,
        })
    }

    /// The major number of the devices.
    pub fn major(&self) -> u32 {
        self.region.first >> bindings::MINORBITS
    }
}
