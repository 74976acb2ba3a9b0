// SPDX-License-Identifier: GPL-2.0

//! What a `struct file_operations` calls, where that is the same whatever kind of driver it is.
//!
//! Each function turns the arguments of C into those of the driver's function, and its result into
//! that of C.

use crate::{
    bindings,
    error::from_result,
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    types::ForeignOwnable, //
};

/// For `read_iter`.
///
/// # Safety
///
/// - `kiocb` must be valid, and the private data of its file be that of `P`.
/// - `iter` must be valid, for writing.
pub(crate) unsafe fn read_iter<P: ForeignOwnable>(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    read: impl FnOnce(Kiocb<'_, P>, &mut IovIterDest<'_>) -> Result<usize>,
) -> isize {
    // SAFETY: By this function's requirements.
    let kiocb = unsafe { Kiocb::from_raw(kiocb) };
    // SAFETY: By this function's requirements.
    let iov = unsafe { IovIterDest::from_raw(iter) };
    from_result(|| Ok(read(kiocb, iov)? as isize))
}

/// For `write_iter`.
///
/// # Safety
///
/// - `kiocb` must be valid, and the private data of its file be that of `P`.
/// - `iter` must be valid, for reading.
pub(crate) unsafe fn write_iter<P: ForeignOwnable>(
    kiocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    write: impl FnOnce(Kiocb<'_, P>, &mut IovIterSource<'_>) -> Result<usize>,
) -> isize {
    // SAFETY: By this function's requirements.
    let kiocb = unsafe { Kiocb::from_raw(kiocb) };
    // SAFETY: By this function's requirements.
    let iov = unsafe { IovIterSource::from_raw(iter) };
    from_result(|| Ok(write(kiocb, iov)? as isize))
}

/// For `unlocked_ioctl` and `compat_ioctl`.
///
/// # Safety
///
/// - `file` must be valid, and its private data be that of `P`.
/// - There must not be an active `fdget_pos` of the file on this thread.
pub(crate) unsafe fn ioctl<P: ForeignOwnable>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
    ioctl: impl FnOnce(P::Borrowed<'_>, &File, u32, usize) -> Result<isize>,
) -> c_long {
    // SAFETY: By this function's requirements. The file keeps its data during this call.
    let data = unsafe { P::borrow((*file).private_data) };
    // SAFETY: By this function's requirements.
    let file = unsafe { File::from_raw_file(file) };
    from_result(|| ioctl(data, file, cmd, arg))
}
