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

/// A character device: what the files of one minor do.
///
/// All functions are called in process context and may sleep, and may be called at the same time
/// on any number of CPUs.
#[vtable]
pub trait CharDevice: Send + Sync + Sized + 'static {
    /// What an open file has as its own: an [`Arc`] of the device, for instance.
    type Ptr: ForeignOwnable + Send + Sync;

    /// Whether [`Self::read_iter`] and [`Self::write_iter`] fail with [`EAGAIN`] instead of waiting
    /// when [`Kiocb::nowait`] says so. It must be honoured in any case where the file has
    /// `O_NONBLOCK`; this allows `RWF_NOWAIT`, which fails with [`EOPNOTSUPP`] otherwise.
    const NOWAIT: bool = false;

    /// Called when the device is opened.
    ///
    /// `flags` are those that the caller of `open(2)` has given, see
    /// [`fs::file::flags`](crate::fs::file::flags). There is no [`File`] yet: others who get hold
    /// of one may use it, and for that it needs the data that this function returns.
    fn open(device: ArcBorrow<'_, Self>, flags: u32) -> Result<Self::Ptr>;

    /// Called when the last reference to an open file is gone, with what [`Self::open`] returned.
    ///
    /// There is no [`File`] any more: no one may get a reference to it again.
    fn release(data: Self::Ptr) {
        drop(data);
    }

    /// Reads from the device, at [`Kiocb::ki_pos`]; returns the number of bytes, 0 at the end.
    ///
    /// Without this function, reading fails with [`EINVAL`].
    fn read_iter(_kiocb: Kiocb<'_, Self::Ptr>, _iov: &mut IovIterDest<'_>) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes to the device, at [`Kiocb::ki_pos`], or where [`Kiocb::append`] says so, behind its
    /// end; returns the number of bytes.
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
    /// Which position the next call will be for is not known: `pread(2)` has one of its own, and
    /// `io_uring`, which waits by this function, too. A file that is not ready for reading should
    /// not be so at any position.
    ///
    /// Without this function, the file is always ready for reading and for writing.
    fn poll(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _table: PollTable<'_>,
    ) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles a call of `ioctl(2)`. See [`kernel::ioctl`](mod@crate::ioctl) for what is in `cmd`;
    /// `arg` is a number, or the address of something in user space.
    ///
    /// For a `cmd` that it does not know, it should return [`ENOTTY`]; without this function, each
    /// fails with that.
    fn ioctl(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Handles a call of `ioctl(2)` by a 32-bit program on a 64-bit kernel.
    ///
    /// Without this function, [`Self::ioctl`] is called, with `arg` as the address that it is to
    /// such a program. So this is for what has another layout there: types like C's `long` and
    /// pointers. A `cmd` with the size of such a type is another number there, too.
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
    /// [`Minors<T>`].
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The inode of a character device that is being opened has its cdev there, and its
        // number.
        let (cdev, dev) = unsafe { ((*inode).__bindgen_anon_5.i_cdev, (*inode).i_rdev) };
        // SAFETY: By this function's requirements, that is part of a `Minors<T>`.
        let minors = unsafe { container_of!(Opaque::cast_from(cdev), Minors<T>, cdev) };
        // SAFETY: `chrdev_open()` has got a reference to the cdev, which has one to the kobject,
        // which keeps the memory. Only shared references are ever made to a `Minors` that is added.
        let devices = unsafe { &(*minors).devices }.lock();
        let device = devices
            .as_ref()
            .and_then(|devices| devices.get((dev & bindings::MINORMASK) as usize))
            .cloned();
        drop(devices);
        // The devices are no longer registered, and this call was on its way before.
        let Some(device) = device else {
            return ENXIO.to_errno();
        };

        // SAFETY: The file is valid during this call, and nobody else has it yet.
        let flags = unsafe { LocalFile::from_raw_file(file) }.flags();
        match T::open(device.as_arc_borrow(), flags) {
            Ok(data) => {
                // SAFETY: These are for an `open` operation to set, and nobody else has the file.
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
        // SAFETY: `open` has put it there. Nothing is called for this file after this.
        T::release(unsafe { T::Ptr::from_foreign((*file).private_data) });
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
        unsafe { shims::read_iter::<T::Ptr>(kiocb, iter, T::read_iter) }
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
        unsafe { shims::write_iter::<T::Ptr>(kiocb, iter, T::write_iter) }
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

    /// # Safety
    ///
    /// `file` must be a file that [`Self::open`] has opened.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: `open` has set the private data, and `release` has yet to come. This call is not
        // made within `fdget_pos()`.
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
        // SAFETY: `open` has set the private data, and `release` has yet to come. This call is not
        // made within `fdget_pos()`.
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

/// What C refers to of the minors of a registration.
///
/// Its memory belongs to `kobj`, whose last reference frees it: the cdev in it has one, and an open
/// file has one to the cdev. What the driver has put in, it loses when the cdev is taken off the
/// system. From then on nothing in it needs the code of the driver's module.
#[pin_data]
#[repr(C)]
struct Minors<T> {
    // Must be first: see `release_minors`.
    kobj: Opaque<bindings::kobject>,
    cdev: Opaque<bindings::cdev>,
    /// The driver's devices by their minors, while they can be opened.
    #[pin]
    devices: Mutex<Option<KVec<Arc<T>>>>,
}

/// The name of the one lock class of all [`Minors::devices`]. A literal in a generic function would
/// be in every module that calls it, and gone with the first of them.
static DEVICES_LOCK_NAME: &CStr = c"chrdev::Minors::devices";

/// A type of kobjects.
struct KobjType(bindings::kobj_type);

// SAFETY: Nothing in it changes.
unsafe impl Sync for KobjType {}

/// The type of all [`Minors::kobj`], which may outlive the driver's module, too.
static MINORS_TYPE: KobjType = KobjType(bindings::kobj_type {
    release: Some(release_minors),
    ..pin_init::zeroed()
});

/// Frees a [`Minors`], of whichever type.
///
/// It is not generic, thus part of the kernel: it may be called after the driver's module is gone.
///
/// # Safety
///
/// `kobj` must be that of a [`Minors`] whose `devices` are [`None`], and nobody may use it any
/// more.
unsafe extern "C" fn release_minors(kobj: *mut bindings::kobject) {
    // SAFETY: The kobject is the first field of what a `KBox` has allocated, by `kmalloc()`. There
    // is nothing left in it that has a destructor.
    unsafe { bindings::kfree(kobj.cast()) };
}

/// A reference to a [`Minors`] that is not on the system, or not any more.
///
/// # Invariants
///
/// It points to a valid [`Minors`] and owns a reference to the kobject in it. There is no other of
/// its kind that points to the same.
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
        // SAFETY: It is not moved until it is freed.
        let ptr = NonNull::from(KBox::leak(unsafe { Pin::into_inner_unchecked(new) }));
        // INVARIANT: The reference is that which `kobject_init()` makes below.
        let this = Self(ptr);

        // SAFETY: Both are zeroed and nobody else's. Files that have `FileOperations<T>` are opened
        // by way of this cdev, which is in a `Minors<T>`, and hold a reference to the module.
        unsafe {
            bindings::kobject_init(this.kobj(), &raw const MINORS_TYPE.0);
            bindings::cdev_init(this.cdev(), FileOperations::<T>::build());
            (*this.cdev()).owner = this_module::<T::OwnerModule>().as_ptr();
            // As `cdev_set_parent()` does.
            (*this.cdev()).kobj.parent = this.kobj();
        }
        Ok(this)
    }
}

impl<T> MinorsRef<T> {
    fn kobj(&self) -> *mut bindings::kobject {
        // SAFETY: Valid by the invariants.
        unsafe { self.0.as_ref() }.kobj.get()
    }

    fn cdev(&self) -> *mut bindings::cdev {
        // SAFETY: Valid by the invariants.
        unsafe { self.0.as_ref() }.cdev.get()
    }
}

impl<T> Drop for MinorsRef<T> {
    fn drop(&mut self) {
        // SAFETY: Valid by the invariants.
        let devices = unsafe { self.0.as_ref() }.devices.lock().take();
        // Not under the lock.
        drop(devices);
        // SAFETY: By the invariants the reference is ours to drop. `devices` are `None`, and
        // nothing ever makes them anything else, as `release_minors` requires.
        unsafe { bindings::kobject_put(self.kobj()) };
    }
}

/// Minors on the system.
///
/// # Invariants
///
/// The cdev has been added by `cdev_add()`.
struct Added<T>(MinorsRef<T>);

impl<T> Added<T> {
    /// Puts all minors on the system at once: unless this fails, they can be opened from here on.
    fn new(minors: MinorsRef<T>, region: &Region) -> Result<Self> {
        // SAFETY: The cdev is initialized, and keeps the memory that it is a part of. The numbers
        // are ours.
        to_result(unsafe { bindings::cdev_add(minors.cdev(), region.first, region.count) })?;
        // INVARIANT: Just added.
        Ok(Self(minors))
    }
}

impl<T> Drop for Added<T> {
    fn drop(&mut self) {
        // SAFETY: Added by the invariants, and valid until the `MinorsRef` in it is dropped.
        unsafe { bindings::cdev_del(self.0.cdev()) };
    }
}

/// A node in devtmpfs, and a device in sysfs that stands for it.
///
/// # Invariants
///
/// It has been added by `device_add()`, and owns a reference.
struct Node(NonNull<bindings::device>);

impl Node {
    /// Makes the node `/dev/<name><minor>`, which is announced to nobody yet.
    fn new(name: &CStr, minor: c_uint, region: &Region, class: &Class) -> Result<Self> {
        let device = KBox::init(init_zeroed::<Opaque<bindings::device>>(), GFP_KERNEL)?;
        let device = KBox::leak(device).get();
        // SAFETY: It is zeroed and nobody else's. `class` is registered and remains so for as long
        // as this device is on the system.
        unsafe {
            bindings::device_initialize(device);
            (*device).class = class.0.as_ptr();
            (*device).devt = region.first + minor;
            (*device).release = Some(release_device);
            bindings::kobject::set_uevent_suppress_raw(&raw mut (*device).kobj, 1);
        }
        // SAFETY: The device is initialized, and the format asks for a string and an unsigned int.
        let added = to_result(unsafe {
            bindings::dev_set_name(device, c"%s%u".as_char_ptr(), name.as_char_ptr(), minor)
        })
        // SAFETY: The device is initialized, and has a name.
        .and_then(|()| to_result(unsafe { bindings::device_add(device) }));
        if let Err(err) = added {
            // SAFETY: This is the reference that `device_initialize()` makes.
            unsafe { bindings::put_device(device) };
            return Err(err);
        }
        // INVARIANT: Just added, and the reference is that of `device_initialize()`.
        // SAFETY: It comes from a box.
        Ok(Self(unsafe { NonNull::new_unchecked(device) }))
    }

    /// Tells user space that the device is there.
    fn announce(&mut self) {
        // SAFETY: Valid by the invariants. What user space is not told for lack of memory is no
        // error, as in `device_add()`.
        unsafe {
            let kobj = &raw mut (*self.0.as_ptr()).kobj;
            bindings::kobject::set_uevent_suppress_raw(kobj, 0);
            bindings::kobject_uevent(kobj, bindings::kobject_action_KOBJ_ADD);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: By the invariants.
        unsafe { bindings::device_unregister(self.0.as_ptr()) };
    }
}

/// Frees the device of a [`Node`].
///
/// # Safety
///
/// `device` must be that of a [`Node`], and nobody may use it any more.
unsafe extern "C" fn release_device(device: *mut bindings::device) {
    // SAFETY: It is what a `KBox` has allocated, by `kmalloc()`.
    unsafe { bindings::kfree(device.cast()) };
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
    _nodes: KVec<Node>,
    _minors: Added<T>,
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
    /// All of them can be opened from the same moment on, after which nothing can fail. The nodes
    /// are there a little earlier, and lead nowhere: [`ENXIO`].
    ///
    /// Errors: [`EINVAL`] when there are no devices, or too many, or `major` is too big; [`EBUSY`]
    /// when the numbers are taken, or no major is left; [`EEXIST`] when the name is taken;
    /// [`ENOMEM`].
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

    /// The major number of the devices.
    pub fn major(&self) -> u32 {
        self.region.first >> bindings::MINORBITS
    }
}
