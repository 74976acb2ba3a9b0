// SPDX-License-Identifier: GPL-2.0

//! Character devices with their own major number.
//!
//! A driver registers all its devices at once, as its minors: see [`Registration`]. An
//! implementation of [`CharDevice`] defines what they do. A driver with a single device should use
//! [`kernel::miscdevice`] instead, which shares a major number.
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
//!     fs::Kiocb,
//!     iov::IovIterDest,
//!     prelude::*,
//!     sync::{
//!         atomic::{
//!             Atomic,
//!             Relaxed, //
//!         },
//!         Arc,
//!         ArcBorrow, //
//!     },
//! };
//!
//! struct Empty {
//!     open_files: Atomic<u32>,
//! }
//!
//! impl Empty {
//!     fn new() -> Result<Arc<Self>> {
//!         let open_files = Atomic::new(0);
//!         Ok(Arc::new(Empty { open_files }, GFP_KERNEL)?)
//!     }
//! }
//!
//! #[vtable]
//! impl CharDevice for Empty {
//!     type Ptr = Arc<Empty>;
//!
//!     fn open(device: ArcBorrow<'_, Self>, _flags: u32) -> Result<Self::Ptr> {
//!         device.open_files.fetch_add(1, Relaxed);
//!         Ok(device.into())
//!     }
//!
//!     fn release(device: Self::Ptr) {
//!         device.open_files.fetch_sub(1, Relaxed);
//!     }
//!
//!     fn read_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterDest<'_>) -> Result<usize> {
//!         Ok(0)
//!     }
//! }
//!
//! // `/dev/rust_empty0` and `/dev/rust_empty1`, until the registration is dropped.
//! let devices = [Empty::new()?, Empty::new()?];
//! let registration = Registration::new(c"rust_empty", 0, &devices)?;
//! assert_ne!(registration.major(), 0);
//!
//! // A major number can only be registered once.
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
        shims,
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
use pin_init::init_zeroed;

/// A character device: the operations on files of one minor.
///
/// All functions are called in process context and may sleep. They may be called concurrently on
/// any number of CPUs.
#[vtable]
pub trait CharDevice: Send + Sync + Sized + 'static {
    /// The private data of an open file: for instance, an [`Arc`] of the device.
    type Ptr: ForeignOwnable + Send + Sync;

    /// Whether [`Self::read_iter`] and [`Self::write_iter`] fail with [`EAGAIN`] instead of waiting
    /// when [`Kiocb::nowait`] returns true. They must always do so for a file with `O_NONBLOCK`.
    /// This constant also allows `RWF_NOWAIT`, which otherwise fails with [`EOPNOTSUPP`].
    const NOWAIT: bool = false;

    /// Called when the device is opened.
    ///
    /// `flags` are those passed to `open(2)`, see [`fs::file::flags`](crate::fs::file::flags).
    /// There is no [`File`] yet, because other users of one may rely on the data that this function
    /// returns.
    fn open(device: ArcBorrow<'_, Self>, flags: u32) -> Result<Self::Ptr>;

    /// Called when the last reference to an open file is gone, with the value that [`Self::open`]
    /// returned.
    ///
    /// There is no [`File`] any more: nobody may take a new reference to it.
    fn release(data: Self::Ptr) {
        drop(data);
    }

    /// Reads from the device at [`Kiocb::ki_pos`]. Returns the number of bytes, which is 0 at the
    /// end.
    ///
    /// Without this function, reading fails with [`EINVAL`].
    fn read_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterDest<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes to the device at [`Kiocb::ki_pos`], or at its end if [`Kiocb::append`] returns true.
    /// Returns the number of bytes.
    ///
    /// Without this function, writing fails with [`EINVAL`].
    fn write_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterSource<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Moves the file position. Returns the new one.
    ///
    /// Without this function, `lseek(2)` fails with [`ESPIPE`].
    fn llseek(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _seek: Seek<'_>,
    ) -> Result<Offset> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Registers `table` with whatever will be notified of changes, then returns the events for
    /// which `file` is ready, see [`crate::sync::poll::events`].
    ///
    /// The position of the next call is unknown: `pread(2)` uses its own, and so does `io_uring`,
    /// which also waits with this function. So return that a file is not ready for reading only if
    /// it is not ready at any position.
    ///
    /// Without this function, the file is always ready for reading and writing.
    fn poll(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _table: PollTable<'_>,
    ) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles a call to `ioctl(2)`. See [`kernel::ioctl`](mod@crate::ioctl) for the encoding of
    /// `cmd`. `arg` is a number or a user space address.
    ///
    /// This should return [`ENOTTY`] if `cmd` is unknown. Without this function, all calls fail
    /// with that.
    fn ioctl(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles a call to `ioctl(2)` by a 32-bit program on a 64-bit kernel.
    ///
    /// Without this function, [`Self::ioctl`] is called, with `arg` converted as a pointer of such
    /// a program. So this function is for arguments with a different layout there: types like C's
    /// `long`, and pointers. A `cmd` that encodes the size of such a type has a different value
    /// there, too.
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A call to `lseek(2)`.
pub struct Seek<'a> {
    file: &'a LocalFile,
    offset: Offset,
    whence: c_int,
}

impl Seek<'_> {
    /// Moves the position as in a file that has `end` bytes now and can grow to `max` bytes.
    ///
    /// Fails with [`EINVAL`] unless the new position is between 0 and `max`. For `SEEK_DATA` and
    /// `SEEK_HOLE`, the file is a single piece of data up to `end`.
    ///
    /// C header: [`include/linux/fs.h`](srctree/include/linux/fs.h), `generic_file_llseek_size()`
    pub fn within(self, end: Offset, max: Offset) -> Result<Offset> {
        let file = self.file.as_ptr();
        // SAFETY: The file is valid, and the caller is `lseek(2)`, so its position may be changed.
        let pos =
            unsafe { bindings::generic_file_llseek_size(file, self.offset, self.whence, max, end) };
        if pos < 0 {
            // Possible errors fit in a `c_int`.
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
    /// `inode` and `file` must be those of a file that is being opened through a cdev in a
    /// [`Minors<T>`].
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The inode of a character device that is being opened contains its cdev and its
        // number.
        let (cdev, dev) = unsafe { ((*inode).__bindgen_anon_5.i_cdev, (*inode).i_rdev) };
        // SAFETY: By the safety requirements of this function, the cdev is part of a `Minors<T>`.
        let minors = unsafe { container_of!(Opaque::cast_from(cdev), Minors<T>, cdev) };
        // SAFETY: `chrdev_open()` holds a reference to the cdev, which holds one to the kobject,
        // which keeps the memory. Only shared references are ever created to a `Minors` that has
        // been added.
        let devices = unsafe { &(*minors).devices }.lock();
        let device = devices
            .as_ref()
            .and_then(|devices| devices.get((dev & bindings::MINORMASK) as usize))
            .cloned();
        drop(devices);
        // The devices were unregistered while this call was on its way.
        let Some(device) = device else {
            return ENXIO.to_errno();
        };

        // SAFETY: The file is valid during this call, and nobody else can use it yet.
        let flags = unsafe { LocalFile::from_raw_file(file) }.flags();
        match T::open(device.as_arc_borrow(), flags) {
            Ok(data) => {
                // SAFETY: An `open` operation may set these, and nobody else can use the file yet.
                unsafe {
                    (*file).private_data = data.into_foreign();
                    if T::NOWAIT {
                        (*file).f_mode |= bindings::FMODE_NOWAIT;
                    }
                }
                0
            }
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened and that is being released.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` stored this data. No other function is called for this file after this
        // one.
        T::release(unsafe { T::Ptr::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// `kiocb` must belong to a file that [`Self::open`] has opened, and `iter` must be valid for
    /// writing.
    unsafe extern "C" fn read_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: `open` has set the private data, and `release` has not been called yet.
        unsafe { shims::read_iter::<T::Ptr>(kiocb, iter, T::read_iter) }
    }

    /// # Safety
    ///
    /// `kiocb` must belong to a file that [`Self::open`] has opened, and `iter` must be valid for
    /// reading.
    unsafe extern "C" fn write_iter(
        kiocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: `open` has set the private data, and `release` has not been called yet.
        unsafe { shims::write_iter::<T::Ptr>(kiocb, iter, T::write_iter) }
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened, and the caller must be allowed to
    /// change its position.
    #[c_callback]
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: `open` has set the private data, and `release` has not been called yet.
        let data = unsafe { T::Ptr::borrow((*file).private_data) };
        let seek = Seek {
            // SAFETY: The file is valid during this call. If there is an active `fdget_pos()`
            // without the lock, it is on this thread.
            file: unsafe { LocalFile::from_raw_file(file) },
            offset,
            whence,
        };
        from_result(|| T::llseek(data, seek))
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened, and `table` must be null or valid.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table,
    ) -> bindings::__poll_t {
        // SAFETY: `open` has set the private data, and `release` has not been called yet.
        let data = unsafe { T::Ptr::borrow((*file).private_data) };
        // SAFETY: The file is valid during this call, which is not made within `fdget_pos()`.
        let file = unsafe { File::from_raw_file(file) };
        // SAFETY: By the safety requirements of this function.
        T::poll(data, file, unsafe { PollTable::from_raw(table) })
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: `open` has set the private data, and `release` has not been called yet. This call
        // is not made within `fdget_pos()`.
        unsafe { shims::ioctl::<T::Ptr>(file, cmd, arg, T::ioctl) }
    }

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened.
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: `open` has set the private data, and `release` has not been called yet. This call
        // is not made within `fdget_pos()`.
        unsafe { shims::ioctl::<T::Ptr>(file, cmd, arg, T::compat_ioctl) }
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
        unlocked_ioctl: if T::HAS_IOCTL {
            Some(Self::ioctl)
        } else {
            None
        },
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: if T::HAS_COMPAT_IOCTL {
            Some(Self::compat_ioctl)
        } else if T::HAS_IOCTL {
            bindings::compat_ptr_ioctl
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    const fn build() -> &'static bindings::file_operations {
        &Self::VTABLE
    }
}

/// The part of a registration that C refers to.
///
/// `kobj` owns the memory, and dropping its last reference frees it. The cdev holds a reference to
/// `kobj`, and an open file holds one to the cdev. The driver's devices are removed when the cdev
/// is deleted from the system. From then on, nothing here needs the code of the driver's module.
#[pin_data]
#[repr(C)]
struct Minors<T> {
    // Must be the first field: see `release_minors`.
    kobj: Opaque<bindings::kobject>,
    cdev: Opaque<bindings::cdev>,
    /// The driver's devices by minor, as long as they can be opened.
    #[pin]
    devices: Mutex<Option<KVec<Arc<T>>>>,
}

/// The name of the lock class of all [`Minors::devices`]. A literal in a generic function would be
/// duplicated in each module that calls it, and would disappear with the first of these.
static DEVICES_LOCK_NAME: &CStr = c"chrdev::Minors::devices";

/// A kobject type.
struct KobjType(bindings::kobj_type);

// SAFETY: The type is never modified.
unsafe impl Sync for KobjType {}

/// The type of each [`Minors::kobj`], which may also outlive the driver's module.
static MINORS_TYPE: KobjType = KobjType(bindings::kobj_type {
    release: Some(release_minors),
    ..pin_init::zeroed()
});

/// Frees a [`Minors`] of any type.
///
/// Not generic, so that it is part of the kernel: it may be called after the driver's module is
/// gone.
///
/// # Safety
///
/// `kobj` must be that of a [`Minors`] whose `devices` is [`None`], and nobody may use it any more.
unsafe extern "C" fn release_minors(kobj: *mut bindings::kobject) {
    // SAFETY: The kobject is the first field of memory that a `KBox` allocated with `kmalloc()`.
    // Nothing in that memory needs to be dropped any more.
    unsafe { bindings::kfree(kobj.cast()) };
}

/// A reference to a [`Minors`] that has not been added to the system, or has been removed from it.
///
/// # Invariants
///
/// This points to a valid [`Minors`] and owns a reference to the kobject in it. No other
/// `MinorsRef` points to the same [`Minors`].
struct MinorsRef<T>(NonNull<Minors<T>>);

impl<T: CharDevice> MinorsRef<T> {
    fn new(devices: &[Arc<T>]) -> Result<Self> {
        let mut clones = KVec::with_capacity(devices.len(), GFP_KERNEL)?;
        for device in devices {
            clones.push(device.clone(), GFP_KERNEL)?;
        }
        let new = KBox::pin_init(
            pin_init!(Minors {
                kobj: Opaque::zeroed(),
                cdev: Opaque::zeroed(),
                devices <- Mutex::new(Some(clones), DEVICES_LOCK_NAME, static_lock_class!()),
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The memory is not moved until it is freed.
        let ptr = NonNull::from(KBox::leak(unsafe { Pin::into_inner_unchecked(new) }));
        // INVARIANT: `kobject_init()` below creates the reference.
        let this = Self(ptr);

        // SAFETY: Both are zeroed, and nobody else can use them. Files with `FileOperations<T>` are
        // opened through this cdev, which is in a `Minors<T>`, and hold a reference to the module.
        unsafe {
            bindings::kobject_init(this.kobj(), &raw const MINORS_TYPE.0);
            bindings::cdev_init(this.cdev(), FileOperations::<T>::build());
            (*this.cdev()).owner = this_module::<T::OwnerModule>().as_ptr();
            // As in `cdev_set_parent()`.
            (*this.cdev()).kobj.parent = this.kobj();
        }
        Ok(this)
    }
}

impl<T> MinorsRef<T> {
    fn kobj(&self) -> *mut bindings::kobject {
        // SAFETY: By the type invariants, the pointer is valid.
        unsafe { self.0.as_ref() }.kobj.get()
    }

    fn cdev(&self) -> *mut bindings::cdev {
        // SAFETY: By the type invariants, the pointer is valid.
        unsafe { self.0.as_ref() }.cdev.get()
    }
}

impl<T> Drop for MinorsRef<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the pointer is valid.
        let devices = unsafe { self.0.as_ref() }.devices.lock().take();
        // Not dropped while the lock is held.
        drop(devices);
        // SAFETY: By the type invariants, we own the reference. `devices` is `None` and is never
        // set again, as `release_minors` requires.
        unsafe { bindings::kobject_put(self.kobj()) };
    }
}

/// Minors that have been added to the system.
///
/// # Invariants
///
/// The cdev has been added by `cdev_add()`.
struct Added<T>(MinorsRef<T>);

impl<T> Added<T> {
    /// Adds all minors at once. If this succeeds, they can be opened from now on.
    fn new(minors: MinorsRef<T>, region: &Region) -> Result<Self> {
        // SAFETY: The cdev is initialized, and keeps the memory that contains it. We own the
        // numbers.
        to_result(unsafe { bindings::cdev_add(minors.cdev(), region.first, region.count) })?;
        // INVARIANT: The cdev has just been added.
        Ok(Self(minors))
    }
}

impl<T> Drop for Added<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the cdev has been added. It is valid until `MinorsRef` is
        // dropped.
        unsafe { bindings::cdev_del(self.0.cdev()) };
    }
}

/// A node in devtmpfs, and the device in sysfs that represents it.
///
/// # Invariants
///
/// The device has been added by `device_add()`, and this owns a reference to it.
struct Node(NonNull<bindings::device>);

impl Node {
    /// Creates the node `/dev/<name><minor>`, without announcing it yet.
    fn new(name: &CStr, minor: c_uint, region: &Region, class: &Class) -> Result<Self> {
        let device = KBox::init(init_zeroed::<Opaque<bindings::device>>(), GFP_KERNEL)?;
        let device = KBox::leak(device).get();
        // SAFETY: The device is zeroed, and nobody else can use it. `class` is registered, and
        // remains so for as long as this device is on the system.
        unsafe {
            bindings::device_initialize(device);
            (*device).class = class.0.as_ptr();
            (*device).devt = region.first + minor;
            (*device).release = Some(release_device);
            bindings::kobject::set_uevent_suppress_raw(&raw mut (*device).kobj, 1);
        }
        // SAFETY: The device is initialized, and the format takes a string and an unsigned int.
        let added = to_result(unsafe {
            bindings::dev_set_name(device, c"%s%u".as_char_ptr(), name.as_char_ptr(), minor)
        })
        // SAFETY: The device is initialized, and has a name.
        .and_then(|()| to_result(unsafe { bindings::device_add(device) }));
        if let Err(err) = added {
            // SAFETY: This is the reference that `device_initialize()` created.
            unsafe { bindings::put_device(device) };
            return Err(err);
        }
        // INVARIANT: The device has just been added, and the reference is that of
        // `device_initialize()`.
        // SAFETY: The pointer comes from a box.
        Ok(Self(unsafe { NonNull::new_unchecked(device) }))
    }

    /// Announces the device to user space.
    fn announce(&mut self) {
        // SAFETY: By the type invariants, the pointer is valid. It is not an error if the
        // announcement fails for lack of memory, as in `device_add()`.
        unsafe {
            let kobj = &raw mut (*self.0.as_ptr()).kobj;
            bindings::kobject::set_uevent_suppress_raw(kobj, 0);
            bindings::kobject_uevent(kobj, bindings::kobject_action_KOBJ_ADD);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the device has been added, and we own a reference to it.
        unsafe { bindings::device_unregister(self.0.as_ptr()) };
    }
}

/// Frees the device of a [`Node`].
///
/// # Safety
///
/// `device` must be that of a [`Node`], and nobody may use it any more.
unsafe extern "C" fn release_device(device: *mut bindings::device) {
    // SAFETY: A `KBox` allocated the memory with `kmalloc()`.
    unsafe { bindings::kfree(device.cast()) };
}

/// A range of device numbers with one major, and minors from 0.
///
/// # Invariants
///
/// The `count` numbers starting at `first` are registered, and owned by this.
struct Region {
    first: bindings::dev_t,
    count: c_uint,
}

impl Region {
    fn new(name: &CStr, major: u32, count: c_uint) -> Result<Self> {
        let most = 1 << bindings::MINORBITS;
        if count == 0 || count > most || major > bindings::dev_t::MAX >> bindings::MINORBITS {
            return Err(EINVAL);
        }
        let mut first = major << bindings::MINORBITS;
        to_result(if major == 0 {
            // SAFETY: `first` may be written. The name is copied.
            unsafe { bindings::alloc_chrdev_region(&mut first, 0, count, name.as_char_ptr()) }
        } else {
            // SAFETY: The name is copied.
            unsafe { bindings::register_chrdev_region(first, count, name.as_char_ptr()) }
        })?;
        // INVARIANT: The numbers have just been registered.
        Ok(Self { first, count })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, we own these numbers.
        unsafe { bindings::unregister_chrdev_region(self.first, self.count) };
    }
}

/// A class in `/sys/class`.
///
/// # Invariants
///
/// The class was created by `class_create()`, and is owned by this.
struct Class(NonNull<bindings::class>);

impl Class {
    fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives as long as any code that may use the class.
        let class = from_err_ptr(unsafe { bindings::class_create(name.as_char_ptr()) })?;
        // INVARIANT: The class has just been created.
        Ok(Self(NonNull::new(class).ok_or(ENOMEM)?))
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, we own the class. `Registration` has dropped its devices
        // before.
        unsafe { bindings::class_destroy(self.0.as_ptr()) };
    }
}

/// A registration of character devices.
///
/// While this exists, the devices can be opened by their numbers. They have nodes in devtmpfs and a
/// class in `/sys/class`, and their major number is listed in `/proc/devices`. The driver's module
/// cannot be removed while a file is open.
///
/// When this is dropped, open files stay open and work as before; they have the data that
/// [`CharDevice::open`] returned. If one was opened through a node that `mknod()` made, opening
/// that node fails with [`ENXIO`] until the file is closed, even if its numbers are registered
/// again.
///
/// A module should register its devices in the last step of its initialization that can fail: a
/// device may be opened as soon as it exists, and the module of an open file must not go away.
pub struct Registration<T: CharDevice> {
    // Dropped in this order.
    _nodes: KVec<Node>,
    _minors: Added<T>,
    _class: Class,
    region: Region,
}

// SAFETY: All fields may be used and dropped on any thread, like `T`.
unsafe impl<T: CharDevice> Send for Registration<T> {}

// SAFETY: No field is ever modified.
unsafe impl<T: CharDevice> Sync for Registration<T> {}

impl<T: CharDevice> Registration<T> {
    /// Registers `devices` with the minors 0, 1, and so on, and the given major. If `major` is 0,
    /// the kernel chooses one.
    ///
    /// `name` is the name of the class and of the entry in `/proc/devices`. The nodes are
    /// `<name>0`, `<name>1`, and so on.
    ///
    /// All devices can be opened from the same moment on, and nothing can fail after that. Their
    /// nodes appear a little earlier; until then, opening them fails with [`ENXIO`].
    ///
    /// Fails with [`EINVAL`] if there are no devices, or too many, or if `major` is too big; with
    /// [`EBUSY`] if the numbers are taken, or if no major is left; with [`EEXIST`] if the name is
    /// taken; and with [`ENOMEM`].
    pub fn new(name: &'static CStr, major: u32, devices: &[Arc<T>]) -> Result<Self> {
        let count = devices.len().try_into().map_err(|_| EINVAL)?;
        let region = Region::new(name, major, count)?;
        let class = Class::new(name)?;
        let minors = MinorsRef::new(devices)?;
        let mut nodes = KVec::with_capacity(devices.len(), GFP_KERNEL)?;
        for minor in 0..count {
            nodes.push(Node::new(name, minor, &region, &class)?, GFP_KERNEL)?;
        }

        let minors = Added::new(minors, &region)?;
        nodes.iter_mut().for_each(Node::announce);
        Ok(Self {
            _nodes: nodes,
            _minors: minors,
            _class: class,
            region,
        })
    }

    /// Returns the major number of the devices.
    pub fn major(&self) -> u32 {
        self.region.first >> bindings::MINORBITS
    }
}
